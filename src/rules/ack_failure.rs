//! The ACK to a failure response, owed on every hop: I07 missing, I08 there but in another branch, I09
//! there although no final response is.

use super::facts::{self, AT_ONCE, Acks, TIMEOUT, heard, judged, owed_back, sendings, span, stretch, time, times};
use super::outline::Trait;
use super::{CaptureContext, Context, Finding, Meta, MissingMessage, Rule, Severity, subject};
use crate::analysis::{Analysis, CallView, Duty, Tally, Way};
use crate::base::{Connection, Idx};
use crate::flow::{Absent, Cause, Verdict, habit_in_words, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashSet};

static I07: Meta = Meta {
    code: "I07",
    name: "failure-not-acknowledged",
    severity: Severity::Error,
    title: "A failure response to an INVITE was not acknowledged",
    basis: &["RFC 3261 17.1.1.3", "RFC 3261 17.2.1"],
    page: include_str!("../../docs/rules/I07-failure-not-acknowledged.md"),
};
static I08: Meta = Meta {
    code: "I08",
    name: "failure-ack-malformed",
    severity: Severity::Warning,
    title: "The ACK to a failure response does not belong to its INVITE",
    basis: &["RFC 3261 17.1.1.3"],
    page: include_str!("../../docs/rules/I08-failure-ack-malformed.md"),
};
static I09: Meta = Meta {
    code: "I09",
    name: "ack-without-final",
    severity: Severity::Info,
    title: "An ACK whose INVITE has no final response in the capture",
    basis: &["RFC 3261 17", "RFC 3261 13.2.2"],
    page: include_str!("../../docs/rules/I09-ack-without-final.md"),
};

/// See the module.
pub(super) struct AckToFailure;

impl Rule for AckToFailure {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I07, &I08, &I09] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::FAILURE_UNACKED | Trait::LOOSE_ACK)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let acks = context.acks();
        findings.extend(view.transactions().filter_map(|(at, t)| not_acknowledged(view, at, t, acks)));
        without_final(view, findings);
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        findings.extend(habits(context.analysis));
    }
}

/// Who never sends an ACK to a failure: told once, and the calls that show it are notes.
fn habits(analysis: &Analysis) -> Vec<Finding> {
    let habits = analysis.health.habits(Duty::AckToFailure).filter(|(_, tally)| tally.is_nearly_all());
    let tallies: BTreeMap<Way, Tally> = habits.collect();
    if tallies.is_empty() {
        return Vec::new();
    }
    let mut shown: BTreeMap<Way, (Connection, Vec<u32>)> = BTreeMap::new();
    for view in analysis.views() {
        for (answer, t) in view.call.transactions.iter().filter_map(|t| unacknowledged(view, t)) {
            if tallies.contains_key(&Way::of(t.connection)) {
                let (_, frames) = shown.entry(Way::of(t.connection)).or_insert((t.connection, Vec::new()));
                frames.push(view.frame(answer));
            }
        }
    }
    let told = shown.into_iter().filter_map(|(way, (connection, frames))| {
        let words = habit_in_words(&analysis.health, connection, Duty::AckToFailure, *tallies.get(&way)?);
        let summary = format!("{} acknowledges no refusal of {}: {words}.", connection.src, connection.dst);
        let detail = "Whoever gets a failure response to an INVITE acknowledges it in the branch of the INVITE, to where the INVITE went (RFC \
                      3261 17.1.1.3): a tap that sees the one sees the other, and so many cannot all be lost by chance. The server repeats its \
                      refusal for 32 s, or gives up on a transaction that the client thinks over. The calls that show it carry a note each. Look \
                      next at the software or the test scenario of the sender of these INVITEs.";
        let finding = Finding::new(&I07, Vec::new(), summary, detail).frames(subject::frames_of(frames.into_iter()));
        Some(finding.cause(Cause::NotSent))
    });
    told.collect()
}

/// The failure response of an INVITE that has no ACK in its branch.
fn unacknowledged<'a>(view: CallView<'_>, t: &'a Transaction) -> Option<(MessageNo, &'a Transaction)> {
    let answer = t.final_response.filter(|_| t.method == Method::Invite && t.ack.is_none())?;
    (facts::status(view, answer) >= 300).then_some((answer, t))
}

fn not_acknowledged(view: CallView<'_>, at: Idx<Transaction>, t: &Transaction, acks: &Acks<'_>) -> Option<Finding> {
    let (answer, _) = unacknowledged(view, t)?;
    let elsewhere = acks.to(view, answer).iter().find(|ack| facts::same_hop(view, **ack, answer));
    if let Some(ack) = elsewhere {
        return Some(in_another_branch(view, answer, *ack));
    }
    let sent = sendings(view, answer);
    let left = view.capture_after(time(view, answer));
    let insisted = sent.len() > 2;
    if (!insisted && !heard(view, t.connection)) || (sent.len() < 2 && left < AT_ONCE) {
        return None;
    }
    let (server, client) = (t.connection.dst, t.connection.src);
    let what = facts::name(view, answer);
    let summary = match sent.len() {
        1 => format!("{server} refused the INVITE of {client} with {what}, and no ACK to it is seen."),
        n => format!(
            "{server} sent {what} {} to {client} within {}, because no ACK reached it.",
            times(n),
            span(stretch(view, &sent))
        ),
    };
    let detail = format!(
        "Whoever gets a failure response to an INVITE acknowledges it at once, on this hop and in the branch of the INVITE (RFC 3261 \
         17.1.1.3); over UDP the server repeats the response until then, for up to 64*T1 = 32 s. The caller may not know that the call \
         has failed. Look next whether {client} received the {what}: NAT, the port it was sent to, a firewall."
    );
    let judgement = judge(view, &Absent::AckToFailure(at));
    let mut finding =
        judged(Finding::new(&I07, sent.clone(), summary, detail), &judgement).missing(owed_back(view, "ACK", answer));
    let unproved = finding.verdict == Verdict::Open;
    if unproved && (left < TIMEOUT || judgement.cause == Cause::NotCaptured) && sent.len() < 2 {
        finding.severity = Severity::Info;
    }
    if sent.len() < 2 && view.analysis.health.habit(t.connection, Duty::AckToFailure).is_some_and(Tally::is_nearly_all)
    {
        finding.severity = Severity::Info; // the habit is told once
    }
    Some(finding)
}

/// I08: the ACK is there, but the server cannot match it with its INVITE.
fn in_another_branch(view: CallView<'_>, answer: MessageNo, ack: MessageNo) -> Finding {
    let (client, server) = (facts::sender(view, ack), facts::receiver(view, ack));
    let what = facts::name(view, answer);
    let sent = sendings(view, answer);
    let effect = match sent.len() {
        1 => String::new(),
        n => format!(", which sent {what} {}", times(n)),
    };
    let summary = format!(
        "The ACK of {client} to {what} does not carry the branch of its INVITE, so {server} cannot match it{effect}."
    );
    let detail = "The ACK to a failure response belongs to the transaction of the INVITE: it has the same top Via with the same \
         branch (RFC 3261 17.1.1.3); only the ACK to a 2xx has a branch of its own. A server that goes by the branch \
         repeats its response until 64*T1 = 32 s have passed. Look next at the software of the sender of this ACK.";
    Finding::new(&I08, [&[ack][..], &sent].concat(), summary, detail)
}

/// I09, once for each INVITE.
fn without_final(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let answered: HashSet<(&[u8], &[u8], u32), RandomState> = view
        .transactions()
        .filter(|(_, t)| t.method == Method::Invite)
        .filter_map(|(_, t)| t.final_response.map(|no| (view.sip(no).call_id(), view.sip(no).from_tag(), t.cseq)))
        .collect();
    let mut told = HashSet::<_, RandomState>::default();
    for (_, t) in view.transactions() {
        let ack = match t.method {
            Method::Invite => t.ack.filter(|_| t.final_response.is_none()),
            Method::Ack => t.request,
            _ => None,
        };
        let Some(ack) = ack else { continue };
        let key = (view.sip(ack).call_id(), view.sip(ack).from_tag(), t.cseq);
        let unanswered = t.method == Method::Invite || !answered.contains(&key);
        if unanswered && heard(view, t.connection.reversed()) && told.insert(key) {
            findings.push(no_final(view, ack));
        }
    }
}

fn no_final(view: CallView<'_>, ack: MessageNo) -> Finding {
    let (from, to) = (facts::sender(view, ack), facts::receiver(view, ack));
    let summary =
        format!("{from} sent an ACK to {to}, but no final response that it could acknowledge is in the capture.");
    let detail = format!(
        "An ACK is sent only after a final response (RFC 3261 17), so {from} got one. The capture dropped it, began after it, or it took \
         another way. Look next at drop counters and the filter of the capture."
    );
    let placed = view.call.message(ack);
    let missing =
        MissingMessage { what: "final response to INVITE".to_owned(), from: placed.to, to: placed.from, after: ack };
    Finding::new(&I09, vec![ack], summary, detail).open().cause(Cause::NotCaptured).missing(missing)
}
