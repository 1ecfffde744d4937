//! Observation points: several files or interfaces that saw the same traffic.
//!
//! Each has a clock of its own, and what one saw and another did not was lost between them. Datagrams
//! that both saw tell how far the clocks are apart: what goes one way is late by the clock and the path,
//! what goes the other way by the clock less the path.

use super::Analysis;
use crate::base::{Anomaly, AnomalyKind, Connection, Idx, PacketMeta, Timestamp, Transport, limits};
use crate::call::CallIds;
use crate::session::{Seen, Sending};
use crate::sip::Method;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

/// Fewest datagrams that both points must have seen to compare them.
const SHARED: usize = 3;
/// Clocks that differ by less are left alone: no timer of SIP notices, and causes are put first anyway.
const APART: u64 = 10_000_000;
/// No path delays a datagram by that much.
const NO_PATH: u64 = 1_000_000_000;
/// Sendings of one datagram that are compared; more of the same are a flood.
const SENDINGS: usize = 8;
/// Observation points that are compared with each other and named, the first ones.
const POINTS: usize = 64;
/// What is sent that close to the begin or end of what a point recorded need not be there.
const BORDER: Duration = Duration::from_millis(500);

/// One file or interface.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Name for people.
    pub label: String,
    /// Position of its file among the captures; for whoever reads them to fill in.
    pub capture: usize,
    /// Time of its first and last packet of any kind, by the common clock.
    pub times: Option<(Timestamp, Timestamp)>,
    /// How far its clock is ahead of that of another point.
    pub clock: Option<Clock>,
}

/// How far the clock of a point is ahead of that of another one, and how well that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// The other point.
    pub reference: u32,
    /// Nanoseconds that this clock is ahead; its times were put back by that, if `moved`.
    pub ahead: i64,
    /// Between the tenth and the ninetieth percentile of what the datagrams tell; the path's delay is in it.
    pub spread: Duration,
    /// Messages that both saw.
    pub shared: usize,
    /// Whether the times of this point were put back.
    pub moved: bool,
}

/// Notes that a point was recording at the time of a packet.
pub(super) fn note(points: &mut Vec<Point>, packet: &PacketMeta) {
    let at = packet.interface as usize;
    if at >= points.len() {
        if at >= limits::CAPTURE_INTERFACES {
            return;
        }
        points.resize_with(at + 1, Point::default);
    }
    let (first, last) = points[at].times.unwrap_or((packet.time, packet.time));
    points[at].times = Some((first.min(packet.time), last.max(packet.time)));
}

/// Brings all points to one clock and says what was seen at one and not at another. Returns the messages by
/// Call-ID anew when that changed their order.
pub(super) fn compare(analysis: &mut Analysis) -> Option<CallIds> {
    for (at, point) in analysis.points.iter_mut().enumerate().take(POINTS) {
        point.label = format!("observation point {at}");
    }
    if !is_several(&analysis.seen) || !is_shared(&analysis.seen) {
        return None;
    }
    let sightings = sightings(&analysis.seen);
    let mut pairs = Pairs::new(&sightings, &analysis.seen);
    pairs.add_hops(&analysis.seen);
    pairs.set_clocks(&mut analysis.points);
    let moves: Vec<i64> =
        analysis.points.iter().map(|point| point.clock.filter(|c| c.moved).map_or(0, |c| c.ahead)).collect();
    let unseen = unseen(&sightings, &pairs, analysis, &moves);
    drop(sightings);
    for (at, point) in unseen {
        analysis.seen[at].unseen_at = Some(point);
    }
    moves.iter().any(|by| *by != 0).then(|| put_back(analysis, &moves))
}

/// Whether datagrams come from more than one point.
fn is_several(seen: &[Seen]) -> bool {
    let mut points = seen.iter().filter(|seen| seen.connection.transport == Transport::Udp).map(|seen| seen.interface);
    let first = points.next();
    points.any(|point| Some(point) != first)
}

/// Whether two points saw the same message on any hop, as far as hashes tell: rotated files are several and share
/// nothing.
fn is_shared(seen: &[Seen]) -> bool {
    let hasher = RandomState::default();
    let mut by_hash: HashMap<u64, u32, RandomState> = HashMap::default();
    let datagrams = seen.iter().filter(|seen| seen.connection.transport == Transport::Udp);
    datagrams.into_iter().any(|one| {
        let hash = hasher.hash_one(step(one));
        *by_hash.entry(hash).or_insert(one.interface) != one.interface
    })
}

/// What stays the same of a message from hop to hop.
type Step<'a> = (&'a [u8], Option<u32>, Method, Option<u16>, &'a [u8], &'a [u8]);

fn step(one: &Seen) -> Step<'_> {
    let message = &one.message;
    let (number, status) = (message.cseq_number(), message.status());
    (message.call_id(), number, message.method(), status, message.from_tag(), message.to_tag())
}

/// What makes a datagram: addresses, identification, bytes.
type Datagram<'a> = (Connection, Sending, &'a [u8]);
/// Points and positions at which it was seen, in order of capture.
type Sightings = SmallVec<[(u32, usize); 4]>;

fn sightings(seen: &[Seen]) -> Vec<Sightings> {
    let mut by_datagram: HashMap<Datagram<'_>, usize, RandomState> = HashMap::default();
    let mut all: Vec<Sightings> = Vec::new();
    for (at, one) in seen.iter().enumerate().filter(|(_, one)| one.connection.transport == Transport::Udp) {
        let known = *by_datagram.entry((one.connection, one.sending, one.message.raw())).or_insert(all.len());
        if known == all.len() {
            all.push(Sightings::new());
        }
        if all[known].len() < SENDINGS {
            all[known].push((one.interface, at));
        }
    }
    all
}

/// What two points have in common.
#[derive(Default)]
struct Pair {
    /// Times of the second less times of the first: of what goes to the lower and to the higher address, or where
    /// they see different hops, of what passes the second one first and of what passes the first one first.
    differences: [Vec<i64>; 2],
    /// They see different hops.
    apart: bool,
    /// Sender and receiver of what both saw.
    hops: HashMap<(IpAddr, IpAddr), usize, RandomState>,
}

struct Pairs {
    all: BTreeMap<(u32, u32), Pair>,
    /// The points that each is compared with.
    others: BTreeMap<u32, Vec<u32>>,
}

impl Pairs {
    /// Datagrams that each of two points saw as often as the other.
    fn new(sightings: &[Sightings], seen: &[Seen]) -> Self {
        let mut pairs: BTreeMap<(u32, u32), Pair> = BTreeMap::new();
        for sightings in sightings {
            let mut points: SmallVec<[u32; 4]> = sightings.iter().map(|(point, _)| *point).collect();
            points.sort_unstable();
            points.dedup();
            for (at, a) in points.iter().enumerate() {
                for b in &points[at + 1..] {
                    let of = |point: u32| sightings.iter().filter(move |(p, _)| *p == point).map(|(_, at)| &seen[*at]);
                    if of(*a).count() != of(*b).count() || *b as usize >= POINTS {
                        continue;
                    }
                    let pair = pairs.entry((*a, *b)).or_default();
                    for (first, second) in of(*a).zip(of(*b)) {
                        let Connection { src, dst, .. } = first.connection;
                        pair.differences[usize::from(src < dst)].push(second.time - first.time);
                        *pair.hops.entry((src.ip, dst.ip)).or_default() += 1;
                    }
                }
            }
        }
        pairs.retain(|_, pair| pair.shared() >= SHARED);
        let mut others: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (a, b) in pairs.keys() {
            others.entry(*a).or_default().push(*b);
            others.entry(*b).or_default().push(*a);
        }
        Self { all: pairs, others }
    }

    /// Adds points that see different hops: a message cannot leave a proxy before it came.
    fn add_hops(&mut self, seen: &[Seen]) {
        let mut firsts: HashMap<Step<'_>, SmallVec<[usize; 2]>, RandomState> = HashMap::default();
        for (at, one) in seen.iter().enumerate().filter(|(_, one)| one.connection.transport == Transport::Udp) {
            let known = firsts.entry(step(one)).or_default();
            if known.len() < SENDINGS && known.iter().all(|first| seen[*first].interface != one.interface) {
                known.push(at);
            }
        }
        let mut found: BTreeMap<(u32, u32), Pair> = BTreeMap::new();
        for firsts in firsts.values() {
            for a in firsts.iter().map(|at| &seen[*at]) {
                for b in firsts.iter().map(|at| &seen[*at]).filter(|b| b.interface > a.interface) {
                    let key = (a.interface, b.interface);
                    let (vias, then) = (a.message.via_count(), b.message.via_count());
                    if vias == then || b.interface as usize >= POINTS || self.all.contains_key(&key) {
                        continue;
                    }
                    let pair = found.entry(key).or_insert_with(|| Pair { apart: true, ..Pair::default() });
                    // A request gains a Via on its way, a response loses it.
                    let onwards = a.message.is_request() == (vias < then);
                    pair.differences[usize::from(onwards)].push(b.time - a.time);
                }
            }
        }
        self.all.extend(found.into_iter().filter(|(_, pair)| pair.shared() >= SHARED));
    }

    /// Sets the clock of each point by the one before it with which it shares most, and so all by the first.
    fn set_clocks(&self, points: &mut [Point]) {
        for at in 0..points.len().min(POINTS) {
            let before = self.all.iter().filter(|((_, b), _)| *b as usize == at);
            let Some(((reference, _), pair)) =
                before.max_by_key(|((a, _), pair)| (!pair.apart, pair.shared(), std::cmp::Reverse(*a)))
            else {
                continue;
            };
            let Some((ahead, spread)) = pair.clock() else {
                continue;
            };
            let of_reference =
                points[*reference as usize].clock.filter(|clock| clock.moved).map_or(0, |clock| clock.ahead);
            let whole = ahead.saturating_add(of_reference);
            let moved = pair.tells_clock(ahead, spread) && whole.unsigned_abs() >= APART;
            let reference = *reference;
            points[at].clock = Some(Clock { reference, ahead: whole, spread, shared: pair.shared(), moved });
        }
    }

    /// Whether `b` sees what `a` sees between these hosts.
    fn both_see(&self, a: u32, b: u32, hop: (IpAddr, IpAddr)) -> bool {
        self.all.get(&(a.min(b), a.max(b))).is_some_and(|pair| pair.hops.contains_key(&hop))
    }
}

impl Pair {
    fn shared(&self) -> usize {
        self.differences.iter().map(Vec::len).sum()
    }

    /// Whether the times agree on how far the second clock is ahead.
    fn tells_clock(&self, ahead: i64, spread: Duration) -> bool {
        let [back, onwards] = [0, 1].map(|way| percentile(&self.differences[way], 50));
        if self.apart {
            // Proxies take their time; only what left before it came shows another clock.
            let margin = APART as i64;
            return back.zip(onwards).is_some_and(|(back, onwards)| onwards < -margin || back > margin);
        }
        // Of one way the delay may be all of it.
        let both_ways = back.is_some() && onwards.is_some();
        spread.as_nanos() as u64 <= APART.max(ahead.unsigned_abs() / 10)
            && (both_ways || ahead.unsigned_abs() >= NO_PATH)
    }

    /// How far the second clock is ahead, and the spread of what was measured.
    fn clock(&self) -> Option<(i64, Duration)> {
        let medians: Vec<i64> = self.differences.iter().filter_map(|all| percentile(all, 50)).collect();
        let ahead = medians.iter().map(|median| i128::from(*median)).sum::<i128>() / medians.len().max(1) as i128;
        let all = self.differences.concat();
        let spread = percentile(&all, 90)?.saturating_sub(percentile(&all, 10)?);
        Some((ahead as i64, Duration::from_nanos(spread.max(0) as u64)))
    }
}

fn percentile(all: &[i64], percent: usize) -> Option<i64> {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
}

/// Positions of messages that another point should have seen and did not, with that point.
fn unseen(sightings: &[Sightings], pairs: &Pairs, analysis: &Analysis, moves: &[i64]) -> Vec<(usize, u32)> {
    let mut found = Vec::new();
    for sightings in sightings {
        let Some((point, at)) = sightings.first().copied() else {
            continue;
        };
        let one = &analysis.seen[at];
        let hop = (one.connection.src.ip, one.connection.dst.ip);
        let time = back(one.time, moves[point as usize]);
        let blind = pairs.others.get(&point).into_iter().flatten().copied().find(|other| {
            sightings.iter().all(|(seen_at, _)| seen_at != other)
                && pairs.both_see(point, *other, hop)
                && is_recording(&analysis.points[*other as usize], moves[*other as usize], time)
        });
        found.extend(blind.into_iter().flat_map(|other| sightings.iter().map(move |(_, at)| (*at, other))));
    }
    found
}

fn is_recording(point: &Point, ahead: i64, time: Timestamp) -> bool {
    point.times.is_some_and(|(first, last)| {
        back(first, ahead).after(BORDER) <= time && time.after(BORDER) <= back(last, ahead)
    })
}

fn back(time: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos().saturating_sub(by))
}

/// Puts back the times of points whose clocks are ahead, and all messages in the order of the common clock;
/// those of one point keep theirs.
fn put_back(analysis: &mut Analysis, moves: &[i64]) -> CallIds {
    let by = |point: u32| moves.get(point as usize).copied().unwrap_or(0);
    let mut latest = vec![Timestamp::MIN; moves.len()];
    let mut order: Vec<(Timestamp, usize)> = Vec::with_capacity(analysis.seen.len());
    for (at, seen) in analysis.seen.iter_mut().enumerate() {
        seen.time = back(seen.time, by(seen.interface));
        let place = match latest.get_mut(seen.interface as usize) {
            Some(latest) => {
                *latest = seen.time.max(*latest);
                *latest
            }
            None => seen.time,
        };
        order.push((place, at));
    }
    order.sort_unstable();
    let mut seen: Vec<Option<Seen>> = std::mem::take(&mut analysis.seen).into_iter().map(Some).collect();
    analysis.seen = order.into_iter().filter_map(|(_, at)| seen[at].take()).collect();
    let mut ids = CallIds::default();
    for (at, seen) in analysis.seen.iter().enumerate() {
        ids.push(Idx::new(at), seen);
    }
    for (point, by) in analysis.points.iter_mut().zip(moves) {
        point.times = point.times.map(|(first, last)| (back(first, *by), back(last, *by)));
    }
    let times = analysis.points.iter().filter_map(|point| point.times);
    let told = analysis.seen.iter().map(|seen| seen.time);
    analysis.first = times.clone().map(|(first, _)| first).chain(told.clone()).min().or(analysis.first);
    analysis.last = times.map(|(_, last)| last).chain(told).max().or(analysis.last);
    ids
}

impl Analysis {
    /// Gives the observation points the names that people know them by, and notes how their clocks differ.
    pub fn name_points(&mut self, label: impl Fn(u32) -> String) {
        for (at, point) in self.points.iter_mut().enumerate().take(POINTS) {
            point.label = label(at as u32);
        }
        for point in &self.points {
            let Some(clock) = point.clock.filter(|clock| clock.moved) else {
                continue;
            };
            let ahead = Duration::from_nanos(clock.ahead.unsigned_abs()).as_secs_f64();
            let way = if clock.ahead > 0 { "ahead" } else { "behind" };
            let (shared, spread) = (clock.shared, clock.spread.as_secs_f64() * 1e3);
            let text = format!(
                "the clock of {} is {ahead:.6} s {way}, as {shared} messages tell that {} saw too (spread {spread:.3} ms); \
                 its times are told by the other clock",
                point.label, self.points[clock.reference as usize].label
            );
            self.anomalies.add(Anomaly::new(AnomalyKind::ClocksDiffer, 0, 0, text));
        }
    }
}
