//! HEP of capture agents becomes packets like any other; messages become HEP for a collector.

use crate::capture::{Pack, Refused};
use crate::net::{Decoded, HepMessage, decode_hep, hep_key, write_datagram, write_hep};
use crate::session::Seen;
use std::sync::Arc;

/// Takes HEP of agents that have this key; of all agents when there is none.
pub fn taker(key: Option<Vec<u8>>) -> Pack {
    Arc::new(move |from, to, message| {
        match decode_hep(message, from.ip) {
            Decoded::Skipped(skip) if skip.anomaly().is_some() => return Err(Refused::NotHep),
            _ => {}
        }
        if key.as_ref().is_some_and(|key| !is_same(key, hep_key(message).unwrap_or_default())) {
            return Err(Refused::Key);
        }
        write_datagram(from, to, message).ok_or(Refused::TooLong)
    })
}

/// The packet that tells a collector of a message; none when it is too long for one.
pub fn packet(seen: &Seen, agent: u32, key: &[u8]) -> Option<Vec<u8>> {
    let message = &seen.message;
    write_hep(&HepMessage {
        connection: seen.connection,
        time: seen.time,
        agent,
        key,
        correlation: message.call_id(),
        payload: message.raw(),
    })
}

/// In the same time wherever they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
