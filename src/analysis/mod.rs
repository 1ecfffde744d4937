//! The wiring: packets in, calls out. See [`Analyzer`].

mod agents;
mod analyzer;
mod icmp;
mod intake;
mod points;
mod stats;

pub use analyzer::{Analyzer, Options};
pub use points::{Clock, Point};
pub use stats::{AddressPair, Skipped, Stats};

use crate::base::{Anomalies, Idx, Names, Timestamp};
use crate::call::{Call, Ties};
use crate::session::{MessageNo, Seen};

/// Everything that was understood of a capture; read-only from here on.
#[derive(Debug, Default)]
pub struct Analysis {
    /// Every SIP message, in order of capture.
    pub seen: Vec<Seen>,
    /// Calls, in order of their first message: one for each leg, until they are told as one.
    pub calls: Vec<Call>,
    /// Which of them are legs of one call.
    pub ties: Ties,
    /// Counts over the whole capture.
    pub stats: Stats,
    /// What was not understood.
    pub anomalies: Anomalies,
    /// ICMP errors that quote SIP: what could not be delivered, and what said so.
    pub icmp: Vec<IcmpReport>,
    /// Files and interfaces at which packets were recorded; [`Seen::interface`] is a position here.
    pub points: Vec<Point>,
    /// What addresses are called.
    pub names: Names,
    /// Time of the first packet (of any kind).
    pub first: Option<Timestamp>,
    /// Time of the last packet (of any kind).
    pub last: Option<Timestamp>,
}

/// An ICMP error that quotes a SIP datagram (rule N01).
#[derive(Clone, Debug)]
pub struct IcmpReport {
    /// Frame of the ICMP error.
    pub frame: u32,
    /// When.
    pub time: Timestamp,
    /// Who sent the error.
    pub by: std::net::IpAddr,
    /// What it says ("port unreachable", ...).
    pub reason: &'static str,
    /// The quoted datagram's sender and receiver.
    pub quoted: crate::base::Connection,
    /// Call-ID in the quoted bytes, when that far is quoted.
    pub call_id: Option<bytes::Bytes>,
    /// The call it belongs to, when one matches.
    pub call: Option<usize>,
}

impl Analysis {
    /// A call with access to its messages.
    pub fn view(&self, call: usize) -> CallView<'_> {
        CallView { analysis: self, call: &self.calls[call], number: call }
    }

    /// All calls.
    pub fn views(&self) -> impl Iterator<Item = CallView<'_>> {
        (0..self.calls.len()).map(|call| self.view(call))
    }
}

/// A call together with the analysis it belongs to: what rules, flows and reports look at.
#[derive(Clone, Copy, Debug)]
pub struct CallView<'a> {
    /// The whole analysis.
    pub analysis: &'a Analysis,
    /// The call.
    pub call: &'a Call,
    /// Position of the call in the analysis, from 0; people see it from 1.
    pub number: usize,
}

impl<'a> CallView<'a> {
    /// The message with number `no` of this call.
    pub fn seen(self, no: MessageNo) -> &'a Seen {
        &self.analysis.seen[self.call.message(no).seen.at()]
    }

    /// The SIP message with number `no` of this call.
    pub fn sip(self, no: MessageNo) -> &'a crate::sip::Message {
        &self.seen(no).message
    }

    /// All messages in order of capture.
    pub fn messages(self) -> impl Iterator<Item = (MessageNo, &'a Seen)> {
        self.call.numbers().map(move |no| (no, self.seen(no)))
    }

    /// The frame that people should open for message `no`.
    pub fn frame(self, no: MessageNo) -> u32 {
        self.seen(no).frames.last()
    }

    /// How long the capture goes on after `time`; zero when it ends before.
    pub fn capture_after(self, time: Timestamp) -> std::time::Duration {
        self.analysis.last.map_or(std::time::Duration::ZERO, |last| last.since(time))
    }

    /// Dialog messages need their index.
    pub fn transactions(
        self,
    ) -> impl Iterator<Item = (Idx<crate::session::Transaction>, &'a crate::session::Transaction)> {
        self.call.transactions.iter().enumerate().map(|(at, t)| (Idx::new(at), t))
    }
}
