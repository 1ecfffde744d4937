//! The tables of tunnels. (Those with an EtherType of their own: `link.rs`.)

use super::walk::{Next, Part, Strip};
use super::{SkipKind, erspan, esp, gre, gtp, hep, l2tp, link, mpls, overlay, sctp, vxlan, walk};

/// What an IP datagram with this protocol and payload is called, if it is a tunnel and not something else.
pub(super) fn name(protocol: u8, payload: &[u8]) -> Option<&'static str> {
    let number = |at: usize| payload.get(at..).and_then(|rest| rest.first_chunk()).map(|n| u16::from_be_bytes(*n));
    Some(match protocol {
        4 | 41 => "IP in IP",
        47 => match number(2) {
            Some(erspan::TYPE_2 | erspan::TYPE_3) => "ERSPAN",
            _ => "GRE",
        },
        50 => "ESP",
        97 => "EtherIP",
        115 => "L2TPv3",
        137 => "MPLS in IP",
        walk::UDP => number(2).and_then(name_by_port).or_else(|| number(0).and_then(name_by_port))?,
        _ => return None,
    })
}

/// What a tunnel over UDP is called, by the port of either end.
pub(super) fn name_by_port(port: u16) -> Option<&'static str> {
    Some(match port {
        1701 => "L2TP",
        2152 => "GTP-U",
        3544 => "Teredo",
        4341 => "LISP",
        4500 => "ESP in UDP",
        4789 | 8472 => "VXLAN",
        4790 => "VXLAN-GPE",
        6080 => "GUE",
        6081 => "Geneve",
        6635 => "MPLS in UDP",
        9899 => "SCTP in UDP",
        37008 => "TZSP",
        _ => return None,
    })
}

/// Tunnels right over IP, by IP protocol.
pub(super) fn by_protocol(protocol: u8) -> Option<Strip> {
    Some(match protocol {
        4 | 41 => |_| Ok(Next::Ip), // RFC 2003, RFC 2473, RFC 4213
        47 => gre::strip,
        50 => esp::strip,
        97 => ether_ip,
        115 => l2tp::third,
        137 => mpls::strip, // RFC 4023
        _ => return None,
    })
}

/// Tunnels over UDP, by the port of either end. They take nothing that does not look like them.
fn by_port(port: u16) -> Option<Strip> {
    Some(match port {
        1701 => l2tp::in_udp,
        2152 => gtp::strip,
        3544 => overlay::teredo,
        4341 => overlay::lisp,
        4500 => esp::in_udp,
        4789 | 8472 => vxlan::strip, // 8472: Linux before the assignment
        4790 => vxlan::generic,
        6080 => overlay::gue,
        6081 => overlay::geneve,
        6635 => overlay::labelled,
        9899 => sctp::in_udp,
        37008 => overlay::tzsp,
        _ => return None,
    })
}

/// What is tunnelled in the UDP `payload`; none when it is no tunnel, whatever its ports are. An error
/// when it is one that cannot be read.
#[inline]
pub(super) fn enter<'a>(payload: &Part<'a>, [src, dst]: [u16; 2]) -> Option<Result<(Part<'a>, Next), SkipKind>> {
    let mut part = *payload;
    if hep::begins(part.bytes) {
        return Some(Ok((part, Next::Hep)));
    }
    let strip = by_port(dst).or_else(|| by_port(src))?;
    match strip(&mut part) {
        Ok(next) => Some(Ok((part, next))),
        Err(encrypted @ SkipKind::Encrypted(_)) => Some(Err(encrypted)),
        Err(_) => None,
    }
}

/// Ethernet in IP (RFC 3378): version 3, then the frame.
fn ether_ip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    match *part.take("EtherIP")? {
        [0x30, _] => Ok(Next::EtherType(link::BRIDGED)),
        _ => Err(SkipKind::Malformed("EtherIP")),
    }
}
