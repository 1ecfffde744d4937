//! Picks the reference flow that a call follows and the more special one, and tells the differences.

use super::align::{Alignment, Blind, EXCHANGE, align, is_forwarded};
use super::automaton::{Automaton, Leaf};
use super::catalog::{Catalog, Entry};
use super::cause::{Absent, Judgement, judge};
use super::fact::Facts;
use super::facts::facts;
use super::matching::{Cause, FlowMatch, Missing, Special, Verdict};
use super::media::motion;
use super::model::FlowKind;
use super::observed::{Observed, Strand, observe};
use super::replay::Replay;
use super::token::{Alphabet, Token, Verb, class};
use crate::analysis::{Analysis, CallView};
use crate::base::Idx;
use crate::call::Hop;
use crate::session::{MessageNo, Transaction};
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
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

/// The flows whose conditions a call fulfils, as positions in the catalog.
#[derive(Debug)]
struct Fitting {
    nearest: Vec<usize>,
    /// Those that say most first.
    special: Vec<usize>,
}

/// Compares calls with the flows of a catalog. Equal shapes are judged once.
pub struct Matcher<'a> {
    catalog: &'a Catalog,
    /// What else is to be asked of a call, by its kind and what is known of it.
    asked: HashMap<(FlowKind, Facts), Facts, RandomState>,
    fitting: HashMap<(FlowKind, Facts), Arc<Fitting>, RandomState>,
    known: HashMap<Shape, Arc<Reading>, RandomState>,
    /// The shape being looked up; its list is used again and again.
    wanted: Shape,
}

impl<'a> Matcher<'a> {
    /// A matcher that knows no shapes yet.
    pub fn new(catalog: &'a Catalog) -> Self {
        let (asked, fitting) = (HashMap::default(), HashMap::default());
        Self { catalog, asked, fitting, known: HashMap::default(), wanted: Shape::default() }
    }

    /// Compares one call.
    pub fn compare(&mut self, view: CallView<'_>) -> FlowMatch {
        let nothing = || FlowMatch { steps: vec![None; view.call.messages.len()], ..FlowMatch::default() };
        let Some(kind) = FlowKind::of(view.call.kind) else {
            return nothing();
        };
        let motion = motion(view);
        let facts = facts(view, kind, &motion, |known| self.asks(kind, known));
        let fitting = self.fitting(kind, facts);
        if fitting.nearest.is_empty() && fitting.special.is_empty() {
            return nothing();
        }
        let observed = observe(view, kind, &motion.moved);
        let mut strands = Strands { observed: &observed, known: Vec::new() };
        if kind.is_basic() && strands.of(Alphabet::basic()).is_empty() {
            return nothing();
        }
        // The first of equals wins: the order of the catalog decides.
        let nearest = fitting.nearest.iter().filter_map(|at| self.read_all(*at, view, &mut strands));
        let nearest = nearest.min_by_key(Read::cost);
        let (near, cheapest) = self.special(&fitting.special, view, &mut strands, nearest.as_ref());
        match nearest {
            Some(nearest) => {
                FlowMatch { special: near.map(|read| read.telling(view).into()), ..nearest.telling(view).tell() }
            }
            // RFC 3665 has nothing of this kind: the special flow is the nearest one.
            None if !kind.is_basic() => near.or(cheapest).map_or_else(nothing, |read| read.telling(view).tell()),
            None => FlowMatch { special: near.map(|read| read.telling(view).into()), ..nothing() },
        }
    }

    /// As [`Catalog::asks`].
    fn asks(&mut self, kind: FlowKind, known: Facts) -> Facts {
        if let Some(asked) = self.asked.get(&(kind, known)) {
            return *asked;
        }
        let asked = self.catalog.asks(kind, known);
        if self.asked.len() < SHAPES {
            self.asked.insert((kind, known), asked);
        }
        asked
    }

    fn fitting(&mut self, kind: FlowKind, facts: Facts) -> Arc<Fitting> {
        if let Some(fitting) = self.fitting.get(&(kind, facts)) {
            return Arc::clone(fitting);
        }
        let catalog = self.catalog;
        let fits = |numbers: Range<usize>| -> Vec<usize> {
            numbers.filter(|at| catalog.conditions(*at).hold(kind, facts)).collect()
        };
        let (nearest, mut special) = (fits(catalog.nearest()), fits(catalog.special()));
        special.sort_by_key(|at| Reverse(catalog.entry(*at).map(|entry| entry.says)));
        let fitting = Arc::new(Fitting { nearest, special });
        if self.fitting.len() < SHAPES {
            self.fitting.insert((kind, facts), Arc::clone(&fitting));
        }
        fitting
    }

    /// Of the special flows `numbers`, those that say most first, the one that says most of the call and is near to it: on
    /// no hop more than one message further away than the `nearest` flow of RFC 3665 is there. Then the cheapest one, near
    /// or not.
    fn special(
        &mut self,
        numbers: &[usize],
        view: CallView<'_>,
        strands: &mut Strands<'_>,
        nearest: Option<&Read<'a>>,
    ) -> (Option<Read<'a>>, Option<Read<'a>>) {
        let (mut near, mut cheapest): (Option<Read<'a>>, Option<Read<'a>>) = (None, None);
        for at in numbers.iter().copied() {
            // Whoever says less comes too late.
            if near.as_ref().map(|near| near.entry.says) > self.catalog.entry(at).map(|entry| entry.says) {
                break;
            }
            let Some(read) = self.read_all(at, view, strands) else {
                continue;
            };
            let best = if read.is_near(nearest) { &mut near } else { &mut cheapest };
            if best.as_ref().is_none_or(|best| read.cost() < best.cost()) {
                *best = Some(read);
            }
        }
        (near, cheapest)
    }

    /// The call as the flow number `at`; `None` when that flow sees nothing of it.
    fn read_all(&mut self, at: usize, view: CallView<'_>, strands: &mut Strands<'_>) -> Option<Read<'a>> {
        let entry = self.catalog.entry(at)?;
        let strands = strands.of(entry.alphabet);
        let readings: Vec<_> = strands.iter().map(|strand| self.read(at, entry, view, strand)).collect();
        (!readings.is_empty()).then_some(Read { entry, strands, readings })
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

/// The hops of a call, as flows of different alphabets see them.
struct Strands<'a> {
    observed: &'a Observed<'a>,
    known: Vec<(Alphabet, Rc<[Strand]>)>,
}

impl Strands<'_> {
    fn of(&mut self, alphabet: Alphabet) -> Rc<[Strand]> {
        if let Some((_, strands)) = self.known.iter().find(|(known, _)| *known == alphabet) {
            return Rc::clone(strands);
        }
        let strands: Rc<[Strand]> = self.observed.strands(alphabet).into();
        self.known.push((alphabet, Rc::clone(&strands)));
        strands
    }
}

/// A call read as a flow.
struct Read<'a> {
    entry: &'a Entry,
    strands: Rc<[Strand]>,
    /// For each strand.
    readings: Vec<Arc<Reading>>,
}

impl Read<'_> {
    /// Cost over all hops, then the number of moves that made it.
    fn cost(&self) -> (u32, u32) {
        let sum = |part: fn(&Alignment) -> u32| self.readings.iter().map(|read| part(&read.alignment)).sum();
        (sum(|alignment| alignment.cost), sum(|alignment| alignment.moves))
    }

    fn hops(&self) -> impl Iterator<Item = (Idx<Hop>, u32)> {
        self.strands.iter().zip(&self.readings).map(|(strand, read)| (strand.hop, read.alignment.cost))
    }

    /// What is wrong with the call in any flow counts against none; beyond that, one exchange per hop.
    fn is_near(&self, nearest: Option<&Self>) -> bool {
        let base =
            |hop| nearest.and_then(|read| read.hops().find(|(other, _)| *other == hop)).map_or(0, |(_, cost)| cost);
        self.hops().all(|(hop, cost)| cost <= base(hop) + EXCHANGE)
    }

    fn telling<'r>(&'r self, view: CallView<'r>) -> Telling<'r> {
        Telling { view, entry: self.entry, strands: &self.strands, readings: &self.readings }
    }
}

impl From<Telling<'_>> for Special {
    fn from(telling: Telling<'_>) -> Self {
        Self {
            name: telling.entry.name,
            title: telling.entry.title,
            section: telling.entry.section,
            cost: telling.cost(),
            complete: telling.is_complete(),
            missing: telling.missing(),
            unexpected: telling.unexpected(),
        }
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
    strands: &'a [Strand],
    readings: &'a [Arc<Reading>],
}

impl Telling<'_> {
    fn tell(&self) -> FlowMatch {
        FlowMatch {
            flow: Some(self.entry.name),
            title: self.entry.title,
            cost: self.cost(),
            complete: self.is_complete(),
            steps: self.steps(),
            missing: self.missing(),
            unexpected: self.unexpected(),
            special: None,
        }
    }

    fn cost(&self) -> u32 {
        self.readings.iter().map(|reading| reading.alignment.cost).sum()
    }

    fn is_complete(&self) -> bool {
        self.readings.iter().all(|reading| reading.alignment.complete)
    }

    /// A hop of the call, how it was read, and the leaves of the hop of the flow.
    fn hops(&self) -> impl Iterator<Item = (&Strand, &Alignment, &[Leaf])> {
        self.strands.iter().zip(self.readings).map(|(strand, reading)| {
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
        unexpected.sort_unstable();
        unexpected.dedup();
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
        let strand = &self.strands[gap.strand];
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
        let hop = strand.shortcut.filter(|_| leaf.in_dialog).unwrap_or(strand.hop);
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
        if let Some(invite) = verb.acknowledges() {
            return last(&|token| answered(invite, token) && class(token.status) == 2).map(Absent::AckTo2xx);
        }
        if verb == Verb::AckFailure {
            return last(&|token| answered(Verb::Invite, token) && class(token.status) > 2).map(Absent::AckToFailure);
        }
        let at = future.iter().position(|token| token.verb == verb && token.status > 0)?;
        let transaction = self.transaction(strand, gap.before + at)?;
        self.view.call.transaction(transaction).request.is_none().then_some(Absent::Request(transaction))
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
