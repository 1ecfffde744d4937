//! Exact replay: the messages of a hop against a flow's hop, all readings at once.
//!
//! The automaton has states by the dozen, so the set of states that the messages so far can lead to is
//! one machine word. A healthy call ends here; only what does not replay is worth a minimum-cost edit.

use super::align::Alignment;
use super::automaton::{Automaton, Edge, Leaf};
use super::token::Token;

/// States that the bit set has room for; the largest hop of BCP 75 has about forty.
const STATES: usize = u128::BITS as usize;

/// An automaton prepared for replay.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    /// For each state, itself and those reached without any message that is owed.
    closure: Vec<u128>,
    /// Where the flow is over, or a call may rest.
    goals: u128,
}

impl Replay {
    /// Prepares `automaton`; `None` when it has too many states for a bit set.
    pub(super) fn new(automaton: &Automaton) -> Option<Self> {
        let states = automaton.resting.len();
        if states > STATES {
            return None;
        }
        let mut closure: Vec<u128> = (0..states).map(bit).collect();
        let free = |edge: &&Edge| leaf(automaton, **edge).is_none_or(|leaf| leaf.pattern.is_provisional());
        loop {
            let before = closure.clone();
            for edge in automaton.edges.iter().filter(free) {
                closure[usize::from(edge.from)] |= closure[usize::from(edge.to)];
            }
            if closure == before {
                break;
            }
        }
        let goal = |state: &usize| *state == usize::from(automaton.end) || automaton.resting[*state];
        let goals = (0..states).filter(goal).map(bit).fold(0, |all, one| all | one);
        Some(Self { closure, goals })
    }

    /// Reads `tokens` as `automaton` with nothing missing and nothing too much, or not at all.
    pub(super) fn run(&self, automaton: &Automaton, tokens: &[Token]) -> Option<Alignment> {
        let mut reached = Vec::with_capacity(tokens.len() + 1);
        let mut current = *self.closure.first()?;
        reached.push(current);
        for token in tokens {
            let taken =
                automaton.edges.iter().filter(|edge| has(current, edge.from) && takes(automaton, **edge, *token));
            current = taken.fold(0, |all, edge| all | self.closure[usize::from(edge.to)]);
            if current == 0 {
                return None;
            }
            reached.push(current);
        }
        let ends = current & self.goals;
        let over = has(ends, automaton.end);
        let last = if over { automaton.end } else { ends.trailing_zeros() as u16 };
        (ends != 0).then(|| Alignment {
            complete: over,
            steps: self.steps(automaton, tokens, &reached, last),
            ..Alignment::default()
        })
    }

    /// One way through the sets, from the end: the first edge that leads there.
    fn steps(&self, automaton: &Automaton, tokens: &[Token], reached: &[u128], last: u16) -> Vec<Option<u16>> {
        let mut steps = vec![None; tokens.len()];
        let mut state = last;
        for (column, token) in tokens.iter().enumerate().rev() {
            let by = automaton.edges.iter().find(|edge| {
                has(reached[column], edge.from)
                    && has(self.closure[usize::from(edge.to)], state)
                    && takes(automaton, **edge, *token)
            });
            let Some(edge) = by else { break };
            steps[column] = edge.leaf;
            state = edge.from;
        }
        steps
    }
}

fn bit(state: usize) -> u128 {
    1 << state
}

fn has(set: u128, state: u16) -> bool {
    set >> state & 1 == 1
}

fn leaf(automaton: &Automaton, edge: Edge) -> Option<&Leaf> {
    edge.leaf.and_then(|leaf| automaton.leaves.get(usize::from(leaf)))
}

fn takes(automaton: &Automaton, edge: Edge, token: Token) -> bool {
    leaf(automaton, edge).is_some_and(|leaf| leaf.down == token.down && leaf.pattern.accepts(token))
}
