//! What the messages of a call say of its participants: software, addresses, behaviour.

use super::{Call, CallMessage, Kind, Participant, Role};
use crate::base::Idx;
use crate::session::{Seen, Transaction};
use crate::sip::{HeaderName, Message, Method};
use std::fmt::Write as _;

/// What is known of a participant, and from what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// User-Agent of its own requests, or Server of its own responses.
    pub user_agent: Option<String>,
    /// Of a proxy: whether it puts itself on the route of the dialog (RFC 3261 16.6 item 4).
    pub records_route: Option<bool>,
    /// What it was seen to do and to say of itself, in short clauses.
    pub evidence: Vec<String>,
}

/// Longest piece of a header that is kept.
const KEPT: usize = 120;
/// Clauses that are kept of one participant.
const CLAUSES: usize = 12;

/// One for each participant of `call`.
pub fn profiles(call: &Call, seen: &[Seen]) -> Vec<Profile> {
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
    profiles: Vec<Profile>,
}

impl<'a> Profiler<'a> {
    fn message(&self, place: &CallMessage) -> &'a Message {
        &self.seen[place.seen.at()].message
    }

    fn say(&mut self, who: Idx<Participant>, clause: String) {
        let evidence = &mut self.profiles[who.at()].evidence;
        if evidence.len() < CLAUSES && !evidence.contains(&clause) {
            evidence.push(clause);
        }
    }

    fn several_addresses(&mut self, who: Idx<Participant>, participant: &Participant) {
        if let [first, others @ ..] = participant.addresses.as_slice()
            && !others.is_empty()
        {
            let mut clause = format!("is at {first}");
            for other in others.iter().take(3) {
                let _ = write!(clause, " and {other}");
            }
            let more = others.len().saturating_sub(3);
            if more > 0 {
                let _ = write!(clause, " and {more} more");
            }
            self.say(who, clause);
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
            self.say(by, format!("passed on {method}"));
            let received = self.call.transaction(upstream).request.map(|no| self.message(self.call.message(no)));
            if let Some(received) = received.filter(|_| is_initial_invite(message)) {
                let records = message.record_routes().count() > received.record_routes().count();
                self.profiles[by.at()].records_route = Some(records);
                let clause = if records { "put itself on the route (Record-Route)" } else { "did not Record-Route" };
                self.say(by, clause.to_owned());
            }
            return;
        }
        if message.via_count() > 1 || matches!(transaction.method, Method::Ack | Method::Cancel) {
            return;
        }
        self.say(by, format!("sent {method} of its own, Via {}", kept(message.sent_by())));
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
                message.record_routes().count() > 0 && self.call.participants[by.at()].role == Role::Proxy;
            if status != 100 && (forwarded || (behind_another && !matches!(status, 401 | 407))) {
                continue;
            }
            if status != 100 {
                self.say(by, format!("answered {} with {status}", message.method_name()));
            }
            // Those of a redirection are other places (RFC 3261 8.1.3.4).
            if matches!(status, 101..300) {
                self.contact(by, message);
            }
            self.software(by, message, HeaderName::Server);
            self.software(by, message, HeaderName::UserAgent);
        }
    }

    fn software(&mut self, who: Idx<Participant>, message: &Message, header: HeaderName) {
        let known = &mut self.profiles[who.at()].user_agent;
        if known.is_none() {
            *known = message.header(header).filter(|value| !value.is_empty()).map(kept);
        }
    }

    fn contact(&mut self, who: Idx<Participant>, message: &Message) {
        if self.call.kind == Kind::Registration && !message.is_request() {
            // The bindings of others.
            return;
        }
        if let Some(contact) = message.contacts().next() {
            self.say(who, format!("Contact {}", kept(contact.uri)));
        }
    }

    fn legs(&mut self) {
        if self.call.legs.is_empty() {
            return;
        }
        for at in 0..self.call.participants.len() {
            if self.call.participants[at].role == Role::B2bua {
                self.say(Idx::new(at), "ended one leg and opened another".to_owned());
            }
        }
    }
}

fn is_initial_invite(message: &Message) -> bool {
    message.method() == Method::Invite && message.to_tag().is_empty()
}

fn kept(value: &[u8]) -> String {
    String::from_utf8_lossy(value.get(..KEPT).unwrap_or(value)).into_owned()
}
