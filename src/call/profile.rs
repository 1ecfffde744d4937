//! What the messages of a call say of its participants: software, addresses, behaviour.

use super::{Call, CallMessage, Kind, Participant, Role};
use crate::base::{Endpoint, Idx};
use crate::session::{Seen, Transaction};
use crate::sip::{HeaderName, Message, Method};
use std::borrow::Cow;
use std::fmt;

/// What is known of a participant, and from what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile<'a> {
    /// User-Agent of its own requests, or Server of its own responses.
    pub user_agent: Option<Cow<'a, str>>,
    /// Of a proxy: whether it puts itself on the route of the dialog (RFC 3261 16.6 item 4).
    pub records_route: Option<bool>,
    /// What it was seen to do and to say of itself.
    pub evidence: Vec<Clause<'a>>,
}

/// Something that shows what a participant is; displayed as a short clause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clause<'a> {
    /// It has several addresses.
    IsAt(&'a [Endpoint]),
    /// It passed a request of this method on.
    PassedOn(Cow<'a, str>),
    /// It passed an INVITE on with its own Record-Route, or without.
    RecordsRoute(bool),
    /// It began a request.
    Sent {
        /// Of this method.
        method: Cow<'a, str>,
        /// `sent-by` of its Via.
        via: Cow<'a, str>,
    },
    /// It answered by itself.
    Answered {
        /// A request of this method.
        method: Cow<'a, str>,
        /// With this status.
        status: u16,
    },
    /// The URI where it wants to be reached.
    Contact(Cow<'a, str>),
    /// It is between two legs.
    JoinsLegs,
}

/// A part of a clause.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Words of ours: visible ASCII without quotes.
    Ours(&'static str),
    /// What a message said, whatever that is.
    Theirs(&'a str),
}

impl Clause<'_> {
    /// Tells the clause piece by piece: there are several in each call, and formatting costs as much again.
    pub fn tell(&self, mut piece: impl FnMut(Piece<'_>)) {
        use Piece::{Ours, Theirs};
        match self {
            Self::IsAt(addresses) => {
                for (at, address) in addresses.iter().take(ADDRESSES).enumerate() {
                    piece(Ours(if at == 0 { "is at " } else { " and " }));
                    piece(Theirs(address.text().as_str()));
                }
                if let more @ 1.. = addresses.len().saturating_sub(ADDRESSES) {
                    piece(Theirs(&format!(" and {more} more")));
                }
            }
            Self::PassedOn(method) => {
                piece(Ours("passed on "));
                piece(Theirs(method));
            }
            Self::RecordsRoute(true) => piece(Ours("put itself on the route (Record-Route)")),
            Self::RecordsRoute(false) => piece(Ours("did not Record-Route")),
            Self::Sent { method, via } => {
                piece(Ours("sent "));
                piece(Theirs(method));
                piece(Ours(" of its own, Via "));
                piece(Theirs(via));
            }
            Self::Answered { method, status } => {
                piece(Ours("answered "));
                piece(Theirs(method));
                piece(Ours(" with "));
                piece(Theirs(itoa::Buffer::new().format(*status)));
            }
            Self::Contact(uri) => {
                piece(Ours("Contact "));
                piece(Theirs(uri));
            }
            Self::JoinsLegs => piece(Ours("ended one leg and opened another")),
        }
    }
}

impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Ok(());
        self.tell(|piece| {
            let (Piece::Ours(words) | Piece::Theirs(words)) = piece;
            written = written.and_then(|()| f.write_str(words));
        });
        written
    }
}

/// Longest piece of a header that is kept.
const KEPT: usize = 120;
/// Clauses that are kept of one participant.
const CLAUSES: usize = 12;
/// Addresses of a participant that are told.
const ADDRESSES: usize = 4;

/// One for each participant of `call`.
pub fn profiles<'a>(call: &'a Call, seen: &'a [Seen]) -> Vec<Profile<'a>> {
    let mut profiler = Profiler { call, seen, profiles: vec![Profile::default(); call.participants.len()] };
    for (at, who) in call.participants.iter().enumerate() {
        profiler.several_addresses(Idx::new(at), who);
    }
    let mut forwarded = vec![false; call.transactions.len()];
    for up in call.transactions.iter().filter_map(|t| t.upstream) {
        forwarded[up.at()] = true;
    }
    for (transaction, forwarded) in call.transactions.iter().zip(forwarded) {
        profiler.request(transaction);
        profiler.responses(transaction, forwarded);
    }
    profiler.legs();
    profiler.profiles
}

struct Profiler<'a> {
    call: &'a Call,
    seen: &'a [Seen],
    profiles: Vec<Profile<'a>>,
}

impl<'a> Profiler<'a> {
    fn message(&self, place: &CallMessage) -> &'a Message {
        &self.seen[place.seen.at()].message
    }

    fn say(&mut self, who: Idx<Participant>, clause: Clause<'a>) {
        let evidence = &mut self.profiles[who.at()].evidence;
        if evidence.len() < CLAUSES && !evidence.contains(&clause) {
            evidence.push(clause);
        }
    }

    fn several_addresses(&mut self, who: Idx<Participant>, participant: &'a Participant) {
        if participant.addresses.len() > 1 {
            self.say(who, Clause::IsAt(&participant.addresses));
        }
    }

    /// Whoever sent a request began it, or passed it on.
    fn request(&mut self, transaction: &Transaction) {
        let Some(place) = transaction.request.map(|no| self.call.message(no)) else {
            return;
        };
        let (message, by) = (self.message(place), place.from);
        let method = message.method_name();
        if let Some(upstream) = transaction.upstream {
            self.say(by, Clause::PassedOn(method));
            let received = self.call.transaction(upstream).request.map(|no| self.message(self.call.message(no)));
            if let Some(received) = received.filter(|_| is_initial_invite(message)) {
                let records = message.record_routes().count() > received.record_routes().count();
                self.profiles[by.at()].records_route = Some(records);
                self.say(by, Clause::RecordsRoute(records));
            }
            return;
        }
        if message.via_count() > 1 || matches!(transaction.method, Method::Ack | Method::Cancel) {
            return;
        }
        self.say(by, Clause::Sent { method, via: kept(message.sent_by()) });
        self.software(by, message, HeaderName::UserAgent);
        self.contact(by, message);
    }

    /// Responses are the server's own where nothing was passed on; 100 always is (RFC 3261 16.2).
    fn responses(&mut self, transaction: &Transaction, forwarded: bool) {
        let told = transaction.provisional.into_iter().chain(transaction.final_response);
        for place in told.map(|no| self.call.message(no)) {
            let message = self.message(place);
            let Some(status) = message.status() else {
                continue;
            };
            let by = place.from;
            let behind_another =
                self.call.participants[by.at()].role == Role::Proxy && message.record_routes().next().is_some();
            if status != 100 && (forwarded || (behind_another && !matches!(status, 401 | 407))) {
                continue;
            }
            if status != 100 {
                self.say(by, Clause::Answered { method: message.method_name(), status });
            }
            // Those of a redirection are other places (RFC 3261 8.1.3.4).
            if matches!(status, 101..300) {
                self.contact(by, message);
            }
            self.software(by, message, HeaderName::Server);
            self.software(by, message, HeaderName::UserAgent);
        }
    }

    fn software(&mut self, who: Idx<Participant>, message: &'a Message, header: HeaderName) {
        let known = &mut self.profiles[who.at()].user_agent;
        if known.is_none() {
            *known = message.header(header).filter(|value| !value.is_empty()).map(kept);
        }
    }

    fn contact(&mut self, who: Idx<Participant>, message: &'a Message) {
        if self.call.kind == Kind::Registration && !message.is_request() {
            // The bindings of others.
            return;
        }
        if let Some(contact) = message.contacts().next() {
            self.say(who, Clause::Contact(kept(contact.uri)));
        }
    }

    fn legs(&mut self) {
        if self.call.legs.is_empty() {
            return;
        }
        for at in 0..self.call.participants.len() {
            if self.call.participants[at].role == Role::B2bua {
                self.say(Idx::new(at), Clause::JoinsLegs);
            }
        }
    }
}

fn is_initial_invite(message: &Message) -> bool {
    message.method() == Method::Invite && message.to_tag().is_empty()
}

/// As much of a value as is kept; bytes that are no UTF-8 become U+FFFD.
fn kept(value: &[u8]) -> Cow<'_, str> {
    let value = value.get(..KEPT).unwrap_or(value);
    std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}
