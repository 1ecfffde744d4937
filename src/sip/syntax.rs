//! What the values of each header must look like: the table, and a check for each kind of value.

use super::FaultSeverity::{self, Error, Warning};
use super::grammar::{Params, decimal, is_lws, is_token, quoted_len, split_top, token, trim};
use super::{Address, Challenge, Credentials, HeaderName, Uri, Via};
use memchr::{memchr, memchr2};
use std::net::{IpAddr, Ipv6Addr};

/// How often a header may stand in a message (RFC 3261 7.3.1 and the syntax of each in 20).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
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

/// What quotes and separators mean in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing: it is free text.
    Free,
    /// Quotes enclose text.
    Quoted,
    /// Quotes enclose text, and semicolons separate parameters.
    Params,
}

/// What every value of a header must look like.
pub(super) struct Syntax {
    pub(super) name: HeaderName,
    pub(super) count: Count,
    /// Whether commas separate values.
    pub(super) list: bool,
    /// What quotes and separators mean in it.
    pub(super) form: Form,
    /// Finds the first thing wrong with a value.
    pub(super) check: for<'a> fn(&'a [u8]) -> Option<Wrong<'a>>,
    pub(super) expected: &'static str,
    pub(super) basis: &'static str,
    pub(super) severity: FaultSeverity,
}

/// The part of a value that is wrong, and what is said of it when the words of the table do not fit.
pub(super) struct Wrong<'a> {
    pub(super) part: &'a [u8],
    pub(super) told: Option<(&'static str, &'static str, FaultSeverity)>,
}

impl<'a> Wrong<'a> {
    /// The words of the table fit.
    fn here(part: &'a [u8]) -> Self {
        Self { part, told: None }
    }

    fn told(part: &'a [u8], expected: &'static str, basis: &'static str, severity: FaultSeverity) -> Self {
        Self { part, told: Some((expected, basis, severity)) }
    }
}

type Checked<'a> = Option<Wrong<'a>>;

#[rustfmt::skip]
pub(super) const SYNTAX: [Syntax; 42] = [
    Syntax { name: HeaderName::Via, count: Count::Some, list: true, form: Form::Params, check: via, expected: "SIP/2.0/transport SP host[:port] *(;param)", basis: "RFC 3261 20.42", severity: Error },
    Syntax { name: HeaderName::From, count: Count::One, list: false, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3261 20.20", severity: Error },
    Syntax { name: HeaderName::To, count: Count::One, list: false, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3261 20.39", severity: Error },
    Syntax { name: HeaderName::CallId, count: Count::One, list: false, form: Form::Free, check: call_id, expected: "word[@word]", basis: "RFC 3261 20.8", severity: Error },
    Syntax { name: HeaderName::CSeq, count: Count::One, list: false, form: Form::Params, check: cseq, expected: "number below 2^31 SP method", basis: "RFC 3261 8.1.1.5", severity: Error },
    Syntax { name: HeaderName::MaxForwards, count: Count::OneInRequests, list: false, form: Form::Params, check: hop_count, expected: "number from 0 to 255", basis: "RFC 3261 8.1.1.6", severity: Warning },
    Syntax { name: HeaderName::ContentLength, count: Count::Optional, list: false, form: Form::Params, check: length, expected: "number of bytes of the body", basis: "RFC 3261 20.14", severity: Error },
    Syntax { name: HeaderName::ContentType, count: Count::Optional, list: false, form: Form::Params, check: media_type, expected: "type/subtype *(;param)", basis: "RFC 3261 20.15", severity: Warning },
    Syntax { name: HeaderName::Contact, count: Count::Any, list: true, form: Form::Params, check: contact, expected: "[display-name] <URI> *(;param), or *", basis: "RFC 3261 20.10", severity: Error },
    Syntax { name: HeaderName::RecordRoute, count: Count::Any, list: true, form: Form::Params, check: route, expected: "<URI> *(;param)", basis: "RFC 3261 20.30", severity: Error },
    Syntax { name: HeaderName::Route, count: Count::Any, list: true, form: Form::Params, check: route, expected: "<URI> *(;param)", basis: "RFC 3261 20.34", severity: Error },
    Syntax { name: HeaderName::Expires, count: Count::Optional, list: false, form: Form::Params, check: seconds, expected: "seconds below 2^32", basis: "RFC 3261 20.19", severity: Warning },
    Syntax { name: HeaderName::MinExpires, count: Count::Optional, list: false, form: Form::Params, check: seconds, expected: "seconds below 2^32", basis: "RFC 3261 20.23", severity: Warning },
    Syntax { name: HeaderName::Date, count: Count::Optional, list: false, form: Form::Params, check: date, expected: "a date like Sat, 13 Nov 2010 23:29:00 GMT", basis: "RFC 3261 20.17", severity: Warning },
    Syntax { name: HeaderName::RetryAfter, count: Count::Optional, list: false, form: Form::Params, check: retry_after, expected: "seconds below 2^32 [(comment)] *(;param)", basis: "RFC 3261 20.33", severity: Warning },
    Syntax { name: HeaderName::Warning, count: Count::Any, list: true, form: Form::Params, check: warning, expected: "3 digits SP agent SP \"text\"", basis: "RFC 3261 20.43", severity: Warning },
    Syntax { name: HeaderName::WwwAuthenticate, count: Count::Any, list: false, form: Form::Quoted, check: challenge, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.44", severity: Error },
    Syntax { name: HeaderName::ProxyAuthenticate, count: Count::Any, list: false, form: Form::Quoted, check: challenge, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.27", severity: Error },
    Syntax { name: HeaderName::Authorization, count: Count::Any, list: false, form: Form::Quoted, check: credentials, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.7", severity: Error },
    Syntax { name: HeaderName::ProxyAuthorization, count: Count::Any, list: false, form: Form::Quoted, check: credentials, expected: "scheme SP param *(, param)", basis: "RFC 3261 20.28", severity: Error },
    Syntax { name: HeaderName::RSeq, count: Count::Optional, list: false, form: Form::Params, check: rseq, expected: "number from 1 to 2^32-1", basis: "RFC 3262 7.1", severity: Error },
    Syntax { name: HeaderName::RAck, count: Count::Optional, list: false, form: Form::Params, check: rack, expected: "RSeq SP CSeq number SP method", basis: "RFC 3262 7.2", severity: Error },
    Syntax { name: HeaderName::Require, count: Count::Any, list: true, form: Form::Params, check: token_only, expected: "option tag", basis: "RFC 3261 20.32", severity: Warning },
    Syntax { name: HeaderName::ProxyRequire, count: Count::Any, list: true, form: Form::Params, check: token_only, expected: "option tag", basis: "RFC 3261 20.29", severity: Warning },
    Syntax { name: HeaderName::Supported, count: Count::Any, list: true, form: Form::Params, check: token_only, expected: "option tag", basis: "RFC 3261 20.37", severity: Warning },
    Syntax { name: HeaderName::Unsupported, count: Count::Any, list: true, form: Form::Params, check: token_only, expected: "option tag", basis: "RFC 3261 20.40", severity: Warning },
    Syntax { name: HeaderName::Allow, count: Count::Any, list: true, form: Form::Params, check: token_only, expected: "method", basis: "RFC 3261 20.5", severity: Warning },
    Syntax { name: HeaderName::SessionExpires, count: Count::Optional, list: false, form: Form::Params, check: interval, expected: "seconds below 2^32 *(;param)", basis: "RFC 4028 4", severity: Warning },
    Syntax { name: HeaderName::MinSe, count: Count::Optional, list: false, form: Form::Params, check: interval, expected: "seconds below 2^32 *(;param)", basis: "RFC 4028 5", severity: Warning },
    Syntax { name: HeaderName::Event, count: Count::Optional, list: false, form: Form::Params, check: token_params, expected: "event package *(;param)", basis: "RFC 6665 8.2.1", severity: Error },
    Syntax { name: HeaderName::SubscriptionState, count: Count::Optional, list: false, form: Form::Params, check: token_params, expected: "state *(;param)", basis: "RFC 6665 8.2.3", severity: Error },
    Syntax { name: HeaderName::Reason, count: Count::Any, list: true, form: Form::Params, check: token_params, expected: "protocol *(;param)", basis: "RFC 3326 2", severity: Warning },
    Syntax { name: HeaderName::Replaces, count: Count::Optional, list: false, form: Form::Params, check: replaces, expected: "Call-ID;to-tag=...;from-tag=...", basis: "RFC 3891 6.1", severity: Error },
    Syntax { name: HeaderName::ReferTo, count: Count::Optional, list: false, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3515 2.1", severity: Error },
    Syntax { name: HeaderName::ReferredBy, count: Count::Optional, list: false, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 3892 3", severity: Warning },
    Syntax { name: HeaderName::PAssertedIdentity, count: Count::Any, list: true, form: Form::Params, check: address, expected: "[display-name] <URI>", basis: "RFC 3325 9.1", severity: Warning },
    Syntax { name: HeaderName::Diversion, count: Count::Any, list: true, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 5806 4", severity: Warning },
    Syntax { name: HeaderName::HistoryInfo, count: Count::Any, list: true, form: Form::Params, check: address, expected: "[display-name] <URI> *(;param)", basis: "RFC 7044 5", severity: Warning },
    Syntax { name: HeaderName::Subject, count: Count::Optional, list: false, form: Form::Free, check: anything, expected: "text", basis: "RFC 3261 20.36", severity: Warning },
    Syntax { name: HeaderName::UserAgent, count: Count::Optional, list: false, form: Form::Free, check: anything, expected: "product or comment", basis: "RFC 3261 20.41", severity: Warning },
    Syntax { name: HeaderName::Server, count: Count::Optional, list: false, form: Form::Free, check: anything, expected: "product or comment", basis: "RFC 3261 20.35", severity: Warning },
    Syntax { name: HeaderName::SessionId, count: Count::Optional, list: false, form: Form::Free, check: anything, expected: "UUID;remote=UUID", basis: "RFC 7989 5", severity: Warning },
];

/// What is wrong with a value whatever the header: control characters and bytes that are no UTF-8.
pub(super) fn text(value: &[u8]) -> Checked<'_> {
    let control = |byte: u8| (byte.is_ascii_control() && !is_lws(byte)) || byte == 0x7f;
    let escaped = |at: usize| at > 0 && value[at - 1] == b'\\';
    if let Some(at) = (0..value.len()).find(|at| control(value[*at]) && !escaped(*at)) {
        return Some(Wrong::told(&value[at..=at], "no control character", "RFC 3261 25.1", Error));
    }
    let bad = std::str::from_utf8(value).err()?;
    let at = bad.valid_up_to();
    let end = bad.error_len().map_or(value.len(), |len| at + len);
    Some(Wrong::told(value.get(at..end)?, "UTF-8", "RFC 3261 25.1", Warning))
}

/// Separators with nothing before, between or behind them; quotes and brackets hide what is in them.
pub(super) fn separators(value: &[u8], list: bool) -> Option<&[u8]> {
    let separates = |byte: &u8| *byte == b';' || (list && *byte == b',');
    let mut at = 0;
    let mut bare = true;
    while at < value.len() {
        let run = value[at..].iter().take_while(|byte| is_lws(**byte) || separates(byte)).count();
        let part = trim(&value[at..at + run]);
        let crowd = part.iter().filter(|byte| separates(byte)).count();
        if crowd > 1 || (crowd == 1 && (bare || at + run == value.len())) {
            return Some(part);
        }
        bare &= run > 0;
        at += match value[at] {
            _ if run > 0 => run,
            b'"' => quoted_len(&value[at..])?,
            b'<' => memchr(b'>', &value[at..])? + 1,
            _ => 1,
        };
    }
    None
}

/// A quote that is never closed.
pub(super) fn open_quote(value: &[u8]) -> Checked<'_> {
    let mut at = 0;
    loop {
        at += memchr(b'"', value.get(at..)?)?;
        match quoted_len(&value[at..]) {
            Some(len) => at += len,
            None => return Some(Wrong::told(&value[at..], "a closing quote", "RFC 3261 25.1", Error)),
        }
    }
}

fn anything(_: &[u8]) -> Checked<'_> {
    None
}

/// `value`, unless `right`.
fn unless(right: bool, value: &[u8]) -> Checked<'_> {
    if right { None } else { Some(Wrong::here(value)) }
}

fn via(value: &[u8]) -> Checked<'_> {
    let protocol = protocol(value);
    let squeezed = protocol.iter().filter(|byte| !is_lws(**byte)).map(u8::to_ascii_uppercase);
    let Some(via) = Via::parse(value) else { return Some(Wrong::here(value)) };
    if !squeezed.eq(*b"SIP/2.0") {
        return Some(Wrong::here(protocol));
    }
    let bracketed = via.sent_by.first() == Some(&b'[');
    host(via.host, via.sent_by, bracketed).or_else(|| {
        if via.branch == b"z9hG4bK" {
            return Some(Wrong::told(via.branch, "something behind z9hG4bK", "RFC 3261 8.1.1.7", Warning));
        }
        let ttl = via.ttl.filter(|ttl| decimal(ttl).is_none_or(|ttl| ttl > 255));
        let ttl = ttl.map(|ttl| Wrong::told(ttl, "number from 0 to 255", "RFC 3261 20.42", Warning));
        let address = via.received.filter(|address| !is_address_literal(address));
        ttl.or_else(|| address.map(|part| Wrong::told(part, "an IP address", "RFC 3261 18.2.1", Warning)))
            .or_else(|| token_value(via.branch, "a branch of token characters"))
    })
}

/// `SIP/2.0` of a Via value.
fn protocol(value: &[u8]) -> &[u8] {
    let mut slashes = memchr::memchr_iter(b'/', value);
    trim(slashes.nth(1).map_or(value, |second| &value[..second]))
}

/// RFC 5118 4.5: with and without brackets.
fn is_address_literal(text: &[u8]) -> bool {
    let inner = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
    std::str::from_utf8(inner).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// A host as such, and as it is written.
fn host<'a>(host: &'a [u8], written: &'a [u8], bracketed: bool) -> Checked<'a> {
    if bracketed {
        let right = std::str::from_utf8(host).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
        let end = memchr(b']', written).map_or(written.len(), |end| end + 1);
        return if right { None } else { Some(Wrong::told(&written[..end], "an IPv6 address", "RFC 5954 4.1", Error)) };
    }
    // Underscores are no part of host names, but of many that work.
    let odd = host.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')))?;
    Some(Wrong::told(&host[odd..=odd], "letters, digits, hyphens and dots", "RFC 3261 25.1", Warning))
}

pub(super) fn uri(uri: &[u8]) -> Checked<'_> {
    const FORM: &str = "scheme:[user@]host[:port]";
    const BASIS: &str = "RFC 3261 19.1.1";
    if let Some(at) = uri.iter().position(|byte| is_lws(*byte)) {
        return Some(Wrong::told(&uri[at..=at], "a URI without white space", BASIS, Error));
    }
    let Some(parts) = Uri::parse(uri) else { return Some(Wrong::told(uri, FORM, BASIS, Error)) };
    if !is_sip(parts.scheme) {
        return None;
    }
    let rest = &uri[parts.scheme.len() + 1..];
    let behind_user = memchr(b'@', rest).map_or(rest, |at| &rest[at + 1..]);
    let bracketed = behind_user.first() == Some(&b'[');
    host(parts.host, behind_user, bracketed).or_else(|| escapes(rest)).or_else(|| {
        // A bracket may stand around an address and nowhere else.
        let user = &rest[..rest.len() - behind_user.len()];
        let odd = |byte: &u8| !byte.is_ascii() || b"#{}|\\^[]\"<>`".contains(byte);
        let at = user.iter().position(odd)?;
        Some(Wrong::told(&user[at..=at], "this character as %HH", "RFC 3261 25.1", Warning))
    })
}

/// Whether a URI scheme is `sip` or `sips`.
pub(super) fn is_sip(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips")
}

/// A percent sign that is no escape.
fn escapes(text: &[u8]) -> Checked<'_> {
    let hex = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
    let at = memchr::memchr_iter(b'%', text).find(|at| !(hex(at + 1) && hex(at + 2)))?;
    Some(Wrong::told(&text[at..=at], "%HH", "RFC 3261 25.1", Warning))
}

fn address(value: &[u8]) -> Checked<'_> {
    let Some(address) = Address::parse(value) else { return Some(Wrong::here(value)) };
    let behind_name = &value[address.display.len().min(value.len())..];
    match memchr(b'<', behind_name).filter(|_| behind_quotes(value)) {
        Some(_) => bracketed(value, address),
        None => bare(address),
    }
    .or_else(|| uri(address.uri))
    .or_else(|| token_value(address.tag(), "a tag of token characters"))
}

/// Whether an angle bracket stands outside of quotes.
fn behind_quotes(value: &[u8]) -> bool {
    let rest = quoted_len(value).map_or(value, |len| &value[len..]);
    memchr(b'<', rest).is_some()
}

fn bracketed<'a>(value: &'a [u8], address: Address<'a>) -> Checked<'a> {
    let unquoted = value.first() != Some(&b'"');
    let name = address.display;
    let odd = |byte: &u8| byte.is_ascii() && !is_token(*byte) && !is_lws(*byte);
    if unquoted && name.iter().any(odd) {
        return Some(Wrong::told(name, "words, or a name in quotes", "RFC 3261 25.1", Warning));
    }
    let name_len = if unquoted { name.len() } else { quoted_len(value)? };
    let open = name_len + memchr(b'<', value.get(name_len..)?)?;
    let close = open + memchr(b'>', &value[open..])?;
    let inside = &value[open + 1..close];
    if trim(inside).len() < inside.len() {
        let part = &value[open..=close];
        return Some(Wrong::told(part, "no white space within the brackets", "RFC 3261 25.1", Warning));
    }
    None
}

/// RFC 3261 20.10: a URI with comma, question mark or semicolon stands in angle brackets.
fn bare(address: Address<'_>) -> Checked<'_> {
    memchr2(b'?', b',', address.uri)?;
    Some(Wrong::told(address.uri, "angle brackets around a URI with ? or ,", "RFC 3261 20.10", Error))
}

fn contact(value: &[u8]) -> Checked<'_> {
    if value == b"*" {
        return None;
    }
    address(value).or_else(|| {
        let address = Address::parse(value)?;
        let wrong = |name: &str, right: bool| address.param(name).filter(|_| !right);
        let expires = wrong("expires", address.expires().is_some());
        let q = wrong("q", address.q().is_some());
        expires
            .map(|part| Wrong::told(part, "seconds below 2^32", "RFC 3261 20.10", Warning))
            .or_else(|| q.map(|part| Wrong::told(part, "number from 0 to 1", "RFC 3261 20.10", Warning)))
    })
}

/// Routes are always in angle brackets (RFC 3261 25.1).
fn route(value: &[u8]) -> Checked<'_> {
    if memchr(b'<', value).is_some() { address(value) } else { Some(Wrong::here(value)) }
}

/// `word [ "@" word ]` (RFC 3261 25.1).
fn call_id(value: &[u8]) -> Checked<'_> {
    let right = !value.is_empty() && !value.iter().any(u8::is_ascii_whitespace);
    unless(right, value).or_else(|| {
        let word = |byte: u8| is_token(byte) || b"()<>:\\\"/[]?{}@".contains(&byte);
        let odd = value.iter().position(|byte| !word(*byte))?;
        Some(Wrong::told(&value[odd..=odd], "characters of a word", "RFC 3261 25.1", Warning))
    })
}

/// A parameter whose value is a token.
fn token_value<'a>(value: &'a [u8], expected: &'static str) -> Checked<'a> {
    let odd = value.iter().position(|byte| !is_token(*byte))?;
    Some(Wrong::told(&value[odd..=odd], expected, "RFC 3261 25.1", Warning))
}

fn cseq(value: &[u8]) -> Checked<'_> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, method) = value.split_at(digits);
    if !count.is_empty() && decimal(count).is_none_or(|number| number >= 1 << 31) {
        return Some(Wrong::here(count));
    }
    let name = trim(method);
    let right = !count.is_empty() && name.len() < method.len() && token_only(name).is_none();
    unless(right, value)
}

fn length(value: &[u8]) -> Checked<'_> {
    unless(decimal(value).is_some(), value)
}

fn hop_count(value: &[u8]) -> Checked<'_> {
    unless(decimal(value).is_some_and(|hops| hops <= 255), value)
}

fn is_seconds(value: &[u8]) -> bool {
    decimal(value).is_some_and(|seconds| u32::try_from(seconds).is_ok())
}

fn seconds(value: &[u8]) -> Checked<'_> {
    unless(is_seconds(value), value)
}

fn rseq(value: &[u8]) -> Checked<'_> {
    unless(is_seconds(value) && decimal(value) != Some(0), value)
}

/// What stands before the first semicolon or comment.
fn before_params(value: &[u8]) -> &[u8] {
    trim(memchr2(b';', b'(', value).map_or(value, |end| &value[..end]))
}

fn retry_after(value: &[u8]) -> Checked<'_> {
    seconds(before_params(value))
}

fn interval(value: &[u8]) -> Checked<'_> {
    seconds(trim(split_top(value, b';').0))
}

fn token_params(value: &[u8]) -> Checked<'_> {
    token_only(trim(split_top(value, b';').0))
}

fn warning(value: &[u8]) -> Checked<'_> {
    let code = value.iter().take_while(|byte| !is_lws(**byte)).count();
    let (code, rest) = value.split_at(code);
    if code.len() != 3 || decimal(code).is_none() {
        return Some(Wrong::here(code));
    }
    let rest = trim(rest);
    let agent = rest.iter().take_while(|byte| !is_lws(**byte)).count();
    let text = trim(&rest[agent..]);
    unless(agent > 0 && quoted_len(text) == Some(text.len()), value)
}

/// `Sat, 13 Nov 2010 23:29:00 GMT` (RFC 3261 25.1 `rfc1123-date`).
fn date(value: &[u8]) -> Checked<'_> {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let form = value.len() == 29
        && b"   ,   @   @    @  :  :  @GMT"
            .iter()
            .zip(value)
            .all(|(mark, byte)| *mark == b' ' || (*mark == b'@' && *byte == b' ') || mark == byte);
    let digits = |part: std::ops::Range<usize>, most: u64| {
        value.get(part).and_then(decimal).is_some_and(|number| number <= most)
    };
    let right = form
        && value[4] == b' '
        && DAYS.contains(&&value[..3])
        && digits(5..7, 31)
        && MONTHS.contains(&&value[8..11])
        && digits(12..16, 9999)
        && digits(17..19, 23)
        && digits(20..22, 59)
        && digits(23..25, 60);
    unless(right, value)
}

fn media_type(value: &[u8]) -> Checked<'_> {
    let kind = memchr(b';', value).map_or(value, |end| &value[..end]);
    let mut parts = kind.split(|byte| *byte == b'/');
    let mut part = || parts.next().is_some_and(|part| token_only(trim(part)).is_none());
    let right = part() && part() && parts.next().is_none();
    unless(right, value)
}

fn challenge(value: &[u8]) -> Checked<'_> {
    unless(Challenge::parse(value, false).is_some(), value)
}

fn credentials(value: &[u8]) -> Checked<'_> {
    unless(Credentials::parse(value, false).is_some(), value)
}

fn rack(value: &[u8]) -> Checked<'_> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, rest) = value.split_at(digits);
    let right = is_seconds(count) && cseq(trim(rest)).is_none() && rest.first().is_some_and(|byte| is_lws(*byte));
    unless(right, value)
}

fn replaces(value: &[u8]) -> Checked<'_> {
    let (call_id, params) = split_top(value, b';');
    let has = |name: &[u8]| Params::new(params.unwrap_or_default(), b';').any(|(n, _)| n.eq_ignore_ascii_case(name));
    unless(!trim(call_id).is_empty() && has(b"to-tag") && has(b"from-tag"), value)
}

pub(super) fn token_only(value: &[u8]) -> Checked<'_> {
    unless(token(value).is_ok_and(|(rest, _)| rest.is_empty()), value)
}
