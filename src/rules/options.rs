//! OPTIONS as a sign of life (RFC 3261 11): O01 and O02.

use super::facts::{
    TransactionNo, final_status, heard, judged, name, owed_back, plain, receiver, sender, sendings, span, stretch,
};
use super::facts::{time, times, undeliverable};
use super::{CaptureContext, Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::{Connection, Endpoint};
use crate::flow::{Absent, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// O01.
static UNANSWERED: Meta = Meta {
    code: "O01",
    name: "options-unanswered",
    severity: Severity::Warning,
    title: "A peer does not answer OPTIONS, the usual sign of life",
    basis: &["RFC 3261 11.1", "RFC 3261 11.2", "RFC 3261 17.1.2.2"],
    page: include_str!("../../docs/rules/O01-options-unanswered.md"),
};

/// O02.
static REFUSED: Meta = Meta {
    code: "O02",
    name: "options-refused",
    severity: Severity::Info,
    title: "OPTIONS was answered with an error: the peer is alive",
    basis: &["RFC 3261 11.2"],
    page: include_str!("../../docs/rules/O02-options-refused.md"),
};

/// Judges OPTIONS outside of dialogs.
pub(super) struct Keepalive;

impl Rule for Keepalive {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 2] = [&UNANSWERED, &REFUSED];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Options])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let refused = pings(view).find(|(_, t, _)| final_status(view, t).is_some_and(|status| status >= 400));
        findings.extend(refused.and_then(|(_, t, request)| Some(alive(view, request, t.final_response?))));
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let mut in_a_row: HashMap<(IpAddr, Endpoint), usize> = HashMap::new();
        for view in context.analysis.views() {
            for (at, transaction, request) in pings(view) {
                let Connection { src, dst, .. } = transaction.connection;
                let row = in_a_row.entry((src.ip, dst)).or_default();
                if final_status(view, transaction).is_some() {
                    *row = 0;
                } else if owed(view, transaction, request) {
                    *row += 1;
                    findings.push(unanswered(view, at, request, *row));
                }
            }
        }
    }
}

/// OPTIONS requests outside of a dialog as their sender sent them.
fn pings(view: CallView<'_>) -> impl Iterator<Item = (TransactionNo, &Transaction, MessageNo)> {
    super::facts::requests_of(view, Method::Options)
        .filter(move |(_, t, no)| t.upstream.is_none() && view.sip(*no).to_tag().is_empty())
}

/// Whether the silence means anything: not at the end of the capture, not where the other direction is
/// not captured (rule H01), not where ICMP has told already (rule N01).
fn owed(view: CallView<'_>, transaction: &Transaction, request: MessageNo) -> bool {
    let sent = sendings(view, request).len();
    let due = view.capture_after(time(view, request)) >= Duration::from_millis(500);
    (sent > 1 || (due && heard(view, transaction.connection.reversed()))) && !undeliverable(view, transaction)
}

/// O01.
fn unanswered(view: CallView<'_>, at: TransactionNo, request: MessageNo, row: usize) -> Finding {
    let sent = sendings(view, request);
    let severity = match row {
        1 => Severity::Info,
        2 => Severity::Warning,
        _ => Severity::Error,
    };
    let row_words = if row > 1 { format!("; it is number {row} in a row") } else { String::new() };
    let long = if sent.len() > 1 {
        format!(" {} in {}", times(sent.len()), span(stretch(view, &sent)))
    } else {
        String::new()
    };
    let summary = format!(
        "{} does not answer OPTIONS: {} asked{long} without an answer{row_words}",
        receiver(view, request),
        sender(view, request)
    );
    let detail = "OPTIONS asks what a peer can do (RFC 3261 11), and is widely used to see whether it is alive: any answer, even an error, \
                  says yes. One silence may be a lost packet; several in a row mean that the peer or the way to it is down. Look at the \
                  peer, at firewalls and NAT between, and at whether calls to it fail at the same time.";
    let finding = Finding::new(&UNANSWERED, sent.clone(), summary, detail)
        .severity(severity)
        .missing(owed_back(view, "answer to OPTIONS", request))
        .frames(sent.iter().map(|no| view.frame(*no)).collect());
    let mut finding = judged(finding, &judge(view, &Absent::FinalResponse(at)));
    finding.call = Some(view.number);
    finding
}

/// O02.
fn alive(view: CallView<'_>, request: MessageNo, answer: MessageNo) -> Finding {
    let said = name(view, answer);
    let summary = format!("{} answered OPTIONS with {}: it is alive", sender(view, answer), plain(said.as_bytes()));
    let detail = "RFC 3261 11.2: OPTIONS gets the answer that an INVITE to the same target would get. When it only checks whether the peer \
                  is there, any answer will do. When it should be accepted, ask for a user that exists, or give the peer's own address \
                  without a user.";
    Finding::new(&REFUSED, vec![answer, request], summary, detail)
}
