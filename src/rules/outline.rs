//! What a call has, found out in one walk, so that a rule looks only at calls in which it may find something.
//!
//! A healthy call has next to nothing that a rule asks for here: no message came twice, nothing was refused, all was
//! answered.

use super::facts::{success, time};
use crate::analysis::CallView;
use crate::base::{Idx, Transport};
use crate::session::{CopyKind, Dialog, MessageNo, Side, Transaction};
use crate::sip::{Facts, Message, Method};
use std::ops::{BitOr, BitOrAssign};

/// Things that a call may show; join them with `|`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Trait(u32);

impl Trait {
    /// A message was sent again.
    pub(super) const RESENT: Self = Self(1);
    /// A request, not an ACK, has no final response.
    pub(super) const UNFINISHED: Self = Self(1 << 1);
    /// A transaction has no request.
    pub(super) const HEADLESS: Self = Self(1 << 2);
    /// A request was passed on.
    pub(super) const FORWARDED: Self = Self(1 << 3);
    /// A response came behind the final response to the same request.
    pub(super) const AFTER_FINAL: Self = Self(1 << 4);
    /// A response to an ACK.
    pub(super) const ANSWERED_ACK: Self = Self(1 << 5);
    /// A response other than 100 has no To tag.
    pub(super) const UNTAGGED: Self = Self(1 << 6);
    /// A branch that is not of RFC 3261.
    pub(super) const OLD_BRANCH: Self = Self(1 << 7);
    /// A request whose method is not surely that of its CSeq.
    pub(super) const OTHER_METHOD: Self = Self(1 << 8);
    /// A request without Max-Forwards.
    pub(super) const UNCOUNTED: Self = Self(1 << 9);
    /// A provisional response to something other than INVITE.
    pub(super) const PROVISIONAL: Self = Self(1 << 10);
    /// A failure response to an INVITE without ACK in its branch.
    pub(super) const FAILURE_UNACKED: Self = Self(1 << 11);
    /// An ACK whose INVITE, or the final response to it, cannot be told at once.
    pub(super) const LOOSE_ACK: Self = Self(1 << 12);
    /// An INVITE within a dialog.
    pub(super) const REINVITE: Self = Self(1 << 13);
    /// An accepted INVITE, or its 2xx, without body.
    pub(super) const BODILESS: Self = Self(1 << 14);
    /// Several To tags in the responses to INVITEs that may be one.
    pub(super) const SEVERAL_TAGS: Self = Self(1 << 15);
    /// A 2xx to an INVITE whose ACK is not seen at once, behind it.
    pub(super) const UNACKED: Self = Self(1 << 16);
    /// A side of a dialog changed its Contact.
    pub(super) const MOVED: Self = Self(1 << 17);
    /// A dialog whose beginning is not in the capture.
    pub(super) const UNBEGUN: Self = Self(1 << 18);
    /// A message passed over UDP.
    pub(super) const UDP: Self = Self(1 << 19);
    /// A BYE without To tag.
    pub(super) const STRAY_BYE: Self = Self(1 << 20);

    fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Trait {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Trait {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a call has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outline {
    traits: Trait,
    /// Facts of all messages.
    facts: Facts,
    /// Methods of the transactions, as bits.
    methods: u32,
    /// Statuses of all responses modulo 64, as bits.
    statuses: u64,
    /// The highest status of a final response.
    worst: u16,
    /// The most Vias on a request.
    vias: u16,
    /// Bytes of the largest request over UDP.
    largest: usize,
}

impl Outline {
    /// Of one call.
    pub(super) fn of(view: CallView<'_>) -> Self {
        let mut outline = Self { facts: Facts::NONE, ..Self::default() };
        let seen = &view.analysis.seen;
        for (at, placed) in view.call.messages.iter().enumerate() {
            let seen = &seen[placed.seen.at()];
            let message = &seen.message;
            outline.facts |= message.facts();
            if seen.connection.transport == Transport::Udp {
                outline.traits |= Trait::UDP;
            }
            match placed.copy {
                Some(copy) if copy.kind == CopyKind::Retransmission => outline.traits |= Trait::RESENT,
                _ => {}
            }
            if message.is_request() {
                outline.request(message);
            } else {
                let t = placed.transaction.filter(|_| placed.copy.is_none()).map(|at| view.call.transaction(at));
                outline.response(MessageNo::new(at), message, t);
            }
        }
        let mut invites = Invites::default();
        for (at, t) in view.transactions() {
            outline.transaction(view, at, t, &mut invites);
        }
        if invites.are_open() {
            outline.traits |= Trait::UNACKED;
        }
        view.call.dialogs.iter().for_each(|dialog| outline.dialog(dialog));
        outline
    }

    /// Whether it shows any of these.
    pub(super) fn shows(&self, traits: Trait) -> bool {
        self.traits.intersects(traits)
    }

    /// Whether a message may have any of these headers, or is such; one that is cut may have any.
    pub(super) fn has(&self, facts: Facts) -> bool {
        self.facts.intersects(facts | Facts::CUT)
    }

    /// Whether there is a transaction of any of these methods.
    pub(super) fn of_method(&self, methods: &[Method]) -> bool {
        methods.iter().any(|method| self.methods & (1 << *method as u32) != 0)
    }

    /// Whether there may be a response with any of these statuses.
    pub(super) fn answered(&self, statuses: &[u16]) -> bool {
        statuses.iter().any(|status| self.statuses & status_bit(*status) != 0)
    }

    /// The highest status of a final response to any request; 0 when there is none.
    pub(super) fn worst(&self) -> u16 {
        self.worst
    }

    /// The most Vias on a request.
    pub(super) fn vias(&self) -> u16 {
        self.vias
    }

    /// Bytes of the largest request over UDP.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Whether somebody was asked for credentials, or sent some.
    pub(super) fn is_challenged(&self) -> bool {
        self.answered(&[401, 407]) || self.has(Facts::AUTHORIZATION | Facts::PROXY_AUTHORIZATION)
    }

    fn request(&mut self, message: &Message) {
        /// What every branch begins with (RFC 3261 8.1.1.7).
        const COOKIE: &[u8] = b"z9hG4bK";
        self.vias = self.vias.max(message.via_count());
        let branch = message.branch();
        if branch.len() == COOKIE.len() || !branch.starts_with(COOKIE) {
            self.traits |= Trait::OLD_BRANCH;
        }
        let method = message.method();
        if method == Method::Other || message.cseq_method() != method || message.has(Facts::MALFORMED) {
            self.traits |= Trait::OTHER_METHOD;
        }
        if !message.has(Facts::MAX_FORWARDS) {
            self.traits |= Trait::UNCOUNTED;
        }
        if method == Method::Bye && message.to_tag().is_empty() {
            self.traits |= Trait::STRAY_BYE;
        }
    }

    /// A response; `t` is its transaction unless it is a copy.
    fn response(&mut self, no: MessageNo, message: &Message, t: Option<&Transaction>) {
        let status = message.status().unwrap_or(0);
        self.statuses |= status_bit(status);
        if status > 100 && message.to_tag().is_empty() {
            self.traits |= Trait::UNTAGGED;
        }
        let Some(t) = t else { return };
        if t.final_response.is_some_and(|last| last < no) {
            self.traits |= Trait::AFTER_FINAL;
        }
        if t.method == Method::Ack {
            self.traits |= Trait::ANSWERED_ACK;
        }
    }

    fn transaction(&mut self, view: CallView<'_>, at: Idx<Transaction>, t: &Transaction, invites: &mut Invites) {
        self.methods |= 1 << t.method as u32;
        let status = t.final_response.and_then(|no| view.sip(no).status());
        self.worst = self.worst.max(status.unwrap_or(0));
        match (t.request, status) {
            (None, _) => self.traits |= Trait::HEADLESS,
            (Some(_), None) if t.method != Method::Ack => self.traits |= Trait::UNFINISHED,
            _ => {}
        }
        if t.upstream.is_some() {
            self.traits |= Trait::FORWARDED;
        }
        if t.connection.transport == Transport::Udp {
            self.largest = self.largest.max(t.request.map_or(0, |no| view.sip(no).raw().len()));
        }
        match t.method {
            Method::Invite => self.invite(view, at, t, status, invites),
            Method::Ack => self.ack(view, t, invites),
            _ if t.provisional.is_some() => self.traits |= Trait::PROVISIONAL,
            _ => {}
        }
    }

    fn invite(
        &mut self,
        view: CallView<'_>,
        at: Idx<Transaction>,
        t: &Transaction,
        status: Option<u16>,
        invites: &mut Invites,
    ) {
        let request = t.request.map(|no| view.sip(no));
        if request.is_some_and(|request| !request.to_tag().is_empty()) {
            self.traits |= Trait::REINVITE;
        }
        match status {
            Some(300..) if t.ack.is_none() => self.traits |= Trait::FAILURE_UNACKED,
            None if t.ack.is_some() => self.traits |= Trait::LOOSE_ACK,
            _ => {}
        }
        if let Some(answer) = success(view, t) {
            let bodiless = |message: &Message| message.body().is_empty();
            if bodiless(view.sip(answer)) || request.is_none_or(bodiless) {
                self.traits |= Trait::BODILESS;
            }
            if !invites.answered(view, at, answer) {
                self.traits |= Trait::SEVERAL_TAGS;
            }
        }
        if has_several_tags(view, t) {
            self.traits |= Trait::SEVERAL_TAGS;
        }
    }

    fn ack(&mut self, view: CallView<'_>, t: &Transaction, invites: &mut Invites) {
        let answer = t.invite.and_then(|at| Some((at, view.call.transaction(at).final_response?)));
        let (Some(request), Some((at, answer))) = (t.request, answer) else {
            self.traits |= Trait::LOOSE_ACK;
            return;
        };
        let in_time = time(view, answer) <= time(view, request);
        let (ack, answer) = (view.sip(request), view.sip(answer));
        let same_call = ack.cseq_number() == answer.cseq_number()
            && ack.from_tag() == answer.from_tag()
            && ack.call_id() == answer.call_id();
        if !same_call {
            self.traits |= Trait::LOOSE_ACK;
        } else if !in_time {
            self.traits |= Trait::UNACKED;
        } else if ack.to_tag() == answer.to_tag() {
            invites.acknowledged(at);
        }
    }

    fn dialog(&mut self, dialog: &Dialog) {
        if dialog.created_by.is_empty() {
            self.traits |= Trait::UNBEGUN;
        }
        let of = |side: Side| dialog.targets.iter().filter(|target| target.of == side).count();
        if dialog.targets.len() > 1 && (of(Side::Caller) > 1 || of(Side::Callee) > 1) {
            self.traits |= Trait::MOVED;
        }
    }
}

fn status_bit(status: u16) -> u64 {
    1 << (status % 64)
}

/// Whether phones with different To tags answered this INVITE; failures aside.
fn has_several_tags(view: CallView<'_>, t: &Transaction) -> bool {
    if t.messages.len() < 3 {
        return false;
    }
    let messages = t.messages.iter().map(|no| view.sip(*no));
    let spoke = messages.filter(|message| matches!(message.status(), Some(101..300)) && !message.to_tag().is_empty());
    let mut tags = spoke.map(Message::to_tag);
    tags.next().is_some_and(|first| tags.any(|tag| tag != first))
}

/// The accepted INVITEs of a call, as far as one word holds them.
#[derive(Default)]
struct Invites {
    accepted: u64,
    acknowledged: u64,
    /// There are more.
    beyond: bool,
    /// The last 2xx.
    last: Option<MessageNo>,
}

impl Invites {
    /// Notes the 2xx of an INVITE. Whether it is, for all that can be told at once, of the same phone as the one
    /// before, or to another INVITE.
    fn answered(&mut self, view: CallView<'_>, at: Idx<Transaction>, answer: MessageNo) -> bool {
        match 1_u64.checked_shl(at.at() as u32) {
            Some(bit) => self.accepted |= bit,
            None => self.beyond = true,
        }
        let message = view.sip(answer);
        let before = self.last.replace(answer).map(|no| view.sip(no));
        before.is_none_or(|before| before.to_tag() == message.to_tag())
    }

    fn acknowledged(&mut self, at: Idx<Transaction>) {
        self.acknowledged |= 1_u64.checked_shl(at.at() as u32).unwrap_or(0);
    }

    /// Whether one of them may lack its ACK.
    fn are_open(&self) -> bool {
        self.beyond || self.accepted & !self.acknowledged != 0
    }
}
