//! What a dialog is used for: a session, subscriptions, or several of them at once (RFC 5057).

use super::seen::MessageNo;
use crate::sip::{Event, HeaderName, Message, Method};
use smallvec::SmallVec;

/// One use of a dialog. The dialog lives until its last use has ended (RFC 5057 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// What for.
    pub kind: UsageKind,
    /// What shows it: the request that asked for it, else the first message that belongs to it.
    pub shown: MessageNo,
    /// What ended it.
    pub ended: Option<MessageNo>,
}

/// What a dialog is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UsageKind {
    /// A call: INVITE until BYE.
    Session,
    /// SUBSCRIBE or REFER until the NOTIFY that says `terminated` (RFC 6665 4.4.1, RFC 3515 2.4.7).
    Subscription,
}

/// Uses of one dialog that are told apart: a call has itself and a transfer or two, a phone some dozen
/// event packages; only floods have more.
const MOST: usize = 16;

/// The uses of one dialog, in order of appearance.
#[derive(Clone, Debug, Default)]
pub struct Usages(SmallVec<[Usage; 1]>);

impl Usages {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Usage> {
        self.0.iter()
    }

    /// The call, when the dialog is used for one.
    pub fn session(&self) -> Option<&Usage> {
        self.0.iter().find(|usage| usage.kind == UsageKind::Session)
    }

    /// The subscriptions, those of REFER among them.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Usage> {
        self.0.iter().filter(|usage| usage.kind == UsageKind::Subscription)
    }

    /// Whether the dialog was used and is not any more.
    pub fn all_ended(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|usage| usage.ended.is_some())
    }

    /// The same in a call where messages have other numbers.
    #[must_use]
    pub fn renumbered(self, number: impl Fn(MessageNo) -> MessageNo) -> Self {
        let renumbered =
            |usage: Usage| Usage { kind: usage.kind, shown: number(usage.shown), ended: usage.ended.map(&number) };
        Self(self.0.into_iter().map(renumbered).collect())
    }

    /// Notes that the dialog is used for a call.
    pub(super) fn call(&mut self, shown: MessageNo) -> &mut Usage {
        let at = self.0.iter().position(|usage| usage.kind == UsageKind::Session);
        let at = at.unwrap_or_else(|| self.add(Usage { kind: UsageKind::Session, shown, ended: None }));
        &mut self.0[at]
    }

    /// The subscription that `message` is about; a new one when none is known. `message` may be any of
    /// `shown`, which the others are compared with.
    pub(super) fn subscription<'m>(
        &mut self,
        shown: MessageNo,
        message: &Message,
        known: impl Fn(MessageNo) -> &'m Message,
    ) -> &mut Usage {
        let is_it =
            |usage: &Usage| usage.kind == UsageKind::Subscription && same_subscription(known(usage.shown), message);
        let at = self.0.iter().rposition(is_it);
        let at = at.unwrap_or_else(|| self.add(Usage { kind: UsageKind::Subscription, shown, ended: None }));
        &mut self.0[at]
    }

    /// Where the new one stands; in a flood it replaces one that has ended, else the newest.
    fn add(&mut self, usage: Usage) -> usize {
        if self.0.len() < MOST {
            self.0.push(usage);
            return self.0.len() - 1;
        }
        let over = |known: &Usage| known.kind == UsageKind::Subscription && known.ended.is_some();
        let at = self.0.iter().position(over).unwrap_or(MOST - 1);
        self.0[at] = usage;
        at
    }
}

/// RFC 6665 4.1.2.1: package and `id` of Event name a subscription within its dialog. That of a REFER has
/// the package `refer` and, from the second one on, its CSeq number as `id` (RFC 3515 2.4.6).
fn same_subscription(shown: &Message, other: &Message) -> bool {
    let named = |message| event(message).map(|event| (event.package, event.id()));
    match (shown.method(), other.method()) {
        (Method::Refer, Method::Refer) => shown.cseq_number() == other.cseq_number(),
        (Method::Refer, _) => named(other).is_some_and(|(package, id)| of_refer(shown, package, id)),
        (_, Method::Refer) => named(shown).is_some_and(|(package, id)| of_refer(other, package, id)),
        _ => match (named(shown), named(other)) {
            (Some((a, one)), Some((b, two))) => a.eq_ignore_ascii_case(b) && one == two,
            _ => true,
        },
    }
}

fn of_refer(refer: &Message, package: &[u8], id: Option<&[u8]>) -> bool {
    let number = |id: &[u8]| std::str::from_utf8(id).ok()?.parse::<u32>().ok();
    package.eq_ignore_ascii_case(b"refer") && id.is_none_or(|id| number(id) == refer.cseq_number())
}

fn event(message: &Message) -> Option<Event<'_>> {
    message.header(HeaderName::Event).and_then(Event::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(method: &str, cseq: u32, event: &str) -> Message {
        let text = format!("{method} sip:a SIP/2.0\r\nCSeq: {cseq} {method}\r\nEvent: {event}\r\n\r\n");
        Message::parse(Bytes::from(text))
    }

    #[test]
    fn event_package_and_id_tell_subscriptions_apart() {
        let subscribe = message("SUBSCRIBE", 1, "dialog;id=7");
        assert!(same_subscription(&subscribe, &message("NOTIFY", 9, "Dialog;id=7")));
        assert!(!same_subscription(&subscribe, &message("NOTIFY", 9, "dialog")));
        assert!(!same_subscription(&subscribe, &message("NOTIFY", 9, "presence;id=7")));
    }

    #[test]
    fn a_notify_of_refer_names_the_refer_by_its_cseq_or_not_at_all() {
        let refer = message("REFER", 93, "");
        assert!(same_subscription(&refer, &message("NOTIFY", 1, "refer")));
        assert!(same_subscription(&refer, &message("NOTIFY", 1, "refer;id=93")));
        assert!(!same_subscription(&refer, &message("NOTIFY", 1, "refer;id=94")));
        assert!(!same_subscription(&refer, &message("NOTIFY", 1, "presence")));
    }

    #[test]
    fn a_flood_of_subscriptions_is_held_to_a_few() {
        let messages: Vec<Message> = (0..100).map(|i| message("NOTIFY", i, &format!("p{i}"))).collect();
        let mut usages = Usages::default();
        usages.call(MessageNo::new(0));
        for (no, message) in messages.iter().enumerate() {
            usages.subscription(MessageNo::new(no), message, |no| &messages[no.at()]);
        }
        assert_eq!(usages.iter().count(), MOST);
        assert!(usages.session().is_some());
    }
}
