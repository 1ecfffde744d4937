//! Calls: what a user calls a call, a registration, a subscription, with its participants and hops.

mod affinity;
mod build;
mod clue;
mod correlate;
mod forwarded;
mod identifiers;
mod legs;
mod marks;
mod order;
mod outcome;
mod participants;
mod profile;
mod side;
mod weave;

pub use build::build;
pub use clue::Clue;
pub use correlate::{CallIds, Group, group_key, group_messages};
pub use forwarded::{Forwarded, forwarded};
pub use identifiers::LEG_HEADERS;
pub use legs::{Hint, Tie, Ties, tie_legs};
pub use marks::marks;
pub use order::Reordered;
pub use profile::{Clause, Piece, Profile, Said, profiles};
pub use weave::{Places, Woven, weave};

use crate::base::{Endpoint, Idx, Timestamp};
use crate::session::{Copy, Dialog, MessageNo, Seen, Transaction};
use crate::sip::Method;
use smallvec::SmallVec;

/// What a call is about (CONTRACT vocabulary `kind`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// INVITE.
    Call,
    /// REGISTER.
    Registration,
    /// SUBSCRIBE and NOTIFY.
    Subscription,
    /// MESSAGE.
    Message,
    /// OPTIONS outside of a dialog.
    Options,
    /// PUBLISH.
    Publish,
    /// Anything else.
    Other,
}

/// How it ended (CONTRACT vocabulary `outcome`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// Call: 2xx, ended by BYE.
    Answered,
    /// Call: answered, no end in the capture.
    Active,
    /// Call: 486 or 600.
    Busy,
    /// Call: CANCEL, 487.
    Cancelled,
    /// Call: 408 or 480.
    NoAnswer,
    /// Call: ended by 3xx.
    Redirected,
    /// Ended at a 401 or 407 that got no credentials.
    Challenged,
    /// Any other 4xx-6xx.
    Rejected,
    /// No final response although the capture goes on long enough.
    Unanswered,
    /// The capture does not show how it ended.
    Incomplete,
    /// Registration accepted.
    Registered,
    /// Bindings removed.
    Unregistered,
    /// Bindings asked for only.
    Queried,
    /// Registration: credentials or request refused for good.
    Refused,
    /// Other kinds: 2xx.
    Accepted,
}

impl Kind {
    /// The method whose requests such a call begins with; none for [`Kind::Other`].
    pub fn method(self) -> Option<Method> {
        match self {
            Self::Call => Some(Method::Invite),
            Self::Registration => Some(Method::Register),
            Self::Subscription => Some(Method::Subscribe),
            Self::Message => Some(Method::Message),
            Self::Options => Some(Method::Options),
            Self::Publish => Some(Method::Publish),
            Self::Other => None,
        }
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Registration => "registration",
            Self::Subscription => "subscription",
            Self::Message => "message",
            Self::Options => "options",
            Self::Publish => "publish",
            Self::Other => "other",
        }
    }
}

impl Outcome {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Active => "active",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::NoAnswer => "no-answer",
            Self::Redirected => "redirected",
            Self::Challenged => "challenged",
            Self::Rejected => "rejected",
            Self::Unanswered => "unanswered",
            Self::Incomplete => "incomplete",
            Self::Registered => "registered",
            Self::Unregistered => "unregistered",
            Self::Queried => "queried",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
        }
    }
}

/// What an element does in a call, judged by its behaviour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// User agent: starts or ends requests.
    Ua,
    /// Answers REGISTER.
    Registrar,
    /// Forwards requests.
    Proxy,
    /// Answers 3xx.
    Redirect,
    /// Rewrites addresses in messages that it sends on, without a Via of its own.
    Alg,
    /// Ends one leg and starts another.
    B2bua,
    /// Cannot be told.
    Unknown,
}

impl Role {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ua => "ua",
            Self::Registrar => "registrar",
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Alg => "alg",
            Self::B2bua => "b2bua",
            Self::Unknown => "unknown",
        }
    }
}

/// An element that sends or receives messages of a call.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Addresses it uses, sorted; the first one names it.
    pub addresses: SmallVec<[Endpoint; 1]>,
    /// What it does.
    pub role: Role,
}

/// Two neighbouring participants between whom messages passed the tap. Everything hop-by-hop (100,
/// failures and their ACK, CANCEL, timers) is judged per hop.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// The side nearer to the caller (client of the first request on this hop).
    pub upstream: Idx<Participant>,
    /// The side nearer to the callee.
    pub downstream: Idx<Participant>,
    /// `upstream` sent the request first: no proxy before it (one Via, nothing forwarded).
    pub first: bool,
    /// `downstream` answers itself: no forwarding seen behind it and no sign of it (Record-Route).
    pub last: bool,
}

/// One message of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallMessage {
    /// Position among all messages of the analysis.
    pub seen: Idx<Seen>,
    /// Sender.
    pub from: Idx<Participant>,
    /// Receiver.
    pub to: Idx<Participant>,
    /// Hop it travelled on.
    pub hop: Idx<Hop>,
    /// Its transaction; `None` for what cannot be matched at all (no Via, no CSeq).
    pub transaction: Option<Idx<Transaction>>,
    /// What it repeats, if anything.
    pub copy: Option<Copy>,
    /// The next message that repeats the same one, or that repeats this one.
    pub next_copy: Option<MessageNo>,
}

/// One leg of a call that has several: what is sent under one Call-ID, from whoever opens it to whoever ends it.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Its messages.
    pub messages: Vec<MessageNo>,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the final response that decided that.
    pub final_status: Option<u16>,
    /// The reference flow that it follows.
    pub flow: Option<&'static str>,
    /// The leg before it, by position, that it is tied to, and why; `None` for the first.
    pub tie: Option<(usize, Tie)>,
}

/// Another call that this one may be part of.
#[derive(Clone, Debug)]
pub struct Related {
    /// Position of the other call.
    pub call: usize,
    /// What speaks for it.
    pub tie: Tie,
    /// A third call would do as well.
    pub rivalled: bool,
}

/// A call, registration, subscription or other exchange: one or several legs told as one story.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is about.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the final response that decided the outcome.
    pub final_status: Option<u16>,
    /// All messages in order of capture, save those in `reordered`. [`MessageNo`] indexes this list.
    pub messages: Vec<CallMessage>,
    /// Messages that were captured shortly before what caused them and stand behind it here.
    pub reordered: Vec<Reordered>,
    /// Transactions in order of their first message.
    pub transactions: Vec<Transaction>,
    /// Dialogs in order of appearance.
    pub dialogs: Vec<Dialog>,
    /// Participants, caller first, then in the order of the path.
    pub participants: Vec<Participant>,
    /// Hops in the order of the path.
    pub hops: Vec<Hop>,
    /// The legs, in order of their first message; empty when there is only one.
    pub legs: Vec<Leg>,
    /// Other calls that may be further legs of this one.
    pub related: Vec<Related>,
    /// Time of the first message.
    pub start: Timestamp,
    /// Time of the last message.
    pub end: Timestamp,
    /// Until when the capture shows what became of it, on the clock of its messages.
    pub watched_until: Timestamp,
}

impl Call {
    /// The message with number `no`.
    pub fn message(&self, no: MessageNo) -> &CallMessage {
        &self.messages[no.at()]
    }

    /// The transaction with index `idx`.
    pub fn transaction(&self, idx: Idx<Transaction>) -> &Transaction {
        &self.transactions[idx.at()]
    }

    /// Message `no` and all its copies, in order of capture.
    pub fn with_copies(&self, no: MessageNo) -> impl Iterator<Item = MessageNo> {
        std::iter::successors(Some(no), |no| self.message(*no).next_copy)
    }

    /// Numbers of all messages, in order of capture.
    pub fn numbers(&self) -> impl Iterator<Item = MessageNo> + use<> {
        (0..self.messages.len()).map(MessageNo::new)
    }
}
