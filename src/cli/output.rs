//! Where the output goes and how it looks.

use super::args::{Colour, ScreenArgs};
use crate::report::Style;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

/// Standard output or a file, buffered, and the style that fits it.
pub(super) struct Output {
    pub(super) out: BufWriter<Box<dyn Write>>,
    pub(super) style: Style,
}

/// Opens the output. A file is created or emptied.
pub(super) fn open(path: Option<&Path>, screen: ScreenArgs) -> io::Result<Output> {
    if let Some(path) = path {
        return Ok(to(Box::new(create(path)?), screen));
    }
    let style = style(screen, true, io::stdout().is_terminal());
    Ok(Output { out: buffered(Box::new(io::stdout())), style })
}

/// An output that is no screen.
pub(super) fn to(write: Box<dyn Write>, screen: ScreenArgs) -> Output {
    Output { out: buffered(write), style: style(screen, false, false) }
}

/// With a buffer of a size that fits reports.
pub(super) fn buffered(write: Box<dyn Write>) -> BufWriter<Box<dyn Write>> {
    BufWriter::with_capacity(1 << 16, write)
}

/// Creates or empties a file; an error names it.
pub(super) fn create(path: &Path) -> io::Result<File> {
    File::create(path).map_err(|error| named(&error, path))
}

/// Opens a file to write behind what is there, or creates it; an error names it.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| named(&error, path))
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn style(screen: ScreenArgs, is_stdout: bool, is_screen: bool) -> Style {
    let seen = terminal_size::terminal_size().filter(|_| is_screen).map(|(width, _)| usize::from(width.0));
    let width = screen.width.map(usize::from).or(seen).unwrap_or(Style::DEFAULT_WIDTH);
    let colour = match screen.color {
        Colour::Always => true,
        Colour::Never => false,
        // NO_COLOR, CLICOLOR and CLICOLOR_FORCE, and whether it is a terminal.
        Colour::Auto => is_stdout && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    };
    Style { width: width.max(Style::MIN_WIDTH), colour, ascii: screen.ascii }
}
