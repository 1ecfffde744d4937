//! The parallel stage: what each packet holds, and which of that is SIP.

use super::Skipped;
use crate::base::{Anomaly, AnomalyKind, Batch, Connection, Endpoint, Frames, PacketMeta, Timestamp, Transport};
use crate::net::{self, Datagram, Decoded, Fragment, IcmpError, Relayed, Sctp, Segment};
use crate::session::Seen;
use crate::sip::{Message, Probe, probe};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;

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
    bytes: Bytes,
    frames: Frames,
    pub(super) time: Timestamp,
    connection: Connection,
    ip_id: u16,
    interface: u32,
    /// Who passed it on; 0 when it was in the capture itself.
    pub(super) agent: u64,
}

/// What one task makes of a run of packets.
pub(super) struct Chunk<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) skipped: BTreeMap<&'static str, Skipped>,
}

impl<'a> Chunk<'a> {
    pub(super) fn decode(batch: &'a Batch, packets: &'a [PacketMeta], ports: &[u16]) -> Self {
        let mut chunk = Self { items: Vec::new(), skipped: BTreeMap::new() };
        for meta in packets {
            let data = batch.data(meta);
            match net::decode(meta.link, data, meta.original) {
                Decoded::Datagram(datagram) => chunk.datagram(batch, meta, &datagram, ports),
                Decoded::Segment(segment) => chunk.items.push(Item::Segment(*meta, segment)),
                Decoded::Fragment(fragment) => chunk.items.push(Item::Fragment(*meta, fragment)),
                Decoded::Sctp(packet) => chunk.items.push(Item::Sctp(*meta, packet)),
                Decoded::Icmp(error) => chunk.items.push(Item::Icmp(*meta, error)),
                Decoded::Relayed(relayed) => chunk.relayed(batch, meta, &relayed, ports),
                Decoded::Skipped(skip) => {
                    let skipped = Skipped { unread: skip.hides(), ..Skipped::one(meta.frame) };
                    chunk.skipped.entry(skip.name()).or_default().merge(skipped);
                    if let Some(kind) = skip.anomaly() {
                        chunk.items.push(Item::Odd(Anomaly::new(kind, meta.frame, skip.offset.into(), skip.text())));
                    }
                }
            }
        }
        chunk
    }

    fn datagram(&mut self, batch: &Batch, meta: &PacketMeta, datagram: &Datagram<'_>, ports: &[u16]) {
        match sort_datagram(datagram, ports) {
            Sort::Sip(at) => {
                self.items.extend(cut(datagram.missing, meta.frame, meta.captured).map(Item::Odd));
                let bytes = batch.share(meta, &datagram.payload[at..]);
                self.items.push(Item::Sip(Origin::of(meta).datagram(datagram, bytes)));
            }
            other => self.skip(other.name(), meta),
        }
    }

    fn relayed(&mut self, batch: &Batch, meta: &PacketMeta, relayed: &Relayed<'_>, ports: &[u16]) {
        let (told, odd) = Origin::of(meta).relayed(relayed, ports, &|part| batch.share(meta, part));
        self.items.extend(odd.map(Item::Odd));
        match told {
            Ok(raw) => self.items.push(Item::Sip(raw)),
            Err(what) => self.skip(what, meta),
        }
    }

    fn skip(&mut self, what: &'static str, meta: &PacketMeta) {
        self.skipped.entry(what).or_default().merge(Skipped::one(meta.frame));
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

impl Sort {
    /// What a datagram is counted under.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sip(_) => "SIP",
            Self::KeepAlive => "SIP keep-alive",
            Self::Other => "UDP, not SIP",
        }
    }
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

    pub(super) fn message(self, connection: Connection, bytes: Bytes) -> Raw {
        let Self { frames, time, interface } = self;
        Raw { bytes, frames, time, connection, ip_id: 0, interface, agent: 0 }
    }

    pub(super) fn datagram(self, datagram: &Datagram<'_>, bytes: Bytes) -> Raw {
        let Datagram { src, dst, ip_id, .. } = *datagram;
        let connection = Connection { src, dst, transport: Transport::Udp };
        Raw { ip_id, ..self.message(connection, bytes) }
    }

    /// The SIP message that an agent passes on, at its own time between its own addresses, or what it is
    /// instead; and what is odd about it.
    pub(super) fn relayed(
        self,
        relayed: &Relayed<'_>,
        ports: &[u16],
        share: &dyn Fn(&[u8]) -> Bytes,
    ) -> (Result<Raw, &'static str>, Option<Anomaly>) {
        let (content, complete) = relayed.content();
        let connection = relayed.connection;
        let at = match sort(&content, connection.src, connection.dst, ports) {
            Sort::Sip(at) => at,
            Sort::KeepAlive => return (Err("SIP keep-alive"), None),
            Sort::Other => return (Err("HEP, not SIP"), None),
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
        let time = told.unwrap_or(self.time);
        (Ok(Raw { time, agent: relayed.agent, ..self.message(connection, bytes) }), odd)
    }
}

impl Raw {
    pub(super) fn parse(self) -> Seen {
        let Self { bytes, frames, time, connection, ip_id, interface, agent: _ } = self;
        Seen { message: Message::parse(bytes), frames, time, connection, ip_id, interface, unseen_at: None }
    }
}
