//! Packet filters in libpcap's language, applied to any source.

use super::{CaptureInfo, Comment, More, Names, Source};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Batch, Error, LinkType, PacketMeta};
use pcap::{BpfProgram, Capture, Linktype};
use std::collections::BTreeMap;

/// Fragments behind the first have no ports, so that a filter that names ports would drop them
/// and with them every large message: IPv4 by its offset, IPv6 by its fragment header.
const FRAGMENTS: &str = "(ip[6:2] & 0x1fff != 0) or (ip6[6] == 44)";
/// Link types on which an expression is tried to see if it means anything: Ethernet, raw IP,
/// Linux cooked, 802.11 with radiotap.
const TRIED: [LinkType; 4] = [LinkType(1), LinkType(101), LinkType(113), LinkType(127)];

/// Ethernet types of VLAN tags: 802.1Q, 802.1ad, and two from before it.
const TAGS: [[u8; 2]; 4] = [[0x81, 0], [0x88, 0xa8], [0x91, 0], [0x92, 0]];

/// The packets of a source that match a filter expression.
///
/// VLAN tags are looked through, as Linux does when it filters while capturing, unless the
/// expression speaks of them; in a file libpcap itself finds nothing behind a tag. The expression is compiled once for each link type. Where it names ports, IP fragments that
/// carry none pass as well. On a link type for which libpcap cannot compile it, no packet matches,
/// and an anomaly says so. Frame numbers stay those of the source.
pub struct Filtered {
    source: Box<dyn Source>,
    expression: String,
    names_vlans: bool,
    /// A packet without its tags.
    untagged: Vec<u8>,
    /// None where it does not apply.
    programs: BTreeMap<LinkType, Option<BpfProgram>>,
    anomalies: Anomalies,
}

impl Filtered {
    /// Filters `source` by `expression`.
    ///
    /// # Errors
    /// [`Error::Filter`] when libpcap does not accept the expression for any common link type.
    pub fn new(source: Box<dyn Source>, expression: &str) -> Result<Self, Error> {
        let refused = |why: pcap::Error| Error::Filter { expression: expression.to_owned(), why: reason(&why) };
        let mut trials = TRIED.into_iter().map(|link| compile(expression, link));
        match trials.next() {
            Some(Err(why)) if trials.all(|trial| trial.is_err()) => Err(refused(why)),
            _ => Ok(Self {
                source,
                expression: expression.to_owned(),
                names_vlans: words(expression).any(|word| word == "vlan"),
                untagged: Vec::new(),
                programs: BTreeMap::new(),
                anomalies: Anomalies::default(),
            }),
        }
    }

    fn matches(&mut self, packet: &PacketMeta, data: &[u8]) -> bool {
        if !self.programs.contains_key(&packet.link) {
            self.compile_for(packet);
        }
        let Some(Some(program)) = self.programs.get(&packet.link) else {
            return false;
        };
        if !self.names_vlans && take_tags(packet.link, data, &mut self.untagged) {
            return program.filter(&self.untagged);
        }
        program.filter(data)
    }

    fn compile_for(&mut self, packet: &PacketMeta) {
        let program = compile(&self.expression, packet.link);
        if let Err(why) = &program {
            let link = super::link_type_name(packet.link);
            let text = format!("the filter does not apply to link type {link}: {}", reason(why));
            self.anomalies.add(Anomaly::new(AnomalyKind::UnknownLinkType, packet.frame, 0, text));
        }
        self.programs.insert(packet.link, program.ok());
    }
}

impl Source for Filtered {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<More, Error> {
        loop {
            if self.source.next_batch(batch)? == More::End {
                return Ok(More::End);
            }
            let mut packets = std::mem::take(&mut batch.packets);
            packets.retain(|packet| self.matches(packet, batch.data(packet)));
            batch.packets = packets;
            if !batch.packets.is_empty() {
                return Ok(More::More);
            }
        }
    }

    fn captures(&self) -> &[CaptureInfo] {
        self.source.captures()
    }

    fn take_anomalies(&mut self) -> Anomalies {
        let mut anomalies = self.source.take_anomalies();
        anomalies.merge(std::mem::take(&mut self.anomalies));
        anomalies
    }

    fn key_log(&mut self) -> Vec<u8> {
        self.source.key_log()
    }

    fn point(&self, interface: u32) -> (usize, u32) {
        self.source.point(interface)
    }

    fn names(&self) -> &Names {
        self.source.names()
    }

    fn comments(&self) -> &[Comment] {
        self.source.comments()
    }
}

/// Copies a packet with VLAN tags without them; whether it has any.
fn take_tags(link: LinkType, data: &[u8], out: &mut Vec<u8>) -> bool {
    // Where the type of the payload stands, and where the payload begins.
    let (kind, header) = match link.0 {
        1 => (12, 14),
        113 => (14, 16),
        276 => (0, 20),
        _ => return false,
    };
    let is_tag = |at: usize| data.get(at..at + 2).is_some_and(|kind| TAGS.iter().any(|tag| tag == kind));
    if !is_tag(kind) {
        return false;
    }
    // A tag is two bytes of it and the type of what follows.
    let mut last = header + 2;
    while is_tag(last) {
        last += 4;
    }
    let (Some(head), Some([one, two, rest @ ..])) = (data.get(..header), data.get(last..)) else {
        return false;
    };
    out.clear();
    out.extend_from_slice(head);
    out[kind..kind + 2].copy_from_slice(&[*one, *two]);
    out.extend_from_slice(rest);
    true
}

fn compile(expression: &str, link: LinkType) -> Result<BpfProgram, pcap::Error> {
    let capture = Capture::dead(data_link_type(link))?;
    // On its own first: the brackets of the larger one would let `a) or (b` pass.
    let plain = capture.compile(expression, true)?;
    if !names_ports(expression) {
        return Ok(plain);
    }
    Ok(capture.compile(&widened(expression), true).unwrap_or(plain))
}

/// `expression`, and fragments that have no ports.
fn widened(expression: &str) -> String {
    // Fragments last: `vlan` and `mpls` move the offsets of all that follows them.
    format!("({expression}) or {FRAGMENTS}")
}

/// Has the kernel filter what `device` captures, as [`Filtered`] does with a file.
pub(super) fn set(device: &mut Capture<pcap::Active>, expression: &str) -> Result<(), Error> {
    let refused = |why: &pcap::Error| Error::Filter { expression: expression.to_owned(), why: reason(why) };
    device.filter(expression, true).map_err(|why| refused(&why))?;
    if names_ports(expression) && device.filter(&widened(expression), true).is_err() {
        device.filter(expression, true).map_err(|why| refused(&why))?;
    }
    Ok(())
}

/// Whether `expression` looks behind the IP header for something that only first fragments have.
fn names_ports(expression: &str) -> bool {
    let spaced = expression.replace(' ', "");
    let index = ["udp[", "tcp[", "sctp["].iter().any(|start| spaced.contains(start));
    index || words(expression).any(|word| word == "port" || word == "portrange")
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric())
}

/// libpcap compiles for the DLT_ numbers of this system, which differ from those in files for raw
/// IP and ATM only (pcap-common.c; Linux).
fn data_link_type(link: LinkType) -> Linktype {
    Linktype(match link.0 {
        100 => 11,
        101 => 12,
        other => i32::from(other),
    })
}

/// libpcap's words alone.
pub(super) fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(words) => words.clone(),
        other => other.to_string(),
    }
}
