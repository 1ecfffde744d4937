//! Requests that identify themselves wrongly: T16 a branch used twice, T18 another method in CSeq,
//! T19 a request that arrived twice over two paths.

use super::facts::{self, TransactionNo, final_status, plain, requests_of};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::MessageNo;
use crate::sip::{Facts, HeaderName, Method};
use foldhash::fast::{FixedState, RandomState};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::BuildHasher;

static T16: Meta = Meta {
    code: "T16",
    name: "branch-reused",
    severity: Severity::Warning,
    title: "Two transactions use the same branch",
    basis: &["RFC 3261 8.1.1.7", "RFC 3261 16.6 item 8"],
    page: include_str!("../../docs/rules/T16-branch-reused.md"),
};
static T18: Meta = Meta {
    code: "T18",
    name: "cseq-method-differs",
    severity: Severity::Error,
    title: "The method in CSeq is not the method of the request",
    basis: &["RFC 3261 8.1.1.5"],
    page: include_str!("../../docs/rules/T18-cseq-method-differs.md"),
};
static T19: Meta = Meta {
    code: "T19",
    name: "merged-request",
    severity: Severity::Warning,
    title: "A request arrived twice over different paths",
    basis: &["RFC 3261 8.2.2.2"],
    page: include_str!("../../docs/rules/T19-merged-request.md"),
};

/// See the module.
pub(super) struct Identity;

impl Rule for Identity {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T16, &T18, &T19] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let outline = context.outline();
        outline.shows(Trait::OTHER_METHOD) || outline.answered(&[482]) || may_share_branch(context.view)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        reused_branches(view, findings);
        findings.extend(view.transactions().filter_map(|(_, t)| t.request).filter_map(|no| other_method(view, no)));
        merged(view, findings);
    }
}

/// Whether two requests may have the same branch.
fn may_share_branch(view: CallView<'_>) -> bool {
    /// More requests are looked at by [`reused_branches`].
    const MANY: usize = 32;
    let mut known: SmallVec<[u64; MANY]> = SmallVec::new();
    let requests = view.call.transactions.iter().filter(|t| !matches!(t.method, Method::Ack | Method::Cancel));
    requests.filter_map(|t| t.request).any(|no| {
        let branch = FixedState::default().hash_one(view.sip(no).branch());
        let shared = known.len() == MANY || known.contains(&branch);
        known.push(branch);
        shared
    })
}

/// CANCEL and the ACK to a failure share the branch of their INVITE by design, and old clients send the
/// ACK to a 2xx so too (I04).
fn reused_branches(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let mut first: HashMap<(&[u8], &[u8]), MessageNo, RandomState> = HashMap::default();
    for (_, t) in view.transactions().filter(|(_, t)| !matches!(t.method, Method::Ack | Method::Cancel)) {
        let Some(no) = t.request else { continue };
        let message = view.sip(no);
        if !message.branch().starts_with(b"z9hG4bK") || message.branch() == b"z9hG4bK" {
            continue;
        }
        let known = *first.entry((message.branch(), message.sent_by())).or_insert(no);
        let earlier = view.sip(known);
        if earlier.cseq_number() != message.cseq_number() || earlier.method() != message.method() {
            findings.push(reused(view, no, known));
        }
    }
}

fn reused(view: CallView<'_>, no: MessageNo, earlier: MessageNo) -> Finding {
    let seq = |no: MessageNo| format!("{} {}", view.sip(no).cseq_number().unwrap_or(0), view.sip(no).method_name());
    let from = facts::sender(view, no);
    let summary = format!("{from} used the same branch for {} and for {}.", seq(earlier), seq(no));
    let detail = format!(
        "The branch {} names one transaction; each new request needs a new one (RFC 3261 8.1.1.7), else the server may take the new \
         request for a copy of the old one. Look next at the software of {from}.",
        plain(view.sip(no).branch())
    );
    Finding::new(&T16, vec![no, earlier], summary, detail)
}

fn other_method(view: CallView<'_>, no: MessageNo) -> Option<Finding> {
    let message = view.sip(no);
    if message.has(Facts::CUT) {
        return None;
    }
    let cseq = message.header(HeaderName::CSeq)?;
    let method = cseq.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty()).nth(1)?;
    let name = message.method_name();
    if method == name.as_bytes() {
        return None;
    }
    let from = facts::sender(view, no);
    let summary = format!("{from} sent {name} with \"{}\" in CSeq.", plain(method));
    let detail = format!(
        "The method in CSeq must be that of the request (RFC 3261 8.1.1.5), since responses carry only CSeq. A server answers 400 or \
         drops it. Look next at the software of {from}, or a gateway that rewrites headers."
    );
    Some(Finding::new(&T18, vec![no], summary, detail))
}

/// A 482 to a request that reached the same server in another branch too.
fn merged(view: CallView<'_>, findings: &mut Vec<Finding>) {
    let initial = |no: &MessageNo| view.sip(*no).to_tag().is_empty();
    let refused: Vec<(TransactionNo, MessageNo)> = requests_of(view, Method::Invite)
        .filter(|(_, t, no)| initial(no) && final_status(view, t) == Some(482))
        .map(|(at, _, no)| (at, no))
        .collect();
    if refused.is_empty() {
        return;
    }
    let mut arrived: HashMap<_, (TransactionNo, MessageNo), RandomState> = HashMap::default();
    for (at, t, no) in
        requests_of(view, Method::Invite).filter(|(_, t, no)| initial(no) && final_status(view, t) != Some(482))
    {
        arrived.entry((t.connection.dst, t.cseq, view.sip(no).from_tag())).or_insert((at, no));
    }
    for (at, no) in refused {
        let t = view.call.transaction(at);
        if let Some((_, other)) = arrived.get(&(t.connection.dst, t.cseq, view.sip(no).from_tag())) {
            findings.push(merged_request(view, no, *other));
        }
    }
}

fn merged_request(view: CallView<'_>, no: MessageNo, other: MessageNo) -> Finding {
    let to = facts::receiver(view, no);
    let summary = format!("The same INVITE reached {to} over two paths, and one of them was refused with 482.");
    let detail = format!(
        "Both copies have the same Call-ID, From tag and CSeq, but different branches: a proxy forked the call to two targets that lead \
         to the same phone (RFC 3261 8.2.2.2). The call can still succeed on the other path. Look next at the contacts and routes the \
         forking proxy has for this user ({} and {}).",
        facts::sender(view, other),
        facts::sender(view, no)
    );
    Finding::new(&T19, vec![no, other], summary, detail)
}
