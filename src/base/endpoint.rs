//! Transport addresses and connections.

use smallvec::SmallVec;
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            // As the standard library writes it, at a tenth of the cost: reports and findings are full of these.
            IpAddr::V4(ip) => {
                let mut text = SmallVec::<[u8; 24]>::new();
                let mut put = |number: u16, after: &[u8]| {
                    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                    text.extend_from_slice(after);
                };
                for (octet, after) in ip.octets().into_iter().zip([b".", b".", b".", b":"]) {
                    put(octet.into(), after);
                }
                put(self.port, b"");
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
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
        for ip in ["0.0.0.0", "10.1.20.30", "255.255.255.255", "198.51.100.7", "2001:db8::1", "::"] {
            for port in [0, 7, 5060, 65535] {
                let ip: IpAddr = ip.parse().unwrap();
                assert_eq!(Endpoint { ip, port }.to_string(), SocketAddr::new(ip, port).to_string());
            }
        }
    }
}
