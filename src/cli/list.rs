//! `calls`, `show` and `stats`: what was seen, without judging the run by it.

use super::args::{
    ExplainArgs, InputArgs, KnownArgs, ListArgs, ScreenArgs, SelectArgs, ShowArgs, ShowFormat, StatsArgs,
};
use super::output::Output;
use super::pipeline::Outcome;
use super::{Status, Stop, output, pipeline, say, select};
use crate::base::Error;
use crate::report::rows::Table;
use crate::report::{self, Paint, Report, count, csv, folded, heading, narrative, short_finding, show, stats, table};
use crate::session::MessageNo;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Runs `callflow calls`.
pub(super) fn calls(args: &ListArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let format = report::format(&args.output.format).filter(|format| format.name() != "text");
    if format.is_some_and(|format| format.whole().is_some()) {
        let told = format!("calls are not told in the format {}; `callflow check` has it", args.output.format);
        return Err(Error::Usage(told).into());
    }
    let mut first = true;
    for_each(&args.input, &args.select, args.output.output.as_deref(), screen, |report, output| {
        match format {
            Some(format) if format.name() == "csv" => csv::write(report, Table::Calls, first, &mut output.out)?,
            Some(format) => format.write(report, output.style, &mut output.out)?,
            None => table::write(report, output.style, &mut output.out)?,
        }
        first = false;
        Ok(has_calls(report))
    })
}

/// Runs `callflow show`.
pub(super) fn show(args: &ShowArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let mut first = true;
    for_each(&args.input, &args.select, args.output.output.as_deref(), screen, |report, output| {
        if args.format == ShowFormat::Csv {
            csv::write(report, Table::Messages, first, &mut output.out)?;
            first = false;
            return Ok(has_calls(report));
        }
        if !report.is_partial() && report.call_count() > 1 {
            let found = count(report.call_count(), "call");
            return Err(Error::Usage(format!("{found}: choose one with --call N (`callflow calls` lists them)")).into());
        }
        for view in report.calls() {
            let only = args.message.map(|number| MessageNo::new(number as usize - 1));
            if let Some(no) = only.filter(|no| no.at() >= view.call.messages.len()) {
                let held = count(view.call.messages.len(), "message");
                return Err(Error::Usage(format!("call {} has {held}, not {}", view.number + 1, no.at() + 1)).into());
            }
            show::write(report, view, only, output.style, &mut output.out)?;
        }
        Ok(has_calls(report))
    })
}

/// Runs `callflow explain FILE`: each call as a story, and the findings in short.
pub(super) fn stories(args: &ExplainArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let known = KnownArgs {
        keylog: args.keylog.clone(),
        project: Arc::clone(&args.project),
        voice: args.voice,
        ..KnownArgs::default()
    };
    let input = InputArgs { files: vec![args.topic.clone().into()], known, ..InputArgs::default() };
    let select = SelectArgs { calls: args.calls.clone(), ..SelectArgs::default() };
    for_each(&input, &select, None, screen, |report, output| {
        for (at, view) in report.calls().enumerate() {
            if at > 0 {
                writeln!(output.out)?;
            }
            heading(report, view, output.style, &mut output.out)?;
            writeln!(output.out)?;
            write!(output.out, "{}", output.style.paragraph(Paint::Plain, &narrative(view), 2))?;
            for alike in folded(report.findings_of(view.number)) {
                short_finding(&alike, 2, output.style, &mut output.out)?;
            }
        }
        Ok(has_calls(report))
    })
}

/// Runs `callflow stats`.
pub(super) fn stats(args: &StatsArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let select = SelectArgs::default();
    for_each(&args.input, &select, args.output.as_deref(), screen, |report, output| {
        match args.format {
            super::args::CatalogFormat::Json => stats::write_json(report, &mut output.out),
            super::args::CatalogFormat::Text => stats::write_text(report, output.style, &mut output.out),
        }?;
        Ok(Status::Clean)
    })
}

/// Analyses each capture and has `write` report on it.
pub(super) fn for_each(
    input: &InputArgs,
    choice: &SelectArgs,
    path: Option<&Path>,
    screen: ScreenArgs,
    mut write: impl FnMut(&Report<'_>, &mut Output) -> Result<Status, Stop>,
) -> Result<Status, Stop> {
    let mut output = output::open(path, screen)?;
    let mut status = Status::Clean;
    for files in pipeline::groups(input) {
        let outcome = pipeline::run(input, &files)?;
        let Outcome { captures, analysis, flows, findings, unread, troubles: _ } = &outcome;
        let selection = select::select(choice, input, &outcome)?;
        let report = Report::new(captures, analysis, flows, findings, selection);
        status = status.and(write(&report, &mut output)?);
        if *unread {
            status = status.and(Status::Unread);
        }
        output.out.flush()?;
    }
    Ok(status)
}

/// No call is nothing to show.
pub(super) fn has_calls(report: &Report<'_>) -> Status {
    if report.call_count() > 0 {
        return Status::Clean;
    }
    say(&if report.analysis.stats.messages == 0 { "no SIP in the input" } else { "no call fits the selection" });
    Status::Nothing
}
