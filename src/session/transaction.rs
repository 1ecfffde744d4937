//! Transactions by RFC 3261 17.1.3 and 17.2.3, per hop, with the four state machines seen from outside.

use super::copies::{Copy, CopyKind, captured_twice, catches_up, repeats};
use super::seen::{MessageNo, Seen};
use crate::base::{Connection, Endpoint, Idx};
use crate::sip::{Message, Method};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Where a transaction stands, as far as the capture shows it.
///
/// ```text
///            request           1xx             2xx (INVITE)
///   (none) ---------> Trying -------> Proceeding ---------> Accepted     RFC 6026 7
///                        |               |  300-699 (INVITE)
///                        |               +----------------> Completed --ACK--> Confirmed
///                        |  200-699 (other methods)
///                        +--------------------------------> Completed
/// ```
/// The client machines (17.1.1, 17.1.2) and the server machines (17.2.1, 17.2.2) walk through the
/// same states, one of them half a hop later; an observer between them sees one walk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// The request was seen, no response. INVITE: "Calling".
    Trying,
    /// A provisional response was seen.
    Proceeding,
    /// A final response was seen; for INVITE a failure that waits for its ACK.
    Completed,
    /// INVITE only: the failure was acknowledged.
    Confirmed,
    /// INVITE only: a 2xx was seen (RFC 6026).
    Accepted,
}

/// What client and server sent each other under one branch, on one hop.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Method of the request. An ACK to a 2xx stands alone as a transaction of method `Ack`; an ACK
    /// to a failure belongs to its INVITE; a CANCEL is a transaction of its own (RFC 3261 9.1).
    pub method: Method,
    /// CSeq number.
    pub cseq: u32,
    /// Addresses, client to server.
    pub connection: Connection,
    /// All its messages, in order of capture, copies included.
    pub messages: Vec<MessageNo>,
    /// First copy of the request; `None`: not in the capture.
    pub request: Option<MessageNo>,
    /// First provisional response, 100 included.
    pub provisional: Option<MessageNo>,
    /// First final response.
    pub final_response: Option<MessageNo>,
    /// INVITE: first ACK to a failure (same branch). For the ACK to a 2xx see [`super::Dialog`].
    pub ack: Option<MessageNo>,
    /// Where it stands at the end of the capture.
    pub state: State,
    /// CANCEL: the INVITE it cancels. ACK to a 2xx: the INVITE it acknowledges.
    pub invite: Option<Idx<Transaction>>,
    /// Forwarding: the transaction one hop upstream that this one carries on (same request with one
    /// Via less, RFC 3261 16.6).
    pub upstream: Option<Idx<Transaction>>,
}

/// The transactions of one call.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    /// In order of their first message.
    pub all: Vec<Transaction>,
    /// For each message of the call, its transaction; `None` for what matches nothing usable.
    pub of_message: Vec<Option<Idx<Transaction>>>,
    /// For each message of the call, what it repeats.
    pub copies: Vec<Option<Copy>>,
}

/// What RFC 3261 17.1.3 and 17.2.3 compare. Sent-by and Call-ID hardly ever tell more than the branch
/// does: they are compared, not hashed.
#[derive(Clone, Copy)]
struct Key<'a> {
    branch: &'a [u8],
    cseq: u32,
    method: Method,
    sent_by: &'a [u8],
    call_id: &'a [u8],
}

type Hashed<'a> = (&'a [u8], u32, Method);

/// Transactions of one branch, CSeq number and method that are looked at, the newest ones; real ones
/// are as many as there are hops, and Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
const CANDIDATES: usize = 128;

/// Distinct messages of one transaction that a new one is compared with; real ones have under ten.
const DISTINCT: usize = 32;

/// Matches the messages of one call to transactions, in order of capture.
///
/// RFC 3261 17.1.3 and 17.2.3: top Via branch and sent-by, CSeq method; Call-ID and CSeq number guard
/// against reused branches, and serve alone for RFC 2543 peers without the cookie.
pub fn find_transactions(messages: &[&Seen]) -> Transactions {
    let mut finder = Finder::new(messages);
    for no in 0..messages.len() {
        finder.place(MessageNo::new(no));
    }
    finder.link();
    finder.found
}

struct Finder<'a> {
    messages: &'a [&'a Seen],
    by_key: HashMap<Hashed<'a>, SmallVec<[Idx<Transaction>; 2]>, RandomState>,
    /// First sendings of each transaction, as far as they differ.
    distinct: Vec<SmallVec<[MessageNo; 6]>>,
    found: Transactions,
}

impl<'a> Finder<'a> {
    fn new(messages: &'a [&'a Seen]) -> Self {
        Self {
            messages,
            by_key: HashMap::with_capacity_and_hasher(messages.len() / 2, RandomState::default()),
            distinct: Vec::new(),
            found: Transactions {
                all: Vec::new(),
                of_message: vec![None; messages.len()],
                copies: vec![None; messages.len()],
            },
        }
    }

    fn seen(&self, no: MessageNo) -> &'a Seen {
        self.messages[no.at()]
    }

    fn place(&mut self, no: MessageNo) {
        let seen = self.seen(no);
        let message = &seen.message;
        if message.cseq_number().is_none() && message.branch().is_empty() {
            return;
        }
        let at = match message.method() {
            _ if cut_before_cseq(message) => self.by_branch(no),
            Method::Ack => self.ack(no),
            method => self
                .find(no, method)
                .or_else(|| self.find_below_top(no, method))
                .unwrap_or_else(|| self.open(no, method)),
        };
        self.found.of_message[no.at()] = Some(at);
        self.note_copy(no, at);
        let transaction = &mut self.found.all[at.at()];
        transaction.messages.push(no);
        step(transaction, no, seen);
    }

    /// An ACK to a failure belongs to its INVITE (17.1.1.3), an ACK to a 2xx stands alone (13.2.2.4).
    fn ack(&mut self, no: MessageNo) -> Idx<Transaction> {
        let invite = self.find(no, Method::Invite).filter(|at| {
            self.found.all[at.at()]
                .final_response
                .is_none_or(|fin| self.seen(fin).message.status().is_some_and(|status| status >= 300))
        });
        invite.or_else(|| self.find(no, Method::Ack)).unwrap_or_else(|| self.open(no, Method::Ack))
    }

    /// A response cut off before its CSeq still names its transaction by its branch.
    fn by_branch(&mut self, no: MessageNo) -> Idx<Transaction> {
        let message = &self.seen(no).message;
        let recent = self.found.all.iter().enumerate().rev().take(DISTINCT);
        let known = recent.filter_map(|(at, t)| Some((at, *t.messages.first()?))).find(|(_, first)| {
            let other = &self.seen(*first).message;
            other.branch() == message.branch() && other.sent_by() == message.sent_by()
        });
        match known {
            Some((at, _)) => Idx::new(at),
            None => self.open(no, message.method()),
        }
    }

    fn key(&self, no: MessageNo, method: Method) -> Key<'a> {
        let message = &self.seen(no).message;
        Key {
            branch: message.branch(),
            cseq: message.cseq_number().unwrap_or(0),
            method,
            sent_by: message.sent_by(),
            call_id: message.call_id(),
        }
    }

    /// The transactions that a message with this key opened, in order.
    fn candidates(&self, key: Key<'a>) -> impl DoubleEndedIterator<Item = Idx<Transaction>> {
        let known = self.by_key.get(&(key.branch, key.cseq, key.method));
        let recent = known.map_or(&[][..], |known| &known[known.len().saturating_sub(CANDIDATES)..]);
        recent.iter().copied().filter(move |at| {
            self.found.all[at.at()].messages.first().is_some_and(|first| {
                let opened = &self.seen(*first).message;
                opened.sent_by() == key.sent_by && opened.call_id() == key.call_id
            })
        })
    }

    /// The transaction of this key between the same two hosts; a response that takes another way back
    /// still belongs to the only request that it can answer.
    fn find(&self, no: MessageNo, method: Method) -> Option<Idx<Transaction>> {
        let candidates: SmallVec<[_; 4]> = self.candidates(self.key(no, method)).collect();
        let seen = self.seen(no);
        let (client, server) = client_server(seen);
        let same_hop = candidates.iter().rev().find(|at| {
            let known = &self.found.all[at.at()].connection;
            known.src.ip == client.ip && known.dst.ip == server.ip
        });
        match same_hop {
            Some(at) => Some(*at),
            None if !seen.message.is_request() && candidates.len() == 1 => {
                let at = candidates[0];
                let known = &self.found.all[at.at()].connection;
                (known.src.ip == client.ip || known.dst.ip == server.ip).then_some(at)
            }
            None => None,
        }
    }

    /// A response whose Via stack was not taken down on the way (16.7 item 3) still answers the request
    /// of this hop that one of its Vias names.
    fn find_below_top(&self, no: MessageNo, method: Method) -> Option<Idx<Transaction>> {
        let seen = self.seen(no);
        if seen.message.is_request() || seen.message.via_count() < 2 {
            return None;
        }
        let (client, server) = client_server(seen);
        let key = self.key(no, method);
        let stack = seen.message.vias().skip(1).take(DISTINCT);
        let mut named = stack.flat_map(|via| self.candidates(Key { branch: via.branch, sent_by: via.sent_by, ..key }));
        named.find(|at| {
            let known = &self.found.all[at.at()];
            known.request.is_some() && known.connection.src.ip == client.ip && known.connection.dst.ip == server.ip
        })
    }

    fn open(&mut self, no: MessageNo, method: Method) -> Idx<Transaction> {
        let seen = self.seen(no);
        let (src, dst) = client_server(seen);
        let at = Idx::new(self.found.all.len());
        self.found.all.push(Transaction {
            method,
            cseq: seen.message.cseq_number().unwrap_or(0),
            connection: Connection { src, dst, transport: seen.connection.transport },
            messages: Vec::new(),
            request: None,
            provisional: None,
            final_response: None,
            ack: None,
            state: State::Trying,
            invite: None,
            upstream: None,
        });
        self.distinct.push(SmallVec::new());
        let Key { branch, cseq, .. } = self.key(no, method);
        self.by_key.entry((branch, cseq, method)).or_default().push(at);
        at
    }

    fn note_copy(&mut self, no: MessageNo, at: Idx<Transaction>) {
        let later = self.seen(no);
        let distinct = &self.distinct[at.at()];
        let Some(of) = distinct.iter().copied().find(|of| repeats(self.seen(*of), later)) else {
            if distinct.len() < DISTINCT {
                self.distinct[at.at()].push(no);
            }
            return;
        };
        let resent = !later.message.is_request() && self.request_repeated_since(at, of);
        let twice = {
            let earlier = self.recent(at, of).map(|no| self.seen(no));
            earlier.clone().any(|earlier| captured_twice(earlier, later, resent)) || catches_up(&earlier, later)
        };
        let kind = if twice { CopyKind::CapturedTwice } else { CopyKind::Retransmission };
        self.found.copies[no.at()] = Some(Copy { kind, of });
    }

    /// The last few sendings of what `of` says, newest first.
    fn recent(&self, at: Idx<Transaction>, of: MessageNo) -> impl Iterator<Item = MessageNo> + Clone {
        let messages = self.found.all[at.at()].messages.iter().rev().copied().take(DISTINCT);
        messages.filter(move |no| *no == of || self.found.copies[no.at()].is_some_and(|copy| copy.of == of))
    }

    fn request_repeated_since(&self, at: Idx<Transaction>, of: MessageNo) -> bool {
        let messages = self.found.all[at.at()].messages.iter().rev().take(DISTINCT);
        messages.take_while(|no| **no > of).any(|no| self.seen(*no).message.is_request())
    }

    /// CANCEL and ACK to their INVITE, and each transaction to the one upstream that it forwards.
    fn link(&mut self) {
        for at in 0..self.found.all.len() {
            let Some(no) = self.found.all[at].messages.first().copied() else {
                continue;
            };
            let method = self.found.all[at].method;
            if matches!(method, Method::Cancel | Method::Ack) {
                self.found.all[at].invite = self.find(no, Method::Invite).or_else(|| self.acked(no, method));
            }
            self.found.all[at].upstream = self.upstream(Idx::new(at), no);
        }
    }

    /// The INVITE that a lone ACK acknowledges: same CSeq number and dialog, on this hop if it was seen
    /// there, else on any.
    fn acked(&self, no: MessageNo, method: Method) -> Option<Idx<Transaction>> {
        if method != Method::Ack {
            return None;
        }
        let seen = self.seen(no);
        let ack = &seen.message;
        let same = |at: &usize| {
            let invite = &self.found.all[*at];
            invite.method == Method::Invite
                && invite.cseq == ack.cseq_number().unwrap_or(0)
                && invite.final_response.or(invite.request).is_some_and(|no| {
                    let other = &self.seen(no).message;
                    other.call_id() == ack.call_id() && other.from_tag() == ack.from_tag()
                })
        };
        let here = |at: &usize| {
            let known = &self.found.all[*at].connection;
            known.src.ip == seen.connection.src.ip && known.dst.ip == seen.connection.dst.ip
        };
        let recent = self.found.all.len().saturating_sub(DISTINCT * 8)..self.found.all.len();
        let on_this_hop = recent.clone().find(|at| here(at) && same(at));
        on_this_hop.or_else(|| recent.clone().find(same)).map(Idx::new)
    }

    /// RFC 3261 16.6 item 8: the forwarding proxy put its own Via on top, so the second Via names the
    /// transaction upstream.
    fn upstream(&self, at: Idx<Transaction>, no: MessageNo) -> Option<Idx<Transaction>> {
        let via = self.seen(no).message.second_via()?;
        let key = self.key(no, self.found.all[at.at()].method);
        let mut named = self.candidates(Key { branch: via.branch, sent_by: via.sent_by, ..key });
        named.find(|other| *other != at)
    }
}

fn cut_before_cseq(message: &Message) -> bool {
    !message.is_request() && message.cseq_number().is_none()
}

/// Client and server of the hop: a response travels from server to client.
fn client_server(seen: &Seen) -> (Endpoint, Endpoint) {
    let Connection { src, dst, .. } = seen.connection;
    if seen.message.is_request() { (src, dst) } else { (dst, src) }
}

/// One step of the state machine in the diagram of [`State`].
fn step(transaction: &mut Transaction, no: MessageNo, seen: &Seen) {
    let invite = transaction.method == Method::Invite;
    match seen.message.status() {
        None if seen.message.method() == Method::Ack && invite => {
            transaction.ack.get_or_insert(no);
            if transaction.state == State::Completed {
                transaction.state = State::Confirmed;
            }
        }
        None => {
            transaction.request.get_or_insert(no);
        }
        Some(..200) => {
            transaction.provisional.get_or_insert(no);
            transaction.state = transaction.state.max(State::Proceeding);
        }
        Some(status) => {
            transaction.final_response.get_or_insert(no);
            let next = if invite && status < 300 { State::Accepted } else { State::Completed };
            transaction.state = transaction.state.max(next);
        }
    }
}
