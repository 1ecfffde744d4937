//! `callflow check`: the report and the verdict.

use super::args::{CheckArgs, FailOn, GateArgs, ScreenArgs, Voice};
use super::config::Run;
use super::pipeline::Outcome;
use super::{Status, Stop, catalog, output, pipeline, say, select};
use crate::analysis::{Counted, PacketKind, Stats};
use crate::report::{FORMATS, Report, count, verdict_line};
use std::io::Write;

/// Runs the command.
pub(super) fn check(args: &CheckArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    // Wrong names are told before a long file is read.
    let expected =
        args.gate.expect.as_deref().map(|name| catalog::flow_name(name, &args.input.flow_file)).transpose()?;
    args.select.rule.iter().try_for_each(|name| select::rule_code(name).map(drop))?;
    let mut output = output::open(args.output.output.as_deref(), screen)?;
    let mut status = Status::Clean;
    let mut calls = 0;
    for files in pipeline::groups(&args.input) {
        let outcome = pipeline::run(&args.input, &files)?;
        let selection = select::select(&args.select, &args.input, &outcome)?;
        let report = Report::new(&outcome.captures, &outcome.analysis, &outcome.flows, &outcome.findings, selection);
        let judged = judge(&args.gate, expected, &report, &outcome);
        let mut earned = judged;
        let run = Run { flow_files: &args.input.flow_file, report: &report };
        if !args.input.project.is_as_expected(run, args.input.voice == Voice::Verbose)? {
            earned = earned.and(Status::Findings);
        }
        let format = FORMATS.iter().find(|format| format.name() == args.output.format);
        let only_verdict = args.output.format == "text" && args.input.voice == Voice::Quiet;
        match format {
            Some(_) if only_verdict && judged == Status::Clean => {}
            Some(_) if only_verdict => verdict_line(&report, output.style, &mut output.out)?,
            Some(format) => format.write(&report, output.style, &mut output.out)?,
            None => {}
        }
        output.out.flush()?;
        calls += report.call_count();
        status = status.and(earned);
        if !args.input.each {
            // The program ends here; giving back every message of a large capture first takes a tenth of a second.
            std::mem::forget(outcome);
        }
    }
    if let Some(least) = args.gate.at_least.filter(|least| calls < *least) {
        say(&format_args!("{} found, --calls wants at least {least}", count(calls, "call")));
        status = status.and(Status::Nothing);
    }
    Ok(status)
}

/// The exit code that one capture earns.
fn judge(gate: &GateArgs, expected: Option<&str>, report: &Report<'_>, outcome: &Outcome) -> Status {
    let counts = report.counts();
    let failing = match gate.fail_on {
        FailOn::Error => counts.error,
        FailOn::Warning => counts.error + counts.warning,
        FailOn::Info => counts.error + counts.warning + counts.info,
        FailOn::Never => 0,
    };
    let mut status = if failing > 0 { Status::Findings } else { Status::Clean };
    if let Some(expected) = expected.filter(|expected| deviates(expected, report)) {
        say(&format_args!("not every call follows {expected}"));
        status = status.and(Status::Findings);
    }
    mention_unread(&report.analysis.stats);
    if report.call_count() == 0 && !gate.allow_empty {
        let why =
            if report.analysis.stats.messages == 0 { "no SIP in the input" } else { "no call fits the selection" };
        say(&format_args!("{why}: nothing to check"));
        status = status.and(Status::Nothing);
    }
    if outcome.unread { status.and(Status::Unread) } else { status }
}

/// Says what could not be read where that may well change the verdict: much of the input, or any of it
/// when there is no SIP in the rest.
fn mention_unread(stats: &Stats) {
    let unread: u64 = stats.coverage.unread().map(|(_, counted)| counted.packets).sum();
    if unread == 0 || (stats.messages > 0 && unread * 2 < stats.packets) {
        return;
    }
    let reason = |(kind, counted): (PacketKind, Counted)| {
        format!("{} ({}, first in frame {})", kind.words(), counted.packets, counted.first)
    };
    let reasons: Vec<String> = stats.coverage.unread().map(reason).collect();
    say(&format_args!(
        "{unread} of {} could not be read, and calls in them are not in this report: {}",
        count(stats.packets as usize, "packet"),
        reasons.join(", ")
    ));
}

/// Whether a selected call is not what `--expect` asks for; says which.
fn deviates(expected: &str, report: &Report<'_>) -> bool {
    /// Calls named one by one.
    const TOLD: usize = 10;
    let mut others = 0;
    for view in report.calls() {
        let Some(flow) = report.flow(view.number) else {
            continue;
        };
        let is_expected = flow.flow == Some(expected);
        if is_expected && flow.cost == 0 && flow.complete {
            continue;
        }
        others += 1;
        if others > TOLD {
            continue;
        }
        let number = view.number + 1;
        match flow.flow {
            Some(name) if !is_expected => say(&format_args!("call {number} follows {name}, expected {expected}")),
            None => say(&format_args!("call {number} follows no reference flow, expected {expected}")),
            Some(_) => say(&format_args!("call {number} follows {expected} with deviations or not to its end")),
        }
    }
    if others > TOLD {
        say(&format_args!("{} more do not follow {expected}", others - TOLD));
    }
    others > 0
}
