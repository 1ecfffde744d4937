//! The only place where the clock on the wall counts: it says when to look, and lets timers run out while no packet comes.

use crate::base::{Batch, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A packet may take so long from the wire to here; what did not come by then does not come.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Packets whose times are so near to the clock on the wall are of now, and silence after them is silence. Those of an
/// old capture have their own time.
const NOW: Duration = Duration::from_secs(10);

/// What time it is for the packets.
#[derive(Default)]
pub(super) struct Clock {
    last: Option<Timestamp>,
    /// Whether the last packets were of the time on the wall when they came.
    is_now: bool,
}

impl Clock {
    pub(super) fn hear(&mut self, batch: &Batch) {
        if let Some(last) = batch.packets.iter().map(|packet| packet.time).max() {
            self.last = self.last.max(Some(last));
            self.is_now = (wall() - last).unsigned_abs() < NOW.as_nanos() as u64;
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let last = self.last.unwrap_or_default();
        if !self.is_now {
            return last;
        }
        last.max(Timestamp::from_nanos(wall().as_nanos() - ON_THE_WAY.as_nanos() as i64))
    }
}

#[allow(clippy::disallowed_methods)] // packets that do not come have no time
pub(in crate::cli) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(since.as_nanos().min(i64::MAX as u128) as i64)
}

#[allow(clippy::disallowed_methods)] // when to look is no matter of packets
pub(super) fn clock_on_the_wall() -> Instant {
    Instant::now()
}
