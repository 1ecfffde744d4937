//! Classic pcap: a file header, then records of 16 bytes (24 with the modified magic) and a packet.
//!
//! Read by hand: the walk is four numbers a record, and the library at hand copies or refuses some
//! variants. draft-ietf-opsawg-pcap has the format; the variants are those that Wireshark knows.

use super::record::{self, CHAIN_SECONDS, Link, Order, Record, Step, USUAL_LENGTH};
use crate::base::{LinkType, Timestamp, limits};

/// Length of the header of the file in all variants but one.
pub(super) const FILE_HEADER: usize = 24;
/// What every variant of a record header starts with.
const RECORD_HEADER: usize = 16;
/// A classic pcap file behind its header.
#[derive(Clone, Debug)]
pub(super) struct Pcap {
    variant: Variant,
    record_header: usize,
    /// What else the length of the record header may be; none once a record has told.
    others: &'static [usize],
    /// The two lengths of a record may stand in either order.
    old: bool,
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
        let mut variant = variant(*header.first_chunk()?)?;
        let order = variant.order;
        let version = (order.u16_at(header, 4)?, order.u16_at(header, 6)?);
        let snap = order.u32_at(header, 16)?;
        // The upper bits tell the length of the frame check sequence.
        let mut link = LinkType(order.u32_at(header, 20)? as u16);
        if let ((2, 2), Some(aix)) = (version, aix_link(link)) {
            link = aix;
            variant.unit = 1;
        }
        let [record_header, others @ ..] = variant.record_headers else {
            return None;
        };
        let believed = if snap as usize > limits::PACKET_BYTES { 0 } else { snap };
        Some(Self {
            variant,
            record_header: *record_header,
            others,
            // Up to 2.2 the original length came first, in some of 2.3 too, and in DG/UX's 543.0.
            old: version < (2, 4) || version == (543, 0),
            usual: believed.max(USUAL_LENGTH),
            link,
            last: None,
            start: *header.first_chunk()?,
        })
    }

    /// Length of the header of the file.
    pub(super) fn file_header(&self) -> usize {
        self.variant.file_header
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
        if let [_, ..] = self.others
            && let Err(need) = self.settle(rest, head, ended)
        {
            return need;
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
        let nanos = i64::from(head.seconds) * 1_000_000_000 + i64::from(head.fraction) * i64::from(self.variant.unit);
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
        let total = self.file_header();
        if rest.len() < total {
            return Step::Need(total);
        }
        Step::Skip { total, odd: None }
    }

    /// Tells the length of the record header by the record behind the first one, since some
    /// systems wrote longer headers under the usual magic.
    fn settle(&mut self, rest: &[u8], first: Head, ended: bool) -> Result<(), Step> {
        if self.is_ordinary(first) {
            let longest = self.others.iter().copied().fold(self.record_header, usize::max);
            let need = longest + first.captured as usize + RECORD_HEADER;
            let lengths = [self.record_header].into_iter().chain(self.others.iter().copied());
            for length in lengths {
                match self.goes_on(rest, first, length, ended) {
                    Some(true) => {
                        self.record_header = length;
                        break;
                    }
                    Some(false) => {}
                    None => return Err(Step::Need(need)),
                }
            }
        }
        self.others = &[];
        Ok(())
    }

    /// Whether behind the first record, with a header of `length`, comes another one or the end;
    /// `None` if that cannot be told yet.
    fn goes_on(&self, rest: &[u8], first: Head, length: usize, ended: bool) -> Option<bool> {
        let next = match rest.get(length + first.captured as usize..) {
            None | Some([]) if !ended => return None,
            None => return Some(false),
            Some([]) => return Some(true),
            Some(next) => next,
        };
        match self.head(next) {
            None if !ended => None,
            None => Some(false),
            Some(next) => Some(self.is_ordinary(next) && is_near(first.seconds, next.seconds)),
        }
    }

    /// The first offset behind the start of `rest` where records go on.
    pub(super) fn find(&self, rest: &[u8], ended: bool) -> Option<usize> {
        record::find_chain(rest, self.last.map(i64::from), ended, |rest| {
            let head = self.head(rest)?;
            let likely = head.captured > 0 && head.original <= self.usual && self.is_ordinary(head);
            likely.then_some(Link { total: self.record_header + head.captured as usize, seconds: head.seconds.into() })
        })
    }

    #[inline]
    fn head(&self, rest: &[u8]) -> Option<Head> {
        let [seconds, fraction, mut captured, mut original] = self.variant.order.words(rest)?;
        if self.old && captured > original {
            (captured, original) = (original, captured);
        }
        Some(Head { seconds, fraction, captured, original })
    }

    /// Whether the header needs no proof by what follows.
    fn is_ordinary(&self, head: Head) -> bool {
        head.captured <= self.usual && head.captured <= head.original && self.has_fraction(head)
    }

    fn has_fraction(&self, head: Head) -> bool {
        u64::from(head.fraction) * u64::from(self.variant.unit) < 1_000_000_000
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
}

impl Head {
    /// A hole in a sparse file, or a block that was never written.
    fn is_blank(self) -> bool {
        (self.seconds, self.fraction, self.captured, self.original) == (0, 0, 0, 0)
    }
}

/// What the magic number tells.
#[derive(Clone, Copy, Debug)]
struct Variant {
    order: Order,
    /// Nanoseconds in one unit of the fraction of a second.
    unit: u32,
    file_header: usize,
    /// Possible lengths of a record header, the likeliest first.
    record_headers: &'static [usize],
}

/// The usual one; Nokia's, with four bytes more; and that of Red Hat 6.1, with the interface index,
/// the protocol and the packet type that Alexey Kuznetsov added.
const USUAL: &[usize] = &[RECORD_HEADER, 20, 24];
/// Kuznetsov's own magic, and SuSE 6.3's with the numbers of two processors.
const MODIFIED: &[usize] = &[24, 28];

fn variant(magic: [u8; 4]) -> Option<Variant> {
    let of = |order, unit, file_header, record_headers| Some(Variant { order, unit, file_header, record_headers });
    [Order::Little, Order::Big].into_iter().find_map(|order| match order.u32(magic) {
        0xa1b2_c3d4 => of(order, 1000, FILE_HEADER, USUAL),
        0xa1b2_3c4d => of(order, 1, FILE_HEADER, &[RECORD_HEADER]),
        0xa1b2_cd34 => of(order, 1000, FILE_HEADER, MODIFIED),
        // IXIA's testers, by hardware and by software, also write the length of all records.
        0x1c00_01ac => of(order, 1, FILE_HEADER + 4, &[RECORD_HEADER]),
        0x1c00_01ab => of(order, 1000, FILE_HEADER + 4, &[RECORD_HEADER]),
        _ => None,
    })
}

/// AIX writes nanoseconds, and the interface types of RFC 1573 instead of link types.
fn aix_link(link: LinkType) -> Option<LinkType> {
    match link.0 {
        6 => Some(LinkType(1)),
        9 => Some(LinkType(6)),
        15 => Some(LinkType(10)),
        24 => Some(LinkType(0)),
        _ => None,
    }
}

fn is_near(one: u32, other: u32) -> bool {
    u64::from(one.abs_diff(other)) <= CHAIN_SECONDS
}
