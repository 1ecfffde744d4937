//! The list of calls, one line each.

use super::style::{Style, shorten};
use super::tell::{rank, severity};
use super::{Report, time, words};
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};
use std::cmp::Reverse;
use std::io::{self, Write};

/// Columns of all but the two parties, blanks between columns included, when nothing is unusual.
const OTHERS: usize = 78;
/// Fewest and most columns of a party.
const PARTY: std::ops::RangeInclusive<usize> = 12..=40;
const HEADER: [&str; 10] = ["call", "kind", "from", "to", "start", "length", "msgs", "outcome", "flow", "worst"];
/// Columns that hold numbers.
const NUMBERS: [usize; 3] = [0, 5, 6];

/// Writes the selected calls as a table.
pub fn write(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let room = (style.width.saturating_sub(OTHERS) / 2).clamp(*PARTY.start(), *PARTY.end());
    let mut table = light(style);
    table.set_content_arrangement(ContentArrangement::Disabled).set_header(HEADER.to_vec());
    for view in report.calls() {
        let call = view.call;
        let party = |uri: &str| shorten(&words::short_uri(uri), room, style.glyphs().ellipsis);
        let worst = report.findings_of(view.number).min_by_key(|finding| Reverse(rank(finding)));
        let worst = worst.map(|finding| format!("{} {}", severity(finding, style).2, finding.rule.code));
        let flow = report.flow(view.number).and_then(|flow| flow.flow);
        table.add_row(vec![
            (view.number + 1).to_string(),
            call.kind.name().to_owned(),
            party(&words::from_uri(view)),
            party(&words::to_uri(view)),
            time::of_day(call.start),
            time::length(call.end.since(call.start)),
            call.messages.len().to_string(),
            call.outcome.name().to_owned(),
            flow.map_or("-", |flow| flow.trim_start_matches("bcp75/")).to_owned(),
            worst.unwrap_or_default(),
        ]);
    }
    for at in NUMBERS {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    print(&table, out)
}

/// A table without frame, as wide as the terminal at most.
pub fn light(style: Style) -> Table {
    let mut table = Table::new();
    let rule = if style.ascii { '-' } else { '─' };
    // A line under the header and nothing between columns.
    let mut line = LineStyle::none();
    line.fill = Some(rule);
    let look = presets::NOTHING.header_separator(line);
    table
        .load_style(look)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(style.width).unwrap_or(u16::MAX));
    table
}

/// Writes a table without blanks at the ends of lines.
pub fn print(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}
