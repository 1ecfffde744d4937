//! P08: a server failed, and the client did not try the other one that it knows (RFC 3263 4.3).
//!
//! Which servers a domain has is told by DNS, which is not read; what the client itself used before is.

use super::facts::{TIMEOUT, final_status, heard, name, sendings, time, times, undeliverable};
use super::{CaptureContext, Finding, Meta, Rule, Severity, subject};
use crate::analysis::{Analysis, CallView};
use crate::base::{Endpoint, Timestamp};
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Method, Uri};
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

static P08: Meta = Meta {
    code: "P08",
    name: "no-failover",
    severity: Severity::Info,
    title: "A server failed, and the client did not try another server of that domain",
    basis: &["RFC 3263 4.3", "RFC 3261 8.1.3.1"],
    page: include_str!("../../docs/rules/P08-no-failover.md"),
};

/// Servers of one domain that are kept for one client; SRV records rarely name more.
const SERVERS: usize = 16;
/// Transactions after a failure among which the next attempt is searched.
const LOOKED_AT: usize = 256;

/// See the module.
pub(super) struct NoFailover;

/// The client, and the domain that it asks.
type Asked<'a> = (IpAddr, &'a [u8]);

impl Rule for NoFailover {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&P08];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let attempts = attempts(context.analysis);
        for ((_, domain), attempts) in &attempts {
            findings.extend(not_tried(context.analysis, domain, attempts));
        }
    }
}

/// One request to a domain, at one of its servers.
struct Attempt {
    call: usize,
    request: MessageNo,
    time: Timestamp,
    server: Endpoint,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered(Timestamp),
    Failed(Timestamp),
    Unknown,
}

/// The initial requests of each client to each domain, in order of time; only where a server failed, and
/// there were several to choose from.
fn attempts(analysis: &Analysis) -> BTreeMap<Asked<'_>, Vec<Attempt>> {
    let failed: HashSet<Asked<'_>, RandomState> = analysis
        .calls
        .par_iter()
        .enumerate()
        .flat_map_iter(|(number, _)| initial(analysis.view(number), |_, end| matches!(end, End::Failed(_))))
        .map(|(asked, _)| asked)
        .collect();
    let mut all: BTreeMap<Asked<'_>, Vec<Attempt>> = BTreeMap::new();
    if failed.is_empty() {
        return all;
    }
    let clients: HashSet<IpAddr, RandomState> = failed.iter().map(|(client, _)| *client).collect();
    let of_clients = |view| initial(view, |client, _| clients.contains(&client));
    for (asked, attempt) in analysis.views().flat_map(of_clients).filter(|(asked, _)| failed.contains(asked)) {
        all.entry(asked).or_default().push(attempt);
    }
    all.retain(|_, attempts| attempts.iter().any(|attempt| attempt.server.ip != attempts[0].server.ip));
    for attempts in all.values_mut() {
        attempts.sort_by_key(|attempt| attempt.time);
    }
    all
}

/// The requests of a call outside of dialogs whose client and end are `wanted`.
fn initial(view: CallView<'_>, wanted: impl Fn(IpAddr, End) -> bool) -> impl Iterator<Item = (Asked<'_>, Attempt)> {
    let requests = view.call.transactions.iter().filter(|t| !matches!(t.method, Method::Ack | Method::Cancel));
    requests.filter_map(move |t| {
        let (request, end, client) = (t.request?, end(view, t), t.connection.src.ip);
        if !wanted(client, end) {
            return None;
        }
        let asked = (client, domain(view, request)?);
        let (time, server) = (time(view, request), t.connection.dst);
        Some((asked, Attempt { call: view.number, request, time, server, end }))
    })
}

/// The name that the client had to look up for a request outside of a dialog: of the first Route, else of
/// the Request-URI. An address needs no look-up.
fn domain(view: CallView<'_>, request: MessageNo) -> Option<&[u8]> {
    let message = view.sip(request);
    if !message.to_tag().is_empty() {
        return None;
    }
    let route = message.routes().next().map(|route| route.uri);
    let uri = Uri::parse(route.unwrap_or(message.request_uri()))?;
    let is_address = std::str::from_utf8(uri.host).is_ok_and(|host| host.parse::<IpAddr>().is_ok());
    (!is_address).then_some(uri.host)
}

/// 503, an ICMP error and silence until the timer has run out are failures of the server.
fn end(view: CallView<'_>, t: &Transaction) -> End {
    let answered = t.final_response.map(|no| time(view, no));
    match (final_status(view, t), answered, t.request) {
        (Some(503), Some(at), _) => End::Failed(at),
        (Some(_), Some(at), _) => End::Answered(at),
        (_, _, Some(request)) if undeliverable(view, t) => End::Failed(time(view, request)),
        (_, _, Some(request)) if t.provisional.is_none() && heard(view, t.connection.reversed()) => {
            let sent = sendings(view, request);
            let insisted = sent.len() > 2
                && sent.last().is_some_and(|last| time(view, *last).since(time(view, request)) * 2 > TIMEOUT);
            if insisted { End::Failed(time(view, request).after(TIMEOUT)) } else { End::Unknown }
        }
        _ => End::Unknown,
    }
}

/// The first failure of a server that the client left at that, though another one had answered before.
fn not_tried(analysis: &Analysis, domain: &[u8], attempts: &[Attempt]) -> Option<Finding> {
    let mut good: Vec<(Endpoint, Timestamp)> = Vec::new();
    let mut found: Option<(usize, Endpoint)> = None;
    let mut more = 0;
    for (at, attempt) in attempts.iter().enumerate() {
        match attempt.end {
            End::Answered(when) => {
                if good.len() < SERVERS && good.iter().all(|(server, _)| *server != attempt.server) {
                    good.push((attempt.server, when));
                }
            }
            End::Failed(when) => {
                let other = good.iter().find(|(server, since)| server.ip != attempt.server.ip && *since < attempt.time);
                let Some((other, _)) = other else { continue };
                let watched = analysis.last.is_some_and(|last| last.since(when) >= TIMEOUT);
                let next = attempts[at + 1..].iter().take(LOOKED_AT);
                let mut next = next.take_while(|later| later.time <= when.after(TIMEOUT));
                if !watched || next.any(|later| later.server.ip != attempt.server.ip) {
                    continue;
                }
                more += usize::from(found.is_some());
                found.get_or_insert((at, *other));
            }
            End::Unknown => {}
        }
    }
    let (at, other) = found?;
    Some(finding(analysis, domain, &attempts[at], other, more))
}

fn finding(analysis: &Analysis, domain: &[u8], attempt: &Attempt, other: Endpoint, more: usize) -> Finding {
    let view = analysis.view(attempt.call);
    let request = attempt.request;
    let (client, server) = (view.seen(request).connection.src, attempt.server);
    let what = name(view, request);
    let domain = super::facts::plain(domain);
    let summary = format!(
        "{} failed to take the {what} of {}, which did not try the other server of {domain}, {other}",
        server,
        subject::host(client)
    );
    let again = if more > 0 { format!(" The same was seen {} more.", times(more)) } else { String::new() };
    let detail = format!(
        "{other} has answered this client for {domain} before.{again} RFC 3263 4.3: after a 503, a transport error or a timeout the client \
         sends the request to the next server that DNS names. Look at the failover settings of the client, and at what DNS says now: the \
         capture does not show whether {other} is still one of the servers."
    );
    let mut finding = Finding::new(&P08, vec![request], summary, detail).frames(vec![view.frame(request)]);
    finding.call = Some(view.number);
    finding.open().cause(Cause::Undetermined)
}
