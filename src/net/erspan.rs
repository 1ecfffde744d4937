//! Mirrored Ethernet in GRE: ERSPAN types I, II and III (draft-foschiano-erspan).

use super::walk::{Next, Part};
use super::{SkipKind, link};

/// GRE protocol types.
pub(super) const TYPE_2: u16 = 0x88be;
pub(super) const TYPE_3: u16 = 0x22eb;

const ETHERNET: Next = Next::EtherType(link::BRIDGED);

/// Type I has no header of its own and no GRE sequence number; type II has both.
pub(super) fn first_or_second(part: &mut Part<'_>, numbered: bool) -> Result<Next, SkipKind> {
    if numbered {
        let [version, ..] = *part.take::<8>("ERSPAN")?;
        if version >> 4 != 1 {
            return Err(SkipKind::Malformed("ERSPAN"));
        }
    }
    Ok(ETHERNET)
}

/// Type III: the frame type tells Ethernet from IP, the O bit of another 8 bytes of the platform.
pub(super) fn third(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [version, .., frame, flags] = *part.take::<12>("ERSPAN")?;
    if version >> 4 != 2 {
        return Err(SkipKind::Malformed("ERSPAN"));
    }
    if flags & 1 != 0 {
        part.skip(8, "ERSPAN")?;
    }
    match frame >> 2 & 0x1f {
        0 => Ok(ETHERNET),
        2 => Ok(Next::Ip),
        _ => Err(SkipKind::NotIp),
    }
}
