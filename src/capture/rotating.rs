//! A folder into which another program writes one capture after the other: `dumpcap -b`, `tcpdump -C` and `-G`, our own.
//!
//! The folder is looked at again and again. Every system has that, over the network as well, where notifications of the
//! kernel do not come; and a tenth of a second is soon enough.

use super::follow::{Growing, PAUSE};
use super::{CaptureFile, CaptureInfo, Comment, More, Names, Source};
use crate::base::{Anomalies, Batch, Error, Timestamp, limits};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

/// Looks at a file that is being read for each look at the folder.
const LOOKS: u32 = 3;

/// The files of a folder as one capture: those that are there in the order of their first packets, then each that
/// appears; the last one is read as it grows. One is open at a time.
pub struct Rotating {
    stop: Arc<AtomicBool>,
    shelf: Arc<Mutex<Shelf>>,
    current: Option<CaptureFile>,
    /// Of all files together.
    info: CaptureInfo,
    /// The same without the current one.
    before: CaptureInfo,
    frames: u32,
    anomalies: Anomalies,
    names: Names,
}

/// What is known of the files in the folder.
#[derive(Default)]
struct Shelf {
    folder: PathBuf,
    known: HashMap<PathBuf, Known>,
}

/// A file at the last look.
struct Known {
    identity: Identity,
    /// Time of its first packet; files without packets are the newest.
    first: Timestamp,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No capture, or not yet.
    Strange,
    Waiting,
    /// Being read, or read.
    Taken,
}

/// What tells a file from another one under its name, and from itself when it was written anew.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    number: u64,
    length: u64,
    changed: Option<SystemTime>,
}

impl Rotating {
    /// Reads what is in `folder`, and what comes into it until `stop` is set.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read.
    pub fn open(folder: &Path, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        folder.read_dir().map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let shelf = Shelf { folder: folder.to_owned(), known: HashMap::new() };
        let info = CaptureInfo::new(folder.display().to_string(), "pcapng", Vec::new());
        Ok(Self {
            stop,
            shelf: Arc::new(Mutex::new(shelf)),
            current: None,
            before: info.clone(),
            info,
            frames: 0,
            anomalies: Anomalies::default(),
            names: Names::default(),
        })
    }

    /// Opens the next file, waiting for one; `None` at the end.
    fn next_file(&mut self) -> Result<Option<CaptureFile>, Error> {
        loop {
            let stopped = self.stop.load(atomic::Ordering::Acquire);
            let next = lock(&self.shelf).take();
            if let Some(path) = next {
                match self.follow(&path) {
                    Ok(file) => {
                        self.before = self.info.clone();
                        return Ok(Some(file));
                    }
                    // The ring went on meanwhile.
                    Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            if stopped {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Opens a file that ends when there is another one.
    fn follow(&self, path: &Path) -> Result<CaptureFile, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let (stop, shelf) = (Arc::clone(&self.stop), Arc::clone(&self.shelf));
        let mut looks = 0_u32;
        let ended = move || {
            let is_due = looks.is_multiple_of(LOOKS);
            looks = looks.wrapping_add(1);
            stop.load(atomic::Ordering::Acquire) || is_due && lock(&shelf).has_next()
        };
        Ok(CaptureFile::read(Box::new(Growing::new(file, Box::new(ended))), path)?.merged())
    }

    fn note_progress(&mut self, file: &mut CaptureFile) {
        let (before, now) = (&self.before, file.info());
        self.info = CaptureInfo {
            path: before.path.clone(),
            packets: before.packets + now.packets,
            bytes: before.bytes + now.bytes,
            first: before.first.into_iter().chain(now.first).min(),
            last: before.last.max(now.last),
            link_types: before.link_types.clone(),
            complete: before.complete && now.complete,
            drops: before.drops.saturating_add(now.drops),
            ..now.clone()
        };
        for link in &now.link_types {
            if !self.info.link_types.contains(link) {
                self.info.link_types.push(*link);
            }
        }
        self.anomalies.merge(file.take_anomalies());
        self.names.merge(file.take_names());
        file.take_comments();
    }
}

impl Source for Rotating {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<More, Error> {
        batch.clear();
        loop {
            let mut file = match self.current.take() {
                Some(current) => current,
                None => match self.next_file()? {
                    Some(next) => next,
                    None => return Ok(More::End),
                },
            };
            let outcome = file.next_batch(batch);
            self.note_progress(&mut file);
            if outcome? == More::More {
                for packet in &mut batch.packets {
                    self.frames = self.frames.checked_add(1).unwrap_or(1);
                    packet.frame = self.frames;
                }
                self.current = Some(file);
                return Ok(More::More);
            }
        }
    }

    fn captures(&self) -> &[CaptureInfo] {
        std::slice::from_ref(&self.info)
    }

    fn take_anomalies(&mut self) -> Anomalies {
        std::mem::take(&mut self.anomalies)
    }

    fn key_log(&mut self) -> Vec<u8> {
        self.current.as_mut().map(CaptureFile::key_log).unwrap_or_default()
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn comments(&self) -> &[Comment] {
        &[]
    }
}

impl Shelf {
    /// Whether a file waits.
    fn has_next(&mut self) -> bool {
        self.look();
        self.known.values().any(|known| known.state == State::Waiting)
    }

    /// The next file to read.
    fn take(&mut self) -> Option<PathBuf> {
        self.look();
        let waiting = self.known.iter_mut().filter(|(_, known)| known.state == State::Waiting);
        let (path, known) = waiting.min_by(|(a, one), (b, other)| one.first.cmp(&other.first).then(natural(a, b)))?;
        known.state = State::Taken;
        Some(path.clone())
    }

    /// Looks at what is new in the folder. A folder that cannot be read at the moment has nothing new.
    fn look(&mut self) {
        let Ok(entries) = self.folder.read_dir() else {
            return;
        };
        let (mut now, mut new) = (HashMap::new(), Vec::new());
        for entry in entries.flatten().take(limits::FOLLOWED_FILES) {
            let path = entry.path();
            let Some(identity) = fs::metadata(&path).ok().filter(Metadata::is_file).map(|file| Identity::of(&file))
            else {
                continue;
            };
            match self.known.remove(&path) {
                Some(known) if known.identity == identity => drop(now.insert(path, known)),
                Some(known) => drop(now.insert(path.clone(), known.again(&path, identity))),
                None => new.push((path, identity)),
            }
        }
        // What is left went away, or got another name.
        let mut gone: HashMap<u64, Known> =
            self.known.drain().map(|(_, known)| (known.identity.number, known)).collect();
        for (path, identity) in new {
            let known = match gone.remove(&identity.number) {
                Some(known) => known.again(&path, identity),
                None => Known::meet(&path, identity),
            };
            now.insert(path, known);
        }
        self.known = now;
    }
}

impl Known {
    /// Looks into a file for the first time.
    fn meet(path: &Path, identity: Identity) -> Self {
        let first = File::open(path).ok().and_then(|file| {
            let mut file = CaptureFile::read(Box::new(file), path).ok()?;
            let mut batch = Batch::default();
            let _ = file.read_batch(&mut batch, 1);
            Some(batch.packets.first().map_or(Timestamp::MAX, |packet| packet.time))
        });
        let state = if first.is_some() { State::Waiting } else { State::Strange };
        Self { identity, first: first.unwrap_or(Timestamp::MAX), state }
    }

    /// Looks into a file that has changed: one that was read and has grown is not read again, one that begins anew is.
    fn again(self, path: &Path, now: Identity) -> Self {
        let met = Self::meet(path, now);
        let before = self.identity;
        let has_grown = self.first == Timestamp::MAX && now.length >= before.length;
        let is_same = before.number == now.number && (self.first == met.first || has_grown);
        let state = if is_same && self.state == State::Taken { State::Taken } else { met.state };
        Self { state, ..met }
    }
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(file);
        #[cfg(not(unix))]
        let number = 0;
        Self { number, length: file.len(), changed: file.modified().ok() }
    }
}

/// By name, with numbers in it by their value: `trace2` comes before `trace10`.
fn natural(one: &Path, other: &Path) -> Ordering {
    let parts = |path: &Path| -> Vec<(usize, String)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut parts: Vec<String> = Vec::new();
        let mut was_digit = None;
        for letter in name.chars() {
            let is_digit = letter.is_ascii_digit();
            match parts.last_mut().filter(|_| was_digit == Some(is_digit)) {
                Some(last) => last.push(letter),
                None => parts.push(letter.into()),
            }
            was_digit = Some(is_digit);
        }
        let trimmed = |part: String| {
            let digits = part.trim_start_matches('0');
            let is_number = part.starts_with(|letter: char| letter.is_ascii_digit());
            if is_number { (digits.len(), digits.to_owned()) } else { (0, part) }
        };
        parts.into_iter().map(trimmed).collect()
    };
    parts(one).cmp(&parts(other)).then_with(|| one.cmp(other))
}

fn lock(shelf: &Mutex<Shelf>) -> std::sync::MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["t.pcap10", "t.pcap", "t.pcap9", "t_00010_2.pcap", "t_00009_3.pcap"].map(Path::new);
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(names, ["t.pcap", "t.pcap9", "t.pcap10", "t_00009_3.pcap", "t_00010_2.pcap"].map(Path::new));
    }
}
