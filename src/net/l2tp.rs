//! L2TP version 2 (RFC 2661) and 3 (RFC 3931).

use super::walk::{Next, Part};
use super::{SkipKind, link, ppp};

const CONTROL: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;
const VERSION: u16 = 0x000f;

/// Over UDP; the version tells which.
pub(super) fn in_udp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let flags = u16::from_be_bytes(*part.take("L2TP")?);
    match flags & (CONTROL | VERSION) {
        2 => second(part, flags),
        3 => {
            part.skip(2, "L2TP")?; // reserved (RFC 3931 4.1.2.1)
            third(part)
        }
        _ => Err(SkipKind::NotIp), // control, or no L2TP
    }
}

/// Data message of version 2, behind the flags: optional fields, then PPP (RFC 2661 3.1).
fn second(part: &mut Part<'_>, flags: u16) -> Result<Next, SkipKind> {
    if flags & LENGTH != 0 {
        let length = u16::from_be_bytes(*part.take("L2TP")?);
        // It counts the flags and itself.
        let rest = usize::from(length).checked_sub(4).filter(|rest| *rest <= part.len());
        part.trim(rest.ok_or(SkipKind::Malformed("L2TP"))?);
    }
    part.skip(4, "L2TP")?; // tunnel, session
    if flags & SEQUENCE != 0 {
        part.skip(4, "L2TP")?;
    }
    if flags & OFFSET != 0 {
        let padding = u16::from_be_bytes(*part.take("L2TP")?);
        part.skip(padding.into(), "L2TP")?;
    }
    ppp::ppp(part)
}

/// Over IP (RFC 3931 4.1.1.1), or behind the flags over UDP: session, then a cookie of 0, 4 or 8
/// bytes and perhaps a sublayer of 4, of which only the two ends know. The Ethernet frame, else the
/// IP header, is where one can well be.
pub(super) fn third(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    const SKIPPED: [usize; 4] = [0, 4, 8, 12];
    let session = u32::from_be_bytes(*part.take("L2TP")?);
    if session == 0 {
        return Err(SkipKind::NotIp); // control
    }
    let whole = *part;
    let at = |skipped: usize| Part { bytes: whole.bytes.get(skipped..).unwrap_or_default(), ..whole };
    let mut places = SKIPPED.into_iter().map(at);
    let ethernet = places.clone().find(|inner| link::is_ethernet(inner.bytes));
    let (inner, next) = match ethernet {
        Some(frame) => (frame, Next::EtherType(link::BRIDGED)),
        None => (places.find(Part::is_ip).ok_or(SkipKind::NotIp)?, Next::Ip),
    };
    *part = inner;
    Ok(next)
}
