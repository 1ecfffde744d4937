//! How a call ends: B02 BYE refused, B03 BYE too early, B05 traffic after it, B06 an INVITE left open by it, B07 no
//! BYE at all.

use super::facts::{
    self, CROSSING, TIMEOUT, TransactionNo, deepest, final_status, heard, judged, on_route, span, success, time,
};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Cause, judge};
use crate::session::{Dialog, DialogState, MessageNo, Transaction};
use crate::sip::Method;
use std::time::Duration;

static B02: Meta = Meta {
    code: "B02",
    name: "bye-refused",
    severity: Severity::Warning,
    title: "A BYE was refused",
    basis: &["RFC 3261 15.1.1", "RFC 3261 15.1.2"],
    page: include_str!("../../docs/rules/B02-bye-refused.md"),
};
static B03: Meta = Meta {
    code: "B03",
    name: "bye-too-early",
    severity: Severity::Warning,
    title: "The called side sent BYE before the call was set up",
    basis: &["RFC 3261 15", "RFC 5407 3.1.3"],
    page: include_str!("../../docs/rules/B03-bye-too-early.md"),
};
static B05: Meta = Meta {
    code: "B05",
    name: "traffic-after-bye",
    severity: Severity::Warning,
    title: "A request was sent within a call that had ended",
    basis: &["RFC 3261 15.1.1", "RFC 5407 3.2"],
    page: include_str!("../../docs/rules/B05-traffic-after-bye.md"),
};
static B06: Meta = Meta {
    code: "B06",
    name: "pending-invite-dropped",
    severity: Severity::Info,
    title: "An INVITE that was open when the call ended got no final response",
    basis: &["RFC 3261 15.1.2", "RFC 5407 appendix B"],
    page: include_str!("../../docs/rules/B06-pending-invite-dropped.md"),
};
static B07: Meta = Meta {
    code: "B07",
    name: "call-not-released",
    severity: Severity::Warning,
    title: "An answered call has no BYE in the capture",
    basis: &["RFC 3261 15", "RFC 4028 10"],
    page: include_str!("../../docs/rules/B07-call-not-released.md"),
};

/// A call that was silent for less at the end of the capture may have been about to end.
const QUIET: Duration = Duration::from_secs(4);

/// See the module.
pub(super) struct Bye;

impl Rule for Bye {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&B02, &B03, &B05, &B06, &B07] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        !context.view.call.dialogs.is_empty() || context.outline().of_method(&[Method::Bye])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let refusals = deepest(view, |_, t| t.method == Method::Bye && final_status(view, t).is_some_and(is_refusal));
        if !refusals.is_empty() {
            let excuses = excuses(view);
            let judge = |at: TransactionNo| refused(view, view.call.transaction(at), excuses[at.at()]);
            findings.extend(refusals.into_iter().filter_map(judge));
        }
        for dialog in &view.call.dialogs {
            findings.extend(too_early(view, dialog));
            findings.extend(after_the_end(view, dialog));
            findings.extend(not_released(view, dialog));
        }
        if !view.call.transactions.iter().any(is_open) {
            return;
        }
        let dropped = open_at_bye(view);
        for at in deepest(view, |at, t| dropped[at.at()].is_some() && is_open(t)) {
            findings.extend(dropped[at.at()].and_then(|ended| left_open(view, at, ended)));
        }
    }
}

/// An INVITE without an end.
fn is_open(t: &Transaction) -> bool {
    t.method == Method::Invite && t.final_response.is_none() && t.ack.is_none()
}

/// A challenge is no refusal: the BYE comes again with credentials.
fn is_refusal(status: u16) -> bool {
    status >= 400 && status != 401 && status != 407
}

/// What excuses the refusal of a BYE.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// The other side sent a BYE at the same moment (RFC 5407 3.2.1).
    Crossed,
    /// The other side had hung up before.
    HungUp,
    /// The capture did not see the dialog set up (rule B04 tells those).
    UnknownDialog,
}

/// For each transaction that is a BYE, what excuses its refusal.
fn excuses(view: CallView<'_>) -> Vec<Option<Excuse>> {
    let mut marked = vec![None; view.call.transactions.len()];
    for dialog in &view.call.dialogs {
        let byes = || dialog.transactions.iter().filter(|at| view.call.transaction(**at).method == Method::Bye);
        // The answer to a BYE that the capture lacks counts as that BYE.
        let sent = |by_caller: bool| {
            let firsts = byes().filter_map(|at| view.call.transaction(*at).messages.first().copied());
            firsts.filter(move |no| (view.sip(*no).from_tag() == dialog.caller_tag) == by_caller).min()
        };
        let excuse = match (sent(true), sent(false)) {
            (Some(one), Some(two)) if gap(view, one, two) <= CROSSING => Some(Excuse::Crossed),
            (Some(_), Some(_)) => Some(Excuse::HungUp),
            _ if dialog.created_by.is_empty() => Some(Excuse::UnknownDialog),
            _ => None,
        };
        byes().for_each(|at| marked[at.at()] = excuse);
    }
    marked
}

fn gap(view: CallView<'_>, a: MessageNo, b: MessageNo) -> Duration {
    time(view, b.max(a)).since(time(view, a.min(b)))
}

/// B02.
fn refused(view: CallView<'_>, t: &Transaction, excuse: Option<Excuse>) -> Option<Finding> {
    let answer = t.final_response?;
    let lost = facts::status(view, answer) == 481;
    if lost && t.request.is_some_and(|no| view.sip(no).to_tag().is_empty()) {
        return None; // rule B04 tells it
    }
    if excuse == Some(Excuse::Crossed) || (lost && excuse == Some(Excuse::UnknownDialog)) {
        return None;
    }
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!("{server} answered the BYE of {client} with {}.", facts::name(view, answer));
    let why = match (excuse, lost) {
        (Some(Excuse::HungUp), _) => {
            "The other side had hung up before, so the call was gone already; that is harmless."
        }
        (_, true) => {
            "481 says that the called side knows no such call: it ended it before, or Call-ID or tags do not match."
        }
        _ => "The sender treats the call as ended all the same (RFC 3261 15.1.1).",
    };
    let detail = format!(
        "A BYE within a known call is answered 200 (RFC 3261 15.1.2). {why} Look next at CSeq, tags and Route of the BYE, and whether \
         {server} still holds the call."
    );
    let severity = if excuse == Some(Excuse::HungUp) { Severity::Info } else { Severity::Warning };
    Some(Finding::new(&B02, t.request.into_iter().chain([answer]).collect(), summary, detail).severity(severity))
}

/// The first BYE of a dialog, as a message.
fn first_bye(view: CallView<'_>, dialog: &Dialog) -> Option<MessageNo> {
    view.call.transaction(dialog.bye?).request
}

/// The 2xx that confirmed a dialog, with its INVITE.
fn answer<'a>(view: CallView<'a>, dialog: &Dialog) -> Option<(&'a Transaction, MessageNo)> {
    let confirmed = dialog.confirmed?;
    let at = view.call.message(confirmed).transaction?;
    let t = view.call.transaction(at);
    let is_answer = t.method == Method::Invite && (200..300).contains(&facts::status(view, confirmed));
    is_answer.then_some((t, confirmed))
}

/// B03. An ACK shortly after the BYE crossed it (RFC 5407 3.1.6).
fn too_early(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    let bye = first_bye(view, dialog)?;
    if view.sip(bye).from_tag() != dialog.callee_tag || dialog.created_by.is_empty() {
        return None;
    }
    // An ACK proves an answer that the capture lacks.
    if dialog.answer.is_none() && dialog.ack.is_some() {
        return None;
    }
    let set_up = dialog.confirmed.filter(|no| *no < bye);
    if let Some(set_up) = set_up {
        let (t, answered) = answer(view, dialog)?;
        let acknowledged = dialog.ack.is_some_and(|ack| time(view, ack).since(time(view, bye)) <= CROSSING);
        let gave_up = time(view, bye).since(time(view, answered)) + CROSSING >= TIMEOUT;
        if acknowledged || gave_up || !on_route(view, t) || !heard(view, t.connection) || answered != set_up {
            return None;
        }
    }
    let (callee, caller) = (facts::sender(view, bye), facts::receiver(view, bye));
    let before = if set_up.is_some() { "before the ACK to its answer had come" } else { "before it had answered" };
    let summary = format!("{callee} sent BYE to {caller} {before}.");
    let detail = "The called side may not end a call with BYE before the ACK has come, or 64*T1 has passed; to refuse a call that still \
                  rings it sends a failure response (RFC 3261 15; RFC 5407 3.1.3). Look next whether the ACK was lost before the tap, \
                  and at the software of the called side.";
    let finding = Finding::new(&B03, vec![bye], summary, detail);
    Some(if set_up.is_some() && dialog.ack.is_none() { finding.severity(Severity::Info).open() } else { finding })
}

/// B05. Subscriptions live on after the BYE (RFC 6665 4.5), and a BYE of the other side may cross.
fn after_the_end(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    let bye = view.call.transaction(dialog.bye?);
    let ended = success(view, bye)?;
    let alien = |method| {
        !matches!(
            method,
            Method::Bye | Method::Ack | Method::Cancel | Method::Notify | Method::Subscribe | Method::Prack
        )
    };
    let late = dialog.transactions.iter().find_map(|at| {
        let t = view.call.transaction(*at);
        let request = t.request.filter(|_| alien(t.method))?;
        (time(view, request).since(time(view, ended)) > CROSSING).then_some(request)
    })?;
    let from = facts::sender(view, late);
    let what = facts::name(view, late);
    let summary = format!(
        "{from} sent {what} {} after the call had ended with BYE.",
        span(time(view, late).since(time(view, ended)))
    );
    let detail = format!(
        "A BYE and its 200 end the call; nothing but late copies may follow in it (RFC 3261 15.1.1, RFC 5407 3.2). {from} does not know \
         that the call is over. Look next whether the BYE and its answer reached {from}, or an element between ended the call for it."
    );
    Some(Finding::new(&B05, vec![late, ended], summary, detail))
}

/// For each INVITE that is open when a BYE of its dialog is answered, that answer. Where an INVITE rings at several
/// phones, the others go on.
fn open_at_bye(view: CallView<'_>) -> Vec<Option<MessageNo>> {
    let mut open = vec![None; view.call.transactions.len()];
    let mut early = vec![0_u32; open.len()];
    view.call.dialogs.iter().flat_map(|dialog| &dialog.created_by).for_each(|at| early[at.at()] += 1);
    let acknowledged = view.call.transactions.iter().filter(|t| t.method == Method::Ack).filter_map(|t| t.invite);
    acknowledged.for_each(|at| early[at.at()] += 2);
    for dialog in &view.call.dialogs {
        let Some(ended) = dialog.bye.and_then(|bye| success(view, view.call.transaction(bye))) else {
            continue;
        };
        for at in dialog.created_by.iter().chain(&dialog.transactions) {
            let t = view.call.transaction(*at);
            let sent_before = t.request.is_some_and(|no| no < ended);
            if t.method == Method::Invite && sent_before && early[at.at()] < 2 {
                open[at.at()] = Some(ended);
            }
        }
    }
    open
}

/// B06.
fn left_open(view: CallView<'_>, at: TransactionNo, ended: MessageNo) -> Option<Finding> {
    let t = view.call.transaction(at);
    let request = t.request?;
    let left = view.capture_after(time(view, ended));
    if left < TIMEOUT || !heard(view, t.connection.reversed()) {
        return None;
    }
    let (client, server) = (t.connection.src, t.connection.dst);
    let summary =
        format!("The call ended with BYE, and the INVITE of {client} that was open then got no final response.");
    let detail = format!(
        "A BYE ends the dialog, but each request that is open in it is still answered, with 487 (RFC 3261 15.1.2). Without it {client} waits, \
         and repeats its INVITE until its timer ends. Nothing came in the {} after the BYE. Look next at the software of {server}.",
        span(left)
    );
    let judgement = judge(view, &Absent::FinalResponse(at));
    if judgement.cause == Cause::NotCaptured {
        return None; // rule T03 tells it
    }
    let missing = facts::owed_back(view, "487 Request Terminated", request);
    Some(judged(Finding::new(&B06, vec![request, ended], summary, detail), &judgement).missing(missing))
}

/// B07. Without media to look at a long call cannot be told from one that was forgotten, so this only
/// informs, unless the answer to the BYE shows that it was not captured.
fn not_released(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    let (t, answered) = answer(view, dialog)?;
    dialog.ack?;
    if let Some(bye) = dialog.bye.map(|at| view.call.transaction(at)) {
        let response = bye.messages.first().filter(|_| bye.request.is_none())?;
        return heard(view, bye.connection).then(|| bye_not_captured(view, *response));
    }
    let quiet = view.capture_after(view.call.end);
    if quiet < QUIET || dialog.state == DialogState::Terminated || !on_route(view, t) {
        return None;
    }
    let (callee, caller) = (t.connection.dst, t.connection.src);
    let summary = format!(
        "The call of {caller} to {callee} was answered and never ended in the capture, which goes on for {}.",
        span(quiet)
    );
    let detail = "Each call ends with a BYE of one side (RFC 3261 15); one that was lost would have been sent again, so nobody sent one \
                  here. The call may simply have lasted longer than the capture. Look next whether media still flows, and capture longer.";
    Some(Finding::new(&B07, vec![answered], summary, detail).severity(Severity::Info).open().cause(Cause::NotSent))
}

fn bye_not_captured(view: CallView<'_>, response: MessageNo) -> Finding {
    let (server, client) = (facts::sender(view, response), facts::receiver(view, response));
    let summary = format!(
        "The BYE of {client} is not in the capture, but {server} answered it with {}.",
        facts::name(view, response)
    );
    let detail = "The call ended as it should: a response proves its request. The capture lacks the BYE. Look next at drop counters and \
                  the filter of the capture.";
    let placed = view.call.message(response);
    let missing = super::MissingMessage { what: "BYE".to_owned(), from: placed.to, to: placed.from, after: response };
    Finding::new(&B07, vec![response], summary, detail)
        .severity(Severity::Info)
        .open()
        .cause(Cause::NotCaptured)
        .missing(missing)
}
