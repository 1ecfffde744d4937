//! D07: a new Contact that the other side does not use.

use super::ack_route::{is_loose, leads_to, points_at};
use super::facts::{self, CROSSING, cut, span, status, time};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity, subject};
use crate::analysis::CallView;
use crate::base::{Idx, Timestamp};
use crate::call::Participant;
use crate::session::{Dialog, MessageNo, Transaction};
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::HashMap;

static D07: Meta = Meta {
    code: "D07",
    name: "remote-target-not-refreshed",
    severity: Severity::Warning,
    title: "A request goes to the Contact that the other side had before",
    basis: &["RFC 3261 12.2.1.2", "RFC 3261 12.2.2"],
    page: include_str!("../../docs/rules/D07-remote-target-not-refreshed.md"),
};

/// See the module.
pub(super) struct RemoteTarget;

impl Rule for RemoteTarget {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&D07] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::MOVED)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        findings.extend(view.call.dialogs.iter().filter_map(|dialog| old_target(view, dialog)));
    }
}

/// Where one side of a dialog is to send its requests.
#[derive(Clone, Copy)]
struct Target<'a> {
    now: &'a [u8],
    /// What replaced another one.
    change: Option<Change<'a>>,
}

/// How a target was replaced.
#[derive(Clone, Copy)]
struct Change<'a> {
    before: &'a [u8],
    /// The message of the other side with its new Contact.
    told: MessageNo,
    /// The 2xx that made it valid.
    answer: MessageNo,
    /// When that was sent for the last time: before, it may not have arrived.
    arrived: Timestamp,
}

/// The targets of a dialog: for each element that sends requests of the caller (`true`) or of the called side.
type Targets<'a> = HashMap<(Idx<Participant>, bool), Target<'a>, RandomState>;

/// The first request that goes to a target which the other side had replaced.
fn old_target(view: CallView<'_>, dialog: &Dialog) -> Option<Finding> {
    if dialog.transactions.is_empty() {
        return None;
    }
    let mut targets = Targets::default();
    for at in dialog.created_by.iter().chain(&dialog.transactions) {
        let t = view.call.transaction(*at);
        let Some(request) = t.request.filter(|no| !cut(view, *no)) else { continue };
        let by_caller = view.sip(request).from_tag() == dialog.caller_tag;
        let known = targets.get(&(view.call.message(request).from, by_caller)).copied();
        if let Some(finding) = known.and_then(|target| stale(view, t, request, target)) {
            return Some(finding);
        }
        learn(view, dialog, t, request, by_caller, &mut targets);
    }
    None
}

/// INVITE and UPDATE carry the Contact of the one side there and that of the other back (RFC 3261 12.2, RFC 3311
/// 5.1).
fn learn<'a>(
    view: CallView<'a>,
    dialog: &Dialog,
    t: &Transaction,
    request: MessageNo,
    by_caller: bool,
    targets: &mut Targets<'a>,
) {
    if !matches!(t.method, Method::Invite | Method::Update) {
        return;
    }
    let is_answer = |no: &MessageNo| (200..300).contains(&status(view, *no)) && !cut(view, *no);
    let of_dialog = |no: &MessageNo| {
        let tag = view.sip(*no).to_tag();
        tag == dialog.caller_tag || tag == dialog.callee_tag
    };
    let Some(answer) = t.messages.iter().copied().find(|no| is_answer(no) && of_dialog(no)) else {
        return;
    };
    let arrived = view.call.with_copies(answer).map(|no| time(view, no)).last().unwrap_or_else(|| time(view, answer));
    let placed = view.call.message(request);
    for (of, told) in [((placed.from, by_caller), answer), ((placed.to, !by_caller), request)] {
        let Some(contact) = view.sip(told).contacts().next() else { continue };
        let target = targets.entry(of).or_insert(Target { now: contact.uri, change: None });
        if leads_to(target.now, contact.uri) == Some(false) {
            *target = Target { now: contact.uri, change: Some(Change { before: target.now, told, answer, arrived }) };
        }
    }
}

/// Judged next to its sender, where nobody has changed the request yet.
fn stale(view: CallView<'_>, t: &Transaction, request: MessageNo, target: Target<'_>) -> Option<Finding> {
    let Change { before, told, answer, arrived } = target.change?;
    let message = view.sip(request);
    if matches!(t.method, Method::Ack | Method::Cancel) || message.via_count() != 1 {
        return None;
    }
    let ours = message.request_uri();
    let old = leads_to(ours, before) == Some(true) && leads_to(ours, target.now) == Some(false);
    let crossed = time(view, request).since(arrived) <= CROSSING;
    if !old || crossed || message.routes().any(|route| !is_loose(route.uri)) {
        return None;
    }
    let (from, to) = (facts::sender(view, request), facts::receiver(view, request));
    let summary = format!(
        "{from} sent {} to {} {} after the other side had moved to {}.",
        facts::name(view, request),
        subject::address(before),
        span(time(view, request).since(time(view, answer))),
        subject::address(target.now)
    );
    let detail = format!(
        "A re-INVITE or UPDATE and its 2xx carry the Contact of each side; from then on requests go there (RFC 3261 12.2.1.2, 12.2.2). The \
         {} with CSeq {} changed it. What goes to the old one may reach nobody, so that the call cannot be changed or ended. Look \
         next at the software of {from}, and at what {to} made of the request.",
        facts::name(view, answer),
        view.sip(answer).cseq_number().unwrap_or(0)
    );
    let finding = Finding::new(&D07, vec![request, answer], summary, detail);
    // Servers send to where a phone behind NAT sends from, whatever its Contact says, and do so on purpose.
    let detour = points_at(before, view.seen(told).connection.src.ip);
    Some(if detour { finding.severity(Severity::Info) } else { finding })
}
