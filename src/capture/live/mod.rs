//! Packets as they come: a thread for each interface, or for a stream, that only fills batches.

mod device;
mod interface;
mod right;
mod stream;

pub use device::{Interface, Settings, interfaces};

use super::{CaptureInfo, Names, Source};
use crate::base::{Anomalies, Batch, Error, PacketMeta};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long to wait for what other interfaces captured meanwhile.
const GATHER: Duration = Duration::from_millis(20);
/// Batches put in order of time together.
const GATHERED: usize = 64;

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// Packets, in order of time as far as they came together.
    Packets(Batch),
    /// Nothing, for as long as was waited.
    Nothing,
    /// One of several inputs ended with an error.
    Failed(Error),
    /// Something about an input that goes on, in words.
    Told(String),
    /// All inputs have ended.
    End,
}

enum Event {
    /// Packets of the input with this number.
    Packets(usize, Batch),
    Failed(Error),
    Told(String),
    Ended,
}

/// What a thread tells beside packets.
#[derive(Debug, Default)]
struct Told {
    captures: Vec<CaptureInfo>,
    keys: Vec<u8>,
    names: Names,
    anomalies: Anomalies,
}

type Shared = Arc<Mutex<Told>>;

/// What every input has to give its packets to.
struct Feed {
    /// Among the inputs.
    number: usize,
    sender: SyncSender<Event>,
    told: Shared,
    stop: Arc<AtomicBool>,
}

/// Inputs that are listened to, each in a thread of its own. The threads start with [`Live::start`], so that rights can be
/// given up before; they end with the inputs, or after [`Live::stop`]; one that waits for a stream is left behind.
pub struct Live {
    events: Receiver<Event>,
    sender: SyncSender<Event>,
    told: Vec<Shared>,
    stop: Arc<AtomicBool>,
    running: usize,
    frames: u32,
    /// What was told between packets.
    between: VecDeque<Heard>,
    /// Threads that are not started yet.
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

impl Live {
    /// Nothing that is listened to yet. `room`: batches that may wait to be taken.
    pub fn new(room: usize) -> Self {
        let (sender, events) = sync_channel(room);
        let (stop, between, waiting) = (Arc::default(), VecDeque::new(), Vec::new());
        Self { events, sender, told: Vec::new(), stop, running: 0, frames: 0, between, waiting }
    }

    /// Listens on an interface, too.
    ///
    /// # Errors
    /// [`Error::Usage`] for an interface that there is not, [`Error::Device`] for one that may not be listened on,
    /// [`Error::Filter`] for a filter that libpcap does not accept.
    pub fn listen(&mut self, name: &str, settings: &Settings) -> Result<(), Error> {
        let device = device::open(name, settings)?;
        let feed = self.feed(interface::info(name, &device));
        let sniffer = interface::Sniffer::new(device, name, settings, feed);
        self.waiting.push(Box::new(move || sniffer.run()));
        Ok(())
    }

    /// Reads what `open` gives, too: opening it may wait.
    pub fn read(&mut self, open: impl FnOnce() -> Result<Box<dyn Source>, Error> + Send + 'static) {
        let feed = self.feed(Vec::new());
        self.waiting.push(Box::new(move || stream::run(open, &feed)));
    }

    /// Starts the threads of all inputs. They have the rights that the caller has now.
    pub fn start(&mut self) {
        for run in self.waiting.drain(..) {
            thread::spawn(run);
        }
    }

    /// One more input.
    fn feed(&mut self, captures: Vec<CaptureInfo>) -> Feed {
        let told = Arc::new(Mutex::new(Told { captures, ..Told::default() }));
        self.told.push(Arc::clone(&told));
        self.running += 1;
        let (sender, stop) = (self.sender.clone(), Arc::clone(&self.stop));
        Feed { number: self.told.len() - 1, sender, told, stop }
    }

    /// What came, or that nothing did within `wait`. Starts what was not started.
    pub fn next(&mut self, wait: Duration) -> Heard {
        self.start();
        if let Some(heard) = self.between.pop_front() {
            return heard;
        }
        match self.event(wait) {
            Some(Event::Packets(number, batch)) => self.gather(number, batch),
            Some(Event::Failed(error)) => Heard::Failed(error),
            Some(Event::Told(text)) => Heard::Told(text),
            Some(Event::Ended) | None if self.running > 0 => Heard::Nothing,
            Some(Event::Ended) | None => Heard::End,
        }
    }

    /// Has the inputs end; what they have is still given.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// What is known of each input.
    pub fn captures(&self) -> Vec<CaptureInfo> {
        self.told.iter().flat_map(|told| lock(told).captures.clone()).collect()
    }

    /// TLS secrets that a stream carried, since the last call.
    pub fn key_log(&self) -> Vec<u8> {
        self.told.iter().flat_map(|told| std::mem::take(&mut lock(told).keys)).collect()
    }

    /// What was odd about a stream, since the last call.
    pub fn take_anomalies(&self) -> Anomalies {
        let mut all = Anomalies::default();
        self.told.iter().for_each(|told| all.merge(std::mem::take(&mut lock(told).anomalies)));
        all
    }

    /// Names of addresses that a stream carried so far.
    pub fn names(&self) -> Names {
        self.told.first().map_or_else(Names::default, |told| lock(told).names.clone())
    }

    fn event(&mut self, wait: Duration) -> Option<Event> {
        let event = match self.events.recv_timeout(if self.running == 0 { Duration::ZERO } else { wait }) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        self.running -= usize::from(matches!(event, Event::Ended)).min(self.running);
        Some(event)
    }

    /// Numbers the frames of a batch; of several interfaces, puts in order what they captured meanwhile.
    fn gather(&mut self, number: usize, first: Batch) -> Heard {
        let mut all = Batch::default();
        add(&mut all, number, first, self.told.len() > 1);
        let mut gathered = 1;
        while self.told.len() > 1 && gathered < GATHERED {
            match self.event(GATHER) {
                Some(Event::Packets(number, batch)) => add(&mut all, number, batch, true),
                Some(Event::Failed(error)) => self.between.push_back(Heard::Failed(error)),
                Some(Event::Told(text)) => self.between.push_back(Heard::Told(text)),
                Some(Event::Ended) => {}
                None => break,
            }
            gathered += 1;
        }
        if self.told.len() > 1 {
            all.packets.sort_by_key(|packet| packet.time);
        }
        for packet in &mut all.packets {
            // Weeks of traffic have more frames than numbers.
            self.frames = self.frames.checked_add(1).unwrap_or(1);
            packet.frame = self.frames;
        }
        Heard::Packets(all)
    }
}

fn add(all: &mut Batch, number: usize, batch: Batch, is_one_of_several: bool) {
    let before = all.buffers.len() as u32;
    all.buffers.extend(batch.buffers);
    all.packets.extend(batch.packets.into_iter().map(|packet| PacketMeta {
        buffer: packet.buffer + before,
        interface: if is_one_of_several { number as u32 } else { packet.interface },
        ..packet
    }));
}

fn lock(told: &Shared) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LinkType, Timestamp};
    use bytes::Bytes;

    #[test]
    fn batches_of_two_interfaces_keep_their_bytes_apart() {
        let packet = |time| PacketMeta {
            frame: 0,
            time: Timestamp::from_nanos(time),
            buffer: 0,
            offset: 0,
            captured: 1,
            original: 1,
            link: LinkType(1),
            interface: 0,
        };
        let batch =
            |time, byte: &'static [u8]| Batch { buffers: vec![Bytes::from_static(byte)], packets: vec![packet(time)] };
        let mut live = Live::new(4);
        let (one, other) = (live.feed(Vec::new()), live.feed(Vec::new()));
        one.sender.send(Event::Packets(one.number, batch(2, b"b"))).unwrap();
        other.sender.send(Event::Packets(other.number, batch(1, b"a"))).unwrap();
        let Heard::Packets(all) = live.next(Duration::ZERO) else { panic!("nothing came") };
        let told: Vec<_> =
            all.packets.iter().map(|packet| (packet.frame, packet.interface, all.data(packet))).collect();
        assert_eq!(told, [(1, 1, &b"a"[..]), (2, 0, &b"b"[..])]);
        for feed in [one, other] {
            feed.sender.send(Event::Ended).unwrap();
        }
        assert!(matches!(live.next(Duration::ZERO), Heard::Nothing));
        assert!(matches!(live.next(Duration::ZERO), Heard::End));
    }
}
