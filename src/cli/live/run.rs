//! One run: from the source through the analyzer to what is shown.

use super::clock::{Clock, clock_on_the_wall};
use super::ops::{self, Ops};
use super::tap::{Pulse, Tap};
use crate::analysis::Options;
use crate::base::{Anomaly, AnomalyKind};
use crate::capture::{Heard, Live};
use crate::cli::args::LiveArgs;
use crate::cli::log::{self, Level};
use crate::cli::rolling::Rolling;
use crate::cli::teller::Teller;
use crate::cli::{Status, Stop, pipeline};
use crate::report::count;
use crate::story::{News, Story, Watch};
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
    rolling: Rolling,
    taps: Vec<Box<dyn Tap>>,
    clock: Clock,
    ops: Ops<'a>,
    /// How long the last look took.
    look: Duration,
    reload_failed: bool,
    packets: u64,
    messages: u64,
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
            rolling: Rolling::new(options, Watch::new(), args.max_memory),
            taps,
            clock: Clock::default(),
            ops,
            look: Duration::ZERO,
            reload_failed: false,
            packets: 0,
            messages: 0,
            unread: false,
            status: status_line(),
        }
    }

    pub(super) fn run(mut self, teller: &mut Teller<'_>, stop: &AtomicBool) -> Result<Status, Stop> {
        let start = clock_on_the_wall();
        let mut looked = start;
        let mut pause = LOOK;
        let mut more = true;
        self.ops.ready();
        while more {
            more = self.take(WAIT);
            self.obey(teller);
            let late = self.args.duration.is_some_and(|seconds| start.elapsed() >= Duration::from_secs(seconds.into()));
            if stop.load(Ordering::Acquire) || late || self.args.count == Some(self.packets) {
                break;
            }
            if looked.elapsed() >= pause || self.rolling.analyzer.held() > self.rolling.room() {
                let before = clock_on_the_wall();
                self.look(teller)?;
                looked = clock_on_the_wall();
                pause = LOOK.max(looked.duration_since(before) * SHARE);
                if teller.stopped {
                    break;
                }
            }
        }
        self.ops.stopping();
        self.source.stop();
        // What was captured before the end still counts, but a stream that never ends has to wait in vain.
        let end = clock_on_the_wall();
        while more && self.args.count != Some(self.packets) && end.elapsed() < LOOK && self.take(WAIT) {}
        self.end(teller)
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
                    self.rolling.analyzer.add_keys(&keys);
                }
                if let Some(nanos) = self.clock.hear(&batch) {
                    self.set_clock(nanos);
                }
                let batch = Arc::new(batch);
                self.taps.iter_mut().for_each(|tap| tap.packets(&batch));
                self.rolling.analyzer.push(&batch);
                let messages = self.rolling.analyzer.latest();
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
    fn obey(&mut self, teller: &mut Teller<'_>) {
        if let Some(args) = self.ops.reload() {
            self.reload(teller, args);
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
    fn reload(&mut self, teller: &mut Teller<'_>, args: Result<LiveArgs, String>) {
        let keys = args.and_then(|args| {
            let keys = pipeline::key_log(&args.known).map_err(|why| why.to_string())?;
            teller.learn(&args.known).map_err(|why| why.to_string())?;
            Ok(keys)
        });
        self.reload_failed = keys.is_err();
        let reopened = teller.reopen();
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
        self.rolling.analyzer.add_keys(&keys.unwrap_or_default());
    }

    /// No time passes for what is open when the clock of the packets is set.
    fn set_clock(&mut self, nanos: i64) {
        self.rolling.analyzer.step(nanos);
        self.rolling.watch.step(nanos);
        let (way, by) = (if nanos > 0 { "forward" } else { "back" }, Duration::from_nanos(nanos.unsigned_abs()));
        let text = format!(
            "the clock of this machine was set {way} by {:.1} s; open calls go by the new one",
            by.as_secs_f64()
        );
        self.status.suspend(|| log::tell(Level::Warning, "clock-set", &text, &[]));
        self.rolling.analyzer.note(Anomaly::new(AnomalyKind::ClockSet, 0, 0, text));
    }

    fn look(&mut self, teller: &mut Teller<'_>) -> Result<(), Stop> {
        let start = clock_on_the_wall();
        let now = self.clock.now();
        let (story, news) = self.status.suspend(|| self.rolling.look(now, teller))?;
        self.messages = story.analysis.stats.messages;
        self.look = start.elapsed();
        self.tell_notes();
        self.tell_taps(&story, &news);
        self.tell_status();
        Ok(())
    }

    fn end(mut self, teller: &mut Teller<'_>) -> Result<Status, Stop> {
        self.status.finish_and_clear();
        self.tell_notes();
        let captures = self.source.captures();
        let drops: u64 = captures.iter().map(|capture| capture.drops).sum();
        if drops > 0 {
            let text = format!("{} dropped while listening", count(drops as usize, "packet"));
            self.rolling.analyzer.note(Anomaly::new(AnomalyKind::DroppedPackets, 0, 0, text));
        }
        self.rolling.end();
        let messages = self.rolling.analyzer.latest();
        self.taps.iter_mut().for_each(|tap| tap.messages(messages));
        let story = loop {
            let (source, now) = (&self.source, self.clock.now());
            let (story, news, is_all) = self.rolling.last_look(now, teller, |analysis, is_all| {
                analysis.health.dropped = drops;
                if is_all {
                    analysis.anomalies.merge(source.take_anomalies());
                }
            })?;
            self.tell_taps(&story, &news);
            if is_all {
                break story;
            }
        };
        for mut tap in std::mem::take(&mut self.taps) {
            self.unread |= !tap.end();
        }
        teller.end(&captures, &story.analysis, self.rolling.watch.calls())?;
        let unread = self.unread || captures.iter().any(|capture| !capture.complete);
        let status = teller.status();
        if status == Status::Nothing {
            log::tell(Level::Warning, "no-sip", &"no SIP was heard", &[]);
        }
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
            open: self.rolling.watch.open(),
            given_up: self.rolling.given_up,
            held: self.rolling.analyzer.held(),
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
