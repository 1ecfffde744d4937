//! A finding's identity across runs: what went wrong between whom, never when or under which Call-ID.

use super::words;
use crate::analysis::Analysis;
use crate::flow::FlowMatch;
use crate::rules::Finding;
use std::collections::HashMap;
use std::fmt;

/// What a finding is recognised by in another run, and which one of those it is: equal ones are counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    /// Of rule, flow, sides, step and message.
    pub hash: u64,
    /// Which of the equal ones of a run.
    pub nth: u32,
}

impl fmt::Display for Fingerprint {
    /// "c08e654db1d8c7c6", the second one with "-2" behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            1 => write!(f, "{:016x}", self.hash),
            nth => write!(f, "{:016x}-{nth}", self.hash),
        }
    }
}

/// How often each fingerprint came in a run so far, over all its captures.
pub(super) type Met = HashMap<u64, u32>;

/// One fingerprint per finding, in order, unique among those of `met`.
///
/// It is made of the rule, the flow, the roles of the two sides with their names, or else their IP addresses (ports
/// of clients change with every run), the step and the message. Call-ID, tags, branch, time and frames have no part
/// in it.
pub(super) fn of_all(
    analysis: &Analysis,
    flows: &[FlowMatch],
    findings: &[Finding],
    met: &mut Met,
) -> Vec<Fingerprint> {
    let print = |finding: &Finding| {
        let hash = fnv1a(essence(analysis, flows, finding).as_bytes());
        let nth = met.entry(hash).or_insert(0);
        *nth = nth.saturating_add(1);
        Fingerprint { hash, nth: *nth }
    };
    findings.iter().map(print).collect()
}

fn essence(analysis: &Analysis, flows: &[FlowMatch], finding: &Finding) -> String {
    let mut out = finding.rule.code.to_owned();
    let Some(number) = finding.call else {
        return out;
    };
    let (view, flow) = (analysis.view(number), flows.get(number));
    let mut put = |part: &str| {
        out.push('\0');
        out.push_str(part);
    };
    put(flow.and_then(|flow| flow.flow).unwrap_or_default());
    let (sides, what, step) = match (&finding.missing, finding.messages.first()) {
        (Some(missing), _) => (Some((missing.from, missing.to)), missing.what.clone(), None),
        (None, Some(no)) => {
            let message = view.call.message(*no);
            let step = flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten());
            (Some((message.from, message.to)), words::label(view.sip(*no)), step)
        }
        (None, None) => (None, String::new(), None),
    };
    put(&what);
    put(step.unwrap_or_default());
    for side in sides.into_iter().flat_map(|(from, to)| [from, to]) {
        let participant = &view.call.participants[side.at()];
        let mut told = participant.role.name().to_owned();
        let named = participant.addresses.iter().find_map(|address| view.analysis.names.label(*address));
        if let Some(address) = participant.addresses.first() {
            told.push('@');
            told.push_str(&named.map_or_else(|| address.ip.to_string(), str::to_owned));
        }
        put(&told);
    }
    out
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_published_fnv_1a() {
        assert_eq!(super::fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
