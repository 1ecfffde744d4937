//! The messages of a call as they were on the wire, with faults pointed at.

use super::style::{Paint, Style, columns};
use super::{Report, escape, time, words};
use crate::analysis::CallView;
use crate::session::{CopyKind, MessageNo};
use crate::sip::Message;
use std::borrow::Cow;
use std::io::{self, Write};

/// Body bytes shown as text of one message; a body that is no text is only counted.
const BODY: usize = 16 << 10;

/// Writes message `only` of a call, or all of them.
pub fn write(
    report: &Report<'_>,
    view: CallView<'_>,
    only: Option<MessageNo>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (no, _) in view.messages().filter(|(no, _)| only.is_none_or(|only| only == *no)) {
        heading(report, view, no, style, out)?;
        body(view.sip(no), style, out)?;
        for finding in report.findings_of(view.number).filter(|finding| finding.messages.contains(&no)) {
            let told = format!("{} {}: {}", finding.rule.code, finding.rule.name, escape::text(&finding.summary));
            write!(out, "{}", style.paragraph(Paint::Warning, &told, 2))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn heading(
    report: &Report<'_>,
    view: CallView<'_>,
    no: MessageNo,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (seen, place) = (view.seen(no), view.call.message(no));
    let frames: Vec<String> = seen.frames.as_slice().iter().map(ToString::to_string).collect();
    let to = style.glyphs().to;
    let title = format!(
        "Message {} of call {}: {} {to} {} {}",
        no.at() + 1,
        view.number + 1,
        words::party(view, place.from),
        words::party(view, place.to),
        seen.connection.transport.name(),
    );
    write!(out, "{}", style.paragraph(Paint::Bold, &title, 0))?;
    let step = report.flow(view.number).and_then(|flow| flow.steps.get(no.at()).copied().flatten().zip(flow.flow));
    let mut facts = vec![
        format!("frame {}", frames.join(", ")),
        time::people(seen.time),
        format!("+{} s", time::offset(seen.time.since(view.call.start))),
    ];
    facts.extend(step.map(|(step, flow)| format!("step {step} of {flow}")));
    facts.extend(place.copy.map(|copy| match copy.kind {
        CopyKind::Retransmission => format!("retransmission of message {}", copy.of.at() + 1),
        CopyKind::CapturedTwice => {
            format!("captured again, sent once as message {}", copy.of.at() + 1)
        }
    }));
    write!(out, "{}", style.paragraph(Paint::Dim, &facts.join(style.glyphs().dot), 0))
}

/// Header lines with a caret line under each fault, then the body.
fn body(message: &Message, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let raw = message.raw();
    let head = raw.len().saturating_sub(message.body().len());
    let mut faults = message.faults();
    faults.sort_by_key(|fault| fault.offset);
    let mut faults = faults.into_iter().peekable();
    let spans = lines(&raw[..head]);
    let texts = escape::mask_secrets(spans.iter().map(|(start, end)| String::from_utf8_lossy(&raw[*start..*end])));
    for ((start, end), text) in spans.iter().zip(&texts) {
        writeln!(out, "{}", format!("  {}", printable(style, text)).trim_end())?;
        while let Some(fault) = faults.next_if(|fault| (fault.offset as usize) <= *end) {
            let at = (fault.offset as usize).clamp(*start, *end);
            let wide = (fault.len as usize).min(end - at).max(1);
            let before = columns(&printable(style, &String::from_utf8_lossy(&raw[*start..at])));
            // The column is right unless a secret before it was masked.
            let caret = format!("{:before$}{}", "", "^".repeat(wide));
            writeln!(out, "  {}", style.paint(Paint::Error, &caret))?;
            let told = format!("{}: expected {} ({})", fault.header, fault.expected, fault.basis);
            write!(out, "{}", style.paragraph(Paint::Error, &told, 4))?;
        }
    }
    for fault in faults {
        let told = format!("{}: expected {} ({})", fault.header, fault.expected, fault.basis);
        write!(out, "{}", style.paragraph(Paint::Error, &told, 4))?;
    }
    write_body(message.body(), style, out)
}

fn write_body(body: &[u8], style: Style, out: &mut dyn Write) -> io::Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    let shown = &body[..body.len().min(BODY)];
    if std::str::from_utf8(shown).is_err_and(|error| error.error_len().is_some()) {
        return writeln!(out, "  {}", style.paint(Paint::Dim, &format!("({} bytes that are no text)", body.len())));
    }
    for (start, end) in lines(shown) {
        writeln!(out, "  {}", printable(style, &String::from_utf8_lossy(&shown[start..end])))?;
    }
    if shown.len() < body.len() {
        writeln!(out, "  {}", style.paint(Paint::Dim, &format!("({} more bytes)", body.len() - shown.len())))?;
    }
    Ok(())
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

fn printable(style: Style, text: &str) -> Cow<'_, str> {
    let text = escape::text(text);
    if style.ascii { Cow::Owned(escape::ascii(&text)) } else { text }
}
