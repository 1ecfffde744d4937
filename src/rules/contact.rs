//! I17: a message that sets up a dialog says not where its sender can be reached.

use super::facts::{cut, name, requests_of, sender};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Address, Facts, HeaderName, Method, Uri};

static I17: Meta = Meta {
    code: "I17",
    name: "contact-missing",
    severity: Severity::Error,
    title: "An INVITE or its answer has no usable Contact",
    basis: &["RFC 3261 8.1.1.8", "RFC 3261 12.1.1"],
    page: include_str!("../../docs/rules/I17-contact-missing.md"),
};

/// See the module.
pub(super) struct Contact;

impl Rule for Contact {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I17] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Invite])
    }

    /// Told once for each of the three: proxies pass on what they got.
    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let initial = |no: &MessageNo| view.sip(*no).to_tag().is_empty();
        let invites = || requests_of(view, Method::Invite).filter(|(.., no)| initial(no));
        let mut usable = Usable { view, last: b"" };
        let request = invites().map(|(.., no)| no).find(|no| usable.is_missing(*no));
        let answer = invites().find_map(|(_, t, _)| usable.missing_in(t, 200..300));
        let ringing = invites().find_map(|(_, t, _)| usable.missing_in(t, 101..200)).filter(|_| answer.is_none());
        findings.extend(request.map(|no| finding(view, no)));
        findings.extend(answer.map(|no| finding(view, no)));
        findings.extend(ringing.map(|no| finding(view, no).severity(Severity::Info)));
    }
}

/// Looks for usable Contacts.
struct Usable<'a> {
    view: CallView<'a>,
    /// The value that was usable last: on each hop and in each response it is the same again.
    last: &'a [u8],
}

impl Usable<'_> {
    /// The first response of that kind, with a To tag, that lacks one.
    fn missing_in(&mut self, t: &Transaction, kind: std::ops::Range<u16>) -> Option<MessageNo> {
        t.messages.iter().copied().find(|no| {
            let message = self.view.sip(*no);
            message.status().is_some_and(|status| kind.contains(&status))
                && !message.to_tag().is_empty()
                && self.is_missing(*no)
        })
    }

    fn is_missing(&mut self, no: MessageNo) -> bool {
        let message = self.view.sip(no);
        if cut(self.view, no) || message.has(Facts::MALFORMED) {
            return false;
        }
        let first = message.header(HeaderName::Contact).unwrap_or_default();
        if !first.is_empty() && first == self.last {
            return false;
        }
        let is_usable = |contact: &Address<'_>| !contact.is_star() && Uri::parse(contact.uri).is_some();
        let usable = message.contacts().find(is_usable);
        if usable.is_some_and(|contact| first.as_ptr_range().contains(&contact.uri.as_ptr())) {
            self.last = first;
        }
        usable.is_none()
    }
}

fn finding(view: CallView<'_>, no: MessageNo) -> Finding {
    let (from, what) = (sender(view, no), name(view, no));
    let state = if view.sip(no).header(HeaderName::Contact).is_some() { "no usable Contact" } else { "no Contact" };
    let summary = format!("The {what} of {from} has {state}.");
    let detail = format!(
        "The Contact says where the requests within the call go (RFC 3261 8.1.1.8, 12.1.1). Without it the other side does not know where \
         to send its ACK or BYE: it guesses, and the call may not be acknowledged, or cannot be ended. Look next at the software \
         of {from}."
    );
    Finding::new(&I17, vec![no], summary, detail)
}
