//! The messages of a call as they were on the wire, with faults pointed at.

use super::style::{Paint, Style, columns};
use super::{Report, escape, time, words};
use crate::analysis::CallView;
use crate::session::{CopyKind, MessageNo};
use crate::sip::{Fault, Message};
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
    facts.extend(view.analysis.wrapping(seen).map(|path| format!("inside {path}")));
    facts.extend(place.copy.map(|copy| match copy.kind {
        CopyKind::Retransmission => format!("retransmission of message {}", copy.of.at() + 1),
        CopyKind::CapturedTwice => {
            format!("captured again, sent once as message {}", copy.of.at() + 1)
        }
    }));
    write!(out, "{}", style.paragraph(Paint::Dim, &facts.join(style.glyphs().dot), 0))?;
    view.comments(no).try_for_each(|comment| {
        let told = format!("comment in the capture: {}", escape::prose(comment));
        write!(out, "{}", style.paragraph(Paint::Info, &told, 0))
    })
}

/// Header lines, under a faulty one a line with carets under all its faults, then the body.
fn body(message: &Message, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let raw = message.raw();
    let head = raw.len().saturating_sub(message.body().len());
    let mut faults = message.faults();
    faults.sort_by_key(|fault| fault.offset);
    let mut faults = faults.into_iter().peekable();
    let mut mask = escape::Mask::default();
    for (start, end) in lines(&raw[..head]) {
        let before = mask;
        let shown = |mut mask: escape::Mask, end: usize| {
            printable(style, &mask.line(String::from_utf8_lossy(&raw[start..end]))).into_owned()
        };
        mask.line(String::from_utf8_lossy(&raw[start..end]));
        writeln!(out, "{}", format!("  {}", shown(before, end)).trim_end())?;
        let mut carets = String::new();
        let mut told = Vec::new();
        while let Some(fault) = faults.next_if(|fault| (fault.offset as usize) <= end) {
            let from = (fault.offset as usize).clamp(start, end);
            let to = from.saturating_add(fault.len as usize).min(end);
            let (left, right) = (columns(&shown(before, from)), columns(&shown(before, to)));
            underline(&mut carets, left, right);
            told.push(expected(&fault));
        }
        if !told.is_empty() {
            writeln!(out, "  {}", style.paint(Paint::Error, &carets))?;
        }
        told.iter().try_for_each(|told| write!(out, "{}", style.paragraph(Paint::Error, told, 4)))?;
    }
    for fault in faults {
        write!(out, "{}", style.paragraph(Paint::Error, &expected(&fault), 4))?;
    }
    write_body(message.body(), style, out)
}

/// Adds carets from column `left` to before column `right`, at least one; what is there stays.
fn underline(carets: &mut String, left: usize, right: usize) {
    let right = right.max(left + 1);
    let mut line: Vec<u8> = std::mem::take(carets).into_bytes();
    line.resize(line.len().max(right), b' ');
    line[left..right].fill(b'^');
    *carets = line.into_iter().map(char::from).collect();
}

fn expected(fault: &Fault) -> String {
    format!("{}: expected {} ({})", fault.header, fault.expected, fault.basis)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The line with the caret and the line above it.
    fn pointed_at(header: &str) -> (String, String) {
        let text = format!(
            "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:x>;tag=1\r\n\
             To: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n{header}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut out = Vec::new();
        body(&Message::parse(text.into_bytes().into()), Style::default(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        let caret = lines.iter().position(|line| line.trim_start().starts_with('^')).expect("a caret");
        (lines[caret - 1].to_owned(), lines[caret].to_owned())
    }

    /// What stands above the caret, when every character takes one column.
    fn above(header: &str) -> String {
        let (line, caret) = pointed_at(header);
        let left = caret.find('^').unwrap();
        line.chars().skip(left).take(caret.len() - left).collect()
    }

    #[test]
    fn the_caret_stands_under_the_wrong_bytes() {
        for (header, part) in [
            ("Expires: x1", "x1"),
            ("Contact: <sip:a>,\r\n  <sip:b>;q=7", "7"),
            ("Contact: \tA\tB <sip:b>;q=7", "7"),
            ("Contact: \"Grüße\" <sip:b>;q=7", "7"),
            ("Contact: \"\u{202e}\" <sip:b>;q=7", "7"),
            ("Refer-To: A, Grüß <sip:x>", "A, Grüß"),
        ] {
            assert_eq!(above(header), part, "{header}");
        }
        let (line, caret) = pointed_at("Contact: \"漢字\" <sip:b>;q=7");
        assert_eq!(columns(&line[..line.rfind('7').unwrap()]), caret.find('^').unwrap());
    }

    #[test]
    fn a_line_with_two_faults_has_one_line_of_carets() {
        let (line, carets) = pointed_at("Contact: <sip:a>;q=7, <sip:b>;q=8");
        let under: String =
            line.chars().zip(carets.chars()).filter(|(_, caret)| *caret == '^').map(|(c, _)| c).collect();
        assert_eq!(under, "78", "{line}\n{carets}");
    }

    #[test]
    fn a_masked_secret_does_not_move_the_caret() {
        assert_eq!(above("Authorization: Digest response=\"0123456789\", realm=\"x"), "\"x");
        assert_eq!(above("Authorization: Digest response=\"0123456789\",\r\n realm=\"x"), "\"x");
        let (line, _) = pointed_at("Authorization: Digest response=0123456789, realm=\"x");
        assert!(line.contains("response=***,"), "{line}");
    }
}
