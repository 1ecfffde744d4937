//! The flows beyond RFC 3665 on their traces: testdata/flows/beyond/NAME.trace is a healthy call, NAME.no-WHAT.trace
//! the same call with messages left out.
//!
//! A trace says in comment lines what is expected: `# expect: FLOW`, `# finding: CODE` for what may be found in a
//! healthy one, `# missing: MESSAGE` for what must be named in a broken one.

use crate::support::{self, Told};
use callflow::flow::{BEYOND, Catalog, Fact, FlowMatch, Missing, ReferenceFlow, Special, match_all_with, parse};
use callflow::rules::Severity;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Case {
    name: String,
    text: String,
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, text: std::fs::read_to_string(path).unwrap() }
    }

    fn is_healthy(&self) -> bool {
        !self.name.contains(".no-")
    }

    fn said(&self, word: &str) -> Vec<&str> {
        let start = format!("# {word}: ");
        self.text.lines().filter_map(|line| line.strip_prefix(start.as_str())).collect()
    }

    fn flow(&self) -> &str {
        let expected = self.said("expect");
        assert_eq!(expected.len(), 1, "{}: one '# expect:' line", self.name);
        expected[0]
    }

    fn told(&self) -> Told {
        let told = support::tell(&self.text);
        assert_eq!(told.flows.len(), 1, "{}: one call", self.name);
        told
    }
}

fn cases() -> Vec<Case> {
    let paths: Vec<PathBuf> = support::files("testdata/flows/beyond", "trace");
    assert!(paths.len() > 60, "only {} traces", paths.len());
    paths.iter().map(|path| Case::read(path)).collect()
}

/// What the report says of a flow: kinds that RFC 3665 does not have are told as the nearest flow itself.
struct Named<'a> {
    flow: Option<&'a str>,
    cost: u32,
    complete: bool,
    missing: &'a [Missing],
    unexpected: usize,
}

fn named(found: &FlowMatch) -> Named<'_> {
    match &found.special {
        Some(Special { name, cost, complete, missing, unexpected, .. }) => {
            Named { flow: Some(name), cost: *cost, complete: *complete, missing, unexpected: unexpected.len() }
        }
        None => Named {
            flow: found.flow,
            cost: found.cost,
            complete: found.complete,
            missing: &found.missing,
            unexpected: found.unexpected.len(),
        },
    }
}

fn steps(missing: &[Missing]) -> Vec<String> {
    missing.iter().map(|missing| format!("{} {}", missing.step, missing.what)).collect()
}

#[test]
fn healthy_calls_are_named_with_their_own_flow_at_cost_0() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_healthy()) {
        let told = case.told();
        let named = named(&told.flows[0]);
        if (named.flow, named.cost, named.complete) != (Some(case.flow()), 0, true) {
            let (missing, too_much) = (steps(named.missing), named.unexpected);
            wrong.push(format!(
                "{}: {:?} cost {} complete {} missing {missing:?} {too_much} too much",
                case.name, named.flow, named.cost, named.complete
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn healthy_calls_raise_no_finding_above_info() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_healthy()) {
        let told = case.told();
        assert!(told.analysis.anomalies.is_empty(), "{}: {:?}", case.name, told.analysis.anomalies);
        let found = told.findings.iter().filter(|finding| finding.severity > Severity::Info);
        let found: Vec<&str> = found.map(|finding| finding.rule.code).collect();
        if found != case.said("finding") {
            wrong.push(format!("{}: {found:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn broken_calls_keep_their_flow_and_name_what_is_missing_with_its_step() {
    let mut wrong = Vec::new();
    let cases = cases();
    let broken: Vec<&Case> = cases.iter().filter(|case| !case.is_healthy()).collect();
    assert!(broken.len() >= 8);
    for case in broken {
        let told = case.told();
        let named = named(&told.flows[0]);
        let what: Vec<&str> = named.missing.iter().map(|missing| missing.what.as_str()).collect();
        let has_steps = named.missing.iter().all(|missing| !missing.step.is_empty());
        if named.flow != Some(case.flow()) || what != case.said("missing") || !has_steps {
            let (cost, missing) = (named.cost, steps(named.missing));
            wrong.push(format!("{}: {:?} cost {cost} missing {missing:?}", case.name, named.flow));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_flow_has_a_healthy_call_and_parses_and_prints_back() {
    let cases = cases();
    let shown: BTreeSet<&str> = cases.iter().filter(|case| case.is_healthy()).map(Case::flow).collect();
    assert_eq!(shown, BEYOND.iter().map(|(name, _)| *name).collect());
    for (name, text) in BEYOND {
        let flow = parse(name, text).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(flow.name, *name);
        assert!(!flow.section.is_empty(), "{name}");
        assert_eq!(parse(name, &flow.to_string()).unwrap(), flow);
    }
}

/// Facts of which a call has one: how the attempt went, or whether the request was accepted.
const ENDINGS: [Fact; 8] = [
    Fact::Answered,
    Fact::Cancelled,
    Fact::Busy,
    Fact::NoResponse,
    Fact::Unavailable,
    Fact::Rejected,
    Fact::Accepted,
    Fact::Unsolicited,
];

#[test]
fn two_flows_of_equal_rank_exclude_each_other_by_a_fact() {
    let flows: Vec<ReferenceFlow> = BEYOND.iter().map(|(name, text)| parse(name, text).unwrap()).collect();
    let wanted = |flow: &ReferenceFlow| flow.when.iter().filter(|(_, so)| *so).count();
    let mut wrong = Vec::new();
    for (at, a) in flows.iter().enumerate() {
        for b in flows[at + 1..].iter().filter(|b| b.kind == a.kind && wanted(b) == wanted(a)) {
            let ending =
                |flow: &ReferenceFlow| flow.when.iter().find(|(fact, so)| *so && ENDINGS.contains(fact)).copied();
            let ends_apart = ending(a).is_some() && ending(b).is_some() && ending(a) != ending(b);
            let contradict = a.when.iter().any(|(fact, so)| b.when.contains(&(*fact, !so)));
            if !ends_apart && !contradict {
                wrong.push(format!("{} and {}", a.name, b.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_other_flow_of_the_same_rank_fits_a_healthy_call() {
    let flows: Vec<ReferenceFlow> = BEYOND.iter().map(|(name, text)| parse(name, text).unwrap()).collect();
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.is_healthy()) {
        let told = case.told();
        let own = flows.iter().find(|flow| flow.name == case.flow()).unwrap();
        let wanted = |flow: &ReferenceFlow| flow.when.iter().filter(|(_, so)| *so).count();
        for other in flows.iter().filter(|other| other.name != own.name && wanted(other) >= wanted(own)) {
            let catalog = Catalog::with_special(Vec::new(), vec![other.clone()]);
            let found = &match_all_with(&catalog, &told.analysis)[0];
            if named(found).flow.is_some() {
                wrong.push(format!("{} fits {}, too", other.name, case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
