//! Packets to capture files, by a thread of its own: whoever hears packets gives them away and goes on.
//!
//! The queue between the two is bounded by bytes. What has no room in it is not written, and counted: a slow disk must
//! hold up nobody.

mod blocks;
mod call;
mod folder;
mod recording;

pub use call::{CallFile, Kept};

use super::live::Points;
use crate::base::{Batch, Error, limits};
use recording::Recording;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the end waits for the disk.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Where to write, and when to begin another file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the files; made when it is not there.
    pub folder: PathBuf,
    /// Bytes of a file, about.
    pub size: u64,
    /// Time of packets in one file.
    pub time: Option<Duration>,
    /// Bytes that the files of this and earlier runs may take together; the oldest go first.
    pub cap: Option<u64>,
    /// What writes, for the files to say.
    pub application: String,
}

/// What came of it so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Packets that are in files.
    pub written: u64,
    /// Packets that are in none: no room in the queue, or none on the disk.
    pub lost: u64,
    /// Files begun.
    pub files: u64,
    /// Calls that are in no file although they were to be.
    pub lost_calls: u64,
    /// Files removed to keep below the cap.
    pub removed: u64,
}

/// Packets by interface.
type Counts = BTreeMap<u32, u64>;

enum Job {
    Packets(Arc<Batch>),
    Call(CallFile),
}

/// What the two sides share.
#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, usize)>,
    /// That wait in `jobs`.
    bytes: usize,
    /// Packets that had no room, since the writer asked.
    lost: Counts,
    tally: Tally,
    troubles: Vec<String>,
    /// Why nothing is written.
    fault: Option<String>,
    /// Whether the user knows that the disk is too slow.
    is_slow: bool,
    /// Packets of the job that is being done.
    in_work: u64,
    /// Whether the disk may be tried again.
    retry: bool,
    closed: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    change: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives packets to the thread that writes them.
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Starts the thread. `points` tells what interfaces are called.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be made or read.
    pub fn start(plan: Plan, points: Points) -> Result<Self, Error> {
        let mut recording = Recording::new(plan, points)?;
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        thread::spawn(move || {
            work(&mut recording, &its);
            its.lock().ended = true;
            its.change.notify_all();
        });
        Ok(Self { shared })
    }

    /// Packets to write, unless too many wait.
    pub fn packets(&self, batch: &Arc<Batch>) {
        let bytes = batch.buffers.iter().map(bytes::Bytes::len).sum();
        let mut state = self.shared.lock();
        if state.has_room(bytes) {
            state.push(Job::Packets(Arc::clone(batch)), bytes);
            self.shared.change.notify_all();
        } else {
            state.tally.lost += batch.packets.len() as u64;
            if !std::mem::replace(&mut state.is_slow, true) {
                state.troubles.push("the disk is too slow: not all packets are written".to_owned());
            }
            batch.packets.iter().for_each(|packet| *state.lost.entry(packet.interface).or_default() += 1);
        }
    }

    /// A call to write, unless too much waits.
    pub fn call(&self, call: CallFile) {
        let bytes = call.packets.iter().map(|packet| packet.size()).sum();
        let mut state = self.shared.lock();
        if state.has_room(bytes) {
            state.push(Job::Call(call), bytes);
            self.shared.change.notify_all();
        } else {
            state.tally.lost_calls += 1;
        }
    }

    /// Has a disk that failed tried again with what comes next.
    pub fn retry(&self) {
        self.shared.lock().retry = true;
    }

    /// What the user must be told, each once.
    pub fn troubles(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().troubles)
    }

    /// Why nothing is written by now, if so.
    pub fn fault(&self) -> Option<String> {
        self.shared.lock().fault.clone()
    }

    /// What came of it so far.
    pub fn tally(&self) -> Tally {
        self.shared.lock().tally
    }

    /// Writes what waits and ends: what came of it, and what the user must be told. What the disk does not take within
    /// seconds is lost.
    pub fn finish(self) -> (Tally, Vec<String>) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.change.notify_all();
        let waited = self.shared.change.wait_timeout_while(state, LAST_WAIT, |state| !state.ended);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let troubles = std::mem::take(&mut state.troubles);
        let mut tally = state.tally;
        if !state.ended {
            tally.lost += state.in_work;
        }
        for (job, _) in &state.jobs {
            match job {
                Job::Packets(batch) => tally.lost += batch.packets.len() as u64,
                Job::Call(_) => tally.lost_calls += 1,
            }
        }
        (tally, troubles)
    }
}

impl State {
    /// One job always has.
    fn has_room(&self, bytes: usize) -> bool {
        self.jobs.is_empty() || self.bytes + bytes <= limits::WAITING_TO_BE_WRITTEN
    }

    fn push(&mut self, job: Job, bytes: usize) {
        self.bytes += bytes;
        self.jobs.push_back((job, bytes));
    }
}

/// What the thread does, until nothing waits and nothing will.
fn work(recording: &mut Recording, shared: &Shared) {
    loop {
        let mut state = shared.lock();
        while state.jobs.is_empty() && !state.closed {
            state = shared.change.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let Some((job, bytes)) = state.jobs.pop_front() else {
            break;
        };
        let lost = std::mem::take(&mut state.lost);
        let retry = std::mem::take(&mut state.retry);
        state.in_work = match &job {
            Job::Packets(batch) => batch.packets.len() as u64,
            Job::Call(_) => 0,
        };
        drop(state);
        recording.missed(lost);
        if retry {
            recording.retry();
        }
        match job {
            Job::Packets(batch) => recording.packets(&batch),
            Job::Call(call) => recording.call(&call),
        }
        // Nothing waits: what came so far shall be on the disk, whatever becomes of us.
        let is_last = shared.lock().jobs.is_empty();
        if is_last {
            recording.flush();
        }
        let mut state = shared.lock();
        state.bytes -= bytes;
        state.in_work = 0;
        tell(recording, &mut state);
    }
    recording.missed(std::mem::take(&mut shared.lock().lost));
    recording.finish();
    tell(recording, &mut shared.lock());
}

fn tell(recording: &mut Recording, state: &mut State) {
    let Tally { written, lost, files, lost_calls, removed } = recording.take_tally();
    let sum = &mut state.tally;
    sum.written += written;
    sum.lost += lost;
    sum.files += files;
    sum.lost_calls += lost_calls;
    sum.removed += removed;
    state.troubles.append(&mut recording.take_troubles());
    if state.fault.as_deref() != recording.fault() {
        state.fault = recording.fault().map(str::to_owned);
    }
}
