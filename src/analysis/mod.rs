//! The wiring: packets in, calls out. See [`Analyzer`].

mod agents;
mod analyzer;
mod closings;
mod complete;
mod coverage;
mod done;
mod gone;
mod health;
mod held;
mod icmp;
mod intake;
mod metrics;
mod notes;
mod points;
mod population;
mod remarks;
mod sealed;
mod stats;
mod streams;
mod timings;
mod window;
mod wrapped;

pub use crate::net::{Ending, RsaKey};
pub use analyzer::{Analyzer, Options};
pub use coverage::{Counted, Coverage, PacketKind};
pub use done::done;
pub use health::{Health, Skipped, Unseen};
pub use metrics::{Delays, Metrics, Ratio};
pub use points::{Clock, Point};
pub use population::{Deeds, Duty, Population, Tally, Way};
pub use remarks::Remarks;
pub use stats::{AddressPair, Stats};
pub use timings::{Timings, final_response, first_response, response_time};
pub use window::Stay;
pub use wrapped::Wrapping;

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
    /// How much of the traffic the capture holds.
    pub health: Health,
    /// What was not understood.
    pub anomalies: Anomalies,
    /// ICMP errors that quote SIP: what could not be delivered, and what said so.
    pub icmp: Vec<IcmpReport>,
    /// Connections that carried SIP, or were to, and were closed or reset; in order of capture.
    pub closings: Vec<Closing>,
    /// Files and interfaces at which packets were recorded; [`Seen::interface`] is a position here.
    pub points: Vec<Point>,
    /// What addresses are called.
    pub names: Names,
    /// Time of the first packet (of any kind).
    pub first: Option<Timestamp>,
    /// Time of the last packet (of any kind).
    pub last: Option<Timestamp>,
    /// What messages were wrapped in; [`Seen::wrapped`] counts from 1 into it.
    pub wrappings: Vec<Wrapping>,
    /// What the capture says beside its packets; for whoever reads it to fill in.
    pub remarks: Remarks,
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

/// The end of a TCP connection (rule N02).
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Who ended it, and the other side.
    pub connection: crate::base::Connection,
    /// Frame of the FIN or RST.
    pub frame: u32,
    /// When.
    pub time: Timestamp,
    /// How.
    pub how: Ending,
}

impl Analysis {
    /// What a message was wrapped in: "VLAN 100, GRE 10.0.0.1 > 10.0.0.2".
    pub fn wrapping(&self, seen: &Seen) -> Option<&str> {
        let at = usize::from(seen.wrapped).checked_sub(1)?;
        self.wrappings.get(at).map(|wrapping| wrapping.path.as_str())
    }

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

    /// What people wrote about the frames of message `no`.
    pub fn comments(self, no: MessageNo) -> impl Iterator<Item = &'a str> {
        self.seen(no).frames.as_slice().iter().flat_map(move |frame| self.analysis.remarks.on(*frame))
    }

    /// How long the capture goes on after `time`; zero when it ends before.
    pub fn capture_after(self, time: Timestamp) -> std::time::Duration {
        self.call.watched_until.since(time)
    }

    /// Dialog messages need their index.
    pub fn transactions(
        self,
    ) -> impl Iterator<Item = (Idx<crate::session::Transaction>, &'a crate::session::Transaction)> {
        self.call.transactions.iter().enumerate().map(|(at, t)| (Idx::new(at), t))
    }
}
