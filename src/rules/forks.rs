//! Several To tags under one INVITE: I15 it was forked to several phones, I14 one phone changed its tag.

use super::ack_route::{leads_to, points_at};
use super::facts::{self, plain, status};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::call::Role;
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Message, Method};
use foldhash::fast::RandomState;
use std::collections::HashSet;

static I14: Meta = Meta {
    code: "I14",
    name: "to-tag-changes",
    severity: Severity::Warning,
    title: "A phone changed its To tag while it answered one INVITE",
    basis: &["RFC 3261 8.2.6.2", "RFC 3261 12.1"],
    page: include_str!("../../docs/rules/I14-to-tag-changes.md"),
};
static I15: Meta = Meta {
    code: "I15",
    name: "forked-early-dialogs",
    severity: Severity::Info,
    title: "An INVITE was forked: several phones answered it",
    basis: &["RFC 3261 12.1", "RFC 3261 13.2.2.1", "RFC 3261 13.2.2.4", "RFC 3261 16.7", "RFC 5407 appendix E"],
    page: include_str!("../../docs/rules/I15-forked-early-dialogs.md"),
};

/// To tags of one INVITE that are told apart; more phones than that are in no ring group.
const TAGS: usize = 32;

/// See the module.
pub(super) struct Forks;

impl Rule for Forks {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I14, &I15] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::SEVERAL_TAGS)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let forked: Vec<_> = view.transactions().filter_map(|(at, t)| Some((at, t, phones(view, t)?))).collect();
        if forked.is_empty() {
            return;
        }
        let mut forwarded = vec![false; view.call.transactions.len()];
        view.call.transactions.iter().filter_map(|t| t.upstream).for_each(|up| forwarded[up.at()] = true);
        // Each proxy before the fork shows the same again.
        let mut told: HashSet<(&[u8], &[u8], u32), RandomState> = HashSet::default();
        for (at, t, phones) in forked {
            let changed = if forwarded[at.at()] { None } else { changed_tag(view, t, &phones) };
            let first = view.sip(phones[0]);
            if told.insert((first.call_id(), first.from_tag(), t.cseq)) {
                findings.push(changed.unwrap_or_else(|| fork(view, t, phones)));
            }
        }
    }
}

/// The first response of each phone to an INVITE, when there are several by their To tags. A failure does not count:
/// proxies make failures of their own.
fn phones(view: CallView<'_>, t: &Transaction) -> Option<Vec<MessageNo>> {
    if t.method != Method::Invite || t.messages.len() < 3 {
        return None;
    }
    let mut phones: Vec<MessageNo> = Vec::new();
    for no in t.messages.iter().copied().filter(|no| (101..300).contains(&status(view, *no))) {
        let tag = view.sip(no).to_tag();
        if phones.len() < TAGS && !tag.is_empty() && !phones.iter().any(|known| view.sip(*known).to_tag() == tag) {
            phones.push(no);
        }
    }
    (phones.len() > 1).then_some(phones)
}

/// I14: the last hop shows two tags with the same Contact, which is the address that sent them both.
fn changed_tag(view: CallView<'_>, t: &Transaction, phones: &[MessageNo]) -> Option<Finding> {
    let last = *phones.last()?;
    let before = phones.iter().copied().find(|no| *no != last && same_phone(view, t, *no, last))?;
    // A dialog that was answered was finished; what comes then is another call leg.
    let answered = |no: &MessageNo| (200..300).contains(&status(view, *no));
    let finished = t.messages.iter().any(|no| answered(no) && view.sip(*no).to_tag() == view.sip(before).to_tag());
    if finished {
        return None;
    }
    let server = facts::sender(view, last);
    let summary = format!(
        "{server} changed its To tag from \"{}\" to \"{}\" between {} and {}.",
        plain(view.sip(before).to_tag()),
        plain(view.sip(last).to_tag()),
        facts::name(view, before),
        facts::name(view, last)
    );
    let detail = format!(
        "All responses of one phone to one request have the same To tag (RFC 3261 8.2.6.2); two tags are two dialogs. The caller keeps the \
         first one open until it gives up on it, and what it negotiated there (PRACK, early media) is void in the second. Both \
         responses name the same Contact, so that no fork explains it. Look next at the software of {server}; if it stands for \
         several phones, as a gateway does, this is a fork and in order."
    );
    let finding = Finding::new(&I14, vec![last, before], summary, detail);
    let (one, two) = (session(view.sip(before)), session(view.sip(last)));
    Some(if one.is_some() && one == two { finding } else { finding.open() })
}

/// Whether one user agent sent both: no proxy recorded its route behind this hop, the Contact is one and the
/// address of the sender, and nothing else tells two phones apart.
fn same_phone(view: CallView<'_>, t: &Transaction, a: MessageNo, b: MessageNo) -> bool {
    let (one, two) = (view.sip(a), view.sip(b));
    let (Some(contact), Some(other)) = (one.contacts().next(), two.contacts().next()) else {
        return false;
    };
    let sender = view.call.message(b).from;
    let gateway = view.call.participants.get(sender.at()).is_some_and(|p| matches!(p.role, Role::B2bua | Role::Proxy));
    let asked = t.request.map_or(0, |no| view.sip(no).record_routes().count());
    let agent = |message: &Message| {
        [HeaderName::Server, HeaderName::UserAgent].map(|name| message.header(name).map(<[u8]>::to_vec))
    };
    let sessions = (session(one), session(two));
    let other_session = matches!(sessions, (Some(one), Some(two)) if one != two);
    !gateway
        && leads_to(contact.uri, other.uri) == Some(true)
        && points_at(contact.uri, view.seen(b).connection.src.ip)
        && two.record_routes().count() == asked
        && agent(one) == agent(two)
        && !other_session
}

/// Who describes the session, and under which number.
fn session(message: &Message) -> Option<(&[u8], &[u8])> {
    let origin = message.sdp()?.origin;
    (!origin.session_id.is_empty()).then_some((origin.username, origin.session_id))
}

/// I15.
fn fork(view: CallView<'_>, t: &Transaction, phones: Vec<MessageNo>) -> Finding {
    let answers = phones.iter().map(|no| {
        let message = view.sip(*no);
        format!("{} with tag \"{}\"", facts::name(view, *no), plain(message.to_tag()))
    });
    let shown = answers.take(4).collect::<Vec<_>>().join(", ");
    let count = phones.len();
    let more = if count > 4 { ", ..." } else { "" };
    let summary =
        format!("The INVITE of {} was forked to {count} phones or services: {shown}{more}.", t.connection.src);
    let detail = "A proxy, or a gateway that stands for several phones, forked the INVITE; each To tag is a dialog of its own (RFC 3261 \
                  12.1, 13.2.2.4). That is how ring groups, voicemail and call forwarding work. One phone is to win: the others are \
                  cancelled, or end 64*T1 = 32 s after the first 2xx. Look next, if something is wrong with this call, at which of \
                  them sent the 2xx, and whether media and in-dialog requests go to that one.";
    Finding::new(&I15, phones, summary, detail)
}
