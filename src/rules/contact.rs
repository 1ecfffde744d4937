//! I17: a message that sets up a dialog says not where its sender can be reached.

use super::facts::{cut, name, requests_of, sender};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Method, Uri};

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

    /// Told once for each of the three: proxies pass on what they got.
    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let initial = |no: &MessageNo| view.sip(*no).to_tag().is_empty();
        let invites = || requests_of(view, Method::Invite).filter(|(.., no)| initial(no));
        let request = invites().map(|(.., no)| no).find(|no| lacks(view, *no));
        let answer = invites().find_map(|(_, t, _)| response(view, t, 200..300));
        let ringing = invites().find_map(|(_, t, _)| response(view, t, 101..200)).filter(|_| answer.is_none());
        findings.extend(request.map(|no| finding(view, no)));
        findings.extend(answer.map(|no| finding(view, no)));
        findings.extend(ringing.map(|no| finding(view, no).severity(Severity::Info)));
    }
}

/// The first response of that kind, with a To tag, that lacks it.
fn response(view: CallView<'_>, t: &Transaction, kind: std::ops::Range<u16>) -> Option<MessageNo> {
    t.messages.iter().copied().find(|no| {
        let message = view.sip(*no);
        message.status().is_some_and(|status| kind.contains(&status))
            && !message.to_tag().is_empty()
            && lacks(view, *no)
    })
}

fn lacks(view: CallView<'_>, no: MessageNo) -> bool {
    let message = view.sip(no);
    let usable = || message.contacts().any(|contact| !contact.is_star() && Uri::parse(contact.uri).is_some());
    !cut(view, no) && !message.has(Facts::MALFORMED) && !usable()
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
