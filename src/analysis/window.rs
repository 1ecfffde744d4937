//! A look at what is known so far, and letting go of what is over: for a live view, which has no end.

use super::complete::{Found, complete};
use super::sealed::Sealed;
use super::{Analysis, Analyzer, Stats};
use crate::base::{Anomaly, Idx, Timestamp, limits};
use crate::call::CallIds;
use crate::session::Seen;
use crate::sip::Method;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

/// How long what is no message (ends of connections, ICMP errors) stays to explain what follows it.
const EVIDENCE: Duration = Duration::from_secs(600);

/// What an analyzer let go of, and what it still holds.
#[derive(Default)]
pub(super) struct Past {
    stats: Stats,
    /// Bytes of memory that the messages take.
    pub(super) held: usize,
    /// Messages that were looked at before.
    looked_at: usize,
    gone: Gone,
}

/// Call-IDs of calls that are over and forgotten, as keyed hashes: a late BYE of one of them is no call of its own.
#[derive(Default)]
struct Gone {
    hasher: foldhash::quality::RandomState,
    all: HashSet<u64, foldhash::fast::RandomState>,
    in_order: VecDeque<u64>,
}

/// About the bytes of memory that a message takes while its call is judged.
pub(super) fn cost(seen: &Seen) -> usize {
    seen.message.raw().len() + limits::MESSAGE_COST
}

impl Analyzer {
    /// What is known when the clock of the packets stands at `now`, which counts as the end of the capture when it is
    /// later than the last packet. The analyzer goes on. [`Seen`] keep their positions until [`Analyzer::forget`].
    pub fn look(&mut self, now: Timestamp) -> Analysis {
        let parsed = std::mem::take(&mut self.parsed);
        self.file(parsed);
        self.drop_late();
        self.ids = CallIds::default();
        let mut ids = CallIds::default();
        for (at, seen) in self.analysis.seen.iter().enumerate() {
            ids.push(Idx::new(at), seen);
        }
        let known = &self.analysis;
        let analysis = Analysis {
            seen: known.seen.clone(),
            stats: Stats { packets: known.stats.packets, ..Stats::default() },
            health: known.health.clone(),
            anomalies: known.anomalies.clone(),
            icmp: known.icmp.clone(),
            closings: known.closings.clone(),
            points: known.points.clone(),
            first: known.first,
            last: known.last.max(Some(now)),
            ..Analysis::default()
        };
        let found = Found {
            ids,
            relayed: &self.relayed,
            coverage: self.coverage.clone(),
            sealed: Sealed::default(),
            wrappings: self.wrappings.clone(),
            one_clock: true,
        };
        let mut analysis = complete(analysis, found, &self.options);
        analysis.stats.add(&self.past.stats);
        analysis
    }

    /// As [`Analyzer::look`], after [`Analyzer::end`]: also tells of the connections that stayed closed to us.
    pub fn last_look(&mut self, now: Timestamp) -> Analysis {
        let seen = &self.analysis.seen;
        let (coverage, anomalies) = (&mut self.coverage, &mut self.analysis.anomalies);
        std::mem::take(&mut self.sealed).judge(seen, &self.options.sip_ports, coverage, anomalies);
        self.look(now)
    }

    /// Lets go of all messages but those of the calls of `told`, which [`Analyzer::look`] gave, that `stays` names.
    pub fn forget(&mut self, told: &Analysis, stays: impl Fn(usize) -> bool) {
        let mut keep = vec![false; self.analysis.seen.len()];
        for (at, call) in told.calls.iter().enumerate() {
            if stays(at) {
                call.messages.iter().for_each(|message| keep[message.seen.at()] = true);
            } else {
                self.past.stats.count_calls(std::slice::from_ref(call));
            }
        }
        if keep.iter().all(|keep| *keep) {
            return;
        }
        let dropped = self.retain(&keep);
        let mut ids = CallIds::default();
        for (at, seen) in dropped.iter().enumerate() {
            ids.push(Idx::new(at), seen);
            self.past.gone.insert(seen.message.call_id());
        }
        self.past.stats.call_ids += ids.len() as u64;
        for seen in &self.analysis.seen {
            self.past.gone.remove(seen.message.call_id());
        }
        let last = self.analysis.last.unwrap_or_default();
        self.analysis.icmp.retain(|report| last.since(report.time) < EVIDENCE);
        self.analysis.closings.retain(|closing| last.since(closing.time) < EVIDENCE);
        self.analysis.health.forget_some();
    }

    /// Bytes of memory that the messages take while they are judged, more or less.
    pub fn held(&self) -> usize {
        self.past.held
    }

    /// Adds what whoever feeds the analyzer has to say.
    pub fn note(&mut self, anomaly: Anomaly) {
        self.analysis.anomalies.add(anomaly);
    }

    /// Drops what came for calls that are over. What starts anew under an old Call-ID is kept.
    fn drop_late(&mut self) {
        let (start, gone) = (self.past.looked_at, &mut self.past.gone);
        if !gone.all.is_empty() {
            let mut keep = vec![true; self.analysis.seen.len()];
            for (at, seen) in self.analysis.seen.iter().enumerate().skip(start) {
                let message = &seen.message;
                let starts = message.is_request()
                    && message.to_tag().is_empty()
                    && !matches!(message.method(), Method::Ack | Method::Cancel);
                if starts {
                    gone.remove(message.call_id());
                }
                keep[at] = !gone.has(message.call_id());
            }
            if keep.iter().any(|keep| !keep) {
                self.retain(&keep);
            }
        }
        self.past.looked_at = self.analysis.seen.len();
    }

    /// Keeps the messages that are to be kept, gives the others, and counts them.
    fn retain(&mut self, keep: &[bool]) -> Vec<Seen> {
        let mut moved = Vec::with_capacity(keep.len());
        let mut kept = 0;
        for keep in keep {
            moved.push(keep.then_some(kept));
            kept += usize::from(*keep);
        }
        let all = std::mem::take(&mut self.analysis.seen);
        let mut dropped = Vec::new();
        self.analysis.seen.reserve(kept);
        for (seen, keep) in all.into_iter().zip(keep) {
            if *keep { self.analysis.seen.push(seen) } else { dropped.push(seen) }
        }
        let new_place = |at: usize| moved.get(at).copied().flatten();
        self.relayed = self.relayed.iter().filter_map(|(at, passed)| Some((new_place(*at)?, *passed))).collect();
        self.past.held = self.analysis.seen.iter().map(cost).sum();
        self.past.looked_at = self.analysis.seen.len();
        self.past.stats.add(&Stats::of_messages(&dropped));
        dropped
    }
}

impl Gone {
    fn insert(&mut self, id: &[u8]) {
        let hash = self.hasher.hash_one(id);
        if id.is_empty() || !self.all.insert(hash) {
            return;
        }
        self.in_order.push_back(hash);
        if self.in_order.len() > limits::FORGOTTEN_CALLS
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &[u8]) {
        if !self.all.is_empty() {
            self.all.remove(&self.hasher.hash_one(id));
        }
    }

    fn has(&self, id: &[u8]) -> bool {
        !id.is_empty() && self.all.contains(&self.hasher.hash_one(id))
    }
}
