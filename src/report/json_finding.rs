//! A finding as JSON, written field by field, as messages are.

use super::Report;
use super::json::number;
use super::json_layout::{Writer, first, next};
use crate::flow::Cause;
use crate::rules::MissingMessage;

/// The finding at `position`; `call_number` gives calls their numbers, from 0.
pub(super) fn write_finding(
    report: &Report<'_>,
    position: usize,
    call_number: &dyn Fn(usize) -> usize,
    out: &mut Writer<'_>,
) {
    let finding = &report.all_findings[position];
    let has_kind = out.begin_object();
    out.name(!has_kind, "rule");
    out.string(finding.rule.code);
    out.name(false, "name");
    out.string(finding.rule.name);
    out.name(false, "severity");
    out.word(finding.severity.name());
    out.name(false, "verdict");
    out.word(finding.verdict.name());
    out.name(false, "cause");
    out.maybe(finding.cause.map(Cause::name), Writer::word);
    out.name(false, "call");
    out.maybe(finding.call.map(|call| call_number(call) + 1), Writer::number);
    out.name(false, "call_id");
    let view = finding.call.map(|call| report.analysis.view(call));
    let main = finding.messages.first().copied().or(finding.missing.as_ref().map(|missing| missing.after));
    out.maybe(view.zip(main).map(|(view, no)| view.sip(no).call_id()), Writer::bytes);
    out.name(false, "frames");
    out.row(&finding.frames, |out, frame| out.number(*frame));
    out.name(false, "messages");
    out.row(&finding.messages, |out, no| out.number(number(*no)));
    out.name(false, "missing");
    out.maybe(finding.missing.as_ref(), write_owed);
    out.name(false, "summary");
    out.string(&finding.summary);
    out.name(false, "detail");
    out.string(&finding.detail);
    out.name(false, "basis");
    out.row(finding.rule.basis, |out, section| out.string(section));
    out.name(false, "fingerprint");
    out.displayed(&report.prints[position]);
    out.name(false, "known");
    out.bool(report.reasons[position].is_some());
    out.name(false, "ignored");
    out.maybe(finding.ignored.as_deref(), Writer::string);
    out.end(b'}');
}

/// The message that a finding misses.
fn write_owed(out: &mut Writer<'_>, missing: &MissingMessage) {
    out.begin_object();
    first!(out, "what");
    out.string(&missing.what);
    next!(out, "from");
    out.who(missing.from);
    next!(out, "to");
    out.who(missing.to);
    next!(out, "after");
    out.number(number(missing.after));
    out.end(b'}');
}
