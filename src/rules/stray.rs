//! P14: a stateful proxy forwards a response of a transaction that is over (RFC 6026 7.3).

use super::facts::{AT_ONCE, TIMEOUT, TransactionNo, name, receiver, sender, sendings, span, status, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::{Idx, Timestamp};
use crate::call::Participant;
use crate::session::{Transaction, timer};
use crate::sip::Method;
use std::collections::HashSet;
use std::time::Duration;

static P14: Meta = Meta {
    code: "P14",
    name: "stray-response-forwarded",
    severity: Severity::Info,
    title: "A stateful proxy passed on a response of a transaction that was over",
    basis: &["RFC 6026 6", "RFC 6026 7.3", "RFC 4320 4.2"],
    page: include_str!("../../docs/rules/P14-stray-response-forwarded.md"),
};

/// What a proxy's timers may be late by.
const SLACK: Duration = Duration::from_secs(1);
/// Timer K: how long a client absorbs copies of a final response to a request other than INVITE.
const TIMER_K: Duration = timer::T1.saturating_mul(10);
/// Transactions after an INVITE among which its CANCEL is searched, and messages among which a copy is.
const LOOKED_AT: usize = 64;

/// See the module.
pub(super) struct StrayForwarded;

impl Rule for StrayForwarded {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&P14] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let view = context.view;
        // Before this nothing is over.
        let long = |t: &Transaction| {
            let least = if t.method == Method::Invite { TIMEOUT } else { TIMER_K };
            let ends = t.messages.first().zip(t.messages.last());
            t.upstream.is_some()
                && ends.is_some_and(|(first, last)| time(view, *last).since(time(view, *first)) > least)
        };
        context.outline().shows(Trait::FORWARDED) && view.call.transactions.iter().any(long)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if view.call.end.since(view.call.start) < TIMER_K
            || !view.call.transactions.iter().any(|t| t.upstream.is_some())
        {
            return;
        }
        let stateful = stateful(view);
        for (at, t) in view.transactions() {
            findings.extend(forwarded(view, at, t, &stateful));
        }
    }
}

/// The proxies that keep state: they answered an INVITE with 100, which none passes on (RFC 3261 16.7 item 5).
fn stateful(view: CallView<'_>) -> HashSet<Idx<Participant>> {
    let forwarded: HashSet<TransactionNo> = view.call.transactions.iter().filter_map(|t| t.upstream).collect();
    let trying = forwarded.into_iter().filter_map(|at| view.call.transaction(at).provisional);
    trying.filter(|no| status(view, *no) == 100).map(|no| view.call.message(no).from).collect()
}

fn forwarded(
    view: CallView<'_>,
    at: TransactionNo,
    t: &Transaction,
    stateful: &HashSet<Idx<Participant>>,
) -> Option<Finding> {
    let (up, request) = (t.upstream?, t.request?);
    if !stateful.contains(&view.call.message(request).from) {
        return None;
    }
    let over = over(view, at, t)?;
    // Who passes on copies of the request as well keeps no state for it.
    if sendings(view, request).last().is_some_and(|no| time(view, *no) > over) {
        return None;
    }
    let stray = t.messages.iter().copied().find(|no| status(view, *no) > 0 && time(view, *no) > over.after(SLACK))?;
    let sent_up = &view.call.transaction(up).messages;
    let behind = &sent_up[sent_up.partition_point(|no| *no < stray)..];
    let passed = behind.iter().copied().take(LOOKED_AT).find(|no| {
        let same = status(view, *no) == status(view, stray) && view.sip(*no).to_tag() == view.sip(stray).to_tag();
        same && time(view, *no).since(time(view, stray)) < AT_ONCE
    })?;
    let proxy = receiver(view, stray);
    let summary = format!(
        "{proxy} passed on {} of {} to {}, {} after the transaction was over.",
        name(view, stray),
        sender(view, stray),
        receiver(view, passed),
        span(time(view, stray).since(over))
    );
    let detail = format!(
        "A stateful proxy drops a response that fits no transaction of its own (RFC 6026 6, 7.3): the client has given up, was told 408, or \
         has had its answer. The {} was sent in frame {}. Look next at what made {} so late.",
        name(view, request),
        view.frame(request),
        sender(view, stray)
    );
    Some(Finding::new(&P14, vec![passed, stray, request], summary, detail))
}

/// When the client side of the proxy has forgotten the transaction (RFC 3261 17.1, RFC 6026 7.2): 2xx to
/// INVITE are passed on for 64*T1 after the first, and an INVITE may ring as long as it likes.
fn over(view: CallView<'_>, at: TransactionNo, t: &Transaction) -> Option<Timestamp> {
    let start = time(view, t.request?);
    let answered = t.final_response.map(|no| time(view, no));
    let given_up = start.after(TIMEOUT);
    if t.method != Method::Invite {
        return Some(answered.map_or(given_up, |answered| answered.after(TIMER_K).min(given_up)));
    }
    let first = t.provisional.map(|no| time(view, no)).into_iter().chain(answered).min()?;
    if first > given_up {
        return Some(given_up);
    }
    let mut later = view.call.transactions.iter().skip(at.at()).take(LOOKED_AT);
    let cancel = later.find(|c| c.method == Method::Cancel && c.invite == Some(at)).and_then(|c| c.request);
    let cancelled = cancel.map(|no| time(view, no).after(TIMEOUT));
    let ended = answered.filter(|answered| cancelled.is_none_or(|cancelled| *answered <= cancelled));
    ended.map(|answered| answered.after(TIMEOUT)).or(cancelled)
}
