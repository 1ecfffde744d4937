//! Where the reports of one run go: one to standard output or `-o`, and any number of `--report FORMAT=FILE`.

use super::args::{CheckArgs, FailOn, GateArgs, ReportTo, ScreenArgs, Voice};
use super::output::{self, Output};
use super::{Stop, say};
use crate::base::Error;
use crate::report::{self, Baseline, Format, Gate, Ledger, Report, Run};
use crate::rules::Severity;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// All reports of a run, fed capture by capture.
pub(super) struct Reports {
    sinks: Vec<(&'static dyn Format, Output)>,
    /// The first sink is the screen, and it gets no more than the verdict, and that only when it is not clean.
    brief: bool,
    /// There was a capture before.
    further: bool,
    run: Option<Run>,
    ledger: Ledger,
    strict: bool,
    /// Where the next baseline goes, and the one that is there now.
    next: Option<(PathBuf, Option<Baseline>)>,
}

impl Reports {
    /// Opens everything before a long capture is read: what cannot be written is a usage error.
    pub(super) fn open(args: &CheckArgs, screen: ScreenArgs) -> Result<Self, Stop> {
        let (main, reports, gate) = (&args.output, &args.reports.report, &args.gate);
        let known = gate.baseline.as_deref().map(read).transpose()?;
        let next =
            gate.write_baseline.as_ref().map(|path| Ok::<_, Error>((path.clone(), existing(path)?))).transpose()?;
        let mut files: BTreeSet<&Path> =
            [&main.output, &gate.baseline, &gate.write_baseline].into_iter().flatten().map(PathBuf::as_path).collect();
        let mut sinks = Vec::new();
        for ReportTo { format, file } in reports {
            if !files.insert(file) {
                return Err(Error::Usage(format!("--report {}: it is used for something else", file.display())).into());
            }
            let opened = output::open(Some(file), screen);
            let opened = opened.map_err(|error| Error::Usage(format!("--report {}={error}", format.name())))?;
            sinks.push((*format, opened));
        }
        if let Some(format) = report::format(&main.format) {
            sinks.insert(0, (format, output::open(main.output.as_deref(), screen)?));
        }
        if args.input.each && sinks.iter().any(|(format, _)| format.name() == "html") {
            return Err(Error::Usage("an html page holds one report: not with --each".to_owned()).into());
        }
        if sinks.iter().any(|(format, _)| format.name() == "github") {
            sinks.extend(step_summary(screen)?);
        }
        let wants_run = sinks.iter().any(|(format, _)| format.whole().is_some());
        let run = wants_run.then(|| Run::new(told(gate)));
        Ok(Self {
            sinks,
            further: false,
            brief: main.format == "text" && args.input.known.voice == Voice::Quiet,
            run,
            ledger: Ledger::new(known, gate.fail_on == FailOn::Info),
            strict: gate.strict_baseline,
            next,
        })
    }

    /// Counts the findings of the next capture, and marks those that are known.
    pub(super) fn mark<'a>(&mut self, report: Report<'a>) -> Report<'a> {
        report.within(&mut self.ledger)
    }

    /// Reports on the next capture.
    pub(super) fn add(&mut self, report: &Report<'_>, troubles: &[String], is_clean: bool) -> io::Result<()> {
        let sinks = self.sinks.iter_mut().enumerate();
        for (at, (format, output)) in sinks.filter(|(_, (format, _))| format.whole().is_none()) {
            match (self.brief && at == 0, is_clean) {
                (false, _) if self.further => format.write_next(report, output.style, &mut output.out)?,
                (false, _) => format.write(report, output.style, &mut output.out)?,
                (true, false) => report::verdict_line(report, output.style, &mut output.out)?,
                (true, true) => {}
            }
            output.out.flush()?;
        }
        self.further = true;
        if let Some(run) = &mut self.run {
            run.add(report, troubles);
        }
        Ok(())
    }

    /// Ends all reports; whether a strict baseline has something that vanished.
    pub(super) fn end(mut self) -> Result<bool, Stop> {
        let vanished = self.ledger.vanished();
        for entry in &vanished {
            let times = if entry.count > 1 { format!(" ({} times)", entry.count) } else { String::new() };
            say(&format_args!(
                "in the baseline and no longer found: {} {}{times}: {}",
                entry.rule,
                entry.fingerprint(),
                entry.summary
            ));
        }
        let fails = self.strict && !vanished.is_empty();
        if let Some(run) = &mut self.run {
            run.lacks(vanished);
            for (format, output) in &mut self.sinks {
                if let Some(write) = format.whole() {
                    write(run, &mut output.out)?;
                    output.out.flush()?;
                }
            }
        }
        if let Some((path, old)) = &self.next {
            let mut out = BufWriter::new(output::create(path)?);
            self.ledger.baseline(old.as_ref()).write(&mut out)?;
            out.flush()?;
        }
        Ok(fails)
    }
}

/// What makes the run fail, for the formats that say it of each call. Who lets nothing fail wants to see the errors.
fn told(gate: &GateArgs) -> Gate {
    let threshold = match gate.fail_on {
        FailOn::Error | FailOn::Never => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Info => Severity::Info,
    };
    Gate { threshold, allow_empty: gate.allow_empty, compares: gate.baseline.is_some(), strict: gate.strict_baseline }
}

/// The summary of a step that GitHub Actions asks for; other programs write to it, too.
fn step_summary(screen: ScreenArgs) -> Result<Option<(&'static dyn Format, Output)>, Stop> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| Error::Usage(format!("GITHUB_STEP_SUMMARY {}: {error}", path.display())))?;
    Ok(report::format("markdown").map(|format| (format, output::to(Box::new(file), screen))))
}

fn read(path: &Path) -> Result<Baseline, Error> {
    let told = |why: &dyn std::fmt::Display| Error::Usage(format!("--baseline {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    Baseline::parse(&text).map_err(|why| told(&why))
}

/// The baseline that will be written over, whose words are kept; anything else is not written over.
fn existing(path: &Path) -> Result<Option<Baseline>, Error> {
    let told = |why: &dyn std::fmt::Display| Error::Usage(format!("--write-baseline {}: {why}", path.display()));
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Whether it can be written is known before a long capture is read.
            output::create(path).map_err(|error| Error::Usage(format!("--write-baseline {error}")))?;
            Ok(None)
        }
        Err(error) => Err(told(&error)),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => {
            Baseline::parse(&text).map(Some).map_err(|why| told(&format_args!("is there, and no baseline: {why}")))
        }
    }
}
