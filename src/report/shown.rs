//! A message as people read it: heading, header lines with their faults, body. Harmless for a terminal, and
//! without secrets. How it is laid out is the business of others.

use super::{Report, escape, time, words};
use crate::analysis::CallView;
use crate::session::{CopyKind, MessageNo};
use crate::sip::{Fault, Message};

/// Body bytes shown as text of one message; a body that is no text is only counted.
const BODY: usize = 16 << 10;

/// What is told above a message.
pub(super) struct Heading {
    /// Sender, receiver, transport: "the caller 192.0.2.1:5060", "the proxy 192.0.2.2:5060", "UDP".
    pub(super) way: [String; 3],
    /// Frames, time, step, what it was wrapped in, what it is a copy of.
    pub(super) facts: Vec<String>,
    /// What people wrote about its frames, in the capture.
    pub(super) comments: Vec<String>,
}

/// A message in lines.
pub(super) struct Shown {
    /// Start line and headers.
    pub(super) head: Vec<Line>,
    /// Faults that are at no line.
    pub(super) faults: Vec<String>,
    /// The body, when it is text.
    pub(super) body: Vec<String>,
    /// What is left out of the body.
    pub(super) left_out: Option<String>,
}

/// A header line.
pub(super) struct Line {
    pub(super) text: String,
    /// What is wrong with it.
    pub(super) faults: Vec<Mark>,
}

/// A part of a line that is wrong.
pub(super) struct Mark {
    /// First byte of the part in [`Line::text`], at a character.
    pub(super) start: usize,
    /// Byte behind it; the part may be empty.
    pub(super) end: usize,
    /// What was expected, and where that is written.
    pub(super) told: String,
}

/// What is told above message `no`.
pub(super) fn heading(report: &Report<'_>, view: CallView<'_>, no: MessageNo) -> Heading {
    let (seen, place) = (view.seen(no), view.call.message(no));
    let frames: Vec<String> = seen.frames.as_slice().iter().map(ToString::to_string).collect();
    let step = report.flow(view.number).and_then(|flow| flow.steps.get(no.at()).copied().flatten().zip(flow.flow));
    let mut facts = vec![
        format!("frame {}", frames.join(", ")),
        time::people(seen.time),
        format!("+{} s", time::offset(seen.time.since(view.call.start))),
    ];
    facts.extend(step.map(|(step, flow)| format!("step {step} of {flow}")));
    facts.extend(view.analysis.wrapping(seen).map(|path| format!("inside {path}")));
    facts.extend(place.copy.map(|copy| match copy.kind {
        CopyKind::Retransmission => format!("retransmission of message {}", copy.of.at() + 1),
        CopyKind::CapturedTwice => {
            format!("captured again, sent once as message {}", copy.of.at() + 1)
        }
    }));
    Heading {
        way: [
            words::party(view, place.from),
            words::party(view, place.to),
            seen.connection.transport.name().to_owned(),
        ],
        facts,
        comments: view.comments(no).map(escape::prose).collect(),
    }
}

/// The message in lines, with the secrets of its credentials masked.
pub(super) fn lines_of(message: &Message) -> Shown {
    let raw = message.raw();
    let head_end = raw.len().saturating_sub(message.body().len());
    let mut faults = message.faults();
    faults.sort_by_key(|fault| fault.offset);
    let mut faults = faults.into_iter().peekable();
    let mut mask = escape::Mask::default();
    let mut head = Vec::new();
    for (start, end) in lines(&raw[..head_end]) {
        let before = mask;
        let shown = |mut mask: escape::Mask, end: usize| {
            escape::text(&mask.line(String::from_utf8_lossy(&raw[start..end]))).into_owned()
        };
        mask.line(String::from_utf8_lossy(&raw[start..end]));
        let mut line = Line { text: shown(before, end), faults: Vec::new() };
        while let Some(fault) = faults.next_if(|fault| (fault.offset as usize) <= end) {
            let from = (fault.offset as usize).clamp(start, end);
            let to = from.saturating_add(fault.len as usize).min(end);
            let place = |end| boundary(&line.text, shown(before, end).len());
            let mark = Mark { start: place(from), end: place(to), told: expected(&fault) };
            line.faults.push(mark);
        }
        line.text.truncate(line.text.trim_end().len());
        for mark in &mut line.faults {
            (mark.start, mark.end) = (mark.start.min(line.text.len()), mark.end.min(line.text.len()));
        }
        head.push(line);
    }
    let (body, left_out) = body(message.body());
    Shown { head, faults: faults.map(|fault| expected(&fault)).collect(), body, left_out }
}

/// `at`, or the start of the character that it is within; the end, when it is behind that.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn expected(fault: &Fault) -> String {
    format!("{}: expected {} ({})", fault.header, fault.expected, fault.basis)
}

fn body(body: &[u8]) -> (Vec<String>, Option<String>) {
    let shown = &body[..body.len().min(BODY)];
    if shown.is_empty() {
        return (Vec::new(), None);
    }
    if std::str::from_utf8(shown).is_err_and(|error| error.error_len().is_some()) {
        return (Vec::new(), Some(format!("({} bytes that are no text)", body.len())));
    }
    let text = lines(shown).into_iter().map(|(start, end)| escape::bytes(&shown[start..end])).collect();
    let left_out = body.len().checked_sub(shown.len()).filter(|more| *more > 0);
    (text, left_out.map(|more| format!("({more} more bytes)")))
}

/// Start and end of each line, line ends left out.
fn lines(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut lines = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain((!bytes.ends_with(b"\n")).then_some(bytes.len())) {
        let cut = if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
        lines.push((start, cut));
        start = end + 1;
    }
    lines
}
