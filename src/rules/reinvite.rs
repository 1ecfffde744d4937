//! INVITE within a dialog: D08 glare that was not refused, D09 the retry after 491, D10 a second INVITE while the first
//! is open, D11 a re-INVITE or UPDATE that failed.

use super::facts::{self, CROSSING, Dialogs, TIMEOUT, TransactionNo, deepest, final_status, hop, span, status, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::Hop;
use crate::flow::Cause;
use crate::session::{CopyKind, Dialog, MessageNo, Transaction};
use crate::sip::{HeaderName, Method, RetryAfter};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::time::Duration;

static D08: Meta = Meta {
    code: "D08",
    name: "glare-not-refused",
    severity: Severity::Warning,
    title: "Both sides sent INVITE at once, and one was not refused with 491",
    basis: &["RFC 3261 14.2", "RFC 5407 3.3.1"],
    page: include_str!("../../docs/rules/D08-glare-not-refused.md"),
};
static D09: Meta = Meta {
    code: "D09",
    name: "retry-after-glare",
    severity: Severity::Info,
    title: "After 491 the request was repeated too soon, too late or not at all",
    basis: &["RFC 3261 14.1", "RFC 3311 5.3"],
    page: include_str!("../../docs/rules/D09-retry-after-glare.md"),
};
static D10: Meta = Meta {
    code: "D10",
    name: "second-invite-while-open",
    severity: Severity::Warning,
    title: "A second INVITE was sent within a call while the first was open",
    basis: &["RFC 3261 14.1", "RFC 3261 14.2"],
    page: include_str!("../../docs/rules/D10-second-invite-while-open.md"),
};
static D11: Meta = Meta {
    code: "D11",
    name: "change-of-call-failed",
    severity: Severity::Info,
    title: "A re-INVITE or UPDATE was refused; the call goes on as before",
    basis: &["RFC 3261 14.1", "RFC 3311 5.3"],
    page: include_str!("../../docs/rules/D11-change-of-call-failed.md"),
};

/// How far the way to the tap and slow timers may shift a retry.
const TIMER_SLACK: Duration = Duration::from_millis(200);
/// What capture points may swap.
const SWAPPED: Duration = Duration::from_millis(10);
/// A client that hears nothing repeats its INVITE after T1 = 500 ms; later than this it had a response.
const REPEATED_BY: Duration = Duration::from_millis(700);
/// Copies of an INVITE that are looked at to see whether it was repeated.
const COPIES: usize = 8;
/// When the owner of the Call-ID tries again after 491, and when the other side does (RFC 3261 14.1).
const OWNER: (Duration, Duration) = (Duration::from_millis(2100), Duration::from_secs(4));
const OTHER: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(2));

/// See the module.
pub(super) struct ReInvite;

impl Rule for ReInvite {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&D08, &D09, &D10, &D11] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::REINVITE) || context.outline().of_method(&[Method::Update])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if !view.call.transactions.iter().any(|t| changes_call(view, t)) {
            return;
        }
        let acked = acknowledged(view);
        let mut glare: Vec<Option<MessageNo>> = vec![None; view.call.transactions.len()];
        for dialog in &view.call.dialogs {
            invites(view, dialog, &acked, &mut glare, findings);
            retries(view, dialog, findings);
        }
        for at in deepest(view, |at, t| glare[at.at()].is_some() && accepted_glare(view, t).is_some()) {
            findings.extend(glare[at.at()].and_then(|first| not_refused(view, view.call.transaction(at), first)));
        }
        let dialogs = context.dialogs();
        for at in deepest(view, |_, t| failure(view, t, dialogs).is_some()) {
            let t = view.call.transaction(at);
            findings.extend(failure(view, t, dialogs).and_then(|answer| failed(view, t, answer)));
        }
    }
}

/// Whether this is a re-INVITE or UPDATE.
fn changes_call(view: CallView<'_>, t: &Transaction) -> bool {
    matches!(t.method, Method::Invite | Method::Update) && t.request.is_some_and(|no| !view.sip(no).to_tag().is_empty())
}

/// Which INVITEs have an ACK, so that they ended though the capture may lack how.
fn acknowledged(view: CallView<'_>) -> Vec<bool> {
    let mut acked: Vec<bool> = view.call.transactions.iter().map(|t| t.ack.is_some()).collect();
    let acks = view.call.transactions.iter().filter(|t| t.method == Method::Ack);
    acks.filter_map(|t| t.invite).for_each(|at| acked[at.at()] = true);
    acked
}

/// The last INVITE of each side on one hop, the caller's first.
type Last = HashMap<Idx<Hop>, [Option<TransactionNo>; 2], RandomState>;

/// D10, and for each INVITE that met one of the other way, that one (D08).
fn invites(
    view: CallView<'_>,
    dialog: &Dialog,
    acked: &[bool],
    glare: &mut [Option<MessageNo>],
    findings: &mut Vec<Finding>,
) {
    let mut last = Last::default();
    let mut told = false;
    for at in dialog.created_by.iter().chain(&dialog.transactions).copied() {
        let t = view.call.transaction(at);
        let Some(request) = t.request.filter(|_| t.method == Method::Invite) else { continue };
        let side = usize::from(view.sip(request).from_tag() != dialog.caller_tag);
        let sides = last.entry(hop(view, request)).or_default();
        if changes_call(view, t) {
            let open = |other: Option<TransactionNo>| other.and_then(|other| still_open(view, other, request, acked));
            let (own, theirs) = (open(sides[side]), open(sides[1 - side]));
            glare[at.at()] = theirs.and_then(|open| open.invite.request).filter(|no| is_within(view, *no));
            let second = own
                .filter(|open| open.invite.cseq < t.cseq)
                .map(|open| (open, true))
                .or_else(|| theirs.filter(|open| is_known(view, open.invite, request)).map(|open| (open, false)));
            if let Some((open, own)) = second.filter(|_| !told && view.sip(request).via_count() == 1) {
                told = true;
                findings.extend(second_invite(view, t, &open, own));
            }
        }
        sides[side] = Some(at);
    }
}

fn is_within(view: CallView<'_>, no: MessageNo) -> bool {
    !view.sip(no).to_tag().is_empty()
}

/// An INVITE without final response so far.
#[derive(Clone, Copy)]
struct Open<'a> {
    invite: &'a Transaction,
    /// Its final response came later; otherwise the capture may merely lack it.
    proved: bool,
}

/// Whether an INVITE was open when `later` passed.
fn still_open<'a>(view: CallView<'a>, at: TransactionNo, later: MessageNo, acked: &[bool]) -> Option<Open<'a>> {
    let invite = view.call.transaction(at);
    let request = invite.request.filter(|no| *no < later)?;
    let waited = time(view, later).since(time(view, request));
    if let Some(answer) = invite.final_response {
        let swapped = time(view, answer).since(time(view, later)) <= SWAPPED;
        return (answer > later && !swapped).then_some(Open { invite, proved: true });
    }
    let given_up = waited >= TIMEOUT;
    let copies = view.call.with_copies(request).skip(1).take(COPIES);
    let repeats = copies.filter_map(|no| view.call.message(no).copy).any(|copy| copy.kind == CopyKind::Retransmission);
    let unseen = invite.provisional.is_none() && waited > REPEATED_BY && !repeats;
    (!acked[at.at()] && !given_up && !unseen).then_some(Open { invite, proved: false })
}

/// Whether the sender of `later` had this INVITE of the other side before: it had answered it provisionally, or
/// it passed so long before that the two did not cross.
fn is_known(view: CallView<'_>, invite: &Transaction, later: MessageNo) -> bool {
    let long = invite.request.is_some_and(|no| time(view, later).since(time(view, no)) > CROSSING);
    long || invite.provisional.is_some_and(|no| no < later)
}

/// D10.
fn second_invite(view: CallView<'_>, t: &Transaction, open: &Open<'_>, own: bool) -> Option<Finding> {
    let (request, first) = (t.request?, open.invite.request?);
    let (from, to) = (facts::sender(view, request), facts::receiver(view, request));
    let whose = if own { "its own INVITE".to_owned() } else { format!("the INVITE of {to}") };
    let summary = format!(
        "{from} sent a new INVITE within the call {} after {whose}, which had no final response yet.",
        span(time(view, request).since(time(view, first)))
    );
    let answered = match t.final_response {
        Some(no) if own && !asks_to_wait(view, no) => format!(
            " {to} answered with {}; a second INVITE of the same side is refused with 500 and Retry-After of 0 to 10 s (14.2).",
            facts::name(view, no)
        ),
        _ => String::new(),
    };
    let detail = format!(
        "One INVITE at a time: the next one waits until the one before has ended, whichever side sent it (RFC 3261 14.1). Two at once leave open \
         which media the call has.{answered} Look next at the software of {from}, and whether it got the responses to the first \
         INVITE (CSeq {}).",
        open.invite.cseq
    );
    let finding = Finding::new(&D10, vec![request, first], summary, detail);
    Some(if open.proved { finding } else { finding.severity(Severity::Info).open() })
}

/// 500 with Retry-After between 0 and 10 s.
fn asks_to_wait(view: CallView<'_>, answer: MessageNo) -> bool {
    let after = view.sip(answer).header(HeaderName::RetryAfter).and_then(RetryAfter::parse);
    status(view, answer) == 500 && after.is_some_and(|after| after.seconds <= 10)
}

/// The final response of an INVITE that should have been 491. What proxies answer, and the end of the call, come
/// first.
fn accepted_glare(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.final_response.filter(|no| !matches!(status(view, *no), 401 | 407 | 408 | 481 | 487 | 491 | 501..))
}

/// D08: `first` had passed on its way when this INVITE came against it, so that it was open at its sender when
/// this one arrived there.
fn not_refused(view: CallView<'_>, t: &Transaction, first: MessageNo) -> Option<Finding> {
    let (request, answer) = (t.request?, accepted_glare(view, t)?);
    let apart = time(view, request).since(time(view, first));
    let wait = time(view, answer).since(time(view, request));
    if apart <= SWAPPED && wait <= CROSSING {
        return None;
    }
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!(
        "{server} answered the INVITE of {client} with {} although an INVITE of its own, sent {} before, was still open.",
        facts::name(view, answer),
        span(apart)
    );
    let detail = format!(
        "When both sides change a call at once (glare), each one refuses the INVITE of the other with 491 and tries again later (RFC 3261 14.2, \
         14.1). Otherwise the two may end with different ideas of the media. Look next whether sound or hold is right after this, \
         and at the software of {server}."
    );
    let finding = Finding::new(&D08, vec![answer, request, first], summary, detail);
    // A tap sees another order than the endpoints do, but not by more than a round trip.
    Some(if wait > CROSSING { finding } else { finding.open() })
}

/// A request refused with 491 whose retry is awaited.
#[derive(Clone, Copy)]
struct Refused {
    request: MessageNo,
    answer: MessageNo,
    /// The other side changed the call since, so that a retry may have lost its purpose.
    overtaken: bool,
}

/// D09, next to the client. Who started the call owns its Call-ID.
fn retries(view: CallView<'_>, dialog: &Dialog, findings: &mut Vec<Finding>) {
    let mut waiting: HashMap<Idx<Hop>, [Option<Refused>; 2], RandomState> = HashMap::default();
    for at in &dialog.transactions {
        let t = view.call.transaction(*at);
        let Some(request) = t.request.filter(|_| changes_call(view, t)) else { continue };
        let side = usize::from(view.sip(request).from_tag() != dialog.caller_tag);
        let sides = waiting.entry(hop(view, request)).or_default();
        if let Some(refused) = sides[side].filter(|refused| refused.answer < request) {
            sides[side] = None;
            findings.extend(retried(view, refused, request, side == 0));
        }
        if let Some(other) = &mut sides[1 - side] {
            other.overtaken = true;
        }
        if let Some(answer) = t.final_response.filter(|no| status(view, *no) == 491)
            && view.sip(request).via_count() == 1
        {
            sides[side] = Some(Refused { request, answer, overtaken: false });
        }
    }
    let mut left: Vec<Refused> = waiting.into_values().flatten().flatten().collect();
    left.sort_by_key(|refused| refused.answer);
    let lives_on = dialog.bye.is_none();
    findings.extend(left.into_iter().filter(|_| lives_on).filter_map(|refused| not_retried(view, refused)));
}

fn retried(view: CallView<'_>, refused: Refused, request: MessageNo, owner: bool) -> Option<Finding> {
    let (from, to) = if owner { OWNER } else { OTHER };
    let wait = time(view, request).since(time(view, refused.answer));
    if wait >= TIMEOUT {
        return not_retried(view, refused);
    }
    let early = wait + TIMER_SLACK < from;
    let late = wait > to + TIMER_SLACK && !refused.overtaken;
    if !early && !late {
        return None;
    }
    let client = facts::sender(view, request);
    let summary = format!(
        "{client} repeated its {} {} after the 491, {}.",
        facts::name(view, request),
        span(wait),
        if early { "too soon" } else { "rather late" }
    );
    let finding = Finding::new(&D09, vec![request, refused.answer], summary, times(&client));
    Some(if early { finding } else { finding.open() })
}

fn not_retried(view: CallView<'_>, refused: Refused) -> Option<Finding> {
    if refused.overtaken || view.capture_after(time(view, refused.answer)) < TIMEOUT {
        return None;
    }
    let client = facts::sender(view, refused.request);
    let summary = format!("{client} did not repeat its {} after the 491.", facts::name(view, refused.request));
    let finding = Finding::new(&D09, vec![refused.answer, refused.request], summary, times(&client));
    Some(finding.open().cause(Cause::NotSent))
}

fn times(client: &str) -> String {
    format!(
        "After 491 the side that started the call tries again after 2.1 to 4 s, the other one after 0 to 2 s, so that they do not meet again \
         (RFC 3261 14.1). A side that no longer wants the change need not try. Look next whether the call has the media that it should, \
         and at the software of {client}."
    )
}

/// The failure of a re-INVITE or UPDATE that is no step of an ordinary retry. 481 says that the call is gone
/// (B04), as does a BYE.
fn failure(view: CallView<'_>, t: &Transaction, dialogs: &Dialogs<'_>) -> Option<MessageNo> {
    let refused = final_status(view, t)? >= 400 && changes_call(view, t);
    let answer = t.final_response.filter(|_| refused)?;
    let ordinary = matches!(status(view, answer), 401 | 407 | 422 | 481 | 487 | 491);
    let bye = dialogs.with(view.sip(answer)).and_then(|dialog| view.call.transaction(dialog.bye?).messages.first());
    (!ordinary && bye.is_none_or(|bye| *bye > answer)).then_some(answer)
}

/// D11.
fn failed(view: CallView<'_>, t: &Transaction, answer: MessageNo) -> Option<Finding> {
    let request = t.request?;
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary = format!(
        "{server} refused the {} by which {client} wanted to change the call with {}.",
        facts::name(view, request),
        facts::name(view, answer)
    );
    let after = if status(view, answer) == 408 {
        "After a timeout the client ends the call with BYE"
    } else {
        "The call goes on as if it had not been sent: same media, same addresses"
    };
    let detail = format!(
        "{after} (RFC 3261 14.1). Hold, transfer or a change of codec did not happen. Look next at Reason and Warning of the response, and \
         whether media goes on unchanged."
    );
    Some(Finding::new(&D11, vec![answer, request], summary, detail))
}
