//! `[[expect]]`: what a capture has to show, file by file.

use super::super::{catalog, select};
use super::document::{Place, Table, Value};
use super::{ignore, no_rule};
use crate::analysis::CallView;
use crate::base::Error;
use crate::call::{Kind, Outcome};
use crate::capture::CaptureInfo;
use crate::flow::FlowMatch;
use crate::report::{Report, count};
use crate::rules::Finding;
use globset::GlobMatcher;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What captures of these names have to show.
#[derive(Debug)]
pub(super) struct Expect {
    pub(super) place: Place,
    pub(super) files: Vec<String>,
    globs: Vec<GlobMatcher>,
    /// That of the configuration file, which the globs are relative to.
    folder: PathBuf,
    kind: Option<Kind>,
    flows: Vec<String>,
    outcomes: Vec<Outcome>,
    calls: Option<Range>,
    /// Codes of rules.
    findings: Vec<&'static str>,
}

/// So many, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    least: usize,
    most: usize,
}

/// What a run over one capture is held to.
#[derive(Clone, Copy)]
pub(in super::super) struct Run<'a> {
    /// The flow files of the command line, where flows are looked up.
    pub(in super::super) flow_files: &'a [PathBuf],
    pub(in super::super) report: &'a Report<'a>,
}

impl Expect {
    pub(super) fn read(mut table: Table<'_>, folder: &Path) -> Result<Self, Error> {
        let files = table.need("file")?;
        let names = files.texts()?;
        let expect = Self {
            globs: names.iter().map(|name| ignore::glob(&files, name)).collect::<Result<_, _>>()?,
            files: names.into_iter().map(str::to_owned).collect(),
            folder: folder.to_path_buf(),
            kind: each(table.take("kind"), select::kind)?.first().copied(),
            flows: each(table.take("flow"), |name| Ok(name.to_owned()))?,
            outcomes: each(table.take("outcome"), select::outcome)?,
            calls: table.take("calls").map(|value| range(&value)).transpose()?,
            findings: each(table.take("findings"), |name| {
                catalog::rule(name).map(|meta| meta.code).ok_or_else(|| Error::Usage(no_rule(name)))
            })?,
            place: table.place(),
        };
        table.end()?;
        let says_nothing = expect.flows.is_empty()
            && expect.outcomes.is_empty()
            && expect.calls.is_none()
            && expect.findings.is_empty();
        if says_nothing {
            return Err(expect.place.refuse("expects nothing; say flow, outcome, calls or findings"));
        }
        Ok(expect)
    }

    /// Whether one of the files is meant: by its path below the folder of the configuration, or by its name.
    fn is_about(&self, captures: &[CaptureInfo]) -> bool {
        captures.iter().any(|capture| {
            let path = Path::new(&capture.path);
            let name = path.file_name().map_or(path, Path::new);
            let below = below(path, &self.folder);
            self.globs.iter().any(|glob| {
                glob.is_match(name) || glob.is_match(path) || below.as_ref().is_some_and(|path| glob.is_match(path))
            })
        })
    }

    /// What is not as expected, in words, and of which call.
    fn failures(&self, run: Run<'_>) -> Result<Vec<(Option<usize>, String)>, Error> {
        let report = run.report;
        let calls: Vec<CallView<'_>> =
            report.calls().filter(|view| self.kind.is_none_or(|kind| view.call.kind == kind)).collect();
        let mut failures = Vec::new();
        if let Some(range) = self.calls.filter(|range| !(range.least..=range.most).contains(&calls.len())) {
            let what = self.kind.map_or("call", Kind::name);
            failures.push((None, format!("{range} expected, {} found", count(calls.len(), what))));
        }
        if calls.is_empty() && self.calls.is_none() && self.findings.is_empty() {
            failures.push((None, "no call is there to follow what is expected".to_owned()));
        }
        let flow_names = self.flows.iter().map(|name| catalog::flow_name(name, run.flow_files));
        let flow_names = flow_names.collect::<Result<Vec<_>, _>>().map_err(|why| self.place.refuse(why))?;
        for view in &calls {
            let other_flow = self.other_flow(*view, report.flow(view.number), &flow_names);
            failures.extend(other_flow.map(|why| (Some(view.number), why)));
            if !self.outcomes.is_empty() && !self.outcomes.contains(&view.call.outcome) {
                let wanted: Vec<&str> = self.outcomes.iter().map(|one| one.name()).collect();
                let is = view.call.outcome.name();
                let why = format!("call {} is {is}, expected {}", view.number + 1, wanted.join(" or "));
                failures.push((Some(view.number), why));
            }
        }
        let is_there = |code: &str| report.findings().chain(report.ignored()).any(|found| found.rule.code == code);
        let absent = self.findings.iter().filter(|code| !is_there(code));
        failures.extend(absent.map(|code| (None, format!("{code} expected, not found"))));
        Ok(failures)
    }

    fn other_flow(&self, view: CallView<'_>, flow: Option<&FlowMatch>, wanted: &[&'static str]) -> Option<String> {
        let flow = flow.filter(|_| !wanted.is_empty())?;
        let number = view.number + 1;
        match flow.flow {
            Some(name) if !wanted.contains(&name) => {
                Some(format!("call {number} follows {name}, expected {}", wanted.join(" or ")))
            }
            None => Some(format!("call {number} follows no reference flow, expected {}", wanted.join(" or "))),
            // Where a finding is expected, so are the deviations from the flow that go with it.
            Some(name) if self.findings.is_empty() && (flow.cost > 0 || !flow.complete) => {
                Some(format!("call {number} follows {name} with deviations or not to its end"))
            }
            Some(_) => None,
        }
    }
}

/// The path of a file as seen from a folder that it is in.
fn below(path: &Path, folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (path, folder) = (path.canonicalize().ok()?, folder.canonicalize().ok()?);
    path.strip_prefix(folder).ok().map(Path::to_path_buf)
}

/// Each text of a value that may be there, read; an error points at the value.
fn each<T>(value: Option<Value<'_>>, read: impl Fn(&str) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    value.texts()?.into_iter().map(|text| read(text).map_err(|why| value.refuse(why))).collect()
}

/// 2, "2..", "1..3" or "..5".
fn range(value: &Value<'_>) -> Result<Range, Error> {
    if value.is_number() {
        let exactly = usize::try_from(value.whole_number()?).map_err(|_| value.refuse("is too large"))?;
        return Ok(Range { least: exactly, most: exactly });
    }
    let text = value.text()?;
    let end = |text: &str, open: usize| if text.is_empty() { Some(open) } else { text.parse().ok() };
    let ends = text.split_once("..").and_then(|(least, most)| Some((end(least, 0)?, end(most, usize::MAX)?)));
    match ends.filter(|(least, most)| least <= most && text != "..") {
        Some((least, most)) => Ok(Range { least, most }),
        None => Err(value.refuse(format!("'{text}' is no number of calls; 2, \"2..\" and \"1..3\" are"))),
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => f.write_str(&count(least, "call")),
            (least, usize::MAX) => write!(f, "at least {}", count(least, "call")),
            (0, most) => write!(f, "at most {}", count(most, "call")),
            (least, most) => write!(f, "{least} to {}", count(most, "call")),
        }
    }
}

/// Findings that a capture has to show are no news; they are told as ignored.
pub(super) fn mark(expects: &[Expect], captures: &[CaptureInfo], findings: &mut [Finding]) {
    for expect in expects.iter().filter(|expect| !expect.findings.is_empty() && expect.is_about(captures)) {
        let expected = findings.iter_mut().filter(|finding| expect.findings.contains(&finding.rule.code));
        expected.for_each(|finding| {
            finding.ignored.get_or_insert_with(|| format!("expected ({})", expect.place));
        });
    }
}

/// What captures do not show of what is expected of them.
#[derive(Debug, Default)]
pub(in super::super) struct Unmet {
    /// By call, what it is instead.
    pub(in super::super) calls: BTreeMap<usize, String>,
    /// What no single call is to blame for.
    pub(in super::super) whole: Vec<String>,
    /// All of it for standard error, with its place in the configuration.
    pub(in super::super) told: Vec<String>,
}

impl super::Config {
    /// What is expected of a capture and not so.
    ///
    /// # Errors
    /// When an expected flow does not exist.
    pub(in super::super) fn unmet(&self, run: Run<'_>, verbose: bool) -> Result<Unmet, Error> {
        /// Failures of one expectation that are told one by one.
        const TOLD: usize = 10;
        let captures = run.report.captures;
        let name = captures.first().map_or("input", |capture| capture.path.as_str());
        let mut unmet = Unmet::default();
        for expect in self.expects.iter().filter(|expect| expect.is_about(captures)) {
            let failures = expect.failures(run)?;
            let Unmet { calls, whole, told } = &mut unmet;
            if failures.is_empty() && verbose {
                told.push(format!("{}: {name} is as expected", expect.place));
            }
            told.extend(failures.iter().take(TOLD).map(|(_, why)| format!("{}: {name}: {why}", expect.place)));
            if failures.len() > TOLD {
                told.push(format!("{}: {name}: and {} more", expect.place, failures.len() - TOLD));
            }
            if !failures.is_empty() && captures.len() > 1 {
                told.push(format!(
                    "{} were read as one capture; --each takes them one by one",
                    count(captures.len(), "file")
                ));
            }
            for (call, why) in failures {
                match call {
                    Some(call) => drop(calls.entry(call).or_insert(why)),
                    None => whole.push(why),
                }
            }
        }
        Ok(unmet)
    }

    /// The places of expectations that are about none of the captures of a run.
    pub(in super::super) fn idle(&self, is_met: impl Fn(usize) -> bool) -> Vec<String> {
        let expects = self.expects.iter().enumerate().filter(|(at, _)| !is_met(*at));
        expects
            .map(|(_, expect)| format!("{}: this [[expect]] fits no file: {}", expect.place, expect.files.join(", ")))
            .collect()
    }

    /// Positions of the expectations that are about one of these captures.
    pub(in super::super) fn expectations_of<'a>(
        &'a self,
        captures: &'a [CaptureInfo],
    ) -> impl Iterator<Item = usize> + 'a {
        self.expects.iter().enumerate().filter(|(_, expect)| expect.is_about(captures)).map(|(at, _)| at)
    }

    /// Marks what is not to be told of a capture; what is to be said of that, each with a number of its own.
    pub(in super::super) fn mark(
        &self,
        captures: &[CaptureInfo],
        found: Found<'_>,
        verbose: bool,
    ) -> Vec<(usize, String)> {
        let Found { analysis, flows, findings } = found;
        let remarks = ignore::mark(&self.ignores, analysis, flows, findings, verbose);
        mark(&self.expects, captures, findings);
        remarks
    }
}

/// What was found in a capture.
pub(in super::super) struct Found<'a> {
    pub(in super::super) analysis: &'a crate::analysis::Analysis,
    pub(in super::super) flows: &'a [FlowMatch],
    pub(in super::super) findings: &'a mut [Finding],
}
