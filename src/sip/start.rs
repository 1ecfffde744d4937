//! Start lines (RFC 3261 7.1, 7.2), and how to find one.

use super::Method;
use super::grammar::{Parsed, is_token, lws, sws, token, trim};
use memchr::memmem;
use nom::Parser;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, recognize};
use nom::sequence::terminated;

/// The first line of a message, without its line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StartLine<'a> {
    Request { method: &'a [u8], uri: &'a [u8], version: &'a [u8] },
    Response { version: &'a [u8], status: &'a [u8], reason: &'a [u8] },
}

impl<'a> StartLine<'a> {
    /// Reads `line` with any amount of white space, in any case, of any SIP version.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        match line.first() {
            Some(b'S' | b's') => status_line(line).or_else(|_| request_line(line)),
            _ => request_line(line),
        }
        .ok()
        .map(|(_, start)| start)
    }

    /// Where in `line` a start line begins, when other bytes stand before it.
    pub(super) fn find(line: &'a [u8]) -> Option<usize> {
        memmem::find_iter(line, b"SIP/2.0").find_map(|at| {
            let response = line.get(at..).is_some_and(|rest| status_line(rest).is_ok());
            if response { Some(at) } else { request_before(line, at) }
        })
    }
}

/// Where the request line begins whose version stands at `version`.
fn request_before(line: &[u8], version: usize) -> Option<usize> {
    if !trim(&line[version + b"SIP/2.0".len()..]).is_empty() {
        return None;
    }
    let uri_end = line[..version].iter().rposition(|byte| *byte != b' ')? + 1;
    let uri = line[..uri_end].iter().rposition(|byte| *byte == b' ')? + 1;
    let method_end = line[..uri].iter().rposition(|byte| *byte != b' ')? + 1;
    let method = line[..method_end].iter().rposition(|byte| !is_token(*byte)).map_or(0, |before| before + 1);
    let known = Method::KNOWN.iter().find(|known| line[method..method_end].ends_with(known.name().as_bytes()));
    let start = known.map_or(method, |known| method_end - known.name().len());
    request_line(&line[start..]).ok().map(|_| start)
}

/// `SIP/2.0`; another version is understood, and is a fault.
fn version(input: &[u8]) -> Parsed<'_> {
    recognize((tag_no_case("SIP/"), digit1, char('.'), digit1)).parse(input)
}

fn status_line(input: &[u8]) -> Parsed<'_, StartLine<'_>> {
    let (reason, (version, _, status)) = (version, lws, digit1).parse(input)?;
    let apart = reason.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if status.len() < 3 || !apart {
        return Err(nom::Err::Error(()));
    }
    Ok((b"", StartLine::Response { version, status, reason: trim(reason) }))
}

/// The version is the last word, so that white space within the URI (RFC 4475 3.1.2.6) stays in the URI.
fn request_line(input: &[u8]) -> Parsed<'_, StartLine<'_>> {
    let (rest, method) = terminated(token, lws).parse(input)?;
    let rest = trim(rest);
    let split = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).ok_or(nom::Err::Error(()))?;
    let (uri, last) = rest.split_at(split);
    let (_, (_, version)) = all_consuming((sws, version)).parse(last)?;
    let uri = trim(uri);
    all_scheme(uri)?;
    Ok((b"", StartLine::Request { method, uri, version }))
}

/// A URI, perhaps in the angle brackets that RFC 4475 3.1.2.5 forbids, begins with a scheme.
fn all_scheme(uri: &[u8]) -> Parsed<'_, ()> {
    let uri = uri.strip_prefix(b"<").unwrap_or(uri);
    let scheme = take_while1(|byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    (scheme, char(':')).parse(uri).map(|(rest, _)| (rest, ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_are_read_with_odd_spacing_and_case() {
        for (line, method, uri) in [
            ("INVITE sip:bob@x SIP/2.0", "INVITE", "sip:bob@x"),
            ("REGIStER  sip:x   sip/2.0  ", "REGIStER", "sip:x"),
            ("INVITE sip:bob@x; lr SIP/2.0", "INVITE", "sip:bob@x; lr"),
            ("INVITE <sip:bob@x> SIP/2.0", "INVITE", "<sip:bob@x>"),
            (
                "!interesting-Method0123456789_*+`.%indeed'~ tel:+1 SIP/7.0",
                "!interesting-Method0123456789_*+`.%indeed'~",
                "tel:+1",
            ),
        ] {
            match StartLine::parse(line.as_bytes()) {
                Some(StartLine::Request { method: m, uri: u, .. }) => {
                    assert_eq!((m, u), (method.as_bytes(), uri.as_bytes()));
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn status_lines_are_read_with_and_without_reason() {
        for (line, status, reason) in [
            ("SIP/2.0 200 OK", "200", "OK"),
            ("SIP/2.0 100 ", "100", ""),
            ("sip/2.0  486", "486", ""),
            ("SIP/2.0 4294967301 x y", "4294967301", "x y"),
        ] {
            match StartLine::parse(line.as_bytes()) {
                Some(StartLine::Response { status: s, reason: r, .. }) => {
                    assert_eq!((s, r), (status.as_bytes(), reason.as_bytes()));
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn other_protocols_and_headers_are_no_start_lines() {
        for line in [
            "",
            "GET / HTTP/1.1",
            "HTTP/1.1 200 OK",
            "INVITE sip:x",
            "SIP/2.0",
            "SIP/2.0 OK",
            "SIP/2.0 20 OK",
            "Via: SIP/2.0/UDP x",
            "INVITE x SIP/2.0",
            "a b:c SIP/2.0x",
            "OPTIONS rtsp://x RTSP/1.0",
            " INVITE sip:x SIP/2.0",
        ] {
            assert_eq!(StartLine::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_start_line_is_found_behind_junk() {
        for (line, at) in [
            ("</x>INVITE sip:x SIP/2.0", Some(4)),
            ("junkBYE sip:x SIP/2.0", Some(4)),
            ("\x00\x01SIP/2.0 200 OK", Some(2)),
            ("Via: SIP/2.0/UDP x", None),
            ("sip:x SIP/2.0", None),
            ("SIP/2.0", None),
        ] {
            assert_eq!(StartLine::find(line.as_bytes()), at, "{line}");
        }
    }
}
