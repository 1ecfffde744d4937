//! T17: a branch that does not begin with z9hG4bK.

use super::facts::{cut, name, plain, sender};
use super::outline::Trait;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::MessageNo;
use crate::sip::Facts;

static T17: Meta = Meta {
    code: "T17",
    name: "branch-without-cookie",
    severity: Severity::Info,
    title: "A request has no branch of RFC 3261",
    basis: &["RFC 3261 8.1.1.7", "RFC 3261 17.2.3"],
    page: include_str!("../../docs/rules/T17-branch-without-cookie.md"),
};

/// Messages that one finding points at.
const POINTED_AT: usize = 16;
/// What every branch begins with, and something must follow.
const COOKIE: &[u8] = b"z9hG4bK";

/// See the module.
pub(super) struct Cookie;

impl Rule for Cookie {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&T17] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().shows(Trait::OLD_BRANCH)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        findings.extend(old_branch(context.view));
    }
}

/// Told once for a call.
fn old_branch(view: CallView<'_>) -> Option<Finding> {
    let old = |no: &MessageNo| {
        let message = view.sip(*no);
        let readable = message.is_request() && !cut(view, *no) && !message.has(Facts::MALFORMED);
        let known = message.branch().strip_prefix(COOKIE).is_some_and(|rest| !rest.is_empty());
        readable && !known && view.call.message(*no).copy.is_none()
    };
    let messages: Vec<MessageNo> = view.call.numbers().filter(old).take(POINTED_AT).collect();
    let first = *messages.first()?;
    let branch = match view.sip(first).branch() {
        b"" => "no branch".to_owned(),
        branch => format!("the branch {}", plain(branch)),
    };
    let from = sender(view, first);
    let summary = format!("The {} of {from} has {branch}.", name(view, first));
    let detail = format!(
        "A branch begins with z9hG4bK and something unique behind it (RFC 3261 8.1.1.7). Without it a server falls back to the rules of \
         RFC 2543 (17.2.3): it tells transactions apart by Request-URI, tags, Call-ID and CSeq, which fails when a request is \
         forked or comes twice. Look next at the software of {from}: it is older than 2002, or a test tool."
    );
    Some(Finding::new(&T17, messages, summary, detail))
}
