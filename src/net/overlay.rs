//! Small tunnels over UDP: Geneve, Teredo, TZSP, LISP, GUE, MPLS. Each takes only what looks like it.

use super::walk::{Next, Part};
use super::{SkipKind, link, mpls};
use crate::base::LinkType;

/// Geneve (RFC 8926 3.4): version 0, options in words of 4 bytes, EtherType, network, reserved 0.
pub(super) fn geneve(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [options, _, high, low, _, _, _, 0] = *part.take::<8>("Geneve")? else {
        return Err(SkipKind::Malformed("Geneve"));
    };
    if options >> 6 != 0 {
        return Err(SkipKind::Malformed("Geneve"));
    }
    part.skip(usize::from(options) * 4, "Geneve")?;
    match u16::from_be_bytes([high, low]) {
        protocol @ (link::BRIDGED | 0x0800 | 0x86dd | 0x8847) => Ok(Next::EtherType(protocol)),
        _ => Err(SkipKind::Malformed("Geneve")),
    }
}

/// Teredo (RFC 4380 5.1.1): perhaps an authentication, perhaps an origin indication, then IPv6.
pub(super) fn teredo(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    if part.peek(0, "Teredo")? == [0, 1] {
        let [_, _, id, value] = *part.take("Teredo")?;
        // Nonce and confirmation have 9 bytes.
        part.skip(usize::from(id) + usize::from(value) + 9, "Teredo")?;
    }
    if part.peek(0, "Teredo")? == [0, 0] {
        part.skip(8, "Teredo")?;
    }
    ip(part, "Teredo")
}

/// TZSP, the mirror of MikroTik and others: version 1, received or sent packet, what it is, tags.
pub(super) fn tzsp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [1, 0 | 1, high, low] = *part.take("TZSP")? else {
        return Err(SkipKind::Malformed("TZSP"));
    };
    loop {
        match *part.take("TZSP")? {
            [0] => {} // padding
            [1] => break,
            [_] => {
                let [length] = *part.take("TZSP")?;
                part.skip(length.into(), "TZSP")?;
            }
        }
    }
    match u16::from_be_bytes([high, low]) {
        1 => Ok(Next::EtherType(link::BRIDGED)),
        18 => Ok(Next::Link(LinkType(105))),
        119 => Ok(Next::Link(LinkType(119))),
        127 => Ok(Next::Link(LinkType(163))),
        _ => Err(SkipKind::NotIp),
    }
}

/// LISP data (RFC 9300 5.1): flags, nonce, instance; then IP.
pub(super) fn lisp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.skip(8, "LISP")?;
    ip(part, "LISP")
}

/// GUE (draft-ietf-intarea-gue): version 1 is IP itself; 0 names the IP protocol and has optional
/// fields in words of 4 bytes.
pub(super) fn gue(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    if part.is_ip() {
        return Ok(Next::Ip);
    }
    let [head, protocol, _, _] = *part.take("GUE")?;
    if head & 0xe0 != 0 {
        return Err(SkipKind::Malformed("GUE"));
    }
    part.skip(usize::from(head & 0x1f) * 4, "GUE")?;
    match protocol {
        4 | 41 => ip(part, "GUE"),
        _ => Err(SkipKind::Malformed("GUE")),
    }
}

/// MPLS over UDP (RFC 7510).
pub(super) fn labelled(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    match mpls::strip(part)? {
        Next::Ip => ip(part, "MPLS"),
        next => Ok(next),
    }
}

fn ip(part: &Part<'_>, layer: &'static str) -> Result<Next, SkipKind> {
    if part.is_ip() { Ok(Next::Ip) } else { Err(SkipKind::Malformed(layer)) }
}
