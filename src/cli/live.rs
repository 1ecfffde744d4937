//! `callflow live`: calls and findings as they happen. The only place where the clock on the wall counts: it says when to
//! look, and lets timers run out while no packet comes.

use super::args::{FailOn, LiveArgs, LiveFormat, ScreenArgs};
use super::config::Found;
use super::pipeline::{self, Judge};
use super::{Status, Stop, follow, output, say, select};
use crate::analysis::{Analysis, Analyzer, Options};
use crate::base::{Anomaly, AnomalyKind, Batch, Error, Timestamp};
use crate::capture::{self, CaptureFile, Filtered, Heard, Live, Settings, Source};
use crate::report::{self, Counts, Report, Selection, count};
use crate::rules::Finding;
use crate::story::{News, Story, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait for packets before the clock is asked.
const WAIT: Duration = Duration::from_millis(200);
/// How often to look, unless looking takes long.
const LOOK: Duration = Duration::from_secs(1);
/// Of the time, the part that looking may take: the rest is for packets.
const SHARE: u32 = 3;
/// A packet may take so long from the wire to here; what did not come by then does not come.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Packets whose times are so near to the clock on the wall are of now, and silence after them is silence. Those of an
/// old capture have their own time.
const NOW: Duration = Duration::from_secs(10);

/// Runs the command.
pub(super) fn live(args: &LiveArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let mut output = output::open(args.output.as_deref(), screen)?;
    if args.list_interfaces {
        for (name, about) in capture::interfaces()? {
            writeln!(output.out, "{}", report::escape::text(format!("{name}  {about}").trim_end()))?;
        }
        output.out.flush()?;
        return Ok(Status::Clean);
    }
    let stop_on = args.stop_on.iter().map(|name| select::rule_code(name)).collect::<Result<Vec<_>, _>>()?;
    let judge = Judge::new(&args.known)?;
    let options = Options { copies: true, ..pipeline::options(&args.known)? };
    let stop = follow::stop_flag().map_err(|source| Error::Usage(format!("live: {source}")))?;
    let source = match open(args, &stop) {
        Err(error @ Error::Device { .. }) => {
            say(&error);
            return Ok(Status::Unread);
        }
        source => source?,
    };
    let mut show =
        Show { args, output, judge, stop_on, counts: Counts::default(), ignored: 0, calls: 0, stopped: false };
    let run = || Run::new(args, source, options).run(&mut show, &stop);
    match args.known.threads {
        None => run(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build()
            .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))?
            .in_place_scope(|_| run()),
    }
}

/// Opens what the arguments name: interfaces, standard input, or a file that grows.
fn open(args: &LiveArgs, stop: &Arc<AtomicBool>) -> Result<Live, Error> {
    let (is_stdin, words) = match args.words.split_first() {
        Some((first, rest)) if first == "-" => (true, rest),
        _ => (false, &args.words[..]),
    };
    let filter = words.join(" ");
    if is_stdin || args.follow.is_some() {
        let path = args.follow.clone().unwrap_or_else(|| PathBuf::from("-"));
        if is_stdin && args.follow.is_some() {
            return Err(Error::Usage("live: either - or --follow".to_owned()));
        }
        if !filter.is_empty() {
            // What libpcap does not accept is told before the first packet.
            Filtered::new(Box::new(capture::Merged::default()), &filter)?;
        }
        let stop = Arc::clone(stop);
        return Ok(Live::read(move || {
            let file: Box<dyn Source> = match path.as_path() {
                path if path == Path::new("-") => Box::new(CaptureFile::read(Box::new(io::stdin()), path)?),
                path => Box::new(CaptureFile::follow(path, stop)?),
            };
            Ok(if filter.is_empty() { file } else { Box::new(Filtered::new(file, &filter)?) })
        }));
    }
    let settings = Settings {
        snaplen: args.snaplen,
        ring: args.ring_size,
        promiscuous: !args.no_promisc,
        immediate: args.immediate,
        filter,
    };
    let live = Live::listen(&args.interface, &settings)?;
    say(&format_args!("listening on {}; Ctrl-C ends it", args.interface.join(", ")));
    Ok(live)
}

/// One run: from the source through the analyzer to what is shown.
struct Run<'a> {
    args: &'a LiveArgs,
    source: Live,
    analyzer: Analyzer,
    watch: Watch,
    clock: Clock,
    packets: u64,
    messages: u64,
    given_up: u64,
    unread: bool,
    /// On a terminal.
    status: ProgressBar,
}

impl<'a> Run<'a> {
    fn new(args: &'a LiveArgs, source: Live, options: Options) -> Self {
        Self {
            args,
            source,
            analyzer: Analyzer::new(options),
            watch: Watch::new(),
            clock: Clock::default(),
            packets: 0,
            messages: 0,
            given_up: 0,
            unread: false,
            status: status_line(),
        }
    }

    fn run(mut self, show: &mut Show<'_>, stop: &AtomicBool) -> Result<Status, Stop> {
        let start = clock_on_the_wall();
        let mut looked = start;
        let mut pause = LOOK;
        let mut more = true;
        while more {
            more = self.take(WAIT);
            let late = self.args.duration.is_some_and(|seconds| start.elapsed() >= Duration::from_secs(seconds.into()));
            if stop.load(Ordering::Acquire) || late || self.args.count == Some(self.packets) {
                break;
            }
            if looked.elapsed() >= pause || self.analyzer.held() > self.args.max_memory / 2 {
                let before = clock_on_the_wall();
                self.look(show)?;
                looked = clock_on_the_wall();
                pause = LOOK.max(looked.duration_since(before) * SHARE);
                if show.stopped {
                    break;
                }
            }
        }
        self.source.stop();
        // What was captured before the end still counts, but a stream that never ends has to wait in vain.
        let end = clock_on_the_wall();
        while more && self.args.count != Some(self.packets) && end.elapsed() < LOOK && self.take(WAIT) {}
        self.end(show)
    }

    /// Takes what came; whether there may be more.
    fn take(&mut self, wait: Duration) -> bool {
        match self.source.next(wait) {
            Heard::Packets(mut batch) => {
                let left = self.args.count.map_or(u64::MAX, |count| count - self.packets);
                batch.packets.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                self.packets += batch.packets.len() as u64;
                let keys = self.source.key_log();
                if !keys.is_empty() {
                    self.analyzer.add_keys(&keys);
                }
                self.clock.hear(&batch);
                self.analyzer.push(&batch);
            }
            Heard::Nothing => {}
            Heard::Failed(error) => {
                self.unread = true;
                self.status.suspend(|| say(&error));
            }
            Heard::End => return false,
        }
        true
    }

    fn look(&mut self, show: &mut Show<'_>) -> Result<(), Stop> {
        let now = self.clock.now();
        let story = show.judge(self.analyzer.look(now));
        let news = self.watch.hear(&story, now, false, self.args.max_memory / 2);
        self.messages = story.analysis.stats.messages;
        self.given_up += news.given_up as u64;
        self.status.suspend(|| show.tell(&story, &news))?;
        self.analyzer.forget(&story.analysis, |call| !news.over[call]);
        self.tell_status();
        Ok(())
    }

    fn end(mut self, show: &mut Show<'_>) -> Result<Status, Stop> {
        self.status.finish_and_clear();
        let captures = self.source.captures();
        let drops: u64 = captures.iter().map(|capture| capture.drops).sum();
        let mut note = |text: String| self.analyzer.note(Anomaly::new(AnomalyKind::LimitReached, 0, 0, text));
        if self.given_up > 0 {
            note(format!("{} given up to keep below --max-memory", count(self.given_up as usize, "open call")));
        }
        if drops > 0 {
            let text = format!("{} dropped while listening", count(drops as usize, "packet"));
            self.analyzer.note(Anomaly::new(AnomalyKind::DroppedPackets, 0, 0, text));
        }
        self.analyzer.end();
        let now = self.clock.now();
        let mut analysis = self.analyzer.last_look(now);
        analysis.health.dropped = drops;
        analysis.anomalies.merge(self.source.take_anomalies());
        let story = show.judge(analysis);
        let news = self.watch.hear(&story, now, true, usize::MAX);
        show.tell(&story, &news)?;
        show.end(&captures, &story.analysis)?;
        let unread = self.unread || captures.iter().any(|capture| !capture.complete);
        let status = show.status();
        // The program ends here, with threads that may still wait for a stream.
        std::mem::forget(self.source);
        Ok(if unread { status.and(Status::Unread) } else { status })
    }

    fn tell_status(&self) {
        if self.status.is_hidden() {
            return;
        }
        let drops: u64 = self.source.captures().iter().map(|capture| capture.drops).sum();
        let given_up = if self.given_up > 0 { format!(", {} given up", self.given_up) } else { String::new() };
        self.status.set_message(format!(
            "{}, {}, {} open{given_up}, {drops} dropped",
            count(self.packets as usize, "packet"),
            count(self.messages as usize, "SIP message"),
            count(self.watch.open(), "call"),
        ));
        self.status.tick();
    }
}

/// What is told, and what it came to.
struct Show<'a> {
    args: &'a LiveArgs,
    output: output::Output,
    judge: Judge,
    stop_on: Vec<&'static str>,
    counts: Counts,
    ignored: usize,
    calls: usize,
    stopped: bool,
}

impl Show<'_> {
    /// As `check` does, callflow.toml included.
    fn judge(&self, analysis: Analysis) -> Story {
        let mut story = self.judge.judge(analysis);
        let found = Found { analysis: &story.analysis, flows: &story.flows, findings: &mut story.findings };
        self.args.known.project.mark(&[], found, false);
        story
    }

    fn tell(&mut self, story: &Story, news: &News) -> io::Result<()> {
        let Story { analysis, flows, findings } = story;
        let number = |call: usize| news.numbers[call];
        let (told, ignored): (Vec<&Finding>, Vec<&Finding>) =
            news.findings.iter().map(|at| &findings[*at]).partition(|finding| finding.ignored.is_none());
        self.ignored += ignored.len();
        self.stopped |= told.iter().any(|finding| self.stop_on.contains(&finding.rule.code));
        self.counts = add(self.counts, Counts::of(told.iter().copied()));
        self.calls = self.calls.max(news.numbers.iter().map(|number| number + 1).max().unwrap_or(0));
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

    fn end(&mut self, captures: &[capture::CaptureInfo], analysis: &Analysis) -> io::Result<()> {
        let (style, out) = (self.output.style, &mut self.output.out);
        match self.args.format {
            LiveFormat::Ndjson => report::write_end(captures, analysis, self.calls, self.counts, self.ignored, out)?,
            LiveFormat::Text => report::live::end(analysis, self.calls, self.counts, style, out)?,
        }
        out.flush()
    }

    fn status(&self) -> Status {
        let Counts { error, warning, info, .. } = self.counts;
        let failing = match self.args.fail_on {
            FailOn::Error => error,
            FailOn::Warning => error + warning,
            FailOn::Info => error + warning + info,
            FailOn::Never => 0,
        };
        match failing {
            0 if self.calls == 0 && !self.args.allow_empty => {
                say(&"no SIP was heard");
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

/// What time it is for the packets.
#[derive(Default)]
struct Clock {
    last: Option<Timestamp>,
    /// Whether the last packets were of the time on the wall when they came.
    is_now: bool,
}

impl Clock {
    fn hear(&mut self, batch: &Batch) {
        if let Some(last) = batch.packets.iter().map(|packet| packet.time).max() {
            self.last = self.last.max(Some(last));
            self.is_now = (wall() - last).unsigned_abs() < NOW.as_nanos() as u64;
        }
    }

    fn now(&self) -> Timestamp {
        let last = self.last.unwrap_or_default();
        if !self.is_now {
            return last;
        }
        last.max(Timestamp::from_nanos(wall().as_nanos() - ON_THE_WAY.as_nanos() as i64))
    }
}

#[allow(clippy::disallowed_methods)] // packets that do not come have no time
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(since.as_nanos().min(i64::MAX as u128) as i64)
}

#[allow(clippy::disallowed_methods)] // when to look is no matter of packets
fn clock_on_the_wall() -> Instant {
    Instant::now()
}

/// A line at the bottom of a terminal.
fn status_line() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        line.set_style(style);
    }
    line
}
