//! Why a message is not in the capture: never sent, lost on the path, or only not captured.
//!
//! An alignment says *that* a message is missing; it never says why. The why comes from what the
//! other side did next. In order of strength:
//!
//! 1. *Effect without cause*: an ACK proves that there was a final response, a response that there
//!    was a request. The peers did right; the capture lacks a packet.
//! 2. *Resends*: whoever waits for an answer over UDP sends again (RFC 3261 17.1.1.2, 17.1.2.2,
//!    17.2.1; 13.3.1.4 on every transport for a 2xx). Who sends again has got nothing; who does not
//!    has got what it waited for.
//! 3. *The neighbour hop*: the same message one hop further, or an ICMP error.
//! 4. *Health of the capture*: a direction of which the file holds nothing, holes in TCP streams, numbers that
//!    a sender skipped.
//! 5. *The population*: what is always missing on one hop where little else is was no chance; what is missing once in a
//!    capture that lost packets was probably captured badly.
//! 6. *The border of the capture*: what may lie behind the last packet is nobody's fault.

use super::witness::{Owed, known_loss, left_out, not_sent_again, silent_on_stream};
use super::{Cause, Verdict};
use crate::analysis::{AddressPair, CallView, Duty};
use crate::base::{Connection, Idx, Timestamp};
use crate::session::timer::{self, Schedule};
use crate::session::{CopyKind, MessageNo, Transaction};
use crate::sip::Method;
use std::net::IpAddr;
use std::time::Duration;

/// How long a peer is given to act on a message before its silence means anything: two intervals of
/// the first retransmission.
const PATIENCE: Duration = timer::T1.saturating_mul(2);
/// How long an INVITE may ring before a proxy gives up (timer C, RFC 3261 16.6 item 11).
const RINGING: Duration = Duration::from_secs(180);

/// Dialogs looked at for the one that an INVITE set up; a forked one has a few.
const FORKS: usize = 64;

/// Why a message is missing, and how sure that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Why it is missing.
    pub cause: Cause,
    /// Whether the capture proves that a peer or the network did wrong.
    pub verdict: Verdict,
    /// What decided it: one clause in plain words, without full stop.
    pub evidence: String,
}

/// A message that is not in the capture although it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// Not one response to this request.
    AnyResponse(Idx<Transaction>),
    /// The final response to this request.
    FinalResponse(Idx<Transaction>),
    /// The ACK to the 2xx of this INVITE, on the hop of this transaction.
    AckTo2xx(Idx<Transaction>),
    /// The ACK to the failure response of this INVITE.
    AckToFailure(Idx<Transaction>),
    /// The request; this transaction has only responses.
    Request(Idx<Transaction>),
    /// What the receiver of a message should have done next: a new request after a challenge, a
    /// forwarded request, the BYE that ends a session.
    FollowUp {
        /// The message that should have made its receiver act.
        after: MessageNo,
    },
    /// A message that later ones went on without.
    Unproved {
        /// From who should have sent it to its receiver.
        connection: Connection,
        /// The message behind which it belongs.
        after: MessageNo,
    },
}

/// Says why `absent` is missing from the call in `view`.
pub fn judge(view: CallView<'_>, absent: &Absent) -> Judgement {
    match *absent {
        Absent::AnyResponse(transaction) | Absent::FinalResponse(transaction) => response(view, transaction),
        Absent::AckTo2xx(invite) => ack_to_2xx(view, invite),
        Absent::AckToFailure(invite) => ack_to_failure(view, invite),
        Absent::Request(_) => not_captured("its response is in the capture, so it must have been sent"),
        Absent::FollowUp { after } => follow_up(view, after),
        Absent::Unproved { connection, after } => {
            let owed = Owed { connection, after, duty: None };
            let by_loss = || owed.by_loss(view, "nothing in the capture proves that it was sent");
            owed.by_numbers(view).unwrap_or_else(by_loss)
        }
    }
}

pub(super) fn not_captured(evidence: impl Into<String>) -> Judgement {
    Judgement { cause: Cause::NotCaptured, verdict: Verdict::Open, evidence: evidence.into() }
}

pub(super) fn undetermined(evidence: impl Into<String>) -> Judgement {
    Judgement { cause: Cause::Undetermined, verdict: Verdict::Open, evidence: evidence.into() }
}

pub(super) fn proved(cause: Cause, evidence: impl Into<String>) -> Judgement {
    Judgement { cause, verdict: Verdict::Violated, evidence: evidence.into() }
}

fn response(view: CallView<'_>, idx: Idx<Transaction>) -> Judgement {
    let transaction = view.call.transaction(idx);
    let Some(request) = transaction.request else {
        return undetermined("neither the request nor its response is in the capture");
    };
    if transaction.final_response.is_some() {
        return undetermined("the request was answered otherwise");
    }
    if transaction.connection.src == transaction.connection.dst {
        return undetermined("sender and receiver have one address in the capture, so it does not tell who answers");
    }
    if let Some(evidence) = response_took_effect(view, idx) {
        return not_captured(evidence);
    }
    if let Some(reason) = icmp_error(view, transaction) {
        return proved(Cause::NotSent, format!("an ICMP error ({reason}) says that nothing takes requests there"));
    }
    if transaction.provisional.is_some() && transaction.method == Method::Invite {
        return response_after_provisional(view, idx);
    }
    let times = sendings(view, transaction, Sent::Request);
    // Who sends again and again has got nothing, whether or not the capture shows that direction.
    if times.len() < 3
        && let Some(judgement) = unseen_direction(view, transaction.connection.reversed())
    {
        return judgement;
    }
    let sent_for = span(&times);
    if let Some(place) = lost_between(view, transaction, Sent::Request) {
        return proved(Cause::LostOnPath, format!("the request {place}"));
    }
    if times.len() > 1 {
        let schedule = if transaction.method == Method::Invite { Schedule::Doubling } else { Schedule::Capped };
        let ran_out = if timer::ran_out(&times, schedule) { " until the sender gave up" } else { "" };
        let evidence = format!(
            "the request was sent {} times over {}{ran_out}: no answer arrived",
            times.len(),
            seconds(sent_for)
        );
        let verdict =
            if times.len() > 2 || timer::on_schedule(&times, schedule) { Verdict::Violated } else { Verdict::Open };
        return Judgement { cause: Cause::LostOnPath, verdict, evidence };
    }
    let watched = view.capture_after(view.seen(request).time);
    let duty = Some(Duty::FinalResponse(transaction.method));
    let owed = Owed { connection: transaction.connection.reversed(), after: request, duty };
    if transaction.connection.transport.is_reliable() {
        return silent_on_stream(view, owed, "the request", watched, timer::TIMEOUT);
    }
    if watched < PATIENCE {
        return undetermined("the capture ends before the request would have been sent again");
    }
    not_sent_again(view, owed, "the request was not sent again, so its sender had an answer")
}

/// A final response after a provisional one: the client waits without sending again (17.1.1.2).
fn response_after_provisional(view: CallView<'_>, idx: Idx<Transaction>) -> Judgement {
    let invite = view.call.transaction(idx);
    let cancel = view.call.transactions.iter().find(|t| t.method == Method::Cancel && t.invite == Some(idx));
    if let Some(cancel) = cancel.filter(|cancel| cancel.final_response.is_none()) {
        let times = sendings(view, cancel, Sent::Request);
        if times.len() > 1 {
            let evidence = format!(
                "the CANCEL was sent {} times over {} without an answer: what the server sends is lost",
                times.len(),
                seconds(span(&times))
            );
            return proved(Cause::LostOnPath, evidence);
        }
    }
    let last = invite.messages.last().map_or(Timestamp::MIN, |no| view.seen(*no).time);
    let watched = view.capture_after(last);
    if watched < RINGING {
        return undetermined("the INVITE was still in progress when the capture ends");
    }
    let duty = Some(Duty::FinalResponse(Method::Invite));
    let evidence = format!("nothing more was heard of the INVITE in {}", seconds(watched));
    let Some(after) = invite.messages.last().copied() else {
        return undetermined(evidence);
    };
    let owed = Owed { connection: invite.connection.reversed(), after, duty };
    owed.by_numbers(view).unwrap_or_else(|| Judgement {
        cause: Cause::NotSent,
        verdict: Verdict::Open,
        evidence: format!("{evidence}; {}", owed.what_would_tell()),
    })
}

/// Proof that the client did get a final response, or that its server had one to give.
fn response_took_effect(view: CallView<'_>, idx: Idx<Transaction>) -> Option<String> {
    let transaction = view.call.transaction(idx);
    if let Some(answer) = answered_elsewhere(view, idx) {
        let seen = view.seen(answer);
        let (src, dst) = (seen.connection.src, seen.connection.dst);
        return Some(format!("its answer went from {src} to {dst} (frame {})", view.frame(answer)));
    }
    if transaction.method == Method::Invite {
        if transaction.ack.is_some() {
            return Some("its ACK is in the capture".into());
        }
        let is_ack = |t: &&Transaction| t.method == Method::Ack && t.invite == Some(idx);
        if near(view, idx).any(|t| is_ack(&t)) {
            return Some("its ACK is in the capture".into());
        }
        let later = |no: MessageNo| transaction.request.is_none_or(|request| request < no);
        let bye = view.call.dialogs.iter().find(|d| d.created_by.contains(&idx)).and_then(|d| d.bye);
        let bye = bye.and_then(|bye| view.call.transaction(bye).messages.first().copied());
        if bye.is_some_and(later) {
            return Some("the session that it opened was ended by a BYE".into());
        }
    }
    let succeeded = |t: &Transaction| {
        t.final_response.and_then(|no| view.sip(no).status()).is_some_and(|status| (200..300).contains(&status))
    };
    // With several branches, the answer may be another one's.
    let only = || near(view, idx).filter(|t| t.upstream == transaction.upstream).count() == 1;
    if let Some(up) = transaction.upstream.map(|up| view.call.transaction(up))
        && succeeded(up)
        && only()
    {
        return Some("it was forwarded on the hop before this one".into());
    }
    let retried = |t: &Transaction| {
        t.method == transaction.method
            && t.connection.src.ip == transaction.connection.src.ip
            && t.cseq == transaction.cseq.wrapping_add(1)
            && t.request.is_some_and(|no| carries_credentials(view, no))
            && !transaction.request.is_some_and(|no| carries_credentials(view, no))
    };
    let is_challengeable = !matches!(transaction.method, Method::Cancel | Method::Ack);
    (is_challengeable && near(view, idx).any(retried))
        .then(|| "the client sent the request again with credentials, so it was challenged".into())
}

/// Transactions that may belong with `idx`: what follows from one comes soon after it, and forks start
/// together. Bounded, because a flood asks this of every transaction.
/// A final response with the branch of the request that came between other addresses (CL7): NAT, IPsec, a server
/// with several addresses.
fn answered_elsewhere(view: CallView<'_>, idx: Idx<Transaction>) -> Option<MessageNo> {
    let asked = view.sip(view.call.transaction(idx).request?);
    let answers = |no: &MessageNo| {
        let answer = view.sip(*no);
        !asked.branch().is_empty()
            && (answer.branch(), answer.sent_by(), answer.cseq_number(), answer.cseq_method())
                == (asked.branch(), asked.sent_by(), asked.cseq_number(), asked.cseq_method())
    };
    near(view, idx).filter(|t| t.request.is_none()).find_map(|t| t.final_response.filter(answers))
}

fn near(view: CallView<'_>, idx: Idx<Transaction>) -> impl Iterator<Item = &Transaction> {
    const BEFORE: usize = 64;
    const WINDOW: usize = 1024;
    view.call.transactions.iter().skip(idx.at().saturating_sub(BEFORE)).take(WINDOW)
}

fn carries_credentials(view: CallView<'_>, no: MessageNo) -> bool {
    let message = view.sip(no);
    message.has(crate::sip::Facts::AUTHORIZATION) || message.has(crate::sip::Facts::PROXY_AUTHORIZATION)
}

fn ack_to_2xx(view: CallView<'_>, idx: Idx<Transaction>) -> Judgement {
    let invite = view.call.transaction(idx);
    let Some(answer) = invite.final_response else {
        return undetermined("the 2xx is not in the capture either");
    };
    if let Some(judgement) = unseen_direction(view, invite.connection) {
        return judgement;
    }
    if let Some(place) = lost_between(view, invite, Sent::FinalResponse) {
        return proved(Cause::LostOnPath, format!("the 2xx {place}"));
    }
    let times = sendings(view, invite, Sent::FinalResponse);
    // A dialog begins with a response to its INVITE, on this hop or on a later one.
    let dialogs = &view.call.dialogs;
    let from = invite.messages.first().map_or(0, |first| dialogs.partition_point(|dialog| dialog.began < *first));
    let dialog = dialogs[from..].iter().take(FORKS).find(|dialog| dialog.created_by.contains(&idx));
    let late_ack = dialog.and_then(|dialog| dialog.ack);
    if times.len() > 1 {
        let resent = format!("the 2xx was sent {} times over {}", times.len(), seconds(span(&times)));
        return match late_ack {
            Some(_) => proved(Cause::LostOnPath, format!("{resent} before an ACK was seen")),
            None => insisted(&times, format!("{resent} and no ACK ever came")),
        };
    }
    let here = |ack: MessageNo| view.call.message(ack).hop == view.call.message(answer).hop;
    if late_ack.is_some_and(here) {
        return undetermined("it passed at another point of the call");
    }
    if late_ack.is_some() {
        return not_captured("the ACK was seen on another hop and the 2xx was not sent again");
    }
    let watched = view.capture_after(view.seen(answer).time);
    if watched < PATIENCE {
        return undetermined("the capture ends before the 2xx would have been sent again");
    }
    let owed = Owed { connection: invite.connection, after: answer, duty: Some(Duty::AckToSuccess) };
    not_sent_again(view, owed, "the 2xx was not sent again, so its sender had the ACK (RFC 3261 13.3.1.4)")
}

fn ack_to_failure(view: CallView<'_>, idx: Idx<Transaction>) -> Judgement {
    let invite = view.call.transaction(idx);
    let Some(answer) = invite.final_response else {
        return undetermined("the response that it acknowledges is not in the capture either");
    };
    if let Some(judgement) = unseen_direction(view, invite.connection) {
        return judgement;
    }
    if let Some(place) = lost_between(view, invite, Sent::FinalResponse) {
        return proved(Cause::LostOnPath, format!("the response {place}"));
    }
    let times = sendings(view, invite, Sent::FinalResponse);
    if times.len() > 1 {
        let evidence =
            format!("the response was sent {} times over {} and no ACK ever came", times.len(), seconds(span(&times)));
        return insisted(&times, evidence);
    }
    let watched = view.capture_after(view.seen(answer).time);
    let owed = Owed { connection: invite.connection, after: answer, duty: Some(Duty::AckToFailure) };
    if watched < PATIENCE {
        return undetermined("the capture ends before the response would have been sent again");
    }
    if let Some(judgement) = owed.by_numbers(view).or_else(|| left_out(view, owed, watched)) {
        return judgement;
    }
    let retried = view.call.transactions.iter().rev().any(|t| {
        t.method == Method::Invite
            && t.connection.src.ip == invite.connection.src.ip
            && t.request.is_some_and(|no| no > answer)
    });
    if retried {
        return not_captured("the client went on with its next INVITE, so it had the response");
    }
    if invite.connection.transport.is_reliable() {
        return silent_on_stream(view, owed, "the response", watched, PATIENCE);
    }
    owed.by_loss(
        view,
        "the response was not sent again, which fits a server that has the ACK and one that never resends",
    )
}

/// An answer that was sent again because no ACK came: twice may still be a late one.
fn insisted(times: &[Timestamp], evidence: String) -> Judgement {
    let verdict = if times.len() > 2 { Verdict::Violated } else { Verdict::Open };
    Judgement { cause: Cause::NotSent, verdict, evidence }
}

fn follow_up(view: CallView<'_>, after: MessageNo) -> Judgement {
    let seen = view.seen(after);
    if let Some(judgement) = unseen_direction(view, seen.connection.reversed()) {
        return judgement;
    }
    let transaction = view.call.message(after).transaction.map(|idx| view.call.transaction(idx));
    if let Some(transaction) = transaction.filter(|_| !seen.message.is_request()) {
        let times = sendings(view, transaction, Sent::Request);
        let resent = times.iter().filter(|time| **time > seen.time).count();
        if resent > 0 && !transaction.connection.transport.is_reliable() {
            let evidence = format!("the request was sent again {resent} times after it: it did not arrive");
            return proved(Cause::LostOnPath, evidence);
        }
        if transaction.ack.is_some() {
            return proved(Cause::NotSent, "the message before it was acknowledged, so it had arrived");
        }
    }
    let watched = view.capture_after(seen.time);
    if watched < timer::T1 {
        return undetermined("the capture ends right after it fell due");
    }
    if let Some(response) = acted_unseen(view, after) {
        let evidence = format!("a request of its receiver is not in the capture, but was answered (frame {response})");
        return not_captured(evidence);
    }
    let owed = Owed { connection: seen.connection.reversed(), after, duty: None };
    if let Some(judgement) = owed.by_numbers(view).filter(|judgement| judgement.cause == Cause::NotCaptured) {
        return judgement;
    }
    let evidence = format!(
        "the message before it arrived as far as the capture shows, and nothing followed in {}",
        seconds(watched)
    );
    let open = |why: String| Judgement {
        cause: Cause::NotSent,
        verdict: Verdict::Open,
        evidence: format!("{evidence}; {why}"),
    };
    match known_loss(&view.analysis.health) {
        _ if watched < timer::TIMEOUT => open(owed.what_would_tell()),
        Some(loss) => open(format!("but the capture lacks packets: {loss}")),
        None => proved(Cause::NotSent, evidence),
    }
}

/// The frame of a response to a request that the receiver of `after` sent later, and that the capture lacks: it did
/// act, so that what seems missing may be that request.
fn acted_unseen(view: CallView<'_>, after: MessageNo) -> Option<u32> {
    let (seen, idx) = (view.seen(after), view.call.message(after).transaction?);
    let unseen = |t: &&Transaction| {
        let theirs = t.connection.src.ip == seen.connection.dst.ip && t.connection.dst.ip == seen.connection.src.ip;
        theirs && t.request.is_none() && t.messages.first().is_some_and(|no| *no > after)
    };
    near(view, idx).find(unseen).and_then(|t| t.messages.first()).map(|no| view.frame(*no))
}

/// A capture that holds the other direction between two hosts but nothing of this one.
fn unseen_direction(view: CallView<'_>, connection: Connection) -> Option<Judgement> {
    is_unseen(view, connection.src.ip, connection.dst.ip).then(|| {
        let evidence = format!("the capture holds nothing from {} to {}", connection.src.ip, connection.dst.ip);
        not_captured(evidence)
    })
}

/// Whether the capture holds SIP from `dst` to `src` but none from `src` to `dst`.
pub(super) fn is_unseen(view: CallView<'_>, src: IpAddr, dst: IpAddr) -> bool {
    if src == dst {
        return false;
    }
    let pair = AddressPair { low: src.min(dst), high: src.max(dst) };
    let Some([upward, downward]) = view.analysis.stats.directions.get(&pair) else {
        return false;
    };
    let (forward, backward) = if src < dst { (upward, downward) } else { (downward, upward) };
    *forward == 0 && *backward > 0
}

fn icmp_error(view: CallView<'_>, transaction: &Transaction) -> Option<&'static str> {
    let connection = transaction.connection;
    view.analysis
        .icmp
        .iter()
        .find(|report| {
            report.call == Some(view.number)
                && report.quoted.dst == connection.dst
                && report.quoted.src.ip == connection.src.ip
        })
        .map(|report| report.reason)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Request,
    FinalResponse,
}

/// When the request or the final response of a transaction was sent; packets captured twice count once.
fn sendings(view: CallView<'_>, transaction: &Transaction, what: Sent) -> Vec<Timestamp> {
    sent(view, transaction, what).map(|no| view.seen(no).time).collect()
}

/// Between which observation points every sending was lost: "passed a.pcap and never reached b.pcap".
fn lost_between(view: CallView<'_>, transaction: &Transaction, what: Sent) -> Option<String> {
    let label = |point: u32| view.analysis.points.get(point as usize).map(|point| point.label.as_str());
    let mut places = sent(view, transaction, what).map(|no| {
        let seen = view.seen(no);
        Some((seen.interface, seen.unseen_at?))
    });
    let (passed, missed) = places.next()??;
    let all = places.all(|place| place == Some((passed, missed)));
    all.then(|| Some(format!("passed {} and never reached {}", label(passed)?, label(missed)?))).flatten()
}

fn sent<'a>(view: CallView<'a>, transaction: &'a Transaction, what: Sent) -> impl Iterator<Item = MessageNo> + use<'a> {
    let wanted = move |no: MessageNo| {
        let message = view.sip(no);
        match what {
            Sent::Request => message.is_request() && message.method() == transaction.method,
            Sent::FinalResponse => message.status().is_some_and(|status| status >= 200),
        }
    };
    transaction
        .messages
        .iter()
        .copied()
        .filter(move |no| view.call.message(*no).copy.is_none_or(|copy| copy.kind == CopyKind::Retransmission))
        .filter(move |no| wanted(*no))
}

fn span(times: &[Timestamp]) -> Duration {
    match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.since(*first),
        _ => Duration::ZERO,
    }
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
