//! From the messages of a call to the call.

use super::order::repair;
use super::participants::cast;
use super::{Call, CallMessage, Kind, Outcome, outcome};
use crate::base::{Idx, Timestamp};
use crate::session::{MessageNo, Seen, find_dialogs, find_transactions};
use std::borrow::Cow;

/// Builds the call of the messages `members`, positions in `seen` in order of capture. `capture_end`
/// is the time of the last packet, on the clock of the messages: it tells "no answer" from "no answer yet".
///
/// A pure function: the same messages give the same call, whatever else is in the capture.
pub fn build(seen: &[Seen], members: &[Idx<Seen>], capture_end: Timestamp) -> Call {
    let mut members = Cow::Borrowed(members);
    let mut messages: Vec<&Seen> = members.iter().map(|at| &seen[at.at()]).collect();
    let mut found = find_transactions(&messages);
    let mut reordered = Vec::new();
    if let Some(repair) = repair(&messages, &found) {
        members = repair.order.iter().map(|no| members[no.at()]).collect();
        messages = members.iter().map(|at| &seen[at.at()]).collect();
        found = find_transactions(&messages);
        reordered = repair.reordered;
    }
    let dialogs = find_dialogs(&messages, &found);
    let cast = cast(&messages, &found);
    let mut call_messages: Vec<CallMessage> = members
        .iter()
        .enumerate()
        .map(|(no, at)| {
            let (from, to, hop) = cast.of_message[no];
            let (transaction, copy) = (found.of_message[no], found.copies[no]);
            CallMessage { seen: *at, from, to, hop, transaction, copy, next_copy: None }
        })
        .collect();
    link_copies(&mut call_messages);
    let mut call = Call {
        kind: Kind::Other,
        outcome: Outcome::Incomplete,
        final_status: None,
        messages: call_messages,
        reordered,
        transactions: found.all,
        dialogs,
        participants: cast.participants,
        hops: cast.hops,
        legs: Vec::new(),
        related: Vec::new(),
        start: messages.first().map_or(capture_end, |seen| seen.time),
        end: messages.last().map_or(capture_end, |seen| seen.time),
        watched_until: capture_end,
    };
    // They grew one by one, and there are as many calls as the capture holds.
    call.transactions.shrink_to_fit();
    call.dialogs.shrink_to_fit();
    call.hops.shrink_to_fit();
    call.kind = outcome::kind(&call.transactions);
    (call.outcome, call.final_status) = outcome::outcome(&call, &messages, capture_end);
    call
}

/// Makes a list of each message and its copies, so that nobody has to search for them.
fn link_copies(messages: &mut [CallMessage]) {
    let mut next: Vec<Option<MessageNo>> = vec![None; messages.len()];
    for no in (0..messages.len()).rev() {
        messages[no].next_copy = next[no];
        if let Some(copy) = messages[no].copy {
            messages[no].next_copy = next[copy.of.at()];
            next[copy.of.at()] = Some(MessageNo::new(no));
        }
    }
}
