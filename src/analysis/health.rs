//! How much the capture itself lost, by what it tells of it: drop counters, bytes that a TCP receiver acknowledged and
//! the capture does not hold, IP identifications that are skipped, and messages whose effects are there.
//!
//! Sequence numbers of RTP would be one more witness. They are not asked: RTP leaves the hot path before anything of it
//! is looked at, and a gap in it is loss of the capture only where both ends of the stream are known to have it.

use super::Analysis;
use super::population::{Duty, Population, Tally, Way};
use crate::base::{Connection, limits};
use crate::session::{Seen, Sending};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};

/// Below that, what happens is no chance (P(X >= k) under a binomial distribution).
const NO_CHANCE: f64 = 1e-6;
/// Losses that may have been where none was seen: the rule of three.
const UNSEEN_LOSSES: u64 = 3;
/// Datagrams that must show that a sender counts them up.
const COUNTED: usize = 20;
/// Identifications that a counting sender may skip at once; more is another counter.
const SKIPPED: u16 = 16;

/// What tells how much of the traffic the capture holds.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Packets in the capture.
    pub packets: u64,
    /// Packets that the capturing side says it dropped; for whoever reads the capture to fill in.
    pub dropped: u64,
    /// Bytes of TCP streams that the receiver acknowledged and the capture does not hold.
    pub unseen: BTreeMap<Way, Unseen>,
    /// How often what is due is there.
    pub population: Population,
    /// Datagrams, by position in [`super::Analysis::seen`], of senders that number them one by one.
    pub(super) numbered: HashMap<Way, Vec<Numbered>, RandomState>,
}

/// Bytes of TCP streams that the capture does not hold although they arrived.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unseen {
    /// Runs of them.
    pub gaps: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// A datagram and its IP identification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    seen: usize,
    id: u16,
}

/// What a sender numbered around some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Identifications that are not in the capture.
    pub datagrams: u64,
    /// Positions, in [`super::Analysis::seen`], of the datagrams between which they were looked for.
    pub between: (usize, usize),
}

impl Health {
    /// Notes bytes that a receiver acknowledged.
    pub(super) fn add_gap(&mut self, connection: Connection, bytes: u64) {
        let unseen = self.unseen.entry(Way::of(connection)).or_default();
        unseen.gaps += 1;
        unseen.bytes = unseen.bytes.saturating_add(bytes);
    }

    /// Starts to count gaps anew when there are too many ways to count them by.
    pub(super) fn forget_some(&mut self) {
        if self.unseen.len() > limits::TCP_CONNECTIONS {
            self.unseen.clear();
        }
    }

    /// Whether the capture is known to have lost packets.
    pub fn is_lossy(&self) -> bool {
        self.dropped > 0 || !self.unseen.is_empty() || self.population.proved().missing > 0
    }

    /// The share of packets that the capture lost at random, rather too high than too low.
    pub fn loss(&self) -> f64 {
        let share = |part: u64, rest: u64| part as f64 / part.saturating_add(rest).max(1) as f64;
        let Tally { due, missing } = self.population.proved();
        let proved = share(missing.saturating_add(UNSEEN_LOSSES), due.saturating_sub(missing));
        let skipped: u64 = self.numbered.values().map(|all| skipped(all)).sum();
        let numbered: u64 = self.numbered.values().map(|all| all.len() as u64).sum();
        proved.max(share(self.dropped, self.packets)).max(share(skipped, numbered))
    }

    /// How often `duty` is missing on the way of `connection`, when chance does not explain that.
    pub fn habit(&self, connection: Connection, duty: Duty) -> Option<Tally> {
        let tally = self.population.tally(Way::of(connection), duty);
        (tally.chance(self.loss()) < NO_CHANCE).then_some(tally)
    }

    /// Ways on which `duty` is missing more often than chance explains.
    pub fn habits(&self, duty: Duty) -> impl Iterator<Item = (Way, Tally)> {
        let loss = self.loss();
        self.population.ways(duty).filter(move |(_, tally)| tally.chance(loss) < NO_CHANCE)
    }

    /// What the sender of `connection` numbered and the capture lacks around position `at`: from its last datagram up
    /// to there to the second one after it. `None` when it does not number them one by one, or ends there.
    pub fn skipped(&self, connection: Connection, at: usize) -> Option<Skipped> {
        let all = self.numbered.get(&Way::of(connection))?;
        let next = all.partition_point(|one| one.seen <= at);
        let around = all.get(next.checked_sub(1)?..all.len().min(next + 2))?;
        let (first, last) = (around.first()?, around.last().filter(|_| around.len() > 1)?);
        Some(Skipped { datagrams: skipped(around), between: (first.seen, last.seen) })
    }
}

/// Counts what the messages and calls tell.
pub(super) fn complete(analysis: &mut Analysis) {
    let first = analysis.first.unwrap_or_default();
    let (population, numbered) =
        rayon::join(|| Population::of(&analysis.seen, &analysis.calls, first), || numbered(&analysis.seen));
    let health = &mut analysis.health;
    (health.packets, health.population, health.numbered) = (analysis.stats.packets, population, numbered);
}

/// Identifications that a counting sender skipped.
fn skipped(all: &[Numbered]) -> u64 {
    all.windows(2)
        .map(|pair| pair[1].id.wrapping_sub(pair[0].id))
        .filter(|step| (2..=SKIPPED).contains(step))
        .map(|step| u64::from(step - 1))
        .sum()
}

/// The datagrams of senders that number them one by one: nine in ten steps are by one, as no sender does that has one
/// counter for several receivers, or one that runs with time.
fn numbered(seen: &[Seen]) -> HashMap<Way, Vec<Numbered>, RandomState> {
    let mut ways: HashMap<Way, Vec<Numbered>, RandomState> = HashMap::default();
    for (at, one) in seen.iter().enumerate() {
        if let Sending::Packet(id) = one.sending {
            let all = ways.entry(Way::of(one.connection)).or_default();
            if all.last().is_none_or(|last| last.id != id) {
                all.push(Numbered { seen: at, id });
            }
        }
    }
    ways.retain(|_, all| {
        let ones = all.windows(2).filter(|pair| pair[1].id.wrapping_sub(pair[0].id) == 1).count();
        all.len() > COUNTED && ones * 10 >= (all.len() - 1) * 9
    });
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Endpoint, Transport};

    fn connection() -> Connection {
        let end = |host: u8| Endpoint { ip: [192, 0, 2, host].into(), port: 5060 };
        Connection { src: end(1), dst: end(2), transport: Transport::Udp }
    }

    fn health(ids: &[u16]) -> Health {
        let all = ids.iter().enumerate().map(|(seen, id)| Numbered { seen: 2 * seen, id: *id }).collect();
        Health { numbered: HashMap::from_iter([(Way::of(connection()), all)]), ..Health::default() }
    }

    #[test]
    fn a_skipped_identification_is_found_around_its_place() {
        let health = health(&[7, 8, 10, 11, 12]);
        assert_eq!(health.skipped(connection(), 3).map(|found| found.datagrams), Some(1));
        assert_eq!(health.skipped(connection(), 6).map(|found| found.datagrams), Some(0));
        assert_eq!(health.skipped(connection(), 8), None, "nothing of the sender follows");
        assert_eq!(health.skipped(connection().reversed(), 3), None);
    }

    #[test]
    fn identifications_come_around() {
        assert_eq!(skipped(&health(&[65_534, 65_535, 0, 2]).numbered[&Way::of(connection())]), 1);
    }

    #[test]
    fn few_messages_prove_no_habit() {
        assert!(Health::default().loss() > 0.99);
        assert!(!Health::default().is_lossy());
    }
}
