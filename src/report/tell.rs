//! A call and a finding in words: who asked whom for what, what came of it, what is wrong and why.

use super::style::{Paint, Style, count};
use super::{Report, escape, time, words};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Outcome, Said, profiles};
use crate::flow::{Cause, FlowMatch, Missing, Special, Verdict};
use crate::rules::{Finding, Severity};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Who asked whom for what, what came of it, and how it compares with its reference flow.
pub fn heading(report: &Report<'_>, view: CallView<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("Call {}: {}", view.number + 1, words::story(view));
    write!(out, "{}", style.paragraph(Paint::Bold, &title, 0))?;
    write!(out, "{}", style.paragraph(Paint::Dim, &outline(view).join(style.glyphs().dot), 2))?;
    for told in compared(report, view) {
        write!(out, "{}", style.paragraph(Paint::Dim, &told, 2))?;
    }
    for told in legs(view).into_iter().chain(related(view)) {
        write!(out, "{}", style.paragraph(Paint::Dim, &told, 2))?;
    }
    Ok(())
}

/// What came of a call and how long it took, a clause each.
fn outline(view: CallView<'_>) -> Vec<String> {
    let call = view.call;
    let mut facts = vec![words::outcome(view)];
    facts.extend(words::timings(view));
    facts.push(count(call.messages.len(), "message"));
    facts.push(format!("{} for {}", time::people(call.start), time::length(call.end.since(call.start))));
    facts
}

/// What came of a call, how long it took and how it compares with its reference flow, a clause each.
pub(super) fn facts(report: &Report<'_>, view: CallView<'_>) -> Vec<String> {
    let mut facts = outline(view);
    facts.extend(compared(report, view));
    facts
}

/// How a call compares with its reference flow, with the more special one, and with what the user expects.
fn compared<'a>(report: &'a Report<'_>, view: CallView<'_>) -> impl Iterator<Item = String> + use<'a> {
    let flow = report.flow(view.number);
    let special = flow.and_then(|flow| Some(special_line(flow, flow.special.as_ref()?)));
    let deviation = report.deviation(view.number).map(|told| format!("not as expected: {}", escape::text(told)));
    flow.and_then(flow_line).into_iter().chain(special).chain(deviation)
}

/// What is known of the participants beside their role: software, and what they were seen to do.
pub fn participants(view: CallView<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    described(view).iter().try_for_each(|told| write!(out, "{}", style.paragraph(Paint::Dim, told, 2)))
}

/// "the proxy 192.0.2.1:5060: kamailio, on the route".
pub(super) fn described(view: CallView<'_>) -> Vec<String> {
    let profiles = profiles(view.call, &view.analysis.seen).into_iter().enumerate().take(PARTICIPANTS);
    let told = profiles.filter_map(|(at, profile)| {
        let route = match profile.records_route {
            Some(true) => Some(Cow::Borrowed("on the route")),
            Some(false) => Some(Cow::Borrowed("not on the route")),
            None => None,
        };
        let facts: Vec<Cow<'_, str>> = profile.user_agent.map(Said::text).into_iter().chain(route).collect();
        let told = || format!("{}: {}", words::party(view, Idx::new(at)), escape::text(&facts.join(", ")));
        (!facts.is_empty()).then(told)
    });
    told.collect()
}

/// Participants that are described; a flood has thousands.
const PARTICIPANTS: usize = 12;

/// The legs of a call that has several, each with why it belongs to the call.
pub(super) fn legs(view: CallView<'_>) -> Vec<String> {
    let legs = &view.call.legs;
    let told = legs.iter().enumerate().map(|(at, leg)| {
        let id = words::leg_id(view, leg);
        let held = count(leg.messages.len(), "message");
        let flow = leg.flow.map_or_else(String::new, |flow| format!(", {flow}"));
        let why = match &leg.tie {
            Some((before, tie)) if legs.len() > 2 => format!(", with leg {} {}", before + 1, words::tie(tie)),
            Some((_, tie)) => format!(", {}", words::tie(tie)),
            None => String::new(),
        };
        format!("leg {} of {}: Call-ID {}, {held}{flow}{why}", at + 1, legs.len(), escape::text(&id))
    });
    told.collect()
}

/// Other calls that may be more legs of this one.
pub(super) fn related(view: CallView<'_>) -> Vec<String> {
    let told = view.call.related.iter().map(|related| {
        let rivalled = if related.rivalled { "; another call would do as well" } else { "" };
        format!("perhaps one call with call {}, {}{rivalled}", related.call + 1, words::tie(&related.tie))
    });
    told.collect()
}

/// Findings that differ in nothing but in where they are seen, together, each kind at the place of its first.
pub fn folded<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Vec<&'a Finding>> {
    let (mut kinds, mut at): (Vec<Vec<&Finding>>, BTreeMap<_, usize>) = (Vec::new(), BTreeMap::new());
    for finding in findings {
        let missing = finding.missing.as_ref().map(|missing| (&missing.what, missing.from, missing.to));
        let cause = finding.cause.map(Cause::name);
        let kind =
            *at.entry((finding.rule.code, rank(finding), cause, missing, &finding.detail)).or_insert(kinds.len());
        match kinds.get_mut(kind) {
            Some(known) => known.push(finding),
            None => kinds.push(vec![finding]),
        }
    }
    kinds
}

/// "3 times: frames 5, 16, 20" of findings told as one, or their frames alone.
fn places(alike: &[&Finding]) -> String {
    let all: BTreeSet<u32> = alike.iter().flat_map(|finding| &finding.frames).copied().collect();
    let told = frames(&all.into_iter().collect::<Vec<_>>());
    if alike.len() < 2 { told } else { format!("{} times: {told}", alike.len()) }
}

/// A finding in full, or several that are [`folded`]: the sentence, why, where it is written, which frames.
pub(super) fn finding(
    alike: &[&Finding],
    view: Option<CallView<'_>>,
    indent: usize,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(finding) = alike.first() else { return Ok(()) };
    let (word, paint, mark) = severity(finding, style);
    writeln!(out)?;
    let pad = " ".repeat(indent);
    let tag = style.paint(paint, &format!("{mark} {word} {}", finding.rule.code));
    writeln!(out, "{pad}{tag} {}", style.paint(Paint::Dim, finding.rule.name))?;
    write!(out, "{}", style.paragraph(Paint::Bold, &escape::prose(&finding.summary), indent + 2))?;
    write!(out, "{}", style.paragraph(Paint::Plain, &escape::prose(&finding.detail), indent + 2))?;
    if let Some(told) = view.and_then(|view| missing(finding, view)) {
        write!(out, "{}", style.paragraph(Paint::Plain, &told, indent + 2))?;
    }
    let basis = finding.rule.basis.join(", ");
    let facts: Vec<String> = [basis, places(alike)].into_iter().filter(|fact| !fact.is_empty()).collect();
    write!(out, "{}", style.paragraph(Paint::Dim, &facts.join(style.glyphs().dot), indent + 2))
}

/// "Missing: ACK from the caller 192.0.2.1:5060 to the callee 192.0.2.2:5060: never sent."
pub(super) fn missing(finding: &Finding, view: CallView<'_>) -> Option<String> {
    let missing = finding.missing.as_ref()?;
    let perhaps = if finding.verdict == Verdict::Open { "perhaps " } else { "" };
    let why = finding.cause.map_or_else(String::new, |cause| format!(": {perhaps}{}", cause.words()));
    let (from, to) = (words::party(view, missing.from), words::party(view, missing.to));
    Some(format!("Missing: {} from {from} to {to}{why}.", escape::text(&missing.what)))
}

/// A finding in a line or two, or several that are [`folded`].
pub fn short_finding(alike: &[&Finding], indent: usize, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let Some(finding) = alike.first() else { return Ok(()) };
    let (word, paint, mark) = severity(finding, style);
    let times = if alike.len() < 2 { String::new() } else { format!(" ({})", places(alike)) };
    let told = format!("{mark} {word} {}: {}{times}", finding.rule.code, escape::text(&finding.summary));
    write!(out, "{}", style.paragraph(paint, &told, indent))
}

/// The word, colour and mark of a finding.
pub(super) fn severity(finding: &Finding, style: Style) -> (&'static str, Paint, &'static str) {
    let marks = style.glyphs().marks;
    match (finding.verdict, finding.severity) {
        (Verdict::Open, _) => ("not proved", Paint::Info, marks[3]),
        (_, Severity::Error) => ("ERROR", Paint::Error, marks[0]),
        (_, Severity::Warning) => ("warning", Paint::Warning, marks[1]),
        (_, Severity::Info) => ("note", Paint::Info, marks[2]),
    }
}

/// What counts more: proved errors, proved warnings, what cannot be proved, notes.
pub(super) fn rank(finding: &Finding) -> u8 {
    match (finding.verdict, finding.severity) {
        (Verdict::Violated, Severity::Error) => 3,
        (Verdict::Violated, Severity::Warning) => 2,
        (Verdict::Open, _) => 1,
        (_, Severity::Info) => 0,
    }
}

pub(super) fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error && finding.verdict == Verdict::Violated
}

/// Whether a call came to what its caller wanted.
pub(super) fn is_success(view: CallView<'_>) -> bool {
    use Outcome as O;
    matches!(
        view.call.outcome,
        O::Answered | O::Active | O::Registered | O::Unregistered | O::Queried | O::Accepted | O::Redirected
    )
}

/// "compared with bcp75/3.1 Successful Session: F7 ACK is missing".
fn flow_line(flow: &FlowMatch) -> Option<String> {
    let name = flow.flow?;
    let mut told = lacking(&flow.missing);
    if !flow.unexpected.is_empty() {
        told.push(format!("{} that it does not have (step +)", count(flow.unexpected.len(), "message")));
    }
    if told.is_empty() {
        told.push(
            if flow.complete { "all steps are there" } else { "every step so far is there; it is not at its end" }
                .to_owned(),
        );
    }
    Some(format!("compared with {name} {}: {}", flow.title, told.join("; ")))
}

/// "more exactly: RFC 5359 2.1 Call Hold", and where the call differs from it beyond what was said of `flow`.
fn special_line(flow: &FlowMatch, special: &Special) -> String {
    let name = if special.section.is_empty() { special.name } else { special.section };
    let place = |missing: &Missing| (missing.what.clone(), missing.from, missing.to, missing.after);
    let is_new = |missing: &&Missing| flow.missing.iter().all(|known| place(known) != place(missing));
    let mut told = lacking(special.missing.iter().filter(is_new));
    let unexpected = special.unexpected.iter().filter(|no| !flow.unexpected.contains(no)).count();
    if unexpected > 0 {
        told.push(format!("{} that it does not have", count(unexpected, "message")));
    }
    let differs = if told.is_empty() { String::new() } else { format!(": {}", told.join("; ")) };
    format!("more exactly: {name} {}{differs}", special.title)
}

/// "missing F7 ACK", or nothing.
fn lacking<'a>(missing: impl IntoIterator<Item = &'a Missing>) -> Vec<String> {
    let name = |missing: &Missing| format!("{} {}", missing.step, escape::text(&missing.what)).trim_start().to_owned();
    let names: Vec<String> = missing.into_iter().map(name).collect();
    if names.is_empty() { Vec::new() } else { vec![format!("missing {}", names.join(", "))] }
}

/// "frames 5, 6 and 12 more"; nothing when there are none.
pub(super) fn frames(frames: &[u32]) -> String {
    const TOLD: usize = 8;
    if frames.is_empty() {
        return String::new();
    }
    let mut sorted = frames.to_vec();
    sorted.sort_unstable();
    let told: Vec<String> = sorted.iter().take(TOLD).map(ToString::to_string).collect();
    let more = frames.len().saturating_sub(TOLD);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("frame{} {}{tail}", if frames.len() == 1 { "" } else { "s" }, told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn findings_that_differ_only_in_their_place_are_told_once() {
        let mut sample = samples::ack_never();
        let mut again = sample.findings[0].clone();
        (again.frames, again.summary) = (vec![90], "Said of another frame.".to_owned());
        sample.findings.push(again);
        let kinds = folded(&sample.findings);
        assert_eq!(kinds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let mut out = Vec::new();
        short_finding(&kinds[0], 2, Style::default(), &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert!(told.contains("(2 times: frames") && told.contains("90)"), "{told}");
        // Another reason is another finding.
        sample.findings[0].detail.push_str(" So there.");
        assert_eq!(folded(&sample.findings).len(), 3);
    }
}
