//! Classic pcap: a file header, then records of 16 bytes (24 with the modified magic) and a packet.
//!
//! Read by hand: the walk is four numbers a record, and the library at hand copies or refuses some
//! variants. draft-ietf-opsawg-pcap has the format.

use super::record::{Order, Record, Step};
use crate::base::{LinkType, Timestamp, limits};

/// Length of the header of the file.
pub(super) const FILE_HEADER: usize = 24;
/// What every variant of a record header starts with.
const RECORD_HEADER: usize = 16;
/// The modified format of Alexey Kuznetsov adds an interface index, a protocol and a packet type.
const MODIFIED_RECORD_HEADER: usize = 24;
/// The snap length that capture programs take for "no limit"; longer packets need more proof.
const USUAL_LENGTH: u32 = 262_144;
/// Records in a row that make up a way back into a damaged file, if they go on from the last time.
const CHAIN: usize = 3;
/// The same, if only they themselves agree on the time: the last one may come from the damage.
const LONG_CHAIN: usize = 6;
/// How far apart in time two neighbours may be to serve as such a way back.
const CHAIN_SECONDS: u32 = 86_400;

/// A classic pcap file behind its header.
#[derive(Clone, Debug)]
pub(super) struct Pcap {
    order: Order,
    record_header: usize,
    /// Nanoseconds in one unit of the fraction of a second.
    unit: u32,
    /// The longest packet that needs no further proof.
    usual: u32,
    link: LinkType,
    /// Second of the last packet that was in order.
    last: Option<u32>,
    /// Magic and version, to know another file that was appended.
    start: [u8; 8],
}

/// The part of a record header that all variants have.
#[derive(Clone, Copy)]
struct Head {
    seconds: u32,
    fraction: u32,
    captured: u32,
    original: u32,
}

impl Pcap {
    /// Whether a file that starts with `bytes` claims to be one.
    pub(super) fn has_magic(bytes: &[u8]) -> bool {
        bytes.first_chunk().is_some_and(|magic| variant(*magic).is_some())
    }

    /// Reads the file header.
    pub(super) fn open(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let (order, unit, record_header) = variant(*header.first_chunk()?)?;
        let snap = order.u32_at(header, 16)?;
        let believed = if snap as usize > limits::PACKET_BYTES { 0 } else { snap };
        Some(Self {
            order,
            record_header,
            unit,
            usual: believed.max(USUAL_LENGTH),
            // The upper bits tell the length of the frame check sequence.
            link: LinkType(order.u32_at(header, 20)? as u16),
            last: None,
            start: *header.first_chunk()?,
        })
    }

    /// Link type of all packets.
    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// What lies at the start of `rest`; `ended` when no more bytes will follow it.
    #[inline]
    pub(super) fn step(&mut self, rest: &[u8], ended: bool) -> Step {
        let Some(head) = self.head(rest) else {
            return Step::Need(RECORD_HEADER);
        };
        if rest.starts_with(&self.start) {
            return self.restart(rest);
        }
        if head.captured as usize > limits::PACKET_BYTES {
            return Step::Bad("a record longer than any packet");
        }
        if head.is_blank() {
            return Step::Bad("zeros where a record should be");
        }
        let total = self.record_header + head.captured as usize;
        if self.is_ordinary(head) {
            self.last = Some(head.seconds);
        } else if let Some(step) = self.doubt(rest, total, ended) {
            return step;
        }
        if rest.len() < total {
            return Step::Need(total);
        }
        let nanos = i64::from(head.seconds) * 1_000_000_000 + i64::from(head.fraction) * i64::from(self.unit);
        Step::Packet(Record {
            data: self.record_header,
            captured: head.captured,
            original: head.original,
            total,
            time: Timestamp::from_nanos(nanos),
            link: self.link,
            interface: 0,
        })
    }

    /// The header of another file: `cat` is a common way to join captures.
    fn restart(&mut self, rest: &[u8]) -> Step {
        let Some(header) = rest.first_chunk() else {
            return Step::Need(FILE_HEADER);
        };
        if let Some(next) = Self::open(header) {
            *self = next;
        }
        Step::Skip { total: FILE_HEADER, odd: None }
    }

    /// The first offset behind the start of `rest` where records go on.
    pub(super) fn find(&self, rest: &[u8], ended: bool) -> Option<usize> {
        (1..rest.len()).find(|&at| {
            let rest = &rest[at..];
            self.is_chain(rest, CHAIN, self.last, ended) || self.is_chain(rest, LONG_CHAIN, None, ended)
        })
    }

    #[inline]
    fn head(&self, rest: &[u8]) -> Option<Head> {
        let [seconds, fraction, captured, original] = self.order.words(rest)?;
        Some(Head { seconds, fraction, captured, original })
    }

    /// Whether the header needs no proof by what follows.
    fn is_ordinary(&self, head: Head) -> bool {
        head.captured <= self.usual && head.captured <= head.original && self.has_fraction(head)
    }

    fn has_fraction(&self, head: Head) -> bool {
        u64::from(head.fraction) * u64::from(self.unit) < 1_000_000_000
    }

    /// An odd record is believed when another one, or the end of the file, follows it. The step to
    /// take instead, if not.
    fn doubt(&self, rest: &[u8], total: usize, ended: bool) -> Option<Step> {
        let believed = match rest.get(total..) {
            Some(next) => match self.head(next) {
                Some(next) => next.captured <= self.usual,
                None if ended => true,
                None => return Some(Step::Need(total + RECORD_HEADER)),
            },
            None if ended => false,
            None => return Some(Step::Need(total + RECORD_HEADER)),
        };
        (!believed).then_some(Step::Bad("a record header that cannot be right"))
    }

    /// Whether `rest` starts with `length` good records near in time, or with fewer up to the end.
    fn is_chain(&self, mut rest: &[u8], length: usize, mut near: Option<u32>, ended: bool) -> bool {
        for linked in 0..length {
            if rest.is_empty() {
                return ended;
            }
            let Some(head) = self.head(rest).filter(|head| self.is_link(*head, near)) else {
                return false;
            };
            near = Some(head.seconds);
            match rest.get(self.record_header + head.captured as usize..) {
                Some(next) => rest = next,
                None => return ended && linked > 0,
            }
        }
        true
    }

    fn is_link(&self, head: Head, near: Option<u32>) -> bool {
        head.captured > 0
            && head.original <= self.usual
            && self.is_ordinary(head)
            && near.is_none_or(|near| near.abs_diff(head.seconds) <= CHAIN_SECONDS)
    }
}

impl Head {
    /// A hole in a sparse file, or a block that was never written.
    fn is_blank(self) -> bool {
        (self.seconds, self.fraction, self.captured, self.original) == (0, 0, 0, 0)
    }
}

/// Byte order, nanoseconds in a unit of the fraction and length of a record header.
fn variant(magic: [u8; 4]) -> Option<(Order, u32, usize)> {
    [Order::Little, Order::Big].into_iter().find_map(|order| match order.u32(magic) {
        0xa1b2_c3d4 => Some((order, 1000, RECORD_HEADER)),
        0xa1b2_3c4d => Some((order, 1, RECORD_HEADER)),
        0xa1b2_cd34 => Some((order, 1000, MODIFIED_RECORD_HEADER)),
        _ => None,
    })
}
