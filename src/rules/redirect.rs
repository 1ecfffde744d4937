//! Redirection (RFC 3261 8.1.3.4): P01, P02 and P03.

use super::facts::{TIMEOUT, TransactionNo, cut, final_status, name, owed_on, plain, sender, success, time};
use super::subject;
use super::{Context, Finding, Meta, Rule};
use crate::analysis::CallView;
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Uri};

/// P01.
static NOT_FOLLOWED: Meta = Meta {
    code: "P01",
    name: "redirection-not-followed",
    severity: super::Severity::Info,
    title: "A 3xx named other contacts and the client tried none of them",
    basis: &["RFC 3261 8.1.3.4", "RFC 3261 13.2.2.2"],
    page: include_str!("../../docs/rules/P01-redirection-not-followed.md"),
};

/// P02.
static NO_CONTACT: Meta = Meta {
    code: "P02",
    name: "redirection-without-contact",
    severity: super::Severity::Warning,
    title: "301, 302 or 305 without a Contact to go to",
    basis: &["RFC 3261 21.3", "RFC 3261 8.1.3.4"],
    page: include_str!("../../docs/rules/P02-redirection-without-contact.md"),
};

/// P03.
static LOOP: Meta = Meta {
    code: "P03",
    name: "redirect-loop",
    severity: super::Severity::Error,
    title: "A 3xx sends the client back to where it has been",
    basis: &["RFC 3261 8.1.3.4"],
    page: include_str!("../../docs/rules/P03-redirect-loop.md"),
};

/// Contacts of a 3xx that are compared and named.
const CONTACTS: usize = 16;
/// Requests before a 3xx that are compared with its contacts.
const TRIED: usize = 64;

/// Judges 3xx responses where the client got them.
pub(super) struct Redirection;

impl Rule for Redirection {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 3] = [&NOT_FOLLOWED, &NO_CONTACT, &LOOP];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().worst() >= 300
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        for (at, transaction) in view.transactions() {
            let (Some(status @ 300..400), Some(answer)) = (final_status(view, transaction), transaction.final_response)
            else {
                continue;
            };
            let has_contact = view.sip(answer).has(Facts::CONTACT);
            if transaction.upstream.is_some() {
                continue;
            }
            if has_contact {
                let found = back(view, at, transaction, answer).or_else(|| not_followed(view, transaction, answer));
                findings.extend(found);
            } else if matches!(status, 301 | 302 | 305) && !cut(view, answer) {
                findings.push(no_contact(view, transaction, answer));
            }
        }
    }
}

/// P01: not even another request of the same method, by anybody in the call that got the 3xx.
fn not_followed(view: CallView<'_>, transaction: &Transaction, answer: MessageNo) -> Option<Finding> {
    let client = transaction.connection.src.ip;
    let mut requests =
        view.call.transactions.iter().rev().take_while(|t| t.messages.first().is_some_and(|no| *no > answer));
    if requests.any(|t| t.method == transaction.method && t.connection.src.ip == client) {
        return None;
    }
    let followed_elsewhere = followed_elsewhere(view, transaction, answer);
    if followed_elsewhere {
        return None;
    }
    let message = view.sip(answer);
    let contacts: Vec<String> =
        message.contacts().take(CONTACTS).map(|contact| subject::address(contact.uri)).collect();
    let target = contacts.join(", ");
    let after = transaction.ack.unwrap_or(answer);
    let summary = format!(
        "{} said that the user is now at {target}; {} did not try there",
        sender(view, answer),
        subject::host(transaction.connection.src)
    );
    let detail = format!(
        "The answer was {}. RFC 3261 8.1.3.4: the client should send the request to the contacts of a 3xx, best first; it may also ask \
         its user and give up. Look at the client: may it follow redirections, can it resolve and reach {target}, or did the new \
         request take a way that this capture does not see?",
        plain(name(view, answer).as_bytes())
    );
    let missing = transaction.request.map(|request| owed_on(view, subject::method(view.sip(request)), request));
    let mut finding = Finding::new(&NOT_FOLLOWED, vec![answer], summary, detail);
    if let Some(missing) = missing {
        finding = finding.missing(super::MissingMessage { after, ..missing });
    }
    let watched = view.capture_after(time(view, answer)) >= TIMEOUT;
    Some(if watched { finding.cause(Cause::NotSent) } else { finding.open().cause(Cause::Undetermined) })
}

/// Whether the client called one of the contacts under another Call-ID.
fn followed_elsewhere(view: CallView<'_>, transaction: &Transaction, answer: MessageNo) -> bool {
    /// Messages after the 3xx that are looked at: more than pass while a client thinks.
    const SEARCHED: usize = 1024;
    let contacts: Vec<&[u8]> = view.sip(answer).contacts().take(CONTACTS).map(|contact| contact.uri).collect();
    let start = view.call.message(answer).seen.at() + 1;
    let rest = view.analysis.seen.get(start..).unwrap_or_default();
    rest.iter().take(SEARCHED).any(|seen| {
        let message = &seen.message;
        message.is_request()
            && message.method() == transaction.method
            && seen.connection.src.ip == transaction.connection.src.ip
            && contacts.contains(&message.request_uri())
    })
}

/// P03: each contact of the 3xx was tried by this client before. One new contact is a way out.
fn back(view: CallView<'_>, at: TransactionNo, transaction: &Transaction, answer: MessageNo) -> Option<Finding> {
    let client = transaction.connection.src.ip;
    let before = view.call.transactions[..=at.at()].iter().rev().take(TRIED);
    let before = before.filter(|t| t.method == transaction.method && t.connection.src.ip == client);
    let requests = before.filter_map(|t| t.request).filter(|no| *no < answer);
    // With a Route, the URI does not say where the request went.
    let direct = requests.filter(|no| !view.sip(*no).has(Facts::ROUTE));
    let tried: Vec<_> = direct.filter_map(|no| Some((no, Uri::parse(view.sip(no).request_uri())?))).collect();
    let tried_at = |contact: &[u8]| {
        let contact = Uri::parse(contact)?;
        tried.iter().find(|(_, uri)| same_target(uri, &contact)).map(|(no, _)| *no)
    };
    let contacts = view.sip(answer).contacts().take(CONTACTS);
    let again: Option<Vec<MessageNo>> = contacts.map(|contact| tried_at(contact.uri)).collect();
    let first = again?.first().copied()?;
    let target = subject::address(view.sip(first).request_uri());
    let summary = format!(
        "{} redirected {} to {target}, where it had asked before: the redirections go round in a circle",
        sender(view, answer),
        subject::host(transaction.connection.src)
    );
    let detail = format!(
        "The client had sent its request to {target} in frame {}. RFC 3261 8.1.3.4: it tries no contact twice, so the request fails with \
         this answer. Look at the forwarding settings of the two users or servers that point at each other.",
        view.frame(first)
    );
    let finding = Finding::new(&LOOP, vec![answer, first], summary, detail);
    let went_well = view
        .call
        .transactions
        .iter()
        .skip(at.at() + 1)
        .any(|t| t.method == transaction.method && t.upstream.is_none() && success(view, t).is_some());
    Some(if went_well { finding.severity(super::Severity::Info) } else { finding })
}

/// Whether a request to one URI goes where one to the other does: who, where and how, whatever else the
/// parameters and headers say.
fn same_target(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let how =
        |uri: &Uri<'_>| ["transport", "maddr"].map(|name| uri.param(name).unwrap_or_default().to_ascii_lowercase());
    a.scheme.eq_ignore_ascii_case(b.scheme)
        && a.user == b.user
        && a.host.eq_ignore_ascii_case(b.host)
        && a.port == b.port
        && how(a) == how(b)
}

/// P02.
fn no_contact(view: CallView<'_>, transaction: &Transaction, answer: MessageNo) -> Finding {
    let summary = format!("{} redirected with {}, but did not say where to", sender(view, answer), name(view, answer));
    let detail = "RFC 3261 21.3: the Contact header of a 3xx lists where the user may be reached; without it the client has nowhere to \
                  go and the request fails. Look at the redirect server or the forwarding settings of the phone.";
    let messages = std::iter::once(answer).chain(transaction.request).collect();
    Finding::new(&NO_CONTACT, messages, summary, detail)
}
