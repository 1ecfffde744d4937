//! A file that another program is still writing.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often to look for more: soon enough for people, seldom enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits at the end of a file for more, until it is told to stop.
pub(super) struct Growing {
    file: File,
    /// Bytes read.
    read: u64,
    stop: Arc<AtomicBool>,
}

impl Growing {
    /// Reads `file` from where it stands, its start, until `stop` is set and nothing is left.
    pub(super) fn new(file: File, stop: Arc<AtomicBool>) -> Self {
        Self { file, read: 0, stop }
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading: what was written before the stop is still delivered.
            let stopped = self.stop.load(Ordering::Acquire);
            let n = self.file.read(buffer)?;
            self.read += n as u64;
            if n > 0 || stopped || buffer.is_empty() {
                return Ok(n);
            }
            let metadata = self.file.metadata()?;
            if metadata.is_file() && metadata.len() < self.read {
                return Err(io::Error::other("the file was cut short while it was followed"));
            }
            thread::sleep(PAUSE);
        }
    }
}
