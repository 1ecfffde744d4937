//! A picture of a ladder as SVG: sharp at any size, light or dark as the viewer likes it, and each arrow says in
//! words what it is.

use super::layout::{LINE, LOOP, Layout, PAD, Piece, Placed, SMALL};
use super::xml::escape;
use super::{Drawing, Sheet, details, measure, style, told};
use crate::report::ladder::{Arrow, Auth, Ladder, LegMark, MediaState, Row};
use crate::report::style::Paint;
use crate::report::time;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::ops::Range;

/// Height of the mark of a leg, and most of them below each other.
const LEG: usize = 20;
const LEVELS: usize = 8;

/// One picture; a long ladder is a tall one that names its lanes again and again.
#[derive(Debug)]
pub(super) struct Svg;

impl Drawing for Svg {
    fn name(&self) -> &'static str {
        "svg"
    }

    fn help(&self) -> &'static str {
        "a picture for pages and paper, light or dark as its viewer likes"
    }

    fn extension(&self) -> &'static str {
        "svg"
    }

    fn joins(&self) -> bool {
        false
    }

    fn draw(&self, sheet: &Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        let rows = 0..sheet.ladder.rows.len();
        out.write_all(picture(&sheet.ladder, rows, &style::of_svg(), true).as_bytes())
    }
}

/// Draws `rows` with a style sheet (empty: the page has it), and with title and findings if `alone`.
pub(super) fn picture(ladder: &Ladder, rows: Range<usize>, css: &str, alone: bool) -> String {
    let mut body = String::new();
    // Writing to a string cannot fail.
    let (width, height) = draw(ladder, rows, alone, &mut body).unwrap_or_default();
    let title = escape(&format!("Call {}: {}", ladder.call, ladder.title)).into_owned();
    let about = escape(&ladder.facts.join("; ")).into_owned();
    let sheet = if css.is_empty() { String::new() } else { format!("<style>{css}</style>\n") };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"graphics-document\">\n\
         <title>{title}</title>\n<desc>{about}</desc>\n{sheet}{body}</svg>\n"
    )
}

fn draw(ladder: &Ladder, rows: Range<usize>, alone: bool, out: &mut String) -> Result<(usize, usize), fmt::Error> {
    // How wide it is tells how many lines the title takes, and that where the rows begin.
    let width = Layout::new(ladder, rows.clone(), 0).width;
    let lines = if alone { heading(ladder, width) } else { Vec::new() };
    let levels = levels(ladder);
    let legs = levels.iter().max().map_or(0, |deepest| (deepest + 1) * LEG + 6);
    let top = PAD + lines.iter().map(|line| line.height).sum::<usize>() + if alone { 10 } else { 0 } + legs;
    let layout = Layout::new(ladder, rows, top);
    let found = if alone { findings(ladder, layout.width) } else { Vec::new() };
    let height = layout.bottom + PAD + found.iter().map(|line| line.height).sum::<usize>();
    writeln!(out, "<rect class=\"bg\" width=\"{width}\" height=\"{height}\"/>")?;
    text_lines(&lines, PAD, out)?;
    let mut canvas = Canvas { layout: &layout, out };
    canvas.legs(&levels)?;
    canvas.ground()?;
    for placed in &layout.placed {
        canvas.row(placed)?;
    }
    text_lines(&found, layout.bottom + 10, out)?;
    Ok((width, height))
}

/// How deep the mark of each leg stands above the lanes: legs on the same lanes below each other.
fn levels(ladder: &Ladder) -> Vec<usize> {
    let mut free_from: Vec<usize> = Vec::new();
    let mut level_of = |leg: &LegMark| {
        let free = free_from.iter().position(|from| *from <= leg.left);
        let level = free.unwrap_or_else(|| free_from.len().min(LEVELS - 1));
        free_from.resize(free_from.len().max(level + 1), 0);
        free_from[level] = leg.right.max(leg.left + 1);
        level
    };
    ladder.legs.iter().map(&mut level_of).collect()
}

/// A line of text across the picture.
struct TextLine {
    class: &'static str,
    height: usize,
    text: String,
}

fn heading(ladder: &Ladder, width: usize) -> Vec<TextLine> {
    let room = width - 2 * PAD;
    let title = measure::wrap(&format!("Call {}: {}", ladder.call, ladder.title), room, 18);
    let title = title.into_iter().map(|text| TextLine { class: "title", height: 24, text });
    let facts = measure::wrap(&ladder.facts.join(" · "), room, SMALL);
    title.chain(facts.into_iter().map(|text| TextLine { class: "fact", height: 16, text })).collect()
}

fn findings(ladder: &Ladder, width: usize) -> Vec<TextLine> {
    let mut lines = Vec::new();
    for found in ladder.found() {
        let unproved = if found.verdict == "open" { ", not proved" } else { "" };
        let class = match found.paint {
            Paint::Error => "find n-error",
            Paint::Warning => "find n-warning",
            _ => "find n-info",
        };
        let head = format!("{} {} ({}{unproved}{})", found.rule, found.name, found.severity, found.often());
        lines.push(TextLine { class, height: 22, text: head });
        let said = measure::wrap(&found.summary, width - 2 * PAD, SMALL);
        lines.extend(said.into_iter().map(|text| TextLine { class: "fact", height: 16, text }));
    }
    lines
}

fn text_lines(lines: &[TextLine], top: usize, out: &mut String) -> fmt::Result {
    let mut y = top;
    for line in lines {
        y += line.height;
        writeln!(out, "<text class=\"{}\" x=\"{PAD}\" y=\"{}\">{}</text>", line.class, y - 6, escape(&line.text))?;
    }
    Ok(())
}

struct Canvas<'a, 'o> {
    layout: &'a Layout<'a>,
    out: &'o mut String,
}

impl Canvas<'_, '_> {
    fn x(&self, lane: usize) -> usize {
        self.layout.lanes.get(lane).map_or(0, |lane| lane.x)
    }

    /// Which lanes each leg is between.
    fn legs(&mut self, levels: &[usize]) -> fmt::Result {
        let deepest = levels.iter().max().copied().unwrap_or(0);
        for ((at, leg), level) in self.layout.ladder.legs.iter().enumerate().zip(levels) {
            let (left, right) = (self.x(leg.left) + 4, self.x(leg.right).saturating_sub(4));
            let y = self.layout.top - 8 - (deepest - level) * LEG;
            let hue = hue_of(at + 1);
            write!(
                self.out,
                "<g class=\"h{hue}\"><title>leg {}: Call-ID {}</title>",
                leg.letter,
                escape(&leg.call_id)
            )?;
            if right > left {
                write!(self.out, "<path class=\"shaft\" d=\"M{left} {y}v-4H{right}v4\"/>")?;
            }
            writeln!(
                self.out,
                "<text class=\"leg req\" x=\"{}\" y=\"{}\">leg {}</text></g>",
                left + 4,
                y - 7,
                leg.letter
            )?;
        }
        Ok(())
    }

    /// What lies below the arrows: bands of media, the lanes and their names.
    fn ground(&mut self) -> fmt::Result {
        for media in &self.layout.ladder.media {
            let (left, right) = (self.x(media.from.min(media.to)), self.x(media.from.max(media.to)));
            if let Some(of) = self.layout.extent(media.first, media.last) {
                let (class, wide, high) = (state(media.state), right - left, of.end - of.start);
                let y = of.start;
                writeln!(
                    self.out,
                    "<rect class=\"band-{class}\" x=\"{left}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\"/>"
                )?;
            }
        }
        let columns = &self.layout.columns;
        for block in &self.layout.blocks {
            let (top, head) = (block.top, self.layout.head);
            let mut life = String::new();
            for lane in &self.layout.lanes {
                write!(life, "M{} {}V{}", lane.x, top + head, block.bottom)?;
            }
            writeln!(self.out, "<path class=\"life\" d=\"{life}\"/>")?;
            for (at, lane) in self.layout.lanes.iter().enumerate() {
                let (x, wide) = (lane.x - lane.width / 2, lane.width);
                writeln!(
                    self.out,
                    "<rect class=\"box\" x=\"{x}\" y=\"{top}\" width=\"{wide}\" height=\"{head}\" rx=\"6\"/>"
                )?;
                let has_part = self.layout.ladder.lanes.get(at).is_some_and(|lane| !lane.part.is_empty());
                let free = head - lane.lines.len() * (LINE - 2);
                for (line, text) in lane.lines.iter().enumerate() {
                    let class = if line == 0 && has_part { "part" } else { "lane" };
                    let y = top + free / 2 + (line + 1) * (LINE - 2) - 4;
                    writeln!(
                        self.out,
                        "<text class=\"{class}\" x=\"{}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                        lane.x,
                        escape(text)
                    )?;
                }
            }
            let y = top + head - 4;
            let named =
                [("second", columns.time), ("frame", columns.frame), ("step", columns.step), ("req", columns.request)];
            let mut before = 0;
            for (name, x) in named {
                if x > before {
                    writeln!(self.out, "<text class=\"col\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{name}</text>")?;
                }
                before = x;
            }
        }
        Ok(())
    }

    fn row(&mut self, placed: &Placed) -> fmt::Result {
        let ladder = self.layout.ladder;
        match &ladder.rows[placed.row] {
            Row::Arrow(arrow) => self.arrow(placed, arrow),
            Row::Media { media } => self.media(placed, *media),
            other => self.remark(placed, &ladder.remark(other).unwrap_or_default()),
        }
    }

    fn arrow(&mut self, placed: &Placed, arrow: &Arrow) -> fmt::Result {
        let class = class(self.layout.ladder, arrow);
        write!(self.out, "<g class=\"{class}\"><title>{}</title>", escape(&told(self.layout.ladder, arrow)))?;
        write!(self.out, "<desc>{}</desc>", escape(&details(arrow).join("; ")))?;
        let worst = arrow.notes.iter().filter(|note| note.finding.is_some()).map(|note| note.paint);
        let tint =
            worst.min_by_key(|paint| [Paint::Error, Paint::Warning, Paint::Info].iter().position(|one| one == paint));
        let tint = match tint {
            Some(Paint::Error) => "t-error",
            Some(Paint::Warning) => "t-warning",
            Some(_) => "t-info",
            None => "hit",
        };
        let (x, wide) = (PAD / 2, self.layout.width - PAD);
        write!(
            self.out,
            "<rect class=\"{tint}\" x=\"{x}\" y=\"{}\" width=\"{wide}\" height=\"{}\" rx=\"5\"/>",
            placed.top + 2,
            placed.height - 2
        )?;
        self.margin(placed, arrow)?;
        if arrow.from == arrow.to {
            self.loop_back(placed, arrow)?;
        } else {
            self.shaft(placed, arrow)?;
        }
        self.notes(placed, arrow)?;
        self.out.push_str("</g>\n");
        Ok(())
    }

    fn margin(&mut self, placed: &Placed, arrow: &Arrow) -> fmt::Result {
        let columns = &self.layout.columns;
        let time = arrow.offset.map(time::offset).unwrap_or_default();
        let frame = arrow.frame.map(|frame| frame.to_string()).unwrap_or_default();
        let request = match &arrow.exchange {
            Some(exchange) if columns.request > columns.step => exchange.to_string(),
            _ => String::new(),
        };
        let cells = [
            ("small", columns.time, time),
            ("small", columns.frame, frame),
            ("small", columns.step, arrow.step.clone()),
            ("req", columns.request, request),
        ];
        for (class, x, text) in cells {
            if !text.is_empty() {
                let (y, text) = (placed.y + 4, escape(&text).into_owned());
                write!(self.out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{text}</text>")?;
            }
        }
        Ok(())
    }

    fn shaft(&mut self, placed: &Placed, arrow: &Arrow) -> fmt::Result {
        let (from, to) = (self.x(arrow.from), self.x(arrow.to));
        let (left, right) = (from.min(to), from.max(to));
        let (mut start, mut end) = (placed.y, placed.y);
        let mut anchor = ("middle", left.midpoint(right));
        if arrow.again.is_some() {
            end += 6;
        }
        if let Some(other) = placed.crosses.and_then(|row| self.placed(row)) {
            (start, end) = (start.min(other.y), start.max(other.y));
            anchor = if to > from { ("start", from + 10) } else { ("end", from - 10) };
        }
        let tip = 9;
        let fall = (end - start) as f64 / (right - left).max(1) as f64;
        let dip = (fall * tip as f64 * 10.0).round() / 10.0;
        let base = end as f64 - dip;
        let neck = if to > from { to - tip } else { to + tip };
        write!(self.out, "<path class=\"shaft\" d=\"M{from} {start}L{neck} {base}\"/>")?;
        write!(self.out, "<path class=\"head\" d=\"M{to} {end}L{neck} {}V{}Z\"/>", base - 4.5, base + 4.5)?;
        let lines = placed.label.len();
        // Both labels of a cross stand above it.
        let foot = if placed.crosses.is_some() { start } else { placed.y };
        for (at, line) in placed.label.iter().enumerate() {
            let y = foot - 6 - (lines - 1 - at) * LINE;
            self.label(line, anchor, y, arrow.from.abs_diff(arrow.to) > 1)?;
        }
        Ok(())
    }

    fn placed(&self, row: usize) -> Option<&Placed> {
        let first = self.layout.placed.first()?.row;
        self.layout.placed.get(row.checked_sub(first)?)
    }

    /// One line of a label; where lanes pass behind it, with room around it.
    fn label(&mut self, line: &[Piece], (anchor, x): (&str, usize), y: usize, over_lanes: bool) -> fmt::Result {
        let class = if over_lanes { "label halo" } else { "label" };
        write!(self.out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">")?;
        for (at, (class, text)) in line.iter().enumerate() {
            let gap = if at > 0 { (" ", " dx=\"5\"") } else { ("", "") };
            write!(self.out, "{}<tspan class=\"{class}\"{}>{}</tspan>", gap.0, gap.1, escape(text))?;
        }
        self.out.push_str("</text>");
        Ok(())
    }

    /// Out to the right and back.
    fn loop_back(&mut self, placed: &Placed, arrow: &Arrow) -> fmt::Result {
        let (x, y) = (self.x(arrow.from), placed.y);
        let (out, down) = (x + LOOP - 8, y + 10);
        write!(
            self.out,
            "<path class=\"shaft\" d=\"M{x} {}H{}Q{out} {} {out} {y}V{}Q{out} {down} {} {down}H{}\"/>",
            y - 4,
            out - 4,
            y - 4,
            down - 4,
            out - 4,
            x + 9
        )?;
        write!(
            self.out,
            "<path class=\"head\" d=\"M{x} {down}L{} {}V{}Z\"/>",
            x + 9,
            down as f64 - 4.5,
            down as f64 + 4.5
        )?;
        let lines = placed.label.len();
        for (at, line) in placed.label.iter().enumerate() {
            self.label(line, ("start", x + LOOP), (y + 6).saturating_sub((lines - 1 - at) * LINE), false)?;
        }
        Ok(())
    }

    fn notes(&mut self, placed: &Placed, arrow: &Arrow) -> fmt::Result {
        let Some(x) = self.layout.notes else { return Ok(()) };
        for (at, (note, text)) in placed.notes.iter().enumerate() {
            let note = &arrow.notes[*note];
            let class = match (note.finding.is_some(), note.paint) {
                (true, Paint::Error) => "find n-error",
                (true, Paint::Warning) => "find n-warning",
                (true, _) => "find n-info",
                (false, _) => "note",
            };
            let y = placed.top + LINE + at * (LINE - 2);
            write!(self.out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text))?;
        }
        Ok(())
    }

    fn media(&mut self, placed: &Placed, media: usize) -> fmt::Result {
        let Some(media) = self.layout.ladder.media.get(media) else { return Ok(()) };
        let (left, right) = (self.x(media.from.min(media.to)), self.x(media.from.max(media.to)));
        let (class, y, wide) = (state(media.state), placed.y, right - left);
        let text = media.text();
        write!(self.out, "<g><title>{}</title>", escape(&text))?;
        write!(
            self.out,
            "<rect class=\"bar-{class}\" x=\"{left}\" y=\"{}\" width=\"{wide}\" height=\"20\" rx=\"10\"/>",
            y - 10
        )?;
        let room = wide.saturating_sub(16);
        let line = measure::wrap(&text, room.max(40), SMALL).into_iter().next().unwrap_or_default();
        let middle = left.midpoint(right);
        writeln!(
            self.out,
            "<text class=\"leg m-{class}\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
            y + 4,
            escape(&line)
        )
    }

    /// Time that passes, messages left out.
    fn remark(&mut self, placed: &Placed, text: &str) -> fmt::Result {
        let (Some(first), Some(last)) = (self.layout.lanes.first(), self.layout.lanes.last()) else { return Ok(()) };
        let (x, wide) = (first.x - 6, last.x - first.x + 12);
        writeln!(
            self.out,
            "<rect class=\"pause\" x=\"{x}\" y=\"{}\" width=\"{wide}\" height=\"20\"/>\
             <text class=\"note halo\" x=\"{}\" y=\"{}\">{}</text>",
            placed.y - 10,
            first.x + 12,
            placed.y + 4,
            escape(text)
        )
    }
}

fn state(state: MediaState) -> &'static str {
    match state {
        MediaState::Early => "early",
        MediaState::Talk => "talk",
        MediaState::Hold => "hold",
    }
}

fn class(ladder: &Ladder, arrow: &Arrow) -> String {
    let paint = match (arrow.paint, arrow.auth) {
        (Paint::Error, _) => "error",
        (_, Some(Auth::Challenge | Auth::Stale)) => "challenge",
        (Paint::Warning, _) => "warning",
        (Paint::Good, _) => "good",
        (Paint::Info, _) => "info",
        _ => "plain",
    };
    let ghost = if arrow.ghost { "ghost " } else { "" };
    format!("{ghost}{paint} h{}", hue(ladder, arrow))
}

/// The colour of an arrow: by its branch where there are forks, by its leg where there are several; else none.
fn hue(ladder: &Ladder, arrow: &Arrow) -> usize {
    let Some(exchange) = &arrow.exchange else { return 0 };
    let branch = exchange.branch.bytes().last().map(|last| usize::from(last.wrapping_sub(b'a')) + 1);
    let leg = ladder.legs.iter().position(|leg| leg.letter == exchange.leg).map(|at| at + 1);
    branch.or(leg).map_or(0, hue_of)
}

/// Colours come around again; the first is for what needs none.
fn hue_of(at: usize) -> usize {
    (at - 1) % (style::HUES - 1) + 1
}
