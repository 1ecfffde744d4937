//! VXLAN (RFC 7348): Ethernet in UDP; and its generic protocol extension (draft-ietf-nvo3-vxlan-gpe).

use super::walk::{Next, Part};
use super::{SkipKind, link, nsh};

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    // Flags: a valid network identifier, perhaps a group policy; then reserved or the policy.
    let [flags, ..] = *part.take::<8>("VXLAN")?;
    if matches!(flags, 0x08 | 0x88) && link::is_ethernet(part.bytes) {
        Ok(Next::EtherType(link::BRIDGED))
    } else {
        Err(SkipKind::Malformed("VXLAN"))
    }
}

/// The last byte of the first word tells what follows, when the P bit is set.
pub(super) fn generic(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    const VALID: u8 = 0x08;
    const PROTOCOL: u8 = 0x04;
    const VERSION: u8 = 0x30;
    let [flags, 0, 0, protocol, ..] = *part.take::<8>("VXLAN-GPE")? else {
        return Err(SkipKind::Malformed("VXLAN-GPE"));
    };
    match flags & (VALID | PROTOCOL | VERSION) {
        VALID => Ok(Next::EtherType(link::BRIDGED)), // plain VXLAN
        bits if bits & VERSION == 0 && bits & PROTOCOL != 0 => nsh::next(protocol),
        _ => Err(SkipKind::Malformed("VXLAN-GPE")),
    }
}
