//! Several files as one capture, in time order.

use super::file::CaptureFile;
use super::folder::expand;
use super::{CaptureInfo, Comment, More, Names, Source};
use crate::base::{Anomalies, Batch, Error, PacketMeta, Timestamp, limits};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

/// Packets in a batch.
const BATCH: usize = 16_384;

/// What [`open`] gives.
pub struct Opened {
    /// All that could be opened; ends at once when nothing could.
    pub source: Box<dyn Source>,
    /// Files and folders that could not be used.
    pub errors: Vec<Error>,
}

/// Opens files, folders and standard input (`-`) as one capture.
///
/// A single file keeps its order and its frame numbers; several become [`Merged`].
pub fn open(paths: &[PathBuf]) -> Opened {
    open_as(paths, Access::Mapped)
}

/// As [`open`], but files are read piece by piece and not mapped, at most so many packets at once: for captures that are
/// larger than memory.
pub fn open_to_read(paths: &[PathBuf], at_once: usize) -> Opened {
    open_as(paths, Access::Read { at_once })
}

/// How the bytes of files are come by.
#[derive(Clone, Copy, Default)]
enum Access {
    #[default]
    Mapped,
    Read {
        at_once: usize,
    },
}

impl Access {
    /// Packets in a batch.
    fn at_once(self) -> usize {
        match self {
            Self::Mapped => BATCH,
            Self::Read { at_once } => at_once.clamp(1, BATCH),
        }
    }
}

fn open_as(paths: &[PathBuf], access: Access) -> Opened {
    let (files, mut errors) = expand(paths);
    if let [path] = &files[..] {
        return match open_one(path, access) {
            Ok(file) => Opened { source: Box::new(file), errors },
            Err(error) => {
                errors.push(error);
                Opened { source: Box::new(Merged::default()), errors }
            }
        };
    }
    let mut merged = Merged { access, ..Merged::default() };
    errors.extend(files.into_iter().filter_map(|path| merged.add(path).err()));
    Opened { source: Box::new(merged), errors }
}

fn open_one(path: &Path, access: Access) -> Result<CaptureFile, Error> {
    match access {
        _ if is_stdin(path) => CaptureFile::read(Box::new(std::io::stdin()), path),
        Access::Mapped => CaptureFile::open(path),
        Access::Read { at_once } => CaptureFile::open_to_read(path, at_once),
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Several files merged by time: the earlier named first at equal times, each in its own order.
/// Frames are numbered over all of them, and no two files share an interface number.
///
/// A file is looked into when it is added, and then held open only from the time of its first
/// packet to that of its last, so that any number of rotated files can be given.
#[derive(Default)]
pub struct Merged {
    access: Access,
    inputs: Vec<Input>,
    infos: Vec<CaptureInfo>,
    /// Time of the next packet of each input that goes on.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    frames: u32,
    /// For each number given to an interface: which input has it, and its number there.
    interfaces: Vec<(usize, u32)>,
    anomalies: Anomalies,
    secrets: Vec<u8>,
    names: Names,
    comments: Vec<Comment>,
    /// A read error that waits until the packets before it are delivered.
    failure: Option<Error>,
}

/// One file of several.
struct Input {
    path: PathBuf,
    state: State,
    batch: Batch,
    /// Next packet in `batch`.
    next: usize,
    /// Where the buffers of `batch` start in the batch being filled, once they are in it.
    buffers: Option<u32>,
    /// The number given to each of the file's interfaces that has a packet.
    interfaces: Vec<Option<u32>>,
    /// On packets to come, with the frame numbers of the file.
    comments: VecDeque<Comment>,
}

enum State {
    /// Looked into and closed.
    Closed,
    Open(Box<CaptureFile>),
    Over,
}

impl Merged {
    /// Adds a file.
    ///
    /// # Errors
    /// Those of [`CaptureFile::open`]; the file is left out then.
    pub fn add(&mut self, path: PathBuf) -> Result<(), Error> {
        let mut file = open_one(&path, self.access)?.merged();
        let info = file.info().clone();
        let mut batch = Batch::default();
        file.read_batch(&mut batch, 1)?;
        // A file without packets is opened first of all, for what else it tells.
        let first = batch.packets.first().map_or(Timestamp::MIN, |packet| packet.time);
        let mut comments = VecDeque::new();
        let state = if !is_stdin(&path) && path.is_file() {
            batch.clear();
            State::Closed
        } else {
            // A pipe gives its bytes only once.
            comments.extend(file.take_comments());
            State::Open(Box::new(file))
        };
        self.heads.push(Reverse((first, self.inputs.len())));
        self.infos.push(info);
        self.inputs.push(Input { path, state, batch, next: 0, buffers: None, interfaces: Vec::new(), comments });
        Ok(())
    }

    /// Moves packets of one input into `out`, as long as they come before `until`.
    fn take_run(&mut self, at: usize, until: Option<(Timestamp, usize)>, out: &mut Batch) -> Result<(), Error> {
        loop {
            let input = &self.inputs[at];
            let Some(packet) = input.batch.packets.get(input.next).copied() else {
                if self.refill(at)? {
                    continue;
                }
                return Ok(());
            };
            if out.packets.len() >= self.access.at_once() || until.is_some_and(|until| (packet.time, at) > until) {
                self.heads.push(Reverse((packet.time, at)));
                return Ok(());
            }
            self.deliver(at, packet, out);
        }
    }

    fn deliver(&mut self, at: usize, packet: PacketMeta, out: &mut Batch) {
        let input = &mut self.inputs[at];
        let base = *input.buffers.get_or_insert_with(|| {
            let base = out.buffers.len() as u32;
            out.buffers.extend_from_slice(&input.batch.buffers);
            base
        });
        input.next += 1;
        self.frames = self.frames.saturating_add(1);
        while input.comments.front().is_some_and(|next| next.frame <= packet.frame) {
            let comment = input.comments.pop_front();
            if self.comments.len() < limits::CAPTURE_COMMENTS {
                let frame = self.frames;
                self.comments.extend(comment.map(|comment| Comment { frame, ..comment }));
            }
        }
        out.packets.push(PacketMeta {
            frame: self.frames,
            buffer: base + packet.buffer,
            interface: number(&mut input.interfaces, (at, packet.interface), &mut self.interfaces),
            ..packet
        });
    }

    /// Reads the next packets of an input, opening it if need be; whether there are any.
    fn refill(&mut self, at: usize) -> Result<bool, Error> {
        let input = &mut self.inputs[at];
        if matches!(input.state, State::Closed) {
            input.state = State::Over;
            input.state = State::Open(Box::new(open_one(&input.path, self.access)?.merged()));
        }
        let State::Open(file) = &mut input.state else {
            return Ok(false);
        };
        (input.next, input.buffers) = (0, None);
        let outcome = file.read_batch(&mut input.batch, self.access.at_once());
        self.infos[at].clone_from(file.info());
        self.anomalies.merge(file.take_anomalies());
        self.secrets.append(&mut file.key_log());
        self.names.merge(file.take_names());
        input.comments.extend(file.take_comments());
        if !matches!(outcome, Ok(More::More)) {
            input.state = State::Over;
        }
        outcome.map(|more| more == More::More)
    }
}

/// The number over all files of interface `own` of one file.
fn number(known: &mut Vec<Option<u32>>, own: (usize, u32), all: &mut Vec<(usize, u32)>) -> u32 {
    let at = own.1 as usize;
    if known.len() <= at {
        known.resize(at + 1, None);
    }
    *known[at].get_or_insert_with(|| {
        all.push(own);
        all.len() as u32 - 1
    })
}

impl Source for Merged {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<More, Error> {
        batch.clear();
        for input in &mut self.inputs {
            input.buffers = None;
        }
        while self.failure.is_none() && batch.packets.len() < self.access.at_once() {
            let Some(Reverse((_, at))) = self.heads.pop() else {
                break;
            };
            let until = self.heads.peek().map(|Reverse(head)| *head);
            self.failure = self.take_run(at, until, batch).err();
        }
        if !batch.packets.is_empty() {
            return Ok(More::More);
        }
        self.failure.take().map_or(Ok(More::End), Err)
    }

    fn captures(&self) -> &[CaptureInfo] {
        &self.infos
    }

    fn take_anomalies(&mut self) -> Anomalies {
        std::mem::take(&mut self.anomalies)
    }

    fn key_log(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.secrets)
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn point(&self, interface: u32) -> (usize, u32) {
        self.interfaces.get(interface as usize).copied().unwrap_or((0, interface))
    }

    fn comments(&self) -> &[Comment] {
        &self.comments
    }
}
