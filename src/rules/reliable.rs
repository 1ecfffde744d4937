//! X01: a reliable provisional response that no PRACK acknowledged (RFC 3262).

use super::facts::{
    self, AT_ONCE, TIMEOUT, deepest, heard, judged, on_route, owed_back, plain, sendings, span, stretch, success, time,
    times,
};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::flow::{Absent, Cause, Verdict, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Method};
use foldhash::fast::RandomState;
use std::collections::HashSet;

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

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let pracked = Pracked::of(view);
        for at in deepest(view, |_, t| open_response(view, t, &pracked).is_some()) {
            findings.extend(finding(view, at, &pracked));
        }
    }
}

/// What the PRACKs of a call acknowledge: (RSeq, CSeq number).
struct Pracked(HashSet<(u32, u32), RandomState>);

impl Pracked {
    fn of(view: CallView<'_>) -> Self {
        let racks = view.transactions().filter(|(_, t)| t.method == Method::Prack);
        let racks =
            racks.filter_map(|(_, t)| view.sip(t.request.or(t.messages.first().copied())?).header(HeaderName::RAck));
        Self(racks.filter_map(rack).collect())
    }
}

fn rack(value: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn rseq(view: CallView<'_>, no: MessageNo) -> Option<u32> {
    std::str::from_utf8(view.sip(no).header(HeaderName::RSeq)?).ok()?.trim().parse().ok()
}

/// The first reliable 1xx of an INVITE that no PRACK names.
fn open_response(view: CallView<'_>, t: &Transaction, pracked: &Pracked) -> Option<MessageNo> {
    if t.method != Method::Invite {
        return None;
    }
    t.messages.iter().copied().find(|no| {
        view.call.message(*no).copy.is_none()
            && (101..200).contains(&facts::status(view, *no))
            && view.sip(*no).has(Facts::RSEQ)
            && rseq(view, *no).is_some_and(|rseq| !pracked.0.contains(&(rseq, t.cseq)))
    })
}

fn finding(view: CallView<'_>, at: Idx<Transaction>, pracked: &Pracked) -> Option<Finding> {
    let t = view.call.transaction(at);
    let response = open_response(view, t, pracked)?;
    let sent = sendings(view, response);
    let left = view.capture_after(time(view, response));
    let insisted = sent.len() > 1 && t.request.is_none_or(|request| sendings(view, request).len() < sent.len());
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
