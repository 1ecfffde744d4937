//! Writes what this module reads: HEP 3 packets, and the datagrams that packets came in.
//! (<https://github.com/sipcapture/HEP>)

use super::hep::{HEAD, MAGIC};
use super::walk::{SCTP, TCP, UDP};
use crate::base::{Connection, Endpoint, Timestamp, Transport};
use etherparse::PacketBuilder;
use std::net::IpAddr;

/// Hops that a packet of ours could go; it goes none.
const TTL: u8 = 64;
/// The kind of payload that is SIP.
const SIP: u8 = 1;

/// A message for a collector.
#[derive(Clone, Copy, Debug)]
pub struct HepMessage<'a> {
    /// Who sent it to whom.
    pub connection: Connection,
    /// When; HEP has microseconds.
    pub time: Timestamp,
    /// Number of the agent that captured it.
    pub agent: u32,
    /// What proves to the collector that it is one of its agents; empty for nothing.
    pub key: &'a [u8],
    /// What ties messages of one call together: the Call-ID.
    pub correlation: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

/// The HEP 3 packet for a message; none when it is longer than its length can tell (65,535 bytes).
pub fn write_hep(message: &HepMessage<'_>) -> Option<Vec<u8>> {
    let HepMessage { connection: Connection { src, dst, transport }, time, agent, key, correlation, payload } =
        *message;
    let mut out = Vec::with_capacity(payload.len() + correlation.len() + key.len() + 160);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 2]);
    let mut chunk = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + HEAD).ok()?;
        out.extend_from_slice(&[0; 2]); // of no vendor
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value);
        Some(())
    };
    let protocol = match transport {
        Transport::Udp => UDP,
        Transport::Sctp => SCTP,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => TCP,
    };
    // AF_INET and AF_INET6, as Linux counts them.
    chunk(1, &[if src.ip.is_ipv4() { 2 } else { 10 }])?;
    chunk(2, &[protocol])?;
    for (ip, kinds) in [(src.ip, [3, 5]), (dst.ip, [4, 6])] {
        match ip {
            IpAddr::V4(ip) => chunk(kinds[0], &ip.octets())?,
            IpAddr::V6(ip) => chunk(kinds[1], &ip.octets())?,
        }
    }
    chunk(7, &src.port.to_be_bytes())?;
    chunk(8, &dst.port.to_be_bytes())?;
    let nanos = time.as_nanos().max(0).unsigned_abs();
    chunk(9, &((nanos / 1_000_000_000) as u32).to_be_bytes())?;
    chunk(10, &((nanos % 1_000_000_000 / 1_000) as u32).to_be_bytes())?;
    chunk(11, &[SIP])?;
    chunk(12, &agent.to_be_bytes())?;
    if !key.is_empty() {
        chunk(14, key)?;
    }
    if !correlation.is_empty() {
        chunk(17, correlation)?;
    }
    chunk(15, payload)?;
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    out.get_mut(4..6)?.copy_from_slice(&length);
    Some(out)
}

/// The IP packet in which a datagram came; none when it is longer than that can be, or the addresses are of two kinds.
pub fn write_datagram(src: Endpoint, dst: Endpoint, payload: &[u8]) -> Option<Vec<u8>> {
    let builder = match (src.ip, dst.ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), TTL),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), TTL),
        _ => return None,
    };
    let builder = builder.udp(src.port, dst.port);
    let mut out = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut out, payload).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LinkType;
    use crate::net::{Decoded, decode, decode_hep, hep_key};

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { ip: ip.parse().unwrap(), port }
    }

    fn message(src: Endpoint, dst: Endpoint, transport: Transport, payload: &[u8]) -> HepMessage<'_> {
        let connection = Connection { src, dst, transport };
        let time = Timestamp::from_nanos(1_700_000_000_123_456_000);
        HepMessage { connection, time, agent: 7, key: b"secret", correlation: b"call-1@a", payload }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let payload = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n";
        for (a, b) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            for transport in [Transport::Udp, Transport::Tcp, Transport::Sctp] {
                let sent = message(end(a, 5060), end(b, 5062), transport, payload);
                let packet = write_hep(&sent).unwrap();
                assert_eq!(hep_key(&packet), Some(&b"secret"[..]));
                let host = "127.0.0.1".parse().unwrap();
                let Decoded::Relayed(told) = decode_hep(&packet, host) else { panic!("no HEP") };
                assert_eq!((told.connection, told.time), (sent.connection, Some(sent.time)));
                assert_eq!((told.payload, told.missing), (&payload[..], 0));
                assert_eq!(told.agent & 0xffff_ffff, 7);
            }
        }
    }

    #[test]
    fn what_came_is_put_into_a_packet_that_says_so() {
        let packet = write_hep(&message(end("192.0.2.1", 5060), end("192.0.2.2", 5060), Transport::Udp, b"x")).unwrap();
        for (a, b) in [("127.0.0.1", "127.0.0.2"), ("::1", "::1")] {
            let whole = write_datagram(end(a, 40_000), end(b, 9_060), &packet).unwrap();
            let decoded = decode(LinkType(101), &whole, whole.len() as u32);
            assert!(matches!(decoded, Decoded::Relayed(_)), "{decoded:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let (a, b) = (end("192.0.2.1", 1), end("192.0.2.2", 2));
        assert!(write_hep(&message(a, b, Transport::Udp, &vec![b'x'; 65_500])).is_none());
        assert!(write_datagram(a, b, &vec![0; 65_508]).is_none());
        assert!(write_datagram(a, end("::1", 2), b"x").is_none());
    }
}
