//! Text from captures, made harmless for a terminal. Whatever a SIP value holds, only visible characters
//! and our own line breaks and colours are written.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with control, format and direction-changing characters written out (`\x1b`, `\u{202e}`), so that
/// it can neither steer a terminal nor pretend to be something else.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            c if is_harmless(c) => out.push(c),
            c if c.is_ascii() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// Bytes of a SIP value for a terminal; bytes that are no UTF-8 become U+FFFD.
pub fn bytes(value: &[u8]) -> String {
    text(&String::from_utf8_lossy(value)).into_owned()
}

/// Several lines of prose: as [`text`], line by line.
pub fn prose(prose: &str) -> String {
    prose.lines().map(text).collect::<Vec<_>>().join("\n")
}

/// `text` with everything that is not ASCII written out.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '…' => out.push_str("..."),
            '–' | '—' => out.push('-'),
            '→' => out.push_str("->"),
            '·' => out.push('*'),
            c => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
}

/// Whether a character only shows itself.
pub(super) fn is_harmless(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'))
}

/// The header lines of a SIP message with the answer of every digest (`response=`) masked: it can be
/// searched for the password offline. `lines` are whole lines; folded ones belong to the line before.
pub fn mask_secrets<'a>(lines: impl IntoIterator<Item = Cow<'a, str>>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut secret, mut open) = (false, false);
    for line in lines {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().trim();
            secret = name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization");
            open = false;
        }
        if secret {
            let (masked, still_open) = mask_line(&line, open);
            open = still_open;
            out.push(masked);
        } else {
            out.push(line.into_owned());
        }
    }
    out
}

/// Masks every `response=` value of `line`; `open` tells that the line before ended within one.
fn mask_line(line: &str, open: bool) -> (String, bool) {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut open = open;
    loop {
        if open {
            let lead = rest.len() - rest.trim_start_matches([' ', '\t', '=', '"']).len();
            let value = rest[lead..].find(['"', ',', ' ', '\t']).map_or(rest.len(), |end| lead + end);
            out.push_str(&rest[..lead]);
            if value == lead {
                return (out, true);
            }
            out.push_str("***");
            rest = &rest[value..];
            open = false;
        }
        match find_ignoring_case(rest, "response") {
            Some(at) if is_parameter(rest, at) => {
                out.push_str(&rest[..at + "response".len()]);
                rest = &rest[at + "response".len()..];
                open = true;
            }
            Some(at) => {
                out.push_str(&rest[..at + "response".len()]);
                rest = &rest[at + "response".len()..];
            }
            None => {
                out.push_str(rest);
                return (out, false);
            }
        }
    }
}

/// Whether `response` at `at` is a parameter name of its own and a value follows (now or on the next line).
fn is_parameter(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[at + "response".len()..].trim_start();
    before.is_none_or(|c| matches!(c, ' ' | '\t' | ',')) && (after.is_empty() || after.starts_with('='))
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.as_bytes().windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_are_written_out() {
        assert_eq!(text("a\x1b[31mb"), "a\\x1b[31mb");
        assert_eq!(text("\u{9b}31m\u{202e}x\r\n"), "\\u{9b}31m\\u{202e}x\\r\\n");
        assert_eq!(text("Grüße 漢字"), "Grüße 漢字");
        assert_eq!(bytes(b"\xff\x07"), "\u{fffd}\\x07");
    }

    #[test]
    fn a_digest_answer_is_masked_wherever_the_header_is_folded() {
        let mask = |text: &str| mask_secrets(text.lines().map(Cow::Borrowed)).join("\n");
        assert_eq!(
            mask("Authorization: Digest username=\"bob\", response=\"0123abcd\", uri=\"sip:response=x\""),
            "Authorization: Digest username=\"bob\", response=\"***\", uri=\"sip:response=x\""
        );
        assert_eq!(
            mask("PROXY-authorization:Digest a=b,RESPONSE = abc\n , qop=auth\nVia: response=\"kept\""),
            "PROXY-authorization:Digest a=b,RESPONSE = ***\n , qop=auth\nVia: response=\"kept\""
        );
        assert_eq!(
            mask("Authorization: Digest response=\n \"secret\", nc=1"),
            "Authorization: Digest response=\n \"***\", nc=1"
        );
    }
}
