//! snoop, the capture program of Solaris (RFC 1761): a header, then padded records, all big endian.

use super::record::{self, Link, Order, Record, Step, UNKNOWN_LINK};
use crate::base::{LinkType, Timestamp, limits};

/// Length of the header of the file.
pub(super) const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 24;
const MAGIC: &[u8] = b"snoop\0\0\0";
/// Versions above 2 are those of the Surveyor analyzers, which differ in the padding only.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=5;
/// Behind a packet comes padding, or a trailer of the capture hardware; both are short.
const PADDING: usize = 256;

/// A snoop file behind its header.
#[derive(Clone, Debug)]
pub(super) struct Snoop {
    link: LinkType,
    /// As of the last record; it counts from the start of the capture.
    dropped: u32,
    /// Second of the last packet.
    last: Option<i64>,
}

impl Snoop {
    /// Whether a file that starts with `bytes` claims to be one.
    pub(super) fn has_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads the file header.
    pub(super) fn open(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let version = Order::Big.u32_at(header, 8)?;
        VERSIONS.contains(&version).then_some(())?;
        Some(Self { link: link(Order::Big.u32_at(header, 12)?), dropped: 0, last: None })
    }

    /// Link type of all packets.
    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// Packets that the capturing side says it dropped; so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.into()
    }

    /// What lies at the start of `rest`.
    pub(super) fn step(&mut self, rest: &[u8]) -> Step {
        let Some([original, captured, total, dropped, seconds, micros]) = Order::Big.words(rest) else {
            return Step::Need(RECORD_HEADER);
        };
        let total = total as usize;
        if captured as usize > limits::PACKET_BYTES || total > limits::PACKET_BYTES {
            return Step::Bad("a record longer than any packet");
        }
        if total < RECORD_HEADER + captured as usize {
            return Step::Bad("a packet longer than its record");
        }
        if rest.len() < total {
            return Step::Need(total);
        }
        self.dropped = self.dropped.max(dropped);
        self.last = Some(seconds.into());
        let nanos = i64::from(seconds) * 1_000_000_000 + i64::from(micros) * 1000;
        Step::Packet(Record {
            data: RECORD_HEADER,
            captured,
            original,
            total,
            time: Timestamp::from_nanos(nanos),
            link: self.link,
            interface: 0,
        })
    }

    /// The first offset behind the start of `rest` where records go on.
    pub(super) fn find(&self, rest: &[u8], ended: bool) -> Option<usize> {
        record::find_chain(rest, self.last, ended, |rest| {
            let [original, captured, total, _, seconds, micros] = Order::Big.words(rest)?;
            let least = RECORD_HEADER + captured as usize;
            let likely = captured > 0
                && captured <= original
                && original <= record::USUAL_LENGTH
                && (least..least + PADDING).contains(&(total as usize))
                && micros < 1_000_000;
            likely.then_some(Link { total: total as usize, seconds: seconds.into() })
        })
    }
}

/// The link type of a DLPI media type (RFC 1761, and those that Solaris and Surveyor added).
fn link(media: u32) -> LinkType {
    match media {
        // 802.3, Ethernet; fast, gigabit and 10 gigabit Ethernet of Surveyor.
        0 | 4 | 10 | 12 | 19 => LinkType(1),
        // Token ring, and the variants of Surveyor.
        2 | 11 | 13 => LinkType(6),
        8 => LinkType(10),
        9 | 14 => LinkType(0),
        16 => LinkType(122),
        // ATM as SunATM cards give it.
        18 => LinkType(123),
        // Between the zones of one Solaris host.
        0x8000_0005 => LinkType(226),
        _ => UNKNOWN_LINK,
    }
}
