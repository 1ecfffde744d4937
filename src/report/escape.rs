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

/// Parameters of credentials that are not told: from the response the password can be searched offline, and
/// `cnonce` is what that search needs.
const SECRETS: [&str; 2] = ["response", "cnonce"];

/// What the lines of a header hide.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Hidden {
    #[default]
    Nothing,
    /// Credentials whose scheme is still to come.
    Undecided,
    /// The secret parameters of a digest.
    Parameters,
    /// Everything after the scheme: Basic is the password itself, Bearer (RFC 8898) a key.
    All,
}

/// Masks the secrets of credentials in the header lines of a SIP message. Takes line by line; folded ones
/// belong to the line before.
#[derive(Clone, Copy, Default)]
pub(super) struct Mask {
    hidden: Hidden,
    open: bool,
}

impl Mask {
    /// The next line, or the beginning of one.
    pub(super) fn line<'a>(&mut self, line: Cow<'a, str>) -> Cow<'a, str> {
        let mut value = 0;
        if !line.starts_with([' ', '\t']) {
            *self = Self::default();
            let colon = line.find(':').unwrap_or(line.len());
            let name = line[..colon].trim();
            if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization") {
                (self.hidden, value) = (Hidden::Undecided, line.len().min(colon + 1));
            }
        }
        let start = value + line[value..].len() - line[value..].trim_start().len();
        let mut end = start;
        if self.hidden == Hidden::Undecided && start < line.len() {
            let scheme = line[start..].split([' ', '\t', ',']).next().unwrap_or_default();
            let is_digest = scheme.eq_ignore_ascii_case("digest") || scheme.contains(['=', '"']);
            (self.hidden, end) = (if is_digest { Hidden::Parameters } else { Hidden::All }, start + scheme.len());
        }
        match self.hidden {
            Hidden::Nothing | Hidden::Undecided => line,
            Hidden::All if line[end..].trim().is_empty() => line,
            Hidden::All if end > start => Cow::Owned(format!("{} ***", &line[..end])),
            Hidden::All => Cow::Owned(format!("{}***", &line[..start])),
            Hidden::Parameters => {
                let (masked, open) = mask_line(&line, self.open);
                self.open = open;
                Cow::Owned(masked)
            }
        }
    }
}

/// Masks every secret value of `line`; `open` tells that the line before ended within one.
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
        }
        let Some((at, end)) = first_secret(rest) else {
            out.push_str(rest);
            return (out, false);
        };
        open = is_parameter(rest, at, end);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
}

/// Where the first name of a secret parameter begins and ends in `line`.
fn first_secret(line: &str) -> Option<(usize, usize)> {
    let starts = |at: usize, name: &str| {
        let part = line.as_bytes().get(at..at + name.len());
        part.is_some_and(|part| part.eq_ignore_ascii_case(name.as_bytes()))
    };
    (0..line.len()).find_map(|at| SECRETS.iter().find(|name| starts(at, name)).map(|name| (at, at + name.len())))
}

/// Whether `line[at..end]` is a parameter name of its own and a value follows (now or on the next line).
fn is_parameter(line: &str, at: usize, end: usize) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[end..].trim_start();
    before.is_none_or(|c| matches!(c, ' ' | '\t' | ',')) && (after.is_empty() || after.starts_with('='))
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
    fn other_schemes_are_masked_altogether() {
        let mask = |text: &str| {
            let mut mask = Mask::default();
            text.lines().map(|line| mask.line(Cow::Borrowed(line))).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(mask("Authorization: Basic Ym9iOng=\nVia: Basic x"), "Authorization: Basic ***\nVia: Basic x");
        assert_eq!(mask("Proxy-Authorization:\n bearer abc\n def"), "Proxy-Authorization:\n bearer ***\n ***");
    }

    #[test]
    fn a_digest_answer_is_masked_wherever_the_header_is_folded() {
        let mask = |text: &str| {
            let mut mask = Mask::default();
            text.lines().map(|line| mask.line(Cow::Borrowed(line))).collect::<Vec<_>>().join("\n")
        };
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
        assert_eq!(
            mask("Authorization: Digest nonce=\"n\", Cnonce=\"c\",response=d, nc=1"),
            "Authorization: Digest nonce=\"n\", Cnonce=\"***\",response=***, nc=1"
        );
        assert_eq!(
            mask("Authorization: response=\"d\"\nAuthorization"),
            "Authorization: response=\"***\"\nAuthorization"
        );
    }
}
