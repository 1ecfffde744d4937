//! A server that asks to be left alone for a while: P04.

use super::facts::{final_status, receiver, sender, span, time};
use super::{CaptureContext, Finding, Meta, Rule, Severity};
use crate::analysis::{Analysis, CallView};
use crate::base::{Endpoint, Timestamp};
use crate::session::MessageNo;
use crate::sip::{HeaderName, Method};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// P04.
static RETRY_AFTER: Meta = Meta {
    code: "P04",
    name: "retry-after-ignored",
    severity: Severity::Warning,
    title: "A client sent a new request to a server before the Retry-After of its 503 had passed",
    basis: &["RFC 3261 21.5.4", "RFC 3261 20.33"],
    page: include_str!("../../docs/rules/P04-retry-after-ignored.md"),
};

/// Judges clients by all their calls: the next request is usually another call.
pub(super) struct RetryAfter;

impl Rule for RetryAfter {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&RETRY_AFTER];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let analysis = context.analysis;
        let refusals = refusals(analysis);
        if refusals.is_empty() {
            return;
        }
        for view in analysis.views() {
            findings.extend(too_soon(view, &refusals));
        }
    }
}

/// A 503 with Retry-After, and how long it holds.
struct Refusal {
    time: Timestamp,
    until: Timestamp,
    frame: u32,
}

type ClientAndServer = (IpAddr, Endpoint);

/// The refusals by client and server, in order of time.
fn refusals(analysis: &Analysis) -> HashMap<ClientAndServer, Vec<Refusal>> {
    let mut refusals: HashMap<ClientAndServer, Vec<Refusal>> = HashMap::new();
    for view in analysis.views() {
        for transaction in view.call.transactions.iter().filter(|t| final_status(view, t) == Some(503)) {
            let Some(answer) = transaction.final_response else {
                continue;
            };
            let Some(seconds) = view.sip(answer).header(HeaderName::RetryAfter).and_then(seconds) else {
                continue;
            };
            let at = time(view, answer);
            let refusal =
                Refusal { time: at, until: at.after(Duration::from_secs(seconds)), frame: view.frame(answer) };
            let key = (transaction.connection.src.ip, transaction.connection.dst);
            refusals.entry(key).or_default().push(refusal);
        }
    }
    for list in refusals.values_mut() {
        list.sort_by_key(|refusal| (refusal.time, refusal.frame));
    }
    refusals
}

/// Retry-After: seconds, then perhaps a comment or parameters (RFC 3261 20.33).
fn seconds(value: &[u8]) -> Option<u64> {
    let digits: Vec<u8> =
        value.iter().copied().skip_while(u8::is_ascii_whitespace).take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// The first initial request of a call that came too soon.
fn too_soon(view: CallView<'_>, refusals: &HashMap<ClientAndServer, Vec<Refusal>>) -> Option<Finding> {
    view.call.transactions.iter().find_map(|transaction| {
        let request = transaction.request?;
        let list = refusals.get(&(transaction.connection.src.ip, transaction.connection.dst))?;
        let initial =
            view.sip(request).to_tag().is_empty() && !matches!(transaction.method, Method::Ack | Method::Cancel);
        if !initial {
            return None;
        }
        let now = time(view, request);
        let last = list[..list.partition_point(|refusal| refusal.time < now)].last()?;
        (now < last.until).then(|| finding(view, request, last, now))
    })
}

fn finding(view: CallView<'_>, request: MessageNo, refusal: &Refusal, now: Timestamp) -> Finding {
    let summary = format!(
        "{} asked {} again {} after it had answered 503 with Retry-After {}",
        sender(view, request),
        receiver(view, request),
        span(now.since(refusal.time)),
        span(refusal.until.since(refusal.time))
    );
    let detail = format!(
        "The 503 is in frame {}. RFC 3261 21.5.4: a server in trouble may name a time, and the client should send it nothing before \
         that has passed but try another server. Asking on makes the overload worse. Look at the client's or proxy's failover \
         settings, and at why the server was unavailable.",
        refusal.frame
    );
    let mut finding =
        Finding::new(&RETRY_AFTER, vec![request], summary, detail).frames(vec![view.frame(request), refusal.frame]);
    finding.call = Some(view.number);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_end_at_comment_or_parameter() {
        assert_eq!(seconds(b"120 (in a meeting)"), Some(120));
        assert_eq!(seconds(b"18000;duration=3600"), Some(18000));
        assert_eq!(seconds(b"soon"), None);
    }
}
