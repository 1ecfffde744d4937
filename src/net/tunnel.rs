//! The tables of tunnels. (Those with an EtherType of their own: `link.rs`.)

use super::walk::{Next, Part, Strip};
use super::{Datagram, esp, gre, gtp, mpls, vxlan};

/// Tunnels right over IP, by IP protocol.
pub(super) fn by_protocol(protocol: u8) -> Option<Strip> {
    Some(match protocol {
        4 | 41 => |_| Ok(Next::Ip), // RFC 2003, RFC 2473, RFC 4213
        47 => gre::strip,
        50 => esp::strip,
        137 => mpls::strip, // RFC 4023
        _ => return None,
    })
}

/// Tunnels over UDP, by the port of either end. They take nothing that does not look like them.
fn by_port(port: u16) -> Option<Strip> {
    Some(match port {
        2152 => gtp::strip,
        4789 | 8472 => vxlan::strip, // 8472: Linux before the assignment
        _ => return None,
    })
}

/// What is tunnelled in `datagram`; none when it is no tunnel, whatever its ports are.
#[inline]
pub(super) fn enter<'a>(datagram: &Datagram<'a>) -> Option<(Part<'a>, Next)> {
    let strip = by_port(datagram.dst.port).or_else(|| by_port(datagram.src.port))?;
    let mut part = Part { bytes: datagram.payload, missing: datagram.missing };
    let next = strip(&mut part).ok()?;
    Some((part, next))
}
