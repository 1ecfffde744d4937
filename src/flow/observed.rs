//! A call as flows see it: one string of tokens per hop.
//!
//! A call is read once. What a flow does not speak of (an INFO in the midst of a call, say) is left out when the
//! strands for its alphabet are made, and so are repeats, earlier attempts that were given up, and branches
//! of a fork that lost.

use super::align::Blind;
use super::cause::is_unseen;
use super::facts::{has_credentials, is_initial_invite, removes_contacts};
use super::model::FlowKind;
use super::token::{Alphabet, Contact, Token, Verb, class};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Hop, Kind, Outcome, Participant};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts as Has, Message, Method};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Tokens of one hop that are compared: a registration of a year with a refresh every hour folds to
/// far less; more than this only floods have.
const TOKENS: usize = 2048;
/// Longest exchange whose repetition is folded: REGISTER, 401, REGISTER, 200 and the like.
const PERIOD: usize = 8;
/// Hops that are compared: no path is longer than Max-Forwards allows (RFC 3261 8.1.1.6); scans have more.
const HOPS: usize = 70;
/// Dialogs and tags that are looked at: a call has a few, a flood thousands.
pub(super) const TAGS: usize = 64;

/// An INVITE, and the hop on which an ACK to its 2xx was seen.
type Acknowledged = (Idx<Transaction>, Idx<Hop>);

/// One hop of a call, ready to be compared.
#[derive(Debug)]
pub(super) struct Strand {
    pub(super) hop: Idx<Hop>,
    pub(super) tokens: Vec<Token>,
    /// The message behind each token.
    pub(super) numbers: Vec<MessageNo>,
    /// Messages read like an earlier token because they only repeat an exchange.
    pub(super) folded: Vec<(MessageNo, u32)>,
    pub(super) blind: Blind,
    /// The hop on which requests in the dialog passed this one by.
    pub(super) shortcut: Option<Idx<Hop>>,
}

/// A message as flows see it.
type Heard = (Token, MessageNo);

/// The messages of one hop: of an ordinary call they need no allocation.
type Hearing = SmallVec<[Heard; 16]>;

/// A call as it was heard, all verbs of it.
pub(super) struct Observed<'a> {
    reader: Reader<'a>,
    /// By hop, in order; repeats left out.
    heard: Vec<Hearing>,
    /// Hops with messages that cannot be read.
    unreadable: SmallVec<[bool; 8]>,
    /// Nothing of it needs to be left out for any flow.
    is_basic: bool,
}

/// Reads a call about `kind`; `moved` are the re-INVITEs that move media.
pub(super) fn observe<'a>(view: CallView<'a>, kind: FlowKind, moved: &[Idx<Transaction>]) -> Observed<'a> {
    let reader = Reader::new(view, kind, moved);
    let mut heard = vec![Hearing::new(); view.call.hops.len()];
    let mut unreadable = SmallVec::from_elem(false, heard.len());
    let mut acknowledged = Vec::new();
    let mut alphabet = Alphabet::basic();
    for no in view.call.numbers() {
        let message = view.call.message(no);
        unreadable[message.hop.at()] |= view.sip(no).cseq_number().is_none();
        if message.copy.is_some() || reader.repeats_ack(no, &mut acknowledged) || reader.repeats_final(no) {
            continue;
        }
        if let Some(token) = reader.token(no) {
            alphabet.add(token.verb, 0);
            heard[message.hop.at()].push((token, no));
        }
    }
    Observed { reader, heard, unreadable, is_basic: alphabet == Alphabet::basic() }
}

impl Observed<'_> {
    /// The hops that carry what opens the call, in the order of the path, as a flow of this alphabet sees them.
    pub(super) fn strands(&self, alphabet: Alphabet) -> Vec<Strand> {
        let seen = |(token, no): &&Heard| alphabet.has(token.verb, self.reader.is_retried(*no));
        let by_hop: Cow<'_, [Hearing]> = if self.is_basic {
            Cow::Borrowed(&self.heard)
        } else {
            self.heard.iter().map(|hop| hop.iter().filter(seen).copied().collect()).collect()
        };
        self.reader.strands(&by_hop, &self.unreadable)
    }

    /// Every message that a flow of this alphabet sees, in order of capture.
    pub(super) fn told(&self, alphabet: Alphabet) -> Vec<Heard> {
        let seen = |(token, no): &&Heard| alphabet.has(token.verb, self.reader.is_retried(*no));
        let mut told: Vec<Heard> = self.heard.iter().flatten().filter(seen).copied().collect();
        told.sort_unstable_by_key(|(_, no)| *no);
        told
    }
}

struct Reader<'a> {
    view: CallView<'a>,
    kind: FlowKind,
    /// For each transaction, its part in the flow; `None`: none.
    verbs: SmallVec<[Option<Verb>; 16]>,
    /// Transactions beyond those of RFC 3665 that failed, were tried again, and so say nothing of how the call went
    /// on: challenged (RFC 3261 22), with too short an interval (423), in the way of another one (491). Sorted.
    retried: Vec<Idx<Transaction>>,
    /// From tags of the caller.
    caller_tags: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    fn new(view: CallView<'a>, kind: FlowKind, moved: &[Idx<Transaction>]) -> Self {
        let mut reader =
            Self { view, kind, verbs: SmallVec::new(), retried: Vec::new(), caller_tags: caller_tags(view, kind) };
        let given_up = reader.given_up();
        for (idx, transaction) in view.transactions() {
            let verb = reader.verb(idx, transaction, moved);
            reader.verbs.push(verb);
        }
        // An ACK comes after its INVITE, but the INVITE may have been set aside only now.
        for idx in given_up {
            reader.verbs[idx.at()] = None;
        }
        reader.retried = reader.retried();
        reader
    }

    fn verb(&self, idx: Idx<Transaction>, transaction: &Transaction, moved: &[Idx<Transaction>]) -> Option<Verb> {
        // Some clients use one Call-ID for a registration and for calls.
        if (self.view.call.kind == Kind::Registration) != (transaction.method == Method::Register) {
            return None;
        }
        match transaction.method {
            Method::Invite if is_initial_invite(self.view, idx) => Some(Verb::Invite),
            Method::Invite if moved.binary_search(&idx).is_ok() => Some(Verb::Reinvite),
            Method::Invite => Some(Verb::Refresh),
            Method::Ack => match transaction.invite {
                Some(invite) => self.verbs.get(invite.at()).copied().flatten()?.acknowledged_by(),
                None => self.orphan_ack(transaction),
            },
            method => Verb::of(method),
        }
    }

    /// An ACK whose INVITE was not captured on this hop: that of the dialog's start, if it is the first.
    fn orphan_ack(&self, transaction: &Transaction) -> Option<Verb> {
        let first = self.view.call.dialogs.iter().take(TAGS).filter_map(|dialog| dialog.ack);
        let mut first = first.filter_map(|no| self.view.call.message(no).transaction);
        let is_first = first.any(|idx| self.view.call.transaction(idx).cseq == transaction.cseq);
        is_first.then_some(Verb::Ack)
    }

    /// Attempts that ended in a failure on a hop where a later attempt followed. Challenges and
    /// redirections are part of flows and stay.
    fn given_up(&self) -> Vec<Idx<Transaction>> {
        let mut last: SmallVec<[Option<Idx<Transaction>>; 8]> = SmallVec::from_elem(None, self.view.call.hops.len());
        let mut given_up = Vec::new();
        for (idx, transaction) in self.view.transactions() {
            let Some(first) = transaction.messages.first() else {
                continue;
            };
            if transaction.method != Method::Invite || !is_initial_invite(self.view, idx) {
                continue;
            }
            let status = self.final_status(idx);
            let before = last[self.view.call.message(*first).hop.at()].replace(idx);
            if let Some(before) = before {
                let failed = self.final_status(before).is_some_and(|status| class(status) == 5);
                // Of attempts side by side (forks, loops) the one that went on is kept.
                if failed && status.is_none_or(|status| class(status) != 5) {
                    given_up.push(before);
                }
            }
        }
        given_up
    }

    /// See `retried`; looked for by hop, sender and verb.
    fn retried(&self) -> Vec<Idx<Transaction>> {
        let mut last: BTreeMap<(Idx<Hop>, Idx<Participant>, Verb), Idx<Transaction>> = BTreeMap::new();
        let mut retried = Vec::new();
        for (idx, transaction) in self.view.transactions() {
            let Some(verb) = self.verbs[idx.at()].filter(|verb| !verb.is_basic() && verb.acknowledges().is_none())
            else {
                continue;
            };
            let Some(request) = transaction.request.map(|no| self.view.call.message(no)) else {
                continue;
            };
            if let Some(before) = last.insert((request.hop, request.from, verb), idx)
                && self.final_status(before).is_some_and(|status| status >= 300)
            {
                retried.push(before);
            }
        }
        retried.sort_unstable();
        retried
    }

    fn is_retried(&self, no: MessageNo) -> bool {
        !self.retried.is_empty()
            && self.view.call.message(no).transaction.is_some_and(|idx| self.retried.binary_search(&idx).is_ok())
    }

    fn final_status(&self, idx: Idx<Transaction>) -> Option<u16> {
        self.view.sip(self.view.call.transaction(idx).final_response?).status()
    }

    fn strands(&self, by_hop: &[Hearing], unreadable: &[bool]) -> Vec<Strand> {
        let opens = |(token, _): &Heard| self.kind.opens(token.verb) || token.verb == Verb::AckFailure;
        let mut carries: SmallVec<[bool; 8]> = by_hop.iter().map(|tokens| tokens.iter().any(opens)).collect();
        if !carries.contains(&true) {
            carries = by_hop.iter().map(|tokens| !tokens.is_empty()).collect();
        }
        let shortcut = self.shortcut(by_hop, &carries);
        (0..by_hop.len())
            .filter(|hop| carries[*hop] && !self.lost_fork(&by_hop[*hop]))
            .take(HOPS)
            .map(|hop| {
                let mut strand = self.strand(Idx::new(hop), &by_hop[hop], &shortcut);
                // What a message without CSeq (cut by a snap length) was may be just what seems to be missing.
                strand.blind.down |= unreadable[hop];
                strand.blind.up |= unreadable[hop];
                strand
            })
            .collect()
    }

    /// What went straight between elements that the first request did not connect, because those
    /// between them are not in the route set; a message seen on two such hops once.
    fn shortcut(&self, by_hop: &[Hearing], carries: &[bool]) -> Vec<Heard> {
        let passing = by_hop.iter().zip(carries).filter(|(_, carries)| !**carries).flat_map(|(tokens, _)| tokens);
        let mut lent: Vec<Heard> = passing.filter(|(token, _)| self.kind.is_in_dialog(token.verb)).copied().collect();
        lent.sort_unstable_by_key(|(_, no)| *no);
        let mut known = BTreeSet::new();
        lent.retain(|(token, no)| {
            let message = self.view.sip(*no);
            known.insert((*token, message.cseq_number(), message.from_tag()))
        });
        lent.truncate(TOKENS);
        lent
    }

    /// A further final response to the same request: that of another fork, or the same one worded anew.
    fn repeats_final(&self, no: MessageNo) -> bool {
        let Some(idx) = self.view.call.message(no).transaction else {
            return false;
        };
        let first = self.view.call.transaction(idx).final_response;
        let class_of = |no: MessageNo| class(self.view.sip(no).status().unwrap_or(0));
        first.is_some_and(|first| first < no && class_of(no) > 1 && class_of(first) == class_of(no))
    }

    /// A further ACK to the same 2xx: each copy of the 2xx gets one (RFC 3261 13.2.2.4).
    fn repeats_ack(&self, no: MessageNo, acknowledged: &mut Vec<(Acknowledged, Idx<Transaction>)>) -> bool {
        let Some(idx) = self.view.call.message(no).transaction else {
            return false;
        };
        let transaction = self.view.call.transaction(idx);
        let Some(invite) = transaction.invite.filter(|_| transaction.method == Method::Ack) else {
            return false;
        };
        let key = (invite, self.view.call.message(no).hop);
        if let Some((_, first)) = acknowledged.iter().find(|(known, _)| *known == key) {
            return *first != idx;
        }
        if acknowledged.len() < TAGS {
            acknowledged.push((key, idx));
        }
        false
    }

    /// A branch behind the first hop that failed while the call was answered elsewhere.
    fn lost_fork(&self, tokens: &[Heard]) -> bool {
        let answered = matches!(self.view.call.outcome, Outcome::Answered | Outcome::Active);
        let Some((_, no)) = tokens.first() else {
            return false;
        };
        let hop = self.view.call.hops[self.view.call.message(*no).hop.at()];
        let finals = || tokens.iter().filter(|(token, _)| token.verb == Verb::Invite && token.status >= 200);
        // The answer to a cancelled branch may be missing from the capture.
        let ended = finals().count() > 0 || tokens.iter().any(|(token, _)| token.verb == Verb::Cancel);
        answered && !hop.first && ended && finals().all(|(token, _)| class(token.status) == 5)
    }

    fn token(&self, no: MessageNo) -> Option<Token> {
        let message = self.view.sip(no);
        let idx = self.view.call.message(no).transaction?;
        let verb = match self.verbs.get(idx.at()).copied().flatten()? {
            Verb::Invite if message.is_request() && message.method() == Method::Ack => Verb::AckFailure,
            Verb::Reinvite if message.is_request() && message.method() == Method::Ack => Verb::AckReinvite,
            Verb::Refresh if message.is_request() && message.method() == Method::Ack => Verb::AckRefresh,
            verb => verb,
        };
        let transaction = self.view.call.transaction(idx);
        let status = message.status().unwrap_or(0);
        let down = self.request_goes_down(no, verb) == message.is_request();
        let contact = match verb {
            Verb::Register if !message.is_request() => Contact::Some,
            Verb::Register if removes_contacts(message) => Contact::Removal,
            Verb::Register if !message.has(Has::CONTACT) && !message.has(Has::CUT) => Contact::None,
            _ => Contact::Some,
        };
        let is_request = message.is_request();
        let may_have_credentials = matches!(verb, Verb::Invite | Verb::Register) || !verb.is_basic();
        Some(Token {
            verb,
            status,
            down,
            credentials: is_request && may_have_credentials && has_credentials(message),
            contact,
            answers: false,
            late: (1..200).contains(&status) && transaction.final_response.is_some_and(|answer| answer < no),
        })
    }

    /// Whether the request of this message's transaction goes from the caller's side to the callee's.
    fn request_goes_down(&self, no: MessageNo, verb: Verb) -> bool {
        if matches!(verb, Verb::Invite | Verb::AckFailure | Verb::Cancel | Verb::Register) {
            return true;
        }
        let message = self.view.sip(no);
        if self.caller_tags.contains(&message.from_tag()) {
            return true;
        }
        if self.caller_tags.contains(&message.to_tag()) {
            return false;
        }
        let call_message = self.view.call.message(no);
        let hop = self.view.call.hops[call_message.hop.at()];
        (call_message.from == hop.upstream) == message.is_request()
    }

    fn strand(&self, hop: Idx<Hop>, own: &[Heard], shortcut: &[Heard]) -> Strand {
        let sees_dialog = own.iter().any(|(token, _)| self.kind.is_in_dialog(token.verb));
        let lends = !sees_dialog && own.iter().any(|(token, _)| token.verb == Verb::Invite);
        let mut all = Cow::Borrowed(own);
        if lends && !shortcut.is_empty() {
            let all = all.to_mut();
            all.extend_from_slice(shortcut);
            all.sort_by_key(|(_, no)| *no);
        }
        let shortcut = shortcut.first().filter(|_| lends).map(|(_, no)| self.view.call.message(*no).hop);
        let mut strand = Strand {
            hop,
            tokens: Vec::with_capacity(all.len().min(TOKENS)),
            numbers: Vec::with_capacity(all.len().min(TOKENS)),
            folded: Vec::new(),
            blind: self.blind(hop, own, sees_dialog || shortcut.is_some()),
            shortcut,
        };
        let mut before: Option<Heard> = None;
        for (token, no) in all.iter().copied() {
            if strand.tokens.len() < TOKENS {
                let answers = before.is_some_and(|(request, asked)| {
                    let of = |no: MessageNo| self.view.call.message(no).transaction;
                    request.status == 0 && token.status > 0 && of(asked) == of(no)
                });
                strand.push(Token { answers, ..token }, no);
            }
            before = Some((token, no));
        }
        strand
    }

    fn blind(&self, hop: Idx<Hop>, own: &[Heard], sees_dialog: bool) -> Blind {
        let of = self.view.call.hops[hop.at()];
        let ip =
            |at: Idx<Participant>| self.view.call.participants[at.at()].addresses.first().map(|address| address.ip);
        let (Some(up), Some(down)) = (ip(of.upstream), ip(of.downstream)) else {
            return Blind::default();
        };
        // What this call shows need not be asked of the whole capture.
        let shown = |src: IpAddr, dst: IpAddr| {
            let mut ways = own.iter().map(|(_, no)| self.view.seen(*no).connection);
            ways.any(|way| way.src.ip == src && way.dst.ip == dst)
        };
        Blind {
            down: !shown(up, down) && is_unseen(self.view, up, down),
            up: !shown(down, up) && is_unseen(self.view, down, up),
            dialog: !sees_dialog && !self.is_in_route_set(hop),
        }
    }

    /// Whether the requests of the dialog pass this hop: each of its ends is a user agent or named in
    /// the Record-Route of the 2xx (RFC 3261 12.1, 16.6 item 4). Without a 2xx nothing speaks against it.
    fn is_in_route_set(&self, idx: Idx<Hop>) -> bool {
        let hop = self.view.call.hops[idx.at()];
        let on_hop = |no: &MessageNo| self.view.call.message(*no).hop == idx;
        let answer = self.view.call.transactions.iter().filter(|t| t.method == Method::Invite).find_map(|t| {
            let answer = t.final_response.filter(on_hop)?;
            let message = self.view.sip(answer);
            message.status().is_some_and(|status| status < 300).then_some(message)
        });
        let Some(answer) = answer else { return true };
        let routes: Vec<String> =
            answer.record_routes().map(|route| String::from_utf8_lossy(route.uri).into_owned()).take(TAGS).collect();
        let by_name = routes.iter().any(|uri| !names_an_address(uri));
        let names = |at: Idx<Participant>| {
            let addresses = &self.view.call.participants[at.at()].addresses;
            by_name || addresses.iter().any(|address| routes.iter().any(|uri| uri.contains(&address.ip.to_string())))
        };
        if routes.is_empty() {
            return hop.first && hop.last;
        }
        (hop.first || names(hop.upstream)) && (hop.last || names(hop.downstream))
    }
}

/// Whether the host of a URI is an IP address.
fn names_an_address(uri: &str) -> bool {
    let host = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host.starts_with('[') || host.split(['.', ':', ';', '?']).take(4).all(|part| part.parse::<u8>().is_ok())
}

impl Strand {
    /// Adds a token. When the last exchange repeats the two before it, it is read like them: a client
    /// in a loop costs no more than one that tried three times.
    fn push(&mut self, token: Token, no: MessageNo) {
        self.tokens.push(token);
        self.numbers.push(no);
        let len = self.tokens.len();
        for period in 2..=PERIOD.min(len / 3) {
            let (one, two, three) = (len - 3 * period, len - 2 * period, len - period);
            if self.tokens[one..two] == self.tokens[two..three] && self.tokens[two..three] == self.tokens[three..] {
                let repeated = self.numbers.drain(three..).enumerate();
                self.folded.extend(repeated.map(|(at, no)| (no, (two + at) as u32)));
                self.tokens.truncate(three);
                return;
            }
        }
    }
}

/// The tags by which the caller's side of this call is known.
fn caller_tags(view: CallView<'_>, kind: FlowKind) -> Vec<&[u8]> {
    let mut tags: Vec<&[u8]> = Vec::new();
    for (_, transaction) in view.transactions().filter(|(_, t)| t.method == Method::Invite) {
        let Some(request) = transaction.request.map(|no| view.sip(no)) else {
            continue;
        };
        if request.to_tag().is_empty()
            && !request.from_tag().is_empty()
            && !tags.contains(&request.from_tag())
            && tags.len() < TAGS
        {
            tags.push(request.from_tag());
        }
    }
    let opens = |t: &Transaction| Verb::of(t.method).is_some_and(|verb| kind.opens(verb));
    // Who is who in a subscription of which only NOTIFYs were captured, their senders tell.
    if tags.is_empty() && (kind == FlowKind::Call || view.call.transactions.iter().any(opens)) {
        tags.extend(
            view.call.dialogs.iter().take(TAGS).map(|dialog| &dialog.caller_tag[..]).filter(|tag| !tag.is_empty()),
        );
    }
    tags
}

/// The realms that a request has credentials for.
pub(super) fn realms(message: &Message) -> Vec<&[u8]> {
    message.credentials().map(|credentials| credentials.realm).take(8).collect()
}
