//! The ladder of a call as data: lanes, rows, spans and notes. How it is drawn is the business of `report::draw`.
//!
//! Serialized, it is what `callflow ladder --format json` writes; docs/ladders.md says what each field means.

mod build;
mod crossing;
mod exchange;
mod focus;
mod media;
mod session;

pub use exchange::Exchange;
pub use media::{Media, MediaState};
pub use session::{Role, Session};

use super::style::{Paint, count};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Version of the JSON of a ladder; raised when a field changes its meaning.
pub const VERSION: u32 = 1;

/// One call as a ladder diagram.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ladder {
    /// [`VERSION`].
    pub version: u32,
    /// Number of the call, from 1.
    pub call: usize,
    /// "alice@example.com calls bob@example.com".
    pub title: String,
    /// What came of it, how long it took, how it compares with its reference flow: a clause each.
    pub facts: Vec<String>,
    /// Name of the reference flow.
    pub flow: Option<&'static str>,
    /// Participants from left to right.
    pub lanes: Vec<Lane>,
    /// The legs, when there are several.
    pub legs: Vec<LegMark>,
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// Media between the ends, by offer and answer; rows of type `media` and bands point here.
    pub media: Vec<Media>,
    /// What was found, worst first; notes point here.
    pub findings: Vec<Told>,
}

/// One vertical line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lane {
    /// What people call the address.
    pub name: Option<String>,
    /// The address that names the participant.
    pub address: String,
    /// "caller", "proxy", ...; empty when it cannot be told.
    pub part: &'static str,
}

/// A leg of a call that has several.
#[derive(Clone, Debug, Serialize)]
pub struct LegMark {
    /// A, B, ...: the first letter of the transactions in it.
    pub letter: String,
    /// Call-ID.
    pub call_id: String,
    /// Leftmost lane that it touches.
    pub left: usize,
    /// Rightmost lane that it touches.
    pub right: usize,
}

/// A finding of the call.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Code of the rule.
    pub rule: &'static str,
    /// Name of the rule.
    pub name: &'static str,
    /// `error`, `warning`, `info`.
    pub severity: &'static str,
    /// `violated` or `open`.
    pub verdict: &'static str,
    /// How it is painted.
    pub paint: Paint,
    /// One sentence.
    pub summary: String,
    /// The row that it stands at.
    pub row: Option<usize>,
    /// How many findings below the picture this one stands for; 0 when an earlier one stands for it.
    #[serde(skip)]
    pub times: usize,
}

impl Told {
    /// ", 3 times", or nothing.
    pub fn often(&self) -> String {
        if self.times > 1 { format!(", {} times", self.times) } else { String::new() }
    }
}

impl Ladder {
    /// What is told below a picture: findings that differ only in where they are seen are told once.
    pub fn found(&self) -> impl Iterator<Item = &Told> {
        self.findings.iter().filter(|told| told.times > 0)
    }
}

/// One horizontal line.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Row {
    /// A message, seen or owed.
    Arrow(Box<Arrow>),
    /// Nothing happened for so long.
    Pause {
        /// How long.
        #[serde(serialize_with = "as_seconds")]
        seconds: Duration,
    },
    /// From here on media flows like this.
    Media {
        /// Position in [`Ladder::media`].
        media: usize,
    },
    /// So many messages left out.
    Elided {
        /// How many.
        messages: usize,
    },
}

/// A message, seen or owed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Arrow {
    /// Number of the message within the call, from 1; none for ghosts.
    pub message: Option<usize>,
    /// Frame that completed it; none for ghosts.
    pub frame: Option<u32>,
    /// Since the start of the call; none for ghosts.
    #[serde(rename = "seconds", serialize_with = "maybe_seconds")]
    pub offset: Option<Duration>,
    /// Lane of the sender.
    pub from: usize,
    /// Lane of the receiver; the same for messages to oneself.
    pub to: usize,
    /// Start line in short: "re-INVITE", "180 Ringing", "200 OK (BYE)".
    pub label: String,
    /// Whether it is missing from the capture.
    pub ghost: bool,
    /// Whether it is a response.
    pub response: bool,
    /// How often it was sent; more than 1 with retransmissions, which are folded into it.
    pub sent: usize,
    /// A challenge, or credentials.
    pub auth: Option<Auth>,
    /// Its session description, in a word.
    pub session: Option<Session>,
    /// Step of the reference flow, "+" for a message that has no place in it, else empty.
    pub step: String,
    /// The request that it is, or belongs to.
    pub exchange: Option<Exchange>,
    /// What it means: success, refusal, a fault.
    pub paint: Paint,
    /// Row of the arrow that it crossed on the way: both were under way at the same time.
    pub crosses: Option<usize>,
    /// When it was seen at a second point, since the start of the call.
    #[serde(rename = "seen_again", serialize_with = "maybe_seconds")]
    pub again: Option<Duration>,
    /// What is to say about it, findings first.
    pub notes: Vec<Note>,
}

/// What a message has to do with authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// 401 or 407 with a challenge.
    Challenge,
    /// The same, because the nonce was too old.
    Stale,
    /// A request with credentials.
    Credentials,
}

/// A remark beside an arrow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Note {
    /// What it means.
    pub paint: Paint,
    /// Position in [`Ladder::findings`] of the finding that it names.
    pub finding: Option<usize>,
    /// One or more words.
    pub text: String,
}

impl Arrow {
    /// The label with its marks: `INVITE +auth [PCMU] (x5)`.
    pub fn text(&self) -> String {
        let mut text = self.label.clone();
        for mark in self.marks() {
            text.push(' ');
            text.push_str(&mark);
        }
        text
    }

    /// The marks behind the label, a word or two each.
    pub fn marks(&self) -> Vec<String> {
        let auth = match self.auth {
            Some(Auth::Credentials) => Some("+auth".to_owned()),
            Some(Auth::Stale) => Some("(stale)".to_owned()),
            _ => None,
        };
        let session = self.session.as_ref().map(|session| format!("[{}]", session.words));
        let sent = (self.sent > 1).then(|| format!("(x{})", self.sent));
        auth.into_iter().chain(session).chain(sent).collect()
    }

    /// Whether it is missing or a finding points at it.
    pub fn is_remarkable(&self) -> bool {
        self.ghost || self.notes.iter().any(|note| note.paint != Paint::Dim)
    }

    fn remark(&mut self, paint: Paint, text: String) {
        self.notes.push(Note { paint, finding: None, text });
    }
}

impl Lane {
    /// "proxy (192.0.2.1:5060)", or the address alone.
    pub fn title(&self) -> String {
        self.name.as_ref().map_or_else(|| self.address.clone(), |name| format!("{name} ({})", self.address))
    }

    /// The name, or the address.
    pub fn short(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.address)
    }
}

impl Ladder {
    /// The arrows, with the rows that they stand in.
    pub fn arrows(&self) -> impl Iterator<Item = (usize, &Arrow)> {
        self.rows.iter().enumerate().filter_map(|(at, row)| match row {
            Row::Arrow(arrow) => Some((at, &**arrow)),
            _ => None,
        })
    }

    /// Whether it takes a mark to tell which request a response belongs to: several legs, a fork, or requests
    /// that were under way at the same time.
    pub fn is_interleaved(&self) -> bool {
        let exchanges = || self.arrows().filter_map(|(_, arrow)| arrow.exchange.as_ref());
        let mut latest = 0;
        let steps_back = |exchange: &Exchange| {
            latest = latest.max(exchange.order);
            exchange.order < latest
        };
        exchanges().any(|exchange| !exchange.branch.is_empty()) || !self.legs.is_empty() || exchanges().any(steps_back)
    }

    /// The words of a row that is no arrow.
    pub fn remark(&self, row: &Row) -> Option<String> {
        match row {
            Row::Arrow(_) => None,
            Row::Pause { seconds } => Some(format!("{} later", super::time::length(*seconds))),
            Row::Media { media } => self.media.get(*media).map(Media::text),
            Row::Elided { messages } => Some(format!("{} not shown", count(*messages, "message"))),
        }
    }
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}
