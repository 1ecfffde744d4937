//! The parallel stage: what each packet holds, and which of that is SIP.

use super::coverage::{Coverage, PacketKind};
use super::wrapped::Wrappings;
use crate::base::{Anomaly, AnomalyKind, Batch, Connection, Endpoint, Frames, PacketMeta, Timestamp, Transport};
use crate::net::{self, Datagram, Decoded, Fragment, IcmpError, Relayed, Sctp, Segment};
use crate::session::{Seen, Sending};
use crate::sip::{Message, Probe, probe};
use bytes::Bytes;
use std::borrow::Cow;

/// What a packet has for the ordered stages.
pub(super) enum Item<'a> {
    Sip(Raw),
    Segment(PacketMeta, Segment<'a>),
    Fragment(PacketMeta, Fragment<'a>),
    Sctp(PacketMeta, Sctp<'a>),
    Icmp(PacketMeta, IcmpError<'a>),
    Odd(Anomaly),
}

/// A SIP message before parsing.
pub(super) struct Raw {
    pub(super) bytes: Bytes,
    pub(super) frames: Frames,
    pub(super) time: Timestamp,
    connection: Connection,
    sending: Sending,
    /// As in [`Seen::wrapped`].
    pub(super) wrapped: u16,
    interface: u32,
    /// What passed it on; none when it was in the capture itself.
    pub(super) passed: Option<Passed>,
}

/// Who passed a message on, and when that came in.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    pub(super) agent: u64,
    pub(super) received: Timestamp,
}

/// What one task makes of a run of packets.
pub(super) struct Chunk<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// The packets that need no more to be known for what they are.
    pub(super) coverage: Coverage,
    /// For the messages in `items`.
    pub(super) wrappings: Wrappings,
    own: Own,
}

/// The buffer that messages were last found in, with a count of its own of who shares it: tasks that count in one place
/// wait for each other at every message.
#[derive(Default)]
struct Own(Option<(u32, Bytes)>);

impl Own {
    /// As [`Batch::share`].
    fn share(&mut self, batch: &Batch, meta: &PacketMeta, part: &[u8]) -> Bytes {
        if part.is_empty() {
            return Bytes::new();
        }
        match &self.0 {
            Some((number, buffer)) if *number == meta.buffer => buffer.slice_ref(part),
            _ => {
                let Some(buffer) = batch.buffers.get(meta.buffer as usize) else {
                    return Bytes::new();
                };
                let own = Bytes::from_owner(buffer.clone());
                let shared = own.slice_ref(part);
                self.0 = Some((meta.buffer, own));
                shared
            }
        }
    }
}

impl<'a> Chunk<'a> {
    pub(super) fn decode(batch: &'a Batch, packets: &'a [PacketMeta], ports: &[u16]) -> Self {
        let mut chunk = Self {
            items: Vec::new(),
            coverage: Coverage::default(),
            wrappings: Wrappings::default(),
            own: Own::default(),
        };
        for meta in packets {
            match net::decode(meta.link, batch.data(meta), meta.original) {
                Decoded::Aggregate(all) => {
                    // One packet, counted as the first kind that is in it.
                    let before = std::mem::take(&mut chunk.coverage);
                    all.frames().for_each(|frame| chunk.take(batch, meta, frame, ports));
                    let inner = std::mem::replace(&mut chunk.coverage, before);
                    if let Some((kind, _)) = inner.iter().next() {
                        chunk.coverage.add(kind, meta.frame);
                    }
                }
                decoded => chunk.take(batch, meta, decoded, ports),
            }
        }
        chunk
    }

    fn take(&mut self, batch: &Batch, meta: &PacketMeta, decoded: Decoded<'a>, ports: &[u16]) {
        match decoded {
            Decoded::Datagram(datagram) => self.datagram(batch, meta, &datagram, ports),
            Decoded::Segment(segment) => self.items.push(Item::Segment(*meta, segment)),
            Decoded::Fragment(fragment) => self.items.push(Item::Fragment(*meta, fragment)),
            Decoded::Sctp(packet) => self.items.push(Item::Sctp(*meta, packet)),
            Decoded::Icmp(error) => self.items.push(Item::Icmp(*meta, error)),
            Decoded::Relayed(relayed) => self.relayed(batch, meta, &relayed, ports),
            Decoded::Skipped(skip) => {
                self.coverage.add(PacketKind::of_skip(&skip), meta.frame);
                if let Some(kind) = skip.anomaly() {
                    self.items.push(Item::Odd(Anomaly::new(kind, meta.frame, skip.offset.into(), skip.text())));
                }
            }
            Decoded::Aggregate(_) => {} // not within one
        }
    }

    fn datagram(&mut self, batch: &Batch, meta: &PacketMeta, datagram: &Datagram<'_>, ports: &[u16]) {
        match sort_datagram(datagram, ports) {
            Sort::Sip(at) => {
                self.items.extend(cut(datagram.missing, meta.frame, meta.captured).map(Item::Odd));
                let bytes = self.own.share(batch, meta, &datagram.payload[at..]);
                self.sip(batch, meta, Origin::of(meta).datagram(datagram, bytes));
                self.coverage.add(PacketKind::SipUdp, meta.frame);
            }
            Sort::KeepAlive => self.coverage.add(PacketKind::KeepAlive, meta.frame),
            Sort::Other => self.coverage.add(PacketKind::of_datagram(datagram), meta.frame),
        }
    }

    fn relayed(&mut self, batch: &Batch, meta: &PacketMeta, relayed: &Relayed<'_>, ports: &[u16]) {
        let (told, odd) = Origin::of(meta).relayed(relayed, ports, &|part| batch.share(meta, part));
        self.items.extend(odd.map(Item::Odd));
        match told {
            Ok(raw) => {
                self.sip(batch, meta, raw);
                self.coverage.add(PacketKind::SipRelayed, meta.frame);
            }
            Err(kind) => self.coverage.add(kind, meta.frame),
        }
    }

    fn sip(&mut self, batch: &Batch, meta: &PacketMeta, mut raw: Raw) {
        raw.wrapped = self.wrappings.number(net::outer(meta.link, batch.data(meta)));
        self.items.push(Item::Sip(raw));
    }
}

/// The anomaly of a message that is cut by the snap length.
fn cut(missing: u32, frame: u32, offset: u32) -> Option<Anomaly> {
    let text = || format!("snap length cut {missing} bytes of a SIP message");
    (missing > 0).then(|| Anomaly::new(AnomalyKind::CutFrame, frame, offset.into(), text()))
}

pub(super) enum Sort {
    /// SIP from this offset on.
    Sip(usize),
    KeepAlive,
    Other,
}

pub(super) fn sort_datagram(datagram: &Datagram<'_>, ports: &[u16]) -> Sort {
    sort(datagram.payload, datagram.src, datagram.dst, ports)
}

pub(super) fn sort(payload: &[u8], src: Endpoint, dst: Endpoint, ports: &[u16]) -> Sort {
    match probe(payload) {
        Probe::Sip { offset } => Sort::Sip(offset),
        Probe::KeepAlive => Sort::KeepAlive,
        Probe::No if ports.contains(&src.port) || ports.contains(&dst.port) => Sort::Sip(0),
        Probe::No => Sort::Other,
    }
}

/// Where and when a message was in the capture.
pub(super) struct Origin {
    pub(super) frames: Frames,
    pub(super) time: Timestamp,
    pub(super) interface: u32,
}

impl Origin {
    fn of(meta: &PacketMeta) -> Self {
        Self { frames: Frames::one(meta.frame), time: meta.time, interface: meta.interface }
    }

    /// A message of a stream.
    pub(super) fn message(self, connection: Connection, bytes: Bytes) -> Raw {
        let Self { frames, time, interface } = self;
        Raw { bytes, frames, time, connection, sending: Sending::Stream, wrapped: 0, interface, passed: None }
    }

    pub(super) fn datagram(self, datagram: &Datagram<'_>, bytes: Bytes) -> Raw {
        let Datagram { src, dst, ip_id, .. } = *datagram;
        let connection = Connection { src, dst, transport: Transport::Udp };
        let sending = if ip_id == 0 { Sending::Unnumbered } else { Sending::Packet(ip_id) };
        Raw { sending, ..self.message(connection, bytes) }
    }

    /// The SIP message that an agent passes on, at its own time between its own addresses, or what it is
    /// instead; and what is odd about it.
    pub(super) fn relayed(
        self,
        relayed: &Relayed<'_>,
        ports: &[u16],
        share: &dyn Fn(&[u8]) -> Bytes,
    ) -> (Result<Raw, PacketKind>, Option<Anomaly>) {
        let (content, complete) = relayed.content();
        let connection = relayed.connection;
        let at = match sort(&content, connection.src, connection.dst, ports) {
            Sort::Sip(at) => at,
            Sort::KeepAlive => return (Err(PacketKind::KeepAlive), None),
            Sort::Other => return (Err(PacketKind::OtherRelayed), None),
        };
        let frame = self.frames.last();
        let odd = match relayed.missing {
            0 if !complete => {
                let text = "compressed payload is damaged or larger than a SIP message can be";
                Some(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text))
            }
            missing => cut(missing, frame, 0),
        };
        let bytes = match content {
            Cow::Borrowed(bytes) => share(&bytes[at..]),
            Cow::Owned(bytes) => Bytes::from(bytes).slice(at..),
        };
        let told = relayed.time.filter(|time| time.as_nanos() > 0);
        let passed = Some(Passed { agent: relayed.agent, received: self.time });
        let time = told.unwrap_or(self.time);
        (Ok(Raw { time, sending: Sending::Passed(0), passed, ..self.message(connection, bytes) }), odd)
    }
}

impl Raw {
    pub(super) fn parse(self) -> Seen {
        let Self { bytes, frames, time, connection, sending, wrapped, interface, passed: _ } = self;
        let message = Message::parse(bytes);
        Seen { message, frames, time, connection, sending, wrapped, interface, unseen_at: None }
    }
}
