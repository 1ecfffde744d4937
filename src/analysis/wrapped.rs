//! What messages were wrapped in, each way kept once: a message has its number.

use crate::base::limits;
use crate::net::Encapsulation;
use crate::session::Seen;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Messages that were wrapped alike: in the same VLANs and tunnels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrapping {
    /// In words, outermost first: "VLAN 100, GRE 10.0.0.1 > 10.0.0.2".
    pub path: String,
    /// SIP messages.
    pub messages: u64,
    /// Frame of the first one.
    pub first: u32,
}

/// Numbers for ways of wrapping, from 1; 0 is none at all.
#[derive(Clone, Default)]
pub(super) struct Wrappings {
    all: Vec<Encapsulation>,
    numbers: HashMap<Encapsulation, u16, RandomState>,
}

impl Wrappings {
    /// The number of `outer`.
    pub(super) fn number(&mut self, outer: Encapsulation) -> u16 {
        if outer.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(&outer) {
            return *number;
        }
        if self.all.len() >= limits::ENCAPSULATIONS {
            return 0;
        }
        self.all.push(outer.clone());
        let number = self.all.len() as u16;
        self.numbers.insert(outer, number);
        number
    }

    /// The number of `outer` around what has the number `inner`.
    pub(super) fn around(&mut self, outer: &Encapsulation, inner: u16) -> u16 {
        match self.of(inner) {
            Some(inner) => self.number(outer.around(inner)),
            None => self.number(outer.clone()),
        }
    }

    /// The numbers here of those that `others` knows, in order of their numbers there.
    pub(super) fn take_in(&mut self, others: Self) -> Vec<u16> {
        others.all.into_iter().map(|outer| self.number(outer)).collect()
    }

    fn of(&self, number: u16) -> Option<&Encapsulation> {
        self.all.get(usize::from(number).checked_sub(1)?)
    }

    /// Those that messages have, with their counts, in order of their first message; numbers the messages anew
    /// by that.
    pub(super) fn settle(self, seen: &mut [Seen]) -> Vec<Wrapping> {
        let words = |outer: Encapsulation| Wrapping { path: outer.to_string(), messages: 0, first: u32::MAX };
        let mut counted: Vec<(usize, Wrapping)> = self.all.into_iter().map(words).enumerate().collect();
        let at = |seen: &Seen| usize::from(seen.wrapped).wrapping_sub(1);
        for seen in &*seen {
            if let Some((_, wrapping)) = counted.get_mut(at(seen)) {
                wrapping.messages += 1;
                wrapping.first = wrapping.first.min(seen.frames.last());
            }
        }
        counted.sort_by(|(_, one), (_, other)| (one.first, &one.path).cmp(&(other.first, &other.path)));
        let mut numbers = vec![0; counted.len()];
        for (number, (old, _)) in (1..).zip(&counted) {
            numbers[*old] = number;
        }
        for seen in seen.iter_mut().filter(|_| !numbers.is_empty()) {
            seen.wrapped = numbers.get(at(seen)).copied().unwrap_or(0);
        }
        counted.retain(|(_, wrapping)| wrapping.messages > 0);
        counted.into_iter().map(|(_, wrapping)| wrapping).collect()
    }
}
