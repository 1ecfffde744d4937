//! Ends of TCP connections that carried SIP, or were to.

use super::{Analysis, Closing};
use crate::base::{Endpoint, Transport, limits};
use crate::net::Ending;
use foldhash::fast::RandomState;
use std::collections::HashSet;

/// Ports that speak SIP unless told otherwise (RFC 3261 19.1.2).
const SIP_PORTS: [u16; 2] = [5060, 5061];

/// Keeps the end of a direction; of one that ends both, that of the side that ended it. `sip`: a SIP message came out of
/// it; over WebSocket that shows only later, and of a connection that was refused never.
pub(super) fn note(closings: &mut Vec<Closing>, closing: Closing, sip: bool) {
    let socket = matches!(closing.connection.transport, Transport::Ws | Transport::Wss);
    let told = match closing.how {
        Ending::GivenUp => false,
        Ending::Refused => true,
        Ending::Closed | Ending::Reset => sip || socket,
    };
    // An RST ends both directions in one frame.
    let same = closings.last().is_some_and(|last| last.frame == closing.frame);
    if told && !same && closings.len() < limits::CLOSED_CONNECTIONS {
        closings.push(closing);
    }
}

/// Drops refused connections to what is no SIP server, as far as the capture shows.
pub(super) fn keep_sip(analysis: &mut Analysis) {
    if !analysis.closings.iter().any(|closing| closing.how == Ending::Refused) {
        return;
    }
    let speakers: HashSet<Endpoint, RandomState> =
        analysis.seen.iter().flat_map(|seen| [seen.connection.src, seen.connection.dst]).collect();
    analysis.closings.retain(|closing| {
        let by = closing.connection.src;
        closing.how != Ending::Refused || SIP_PORTS.contains(&by.port) || speakers.contains(&by)
    });
}
