//! Maps a capture file into memory: the one place of the program with `unsafe`.

use bytes::Bytes;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of a regular file.
pub(super) struct Map {
    map: Arc<Mmap>,
    bytes: Bytes,
}

/// Lets [`Bytes`] own its share of a map.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Map {
    /// Maps a regular file of more than zero bytes, as long as it is now; nothing is read or copied
    /// before it is looked at.
    ///
    /// What a map can do wrong, and why it is accepted for captures:
    ///
    /// - The file grows, is renamed or is deleted (rotation): the map keeps what there was when it was made.
    /// - The file is cut short by somebody while we read: touching a page behind the new end raises
    ///   SIGBUS, which ends the process. Capture programs append or start a new file; cutting a file
    ///   under its reader needs the same rights as killing the reader, and it cannot make us read
    ///   memory that is not ours. Whoever does not trust the writer that far can pipe the file in.
    /// - The file is overwritten in place: lengths are checked against the length of the map, which
    ///   is fixed, wherever they are used, so that changed bytes give other packets, never a read out
    ///   of bounds.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "mapping a file has no safe interface; argued above")]
        // SAFETY: the map is private to us and read-only, and its length never changes. The rest is
        // the list above: truncation stops the process, a change in place changes only values.
        let map = Arc::new(unsafe { Mmap::map(file)? });
        let bytes = Bytes::from_owner(Owner(Arc::clone(&map)));
        Ok(Self { map, bytes })
    }

    /// All bytes, shared.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Has the kernel set up `range` at once instead of page by page: half the time of a walk over
    /// a cached file. Only a hint, so that failure means nothing.
    pub(super) fn prepare(&self, range: Range<usize>) {
        let range = range.start.min(self.bytes.len())..range.end.min(self.bytes.len());
        #[cfg(target_os = "linux")]
        drop(self.map.advise_range(memmap2::Advice::PopulateRead, range.start, range.len()));
        #[cfg(all(unix, not(target_os = "linux")))]
        drop(self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len()));
        #[cfg(not(unix))]
        let _ = (&self.map, range);
    }
}
