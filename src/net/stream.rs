//! One direction of a TCP connection: segments in, bytes in order out (RFC 9293 3.4, 3.10.7.4).
//!
//! Positions are 64-bit offsets into the stream, so that nothing beyond [`Stream::offset_of`] knows
//! that sequence numbers wrap around. Of bytes seen twice the first ones count.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::layers::{Ending, Piece, StreamData};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Timestamp, limits};

/// Offset of the first byte; room below it for segments that come before the first one we saw.
const ORIGIN: u64 = 1 << 32;
/// A segment further than this from what we expect belongs to another connection on the same ports.
/// (Windows go up to 2^30, RFC 7323 2.2, but no peer that we look at has 64 MiB in flight.)
const WINDOW: i64 = 1 << 26;
/// How late, in packet time, a segment may be captured after the peer's acknowledgement of it: taps
/// and multi-queue interfaces swap packets within a few milliseconds.
const REORDER_TIME: Duration = Duration::from_millis(10);
/// The same in packets of the connection, for dense traffic and captures without useful times.
const REORDER_PACKETS: u32 = 16;

/// Where a segment lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Nothing is known of this direction yet.
    Unknown,
    /// At this offset of the stream.
    At(u64),
    /// Too far away to belong to this stream.
    Foreign,
}

/// The packet at hand: when and which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) frame: u32,
    pub(super) time: Timestamp,
}

/// Where pieces and oddities go.
pub(super) struct Sink<'a> {
    pub(super) pieces: &'a mut Vec<Piece>,
    pub(super) anomalies: &'a mut Anomalies,
}

/// Payload of one segment, as captured.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes after them that were on the wire but not captured.
    pub(super) missing: u64,
    /// Makes a slice of `bytes` a shared buffer.
    pub(super) share: &'a dyn Fn(&[u8]) -> Bytes,
}

impl Payload<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.missing
    }

    /// The part from `from` up to `to`, counted from the start of the payload.
    fn part(&self, from: u64, to: u64) -> Self {
        let captured = self.bytes.len() as u64;
        let bytes = self.bytes.get(from.min(captured) as usize..to.min(captured) as usize).unwrap_or_default();
        Self { bytes, missing: to.saturating_sub(from.max(captured)), share: self.share }
    }
}

/// A segment that waits for what comes before it.
#[derive(Debug)]
struct Held {
    bytes: Bytes,
    missing: u64,
    now: Now,
}

impl Held {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + self.missing
    }
}

/// What the stream is waiting for.
#[derive(Clone, Copy, Debug)]
struct Hole {
    at: u64,
    since: Timestamp,
    /// When we first saw that the peer has the missing bytes, and how many packets ago.
    acknowledged: Option<(Timestamp, u32)>,
}

/// One direction of a TCP connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Sequence number at [`ORIGIN`]; `None` until a segment defines it.
    origin: Option<u32>,
    /// Sequence number after the SYN, when it was captured: then the start is certain.
    syn: Option<u32>,
    /// Offset of the next byte to deliver.
    next: u64,
    /// Whether anything was delivered.
    started: bool,
    /// Offset up to which the peer has acknowledged.
    acked: u64,
    /// Offset of the FIN.
    end: Option<u64>,
    ended: bool,
    pending: BTreeMap<u64, Held>,
    pending_bytes: usize,
    hole: Option<Hole>,
}

impl Stream {
    /// Where sequence number `seq` lies.
    pub(super) fn place(&self, seq: u32) -> Place {
        let Some(origin) = self.origin else {
            return Place::Unknown;
        };
        let expected = origin.wrapping_add(self.next as u32);
        let distance = i64::from(seq.wrapping_sub(expected) as i32);
        match self.next.checked_add_signed(distance) {
            Some(offset) if distance.abs() <= WINDOW => Place::At(offset),
            _ => Place::Foreign,
        }
    }

    /// Offset of the next byte to deliver.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether the direction is over: its FIN was reached, or it was reset.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether its SYN was captured.
    pub(super) fn opened(&self) -> bool {
        self.syn.is_some()
    }

    /// Whether anything came out of it.
    pub(super) fn started(&self) -> bool {
        self.started
    }

    /// Bytes held out of order.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether a SYN, whose data would start at `seq`, can belong to this stream. One that cannot
    /// is the first segment of a new connection.
    pub(super) fn admits(&self, seq: u32) -> bool {
        match (self.syn, self.place(seq)) {
            (Some(syn), _) => syn == seq,
            (None, Place::Unknown) => true,
            (None, Place::At(at)) => at == ORIGIN || (!self.started && at <= self.next),
            (None, Place::Foreign) => false,
        }
    }

    /// A SYN that [`Stream::admits`], late or repeated as it may be.
    pub(super) fn open(&mut self, seq: u32) {
        match self.place(seq) {
            Place::Unknown => self.define(seq),
            Place::At(at) if self.syn.is_none() && !self.started => self.next = at,
            _ => {}
        }
        self.syn = Some(seq);
    }

    /// The first segment of a direction whose SYN was not captured.
    pub(super) fn define(&mut self, seq: u32) {
        self.origin = Some(seq);
        self.next = ORIGIN;
        self.acked = 0;
    }

    /// The peer has everything before `ack`.
    pub(super) fn acknowledge(&mut self, ack: u32) {
        if let Place::At(offset) = self.place(ack) {
            self.acked = self.acked.max(offset);
        }
    }

    /// Payload at `at`. True when it repeats pending bytes with other ones.
    pub(super) fn data(&mut self, mut at: u64, mut payload: Payload<'_>, now: Now, sink: &mut Sink<'_>) -> bool {
        if self.ended || self.end.is_some_and(|end| at >= end) {
            return false;
        }
        if self.syn.is_none() && !self.started {
            self.settle(at, payload.len());
        }
        let end = at + payload.len();
        if end <= self.next {
            return false;
        }
        if at < self.next {
            payload = payload.part(self.next - at, payload.len());
            at = self.next;
        }
        if at == self.next && self.pending.is_empty() {
            let bytes = if payload.bytes.is_empty() { Bytes::new() } else { (payload.share)(payload.bytes) };
            self.deliver(bytes, payload.missing, now, sink);
            return false;
        }
        let conflict = self.hold(at, payload, now);
        self.drain(sink);
        while self.pending_bytes > limits::TCP_PENDING_BYTES || self.pending.len() > limits::TCP_PENDING_SEGMENTS {
            self.skip(now, sink);
        }
        conflict
    }

    /// A FIN at `at`; it counts only once everything before it was delivered or given up.
    pub(super) fn fin(&mut self, at: u64) {
        if at >= self.next && self.end.is_none() {
            self.end = Some(at);
        }
    }

    /// Tells the end when it is reached. To be called after every change.
    pub(super) fn close(&mut self, now: Now, sink: &mut Sink<'_>) {
        if !self.ended && self.end.is_some_and(|end| self.next >= end) {
            self.over(Ending::Closed, now, sink);
        }
    }

    /// Gives up all holes and ends the stream.
    pub(super) fn abort(&mut self, how: Ending, now: Now, sink: &mut Sink<'_>) {
        self.flush(now, sink);
        if !self.ended {
            self.over(how, now, sink);
        }
    }

    /// Gives up all holes.
    pub(super) fn flush(&mut self, now: Now, sink: &mut Sink<'_>) {
        while self.hole_end().is_some() {
            self.skip(now, sink);
        }
        self.close(now, sink);
    }

    /// Whether there is a hole, so that [`Stream::wait`] has something to do.
    pub(super) fn waits(&mut self) -> bool {
        let waits = self.hole_end().is_some();
        if !waits {
            self.hole = None;
        }
        waits
    }

    /// Gives up the holes that have waited long enough at `now`, and says when the next one will
    /// have. `packet`: called for a packet of this connection, not for the mere passing of time.
    pub(super) fn wait(&mut self, packet: bool, now: Now, sink: &mut Sink<'_>) -> Option<Timestamp> {
        loop {
            let Some(until) = self.hole_end() else {
                self.hole = None;
                return None;
            };
            let deadline = self.deadline(until, packet, now);
            if deadline > now.time {
                return Some(deadline);
            }
            self.skip(now, sink);
            self.close(now, sink);
        }
    }

    fn deadline(&mut self, until: u64, packet: bool, now: Now) -> Timestamp {
        let since = self.pending.first_key_value().map_or(now.time, |(_, held)| held.now.time);
        let mut hole = match self.hole {
            Some(hole) if hole.at == self.next => hole,
            // What was acknowledged together with the last hole is not waited for again.
            Some(hole) => Hole { at: self.next, since, ..hole },
            None => Hole { at: self.next, since, acknowledged: None },
        };
        hole.acknowledged = match hole.acknowledged {
            _ if self.acked < until => None,
            None => Some((now.time, 0)),
            Some((since, packets)) => Some((since, packets + u32::from(packet))),
        };
        self.hole = Some(hole);
        let timeout = hole.since.after(limits::TCP_HOLE_TIMEOUT);
        match hole.acknowledged {
            Some((_, REORDER_PACKETS..)) => Timestamp::MIN,
            Some((since, _)) => timeout.min(since.after(REORDER_TIME)),
            None => timeout,
        }
    }

    /// Where the first hole ends: at data that waits, at the FIN, or at what the peer acknowledged.
    fn hole_end(&self) -> Option<u64> {
        if self.ended || self.origin.is_none() {
            return None;
        }
        if let Some(at) = self.pending.first_key_value().map(|(at, _)| *at) {
            return Some(at);
        }
        match self.end {
            Some(end) => (end > self.next).then_some(end),
            // One byte more is a FIN that was not captured.
            None => (self.acked > self.next + 1).then_some(self.acked),
        }
    }

    /// Gives up the first hole.
    fn skip(&mut self, now: Now, sink: &mut Sink<'_>) {
        let Some(until) = self.hole_end() else { return };
        let now = self.pending.first_key_value().map_or(now, |(_, held)| held.now);
        let bytes = until.saturating_sub(self.next);
        let acknowledged = self.acked >= until;
        let why = if acknowledged { "the peer acknowledged them: capture loss" } else { "never acknowledged" };
        let text = format!("{bytes} bytes of a TCP stream before frame {} are not in the capture; {why}", now.frame);
        sink.anomalies.add(Anomaly::new(AnomalyKind::TcpGap, now.frame, 0, text));
        sink.pieces.push(Piece { now, data: StreamData::Gap { bytes, acknowledged } });
        self.started = true;
        self.next = until;
        self.drain(sink);
    }

    /// A start that was only guessed moves to the first data.
    fn settle(&mut self, at: u64, len: u64) {
        // Before the guess: data that was captured late, unless it is a keep-alive (RFC 9293
        // 3.8.4). One byte after it: the guess itself was a keep-alive.
        let late = at < self.next && len > 1 && self.next - at <= limits::TCP_PENDING_BYTES as u64;
        if late || (at == self.next + 1 && self.pending.is_empty()) {
            self.next = at;
        }
    }

    /// Keeps what is new of `payload`; the bytes are copied, so that a hole does not keep large
    /// buffers alive.
    fn hold(&mut self, at: u64, payload: Payload<'_>, now: Now) -> bool {
        let end = at + payload.len();
        let mut conflict = false;
        let mut free = Vec::new();
        let mut from = at;
        let before = self.pending.range(..at).next_back().map_or(at, |(start, _)| *start);
        for (&start, held) in self.pending.range(before..end) {
            let stop = start + held.len();
            if stop <= from {
                continue;
            }
            conflict |= differ(at, payload.bytes, start, &held.bytes);
            if start > from {
                free.push((from, start));
            }
            from = stop;
        }
        if from < end {
            free.push((from, end));
        }
        for (from, to) in free {
            let part = payload.part(from - at, to - at);
            self.pending_bytes += part.bytes.len();
            let bytes = Bytes::copy_from_slice(part.bytes);
            self.pending.insert(from, Held { bytes, missing: part.missing, now });
        }
        conflict
    }

    fn drain(&mut self, sink: &mut Sink<'_>) {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() != self.next {
                break;
            }
            let held = entry.remove();
            self.pending_bytes -= held.bytes.len();
            self.deliver(held.bytes, held.missing, held.now, sink);
        }
    }

    fn deliver(&mut self, bytes: Bytes, missing: u64, now: Now, sink: &mut Sink<'_>) {
        self.started = true;
        self.next += bytes.len() as u64 + missing;
        if !bytes.is_empty() {
            sink.pieces.push(Piece { now, data: StreamData::Bytes(bytes) });
        }
        if missing > 0 {
            // The frame itself is here, so only the capture is short of these bytes.
            sink.pieces.push(Piece { now, data: StreamData::Gap { bytes: missing, acknowledged: true } });
        }
    }

    fn over(&mut self, how: Ending, now: Now, sink: &mut Sink<'_>) {
        self.ended = true;
        self.pending = BTreeMap::new();
        self.pending_bytes = 0;
        self.hole = None;
        // A side that never said anything may well be the one that hangs up.
        if self.started || how != Ending::GivenUp {
            sink.pieces.push(Piece { now, data: StreamData::End(how) });
        }
    }
}

/// Whether two runs of bytes, each with its offset, disagree where they overlap.
pub(super) fn differ(at: u64, bytes: &[u8], other_at: u64, other: &[u8]) -> bool {
    let from = at.max(other_at);
    let to = (at + bytes.len() as u64).min(other_at + other.len() as u64);
    from < to
        && bytes[(from - at) as usize..(to - at) as usize]
            != other[(from - other_at) as usize..(to - other_at) as usize]
}
