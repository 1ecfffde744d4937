//! A reference flow as data: roles, a ladder of steps, and the facts that tell it from its neighbours.

use super::fact::Fact;
use super::token::{Contact, Token, Verb};
use crate::call::Kind;

/// A reference flow, as written in a .flow file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReferenceFlow {
    /// Name, such as "bcp75/3.2".
    pub name: String,
    /// Title in plain words.
    pub title: String,
    /// Where it is printed, such as "RFC 3665 3.2"; empty when nowhere.
    pub section: String,
    /// What it is about.
    pub kind: FlowKind,
    /// What must be so (`true`) or not be so (`false`) in a call that follows it.
    pub when: Vec<(Fact, bool)>,
    /// Who takes part, caller's side first.
    pub roles: Vec<String>,
    /// What happens, in order.
    pub ladder: Vec<Part>,
}

/// What kind of calls a flow describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FlowKind {
    /// INVITE.
    Call,
    /// REGISTER.
    Registration,
    /// SUBSCRIBE and NOTIFY, or REFER outside of a call.
    Subscription,
    /// MESSAGE.
    Message,
    /// OPTIONS.
    Options,
    /// PUBLISH.
    Publish,
}

impl FlowKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Call, Self::Registration, Self::Subscription, Self::Message, Self::Options, Self::Publish];

    /// The kind of flows that describe calls of this kind.
    pub fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|flows| flows.of_calls() == kind)
    }

    /// The kind of calls that it describes.
    fn of_calls(self) -> Kind {
        match self {
            Self::Call => Kind::Call,
            Self::Registration => Kind::Registration,
            Self::Subscription => Kind::Subscription,
            Self::Message => Kind::Message,
            Self::Options => Kind::Options,
            Self::Publish => Kind::Publish,
        }
    }

    /// Name in .flow files.
    pub fn name(self) -> &'static str {
        self.of_calls().name()
    }

    /// Whether RFC 3665 has flows of it.
    pub(super) fn is_basic(self) -> bool {
        matches!(self, Self::Call | Self::Registration)
    }

    /// Whether requests of `verb` begin what it describes. The path of these is the path of the call.
    pub(super) fn opens(self, verb: Verb) -> bool {
        match self {
            Self::Call => verb == Verb::Invite,
            Self::Registration => verb == Verb::Register,
            Self::Subscription => matches!(verb, Verb::Subscribe | Verb::Refer),
            Self::Message => verb == Verb::Message,
            Self::Options => verb == Verb::Options,
            Self::Publish => verb == Verb::Publish,
        }
    }

    /// Whether only elements in the route set see requests of `verb` (RFC 3261 16.6, 16.12): those within a dialog.
    pub(super) fn is_in_dialog(self, verb: Verb) -> bool {
        !self.opens(verb) && !matches!(verb, Verb::Invite | Verb::AckFailure | Verb::Cancel | Verb::Register)
    }
}

/// One element of a ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// A message.
    Step(Step),
    /// May be left out.
    Optional(Vec<Part>),
    /// Once or more often.
    Repeat(Vec<Part>),
    /// One of several ways.
    Either(Vec<Vec<Part>>),
    /// Independent runs of messages, which may mix in any way.
    AnyOrder(Vec<Vec<Step>>),
    /// As written, or with both directions exchanged.
    EitherSide(Vec<Part>),
    /// Media flows between two roles: the call may stay here as long as it likes.
    Media(usize, usize),
}

/// One message from one role to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Label such as "F4"; empty for steps that the standard does not print.
    pub label: String,
    /// Position of the sender among the roles.
    pub from: usize,
    /// Position of the receiver.
    pub to: usize,
    /// What is sent.
    pub message: Pattern,
}

/// Which messages are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// The request, or the request that a response answers.
    pub verb: Verb,
    /// For a response: inclusive ranges of status codes; empty for a request.
    pub status: Vec<(u16, u16)>,
    /// Whether it must carry credentials (`Some(true)`) or must not.
    pub credentials: Option<bool>,
    /// The challenge that its credentials answer; empty when not said.
    pub answers: String,
    /// Of a REGISTER: what its Contact must be.
    pub contact: Option<Contact>,
}

impl Pattern {
    /// A request without further conditions.
    pub fn request(verb: Verb) -> Self {
        Self { verb, status: Vec::new(), credentials: None, answers: String::new(), contact: None }
    }

    /// Whether it is a provisional response: never owed, as often as the sender likes.
    pub fn is_provisional(&self) -> bool {
        self.status.first().is_some_and(|(_, high)| *high < 200)
    }

    /// Whether `token` is such a message, its direction apart.
    pub fn accepts(&self, token: Token) -> bool {
        self.is_same_kind(token)
            && (self.status.is_empty() || self.status.iter().any(|(low, high)| (*low..=*high).contains(&token.status)))
            && self.credentials.is_none_or(|wanted| wanted == token.credentials)
            && self.contact.is_none_or(|wanted| wanted == token.contact)
    }

    /// Whether `token` could stand in for it: the same request, or a response of the same outcome.
    /// A final answer never stands for one of another class: a busy call is no answered call.
    pub fn resembles(&self, token: Token) -> bool {
        self.is_same_kind(token)
            && self.status.first().is_none_or(|(low, _)| super::token::class(*low) == super::token::class(token.status))
    }

    fn is_same_kind(&self, token: Token) -> bool {
        self.verb == token.verb && self.status.is_empty() == (token.status == 0)
    }

    /// As a start line would say it: "200 OK", "REGISTER with credentials".
    pub fn words(&self) -> String {
        if self.status.len() > 1 {
            let codes: Vec<String> = self.status.iter().map(|(low, _)| low.to_string()).collect();
            return codes.join(" or ");
        }
        match self.status.first() {
            Some((low, high)) if low == high => match super::token::reason(*low) {
                "" => low.to_string(),
                reason => format!("{low} {reason}"),
            },
            Some((200, _)) => "200 OK".to_owned(),
            Some((low, _)) => format!("{}xx", low / 100),
            None if self.credentials == Some(true) => {
                format!("{} with credentials", self.verb.method_name())
            }
            None => self.verb.method_name().to_owned(),
        }
    }
}
