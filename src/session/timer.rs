//! SIP timers (RFC 3261 17 and its table 4), and schedules of retransmissions as a tap sees them.

use crate::base::Timestamp;
use std::time::Duration;

/// Default round-trip estimate (RFC 3261 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest T1 that is met in practice; a longer first gap rather says that a copy is missing.
const LONGEST_T1: Duration = Duration::from_secs(1);
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

/// The T1 that a sender may use, from the times of its sendings: the first gap, when it is one that no
/// copy has and no capped schedule exceeds (100 ms to 4 s). `None` when there is none.
fn first_gap(times: &[Timestamp]) -> Option<Duration> {
    let gap = times.get(1)?.since(times[0]);
    (COPY..=T2).contains(&gap).then_some(gap)
}

/// The T1 on whose schedule every sending falls (within 25 % or 200 ms), where single copies may be
/// missing from the capture: that of the standard, else the one that the first gap shows. `None` when
/// there is none, or only one sending.
pub fn fitting_t1(times: &[Timestamp], schedule: Schedule) -> Option<Duration> {
    let gap = first_gap(times)?;
    [T1, gap].into_iter().find(|t1| fits(times, schedule, *t1))
}

/// Whether every sending falls on the schedule of some constant T1.
pub fn on_schedule(times: &[Timestamp], schedule: Schedule) -> bool {
    fitting_t1(times, schedule).is_some()
}

/// How long the sender waits for an answer: 64*T1, with the T1 that its sendings show where that is one
/// met in practice (100 ms to 1 s), else 32 s.
pub fn patience(times: &[Timestamp], schedule: Schedule) -> Duration {
    let shown = fitting_t1(times, schedule).filter(|t1| *t1 <= LONGEST_T1 && times.len() > 2);
    shown.unwrap_or(T1).saturating_mul(64)
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
    let t1 = fitting_t1(times, schedule).or_else(|| first_gap(times)).unwrap_or(T1);
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
    fn t1_is_that_of_the_standard_unless_the_first_gap_shows_another() {
        let t1 = |offsets: &[u64]| fitting_t1(&at(offsets), Schedule::Doubling).map(|t1| t1.as_millis());
        assert_eq!(t1(&[0, 480, 1510]), Some(500));
        assert_eq!(t1(&[0, 1500, 3500]), Some(500));
        assert_eq!(t1(&[0, 1000, 3000, 7000]), Some(1000));
        assert_eq!(t1(&[0, 200, 600, 1400]), Some(200));
        assert_eq!(t1(&[0]), None);
    }

    #[test]
    fn a_sender_with_another_t1_waits_64_times_as_long() {
        let wait = |offsets: &[u64]| patience(&at(offsets), Schedule::Doubling).as_secs();
        assert_eq!(wait(&[0, 1000, 3000, 7000]), 64);
        assert_eq!(wait(&[0, 250, 750, 1750, 3750]), 16);
        assert_eq!(wait(&[0, 500, 1500]), 32);
        assert_eq!(wait(&[0]), 32);
        // Two sendings prove no schedule, and 3 s is nobody's T1.
        assert_eq!(wait(&[0, 1000]), 32);
        assert_eq!(wait(&[0, 3000, 9000]), 32);
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
