//! What a rule reports.

use crate::base::Idx;
use crate::call::Participant;
use crate::flow::{Cause, Verdict};
use crate::session::MessageNo;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Legal but worth showing.
    Info,
    /// Degraded, or a rule broken without visible effect.
    Warning,
    /// The call or registration fails, or a MUST is broken with visible effect.
    Error,
}

impl Severity {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule's identity and words.
#[derive(Debug)]
pub struct Meta {
    /// Code of reference rules, such as "A04"; never reused.
    pub code: &'static str,
    /// Kebab name, such as "credentials-refused".
    pub name: &'static str,
    /// The severity it has when nothing aggravates or excuses it.
    pub severity: Severity,
    /// One line for `callflow rules`.
    pub title: &'static str,
    /// Where the standard says so: "RFC 3261 22.1".
    pub basis: &'static [&'static str],
    /// The documentation page (Markdown), shown by `callflow explain`.
    pub page: &'static str,
}

/// The message a finding misses, for the ghost arrow of the ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingMessage {
    /// As its start line would say it: "ACK", "200 OK", "final response to BYE".
    pub what: String,
    /// Who owed it.
    pub from: Idx<Participant>,
    /// To whom.
    pub to: Idx<Participant>,
    /// The message after which it belongs.
    pub after: MessageNo,
}

/// A deviation from the standard, in a call or of the capture as a whole.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Meta,
    /// How bad.
    pub severity: Severity,
    /// Whether the capture proves it.
    pub verdict: Verdict,
    /// Of a missing message: why it is missing.
    pub cause: Option<Cause>,
    /// Position of the call in the analysis, from 0; `None` for the capture as a whole.
    pub call: Option<usize>,
    /// The messages it points at, the main one first.
    pub messages: Vec<MessageNo>,
    /// Frames it points at; filled from `messages` for findings in a call.
    pub frames: Vec<u32>,
    /// The message that should be there.
    pub missing: Option<MissingMessage>,
    /// One sentence in plain words.
    pub summary: String,
    /// What was seen, what the standard asks for, what to look at next.
    pub detail: String,
    /// Why the user wants it neither told nor counted, if so.
    pub ignored: Option<String>,
}

impl Finding {
    /// A violation of `rule` in a call that points at `messages`, the main one first. `summary` is one
    /// sentence, `detail` says what was seen, what the standard asks for and what to look at next.
    pub fn new(
        rule: &'static Meta,
        messages: Vec<MessageNo>,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            severity: rule.severity,
            verdict: Verdict::Violated,
            cause: None,
            call: None,
            messages,
            frames: Vec::new(),
            missing: None,
            summary: summary.into(),
            detail: detail.into(),
            ignored: None,
        }
    }

    /// With another severity than the rule's usual one.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// With the verdict that the capture cannot prove it.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.verdict = Verdict::Open;
        self
    }

    /// With the cause of a missing message.
    #[must_use]
    pub fn cause(mut self, cause: Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// With the message that should be there.
    #[must_use]
    pub fn missing(mut self, missing: MissingMessage) -> Self {
        self.missing = Some(missing);
        self
    }

    /// With frames of its own, for findings that are not about messages of a call.
    #[must_use]
    pub fn frames(mut self, frames: Vec<u32>) -> Self {
        self.frames = frames;
        self
    }
}
