//! Which legs are one call: a graph of legs, with the evidence on its edges.
//!
//! Identifiers tie legs wherever they are. Without one, two legs are one call only where they meet at an
//! element that passes on from one to the other what happens, and no other leg would do as well. What is not
//! sure enough stays apart and is kept as a hint: a false join is as bad as a missed one.

use super::Call;
use super::affinity;
use super::clue::{Clue, confidence};
use super::identifiers::{Identifiers, Key, Shared, common_part, stems, target_of};
use super::side::{Side, number_key};
use crate::base::{Timestamp, limits};
use crate::session::Seen;
use bytes::Bytes;
use foldhash::fast::RandomState;
use petgraph::graphmap::UnGraphMap;
use petgraph::unionfind::UnionFind;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

/// From here on two legs are one call.
const SURE: u8 = 85;
/// From here on it is worth a hint.
const LIKELY: u8 = 60;
/// How long after its end a leg may still be gone on with.
const AFTERWARDS: Duration = Duration::from_secs(32);

/// Why two legs are, or may be, one call.
#[derive(Clone, Debug)]
pub struct Tie {
    /// The reasons, strongest first.
    pub clues: Vec<Clue>,
    /// How sure, in percent; never 100.
    pub confidence: u8,
}

impl Tie {
    fn new(mut clues: Vec<Clue>) -> Self {
        clues.sort_by_key(|clue| std::cmp::Reverse(clue.weight()));
        let confidence = confidence(&clues);
        Self { clues, confidence }
    }

    /// Which kinds of identity the legs have in common, a bit for each.
    fn identity(&self) -> u8 {
        self.clues.iter().fold(0, |all, clue| all | clue.identity())
    }

    /// Whether one element ended one leg and opened the other.
    pub fn is_b2bua(&self) -> bool {
        self.clues.iter().any(|clue| matches!(clue, Clue::Meets(..)))
    }
}

/// Two legs that may be one call and are not taken for one.
#[derive(Clone, Debug)]
pub struct Hint {
    /// The legs, the earlier one first.
    pub legs: (usize, usize),
    /// What speaks for it.
    pub tie: Tie,
    /// Another leg would do as well.
    pub rivalled: bool,
}

/// The legs of a capture as far as they belong together; legs are positions.
#[derive(Debug, Default)]
pub struct Ties {
    /// Legs that are one call, with the reasons.
    pub graph: UnGraphMap<usize, Tie, RandomState>,
    /// The legs of each call that has several, ascending.
    pub groups: Vec<Vec<usize>>,
    /// What is not sure enough, by legs.
    pub hints: Vec<Hint>,
    /// Groups of more legs than a call has, which stay apart: the first leg of each, and how many there are.
    pub oversized: Vec<(usize, usize)>,
}

/// Finds the legs that belong together. `headers` are names of headers that hold the Call-ID of another
/// leg or one value on all legs of a call, beside those that are known.
pub fn tie_legs(seen: &[Seen], legs: &[Call], headers: &[String]) -> Ties {
    let sides: Vec<Side<'_>> =
        legs.par_iter().enumerate().filter_map(|(number, leg)| Side::new(number, leg, seen)).collect();
    if sides.len() < 2 {
        return Ties::default();
    }
    let known = super::identifiers::LEG_HEADERS.iter().map(|name| (*name).to_owned());
    let headers: Vec<String> = headers.iter().cloned().chain(known).collect();
    let identifiers: Vec<Identifiers> = sides.par_iter().map(|side| Identifiers::of(side, &headers)).collect();
    let mut finder = Finder { sides, headers, found: BTreeMap::new(), hints: Vec::new() };
    finder.shared(&identifiers);
    finder.named(&identifiers);
    finder.referred(&identifiers);
    finder.meetings();
    finder.finish(legs.len())
}

struct Finder<'a> {
    sides: Vec<Side<'a>>,
    headers: Vec<String>,
    /// Clues by pair of positions in `sides`, the earlier first.
    found: BTreeMap<(usize, usize), Vec<Clue>>,
    hints: Vec<Hint>,
}

impl Finder<'_> {
    fn add(&mut self, a: usize, b: usize, clue: Clue) {
        let clues = self.found.entry((a.min(b), a.max(b))).or_default();
        if !clues.contains(&clue) {
            clues.push(clue);
        }
    }

    /// Legs with a value in common. A value that many legs have names none of them, and legs between the
    /// same two ends run beside each other.
    fn shared(&mut self, identifiers: &[Identifiers]) {
        let mut by_key: HashMap<&Key, Vec<(usize, bool)>, RandomState> = HashMap::default();
        for (at, one) in identifiers.iter().enumerate() {
            for Shared { key, of_callee } in &one.shared {
                by_key.entry(key).or_default().push((at, *of_callee));
            }
        }
        let mut pairs: Vec<(usize, usize, &Key)> = Vec::new();
        for (key, legs) in &by_key {
            if legs.len() > limits::LEGS_OF_AN_IDENTIFIER {
                continue;
            }
            for (at, (a, a_called)) in legs.iter().enumerate() {
                let others = legs[at + 1..].iter().filter(|(b, b_called)| b != a && !(*a_called && *b_called));
                pairs.extend(others.map(|(b, _)| (*a, *b, *key)));
            }
        }
        pairs.sort_unstable();
        for (a, b, key) in pairs {
            if self.overlap(a, b) && !self.parallel(a, b) {
                let clue = self.clue_of(key, a, b, identifiers);
                self.add(a, b, clue);
            }
        }
    }

    fn clue_of(&self, key: &Key, a: usize, b: usize, identifiers: &[Identifiers]) -> Clue {
        match key {
            Key::Icid(icid) => Clue::Icid(icid.clone()),
            Key::Header(at, value) => Clue::SameHeader(self.headers[usize::from(*at)].clone(), value.clone()),
            Key::SessionId(id) => {
                let halves = |at: usize| {
                    let ids = identifiers[at].shared.iter().filter(|one| matches!(one.key, Key::SessionId(_)));
                    ids.map(|one| (&one.key, one.of_callee)).collect::<Vec<_>>()
                };
                let (a, b) = (halves(a), halves(b));
                if a.len() == 2 && a == b { Clue::SessionIds(id.clone()) } else { Clue::SessionId(id.clone()) }
            }
        }
    }

    /// Legs that name the Call-ID of another.
    fn named(&mut self, identifiers: &[Identifiers]) {
        let wanted: HashSet<&[u8], RandomState> =
            identifiers.iter().flat_map(|one| &one.named).map(|named| &named.call_id[..]).collect();
        if wanted.is_empty() {
            return;
        }
        let mut by_id: HashMap<&[u8], usize, RandomState> = HashMap::default();
        for (at, side) in self.sides.iter().enumerate() {
            let id = side.invite.call_id();
            if wanted.contains(id) {
                by_id.entry(id).or_insert(at);
            }
        }
        let mut pairs = Vec::new();
        for (at, one) in identifiers.iter().enumerate() {
            for named in &one.named {
                let other = by_id.get(&named.call_id[..]).filter(|other| **other != at);
                pairs.extend(other.map(|other| (at, *other, named.clue.clone())));
            }
        }
        for (a, b, clue) in pairs {
            if self.overlap(a.min(b), a.max(b)) {
                self.add(a, b, clue);
            }
        }
    }

    /// Calls that a REFER asked for; of several such REFERs the last one did.
    fn referred(&mut self, identifiers: &[Identifiers]) {
        let mut by_target: HashMap<&[u8], Vec<usize>, RandomState> = HashMap::default();
        for (at, one) in identifiers.iter().enumerate() {
            for referral in &one.referrals {
                let legs = by_target.entry(&referral.target).or_default();
                if legs.last() != Some(&at) {
                    legs.push(at);
                }
            }
        }
        if by_target.is_empty() {
            return;
        }
        let mut pairs = Vec::new();
        for (at, side) in self.sides.iter().enumerate() {
            let legs = target_of(side.invite).and_then(|target| by_target.get(target));
            let before = legs.map_or(&[][..], |legs| &legs[..legs.partition_point(|leg| *leg < at)]);
            let recent = before.iter().rev().take(limits::LEGS_OF_AN_IDENTIFIER);
            let mut asking = recent.filter_map(|leg| {
                Some((*leg, identifiers[*leg].referrals.iter().find_map(|referral| referral.clue(side))?))
            });
            if let (Some((leg, clue)), None) = (asking.next(), asking.next()) {
                pairs.push((leg, at, clue));
            }
        }
        for (a, b, clue) in pairs {
            self.add(a, b, clue);
        }
    }

    /// Whether the later leg was opened while the earlier one was there.
    fn overlap(&self, a: usize, b: usize) -> bool {
        self.sides[b].begun <= self.sides[a].leg.end.after(AFTERWARDS)
    }

    /// Whether both go from the same element to the same element.
    fn parallel(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.sides[a], &self.sides[b]);
        let same = |one, other| super::participants::shared_address(a.leg, one, b.leg, other).is_some();
        same(a.top.client, b.top.client)
            && a.bottoms.iter().any(|one| b.bottoms.iter().any(|other| same(one.server, other.server)))
    }

    /// Legs that meet at an element. Each leg is gone on from by those behind it; each goes on from one.
    fn meetings(&mut self) {
        for ((a, b), clues) in &mut self.found {
            let transfers = |clue: &Clue| {
                matches!(clue, Clue::ReferReplaces | Clue::ReferredBy(_) | Clue::Referred(_) | Clue::NamesDialog(_))
            };
            let (a, b) = (&self.sides[*a], &self.sides[*b]);
            if !clues.iter().any(transfers) {
                clues.extend(affinity::clues(a, b).or_else(|| affinity::clues(b, a)).unwrap_or_default());
            }
        }
        let index = Index::new(&self.sides);
        if index.is_empty() {
            return;
        }
        let tied: HashSet<usize, RandomState> = self.found.keys().map(|(_, b)| *b).collect();
        let free: Vec<usize> = (0..self.sides.len()).filter(|b| !tied.contains(b)).collect();
        let proposals: Vec<Proposal> = free.par_iter().filter_map(|b| propose(&self.sides, &index, *b)).collect();
        self.settle(proposals);
    }

    /// Only one of the legs that go on from a leg can have answered it.
    fn settle(&mut self, mut proposals: Vec<Proposal>) {
        self.next_in_turn(&mut proposals);
        let mut best: HashMap<usize, (u8, usize), RandomState> = HashMap::default();
        for Proposal { a, b, tie, sure, .. } in &proposals {
            if *sure && self.sides[*b].top.answered().is_some() {
                let known = best.entry(*a).or_insert((0, 0));
                match tie.confidence.cmp(&known.0) {
                    std::cmp::Ordering::Greater => *known = (tie.confidence, 1),
                    std::cmp::Ordering::Equal => known.1 += 1,
                    std::cmp::Ordering::Less => {}
                }
            }
        }
        for Proposal { a, b, tie, sure, rivalled } in proposals {
            let answered = self.sides[b].top.answered().is_some();
            let is_best = !answered || best.get(&a) == Some(&(tie.confidence, 1));
            if sure && is_best {
                self.found.insert((a, b), tie.clues);
            } else {
                let legs = (self.sides[a].number, self.sides[b].number);
                self.hints.push(Hint { legs, tie, rivalled: rivalled || sure });
            }
        }
    }

    /// Who is called one after the other: a leg that was over when the next one of the same call began.
    fn next_in_turn(&self, proposals: &mut [Proposal]) {
        let mut begun: HashMap<usize, Vec<Timestamp>, RandomState> = HashMap::default();
        for Proposal { a, b, .. } in proposals.iter() {
            begun.entry(*a).or_default().push(self.sides[*b].begun);
        }
        for times in begun.values_mut() {
            times.sort_unstable();
        }
        for proposal in proposals.iter_mut().filter(|proposal| !proposal.sure && !proposal.rivalled) {
            let side = &self.sides[proposal.b];
            let refused = side.top.ended.filter(|(status, _)| *status >= 300).map(|(_, time)| time);
            let Some(over) = side.cancelled().or(refused) else {
                continue;
            };
            let times = begun.get(&proposal.a).map_or(&[][..], Vec::as_slice);
            let next = times.get(times.partition_point(|time| *time < over)).map(|next| next.since(over));
            if let Some(later) = next.filter(|later| *later <= affinity::PASSED_ON) {
                proposal.tie.clues.push(Clue::TriedNext(later));
                proposal.tie = Tie::new(std::mem::take(&mut proposal.tie.clues));
                proposal.sure = proposal.tie.confidence >= SURE;
            }
        }
    }

    fn finish(self, legs: usize) -> Ties {
        let mut graph = UnGraphMap::default();
        let mut same: UnionFind<usize> = UnionFind::new(legs);
        for ((a, b), clues) in self.found {
            let (a, b) = (self.sides[a].number, self.sides[b].number);
            same.union(a, b);
            graph.add_edge(a, b, Tie::new(clues));
        }
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for leg in graph.nodes() {
            groups.entry(same.find(leg)).or_default().push(leg);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        for group in &mut groups {
            group.sort_unstable();
        }
        groups.sort_unstable();
        let (groups, oversized): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.len() <= limits::LEGS_OF_A_CALL);
        let oversized = oversized.iter().filter_map(|group| Some((*group.first()?, group.len()))).collect();
        Ties { graph, groups, hints: self.hints, oversized }
    }
}

/// A leg that goes on from another, as far as can be told.
struct Proposal {
    a: usize,
    b: usize,
    tie: Tie,
    sure: bool,
    /// Another leg would do as well.
    rivalled: bool,
}

/// Legs by the element at which they end and by who calls whom, for those elements that open legs as well.
struct Index<'a>(HashMap<(IpAddr, &'a [u8]), Vec<usize>, RandomState>);

impl<'a> Index<'a> {
    fn new(sides: &[Side<'a>]) -> Self {
        let opening: HashSet<IpAddr, RandomState> = sides.iter().flat_map(sources).collect();
        let mut by_key: HashMap<(IpAddr, &'a [u8]), Vec<usize>, RandomState> = HashMap::default();
        for (at, side) in sides.iter().enumerate() {
            let ends = side.bottoms.iter().flat_map(|bottom| &side.who(bottom.server).addresses);
            for ip in ends.map(|endpoint| endpoint.ip).filter(|ip| opening.contains(ip)) {
                for key in affinity::callers(side.invite).chain(affinity::callees(side.invite)).map(number_key) {
                    push(&mut by_key, (ip, key), at);
                }
                stems(side.invite.call_id()).for_each(|stem| push(&mut by_key, (ip, stem), at));
            }
        }
        Self(by_key)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last legs before `b` that may go on in it.
    fn candidates(&self, b: usize, side: &Side<'a>) -> Vec<usize> {
        let parties =
            affinity::callers(side.invite).chain(affinity::callees(side.invite)).chain(affinity::diverted(side.invite));
        let keys: Vec<&[u8]> = parties.map(number_key).chain(stems(side.invite.call_id())).take(KEYS).collect();
        let mut found = Vec::new();
        for ip in sources(side) {
            for key in &keys {
                let legs = self.0.get(&(ip, *key)).map_or(&[][..], Vec::as_slice);
                let before = &legs[..legs.partition_point(|leg| *leg < b)];
                found.extend(before.iter().rev().take(CANDIDATES));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Keys by which one leg is looked for; an ordinary one has four or five.
const KEYS: usize = 16;
/// Legs under one key that are looked at, the last ones: so many calls between the same two numbers are
/// set up at one element at the same time only under test, and cannot be told apart then.
const CANDIDATES: usize = 32;

fn push<'a>(by_key: &mut HashMap<(IpAddr, &'a [u8]), Vec<usize>, RandomState>, key: (IpAddr, &'a [u8]), at: usize) {
    let legs = by_key.entry(key).or_default();
    if !key.1.is_empty() && legs.last() != Some(&at) {
        legs.push(at);
    }
}

/// Hosts that sent the INVITE of a leg.
fn sources(side: &Side<'_>) -> impl Iterator<Item = IpAddr> {
    let mut ips: Vec<IpAddr> = side.who(side.top.client).addresses.iter().map(|endpoint| endpoint.ip).collect();
    ips.dedup();
    ips.into_iter().take(4)
}

/// The leg that `b` goes on from, if one stands out.
fn propose<'a>(sides: &[Side<'a>], index: &Index<'a>, b: usize) -> Option<Proposal> {
    let candidates = index.candidates(b, &sides[b]);
    let mut ties: Vec<(usize, Tie)> =
        candidates.into_iter().filter_map(|a| Some((a, tie(&sides[a], &sides[b])?))).collect();
    ties.sort_by_key(|(a, tie)| std::cmp::Reverse((tie.identity().count_ones(), tie.confidence, *a)));
    let mut ties = ties.into_iter();
    let (a, tie) = ties.next()?;
    // Who has less in common with it and nothing else is no rival, however well the times fit.
    let known = tie.identity();
    let rivals =
        ties.map(|(_, other)| other).filter(|other| other.identity() == known || other.identity() & !known != 0);
    let rival = rivals.map(|other| other.confidence).max().unwrap_or(0);
    let stands_out = rival < SURE && (100 - rival) >= 2 * (100 - tie.confidence);
    // Something was passed on: an event, or a description of media.
    let passed_on = tie.clues.iter().any(|clue| clue.is_cause() || matches!(clue, Clue::SdpOrigin | Clue::Media));
    let sure = tie.confidence >= SURE && passed_on && stands_out;
    (tie.confidence >= LIKELY).then_some(Proposal { a, b, tie, sure, rivalled: !stands_out })
}

/// What ties `b` to `a`, when they have anything but a place and a time in common.
fn tie(a: &Side<'_>, b: &Side<'_>) -> Option<Tie> {
    let mut clues = affinity::clues(a, b)?;
    let part = common_part(a.invite.call_id(), b.invite.call_id());
    clues.extend(part.map(|part| Clue::CallIdPart(Bytes::copy_from_slice(part))));
    let tie = Tie::new(clues);
    (tie.identity() != 0).then_some(tie)
}
