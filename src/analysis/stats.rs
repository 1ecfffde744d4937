//! Counts over the whole capture.

use super::coverage::Coverage;
use crate::base::{Transport, limits};
use crate::call::Call;
use crate::session::{CopyKind, Seen};
use crate::sip::{Facts, Method};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Traffic between two hosts, for telling a one-sided capture (rule H01).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressPair {
    /// The lower address.
    pub low: IpAddr,
    /// The higher address.
    pub high: IpAddr,
}

/// What `callflow stats` prints.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Packets read.
    pub packets: u64,
    /// SIP messages, every copy counted.
    pub messages: u64,
    /// SIP messages with a fault in start line or mandatory headers.
    pub malformed: u64,
    /// SIP messages that repeat an earlier one.
    pub retransmissions: u64,
    /// SIP messages in the capture more than once though sent once.
    pub captured_twice: u64,
    /// Messages by transport.
    pub transports: BTreeMap<Transport, u64>,
    /// Requests by method.
    pub requests: BTreeMap<String, u64>,
    /// Responses by status.
    pub responses: BTreeMap<u16, u64>,
    /// Distinct Call-IDs.
    pub call_ids: u64,
    /// Transactions.
    pub transactions: u64,
    /// Dialogs.
    pub dialogs: u64,
    /// SIP messages from `low` to `high` and from `high` to `low`, by pair of hosts.
    pub directions: BTreeMap<AddressPair, [u64; 2]>,
    /// What each packet was.
    pub coverage: Coverage,
}

/// Status codes end here (RFC 3261 7.2).
const STATUSES: usize = 700;

impl Stats {
    /// Counts messages.
    pub(super) fn of_messages(messages: &[Seen]) -> Self {
        let mut stats = Self { messages: messages.len() as u64, ..Self::default() };
        let mut methods: HashMap<Method, u64, RandomState> = HashMap::default();
        let mut responses = [0_u64; STATUSES];
        let mut transports = [0_u64; Transport::ALL.len()];
        let mut pairs: HashMap<(IpAddr, IpAddr), u64, RandomState> = HashMap::default();
        for seen in messages {
            let message = &seen.message;
            stats.malformed += u64::from(message.has(Facts::MALFORMED));
            transports[seen.connection.transport as usize] += 1;
            *pairs.entry((seen.connection.src.ip, seen.connection.dst.ip)).or_default() += 1;
            match message.status() {
                Some(status) if usize::from(status) < STATUSES => responses[usize::from(status)] += 1,
                Some(status) => *stats.responses.entry(status).or_default() += 1,
                None if message.method() == Method::Other => {
                    *stats.requests.entry(message.method_name().into_owned()).or_default() += 1;
                }
                None => *methods.entry(message.method()).or_default() += 1,
            }
        }
        stats.responses.extend((0..).zip(responses).filter(|(_, count)| *count > 0));
        stats.transports.extend(Transport::ALL.into_iter().zip(transports).filter(|(_, count)| *count > 0));
        stats.requests.extend(methods.into_iter().map(|(method, count)| (method.name().to_owned(), count)));
        for ((src, dst), count) in pairs {
            let pair = AddressPair { low: src.min(dst), high: src.max(dst) };
            stats.directions.entry(pair).or_default()[usize::from(src > dst)] += count;
        }
        stats
    }

    /// Adds what calls hold.
    pub(super) fn count_calls(&mut self, calls: &[Call]) {
        for call in calls {
            self.transactions += call.transactions.len() as u64;
            self.dialogs += call.dialogs.len() as u64;
            for copy in call.messages.iter().filter_map(|message| message.copy) {
                match copy.kind {
                    CopyKind::Retransmission => self.retransmissions += 1,
                    CopyKind::CapturedTwice => self.captured_twice += 1,
                }
            }
        }
    }

    /// Adds what was counted of other messages and calls; packets are counted elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.malformed += other.malformed;
        self.retransmissions += other.retransmissions;
        self.captured_twice += other.captured_twice;
        self.call_ids += other.call_ids;
        self.transactions += other.transactions;
        self.dialogs += other.dialogs;
        other.transports.iter().for_each(|(of, n)| *self.transports.entry(*of).or_default() += n);
        other.responses.iter().for_each(|(of, n)| *self.responses.entry(*of).or_default() += n);
        for (of, n) in &other.requests {
            if self.requests.len() < limits::METHODS || self.requests.contains_key(of) {
                *self.requests.entry(of.clone()).or_default() += n;
            }
        }
        for (pair, [up, down]) in &other.directions {
            if self.directions.len() < limits::ADDRESS_PAIRS || self.directions.contains_key(pair) {
                let ours = self.directions.entry(*pair).or_default();
                *ours = [ours[0] + up, ours[1] + down];
            }
        }
    }

    /// SIP messages seen from `src` to `dst`, over the whole capture.
    pub fn heard(&self, src: IpAddr, dst: IpAddr) -> u64 {
        let pair = AddressPair { low: src.min(dst), high: src.max(dst) };
        self.directions.get(&pair).map_or(0, |counts| counts[usize::from(src > dst)])
    }
}
