//! One run: from the source through the analyzer to what is shown.

use super::clock::{Clock, clock_on_the_wall};
use super::ops::{self, Ops};
use super::show::Show;
use super::tap::{Pulse, Tap};
use crate::analysis::{Analyzer, Options};
use crate::base::{Anomaly, AnomalyKind};
use crate::capture::{Heard, Live};
use crate::cli::args::LiveArgs;
use crate::cli::log::{self, Level};
use crate::cli::{Status, Stop, pipeline};
use crate::report::count;
use crate::story::{News, Stage, Story, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait for packets before the clock is asked.
const WAIT: Duration = Duration::from_millis(200);
/// How often to look, unless looking takes long.
const LOOK: Duration = Duration::from_secs(1);
/// Of the time, the part that looking may take: the rest is for packets.
const SHARE: u32 = 3;
/// One run: from the source through the analyzer to what is shown.
pub(super) struct Run<'a> {
    args: &'a LiveArgs,
    source: Live,
    analyzer: Analyzer,
    watch: Watch,
    taps: Vec<Box<dyn Tap>>,
    clock: Clock,
    ops: Ops<'a>,
    /// How long the last look took.
    look: Duration,
    reload_failed: bool,
    packets: u64,
    messages: u64,
    given_up: u64,
    unread: bool,
    /// On a terminal.
    status: ProgressBar,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        args: &'a LiveArgs,
        source: Live,
        options: Options,
        taps: Vec<Box<dyn Tap>>,
        ops: Ops<'a>,
    ) -> Self {
        Self {
            args,
            source,
            analyzer: Analyzer::new(options),
            watch: Watch::new(),
            taps,
            clock: Clock::default(),
            ops,
            look: Duration::ZERO,
            reload_failed: false,
            packets: 0,
            messages: 0,
            given_up: 0,
            unread: false,
            status: status_line(),
        }
    }

    pub(super) fn run(mut self, show: &mut Show<'_>, stop: &AtomicBool) -> Result<Status, Stop> {
        let start = clock_on_the_wall();
        let mut looked = start;
        let mut pause = LOOK;
        let mut more = true;
        self.ops.ready();
        while more {
            more = self.take(WAIT);
            self.obey(show);
            let late = self.args.duration.is_some_and(|seconds| start.elapsed() >= Duration::from_secs(seconds.into()));
            if stop.load(Ordering::Acquire) || late || self.args.count == Some(self.packets) {
                break;
            }
            if looked.elapsed() >= pause || self.analyzer.held() > self.room() {
                let before = clock_on_the_wall();
                self.look(show)?;
                looked = clock_on_the_wall();
                pause = LOOK.max(looked.duration_since(before) * SHARE);
                if show.stopped {
                    break;
                }
            }
        }
        self.ops.stopping();
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
                if let Some(nanos) = self.clock.hear(&batch) {
                    self.set_clock(nanos);
                }
                let batch = Arc::new(batch);
                self.taps.iter_mut().for_each(|tap| tap.packets(&batch));
                self.analyzer.push(&batch);
                let messages = self.analyzer.latest();
                self.taps.iter_mut().for_each(|tap| tap.messages(messages));
            }
            Heard::Nothing => {}
            Heard::Failed(error) => {
                self.unread = true;
                self.status.suspend(|| log::tell(Level::Error, "input-failed", &error, &[]));
            }
            Heard::Told(text) => self.status.suspend(|| log::tell(Level::Warning, "input", &text, &[])),
            Heard::End => return false,
        }
        true
    }

    /// Does what signals and systemd ask for.
    fn obey(&mut self, show: &mut Show<'_>) {
        if let Some(args) = self.ops.reload() {
            self.reload(show, args);
        }
        if self.ops.wants_status() {
            let pulse = self.pulse();
            self.status.suspend(|| pulse.tell());
        }
        if self.ops.owes_a_beat() {
            self.ops.beat(&self.pulse().to_string());
        }
    }

    /// Takes over what the configuration and the user's files say by now, all of it or nothing.
    fn reload(&mut self, show: &mut Show<'_>, args: Result<LiveArgs, String>) {
        let keys = args.and_then(|args| {
            let keys = pipeline::key_log(&args.known).map_err(|why| why.to_string())?;
            show.learn(&args.known).map_err(|why| why.to_string())?;
            Ok(keys)
        });
        self.reload_failed = keys.is_err();
        let reopened = show.reopen();
        self.status.suspend(|| {
            match &keys {
                Ok(_) => log::tell(Level::Info, "reloaded", &"the configuration was read again", &[]),
                Err(why) => {
                    log::tell(Level::Error, "reload-failed", &format_args!("{why}; what held before holds"), &[]);
                }
            }
            if let Err(why) = reopened {
                let why = format_args!("{why}; the output goes where it went before");
                log::tell(Level::Error, "reopen-failed", &why, &[]);
            }
        });
        self.analyzer.add_keys(&keys.unwrap_or_default());
    }

    /// No time passes for what is open when the clock of the packets is set.
    fn set_clock(&mut self, nanos: i64) {
        self.analyzer.step(nanos);
        self.watch.step(nanos);
        let (way, by) = (if nanos > 0 { "forward" } else { "back" }, Duration::from_nanos(nanos.unsigned_abs()));
        let text = format!(
            "the clock of this machine was set {way} by {:.1} s; open calls go by the new one",
            by.as_secs_f64()
        );
        self.status.suspend(|| log::tell(Level::Warning, "clock-set", &text, &[]));
        self.analyzer.note(Anomaly::new(AnomalyKind::ClockSet, 0, 0, text));
    }

    /// Bytes that open calls may take. As much again goes to judging them, to connections and fragments, and to what the
    /// allocator cannot use.
    fn room(&self) -> usize {
        self.args.max_memory / 3
    }

    fn look(&mut self, show: &mut Show<'_>) -> Result<(), Stop> {
        let start = clock_on_the_wall();
        let now = self.clock.now();
        let story = show.judge(self.analyzer.look(now, self.room()));
        let news = self.watch.hear(&story, now, Stage::Running, |call| self.analyzer.gives_up(call));
        self.messages = story.analysis.stats.messages;
        self.given_up += news.given_up as u64;
        for id in self.analyzer.take_unjudged() {
            self.given_up += self.watch.lose(&id) as u64;
        }
        self.status.suspend(|| show.tell(&story, &news))?;
        self.look = start.elapsed();
        self.tell_notes();
        self.tell_taps(&story, &news);
        self.analyzer.forget(&story.analysis, |call| news.stays[call]);
        self.tell_status();
        Ok(())
    }

    fn end(mut self, show: &mut Show<'_>) -> Result<Status, Stop> {
        self.status.finish_and_clear();
        self.tell_notes();
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
        let messages = self.analyzer.latest();
        self.taps.iter_mut().for_each(|tap| tap.messages(messages));
        let story = loop {
            let now = self.clock.now();
            let (mut analysis, is_all) = self.analyzer.last_look(now, self.room());
            analysis.health.dropped = drops;
            if is_all {
                analysis.anomalies.merge(self.source.take_anomalies());
            }
            let story = show.judge(analysis);
            let stage = if is_all { Stage::Last } else { Stage::Ending };
            let news = self.watch.hear(&story, now, stage, |_| false);
            show.tell(&story, &news)?;
            self.tell_taps(&story, &news);
            if is_all {
                break story;
            }
            self.analyzer.forget(&story.analysis, |call| news.stays[call]);
        };
        for mut tap in std::mem::take(&mut self.taps) {
            self.unread |= !tap.end();
        }
        show.end(&captures, &story.analysis, self.watch.calls())?;
        let unread = self.unread || captures.iter().any(|capture| !capture.complete);
        let status = show.status();
        // The program ends here, with threads that may still wait for a stream.
        std::mem::forget(self.source);
        Ok(if unread { status.and(Status::Unread) } else { status })
    }

    /// What inputs want the user to know.
    fn tell_notes(&self) {
        for note in self.source.take_notes() {
            self.status.suspend(|| log::tell(Level::Warning, "input", &note, &[]));
        }
    }

    fn tell_taps(&mut self, story: &Story, news: &News) {
        if self.taps.is_empty() {
            return;
        }
        let pulse = self.pulse();
        for tap in &mut self.taps {
            tap.news(story, news);
            tap.pulse(&pulse);
            for trouble in tap.troubles() {
                self.status.suspend(|| log::tell(Level::Error, "trouble", &trouble, &[]));
            }
        }
    }

    fn pulse(&self) -> Pulse {
        let captures = self.source.captures();
        let ended = captures.iter().filter(|capture| !capture.complete);
        let ended = ended.map(|capture| format!("{} is gone, or ended with an error", capture.path));
        Pulse {
            packets: self.packets,
            messages: self.messages,
            open: self.watch.open(),
            given_up: self.given_up,
            held: self.analyzer.held(),
            resident: ops::resident(),
            look: self.look,
            reload_failed: self.reload_failed,
            faults: ended.chain(self.taps.iter().filter_map(|tap| tap.fault())).collect(),
            captures,
        }
    }

    fn tell_status(&self) {
        if self.status.is_hidden() {
            return;
        }
        self.status.set_message(self.pulse().to_string());
        self.status.tick();
    }
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
