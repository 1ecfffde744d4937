//! Markdown as GitHub and GitLab show it: a summary that a person reads in a merge request. It is bounded, because a
//! step summary has room for 1 MiB.

use super::run::{Case, Note, OfRun, Run, page};
use super::style::{count, shorten};
use crate::flow::Verdict;
use std::io::{self, Write};

/// The format.
pub(super) static MARKDOWN: OfRun = OfRun { name: "markdown", help: "a summary for a merge request", write };

/// Findings, known findings, calls, and what could not be read, that are listed.
const ROWS: usize = 200;
/// Columns of a cell: rows of four stay below a kilobyte, or some when every character is escaped.
const CELL: usize = 300;

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## callflow: {}\n", text(&verdict(run)))?;
    unread(run, out)?;
    unexpected(run, out)?;
    let notes = run.notes();
    let (new, known): (Vec<_>, Vec<_>) = notes.into_iter().partition(|(_, _, note)| note.reason.is_none());
    if !new.is_empty() {
        writeln!(out, "| | rule | what | where |\n|---|---|---|---|")?;
        let rows = new.iter().map(|(suite, case, note)| {
            let place = place(&suite.name, *case, note);
            format!("| {} | {} | {} | {place} |", word(note), link(note), text(&note.summary))
        });
        list(rows, "more findings", out)?;
    }
    if !known.is_empty() {
        writeln!(out, "### Known from the baseline\n\n| rule | what | where | reason |\n|---|---|---|---|")?;
        let rows = known.iter().map(|(suite, case, note)| {
            let (place, reason) = (place(&suite.name, *case, note), text(note.reason.as_deref().unwrap_or_default()));
            format!("| {} | {} | {place} | {reason} |", link(note), text(&note.summary))
        });
        list(rows, "more known findings", out)?;
    }
    if !run.vanished.is_empty() {
        writeln!(out, "### In the baseline, and no longer found\n\n| rule | what | times |\n|---|---|---|")?;
        let rows = run
            .vanished
            .iter()
            .map(|entry| format!("| {} | {} | {} |", text(&entry.rule), text(&entry.summary), entry.count));
        list(rows, "more", out)?;
    }
    calls(run, out)
}

/// "2 of 5 calls fail, 3 errors, 1 warning; 4 findings are known".
pub(super) fn verdict(run: &Run) -> String {
    let calls: Vec<&Case> = run.suites.iter().flat_map(|suite| &suite.cases).collect();
    let failing = calls.iter().filter(|case| run.fails_by(case)).count();
    let notes = run.notes();
    let (new, known): (Vec<_>, Vec<_>) = notes.iter().partition(|(_, _, note)| note.reason.is_none());
    let mut told = vec![match (calls.len(), failing) {
        (0, _) => "no call to check".to_owned(),
        (all, 0) => format!("{} checked, none fails", count(all, "call")),
        (all, n) => format!("{n} of {} {}", count(all, "call"), if n == 1 { "fails" } else { "fail" }),
    }];
    for (word, noun) in [("error", "error"), ("warning", "warning"), ("note", "note"), ("not proved", "suspicion")] {
        let n = new.iter().filter(|(_, _, note)| note.word() == word).count();
        if n > 0 {
            told.push(count(n, noun));
        }
    }
    let lacks: usize = run.suites.iter().map(|suite| suite.lacks.len()).sum();
    if lacks > 0 {
        told.push(format!("{} not met", count(lacks, "expectation")));
    }
    if !known.is_empty() {
        told.push(format!("{} known", count(known.len(), "finding")));
    }
    if run.suites.iter().any(|suite| !suite.is_read()) {
        told.push("not everything could be read".to_owned());
    }
    told.join(", ")
}

fn unread(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let unread: Vec<String> = run.suites.iter().flat_map(super::run::Suite::unread).collect();
    let doubts = run
        .suites
        .iter()
        .flat_map(|suite| suite.doubts.iter().map(|doubt| format!("{}: {}: {}", suite.name, doubt.kind, doubt.text)));
    let lines: Vec<String> = unread.into_iter().chain(doubts).map(|line| format!("- {}", text(&line))).collect();
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "Of the input, before messages are missed or thought late:\n")?;
    list(lines.into_iter(), "more", out)
}

/// What is not as the user expects.
fn unexpected(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let unexpected = run.suites.iter().flat_map(|suite| suite.unexpected().map(move |what| (suite, what)));
    let lines: Vec<String> =
        unexpected.map(|(suite, what)| format!("- ❌ {}: {}", text(&suite.name), text(what))).collect();
    if lines.is_empty() { Ok(()) } else { list(lines.into_iter(), "more", out) }
}

/// Every call in a line, folded.
fn calls(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let all = run.suites.iter().flat_map(|suite| suite.cases.iter().map(move |case| (suite, case)));
    let n = all.clone().count();
    if n == 0 {
        return Ok(());
    }
    writeln!(out, "<details><summary>{}</summary>\n", count(n, "call"))?;
    writeln!(out, "| call | who | outcome | reference flow | |\n|---|---|---|---|---|")?;
    let several = run.suites.len() > 1;
    let rows = all.map(|(suite, case)| {
        let of = if several { format!("{} ", text(&suite.name)) } else { String::new() };
        let fails = run.fails_by(case);
        let open = case.notes.iter().any(|note| note.verdict == Verdict::Open && run.counts(note));
        let mark = if fails {
            "❌"
        } else if open {
            "❔"
        } else {
            "✅"
        };
        format!(
            "| {of}{} | {} | {} | {} | {mark} |",
            case.number,
            text(&case.label),
            text(&case.outcome),
            text(case.flow)
        )
    });
    list(rows, "more calls", out)?;
    writeln!(out, "</details>")
}

/// Lines up to the limit, then how many are left, then an empty one.
fn list(mut rows: impl Iterator<Item = String>, more: &str, out: &mut dyn Write) -> io::Result<()> {
    rows.by_ref().take(ROWS).try_for_each(|row| writeln!(out, "{row}"))?;
    let left = rows.count();
    if left > 0 {
        writeln!(out, "\n... and {left} {more}.")?;
    }
    writeln!(out)
}

fn word(note: &Note) -> &'static str {
    match note.word() {
        "error" => "❌ error",
        "warning" => "⚠️ warning",
        "note" => "ℹ️ note",
        other => other,
    }
}

fn link(note: &Note) -> String {
    format!("[{}]({})", text(&note.title()), page(note.rule))
}

fn place(suite: &str, case: Option<&Case>, note: &Note) -> String {
    let call = case.map(|case| format!("call {}", case.number));
    let parts = [Some(suite.to_owned()), call, Some(note.places()).filter(|places| !places.is_empty())];
    text(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// `text` as plain words in one cell: no markup, no HTML, no links, no mentions.
fn text(text: &str) -> String {
    let text = shorten(text, CELL, "…");
    let mut out = String::with_capacity(text.len() * 2);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '@' => out.push_str("&#64;"),
            ':' if rest.starts_with("://") => out.push_str("&#58;"),
            '.' if before.eq_ignore_ascii_case(&'w') => out.push_str("&#46;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_words_and_nothing_else() {
        assert_eq!(text("<b>a|b</b> @all"), "&lt;b&gt;a\\|b&lt;/b&gt; &#64;all");
        assert_eq!(text("[x](http://e.x) www.e.x"), "\\[x\\](http&#58;//e.x) www&#46;e.x");
        assert_eq!(text("a\nb"), "a b");
    }
}
