//! Registration (RFC 3261 10): R01, R02, R03, R06, R07 and R09.
//!
//! Judged at the client's own hop: what a registrar and the proxies before it tell each other is the
//! same story again.

use super::facts::{
    TransactionNo, cut, final_status, heard, judged, owed_back, owed_on, receiver, requests_of, sender,
};
use super::facts::{sendings, span, stretch, success, time, times, undeliverable};
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::flow::{Absent, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Message, Method};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// R01.
static UNANSWERED: Meta = Meta {
    code: "R01",
    name: "register-unanswered",
    severity: Severity::Error,
    title: "A REGISTER got no final response",
    basis: &["RFC 3261 10.2.7", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/R01-register-unanswered.md"),
};

/// R02.
static TOO_BRIEF: Meta = Meta {
    code: "R02",
    name: "interval-too-brief-not-repaired",
    severity: Severity::Warning,
    title: "423 (interval too brief) was not answered with a longer interval, or did not name one",
    basis: &["RFC 3261 10.2.8", "RFC 3261 10.3 step 7", "RFC 3261 20.23"],
    page: include_str!("../../docs/rules/R02-interval-too-brief-not-repaired.md"),
};

/// R03.
static NOT_CONFIRMED: Meta = Meta {
    code: "R03",
    name: "binding-not-confirmed",
    severity: Severity::Warning,
    title: "The 200 to a REGISTER does not list the contact that was registered",
    basis: &["RFC 3261 10.3 step 8", "RFC 3261 10.2.4"],
    page: include_str!("../../docs/rules/R03-binding-not-confirmed.md"),
};

/// R06.
static STAR: Meta = Meta {
    code: "R06",
    name: "contact-star-misused",
    severity: Severity::Error,
    title: "Contact: * with another Expires than 0, or together with other contacts",
    basis: &["RFC 3261 10.2.2", "RFC 3261 10.3 step 6"],
    page: include_str!("../../docs/rules/R06-contact-star-misused.md"),
};

/// R07.
static CSEQ: Meta = Meta {
    code: "R07",
    name: "register-cseq-not-increased",
    severity: Severity::Error,
    title: "A new REGISTER of the same Call-ID does not have a higher CSeq",
    basis: &["RFC 3261 10.2", "RFC 3261 10.3 step 7"],
    page: include_str!("../../docs/rules/R07-register-cseq-not-increased.md"),
};

/// R09.
static STILL_LISTED: Meta = Meta {
    code: "R09",
    name: "removal-not-honoured",
    severity: Severity::Warning,
    title: "A contact was removed, but the 200 still lists it",
    basis: &["RFC 3261 10.3 steps 6-8"],
    page: include_str!("../../docs/rules/R09-removal-not-honoured.md"),
};

/// Messages closer than this may have been swapped by the network.
const REORDERED: Duration = Duration::from_millis(200);
/// Requests after a 423 among which the repaired one is searched.
const LOOKED_AT: usize = 64;
/// Contacts of one message that are compared.
pub(super) const CONTACTS: usize = 64;

/// Judges REGISTER requests and their answers.
pub(super) struct Registration;

impl Rule for Registration {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 6] = [&UNANSWERED, &TOO_BRIEF, &NOT_CONFIRMED, &STAR, &CSEQ, &STILL_LISTED];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Register])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        for (at, transaction, request) in requests_of(view, Method::Register) {
            if transaction.upstream.is_some() {
                continue;
            }
            match final_status(view, transaction) {
                None => findings.extend(unanswered(view, at, transaction, request)),
                Some(423) => findings.extend(too_brief(view, at, transaction, request)),
                Some(200..300) => {
                    findings.extend(not_confirmed(view, transaction, request));
                    findings.extend(still_listed(view, transaction, request));
                }
                Some(_) => {}
            }
            findings.extend(star(view, request));
        }
        findings.extend(cseq(view));
    }
}

/// R01.
fn unanswered(view: CallView<'_>, at: TransactionNo, transaction: &Transaction, request: MessageNo) -> Option<Finding> {
    let sent = sendings(view, request);
    let due = view.capture_after(time(view, request)) >= Duration::from_millis(500);
    let one_sided = !heard(view, transaction.connection.reversed()); // rule H01 says so, once
    if undeliverable(view, transaction) || (sent.len() == 1 && (one_sided || !due)) {
        return None;
    }
    let whom = subject::address(view.sip(request).to_uri());
    let often = if sent.len() > 1 {
        format!(" {} in {}", times(sent.len()), span(stretch(view, &sent)))
    } else {
        String::new()
    };
    let summary = format!(
        "{whom} could not register: the REGISTER was sent{often} to {} without an answer",
        receiver(view, request)
    );
    let detail = format!(
        "{} asked {} to register {whom}; no final response is in the capture. RFC 3261 17.1.2.2: the server answers at once, and \
         the client repeats the request after 0.5, 1, 2 and then every 4 seconds until 32 s have passed. Look at whether the \
         registrar runs and listens at this address and port, and at firewalls and NAT on the way back.",
        sender(view, request),
        receiver(view, request)
    );
    let finding = Finding::new(&UNANSWERED, sent, summary, detail).missing(owed_back(
        view,
        "final response to REGISTER",
        request,
    ));
    Some(judged(finding, &judge(view, &Absent::FinalResponse(at))))
}

/// R02.
fn too_brief(view: CallView<'_>, at: TransactionNo, transaction: &Transaction, request: MessageNo) -> Option<Finding> {
    let answer = transaction.final_response?;
    let message = view.sip(answer);
    let Some(minimum) = message.header(HeaderName::MinExpires).and_then(number) else {
        if cut(view, answer) {
            return None;
        }
        let summary =
            format!("{} refused a registration as too short without saying how long it must be", sender(view, answer));
        let detail = "RFC 3261 10.3 step 7: a 423 must carry Min-Expires, the shortest interval the registrar takes. Without it \
                      the client can only guess. Look at the registrar.";
        return Some(Finding::new(&TOO_BRIEF, vec![answer, request], summary, detail).severity(Severity::Error));
    };
    let later = view.call.transactions.iter().skip(at.at() + 1).filter(|t| t.method == Method::Register);
    let enough = |no| longest(view.sip(no)).is_none_or(|asked| asked >= minimum);
    // Of a REGISTER that the capture lacks only the answer tells.
    let repaired = |t: &Transaction| t.request.map_or_else(|| success(view, t).is_some(), enough);
    if later.take(LOOKED_AT).any(repaired) {
        return None;
    }
    let asked = longest(view.sip(request)).map_or_else(|| "no interval".to_owned(), |seconds| format!("{seconds} s"));
    let summary = format!(
        "{}: the registrar wants at least {minimum} s, the client asked for {asked} and did not try again",
        subject::attempt(view, request)
    );
    let detail = "RFC 3261 10.2.8: after a 423 the client should register again with an interval of at least Min-Expires. Set a \
                  longer registration interval in the client, or allow a shorter one at the registrar.";
    let finding = Finding::new(&TOO_BRIEF, vec![answer, request], summary, detail).missing(owed_on(
        view,
        "REGISTER with a longer interval",
        request,
    ));
    Some(judged(finding, &judge(view, &Absent::FollowUp { after: answer })))
}

/// A header of seconds.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// The longest interval that a REGISTER asks for.
fn longest(register: &Message) -> Option<u32> {
    let header = register.header(HeaderName::Expires).and_then(number);
    register.contacts().take(CONTACTS).filter_map(|contact| contact.expires()).chain(header).max()
}

/// User, host and port of a contact, as far as registrars keep them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding<'a> {
    user: &'a [u8],
    host: &'a [u8],
}

impl<'a> Binding<'a> {
    /// Of the contact with this URI.
    pub(super) fn of(uri: &'a [u8]) -> Self {
        let end = uri.iter().position(|b| matches!(b, b';' | b'?' | b'>')).unwrap_or(uri.len());
        let uri = &uri[..end];
        let host_at = uri.iter().rposition(|b| *b == b'@').or_else(|| uri.iter().position(|b| *b == b':'));
        let host = host_at.map_or(uri, |at| &uri[at + 1..]);
        Self { user: subject::user(uri), host: host.strip_suffix(b":5060").unwrap_or(host) }
    }

    fn same_host(self, other: Self) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
    }
}

impl PartialEq for Binding<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.same_host(*other)
    }
}

/// R03. A registrar may rewrite what it stores for NAT; proved is only that it lists nothing at all,
/// and even then calls may work, so neither is the error that a lost binding would be.
fn not_confirmed(view: CallView<'_>, transaction: &Transaction, request: MessageNo) -> Option<Finding> {
    let answer = success(view, transaction)?;
    let (register, ok) = (view.sip(request), view.sip(answer));
    if cut(view, request) || cut(view, answer) {
        return None;
    }
    let wanted = register.contacts().take(CONTACTS).find(|contact| {
        !contact.is_star()
            && contact.expires().or_else(|| register.header(HeaderName::Expires).and_then(number)) != Some(0)
    })?;
    let bound = Binding::of(wanted.uri);
    let mut listed = ok.contacts().take(CONTACTS).peekable();
    let some_listed = listed.peek().is_some();
    let alike = |listed: Binding<'_>| listed.user == bound.user || listed.same_host(bound);
    if listed.any(|contact| alike(Binding::of(contact.uri))) {
        return None;
    }
    let wanted = subject::address(wanted.uri);
    let finding = if some_listed {
        let summary = format!(
            "{} accepted a registration, but lists other contacts than the {wanted} that was registered",
            sender(view, answer)
        );
        let detail = "RFC 3261 10.3 step 8: the 200 lists all current bindings, with the one that was just made among them. Something \
                      may have rewritten the contact on the way (NAT helper, session border controller), or the registrar does \
                      not store it. Call the user and see where the INVITE goes.";
        Finding::new(&NOT_CONFIRMED, vec![answer, request], summary, detail).severity(Severity::Info).open()
    } else {
        let summary =
            format!("{} accepted the registration of {wanted}, but its 200 lists no contact", sender(view, answer));
        let detail = "RFC 3261 10.3 step 8: the 200 lists all current bindings with their time to live; 10.2.4: the client learns from \
                      it when to refresh. An empty list says that nothing is registered. Call the user to see whether it is: look at \
                      the registrar, and at anything between that may have removed the Contact header.";
        Finding::new(&NOT_CONFIRMED, vec![answer, request], summary, detail)
    };
    Some(finding)
}

/// R09.
fn still_listed(view: CallView<'_>, transaction: &Transaction, request: MessageNo) -> Option<Finding> {
    let answer = success(view, transaction)?;
    let (register, ok) = (view.sip(request), view.sip(answer));
    let header = || register.header(HeaderName::Expires).and_then(number);
    let live = || ok.contacts().take(CONTACTS).filter(|contact| contact.expires() != Some(0));
    let removed = |uri: &[u8]| live().find(|contact| Binding::of(contact.uri) == Binding::of(uri));
    let left = register.contacts().take(CONTACTS).find_map(|contact| {
        if contact.is_star() && header() == Some(0) {
            return live().next();
        }
        let gone = !contact.is_star() && contact.expires().or_else(header) == Some(0);
        gone.then(|| removed(contact.uri)).flatten()
    })?;
    let left = subject::address(left.uri);
    let summary = format!("{left} was to be removed, but {} still lists it", sender(view, answer));
    let detail = "The REGISTER asked to remove the binding (interval 0) and was accepted. RFC 3261 10.3 steps 6 to 8: the registrar \
                  removes it and the 200 lists what is left. As long as it is listed, calls still go there. Look at the registrar; \
                  perhaps another device registered the same contact in the meantime.";
    Some(Finding::new(&STILL_LISTED, vec![answer, request], summary, detail))
}

/// R06.
fn star(view: CallView<'_>, request: MessageNo) -> Option<Finding> {
    let register = view.sip(request);
    if !register.has(Facts::CONTACT) || cut(view, request) {
        return None;
    }
    let contacts = || register.contacts().take(CONTACTS);
    if !contacts().any(|contact| contact.is_star()) {
        return None;
    }
    let expires = register.header(HeaderName::Expires).and_then(number);
    let what = match (expires, contacts().count()) {
        (Some(0), 1) => return None,
        (Some(0), _) => "together with other contacts".to_owned(),
        (Some(seconds), _) => format!("with Expires: {seconds}"),
        (None, _) => "without Expires: 0".to_owned(),
    };
    let summary = format!("{} sent Contact: * {what}", sender(view, request));
    let detail = "Contact: * means \"remove all my bindings\" and is allowed only alone and with Expires: 0 (RFC 3261 10.2.2); a \
                  registrar answers anything else with 400 (10.3 step 6). Look at the client's software.";
    Some(Finding::new(&STAR, vec![request], summary, detail))
}

/// R07: told once. A retry with credentials under the same CSeq is rule A02.
fn cseq(view: CallView<'_>) -> Option<Finding> {
    /// Call-ID, From tag and client.
    type Key<'a> = (&'a [u8], &'a [u8], IpAddr);
    let mut last: HashMap<Key<'_>, (u32, Timestamp, MessageNo), RandomState> = HashMap::default();
    for (_, transaction, request) in requests_of(view, Method::Register) {
        let message = view.sip(request);
        if transaction.upstream.is_some() {
            continue;
        }
        let key = (message.call_id(), message.from_tag(), transaction.connection.src.ip);
        let now = time(view, request);
        let before = last.get(&key).copied();
        if before.is_none_or(|(number, ..)| transaction.cseq >= number) {
            last.insert(key, (transaction.cseq, now, request));
        }
        let Some((number, at, earlier)) = before else {
            continue;
        };
        let retry = message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION);
        let equal = transaction.cseq == number;
        if transaction.cseq > number || now.since(at) < REORDERED || (equal && retry) {
            continue;
        }
        let summary = format!(
            "{} sent a new REGISTER with CSeq {}, after {number} under the same Call-ID",
            sender(view, request),
            transaction.cseq
        );
        let detail = "RFC 3261 10.2: each REGISTER of one Call-ID raises CSeq by one, so that the registrar can tell a late copy from \
                      a new request; 10.3 step 7: it refuses one that is not higher. Look at the client's software, or for two \
                      clients that share a Call-ID.";
        let taken = matches!(final_status(view, transaction), Some(200..300 | 401 | 407));
        let severity = if taken { Severity::Warning } else { Severity::Error };
        return Some(Finding::new(&CSEQ, vec![request, earlier], summary, detail).severity(severity));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_user_and_host_whatever_the_parameters() {
        let plain = Binding::of(b"sip:bob@phone.example.com");
        assert_eq!(Binding::of(b"sip:bob@Phone.example.com:5060;transport=udp"), plain);
        assert_ne!(Binding::of(b"sip:bob@phone.example.com:5080"), plain);
        assert_ne!(Binding::of(b"sip:Bob@phone.example.com"), plain);
    }
}
