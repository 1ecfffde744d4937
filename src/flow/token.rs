//! The letters in which a call is compared with a flow: one per message on a hop.

use super::model::FlowKind;
use crate::sip::Method;
use std::hash::{Hash, Hasher};

/// What a message is about: a request as flows tell it apart, or the request that a response answers.
/// The eight of RFC 3665 come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verb {
    /// INVITE outside of a dialog.
    Invite,
    /// INVITE within a dialog that moves media.
    Reinvite,
    /// ACK to a 2xx.
    Ack,
    /// ACK to a failure: part of the INVITE transaction, hop by hop (RFC 3261 17.1.1.3).
    AckFailure,
    /// ACK to the 2xx of a re-INVITE.
    AckReinvite,
    /// CANCEL.
    Cancel,
    /// BYE.
    Bye,
    /// REGISTER.
    Register,
    /// INVITE within a dialog that leaves media as they are: it refreshes the session (RFC 4028) or the target.
    Refresh,
    /// ACK to the 2xx of such an INVITE.
    AckRefresh,
    /// PRACK (RFC 3262).
    Prack,
    /// UPDATE (RFC 3311).
    Update,
    /// INFO (RFC 6086).
    Info,
    /// REFER (RFC 3515).
    Refer,
    /// SUBSCRIBE (RFC 6665).
    Subscribe,
    /// NOTIFY (RFC 6665).
    Notify,
    /// MESSAGE (RFC 3428).
    Message,
    /// OPTIONS (RFC 3261 11).
    Options,
    /// PUBLISH (RFC 3903).
    Publish,
}

impl Verb {
    /// Every verb with its name in .flow files.
    pub const NAMES: [(Self, &'static str); 19] = [
        (Self::Invite, "INVITE"),
        (Self::Reinvite, "re-INVITE"),
        (Self::Ack, "ACK"),
        (Self::AckFailure, "ACK to failure"),
        (Self::AckReinvite, "ACK to re-INVITE"),
        (Self::Cancel, "CANCEL"),
        (Self::Bye, "BYE"),
        (Self::Register, "REGISTER"),
        (Self::Refresh, "refresh"),
        (Self::AckRefresh, "ACK to refresh"),
        (Self::Prack, "PRACK"),
        (Self::Update, "UPDATE"),
        (Self::Info, "INFO"),
        (Self::Refer, "REFER"),
        (Self::Subscribe, "SUBSCRIBE"),
        (Self::Notify, "NOTIFY"),
        (Self::Message, "MESSAGE"),
        (Self::Options, "OPTIONS"),
        (Self::Publish, "PUBLISH"),
    ];

    /// Name in .flow files.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(verb, _)| *verb == self).map_or("", |(_, name)| name)
    }

    /// The verb of requests of `method` that have only one; `None` for INVITE and ACK, which have several,
    /// and for methods that no flow speaks of.
    pub(super) fn of(method: Method) -> Option<Self> {
        Some(match method {
            Method::Cancel => Self::Cancel,
            Method::Bye => Self::Bye,
            Method::Register => Self::Register,
            Method::Prack => Self::Prack,
            Method::Update => Self::Update,
            Method::Info => Self::Info,
            Method::Refer => Self::Refer,
            Method::Subscribe => Self::Subscribe,
            Method::Notify => Self::Notify,
            Method::Message => Self::Message,
            Method::Options => Self::Options,
            Method::Publish => Self::Publish,
            Method::Invite | Method::Ack | Method::Other => return None,
        })
    }

    /// Method as in a start line.
    pub fn method_name(self) -> &'static str {
        match self {
            Self::Invite | Self::Reinvite | Self::Refresh => "INVITE",
            Self::Ack | Self::AckFailure | Self::AckReinvite | Self::AckRefresh => "ACK",
            other => other.name(),
        }
    }

    /// The INVITE whose 2xx this ACK acknowledges.
    pub(super) fn acknowledges(self) -> Option<Self> {
        match self {
            Self::Ack => Some(Self::Invite),
            Self::AckReinvite => Some(Self::Reinvite),
            Self::AckRefresh => Some(Self::Refresh),
            _ => None,
        }
    }

    /// The ACK to a 2xx of this INVITE.
    pub(super) fn acknowledged_by(self) -> Option<Self> {
        [Self::Ack, Self::AckReinvite, Self::AckRefresh].into_iter().find(|ack| ack.acknowledges() == Some(self))
    }

    /// The exchange it belongs to: what is missing before the first message that was seen is told only
    /// within the exchange of that message.
    #[must_use]
    pub fn exchange(self) -> Self {
        match self {
            Self::AckFailure => Self::Invite,
            other => other.acknowledges().unwrap_or(other),
        }
    }

    /// Whether every flow sees it, also one that does not speak of it: the messages of RFC 3665.
    pub(super) fn is_basic(self) -> bool {
        self <= Self::Register
    }
}

/// The verbs that a flow speaks of. Exchanges of other ones are left out when a call is compared with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Alphabet {
    verbs: u32,
    /// Those beyond RFC 3665 of whose failures it speaks.
    failures: u32,
}

impl Alphabet {
    /// The verbs of RFC 3665, which count in every flow.
    pub(super) fn basic() -> Self {
        let basic = Verb::NAMES.iter().filter(|(verb, _)| verb.is_basic());
        Self { verbs: basic.fold(0, |all, (verb, _)| all | bit(*verb)), failures: 0 }
    }

    /// The verbs that open calls about `kind`.
    pub(super) fn opening(kind: FlowKind) -> Self {
        let mut opening = Self::default();
        Verb::NAMES.iter().filter(|(verb, _)| kind.opens(*verb)).for_each(|(verb, _)| opening.add(*verb, 0));
        opening
    }

    /// Every verb, failures included.
    pub(super) fn whole() -> Self {
        Self { verbs: u32::MAX, failures: u32::MAX }
    }

    /// Adds a verb, and its failures when `status` is one.
    pub(super) fn add(&mut self, verb: Verb, status: u16) {
        self.verbs |= bit(verb);
        if status >= 300 && !verb.is_basic() {
            self.failures |= bit(verb);
        }
    }

    /// The verbs of either.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self { verbs: self.verbs | other.verbs, failures: self.failures | other.failures }
    }

    /// Whether a flow of this alphabet sees an exchange; `retried` says that it failed and was tried again.
    pub(super) fn has(self, verb: Verb, retried: bool) -> bool {
        self.verbs & bit(verb) != 0 && (!retried || self.failures & bit(verb) != 0)
    }

    /// How many verbs it has.
    pub(super) fn len(self) -> u32 {
        self.verbs.count_ones()
    }
}

fn bit(verb: Verb) -> u32 {
    1 << verb as u32
}

/// Contact of a REGISTER (RFC 3261 10.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Contact {
    /// None: a query.
    None,
    /// Bindings to add or refresh.
    Some,
    /// Bindings to remove: `*`, or nothing but contacts that expire at once.
    Removal,
}

/// One message on a hop, as flows see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Token {
    /// The request, or the request that this response answers.
    pub verb: Verb,
    /// Status code; 0 for a request.
    pub status: u16,
    /// From the caller's side to the callee's.
    pub down: bool,
    /// It carries credentials.
    pub credentials: bool,
    /// Contact of a REGISTER.
    pub contact: Contact,
    /// A response that follows its own request: the two cannot have changed places.
    pub answers: bool,
    /// A provisional response after the final one (overtaken on the wire).
    pub late: bool,
}

impl Token {
    /// All of it in one word.
    fn word(self) -> u64 {
        let flags = [self.down, self.credentials, self.answers, self.late];
        let flags = flags.iter().fold(0, |all, flag| all << 1 | u64::from(*flag));
        u64::from(self.status) | (self.verb as u64) << 16 | (self.contact as u64) << 24 | flags << 32
    }
}

/// Whole strings of tokens are looked up: one word for each.
impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.word());
    }
}

/// Outcome class of a status code. Challenges and redirections invite the client to go on and are no
/// failures.
pub(super) fn class(status: u16) -> u8 {
    match status {
        0 => 0,
        1..=199 => 1,
        200..=299 => 2,
        300..=399 => 3,
        401 | 407 => 4,
        _ => 5,
    }
}

/// The usual reason phrase of the status codes that flows speak of.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        181 => "Call Is Being Forwarded",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        422 => "Session Interval Too Small",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        489 => "Bad Event",
        491 => "Request Pending",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "",
    }
}
