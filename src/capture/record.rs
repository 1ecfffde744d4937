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

/// Link type of packets whose format has a number for it that means nothing to us.
pub(super) const UNKNOWN_LINK: LinkType = LinkType(u16::MAX);
/// The snap length that capture programs take for "no limit"; longer packets need more proof.
pub(super) const USUAL_LENGTH: u32 = 262_144;
/// Records in a row that make up a way back into a damaged file, if they go on from the last time.
pub(super) const CHAIN: usize = 3;
/// The same, if only they themselves agree on the time: the last one may come from the damage.
pub(super) const LONG_CHAIN: usize = 6;
/// How far apart in time two neighbours may be to serve as such a way back.
pub(super) const CHAIN_SECONDS: u64 = 86_400;

/// A record that may serve as a way back into a damaged file.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) total: usize,
    pub(super) seconds: i64,
}

/// The first offset behind the start of `rest` where records go on: several in a row that `link`
/// takes for good and that are near in time, to each other and to `last`.
pub(super) fn find_chain(
    rest: &[u8],
    last: Option<i64>,
    ended: bool,
    link: impl Fn(&[u8]) -> Option<Link>,
) -> Option<usize> {
    (1..rest.len()).find(|&at| {
        let rest = &rest[at..];
        is_chain(rest, CHAIN, last, ended, &link) || is_chain(rest, LONG_CHAIN, None, ended, &link)
    })
}

/// Whether `rest` starts with `length` good records near in time, or with fewer up to the end.
fn is_chain(
    mut rest: &[u8],
    length: usize,
    mut near: Option<i64>,
    ended: bool,
    link: &impl Fn(&[u8]) -> Option<Link>,
) -> bool {
    for linked in 0..length {
        if rest.is_empty() {
            return ended;
        }
        let is_near = |link: &Link| near.is_none_or(|near| near.abs_diff(link.seconds) <= CHAIN_SECONDS);
        let Some(link) = link(rest).filter(is_near) else {
            return false;
        };
        near = Some(link.seconds);
        match rest.get(link.total..) {
            Some(next) => rest = next,
            None => return ended && linked > 0,
        }
    }
    true
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
