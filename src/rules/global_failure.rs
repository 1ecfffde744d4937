//! P13: a 6xx on one branch of a fork, and other branches left ringing (RFC 3261 16.7 items 5 and 10).

use super::facts::{
    self, CROSSING, TIMEOUT, TransactionNo, final_status, heard, name, receiver, requests_of, sender, span, time,
};
use super::{Context, Finding, Meta, Rule, Severity, subject};
use crate::analysis::CallView;
use crate::base::{Idx, Timestamp};
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::collections::HashSet;

static P13: Meta = Meta {
    code: "P13",
    name: "declined-fork-goes-on",
    severity: Severity::Warning,
    title: "A 6xx refused a call for good, but the proxy did not cancel the other branches",
    basis: &["RFC 3261 16.7 item 5", "RFC 3261 16.7 item 10"],
    page: include_str!("../../docs/rules/P13-declined-fork-goes-on.md"),
};

/// See the module.
pub(super) struct DeclinedFork;

impl Rule for DeclinedFork {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&P13] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().worst() >= 600
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let mut told: HashSet<Idx<Transaction>> = HashSet::new();
        for (at, t, _) in requests_of(view, Method::Invite) {
            let Some(fork) = t.upstream.filter(|_| final_status(view, t).is_some_and(|status| status >= 600)) else {
                continue;
            };
            // The first 6xx of a fork decides.
            if told.insert(fork) {
                findings.extend(left_ringing(view, at, t, fork));
            }
        }
    }
}

fn left_ringing(view: CallView<'_>, at: TransactionNo, t: &Transaction, fork: TransactionNo) -> Option<Finding> {
    let refusal = t.final_response?;
    let since = time(view, refusal);
    let pending = |other: &&Transaction| {
        let rang = other.provisional.is_some_and(|no| time(view, no) <= since);
        other.method == Method::Invite && other.upstream == Some(fork) && rang && went_on(view, other, since)
    };
    let other = subject::near(view.call, at).filter(|other| heard(view, other.connection)).find(pending)?;
    let request = other.request?;
    let branch = view.sip(request).branch();
    let mut cancels = subject::near(view.call, at).filter(|t| t.method == Method::Cancel).filter_map(|t| t.request);
    if cancels.any(|no| view.sip(no).branch() == branch) {
        return None;
    }
    let proxy = receiver(view, refusal);
    let end = match other.final_response {
        Some(no) => format!("it got {} {} later", name(view, no), span(time(view, no).since(since))),
        None => "it got no final response".to_owned(),
    };
    let summary = format!(
        "{} refused the call with {} for all devices, but {proxy} let {} ring on: {end}.",
        sender(view, refusal),
        name(view, refusal),
        receiver(view, request)
    );
    let detail = format!(
        "A 6xx speaks for the user, not for one device: a forking proxy that gets one cancels all other branches (RFC 3261 16.7 items 5 and \
         10). Look next at the fork settings of {proxy}, and whether the CANCEL went out on a way that is not in the capture."
    );
    let messages: Vec<MessageNo> = [refusal, request].into_iter().chain(other.final_response).collect();
    let finding = Finding::new(&P13, messages, summary, detail).cause(Cause::NotSent);
    Some(finding.missing(facts::owed_on(view, "CANCEL", request)))
}

/// Whether the branch was pending for long after the 6xx. One that ended with 487 was cancelled unseen.
fn went_on(view: CallView<'_>, branch: &Transaction, since: Timestamp) -> bool {
    match branch.final_response {
        Some(no) => facts::status(view, no) != 487 && time(view, no).since(since) > CROSSING,
        None => view.capture_after(since) >= TIMEOUT && branch.ack.is_none(),
    }
}
