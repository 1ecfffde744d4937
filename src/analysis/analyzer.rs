//! Packets in, an [`Analysis`] out. File, live view and tests all drive this one machine; they differ
//! only in who fills the batches.

use super::complete::{Found, complete};
use super::coverage::{Coverage, PacketKind};
use super::held;
use super::intake::{Chunk, Item, Origin, Passed, Raw, Sort, sort, sort_datagram};
use super::sealed::Sealed;
use super::streams::Line;
use super::window::Past;
use super::wrapped::Wrappings;
use super::{Analysis, icmp, points};
use crate::base::{Anomaly, AnomalyKind, Batch, Idx, PacketMeta, Timestamp, limits};
use crate::call::CallIds;
use crate::net::{
    self, Decoded, Defragmenter, Fragment, Relayed, Sctp, SctpMessage, SctpMessages, StreamEvent, Streams, TlsKeys,
};
use crate::session::Seen;
use crate::sip::{Facts, Framed};
use bytes::Bytes;
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What the user may tell us about the traffic.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// TLS secrets in the format of SSLKEYLOGFILE.
    pub key_log: Vec<u8>,
    /// Private keys of TLS servers, for sessions whose suite exchanges its keys with RSA.
    pub rsa_keys: Vec<net::RsaKey>,
    /// UDP ports whose every datagram is SIP, however odd it looks.
    pub sip_ports: Vec<u16>,
    /// Headers that hold the Call-ID of another leg, or one value on all legs of a call, beside the known ones.
    pub leg_headers: Vec<String>,
    /// What is kept of a batch is copied out of it: a live view keeps a few messages of many packets, and must not hold
    /// the buffers of all of them.
    pub copies: bool,
    /// How long nothing has to come for a call until it is looked at; zero for who wants to know at once.
    pub patience: Duration,
}

/// Reads packets batch by batch. The result does not depend on how they are cut into batches nor on
/// the number of threads: pure stages run in parallel, every machine is fed in order.
pub struct Analyzer {
    pub(super) options: Options,
    defragmenter: Defragmenter,
    pub(super) streams: Streams,
    sctp: SctpMessages,
    pub(super) framers: HashMap<u64, Line, RandomState>,
    pub(super) ids: CallIds,
    pub(super) events: Vec<StreamEvent>,
    pub(super) framed: Vec<Framed>,
    /// Every packet that came, but those of connections that go on.
    pub(super) coverage: Coverage,
    /// Connections that go on and carried SIP, by the lower number of their streams.
    pub(super) with_sip: HashSet<u64, RandomState>,
    pub(super) sealed: Sealed,
    pub(super) wrappings: Wrappings,
    /// Messages that capture agents passed on, by position in the analysis.
    pub(super) relayed: Vec<(usize, Passed)>,
    /// Messages of the last batch, not yet in `analysis`.
    pub(super) parsed: Vec<Seen>,
    pub(super) analysis: Analysis,
    /// What left memory before the end.
    pub(super) past: Past,
}

/// Packets decoded by one task at a time.
const CHUNK: usize = 1024;

impl Analyzer {
    /// An analyzer that has seen nothing yet.
    pub fn new(mut options: Options) -> Self {
        let past = Past::new(options.patience);
        Self {
            streams: Streams::new(TlsKeys::new(&options.key_log, std::mem::take(&mut options.rsa_keys))),
            options,
            defragmenter: Defragmenter::default(),
            sctp: SctpMessages::default(),
            framers: HashMap::default(),
            ids: CallIds::default(),
            events: Vec::new(),
            framed: Vec::new(),
            coverage: Coverage::default(),
            with_sip: HashSet::default(),
            sealed: Sealed::default(),
            wrappings: Wrappings::default(),
            relayed: Vec::new(),
            parsed: Vec::new(),
            analysis: Analysis::default(),
            past,
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
            points::note(&mut self.analysis.points, packet);
        }
        self.analysis.stats.packets += batch.packets.len() as u64;
        let batch = &*self.past.on_first_clock(batch);
        let ports = &self.options.sip_ports;
        let decoded: Vec<Chunk<'_>> =
            batch.packets.par_chunks(CHUNK).map(|packets| Chunk::decode(batch, packets, ports)).collect();
        let mut raws = Vec::new();
        for chunk in decoded {
            self.coverage.merge(&chunk.coverage);
            let numbers = self.wrappings.take_in(chunk.wrappings);
            for item in chunk.items {
                self.transport(batch, item, &numbers, &mut raws);
            }
        }
        self.keep(raws);
    }

    /// The messages that the last batch, or the end, completed.
    pub fn latest(&self) -> &[Seen] {
        &self.parsed
    }

    /// The end of the capture: what waited for more is given up, calls are built. (Who looked before the end takes
    /// [`Analyzer::end`] and [`Analyzer::last_look`] instead.)
    pub fn finish(mut self) -> Analysis {
        self.end();
        let parsed = std::mem::take(&mut self.parsed);
        self.file(parsed);
        let Self { options, ids, analysis, coverage, sealed, wrappings, relayed, .. } = self;
        let found = Found { ids, relayed: &relayed, coverage, sealed, wrappings, before: None };
        complete(analysis, found, &options)
    }

    /// Nothing follows: what waited for more is given up.
    pub fn end(&mut self) {
        let mut raws = Vec::new();
        for whole in self.defragmenter.finish(&mut self.analysis.anomalies) {
            self.incomplete(&whole, 0, &mut raws);
        }
        self.streams.finish(&mut self.analysis.anomalies, &mut self.events);
        self.stream_events(&mut raws);
        let mut streams: Vec<u64> = self.framers.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.close(stream, &mut raws);
        }
        for ended in std::mem::take(&mut self.streams).into_ended() {
            self.account(ended);
        }
        let mut messages = Vec::new();
        self.sctp.finish(&mut messages);
        for message in messages {
            self.sctp_message(message, 0, &mut raws);
        }
        self.keep(raws);
    }

    /// The ordered stage: fragments and segments become messages. `numbers`: as [`Wrappings::take_in`] gives.
    fn transport(&mut self, batch: &Batch, item: Item<'_>, numbers: &[u16], raws: &mut Vec<Raw>) {
        let (before, copies) = (raws.len(), self.options.copies);
        let meta = match item {
            Item::Sip(mut raw) => {
                raw.wrapped = usize::from(raw.wrapped).checked_sub(1).map_or(0, |at| numbers[at]);
                return raws.push(raw);
            }
            Item::Odd(anomaly) => return self.analysis.anomalies.add(anomaly),
            Item::Icmp(meta, error) => {
                let meta = PacketMeta { time: meta.time.moved(self.past.clock_set), ..meta };
                if !icmp::note(&mut self.analysis.icmp, &meta, &error) {
                    self.coverage.add(PacketKind::OtherIcmp, meta.frame);
                }
                return;
            }
            Item::Sctp(meta, packet) => {
                let share = |part: &[u8]| if copies { Bytes::copy_from_slice(part) } else { batch.share(&meta, part) };
                let kind = self.sctp(meta.frame, meta.time, meta.interface, &packet, raws, &share);
                self.coverage.add(kind, meta.frame);
                meta
            }
            Item::Fragment(meta, fragment) => {
                self.fragment(&meta, &fragment, raws);
                meta
            }
            Item::Segment(meta, segment) => {
                let share = |part: &[u8]| if copies { Bytes::copy_from_slice(part) } else { batch.share(&meta, part) };
                self.segment(meta.frame, meta.time, &segment, raws, &share);
                meta
            }
        };
        self.wrap(batch, &meta, &mut raws[before..]);
    }

    /// Says of messages that `meta` completed what it was wrapped in.
    fn wrap(&mut self, batch: &Batch, meta: &PacketMeta, raws: &mut [Raw]) {
        if raws.is_empty() {
            return;
        }
        let outer = net::outer(meta.link, batch.data(meta));
        for raw in raws.iter_mut().filter(|raw| raw.frames.last() == meta.frame) {
            raw.wrapped = self.wrappings.around(&outer, raw.wrapped);
        }
    }

    fn fragment(&mut self, meta: &PacketMeta, fragment: &Fragment<'_>, raws: &mut Vec<Raw>) {
        let whole = self.defragmenter.push(fragment, meta.frame, meta.time, &mut self.analysis.anomalies);
        for whole in self.defragmenter.take_incomplete() {
            self.incomplete(&whole, meta.interface, raws);
        }
        let kind = match whole {
            Some(whole) => self.reassembled(&whole, meta.interface, raws),
            None => Some(PacketKind::Fragment),
        };
        if let Some(kind) = kind {
            self.coverage.add(kind, meta.frame);
        }
    }

    /// What was captured of an IP datagram that did not become whole. One of its fragments, which were
    /// all counted as such, counts as what came of it.
    fn incomplete(&mut self, whole: &net::Whole, interface: u32, raws: &mut Vec<Raw>) {
        self.coverage.uncount(PacketKind::Fragment);
        if let Some(kind) = self.reassembled(whole, interface, raws) {
            self.coverage.add(kind, whole.frames.last());
        }
    }

    /// An IP datagram put together, or as much of it as was captured. What it was, unless its connection
    /// counts it.
    fn reassembled(&mut self, whole: &net::Whole, interface: u32, raws: &mut Vec<Raw>) -> Option<PacketKind> {
        let before = raws.len();
        let kind = match net::decode_ip(&whole.bytes) {
            Decoded::Aggregate(all) => {
                let kinds: Vec<_> = all.frames().map(|frame| self.inner(frame, whole, interface, raws)).collect();
                kinds.into_iter().flatten().next()
            }
            decoded => self.inner(decoded, whole, interface, raws),
        };
        if raws.len() > before {
            let number = self.wrappings.number(net::outer_ip(&whole.bytes));
            raws[before..].iter_mut().for_each(|raw| raw.wrapped = number);
        }
        kind
    }

    /// What is in such a datagram.
    fn inner(
        &mut self,
        decoded: Decoded<'_>,
        whole: &net::Whole,
        interface: u32,
        raws: &mut Vec<Raw>,
    ) -> Option<PacketKind> {
        let share = |part: &[u8]| whole.bytes.slice_ref(part);
        let origin = Origin { frames: whole.frames.clone(), time: whole.time, interface };
        let frame = whole.frames.last();
        Some(match decoded {
            Decoded::Datagram(datagram) => match sort_datagram(&datagram, &self.options.sip_ports) {
                Sort::Sip(at) => {
                    raws.push(origin.datagram(&datagram, share(&datagram.payload[at..])));
                    PacketKind::SipUdp
                }
                Sort::KeepAlive => PacketKind::KeepAlive,
                Sort::Other => PacketKind::of_datagram(&datagram),
            },
            Decoded::Segment(segment) => {
                self.segment(frame, whole.time, &segment, raws, &share);
                return None;
            }
            Decoded::Sctp(packet) => self.sctp(frame, whole.time, interface, &packet, raws, &share),
            Decoded::Relayed(relayed) => self.relayed(origin, &relayed, &share, raws),
            Decoded::Skipped(skip) => {
                if let Some(kind) = skip.anomaly() {
                    let odd = Anomaly::new(kind, frame, skip.offset.into(), skip.text());
                    self.analysis.anomalies.add(odd);
                }
                PacketKind::of_skip(&skip)
            }
            Decoded::Icmp(_) => PacketKind::OtherIcmp,
            Decoded::Fragment(_) | Decoded::Aggregate(_) => PacketKind::Fragment,
        })
    }

    /// A message passed on by an agent.
    pub(super) fn relayed(
        &mut self,
        origin: Origin,
        relayed: &Relayed<'_>,
        share: &dyn Fn(&[u8]) -> Bytes,
        raws: &mut Vec<Raw>,
    ) -> PacketKind {
        let (told, odd) = origin.relayed(relayed, &self.options.sip_ports, share);
        if let Some(odd) = odd {
            self.analysis.anomalies.add(odd);
        }
        match told {
            Ok(raw) => {
                raws.push(raw);
                PacketKind::SipRelayed
            }
            Err(kind) => kind,
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
    ) -> PacketKind {
        let mut messages = Vec::new();
        let before = raws.len();
        self.sctp.push(packet, frame, time, share, &mut self.analysis.anomalies, &mut messages);
        for message in messages {
            self.sctp_message(message, interface, raws);
        }
        if raws.len() > before { PacketKind::SipSctp } else { PacketKind::OtherSctp }
    }

    /// A user message of SCTP is one SIP message (RFC 4168 5).
    fn sctp_message(&mut self, message: SctpMessage, interface: u32, raws: &mut Vec<Raw>) {
        let SctpMessage { connection, bytes, frames, time, complete } = message;
        let frame = frames.last();
        if let Sort::Sip(at) = sort(&bytes, connection.src, connection.dst, &self.options.sip_ports) {
            if !complete {
                let text = "chunks of a SIP message over SCTP are not in the capture";
                let odd = Anomaly::new(AnomalyKind::IncompleteFragments, frame, 0, text);
                self.analysis.anomalies.add(odd);
            }
            raws.push(Origin { frames, time, interface }.message(connection, bytes.slice(at..)));
        }
    }

    /// Parses in parallel; meanwhile the messages parsed before are filed, which goes in order.
    fn keep(&mut self, mut raws: Vec<Raw>) {
        self.past.on_clock_now(&mut raws);
        if self.options.copies {
            for raw in &mut raws {
                raw.bytes = Bytes::copy_from_slice(&raw.bytes);
            }
        }
        let parsed = std::mem::take(&mut self.parsed);
        let start = self.analysis.seen.len() + parsed.len();
        for (at, raw) in raws.iter().enumerate() {
            self.relayed.extend(raw.passed.map(|passed| (start + at, passed)));
        }
        (self.parsed, ()) = rayon::join(|| raws.into_par_iter().map(Raw::parse).collect(), || self.file(parsed));
    }

    pub(super) fn file(&mut self, parsed: Vec<Seen>) {
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
            self.past.waiting += held::most_cost(&seen);
            self.analysis.seen.push(seen);
        }
    }
}
