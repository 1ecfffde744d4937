//! `callflow learn`: a reference flow of one's own, out of good calls.

use super::args::{LearnArgs, ScreenArgs, Voice};
use super::{Status, Stop, output, pipeline, say, select};
use crate::analysis::CallView;
use crate::base::Error;
use crate::flow;
use crate::report::{Report, count};
use crate::rules::Severity;
use std::io::Write;

/// Runs the command.
pub(super) fn learn(args: &LearnArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    pipeline::refuse_each(&args.input, "learn")?;
    let outcome = pipeline::run(&args.input, &args.input.files)?;
    let selection = select::select(&args.select, &args.input, &outcome)?;
    let report = Report::new(&outcome.captures, &outcome.analysis, &outcome.flows, &outcome.findings, selection);
    let views: Vec<CallView<'_>> = report.calls().collect();
    if views.is_empty() {
        say(&"no call to learn from");
        return Ok(if outcome.unread { Status::Unread } else { Status::Nothing });
    }
    for view in &views {
        if report.worst(view.number) == Some(Severity::Error) {
            say(&format_args!("call {} has errors; the flow takes them for right", view.number + 1));
        }
    }
    let flow = flow::learn(&views, &args.name).map_err(|why| {
        Error::Usage(format!("{why} (--call, --kind, --flow and --outcome choose; `callflow calls` lists them)"))
    })?;
    let mut output = output::open(args.output.output.as_deref(), screen)?;
    let text = flow.to_string();
    output.out.write_all(text.as_bytes())?;
    output.out.flush()?;
    let optional = text.lines().filter(|line| line.trim() == "optional {").count();
    let varied =
        if optional > 0 { format!(", {} of which only some have", count(optional, "part")) } else { String::new() };
    if args.input.known.voice == Voice::Quiet {
        return Ok(if outcome.unread { Status::Unread } else { Status::Clean });
    }
    say(&format_args!("{}: learned from {}{varied}", args.name, count(views.len(), "call")));
    Ok(if outcome.unread { Status::Unread } else { Status::Clean })
}
