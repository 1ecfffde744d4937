//! The report as one HTML file that opens from disk and fetches nothing (docs/report.md).
//!
//! What the first page shows is JSON in a data block. Ladders and messages are by far the most of it: they go,
//! some hundred messages at a time, through deflate and Base64 into data blocks of their own, and the page
//! unpacks the one it needs. The page has a Content-Security-Policy that allows the one script and the one style
//! sheet of this program by their hashes and nothing else; the script makes text nodes only.

mod detail;
mod index;

use super::verdict::Answer;
use super::{Format, Report, Style};
use crate::analysis::CallView;
use base64ct::{Base64, Encoding};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// The page around the data; `{{name}}` stands for what is filled in.
const SKELETON: &str = include_str!("html/skeleton.html");
const STYLE: &str = include_str!("html/report.css");
/// The script, one part after the other in one scope.
const SCRIPT: &str = concat!(
    include_str!("html/dom.js"),
    include_str!("html/store.js"),
    include_str!("html/summary.js"),
    include_str!("html/list.js"),
    include_str!("html/ladder.js"),
    include_str!("html/message.js"),
    include_str!("html/call.js"),
    include_str!("html/main.js"),
);

/// Messages of a block, about: unpacking one takes some milliseconds, and deflate finds most repetitions.
const BLOCK_MESSAGES: usize = 512;
/// Blocks that are packed at once.
const BLOCKS_AT_ONCE: usize = 32;

/// The report for a browser.
#[derive(Debug)]
pub struct Html;

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn help(&self) -> &'static str {
        "one self-contained page for a browser (docs/report.md)"
    }

    fn write(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        let calls: Vec<CallView<'_>> = report.calls().collect();
        let blocks = blocks(&calls);
        let index = index::Index::new(report, &blocks);
        let answer = &index.verdict;
        let (script, style) = (hash(SCRIPT), hash(STYLE));
        let title = escape(&title(report, answer));
        let (word, rest) = (escape(answer.word), escape(&answer.rest));
        let values = [
            ("script-hash", script.as_str()),
            ("style-hash", style.as_str()),
            ("version", env!("CARGO_PKG_VERSION")),
            ("title", title.as_str()),
            ("style", STYLE),
            ("level", answer.level),
            ("word", word.as_str()),
            ("rest", rest.as_str()),
            ("script", SCRIPT),
        ];
        for (text, name) in pieces(SKELETON) {
            out.write_all(text.as_bytes())?;
            match name {
                "index" => write_json(&index, out)?,
                "blocks" => write_blocks(report, &calls, &blocks, out)?,
                name => {
                    let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
                    out.write_all(value.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// "PROBLEM: trace.pcap".
fn title(report: &Report<'_>, answer: &index::Verdict) -> String {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let files = match report.captures {
        [] => String::new(),
        [one] => format!(": {}", super::escape::text(&name(&one.path))),
        [first, rest @ ..] => format!(": {} and {} more", super::escape::text(&name(&first.path)), rest.len()),
    };
    format!("{}{files} - callflow", answer.word)
}

/// The text before each `{{name}}`, and the name; the last one has an empty name.
fn pieces(template: &str) -> impl Iterator<Item = (&str, &str)> {
    template.split("}}").map(|piece| piece.split_once("{{").unwrap_or((piece, "")))
}

/// Numbers of calls of each block.
fn blocks(calls: &[CallView<'_>]) -> Vec<usize> {
    let (mut blocks, mut held, mut messages) = (Vec::new(), 0, 0);
    for view in calls {
        (held, messages) = (held + 1, messages + view.call.messages.len() + 1);
        if messages >= BLOCK_MESSAGES {
            blocks.push(std::mem::take(&mut held));
            messages = 0;
        }
    }
    blocks.extend((held > 0).then_some(held));
    blocks
}

/// For each block two elements: what is told of its calls, and the text of their messages.
fn write_blocks(
    report: &Report<'_>,
    calls: &[CallView<'_>],
    blocks: &[usize],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rest = calls;
    for several in blocks.chunks(BLOCKS_AT_ONCE) {
        let parts: Vec<&[CallView<'_>]> = several.iter().map(|len| take(&mut rest, *len)).collect();
        let packed: Vec<io::Result<[String; 2]>> = parts.par_iter().map(|calls| pack(report, calls)).collect();
        for one in packed {
            let [told, texts] = one?;
            for (class, data) in [("told", told), ("texts", texts)] {
                writeln!(out, "<script type=\"text/plain\" class=\"{class}\">{data}</script>")?;
            }
        }
    }
    Ok(())
}

fn take<'a, T>(rest: &mut &'a [T], len: usize) -> &'a [T] {
    let (first, second) = rest.split_at(len.min(rest.len()));
    *rest = second;
    first
}

/// What is told of `calls` and the text of their messages, both packed.
fn pack(report: &Report<'_>, calls: &[CallView<'_>]) -> io::Result<[String; 2]> {
    let mut told = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut texts = ZlibEncoder::new(Vec::new(), Compression::default());
    told.write_all(b"[")?;
    for (at, view) in calls.iter().enumerate() {
        let (detail, text) = detail::of(report, *view);
        if at > 0 {
            told.write_all(b",")?;
            write!(texts, "{}", detail::BETWEEN_CALLS)?;
        }
        serde_json::to_writer(&mut told, &detail)?;
        texts.write_all(text.as_bytes())?;
    }
    told.write_all(b"]")?;
    Ok([Base64::encode_string(&told.finish()?), Base64::encode_string(&texts.finish()?)])
}

/// As Content-Security-Policy wants it.
fn hash(text: &str) -> String {
    format!("sha256-{}", Base64::encode_string(&Sha256::digest(text.as_bytes())))
}

/// Text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON that can stand in a script element: nothing in it ends the element, or begins a comment.
fn write_json<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    Ok(value.serialize(&mut serde_json::Serializer::with_formatter(out, InScript))?)
}

struct InScript;

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, after) = rest.split_at(at);
            let mut chars = after.chars();
            let code = chars.next().map_or(0, u32::from);
            write!(writer, "{before}\\u{code:04x}")?;
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

impl From<Answer> for index::Verdict {
    fn from(answer: Answer) -> Self {
        Self { level: index::level_of(answer.paint), word: answer.word, rest: answer.rest }
    }
}
