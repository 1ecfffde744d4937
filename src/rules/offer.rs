//! Offers without answer: I11 the 2xx made the offer and the ACK brings none, I12 the INVITE made it and the 2xx
//! brings none.

use super::facts::{self, Acks, TransactionNo, deepest, requests_of, success};
use super::outline::Trait;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::Cause;
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
static I12: Meta = Meta {
    code: "I12",
    name: "answer-missing-in-2xx",
    severity: Severity::Error,
    title: "The INVITE made the offer, and the 2xx has no answer",
    basis: &["RFC 3261 13.2.1", "RFC 3262 5"],
    page: include_str!("../../docs/rules/I12-answer-missing-in-2xx.md"),
};

/// See the module.
pub(super) struct OfferAnswer;

impl Rule for OfferAnswer {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I11, &I12] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::BODILESS)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let acks = context.acks();
        let mut found =
            requests_of(view, Method::Invite).filter_map(|(_, t, request)| no_answer(view, t, request, acks));
        // Every hop of a proxy shows the same; the first one tells it.
        findings.extend(found.next());
        for at in deepest(view, |_, t| unanswered(view, t).is_some()) {
            findings.extend(offer_without_answer(view, at));
        }
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

/// The 2xx to an INVITE with an offer that has no body, where no reliable provisional response of the same phone had
/// one.
fn unanswered(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    let answer = success(view, t).filter(|_| t.method == Method::Invite)?;
    let request = t.request?;
    let whole = ![request, answer].iter().any(|no| facts::cut(view, *no));
    let missing = view.sip(request).has(Facts::SDP) && view.sip(answer).body().is_empty();
    (whole && missing && !early_media(view, t, answer).any(|no| view.sip(no).has(Facts::RSEQ))).then_some(answer)
}

/// The provisional responses with SDP of the phone that answered.
fn early_media<'a>(view: CallView<'a>, t: &'a Transaction, answer: MessageNo) -> impl Iterator<Item = MessageNo> + 'a {
    let tag = view.sip(answer).to_tag();
    t.messages.iter().copied().filter(move |no| {
        let message = view.sip(*no);
        (101..200).contains(&facts::status(view, *no)) && message.has(Facts::SDP) && message.to_tag() == tag
    })
}

/// I12.
fn offer_without_answer(view: CallView<'_>, at: TransactionNo) -> Option<Finding> {
    let t = view.call.transaction(at);
    let answer = unanswered(view, t)?;
    let request = t.request?;
    let (callee, caller) = (facts::sender(view, answer), facts::receiver(view, answer));
    let what = facts::name(view, answer);
    let summary = format!("{caller} offered media in its INVITE, and the {what} of {callee} brings no answer.");
    let early = early_media(view, t, answer).next();
    let told = match early {
        Some(_) => {
            " A provisional response carried SDP, but not reliably, so that it may be lost and cannot replace the answer."
        }
        None => "",
    };
    let detail = format!(
        "The offer in an INVITE is answered in the 2xx, unless a provisional response that is acknowledged with PRACK did it before (RFC \
         3261 13.2.1, RFC 3262 5).{told} Without an answer the caller knows neither address nor codec, and ends the call or hears \
         nothing. Look next at the SDP handling of {callee}, and at gateways between that remove bodies."
    );
    let finding = Finding::new(&I12, vec![answer, request], summary, detail);
    let of_phone = |no: MessageNo| view.sip(no).to_tag() == view.sip(answer).to_tag();
    let acknowledged =
        subject::near(view.call, at).any(|t| t.method == Method::Prack && t.request.is_some_and(of_phone));
    Some(match early {
        _ if acknowledged => finding.severity(Severity::Info).open().cause(Cause::NotCaptured),
        Some(_) => finding.severity(Severity::Warning),
        None => finding,
    })
}

/// A reliable provisional response may have carried the offer, and its PRACK the answer (RFC 3262 5).
fn agreed_before(view: CallView<'_>, t: &Transaction) -> bool {
    t.messages.iter().any(|no| {
        let message = view.sip(*no);
        (101..200).contains(&facts::status(view, *no)) && message.has(Facts::RSEQ) && message.has(Facts::SDP)
    })
}
