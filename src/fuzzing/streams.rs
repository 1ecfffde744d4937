//! Targets of connections: TCP, TLS, WebSocket.

use super::{Input, endpoint, later};
use crate::base::{Anomalies, Timestamp};
use crate::net::{RsaKey, Segment, StreamData, StreamEvent, Streams, TcpFlags, TlsKeys};
use bytes::Bytes;

/// Both directions of one connection, or of a few, on their way through [`Streams`].
struct Wire {
    streams: Streams,
    anomalies: Anomalies,
    events: Vec<StreamEvent>,
    frame: u32,
    time: Timestamp,
    /// Bytes sent so far by each side of the connection that [`Wire::say`] speaks over.
    sent: [u32; 2],
}

impl Wire {
    /// First sequence numbers, the client's soon to wrap around.
    const FIRST: [u32; 2] = [u32::MAX - 300, 7000];

    fn new(keys: &[u8]) -> Self {
        Self {
            streams: Streams::new(TlsKeys::new(keys, RsaKey::parse(keys).unwrap_or_default())),
            anomalies: Anomalies::default(),
            events: Vec::new(),
            frame: 0,
            time: Timestamp::default(),
            sent: [0; 2],
        }
    }

    /// A segment with offsets into both streams in place of sequence and acknowledgement number.
    fn segment(&mut self, (side, port): (usize, u8), flags: u8, at: [u32; 2], payload: &[u8], missing: u32) {
        self.frame += 1;
        let ends = [endpoint(1, 50_000 + u16::from(port)), endpoint(2, 5060)];
        let segment = Segment {
            src: ends[side],
            dst: ends[1 - side],
            ip_id: 0,
            seq: Self::FIRST[side].wrapping_add(at[0]),
            ack: Self::FIRST[1 - side].wrapping_add(at[1]),
            flags: TcpFlags::new(flags),
            payload,
            missing,
        };
        let share = |part: &[u8]| Bytes::copy_from_slice(part);
        self.streams.push(&segment, self.frame, self.time, &share, &mut self.anomalies, &mut self.events);
    }

    /// The next bytes of `side`, in order.
    fn say(&mut self, side: usize, bytes: &[u8]) {
        self.segment((side, 0), 16, [self.sent[side], self.sent[1 - side]], bytes, 0);
        self.sent[side] += bytes.len() as u32;
    }

    /// Ends the capture; bytes and messages that came out.
    fn finish(mut self) -> (usize, usize) {
        self.streams.finish(&mut self.anomalies, &mut self.events);
        let (mut bytes, mut messages) = (0, 0);
        for event in &self.events {
            match &event.what {
                StreamData::Bytes(part) => bytes += part.len(),
                StreamData::Message(message) => messages += message.len(),
                StreamData::Hep(_) | StreamData::Gap { .. } | StreamData::End(_) => {}
            }
        }
        (bytes, messages)
    }
}

/// Pieces with the head `[flags, side and port, sequence x 2, acknowledgement x 2, time, missing]`.
pub fn tcp(input: &[u8]) {
    let mut input = Input(input);
    let mut wire = Wire::new(b"");
    let mut bytes = 0;
    while let Some(([flags, place, seq, seq_low, ack, ack_low, millis, missing], payload)) = input.piece() {
        wire.time = later(wire.time, millis);
        let (at, acked) = (u16::from_be_bytes([seq, seq_low]), u16::from_be_bytes([ack, ack_low]));
        bytes += payload.len();
        let side = usize::from(place & 1);
        wire.segment((side, place >> 6), flags, [at.into(), acked.into()], payload, missing.into());
    }
    let (told, _) = wire.finish();
    assert!(told <= bytes);
}

/// A key log with private keys up to a NUL, then pieces with the head `[side]`, whose top bit says that they are lost.
pub fn tls(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (keys, records) = input.split_at(end);
    let mut input = Input(records.get(1..).unwrap_or_default());
    let mut wire = Wire::new(keys);
    let mut bytes = 0;
    while let Some(([place], payload)) = input.piece() {
        let side = usize::from(place & 1);
        bytes += payload.len();
        if place & 0x80 == 0 {
            wire.say(side, payload);
        } else {
            wire.sent[side] += payload.len() as u32;
        }
    }
    let (told, _) = wire.finish();
    assert!(told <= bytes);
}

/// One octet that chooses the extensions, then pieces as in [`tls`], after the upgrade.
pub fn websocket(input: &[u8]) {
    let mut input = Input(input);
    let Some([choice]) = input.head() else { return };
    let extensions = [
        "",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n",
    ];
    let extensions = extensions[usize::from(choice) % extensions.len()];
    let mut wire = Wire::new(b"");
    wire.say(0, b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    wire.say(1, format!("{accepted}{extensions}\r\n").as_bytes());
    let mut bytes = 0;
    while let Some(([place], payload)) = input.piece() {
        let side = usize::from(place & 1);
        bytes += payload.len();
        if place & 0x80 == 0 {
            wire.say(side, payload);
        } else {
            wire.sent[side] += payload.len() as u32;
        }
    }
    let (_, told) = wire.finish();
    // DEFLATE makes at most 1032 bytes of one (RFC 1951 3.2.5: 258 bytes from two bits).
    assert!(told <= bytes * if extensions.is_empty() { 1 } else { 1032 });
}
