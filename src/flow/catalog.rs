//! The flows that are built in, and the automata of any set of flows.

use super::automaton::{self, Automaton};
use super::beyond::BEYOND;
use super::fact::{Conditions, Facts};
use super::model::{FlowKind, ReferenceFlow};
use super::replay::Replay;
use super::syntax;
use super::token::Alphabet;
use crate::base::Error;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Texts of the flows of RFC 3665 (BCP 75), by name.
pub static BCP75: [(&str, &str); 16] = [
    ("bcp75/2.1", include_str!("bcp75/2.1.flow")),
    ("bcp75/2.2", include_str!("bcp75/2.2.flow")),
    ("bcp75/2.3", include_str!("bcp75/2.3.flow")),
    ("bcp75/2.4", include_str!("bcp75/2.4.flow")),
    ("bcp75/2.5", include_str!("bcp75/2.5.flow")),
    ("bcp75/3.1", include_str!("bcp75/3.1.flow")),
    ("bcp75/3.2", include_str!("bcp75/3.2.flow")),
    ("bcp75/3.3", include_str!("bcp75/3.3.flow")),
    ("bcp75/3.4", include_str!("bcp75/3.4.flow")),
    ("bcp75/3.5", include_str!("bcp75/3.5.flow")),
    ("bcp75/3.6", include_str!("bcp75/3.6.flow")),
    ("bcp75/3.7", include_str!("bcp75/3.7.flow")),
    ("bcp75/3.8", include_str!("bcp75/3.8.flow")),
    ("bcp75/3.9", include_str!("bcp75/3.9.flow")),
    ("bcp75/3.10", include_str!("bcp75/3.10.flow")),
    ("bcp75/3.11", include_str!("bcp75/3.11.flow")),
];

/// A set of reference flows, ready to compare calls with.
#[derive(Debug)]
pub struct Catalog {
    pub(super) entries: Vec<Entry>,
    /// From here on they are more special than those before: a call may follow one of each.
    special: usize,
}

/// One flow of a catalog.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) flow: ReferenceFlow,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) section: &'static str,
    /// What must be so in a call that it is compared with.
    pub(super) conditions: Conditions,
    /// What it sees of a call: the verbs of RFC 3665, those that open it, and those that it speaks of.
    pub(super) alphabet: Alphabet,
    /// How much it says of a call: the facts that it asks for, then the verbs that it speaks of.
    pub(super) says: (u32, u32),
    pub(super) hops: Vec<Automaton>,
    /// For each hop, its exact replay.
    pub(super) replays: Vec<Option<Replay>>,
}

impl Entry {
    fn new(flow: ReferenceFlow) -> Self {
        let hops = automaton::hops(&flow);
        let spoken = automaton::spoken(&flow);
        let conditions = Conditions::new(flow.kind, &flow.when);
        Self {
            name: intern(&flow.name),
            title: intern(&flow.title),
            section: intern(&flow.section),
            conditions,
            alphabet: spoken.or(Alphabet::basic()).or(Alphabet::opening(flow.kind)),
            says: (conditions.wanted(), spoken.len()),
            replays: hops.iter().map(Replay::new).collect(),
            hops,
            flow,
        }
    }
}

impl Catalog {
    /// A catalog of `flows`; where several fit equally well, an earlier one wins.
    pub fn new(flows: Vec<ReferenceFlow>) -> Self {
        Self::with_special(flows, Vec::new())
    }

    /// A catalog of `flows`, and of `special` ones that a call may follow besides.
    pub fn with_special(flows: Vec<ReferenceFlow>, special: Vec<ReferenceFlow>) -> Self {
        Self { special: flows.len(), entries: flows.into_iter().chain(special).map(Entry::new).collect() }
    }

    /// The flows of RFC 3665 and those beyond, compiled once.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Catalog> = OnceLock::new();
        // That each of them parses is tested; one that did not would only be missing here.
        let read =
            |texts: &[(&str, &str)]| texts.iter().filter_map(|(name, text)| syntax::parse(name, text).ok()).collect();
        BUILT_IN.get_or_init(|| Self::with_special(read(&BCP75), read(BEYOND)))
    }

    /// The flows that are built in and those of the user, which win where both fit.
    ///
    /// # Errors
    /// [`Error::FlowSyntax`] of the first text that does not parse.
    pub fn with<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let own: Result<Vec<_>, _> = texts.into_iter().map(|(name, text)| syntax::parse(name, text)).collect();
        let (nearest, special) = Self::built_in().entries.split_at(Self::built_in().special);
        let copy = |entries: &[Entry]| entries.iter().map(|entry| entry.flow.clone()).collect::<Vec<_>>();
        Ok(Self::with_special(own?.into_iter().chain(copy(nearest)).collect(), copy(special)))
    }

    /// The flows of which the nearest is named, as positions.
    pub(super) fn nearest(&self) -> Range<usize> {
        0..self.special
    }

    /// The special ones.
    pub(super) fn special(&self) -> Range<usize> {
        self.special..self.entries.len()
    }

    /// What else is to be asked of a call about `kind` of which the facts `known` hold, and no other of RFC 3665.
    pub(super) fn asks(&self, kind: FlowKind, known: Facts) -> Facts {
        let may = |entry: &&Entry| entry.conditions.may_hold(kind, known, Facts::BASIC);
        self.entries.iter().filter(may).fold(Facts::default(), |all, entry| all.or(entry.conditions.asked()))
    }

    /// Its flows, in order.
    pub fn flows(&self) -> impl Iterator<Item = &ReferenceFlow> {
        self.entries.iter().map(|entry| &entry.flow)
    }

    /// The full name of the flow that people call `name`: "3.1" is "bcp75/3.1".
    pub fn full_name(&self, name: &str) -> Option<&'static str> {
        let is_called = |full: &str| full.eq_ignore_ascii_case(name) || full.rsplit('/').next() == Some(name);
        self.entries.iter().map(|entry| entry.name).find(|full| is_called(full))
    }

    /// The flow called `name`.
    pub fn find(&self, name: &str) -> Option<&ReferenceFlow> {
        self.flows().find(|flow| flow.name == name)
    }
}

/// A text that lives as long as the program. Only names out of .flow files come here, each once.
pub(super) fn intern(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known;
    }
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    texts.insert(text);
    text
}
