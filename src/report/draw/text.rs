//! A ladder drawn with characters. Lanes share the width of the terminal: with room enough labels stand
//! on their arrows, with many lanes beside them, and with very many the lanes become a list.

use super::Drawing;
use super::line::Line;
use crate::report::ladder::{Arrow, Ladder, Lane, MediaState, Row};
use crate::report::style::{Glyphs, Paint, Style, columns, shorten, wrap};
use crate::report::{tell, time};
use std::io::{self, Write};

/// Columns between two lanes when labels stand on the arrows: from here ...
const PITCH_MIN: usize = 26;
/// ... to here.
const PITCH_MAX: usize = 40;
/// Columns between two lanes when labels stand beside them.
const NARROW: std::ops::RangeInclusive<usize> = 4..=12;
/// Widest column of labels beside narrow lanes.
const LABELS: usize = 34;
/// Most columns of names of lanes, and fewest lines of them that are worth several.
const NAMES: usize = 4;
const FEW_NAMES: usize = 6;
/// Narrowest such column, in which labels wrap.
const LABELS_MIN: usize = 14;
/// Fewest columns of a label, however narrow the terminal.
const LIST_MIN: usize = 10;
/// Fewest columns right of the lanes that are worth writing notes in.
const NOTES: usize = 26;

/// Text for a terminal, with what is known of the call.
#[derive(Debug)]
pub(super) struct Text;

impl Drawing for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn help(&self) -> &'static str {
        "for a terminal of any width"
    }

    fn extension(&self) -> &'static str {
        "txt"
    }

    fn between(&self) -> &'static str {
        "\n"
    }

    fn draw(&self, sheet: &super::Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        let (report, view, style) = (sheet.report, sheet.view, sheet.style);
        tell::heading(report, view, style, out)?;
        tell::participants(view, style, out)?;
        writeln!(out)?;
        text(&sheet.ladder, style, 2, out)?;
        tell::folded(report.told_of(view)).iter().try_for_each(|alike| tell::short_finding(alike, 2, style, out))
    }
}

/// Draws `ladder`, each line indented by `indent` columns and none wider than the style allows.
pub fn text(ladder: &Ladder, style: Style, indent: usize, out: &mut dyn Write) -> io::Result<()> {
    if ladder.rows.is_empty() {
        return Ok(());
    }
    Sheet::new(ladder, style, indent).write(out)
}

/// How the lanes are arranged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Labels on the arrows.
    Wide,
    /// Labels in a column before the lanes.
    Narrow,
    /// No lanes: "1 → 7".
    List,
}

/// Widths of the columns at the left.
struct Margin {
    indent: usize,
    offset: usize,
    frame: usize,
    step: usize,
    request: usize,
}

impl Margin {
    fn new(ladder: &Ladder, indent: usize) -> Self {
        let arrows = || ladder.arrows().map(|(_, arrow)| arrow);
        let widest = |text: fn(&Arrow) -> usize, least| arrows().map(text).max().unwrap_or(0).max(least);
        let has_steps = arrows().any(|arrow| !arrow.step.is_empty());
        let marks_requests = ladder.is_interleaved();
        Self {
            indent,
            offset: widest(|arrow| arrow.offset.map_or(0, |offset| time::offset(offset).len()), "second".len()),
            frame: widest(|arrow| arrow.frame.map_or(0, |frame| frame.to_string().len()), "frame".len()),
            step: if has_steps { widest(|arrow| columns(&arrow.step), "step".len()) + 2 } else { 0 },
            request: if marks_requests { widest(|arrow| columns(&request(arrow)), "req".len()) + 2 } else { 0 },
        }
    }

    fn width(&self) -> usize {
        self.indent + self.offset + 2 + self.frame + self.step + self.request + 2
    }

    fn text(&self, offset: &str, frame: &str, step: &str, request: &str) -> String {
        let Self { indent, offset: o, frame: f, step: s, request: r } = self;
        let column = |text: &str, width: usize| match width {
            0 => String::new(),
            width => format!("  {text:<width$}", width = width - 2),
        };
        format!("{:indent$}{offset:>o$}  {frame:>f$}{}{}", "", column(step, *s), column(request, *r))
    }
}

/// The request that an arrow belongs to: "2a".
fn request(arrow: &Arrow) -> String {
    arrow.exchange.as_ref().map(ToString::to_string).unwrap_or_default()
}

struct Sheet<'a> {
    ladder: &'a Ladder,
    style: Style,
    glyphs: &'static Glyphs,
    margin: Margin,
    shape: Shape,
    /// Column of each lifeline.
    lanes: Vec<usize>,
    /// Columns of the labels beside narrow lanes.
    labels: usize,
    /// Column where notes begin; `None`: below the arrow.
    notes: Option<usize>,
}

impl<'a> Sheet<'a> {
    fn new(ladder: &'a Ladder, style: Style, indent: usize) -> Self {
        let margin = Margin::new(ladder, indent);
        let mut sheet = Self {
            ladder,
            style,
            glyphs: style.glyphs(),
            margin,
            shape: Shape::List,
            lanes: Vec::new(),
            labels: 0,
            notes: None,
        };
        sheet.arrange();
        sheet
    }

    /// Picks the shape that fits and places the lanes.
    fn arrange(&mut self) {
        let (width, left, n) = (self.style.width, self.margin.width(), self.ladder.lanes.len());
        let between = n.saturating_sub(1).max(1);
        let widest = self.ladder.lanes.iter().map(|lane| columns(&lane.title())).max().unwrap_or(0);
        let half = widest.min(PITCH_MIN - 2).div_ceil(2);
        let wide = width.saturating_sub(left + 2 * half + 1) / between;
        if wide >= PITCH_MIN {
            let with_notes = width.saturating_sub(left + half + 3 + NOTES) / between;
            let pitch = if with_notes >= PITCH_MIN { with_notes } else { wide }.min(PITCH_MAX);
            self.shape = Shape::Wide;
            self.lanes = (0..n).map(|lane| left + half + lane * pitch).collect();
            let end = self.lanes.last().copied().unwrap_or(left) + 3;
            self.notes = (width >= end + NOTES).then_some(end);
            return;
        }
        let prefix = |arrow: &Arrow| {
            if n > 1 { columns(&self.route(arrow)) + 2 } else { 0 }
        };
        let arrows = || self.ladder.arrows().map(|(_, arrow)| arrow);
        let longest = arrows().map(|arrow| columns(&arrow.text())).max().unwrap_or(0).min(LABELS);
        let room = width.saturating_sub(left + 4);
        let labels = longest.min(room.saturating_sub(n * NARROW.start()));
        if n > 0 && labels >= longest.min(LABELS_MIN) {
            self.shape = Shape::Narrow;
            self.labels = labels;
            let pitch = ((room - labels) / n).min(*NARROW.end());
            self.lanes = (0..n).map(|lane| left + labels + 3 + lane * pitch).collect();
        } else {
            self.labels = arrows().map(|arrow| prefix(arrow) + columns(&arrow.text())).max().unwrap_or(0);
            self.labels = self.labels.min(width.saturating_sub(left).max(LIST_MIN));
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.heading(out)?;
        for row in &self.ladder.rows {
            match row {
                Row::Arrow(arrow) => self.arrow(arrow, out)?,
                Row::Media { media } => self.media(*media, out)?,
                other => self.remark(&self.ladder.remark(other).unwrap_or_default(), out)?,
            }
        }
        Ok(())
    }

    fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        let step = if self.margin.step > 0 { "step" } else { "" };
        let request = if self.margin.request > 0 { "req" } else { "" };
        let columns_named = self.margin.text("second", "frame", step, request);
        if self.shape == Shape::Wide {
            return self.titles(&columns_named, out);
        }
        self.names(out)?;
        let mut line = Line::new(self.style);
        line.put(0, &columns_named, Paint::Dim);
        let pitch = self.lanes.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(0);
        for ((at, x), lane) in self.lanes.iter().enumerate().zip(&self.ladder.lanes) {
            let (number, named) = ((at + 1).to_string(), format!("{} {}", at + 1, lane.part));
            line.put(*x, if columns(&named) < pitch { &named } else { &number }, Paint::Bold);
        }
        line.write(out)
    }

    /// What the numbers of the lanes stand for, in as many columns as fit.
    fn names(&self, out: &mut dyn Write) -> io::Result<()> {
        let name = |(at, lane): (usize, &Lane)| format!("{:>2} = {}  {}", at + 1, lane.title(), lane.part);
        let names: Vec<String> = self.ladder.lanes.iter().enumerate().map(name).collect();
        let widest = names.iter().map(|name| columns(name.trim_end())).max().unwrap_or(0) + 3;
        let side_by_side = ((self.style.width + 3).saturating_sub(self.margin.indent) / widest).clamp(1, NAMES);
        let lines = names.len().div_ceil(side_by_side).max(FEW_NAMES);
        for at in 0..lines.min(names.len()) {
            let mut line = Line::new(self.style);
            for (column, name) in names.iter().skip(at).step_by(lines).enumerate() {
                line.put(self.margin.indent + column * widest, name.trim_end(), Paint::Bold);
            }
            line.write(out)?;
        }
        Ok(())
    }

    /// Addresses and parts above their lifelines.
    fn titles(&self, columns_named: &str, out: &mut dyn Write) -> io::Result<()> {
        let room = self.lanes.windows(2).map(|pair| pair[1] - pair[0] - 2).min().unwrap_or(PITCH_MIN);
        let titles: Vec<Vec<String>> = self
            .ladder
            .lanes
            .iter()
            .map(|lane| {
                let mut lines = wrap(&lane.title(), room.min(PITCH_MIN - 2));
                lines.extend((!lane.part.is_empty()).then(|| lane.part.to_owned()));
                lines
            })
            .collect();
        let height = titles.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let mut line = Line::new(self.style);
            if at + 1 == height {
                line.put(0, columns_named, Paint::Dim);
            }
            for (title, x) in titles.iter().zip(&self.lanes) {
                if let Some(text) = title.get(at) {
                    line.put(x.saturating_sub(columns(text) / 2), text, Paint::Bold);
                }
            }
            line.write(out)?;
        }
        let mut line = Line::new(self.style);
        self.lifelines(&mut line, self.glyphs.lifeline);
        line.write(out)
    }

    fn arrow(&self, arrow: &Arrow, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = match self.shape {
            Shape::Wide if arrow.from == arrow.to => self.loop_lines(arrow),
            Shape::Wide => self.wide_lines(arrow),
            Shape::Narrow => self.beside_lines(arrow, &arrow.text()),
            Shape::List => self.beside_lines(arrow, &format!("{}  {}", self.route(arrow), arrow.text())),
        };
        let offset = arrow.offset.map(time::offset).unwrap_or_default();
        let frame = arrow.frame.map(|frame| frame.to_string()).unwrap_or_default();
        let at = if self.shape == Shape::Wide && arrow.from != arrow.to { lines.len() - 1 } else { 0 };
        if let Some(line) = lines.get_mut(at) {
            line.put(0, &self.margin.text(&offset, &frame, &arrow.step, &request(arrow)), Paint::Dim);
        }
        match self.notes {
            Some(column) => self.notes_beside(arrow, column, at, &mut lines),
            None => self.notes_below(arrow, &mut lines),
        }
        lines.into_iter().try_for_each(|line| line.write(out))
    }

    /// "1 → 7" for lists.
    fn route(&self, arrow: &Arrow) -> String {
        let to = if arrow.ghost { "..>" } else { self.glyphs.to };
        format!("{:>2} {to} {:<2}", arrow.from + 1, arrow.to + 1)
    }

    /// The label on the arrow; what does not fit stands above it.
    fn wide_lines(&self, arrow: &Arrow) -> Vec<Line> {
        let (from, to) = (self.lane(arrow.from), self.lane(arrow.to));
        let (left, right) = (from.min(to), from.max(to));
        let room = (right - left).saturating_sub(7).max(2);
        let chunks = wrap(&arrow.text(), room);
        let last = chunks.len() - 1;
        let mut lines = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let mut line = Line::new(self.style);
            self.lifelines(&mut line, self.glyphs.lifeline);
            if at == last {
                self.shaft(&mut line, arrow, from, to);
            }
            let text = format!(" {chunk} ");
            line.put(left + 1 + (right - left - 1).saturating_sub(columns(&text)) / 2, &text, arrow.paint);
            lines.push(line);
        }
        lines
    }

    fn shaft(&self, line: &mut Line, arrow: &Arrow, from: usize, to: usize) {
        let (left, right) = (from.min(to), from.max(to));
        let shaft = if arrow.ghost { self.glyphs.ghost } else { self.glyphs.shaft };
        let paint = if arrow.ghost || arrow.paint == Paint::Error { arrow.paint } else { Paint::Plain };
        for x in left + 1..right {
            line.set(x, shaft, paint);
        }
        let head = usize::from(to < from) + if arrow.ghost { 2 } else { 0 };
        line.set(if to > from { right - 1 } else { left + 1 }, self.glyphs.heads[head], paint);
    }

    /// A message to oneself: out, and back on the next line; to the left where there is no room at the right.
    fn loop_lines(&self, arrow: &Arrow) -> Vec<Line> {
        /// Columns of the loop.
        const WIDE: usize = 4;
        let x = self.lane(arrow.from);
        let shaft = if arrow.ghost { self.glyphs.ghost } else { self.glyphs.shaft };
        let ghost = if arrow.ghost { 2 } else { 0 };
        let room = self.notes.unwrap_or(self.style.width).saturating_sub(x + WIDE + 4);
        let leftwards = room < columns(&arrow.text()) && x > self.margin.width() + PITCH_MIN;
        let side = |at: usize| if leftwards { x - at } else { x + at };
        let mut lines = vec![Line::new(self.style), Line::new(self.style)];
        for (line, corner) in lines.iter_mut().zip(&self.glyphs.corners[if leftwards { 2..4 } else { 0..2 }]) {
            self.lifelines(line, self.glyphs.lifeline);
            (1..WIDE).for_each(|at| line.set(side(at), shaft, Paint::Plain));
            line.set(side(WIDE), *corner, Paint::Plain);
        }
        lines[1].set(side(1), self.glyphs.heads[ghost + usize::from(!leftwards)], Paint::Plain);
        let room = if leftwards { PITCH_MIN - WIDE - 3 } else { room.max(10) };
        let label = format!(" {} ", shorten(&arrow.text(), room, self.glyphs.ellipsis));
        lines[0].put(if leftwards { x - WIDE - columns(&label) } else { x + WIDE + 1 }, &label, arrow.paint);
        lines
    }

    /// The label before the lanes, or before nothing.
    fn beside_lines(&self, arrow: &Arrow, label: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        for (at, chunk) in wrap(label, self.labels.max(LIST_MIN)).iter().enumerate() {
            let mut line = Line::new(self.style);
            self.lifelines(&mut line, self.glyphs.lifeline);
            if at == 0 && self.shape == Shape::Narrow {
                let (from, to) = (self.lane(arrow.from), self.lane(arrow.to));
                if from == to {
                    line.set(from + 1, self.glyphs.heads[1], arrow.paint);
                    line.set(from + 2, self.glyphs.corners[1], arrow.paint);
                } else {
                    self.shaft(&mut line, arrow, from, to);
                }
            }
            line.put(self.margin.width(), chunk, arrow.paint);
            lines.push(line);
        }
        lines
    }

    /// Notes right of the lanes, beginning beside line `at` of the arrow.
    fn notes_beside(&self, arrow: &Arrow, column: usize, at: usize, lines: &mut Vec<Line>) {
        let mut row = at;
        for note in &arrow.notes {
            for text in wrap(&note.text, self.style.width - column) {
                if row == lines.len() {
                    let mut line = Line::new(self.style);
                    self.lifelines(&mut line, self.glyphs.lifeline);
                    lines.push(line);
                }
                lines[row].put(column, &text, note.paint);
                row += 1;
            }
        }
    }

    fn notes_below(&self, arrow: &Arrow, lines: &mut Vec<Line>) {
        let column = (self.margin.width() + 2).min(self.style.width / 2);
        for note in &arrow.notes {
            for (at, text) in
                wrap(&note.text, self.style.width.saturating_sub(column + 3).max(LIST_MIN)).iter().enumerate()
            {
                let mut line = Line::new(self.style);
                self.lifelines(&mut line, self.glyphs.lifeline);
                let hook = if at == 0 { self.glyphs.hook } else { " " };
                line.put(column, &format!("{hook} {text} "), note.paint);
                lines.push(line);
            }
        }
    }

    /// Media that begin to flow, from end to end.
    fn media(&self, media: usize, out: &mut dyn Write) -> io::Result<()> {
        let Some(media) = self.ladder.media.get(media) else { return Ok(()) };
        let (one, other) = (self.lane(media.from), self.lane(media.to));
        let (left, right) = (one.min(other), one.max(other));
        let paint = if media.state == MediaState::Talk { Paint::Good } else { Paint::Dim };
        let mut line = Line::new(self.style);
        self.lifelines(&mut line, self.glyphs.lifeline);
        let text = format!(" {} ", media.text());
        if self.shape == Shape::List {
            let text = format!("{:>2} {} {:<2} {text}", media.from + 1, self.glyphs.both, media.to + 1);
            let room = self.style.width.saturating_sub(self.margin.width());
            line.put(self.margin.width(), &shorten(text.trim_end(), room, self.glyphs.ellipsis), paint);
            return line.write(out);
        }
        for x in left + 1..right {
            line.set(x, self.glyphs.media, paint);
        }
        if right > left + 2 {
            line.set(left + 1, self.glyphs.heads[1], paint);
            line.set(right - 1, self.glyphs.heads[0], paint);
        }
        if self.shape == Shape::Narrow {
            line.put(self.margin.width(), &shorten(text.trim(), self.labels, self.glyphs.ellipsis), paint);
        } else {
            let text = shorten(&text, (right - left).saturating_sub(5), self.glyphs.ellipsis);
            line.put(left + 1 + (right - left - 1).saturating_sub(columns(&text)) / 2, &text, paint);
        }
        line.write(out)
    }

    /// A row that is no arrow: time that passes, messages left out.
    fn remark(&self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        let mut line = Line::new(self.style);
        self.lifelines(&mut line, self.glyphs.pause);
        let x = match self.shape {
            Shape::Wide => self.lanes.first().map_or(0, |x| x + 3),
            _ => self.margin.width(),
        };
        line.put(x, &format!(" {text} "), Paint::Dim);
        line.write(out)
    }

    fn lifelines(&self, line: &mut Line, glyph: char) {
        self.lanes.iter().for_each(|x| line.set(*x, glyph, Paint::Dim));
    }

    fn lane(&self, lane: usize) -> usize {
        self.lanes.get(lane).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ladder::Note;
    use std::time::Duration;

    fn arrow(from: usize, to: usize, label: &str) -> Arrow {
        Arrow {
            from,
            to,
            label: label.to_owned(),
            offset: Some(Duration::from_millis(1500)),
            frame: Some(7),
            step: "F1".to_owned(),
            ..Arrow::default()
        }
    }

    fn ladder(lanes: usize, arrows: Vec<Arrow>) -> Ladder {
        let lane = |n| Lane { address: format!("192.0.2.{n}:5060"), part: "proxy", ..Lane::default() };
        let rows = arrows.into_iter().map(|arrow| Row::Arrow(Box::new(arrow))).collect();
        Ladder { lanes: (1..=lanes).map(lane).collect(), rows, ..Ladder::default() }
    }

    fn drawn(ladder: &Ladder, width: usize, ascii: bool) -> String {
        let mut out = Vec::new();
        text(ladder, Style { width, ascii, colour: false }, 2, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_the_number_of_lanes() {
        for lanes in [1, 2, 3, 4, 7, 12, 30] {
            let mut arrows: Vec<Arrow> =
                (1..lanes).map(|to| arrow(to - 1, to, "407 Proxy Authentication Required SDP (x5)")).collect();
            arrows.push(arrow(lanes - 1, 0, "200 OK (INVITE) SDP"));
            arrows.push(arrow(lanes / 2, lanes / 2, "OPTIONS"));
            arrows[0].notes.push(Note {
                paint: Paint::Error,
                finding: Some(0),
                text: "I01 ack-missing never sent: nobody answered for a long time".to_owned(),
            });
            for width in [40, 60, 80, 100, 132, 200] {
                for line in drawn(&ladder(lanes, arrows.clone()), width, false).lines() {
                    assert!(columns(line) <= width, "{lanes} lanes, {width} columns: {} in {line}", columns(line));
                }
            }
        }
    }

    #[test]
    fn two_lanes_have_labels_on_arrows_and_ghosts_are_dashed() {
        let mut ghost = arrow(0, 1, "ACK");
        ghost.ghost = true;
        (ghost.offset, ghost.frame) = (None, None);
        ghost.notes.push(Note { paint: Paint::Error, finding: Some(0), text: "I01 ack-missing".to_owned() });
        let rows = vec![arrow(0, 1, "INVITE SDP"), arrow(1, 0, "200 OK (INVITE) SDP"), ghost, arrow(1, 1, "OPTIONS")];
        insta::assert_snapshot!(drawn(&ladder(2, rows), 100, false));
    }

    #[test]
    fn many_lanes_have_labels_beside_them_and_very_many_become_a_list() {
        let rows = vec![arrow(0, 4, "INVITE SDP"), arrow(4, 2, "486 Busy Here"), arrow(3, 3, "OPTIONS")];
        let mut all = drawn(&ladder(5, rows.clone()), 80, false);
        all.push_str(&drawn(&ladder(12, rows), 60, true));
        insta::assert_snapshot!(all);
    }

    #[test]
    fn ascii_has_no_other_character() {
        let mut row = arrow(0, 1, "180 Läutet…");
        row.notes.push(Note { paint: Paint::Dim, finding: Some(0), text: "→ ok".to_owned() });
        assert!(drawn(&ladder(2, vec![row]), 100, true).is_ascii());
    }
}
