//! Short names for messages, participants, calls and outcomes.

use super::style::shorten;
use super::{escape, time};
use crate::analysis::{CallView, Timings};
use crate::base::Idx;
use crate::call::{Kind, Leg, Outcome, Participant, Role, Tie};
use crate::session::MessageNo;
use crate::sip::{Facts, Message, Method};
use std::borrow::Cow;
use std::time::Duration;

/// Reason phrases are cut to this many columns; some servers write sentences.
const REASON: usize = 30;

/// A message as people name it: "INVITE SDP", "180 Ringing", "200 OK (BYE)", "REGISTER +auth".
pub(super) fn label(message: &Message) -> String {
    let mut label = name_of(message);
    if message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION) {
        label.push_str(" +auth");
    }
    if message.has(Facts::SDP) {
        label.push_str(" SDP");
    }
    label
}

/// A message without marks: "re-INVITE", "200 OK (BYE)".
pub(super) fn name_of(message: &Message) -> String {
    if message.is_request() { request_label(message) } else { response_label(message) }
}

fn request_label(message: &Message) -> String {
    let name = escape::text(&message.method_name()).into_owned();
    let again = message.method() == Method::Invite && !message.to_tag().is_empty();
    format!("{}{}", if again { "re-" } else { "" }, shorten(&name, REASON, "…"))
}

fn response_label(message: &Message) -> String {
    let status = message.status().unwrap_or(0);
    // A 100 only says "I have it"; what its server writes beside it helps nobody.
    let reason = if status == 100 { "Trying".to_owned() } else { escape::bytes(message.reason()) };
    let label = format!("{status} {}", shorten(reason.trim(), REASON, "…")).trim_end().to_owned();
    // A 200 may answer anything; a refusal is nearly always that of the request which opened the call.
    let is_plain = status < 200 || (status >= 300 && matches!(message.method(), Method::Invite | Method::Register));
    if is_plain {
        label
    } else {
        format!("{label} ({})", shorten(&escape::text(&message.method_name()), REASON, "…"))
    }
}

/// Text of a message; bytes that are no UTF-8 become U+FFFD. Faster than [`String::from_utf8_lossy`] for what is ASCII.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// From URI of the request that the call is about, as in the message.
pub fn from_uri(view: CallView<'_>) -> Cow<'_, str> {
    opening(view).map_or_else(Cow::default, |message| text(message.from_uri()))
}

/// To URI of the request that the call is about, as in the message.
pub fn to_uri(view: CallView<'_>) -> Cow<'_, str> {
    opening(view).map_or_else(Cow::default, |message| text(message.to_uri()))
}

/// The message that tells best what the call is about: its first initial request, else its first message.
pub(super) fn opening(view: CallView<'_>) -> Option<&Message> {
    let method = view.call.kind.method();
    let mut messages = view.messages().map(|(_, seen)| &seen.message);
    let fits = |message: &&Message| method.is_none_or(|method| message.cseq_method() == method);
    messages.find(fits).or_else(|| view.messages().next().map(|(_, seen)| &seen.message))
}

/// "alice@example.com" of "sip:alice@example.com;transport=udp", harmless for a terminal.
pub(super) fn short_uri(uri: &str) -> String {
    let uri = uri.trim();
    let rest = ["sips:", "sip:"]
        .iter()
        .find_map(|scheme| {
            uri.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|s| &uri[s.len()..])
        })
        .unwrap_or(uri);
    let end = rest.find([';', '?', '>']).unwrap_or(rest.len());
    match escape::text(&rest[..end]) {
        empty if empty.is_empty() => "(nobody)".to_owned(),
        told => shorten(&told, 60, "…"),
    }
}

/// The observation point that should have seen a message and did not.
pub(super) fn unseen_at(view: CallView<'_>, no: MessageNo) -> Option<&str> {
    let point = view.seen(no).unseen_at?;
    view.analysis.points.get(point as usize).map(|point| point.label.as_str())
}

/// Call-ID of a leg.
pub(super) fn leg_id<'a>(view: CallView<'a>, leg: &Leg) -> Cow<'a, str> {
    leg.messages.first().map_or(Cow::Borrowed(""), |no| String::from_utf8_lossy(view.sip(*no).call_id()))
}

/// Why legs are one call, strongest reasons first: "97 % sure: same Session-ID ..., same caller bob".
pub(super) fn tie(tie: &Tie) -> String {
    let reasons: Vec<String> = tie.clues.iter().map(|clue| escape::text(&clue.to_string()).into_owned()).collect();
    format!("{} % sure: {}", tie.confidence, reasons.join(", "))
}

/// What a participant is in this call: "caller", "proxy", "registrar", ...
pub(super) fn part(view: CallView<'_>, who: Idx<Participant>) -> &'static str {
    match (view.call.participants[who.at()].role, view.call.kind) {
        (Role::Ua, Kind::Call) if who.at() == 0 => "caller",
        (Role::Ua, Kind::Call) => "callee",
        (Role::Ua, _) => "user agent",
        (Role::Registrar, _) => "registrar",
        (Role::Proxy, _) => "proxy",
        (Role::Redirect, _) => "redirect server",
        (Role::B2bua, _) => "B2BUA",
        (Role::Alg, _) => "ALG",
        (Role::Unknown, _) => "",
    }
}

/// The address that names a participant, with the name that people gave it.
pub(super) fn address(view: CallView<'_>, who: Idx<Participant>) -> String {
    let addresses = &view.call.participants[who.at()].addresses;
    let named = addresses.iter().find(|address| view.analysis.names.label(**address).is_some());
    let told = named.or(addresses.first()).map(|address| view.analysis.names.tell(*address));
    told.map_or_else(|| "?".to_owned(), |told| escape::text(&told).into_owned())
}

/// What people call a participant.
pub(super) fn name(view: CallView<'_>, who: Idx<Participant>) -> Option<String> {
    let addresses = &view.call.participants[who.at()].addresses;
    let name = addresses.iter().find_map(|address| view.analysis.names.label(*address))?;
    Some(escape::text(name).into_owned())
}

/// The address of a participant without its name.
pub(super) fn plain_address(view: CallView<'_>, who: Idx<Participant>) -> String {
    let addresses = &view.call.participants[who.at()].addresses;
    let named = addresses.iter().find(|address| view.analysis.names.label(**address).is_some());
    named.or(addresses.first()).map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// A participant in running text: "the proxy 192.0.2.1:5060".
pub(super) fn party(view: CallView<'_>, who: Idx<Participant>) -> String {
    match part(view, who) {
        "" => address(view, who),
        part => format!("the {part} {}", address(view, who)),
    }
}

/// Who asked whom for what, as the heading of a call.
pub(super) fn story(view: CallView<'_>) -> String {
    let (from, to) = (short_uri(&from_uri(view)), short_uri(&to_uri(view)));
    match view.call.kind {
        Kind::Call => format!("{from} calls {to}"),
        Kind::Registration => match view.call.hops.first() {
            Some(hop) => format!("{to} registers at {}", address(view, hop.downstream)),
            None => format!("{to} registers"),
        },
        Kind::Subscription => format!("{from} subscribes to {to}"),
        Kind::Message => format!("{from} writes to {to}"),
        Kind::Options => format!("{from} asks {to} what it can do (OPTIONS)"),
        Kind::Publish => format!("{to} publishes its state"),
        Kind::Other => {
            let method = opening(view).map(|message| escape::text(&message.method_name()).into_owned());
            format!("{from} sends {} to {to}", shorten(&method.unwrap_or_default(), REASON, "…"))
        }
    }
}

/// An outcome in words: "refused with 401".
pub(super) fn outcome(view: CallView<'_>) -> String {
    let words = match view.call.outcome {
        Outcome::Answered => "answered and ended by BYE",
        Outcome::Active => "answered; no BYE in the capture",
        Outcome::Busy => "busy",
        Outcome::Cancelled => "cancelled by the caller",
        Outcome::NoAnswer => "not answered by a person",
        Outcome::Redirected => "redirected",
        Outcome::Challenged => "asked for credentials, none came",
        Outcome::Rejected => "rejected",
        Outcome::Unanswered => "no final response",
        Outcome::Incomplete => "the capture does not show how it ended",
        Outcome::Registered => "registered",
        Outcome::Unregistered => "unregistered",
        Outcome::Queried => "contacts asked for",
        Outcome::Refused => "refused",
        Outcome::Accepted => "accepted",
    };
    match view.call.final_status {
        Some(status) if status >= 300 => format!("{words} ({status})"),
        _ => words.to_owned(),
    }
}

/// How long a call rang and lasted: "answered after 8.2 s, talked 34 s".
pub(super) fn timings(view: CallView<'_>) -> Option<String> {
    if view.call.kind != Kind::Call {
        return None;
    }
    let timings = Timings::of(view);
    let told = |what: &str, duration: Option<Duration>| duration.map(|d| format!("{what} {}", time::length(d)));
    let rang = timings.ringing.filter(|_| timings.set_up.is_none());
    let parts = [told("answered after", timings.set_up), told("talked", timings.talk), told("rang", rang)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn told(text: &str) -> String {
        label(&Message::parse(Bytes::from(text.replace('\n', "\r\n"))))
    }

    #[test]
    fn labels_say_method_status_and_marks() {
        assert_eq!(told("INVITE sip:a@b SIP/2.0\nTo: <sip:a@b>\nCSeq: 1 INVITE\n\n"), "INVITE");
        assert_eq!(told("INVITE sip:a@b SIP/2.0\nTo: <sip:a@b>;tag=1\nCSeq: 2 INVITE\n\n"), "re-INVITE");
        assert_eq!(told("SIP/2.0 100 trying -- your call is important to us\nCSeq: 1 INVITE\n\n"), "100 Trying");
        assert_eq!(told("SIP/2.0 200 OK\nCSeq: 2 BYE\n\n"), "200 OK (BYE)");
        assert_eq!(told("SIP/2.0 200\nCSeq: 2 BYE\n\n"), "200 (BYE)");
    }

    #[test]
    fn reason_phrases_cannot_steer_the_terminal() {
        assert_eq!(told("SIP/2.0 486 \u{1b}]0;x\u{7}\nCSeq: 1 INVITE\n\n"), "486 \\x1b]0;x\\x07");
    }

    #[test]
    fn short_uris_have_neither_scheme_nor_parameters() {
        assert_eq!(short_uri("SIP:alice@example.com:5070;transport=tcp"), "alice@example.com:5070");
        assert_eq!(short_uri("tel:+1234"), "tel:+1234");
        assert_eq!(short_uri(""), "(nobody)");
    }
}
