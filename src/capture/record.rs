//! What the readers of the file formats share: one record, one step, one byte order.

use crate::base::{LinkType, Timestamp};

/// One packet record at the start of the bytes that were stepped on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Offset of the packet within the record.
    pub(super) data: usize,
    /// Bytes of the packet that are there.
    pub(super) captured: u32,
    /// Bytes that were on the wire.
    pub(super) original: u32,
    /// Length of the whole record.
    pub(super) total: usize,
    pub(super) time: Timestamp,
    pub(super) link: LinkType,
    /// Counted over the sections of the file.
    pub(super) interface: u32,
}

/// What lies at the start of some bytes of a capture file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A packet.
    Packet(Record),
    /// Something else, `total` bytes long; `odd` says why it should have been a packet.
    Skip { total: usize, odd: Option<&'static str> },
    /// So many bytes are needed to tell.
    Need(usize),
    /// Nothing that can be right, and why.
    Bad(&'static str),
}

/// Byte order of a file or section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// The first `N` 32-bit numbers.
    #[inline]
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let (words, _) = bytes.as_chunks();
        words.first_chunk().map(|words: &[_; N]| words.map(|word| self.u32(word)))
    }

    /// The 16-bit number at `at`.
    #[inline]
    pub(super) fn u16_at(self, bytes: &[u8], at: usize) -> Option<u16> {
        bytes.get(at..)?.first_chunk().map(|chunk| self.u16(*chunk))
    }

    /// The 32-bit number at `at`.
    #[inline]
    pub(super) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        bytes.get(at..)?.first_chunk().map(|chunk| self.u32(*chunk))
    }
}
