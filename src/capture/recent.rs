//! Packets that are kept for calls that may yet go wrong: all of the last seconds, and beyond that what carried SIP of
//! calls that are open.

use super::recorder::Kept;
use crate::base::{Batch, Timestamp};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long all packets are kept: segments and fragments wait for the rest of their message, and ICMP errors until it is
/// known whose they are.
const SPAN: Duration = Duration::from_secs(5);
/// The part of the memory that these may take, one in so many.
const SHARE: usize = 4;
/// Looks after which a packet that carried SIP must have found its call.
const LOOKS: usize = 3;

/// Keeps packets of calls. Bytes are copied when they carried SIP; everything else stays where it was captured, until it
/// is forgotten.
pub struct Keeper {
    room: usize,
    recent: VecDeque<Arc<Batch>>,
    recent_bytes: usize,
    /// Carried SIP; whose is not known yet. The newest last, one table for each look.
    unclaimed: VecDeque<HashMap<u32, Arc<Kept>, RandomState>>,
    /// By number, which is the order in which they began.
    calls: BTreeMap<usize, BTreeMap<u32, Arc<Kept>>>,
    /// Calls that had no room.
    given_up: HashSet<usize, RandomState>,
    /// Bytes of `unclaimed` and `calls`.
    held: usize,
    left: Left,
}

/// What could not be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Left {
    /// Calls without room.
    pub calls: u64,
    /// Packets of SIP that were gone before it was known that they carried any.
    pub packets: u64,
}

impl Keeper {
    /// `room`: bytes of memory.
    pub fn new(room: usize) -> Self {
        Self {
            room,
            recent: VecDeque::new(),
            recent_bytes: 0,
            unclaimed: VecDeque::from([HashMap::default()]),
            calls: BTreeMap::new(),
            given_up: HashSet::default(),
            held: 0,
            left: Left::default(),
        }
    }

    /// Takes packets in; the last batch is always there.
    pub fn hear(&mut self, batch: &Arc<Batch>) {
        let Some(now) = last_time(batch) else {
            return;
        };
        self.recent_bytes += size(batch);
        self.recent.push_back(Arc::clone(batch));
        while self.recent.len() > 1
            && self.recent.front().is_some_and(|oldest| {
                self.recent_bytes > self.room / SHARE || last_time(oldest).is_none_or(|time| now.since(time) > SPAN)
            })
        {
            self.recent_bytes -= self.recent.pop_front().map_or(0, |oldest| size(&oldest));
        }
    }

    /// These carried SIP.
    pub fn keep(&mut self, frames: &[u32]) {
        for frame in frames {
            let Some(newest) = self.unclaimed.back_mut().filter(|newest| !newest.contains_key(frame)) else {
                continue;
            };
            match find(&self.recent, *frame) {
                Some(kept) => {
                    self.held += kept.size();
                    newest.insert(*frame, Arc::new(kept));
                }
                // One that carried two messages may be in a table of its own time.
                None if self.unclaimed.iter().any(|table| table.contains_key(frame)) => {}
                None => self.left.packets += 1,
            }
        }
        self.make_room();
    }

    /// These packets are a call's, as far as they are there.
    pub fn give(&mut self, call: usize, frames: impl Iterator<Item = u32>) {
        if self.given_up.contains(&call) {
            return;
        }
        let own = self.calls.entry(call).or_default();
        for frame in frames {
            if own.contains_key(&frame) {
                continue;
            }
            let known = self.unclaimed.iter().rev().find_map(|table| table.get(&frame).map(Arc::clone));
            if let Some(kept) = known.or_else(|| find(&self.recent, frame).map(Arc::new)) {
                self.held += kept.size();
                own.insert(frame, kept);
            }
        }
        self.make_room();
    }

    /// All that came before now is given: what nobody wanted for a while is forgotten.
    pub fn settle(&mut self) {
        self.unclaimed.push_back(HashMap::default());
        while self.unclaimed.len() > LOOKS {
            self.forget_unclaimed();
        }
    }

    /// The packets of a call that is over, in order; `None` when it had no room.
    pub fn take(&mut self, call: usize) -> Option<Vec<Arc<Kept>>> {
        let packets = self.calls.remove(&call).unwrap_or_default();
        self.held -= packets.values().map(|kept| kept.size()).sum::<usize>();
        (!self.given_up.remove(&call)).then(|| packets.into_values().collect())
    }

    /// The packets of a call that goes on, in order; those from `frame` on stay. `None` when it had no room.
    pub fn shed(&mut self, call: usize, frame: u32) -> Option<Vec<Arc<Kept>>> {
        let packets = self.calls.get_mut(&call)?;
        let all = packets.values().cloned().collect();
        let stays = packets.split_off(&frame);
        self.held -= std::mem::replace(packets, stays).values().map(|kept| kept.size()).sum::<usize>();
        Some(all)
    }

    /// What could not be kept so far.
    pub fn left(&self) -> Left {
        self.left
    }

    /// The oldest call goes first.
    fn make_room(&mut self) {
        let room = self.room - self.room / SHARE;
        while self.held > room {
            if let Some((call, packets)) = self.calls.pop_first() {
                self.held -= packets.values().map(|kept| kept.size()).sum::<usize>();
                self.given_up.insert(call);
                self.left.calls += 1;
            } else if self.unclaimed.len() > 1 {
                self.forget_unclaimed();
            } else {
                self.left.packets += self.unclaimed.back().map_or(0, |table| table.len() as u64);
                self.unclaimed.push_back(HashMap::default());
                self.forget_unclaimed();
            }
        }
    }

    fn forget_unclaimed(&mut self) {
        let oldest = self.unclaimed.pop_front().unwrap_or_default();
        self.held -= oldest.values().map(|kept| kept.size()).sum::<usize>();
    }
}

fn last_time(batch: &Batch) -> Option<Timestamp> {
    batch.packets.last().map(|packet| packet.time)
}

/// Bytes of memory that a batch holds.
fn size(batch: &Batch) -> usize {
    batch.buffers.iter().map(bytes::Bytes::len).sum::<usize>() + size_of_val(&batch.packets[..])
}

/// A packet by its number. Those of one batch are numbered in a row.
fn find(recent: &VecDeque<Arc<Batch>>, frame: u32) -> Option<Kept> {
    recent.iter().rev().find_map(|batch| {
        let first = batch.packets.first()?.frame;
        let packet = batch.packets.get(frame.checked_sub(first)? as usize).filter(|packet| packet.frame == frame)?;
        Some(Kept {
            frame,
            time: packet.time,
            interface: packet.interface,
            link: packet.link,
            original: packet.original,
            data: batch.data(packet).into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LinkType, PacketMeta};
    use bytes::Bytes;

    /// Packets of one second each, of so many bytes.
    fn batch(frames: std::ops::Range<u32>, bytes: usize) -> Arc<Batch> {
        let packet = |frame| PacketMeta {
            frame,
            time: Timestamp::from_nanos(i64::from(frame) * 1_000_000_000),
            buffer: 0,
            offset: 0,
            captured: bytes as u32,
            original: bytes as u32,
            link: LinkType(1),
            interface: 0,
        };
        Arc::new(Batch { buffers: vec![Bytes::from(vec![0; bytes])], packets: frames.map(packet).collect() })
    }

    fn frames(packets: Option<Vec<Arc<Kept>>>) -> Option<Vec<u32>> {
        packets.map(|packets| packets.iter().map(|packet| packet.frame).collect())
    }

    #[test]
    fn what_carried_sip_is_there_when_its_call_ends_and_the_rest_is_not() {
        let mut keeper = Keeper::new(1 << 20);
        for first in (1..60).step_by(2) {
            keeper.hear(&batch(first..first + 2, 100));
            if first == 1 || first == 51 {
                keeper.keep(&[first + 1]);
                keeper.give(7, [first + 1].into_iter());
            }
            keeper.settle();
        }
        // One that nobody said carried SIP is found while it is recent, and not afterwards.
        keeper.give(7, [58, 4].into_iter());
        assert_eq!(frames(keeper.take(7)), Some(vec![2, 52, 58]));
        assert_eq!((keeper.left(), keeper.held), (Left::default(), 0));
        assert!(keeper.recent.len() < 5);
    }

    #[test]
    fn the_oldest_call_goes_first_and_is_counted() {
        let mut keeper = Keeper::new(40_000);
        for call in 0..10 {
            let frame = call as u32 + 1;
            keeper.hear(&batch(frame..frame + 1, 5000));
            keeper.keep(&[frame]);
            keeper.give(call, [frame].into_iter());
            keeper.settle();
            assert!(keeper.held <= 30_000, "{}", keeper.held);
        }
        assert!(keeper.left().calls > 4 && keeper.left().packets == 0, "{:?}", keeper.left());
        assert_eq!(frames(keeper.take(0)), None);
        assert_eq!(frames(keeper.take(9)), Some(vec![10]));
    }

    #[test]
    fn a_flood_that_belongs_to_no_call_yet_stays_within_the_room() {
        let mut keeper = Keeper::new(40_000);
        for frame in 1..100 {
            keeper.hear(&batch(frame..frame + 1, 5000));
            keeper.keep(&[frame, frame]);
        }
        assert!(keeper.held <= 30_000 && keeper.left().packets > 80);
        keeper.keep(&[1]);
        assert!(keeper.left().packets > 80);
    }
}
