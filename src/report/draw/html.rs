//! One page with the ladders of all calls; it loads nothing and runs nothing.

use super::svg::picture;
use super::xml::escape;
use super::{Drawing, Sheet, style};
use crate::report::style::Paint;
use std::io::{self, Write};

/// Rows of one picture: about a page of paper.
const ROWS: usize = 40;

/// A section for each call.
#[derive(Debug)]
pub(super) struct Html;

impl Drawing for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn help(&self) -> &'static str {
        "a page with everything in it, to read and to print"
    }

    fn extension(&self) -> &'static str {
        "html"
    }

    fn begin(&self, title: &str, out: &mut dyn Write) -> io::Result<()> {
        head(title, out)
    }

    fn draw(&self, sheet: &Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        let ladder = &sheet.ladder;
        writeln!(out, "<section id=\"call-{0}\">\n<h2>Call {0}: {1}</h2>", ladder.call, escape(&ladder.title))?;
        writeln!(out, "<ul class=\"facts\">")?;
        for fact in &ladder.facts {
            writeln!(out, "<li>{}</li>", escape(fact))?;
        }
        writeln!(out, "</ul>")?;
        for first in (0..ladder.rows.len()).step_by(ROWS) {
            let rows = first..(first + ROWS).min(ladder.rows.len());
            writeln!(out, "<div class=\"scroll\">{}</div>", picture(ladder, rows, "", false))?;
        }
        if !ladder.findings.is_empty() {
            writeln!(out, "<ul class=\"found\">")?;
            for found in ladder.found() {
                let class = match found.paint {
                    Paint::Error => "error",
                    Paint::Warning => "warning",
                    _ => "info",
                };
                let unproved = if found.verdict == "open" { ", not proved" } else { "" };
                writeln!(
                    out,
                    "<li class=\"{class}\"><strong>{} {}</strong> ({}{unproved}{})<br/>{}</li>",
                    found.rule,
                    found.name,
                    found.severity,
                    found.often(),
                    escape(&found.summary)
                )?;
            }
            writeln!(out, "</ul>")?;
        }
        writeln!(out, "</section>")
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        foot(out)
    }
}

/// Up to where the content of a page begins.
pub(super) fn head(title: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n<main>",
        escape(title),
        style::PAGE,
        style::of_svg()
    )
}

/// From where it ends.
pub(super) fn foot(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "</main>\n</body>\n</html>")
}
