//! The parts of a message that everybody asks for, where they are written as nearly every sender writes them.
//!
//! A reader here takes the bytes from where its part begins, and goes over them once: it finds the end of the
//! line by reading up to it. It gives up (`None`) at whatever is unusual, such as folds, white space in odd
//! places, lists, escapes or other URI schemes; the line is then found and read by the grammar in full.
//! What a reader does tell is what the grammar tells; the tests hold them to that.

use super::grammar::{is_lws, is_token};
use super::start::StartLine;
use super::{HeaderName, Method};
use memchr::memchr;

/// A header field that is read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hot<'a> {
    /// A header with a single value.
    Via {
        sent_by: &'a [u8],
        branch: &'a [u8],
    },
    From {
        uri: &'a [u8],
        tag: &'a [u8],
    },
    To {
        uri: &'a [u8],
        tag: &'a [u8],
    },
    CallId(&'a [u8]),
    CSeq {
        number: u32,
        method: Method,
        name: &'a [u8],
    },
    ContentLength(u32),
    /// Another header that ordinary messages carry.
    Other(HeaderName, &'a [u8]),
}

/// Bytes of a part; longer ones are read by the grammar.
const LONG: usize = 256;

/// What has been read, and how many bytes it took, the line end included.
pub(super) type Read<T> = Option<(T, usize)>;

/// Reads the header field at the beginning of `text`; another line follows it.
#[inline]
pub(super) fn field(text: &[u8]) -> Read<Hot<'_>> {
    let begins = |name: &[u8]| text.starts_with(name);
    match text.first()? {
        b'V' if begins(b"Via: SIP/2.0/") => via(text, 13),
        b'F' if begins(b"From: ") => address(text, 6).map(|((uri, tag), len)| (Hot::From { uri, tag }, len)),
        b'T' if begins(b"To: ") => address(text, 4).map(|((uri, tag), len)| (Hot::To { uri, tag }, len)),
        b'C' if begins(b"CSeq: ") => cseq(text, 6),
        b'C' if begins(b"Call-ID: ") => call_id(text, 9),
        b'C' if begins(b"Contact: ") => other(text, 9, HeaderName::Contact),
        b'C' if begins(b"Content-Length: ") => content_length(text, 16),
        b'C' if begins(b"Content-Type: ") => other(text, 14, HeaderName::ContentType),
        b'M' if begins(b"Max-Forwards: ") => other(text, 14, HeaderName::MaxForwards),
        b'R' if begins(b"Record-Route: ") => other(text, 14, HeaderName::RecordRoute),
        b'R' if begins(b"Route: ") => other(text, 7, HeaderName::Route),
        b'E' if begins(b"Expires: ") => other(text, 9, HeaderName::Expires),
        b'A' if begins(b"Allow: ") => other(text, 7, HeaderName::Allow),
        b'A' if begins(b"Authorization: ") => other(text, 15, HeaderName::Authorization),
        b'S' if begins(b"Server: ") => other(text, 8, HeaderName::Server),
        b'S' if begins(b"Supported: ") => other(text, 11, HeaderName::Supported),
        b'U' if begins(b"User-Agent: ") => other(text, 12, HeaderName::UserAgent),
        _ => named(text),
    }
}

/// A header field by another name, or by another spelling of one above.
fn named(text: &[u8]) -> Read<Hot<'_>> {
    let colon = until::<b'!', _>(text, 0, [b':']);
    let name = text.get(..colon).filter(|name| !name.is_empty() && name.iter().all(|byte| is_token(*byte)))?;
    let (at, value) = (colon + 2, text.get(colon..)?.strip_prefix(b": ")?);
    match HeaderName::from_bytes(name) {
        HeaderName::Via if value.starts_with(b"SIP/2.0/") => via(text, at + 8),
        HeaderName::Via => None,
        HeaderName::From => address(text, at).map(|((uri, tag), len)| (Hot::From { uri, tag }, len)),
        HeaderName::To => address(text, at).map(|((uri, tag), len)| (Hot::To { uri, tag }, len)),
        HeaderName::CSeq => cseq(text, at),
        HeaderName::CallId => call_id(text, at),
        HeaderName::ContentLength => content_length(text, at),
        known_or_not => other(text, at, known_or_not),
    }
}

fn other(text: &[u8], at: usize, name: HeaderName) -> Read<Hot<'_>> {
    let end = until::<b' ', 0>(text, at, []);
    let value = text.get(at..end).filter(|value| is_bare(value))?;
    Some((Hot::Other(name, value), line_end(text, end)?))
}

/// `METHOD sip:... SIP/2.0` or `SIP/2.0 CODE Reason`.
pub(super) fn start_line(text: &[u8]) -> Read<StartLine<'_>> {
    if text.starts_with(b"SIP/2.0 ") {
        let end = near(b'\n', text)?;
        let (status, reason) = text[8..end].strip_suffix(b"\r")?.split_at_checked(3)?;
        let reason = reason.strip_prefix(b" ")?;
        let plain = status.iter().all(u8::is_ascii_digit) && is_bare(reason);
        return plain.then_some((StartLine::Response { version: &text[..7], status, reason }, end + 1));
    }
    let space = until::<b'!', _>(text, 0, []);
    let uri_end = until::<b'!', _>(text, space + 1, []);
    let (method, uri) = (&text[..space], text.get(space + 1..uri_end)?);
    // A space further on would belong to the URI.
    let (version, line_end) = text.get(uri_end + 1..uri_end + 10)?.split_at(7);
    let plain = text[space] == b' ' && text[uri_end] == b' ' && version == b"SIP/2.0" && line_end == b"\r\n";
    let known = Method::from_bytes(method) != Method::Other && uri.starts_with(b"sip:");
    (plain && known).then_some((StartLine::Request { method, uri, version }, uri_end + 10))
}

fn via(text: &[u8], at: usize) -> Read<Hot<'_>> {
    let host = at + text[at..].iter().position(|byte| !is_token(*byte)).filter(|transport| *transport > 0)? + 1;
    let host_end = until::<b'!', _>(text, host, [b':', b';', b',']);
    if text[host - 1] != b' ' || host_end == host || text[host] == b'[' {
        return None;
    }
    let end = match text.get(host_end)? {
        b':' => number(text, host_end + 1).filter(|(port, _)| *port <= u16::MAX.into())?.1,
        _ => host_end,
    };
    let (branch, len) = param(text, end, b"branch=")?;
    Some((Hot::Via { sent_by: &text[host..end], branch }, len))
}

fn content_length(text: &[u8], at: usize) -> Read<Hot<'_>> {
    let (length, end) = number(text, at)?;
    Some((Hot::ContentLength(length), line_end(text, end)?))
}

/// URI in angle brackets and tag of From and To.
#[inline]
fn address(text: &[u8], at: usize) -> Read<(&[u8], &[u8])> {
    let open = match text.get(at)? {
        b'<' => at,
        b'"' => {
            let close = at + 1 + text[at + 1..].iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'))?;
            match text.get(close..close + 3)? {
                b"\" <" => close + 2,
                [b'"', b'<', _] => close + 1,
                _ => return None,
            }
        }
        _ => at + text[at..].iter().position(|byte| !(is_token(*byte) || *byte == b' '))?,
    };
    let close = until::<b'!', _>(text, open + 1, [b'>']);
    let uri = text.get(open + 1..close).filter(|uri| !uri.is_empty())?;
    if text[open] != b'<' || *text.get(close)? != b'>' {
        return None;
    }
    let (tag, len) = param(text, close + 1, b"tag=")?;
    Some(((uri, tag), len))
}

fn call_id(text: &[u8], at: usize) -> Read<Hot<'_>> {
    let end = until::<b'!', _>(text, at, []);
    let value = text.get(at..end).filter(|value| !value.is_empty())?;
    Some((Hot::CallId(value), line_end(text, end)?))
}

fn cseq(text: &[u8], at: usize) -> Read<Hot<'_>> {
    let (number, space) = number(text, at)?;
    let end = until::<b'!', _>(text, space + 1, []);
    let name = text.get(space + 1..end).filter(|_| text[space] == b' ')?;
    let method = Method::from_bytes(name);
    (method != Method::Other).then_some((Hot::CSeq { number, method, name }, line_end(text, end)?))
}

/// Reads parameters (`;a=1;b`) from `at` up to the line end: the value of the first one that `name` begins (in
/// lower case, with its equals sign), empty when there is none of that name.
#[inline]
fn param<'a, const N: usize>(text: &'a [u8], mut at: usize, name: &[u8; N]) -> Read<&'a [u8]> {
    let mut found: &[u8] = b"";
    while text.get(at) == Some(&b';') {
        at += 1;
        let end = until::<b'!', _>(text, at, [b';', b',', b'"', b'<']);
        let param = text.get(at..end)?;
        if found.is_empty() {
            found = match param.strip_prefix(name) {
                Some(value) if !value.is_empty() => value,
                // Another one, if it cannot be the same in capitals or behind white space.
                _ if param.first().is_some_and(|first| first.is_ascii_alphanumeric() && *first | 0x20 != name[0]) => {
                    b""
                }
                _ => return None,
            };
        }
        at = end;
    }
    Some((found, line_end(text, at)?))
}

/// The end of the line that ends at `at`, if it is not folded.
#[inline]
fn line_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at..)? {
        [b'\r', b'\n', next, ..] if !matches!(next, b' ' | b'\t') => Some(at + 2),
        _ => None,
    }
}

/// Something, without white space at its ends.
#[inline]
fn is_bare(text: &[u8]) -> bool {
    matches!(text, [first, .., last] if !is_lws(*first) && !is_lws(*last))
}

/// One to nine digits from `at` on, and where they end.
#[inline]
pub(super) fn number(text: &[u8], at: usize) -> Read<u32> {
    let (mut number, mut end) = (0, at);
    while let Some(digit @ b'0'..=b'9') = text.get(end) {
        if end - at == 9 {
            return None;
        }
        number = number * 10 + u32::from(digit - b'0');
        end += 1;
    }
    (end > at).then_some((number, end))
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Has the high bit set of each octet of `word` that is zero; octets above the lowest such may be wrong.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// The octet of the lowest bit that is set.
#[inline]
fn first(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

/// Where `byte` first stands in `text`: for what is expected within a line, where a search that
/// chooses among SIMD instructions costs more than it saves.
#[inline]
pub(super) fn near(byte: u8, text: &[u8]) -> Option<usize> {
    /// As many bytes as are looked at by words.
    const NEAR: usize = 128;
    let mut at = 0;
    for word in text[..text.len().min(NEAR)].as_chunks::<8>().0 {
        let found = zeros(u64::from_le_bytes(*word) ^ (ONES * u64::from(byte)));
        if found != 0 {
            return Some(at + first(found));
        }
        at += 8;
    }
    memchr(byte, &text[at..]).map(|far| at + far)
}

/// Where, from `at` on, the first octet below `LOW` or one of `ends` stands; at most [`LONG`] bytes away, so
/// that nobody can have the whole message searched for each header.
#[inline]
pub(super) fn until<const LOW: u8, const N: usize>(text: &[u8], at: usize, ends: [u8; N]) -> usize {
    let Some(part) = text.get(at..) else { return text.len() };
    let (words, rest) = part[..part.len().min(LONG)].as_chunks::<8>();
    let mut at = at;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let low = word.wrapping_sub(ONES * u64::from(LOW)) & !word & (ONES << 7);
        let found = ends.iter().fold(low, |found, end| found | zeros(word ^ (ONES * u64::from(*end))));
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    at + rest.iter().position(|byte| *byte < LOW || ends.contains(byte)).unwrap_or(rest.len())
}
