//! From captured frames to what UDP and TCP carry: link layers, IP, tunnels, IP fragments.
//!
//! [`decode`] is pure and allocates nothing. Start reading at `walk.rs`, which goes from layer to
//! layer; a link type is one row of `link.rs`, a tunnel is one file and one row of `tunnel.rs`.

mod anatomy;
mod defrag;
mod erspan;
mod esp;
mod gre;
mod gtp;
mod hep;
mod hep_write;
mod history;
mod icmp;
mod ip;
mod l2tp;
mod layers;
mod link;
mod meta;
mod mpls;
mod nsh;
mod outer;
mod overlay;
mod pdu;
mod ppp;
mod relayed;
mod sctp;
mod stream;
mod tcp;
#[cfg(test)]
mod testing;
mod tls;
mod tunnel;
mod vxlan;
mod walk;
mod wifi;
mod ws;

pub use anatomy::{Piece, anatomy};
pub use defrag::{Defragmenter, Whole};
pub use hep::key as hep_key;
pub use hep_write::{HepMessage, write_datagram, write_hep};
pub use layers::{Ending, StreamData, StreamEvent};
pub use outer::{Encapsulation, outer, outer_ip};
pub use relayed::Relayed;
pub use sctp::{Sctp, SctpMessage, SctpMessages};
pub use tcp::{Carried, Ended, Streams};
pub use tls::{Offer, RsaKey, SealedTls, TlsKeys};
pub use wifi::Aggregate;

use crate::base::{AnomalyKind, Endpoint, LinkType, Transport};
use ip::Header;
use std::net::IpAddr;
use walk::{End, Next, Part};

/// What a frame holds for us.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// UDP.
    Datagram(Datagram<'a>),
    /// TCP.
    Segment(Segment<'a>),
    /// A part of an IP datagram, for the [`Defragmenter`].
    Fragment(Fragment<'a>),
    /// SCTP.
    Sctp(Sctp<'a>),
    /// An ICMP error about a UDP datagram or TCP segment.
    Icmp(IcmpError<'a>),
    /// A message that another program captured.
    Relayed(Relayed<'a>),
    /// Several frames in one of IEEE 802.11.
    Aggregate(Aggregate<'a>),
    /// Nothing for us, or not understood.
    Skipped(Skip),
}

/// A UDP datagram of the innermost IP header.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Identification of the IPv4 header (0 for IPv6).
    pub ip_id: u16,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload bytes that the length fields speak of but the capture lacks (snap length, mirrors that
    /// truncate, missing fragments).
    pub missing: u32,
}

/// A TCP segment of the innermost IP header.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Identification of the IPv4 header (0 for IPv6).
    pub ip_id: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload bytes that the length fields speak of but the capture lacks (snap length, mirrors that
    /// truncate, missing fragments).
    pub missing: u32,
}

/// Flags of a TCP header, as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// The sender is done.
    pub const FIN: Self = Self(1);
    /// First segment of a direction.
    pub const SYN: Self = Self(2);
    /// The connection is aborted.
    pub const RST: Self = Self(4);
    /// Push.
    pub const PSH: Self = Self(8);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(16);

    /// From the flags octet of the header.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A part of an IP datagram (RFC 791 3.2, RFC 8200 4.5).
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// Protocol of the whole datagram's payload (IPv6: what follows the fragment header).
    pub protocol: u8,
    /// Identification; 16 bits in IPv4.
    pub id: u32,
    /// Where `payload` belongs in the whole payload, in bytes.
    pub offset: u16,
    /// Whether further parts follow.
    pub more: bool,
    /// Captured part of the payload.
    pub payload: &'a [u8],
    /// Bytes of this part on the wire but not captured.
    pub missing: u32,
}

/// An ICMP or ICMPv6 error that quotes a UDP datagram or TCP segment (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// Who sent the error: the peer's host or a router on the way.
    pub from: IpAddr,
    /// Who is told.
    pub to: IpAddr,
    /// What went wrong.
    pub reason: IcmpReason,
    /// Whether it quotes UDP or TCP.
    pub transport: Transport,
    /// The datagram or segment, as far as quoted; what is not quoted counts as missing.
    pub quoted: Datagram<'a>,
}

/// Why a datagram was not delivered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IcmpReason {
    /// Nothing listens on the port.
    Port,
    /// The host does not answer or is not known.
    Host,
    /// No route.
    Net,
    /// The host does not speak the transport protocol.
    Protocol,
    /// A filter refused it.
    AdminProhibited,
    /// Too big for the next link and not to be fragmented.
    FragmentationNeeded,
    /// Its time to live, or the time to reassemble it, ran out.
    TimeExceeded,
    /// Another code.
    Other,
}

impl IcmpReason {
    /// Stable name, as in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Port => "port-unreachable",
            Self::Host => "host-unreachable",
            Self::Net => "net-unreachable",
            Self::Protocol => "protocol-unreachable",
            Self::AdminProhibited => "admin-prohibited",
            Self::FragmentationNeeded => "fragmentation-needed",
            Self::TimeExceeded => "time-exceeded",
            Self::Other => "other",
        }
    }
}

/// Why a frame gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skip {
    /// Why.
    pub kind: SkipKind,
    /// Byte offset in the frame up to which it was understood.
    pub offset: u32,
}

/// Why a frame gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SkipKind {
    /// A link-layer payload other than IP: ARP, spanning tree, PPP control, ...
    NotIp,
    /// IP, but no UDP, TCP, SCTP nor an ICMP error about UDP or TCP; the number is the IP protocol.
    OtherProtocol(u8),
    /// Encrypted: ESP with another cipher than null, 802.11 or MACsec; which one.
    Encrypted(&'static str),
    /// A link type we cannot decode.
    UnknownLinkType(LinkType),
    /// A header that cannot be right; which one.
    Malformed(&'static str),
    /// The snap length ends within a header; which one.
    Cut(&'static str),
    /// Tunnels nested deeper than [`crate::base::limits::TUNNEL_DEPTH`].
    TooDeep,
}

impl Skip {
    /// The anomaly to record; none for frames that are fine but not for us.
    pub fn anomaly(&self) -> Option<AnomalyKind> {
        match self.kind {
            SkipKind::NotIp | SkipKind::OtherProtocol(_) | SkipKind::Encrypted(_) => None,
            SkipKind::UnknownLinkType(_) => Some(AnomalyKind::UnknownLinkType),
            SkipKind::Malformed(_) => Some(AnomalyKind::MalformedHeader),
            SkipKind::Cut(_) => Some(AnomalyKind::CutFrame),
            SkipKind::TooDeep => Some(AnomalyKind::TunnelDepth),
        }
    }

    /// One phrase for people.
    pub fn text(&self) -> String {
        match self.kind {
            SkipKind::OtherProtocol(protocol) => {
                format!("IP protocol {protocol} is not looked into")
            }
            SkipKind::UnknownLinkType(LinkType(link)) => format!("link type {link} is not known"),
            SkipKind::Malformed(layer) => format!("{layer} header is malformed"),
            SkipKind::Cut(layer) => format!("{layer} header is cut by the snap length"),
            SkipKind::NotIp => "not IP".to_owned(),
            SkipKind::Encrypted(layer) => format!("{layer} is encrypted"),
            SkipKind::TooDeep => "nested too deeply".to_owned(),
        }
    }
}

/// What the frame `data` of `original` bytes on the wire holds.
pub fn decode(link: LinkType, data: &[u8], original: u32) -> Decoded<'_> {
    let missing = original.saturating_sub(data.len() as u32);
    let mut part = Part { bytes: data, missing };
    let Some(strip) = link::row(link) else {
        return Decoded::Skipped(Skip { kind: SkipKind::UnknownLinkType(link), offset: 0 });
    };
    let mut header = Header::NONE;
    let walked = strip(&mut part).and_then(|next| walk::walk(&mut part, &mut header, next, &mut ()));
    finish(data, &part, &header, walked)
}

/// What the IP datagram `data` holds: for [`Whole::bytes`].
pub fn decode_ip(data: &[u8]) -> Decoded<'_> {
    let mut part = Part { bytes: data, missing: 0 };
    let mut header = Header::NONE;
    let walked = walk::walk(&mut part, &mut header, Next::Ip, &mut ());
    finish(data, &part, &header, walked)
}

/// Reads a HEP packet that came over TCP from `host`: for [`StreamData::Hep`].
pub fn decode_hep(packet: &[u8], host: IpAddr) -> Decoded<'_> {
    let mut part = Part { bytes: packet, missing: 0 };
    let read = hep::read(&mut part, host).map(Decoded::Relayed).map(End::Other);
    finish(packet, &part, &Header::NONE, read)
}

#[inline]
fn finish<'a>(frame: &'a [u8], rest: &Part<'a>, header: &Header, walked: Result<End<'a>, SkipKind>) -> Decoded<'a> {
    match walked {
        Ok(End::Udp(ports)) => Decoded::Datagram(walk::datagram(rest, header, ports)),
        Ok(End::Other(Decoded::Aggregate(all))) => Decoded::Aggregate(Aggregate { whole: frame, ..all }),
        Ok(End::Other(decoded)) => decoded,
        Err(kind) => {
            let offset = rest.bytes.as_ptr().addr().saturating_sub(frame.as_ptr().addr());
            Decoded::Skipped(Skip { kind, offset: offset as u32 })
        }
    }
}

#[cfg(test)]
mod tests;
