//! MPLS label stacks (RFC 3032). Nothing says what lies behind the last label: the first nibble does
//! (RFC 4928), and 0 is the control word of a pseudowire (RFC 4385), taken for Ethernet (RFC 4448).

use super::walk::{Next, Part};
use super::{SkipKind, link};

/// Set on the last label of a stack.
const BOTTOM: u8 = 1;

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    while part.take::<4>("MPLS")?[2] & BOTTOM == 0 {}
    match part.bytes.first().map(|octet| octet >> 4) {
        Some(4 | 6) => Ok(Next::Ip),
        Some(0) if link::is_ethernet(part.bytes.get(4..).unwrap_or_default()) => {
            part.skip(4, "MPLS")?;
            Ok(Next::EtherType(link::BRIDGED))
        }
        Some(_) => Err(SkipKind::NotIp),
        None => Err(part.short("MPLS")),
    }
}
