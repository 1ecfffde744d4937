//! The report for people: the verdict first, then every problem in plain words with its ladder, then
//! what is less bad, then what went well.

use super::ladder::Ladder;
use super::style::{Paint, Style, count};
use super::tell::{self, folded, heading, is_error, is_success, rank, severity, short_finding};
use super::{Format, Report, draw, escape, narrate, verdict, words};
use crate::analysis::CallView;
use crate::flow::Verdict;
use crate::rules::{Finding, Severity};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// With more healthy calls than this they are only counted.
const HEALTHY_LISTED: usize = 20;
/// Most calls named by a line each that have the same problem as one told in full.
const ALIKE_LISTED: usize = 8;
/// With no errors, up to so many calls with something to look at are told in full.
const MINOR_IN_FULL: usize = 3;
/// Most calls told in full, whatever is wrong with them.
const FULL_MOST: usize = 25;
/// Most known findings named by a line each.
const KNOWN: usize = 20;
/// Calls named by number when they share a problem that was told.
const NUMBERS: usize = 12;
/// With more calls than this that have warnings, or what cannot be proved, they are told by rule.
const MINOR_LISTED: usize = 12;
/// Most rows of a ladder within the report; `callflow ladder` shows all.
const ROWS: usize = 60;

/// The report for people.
#[derive(Debug)]
pub struct Text;

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn help(&self) -> &'static str {
        "for people: the verdict, then each problem with its ladder"
    }

    fn write(&self, report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
        Page { report, style, out }.write()
    }
}

struct Page<'a, 'o> {
    report: &'a Report<'a>,
    style: Style,
    out: &'o mut dyn Write,
}

/// Calls by what is to be said of them.
#[derive(Default)]
struct Sorted<'a> {
    problem: Vec<CallView<'a>>,
    minor: Vec<CallView<'a>>,
    healthy: Vec<CallView<'a>>,
}

impl<'a> Page<'a, '_> {
    fn write(&mut self) -> io::Result<()> {
        let sorted = self.sort();
        verdict::write(self.report, self.style, self.out)?;
        let of_capture: Vec<&Finding> = self.report.findings().filter(|finding| finding.call.is_none()).collect();
        if !of_capture.is_empty() {
            self.heading("The capture as a whole")?;
            folded(of_capture).iter().try_for_each(|alike| tell::finding(alike, None, 2, self.style, self.out))?;
        }
        self.problems(&sorted.problem)?;
        if sorted.problem.is_empty() && sorted.minor.len() <= MINOR_IN_FULL {
            sorted.minor.iter().try_for_each(|view| self.in_full(*view))?;
        } else {
            self.minor(&sorted.minor)?;
        }
        self.healthy(&sorted.healthy)?;
        self.known()?;
        self.ignored()?;
        self.next(&sorted)
    }

    /// What is known from the baseline.
    fn known(&mut self) -> io::Result<()> {
        let all = self.report.known().count();
        if all == 0 {
            return Ok(());
        }
        self.heading("Known from the baseline")?;
        for (finding, reason) in self.report.known().take(KNOWN) {
            let call = finding.call.map_or_else(String::new, |call| format!(" in call {}", call + 1));
            let reason = if reason.is_empty() { String::new() } else { format!(" ({})", escape::text(reason)) };
            let told = format!("- {}{call}: {}{reason}", finding.rule.code, escape::text(&finding.summary));
            write!(self.out, "{}", self.style.paragraph(Paint::Dim, &told, 2))?;
        }
        if all > KNOWN {
            let told = format!("and {} more", all - KNOWN);
            write!(self.out, "{}", self.style.paragraph(Paint::Dim, &told, 2))?;
        }
        Ok(())
    }

    /// What the user wants neither told nor counted, by rule and reason.
    fn ignored(&mut self) -> io::Result<()> {
        let mut groups: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for finding in self.report.ignored() {
            let reason = finding.ignored.as_deref().unwrap_or_default();
            *groups.entry((finding.rule.code, finding.rule.name, reason)).or_default() += 1;
        }
        if groups.is_empty() {
            return Ok(());
        }
        self.heading(&format!("Ignored: {}", count(groups.values().sum(), "finding")))?;
        for ((code, name, reason), n) in groups {
            let told = format!("{n} {code} {name}: {}", escape::text(reason));
            write!(self.out, "{}", self.style.paragraph(Paint::Dim, &told, 2))?;
        }
        Ok(())
    }

    fn sort(&self) -> Sorted<'a> {
        let mut sorted = Sorted::default();
        for view in self.report.calls() {
            match self.report.worst(view.number) {
                _ if self.report.deviation(view.number).is_some() => sorted.problem.push(view),
                Some(Severity::Error) => sorted.problem.push(view),
                Some(Severity::Warning) => sorted.minor.push(view),
                _ if self.report.findings_of(view.number).any(|f| f.verdict == Verdict::Open) => {
                    sorted.minor.push(view);
                }
                _ => sorted.healthy.push(view),
            }
        }
        sorted
    }

    /// Calls with errors, in full; the same problem in many calls is told once.
    fn problems(&mut self, calls: &[CallView<'_>]) -> io::Result<()> {
        let mut groups: Vec<Vec<CallView<'_>>> = Vec::new();
        let mut at: BTreeMap<_, usize> = BTreeMap::new();
        for view in calls {
            let (kind, outcome, status) = (view.call.kind.name(), view.call.outcome.name(), view.call.final_status);
            let group = *at.entry((self.signs(*view), kind, outcome, status)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(*view);
        }
        let mut left = FULL_MOST;
        let mut untold = Vec::new();
        for group in groups {
            match group.split_first().filter(|_| left > 0) {
                Some((first, rest)) => {
                    left -= 1;
                    self.in_full(*first)?;
                    self.alike(*first, rest)?;
                }
                None => untold.extend(group),
            }
        }
        if !untold.is_empty() {
            let told = format!("{} more: {}", count(untold.len(), "problem call"), self.numbers(&untold));
            writeln!(self.out)?;
            write!(self.out, "{}", self.style.paragraph(Paint::Error, &told, 0))?;
        }
        Ok(())
    }

    /// What is wrong with a call, without when, where and between whom.
    fn signs(&self, view: CallView<'_>) -> Vec<Sign> {
        let errors = self.report.findings_of(view.number).filter(|finding| is_error(finding));
        let mut signs: Vec<Sign> =
            errors.map(|f| (f.rule.code, f.cause.map_or("", crate::flow::Cause::name))).collect();
        signs.extend(self.report.deviation(view.number).map(|_| ("not as expected", "")));
        signs.sort_unstable();
        signs.dedup();
        signs
    }

    /// Calls with the same problem as one that was told in full.
    fn alike(&mut self, first: CallView<'_>, rest: &[CallView<'_>]) -> io::Result<()> {
        if rest.is_empty() {
            return Ok(());
        }
        let (listed, numbered) = rest.split_at(rest.len().min(ALIKE_LISTED));
        self.heading(&format!("The same is wrong as in call {}", first.number + 1))?;
        for view in listed {
            self.call_line(*view, self.style.glyphs().marks[0], Paint::Error)?;
        }
        if !numbered.is_empty() {
            let told = format!("and in {}: {}", count(numbered.len(), "more call"), self.numbers(numbered));
            write!(self.out, "{}", self.style.paragraph(Paint::Error, &told, 2))?;
        }
        Ok(())
    }

    fn numbers(&self, calls: &[CallView<'_>]) -> String {
        let told: Vec<String> = calls.iter().take(NUMBERS).map(|view| (view.number + 1).to_string()).collect();
        let more = if calls.len() > NUMBERS { self.style.glyphs().ellipsis } else { "" };
        format!("{}{}{more}", told.join(", "), if more.is_empty() { "" } else { ", " })
    }

    /// A call with its worst findings in full, the others in short, and its ladder.
    fn in_full(&mut self, view: CallView<'_>) -> io::Result<()> {
        writeln!(self.out)?;
        heading(self.report, view, self.style, self.out)?;
        writeln!(self.out)?;
        write!(self.out, "{}", self.style.paragraph(Paint::Plain, &narrate::narrative(view), 2))?;
        let worst = self.report.findings_of(view.number).map(rank).max();
        let is_worst = |finding: &&Finding| Some(rank(finding)) == worst;
        for alike in folded(self.report.findings_of(view.number).filter(is_worst)) {
            tell::finding(&alike, Some(view), 2, self.style, self.out)?;
        }
        for alike in folded(self.report.findings_of(view.number).filter(|finding| !is_worst(finding))) {
            short_finding(&alike, 2, self.style, self.out)?;
        }
        writeln!(self.out)?;
        let ladder = Ladder::new(self.report, view);
        let rows = ladder.rows.len();
        draw::text(&ladder.focus(ROWS), self.style, 2, self.out)?;
        if rows > ROWS {
            let told = format!("all of it: callflow ladder --call {}", view.number + 1);
            write!(self.out, "{}", self.style.paragraph(Paint::Dim, &told, 2))?;
        }
        Ok(())
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out)?;
        write!(self.out, "{}", self.style.paragraph(Paint::Bold, text, 0))
    }

    /// Calls without a proved error but with something to look at.
    fn minor(&mut self, calls: &[CallView<'_>]) -> io::Result<()> {
        if calls.is_empty() {
            return Ok(());
        }
        self.heading("Worth a look")?;
        if calls.len() > MINOR_LISTED {
            return self.by_rule(calls);
        }
        for view in calls {
            self.call_line(*view, self.style.glyphs().marks[1], Paint::Warning)?;
            for alike in folded(self.report.findings_of(view.number)) {
                short_finding(&alike, 6, self.style, self.out)?;
            }
        }
        Ok(())
    }

    /// Calls with nothing wrong: a line each, or a count when there are many.
    fn healthy(&mut self, calls: &[CallView<'_>]) -> io::Result<()> {
        if calls.is_empty() {
            return Ok(());
        }
        self.heading("No fault found")?;
        if calls.len() > HEALTHY_LISTED {
            let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for view in calls {
                *kinds.entry((view.call.kind.name(), view.call.outcome.name())).or_default() += 1;
            }
            let told: Vec<String> = kinds.iter().map(|((kind, outcome), n)| format!("{kind} {outcome}: {n}")).collect();
            write!(self.out, "{}", self.style.paragraph(Paint::Plain, &told.join(", "), 2))?;
            return if self.report.asks_for_rules() { self.by_rule(calls) } else { self.unspoken_notes(calls) };
        }
        for view in calls {
            let (mark, paint) =
                if is_success(*view) { (self.style.glyphs().marks[4], Paint::Good) } else { ("-", Paint::Dim) };
            self.call_line(*view, mark, paint)?;
            for alike in folded(self.report.told_of(*view)) {
                short_finding(&alike, 6, self.style, self.out)?;
            }
        }
        self.unspoken_notes(calls)
    }

    /// Says which rules have notes on calls that went well, and how to read them.
    fn unspoken_notes(&mut self, calls: &[CallView<'_>]) -> io::Result<()> {
        let quiet = calls.iter().filter(|view| self.report.is_quiet(**view));
        let codes: BTreeSet<&str> =
            quiet.flat_map(|view| self.report.findings_of(view.number)).map(|f| f.rule.code).collect();
        if codes.is_empty() {
            return Ok(());
        }
        let codes: Vec<&str> = codes.into_iter().collect();
        let told = format!("Notes on what is legal but unusual: check --rule {}", codes.join(" --rule "));
        write!(self.out, "{}", self.style.paragraph(Paint::Dim, &told, 2))
    }

    /// The findings of many calls: which rules, how often, the first one in words.
    fn by_rule(&mut self, calls: &[CallView<'_>]) -> io::Result<()> {
        let mut rules: BTreeMap<_, (&Finding, Vec<CallView<'_>>)> = BTreeMap::new();
        for view in calls {
            for finding in self.report.findings_of(view.number) {
                let key = (Reverse(rank(finding)), finding.rule.code);
                let (_, of_rule) = rules.entry(key).or_insert((finding, Vec::new()));
                if of_rule.last().is_none_or(|last| last.number != view.number) {
                    of_rule.push(*view);
                }
            }
        }
        for (first, of_rule) in rules.into_values() {
            let (word, paint, mark) = severity(first, self.style);
            let (code, name) = (first.rule.code, first.rule.name);
            let place = format!("{}: {}", count(of_rule.len(), "call"), self.numbers(&of_rule));
            let told = format!("{mark} {word} {code} {name} in {place}");
            write!(self.out, "{}", self.style.paragraph(paint, &told, 2))?;
            let example = format!("such as: {}", escape::text(&first.summary));
            write!(self.out, "{}", self.style.paragraph(Paint::Dim, &example, 6))?;
        }
        Ok(())
    }

    /// "✓  3  alice calls bob: answered and ended by BYE, bcp75/3.1".
    fn call_line(&mut self, view: CallView<'_>, mark: &str, paint: Paint) -> io::Result<()> {
        let flow = self.report.flow(view.number).and_then(|flow| flow.flow);
        let flow = flow.map_or_else(String::new, |flow| format!(" ({flow})"));
        let told = format!("Call {}: {}: {}{flow}", view.number + 1, words::story(view), words::outcome(view));
        let lines = self.style.paragraph(Paint::Plain, &told, 5);
        let mark = self.style.paint(paint, &format!("{mark:<2}"));
        write!(self.out, "  {mark} {}", lines.trim_start())
    }

    /// The commands that show more of what matters.
    fn next(&mut self, sorted: &Sorted<'_>) -> io::Result<()> {
        let worst =
            self.report.findings().filter(|finding| is_error(finding)).min_by_key(|finding| finding.call.is_none());
        let (Some(finding), Some(view)) = (worst, sorted.problem.first()) else {
            return Ok(());
        };
        let file = match self.report.captures {
            [one] if one.path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c)) => one.path.as_str(),
            _ => "FILE",
        };
        writeln!(self.out)?;
        let number = view.number + 1;
        for (what, command) in [
            ("What the rule means:", format!("callflow explain {}", finding.rule.code)),
            ("The messages:", format!("callflow show {file} --call {number}")),
        ] {
            writeln!(self.out, "{}", self.style.paint(Paint::Dim, &format!("{what:<21}{command}")))?;
        }
        Ok(())
    }
}

/// A rule's code and the cause it found.
type Sign = (&'static str, &'static str);
