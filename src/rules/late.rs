//! T02: the first response to an INVITE came late. T03: an INVITE that rings and never ends.

use super::facts::{self, TIMEOUT, TransactionNo, deepest, heard, judged, sendings, span, time, times};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Verdict, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::time::Duration;

static T02: Meta = Meta {
    code: "T02",
    name: "first-response-late",
    severity: Severity::Info,
    title: "The first response to an INVITE came late",
    basis: &["RFC 3261 17.2.1", "RFC 3261 8.2.6.1"],
    page: include_str!("../../docs/rules/T02-first-response-late.md"),
};
static T03: Meta = Meta {
    code: "T03",
    name: "invite-never-ends",
    severity: Severity::Warning,
    title: "An INVITE got provisional responses, but never a final one",
    basis: &["RFC 3261 16.6 item 11", "RFC 3261 16.8", "RFC 3261 13.3.1.1"],
    page: include_str!("../../docs/rules/T03-invite-never-ends.md"),
};

/// Timer C of a proxy, and how long people let a phone ring (16.6 item 11).
const TIMER_C: Duration = Duration::from_secs(180);

/// T02.
pub(super) struct FirstResponseLate;

impl Rule for FirstResponseLate {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T02] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Invite])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let longest = context.knowledge.settings.first_response();
        let late = |t: &Transaction| t.method == Method::Invite && lateness(view, t).is_some_and(|wait| wait > longest);
        for at in deepest(view, |_, t| late(t)) {
            findings.extend(late_response(view, view.call.transaction(at)));
        }
    }
}

fn first_response(t: &Transaction) -> Option<MessageNo> {
    t.provisional.into_iter().chain(t.final_response).min()
}

fn lateness(view: CallView<'_>, t: &Transaction) -> Option<Duration> {
    Some(time(view, first_response(t)?).since(time(view, t.request?)))
}

fn late_response(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let (request, response, wait) = (t.request?, first_response(t)?, lateness(view, t)?);
    let before = sendings(view, request).into_iter().filter(|no| *no < response).count();
    let from = facts::sender(view, request);
    let to = facts::receiver(view, request);
    let resent = if before > 1 { format!("; the INVITE was sent {} by then", times(before)) } else { String::new() };
    let summary = format!("{to} took {} to give any response to the INVITE of {from}{resent}.", span(wait));
    let detail = format!(
        "The first response is {}. A server that does not answer within 200 ms sends 100 Trying, so that the client stops repeating \
         the INVITE (RFC 3261 17.2.1). Look next at the load of {to}, its DNS and database lookups, and at loss on the way to it.",
        facts::name(view, response)
    );
    let severity = if before > 2 { Severity::Warning } else { Severity::Info };
    Some(Finding::new(&T02, vec![response, request], summary, detail).severity(severity))
}

/// T03.
pub(super) struct InviteNeverEnds;

impl Rule for InviteNeverEnds {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T03] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::UNFINISHED | Trait::HEADLESS) && context.outline().of_method(&[Method::Invite])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let ended = ended_otherwise(view);
        for at in deepest(view, |at, t| pending(t) && !ended[at.at()]) {
            findings.extend(never_ends(view, at));
        }
    }
}

fn pending(t: &Transaction) -> bool {
    t.method == Method::Invite && t.provisional.is_some() && t.final_response.is_none() && t.ack.is_none()
}

/// Which INVITEs got a CANCEL (rules C01 and C02 tell those), an ACK (rule I09), or show by their
/// dialog that they were answered.
pub(super) fn ended_otherwise(view: CallView<'_>) -> Vec<bool> {
    let mut marked = vec![false; view.call.transactions.len()];
    let by_request = view.transactions().filter(|(_, t)| matches!(t.method, Method::Cancel | Method::Ack));
    let by_dialog = view.call.dialogs.iter().filter(|dialog| dialog.confirmed.is_some());
    let ended =
        by_request.filter_map(|(_, t)| t.invite).chain(by_dialog.flat_map(|dialog| dialog.created_by.iter().copied()));
    ended.for_each(|invite| marked[invite.at()] = true);
    marked
}

fn never_ends(view: CallView<'_>, at: TransactionNo) -> Option<Finding> {
    let t = view.call.transaction(at);
    let last = t.messages.iter().rev().copied().find(|no| !view.sip(*no).is_request())?;
    let quiet = view.capture_after(view.call.end);
    let waited = view.capture_after(time(view, last));
    if quiet < TIMEOUT || !heard(view, t.connection.reversed()) {
        return None;
    }
    let from = facts::receiver(view, last);
    let to = facts::sender(view, last);
    let summary = format!(
        "The INVITE of {from} got {} from {to}, and then nothing for {}.",
        facts::name(view, last),
        span(waited)
    );
    let detail = format!(
        "An INVITE ends with a final response. The called side renews a long wait with a provisional response every minute, and a \
         proxy gives up after timer C of over 3 minutes (RFC 3261 13.3.1.1, 16.6 item 11). No CANCEL is seen either. Look next \
         whether {to} or what lies behind it lost the call, and whether the call ended on a way that is not in the capture."
    );
    let judgement = judge(view, &Absent::FinalResponse(at));
    let mut finding = judged(Finding::new(&T03, vec![last], summary, detail), &judgement).missing(facts::owed_on(
        view,
        "final response to INVITE",
        last,
    ));
    if waited < TIMER_C && finding.verdict == Verdict::Open {
        finding.severity = Severity::Info;
    }
    Some(finding)
}
