//! Microsoft Network Monitor, versions 1 and 2: a header, records without gaps, then tables that
//! this reader does not need.
//!
//! The table of frames at the end would give the order of the records; they are read in the order
//! in which they lie, so that a pipe can be read as well.

use super::record::{self, Link, Order, Record, Step, UNKNOWN_LINK};
use crate::base::{LinkType, Timestamp, limits};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Length of the header of the file.
pub(super) const FILE_HEADER: usize = 128;
/// Where the offsets of the tables stand in it: frames, user data, comments, processes, networks.
const TABLES: [usize; 5] = [24, 32, 40, 48, 56];
/// Nanoseconds from 1601, where Windows counts from, to 1970.
const FROM_1601: i128 = 11_644_473_600_000_000_000;

/// A file of Network Monitor behind its header.
#[derive(Clone, Debug)]
pub(super) struct NetMon {
    /// Major and minor.
    version: (u8, u8),
    /// Where the times count from, in nanoseconds since 1970. The header has local time without a
    /// zone; it is taken for UTC.
    start: i64,
    /// Of all packets, before version 2.1.
    network: u16,
    /// Offset of the first table, where the records end.
    end: u64,
    /// Second of the last packet.
    last: Option<i64>,
}

/// The fixed part of a record.
#[derive(Clone, Copy)]
struct Head {
    /// Since the start of the capture, in nanoseconds.
    elapsed: i64,
    original: u32,
    captured: u32,
}

impl NetMon {
    /// Whether a file that starts with `bytes` claims to be one.
    pub(super) fn has_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(b"GMBU") || bytes.starts_with(b"RTSS")
    }

    /// Reads the file header.
    pub(super) fn open(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let version @ (1 | 2, _) = (header[5], header[4]) else {
            return None;
        };
        let tables = TABLES.iter().filter_map(|at| Order::Little.u32_at(header, *at));
        let end = tables.filter(|offset| *offset as usize >= FILE_HEADER).min();
        Some(Self {
            version,
            start: start(header).unwrap_or_default(),
            network: Order::Little.u16_at(header, 6)?,
            // A capture that was never closed has no tables yet.
            end: end.map_or(u64::MAX, u64::from),
            last: None,
        })
    }

    /// What lies at the start of `rest`, which is at `offset` in the file.
    pub(super) fn step(&mut self, rest: &[u8], offset: u64) -> Step {
        if offset >= self.end {
            return match rest.len() {
                0 => Step::Need(1),
                total => Step::Skip { total, odd: None },
            };
        }
        let Some(head) = self.head(rest) else {
            return Step::Need(self.header());
        };
        if head.captured as usize > limits::PACKET_BYTES {
            return Step::Bad("a record longer than any packet");
        }
        let total = self.total(head);
        let Some(record) = rest.get(..total) else {
            return Step::Need(total);
        };
        let trailer = &record[self.header() + head.captured as usize..];
        let network = Order::Little.u16_at(trailer, 0).unwrap_or(self.network);
        if is_metadata(network) {
            return Step::Skip { total, odd: None };
        }
        let time = utc(trailer).unwrap_or(self.start.saturating_add(head.elapsed));
        self.last = Some(time / 1_000_000_000);
        let radio = radio_header(network, &record[self.header()..]).min(head.captured);
        Step::Packet(Record {
            data: self.header() + radio as usize,
            captured: head.captured - radio,
            original: head.original.saturating_sub(radio),
            total,
            time: Timestamp::from_nanos(time),
            link: link(network),
            interface: 0,
        })
    }

    /// The first offset behind the start of `rest` where records go on.
    pub(super) fn find(&self, rest: &[u8], ended: bool) -> Option<usize> {
        record::find_chain(rest, self.last, ended, |rest| {
            let head = self.head(rest)?;
            let likely = head.captured > 0 && head.captured <= head.original && head.original <= record::USUAL_LENGTH;
            likely.then(|| Link {
                total: self.total(head),
                seconds: self.start.saturating_add(head.elapsed) / 1_000_000_000,
            })
        })
    }

    /// Length of the header of a record.
    fn header(&self) -> usize {
        if self.version.0 == 1 { 8 } else { 16 }
    }

    /// Length of what follows a packet: its network, then a process, then the time in UTC.
    fn trailer(&self) -> usize {
        match self.version {
            (1, _) | (_, 0) => 0,
            (_, 1) => 2,
            (_, 2) => 6,
            _ => 15,
        }
    }

    fn total(&self, head: Head) -> usize {
        self.header() + head.captured as usize + self.trailer()
    }

    fn head(&self, rest: &[u8]) -> Option<Head> {
        let order = Order::Little;
        if self.version.0 == 1 {
            return Some(Head {
                elapsed: i64::from(order.u32_at(rest, 0)?) * 1_000_000,
                original: order.u16_at(rest, 4)?.into(),
                captured: order.u16_at(rest, 6)?.into(),
            });
        }
        let [low, high, original, captured] = order.words(rest)?;
        // Microseconds, negative for packets from before the nominal start.
        let elapsed = (u64::from(high) << 32 | u64::from(low)) as i64;
        Some(Head { elapsed: elapsed.saturating_mul(1000), original, captured })
    }
}

/// The start of the capture in nanoseconds since 1970.
fn start(header: &[u8; FILE_HEADER]) -> Option<i64> {
    let field = |number: usize| {
        let value = Order::Little.u16_at(header, 8 + 2 * number)?;
        i16::try_from(value).ok()
    };
    // Field 2 is the day of the week.
    let small = |number| i8::try_from(field(number)?).ok();
    let nanos = i32::from(field(7)?).checked_mul(1_000_000)?;
    let (day, hour, minute, second) = (small(3)?, small(4)?, small(5)?, small(6)?);
    let local = DateTime::new(field(0)?, small(1)?, day, hour, minute, second, nanos).ok()?;
    let utc = local.to_zoned(TimeZone::UTC).ok()?;
    i64::try_from(utc.timestamp().as_nanosecond()).ok()
}

/// The time in the trailer of version 2.3: units of 100 ns since 1601.
fn utc(trailer: &[u8]) -> Option<i64> {
    let ticks = u64::from_le_bytes(*trailer.get(6..)?.first_chunk()?);
    i64::try_from(i128::from(ticks) * 100 - FROM_1601).ok()
}

/// Records that Wireshark does not number either: reassembled payload, lists of adapters and names.
fn is_metadata(network: u16) -> bool {
    (0xfffc..=0xfffe).contains(&network)
}

fn link(network: u16) -> LinkType {
    match network {
        // Captures of tunnels have 0 on packets with an Ethernet header.
        0 | 1 => LinkType(1),
        2 => LinkType(6),
        3 => LinkType(10),
        // 802.11 behind a header that is taken off, and "WiFi message".
        6 | 0xe080 => LinkType(105),
        // Tunnel, wireless WAN, raw IP.
        7..=9 => LinkType(101),
        0xe081..=0xe08a => UNKNOWN_LINK,
        // Converted from pcap.
        0xe000..=0xefff => LinkType(network & 0xfff),
        _ => UNKNOWN_LINK,
    }
}

/// Length of what stands before the 802.11 header: a version, the length, facts of the receiver.
fn radio_header(network: u16, packet: &[u8]) -> u32 {
    match network {
        6 => Order::Little.u16_at(packet, 1).unwrap_or_default().into(),
        _ => 0,
    }
}
