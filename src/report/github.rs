//! Annotations of GitHub Actions: workflow commands on standard output. GitHub shows ten of each kind in a step, so
//! the worst come first, and one says how many are left.

use super::run::{Note, OfRun, Run};
use super::style::{count, shorten};
use super::{escape, markdown};
use crate::flow::Verdict;
use crate::rules::Severity;
use std::io::{self, Write};

/// The format.
pub(super) static GITHUB: OfRun =
    OfRun { name: "github", help: "annotations of GitHub Actions; a summary, too, where it asks for one", write };

/// Errors, warnings and notices that GitHub shows of a step.
const SHOWN: usize = 10;
/// Columns of a message, which is shown in a box.
const COLUMNS: usize = 1_000;

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let notes = run.notes();
    let mut told = [("error", 0, SHOWN), ("warning", 0, SHOWN), ("notice", 0, SHOWN - 1)];
    let mut left = 0;
    for (title, text) in without_rule(run) {
        if told[0].1 < SHOWN {
            told[0].1 += 1;
            writeln!(out, "::error title={title}::{}", data(&shorten(&text, COLUMNS, "…")))?;
        } else {
            left += 1;
        }
    }
    for (suite, case, note) in notes.iter().filter(|(_, _, note)| note.reason.is_none()) {
        let word = command(note);
        let Some(room) = told.iter_mut().find(|(of, told, most)| *of == word && told < most) else {
            left += 1;
            continue;
        };
        room.1 += 1;
        let call = case.map_or_else(String::new, |case| format!(" (call {}, {})", case.number, note.places()));
        let doubt = if note.verdict == Verdict::Open { "not proved: " } else { "" };
        let message = shorten(&format!("{doubt}{}{call}", note.summary), COLUMNS, "…");
        let place = match suite.path(note.file) {
            "" | "-" => String::new(),
            path => format!(",file={},line={}", property(&escape::text(path)), note.line()),
        };
        writeln!(out, "::{word} title={}{place}::{}", property(&note.title()), data(&message))?;
    }
    if left > 0 {
        let text = format!("{} not shown here; the summary of this step has more", count(left, "more finding"));
        writeln!(out, "::notice title=callflow::{}", data(&text))?;
    }
    // The log has no other word; nothing in it can begin with "::".
    writeln!(out, "callflow: {}", markdown::verdict(run))
}

/// What makes a run fail and is no finding: what could not be read, calls that are not what the user expects.
fn without_rule(run: &Run) -> impl Iterator<Item = (&'static str, String)> + '_ {
    let unread = run.suites.iter().filter(|suite| !suite.is_read());
    let unread = unread.map(|suite| ("unreadable", suite.unread().join("; ")));
    let unexpected = run
        .suites
        .iter()
        .flat_map(|suite| suite.unexpected().map(move |what| ("unexpected", format!("{}: {what}", suite.name))));
    unread.chain(unexpected)
}

fn command(note: &Note) -> &'static str {
    match (note.verdict, note.severity) {
        (Verdict::Violated, Severity::Error) => "error",
        (Verdict::Violated, Severity::Warning) => "warning",
        _ => "notice",
    }
}

/// Escaped as the runner reads what stands behind the second "::".
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escaped as the runner reads a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_its_place() {
        assert_eq!(data("100 %\r\n::error::x, y"), "100 %25%0D%0A::error::x, y");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}
