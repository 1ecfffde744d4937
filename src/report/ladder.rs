//! The ladder of a call as data: lanes, rows, gaps and notes. How it is drawn is the business of others.

use super::style::{Paint, count, shorten};
use super::{Report, words};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::Participant;
use crate::flow::{Cause, Missing, Verdict};
use crate::rules::{Finding, MissingMessage, Severity};
use crate::session::{CopyKind, MessageNo};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

/// Silence of this length or more gets a row of its own: longer than any answer of a healthy element,
/// shorter than a person takes to pick up.
const PAUSE: Duration = Duration::from_secs(2);
/// Room for arrows that are moved to between two others; halved for each.
const BETWEEN: usize = 1 << 20;
/// Frames of copies that are told one by one.
const FRAMES_TOLD: usize = 6;

/// One call as a ladder diagram.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Participants from left to right.
    pub lanes: Vec<Lane>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// One vertical line.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The address that names the participant.
    pub address: String,
    /// "caller", "proxy", ...; empty when it cannot be told.
    pub part: &'static str,
}

/// One horizontal line.
#[derive(Clone, Debug)]
pub enum Row {
    /// A message, seen or owed.
    Arrow(Arrow),
    /// Nothing happened for so long.
    Pause(Duration),
    /// So many messages left out.
    Elided(usize),
}

/// A message, seen or owed.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// Lane of the sender.
    pub from: usize,
    /// Lane of the receiver; the same for messages to oneself.
    pub to: usize,
    /// Start line in short, with marks for credentials and SDP, and how often it was sent.
    pub label: String,
    /// Whether it is missing from the capture.
    pub ghost: bool,
    /// Since the start of the call; none for ghosts.
    pub offset: Option<Duration>,
    /// Frame that completed it; none for ghosts.
    pub frame: Option<u32>,
    /// Step of the reference flow, "+" for a message that has no place in it, else empty.
    pub step: String,
    /// What it means: success, refusal, a fault.
    pub paint: Paint,
    /// What is to say about it.
    pub notes: Vec<Note>,
}

/// A remark beside an arrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What it means.
    pub paint: Paint,
    /// Whether it names a finding; those stand first.
    pub is_finding: bool,
    /// One or more words.
    pub text: String,
}

impl Ladder {
    /// The ladder of a call, with the findings of `report` beside its arrows.
    pub fn new(report: &Report<'_>, view: CallView<'_>) -> Self {
        let mut builder = Builder {
            report,
            view,
            arrows: BTreeMap::new(),
            ranks: ranks(view),
            moved: BTreeMap::new(),
            ghosts: HashMap::new(),
        };
        builder.messages();
        builder.missing();
        builder.findings();
        builder.copies();
        for arrow in builder.arrows.values_mut() {
            arrow.notes.sort_by_key(|note| !note.is_finding);
        }
        Self { lanes: lanes(view), rows: with_pauses(builder.arrows.into_values()) }
    }

    /// The ladder with at most about `rows` rows: its beginning, its end and what has notes stay.
    #[must_use]
    pub fn focus(mut self, rows: usize) -> Self {
        const AROUND: usize = 2;
        const HEAD: usize = 6;
        if self.rows.len() <= rows {
            return self;
        }
        let len = self.rows.len();
        let mut keep = vec![false; len];
        keep[..HEAD].fill(true);
        keep[len - AROUND..].fill(true);
        let mut room = rows.saturating_sub(HEAD + AROUND);
        for at in (0..len).filter(|at| matches!(&self.rows[*at], Row::Arrow(arrow) if arrow.is_remarkable())) {
            let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(len);
            let added = keep[around.clone()].iter().filter(|kept| !**kept).count();
            if added > room {
                break;
            }
            room -= added;
            keep[around].fill(true);
        }
        let mut kept = Vec::new();
        let mut dropped = 0;
        for (row, keep) in std::mem::take(&mut self.rows).into_iter().zip(keep) {
            if !keep {
                dropped += usize::from(matches!(row, Row::Arrow(_)));
                continue;
            }
            if dropped > 0 {
                kept.push(Row::Elided(std::mem::take(&mut dropped)));
            }
            kept.push(row);
        }
        self.rows = kept;
        self
    }
}

impl Arrow {
    fn remark(&mut self, paint: Paint, text: String) {
        self.notes.push(Note { paint, is_finding: false, text });
    }

    /// Whether it is missing or a finding points at it.
    fn is_remarkable(&self) -> bool {
        self.ghost || self.notes.iter().any(|note| note.paint != Paint::Dim)
    }
}

fn lanes(view: CallView<'_>) -> Vec<Lane> {
    (0..view.call.participants.len())
        .map(Idx::new)
        .map(|who| Lane { address: words::address(view, who), part: words::part(view, who) })
        .collect()
}

fn ranks(view: CallView<'_>) -> Vec<usize> {
    let mut numbers: Vec<MessageNo> = view.call.numbers().collect();
    numbers.sort_by_key(|no| view.seen(*no).time);
    let mut ranks = vec![0; numbers.len()];
    for (rank, no) in numbers.into_iter().enumerate() {
        ranks[no.at()] = rank;
    }
    ranks
}

/// Where an arrow stands: messages at even places, ghosts behind them, and moved requests between them.
type Place = (usize, usize);

struct Builder<'a> {
    report: &'a Report<'a>,
    view: CallView<'a>,
    arrows: BTreeMap<Place, Arrow>,
    /// For each message, how many were seen earlier: files may hold packets out of order of time.
    ranks: Vec<usize>,
    /// Where requests stand that were captured too late.
    moved: BTreeMap<MessageNo, Place>,
    ghosts: HashMap<GhostKey, BTreeSet<Place>>,
}

/// A message that is not there.
struct Ghost<'a> {
    after: Option<MessageNo>,
    from: Idx<Participant>,
    to: Idx<Participant>,
    what: &'a str,
}

/// Ghosts with the same key may stand for the same message: "200 OK" and "response to BYE" are alike.
type GhostKey = (usize, usize, Option<String>);

impl Ghost<'_> {
    fn key(&self) -> GhostKey {
        let is_response = self.what.starts_with(|c: char| c.is_ascii_digit()) || self.what.contains("response");
        let method = self.what.split(' ').next().filter(|_| !is_response);
        (self.from.at(), self.to.at(), method.map(str::to_owned))
    }
}

impl Builder<'_> {
    /// An arrow for every message that is no copy.
    fn messages(&mut self) {
        let flow = self.report.flow(self.view.number);
        for (no, seen) in self.view.messages() {
            let place = self.view.call.message(no);
            if place.copy.is_some() {
                continue;
            }
            let step = flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten());
            let arrow = Arrow {
                from: place.from.at(),
                to: place.to.at(),
                label: words::label(&seen.message),
                ghost: false,
                offset: Some(seen.time.since(self.view.call.start)),
                frame: Some(self.view.frame(no)),
                step: step.unwrap_or_default().to_owned(),
                paint: paint_of(seen.message.status()),
                notes: self.view.comments(no).map(comment_note).collect(),
            };
            self.arrows.insert(self.place(no), arrow);
            if let Some(missed) = words::unseen_at(self.view, no)
                && let Some(arrow) = self.arrow(no)
            {
                arrow.remark(Paint::Info, format!("never reached {missed}"));
            }
        }
        for no in flow.into_iter().flat_map(|flow| &flow.unexpected) {
            if let Some(arrow) = self.arrow(*no) {
                "+".clone_into(&mut arrow.step);
            }
        }
        self.repair_order();
    }

    /// A request that the capture holds behind its own response, or behind its forwarded self, goes before
    /// it, and says so: capture points swap packets, elements do not answer before they are asked.
    fn repair_order(&mut self) {
        let transactions = &self.view.call.transactions;
        for transaction in transactions {
            let first = transaction.messages.iter().min_by_key(|no| self.place(**no));
            if let (Some(request), Some(first)) = (transaction.request, first) {
                self.put_before(request, *first, "its response");
            }
        }
        for transaction in transactions.iter().rev() {
            let upstream = transaction.upstream.map(|upstream| &transactions[upstream.at()]);
            if let (Some(upstream), Some(request)) = (upstream, transaction.request)
                && let Some(asked) = upstream.request
            {
                self.put_before(asked, request, "it was forwarded");
            }
        }
    }

    /// Moves `cause` before `effect` unless it stands there.
    fn put_before(&mut self, cause: MessageNo, effect: MessageNo, what: &str) {
        let (from, before) = (self.place(cause), self.place(effect));
        if from <= before {
            return;
        }
        let (slot, end) = if before.0 % 2 == 0 { (before.0 - 1, BETWEEN) } else { before };
        let last = self.arrows.range((slot, 0)..before).next_back();
        let start = last.map_or(0, |(place, _)| place.1);
        let place = (slot, start + (end - start) / 2);
        if place.1 == start {
            return;
        }
        if let Some(mut arrow) = self.arrows.remove(&from) {
            let late = self.view.seen(cause).time.since(self.view.seen(effect).time);
            let late = format!("{:.3} ms", late.as_secs_f64() * 1e3);
            arrow.remark(Paint::Dim, format!("captured {late} after {what}"));
            self.arrows.insert(place, arrow);
            self.moved.insert(cause, place);
        }
    }

    /// Tells at the first of several copies how often it was sent or captured.
    fn copies(&mut self) {
        let mut copies: BTreeMap<MessageNo, Vec<(MessageNo, CopyKind)>> = BTreeMap::new();
        for no in self.view.call.numbers() {
            if let Some(copy) = self.view.call.message(no).copy {
                copies.entry(self.root(no)).or_default().push((no, copy.kind));
            }
        }
        for (first, copies) in copies {
            let of_kind = |kind| copies.iter().filter(move |copy| copy.1 == kind).map(|copy| copy.0);
            let again: Vec<MessageNo> = of_kind(CopyKind::Retransmission).collect();
            let twice: Vec<MessageNo> = of_kind(CopyKind::CapturedTwice).collect();
            let mut notes = Vec::new();
            if let Some(last) = again.last() {
                let until = super::time::offset(self.view.seen(*last).time.since(self.view.call.start));
                let times = if again.len() == 1 { "twice".to_owned() } else { format!("{} times", again.len() + 1) };
                notes.push(format!("sent {times}, last at {until} ({})", self.frames(&again)));
            }
            if !twice.is_empty() {
                notes.push(format!("captured twice ({})", self.frames(&twice)));
            }
            if let Some(arrow) = self.arrow(first) {
                if !again.is_empty() {
                    let _ = write!(arrow.label, " (x{})", again.len() + 1);
                }
                for note in notes {
                    arrow.remark(Paint::Dim, note);
                }
            }
        }
    }

    fn frames(&self, messages: &[MessageNo]) -> String {
        let told: Vec<String> = messages.iter().take(FRAMES_TOLD).map(|no| self.view.frame(*no).to_string()).collect();
        let more = messages.len().saturating_sub(FRAMES_TOLD);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("frame{} {}{tail}", if messages.len() == 1 { "" } else { "s" }, told.join(", "))
    }

    /// A ghost arrow for everything that the flow owes.
    fn missing(&mut self) {
        let Some(flow) = self.report.flow(self.view.number) else {
            return;
        };
        for missing in &flow.missing {
            let ghost = Ghost { after: missing.after, from: missing.from, to: missing.to, what: &missing.what };
            let place = self.ghost(&ghost);
            if let Some(arrow) = self.arrows.get_mut(&place) {
                arrow.step.clone_from(&missing.step);
                arrow.remark(Paint::Info, cause_note(missing));
            }
        }
    }

    /// A mark beside the arrow that each finding points at.
    fn findings(&mut self) {
        for finding in self.report.told_of(self.view) {
            let place = match &finding.missing {
                Some(missing) => Some(self.ghost_of(finding, missing)),
                None => finding.messages.first().map(|no| self.place(self.root(*no))),
            };
            if let Some(arrow) = place.and_then(|place| self.arrows.get_mut(&place)) {
                let note = finding_note(finding);
                if arrow.ghost || note.paint == Paint::Error {
                    arrow.paint = note.paint;
                }
                arrow.notes.push(note);
            }
        }
    }

    /// The ghost of the message that a finding misses: that of the flow, if it has it too.
    fn ghost_of(&mut self, finding: &Finding, missing: &MissingMessage) -> Place {
        let ghost = Ghost { after: Some(missing.after), from: missing.from, to: missing.to, what: &missing.what };
        let key = ghost.key();
        let base = self.place(missing.after).0;
        let known = self.ghosts.get(&key).and_then(|places| {
            let here = places.range((base, 0)..=(base, usize::MAX)).next();
            here.or_else(|| places.first().filter(|_| places.len() == 1)).copied()
        });
        known.unwrap_or_else(|| {
            let place = self.ghost(&ghost);
            if let Some((arrow, cause)) = self.arrows.get_mut(&place).zip(finding.cause) {
                arrow.remark(Paint::Info, cause_words(cause, finding.verdict));
            }
            place
        })
    }

    /// Adds a ghost and gives its place.
    fn ghost(&mut self, ghost: &Ghost<'_>) -> Place {
        let base = ghost.after.map_or(0, |no| self.place(no).0);
        let behind = self.arrows.range((base, 0)..=(base, usize::MAX)).next_back();
        let place = (base, behind.map_or(1, |(place, _)| place.1 + 1));
        let arrow = Arrow {
            from: ghost.from.at(),
            to: ghost.to.at(),
            label: super::escape::text(ghost.what).into_owned(),
            ghost: true,
            offset: None,
            frame: None,
            step: String::new(),
            paint: Paint::Info,
            notes: Vec::new(),
        };
        self.arrows.insert(place, arrow);
        self.ghosts.entry(ghost.key()).or_default().insert(place);
        place
    }

    fn arrow(&mut self, no: MessageNo) -> Option<&mut Arrow> {
        self.arrows.get_mut(&self.place(no))
    }

    fn place(&self, no: MessageNo) -> Place {
        let usual = (2 * self.ranks[no.at()] + 2, 0);
        self.moved.get(&no).copied().unwrap_or(usual)
    }

    /// The message that `no` repeats, through copies of copies.
    fn root(&self, no: MessageNo) -> MessageNo {
        let mut root = no;
        while let Some(copy) = self.view.call.message(root).copy.filter(|copy| copy.of < root) {
            root = copy.of;
        }
        root
    }
}

fn paint_of(status: Option<u16>) -> Paint {
    match status {
        Some(200..=299) => Paint::Good,
        Some(401 | 407) | None => Paint::Plain,
        Some(400..) => Paint::Warning,
        Some(_) => Paint::Plain,
    }
}

/// What somebody wrote into the capture; `callflow show` has all of it.
fn comment_note(comment: &str) -> Note {
    /// Columns, about two lines beside the lanes.
    const ROOM: usize = 60;
    let text = format!("comment: {}", shorten(&super::escape::text(comment), ROOM, "…"));
    Note { paint: Paint::Dim, is_finding: false, text }
}

/// "I01 ack-missing", as error, warning, note, or as what the capture cannot prove.
fn finding_note(finding: &Finding) -> Note {
    let paint = match (finding.verdict, finding.severity) {
        (Verdict::Open, _) | (_, Severity::Info) => Paint::Info,
        (_, Severity::Warning) => Paint::Warning,
        (_, Severity::Error) => Paint::Error,
    };
    let unproved = if finding.verdict == Verdict::Open { " (not proved)" } else { "" };
    Note { paint, is_finding: true, text: format!("{} {}{unproved}", finding.rule.code, finding.rule.name) }
}

fn cause_note(missing: &Missing) -> String {
    let cause = cause_words(missing.cause, Verdict::Violated);
    if missing.evidence.is_empty() { cause } else { format!("{cause}: {}", super::escape::text(&missing.evidence)) }
}

fn cause_words(cause: Cause, verdict: Verdict) -> String {
    match verdict {
        Verdict::Violated => cause.words().to_owned(),
        Verdict::Open => format!("perhaps {}", cause.words()),
    }
}

/// The arrows with a row for each long silence.
fn with_pauses(arrows: impl Iterator<Item = Arrow>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut last: Option<Duration> = None;
    for arrow in arrows {
        if let Some(offset) = arrow.offset {
            if let Some(silence) = last.and_then(|last| offset.checked_sub(last)).filter(|silence| *silence >= PAUSE) {
                rows.push(Row::Pause(silence));
            }
            last = Some(offset);
        }
        rows.push(Row::Arrow(arrow));
    }
    rows
}

impl Row {
    /// The words of a row that is no arrow.
    pub fn remark(&self) -> Option<String> {
        match self {
            Self::Arrow(_) => None,
            Self::Pause(length) => Some(format!("{} later", super::time::length(*length))),
            Self::Elided(messages) => Some(format!("{} not shown", count(*messages, "message"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn labels(ladder: &Ladder) -> Vec<String> {
        let label = |row: &Row| match row {
            Row::Arrow(arrow) => arrow.label.clone(),
            other => other.remark().unwrap_or_default(),
        };
        ladder.rows.iter().map(label).collect()
    }

    fn ladder(sample: &samples::Sample) -> Ladder {
        Ladder::new(&sample.report(), sample.analysis.view(0))
    }

    #[test]
    fn no_response_stands_before_its_request_and_the_repair_is_told() {
        let ladder = ladder(&samples::swapped());
        assert_eq!(labels(&ladder), ["INVITE", "100 Trying"]);
        let Row::Arrow(invite) = &ladder.rows[0] else { panic!("no arrow") };
        assert_eq!(invite.notes[0].text, "captured 0.140 ms after its response");
    }

    #[test]
    fn copies_fold_and_a_finding_marks_the_ghost_of_the_flow() {
        let ladder = ladder(&samples::ack_never());
        let told = ["INVITE SDP", "180 Ringing", "200 OK (INVITE) SDP (x5)", "ACK"];
        assert_eq!(labels(&ladder), told);
        let Row::Arrow(ack) = &ladder.rows[3] else { panic!("no arrow") };
        assert!(ack.ghost && ack.step == "F4" && ack.paint == Paint::Error);
        assert_eq!(ack.notes[0].text, "I01 ack-missing");
    }

    #[test]
    fn a_long_ladder_keeps_its_ends_and_what_is_remarkable() {
        let whole = ladder(&samples::ack_never());
        let Row::Arrow(plain) = whole.rows[0].clone() else { panic!("no arrow") };
        let mut rows = vec![Row::Arrow(plain); 200];
        rows[100] = whole.rows[3].clone();
        let focused = Ladder { rows, ..whole }.focus(20);
        let told = labels(&focused);
        assert_eq!((told.len(), told[6].as_str()), (15, "92 messages not shown"));
        assert_eq!((told[9].as_str(), told[12].as_str()), ("ACK", "95 messages not shown"));
    }
}
