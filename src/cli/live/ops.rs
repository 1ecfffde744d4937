//! Orders from outside while it runs (signals), and what systemd wants to hear.

use super::clock::clock_on_the_wall;
use crate::cli::args::LiveArgs;
use signal_hook::flag;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often systemd hears that it goes on; WatchdogSec= is many times that.
const BEAT: Duration = Duration::from_secs(1);

/// Gives the arguments once more, with what the configuration says by now; in words why that cannot be.
pub(in crate::cli) type Again<'a> = &'a dyn Fn() -> Result<LiveArgs, String>;

/// The orders that came.
pub(super) struct Ops<'a> {
    again: Again<'a>,
    reload: Arc<AtomicBool>,
    status: Arc<AtomicBool>,
    /// How often the status is said without being asked for.
    every: Option<Duration>,
    said: Instant,
    /// When systemd heard of it last, if it listens.
    heard: Option<Instant>,
}

impl<'a> Ops<'a> {
    /// Takes signals from now on. `stop` ends the run.
    pub(super) fn new(args: &LiveArgs, again: Again<'a>, stop: &Arc<AtomicBool>) -> io::Result<Self> {
        let ops = Self {
            again,
            reload: Arc::default(),
            status: Arc::default(),
            every: args.ops.status.map(|seconds| Duration::from_secs(seconds.into())),
            said: clock_on_the_wall(),
            heard: std::env::var_os("NOTIFY_SOCKET").map(|_| clock_on_the_wall()),
        };
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGUSR1};
            // Whoever closes the terminal of a program wants it to end.
            let order = if io::stderr().is_terminal() { stop } else { &ops.reload };
            flag::register(SIGHUP, Arc::clone(order))?;
            flag::register(SIGUSR1, Arc::clone(&ops.status))?;
        }
        Ok(ops)
    }

    /// The arguments as they are by now, if they were asked for since the last time.
    pub(super) fn reload(&self) -> Option<Result<LiveArgs, String>> {
        self.reload.swap(false, Ordering::AcqRel).then(|| (self.again)())
    }

    /// Whether the status is to be said.
    pub(super) fn wants_status(&mut self) -> bool {
        let due = self.every.is_some_and(|every| self.said.elapsed() >= every);
        let wanted = self.status.swap(false, Ordering::AcqRel) || due;
        if due {
            self.said = clock_on_the_wall();
        }
        wanted
    }

    /// Packets are being taken.
    pub(super) fn ready(&self) {
        self.notify("READY=1");
    }

    /// Whether it is time that systemd hears of it.
    pub(super) fn owes_a_beat(&self) -> bool {
        self.heard.is_some_and(|heard| heard.elapsed() >= BEAT)
    }

    /// It goes on, and `line` is how it stands.
    pub(super) fn beat(&mut self, line: &str) {
        self.heard = Some(clock_on_the_wall());
        self.notify(&format!("WATCHDOG=1\nSTATUS={line}"));
    }

    /// It comes to its end.
    pub(super) fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    fn notify(&self, state: &str) {
        #[cfg(unix)]
        if self.heard.is_some() {
            // Who does not hear that it goes on starts it again: that is what is right then.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]);
        }
    }
}

/// Bytes of memory that the program takes, where the system tells.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
