//! What is wrong with a message, where, and by which section.

use super::grammar::{Commas, trim};
use super::header::{Field, Fields};
use super::reading::{Span, cseq};
use super::start::StartLine;
use super::syntax::{self, Count, Form, SYNTAX, Syntax, Wrong};
use super::{Facts, HeaderName, Message, Method, Uri};
use memchr::memchr;

/// How bad a fault is for the message it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FaultSeverity {
    /// The message can be used as it is.
    Warning,
    /// A receiver must or may refuse it.
    Error,
}

use FaultSeverity::{Error, Warning};

/// One deviation of a message from the grammar or from what each message must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where, in bytes of [`Message::raw`].
    pub offset: u32,
    /// How many bytes; 0 when something is missing there.
    pub len: u32,
    /// Header field, or `start line`, `header` or `body`.
    pub header: &'static str,
    /// What should stand there.
    pub expected: &'static str,
    /// Section that says so.
    pub basis: &'static str,
    /// How bad.
    pub severity: FaultSeverity,
}

/// Faults of one message that are told; who has more has made his point.
const TOLD: usize = 256;

/// Everything wrong with `message`, in order of the bytes.
pub(super) fn find(message: &Message) -> Vec<Fault> {
    let mut finder = Finder { message, raw: message.raw(), found: Vec::new() };
    let headers = finder.start_line();
    finder.header_section(headers);
    finder.cseq_method();
    finder.tags();
    finder.registration();
    finder.body();
    finder.found.sort_by_key(|fault| fault.offset);
    finder.found
}

/// Headers that a message of some kind needs beyond those that every message needs.
struct Need {
    of: fn(&Message) -> bool,
    name: HeaderName,
    basis: &'static str,
    severity: FaultSeverity,
}

#[rustfmt::skip]
const NEEDS: [Need; 10] = [
    Need { of: |m| m.is_request() && m.method() == Method::Invite, name: HeaderName::Contact, basis: "RFC 3261 8.1.1.8", severity: Warning },
    Need { of: |m| answers(m, Method::Invite), name: HeaderName::Contact, basis: "RFC 3261 12.1.1", severity: Warning },
    Need { of: |m| answers(m, Method::Subscribe), name: HeaderName::Expires, basis: "RFC 6665 4.2.1.1", severity: Warning },
    Need { of: |m| m.is_request() && m.method() == Method::Subscribe, name: HeaderName::Event, basis: "RFC 6665 8.2.1", severity: Warning },
    Need { of: |m| m.is_request() && m.method() == Method::Notify, name: HeaderName::Event, basis: "RFC 6665 8.2.1", severity: Warning },
    Need { of: |m| m.is_request() && m.method() == Method::Notify, name: HeaderName::SubscriptionState, basis: "RFC 6665 8.2.3", severity: Warning },
    Need { of: |m| m.is_request() && m.method() == Method::Prack, name: HeaderName::RAck, basis: "RFC 3262 7.2", severity: Error },
    Need { of: |m| m.is_request() && m.method() == Method::Refer, name: HeaderName::ReferTo, basis: "RFC 3515 2.4.1", severity: Error },
    Need { of: |m| m.status() == Some(407), name: HeaderName::ProxyAuthenticate, basis: "RFC 3261 22.3", severity: Error },
    Need { of: |m| m.status() == Some(401), name: HeaderName::WwwAuthenticate, basis: "RFC 3261 22.1", severity: Error },
];

/// Whether it is a 2xx to `method`.
fn answers(message: &Message, method: Method) -> bool {
    message.method() == method && message.status().is_some_and(|status| (200..300).contains(&status))
}

struct Finder<'a> {
    message: &'a Message,
    raw: &'a [u8],
    found: Vec<Fault>,
}

impl<'a> Finder<'a> {
    fn add(
        &mut self,
        part: &[u8],
        header: &'static str,
        expected: &'static str,
        basis: &'static str,
        severity: FaultSeverity,
    ) {
        let Span { at, len } = Span::of(self.raw, part);
        if self.found.len() < TOLD {
            self.found.push(Fault { offset: at, len, header, expected, basis, severity });
        }
    }

    /// What a check found, if anything; the words of the check go before the given ones.
    fn note(
        &mut self,
        wrong: Option<Wrong<'_>>,
        header: &'static str,
        words: (&'static str, &'static str, FaultSeverity),
    ) -> bool {
        let Some(wrong) = wrong else { return false };
        let (expected, basis, severity) = wrong.told.unwrap_or(words);
        self.add(wrong.part, header, expected, basis, severity);
        true
    }

    /// Something is missing at the end of `part`.
    fn missing(
        &mut self,
        at: usize,
        header: &'static str,
        expected: &'static str,
        basis: &'static str,
        severity: FaultSeverity,
    ) {
        if self.found.len() < TOLD {
            self.found.push(Fault { offset: at as u32, len: 0, header, expected, basis, severity });
        }
    }

    /// Looks at the start line; says where the header section begins.
    fn start_line(&mut self) -> usize {
        let raw = self.raw;
        let begin = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(raw.len());
        let end = memchr(b'\n', &raw[begin..]).map_or(raw.len(), |at| begin + at + 1);
        let line = raw[begin..end].strip_suffix(b"\n").unwrap_or(&raw[begin..end]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match StartLine::parse(line) {
            Some(StartLine::Request { method, uri, version }) => {
                self.version(version);
                self.request_line(line, method, uri);
            }
            Some(StartLine::Response { version, status, .. }) => {
                self.version(version);
                if self.message.status().is_none() {
                    self.add(status, "start line", "status code from 100 to 699", "RFC 3261 7.2", Error);
                }
            }
            None if self.message.is_request() => {
                self.add(line, "start line", "method SP Request-URI SP SIP/2.0", "RFC 3261 7.1", Error);
            }
            None => self.add(line, "start line", "SIP/2.0 SP status code SP reason phrase", "RFC 3261 7.2", Error),
        }
        self.note(syntax::text(line), "start line", ("UTF-8", "RFC 3261 25.1", Warning));
        end
    }

    fn version(&mut self, version: &[u8]) {
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            self.add(version, "start line", "SIP/2.0", "RFC 3261 7.1", Error);
        }
    }

    fn request_line(&mut self, line: &[u8], method: &[u8], uri: &[u8]) {
        let upper = method.to_ascii_uppercase();
        if self.message.method() == Method::Other && Method::from_bytes(&upper) != Method::Other {
            self.add(method, "start line", "method in capital letters", "RFC 3261 7.1", Error);
        }
        if uri.first() == Some(&b'<') || uri.iter().any(u8::is_ascii_whitespace) {
            self.add(uri, "start line", "URI without angle brackets or white space", "RFC 3261 7.1", Error);
            return;
        }
        if line.len() != method.len() + uri.len() + "SIP/2.0".len() + 2 {
            self.add(line, "start line", "one space between the parts, none behind", "RFC 3261 7.1", Warning);
        }
        let wrong = syntax::uri(uri).or_else(|| target(uri));
        self.note(wrong, "start line", ("URI", "RFC 3261 19.1.1", Error));
    }

    fn header_section(&mut self, start: usize) {
        let mut fields = Fields::new(self.raw, start);
        let mut counts = [0u32; SYNTAX.len()];
        let mut room = crate::base::limits::HEADERS_PER_MESSAGE;
        while let Some(field) = fields.next().filter(|_| room > 0) {
            room -= 1;
            if fields.is_cut() {
                break;
            }
            if syntax::token_only(field.name).is_some() || !field.has_colon {
                let line = self.raw.get(field.at..field.at + field.name.len().max(1)).unwrap_or_default();
                self.add(line, "header", "name: value", "RFC 3261 7.3.1", Error);
                continue;
            }
            let name = HeaderName::from_bytes(field.name);
            match SYNTAX.iter().position(|syntax| syntax.name == name) {
                Some(at) => {
                    counts[at] += 1;
                    self.field(&SYNTAX[at], &field, counts[at]);
                }
                None => {
                    self.note(syntax::text(field.value), "header", ("text", "RFC 3261 25.1", Warning));
                }
            }
        }
        fields.by_ref().for_each(drop);
        match fields.body() {
            Some(body) => self.missing_headers(body, &counts),
            None => {
                self.missing(self.raw.len(), "header", "an empty line behind the header section", "RFC 3261 7", Error);
            }
        }
    }

    fn field(&mut self, syntax: &Syntax, field: &Field<'a>, seen: u32) {
        let Syntax { expected, basis, severity, .. } = *syntax;
        let (header, words) = (syntax.name.name(), (expected, basis, severity));
        if seen > 1 && !matches!(syntax.count, Count::Some | Count::Any) {
            self.add(field.name, header, "this header only once", "RFC 3261 7.3.1", Error);
        }
        let value = field.value;
        let mut text = syntax::text(value);
        if syntax.form != Form::Free {
            // A quote that is never closed makes everything behind it another thing.
            text = text.or_else(|| syntax::open_quote(value));
        }
        if syntax.form == Form::Params {
            text = text.or_else(|| {
                let part = syntax::separators(value, syntax.list)?;
                Some(Wrong { part, told: Some(("a value between the separators", basis, Warning)) })
            });
        }
        if self.note(text, header, words) {
            return;
        }
        if syntax.list {
            for value in Commas::new(value) {
                self.note((syntax.check)(value), header, words);
            }
        } else if let Some(wrong) = (syntax.check)(value) {
            let part = if wrong.part.is_empty() { field.name } else { wrong.part };
            self.note(Some(Wrong { part, ..wrong }), header, words);
        }
    }

    fn missing_headers(&mut self, body: usize, counts: &[u32; SYNTAX.len()]) {
        for (syntax, count) in SYNTAX.iter().zip(counts) {
            let wanted = match syntax.count {
                Count::One | Count::Some => true,
                Count::OneInRequests => self.message.is_request(),
                Count::Optional | Count::Any => false,
            };
            if wanted && *count == 0 {
                let basis = if self.message.is_request() { "RFC 3261 8.1.1" } else { "RFC 3261 8.2.6.2" };
                self.missing(body, syntax.name.name(), "this header", basis, syntax.severity);
            }
        }
        for need in NEEDS.iter().filter(|need| (need.of)(self.message)) {
            if self.message.header(need.name).is_none() {
                self.missing(body, need.name.name(), "this header", need.basis, need.severity);
            }
        }
        if !self.message.body().is_empty() && self.message.header(HeaderName::ContentType).is_none() {
            self.missing(body, "Content-Type", "this header, since there is a body", "RFC 3261 20.15", Warning);
        }
    }

    fn cseq_method(&mut self) {
        let Some((_, method)) = self.message.header(HeaderName::CSeq).and_then(cseq) else {
            return;
        };
        let differs = self.message.is_request() && self.message.method_name().as_bytes() != method;
        if differs && !self.message.method_name().is_empty() {
            self.add(method, "CSeq", "the method of the request line", "RFC 3261 8.1.1.5", Error);
        }
    }

    /// A Via without a branch is one of RFC 2543 and no fault of form (17.2.3); rule T17 tells it.
    fn tags(&mut self) {
        let message = self.message;
        if !message.from_uri().is_empty() && message.from_tag().is_empty() {
            self.add(message.from_uri(), "From", "a tag", "RFC 3261 8.1.1.3", Warning);
        }
        let final_or_early = message.status().is_some_and(|status| status > 100);
        if final_or_early && !message.to_uri().is_empty() && message.to_tag().is_empty() {
            self.add(message.to_uri(), "To", "a tag", "RFC 3261 8.2.6.2", Warning);
        }
    }

    /// The address-of-record of a registration (RFC 3261 10.2).
    fn registration(&mut self) {
        let message = self.message;
        let scheme = Uri::parse(message.to_uri()).map(|uri| uri.scheme);
        let other = scheme.is_some_and(|scheme| !syntax::is_sip(scheme));
        if message.is_request() && message.method() == Method::Register && other {
            self.add(message.to_uri(), "To", "a SIP or SIPS URI", "RFC 3261 10.2", Warning);
        }
    }

    fn body(&mut self) {
        let (message, raw) = (self.message, self.raw);
        let Some(value) = message.header(HeaderName::ContentLength) else {
            return;
        };
        let mut fields = Fields::new(raw, message.headers_at());
        fields.by_ref().for_each(drop);
        let (Some(body), Some(length)) = (fields.body(), message.content_length()) else {
            return;
        };
        let present = raw.len() - body;
        if message.has(Facts::CUT) {
            self.add(value, "Content-Length", "no more than the bytes of the body", "RFC 3261 18.3", Error);
        } else if length < present as u64 {
            let behind = raw.get(body + length as usize..).unwrap_or_default();
            if !is_message(behind) {
                let expected = "nothing behind the bytes that Content-Length announces";
                self.add(behind, "body", expected, "RFC 3261 18.3", Warning);
            }
        }
    }
}

/// Whether a message begins here, or line ends are all there is: the receiver throws both away, and by
/// design (RFC 3261 7.5, 18.3; RFC 4475 3.1.1.8).
fn is_message(behind: &[u8]) -> bool {
    let rest = trim(behind);
    let line = memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
    rest.is_empty() || StartLine::parse(trim(line)).is_some()
}

/// What a URI may not have as Request-URI.
fn target(uri: &[u8]) -> Option<Wrong<'_>> {
    const KNOWN: [&[u8]; 6] = [b"sip", b"sips", b"tel", b"urn", b"im", b"pres"];
    let parts = Uri::parse(uri)?;
    if !KNOWN.iter().any(|known| parts.scheme.eq_ignore_ascii_case(known)) {
        let told = ("sip, sips, tel or urn", "RFC 3261 8.2.2.1", Warning);
        return Some(Wrong { part: parts.scheme, told: Some(told) });
    }
    let headers = parts.headers;
    let told = Some(("no headers in a Request-URI", "RFC 3261 19.1.1", Error));
    (syntax::is_sip(parts.scheme) && !headers.is_empty()).then_some(Wrong { part: headers, told })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const GOOD: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP client.atlanta.example.com:5060;branch=z9hG4bK74bf9\r\n\
        Max-Forwards: 70\r\n\
        From: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
        To: Bob <sip:bob@biloxi.example.com>\r\n\
        Call-ID: 2xTb9vxSit55XU7p8@atlanta.example.com\r\n\
        CSeq: 1 INVITE\r\n\
        Contact: <sip:alice@client.atlanta.example.com>\r\n\
        Content-Type: text/plain\r\n\
        Content-Length: 4\r\n\r\nbody";

    fn faults(text: &str) -> Vec<(String, &'static str, &'static str)> {
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes()));
        let spot = |fault: &Fault| text[fault.offset as usize..][..fault.len as usize].to_owned();
        message.faults().iter().map(|fault| (spot(fault), fault.header, fault.basis)).collect()
    }

    #[test]
    fn a_good_message_has_no_fault() {
        assert_eq!(faults(GOOD), []);
    }

    #[test]
    fn each_fault_is_found_at_its_place() {
        for (good, bad, spot, header, basis) in [
            ("SIP/2.0\r\nV", "SIP/7.0\r\nV", "SIP/7.0", "start line", "RFC 3261 7.1"),
            ("INVITE sip:bob@biloxi.example.com ", "INVITE <sip:bob@x> ", "<sip:bob@x>", "start line", "RFC 3261 7.1"),
            (
                "INVITE sip:bob@biloxi.example.com ",
                "INVITE sip:bob@x; lr ",
                "sip:bob@x; lr",
                "start line",
                "RFC 3261 7.1",
            ),
            ("INVITE sip", "INVITE  sip", "INVITE  sip:bob@biloxi.example.com SIP/2.0", "start line", "RFC 3261 7.1"),
            ("CSeq: 1 INVITE", "CSeq: 1 BYE", "BYE", "CSeq", "RFC 3261 8.1.1.5"),
            ("CSeq: 1 ", "CSeq: 2147483648 ", "2147483648", "CSeq", "RFC 3261 8.1.1.5"),
            ("CSeq: 1 ", "CSeq: x ", "x INVITE", "CSeq", "RFC 3261 8.1.1.5"),
            ("CSeq: 1 INVITE\r\n", "", "", "CSeq", "RFC 3261 8.1.1"),
            ("Max-Forwards: 70\r\n", "", "", "Max-Forwards", "RFC 3261 8.1.1"),
            ("Max-Forwards: 70", "Max-Forwards: 300", "300", "Max-Forwards", "RFC 3261 8.1.1.6"),
            (
                "SIP/2.0/UDP",
                "SIP/2.0/",
                "SIP/2.0/ client.atlanta.example.com:5060;branch=z9hG4bK74bf9",
                "Via",
                "RFC 3261 20.42",
            ),
            (";tag=9fxced76sl", "", "sip:alice@atlanta.example.com", "From", "RFC 3261 8.1.1.3"),
            ("To: Bob <", "To: \"Bob <", "\"Bob <sip:bob@biloxi.example.com>", "To", "RFC 3261 25.1"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nt: sip:x", "To", "To", "RFC 3261 7.3.1"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nno colon", "no colon", "header", "RFC 3261 7.3.1"),
            ("2xTb9v", "2x=9v", "=", "Call-ID", "RFC 3261 25.1"),
            ("z9hG4bK74bf9", "z9hG4bK7=9", "=", "Via", "RFC 3261 25.1"),
            ("To: Bob <", "To: B, o <", "B, o", "To", "RFC 3261 25.1"),
            ("To: Bob <", "To: Bob < ", "< sip:bob@biloxi.example.com>", "To", "RFC 3261 25.1"),
            ("To: Bob <sip:bob", "To: Bob <sip:b%4", "%", "To", "RFC 3261 25.1"),
            ("To: Bob <sip:bob", "To: Bob <sip:b#b", "#", "To", "RFC 3261 25.1"),
            ("To: Bob <", "To: B\0b <", "\0", "To", "RFC 3261 25.1"),
            ("To: Bob <sip:bob@biloxi.example.com>", "To: <sip:[::1>", "sip:[::1", "To", "RFC 3261 19.1.1"),
            ("To: Bob <sip:bob@biloxi.example.com>", "To: <sip:[1:2]>", "[1:2]", "To", "RFC 5954 4.1"),
            (";tag=9fx", ";tag=9<x", "<", "From", "RFC 3261 25.1"),
            (";tag=9fxced76sl", ";;tag=9", ";;", "From", "RFC 3261 20.20"),
            ("5060;branch", "5060;ttl=256;branch", "256", "Via", "RFC 3261 20.42"),
            ("5060;branch", "5060;received=x;branch", "x", "Via", "RFC 3261 18.2.1"),
            ("Via: SIP/2.0/UDP", "Via: SIP/3.0/UDP", "SIP/3.0", "Via", "RFC 3261 20.42"),
            ("Max-Forwards", "Expires: 4294967296\r\nMax-Forwards", "4294967296", "Expires", "RFC 3261 20.19"),
            ("Max-Forwards", "Retry-After: x (y);z\r\nMax-Forwards", "x", "Retry-After", "RFC 3261 20.33"),
            ("Max-Forwards", "Warning: 399 a b\r\nMax-Forwards", "399 a b", "Warning", "RFC 3261 20.43"),
            ("Max-Forwards", "Date: today\r\nMax-Forwards", "today", "Date", "RFC 3261 20.17"),
            ("Max-Forwards", "Replaces: a;to-tag=b\r\nMax-Forwards", "a;to-tag=b", "Replaces", "RFC 3891 6.1"),
            ("Max-Forwards", "RSeq: 0\r\nMax-Forwards", "0", "RSeq", "RFC 3262 7.1"),
            ("Max-Forwards", "RAck: 1 INVITE\r\nMax-Forwards", "1 INVITE", "RAck", "RFC 3262 7.2"),
            ("Max-Forwards", "Session-Expires: 1h\r\nMax-Forwards", "1h", "Session-Expires", "RFC 4028 4"),
            ("alice@client.atlanta.example.com>", "a@c>;q=2", "2", "Contact", "RFC 3261 20.10"),
            ("Contact: <sip:alice@client.atlanta.example.com>\r\n", "", "", "Contact", "RFC 3261 8.1.1.8"),
            ("Content-Type: text/plain\r\n", "", "", "Content-Type", "RFC 3261 20.15"),
            ("Max-Forwards", "Route: sip:x;lr\r\nMax-Forwards", "sip:x;lr", "Route", "RFC 3261 20.34"),
            ("Length: 4", "Length: 5", "5", "Content-Length", "RFC 3261 18.3"),
            ("Length: 4", "Length: -4", "-4", "Content-Length", "RFC 3261 20.14"),
            ("Length: 4", "Length: 3", "y", "body", "RFC 3261 18.3"),
            ("\r\n\r\nbody", "", "", "header", "RFC 3261 7"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_ne!(text, GOOD, "{good}");
            let expected: &[(String, &str, &str)] = &[(spot.to_owned(), header, basis)];
            assert_eq!(faults(&text), expected, "{bad}");
        }
    }

    #[test]
    fn a_method_in_small_letters_is_pointed_at() {
        let text = GOOD.replace("INVITE", "invite");
        assert_eq!(faults(&text), [("invite".to_owned(), "start line", "RFC 3261 7.1")]);
    }

    #[test]
    fn what_harmless_senders_write_is_no_fault() {
        for (good, also) in [
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nDate: Sat, 05 Nov 2010 23:29:00 GMT"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nSupported:\r\nSubject: \"; ,, ;;\r\nX-Any: \"; ,;"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nWarning: 399 isi.edu \"a \\\"b, c\", 301 x:5060 \"d\""),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nRetry-After: 5 (in a; meeting);duration=3600"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nReason: SIP ;cause=200 ;text=\"x;;y\", Q.850;cause=16"),
            ("5060;branch", "5060;rport;received=[2001:db8::1];branch"),
            ("biloxi.example.com SIP", "biloxi_2.example.com:5060;transport=udp SIP"),
            ("INVITE sip:bob@biloxi.example.com", "INVITE tel:+1-201-555-0123;phone-context=x"),
            ("To: Bob <", "To: \"B, o; <b> \\\" @\" <"),
            ("To: Bob <sip:bob@biloxi.example.com>", "To: sip:bob@biloxi.example.com"),
            ("body", "body\r\n\r\n"),
            ("body", "bodyOPTIONS sip:x SIP/2.0\r\n\r\n"),
        ] {
            let text = GOOD.replacen(good, also, 1);
            assert_ne!(text, GOOD, "{good}");
            assert_eq!(faults(&text), [], "{also}");
        }
    }

    #[test]
    fn their_number_is_bounded() {
        let message =
            Message::parse(Bytes::from(format!("{}{}", "INVITE sip:x SIP/2.0\r\n", "junk\r\n".repeat(100_000))));
        assert_eq!(message.faults().len(), TOLD);
    }
}
