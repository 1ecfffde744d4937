//! The last segments delivered, to see retransmissions that carry other bytes.

use bytes::Bytes;

use super::stream::differ;

/// Segments remembered over all connections. A ring, so that buffers are kept alive for a moment
/// only, however many connections there are.
const SEGMENTS: usize = 1024;
/// How many segments of one stream are looked at for one retransmission.
const STEPS: usize = 32;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry {
    stream: u64,
    offset: u64,
    bytes: Bytes,
    /// The stream's entry before this one, if it is still there.
    previous: u32,
}

/// Ring of delivered segments, linked per stream from new to old.
#[derive(Debug, Default)]
pub(super) struct History {
    ring: Vec<Entry>,
    at: usize,
}

impl History {
    /// Remembers bytes of `stream`, whose entry before was `previous`; returns the new entry.
    pub(super) fn remember(&mut self, stream: u64, offset: u64, bytes: &Bytes, previous: u32) -> u32 {
        let entry = Entry { stream, offset, bytes: bytes.clone(), previous };
        let at = self.at;
        match self.ring.get_mut(at) {
            Some(old) => *old = entry,
            None => self.ring.push(entry),
        }
        self.at = (at + 1) % SEGMENTS;
        at as u32
    }

    /// Whether `bytes` at `offset` differ from what was delivered there, as far as remembered.
    pub(super) fn differs(&self, stream: u64, mut entry: u32, offset: u64, bytes: &[u8]) -> bool {
        let mut below = u64::MAX;
        for _ in 0..STEPS {
            let Some(known) = self.ring.get(entry as usize).filter(|known| known.stream == stream) else {
                break;
            };
            // A place in the ring that was used again breaks the descending order.
            if known.offset >= below || known.offset + known.bytes.len() as u64 <= offset {
                break;
            }
            if differ(offset, bytes, known.offset, &known.bytes) {
                return true;
            }
            below = known.offset;
            entry = known.previous;
        }
        false
    }
}
