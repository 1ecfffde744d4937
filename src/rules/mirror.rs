//! What a response must repeat of its request: T15 its From, To and Via list, P09 a Via stack that was not
//! taken down on the way to the client.

use super::facts::{cut, name, plain, receiver, sender};
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Message, Uri, Via};

static T15: Meta = Meta {
    code: "T15",
    name: "response-not-mirrored",
    severity: Severity::Error,
    title: "A response does not repeat the identity of its request",
    basis: &["RFC 3261 8.2.6.2", "RFC 3261 16.7 item 3"],
    page: include_str!("../../docs/rules/T15-response-not-mirrored.md"),
};
static P09: Meta = Meta {
    code: "P09",
    name: "via-stack-wrong",
    severity: Severity::Warning,
    title: "A response reached the client with a Via that is not the client's on top",
    basis: &["RFC 3261 8.1.3.3", "RFC 3261 16.7 item 3", "RFC 3261 18.1.2"],
    page: include_str!("../../docs/rules/P09-via-stack-wrong.md"),
};

/// Via values that are compared; Max-Forwards starts at 70 (RFC 3261 8.1.1.6).
const VIAS: usize = 70;

/// See the module.
pub(super) struct Mirror;

impl Rule for Mirror {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T15, &P09] }
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        findings.extend(view.call.transactions.iter().filter_map(|t| wrong_response(view, t)));
    }
}

/// The first response of a transaction that does not fit its request.
fn wrong_response(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let request = t.request.filter(|no| readable(view, *no))?;
    let responses = t
        .messages
        .iter()
        .copied()
        .filter(|no| !view.sip(*no).is_request() && view.call.message(*no).copy.is_none() && readable(view, *no));
    responses.into_iter().find_map(|response| judge(view, request, response))
}

fn readable(view: CallView<'_>, no: MessageNo) -> bool {
    !cut(view, no) && !view.sip(no).has(Facts::MALFORMED)
}

fn judge(view: CallView<'_>, request: MessageNo, response: MessageNo) -> Option<Finding> {
    let (asked, answer) = (view.sip(request), view.sip(response));
    if asked.branch() != answer.branch() || asked.via_count() < answer.via_count() {
        return Some(stack(view, request, response));
    }
    let (what, severity) = if asked.via_count() != answer.via_count() || !same_vias(asked, answer) {
        ("Via list", Severity::Error)
    } else if asked.from_tag() != answer.from_tag() {
        ("From tag", Severity::Error)
    } else if !asked.to_tag().is_empty() && asked.to_tag() != answer.to_tag() {
        ("To tag", Severity::Error)
    } else if let Some(severity) = changed(asked.from_uri(), answer.from_uri()) {
        ("From URI", severity)
    } else if let Some(severity) = changed(asked.to_uri(), answer.to_uri()) {
        ("To URI", severity)
    } else {
        return None;
    };
    // Nobody waits for a provisional response: one that cannot be matched has no visible effect.
    let worst = if answer.status() < Some(200) { Severity::Warning } else { Severity::Error };
    Some(not_mirrored(view, request, response, what, severity.min(worst)))
}

/// Whether the Vias below the top one have the same branches.
fn same_vias(asked: &Message, answer: &Message) -> bool {
    if asked.via_count() < 2 {
        return true;
    }
    // Nearly always nobody touched them.
    if let (Some(ours), Some(theirs)) = (asked.lower_vias(), answer.lower_vias())
        && ours == theirs
    {
        return true;
    }
    let count = usize::from(asked.via_count());
    let pairs = asked.via_values().zip(answer.via_values()).take(count).enumerate();
    if pairs.take_while(|(at, (ours, theirs))| *at == 0 || ours == theirs).count() == count {
        return true;
    }
    let same = |(ours, theirs): (Via<'_>, Via<'_>)| ours.branch == theirs.branch;
    answer.vias().take(VIAS).zip(asked.vias()).all(same)
}

/// How bad it is that a URI came back as another one: who rewrites addresses, such as a NAT helper, changes
/// the host and keeps the user.
fn changed(asked: &[u8], answer: &[u8]) -> Option<Severity> {
    if asked == answer {
        return None;
    }
    let (Some(asked), Some(answer)) = (Uri::parse(asked), Uri::parse(answer)) else {
        return Some(Severity::Error);
    };
    match asked.same_resource(&answer) {
        true => None,
        false if asked.user == answer.user => Some(Severity::Info),
        false => Some(Severity::Error),
    }
}

fn not_mirrored(
    view: CallView<'_>,
    request: MessageNo,
    response: MessageNo,
    what: &str,
    severity: Severity,
) -> Finding {
    let (asked, answer) = (view.sip(request), view.sip(response));
    let (was, is) = values(what, asked, answer);
    let server = sender(view, response);
    let summary = format!(
        "The {} of {server} does not repeat the {what} of the {}: {was} became {is}.",
        name(view, response),
        subject::method(asked)
    );
    let detail = format!(
        "A response has the From, Call-ID, CSeq and Via list of its request, in order, and its To with at most a tag added (RFC 3261 \
         8.2.6.2); the client knows by them what is answered, and throws away what does not fit. Look next at {server}, and at NAT \
         helpers (ALG) and session border controllers between, which rewrite addresses."
    );
    Finding::new(&T15, vec![response, request], summary, detail).severity(severity)
}

/// What was asked with and what came back.
fn values(what: &str, asked: &Message, answer: &Message) -> (String, String) {
    let both = |of: fn(&Message) -> String| (of(asked), of(answer));
    match what {
        "From tag" => both(|m| plain(m.from_tag()).into_owned()),
        "To tag" => both(|m| plain(m.to_tag()).into_owned()),
        "From URI" => both(|m| subject::address(m.from_uri())),
        "To URI" => both(|m| subject::address(m.to_uri())),
        _ => both(|m| {
            let branches: Vec<_> = m.vias().take(4).map(|via| plain(via.branch).into_owned()).collect();
            format!("{} Via ({})", m.via_count(), branches.join(", "))
        }),
    }
}

fn stack(view: CallView<'_>, request: MessageNo, response: MessageNo) -> Finding {
    let (asked, answer) = (view.sip(request), view.sip(response));
    let (client, server) = (receiver(view, response), sender(view, response));
    let summary = format!(
        "The {} that {client} got from {server} has {} Via on it, the {} it answers had {}.",
        name(view, response),
        answer.via_count(),
        subject::method(asked),
        asked.via_count()
    );
    let top = plain(answer.sent_by());
    let detail = format!(
        "Each proxy takes its own Via off a response before it passes it on (RFC 3261 16.7 item 3), so that a client finds its own on top. \
         A client discards a response with another Via on top or below (8.1.3.3, 18.1.2), and repeats the request. The Via on top is \
         that of {}: look next {}.",
        top,
        if *top == *server { "there".to_owned() } else { format!("at it and at {server}") }
    );
    Finding::new(&P09, vec![response, request], summary, detail)
}
