//! Transactions by RFC 3261 17.1.3 and 17.2.3, per hop, with the four state machines seen from outside.

use super::copies::{Copy, CopyKind, captured_twice, catches_up, repeats};
use super::few::FewMap;
use super::seen::{MessageNo, Seen};
use crate::base::{Connection, Endpoint, Idx};
use crate::sip::{Facts, HeaderName, Message, Method, Via};
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
    pub messages: SmallVec<[MessageNo; 4]>,
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
/// does: they are no part of [`Told`].
#[derive(Clone, Copy)]
struct Key<'a> {
    branch: &'a [u8],
    cseq: u32,
    method: Method,
    sent_by: &'a [u8],
    call_id: &'a [u8],
    /// What else tells requests apart whose branch does not (RFC 3261 17.2.3, for RFC 2543).
    old: Option<OldKey<'a>>,
}

/// From tag, and of a request that is no ACK its URI.
#[derive(Clone, Copy)]
struct OldKey<'a> {
    from_tag: &'a [u8],
    uri: Option<&'a [u8]>,
}

impl OldKey<'_> {
    fn fits(self, opened: &Message) -> bool {
        let uri = self.uri.filter(|_| opened.is_request());
        self.from_tag == opened.from_tag() && uri.is_none_or(|uri| uri == opened.request_uri())
    }
}

/// RFC 3261 8.1.1.7: a branch that begins so is unique.
const COOKIE: &[u8] = b"z9hG4bK";

type Told<'a> = (u32, Method, &'a [u8]);

/// Transactions of one branch, CSeq number and method that are looked at, the newest ones; real ones
/// are as many as there are hops, and Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
const CANDIDATES: usize = 70;

/// Distinct messages of one transaction that a new one is compared with, before they are looked up by
/// what they say, as reliable 1xx always are; real transactions have under ten.
const FEW: usize = 8;

/// Messages looked at where the newest few tell all that can be told.
const RECENT: usize = 32;

/// INVITEs of one dialog and CSeq number that are looked at: one for each hop and branch.
const INVITES: usize = 256;

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
    by_key: FewMap<Told<'a>, SmallVec<[Idx<Transaction>; 2]>>,
    /// First sendings of each transaction, as far as they differ; the first [`FEW`] of them.
    distinct: Vec<SmallVec<[MessageNo; 6]>>,
    /// The others, by what they say: one INVITE may be forked to hundreds of phones.
    more: HashMap<Said<'a>, SmallVec<[MessageNo; 1]>, RandomState>,
    /// INVITEs by what the ACK to their 2xx has in common with them, in order.
    invites: FewMap<DialogStart<'a>, SmallVec<[Idx<Transaction>; 2]>>,
    found: Transactions,
}

/// Transaction, method, status (0 for a request), To tag, and RSeq of a reliable 1xx (RFC 3262 3).
type Said<'a> = (Idx<Transaction>, Method, u16, &'a [u8], &'a [u8]);

/// CSeq number, From tag and Call-ID.
type DialogStart<'a> = (u32, &'a [u8], &'a [u8]);

fn dialog_start(message: &Message) -> DialogStart<'_> {
    (message.cseq_number().unwrap_or(0), message.from_tag(), message.call_id())
}

impl<'a> Finder<'a> {
    fn new(messages: &'a [&'a Seen]) -> Self {
        Self {
            messages,
            by_key: FewMap::default(),
            distinct: Vec::new(),
            more: HashMap::default(),
            invites: FewMap::default(),
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
        let recent = self.found.all.iter().enumerate().rev().take(RECENT);
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
        let unique = message.branch().get(..COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(COOKIE));
        let uri = (message.is_request() && message.method() == method).then(|| message.request_uri());
        Key {
            old: (!unique).then(|| OldKey { from_tag: message.from_tag(), uri }),
            branch: message.branch(),
            cseq: message.cseq_number().unwrap_or(0),
            method,
            sent_by: message.sent_by(),
            call_id: message.call_id(),
        }
    }

    /// The transactions that a message with this key opened, in order.
    fn candidates(&self, key: Key<'a>) -> impl DoubleEndedIterator<Item = Idx<Transaction>> {
        let known = self.by_key.get(&(key.cseq, key.method, key.branch));
        let recent = known.map_or(&[][..], |known| &known[known.len().saturating_sub(CANDIDATES)..]);
        recent.iter().copied().filter(move |at| {
            self.found.all[at.at()].messages.first().is_some_and(|first| {
                let opened = &self.seen(*first).message;
                opened.sent_by() == key.sent_by
                    && opened.call_id() == key.call_id
                    && key.old.is_none_or(|old| old.fits(opened))
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
        let stack = seen.message.vias().skip(1).take(RECENT);
        let named = |via: Via<'a>| self.candidates(Key { branch: via.branch, sent_by: via.sent_by, old: None, ..key });
        let mut named = stack.flat_map(named);
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
            messages: SmallVec::new(),
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
        self.by_key.get_or_insert_with((cseq, method, branch), SmallVec::new).push(at);
        if method == Method::Invite {
            self.invites.get_or_insert_with(dialog_start(&seen.message), SmallVec::new).push(at);
        }
        at
    }

    fn note_copy(&mut self, no: MessageNo, at: Idx<Transaction>) {
        let later = self.seen(no);
        let message = &later.message;
        let rseq = if message.has(Facts::RSEQ) { message.header(HeaderName::RSeq).unwrap_or_default() } else { &[] };
        let said = (at, message.method(), message.status().unwrap_or(0), message.to_tag(), rseq);
        let few = &mut self.distinct[at.at()];
        let is_one_of_few = rseq.is_empty() && few.len() < FEW;
        let more = if is_one_of_few { None } else { self.more.get(&said) };
        let few_alike = if rseq.is_empty() { &few[..] } else { &[] };
        let mut known = few_alike.iter().chain(more.into_iter().flatten().take(RECENT)).copied();
        let Some(of) = known.find(|of| repeats(self.messages[of.at()], later)) else {
            if is_one_of_few {
                few.push(no);
            } else {
                self.more.entry(said).or_default().push(no);
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
        let messages = self.found.all[at.at()].messages.iter().rev().copied().take(RECENT);
        messages.filter(move |no| *no == of || self.found.copies[no.at()].is_some_and(|copy| copy.of == of))
    }

    fn request_repeated_since(&self, at: Idx<Transaction>, of: MessageNo) -> bool {
        let messages = self.found.all[at.at()].messages.iter().rev().take(RECENT);
        let sent = |no: &MessageNo| self.found.copies[no.at()].is_none_or(|copy| copy.kind == CopyKind::Retransmission);
        messages.take_while(|no| **no > of).any(|no| self.seen(*no).message.is_request() && sent(no))
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
        let known = self.invites.get(&dialog_start(&seen.message))?;
        let here = |at: &&Idx<Transaction>| {
            let invite = &self.found.all[at.at()].connection;
            invite.src.ip == seen.connection.src.ip && invite.dst.ip == seen.connection.dst.ip
        };
        known.iter().take(INVITES).find(here).or_else(|| known.first()).copied()
    }

    /// RFC 3261 16.6 item 8: the forwarding proxy put its own Via on top, so the second Via names the
    /// transaction upstream.
    fn upstream(&self, at: Idx<Transaction>, no: MessageNo) -> Option<Idx<Transaction>> {
        let via = self.seen(no).message.second_via()?;
        let key = self.key(no, self.found.all[at.at()].method);
        // On its way a request may have got another URI.
        let named = self.candidates(Key { branch: via.branch, sent_by: via.sent_by, old: None, ..key });
        let client = self.found.all[at.at()].connection.src.ip;
        let mut first = None;
        for other in named.filter(|other| *other != at) {
            // What arrived where this one was sent from; the same request may be seen on both sides of a NAT.
            if self.found.all[other.at()].connection.dst.ip == client {
                return Some(other);
            }
            first = first.or(Some(other));
        }
        first
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
