//! What a proxy with both sides in the capture does not pass on: P15 and P16.
//!
//! Proved is little here. The message was seen before the proxy; whether it arrived there is told by
//! what its sender did next.

use super::facts::{TIMEOUT, TransactionNo, final_status, name, receiver, sender, sendings, success, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, MissingMessage, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Participant, Role};
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;

/// P15.
static REQUEST: Meta = Meta {
    code: "P15",
    name: "request-not-forwarded",
    severity: Severity::Error,
    title: "A proxy got a request of a dialog that it is on the route of, and did not pass it on",
    basis: &["RFC 3261 16.6", "RFC 3261 16.11"],
    page: include_str!("../../docs/rules/P15-request-not-forwarded.md"),
};

/// P16.
static RESPONSE: Meta = Meta {
    code: "P16",
    name: "response-not-forwarded",
    severity: Severity::Error,
    title: "A proxy got a 2xx and did not pass it on",
    basis: &["RFC 3261 16.7"],
    page: include_str!("../../docs/rules/P16-response-not-forwarded.md"),
};

/// Judges proxies whose both sides are seen.
pub(super) struct Forwarding;

impl Rule for Forwarding {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 2] = [&REQUEST, &RESPONSE];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::FORWARDED) && context.outline().shows(Trait::UNFINISHED)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if !view.call.transactions.iter().any(|t| t.upstream.is_some()) {
            return;
        }
        let mut forwarded = vec![false; view.call.transactions.len()];
        for transaction in &view.call.transactions {
            if let Some(up) = transaction.upstream {
                forwarded[up.at()] = true;
            }
        }
        for (at, transaction) in view.transactions() {
            if !forwarded[at.at()] {
                findings.extend(request(view, at, transaction));
            }
            findings.extend(response(view, transaction));
        }
    }
}

/// The dialog's INVITE that the receiver of this in-dialog request passed on, if it did and recorded
/// its route.
fn passed_on_before(view: CallView<'_>, request: MessageNo, proxy: Idx<Participant>) -> bool {
    let message = view.sip(request);
    view.call.transactions.iter().filter(|t| t.method == Method::Invite).any(|t| {
        let (Some(sent), Some(up)) = (t.request, t.upstream) else {
            return false;
        };
        let carried_on = view.sip(sent).call_id() == message.call_id()
            && view.call.message(sent).from == proxy
            && success(view, view.call.transaction(up)).is_some();
        carried_on && view.sip(sent).record_routes().count() > 0
    })
}

/// P15: a request within a dialog, sent again and never answered nor passed on.
fn request(view: CallView<'_>, at: TransactionNo, transaction: &Transaction) -> Option<Finding> {
    let request = transaction.request?;
    let message = view.sip(request);
    let proxy = view.call.message(request).to;
    let owed = !message.to_tag().is_empty()
        && !matches!(transaction.method, Method::Ack | Method::Cancel)
        && transaction.final_response.is_none()
        && view.call.participants.get(proxy.at()).is_some_and(|p| p.role == Role::Proxy);
    if !owed || !passed_on_before(view, request, proxy) {
        return None;
    }
    let sent = sendings(view, request);
    let long = view.capture_after(time(view, request)) >= TIMEOUT;
    let arrived = transaction.provisional.is_some();
    let target = next_hop(view, at, proxy)?;
    let summary = format!("{} got a {} and did not pass it on", receiver(view, request), name(view, request));
    let detail = format!(
        "The proxy passed on the INVITE of this dialog, recorded its route, and was sent the {} {}; no copy of it left the proxy, \
         though the other side of it is in this capture, and no answer came. RFC 3261 16.6: it should forward it. Look at the \
         proxy's log: did it get the request, and could it resolve the next Route or the target?",
        name(view, request),
        super::facts::times(sent.len())
    );
    let missing = MissingMessage { what: name(view, request), from: proxy, to: target, after: request };
    let finding = Finding::new(&REQUEST, vec![request], summary, detail).missing(missing);
    Some(if arrived && long {
        finding.cause(Cause::NotSent)
    } else {
        finding.open().cause(Cause::Undetermined).severity(Severity::Warning)
    })
}

/// To whom the proxy passed on other requests that came to it the same way.
fn next_hop(view: CallView<'_>, at: TransactionNo, proxy: Idx<Participant>) -> Option<Idx<Participant>> {
    view.transactions().filter(|(other, _)| *other != at).find_map(|(_, t)| {
        let message = view.call.message(t.request.filter(|_| t.upstream.is_some())?);
        (message.from == proxy).then_some(message.to)
    })
}

/// P16: a 2xx came to the proxy and nothing final left it. Other finals may wait for other branches
/// (16.7 item 6), a 2xx to an INVITE may not.
fn response(view: CallView<'_>, transaction: &Transaction) -> Option<Finding> {
    let up = view.call.transaction(transaction.upstream?);
    let answer = success(view, transaction)?;
    let asked = up.request?;
    let before = view.call.transactions.iter().any(|t| t.method == Method::Ack && t.invite == transaction.upstream);
    if final_status(view, up).is_some() || up.ack.is_some() || before {
        return None;
    }
    if view.capture_after(time(view, answer)) < TIMEOUT {
        return None;
    }
    let (proxy, client) = (view.call.message(asked).to, view.call.message(asked).from);
    let status = name(view, answer);
    let summary =
        format!("{} got {status} from {} and did not pass it back", receiver(view, answer), sender(view, answer));
    let detail = format!(
        "RFC 3261 16.7: a proxy passes a 2xx back at once. No final response left it towards {}. Either the {status} was lost just \
         before the proxy, or the proxy dropped it: it no longer knew the transaction, or the top Via was not its own.",
        sender(view, asked)
    );
    let missing = MissingMessage { what: status, from: proxy, to: client, after: answer };
    let finding = Finding::new(&RESPONSE, vec![answer, asked], summary, detail).missing(missing);
    Some(finding.open().cause(Cause::Undetermined).severity(Severity::Warning))
}
