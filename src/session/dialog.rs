//! Dialogs by RFC 3261 12: Call-ID and both tags; forks apart.

use super::seen::{MessageNo, Seen};
use super::transaction::{Transaction, Transactions};
use crate::base::Idx;
use crate::sip::{HeaderName, Message, Method};
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Where a dialog stands at the end of the capture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DialogState {
    /// 101-199 with a To tag, no final response in it.
    Early,
    /// A 2xx was seen, or in-dialog traffic shows that there was one.
    Confirmed,
    /// Ended by BYE, by a failure response to its INVITE, or by a terminating NOTIFY.
    Terminated,
}

/// A peer-to-peer relation of two user agents (RFC 3261 12), however many hops show it.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: Bytes,
    /// Tag of the side that sent the request which created it.
    pub caller_tag: Bytes,
    /// Tag of the other side.
    pub callee_tag: Bytes,
    /// Where it stands.
    pub state: DialogState,
    /// Transactions that created it (the INVITE or SUBSCRIBE, one per hop); empty when not captured.
    pub created_by: Vec<Idx<Transaction>>,
    /// The first message that shows the dialog confirmed: the 2xx, else whatever proves it.
    pub confirmed: Option<MessageNo>,
    /// First ACK to the 2xx that created it, on any hop.
    pub ack: Option<MessageNo>,
    /// Requests within the dialog, on any hop, in order; the ACKs to 2xx among them.
    pub transactions: Vec<Idx<Transaction>>,
    /// The first BYE.
    pub bye: Option<Idx<Transaction>>,
}

/// Hops of one path that are kept as creators of a dialog; Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
const HOPS: usize = 70;

type Key<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Finds the dialogs of one call. The tags are compared as an unordered pair: requests of the callee
/// carry them the other way round.
pub fn find_dialogs(messages: &[&Seen], found: &Transactions) -> Vec<Dialog> {
    let mut finder =
        Finder { messages, found, by_key: HashMap::default(), by_creator: HashMap::default(), dialogs: Vec::new() };
    for no in 0..messages.len() {
        if found.copies[no].is_none() {
            finder.place(MessageNo::new(no));
        }
    }
    finder.dialogs
}

struct Finder<'a> {
    messages: &'a [&'a Seen],
    found: &'a Transactions,
    by_key: HashMap<Key<'a>, usize, RandomState>,
    /// Dialogs that responses of a transaction set up.
    by_creator: HashMap<Idx<Transaction>, Vec<usize>, RandomState>,
    dialogs: Vec<Dialog>,
}

impl Finder<'_> {
    fn place(&mut self, no: MessageNo) {
        let message = &self.messages[no.at()].message;
        let Some(at) = self.found.of_message[no.at()] else {
            return;
        };
        let transaction = &self.found.all[at.at()];
        if message.from_tag().is_empty() || message.method() == Method::Cancel {
            return;
        }
        match message.status() {
            None if !message.to_tag().is_empty() => self.request(no, at, transaction),
            Some(101..300) if !message.to_tag().is_empty() => self.success(no, at, transaction),
            Some(300..) if transaction.method == Method::Invite => self.failure(at),
            _ => {}
        }
    }

    /// A request with a To tag is within a dialog (12.2), but for the ACK to a failure.
    fn request(&mut self, no: MessageNo, at: Idx<Transaction>, transaction: &Transaction) {
        let message = &self.messages[no.at()].message;
        // The ACK to a failure has a To tag but no dialog, even when its branch is wrong (17.1.1.3).
        let acknowledges_failure = || {
            let invite = &self.found.all[transaction.invite?.at()];
            self.messages[invite.final_response?.at()].message.status()
        };
        if message.method() == Method::Ack
            && (transaction.method == Method::Invite || acknowledges_failure() >= Some(300))
        {
            return;
        }
        let dialog = self.entry(no, message.method() == Method::Notify);
        if dialog.transactions.last() != Some(&at) && !dialog.created_by.contains(&at) {
            dialog.transactions.push(at);
        }
        match message.method() {
            Method::Bye => {
                dialog.bye.get_or_insert(at);
                dialog.state = DialogState::Terminated;
            }
            Method::Ack => {
                // An ACK to a 2xx proves the 2xx.
                dialog.confirmed.get_or_insert(no);
                dialog.state = dialog.state.max(DialogState::Confirmed);
                if dialog.ack.is_none() && transaction.invite.is_none_or(|i| dialog.created_by.contains(&i)) {
                    dialog.ack = Some(no);
                }
            }
            Method::Notify if terminating(message) => dialog.state = DialogState::Terminated,
            // Within early dialogs only PRACK and UPDATE are sent (RFC 3262, RFC 3311).
            Method::Prack | Method::Update => {}
            _ => {
                dialog.confirmed.get_or_insert(no);
                dialog.state = dialog.state.max(DialogState::Confirmed);
            }
        }
    }

    fn success(&mut self, no: MessageNo, at: Idx<Transaction>, transaction: &Transaction) {
        let message = &self.messages[no.at()].message;
        let creates = matches!(transaction.method, Method::Invite | Method::Subscribe);
        let known = self.by_key.contains_key(&key(message));
        if !creates && !known {
            return;
        }
        let initial = transaction.request.is_none_or(|request| self.messages[request.at()].message.to_tag().is_empty());
        let dialog = self.entry(no, false);
        if creates && initial && dialog.created_by.len() < HOPS && !dialog.created_by.contains(&at) {
            dialog.created_by.push(at);
        }
        if creates && message.status().is_some_and(|status| status >= 200) {
            dialog.confirmed.get_or_insert(no);
            dialog.state = dialog.state.max(DialogState::Confirmed);
        }
        let dialog = self.by_key[&key(message)];
        let created = self.by_creator.entry(at).or_default();
        if created.last() != Some(&dialog) {
            created.push(dialog);
        }
    }

    /// A failure ends the early dialogs of its INVITE (12.3).
    fn failure(&mut self, at: Idx<Transaction>) {
        for dialog in self.by_creator.remove(&at).unwrap_or_default() {
            if self.dialogs[dialog].state == DialogState::Early {
                self.dialogs[dialog].state = DialogState::Terminated;
            }
        }
    }

    fn entry(&mut self, no: MessageNo, from_callee: bool) -> &mut Dialog {
        let message = &self.messages[no.at()].message;
        let at = *self.by_key.entry(key(message)).or_insert(self.dialogs.len());
        if at == self.dialogs.len() {
            let share = |part: &[u8]| message.raw().slice_ref(part);
            let (caller, callee) = if from_callee {
                (message.to_tag(), message.from_tag())
            } else {
                (message.from_tag(), message.to_tag())
            };
            self.dialogs.push(Dialog {
                call_id: share(message.call_id()),
                caller_tag: share(caller),
                callee_tag: share(callee),
                state: DialogState::Early,
                created_by: Vec::new(),
                confirmed: None,
                ack: None,
                transactions: Vec::new(),
                bye: None,
            });
        }
        &mut self.dialogs[at]
    }
}

fn key(message: &Message) -> Key<'_> {
    let (from, to) = (message.from_tag(), message.to_tag());
    (message.call_id(), from.min(to), from.max(to))
}

/// RFC 6665 4.1.3: a NOTIFY with this state ends the subscription.
fn terminating(message: &Message) -> bool {
    message
        .header(HeaderName::SubscriptionState)
        .is_some_and(|value| value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"terminated")))
}
