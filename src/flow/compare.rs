//! Picks the reference flow that a call follows, and tells the differences.

use super::align::{Alignment, Blind, align, is_forwarded};
use super::automaton::{Automaton, Leaf};
use super::catalog::{Catalog, Entry};
use super::cause::{Absent, Judgement, judge};
use super::facts::facts;
use super::matching::{Cause, FlowMatch, Missing, Verdict};
use super::model::FlowKind;
use super::observed::{Observed, Strand, observe};
use super::replay::Replay;
use super::token::{Token, Verb, class};
use crate::analysis::{Analysis, CallView};
use crate::base::Idx;
use crate::call::{Hop, Kind};
use crate::session::{MessageNo, Transaction};
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Shapes of hops that are remembered: real traffic has a few hundred.
const SHAPES: usize = 8192;
/// Missing messages that are told for one call; a flood that lacks more says it with these.
const TOLD: usize = 256;

/// Compares every call with the built-in flows.
pub fn match_all(analysis: &Analysis) -> Vec<FlowMatch> {
    match_all_with(Catalog::built_in(), analysis)
}

/// Compares every call with the flows of `catalog`.
pub fn match_all_with(catalog: &Catalog, analysis: &Analysis) -> Vec<FlowMatch> {
    (0..analysis.calls.len())
        .into_par_iter()
        .map_init(|| Matcher::new(catalog), |matcher, call| matcher.compare(analysis.view(call)))
        .collect()
}

/// Compares one call with the built-in flows.
pub fn match_call(view: CallView<'_>) -> FlowMatch {
    Matcher::new(Catalog::built_in()).compare(view)
}

/// What a comparison of a hop with a flow depends on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Shape {
    flow: usize,
    first: bool,
    last: bool,
    blind: super::align::Blind,
    tokens: Vec<Token>,
}

/// How a hop reads best as a hop of a flow, and as which one.
#[derive(Debug)]
struct Reading {
    automaton: usize,
    alignment: Alignment,
}

/// Compares calls with the flows of a catalog. Equal shapes are judged once.
pub struct Matcher<'a> {
    catalog: &'a Catalog,
    known: HashMap<Shape, Arc<Reading>, RandomState>,
    /// The shape being looked up; its list is used again and again.
    wanted: Shape,
}

impl<'a> Matcher<'a> {
    /// A matcher that knows no shapes yet.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, known: HashMap::default(), wanted: Shape::default() }
    }

    /// Compares one call.
    pub fn compare(&mut self, view: CallView<'_>) -> FlowMatch {
        let nothing = || FlowMatch { steps: vec![None; view.call.messages.len()], ..FlowMatch::default() };
        let kind = match view.call.kind {
            Kind::Call => FlowKind::Call,
            Kind::Registration => FlowKind::Registration,
            _ => return nothing(),
        };
        let observed = observe(view);
        if observed.strands.is_empty() {
            return nothing();
        }
        let facts = facts(view, observed.moves);
        let catalog = self.catalog;
        let fits = |entry: &Entry| entry.flow.kind == kind && facts.unmet(&entry.flow.when) == 0;
        let candidates = catalog.entries.iter().enumerate().filter(|(_, entry)| fits(entry));
        let read: Vec<(&Entry, Vec<Arc<Reading>>)> = candidates
            .map(|(at, entry)| {
                (entry, observed.strands.iter().map(|strand| self.read(at, entry, view, strand)).collect())
            })
            .collect();
        // The first of equals wins: the order of the catalog decides.
        let best = read.into_iter().min_by_key(|(_, readings)| {
            let sum =
                |part: fn(&Alignment) -> u32| readings.iter().map(|reading| part(&reading.alignment)).sum::<u32>();
            (sum(|alignment| alignment.cost), sum(|alignment| alignment.moves))
        });
        match best {
            Some((entry, readings)) => Telling { view, entry, observed: &observed, readings: &readings }.tell(),
            None => nothing(),
        }
    }

    /// The hop of the flow that this one reads as: the cheapest, then one in the same place of the path,
    /// then the first. That fits any number of proxies to the two that the standard draws.
    fn read(&mut self, flow: usize, entry: &Entry, view: CallView<'_>, strand: &Strand) -> Arc<Reading> {
        let hop = view.call.hops[strand.hop.at()];
        let shape = &mut self.wanted;
        (shape.flow, shape.first, shape.last, shape.blind) = (flow, hop.first, hop.last, strand.blind);
        shape.tokens.clear();
        shape.tokens.extend_from_slice(&strand.tokens);
        if let Some(reading) = self.known.get(shape) {
            return Arc::clone(reading);
        }
        let misplaced =
            |automaton: &Automaton| u8::from(automaton.first != hop.first) + u8::from(automaton.last != hop.last);
        let best = entry
            .hops
            .iter()
            .zip(&entry.replays)
            .enumerate()
            .map(|(at, (automaton, replay))| {
                let alignment = exact_or_cheapest(automaton, replay.as_ref(), strand);
                (misplaced(automaton), Reading { automaton: at, alignment })
            })
            .min_by_key(|(misplaced, reading)| (reading.alignment.cost, *misplaced, reading.alignment.moves));
        let reading = best.map_or(Reading { automaton: 0, alignment: Alignment::default() }, |(_, reading)| reading);
        let reading = Arc::new(reading);
        if self.known.len() < SHAPES {
            self.known.insert(self.wanted.clone(), Arc::clone(&reading));
        }
        reading
    }
}

/// Healthy hops replay exactly; only the rest is worth an edit. What nobody could see needs the edit too.
fn exact_or_cheapest(automaton: &Automaton, replay: Option<&Replay>, strand: &Strand) -> Alignment {
    let sighted = strand.blind == Blind::default();
    let exact = replay.filter(|_| sighted).and_then(|replay| replay.run(automaton, &strand.tokens));
    exact.unwrap_or_else(|| align(automaton, &strand.tokens, strand.blind))
}

/// A message that a hop lacks.
struct Gap<'a> {
    strand: usize,
    leaf: &'a Leaf,
    /// How many of the hop's tokens come before it.
    before: usize,
}

/// Puts the readings of all hops together.
struct Telling<'a> {
    view: CallView<'a>,
    entry: &'a Entry,
    observed: &'a Observed,
    readings: &'a [Arc<Reading>],
}

impl Telling<'_> {
    fn tell(&self) -> FlowMatch {
        let mut unexpected = self.unexpected();
        unexpected.sort_unstable();
        unexpected.dedup();
        FlowMatch {
            flow: Some(self.entry.name),
            title: self.entry.title,
            cost: self.readings.iter().map(|reading| reading.alignment.cost).sum(),
            complete: self.readings.iter().all(|reading| reading.alignment.complete),
            steps: self.steps(),
            missing: self.missing(),
            unexpected,
        }
    }

    /// A hop of the call, how it was read, and the leaves of the hop of the flow.
    fn hops(&self) -> impl Iterator<Item = (&Strand, &Alignment, &[Leaf])> {
        self.observed.strands.iter().zip(self.readings).map(|(strand, reading)| {
            let leaves = self.entry.hops.get(reading.automaton).map_or(&[][..], |automaton| &automaton.leaves);
            (strand, &reading.alignment, leaves)
        })
    }

    fn steps(&self) -> Vec<Option<&'static str>> {
        let mut steps: Vec<Option<&'static str>> = vec![None; self.view.call.messages.len()];
        for (strand, alignment, leaves) in self.hops() {
            let step = |token: usize| {
                let leaf = alignment.steps.get(token).copied().flatten()?;
                leaves.get(usize::from(leaf)).map(|leaf| leaf.label).filter(|label| !label.is_empty())
            };
            let folded = strand.folded.iter().map(|(no, token)| (*no, *token as usize));
            let plain = strand.numbers.iter().enumerate().map(|(token, no)| (*no, token));
            for (no, token) in plain.chain(folded) {
                steps[no.at()] = steps[no.at()].or(step(token));
            }
        }
        for no in self.view.call.numbers() {
            if let Some(copy) = self.view.call.message(no).copy {
                steps[no.at()] = steps.get(copy.of.at()).copied().flatten();
            }
        }
        steps
    }

    /// A message lent to several hops is unexpected only if it is on all of them.
    fn unexpected(&self) -> Vec<MessageNo> {
        let mut unexpected = Vec::new();
        for (strand, alignment, _) in self.hops() {
            unexpected
                .extend(alignment.unexpected.iter().filter_map(|token| strand.numbers.get(*token as usize).copied()));
        }
        unexpected
    }

    fn missing(&self) -> Vec<Missing> {
        let mut gaps = Vec::new();
        for (number, (strand, alignment, leaves)) in self.hops().enumerate() {
            for (before, leaf) in &alignment.missing {
                let Some(leaf) = leaves.get(usize::from(*leaf)) else {
                    continue;
                };
                let before = *before as usize;
                if gaps.len() < TOLD && (before > 0 || began_within(strand, leaf)) {
                    gaps.push(Gap { strand: number, leaf, before });
                }
            }
        }
        gaps.iter().filter(|gap| !follows_from_another(gap, &gaps)).map(|gap| self.describe(gap)).collect()
    }

    fn describe(&self, gap: &Gap<'_>) -> Missing {
        let strand = &self.observed.strands[gap.strand];
        let hop = self.hop_of(strand, gap.leaf);
        let (from, to) = if gap.leaf.down { (hop.upstream, hop.downstream) } else { (hop.downstream, hop.upstream) };
        let judgement = self.judge(strand, gap);
        Missing {
            step: gap.leaf.label.to_owned(),
            what: gap.leaf.pattern.words(),
            from,
            to,
            after: gap.before.checked_sub(1).and_then(|at| strand.numbers.get(at).copied()),
            cause: judgement.cause,
            evidence: judgement.evidence,
        }
    }

    fn hop_of(&self, strand: &Strand, leaf: &Leaf) -> Hop {
        let hop = strand.shortcut.filter(|_| leaf.pattern.verb.is_in_dialog()).unwrap_or(strand.hop);
        self.view.call.hops[hop.at()]
    }

    fn judge(&self, strand: &Strand, gap: &Gap<'_>) -> Judgement {
        if let Some(absent) = self.absent(strand, gap) {
            return judge(self.view, &absent);
        }
        // Who owes it acts on what it was sent, not on what it sent itself.
        let sent_to_it = strand.tokens.iter().take(gap.before).rposition(|token| token.down != gap.leaf.down);
        let last = gap.before >= strand.tokens.len();
        if let Some(after) = sent_to_it.and_then(|at| strand.numbers.get(at)).filter(|_| last) {
            return judge(self.view, &Absent::FollowUp { after: *after });
        }
        let before = gap.before.checked_sub(1);
        match before.and_then(|at| Some((strand.tokens.get(at)?, *strand.numbers.get(at)?))) {
            Some((token, after)) => {
                let connection = self.view.seen(after).connection;
                let same_way = token.down == gap.leaf.down;
                let connection = if same_way { connection } else { connection.reversed() };
                judge(self.view, &Absent::Unproved { connection, after })
            }
            None => Judgement {
                cause: Cause::Undetermined,
                verdict: Verdict::Open,
                evidence: "nothing in the capture proves that it was sent".into(),
            },
        }
    }

    /// The transaction that lacks the message, if another message of it was seen.
    fn absent(&self, strand: &Strand, gap: &Gap<'_>) -> Option<Absent> {
        let pattern = &gap.leaf.pattern;
        let verb = pattern.verb;
        let (past, future) = strand.tokens.split_at(gap.before.min(strand.tokens.len()));
        let last =
            |wanted: &dyn Fn(&Token) -> bool| past.iter().rposition(wanted).and_then(|at| self.transaction(strand, at));
        if !pattern.status.is_empty() {
            return last(&|token| token.verb == verb && token.status == 0).map(Absent::FinalResponse);
        }
        let answered = |verb: Verb, token: &Token| token.verb == verb && token.status >= 200;
        match verb {
            Verb::Ack => last(&|token| answered(Verb::Invite, token) && class(token.status) == 2).map(Absent::AckTo2xx),
            Verb::AckReinvite => {
                last(&|token| answered(Verb::Reinvite, token) && class(token.status) == 2).map(Absent::AckTo2xx)
            }
            Verb::AckFailure => {
                last(&|token| answered(Verb::Invite, token) && class(token.status) > 2).map(Absent::AckToFailure)
            }
            _ => {
                let at = future.iter().position(|token| token.verb == verb && token.status > 0)?;
                let transaction = self.transaction(strand, gap.before + at)?;
                self.view.call.transaction(transaction).request.is_none().then_some(Absent::Request(transaction))
            }
        }
    }

    fn transaction(&self, strand: &Strand, token: usize) -> Option<Idx<Transaction>> {
        self.view.call.message(*strand.numbers.get(token)?).transaction
    }
}

/// What lies before the first message seen is told only of the exchange that was cut: whoever
/// starts to capture in the middle of a call has missed the rest by intent.
fn began_within(strand: &Strand, leaf: &Leaf) -> bool {
    strand.tokens.first().is_some_and(|token| token.verb.exchange() == leaf.pattern.verb.exchange())
}

/// What never reached one hop cannot be forwarded to the next: it is told where it first lacks.
fn follows_from_another(gap: &Gap<'_>, gaps: &[Gap<'_>]) -> bool {
    let pattern = &gap.leaf.pattern;
    let is_response = !pattern.status.is_empty();
    is_forwarded(pattern.verb, is_response)
        && gaps.iter().any(|other| {
            let nearer = if gap.leaf.down { other.strand < gap.strand } else { other.strand > gap.strand };
            nearer
                && other.leaf.down == gap.leaf.down
                && other.leaf.pattern.verb == pattern.verb
                && other.leaf.pattern.status.is_empty() != is_response
        })
}
