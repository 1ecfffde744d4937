//! Requests that got no answer: T01, T04, B01, C01, X02.
//!
//! All five ask the same: no (final) response within 64*T1 on the last hop that shows the request.
//! They differ in how much that hurts. Uncertain where the sender gives up early or the transport
//! does not retransmit; then the finding stays open.

use super::facts::{
    self, CROSSING, TransactionNo, at_times, deepest, heard, judged, owed_back, sendings, span, stretch, time, times,
    undeliverable,
};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::call::Outcome;
use crate::flow::{Absent, Cause, Verdict, judge};
use crate::session::timer::{Schedule, on_schedule, patience};
use crate::session::{MessageNo, State, Transaction};
use crate::sip::Method;
use std::collections::HashSet;

static T01: Meta = Meta {
    code: "T01",
    name: "invite-unanswered",
    severity: Severity::Error,
    title: "An INVITE got no response at all",
    basis: &["RFC 3261 17.1.1.2", "RFC 3261 8.1.3.1"],
    page: include_str!("../../docs/rules/T01-invite-unanswered.md"),
};
static T04: Meta = Meta {
    code: "T04",
    name: "request-unanswered",
    severity: Severity::Error,
    title: "A request other than INVITE got no final response",
    basis: &["RFC 3261 17.1.2.2", "RFC 3261 8.1.3.1"],
    page: include_str!("../../docs/rules/T04-request-unanswered.md"),
};
static C01: Meta = Meta {
    code: "C01",
    name: "cancel-unanswered",
    severity: Severity::Error,
    title: "A CANCEL got no response",
    basis: &["RFC 3261 9.2", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/C01-cancel-unanswered.md"),
};
static B01: Meta = Meta {
    code: "B01",
    name: "bye-unanswered",
    severity: Severity::Warning,
    title: "A BYE got no response",
    basis: &["RFC 3261 15.1.1", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/B01-bye-unanswered.md"),
};
static X02: Meta = Meta {
    code: "X02",
    name: "prack-unanswered",
    severity: Severity::Error,
    title: "A PRACK got no response, or was refused",
    basis: &["RFC 3262 3", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/X02-prack-unanswered.md"),
};

/// See the module.
pub(super) struct Unanswered;

impl Rule for Unanswered {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T01, &T04, &B01, &C01, &X02] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::UNFINISHED) || context.outline().of_method(&[Method::Prack])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let later = Later::of(view);
        for at in deepest(view, |at, t| unanswered(view, t) && !later.answered[at.at()]) {
            findings.extend(finding(view, at, &later));
        }
        findings.extend(view.transactions().filter_map(|(_, t)| refused_prack(view, t)));
    }
}

/// The rule for this request; REGISTER and OPTIONS have rules of their own (R01, O01).
fn rule(view: CallView<'_>, t: &Transaction) -> Option<&'static Meta> {
    match t.method {
        Method::Invite => Some(&T01),
        Method::Ack | Method::Register => None,
        Method::Options => t.request.filter(|no| !view.sip(*no).to_tag().is_empty()).map(|_| &T04),
        Method::Bye => Some(&B01),
        Method::Cancel => Some(&C01),
        Method::Prack => Some(&X02),
        _ => Some(&T04),
    }
}

/// No final response; of an INVITE, no response whatever and nothing that proves one.
fn unanswered(view: CallView<'_>, t: &Transaction) -> bool {
    let silent = t.request.is_some() && t.final_response.is_none() && rule(view, t).is_some();
    silent && (t.method != Method::Invite || (t.state == State::Trying && t.ack.is_none()))
}

/// What later messages say about the INVITEs of a call.
struct Later {
    /// Proved answered, although no answer was captured: an ACK or a dialog shows (I09 and H02 tell it).
    answered: Vec<bool>,
    /// The last INVITE that was forwarded for this one.
    last_attempt: Vec<Option<TransactionNo>>,
}

impl Later {
    fn of(view: CallView<'_>) -> Self {
        let count = view.call.transactions.len();
        let mut later = Self { answered: vec![false; count], last_attempt: vec![None; count] };
        for (at, t) in view.transactions() {
            match (t.method, t.invite, t.upstream) {
                (Method::Ack, Some(invite), _) => later.answered[invite.at()] = true,
                (Method::Invite, _, Some(up)) => later.last_attempt[up.at()] = Some(at),
                _ => {}
            }
        }
        let unseen: HashSet<&[u8]> = view
            .call
            .dialogs
            .iter()
            .filter(|d| d.confirmed.is_some() && d.created_by.is_empty())
            .map(|d| &d.caller_tag[..])
            .collect();
        for (at, _, request) in facts::requests_of(view, Method::Invite) {
            let request = view.sip(request);
            later.answered[at.at()] |= request.to_tag().is_empty() && unseen.contains(request.from_tag());
        }
        later
    }

    /// The proxy gave this INVITE up and tried another address, as after no answer (16.7 item 6).
    fn gave_up(&self, view: CallView<'_>, at: TransactionNo, sent: &[MessageNo]) -> bool {
        let t = view.call.transaction(at);
        let next = t.upstream.and_then(|up| self.last_attempt[up.at()]).map(|next| view.call.transaction(next));
        let (Some(last), Some(next)) = (sent.last(), next) else {
            return false;
        };
        next.connection.dst != t.connection.dst
            && next.request.is_some_and(|no| time(view, no).since(time(view, *last)) > CROSSING)
    }
}

fn finding(view: CallView<'_>, at: TransactionNo, later: &Later) -> Option<Finding> {
    let t = view.call.transaction(at);
    let (request, meta) = (t.request?, rule(view, t)?);
    let sent = sendings(view, request);
    let invite = t.method == Method::Invite;
    let schedule = if invite { Schedule::Doubling } else { Schedule::Capped };
    // A sender that insists got nothing, whatever the tap can see.
    let times = at_times(view, &sent);
    let insisted = sent.len() > 2 && on_schedule(&times, schedule);
    let gave_up = later.gave_up(view, at, &sent);
    let border = view.capture_after(time(view, request)) < patience(&times, schedule) && !gave_up;
    if (!insisted && !heard(view, t.connection.reversed())) || undeliverable(view, t) {
        return None;
    }
    let judgement = judge(view, &if invite { Absent::AnyResponse(at) } else { Absent::FinalResponse(at) });
    // A client that has not repeated its request yet may still be waiting when the capture ends.
    if border && sent.len() < 2 && judgement.cause != Cause::NotCaptured {
        return None;
    }
    let mut found =
        judged(Finding::new(meta, sent.clone(), summary(view, t, &sent), detail(view, t, meta)), &judgement)
            .missing(owed_back(view, owed(t), request));
    if border && !insisted && found.verdict == Verdict::Open {
        found.severity = Severity::Info;
    }
    if ended_well(view, t) {
        found.severity = found.severity.min(Severity::Warning);
    }
    Some(found)
}

fn owed(t: &Transaction) -> String {
    match t.method {
        Method::Invite => "response to INVITE".to_owned(),
        method => format!("final response to {}", method.name()),
    }
}

/// The call went on well without this answer: a fail-over, or a CANCEL whose INVITE ended anyway.
fn ended_well(view: CallView<'_>, t: &Transaction) -> bool {
    match t.method {
        Method::Invite => matches!(view.call.outcome, Outcome::Answered | Outcome::Active | Outcome::Cancelled),
        Method::Cancel => t.invite.is_some_and(|i| view.call.transaction(i).final_response.is_some()),
        _ => false,
    }
}

fn summary(view: CallView<'_>, t: &Transaction, sent: &[MessageNo]) -> String {
    let (from, to) = (t.connection.src, t.connection.dst);
    let what = t.request.map(|no| facts::name(view, no)).unwrap_or_default();
    let final_ = if t.provisional.is_some() { "final " } else { "" };
    match sent.len() {
        1 => format!("{from} sent {what} to {to}, and no {final_}response is seen."),
        n => format!(
            "{from} sent {what} {} to {to} within {}, and no {final_}response is seen.",
            times(n),
            span(stretch(view, sent))
        ),
    }
}

fn detail(view: CallView<'_>, t: &Transaction, meta: &Meta) -> String {
    let to = t.connection.dst;
    let after = t.request.map_or(String::new(), |no| span(view.capture_after(time(view, no))));
    let seen = format!(
        "The capture goes on for {after} after the first sending. A server must answer, and the client waits 64*T1 = 32 s ({}). ",
        meta.basis[0]
    );
    let next = match t.method {
        Method::Invite => format!(
            "Look next whether {to} is up, listens there over {}, and whether a firewall drops the request.",
            t.connection.transport.name()
        ),
        Method::Bye => format!(
            "The caller is gone all the same; look whether {to} had already dropped the call, so that it may be billed or shown as active too long."
        ),
        Method::Cancel => format!(
            "The phone at {to} may go on ringing. Look whether it received the CANCEL, and how the INVITE ended."
        ),
        Method::Prack => format!(
            "Without it the call cannot go on. Look at the route of the PRACK and whether {to} supports 100rel (RFC 3262)."
        ),
        _ => format!("Look next whether {to} is up and reachable, and at the log of that host."),
    };
    seen + &next
}

/// A PRACK answered 481 acknowledged nothing that the other side knows.
fn refused_prack(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let answer = t.final_response.filter(|no| t.method == Method::Prack && facts::status(view, *no) == 481)?;
    let who = facts::sender(view, answer);
    let summary = format!("{who} answered the PRACK with 481: it knows no reliable provisional response that matches.");
    let detail = "A PRACK names the response it acknowledges in RAck; 481 says that no such response waits (RFC 3262 3). \
                  Look next at RSeq of the 18x and RAck of the PRACK, and whether a proxy changed To or From tags.";
    Some(Finding::new(&X02, t.request.into_iter().chain([answer]).collect(), summary, detail))
}
