//! Link types that put a header of the capturing system in front of a packet.

use super::SkipKind;
use super::walk::{Next, Part};
use crate::base::LinkType;

/// PPI: version, flags, length of the whole header, link type, fields; little endian.
pub(super) fn ppi(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [_, _, l0, l1, d0, d1, d2, d3] = part.peek(0, "PPI")?;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    behind(part, length, 8, "PPI")?;
    inner(u32::from_le_bytes([d0, d1, d2, d3]))
}

/// Apple PKTAP: length of the header, record type (1: a packet follows), link type; little endian.
pub(super) fn pktap(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let head: [u8; 12] = part.peek(0, "PKTAP")?;
    let [length, record, link] = *head.as_chunks::<4>().0 else {
        return Err(SkipKind::Malformed("PKTAP"));
    };
    behind(part, u32::from_le_bytes(length) as usize, 12, "PKTAP")?;
    if u32::from_le_bytes(record) == 1 { inner(u32::from_le_bytes(link)) } else { Err(SkipKind::NotIp) }
}

/// Solaris IPNET: version 1 or 2, address family, ..., 24 bytes in all; then IP.
pub(super) fn ipnet(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    match *part.take::<24>("IPNET")? {
        [1 | 2, ..] => Ok(Next::Ip),
        _ => Err(SkipKind::Malformed("IPNET")),
    }
}

/// OpenBSD's packet filter log: the header tells its length, without the padding to 4.
pub(super) fn pflog(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [length] = part.peek(0, "pflog")?;
    behind(part, usize::from(length).next_multiple_of(4), 4, "pflog")?;
    Ok(Next::Ip)
}

/// Linux netfilter log: family, version 0, resource, then values with length and type in the byte
/// order of the capturing host and padded to 4. One of them is the packet.
pub(super) fn nflog(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    const PAYLOAD: u16 = 9;
    let [_, 0, _, _] = *part.take("NFLOG")? else {
        return Err(SkipKind::Malformed("NFLOG"));
    };
    loop {
        let [l0, l1, t0, t1] = part.peek(0, "NFLOG")?;
        let little = u16::from_le_bytes([l0, l1]);
        // Types are small numbers, which shows the byte order.
        let (length, kind) = if t1 == 0 {
            (little, u16::from_le_bytes([t0, t1]))
        } else {
            (little.swap_bytes(), u16::from_be_bytes([t0, t1]))
        };
        let value = usize::from(length).checked_sub(4).ok_or(SkipKind::Malformed("NFLOG"))?;
        part.skip(4, "NFLOG")?;
        if kind == PAYLOAD {
            part.trim(value);
            return Ok(Next::Ip);
        }
        part.skip(value.next_multiple_of(4), "NFLOG")?;
    }
}

/// Goes behind a header that says its own length.
fn behind(part: &mut Part<'_>, length: usize, least: usize, layer: &'static str) -> Result<(), SkipKind> {
    if length < least {
        return Err(SkipKind::Malformed(layer));
    }
    part.skip(length, layer)
}

fn inner(link: u32) -> Result<Next, SkipKind> {
    // Numbers beyond 16 bits are no link types.
    Ok(Next::Link(LinkType(u16::try_from(link).map_err(|_| SkipKind::Malformed("link type"))?)))
}
