//! GTP-U (3GPP TS 29.281): user IP packets of mobile networks in UDP.

use super::SkipKind;
use super::walk::{Next, Part};

/// Version 1, protocol type GTP.
const VERSION: u8 = 0x30;
const VERSION_MASK: u8 = 0xf0;
/// Any of: extension header, sequence number, N-PDU number. One makes room for all (5.1).
const OPTIONAL: u8 = 0x07;
const EXTENDED: u8 = 0x04;
/// Message type of user data (6.1).
const G_PDU: u8 = 255;

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    const MALFORMED: SkipKind = SkipKind::Malformed("GTP-U");
    let [flags, message, l0, l1, ..] = *part.take::<8>("GTP-U")?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if flags & VERSION_MASK != VERSION || message != G_PDU || length > part.len() {
        return Err(MALFORMED);
    }
    part.trim(length);
    if flags & OPTIONAL != 0 {
        let [_, _, _, next] = *part.take("GTP-U")?;
        if flags & EXTENDED != 0 {
            extensions(part, next)?;
        }
    }
    match part.bytes.first().map(|octet| octet >> 4) {
        Some(4 | 6) => Ok(Next::Ip),
        _ => Err(MALFORMED),
    }
}

/// Extension headers (5.2.1): length in units of 4 octets, content, type of the next one or 0.
fn extensions(part: &mut Part<'_>, mut next: u8) -> Result<(), SkipKind> {
    while next != 0 {
        let len = usize::from(*part.bytes.first().ok_or_else(|| part.short("GTP-U"))?) * 4;
        let last = len.checked_sub(1).ok_or(SkipKind::Malformed("GTP-U"))?;
        next = *part.bytes.get(last).ok_or_else(|| part.short("GTP-U"))?;
        part.skip(len, "GTP-U")?;
    }
    Ok(())
}
