//! What is wrong with a message, where, and by which section.

use super::grammar::{Commas, decimal, token};
use super::header::{Field, Fields};
use super::message::{Span, cseq};
use super::start::StartLine;
use super::{Address, Challenge, Credentials, Facts, HeaderName, Message, Method, Uri, Via};
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
    finder.body();
    finder.found.sort_by_key(|fault| fault.offset);
    finder.found
}

/// How often a header may stand in a message (RFC 3261 7.3.1 and the syntax of each in 20).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    /// Exactly once.
    One,
    /// Once in a request, at most once in a response.
    OneInRequests,
    /// At least once.
    Some,
    /// At most once.
    Optional,
    /// As often as you like.
    Any,
}

/// What every value of a header must look like.
struct Syntax {
    name: HeaderName,
    count: Count,
    /// Whether commas separate values.
    list: bool,
    valid: fn(&[u8]) -> bool,
    expected: &'static str,
    basis: &'static str,
    severity: FaultSeverity,
}

#[rustfmt::skip]
const SYNTAX: [Syntax; 22] = [
    Syntax { name: HeaderName::Via, count: Count::Some, list: true, valid: is_via, expected: "SIP/2.0/transport SP host[:port] *(;param)", basis: "RFC 3261 20.42", severity: Error },
    Syntax { name: HeaderName::From, count: Count::One, list: false, valid: is_address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3261 20.20", severity: Error },
    Syntax { name: HeaderName::To, count: Count::One, list: false, valid: is_address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3261 20.39", severity: Error },
    Syntax { name: HeaderName::CallId, count: Count::One, list: false, valid: is_call_id, expected: "word[@word]", basis: "RFC 3261 20.8", severity: Error },
    Syntax { name: HeaderName::CSeq, count: Count::One, list: false, valid: is_cseq, expected: "number below 2^31 SP method", basis: "RFC 3261 8.1.1.5", severity: Error },
    Syntax { name: HeaderName::MaxForwards, count: Count::OneInRequests, list: false, valid: is_hop_count, expected: "number from 0 to 255", basis: "RFC 3261 8.1.1.6", severity: Warning },
    Syntax { name: HeaderName::ContentLength, count: Count::Optional, list: false, valid: is_number, expected: "number of bytes of the body", basis: "RFC 3261 20.14", severity: Error },
    Syntax { name: HeaderName::ContentType, count: Count::Optional, list: false, valid: is_media_type, expected: "type/subtype *(;param)", basis: "RFC 3261 20.15", severity: Warning },
    Syntax { name: HeaderName::Contact, count: Count::Any, list: true, valid: is_contact, expected: "[display-name] <URI> *(;param), or *", basis: "RFC 3261 20.10", severity: Error },
    Syntax { name: HeaderName::RecordRoute, count: Count::Any, list: true, valid: is_route, expected: "<URI> *(;param)", basis: "RFC 3261 20.30", severity: Error },
    Syntax { name: HeaderName::Route, count: Count::Any, list: true, valid: is_route, expected: "<URI> *(;param)", basis: "RFC 3261 20.34", severity: Error },
    Syntax { name: HeaderName::Expires, count: Count::Optional, list: false, valid: is_seconds, expected: "seconds below 2^32", basis: "RFC 3261 20.19", severity: Warning },
    Syntax { name: HeaderName::MinExpires, count: Count::Optional, list: false, valid: is_seconds, expected: "seconds below 2^32", basis: "RFC 3261 20.23", severity: Warning },
    Syntax { name: HeaderName::WwwAuthenticate, count: Count::Any, list: false, valid: is_challenge, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.44", severity: Error },
    Syntax { name: HeaderName::ProxyAuthenticate, count: Count::Any, list: false, valid: is_challenge, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.27", severity: Error },
    Syntax { name: HeaderName::Authorization, count: Count::Any, list: false, valid: is_credentials, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.7", severity: Error },
    Syntax { name: HeaderName::ProxyAuthorization, count: Count::Any, list: false, valid: is_credentials, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.28", severity: Error },
    Syntax { name: HeaderName::RSeq, count: Count::Optional, list: false, valid: is_seconds, expected: "number from 1 to 2^32-1", basis: "RFC 3262 7.1", severity: Error },
    Syntax { name: HeaderName::RAck, count: Count::Optional, list: false, valid: is_rack, expected: "RSeq SP CSeq number SP method", basis: "RFC 3262 7.2", severity: Error },
    Syntax { name: HeaderName::Require, count: Count::Any, list: true, valid: is_token_only, expected: "option tag", basis: "RFC 3261 20.32", severity: Warning },
    Syntax { name: HeaderName::ReferTo, count: Count::Optional, list: false, valid: is_address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3515 2.1", severity: Error },
    Syntax { name: HeaderName::PAssertedIdentity, count: Count::Any, list: true, valid: is_address, expected: "[display-name] <URI>", basis: "RFC 3325 9.1", severity: Warning },
];

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
        if !is_uri(uri) {
            self.add(uri, "start line", "URI without angle brackets or white space", "RFC 3261 7.1", Error);
        } else if line.len() != method.len() + uri.len() + "SIP/2.0".len() + 2 {
            self.add(line, "start line", "one space between the parts, none behind", "RFC 3261 7.1", Warning);
        }
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
            if !is_token_only(field.name) || !field.has_colon {
                let line = self.raw.get(field.at..field.at + field.name.len().max(1)).unwrap_or_default();
                self.add(line, "header", "name: value", "RFC 3261 7.3.1", Error);
                continue;
            }
            let name = HeaderName::from_bytes(field.name);
            if let Some(at) = SYNTAX.iter().position(|syntax| syntax.name == name) {
                counts[at] += 1;
                self.field(&SYNTAX[at], &field, counts[at]);
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
        let header = syntax.name.name();
        if seen > 1 && !matches!(syntax.count, Count::Some | Count::Any) {
            self.add(field.name, header, "this header only once", "RFC 3261 7.3.1", Error);
        }
        let values = if syntax.list { Some(Commas::new(field.value)) } else { None };
        match values {
            Some(values) => {
                for value in values.filter(|value| !(syntax.valid)(value)) {
                    self.add(value, header, expected, basis, severity);
                }
            }
            None if !(syntax.valid)(field.value) => {
                let part = if field.value.is_empty() { field.name } else { field.value };
                self.add(part, header, expected, basis, severity);
            }
            None => {}
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
    }

    fn cseq_method(&mut self) {
        let Some((value, (_, method))) =
            self.message.header(HeaderName::CSeq).and_then(|value| Some((value, cseq(value)?)))
        else {
            return;
        };
        let differs = self.message.is_request() && self.message.method_name().as_bytes() != method;
        if differs && !self.message.method_name().is_empty() {
            self.add(value, "CSeq", "the method of the request line", "RFC 3261 8.1.1.5", Error);
        }
    }

    fn tags(&mut self) {
        let message = self.message;
        if !message.from_uri().is_empty() && message.from_tag().is_empty() {
            self.add(message.from_uri(), "From", "a tag", "RFC 3261 8.1.1.3", Warning);
        }
        let final_or_early = message.status().is_some_and(|status| status > 100);
        if final_or_early && !message.to_uri().is_empty() && message.to_tag().is_empty() {
            self.add(message.to_uri(), "To", "a tag", "RFC 3261 8.2.6.2", Warning);
        }
        if !message.sent_by().is_empty() && message.branch().is_empty() {
            self.add(message.sent_by(), "Via", "a branch", "RFC 3261 8.1.1.7", Warning);
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
            self.add(
                behind,
                "body",
                "nothing behind the bytes that Content-Length announces",
                "RFC 3261 18.3",
                Warning,
            );
        }
    }
}

fn is_via(value: &[u8]) -> bool {
    Via::parse(value).is_some()
}

fn is_uri(uri: &[u8]) -> bool {
    Uri::parse(uri).is_some() && !uri.iter().any(u8::is_ascii_whitespace)
}

fn is_address(value: &[u8]) -> bool {
    Address::parse(value).is_some_and(|address| is_uri(address.uri))
}

fn is_contact(value: &[u8]) -> bool {
    value == b"*" || is_address(value)
}

/// Routes are always in angle brackets (RFC 3261 25.1).
fn is_route(value: &[u8]) -> bool {
    is_address(value) && value.contains(&b'<')
}

fn is_call_id(value: &[u8]) -> bool {
    !value.is_empty() && !value.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

fn is_cseq(value: &[u8]) -> bool {
    cseq(value).is_some_and(|(number, _)| number < 1 << 31)
}

fn is_number(value: &[u8]) -> bool {
    decimal(value).is_some()
}

fn is_hop_count(value: &[u8]) -> bool {
    decimal(value).is_some_and(|hops| hops <= 255)
}

fn is_seconds(value: &[u8]) -> bool {
    decimal(value).is_some_and(|seconds| u32::try_from(seconds).is_ok())
}

fn is_media_type(value: &[u8]) -> bool {
    let kind = memchr(b';', value).map_or(value, |end| &value[..end]);
    let mut parts = kind.split(|byte| *byte == b'/');
    let mut part = || parts.next().is_some_and(|part| token(part.trim_ascii()).is_ok_and(|(rest, _)| rest.is_empty()));
    part() && part() && parts.next().is_none()
}

fn is_challenge(value: &[u8]) -> bool {
    Challenge::parse(value, false).is_some()
}

fn is_credentials(value: &[u8]) -> bool {
    Credentials::parse(value, false).is_some()
}

fn is_rack(value: &[u8]) -> bool {
    let rest = memchr(b' ', value).map(|space| (&value[..space], &value[space..]));
    rest.is_some_and(|(rseq, rest)| is_seconds(rseq) && cseq(rest.trim_ascii()).is_some())
}

fn is_token_only(value: &[u8]) -> bool {
    token(value).is_ok_and(|(rest, _)| rest.is_empty())
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
            ("CSeq: 1 INVITE", "CSeq: 1 BYE", "1 BYE", "CSeq", "RFC 3261 8.1.1.5"),
            ("CSeq: 1 ", "CSeq: 2147483648 ", "2147483648 INVITE", "CSeq", "RFC 3261 8.1.1.5"),
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
            ("To: Bob <", "To: \"Bob <", "\"Bob <sip:bob@biloxi.example.com>", "To", "RFC 3261 20.39"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nt: sip:x", "To", "To", "RFC 3261 7.3.1"),
            ("Max-Forwards: 70", "Max-Forwards: 70\r\nno colon", "no colon", "header", "RFC 3261 7.3.1"),
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
    fn their_number_is_bounded() {
        let message =
            Message::parse(Bytes::from(format!("{}{}", "INVITE sip:x SIP/2.0\r\n", "junk\r\n".repeat(100_000))));
        assert_eq!(message.faults().len(), TOLD);
    }
}
