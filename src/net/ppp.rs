//! PPP (RFC 1661, RFC 1662), Cisco HDLC, and PPPoE sessions (RFC 2516).

use super::SkipKind;
use super::walk::{Next, Part};

/// PPP, with or without the HDLC address (0xff, which starts no protocol number) and control octets.
pub(super) fn ppp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    if part.bytes.first() == Some(&0xff) {
        part.skip(2, "PPP")?;
    }
    let [high] = *part.take("PPP")?;
    let protocol = if high & 1 == 1 {
        u16::from(high) // compressed (RFC 1661 6.5)
    } else {
        let [low] = *part.take("PPP")?;
        u16::from_be_bytes([high, low])
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Next::Ip),
        0x0281 => Ok(Next::EtherType(0x8847)),
        0x0283 => Ok(Next::EtherType(0x8848)),
        _ => Err(SkipKind::NotIp),
    }
}

/// PPP with the direction in front, or in the place of the HDLC address (pppd).
pub(super) fn directed(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let pppd = part.bytes.get(1) == Some(&0x03);
    part.skip(if pppd { 2 } else { 1 }, "PPP")?;
    ppp(part)
}

/// PPP in HDLC framing, or Cisco HDLC: address (unicast, multicast), control, EtherType.
pub(super) fn hdlc(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    if !matches!(part.bytes.first(), Some(0x0f | 0x8f)) {
        return ppp(part);
    }
    let [_, _, high, low] = *part.take("HDLC")?;
    Ok(Next::EtherType(u16::from_be_bytes([high, low])))
}

/// A PPPoE session frame: version and type 1, code 0, session, length.
pub(super) fn session(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [version, code, _, _, high, low] = *part.take("PPPoE")?;
    match (version, code) {
        (0x11, 0) => {
            part.trim(u16::from_be_bytes([high, low]).into());
            ppp(part)
        }
        (0x11, _) => Err(SkipKind::NotIp),
        _ => Err(SkipKind::Malformed("PPPoE")),
    }
}
