//! A look at what is known so far, and letting go of what is over: for a live view, which has no end.
//!
//! A look judges what changed or fell due, not all that is open. What is counted over the whole capture (messages, pairs
//! of hosts, what is due hop by hop, numbers of datagrams) is counted as messages come and as calls leave, and put before
//! each look as a whole.

use super::complete::{Counted, Found, complete};
use super::coverage::PacketKind;
use super::gone::Gone;
use super::health::Numbers;
use super::held::{Chosen, GroupNo, Held};
use super::intake::{Passed, Raw};
use super::population::Population;
use super::sealed::Sealed;
use super::{Analysis, Analyzer, Stats};
use crate::base::{Anomaly, AnomalyKind, Batch, Idx, Timestamp, Transport, limits};
use crate::call::{self, Call, CallIds};
use crate::session::Seen;
use crate::sip::Method;
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How long what is no message (ends of connections, ICMP errors) stays to explain what follows it.
const EVIDENCE: Duration = Duration::from_secs(600);

/// What an analyzer holds between looks, and what is left of that which it let go of.
#[derive(Default)]
pub(super) struct Past {
    held: Held,
    /// Bytes of messages that came since the last look.
    pub(super) waiting: usize,
    /// Messages of all time; transactions and dialogs of calls that left.
    stats: Stats,
    /// Of calls that left.
    population: Population,
    numbers: Numbers,
    gone: Gone,
    looked: Looked,
    unjudged: Vec<Bytes>,
    /// By how many nanoseconds the clock was set since the beginning. What puts packets together goes by the clock as it was
    /// then, so that it waits neither shorter nor longer.
    pub(super) clock_set: i64,
}

impl Past {
    pub(super) fn new(patience: Duration) -> Self {
        Self { held: Held::new(patience), ..Self::default() }
    }

    pub(super) fn on_first_clock<'a>(&self, batch: &'a Batch) -> Cow<'a, Batch> {
        if self.clock_set == 0 {
            return Cow::Borrowed(batch);
        }
        let mut batch = batch.clone();
        batch.packets.iter_mut().for_each(|packet| packet.time = packet.time.moved(self.clock_set.saturating_neg()));
        Cow::Owned(batch)
    }

    pub(super) fn on_clock_now(&self, raws: &mut [Raw]) {
        for raw in raws.iter_mut().filter(|_| self.clock_set != 0) {
            set(&mut raw.time, &mut raw.passed, self.clock_set);
        }
    }
}

/// What is kept of a call that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stay {
    /// When to look at it again if nothing comes for it.
    pub due: Timestamp,
    /// How many of its messages, from the first one, are done with.
    pub done: usize,
}

/// What the last look was at: group and order of each message, by position.
#[derive(Default)]
struct Looked {
    at: Vec<(GroupNo, u64)>,
    victims: HashSet<GroupNo, RandomState>,
    now: Timestamp,
}

impl Analyzer {
    /// What became of that which changed or fell due, when the clock of the packets stands at `now`, which counts as the
    /// end of the capture: a packet may have a wrong time. `room`: bytes that open calls may take; when they take
    /// more, some are given up ([`Analyzer::gives_up`]). The analyzer goes on.
    pub fn look(&mut self, now: Timestamp, room: usize) -> Analysis {
        self.past.held.set_room(room);
        self.gather(now);
        let chosen = self.past.held.choose(now, &self.options.leg_headers);
        let mut analysis = self.judge(now, chosen);
        let old = |time: Timestamp| now.since(time) >= EVIDENCE;
        let held = &self.past.held;
        // Whose call is open is no finding without a call.
        analysis.icmp.retain(|report| {
            let is_open = || report.call_id.as_ref().is_some_and(|id| held.has(id));
            report.call.is_some() || old(report.time) && !is_open()
        });
        analysis
    }

    /// As [`Analyzer::look`], after [`Analyzer::end`], at all that is left, whether due or not; whether it is all. `now` is
    /// that of the last packet when it is [`Timestamp::MIN`]. If not,
    /// there was no room, and the rest comes next time, when this was forgotten. The last one also tells of the connections
    /// that stayed closed to us.
    pub fn last_look(&mut self, now: Timestamp, room: usize) -> (Analysis, bool) {
        self.past.held.set_room(room);
        self.gather(now);
        let (chosen, is_all) = self.past.held.choose_last(&self.options.leg_headers);
        if is_all {
            let pairs = self.past.stats.directions.keys();
            let speakers = pairs.flat_map(|pair| [pair.low, pair.high]).collect();
            let (coverage, anomalies) = (&mut self.coverage, &mut self.analysis.anomalies);
            std::mem::take(&mut self.sealed).judge(&speakers, &self.options.sip_ports, coverage, anomalies);
        }
        (self.judge(now, chosen), is_all)
    }

    /// Whether a call of the last look has no room any more.
    pub fn gives_up(&self, call: &Call) -> bool {
        let Looked { at, victims, .. } = &self.past.looked;
        !victims.is_empty() && call.messages.iter().any(|message| victims.contains(&at[message.seen.at()].0))
    }

    /// The [`call::group_key`] of what was given up at the last look without being looked at.
    pub fn take_unjudged(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.past.unjudged)
    }

    /// After a look: lets go of the calls of `told`, which the look gave, of which nothing stays, and of what is done with in
    /// the others.
    pub fn forget(&mut self, told: &Analysis, stay: impl Fn(usize) -> Option<Stay>) {
        let Looked { at: looked, now, .. } = std::mem::take(&mut self.past.looked);
        let mut groups: BTreeMap<GroupNo, (Timestamp, Vec<GroupNo>)> =
            looked.iter().map(|(group, _)| (*group, (Timestamp::MAX, Vec::new()))).collect();
        let mut leaving: HashSet<u64, RandomState> = HashSet::default();
        let mut over = vec![false; told.calls.len()];
        let mut left: Vec<Cow<'_, Call>> = Vec::new();
        for (number, call) in told.calls.iter().enumerate() {
            let of_call = call.messages.iter().filter_map(|message| looked.get(message.seen.at()));
            let Some(Stay { due, done }) = stay(number) else {
                over[number] = true;
                left.push(Cow::Borrowed(call));
                leaving.extend(of_call.map(|(_, order)| *order));
                continue;
            };
            if done > 0 {
                let members: Vec<Idx<Seen>> = call.messages[..done].iter().map(|message| message.seen).collect();
                leaving.extend(of_call.clone().take(done).map(|(_, order)| *order));
                left.push(Cow::Owned(call::build(&told.seen, &members, call.watched_until)));
            }
            let mut legs: Vec<GroupNo> = of_call.map(|(group, _)| *group).collect();
            legs.sort_unstable();
            legs.dedup();
            for group in &legs {
                if let Some((first, bound)) = groups.get_mut(group) {
                    *first = due.min(*first);
                    bound.extend(legs.iter().filter(|other| *other != group));
                }
            }
        }
        for (group, (due, bound)) in groups {
            if !self.past.held.keep(group, now, due, bound, |order| !leaving.contains(&order))
                && let Some(id) = self.past.held.remove(group)
            {
                self.past.gone.insert(&id);
            }
        }
        self.past.held.sweep();
        for call in &left {
            self.past.stats.count_calls(std::slice::from_ref(call));
        }
        let (first, left) = (told.first.unwrap_or_default(), left.iter().map(AsRef::as_ref));
        self.past.population.merge(Population::count(&told.seen, left, first));
        let explained = told.icmp.iter().filter(|report| report.call.is_some_and(|call| over[call]));
        self.forget_evidence(&explained.map(|report| report.frame).collect(), now);
    }

    fn forget_evidence(&mut self, explained: &HashSet<u32>, now: Timestamp) {
        let Analysis { icmp, closings, health, .. } = &mut self.analysis;
        let stays = |time: Timestamp| now.since(time) < EVIDENCE;
        let surplus = icmp.len().saturating_sub(limits::EVIDENCE);
        let mut number = 0;
        icmp.retain(|report| {
            number += 1;
            let is_kept = number > surplus && stays(report.time) && !explained.contains(&report.frame);
            if !is_kept {
                let about_sip = report.quoted.transport == Transport::Udp || explained.contains(&report.frame);
                let kind = if about_sip { PacketKind::SipIcmp } else { PacketKind::OtherIcmp };
                self.coverage.add(kind, report.frame);
            }
            is_kept
        });
        closings.retain(|closing| stays(closing.time));
        closings.drain(..closings.len().saturating_sub(limits::EVIDENCE));
        health.forget_some();
    }

    /// Bytes of memory that the messages and their groups take, more or less.
    pub fn held(&self) -> usize {
        self.past.held.bytes() + self.past.waiting
    }

    /// Whether a look at `now` would find something that changed or fell due: one look judges no more than there is room for.
    pub fn is_behind(&self, now: Timestamp) -> bool {
        self.past.held.is_due(now)
    }

    /// Adds what whoever feeds the analyzer has to say.
    pub fn note(&mut self, anomaly: Anomaly) {
        self.analysis.anomalies.add(anomaly);
    }

    /// The clock of the packets was set, by so many nanoseconds: what is held goes by the new one, so that no time passes.
    pub fn step(&mut self, nanos: i64) {
        self.gather(self.analysis.last.unwrap_or_default());
        let Analysis { icmp, closings, first, last, points, .. } = &mut self.analysis;
        let times = icmp.iter_mut().map(|report| &mut report.time);
        let times = times.chain(closings.iter_mut().map(|closing| &mut closing.time)).chain(first).chain(last);
        let points = points.iter_mut().filter_map(|point| point.times.as_mut()).flat_map(|(first, last)| [first, last]);
        times.chain(points).for_each(|time| *time = time.moved(nanos));
        self.past.held.step(nanos);
        self.past.clock_set = self.past.clock_set.saturating_add(nanos);
    }

    /// Puts what came since the last look to its groups, but what comes late for calls that are over. What starts anew under
    /// an old Call-ID is kept.
    fn gather(&mut self, now: Timestamp) {
        let parsed = std::mem::take(&mut self.parsed);
        self.file(parsed);
        self.ids = CallIds::default();
        self.past.waiting = 0;
        let came = std::mem::take(&mut self.analysis.seen);
        let mut relayed = std::mem::take(&mut self.relayed).into_iter().peekable();
        let Past { held, stats, numbers, gone, .. } = &mut self.past;
        stats.add(&Stats::of_messages(&came));
        for (at, seen) in came.into_iter().enumerate() {
            let passed = relayed.next_if(|(position, _)| *position == at).map(|(_, passed)| passed);
            numbers.push(held.order() + 1, &seen, limits::NUMBERED_WAYS);
            let id = call::group_key(&seen);
            if !held.has(&id) && gone.has(&id) {
                if !starts(&seen) {
                    continue;
                }
                gone.remove(&id);
            }
            let frame = seen.frames.last();
            if let Some(is_new) = held.push(id, seen, passed, now, &self.options.leg_headers) {
                stats.call_ids += u64::from(is_new);
            } else {
                let text = "one call has more messages than are held; only the first ones are judged";
                self.analysis.anomalies.add(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text));
            }
        }
    }

    fn judge(&mut self, now: Timestamp, chosen: Chosen) -> Analysis {
        let Past { held, numbers, .. } = &self.past;
        let mut picked: Vec<(u64, GroupNo, usize)> = Vec::new();
        for group in &chosen.groups {
            let messages = held.messages(*group).iter().enumerate();
            picked.extend(messages.map(|(at, message)| (message.order, *group, at)));
        }
        picked.sort_unstable();
        let mut seen: Vec<Seen> = Vec::with_capacity(picked.len());
        let (mut relayed, mut ids) = (Vec::new(), CallIds::default());
        for (at, (_, group, message)) in picked.iter().enumerate() {
            let message = &held.messages(*group)[*message];
            relayed.extend(message.passed.map(|passed| (at, passed)));
            ids.push(Idx::new(at), &message.seen);
            seen.push(message.seen.clone());
        }
        let orders: Vec<u64> = picked.iter().map(|(order, _, _)| *order).collect();
        let known = &self.analysis;
        let analysis = Analysis {
            seen,
            stats: Stats { packets: known.stats.packets, ..self.past.stats.clone() },
            health: known.health.clone(),
            anomalies: known.anomalies.clone(),
            icmp: known.icmp.clone(),
            closings: known.closings.clone(),
            points: known.points.clone(),
            first: known.first,
            last: if now > Timestamp::MIN { Some(now) } else { known.last },
            ..Analysis::default()
        };
        let found = Found {
            ids,
            relayed: &relayed,
            coverage: self.coverage.clone(),
            sealed: Sealed::default(),
            wrappings: self.wrappings.clone(),
            before: Some(Counted { numbers, orders, population: &self.past.population }),
        };
        let analysis = complete(analysis, found, &self.options);
        let at = picked.into_iter().map(|(order, group, _)| (group, order)).collect();
        self.past.looked = Looked { at, victims: chosen.victims, now };
        self.past.unjudged.extend(chosen.unjudged);
        analysis
    }
}

/// Brings the time of a message to a clock that was set. Who passed it on may have told the time by a clock of his own.
pub(super) fn set(time: &mut Timestamp, passed: &mut Option<Passed>, nanos: i64) {
    if passed.is_none_or(|passed| passed.received == *time) {
        *time = time.moved(nanos);
    }
    if let Some(passed) = passed {
        passed.received = passed.received.moved(nanos);
    }
}

/// Whether a message may be the first of a call.
fn starts(seen: &Seen) -> bool {
    let message = &seen.message;
    message.is_request() && message.to_tag().is_empty() && !matches!(message.method(), Method::Ack | Method::Cancel)
}
