//! pcapng blocks (draft-ietf-opsawg-pcapng): sections, interfaces, packets, statistics, secrets.
//!
//! The three packet blocks are read by hand: they are the hot path, their fixed part is all that
//! is needed, and the library does not know the obsolete one. The blocks with options are left to
//! it, but the numbers in options are decoded here, since it takes them for little endian.

use super::interface::{Interface, interface_info, number, text, words};
use super::options::{Options, keep_names};
use super::record::{Order, Record, Step};
use super::{Comment, InterfaceInfo, Maker, Names};
use crate::base::{Timestamp, limits};
use pcap_parser::pcapng::{
    DecryptionSecretsBlock, InterfaceStatisticsBlock, SecretsType, parse_decryptionsecretsblock_be,
    parse_decryptionsecretsblock_le, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_interfacestatisticsblock_be, parse_interfacestatisticsblock_le,
};

/// Type and length before the body of a block, and the length again behind it.
const FRAMING: usize = 12;
/// First bytes of a section header; the same in both byte orders.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Where the options of a section header begin: behind byte order, version and length of the section.
const SECTION_OPTIONS: usize = 24;
/// Room for comments and other options around the largest packet.
const BLOCK_BYTES: usize = limits::PACKET_BYTES + (1 << 20);
/// Blocks that are longer than this are no way back into a damaged file.
const RESYNC_BLOCK: usize = 1 << 18;

mod block {
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OBSOLETE_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const NAMES: u32 = 4;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const SYSTEMD_JOURNAL: u32 = 9;
    pub(super) const SECRETS: u32 = 0xa;
    pub(super) const CUSTOM: u32 = 0xbad;
    pub(super) const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;
}

mod option {
    pub(super) const COMMENT: u16 = 1;
    pub(super) const HARDWARE: u16 = 2;
    pub(super) const OS: u16 = 3;
    pub(super) const APPLICATION: u16 = 4;
    pub(super) const PACKET_DROPPED: u16 = 4;
    pub(super) const STATISTICS_DROPPED: u16 = 5;
    pub(super) const STATISTICS_OS_DROPPED: u16 = 7;
}

/// A pcapng file between two blocks.
#[derive(Clone, Debug)]
pub(super) struct PcapNg {
    order: Order,
    /// Of the current section.
    interfaces: Vec<Interface>,
    /// Interfaces of the sections before.
    before: u32,
    /// Of all sections, as many as are kept.
    described: Vec<InterfaceInfo>,
    /// Interfaces before this one have been told for good.
    first_open: usize,
    /// Drops of the sections before.
    dropped: u64,
    /// So far.
    packets: u64,
    /// Time of the last packet that had one.
    last: Timestamp,
    secrets: Vec<u8>,
    names: Names,
    comments: Vec<Comment>,
    maker: Maker,
}

impl PcapNg {
    /// Whether a file that starts with `bytes` claims to be one.
    pub(super) fn has_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(&SECTION_HEADER.to_le_bytes()) && bytes.get(8..).and_then(section_order).is_some()
    }

    /// A file of which nothing has been read.
    pub(super) fn new() -> Self {
        Self {
            order: Order::Little,
            interfaces: Vec::new(),
            before: 0,
            described: Vec::new(),
            first_open: 0,
            dropped: 0,
            packets: 0,
            last: Timestamp::default(),
            secrets: Vec::new(),
            names: Names::default(),
            comments: Vec::new(),
            maker: Maker::default(),
        }
    }

    /// Packets that interfaces, or the system behind them, say they dropped; so far.
    pub(super) fn dropped(&self) -> u64 {
        self.interfaces.iter().fold(self.dropped, |sum, interface| sum.saturating_add(interface.drops()))
    }

    /// Brings `told`, which this has filled before, up to date: interfaces over all sections.
    pub(super) fn tell_interfaces(&mut self, told: &mut Vec<InterfaceInfo>) {
        let before = told.len().min(self.first_open);
        self.settle();
        told.extend_from_slice(self.described.get(told.len()..).unwrap_or_default());
        for (told, now) in told.iter_mut().zip(&self.described).skip(before) {
            (told.packets, told.drops) = (now.packets, now.drops);
        }
        self.first_open = self.before as usize;
    }

    /// What the sections so far were made with.
    pub(super) fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Takes the counts of this section's interfaces over.
    fn settle(&mut self) {
        let described = self.described.get_mut(self.before as usize..).unwrap_or_default();
        for (described, interface) in described.iter_mut().zip(&self.interfaces) {
            (described.packets, described.drops) = (interface.packets, interface.drops());
        }
    }

    /// Names of addresses since the last call.
    pub(super) fn take_names(&mut self) -> Names {
        std::mem::take(&mut self.names)
    }

    /// Comments on packets since the last call.
    pub(super) fn take_comments(&mut self) -> Vec<Comment> {
        std::mem::take(&mut self.comments)
    }

    /// TLS key log lines since the last call.
    pub(super) fn take_secrets(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.secrets)
    }

    /// What lies at the start of `rest`.
    #[inline]
    pub(super) fn step(&mut self, rest: &[u8]) -> Step {
        let (kind, total) = match self.frame(rest) {
            Ok(frame) => frame,
            Err(step) => return step,
        };
        let body = &rest[8..total - 4];
        match kind {
            block::ENHANCED_PACKET => self.enhanced_packet(body, total),
            block::SIMPLE_PACKET => self.simple_packet(body, total),
            block::OBSOLETE_PACKET => self.obsolete_packet(body, total),
            _ => Step::Skip { total, odd: self.other(kind, &rest[..total]) },
        }
    }

    /// The first offset behind the start of `rest` where a whole block lies.
    pub(super) fn find(&self, rest: &[u8]) -> Option<usize> {
        (1..rest.len()).find(|&at| self.is_block(&rest[at..]))
    }

    /// Type and total length of the block at the start of `rest`, all of which is there.
    #[inline]
    fn frame(&mut self, rest: &[u8]) -> Result<(u32, usize), Step> {
        let Some([kind, length, _]) = self.order.words(rest) else {
            return Err(Step::Need(FRAMING));
        };
        let (order, length) = match kind {
            SECTION_HEADER => {
                let order = section_order(&rest[8..]).ok_or(Step::Bad("a section header without a byte order"))?;
                (order, order.u32_at(rest, 4).unwrap_or_default())
            }
            _ => (self.order, length),
        };
        let total = length as usize;
        if !(FRAMING..=BLOCK_BYTES).contains(&total) || !total.is_multiple_of(4) {
            return Err(Step::Bad("a block with an impossible length"));
        }
        if rest.len() < total {
            return Err(Step::Need(total));
        }
        if order.u32_at(rest, total - 4) != Some(total as u32) {
            return Err(Step::Bad("a block whose two lengths differ"));
        }
        if kind == SECTION_HEADER {
            self.start_section(order);
        }
        Ok((kind, total))
    }

    /// Interfaces are numbered from 0 again in each section.
    fn start_section(&mut self, order: Order) {
        self.settle();
        self.dropped = self.dropped();
        self.before = self.before.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        self.order = order;
    }

    fn enhanced_packet(&mut self, body: &[u8], total: usize) -> Step {
        let Some([id, high, low, captured, original]) = self.order.words(body) else {
            return Step::Skip { total, odd: Some("a packet block that is too short") };
        };
        self.packet(body, total, id, Fixed { len: 20, high, low, captured, original })
    }

    fn obsolete_packet(&mut self, body: &[u8], total: usize) -> Step {
        let Some([_, high, low, captured, original]) = self.order.words(body) else {
            return Step::Skip { total, odd: Some("a packet block that is too short") };
        };
        let id = self.order.u16_at(body, 0).unwrap_or_default();
        let dropped = self.order.u16_at(body, 2).filter(|count| *count != u16::MAX).unwrap_or_default();
        self.miss(id.into(), dropped.into());
        self.packet(body, total, u32::from(id), Fixed { len: 20, high, low, captured, original })
    }

    #[inline]
    fn packet(&mut self, body: &[u8], total: usize, id: u32, fixed: Fixed) -> Step {
        let Some(interface) = self.interfaces.get_mut(id as usize) else {
            return Step::Skip { total, odd: Some("a packet of an interface that was not described") };
        };
        let time = interface.time(u64::from(fixed.high) << 32 | u64::from(fixed.low));
        let link = interface.link;
        interface.packets += 1;
        self.last = time;
        self.packets += 1;
        // A length beyond the block is a packet that was cut.
        let captured = fixed.captured.min((body.len() - fixed.len) as u32);
        let options = fixed.len + (captured as usize).next_multiple_of(4);
        if options < body.len() {
            self.packet_options(id, &body[options..]);
        }
        Step::Packet(Record {
            data: 8 + fixed.len,
            captured,
            original: fixed.original,
            total,
            time,
            link,
            interface: self.before.saturating_add(id),
        })
    }

    /// What people wrote about the packet just counted, and what was dropped before it.
    fn packet_options(&mut self, id: u32, options: &[u8]) {
        for (code, value) in Options::new(self.order, options) {
            match (code, value.first_chunk()) {
                (option::PACKET_DROPPED, Some(count)) => self.miss(id, self.order.u64(*count)),
                (option::COMMENT, _) if self.comments.len() < limits::CAPTURE_COMMENTS => {
                    self.comments.push(Comment {
                        frame: u32::try_from(self.packets).unwrap_or(u32::MAX),
                        text: text(value, limits::COMMENT_BYTES),
                    });
                }
                _ => {}
            }
        }
    }

    /// Counts packets that were dropped between two of interface `id`.
    fn miss(&mut self, id: u32, count: u64) {
        if let Some(interface) = self.interfaces.get_mut(id as usize) {
            interface.missed = interface.missed.saturating_add(count);
        }
    }

    /// A simple packet has no time: it gets that of the packet before, which keeps the order.
    fn simple_packet(&mut self, body: &[u8], total: usize) -> Step {
        let (Some(original), Some(interface)) = (self.order.u32_at(body, 0), self.interfaces.first_mut()) else {
            return Step::Skip { total, odd: Some("a simple packet without an interface") };
        };
        let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
        self.packets += 1;
        interface.packets += 1;
        Step::Packet(Record {
            data: 12,
            captured: original.min(snap).min((body.len() - 4) as u32),
            original,
            total,
            time: self.last,
            link: interface.link,
            interface: self.before,
        })
    }

    /// A block that is no packet; why it was passed over, if it should not have been.
    fn other(&mut self, kind: u32, block: &[u8]) -> Option<&'static str> {
        match kind {
            block::INTERFACE => self.describe_interface(block),
            block::STATISTICS => self.count_drops(block),
            block::SECRETS => self.keep_secrets(block),
            block::NAMES => {
                keep_names(self.order, &block[8..block.len() - 4], &mut self.names);
                None
            }
            SECTION_HEADER => {
                self.keep_maker(block.get(SECTION_OPTIONS..block.len() - 4).unwrap_or_default());
                None
            }
            block::SYSTEMD_JOURNAL | block::CUSTOM | block::CUSTOM_NOT_COPIED => None,
            _ => Some("a block of an unknown type"),
        }
    }

    fn keep_maker(&mut self, options: &[u8]) {
        for (code, value) in Options::new(self.order, options) {
            let (kept, value) = match code {
                option::COMMENT => (&mut self.maker.comment, Some(text(value, limits::COMMENT_BYTES))),
                option::HARDWARE => (&mut self.maker.hardware, words(value)),
                option::OS => (&mut self.maker.os, words(value)),
                option::APPLICATION => (&mut self.maker.application, words(value)),
                _ => continue,
            };
            if kept.is_none() {
                *kept = value;
            }
        }
    }

    fn describe_interface(&mut self, block: &[u8]) -> Option<&'static str> {
        if self.interfaces.len() >= limits::CAPTURE_INTERFACES {
            return Some("more interfaces than one file may describe");
        }
        let parsed = match self.order {
            Order::Little => parse_interfacedescriptionblock_le(block),
            Order::Big => parse_interfacedescriptionblock_be(block),
        };
        match parsed {
            Ok((_, description)) => {
                if self.described.len() < limits::CAPTURE_INTERFACES {
                    self.described.push(interface_info(&description));
                }
                self.interfaces.push(Interface::new(&description, self.order));
                None
            }
            Err(_) => Some("an interface description that does not parse"),
        }
    }

    /// Statistics count from the start of the capture, so the last ones stand.
    fn count_drops(&mut self, block: &[u8]) -> Option<&'static str> {
        let parsed = match self.order {
            Order::Little => parse_interfacestatisticsblock_le(block),
            Order::Big => parse_interfacestatisticsblock_be(block),
        };
        let Ok((_, InterfaceStatisticsBlock { if_id, options, .. })) = parsed else {
            return Some("interface statistics that do not parse");
        };
        let count = |code| number(&options, code, self.order).unwrap_or_default();
        let dropped = count(option::STATISTICS_DROPPED).saturating_add(count(option::STATISTICS_OS_DROPPED));
        match self.interfaces.get_mut(if_id as usize) {
            Some(interface) => {
                interface.dropped = dropped;
                None
            }
            None => Some("statistics of an interface that was not described"),
        }
    }

    fn keep_secrets(&mut self, block: &[u8]) -> Option<&'static str> {
        let parsed = match self.order {
            Order::Little => parse_decryptionsecretsblock_le(block),
            Order::Big => parse_decryptionsecretsblock_be(block),
        };
        let Ok((_, DecryptionSecretsBlock { secrets_type, secrets_len, data, .. })) = parsed else {
            return Some("decryption secrets that do not parse");
        };
        if secrets_type != SecretsType::TlsKeyLog {
            return None;
        }
        let lines = data.get(..secrets_len as usize).unwrap_or(data);
        if self.secrets.len() + lines.len() >= limits::KEY_LOG_BYTES {
            return Some("more decryption secrets than are kept");
        }
        self.secrets.extend_from_slice(lines);
        self.secrets.push(b'\n');
        None
    }

    /// Whether a whole block of a known type lies at the start of `rest`.
    fn is_block(&self, rest: &[u8]) -> bool {
        let order = match self.order.u32_at(rest, 0) {
            Some(SECTION_HEADER) => rest.get(8..).and_then(section_order),
            Some(block::INTERFACE..=block::ENHANCED_PACKET | block::SECRETS) => Some(self.order),
            _ => None,
        };
        order.is_some_and(|order| {
            order.u32_at(rest, 4).is_some_and(|total| {
                let total = total as usize;
                (FRAMING + 8..=RESYNC_BLOCK).contains(&total)
                    && total.is_multiple_of(4)
                    && order.u32_at(rest, total - 4) == Some(total as u32)
            })
        })
    }
}

/// The fixed part of a packet block.
#[derive(Clone, Copy)]
struct Fixed {
    len: usize,
    high: u32,
    low: u32,
    captured: u32,
    original: u32,
}

/// The byte order that the first four bytes behind the framing of a section header tell.
fn section_order(magic: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|order| order.u32_at(magic, 0) == Some(BYTE_ORDER_MAGIC))
}
