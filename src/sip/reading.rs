//! Reads a message: one pass over its header section notes where the parts lie.

use super::body::sdp_part;
use super::grammar::{Commas, Parsed, decimal, lws, number, token, trim};
use super::header::Fields;
use super::hot::{self, Hot, Read};
use super::start::StartLine;
use super::{Address, Facts, HeaderName, Method, Via};
use crate::base::limits;
use memchr::{memchr, memrchr};
use nom::Parser;
use nom::combinator::all_consuming;

/// A part of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Span {
    const NONE: Self = Self { at: 0, len: 0 };

    /// Where `part`, a slice of `raw`, lies.
    pub(super) fn of(raw: &[u8], part: &[u8]) -> Self {
        let at = (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize);
        if part.is_empty() || at > raw.len() { Self::NONE } else { Self { at: at as u32, len: part.len() as u32 } }
    }

    pub(super) fn in_raw(self, raw: &[u8]) -> &[u8] {
        let at = self.at as usize;
        raw.get(at..at + self.len as usize).unwrap_or_default()
    }

    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Where the first field of some headers that rules and dialogs go by begins, so that looking for them need not walk
/// there. They lie within the first 64 KiB and [`Marks::FIELDS`] fields; 0 is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks {
    contact: u16,
    /// Route or Record-Route.
    route: u16,
    /// Credentials or challenges.
    auth: u16,
}

impl Marks {
    /// Messages with more header fields have no marks: how many of them are looked at counts from the first.
    const FIELDS: usize = 256;

    /// The mark of a header, and the fact that there are several fields of that mark.
    fn slot(&mut self, name: HeaderName) -> Option<(&mut u16, Facts)> {
        match name {
            HeaderName::Contact => Some((&mut self.contact, Facts::CONTACTS)),
            HeaderName::Route | HeaderName::RecordRoute => Some((&mut self.route, Facts::ROUTES)),
            HeaderName::Authorization
            | HeaderName::ProxyAuthorization
            | HeaderName::WwwAuthenticate
            | HeaderName::ProxyAuthenticate => Some((&mut self.auth, Facts::AUTHS)),
            _ => None,
        }
    }

    /// Notes a field; gives the fact that it is not the first, if so.
    fn note(&mut self, name: HeaderName, at: usize) -> Facts {
        match self.slot(name) {
            Some((slot, _)) if *slot == 0 => *slot = u16::try_from(at).unwrap_or(0),
            Some((_, several)) => return several,
            None => {}
        }
        Facts::NONE
    }

    /// Where the walk for headers of that name may begin, and whether it ends with the field there unless `facts`, those
    /// of the message, say that there are more.
    pub(super) fn of(mut self, name: HeaderName, facts: Facts) -> Option<(usize, bool)> {
        let (at, several) = self.slot(name).filter(|(at, _)| **at > 0)?;
        Some((usize::from(*at), !facts.intersects(several | Facts::CUT)))
    }
}

/// What every message is asked for, and where in its bytes it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts {
    pub(super) facts: Facts,
    pub(super) method: Method,
    pub(super) cseq_method: Method,
    pub(super) status: u16,
    pub(super) via_count: u16,
    pub(super) cseq_number: Option<u32>,
    pub(super) content_length: Option<u64>,
    /// Method of a request, method in the CSeq of a response.
    pub(super) method_name: Span,
    /// Request-URI of a request, reason phrase of a response.
    pub(super) target: Span,
    pub(super) headers: u32,
    pub(super) marks: Marks,
    pub(super) body: Span,
    pub(super) call_id: Span,
    pub(super) branch: Span,
    pub(super) sent_by: Span,
    pub(super) from_tag: Span,
    pub(super) to_tag: Span,
    pub(super) from_uri: Span,
    pub(super) to_uri: Span,
}

impl Parts {
    const NONE: Self = Self {
        facts: Facts::NONE,
        method: Method::Other,
        cseq_method: Method::Other,
        status: 0,
        via_count: 0,
        cseq_number: None,
        content_length: None,
        method_name: Span::NONE,
        target: Span::NONE,
        headers: 0,
        marks: Marks { contact: 0, route: 0, auth: 0 },
        body: Span::NONE,
        call_id: Span::NONE,
        branch: Span::NONE,
        sent_by: Span::NONE,
        from_tag: Span::NONE,
        to_tag: Span::NONE,
        from_uri: Span::NONE,
        to_uri: Span::NONE,
    };

    /// Where they lie, in the order of [`Place`](super::kept::Place).
    #[inline]
    pub(super) fn spans(&self) -> [Span; 10] {
        let Self { method_name, target, body, call_id, branch, sent_by, from_tag, to_tag, from_uri, to_uri, .. } =
            *self;
        [method_name, target, body, call_id, branch, sent_by, from_tag, to_tag, from_uri, to_uri]
    }

    /// Reads a message of less than 4 GiB.
    #[inline]
    pub(super) fn read(raw: &[u8]) -> Self {
        Reading::new(raw).read(hot::start_line, hot::field)
    }

    /// As [`Parts::read`], by the grammar alone.
    pub(super) fn read_by_grammar(raw: &[u8]) -> Self {
        Reading::new(raw).read(|_| None, |_| None)
    }
}

/// Reads `number SP method`; the name of the method goes along.
pub(super) fn cseq(value: &[u8]) -> Option<(u32, &[u8])> {
    fn parts(input: &[u8]) -> Parsed<'_, (u64, &[u8], &[u8])> {
        all_consuming((number, lws, token)).parse(input)
    }
    let (_, (number, _, method)) = parts(value).ok()?;
    Some((u32::try_from(number).ok()?, method))
}

/// A message while it is being read.
struct Reading<'a> {
    raw: &'a [u8],
    parts: Parts,
    content_type: &'a [u8],
}

impl<'a> Reading<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw, parts: Parts::NONE, content_type: b"" }
    }

    /// Reads with these readers for what is written as usual.
    #[inline]
    fn read(
        mut self,
        start: impl Fn(&'a [u8]) -> Read<StartLine<'a>>,
        field: impl Fn(&'a [u8]) -> Read<Hot<'a>>,
    ) -> Parts {
        self.start_line(start);
        self.header_section(field);
        self.parts
    }

    #[inline]
    fn start_line(&mut self, read: impl Fn(&'a [u8]) -> Read<StartLine<'a>>) {
        let raw = self.raw;
        let begin = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(raw.len());
        if let Some((start, len)) = read(&raw[begin..]) {
            self.parts.headers = (begin + len) as u32;
            return self.start(start);
        }
        let end = memchr(b'\n', &raw[begin..]).map_or(raw.len(), |at| begin + at + 1);
        self.parts.headers = end as u32;
        let line = trim(&raw[begin..end]);
        if let Some(start) = StartLine::parse(line) {
            return self.start(start);
        }
        if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
            self.parts.facts |= Facts::RESPONSE;
        }
        self.malformed();
    }

    fn start(&mut self, start: StartLine<'a>) {
        let raw = self.raw;
        match start {
            StartLine::Request { method, uri, .. } => {
                self.parts.method = Method::from_bytes(method);
                self.parts.method_name = Span::of(raw, method);
                self.parts.target = Span::of(raw, uri);
            }
            StartLine::Response { status, reason, .. } => {
                self.parts.facts |= Facts::RESPONSE;
                self.parts.target = Span::of(raw, reason);
                match decimal(status) {
                    Some(code @ 100..=699) => self.parts.status = code as u16,
                    _ => self.malformed(),
                }
            }
        }
    }

    fn malformed(&mut self) {
        self.parts.facts |= Facts::MALFORMED;
    }

    #[inline]
    fn header_section(&mut self, read: impl Fn(&'a [u8]) -> Read<Hot<'a>>) {
        let mut fields = Fields::new(self.raw, self.parts.headers as usize);
        let mut room = limits::HEADERS_PER_MESSAGE;
        loop {
            if room > 0
                && let Some((field, len)) = read(fields.rest())
            {
                if let Hot::Other(name, _) = field {
                    self.parts.facts |= self.parts.marks.note(name, fields.at());
                }
                fields.pass(len);
                self.hot(field);
            } else if let Some(field) = fields.next() {
                if room > 0 && !fields.is_cut() {
                    let name = HeaderName::from_bytes(field.name);
                    self.parts.facts |= self.parts.marks.note(name, field.at);
                    self.note(name, field.value);
                }
            } else {
                break;
            }
            room = room.saturating_sub(1);
        }
        if limits::HEADERS_PER_MESSAGE - room > Marks::FIELDS {
            self.parts.marks = Marks::default();
        }
        match fields.body() {
            Some(body) => self.body(body),
            None => self.parts.facts |= Facts::CUT,
        }
    }

    /// A header field as nearly every sender writes it.
    fn hot(&mut self, field: Hot<'a>) {
        match field {
            Hot::Via { sent_by, branch } => {
                self.has(HeaderName::Via);
                self.via(1, Some((sent_by, branch)));
            }
            Hot::From { uri, tag } => {
                self.has(HeaderName::From);
                self.from(uri, tag);
            }
            Hot::To { uri, tag } => {
                self.has(HeaderName::To);
                self.to(uri, tag);
            }
            Hot::CallId(value) => {
                self.has(HeaderName::CallId);
                self.call_id(value);
            }
            Hot::CSeq { number, method, name } => {
                self.has(HeaderName::CSeq);
                self.cseq(number, method, name);
            }
            Hot::ContentLength(length) => {
                self.has(HeaderName::ContentLength);
                self.content_length(Some(length.into()));
            }
            Hot::Other(name, value) => {
                self.has(name);
                self.other(name, value);
            }
        }
    }

    /// Any header field.
    fn note(&mut self, name: HeaderName, value: &'a [u8]) {
        self.has(name);
        match name {
            HeaderName::Via => {
                let list = memchr(b',', value).is_some();
                let count = if list { Commas::new(value).count().max(1) } else { 1 };
                let top = || if list { Commas::new(value).next() } else { Some(value) };
                let top = if self.parts.via_count == 0 { top().and_then(Via::parse) } else { None };
                self.via(count, top.map(|via| (via.sent_by, via.branch)));
            }
            HeaderName::From if self.parts.from_uri.is_empty() => {
                let address = self.address(value);
                self.from(address.uri, address.tag());
            }
            HeaderName::To if self.parts.to_uri.is_empty() => {
                let address = self.address(value);
                self.to(address.uri, address.tag());
            }
            HeaderName::CallId => self.call_id(value),
            HeaderName::CSeq if self.parts.cseq_number.is_none() => match cseq(value) {
                Some((number, name)) => self.cseq(number, Method::from_bytes(name), name),
                None => self.malformed(),
            },
            HeaderName::ContentLength => self.content_length(decimal(value)),
            _ => self.other(name, value),
        }
    }

    fn has(&mut self, name: HeaderName) {
        self.parts.facts |= Facts::of(name);
    }

    fn address(&mut self, value: &'a [u8]) -> Address<'a> {
        let address = Address::parse(value).or_else(|| {
            self.malformed();
            // Quotes that do not pair still leave the URI and the tag, by which the dialog is known.
            Address::parse(&value[memrchr(b'<', value)?..])
        });
        address.unwrap_or_default()
    }

    /// A field with `count` Vias; `top` are sent-by and branch of its first.
    fn via(&mut self, count: usize, top: Option<(&[u8], &[u8])>) {
        let first = self.parts.via_count == 0;
        self.parts.via_count = self.parts.via_count.saturating_add(count.try_into().unwrap_or(u16::MAX));
        match top {
            Some((sent_by, branch)) if first => {
                self.parts.sent_by = Span::of(self.raw, sent_by);
                self.parts.branch = Span::of(self.raw, branch);
            }
            None if first => self.malformed(),
            _ => {}
        }
    }

    fn from(&mut self, uri: &[u8], tag: &[u8]) {
        if self.parts.from_uri.is_empty() {
            (self.parts.from_uri, self.parts.from_tag) = (Span::of(self.raw, uri), Span::of(self.raw, tag));
        }
    }

    fn to(&mut self, uri: &[u8], tag: &[u8]) {
        if self.parts.to_uri.is_empty() {
            (self.parts.to_uri, self.parts.to_tag) = (Span::of(self.raw, uri), Span::of(self.raw, tag));
        }
    }

    fn call_id(&mut self, value: &[u8]) {
        if self.parts.call_id.is_empty() {
            self.parts.call_id = Span::of(self.raw, value);
        }
    }

    fn cseq(&mut self, number: u32, method: Method, name: &[u8]) {
        if self.parts.cseq_number.is_some() {
            return;
        }
        self.parts.cseq_number = Some(number);
        self.parts.cseq_method = method;
        if self.parts.facts.contains(Facts::RESPONSE) {
            self.parts.method = method;
            self.parts.method_name = Span::of(self.raw, name);
        }
    }

    fn other(&mut self, name: HeaderName, value: &'a [u8]) {
        if name == HeaderName::ContentType && self.content_type.is_empty() {
            self.content_type = value;
        }
    }

    fn content_length(&mut self, length: Option<u64>) {
        self.parts.content_length = self.parts.content_length.or(length);
    }

    fn body(&mut self, at: usize) {
        let present = &self.raw[at..];
        let length = self.parts.content_length.unwrap_or(present.len() as u64);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > present.len() {
            self.parts.facts |= Facts::CUT;
        }
        let body = &present[..length.min(present.len())];
        self.parts.body = Span::of(self.raw, body);
        if let Some(sdp) = sdp_part(self.content_type, body) {
            self.parts.facts |= Facts::SDP;
            if sdp.len() == body.len() {
                self.parts.facts |= Facts::ALL_SDP;
            }
        }
        let parts = &self.parts;
        if parts.via_count == 0
            || parts.call_id.is_empty()
            || parts.from_uri.is_empty()
            || parts.to_uri.is_empty()
            || parts.cseq_number.is_none()
        {
            self.malformed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Written as usual, line by line, so that a change makes any one of them unusual.
    const USUAL: [&str; 4] = [
        "INVITE sip:bob@biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/UDP a.example.com:5060;rport;branch=z9hG4bK74;received=192.0.2.1\r\n\
         Max-Forwards: 70\r\nFrom: \"Alice A.\" <sip:alice@a.example.com>;tag=9fx\r\nTo: Bob <sip:bob@x>\r\n\
         Call-ID: 38482@a.example.com\r\nCSeq: 1 INVITE\r\nContact: <sip:a@a>\r\nContent-Type: application/sdp\r\n\
         Content-Length: 6\r\n\r\nv=0\r\n\r\nmore",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b;branch=z2;x=y\r\n\
         Record-Route: <sip:p;lr>\r\nRoute: <sip:q;lr>\r\nExpires: 60\r\nFrom: <sip:a@b;x=y>;x=1;tag=1\r\n\
         To: <sips:b@c>;tag=2;tag=3\r\nCall-ID: z\r\nCSeq: 999999999 OPTIONS\r\nServer: x y\r\nAllow: A, B\r\nl: 0\r\n\r\n",
        "REGISTER sip:b SIP/2.0\r\nv: SIP/2.0/UDP h\r\nVia: SIP/2.0/UDP h:65535\r\nf: sip:a@b;tag=1\r\nt: <sip:a@b>\r\ni: 1\r\n\
         CSeq: 2 REGISTER\r\nAuthorization: Digest realm=\"a\"\r\nSupported: x\r\nUser-Agent: y\r\nContent-Length: 0\r\n\r\n",
        "OPTIONS sip:b SIP/2.0\r\nvia: SIP/2.0/UDP h;branch=1\r\nX-Own: some value\r\nv: SIP/2.0/UDP i;branch=2\r\nfrom: A <sip:a@b>;tag=1\r\n\
         t: \"B\" <sip:b@c>\r\ncall-id: 1@h\r\ncseq: 7 OPTIONS\r\nDate: Thu, 21 Feb 2002 13:02:03 GMT\r\nc: text/plain\r\nl: 2\r\n\r\nxy",
    ];
    const BYTES: &[u8] = b"\0\r\n \t:;,<>\"\\=@[]-aBt0\xff";

    #[track_caller]
    fn reads_as_the_grammar(raw: &[u8]) {
        assert_eq!(Parts::read(raw), Parts::read_by_grammar(raw), "{}", String::from_utf8_lossy(raw));
    }

    #[test]
    fn what_is_usual_is_read_without_the_grammar() {
        let text = USUAL[0].as_bytes();
        let (_, mut at) = hot::start_line(text).unwrap();
        let mut fields = 0;
        while let Some((_, len)) = hot::field(&text[at..]) {
            (at, fields) = (at + len, fields + 1);
        }
        assert_eq!((fields, &text[at..]), (9, b"\r\nv=0\r\n\r\nmore".as_slice()));
    }

    #[test]
    fn every_changed_byte_is_read_as_the_grammar_reads_it() {
        for text in USUAL.map(str::as_bytes) {
            for at in 0..text.len() {
                for byte in BYTES {
                    let (before, behind) = text.split_at(at);
                    reads_as_the_grammar(&[before, &[*byte], behind].concat());
                    reads_as_the_grammar(&[before, &[*byte], &behind[1..]].concat());
                }
                reads_as_the_grammar(&text[..at]);
                reads_as_the_grammar(&[&text[..at], &text[at + 1..]].concat());
            }
        }
    }

    #[test]
    fn a_quote_that_ends_in_a_control_character_is_not_closed() {
        for end in ["\0", "\u{1}", "\u{1f}", "\t", "\r", "\n", "\\"] {
            for quoted in [format!("\"Alice A.{end}<sip"), format!("\"Alice A.{end} <sip"), format!("\"{end}<sip")] {
                reads_as_the_grammar(USUAL[0].replacen("\"Alice A.\" <sip", &quoted, 1).as_bytes());
            }
        }
    }

    #[test]
    fn long_parts_are_read_as_the_grammar_reads_them() {
        for len in [7, 8, 9, 247, 248, 249, 255, 256, 257, 300, 5000] {
            let long = "a".repeat(len);
            for (part, with) in
                [("biloxi", &long), ("a.example", &long), ("9fx", &long), ("Alice", &long), ("38482", &long)]
            {
                reads_as_the_grammar(USUAL[0].replacen(part, with, 1).as_bytes());
            }
            reads_as_the_grammar(USUAL[0].replace("CSeq: 1", &format!("CSeq: {}1", "0".repeat(len))).as_bytes());
        }
    }

    proptest! {
        #[test]
        fn changed_messages_are_read_as_the_grammar_reads_them(
            text in prop::sample::select(USUAL.to_vec()),
            changes in prop::collection::vec((0..600_usize, prop::sample::select(BYTES.to_vec()), any::<bool>()), 1..8),
        ) {
            let mut raw = text.as_bytes().to_vec();
            for (at, byte, insert) in changes {
                let at = at % raw.len();
                if insert { raw.insert(at, byte) } else { raw[at] = byte }
            }
            prop_assert_eq!(Parts::read(&raw), Parts::read_by_grammar(&raw));
        }
    }
}
