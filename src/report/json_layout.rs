//! Where the JSON document breaks its lines: one field a line for the document, calls and findings, one
//! line for each message. People can read it, `diff` can compare it, and it is not three times as long.

use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Objects nested deeper than this stay on one line.
const OPEN_DEPTH: usize = 3;

/// Layout of the whole document.
#[derive(Debug, Default)]
pub(super) struct Document {
    open: Vec<Container>,
}

/// A list or object being written.
#[derive(Debug)]
struct Container {
    is_array: bool,
    /// Everything in it stays on its line.
    is_inline: bool,
    /// Something in it began a new line.
    is_broken: bool,
}

impl Document {
    fn new_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.open.len()).try_for_each(|_| out.write_all(b" "))
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, start: &[u8], is_array: bool) -> io::Result<()> {
        let depth = self.open.len() + 1;
        let parent = self.open.last();
        let in_array = parent.is_some_and(|parent| parent.is_array);
        let is_inline =
            parent.is_some_and(|parent| parent.is_inline) || (!is_array && (depth > OPEN_DEPTH || depth == 2));
        // An object in a list begins a line.
        if in_array && !is_array && !parent.is_some_and(|parent| parent.is_inline) {
            self.break_line(out)?;
        }
        self.open.push(Container { is_array, is_inline, is_broken: false });
        out.write_all(start)
    }

    fn break_line<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.new_line(out)?;
        if let Some(last) = self.open.last_mut() {
            last.is_broken = true;
        }
        Ok(())
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, end: &[u8]) -> io::Result<()> {
        if self.open.pop().is_some_and(|container| container.is_broken) {
            self.new_line(out)?;
        }
        out.write_all(end)
    }
}

impl Formatter for Document {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[", true)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{", false)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        let is_inline = self.open.last().is_some_and(|container| container.is_inline);
        if !first {
            out.write_all(if is_inline { b", " } else { b"," })?;
        }
        if is_inline { Ok(()) } else { self.break_line(out) }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_harmless(out, fragment)
    }
}

/// Layout of one line of NDJSON.
#[derive(Debug, Default)]
pub(super) struct Line;

impl Formatter for Line {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_harmless(out, fragment)
    }
}

/// `fragment` with characters that steer terminals or change the direction of text as `\u` escapes: the
/// same string to every JSON reader, harmless when the document is looked at.
fn write_harmless<W: ?Sized + Write>(out: &mut W, fragment: &str) -> io::Result<()> {
    if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.write_all(fragment.as_bytes());
    }
    let mut rest = fragment;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| !super::escape::is_harmless(*c)) {
        out.write_all(&rest.as_bytes()[..at])?;
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn written(value: &serde_json::Value) -> String {
        let mut out = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Document::default())).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages_take_one_line_and_fields_of_calls_one_each() {
        let value = serde_json::json!({"version": 1, "tool": {"name": "x", "v": 2}, "calls": [{"id": 1, "call_ids": ["a", "b"], "messages": [{"n": 1, "frames": [3]}, {"n": 2, "frames": []}]}], "findings": []});
        insta::assert_snapshot!(written(&value), @r#"
        {
         "version": 1,
         "tool": {"name": "x", "v": 2},
         "calls": [
          {
           "id": 1,
           "call_ids": ["a","b"],
           "messages": [
            {"n": 1, "frames": [3]},
            {"n": 2, "frames": []}
           ]
          }
         ],
         "findings": []
        }
        "#);
    }

    #[test]
    fn control_characters_are_escaped_and_read_back_the_same() {
        let value = serde_json::json!({"a": "\u{1b}[1m \u{9b}x\u{202e}\u{e0001}é"});
        let text = written(&value);
        assert!(text.chars().all(|c| c == '\n' || super::super::escape::is_harmless(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
