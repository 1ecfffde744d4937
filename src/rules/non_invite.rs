//! What RFC 4320 forbids to answer to anything but INVITE: T09 a provisional response, T10 408.

use super::facts::{self, deepest, final_status, span, status, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Endpoint;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::time::Duration;

static T09: Meta = Meta {
    code: "T09",
    name: "provisional-to-non-invite",
    severity: Severity::Info,
    title: "A request other than INVITE got a provisional response, or got 100 too early",
    basis: &["RFC 4320 4.1", "RFC 3261 8.2.6.1"],
    page: include_str!("../../docs/rules/T09-provisional-to-non-invite.md"),
};
static T10: Meta = Meta {
    code: "T10",
    name: "timeout-answered-to-non-invite",
    severity: Severity::Info,
    title: "A request other than INVITE was answered 408",
    basis: &["RFC 4320 4.2"],
    page: include_str!("../../docs/rules/T10-timeout-answered-to-non-invite.md"),
};

/// When timer E reaches T2, 0.5 + 1 + 2 s after the request (RFC 4320 4.1), less what the way to the tap may take.
const EARLIEST_100: Duration = Duration::from_millis(3300);

/// See the module.
pub(super) struct NonInvite;

impl Rule for NonInvite {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T09, &T10] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::PROVISIONAL) || context.outline().answered(&[408])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        // A server does it each time; once is enough to know.
        let mut told: HashSet<Endpoint, RandomState> = HashSet::default();
        for at in deepest(view, |_, t| unwelcome(view, t).is_some()) {
            let t = view.call.transaction(at);
            if told.insert(t.connection.dst) {
                findings.extend(provisional(view, t));
            }
        }
        for at in deepest(view, |_, t| is_other(t) && final_status(view, t) == Some(408)) {
            findings.extend(timed_out(view, view.call.transaction(at)));
        }
    }
}

fn is_other(t: &Transaction) -> bool {
    !matches!(t.method, Method::Invite | Method::Ack)
}

/// The first provisional response that should not be there.
fn unwelcome(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.provisional.filter(|_| is_other(t))?;
    let asked = time(view, t.request?);
    let too_early = |no| !t.connection.transport.is_reliable() && time(view, no).since(asked) < EARLIEST_100;
    t.messages.iter().copied().find(|no| match status(view, *no) {
        100 => too_early(*no),
        101..200 => true,
        _ => false,
    })
}

fn provisional(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let response = unwelcome(view, t)?;
    let request = t.request?;
    let (server, client) = (facts::sender(view, response), facts::receiver(view, response));
    let method = facts::name(view, request);
    let wait = span(time(view, response).since(time(view, request)));
    let summary =
        format!("{server} answered the {method} of {client} with {} after {wait}.", facts::name(view, response));
    let why = if status(view, response) == 100 {
        "Over UDP 100 Trying to such a request makes its sender repeat it only every 4 s, so that a lost final response is made up for \
         late; it is allowed from 3.5 s on, when the sender has slowed down by itself"
    } else {
        "Only INVITE has provisional responses other than 100; a sender may take this one for an answer, or wait for a final one in vain"
    };
    let detail = format!(
        "{why} (RFC 4320 4.1). It harms little: older servers do it with every request. Look next at the software of {server}, and only \
         if final responses come late."
    );
    Some(Finding::new(&T09, vec![response, request], summary, detail))
}

fn timed_out(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let answer = t.final_response?;
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!(
        "{server} answered a {} of {client} with {}.",
        view.sip(answer).method_name(),
        facts::name(view, answer)
    );
    let detail = format!(
        "By the time a server knows that nobody answers such a request, its sender has given up as well, and the 408 arrives too late; \
         so it is not sent (RFC 4320 4.2). It still says that what lies behind {server} did not answer in time. Look next there."
    );
    Some(Finding::new(&T10, t.request.into_iter().chain([answer]).collect(), summary, detail))
}
