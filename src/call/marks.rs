//! By what calls may know each other, message by message: a live view finds by it the calls to look at together.
//!
//! Rather too much than too little: whether legs belong together is decided by [`super::tie_legs`], and what several calls
//! say of one client by the rules.

use super::affinity::{callees, callers, diverted};
use super::identifiers::{LEG_HEADERS, stems};
use super::side::{number_key, user};
use crate::session::Seen;
use crate::sip::{Address, HeaderName, Method, Uri};
use std::net::IpAddr;

/// Marks of one message; an ordinary INVITE has some ten.
const MARKS: usize = 64;
/// Longest value that is looked at.
const VALUE: usize = 256;

/// Tells `mark` all by which the call of this message may be known to another one: something that it says, and the element
/// where that counts. `headers`: as of [`super::tie_legs`].
pub fn marks<'a>(seen: &'a Seen, headers: &[String], mut mark: impl FnMut(Option<IpAddr>, &'a [u8])) {
    let message = &seen.message;
    let (src, dst) = (seen.connection.src.ip, seen.connection.dst.ip);
    if message.is_request() && message.method() == Method::Refer {
        let target = message.header(HeaderName::ReferTo).and_then(Address::parse).map(|to| user(to.uri));
        target.filter(|target| !target.is_empty()).into_iter().for_each(|target| mark(Some(dst), number_key(target)));
    }
    if !message.is_request() || !message.to_tag().is_empty() || matches!(message.method(), Method::Ack | Method::Cancel)
    {
        return;
    }
    // What one client asks of one domain is compared over calls: the servers that it tried, its bindings, its pings.
    if let Some(uri) = Uri::parse(message.request_uri()) {
        mark(Some(src), uri.host);
    }
    if message.method() != Method::Invite {
        return;
    }
    let parties = callers(message).chain(callees(message)).chain(diverted(message)).map(number_key);
    let mut told: Vec<&[u8]> =
        parties.filter(|key| !key.is_empty()).chain(stems(message.call_id())).take(MARKS).collect();
    told.sort_unstable();
    told.dedup();
    for key in told {
        mark(Some(src), key);
        if dst != src {
            mark(Some(dst), key);
        }
    }
    mark(None, message.call_id());
    for header in message.headers().take(MARKS) {
        let value = header.value.get(..VALUE).unwrap_or(header.value);
        let first = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_name = |name: &[u8], of: &str| name.eq_ignore_ascii_case(of.as_bytes());
        match header.name {
            HeaderName::SessionId | HeaderName::Replaces | HeaderName::Join => mark(None, first),
            HeaderName::Other
                if is_name(header.raw_name, "Target-Dialog") || is_name(header.raw_name, "P-Charging-Vector") =>
            {
                mark(None, first);
            }
            HeaderName::Other
                if LEG_HEADERS.iter().any(|name| is_name(header.raw_name, name))
                    || headers.iter().any(|name| is_name(header.raw_name, name)) =>
            {
                mark(None, value);
            }
            _ => {}
        }
    }
}
