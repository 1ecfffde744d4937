//! What the page of a call shows: its story, its ladder, what was found, and its messages.

use super::super::ladder::Ladder;
use super::super::shown::{self, Line, Shown};
use super::super::{Report, narrative, tell, time, words};
use super::index::{Told, told};
use crate::analysis::CallView;
use crate::session::MessageNo;
use serde::Serialize;

/// Stands between the texts of two calls. Control characters of messages are written out, so that none of them
/// can hold it.
pub(super) const BETWEEN_CALLS: char = '\u{1d}';
/// Stands before the text of each message.
const BEFORE_MESSAGE: char = '\u{1e}';

/// All but the text of the messages.
#[derive(Serialize)]
pub(super) struct Detail {
    when: String,
    story: String,
    /// Legs, related calls, software: a line each.
    notes: Vec<String>,
    ladder: Ladder,
    /// Those of the ladder, in its order, then what is told only to who looks for it.
    findings: Vec<Told>,
    messages: Vec<MessageView>,
}

/// All but the text of a message.
#[derive(Serialize)]
struct MessageView {
    /// Sender, receiver, transport.
    way: [String; 3],
    facts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<String>,
    /// The number of the message that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    /// Faults that are at no line, and what is left out of the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// A fault: its line from 0, its first character and the one behind it in units of UTF-16, as scripts count,
/// and what was expected.
#[derive(Serialize)]
struct Fault(usize, usize, usize, String);

/// What is told of a call, and what can be searched: who takes part, and its messages as text.
pub(super) fn of(report: &Report<'_>, view: CallView<'_>) -> (Detail, String) {
    let mut text = searchable_head(view);
    let messages = view.call.numbers().map(|no| message(report, view, no, &mut text)).collect();
    let quiet = report.is_quiet(view);
    let detail = Detail {
        when: format!("{} for {}", time::people(view.call.start), time::length(view.call.end.since(view.call.start))),
        story: narrative(view),
        notes: [tell::legs(view), tell::related(view), tell::described(view)].concat(),
        ladder: Ladder::new(report, view),
        findings: report.findings_of(view.number).map(|finding| told(finding, Some(view), quiet)).collect(),
        messages,
    };
    (detail, text)
}

/// Addresses and names of the participants.
fn searchable_head(view: CallView<'_>) -> String {
    let lanes = (0..view.call.participants.len()).map(crate::base::Idx::new);
    lanes.map(|who| words::address(view, who)).collect::<Vec<_>>().join("\n")
}

fn message(report: &Report<'_>, view: CallView<'_>, no: MessageNo, text: &mut String) -> MessageView {
    let heading = shown::heading(report, view, no);
    let Shown { head, faults, body, left_out } = shown::lines_of(view.sip(no));
    text.push(BEFORE_MESSAGE);
    let lines: Vec<&str> = head.iter().map(|line| &line.text).chain(&body).map(String::as_str).collect();
    text.push_str(&lines.join("\n"));
    MessageView {
        way: heading.way,
        facts: heading.facts,
        comments: heading.comments,
        of: view.call.message(no).copy.map(|copy| copy.of.at() + 1),
        faults: head.iter().enumerate().flat_map(|(at, line)| marks(at, line)).collect(),
        remarks: faults.into_iter().chain(left_out).collect(),
    }
}

fn marks(at: usize, line: &Line) -> impl Iterator<Item = Fault> {
    let units = |end: usize| line.text[..end].encode_utf16().count();
    line.faults.iter().map(move |mark| Fault(at, units(mark.start), units(mark.end), mark.told.clone()))
}
