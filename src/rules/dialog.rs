//! Requests within a dialog: B04 the dialog is unknown, D01 CSeq does not grow, D02 it jumps, D03 a tag
//! changed, D04 the dialog is used on after it failed.

use super::facts::{self, CROSSING, heard, plain, requests_of, span, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::{Idx, Transport};
use crate::call::Hop;
use crate::flow::Cause;
use crate::session::{Dialog, MessageNo, Transaction};
use crate::sip::Method;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

static B04: Meta = Meta {
    code: "B04",
    name: "unknown-dialog",
    severity: Severity::Error,
    title: "A request belongs to a dialog that the other side does not know",
    basis: &["RFC 3261 12.2.2", "RFC 3261 15.1.2"],
    page: include_str!("../../docs/rules/B04-unknown-dialog.md"),
};
static D01: Meta = Meta {
    code: "D01",
    name: "cseq-not-increased",
    severity: Severity::Error,
    title: "A new request within a dialog does not raise CSeq",
    basis: &["RFC 3261 12.2.1.1", "RFC 3261 12.2.2"],
    page: include_str!("../../docs/rules/D01-cseq-not-increased.md"),
};
static D02: Meta = Meta {
    code: "D02",
    name: "cseq-gap",
    severity: Severity::Info,
    title: "CSeq jumps by more than one within a dialog",
    basis: &["RFC 3261 12.2.1.1", "RFC 3261 12.2.2"],
    page: include_str!("../../docs/rules/D02-cseq-gap.md"),
};
static D03: Meta = Meta {
    code: "D03",
    name: "tag-changed",
    severity: Severity::Error,
    title: "A side changed its tag within a dialog",
    basis: &["RFC 3261 12.2.1.1", "RFC 3261 19.3"],
    page: include_str!("../../docs/rules/D03-tag-changed.md"),
};
static D04: Meta = Meta {
    code: "D04",
    name: "dialog-used-after-failure",
    severity: Severity::Warning,
    title: "A dialog was used on after it had failed",
    basis: &["RFC 3261 12.2.1.2", "RFC 3261 14.1"],
    page: include_str!("../../docs/rules/D04-dialog-used-after-failure.md"),
};

/// UDP may swap requests that follow each other this closely.
const REORDERED: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct InDialog;

impl Rule for InDialog {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&B04, &D01, &D02, &D03, &D04] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        !context.view.call.dialogs.is_empty() || context.outline().shows(Trait::STRAY_BYE)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let owners = if context.outline().shows(Trait::UNBEGUN) { Owners::of(view) } else { Owners::default() };
        findings.extend(requests_of(view, Method::Bye).filter_map(|(_, t, no)| without_dialog(view, t, no)));
        for dialog in &view.call.dialogs {
            match owners.changed_tag(view, dialog) {
                Some(finding) => findings.push(finding),
                None => findings.extend(unknown(view, dialog)),
            }
            findings.extend(refused_in_known(view, dialog));
            numbers(view, dialog, findings);
            findings.extend(used_on(view, dialog));
        }
    }
}

/// The requests of a dialog that the capture holds, but the ACKs.
fn requests<'a>(view: CallView<'a>, dialog: &'a Dialog) -> impl Iterator<Item = (&'a Transaction, MessageNo)> {
    let transactions = dialog.transactions.iter().map(move |at| view.call.transaction(*at));
    transactions.filter(|t| t.method != Method::Ack).filter_map(|t| t.request.map(|request| (t, request)))
}

/// B04: nothing in the capture set this dialog up. Usually the capture began later; a 481 decides.
fn unknown(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    if !dialog.created_by.is_empty() || dialog.confirmed.is_some_and(|no| !view.sip(no).is_request()) {
        return None;
    }
    let refused = requests(view, dialog).find_map(|(t, no)| Some((no, refusal(view, t)?)));
    if let Some((request, answer)) = refused {
        return Some(rejected(view, request, answer, "Nothing in the capture set up such a dialog."));
    }
    let (_, request) = requests(view, dialog).find(|(t, _)| heard(view, t.connection.reversed()))?;
    let (from, to) = (facts::sender(view, request), facts::receiver(view, request));
    let summary = format!(
        "{from} sent {} to {to} within a dialog whose beginning is not in the capture.",
        facts::name(view, request)
    );
    let detail = "Most often the capture simply began after the call; the peers know the dialog. If it did not, the request went astray. \
                  Look next for the INVITE or SUBSCRIBE with this Call-ID before the capture, or on another interface.";
    Some(Finding::new(&B04, vec![request], summary, detail).severity(Severity::Info).open().cause(Cause::NotCaptured))
}

/// B04: a BYE without To tag belongs to no dialog at all.
fn without_dialog(view: CallView<'_>, t: &Transaction, bye: MessageNo) -> Option<Finding> {
    if !view.sip(bye).to_tag().is_empty() || facts::cut(view, bye) {
        return None;
    }
    if let Some(answer) = refusal(view, t) {
        return Some(rejected(view, bye, answer, "A BYE without To tag can belong to none."));
    }
    let (from, to) = (facts::sender(view, bye), facts::receiver(view, bye));
    let summary = format!("{from} sent {to} a BYE without To tag, which belongs to no call.");
    let detail = format!(
        "A BYE ends a dialog, which both tags name (RFC 3261 15.1.1). Look next at the software of {from}: some test tools send such a BYE \
         when they give up a call."
    );
    Some(Finding::new(&B04, vec![bye], summary, detail).severity(Severity::Warning))
}

fn refusal(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.final_response.filter(|no| facts::status(view, *no) == 481)
}

fn rejected(view: CallView<'_>, request: MessageNo, answer: MessageNo, why: &str) -> Finding {
    let (server, client) = (facts::sender(view, answer), facts::receiver(view, answer));
    let summary =
        format!("{server} refused the {} of {client} with 481: it knows no such dialog.", facts::name(view, request));
    let message = view.sip(request);
    let detail = format!(
        "A dialog is known by Call-ID and both tags (RFC 3261 12.2.2): here Call-ID {}, From tag {}, To tag {}. {why} Look next whether \
         {server} was restarted or had ended the call, and whether the request went to the right host.",
        plain(message.call_id()),
        plain(message.from_tag()),
        plain(message.to_tag())
    );
    Finding::new(&B04, vec![request, answer], summary, detail)
}

/// B04 within a dialog that the capture saw set up; of BYE tells B02, of NOTIFY X12, of PRACK X02. After
/// its end 481 is right.
fn refused_in_known(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    if dialog.created_by.is_empty() {
        return None;
    }
    let ended = dialog.bye.and_then(|bye| view.call.transaction(bye).messages.first().copied());
    let (request, answer) = requests(view, dialog)
        .filter(|(t, _)| !matches!(t.method, Method::Bye | Method::Notify | Method::Prack | Method::Cancel))
        .find_map(|(t, no)| Some((no, refusal(view, t)?)))?;
    if ended.is_some_and(|ended| ended < answer) {
        return None;
    }
    Some(rejected(view, request, answer, "The capture saw that dialog set up and not ended."))
}

/// One side of a dialog on one hop, by its tag.
type Side<'a> = (&'a [u8], Idx<Hop>);

/// D01 and D02, each side by itself and hop by hop: a proxy's copy of a request is no new one.
fn numbers(view: CallView<'_>, dialog: &Dialog, findings: &mut Vec<Finding>) {
    if !is_odd(view, dialog) {
        return;
    }
    let mut last: HashMap<Side<'_>, (u32, MessageNo), RandomState> = HashMap::default();
    let mut told = [false; 2];
    let all = dialog.created_by.iter().chain(&dialog.transactions).map(|at| view.call.transaction(*at));
    for t in all.filter(|t| !matches!(t.method, Method::Ack | Method::Cancel)) {
        let Some(no) = t.request else { continue };
        let side = (view.sip(no).from_tag(), facts::hop(view, no));
        let Some((number, before)) = last.insert(side, (t.cseq, no)) else {
            continue;
        };
        let gap = time(view, no).since(time(view, before));
        if t.cseq <= number {
            last.insert(side, (number, before));
            let same_request =
                t.cseq == number && view.sip(no).method() == view.sip(before).method() && spiral(view, no, before);
            let swapped = t.connection.transport == Transport::Udp && gap < REORDERED && t.cseq < number;
            if !same_request && !swapped && !std::mem::replace(&mut told[0], true) {
                findings.push(not_increased(view, no, before));
            }
        } else if t.cseq - number > 1 && heard(view, t.connection) && !std::mem::replace(&mut told[1], true) {
            findings.push(jumped(view, no, before));
        }
    }
}

/// Whether the numbers of a dialog may be anything but the next one each time; asked before anything is put into
/// tables.
fn is_odd(view: CallView<'_>, dialog: &Dialog) -> bool {
    /// More sides than an ordinary call has.
    const SIDES: usize = 8;
    let mut last: SmallVec<[(Side<'_>, u32); SIDES]> = SmallVec::new();
    let all = dialog.created_by.iter().chain(&dialog.transactions).map(|at| view.call.transaction(*at));
    for t in all.filter(|t| !matches!(t.method, Method::Ack | Method::Cancel)) {
        let Some(no) = t.request else { continue };
        let (tag, hop) = (view.sip(no).from_tag(), facts::hop(view, no));
        match last.iter().position(|((known, there), _)| *there == hop && *known == tag) {
            Some(at) if last[at].1.checked_add(1) == Some(t.cseq) => last[at].1 = t.cseq,
            None if last.len() < SIDES => last.push(((tag, hop), t.cseq)),
            _ => return true,
        }
    }
    false
}

/// The same request passing the same hop again on its way (other Via count, other interface).
fn spiral(view: CallView<'_>, a: MessageNo, b: MessageNo) -> bool {
    let (one, two) = (view.sip(a), view.sip(b));
    one.via_count() != two.via_count() || one.branch() == two.branch()
}

fn seq(view: CallView<'_>, no: MessageNo) -> String {
    format!("{} {}", view.sip(no).cseq_number().unwrap_or(0), view.sip(no).method_name())
}

fn not_increased(view: CallView<'_>, no: MessageNo, before: MessageNo) -> Finding {
    let (from, to) = (facts::sender(view, no), facts::receiver(view, no));
    let summary = format!(
        "{from} sent a new {} with CSeq {} after it had used {}.",
        facts::name(view, no),
        seq(view, no),
        seq(view, before)
    );
    let detail = format!(
        "Each new request of one side raises CSeq by one (RFC 3261 12.2.1.1); a server answers a lower number with 500, or takes the request \
         for a copy. The branch differs, so it is no retransmission. Look next at what {to} made of it, and at the software of {from}."
    );
    Finding::new(&D01, vec![no, before], summary, detail)
}

fn jumped(view: CallView<'_>, no: MessageNo, before: MessageNo) -> Finding {
    let from = facts::sender(view, no);
    let summary = format!("{from} went from CSeq {} to {} within the call.", seq(view, before), seq(view, no));
    let detail = format!(
        "The numbers of one side follow each other (RFC 3261 12.2.1.1); the other side accepts a gap. Requests of {from} between the two may \
         be missing from the capture, or took another way. Look next at drop counters and other interfaces."
    );
    Finding::new(&D02, vec![no, before], summary, detail).open()
}

/// Dialogs with known beginning, by the tag of the side that answered.
#[derive(Default)]
struct Owners<'a>(HashMap<(&'a [u8], &'a [u8]), &'a Dialog, RandomState>);

impl<'a> Owners<'a> {
    fn of(view: CallView<'a>) -> Self {
        let known =
            view.call.dialogs.iter().filter(|dialog| !dialog.created_by.is_empty() && !dialog.callee_tag.is_empty());
        Self(known.map(|dialog| ((&dialog.call_id[..], &dialog.callee_tag[..]), dialog)).collect())
    }

    /// D03: the caller sends within the call, but with another From tag than its INVITE had.
    fn changed_tag(&self, view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
        if !dialog.created_by.is_empty() {
            return None;
        }
        let (_, request) = requests(view, dialog).next()?;
        let message = view.sip(request);
        let original = self.0.get(&(message.call_id(), message.to_tag()))?;
        let invite = view.call.transaction(*original.created_by.first()?);
        if invite.connection.src.ip != view.seen(request).connection.src.ip {
            return None;
        }
        let from = facts::sender(view, request);
        let summary = format!(
            "{from} sent {} with From tag \"{}\"; the call was set up with \"{}\".",
            facts::name(view, request),
            plain(message.from_tag()),
            plain(&original.caller_tag)
        );
        let detail = format!(
            "Each side keeps its tag as long as the dialog lives (RFC 3261 12.2.1.1, 19.3); with another tag the other side finds no call and \
             answers 481. Look next at the software of {from}, or at a gateway before it that rewrites headers."
        );
        Some(Finding::new(&D03, vec![request], summary, detail))
    }
}

/// D04.
fn used_on(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    let lost = |no: MessageNo| matches!(facts::status(view, no), 408 | 481);
    if !requests(view, dialog).any(|(t, _)| t.final_response.is_some_and(lost)) {
        return None;
    }
    let mut failed: HashMap<&[u8], (MessageNo, MessageNo), RandomState> = HashMap::default();
    let mut gone = HashSet::<&[u8], RandomState>::default();
    for (t, request) in requests(view, dialog) {
        let side = view.sip(request).from_tag();
        if let Some((before, answer)) = failed.get(side)
            && t.method != Method::Bye
            && !gone.contains(side)
            && time(view, request).since(time(view, *answer)) > CROSSING
        {
            return Some(still_used(view, request, *before, *answer));
        }
        let ends = t.final_response.filter(|no| lost(*no));
        match ends {
            _ if t.method == Method::Bye => {
                gone.insert(side);
            }
            Some(answer) if t.method != Method::Notify => {
                failed.entry(side).or_insert((request, answer));
            }
            _ => {}
        }
    }
    None
}

fn still_used(view: CallView<'_>, request: MessageNo, before: MessageNo, answer: MessageNo) -> Finding {
    let from = facts::sender(view, request);
    let summary = format!(
        "{from} got {} to its {} and, {} later, still used the call with {}.",
        facts::name(view, answer),
        facts::name(view, before),
        span(time(view, request).since(time(view, answer))),
        facts::name(view, request)
    );
    let detail = format!(
        "481 or 408 within a dialog says that the other side has lost it; the sender ends the call with BYE instead of going on (RFC 3261 \
         12.2.1.2). Look next at why the other side lost the call, and at the software of {from}."
    );
    Finding::new(&D04, vec![request, answer], summary, detail)
}
