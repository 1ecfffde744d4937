//! What comparing a call with the reference flows gives.

use crate::base::Idx;
use crate::call::Participant;
use crate::session::MessageNo;

/// Whether the capture proves a deviation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Proved.
    Violated,
    /// The capture cannot prove it; the finding says what would.
    Open,
}

impl Verdict {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::Open => "open",
        }
    }
}

/// Why a message is missing (CL1-CL11).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// The element that owed it never sent it.
    NotSent,
    /// It was sent, and lost before or behind the observation point.
    LostOnPath,
    /// It arrived; only the capture lacks it.
    NotCaptured,
    /// The evidence does not tell.
    Undetermined,
}

impl Cause {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::LostOnPath => "lost-on-path",
            Self::NotCaptured => "not-captured",
            Self::Undetermined => "undetermined",
        }
    }

    /// In words, after "the ACK was".
    pub fn words(self) -> &'static str {
        match self {
            Self::NotSent => "never sent",
            Self::LostOnPath => "lost on the path",
            Self::NotCaptured => "sent and received, but not captured",
            Self::Undetermined => "not seen; the capture does not tell why",
        }
    }
}

/// A message that should be there and is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Step of the reference flow, such as "F4"; empty when no flow has it.
    pub step: String,
    /// The message as its start line would say it: "200 OK", "ACK", "REGISTER with credentials".
    pub what: String,
    /// Who owed it.
    pub from: Idx<Participant>,
    /// To whom.
    pub to: Idx<Participant>,
    /// The message after which it belongs; `None`: before the first one.
    pub after: Option<MessageNo>,
    /// Why it is missing.
    pub cause: Cause,
    /// What decided the cause, in words.
    pub evidence: String,
}

/// How a call compares with the best of the reference flows.
#[derive(Clone, Debug, Default)]
pub struct FlowMatch {
    /// Name such as "bcp75/3.2"; `None` where no reference fits.
    pub flow: Option<&'static str>,
    /// Its title.
    pub title: &'static str,
    /// 0 for a call that follows it exactly; grows with what is missing or too much.
    pub cost: u32,
    /// Whether the flow ran to its end (nothing owed any more).
    pub complete: bool,
    /// For each message of the call, the step it matched, such as "F4".
    pub steps: Vec<Option<&'static str>>,
    /// What the flow has and the capture has not.
    pub missing: Vec<Missing>,
    /// Messages that have no place in the flow.
    pub unexpected: Vec<MessageNo>,
    /// The more special flow that the call follows, where one fits.
    pub special: Option<Special>,
}

impl FlowMatch {
    /// Whether the flow called `name` is the one that the call follows, or the more special one: then the cost, and
    /// whether it ran to its end.
    pub fn follows(&self, name: &str) -> Option<(u32, bool)> {
        let special = self.special.as_ref().filter(|special| special.name == name);
        let nearest = || (self.flow == Some(name)).then_some((self.cost, self.complete));
        special.map(|special| (special.cost, special.complete)).or_else(nearest)
    }
}

/// How a call compares with a flow that says more of it than BCP 75 does: of an extension, or of a service.
#[derive(Clone, Debug)]
pub struct Special {
    /// Name such as "rfc5359/2.1".
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Where it is printed, such as "RFC 5359 2.1"; empty when nowhere.
    pub section: &'static str,
    /// 0 for a call that follows it exactly.
    pub cost: u32,
    /// Whether it ran to its end.
    pub complete: bool,
    /// What it has and the capture has not.
    pub missing: Vec<Missing>,
    /// Messages that have no place in it.
    pub unexpected: Vec<MessageNo>,
}
