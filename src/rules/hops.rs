//! Hop counts and loops: P05, P06 and P07.

use super::facts::{final_status, name, plain, receiver, requests_of, sender};
use super::outline::Trait;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Connection;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Message, Method};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// P05.
static LOOP: Meta = Meta {
    code: "P05",
    name: "loop",
    severity: Severity::Error,
    title: "A request goes round in a loop between proxies",
    basis: &["RFC 3261 16.3 item 4", "RFC 3261 16.6 item 8", "RFC 5393 4.2"],
    page: include_str!("../../docs/rules/P05-loop.md"),
};

/// P06.
static TOO_MANY_HOPS: Meta = Meta {
    code: "P06",
    name: "too-many-hops",
    severity: Severity::Error,
    title: "A request used up its Max-Forwards before it arrived",
    basis: &["RFC 3261 16.3 item 3", "RFC 3261 8.1.1.6"],
    page: include_str!("../../docs/rules/P06-too-many-hops.md"),
};

/// P07.
static MAX_FORWARDS: Meta = Meta {
    code: "P07",
    name: "max-forwards-wrong",
    severity: Severity::Warning,
    title: "Max-Forwards is missing, or was not counted down by a proxy",
    basis: &["RFC 3261 8.1.1.6", "RFC 3261 16.6 item 3"],
    page: include_str!("../../docs/rules/P07-max-forwards-wrong.md"),
};

/// Passes of one request over one hop, with the same target, that no plan can explain. Application
/// servers legally see a request twice; a third time the same way is a loop.
const PASSES: usize = 3;
/// Passes that a finding points at.
const POINTED_AT: usize = 16;

/// Judges hop counts and loops.
pub(super) struct Hops;

impl Rule for Hops {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 3] = [&LOOP, &TOO_MANY_HOPS, &MAX_FORWARDS];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let outline = context.outline();
        outline.shows(Trait::FORWARDED | Trait::UNCOUNTED)
            || usize::from(outline.vias()) > PASSES
            || outline.answered(&[482, 483])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let looping = seen_loop(view).or_else(|| refused_loop(view));
        if looping.is_none() {
            findings.extend(too_many_hops(view));
        }
        findings.extend(looping);
        findings.extend(not_counted_down(view));
        findings.extend(missing(view));
    }
}

/// P05: the same request passes the same hop with the same target again and again.
fn seen_loop(view: CallView<'_>) -> Option<Finding> {
    type Pass<'a> = (&'a [u8], &'a [u8], u32, Method, Connection);
    // Each pass has one more Via, and the first of them two.
    let vias = |t: &Transaction| t.request.map_or(0, |no| usize::from(view.sip(no).via_count()));
    if !view.call.transactions.iter().any(|t| vias(t) > PASSES) {
        return None;
    }
    let mut passes: HashMap<Pass<'_>, Vec<MessageNo>, RandomState> = HashMap::default();
    let mut worst: Option<(&[u8], MessageNo, Vec<MessageNo>)> = None;
    for transaction in &view.call.transactions {
        let Some(request) = transaction.request else {
            continue;
        };
        let message = view.sip(request);
        // A client's own requests start anew each time; only what came through a proxy can go round.
        if message.via_count() < 2 || transaction.method == Method::Ack {
            continue;
        }
        let key =
            (message.call_id(), message.request_uri(), transaction.cseq, transaction.method, transaction.connection);
        let pass = passes.entry(key).or_default();
        let deeper = pass.last().is_none_or(|before| view.sip(*before).via_count() < message.via_count());
        if deeper {
            pass.push(request);
        }
        if pass.len() >= PASSES && worst.as_ref().is_none_or(|(.., worst)| worst.len() < pass.len()) {
            worst = Some((message.request_uri(), request, pass.iter().copied().take(POINTED_AT).collect()));
        }
    }
    let (target, last, messages) = worst?;
    let passed = messages.len();
    let summary = format!(
        "The {} for {} goes round in a loop: it passed {} to {} {passed} times",
        subject::method(view.sip(last)),
        subject::address(target),
        sender(view, last),
        receiver(view, last),
    );
    let detail = format!(
        "The same request, with the same target and one more Via each time (up to {} here), passes the same way again. A request \
         that comes back to a proxy with another target is legal (a spiral); with the same target it never ends, until \
         Max-Forwards is used up (RFC 3261 16.3). Compare the routing of both proxies for this target: each believes that the \
         other one is responsible.",
        view.sip(last).via_count()
    );
    Some(Finding::new(&LOOP, messages, summary, detail))
}

/// P05: a proxy or user agent says so with 482, and no retry had success.
fn refused_loop(view: CallView<'_>) -> Option<Finding> {
    let at_client = |wanted: u16| move |t: &&Transaction| t.upstream.is_none() && final_status(view, t) == Some(wanted);
    let transaction = view.call.transactions.iter().find(at_client(482))?;
    let (answer, request) = (transaction.final_response?, transaction.request?);
    let summary = format!("{}: {} found a loop (482)", subject::attempt(view, request), sender(view, answer));
    let detail = "482 says that the request came to the same element before: either a loop between proxies (RFC 3261 16.3 item 4), or a \
                  fork that reached one user agent by two ways (8.2.2.2). Look at the routing of the proxies on the way, and at users \
                  registered with several contacts that lead to the same place.";
    Some(Finding::new(&LOOP, vec![answer, request], summary, detail))
}

/// P06. An OPTIONS with a small Max-Forwards asks for just that answer (RFC 3261 11).
fn too_many_hops(view: CallView<'_>) -> Option<Finding> {
    let refused = view
        .call
        .transactions
        .iter()
        .find(|t| t.upstream.is_none() && t.method != Method::Options && final_status(view, t) == Some(483))?;
    let (answer, request) = (refused.final_response?, refused.request?);
    let started = max_forwards(view.sip(request)).map_or_else(|| "none".to_owned(), |value| value.to_string());
    let summary = format!("{}: the request went over too many hops (483)", subject::attempt(view, request));
    let detail = format!(
        "Max-Forwards was {started} where the request left its sender and each proxy counts it down; the element that got it with 0 \
         answered 483 (RFC 3261 16.3 item 3). Usually proxies send the request to each other in a loop: compare their routing for \
         {}. When Max-Forwards starts far below 70, look at the sender.",
        subject::address(view.sip(request).request_uri())
    );
    Some(Finding::new(&TOO_MANY_HOPS, vec![answer, request], summary, detail))
}

fn max_forwards(message: &Message) -> Option<u32> {
    std::str::from_utf8(message.header(HeaderName::MaxForwards)?).ok()?.trim().parse().ok()
}

/// P07: a proxy forwarded a request without taking one off.
fn not_counted_down(view: CallView<'_>) -> Option<Finding> {
    let (before, after) = view.call.transactions.iter().find_map(|t| {
        let (after, before) = (t.request?, view.call.transaction(t.upstream?).request?);
        let (left, right) = (max_forwards(view.sip(before))?, max_forwards(view.sip(after))?);
        (right >= left && left <= 255).then_some((before, after))
    })?;
    let summary =
        format!("{} forwarded the {} without counting down Max-Forwards", sender(view, after), name(view, after));
    let detail = format!(
        "Max-Forwards is {} before and {} behind this proxy. RFC 3261 16.6 item 3: each proxy takes one off; where none does, a \
         routing loop never ends. Look at the proxy; an element that ends the call and starts a new one (B2BUA) may set its own.",
        max_forwards(view.sip(before)).unwrap_or_default(),
        max_forwards(view.sip(after)).unwrap_or_default()
    );
    Some(Finding::new(&MAX_FORWARDS, vec![after, before], summary, detail))
}

/// P07: told once for a call. Nothing breaks by it as long as nothing loops.
fn missing(view: CallView<'_>) -> Option<Finding> {
    let lacks = |no: MessageNo| {
        let message = view.sip(no);
        !message.has(Facts::MAX_FORWARDS) && !message.has(Facts::CUT) && !message.has(Facts::MALFORMED)
    };
    let all = [Method::Invite, Method::Register, Method::Options, Method::Bye, Method::Message, Method::Subscribe];
    let request =
        all.iter().flat_map(|method| requests_of(view, *method)).map(|(.., no)| no).filter(|no| lacks(*no)).min()?;
    let summary =
        format!("The {} of {} has no Max-Forwards", name(view, request), plain(sender(view, request).as_bytes()));
    let detail = "RFC 3261 8.1.1.6: each request carries Max-Forwards, usually 70, so that a loop ends. Software from before RFC 3261 \
                  leaves it out; proxies then add it (16.6 item 3). Harmless until routing goes wrong.";
    Some(Finding::new(&MAX_FORWARDS, vec![request], summary, detail).severity(Severity::Info))
}
