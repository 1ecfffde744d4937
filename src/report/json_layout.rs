//! Where JSON breaks its lines, and how its text is written. In the document: one field a line for the document, calls
//! and findings, one line for each message. People can read it, `diff` can compare it, and it is not three times as long.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Serialize;
use std::io::{self, Write};

/// Objects nested deeper than this stay on one line.
const OPEN_DEPTH: usize = 3;
/// Text is handed on in blocks of about this many bytes.
pub(super) const BLOCK: usize = 1 << 18;
/// One thread writes items of about this weight at once; see [`Writer::items`].
const TASK: usize = 512;
/// So many tasks are in memory: those that are being written, and as many that wait for their turn.
const TASKS: usize = 16;

/// The name of the first field of an object that stands on one line, with what stands around it: one constant.
macro_rules! first {
    ($writer:expr, $name:literal) => {
        $writer.either(concat!("\"", $name, "\": "), concat!("\"", $name, "\":"))
    };
}

/// The name of another field of an object that stands on one line, with what stands around it: one constant. `open` begins a
/// string behind it, `close` ends one before it, and fields whose values are known may stand between.
macro_rules! next {
    (@ $writer:expr, $close:literal, $open:literal, $name:literal) => {
        next!(@ $writer, $close, $open, [] $name)
    };
    (@ $writer:expr, $close:literal, $open:literal, [$($before:literal: $value:literal),*] $name:literal) => {
        $writer.either(
            concat!($close, $(", \"", $before, "\": ", $value,)* ", \"", $name, "\": ", $open),
            concat!($close, $(",\"", $before, "\":", $value,)* ",\"", $name, "\":", $open),
        )
    };
    ($writer:expr, close open $($fields:tt)+) => {
        next!(@ $writer, "\"", "\"", $($fields)+)
    };
    ($writer:expr, close $($fields:tt)+) => {
        next!(@ $writer, "\"", "", $($fields)+)
    };
    ($writer:expr, open $($fields:tt)+) => {
        next!(@ $writer, "", "\"", $($fields)+)
    };
    ($writer:expr, $($fields:tt)+) => {
        next!(@ $writer, "", "", $($fields)+)
    };
}
pub(super) use {first, next};

/// JSON as it grows. What the values are is told through serde (`json_serializer.rs`).
pub(super) struct Writer<'o> {
    text: Vec<u8>,
    layout: Layout,
    /// The first field of the next object.
    kind: Option<&'static str>,
    /// Where full blocks go; without it everything stays in memory.
    out: Option<&'o mut dyn Write>,
}

/// Where values stand.
#[derive(Clone, Debug)]
struct Layout {
    /// What stands between the fields of the object that is open.
    between: Between,
    /// The lists and objects that are open, save those of `inline`; empty in lines.
    open: Vec<Container>,
    /// How many lists and objects are open in the innermost that stays on its line, itself included.
    inline: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Between {
    /// NDJSON: nothing more than must.
    Comma,
    /// The document, in an object on one line.
    Space,
    /// The document, where each field begins a line.
    Line,
}

/// A list or object being written.
#[derive(Clone, Copy, Debug)]
struct Container {
    is_array: bool,
    /// Something in it began a new line.
    is_broken: bool,
}

impl<'o> Writer<'o> {
    /// One document.
    pub(super) fn document(out: &'o mut dyn Write) -> Self {
        Self {
            text: Vec::new(),
            kind: None,
            layout: Layout { between: Between::Line, open: Vec::new(), inline: 0 },
            out: Some(out),
        }
    }

    /// Lines of objects.
    pub(super) fn lines(out: &'o mut dyn Write) -> Self {
        Self {
            text: Vec::new(),
            kind: None,
            layout: Layout { between: Between::Comma, open: Vec::new(), inline: 0 },
            out: Some(out),
        }
    }

    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.text.push(b'\n');
        self.hand_on(BLOCK)
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hand_on(0)
    }

    /// One value.
    pub(super) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        Ok(value.serialize(self)?)
    }

    /// A line: `body`, which becomes an object, with its kind before its fields.
    pub(super) fn line<T: Serialize>(&mut self, kind: &'static str, body: &T) -> io::Result<()> {
        self.next_kind(kind);
        self.value(body)?;
        self.end_line()
    }

    /// What the next object says of itself before its other fields.
    pub(super) fn next_kind(&mut self, kind: &'static str) {
        self.kind = Some(kind);
    }

    /// A field of the object that is open.
    pub(super) fn field<T: Serialize + ?Sized>(
        &mut self,
        first: bool,
        name: &'static str,
        value: &T,
    ) -> io::Result<()> {
        self.name(first, name);
        self.value(value)
    }

    /// A field that is a list, whose elements are written by all threads; see [`Writer::items`].
    pub(super) fn list<T: Sync>(
        &mut self,
        name: &'static str,
        items: &[T],
        weight: impl Fn(&T) -> usize,
        write: impl Fn(&T, &mut Writer<'_>) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        self.name(false, name);
        self.begin(b'[', true);
        self.items(items, weight, |at, item, writer| {
            writer.separate(at == 0);
            write(item, writer)
        })?;
        if let Some(last) = self.layout.open.last_mut() {
            // Objects in a list begin lines, also where other threads wrote them.
            last.is_broken |= !items.is_empty();
        }
        self.end(b']');
        Ok(())
    }

    /// A list whose elements are objects or lists; `write` writes each.
    pub(super) fn each<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin(b'[', true);
        for (at, item) in items.into_iter().enumerate() {
            self.separate(at == 0);
            write(self, item)?;
            self.hand_on(BLOCK)?;
        }
        self.end(b']');
        Ok(())
    }

    /// Calls `write` with each of `items` and its position, by all threads, and puts what they wrote in order. No more
    /// than some tasks are in memory at once; an item as heavy as all of those is written by this thread, block by block.
    pub(super) fn items<T: Sync>(
        &mut self,
        items: &[T],
        weight: impl Fn(&T) -> usize,
        write: impl Fn(usize, &T, &mut Writer<'_>) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let layout = self.layout.clone();
        let render = |(first, items, text): (usize, &[T], Vec<u8>)| {
            let mut part = Writer { text, kind: None, layout: layout.clone(), out: None };
            items.iter().enumerate().try_for_each(|(at, item)| write(first + at, item, &mut part))?;
            Ok(part.text)
        };
        let mut tasks = Tasks { items, weight, at: 0 };
        let mut ready: Vec<io::Result<Vec<u8>>> = Vec::new();
        // As much as most tasks need, and memory of tasks that are done.
        let memory = || Vec::with_capacity(BLOCK);
        let mut spare = Vec::new();
        loop {
            let (next, giant) = tasks.next();
            let next: Vec<_> =
                next.into_iter().map(|(first, items)| (first, items, spare.pop().unwrap_or_else(memory))).collect();
            let mut rendered = Vec::new();
            let written = rayon::in_place_scope(|scope| {
                scope.spawn(|_| rendered = next.into_par_iter().map(render).collect());
                self.put(&mut ready, &mut spare)
            });
            written?;
            ready = rendered;
            if let Some(at) = giant {
                self.put(&mut ready, &mut spare)?;
                write(at, &items[at], self)?;
            } else if ready.is_empty() {
                return Ok(());
            }
        }
    }

    fn put(&mut self, parts: &mut Vec<io::Result<Vec<u8>>>, spare: &mut Vec<Vec<u8>>) -> io::Result<()> {
        self.hand_on(0)?;
        for part in parts.drain(..) {
            let mut part = part?;
            match &mut self.out {
                Some(out) => out.write_all(&part)?,
                None => self.text.extend_from_slice(&part),
            }
            part.clear();
            spare.push(part);
        }
        Ok(())
    }

    /// Hands the text on when it is longer than `least`.
    pub(super) fn hand_on(&mut self, least: usize) -> io::Result<()> {
        if self.text.len() > least
            && let Some(out) = &mut self.out
        {
            out.write_all(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, start: u8, is_array: bool) {
        match self.layout.between {
            Between::Comma => {}
            Between::Space => self.layout.inline += 1,
            Between::Line => self.begin_among_lines(is_array),
        }
        self.text.push(start);
    }

    fn begin_among_lines(&mut self, is_array: bool) {
        let Layout { between, open, inline } = &mut self.layout;
        let depth = open.len();
        if !is_array {
            // An object in a list begins a line.
            if let Some(list) = open.last_mut().filter(|parent| parent.is_array) {
                list.is_broken = true;
                new_line(&mut self.text, depth);
            }
            if depth >= OPEN_DEPTH || depth == 1 {
                (*between, *inline) = (Between::Space, 1);
                return;
            }
        }
        open.push(Container { is_array, is_broken: false });
    }

    /// Begins an object; whether it has a field already.
    #[inline]
    pub(super) fn begin_object(&mut self) -> bool {
        self.begin(b'{', false);
        self.kind.take().is_some_and(|kind| self.tell_kind(kind))
    }

    fn tell_kind(&mut self, kind: &'static str) -> bool {
        self.rare_name(true, "type");
        self.word(kind);
        true
    }

    #[inline]
    pub(super) fn end(&mut self, end: u8) {
        let Layout { between, open, inline } = &mut self.layout;
        match between {
            Between::Comma => {}
            Between::Space => {
                *inline -= 1;
                if *inline == 0 {
                    *between = Between::Line;
                }
            }
            Between::Line => {
                if open.pop().is_some_and(|container| container.is_broken) {
                    new_line(&mut self.text, open.len());
                }
            }
        }
        self.text.push(end);
    }

    /// What stands between elements of a list.
    pub(super) fn separate(&mut self, first: bool) {
        if !first {
            self.text.push(b',');
        }
    }

    /// What stands between the fields of an object, and before the first.
    pub(super) fn next_field(&mut self, first: bool) {
        self.separate(first);
        match self.layout.between {
            Between::Comma => {}
            Between::Space if first => {}
            Between::Space => self.text.push(b' '),
            Between::Line => {
                let depth = self.layout.open.len();
                if let Some(last) = self.layout.open.last_mut() {
                    last.is_broken = true;
                }
                new_line(&mut self.text, depth);
            }
        }
    }

    /// What stands between the name of a field and its value.
    pub(super) fn colon(&mut self) {
        self.raw(if self.layout.between == Between::Comma { ":" } else { ": " });
    }

    /// The name of a field of ours: nothing in it needs an escape.
    #[expect(clippy::inline_always, reason = "names become constants: a third of the cost of a message")]
    #[inline(always)]
    pub(super) fn name(&mut self, first: bool, name: &'static str) {
        match self.layout.between {
            Between::Space if !first => {
                self.raw(", \"");
                self.raw(name);
                self.raw("\": ");
            }
            Between::Comma if !first => {
                self.raw(",\"");
                self.raw(name);
                self.raw("\":");
            }
            Between::Line if !first => {
                self.next_line();
                self.raw(name);
                self.raw("\": ");
            }
            _ => self.rare_name(first, name),
        }
    }

    /// What stands before the name of another field that begins a line.
    fn next_line(&mut self) {
        match self.layout.open.len() {
            1 => self.raw(",\n \""),
            2 => self.raw(",\n  \""),
            3 => self.raw(",\n   \""),
            depth => {
                self.text.push(b',');
                new_line(&mut self.text, depth);
                self.text.push(b'"');
            }
        }
    }

    fn rare_name(&mut self, first: bool, name: &'static str) {
        self.next_field(first);
        self.word(name);
        self.colon();
    }

    /// Text of ours that differs between the document and lines; see `first!` and `next!`.
    #[expect(clippy::inline_always, reason = "both are constants")]
    #[inline(always)]
    pub(super) fn either(&mut self, document: &'static str, lines: &'static str) {
        debug_assert!(self.layout.between != Between::Line, "{document} stands on one line");
        // A copy of a constant in each arm: one of an unknown length costs three times as much.
        if self.layout.between == Between::Comma {
            self.raw(lines);
        } else {
            self.raw(document);
        }
    }

    /// The name of a field, of any value: numbers get quotes.
    pub(super) fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> io::Result<()> {
        let at = self.text.len();
        self.value(key)?;
        if self.text.get(at) != Some(&b'"') {
            self.text.insert(at, b'"');
            self.text.push(b'"');
        }
        Ok(())
    }

    /// What was written and not handed on yet.
    #[inline]
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }
}

fn new_line(text: &mut Vec<u8>, depth: usize) {
    if depth == OPEN_DEPTH + 1 {
        // Messages and participants.
        return text.extend_from_slice(b"\n    ");
    }
    text.push(b'\n');
    text.resize(text.len() + depth, b' ');
}

/// Cuts a list into tasks.
struct Tasks<'a, T, W> {
    items: &'a [T],
    weight: W,
    at: usize,
}

impl<'a, T, W: Fn(&T) -> usize> Tasks<'a, T, W> {
    /// The next tasks, each with the position of its first item, and the item behind them if it is too heavy for one.
    fn next(&mut self) -> (Vec<(usize, &'a [T])>, Option<usize>) {
        let mut tasks = Vec::new();
        while tasks.len() < TASKS {
            let (first, mut weight) = (self.at, 0);
            let mut giant = None;
            while weight < TASK
                && let Some(item) = self.items.get(self.at)
            {
                let heavy = (self.weight)(item);
                if heavy >= TASK * TASKS {
                    giant = Some(self.at);
                    break;
                }
                (weight, self.at) = (weight + heavy, self.at + 1);
            }
            if self.at > first {
                tasks.push((first, &self.items[first..self.at]));
            }
            if giant.is_some() {
                self.at += 1;
                return (tasks, giant);
            }
            if self.at == self.items.len() {
                break;
            }
        }
        (tasks, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &serde_json::Value) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::document(&mut out);
        writer.value(value).unwrap();
        writer.finish().unwrap();
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

    fn line<T: Serialize>(value: &T) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::lines(&mut out);
        writer.value(value).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_harmless_is_written_as_serde_json_does(text in "[ -~\t\r\n\u{8}\u{c}é漢\u{1f600}]{0,40}", number: f64, n: i64) {
            let value = serde_json::json!({"text": text, "number": number, "n": n, "list": [text, null, true, {}, []], text: n});
            prop_assert_eq!(line(&value), value.to_string());
        }

        #[test]
        fn every_string_reads_back_the_same(text: String) {
            let told = line(&text);
            prop_assert!(told.chars().all(super::super::escape::is_harmless));
            prop_assert_eq!(serde_json::from_str::<String>(&told).unwrap(), text);
        }

        #[test]
        fn items_stand_in_order_whatever_they_weigh(weights in proptest::collection::vec(0_usize..TASK * TASKS + 99, 0..60)) {
            let mut out = Vec::new();
            let mut writer = Writer::lines(&mut out);
            writer.items(&weights, |weight| *weight, |at, item, writer| {
                assert_eq!(weights[at], *item);
                writer.value(&[at, *item])?;
                writer.end_line()
            }).unwrap();
            writer.finish().unwrap();
            let expected = weights.iter().enumerate().fold(String::new(), |all, (at, weight)| all + &format!("[{at},{weight}]\n"));
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
