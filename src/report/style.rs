//! How text is drawn: width, colour, Unicode or plain ASCII.

use anstyle::{AnsiColor, Effects, Style as Ansi};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a piece of text means; decides its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Paint {
    /// Ordinary text.
    #[default]
    Plain,
    /// Headings and what came to pass.
    Bold,
    /// What one may skip.
    Dim,
    /// A proved error.
    Error,
    /// A warning.
    Warning,
    /// A note, or what the capture cannot prove.
    Info,
    /// All well.
    Good,
}

impl Paint {
    fn ansi(self) -> Ansi {
        let colour = |colour: AnsiColor| Ansi::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Ansi::new(),
            Self::Bold => Ansi::new().effects(Effects::BOLD),
            Self::Dim => Ansi::new().effects(Effects::DIMMED),
            Self::Error => colour(AnsiColor::Red).effects(Effects::BOLD),
            Self::Warning => colour(AnsiColor::Yellow),
            Self::Info => colour(AnsiColor::Cyan),
            Self::Good => colour(AnsiColor::Green),
        }
    }
}

/// The signs that drawings and lists are made of.
#[derive(Debug)]
pub struct Glyphs {
    /// Lifeline of a lane.
    pub lifeline: char,
    /// Lifeline where time is left out.
    pub pause: char,
    /// Media that flow.
    pub media: char,
    /// "between here and there" in running text.
    pub both: &'static str,
    /// Shaft of an arrow.
    pub shaft: char,
    /// Shaft of an arrow that should be there and is not.
    pub ghost: char,
    /// Arrow heads: right, left; then those of ghosts.
    pub heads: [char; 4],
    /// Corners of an arrow to oneself: top and bottom right, top and bottom left.
    pub corners: [char; 4],
    /// "from here to there" in running text.
    pub to: &'static str,
    /// Between facts of one line.
    pub dot: &'static str,
    /// Marks: error, warning, info, open, good.
    pub marks: [&'static str; 5],
    /// Stands for text left out.
    pub ellipsis: &'static str,
    /// Points from a note to the row above it.
    pub hook: &'static str,
}

static UNICODE: Glyphs = Glyphs {
    lifeline: '│',
    pause: '┊',
    media: '═',
    both: "↔",
    shaft: '─',
    ghost: '╌',
    heads: ['►', '◄', '▷', '◁'],
    corners: ['╮', '╯', '╭', '╰'],
    to: "→",
    dot: " · ",
    marks: ["✗", "!", "i", "?", "✓"],
    ellipsis: "…",
    hook: "└",
};

static ASCII: Glyphs = Glyphs {
    lifeline: '|',
    pause: ':',
    media: '=',
    both: "<->",
    shaft: '-',
    ghost: '.',
    heads: ['>', '<', '>', '<'],
    corners: ['.', '\'', '.', '`'],
    to: "->",
    dot: ", ",
    marks: ["x", "!", "i", "?", "ok"],
    ellipsis: "...",
    hook: "`",
};

/// Width, colour and character set of a text report.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of a line, at least [`Style::MIN_WIDTH`].
    pub width: usize,
    /// Whether to write ANSI colours.
    pub colour: bool,
    /// Whether to keep to ASCII.
    pub ascii: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: Self::DEFAULT_WIDTH, colour: false, ascii: false }
    }
}

impl Style {
    /// Columns when the output is no terminal.
    pub const DEFAULT_WIDTH: usize = 100;
    /// Narrower terminals get lines of this width.
    pub const MIN_WIDTH: usize = 40;

    /// The signs to draw with.
    pub fn glyphs(self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &UNICODE }
    }

    /// `text` in the colour of `paint`, if there are colours.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colour || paint == Paint::Plain || text.is_empty() {
            return text.to_owned();
        }
        let ansi = paint.ansi();
        format!("{ansi}{text}{ansi:#}")
    }

    /// `text` broken at spaces into lines of at most `width` columns less `indent`, each indented by
    /// `indent` spaces and painted. Words that are longer are cut.
    pub fn paragraph(self, paint: Paint, text: &str, indent: usize) -> String {
        let room = self.width.saturating_sub(indent).max(20);
        let ascii = if self.ascii { super::escape::ascii(text) } else { text.to_owned() };
        let mut out = String::new();
        for line in ascii.lines().flat_map(|line| wrap(line, room)) {
            out.push_str(&" ".repeat(indent));
            out.push_str(&self.paint(paint, &line));
            out.push('\n');
        }
        out
    }
}

/// Columns that `text` takes in a terminal.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// `text` broken at spaces into lines of at most `width` columns; leading spaces are kept on each line. A
/// number stays with its unit; words that are too long are broken, at a hyphen or slash if they have one.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let indent = text.chars().take_while(|c| *c == ' ').count().min(width / 2);
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut used = indent;
    for word in words(text) {
        for (at, piece) in pieces(&word, width - indent).into_iter().enumerate() {
            let wide = columns(&piece);
            let fresh = used == indent;
            let gap = usize::from(!fresh && at == 0);
            if !fresh && used + gap + wide > width {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                used = indent;
            } else if gap == 1 {
                line.push(' ');
                used += 1;
            }
            line.push_str(&piece);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

/// The words of `text`; "7.8 s" is one.
pub(super) fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 4] = ["s", "ms", "min", "h"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let unit = UNITS.contains(&word.trim_end_matches(['.', ',', ';', ':', ')']));
        match words.last_mut() {
            Some(number) if unit && number.ends_with(|c: char| c.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// `word` cut into pieces of at most `width` columns.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        let Some(last) = pieces.last_mut() else { break };
        if used + wide <= width.max(2) {
            used += wide;
            last.push(c);
            continue;
        }
        let rest = last.rfind(['-', '/']).map_or_else(String::new, |at| last.split_off(at + 1));
        used = columns(&rest) + wide;
        pieces.push(rest);
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

/// `text` cut to `width` columns, with `ellipsis` where something is left out.
pub fn shorten(text: &str, width: usize, ellipsis: &str) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(columns(ellipsis));
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= room
    };
    let mut out: String = text.chars().take_while(fits).collect();
    out.push_str(ellipsis);
    out
}

/// "1 call", "2 calls".
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_keep_their_indent_and_never_exceed_the_width() {
        let lines = wrap("  one two three fourfivesixseven", 10);
        assert_eq!(lines, ["  one two", "  three", "  fourfive", "  sixseven"]);
    }

    #[test]
    fn numbers_keep_their_units_and_long_words_break_at_hyphens() {
        assert_eq!(wrap("sent for 7.8 s.", 12), ["sent for", "7.8 s."]);
        assert_eq!(wrap("call-not-ended-yet", 10), ["call-not-", "ended-yet"]);
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(wrap("漢字 漢字", 4), ["漢字", "漢字"]);
        assert_eq!(shorten("漢字漢字", 5, "…"), "漢字…");
    }

    #[test]
    fn no_escape_sequence_without_colour() {
        assert_eq!(Style::default().paint(Paint::Error, "x"), "x");
        assert!(Style { colour: true, ..Style::default() }.paint(Paint::Error, "x").starts_with('\u{1b}'));
    }
}
