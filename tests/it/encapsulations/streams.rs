//! TCP connections that carry the call: plain, over WebSocket, and recorded TLS.

use super::wire::{PORTS, Sip, be, be4, cat, ethernet};
use flate2::{Compression, write::DeflateEncoder};
use std::cell::RefCell;
use std::io::Write;
use std::ops::Range;

/// What a side sends at once.
type Sent = (bool, Vec<u8>);
/// Cuts so many bytes into segments: ranges of them, in the order of the capture.
type Cut<'a> = &'a dyn Fn(usize) -> Vec<Range<usize>>;
/// Makes the frames of a WebSocket message.
type Frames<'a> = &'a dyn Fn(&Sip) -> Vec<u8>;

/// Data segments of a connection, without its handshake, on which each side sends these bytes.
pub fn stream(call: &[Sip], ports: [u8; 4], sent: &[Sent], cut: Cut<'_>) -> Vec<Vec<u8>> {
    let mut next = [1000_usize, 9000];
    let mut frames = Vec::new();
    for (from_caller, bytes) in sent {
        let sip = call.iter().find(|sip| sip.from_caller == *from_caller).unwrap();
        let side = usize::from(!from_caller);
        for range in cut(bytes.len()) {
            let numbers = cat(&[&be4(next[side] + range.start), &be4(next[1 - side])]);
            let header = cat(&[&ports, &numbers, &[0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]]);
            frames.push(ethernet(0x0800, &sip.over(6, &cat(&[&header, &bytes[range]]))));
        }
        next[side] += bytes.len();
    }
    frames
}

/// The call as it is.
pub fn plain(call: &[Sip], cut: Cut<'_>) -> Vec<Vec<u8>> {
    let sent: Vec<Sent> = call.iter().map(|sip| (sip.from_caller, sip.text.clone())).collect();
    stream(call, PORTS, &sent, cut)
}

/// SYN and SYN-ACK: without them nobody can tell that the first segment seen is not the first one.
pub fn opening(call: &[Sip]) -> Vec<Vec<u8>> {
    let syn = |from_caller: bool, (seq, ack): (usize, usize), flags: u8| {
        let sip = call.iter().find(|sip| sip.from_caller == from_caller).unwrap();
        let header = cat(&[&PORTS, &be4(seq), &be4(ack), &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]]);
        ethernet(0x0800, &sip.over(6, &header))
    };
    vec![syn(true, (999, 0), 0x02), syn(false, (8999, 1000), 0x12)]
}

/// Of `size` bytes each.
pub fn pieces(len: usize, size: usize) -> Vec<Range<usize>> {
    (0..len).step_by(size).map(|at| at..len.min(at + size)).collect()
}

/// Every three segments backwards.
pub fn reordered(len: usize) -> Vec<Range<usize>> {
    pieces(len, 50).chunks(3).flat_map(|run| run.iter().rev().cloned()).collect()
}

/// Each segment has the last bytes of the one before it once more.
pub fn overlapping(len: usize) -> Vec<Range<usize>> {
    pieces(len, 60).into_iter().map(|part| part.start.saturating_sub(45)..part.end).collect()
}

/// Each segment twice, then all of it in one.
pub fn retransmitted(len: usize) -> Vec<Range<usize>> {
    pieces(len, 70).into_iter().flat_map(|part| [part.clone(), part]).chain(std::iter::once(0..len)).collect()
}

/// The extension that [`deflated`] needs.
pub const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// The call over a WebSocket connection whose hello messages have these lines, too.
pub fn websocket(call: &[Sip], lines: &str, frames: Frames<'_>) -> Vec<Vec<u8>> {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n{lines}\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n{lines}\r\n"
    );
    let mut sent = vec![(true, request.into_bytes()), (false, response.into_bytes())];
    sent.extend(call.iter().map(|sip| (sip.from_caller, frames(sip))));
    stream(call, PORTS, &sent, &|len| pieces(len, 120))
}

/// A frame (RFC 6455 5.2); those of clients are masked (5.3).
fn frame(sip: &Sip, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask: &[u8] = if sip.from_caller { &[0xa1, 0xb2, 0xc3, 0xd4] } else { &[] };
    let bit = if sip.from_caller { 0x80 } else { 0 };
    let length = match payload.len() {
        short @ ..126 => vec![bit | short as u8],
        long => cat(&[&[bit | 0x7e], &be(long)]),
    };
    let masked = payload.iter().enumerate().map(|(at, byte)| byte ^ mask.get(at % 4).unwrap_or(&0));
    cat(&[&[first], &length, mask, &masked.collect::<Vec<u8>>()])
}

/// A text message in one frame.
pub fn whole(sip: &Sip) -> Vec<u8> {
    frame(sip, 0x81, &sip.text)
}

/// A message in three frames, with a ping and a pong between them (RFC 6455 5.4).
pub fn fragments_and_pings(sip: &Sip) -> Vec<u8> {
    let (first, rest) = sip.text.split_at(40);
    let (second, third) = rest.split_at(150);
    let parts: [(u8, &[u8]); 5] = [(0x01, first), (0x89, b"ping"), (0x00, second), (0x8a, b""), (0x80, third)];
    parts.into_iter().flat_map(|(kind, part)| frame(sip, kind, part)).collect()
}

/// Compressed messages that refer to those before them (RFC 7692 7.2.1), each in two frames.
pub fn deflated() -> impl Fn(&Sip) -> Vec<u8> {
    let sides = [(); 2].map(|()| RefCell::new(DeflateEncoder::new(Vec::new(), Compression::best())));
    move |sip| {
        let mut encoder = sides[usize::from(sip.from_caller)].borrow_mut();
        encoder.write_all(&sip.text).unwrap();
        encoder.flush().unwrap();
        let mut packed = std::mem::take(encoder.get_mut());
        assert_eq!(packed.split_off(packed.len() - 4), [0, 0, 0xff, 0xff]);
        let (first, rest) = packed.split_at(packed.len() / 2);
        [frame(sip, 0x41, first), frame(sip, 0x89, b""), frame(sip, 0x80, rest)].concat()
    }
}

/// The connections of a recording: lines of `client` or `server` with what it sent, in hex; `connection`
/// begins another one. Only the last one is on the port of SIP.
pub fn recorded(call: &[Sip], recording: &str) -> Vec<Vec<u8>> {
    let connections: Vec<&str> = recording.split("connection\n").collect();
    let stream = |(at, lines): (usize, &&str)| {
        let ports = if at + 1 == connections.len() { PORTS } else { [0x13, 0xc5, 0x13, 0xc5] };
        stream(call, ports, &sent(lines), &|len| pieces(len, 400))
    };
    connections.iter().enumerate().flat_map(stream).collect()
}

fn sent(lines: &str) -> Vec<Sent> {
    let bytes = |hex: &str| {
        let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    let line = |line: &str| match line.split_once(' ') {
        Some(("client", hex)) => Some((true, bytes(hex))),
        Some(("server", hex)) => Some((false, bytes(hex))),
        _ => None,
    };
    lines.lines().filter_map(line).collect()
}
