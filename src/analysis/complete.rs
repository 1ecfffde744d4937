//! From messages to the calls that they make, and what the whole of them tells.

use super::agents::{self, Clocks};
use super::coverage::Coverage;
use super::health::Numbers;
use super::intake::Passed;
use super::population::{Counts, Population};
use super::sealed::Sealed;
use super::wrapped::Wrappings;
use super::{Analysis, Options, Stats, closings, health, icmp, notes, points};
use crate::call::{self, CallIds, Group};
use rayon::prelude::*;

/// Calls built by one task at a time.
const CHUNK: usize = 256;

/// What the analyzer found beside the messages.
pub(super) struct Found<'a> {
    pub(super) ids: CallIds,
    /// Messages that capture agents passed on, by position in the analysis.
    pub(super) relayed: &'a [(usize, Passed)],
    pub(super) coverage: Coverage,
    pub(super) sealed: Sealed,
    pub(super) wrappings: Wrappings,
    /// Of a look that has only some of the messages, on one machine with one clock: what all of them say.
    pub(super) before: Option<Counted<'a>>,
}

/// What is counted over the whole of a capture, where an analysis has only some of its messages.
pub(super) struct Counted<'a> {
    /// Of all messages.
    pub(super) numbers: &'a Numbers,
    /// The places of the messages of the analysis among all.
    pub(super) orders: Vec<u64>,
    /// Of calls that are not in the analysis.
    pub(super) population: &'a Population,
}

/// Builds the calls of an analysis that has all its messages. In a look they stay where they are.
pub(super) fn complete(mut analysis: Analysis, found: Found<'_>, options: &Options) -> Analysis {
    let Found { mut ids, relayed, mut coverage, sealed, wrappings, before } = found;
    agents::number_sendings(&mut analysis.seen, relayed);
    let clocks = Clocks::new(&analysis.seen, relayed);
    if !sealed.is_empty() {
        let speakers = analysis.seen.iter().flat_map(|seen| [seen.connection.src.ip, seen.connection.dst.ip]);
        sealed.judge(&speakers.collect(), &options.sip_ports, &mut coverage, &mut analysis.anomalies);
    }
    analysis.wrappings = wrappings.settle(&mut analysis.seen);
    if before.is_none()
        && let Some(anew) = points::compare(&mut analysis)
    {
        ids = anew;
    }
    let end = analysis.last.unwrap_or_default();
    let call_ids = ids.len() as u64;
    let mut groups = call::group_messages(&analysis.seen, ids);
    for group in &mut groups {
        notes::cap(group, &analysis.seen, &mut analysis.anomalies);
    }
    let (seen, first) = (&analysis.seen, analysis.first.unwrap_or_default());
    // What is counted of a call is counted as soon as it is built, while the cache has its messages.
    let build = |groups: &[Group]| {
        let calls: Vec<_> = groups.iter().map(|group| call::build(seen, group, clocks.end(group, end))).collect();
        let population = Counts::of(seen, &calls, first);
        (calls, population)
    };
    let of_messages = || match &before {
        None => (Some(Stats::of_messages(seen)), Numbers::of(seen)),
        Some(before) => (None, before.numbers.around(seen)),
    };
    let (parts, (counted, numbers)) =
        rayon::join(|| groups.par_chunks(CHUNK).map(build).collect::<Vec<_>>(), of_messages);
    drop(groups);
    let mut calls = Vec::with_capacity(parts.iter().map(|(calls, _)| calls.len()).sum());
    let population = Population::sum(parts.into_iter().map(|(part, population)| {
        calls.extend(part);
        population
    }));
    if let Some(counted) = counted {
        analysis.stats = Stats { packets: analysis.stats.packets, call_ids, ..counted };
    }
    analysis.stats.coverage = coverage;
    analysis.stats.count_calls(&calls);
    analysis.ties = call::tie_legs(&analysis.seen, &calls, &options.leg_headers);
    analysis.calls = calls;
    health::complete(&mut analysis, population, numbers, before);
    notes::oversized(&mut analysis);
    notes::repairs(&mut analysis);
    icmp::assign(&mut analysis);
    closings::keep_sip(&mut analysis);
    analysis
}
