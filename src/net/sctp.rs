//! SCTP (RFC 9260): user messages out of DATA chunks, and out of I-DATA chunks (RFC 8260).
//!
//! A message is one chunk, or a run of chunks from one with the B bit to one with the E bit whose
//! numbers follow each other: transmission sequence numbers of DATA, fragment numbers of I-DATA. So
//! the number of streams costs nothing, and messages need not be ordered, as each stands for itself
//! (RFC 4168 5). An association is known by its ports and verification tag, which stay the same on
//! all paths of a multi-homed one.

use super::SkipKind;
use super::ip::Header;
use super::walk::{self, Next, Part};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Connection, Endpoint, Frames, Timestamp, Transport, limits};
use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};

const LAYER: &str = "SCTP";
/// Header of a chunk: type, flags, length with itself but without padding to 4 (3.2).
const CHUNK: usize = 4;
const DATA: u8 = 0;
const I_DATA: u8 = 64;
/// Flags of both (3.3.1).
const END: u8 = 1;
const BEGIN: u8 = 2;
const UNORDERED: u8 = 4;

/// An SCTP packet of the innermost IP header.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a> {
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Verification tag.
    pub tag: u32,
    /// Captured chunks.
    pub chunks: &'a [u8],
    /// Bytes of chunks that the capture lacks.
    pub missing: u32,
}

/// A user message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SctpMessage {
    /// Who sent to whom.
    pub connection: Connection,
    /// The message, or its beginning.
    pub bytes: Bytes,
    /// Frames of its chunks.
    pub frames: Frames,
    /// Time of the packet that completed it.
    pub time: Timestamp,
    /// Whether all of it is there.
    pub complete: bool,
}

/// The packet, behind its common header (3.1).
pub(super) fn packet<'a>(part: &mut Part<'a>, header: &Header) -> Result<Sctp<'a>, SkipKind> {
    let [s0, s1, d0, d1, t0, t1, t2, t3, ..] = *part.take::<12>(LAYER)?;
    let (src, dst) = header.endpoints(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let tag = u32::from_be_bytes([t0, t1, t2, t3]);
    Ok(Sctp { src, dst, tag, chunks: part.bytes, missing: part.missing })
}

/// In UDP (RFC 6951), when chunks of known types fill the datagram.
pub(super) fn in_udp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let mut chunks = part.bytes.get(12..).unwrap_or_default();
    let mut known = false;
    while let Some((chunk, rest)) = Chunk::split(chunks) {
        let of_standard = matches!(chunk.kind, 0..=15 | 64 | 0x80..=0x84 | 0xc0..=0xc2);
        if !of_standard || (chunk.missing > 0 && part.missing == 0) {
            return Err(SkipKind::Malformed(LAYER));
        }
        known = true;
        chunks = rest;
    }
    if known { Ok(Next::Protocol(walk::SCTP)) } else { Err(SkipKind::Malformed(LAYER)) }
}

/// One chunk of a packet.
struct Chunk<'a> {
    kind: u8,
    flags: u8,
    value: &'a [u8],
    missing: usize,
}

impl<'a> Chunk<'a> {
    /// The first chunk and what is behind it and its padding; none when there is none that can be right.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[kind, flags, high, low], rest) = bytes.split_first_chunk::<CHUNK>()?;
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(CHUNK)?;
        let value = rest.get(..length).unwrap_or(rest);
        let behind = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Self { kind, flags, value, missing: length - value.len() }, behind))
    }

    /// The piece of a message that it carries.
    fn piece(&self) -> Option<Piece<'a>> {
        let word = |at: usize| self.value.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word));
        let (tsn, stream) = (word(0)?, word(4)? >> 16);
        let begin = self.flags & BEGIN != 0;
        let (run, number, head) = match self.kind {
            DATA => (Run::Numbered, tsn, 12),
            // The place of the fragment number holds the protocol in the first fragment (RFC 8260 2.1).
            I_DATA => {
                let unordered = self.flags & UNORDERED != 0;
                let run = Run::Message { stream: stream as u16, unordered, id: word(8)? };
                (run, if begin { 0 } else { word(12)? }, 16)
            }
            _ => return None,
        };
        let bytes = self.value.get(head..)?;
        Some(Piece { tsn, run, number, begin, end: self.flags & END != 0, bytes, missing: self.missing })
    }
}

/// What a DATA or I-DATA chunk carries.
struct Piece<'a> {
    tsn: u32,
    run: Run,
    number: u32,
    begin: bool,
    end: bool,
    bytes: &'a [u8],
    missing: usize,
}

/// Whose numbers follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Run {
    /// All DATA chunks of a direction.
    Numbered,
    /// The I-DATA chunks of one message.
    Message { stream: u16, unordered: bool, id: u32 },
}

/// One direction of an association: ports and verification tag.
type Way = (u16, u16, u32);
/// Place of a fragment.
type Place = (Way, Run, u32);

/// Puts user messages together. Feed it every [`Sctp`] packet in order of capture.
#[derive(Debug, Default)]
pub struct SctpMessages {
    /// Chunks delivered of late, to know retransmissions by.
    ways: HashMap<Way, Recent, RandomState>,
    /// Fragments that wait for others.
    parts: HashMap<Place, Waiting, RandomState>,
    /// Their places in order of arrival, with their serial numbers.
    order: VecDeque<(u64, Place)>,
    next: u64,
    bytes: usize,
}

/// A fragment.
#[derive(Debug)]
struct Waiting {
    serial: u64,
    connection: Connection,
    bytes: Bytes,
    frame: u32,
    time: Timestamp,
    begin: bool,
    end: bool,
    /// At either end of a run without holes: the number of the other end.
    other: u32,
}

/// The last transmission sequence numbers of a direction, each in the slot of its remainder.
#[derive(Debug)]
struct Recent(Box<[u32; RECENT]>);

const RECENT: usize = 512;

impl Recent {
    /// Each slot starts with a number of another slot.
    fn new() -> Self {
        Self(Box::new(std::array::from_fn(|slot| slot as u32 + 1)))
    }

    /// Whether `tsn` is new.
    fn insert(&mut self, tsn: u32) -> bool {
        let slot = &mut self.0[tsn as usize % RECENT];
        std::mem::replace(slot, tsn) != tsn
    }
}

impl SctpMessages {
    /// Takes the next packet; `out` gets what it completes. `share` gives the shared buffer behind a
    /// part of the packet.
    pub fn push(
        &mut self,
        packet: &Sctp<'_>,
        frame: u32,
        time: Timestamp,
        share: &dyn Fn(&[u8]) -> Bytes,
        anomalies: &mut Anomalies,
        out: &mut Vec<SctpMessage>,
    ) {
        self.expire(time, out);
        let way = (packet.src.port, packet.dst.port, packet.tag);
        let connection = Connection { src: packet.src, dst: packet.dst, transport: Transport::Sctp };
        let mut chunks = packet.chunks;
        while let Some((chunk, rest)) = Chunk::split(chunks) {
            chunks = rest;
            let Some(piece) = chunk.piece().filter(|piece| self.is_new(way, piece.tsn)) else { continue };
            if piece.begin && (piece.end || piece.missing > 0) {
                let (frames, bytes) = (Frames::one(frame), share(piece.bytes));
                out.push(SctpMessage { connection, bytes, frames, time, complete: piece.missing == 0 });
            } else if piece.missing == 0 {
                self.fragment(way, &piece, (connection, frame, time), share, out);
            }
        }
        if chunks.len() >= CHUNK {
            let text = "SCTP chunk of an impossible length";
            anomalies.add(Anomaly::new(AnomalyKind::MalformedHeader, frame, 0, text));
        }
        self.make_room(frame, anomalies, out);
    }

    /// The capture is over: gives the beginnings of messages that were not completed.
    pub fn finish(&mut self, out: &mut Vec<SctpMessage>) {
        while let Some((serial, place)) = self.order.pop_front() {
            self.give_up(serial, place, out);
        }
    }

    fn is_new(&mut self, way: Way, tsn: u32) -> bool {
        if self.ways.len() >= limits::SCTP_DIRECTIONS && !self.ways.contains_key(&way) {
            self.ways.clear(); // at worst a retransmitted chunk is taken twice
        }
        self.ways.entry(way).or_insert_with(Recent::new).insert(tsn)
    }

    /// Files a fragment between its neighbours; each run knows its two ends, so this takes one step.
    fn fragment(
        &mut self,
        way: Way,
        piece: &Piece<'_>,
        (connection, frame, time): (Connection, u32, Timestamp),
        share: &dyn Fn(&[u8]) -> Bytes,
        out: &mut Vec<SctpMessage>,
    ) {
        let place = |number: u32| (way, piece.run, number);
        let at = piece.number;
        if self.parts.contains_key(&place(at)) {
            return;
        }
        let before = self.parts.get(&place(at.wrapping_sub(1))).filter(|part| !piece.begin && !part.end);
        let first = before.map_or(at, |part| part.other);
        let after = self.parts.get(&place(at.wrapping_add(1))).filter(|part| !piece.end && !part.begin);
        let last = after.map_or(at, |part| part.other);
        let bytes = share(piece.bytes);
        let serial = self.next;
        self.next += 1;
        self.bytes += bytes.len();
        self.order.push_back((serial, place(at)));
        let (begin, end) = (piece.begin, piece.end);
        self.parts.insert(place(at), Waiting { serial, connection, bytes, frame, time, begin, end, other: at });
        for (here, there) in [(first, last), (last, first)] {
            if let Some(part) = self.parts.get_mut(&place(here)) {
                part.other = there;
            }
        }
        let is = |number, what: fn(&Waiting) -> bool| self.parts.get(&place(number)).is_some_and(what);
        if is(first, |part| part.begin) && is(last, |part| part.end) {
            out.extend(self.collect(place(first), time));
        }
    }

    /// Takes the run that starts at `place` out, up to its end or its first hole.
    fn collect(&mut self, (way, run, first): Place, time: Timestamp) -> Option<SctpMessage> {
        let mut frames = Vec::new();
        let mut bytes = BytesMut::new();
        let mut connection = None;
        let mut number = first;
        let mut complete = false;
        while let Some(part) = self.parts.remove(&(way, run, number)) {
            self.bytes -= part.bytes.len();
            connection.get_or_insert(part.connection);
            frames.push(part.frame);
            let room = limits::STREAM_MESSAGE_BYTES - bytes.len();
            bytes.extend_from_slice(part.bytes.get(..room).unwrap_or(&part.bytes));
            complete = part.end && part.bytes.len() <= room;
            if part.end {
                break;
            }
            number = number.wrapping_add(1);
        }
        frames.sort_unstable(); // so that each is added at the end
        let frames = frames.into_iter().collect();
        connection.map(|connection| SctpMessage { connection, bytes: bytes.freeze(), frames, time, complete })
    }

    fn expire(&mut self, now: Timestamp, out: &mut Vec<SctpMessage>) {
        while let Some(&(serial, place)) = self.order.front() {
            let waits = self
                .parts
                .get(&place)
                .is_some_and(|part| part.serial == serial && now.since(part.time) <= limits::SCTP_TIMEOUT);
            if waits {
                return;
            }
            self.order.pop_front();
            self.give_up(serial, place, out);
        }
    }

    fn make_room(&mut self, frame: u32, anomalies: &mut Anomalies, out: &mut Vec<SctpMessage>) {
        while self.order.len() > limits::SCTP_FRAGMENTS || self.bytes > limits::SCTP_BYTES {
            let Some((serial, place)) = self.order.pop_front() else { return };
            if self.parts.get(&place).is_some_and(|part| part.serial == serial) {
                let text = "too many SCTP fragments wait for others; the oldest was given up";
                anomalies.add(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text));
            }
            self.give_up(serial, place, out);
        }
    }

    /// Gives a fragment up, if it still waits: the beginning of a message with what follows it.
    fn give_up(&mut self, serial: u64, place: Place, out: &mut Vec<SctpMessage>) {
        let Some(part) = self.parts.get(&place).filter(|part| part.serial == serial) else { return };
        if part.begin {
            let time = part.time;
            out.extend(self.collect(place, time));
        } else if let Some(part) = self.parts.remove(&place) {
            self.bytes -= part.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Line {
        messages: SctpMessages,
        anomalies: Anomalies,
        out: Vec<SctpMessage>,
    }

    impl Line {
        fn new() -> Self {
            Self { messages: SctpMessages::default(), anomalies: Anomalies::default(), out: Vec::new() }
        }

        /// A packet with one DATA chunk.
        fn data(&mut self, seconds: i64, flags: u8, tsn: u32, payload: &[u8]) {
            let mut chunk = vec![DATA, flags];
            chunk.extend((16 + payload.len() as u16).to_be_bytes());
            chunk.extend(tsn.to_be_bytes());
            chunk.extend([0; 8]);
            chunk.extend(payload);
            let end = |last| Endpoint { ip: [192, 0, 2, last].into(), port: 5060 };
            let packet = Sctp { src: end(1), dst: end(2), tag: 7, chunks: &chunk, missing: 0 };
            let share = |part: &[u8]| Bytes::copy_from_slice(part);
            let time = Timestamp::from_nanos(seconds * 1_000_000_000);
            self.messages.push(&packet, tsn, time, &share, &mut self.anomalies, &mut self.out);
        }

        fn texts(&self) -> Vec<&[u8]> {
            self.out.iter().map(|message| &message.bytes[..]).collect()
        }
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_make_the_same_messages(start: u32, order in Just((0..24u32).collect::<Vec<_>>()).prop_shuffle()) {
            let mut line = Line::new();
            // Four messages of six chunks each.
            for at in order {
                let flags = [BEGIN, 0, 0, 0, 0, END][at as usize % 6];
                line.data(0, flags, start.wrapping_add(at), &[b'a' + at as u8]);
            }
            let mut texts = line.texts();
            texts.sort_unstable();
            prop_assert_eq!(texts, [&b"abcdef"[..], b"ghijkl", b"mnopqr", b"stuvwx"]);
            prop_assert!(line.out.iter().all(|message| message.complete && message.frames.as_slice().len() == 6));
            prop_assert_eq!((line.messages.bytes, line.messages.parts.len()), (0, 0));
        }
    }

    #[test]
    fn a_retransmitted_chunk_is_no_second_message() {
        let mut line = Line::new();
        for tsn in [1, 2, 1, 3, 2] {
            line.data(0, BEGIN | END, tsn, &[b'0' + tsn as u8]);
        }
        assert_eq!(line.texts(), [b"1", b"2", b"3"]);
    }

    #[test]
    fn what_waits_too_long_is_given_as_far_as_it_goes() {
        let mut line = Line::new();
        line.data(0, BEGIN, 1, b"ab");
        line.data(1, 0, 2, b"cd");
        line.data(2, END, 4, b"gh");
        line.data(200, BEGIN | END, 9, b"later");
        assert_eq!(line.texts(), [&b"abcd"[..], b"later"]);
        assert!(!line.out[0].complete);
        assert_eq!((line.messages.bytes, line.messages.parts.len()), (0, 0));
    }
}
