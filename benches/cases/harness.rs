//! Who measures.

/// Runs cases one after the other.
pub trait Harness {
    /// Measures `routine`, which does the same work each time it is called.
    fn case<T>(&mut self, name: &str, routine: impl FnMut() -> T);
}
