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
