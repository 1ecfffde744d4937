//! Where messages begin and end in datagrams and in streams.

use super::HeaderName;
use super::grammar::{decimal, is_token};
use super::header::Fields;
use super::hot::{self, Hot};
use super::start::StartLine;
use crate::base::{Frames, Timestamp, limits};
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use std::collections::VecDeque;

/// What a datagram holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// A SIP message, whose start line begins at `offset`.
    Sip {
        /// Bytes of line ends before the start line.
        offset: usize,
    },
    /// A keep-alive: nothing but line ends or NULs (RFC 5626 3.5.1 and practice).
    KeepAlive,
    /// Something else.
    No,
}

/// Keep-alives are a few bytes long.
const KEEP_ALIVE_BYTES: usize = 64;

/// Tells SIP by its start line, whatever the port. Other protocols end at their first byte or two.
pub fn probe(datagram: &[u8]) -> Probe {
    let offset = datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | 0)).unwrap_or(datagram.len());
    let Some(rest) = datagram.get(offset..).filter(|rest| !rest.is_empty()) else {
        return if (1..=KEEP_ALIVE_BYTES).contains(&datagram.len()) { Probe::KeepAlive } else { Probe::No };
    };
    if !could_start(rest) {
        return Probe::No;
    }
    if hot::start_line(rest).is_some() {
        return Probe::Sip { offset };
    }
    let line = memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
    match StartLine::parse(line.trim_ascii_end()) {
        Some(_) => Probe::Sip { offset },
        None => Probe::No,
    }
}

/// Whether `line` begins like a start line: a word of token characters, then a space.
fn could_start(line: &[u8]) -> bool {
    let head = &line[..line.len().min(WORD_BYTES)];
    let word = head.iter().position(|byte| !is_token(*byte) && *byte != b'/');
    word.map_or(line.len() < WORD_BYTES, |end| end > 0 && matches!(head[end], b' ' | b'\t'))
}

/// Longest method that is looked for.
const WORD_BYTES: usize = 64;

/// What was cut out of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Framed {
    /// A message, start line to end of body.
    Message {
        /// Its bytes: a slice of the pushed chunk when one chunk held it all.
        bytes: Bytes,
        /// The frames that brought them.
        frames: Frames,
        /// When its last byte came.
        time: Timestamp,
        /// Whether it ended too early: gap, end of stream, unusable Content-Length, too large.
        cut: bool,
    },
    /// Bytes that belong to no message.
    Junk {
        /// Frame of the first of them.
        frame: u32,
        /// How many, up to the next message.
        bytes: u64,
    },
}

/// Cuts one direction of a stream into messages by Content-Length (RFC 3261 18.3).
///
/// A message without Content-Length has no body here (RFC 3261 20.14). After a gap, junk or a length
/// that cannot be right, the next start line begins the next message. Memory stays below
/// [`limits::STREAM_MESSAGE_BYTES`] and time linear, however the bytes are cut.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of the message that is not complete yet.
    held: BytesMut,
    scan: Scan,
    /// The pushes that brought the bytes not yet given out.
    marks: VecDeque<Mark>,
    /// Stream position of the first byte not yet given out, counted without gaps.
    position: u64,
    /// Rest of the body of a message that a gap has cut.
    skip: u64,
    /// Frame and number of the junk bytes not yet reported.
    junk: Option<(u32, u64)>,
}

/// Bytes up to stream position `end` came in `frame`.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    frame: u32,
    time: Timestamp,
}

/// Frames remembered for the bytes of one message; more than segments of the smallest usual size need.
const MARKS: usize = 4096;

impl Framer {
    /// Takes the next bytes of the stream, of `frame` at `time`, and gives out what is complete.
    pub fn push(&mut self, bytes: Bytes, frame: u32, time: Timestamp, out: &mut Vec<Framed>) {
        self.mark(bytes.len(), frame, time);
        let bytes = self.after_skip(bytes);
        let Some(rest) = self.fill_held(bytes, out) else {
            return;
        };
        let rest = self.drain(rest, out);
        self.held.extend_from_slice(&rest);
    }

    /// `lost` bytes of the stream are not in the capture: what was begun is given out as it is.
    pub fn gap(&mut self, lost: u64, out: &mut Vec<Framed>) {
        let missing = self.scan.end.map_or(self.skip, |end| end.saturating_sub(self.held.len()) as u64);
        self.give_up(out);
        self.skip = missing.saturating_sub(lost);
    }

    /// The stream is over: gives out what is left.
    pub fn finish(&mut self, out: &mut Vec<Framed>) {
        self.give_up(out);
        self.skip = 0;
        self.report_junk(out);
    }

    fn mark(&mut self, len: usize, frame: u32, time: Timestamp) {
        let end = self.marks.back().map_or(self.position, |mark| mark.end) + len as u64;
        let full = self.marks.len() >= MARKS;
        match self.marks.back_mut() {
            Some(last) if full || (last.frame, last.time) == (frame, time) => *last = Mark { end, frame, time },
            _ => self.marks.push_back(Mark { end, frame, time }),
        }
    }

    fn after_skip(&mut self, mut bytes: Bytes) -> Bytes {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        if skipped > 0 {
            self.skip -= skipped as u64;
            self.consume(skipped);
            bytes.advance(skipped);
        }
        bytes
    }

    /// Continues what is held; returns the rest of `chunk` once nothing is held any more.
    fn fill_held(&mut self, chunk: Bytes, out: &mut Vec<Framed>) -> Option<Bytes> {
        if self.held.is_empty() {
            return Some(chunk);
        }
        self.held.extend_from_slice(&chunk);
        while self.held.len() > chunk.len() {
            match self.scan.step(&self.held) {
                Step::More => return None,
                Step::Skip { len, junk } => {
                    self.held.advance(len);
                    self.skipped(len, junk);
                }
                Step::Message { len, cut } => {
                    let bytes = self.held.split_to(len).freeze();
                    self.emit(bytes, cut, out);
                }
            }
        }
        // The rest lies within this chunk: go on there without copying.
        let rest = chunk.slice(chunk.len() - self.held.len()..);
        self.held = BytesMut::new();
        Some(rest)
    }

    /// Gives out what is complete in `chunk`; returns the rest.
    fn drain(&mut self, mut chunk: Bytes, out: &mut Vec<Framed>) -> Bytes {
        while !chunk.is_empty() {
            match self.scan.step(&chunk) {
                Step::More => break,
                Step::Skip { len, junk } => {
                    chunk.advance(len);
                    self.skipped(len, junk);
                }
                Step::Message { len, cut } => {
                    let bytes = chunk.split_to(len);
                    self.emit(bytes, cut, out);
                }
            }
        }
        chunk
    }

    /// Gives out all that is held, complete or not. A body that swallowed the next message gives it back.
    fn give_up(&mut self, out: &mut Vec<Framed>) {
        let held = std::mem::take(&mut self.held).freeze();
        let mut rest = self.drain(held, out);
        while !rest.is_empty() {
            if self.scan.head.is_some() {
                let bytes = rest.split_to(next_start(&rest).unwrap_or(rest.len()));
                self.emit(bytes, true, out);
            } else {
                let junk = !rest.iter().all(|byte| is_filler(*byte));
                self.skipped(rest.len(), junk);
                return;
            }
            rest = self.drain(rest, out);
        }
    }

    fn skipped(&mut self, len: usize, junk: bool) {
        let (frames, _) = self.consume(len);
        if junk {
            self.junk.get_or_insert((frames.first(), 0)).1 += len as u64;
        }
        self.scan = Scan { within: self.scan.within, ..Scan::default() };
    }

    fn emit(&mut self, bytes: Bytes, cut: bool, out: &mut Vec<Framed>) {
        self.report_junk(out);
        let (frames, time) = self.consume(bytes.len());
        out.push(Framed::Message { bytes, frames, time, cut });
        self.scan = Scan::default();
    }

    fn report_junk(&mut self, out: &mut Vec<Framed>) {
        if let Some((frame, bytes)) = self.junk.take() {
            out.push(Framed::Junk { frame, bytes });
        }
    }

    /// Passes over `len` bytes; says which frames brought them, and when the last one came.
    fn consume(&mut self, len: usize) -> (Frames, Timestamp) {
        self.position += len as u64;
        let (mut frames, mut time) = (Frames::default(), Timestamp::default());
        while let Some(mark) = self.marks.front().copied() {
            frames.add(mark.frame);
            time = mark.time;
            if mark.end <= self.position {
                self.marks.pop_front();
            }
            if mark.end >= self.position {
                break;
            }
        }
        (frames, time)
    }
}

/// What the bytes at the front of the stream are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Not yet to be told.
    More,
    /// No part of a message.
    Skip { len: usize, junk: bool },
    /// A message.
    Message { len: usize, cut: bool },
}

/// How far the bytes at the front of the stream have been looked at, so that none is looked at twice.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Where the line begins whose end is not there yet.
    line: usize,
    /// Up to where there is no line feed in it.
    searched: usize,
    /// Where the header section begins; known once a start line was read.
    head: Option<usize>,
    /// Where the first of its lines begins that may be Content-Length.
    length: Option<usize>,
    /// Where the message ends, known behind its header section.
    end: Option<usize>,
    /// The front lies within a line whose begin was given up.
    within: bool,
}

/// Longest line that may still become a start line (request URIs of WebRTC clients have a few hundred bytes).
const START_LINE_BYTES: usize = 16 << 10;
/// How much is kept of a line that began as something else, since a start line may follow on it.
const JUNK_TAIL: usize = 1024;

impl Scan {
    fn step(&mut self, data: &[u8]) -> Step {
        if let Some(end) = self.end {
            return if end <= data.len() { Step::Message { len: end, cut: false } } else { Step::More };
        }
        while let Some(feed) = data.get(self.searched..).and_then(|rest| hot::near(b'\n', rest)) {
            let begin = self.line;
            let next = self.searched + feed + 1;
            (self.line, self.searched) = (next, next);
            let line = &data[begin..next];
            let step = match self.head {
                Some(head) if begin > head && next <= limits::HEADER_BYTES && is_plain(line) => continue,
                Some(head) => self.header_line(data, head, begin),
                None => self.first_line(line),
            };
            if step != Step::More || self.end.is_some() {
                return step;
            }
        }
        self.searched = data.len();
        self.unfinished_line(data)
    }

    fn first_line(&mut self, line: &[u8]) -> Step {
        if line.iter().all(|byte| is_filler(*byte)) {
            return Step::Skip { len: line.len(), junk: false };
        }
        let within = std::mem::take(&mut self.within);
        let text = line.trim_ascii_end();
        let starts = || hot::start_line(line).is_some() || (could_start(text) && StartLine::parse(text).is_some());
        if !within && line.len() <= START_LINE_BYTES && starts() {
            self.head = Some(line.len());
            return Step::More;
        }
        // What stands at the very beginning was refused just above. Only as much of a line is looked at as is
        // kept of it for sure, so that the cuts of the stream decide nothing.
        let tail = line.len().saturating_sub(JUNK_TAIL).min(text.len());
        let start = StartLine::find(&text[tail..]).map(|at| tail + at).filter(|at| *at > 0 || within);
        Step::Skip { len: start.unwrap_or(line.len()), junk: true }
    }

    /// The line that begins at `begin` and has just ended, of a header section that begins at `head`.
    fn header_line(&mut self, data: &[u8], head: usize, begin: usize) -> Step {
        let line = &data[begin..self.line];
        if self.length.is_none() && may_be_length(line) {
            self.length = Some(begin);
        }
        if matches!(line, b"\r\n" | b"\n") {
            self.header_end(data)
        } else if begin == head && !is_header(line) {
            // No header follows: the start line was part of something else (a quotation, a sipfrag).
            Step::Skip { len: begin, junk: true }
        } else if is_start_line(line) {
            Step::Message { len: begin, cut: true }
        } else if self.line > limits::HEADER_BYTES {
            Step::Message { len: self.line, cut: true }
        } else {
            Step::More
        }
    }

    /// The empty line was read: how long is the body?
    fn header_end(&mut self, data: &[u8]) -> Step {
        let body = self.line;
        let length = self.length.map_or(Length::Missing, |line| content_length(&data[..body], line));
        let end = match length {
            Length::Missing => body,
            Length::Bytes(length) => usize::try_from(length).unwrap_or(usize::MAX).saturating_add(body),
            Length::Unusable => usize::MAX,
        };
        if end > limits::STREAM_MESSAGE_BYTES {
            return Step::Message { len: body, cut: true };
        }
        self.end = Some(end);
        if end <= data.len() { Step::Message { len: end, cut: false } } else { Step::More }
    }

    fn unfinished_line(&mut self, data: &[u8]) -> Step {
        if self.head.is_some() {
            let full = data.len() > limits::HEADER_BYTES;
            return if full { Step::Message { len: data.len(), cut: true } } else { Step::More };
        }
        let kept = if could_start(data) && !self.within { START_LINE_BYTES } else { JUNK_TAIL };
        if data.len() <= 2 * kept {
            return Step::More;
        }
        self.within = true;
        Step::Skip { len: data.len() - kept, junk: true }
    }
}

/// Bytes between messages that mean nothing (RFC 3261 7.5, RFC 5626 3.5.1).
fn is_filler(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

fn is_header(line: &[u8]) -> bool {
    let name = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    name > 0 && line[name..].trim_ascii_start().first() == Some(&b':')
}

fn is_start_line(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    (line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0")) && StartLine::parse(line).is_some()
}

/// Where behind the first line of `data` another start line begins.
fn next_start(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'\n', data.get(at..)?)? + 1;
        let rest = data.get(at..)?;
        let line = memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
        if is_start_line(line) {
            return Some(at);
        }
    }
}

/// What a header section says of the length of its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Missing,
    Bytes(u64),
    Unusable,
}

/// Whether a line of a header section is nothing but a header other than Content-Length; most are told by their first
/// letter and the last one before the line end, and the others are looked at in full.
#[inline]
fn is_plain(line: &[u8]) -> bool {
    let [first, .., last, b'\r', b'\n'] = line else { return false };
    // No start line begins otherwise than with an S, or ends otherwise than with a 0 or white space behind it.
    first.is_ascii_alphabetic() && *first != b'S' && *last > b'0' && !may_be_length(line)
}

/// Whether a line may begin the field Content-Length, judged by its first letters alone.
#[inline]
fn may_be_length(line: &[u8]) -> bool {
    match line {
        [b'C' | b'c', rest @ ..] => rest.get(..13).is_some_and(|rest| rest.eq_ignore_ascii_case(b"ontent-Length")),
        [b'L' | b'l', after, ..] => !is_token(*after),
        _ => false,
    }
}

/// What the header section `head` says, from its line at `line` on.
fn content_length(head: &[u8], line: usize) -> Length {
    if let Some((Hot::ContentLength(length), _)) = head.get(line..).and_then(hot::field) {
        return Length::Bytes(length.into());
    }
    let field = Fields::new(head, line).find(|field| HeaderName::from_bytes(field.name) == HeaderName::ContentLength);
    match field.map(|field| decimal(field.value)) {
        None => Length::Missing,
        Some(None) => Length::Unusable,
        Some(Some(length)) => Length::Bytes(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BYE: &str = "BYE sip:b@x SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n";
    const OK: &str = "SIP/2.0 200 OK\r\nl: 11\r\n\r\nBYE sip:x\r\n";
    const LF: &str = "INVITE sip:b@x SIP/2.0\nContent-Length :\n 3\nA: b\n\nabc";
    const BARE: &str = "ACK sip:b@x SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n";

    /// Pushes the chunks as frames 1, 2, ...
    fn framed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Framed> {
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        for (n, chunk) in (1..).zip(chunks) {
            framer.push(Bytes::copy_from_slice(chunk), n, Timestamp::from_nanos(i64::from(n)), &mut out);
        }
        framer.finish(&mut out);
        out
    }

    fn texts(framed: &[Framed]) -> Vec<String> {
        let text = |framed: &Framed| match framed {
            Framed::Message { bytes, cut, .. } => {
                format!("{}{}", if *cut { "cut " } else { "" }, String::from_utf8_lossy(bytes))
            }
            Framed::Junk { bytes, .. } => format!("junk {bytes}"),
        };
        framed.iter().map(text).collect()
    }

    fn cut(message: &str) -> String {
        format!("cut {message}")
    }

    #[test]
    fn a_start_line_deep_in_a_line_is_found_or_not_whatever_the_cuts() {
        for (before, after) in [(3000, 3000), (3000, 900), (40_000, 20_000), (10, 40_000), (0, 20_000), (2040, 1020)] {
            let junk = |len: usize| "j".repeat(len);
            let stream = format!("{} SIP/2.0 200 {}\r\nVia: x\r\n\r\n{BYE}", junk(before), junk(after));
            let whole = framed([stream.as_bytes()]);
            for size in [1, 17, 20, 999, 1500, 5000] {
                let cut: Vec<(Bytes, bool)> = messages(framed(stream.as_bytes().chunks(size)));
                assert_eq!(cut, messages(whole.clone()), "{before} {after} {size}");
            }
        }
    }

    fn messages(framed: Vec<Framed>) -> Vec<(Bytes, bool)> {
        let message = |framed| match framed {
            Framed::Message { bytes, cut, .. } => Some((bytes, cut)),
            Framed::Junk { .. } => None,
        };
        framed.into_iter().filter_map(message).collect()
    }

    #[test]
    fn datagrams_are_told_by_their_first_line() {
        for (datagram, expected) in [
            (BYE.as_bytes(), Probe::Sip { offset: 0 }),
            (b"\r\n\r\nBYE sip:x SIP/2.0\r\n", Probe::Sip { offset: 4 }),
            (b"sip/2.0 200\n", Probe::Sip { offset: 0 }),
            (b"REGISTER sip:1.1.1.1:5060 SIP/2.0", Probe::Sip { offset: 0 }),
            (b"\r\n\r\n", Probe::KeepAlive),
            (b"\0\0\0\0", Probe::KeepAlive),
            (b"", Probe::No),
            (&[0; 200], Probe::No),
            (b"\x00\x01\x00\x08\x21\x12\xa4\x42", Probe::No),
            (b"\x80\x00\x00\x01BYE sip:x SIP/2.0\r\n", Probe::No),
            (b"GET / HTTP/1.1\r\n", Probe::No),
            (b"NOTIFY * HTTP/1.1\r\n", Probe::No),
            (b"HTTP/1.1 200 OK\r\n", Probe::No),
            (b"OPTIONS rtsp://x RTSP/1.0\r\n", Probe::No),
            (b"Via: SIP/2.0/UDP x\r\nINVITE sip:x SIP/2.0\r\n", Probe::No),
            (b"hello", Probe::No),
        ] {
            assert_eq!(probe(datagram), expected, "{}", String::from_utf8_lossy(datagram));
        }
    }

    #[test]
    fn one_chunk_is_sliced_and_not_copied() {
        let chunk = Bytes::from([BYE, OK, LF].concat());
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        framer.push(chunk.clone(), 7, Timestamp::from_nanos(7), &mut out);
        assert_eq!(texts(&out), [BYE, OK, LF]);
        for framed in out {
            let Framed::Message { bytes, frames, .. } = framed else { panic!("{framed:?}") };
            assert!(chunk.as_ptr_range().contains(&bytes.as_ptr()));
            assert_eq!(frames.as_slice(), [7]);
        }
    }

    #[test]
    fn a_message_knows_its_frames_and_the_time_of_its_last_byte() {
        let (head, tail) = OK.as_bytes().split_at(20);
        let (middle, tail) = tail.split_at(5);
        let found = framed([head, middle, &[tail, BYE.as_bytes()].concat()]);
        let expected: [(&[u32], i64); 2] = [(&[1, 2, 3], 3), (&[3], 3)];
        for (framed, (frames, time)) in found.iter().zip(expected) {
            let Framed::Message { frames: f, time: t, .. } = framed else { panic!("{framed:?}") };
            assert_eq!((f.as_slice(), t.as_nanos()), (frames, time));
        }
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn junk_is_counted_and_the_next_start_line_found() {
        let found =
            framed([b"\r\nrest of a body\r\n\xff".as_slice(), BYE.as_bytes(), b"</x>", OK.as_bytes(), b"\0\r\n"]);
        assert_eq!(texts(&found), ["junk 17".to_owned(), BYE.into(), "junk 4".into(), OK.into()]);
        assert!(matches!(found[0], Framed::Junk { frame: 1, .. }));
    }

    #[test]
    fn without_content_length_there_is_no_body() {
        let found = framed([BARE.as_bytes(), b"v=0\r\n", BYE.as_bytes()]);
        assert_eq!(texts(&found), [BARE, "junk 5", BYE]);
    }

    #[test]
    fn a_length_that_cannot_be_right_ends_the_message_at_its_head() {
        for length in ["4294967296", "99999999999999999999", "-1", "x", ""] {
            let head = format!("BYE sip:x SIP/2.0\r\nContent-Length: {length}\r\n\r\n");
            let found = framed([head.as_bytes(), b"abc\r\n", BYE.as_bytes()]);
            assert_eq!(texts(&found), [cut(&head), "junk 5".into(), BYE.into()], "{length}");
        }
    }

    #[test]
    fn a_start_line_within_a_header_section_begins_the_next_message() {
        let head = "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n";
        assert_eq!(texts(&framed([head.as_bytes(), OK.as_bytes()])), [cut(head), OK.into()]);
    }

    #[test]
    fn a_line_that_only_almost_starts_a_message_is_passed_over() {
        let long = format!("{} sip:b@x SIP/2.0\r\n", "M".repeat(WORD_BYTES));
        for almost in ["SIP/2.0\r200\r\n", &long] {
            let told = texts(&framed([almost.as_bytes(), BYE.as_bytes()]));
            assert_eq!(told, [format!("junk {}", almost.len()), BYE.to_owned()]);
        }
    }

    #[test]
    fn a_body_that_never_comes_gives_back_what_it_swallowed() {
        let long = "BYE sip:x SIP/2.0\r\nl: 900\r\n\r\nabc\r\n";
        let found = framed([long.as_bytes(), OK.as_bytes(), BYE.as_bytes()]);
        // OK's own body looks like the beginning of a request, but is none.
        assert_eq!(texts(&found), [cut(long), OK.into(), BYE.into()]);
    }

    #[test]
    fn a_start_line_without_headers_behind_it_is_a_quotation() {
        let found = framed([b"SIP/2.0 200 ok\r\nHTTP/1.1 200 ok\r\nA: b\r\n\r\n".as_slice(), BYE.as_bytes()]);
        assert_eq!(texts(&found), ["junk 39", BYE]);
        assert_eq!(texts(&framed([b"SIP/2.0 100 x\r\n\r\n".as_slice()])), ["SIP/2.0 100 x\r\n\r\n"]);
    }

    #[test]
    fn a_gap_within_a_body_is_bridged() {
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        let mut push = |bytes: &[u8], lost: u64, out: &mut Vec<Framed>| {
            framer.push(Bytes::copy_from_slice(bytes), 1, Timestamp::default(), out);
            framer.gap(lost, out);
        };
        push(b"BYE sip:x SIP/2.0\r\nl: 10\r\n\r\nabc", 3, &mut out);
        push(&[b"defg", BYE.as_bytes()].concat(), 100, &mut out);
        push(BYE.as_bytes(), 0, &mut out);
        assert_eq!(texts(&out), [cut("BYE sip:x SIP/2.0\r\nl: 10\r\n\r\nabc"), BYE.into(), BYE.into()]);
    }

    #[test]
    fn a_gap_within_a_head_cuts_and_resynchronises() {
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        framer.push(Bytes::from("BYE sip:x SIP/2.0\r\nVi"), 1, Timestamp::default(), &mut out);
        framer.gap(10, &mut out);
        framer.push(Bytes::from(["x\r\nl: 0\r\n\r\n", BYE].concat()), 2, Timestamp::default(), &mut out);
        framer.finish(&mut out);
        assert_eq!(texts(&out), [cut("BYE sip:x SIP/2.0\r\nVi"), "junk 9".into(), BYE.into()]);
    }

    #[test]
    fn endless_lines_and_heads_stay_bounded() {
        for (start, chunk) in [
            ("", "x".repeat(1000)),
            ("", "ab cd".repeat(200)),
            ("", "\u{80}".repeat(500)),
            ("BYE sip:x SIP/2.0\r\n", "h".repeat(1000)),
            ("BYE sip:x SIP/2.0\r\n", "h: 1\r\n".repeat(200)),
            ("BYE sip:x SIP/2.0\r\nl: 1000000\r\n\r\n", "b".repeat(1000)),
        ] {
            let (mut framer, mut out) = (Framer::default(), Vec::new());
            framer.push(Bytes::from(start), 0, Timestamp::default(), &mut out);
            for n in 1..4000 {
                framer.push(Bytes::from(chunk.clone()), n, Timestamp::default(), &mut out);
                assert!(framer.held.len() <= limits::STREAM_MESSAGE_BYTES && framer.marks.len() <= MARKS);
            }
            framer.push(Bytes::from("\r\n"), 4000, Timestamp::default(), &mut out);
            framer.push(Bytes::from(BYE), 4001, Timestamp::default(), &mut out);
            assert_eq!(texts(&out).last().map(String::as_str), Some(BYE), "{start}{}", &chunk[..4]);
        }
    }

    #[test]
    fn single_bytes_cost_no_more_than_their_number() {
        let text = [BYE, OK, LF].concat().repeat(200);
        assert_eq!(framed(text.as_bytes().chunks(1)).len(), 600);
    }

    fn cuttings() -> impl Strategy<Value = (Vec<String>, Vec<usize>)> {
        let piece = prop::sample::select(vec![BYE, OK, LF, BARE, "\r\n\r\n", "\r\n"]);
        (prop::collection::vec(piece.prop_map(str::to_owned), 0..12), prop::collection::vec(1usize..60, 1..40))
    }

    /// Cuts `bytes` into chunks of these sizes, over and over.
    fn chunks<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (chunk, rest) = bytes.split_at((*size).min(bytes.len()));
            chunks.push(chunk);
            bytes = rest;
        }
        chunks
    }

    /// Header sections: usual lines, and what is like Content-Length or nearly so, in any order.
    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec![
            "Via: SIP/2.0/TCP x",
            "Content-Length: 3",
            "content-LENGTH \t: 7",
            "Content-Length\r\n : 5",
            "Content-Length",
            "Content-Lengths: 9",
            "Content-Length-X: 9",
            "Content-Length=4: 9",
            "l: 2",
            "L\t: 1",
            "l",
            "l x: 4",
            "lx: 4",
            "Subject: a\r\n Content-Length: 8",
            "Subject: a\n\tl: 8",
            "Contact: <sip:x>",
            " l: 6",
            "Content-Length: x",
            "l:",
            ": 1",
            "INVITE sip:b@x SIP/2.0",
        ]);
        let lines = prop::collection::vec((line, prop::sample::select(vec!["\r\n", "\n", " \r\n"])), 0..8);
        let noise = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (lines, noise).prop_map(|(lines, noise)| {
            let mut head: Vec<u8> =
                lines.iter().flat_map(|(line, end)| [line.as_bytes(), end.as_bytes()].concat()).collect();
            for (at, byte) in noise.into_iter().filter(|_| !lines.is_empty()) {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head
        })
    }

    proptest! {
        #[test]
        fn the_length_is_that_of_a_walk_over_all_fields(head in heads(), sizes in prop::collection::vec(1usize..60, 1..20)) {
            let message = [b"BYE sip:x SIP/2.0\r\n".as_slice(), &head, b"\r\n"].concat();
            let (mut scan, mut upto) = (Scan::default(), 0);
            let step = sizes.iter().cycle().find_map(|size| {
                upto = (upto + size).min(message.len());
                let step = scan.step(&message[..upto]);
                (step != Step::More || upto == message.len()).then_some(step)
            });
            // Where the walk that names every field ends, unless a start line or something else ended it before.
            let body = scan.line;
            let head = &message[..body];
            let field = Fields::new(head, 19).find(|field| HeaderName::from_bytes(field.name) == HeaderName::ContentLength);
            let walked = match field.map(|field| decimal(field.value)) {
                None => Length::Missing,
                Some(None) => Length::Unusable,
                Some(Some(length)) => Length::Bytes(length),
            };
            let expected = match walked {
                Length::Missing => Step::Message { len: body, cut: false },
                Length::Bytes(length) if length as usize + body <= message.len() => {
                    Step::Message { len: body + length as usize, cut: false }
                }
                Length::Bytes(_) => Step::More,
                Length::Unusable => Step::Message { len: body, cut: true },
            };
            if message[..body].ends_with(b"\n\n") || message[..body].ends_with(b"\n\r\n") {
                prop_assert_eq!(step, Some(expected));
            }
        }

        #[test]
        fn a_plain_line_is_no_start_line_and_no_length(
            line in prop::sample::select(vec![
                "INVITE sip:b@x SIP/2.0", "SIP/2.0 200 OK", "SIP/2.0 200 O", "l: 2", "Content-Length: 3", "To: <sip:x>", "",
                "xINVITE sip:b@x SIP/2.0\x0c", "ACK sip:b@x SIP/2.0\t ", "s: 1",
            ]),
            end in prop::sample::select(vec!["\r\n", "\n", " \r\n", "\r\r\n", "\t\n"]),
            noise in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
        ) {
            let mut line = [line, end].concat().into_bytes();
            let (at, byte, noisy) = noise;
            if noisy {
                let at = at.index(line.len());
                line[at] = byte;
            }
            let more = matches!(line.as_slice(), b"\r\n" | b"\n") || is_start_line(&line) || may_be_length(&line);
            prop_assert!(!(is_plain(&line) && more));
        }

        #[test]
        fn any_cutting_gives_the_same_messages((pieces, sizes) in cuttings()) {
            let stream = pieces.concat();
            let messages: Vec<_> = pieces.into_iter().filter(|piece| !piece.trim().is_empty()).collect();
            prop_assert_eq!(texts(&framed(chunks(stream.as_bytes(), &sizes))), messages);
        }

        #[test]
        fn every_byte_is_accounted_for(
            junk in prop::collection::vec(any::<u8>(), 0..300),
            (pieces, sizes) in cuttings(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut stream = pieces.concat().into_bytes();
            let at = at.index(stream.len() + 1);
            stream.splice(at..at, junk);
            let found = framed(chunks(&stream, &sizes));
            let told: u64 = found.iter().map(|framed| match framed {
                Framed::Message { bytes, .. } => bytes.len() as u64,
                Framed::Junk { bytes, .. } => *bytes,
            }).sum();
            let filler = stream.iter().filter(|byte| is_filler(**byte)).count() as u64;
            prop_assert!(told <= stream.len() as u64 && told + filler >= stream.len() as u64);
        }

        #[test]
        fn any_datagram_can_be_probed(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Probe::Sip { offset } = probe(&bytes) {
                prop_assert!(offset < bytes.len());
            }
        }
    }
}
