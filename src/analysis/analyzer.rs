//! Packets in, an [`Analysis`] out. File, live view and tests all drive this one machine; they differ
//! only in who fills the batches.

use super::intake::{Chunk, Item, Origin, Raw, Sort, sort, sort_datagram};
use super::{Analysis, Skipped, Stats, agents, icmp};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Batch, Connection, Frames, Idx, Timestamp, limits};
use crate::call::{self, CallIds};
use crate::net::{
    self, Decoded, Defragmenter, KeyLog, Relayed, Sctp, SctpMessage, SctpMessages, Segment, StreamData, StreamEvent,
    Streams,
};
use crate::session::Seen;
use crate::sip::{Facts, Framed, Framer, Probe, probe};
use bytes::Bytes;
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// What the user may tell us about the traffic.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// TLS secrets in the format of SSLKEYLOGFILE.
    pub key_log: Vec<u8>,
    /// UDP ports whose every datagram is SIP, however odd it looks.
    pub sip_ports: Vec<u16>,
}

/// Reads packets batch by batch. The result does not depend on how they are cut into batches nor on
/// the number of threads: pure stages run in parallel, every machine is fed in order.
pub struct Analyzer {
    options: Options,
    defragmenter: Defragmenter,
    streams: Streams,
    sctp: SctpMessages,
    framers: HashMap<u64, Line, RandomState>,
    ids: CallIds,
    events: Vec<StreamEvent>,
    framed: Vec<Framed>,
    skipped: BTreeMap<&'static str, Skipped>,
    /// Messages that capture agents passed on, by position in the analysis.
    relayed: Vec<(usize, u64)>,
    /// Messages of the last batch, not yet in `analysis`.
    parsed: Vec<Seen>,
    analysis: Analysis,
}

/// One direction of a stream on its way to messages.
struct Line {
    framer: Framer,
    connection: Connection,
    /// Whether a SIP message came out of it; bytes of other protocols are no anomaly.
    sip: bool,
}

/// Packets decoded by one task at a time.
const CHUNK: usize = 1024;

impl Analyzer {
    /// An analyzer that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            streams: Streams::new(KeyLog::parse(&options.key_log)),
            options,
            defragmenter: Defragmenter::default(),
            sctp: SctpMessages::default(),
            framers: HashMap::default(),
            ids: CallIds::default(),
            events: Vec::new(),
            framed: Vec::new(),
            skipped: BTreeMap::new(),
            relayed: Vec::new(),
            parsed: Vec::new(),
            analysis: Analysis::default(),
        }
    }

    /// TLS secrets found in the capture itself (pcapng decryption secrets).
    pub fn add_keys(&mut self, key_log: &[u8]) {
        self.streams.add_keys(key_log);
    }

    /// Takes the next packets, in order of capture.
    pub fn push(&mut self, batch: &Batch) {
        for packet in &batch.packets {
            self.analysis.first.get_or_insert(packet.time);
            self.analysis.first = self.analysis.first.min(Some(packet.time));
            self.analysis.last = self.analysis.last.max(Some(packet.time));
        }
        self.analysis.stats.packets += batch.packets.len() as u64;
        let ports = &self.options.sip_ports;
        let decoded: Vec<Chunk<'_>> =
            batch.packets.par_chunks(CHUNK).map(|packets| Chunk::decode(batch, packets, ports)).collect();
        let mut raws = Vec::new();
        for chunk in decoded {
            for (what, skipped) in chunk.skipped {
                self.skipped.entry(what).or_default().merge(skipped);
            }
            for item in chunk.items {
                self.transport(batch, item, &mut raws);
            }
        }
        self.keep(raws);
    }

    /// The end of the capture: what waited for more is given up, calls are built.
    pub fn finish(mut self) -> Analysis {
        let mut raws = Vec::new();
        let mut events = std::mem::take(&mut self.events);
        self.streams.finish(&mut self.analysis.anomalies, &mut events);
        for event in events.drain(..) {
            self.stream(event, &mut raws);
        }
        let mut streams: Vec<u64> = self.framers.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.close(stream, &mut raws);
        }
        for whole in self.defragmenter.finish(&mut self.analysis.anomalies) {
            self.reassembled(&whole, 0, &mut raws);
        }
        let mut messages = Vec::new();
        self.sctp.finish(&mut messages);
        for message in messages {
            self.sctp_message(message, 0, &mut raws);
        }
        self.keep(raws);
        let parsed = std::mem::take(&mut self.parsed);
        self.file(parsed);
        agents::number_sendings(&mut self.analysis.seen, &self.relayed);
        let Self { ids, mut analysis, skipped, .. } = self;
        let end = analysis.last.unwrap_or_default();
        let call_ids = ids.len() as u64;
        let mut groups = call::group_messages(&analysis.seen, ids);
        for group in &mut groups {
            cap(group, &analysis.seen, &mut analysis.anomalies);
        }
        let seen = &analysis.seen;
        let (calls, counted) = rayon::join(
            || groups.par_iter().map(|group| call::build(seen, group, end)).collect::<Vec<_>>(),
            || Stats::of_messages(seen),
        );
        let packets = analysis.stats.packets;
        analysis.stats = Stats { packets, call_ids, skipped, ..counted };
        analysis.stats.count_calls(&calls);
        analysis.calls = calls;
        note_repairs(&mut analysis);
        icmp::assign(&mut analysis);
        analysis
    }

    /// The ordered stage: fragments and segments become messages.
    fn transport(&mut self, batch: &Batch, item: Item<'_>, raws: &mut Vec<Raw>) {
        match item {
            Item::Sip(raw) => raws.push(raw),
            Item::Odd(anomaly) => self.analysis.anomalies.add(anomaly),
            Item::Icmp(meta, error) => {
                if !icmp::note(&mut self.analysis.icmp, &meta, &error) {
                    self.skip("ICMP, not about SIP", meta.frame);
                }
            }
            Item::Sctp(meta, packet) => {
                let share = |part: &[u8]| batch.share(&meta, part);
                self.sctp(meta.frame, meta.time, meta.interface, &packet, raws, &share);
            }
            Item::Fragment(meta, fragment) => {
                let anomalies = &mut self.analysis.anomalies;
                let whole = self.defragmenter.push(&fragment, meta.frame, meta.time, anomalies);
                for whole in self.defragmenter.take_incomplete().into_iter().chain(whole) {
                    self.reassembled(&whole, meta.interface, raws);
                }
            }
            Item::Segment(meta, segment) => {
                let share = |part: &[u8]| batch.share(&meta, part);
                self.segment(meta.frame, meta.time, &segment, raws, &share);
            }
        }
    }

    /// An IP datagram put together, or as much of it as was captured.
    fn reassembled(&mut self, whole: &net::Whole, interface: u32, raws: &mut Vec<Raw>) {
        let share = |part: &[u8]| whole.bytes.slice_ref(part);
        let origin = Origin { frames: whole.frames.clone(), time: whole.time, interface };
        let frame = whole.frames.last();
        match net::decode_ip(&whole.bytes) {
            Decoded::Datagram(datagram) => match sort_datagram(&datagram, &self.options.sip_ports) {
                Sort::Sip(at) => raws.push(origin.datagram(&datagram, share(&datagram.payload[at..]))),
                other => self.skip(other.name(), frame),
            },
            Decoded::Segment(segment) => {
                self.segment(frame, whole.time, &segment, raws, &share);
            }
            Decoded::Sctp(packet) => self.sctp(frame, whole.time, interface, &packet, raws, &share),
            Decoded::Relayed(relayed) => self.relayed(origin, &relayed, &share, raws),
            Decoded::Skipped(skip) => {
                let skipped = Skipped { unread: skip.hides(), ..Skipped::one(frame) };
                self.skipped.entry(skip.name()).or_default().merge(skipped);
                if let Some(kind) = skip.anomaly() {
                    let odd = Anomaly::new(kind, frame, skip.offset.into(), skip.text());
                    self.analysis.anomalies.add(odd);
                }
            }
            Decoded::Icmp(_) | Decoded::Fragment(_) => {}
        }
    }

    /// A message passed on by an agent.
    fn relayed(&mut self, origin: Origin, relayed: &Relayed<'_>, share: &dyn Fn(&[u8]) -> Bytes, raws: &mut Vec<Raw>) {
        let frame = origin.frames.last();
        let (told, odd) = origin.relayed(relayed, &self.options.sip_ports, share);
        if let Some(odd) = odd {
            self.analysis.anomalies.add(odd);
        }
        match told {
            Ok(raw) => raws.push(raw),
            Err(what) => self.skip(what, frame),
        }
    }

    fn sctp(
        &mut self,
        frame: u32,
        time: Timestamp,
        interface: u32,
        packet: &Sctp<'_>,
        raws: &mut Vec<Raw>,
        share: &dyn Fn(&[u8]) -> Bytes,
    ) {
        let mut messages = Vec::new();
        self.sctp.push(packet, frame, time, share, &mut self.analysis.anomalies, &mut messages);
        for message in messages {
            self.sctp_message(message, interface, raws);
        }
    }

    /// A user message of SCTP is one SIP message (RFC 4168 5).
    fn sctp_message(&mut self, message: SctpMessage, interface: u32, raws: &mut Vec<Raw>) {
        let SctpMessage { connection, bytes, frames, time, complete } = message;
        let frame = frames.last();
        match sort(&bytes, connection.src, connection.dst, &self.options.sip_ports) {
            Sort::Sip(at) => {
                if !complete {
                    let text = "chunks of a SIP message over SCTP are not in the capture";
                    let odd = Anomaly::new(AnomalyKind::IncompleteFragments, frame, 0, text);
                    self.analysis.anomalies.add(odd);
                }
                raws.push(Origin { frames, time, interface }.message(connection, bytes.slice(at..)));
            }
            Sort::KeepAlive => self.skip("SIP keep-alive", frame),
            Sort::Other => self.skip("SCTP, not SIP", frame),
        }
    }

    fn skip(&mut self, what: &'static str, frame: u32) {
        self.skipped.entry(what).or_default().merge(Skipped::one(frame));
    }

    fn segment(
        &mut self,
        frame: u32,
        time: Timestamp,
        segment: &Segment<'_>,
        raws: &mut Vec<Raw>,
        share: &dyn Fn(&[u8]) -> Bytes,
    ) {
        let mut events = std::mem::take(&mut self.events);
        let anomalies = &mut self.analysis.anomalies;
        self.streams.push(segment, frame, time, share, anomalies, &mut events);
        for event in events.drain(..) {
            self.stream(event, raws);
        }
        self.events = events;
    }

    /// Bytes of a stream become messages by their Content-Length (RFC 3261 18.3).
    fn stream(&mut self, event: StreamEvent, raws: &mut Vec<Raw>) {
        let StreamEvent { stream, connection, frame, time, what } = event;
        match what {
            StreamData::Message(bytes) => {
                if let Probe::Sip { offset } = probe(&bytes) {
                    let origin = Origin { frames: Frames::one(frame), time, interface: 0 };
                    raws.push(origin.message(connection, bytes.slice(offset..)));
                }
            }
            StreamData::Hep(packet) => {
                let origin = Origin { frames: Frames::one(frame), time, interface: 0 };
                match net::decode_hep(&packet, connection.src.ip) {
                    Decoded::Relayed(relayed) => {
                        self.relayed(origin, &relayed, &|part| packet.slice_ref(part), raws);
                    }
                    _ => self.skip("HEP, not SIP", frame),
                }
            }
            StreamData::Bytes(bytes) => {
                let line = self.framers.entry(stream).or_insert_with(|| Line {
                    framer: Framer::default(),
                    connection,
                    sip: false,
                });
                line.framer.push(bytes, frame, time, &mut self.framed);
                line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
            }
            StreamData::Gap { bytes, .. } => {
                if let Some(line) = self.framers.get_mut(&stream) {
                    line.framer.gap(bytes, &mut self.framed);
                    line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
                }
            }
            StreamData::End { .. } => self.close(stream, raws),
        }
    }

    fn close(&mut self, stream: u64, raws: &mut Vec<Raw>) {
        if let Some(mut line) = self.framers.remove(&stream) {
            line.framer.finish(&mut self.framed);
            line.take(&mut self.framed, raws, &mut self.analysis.anomalies);
        }
    }

    /// Parses in parallel; meanwhile the messages parsed before are filed, which goes in order.
    fn keep(&mut self, raws: Vec<Raw>) {
        let parsed = std::mem::take(&mut self.parsed);
        let start = self.analysis.seen.len() + parsed.len();
        for (at, raw) in raws.iter().enumerate().filter(|(_, raw)| raw.agent != 0) {
            self.relayed.push((start + at, raw.agent));
            // The agent's clock is the one that these messages are judged by.
            self.analysis.last = self.analysis.last.max(Some(raw.time));
        }
        (self.parsed, ()) = rayon::join(|| raws.into_par_iter().map(Raw::parse).collect(), || self.file(parsed));
    }

    fn file(&mut self, parsed: Vec<Seen>) {
        for seen in parsed {
            if self.analysis.seen.len() >= limits::MESSAGES {
                let text = "more SIP messages than one analysis holds; the rest was left out";
                self.analysis.anomalies.add(Anomaly::new(AnomalyKind::LimitReached, seen.frames.last(), 0, text));
                continue;
            }
            for (fact, kind, text) in [
                (Facts::CUT, AnomalyKind::CutMessage, "SIP message is cut short"),
                (
                    Facts::MALFORMED,
                    AnomalyKind::MalformedMessage,
                    "start line or mandatory header missing or not understood",
                ),
            ] {
                if seen.message.has(fact) {
                    self.analysis.anomalies.add(Anomaly::new(kind, seen.frames.last(), 0, text));
                }
            }
            self.ids.push(Idx::new(self.analysis.seen.len()), &seen);
            self.analysis.seen.push(seen);
        }
    }
}

impl Line {
    fn take(&mut self, framed: &mut Vec<Framed>, raws: &mut Vec<Raw>, anomalies: &mut Anomalies) {
        for framed in framed.drain(..) {
            match framed {
                Framed::Message { bytes, frames, time, .. } => {
                    self.sip = true;
                    raws.push(Origin { frames, time, interface: 0 }.message(self.connection, bytes));
                }
                Framed::Junk { frame, bytes } if self.sip => {
                    let text = format!("{bytes} bytes between SIP messages of a stream are no SIP");
                    anomalies.add(Anomaly::new(AnomalyKind::NotSip, frame, 0, text));
                }
                Framed::Junk { .. } => {}
            }
        }
    }
}

/// Says which messages do not stand where they were captured.
fn note_repairs(analysis: &mut Analysis) {
    for call in &analysis.calls {
        for link in &call.reordered {
            let seen = |no| &analysis.seen[call.message(no).seen.at()];
            let (effect, cause) = (seen(link.effect), seen(link.cause));
            let (frame, behind) = (effect.frames.last(), cause.frames.last());
            let late = cause.time - effect.time;
            let times =
                if late > 0 { format!("{:.3} ms", late as f64 / 1e6) } else { "against their times".to_owned() };
            let text = format!(
                "frame {frame} was recorded before frame {behind}, which caused it ({times}); \
                 it is taken behind it"
            );
            let note = Anomaly::new(AnomalyKind::Reordered, frame, 0, text);
            analysis.anomalies.add(note);
        }
    }
}

/// A flood under one Call-ID is judged by its first messages.
fn cap(group: &mut call::Group, seen: &[Seen], anomalies: &mut Anomalies) {
    if let Some(first) = group.get(limits::MESSAGES_PER_CALL) {
        let frame = seen[first.at()].frames.last();
        let text =
            format!("one call has {} messages; only the first {} are judged", group.len(), limits::MESSAGES_PER_CALL);
        anomalies.add(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text));
        group.truncate(limits::MESSAGES_PER_CALL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Endpoint, Transport};
    use crate::sip::Message;

    #[test]
    fn a_call_without_end_is_judged_by_its_first_messages_and_says_so() {
        let host = Endpoint { ip: std::net::IpAddr::from([192, 0, 2, 1]), port: 5060 };
        let seen = [Seen {
            message: Message::parse(Bytes::from_static(b"OPTIONS sip:a SIP/2.0\r\n\r\n")),
            frames: Frames::one(7),
            time: Timestamp::default(),
            connection: Connection { src: host, dst: host, transport: Transport::Udp },
            ip_id: 0,
            interface: 0,
        }];
        let mut anomalies = Anomalies::default();
        let mut group = vec![Idx::new(0); limits::MESSAGES_PER_CALL];
        cap(&mut group, &seen, &mut anomalies);
        assert!(anomalies.is_empty());
        group.push(Idx::new(0));
        cap(&mut group, &seen, &mut anomalies);
        assert_eq!(group.len(), limits::MESSAGES_PER_CALL);
        assert_eq!(anomalies.iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [AnomalyKind::LimitReached]);
    }
}
