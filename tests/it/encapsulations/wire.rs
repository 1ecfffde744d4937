//! The standard call, and headers to wrap it in.

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Ports of sender and receiver: 5060.
pub const PORTS: [u8; 4] = [0x13, 0xc4, 0x13, 0xc4];

/// A SIP message of the call: from the caller, or from the callee.
pub struct Sip {
    pub from_caller: bool,
    pub text: Vec<u8>,
    /// Counted from 0.
    pub number: u16,
}

const START_LINES: [(bool, &str, &str); 7] = [
    (true, "INVITE sip:bob@198.51.100.2 SIP/2.0", "1 INVITE"),
    (false, "SIP/2.0 100 Trying", "1 INVITE"),
    (false, "SIP/2.0 180 Ringing", "1 INVITE"),
    (false, "SIP/2.0 200 OK", "1 INVITE"),
    (true, "ACK sip:bob@198.51.100.2 SIP/2.0", "1 ACK"),
    (true, "BYE sip:bob@198.51.100.2 SIP/2.0", "2 BYE"),
    (false, "SIP/2.0 200 OK", "2 BYE"),
];

/// INVITE, 100, 180, 200, ACK, BYE, 200.
pub fn call(transport: &str) -> Vec<Sip> {
    let text = |start: &str, cseq: &str| {
        let branch = cseq.replace(' ', "");
        let tag = if start.starts_with("INVITE") || start.ends_with("Trying") { "" } else { ";tag=b" };
        let max = if start.starts_with("SIP") { "" } else { "Max-Forwards: 70\r\n" };
        format!(
            "{start}\r\nVia: SIP/2.0/{transport} 192.0.2.1;branch=z9hG4bK{branch}\r\n{max}From: <sip:alice@192.0.2.1>;tag=a\r\n\
             To: <sip:bob@198.51.100.2>{tag}\r\nCall-ID: encapsulated\r\nCSeq: {cseq}\r\n\
             Contact: <sip:x@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    let numbered = START_LINES.iter().zip(0..);
    numbered
        .map(|((from_caller, start, cseq), number)| Sip { from_caller: *from_caller, text: text(start, cseq), number })
        .collect()
}

pub fn be(value: usize) -> [u8; 2] {
    (value as u16).to_be_bytes()
}

pub fn be4(value: usize) -> [u8; 4] {
    (value as u32).to_be_bytes()
}

/// The parts one after the other.
pub fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded
}

impl Sip {
    /// Addresses of sender and receiver.
    pub fn ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        let (caller, callee) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2));
        if self.from_caller { (caller, callee) } else { (callee, caller) }
    }

    /// As an IPv4 datagram between the two ends.
    pub fn over(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = self.ends();
        ipv4(src, dst, self.number + 1, protocol, payload)
    }

    pub fn over6(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let end = |caller: bool| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, if caller { 1 } else { 2 });
        ipv6(end(self.from_caller), end(!self.from_caller), protocol, payload)
    }

    pub fn udp(&self) -> Vec<u8> {
        udp(5060, 5060, &self.text)
    }

    /// SIP over UDP over IPv4.
    pub fn ip(&self) -> Vec<u8> {
        self.over(17, &self.udp())
    }

    pub fn ip6(&self) -> Vec<u8> {
        let mut datagram = self.udp();
        datagram[6..8].copy_from_slice(&[0x12, 0x34]); // no checksum is no valid one; nor is this one
        self.over6(17, &datagram)
    }

    pub fn eth(&self) -> Vec<u8> {
        ethernet(0x0800, &self.ip())
    }
}

pub fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, id: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = Ipv4Header::new(payload.len() as u16, 64, IpNumber(protocol), src.octets(), dst.octets()).unwrap();
    header.identification = id;
    header.header_checksum = header.calc_header_checksum();
    cat(&[&header.to_bytes(), payload])
}

pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: IpNumber(protocol),
        hop_limit: 64,
        source: src.octets(),
        destination: dst.octets(),
        ..Ipv6Header::default()
    };
    cat(&[&header.to_bytes(), payload])
}

pub fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader { source_port, destination_port, length: 8 + payload.len() as u16, checksum: 0 };
    cat(&[&header.to_bytes(), payload])
}

pub fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ether_type.to_be_bytes(), payload])
}

/// Between the ends of a tunnel, over an IP protocol.
pub fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), 7, protocol, payload))
}

/// Between the ends of a tunnel, over UDP.
pub fn outer_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    outer(17, &udp(40_000, port, payload))
}

/// The IPv4 fragments of a packet, each with up to `size` bytes of payload.
pub fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let pieces = payload.len().div_ceil(size);
    let piece = |(at, part): (usize, &[u8])| {
        let mut header = Ipv4Header::from_slice(header).unwrap().0;
        header.total_len = 20 + part.len() as u16;
        header.more_fragments = at + 1 < pieces;
        header.fragment_offset = ((at * size / 8) as u16).try_into().unwrap();
        header.header_checksum = header.calc_header_checksum();
        cat(&[&header.to_bytes(), part])
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

/// An SCTP packet with these chunks.
pub fn sctp(ports: &[u8], tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    cat(&[ports, &tag.to_be_bytes(), &[0; 4], &chunks.concat()])
}

/// A chunk with its padding.
pub fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    cat(&[&[kind, flags], &be(4 + value.len()), &padded(value)])
}

pub fn data(flags: u8, tsn: u32, stream: u16, payload: &[u8]) -> Vec<u8> {
    chunk(0, flags, &cat(&[&tsn.to_be_bytes(), &stream.to_be_bytes(), &[0; 6], payload]))
}

/// `word`: protocol in the first fragment, else the number of the fragment.
pub fn i_data(flags: u8, tsn: u32, stream: u16, id: u32, word: u32, payload: &[u8]) -> Vec<u8> {
    let head = cat(&[&tsn.to_be_bytes(), &stream.to_be_bytes(), &[0; 2], &id.to_be_bytes(), &word.to_be_bytes()]);
    chunk(64, flags, &cat(&[&head, payload]))
}

/// A chunk of HEP 3.
pub fn hep_chunk(vendor: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    cat(&[&vendor.to_be_bytes(), &kind.to_be_bytes(), &be(6 + value.len()), value])
}

/// The time that agents tell for message `number`, in nanoseconds since the epoch.
pub fn agent_time(number: u16) -> i64 {
    (1_700_000_000_000 + i64::from(number) * 10) * 1_000_000
}

/// A message as an agent passes it on, in HEP 3, with a chunk of some vendor before the payload.
pub fn hep3(sip: &Sip, protocol: u8, agent: u32, payload: &[u8]) -> Vec<u8> {
    hep3_at(sip, protocol, agent, agent_time(sip.number), payload)
}

/// As [`hep3`], at a time in nanoseconds since the epoch.
pub fn hep3_at(sip: &Sip, protocol: u8, agent: u32, time: i64, payload: &[u8]) -> Vec<u8> {
    let (src, dst) = sip.ends();
    let chunks = cat(&[
        &hep_chunk(0, 1, &[2]),
        &hep_chunk(0, 2, &[protocol]),
        &hep_chunk(0, 3, &src.octets()),
        &hep_chunk(0, 4, &dst.octets()),
        &hep_chunk(0, 7, &be(5060)),
        &hep_chunk(0, 8, &be(5060)),
        &hep_chunk(0, 9, &be4((time / 1_000_000_000) as usize)),
        &hep_chunk(0, 10, &be4((time % 1_000_000_000 / 1_000) as usize)),
        &hep_chunk(0, 11, &[1]),
        &hep_chunk(0, 12, &agent.to_be_bytes()),
        &hep_chunk(99, 15, b"of a vendor"),
        payload,
    ]);
    cat(&[b"HEP3", &be(6 + chunks.len()), &chunks])
}

/// As [`hep3`], without a time of its own.
pub fn hep3_now(sip: &Sip) -> Vec<u8> {
    let (src, dst) = sip.ends();
    let chunks = cat(&[
        &hep_chunk(0, 3, &src.octets()),
        &hep_chunk(0, 4, &dst.octets()),
        &hep_chunk(0, 7, &be(5060)),
        &hep_chunk(0, 8, &be(5060)),
        &hep_chunk(0, 15, &sip.text),
    ]);
    cat(&[b"HEP3", &be(6 + chunks.len()), &chunks])
}

/// HEP 1 or 2; `counted`: the length field counts the times of version 2, too.
pub fn hep_old(sip: &Sip, version: u8, counted: bool) -> Vec<u8> {
    let (src, dst) = sip.ends();
    let time = agent_time(sip.number);
    let (seconds, micros) = ((time / 1_000_000_000) as u32, (time % 1_000_000_000 / 1_000) as u32);
    let times = cat(&[&seconds.to_le_bytes(), &micros.to_le_bytes(), &9u16.to_le_bytes(), &[0; 2]]);
    let times = if version == 2 { times } else { Vec::new() };
    let length = 16 + if counted { times.len() as u8 } else { 0 };
    cat(&[&[version, length, 2, 17], &PORTS, &src.octets(), &dst.octets(), &times, &sip.text])
}
