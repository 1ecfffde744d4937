//! How reliable provisional responses are used (RFC 3262): X03 to X06. X01 and X02 tell what is missing.
//!
//! Every hop of a proxy shows the same; judged is the one nearest to the caller.

use super::facts::{self, cut, heard, name, plain, receiver, requests_of, sender, span, status, success, time};
use super::reliable::{Named, Pracked, insisted};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Transport;
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Message, Method};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

static RACK: Meta = Meta {
    code: "X03",
    name: "rack-does-not-match",
    severity: Severity::Error,
    title: "A PRACK names a response that does not wait for one",
    basis: &["RFC 3262 3", "RFC 3262 7.2"],
    page: include_str!("../../docs/rules/X03-rack-does-not-match.md"),
};
static ORDER: Meta = Meta {
    code: "X04",
    name: "rseq-out-of-order",
    severity: Severity::Warning,
    title: "Reliable provisional responses do not follow each other one by one",
    basis: &["RFC 3262 3", "RFC 3262 4"],
    page: include_str!("../../docs/rules/X04-rseq-out-of-order.md"),
};
static MISUSE: Meta = Meta {
    code: "X05",
    name: "reliability-misused",
    severity: Severity::Warning,
    title: "A provisional response is reliable, or is not, against what was agreed",
    basis: &["RFC 3262 3"],
    page: include_str!("../../docs/rules/X05-reliability-misused.md"),
};
static TOO_EARLY: Meta = Meta {
    code: "X06",
    name: "answered-before-prack",
    severity: Severity::Warning,
    title: "A call was answered before the PRACK for a reliable session description had come",
    basis: &["RFC 3262 3", "RFC 3262 5"],
    page: include_str!("../../docs/rules/X06-answered-before-prack.md"),
};

/// Packets closer than this may have been swapped by the network.
const REORDERED: Duration = Duration::from_millis(200);
/// And by the capture point.
const SWAPPED: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct ReliableUse;

impl Rule for ReliableUse {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&RACK, &ORDER, &MISUSE, &TOO_EARLY] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().has(Facts::RSEQ | Facts::RACK | Facts::REQUIRE)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let concerned = |message: &Message| [Facts::RSEQ, Facts::RACK, Facts::REQUIRE].iter().any(|f| message.has(*f));
        if !view.messages().any(|(_, seen)| concerned(&seen.message)) {
            return;
        }
        let pracked = Pracked::of(view);
        for (_, t, request) in requests_of(view, Method::Invite).filter(|(_, t, _)| t.upstream.is_none()) {
            findings.extend(order(view, t, &pracked));
            findings.extend(misuse(view, t, request));
            findings.extend(too_early(view, t, &pracked));
        }
        not_matching(view, findings);
    }
}

/// The provisional responses of a transaction, each once, in order.
fn provisional<'a>(view: CallView<'a>, t: &'a Transaction) -> impl Iterator<Item = MessageNo> + 'a {
    let first = move |no: &MessageNo| view.call.message(*no).copy.is_none();
    t.messages.iter().copied().filter(move |no| (100..200).contains(&status(view, *no)) && first(no))
}

/// X03. That a PRACK for a response which the capture lacks was accepted is no fault of anybody.
fn not_matching(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let mut sent: HashSet<Named<'_>, RandomState> = HashSet::default();
    let mut dialogs: HashSet<(&[u8], u32), RandomState> = HashSet::default();
    for (no, seen) in view.messages().filter(|(_, seen)| seen.message.has(Facts::RSEQ)) {
        let message = &seen.message;
        if let (101..200, Some(rseq), Some(cseq)) = (status(view, no), message.rseq(), message.cseq_number()) {
            sent.insert((message.to_tag(), rseq, cseq));
            dialogs.insert((message.to_tag(), cseq));
        }
    }
    let invites: HashSet<(&[u8], u32), RandomState> = requests_of(view, Method::Invite)
        .filter(|(_, t, _)| heard(view, t.connection.reversed()))
        .map(|(_, t, request)| (view.sip(request).from_tag(), t.cseq))
        .collect();
    let mut accepted: HashSet<Named<'_>, RandomState> = HashSet::default();
    for (_, t, request) in requests_of(view, Method::Prack).filter(|(_, t, _)| t.upstream.is_none()) {
        let prack = view.sip(request);
        let Some(rack) = prack.rack() else { continue };
        let named = (prack.to_tag(), rack.rseq, rack.cseq);
        let known = sent.contains(&named) && Method::from_bytes(rack.method) == Method::Invite;
        let refused = t.final_response.filter(|no| status(view, *no) == 481);
        match refused {
            Some(answer) if known && accepted.contains(&named) => {
                findings.push(wrong_rack(view, request, answer, "that response was acknowledged before"));
            }
            // Where no reliable response is seen at all, the capture lacks it.
            Some(answer)
                if !known
                    && dialogs.contains(&(prack.to_tag(), rack.cseq))
                    && invites.contains(&(prack.from_tag(), rack.cseq)) =>
            {
                findings.push(wrong_rack(view, request, answer, "no such response was sent"));
            }
            _ => {}
        }
        if success(view, t).is_some() {
            accepted.insert(named);
        }
    }
}

fn wrong_rack(view: CallView<'_>, request: MessageNo, answer: MessageNo, why: &str) -> Finding {
    let rack = plain(view.sip(request).header(HeaderName::RAck).unwrap_or_default());
    let (client, server) = (sender(view, request), receiver(view, request));
    let summary = format!("{client} sent a PRACK with RAck \"{rack}\", but {why}: {server} refused it with 481.");
    let detail = format!(
        "RAck repeats RSeq, CSeq number and method of the provisional response that it acknowledges (RFC 3262 7.2); a PRACK that fits none \
         which still waits is answered 481 (RFC 3262 3), and the response goes on being repeated. Compare RAck with RSeq and CSeq of the \
         1xx, fork by fork. Look next at the software of {client}, or at a gateway that renumbers one and not the other."
    );
    Finding::new(&RACK, vec![request, answer], summary, detail)
}

/// X04: each fork counts by itself, from any number on.
fn order(view: CallView<'_>, t: &Transaction, pracked: &Pracked<'_>) -> Option<Finding> {
    struct Last {
        no: MessageNo,
        rseq: u32,
        is_first: bool,
    }
    let mut last: HashMap<&[u8], Last, RandomState> = HashMap::default();
    for no in provisional(view, t) {
        let message = view.sip(no);
        let Some(rseq) = message.rseq().filter(|_| status(view, no) > 100) else { continue };
        let tag = message.to_tag();
        let before = last.insert(tag, Last { no, rseq, is_first: !last.contains_key(tag) });
        let Some(before) = before else { continue };
        let next = before.rseq.checked_add(1);
        let found = if next == Some(rseq) {
            (before.is_first && not_yet_acknowledged(view, no, before.no, pracked)).then(|| piled(view, no, before.no))
        } else {
            let close = time(view, no).since(time(view, before.no)) < REORDERED;
            let swapped = t.connection.transport == Transport::Udp && close && rseq < before.rseq;
            let not_captured = next.is_some_and(|next| next < rseq && pracked.named((tag, next, t.cseq)).is_some());
            (!swapped && !not_captured).then(|| not_next(view, no, before.no))
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether the PRACK for `first` passed only after `second` had.
fn not_yet_acknowledged(view: CallView<'_>, second: MessageNo, first: MessageNo, pracked: &Pracked<'_>) -> bool {
    let prack = pracked.of_response(view, first);
    prack.is_some_and(|prack| prack > second && time(view, prack).since(time(view, second)) > SWAPPED)
}

fn not_next(view: CallView<'_>, no: MessageNo, before: MessageNo) -> Finding {
    let [now, then] = [no, before].map(|no| view.sip(no).rseq().unwrap_or(0));
    let server = sender(view, no);
    let summary = format!("{server} sent {} with RSeq {now} after one with RSeq {then}.", name(view, no));
    let detail = format!(
        "Within one early dialog each reliable provisional response has the RSeq of the one before plus one (RFC 3262 3); the caller \
         does not acknowledge one that comes out of order (RFC 3262 4). {}",
        if now > then {
            "One between the two may be missing from the capture. Look next at drop counters, and at the software of the called side."
        } else {
            "Look next at the software of the called side, or at a gateway that joins several calls behind it into one."
        }
    );
    let finding = Finding::new(&ORDER, vec![no, before], summary, detail);
    match now.checked_sub(then) {
        Some(2) => finding.open().severity(Severity::Info).cause(Cause::NotCaptured),
        Some(3..) => finding.open().cause(Cause::Undetermined),
        _ => finding,
    }
}

fn piled(view: CallView<'_>, no: MessageNo, before: MessageNo) -> Finding {
    let server = sender(view, no);
    let summary = format!(
        "{server} sent a second reliable response ({}) before its first one ({}) was acknowledged.",
        name(view, no),
        name(view, before)
    );
    let detail = format!(
        "The PRACK for the first one passed only after the second. Until the first is acknowledged the called side may not send another \
         (RFC 3262 3), because the caller may not support them or may get them in the wrong order. Look next at the software of {server}."
    );
    Finding::new(&ORDER, vec![no, before], summary, detail)
}

fn lists(message: &Message, header: HeaderName, option: &[u8]) -> bool {
    let tags = message.values(header).flat_map(|value| value.split(|byte| *byte == b','));
    tags.map(<[u8]>::trim_ascii).any(|tag| tag.eq_ignore_ascii_case(option))
}

/// X05, the first of a transaction.
fn misuse(view: CallView<'_>, t: &Transaction, request: MessageNo) -> Option<Finding> {
    const OPTION: &[u8] = b"100rel";
    let invite = view.sip(request);
    let demanded = lists(invite, HeaderName::Require, OPTION);
    let supported = demanded || lists(invite, HeaderName::Supported, OPTION) || cut(view, request);
    let wrong = |no: MessageNo| {
        let response = view.sip(no);
        let numbered = response.has(Facts::RSEQ);
        let required = lists(response, HeaderName::Require, OPTION);
        match status(view, no) {
            100 if numbered || required => Some("100 Trying goes from hop to hop and is never reliable"),
            100 => None,
            _ if numbered && !required => Some("it has RSeq, but not Require: 100rel"),
            _ if numbered && !supported => Some("the INVITE does not list 100rel in Supported"),
            _ if demanded && !numbered && !required => {
                Some("the INVITE requires 100rel, and the response is not reliable")
            }
            _ => None,
        }
    };
    let (no, why) = provisional(view, t).filter(|no| !cut(view, *no)).find_map(|no| Some((no, wrong(no)?)))?;
    let (server, client) = (sender(view, no), receiver(view, no));
    let summary = format!("{server} sent {} to {client} against the rules of reliability: {why}.", name(view, no));
    let detail = format!(
        "A provisional response is reliable when it has both RSeq and Require: 100rel. It may be so only when the INVITE lists 100rel in \
         Supported or Require, it must be so when it is in Require, and a 100 never is (RFC 3262 3). Otherwise one side waits for a PRACK \
         that the other does not send. Look next at the settings for 100rel (PRACK) of {server} and {client}."
    );
    Some(Finding::new(&MISUSE, vec![no, request], summary, detail))
}

/// X06.
fn too_early(view: CallView<'_>, t: &Transaction, pracked: &Pracked<'_>) -> Option<Finding> {
    let answer = success(view, t)?;
    let tag = view.sip(answer).to_tag();
    let described = |no: &MessageNo| {
        let message = view.sip(*no);
        *no < answer && message.has(Facts::RSEQ) && message.has(Facts::SDP) && message.to_tag() == tag
    };
    let (open, prack) = provisional(view, t).filter(described).find_map(|no| match pracked.of_response(view, no) {
        Some(prack) if prack > answer && time(view, prack).since(time(view, answer)) > SWAPPED => {
            Some((no, Some(prack)))
        }
        None if insisted(view, t, no) => Some((no, None)),
        _ => None,
    })?;
    let server = sender(view, answer);
    let late = prack.map_or_else(
        || "no PRACK for it is seen, and it had to be repeated".to_owned(),
        |prack| {
            format!("its PRACK passed {} after the answer", facts::span(time(view, prack).since(time(view, answer))))
        },
    );
    let summary = format!(
        "{server} answered with {} {} after its reliable {} with a session description: {late}.",
        name(view, answer),
        span(time(view, answer).since(time(view, open))),
        name(view, open)
    );
    let detail = format!(
        "While a reliable provisional response with an offer or answer is not acknowledged, the called side waits with its 2xx (RFC 3262 \
         3, 5): else the two sides may not agree on which description counts. Look next at the software of {server}, and at what delayed \
         the PRACK."
    );
    Some(Finding::new(&TOO_EARLY, [answer, open].into_iter().chain(prack).collect(), summary, detail))
}
