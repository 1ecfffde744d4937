//! Upper layers as Wireshark exports them (link type 252): tags, then the bytes of one layer.

use super::SkipKind;
use super::ip::Header;
use super::relayed::{self, Relayed};
use super::walk::{self, Next, Part};
use crate::base::Endpoint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LAYER: &str = "exported PDU";

/// What was exported.
pub(super) enum Pdu<'a> {
    /// A layer below SIP.
    Layer(Next),
    /// A message.
    Message(Relayed<'a>),
}

/// Reads tag, length and value until the end tag; all in network byte order, values padded to 4.
pub(super) fn read<'a>(part: &mut Part<'a>, header: &mut Header) -> Result<Pdu<'a>, SkipKind> {
    let mut name: &[u8] = b"";
    let mut port_type = 0;
    let mut ports = [0; 2];
    loop {
        let [t0, t1, l0, l1] = *part.take(LAYER)?;
        let value = part.bytes.get(..usize::from(u16::from_be_bytes([l0, l1]))).ok_or_else(|| part.short(LAYER))?;
        part.skip(value.len().next_multiple_of(4), LAYER)?;
        let number = value.first_chunk().map_or(0, |number| u32::from_be_bytes(*number));
        match u16::from_be_bytes([t0, t1]) {
            0 => break,
            12..=14 => name = value.split(|byte| *byte == 0).next().unwrap_or(value),
            20 => header.src = Ipv4Addr::from_bits(number).into(),
            21 => header.dst = Ipv4Addr::from_bits(number).into(),
            22 => header.src = v6(value).unwrap_or(header.src),
            23 => header.dst = v6(value).unwrap_or(header.dst),
            24 => port_type = number,
            25 => ports[0] = number as u16,
            26 => ports[1] = number as u16,
            _ => {}
        }
    }
    if let Some(layer) = layer(name) {
        return Ok(Pdu::Layer(layer));
    }
    let protocol = match port_type {
        1 => walk::SCTP,
        2 => walk::TCP,
        _ => walk::UDP,
    };
    let end = |ip, port| Endpoint { ip, port };
    Ok(Pdu::Message(Relayed {
        connection: relayed::connection(end(header.src, ports[0]), end(header.dst, ports[1]), protocol),
        time: None,
        agent: 0,
        payload: part.bytes,
        missing: part.missing,
        compressed: false,
    }))
}

/// The dissectors of layers that we walk ourselves.
fn layer(name: &[u8]) -> Option<Next> {
    Some(match name {
        b"ip" | b"ipv6" => Next::Ip,
        b"eth" | b"eth_withoutfcs" | b"eth_withfcs" | b"eth_maybefcs" => Next::EtherType(super::link::BRIDGED),
        b"udp" => Next::Protocol(walk::UDP),
        b"tcp" => Next::Protocol(walk::TCP),
        b"sctp" => Next::Protocol(walk::SCTP),
        _ => return None,
    })
}

fn v6(value: &[u8]) -> Option<IpAddr> {
    value.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into())
}
