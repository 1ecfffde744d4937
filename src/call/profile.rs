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
    pub user_agent: Option<Said<'a>>,
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
        via: Said<'a>,
    },
    /// It answered by itself.
    Answered {
        /// A request of this method.
        method: Cow<'a, str>,
        /// With this status.
        status: u16,
    },
    /// The URI where it wants to be reached.
    Contact(Said<'a>),
    /// It is between two legs.
    JoinsLegs,
}

/// The beginning of what a header of a message says.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a>(&'a [u8]);

impl<'a> Said<'a> {
    /// As much of `value` as is kept.
    fn of(value: &'a [u8]) -> Self {
        Self(value.get(..KEPT).unwrap_or(value))
    }

    /// As it was sent.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// As it is told; bytes that are no UTF-8 become U+FFFD.
    pub fn text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

/// Equal is what is told the same.
impl PartialEq for Said<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (!self.0.is_ascii() && self.text() == other.text())
    }
}

impl Eq for Said<'_> {}

/// A part of a clause.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Words of ours: visible ASCII without quotes.
    Ours(&'static str),
    /// What a message said, whatever that is; bytes that are no UTF-8 are told as U+FFFD.
    Theirs(&'a [u8]),
}

impl Clause<'_> {
    /// Tells the clause piece by piece: there are several in each call, and formatting costs as much again.
    pub fn tell(&self, mut piece: impl FnMut(Piece<'_>)) {
        use Piece::{Ours, Theirs};
        match self {
            Self::IsAt(addresses) => {
                for (at, address) in addresses.iter().take(ADDRESSES).enumerate() {
                    piece(Ours(if at == 0 { "is at " } else { " and " }));
                    piece(Theirs(address.text().as_bytes()));
                }
                if let more @ 1.. = addresses.len().saturating_sub(ADDRESSES) {
                    piece(Theirs(format!(" and {more} more").as_bytes()));
                }
            }
            Self::PassedOn(method) => {
                piece(Ours("passed on "));
                piece(Theirs(method.as_bytes()));
            }
            Self::RecordsRoute(true) => piece(Ours("put itself on the route (Record-Route)")),
            Self::RecordsRoute(false) => piece(Ours("did not Record-Route")),
            Self::Sent { method, via } => {
                piece(Ours("sent "));
                piece(Theirs(method.as_bytes()));
                piece(Ours(" of its own, Via "));
                piece(Theirs(via.bytes()));
            }
            Self::Answered { method, status } => {
                piece(Ours("answered "));
                piece(Theirs(method.as_bytes()));
                piece(Ours(" with "));
                piece(Theirs(itoa::Buffer::new().format(*status).as_bytes()));
            }
            Self::Contact(uri) => {
                piece(Ours("Contact "));
                piece(Theirs(uri.bytes()));
            }
            Self::JoinsLegs => piece(Ours("ended one leg and opened another")),
        }
    }
}

impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Ok(());
        self.tell(|piece| {
            let words = match piece {
                Piece::Ours(words) => Cow::Borrowed(words),
                Piece::Theirs(words) => String::from_utf8_lossy(words),
            };
            written = written.and_then(|()| f.write_str(&words));
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
        self.say(by, Clause::Sent { method, via: Said::of(message.sent_by()) });
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
            *known = message.header(header).filter(|value| !value.is_empty()).map(Said::of);
        }
    }

    fn contact(&mut self, who: Idx<Participant>, message: &'a Message) {
        if self.call.kind == Kind::Registration && !message.is_request() {
            // The bindings of others.
            return;
        }
        if let Some(contact) = message.contacts().next() {
            self.say(who, Clause::Contact(Said::of(contact.uri)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_what_is_told_the_same() {
        assert_eq!(Said::of(b"sip:\xff"), Said::of(b"sip:\xfe"));
        assert_ne!(Said::of(b"sip:a"), Said::of(b"sip:b"));
        assert_ne!(Said::of(b"sip:a"), Said::of(b"sip:\xff"));
        assert_eq!(Said::of(&[b'a'; KEPT + 1]), Said::of(&[b'a'; KEPT]));
    }

    #[test]
    fn clauses_are_short_sentences() {
        let address = |port| Endpoint { ip: std::net::Ipv4Addr::LOCALHOST.into(), port };
        let many = [1, 2, 3, 4, 5, 6].map(address);
        let told = |count: usize| Clause::IsAt(&many[..count]).to_string();
        assert_eq!(told(2), "is at 127.0.0.1:1 and 127.0.0.1:2");
        assert_eq!(told(6), "is at 127.0.0.1:1 and 127.0.0.1:2 and 127.0.0.1:3 and 127.0.0.1:4 and 2 more");
        let method = Cow::Borrowed("INVITE");
        let sent = Clause::Sent { method: method.clone(), via: Said::of(b"192.0.2.1\xff") };
        assert_eq!(sent.to_string(), "sent INVITE of its own, Via 192.0.2.1\u{fffd}");
        assert_eq!(Clause::Answered { method, status: 486 }.to_string(), "answered INVITE with 486");
    }
}
