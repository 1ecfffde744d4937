//! Messages that other programs pass on whole: HEP of several capture agents, exported PDUs.

use super::intake::Passed;
use crate::base::{Connection, Idx, Timestamp};
use crate::session::{SAME_INSTANT, Seen, Sending};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// Numbers the sendings of messages that were passed on, so that one sending told by several agents, or
/// told by an agent and in the capture as well, is one message captured twice: the first sending that
/// each of them knows is the same, and so on. `relayed` has positions in `seen`, ascending.
pub(super) fn number_sendings(seen: &mut [Seen], relayed: &[(usize, Passed)]) {
    if relayed.is_empty() {
        return;
    }
    let mut numbers: Vec<(usize, u32)> = Vec::new();
    let told: HashSet<(Connection, &[u8]), RandomState> =
        relayed.iter().filter_map(|(at, _)| seen.get(*at)).map(sending).collect();
    let mut known: HashMap<(Connection, &[u8], u64, u32), Known, RandomState> = HashMap::default();
    let mut agents = relayed.iter().peekable();
    for (at, message) in seen.iter().enumerate() {
        let agent = agents.next_if(|(position, _)| *position == at).map_or(0, |(_, passed)| passed.agent);
        let (connection, bytes) = sending(message);
        if told.contains(&(connection, bytes)) {
            let known = known.entry((connection, bytes, agent, message.interface)).or_default();
            numbers.push((at, known.number(message)));
        }
    }
    for (at, number) in numbers {
        seen[at].sending = Sending::Passed(number);
    }
}

fn sending(message: &Seen) -> (Connection, &[u8]) {
    (message.connection, message.message.raw())
}

/// What one agent, or the capture itself, knows of a message.
#[derive(Default)]
struct Known {
    sendings: u32,
    last: Option<(Sending, Timestamp)>,
}

impl Known {
    /// Which sending this is; never 0. An agent may itself have captured it twice.
    fn number(&mut self, message: &Seen) -> u32 {
        let again = self.last.is_some_and(|(sending, time)| match message.sending {
            Sending::Stream => false,
            Sending::Packet(_) => sending == message.sending,
            Sending::Unnumbered | Sending::Passed(_) => message.time.since(time) < SAME_INSTANT,
        });
        if !again {
            self.sendings = self.sendings.saturating_add(1);
            self.last = Some((message.sending, message.time));
        }
        self.sendings
    }
}

/// How the clocks of agents differ from that of the capture.
pub(super) struct Clocks {
    /// Nanoseconds that the capture is ahead, by position in the analysis.
    ahead: HashMap<usize, i64, RandomState>,
}

impl Clocks {
    pub(super) fn new(seen: &[Seen], relayed: &[(usize, Passed)]) -> Self {
        let ahead = |(at, passed): &(usize, Passed)| Some((*at, passed.received - seen.get(*at)?.time));
        Self { ahead: relayed.iter().filter_map(ahead).collect() }
    }

    /// When a capture that ends at `end` ends on the clock that the messages of a group are timed by.
    pub(super) fn end(&self, group: &[Idx<Seen>], end: Timestamp) -> Timestamp {
        let ahead = group.iter().filter_map(|at| self.ahead.get(&at.at())).max();
        ahead.map_or(end, |ahead| Timestamp::from_nanos(end.as_nanos().saturating_sub(*ahead)))
    }
}
