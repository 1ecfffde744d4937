//! IEEE 802.11 data frames, with the headers that capturing systems put in front of them.

use super::ip::Header;
use super::link::llc;
use super::walk::{self, End, Next, Part};
use super::{Decoded, Skip, SkipKind};
use crate::base::{LinkType, limits};

const LAYER: &str = "802.11";
const WIFI: Next = Next::Link(LinkType(105));

/// First octet of the frame control: version 0, type data.
const DATA: u8 = 0x08;
const VERSION_AND_TYPE: u8 = 0x0f;
const QOS: u8 = 0x80;
const NO_DATA: u8 = 0x40;
/// Second octet.
const BOTH_DS: u8 = 0x03;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// In the QoS control: several frames in one (A-MSDU).
const AGGREGATED: u8 = 0x80;

/// A frame (IEEE 802.11 9.3.2.1): frame control, duration, three addresses, sequence, and a fourth
/// address, QoS control and HT control where the frame control says so.
pub(super) fn frame(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    data(part, false)
}

/// `aligned`: the header was padded to a multiple of 4.
fn data(part: &mut Part<'_>, aligned: bool) -> Result<Next, SkipKind> {
    let [control, flags, ..] = *part.take::<24>(LAYER)?;
    if control & VERSION_AND_TYPE != DATA || control & NO_DATA != 0 {
        return Err(SkipKind::NotIp); // management, control, or a data frame without data
    }
    if flags & PROTECTED != 0 {
        return Err(SkipKind::Encrypted(LAYER));
    }
    let mut length = 24;
    if flags & BOTH_DS == BOTH_DS {
        part.skip(6, LAYER)?;
        length += 6;
    }
    let mut aggregated = false;
    if control & QOS != 0 {
        let [first, _] = *part.take(LAYER)?;
        aggregated = first & AGGREGATED != 0;
        length += 2;
        if flags & ORDER != 0 {
            part.skip(4, LAYER)?;
            length += 4;
        }
    }
    if aligned {
        part.skip(usize::next_multiple_of(length, 4) - length, LAYER)?;
    }
    if aggregated { Ok(Next::Aggregate) } else { llc(part) }
}

/// Several frames in one (A-MSDU, IEEE 802.11 9.3.2.2), for [`Aggregate::frames`].
#[derive(Clone, Copy, Debug)]
pub struct Aggregate<'a> {
    /// All of the captured frame, to count offsets from.
    pub(super) whole: &'a [u8],
    pub(super) rest: Part<'a>,
}

impl<'a> Aggregate<'a> {
    pub(super) fn new(rest: Part<'a>) -> Self {
        Self { whole: rest.bytes, rest }
    }

    /// What each of the frames holds; never an aggregate again.
    pub fn frames(self) -> impl Iterator<Item = Decoded<'a>> {
        let mut rest = self.rest;
        (0..limits::AGGREGATED_FRAMES).map_while(move |_| {
            // Padding and check sums at the end are shorter than a header, or nothing.
            if rest.bytes.len() < SUBFRAME && rest.missing == 0 || rest.bytes.iter().all(|byte| *byte == 0) {
                return None;
            }
            let mut part = rest;
            let mut header = Header::NONE;
            let walked = subframe(&mut rest, &mut part, &mut header);
            Some(match super::finish(self.whole, &part, &header, walked) {
                Decoded::Aggregate(_) => Decoded::Skipped(Skip { kind: SkipKind::TooDeep, offset: 0 }),
                frame => frame,
            })
        })
    }
}

/// Header of a frame in an aggregate: destination, source, length.
const SUBFRAME: usize = 14;

/// Takes the next frame off `rest`; `part` becomes what of it is not understood yet.
fn subframe<'a>(rest: &mut Part<'a>, part: &mut Part<'a>, header: &mut Header) -> Result<End<'a>, SkipKind> {
    // A length that cannot be right leaves nothing to look for the next one in.
    let all = std::mem::replace(rest, Part { bytes: &[], missing: 0 });
    let [.., high, low] = *part.take::<SUBFRAME>(LAYER)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 || length > part.len() {
        return Err(SkipKind::Malformed(LAYER));
    }
    // Each but the last is padded to a multiple of 4.
    let next = (SUBFRAME + length).next_multiple_of(4);
    if let Some(bytes) = all.bytes.get(next..) {
        *rest = Part { bytes, missing: all.missing };
    }
    part.trim(length);
    let next = llc(part)?;
    walk::walk(part, header, next, &mut ())
}

/// Radiotap: version 0, length of the header, which fields are present, the fields; little endian.
pub(super) fn radiotap(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [0, _, l0, l1] = part.peek(0, "radiotap")? else {
        return Err(SkipKind::Malformed("radiotap"));
    };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length < 8 {
        return Err(SkipKind::Malformed("radiotap"));
    }
    let padded = flags(part, length).is_some_and(|flags| flags & 0x20 != 0);
    part.skip(length, "radiotap")?;
    data(part, padded)
}

/// The flags field: the second one, behind the 8-aligned time stamp if that is present.
fn flags(part: &Part<'_>, length: usize) -> Option<u8> {
    const MORE: u32 = 1 << 31;
    let header = part.bytes.get(..length)?;
    let word = |at: usize| header.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
    let present = word(4)?;
    let mut fields = 8;
    let mut last = present;
    while last & MORE != 0 {
        last = word(fields)?;
        fields += 4;
    }
    if present & 1 != 0 {
        fields = fields.next_multiple_of(8) + 8;
    }
    header.get(fields).copied().filter(|_| present & 2 != 0)
}

/// The headers of Prism and AVS drivers, which share link types: the AVS one starts with a magic
/// number and tells its length in network byte order, the other one in that of the host.
pub(super) fn prism_or_avs(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    const AVS: u32 = 0x8021_1000;
    let [m0, m1, m2, m3, l0, l1, l2, l3] = part.peek(0, "Prism")?;
    let length = [l0, l1, l2, l3];
    let (big, little) = (u32::from_be_bytes(length), u32::from_le_bytes(length));
    let is_avs = u32::from_be_bytes([m0, m1, m2, m3]) & 0xffff_f000 == AVS;
    let length = if is_avs { big } else { big.min(little) } as usize;
    if length < 8 {
        return Err(SkipKind::Malformed("Prism"));
    }
    part.skip(length, "Prism")?;
    Ok(WIFI)
}
