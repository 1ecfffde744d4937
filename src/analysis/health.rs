//! How much the capture itself lost, by what it tells of it: drop counters, bytes that a TCP receiver acknowledged and
//! the capture does not hold, IP identifications that are skipped, and messages whose effects are there.
//!
//! Sequence numbers of RTP would be one more witness. They are not asked: RTP leaves the hot path before anything of it
//! is looked at, and a gap in it is loss of the capture only where both ends of the stream are known to have it.

use super::Analysis;
use super::complete::Counted;
use super::population::{Duty, Population, Tally, Way};
use crate::base::{Connection, limits};
use crate::session::{Seen, Sending};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

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
    /// Datagrams of senders that number them one by one.
    pub(super) numbers: Numbers,
    /// Of a look: the places among all messages of those that it is at.
    pub(super) orders: Vec<u64>,
    /// Datagrams of such senders, and how many of them the capture lacks.
    pub(super) numbered: Tally,
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
struct Numbered {
    /// Place among all messages.
    order: u64,
    frame: u32,
    id: u16,
}

/// Datagrams by their ways, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(HashMap<Way, Sender, RandomState>);

/// What one host sent to another.
#[derive(Clone, Debug, Default)]
struct Sender {
    /// The last ones.
    recent: VecDeque<Numbered>,
    datagrams: u64,
    /// Steps by one from a datagram to the next.
    ones: u64,
    /// Identifications that were skipped.
    skipped: u64,
}

/// What a sender numbered around some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Identifications that are not in the capture.
    pub datagrams: u64,
    /// Frames of the datagrams between which they were looked for.
    pub between: (u32, u32),
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
        proved.max(share(self.dropped, self.packets)).max(share(self.numbered.missing, self.numbered.due))
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
        let all = &self.numbers.0.get(&Way::of(connection)).filter(|sender| sender.counts())?.recent;
        let order = self.orders.get(at).copied().unwrap_or(at as u64);
        let next = all.partition_point(|one| one.order <= order);
        let around: SmallVec<[Numbered; 3]> =
            all.range(next.checked_sub(1)?..all.len().min(next + 2)).copied().collect();
        let (first, last) = (around.first()?, around.last().filter(|_| around.len() > 1)?);
        let datagrams = around.windows(2).map(|pair| skipped(pair[0].id, pair[1].id)).sum();
        Some(Skipped { datagrams, between: (first.frame, last.frame) })
    }
}

/// Notes what was counted of all calls, and of the numbers on all messages.
pub(super) fn complete(
    analysis: &mut Analysis,
    mut population: Population,
    numbers: Numbers,
    before: Option<Counted<'_>>,
) {
    let health = &mut analysis.health;
    health.numbered = numbers.tally();
    health.numbers = numbers;
    if let Some(before) = before {
        health.numbered = before.numbers.tally();
        population.merge(before.population.clone());
        health.orders = before.orders;
    }
    (health.packets, health.population) = (analysis.stats.packets, population);
}

impl Numbers {
    /// Those of all messages, by those who number them.
    pub(super) fn of(seen: &[Seen]) -> Self {
        let mut numbers = Self::default();
        seen.iter().enumerate().for_each(|(at, one)| numbers.push(at as u64, one, usize::MAX));
        numbers.0.retain(|_, sender| sender.counts());
        numbers.0.values_mut().for_each(|sender| sender.recent.shrink_to_fit());
        numbers
    }

    /// Takes the message at the place `order`. `ways`: how many there may be; with fewer than all, each keeps only its last
    /// datagrams.
    pub(super) fn push(&mut self, order: u64, seen: &Seen, ways: usize) {
        let Sending::Packet(id) = seen.sending else {
            return;
        };
        let way = Way::of(seen.connection);
        if self.0.len() >= ways && !self.0.contains_key(&way) {
            // Whoever sent a few is a chance visitor, or does not exist.
            self.0.retain(|_, sender| sender.datagrams > COUNTED as u64);
            if self.0.len() >= ways {
                return;
            }
        }
        let sender = self.0.entry(way).or_default();
        if let Some(last) = sender.recent.back() {
            if last.id == id {
                return;
            }
            sender.ones += u64::from(id.wrapping_sub(last.id) == 1);
            sender.skipped += skipped(last.id, id);
        }
        sender.datagrams += 1;
        sender.recent.push_back(Numbered { order, frame: seen.frames.last(), id });
        if ways < usize::MAX && sender.recent.len() > limits::NUMBERED_DATAGRAMS {
            sender.recent.pop_front();
        }
    }

    /// Datagrams of those who number them, and how many of these are missing.
    fn tally(&self) -> Tally {
        let counting = self.0.values().filter(|sender| sender.counts());
        counting.fold(Tally::default(), |sum, sender| Tally {
            due: sum.due + sender.datagrams,
            missing: sum.missing + sender.skipped,
        })
    }

    /// Those of the ways on which `seen` came or should be answered.
    pub(super) fn around(&self, seen: &[Seen]) -> Self {
        let ways: HashSet<Way, RandomState> =
            seen.iter().flat_map(|one| [one.connection, one.connection.reversed()]).map(Way::of).collect();
        Self(ways.into_iter().filter_map(|way| Some((way, self.0.get(&way)?.clone()))).collect())
    }
}

impl Sender {
    /// Whether it numbers datagrams one by one: nine in ten steps are by one, as no sender does that has one counter for
    /// several receivers, or one that runs with time.
    fn counts(&self) -> bool {
        self.datagrams > COUNTED as u64 && self.ones * 10 >= (self.datagrams - 1) * 9
    }
}

/// Identifications that a counting sender skipped from one datagram to the next.
fn skipped(from: u16, to: u16) -> u64 {
    let step = to.wrapping_sub(from);
    if (2..=SKIPPED).contains(&step) { u64::from(step - 1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Endpoint, Transport};

    fn connection() -> Connection {
        let end = |host: u8| Endpoint { ip: [192, 0, 2, host].into(), port: 5060 };
        Connection { src: end(1), dst: end(2), transport: Transport::Udp }
    }

    /// Datagrams at every second place, behind so many that are numbered one by one.
    fn health(ids: &[u16]) -> Health {
        let recent = ids.iter().enumerate();
        let recent = recent.map(|(at, id)| Numbered { order: 2 * at as u64, frame: 2 * at as u32, id: *id }).collect();
        let sender = Sender { recent, datagrams: 100, ones: 99, skipped: 0 };
        let numbers = Numbers(HashMap::from_iter([(Way::of(connection()), sender)]));
        Health { numbers, ..Health::default() }
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
    fn a_look_at_some_messages_knows_their_places_among_all() {
        let whole = health(&[7, 8, 10, 11, 12]);
        let look = Health { orders: vec![3], ..whole.clone() };
        assert_eq!(look.skipped(connection(), 0), whole.skipped(connection(), 3));
    }

    #[test]
    fn identifications_come_around() {
        assert_eq!(skipped(65_535, 0) + skipped(0, 2), 1);
    }

    #[test]
    fn few_messages_prove_no_habit() {
        assert!(Health::default().loss() > 0.99);
        assert!(!Health::default().is_lossy());
    }
}
