//! What comes after its time: T11 a response after the client gave up, T20 a copy of an answered INVITE that is
//! taken for a new one.

use super::ack_route::leads_to;
use super::facts::{self, TIMEOUT, TransactionNo, deepest, span, status, success, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity, cancel};
use crate::analysis::CallView;
use crate::base::AnomalyKind;
use crate::session::{CopyKind, MessageNo, Transaction, timer};
use crate::sip::Method;
use std::time::Duration;

static T11: Meta = Meta {
    code: "T11",
    name: "response-too-late",
    severity: Severity::Warning,
    title: "A response came after the client had given up",
    basis: &["RFC 3261 17.1.1.2", "RFC 3261 17.1.2.2", "RFC 3261 9.1", "RFC 4320 4.2"],
    page: include_str!("../../docs/rules/T11-response-too-late.md"),
};
static T20: Meta = Meta {
    code: "T20",
    name: "copy-taken-for-new-invite",
    severity: Severity::Error,
    title: "A repeated INVITE was handled as a new one after its answer",
    basis: &["RFC 6026 3", "RFC 6026 5", "RFC 6026 7.1"],
    page: include_str!("../../docs/rules/T20-copy-taken-for-new-invite.md"),
};

/// What a response may need from the server to the client, and what timers are off.
const SLACK: Duration = Duration::from_millis(500);
/// What capture points may swap.
const SWAPPED: Duration = Duration::from_millis(10);

/// See the module.
pub(super) struct Overdue;

impl Rule for Overdue {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T11, &T20] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::RESENT) || context.view.call.end.since(context.view.call.start) > TIMEOUT
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if view.call.end.since(view.call.start) > TIMEOUT {
            late_responses(view, findings);
        }
        if view.call.transactions.iter().any(|t| copy_after_answer(view, t).is_some()) {
            taken_for_new(view, findings);
        }
    }
}

/// T11.
fn late_responses(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let cancels = cancel::by_invite(view);
    let late = |at: TransactionNo, t: &Transaction| late(view, t, cancels[at.at()]);
    for at in deepest(view, |at, t| late(at, t).is_some()) {
        let t = view.call.transaction(at);
        findings.extend(late(at, t).and_then(|response| too_late(view, t, response)));
    }
}

/// The first response after the client of this transaction gave up: 64*T1 after the request, for an INVITE only
/// while nothing was heard (timers B and F), and 64*T1 after its CANCEL (RFC 3261 9.1).
fn late(view: CallView<'_>, t: &Transaction, cancel: Option<TransactionNo>) -> Option<MessageNo> {
    let request = t.request.filter(|_| t.method != Method::Ack)?;
    let last = *t.messages.last()?;
    if time(view, last).since(time(view, request)) <= TIMEOUT {
        return None;
    }
    let patience = patience(view, request);
    let mut responses =
        t.messages.iter().copied().filter(|no| *no > request && !view.sip(*no).is_request() && is_first(view, *no));
    let after = |no: MessageNo, start: MessageNo| time(view, no).since(time(view, start)) > patience;
    if t.method != Method::Invite {
        return responses.find(|no| after(*no, request));
    }
    let first = responses.next()?;
    if after(first, request) {
        return Some(first);
    }
    let cancelled = view.call.transaction(cancel?).request?;
    t.final_response.filter(|no| *no > cancelled && after(*no, cancelled))
}

/// 64*T1, by the T1 of this client when it is longer than usual.
fn patience(view: CallView<'_>, request: MessageNo) -> Duration {
    let sent = facts::at_times(view, &facts::sendings(view, request));
    let is_invite = view.sip(request).method() == Method::Invite;
    let schedule = if is_invite { timer::Schedule::Doubling } else { timer::Schedule::Capped };
    timer::patience(&sent, schedule).max(timer::TIMEOUT) + SLACK
}

fn is_first(view: CallView<'_>, no: MessageNo) -> bool {
    view.call.message(no).copy.is_none()
}

fn too_late(view: CallView<'_>, t: &Transaction, response: MessageNo) -> Option<Finding> {
    let request = t.request?;
    let (server, client) = (facts::sender(view, response), facts::receiver(view, response));
    let summary = format!(
        "{server} answered the {} of {client} with {} only after {}.",
        facts::name(view, request),
        facts::name(view, response),
        span(time(view, response).since(time(view, request)))
    );
    let detail = format!(
        "A client gives up 64*T1 = 32 s after its request, or after its CANCEL, and throws away what comes then (RFC 3261 17.1, 9.1); users \
         were told long ago that it failed. Look next at what kept {server} so long, whether it answers to what lies behind it \
         without a timer of its own, and whether the clock of the capture jumped."
    );
    let finding = Finding::new(&T11, vec![response, request], summary, detail);
    let jumped = view.analysis.anomalies.of(AnomalyKind::TimeBackwards).is_some();
    Some(if jumped { finding.open() } else { finding })
}

/// T20.
fn taken_for_new(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let again: Vec<Option<MessageNo>> = view.call.transactions.iter().map(|t| copy_after_answer(view, t)).collect();
    let mut told = vec![false; again.len()];
    for (at, t) in view.transactions() {
        if let Some(finding) = again[at.at()].and_then(|copy| answered_anew(view, t, copy)) {
            told[at.at()] = true;
            findings.push(finding);
        }
    }
    for t in view.call.transactions.iter().filter(|t| t.method == Method::Invite) {
        let (Some(up), Some(leg)) = (t.upstream, t.request) else { continue };
        if let Some(copy) = again[up.at()].filter(|copy| *copy < leg && !told[up.at()]) {
            told[up.at()] = true;
            findings.push(second_leg(view, copy, leg));
        }
    }
}

/// The first copy of an INVITE that passed after its 2xx.
fn copy_after_answer(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    let answer = success(view, t).filter(|_| t.method == Method::Invite)?;
    let resent = |no: &MessageNo| {
        let copy = view.call.message(*no).copy;
        *no > answer && view.sip(*no).is_request() && copy.is_some_and(|copy| copy.kind == CopyKind::Retransmission)
    };
    let copy = t.messages.iter().copied().find(resent)?;
    (time(view, copy).since(time(view, answer)) > SWAPPED).then_some(copy)
}

/// A response to the copy that belongs to another try than the 2xx. Another phone that answers as well is a fork
/// (I15), and a proxy passes on its 2xx.
fn answered_anew(view: CallView<'_>, t: &Transaction, copy: MessageNo) -> Option<Finding> {
    let answer = success(view, t)?;
    let later = t.messages.iter().copied().filter(|no| *no > copy && !view.sip(*no).is_request());
    let response = later.into_iter().find(|no| {
        let other_tag = view.sip(*no).to_tag() != view.sip(answer).to_tag() && is_first(view, *no);
        match status(view, *no) {
            100 => view.call.message(*no).copy.is_none_or(|copy| copy.kind == CopyKind::Retransmission),
            101..300 => other_tag && same_phone(view, *no, answer),
            _ => other_tag,
        }
    })?;
    let finding = anew(view, copy, response, &format!("answered it with {}", facts::name(view, response)));
    // Only a failure cannot come from somewhere else, such as a slow branch of a fork behind a gateway.
    let proved = status(view, response) >= 300;
    Some(if proved { finding } else { finding.severity(Severity::Warning).open() })
}

fn same_phone(view: CallView<'_>, a: MessageNo, b: MessageNo) -> bool {
    let contact = |no| view.sip(no).contacts().next().map(|contact| contact.uri);
    matches!((contact(a), contact(b)), (Some(one), Some(two)) if leads_to(one, two) == Some(true))
}

fn second_leg(view: CallView<'_>, copy: MessageNo, leg: MessageNo) -> Finding {
    anew(view, copy, leg, &format!("sent another INVITE on to {}", facts::receiver(view, leg)))
}

fn anew(view: CallView<'_>, copy: MessageNo, proof: MessageNo, did: &str) -> Finding {
    let (server, client) = (facts::receiver(view, copy), facts::sender(view, copy));
    let summary = format!("{client} repeated its INVITE, and {server}, which had answered it, {did}.");
    let detail = format!(
        "After a 2xx a server keeps the transaction for 64*T1 = 32 s to absorb copies of the INVITE (state Accepted, RFC 6026 7.1). Without it \
         a late copy becomes a second call: a phone rings that is already in the call, or refuses it as busy. Look next whether \
         {server} implements RFC 6026, and why the answer came so late that {client} repeated the INVITE."
    );
    Finding::new(&T20, vec![proof, copy], summary, detail)
}
