//! Transport addresses and connections.

use std::fmt;
use std::net::IpAddr;

/// One IP address and port, of the innermost IP header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// UDP, TCP or SCTP port.
    pub port: u16,
}

impl Endpoint {
    /// Its text, without the formatting machinery of the standard library: reports and findings are full of these.
    pub fn text(self) -> EndpointText {
        let mut text = EndpointText { bytes: [0; LONGEST], length: 0 };
        match self.ip {
            IpAddr::V4(ip) => {
                ip.octets().into_iter().for_each(|octet| text.octet(octet));
                text.length -= 1;
                text.push(b':');
                itoa::Buffer::new().format(self.port).bytes().for_each(|digit| text.push(digit));
            }
            IpAddr::V6(ip) => drop(fmt::Write::write_fmt(&mut text, format_args!("[{ip}]:{}", self.port))),
        }
        text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// An endpoint as the standard library writes it: `192.0.2.1:5060`, `[2001:db8::1]:5060`.
#[derive(Clone, Copy, Debug)]
pub struct EndpointText {
    bytes: [u8; LONGEST],
    length: usize,
}

/// Eight groups of four digits with seven colons, or six groups and an IPv4 address; brackets, colon and port.
const LONGEST: usize = 56;

/// Each number of an IPv4 address with a point behind it, and how long that is.
const OCTETS: [([u8; 4], usize); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut number = 0;
    while number < octets.len() {
        let [a, b, c] = [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        octets[number] = match number {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        number += 1;
    }
    octets
};

impl EndpointText {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text, all of it ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// A number with a point behind it.
    fn octet(&mut self, octet: u8) {
        let (digits, length) = OCTETS[usize::from(octet)];
        if let Some(room) = self.bytes.get_mut(self.length..self.length + digits.len()) {
            room.copy_from_slice(&digits);
            self.length += length;
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(room) = self.bytes.get_mut(self.length) {
            *room = byte;
            self.length += 1;
        }
    }
}

impl fmt::Write for EndpointText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

/// What carried a SIP message (RFC 3261 18, RFC 7118, RFC 4168).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// UDP: unreliable, SIP itself retransmits.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP, decrypted with a key log.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// SCTP (RFC 4168).
    Sctp,
}

impl Transport {
    /// Every transport, in the order of the reports.
    pub const ALL: [Self; 6] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Sctp];

    /// Whether SIP timers A, E and G do not run on it (RFC 3261 17).
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// Name as in a Via header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
            Self::Sctp => "SCTP",
        }
    }
}

/// A 5-tuple with its direction: who sent to whom, over what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection {
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Transport protocol.
    pub transport: Transport,
}

impl Connection {
    /// The same connection in the other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src, transport: self.transport }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn endpoints_are_told_as_socket_addresses() {
        const LONG: &str = "1111:2222:3333:4444:5555:6666:7777:8888";
        for ip in [
            "0.0.0.0",
            "10.1.20.30",
            "255.255.255.255",
            "198.51.100.7",
            "2001:db8::1",
            "::",
            LONG,
            "::ffff:255.255.255.255",
        ] {
            for port in [0, 7, 5060, 65535] {
                let ip: IpAddr = ip.parse().unwrap();
                assert_eq!(Endpoint { ip, port }.to_string(), SocketAddr::new(ip, port).to_string());
            }
        }
    }
}
