//! The standard call in every link type, tunnel and transport: 7 of 7 (`--nocapture` prints the table).
//!
//! With `CALLFLOW_ENCAPSULATIONS=DIR` each form is written to DIR as a pcap file, to be held against
//! other programs.

mod agents;
mod hostile;
pub mod streams;
mod table;
pub mod wire;

use crate::support::packets::START;
use crate::support::{Told, tell_batch, tell_batch_with};
use callflow::analysis::{Options, RsaKey};
use callflow::base::{Batch, LinkType, PacketMeta, Transport};
use callflow::call::Outcome;
use std::path::Path;
use std::time::Duration;
use table::{Row, TABLE};

/// Frames of one link type, 10 ms apart, in one batch.
pub fn batch(link: u16, frames: &[Vec<u8>]) -> Batch {
    let mut batch = Batch::default();
    let mut bytes = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        batch.packets.push(PacketMeta {
            frame: at as u32 + 1,
            time: START.after(Duration::from_millis(10 * at as u64)),
            buffer: 0,
            offset: bytes.len() as u64,
            captured: frame.len() as u32,
            original: frame.len() as u32,
            link: LinkType(link),
            interface: 0,
        });
        bytes.extend_from_slice(frame);
    }
    batch.buffers.push(bytes.into());
    batch
}

fn tell(link: u16, frames: &[Vec<u8>]) -> Told {
    tell_batch(&batch(link, frames))
}

/// What opens the TLS of a row: the key log of its recording, or a private key.
fn keys(row: &Row) -> Options {
    let rsa_keys = RsaKey::parse(include_bytes!("../../../testdata/tls/rsa/server.pem")).unwrap();
    Options { key_log: row.keys.into(), rsa_keys, ..Options::default() }
}

/// What is wrong with what was made of a row; nothing if it is the standard call.
fn wrong(row: &Row, told: &Told) -> Option<String> {
    let stats = &told.analysis.stats;
    let addresses: std::collections::BTreeSet<String> = told
        .analysis
        .seen
        .iter()
        .flat_map(|seen| [seen.connection.src.to_string(), seen.connection.dst.to_string()])
        .collect();
    let expected = match row.name {
        name if name.contains("6 inside") => ["[2001:db8::1]:5060", "[2001:db8::2]:5060"],
        "SCTP, link type" => ["0.0.0.0:5060", "0.0.0.0:5060"],
        _ => ["192.0.2.1:5060", "198.51.100.2:5060"],
    };
    if stats.messages - stats.captured_twice != 7 || stats.malformed > 0 || stats.retransmissions > 0 {
        Some(format!("{stats:?}"))
    } else if told.analysis.calls.len() != 1 || told.analysis.calls[0].outcome != Outcome::Answered {
        Some(format!("{} calls, {:?}", told.analysis.calls.len(), told.analysis.calls.first().map(|call| call.outcome)))
    } else if addresses != expected.map(String::from).into() {
        Some(format!("between {addresses:?}"))
    } else if stats.transports.keys().ne([&row.transport]) {
        Some(format!("{:?}", stats.transports))
    } else if stats.coverage.total() != stats.packets {
        Some(format!("{} of {} packets counted: {:?}", stats.coverage.total(), stats.packets, stats.coverage))
    } else if !told.analysis.anomalies.is_empty() {
        Some(format!("{:?}", told.analysis.anomalies))
    } else {
        None
    }
}

#[test]
fn the_standard_call_is_found_in_every_encapsulation() {
    let folder = std::env::var_os("CALLFLOW_ENCAPSULATIONS");
    let mut failed = Vec::new();
    for row in TABLE {
        let frames = (row.wrap)(&wire::call(row.transport.name()));
        if let Some(folder) = &folder {
            write(Path::new(folder), row, &frames);
        }
        let told = tell_batch_with(&batch(row.link, &frames), keys(row));
        println!(
            "{:<34} {:>4}  {} of 7",
            row.name,
            row.link,
            told.analysis.stats.messages - told.analysis.stats.captured_twice
        );
        failed.extend(wrong(row, &told).map(|why| format!("{}: {why}", row.name)));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What the first message of each row is wrapped in; nothing for rows that are not named here.
const INSIDE: &[(&str, &str)] = &[
    ("802.1Q", "VLAN 7"),
    ("802.1ad", "VLAN 7, VLAN 8"),
    ("802.1ah", "802.1ah"),
    ("802.1ah in 802.1ad", "VLAN 7, 802.1ah"),
    ("802.1BR", "802.1BR"),
    ("VN-Tag", "VN-Tag"),
    ("NSH", "NSH"),
    ("PPPoE", "PPPoE"),
    ("MPLS, stacked", "MPLS 256"),
    ("MPLS pseudowire", "MPLS 256"),
    ("IP in IP", "IP in IP 10.0.0.1 > 10.0.0.2"),
    ("6in4, IPv6 inside", "IP in IP 10.0.0.1 > 10.0.0.2"),
    ("4in6", "IP in IP ::1 > ::1"),
    ("GRE", "GRE 10.0.0.1 > 10.0.0.2"),
    ("GRE, key and sequence", "GRE 10.0.0.1 > 10.0.0.2"),
    ("ERSPAN I", "ERSPAN 10.0.0.1 > 10.0.0.2"),
    ("ERSPAN II", "ERSPAN 10.0.0.1 > 10.0.0.2"),
    ("ERSPAN III", "ERSPAN 10.0.0.1 > 10.0.0.2"),
    ("ERSPAN III, platform", "ERSPAN 10.0.0.1 > 10.0.0.2"),
    ("ERSPAN III, IP", "ERSPAN 10.0.0.1 > 10.0.0.2"),
    ("EtherIP", "EtherIP 10.0.0.1 > 10.0.0.2"),
    ("MPLS over IP", "MPLS in IP 10.0.0.1 > 10.0.0.2"),
    ("MPLS over UDP", "MPLS in UDP 10.0.0.1 > 10.0.0.2"),
    ("VXLAN", "VXLAN 10.0.0.1 > 10.0.0.2"),
    ("VXLAN-GPE, IPv4", "VXLAN-GPE 10.0.0.1 > 10.0.0.2"),
    ("VXLAN-GPE, Ethernet", "VXLAN-GPE 10.0.0.1 > 10.0.0.2"),
    ("VXLAN-GPE, NSH", "VXLAN-GPE 10.0.0.1 > 10.0.0.2, NSH"),
    ("Geneve", "Geneve 10.0.0.1 > 10.0.0.2"),
    ("Geneve, options, IP", "Geneve 10.0.0.1 > 10.0.0.2"),
    ("GTP-U", "GTP-U 10.0.0.1 > 10.0.0.2"),
    ("L2TPv2", "L2TP 10.0.0.1 > 10.0.0.2"),
    ("L2TPv2, offset", "L2TP 10.0.0.1 > 10.0.0.2"),
    ("L2TPv3", "L2TPv3 10.0.0.1 > 10.0.0.2"),
    ("L2TPv3, cookie", "L2TPv3 10.0.0.1 > 10.0.0.2"),
    ("L2TPv3 over UDP", "L2TP 10.0.0.1 > 10.0.0.2"),
    ("Teredo, IPv6 inside", "Teredo 10.0.0.1 > 10.0.0.2"),
    ("Teredo headers, IPv6 inside", "Teredo 10.0.0.1 > 10.0.0.2"),
    ("TZSP", "TZSP 10.0.0.1 > 10.0.0.2"),
    ("TZSP, 802.11", "TZSP 10.0.0.1 > 10.0.0.2"),
    ("LISP", "LISP 10.0.0.1 > 10.0.0.2"),
    ("GUE", "GUE 10.0.0.1 > 10.0.0.2"),
    ("GUE, bare IP", "GUE 10.0.0.1 > 10.0.0.2"),
    ("ESP, null cipher", "ESP 192.0.2.1 > 198.51.100.2"),
    ("ESP in UDP, null cipher", "ESP in UDP 10.0.0.1 > 10.0.0.2"),
    ("GTP-U in VXLAN in ERSPAN", "ERSPAN 10.0.0.1 > 10.0.0.2, VXLAN 10.0.0.1 > 10.0.0.2, GTP-U 10.0.0.1 > 10.0.0.2"),
    ("fragments across VLANs", "VLAN 2"),
    ("fragments across tunnels", "GTP-U 10.0.0.1 > 10.0.0.2"),
    ("fragments of the tunnel", "GRE 192.0.2.1 > 198.51.100.2"),
    ("fragments in fragments", "IP in IP 10.0.0.1 > 10.0.0.2"),
    ("TZSP, 802.11 aggregate", "TZSP 10.0.0.1 > 10.0.0.2"),
    ("SCTP over UDP", "SCTP in UDP 192.0.2.1 > 198.51.100.2"),
    ("HEP 1", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 2", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 2, times not counted", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3 on another port", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3, of TCP", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3, zlib", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3, gzip", "HEP 10.0.0.1 > 10.0.0.2"),
    ("HEP 3 in IP fragments", "HEP 192.0.2.1 > 198.51.100.2"),
    ("HEP 3 of two agents", "HEP 10.0.0.1 > 10.0.0.2"),
];

#[test]
fn what_a_message_is_wrapped_in_is_told_outermost_first() {
    let mut wrong = Vec::new();
    for row in TABLE {
        let frames = (row.wrap)(&wire::call(row.transport.name()));
        let analysis = tell_batch_with(&batch(row.link, &frames), keys(row)).analysis;
        let inside = analysis.wrapping(&analysis.seen[0]).unwrap_or_default();
        let expected = INSIDE.iter().find(|(name, _)| *name == row.name).map_or("", |(_, path)| path);
        if inside != expected {
            wrong.push(format!("    (\"{}\", \"{inside}\"),", row.name));
        }
        let counted: u64 = analysis.wrappings.iter().map(|wrapping| wrapping.messages).sum();
        let wrapped = analysis.seen.iter().filter(|seen| seen.wrapped > 0).count();
        assert_eq!(counted, wrapped as u64, "{}", row.name);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A pcap file of version 2.4, little endian, with microseconds.
fn write(folder: &Path, row: &Row, frames: &[Vec<u8>]) {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, row.link.into()]);
    for (at, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        file.extend(words(&[1_767_225_600, 10_000 * at as u32, length, length]));
        file.extend_from_slice(frame);
    }
    let name: String = row.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    std::fs::write(folder.join(name).with_extension("pcap"), file).unwrap();
}

#[test]
fn an_unreachable_port_quoted_from_tcp_belongs_to_its_call() {
    let call = wire::call("TCP");
    let mut frames = (TABLE.iter().find(|row| row.name == "TCP").unwrap().wrap)(&call);
    let quoted = call[0].over(6, &wire::cat(&[&wire::PORTS, &[0; 4]]));
    let elsewhere =
        wire::ipv4([192, 0, 2, 77].into(), [192, 0, 2, 78].into(), 1, 6, &wire::cat(&[&[0, 80, 0, 81], &[0; 4]]));
    for quoted in [quoted, elsewhere] {
        frames.push(wire::outer(1, &wire::cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted])));
    }
    let told = tell(1, &frames);
    let calls: Vec<_> = told.analysis.icmp.iter().map(|report| (report.call, report.quoted.transport)).collect();
    assert_eq!(calls, [(Some(0), Transport::Tcp)]);
    assert!(told.findings.iter().any(|finding| finding.rule.code == "N01"));
}
