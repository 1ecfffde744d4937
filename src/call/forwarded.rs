//! The same message on two hops, and how long it took from one to the other.

use super::{Call, Participant};
use crate::base::{Idx, Timestamp};
use crate::session::MessageNo;

/// A message that a proxy passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Who passed it on.
    pub by: Idx<Participant>,
    /// As it came.
    pub received: MessageNo,
    /// As it left.
    pub sent: MessageNo,
    /// Nanoseconds between the two; negative where the capture point swapped them.
    pub delay: i64,
}

/// Requests and final responses that were passed on, in order of leaving. They are known by Call-ID, CSeq, From
/// tag and the Via that is on top before and second behind (RFC 3261 16.6 item 8, 16.7 item 3).
pub fn forwarded(call: &Call, time: impl Fn(MessageNo) -> Timestamp) -> Vec<Forwarded> {
    let mut all = Vec::new();
    for transaction in &call.transactions {
        let Some(upstream) = transaction.upstream.map(|at| call.transaction(at)) else {
            continue;
        };
        let pairs = [(upstream.request, transaction.request), (transaction.final_response, upstream.final_response)];
        for (received, sent) in pairs {
            if let (Some(received), Some(sent)) = (received, sent)
                && call.message(received).to == call.message(sent).from
            {
                let delay = time(sent) - time(received);
                all.push(Forwarded { by: call.message(sent).from, received, sent, delay });
            }
        }
    }
    all.sort_by_key(|one| (one.sent, one.received));
    all
}
