//! I11: the 2xx made the offer, and the ACK brings no answer.

use super::facts::{self, Acks, requests_of, success};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Method};

static I11: Meta = Meta {
    code: "I11",
    name: "answer-missing-in-ack",
    severity: Severity::Error,
    title: "The 2xx made the offer, and the ACK has no answer",
    basis: &["RFC 3261 13.2.1", "RFC 3261 13.2.2.4", "RFC 3264 4"],
    page: include_str!("../../docs/rules/I11-answer-missing-in-ack.md"),
};

/// See the module.
pub(super) struct OfferAnswer;

impl Rule for OfferAnswer {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I11] }
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let acks = context.acks();
        let mut found =
            requests_of(view, Method::Invite).filter_map(|(_, t, request)| no_answer(view, t, request, acks));
        // Every hop of a proxy shows the same; the first one tells it.
        findings.extend(found.next());
    }
}

fn no_answer(view: CallView<'_>, t: &Transaction, request: MessageNo, acks: &Acks<'_>) -> Option<Finding> {
    let answer = success(view, t)?;
    let mut here = acks.to(view, answer).iter().copied();
    let ack = here.find(|ack| facts::same_hop(view, *ack, answer))?;
    let whole = ![request, answer, ack].iter().any(|no| facts::cut(view, *no));
    let offered = view.sip(request).body().is_empty() && view.sip(answer).has(Facts::SDP);
    if !whole || !offered || !view.sip(ack).body().is_empty() || agreed_before(view, t) {
        return None;
    }
    let (caller, callee) = (facts::sender(view, ack), facts::sender(view, answer));
    let what = facts::name(view, answer);
    let summary = format!("{callee} offered media in its {what}, and the ACK of {caller} brings no answer.");
    let detail = format!(
        "The INVITE had no SDP, so the 2xx made the offer, and the answer belongs in the ACK (RFC 3261 13.2.1). Without it the \
         two sides have not agreed on media, and the call is silent. Look next at how {caller} handles calls without an offer \
         in the INVITE."
    );
    Some(Finding::new(&I11, vec![ack, answer], summary, detail))
}

/// A reliable provisional response may have carried the offer, and its PRACK the answer (RFC 3262 5).
fn agreed_before(view: CallView<'_>, t: &Transaction) -> bool {
    t.messages.iter().any(|no| {
        let message = view.sip(*no);
        (101..200).contains(&facts::status(view, *no)) && message.has(Facts::RSEQ) && message.has(Facts::SDP)
    })
}
