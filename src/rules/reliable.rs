//! X01: a reliable provisional response that no PRACK acknowledged (RFC 3262).

use super::facts::{
    self, AT_ONCE, TIMEOUT, deepest, heard, judged, on_route, owed_back, plain, requests_of, sendings, span, stretch,
    success, time, times,
};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::flow::{Absent, Cause, Verdict, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Method};
use foldhash::fast::RandomState;
use std::collections::HashMap;

static X01: Meta = Meta {
    code: "X01",
    name: "prack-missing",
    severity: Severity::Error,
    title: "A reliable provisional response got no PRACK",
    basis: &["RFC 3262 3", "RFC 3262 4"],
    page: include_str!("../../docs/rules/X01-prack-missing.md"),
};

/// See the module.
pub(super) struct PrackMissing;

impl Rule for PrackMissing {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&X01] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().has(Facts::RSEQ)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let pracked = Pracked::of(view);
        for at in deepest(view, |_, t| open_response(view, t, &pracked).is_some()) {
            findings.extend(finding(view, at, &pracked));
        }
    }
}

/// What a PRACK names: the To tag of its dialog, RSeq, and the CSeq number of the INVITE.
pub(super) type Named<'a> = (&'a [u8], u32, u32);

/// The PRACKs of a call by what they acknowledge: the first one on any hop.
pub(super) struct Pracked<'a>(HashMap<Named<'a>, MessageNo, RandomState>);

impl<'a> Pracked<'a> {
    /// Of one call.
    pub(super) fn of(view: CallView<'a>) -> Self {
        let mut first = HashMap::default();
        for (_, _, request) in requests_of(view, Method::Prack) {
            let prack = view.sip(request);
            if let Some(rack) = prack.rack() {
                first.entry((prack.to_tag(), rack.rseq, rack.cseq)).or_insert(request);
            }
        }
        Self(first)
    }

    /// The PRACK for this reliable response.
    pub(super) fn of_response(&self, view: CallView<'_>, response: MessageNo) -> Option<MessageNo> {
        let message = view.sip(response);
        self.named((message.to_tag(), message.rseq()?, message.cseq_number()?))
    }

    /// The PRACK that names this.
    pub(super) fn named(&self, what: Named<'_>) -> Option<MessageNo> {
        self.0.get(&what).copied()
    }
}

/// Whether the sender repeated this reliable response of `t` of its own accord: who has the PRACK does
/// not, but answers a copy of the INVITE with a copy of its last response (RFC 3261 17.2.1).
pub(super) fn insisted(view: CallView<'_>, t: &Transaction, response: MessageNo) -> bool {
    let sent = sendings(view, response).len();
    sent > 1 && t.request.is_none_or(|request| sendings(view, request).len() < sent)
}

/// The first reliable 1xx of an INVITE that no PRACK names.
fn open_response(view: CallView<'_>, t: &Transaction, pracked: &Pracked<'_>) -> Option<MessageNo> {
    if t.method != Method::Invite {
        return None;
    }
    t.messages.iter().copied().find(|no| {
        view.call.message(*no).copy.is_none()
            && (101..200).contains(&facts::status(view, *no))
            && view.sip(*no).has(Facts::RSEQ)
            && view.sip(*no).rseq().is_some()
            && pracked.of_response(view, *no).is_none()
    })
}

fn finding(view: CallView<'_>, at: Idx<Transaction>, pracked: &Pracked<'_>) -> Option<Finding> {
    let t = view.call.transaction(at);
    let response = open_response(view, t, pracked)?;
    let sent = sendings(view, response);
    let left = view.capture_after(time(view, response));
    let insisted = insisted(view, t, response);
    let blind = !heard(view, t.connection) || !on_route(view, t) || facts::cut(view, response);
    // A final response soon after makes the PRACK moot, and it may cross a CANCEL.
    let overtaken = t.final_response.is_some_and(|no| time(view, no).since(time(view, response)) < AT_ONCE);
    if !insisted && (blind || overtaken || left < AT_ONCE) {
        return None;
    }
    let (callee, caller) = (facts::sender(view, response), facts::receiver(view, response));
    let what = facts::name(view, response);
    let summary = match sent.len() {
        1 => format!("{callee} sent a reliable {what}, and no PRACK of {caller} is seen."),
        n => format!(
            "{callee} sent its reliable {what} {} within {}, because no PRACK of {caller} came.",
            times(n),
            span(stretch(view, &sent))
        ),
    };
    let detail = format!(
        "A provisional response with RSeq ({}) must be acknowledged with PRACK; until then it is repeated, and after 64*T1 = 32 s the INVITE is \
         refused with a 5xx (RFC 3262 3). Look next whether {caller} lists 100rel in Supported, and whether the PRACK could be routed to \
         the Contact of the {what}.",
        plain(view.sip(response).header(HeaderName::RSeq).unwrap_or_default())
    );
    let finding = Finding::new(&X01, sent.clone(), summary, detail).missing(owed_back(view, "PRACK", response));
    if insisted {
        return Some(finding.cause(Cause::NotSent));
    }
    // The INVITE went on to its answer: the PRACK arrived, or nobody insisted on it.
    if success(view, t).is_some() {
        let finding = finding.open().severity(Severity::Info);
        return Some(finding.cause(Cause::NotCaptured));
    }
    let finding = judged(finding, &judge(view, &Absent::FollowUp { after: response }));
    Some(match finding.verdict {
        Verdict::Open if left < TIMEOUT => finding.severity(Severity::Warning),
        _ => finding,
    })
}
