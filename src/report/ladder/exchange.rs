//! Which request each message of a call belongs to, on all its hops, and on which branch of a fork.

use crate::analysis::CallView;
use crate::base::Idx;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;

/// Most characters that tell a branch; forks within forks are hardly ever deeper than two.
const BRANCH: usize = 6;

/// A request with all that belongs to it: its responses, its ACK and CANCEL, on every hop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exchange {
    /// Position among the exchanges of the call, from 0.
    pub order: usize,
    /// Letter of its leg; empty when there is only one.
    pub leg: String,
    /// Number within its leg, from 1.
    pub number: usize,
    /// Branch of a fork: "a", "b", ...; empty before the fork and without one.
    pub branch: String,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.leg, self.number, self.branch)
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            id: String,
            order: usize,
            leg: &'a str,
            number: usize,
            branch: &'a str,
        }
        let Self { order, leg, number, branch } = self;
        View { id: self.to_string(), order: *order, leg, number: *number, branch }.serialize(serializer)
    }
}

/// Call-ID, From tag, CSeq number and method: alike for a request on all its hops (RFC 3261 16.6 changes none).
type Key<'a> = (&'a [u8], &'a [u8], u32, Method);

/// The letter of position `at`: A, B, ... Z, then numbers.
pub(super) fn letter(at: usize, first: u8) -> String {
    match u8::try_from(at) {
        Ok(at) if at < 26 => char::from(first + at).to_string(),
        _ => format!(".{}", at + 1),
    }
}

/// For each message of the call, its exchange; `None` for what has no CSeq.
pub(super) fn exchanges(view: CallView<'_>) -> Vec<Option<Exchange>> {
    let legs = legs(view);
    let branches = branches(view);
    let mut known: HashMap<Key<'_>, (usize, usize)> = HashMap::new();
    let mut in_leg: HashMap<Option<usize>, usize> = HashMap::new();
    // Responses of a branch are told apart by their To tag further up, where the branches are one again.
    let mut by_tag: HashMap<(usize, &[u8]), String> = HashMap::new();
    let mut told = Vec::with_capacity(legs.len());
    for (no, seen) in view.messages() {
        let message = &seen.message;
        let Some(cseq) = message.cseq_number() else {
            told.push(None);
            continue;
        };
        let method = match message.cseq_method() {
            Method::Ack | Method::Cancel => Method::Invite,
            method => method,
        };
        let leg = legs.get(no.at()).copied().flatten();
        let next = known.len();
        let (order, number) =
            *known.entry((message.call_id(), message.from_tag(), cseq, method)).or_insert_with(|| {
                let number = in_leg.entry(leg).or_default();
                *number += 1;
                (next, *number)
            });
        let tag = message.to_tag();
        let own = view.call.message(no).transaction.and_then(|at| branches.get(at.at())).filter(|own| !own.is_empty());
        let branch = match own {
            Some(own) if tag.is_empty() || message.is_request() => own.clone(),
            Some(own) => by_tag.entry((order, tag)).or_insert_with(|| own.clone()).clone(),
            None => by_tag.get(&(order, tag)).cloned().unwrap_or_default(),
        };
        let leg = leg.map(|leg| letter(leg, b'A')).unwrap_or_default();
        told.push(Some(Exchange { order, leg, number, branch }));
    }
    told
}

/// For each message, the position of its leg; nothing when there is only one.
pub(super) fn legs(view: CallView<'_>) -> Vec<Option<usize>> {
    let mut of = vec![None; view.call.messages.len()];
    for (at, leg) in view.call.legs.iter().enumerate() {
        for no in &leg.messages {
            if let Some(of) = of.get_mut(no.at()) {
                *of = Some(at);
            }
        }
    }
    of
}

/// For each transaction, its branch: that of the transaction it carries on, and a letter when there are others
/// that carry on the same.
fn branches(view: CallView<'_>) -> Vec<String> {
    let mut siblings: HashMap<usize, Vec<Idx<Transaction>>> = HashMap::new();
    for (at, transaction) in view.transactions() {
        if let Some(upstream) = transaction.upstream.filter(|_| transaction.invite.is_none()) {
            siblings.entry(upstream.at()).or_default().push(at);
        }
    }
    let mut branches = vec![String::new(); view.call.transactions.len()];
    // A transaction may be carried on by one that was captured before it: from the caller down.
    let mut open: Vec<usize> =
        view.transactions().filter(|(_, transaction)| transaction.upstream.is_none()).map(|(at, _)| at.at()).collect();
    while let Some(parent) = open.pop() {
        let Some(children) = siblings.remove(&parent) else { continue };
        for (at, child) in children.iter().enumerate() {
            let mut branch = branches[parent].clone();
            if children.len() > 1 && branch.len() < BRANCH {
                branch.push_str(&letter(at, b'a'));
            }
            branches[child.at()] = branch;
            open.push(child.at());
        }
    }
    for (at, transaction) in view.transactions() {
        if let Some(invite) = transaction.invite.filter(|invite| *invite != at) {
            branches[at.at()] = branches.get(invite.at()).cloned().unwrap_or_default();
        }
    }
    branches
}

/// The message that `no` repeats, through copies of copies.
pub(super) fn root(view: CallView<'_>, no: MessageNo) -> MessageNo {
    let mut root = no;
    while let Some(copy) = view.call.message(root).copy.filter(|copy| copy.of < root) {
        root = copy.of;
    }
    root
}
