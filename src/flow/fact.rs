//! The words of `when` lines, and sets of them.

use super::model::FlowKind;

/// Something that is so, or not so, in a call as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fact {
    /// The INVITE was accepted, or still could be.
    Answered,
    /// The caller took the INVITE back before it was answered.
    Cancelled,
    /// 486, 600 or 603: the callee will not.
    Busy,
    /// The callee never answered: 408, 480 after silence, or nothing at all.
    NoResponse,
    /// The callee answered 480.
    Unavailable,
    /// A proxy takes part.
    Proxy,
    /// Proxies of two realms asked for credentials.
    TwoRealms,
    /// A first target stayed silent, then another one was tried.
    SilentTarget,
    /// An element between the two puts its own address into the SDP, and nobody asked for credentials.
    MediaRelay,
    /// A 3xx sent the caller elsewhere.
    Redirected,
    /// A re-INVITE moved media to another address, or held or resumed it.
    MediaMoved,
    /// Credentials in the first REGISTER already.
    CredentialsAtOnce,
    /// No REGISTER has a Contact.
    Query,
    /// `Contact: *` in one of the REGISTERs, or the first one removes all that it names.
    Removal,
    /// Credentials were sent, refused, and none was ever accepted.
    CredentialsRefused,
    /// The registration failed for another reason than credentials.
    Failed,
    /// 401 or 407 to any request.
    Challenged,
    /// Refused for good, with a status that no other fact speaks of.
    Rejected,
    /// A 1xx to the INVITE describes media.
    EarlyMedia,
    /// The first INVITE describes no media.
    DelayedOffer,
    /// A side stopped the media that it had sent (RFC 3264 8.4).
    Hold,
    /// A side that had stopped its media sends again.
    Resumed,
    /// A 2xx set a session timer (RFC 4028 7.2, 9).
    SessionTimer,
    /// A request in the dialog refreshed the session and nothing else (RFC 4028 7.4).
    Refresh,
    /// A REFER (RFC 3515).
    Transfer,
    /// A REFER to a dialog, or an INVITE that takes the place of one (RFC 3891).
    Attended,
    /// The INVITE takes the place of a dialog (RFC 3891).
    Replaces,
    /// The INVITE joins a dialog (RFC 3911).
    Joins,
    /// The INVITE says who referred to it (RFC 3892).
    Referred,
    /// A 1xx was sent reliably (RFC 3262).
    ReliableProvisional,
    /// An UPDATE (RFC 3311).
    Update,
    /// An INFO (RFC 6086).
    Info,
    /// One INVITE reached several targets.
    Forked,
    /// Several targets at once (RFC 3261 16.6).
    ParallelForks,
    /// One target after the other (RFC 3261 16.7 item 5).
    SerialForks,
    /// The other end is in the telephone network (RFC 3666).
    Gateway,
    /// The INVITE was diverted on its way.
    Forwarded,
    /// A Contact is the focus of a conference (RFC 4579).
    Focus,
    /// The opening request was accepted, or still could be.
    Accepted,
    /// A NOTIFY ended the subscription.
    Terminated,
    /// A NOTIFY said that the subscription waits for approval.
    Pending,
    /// A SUBSCRIBE that asks once (RFC 6665 4.4.3).
    Fetch,
    /// A SUBSCRIBE that ends its subscription.
    Unsubscribed,
    /// NOTIFY without SUBSCRIBE or REFER.
    Unsolicited,
    /// A REFER whose progress nobody is told of (RFC 4488).
    NoSubscription,
    /// How a REFER goes on (RFC 3515).
    ReferEvent,
    /// Package `presence` (RFC 3856).
    PresenceEvent,
    /// Package `message-summary` (RFC 3842).
    MessageSummaryEvent,
    /// Package `dialog` (RFC 4235).
    DialogEvent,
    /// Package `reg` (RFC 3680).
    RegEvent,
    /// Package `conference` (RFC 4575).
    ConferenceEvent,
    /// A PUBLISH that removes what was published (RFC 3903 4.5).
    Withdrawn,
    /// The first PUBLISH goes on with what was published before (RFC 3903 4.3).
    Conditional,
}

impl Fact {
    /// Every fact with its name in .flow files.
    pub const NAMES: [(Self, &'static str); 53] = [
        (Self::Answered, "answered"),
        (Self::Cancelled, "cancelled"),
        (Self::Busy, "busy"),
        (Self::NoResponse, "no response"),
        (Self::Unavailable, "unavailable"),
        (Self::Proxy, "proxy"),
        (Self::TwoRealms, "two realms"),
        (Self::SilentTarget, "silent target"),
        (Self::MediaRelay, "media relay"),
        (Self::Redirected, "redirected"),
        (Self::MediaMoved, "media moved"),
        (Self::CredentialsAtOnce, "credentials at once"),
        (Self::Query, "query"),
        (Self::Removal, "removal"),
        (Self::CredentialsRefused, "credentials refused"),
        (Self::Failed, "failed"),
        (Self::Challenged, "challenged"),
        (Self::Rejected, "rejected"),
        (Self::EarlyMedia, "early media"),
        (Self::DelayedOffer, "delayed offer"),
        (Self::Hold, "hold"),
        (Self::Resumed, "resumed"),
        (Self::SessionTimer, "session timer"),
        (Self::Refresh, "refresh"),
        (Self::Transfer, "transfer"),
        (Self::Attended, "attended"),
        (Self::Replaces, "replaces"),
        (Self::Joins, "joins"),
        (Self::Referred, "referred"),
        (Self::ReliableProvisional, "reliable provisional"),
        (Self::Update, "update"),
        (Self::Info, "info"),
        (Self::Forked, "forked"),
        (Self::ParallelForks, "parallel forks"),
        (Self::SerialForks, "serial forks"),
        (Self::Gateway, "gateway"),
        (Self::Forwarded, "forwarded"),
        (Self::Focus, "focus"),
        (Self::Accepted, "accepted"),
        (Self::Terminated, "terminated"),
        (Self::Pending, "pending"),
        (Self::Fetch, "fetch"),
        (Self::Unsubscribed, "unsubscribed"),
        (Self::Unsolicited, "unsolicited"),
        (Self::NoSubscription, "no subscription"),
        (Self::ReferEvent, "refer event"),
        (Self::PresenceEvent, "presence event"),
        (Self::MessageSummaryEvent, "message-summary event"),
        (Self::DialogEvent, "dialog event"),
        (Self::RegEvent, "reg event"),
        (Self::ConferenceEvent, "conference event"),
        (Self::Withdrawn, "withdrawn"),
        (Self::Conditional, "conditional"),
    ];

    /// Name in .flow files.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(fact, _)| *fact == self).map_or("", |(_, name)| name)
    }

    /// The fact called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(fact, _)| *fact)
    }
}

/// A set of facts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Facts(u64);

impl Facts {
    /// Those that tell the flows of RFC 3665 apart; every call is asked for them.
    pub(super) const BASIC: Self = Self((1 << Fact::Challenged as u32) - 1);
    /// All of them.
    pub(super) const ALL: Self = Self(u64::MAX);

    pub(super) fn holds(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u32) != 0
    }

    pub(super) fn set(&mut self, fact: Fact, holds: bool) {
        if holds {
            self.0 |= 1 << fact as u32;
        }
    }

    /// Those in either set.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `facts` is in the set.
    pub(super) fn any(self, facts: &[Fact]) -> bool {
        facts.iter().any(|fact| self.holds(*fact))
    }
}

/// What a flow asks of a call: two sets, so that asking is a test of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Conditions {
    kind: Option<FlowKind>,
    wanted: Facts,
    barred: Facts,
}

impl Conditions {
    /// Those of a flow about `kind` with these `when` lines.
    pub(super) fn new(kind: FlowKind, when: &[(Fact, bool)]) -> Self {
        let mut conditions = Self { kind: Some(kind), ..Self::default() };
        for (fact, wanted) in when {
            if *wanted { &mut conditions.wanted } else { &mut conditions.barred }.set(*fact, true);
        }
        conditions
    }

    /// Whether a call about `kind` of which `facts` hold fulfils them.
    pub(super) fn hold(self, kind: FlowKind, facts: Facts) -> bool {
        self.may_hold(kind, facts, Facts::ALL)
    }

    /// Whether it may fulfil them, when only of the facts `asked` is known whether they hold.
    pub(super) fn may_hold(self, kind: FlowKind, facts: Facts, asked: Facts) -> bool {
        let wanted = self.wanted.0 & asked.0;
        self.kind == Some(kind) && facts.0 & wanted == wanted && facts.0 & self.barred.0 & asked.0 == 0
    }

    /// The facts that it depends on.
    pub(super) fn asked(self) -> Facts {
        self.wanted.or(self.barred)
    }

    /// How many facts must be so; what must not be so describes other calls.
    pub(super) fn wanted(self) -> u32 {
        self.wanted.0.count_ones()
    }
}
