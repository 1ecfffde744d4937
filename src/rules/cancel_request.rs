//! CANCEL as a request: C04 sent too early, C06 it does not match its INVITE, C09 for another method or challenged,
//! C10 not passed on by a proxy.

use super::facts::{
    self, AT_ONCE, CROSSING, TIMEOUT, TransactionNo, cut, heard, plain, sendings, span, status, success, time,
};
use super::{Context, Finding, Meta, MissingMessage, Rule, Severity, cancel, subject};
use crate::analysis::CallView;
use crate::flow::Cause;
use crate::session::timer::{self, Schedule};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Message, Method, Uri};
use std::time::Duration;

static C04: Meta = Meta {
    code: "C04",
    name: "cancel-too-early",
    severity: Severity::Warning,
    title: "A CANCEL was sent before any response to its INVITE",
    basis: &["RFC 3261 9.1"],
    page: include_str!("../../docs/rules/C04-cancel-too-early.md"),
};
static C06: Meta = Meta {
    code: "C06",
    name: "cancel-does-not-match",
    severity: Severity::Error,
    title: "A CANCEL does not match the INVITE it is meant for",
    basis: &["RFC 3261 9.1"],
    page: include_str!("../../docs/rules/C06-cancel-does-not-match.md"),
};
static C09: Meta = Meta {
    code: "C09",
    name: "cancel-out-of-place",
    severity: Severity::Info,
    title: "A CANCEL is for a request other than INVITE, or was challenged",
    basis: &["RFC 3261 9.1", "RFC 3261 22.1"],
    page: include_str!("../../docs/rules/C09-cancel-out-of-place.md"),
};
static C10: Meta = Meta {
    code: "C10",
    name: "cancel-not-passed-on",
    severity: Severity::Error,
    title: "A proxy accepted a CANCEL and let the INVITE it had passed on ring",
    basis: &["RFC 3261 16.10", "RFC 3261 16.7 item 10"],
    page: include_str!("../../docs/rules/C10-cancel-not-passed-on.md"),
};

/// A copy of the INVITE may come this much later than its timer says.
const TIMER_SLACK: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct CancelRequest;

impl Rule for CancelRequest {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&C04, &C06, &C09, &C10] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Cancel])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if !view.call.transactions.iter().any(|t| t.method == Method::Cancel) {
            return;
        }
        for (at, t, request) in facts::requests_of(view, Method::Cancel) {
            findings.extend(too_early(view, t));
            let alien = other_method(view, at, t, request);
            if alien.is_none() {
                findings.extend(mismatch(view, at, t, request));
            }
            findings.extend(alien);
            findings.extend(challenged(view, t, request));
        }
        let cancels = cancel::by_invite(view);
        for (at, t) in view.transactions().filter(|(_, t)| t.method == Method::Invite) {
            if cancels[at.at()].is_none() {
                findings.extend(not_passed_on(view, t, &cancels));
            }
        }
    }
}

/// C04. Over UDP a client that heard nothing repeats its INVITE: one that did not repeat it had a response.
fn too_early(view: CallView<'_>, cancel: &Transaction) -> Option<Finding> {
    let request = cancel.request?;
    let invite = view.call.transaction(cancel.invite?);
    let asked = invite.request.filter(|asked| *asked < request)?;
    let first = invite.provisional.into_iter().chain(invite.final_response).min();
    if first.is_some_and(|first| first < request) || !heard(view, invite.connection.reversed()) {
        return None;
    }
    let waited = time(view, request).since(time(view, asked));
    let copies = sendings(view, asked).into_iter().filter(|no| *no < request).count();
    let due = timer::offsets(Schedule::Doubling, timer::T1).take_while(|at| *at + TIMER_SLACK < waited).count();
    let reliable = invite.connection.transport.is_reliable();
    if !reliable && copies < due {
        return None;
    }
    // The first response came after it, or the copies show that there was none.
    let proved = first.is_some_and(|no| status(view, no) == 100) || (!reliable && copies > 1);
    let (client, server) = (facts::sender(view, request), facts::receiver(view, request));
    let summary =
        format!("{client} sent CANCEL {} after its INVITE, before {server} had given any response.", span(waited));
    let detail = format!(
        "A client waits for a provisional response before it cancels, since the CANCEL may otherwise overtake the INVITE, find nothing \
         to cancel, and leave the phone ringing (RFC 3261 9.1). Look next whether the INVITE ended with 487, and at the software of \
         {client}; if {server} is slow to answer, at that."
    );
    let finding = Finding::new(&C04, vec![request, asked], summary, detail);
    Some(if proved { finding } else { finding.open() })
}

/// C06.
fn mismatch(view: CallView<'_>, at: TransactionNo, cancel: &Transaction, request: MessageNo) -> Option<Finding> {
    let invite = match cancel.invite {
        Some(invite) => view.call.transaction(invite),
        None => meant(view, at, cancel, request)?,
    };
    let asked = invite.request.filter(|asked| *asked < request && !cut(view, *asked) && !cut(view, request))?;
    let differs = differences(view.sip(asked), view.sip(request), passed_unchanged(view, cancel));
    if differs.is_empty() {
        return None;
    }
    let (client, server) = (facts::sender(view, request), facts::receiver(view, request));
    let accepted = success(view, cancel).is_some();
    let summary = format!("The CANCEL of {client} to {server} differs from its INVITE in {}.", subject::list(&differs));
    let effect = if accepted {
        format!("{server} took it all the same")
    } else {
        format!("{server} finds no INVITE that fits, answers 481, and the phone rings on")
    };
    let detail = format!(
        "A CANCEL repeats Request-URI, Call-ID, From, To and CSeq number of its INVITE, and has one Via, the top one of it (RFC 3261 9.1); \
         the server finds the INVITE by them. Here {effect}. INVITE: {}. CANCEL: {}. Look next at the software of {client}.",
        identity(view.sip(asked)),
        identity(view.sip(request))
    );
    let finding = Finding::new(&C06, vec![request, asked], summary, detail);
    Some(if accepted { finding.severity(Severity::Warning) } else { finding })
}

/// The INVITE of this hop that was open when a CANCEL came that fits none.
fn meant<'a>(
    view: CallView<'a>,
    at: TransactionNo,
    cancel: &Transaction,
    request: MessageNo,
) -> Option<&'a Transaction> {
    let (asked, end) = (view.sip(request), cancel.connection);
    let open = subject::near(view.call, at).filter(|t| {
        let ours = t.connection.src.ip == end.src.ip && t.connection.dst.ip == end.dst.ip;
        let in_call = t.request.is_some_and(|no| no < request && view.sip(no).call_id() == asked.call_id());
        let pending = t.final_response.or(t.ack).is_none_or(|no| no > request);
        t.method == Method::Invite && ours && in_call && pending
    });
    open.max_by_key(|t| (t.request.is_some_and(|no| view.sip(no).branch() == asked.branch()), t.request))
}

/// A stateless proxy passes a CANCEL on as it is, with its own Via on top (RFC 3261 16.11): then the answer
/// comes back through it, later than the one behind it.
fn passed_unchanged(view: CallView<'_>, cancel: &Transaction) -> bool {
    let Some(up) = cancel.upstream.map(|up| view.call.transaction(up)) else {
        return true;
    };
    match (up.final_response, cancel.final_response) {
        (Some(up), Some(here)) => here < up,
        // Who got no answer asks again; who did not, got one that the capture lacks.
        (Some(_), None) => cancel.request.is_none_or(|no| sendings(view, no).len() == 1),
        (None, _) => true,
    }
}

/// What must be the same in both.
fn identity(message: &Message) -> String {
    format!(
        "{}, Via {};branch={}, From tag \"{}\", To tag \"{}\", CSeq {}",
        subject::address(message.request_uri()),
        plain(message.sent_by()),
        plain(message.branch()),
        plain(message.from_tag()),
        plain(message.to_tag()),
        message.cseq_number().unwrap_or(0)
    )
}

fn differences(invite: &Message, cancel: &Message, unchanged: bool) -> Vec<String> {
    let same = |a: &[u8], b: &[u8]| {
        a == b || matches!((Uri::parse(a), Uri::parse(b)), (Some(a), Some(b)) if a.same_resource(&b))
    };
    let vias = cancel.via_count() == 1 || (unchanged && cancel.via_count() == invite.via_count());
    [
        (same(invite.request_uri(), cancel.request_uri()), "the Request-URI"),
        (invite.branch() == cancel.branch() && invite.sent_by() == cancel.sent_by(), "the top Via"),
        (vias, "the number of Via"),
        (invite.cseq_number() == cancel.cseq_number(), "the CSeq number"),
        (invite.from_tag() == cancel.from_tag() && same(invite.from_uri(), cancel.from_uri()), "From"),
        (invite.to_tag() == cancel.to_tag() && same(invite.to_uri(), cancel.to_uri()), "To"),
    ]
    .into_iter()
    .filter(|(same, _)| !same)
    .map(|(_, what)| what.to_owned())
    .collect()
}

/// C09: the number is that of another request of this hop.
fn other_method(view: CallView<'_>, at: TransactionNo, cancel: &Transaction, request: MessageNo) -> Option<Finding> {
    if cancel.invite.is_some() {
        return None;
    }
    let here = || {
        subject::near(view.call, at).filter(|t| {
            let ours =
                t.connection.src.ip == cancel.connection.src.ip && t.connection.dst.ip == cancel.connection.dst.ip;
            let same_call = |no: MessageNo| view.sip(no).call_id() == view.sip(request).call_id() && no < request;
            ours && t.cseq == cancel.cseq && t.request.is_some_and(same_call)
        })
    };
    if here().any(|t| t.method == Method::Invite) {
        return None;
    }
    let t = here().find(|t| !matches!(t.method, Method::Ack | Method::Cancel))?;
    let asked = t.request?;
    let client = facts::sender(view, request);
    let method = facts::name(view, asked);
    let summary = format!("{client} sent CANCEL for its {method}.");
    let detail = format!(
        "Only INVITE takes long enough to be cancelled; other requests are answered at once, and a CANCEL for them comes too late or does \
         nothing (RFC 3261 9.1). Look next at the software of {client}."
    );
    Some(Finding::new(&C09, vec![request, asked], summary, detail))
}

/// C09: no credentials can be given, since a CANCEL is not sent again with another CSeq number.
fn challenged(view: CallView<'_>, cancel: &Transaction, request: MessageNo) -> Option<Finding> {
    let answer = cancel.final_response.filter(|no| matches!(status(view, *no), 401 | 407))?;
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!("{server} asked {client} for credentials for a CANCEL ({}).", facts::name(view, answer));
    let detail = format!(
        "A CANCEL has the CSeq number of its INVITE and cannot be sent again with credentials, so no server may challenge it (RFC 3261 22.1); \
         it is accepted when it comes from where the INVITE came from. Now the phone rings on. Look next at the access rules of \
         {server}."
    );
    Some(Finding::new(&C09, vec![request, answer], summary, detail).severity(Severity::Warning))
}

/// C10: the proxy answered the CANCEL, and this INVITE, which it had passed on before, rings on.
fn not_passed_on(view: CallView<'_>, t: &Transaction, cancels: &[Option<TransactionNo>]) -> Option<Finding> {
    let cancel = view.call.transaction(cancels[t.upstream?.at()]?);
    let (told, accepted) = (cancel.request?, success(view, cancel)?);
    let (request, provisional) = (t.request?, t.provisional?);
    // Owed once both a provisional response and the CANCEL have come; a CANCEL cannot stop what is just being answered.
    let due = time(view, accepted).max(time(view, provisional));
    let ended = t.final_response.map(|no| time(view, no));
    let crossed = ended.is_some_and(|ended| ended <= due.after(CROSSING));
    let terminated = t.final_response.is_some_and(|no| status(view, no) == 487);
    let left = view.capture_after(due);
    if request > told || crossed || terminated || t.ack.is_some() && t.final_response.is_none() || left < AT_ONCE {
        return None;
    }
    let (proxy, callee) = (t.connection.src, t.connection.dst);
    let summary = format!(
        "{proxy} accepted the CANCEL of {}, but sent none to {callee}, where it had sent the INVITE.",
        facts::sender(view, told)
    );
    let detail = format!(
        "A proxy that gets a CANCEL cancels all branches of the INVITE that have a provisional response and no final one (RFC 3261 16.10, 9.1). \
         Here {callee} had sent {}, and the {} that the capture goes on show no CANCEL to it: a phone rings although the caller \
         hung up. Look next at the log of {proxy}.",
        facts::name(view, provisional),
        span(left)
    );
    let placed = view.call.message(request);
    let missing = MissingMessage { what: "CANCEL".to_owned(), from: placed.from, to: placed.to, after: accepted };
    let finding =
        Finding::new(&C10, vec![accepted, provisional], summary, detail).missing(missing).cause(Cause::NotSent);
    // Ringing on for so long, or ending otherwise, shows that no CANCEL came that the capture merely lacks.
    let proved = ended.is_some() || left >= TIMEOUT;
    Some(if proved { finding } else { finding.severity(Severity::Warning).open() })
}
