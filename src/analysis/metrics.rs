//! The performance of a network as RFC 6076 measures it, over a whole capture.

use super::timings::{attempts, between, ringing, success};
use super::{Analysis, CallView, Timings};
use crate::base::Timestamp;
use crate::call::Kind;
use crate::session::{Transaction, timer};
use crate::sip::Method;
use std::time::Duration;

/// The metrics of RFC 6076, measured where requests enter the capture. Requests that the capture does not
/// show the end of are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// 4.1 Registration Request Delay: the first REGISTER of a successful registration, challenged or not,
    /// to the 2xx.
    pub rrd: Delays,
    /// 4.2 Ineffective Registration Attempts: REGISTERs that failed (4xx but 401, 402 and 407, 5xx, 6xx) or
    /// timed out, of all REGISTERs.
    pub ira: Ratio,
    /// 4.3.1 Session Request Delay of calls that were answered: INVITE to the first 18x, else to the 2xx.
    pub srd_successful: Delays,
    /// 4.3.2 Session Request Delay of calls that failed: INVITE to the first 18x, else to the failure.
    pub srd_failed: Delays,
    /// 4.4 Session Disconnect Delay: BYE to its 2xx.
    pub sdd: Delays,
    /// 4.5 Session Duration Time: 2xx to BYE.
    pub sdt: Delays,
    /// 4.6 Session Establishment Ratio: INVITEs with a 2xx, of those that got no 3xx, 401, 402 or 407.
    pub ser: Ratio,
    /// 4.7 Session Establishment Effectiveness Ratio: as [`Self::ser`], where 480, 486, 600 and 603 count
    /// as well as a 2xx.
    pub seer: Ratio,
    /// 4.8 Ineffective Session Attempts: INVITEs with 408, 500, 503 or 504, or no answer at all, of those
    /// that were not challenged (401, 402, 407).
    pub isa: Ratio,
    /// 4.9 Session Completion Ratio: INVITEs whose call was set up and ended by a BYE with a 2xx, of those
    /// that were not challenged.
    pub scr: Ratio,
}

/// So many of so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ratio {
    /// How many count.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Ratio {
    /// In percent; `None` of nothing.
    pub fn percent(self) -> Option<f64> {
        (self.of > 0).then(|| self.part as f64 * 100.0 / self.of as f64)
    }

    fn count(&mut self, counts: bool) {
        self.part += u64::from(counts);
        self.of += 1;
    }
}

/// Measured times.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delays {
    /// Shortest first, once [`Metrics::of`] is done.
    sorted: Vec<Duration>,
}

impl Delays {
    /// How many.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Each, the shortest first.
    pub fn iter(&self) -> impl Iterator<Item = Duration> + '_ {
        self.sorted.iter().copied()
    }

    /// The shortest.
    pub fn min(&self) -> Option<Duration> {
        self.sorted.first().copied()
    }

    /// The longest.
    pub fn max(&self) -> Option<Duration> {
        self.sorted.last().copied()
    }

    /// The mean.
    pub fn mean(&self) -> Option<Duration> {
        let sum = self.sorted.iter().map(Duration::as_nanos).sum::<u128>();
        let mean = sum.checked_div(self.sorted.len() as u128)?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The time that 95 % of them do not exceed.
    pub fn p95(&self) -> Option<Duration> {
        let at = (self.sorted.len() * 95).div_ceil(100);
        self.sorted.get(at.checked_sub(1)?).copied()
    }
}

impl Extend<Duration> for Delays {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.sorted.extend(times);
    }
}

impl Metrics {
    /// Of a whole capture.
    pub fn of(analysis: &Analysis) -> Self {
        Self::of_calls(analysis.views())
    }

    /// Of some calls.
    pub fn of_calls<'a>(calls: impl IntoIterator<Item = CallView<'a>>) -> Self {
        let mut metrics = Self::default();
        for view in calls {
            match view.call.kind {
                Kind::Registration => metrics.registration(view),
                Kind::Call => metrics.call(view),
                _ => {}
            }
        }
        let Self { rrd, srd_successful, srd_failed, sdd, sdt, .. } = &mut metrics;
        for delays in [rrd, srd_successful, srd_failed, sdd, sdt] {
            delays.sorted.sort_unstable();
        }
        metrics
    }

    fn registration(&mut self, view: CallView<'_>) {
        let mut started: Option<Timestamp> = None;
        for (_, t) in attempts(view, Method::Register) {
            let Some((end, request)) = End::of(view, t).zip(t.request) else {
                continue;
            };
            self.ira.count(end.failed());
            let start = *started.get_or_insert(view.seen(request).time);
            if let Some(answer) = success(view, t) {
                self.rrd.extend([view.seen(answer).time.since(start)]);
            }
            if end != End::Challenged {
                started = None;
            }
        }
    }

    fn call(&mut self, view: CallView<'_>) {
        let timings = Timings::of(view);
        self.sdt.extend(timings.talk);
        let mut released = false;
        for (_, bye) in view.transactions().filter(|(_, t)| t.method == Method::Bye && t.upstream.is_none()) {
            if let Some((request, answer)) = bye.request.zip(success(view, bye)) {
                self.sdd.extend(between(view, request, answer));
                released = true;
            }
        }
        for (_, t) in attempts(view, Method::Invite) {
            let Some(end) = End::of(view, t) else {
                continue;
            };
            self.delay(view, t, end);
            if !matches!(end, End::Challenged | End::Status(300..400)) {
                self.ser.count(end.success());
                self.seer.count(end.success() || matches!(end, End::Status(480 | 486 | 600 | 603)));
            }
            if end != End::Challenged {
                self.isa.count(matches!(end, End::TimedOut | End::Status(408 | 500 | 503 | 504)));
                // A call that goes on is neither completed nor broken off.
                if released || !end.success() {
                    self.scr.count(end.success());
                }
            }
        }
    }

    fn delay(&mut self, view: CallView<'_>, t: &Transaction, end: End) {
        let told = ringing(view, t).or(t.final_response);
        let delay = told.and_then(|told| between(view, t.request?, told));
        if end.success() {
            self.srd_successful.extend(delay);
        } else if end.failed() {
            self.srd_failed.extend(delay);
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// 401, 402 or 407: it is sent again with credentials.
    Challenged,
    /// Any other final response.
    Status(u16),
    /// None, although the capture goes on for long enough.
    TimedOut,
}

impl End {
    /// `None` when the capture does not show it.
    fn of(view: CallView<'_>, t: &Transaction) -> Option<Self> {
        if let Some(answer) = t.final_response {
            return Some(match view.sip(answer).status()? {
                401 | 402 | 407 => Self::Challenged,
                status => Self::Status(status),
            });
        }
        let waited = view.capture_after(view.seen(t.request?).time) >= timer::TIMEOUT;
        (waited && ringing(view, t).is_none()).then_some(Self::TimedOut)
    }

    fn success(self) -> bool {
        matches!(self, Self::Status(..300))
    }

    fn failed(self) -> bool {
        matches!(self, Self::TimedOut | Self::Status(400..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_percent_are_not_longer_than_the_95th_of_a_hundred() {
        let mut delays = Delays::default();
        assert_eq!((delays.mean(), delays.p95()), (None, None));
        delays.extend((1..=100).map(Duration::from_secs));
        assert_eq!(delays.p95(), Some(Duration::from_secs(95)));
        assert_eq!(delays.mean(), Some(Duration::from_millis(50_500)));
        assert_eq!((delays.min(), delays.max()), (Some(Duration::from_secs(1)), Some(Duration::from_secs(100))));
    }

    #[test]
    fn a_ratio_of_nothing_is_no_number() {
        assert_eq!(Ratio::default().percent(), None);
        assert_eq!(Ratio { part: 1, of: 4 }.percent(), Some(25.0));
    }
}
