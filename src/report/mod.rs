//! What is told, and how: every format writes the same [`Report`] to a `dyn Write` and prints nothing.
//!
//! A format is one file that implements [`Format`] and one line in [`FORMATS`].

mod baseline;
pub mod csv;
pub mod diff;
pub mod draw;
pub mod escape;
mod fingerprint;
mod github;
mod gitlab;
mod html;
mod json;
mod json_call;
mod json_capture;
mod json_finding;
mod json_flow;
mod json_layout;
mod json_message;
mod json_metrics;
mod json_serializer;
mod json_text;
mod junit;
pub mod ladder;
pub mod live;
mod markdown;
mod narrate;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod rows;
mod run;
#[cfg(test)]
mod samples;
mod sarif;
pub mod show;
mod shown;
pub mod stats;
mod style;
pub mod table;
mod tell;
mod text;
pub mod time;
mod verdict;
mod words;

pub use baseline::{Baseline, Entry, Ledger};
pub use csv::Csv;
pub use fingerprint::Fingerprint;
pub use html::Html;
pub use json::{Json, Ndjson, write_call, write_document, write_end, write_findings};
pub use narrate::narrative;
pub use run::{Gate, Run};
pub use style::{Paint, Style, count, shorten};
pub use tell::{folded, heading, participants, short_finding};
pub use text::Text;
pub use verdict::one_line as verdict_line;
pub use words::{from_uri, to_uri};

use crate::analysis::{Analysis, CallView};
use crate::call::Kind;
use crate::capture::CaptureInfo;
use crate::flow::{FlowMatch, Verdict};
use crate::rules::{Finding, Severity};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// A way to write a report.
pub trait Format: Sync {
    /// Name for `--format`.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn help(&self) -> &'static str;
    /// Writes the whole report on one capture. Those of several captures stand one after the other, unless they are
    /// one document.
    fn write(&self, report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()>;
    /// Writes the report on a further capture of the run behind those before it.
    fn write_next(&self, report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
        self.write(report, style, out)
    }
    /// How all captures of a run are told in one document, for formats that do so.
    fn whole(&self) -> Option<WriteRun> {
        None
    }
}

/// Writes all captures of a run as one document.
pub type WriteRun = fn(&Run, &mut dyn Write) -> io::Result<()>;

/// Every format, the default one first.
pub static FORMATS: &[&dyn Format] = &[
    &Text,
    &Json,
    &Ndjson,
    &Csv,
    &sarif::SARIF,
    &junit::JUNIT,
    &github::GITHUB,
    &gitlab::GITLAB,
    &markdown::MARKDOWN,
    &Html,
];

/// The format with this name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// The calls and findings that the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Positions of calls, ascending; `None`: all of them, and what concerns the capture as a whole.
    pub calls: Option<Vec<usize>>,
    /// Codes of rules whose findings are shown; empty: all.
    pub rules: Vec<&'static str>,
}

/// Everything a format may tell: what was analysed, found and selected.
#[derive(Debug)]
pub struct Report<'a> {
    /// The files.
    pub captures: &'a [CaptureInfo],
    /// What was understood.
    pub analysis: &'a Analysis,
    /// One match per call of the analysis.
    pub flows: &'a [FlowMatch],
    /// All findings; the selected ones are [`Report::findings`].
    all_findings: &'a [Finding],
    /// Positions of the selected calls.
    calls: Vec<usize>,
    /// Whether calls were left out.
    partial: bool,
    /// Whether rules were chosen.
    by_rule: bool,
    /// Positions of the selected findings.
    shown: Vec<usize>,
    /// For each call of the analysis, positions within `shown`.
    by_call: Vec<Vec<usize>>,
    /// One for each of `all_findings`.
    prints: Vec<Fingerprint>,
    /// For each of `all_findings`, why it is known, if it is.
    reasons: Vec<Option<String>>,
    /// Positions of calls that are not what the user expects, and what they are instead.
    deviations: BTreeMap<usize, String>,
    /// What the user expects of the whole, and it has not.
    lacks: Vec<String>,
    /// Positions of the findings that would be selected, had the user not said to ignore them.
    ignored: Vec<usize>,
}

/// How many findings there are; open ones are counted apart and not by severity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Proved errors.
    pub error: usize,
    /// Proved warnings.
    pub warning: usize,
    /// Proved notes.
    pub info: usize,
    /// What the capture cannot prove, of any severity.
    pub open: usize,
}

impl<'a> Report<'a> {
    /// A report on `selection`.
    pub fn new(
        captures: &'a [CaptureInfo],
        analysis: &'a Analysis,
        flows: &'a [FlowMatch],
        findings: &'a [Finding],
        selection: Selection,
    ) -> Self {
        let partial = selection.calls.is_some();
        let by_rule = !selection.rules.is_empty();
        let calls = selection.calls.unwrap_or_else(|| (0..analysis.calls.len()).collect());
        let is_shown = |finding: &Finding| {
            finding.call.map_or(!partial, |call| !partial || calls.binary_search(&call).is_ok())
                && (selection.rules.is_empty() || selection.rules.contains(&finding.rule.code))
        };
        let (shown, ignored): (Vec<usize>, Vec<usize>) =
            (0..findings.len()).filter(|at| is_shown(&findings[*at])).partition(|at| findings[*at].ignored.is_none());
        let mut by_call = vec![Vec::new(); analysis.calls.len()];
        for (at, finding) in shown.iter().enumerate() {
            if let Some(of_call) = findings[*finding].call.and_then(|call| by_call.get_mut(call)) {
                of_call.push(at);
            }
        }
        let prints = fingerprint::of_all(analysis, flows, findings);
        let reasons = vec![None; findings.len()];
        Self {
            captures,
            analysis,
            flows,
            all_findings: findings,
            calls,
            partial,
            by_rule,
            shown,
            by_call,
            prints,
            reasons,
            deviations: BTreeMap::new(),
            lacks: Vec::new(),
            ignored,
        }
    }

    /// With the calls that are not what the user expects, by position, and what each is instead.
    #[must_use]
    pub fn deviating(mut self, deviations: BTreeMap<usize, String>) -> Self {
        self.deviations = deviations;
        self
    }

    /// With what the user expects of the whole, such as a number of calls, and it has not.
    #[must_use]
    pub fn lacking(mut self, lacks: Vec<String>) -> Self {
        self.lacks = lacks;
        self
    }

    /// What a call is instead of what the user expects.
    pub fn deviation(&self, call: usize) -> Option<&str> {
        self.deviations.get(&call).map(String::as_str)
    }

    /// This report as one of several of a run: findings are counted over all of them, and known ones marked.
    #[must_use]
    pub fn within(mut self, ledger: &mut Ledger) -> Self {
        fingerprint::count(&mut self.prints, &mut ledger.met);
        for at in &self.shown {
            let finding = &self.all_findings[*at];
            if ledger.takes_notes() || !finding.call.is_some_and(|call| self.is_quiet(self.analysis.view(call))) {
                ledger.record(finding, self.prints[*at]);
            }
        }
        let found = self.all_findings.iter().zip(&self.prints);
        self.reasons = found.map(|(finding, print)| ledger.reason(finding, *print)).collect();
        self
    }

    /// The selected calls, in order of their first message.
    pub fn calls(&self) -> impl Iterator<Item = CallView<'a>> + '_ {
        self.calls.iter().map(|call| self.analysis.view(*call))
    }

    /// How many calls are selected.
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// Whether the user asked for certain rules.
    pub fn asks_for_rules(&self) -> bool {
        self.by_rule
    }

    /// Whether calls were left out by the selection.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// The selected findings that are not known from a baseline, those of the capture as a whole first.
    pub fn findings(&self) -> impl Iterator<Item = &'a Finding> + '_ {
        self.shown.iter().filter(|at| self.reasons[**at].is_none()).map(|at| &self.all_findings[*at])
    }

    /// Findings that the user said to ignore; no other method tells of them.
    pub fn ignored(&self) -> impl Iterator<Item = &'a Finding> + '_ {
        self.ignored.iter().map(|at| &self.all_findings[*at])
    }

    /// The selected findings of a call that are not known from a baseline, worst first.
    pub fn findings_of(&self, call: usize) -> impl Iterator<Item = &'a Finding> + '_ {
        let positions = self.positions_of(call).iter().map(|at| self.shown[*at]);
        positions.filter(|at| self.reasons[*at].is_none()).map(|at| &self.all_findings[at])
    }

    /// The selected findings that are known from a baseline, with the reason that people gave, perhaps none.
    pub fn known(&self) -> impl Iterator<Item = (&'a Finding, &str)> + '_ {
        self.shown.iter().filter_map(|at| Some((&self.all_findings[*at], self.reasons[*at].as_deref()?)))
    }

    /// Every selected finding, known or not, with its fingerprint and, if it is known, the reason.
    fn entries(&self) -> impl Iterator<Item = (&'a Finding, Fingerprint, Option<&str>)> + '_ {
        self.shown.iter().map(|at| (&self.all_findings[*at], self.prints[*at], self.reasons[*at].as_deref()))
    }

    /// Whether the findings of a call are told only to who asks for their rules: nothing but notes, on a
    /// call that went well.
    pub fn is_quiet(&self, view: CallView<'_>) -> bool {
        let is_note = |finding: &Finding| finding.verdict == Verdict::Violated && finding.severity == Severity::Info;
        !self.by_rule && tell::is_success(view) && self.findings_of(view.number).all(is_note)
    }

    /// The findings of a call that are told without being asked for, worst first.
    pub fn told_of(&self, view: CallView<'_>) -> impl Iterator<Item = &'a Finding> + '_ {
        let quiet = self.is_quiet(view);
        self.findings_of(view.number).filter(move |_| !quiet)
    }

    /// Positions among [`Report::findings`] of those of a call.
    fn positions_of(&self, call: usize) -> &[usize] {
        self.by_call.get(call).map_or(&[], Vec::as_slice)
    }

    /// How the call compares with its reference flow.
    pub fn flow(&self, call: usize) -> Option<&'a FlowMatch> {
        self.flows.get(call)
    }

    /// Counts of the selected findings that are not known.
    pub fn counts(&self) -> Counts {
        Counts::of(self.findings())
    }

    /// Whether everything in the files was read and decoded as far as that matters for SIP.
    pub fn is_complete(&self) -> bool {
        self.captures.iter().all(|capture| capture.complete)
    }

    /// The worst proved severity among the findings of a call.
    pub fn worst(&self, call: usize) -> Option<Severity> {
        self.findings_of(call).filter(|f| f.verdict == Verdict::Violated).map(|f| f.severity).max()
    }

    /// "2 calls, 1 registration": the selected calls by kind.
    pub fn kinds(&self) -> String {
        let names = [
            (Kind::Call, "call", "calls"),
            (Kind::Registration, "registration", "registrations"),
            (Kind::Subscription, "subscription", "subscriptions"),
            (Kind::Message, "message", "messages"),
            (Kind::Options, "OPTIONS request", "OPTIONS requests"),
            (Kind::Publish, "publication", "publications"),
            (Kind::Other, "other exchange", "other exchanges"),
        ];
        let told: Vec<String> = names
            .iter()
            .filter_map(|(kind, one, many)| {
                let n = self.calls().filter(|view| view.call.kind == *kind).count();
                (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }))
            })
            .collect();
        if told.is_empty() { "no calls".to_owned() } else { told.join(", ") }
    }
}

/// What each finding is recognised by in another run, as JSON tells it, in their order.
pub fn fingerprints(analysis: &Analysis, flows: &[FlowMatch], findings: &[Finding]) -> Vec<String> {
    let prints = fingerprint::of_all(analysis, flows, findings);
    prints.iter().map(ToString::to_string).collect()
}

impl Counts {
    /// Counts `findings`.
    pub fn of<'f>(findings: impl Iterator<Item = &'f Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            *match (finding.verdict, finding.severity) {
                (Verdict::Open, _) => &mut counts.open,
                (_, Severity::Error) => &mut counts.error,
                (_, Severity::Warning) => &mut counts.warning,
                (_, Severity::Info) => &mut counts.info,
            } += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `format` writes of a sample.
    fn written(format: &dyn Format, sample: &samples::Sample) -> String {
        let mut out = Vec::new();
        format.write(&sample.report(), Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format_tells_the_same_samples() {
        let samples = [
            ("ack-never", samples::ack_never()),
            ("wrong-password", samples::wrong_password()),
            ("two-proxies", samples::two_proxies()),
        ];
        for (name, sample) in &samples {
            // A page is mostly its script: html has tests of its own.
            for format in FORMATS.iter().filter(|format| format.name() != "html") {
                insta::assert_snapshot!(format!("{name}.{}", format.name()), written(*format, sample));
            }
        }
    }

    #[test]
    fn no_control_character_of_a_message_reaches_the_output() {
        let sample = samples::hostile();
        assert_eq!(sample.analysis.calls.len(), 1);
        let report = sample.report();
        let mut out = Vec::new();
        for format in FORMATS {
            format.write(&report, Style::default(), &mut out).unwrap();
        }
        table::write(&report, Style::default(), &mut out).unwrap();
        stats::write_text(&report, Style::default(), &mut out).unwrap();
        for view in report.calls() {
            show::write(&report, view, None, Style::default(), &mut out).unwrap();
            draw::text(&ladder::Ladder::new(&report, view), Style::default(), 0, &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\\x1b[2J"), "{text}");
        let bad: Vec<char> = text.chars().filter(|c| *c != '\n' && !escape::is_harmless(*c)).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    #[test]
    fn fingerprints_outlive_time_frames_and_call_ids_and_are_unique_in_a_run() {
        let sample = samples::wrong_password();
        let prints: Vec<String> = sample.report().prints.iter().map(ToString::to_string).collect();
        assert_eq!(format!("{}-2", prints[0]), prints[1]);
        let mut ledger = Ledger::default();
        let nth = |report: Report<'_>| report.prints.iter().map(|print| print.nth).collect::<Vec<_>>();
        assert_eq!(nth(sample.report().within(&mut ledger)), [1, 2]);
        assert_eq!(nth(sample.report().within(&mut ledger)), [3, 4], "the next capture of the run");
    }

    #[test]
    fn what_is_ignored_is_told_apart_and_not_counted() {
        let mut sample = samples::wrong_password();
        sample.findings[0].ignored = Some("the lab has no such user".to_owned());
        let report = sample.report();
        assert_eq!(report.counts(), Counts { error: 1, ..Counts::default() });
        assert_eq!(report.ignored().map(|finding| finding.call).collect::<Vec<_>>(), [Some(0)]);
        assert_eq!(report.worst(0), None);
        let text = written(&Text, &sample);
        assert!(text.contains("Ignored: 1 finding") && text.contains("the lab has no such user"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&written(&Json, &sample)).unwrap();
        assert_eq!(json["summary"]["ignored"], 1);
        let told: Vec<&serde_json::Value> =
            json["findings"].as_array().unwrap().iter().map(|finding| &finding["ignored"]).collect();
        assert_eq!(told, [&serde_json::Value::Null, &serde_json::json!("the lab has no such user")]);
        assert_eq!(json["calls"][1]["findings"], serde_json::json!([0]), "positions in the list of findings");
    }

    #[test]
    fn a_selection_keeps_numbers_and_drops_the_findings_of_others() {
        let sample = samples::wrong_password();
        let report = sample.report_on(Selection { calls: Some(vec![1]), rules: Vec::new() });
        assert_eq!(report.calls().map(|view| view.number).collect::<Vec<_>>(), [1]);
        assert_eq!(report.findings().map(|finding| finding.call).collect::<Vec<_>>(), [Some(1)]);
        assert_eq!(report.counts(), Counts { error: 1, ..Counts::default() });
    }
}
