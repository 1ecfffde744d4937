//! Dialogs by RFC 3261 12: Call-ID and both tags; forks apart.

use super::few::FewMap;
use super::seen::{MessageNo, Seen};
use super::transaction::{Transaction, Transactions};
use super::usage::Usages;
use crate::base::Idx;
use crate::sip::{HeaderName, Message, Method, SubscriptionState};
use bytes::Bytes;
use smallvec::SmallVec;

/// Where a dialog stands at the end of the capture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DialogState {
    /// 101-199 with a To tag, no final response in it.
    Early,
    /// A 2xx was seen, or in-dialog traffic shows that there was one.
    Confirmed,
    /// All that it was used for has ended: a call by BYE or by a failure response to its INVITE, a
    /// subscription by a NOTIFY that says so (RFC 5057 3).
    Terminated,
}

/// One of the two ends of a dialog.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Sent the request which created the dialog.
    Caller,
    /// Received it.
    Callee,
}

/// A Contact that became the remote target of the other side (RFC 3261 12.1, 12.2.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Whose address it is.
    pub of: Side,
    /// The message with the Contact.
    pub set_by: MessageNo,
    /// The response from which on it counts; the same message when that has the Contact.
    pub since: MessageNo,
}

/// CSeq numbers that one side used in a dialog, ACK and CANCEL left out (RFC 3261 12.2.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// Of its first request in the capture.
    pub first: u32,
    /// The highest.
    pub highest: u32,
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
    /// The first message that has its tags; a list of dialogs ascends by it.
    pub began: MessageNo,
    /// Where it stands.
    pub state: DialogState,
    /// Transactions that created it (the INVITE or SUBSCRIBE, one per hop); empty when not captured.
    pub created_by: SmallVec<[Idx<Transaction>; 4]>,
    /// The first message that shows the dialog confirmed: the 2xx, else whatever proves it.
    pub confirmed: Option<MessageNo>,
    /// First ACK to the 2xx that created it, on any hop.
    pub ack: Option<MessageNo>,
    /// Requests within the dialog, on any hop, in order; the ACKs to 2xx among them.
    pub transactions: SmallVec<[Idx<Transaction>; 4]>,
    /// The first NOTIFY.
    pub notified: Option<MessageNo>,
    /// The first BYE.
    pub bye: Option<Idx<Transaction>>,
    /// The first 2xx to the INVITE or SUBSCRIBE that created it; after a fork each of the several 2xx has
    /// a dialog, and of an INVITE is owed an ACK and a BYE in it (RFC 3261 13.2.2.4).
    pub answer: Option<MessageNo>,
    /// The failure response that ended it before any 2xx (RFC 3261 12.3).
    pub refused: Option<MessageNo>,
    /// The response that gave it its route set: its Record-Route values, which the caller uses from last
    /// to first and the callee from first to last (RFC 3261 12.1). The 2xx counts where there is one (13.2.2.4).
    pub route: Option<MessageNo>,
    /// Remote targets, each time one changed, in order.
    pub targets: SmallVec<[Target; 2]>,
    /// CSeq numbers of the caller, of the request that created the dialog on.
    pub caller_numbers: Option<Numbers>,
    /// CSeq numbers of the callee.
    pub callee_numbers: Option<Numbers>,
    /// What it is used for.
    pub usages: Usages,
}

impl Dialog {
    /// The side that sends with this From tag.
    pub fn side(&self, from_tag: &[u8]) -> Side {
        if from_tag == self.caller_tag { Side::Caller } else { Side::Callee }
    }

    /// The message whose Contact requests to `of` were to be sent to when `at` was sent.
    pub fn target(&self, of: Side, at: MessageNo) -> Option<MessageNo> {
        let until = self.targets.partition_point(|target| target.since <= at);
        self.targets[..until].iter().rev().find(|target| target.of == of).map(|target| target.set_by)
    }

    fn count(&mut self, side: Side, cseq: u32) {
        let numbers = match side {
            Side::Caller => &mut self.caller_numbers,
            Side::Callee => &mut self.callee_numbers,
        };
        let numbers = numbers.get_or_insert(Numbers { first: cseq, highest: cseq });
        numbers.highest = numbers.highest.max(cseq);
    }

    fn confirm(&mut self, by: MessageNo) {
        self.confirmed.get_or_insert(by);
        self.settle();
    }

    fn settle(&mut self) {
        self.state = match self.confirmed {
            _ if self.usages.all_ended() => DialogState::Terminated,
            Some(_) => DialogState::Confirmed,
            None => DialogState::Early,
        };
    }
}

/// Hops of one path that are kept as creators of a dialog; Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
const HOPS: usize = 70;

/// Both tags, and the Call-ID, which all messages of a call share.
type Key<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Finds the dialogs of one call. The tags are compared as an unordered pair: requests of the callee
/// carry them the other way round.
pub fn find_dialogs(messages: &[&Seen], found: &Transactions) -> Vec<Dialog> {
    // Nearly all calls have one.
    let dialogs = Vec::with_capacity(1);
    let mut finder = Finder { messages, found, by_key: FewMap::default(), by_creator: FewMap::default(), dialogs };
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
    by_key: FewMap<Key<'a>, usize>,
    /// Dialogs that responses of a transaction set up.
    by_creator: FewMap<Idx<Transaction>, SmallVec<[usize; 2]>>,
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
        if message.status() >= Some(200) && transaction.method == Method::Bye && transaction.request.is_none() {
            return self.unseen_bye(no, at);
        }
        match message.status() {
            None if !message.to_tag().is_empty() => self.request(no, at, transaction),
            Some(101..300) if !message.to_tag().is_empty() => self.success(no, at, transaction),
            Some(300..) => self.failure(no, at, transaction),
            _ => {}
        }
    }

    /// A request with a To tag is within a dialog (12.2), but for the ACK to a failure.
    fn request(&mut self, no: MessageNo, at: Idx<Transaction>, transaction: &Transaction) {
        let messages = self.messages;
        let message = &messages[no.at()].message;
        // The ACK to a failure has a To tag but no dialog, even when its branch is wrong (17.1.1.3).
        let acknowledges_failure = || {
            let invite = &self.found.all[transaction.invite?.at()];
            messages[invite.final_response?.at()].message.status()
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
        if message.method() != Method::Ack {
            dialog.count(dialog.side(message.from_tag()), transaction.cseq);
        }
        match message.method() {
            Method::Bye => {
                dialog.bye.get_or_insert(at);
                dialog.usages.call(no).ended.get_or_insert(no);
                dialog.settle();
            }
            Method::Ack => {
                if dialog.ack.is_none() && transaction.invite.is_none_or(|i| dialog.created_by.contains(&i)) {
                    dialog.ack = Some(no);
                }
                // An ACK to a 2xx proves the 2xx.
                dialog.usages.call(no);
                dialog.confirm(no);
            }
            Method::Notify => {
                dialog.notified.get_or_insert(no);
                notified(dialog, no, message, messages);
                dialog.confirm(no);
            }
            Method::Invite => {
                dialog.usages.call(no);
                dialog.confirm(no);
            }
            // Early dialogs have these too (RFC 3262 4, RFC 3311 5.1, RFC 6086 4.2).
            Method::Prack | Method::Update | Method::Info => {
                dialog.usages.call(no);
                if dialog.created_by.is_empty() && message.method() == Method::Info {
                    dialog.confirm(no);
                }
            }
            _ => dialog.confirm(no),
        }
    }

    /// The answer to a BYE that the capture lacks: there was one.
    fn unseen_bye(&mut self, no: MessageNo, at: Idx<Transaction>) {
        if let Some(dialog) = self.by_key.get(&key(&self.messages[no.at()].message)) {
            let dialog = &mut self.dialogs[*dialog];
            if dialog.transactions.last() != Some(&at) {
                dialog.transactions.push(at);
            }
            dialog.bye.get_or_insert(at);
            dialog.usages.call(no).ended.get_or_insert(no);
            dialog.settle();
        }
    }

    /// A 1xx or 2xx with a To tag.
    fn success(&mut self, no: MessageNo, at: Idx<Transaction>, transaction: &Transaction) {
        let messages = self.messages;
        let message = &messages[no.at()].message;
        let creates = matches!(transaction.method, Method::Invite | Method::Subscribe);
        if !creates && self.by_key.get(&key(message)).is_none() {
            return;
        }
        let request = transaction.request.map(|no| &messages[no.at()].message);
        let initial = request.is_none_or(|request| request.to_tag().is_empty());
        let accepted = message.status() >= Some(200);
        let dialog = self.entry(no, false);
        if creates && initial {
            if dialog.created_by.len() < HOPS && !dialog.created_by.contains(&at) {
                dialog.created_by.push(at);
            }
            dialog.count(dialog.side(message.from_tag()), transaction.cseq);
            if dialog.answer.is_none() {
                dialog.route = Some(no);
                dialog.answer = accepted.then_some(no);
            }
        }
        let shown = transaction.request.unwrap_or(no);
        match transaction.method {
            Method::Invite => {
                dialog.usages.call(shown);
            }
            Method::Subscribe | Method::Refer if accepted && !declines_subscription(message) => {
                let subject = request.unwrap_or(message);
                let usage = dialog.usages.subscription(shown, subject, |no| &messages[no.at()].message);
                // Asked for again after it had ended.
                if usage.ended.is_some_and(|ended| ended < shown) {
                    (usage.shown, usage.ended) = (shown, None);
                }
            }
            _ => {}
        }
        if accepted || (creates && initial && dialog.targets.is_empty()) {
            refresh_targets(dialog, no, transaction, messages);
        }
        if creates && accepted {
            dialog.confirm(no);
        } else {
            dialog.settle();
        }
        if transaction.method == Method::Invite && !accepted {
            let dialog = self.by_key.get(&key(message)).copied();
            let created = self.by_creator.get_or_insert_with(at, SmallVec::new);
            if created.last().copied() != dialog {
                created.extend(dialog);
            }
        }
    }

    /// A failure ends the early dialogs of its INVITE (12.3), and 481 the subscription that it is told
    /// of (RFC 6665 4.1.2.2, 4.2.2).
    fn failure(&mut self, no: MessageNo, at: Idx<Transaction>, transaction: &Transaction) {
        let messages = self.messages;
        let message = &messages[no.at()].message;
        if transaction.method == Method::Invite {
            for dialog in self.by_creator.get_mut(&at).map(std::mem::take).unwrap_or_default() {
                let dialog = &mut self.dialogs[dialog];
                if dialog.state == DialogState::Early {
                    dialog.refused = Some(no);
                    dialog.usages.call(no).ended = Some(no);
                    dialog.settle();
                }
            }
        }
        let gone = message.status() == Some(481);
        if let Some(request) = transaction.request.filter(|_| gone)
            && matches!(transaction.method, Method::Subscribe | Method::Notify)
            && let Some(dialog) = self.by_key.get(&key(message))
        {
            let dialog = &mut self.dialogs[*dialog];
            let subject = &messages[request.at()].message;
            let usage = dialog.usages.subscription(request, subject, |no| &messages[no.at()].message);
            usage.ended.get_or_insert(no);
            dialog.settle();
        }
    }

    fn entry(&mut self, no: MessageNo, from_callee: bool) -> &mut Dialog {
        let message = &self.messages[no.at()].message;
        let at = *self.by_key.get_or_insert_with(key(message), || self.dialogs.len());
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
                began: no,
                state: DialogState::Early,
                created_by: SmallVec::new(),
                confirmed: None,
                ack: None,
                transactions: SmallVec::new(),
                notified: None,
                bye: None,
                answer: None,
                refused: None,
                route: None,
                targets: SmallVec::new(),
                caller_numbers: None,
                callee_numbers: None,
                usages: Usages::default(),
            });
        }
        &mut self.dialogs[at]
    }
}

fn key(message: &Message) -> Key<'_> {
    let (from, to) = (message.from_tag(), message.to_tag());
    (from.min(to), from.max(to), message.call_id())
}

/// A NOTIFY belongs to a subscription, and may end it (RFC 6665 4.1.3).
fn notified(dialog: &mut Dialog, no: MessageNo, message: &Message, messages: &[&Seen]) {
    let Some(state) = message.header(HeaderName::SubscriptionState).and_then(SubscriptionState::parse) else {
        return;
    };
    let usage = dialog.usages.subscription(no, message, |no| &messages[no.at()].message);
    if state.is_terminated() {
        usage.ended.get_or_insert(no);
    }
}

/// RFC 4488 4: a REFER may be accepted without the subscription that it implies.
fn declines_subscription(answer: &Message) -> bool {
    let is_off = |value: &[u8]| value.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"false"));
    answer.cseq_method() == Method::Refer && answer.values(HeaderName::ReferSub).any(is_off)
}

/// A 2xx, and the first response of a dialog, make the Contacts of the request and of the response the
/// targets of the two sides (RFC 3261 12.1, 12.2.1.2; RFC 3311 5.1, RFC 6665 4.4.1).
fn refresh_targets(dialog: &mut Dialog, no: MessageNo, transaction: &Transaction, messages: &[&Seen]) {
    if !matches!(
        transaction.method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    ) {
        return;
    }
    let asking = dialog.side(messages[no.at()].message.from_tag());
    let answering = if asking == Side::Caller { Side::Callee } else { Side::Caller };
    for (of, set_by) in [(asking, transaction.request), (answering, Some(no))] {
        let contact = |no: MessageNo| messages[no.at()].message.contacts().next().map(|contact| contact.uri);
        let Some((set_by, uri)) = set_by.and_then(|no| Some((no, contact(no)?))) else {
            continue;
        };
        let known = dialog.targets.iter().rev().take(HOPS).find(|target| target.of == of);
        if known.is_none_or(|known| contact(known.set_by) != Some(uri)) {
            dialog.targets.push(Target { of, set_by, since: no });
        }
    }
}
