//! ICMP errors (RFC 792, RFC 1122 3.2.2, RFC 1812 5.2.7, RFC 4443), which quote what was not delivered.

use super::ip::{self, Header, Place, Upper};
use super::walk::{self, ICMP, Part};
use super::{Datagram, IcmpError, IcmpReason, SkipKind};
use crate::base::Transport;

/// The error; skipped when it is none or quotes no UDP header.
pub(super) fn error<'a>(part: &mut Part<'a>, header: &Header, protocol: u8) -> Result<IcmpError<'a>, SkipKind> {
    let [kind, code, _, _, words6, words4, _, _] = *part.take("ICMP")?;
    let (reason, quoted_len) = if protocol == ICMP {
        (v4(kind, code), usize::from(words4) * 4)
    } else {
        (v6(kind, code), usize::from(words6) * 8)
    };
    let other = SkipKind::OtherProtocol(protocol);
    let reason = reason.ok_or(other)?;
    if (1..part.bytes.len()).contains(&quoted_len) {
        part.trim(quoted_len); // extensions follow (RFC 4884 4)
    }
    let (transport, quoted) = quoted(part).ok_or(other)?;
    Ok(IcmpError { from: header.src, to: header.dst, reason, transport, quoted })
}

fn quoted<'a>(part: &mut Part<'a>) -> Option<(Transport, Datagram<'a>)> {
    let mut header = Header::NONE;
    match ip::strip(part, &mut header).ok()? {
        Upper::Protocol(walk::UDP) | Upper::Fragment(Place { offset: 0, protocol: walk::UDP, .. }) => {
            let ports = walk::udp_header(part).ok()?;
            Some((Transport::Udp, walk::datagram(part, &header, ports)))
        }
        Upper::Protocol(walk::TCP) => Some((Transport::Tcp, segment(part, &header)?)),
        _ => None,
    }
}

/// A segment with its ports; routers may quote no more of its header (RFC 792).
fn segment<'a>(part: &mut Part<'a>, header: &Header) -> Option<Datagram<'a>> {
    let [s0, s1, d0, d1] = part.peek(0, "TCP").ok()?;
    let (src, dst) = header.endpoints(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let data = part.bytes.get(12).map_or(20, |octet| usize::from(octet >> 4) * 4);
    let payload = part.bytes.get(data..).unwrap_or_default();
    Some(Datagram { src, dst, ip_id: header.id, payload, missing: part.missing })
}

fn v4(kind: u8, code: u8) -> Option<IcmpReason> {
    let unreachable = match code {
        0 | 6 | 11 => IcmpReason::Net,
        1 | 7 | 8 | 12 => IcmpReason::Host,
        2 => IcmpReason::Protocol,
        3 => IcmpReason::Port,
        4 => IcmpReason::FragmentationNeeded,
        9 | 10 | 13 => IcmpReason::AdminProhibited,
        _ => IcmpReason::Other,
    };
    match kind {
        3 => Some(unreachable),
        11 => Some(IcmpReason::TimeExceeded),
        _ => None,
    }
}

fn v6(kind: u8, code: u8) -> Option<IcmpReason> {
    let unreachable = match code {
        0 => IcmpReason::Net,
        1 | 5 | 6 => IcmpReason::AdminProhibited,
        3 => IcmpReason::Host,
        4 => IcmpReason::Port,
        _ => IcmpReason::Other,
    };
    match kind {
        1 => Some(unreachable),
        2 => Some(IcmpReason::FragmentationNeeded),
        3 => Some(IcmpReason::TimeExceeded),
        _ => None,
    }
}
