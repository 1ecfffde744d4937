//! What a packet was wrapped in, for people. Found by a second walk over the few frames that are asked
//! for, so that the first one, over every frame, costs nothing.

use super::ip::Header;
use super::walk::{self, Next, Part, Trace};
use super::{hep, link, tunnel};
use crate::base::LinkType;
use smallvec::SmallVec;
use std::fmt;
use std::net::IpAddr;

/// Layers told of one packet; the rest of a deeper one is left out.
const LAYERS: usize = 8;

/// The layers around a packet that are not those of a plain one, outermost first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Encapsulation(SmallVec<[Layer; 2]>);

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Layer {
    /// IEEE 802.1Q or 802.1ad, with its number.
    Vlan(u16),
    /// Outermost label of a stack.
    Mpls(u32),
    /// A header between link layer and IP.
    Link(&'static str),
    /// Something between two hosts.
    Tunnel { name: &'static str, src: IpAddr, dst: IpAddr },
}

impl Encapsulation {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These layers and `inner` within them.
    #[must_use]
    pub fn around(&self, inner: &Self) -> Self {
        Self(self.0.iter().chain(&inner.0).take(LAYERS).copied().collect())
    }
}

/// "VLAN 100, GRE 10.0.0.1 > 10.0.0.2".
impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, layer)| {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match layer {
                Layer::Vlan(number) => write!(f, "VLAN {number}"),
                Layer::Mpls(label) => write!(f, "MPLS {label}"),
                Layer::Link(name) => f.write_str(name),
                Layer::Tunnel { name, src, dst } => write!(f, "{name} {src} > {dst}"),
            }
        })
    }
}

/// What the frame `data` wraps its innermost packet in.
pub fn outer(link: LinkType, data: &[u8]) -> Encapsulation {
    if is_plain(link, data) {
        return Encapsulation::default();
    }
    let mut part = Part { bytes: data, missing: 0 };
    let mut trace = Recorder::default();
    if let Some(Ok(next)) = link::row(link).map(|strip| strip(&mut part)) {
        let mut header = Header::NONE;
        let _ = walk::walk(&mut part, &mut header, next, &mut trace);
    }
    Encapsulation(trace.layers)
}

/// What the IP datagram `data` wraps its innermost packet in: for [`super::Whole::bytes`].
pub fn outer_ip(data: &[u8]) -> Encapsulation {
    let mut part = Part { bytes: data, missing: 0 };
    let mut trace = Recorder::default();
    let mut header = Header::NONE;
    let _ = walk::walk(&mut part, &mut header, Next::Ip, &mut trace);
    Encapsulation(trace.layers)
}

/// Whether this is Ethernet, IPv4 and UDP without a tunnel in it, as nearly all SIP is.
fn is_plain(link: LinkType, data: &[u8]) -> bool {
    const UDP_OVER_IPV4: [u8; 3] = [0x08, 0x00, 0x45];
    const PAYLOAD: usize = 14 + 20 + 8;
    let port = |at: usize| data.get(at..).and_then(|rest| rest.first_chunk()).map(|port| u16::from_be_bytes(*port));
    link == LinkType(1)
        && data.get(12..15) == Some(&UDP_OVER_IPV4)
        && data.get(23) == Some(&walk::UDP)
        && [34, 36].into_iter().all(|at| port(at).is_some_and(|port| tunnel::name_by_port(port).is_none()))
        && data.get(PAYLOAD..).is_some_and(|payload| !hep::begins(payload))
}

/// Keeps what is not plain.
#[derive(Default)]
struct Recorder {
    layers: SmallVec<[Layer; 2]>,
    /// What the last IP header carries: a tunnel, if the walk goes on behind it.
    carried: Option<Layer>,
}

impl Recorder {
    fn keep(&mut self, layer: Layer) {
        if self.layers.len() < LAYERS {
            self.layers.push(layer);
        }
    }
}

impl Trace for Recorder {
    fn pass(&mut self, next: Next, part: &Part<'_>, header: &Header) {
        let tunnel = |name| Layer::Tunnel { name, src: header.src, dst: header.dst };
        let carried = self.carried.take();
        if let Some(layer) = if next == Next::Hep { Some(tunnel("HEP")) } else { carried } {
            self.keep(layer);
        }
        match next {
            Next::EtherType(ether_type) => {
                if let Some(layer) = of_ether_type(ether_type, part) {
                    self.keep(layer);
                }
            }
            Next::Protocol(protocol) => self.carried = tunnel::name(protocol, part.bytes).map(tunnel),
            Next::Ip | Next::Link(_) | Next::Aggregate | Next::Hep | Next::Pdu => {}
        }
    }
}

fn of_ether_type(ether_type: u16, part: &Part<'_>) -> Option<Layer> {
    Some(match (ether_type, part.bytes) {
        (0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300, [high, low, ..]) => {
            Layer::Vlan(u16::from_be_bytes([*high, *low]) & 0x0fff)
        }
        (0x8847 | 0x8848, [a, b, c, _, ..]) => Layer::Mpls(u32::from_be_bytes([0, *a, *b, *c]) >> 4),
        (0x8864, _) => Layer::Link("PPPoE"),
        (0x88e7, _) => Layer::Link("802.1ah"),
        (0x893f, _) => Layer::Link("802.1BR"),
        (0x8926, _) => Layer::Link("VN-Tag"),
        (super::nsh::ETHER_TYPE, _) => Layer::Link("NSH"),
        _ => return None,
    })
}
