//! P12: a refusal without the header that says what would be accepted.

use super::facts::{cut, name, sender};
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::Transaction;
use crate::sip::HeaderName;

static P12: Meta = Meta {
    code: "P12",
    name: "companion-header-missing",
    severity: Severity::Info,
    title: "A refusal does not say what would be accepted",
    basis: &["RFC 3261 8.2.1", "RFC 3261 8.2.2.3", "RFC 3261 8.2.3", "RFC 4028 6"],
    page: include_str!("../../docs/rules/P12-companion-header-missing.md"),
};

/// Status, the header that belongs to it, what the header lists, and where that is said.
const COMPANIONS: [(u16, HeaderName, &str, &str); 5] = [
    (405, HeaderName::Allow, "the methods that are allowed", "RFC 3261 8.2.1"),
    (415, HeaderName::Accept, "the body types that are accepted", "RFC 3261 8.2.3"),
    (420, HeaderName::Unsupported, "the extensions that are not supported", "RFC 3261 8.2.2.3"),
    (421, HeaderName::Require, "the extensions that are needed", "RFC 3261 21.4.16"),
    (422, HeaderName::MinSe, "the shortest session interval", "RFC 4028 6"),
];

/// See the module.
pub(super) struct Companion;

impl Rule for Companion {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&P12] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().answered(&COMPANIONS.map(|(status, ..)| status))
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        findings
            .extend(view.call.transactions.iter().filter(|t| t.upstream.is_none()).filter_map(|t| lacking(view, t)));
    }
}

fn lacking(view: CallView<'_>, t: &Transaction) -> Option<Finding> {
    let answer = t.final_response.filter(|no| !cut(view, *no))?;
    let message = view.sip(answer);
    let (_, header, what, basis) = COMPANIONS.iter().find(|(status, ..)| message.status() == Some(*status))?;
    // 415 may be about the coding or the language of the body instead (RFC 3261 8.2.3).
    let about_other = |name: &[u8]| name.to_ascii_lowercase().starts_with(b"accept-");
    let excused = *header == HeaderName::Accept && message.headers().any(|header| about_other(header.raw_name));
    if excused || message.header(*header).is_some() {
        return None;
    }
    let server = sender(view, answer);
    let header = header.name();
    let summary =
        format!("{server} refused the {} with {}, but without {header}.", subject::method(message), name(view, answer));
    let detail = format!(
        "The header {header} lists {what} ({basis}); without it the client cannot try again in a way that would be accepted. Look next at \
         the software of {server}, or at an element between that removes headers."
    );
    Some(Finding::new(&P12, vec![answer], summary, detail))
}
