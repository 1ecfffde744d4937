//! Renames a SIP message in place: start line, headers, body. The length stays, and so do all numbers that
//! speak of it.

use super::key::Namer;
use super::text::{fill, rename};
use super::vocabulary::{self, Vocabulary};
use memchr::{memchr, memmem};

/// Bodies in bodies that are looked into.
const DEPTH: u8 = 4;

/// Renames the message in `bytes`, which may be cut anywhere.
pub(in crate::export) fn message(namer: &mut Namer, bytes: &mut [u8]) {
    nested(namer, bytes, DEPTH);
}

fn nested(namer: &mut Namer, bytes: &mut [u8], depth: u8) {
    let line = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    let (start, rest) = bytes.split_at_mut(line);
    start_line(namer, start);
    headers_and_body(namer, rest, depth);
}

/// Of a message, or of one part of a body.
fn headers_and_body(namer: &mut Namer, bytes: &mut [u8], depth: u8) {
    let (mut kind, mut at) = (Body::Other, 0);
    loop {
        let end = field_end(bytes, at);
        let Some(field) = bytes.get_mut(at..end).filter(|field| !field.is_empty()) else {
            return;
        };
        at = end;
        if matches!(&*field, b"\r\n" | b"\n") {
            break;
        }
        let Some(colon) = memchr(b':', field) else {
            rename(namer, field, Vocabulary::Nobody);
            continue;
        };
        let (name, value) = field.split_at_mut(colon);
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"Content-Type") || name.eq_ignore_ascii_case(b"c") {
            kind = Body::of(value);
        }
        header(namer, name, value);
    }
    body(namer, &mut bytes[at..], &kind, depth);
}

/// Where the field at `at` ends, with the lines that it goes on in (RFC 3261 7.3.1).
fn field_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let Some(end) = memchr(b'\n', bytes.get(at..).unwrap_or_default()) else {
            return bytes.len();
        };
        let empty = bytes[at..at + end].trim_ascii().is_empty();
        at += end + 1;
        if empty || !matches!(bytes.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
}

fn start_line(namer: &mut Namer, line: &mut [u8]) {
    if line.starts_with(b"SIP/2.0 ") {
        if let Some(phrase) = line.get_mut(12..) {
            rename(namer, phrase, Vocabulary::Phrases);
        }
        return;
    }
    // The method is a word of the protocol.
    if let Some(space) = memchr(b' ', line) {
        rename(namer, &mut line[space..], Vocabulary::Words);
    }
}

/// Renames a value; it begins with the colon.
fn header(namer: &mut Namer, name: &[u8], value: &mut [u8]) {
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    if vocabulary::is_public_header(name) {
        return;
    }
    let value = value.get_mut(1..).unwrap_or_default();
    if is(&["User-Agent", "Server"]) {
        rename(namer, value, Vocabulary::Products);
    } else if is(&["Reason", "Warning"]) {
        // "Q.850" and the code of a warning come first.
        let first = value.iter().position(|byte| matches!(byte, b';' | b'"')).unwrap_or(value.len());
        let code = value.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b' '));
        let kept = first.min(code.unwrap_or(first));
        let kept =
            if is(&["Warning"]) { kept.min(4 + value.iter().take_while(|byte| **byte == b' ').count()) } else { kept };
        rename(namer, &mut value[kept..], Vocabulary::Phrases);
    } else if is(&["Subject", "s", "Organization", "Call-Info", "Alert-Info", "Error-Info"]) {
        rename(namer, value, Vocabulary::Nobody);
    } else if is(&["Authorization", "Proxy-Authorization"]) && !is_digest(value) {
        fill(value);
    } else {
        rename(namer, value, Vocabulary::Words);
    }
}

fn is_digest(value: &[u8]) -> bool {
    value.trim_ascii_start().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Digest"))
}

/// What a body is.
enum Body {
    Sdp,
    /// Of a message (RFC 3420).
    Fragment,
    /// Parts behind lines that begin with this.
    Multipart(Vec<u8>),
    Other,
}

impl Body {
    fn of(value: &[u8]) -> Self {
        let value = value.strip_prefix(b":").unwrap_or(value);
        let lower = value.to_ascii_lowercase();
        let kind = lower.trim_ascii_start();
        if kind.starts_with(b"application/sdp") {
            Self::Sdp
        } else if kind.starts_with(b"message/sipfrag") || kind.starts_with(b"message/sip") {
            Self::Fragment
        } else if let Some(at) = memmem::find(&lower, b"boundary=").filter(|_| kind.starts_with(b"multipart/")) {
            let rest = &value[at + 9..];
            let boundary = match rest.strip_prefix(b"\"") {
                Some(quoted) => quoted.split(|byte| *byte == b'"').next(),
                None => rest.split(|byte| matches!(byte, b';' | b'\r' | b'\n' | b' ' | b'\t')).next(),
            };
            match boundary.filter(|boundary| !boundary.is_empty()) {
                Some(boundary) => Self::Multipart([b"--", boundary].concat()),
                None => Self::Other,
            }
        } else {
            Self::Other
        }
    }
}

fn body(namer: &mut Namer, bytes: &mut [u8], kind: &Body, depth: u8) {
    match kind {
        Body::Sdp => super::sdp::rename(namer, bytes),
        Body::Fragment if depth > 0 => nested(namer, bytes, depth - 1),
        Body::Multipart(delimiter) if depth > 0 => parts(namer, bytes, delimiter, depth - 1),
        _ => fill(bytes),
    }
}

fn parts(namer: &mut Namer, bytes: &mut [u8], delimiter: &[u8], depth: u8) {
    let starts: Vec<usize> =
        memmem::find_iter(bytes, delimiter).filter(|at| *at == 0 || bytes[at - 1] == b'\n').collect();
    let Some(first) = starts.first() else {
        return fill(bytes);
    };
    fill(&mut bytes[..*first]);
    for (number, start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(bytes.len());
        let line = memchr(b'\n', &bytes[*start..end]).map_or(end, |at| start + at + 1);
        if bytes[start + delimiter.len()..line].starts_with(b"--") {
            fill(&mut bytes[line..end]);
        } else {
            headers_and_body(namer, &mut bytes[line..end], depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        message(&mut Namer::new(b"key"), &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.1.11:5060;branch=z9hG4bKx7y8\r\n\
        Max-Forwards: 70\r\nFrom: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\nTo: <sip:bob@biloxi.example.com>\r\n\
        Call-ID: 3848276298220188511@atlanta.example.com\r\nCSeq: 1 INVITE\r\nSubject: the merger\r\nUser-Agent: Asterisk PBX 18.2 \
        acme-4711\r\nContent-Type: application/sdp\r\nContent-Length: 9999\r\n\r\nv=0\r\no=alice 2890844526 2890844527 IN IP4 \
        10.20.1.11\r\ns=Acme\r\nc=IN IP4 10.20.1.11\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n\
        a=candidate:1 1 UDP 2130706431 10.20.1.11 49172 typ host\r\n";

    #[test]
    fn a_message_keeps_its_shape_and_loses_its_names() {
        let told = renamed(INVITE);
        assert_eq!(told.len(), INVITE.len());
        for name in [
            "bob",
            "biloxi",
            "alice",
            "Alice",
            "atlanta",
            "10.20.1.11",
            "3848276298220188511",
            "9fxced76sl",
            "x7y8",
            "merger",
            "acme",
            "4711",
            "Acme",
            "2890844526",
            "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        ] {
            assert!(!told.contains(name), "{name} in {told}");
        }
        for kept in [
            "INVITE sip:",
            "SIP/2.0\r\n",
            "Via: SIP/2.0/UDP 10.",
            ":5060;branch=z9hG4bK",
            "Max-Forwards: 70",
            "CSeq: 1 INVITE",
            "Asterisk PBX 18.2",
            "2890844527 IN IP4 10.",
            "m=audio 49172 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000",
            " 49172 typ host",
        ] {
            assert!(told.contains(kept), "{kept} not in {told}");
        }
    }

    #[test]
    fn a_cut_message_is_renamed_as_far_as_it_goes() {
        let whole = renamed(INVITE);
        for end in 0..INVITE.len() {
            let told = renamed(&INVITE[..end]);
            assert_eq!(told.len(), end);
            assert!(!told.contains("biloxi") && !told.contains("10.20.1.11"), "{told}");
        }
        assert!(whole.ends_with("typ host\r\n"));
    }

    #[test]
    fn bodies_that_are_not_understood_are_filled() {
        let head = "MESSAGE sip:a SIP/2.0\r\nContent-Type: text/plain\r\n\r\n";
        assert!(renamed(&format!("{head}The PIN is 1234\r\nBob")).ends_with("\r\n\r\nxxxxxxxxxxxxxxx\r\nxxx"));
    }

    #[test]
    fn parts_of_a_body_are_renamed_as_what_they_are() {
        let told = renamed(
            "INVITE sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=\"b1\"\r\n\r\nhello\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n\
             c=IN IP4 192.0.2.7\r\nm=audio 5000 RTP/AVP 0\r\n--b1\r\nContent-Type: text/plain\r\n\r\nsecret\r\n--b1--\r\n",
        );
        assert!(
            told.contains("boundary=\"b1\"")
                && told.contains("m=audio 5000 RTP/AVP 0\r\n--b1\r\n")
                && told.ends_with("xxxxxx\r\n--b1--\r\n"),
            "{told}"
        );
        assert!(!told.contains("192.0.2.7") && !told.contains("secret") && !told.contains("hello"), "{told}");
    }
}
