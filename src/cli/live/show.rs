//! What is told of calls and findings, and what it came to.

use crate::analysis::Analysis;
use crate::base::Error;
use crate::capture::CaptureInfo;
use crate::cli::Status;
use crate::cli::args::{FailOn, KnownArgs, LiveArgs, LiveFormat};
use crate::cli::config::{Config, Found};
use crate::cli::log::{self, Level};
use crate::cli::output::{self, Output};
use crate::cli::pipeline::Judge;
use crate::report::{self, Counts, Report, Selection};
use crate::rules::Finding;
use crate::story::{News, Story};
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

/// What is told, and what it came to.
pub(super) struct Show<'a> {
    args: &'a LiveArgs,
    output: Output,
    judge: Judge,
    project: Arc<Config>,
    /// Of its `[[ignore]]`s, those that were spoken of.
    remarked: HashSet<usize>,
    stop_on: Vec<&'static str>,
    counts: Counts,
    ignored: usize,
    calls: usize,
    /// Whether a finding came that ends it.
    pub(super) stopped: bool,
}

impl<'a> Show<'a> {
    pub(super) fn new(args: &'a LiveArgs, output: Output, judge: Judge, stop_on: Vec<&'static str>) -> Self {
        Self {
            args,
            output,
            judge,
            project: Arc::clone(&args.known.project),
            remarked: HashSet::new(),
            stop_on,
            counts: Counts::default(),
            ignored: 0,
            calls: 0,
            stopped: false,
        }
    }

    /// Judges by what the configuration and the user's files say by now. When they cannot be used, all stays as it is.
    pub(super) fn learn(&mut self, known: &KnownArgs) -> Result<(), Error> {
        self.judge = self.judge.again(known)?;
        self.project = Arc::clone(&known.project);
        self.remarked.clear();
        Ok(())
    }

    /// Opens the file of `-o` again, which somebody may have moved away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let Some(path) = &self.args.output else {
            return Ok(());
        };
        self.output.out.flush()?;
        self.output.out = output::buffered(Box::new(output::append(path)?));
        Ok(())
    }

    /// As `check` does, callflow.toml included.
    pub(super) fn judge(&mut self, analysis: Analysis) -> Story {
        let mut story = self.judge.judge(analysis);
        let found = Found { analysis: &story.analysis, flows: &story.flows, findings: &mut story.findings };
        for (ignore, remark) in self.project.mark(&[], found, false) {
            if self.remarked.insert(ignore) {
                log::tell(Level::Warning, "ignore-ended", &remark, &[]);
            }
        }
        story
    }

    pub(super) fn tell(&mut self, story: &Story, news: &News) -> io::Result<()> {
        let Story { analysis, flows, findings } = story;
        let number = |call: usize| news.numbers[call];
        let (told, ignored): (Vec<&Finding>, Vec<&Finding>) =
            news.findings.iter().map(|at| &findings[*at]).partition(|finding| finding.ignored.is_none());
        self.ignored += ignored.len();
        self.stopped |= told.iter().any(|finding| self.stop_on.contains(&finding.rule.code));
        self.counts = add(self.counts, Counts::of(told.iter().copied()));
        if told.is_empty() && news.calls.is_empty() {
            return Ok(());
        }
        let report = Report::new(&[], analysis, flows, findings, Selection::default());
        let (style, out) = (self.output.style, &mut self.output.out);
        match self.args.format {
            LiveFormat::Ndjson => {
                report::write_findings(&report, &news.findings, number, out)?;
                for (call, findings) in &news.calls {
                    report::write_call(&report, *call, number, findings, out)?;
                }
            }
            LiveFormat::Text => {
                for finding in told {
                    let is_quiet = finding.call.is_some_and(|call| report.is_quiet(analysis.view(call)));
                    if !is_quiet {
                        report::live::finding(finding, analysis, number, style, out)?;
                    }
                }
                for (call, _) in &news.calls {
                    report::live::call(&report, *call, number(*call), style, out)?;
                }
            }
        }
        out.flush()
    }

    pub(super) fn end(&mut self, captures: &[CaptureInfo], analysis: &Analysis, calls: usize) -> io::Result<()> {
        self.calls = calls;
        let (style, out) = (self.output.style, &mut self.output.out);
        match self.args.format {
            LiveFormat::Ndjson => report::write_end(captures, analysis, self.calls, self.counts, self.ignored, out)?,
            LiveFormat::Text => report::live::end(analysis, self.calls, self.counts, style, out)?,
        }
        out.flush()
    }

    pub(super) fn status(&self) -> Status {
        let Counts { error, warning, info, .. } = self.counts;
        let failing = match self.args.fail_on {
            FailOn::Error => error,
            FailOn::Warning => error + warning,
            FailOn::Info => error + warning + info,
            FailOn::Never => 0,
        };
        match failing {
            0 if self.calls == 0 && !self.args.allow_empty => {
                log::tell(Level::Warning, "no-sip", &"no SIP was heard", &[]);
                Status::Nothing
            }
            0 => Status::Clean,
            _ => Status::Findings,
        }
    }
}

fn add(one: Counts, other: Counts) -> Counts {
    Counts {
        error: one.error + other.error,
        warning: one.warning + other.warning,
        info: one.info + other.info,
        open: one.open + other.open,
    }
}
