//! A file that ends with a whole block, whatever the disk does.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes that are written at once.
pub(super) const CHUNK: usize = 1 << 20;

/// Collects blocks and writes many at once. Every `write` is one block.
pub(super) struct Blocks {
    file: File,
    buffer: Vec<u8>,
    /// Where each block in the buffer ends, and the interface whose packet it is.
    ends: Vec<(usize, Option<u32>)>,
    /// Whose packet the next block is.
    owner: Option<u32>,
    /// Bytes in the file, all of whole blocks.
    written: u64,
}

/// What could not be written.
pub(super) struct Unwritten {
    pub(super) error: io::Error,
    /// The interfaces of the packets that are not in the file.
    pub(super) packets: Vec<u32>,
}

impl Blocks {
    pub(super) fn new(file: File) -> Self {
        Self { file, buffer: Vec::with_capacity(CHUNK + (64 << 10)), ends: Vec::new(), owner: None, written: 0 }
    }

    /// Bytes of the file with all that waits.
    pub(super) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next block is a packet of `interface`.
    pub(super) fn packet_of(&mut self, interface: u32) {
        self.owner = Some(interface);
    }

    /// Gives up what waits: the interfaces of its packets.
    pub(super) fn abandon(&mut self) -> Vec<u32> {
        self.buffer.clear();
        self.ends.drain(..).filter_map(|(_, owner)| owner).collect()
    }

    /// Writes what waits. When that fails, the file is cut off behind its last whole block.
    pub(super) fn put(&mut self) -> Result<(), Unwritten> {
        let (taken, outcome) = write(&mut self.file, &self.buffer);
        let whole = self.ends.partition_point(|(end, _)| *end <= taken);
        let bytes = whole.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |(end, _)| *end);
        self.written += bytes as u64;
        let packets = self.ends.iter().skip(whole).filter_map(|(_, owner)| *owner).collect();
        self.ends.clear();
        self.buffer.clear();
        outcome.map_err(|error| {
            // Both only make the file shorter, which a full disk allows; when they fail, readers find a cut last block.
            let _ = self.file.set_len(self.written);
            let _ = self.file.seek(SeekFrom::Start(self.written));
            Unwritten { error, packets }
        })
    }
}

/// How much of `bytes` was written.
fn write(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (at, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => at += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

impl Write for Blocks {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(block);
        self.ends.push((self.buffer.len(), self.owner.take()));
        Ok(block.len())
    }

    /// Does nothing: see [`Blocks::put`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
