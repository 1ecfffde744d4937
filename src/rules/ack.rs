//! The ACK to a 2xx: I01 missing, I02 not received, I03 the call then not ended, I05 wrong number,
//! I16 one of several answers left open.
//!
//! End to end: credited on whichever hop shows it, and not owed where no party of the hop is on the
//! route (RFC 3261 13.2.2.4, 12.1.2).

use super::facts::{
    self, AT_ONCE, Acks, CANCEL_CROSSES, CROSSING, Dialogs, TIMEOUT, TransactionNo, heard, judged, on_route, owed_back,
    owed_on, sendings, span, stretch, time, times,
};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Cause, Judgement, Verdict, judge};
use crate::session::MessageNo;
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

static I01: Meta = Meta {
    code: "I01",
    name: "ack-missing",
    severity: Severity::Error,
    title: "The 2xx to an INVITE was never acknowledged",
    basis: &["RFC 3261 13.3.1.4", "RFC 3261 13.2.2.4"],
    page: include_str!("../../docs/rules/I01-ack-missing.md"),
};
static I02: Meta = Meta {
    code: "I02",
    name: "ack-not-received",
    severity: Severity::Warning,
    title: "The 2xx was repeated although an ACK had passed",
    basis: &["RFC 3261 13.3.1.4", "RFC 3261 13.2.2.4"],
    page: include_str!("../../docs/rules/I02-ack-not-received.md"),
};
static I03: Meta = Meta {
    code: "I03",
    name: "unacknowledged-call-not-ended",
    severity: Severity::Warning,
    title: "No BYE followed a 2xx that was never acknowledged",
    basis: &["RFC 3261 13.3.1.4"],
    page: include_str!("../../docs/rules/I03-unacknowledged-call-not-ended.md"),
};
static I05: Meta = Meta {
    code: "I05",
    name: "ack-cseq-wrong",
    severity: Severity::Error,
    title: "An ACK has the CSeq number of no INVITE",
    basis: &["RFC 3261 13.2.2.4", "RFC 3261 17.1.1.3"],
    page: include_str!("../../docs/rules/I05-ack-cseq-wrong.md"),
};
static I16: Meta = Meta {
    code: "I16",
    name: "second-answer-left-open",
    severity: Severity::Error,
    title: "Several phones answered, and not all were acknowledged and released",
    basis: &["RFC 3261 13.2.2.4"],
    page: include_str!("../../docs/rules/I16-second-answer-left-open.md"),
};

/// The answering side has this long after 64*T1 for its BYE.
const BYE_GRACE: Duration = Duration::from_secs(5);
/// A 2xx repeated this long after an ACK means that the call is failing.
const FAILING: Duration = Duration::from_secs(16);

/// See the module.
pub(super) struct AckTo2xx;

impl Rule for AckTo2xx {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I01, &I02, &I03, &I05, &I16] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::UNACKED | Trait::RESENT | Trait::SEVERAL_TAGS | Trait::AFTER_FINAL)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let acks = context.acks();
        let answers = Answers::of(view, acks);
        answers.forks(view, acks, findings);
        for (key, answer) in &answers.list {
            if acks.to(view, answer.response).is_empty() {
                if !answers.wrong_acks.contains(&key.dialog())
                    && !answers.forked(key)
                    && !answers.cancelled[answer.invite.at()]
                {
                    unacknowledged(view, answer, &answers.dialogs, findings);
                }
                continue;
            }
            findings.extend(not_received(view, answer, acks));
        }
        answers.wrong_numbers(view, findings);
    }
}

/// Dialog and CSeq number of a 2xx to an INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    call_id: &'a [u8],
    caller_tag: &'a [u8],
    callee_tag: &'a [u8],
    cseq: u32,
}

type DialogKey<'a> = (&'a [u8], &'a [u8], &'a [u8]);

impl<'a> Key<'a> {
    fn dialog(self) -> DialogKey<'a> {
        (self.call_id, self.caller_tag, self.callee_tag)
    }
}

/// A 2xx to an INVITE, on the hop that showed it first: the one nearest to the phone that answered.
struct Answer {
    response: MessageNo,
    invite: TransactionNo,
    initial: bool,
}

struct Answers<'a> {
    /// In order of capture.
    list: Vec<(Key<'a>, Answer)>,
    dialogs: Dialogs<'a>,
    /// How many phones answered the same INVITE: (Call-ID, From tag, CSeq number).
    forks: HashMap<(&'a [u8], &'a [u8], u32), usize, RandomState>,
    /// Dialogs with an ACK of a CSeq number that no INVITE has, by that ACK.
    wrong_acks: HashSet<DialogKey<'a>, RandomState>,
    wrong: Vec<MessageNo>,
    /// INVITEs whose answer crossed a CANCEL of the caller (C08 tells what became of it).
    cancelled: Vec<bool>,
}

impl<'a> Answers<'a> {
    fn of(view: CallView<'a>, acks: &Acks<'a>) -> Self {
        let mut list: Vec<(Key<'a>, Answer)> = Vec::new();
        let mut known: HashSet<Key<'a>, RandomState> = HashSet::default();
        let mut forks: HashMap<_, usize, RandomState> = HashMap::default();
        for (no, seen) in view.messages() {
            let message = &seen.message;
            let placed = view.call.message(no);
            let Some(invite) = placed.transaction.filter(|_| placed.copy.is_none() && is_answer(message)) else {
                continue;
            };
            let key = Key {
                call_id: message.call_id(),
                caller_tag: message.from_tag(),
                callee_tag: message.to_tag(),
                cseq: message.cseq_number().unwrap_or(0),
            };
            if message.to_tag().is_empty() || !known.insert(key) {
                continue;
            }
            *forks.entry((key.call_id, key.caller_tag, key.cseq)).or_default() += 1;
            let request = view.call.transaction(invite).request;
            let initial = request.is_none_or(|request| view.sip(request).to_tag().is_empty());
            list.push((key, Answer { response: no, invite, initial }));
        }
        let (wrong_acks, wrong) = wrong_acks(view, &list, acks);
        Self { list, dialogs: Dialogs::of(view), forks, wrong_acks, wrong, cancelled: cancelled(view) }
    }

    /// Whether several phones answered this INVITE.
    fn forked(&self, key: &Key<'_>) -> bool {
        self.forks.get(&(key.call_id, key.caller_tag, key.cseq)).is_some_and(|count| *count > 1)
    }

    /// I16: of several answers, those that were neither acknowledged nor released.
    fn forks(&self, view: CallView<'_>, acks: &Acks<'_>, findings: &mut Vec<Finding>) {
        let mut kept: HashMap<(&[u8], &[u8], u32), MessageNo, RandomState> = HashMap::default();
        for (key, answer) in self.list.iter().filter(|(key, answer)| answer.initial && self.forked(key)) {
            let t = view.call.transaction(answer.invite);
            if view.capture_after(time(view, answer.response)) < TIMEOUT || !on_route(view, t) {
                continue;
            }
            let released = self.dialogs.with(view.sip(answer.response)).is_some_and(|dialog| dialog.bye.is_some());
            if acks.to(view, answer.response).is_empty() {
                findings.push(left_open(view, answer, released));
            } else if !released
                && let Some(other) = kept.insert((key.call_id, key.caller_tag, key.cseq), answer.response)
            {
                findings.push(both_kept(view, answer, other));
            }
        }
    }

    /// I05.
    fn wrong_numbers(&self, view: CallView<'_>, findings: &mut Vec<Finding>) {
        let mut told: HashSet<DialogKey<'_>, RandomState> = HashSet::default();
        for no in &self.wrong {
            let ack = view.sip(*no);
            if told.insert((ack.call_id(), ack.from_tag(), ack.to_tag())) {
                findings.push(wrong_number(view, *no));
            }
        }
    }
}

fn is_answer(message: &crate::sip::Message) -> bool {
    message.status().is_some_and(|status| (200..300).contains(&status)) && message.cseq_method() == Method::Invite
}

/// ACKs in a dialog with an answer that has no ACK of its own number, whose number no INVITE has.
fn wrong_acks<'a>(
    view: CallView<'a>,
    answers: &[(Key<'a>, Answer)],
    acks: &Acks<'a>,
) -> (HashSet<DialogKey<'a>, RandomState>, Vec<MessageNo>) {
    let mut open: HashMap<DialogKey<'_>, MessageNo, RandomState> = HashMap::default();
    for (key, answer) in
        answers.iter().filter(|(key, _)| !acks.has(key.call_id, key.caller_tag, key.callee_tag, key.cseq))
    {
        open.entry(key.dialog()).or_insert(answer.response);
    }
    let invites = view.transactions().filter(|(_, t)| t.method == Method::Invite);
    let invites: HashSet<u32, RandomState> = invites.map(|(_, t)| t.cseq).collect();
    let (mut dialogs, mut wrong) = (HashSet::default(), Vec::new());
    for (_, t) in view.transactions().filter(|(_, t)| t.method == Method::Ack) {
        let Some(no) = t.request else { continue };
        let ack = view.sip(no);
        let dialog = (ack.call_id(), ack.from_tag(), ack.to_tag());
        // One before the 2xx belongs to what lies before the capture.
        let follows = open.get(&dialog).is_some_and(|answer| *answer < no);
        if follows && !invites.contains(&t.cseq) {
            dialogs.insert(dialog);
            wrong.push(no);
        }
    }
    (dialogs, wrong)
}

fn cancelled(view: CallView<'_>) -> Vec<bool> {
    let mut marked = vec![false; view.call.transactions.len()];
    for (_, cancel, request) in facts::requests_of(view, Method::Cancel) {
        let Some(invite) = cancel.invite else {
            continue;
        };
        let t = view.call.transaction(invite);
        let crossed = facts::success(view, t)
            .is_some_and(|answer| time(view, request).since(time(view, answer)) <= CANCEL_CROSSES);
        marked[invite.at()] |= crossed && t.upstream.is_none();
    }
    marked
}

/// I01, and I03 when the call was not ended either.
fn unacknowledged(view: CallView<'_>, answer: &Answer, dialogs: &Dialogs<'_>, findings: &mut Vec<Finding>) {
    let t = view.call.transaction(answer.invite);
    let sent = sendings(view, answer.response);
    let left = view.capture_after(time(view, answer.response));
    let insisted = sent.len() > 2;
    let blind = !heard(view, t.connection) || !on_route(view, t);
    if (blind && !insisted) || (left < AT_ONCE && sent.len() < 2) {
        return;
    }
    let (callee, caller) = (t.connection.dst, t.connection.src);
    let what = facts::name(view, answer.response);
    let summary = match sent.len() {
        1 => format!("{callee} answered the call with {what}, and no ACK of {caller} is seen."),
        n => format!(
            "{callee} sent {what} {} within {}, because no ACK of {caller} reached it.",
            times(n),
            span(stretch(view, &sent))
        ),
    };
    let detail = format!(
        "The caller confirms every 2xx to its INVITE with an ACK; until then the answering side repeats the 2xx, and after 64*T1 = 32 s \
         it ends the call with BYE (RFC 3261 13.2.2.4, 13.3.1.4). Users hear silence, or a call that breaks off after half a minute. \
         Look next whether the {what} reached {caller}, and where {caller} sent its ACK: to the Contact of the {what}, through its \
         Record-Route."
    );
    let judgement = judge(view, &Absent::AckTo2xx(answer.invite));
    let mut finding = judged(Finding::new(&I01, sent.clone(), summary, detail), &judgement).missing(owed_back(
        view,
        "ACK",
        answer.response,
    ));
    if left < TIMEOUT && finding.verdict == Verdict::Open && sent.len() < 2 {
        finding.severity = Severity::Info;
    }
    let unproved = finding.severity == Severity::Info;
    findings.push(finding);
    if !unproved {
        findings.extend(not_ended(view, answer, dialogs, &sent, &judgement));
    }
}

fn not_ended(
    view: CallView<'_>,
    answer: &Answer,
    dialogs: &Dialogs<'_>,
    sent: &[MessageNo],
    judgement: &Judgement,
) -> Option<Finding> {
    let dialog = dialogs.with(view.sip(answer.response))?;
    if dialog.bye.is_some() || judgement.cause == Cause::NotCaptured {
        return None;
    }
    let callee = facts::sender(view, answer.response);
    let left = view.capture_after(time(view, answer.response));
    let due = TIMEOUT + BYE_GRACE;
    let last = *sent.last()?;
    if left < due {
        let summary = format!(
            "The unacknowledged call was still not released when the capture ended, {} after {callee} answered.",
            span(left)
        );
        let detail = "A side whose 2xx is never acknowledged ends the call with BYE after 64*T1 = 32 s (RFC 3261 13.3.1.4). It was still \
                      repeating its 2xx, so it had not sent one yet. Capture longer to see how the call ends.";
        let finding =
            Finding::new(&I03, vec![last], summary, detail).severity(Severity::Info).open().cause(Cause::NotSent);
        return (sent.len() > 2).then(|| finding.missing(owed_on(view, "BYE", last)));
    }
    let summary = format!("{callee} never got an ACK, yet sent no BYE in the {} that followed.", span(left));
    let detail = format!(
        "After 64*T1 = 32 s without an ACK the answering side ends the call with BYE (RFC 3261 13.3.1.4). Without it {callee} may hold \
         the line, and its bill, open. Look next at the timers of {callee}."
    );
    let finding = Finding::new(&I03, vec![last], summary, detail).missing(owed_on(view, "BYE", last));
    Some(if sent.len() > 2 { finding.cause(Cause::NotSent) } else { finding.cause(Cause::Undetermined).open() })
}

/// I02: on the hop of the 2xx an ACK passed, and the 2xx is repeated after the last one. While each copy
/// gets a fresh ACK all is in order (13.2.2.4), unless it goes on and on.
fn not_received(view: CallView<'_>, answer: &Answer, acks: &Acks<'_>) -> Option<Finding> {
    let sent = sendings(view, answer.response);
    let mut here =
        acks.to(view, answer.response).iter().copied().filter(|ack| facts::same_hop(view, *ack, answer.response));
    let first = here.next()?;
    let last_ack = here.next_back().unwrap_or(first);
    let late: Vec<MessageNo> =
        sent.iter().copied().filter(|no| time(view, *no).since(time(view, first)) > CROSSING).collect();
    let last = *late.last()?;
    let goes_on = time(view, last).since(time(view, first)) > FAILING;
    if !goes_on && time(view, last).since(time(view, last_ack)) <= CROSSING {
        return None;
    }
    let callee = facts::sender(view, answer.response);
    let caller = facts::receiver(view, answer.response);
    let what = facts::name(view, answer.response);
    let summary =
        format!("{callee} sent {what} {} more after the ACK of {caller} had passed the tap.", times(late.len()));
    let detail = format!(
        "The answering side repeats its 2xx until the ACK arrives (RFC 3261 13.3.1.4). The ACK passed here, so it was lost behind the tap, \
         went to a host that did not pass it on, or {callee} could not match it (tags, CSeq). The last copy came {} after the first ACK. \
         Look next at the path from the tap to {callee}, and at the request line and Route headers of the ACK.",
        span(time(view, last).since(time(view, first)))
    );
    let severity = if goes_on { Severity::Error } else { Severity::Warning };
    Some(
        Finding::new(&I02, [vec![last, first], late].concat(), summary, detail)
            .severity(severity)
            .cause(Cause::LostOnPath),
    )
}

fn left_open(view: CallView<'_>, answer: &Answer, released: bool) -> Finding {
    let callee = facts::sender(view, answer.response);
    let owed = if released { "ACK" } else { "ACK and no BYE" };
    let summary = format!("Several phones answered; {callee} was one of them and got no {owed}.");
    let detail = format!(
        "Each 2xx to a forked INVITE is acknowledged, and the calls that are not wanted are ended with BYE (RFC 3261 13.2.2.4). {callee} \
         believes that it is in a call. Look next at the forking proxy (it should have cancelled the other phones in time) and at the \
         caller, which must handle a second 2xx."
    );
    Finding::new(&I16, vec![answer.response], summary, detail).missing(owed_back(view, "ACK", answer.response))
}

fn both_kept(view: CallView<'_>, answer: &Answer, other: MessageNo) -> Finding {
    let (one, two) = (facts::sender(view, other), facts::sender(view, answer.response));
    let summary = format!("Both {one} and {two} answered the same call, and neither was released.");
    let detail = "The caller keeps one of several answers and ends the others with ACK and BYE (RFC 3261 13.2.2.4). Unless it mixes a \
                  conference of its own, somebody now sits in a call with nobody. Look next at the forking proxy and at how the caller \
                  handles a second 2xx.";
    Finding::new(&I16, vec![answer.response, other], summary, detail).open().severity(Severity::Warning)
}

fn wrong_number(view: CallView<'_>, ack: MessageNo) -> Finding {
    let (from, to) = (facts::sender(view, ack), facts::receiver(view, ack));
    let number = view.sip(ack).cseq_number().unwrap_or(0);
    let summary = format!("{from} sent an ACK with CSeq {number}, but no INVITE of this call has that number.");
    let detail = format!(
        "The ACK carries the CSeq number of the INVITE it acknowledges (RFC 3261 13.2.2.4). {to} cannot match this one, repeats its 2xx, and \
         may end the call after 32 s. Look next at the software of {from}."
    );
    Finding::new(&I05, vec![ack], summary, detail)
}
