//! X10: an UPDATE with an offer was accepted while another offer waited for its answer (RFC 3311 5.2).

use super::facts::{CROSSING, TransactionNo, cut, name, receiver, requests_of, sender, status, success, time};
use super::{Context, Finding, Meta, Rule, Severity, subject};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Message, Method};

static X10: Meta = Meta {
    code: "X10",
    name: "offer-collision-accepted",
    severity: Severity::Warning,
    title: "An offer in an UPDATE was taken while another offer was open",
    basis: &["RFC 3311 5.2", "RFC 5407 3.3.2"],
    page: include_str!("../../docs/rules/X10-offer-collision-accepted.md"),
};

/// PRACKs of a call that are looked at.
const PRACKS: usize = 64;

/// See the module.
pub(super) struct OfferCollision;

impl Rule for OfferCollision {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&X10] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Update])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        for (at, t, update) in requests_of(view, Method::Update) {
            if t.upstream.is_none() && view.sip(update).has(Facts::SDP) {
                findings.extend(collision(view, at, t, update));
            }
        }
    }
}

/// Only where the other offer was open well before the UPDATE passed the tap, and still was well after
/// its answer: what is closer may have crossed at the endpoint.
fn collision(view: CallView<'_>, at: TransactionNo, t: &Transaction, update: MessageNo) -> Option<Finding> {
    let answer = t.final_response?;
    let hurried = status(view, answer) == 500 && view.sip(answer).retry_after().is_none() && !cut(view, answer);
    if success(view, t).is_none() && !hurried {
        return None;
    }
    let (asked, answered) = (time(view, update), time(view, answer));
    let open_throughout = |other: &&Transaction| {
        open(view, other, view.sip(update))
            .is_some_and(|(from, to)| from.after(CROSSING) <= asked && to >= answered.after(CROSSING))
    };
    let other = subject::near(view.call, at).filter(|other| other.upstream.is_none()).find(open_throughout)?;
    let first = other.request?;
    let own = view.sip(first).from_tag() != view.sip(update).from_tag();
    if own && hurried {
        return None; // refused all the same
    }
    let (client, server) = (sender(view, update), receiver(view, update));
    let (whose, due) = if own {
        ("its own offer", "491 (request pending)")
    } else {
        ("an earlier offer of the same side", "500 with Retry-After")
    };
    let summary = format!(
        "{server} answered the offer of {client} in an UPDATE with {}, while {whose} in an {} was not answered.",
        name(view, answer),
        name(view, first)
    );
    let detail = format!(
        "Only one offer may be open at a time (RFC 3311 5.2): here the answer is {due}. With two of them open the sides may believe in \
         different media. Look next at the software of {server}, and at why the first offer took so long."
    );
    Some(Finding::new(&X10, vec![update, answer, first], summary, detail))
}

/// From when to when the offer of this INVITE or UPDATE was open in the dialog of `update`. A description
/// in any 18x closes it: strictly only a reliable one does (RFC 3262 5), but phones take both.
fn open(view: CallView<'_>, t: &Transaction, update: &Message) -> Option<(Timestamp, Timestamp)> {
    let request = t.request.filter(|_| matches!(t.method, Method::Invite | Method::Update))?;
    let offer = view.sip(request);
    let (one, two) = (update.from_tag(), update.to_tag());
    let here = offer.call_id() == update.call_id()
        && (offer.from_tag() == one || offer.from_tag() == two)
        && (offer.to_tag().is_empty() || offer.to_tag() == one || offer.to_tag() == two);
    if !here || !offer.has(Facts::SDP) {
        return None;
    }
    let closes = |no: &MessageNo| {
        let response = view.sip(*no);
        let ours = response.to_tag() == one || response.to_tag() == two;
        match response.status() {
            Some(300..) => true,
            Some(200..) => ours,
            Some(101..) => ours && response.has(Facts::SDP),
            _ => false,
        }
    };
    // A PRACK proves a reliable response that the capture lacks, and that may have had the answer (RFC 3262 5).
    let lacking = |prack: &Transaction| {
        let rack = prack.request.and_then(|no| view.sip(no).rack()).filter(|rack| rack.cseq == t.cseq);
        rack.is_some_and(|rack| !t.messages.iter().any(|no| view.sip(*no).rseq() == Some(rack.rseq)))
    };
    if view.call.transactions.iter().filter(|t| t.method == Method::Prack).take(PRACKS).any(lacking) {
        return None;
    }
    // An answer that is not seen at all may be missing in the capture only.
    let closed = t.messages.iter().copied().find(closes)?;
    Some((time(view, request), time(view, closed)))
}
