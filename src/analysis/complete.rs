//! From messages to the calls that they make, and what the whole of them tells.

use super::agents::{self, Clocks};
use super::coverage::Coverage;
use super::intake::Passed;
use super::sealed::Sealed;
use super::wrapped::Wrappings;
use super::{Analysis, Options, Stats, closings, health, icmp, notes, points};
use crate::call::{self, CallIds};
use rayon::prelude::*;

/// What the analyzer found beside the messages.
pub(super) struct Found<'a> {
    pub(super) ids: CallIds,
    /// Messages that capture agents passed on, by position in the analysis.
    pub(super) relayed: &'a [(usize, Passed)],
    pub(super) coverage: Coverage,
    pub(super) sealed: Sealed,
    pub(super) wrappings: Wrappings,
    /// All observation points are of one machine.
    pub(super) one_clock: bool,
}

/// Builds the calls of an analysis that has all its messages. With one clock they stay where they are.
pub(super) fn complete(mut analysis: Analysis, found: Found<'_>, options: &Options) -> Analysis {
    let Found { mut ids, relayed, mut coverage, sealed, wrappings, one_clock } = found;
    agents::number_sendings(&mut analysis.seen, relayed);
    let clocks = Clocks::new(&analysis.seen, relayed);
    sealed.judge(&analysis.seen, &options.sip_ports, &mut coverage, &mut analysis.anomalies);
    analysis.wrappings = wrappings.settle(&mut analysis.seen);
    if !one_clock && let Some(anew) = points::compare(&mut analysis) {
        ids = anew;
    }
    let end = analysis.last.unwrap_or_default();
    let call_ids = ids.len() as u64;
    let mut groups = call::group_messages(&analysis.seen, ids);
    for group in &mut groups {
        notes::cap(group, &analysis.seen, &mut analysis.anomalies);
    }
    let seen = &analysis.seen;
    let (calls, counted) = rayon::join(
        || groups.par_iter().map(|group| call::build(seen, group, clocks.end(group, end))).collect::<Vec<_>>(),
        || Stats::of_messages(seen),
    );
    let packets = analysis.stats.packets;
    analysis.stats = Stats { packets, call_ids, coverage, ..counted };
    analysis.stats.count_calls(&calls);
    analysis.ties = call::tie_legs(&analysis.seen, &calls, &options.leg_headers);
    analysis.calls = calls;
    health::complete(&mut analysis);
    notes::oversized(&mut analysis);
    notes::repairs(&mut analysis);
    icmp::assign(&mut analysis);
    closings::keep_sip(&mut analysis);
    analysis
}
