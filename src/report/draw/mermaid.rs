//! Mermaid: pages of GitHub, GitLab and most wikis draw it.

use super::{Drawing, Sheet};
use crate::report::ladder::{Arrow, Ladder, MediaState, Row};
use crate::report::time;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Rows of one diagram: viewers refuse more than 50,000 characters (`maxTextSize`).
const ROWS: usize = 150;
/// Characters of a note that are told.
const NOTE: usize = 160;

/// A `sequenceDiagram` for each page of a call.
#[derive(Debug)]
pub(super) struct Mermaid;

impl Drawing for Mermaid {
    fn name(&self) -> &'static str {
        "mermaid"
    }

    fn help(&self) -> &'static str {
        "a Mermaid sequence diagram, for Markdown pages"
    }

    fn extension(&self) -> &'static str {
        "mmd"
    }

    fn joins(&self) -> bool {
        false
    }

    fn pages(&self, ladder: &Ladder) -> usize {
        ladder.rows.len().div_ceil(ROWS).max(1)
    }

    fn draw(&self, sheet: &Sheet<'_>, page: usize, out: &mut dyn Write) -> io::Result<()> {
        let ladder = &sheet.ladder;
        let rows = page * ROWS..((page + 1) * ROWS).min(ladder.rows.len());
        let mut page = Page { ladder, band: None, out };
        page.heading()?;
        for row in rows.clone() {
            page.row(row, rows.end)?;
        }
        page.close()
    }
}

struct Page<'a, 'o> {
    ladder: &'a Ladder,
    /// Row that ends the band which is open.
    band: Option<usize>,
    out: &'o mut dyn Write,
}

impl Page<'_, '_> {
    fn heading(&mut self) -> io::Result<()> {
        let ladder = self.ladder;
        writeln!(self.out, "sequenceDiagram")?;
        writeln!(self.out, "    accTitle: {}", plain(&format!("Call {}: {}", ladder.call, ladder.title)))?;
        writeln!(self.out, "    accDescr: {}", plain(&ladder.facts.join("; ")))?;
        for (at, lane) in ladder.lanes.iter().enumerate() {
            let part = if lane.part.is_empty() { String::new() } else { format!("{}<br/>", lane.part) };
            writeln!(self.out, "    participant p{} as {part}{}", at + 1, escape(&lane.title()))?;
        }
        Ok(())
    }

    fn row(&mut self, at: usize, end: usize) -> io::Result<()> {
        if self.band == Some(at) {
            self.close()?;
        }
        match &self.ladder.rows[at] {
            Row::Arrow(arrow) => self.arrow(arrow),
            Row::Media { media } => self.media(*media, end),
            other => {
                let told = self.ladder.remark(other).unwrap_or_default();
                self.note(0, self.ladder.lanes.len().saturating_sub(1), &escape(&told))
            }
        }
    }

    fn arrow(&mut self, arrow: &Arrow) -> io::Result<()> {
        let head = match (arrow.ghost, arrow.response) {
            (true, _) => "--x",
            (false, true) => "-->>",
            (false, false) => "->>",
        };
        let missing = if arrow.ghost { "missing: " } else { "" };
        let step = if arrow.step.is_empty() { String::new() } else { format!("{} ", arrow.step) };
        let mut told = escape(&format!("{step}{missing}{}", arrow.text()));
        if let Some(offset) = arrow.offset {
            let _ = write!(told, " · {} s", time::offset(offset));
        }
        if let Some(exchange) = arrow.exchange.as_ref().filter(|_| self.ladder.is_interleaved()) {
            let _ = write!(told, " · {exchange}");
        }
        writeln!(self.out, "    p{}{head}p{}: {told}", arrow.from + 1, arrow.to + 1)?;
        if arrow.notes.is_empty() {
            return Ok(());
        }
        let notes: Vec<String> = arrow.notes.iter().map(|note| escape(&cut(&note.text))).collect();
        self.note(arrow.from.min(arrow.to), arrow.from.max(arrow.to), &notes.join("<br/>"))
    }

    fn media(&mut self, media: usize, end: usize) -> io::Result<()> {
        let Some(media) = self.ladder.media.get(media) else { return Ok(()) };
        if self.band.is_none() {
            let colour = match media.state {
                MediaState::Talk => "46, 160, 67",
                MediaState::Early => "9, 105, 218",
                MediaState::Hold => "130, 130, 130",
            };
            writeln!(self.out, "    rect rgba({colour}, 0.12)")?;
            self.band = Some(media.last.min(end));
        }
        self.note(media.from.min(media.to), media.from.max(media.to), &escape(&media.text()))
    }

    fn note(&mut self, from: usize, to: usize, told: &str) -> io::Result<()> {
        let over = if from == to { format!("p{}", from + 1) } else { format!("p{},p{}", from + 1, to + 1) };
        writeln!(self.out, "    Note over {over}: {told}")
    }

    fn close(&mut self) -> io::Result<()> {
        if self.band.take().is_some() {
            writeln!(self.out, "    end")?;
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    crate::report::shorten(text, NOTE, "…")
}

/// Text that Mermaid shows as it is: everything that may be a sign of its own as an entity code (`#35;`).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || " .,+()[]@-_/…·".contains(c) => out.push(c),
            ':' => out.push(':'),
            c => drop(write!(out, "#{};", u32::from(c))),
        }
    }
    // A line that says "end" alone ends a block.
    if out.trim().eq_ignore_ascii_case("end") { out.replacen(['e', 'E'], "#101;", 1) } else { out }
}

/// Text of lines that know no entity codes.
fn plain(text: &str) -> String {
    text.replace(';', ",").replace(['#', '<', '>', '{', '}', '%'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_mermaid_become_entity_codes() {
        assert_eq!(escape("a;b#c<d>%%e"), "a#59;b#35;c#60;d#62;#37;#37;e");
        assert_eq!(escape("end"), "#101;nd");
    }
}
