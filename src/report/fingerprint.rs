//! A finding's identity across runs: what went wrong between whom, never when or under which Call-ID.

use super::words;
use crate::analysis::Analysis;
use crate::flow::FlowMatch;
use crate::rules::Finding;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::array;
use std::borrow::Cow;
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
        let digits: [u8; 16] = array::from_fn(|at| b"0123456789abcdef"[(self.hash >> (60 - 4 * at) & 15) as usize]);
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())?;
        if self.nth > 1 { write!(f, "-{}", self.nth) } else { Ok(()) }
    }
}

/// How often each fingerprint came in a run so far, over all its captures.
pub(super) type Met = HashMap<u64, u32>;

/// One fingerprint per finding, in order, unique among those of this capture.
///
/// It is made of the rule, the flow, the roles of the two sides with their names, or else their IP addresses (ports
/// of clients change with every run), the step and the message. Call-ID, tags, branch, time and frames have no part
/// in it.
pub(super) fn of_all(analysis: &Analysis, flows: &[FlowMatch], findings: &[Finding]) -> Vec<Fingerprint> {
    let print = |finding: &Finding| Fingerprint { hash: essence(analysis, flows, finding), nth: 1 };
    let mut prints = findings.par_iter().map(print).collect::<Vec<_>>();
    count(&mut prints, &mut Met::new());
    prints
}

/// Numbers equal ones behind those that were met before.
pub(super) fn count(prints: &mut [Fingerprint], met: &mut Met) {
    for print in prints {
        let nth = met.entry(print.hash).or_insert(0);
        *nth = nth.saturating_add(1);
        print.nth = *nth;
    }
}

fn essence(analysis: &Analysis, flows: &[FlowMatch], finding: &Finding) -> u64 {
    let mut hash = Fnv1a::default();
    hash.put(finding.rule.code);
    let Some(number) = finding.call else {
        return hash.0;
    };
    let (view, flow) = (analysis.view(number), flows.get(number));
    hash.put("\0").put(flow.and_then(|flow| flow.flow).unwrap_or_default());
    let (sides, what, step) = match (&finding.missing, finding.messages.first()) {
        (Some(missing), _) => (Some((missing.from, missing.to)), Cow::Borrowed(missing.what.as_str()), None),
        (None, Some(no)) => {
            let message = view.call.message(*no);
            let step = flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten());
            (Some((message.from, message.to)), Cow::Owned(words::label(view.sip(*no))), step)
        }
        (None, None) => (None, Cow::Borrowed(""), None),
    };
    hash.put("\0").put(&what).put("\0").put(step.unwrap_or_default());
    for side in sides.into_iter().flat_map(|(from, to)| [from, to]) {
        let participant = &view.call.participants[side.at()];
        hash.put("\0").put(participant.role.name());
        let named = participant.addresses.iter().find_map(|address| view.analysis.names.label(*address));
        if let Some(address) = participant.addresses.first() {
            match named {
                Some(name) => hash.put("@").put(name),
                None => hash.put("@").put(&address.ip.to_string()),
            };
        }
    }
    hash.0
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn put(&mut self, text: &str) -> &mut Self {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        self
    }
}

/// The hash of `bytes`, as it is published.
#[cfg(any(test, feature = "parquet"))]
pub(super) fn fnv1a(text: &str) -> u64 {
    Fnv1a::default().put(text).0
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_published_fnv_1a() {
        assert_eq!(super::fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }
}
