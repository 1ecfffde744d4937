//! The ladder as it is, for other programs.

use super::{Drawing, Sheet};
use std::io::{self, Write};

/// One JSON object for each call, on a line of its own.
#[derive(Debug)]
pub(super) struct Json;

impl Drawing for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn help(&self) -> &'static str {
        "the lanes, rows and notes as data, one object a line for each call"
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    fn draw(&self, sheet: &Sheet<'_>, _page: usize, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &sheet.ladder)?;
        writeln!(out)
    }
}
