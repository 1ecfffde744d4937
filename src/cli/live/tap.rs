//! Those who listen beside the one who tells: each is one file, and none may hold up the packets.

use crate::base::Batch;
use crate::capture::CaptureInfo;
use crate::session::Seen;
use crate::story::{News, Story};
use std::sync::Arc;

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
    /// What is known of each input.
    pub(super) captures: Vec<CaptureInfo>,
}

impl Pulse {
    /// Packets that the kernel, an interface or the program itself could not take, so far.
    pub(super) fn drops(&self) -> u64 {
        self.captures.iter().map(|capture| capture.drops).sum()
    }
}
