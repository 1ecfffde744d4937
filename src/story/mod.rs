//! Calls as people know them: legs are judged one by one, and told as one call where they are one.
//!
//! Everything that a standard says of a call, it says of one leg: a back-to-back user agent is a user agent
//! on each side (RFC 3261 6). So flows and rules look at legs alone, and only then the legs that
//! [`crate::call::Ties`] ties together become one call, with everything that was found about them.

mod watch;

pub use watch::{News, OVER, Stage, Watch};

use crate::analysis::Analysis;
use crate::call::{self, Call, Places, Related, Ties};
use crate::flow::{FlowMatch, Missing, Special};
use crate::rules::{Finding, MissingMessage};
use std::cmp::Reverse;

/// An analysis with its judgements, call by call.
#[derive(Debug, Default)]
pub struct Story {
    /// Whose calls have one or several legs.
    pub analysis: Analysis,
    /// One match per call.
    pub flows: Vec<FlowMatch>,
    /// Those of the capture first, then call by call, worst first.
    pub findings: Vec<Finding>,
}

/// Joins the legs of `analysis`, each of which has its match in `flows`, to calls.
pub fn tell(mut analysis: Analysis, flows: Vec<FlowMatch>, findings: Vec<Finding>) -> Story {
    let ties = std::mem::take(&mut analysis.ties);
    if ties.groups.is_empty() && ties.hints.is_empty() {
        return Story { analysis, flows, findings };
    }
    let mut joiner = Joiner::new(&ties, std::mem::take(&mut analysis.calls), flows);
    joiner.join();
    let Joiner { calls, flows, places, .. } = joiner;
    analysis.calls = calls;
    for report in &mut analysis.icmp {
        report.call = report.call.map(|leg| places[leg].0);
    }
    relate(&mut analysis.calls, &ties, &places);
    Story { analysis, flows, findings: renumber(findings, &places) }
}

/// The call of a leg, and where the leg stands in it when it has others.
type Place = (usize, Option<Places>);

struct Joiner<'a> {
    ties: &'a Ties,
    legs: Vec<Option<(Call, FlowMatch)>>,
    /// For each leg its group.
    group_of: Vec<Option<usize>>,
    calls: Vec<Call>,
    flows: Vec<FlowMatch>,
    places: Vec<Place>,
}

impl<'a> Joiner<'a> {
    fn new(ties: &'a Ties, legs: Vec<Call>, flows: Vec<FlowMatch>) -> Self {
        let mut group_of = vec![None; legs.len()];
        for (at, group) in ties.groups.iter().enumerate() {
            for leg in group {
                group_of[*leg] = Some(at);
            }
        }
        Self {
            ties,
            group_of,
            calls: Vec::with_capacity(legs.len()),
            flows: Vec::with_capacity(legs.len()),
            places: vec![(0, None); legs.len()],
            legs: legs.into_iter().zip(flows).map(Some).collect(),
        }
    }

    /// A call stands where its first leg stood.
    fn join(&mut self) {
        for at in 0..self.legs.len() {
            let Some((leg, flow)) = self.legs[at].take() else {
                continue;
            };
            match self.group_of[at] {
                None => {
                    self.places[at].0 = self.calls.len();
                    self.calls.push(leg);
                    self.flows.push(flow);
                }
                Some(group) => self.weave(group, at, leg, flow),
            }
        }
    }

    fn weave(&mut self, group: usize, first: usize, leg: Call, flow: FlowMatch) {
        let ties = self.ties;
        let (mut legs, mut flows) = (vec![(first, leg)], vec![flow]);
        for at in &ties.groups[group] {
            if let Some((leg, flow)) = self.legs[*at].take() {
                legs.push((*at, leg));
                flows.push(flow);
            }
        }
        let numbers: Vec<usize> = legs.iter().map(|(at, _)| *at).collect();
        let mut woven = call::weave(legs, ties);
        for (leg, flow) in woven.call.legs.iter_mut().zip(&flows) {
            leg.flow = flow.flow;
        }
        self.flows.push(flow_of(flows, &woven.places, woven.call.messages.len()));
        for (at, places) in numbers.into_iter().zip(woven.places) {
            self.places[at] = (self.calls.len(), Some(places));
        }
        self.calls.push(woven.call);
    }
}

/// The call is named for the flow of its first leg, and for the more special one of the first leg that has one;
/// what any leg lacks or has too much, the call does.
fn flow_of(flows: Vec<FlowMatch>, places: &[Places], messages: usize) -> FlowMatch {
    let named = flows.iter().find(|flow| flow.flow.is_some()).map_or((None, ""), |flow| (flow.flow, flow.title));
    let mut whole = FlowMatch {
        flow: named.0,
        title: named.1,
        complete: flows.iter().all(|flow| flow.complete),
        cost: flows.iter().fold(0, |cost, flow| cost.saturating_add(flow.cost)),
        steps: vec![None; messages],
        ..FlowMatch::default()
    };
    for (flow, places) in flows.into_iter().zip(places) {
        for (at, step) in flow.steps.into_iter().enumerate() {
            whole.steps[places.message(crate::base::Idx::new(at)).at()] = step;
        }
        let missing = |missing: Missing| Missing {
            from: places.participant(missing.from),
            to: places.participant(missing.to),
            after: missing.after.map(|no| places.message(no)),
            ..missing
        };
        let number = |no| places.message(no);
        whole.missing.extend(flow.missing.into_iter().map(missing));
        whole.unexpected.extend(flow.unexpected.into_iter().map(number));
        if let Some(special) = flow.special.filter(|_| whole.special.is_none()) {
            whole.special = Some(Special {
                missing: special.missing.into_iter().map(missing).collect(),
                unexpected: special.unexpected.into_iter().map(number).collect(),
                ..special
            });
        }
    }
    whole.missing.sort_by_key(|missing| missing.after);
    whole.unexpected.sort_unstable();
    whole
}

/// Findings by call; those of one call worst first.
fn renumber(mut findings: Vec<Finding>, places: &[Place]) -> Vec<Finding> {
    for finding in &mut findings {
        let Some((call, leg)) = finding.call.map(|leg| &places[leg]) else {
            continue;
        };
        finding.call = Some(*call);
        if let Some(places) = leg {
            finding.messages.iter_mut().for_each(|no| *no = places.message(*no));
            finding.missing = finding.missing.take().map(|missing| MissingMessage {
                from: places.participant(missing.from),
                to: places.participant(missing.to),
                after: places.message(missing.after),
                ..missing
            });
        }
    }
    findings.sort_by_key(|finding| (finding.call, finding.call.map(|_| Reverse(finding.severity))));
    findings
}

/// Hints between legs are hints between calls.
fn relate(calls: &mut [Call], ties: &Ties, places: &[Place]) {
    for hint in &ties.hints {
        let (a, b) = (places[hint.legs.0].0, places[hint.legs.1].0);
        if a == b {
            continue;
        }
        for (here, there) in [(a, b), (b, a)] {
            let related = &mut calls[here].related;
            if related.iter().all(|known| known.call != there) {
                related.push(Related { call: there, tie: hint.tie.clone(), rivalled: hint.rivalled });
            }
        }
    }
    for call in calls {
        call.related.sort_by_key(|related| related.call);
        call.related.truncate(RELATED);
    }
}

/// Other calls that are hinted at for one call.
const RELATED: usize = 8;
