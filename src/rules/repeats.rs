//! Messages sent again: T05 retransmitted, T06 off schedule, T07 over a reliable transport, T08 although
//! a provisional response had passed.
//!
//! A retransmission is how SIP over UDP survives loss; it tells of loss or slowness, rarely of a fault
//! of the sender. Frames captured twice are no retransmissions and never get here.

use super::facts::{
    self, COPY_AFTER_RESPONSE, TransactionNo, at_times, final_status, sendings, span, stretch, time, times,
};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Transport;
use crate::flow::{Absent, Cause, judge};
use crate::session::timer::{Schedule, on_schedule};
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;

static T05: Meta = Meta {
    code: "T05",
    name: "retransmitted",
    severity: Severity::Warning,
    title: "A request, or the final answer to an INVITE, was sent again",
    basis: &["RFC 3261 17.1.1.2", "RFC 3261 17.1.2.2", "RFC 3261 13.3.1.4"],
    page: include_str!("../../docs/rules/T05-retransmitted.md"),
};
static T06: Meta = Meta {
    code: "T06",
    name: "retransmission-timing",
    severity: Severity::Info,
    title: "A request was repeated off the schedule of the standard",
    basis: &["RFC 3261 17.1.1.2", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/T06-retransmission-timing.md"),
};
static T07: Meta = Meta {
    code: "T07",
    name: "retransmitted-over-reliable-transport",
    severity: Severity::Warning,
    title: "A request was repeated over TCP, TLS, WebSocket or SCTP",
    basis: &["RFC 3261 17.1.1.2", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/T07-retransmitted-over-reliable-transport.md"),
};
static T08: Meta = Meta {
    code: "T08",
    name: "invite-repeated-after-provisional",
    severity: Severity::Warning,
    title: "An INVITE was repeated after a provisional response had passed",
    basis: &["RFC 3261 17.1.1.2"],
    page: include_str!("../../docs/rules/T08-invite-repeated-after-provisional.md"),
};

/// See the module.
pub(super) struct Repeats;

impl Rule for Repeats {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T05, &T06, &T07, &T08] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::RESENT)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let acks = context.acks();
        for (at, t) in view.transactions().filter(|(_, t)| t.method != Method::Ack) {
            if let Some(request) = t.request {
                let sent = sendings(view, request);
                if sent.len() > 1 {
                    repeated_request(view, at, &sent, findings);
                }
            }
            findings.extend(repeated_answer(view, at, acks));
        }
    }
}

fn repeated_request(view: CallView<'_>, at: TransactionNo, sent: &[MessageNo], findings: &mut Vec<Finding>) {
    let t = view.call.transaction(at);
    if t.connection.transport.is_reliable() {
        findings.push(over_reliable(view, t, sent));
        return;
    }
    let after_provisional = after_provisional(view, t, sent);
    findings.push(retransmitted(view, at, sent, after_provisional.is_some()));
    findings.extend(after_provisional);
    findings.extend(off_schedule(view, t, sent));
}

/// T05 for requests. Without any answer it is told in full by T01, T04 and their like.
fn retransmitted(view: CallView<'_>, at: TransactionNo, sent: &[MessageNo], told: bool) -> Finding {
    let t = view.call.transaction(at);
    let (from, to) = (t.connection.src, t.connection.dst);
    let what = facts::name(view, sent[0]);
    let answer = t.provisional.into_iter().chain(t.final_response).min();
    let passed = answer.filter(|answer| sent[1..].iter().any(|copy| copy > answer));
    let summary = format!("{from} sent {what} {} to {to} within {}.", times(sent.len()), span(stretch(view, sent)));
    let why = match (passed, answer) {
        (Some(no), _) => format!(
            "{} of {to} passed the tap before the last copy, so it was lost, or was late, between the tap and {from}.",
            facts::name(view, no)
        ),
        (None, Some(_)) => format!(
            "No response had passed the tap by then: the request was lost on the way to {to}, or {to} was slow."
        ),
        (None, None) => "No response is seen at all.".to_owned(),
    };
    let detail = format!(
        "{why} Over UDP a client repeats a request until it gets a response (RFC 3261 17.1). Look next at packet loss on the path \
         and at the load of {to}."
    );
    let severity = if sent.len() == 2 || answer.is_none() || told { Severity::Info } else { Severity::Warning };
    let finding = Finding::new(&T05, sent.to_vec(), summary, detail).severity(severity);
    match (passed, answer) {
        (Some(_), _) => finding.cause(Cause::LostOnPath),
        (None, Some(_)) => finding,
        (None, None) => finding.cause(judge(view, &Absent::FinalResponse(at)).cause),
    }
}

/// T05 for the final answer to an INVITE, where the server alone decides to repeat it. Without any ACK
/// it is told by I01 and I07. Copies that got a fresh ACK each only inform; I02 tells when that fails.
fn repeated_answer(view: CallView<'_>, at: TransactionNo, acks: &facts::Acks<'_>) -> Option<Finding> {
    let t = view.call.transaction(at);
    let answer = t.final_response.filter(|_| t.method == Method::Invite)?;
    let success = final_status(view, t)? < 300;
    let ack = if success { acks.first(view, answer) } else { t.ack };
    let ack = ack?;
    let sent = sendings(view, answer);
    let waited: Vec<MessageNo> = sent.iter().copied().filter(|no| *no < ack).collect();
    let asked = t.request.map_or(0, |request| {
        let copies = sendings(view, request);
        copies.iter().filter(|no| **no > answer).count()
    });
    if sent.len() < 2 + asked {
        return None;
    }
    let (from, to) = (t.connection.dst, t.connection.src);
    let what = facts::name(view, answer);
    let summary = format!(
        "{from} sent {what} {} to {to} within {} until an ACK reached it.",
        times(sent.len()),
        span(stretch(view, &sent))
    );
    let why = if waited.len() == sent.len() {
        format!(
            "Either {what} was lost between the tap and {to}, or the first ACKs were lost before the tap; the last one came through."
        )
    } else {
        format!(
            "An ACK had passed the tap before the last copy, so it was lost between the tap and {from}, or was late."
        )
    };
    let detail = format!(
        "The answering side repeats {what} until it gets the ACK (RFC 3261 13.3.1.4, 17.2.1). {why} Look next at packet loss on that \
         part of the path."
    );
    let severity = if waited.len() <= 2 { Severity::Info } else { Severity::Warning };
    let finding = Finding::new(&T05, sent, summary, detail).severity(severity);
    Some(finding.cause(Cause::LostOnPath))
}

fn over_reliable(view: CallView<'_>, t: &Transaction, sent: &[MessageNo]) -> Finding {
    let (from, to) = (t.connection.src, t.connection.dst);
    let transport = t.connection.transport.name();
    let what = facts::name(view, sent[0]);
    let summary =
        format!("{from} sent {what} {} to {to} over {transport}, where nothing need be repeated.", times(sent.len()));
    let detail = format!(
        "{transport} delivers what was sent, so SIP timers A and E do not run there (RFC 3261 17.1.1.2, 17.1.2.2). The copies have the \
         same branch, so they are no new attempts. Look next at the transaction timers of the software at {from}."
    );
    Finding::new(&T07, sent.to_vec(), summary, detail)
}

fn after_provisional(view: CallView<'_>, t: &Transaction, sent: &[MessageNo]) -> Option<Finding> {
    let provisional = t.provisional.filter(|_| t.method == Method::Invite)?;
    let heard = time(view, provisional);
    let late: Vec<MessageNo> = sent
        .iter()
        .copied()
        .filter(|no| *no > provisional && time(view, *no).since(heard) > COPY_AFTER_RESPONSE)
        .collect();
    let first = *late.first()?;
    let (from, to) = (t.connection.src, t.connection.dst);
    let summary = format!(
        "{from} repeated its INVITE {} after {} of {to} had passed the tap.",
        span(time(view, first).since(heard)),
        facts::name(view, provisional)
    );
    let detail = format!(
        "A provisional response ends the repeating of an INVITE (RFC 3261 17.1.1.2), so {from} did not get it: it was lost between the \
         tap and {from}, or was sent to another port. Look next at the path and any firewall between the tap and {from}."
    );
    Some(Finding::new(&T08, [late, vec![provisional]].concat(), summary, detail).cause(Cause::LostOnPath))
}

fn off_schedule(view: CallView<'_>, t: &Transaction, sent: &[MessageNo]) -> Option<Finding> {
    let invite = t.method == Method::Invite;
    let schedule = if invite { Schedule::Doubling } else { Schedule::Capped };
    let slowed = t.provisional.is_some_and(|no| sent.last().is_some_and(|last| no < *last));
    if sent.len() < 3
        || slowed
        || t.connection.transport != Transport::Udp
        || on_schedule(&at_times(view, sent), schedule)
    {
        return None;
    }
    let from = t.connection.src;
    let offsets: Vec<String> =
        sent.iter().take(11).map(|no| span(time(view, *no).since(time(view, sent[0])))).collect();
    let summary = format!("{from} repeated {} off the schedule of the standard.", facts::name(view, sent[0]));
    let detail = format!(
        "The sendings came at {}. The standard asks for 0.5 s, then twice the interval each time{} (RFC 3261 17.1). Copies that the \
         capture lacks can look like this too. Look next at the timer settings of {from}.",
        offsets.join(", "),
        if invite { "" } else { ", never more than 4 s" }
    );
    Some(Finding::new(&T06, sent.to_vec(), summary, detail))
}
