//! The flows that are built in, and the automata of any set of flows.

use super::automaton::{self, Automaton};
use super::model::ReferenceFlow;
use super::replay::Replay;
use super::syntax;
use crate::base::Error;
use std::collections::BTreeSet;
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
}

/// One flow of a catalog.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) flow: ReferenceFlow,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) hops: Vec<Automaton>,
    /// For each hop, its exact replay.
    pub(super) replays: Vec<Option<Replay>>,
}

impl Catalog {
    /// A catalog of `flows`; where several fit equally well, an earlier one wins.
    pub fn new(flows: Vec<ReferenceFlow>) -> Self {
        let entries = flows
            .into_iter()
            .map(|flow| {
                let hops = automaton::hops(&flow);
                let replays = hops.iter().map(Replay::new).collect();
                Entry { name: intern(&flow.name), title: intern(&flow.title), hops, replays, flow }
            })
            .collect();
        Self { entries }
    }

    /// The flows of RFC 3665, compiled once.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Catalog> = OnceLock::new();
        // That each of them parses is tested; one that did not would only be missing here.
        BUILT_IN
            .get_or_init(|| Self::new(BCP75.iter().filter_map(|(name, text)| syntax::parse(name, text).ok()).collect()))
    }

    /// The flows of RFC 3665 and those of the user, which win where both fit.
    ///
    /// # Errors
    /// [`Error::FlowSyntax`] of the first text that does not parse.
    pub fn with<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let own: Result<Vec<_>, _> = texts.into_iter().map(|(name, text)| syntax::parse(name, text)).collect();
        let built_in = Self::built_in().flows().cloned();
        Ok(Self::new(own?.into_iter().chain(built_in).collect()))
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
