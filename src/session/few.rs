//! A map that nearly always holds a few entries, as tables of one call do.

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::Hash;

/// The first [`FewMap::FEW`] entries are compared one by one, which costs less than hashing; the others, of which
/// a flood has thousands, are hashed.
pub(crate) struct FewMap<K, V> {
    few: SmallVec<[(K, V); 8]>,
    more: HashMap<K, V, RandomState>,
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        Self { few: SmallVec::new(), more: HashMap::default() }
    }
}

impl<K: Eq + Hash, V> FewMap<K, V> {
    const FEW: usize = 8;

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self.few.iter().find(|(known, _)| known == key) {
            Some((_, value)) => Some(value),
            None if self.more.is_empty() => None,
            None => self.more.get(key),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.few.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => Some(value),
            None if self.more.is_empty() => None,
            None => self.more.get_mut(key),
        }
    }

    /// The value of `key`; `new` where it is not known yet.
    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let at = self.few.iter().position(|(known, _)| *known == key).unwrap_or(self.few.len());
        if at >= Self::FEW {
            return self.more.entry(key).or_insert_with(new);
        }
        if at == self.few.len() {
            self.few.push((key, new()));
        }
        &mut self.few[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_found_and_kept_as_first_inserted() {
        let mut map = FewMap::default();
        for key in 0..100 {
            assert_eq!(map.get(&key), None);
            assert_eq!(*map.get_or_insert_with(key, || key * 2), key * 2);
            assert_eq!(*map.get_or_insert_with(key, || 0), key * 2);
        }
        for key in 0..100 {
            assert_eq!(map.get(&key), Some(&(key * 2)));
            *map.get_mut(&key).unwrap() += 1;
            assert_eq!(map.get(&key), Some(&(key * 2 + 1)));
        }
        assert_eq!(map.get_mut(&100), None);
    }
}
