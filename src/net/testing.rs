//! Two peers on a wire, for the tests of the layers.

use bytes::Bytes;

use super::{Ending, Segment, StreamData, StreamEvent, Streams, TcpFlags, TlsKeys};
use crate::base::{Anomalies, AnomalyKind, Endpoint, Timestamp};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// A capture of the segments between two peers, side 0 and side 1.
pub(super) struct Wire {
    pub(super) streams: Streams,
    pub(super) anomalies: Anomalies,
    pub(super) events: Vec<StreamEvent>,
    /// Initial sequence numbers.
    pub(super) isn: [u32; 2],
    pub(super) port: u16,
    frame: u32,
    millis: i64,
}

impl Wire {
    pub(super) fn new(keys: &[u8]) -> Self {
        Self::with_keys(TlsKeys::new(keys, Vec::new()))
    }

    pub(super) fn with_keys(keys: TlsKeys) -> Self {
        Self {
            streams: Streams::new(keys),
            anomalies: Anomalies::default(),
            events: Vec::new(),
            isn: [1000, 2_000_000_000],
            port: 5060,
            frame: 0,
            millis: 0,
        }
    }

    /// A wire with a connection that has been opened.
    pub(super) fn open() -> Self {
        let mut wire = Self::new(b"");
        wire.handshake();
        wire
    }

    pub(super) fn handshake(&mut self) {
        self.segment(0, u32::MAX, SYN, b"", 0, 0);
        self.segment(1, u32::MAX, SYN | ACK, b"", 0, 0);
        self.segment(0, 0, ACK, b"", 0, 0);
    }

    /// A segment of `side` whose first byte is number `at` of its stream. `acked`: how many bytes
    /// of the other side it acknowledges.
    pub(super) fn segment(&mut self, side: usize, at: u32, flags: u8, payload: &[u8], missing: u32, acked: u32) {
        self.frame += 1;
        let end = |side: usize| Endpoint { ip: [192, 0, 2, 1 + side as u8].into(), port: self.port };
        let segment = Segment {
            src: end(side),
            dst: end(1 - side),
            ip_id: 0,
            seq: self.isn[side].wrapping_add(1).wrapping_add(at),
            ack: self.isn[1 - side].wrapping_add(1).wrapping_add(acked),
            flags: TcpFlags::new(flags),
            payload,
            missing,
        };
        let time = Timestamp::from_nanos(self.millis * 1_000_000);
        let share = &|bytes: &[u8]| Bytes::copy_from_slice(bytes);
        self.streams.push(&segment, self.frame, time, share, &mut self.anomalies, &mut self.events);
    }

    /// Data without an acknowledgement.
    pub(super) fn data(&mut self, side: usize, at: u32, payload: &[u8]) {
        self.segment(side, at, 0, payload, 0, 0);
    }

    /// `side` acknowledges so many bytes of the other one.
    pub(super) fn ack(&mut self, side: usize, at: u32, acked: u32) {
        self.segment(side, at, ACK, b"", 0, acked);
    }

    pub(super) fn pass(&mut self, millis: i64) {
        self.millis += millis;
    }

    pub(super) fn finish(&mut self) {
        self.streams.finish(&mut self.anomalies, &mut self.events);
    }

    /// What came of `side`, in words: text, `<gap>`, `<lost gap>`, `<end>`, `<reset>`, `[message]`.
    pub(super) fn told(&self, side: usize) -> String {
        let events = self.events.iter().filter(|event| event.stream % 2 == side as u64);
        events
            .map(|event| match &event.what {
                StreamData::Bytes(bytes) => bytes.escape_ascii().to_string(),
                StreamData::Hep(bytes) => format!("({})", bytes.escape_ascii()),
                StreamData::Message(bytes) => format!("[{}]", bytes.escape_ascii()),
                StreamData::Gap { bytes, acknowledged: true } => format!("<{bytes} not captured>"),
                StreamData::Gap { bytes, acknowledged: false } => format!("<{bytes} lost>"),
                StreamData::End(Ending::Closed | Ending::GivenUp) => "<end>".to_owned(),
                StreamData::End(Ending::Reset) => "<reset>".to_owned(),
                StreamData::End(Ending::Refused) => "<refused>".to_owned(),
            })
            .collect()
    }

    pub(super) fn count(&self, kind: AnomalyKind) -> u64 {
        self.anomalies.of(kind).map_or(0, |summary| summary.count)
    }
}
