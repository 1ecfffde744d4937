//! What the packets of a capture were: each is counted once, so that the counts add up to the packets read.

use crate::net::{Datagram, Skip, SkipKind};

/// What a packet was, in the order of the reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PacketKind {
    /// SIP in a UDP datagram.
    SipUdp,
    /// Of a TCP connection that carries SIP, also within TLS or WebSocket.
    SipTcp,
    /// SCTP that completed a SIP message.
    SipSctp,
    /// SIP that another program passed on (HEP, exported PDU).
    SipRelayed,
    /// Keep-alive of SIP (RFC 5626 3.5.1).
    KeepAlive,
    /// ICMP error about SIP.
    SipIcmp,
    /// What looks like RTP or RTCP.
    Media,
    /// To or from a port of DNS.
    Dns,
    /// Other UDP.
    OtherUdp,
    /// Of a TLS connection that is no SIP, as far as that shows.
    OtherTls,
    /// Of a TCP connection without SIP.
    OtherTcp,
    /// Of a TCP connection that carried nothing.
    EmptyTcp,
    /// SCTP without SIP: control, parts of messages, other messages.
    OtherSctp,
    /// What another program passed on and is no SIP.
    OtherRelayed,
    /// ICMP that is not about SIP.
    OtherIcmp,
    /// An IP fragment that did not complete its datagram; the one that does counts as what it completes.
    Fragment,
    /// IGMP.
    Igmp,
    /// OSPF.
    Ospf,
    /// Other protocols over IP.
    OtherIp,
    /// No IP: ARP, spanning tree, ...
    NotIp,
    /// Of a TLS connection that may be SIP and could not be read.
    SealedTls,
    /// Its content is cut off by the snap length.
    CutContent,
    /// A header is cut off by the snap length.
    CutHeader,
    /// A header that cannot be right.
    Malformed,
    /// Encrypted IPsec.
    Esp,
    /// Encrypted IEEE 802.11.
    Wifi,
    /// Encrypted Ethernet.
    MacSec,
    /// A link type that is not known.
    UnknownLink,
    /// Tunnels within tunnels, too many.
    TooDeep,
}

impl PacketKind {
    /// All of them, in order.
    pub const ALL: [Self; 29] = [
        Self::SipUdp,
        Self::SipTcp,
        Self::SipSctp,
        Self::SipRelayed,
        Self::KeepAlive,
        Self::SipIcmp,
        Self::Media,
        Self::Dns,
        Self::OtherUdp,
        Self::OtherTls,
        Self::OtherTcp,
        Self::EmptyTcp,
        Self::OtherSctp,
        Self::OtherRelayed,
        Self::OtherIcmp,
        Self::Fragment,
        Self::Igmp,
        Self::Ospf,
        Self::OtherIp,
        Self::NotIp,
        Self::SealedTls,
        Self::CutContent,
        Self::CutHeader,
        Self::Malformed,
        Self::Esp,
        Self::Wifi,
        Self::MacSec,
        Self::UnknownLink,
        Self::TooDeep,
    ];

    /// Stable name, as in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::SipUdp => "sip-udp",
            Self::SipTcp => "sip-tcp",
            Self::SipSctp => "sip-sctp",
            Self::SipRelayed => "sip-relayed",
            Self::KeepAlive => "sip-keep-alive",
            Self::SipIcmp => "sip-icmp",
            Self::Media => "media",
            Self::Dns => "dns",
            Self::OtherUdp => "other-udp",
            Self::OtherTls => "other-tls",
            Self::OtherTcp => "other-tcp",
            Self::EmptyTcp => "empty-tcp",
            Self::OtherSctp => "other-sctp",
            Self::OtherRelayed => "other-relayed",
            Self::OtherIcmp => "other-icmp",
            Self::Fragment => "ip-fragment",
            Self::Igmp => "igmp",
            Self::Ospf => "ospf",
            Self::OtherIp => "other-ip",
            Self::NotIp => "not-ip",
            Self::SealedTls => "sealed-tls",
            Self::CutContent => "cut-content",
            Self::CutHeader => "cut-header",
            Self::Malformed => "malformed-header",
            Self::Esp => "encrypted-esp",
            Self::Wifi => "encrypted-wifi",
            Self::MacSec => "encrypted-macsec",
            Self::UnknownLink => "unknown-link-type",
            Self::TooDeep => "too-deep",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SipUdp => "SIP over UDP",
            Self::SipTcp => "TCP connections with SIP",
            Self::SipSctp => "SIP over SCTP",
            Self::SipRelayed => "SIP passed on (HEP, exported)",
            Self::KeepAlive => "SIP keep-alive",
            Self::SipIcmp => "ICMP about SIP",
            Self::Media => "UDP, looks like RTP or RTCP",
            Self::Dns => "UDP, DNS",
            Self::OtherUdp => "UDP, other",
            Self::OtherTls => "TLS connections, not SIP",
            Self::OtherTcp => "TCP connections without SIP",
            Self::EmptyTcp => "TCP connections without content",
            Self::OtherSctp => "SCTP without a SIP message",
            Self::OtherRelayed => "passed on (HEP), not SIP",
            Self::OtherIcmp => "ICMP, not about SIP",
            Self::Fragment => "IP fragments before the last one",
            Self::Igmp => "IGMP",
            Self::Ospf => "OSPF",
            Self::OtherIp => "IP, other protocol",
            Self::NotIp => "not IP",
            Self::SealedTls => "TLS without its keys, may be SIP",
            Self::CutContent => "content cut by the snap length",
            Self::CutHeader => "header cut by the snap length",
            Self::Malformed => "malformed header",
            Self::Esp => "ESP, encrypted",
            Self::Wifi => "802.11, encrypted",
            Self::MacSec => "MACsec, encrypted",
            Self::UnknownLink => "unknown link type",
            Self::TooDeep => "tunnels nested too deeply",
        }
    }

    /// Whether it could not be read and may hold SIP, so that calls may be missing.
    pub fn may_hide_sip(self) -> bool {
        self >= Self::SealedTls
    }

    /// What a frame was that gave nothing.
    pub(super) fn of_skip(skip: &Skip) -> Self {
        match skip.kind {
            SkipKind::NotIp => Self::NotIp,
            SkipKind::OtherProtocol(1 | 58) => Self::OtherIcmp,
            SkipKind::OtherProtocol(2) => Self::Igmp,
            SkipKind::OtherProtocol(89) => Self::Ospf,
            SkipKind::OtherProtocol(_) => Self::OtherIp,
            SkipKind::Encrypted("802.11") => Self::Wifi,
            SkipKind::Encrypted("MACsec") => Self::MacSec,
            SkipKind::Encrypted(_) => Self::Esp,
            SkipKind::UnknownLinkType(_) => Self::UnknownLink,
            SkipKind::Malformed(_) => Self::Malformed,
            SkipKind::Cut(_) => Self::CutHeader,
            SkipKind::TooDeep => Self::TooDeep,
        }
    }

    /// What a datagram is that is no SIP.
    pub(super) fn of_datagram(datagram: &Datagram<'_>) -> Self {
        /// Fewer bytes than say that something is no SIP.
        const TOO_FEW: usize = 12;
        let dns = |port| matches!(port, 53 | 5353 | 5355);
        if datagram.missing > 0 && datagram.payload.len() < TOO_FEW {
            Self::CutContent
        } else if dns(datagram.src.port) || dns(datagram.dst.port) {
            Self::Dns
        } else if is_media(datagram.payload) {
            Self::Media
        } else {
            Self::OtherUdp
        }
    }
}

/// Whether this can well be RTP or RTCP (RFC 3550 5.1 and 6.4, told apart as in RFC 5761 4).
fn is_media(payload: &[u8]) -> bool {
    const RTP: usize = 12;
    const RTCP: usize = 8;
    match payload {
        [first, kind, ..] if first >> 6 == 2 => match (kind, kind & 0x7f) {
            (192..=223, _) => payload.len() >= RTCP,
            (_, 0..=34 | 96..=127) => payload.len() >= RTP + 4 * usize::from(first & 0x0f),
            _ => false,
        },
        _ => false,
    }
}

/// How many packets, and the first of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// How many.
    pub packets: u64,
    /// The first frame of them (0 when there is none).
    pub first: u32,
}

/// Packets by what they were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage([Counted; PacketKind::ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([Counted::default(); PacketKind::ALL.len()])
    }
}

impl Coverage {
    /// Counts one packet.
    pub(super) fn add(&mut self, kind: PacketKind, frame: u32) {
        self.add_all(kind, Counted { packets: 1, first: frame });
    }

    /// Counts several.
    pub(super) fn add_all(&mut self, kind: PacketKind, more: Counted) {
        let counted = &mut self.0[kind as usize];
        counted.first = if counted.packets == 0 { more.first } else { counted.first.min(more.first) };
        counted.packets += more.packets;
    }

    /// Takes one packet back that turned out to be of another kind.
    pub(super) fn uncount(&mut self, kind: PacketKind) {
        let counted = &mut self.0[kind as usize];
        counted.packets = counted.packets.saturating_sub(1);
    }

    /// Adds all of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(kind, counted)| self.add_all(kind, counted));
    }

    /// The packets of one kind.
    pub fn of(&self, kind: PacketKind) -> Counted {
        self.0[kind as usize]
    }

    /// The kinds that there were, in order.
    pub fn iter(&self) -> impl Iterator<Item = (PacketKind, Counted)> {
        PacketKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, counted)| counted.packets > 0)
    }

    /// All packets.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|counted| counted.packets).sum()
    }

    /// Packets that could not be read and may hold SIP.
    pub fn unread(&self) -> impl Iterator<Item = (PacketKind, Counted)> {
        self.iter().filter(|(kind, _)| kind.may_hide_sip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_at_its_own_place() {
        for (at, kind) in PacketKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
        }
    }

    #[test]
    fn the_first_frame_is_the_lowest_whatever_the_order() {
        let mut coverage = Coverage::default();
        for frame in [7, 3, 9] {
            coverage.add(PacketKind::Media, frame);
        }
        let mut whole = Coverage::default();
        whole.add(PacketKind::Media, 5);
        whole.merge(&coverage);
        assert_eq!(whole.of(PacketKind::Media), Counted { packets: 4, first: 3 });
        assert_eq!((whole.total(), whole.iter().count()), (4, 1));
    }

    #[test]
    fn media_is_known_by_its_header() {
        let rtp = [0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xff];
        assert!(is_media(&rtp) && is_media(&[0x81, 200, 0, 6, 1, 2, 3, 4]));
        assert!(!is_media(&rtp[..11]), "too short");
        assert!(!is_media(b"\x00\x01\x00\x00\x21\x12\xa4\x42 STUN ...."));
        assert!(!is_media(b"INVITE sip:x SIP/2.0"));
    }
}
