//! WebSocket: the HTTP upgrade, frames and messages (RFC 6455), permessage-deflate (RFC 7692).

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use super::layers::{Context, Piece, StreamData};
use super::stream::Now;
use crate::base::{AnomalyKind, Transport, limits};

/// An HTTP request that may become a WebSocket connection. Content waits here until that is clear.
#[derive(Debug)]
pub(super) struct Upgrade {
    client: usize,
    held: Vec<(usize, Piece)>,
    held_bytes: usize,
    heads: [Head; 2],
}

/// What became of an [`Upgrade`], with the content that waited.
pub(super) enum Outcome {
    Undecided,
    Plain(Vec<(usize, Piece)>),
    Accepted(Box<WebSocket>, Vec<(usize, Piece)>),
}

/// The header section of an HTTP message, as far as it is here.
#[derive(Debug, Default)]
struct Head {
    text: Vec<u8>,
    complete: bool,
}

impl Head {
    /// Adds bytes up to the empty line that ends the section.
    fn add(&mut self, bytes: &[u8]) {
        if self.complete {
            return;
        }
        let from = self.text.len().saturating_sub(3);
        self.text.extend_from_slice(bytes);
        if let Some(at) = memchr::memmem::find(&self.text[from..], b"\r\n\r\n") {
            self.text.truncate(from + at + 4);
            self.complete = true;
        }
    }

    /// The values of all headers called `name`.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.text.split(|byte| *byte == b'\n').skip(1).filter_map(move |line| {
            let colon = memchr::memchr(b':', line)?;
            line[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        })
    }

    /// RFC 6455 4.1, 4.2.2: `Upgrade: websocket`, among others perhaps.
    fn upgrades(&self) -> bool {
        self.values("Upgrade")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    }
}

impl Upgrade {
    /// Whether the first bytes that `side` sends may begin an upgrade: a request, or the answer to
    /// one that was not captured.
    pub(super) fn begins(side: usize, bytes: &[u8]) -> Option<Self> {
        let may_begin = |text: &[u8]| !bytes.is_empty() && (bytes.starts_with(text) || text.starts_with(bytes));
        let client = match (may_begin(b"GET "), may_begin(b"HTTP/1.1 101 ")) {
            (true, _) => side,
            (_, true) => 1 - side,
            _ => return None,
        };
        Some(Self { client, held: Vec::new(), held_bytes: 0, heads: Default::default() })
    }

    /// Takes the next piece that `side` sent.
    pub(super) fn push(&mut self, side: usize, piece: Piece) -> Outcome {
        let whole = matches!(piece.data, StreamData::Bytes(_));
        let bytes = piece.data.bytes();
        self.held_bytes += bytes.len();
        self.heads[side].add(bytes);
        self.held.push((side, piece));
        let [request, response] = [&self.heads[self.client], &self.heads[1 - self.client]];
        if response.complete && response.text.starts_with(b"HTTP/1.1 101 ") && response.upgrades() {
            return Outcome::Accepted(Box::new(WebSocket::new(self.client, response)), self.rest());
        }
        let refused = response.complete || (request.complete && !request.upgrades());
        if refused || !whole || self.held_bytes > limits::UPGRADE_BYTES {
            return Outcome::Plain(std::mem::take(&mut self.held));
        }
        Outcome::Undecided
    }

    /// What waited, without the header sections.
    fn rest(&mut self) -> Vec<(usize, Piece)> {
        let mut skip = [self.heads[0].text.len(), self.heads[1].text.len()];
        let mut held = std::mem::take(&mut self.held);
        for (side, piece) in &mut held {
            if let StreamData::Bytes(bytes) = &mut piece.data {
                let head = bytes.split_to(skip[*side].min(bytes.len()));
                skip[*side] -= head.len();
            }
        }
        held.retain(|(_, piece)| !matches!(&piece.data, StreamData::Bytes(bytes) if bytes.is_empty()));
        held
    }
}

/// Both directions of a WebSocket connection.
#[derive(Debug)]
pub(super) struct WebSocket([Reader; 2]);

impl WebSocket {
    fn new(client: usize, response: &Head) -> Self {
        let deflate = response
            .values("Sec-WebSocket-Extensions")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .find(|extension| first_token(extension).eq_ignore_ascii_case(b"permessage-deflate"));
        let reader = |side: usize| {
            let forgets: &[u8] =
                if side == client { b"client_no_context_takeover" } else { b"server_no_context_takeover" };
            let inflate = deflate.map(|parameters| Inflate {
                state: Decompress::new(false),
                forgets: parameters.split(|byte| *byte == b';').any(|name| name.trim_ascii() == forgets),
            });
            Reader { masked: side == client, inflate, ..Reader::default() }
        };
        Self([reader(0), reader(1)])
    }

    /// Takes the next piece that `side` sent.
    pub(super) fn push(&mut self, side: usize, transport: Transport, piece: Piece, context: &mut Context<'_>) {
        let reader = &mut self.0[side];
        let now = piece.now;
        let fault = match &piece.data {
            StreamData::Bytes(bytes) => reader.read(bytes, |message| {
                context.emit(side, transport, Piece { now, data: StreamData::Message(Bytes::from(message)) });
            }),
            StreamData::Gap { bytes, .. } => {
                reader.gap(*bytes);
                context.emit(side, transport, piece);
                None
            }
            StreamData::Message(_) | StreamData::Hep(_) | StreamData::End(_) => {
                context.emit(side, transport, piece);
                None
            }
        };
        if let Some(fault) = fault {
            tell(fault, now, context);
        }
    }
}

fn tell(fault: Fault, now: Now, context: &mut Context<'_>) {
    let (kind, text) = match fault {
        Fault::Frame => (AnomalyKind::MalformedRecord, "a WebSocket frame header that cannot be right"),
        Fault::Size => (AnomalyKind::LimitReached, "a WebSocket message that is too large was passed over"),
        Fault::Deflate => (AnomalyKind::MalformedRecord, "a compressed WebSocket message that cannot be decompressed"),
    };
    context.anomaly(kind, now, text);
}

fn first_token(extension: &[u8]) -> &[u8] {
    extension.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Why a message was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Frame,
    Size,
    Deflate,
}

/// Decompression of one direction.
#[derive(Debug)]
struct Inflate {
    state: Decompress,
    /// Each message is compressed on its own (RFC 7692 7.1.1).
    forgets: bool,
}

/// One direction: bytes in, messages out.
#[derive(Debug, Default)]
struct Reader {
    /// Whether this side masks: clients must, servers must not (RFC 6455 5.1).
    masked: bool,
    inflate: Option<Inflate>,
    header: Vec<u8>,
    frame: Option<Frame>,
    /// Payload of the data frames so far.
    message: Vec<u8>,
    /// Between the first and the last frame of a message.
    within: bool,
    compressed: bool,
    /// Why the current message cannot be told.
    damaged: Option<Fault>,
    incomplete: bool,
    /// Frame boundaries are not known any more.
    lost: bool,
}

/// A frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: u8,
    compressed: bool,
    mask: [u8; 4],
    len: u64,
    left: u64,
}

impl Frame {
    fn is_control(&self) -> bool {
        self.opcode >= 8
    }
}

impl Reader {
    /// Reads frames; at most one fault is told for one call.
    fn read(&mut self, mut bytes: &[u8], mut message: impl FnMut(Vec<u8>)) -> Option<Fault> {
        let mut fault = None;
        if self.lost && !self.resume(bytes) {
            return None;
        }
        loop {
            if let Some(mut frame) = self.frame {
                let (now, later) = bytes.split_at((bytes.len() as u64).min(frame.left) as usize);
                self.payload(&frame, now);
                frame.left -= now.len() as u64;
                bytes = later;
                self.frame = (frame.left > 0).then_some(frame);
                if frame.left > 0 {
                    return fault;
                }
                if !frame.is_control() && frame.fin {
                    match self.complete() {
                        Ok(whole) => whole.into_iter().for_each(&mut message),
                        Err(why) => fault = Some(why),
                    }
                }
            } else {
                let Some((first, rest)) = bytes.split_first() else {
                    return fault;
                };
                self.header.push(*first);
                bytes = rest;
                match self.parse_header() {
                    Ok(None) => {}
                    Ok(Some(frame)) => self.begin(frame),
                    Err(why) => {
                        self.lose();
                        return Some(why);
                    }
                }
            }
        }
    }

    /// Bytes that are not in the capture: within one frame they spoil its message only.
    fn gap(&mut self, bytes: u64) {
        match &mut self.frame {
            Some(frame) if frame.left > bytes => {
                frame.left -= bytes;
                self.incomplete |= !frame.is_control();
            }
            _ => self.lose(),
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.frame = None;
        self.within = false;
        self.header.clear();
        self.message = Vec::new();
    }

    /// After a loss: a segment that is exactly one whole, uncompressed message is where to go on.
    fn resume(&mut self, bytes: &[u8]) -> bool {
        if !matches!(bytes.first(), Some(0x81 | 0x82))
            || bytes.get(1).is_none_or(|len| (*len & 0x80 != 0) != self.masked)
        {
            return false;
        }
        let len = header_len(bytes);
        self.header = bytes[..len.min(bytes.len())].to_vec();
        let frame = self.parse_header();
        self.header.clear();
        self.lost = !matches!(frame, Ok(Some(frame)) if frame.left == (bytes.len() - len) as u64);
        !self.lost
    }

    /// RFC 6455 5.2; `None` as long as the header is not complete.
    fn parse_header(&self) -> Result<Option<Frame>, Fault> {
        let header = self.header.as_slice();
        if header.len() < 2 || header.len() < header_len(header) {
            return Ok(None);
        }
        let (extended, mask) = header[2..].split_at(header.len() - 2 - if header[1] & 0x80 == 0 { 0 } else { 4 });
        let len = match extended {
            [] => u64::from(header[1] & 0x7f),
            bytes => bytes.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let frame = Frame {
            fin: header[0] & 0x80 != 0,
            opcode: header[0] & 0x0f,
            compressed: header[0] & 0x40 != 0,
            mask: mask.try_into().unwrap_or_default(),
            len,
            left: len,
        };
        let reserved = header[0] & 0x30 != 0 || !matches!(frame.opcode, 0..=2 | 8..=10);
        let compressed = frame.compressed && (self.inflate.is_none() || frame.is_control() || frame.opcode == 0);
        let control = frame.is_control() && (len > 125 || !frame.fin);
        if reserved || compressed || control || len >> 63 != 0 {
            return Err(Fault::Frame);
        }
        Ok(Some(frame))
    }

    fn begin(&mut self, frame: Frame) {
        self.header.clear();
        self.frame = Some(frame);
        if frame.is_control() {
            return;
        }
        let continues = frame.opcode == 0;
        if !continues || !self.within {
            self.message.clear();
            self.incomplete = false;
            self.compressed = frame.compressed;
            self.damaged = continues.then_some(Fault::Frame);
        }
        self.within = !frame.fin;
    }

    fn payload(&mut self, frame: &Frame, bytes: &[u8]) {
        if frame.is_control() || self.incomplete || self.damaged.is_some() {
            return;
        }
        if self.message.len() + bytes.len() > limits::RECORD_BYTES {
            self.message = Vec::new();
            self.damaged = Some(Fault::Size);
            return;
        }
        let phase = frame.len - frame.left;
        let mask = |(at, byte): (usize, &u8)| byte ^ frame.mask[(phase as usize + at) % 4];
        self.message.extend(bytes.iter().enumerate().map(mask));
    }

    /// The message, when it is whole.
    fn complete(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let message = std::mem::take(&mut self.message);
        let damaged = self.damaged.take();
        if self.incomplete || damaged.is_some() {
            // What follows may refer to what was lost.
            if self.compressed && self.inflate.as_ref().is_some_and(|inflate| !inflate.forgets) {
                self.lose();
            }
            self.incomplete = false;
            return damaged.map_or(Ok(None), Err);
        }
        match &mut self.inflate {
            Some(inflate) if self.compressed => match inflate.message(message) {
                Ok(message) => Ok(Some(message)),
                Err(fault) => {
                    self.lose();
                    Err(fault)
                }
            },
            _ => Ok(Some(message)),
        }
    }
}

/// How long the header is that begins with `bytes`, of which there are at least two.
fn header_len(bytes: &[u8]) -> usize {
    let second = bytes.get(1).copied().unwrap_or_default();
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
}

impl Inflate {
    /// RFC 7692 7.2.2.
    fn message(&mut self, mut message: Vec<u8>) -> Result<Vec<u8>, Fault> {
        message.extend_from_slice(&[0, 0, 0xff, 0xff]);
        if self.forgets {
            self.state.reset(false);
        }
        let mut out = Vec::with_capacity((message.len() * 4).clamp(256, limits::RECORD_BYTES));
        let start = self.state.total_in();
        loop {
            let read = (self.state.total_in() - start) as usize;
            let before = (read, out.len());
            let status = self
                .state
                .decompress_vec(message.get(read..).unwrap_or_default(), &mut out, FlushDecompress::Sync)
                .map_err(|_| Fault::Deflate)?;
            let after = ((self.state.total_in() - start) as usize, out.len());
            if status == Status::StreamEnd {
                // A final block ends the stream; the next message begins a new one.
                self.state.reset(false);
                return Ok(out);
            }
            if after.0 >= message.len() && out.len() < out.capacity() {
                return Ok(out);
            }
            if out.len() >= limits::RECORD_BYTES {
                return Err(Fault::Size);
            }
            if out.len() == out.capacity() {
                out.reserve(out.len().min(limits::RECORD_BYTES - out.len()));
            } else if before == after {
                return Err(Fault::Deflate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::super::testing::Wire;
    use super::*;

    const REQUEST: &str =
        "GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: h2c, WebSocket\r\nConnection: Upgrade\r\n\r\n";
    const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(bit | len as u8),
            len => {
                frame.push(bit + 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    /// What both sides send, in segments of `size`; `skip` is cut out of the server's bytes.
    fn play(response: &str, client: &[u8], server: &[u8], size: usize, skip: std::ops::Range<usize>) -> Wire {
        let mut wire = Wire::open();
        let client = [REQUEST.as_bytes(), client].concat();
        let server = [response.as_bytes(), server].concat();
        let skip = response.len() + skip.start..response.len() + skip.end;
        let head = REQUEST.len();
        for (at, bytes) in client[..head].chunks(size).enumerate() {
            wire.data(0, (at * size) as u32, bytes);
        }
        let mut at = 0;
        while at < server.len() {
            let to = if at < skip.start { (at + size).min(skip.start) } else { at + size }.min(server.len());
            if at >= skip.start && at < skip.end {
                at = skip.end;
                continue;
            }
            wire.data(1, at as u32, &server[at..to]);
            at = to;
        }
        for (at, bytes) in client[head..].chunks(size).enumerate() {
            wire.data(0, (head + at * size) as u32, bytes);
        }
        wire.finish();
        wire
    }

    #[test]
    fn messages_come_whole_from_masked_fragmented_and_interleaved_frames_in_any_cutting() {
        let client = [
            frame(0x81, Some([1, 2, 3, 4]), b"hello"),
            frame(0x02, Some([9, 8, 7, 6]), b"frag"),
            frame(0x89, Some([5; 4]), b"ping"),
            frame(0x00, Some([0, 1, 0, 1]), b"men"),
            frame(0x80, Some([7; 4]), b"ted"),
            frame(0x88, Some([7; 4]), b""),
        ];
        let long = vec![b'x'; 300];
        let server = [frame(0x81, None, b""), frame(0x8a, None, b"ping"), frame(0x82, None, &long)];
        for size in [1, 3, 50, 10_000] {
            let wire = play(RESPONSE, &client.concat(), &server.concat(), size, 0..0);
            assert_eq!(wire.told(0), "[hello][fragmented]", "segments of {size}");
            assert_eq!(wire.told(1), format!("[][{}]", "x".repeat(300)));
            assert!(wire.anomalies.is_empty());
            assert!(wire.events.iter().all(|event| event.connection.transport == Transport::Ws));
        }
    }

    #[test]
    fn frames_before_the_answer_and_an_answer_without_request_count() {
        let mut wire = Wire::open();
        wire.data(0, 0, &[REQUEST.as_bytes(), &frame(0x81, Some([1; 4]), b"early")].concat());
        wire.data(1, 0, RESPONSE.as_bytes());
        assert_eq!(wire.told(0), "[early]");
        let mut wire = Wire::open();
        wire.data(1, 0, &[RESPONSE.as_bytes(), &frame(0x81, None, b"hi")].concat());
        assert_eq!(wire.told(1), "[hi]");
    }

    #[test]
    fn http_without_upgrade_passes_as_it_is() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"G");
        wire.data(0, 1, b"ET / HTTP/1.1\r\n");
        wire.data(0, 16, b"\r\n");
        wire.data(1, 0, b"HTTP/1.1 200 OK\r\n\r\nbody");
        assert_eq!(wire.told(0), r"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(wire.told(1), r"HTTP/1.1 200 OK\r\n\r\nbody");
        let mut wire = Wire::open();
        wire.data(0, 0, REQUEST.as_bytes());
        wire.data(1, 0, b"HTTP/1.1 426 Upgrade Required\r\n\r\n");
        assert!(wire.told(0).ends_with(r"Connection: Upgrade\r\n\r\n"));
        assert!(wire.told(1).starts_with("HTTP/1.1 426"));
    }

    #[test]
    fn endless_request_is_not_held_for_ever() {
        let mut wire = Wire::open();
        wire.data(0, 0, b"GET /");
        let more = vec![b'a'; 1000];
        for at in 0..50 {
            wire.data(0, 5 + 1000 * at, &more);
        }
        assert_eq!(wire.told(0).len(), 50_005);
    }

    fn deflated(encoder: &mut DeflateEncoder<Vec<u8>>, text: &[u8]) -> Vec<u8> {
        encoder.write_all(text).unwrap();
        encoder.flush().unwrap();
        let mut out = std::mem::take(encoder.get_mut());
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    }

    #[test]
    fn compressed_messages_open_with_and_without_context_takeover() {
        let keep = RESPONSE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        let forget = keep.replace("deflate\r", "deflate; server_no_context_takeover\r");
        let text = b"SIP/2.0 200 OK ".repeat(20);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let first = deflated(&mut encoder, &text);
        let second = deflated(&mut encoder, &text);
        assert!(second.len() < first.len());
        let told = format!("[{0}][{0}]", "SIP/2.0 200 OK ".repeat(20));
        let fragments = [frame(0x41, None, &first[..5]), frame(0x80, None, &first[5..])].concat();
        let wire = play(&keep, b"", &[fragments.clone(), frame(0xc1, None, &second)].concat(), 9, 0..0);
        assert_eq!(wire.told(1), told);
        let wire = play(&forget, b"", &[fragments.clone(), frame(0xc1, None, &first)].concat(), 9, 0..0);
        assert_eq!(wire.told(1), told);
        // Compression that was not agreed upon.
        let wire = play(RESPONSE, b"", &fragments, 9, 0..0);
        assert_eq!((wire.told(1).as_str(), wire.count(AnomalyKind::MalformedRecord)), ("", 1));
    }

    #[test]
    fn decompression_is_capped() {
        let keep = RESPONSE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let bomb = deflated(&mut encoder, &vec![0; 16 << 20]);
        let wire = play(&keep, b"", &frame(0xc1, None, &bomb), 1000, 0..0);
        assert_eq!((wire.told(1).as_str(), wire.count(AnomalyKind::LimitReached)), ("", 1));
    }

    #[test]
    fn huge_lengths_are_bounded() {
        let header = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
        let wire = play(RESPONSE, b"", &header(1 << 63), 100, 0..0);
        assert_eq!(wire.count(AnomalyKind::MalformedRecord), 1);
        let len = limits::RECORD_BYTES as u64 + 1;
        let body = vec![0; len as usize];
        let server = [header(len), body, frame(0x81, None, b"next")].concat();
        let wire = play(RESPONSE, b"", &server, 60_000, 0..0);
        assert_eq!((wire.told(1).as_str(), wire.count(AnomalyKind::LimitReached)), ("[next]", 1));
    }

    #[test]
    fn gap_within_a_frame_costs_its_message_only() {
        let server = [frame(0x81, None, b"first message"), frame(0x81, None, b"second")].concat();
        let wire = play(RESPONSE, b"", &server, 1000, 4..9);
        assert_eq!(wire.told(1), "<5 lost>[second]");
    }

    #[test]
    fn after_a_gap_over_frame_boundaries_reading_resumes_at_a_segment_that_is_a_message() {
        let frames = [frame(0x81, None, b"first message"), frame(0x81, None, b"second")].concat();
        let mut wire = play(RESPONSE, b"", &frames, 1000, 4..18);
        assert_eq!(wire.told(1), "<14 lost>");
        let at = (RESPONSE.len() + frames.len()) as u32;
        wire.data(1, at, &frame(0x81, None, b"third"));
        assert_eq!(wire.told(1), "<14 lost>[third]");
    }
}
