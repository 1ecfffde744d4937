//! N02: a connection was lost while a request on it waited for its response, or was never opened.

use super::facts::{TIMEOUT, TransactionNo, heard, name, span, time, times};
use super::{CaptureContext, Finding, Meta, Rule, Severity, subject};
use crate::analysis::{Analysis, CallView, Closing, Ending};
use crate::base::{AnomalyKind, Endpoint, Idx};
use crate::call::Outcome;
use crate::flow::{Absent, Cause, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

static N02: Meta = Meta {
    code: "N02",
    name: "connection-lost",
    severity: Severity::Error,
    title: "A connection was closed, reset or refused before a request on it was answered",
    basis: &["RFC 3261 18.4", "RFC 3261 17.1.4", "RFC 3261 8.1.3.1"],
    page: include_str!("../../docs/rules/N02-connection-lost.md"),
};

/// See the module.
pub(super) struct ConnectionLost;

impl Rule for ConnectionLost {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&N02] }
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let analysis = context.analysis;
        if analysis.closings.is_empty() {
            return;
        }
        let lost = Lost::of(analysis);
        for view in analysis.views() {
            lost.in_call(view, findings);
        }
        findings.extend(refused(analysis));
    }
}

/// Both ends, the lower one first.
type Ends = (Endpoint, Endpoint);

fn ends(a: Endpoint, b: Endpoint) -> Ends {
    (a.min(b), a.max(b))
}

/// When connections ended, by their ends, in order of capture.
struct Lost<'a>(HashMap<Ends, Vec<&'a Closing>, RandomState>);

impl<'a> Lost<'a> {
    fn of(analysis: &'a Analysis) -> Self {
        let mut all: HashMap<Ends, Vec<&Closing>, RandomState> = HashMap::default();
        for closing in analysis.closings.iter().filter(|closing| closing.how != Ending::Refused) {
            all.entry(ends(closing.connection.src, closing.connection.dst)).or_default().push(closing);
        }
        for closings in all.values_mut() {
            closings.sort_by_key(|closing| closing.frame);
        }
        Self(all)
    }

    /// One finding for all that one end of a connection took with it.
    fn in_call(&self, view: CallView<'_>, findings: &mut Vec<Finding>) {
        let mut by_end: BTreeMap<u32, (&Closing, Vec<TransactionNo>)> = BTreeMap::new();
        for (at, t) in view.transactions().filter(|(_, t)| t.connection.transport.is_reliable()) {
            if let Some(closing) = self.during(view, t).filter(|closing| !only_not_captured(view, at, closing)) {
                by_end.entry(closing.frame).or_insert_with(|| (closing, Vec::new())).1.push(at);
            }
        }
        findings.extend(by_end.into_values().filter_map(|(closing, open)| lost(view, closing, &open)));
    }

    /// What ended the connection of this request before its final response passed.
    fn during(&self, view: CallView<'_>, t: &Transaction) -> Option<&'a Closing> {
        let request = t.request.filter(|_| t.method != Method::Ack)?;
        let way = view.seen(request).connection;
        let closings = self.0.get(&ends(way.src, way.dst))?;
        let sent = view.frame(request);
        let closing = *closings.get(closings.partition_point(|closing| closing.frame < sent))?;
        // A side that has no more to say (FIN) may still listen.
        let answered = t
            .final_response
            .is_some_and(|no| view.frame(no) <= closing.frame || view.seen(no).connection == way.reversed());
        (!answered && closing.time >= time(view, request) && t.ack.is_none()).then_some(closing)
    }
}

/// Whether there may have been a final response that the capture lacks: its effect is seen, streams have
/// holes, or nothing at all of the server is in the capture.
fn only_not_captured(view: CallView<'_>, at: TransactionNo, closing: &Closing) -> bool {
    let t = view.call.transaction(at);
    if t.final_response.is_some() {
        return false;
    }
    if heard(view, t.connection.reversed()) {
        return judge(view, &Absent::FinalResponse(at)).cause == Cause::NotCaptured;
    }
    view.analysis.anomalies.of(AnomalyKind::TcpGap).is_some() || closing.connection.src.ip != t.connection.dst.ip
}

fn lost(view: CallView<'_>, closing: &Closing, open: &[Idx<Transaction>]) -> Option<Finding> {
    let worst = open.iter().map(|at| view.call.transaction(*at)).max_by_key(|t| harm(view, t))?;
    let request = worst.request?;
    let seen = view.seen(request);
    let (by, verb) = (closing.connection.src, if closing.how == Ending::Reset { "reset" } else { "closed" });
    let after = span(closing.time.since(time(view, request)));
    let end = match worst.final_response {
        Some(no) => format!("the {} came over another connection", name(view, no)),
        None => "no final response is seen".to_owned(),
    };
    let transport = seen.connection.transport.name();
    let summary = format!(
        "{by} {verb} the {transport} connection {after} after the {} of {}, before that was answered: {end}.",
        name(view, request),
        seen.connection.src
    );
    let others =
        if open.len() > 1 { format!(" {} requests of this call were open on it.", open.len()) } else { String::new() };
    let detail = format!(
        "The connection ended in frame {}.{others} Over {transport} nobody sends a request twice: the client takes this for a 503 (RFC 3261 \
         17.1.4, 8.1.3.1) and may try again or another server; the server opens a connection of its own for its response (18.2.2). Look next \
         at why {by} ended it: a crash or restart, an idle timer of a firewall or load balancer, a limit, a refused certificate.",
        closing.frame
    );
    let messages: Vec<MessageNo> =
        open.iter().filter_map(|at| view.call.transaction(*at).request).take(POINTED_AT).collect();
    let frames = messages.iter().map(|no| view.frame(*no)).chain([closing.frame]).collect();
    let mut finding = Finding::new(&N02, messages, summary, detail).severity(harm(view, worst)).frames(frames);
    finding.call = Some(view.number);
    // Until the client gives up, the response may still come by a connection of its own.
    let early = worst.final_response.is_none() && view.capture_after(closing.time) < TIMEOUT;
    Some(if early { finding.open().severity(harm(view, worst).min(Severity::Warning)) } else { finding })
}

/// Frames that one finding points at.
const POINTED_AT: usize = 32;

/// What came later by another way did no harm, and what the call got over little.
fn harm(view: CallView<'_>, t: &Transaction) -> Severity {
    let well = matches!(
        view.call.outcome,
        Outcome::Answered | Outcome::Active | Outcome::Registered | Outcome::Unregistered | Outcome::Accepted
    );
    match t.final_response {
        Some(_) => Severity::Info,
        None if well => Severity::Warning,
        None => Severity::Error,
    }
}

/// Connections that were never opened, by client and server: no request shows which call they were for.
fn refused(analysis: &Analysis) -> Vec<Finding> {
    let mut attempts: BTreeMap<(IpAddr, Endpoint), Vec<&Closing>> = BTreeMap::new();
    for closing in analysis.closings.iter().filter(|closing| closing.how == Ending::Refused) {
        attempts.entry((closing.connection.dst.ip, closing.connection.src)).or_default().push(closing);
    }
    let finding = |((client, server), closings): ((IpAddr, Endpoint), Vec<&Closing>)| {
        let often = if closings.len() > 1 { format!(" ({})", times(closings.len())) } else { String::new() };
        let summary = format!("{server} refused the connection that {client} wanted to open{often}.");
        let detail = format!(
            "The host {} is up, but nothing listens on port {}, or a firewall rejects it. What {client} had to send was not sent: it takes this \
             for a 503 and may try another server (RFC 3261 18.4, 8.1.3.1). Look next whether the SIP software runs there with this transport.",
            server.ip, server.port
        );
        let frames = subject::frames_of(closings.iter().map(|closing| closing.frame));
        Finding::new(&N02, Vec::new(), summary, detail).severity(Severity::Warning).frames(frames).cause(Cause::NotSent)
    };
    attempts.into_iter().map(finding).collect()
}
