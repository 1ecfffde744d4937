//! The bytes of TCP connections, to be renamed as messages and put back into their segments.

use super::anonymize::{self, Namer};
use crate::base::Endpoint;
use crate::net::{Segment, TcpFlags};
use crate::sip::{Message, Probe, probe};
use bytes::Bytes;
use foldhash::fast::RandomState;
use memchr::{memchr, memmem};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Connections by direction, each incarnation on its own.
#[derive(Default)]
pub(super) struct Streams(BTreeMap<(Endpoint, Endpoint), Vec<Direction>>);

/// One direction of one incarnation.
struct Direction {
    /// Sequence number of the first byte seen.
    start: u32,
    pieces: Vec<Piece>,
}

struct Piece {
    frame: u32,
    /// From `start`; earlier ones are negative.
    at: i64,
    bytes: Vec<u8>,
}

/// What replaces the payloads of frames.
pub(super) type Patches = HashMap<u32, Vec<u8>, RandomState>;

impl Streams {
    /// Takes a segment, in order of capture.
    pub(super) fn push(&mut self, frame: u32, segment: &Segment<'_>) {
        let incarnations = self.0.entry((segment.src, segment.dst)).or_default();
        let syn = segment.flags.contains(TcpFlags::SYN);
        // A SYN counts as one byte (RFC 9293 3.4).
        let seq = segment.seq.wrapping_add(u32::from(syn));
        if incarnations.last().is_none_or(|last| syn && last.start != seq) {
            incarnations.push(Direction { start: seq, pieces: Vec::new() });
        }
        if let Some(direction) = incarnations.last_mut().filter(|_| !segment.payload.is_empty()) {
            let at = i64::from(seq.wrapping_sub(direction.start) as i32);
            direction.pieces.push(Piece { frame, at, bytes: segment.payload.to_vec() });
        }
    }

    /// Renames the messages that are `wanted` and blots out all else. Those found are taken out of `missing`.
    pub(super) fn rename(self, namer: &mut Namer, wanted: &HashSet<Bytes>, missing: &mut HashSet<Bytes>) -> Patches {
        let mut patches = Patches::default();
        for direction in self.0.into_values().flatten() {
            direction.rename(namer, wanted, missing, &mut patches);
        }
        patches
    }
}

impl Direction {
    fn rename(
        mut self,
        namer: &mut Namer,
        wanted: &HashSet<Bytes>,
        missing: &mut HashSet<Bytes>,
        patches: &mut Patches,
    ) {
        // What came first stands, as in the analysis.
        self.pieces.sort_by_key(|piece| (piece.at, piece.frame));
        let mut runs: Vec<(i64, Vec<u8>)> = Vec::new();
        for piece in &self.pieces {
            match runs.last_mut() {
                Some((start, run)) if piece.at <= *start + run.len() as i64 => {
                    let known = (*start + run.len() as i64 - piece.at) as usize;
                    run.extend_from_slice(piece.bytes.get(known..).unwrap_or_default());
                }
                _ => runs.push((piece.at, piece.bytes.clone())),
            }
        }
        for (_, run) in &mut runs {
            rename_run(namer, run, wanted, missing);
        }
        for piece in self.pieces {
            let run = runs.partition_point(|(start, _)| *start <= piece.at).checked_sub(1);
            let Some((start, run)) = run.map(|run| &runs[run]) else {
                continue;
            };
            let at = (piece.at - start) as usize;
            if let Some(renamed) = run.get(at..at + piece.bytes.len()) {
                patches.insert(piece.frame, renamed.to_vec());
            }
        }
    }
}

/// Cuts a run of bytes into messages by their Content-Length (RFC 3261 18.3).
fn rename_run(namer: &mut Namer, run: &mut [u8], wanted: &HashSet<Bytes>, missing: &mut HashSet<Bytes>) {
    let mut at = 0;
    while let Some(rest) = run.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        if blank > 0 {
            at += blank;
            continue;
        }
        let line = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        if !matches!(probe(&rest[..line]), Probe::Sip { .. }) {
            anonymize::fill(&mut rest[..line]);
            at += line;
            continue;
        }
        let length = message_length(rest);
        let message = &mut rest[..length];
        if wanted.contains(&*message) {
            missing.remove(&*message);
            anonymize::message(namer, message);
            at += length;
        } else {
            anonymize::fill(&mut rest[..line]);
            at += line;
        }
    }
}

/// Length of the message at the start of `rest`, as far as it is there.
fn message_length(rest: &[u8]) -> usize {
    let Some(head) = memmem::find(rest, b"\r\n\r\n").map(|end| end + 4) else {
        return rest.len();
    };
    let message = Message::parse(Bytes::copy_from_slice(&rest[..head]));
    let body = message.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    head.saturating_add(body).min(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"OPTIONS sip:alice@a1b2 SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
    const TWO: &[u8] = b"OPTIONS sip:bobby@a1b2 SIP/2.0\r\nContent-Length: 0\r\n\r\n";

    fn segment(seq: u32, flags: TcpFlags, payload: &[u8]) -> Segment<'_> {
        let end = |last: u8| Endpoint { ip: [192, 0, 2, last].into(), port: 5060 };
        Segment { src: end(1), dst: end(2), ip_id: 0, seq, ack: 0, flags, payload, missing: 0 }
    }

    fn set(messages: &[&'static [u8]]) -> HashSet<Bytes> {
        messages.iter().map(|message| Bytes::from_static(message)).collect()
    }

    #[test]
    fn messages_over_several_segments_are_renamed_whatever_their_order() {
        let stream = [ONE, b"\r\n\r\n", TWO].concat();
        let mut streams = Streams::default();
        let base = u32::MAX - 20; // the sequence numbers wrap around
        streams.push(1, &segment(base.wrapping_sub(1), TcpFlags::SYN, b""));
        for (frame, from, to) in [(2, 0, 10), (4, 30, stream.len()), (3, 5, 30), (5, 0, 30)] {
            streams.push(frame, &segment(base.wrapping_add(from as u32), TcpFlags::ACK, &stream[from..to]));
        }
        let mut missing = set(&[ONE, TWO]);
        let patches = streams.rename(&mut Namer::new(b"key"), &set(&[ONE, TWO]), &mut missing);
        assert!(missing.is_empty());
        let told = [&patches[&5][..], &patches[&4]].concat();
        assert_eq!((told.len(), &patches[&2][..], &patches[&3][..]), (stream.len(), &told[..10], &told[5..30]));
        let text = String::from_utf8(told).unwrap();
        assert!(
            !text.contains("alice") && !text.contains("bobby") && text.contains("xxx\r\n\r\nOPTIONS sip:"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_wanted_is_blotted_out() {
        let stream = [TWO, ONE, TWO].concat();
        let mut streams = Streams::default();
        streams.push(1, &segment(7, TcpFlags::ACK, &stream));
        let mut missing = set(&[ONE]);
        let patches = streams.rename(&mut Namer::new(b"key"), &set(&[ONE]), &mut missing);
        let text = String::from_utf8(patches[&1].clone()).unwrap();
        assert!(!text.contains("bobby") && missing.is_empty(), "{text}");
        assert_eq!((text.len(), text.matches("OPTIONS").count()), (stream.len(), 1));
    }
}
