//! A file that another program is still writing.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often to look for more: soon enough for people, seldom enough to cost nothing.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Tells at the end of a file whether nothing more will come.
pub(super) type Ended = Box<dyn FnMut() -> bool + Send>;

/// Waits at the end of a file for more, until nothing more will come.
pub(super) struct Growing {
    file: File,
    /// Bytes read.
    read: u64,
    ended: Ended,
}

impl Growing {
    /// Reads `file` from where it stands, its start, until `ended` says so and nothing is left.
    pub(super) fn new(file: File, ended: Ended) -> Self {
        Self { file, read: 0, ended }
    }

    /// As [`Growing::new`], until `stop` is set.
    pub(super) fn until(file: File, stop: Arc<AtomicBool>) -> Self {
        Self::new(file, Box::new(move || stop.load(Ordering::Acquire)))
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ended = false;
        loop {
            let n = self.file.read(buffer)?;
            self.read += n as u64;
            if n > 0 || ended || buffer.is_empty() {
                return Ok(n);
            }
            // Asked before reading once more: what was written before the end is still delivered.
            ended = (self.ended)();
            if ended {
                continue;
            }
            let metadata = self.file.metadata()?;
            if metadata.is_file() && metadata.len() < self.read {
                return Err(io::Error::other("the file was cut short while it was followed"));
            }
            thread::sleep(PAUSE);
        }
    }
}
