//! A call and what was found in it, as a ladder.

use super::exchange::{self, Exchange};
use super::media::{self, Tracker};
use super::session::Negotiation;
use super::{Arrow, Auth, Ladder, Lane, LegMark, Note, Row, Told, VERSION, crossing};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Leg, Participant};
use crate::flow::{Cause, Missing, Verdict};
use crate::report::style::{Paint, shorten};
use crate::report::{Report, escape, tell, time, words};
use crate::rules::{Finding, MissingMessage, Severity};
use crate::session::{CopyKind, MessageNo};
use crate::sip::{Facts, Message};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Silence of this length or more gets a row of its own: longer than any answer of a healthy element,
/// shorter than a person takes to pick up.
const PAUSE: Duration = Duration::from_secs(2);
/// What took so long from one observation point to the next is drawn slanted.
const ON_THE_WAY: Duration = Duration::from_millis(1);
/// Room for arrows that are moved to between two others; halved for each.
const BETWEEN: usize = 1 << 20;
/// Frames of copies that are told one by one.
const FRAMES_TOLD: usize = 6;

impl Ladder {
    /// The ladder of a call, with the findings of `report` beside its arrows.
    pub fn new(report: &Report<'_>, view: CallView<'_>) -> Self {
        let exchanges = exchange::exchanges(view);
        let mut builder = Builder {
            report,
            view,
            exchanges,
            arrows: BTreeMap::new(),
            ranks: ranks(view),
            moved: BTreeMap::new(),
            ghosts: HashMap::new(),
            media: Tracker::default(),
            told: Vec::new(),
        };
        builder.messages();
        builder.missing();
        builder.findings();
        builder.copies();
        builder.finish()
    }
}

fn lanes(view: CallView<'_>) -> Vec<Lane> {
    (0..view.call.participants.len())
        .map(Idx::new)
        .map(|who| Lane {
            name: words::name(view, who),
            address: words::plain_address(view, who),
            part: words::part(view, who),
        })
        .collect()
}

/// The legs, with the lanes that their messages touch.
fn legs(view: CallView<'_>) -> Vec<LegMark> {
    let mark = |(at, leg): (usize, &Leg)| {
        let ends = || {
            let places = leg.messages.iter().map(|no| view.call.message(*no));
            places.flat_map(|place| [place.from.at(), place.to.at()])
        };
        LegMark {
            letter: exchange::letter(at, b'A'),
            call_id: escape::text(&words::leg_id(view, leg)).into_owned(),
            left: ends().min().unwrap_or_default(),
            right: ends().max().unwrap_or_default(),
        }
    };
    view.call.legs.iter().enumerate().map(mark).collect()
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
    /// For each message, the request that it belongs to.
    exchanges: Vec<Option<Exchange>>,
    arrows: BTreeMap<Place, Arrow>,
    /// For each message, how many were seen earlier: files may hold packets out of order of time.
    ranks: Vec<usize>,
    /// Where requests stand that were captured too late.
    moved: BTreeMap<MessageNo, Place>,
    ghosts: HashMap<GhostKey, BTreeSet<Place>>,
    media: Tracker,
    /// Findings, with the arrow that each points at.
    told: Vec<(Option<Place>, Told)>,
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
        let mut negotiation = Negotiation::default();
        for (no, seen) in self.view.messages() {
            let place = self.view.call.message(no);
            if place.copy.is_some() {
                continue;
            }
            let step = flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten());
            let exchange = self.exchanges.get(no.at()).cloned().flatten();
            let order = exchange.as_ref().map_or(usize::MAX, |exchange| exchange.order);
            let session = negotiation.next(self.view, no, order);
            self.media.next(self.view, no, order, session.as_ref());
            let arrow = Arrow {
                message: Some(no.at() + 1),
                frame: Some(self.view.frame(no)),
                offset: Some(seen.time.since(self.view.call.start)),
                from: place.from.at(),
                to: place.to.at(),
                label: words::name_of(&seen.message),
                response: !seen.message.is_request(),
                sent: 1,
                auth: auth(&seen.message),
                session,
                step: step.unwrap_or_default().to_owned(),
                exchange,
                paint: paint_of(seen.message.status()),
                notes: self.view.comments(no).map(comment_note).collect(),
                ..Arrow::default()
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
                copies.entry(exchange::root(self.view, no)).or_default().push((no, copy.kind));
            }
        }
        for (first, copies) in copies {
            let of_kind = |kind| copies.iter().filter(move |copy| copy.1 == kind).map(|copy| copy.0);
            let again: Vec<MessageNo> = of_kind(CopyKind::Retransmission).collect();
            let twice: Vec<MessageNo> = of_kind(CopyKind::CapturedTwice).collect();
            let elsewhere = self.seen_elsewhere(first, &twice);
            let mut notes = Vec::new();
            if let Some(last) = again.last() {
                let until = time::offset(self.view.seen(*last).time.since(self.view.call.start));
                let times = if again.len() == 1 { "twice".to_owned() } else { format!("{} times", again.len() + 1) };
                notes.push(format!("sent {times}, last at {until} ({})", self.frames(&again)));
            }
            if !twice.is_empty() {
                notes.push(format!("captured twice ({})", self.frames(&twice)));
            }
            if let Some(arrow) = self.arrow(first) {
                arrow.sent = again.len() + 1;
                arrow.again = elsewhere;
                for note in notes {
                    arrow.remark(Paint::Dim, note);
                }
            }
        }
    }

    /// When a message passed another observation point, on its way.
    fn seen_elsewhere(&self, first: MessageNo, copies: &[MessageNo]) -> Option<Duration> {
        let seen = self.view.seen(first);
        let other = copies.iter().map(|no| self.view.seen(*no)).find(|copy| copy.interface != seen.interface)?;
        (other.time.since(seen.time) >= ON_THE_WAY).then(|| other.time.since(self.view.call.start))
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
        let kinds = tell::folded(self.report.told_of(self.view));
        let times: HashMap<*const Finding, usize> =
            kinds.iter().filter_map(|alike| Some((std::ptr::from_ref(*alike.first()?), alike.len()))).collect();
        for finding in self.report.told_of(self.view) {
            let place = match &finding.missing {
                Some(missing) => Some(self.ghost_of(finding, missing)),
                None => finding.messages.first().map(|no| self.place(exchange::root(self.view, *no))),
            };
            let note = finding_note(finding, self.told.len());
            let times = times.get(&std::ptr::from_ref(finding)).copied().unwrap_or_default();
            let told = Told { times, ..told(finding, note.paint) };
            let place = place.filter(|place| self.arrows.contains_key(place));
            if let Some(arrow) = place.and_then(|place| self.arrows.get_mut(&place)) {
                if arrow.ghost || note.paint == Paint::Error {
                    arrow.paint = note.paint;
                }
                arrow.notes.push(note);
            }
            self.told.push((place, told));
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
        let (_, _, method) = ghost.key();
        let response = method.is_none();
        let after = ghost.after.and_then(|no| self.exchanges.get(no.at()).cloned().flatten());
        let arrow = Arrow {
            from: ghost.from.at(),
            to: ghost.to.at(),
            label: escape::text(ghost.what).into_owned(),
            ghost: true,
            response,
            sent: 1,
            exchange: after.filter(|_| response || method.as_deref() == Some("ACK")),
            paint: Paint::Info,
            ..Arrow::default()
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

    /// The rows, once everything is in its place.
    fn finish(self) -> Ladder {
        let mut at: BTreeMap<Place, usize> = BTreeMap::new();
        let mut arrows = Vec::with_capacity(self.arrows.len());
        for (place, mut arrow) in self.arrows {
            arrow.notes.sort_by_key(|note| note.finding.is_none());
            at.insert(place, arrows.len());
            arrows.push(arrow);
        }
        crossing::mark(self.view, &mut arrows);
        let (rows, row_of) = with_pauses(arrows);
        let (rows, media) = media::place(self.media.finish(), rows);
        let mut ladder = Ladder {
            version: VERSION,
            call: self.view.number + 1,
            title: words::story(self.view),
            facts: tell::facts(self.report, self.view),
            flow: self.report.flow(self.view.number).and_then(|flow| flow.flow),
            lanes: lanes(self.view),
            legs: legs(self.view),
            rows,
            media,
            findings: Vec::new(),
        };
        // Rows of media stand between the others by now.
        let final_row: Vec<usize> =
            (0..ladder.rows.len()).filter(|row| !matches!(ladder.rows[*row], Row::Media { .. })).collect();
        let row = |place| Some(final_row[row_of[*at.get(&place)?]]);
        ladder.findings =
            self.told.into_iter().map(|(place, told)| Told { row: place.and_then(row), ..told }).collect();
        ladder
    }
}

/// What a message has to do with authentication.
fn auth(message: &Message) -> Option<Auth> {
    if message.is_request() {
        let has = message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION);
        return has.then_some(Auth::Credentials);
    }
    if !matches!(message.status(), Some(401 | 407)) {
        return None;
    }
    Some(if message.challenges().any(|challenge| challenge.stale) { Auth::Stale } else { Auth::Challenge })
}

fn paint_of(status: Option<u16>) -> Paint {
    match status {
        Some(200..=299) => Paint::Good,
        Some(401 | 407) => Paint::Info,
        None => Paint::Plain,
        Some(400..) => Paint::Warning,
        Some(_) => Paint::Plain,
    }
}

/// What somebody wrote into the capture; `callflow show` has all of it.
fn comment_note(comment: &str) -> Note {
    /// Columns, about two lines beside the lanes.
    const ROOM: usize = 60;
    let text = format!("comment: {}", shorten(&escape::text(comment), ROOM, "…"));
    Note { paint: Paint::Dim, finding: None, text }
}

/// "I01 ack-missing", as error, warning, note, or as what the capture cannot prove.
fn finding_note(finding: &Finding, at: usize) -> Note {
    let paint = match (finding.verdict, finding.severity) {
        (Verdict::Open, _) | (_, Severity::Info) => Paint::Info,
        (_, Severity::Warning) => Paint::Warning,
        (_, Severity::Error) => Paint::Error,
    };
    let unproved = if finding.verdict == Verdict::Open { " (not proved)" } else { "" };
    Note { paint, finding: Some(at), text: format!("{} {}{unproved}", finding.rule.code, finding.rule.name) }
}

fn told(finding: &Finding, paint: Paint) -> Told {
    Told {
        rule: finding.rule.code,
        name: finding.rule.name,
        severity: finding.severity.name(),
        verdict: finding.verdict.name(),
        paint,
        summary: escape::text(&finding.summary).into_owned(),
        row: None,
        times: 1,
    }
}

fn cause_note(missing: &Missing) -> String {
    let cause = cause_words(missing.cause, Verdict::Violated);
    if missing.evidence.is_empty() { cause } else { format!("{cause}: {}", escape::text(&missing.evidence)) }
}

fn cause_words(cause: Cause, verdict: Verdict) -> String {
    match verdict {
        Verdict::Violated => cause.words().to_owned(),
        Verdict::Open => format!("perhaps {}", cause.words()),
    }
}

/// The arrows with a row for each long silence, and the row of each.
fn with_pauses(arrows: Vec<Arrow>) -> (Vec<Row>, Vec<usize>) {
    let mut rows = Vec::new();
    let mut row_of = Vec::with_capacity(arrows.len());
    let mut last: Option<Duration> = None;
    for arrow in arrows {
        if let Some(offset) = arrow.offset {
            if let Some(seconds) = last.and_then(|last| offset.checked_sub(last)).filter(|silence| *silence >= PAUSE) {
                rows.push(Row::Pause { seconds });
            }
            last = Some(offset);
        }
        row_of.push(rows.len());
        rows.push(Row::Arrow(Box::new(arrow)));
    }
    for row in &mut rows {
        if let Row::Arrow(arrow) = row {
            arrow.crosses = arrow.crosses.and_then(|other| row_of.get(other).copied());
        }
    }
    (rows, row_of)
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    fn labels(ladder: &Ladder) -> Vec<String> {
        let label = |row: &Row| match row {
            Row::Arrow(arrow) => arrow.text(),
            other => ladder.remark(other).unwrap_or_default(),
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
        let told = ["INVITE [PCMU]", "180 Ringing", "200 OK (INVITE) [PCMU] (x5)", "ACK", "media PCMU"];
        assert_eq!(labels(&ladder), told);
        let Row::Arrow(ack) = &ladder.rows[3] else { panic!("no arrow") };
        assert!(ack.ghost && ack.step == "F4" && ack.paint == Paint::Error);
        assert_eq!(ack.notes[0].text, "I01 ack-missing");
    }

    #[test]
    fn a_long_ladder_keeps_its_ends_and_what_is_remarkable() {
        let whole = ladder(&samples::ack_never());
        let mut rows = vec![whole.rows[0].clone(); 200];
        rows[100] = whole.rows[3].clone();
        let focused = Ladder { rows, ..whole }.focus(20);
        let told = labels(&focused);
        assert_eq!((told.len(), told[6].as_str()), (15, "92 messages not shown"));
        assert_eq!((told[9].as_str(), told[12].as_str()), ("ACK", "95 messages not shown"));
    }
}
