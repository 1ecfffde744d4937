//! Interfaces of pcapng: their clocks, what they are called, what they lost.

use super::InterfaceInfo;
use super::record::Order;
use crate::base::{LinkType, Timestamp};
use pcap_parser::pcapng::{InterfaceDescriptionBlock, PcapNGOption};

mod option {
    pub(super) const NAME: u16 = 2;
    pub(super) const DESCRIPTION: u16 = 3;
    pub(super) const TIME_RESOLUTION: u16 = 9;
    pub(super) const TIME_OFFSET: u16 = 14;
}

/// One interface of a section.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    pub(super) snap: u32,
    clock: Clock,
    /// Nanoseconds to add to every time.
    offset: i64,
    /// As the last statistics say.
    pub(super) dropped: u64,
    /// As its packets say.
    pub(super) missed: u64,
    pub(super) packets: u64,
}

/// What one tick of an interface's clock is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Clock {
    /// So many nanoseconds.
    Nanos(u64),
    /// 1/divisor of a second, where that is not a whole number of nanoseconds.
    Fraction(u128),
    /// 2^-n seconds.
    Binary(u8),
}

impl Interface {
    pub(super) fn new(description: &InterfaceDescriptionBlock<'_>, order: Order) -> Self {
        let options = &description.options;
        let resolution = find(options, option::TIME_RESOLUTION).and_then(<[u8]>::first);
        let seconds = number(options, option::TIME_OFFSET, order).unwrap_or_default() as i64;
        Self {
            link: LinkType(description.linktype.0 as u16),
            snap: description.snaplen,
            clock: Clock::new(resolution.copied().unwrap_or(6)),
            offset: seconds.saturating_mul(1_000_000_000),
            dropped: 0,
            missed: 0,
            packets: 0,
        }
    }

    /// Packets that were dropped: two accounts of the same loss, of which either may be missing.
    pub(super) fn drops(&self) -> u64 {
        self.dropped.max(self.missed)
    }

    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Timestamp {
        Timestamp::from_nanos(self.clock.nanos(ticks).saturating_add(self.offset))
    }
}

impl Clock {
    /// From if_tsresol: a power of 10, or of 2 with the highest bit set.
    fn new(resolution: u8) -> Self {
        match resolution {
            0..=9 => Self::Nanos(10_u64.pow(9 - u32::from(resolution))),
            // 10^38 is the largest power that fits; clocks finer than that do not exist.
            10..=0x7f => Self::Fraction(10_u128.pow(u32::from(resolution).min(38))),
            0x80.. => Self::Binary(resolution & 0x7f),
        }
    }

    #[inline]
    fn nanos(self, ticks: u64) -> i64 {
        let exact = u128::from(ticks) * 1_000_000_000;
        match self {
            Self::Nanos(unit) => i64::try_from(ticks.saturating_mul(unit)).unwrap_or(i64::MAX),
            Self::Fraction(divisor) => i64::try_from(exact / divisor).unwrap_or(i64::MAX),
            Self::Binary(shift) => i64::try_from(exact >> shift).unwrap_or(i64::MAX),
        }
    }
}

/// What its description says for people.
pub(super) fn interface_info(description: &InterfaceDescriptionBlock<'_>) -> InterfaceInfo {
    let words = |code| words(find(&description.options, code)?);
    InterfaceInfo {
        name: words(option::NAME),
        description: words(option::DESCRIPTION),
        link: LinkType(description.linktype.0 as u16),
        packets: 0,
        drops: 0,
    }
}

/// A name or description; they are a line at most.
pub(super) fn words(value: &[u8]) -> Option<String> {
    const LONGEST: usize = 256;
    Some(text(value, LONGEST)).filter(|text| !text.is_empty())
}

/// The text in an option, up to `limit` bytes of it; some writers end it with a zero.
pub(super) fn text(value: &[u8], limit: usize) -> String {
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value.get(..limit).unwrap_or(value)).into_owned()
}

/// The bytes of the first option with `code`.
fn find<'a>(options: &'a [PcapNGOption<'_>], code: u16) -> Option<&'a [u8]> {
    options.iter().find(|option| option.code.0 == code)?.as_bytes().ok()
}

/// The 64-bit number in the first option with `code`.
pub(super) fn number(options: &[PcapNGOption<'_>], code: u16, order: Order) -> Option<u64> {
    find(options, code)?.first_chunk().map(|chunk| order.u64(*chunk))
}
