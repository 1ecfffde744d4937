//! The messages of a call as they were on the wire, with faults pointed at.

use super::shown::{self, Line};
use super::style::{Paint, Style, columns};
use super::{Report, escape};
use crate::analysis::CallView;
use crate::session::MessageNo;
use crate::sip::Message;
use std::borrow::Cow;
use std::io::{self, Write};

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
    let heading = shown::heading(report, view, no);
    let [from, to, transport] = &heading.way;
    let arrow = style.glyphs().to;
    let title = format!("Message {} of call {}: {from} {arrow} {to} {transport}", no.at() + 1, view.number + 1);
    write!(out, "{}", style.paragraph(Paint::Bold, &title, 0))?;
    write!(out, "{}", style.paragraph(Paint::Dim, &heading.facts.join(style.glyphs().dot), 0))?;
    heading.comments.iter().try_for_each(|comment| {
        let told = format!("comment in the capture: {comment}");
        write!(out, "{}", style.paragraph(Paint::Info, &told, 0))
    })
}

/// Header lines, under a faulty one a line with carets under all its faults, then the body.
fn body(message: &Message, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let shown = shown::lines_of(message);
    shown.head.iter().try_for_each(|line| head_line(line, style, out))?;
    shown.faults.iter().try_for_each(|told| write!(out, "{}", style.paragraph(Paint::Error, told, 4)))?;
    shown.body.iter().try_for_each(|line| writeln!(out, "  {}", printable(style, line)))?;
    shown.left_out.iter().try_for_each(|told| writeln!(out, "  {}", style.paint(Paint::Dim, told)))
}

fn head_line(line: &Line, style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", format!("  {}", printable(style, &line.text)).trim_end())?;
    if line.faults.is_empty() {
        return Ok(());
    }
    let column = |at: usize| columns(&printable(style, &line.text[..at]));
    let mut carets = String::new();
    for mark in &line.faults {
        underline(&mut carets, column(mark.start), column(mark.end));
    }
    writeln!(out, "  {}", style.paint(Paint::Error, &carets))?;
    line.faults.iter().try_for_each(|mark| write!(out, "{}", style.paragraph(Paint::Error, &mark.told, 4)))
}

/// Adds carets from column `left` to before column `right`, at least one; what is there stays.
fn underline(carets: &mut String, left: usize, right: usize) {
    let right = right.max(left + 1);
    let mut line: Vec<u8> = std::mem::take(carets).into_bytes();
    line.resize(line.len().max(right), b' ');
    line[left..right].fill(b'^');
    *carets = line.into_iter().map(char::from).collect();
}

/// What is harmless already, for a terminal that may know ASCII only.
fn printable(style: Style, text: &str) -> Cow<'_, str> {
    if style.ascii { Cow::Owned(escape::ascii(text)) } else { Cow::Borrowed(text) }
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
