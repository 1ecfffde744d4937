//! The way back of responses over UDP: P10 sent elsewhere than the top Via says, P11 the Via not completed
//! with where the request came from.

use super::facts::{cut, name, plain, sender};
use super::outline::Trait;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::base::{Connection, Transport};
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Via};
use std::net::IpAddr;

static P10: Meta = Meta {
    code: "P10",
    name: "response-to-wrong-place",
    severity: Severity::Warning,
    title: "A response was not sent to where its Via says",
    basis: &["RFC 3261 18.2.2", "RFC 3581 4"],
    page: include_str!("../../docs/rules/P10-response-to-wrong-place.md"),
};
static P11: Meta = Meta {
    code: "P11",
    name: "received-not-filled-in",
    severity: Severity::Info,
    title: "A server did not note in the Via where the request came from",
    basis: &["RFC 3261 18.2.1", "RFC 3581 4"],
    page: include_str!("../../docs/rules/P11-received-not-filled-in.md"),
};

/// The port of SIP where none is written (RFC 3261 18.2.2).
const USUAL: u16 = 5060;

/// See the module.
pub(super) struct ReturnPath;

impl Rule for ReturnPath {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&P10, &P11] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::UDP)
    }

    /// Each is told once for a call: a server does it always or never.
    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let (mut misdirected, mut not_filled_in) = (None, None);
        for pair in view.call.transactions.iter().filter_map(|t| Pair::of(view, t)) {
            misdirected = misdirected.or_else(|| pair.misdirected());
            not_filled_in = not_filled_in.or_else(|| pair.not_filled_in());
        }
        findings.extend(misdirected.into_iter().chain(not_filled_in));
    }
}

/// A request over UDP and its first response.
struct Pair<'a> {
    view: CallView<'a>,
    request: MessageNo,
    response: MessageNo,
    /// Top Via of the request.
    asked: Via<'a>,
    /// The ways they went.
    there: Connection,
    back: Connection,
}

impl<'a> Pair<'a> {
    fn of(view: CallView<'a>, t: &Transaction) -> Option<Self> {
        let readable = |no: &MessageNo| !cut(view, *no) && !view.sip(*no).has(Facts::MALFORMED);
        let request = t.request.filter(readable)?;
        let response = t.provisional.or(t.final_response).filter(readable)?;
        let asked = view.sip(request).top_via()?;
        let (there, back) = (view.seen(request).connection, view.seen(response).connection);
        let udp = there.transport == Transport::Udp && back.transport == Transport::Udp;
        // A Via of the client that was completed on the way, or names a multicast address, says more than the tap.
        let plain_via =
            asked.received.is_none() && asked.maddr.is_none() && asked.branch == view.sip(response).branch();
        (udp && plain_via).then_some(Self { view, request, response, asked, there, back })
    }

    /// P10.
    fn misdirected(&self) -> Option<Finding> {
        let named = self.asked.port.unwrap_or(USUAL);
        let symmetric = self.back.dst == self.there.src;
        if self.asked.rport.is_some() {
            let from_there = self.back.src == self.there.dst;
            return (!symmetric || !from_there).then(|| self.wrong_place("the address and port the request came from"));
        }
        let right = self.back.dst.ip == self.there.src.ip && self.back.dst.port == named;
        if right {
            return None;
        }
        let finding = self.wrong_place("the port that the Via names");
        // Most servers answer to where the request came from even unasked, and most clients count on it.
        Some(if symmetric { finding.severity(Severity::Info) } else { finding })
    }

    fn wrong_place(&self, right: &str) -> Finding {
        let (view, response) = (self.view, self.response);
        let summary = format!(
            "The {} to the {} of {} went from {} to {}, not back to {right}.",
            name(view, response),
            subject::method(view.sip(self.request)),
            self.there.src,
            self.back.src,
            self.back.dst
        );
        let detail = format!(
            "The request went from {} to {} with {} in its Via. A response goes to the address the request came from, at the port of the Via \
             (RFC 3261 18.2.2), or, when the client asked for it with rport, at the port the request came from, and from the port it \
             went to (RFC 3581 4). A client behind NAT does not get anything else. Look next at {}, and at NAT between it and the \
             capture.",
            self.there.src,
            self.there.dst,
            plain(self.asked.sent_by),
            self.back.src
        );
        Finding::new(&P10, vec![response, self.request], summary, detail)
    }

    /// P11.
    fn not_filled_in(&self) -> Option<Finding> {
        let literal = std::str::from_utf8(self.asked.host).ok().and_then(|host| host.parse::<IpAddr>().ok());
        let (moved, asked) = (literal != Some(self.there.src.ip), self.asked.rport.is_some());
        if !moved && !asked {
            return None;
        }
        let answered = self.view.sip(self.response).top_via()?;
        let (moved, asked) = (moved && answered.received.is_none(), asked && !matches!(answered.rport, Some(Some(_))));
        let what = match (moved, asked) {
            (false, false) => return None,
            (true, _) => "received",
            (false, true) => "rport",
        };
        let (view, response) = (self.view, self.response);
        let server = sender(view, response);
        let summary = format!("{server} answered {} without {what} in its Via.", self.there.src);
        let detail = format!(
            "The request came from {} and its Via says {}. The server adds received= when the Via names another address or a host name (RFC \
             3261 18.2.1), and the value of rport when the client asked for it (RFC 3581 4); a client behind NAT learns its public \
             address from them. Look next at {server}.",
            self.there.src,
            plain(self.asked.sent_by)
        );
        Some(Finding::new(&P11, vec![response, self.request], summary, detail))
    }
}
