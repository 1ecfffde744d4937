//! The legs of a call woven into one: messages in order of capture, elements that are on several legs once.

use super::participants::raise;
use super::{Call, CallMessage, Clue, Hop, Leg, Participant, Reordered, Role, Tie, Ties};
use crate::base::{Endpoint, Idx};
use crate::session::{Copy, Dialog, MessageNo, Target, Transaction};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::IpAddr;

/// A call of several legs, and where everything of each leg went.
#[derive(Clone, Debug)]
pub struct Woven {
    /// The call; [`Leg::flow`] is yet to be told.
    pub call: Call,
    /// For each leg, in order.
    pub places: Vec<Places>,
}

/// Where the messages and participants of a leg stand in the whole call.
#[derive(Clone, Debug, Default)]
pub struct Places {
    messages: Vec<MessageNo>,
    participants: Vec<Idx<Participant>>,
    hops: usize,
    transactions: usize,
}

impl Places {
    /// Number of a message of the leg within the call.
    pub fn message(&self, no: MessageNo) -> MessageNo {
        self.messages[no.at()]
    }

    /// A participant of the leg within the call.
    pub fn participant(&self, who: Idx<Participant>) -> Idx<Participant> {
        self.participants[who.at()]
    }

    fn hop(&self, hop: Idx<Hop>) -> Idx<Hop> {
        Idx::new(self.hops + hop.at())
    }

    fn transaction(&self, transaction: Idx<Transaction>) -> Idx<Transaction> {
        Idx::new(self.transactions + transaction.at())
    }

    fn of_message(&self, message: CallMessage) -> CallMessage {
        CallMessage {
            seen: message.seen,
            from: self.participant(message.from),
            to: self.participant(message.to),
            hop: self.hop(message.hop),
            transaction: message.transaction.map(|at| self.transaction(at)),
            copy: message.copy.map(|copy| Copy { of: self.message(copy.of), ..copy }),
            next_copy: message.next_copy.map(|no| self.message(no)),
        }
    }

    fn of_transaction(&self, transaction: Transaction) -> Transaction {
        let number = |no: Option<MessageNo>| no.map(|no| self.message(no));
        Transaction {
            messages: transaction.messages.into_iter().map(|no| self.message(no)).collect(),
            request: number(transaction.request),
            provisional: number(transaction.provisional),
            final_response: number(transaction.final_response),
            ack: number(transaction.ack),
            invite: transaction.invite.map(|at| self.transaction(at)),
            upstream: transaction.upstream.map(|at| self.transaction(at)),
            ..transaction
        }
    }

    fn of_dialog(&self, dialog: Dialog) -> Dialog {
        let all = |transactions: SmallVec<[_; 4]>| transactions.into_iter().map(|at| self.transaction(at)).collect();
        let number = |no: Option<MessageNo>| no.map(|no| self.message(no));
        // Field by field, so that none with a number in it is forgotten.
        let Dialog { call_id, caller_tag, callee_tag, state, caller_numbers, callee_numbers, .. } = dialog;
        let target = |target: Target| Target {
            of: target.of,
            set_by: self.message(target.set_by),
            since: self.message(target.since),
        };
        Dialog {
            call_id,
            caller_tag,
            callee_tag,
            began: self.message(dialog.began),
            state,
            created_by: all(dialog.created_by),
            confirmed: number(dialog.confirmed),
            ack: number(dialog.ack),
            transactions: all(dialog.transactions),
            notified: number(dialog.notified),
            bye: dialog.bye.map(|at| self.transaction(at)),
            answer: number(dialog.answer),
            refused: number(dialog.refused),
            route: number(dialog.route),
            targets: dialog.targets.into_iter().map(target).collect(),
            caller_numbers,
            callee_numbers,
            usages: dialog.usages.renumbered(|no| self.message(no)),
        }
    }

    fn of_hop(&self, hop: Hop) -> Hop {
        Hop { upstream: self.participant(hop.upstream), downstream: self.participant(hop.downstream), ..hop }
    }
}

/// Weaves `legs`, in order of their first message and with their positions in `ties`, into one call. The
/// story is that of the first leg: its kind, and how it ended for whoever began it.
pub fn weave(legs: Vec<(usize, Call)>, ties: &Ties) -> Woven {
    let mut places: Vec<Places> = Vec::with_capacity(legs.len());
    let mut cast = Cast::default();
    let (mut hops, mut transactions) = (0, 0);
    for (_, leg) in &legs {
        let participants = cast.add(leg);
        places.push(Places { participants, hops, transactions, messages: vec![Idx::new(0); leg.messages.len()] });
        hops += leg.hops.len();
        transactions += leg.transactions.len();
    }
    let order = in_order(&legs);
    for (at, (leg, no)) in order.iter().enumerate() {
        places[*leg].messages[no.at()] = Idx::new(at);
    }
    cast.meet(&legs, &places, ties);
    let messages = order.iter().map(|(leg, no)| places[*leg].of_message(*legs[*leg].1.message(*no))).collect();
    let told = legs.iter().enumerate().map(|(at, _)| told(&legs, &places, at, ties)).collect();
    let (kind, outcome, final_status) = legs.first().map_or_else(
        || (super::Kind::Other, super::Outcome::Incomplete, None),
        |(_, first)| (first.kind, first.outcome, first.final_status),
    );
    let mut call = Call {
        kind,
        outcome,
        final_status,
        messages,
        reordered: Vec::new(),
        transactions: Vec::with_capacity(transactions),
        dialogs: Vec::new(),
        participants: cast.participants,
        hops: Vec::with_capacity(hops),
        legs: told,
        related: Vec::new(),
        start: legs.iter().map(|(_, leg)| leg.start).min().unwrap_or_default(),
        end: legs.iter().map(|(_, leg)| leg.end).max().unwrap_or_default(),
        watched_until: legs.iter().map(|(_, leg)| leg.watched_until).max().unwrap_or_default(),
    };
    for ((_, leg), places) in legs.into_iter().zip(&places) {
        let moved = leg.reordered.into_iter();
        call.reordered.extend(
            moved.map(|link| Reordered { effect: places.message(link.effect), cause: places.message(link.cause) }),
        );
        call.transactions.extend(leg.transactions.into_iter().map(|transaction| places.of_transaction(transaction)));
        call.dialogs.extend(leg.dialogs.into_iter().map(|dialog| places.of_dialog(dialog)));
        call.hops.extend(leg.hops.into_iter().map(|hop| places.of_hop(hop)));
    }
    call.dialogs.sort_by_key(|dialog| dialog.began);
    Woven { call, places }
}

/// All messages by leg and number: in order of capture, and each leg in its own order.
fn in_order(legs: &[(usize, Call)]) -> Vec<(usize, MessageNo)> {
    let mut order = Vec::with_capacity(legs.iter().map(|(_, leg)| leg.messages.len()).sum());
    for (at, (_, leg)) in legs.iter().enumerate() {
        let mut last = Idx::new(0);
        for no in leg.numbers() {
            last = last.max(leg.message(no).seen);
            order.push((last, at, no));
        }
    }
    order.sort_unstable();
    order.into_iter().map(|(_, leg, no)| (leg, no)).collect()
}

/// Leg `at` as the report tells it, with what ties it to one before it.
fn told(legs: &[(usize, Call)], places: &[Places], at: usize, ties: &Ties) -> Leg {
    let (number, leg) = &legs[at];
    let before = legs[..at].iter().enumerate();
    let tied = before.filter_map(|(other, (before, _))| Some((other, ties.graph.edge_weight(*before, *number)?)));
    let strongest = tied.max_by_key(|(other, tie)| (tie.confidence, std::cmp::Reverse(*other)));
    Leg {
        messages: places[at].messages.clone(),
        outcome: leg.outcome,
        final_status: leg.final_status,
        flow: None,
        tie: strongest.map(|(other, tie)| (other, tie.clone())),
    }
}

/// Participants of all legs.
#[derive(Default)]
struct Cast {
    participants: Vec<Participant>,
    by_address: HashMap<Endpoint, Idx<Participant>, RandomState>,
    /// By host, where it was the only one on it in its leg.
    by_host: HashMap<IpAddr, Idx<Participant>, RandomState>,
}

impl Cast {
    /// Adds those of a leg and says who they are.
    fn add(&mut self, leg: &Call) -> Vec<Idx<Participant>> {
        let mut on_host: HashMap<IpAddr, (usize, usize), RandomState> = HashMap::default();
        for (at, who) in leg.participants.iter().enumerate() {
            for endpoint in &who.addresses {
                let (last, count) = on_host.entry(endpoint.ip).or_insert((at, 1));
                *count += usize::from(std::mem::replace(last, at) != at);
            }
        }
        let is_alone = |ip: &IpAddr| on_host.get(ip).is_some_and(|(_, count)| *count == 1);
        let known: Vec<Option<Idx<Participant>>> = leg
            .participants
            .iter()
            .map(|who| {
                let by_address = who.addresses.iter().find_map(|endpoint| self.by_address.get(endpoint));
                let hosts = who.addresses.iter().map(|endpoint| endpoint.ip).filter(is_alone);
                by_address.or_else(|| hosts.into_iter().find_map(|ip| self.by_host.get(&ip))).copied()
            })
            .collect();
        let who = leg.participants.iter().zip(known);
        who.map(|(who, known)| {
            let at = known.unwrap_or_else(|| {
                self.participants.push(Participant { addresses: SmallVec::new(), role: Role::Unknown });
                Idx::new(self.participants.len() - 1)
            });
            let one = &mut self.participants[at.at()];
            raise(one, who.role);
            for endpoint in &who.addresses {
                if *self.by_address.entry(*endpoint).or_insert(at) == at && !one.addresses.contains(endpoint) {
                    one.addresses.push(*endpoint);
                }
                if is_alone(&endpoint.ip) {
                    self.by_host.entry(endpoint.ip).or_insert(at);
                }
            }
            at
        })
        .collect()
    }

    /// Who ends one leg and opens another is a back-to-back user agent (RFC 7092 3).
    fn meet(&mut self, legs: &[(usize, Call)], places: &[Places], ties: &Ties) {
        for (at, (number, _)) in legs.iter().enumerate() {
            for (other, (before, _)) in legs[..at].iter().enumerate() {
                let tie: Option<&Tie> = ties.graph.edge_weight(*before, *number);
                let meeting = tie.into_iter().flat_map(|tie| &tie.clues).find_map(|clue| match clue {
                    Clue::Meets(ip, _) => Some(*ip),
                    _ => None,
                });
                let Some(ip) = meeting else {
                    continue;
                };
                for who in places[at].participants.iter().filter(|who| places[other].participants.contains(who)) {
                    let one = &mut self.participants[who.at()];
                    if one.addresses.iter().any(|endpoint| endpoint.ip == ip) {
                        one.role = Role::B2bua;
                    }
                }
            }
        }
    }
}
