//! Lines for people who watch: a call that ended, a finding that is certain, the end.

use super::style::{Paint, Style, count};
use super::tell::{is_success, severity};
use super::{Counts, Report, escape, time, words};
use crate::analysis::Analysis;
use crate::rules::Finding;
use std::io::{self, Write};

/// "09:00:19 ✓ Call 3: alice calls bob: answered and ended by BYE (bcp75/3.1), 12 s". `number`: from 0.
pub fn call(report: &Report<'_>, at: usize, number: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let view = report.analysis.view(at);
    let marks = style.glyphs().marks;
    let (mark, paint) = match report.worst(at) {
        Some(crate::rules::Severity::Error) => (marks[0], Paint::Error),
        Some(crate::rules::Severity::Warning) => (marks[1], Paint::Warning),
        _ if is_success(view) => (marks[4], Paint::Good),
        _ => ("-", Paint::Plain),
    };
    let flow = report.flow(at).and_then(|flow| flow.flow).map_or_else(String::new, |flow| format!(" ({flow})"));
    let length = time::length(view.call.end.since(view.call.start));
    let (clock, story, outcome) = (time::of_day(view.call.start), words::story(view), words::outcome(view));
    let told = format!("{clock} {mark} Call {}: {story}: {outcome}{flow}, {length}", number + 1);
    line(paint, &told, style, out)
}

/// "09:00:19 ✗ ERROR A04 credentials-refused in call 3: ..." `number`: of the call, from 0; `clock`: of the packet.
pub fn finding(
    finding: &Finding,
    analysis: &Analysis,
    number: impl Fn(usize) -> usize,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (word, paint, mark) = severity(finding, style);
    let clock = finding.call.map(|call| analysis.view(call)).and_then(|view| {
        let no = finding.messages.first().copied().or(finding.missing.as_ref().map(|missing| missing.after))?;
        Some(view.seen(no).time)
    });
    let clock = time::of_day(clock.or(analysis.first).unwrap_or_default());
    let place = finding.call.map_or_else(String::new, |call| format!(" in call {}", number(call) + 1));
    let (code, name, summary) = (finding.rule.code, finding.rule.name, escape::text(&finding.summary));
    line(paint, &format!("{clock} {mark} {word} {code} {name}{place}: {summary}"), style, out)
}

/// What the whole watch came to.
pub fn end(analysis: &Analysis, calls: usize, counts: Counts, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let stats = &analysis.stats;
    let Counts { error, warning, info, open } = counts;
    let told = format!(
        "{}, {}, {}: {}, {}, {}, {open} not proved",
        count(stats.packets as usize, "packet"),
        count(stats.messages as usize, "SIP message"),
        count(calls, "call"),
        count(error, "error"),
        count(warning, "warning"),
        count(info, "note"),
    );
    line(if error > 0 { Paint::Error } else { Paint::Bold }, &told, style, out)?;
    for (kind, summary) in analysis.anomalies.iter() {
        let times = if summary.count == 1 { String::new() } else { format!("{} times: ", summary.count) };
        line(Paint::Dim, &format!("- {}: {times}{}", kind.name(), escape::text(&summary.first.text)), style, out)?;
    }
    Ok(())
}

/// One line, however long: lines that are cut at the width of a terminal are of no use to grep.
fn line(paint: Paint, told: &str, style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", style.paint(paint, told))
}
