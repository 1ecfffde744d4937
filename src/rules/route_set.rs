//! The route of a dialog: D05 a request does not take it, D06 a response does not give Record-Route back.
//!
//! Both compare what one host sent with what passed between the same two hosts before: who rewrites addresses on
//! the way rewrites both.

use super::ack_route::{ROUTES, is_loose, leads_to, points_at, recorded};
use super::facts::{self, cut, deepest, status};
use super::{Context, Finding, Meta, Rule, Severity, subject};
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::Participant;
use crate::session::{Dialog, MessageNo, Transaction};
use crate::sip::{Facts, Method, Uri};
use std::net::IpAddr;

static D05: Meta = Meta {
    code: "D05",
    name: "route-set-ignored",
    severity: Severity::Warning,
    title: "A request within a dialog does not take the route that was recorded for it",
    basis: &["RFC 3261 12.1.1", "RFC 3261 12.1.2", "RFC 3261 12.2.1.1", "RFC 3261 16.4"],
    page: include_str!("../../docs/rules/D05-route-set-ignored.md"),
};
static D06: Meta = Meta {
    code: "D06",
    name: "record-route-not-returned",
    severity: Severity::Warning,
    title: "A response does not give back the Record-Route of its request",
    basis: &["RFC 3261 12.1.1"],
    page: include_str!("../../docs/rules/D06-record-route-not-returned.md"),
};

/// How often the route of a side is looked up in a dialog: a few requests, such as PRACK, come before the 2xx that
/// settles it; a flood must not be searched for each of its requests.
const TRIES: usize = 16;

/// See the module.
pub(super) struct RouteSet;

impl Rule for RouteSet {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&D05, &D06] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().has(Facts::RECORD_ROUTE)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if !view.messages().any(|(_, seen)| seen.message.has(Facts::RECORD_ROUTE)) {
            return;
        }
        for dialog in &view.call.dialogs {
            not_taken(view, dialog, findings);
        }
        for at in deepest(view, |_, t| not_returned(view, t).is_some()) {
            let t = view.call.transaction(at);
            findings.extend(not_returned(view, t).map(|response| lost_route(view, t, response)));
        }
    }
}

/// The route of one side of a dialog.
struct Route<'a> {
    /// The message that told it.
    source: MessageNo,
    /// In the order of use, the own address left out.
    hops: Vec<&'a [u8]>,
    /// Who was next when the dialog was set up.
    next: Idx<Participant>,
}

/// D05, once for each side. ACK has a rule of its own (I06); a CANCEL goes hop by hop.
fn not_taken(view: CallView<'_>, dialog: &Dialog, findings: &mut Vec<Finding>) {
    let mut routes: [Option<(Idx<Participant>, Option<Route<'_>>)>; 2] = [None, None];
    let mut told = [false; 2];
    let mut tries = [TRIES; 2];
    let sent = dialog.transactions.iter().filter_map(|at| {
        let t = view.call.transaction(*at);
        t.request.filter(|_| !matches!(t.method, Method::Ack | Method::Cancel))
    });
    for request in sent.filter(|no| view.sip(*no).via_count() == 1 && !cut(view, *no)) {
        let by_caller = view.sip(request).from_tag() == dialog.caller_tag;
        let (side, sender) = (usize::from(by_caller), view.call.message(request).from);
        if told[side] {
            continue;
        }
        let known = routes[side].take().filter(|(of, route)| *of == sender && (route.is_some() || tries[side] == 0));
        let (_, route) = known.unwrap_or_else(|| {
            let again = tries[side] > 0;
            tries[side] = tries[side].saturating_sub(1);
            (sender, again.then(|| route_of(view, dialog, request, by_caller)).flatten())
        });
        if let Some(finding) = route.as_ref().and_then(|route| strayed(view, request, route)) {
            findings.push(finding);
            told[side] = true;
        }
        routes[side] = Some((sender, route));
    }
}

/// What the sender of `request` learned when the dialog was set up, on the hop next to it.
fn route_of<'a>(view: CallView<'a>, dialog: &Dialog, request: MessageNo, by_caller: bool) -> Option<Route<'a>> {
    let sender = view.call.message(request).from;
    let own = view.seen(request).connection.src.ip;
    dialog.created_by.iter().rev().find_map(|at| {
        let t = view.call.transaction(*at);
        let invite = t.request.filter(|no| !cut(view, *no))?;
        let placed = view.call.message(invite);
        let adjacent =
            if by_caller { placed.from == sender && view.sip(invite).via_count() == 1 } else { placed.to == sender };
        if !adjacent {
            return None;
        }
        let answer = answer(view, dialog, t, request)?;
        let source = if by_caller { answer } else { invite };
        let hops: Vec<&[u8]> = if by_caller {
            recorded(view.sip(answer), own)
        } else {
            let all = view.sip(invite).record_routes().take(ROUTES).map(|route| route.uri);
            all.skip_while(|route| points_at(route, own)).collect()
        };
        let strict = hops.iter().any(|route| !is_loose(route));
        let next = if by_caller { placed.to } else { placed.from };
        (!hops.is_empty() && !strict).then_some(Route { source, hops, next })
    })
}

/// The 2xx that set the dialog up, when it had come before `request`; before that a provisional response which
/// records a route.
fn answer(view: CallView<'_>, dialog: &Dialog, t: &Transaction, request: MessageNo) -> Option<MessageNo> {
    let known =
        || {
            t.messages.iter().copied().take_while(|no| *no < request).filter(|no| {
                view.sip(*no).to_tag() == dialog.callee_tag && !view.sip(*no).is_request() && !cut(view, *no)
            })
        };
    let success = known().find(|no| (200..300).contains(&status(view, *no)));
    let early = || known().find(|no| (101..200).contains(&status(view, *no)) && view.sip(*no).has(Facts::RECORD_ROUTE));
    success.or_else(early)
}

/// How a request goes astray, if it does. More routes than were recorded harm nobody: a client may have an
/// outbound proxy set up.
fn strayed(view: CallView<'_>, request: MessageNo, route: &Route<'_>) -> Option<Finding> {
    let message = view.sip(request);
    let taken: Vec<&[u8]> = message.routes().take(ROUTES).map(|route| route.uri).collect();
    if taken.iter().any(|route| !is_loose(route)) {
        return None;
    }
    let placed = view.call.message(request);
    if takes(&taken, route.hops.iter()) {
        let to = view.seen(request).connection.dst.ip;
        let past = placed.to != route.next && past_first(message.request_uri(), route, to);
        return past.then(|| astray(view, request, route, "went past the first proxy of its route"));
    }
    if taken.is_empty() {
        return Some(astray(view, request, route, "has no Route, although one was recorded for the call"));
    }
    let finding = astray(view, request, route, "takes another route than the one recorded for the call");
    let turned = placed.to == route.next && takes(&taken, route.hops.iter().rev());
    Some(if turned { finding.severity(Severity::Info) } else { finding })
}

/// Whether a request stops at all of these, in order; what cannot be read counts as right.
fn takes<'a>(taken: &[&[u8]], mut stops: impl Iterator<Item = &'a &'a [u8]>) -> bool {
    let mut taken = taken.iter();
    stops.all(|stop| taken.any(|ours| leads_to(ours, stop).unwrap_or(true)))
}

/// Whether the packet went to a later stop of the route, or to its target, though the first stop is another address.
fn past_first(target: &[u8], route: &Route<'_>, to: IpAddr) -> bool {
    let literal = |uri: &[u8]| std::str::from_utf8(Uri::parse(uri)?.host).ok()?.parse::<IpAddr>().ok();
    let Some((first, later)) = route.hops.split_first() else { return false };
    literal(first).is_some_and(|first| first != to)
        && later.iter().copied().chain([target]).any(|stop| points_at(stop, to))
}

fn astray(view: CallView<'_>, request: MessageNo, route: &Route<'_>, what: &str) -> Finding {
    let (from, to) = (facts::sender(view, request), facts::receiver(view, request));
    let list = |uris: Vec<&[u8]>| match uris {
        uris if uris.is_empty() => "none".to_owned(),
        uris => uris.into_iter().take(4).map(subject::address).collect::<Vec<_>>().join(", "),
    };
    let summary = format!("The {} that {from} sent to {to} {what}.", facts::name(view, request));
    let detail = format!(
        "Route of the request: {}. Route that {from} learned from Record-Route in its {}: {}. All requests of a dialog take that route (RFC 3261 \
         12.2.1.1); a proxy that is left out cannot follow the call, and a firewall or billing behind it loses it. Look next at the \
         software of {from}.",
        list(view.sip(request).routes().take(ROUTES).map(|route| route.uri).collect()),
        facts::name(view, route.source),
        list(route.hops.clone())
    );
    Finding::new(&D05, vec![request, route.source], summary, detail)
}

/// The response to the first request of a dialog that lacks Record-Route values of it; a 2xx before a
/// provisional one. As many values with other hosts are the work of one that rewrites addresses.
fn not_returned(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    let request = t.request.filter(|_| matches!(t.method, Method::Invite | Method::Subscribe | Method::Refer))?;
    let asked = view.sip(request);
    if !asked.has(Facts::RECORD_ROUTE) || !asked.to_tag().is_empty() || cut(view, request) {
        return None;
    }
    let owed = asked.record_routes().take(ROUTES).count();
    let lacks = |no: &MessageNo| {
        let message = view.sip(*no);
        let forms = (101..300).contains(&status(view, *no)) && !message.to_tag().is_empty();
        forms && !cut(view, *no) && message.record_routes().take(ROUTES).count() < owed
    };
    t.messages.iter().copied().filter(lacks).max_by_key(|no| (status(view, *no) >= 200, std::cmp::Reverse(*no)))
}

fn lost_route(view: CallView<'_>, t: &Transaction, response: MessageNo) -> Finding {
    let (server, client) = (facts::sender(view, response), facts::receiver(view, response));
    let what = facts::name(view, response);
    let owed = t.request.map_or(0, |no| view.sip(no).record_routes().take(ROUTES).count());
    let summary = format!(
        "The {what} of {server} gives back {} of the {owed} Record-Route values that the {} of {client} had.",
        view.sip(response).record_routes().take(ROUTES).count(),
        view.sip(response).method_name()
    );
    let detail = format!(
        "A response that sets up a dialog repeats all Record-Route values of its request, in order (RFC 3261 12.1.1); the caller learns its route \
         from them alone. Without them its ACK and BYE go past the proxies that asked to stay in the call, and may reach nobody. Look \
         next at the software of {server}."
    );
    let finding = Finding::new(&D06, t.request.into_iter().chain([response]).rev().collect(), summary, detail);
    // Nothing is sent along the route of an unreliable provisional response, and the 2xx settles it.
    let matters = status(view, response) >= 200 || view.sip(response).has(Facts::RSEQ);
    if matters { finding } else { finding.severity(Severity::Info) }
}
