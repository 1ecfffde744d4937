//! Typed indices into arenas: links between things are numbers, never references.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// Position of a `T` in its arena. Kept as one more, so that an `Option` of it is no larger.
pub struct Idx<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Idx<T> {
    /// Index of position `at`.
    ///
    /// # Panics
    /// When `at` is 2³² - 1 or more: the arenas are capped far below that (see [`crate::base::limits`]).
    #[inline]
    pub fn new(at: usize) -> Self {
        let number = u32::try_from(at).ok().and_then(|at| NonZeroU32::MIN.checked_add(at));
        assert!(number.is_some(), "arena of 2^32 entries");
        Self(number.unwrap_or(NonZeroU32::MIN), PhantomData)
    }

    /// The position, for indexing.
    #[inline]
    pub fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl<T> Clone for Idx<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Idx<T> {}
impl<T> PartialEq for Idx<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Idx<T> {}
impl<T> PartialOrd for Idx<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Idx<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Idx<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Idx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.at())
    }
}
