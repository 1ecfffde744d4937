//! Network service headers (RFC 8300), and the protocol numbers they share with VXLAN-GPE.

use super::walk::{Next, Part};
use super::{SkipKind, link};

pub(super) const ETHER_TYPE: u16 = 0x894f;

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [_, length, _, protocol] = part.peek(0, "NSH")?;
    // In words of 4 bytes, the first one counted; less than two is no header (2.2).
    let words = usize::from(length & 0x3f);
    if words < 2 {
        return Err(SkipKind::Malformed("NSH"));
    }
    part.skip(words * 4, "NSH")?;
    next(protocol)
}

/// What follows, by number (RFC 8300 11.2.3).
pub(super) fn next(protocol: u8) -> Result<Next, SkipKind> {
    match protocol {
        1 | 2 => Ok(Next::Ip),
        3 => Ok(Next::EtherType(link::BRIDGED)),
        4 => Ok(Next::EtherType(ETHER_TYPE)),
        5 => Ok(Next::EtherType(0x8847)),
        _ => Err(SkipKind::NotIp),
    }
}
