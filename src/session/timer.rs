//! SIP timers (RFC 3261 17 and its table 4), and schedules of retransmissions as a tap sees them.

use crate::base::Timestamp;
use std::time::Duration;

/// Default round-trip estimate (RFC 3261 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval of retransmissions other than of INVITE (RFC 3261 17.1.2.2).
pub const T2: Duration = Duration::from_secs(4);
/// 64*T1: timers B, F, H, and how long a 2xx waits for its ACK (RFC 3261 13.3.1.4).
pub const TIMEOUT: Duration = Duration::from_secs(32);
/// Copies closer than this are no timer's work: no element has a T1 that short.
pub const COPY: Duration = Duration::from_millis(100);

/// How the interval between retransmissions grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// Doubling without a cap: INVITE (timer A), reliable 1xx (RFC 3262 3).
    Doubling,
    /// Doubling up to T2: other requests (timer E), failures to INVITE (timer G), 2xx to INVITE.
    Capped,
}

/// Offsets of the sendings from the first one, up to 64*T1, for a given T1.
pub fn offsets(schedule: Schedule, t1: Duration) -> impl Iterator<Item = Duration> {
    let cap = match schedule {
        Schedule::Doubling => Duration::MAX,
        Schedule::Capped => T2.max(t1),
    };
    let mut next = Some((Duration::ZERO, t1.max(Duration::from_millis(1))));
    std::iter::from_fn(move || {
        let (offset, interval) = next?;
        next = Some((offset.saturating_add(interval), interval.saturating_mul(2).min(cap)));
        (offset < t1.saturating_mul(64)).then_some(offset)
    })
}

/// The T1 that a sender uses, from the times of its sendings: the first gap, when it is one that is
/// met in practice (100 ms to 4 s). `None` when there is none.
pub fn estimate_t1(times: &[Timestamp]) -> Option<Duration> {
    let gap = times.get(1)?.since(times[0]);
    (COPY..=T2).contains(&gap).then_some(gap)
}

/// Whether every sending falls on the schedule of some constant T1 (within 25 % or 200 ms), where
/// single copies may be missing from the capture.
pub fn on_schedule(times: &[Timestamp], schedule: Schedule) -> bool {
    let Some(estimate) = estimate_t1(times) else {
        return false;
    };
    [estimate, T1].into_iter().any(|t1| fits(times, schedule, t1))
}

fn fits(times: &[Timestamp], schedule: Schedule, t1: Duration) -> bool {
    let mut expected = offsets(schedule, t1).peekable();
    times.iter().all(|time| {
        let offset = time.since(times[0]);
        while let Some(&slot) = expected.peek() {
            let slack = (slot / 4).max(Duration::from_millis(200));
            if offset + slack < slot {
                return false;
            }
            expected.next();
            if offset <= slot + slack {
                return true;
            }
        }
        false
    })
}

/// Whether the sender went on until its timer (B, F, H) must have fired: the last sending comes
/// within one interval of 64*T1.
pub fn ran_out(times: &[Timestamp], schedule: Schedule) -> bool {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return false;
    };
    let t1 = estimate_t1(times).unwrap_or(T1);
    let last_slot = offsets(schedule, t1).last().unwrap_or_default();
    times.len() > 2 && last.since(*first) + (last_slot / 8).max(Duration::from_millis(200)) >= last_slot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offsets: &[u64]) -> Vec<Timestamp> {
        offsets.iter().map(|ms| Timestamp::from_nanos(*ms as i64 * 1_000_000)).collect()
    }

    #[test]
    fn timer_a_sends_seven_invites() {
        let slots: Vec<u128> = offsets(Schedule::Doubling, T1).map(|d| d.as_millis()).collect();
        assert_eq!(slots, [0, 500, 1500, 3500, 7500, 15500, 31500]);
    }

    #[test]
    fn timer_e_is_capped_at_t2() {
        let slots: Vec<u128> = offsets(Schedule::Capped, T1).map(|d| d.as_millis()).collect();
        assert_eq!(slots, [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]);
    }

    #[test]
    fn a_copy_missing_from_the_capture_keeps_the_schedule() {
        assert!(on_schedule(&at(&[0, 500, 3500, 7500]), Schedule::Doubling));
        assert!(on_schedule(&at(&[0, 1500, 3500]), Schedule::Doubling));
    }

    #[test]
    fn another_constant_t1_is_a_schedule_too() {
        assert!(on_schedule(&at(&[0, 1000, 3000, 7000]), Schedule::Doubling));
    }

    #[test]
    fn evenly_spaced_sendings_are_no_schedule() {
        assert!(!on_schedule(&at(&[0, 500, 1000, 1500, 2000, 2500]), Schedule::Doubling));
    }

    #[test]
    fn a_sender_that_stops_early_did_not_run_out() {
        assert!(!ran_out(&at(&[0, 500, 1500]), Schedule::Doubling));
        assert!(ran_out(&at(&[0, 500, 1500, 3500, 7500, 15500, 31500]), Schedule::Doubling));
    }
}
