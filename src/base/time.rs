//! Points in time, taken from packets only.

use std::ops::Sub;
use std::time::Duration;

/// Nanoseconds since 1970-01-01 00:00:00 UTC, as the capture says; may be negative or run backwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be told.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be told.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This time plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos().min(i64::MAX as u128) as i64))
    }

    /// This time, `nanos` later or, when negative, earlier; saturating, and the ends of time stay where they are.
    #[must_use]
    pub fn moved(self, nanos: i64) -> Self {
        if self == Self::MIN || self == Self::MAX { self } else { Self(self.0.saturating_add(nanos)) }
    }

    /// How long `self` is after `earlier`; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos((self - earlier).max(0) as u64)
    }
}

impl Sub for Timestamp {
    type Output = i64;

    /// Signed distance in nanoseconds, saturating.
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}
