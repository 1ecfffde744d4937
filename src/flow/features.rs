//! The facts that tell calls apart beyond RFC 3665: what extensions they use, what services they show.
//!
//! Each is looked for only when a flow that may still fit asks for it.

use super::fact::{Fact, Facts};
use super::facts::{is_challenge, is_initial_invite};
use super::media::Motion;
use super::model::FlowKind;
use super::observed::TAGS;
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Kind, Outcome};
use crate::session::{MessageNo, Transaction, timer};
use crate::sip::{Facts as Has, HeaderName, Message, Method};
use memchr::{memchr, memmem};
use std::collections::BTreeMap;

/// Adds to `facts` those of `wanted` that hold and are none of RFC 3665.
pub(super) fn features(view: CallView<'_>, kind: FlowKind, motion: &Motion, wanted: Facts, facts: &mut Facts) {
    if wanted == Facts::default() {
        return;
    }
    let methods = view.call.transactions.iter().fold(0, |all, t| all | 1_u32 << t.method as u32);
    let story = Features { view, methods, wanted };
    if wanted.holds(Fact::Challenged) {
        let mut finals = view.call.transactions.iter().filter_map(|t| t.final_response);
        facts.set(Fact::Challenged, finals.any(|no| is_challenge(view.sip(no))));
    }
    facts.set(Fact::Rejected, story.is_rejected());
    story.refers(facts);
    match kind {
        FlowKind::Call => story.call(motion, facts),
        FlowKind::Registration => {}
        _ => {
            facts.set(Fact::Accepted, view.call.outcome != Outcome::Rejected);
            story.subscription(facts);
            story.publications(facts);
        }
    }
}

/// An INVITE that a proxy sent on.
struct Branch<'a> {
    of: &'a Transaction,
    request: MessageNo,
    /// Its CANCEL.
    cancelled: Option<MessageNo>,
}

struct Features<'a> {
    view: CallView<'a>,
    /// Methods of the call, as bits.
    methods: u32,
    wanted: Facts,
}

impl<'a> Features<'a> {
    fn has(&self, method: Method) -> bool {
        self.methods & 1 << method as u32 != 0
    }

    fn call(&self, motion: &Motion, facts: &mut Facts) {
        facts.set(Fact::Hold, motion.held);
        facts.set(Fact::Resumed, motion.resumed);
        facts.set(Fact::Update, self.has(Method::Update));
        facts.set(Fact::Info, self.has(Method::Info));
        self.invites(facts);
        if self.wanted.any(&[Fact::SessionTimer, Fact::Refresh]) {
            self.timers(motion, facts);
        }
        if self.wanted.any(&[Fact::Forked, Fact::ParallelForks, Fact::SerialForks]) {
            self.forks(facts);
        }
        if self.wanted.holds(Fact::Gateway) {
            facts.set(Fact::Gateway, self.is_gatewayed());
        }
    }

    /// What INVITEs outside of a dialog and the responses to them say.
    fn invites(&self, facts: &mut Facts) {
        let mut invites = self.initial().peekable();
        if let Some(first) = invites.peek().and_then(|(_, t)| t.request).map(|no| self.view.sip(no)) {
            facts.set(Fact::DelayedOffer, !first.has(Has::SDP) && !first.has(Has::CUT));
        }
        let mut reliable = self.has(Method::Prack);
        for (_, t) in invites {
            for message in self.own(t) {
                match message.status() {
                    Some(status @ 101..200) => {
                        facts.set(Fact::EarlyMedia, message.has(Has::SDP));
                        facts.set(Fact::Forwarded, status == 181);
                        reliable |= message.has(Has::RSEQ);
                    }
                    None if message.method() == Method::Invite => invite(message, facts),
                    _ => {}
                }
                facts.set(Fact::Forwarded, is_diverted(message));
            }
            // A Contact stays the same from end to end.
            if self.wanted.holds(Fact::Focus) && t.upstream.is_none() {
                let mut ends = [t.request, t.final_response].into_iter().flatten().map(|no| self.view.sip(no));
                facts.set(Fact::Focus, ends.any(names_a_focus));
            }
        }
        facts.set(Fact::ReliableProvisional, reliable);
    }

    /// What REFERs ask for, within a call or by themselves.
    fn refers(&self, facts: &mut Facts) {
        if !self.has(Method::Refer) {
            return;
        }
        facts.set(Fact::Transfer, true);
        facts.set(Fact::ReferEvent, true);
        for t in self.view.call.transactions.iter().filter(|t| t.method == Method::Refer) {
            let Some(refer) = t.request.map(|no| self.view.sip(no)) else { continue };
            facts.set(Fact::Attended, refer.header(HeaderName::ReferTo).is_some_and(names_a_dialog));
            // The answer decides where it speaks of it (RFC 4488 4).
            let answer = t.final_response.map(|no| self.view.sip(no));
            let told = answer
                .and_then(|answer| answer.header(HeaderName::ReferSub))
                .or_else(|| refer.header(HeaderName::ReferSub));
            let is_off = |value: &[u8]| value.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"false"));
            facts.set(Fact::NoSubscription, told.is_some_and(is_off));
        }
    }

    fn publications(&self, facts: &mut Facts) {
        let mut requests = self.requests(Method::Publish).peekable();
        let goes_on = |first: &&Message| first.header(HeaderName::SipIfMatch).is_some();
        facts.set(Fact::Conditional, requests.peek().is_some_and(goes_on));
        facts.set(Fact::Withdrawn, requests.any(expires_at_once));
    }

    /// RFC 4028: a 2xx turns the timer on; what refreshes it says so in the request or in its 2xx, is not refused, and
    /// leaves media as they are.
    fn timers(&self, motion: &Motion, facts: &mut Facts) {
        let timed = |no: Option<MessageNo>| no.is_some_and(|no| self.view.sip(no).session_expires().is_some());
        for (idx, t) in self.view.transactions() {
            let is_update = t.method == Method::Update;
            let refused = t.final_response.is_some_and(|no| self.view.sip(no).status() >= Some(300));
            if refused || !(is_update || t.method == Method::Invite) {
                continue;
            }
            let answered = timed(t.final_response);
            facts.set(Fact::SessionTimer, answered);
            let moves = motion.moved.binary_search(&idx).is_ok() || motion.updated.contains(&idx);
            let within = is_update || !is_initial_invite(self.view, idx);
            facts.set(Fact::Refresh, within && !moves && (answered || timed(t.request)));
        }
    }

    /// One INVITE that became several: as its branches show behind the proxy, or as To tags before it.
    fn forks(&self, facts: &mut Facts) {
        let mut branches: BTreeMap<Idx<Transaction>, Vec<Branch<'a>>> = BTreeMap::new();
        let cancels = self.view.call.transactions.iter().filter(|t| t.method == Method::Cancel);
        let cancelled: BTreeMap<_, _> = cancels.filter_map(|t| Some((t.invite?, t.request?))).collect();
        for (idx, t) in self.initial() {
            facts.set(Fact::Forked, self.has_several_phones(t));
            let (Some(upstream), Some(request)) = (t.upstream, t.request) else { continue };
            if branches.len() < TAGS || branches.contains_key(&upstream) {
                let branch = Branch { of: t, request, cancelled: cancelled.get(&idx).copied() };
                branches.entry(upstream).or_default().push(branch);
            }
        }
        for siblings in branches.values() {
            for (at, later) in siblings.iter().enumerate().take(TAGS).skip(1) {
                for earlier in siblings[..at].iter().filter(|earlier| self.has_other_target(earlier, later)) {
                    let parallel = self.is_open_beside(earlier, later);
                    facts.set(Fact::Forked, true);
                    facts.set(if parallel { Fact::ParallelForks } else { Fact::SerialForks }, true);
                }
            }
        }
    }

    fn has_several_phones(&self, t: &Transaction) -> bool {
        let spoke = |message: &&Message| message.status().is_some_and(|s| (101..300).contains(&s));
        let mut tags = self.own(t).filter(spoke).map(Message::to_tag).filter(|tag| !tag.is_empty());
        tags.next().is_some_and(|first| tags.any(|tag| tag != first))
    }

    fn has_other_target(&self, a: &Branch<'_>, b: &Branch<'_>) -> bool {
        let uri = |branch: &Branch<'_>| self.view.sip(branch.request).request_uri();
        a.of.connection.dst != b.of.connection.dst || uri(a) != uri(b)
    }

    /// Whether `earlier` could still be answered when `later` was sent: it had no final response and was not
    /// cancelled, and its target was not given up for silent (RFC 3261 16.7 item 5, 16.8).
    fn is_open_beside(&self, earlier: &Branch<'_>, later: &Branch<'_>) -> bool {
        let before = |no: MessageNo| no < later.request;
        let waited = self.view.seen(later.request).time.since(self.view.seen(earlier.request).time);
        let silent = earlier.of.provisional.is_none() && earlier.of.final_response.is_none() && waited >= timer::T1;
        !silent && !earlier.cancelled.is_some_and(before) && !earlier.of.final_response.is_some_and(before)
    }

    /// What RFC 3666 shows of the telephone network: ISUP in a body (RFC 3204), a release cause of Q.850 (RFC 3326), or
    /// a telephone number as address (RFC 3966, RFC 3261 19.1.6).
    fn is_gatewayed(&self) -> bool {
        let numbered = |no: MessageNo| {
            let invite = self.view.sip(no);
            [invite.request_uri(), invite.from_uri(), invite.to_uri()].into_iter().any(is_number)
        };
        if self.initial().filter_map(|(_, t)| t.request).any(numbered) {
            return true;
        }
        let released = |message: &Message| {
            let told = message.is_request() || message.status().is_some_and(|status| status >= 300);
            told && message.reasons().any(|reason| reason.protocol.eq_ignore_ascii_case(b"Q.850"))
        };
        let ends = [Method::Invite, Method::Bye, Method::Cancel];
        let of_end = |t: &&Transaction| ends.contains(&t.method);
        let mut ending = self.view.call.transactions.iter().filter(of_end);
        ending.any(|t| [t.request, t.final_response].into_iter().flatten().any(|no| released(self.view.sip(no))))
            || self.view.messages().any(|(_, seen)| carries_isup(&seen.message))
    }

    fn subscription(&self, facts: &mut Facts) {
        let asked = self.has(Method::Subscribe) || self.has(Method::Refer);
        facts.set(Fact::Unsolicited, self.has(Method::Notify) && !asked);
        for request in self.requests(Method::Subscribe) {
            let end = if request.to_tag().is_empty() { Fact::Fetch } else { Fact::Unsubscribed };
            facts.set(end, expires_at_once(request));
            package(request, facts);
        }
        for request in self.requests(Method::Notify) {
            package(request, facts);
            if let Some(state) = request.subscription_state() {
                facts.set(Fact::Terminated, state.is_terminated());
                facts.set(Fact::Pending, state.state.eq_ignore_ascii_case(b"pending"));
            }
        }
    }

    /// Refused with a status that no other fact tells: of calls, 603 is busy.
    fn is_rejected(&self) -> bool {
        let is_busy = self.view.call.kind == Kind::Call && self.view.call.final_status == Some(603);
        self.view.call.outcome == Outcome::Rejected && !is_busy
    }

    /// INVITEs outside of a dialog, on every hop.
    fn initial(&self) -> impl Iterator<Item = (Idx<Transaction>, &'a Transaction)> + use<'a> {
        let view = self.view;
        view.transactions().filter(move |(idx, t)| t.method == Method::Invite && is_initial_invite(view, *idx))
    }

    /// Messages of a transaction, repeats left out.
    fn own(&self, t: &'a Transaction) -> impl Iterator<Item = &'a Message> + use<'a> {
        let view = self.view;
        let own = t.messages.iter().filter(move |no| view.call.message(**no).copy.is_none());
        own.map(move |no| view.sip(*no))
    }

    fn requests(&self, method: Method) -> impl Iterator<Item = &'a Message> + use<'a> {
        let view = self.view;
        let of = view.call.transactions.iter().filter(move |t| t.method == method);
        of.filter_map(move |t| t.request.map(|no| view.sip(no)))
    }
}

/// What an INVITE outside of a dialog asks for.
fn invite(invite: &Message, facts: &mut Facts) {
    facts.set(Fact::Replaces, invite.has(Has::REPLACES));
    facts.set(Fact::Attended, invite.has(Has::REPLACES));
    facts.set(Fact::Joins, invite.has(Has::JOIN));
    facts.set(Fact::Referred, invite.has(Has::REFERRED_BY));
}

/// Whether the sender is a conference (RFC 4579 5.1).
fn names_a_focus(message: &Message) -> bool {
    let is_focus = |contact: &[u8]| {
        let params = memchr(b';', contact).map_or(&[][..], |at| &contact[at..]);
        !params.is_empty() && memmem::find(params, b"isfocus").is_some()
    };
    message.header(HeaderName::Contact).is_some_and(is_focus)
}

fn expires_at_once(message: &Message) -> bool {
    message.header(HeaderName::Expires).map(<[u8]>::trim_ascii) == Some(b"0")
}

/// RFC 5806, or RFC 7044 with an entry for each target: the first one is the original.
fn is_diverted(message: &Message) -> bool {
    message.has(Has::DIVERSION)
        || message.facts().intersects(Has::HISTORY_INFO | Has::CUT)
            && message.addresses(HeaderName::HistoryInfo).nth(1).is_some()
}

/// Whether a Refer-To asks for an INVITE with Replaces (RFC 3891 6.1, RFC 5589 7).
fn names_a_dialog(refer_to: &[u8]) -> bool {
    let headers = refer_to.split(|byte| *byte == b'?').nth(1).unwrap_or_default();
    let mut names = headers.split(|byte| *byte == b'&');
    names.any(|header| header.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"Replaces=")))
}

fn is_number(uri: &[u8]) -> bool {
    let params = memchr(b';', uri).map_or(&[][..], |at| &uri[at..]);
    uri.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel:"))
        || !params.is_empty() && memmem::find(params, b";user=phone").is_some()
}

fn carries_isup(message: &Message) -> bool {
    let body = message.body();
    // A session description by itself is the usual case.
    if body.is_empty() || body.starts_with(b"v=0") {
        return false;
    }
    let whole = message.content();
    whole.is("application", "isup") || whole.parts().any(|part| part.is("application", "isup"))
}

/// The fact of the event package that a message names.
fn package(message: &Message, facts: &mut Facts) {
    const PACKAGES: [(&[u8], Fact); 6] = [
        (b"refer", Fact::ReferEvent),
        (b"presence", Fact::PresenceEvent),
        (b"message-summary", Fact::MessageSummaryEvent),
        (b"dialog", Fact::DialogEvent),
        (b"reg", Fact::RegEvent),
        (b"conference", Fact::ConferenceEvent),
    ];
    let Some(event) = message.event() else { return };
    for (name, fact) in PACKAGES {
        facts.set(fact, event.package.eq_ignore_ascii_case(name));
    }
}
