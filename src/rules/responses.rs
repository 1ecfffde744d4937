//! Responses that do not fit their transaction: T12 without request, T13 a second final, T14 a
//! provisional after the final, I10 an answered ACK, I13 no To tag.

use super::facts::{self, TIMEOUT, heard, plain, span, status, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::time::Duration;

static T12: Meta = Meta {
    code: "T12",
    name: "response-without-request",
    severity: Severity::Info,
    title: "A response whose request is not in the capture",
    basis: &["RFC 3261 17.1.3", "RFC 3261 18.1.2"],
    page: include_str!("../../docs/rules/T12-response-without-request.md"),
};
static T13: Meta = Meta {
    code: "T13",
    name: "two-final-responses",
    severity: Severity::Error,
    title: "One request got two different final responses",
    basis: &["RFC 3261 17.2.1", "RFC 3261 17.2.2", "RFC 6026 7.1"],
    page: include_str!("../../docs/rules/T13-two-final-responses.md"),
};
static T14: Meta = Meta {
    code: "T14",
    name: "provisional-after-final",
    severity: Severity::Info,
    title: "A provisional response came after the final one",
    basis: &["RFC 3261 17.2.1"],
    page: include_str!("../../docs/rules/T14-provisional-after-final.md"),
};
static I10: Meta = Meta {
    code: "I10",
    name: "ack-answered",
    severity: Severity::Warning,
    title: "An ACK got a response",
    basis: &["RFC 3261 17", "RFC 3261 22.1"],
    page: include_str!("../../docs/rules/I10-ack-answered.md"),
};
static I13: Meta = Meta {
    code: "I13",
    name: "to-tag-missing",
    severity: Severity::Warning,
    title: "A response has no To tag",
    basis: &["RFC 3261 8.2.6.2", "RFC 3261 12.1.1"],
    page: include_str!("../../docs/rules/I13-to-tag-missing.md"),
};

/// UDP may deliver two packets in the wrong order when they are this close.
const REORDERED: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Responses;

impl Rule for Responses {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T12, &T13, &T14, &I10, &I13] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let strange = Trait::HEADLESS | Trait::AFTER_FINAL | Trait::ANSWERED_ACK | Trait::UNTAGGED;
        context.outline().shows(strange)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        for (_, t) in view.transactions() {
            findings.extend(without_request(view, t));
            findings.extend(second_final(view, t));
            findings.extend(late_provisional(view, t));
            findings.extend(answered_ack(view, t));
            findings.extend(without_tag(view, t));
        }
    }
}

fn responses<'a>(view: CallView<'a>, t: &'a Transaction) -> impl Iterator<Item = MessageNo> + 'a {
    t.messages.iter().copied().filter(move |no| !view.sip(*no).is_request() && view.call.message(*no).copy.is_none())
}

fn without_request(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let first = responses(view, t).next().filter(|_| t.request.is_none() && t.method != Method::Ack)?;
    if !heard(view, t.connection) {
        return None;
    }
    let (server, client) = (t.connection.dst, t.connection.src);
    let method = view.sip(first).method_name();
    let what = facts::name(view, first);
    let late_start = view.analysis.first.is_none_or(|start| time(view, first).since(start) < TIMEOUT);
    let why = if late_start {
        "The capture began shortly before; the request may have come earlier."
    } else {
        "The capture shows both directions and began long before, so the request was dropped by the capture or took another way."
    };
    let summary = format!("{server} answered {what} to {client}, but the {method} it answers is not in the capture.");
    let detail = format!(
        "A response exists only because of a request with the same branch (RFC 3261 17.1.3). {why} Look next at drop counters and \
         the filter of the capture, and whether requests use TLS or another port."
    );
    let missing = super::MissingMessage {
        what: method.into_owned(),
        from: view.call.message(first).to,
        to: view.call.message(first).from,
        after: first,
    };
    Some(Finding::new(&T12, vec![first], summary, detail).open().cause(Cause::NotCaptured).missing(missing))
}

fn second_final(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let first = t.final_response?;
    let tag = view.sip(first).to_tag();
    let second = responses(view, t).find(|no| {
        *no > first
            && status(view, *no) >= 200
            && status(view, *no) != status(view, first)
            && view.sip(*no).to_tag() == tag
    })?;
    let server = facts::sender(view, second);
    let summary = format!(
        "{server} answered the same {} twice: {} and, {} later, {}.",
        view.sip(first).method_name(),
        facts::name(view, first),
        span(time(view, second).since(time(view, first))),
        facts::name(view, second)
    );
    let detail = format!(
        "A transaction ends with its first final response, and the client drops a second one (RFC 3261 17.2.1, 17.2.2), so the two \
         sides now believe different things. Both carry branch {} and the same To tag, so they are no forks. Look next at the log of \
         {server}: often a timer fired while the answer was on its way.",
        plain(view.sip(first).branch())
    );
    Some(Finding::new(&T13, vec![second, first], summary, detail))
}

fn late_provisional(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let last = t.final_response?;
    let tag = view.sip(last).to_tag();
    let late = responses(view, t).find(|no| {
        *no > last
            && (101..200).contains(&status(view, *no))
            && view.sip(*no).to_tag() == tag
            && time(view, *no).since(time(view, last)) > REORDERED
    })?;
    let server = facts::sender(view, late);
    let summary = format!(
        "{server} sent {} {} after the final response {}.",
        facts::name(view, late),
        span(time(view, late).since(time(view, last))),
        facts::name(view, last)
    );
    let detail = "A final response ends the transaction; the client ignores what comes later (RFC 3261 17.1.1.2, 17.2.1). Packets \
                  that overtook each other look the same, but not with such a distance. Look next at the order in which the \
                  software of that host sends its answers.";
    Some(Finding::new(&T14, vec![late, last], summary, detail))
}

fn answered_ack(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let answer = responses(view, t).next().filter(|_| t.method == Method::Ack)?;
    let server = facts::sender(view, answer);
    let summary = format!("{server} answered an ACK with {}; an ACK gets no response.", facts::name(view, answer));
    let detail = "The ACK itself ends the three-way handshake; no response to it exists, and a server may not challenge it (RFC 3261 \
                  17, 22.1). Look next whether the server found no INVITE for this ACK (another branch, Call-ID or tags), and at its \
                  rules for requests within a dialog.";
    Some(Finding::new(&I10, vec![answer], summary, detail))
}

fn without_tag(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let bare = |no: &MessageNo| {
        status(view, *no) > 100 && view.sip(*no).to_tag().is_empty() && !facts::cut(view, *no) && !malformed(view, *no)
    };
    let first = responses(view, t).filter(bare).max_by_key(|no| (200..300).contains(&status(view, *no)))?;
    let server = facts::sender(view, first);
    let answered = t.method == Method::Invite && (200..300).contains(&status(view, first));
    let summary =
        format!("{server} sent {} to {} without a To tag.", facts::name(view, first), view.sip(first).method_name());
    let effect = if answered {
        "Without it no dialog exists, so ACK and BYE cannot be told to belong to this call. "
    } else {
        ""
    };
    let detail = format!(
        "Every response but 100 carries a tag in To (RFC 3261 8.2.6.2). {effect}Look next at the software of {server}, or at a gateway \
         before it that rewrites headers."
    );
    let severity = match t.method {
        Method::Invite if answered => Severity::Error,
        Method::Cancel => Severity::Info,
        _ => Severity::Warning,
    };
    Some(Finding::new(&I13, vec![first], summary, detail).severity(severity))
}

fn malformed(view: CallView<'_>, no: MessageNo) -> bool {
    view.sip(no).has(crate::sip::Facts::MALFORMED)
}
