//! TCP connections: which segment belongs to which direction of which incarnation (RFC 9293 3.10.7).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use bytes::Bytes;

use super::history::{self, History};
use super::layers::{Context, Ending, Layers, Piece, StreamData, StreamEvent};
use super::stream::{Now, Payload, Place, Sink, Stream};
use super::tls::{SealedTls, TlsKeys};
use super::{Segment, TcpFlags};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Endpoint, Timestamp, limits};

/// Both ends of a connection, the lower one first, so that both directions have the same key.
type Ends = [Endpoint; 2];

/// All TCP connections, with TLS and WebSocket above them.
///
/// Sequence numbers say what belongs where; time is the time of packets. Nothing is buffered for
/// segments in order: their payload is passed on as it is.
#[derive(Debug, Default)]
pub struct Streams {
    connections: Vec<Tcp>,
    by_ends: HashMap<Ends, u32, foldhash::fast::RandomState>,
    /// By the packet count at which each connection was last known to be used; see [`Streams::evict`].
    idle: BinaryHeap<Reverse<(u64, u32)>>,
    /// Connections that wait for missing segments, by when they have waited long enough.
    waiting: BTreeSet<(Timestamp, u32)>,
    pending_bytes: usize,
    packets: u64,
    next_id: u64,
    ended: Vec<Ended>,
    common: Common,
}

/// A TCP connection that nothing more comes of, and what it was.
#[derive(Debug)]
pub struct Ended {
    /// The lower of the two numbers in [`StreamEvent::stream`].
    pub stream: u64,
    /// Segments.
    pub packets: u64,
    /// Frame of the first one.
    pub first: u32,
    /// What it carried.
    pub carried: Carried,
}

/// What a TCP connection carried.
#[derive(Debug)]
pub enum Carried {
    /// No byte.
    Nothing,
    /// Bytes, of which the snap length left none.
    Cut,
    /// Bytes that could be read.
    Plain,
    /// TLS: nothing of the application, or it could be read.
    Tls,
    /// TLS that could not be read.
    Sealed(Box<SealedTls>),
}

/// What all connections use.
#[derive(Debug, Default)]
struct Common {
    keys: TlsKeys,
    history: History,
    /// Empty between calls; kept for its allocation.
    pieces: Vec<Piece>,
}

/// Where results of one call go.
struct Output<'a> {
    anomalies: &'a mut Anomalies,
    events: &'a mut Vec<StreamEvent>,
}

/// One connection, both directions.
#[derive(Debug)]
struct Tcp {
    ends: Ends,
    /// Id of the stream from `ends[0]`; the other one has the next number.
    id: u64,
    /// Count of packets when it was last used.
    used: u64,
    /// Segments of it.
    packets: u64,
    /// Frame of its first segment.
    first: u32,
    /// Whether the snap length cut any of them.
    cut: bool,
    last: Now,
    /// As in [`Streams::waiting`].
    deadline: Option<Timestamp>,
    /// `streams[i]` is what `ends[i]` sent.
    streams: [Stream; 2],
    /// Newest entry of each stream in the history.
    newest: [u32; 2],
    layers: Layers,
}

impl Streams {
    /// No connections yet. The keys open TLS.
    pub fn new(keys: TlsKeys) -> Self {
        Self { common: Common { keys, ..Common::default() }, ..Self::default() }
    }

    /// More lines of a key log. They count for connections whose handshake is yet to come.
    pub fn add_keys(&mut self, text: &[u8]) {
        self.common.keys.add(text);
    }

    /// Takes the next segment in order of capture; what has become readable by it, or by the time
    /// it tells, is appended to `out`. `share` turns the payload, or a part of it, into a shared
    /// buffer without copying.
    pub fn push(
        &mut self,
        segment: &Segment<'_>,
        frame: u32,
        time: Timestamp,
        share: &dyn Fn(&[u8]) -> Bytes,
        anomalies: &mut Anomalies,
        out: &mut Vec<StreamEvent>,
    ) {
        let now = Now { frame, time };
        let output = &mut Output { anomalies, events: out };
        self.expire(time, output);
        self.packets += 1;
        let swapped = segment.src > segment.dst;
        let side = usize::from(swapped);
        let ends = if swapped { [segment.dst, segment.src] } else { [segment.src, segment.dst] };
        let slot = match self.by_ends.get(&ends) {
            Some(slot) => *slot,
            None if segment.flags.contains(TcpFlags::RST) => {
                self.ended.push(Ended { stream: u64::MAX, packets: 1, first: frame, carried: Carried::Nothing });
                return;
            }
            None => self.insert(ends, now, output),
        };
        let Some(tcp) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if tcp.is_new(side, segment) {
            tcp.abort(side, Ending::GivenUp, &mut self.common, output);
            let older = std::mem::replace(tcp, Tcp::new(ends, self.next_id, tcp.deadline));
            self.ended.extend(older.end());
            self.next_id += 2;
        }
        if tcp.packets == 0 {
            tcp.first = frame;
        }
        tcp.packets += 1;
        tcp.cut |= segment.missing > 0;
        tcp.used = self.packets;
        tcp.last = now;
        let held = tcp.pending_bytes();
        tcp.receive(side, segment, share, &mut self.common, output);
        self.settle(slot, held, true, now, output);
        while self.pending_bytes > limits::TCP_PENDING_TOTAL && self.give_up_first(output) {}
    }

    /// The capture is over: gives up all holes. Connections that are still open get no
    /// [`StreamData::End`], as nobody closed them.
    pub fn finish(&mut self, anomalies: &mut Anomalies, out: &mut Vec<StreamEvent>) {
        let output = &mut Output { anomalies, events: out };
        let mut order: Vec<u32> = (0..self.connections.len() as u32).collect();
        order.sort_by_key(|slot| self.connections[*slot as usize].id);
        for slot in order {
            self.flush(slot, output);
        }
    }

    /// The connections of which nothing more comes, since the last call. Their events came before.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// As [`Streams::take_ended`], with those that go on.
    pub fn into_ended(self) -> impl Iterator<Item = Ended> {
        self.ended.into_iter().chain(self.connections.into_iter().filter_map(Tcp::end))
    }

    fn insert(&mut self, ends: Ends, now: Now, output: &mut Output<'_>) -> u32 {
        let slot = if self.connections.len() < limits::TCP_CONNECTIONS {
            self.connections.push(Tcp::new(ends, self.next_id, None));
            (self.connections.len() - 1) as u32
        } else {
            let slot = self.evict(now, output);
            let tcp = &mut self.connections[slot as usize];
            self.by_ends.remove(&tcp.ends);
            let older = std::mem::replace(tcp, Tcp::new(ends, self.next_id, tcp.deadline));
            self.ended.extend(older.end());
            slot
        };
        self.next_id += 2;
        self.by_ends.insert(ends, slot);
        self.idle.push(Reverse((self.packets, slot)));
        slot
    }

    /// Frees the slot of the longest idle connection. The heap may know an older use than the last
    /// one; then the entry is put right and the next one looked at, at most once per packet.
    fn evict(&mut self, now: Now, output: &mut Output<'_>) -> u32 {
        while let Some(Reverse((used, slot))) = self.idle.pop() {
            let tcp = &self.connections[slot as usize];
            if tcp.used > used {
                self.idle.push(Reverse((tcp.used, slot)));
                continue;
            }
            if !tcp.closed() {
                let text = "too many TCP connections at once: the longest idle one was given up";
                output.anomalies.add(Anomaly::new(AnomalyKind::LimitReached, now.frame, 0, text));
                self.flush(slot, output);
                self.connections[slot as usize].abort(0, Ending::GivenUp, &mut self.common, output);
            }
            return slot;
        }
        0 // not reached: every connection has an entry
    }

    /// Gives up the holes that have waited long enough at `time`.
    fn expire(&mut self, time: Timestamp, output: &mut Output<'_>) {
        while let Some(&(deadline, slot)) = self.waiting.first() {
            if deadline > time {
                break;
            }
            self.waiting.pop_first();
            let tcp = &mut self.connections[slot as usize];
            tcp.deadline = None;
            let held = tcp.pending_bytes();
            let now = Now { time, ..tcp.last };
            self.settle(slot, held, false, now, output);
        }
    }

    /// Gives up all holes of the connection whose time would come first.
    fn give_up_first(&mut self, output: &mut Output<'_>) -> bool {
        let first = self.waiting.first().copied();
        if let Some((_, slot)) = first {
            self.flush(slot, output);
        }
        first.is_some()
    }

    fn flush(&mut self, slot: u32, output: &mut Output<'_>) {
        let tcp = &mut self.connections[slot as usize];
        let held = tcp.pending_bytes();
        let now = tcp.last;
        for side in 0..2 {
            tcp.with(side, &mut self.common, output, |stream, sink| {
                stream.flush(now, sink);
            });
        }
        self.settle(slot, held, false, now, output);
    }

    /// Gives up what need not be waited for any longer, and keeps the books: `held` is what the
    /// connection held out of order before.
    fn settle(&mut self, slot: u32, held: usize, packet: bool, now: Now, output: &mut Output<'_>) {
        let tcp = &mut self.connections[slot as usize];
        let mut deadline = None;
        for side in 0..2 {
            if !tcp.streams[side].waits() {
                continue;
            }
            let next = tcp.with(side, &mut self.common, output, |stream, sink| stream.wait(packet, now, sink));
            deadline = deadline.into_iter().chain(next).min();
        }
        self.pending_bytes = (self.pending_bytes + tcp.pending_bytes()).saturating_sub(held);
        if tcp.deadline != deadline {
            if let Some(old) = tcp.deadline {
                self.waiting.remove(&(old, slot));
            }
            if let Some(new) = deadline {
                self.waiting.insert((new, slot));
            }
            tcp.deadline = deadline;
        }
    }
}

impl Tcp {
    fn new(ends: Ends, id: u64, deadline: Option<Timestamp>) -> Self {
        Self {
            ends,
            id,
            used: 0,
            packets: 0,
            first: 0,
            cut: false,
            last: Now { frame: 0, time: Timestamp::MIN },
            deadline,
            streams: [Stream::default(), Stream::default()],
            newest: [history::NONE; 2],
            layers: Layers::default(),
        }
    }

    /// What it was; none for one that no segment came to.
    fn end(self) -> Option<Ended> {
        let carried = match self.layers.carried() {
            Carried::Nothing if self.cut => Carried::Cut,
            carried => carried,
        };
        let Self { id, packets, first, .. } = self;
        (packets > 0).then_some(Ended { stream: id, packets, first, carried })
    }

    fn closed(&self) -> bool {
        self.streams.iter().all(Stream::ended)
    }

    fn pending_bytes(&self) -> usize {
        self.streams.iter().map(Stream::pending_bytes).sum()
    }

    /// Whether this segment starts a new connection between the same ports.
    fn is_new(&self, side: usize, segment: &Segment<'_>) -> bool {
        let (stream, other) = (&self.streams[side], &self.streams[1 - side]);
        if segment.flags.contains(TcpFlags::RST) {
            return false;
        }
        if segment.flags.contains(TcpFlags::SYN) {
            let first = !segment.flags.contains(TcpFlags::ACK) && stream.place(segment.seq) == Place::Unknown;
            return !stream.admits(segment.seq.wrapping_add(1)) || (first && other.started());
        }
        if segment.payload.is_empty() && segment.missing == 0 {
            return false;
        }
        match stream.place(segment.seq) {
            Place::Unknown => stream.ended(),
            // New bytes after the end: the SYN was not captured, or the RST was forged.
            Place::At(at) => self.closed() && at >= stream.next(),
            Place::Foreign => true,
        }
    }

    fn receive(
        &mut self,
        side: usize,
        segment: &Segment<'_>,
        share: &dyn Fn(&[u8]) -> Bytes,
        common: &mut Common,
        output: &mut Output<'_>,
    ) {
        let Segment { flags, payload, missing, .. } = *segment;
        let now = self.last;
        let syn = flags.contains(TcpFlags::SYN);
        let seq = segment.seq.wrapping_add(u32::from(syn));
        if flags.contains(TcpFlags::RST) {
            if self.streams[side].place(seq) != Place::Foreign {
                let unopened = !self.streams.iter().any(Stream::started) && !self.streams[side].opened();
                let refused = unopened && self.streams[1 - side].opened();
                self.abort(side, if refused { Ending::Refused } else { Ending::Reset }, common, output);
            }
            return;
        }
        if flags.contains(TcpFlags::ACK) {
            self.streams[1 - side].acknowledge(segment.ack);
        }
        let stream = &mut self.streams[side];
        if syn {
            stream.open(seq);
        } else if stream.place(seq) == Place::Unknown {
            stream.define(seq);
        }
        let Place::At(at) = stream.place(seq) else {
            return;
        };
        let missing = u64::from(missing);
        let end = at + payload.len() as u64 + missing;
        let fin = flags.contains(TcpFlags::FIN);
        if end == at && !fin {
            return;
        }
        let repeated = at < stream.next();
        let mut conflict = repeated && common.history.differs(self.id + side as u64, self.newest[side], at, payload);
        self.with(side, common, output, |stream, sink| {
            if end > at {
                conflict |= stream.data(at, Payload { bytes: payload, missing, share }, now, sink);
            }
            if fin {
                stream.fin(end);
                stream.close(now, sink);
            }
        });
        if conflict {
            let text = "a TCP retransmission has other bytes than the first transmission, which is used";
            output.anomalies.add(Anomaly::new(AnomalyKind::TcpConflict, now.frame, 0, text));
        }
    }

    /// Ends both directions, that of `side` first.
    fn abort(&mut self, side: usize, how: Ending, common: &mut Common, output: &mut Output<'_>) {
        let now = self.last;
        for side in [side, 1 - side] {
            self.with(side, common, output, |stream, sink| {
                stream.abort(how, now, sink);
            });
        }
    }

    /// Does `change` to one direction and hands what comes out of it to the layers above.
    fn with<R>(
        &mut self,
        side: usize,
        common: &mut Common,
        output: &mut Output<'_>,
        change: impl FnOnce(&mut Stream, &mut Sink<'_>) -> R,
    ) -> R {
        let stream = &mut self.streams[side];
        let mut offset = stream.next();
        let mut sink = Sink { pieces: &mut common.pieces, anomalies: output.anomalies };
        let result = change(stream, &mut sink);
        let id = self.id + side as u64;
        for piece in common.pieces.drain(..) {
            match &piece.data {
                StreamData::Bytes(bytes) => {
                    self.newest[side] = common.history.remember(id, offset, bytes, self.newest[side]);
                    offset += bytes.len() as u64;
                }
                StreamData::Gap { bytes, .. } => offset += bytes,
                StreamData::Message(_) | StreamData::Hep(_) | StreamData::End(_) => {}
            }
            let mut context = Context {
                id: self.id,
                ends: self.ends,
                keys: &mut common.keys,
                anomalies: output.anomalies,
                out: output.events,
            };
            self.layers.push(side, piece, &mut context);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ACK, FIN, RST, SYN, Wire};
    use super::*;

    #[test]
    fn segments_in_order_come_out_at_once_with_their_frames() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"ab");
        wire.data(1, 0, b"xy");
        wire.data(0, 2, b"cd");
        let seen: Vec<_> = wire.events.iter().map(|event| (event.stream, event.frame)).collect();
        assert_eq!(seen, [(0, 4), (1, 5), (0, 6)]);
        assert_eq!((wire.told(0), wire.told(1)), ("abcd".into(), "xy".into()));
    }

    #[test]
    fn bytes_held_back_keep_their_own_frames() {
        let mut wire = Wire::open();
        wire.data(0, 2, b"cd");
        wire.data(0, 0, b"ab");
        let frames: Vec<_> = wire.events.iter().map(|event| event.frame).collect();
        assert_eq!((wire.told(0).as_str(), frames), ("abcd", vec![5, 4]));
    }

    #[test]
    fn retransmission_with_a_new_tail_adds_the_tail() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"abc");
        wire.data(0, 0, b"abcdef");
        wire.data(0, 3, b"def");
        assert_eq!(wire.told(0), "abcdef");
        assert!(wire.anomalies.is_empty());
    }

    #[test]
    fn first_bytes_win_delivered_or_pending_and_the_conflict_is_told() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"abc");
        wire.data(0, 0, b"aXcd");
        assert_eq!((wire.told(0).as_str(), wire.count(AnomalyKind::TcpConflict)), ("abcd", 1));
        wire.data(0, 6, b"gh");
        wire.data(0, 4, b"efGHij");
        assert_eq!((wire.told(0).as_str(), wire.count(AnomalyKind::TcpConflict)), ("abcdefghij", 2));
    }

    #[test]
    fn keep_alives_and_probes_are_nothing() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"ab");
        wire.data(0, 1, b"\0");
        wire.segment(0, 1, ACK, b"", 0, 0);
        wire.ack(1, 0, 2);
        wire.data(0, 2, b"c");
        assert_eq!(wire.told(0), "abc");
    }

    #[test]
    fn acknowledged_hole_waits_for_reordering_only() {
        let mut wire = Wire::open();
        wire.data(0, 3, b"def");
        wire.ack(1, 0, 6);
        assert_eq!(wire.told(0), "");
        wire.data(0, 0, b"abc");
        assert_eq!(wire.told(0), "abcdef");
        wire.data(0, 9, b"jkl");
        wire.ack(1, 0, 12);
        wire.pass(20);
        wire.ack(1, 0, 12);
        assert_eq!(wire.told(0), "abcdef<3 not captured>jkl");
        assert_eq!(wire.anomalies.of(AnomalyKind::TcpGap).unwrap().frames, [7]);
    }

    #[test]
    fn acknowledged_hole_ends_after_some_packets_without_time() {
        let mut wire = Wire::open();
        wire.data(0, 3, b"def");
        for _ in 0..40 {
            wire.ack(1, 0, 6);
        }
        assert_eq!(wire.told(0), "<3 not captured>def");
    }

    #[test]
    fn hole_times_out_on_any_packet_of_the_capture() {
        let mut wire = Wire::open();
        wire.data(0, 3, b"def");
        wire.pass(7999);
        wire.port = 5070;
        wire.data(0, 0, b"");
        assert_eq!(wire.told(0), "");
        wire.pass(1);
        wire.data(0, 0, b"");
        assert_eq!(wire.told(0), "<3 lost>def");
    }

    #[test]
    fn acknowledged_bytes_at_the_end_of_the_capture_are_told() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"abc");
        wire.ack(1, 0, 10);
        wire.finish();
        assert_eq!(wire.told(0), "abc<7 not captured>");
    }

    #[test]
    fn fin_that_was_not_captured_is_no_gap() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"abc");
        wire.ack(1, 0, 4);
        wire.finish();
        assert_eq!(wire.told(0), "abc");
    }

    #[test]
    fn bytes_cut_by_the_snap_length_are_a_gap_in_their_place() {
        let mut wire = Wire::open();
        wire.segment(0, 0, ACK, b"ab", 3, 0);
        wire.data(0, 5, b"fg");
        wire.segment(0, 10, ACK, b"k", 1, 0);
        wire.segment(0, 7, ACK, b"hij", 0, 0);
        assert_eq!(wire.told(0), "ab<3 not captured>fghijk<1 not captured>");
    }

    #[test]
    fn fin_ends_a_direction_only_when_all_before_it_is_there() {
        let mut wire = Wire::open();
        wire.segment(0, 3, FIN | ACK, b"def", 0, 0);
        assert_eq!(wire.told(0), "");
        wire.data(0, 0, b"abc");
        wire.segment(0, 6, FIN | ACK, b"", 0, 0);
        wire.data(1, 0, b"x");
        assert_eq!((wire.told(0), wire.told(1)), ("abcdef<end>".into(), "x".into()));
    }

    #[test]
    fn rst_flushes_and_ends_both_directions() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"a");
        wire.data(0, 2, b"c");
        wire.data(1, 0, b"x");
        wire.segment(1, 1, RST, b"", 0, 0);
        assert_eq!((wire.told(0), wire.told(1)), ("a<1 lost>c<reset>".into(), "x<reset>".into()));
    }

    #[test]
    fn side_that_said_nothing_can_hang_up() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"a");
        wire.segment(1, 0, FIN | ACK, b"", 0, 1);
        assert_eq!((wire.told(0), wire.told(1)), ("a".into(), "<end>".into()));
    }

    #[test]
    fn refused_connection_is_told_first_by_who_refused_it() {
        let mut wire = Wire::new(b"");
        wire.segment(0, u32::MAX, SYN, b"", 0, 0);
        wire.segment(1, u32::MAX, RST | ACK, b"", 0, 0);
        assert_eq!((wire.told(0), wire.told(1)), ("<refused>".into(), "<refused>".into()));
        assert_eq!(wire.events.first().map(|event| event.stream), Some(1));
    }

    #[test]
    fn syn_with_a_new_number_starts_a_new_incarnation_and_a_repeated_one_does_not() {
        let mut wire = Wire::open();
        wire.segment(0, u32::MAX, SYN, b"", 0, 0);
        wire.data(0, 0, b"old");
        wire.segment(0, u32::MAX, SYN, b"", 0, 0);
        wire.isn = [77_000, 99];
        wire.handshake();
        wire.data(0, 0, b"new");
        assert_eq!(wire.told(0), "old<end>new");
        assert_ne!(wire.events[0].stream, wire.events[2].stream);
    }

    #[test]
    fn connection_without_its_start_begins_with_the_first_segment() {
        let mut wire = Wire::new(b"");
        wire.data(0, 500, b"abc");
        wire.data(0, 503, b"def");
        wire.data(0, 400, b"before");
        assert_eq!(wire.told(0), "abcdef");
        assert!(wire.anomalies.is_empty());
    }

    #[test]
    fn earlier_segment_counts_as_long_as_nothing_was_delivered() {
        let mut wire = Wire::new(b"");
        wire.ack(0, 500, 0);
        wire.data(0, 503, b"def");
        wire.data(0, 497, b"xyzabc");
        assert_eq!(wire.told(0), "xyzabcdef");
    }

    #[test]
    fn pending_bytes_are_capped() {
        let mut wire = Wire::open();
        for at in 0..2000 {
            wire.data(0, 10 + 2 * at, b"x");
            let tcp = &wire.streams.connections[0];
            assert!(tcp.pending_bytes() <= limits::TCP_PENDING_SEGMENTS);
            assert_eq!(tcp.pending_bytes(), wire.streams.pending_bytes);
        }
        assert!(wire.told(0).starts_with("<10 lost>x<1 lost>x"));
    }

    #[test]
    fn longest_idle_connection_is_given_up_and_the_others_stay() {
        let mut wire = Wire::new(b"");
        let end = |number: u32| Endpoint { ip: (0x0a00_0000 + number).to_be_bytes().into(), port: 5060 };
        let peer = Endpoint { ip: [192, 0, 2, 1].into(), port: 5060 };
        let mut push = |number: u32, seq: u32| {
            let segment = Segment {
                src: end(number),
                dst: peer,
                ip_id: 0,
                seq,
                ack: 0,
                flags: TcpFlags::default(),
                payload: b"a",
                missing: 0,
            };
            let share = &|bytes: &[u8]| Bytes::copy_from_slice(bytes);
            wire.streams.push(&segment, 1 + number, Timestamp::default(), share, &mut wire.anomalies, &mut wire.events);
        };
        let full = limits::TCP_CONNECTIONS as u32;
        (0..full).for_each(|number| push(number, 1));
        push(0, 2);
        push(full, 1);
        push(0, 3);
        assert_eq!(wire.streams.connections.len(), limits::TCP_CONNECTIONS);
        assert_eq!(wire.count(AnomalyKind::LimitReached), 1);
        let ended = wire.events.iter().filter(|event| matches!(event.what, StreamData::End(_)));
        assert_eq!(ended.map(|event| event.connection.src).collect::<Vec<_>>(), [end(1)]);
        assert_eq!(wire.events.iter().filter(|event| event.stream == 0).count(), 3);
    }

    /// Cuts a text into segments, repeats some ranges, and shuffles within a window.
    fn segments(len: u32) -> impl Strategy<Value = Vec<(u32, u32)>> {
        let cuts = prop::collection::vec(1..len, 0..40);
        let again = prop::collection::vec((0..len, 1..200u32), 0..20);
        (cuts, again, prop::collection::vec(0..12usize, 64)).prop_map(move |(mut cuts, again, jitter)| {
            cuts.extend([0, len]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut all: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
            all.extend(again.into_iter().map(|(from, more)| (from, (from + more).min(len))));
            let mut order: Vec<_> = all.iter().enumerate().map(|(at, range)| (at + jitter[at], *range)).collect();
            order.sort_by_key(|(key, _)| *key);
            order.into_iter().map(|(_, range)| range).collect()
        })
    }

    fn text(len: u32) -> Vec<u8> {
        (0..len).map(|at| b'a' + (at * at % 26) as u8).collect()
    }

    proptest! {
        #[test]
        fn any_cutting_order_and_repetition_gives_the_same_bytes(
            order in segments(1500),
            isn in prop_oneof![any::<u32>(), (u32::MAX - 1600)..=u32::MAX],
        ) {
            let text = text(1500);
            let mut wire = Wire::new(b"");
            wire.isn[0] = isn;
            wire.handshake();
            for (from, to) in order {
                wire.data(0, from, &text[from as usize..to as usize]);
            }
            prop_assert_eq!(wire.told(0).into_bytes(), text);
            prop_assert!(wire.anomalies.is_empty());
        }

        #[test]
        fn bytes_after_any_loss_are_in_their_place(
            order in segments(1500),
            lost in prop::collection::vec(any::<bool>(), 64),
            acked in prop::collection::vec(0..1500u32, 64),
            isn in any::<u32>(),
        ) {
            let text = text(1500);
            let mut wire = Wire::new(b"");
            wire.isn[0] = isn;
            wire.handshake();
            for (at, (from, to)) in order.into_iter().enumerate() {
                if !lost[at] {
                    wire.data(0, from, &text[from as usize..to as usize]);
                }
                wire.ack(1, 0, acked[at]);
                wire.pass(3);
            }
            wire.finish();
            let mut at = 0;
            for event in &wire.events {
                match &event.what {
                    StreamData::Bytes(bytes) => {
                        prop_assert_eq!(&bytes[..], &text[at..at + bytes.len()]);
                        at += bytes.len();
                    }
                    StreamData::Gap { bytes, .. } => at += *bytes as usize,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(wire.streams.pending_bytes, 0);
            prop_assert!(wire.streams.waiting.is_empty());
        }
    }
}
