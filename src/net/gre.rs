//! GRE (RFC 2784, RFC 2890) and its version 1 of PPTP (RFC 2637).

use super::walk::{Next, Part};
use super::{SkipKind, erspan, ppp};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;
/// EtherType of the PPP payload of version 1.
const PPP: u16 = 0x880b;

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [f0, f1, p0, p1] = *part.take("GRE")?;
    let (flags, protocol) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([p0, p1]));
    let words = |optional: &[u16]| optional.iter().filter(|flag| flags & **flag != 0).count();
    match flags & VERSION {
        0 if flags & ROUTING == 0 => {
            part.skip(4 * words(&[CHECKSUM, KEY, SEQUENCE]), "GRE")?;
            match protocol {
                erspan::TYPE_2 => erspan::first_or_second(part, flags & SEQUENCE != 0),
                erspan::TYPE_3 => erspan::third(part),
                _ => Ok(Next::EtherType(protocol)),
            }
        }
        1 if protocol == PPP => {
            part.skip(4 * words(&[KEY, SEQUENCE, ACKNOWLEDGEMENT]), "GRE")?;
            // An acknowledgement alone carries nothing.
            if flags & SEQUENCE == 0 { Err(SkipKind::NotIp) } else { ppp::ppp(part) }
        }
        _ => Err(SkipKind::Malformed("GRE")),
    }
}
