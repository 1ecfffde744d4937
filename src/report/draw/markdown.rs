//! Markdown for tickets and merge requests: the ladder in a fence, the findings as a list.

use super::{Drawing, Sheet, text};
use crate::report::style::{Paint, Style};
use std::fmt::Write as _;
use std::io::{self, Write};

/// A section for each call.
#[derive(Debug)]
pub(super) struct Markdown;

impl Drawing for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn help(&self) -> &'static str {
        "for tickets: the ladder in a fence, the findings as a list"
    }

    fn extension(&self) -> &'static str {
        "md"
    }

    fn draw(&self, sheet: &Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        let ladder = &sheet.ladder;
        writeln!(out, "## Call {}: {}\n", ladder.call, escape(&ladder.title))?;
        for fact in &ladder.facts {
            writeln!(out, "- {}", escape(fact))?;
        }
        let mut drawn = Vec::new();
        text(ladder, Style { colour: false, ..sheet.style }, 0, &mut drawn)?;
        let drawn = String::from_utf8_lossy(&drawn);
        let fence = "`".repeat(longest_run(&drawn).max(2) + 1);
        write!(out, "\n{fence}text\n{drawn}{fence}\n\n")?;
        for told in ladder.found() {
            let word = match told.paint {
                Paint::Error => "error",
                Paint::Warning => "warning",
                _ if told.verdict == "open" => "not proved",
                _ => "note",
            };
            writeln!(
                out,
                "- **{word} {} {}{}**: {}",
                told.rule,
                escape(told.name),
                told.often(),
                escape(&told.summary)
            )?;
        }
        if !ladder.findings.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// `text` with everything that Markdown or HTML could read as a sign of its own made harmless; addresses do not
/// become links, names no mentions.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '@' | '#' | ':' => drop(write!(out, "&#{};", u32::from(c))),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '!' | '$' | '^' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_told_becomes_markup() {
        assert_eq!(escape("[x](y) <b>*a*</b> @me #1"), "\\[x\\](y) &#60;b&#62;\\*a\\*&#60;/b&#62; &#64;me &#35;1");
        assert_eq!(longest_run("a``b````c`"), 4);
    }
}
