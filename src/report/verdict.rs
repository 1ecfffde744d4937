//! The head of the report: one line that answers "is it broken?", and how far the capture can be trusted.

use super::style::{Paint, Style, count, wrap};
use super::tell::{is_error, is_success};
use super::{Counts, Report, escape, time};
use crate::analysis::CallView;
use crate::base::AnomalyKind;
use crate::rules::Severity;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// One line that answers "is it broken?".
pub(super) struct Answer {
    /// How it is painted.
    pub(super) paint: Paint,
    /// "PROBLEM", "LOOK", "OK", ...
    pub(super) word: &'static str,
    /// The rest of the line.
    pub(super) rest: String,
}

/// The answer of a report.
pub(super) fn answer(report: &Report<'_>) -> Answer {
    Head { report }.answer()
}

/// A line on the input.
pub(super) struct Remark {
    /// How it is painted.
    pub(super) paint: Paint,
    /// "!" where messages may be missing, "-" where something was not understood, else empty.
    pub(super) mark: &'static str,
    /// What is to say.
    pub(super) text: String,
}

/// What was read, and what may be missing from it: absence proves little in a bad capture. The first line says
/// what was read.
pub(super) fn health(report: &Report<'_>) -> Vec<Remark> {
    Head { report }.health()
}

/// Writes the head of a report.
pub(super) fn write(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    one_line(report, style, out)?;
    health(report).iter().try_for_each(|Remark { paint, mark, text }| {
        let told = format!("{mark} {text}");
        write!(out, "{}", style.paragraph(*paint, told.trim_start(), 2))
    })
}

/// Writes only the line that answers "is it broken?".
pub fn one_line(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let Answer { paint, word, rest } = answer(report);
    let mark = match paint {
        Paint::Error => style.glyphs().marks[0],
        Paint::Good => style.glyphs().marks[4],
        _ => style.glyphs().marks[1],
    };
    let word = format!("{mark} {word}");
    let room = style.width.saturating_sub(super::style::columns(&word) + 2);
    let mut lines = wrap(&rest, room.max(20)).into_iter();
    let first = style.paint(Paint::Bold, &lines.next().unwrap_or_default());
    writeln!(out, "{}  {first}", style.paint(paint, &word))?;
    lines.try_for_each(|line| write!(out, "{}", style.paragraph(Paint::Bold, &line, 4)))
}

struct Head<'a> {
    report: &'a Report<'a>,
}

impl Head<'_> {
    fn answer(&self) -> Answer {
        let counts = self.report.counts();
        let stats = &self.report.analysis.stats;
        let (word, paint, rest) = if let Some(lacks) = self.lacks().filter(|_| self.report.call_count() == 0) {
            ("PROBLEM", Paint::Error, format!("no calls, {lacks}"))
        } else if stats.messages == 0 {
            let packets = count(usize::try_from(stats.packets).unwrap_or(usize::MAX), "packet");
            ("NOTHING TO CHECK", Paint::Warning, format!("no SIP in {packets}"))
        } else if self.report.call_count() == 0 {
            ("NOTHING TO CHECK", Paint::Warning, "no call fits the selection".to_owned())
        } else if let Some(problem) = self.problem(counts) {
            ("PROBLEM", Paint::Error, format!("{}, {problem}", self.report.kinds()))
        } else if counts.warning + counts.open > 0 {
            (
                "LOOK",
                Paint::Warning,
                format!("{}, no error, but {}{}", self.report.kinds(), told_counts(counts), self.unsuccessful()),
            )
        } else if self.report.is_complete() {
            let fault = if self.report.known().next().is_some() { "new fault" } else { "fault" };
            ("OK", Paint::Good, format!("{}, no {fault} found{}", self.report.kinds(), self.unsuccessful()))
        } else {
            (
                "OK SO FAR",
                Paint::Warning,
                format!("{}, no fault in what could be read{}", self.report.kinds(), self.unsuccessful()),
            )
        };
        Answer { paint, word, rest }
    }

    /// The errors, and how many calls are not what the user expects; nothing where there are neither.
    fn problem(&self, counts: Counts) -> Option<String> {
        let is_broken = |view: &CallView<'_>| self.report.worst(view.number) == Some(Severity::Error);
        let errors = (counts.error > 0).then(|| self.named_errors(self.report.calls().filter(is_broken).count()));
        let astray = self.report.calls().filter(|view| self.report.deviation(view.number).is_some()).count();
        let astray = match astray {
            0 => None,
            1 if self.report.call_count() == 1 => Some("not as expected".to_owned()),
            n if n == self.report.call_count() => Some("none as expected".to_owned()),
            n => Some(format!("{n} of them not as expected")),
        };
        let told: Vec<String> = errors.into_iter().chain(astray).chain(self.lacks()).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// What the user expects of the whole, and it has not.
    fn lacks(&self) -> Option<String> {
        /// Reasons named in the first line.
        const NAMED: usize = 3;
        let lacks = &self.report.lacks;
        let more = if lacks.len() > NAMED { format!(" and {} more", lacks.len() - NAMED) } else { String::new() };
        let named: Vec<String> = lacks.iter().take(NAMED).map(|why| escape::text(why).into_owned()).collect();
        (!lacks.is_empty()).then(|| format!("not as expected: {}{more}", named.join(", ")))
    }

    /// "; 2 did not succeed: 1 busy, 1 cancelled": no fault, but what the user may be looking for.
    fn unsuccessful(&self) -> String {
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        for view in self.report.calls().filter(|view| !is_success(*view)) {
            *outcomes.entry(view.call.outcome.name()).or_default() += 1;
        }
        let total: usize = outcomes.values().sum();
        let told: Vec<String> = outcomes.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        if total == 0 { String::new() } else { format!("; without success: {}", told.join(", ")) }
    }

    /// "2 of them with an error: I01 ack-missing, B01 bye-unanswered".
    fn named_errors(&self, calls: usize) -> String {
        /// Rules named in the first line.
        const NAMED: usize = 3;
        let mut rules: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for finding in self.report.findings().filter(|finding| is_error(finding)) {
            rules.entry(finding.rule.code).or_insert((0, finding.rule.name)).0 += 1;
        }
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|(code, (n, _))| (Reverse(*n), *code));
        let names: Vec<String> = rules.iter().take(NAMED).map(|(code, (_, name))| format!("{code} {name}")).collect();
        let more = if rules.len() > NAMED { format!(" and {} more", rules.len() - NAMED) } else { String::new() };
        let who = match (calls, self.report.call_count()) {
            (0, _) => "error",
            (1, 1) => "with an error",
            (1, _) => "1 of them with an error",
            (n, all) if n == all => "all with errors",
            _ => return format!("{calls} of them with errors: {}{more}", names.join(", ")),
        };
        format!("{who}: {}{more}", names.join(", "))
    }

    fn health(&self) -> Vec<Remark> {
        let stats = &self.report.analysis.stats;
        let files = match self.report.captures {
            [] => "no capture".to_owned(),
            [one] => escape::text(&one.path).into_owned(),
            many => count(many.len(), "file"),
        };
        let span = self.report.analysis.first.zip(self.report.analysis.last);
        let span = span.map_or_else(String::new, |(first, last)| {
            format!(" in {} from {}", time::length(last.since(first)), time::people(first))
        });
        let told = format!(
            "{files}: {}, {}{span}",
            count(stats.packets as usize, "packet"),
            count(stats.messages as usize, "SIP message"),
        );
        let mut lines = vec![plain(told)];
        if stats.messages == 0 && stats.packets > 0 {
            let kinds = stats.coverage.iter().map(|(kind, counted)| format!("{} ({})", kind.words(), counted.packets));
            lines.push(plain(format!("its packets: {}", kinds.collect::<Vec<_>>().join(", "))));
        }
        let counts = self.report.counts();
        if counts.error > 0 {
            lines.push(plain(told_counts(counts)));
        }
        for capture in self.report.captures.iter().filter(|capture| !capture.complete) {
            let text = format!("{} could not be read to its end; messages may be missing", escape::text(&capture.path));
            lines.push(Remark { paint: Paint::Warning, mark: "!", text });
        }
        for (kind, summary) in self.report.analysis.anomalies.iter() {
            let frame = if summary.first.frame == 0 {
                String::new()
            } else {
                format!(" (first in frame {})", summary.first.frame)
            };
            let times = if summary.count == 1 { String::new() } else { format!("{} times: ", summary.count) };
            let (mark, paint) = if hides_messages(kind) { ("!", Paint::Warning) } else { ("-", Paint::Dim) };
            let text = format!("{}: {times}{}{frame}", kind.name(), escape::text(&summary.first.text));
            lines.push(Remark { paint, mark, text });
        }
        lines
    }
}

fn plain(text: String) -> Remark {
    Remark { paint: Paint::Dim, mark: "", text }
}

/// "2 errors, 1 warning, 3 suspicions that the capture cannot prove".
fn told_counts(counts: Counts) -> String {
    let mut told = Vec::new();
    if counts.error > 0 {
        told.push(count(counts.error, "error"));
    }
    if counts.warning > 0 {
        told.push(count(counts.warning, "warning"));
    }
    if counts.open > 0 {
        told.push(format!("{} that the capture cannot prove", count(counts.open, "suspicion")));
    }
    told.join(", ")
}

/// Whether anomalies of this kind can make a message look absent.
pub(super) fn hides_messages(kind: AnomalyKind) -> bool {
    use AnomalyKind as K;
    !matches!(
        kind,
        K::SkippedBlock | K::TimeBackwards | K::NotSip | K::MalformedMessage | K::TcpConflict | K::OverlappingFragments
    )
}
