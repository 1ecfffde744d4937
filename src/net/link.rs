//! Link layers: the table of link types, and what EtherTypes stand for.

use super::walk::{Next, Part, Strip};
use super::{SkipKind, meta, mpls, nsh, ppp, walk, wifi};
use crate::base::LinkType;

/// Largest IEEE 802.3 length; above 1535 the field is an EtherType.
const MAX_LENGTH: u16 = 1500;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Ethernet in Ethernet-typed tunnels ("transparent Ethernet bridging", RFC 1701).
pub(super) const BRIDGED: u16 = 0x6558;
const CISCO_METADATA: u16 = 0x8909;

/// The table of link types (LINKTYPE_ values of pcap).
pub(super) fn row(link: LinkType) -> Option<Strip> {
    Some(match link.0 {
        0 | 108 => loopback,
        1 => ethernet,
        9 => ppp::ppp,
        10 => fddi,
        12 | 14 | 101 | 228 | 229 => |_| Ok(Next::Ip),
        50 | 104 => ppp::hdlc,
        51 => ppp::session,
        100 => llc,
        105 => wifi::frame,
        109 => encrypted,
        113 => cooked,
        117 => meta::pflog,
        119 | 163 => wifi::prism_or_avs,
        127 => wifi::radiotap,
        138 => firewire,
        166 | 204 => ppp::directed,
        192 => meta::ppi,
        226 => meta::ipnet,
        239 => meta::nflog,
        240 => |part| part.skip(4, "netANALYZER").and_then(|()| ethernet(part)),
        248 => |_| Ok(Next::Protocol(walk::SCTP)),
        252 => |_| Ok(Next::Pdu),
        258 => meta::pktap,
        276 => cooked2,
        _ => return None,
    })
}

/// The table of EtherTypes.
#[inline]
pub(super) fn payload(part: &mut Part<'_>, ether_type: u16) -> Result<Next, SkipKind> {
    match ether_type {
        IPV4 | IPV6 => Ok(Next::Ip),
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => vlan(part),
        0x8847 | 0x8848 => mpls::strip(part),
        0x8864 => ppp::session(part),
        0x880b => ppp::ppp(part),
        BRIDGED => ethernet(part),
        0..=MAX_LENGTH => {
            part.trim(ether_type.into());
            llc(part)
        }
        _ => rare(part, ether_type),
    }
}

/// EtherTypes that are met now and then.
#[cold]
fn rare(part: &mut Part<'_>, ether_type: u16) -> Result<Next, SkipKind> {
    match ether_type {
        // IEEE 802.1ah: service tag, then the customer's frame.
        0x88e7 => part.skip(4, "802.1ah").and_then(|()| ethernet(part)),
        // IEEE 802.1BR and Cisco VN: tags before the next EtherType.
        0x893f => part.skip(6, "802.1BR").and_then(|()| next_ether_type(part)),
        0x8926 => part.skip(4, "VN-Tag").and_then(|()| next_ether_type(part)),
        CISCO_METADATA => cisco_metadata(part),
        nsh::ETHER_TYPE => nsh::strip(part),
        0x88e5 => Err(SkipKind::Encrypted("MACsec")),
        _ => Err(SkipKind::NotIp),
    }
}

/// Cisco metadata (security group tags): version 1, number of options of 4 bytes, options.
fn cisco_metadata(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [_, options] = *part.take("Cisco metadata")?;
    part.skip(usize::from(options) * 4, "Cisco metadata")?;
    next_ether_type(part)
}

fn next_ether_type(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.take("EtherType").map(|field| Next::EtherType(u16::from_be_bytes(*field)))
}

/// Whether `bytes` can well be an Ethernet frame with something known in it. For places where no
/// field says what follows.
pub(super) fn is_ethernet(bytes: &[u8]) -> bool {
    let (Some(ether_type), version) = (bytes.get(12..14), bytes.get(14).map(|octet| octet >> 4)) else {
        return false;
    };
    match u16::from_be_bytes([ether_type[0], ether_type[1]]) {
        IPV4 => version == Some(4),
        IPV6 => version == Some(6),
        CISCO_METADATA | 0x0806 | 0x8100 | 0x88a8 | 0x8847 | 0x8864 => true,
        _ => false,
    }
}

/// Ethernet II and IEEE 802.3.
pub(super) fn ethernet(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [.., high, low] = *part.take::<14>("Ethernet")?;
    Ok(Next::EtherType(u16::from_be_bytes([high, low])))
}

/// IEEE 802.1Q and 802.1ad, after the EtherType: tag control information, then the next EtherType.
fn vlan(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [_, _, high, low] = *part.take("VLAN")?;
    Ok(Next::EtherType(u16::from_be_bytes([high, low])))
}

/// IEEE 802.2 with SNAP (RFC 1042), or IP right behind (SAP 6).
pub(super) fn llc(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    match *part.take("LLC")? {
        [0xaa, 0xaa, 0x03] => match *part.take("SNAP")? {
            [0, 0, 0 | 0xf8, high, low] => Ok(Next::EtherType(u16::from_be_bytes([high, low]))),
            _ => Err(SkipKind::NotIp),
        },
        [0x06, 0x06, 0x03] => Ok(Next::Ip),
        _ => Err(SkipKind::NotIp),
    }
}

/// Linux "any" interface, version 1.
fn cooked(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [.., high, low] = *part.take::<16>("Linux cooked")?;
    cooked_payload(part, u16::from_be_bytes([high, low]))
}

/// Linux "any" interface, version 2: the protocol comes first.
fn cooked2(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let [high, low, ..] = *part.take::<20>("Linux cooked")?;
    cooked_payload(part, u16::from_be_bytes([high, low]))
}

/// Below the EtherTypes are numbers of the kernel, not lengths; 4 is 802.2.
fn cooked_payload(part: &mut Part<'_>, protocol: u16) -> Result<Next, SkipKind> {
    match protocol {
        4 => llc(part),
        0..=MAX_LENGTH => Err(SkipKind::NotIp),
        _ => Ok(Next::EtherType(protocol)),
    }
}

/// BSD loopback: an address family in the byte order of the capturing host (0) or the network's (108).
/// Values are small, so the order shows. AF_INET is 2 everywhere; AF_INET6 is 24 (NetBSD, OpenBSD),
/// 28 (FreeBSD), 30 (macOS), 10 (Linux) or 23 (Windows).
fn loopback(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let family = *part.take("loopback")?;
    match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Next::Ip),
        _ => Err(SkipKind::NotIp),
    }
}

/// FDDI: frame control, addresses, IEEE 802.2.
fn fddi(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.skip(13, "FDDI")?;
    llc(part)
}

/// IP over IEEE 1394 (Apple): two addresses of 8 bytes, EtherType.
fn firewire(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.skip(16, "FireWire")?;
    next_ether_type(part)
}

/// BSD `enc` interface: packets before encryption or after decryption, behind address family,
/// security parameters index and flags.
fn encrypted(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.skip(12, "enc").map(|()| Next::Ip)
}
