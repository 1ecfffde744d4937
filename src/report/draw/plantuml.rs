//! PlantUML, for documents that draw their diagrams with it.

use super::{Drawing, Sheet};
use crate::report::ladder::{Arrow, Ladder, MediaState, Row};
use crate::report::style::Paint;
use crate::report::time;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Rows of one page: PlantUML cuts pictures at 4096 pixels.
const ROWS: usize = 60;

/// An `@startuml` block for each call, with a `newpage` where it is long.
#[derive(Debug)]
pub(super) struct PlantUml;

impl Drawing for PlantUml {
    fn name(&self) -> &'static str {
        "plantuml"
    }

    fn help(&self) -> &'static str {
        "a PlantUML sequence diagram"
    }

    fn extension(&self) -> &'static str {
        "puml"
    }

    fn draw(&self, sheet: &Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        let ladder = &sheet.ladder;
        writeln!(out, "@startuml\nhide footbox\nskinparam shadowing false\nskinparam sequenceMessageAlign center")?;
        writeln!(out, "title {}", escape(&format!("Call {}: {}", ladder.call, ladder.title)))?;
        if let Some(first) = ladder.facts.first() {
            writeln!(out, "caption {}", escape(&format!("{first}, {}", ladder.facts[1..].join(", "))))?;
        }
        for (at, lane) in ladder.lanes.iter().enumerate() {
            let part = if lane.part.is_empty() { String::new() } else { format!("{}\\n", lane.part) };
            writeln!(out, "participant \"{part}{}\" as p{}", escape(&lane.title()), at + 1)?;
        }
        for (at, row) in ladder.rows.iter().enumerate() {
            if at > 0 && at % ROWS == 0 {
                writeln!(out, "newpage")?;
            }
            match row {
                Row::Arrow(arrow) => draw_arrow(ladder, arrow, out)?,
                Row::Media { media } => draw_media(ladder, *media, out)?,
                other => writeln!(out, "...{}...", escape(&ladder.remark(other).unwrap_or_default()))?,
            }
        }
        writeln!(out, "@enduml")
    }
}

fn draw_arrow(ladder: &Ladder, arrow: &Arrow, out: &mut dyn Write) -> io::Result<()> {
    let colour = match arrow.paint {
        Paint::Error => "#CF222E",
        Paint::Warning => "#9A6700",
        Paint::Good => "#1A7F37",
        _ if arrow.ghost => "#57606A",
        _ => "#24292F",
    };
    let shaft = if arrow.ghost { format!("-[{colour},dashed]->x") } else { format!("-[{colour}]>") };
    let missing = if arrow.ghost { "missing: " } else { "" };
    let step = if arrow.step.is_empty() { String::new() } else { format!("{} ", arrow.step) };
    let mut told = escape(&format!("{step}{missing}{}", arrow.text()));
    if let Some(offset) = arrow.offset {
        let _ = write!(told, "\\n{} s", time::offset(offset));
    }
    if let Some(exchange) = arrow.exchange.as_ref().filter(|_| ladder.is_interleaved()) {
        let _ = write!(told, ", request {}", escape(&exchange.to_string()));
    }
    writeln!(out, "p{} {shaft} p{} : {told}", arrow.from + 1, arrow.to + 1)?;
    if arrow.notes.is_empty() {
        return Ok(());
    }
    let notes: Vec<String> = arrow.notes.iter().map(|note| escape(&note.text)).collect();
    let ground = match arrow.notes[0].paint {
        Paint::Error => "#FFEBE9",
        Paint::Warning => "#FFF8C5",
        Paint::Info => "#DDF4FF",
        _ => "#F6F8FA",
    };
    writeln!(out, "note right {ground} : {}", notes.join("\\n"))
}

fn draw_media(ladder: &Ladder, media: usize, out: &mut dyn Write) -> io::Result<()> {
    let Some(media) = ladder.media.get(media) else { return Ok(()) };
    let ground = match media.state {
        MediaState::Talk => "#DAFBE1",
        MediaState::Early => "#DDF4FF",
        MediaState::Hold => "#EAEEF2",
    };
    let (from, to) = (media.from.min(media.to), media.from.max(media.to));
    writeln!(out, "rnote over p{}, p{} {ground} : {}", from + 1, to + 1, escape(&media.text()))
}

/// Text that PlantUML shows as it is: what may be markup or an instruction is written by its number.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut last = ' ';
    for c in text.chars() {
        let is_plain = c.is_alphanumeric() || (" .,:()+@-/".contains(c) && (c != last || c == ' '));
        if is_plain {
            out.push(c);
        } else {
            let _ = write!(out, "<U+{:04X}>", u32::from(c));
        }
        last = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_instructions_are_written_by_number() {
        assert_eq!(
            escape("a--b //c !include \"x\" <b>"),
            "a-<U+002D>b /<U+002F>c <U+0021>include <U+0022>x<U+0022> <U+003C>b<U+003E>"
        );
        assert_eq!(escape("192.0.2.1:5060"), "192.0.2.1:5060");
    }
}
