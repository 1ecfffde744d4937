//! The only place where the clock on the wall counts: it says when to look, and lets timers run out while no packet comes.

use crate::base::{Batch, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A packet may take so long from the wire to here; what did not come by then does not come.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Packets whose times are so near to the clock on the wall are of now, and silence after them is silence. Those of an
/// old capture have their own time. Of packets that are of now, times that leap by more tell that the clock was set.
const NOW: Duration = Duration::from_secs(10);

/// What time it is for the packets.
#[derive(Default)]
pub(super) struct Clock {
    last: Option<Last>,
    /// What leapt to a time that is not on the wall either: one packet with a wrong time sets no clock.
    odd: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    /// Of the latest packet.
    time: Timestamp,
    /// When it came, on a clock that nobody sets and that stands still while the machine sleeps.
    came: Instant,
    /// Whether it was of the time on the wall when it came.
    is_now: bool,
}

impl Last {
    /// What time it is when it is `now` on the clock that nobody sets.
    fn at(&self, now: Instant) -> Timestamp {
        self.time.after(now.saturating_duration_since(self.came))
    }
}

impl Clock {
    /// Hears packets. When their clock was set, by how many nanoseconds.
    pub(super) fn hear(&mut self, batch: &Batch) -> Option<i64> {
        let latest = batch.packets.iter().map(|packet| packet.time).max()?;
        self.hear_one(latest, wall(), clock_on_the_wall())
    }

    fn hear_one(&mut self, time: Timestamp, wall: Timestamp, came: Instant) -> Option<i64> {
        let is_now = (wall - time).unsigned_abs() < NOW.as_nanos() as u64;
        let Some(last) = self.last else {
            self.last = Some(Last { time, came, is_now });
            return None;
        };
        let expected = last.at(came);
        // What waited to be read is late, but not before what was read already.
        let leaps = |last: &Last| time > last.at(came).after(NOW) || time.after(NOW) < last.time;
        let is_set = last.is_now && leaps(&last);
        if is_set && !is_now && self.odd.is_none_or(|odd| leaps(&odd)) {
            self.odd = Some(Last { time, came, is_now });
            return None;
        }
        self.odd = None;
        let time = if is_set { time } else { time.max(last.time) };
        self.last = Some(Last { time, came, is_now });
        is_set.then(|| time - expected)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now_at(clock_on_the_wall())
    }

    fn now_at(&self, now: Instant) -> Timestamp {
        match self.last {
            None => Timestamp::default(),
            Some(Last { time, came, is_now: true }) => {
                time.after(now.saturating_duration_since(came).saturating_sub(ON_THE_WAY))
            }
            Some(Last { time, .. }) => time,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos((1_700_000_000 + seconds) * 1_000_000_000)
    }

    /// A clock that heard a packet at 0 s, and that moment.
    fn heard() -> (Clock, Instant) {
        let (mut clock, start) = (Clock::default(), clock_on_the_wall());
        assert_eq!(clock.hear_one(at(0), at(0), start), None);
        (clock, start)
    }

    #[test]
    fn time_goes_on_without_packets_whatever_the_clock_on_the_wall_says() {
        let (clock, start) = heard();
        assert_eq!(clock.now_at(start + Duration::from_millis(500)), at(0));
        assert_eq!(clock.now_at(start + Duration::from_secs(40)), at(39));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_by_the_next_packet() {
        for (step, told) in [(3600, HOUR), (-3600, -HOUR)] {
            let (mut clock, start) = heard();
            let later = start + Duration::from_secs(2);
            assert_eq!(clock.hear_one(at(2 + step), at(2 + step), later), Some(told));
            assert_eq!(clock.now_at(later), at(2 + step));
            assert_eq!(clock.hear_one(at(3 + step), at(3 + step), later + Duration::from_secs(1)), None);
        }
    }

    #[test]
    fn a_machine_that_slept_wakes_up_as_if_no_time_had_passed() {
        let (mut clock, start) = heard();
        // The clock that nobody sets stood still; the one on the wall went on.
        let step = clock.hear_one(at(8 * 3600), at(8 * 3600), start + Duration::from_secs(1));
        assert_eq!(step, Some(8 * HOUR - 1_000_000_000));
    }

    #[test]
    fn silence_and_late_packets_are_no_step() {
        let (mut clock, start) = heard();
        assert_eq!(clock.hear_one(at(100), at(100), start + Duration::from_secs(100)), None);
        // The program was busy for 20 s: packets of then come first.
        assert_eq!(clock.hear_one(at(101), at(121), start + Duration::from_secs(121)), None);
        assert_eq!(clock.hear_one(at(95), at(121), start + Duration::from_secs(121)), None);
    }

    #[test]
    fn one_packet_with_a_wrong_time_sets_no_clock_and_many_do() {
        let (mut clock, start) = heard();
        assert_eq!(clock.hear_one(at(3600), at(1), start + Duration::from_secs(1)), None);
        assert_eq!(clock.now_at(start + Duration::from_secs(2)), at(1));
        assert_eq!(clock.hear_one(at(2), at(2), start + Duration::from_secs(2)), None);
        // The clock of another machine, whose packets come as a stream.
        assert_eq!(clock.hear_one(at(3603), at(3), start + Duration::from_secs(3)), None);
        assert_eq!(clock.hear_one(at(3604), at(4), start + Duration::from_secs(4)), Some(HOUR));
    }

    #[test]
    fn an_old_capture_has_its_own_time_and_its_own_gaps() {
        let (mut clock, start) = (Clock::default(), clock_on_the_wall());
        for seconds in [0, 7200, 3600] {
            assert_eq!(clock.hear_one(at(seconds), at(1_000_000), start), None);
        }
        assert_eq!(clock.now_at(start + Duration::from_secs(60)), at(7200));
    }
}
