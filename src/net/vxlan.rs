//! VXLAN (RFC 7348): Ethernet in UDP.

use super::walk::{Next, Part};
use super::{SkipKind, link};

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    // Flags: a valid network identifier, perhaps a group policy; then reserved or the policy.
    let [flags, ..] = *part.take::<8>("VXLAN")?;
    if matches!(flags, 0x08 | 0x88) && link::is_ethernet(part.bytes) {
        Ok(Next::EtherType(link::BRIDGED))
    } else {
        Err(SkipKind::Malformed("VXLAN"))
    }
}
