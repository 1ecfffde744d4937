//! `callflow check`: the report and the verdict.

use super::args::{CheckArgs, GateArgs, InputArgs, ScreenArgs, Voice};
use super::config::Run as ProjectRun;
use super::pipeline::Outcome;
use super::reports::Reports;
use super::{Status, Stop, catalog, pipeline, say, select, streamed};
use crate::analysis::{CallView, Counted, PacketKind, Stats};
use crate::report::{Report, count};
use std::collections::{BTreeMap, BTreeSet};

/// Runs the command.
pub(super) fn check(args: &CheckArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    if let Some(max_memory) = args.max_memory {
        return streamed::check(args, screen, max_memory);
    }
    // Wrong names are told before a long file is read.
    let expected =
        args.gate.expect.as_deref().map(|name| catalog::flow_name(name, &args.input.known.flow_file)).transpose()?;
    args.select.rule.iter().try_for_each(|name| select::rule_code(name).map(drop))?;
    let mut reports = Reports::open(args, screen)?;
    let mut status = Status::Clean;
    let mut calls = 0;
    let mut met = BTreeSet::new();
    let (project, voice) = (&args.input.known.project, args.input.known.voice);
    for files in pipeline::groups(&args.input) {
        let outcome = pipeline::run(&args.input, &files)?;
        let selection = select::select(&args.select, &args.input, &outcome)?;
        let report = Report::new(&outcome.captures, &outcome.analysis, &outcome.flows, &outcome.findings, selection);
        let report = reports.mark(report);
        let deviations = expected.map(|expected| deviations(expected, &report)).unwrap_or_default();
        let run = ProjectRun { flow_files: &args.input.known.flow_file, report: &report };
        let unmet = project.unmet(run, voice == Voice::Verbose)?;
        met.extend(project.expectations_of(&outcome.captures));
        let judged = judge(&args.gate, expected.map(|expected| (expected, &deviations)), &report, &outcome);
        let as_expected = unmet.calls.is_empty() && unmet.whole.is_empty();
        let earned = if as_expected { judged } else { judged.and(Status::Findings) };
        let mut calls_astray = unmet.calls;
        calls_astray.extend(deviations);
        let report = report.deviating(calls_astray).lacking(unmet.whole);
        reports.add(&report, &outcome.troubles, earned == Status::Clean)?;
        unmet.told.iter().for_each(|told| say(told));
        calls += report.call_count();
        status = status.and(earned);
        if !args.input.each {
            // The program ends here; giving back every message of a large capture first takes a tenth of a second.
            std::mem::forget(outcome);
        }
    }
    if voice == Voice::Verbose || (voice == Voice::Usual && is_a_collection(&args.input)) {
        project.idle(|at| met.contains(&at)).iter().for_each(|told| say(told));
    }
    if reports.end()? {
        status = status.and(Status::Findings);
    }
    Ok(status.and(enough(&args.gate, calls)))
}

/// What `--calls` makes of the exit code.
pub(super) fn enough(gate: &GateArgs, calls: usize) -> Status {
    let Some(least) = gate.at_least.filter(|least| calls < *least) else {
        return Status::Clean;
    };
    say(&format_args!("{} found, --calls wants at least {least}", count(calls, "call")));
    Status::Nothing
}

/// Whether the user gave more than one file: of one that was picked, it is no wonder that it is not all that the project
/// speaks of.
fn is_a_collection(input: &InputArgs) -> bool {
    input.files.len() > 1 || input.files.iter().any(|file| file.is_dir())
}

/// The calls that are not what `--expect` asks for, and what they are instead.
type Deviations = BTreeMap<usize, String>;

/// The exit code that one capture earns.
fn judge(gate: &GateArgs, expected: Option<(&str, &Deviations)>, report: &Report<'_>, outcome: &Outcome) -> Status {
    let mut status = if gate.fail_on.failing(report.counts()) > 0 { Status::Findings } else { Status::Clean };
    if let Some((expected, _)) = expected.filter(|(_, deviations)| tell_deviations(deviations)) {
        say(&format_args!("not every call follows {expected}"));
        status = status.and(Status::Findings);
    }
    let is_empty = report.call_count() == 0 && !gate.allow_empty;
    status.and(mention_what_is_not_there(&report.analysis.stats, is_empty, outcome.unread))
}

/// Says what could not be read and that there is nothing to check (`is_empty`), and what that makes of the exit code.
/// `unread`: some of the input could not be read, and why was said.
pub(super) fn mention_what_is_not_there(stats: &Stats, is_empty: bool, unread: bool) -> Status {
    mention_unread(stats);
    let mut status = Status::Clean;
    if is_empty {
        let why = if stats.messages == 0 { "no SIP in the input" } else { "no call fits the selection" };
        // Why an input that cannot be opened has nothing was said.
        if !(unread && stats.packets == 0) {
            say(&format_args!("{why}: nothing to check"));
        }
        status = status.and(Status::Nothing);
    }
    if unread { status.and(Status::Unread) } else { status }
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

/// The selected calls that are not what `--expect` asks for, and what they are instead.
fn deviations(expected: &str, report: &Report<'_>) -> Deviations {
    let deviation = |view: CallView<'_>| {
        let flow = report.flow(view.number)?;
        let followed = flow.follows(expected);
        if followed == Some((0, true)) {
            return None;
        }
        let number = view.number + 1;
        let told = match flow.flow {
            Some(name) if followed.is_none() => format!("call {number} follows {name}, expected {expected}"),
            None if followed.is_none() => format!("call {number} follows no reference flow, expected {expected}"),
            _ => format!("call {number} follows {expected} with deviations or not to its end"),
        };
        Some((view.number, told))
    };
    report.calls().filter_map(deviation).collect()
}

/// Says which calls are not as expected; whether there are any.
fn tell_deviations(deviations: &Deviations) -> bool {
    /// Calls named one by one.
    const TOLD: usize = 10;
    deviations.values().take(TOLD).for_each(|told| say(told));
    if deviations.len() > TOLD {
        say(&format_args!("{} more are not as expected", deviations.len() - TOLD));
    }
    !deviations.is_empty()
}
