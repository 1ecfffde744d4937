//! Order of cause and effect, where the capture point swapped them.
//!
//! Mirror ports swap packets of the two directions by some 100 µs, and captures on several queues
//! or interfaces write records late. Nobody answers before being asked, so that such messages are
//! put behind what caused them, and the call says which.

use crate::base::Idx;
use crate::session::{MessageNo, Seen, Transaction, Transactions};
use crate::sip::{Facts, Method};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// How much later its cause may have been captured. Far more than what capture points do, far less
/// than the 500 ms (RFC 3261 17.1.1.1, T1) after which a copy replaces a cause that was lost.
const WINDOW: Duration = Duration::from_millis(10);

/// A message that was captured before the one that caused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reordered {
    /// The message that now stands behind its cause.
    pub effect: MessageNo,
    /// Its request; for an ACK the final response; for credentials the challenge; for what was forwarded the same as
    /// received.
    pub cause: MessageNo,
}

/// Another order of messages.
pub(super) struct Repair {
    /// For each place, the message that belongs there.
    pub(super) order: Vec<MessageNo>,
    /// By place in the new order.
    pub(super) reordered: Vec<Reordered>,
}

/// The order in which causes come first and all else stays, if the order of capture is not that.
pub(super) fn repair(messages: &[&Seen], found: &Transactions) -> Option<Repair> {
    let time = |no: MessageNo| messages[no.at()].time;
    let is_swapped = |link: &Reordered| link.effect < link.cause && time(link.cause).since(time(link.effect)) <= WINDOW;
    let swapped: Vec<Reordered> = links(messages, found).filter(is_swapped).collect();
    if swapped.is_empty() {
        return None;
    }
    let kept = links(messages, found).filter(|link| link.cause < link.effect);
    let links: Vec<Reordered> = kept.chain(swapped.iter().copied()).collect();
    let order = sort(messages.len(), &links)?;
    let mut place = vec![MessageNo::new(0); order.len()];
    for (at, no) in order.iter().enumerate() {
        place[no.at()] = MessageNo::new(at);
    }
    // Of one instant no order is known that could be told as changed.
    let mut reordered: Vec<Reordered> = swapped
        .into_iter()
        .filter(|link| time(link.cause) != time(link.effect))
        .map(|link| Reordered { effect: place[link.effect.at()], cause: place[link.cause.at()] })
        .collect();
    reordered.sort_by_key(|link| (link.effect, link.cause));
    Some(Repair { order, reordered })
}

/// Every message with what must come before it, as far as the transactions tell.
fn links<'a>(messages: &'a [&'a Seen], found: &'a Transactions) -> impl Iterator<Item = Reordered> + use<'a> {
    let retried = found.all.windows(2).flat_map(|pair| retried(messages, &pair[0], &pair[1]));
    let within = found.all.iter().flat_map(move |transaction| {
        let is_response = |no: &MessageNo| !messages[no.at()].message.is_request();
        let responses = transaction.messages.iter().copied().filter(is_response);
        let answered = transaction
            .request
            .into_iter()
            .flat_map(move |cause| responses.clone().map(move |effect| Reordered { effect, cause }));
        answered
            .chain(link(transaction.final_response, transaction.ack))
            .chain(link(acknowledged(transaction, found), transaction.request))
            .chain(link(received(transaction, found), transaction.request))
            .chain(passed_on(messages, transaction, found))
            .chain(of_one_instant(messages, transaction))
    });
    within.chain(retried)
}

fn link(cause: Option<MessageNo>, effect: Option<MessageNo>) -> Option<Reordered> {
    Some(Reordered { effect: effect?, cause: cause? })
}

/// The 2xx that a lone ACK acknowledges.
fn acknowledged(transaction: &Transaction, found: &Transactions) -> Option<MessageNo> {
    let invite = transaction.invite.filter(|_| transaction.method == Method::Ack)?;
    found.all[invite.at()].final_response
}

/// The request that was forwarded as that of `transaction`.
fn received(transaction: &Transaction, found: &Transactions) -> Option<MessageNo> {
    found.all[transaction.upstream?.at()].request
}

/// The final response of `transaction` and the same one a hop upstream: one status from one user agent.
fn passed_on(messages: &[&Seen], transaction: &Transaction, found: &Transactions) -> Option<Reordered> {
    let upstream = &found.all[transaction.upstream?.at()];
    let cause = transaction.final_response?;
    let effect = upstream.final_response?;
    let origin = |no: MessageNo| {
        let message = &messages[no.at()].message;
        (message.status(), message.to_tag())
    };
    (origin(cause) == origin(effect)).then_some(Reordered { effect, cause })
}

/// A challenge, and the same request with credentials (RFC 3261 22.2): nobody knows the nonce before. Of one instant,
/// the ACK to the challenge goes before it too.
fn retried(messages: &[&Seen], first: &Transaction, next: &Transaction) -> impl Iterator<Item = Reordered> + use<> {
    let again =
        (next.method, next.connection, next.cseq) == (first.method, first.connection, first.cseq.wrapping_add(1));
    let message = |no: MessageNo| &messages[no.at()].message;
    let answers =
        |no: &MessageNo| message(*no).has(Facts::AUTHORIZATION) || message(*no).has(Facts::PROXY_AUTHORIZATION);
    let effect = next.request.filter(|no| again && answers(no));
    let challenge = first.final_response.filter(|no| matches!(message(*no).status(), Some(401 | 407)));
    let time = |no: MessageNo| messages[no.at()].time;
    let ack = first.ack.filter(|ack| effect.is_some_and(|effect| time(*ack) == time(effect)));
    link(challenge, effect).into_iter().chain(link(challenge.and(ack), effect))
}

/// Of responses with one time, the final one is the last.
fn of_one_instant<'a>(
    messages: &'a [&Seen],
    transaction: &'a Transaction,
) -> impl Iterator<Item = Reordered> + use<'a> {
    let last = transaction.final_response.filter(|_| transaction.provisional.is_some());
    last.into_iter().flat_map(move |effect| {
        let is_tied = move |no: &MessageNo| {
            let (one, last) = (messages[no.at()], messages[effect.at()]);
            one.time == last.time && one.message.status().is_some_and(|status| status < 200)
        };
        let tied = transaction.messages.iter().copied().filter(is_tied);
        tied.map(move |cause| Reordered { effect, cause })
    })
}

/// All numbers below `count`, effects behind their causes and otherwise ascending; `None` when the
/// links go round in a circle.
fn sort(count: usize, links: &[Reordered]) -> Option<Vec<MessageNo>> {
    let mut waits = vec![0_u32; count];
    let mut effects: Vec<(MessageNo, MessageNo)> = Vec::with_capacity(links.len());
    for link in links {
        waits[link.effect.at()] += 1;
        effects.push((link.cause, link.effect));
    }
    effects.sort_unstable();
    let mut ready: BinaryHeap<Reverse<MessageNo>> =
        (0..count).filter(|at| waits[*at] == 0).map(|at| Reverse(Idx::new(at))).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(cause)) = ready.pop() {
        order.push(cause);
        let from = effects.partition_point(|(other, _)| *other < cause);
        for (_, effect) in effects[from..].iter().take_while(|(other, _)| *other == cause) {
            waits[effect.at()] -= 1;
            if waits[effect.at()] == 0 {
                ready.push(Reverse(*effect));
            }
        }
    }
    (order.len() == count).then_some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(count: usize, links: &[(usize, usize)]) -> Option<Vec<usize>> {
        let links: Vec<_> = links
            .iter()
            .map(|(cause, effect)| Reordered { effect: Idx::new(*effect), cause: Idx::new(*cause) })
            .collect();
        Some(sort(count, &links)?.into_iter().map(Idx::at).collect())
    }

    #[test]
    fn only_what_must_move_moves() {
        assert_eq!(sorted(4, &[(2, 0), (0, 1)]), Some(vec![2, 0, 1, 3]));
        assert_eq!(sorted(4, &[(2, 0)]), Some(vec![1, 2, 0, 3]));
        assert_eq!(sorted(3, &[(0, 1), (0, 2), (0, 1)]), Some(vec![0, 1, 2]));
    }

    #[test]
    fn a_circle_has_no_order() {
        assert_eq!(sorted(3, &[(0, 1), (1, 2), (2, 0)]), None);
    }
}
