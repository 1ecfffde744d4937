//! What the network says about SIP datagrams: N01 and N03.

use super::facts::{TransactionNo, final_status, name, sendings, times};
use super::{CaptureContext, Context, Finding, Meta, Rule, Severity};
use crate::analysis::{Analysis, CallView, IcmpReport};
use crate::base::Transport;
use crate::call::Outcome;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::collections::BTreeMap;

/// N01.
static UNREACHABLE: Meta = Meta {
    code: "N01",
    name: "icmp-unreachable",
    severity: Severity::Error,
    title: "ICMP says that a SIP datagram could not be delivered",
    basis: &["RFC 3261 18.4", "RFC 3261 8.1.3.1", "RFC 3261 16.9"],
    page: include_str!("../../docs/rules/N01-icmp-unreachable.md"),
};

/// N03.
static OVERSIZED: Meta = Meta {
    code: "N03",
    name: "oversized-udp-request",
    severity: Severity::Warning,
    title: "A request over UDP is too large for one packet",
    basis: &["RFC 3261 18.1.1"],
    page: include_str!("../../docs/rules/N03-oversized-udp-request.md"),
};

/// Frames that one finding points at.
const POINTED_AT: usize = 32;

/// Judges ICMP errors that quote SIP.
pub(super) struct Unreachable;

impl Rule for Unreachable {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&UNREACHABLE];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let mut by_target: BTreeMap<_, Vec<&IcmpReport>> = BTreeMap::new();
        for report in &context.analysis.icmp {
            by_target.entry((report.call, report.quoted.dst)).or_default().push(report);
        }
        findings.extend(by_target.into_values().filter_map(|reports| unreachable(context.analysis, &reports)));
    }
}

/// N01: all errors of one call about one receiver.
fn unreachable(analysis: &Analysis, reports: &[&IcmpReport]) -> Option<Finding> {
    let first = reports.first()?;
    let view = first.call.filter(|call| *call < analysis.calls.len()).map(|call| analysis.view(call));
    let quoted = view.and_then(|view| Some((view, quoted(view, first)?)));
    let (what, messages) = match quoted {
        Some((view, no)) => (name(view, no), vec![no]),
        None => ("SIP message".to_owned(), Vec::new()),
    };
    let often = if reports.len() > 1 { format!(" ({})", times(reports.len())) } else { String::new() };
    let (from, to) = (first.quoted.src, first.quoted.dst);
    let summary = format!(
        "{} could not deliver the {what} of {from} to {to}: {}{often}",
        said_by(first),
        first.reason.replace('-', " ")
    );
    let detail = format!(
        "The ICMP error is in frame {}. {} RFC 3261 18.4: the sender treats it like a 503 of that server and may try another one (8.1.3.1, \
         16.9).",
        first.frame,
        advice(first)
    );
    let frames = reports.iter().map(|report| report.frame).take(POINTED_AT).collect();
    let severity = quoted.map_or(Severity::Warning, |(view, no)| harm(view, no));
    let mut finding = Finding::new(&UNREACHABLE, messages, summary, detail).severity(severity).frames(frames);
    finding.call = view.map(|view| view.number);
    Some(finding)
}

fn said_by(report: &IcmpReport) -> String {
    if report.by == report.quoted.dst.ip { report.by.to_string() } else { format!("{} on the way", report.by) }
}

fn advice(report: &IcmpReport) -> String {
    let target = report.quoted.dst;
    if report.by == target.ip || report.reason.contains("port") {
        format!(
            "The host {} is up, but nothing listens on port {}: the SIP software has stopped, uses another port, or a firewall \
             rejects the packet. Look there first.",
            target.ip, target.port
        )
    } else {
        format!(
            "The router {} knows no way to {}, or may not use it: look at whether the host is up, at routes and at firewalls.",
            report.by, target.ip
        )
    }
}

/// The message that the error quotes: the last one before it that went the same way.
fn quoted(view: CallView<'_>, report: &IcmpReport) -> Option<MessageNo> {
    view.messages()
        .take_while(|(_, seen)| seen.time <= report.time)
        .filter(|(_, seen)| seen.connection.src == report.quoted.src && seen.connection.dst == report.quoted.dst)
        .last()
        .map(|(no, _)| no)
}

/// How bad it was in the end. A response, or an ACK, that finds nobody is only noticed by its absence.
fn harm(view: CallView<'_>, quoted: MessageNo) -> Severity {
    let transaction = view.call.message(quoted).transaction.map(|at| view.call.transaction(at));
    let answered = transaction.and_then(|t| final_status(view, t)).is_some();
    let well = matches!(
        view.call.outcome,
        Outcome::Answered | Outcome::Active | Outcome::Registered | Outcome::Unregistered | Outcome::Accepted
    );
    match (view.sip(quoted).is_request(), answered, well) {
        (_, true, true) => Severity::Info,
        (false, ..) | (true, _, true) => Severity::Warning,
        (true, true, false) if transaction.is_some_and(|t| t.method == Method::Ack) => Severity::Warning,
        (true, _, false) => Severity::Error,
    }
}

/// Judges the size of requests over UDP.
pub(super) struct Oversized;

impl Rule for Oversized {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&OVERSIZED];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().largest() > context.knowledge.settings.udp_bytes()
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let large = |(_, t): &(TransactionNo, &Transaction)| {
            let size = t.request.map_or(0, |no| view.sip(no).raw().len());
            t.connection.transport == Transport::Udp && size > context.knowledge.settings.udp_bytes()
        };
        let large: Vec<_> = view.transactions().filter(large).collect();
        let unanswered = large.iter().find(|(_, t)| {
            let silent = t.provisional.is_none() && t.final_response.is_none();
            silent && t.request.is_some_and(|no| sendings(view, no).len() > 1)
        });
        let Some((_, transaction)) = unanswered.or(large.first()) else {
            return;
        };
        let Some(request) = transaction.request else {
            return;
        };
        findings.push(oversized(view, request, unanswered.is_some()));
    }
}

/// N03: harmless when it arrived.
fn oversized(view: CallView<'_>, request: MessageNo, unanswered: bool) -> Finding {
    let seen = view.seen(request);
    let size = seen.message.raw().len();
    let fragments = seen.frames.as_slice().len();
    let packets = if fragments > 1 { format!(" in {fragments} IP fragments") } else { String::new() };
    let end = if unanswered { " and got no answer" } else { "" };
    let summary = format!(
        "The {} of {} is {size} bytes large: it was sent over UDP{packets}{end}",
        name(view, request),
        seen.connection.src
    );
    let detail = "RFC 3261 18.1.1: a request above 1300 bytes should go over TCP, because a datagram that does not fit into one packet is cut \
                  into fragments, and many firewalls and NATs drop fragments. Such calls then fail although small ones work. Let the client \
                  use TCP or TLS, or send less: fewer codecs, compact headers.";
    let severity = if unanswered { Severity::Warning } else { Severity::Info };
    Finding::new(&OVERSIZED, sendings(view, request), summary, detail).severity(severity)
}
