//! Naming people and hosts in findings, without saying more than a report may say.

use super::facts::plain;
use crate::analysis::CallView;
use crate::base::{Endpoint, Idx};
use crate::call::Call;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Message, Method};

/// A SIP URI as people say it: no parameters, no headers, and no password (RFC 3261 19.1.1 allows one).
pub(super) fn address(uri: &[u8]) -> String {
    let end = uri.iter().position(|b| matches!(b, b';' | b'?' | b'>')).unwrap_or(uri.len());
    let uri = &uri[..end];
    let (Some(colon), Some(at)) = (position(uri, b':'), uri.iter().rposition(|b| *b == b'@')) else {
        return plain(uri).into_owned();
    };
    match position(uri.get(colon + 1..at).unwrap_or_default(), b':') {
        None => plain(uri).into_owned(),
        Some(secret) => format!("{}{}", plain(&uri[..colon + 1 + secret]), plain(&uri[at..])),
    }
}

/// The user part of a SIP URI; empty when there is none.
pub(super) fn user(uri: &[u8]) -> &[u8] {
    let Some(at) = uri.iter().rposition(|b| *b == b'@') else {
        return &[];
    };
    let start = position(uri, b':').map_or(0, |colon| colon + 1);
    let user = uri.get(start..at).unwrap_or_default();
    let end = user.iter().position(|b| matches!(b, b':' | b';')).unwrap_or(user.len());
    &user[..end]
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|b| *b == wanted)
}

/// A host as people say it: the port only where it is not the usual one of SIP.
pub(super) fn host(endpoint: Endpoint) -> String {
    match endpoint.port {
        5060 | 5061 => endpoint.ip.to_string(),
        _ => endpoint.to_string(),
    }
}

/// What a request was for, as the thing that could not be done: "sip:bob@x could not register at 192.0.2.1".
pub(super) fn attempt(view: CallView<'_>, request: MessageNo) -> String {
    let seen = view.seen(request);
    let message = &seen.message;
    let (who, server) = (address(message.from_uri()), host(seen.connection.dst));
    let whom = address(message.to_uri());
    match message.method() {
        Method::Register => format!("{whom} could not register at {server}"),
        Method::Invite if message.to_tag().is_empty() => {
            format!("{who} could not call {whom}")
        }
        Method::Invite => format!("{who} could not change the call with {whom}"),
        Method::Subscribe => format!("{who} could not subscribe to {whom} at {server}"),
        Method::Message => format!("{who} could not send a message to {whom}"),
        Method::Publish => format!("{who} could not publish its state at {server}"),
        Method::Bye => format!("{who} could not end the call with {whom} by BYE"),
        _ => format!("The {} of {who} to {whom} had no success at {server}", method(message)),
    }
}

/// Name of a request's method, short and printable.
pub(super) fn method(message: &Message) -> String {
    plain(message.method_name().as_bytes()).into_owned()
}

/// "a", "a and b", "a, b and c".
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The frames that a finding about the whole capture points at: ascending, each once, not endless.
pub(super) fn frames_of(frames: impl Iterator<Item = u32>) -> Vec<u32> {
    const POINTED_AT: usize = 64;
    let mut frames: Vec<u32> = frames.filter(|frame| *frame > 0).take(4 * POINTED_AT).collect();
    frames.sort_unstable();
    frames.dedup();
    frames.truncate(POINTED_AT);
    frames
}

/// Transactions of a call around number `at`, itself left out. Branches of a fork, and what a client
/// does next, are close; a flood under one Call-ID must not be searched for each of its requests.
pub(super) fn near(call: &Call, at: Idx<Transaction>) -> impl Iterator<Item = &Transaction> {
    const NEAR: usize = 64;
    let around = call.transactions.iter().enumerate().skip(at.at().saturating_sub(NEAR)).take(2 * NEAR);
    around.filter(move |(other, _)| *other != at.at()).map(|(_, t)| t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_uris_are_not_told() {
        assert_eq!(address(b"sip:bob:secret@example.com;transport=udp"), "sip:bob@example.com");
        assert_eq!(address(b"sip:bob@example.com?Subject=x"), "sip:bob@example.com");
        assert_eq!(address(b"sip:example.com:5080"), "sip:example.com:5080");
        assert_eq!(address(b"tel:+1-201-555-0123"), "tel:+1-201-555-0123");
    }

    #[test]
    fn the_user_ends_before_its_password() {
        assert_eq!(user(b"sip:bob:secret@example.com"), b"bob");
        assert_eq!(user(b"sip:bob@[2001:db8::1]:5060"), b"bob");
        assert_eq!(user(b"sip:example.com"), b"");
    }
}
