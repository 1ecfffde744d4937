//! What the capture as a whole says of one message that it lacks: numbers that its sender skipped, how often such a
//! message is there where it is due, and how much the capture is known to have lost.
//!
//! Asked last, when nothing that the peers did next decides.

use super::cause::{Judgement, not_captured, proved, seconds, undetermined};
use super::{Cause, Verdict};
use crate::analysis::{CallView, Duty, Health, Skipped, Tally, Unseen, Way};
use crate::base::{AnomalyKind, Connection};
use crate::session::{MessageNo, timer};
use std::time::Duration;

/// A message that may be due.
#[derive(Clone, Copy)]
pub(super) struct Owed {
    /// From who owes it to whom it is owed.
    pub(super) connection: Connection,
    /// What made it due, or what it belongs behind.
    pub(super) after: MessageNo,
    /// Its kind, where those are counted.
    pub(super) duty: Option<Duty>,
}

impl Owed {
    /// What its sender numbered around it decides: a number that is skipped was sent.
    pub(super) fn by_numbers(self, view: CallView<'_>) -> Option<Judgement> {
        let at = view.call.message(self.after).seen.at();
        let Skipped { datagrams, between } = view.analysis.health.skipped(self.connection, at)?;
        let from = self.connection.src.ip;
        let (first, last) = between;
        let what = format!("{from} numbers its datagrams one by one (IP identification), and");
        Some(match datagrams {
            0 => Judgement {
                cause: Cause::NotSent,
                verdict: Verdict::Open,
                evidence: format!("{what} none is missing between frames {first} and {last}"),
            },
            n => not_captured(format!("{what} {} missing between frames {first} and {last}", are(n))),
        })
    }

    /// A kind of message that is missing again and again where little else is: no chance.
    pub(super) fn habit(self, view: CallView<'_>) -> Option<Tally> {
        view.analysis.health.habit(self.connection, self.duty?)
    }

    /// What is likely when nothing decides. `otherwise` says why nothing does.
    pub(super) fn by_loss(self, view: CallView<'_>, otherwise: &str) -> Judgement {
        match known_loss(&view.analysis.health) {
            Some(loss) => not_captured(format!("{otherwise}; the capture lacks packets elsewhere too: {loss}")),
            None => undetermined(format!("{otherwise}; {}", self.what_would_tell())),
        }
    }

    /// Where to capture next.
    pub(super) fn what_would_tell(self) -> String {
        format!("a capture at {} would tell", self.connection.src.ip)
    }
}

/// Who waits over UDP sends again; who does not has got it. Weak where that is always so: there are senders that never
/// send again.
pub(super) fn not_sent_again(view: CallView<'_>, owed: Owed, evidence: &str) -> Judgement {
    if let Some(judgement) = owed.by_numbers(view) {
        return judgement;
    }
    match owed.habit(view) {
        Some(tally) => {
            let (missing, due) = (thousands(tally.missing), thousands(tally.due));
            undetermined(format!(
                "such messages are missing in {missing} of {due} cases here, which is no chance: they are not sent and \
                 nobody asks again, or they pass outside the tap; {}",
                owed.what_would_tell()
            ))
        }
        None => not_captured(match known_loss(&view.analysis.health) {
            Some(loss) => format!("{evidence}; the capture lacks packets elsewhere too: {loss}"),
            None => evidence.to_owned(),
        }),
    }
}

/// An ACK to a failure goes where the INVITE went (RFC 3261 17.1.1.3), so a tap that sees the one sees the other: where
/// the ACK is always missing, it is not sent.
pub(super) fn left_out(view: CallView<'_>, owed: Owed, watched: Duration) -> Option<Judgement> {
    let tally = owed.habit(view)?;
    let proof = watched >= timer::TIMEOUT && tally.is_nearly_all();
    let evidence = habit_in_words(&view.analysis.health, owed.connection, Duty::AckToFailure, tally);
    let verdict = if proof { Verdict::Violated } else { Verdict::Open };
    Some(Judgement { cause: Cause::NotSent, verdict, evidence })
}

/// Nothing followed on a transport where nobody sends twice: only holes in the capture and time tell.
pub(super) fn silent_on_stream(
    view: CallView<'_>,
    owed: Owed,
    what: &str,
    watched: Duration,
    due: Duration,
) -> Judgement {
    if let Some(unseen) = view.analysis.health.unseen.get(&Way::of(owed.connection)) {
        let (from, bytes) = (owed.connection.src.ip, thousands(unseen.bytes));
        return not_captured(format!("{bytes} bytes of {from} were acknowledged over TCP and are not in the capture"));
    }
    if view.analysis.anomalies.of(AnomalyKind::TcpGap).is_some() {
        return not_captured("bytes of TCP streams are missing from the capture");
    }
    if watched < due {
        return undetermined(format!("the capture ends {} after {what}", seconds(watched)));
    }
    let silence = format!("the stream has no hole and the capture goes on for {}", seconds(watched));
    match known_loss(&view.analysis.health) {
        Some(loss) => Judgement {
            cause: Cause::NotSent,
            verdict: Verdict::Open,
            evidence: format!("{silence}, but the capture lacks packets: {loss}"),
        },
        None => proved(Cause::NotSent, silence),
    }
}

fn are(n: u64) -> String {
    if n == 1 { "1 is".to_owned() } else { format!("{} are", thousands(n)) }
}

/// That a sender leaves out a kind of message, in figures beside those of another kind that it does send.
pub fn habit_in_words(health: &Health, connection: Connection, duty: Duty, tally: Tally) -> String {
    let (what, others) = match duty {
        Duty::AckToFailure => ("ACK to a failure", [Duty::AckToSuccess, Duty::Request(crate::sip::Method::Invite)]),
        Duty::AckToSuccess => ("ACK to a 2xx", [Duty::AckToFailure, Duty::Request(crate::sip::Method::Invite)]),
        Duty::FinalResponse(_) => ("final response of that kind", [Duty::AckToFailure, Duty::AckToSuccess]),
        Duty::Request(_) => ("request of that kind", [Duty::AckToFailure, Duty::AckToSuccess]),
    };
    let way = Way::of(connection);
    let count = |tally: Tally| match tally.due - tally.missing {
        there if there == tally.due => format!("all of {}", thousands(there)),
        there => format!("{} of {}", thousands(there), thousands(tally.due)),
    };
    let there = |other: &Duty| {
        let tally = health.population.tally(way, *other);
        (tally.due > tally.missing).then(|| format!(", while {} {} are there", count(tally), plural(*other)))
    };
    let beside = others.iter().find_map(there).unwrap_or_default();
    let (missing, due) = (thousands(tally.missing), thousands(tally.due));
    let one_host = connection.src.ip == connection.dst.ip;
    let who = if one_host { connection.src.to_string() } else { connection.src.ip.to_string() };
    format!("this hop shows no {what} in {missing} of {due} cases{beside}: a habit of {who}, no loss")
}

fn plural(duty: Duty) -> String {
    match duty {
        Duty::AckToSuccess => "ACKs to answers".to_owned(),
        Duty::AckToFailure => "ACKs to failures".to_owned(),
        Duty::Request(method) => format!("{} requests", method.name()),
        Duty::FinalResponse(method) => format!("final responses to {}", method.name()),
    }
}

/// What is known to be lost by the capture, in figures; `None` when nothing is.
pub(super) fn known_loss(health: &Health) -> Option<String> {
    let mut told = Vec::new();
    if health.dropped > 0 {
        let all = health.packets.saturating_add(health.dropped);
        told.push(format!("the capturing side dropped {} of {} packets", thousands(health.dropped), thousands(all)));
    }
    let unseen = health.unseen.values().fold(Unseen::default(), |sum, one| Unseen {
        gaps: sum.gaps + one.gaps,
        bytes: sum.bytes.saturating_add(one.bytes),
    });
    if unseen.gaps > 0 {
        told.push(format!("{} bytes that TCP receivers acknowledged are not in it", thousands(unseen.bytes)));
    }
    let proved = health.population.proved();
    if proved.missing > 0 {
        let (missing, due) = (thousands(proved.missing), thousands(proved.due));
        told.push(format!("{missing} of {due} messages whose effects are there are not in it"));
    }
    (!told.is_empty()).then(|| told.join(", "))
}

/// 1148 as "1,148".
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_by_thousands() {
        assert_eq!(["7", "930", "1,148", "1,234,567"], [7, 930, 1148, 1_234_567].map(thousands)[..]);
    }
}
