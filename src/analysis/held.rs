//! Messages of open calls by the group that their Call-ID makes, and when each group is due to be looked at.
//!
//! A look takes the groups that got messages or whose time has come, those that may be legs of one call with them, and
//! as company some that were active last; all others cost nothing.

use super::intake::Passed;
use super::window::set;
use crate::base::{Timestamp, limits};
use crate::call;
use crate::session::Seen;
use bytes::Bytes;
use foldhash::{fast, quality};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

/// Number of a group; numbers of groups that left are given anew.
pub(super) type GroupNo = u32;

/// How long a group waits for its next look for each message that it has: building it again costs that much more.
const PAUSE: Duration = Duration::from_millis(1);
/// Messages that come along beside what is due, so that calls which follow each other are seen together.
const COMPANY: usize = 2_000;
/// Groups under one mark that come along, the last ones: as many as are compared when legs are tied.
const KIN: usize = 32;
/// Bytes that a group takes beside its messages: its places in the tables, its marks, what is remembered of what was told.
const GROUP_COST: usize = 1_536;
/// Bytes of the allocations of one message beside its text.
const ALLOCATIONS: usize = 96;

/// One message.
pub(super) struct Message {
    /// Among all messages since the beginning.
    pub(super) order: u64,
    pub(super) seen: Seen,
    pub(super) passed: Option<Passed>,
}

struct Group {
    id: Bytes,
    messages: Vec<Message>,
    due: Timestamp,
    last: Timestamp,
    looked: Timestamp,
    is_answered: bool,
    /// Groups that are one call with it.
    bound: Vec<GroupNo>,
    bytes: usize,
}

impl Group {
    /// Bytes that judging it takes.
    fn cost(&self, of_message: usize) -> usize {
        self.messages.len() * of_message + self.bytes
    }
}

/// All open groups.
#[derive(Default)]
pub(super) struct Held {
    by_id: HashMap<Bytes, GroupNo, quality::RandomState>,
    groups: Vec<Option<Group>>,
    free: Vec<GroupNo>,
    due: BTreeSet<(Timestamp, GroupNo)>,
    /// By their last message: those without an answer, those with one.
    quiet: [BTreeSet<(Timestamp, GroupNo)>; 2],
    /// Groups by what legs of one call may have in common.
    marks: HashMap<u64, VecDeque<GroupNo>, fast::RandomState>,
    hasher: quality::RandomState,
    bytes: usize,
    order: u64,
    /// Bytes that all may take, half of it what judging takes at once; 0 before the first look.
    room: usize,
    /// How long nothing has to come for a group until it is looked at.
    patience: Duration,
}

/// What a look takes.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) groups: Vec<GroupNo>,
    known: HashSet<GroupNo, fast::RandomState>,
    cost: usize,
    /// Those that have no room any more.
    pub(super) victims: HashSet<GroupNo, fast::RandomState>,
    /// Call-IDs of those that went without a look, as there was no room for that either.
    pub(super) unjudged: Vec<Bytes>,
}

/// Bytes of memory that a message takes while it is held.
pub(super) fn cost(seen: &Seen) -> usize {
    seen.message.raw().len() + size_of::<Message>() + ALLOCATIONS
}

/// As [`cost`], when it may have a group of its own.
pub(super) fn most_cost(seen: &Seen) -> usize {
    cost(seen) + GROUP_COST
}

impl Held {
    /// None yet, which will be looked at when nothing came for them for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Says how many bytes all may take.
    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Bytes of memory that all take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are messages under this [`call::group_key`].
    pub(super) fn has(&self, id: &[u8]) -> bool {
        self.by_id.contains_key(id)
    }

    /// The number that the next message gets.
    pub(super) fn order(&self) -> u64 {
        self.order
    }

    /// Takes a message that came by `now`. Whether it is the first of its group; none where the group is full.
    pub(super) fn push(
        &mut self,
        id: Bytes,
        seen: Seen,
        passed: Option<Passed>,
        now: Timestamp,
        headers: &[String],
    ) -> Option<bool> {
        let known = self.by_id.get(&id).copied();
        let at = known.unwrap_or_else(|| self.open(id, now));
        let cost_of_message = self.cost_of_message();
        self.order += 1;
        let group = self.groups[at as usize].as_mut()?;
        if group.messages.len() >= limits::MESSAGES_PER_CALL
            || (self.room > 0 && group.cost(cost_of_message) > self.room / 2)
        {
            return None;
        }
        self.quiet[usize::from(group.is_answered)].remove(&(group.last, at));
        self.due.remove(&(group.due, at));
        // Who has patience looks seldom: what came since then came at its own time.
        let heard = if self.patience.is_zero() { now } else { seen.time.min(now) };
        (group.last, group.is_answered) = (heard, group.is_answered || !seen.message.is_request());
        let due = heard.after(self.patience).max(group.looked.after(PAUSE * group.messages.len() as u32));
        group.due = if self.patience.is_zero() { group.due.min(due) } else { due };
        self.quiet[usize::from(group.is_answered)].insert((heard, at));
        self.due.insert((group.due, at));
        let (marks, hasher) = (&mut self.marks, &self.hasher);
        call::marks(&seen, headers, |ip, value| {
            let kin = marks.entry(hasher.hash_one((ip, value))).or_default();
            if kin.back() != Some(&at) {
                kin.push_back(at);
                if kin.len() > KIN {
                    kin.pop_front();
                }
            }
        });
        let size = cost(&seen);
        group.bytes += size;
        self.bytes += size;
        group.messages.push(Message { order: self.order, seen, passed });
        Some(known.is_none())
    }

    fn open(&mut self, id: Bytes, now: Timestamp) -> GroupNo {
        let at = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            (self.groups.len() - 1) as GroupNo
        });
        self.by_id.insert(id.clone(), at);
        self.groups[at as usize] = Some(Group {
            id,
            messages: Vec::new(),
            due: Timestamp::MAX,
            last: now,
            looked: Timestamp::MIN,
            is_answered: false,
            bound: Vec::new(),
            bytes: GROUP_COST,
        });
        self.bytes += GROUP_COST;
        at
    }

    fn group(&self, at: GroupNo) -> Option<&Group> {
        self.groups.get(at as usize)?.as_ref()
    }

    /// The messages of a group, in order.
    pub(super) fn messages(&self, at: GroupNo) -> &[Message] {
        self.group(at).map_or(&[], |group| &group.messages)
    }

    /// What to look at when it is `now`.
    pub(super) fn choose(&mut self, now: Timestamp, headers: &[String]) -> Chosen {
        let mut chosen = Chosen::default();
        let room = self.room;
        self.give_up(&mut chosen);
        for (_, at) in self.due.range(..=(now, GroupNo::MAX)) {
            if chosen.cost > room / 2 {
                break;
            }
            self.add(*at, &mut chosen);
            self.add_kin(*at, now, headers, &mut chosen);
        }
        if !chosen.groups.is_empty() {
            for answered in [1, 0] {
                let limit = chosen.cost.saturating_add(COMPANY / 2 * limits::MESSAGE_COST).min(room / 2);
                for (_, at) in self.quiet[answered].iter().rev() {
                    if chosen.cost >= limit {
                        break;
                    }
                    self.add(*at, &mut chosen);
                }
            }
        }
        chosen
    }

    /// Bytes of judging a message. Who has patience looks at calls as they come, not at those alone to which much happens.
    fn cost_of_message(&self) -> usize {
        if self.patience.is_zero() { limits::MESSAGE_COST } else { limits::MESSAGE_COST_IN_BULK }
    }

    /// Whether a group is to be looked at.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.first().is_some_and(|(due, _)| *due <= now)
    }

    /// The next to look at when nothing follows, the longest quiet first, and whether that is all.
    pub(super) fn choose_last(&self, headers: &[String]) -> (Chosen, bool) {
        let mut chosen = Chosen::default();
        for (_, at) in self.quiet.iter().flatten() {
            if chosen.cost > self.room / 2 {
                return (chosen, false);
            }
            self.add(*at, &mut chosen);
            self.add_kin(*at, Timestamp::MAX, headers, &mut chosen);
        }
        (chosen, true)
    }

    /// Gives up groups until a quarter of the room is free: first those that nobody answered, then the longest quiet. A
    /// flood has many of the first kind.
    fn give_up(&mut self, chosen: &mut Chosen) {
        let room = self.room;
        if self.bytes <= room && self.by_id.len() <= limits::OPEN_CALLS {
            return;
        }
        let (mut bytes, mut groups) = (self.bytes, self.by_id.len());
        let mut unjudged = Vec::new();
        for (_, at) in self.quiet.iter().flatten() {
            if bytes <= room / 4 * 3 && groups <= limits::OPEN_CALLS / 4 * 3 {
                break;
            }
            let Some(group) = self.group(*at).filter(|_| !chosen.known.contains(at)) else {
                continue;
            };
            (bytes, groups) = (bytes.saturating_sub(group.bytes), groups - 1);
            if chosen.cost > room / 4 {
                unjudged.push(*at);
            } else {
                chosen.victims.insert(*at);
                self.add(*at, chosen);
            }
        }
        for at in unjudged.into_iter().filter(|at| !chosen.known.contains(at)) {
            chosen.unjudged.extend(self.remove(at));
        }
    }

    /// Adds a group with those that are one call with it.
    fn add(&self, at: GroupNo, chosen: &mut Chosen) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if let Some(group) = self.group(at)
                && chosen.known.insert(at)
            {
                chosen.cost += group.cost(self.cost_of_message());
                chosen.groups.push(at);
                open.extend(&group.bound);
            }
        }
    }

    /// Adds groups that may be one call with this one.
    fn add_kin(&self, at: GroupNo, now: Timestamp, headers: &[String], chosen: &mut Chosen) {
        let mut kin = Vec::new();
        for message in self.messages(at) {
            call::marks(&message.seen, headers, |ip, value| {
                kin.extend(self.marks.get(&self.hasher.hash_one((ip, value))).into_iter().flatten().copied());
            });
        }
        // For whoever has patience, a group that waits for longer was seen together with what it is one call with.
        let is_near = |group: &Group| self.patience.is_zero() || group.due <= now.after(self.patience);
        for at in kin.into_iter().filter(|at| self.group(*at).is_some_and(is_near)) {
            self.add(at, chosen);
        }
    }

    /// After a look at `now`: the messages that `stays` names by their order stay and the group is looked at again at `due`.
    /// Whether it is still there.
    pub(super) fn keep(
        &mut self,
        at: GroupNo,
        now: Timestamp,
        due: Timestamp,
        bound: Vec<GroupNo>,
        stays: impl Fn(u64) -> bool,
    ) -> bool {
        let Some(group) = self.groups.get_mut(at as usize).and_then(Option::as_mut) else {
            return false;
        };
        let before = group.bytes;
        group.messages.retain(|message| {
            let stays = stays(message.order);
            group.bytes -= if stays { 0 } else { cost(&message.seen) };
            stays
        });
        self.bytes -= before - group.bytes;
        if group.messages.is_empty() {
            return false;
        }
        self.due.remove(&(group.due, at));
        group.due = due.max(now.after(PAUSE * group.messages.len() as u32));
        (group.looked, group.bound) = (now, bound);
        self.due.insert((group.due, at));
        true
    }

    /// Lets a group go, and gives its key.
    pub(super) fn remove(&mut self, at: GroupNo) -> Option<Bytes> {
        let group = self.groups.get_mut(at as usize)?.take()?;
        self.bytes -= group.bytes;
        self.by_id.remove(&group.id);
        self.due.remove(&(group.due, at));
        self.quiet[usize::from(group.is_answered)].remove(&(group.last, at));
        for other in group.bound {
            if let Some(other) = self.groups.get_mut(other as usize).and_then(Option::as_mut) {
                other.bound.retain(|bound| *bound != at);
            }
        }
        self.free.push(at);
        Some(group.id)
    }

    /// Forgets marks of groups that left.
    pub(super) fn sweep(&mut self) {
        if self.marks.len() > 64 + 16 * self.by_id.len() {
            let groups = &self.groups;
            self.marks.retain(|_, kin| {
                kin.retain(|at| groups.get(*at as usize).is_some_and(Option::is_some));
                !kin.is_empty()
            });
        }
    }

    /// Brings all times to a clock that was set by so many nanoseconds.
    pub(super) fn step(&mut self, nanos: i64) {
        let moved = |time: Timestamp| time.moved(nanos);
        for group in self.groups.iter_mut().flatten() {
            (group.due, group.last, group.looked) = (moved(group.due), moved(group.last), moved(group.looked));
            for message in &mut group.messages {
                set(&mut message.seen.time, &mut message.passed, nanos);
            }
        }
        let all = |times: &BTreeSet<(Timestamp, GroupNo)>| times.iter().map(|(time, at)| (moved(*time), *at)).collect();
        self.due = all(&self.due);
        self.quiet = [all(&self.quiet[0]), all(&self.quiet[1])];
    }
}
