//! From files to findings: opens the source, feeds the analyzer, compares and judges.

use super::args::{InputArgs, KnownArgs, Voice};
use super::config::Found;
use super::{Stop, follow, say};
use crate::analysis::{Analysis, Analyzer, Options, Remarks, RsaKey};
use crate::base::{BadName, Batch, Error, Names};
use crate::capture::{self, CaptureInfo, Filtered, InterfaceInfo, More, Opened, Source};
use crate::flow::{Catalog, FlowMatch};
use crate::report::count;
use crate::rules::{self, BadLine, Finding, Knowledge, Passwords};
use crate::story::{self, Story};
use indicatif::{ProgressBar, ProgressStyle};
use std::borrow::Cow;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files smaller than this are read before a progress bar could be looked at.
const LONG_FILE: u64 = 50 << 20;

/// What one run over the input gives.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) captures: Vec<CaptureInfo>,
    pub(super) analysis: Analysis,
    pub(super) flows: Vec<FlowMatch>,
    pub(super) findings: Vec<Finding>,
    /// Some of the input could not be read in full; standard error says what.
    pub(super) unread: bool,
    /// What it says, line by line.
    pub(super) troubles: Vec<String>,
}

/// The captures that the arguments name: one, or with `--each` as many as there are files.
pub(super) fn groups(input: &InputArgs) -> Vec<Vec<PathBuf>> {
    if !input.each {
        return vec![input.files.clone()];
    }
    let (files, errors) = capture::expand(&input.files);
    // What cannot be looked at is opened again below, where the error is told and counted.
    let unusable = errors.into_iter().filter_map(|error| match error {
        Error::Io { path, .. } | Error::NotACapture { path, .. } | Error::NoCaptures { path } => Some(path),
        _ => None,
    });
    files.into_iter().chain(unusable).map(|file| vec![file]).collect()
}

/// `--each` means nothing to a command that looks at all calls together.
pub(super) fn refuse_each(input: &InputArgs, command: &str) -> Result<(), Error> {
    if input.each { Err(Error::Usage(format!("{command} has no use for --each"))) } else { Ok(()) }
}

/// Reads `files` as one capture and judges it. Whatever can be read is; what cannot is said.
pub(super) fn run(input: &InputArgs, files: &[PathBuf]) -> Result<Outcome, Stop> {
    use_threads(input.known.threads)?;
    analyse(input, files)
}

/// Everything that is done by all threads, reports included, is done by so many.
pub(super) fn use_threads(threads: Option<u16>) -> Result<(), Error> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let Some(threads) = threads else {
        return Ok(());
    };
    let build = || rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    let done = DONE.get_or_init(|| build().map_err(|error| error.to_string()));
    done.clone().map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))
}

fn analyse(input: &InputArgs, files: &[PathBuf]) -> Result<Outcome, Stop> {
    let known = &input.known;
    let mut judge = Judge::new(known)?;
    let mut analyzer = Analyzer::new(options(known)?);
    let opened = if input.follow { follow::open(files, known.voice)? } else { capture::open(files) };
    let (mut source, mut troubles) = opened_source(input, opened)?;
    troubles.extend(feed(source.as_mut(), &mut analyzer, &progress(files, known.voice))?);
    let mut analysis = analyzer.finish();
    analysis.anomalies.merge(source.take_anomalies());
    let captures = add_what_source_knows(&mut analysis, source.as_ref());
    judge.name(source.names());
    let unread = is_unread(input, &captures, &troubles);
    let Story { analysis, flows, mut findings } = judge.judge(analysis);
    let verbose = known.voice == Voice::Verbose;
    let found = Found { analysis: &analysis, flows: &flows, findings: &mut findings };
    known.project.mark(&captures, found, verbose).iter().for_each(|(_, remark)| say(remark));
    if verbose {
        tell(known, &captures, &analysis, &flows, &findings);
    }
    Ok(Outcome { captures, analysis, flows, findings, unread, troubles })
}

/// The source that was opened, as the user wants it. What could not be opened is said.
pub(super) fn opened_source(input: &InputArgs, opened: Opened) -> Result<(Box<dyn Source>, Vec<String>), Error> {
    let troubles: Vec<String> = opened.errors.iter().map(ToString::to_string).collect();
    for trouble in &troubles {
        say(trouble);
    }
    Ok((filtered(input, opened.source)?, troubles))
}

/// Adds to an analysis what the source knows beside the packets. What it says of its captures.
pub(super) fn add_what_source_knows(analysis: &mut Analysis, source: &dyn Source) -> Vec<CaptureInfo> {
    analysis.remarks =
        Remarks { comments: source.comments().iter().map(|comment| (comment.frame, comment.text.clone())).collect() };
    let captures = source.captures().to_vec();
    analysis.health.dropped = captures.iter().fold(0, |sum, capture| sum.saturating_add(capture.drops));
    analysis.name_points(|point| label(&captures, source.point(point)));
    for (at, point) in analysis.points.iter_mut().enumerate() {
        point.capture = source.point(at as u32).0;
    }
    captures
}

/// Whether some of the input could not be read in full.
pub(super) fn is_unread(input: &InputArgs, captures: &[CaptureInfo], troubles: &[String]) -> bool {
    let is_cut = |capture: &CaptureInfo| !capture.complete || (input.strict && capture.cut.is_some());
    !troubles.is_empty() || captures.iter().any(is_cut)
}

/// What the user says of the traffic, as the analyzer wants it.
pub(super) fn options(known: &KnownArgs) -> Result<Options, Error> {
    let key_log = key_log(known)?;
    let rsa_keys = known.rsa_key.iter().map(|path| rsa_keys(path)).collect::<Result<Vec<_>, _>>()?.concat();
    let (sip_ports, leg_headers) = (known.decode_as.clone(), known.leg_header.clone());
    Ok(Options { key_log, rsa_keys, sip_ports, leg_headers, ..Options::default() })
}

/// Reads the file of `--keylog`.
pub(super) fn key_log(known: &KnownArgs) -> Result<Vec<u8>, Error> {
    match &known.keylog {
        None => Ok(Vec::new()),
        Some(path) => {
            std::fs::read(path).map_err(|source| Error::Usage(format!("--keylog {}: {source}", path.display())))
        }
    }
}

/// Compares and judges analyses: the same for files and for what is going on.
pub(super) struct Judge {
    catalog: &'static Catalog,
    knowledge: Knowledge,
    names: Names,
}

impl Judge {
    /// With the files that the user names.
    pub(super) fn new(known: &KnownArgs) -> Result<Self, Error> {
        Self::with(known, catalog(&known.flow_file)?)
    }

    /// With what the user's files say by now, and the same flows.
    pub(super) fn again(&self, known: &KnownArgs) -> Result<Self, Error> {
        Self::with(known, self.catalog)
    }

    fn with(known: &KnownArgs, catalog: &'static Catalog) -> Result<Self, Error> {
        let passwords = known.passwords.as_deref().map(passwords).transpose()?.unwrap_or_default();
        let mut names = known.names.as_deref().map(names).transpose()?.unwrap_or_default();
        known.project.name(&mut names);
        Ok(Self { knowledge: Knowledge { passwords, settings: known.project.rules.clone() }, catalog, names })
    }

    /// Takes over the names that a capture gives; the user's go before them.
    pub(super) fn name(&mut self, names: &capture::Names) {
        names.iter().for_each(|(address, name)| self.names.add(address, name));
    }

    /// The calls of an analysis, compared with the flows and judged by the rules.
    pub(super) fn judge(&self, mut analysis: Analysis) -> Story {
        analysis.names = self.names.clone();
        let (flows, mut findings) = rules::judge_with(self.catalog, &analysis, &self.knowledge);
        for finding in &mut findings {
            for text in [&mut finding.summary, &mut finding.detail] {
                if let Cow::Owned(told) = analysis.names.annotate(text) {
                    *text = told;
                }
            }
        }
        story::tell(analysis, flows, findings)
    }
}

/// What `--verbose` says: what was read, and what every stage made of it, in counts; times would differ from run to run.
fn tell(known: &KnownArgs, captures: &[CaptureInfo], analysis: &Analysis, flows: &[FlowMatch], findings: &[Finding]) {
    match &known.project.file {
        Some(file) => say(&format_args!("configuration: {}", file.display())),
        None => say(&"configuration: none"),
    }
    for capture in captures {
        let (packets, bytes) = (count(capture.packets as usize, "packet"), capture.bytes);
        say(&format_args!("read: {}: {}, {packets}, {bytes} bytes", capture.path, capture.format));
    }
    let stats = &analysis.stats;
    for (kind, counted) in stats.coverage.iter() {
        say(&format_args!("decoded: {}: {}", kind.words(), counted.packets));
    }
    let transactions: usize = analysis.calls.iter().map(|call| call.transactions.len()).sum();
    let dialogs: usize = analysis.calls.iter().map(|call| call.dialogs.len()).sum();
    let anomalies: u64 = analysis.anomalies.iter().map(|(_, summary)| summary.count).sum();
    say(&format_args!(
        "parsed: {}, not understood: {}",
        count(stats.messages as usize, "SIP message"),
        count(anomalies as usize, "thing")
    ));
    say(&format_args!(
        "built: {}, {}, {}",
        count(transactions, "transaction"),
        count(dialogs, "dialog"),
        count(analysis.calls.len(), "call")
    ));
    let matched = flows.iter().filter(|flow| flow.flow.is_some()).count();
    say(&format_args!("compared: {matched} of {} with a reference flow", count(flows.len(), "call")));
    let ignored = findings.iter().filter(|finding| finding.ignored.is_some()).count();
    say(&format_args!("judged: {}, {ignored} of them ignored", count(findings.len(), "finding")));
}

/// The packets of `source` that `--bpf` lets through.
fn filtered(input: &InputArgs, source: Box<dyn Source>) -> Result<Box<dyn Source>, Error> {
    Ok(match &input.bpf {
        None => source,
        Some(expression) => Box::new(Filtered::new(source, expression)?),
    })
}

/// Reads the input again, to which an [`Outcome`] was told; what could not be read then is passed over here.
pub(super) fn again(
    input: &InputArgs,
    mut take: impl FnMut(&Batch, &mut dyn Source) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut source = filtered(input, capture::open(&input.files).source)?;
    let mut batch = Batch::default();
    loop {
        match source.next_batch(&mut batch) {
            Ok(More::More) => take(&batch, source.as_mut())?,
            Ok(More::End) => return Ok(()),
            Err(_) => {} // told when it was read first; the other files go on
        }
    }
}

/// An observation point as people know it: the file, and the interface where the file has several.
fn label(captures: &[CaptureInfo], (capture, interface): (usize, u32)) -> String {
    let Some(info) = captures.get(capture) else {
        return format!("observation point {interface}");
    };
    match info.interfaces.get(interface as usize).filter(|_| info.interfaces.len() > 1) {
        Some(InterfaceInfo { name: Some(name), .. }) => format!("{} {name}", info.path),
        Some(_) => format!("{} interface {interface}", info.path),
        None => info.path.clone(),
    }
}

/// Who takes packets in.
pub(super) trait Intake {
    fn analyzer(&mut self) -> &mut Analyzer;
    /// What is done after each batch, beside a progress bar.
    fn taken(&mut self, _batch: &Batch, _source: &dyn Source, _progress: &ProgressBar) -> Result<(), Stop> {
        Ok(())
    }
}

impl Intake for Analyzer {
    fn analyzer(&mut self) -> &mut Analyzer {
        self
    }
}

/// Gives all packets to `intake`; what could not be read.
pub(super) fn feed(
    source: &mut dyn Source,
    intake: &mut dyn Intake,
    progress: &ProgressBar,
) -> Result<Vec<String>, Stop> {
    let (mut batch, mut next) = (Batch::default(), Batch::default());
    let mut more = source.next_batch(&mut batch);
    let mut troubles = Vec::new();
    loop {
        let keys = source.key_log();
        if !keys.is_empty() {
            intake.analyzer().add_keys(&keys);
        }
        more = match more {
            // The next packets are read while these are taken in.
            Ok(More::More) => {
                let analyzer = intake.analyzer();
                let (more, ()) = rayon::join(|| source.next_batch(&mut next), || analyzer.push(&batch));
                intake.taken(&batch, source, progress)?;
                std::mem::swap(&mut batch, &mut next);
                more
            }
            Ok(More::End) => break,
            // The next call goes on with the other files, or ends.
            Err(error) => {
                progress.suspend(|| say(&error));
                troubles.push(error.to_string());
                source.next_batch(&mut batch)
            }
        };
        progress.set_position(source.captures().iter().map(|capture| capture.bytes).sum());
    }
    progress.finish_and_clear();
    Ok(troubles)
}

/// The flows that calls are compared with: the user's, then those of BCP 75.
pub(super) fn catalog(files: &[PathBuf]) -> Result<&'static Catalog, Error> {
    if files.is_empty() {
        return Ok(Catalog::built_in());
    }
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|why| Error::Usage(format!("--flow-file {name}: {why}")));
        Ok((name, text?))
    };
    let texts = files.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    let catalog = Catalog::with(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
    // One for the run of the program, as the one that is built in.
    Ok(Box::leak(Box::new(catalog)))
}

/// Reads a file of `--rsa-key`; an error tells nothing of what stands there.
fn rsa_keys(path: &Path) -> Result<Vec<RsaKey>, Error> {
    let told = |why: &dyn std::fmt::Display| Error::Usage(format!("--rsa-key {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| told(&error))?;
    RsaKey::parse(&pem).map_err(|why| told(&why))
}

/// Reads the file of `--passwords`; an error names its line and nothing that stands there.
fn passwords(path: &Path) -> Result<Passwords, Error> {
    let text =
        std::fs::read(path).map_err(|source| Error::Usage(format!("--passwords {}: {source}", path.display())))?;
    let told = |bad: BadLine| Error::Usage(format!("--passwords {}:{}: {}", path.display(), bad.line, bad.why));
    Passwords::parse(&text).map_err(told)
}

/// Reads the file of `--names`.
fn names(path: &Path) -> Result<Names, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Usage(format!("--names {}: {source}", path.display())))?;
    let told = |bad: BadName| Error::Usage(format!("--names {}:{}: {}", path.display(), bad.line, bad.why));
    Names::parse(&text).map_err(told)
}

/// A bar on a terminal for long input; else nothing.
pub(super) fn progress(files: &[PathBuf], voice: Voice) -> ProgressBar {
    let bytes: u64 = files.iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum();
    if voice == Voice::Quiet || bytes < LONG_FILE || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
