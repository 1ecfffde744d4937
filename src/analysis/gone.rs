//! Calls that are over and forgotten: what comes late for one of them is no call of its own.

use crate::base::limits;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

/// Their Call-IDs, as keyed hashes.
#[derive(Default)]
pub(super) struct Gone {
    hasher: foldhash::quality::RandomState,
    all: HashSet<u64, foldhash::fast::RandomState>,
    in_order: VecDeque<u64>,
}

impl Gone {
    pub(super) fn insert(&mut self, id: &[u8]) {
        let hash = self.hasher.hash_one(id);
        if !self.all.insert(hash) {
            return;
        }
        self.in_order.push_back(hash);
        if self.in_order.len() > limits::FORGOTTEN_CALLS
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, id: &[u8]) {
        if !self.all.is_empty() {
            self.all.remove(&self.hasher.hash_one(id));
        }
    }

    pub(super) fn has(&self, id: &[u8]) -> bool {
        !self.all.is_empty() && self.all.contains(&self.hasher.hash_one(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first_and_what_begins_anew_is_not_gone() {
        let mut gone = Gone::default();
        let id = |n: usize| n.to_string().into_bytes();
        (0..=limits::FORGOTTEN_CALLS).for_each(|n| gone.insert(&id(n)));
        assert!(!gone.has(&id(0)) && gone.has(&id(1)));
        gone.remove(&id(1));
        assert!(!gone.has(&id(1)) && gone.has(&id(2)));
    }
}
