//! Where everything of a picture stands, in pixels: measured first, drawn afterwards, so that nothing overlaps.

use super::measure::{bold, regular, wrap};
use crate::report::ladder::{Arrow, Ladder, Note, Row};
use crate::report::time;
use std::ops::Range;

/// Size of labels.
pub(super) const LABEL: usize = 13;
/// Size of times, notes and whatever is said in passing.
pub(super) const SMALL: usize = 11;
/// Height of a line of labels, and of a line of notes.
pub(super) const LINE: usize = 17;
/// Around everything.
pub(super) const PAD: usize = 24;
/// Rows after which the lanes are named again; more with many lanes, so that a picture grows with its rows only.
const AGAIN: usize = 40;
/// Widest text in the box that names a lane.
const TITLE: usize = 210;
/// Most pixels of a note in a line.
const NOTES: usize = 290;
/// Labels on a hop may widen it so far; with many lanes less.
const LABEL_MOST: [usize; 2] = [300, 150];
/// Lanes from which on there are many.
const MANY: usize = 7;
/// Least distance of two lanes.
const GAP: [usize; 2] = [150, 96];
/// Least width of a picture: its title needs room.
const WIDTH: usize = 640;
/// Room around a label on its arrow.
const AROUND: usize = 36;
/// Width of an arrow to oneself.
pub(super) const LOOP: usize = 34;

/// A picture of some rows of a ladder.
pub(super) struct Layout<'a> {
    pub(super) ladder: &'a Ladder,
    pub(super) lanes: Vec<LaneBox>,
    /// Height of the boxes that name the lanes.
    pub(super) head: usize,
    pub(super) columns: Columns,
    /// Left edge of the notes, if there are any.
    pub(super) notes: Option<usize>,
    pub(super) blocks: Vec<Block>,
    pub(super) placed: Vec<Placed>,
    pub(super) width: usize,
    /// Where the rows begin.
    pub(super) top: usize,
    /// Where they end.
    pub(super) bottom: usize,
}

/// The box that names a lane.
pub(super) struct LaneBox {
    /// Of its line, which is its middle.
    pub(super) x: usize,
    pub(super) width: usize,
    pub(super) lines: Vec<String>,
}

/// Right edges of the columns before the lanes; a column that is not there is as wide as nothing.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) time: usize,
    pub(super) frame: usize,
    pub(super) step: usize,
    pub(super) request: usize,
}

/// Rows below one naming of the lanes.
pub(super) struct Block {
    pub(super) top: usize,
    pub(super) bottom: usize,
}

/// A row in its place.
pub(super) struct Placed {
    pub(super) row: usize,
    pub(super) top: usize,
    pub(super) height: usize,
    /// Of the shaft, or of the middle of what is no arrow.
    pub(super) y: usize,
    /// Lines above the shaft, each of pieces with their class.
    pub(super) label: Vec<Vec<Piece>>,
    /// Lines in the column of notes, with the note each belongs to.
    pub(super) notes: Vec<(usize, String)>,
    /// The row that it is drawn across, as one cross with it.
    pub(super) crosses: Option<usize>,
}

/// Words of one style.
pub(super) type Piece = (&'static str, String);

impl<'a> Layout<'a> {
    /// A picture of `rows`, which begins at pixel `top`.
    pub(super) fn new(ladder: &'a Ladder, rows: Range<usize>, top: usize) -> Self {
        let columns = columns(ladder);
        let lanes = lanes(ladder, columns.request + PAD);
        let head = lanes.iter().map(|lane| lane.lines.len()).max().unwrap_or(1) * (LINE - 2) + 14;
        let right = lanes.last().map_or(PAD, |lane| lane.x + lane.width / 2);
        let looped = looped(ladder, &lanes);
        let noted = notes(&ladder.rows[rows.clone()]);
        let notes = (noted > 0).then_some(right.max(looped) + PAD / 2);
        let width = notes.map_or(right.max(looped), |x| x + noted) + PAD;
        let width = width.max(WIDTH);
        let mut layout = Self {
            ladder,
            lanes,
            head,
            columns,
            notes,
            blocks: Vec::new(),
            placed: Vec::with_capacity(rows.len()),
            width,
            top,
            bottom: top,
        };
        layout.place(rows);
        layout
    }

    fn place(&mut self, rows: Range<usize>) {
        let again = AGAIN.max(self.lanes.len());
        let mut in_block = again;
        for row in rows {
            let crossed = self.crossed(row);
            let is_second = crossed.is_some_and(|other| other < row);
            if in_block >= again && !is_second {
                self.begin_block();
                in_block = 0;
            }
            in_block += 1;
            let mut placed = self.row(row, crossed);
            placed.top = self.bottom;
            placed.y += self.bottom;
            self.bottom += placed.height;
            self.placed.push(placed);
        }
        if let Some(block) = self.blocks.last_mut() {
            self.bottom += LINE / 2;
            block.bottom = self.bottom;
        }
    }

    fn begin_block(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.bottom = self.bottom + LINE / 2;
            self.bottom = block.bottom + LINE / 2;
        }
        self.blocks.push(Block { top: self.bottom, bottom: self.bottom });
        self.bottom += self.head + LINE / 2;
    }

    /// The row that `row` is drawn across: its neighbour, between the same lanes, and there is room for both labels.
    fn crossed(&self, row: usize) -> Option<usize> {
        let arrow = self.arrow(row)?;
        let other = arrow.crosses.filter(|other| other.abs_diff(row) == 1)?;
        let across = self.arrow(other).filter(|across| (across.from, across.to) == (arrow.to, arrow.from))?;
        let room = self.lanes.get(arrow.from)?.x.abs_diff(self.lanes.get(arrow.to)?.x);
        (bold(&arrow.text(), LABEL) + bold(&across.text(), LABEL) + 2 * AROUND <= room).then_some(other)
    }

    fn arrow(&self, row: usize) -> Option<&'a Arrow> {
        match self.ladder.rows.get(row)? {
            Row::Arrow(arrow) => Some(arrow),
            _ => None,
        }
    }

    fn row(&self, row: usize, crosses: Option<usize>) -> Placed {
        let mut placed = Placed { row, top: 0, height: 0, y: 0, label: Vec::new(), notes: Vec::new(), crosses };
        let Some(arrow) = self.arrow(row) else {
            placed.height = 2 * LINE - 4;
            placed.y = LINE - 2;
            return placed;
        };
        let x = |lane: usize| self.lanes.get(lane).map_or(0, |lane| lane.x);
        let room = match (arrow.from == arrow.to, crosses) {
            (true, _) => loop_room(&self.lanes, arrow.from),
            (_, Some(_)) => usize::MAX,
            _ => x(arrow.from).abs_diff(x(arrow.to)).saturating_sub(AROUND),
        };
        placed.label = label(arrow, room.max(60));
        placed.y = placed.label.len() * LINE + 8;
        for (at, note) in arrow.notes.iter().enumerate() {
            placed.notes.extend(note_lines(note).into_iter().map(|(line, _)| (at, line)));
        }
        let slope = if arrow.again.is_some() { 6 } else { 0 };
        let own = placed.y + 9 + slope + if arrow.from == arrow.to { 10 } else { 0 };
        placed.height = own.max(placed.notes.len() * (LINE - 2) + 12);
        placed
    }

    /// The pixels from the middle of row `first` to that of row `last`, as far as they are in the picture.
    pub(super) fn extent(&self, first: usize, last: usize) -> Option<Range<usize>> {
        let (start, end) = (self.placed.first()?.row, self.placed.last()?.row);
        if last < start || first > end {
            return None;
        }
        let from = if first < start { self.placed[0].top } else { self.placed[first - start].y };
        let to = if last > end { self.bottom } else { self.placed[last - start].y };
        Some(from..to.max(from))
    }
}

/// The label of an arrow in lines of at most `room` pixels; marks stay behind it, or come on a line of their own.
fn label(arrow: &Arrow, room: usize) -> Vec<Vec<Piece>> {
    let name = if arrow.ghost { format!("missing: {}", arrow.label) } else { arrow.label.clone() };
    let mut lines: Vec<Vec<Piece>> = wrap(&name, room, LABEL).into_iter().map(|line| vec![("name", line)]).collect();
    let mut used = lines.last().and_then(|line| line.first()).map_or(0, |(_, text)| bold(text, LABEL));
    for mark in arrow.marks() {
        let class = match mark.as_bytes().first() {
            Some(b'[') => "sdp",
            Some(b'(') => "again",
            _ => "cred",
        };
        let mark = if class == "again" && arrow.sent > 1 { format!("×{}", arrow.sent) } else { mark };
        let wide = bold(&mark, LABEL) + bold("  ", LABEL);
        if used + wide <= room {
            used += wide;
            if let Some(line) = lines.last_mut() {
                line.push((class, mark));
            }
            continue;
        }
        for line in wrap(&mark, room, LABEL) {
            used = bold(&line, LABEL);
            lines.push(vec![(class, line)]);
        }
    }
    lines
}

/// The lines of a note, each with its pixels.
fn note_lines(note: &Note) -> Vec<(String, usize)> {
    let size = if note.finding.is_some() { LABEL } else { SMALL };
    let with_width = |line: String| {
        let wide = bold(&line, size);
        (line, wide)
    };
    wrap(&note.text, NOTES, size).into_iter().map(with_width).collect()
}

/// How wide the notes are.
fn notes(rows: &[Row]) -> usize {
    let of_row = |row: &Row| match row {
        Row::Arrow(arrow) => arrow.notes.iter().flat_map(note_lines).map(|(_, wide)| wide).max(),
        _ => None,
    };
    rows.iter().filter_map(of_row).max().unwrap_or(0)
}

fn columns(ladder: &Ladder) -> Columns {
    let widest = |name: &str, text: &dyn Fn(&Arrow) -> String| {
        let all = ladder.arrows().map(|(_, arrow)| regular(&text(arrow), SMALL)).max().unwrap_or(0);
        if all == 0 { 0 } else { all.max(regular(name, SMALL)) }
    };
    let time = PAD + widest("second", &|arrow| arrow.offset.map(time::offset).unwrap_or_default());
    let frame = time + 14 + widest("frame", &|arrow| arrow.frame.map(|frame| frame.to_string()).unwrap_or_default());
    let has_steps = ladder.arrows().any(|(_, arrow)| !arrow.step.is_empty());
    let step = frame + if has_steps { 14 + widest("step", &|arrow| arrow.step.clone()) } else { 0 };
    let request = step
        + if ladder.is_interleaved() {
            20 + widest("req", &|arrow| arrow.exchange.as_ref().map(ToString::to_string).unwrap_or_default())
        } else {
            0
        };
    Columns { time, frame, step, request }
}

/// The lanes, each as far from the one before it as their boxes and the labels between them need.
fn lanes(ladder: &Ladder, left: usize) -> Vec<LaneBox> {
    let n = ladder.lanes.len();
    let many = usize::from(n >= MANY);
    let mut gaps = vec![GAP[many]; n];
    for (_, arrow) in ladder.arrows() {
        let (low, high) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
        let marks = arrow.marks().len() * bold(" ", LABEL);
        let wide = bold(&arrow.text(), LABEL) + marks + if arrow.ghost { bold("missing: ", LABEL) } else { 0 };
        // Of messages on one hop; those that pass lanes find room on their way.
        if let Some(gap) = gaps.get_mut(low).filter(|_| high <= low + 1) {
            let extra = if low == high { LOOP + 10 } else { AROUND + 12 };
            let both = arrow.crosses.and_then(|other| match ladder.rows.get(other) {
                Some(Row::Arrow(other)) => Some(bold(&other.text(), LABEL) + AROUND),
                _ => None,
            });
            *gap = (*gap).max(wide.min(LABEL_MOST[many]) + both.unwrap_or(0) + extra);
        }
    }
    let mut boxes: Vec<LaneBox> = ladder
        .lanes
        .iter()
        .map(|lane| {
            let mut lines = Vec::new();
            lines.extend((!lane.part.is_empty()).then(|| lane.part.to_owned()));
            lines.extend(lane.name.as_ref().into_iter().flat_map(|name| wrap(name, TITLE, LABEL)));
            lines.extend(wrap(&lane.address, TITLE, LABEL));
            let width = lines.iter().map(|line| bold(line, LABEL)).max().unwrap_or(0) + 24;
            LaneBox { x: 0, width, lines }
        })
        .collect();
    let mut x = left;
    for at in 0..n {
        let half = boxes[at].width / 2;
        x = match at.checked_sub(1) {
            None => left + half,
            Some(before) => x + gaps[before].max(boxes[before].width / 2 + half + 16),
        };
        boxes[at].x = x;
    }
    boxes
}

/// Room for the label of a message to oneself, right of the lane.
fn loop_room(lanes: &[LaneBox], lane: usize) -> usize {
    match (lanes.get(lane), lanes.get(lane + 1)) {
        (Some(own), Some(next)) => (next.x - own.x).saturating_sub(LOOP + 10),
        _ => LABEL_MOST[0],
    }
}

/// How far labels reach right of the last lane.
fn looped(ladder: &Ladder, lanes: &[LaneBox]) -> usize {
    let last = lanes.len().saturating_sub(1);
    let at_last = ladder.arrows().filter(|(_, arrow)| arrow.from == last && arrow.to == last);
    let widest = at_last.map(|(_, arrow)| (bold(&arrow.text(), LABEL) + 80).min(LABEL_MOST[0] + 10)).max();
    widest.map_or(0, |wide| lanes.last().map_or(0, |lane| lane.x) + LOOP + wide)
}
