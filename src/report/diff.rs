//! Two calls compared: a line for each message, and under it what it says differently.

use super::style::{Paint, Style, count, shorten};
use super::{escape, time, words};
use crate::analysis::CallView;
use crate::flow::{Change, Row};
use crate::session::MessageNo;
use serde::Serialize;
use std::io::{self, Write};

/// Columns of a value; longer ones are cut.
const VALUE: usize = 120;

/// Two calls, one of each side; `None` where a side has no such call.
pub type Pair<'a> = (Option<CallView<'a>>, Option<CallView<'a>>);

/// Writes two calls side by side.
pub fn write_text(pair: Pair<'_>, rows: &[Row], style: Style, out: &mut dyn Write) -> io::Result<()> {
    if let (Some(a), Some(b), true) = (pair.0, pair.1, rows.iter().all(Row::is_same)) {
        let told = format!(
            "{} A call {}, B call {}: {}: {} say the same in both",
            style.glyphs().marks[4],
            a.number + 1,
            b.number + 1,
            words::story(a),
            count(rows.len(), "message")
        );
        return write!(out, "{}", style.paragraph(Paint::Good, &told, 0));
    }
    for (name, view) in [("A", pair.0), ("B", pair.1)] {
        let told = match view {
            Some(view) => {
                let length = time::length(view.call.end.since(view.call.start));
                let facts = [words::outcome(view), count(view.call.messages.len(), "message"), length];
                format!("{name}  call {}: {}: {}", view.number + 1, words::story(view), facts.join(style.glyphs().dot))
            }
            None => format!("{name}  has no such call"),
        };
        write!(out, "{}", style.paragraph(Paint::Bold, &told, 0))?;
    }
    let (Some(a), Some(b)) = pair else {
        return Ok(());
    };
    writeln!(out)?;
    writeln!(out, "  {}", style.paint(Paint::Dim, "frame A  frame B"))?;
    for row in rows {
        write_row(a, b, row, style, out)?;
    }
    writeln!(out)?;
    write!(out, "{}", style.paragraph(Paint::Bold, &summary(rows), 2))
}

fn write_row(a: CallView<'_>, b: CallView<'_>, row: &Row, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let frame =
        |view: CallView<'_>, no: Option<MessageNo>| no.map_or_else(String::new, |no| view.frame(no).to_string());
    let (paint, note) = match (row.a, row.b) {
        (Some(_), Some(_)) if row.changes.is_empty() => (Paint::Dim, ""),
        (Some(_), Some(_)) => (Paint::Warning, "differs"),
        (Some(_), None) => (Paint::Error, "only in A"),
        _ => (Paint::Error, "only in B"),
    };
    let told = match (row.a, row.b) {
        (Some(no), other) => {
            let (one, two) = (words::label(a.sip(no)), other.map(|no| words::label(b.sip(no))));
            let differs = two.filter(|two| *two != one).map_or_else(String::new, |two| format!(" in A, {two} in B"));
            format!("{}{differs}", message(a, no, style))
        }
        (None, Some(no)) => message(b, no, style),
        (None, None) => String::new(),
    };
    let line = format!("{:>7}  {:>7}   {told:<58} {note}", frame(a, row.a), frame(b, row.b));
    writeln!(out, "  {}", style.paint(paint, line.trim_end()))?;
    for change in row.changes.iter().filter(|change| change.part != "status") {
        write!(out, "{}", style.paragraph(Paint::Plain, &told_change(change), 21))?;
    }
    Ok(())
}

/// "caller → proxy  INVITE SDP".
fn message(view: CallView<'_>, no: MessageNo, style: Style) -> String {
    let place = view.call.message(no);
    let name = |who| match words::part(view, who) {
        "" => words::address(view, who),
        part => part.to_owned(),
    };
    let (from, to) = (name(place.from), name(place.to));
    format!("{from} {} {to}  {}", style.glyphs().to, words::label(view.sip(no)))
}

/// A change as a sentence.
fn told_change(change: &Change) -> String {
    let value = |value: &str| format!("\"{}\"", shorten(&escape::text(value), VALUE, "…"));
    let part = escape::text(&change.part).into_owned();
    match (&change.a, &change.b) {
        (Some(a), Some(b)) => format!("{part}: {} in A, {} in B", value(a), value(b)),
        (Some(a), None) => format!("{part}: {} in A, nothing in B", value(a)),
        (None, Some(b)) => format!("{part}: nothing in A, {} in B", value(b)),
        (None, None) => part,
    }
}

/// What changed, in a sentence.
fn summary(rows: &[Row]) -> String {
    let number = |test: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| test(row)).count();
    let parts = [
        (number(&|row| row.is_same()), "the same in both"),
        (number(&|row| !row.changes.is_empty()), "different"),
        (number(&|row| row.b.is_none()), "only in A"),
        (number(&|row| row.a.is_none()), "only in B"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n, "message"))).collect();
    let first = rows.iter().find(|row| !row.is_same());
    let place = first
        .and_then(|row| row.a.or(row.b))
        .map_or_else(String::new, |no| format!("; they part at message {}", no.at() + 1));
    format!("{}{place}.", told.join(", "))
}

/// One pair of calls as JSON.
#[derive(Serialize)]
struct PairJson<'a> {
    a: Option<usize>,
    b: Option<usize>,
    same: bool,
    rows: Vec<RowJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    a: Option<usize>,
    b: Option<usize>,
    message: String,
    same: bool,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    part: &'a str,
    a: Option<&'a str>,
    b: Option<&'a str>,
}

/// Writes all pairs as one JSON document: numbers of calls and messages from 1, `null` where a side has none.
pub fn write_json(pairs: &[(Pair<'_>, Vec<Row>)], out: &mut dyn Write) -> io::Result<()> {
    let number = |no: Option<MessageNo>| no.map(|no| no.at() + 1);
    let documents: Vec<PairJson<'_>> = pairs
        .iter()
        .map(|((a, b), rows)| PairJson {
            a: a.map(|view| view.number + 1),
            b: b.map(|view| view.number + 1),
            same: a.is_some() && b.is_some() && rows.iter().all(Row::is_same),
            rows: rows
                .iter()
                .map(|row| RowJson {
                    a: number(row.a),
                    b: number(row.b),
                    message: label(*a, row.a).or_else(|| label(*b, row.b)).unwrap_or_default(),
                    same: row.is_same(),
                    changes: row
                        .changes
                        .iter()
                        .map(|change| ChangeJson { part: &change.part, a: change.a.as_deref(), b: change.b.as_deref() })
                        .collect(),
                })
                .collect(),
        })
        .collect();
    super::write_document(&documents, out)
}

fn label(view: Option<CallView<'_>>, no: Option<MessageNo>) -> Option<String> {
    Some(words::label(view?.sip(no?)))
}
