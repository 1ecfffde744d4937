//! A line of a drawing that is made of characters.

use crate::report::escape;
use crate::report::style::{Paint, Style};
use std::io::{self, Write};
use unicode_width::UnicodeWidthChar;

/// One line of cells; the second cell of a wide character is empty.
pub(super) struct Line {
    style: Style,
    cells: Vec<(Option<char>, Paint)>,
}

impl Line {
    pub(super) fn new(style: Style) -> Self {
        Self { style, cells: Vec::new() }
    }

    pub(super) fn set(&mut self, x: usize, c: char, paint: Paint) {
        if self.cells.len() <= x {
            self.cells.resize(x + 1, (Some(' '), Paint::Plain));
        }
        self.cells[x] = (Some(c), paint);
    }

    pub(super) fn put(&mut self, x: usize, text: &str, paint: Paint) {
        let ascii = if self.style.ascii { escape::ascii(text) } else { text.to_owned() };
        let mut at = x;
        for c in ascii.chars() {
            let wide = c.width().unwrap_or(0);
            if wide == 0 {
                continue;
            }
            self.set(at, c, paint);
            if wide == 2 {
                self.set(at + 1, ' ', paint);
                self.cells[at + 1].0 = None;
            }
            at += wide;
        }
    }

    pub(super) fn write(self, out: &mut dyn Write) -> io::Result<()> {
        let end = self.cells.iter().rposition(|(c, _)| c.is_some_and(|c| c != ' ')).map_or(0, |last| last + 1);
        let mut run = String::new();
        let mut paint = Paint::Plain;
        for (c, of) in &self.cells[..end] {
            if *of != paint && !run.is_empty() {
                out.write_all(self.style.paint(paint, &run).as_bytes())?;
                run.clear();
            }
            paint = *of;
            run.extend(*c);
        }
        out.write_all(self.style.paint(paint, &run).as_bytes())?;
        out.write_all(b"\n")
    }
}
