//! Messages without the packets that carried them, as Wireshark exports upper layers (link type 252).

use crate::base::{Connection, LinkType, Transport};
use std::net::IpAddr;

/// WIRESHARK_UPPER_PDU.
pub(super) const LINK: LinkType = LinkType(252);

/// Tags of epan/exported_pdu.h: 16-bit tag and length, value padded to 4, in network byte order.
mod tag {
    pub(super) const DISSECTOR: u16 = 12;
    pub(super) const SOURCE: [u16; 2] = [20, 22];
    pub(super) const DESTINATION: [u16; 2] = [21, 23];
    pub(super) const PORT_TYPE: u16 = 24;
    pub(super) const SOURCE_PORT: u16 = 25;
    pub(super) const DESTINATION_PORT: u16 = 26;
}

/// A message of SIP between the ends of `connection`.
pub(super) fn encode(connection: Connection, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 96);
    let Connection { src, dst, transport } = connection;
    put(&mut out, tag::DISSECTOR, b"sip\0");
    for (ip, [v4, v6]) in [(src.ip, tag::SOURCE), (dst.ip, tag::DESTINATION)] {
        match ip {
            IpAddr::V4(ip) => put(&mut out, v4, &ip.octets()),
            IpAddr::V6(ip) => put(&mut out, v6, &ip.octets()),
        }
    }
    let port_type: u32 = match transport {
        Transport::Sctp => 1,
        Transport::Udp => 3,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => 2,
    };
    put(&mut out, tag::PORT_TYPE, &port_type.to_be_bytes());
    put(&mut out, tag::SOURCE_PORT, &u32::from(src.port).to_be_bytes());
    put(&mut out, tag::DESTINATION_PORT, &u32::from(dst.port).to_be_bytes());
    put(&mut out, 0, b""); // the end of the tags
    out.extend_from_slice(message);
    out
}

/// All values here are of 4, 16 bytes or none: no padding.
fn put(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    out.extend_from_slice(&tag.to_be_bytes());
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Endpoint;
    use crate::net::{Decoded, decode};

    #[test]
    fn what_is_exported_is_read_back() {
        for ips in [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]] {
            let [src, dst] = ips.map(|ip| Endpoint { ip: ip.parse().unwrap(), port: 5061 });
            let bytes = encode(Connection { src, dst, transport: Transport::Tls }, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
            let Decoded::Relayed(relayed) = decode(LINK, &bytes, bytes.len() as u32) else { panic!() };
            assert_eq!(relayed.connection, Connection { src, dst, transport: Transport::Tcp });
            assert_eq!(relayed.payload, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
        }
    }
}
