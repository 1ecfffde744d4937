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
    slots: Vec<Slot>,
    /// From here on they are more special than those before: a call may follow one of each.
    special: usize,
}

/// The place of one flow. Most captures need few of those that are built in, so of these only the heading is
/// read at first.
#[derive(Debug)]
struct Slot {
    name: &'static str,
    /// What must be so in a call that it is compared with.
    conditions: Conditions,
    /// Its text, when it is built in.
    text: &'static str,
    /// None for a text that does not parse.
    entry: OnceLock<Option<Box<Entry>>>,
}

impl Slot {
    fn built_in((name, text): &(&'static str, &'static str)) -> Option<Self> {
        let heading = syntax::heading(name, text).ok()?;
        let conditions = Conditions::new(heading.kind, &heading.when);
        Some(Self { name, conditions, text, entry: OnceLock::new() })
    }

    fn entry(&self) -> Option<&Entry> {
        self.entry.get_or_init(|| Some(Box::new(Entry::new(syntax::parse(self.name, self.text).ok()?)))).as_deref()
    }
}

impl From<ReferenceFlow> for Slot {
    fn from(flow: ReferenceFlow) -> Self {
        let conditions = Conditions::new(flow.kind, &flow.when);
        let entry = Entry::new(flow);
        Self { name: entry.name, conditions, text: "", entry: Some(Box::new(entry)).into() }
    }
}

/// One flow of a catalog.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) flow: ReferenceFlow,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) section: &'static str,
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
        Self {
            name: intern(&flow.name),
            title: intern(&flow.title),
            section: intern(&flow.section),
            alphabet: spoken.or(Alphabet::basic()).or(Alphabet::opening(flow.kind)),
            says: (Conditions::new(flow.kind, &flow.when).wanted(), spoken.len()),
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
        Self { special: flows.len(), slots: flows.into_iter().chain(special).map(Slot::from).collect() }
    }

    /// The flows of RFC 3665 and those beyond; each is compiled when it is first asked for.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Catalog> = OnceLock::new();
        BUILT_IN.get_or_init(|| Self::before_built_in(Vec::new()))
    }

    /// The flows that are built in and those of the user, which win where both fit.
    ///
    /// # Errors
    /// [`Error::FlowSyntax`] of the first text that does not parse.
    pub fn with<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let own: Result<Vec<_>, _> =
            texts.into_iter().map(|(name, text)| syntax::parse(name, text).map(Slot::from)).collect();
        own.map(Self::before_built_in)
    }

    fn before_built_in(mut slots: Vec<Slot>) -> Self {
        slots.reserve_exact(BCP75.len() + BEYOND.len());
        // That each of them parses is tested; one that did not would only be missing here.
        slots.extend(BCP75.iter().filter_map(Slot::built_in));
        let special = slots.len();
        slots.extend(BEYOND.iter().filter_map(Slot::built_in));
        Self { slots, special }
    }

    /// The flows of which the nearest is named, as positions.
    pub(super) fn nearest(&self) -> Range<usize> {
        0..self.special
    }

    /// The special ones.
    pub(super) fn special(&self) -> Range<usize> {
        self.special..self.slots.len()
    }

    /// What a call must be to be compared with the flow number `at`.
    pub(super) fn conditions(&self, at: usize) -> Conditions {
        self.slots[at].conditions
    }

    /// The flow number `at`.
    pub(super) fn entry(&self, at: usize) -> Option<&Entry> {
        self.slots[at].entry()
    }

    /// What else is to be asked of a call about `kind` of which the facts `known` hold, and no other of RFC 3665.
    pub(super) fn asks(&self, kind: FlowKind, known: Facts) -> Facts {
        let may = |slot: &&Slot| slot.conditions.may_hold(kind, known, Facts::BASIC);
        self.slots.iter().filter(may).fold(Facts::default(), |all, slot| all.or(slot.conditions.asked()))
    }

    /// Its flows, in order.
    pub fn flows(&self) -> impl Iterator<Item = &ReferenceFlow> {
        self.slots.iter().filter_map(Slot::entry).map(|entry| &entry.flow)
    }

    /// The full name of the flow that people call `name`: "3.1" is "bcp75/3.1".
    pub fn full_name(&self, name: &str) -> Option<&'static str> {
        let is_called = |full: &str| full.eq_ignore_ascii_case(name) || full.rsplit('/').next() == Some(name);
        self.slots.iter().map(|slot| slot.name).find(|full| is_called(full))
    }

    /// The flow called `name`.
    pub fn find(&self, name: &str) -> Option<&ReferenceFlow> {
        self.slots.iter().find(|slot| slot.name == name).and_then(Slot::entry).map(|entry| &entry.flow)
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
