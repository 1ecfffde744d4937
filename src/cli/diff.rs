//! `callflow diff`: two calls, or the calls of two captures, side by side.

use super::args::{CatalogFormat, DiffArgs, ScreenArgs};
use super::pipeline::Outcome;
use super::{Status, Stop, output, pipeline, say};
use crate::analysis::CallView;
use crate::base::Error;
use crate::flow::{self, Row};
use crate::report::diff::{Pair, write_json, write_text};
use crate::report::{count, from_uri, to_uri};
use std::io::Write;

/// Runs the command: exit code 0 when nothing differs, 1 when something does.
pub(super) fn diff(args: &DiffArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    pipeline::refuse_each(&args.input, "diff")?;
    let (a, b) = match args.input.files.as_slice() {
        [one] => (one, one),
        [a, b] => (a, b),
        files => {
            let text = format!("diff compares two captures, or two calls of one; {} files are given", files.len());
            return Err(Error::Usage(text).into());
        }
    };
    if a == b && (args.call.is_none() || args.with.is_none()) {
        return Err(Error::Usage("of one capture, --call N and --with M say which two calls to compare".into()).into());
    }
    let mut output = output::open(args.output.as_deref(), screen)?;
    let read = |file| pipeline::run(&args.input, std::slice::from_ref(file));
    let first = read(a)?;
    let second = if a == b { None } else { Some(read(b)?) };
    let (a, b) = (&first, second.as_ref().unwrap_or(&first));
    let pairs = match (args.call, args.with) {
        (None, None) => flow::pair(&all(a), &all(b), |view| (from_uri(view).into_owned(), to_uri(view).into_owned())),
        (call, with) => vec![(Some(chosen(a, "A", call)?), Some(chosen(b, "B", with)?))],
    };
    let compared: Vec<(Pair<'_>, Vec<Row>)> = pairs.into_iter().map(|pair| (pair, rows(pair))).collect();
    match args.format {
        CatalogFormat::Json => write_json(&compared, &mut output.out)?,
        CatalogFormat::Text => {
            for (at, (pair, rows)) in compared.iter().enumerate() {
                if at > 0 {
                    writeln!(output.out)?;
                }
                write_text(*pair, rows, output.style, &mut output.out)?;
            }
        }
    }
    output.out.flush()?;
    Ok(verdict(&compared, a.unread || b.unread))
}

fn verdict(compared: &[(Pair<'_>, Vec<Row>)], unread: bool) -> Status {
    let is_same = |((a, b), rows): &(Pair<'_>, Vec<Row>)| a.is_some() && b.is_some() && rows.iter().all(Row::is_same);
    let status = if compared.is_empty() {
        say(&"neither capture has a call: nothing to compare");
        Status::Nothing
    } else if compared.iter().all(is_same) {
        Status::Clean
    } else {
        Status::Findings
    };
    if unread { status.and(Status::Unread) } else { status }
}

fn rows((a, b): Pair<'_>) -> Vec<Row> {
    a.zip(b).map(|(a, b)| flow::diff(a, b)).unwrap_or_default()
}

fn all(outcome: &Outcome) -> Vec<CallView<'_>> {
    outcome.analysis.views().collect()
}

/// The call with this number; without one, the only call.
fn chosen<'a>(outcome: &'a Outcome, side: &str, number: Option<u32>) -> Result<CallView<'a>, Error> {
    let calls = outcome.analysis.calls.len();
    let option = if side == "A" { "--call" } else { "--with" };
    match number {
        Some(number) if (number as usize) <= calls => Ok(outcome.analysis.view(number as usize - 1)),
        Some(number) => Err(Error::Usage(format!("{option} {number}: {side} has {}", count(calls, "call")))),
        None if calls == 1 => Ok(outcome.analysis.view(0)),
        None => Err(Error::Usage(format!("{side} has {}: choose one with {option} N", count(calls, "call")))),
    }
}
