//! Renames a packet in place: addresses of all its headers and what it carries. Nothing changes its length.
//!
//! Checksums are brought up to date by the difference (RFC 1624), so that a good one stays good and a bad
//! one stays bad, also where the capture has only a part of what it covers.

use super::key::Namer;
use super::message::message;
use super::text::fill;
use crate::base::LinkType;
use crate::net::{self, Decoded, Piece};
use crate::sip::{Probe, probe};
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// IP protocol numbers.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Raw IP, in which reassembled datagrams come.
const RAW: LinkType = LinkType(101);

/// What a packet carries, as far as its own bytes do not tell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// SIP in a datagram, or an error that quotes some.
    Sip,
    /// RTP or RTCP.
    Media,
    /// What to put in the place of the payload of a segment or a fragment.
    Renamed(&'a [u8]),
}

/// The packet with other names; `None` when not all of it is understood.
pub(crate) fn packet(namer: &mut Namer, link: LinkType, data: &[u8], content: Content<'_>) -> Option<Vec<u8>> {
    let mut out = data.to_vec();
    let mut pieces = net::anatomy(link, data);
    let place = |part: &[u8]| {
        let at = part.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
        Some(at..at + part.len())
    };
    match (net::decode(link, data, data.len() as u32), content) {
        (Decoded::Datagram(datagram), Content::Sip) => sip(namer, &mut out[place(datagram.payload)?]),
        (Decoded::Datagram(datagram), Content::Media) => media(&mut out[place(datagram.payload)?])?,
        (Decoded::Segment(segment), Content::Renamed(payload)) => replace(&mut out, place(segment.payload)?, payload)?,
        (Decoded::Fragment(fragment), Content::Renamed(payload)) => {
            replace(&mut out, place(fragment.payload)?, payload)?;
        }
        (Decoded::Icmp(error), Content::Sip | Content::Media) => {
            let payload = place(error.quoted.payload)?;
            let quoted = quoted(data, &pieces)?;
            sip(namer, out.get_mut(payload.clone())?);
            fill(out.get_mut(payload.end..)?); // extensions of the error, padding
            pieces.extend(quoted);
        }
        _ => return None,
    }
    link_addresses(namer, link, &mut out)?;
    rewrite(namer, data, &mut out, &pieces)?;
    Some(out)
}

/// The payload of an IP datagram put together from fragments, renamed with its checksum.
pub(crate) fn whole(namer: &mut Namer, bytes: &[u8], content: Content<'_>) -> Option<Vec<u8>> {
    let header = Ip::at(bytes, 0)?.header;
    packet(namer, RAW, bytes, content).map(|mut all| all.split_off(header.min(all.len())))
}

/// Sender and receiver of an IP datagram.
pub(crate) fn ends(bytes: &[u8]) -> Option<[IpAddr; 2]> {
    let addresses = bytes.get(Ip::at(bytes, 0)?.addresses())?;
    let (src, dst) = addresses.split_at(addresses.len() / 2);
    Some([address(src)?, address(dst)?])
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => Some(Ipv4Addr::from(v4).into()),
        Err(_) => <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into()),
    }
}

fn replace(out: &mut [u8], at: Range<usize>, with: &[u8]) -> Option<()> {
    let place = out.get_mut(at).filter(|place| place.len() == with.len())?;
    place.copy_from_slice(with);
    Some(())
}

/// A datagram of SIP; what does not begin like a message may be a part of one.
fn sip(namer: &mut Namer, payload: &mut [u8]) {
    match probe(payload) {
        Probe::Sip { offset } => message(namer, &mut payload[offset..]),
        Probe::KeepAlive => {}
        Probe::No => fill(payload),
    }
}

/// Keeps the header of RTP and RTCP (RFC 3550 5.1 and 6.4), by which losses are counted. Anything else on the
/// ports of media is not understood.
fn media(payload: &mut [u8]) -> Option<()> {
    let [first, kind, ..] = *payload else {
        return None;
    };
    if first >> 6 != 2 {
        return None;
    }
    let header = if (192..=223).contains(&kind) { 8 } else { 12 };
    payload.get_mut(header..)?.fill(0);
    Some(())
}

/// An IP header at some place of a packet.
struct Ip {
    at: usize,
    /// Length of the fixed header and, in IPv4, its options.
    header: usize,
    /// Where what it carries ends.
    end: usize,
    v6: bool,
    protocol: u8,
}

impl Ip {
    fn at(data: &[u8], at: usize) -> Option<Self> {
        let rest = data.get(at..)?;
        let short = |at: usize| rest.get(at..at + 2).map(|field| usize::from(u16::from_be_bytes([field[0], field[1]])));
        let (v6, header, length, protocol) = match rest.first()? >> 4 {
            4 => (false, usize::from(rest[0] & 0x0f) * 4, short(2)?, *rest.get(9)?),
            6 => (true, 40, short(4).map(|payload| if payload == 0 { 0 } else { payload + 40 })?, *rest.get(6)?),
            _ => return None,
        };
        // Offload leaves the length 0.
        let length = if length < header { rest.len() } else { length.min(rest.len()) };
        (rest.len() >= header && header >= 20).then_some(Self { at, header, end: at + length, v6, protocol })
    }

    /// Where its two addresses stand.
    fn addresses(&self) -> Range<usize> {
        if self.v6 { self.at + 8..self.at + 40 } else { self.at + 12..self.at + 20 }
    }
}

/// The headers that an ICMP error quotes.
fn quoted(data: &[u8], pieces: &[Piece]) -> Option<SmallVec<[Piece; 2]>> {
    let Some(Piece::Transport(ICMP | ICMPV6, at)) = pieces.last() else {
        return None;
    };
    let inner = Ip::at(data, at + 8)?;
    matches!(inner.protocol, TCP | UDP).then(|| {
        SmallVec::from_slice(&[Piece::Ip(inner.at), Piece::Transport(inner.protocol, inner.at + inner.header)])
    })
}

/// Addresses of the link layer; `None` for those whose header is not known here.
fn link_addresses(namer: &mut Namer, link: LinkType, out: &mut [u8]) -> Option<()> {
    match link.0 {
        1 => ethernet(namer, out, 0),
        113 => namer.mac(out.get_mut(6..14)?.split_at_mut(6).0),
        276 => namer.mac(out.get_mut(12..20)?.split_at_mut(6).0),
        0 | 9 | 12 | 14 | 50 | 51 | 101 | 104 | 108 | 228 | 229 => {}
        _ => return None,
    }
    Some(())
}

fn ethernet(namer: &mut Namer, out: &mut [u8], at: usize) {
    for mac in [at, at + 6] {
        if let Some(mac) = out.get_mut(mac..mac + 6) {
            namer.mac(mac);
        }
    }
}

/// Renames the addresses of all headers, then brings the checksums up to date, from the innermost out.
fn rewrite(namer: &mut Namer, data: &[u8], out: &mut [u8], pieces: &[Piece]) -> Option<()> {
    let mut headers: Vec<Ip> = Vec::new();
    for piece in pieces {
        match *piece {
            Piece::Ethernet(at) => ethernet(namer, out, at),
            Piece::Ip(at) => {
                let ip = Ip::at(data, at)?;
                addresses(namer, out, &ip)?;
                if headers.is_empty() {
                    out.get_mut(ip.end..)?.fill(0); // padding may hold anything
                }
                headers.push(ip);
            }
            Piece::Transport(..) => {}
        }
    }
    let mut ips = headers.iter().rev();
    for piece in pieces.iter().rev() {
        match *piece {
            Piece::Transport(protocol, at) => {
                let ip = headers.iter().rev().find(|ip| ip.at < at)?;
                transport_checksum(data, out, ip, protocol, at);
            }
            Piece::Ip(_) => {
                if let Some(ip) = ips.next().filter(|ip| !ip.v6) {
                    update(data, out, ip.at + 10, std::slice::from_ref(&(ip.at..ip.at + ip.header)));
                }
            }
            Piece::Ethernet(_) => {}
        }
    }
    Some(())
}

fn addresses(namer: &mut Namer, out: &mut [u8], ip: &Ip) -> Option<()> {
    let place = out.get_mut(ip.addresses())?;
    let half = place.len() / 2;
    for part in place.chunks_exact_mut(half) {
        match namer.address(address(part)?) {
            IpAddr::V4(new) => part.copy_from_slice(&new.octets()),
            IpAddr::V6(new) => part.copy_from_slice(&new.octets()),
        }
    }
    if !ip.v6 {
        out.get_mut(ip.at + 20..ip.at + ip.header)?.fill(0); // options may hold a route
    }
    Some(())
}

fn transport_checksum(data: &[u8], out: &mut [u8], ip: &Ip, protocol: u8, at: usize) {
    let field = at
        + match protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMPV6 => 2,
            _ => return,
        };
    if protocol == UDP && data.get(field..field + 2) == Some(&[0, 0]) {
        return; // none
    }
    let covered = at..ip.end.max(at);
    if protocol == ICMP {
        update(data, out, field, std::slice::from_ref(&covered));
    } else {
        update(data, out, field, &[ip.addresses(), covered]);
        if protocol == UDP && out.get(field..field + 2) == Some(&[0, 0]) {
            out[field..field + 2].fill(0xff);
        }
    }
}

/// RFC 1624 3, equation 3: the new checksum from the old one and what changed in the places that it covers, of
/// which each begins at an even offset.
fn update(data: &[u8], out: &mut [u8], field: usize, covered: &[Range<usize>]) {
    let Some(old) = data.get(field..field + 2) else {
        return;
    };
    let old = u16::from_be_bytes([old[0], old[1]]);
    let sum = |bytes: &[u8]| {
        let words = covered.iter().flat_map(|range| {
            let part = bytes.get(range.clone()).unwrap_or_default();
            let skip = field.wrapping_sub(range.start) / 2;
            let within = range.contains(&field);
            part.chunks(2)
                .enumerate()
                .filter(move |(at, _)| !(within && *at == skip))
                .map(|(_, pair)| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        });
        fold(words.sum())
    };
    let new = !fold(u64::from(!old) + u64::from(!sum(data)) + u64::from(sum(out)));
    if let Some(place) = out.get_mut(field..field + 2) {
        place.copy_from_slice(&new.to_be_bytes());
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4 and UDP with right checksums, around `payload`.
    fn datagram(payload: &[u8]) -> Vec<u8> {
        let builder = etherparse::PacketBuilder::ethernet2([2, 1, 2, 3, 4, 5], [2, 6, 7, 8, 9, 10])
            .ipv4([10, 20, 1, 11], [10, 20, 1, 101], 64)
            .udp(5060, 5060);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    const MESSAGE: &[u8] = b"OPTIONS sip:bob@10.20.1.101 SIP/2.0\r\nCall-ID: abcdefg\r\n\r\n";

    fn checksums(bytes: &[u8]) -> (bool, bool) {
        let packet = etherparse::PacketHeaders::from_ethernet_slice(bytes).unwrap();
        let Some(etherparse::NetHeaders::Ipv4(ip, _)) = packet.net else { panic!() };
        let Some(etherparse::TransportHeader::Udp(udp)) = packet.transport else { panic!() };
        let right = udp.calc_checksum_ipv4(&ip, packet.payload.slice()).unwrap() == udp.checksum;
        (ip.calc_header_checksum() == ip.header_checksum, right)
    }

    #[test]
    fn right_checksums_stay_right_and_wrong_ones_wrong() {
        for payload in [MESSAGE, &MESSAGE[..51]] {
            let mut data = datagram(payload);
            let told = packet(&mut Namer::new(b"key"), LinkType(1), &data, Content::Sip).unwrap();
            assert_eq!((told.len(), checksums(&told)), (data.len(), (true, true)));
            data[40] ^= 0x55;
            data[24] ^= 0x55;
            let told = packet(&mut Namer::new(b"key"), LinkType(1), &data, Content::Sip).unwrap();
            assert_eq!(checksums(&told), (false, false));
        }
    }

    #[test]
    fn headers_and_content_get_the_same_names() {
        let data = datagram(MESSAGE);
        let mut namer = Namer::new(b"key");
        let told = packet(&mut namer, LinkType(1), &data, Content::Sip).unwrap();
        let address = namer.address("10.20.1.101".parse().unwrap()).to_string();
        let text = String::from_utf8_lossy(&told[42..]).into_owned();
        assert!(text.contains(&format!("@{address} SIP/2.0")), "{text}");
        assert_eq!(&told[30..34], address.split('.').map(|o| o.parse().unwrap()).collect::<Vec<u8>>());
        assert!(told[..12] != data[..12] && !text.contains("bob") && !text.contains("abcdefg"));
    }

    #[test]
    fn media_keep_their_header_only() {
        let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4][..], &[0x55; 20]].concat();
        let told = packet(&mut Namer::new(b"key"), LinkType(1), &datagram(&rtp), Content::Media).unwrap();
        assert_eq!(told[42..], [&rtp[..12], &[0; 20]].concat());
        assert_eq!(checksums(&told), (true, true));
        assert!(
            packet(&mut Namer::new(b"key"), LinkType(1), &datagram(b"\x00\x01\x00\x00stun"), Content::Media).is_none()
        );
    }
}
