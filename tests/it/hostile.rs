//! Mutations of all test data through the whole pipeline: no panic, and every packet is accounted for.

use crate::support;
use std::path::PathBuf;

/// A small generator of its own: the same mutations on every run and machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

const PIECES: &[&[u8]] = &[
    b"\r\n\r\n",
    b"\r\n",
    b"\0",
    b"\xff\xff\xff\xff",
    b"Content-Length: 4294967296\r\n",
    b"Via: ",
    b";tag=",
    b";branch=",
    b"SIP/2.0 200 OK\r\n",
    b"INVITE sip:a SIP/2.0\r\n",
    b"<<<<<<<<",
    b"\"",
    b",,,,,,,,",
    b"CSeq: 99999999999 INVITE\r\n",
    b"\x80\x80",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at.max(24)),
            3 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let end = (at + random.below(200)).min(bytes.len());
                let part: Vec<u8> = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            _ => {
                let end = (at + random.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
        if bytes.len() < 25 {
            return;
        }
    }
}

fn small_inputs() -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = support::captures();
    files.extend(support::files("testdata/hostile", "pcap"));
    files
        .into_iter()
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| (25..40_000).contains(&bytes.len()))
        .collect()
}

#[test]
fn what_once_broke_something_is_read() {
    for path in support::files("testdata/hostile", "pcap") {
        let told = support::tell_file(&path);
        assert!(told.analysis.stats.packets > 0, "{}", path.display());
    }
}

/// `CALLFLOW_MUTATIONS` asks for more than the default of each run.
#[test]
fn mutated_captures_never_panic() {
    let wanted = std::env::var("CALLFLOW_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let inputs = small_inputs();
    let mut random = Random(0x5EED_CA11_F100_0001);
    for round in 0..wanted {
        let mut bytes = inputs[round % inputs.len()].clone();
        mutate(&mut bytes, &mut random);
        let _ = support::tell_bytes(bytes);
    }
}

#[test]
fn mutated_messages_never_panic() {
    let mut random = Random(0x5EED_CA11_F100_0002);
    let texts: Vec<Vec<u8>> = support::captures()
        .iter()
        .flat_map(|path| support::tell_file(path).analysis.seen)
        .map(|seen| seen.message.raw().to_vec())
        .filter(|bytes| bytes.len() > 25)
        .collect();
    for text in &texts {
        for _ in 0..10 {
            let mut bytes = text.clone();
            mutate(&mut bytes, &mut random);
            let message = callflow::sip::Message::parse(bytes.into());
            let _ = (message.faults(), message.sdp(), message.vias().count(), message.contacts().count());
            let _ = (message.challenges().count(), message.credentials().count(), message.headers().count());
        }
    }
}
