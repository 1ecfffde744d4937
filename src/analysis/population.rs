//! How often each kind of message is there where it is due, hop by hop, over the whole capture.
//!
//! One missing message proves nothing. That of 1,148 acknowledgements between two hosts none is there, while nearly
//! everything else is, no random loss explains.

use crate::base::{Connection, Endpoint, Timestamp, limits};
use crate::call::Call;
use crate::session::{MessageNo, Seen, Transaction, timer};
use crate::sip::{Facts, Message, Method};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// How long an INVITE may ring before a proxy gives up (timer C, RFC 3261 16.6 item 11).
const RINGING: Duration = Duration::from_secs(180);

/// A kind of message that one side owes another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Duty {
    /// The request of a transaction.
    Request(Method),
    /// The final response to a request.
    FinalResponse(Method),
    /// The ACK to a 2xx.
    AckToSuccess,
    /// The ACK to a failure response.
    AckToFailure,
}

/// From one address to another. Ports only tell hosts apart that share an address: a client has a new one for
/// each connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Way {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

/// A few words instead of each part by itself: several ways are looked up for each transaction.
impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (ip, port) in [self.from, self.to] {
            match ip {
                IpAddr::V4(ip) => state.write_u64(u64::from(ip.to_bits()) << 16 | u64::from(port)),
                IpAddr::V6(ip) => {
                    state.write_u128(ip.to_bits());
                    state.write_u16(port);
                }
            }
        }
    }
}

impl Way {
    /// That of what a connection carries.
    pub fn of(connection: Connection) -> Self {
        let Connection { src, dst, .. } = connection;
        let end = |end: Endpoint| (end.ip, if src.ip == dst.ip { end.port } else { 0 });
        Self { from: end(src), to: end(dst) }
    }
}

/// How often something was due, and was not there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// How often it was due.
    pub due: u64,
    /// How often it is missing.
    pub missing: u64,
}

impl Tally {
    fn add(&mut self, is_there: bool) {
        self.due += 1;
        self.missing += u64::from(!is_there);
    }

    fn merge(&mut self, other: Self) {
        self.due += other.due;
        self.missing += other.missing;
    }

    /// Whether nine in ten of what is due are missing, or more: what a sender always does.
    pub fn is_nearly_all(self) -> bool {
        self.missing.saturating_mul(10) >= self.due.saturating_mul(9)
    }

    /// At most how probable it is that so many of the due messages or more are lost when each is lost with `loss`
    /// by itself: Chernoff's bound of the binomial distribution, which is exact where all are missing.
    pub fn chance(self, loss: f64) -> f64 {
        let (due, missing) = (self.due as f64, self.missing as f64);
        if self.due == 0 || missing <= due * loss {
            return 1.0;
        }
        let share = missing / due;
        let part = |of: f64, expected: f64| if of > 0.0 { of * (of / expected).ln() } else { 0.0 };
        (-due * (part(share, loss) + part(1.0 - share, 1.0 - loss))).exp()
    }
}

/// What an address had success with, of the requests that came straight from it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Deeds {
    /// Requests that were accepted, OPTIONS aside.
    pub successes: u64,
    /// Requests with credentials that were accepted.
    pub accepted: u64,
}

impl Deeds {
    fn merge(&mut self, other: Self) {
        self.successes += other.successes;
        self.accepted += other.accepted;
    }
}

/// Due and missing messages of a capture.
#[derive(Clone, Debug, Default)]
pub struct Population {
    deeds: BTreeMap<IpAddr, Deeds>,
    tallies: BTreeMap<(Way, Duty), Tally>,
    /// Messages that must have been sent, because what they caused is there.
    proved: Tally,
    proved_by_way: BTreeMap<Way, Tally>,
}

/// What one task counts.
#[derive(Default)]
pub(super) struct Counts {
    deeds: HashMap<IpAddr, Deeds, RandomState>,
    tallies: HashMap<(Way, Duty), Tally, RandomState>,
    proved: HashMap<Way, Tally, RandomState>,
}

impl Counts {
    /// Those of `calls`. `first`: when the capture began.
    pub(super) fn of<'a>(seen: &[Seen], calls: impl IntoIterator<Item = &'a Call>, first: Timestamp) -> Self {
        let mut part = Part { seen, first, counts: Self::default() };
        calls.into_iter().for_each(|call| part.count(call));
        part.counts
    }

    fn and(mut self, other: Self) -> Self {
        other.tallies.into_iter().for_each(|(key, tally)| self.tallies.entry(key).or_default().merge(tally));
        other.proved.into_iter().for_each(|(way, tally)| self.proved.entry(way).or_default().merge(tally));
        other.deeds.into_iter().for_each(|(source, deeds)| self.deeds.entry(source).or_default().merge(deeds));
        self
    }

    fn sorted(self) -> Population {
        let (tallies, proved_by_way) = (self.tallies.into_iter().collect(), self.proved.into_iter().collect());
        Population { deeds: self.deeds.into_iter().collect(), tallies, proved: Tally::default(), proved_by_way }
    }
}

impl Population {
    /// The counts of all calls of a capture, from what tasks counted of some; it does not matter which ended first.
    pub(super) fn sum(parts: impl IntoIterator<Item = Counts>) -> Self {
        let mut all = parts.into_iter().reduce(Counts::and).unwrap_or_default().sorted();
        all.sum_up();
        all
    }

    /// Counts the messages of `calls`. `first`: when the capture began.
    pub(super) fn count<'a>(seen: &[Seen], calls: impl IntoIterator<Item = &'a Call>, first: Timestamp) -> Self {
        Counts::of(seen, calls, first).sorted()
    }

    /// Adds what was counted of other calls of the same capture, as far as there is room for more ways.
    pub(super) fn merge(&mut self, other: Self) {
        other.tallies.into_iter().for_each(|(key, tally)| add(&mut self.tallies, key, |known| known.merge(tally)));
        let proved = other.proved_by_way.into_iter();
        proved.for_each(|(way, tally)| add(&mut self.proved_by_way, way, |known| known.merge(tally)));
        other.deeds.into_iter().for_each(|(source, deeds)| add(&mut self.deeds, source, |known| known.merge(deeds)));
        self.sum_up();
    }

    fn sum_up(&mut self) {
        // A way of which nothing is there was not captured at all, which is no chance.
        let seen = self.proved_by_way.values().filter(|tally| tally.missing < tally.due);
        self.proved = Tally::default();
        seen.for_each(|tally| self.proved.merge(*tally));
    }

    /// How often `duty` was due on `way`, and missing.
    pub fn tally(&self, way: Way, duty: Duty) -> Tally {
        self.tallies.get(&(way, duty)).copied().unwrap_or_default()
    }

    /// How often `duty` was due and missing, by way.
    pub(super) fn ways(&self, duty: Duty) -> impl Iterator<Item = (Way, Tally)> {
        self.tallies.iter().filter(move |((_, one), _)| *one == duty).map(|((way, _), tally)| (*way, *tally))
    }

    /// What an address had success with.
    pub fn deeds(&self, source: IpAddr) -> Deeds {
        self.deeds.get(&source).copied().unwrap_or_default()
    }

    /// Messages that must have been sent, because what they caused is there, and how many of them are missing.
    pub fn proved(&self) -> Tally {
        self.proved
    }
}

fn add<K: Ord, V: Default>(all: &mut BTreeMap<K, V>, key: K, merge: impl FnOnce(&mut V)) {
    if all.len() < limits::COUNTED_WAYS || all.contains_key(&key) {
        merge(all.entry(key).or_default());
    }
}

/// One task while it counts.
struct Part<'a> {
    seen: &'a [Seen],
    first: Timestamp,
    counts: Counts,
}

impl Part<'_> {
    fn count(&mut self, call: &Call) {
        let mut acknowledged = vec![false; call.transactions.len()];
        for ack in call.transactions.iter().filter(|t| t.method == Method::Ack) {
            if let Some(invite) = ack.invite {
                acknowledged[invite.at()] = true;
            }
        }
        for (t, acknowledged) in call.transactions.iter().zip(acknowledged) {
            self.transaction(call, t, acknowledged);
        }
    }

    fn transaction(&mut self, call: &Call, t: &Transaction, acknowledged: bool) {
        let Some(time) = t.messages.first().map(|no| self.seen[call.message(*no).seen.at()].time) else {
            return;
        };
        if t.method == Method::Ack {
            return;
        }
        if let Some(request) = t.request {
            self.deeds(call, t, &self.seen[call.message(request).seen.at()].message);
        }
        let forth = Way::of(t.connection);
        let back = Way::of(t.connection.reversed());
        let asked = t.request.is_some();
        // What began before the capture is no loss.
        if asked || time.since(self.first) >= timer::TIMEOUT {
            self.add(forth, Duty::Request(t.method), asked);
            if t.provisional.is_some() || t.final_response.is_some() {
                self.counts.proved.entry(forth).or_default().add(asked);
            }
        }
        let acked = t.ack.is_some() || acknowledged;
        let Some(answer) = t.final_response else {
            let patience = if t.provisional.is_some() && t.method == Method::Invite { RINGING } else { timer::TIMEOUT };
            if acked {
                self.counts.proved.entry(back).or_default().add(false);
                self.add(forth, if t.ack.is_some() { Duty::AckToFailure } else { Duty::AckToSuccess }, true);
            }
            if asked && (acked || call.watched_until.since(time) >= patience) {
                self.add(back, Duty::FinalResponse(t.method), false);
            }
            return;
        };
        if asked {
            self.add(back, Duty::FinalResponse(t.method), true);
        }
        if t.method == Method::Invite {
            if acked {
                self.counts.proved.entry(back).or_default().add(true);
            }
            // An ACK is sent at once; the few that fall due as the capture ends change no habit.
            let is_failure = self.seen[call.message(answer).seen.at()].message.status().is_some_and(|s| s >= 300);
            self.add(forth, if is_failure { Duty::AckToFailure } else { Duty::AckToSuccess }, acked);
        }
    }

    /// Notes a success. What a proxy passes on, and what is within a dialog, says nothing of its sender.
    fn deeds(&mut self, call: &Call, t: &Transaction, request: &Message) {
        let status = |no: MessageNo| self.seen[call.message(no).seen.at()].message.status();
        let is_accepted = t.final_response.and_then(status).is_some_and(|status| status < 300);
        let is_own = t.upstream.is_none() && request.via_count() <= 1 && request.to_tag().is_empty();
        if is_accepted && is_own && !matches!(t.method, Method::Options | Method::Cancel) {
            let has_credentials = request.has(Facts::AUTHORIZATION) || request.has(Facts::PROXY_AUTHORIZATION);
            let accepted = u64::from(has_credentials);
            self.counts.deeds.entry(t.connection.src.ip).or_default().merge(Deeds { successes: 1, accepted });
        }
    }

    fn add(&mut self, way: Way, duty: Duty, is_there: bool) {
        self.counts.tallies.entry((way, duty)).or_default().add(is_there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_many_missing_is_no_chance_where_little_is_lost() {
        assert!(Tally { due: 1148, missing: 1148 }.chance(0.1) < 1e-6);
        assert!(Tally { due: 104, missing: 7 }.chance(0.1) > 0.1);
        assert!(Tally::default().chance(0.1) > 0.99);
        assert!(Tally { due: 5, missing: 0 }.chance(0.0) > 0.99);
    }

    #[test]
    fn where_all_are_missing_the_bound_is_exact() {
        assert!((Tally { due: 4, missing: 4 }.chance(0.25) - 0.25_f64.powi(4)).abs() < 1e-12);
    }

    #[test]
    fn the_bound_is_never_below_the_distribution() {
        // 20 due, each lost with 0.1: P(X >= 6) = 0.01125, of the binomial distribution.
        assert!(Tally { due: 20, missing: 6 }.chance(0.1) > 0.01125);
        assert!(Tally { due: 20, missing: 6 }.chance(0.1) < 0.1);
    }
}
