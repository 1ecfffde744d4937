//! Those who listen beside the one who tells: each is one file, and none may hold up the packets.

use crate::base::Batch;
use crate::capture::CaptureInfo;
use crate::cli::log::{self, Level};
use crate::report::count;
use crate::session::Seen;
use crate::story::{News, Story};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Hears all that a live view hears. What takes time (a disk, a peer) is done in a thread of its own behind a bounded
/// queue; what does not fit is counted and told.
pub(super) trait Tap {
    /// Packets, before they are analysed.
    fn packets(&mut self, batch: &Arc<Batch>) {
        let _ = batch;
    }

    /// The messages that those packets completed.
    fn messages(&mut self, messages: &[Seen]) {
        let _ = messages;
    }

    /// What a look found, after it was told.
    fn news(&mut self, story: &Story, news: &News) {
        let _ = (story, news);
    }

    /// How it stands, after each look.
    fn pulse(&mut self, pulse: &Pulse) {
        let _ = pulse;
    }

    /// What the user must be told, once.
    fn troubles(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong with it by now, and was not when it started; the health page says it as long as it is so.
    fn fault(&self) -> Option<String> {
        None
    }

    /// Nothing follows: what waits is brought to its end, within seconds. Whether nothing was lost.
    fn end(&mut self) -> bool {
        true
    }
}

/// How a live view stands.
pub(super) struct Pulse {
    /// Packets taken so far.
    pub(super) packets: u64,
    /// SIP messages at the last look.
    pub(super) messages: u64,
    /// Calls that are open.
    pub(super) open: usize,
    /// Calls given up to keep below the limit of memory, so far.
    pub(super) given_up: u64,
    /// Bytes that open calls take, more or less.
    pub(super) held: usize,
    /// Bytes of memory that the program takes, where the system tells.
    pub(super) resident: Option<u64>,
    /// How long the last look took.
    pub(super) look: Duration,
    /// Whether the configuration that was read last was refused.
    pub(super) reload_failed: bool,
    /// What is wrong, in words.
    pub(super) faults: Vec<String>,
    /// What is known of each input.
    pub(super) captures: Vec<CaptureInfo>,
}

impl fmt::Display for Pulse {
    /// The status line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given_up = if self.given_up > 0 { format!(", {} given up", self.given_up) } else { String::new() };
        write!(
            f,
            "{}, {}, {} open in {} MiB{given_up}, {} dropped",
            count(self.packets as usize, "packet"),
            count(self.messages as usize, "SIP message"),
            count(self.open, "call"),
            self.held >> 20,
            self.drops(),
        )
    }
}

impl Pulse {
    /// Says on standard error how it stands.
    pub(super) fn tell(&self) {
        let resident = self.resident.map_or(String::new(), |bytes| format!("; {} MiB of memory in all", bytes >> 20));
        let fields = [
            ("packets", self.packets.into()),
            ("messages", self.messages.into()),
            ("open", self.open.into()),
            ("held_bytes", self.held.into()),
            ("given_up", self.given_up.into()),
            ("dropped", self.drops().into()),
            ("resident_bytes", self.resident.into()),
        ];
        log::tell(Level::Info, "status", &format_args!("{self}{resident}"), &fields);
    }

    /// Packets that the kernel, an interface or the program itself could not take, so far.
    pub(super) fn drops(&self) -> u64 {
        self.captures.iter().map(|capture| capture.drops).sum()
    }
}
