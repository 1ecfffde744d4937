//! What is told of calls and findings while more come, and what it came to.

use super::Status;
use super::args::{FailOn, KnownArgs, LiveFormat};
use super::config::{Config, Found};
use super::log::{self, Level};
use super::output::{self, Output};
use super::pipeline::Judge;
use crate::analysis::Analysis;
use crate::base::Error;
use crate::capture::{CaptureInfo, Names};
use crate::report::{self, Counts, Report, Selection};
use crate::rules::Finding;
use crate::story::{News, Story};
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// How calls and findings are told.
pub(super) struct Manner<'a> {
    pub(super) format: LiveFormat,
    /// For people, calls without a word on them are only counted.
    pub(super) only_faulty: bool,
    /// The file that is written, if it is one.
    pub(super) path: Option<&'a Path>,
    /// What ends it.
    pub(super) stop_on: Vec<&'static str>,
    pub(super) fail_on: FailOn,
    pub(super) allow_empty: bool,
}

/// What is told, and what it came to.
pub(super) struct Teller<'a> {
    manner: Manner<'a>,
    output: Output,
    judge: Judge,
    project: Arc<Config>,
    /// Of its `[[ignore]]`s, those that were spoken of.
    remarked: HashSet<usize>,
    counts: Counts,
    ignored: usize,
    pub(super) calls: usize,
    /// Whether a finding came that ends it.
    pub(super) stopped: bool,
}

impl<'a> Teller<'a> {
    pub(super) fn new(manner: Manner<'a>, output: Output, judge: Judge, project: &Arc<Config>) -> Self {
        Self {
            manner,
            output,
            judge,
            project: Arc::clone(project),
            remarked: HashSet::new(),
            counts: Counts::default(),
            ignored: 0,
            calls: 0,
            stopped: false,
        }
    }

    /// Takes over the names that a capture gives.
    pub(super) fn name(&mut self, names: &Names) {
        self.judge.name(names);
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
        let Some(path) = self.manner.path else {
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
        self.stopped |= told.iter().any(|finding| self.manner.stop_on.contains(&finding.rule.code));
        self.counts = add(self.counts, Counts::of(told.iter().copied()));
        if told.is_empty() && news.calls.is_empty() {
            return Ok(());
        }
        let report = Report::new(&[], analysis, flows, findings, Selection::default());
        let (style, out) = (self.output.style, &mut self.output.out);
        match self.manner.format {
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
                let is_told = |call: usize| report.told_of(analysis.view(call)).next().is_some();
                for (call, _) in news.calls.iter().filter(|(call, _)| !self.manner.only_faulty || is_told(*call)) {
                    report::live::call(&report, *call, number(*call), style, out)?;
                }
            }
        }
        out.flush()
    }

    pub(super) fn end(&mut self, captures: &[CaptureInfo], analysis: &Analysis, calls: usize) -> io::Result<()> {
        self.calls = calls;
        let (style, out) = (self.output.style, &mut self.output.out);
        match self.manner.format {
            LiveFormat::Ndjson => report::write_end(captures, analysis, self.calls, self.counts, self.ignored, out)?,
            LiveFormat::Text => report::live::end(analysis, self.calls, self.counts, style, out)?,
        }
        out.flush()
    }

    pub(super) fn status(&self) -> Status {
        match self.manner.fail_on.failing(self.counts) {
            0 if self.calls == 0 && !self.manner.allow_empty => Status::Nothing,
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
