//! Messages that several capture agents pass on.

use crate::base::Connection;
use crate::session::Seen;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// Gives messages out of HEP the IP identification that it does not tell, so that one sending told
/// by several agents, or told by an agent and in the capture as well, is one message captured twice:
/// the first sending that each of them knows is the same, and so on. `relayed` has positions in
/// `seen`, ascending, with the agent.
pub(super) fn number_sendings(seen: &mut [Seen], relayed: &[(usize, u64)]) {
    if relayed.is_empty() {
        return;
    }
    let mut numbers: Vec<(usize, u16)> = Vec::new();
    let told: HashSet<(Connection, &[u8]), RandomState> =
        relayed.iter().filter_map(|(at, _)| seen.get(*at)).map(sending).collect();
    let mut known: HashMap<(Connection, &[u8], u64), Known, RandomState> = HashMap::default();
    let mut agents = relayed.iter().peekable();
    for (at, message) in seen.iter().enumerate() {
        let agent = agents.next_if(|(position, _)| *position == at).map_or(0, |(_, agent)| *agent);
        let (connection, bytes) = sending(message);
        if told.contains(&(connection, bytes)) {
            let known = known.entry((connection, bytes, agent)).or_default();
            numbers.push((at, known.number(message.ip_id)));
        }
    }
    for (at, number) in numbers {
        seen[at].ip_id = number;
    }
}

fn sending(message: &Seen) -> (Connection, &[u8]) {
    (message.connection, message.message.raw())
}

/// What one agent, or the capture itself, knows of a message.
#[derive(Default)]
struct Known {
    sendings: u16,
    ip_id: u16,
}

impl Known {
    /// Which sending this is; never 0. The same IP datagram again is the same sending.
    fn number(&mut self, ip_id: u16) -> u16 {
        if ip_id == 0 || ip_id != self.ip_id || self.sendings == 0 {
            self.sendings = self.sendings.saturating_add(1);
        }
        self.ip_id = ip_id;
        self.sendings
    }
}
