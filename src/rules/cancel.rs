//! CANCEL and what follows it: C02 the INVITE does not end, C03 487 without a cause, C05 too late,
//! C07 refused, C08 the answer crossed it and the call was left up.

use super::facts::{
    self, AT_ONCE, Acks, CANCEL_CROSSES, Dialogs, TIMEOUT, TransactionNo, deepest, final_status, heard, judged,
    on_route, plain, sendings, span, success, time,
};
use super::{Context, Finding, Meta, MissingMessage, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::flow::{Absent, Cause, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Method};
use std::time::Duration;

static C02: Meta = Meta {
    code: "C02",
    name: "cancelled-invite-never-ends",
    severity: Severity::Error,
    title: "The CANCEL was accepted, but the INVITE got no final response",
    basis: &["RFC 3261 9.1", "RFC 3261 9.2"],
    page: include_str!("../../docs/rules/C02-cancelled-invite-never-ends.md"),
};
static C03: Meta = Meta {
    code: "C03",
    name: "terminated-without-cancel",
    severity: Severity::Warning,
    title: "An INVITE was answered 487 although nobody cancelled it",
    basis: &["RFC 3261 9.2", "RFC 3261 15.1.2", "RFC 3261 21.4.25"],
    page: include_str!("../../docs/rules/C03-terminated-without-cancel.md"),
};
static C05: Meta = Meta {
    code: "C05",
    name: "cancel-too-late",
    severity: Severity::Info,
    title: "A CANCEL was sent after the final response had passed",
    basis: &["RFC 3261 9.1"],
    page: include_str!("../../docs/rules/C05-cancel-too-late.md"),
};
static C07: Meta = Meta {
    code: "C07",
    name: "cancel-refused",
    severity: Severity::Warning,
    title: "A CANCEL was refused",
    basis: &["RFC 3261 9.2"],
    page: include_str!("../../docs/rules/C07-cancel-refused.md"),
};
static C08: Meta = Meta {
    code: "C08",
    name: "answer-crossed-cancel",
    severity: Severity::Error,
    title: "The answer crossed the CANCEL, and the call was left up",
    basis: &["RFC 3261 9.1", "RFC 3261 13.2.2.4", "RFC 5407 3.1.2"],
    page: include_str!("../../docs/rules/C08-answer-crossed-cancel.md"),
};

/// See the module.
pub(super) struct Cancel;

impl Rule for Cancel {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&C02, &C03, &C05, &C07, &C08] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Cancel]) || context.outline().answered(&[487])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let cancels = by_invite(view);
        for at in deepest(view, |at, t| {
            t.final_response.is_none() && t.ack.is_none() && accepted(view, cancels[at.at()]).is_some()
        }) {
            findings.extend(never_ends(view, at, cancels[at.at()]));
        }
        findings.extend(without_cause(view));
        let acks = context.acks();
        let dialogs = context.dialogs();
        for (at, t) in view.transactions() {
            match t.method {
                Method::Cancel => {
                    findings.extend(too_late(view, t));
                    findings.extend(refused(view, t));
                }
                Method::Invite => {
                    findings.extend(left_up(view, t, cancels[at.at()], acks, dialogs));
                }
                _ => {}
            }
        }
    }
}

/// For each transaction the CANCEL that is meant for it.
pub(super) fn by_invite(view: CallView<'_>) -> Vec<Option<TransactionNo>> {
    let mut cancels = vec![None; view.call.transactions.len()];
    for (at, t) in view.transactions().filter(|(_, t)| t.method == Method::Cancel) {
        if let Some(invite) = t.invite {
            cancels[invite.at()].get_or_insert(at);
        }
    }
    cancels
}

/// The 2xx to a CANCEL.
fn accepted(view: CallView<'_>, cancel: Option<TransactionNo>) -> Option<MessageNo> {
    success(view, view.call.transaction(cancel?))
}

/// C02.
fn never_ends(view: CallView<'_>, at: TransactionNo, cancel: Option<TransactionNo>) -> Option<Finding> {
    let ok = accepted(view, cancel)?;
    let t = view.call.transaction(at);
    let left = view.capture_after(time(view, ok));
    if left < AT_ONCE {
        return None;
    }
    let (server, client) = (t.connection.dst, t.connection.src);
    let summary = format!(
        "{server} accepted the CANCEL of {client}, but its INVITE got no final response in the {} that followed.",
        span(left)
    );
    let detail = format!(
        "After a CANCEL the server ends the INVITE at once with 487 Request Terminated (RFC 3261 9.2); the client waits 64*T1 = 32 s for \
         it. Meanwhile the phone may go on ringing. Look next at {server}: did the CANCEL reach the element that rings, and was the 487 \
         lost on the way back?"
    );
    let placed = view.call.message(ok);
    let missing =
        MissingMessage { what: "487 Request Terminated".to_owned(), from: placed.from, to: placed.to, after: ok };
    let judgement = judge(view, &Absent::FinalResponse(at));
    let mut finding = judged(Finding::new(&C02, vec![ok], summary, detail), &judgement).missing(missing);
    if left < TIMEOUT {
        finding = finding.severity(Severity::Info).open();
    }
    Some(finding)
}

/// C03, once for a call: nothing in it asked for the end of the INVITE.
fn without_cause(view: CallView<'_>) -> Option<Finding> {
    let asked = view.transactions().any(|(_, t)| matches!(t.method, Method::Cancel | Method::Bye));
    if asked {
        return None;
    }
    let ended = deepest(view, |_, t| t.method == Method::Invite && final_status(view, t) == Some(487));
    let t = view.call.transaction(*ended.first()?);
    let answer = t.final_response?;
    if !heard(view, t.connection) || t.request.is_none() || expired(view, t, time(view, answer)) {
        return None;
    }
    let (server, client) = (t.connection.dst, t.connection.src);
    let summary = format!(
        "{server} ended the INVITE of {client} with {}, although no CANCEL or BYE is in the capture.",
        facts::name(view, answer)
    );
    let reason =
        view.sip(answer).header(HeaderName::Reason).map(|value| format!(" Its Reason header says: {}.", plain(value)));
    let detail = format!(
        "487 answers an INVITE that was cancelled, or whose early dialog was ended with BYE, or that expired (RFC 3261 9.2, 15.1.2, \
         21.4.25).{} Look next whether the CANCEL went another way than the INVITE, and at the log of {server}.",
        reason.unwrap_or_default()
    );
    Some(Finding::new(&C03, vec![answer], summary, detail).open())
}

/// Whether the INVITE said in Expires how long it may take, and that time has passed.
fn expired(view: CallView<'_>, t: &Transaction, when: Timestamp) -> bool {
    let limit = t.request.and_then(|request| {
        let value = std::str::from_utf8(view.sip(request).header(HeaderName::Expires)?).ok()?;
        Some(time(view, request).after(Duration::from_secs(value.trim().parse::<u32>().ok()?.into())))
    });
    limit.is_some_and(|limit| when >= limit)
}

/// C05.
fn too_late(view: CallView<'_>, cancel: &Transaction) -> Option<Finding> {
    let request = cancel.request?;
    let invite = view.call.transaction(cancel.invite?);
    let ended = invite.final_response.filter(|no| *no < request)?;
    let after = time(view, request).since(time(view, ended));
    if after <= CANCEL_CROSSES {
        return None;
    }
    let client = facts::sender(view, request);
    let summary = format!(
        "{client} sent CANCEL {} after {} to its INVITE had passed the tap.",
        span(after),
        facts::name(view, ended)
    );
    let detail = format!(
        "A CANCEL has no effect on a request that has its final response (RFC 3261 9.1). Perhaps that response never reached {client}: \
         then it is sent again, or the ACK is missing. To end an answered call takes a BYE."
    );
    Some(Finding::new(&C05, vec![request, ended], summary, detail))
}

/// C07. After a crossing it is what the standard asks for.
fn refused(view: CallView<'_>, cancel: &Transaction) -> Option<Finding> {
    // Of a challenge tells C09.
    let is_refusal = |no: &MessageNo| !matches!(facts::status(view, *no), 0..300 | 401 | 407);
    let answer = cancel.final_response.filter(is_refusal)?;
    // An ACK proves a final response that the capture lacks.
    let ended = cancel.invite.map(|invite| view.call.transaction(invite)).and_then(|t| t.final_response.or(t.ack));
    let crossed = ended.is_some_and(|ended| ended < answer);
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!("{server} answered the CANCEL of {client} with {}.", facts::name(view, answer));
    let why = match (crossed, cancel.invite) {
        (true, _) => "The INVITE had its final response by then, so there was nothing left to cancel.",
        (false, Some(_)) => {
            "The INVITE was still open, so the CANCEL did not match it (branch, sent-by, request line) or reached another element."
        }
        (false, None) => "No INVITE with this branch is in the capture.",
    };
    let detail = format!(
        "A server that finds no transaction for a CANCEL answers 481 (RFC 3261 9.2). {why} Look next whether the phone went on ringing, \
         and compare the top Via of CANCEL and INVITE."
    );
    let severity = if crossed { Severity::Info } else { Severity::Warning };
    Some(Finding::new(&C07, cancel.request.into_iter().chain([answer]).collect(), summary, detail).severity(severity))
}

/// C08: a 2xx although the caller cancelled needs ACK and BYE.
fn left_up(
    view: CallView<'_>,
    t: &Transaction,
    cancel: Option<TransactionNo>,
    acks: &Acks<'_>,
    dialogs: &Dialogs<'_>,
) -> Option<Finding> {
    let answer = success(view, t)?;
    let cancel_request = view.call.transaction(cancel?).request?;
    let early = time(view, cancel_request).since(time(view, answer)) <= CANCEL_CROSSES;
    // A proxy cancels its own forks; only what the caller cancelled counts.
    let left = view.capture_after(time(view, answer));
    if !early || t.upstream.is_some() || left < AT_ONCE || !on_route(view, t) || !heard(view, t.connection) {
        return None;
    }
    let acknowledged = !acks.to(view, answer).is_empty();
    let released = dialogs.with(view.sip(answer)).is_some_and(|dialog| dialog.bye.is_some());
    let owed = match (acknowledged, released) {
        (true, true) => return None,
        (false, true) => "ACK",
        (true, false) => "BYE",
        (false, false) => "ACK and BYE",
    };
    let (callee, caller) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!("{callee} answered while {caller} was cancelling, and {caller} did not send {owed}.");
    let detail = format!(
        "The 2xx and the CANCEL crossed, so the call exists. A caller that no longer wants it sends ACK and then BYE (RFC 3261 9.1, \
         13.2.2.4; RFC 5407 3.1.2). Now {callee} believes that it is in a call. Look next at how the software of {caller} handles a 2xx \
         after its CANCEL. The two passed the tap {} apart.",
        span(gap(time(view, answer), time(view, cancel_request)))
    );
    let missing = MissingMessage {
        what: owed.to_owned(),
        from: view.call.message(answer).to,
        to: view.call.message(answer).from,
        after: answer,
    };
    let absent = match view.call.message(answer).transaction {
        Some(invite) if released => Absent::AckTo2xx(invite),
        _ => Absent::FollowUp { after: answer },
    };
    let judgement = judge(view, &absent);
    let finding = Finding::new(&C08, vec![answer, cancel_request], summary, detail).missing(missing);
    let insisted = !acknowledged && sendings(view, answer).len() > 2;
    if insisted {
        return Some(finding.cause(Cause::NotSent));
    }
    let finding = judged(finding, &judgement);
    Some(if left < TIMEOUT { finding.severity(Severity::Info).open() } else { finding })
}

fn gap(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}
