//! A flow as one hop sees it: a small automaton whose edges are the messages.
//!
//! A ladder read on one hop has no concurrency left but `any order`, so the graph below *is* the
//! automaton: one state between any two messages, one edge per message.

use super::model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
use super::token::{Alphabet, Verb};

/// A message that a hop of a flow has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Leaf {
    /// Label such as "F4"; lives as long as the program.
    pub(super) label: &'static str,
    /// Which messages it stands for.
    pub(super) pattern: Pattern,
    /// From the caller's side to the callee's.
    pub(super) down: bool,
    /// It belongs to a request within the dialog.
    pub(super) in_dialog: bool,
}

/// From one state to another, by a message or by nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edge {
    pub(super) from: u16,
    pub(super) to: u16,
    /// Position of the message; `None`: by nothing.
    pub(super) leaf: Option<u16>,
}

/// What one hop of a flow sees. State 0 is the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Automaton {
    pub(super) leaves: Vec<Leaf>,
    pub(super) edges: Vec<Edge>,
    /// States in which media flows: a call may stay there.
    pub(super) resting: Vec<bool>,
    /// The state in which the flow is over.
    pub(super) end: u16,
    /// No hop lies before this one.
    pub(super) first: bool,
    /// No hop lies behind this one.
    pub(super) last: bool,
}

/// The hops of a flow that a call can have: those that carry a request which opens it. A flow that begins later
/// has all that are drawn.
pub(super) fn hops(flow: &ReferenceFlow) -> Vec<Automaton> {
    let steps = steps(flow);
    let opens = |step: &&&Step| step.message.status.is_empty() && flow.kind.opens(step.message.verb);
    let mut pairs = distinct(steps.iter().filter(opens));
    if pairs.is_empty() {
        pairs = distinct(steps.iter());
    }
    pairs.iter().map(|hop| Builder::new(flow, *hop, &pairs, &steps).build(flow)).collect()
}

/// The verbs of its steps.
pub(super) fn spoken(flow: &ReferenceFlow) -> Alphabet {
    let mut spoken = Alphabet::default();
    for step in steps(flow) {
        let highest = step.message.status.iter().map(|(_, high)| *high).max();
        spoken.add(step.message.verb, highest.unwrap_or_default());
    }
    spoken
}

fn distinct<'a>(steps: impl Iterator<Item = &'a &'a Step>) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for step in steps {
        if !pairs.contains(&pair(step)) {
            pairs.push(pair(step));
        }
    }
    pairs
}

fn steps(flow: &ReferenceFlow) -> Vec<&Step> {
    let mut steps = Vec::new();
    collect(&flow.ladder, &mut steps);
    steps
}

fn pair(step: &Step) -> (usize, usize) {
    (step.from.min(step.to), step.from.max(step.to))
}

fn collect<'a>(parts: &'a [Part], steps: &mut Vec<&'a Step>) {
    for part in parts {
        match part {
            Part::Step(step) => steps.push(step),
            Part::Optional(parts) | Part::Repeat(parts) | Part::EitherSide(parts) => {
                collect(parts, steps);
            }
            Part::Either(ways) => ways.iter().for_each(|way| collect(way, steps)),
            Part::AnyOrder(runs) => steps.extend(runs.iter().flatten()),
            Part::Media(..) => {}
        }
    }
}

struct Builder<'a> {
    automaton: Automaton,
    kind: FlowKind,
    hop: (usize, usize),
    /// Hops that carry the first request.
    carriers: &'a [(usize, usize)],
    /// What this hop sees itself of the dialog.
    own: Vec<Verb>,
}

impl<'a> Builder<'a> {
    fn new(flow: &ReferenceFlow, hop: (usize, usize), carriers: &'a [(usize, usize)], steps: &[&Step]) -> Self {
        let own = steps.iter().filter(|step| pair(step) == hop).map(|step| step.message.verb).collect();
        let automaton = Automaton {
            resting: vec![false],
            first: hop.0 == 0,
            last: hop.1 + 1 == flow.roles.len(),
            ..Automaton::default()
        };
        Self { automaton, kind: flow.kind, hop, carriers, own }
    }

    fn build(mut self, flow: &ReferenceFlow) -> Automaton {
        self.automaton.end = self.parts(&flow.ladder, 0, false);
        self.automaton
    }

    fn state(&mut self) -> u16 {
        self.automaton.resting.push(false);
        (self.automaton.resting.len() - 1) as u16
    }

    fn edge(&mut self, from: u16, to: u16, leaf: Option<u16>) {
        self.automaton.edges.push(Edge { from, to, leaf });
    }

    fn leaf(&mut self, step: &Step, mirrored: bool) -> u16 {
        let leaf = Leaf {
            label: super::catalog::intern(&step.label),
            pattern: step.message.clone(),
            down: (step.from < step.to) != mirrored,
            in_dialog: self.kind.is_in_dialog(step.message.verb),
        };
        let known = self.automaton.leaves.iter().position(|other| *other == leaf);
        known.unwrap_or_else(|| {
            self.automaton.leaves.push(leaf);
            self.automaton.leaves.len() - 1
        }) as u16
    }

    /// Whether this hop reads `step`: its own, or one that went past it between its ends because it is
    /// not in the route set.
    fn sees(&self, step: &Step) -> bool {
        let on = pair(step);
        on == self.hop
            || (self.kind.is_in_dialog(step.message.verb)
                && !self.carriers.contains(&on)
                && !self.own.contains(&step.message.verb))
    }

    fn parts(&mut self, parts: &[Part], mut at: u16, mirrored: bool) -> u16 {
        for part in parts {
            at = self.part(part, at, mirrored);
        }
        at
    }

    fn part(&mut self, part: &Part, at: u16, mirrored: bool) -> u16 {
        match part {
            Part::Step(step) if !self.sees(step) => at,
            Part::Step(step) => {
                let leaf = self.leaf(step, mirrored);
                // A provisional response is never owed and may come as often as the sender likes.
                let to = if step.message.is_provisional() { at } else { self.state() };
                self.edge(at, to, Some(leaf));
                to
            }
            Part::Optional(parts) => {
                let end = self.parts(parts, at, mirrored);
                if end != at {
                    self.edge(at, end, None);
                }
                end
            }
            Part::Repeat(parts) => {
                let start = self.state();
                self.edge(at, start, None);
                let end = self.parts(parts, start, mirrored);
                if end != start {
                    self.edge(end, start, None);
                }
                end
            }
            Part::Either(ways) => {
                let end = self.state();
                for way in ways {
                    self.way(way, at, end, mirrored);
                }
                end
            }
            Part::EitherSide(parts) => {
                let end = self.state();
                self.way(parts, at, end, mirrored);
                self.way(parts, at, end, !mirrored);
                end
            }
            Part::AnyOrder(runs) => self.any_order(runs, at, mirrored),
            Part::Media(..) => {
                self.automaton.resting[usize::from(at)] = true;
                at
            }
        }
    }

    /// One of several ways from `at` to `end`, with a state of its own to begin in.
    fn way(&mut self, parts: &[Part], at: u16, end: u16, mirrored: bool) {
        let start = self.state();
        self.edge(at, start, None);
        let last = self.parts(parts, start, mirrored);
        self.edge(last, end, None);
    }

    /// Runs that mix freely: one state per way to have stood in each of them.
    fn any_order(&mut self, runs: &[Vec<Step>], at: u16, mirrored: bool) -> u16 {
        let seen: Vec<Vec<&Step>> =
            runs.iter().map(|run| run.iter().filter(|step| self.sees(step)).collect()).collect();
        let runs: Vec<Vec<u16>> =
            seen.iter().map(|run| run.iter().map(|step| self.leaf(step, mirrored)).collect()).collect();
        let count: usize = runs.iter().map(|run| run.len() + 1).product();
        let states: Vec<u16> = (0..count).map(|number| if number == 0 { at } else { self.state() }).collect();
        for number in 0..count {
            let (mut rest, mut stride) = (number, 1);
            for run in &runs {
                let stands = rest % (run.len() + 1);
                if let Some(leaf) = run.get(stands) {
                    self.edge(states[number], states[number + stride], Some(*leaf));
                }
                rest /= run.len() + 1;
                stride *= run.len() + 1;
            }
        }
        states[count - 1]
    }
}
