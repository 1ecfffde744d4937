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
fn write_blocks(report: &Report<'_>, calls: &[CallView<'_>], blocks: &[usize], out: &mut dyn Write) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Sample};
    use super::*;
    use std::io::Read;

    fn page(sample: &Sample) -> String {
        let mut out = Vec::new();
        Html.write(&sample.report(), Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The content of every element that starts with `start`.
    fn elements<'a>(page: &'a str, start: &'a str, end: &'a str) -> Vec<&'a str> {
        page.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
    }

    /// The content of the blocks of a class.
    fn unpacked(page: &str, class: &str) -> Vec<String> {
        let start = format!("<script type=\"text/plain\" class=\"{class}\">");
        let blocks = elements(page, &start, "</script>");
        let unpack = |packed: &&str| {
            let mut text = String::new();
            let bytes = Base64::decode_vec(packed).unwrap();
            flate2::read::ZlibDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            text
        };
        blocks.iter().map(unpack).collect()
    }

    fn index(page: &str) -> serde_json::Value {
        serde_json::from_str(elements(page, "id=\"index\">", "</script>")[0]).unwrap()
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let page = page(&samples::two_proxies());
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        for tag in ["html", "head", "body", "main", "header", "style", "title", "script"] {
            let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!page.contains("{{") && !page.contains("src=") && !page.contains("<link") && !page.contains("url("));
        let addresses: Vec<&str> = page.match_indices("://").map(|(at, _)| &page[at - 5..at]).collect();
        assert_eq!(addresses, ["\"http"], "only the name of SVG");
    }

    #[test]
    fn the_policy_allows_the_script_and_the_style_of_this_program_only() {
        let page = page(&samples::two_proxies());
        let style = elements(&page, "<style>", "</style>")[0];
        let script = elements(&page, "<script>", "</script>")[0];
        assert!(page.contains(&format!("script-src '{}'; style-src '{}'", hash(script), hash(style))));
        assert!(page.contains("default-src 'none'"));
        for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "</", "<!--"] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }

    #[test]
    fn no_value_of_a_message_becomes_markup() {
        let evil = "</script></title><img src=x onerror=alert(1)><!--<script>&lt;\"'\u{2028}";
        let page = page(&samples::named(evil));
        assert!(!page.contains("<img") && !page.contains("<!--"));
        let blocks = elements(&page, "class=\"told\">", "<").len();
        assert_eq!(page.matches("<script").count(), 2 + 2 * blocks);
        assert_eq!(page.matches("</title>").count(), 1);
        let held = unpacked(&page, "texts").concat();
        assert!(
            held.contains("Subject: </script></title><img src=x onerror=alert(1)><!--<script>&lt;\"'\\u{2028}"),
            "{held}"
        );
        let id = index(&page)["calls"]["call_id"][0].as_str().unwrap().to_owned();
        assert!(id.starts_with("</script></title><img src=x"), "{id}");
    }

    #[test]
    fn secrets_of_credentials_stay_out() {
        let page = page(&samples::wrong_password());
        let texts = unpacked(&page, "texts").concat();
        assert!(texts.contains("response=\"***\""), "{texts}");
        assert!(!texts.contains("response=\"0") && !texts.contains("cnonce=\"0"), "{texts}");
    }

    #[test]
    fn calls_messages_and_findings_have_their_places() {
        let page = page(&samples::wrong_password());
        let index = index(&page);
        let blocks: u64 = index["blocks"].as_array().unwrap().iter().map(|held| held.as_u64().unwrap()).sum();
        assert_eq!(blocks, 2);
        assert_eq!(index["calls"]["n"].as_array().unwrap().len(), 2);
        assert_eq!(index["problems"][0]["calls"], 2);
        let told: serde_json::Value = serde_json::from_str(&unpacked(&page, "told")[0]).unwrap();
        let texts = unpacked(&page, "texts");
        let texts: Vec<&str> = texts[0].split(detail::BETWEEN_CALLS).collect();
        for (call, text) in told.as_array().unwrap().iter().zip(&texts) {
            assert_eq!(call["messages"].as_array().unwrap().len(), text.split('\u{1e}').count() - 1);
            assert_eq!(call["ladder"]["findings"][0]["summary"], call["findings"][0]["summary"]);
            assert!(text.contains("REGISTER sip:"), "{text}");
        }
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn blocks_hold_all_calls_in_order_and_end_when_full() {
        let sample = samples::two_proxies();
        let report = sample.report();
        let two: Vec<CallView<'_>> = report.calls().collect();
        let many: Vec<CallView<'_>> = two.iter().copied().cycle().take(50).collect();
        let held = blocks(&many);
        assert_eq!(held.iter().sum::<usize>(), 50);
        assert!(held.len() > 1 && held[0] * (two[0].call.messages.len() + 1) >= BLOCK_MESSAGES);
        assert!(blocks(&[]).is_empty());
    }

    #[test]
    fn the_same_bytes_come_from_any_number_of_threads() {
        let sample = samples::two_proxies();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| page(&sample))
        };
        assert_eq!(with(1), with(4));
    }

    #[test]
    fn a_message_takes_less_than_it_took_on_the_wire() {
        let sample = samples::two_proxies();
        let page = page(&sample);
        let packed: usize = ["told", "texts"]
            .iter()
            .map(|class| {
                elements(&page, &format!("class=\"{class}\">"), "<").iter().map(|data| data.len()).sum::<usize>()
            })
            .sum();
        let wire: usize = sample.analysis.seen.iter().map(|seen| seen.message.raw().len()).sum();
        assert!(packed < wire / 2, "{packed} of {wire}");
    }
}
