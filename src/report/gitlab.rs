//! The code quality report of GitLab: a JSON list of issues. GitLab itself compares their fingerprints with those of
//! the target branch.

use super::run::{OfRun, Run};
use super::{escape, write_document};
use crate::flow::Verdict;
use crate::rules::Severity;
use serde::Serialize;
use serde::ser::Serializer;
use std::borrow::Cow;
use std::io::{self, Write};

/// The format.
pub(super) static GITLAB: OfRun = OfRun { name: "gitlab", help: "code quality report of GitLab", write };

#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location<'a>,
}

#[derive(Serialize)]
struct Location<'a> {
    path: Cow<'a, str>,
    positions: Positions,
}

#[derive(Serialize)]
struct Positions {
    begin: Position,
    end: Position,
}

/// Line: the frame, because a capture has no lines.
#[derive(Clone, Copy, Serialize)]
struct Position {
    line: u32,
    column: u32,
}

struct Issues<'a>(&'a Run);

impl Serialize for Issues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.notes().into_iter().map(|(suite, _, note)| {
            let position = Position { line: note.line(), column: 1 };
            let (severity, doubt) = match (note.verdict, note.severity) {
                (Verdict::Open, _) => ("info", "Not proved: "),
                (_, Severity::Error) => ("critical", ""),
                (_, Severity::Warning) => ("major", ""),
                (_, Severity::Info) => ("info", ""),
            };
            Issue {
                description: format!("{doubt}{}", note.summary),
                check_name: note.title(),
                fingerprint: note.print.to_string(),
                severity,
                location: Location {
                    path: escape::text(suite.path(note.file).trim_start_matches("./")),
                    positions: Positions { begin: position, end: position },
                },
            }
        }))
    }
}

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    write_document(&Issues(run), out)
}
