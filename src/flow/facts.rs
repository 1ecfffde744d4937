//! What tells a call from another one of the same shape: the facts that the flows of RFC 3665 are told apart by.

use super::fact::{Fact, Facts};
use super::features::features;
use super::media::{Motion, media_address};
use super::model::FlowKind;
use super::observed::{TAGS, realms};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Outcome, Participant, Role};
use crate::session::{CopyKind, Dialog, MessageNo, Transaction, timer};
use crate::sip::{Facts as Has, HeaderName, Message, Method};
use smallvec::SmallVec;

/// The facts of a call about `kind` that tell the flows of RFC 3665 apart, and those of the rest that `wanted`
/// asks for once those are known.
pub(super) fn facts(view: CallView<'_>, kind: FlowKind, motion: &Motion, wanted: impl FnOnce(Facts) -> Facts) -> Facts {
    let story = Story { view };
    let mut facts = Facts::default();
    match kind {
        FlowKind::Call => story.call(&mut facts, !motion.moved.is_empty()),
        FlowKind::Registration => story.registration(&mut facts),
        _ => {}
    }
    let wanted = wanted(facts);
    features(view, kind, motion, wanted, &mut facts);
    facts
}

struct Story<'a> {
    view: CallView<'a>,
}

impl<'a> Story<'a> {
    fn call(&self, facts: &mut Facts, moves: bool) {
        if let Some(ending) = self.ending() {
            facts.set(ending, true);
        }
        let challenged = self.responses(Method::Invite).any(|(_, message)| is_challenge(message));
        facts.set(Fact::Proxy, self.has_proxy());
        facts.set(Fact::TwoRealms, self.count_realms() > 1);
        facts.set(Fact::SilentTarget, self.silent_target());
        facts.set(Fact::MediaRelay, !challenged && self.relays_media());
        let redirected =
            |(_, message): (MessageNo, &Message)| message.status().is_some_and(|s| (300..400).contains(&s));
        facts.set(Fact::Redirected, self.responses(Method::Invite).any(redirected) || self.redirected_unseen());
        facts.set(Fact::MediaMoved, moves);
    }

    /// How the attempt went. A call with several attempts is told by the last one; one that ended in a
    /// way no flow has is told by nothing.
    fn ending(&self) -> Option<Fact> {
        match self.view.call.outcome {
            Outcome::Cancelled if self.cancel_was_ignored() => Some(Fact::Answered),
            Outcome::Cancelled => Some(Fact::Cancelled),
            Outcome::Busy => Some(Fact::Busy),
            Outcome::Rejected if self.view.call.final_status == Some(603) => Some(Fact::Busy),
            Outcome::Rejected | Outcome::Refused => None,
            Outcome::NoAnswer if self.view.call.final_status == Some(480) && !self.fell_silent() => {
                Some(Fact::Unavailable)
            }
            Outcome::NoAnswer => Some(Fact::NoResponse),
            Outcome::Unanswered | Outcome::Incomplete if self.refusal_behind().is_some() => {
                match self.refusal_behind() {
                    Some(486 | 600 | 603) => Some(Fact::Busy),
                    Some(487) => Some(Fact::Cancelled),
                    Some(480) if !self.fell_silent() => Some(Fact::Unavailable),
                    Some(408 | 480) => Some(Fact::NoResponse),
                    _ => None,
                }
            }
            Outcome::Unanswered | Outcome::Incomplete if self.refused_unseen() => {
                Some(if self.was_heard() { Fact::Unavailable } else { Fact::NoResponse })
            }
            Outcome::Unanswered if !self.was_heard() => Some(Fact::NoResponse),
            _ => Some(Fact::Answered),
        }
    }

    /// The caller acknowledged a failure that was not captured on its hop: what it said on the next one.
    fn refusal_behind(&self) -> Option<u16> {
        let acknowledged = |t: &&Transaction| t.final_response.is_none() && t.ack.is_some();
        self.transactions(Method::Invite).find(acknowledged)?;
        let forwarded = self.transactions(Method::Invite).filter(|t| t.upstream.is_some());
        let failures =
            forwarded.filter_map(|t| self.view.sip(t.final_response?).status()).filter(|status| *status >= 400);
        failures.last()
    }

    /// The last attempt was refused, as its ACK shows; with what, nothing in the capture tells.
    fn refused_unseen(&self) -> bool {
        self.transactions(Method::Invite).last().is_some_and(|t| t.final_response.is_none() && t.ack.is_some())
    }

    /// The caller acknowledged a failure that was not captured and turned to another server without credentials:
    /// what it acknowledged was a 3xx (RFC 3261 8.1.3.4); a challenge is answered where it came from.
    fn redirected_unseen(&self) -> bool {
        let mut left: Option<Idx<Participant>> = None;
        for t in self.transactions(Method::Invite).filter(|t| t.upstream.is_none()) {
            let Some(request) = t.request else { continue };
            let (to, again) = (self.view.call.message(request).to, self.view.sip(request));
            let elsewhere = left.is_some_and(|left| left != to);
            if elsewhere
                && again.to_tag().is_empty()
                && !again.has(Has::PROXY_AUTHORIZATION)
                && !again.has(Has::AUTHORIZATION)
            {
                return true;
            }
            left = (t.final_response.is_none() && t.ack.is_some()).then_some(to);
        }
        false
    }

    fn transactions(&self, method: Method) -> impl Iterator<Item = &'a Transaction> + use<'a> {
        self.view.call.transactions.iter().filter(move |t| t.method == method)
    }

    fn requests(&self, method: Method) -> impl Iterator<Item = &'a Message> + use<'a> {
        let view = self.view;
        self.transactions(method).filter_map(move |t| t.request.map(|no| view.sip(no)))
    }

    /// Final responses to requests of `method`.
    fn responses(&self, method: Method) -> impl Iterator<Item = (MessageNo, &'a Message)> + use<'a> {
        let view = self.view;
        self.transactions(method).filter_map(move |t| t.final_response.map(|no| (no, view.sip(no))))
    }

    /// Somebody behind the first hop let hear from himself.
    fn was_heard(&self) -> bool {
        self.transactions(Method::Invite).any(|t| {
            t.messages.iter().any(|no| self.view.sip(*no).status().is_some_and(|status| (101..200).contains(&status)))
        })
    }

    /// A CANCEL sent again and again without an answer has cancelled nothing.
    fn cancel_was_ignored(&self) -> bool {
        let resent = |t: &Transaction| {
            let copy = |no: &MessageNo| self.view.call.message(*no).copy;
            t.messages.iter().filter_map(copy).any(|copy| copy.kind == CopyKind::Retransmission)
        };
        self.view.call.final_status.is_none()
            && self.transactions(Method::Cancel).all(|t| t.final_response.is_none() && resent(t))
    }

    /// A 480 that a proxy made because nobody answered it.
    fn fell_silent(&self) -> bool {
        if self.was_heard() {
            return false;
        }
        self.transactions(Method::Invite).any(|t| {
            let Some(request) = t.request else {
                return false;
            };
            match t.final_response {
                None => t.provisional.is_none(),
                Some(answer) => {
                    self.view.seen(answer).time.since(self.view.seen(request).time) + timer::T2 >= timer::TIMEOUT
                }
            }
        })
    }

    fn has_proxy(&self) -> bool {
        let call = self.view.call;
        call.transactions.iter().any(|t| t.upstream.is_some())
            || call.participants.iter().any(|p| matches!(p.role, Role::Proxy | Role::B2bua))
            || call.transactions.iter().any(|t| {
                let first = t.messages.first().map(|no| self.view.sip(*no));
                first.is_some_and(|message| message.via_count() > 1 || message.has(Has::RECORD_ROUTE))
            })
            || self
                .responses(Method::Invite)
                .any(|(_, message)| message.status() == Some(407) || message.has(Has::RECORD_ROUTE))
    }

    fn count_realms(&self) -> usize {
        let mut known: Vec<&[u8]> = Vec::new();
        for (_, message) in self.responses(Method::Invite).filter(|(_, message)| message.status() == Some(407)) {
            for challenge in message.challenges() {
                if !known.contains(&challenge.realm) && known.len() < 2 {
                    known.push(challenge.realm);
                }
            }
        }
        known.len()
    }

    /// An INVITE that nobody answered, and a later one from the same host to another target that was.
    fn silent_target(&self) -> bool {
        let silent = self.transactions(Method::Invite).filter(|t| {
            t.final_response.is_none()
                && t.messages.iter().all(|no| self.view.sip(*no).status().is_none_or(|s| s == 100))
        });
        // The first few tell; forks by the thousand are no fail-over.
        silent.take(8).any(|silent| {
            let Some(last) = silent.messages.last() else {
                return false;
            };
            silent.request.is_some()
                && self.transactions(Method::Invite).any(|t| {
                    t.connection.src.ip == silent.connection.src.ip
                        && t.connection.dst != silent.connection.dst
                        && t.request.is_some_and(|no| no > *last)
                        && t.messages.iter().any(|no| !self.view.sip(*no).is_request())
                        && t.request.is_some_and(|no| self.tried_late(silent, no))
                })
        })
    }

    /// Later than any fork is: the sender had waited for an answer.
    fn tried_late(&self, silent: &Transaction, next: MessageNo) -> bool {
        silent.request.is_some_and(|first| self.view.seen(next).time.since(self.view.seen(first).time) >= timer::T1)
    }

    /// One INVITE, or one answer to it, names one media address on this hop and another one on that.
    fn relays_media(&self) -> bool {
        /// CSeq number and both tags.
        type Spoken<'a> = (u32, &'a [u8], &'a [u8]);
        if self.view.call.hops.len() < 2 {
            return false;
        }
        let mut known: SmallVec<[(Spoken<'_>, &Message); 8]> = SmallVec::new();
        let spoken = self.transactions(Method::Invite).flat_map(|t| [t.request, t.final_response]);
        spoken.flatten().any(|no| {
            let message = self.view.sip(no);
            // Within a dialog a new address is no relay but a move.
            let within = message.is_request() && !message.to_tag().is_empty();
            if within || !message.has(Has::SDP) {
                return false;
            }
            let key = (message.cseq_number().unwrap_or_default(), message.from_tag(), message.to_tag());
            if let Some((_, before)) = known.iter().find(|(other, _)| *other == key) {
                // Proxies pass bodies on as they are (RFC 3261 16.6), and that is quick to see.
                let differs = || match (media_address(before), media_address(message)) {
                    (Some(before), Some(now)) => before != now,
                    _ => false,
                };
                return before.body() != message.body() && differs();
            }
            if known.len() < TAGS {
                known.push((key, message));
            }
            false
        })
    }

    fn registration(&self, facts: &mut Facts) {
        let mut requests = self.requests(Method::Register).peekable();
        let first = requests.peek().copied();
        // Without the first request its answer tells: who is challenged had none.
        let at_once = self.transactions(Method::Register).next().and_then(|t| t.request).map(|no| self.view.sip(no));
        facts.set(Fact::CredentialsAtOnce, at_once.is_some_and(has_credentials));
        facts.set(
            Fact::Query,
            first.is_some() && self.requests(Method::Register).all(|m| !m.has(Has::CONTACT) && !m.has(Has::CUT)),
        );
        let star = |m: &Message| m.contacts().any(|contact| contact.uri == b"*");
        let removes = first.is_some_and(removes_contacts) || self.requests(Method::Register).any(star);
        facts.set(Fact::Removal, removes);
        let accepted = self.responses(Method::Register).any(|(_, m)| m.status().is_some_and(|s| s < 300));
        let refused = !accepted && self.transactions(Method::Register).any(|t| self.refuses(t));
        facts.set(Fact::CredentialsRefused, refused);
        facts.set(Fact::Failed, !accepted && !refused && self.view.call.outcome == Outcome::Refused);
    }

    /// Credentials were answered with a challenge of the same realm that is not about their age, or
    /// with 403. A request that was not captured had credentials if there was a challenge before.
    fn refuses(&self, transaction: &Transaction) -> bool {
        let Some(answer_no) = transaction.final_response else {
            return false;
        };
        let answer = self.view.sip(answer_no);
        let Some(request) = transaction.request.map(|no| self.view.sip(no)) else {
            let before = self
                .responses(Method::Register)
                .next()
                .is_some_and(|(no, first)| no < answer_no && is_challenge(first));
            return before && is_challenge(answer) && answer.challenges().all(|challenge| !challenge.stale);
        };
        if !has_credentials(request) {
            return false;
        }
        let mine = realms(request);
        let again = |stale: bool, realm: &[u8]| !stale && (mine.is_empty() || mine.contains(&realm));
        answer.status() == Some(403)
            || (is_challenge(answer) && answer.challenges().all(|challenge| again(challenge.stale, challenge.realm)))
    }
}

pub(super) fn is_challenge(message: &Message) -> bool {
    matches!(message.status(), Some(401 | 407))
}

/// Whether a request carries credentials for a server or a proxy.
pub(super) fn has_credentials(message: &Message) -> bool {
    message.has(Has::AUTHORIZATION) || message.has(Has::PROXY_AUTHORIZATION)
}

/// Whether a REGISTER removes every binding that it names (RFC 3261 10.2.2).
pub(super) fn removes_contacts(message: &Message) -> bool {
    let expires = || message.header(HeaderName::Expires).map(<[u8]>::trim_ascii);
    let mut contacts = message.contacts().peekable();
    contacts.peek().is_some()
        && contacts.all(|contact| {
            let at_once = contact.expires().map_or_else(|| expires() == Some(b"0"), |seconds| seconds == 0);
            contact.uri == b"*" || at_once
        })
}

/// Whether `idx` is an INVITE outside of a dialog. Without its request, what it led to tells.
pub(super) fn is_initial_invite(view: CallView<'_>, idx: Idx<Transaction>) -> bool {
    let transaction = view.call.transaction(idx);
    if let Some(request) = transaction.request {
        return view.sip(request).to_tag().is_empty();
    }
    let Some(first) = transaction.messages.first() else {
        return true;
    };
    let later = |dialog: &Dialog| {
        !dialog.created_by.contains(&idx) && dialog.confirmed.is_some_and(|confirmed| confirmed < *first)
    };
    let from_callee = |dialog: &Dialog| view.sip(*first).from_tag() == dialog.callee_tag;
    !view.call.dialogs.iter().take(TAGS).any(|dialog| later(dialog) || from_callee(dialog))
}
