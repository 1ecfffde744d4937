//! How a call ended, told from the side of whoever started it.

use super::{Call, Kind, Outcome};
use crate::base::Timestamp;
use crate::session::{CopyKind, Dialog, MessageNo, Seen, Transaction, timer};
use crate::sip::{Facts, HeaderName, Message, Method};

/// What a call is about: the method that its dialog or first request is for.
pub(super) fn kind(transactions: &[Transaction]) -> Kind {
    let has = |method| transactions.iter().any(|t| t.method == method);
    if has(Method::Register) && transactions.first().is_none_or(|t| t.method == Method::Register) {
        return Kind::Registration;
    }
    if has(Method::Invite) {
        return Kind::Call;
    }
    match transactions.first().map(|t| t.method) {
        Some(Method::Register) => Kind::Registration,
        Some(Method::Subscribe | Method::Notify | Method::Refer) => Kind::Subscription,
        Some(Method::Message) => Kind::Message,
        Some(Method::Options) => Kind::Options,
        Some(Method::Publish) => Kind::Publish,
        // ACK and PRACK exist only in calls, however little of the call was captured.
        Some(Method::Ack | Method::Prack) => Kind::Call,
        _ => Kind::Other,
    }
}

/// Outcome and the status that decided it.
pub(super) fn outcome(call: &Call, messages: &[&Seen], capture_end: Timestamp) -> (Outcome, Option<u16>) {
    let judge = Judge { call, messages, capture_end };
    match call.kind {
        Kind::Call => judge.call(),
        Kind::Registration => judge.registration(),
        _ => judge.exchange(),
    }
}

struct Judge<'a> {
    call: &'a Call,
    messages: &'a [&'a Seen],
    capture_end: Timestamp,
}

impl<'a> Judge<'a> {
    fn message(&self, no: MessageNo) -> &'a Message {
        &self.messages[no.at()].message
    }

    fn status(&self, transaction: &Transaction) -> Option<u16> {
        self.message(transaction.final_response?).status()
    }

    /// Attempts of `method` as whoever started them saw them: the transactions that forward nothing.
    fn attempts(&self, method: Method) -> impl DoubleEndedIterator<Item = &'a Transaction> {
        self.call.transactions.iter().filter(move |t| {
            t.method == method
                && t.upstream.is_none()
                && t.request.is_none_or(|no| self.message(no).to_tag().is_empty())
        })
    }

    fn call(&self) -> (Outcome, Option<u16>) {
        // A subscription beside the call says nothing of how the call ended (RFC 5057).
        let is_call = |dialog: &&Dialog| {
            dialog.confirmed.is_some() && (dialog.usages.session().is_some() || dialog.usages.iter().next().is_none())
        };
        let mut calls = self.call.dialogs.iter().filter(is_call);
        if let Some(first) = calls.next() {
            let released = |dialog: &Dialog| dialog.usages.session().is_some_and(|session| session.ended.is_some());
            let status = first.confirmed.and_then(|no| self.message(no).status());
            let all = released(first) && calls.all(released);
            return (if all { Outcome::Answered } else { Outcome::Active }, status);
        }
        let Some(last) = self.attempts(Method::Invite).next_back() else {
            return (Outcome::Incomplete, None);
        };
        let cancelled = self.call.transactions.iter().any(|t| t.method == Method::Cancel);
        let Some(status) = self.status(last) else {
            let outcome = if cancelled { Outcome::Cancelled } else { self.silence(last) };
            return (outcome, None);
        };
        let outcome = match status {
            200..300 => Outcome::Active,
            300..=399 => Outcome::Redirected,
            401 | 407 if !self.authorized(last) => Outcome::Challenged,
            486 | 600 => Outcome::Busy,
            487 => Outcome::Cancelled,
            408 | 480 => Outcome::NoAnswer,
            _ => Outcome::Rejected,
        };
        (outcome, Some(status))
    }

    fn registration(&self) -> (Outcome, Option<u16>) {
        let Some(last) = self.attempts(Method::Register).next_back() else {
            return (Outcome::Incomplete, None);
        };
        let Some(status) = self.status(last) else {
            return (self.silence(last), None);
        };
        let outcome = match status {
            200..300 => self.bindings(last),
            401 | 407 if !self.authorized(last) => Outcome::Challenged,
            _ => Outcome::Refused,
        };
        (outcome, Some(status))
    }

    /// RFC 3261 10.2.2 and 10.2.3: no Contact asks, Contact * or expiry 0 removes.
    fn bindings(&self, transaction: &Transaction) -> Outcome {
        let Some(request) = transaction.request.map(|no| self.message(no)) else {
            return Outcome::Registered;
        };
        let expires = request.header(HeaderName::Expires).and_then(number);
        let mut contacts = request.contacts().peekable();
        if contacts.peek().is_none() {
            return if request.has(Facts::CUT) { Outcome::Registered } else { Outcome::Queried };
        }
        let removes = contacts.all(|contact| contact.uri == b"*" || contact.expires().or(expires) == Some(0));
        if removes { Outcome::Unregistered } else { Outcome::Registered }
    }

    fn exchange(&self) -> (Outcome, Option<u16>) {
        let Some(first) = self.call.transactions.iter().find(|t| t.upstream.is_none()) else {
            return (Outcome::Incomplete, None);
        };
        let Some(last) = self.attempts(first.method).next_back() else {
            // Only in-dialog traffic was captured.
            let status = self.status(first);
            let accepted = status.is_some_and(|status| status < 300);
            return (if accepted { Outcome::Accepted } else { Outcome::Incomplete }, status);
        };
        let Some(status) = self.status(last) else {
            return (self.silence(last), None);
        };
        let outcome = match status {
            200..300 => Outcome::Accepted,
            401 | 407 if !self.authorized(last) => Outcome::Challenged,
            _ => Outcome::Rejected,
        };
        (outcome, Some(status))
    }

    fn authorized(&self, transaction: &Transaction) -> bool {
        transaction.request.is_some_and(|no| {
            self.message(no).has(Facts::AUTHORIZATION) || self.message(no).has(Facts::PROXY_AUTHORIZATION)
        })
    }

    /// No final response: unanswered when the capture goes on for 64*T1, or when the sender's own
    /// repetition shows that it heard nothing.
    fn silence(&self, transaction: &Transaction) -> Outcome {
        let Some(request) = transaction.request else {
            return Outcome::Incomplete;
        };
        let waited = self.capture_end.since(self.messages[request.at()].time) >= timer::TIMEOUT;
        let resent = transaction.messages.iter().filter(|no| {
            self.message(**no).is_request()
                && self.call.message(**no).copy.is_some_and(|copy| copy.kind == CopyKind::Retransmission)
        });
        let ringing = transaction.provisional.is_some_and(|no| self.message(no).status() > Some(100));
        if (waited && !ringing) || (transaction.provisional.is_none() && resent.count() >= 2) {
            Outcome::Unanswered
        } else {
            Outcome::Incomplete
        }
    }
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
