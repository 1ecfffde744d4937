//! A whole run, capture by capture, without its messages: what the formats that CI understands are written from.

use super::baseline::Entry;
use super::fingerprint::Fingerprint;
use super::verdict::hides_messages;
use super::{Format, Report, Style, WriteRun, escape, tell, time, words};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::flow::{Cause, Verdict};
use crate::rules::{Finding, Meta, Severity};
use crate::session::MessageNo;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// Where the pages of the rules are.
const PAGES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/HEAD/docs/rules/");
/// Steps of a call told with a finding, at most.
const STEPS: usize = 50;
/// Steps told in one run: GitHub shows those of 5,000 findings, and has no use for more.
const STEPS_OF_A_RUN: usize = 5_000 * STEPS;

/// What makes a run fail, for formats that say so of each call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    /// Findings from this severity on.
    pub threshold: Severity,
    /// A capture without calls is fine.
    pub allow_empty: bool,
    /// There is a baseline.
    pub compares: bool,
    /// What vanished from it counts, too.
    pub strict: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self { threshold: Severity::Error, allow_empty: false, compares: false, strict: false }
    }
}

/// The captures of a run.
#[derive(Debug)]
pub struct Run {
    pub(super) gate: Gate,
    /// In the order they were read.
    pub(super) suites: Vec<Suite>,
    /// What is known and did not come.
    pub(super) vanished: Vec<Entry>,
    /// That may still be told.
    steps: usize,
}

/// One capture, of one file or several.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its files.
    pub(super) name: String,
    pub(super) files: Vec<FileNote>,
    pub(super) packets: u64,
    pub(super) messages: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) length: Duration,
    /// What could not be read.
    pub(super) troubles: Vec<String>,
    /// What may make messages look absent.
    pub(super) doubts: Vec<Doubt>,
    /// What the user expects of the capture as a whole, and it has not.
    pub(super) lacks: Vec<String>,
    /// Of the capture as a whole.
    pub(super) notes: Vec<Note>,
    pub(super) cases: Vec<Case>,
}

#[derive(Debug)]
pub(super) struct FileNote {
    /// As given.
    pub(super) path: String,
    pub(super) complete: bool,
}

#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// One call.
#[derive(Debug)]
pub(super) struct Case {
    /// As `--call` takes it.
    pub(super) number: usize,
    /// Who asked whom for what, the second time with "(2)" behind it: the same in the next run.
    pub(super) label: String,
    pub(super) flow: &'static str,
    pub(super) outcome: String,
    pub(super) messages: usize,
    pub(super) length: Duration,
    /// What it is instead of what the user expects.
    pub(super) deviation: Option<String>,
    pub(super) notes: Vec<Note>,
}

/// One finding.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) rule: &'static Meta,
    pub(super) severity: Severity,
    pub(super) verdict: Verdict,
    pub(super) cause: Option<&'static str>,
    /// What counts more is greater.
    pub(super) rank: u8,
    /// Position among the files of the suite.
    pub(super) file: usize,
    /// The main one first.
    pub(super) frames: Vec<u32>,
    /// One line.
    pub(super) summary: String,
    /// One line.
    pub(super) detail: String,
    pub(super) print: Fingerprint,
    /// Why it is known, if it is.
    pub(super) reason: Option<String>,
    /// The call around it.
    pub(super) steps: Vec<Step>,
}

/// A message of the call around a finding.
#[derive(Debug)]
pub(super) struct Step {
    /// None for a message that is missing.
    pub(super) frame: Option<u32>,
    pub(super) file: usize,
    pub(super) text: String,
}

impl Run {
    /// A run without captures yet.
    pub fn new(gate: Gate) -> Self {
        Self { gate, suites: Vec::new(), vanished: Vec::new(), steps: STEPS_OF_A_RUN }
    }

    /// Takes in a capture, and what could not be read of it.
    pub fn add(&mut self, report: &Report<'_>, troubles: &[String]) {
        let analysis = report.analysis;
        let mut suite = Suite {
            name: name(report),
            files: report.captures.iter().map(|c| FileNote { path: c.path.clone(), complete: c.complete }).collect(),
            packets: analysis.stats.packets,
            messages: analysis.stats.messages,
            first: analysis.first,
            length: analysis.first.zip(analysis.last).map_or(Duration::ZERO, |(first, last)| last.since(first)),
            troubles: troubles.iter().map(|trouble| escape::text(trouble).into_owned()).collect(),
            doubts: analysis
                .anomalies
                .iter()
                .filter(|(kind, _)| hides_messages(*kind))
                .map(|(kind, s)| Doubt { kind: kind.name(), text: escape::text(&s.first.text).into_owned() })
                .collect(),
            lacks: report.lacks.iter().map(|what| escape::text(what).into_owned()).collect(),
            notes: Vec::new(),
            cases: Vec::with_capacity(report.call_count()),
        };
        let mut labels: HashMap<String, u32> = HashMap::new();
        suite.cases.extend(report.calls().map(|view| case(report, view, &mut labels)));
        for (finding, print, reason) in report.entries() {
            let note = self.note(report, finding, print, reason);
            let is_quiet = || finding.call.is_some_and(|call| report.is_quiet(report.analysis.view(call)));
            // As in the report for people, what is legal but unusual is not told of calls that went well.
            if note.reason.is_none() && !self.counts(&note) && is_quiet() {
                continue;
            }
            let of = finding.call.and_then(|call| suite.cases.binary_search_by_key(&(call + 1), |c| c.number).ok());
            match of {
                Some(at) => suite.cases[at].notes.push(note),
                None => suite.notes.push(note),
            }
        }
        self.suites.push(suite);
    }

    /// Says at the end what is in the baseline and did not come.
    pub fn lacks(&mut self, vanished: Vec<Entry>) {
        self.vanished = vanished;
    }

    fn note(&mut self, report: &Report<'_>, finding: &Finding, print: Fingerprint, reason: Option<&str>) -> Note {
        let view = finding.call.map(|call| report.analysis.view(call));
        let main = finding.messages.first().copied().or(finding.missing.as_ref().map(|missing| missing.after));
        let steps = match view {
            Some(view) if self.steps > 0 => steps(view, finding, main),
            _ => Vec::new(),
        };
        self.steps = self.steps.saturating_sub(steps.len());
        let mut frames = finding.frames.clone();
        if let (true, Some((view, no))) = (frames.is_empty(), view.zip(main)) {
            frames.push(view.frame(no));
        }
        Note {
            rule: finding.rule,
            severity: finding.severity,
            verdict: finding.verdict,
            cause: finding.cause.map(Cause::name),
            rank: tell::rank(finding),
            file: view.zip(main).map_or(0, |(view, no)| file(view, no)),
            frames,
            summary: escape::text(&finding.summary).into_owned(),
            detail: escape::text(&finding.detail).into_owned(),
            print,
            reason: reason.map(|reason| escape::text(reason).into_owned()),
            steps,
        }
    }

    /// Whether a finding makes the run fail.
    pub(super) fn fails(&self, note: &Note) -> bool {
        note.verdict == Verdict::Violated && self.counts(note)
    }

    /// Whether a call makes the run fail.
    pub(super) fn fails_by(&self, case: &Case) -> bool {
        case.deviation.is_some() || case.notes.iter().any(|note| self.fails(note))
    }

    /// Whether it would make the run fail if it were proved.
    pub(super) fn counts(&self, note: &Note) -> bool {
        note.severity >= self.gate.threshold && note.reason.is_none()
    }

    /// Every finding with its capture and call, worst first; those that are known come last.
    pub(super) fn notes(&self) -> Vec<(&Suite, Option<&Case>, &Note)> {
        let mut notes = Vec::new();
        for suite in &self.suites {
            notes.extend(suite.notes.iter().map(|note| (suite, None, note)));
            for case in &suite.cases {
                notes.extend(case.notes.iter().map(|note| (suite, Some(case), note)));
            }
        }
        notes.sort_by_key(|(_, _, note)| (note.reason.is_some(), std::cmp::Reverse(note.rank)));
        notes
    }
}

impl Suite {
    /// What is not as the user expects, in words: of the whole, then of calls.
    pub(super) fn unexpected(&self) -> impl Iterator<Item = &str> {
        let calls = self.cases.iter().filter_map(|case| case.deviation.as_deref());
        self.lacks.iter().map(String::as_str).chain(calls)
    }

    /// Whether everything could be read.
    pub(super) fn is_read(&self) -> bool {
        self.troubles.is_empty() && self.files.iter().all(|file| file.complete)
    }

    /// What could not be read, in words, file by file.
    pub(super) fn unread(&self) -> Vec<String> {
        let cut = self.files.iter().filter(|file| !file.complete);
        let told = cut.map(|file| format!("{} could not be read to its end", escape::text(&file.path)));
        self.troubles.iter().cloned().chain(told).collect()
    }

    /// The path of one of its files, as given; empty if there is none.
    pub(super) fn path(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |file| file.path.as_str())
    }
}

impl Note {
    /// "error", "warning", "note", or "not proved".
    pub(super) fn word(&self) -> &'static str {
        match (self.verdict, self.severity) {
            (Verdict::Open, _) => "not proved",
            (_, Severity::Error) => "error",
            (_, Severity::Warning) => "warning",
            (_, Severity::Info) => "note",
        }
    }

    /// Code and name: "I01 ack-missing".
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.rule.code, self.rule.name)
    }

    /// Its main frame; 1 when it concerns the capture as a whole, because readers want a line.
    pub(super) fn line(&self) -> u32 {
        self.frames.first().copied().unwrap_or(1).max(1)
    }

    /// "frames 5, 6, 7 and 12 more".
    pub(super) fn places(&self) -> String {
        tell::frames(&self.frames)
    }
}

/// The page of a rule.
pub(super) fn page(rule: &Meta) -> String {
    format!("{PAGES}{}-{}.md", rule.code, rule.name)
}

/// A format that tells a run as one document.
#[derive(Debug)]
pub(super) struct OfRun {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) write: WriteRun,
}

impl Format for OfRun {
    fn name(&self) -> &'static str {
        self.name
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn write(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut run = Run::new(Gate::default());
        run.add(report, &[]);
        (self.write)(&run, out)
    }

    fn whole(&self) -> Option<WriteRun> {
        Some(self.write)
    }
}

/// The files of a capture, or how many they are.
fn name(report: &Report<'_>) -> String {
    match report.captures {
        [] => "input".to_owned(),
        [one] => escape::text(&one.path).into_owned(),
        [first, rest @ ..] => format!("{} and {}", escape::text(&first.path), super::count(rest.len(), "more file")),
    }
}

fn case(report: &Report<'_>, view: CallView<'_>, labels: &mut HashMap<String, u32>) -> Case {
    let mut label = words::story(view);
    let nth = labels.entry(label.clone()).or_insert(0);
    *nth = nth.saturating_add(1);
    if *nth > 1 {
        let _ = write!(label, " ({nth})");
    }
    Case {
        number: view.number + 1,
        label,
        flow: report.flow(view.number).and_then(|flow| flow.flow).unwrap_or(view.call.kind.name()),
        outcome: words::outcome(view),
        messages: view.call.messages.len(),
        length: view.call.end.since(view.call.start),
        deviation: report.deviation(view.number).map(|what| escape::text(what).into_owned()),
        notes: Vec::new(),
    }
}

/// The file that a message stands in.
fn file(view: CallView<'_>, no: MessageNo) -> usize {
    view.analysis.points.get(view.seen(no).interface as usize).map_or(0, |point| point.capture)
}

/// The messages of the call around the main one, copies left out, with the one that is missing.
fn steps(view: CallView<'_>, finding: &Finding, main: Option<MessageNo>) -> Vec<Step> {
    let own: Vec<MessageNo> = view.call.numbers().filter(|no| view.call.message(*no).copy.is_none()).collect();
    let at = main.map_or(0, |main| own.partition_point(|no| *no < main));
    let start = at.saturating_sub(STEPS / 2).min(own.len().saturating_sub(STEPS));
    let mut steps = Vec::new();
    for no in own.iter().skip(start).take(STEPS) {
        let (place, seen) = (view.call.message(*no), view.seen(*no));
        let (from, to) = (words::address(view, place.from), words::address(view, place.to));
        let offset = time::offset(seen.time.since(view.call.start));
        let text = format!("{offset} s: {} from {from} to {to}", words::label(&seen.message));
        steps.push(Step { frame: Some(view.frame(*no)), file: file(view, *no), text });
        // A message that is missing follows a copy as well as its first sending.
        let after = finding.missing.as_ref().filter(|missing| {
            let copy = view.call.message(missing.after).copy;
            copy.map_or(missing.after, |copy| copy.of) == *no
        });
        if let Some(missing) = after {
            let (from, to) = (words::address(view, missing.from), words::address(view, missing.to));
            let text = format!("missing: {} from {from} to {to}", escape::text(&missing.what));
            steps.push(Step { frame: None, file: file(view, *no), text });
        }
    }
    steps
}
