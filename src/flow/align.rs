//! The cheapest reading of what a hop showed as the hop of a flow.
//!
//! Minimum-cost edit of a string to a regular language (Wagner, CACM 17(5), 1974): a table over
//! (messages read, state of the automaton), filled column by column, walked back for the steps.
//! Time and memory grow with messages times edges; the messages of a hop are capped before.

use super::automaton::{Automaton, Edge, Leaf};
use super::token::{Token, Verb};

/// A message that the flow has and the hop has not.
const MISSING: u32 = 4;
/// A message that the hop has and the flow has not. More than [`MISSING`]: that a cause was not
/// captured is likelier than that an effect came from nowhere.
const EXTRA: u32 = 5;
/// A request that the hop lacks, and its answer.
pub(super) const EXCHANGE: u32 = 2 * MISSING;
/// A provisional response that came after its final one.
const LATE: u32 = 1;
/// Another message of the same outcome class.
const INSTEAD: u32 = 3;
/// Two neighbours in the other order.
const SWAPPED: u32 = 1;
/// The hop stops where the flow goes on.
const OPEN: u32 = 1;
/// Cost and number of moves in one number: the first decides, then fewer moves.
const UNIT: u32 = 1 << 10;
const NEVER: u32 = u32::MAX / 2;

/// What could not be seen on a hop, however the call went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Blind {
    /// The capture holds nothing from caller to callee.
    pub(super) down: bool,
    /// The capture holds nothing from callee to caller.
    pub(super) up: bool,
    /// An end of the hop is not in the route set: requests in the dialog pass it by (RFC 3261 16.6).
    pub(super) dialog: bool,
}

impl Blind {
    fn hides(self, leaf: &Leaf) -> bool {
        (if leaf.down { self.down } else { self.up }) || (self.dialog && leaf.in_dialog)
    }
}

/// How a hop reads as a hop of a flow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Alignment {
    /// 0 for an exact match.
    pub(super) cost: u32,
    /// How many moves made the cost.
    pub(super) moves: u32,
    /// Nothing is owed any more.
    pub(super) complete: bool,
    /// For each message, the leaf that it matched.
    pub(super) steps: Vec<Option<u16>>,
    /// Messages without a place in the flow.
    pub(super) unexpected: Vec<u32>,
    /// Leaves without a message, with how many messages come before each.
    pub(super) missing: Vec<(u32, u16)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    Start,
    /// By an edge without message.
    Pass(u16),
    /// An edge whose message is missing.
    Miss(u16),
    /// An edge and its message.
    Match(u16),
    /// An edge and a message that resembles it.
    Instead(u16),
    /// Two edges, their messages in the other order.
    Swap(u16, u16),
    /// A message without edge.
    Extra,
}

/// Reads `tokens` as `automaton` at the least cost.
pub(super) fn align(automaton: &Automaton, tokens: &[Token], blind: Blind) -> Alignment {
    let mut table = Table::new(automaton, tokens, blind);
    table.fill();
    table.read_back()
}

struct Table<'a> {
    automaton: &'a Automaton,
    tokens: &'a [Token],
    blind: Blind,
    states: usize,
    cost: Vec<u32>,
    moves: Vec<Move>,
}

impl<'a> Table<'a> {
    fn new(automaton: &'a Automaton, tokens: &'a [Token], blind: Blind) -> Self {
        let states = automaton.resting.len();
        let cells = states * (tokens.len() + 1);
        Self { automaton, tokens, blind, states, cost: vec![NEVER; cells], moves: vec![Move::Start; cells] }
    }

    fn cell(&self, column: usize, state: u16) -> usize {
        column * self.states + usize::from(state)
    }

    fn leaf(&self, edge: Edge) -> Option<&'a Leaf> {
        edge.leaf.and_then(|leaf| self.automaton.leaves.get(usize::from(leaf)))
    }

    fn offer(&mut self, column: usize, state: u16, cost: u32, by: Move) -> bool {
        let cell = self.cell(column, state);
        let better = cost < self.cost[cell];
        if better {
            self.cost[cell] = cost;
            self.moves[cell] = by;
        }
        better
    }

    fn fill(&mut self) {
        self.cost[0] = 0;
        for column in 0..=self.tokens.len() {
            self.relax(column);
            if column < self.tokens.len() {
                self.advance(column);
            }
        }
    }

    /// What it costs to go along an edge without a message.
    fn skip_cost(&self, edge: Edge) -> u32 {
        match self.leaf(edge) {
            None => 0,
            Some(leaf) if leaf.pattern.is_provisional() || self.blind.hides(leaf) => 0,
            Some(_) => MISSING * UNIT + 1,
        }
    }

    /// Moves within a column. Edges run forward but for those of `repeat`: two or three rounds.
    fn relax(&mut self, column: usize) {
        let mut changed = true;
        while changed {
            changed = false;
            for (number, edge) in self.automaton.edges.iter().enumerate() {
                let cost = self.cost[self.cell(column, edge.from)];
                if cost < NEVER && edge.from != edge.to {
                    let by = if edge.leaf.is_none() { Move::Pass(number as u16) } else { Move::Miss(number as u16) };
                    changed |= self.offer(column, edge.to, cost + self.skip_cost(*edge), by);
                }
            }
        }
    }

    /// Moves that use the message `column`.
    fn advance(&mut self, column: usize) {
        let token = self.tokens[column];
        for (number, edge) in self.automaton.edges.iter().enumerate() {
            let cost = self.cost[self.cell(column, edge.from)];
            let Some(leaf) = self.leaf(*edge).filter(|_| cost < NEVER) else {
                continue;
            };
            if leaf.down == token.down && leaf.pattern.accepts(token) {
                self.offer(column + 1, edge.to, cost, Move::Match(number as u16));
            } else if leaf.down == token.down && leaf.pattern.resembles(token) {
                self.offer(column + 1, edge.to, cost + INSTEAD * UNIT + 1, Move::Instead(number as u16));
            }
            if self.may_swap(column) && accepts(leaf, self.tokens[column + 1]) {
                self.swap(column, number as u16, *edge, cost);
            }
        }
        // Last, so that at equal cost a message with a place keeps it.
        for state in 0..self.states as u16 {
            let cost = self.cost[self.cell(column, state)];
            if cost < NEVER {
                self.offer(column + 1, state, cost + extra_cost(token), Move::Extra);
            }
        }
    }

    /// What cannot have changed places on the wire: a request and the response to it, and two requests of one
    /// method, which CSeq keeps in order.
    fn may_swap(&self, column: usize) -> bool {
        self.tokens.get(column..column + 2).is_some_and(|pair| {
            let same_method = pair[0].verb == pair[1].verb && pair.iter().all(|token| token.status == 0);
            !same_method && !pair[1].answers
        })
    }

    fn swap(&mut self, column: usize, first: u16, edge: Edge, cost: u32) {
        let token = self.tokens[column];
        let next = self.freely_from(edge.to);
        for (number, second) in self.automaton.edges.iter().enumerate() {
            if next[usize::from(second.from)] && self.leaf(*second).is_some_and(|leaf| accepts(leaf, token)) {
                self.offer(column + 2, second.to, cost + SWAPPED * UNIT + 1, Move::Swap(first, number as u16));
            }
        }
    }

    /// The states that `state` leads to without a message that is owed.
    fn freely_from(&self, state: u16) -> Vec<bool> {
        let mut reached = vec![false; self.states];
        reached[usize::from(state)] = true;
        let mut changed = true;
        while changed {
            changed = false;
            for edge in self.automaton.edges.iter().filter(|edge| self.skip_cost(**edge) == 0) {
                let (from, to) = (usize::from(edge.from), usize::from(edge.to));
                changed |= reached[from] && !reached[to];
                reached[to] |= reached[from];
            }
        }
        reached
    }

    fn is_goal(&self, state: usize) -> bool {
        state == usize::from(self.automaton.end) || self.automaton.resting[state]
    }

    /// What is still owed in each state, as a cost.
    fn owed(&self) -> Vec<u32> {
        let mut owed: Vec<u32> = (0..self.states).map(|state| if self.is_goal(state) { 0 } else { NEVER }).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for edge in self.automaton.edges.iter().rev() {
                let cost = owed[usize::from(edge.to)].saturating_add(self.skip_cost(*edge));
                if cost < owed[usize::from(edge.from)] {
                    owed[usize::from(edge.from)] = cost;
                    changed = true;
                }
            }
        }
        owed
    }

    /// Where the reading ends: where the flow ends, where a call may rest, else anywhere; of equals
    /// where least is owed.
    fn ending(&self) -> (u16, u32) {
        let column = self.tokens.len();
        let owed = self.owed();
        let key = |state: usize| {
            let open = if self.is_goal(state) { 0 } else { OPEN * UNIT + 1 };
            let cost = self.cost[self.cell(column, state as u16)].saturating_add(open);
            (cost, state != usize::from(self.automaton.end), owed[state])
        };
        let best = (0..self.states).min_by_key(|state| key(*state)).unwrap_or_default();
        (best as u16, key(best).0)
    }

    fn read_back(self) -> Alignment {
        let (mut state, cost) = self.ending();
        let mut result = Alignment {
            cost: cost / UNIT,
            moves: cost % UNIT,
            complete: false,
            steps: vec![None; self.tokens.len()],
            unexpected: Vec::new(),
            missing: Vec::new(),
        };
        let due = self.due(state);
        result.complete = state == self.automaton.end || (due.is_none() && !self.automaton.resting[usize::from(state)]);
        let pending = due.filter(|_| !self.automaton.resting[usize::from(state)]);
        result.missing.extend(pending.map(|leaf| (self.tokens.len() as u32, leaf)));
        let mut column = self.tokens.len();
        loop {
            let by = self.moves[self.cell(column, state)];
            let edge = match by {
                Move::Start => break,
                Move::Extra => None,
                Move::Pass(edge) | Move::Miss(edge) | Move::Match(edge) | Move::Instead(edge) | Move::Swap(edge, _) => {
                    Some(self.automaton.edges[usize::from(edge)])
                }
            };
            match by {
                Move::Miss(_) => {
                    let leaf = edge.filter(|edge| self.skip_cost(*edge) > 0).and_then(|edge| edge.leaf);
                    result.missing.extend(leaf.map(|leaf| (column as u32, leaf)));
                }
                Move::Extra => {
                    column -= 1;
                    if extra_cost(self.tokens[column]) > 0 && !self.tokens[column].late {
                        result.unexpected.push(column as u32);
                    }
                }
                Move::Match(_) | Move::Instead(_) => {
                    column -= 1;
                    result.steps[column] = edge.and_then(|edge| edge.leaf);
                }
                Move::Swap(_, second) => {
                    column -= 2;
                    result.steps[column] = self.automaton.edges[usize::from(second)].leaf;
                    result.steps[column + 1] = edge.and_then(|edge| edge.leaf);
                }
                Move::Start | Move::Pass(_) => {}
            }
            if let Some(edge) = edge {
                state = edge.from;
            }
        }
        result.missing.reverse();
        result.unexpected.reverse();
        result
    }

    /// The first message that is owed on the cheapest way from `state` to the end of the flow, or to a
    /// place where a call may rest.
    fn due(&self, state: u16) -> Option<u16> {
        let mut cost = vec![NEVER; self.states];
        let mut first: Vec<Option<u16>> = vec![None; self.states];
        cost[usize::from(state)] = 0;
        let mut changed = true;
        while changed {
            changed = false;
            for edge in &self.automaton.edges {
                let (from, to) = (usize::from(edge.from), usize::from(edge.to));
                let step = self.skip_cost(*edge);
                if cost[from] < NEVER && cost[from] + step < cost[to] {
                    cost[to] = cost[from] + step;
                    first[to] = first[from].or(edge.leaf.filter(|_| step > 0));
                    changed = true;
                }
            }
        }
        let goals = (0..self.states).filter(|at| self.is_goal(*at));
        goals.min_by_key(|at| cost[*at]).and_then(|at| first[at])
    }
}

fn accepts(leaf: &Leaf, token: Token) -> bool {
    leaf.down == token.down && leaf.pattern.accepts(token)
}

fn extra_cost(token: Token) -> u32 {
    match token.status {
        100..=199 if token.late => LATE * UNIT + 1,
        100..=199 => 0,
        _ => EXTRA * UNIT + 1,
    }
}

/// Whether a message that is missing on one hop is missing on the next one only because of that:
/// everything but what each hop makes itself (RFC 3261 16.7, 16.10, 17.1.1.3).
pub(super) fn is_forwarded(verb: Verb, is_response: bool) -> bool {
    !(verb == Verb::AckFailure || (verb == Verb::Cancel && is_response))
}

#[cfg(test)]
mod tests {
    use super::super::token::Contact;
    use super::super::{automaton, parse};
    use super::*;

    const CALL: &str = "flow t: T\nkind call\nroles a, b\nladder {
        F1 a -> b: INVITE\n F2 b -> a: 1xx to INVITE\n F3 b -> a: 2xx to INVITE\n F4 a -> b: ACK\n media a <-> b
        either side {\n F5 a -> b: BYE\n F6 b -> a: 2xx to BYE\n }\n}";
    const CANCELLED: &str = "flow t: T\nkind call\nroles a, b\nladder {
        F1 a -> b: INVITE\n F2 a -> b: CANCEL
        any order {\n F3 b -> a: 2xx to CANCEL\n } and {\n F4 b -> a: 487 to INVITE\n F5 a -> b: ACK to failure\n }\n}";

    /// `>` goes down, `<` up: ">INVITE", "<200 INVITE".
    fn token(text: &str) -> Token {
        let (down, rest) = (text.starts_with('>'), &text[1..]);
        let (status, verb) =
            rest.split_once(' ').filter(|(status, _)| status.parse::<u16>().is_ok()).unwrap_or(("0", rest));
        let verb = Verb::NAMES.iter().find(|(_, name)| *name == verb).unwrap().0;
        Token {
            verb,
            status: status.parse().unwrap(),
            down,
            credentials: false,
            contact: Contact::Some,
            answers: false,
            late: false,
        }
    }

    fn read(flow: &str, tokens: &[&str], blind: Blind) -> (Alignment, Vec<&'static str>) {
        let hops = automaton::hops(&parse("t", flow).unwrap());
        let tokens: Vec<Token> = tokens.iter().map(|text| token(text)).collect();
        let alignment = align(&hops[0], &tokens, blind);
        let missing = alignment.missing.iter().map(|(_, leaf)| hops[0].leaves[usize::from(*leaf)].label).collect();
        (alignment, missing)
    }

    #[test]
    fn a_call_that_is_still_up_owes_nothing_and_is_not_complete() {
        let (alignment, missing) =
            read(CALL, &[">INVITE", "<180 INVITE", "<183 INVITE", "<200 INVITE", ">ACK"], Blind::default());
        assert_eq!((alignment.cost, alignment.complete, missing), (0, false, vec![]));
    }

    #[test]
    fn bye_may_come_from_either_side_but_its_answer_comes_from_the_other() {
        let start = [">INVITE", "<200 INVITE", ">ACK"];
        for end in [[">BYE", "<200 BYE"], ["<BYE", ">200 BYE"]] {
            assert_eq!(read(CALL, &[&start[..], &end].concat(), Blind::default()).0.cost, 0);
        }
        assert_ne!(read(CALL, &[&start[..], &[">BYE", ">200 BYE"]].concat(), Blind::default()).0.cost, 0);
    }

    #[test]
    fn what_the_other_side_owes_next_is_missing_at_the_end() {
        let (alignment, missing) = read(CALL, &[">INVITE", "<200 INVITE"], Blind::default());
        assert_eq!((alignment.cost, missing), (OPEN, vec!["F4"]));
    }

    #[test]
    fn a_direction_that_the_capture_lacks_costs_nothing() {
        let blind = Blind { up: true, ..Blind::default() };
        let (alignment, missing) = read(CALL, &[">INVITE", ">ACK", ">BYE"], blind);
        assert_eq!((alignment.cost, alignment.complete, missing), (0, true, vec![]));
    }

    #[test]
    fn a_busy_answer_is_never_taken_for_an_accepting_one() {
        let (alignment, _) = read(CALL, &[">INVITE", "<486 INVITE", ">ACK to failure"], Blind::default());
        assert_eq!(alignment.steps, [Some(0), None, None]);
    }

    #[test]
    fn answers_to_cancel_and_invite_mix_in_any_order() {
        for order in [
            ["<200 CANCEL", "<487 INVITE", ">ACK to failure"],
            ["<487 INVITE", "<200 CANCEL", ">ACK to failure"],
            ["<487 INVITE", ">ACK to failure", "<200 CANCEL"],
        ] {
            let (alignment, _) = read(CANCELLED, &[&[">INVITE", ">CANCEL"], &order[..]].concat(), Blind::default());
            assert_eq!((alignment.cost, alignment.complete), (0, true), "{order:?}");
        }
    }

    #[test]
    fn two_neighbours_in_the_other_order_are_cheaper_than_one_missing() {
        let (alignment, missing) = read(CALL, &[">INVITE", ">ACK", "<200 INVITE"], Blind::default());
        assert_eq!((alignment.cost, missing), (SWAPPED, vec![]));
        assert!(alignment.unexpected.is_empty());
    }
}
