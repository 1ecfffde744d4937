//! The way of the ACK to a 2xx: I04 in the branch of the INVITE, I06 to another target.
//!
//! Both are judged on the hop of the caller, where ACK and 2xx are as they were sent and received.

use super::facts::{cut, plain, receiver, sender, success};
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Message, Method, Uri};
use std::net::IpAddr;

static I04: Meta = Meta {
    code: "I04",
    name: "ack-in-branch-of-invite",
    severity: Severity::Warning,
    title: "The ACK to a 2xx has the branch of the INVITE",
    basis: &["RFC 3261 8.1.1.7", "RFC 3261 13.2.2.4", "RFC 3261 17.1.1.3"],
    page: include_str!("../../docs/rules/I04-ack-in-branch-of-invite.md"),
};
static I06: Meta = Meta {
    code: "I06",
    name: "ack-to-wrong-target",
    severity: Severity::Warning,
    title: "The ACK to a 2xx does not follow its Contact and Record-Route",
    basis: &["RFC 3261 12.1.2", "RFC 3261 12.2.1.1", "RFC 3261 13.2.2.4"],
    page: include_str!("../../docs/rules/I06-ack-to-wrong-target.md"),
};

/// Routes that are compared; Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
pub(super) const ROUTES: usize = 70;

/// See the module.
pub(super) struct AckRoute;

impl Rule for AckRoute {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I04, &I06] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Ack])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        for t in view.call.transactions.iter().filter(|t| t.method == Method::Ack) {
            let Some((ack, invite, answer)) = acknowledged(view, t) else { continue };
            findings.extend(same_branch(view, ack, invite));
            findings.extend(other_target(view, ack, invite, answer));
        }
    }
}

/// An ACK of the caller, its INVITE and the 2xx, all on one hop and in one dialog.
fn acknowledged(view: CallView<'_>, t: &Transaction) -> Option<(MessageNo, MessageNo, MessageNo)> {
    let ack = t.request?;
    let invite = view.call.transaction(t.invite?);
    let (request, answer) = (invite.request?, success(view, invite)?);
    let (sent, got) = (view.seen(ack).connection, view.seen(answer).connection);
    let own = view.sip(ack).via_count() == 1 && view.sip(request).via_count() == 1;
    let dialog = view.sip(ack).to_tag() == view.sip(answer).to_tag();
    let whole = ![ack, request, answer].iter().any(|no| cut(view, *no));
    (own && dialog && whole && sent.src.ip == got.dst.ip).then_some((ack, request, answer))
}

fn same_branch(view: CallView<'_>, ack: MessageNo, invite: MessageNo) -> Option<Finding> {
    let branch = view.sip(ack).branch();
    if branch.is_empty() || branch != view.sip(invite).branch() {
        return None;
    }
    let from = sender(view, ack);
    let summary = format!("{from} sent the ACK to a 2xx in the branch of its INVITE.");
    let detail = format!(
        "The ACK to a 2xx is a request of its own with a new branch (RFC 3261 13.2.2.4, 8.1.1.7); only the ACK to a failure shares the \
         branch of the INVITE (17.1.1.3). Both have {} here. A proxy that goes by the branch may take the ACK for part of the finished \
         INVITE and not pass it on; then the answer is repeated and the call dropped after 32 s. Look next at the software of {from}.",
        plain(branch)
    );
    Some(Finding::new(&I04, vec![ack, invite], summary, detail))
}

fn other_target(view: CallView<'_>, ack: MessageNo, invite: MessageNo, answer: MessageNo) -> Option<Finding> {
    let (request, response) = (view.sip(ack), view.sip(answer));
    // A strict router takes the place of the target (RFC 3261 12.2.1.1).
    if response.record_routes().chain(request.routes()).any(|route| !is_loose(route.uri)) {
        return None;
    }
    let contact = response.contacts().next()?.uri;
    if !leads_to(request.request_uri(), contact)? {
        let detour = points_at(request.request_uri(), view.seen(ack).connection.dst.ip)
            || points_at(request.request_uri(), view.seen(answer).connection.src.ip);
        let severity = if detour { Severity::Info } else { Severity::Warning };
        return Some(wrong_target(view, ack, answer, contact).severity(severity));
    }
    // The route of a dialog is settled once (RFC 3261 12.2); where none was recorded, one that was set up by hand harms
    // nobody.
    let initial = view.sip(invite).to_tag().is_empty();
    let recorded = recorded(response, view.seen(ack).connection.src.ip);
    if !initial || recorded.is_empty() || follows(request, recorded.iter().copied()) {
        return None;
    }
    let finding = wrong_route(view, ack, answer);
    let as_written = follows(request, recorded.iter().rev().copied());
    Some(if as_written { finding.severity(Severity::Info) } else { finding })
}

/// The Record-Route values of a response as the caller at `own` uses them: last one first (RFC 3261 12.1.2), without
/// those that it added itself.
pub(super) fn recorded(response: &Message, own: IpAddr) -> Vec<&[u8]> {
    let mut routes: Vec<&[u8]> = response.record_routes().take(ROUTES).map(|route| route.uri).collect();
    routes.reverse();
    routes.into_iter().skip_while(|route| points_at(route, own)).collect()
}

/// Whether the ACK takes this route; what cannot be read counts as right.
fn follows<'a>(request: &Message, mut route: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut taken = request.routes().take(ROUTES).map(|route| route.uri);
    let all = route.all(|theirs| taken.next().is_some_and(|ours| leads_to(ours, theirs).unwrap_or(true)));
    all && taken.next().is_none()
}

pub(super) fn is_loose(uri: &[u8]) -> bool {
    let is_usual = || uri.ends_with(b";lr") && !uri.contains(&b'?');
    is_usual() || Uri::parse(uri).is_none_or(|uri| uri.param("lr").is_some())
}

/// Whether both URIs have the same user, host and port; parameters aside.
pub(super) fn leads_to(ours: &[u8], theirs: &[u8]) -> Option<bool> {
    let bare = |uri| Some(Uri { params: b"", headers: b"", ..Uri::parse(uri)? });
    let ours_read = bare(ours)?;
    Some(ours == theirs || ours_read.same_resource(&bare(theirs)?))
}

pub(super) fn points_at(uri: &[u8], ip: IpAddr) -> bool {
    let host = Uri::parse(uri).map(|uri| uri.host).unwrap_or_default();
    std::str::from_utf8(host).is_ok_and(|host| host.parse() == Ok(ip))
}

fn wrong_target(view: CallView<'_>, ack: MessageNo, answer: MessageNo, contact: &[u8]) -> Finding {
    let from = sender(view, ack);
    let summary = format!(
        "{from} sent the ACK for {}, but the Contact of the 2xx is {}.",
        subject::address(view.sip(ack).request_uri()),
        subject::address(contact)
    );
    let detail = format!(
        "The Contact of the 2xx is the target of the dialog: the ACK and all that follows go there (RFC 3261 12.1.2, 12.2.1.1). Elsewhere \
         it may not reach the phone that answered, which then repeats its answer and gives up after 32 s. Clients behind NAT that \
         send to the address they got the answer from do so on purpose (info). Look next at {from}."
    );
    Finding::new(&I06, vec![ack, answer], summary, detail)
}

fn wrong_route(view: CallView<'_>, ack: MessageNo, answer: MessageNo) -> Finding {
    let (from, to) = (sender(view, ack), receiver(view, ack));
    let list = |message: &Message, name: HeaderName| match message.addresses(name).take(4).collect::<Vec<_>>() {
        routes if routes.is_empty() => "none".to_owned(),
        routes => routes.iter().map(|route| subject::address(route.uri)).collect::<Vec<_>>().join(", "),
    };
    let summary = format!("The ACK of {from} to {to} does not take the route that the 2xx recorded.");
    let detail = format!(
        "Route of the ACK: {}. Record-Route of the 2xx: {}. The caller uses the Record-Route values of the 2xx in reverse order (RFC \
         3261 12.1.2); a proxy that is left out cannot follow the call, and a firewall may drop what does not come through it. Look \
         next at {from}.",
        list(view.sip(ack), HeaderName::Route),
        list(view.sip(answer), HeaderName::RecordRoute)
    );
    Finding::new(&I06, vec![ack, answer], summary, detail)
}
