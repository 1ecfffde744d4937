//! Writes a first corpus for every target to `fuzz/corpus`, cut out of the test data and of the captures
//! in the folders that are named: `cargo run --example seeds [FOLDER...]`, in `fuzz`.
//!
//! `CALLFLOW_ENCAPSULATIONS=FOLDER cargo test --test it encapsulation` fills a folder with every link
//! type and tunnel.

use callflow::base::Batch;
use callflow::capture::{CaptureFile, More, Source};
use callflow::net::{self, Decoded, Relayed, TcpFlags};
use callflow::sip::{Message, Probe, probe};
use std::collections::HashMap;
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};

/// Larger seeds slow the fuzzer down more than they tell it.
const LARGEST: usize = 16 << 10;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut corpus = Corpus(HashMap::new());
    let named = std::env::args_os().skip(1).map(PathBuf::from);
    for folder in std::iter::once(root.join("testdata")).chain(named) {
        for path in files(&folder)? {
            let bytes = fs::read(&path)?;
            match path.extension().and_then(|name| name.to_str()) {
                Some("trace") => corpus.trace(&String::from_utf8_lossy(&bytes)),
                Some("txt") => corpus.tls(&String::from_utf8_lossy(&bytes)),
                Some("json" | "keylog" | "md" | "tsv") => {}
                _ => corpus.capture(&path, &bytes),
            }
        }
    }
    for path in files(&root.join("src/flow/bcp75"))? {
        corpus.add("flow_syntax", fs::read(path)?);
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// How many seeds each target has.
struct Corpus(HashMap<&'static str, usize>);

impl Corpus {
    fn add(&mut self, target: &'static str, seed: Vec<u8>) {
        if seed.is_empty() || seed.len() > LARGEST {
            return;
        }
        let number = self.0.entry(target).or_default();
        *number += 1;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(format!("seed-{number}")), seed));
        written.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }

    fn capture(&mut self, path: &Path, bytes: &[u8]) {
        self.add("capture_file", bytes.to_vec());
        self.add("pipeline", bytes.to_vec());
        let Ok(mut file) = CaptureFile::open(path) else { return };
        let mut batch = Batch::default();
        let mut seeds = Seeds::default();
        let mut frames = 0;
        while let Ok(More::More) = file.next_batch(&mut batch) {
            for packet in &batch.packets {
                let data = batch.data(packet);
                if frames < 5 {
                    self.add("decode", [&packet.link.0.to_be_bytes(), data].concat());
                }
                frames += 1;
                self.decoded(&mut seeds, &net::decode(packet.link, data, packet.original));
            }
        }
        for (target, seed) in [
            ("defragment", seeds.fragments),
            ("tcp", seeds.segments),
            ("calls", seeds.datagrams),
            ("framing", seeds.stream),
            ("sctp", seeds.chunks),
        ] {
            self.add(target, seed);
        }
    }

    fn decoded(&mut self, seeds: &mut Seeds, decoded: &Decoded<'_>) {
        match decoded {
            Decoded::Fragment(part) => {
                let [high, low] = part.offset.to_be_bytes();
                let flags = u8::from(part.more) | u8::from(part.src.is_ipv6()) << 1;
                piece(&mut seeds.fragments, &[flags, part.id as u8, high, low, 1, 0], part.payload);
            }
            Decoded::Segment(segment) => {
                let side = usize::from(segment.src > segment.dst);
                let seq = |side: usize, number: u32, first: &mut [Option<u32>; 2]| {
                    number.wrapping_sub(*first[side].get_or_insert(number)) as u16
                };
                let at = seq(side, segment.seq, &mut seeds.first).to_be_bytes();
                let acked = seq(1 - side, segment.ack, &mut seeds.first).to_be_bytes();
                let flags = (0..5).map(|bit| 1 << bit).filter(|bit| segment.flags.contains(TcpFlags::new(*bit))).sum();
                let head = [flags, side as u8, at[0], at[1], acked[0], acked[1], 1, 0];
                piece(&mut seeds.segments, &head, segment.payload);
                if side == 0 && seeds.stream.len() < LARGEST / 2 {
                    if seeds.stream.is_empty() {
                        seeds.stream.push(40);
                    }
                    seeds.stream.extend_from_slice(segment.payload);
                }
            }
            Decoded::Sctp(packet) => {
                let place = packet.src.port as u8 & 3 | (packet.tag as u8) << 6;
                piece(&mut seeds.chunks, &[place, 1, 0], packet.chunks);
            }
            Decoded::Relayed(relayed) => self.add("hep", hep(relayed)),
            Decoded::Datagram(datagram) if matches!(probe(datagram.payload), Probe::Sip { .. }) => {
                let hosts = datagram.src.port as u8 & 7 | (datagram.dst.port as u8 & 7) << 3;
                if seeds.datagrams.len() + datagram.payload.len() < LARGEST {
                    piece(&mut seeds.datagrams, &[hosts, 3], datagram.payload);
                }
                self.message(datagram.payload);
            }
            _ => {}
        }
    }

    fn message(&mut self, bytes: &[u8]) {
        /// Enough of each kind; captures repeat themselves.
        const ENOUGH: usize = 400;
        if self.0.get("sip_message").is_some_and(|seeds| *seeds >= ENOUGH) {
            return;
        }
        self.add("sip_message", bytes.to_vec());
        self.add("anonymize", bytes.to_vec());
        self.add("framing", [&[20], bytes, bytes].concat());
        let mut gaps = Vec::new();
        bytes.chunks(200).enumerate().for_each(|(at, part)| piece(&mut gaps, &[u8::from(at == 2) * 9], part));
        self.add("framing_gaps", gaps);
        let message = Message::parse(bytes.to_vec().into());
        self.add("sdp", message.body().to_vec());
        message.headers().for_each(|header| self.add("sip_values", header.value.to_vec()));
        self.add("sip_values", message.from_uri().to_vec());
        let mut websocket = vec![0];
        let len = (bytes.len() as u16).to_be_bytes();
        piece(&mut websocket, &[1], &[&[0x81, 126, len[0], len[1]], bytes].concat());
        self.add("websocket", websocket);
    }

    /// The SIP messages of a `.trace`, between lines that begin with `@`.
    fn trace(&mut self, text: &str) {
        let mut calls = Vec::new();
        for event in text.split("\n@") {
            let Some((head, message)) = event.split_once('\n') else { continue };
            let host = |nth: usize| {
                let address = head.split_whitespace().filter(|word| word.contains(':')).nth(nth).unwrap_or_default();
                address.split(':').next().and_then(|ip| ip.rsplit('.').next()?.parse::<u8>().ok()).unwrap_or(0) & 7
            };
            let message = message.replace("Content-Length: auto\n", "").trim_end().replace('\n', "\r\n") + "\r\n\r\n";
            piece(&mut calls, &[host(0) | host(1) << 3, 5], message.as_bytes());
        }
        self.add("calls", calls);
    }

    /// A recorded TLS connection: lines of its key log, then what each side sent, in hexadecimal.
    fn tls(&mut self, text: &str) {
        let (mut keys, mut records) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let (side, hex) = match line.split_once(' ') {
                Some(("client", hex)) => (0, hex),
                Some(("server", hex)) => (1, hex),
                _ => {
                    keys.extend_from_slice(format!("{line}\n").as_bytes());
                    continue;
                }
            };
            let octets = hex
                .as_bytes()
                .chunks(2)
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            piece(&mut records, &[side], &octets.collect::<Vec<u8>>());
        }
        keys.push(0);
        keys.extend(records);
        self.add("tls", keys);
    }
}

/// What one capture gives for the targets that take pieces.
#[derive(Default)]
struct Seeds {
    fragments: Vec<u8>,
    segments: Vec<u8>,
    datagrams: Vec<u8>,
    stream: Vec<u8>,
    chunks: Vec<u8>,
    first: [Option<u32>; 2],
}

/// A HEP 3 packet with addresses and payload.
fn hep(relayed: &Relayed<'_>) -> Vec<u8> {
    let mut chunks = Vec::new();
    let kind = if relayed.compressed { 16 } else { 15 };
    for (kind, value) in [(3, &[192, 0, 2, 1][..]), (4, &[192, 0, 2, 2]), (12, &[0, 0, 0, 9]), (kind, relayed.payload)]
    {
        let length = (value.len() as u16 + 6).to_be_bytes();
        chunks.extend([0, 0, 0, kind, length[0], length[1]]);
        chunks.extend_from_slice(value);
    }
    let length = (chunks.len() as u16 + 6).to_be_bytes();
    [b"HEP3", &length[..], &chunks].concat()
}

fn piece(out: &mut Vec<u8>, head: &[u8], bytes: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}
