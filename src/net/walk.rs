//! The walk from layer to layer, down to UDP, TCP or ICMP.

use super::ip::{self, Header, Upper};
use super::pdu::{self, Pdu};
use super::{Datagram, Decoded, Segment, SkipKind, TcpFlags, hep, icmp, link, sctp, tunnel};
use crate::base::{LinkType, limits};
use etherparse::err::tcp::HeaderSliceError;
use etherparse::{TcpHeaderSlice, UdpHeaderSlice};

/// IP protocol numbers (IANA) that the walk knows itself.
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

const UDP_HEADER: usize = 8;
/// Offset of the flags octet in a TCP header, which has at least 20 (RFC 9293 3.1).
const TCP_FLAGS: usize = 13;

/// Bytes still to be read, and how many more of them the wire had.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) missing: u32,
}

/// What lies behind a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// A payload of this EtherType; up to 1500 it is an IEEE 802.3 length.
    EtherType(u16),
    /// An IPv4 or IPv6 header.
    Ip,
    /// A payload of this IP protocol, between the addresses of the last IP header.
    Protocol(u8),
    /// A frame of this link type, as a capture file would hold it.
    Link(LinkType),
    /// A HEP packet.
    Hep,
    /// What Wireshark exports of upper layers.
    Pdu,
}

/// Takes one layer's header off and tells what follows. On error nothing more can be told.
pub(super) type Strip = for<'a> fn(&mut Part<'a>) -> Result<Next, SkipKind>;

impl<'a> Part<'a> {
    /// The field of `N` bytes at `at`, without taking it.
    pub(super) fn peek<const N: usize>(&self, at: usize, layer: &'static str) -> Result<[u8; N], SkipKind> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(|| self.short(layer))
    }

    /// Takes a header of `N` bytes off.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self, layer: &'static str) -> Result<&'a [u8; N], SkipKind> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(|| self.short(layer))?;
        self.bytes = rest;
        Ok(head)
    }

    /// Takes `len` bytes off.
    #[inline]
    pub(super) fn skip(&mut self, len: usize, layer: &'static str) -> Result<(), SkipKind> {
        self.bytes = self.bytes.get(len..).ok_or_else(|| self.short(layer))?;
        Ok(())
    }

    /// A length field says how many bytes there are: drops padding and trailers, or learns what is missing.
    #[inline]
    pub(super) fn trim(&mut self, len: usize) {
        self.missing = len.saturating_sub(self.bytes.len()) as u32;
        self.bytes = self.bytes.get(..len).unwrap_or(self.bytes);
    }

    /// Length on the wire.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.missing as usize
    }

    /// Whether this can well be an IP datagram: a version, and a length that there is room for. For
    /// places where no field says what follows.
    pub(super) fn is_ip(&self) -> bool {
        let length =
            |at: usize| self.bytes.get(at..)?.first_chunk().map(|field| usize::from(u16::from_be_bytes(*field)));
        match self.bytes.first().map(|octet| octet >> 4) {
            Some(4) => length(2).is_some_and(|total| (20..=self.len()).contains(&total)),
            Some(6) => length(4).is_some_and(|payload| payload > 0 && payload + 40 <= self.len()),
            _ => false,
        }
    }

    /// Why a header does not fit.
    pub(super) fn short(&self, layer: &'static str) -> SkipKind {
        if self.missing > 0 { SkipKind::Cut(layer) } else { SkipKind::Malformed(layer) }
    }
}

/// How a walk ends. (Small for what is met most: addresses are copied once, from the header.)
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    /// At a UDP payload that is no tunnel, between these ports.
    Udp([u16; 2]),
    /// At anything else.
    Other(Decoded<'a>),
}

/// Goes on until a transport header or something that is not for us; `header` becomes the innermost IP header.
///
/// Every step takes at least one byte off `part` or ends the walk, so it is linear in the frame.
#[inline]
pub(super) fn walk<'a>(part: &mut Part<'a>, header: &mut Header, mut next: Next) -> Result<End<'a>, SkipKind> {
    let mut depth = 0;
    loop {
        next = match next {
            Next::EtherType(ether_type) => link::payload(part, ether_type)?,
            Next::Ip if depth > limits::TUNNEL_DEPTH => return Err(SkipKind::TooDeep),
            Next::Ip => {
                depth += 1;
                match ip::strip(part, header)? {
                    Upper::Protocol(protocol) => Next::Protocol(protocol),
                    Upper::Fragment(place) => {
                        return Ok(End::Other(Decoded::Fragment(place.of(part, header))));
                    }
                }
            }
            Next::Protocol(UDP) => {
                let ports = udp_header(part)?;
                match tunnel::enter(part, ports) {
                    None => return Ok(End::Udp(ports)),
                    Some(entered) => {
                        let (inner, next) = entered?;
                        *part = inner;
                        next
                    }
                }
            }
            Next::Protocol(TCP) => return tcp(part, header).map(Decoded::Segment).map(End::Other),
            Next::Protocol(protocol @ (ICMP | ICMPV6)) => {
                return icmp::error(part, header, protocol).map(Decoded::Icmp).map(End::Other);
            }
            Next::Protocol(SCTP) => return sctp::packet(part, header).map(Decoded::Sctp).map(End::Other),
            Next::Protocol(protocol) => match tunnel::by_protocol(protocol) {
                Some(strip) => strip(part)?,
                None => return Err(SkipKind::OtherProtocol(protocol)),
            },
            Next::Link(link) => link::row(link).ok_or(SkipKind::UnknownLinkType(link))?(part)?,
            Next::Hep => return hep::read(part, header.src).map(Decoded::Relayed).map(End::Other),
            Next::Pdu => match pdu::read(part, header)? {
                Pdu::Layer(next) => next,
                Pdu::Message(relayed) => return Ok(End::Other(Decoded::Relayed(relayed))),
            },
        }
    }
}

/// Takes a UDP header off and gives its ports. A length field that is zero (offload) or exceeds the IP payload
/// is not believed.
#[inline]
pub(super) fn udp_header(part: &mut Part<'_>) -> Result<[u16; 2], SkipKind> {
    let udp = UdpHeaderSlice::from_slice(part.bytes).map_err(|_| part.short("UDP"))?;
    let length = usize::from(udp.length());
    if (UDP_HEADER..=part.len()).contains(&length) {
        part.trim(length);
    }
    part.skip(UDP_HEADER, "UDP")?;
    Ok([udp.source_port(), udp.destination_port()])
}

/// The datagram whose payload is the rest of `part`.
#[inline]
pub(super) fn datagram<'a>(part: &Part<'a>, header: &Header, [src, dst]: [u16; 2]) -> Datagram<'a> {
    let (src, dst) = header.endpoints(src, dst);
    Datagram { src, dst, ip_id: header.id, payload: part.bytes, missing: part.missing }
}

#[inline]
fn tcp<'a>(part: &mut Part<'a>, header: &Header) -> Result<Segment<'a>, SkipKind> {
    let tcp = TcpHeaderSlice::from_slice(part.bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => part.short("TCP"),
        HeaderSliceError::Content(_) => SkipKind::Malformed("TCP"),
    })?;
    let (src, dst) = header.endpoints(tcp.source_port(), tcp.destination_port());
    let flags = TcpFlags::new(tcp.slice()[TCP_FLAGS]);
    part.skip(tcp.slice().len(), "TCP")?;
    Ok(Segment {
        src,
        dst,
        ip_id: header.id,
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        flags,
        payload: part.bytes,
        missing: part.missing,
    })
}
