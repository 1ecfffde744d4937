//! JUnit XML as Jenkins, GitLab and others read it: a suite for each capture, a test case for each call.

use super::baseline::Entry;
use super::escape;
use super::run::{Case, Note, OfRun, Run, Suite, page};
use super::time;
use crate::flow::Verdict;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The format.
pub(super) static JUNIT: OfRun = OfRun { name: "junit", help: "JUnit XML: every call is a test case", write };

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let suites: Vec<Vec<Test<'_>>> = run.suites.iter().map(|suite| tests(run, suite)).collect();
    let lost: Vec<Test<'_>> = if run.gate.strict { run.vanished.iter().map(lost).collect() } else { Vec::new() };
    let total = Totals::of(suites.iter().flatten().chain(&lost));
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    let length = run.suites.iter().map(|suite| suite.length).sum();
    let Totals { tests, failures, errors, .. } = total;
    writeln!(
        out,
        "<testsuites name=\"callflow\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\">",
        time::offset(length)
    )?;
    for (suite, tests) in run.suites.iter().zip(&suites) {
        write_suite(suite, tests, out)?;
    }
    if !lost.is_empty() {
        write_head("baseline", &Totals::of(lost.iter()), "", out)?;
        lost.iter().try_for_each(|test| write_test(test, out))?;
        writeln!(out, " </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

/// A test case.
struct Test<'a> {
    name: &'a str,
    class: &'a str,
    time: String,
    result: Outcome<'a>,
    /// What is said beside the result.
    lines: Vec<String>,
}

enum Outcome<'a> {
    Passed,
    Failed(&'a Note, Vec<String>),
    Unexpected(&'a str),
    Lost(&'a Entry),
    Error(&'static str, Vec<String>),
    Skipped(String),
}

#[derive(Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Totals {
    fn of<'a>(tests: impl Iterator<Item = &'a Test<'a>>) -> Self {
        tests.fold(Self::default(), |mut totals, test| {
            totals.tests += 1;
            match test.result {
                Outcome::Passed => {}
                Outcome::Failed(..) | Outcome::Unexpected(_) | Outcome::Lost(_) => totals.failures += 1,
                Outcome::Error(..) => totals.errors += 1,
                Outcome::Skipped(_) => totals.skipped += 1,
            }
            totals
        })
    }
}

/// The capture itself, then every call.
fn tests<'a>(run: &'a Run, suite: &'a Suite) -> Vec<Test<'a>> {
    let mut capture = test(run, "capture", "capture", time::offset(suite.length), &suite.notes);
    if !suite.is_read() {
        capture.result = Outcome::Error("unreadable", suite.unread());
    } else if let Some((first, rest)) = suite.lacks.split_first() {
        capture.result = Outcome::Unexpected(first);
        capture.lines.extend(rest.iter().cloned());
    } else if suite.cases.is_empty() && !run.gate.allow_empty {
        capture.result = Outcome::Error("nothing-to-check", vec!["no call to check".to_owned()]);
    }
    let doubts = suite.doubts.iter().map(|doubt| format!("{}: {}", doubt.kind, doubt.text));
    capture.lines.extend(doubts);
    let calls = suite.cases.iter().map(|case| of_call(run, case));
    std::iter::once(capture).chain(calls).collect()
}

fn of_call<'a>(run: &Run, case: &'a Case) -> Test<'a> {
    let mut test = test(run, &case.label, case.flow, time::offset(case.length), &case.notes);
    match (&case.deviation, &test.result) {
        (Some(what), Outcome::Failed(..)) => test.lines.push(what.clone()),
        (Some(what), _) => test.result = Outcome::Unexpected(what),
        (None, _) => {}
    }
    test.lines.insert(0, format!("call {}: {}, {} messages", case.number, case.outcome, case.messages));
    test
}

/// What counts decides: proved findings fail the test, others skip it, because nobody knows.
fn test<'a>(run: &Run, name: &'a str, class: &'a str, time: String, notes: &'a [Note]) -> Test<'a> {
    let failing: Vec<&Note> = notes.iter().filter(|note| run.fails(note)).collect();
    let open = notes.iter().find(|note| note.verdict == Verdict::Open && run.counts(note));
    let known = notes.iter().find(|note| note.reason.is_some() && note.severity >= run.gate.threshold);
    let result = match (failing.first(), open, known) {
        (Some(worst), _, _) => Outcome::Failed(worst, failing.iter().flat_map(|note| in_full(note)).collect()),
        (None, Some(open), _) => Outcome::Skipped(format!("inconclusive: {}: {}", open.title(), open.summary)),
        (None, None, Some(known)) => {
            let reason = known.reason.as_deref().filter(|reason| !reason.is_empty());
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            Outcome::Skipped(format!("known: {}: {}{reason}", known.title(), known.summary))
        }
        (None, None, None) => Outcome::Passed,
    };
    let told = |note: &Note| {
        let known = if note.reason.is_some() { "known: " } else { "" };
        format!("{known}{} {}: {}", note.word(), note.title(), note.summary)
    };
    let lines = notes.iter().filter(|note| !run.fails(note)).map(told).collect();
    Test { name, class, time, result, lines }
}

fn in_full(note: &Note) -> [String; 4] {
    [
        format!("{} {}: {}", note.word(), note.title(), note.summary),
        note.detail.clone(),
        [note.places(), note.rule.basis.join(", ")].join("; "),
        page(note.rule),
    ]
}

/// What is in the baseline and did not come, where that counts.
fn lost(entry: &Entry) -> Test<'_> {
    Test {
        name: entry.fingerprint(),
        class: "baseline",
        time: "0.000".to_owned(),
        result: Outcome::Lost(entry),
        lines: Vec::new(),
    }
}

fn write_head(name: &str, totals: &Totals, more: &str, out: &mut dyn Write) -> io::Result<()> {
    let Totals { tests, failures, errors, skipped } = totals;
    writeln!(
        out,
        " <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"{more}>",
        xml(name)
    )
}

fn write_suite(suite: &Suite, tests: &[Test<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut more = format!(" time=\"{}\"", time::offset(suite.length));
    if let Some(first) = suite.first {
        // ISO 8601 without a zone, as the schemas have it.
        let start = time::rfc3339(first);
        let _ = write!(more, " timestamp=\"{}\"", start.as_str().get(..19).unwrap_or_default());
    }
    write_head(&suite.name, &Totals::of(tests.iter()), &more, out)?;
    writeln!(out, "  <properties>")?;
    let numbers = [("packets", suite.packets), ("sip-messages", suite.messages), ("calls", suite.cases.len() as u64)];
    for (name, n) in numbers {
        writeln!(out, "   <property name=\"{name}\" value=\"{n}\"/>")?;
    }
    for file in &suite.files {
        writeln!(out, "   <property name=\"file\" value=\"{}\"/>", xml(&escape::text(&file.path)))?;
    }
    writeln!(out, "  </properties>")?;
    tests.iter().try_for_each(|test| write_test(test, out))?;
    writeln!(out, " </testsuite>")
}

fn write_test(test: &Test<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Test { name, class, time, result, lines } = test;
    write!(out, "  <testcase name=\"{}\" classname=\"{}\" time=\"{time}\"", xml(name), xml(class))?;
    if matches!(result, Outcome::Passed) && lines.is_empty() {
        return writeln!(out, "/>");
    }
    writeln!(out, ">")?;
    let mut element = |element: &str, kind: &str, message: &str, lines: &[String]| {
        write!(out, "   <{element} type=\"{}\" message=\"{}\">", xml(kind), xml(message))?;
        write!(out, "{}", xml(&lines.join("\n")))?;
        writeln!(out, "</{element}>")
    };
    match result {
        Outcome::Passed => {}
        Outcome::Failed(worst, lines) => element("failure", worst.rule.code, &worst.summary, lines)?,
        Outcome::Unexpected(what) => element("failure", "expect", what, &[])?,
        Outcome::Lost(entry) => {
            let message = format!("known, and no longer found ({} times): {}", entry.count, entry.summary);
            element("failure", &entry.rule, &message, &[])?;
        }
        Outcome::Error(kind, lines) => element("error", kind, lines.first().map_or("", String::as_str), lines)?,
        Outcome::Skipped(why) => writeln!(out, "   <skipped message=\"{}\"/>", xml(why))?,
    }
    if !lines.is_empty() {
        writeln!(out, "   <system-out>{}</system-out>", xml(&lines.join("\n")))?;
    }
    writeln!(out, "  </testcase>")
}

/// `text` within XML 1.0, in attributes too; what no document may hold (2.2 Char) is U+FFFD.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_harmless_within_xml() {
        assert_eq!(xml("<a b=\"'&\n\">]]>"), "&lt;a b=&quot;'&amp;&#10;&quot;&gt;]]&gt;");
        assert_eq!(xml("\u{0}\u{8}\u{b}\u{1f}\u{fffe}é"), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}é");
    }
}
