//! A finding's identity across runs: what went wrong between whom, never when or under which Call-ID.

use super::words;
use crate::analysis::Analysis;
use crate::flow::FlowMatch;
use crate::rules::Finding;
use std::collections::HashMap;
use std::fmt::Write as _;

/// One fingerprint per finding, in order. Equal ones in one run get a counter, so that each is unique.
///
/// It is made of the rule, the flow, the roles and IP addresses of the two sides (ports of clients change
/// with every run), the step and the message. Call-ID, tags, branch, time and frames have no part in it.
pub(super) fn of_all(analysis: &Analysis, flows: &[FlowMatch], findings: &[Finding]) -> Vec<String> {
    let mut met: HashMap<u64, u32> = HashMap::new();
    findings
        .iter()
        .map(|finding| {
            let hash = fnv1a(essence(analysis, flows, finding).as_bytes());
            let nth = met.entry(hash).or_insert(0);
            *nth += 1;
            if *nth == 1 { format!("{hash:016x}") } else { format!("{hash:016x}-{nth}") }
        })
        .collect()
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
        if let Some(address) = participant.addresses.first() {
            let _ = write!(told, "@{}", address.ip);
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
