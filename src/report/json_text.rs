//! How values are written as JSON: strings with what needs an escape in them, numbers, times.

use super::json_layout::Writer;
use super::json_metrics::millis;
use super::{escape, time, words};
use crate::base::{EndpointText, Idx, Timestamp};
use crate::call::Participant;
use serde_json::ser::{CompactFormatter, Formatter as _};
use std::fmt::{self, Write as _};
use std::time::Duration;

impl Writer<'_> {
    #[inline]
    pub(super) fn raw(&mut self, text: &str) {
        self.text().extend_from_slice(text.as_bytes());
    }

    /// A string of ours: nothing in it needs an escape.
    #[inline]
    pub(super) fn word(&mut self, word: &'static str) {
        self.text().push(b'"');
        self.raw(word);
        self.text().push(b'"');
    }

    /// A string.
    pub(super) fn string(&mut self, value: &str) {
        self.text().push(b'"');
        self.fragment(value);
        self.text().push(b'"');
    }

    /// A string out of a message; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.text().push(b'"');
        self.part(value);
        self.text().push(b'"');
    }

    /// What `value` displays, as a string.
    pub(super) fn displayed<T: fmt::Display + ?Sized>(&mut self, value: &T) {
        struct Fragments<'a, 'o>(&'a mut Writer<'o>);
        impl fmt::Write for Fragments<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.fragment(text);
                Ok(())
            }
        }
        self.text().push(b'"');
        // Only a value that refuses to be displayed fails here: what it said until then stands.
        let _ = write!(Fragments(self), "{value}");
        self.text().push(b'"');
    }

    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// A time as [`time::rfc3339`] tells it.
    pub(super) fn time(&mut self, time: Timestamp) {
        let text = self.text();
        text.push(b'"');
        text.extend_from_slice(time::rfc3339(time).as_bytes());
        text.push(b'"');
    }

    /// "p1" for the first participant.
    #[inline]
    pub(super) fn who(&mut self, who: Idx<Participant>) {
        match who.at() {
            at @ 0..9 => self.text().extend_from_slice(&[b'"', b'p', b'1' + at as u8, b'"']),
            at => {
                self.raw("\"p");
                self.number(at + 1);
                self.raw("\"");
            }
        }
    }

    /// An address: digits, dots, colons and brackets need no escape.
    pub(super) fn address(&mut self, address: &EndpointText) {
        self.text().push(b'"');
        self.text().extend_from_slice(address.as_bytes());
        self.text().push(b'"');
    }

    /// A number that is finite.
    pub(super) fn float(&mut self, number: f64) {
        // Memory takes all that is written.
        drop(CompactFormatter.write_f64(self.text(), number));
    }

    /// Milliseconds with up to three decimals.
    pub(super) fn millis(&mut self, duration: Duration) {
        /// Durations below that have 15 digits of microseconds, all of which a double tells.
        const EXACT: u64 = 1_000_000_000;
        let (seconds, micros) = (duration.as_secs(), duration.subsec_micros());
        if seconds >= EXACT {
            return self.float(millis(duration));
        }
        self.number(seconds * 1000 + u64::from(micros / 1000));
        let digit = |unit: u32| b'0' + (micros / unit % 10) as u8;
        let text = self.text();
        match [b'.', digit(100), digit(10), digit(1)] {
            [point, tenths, b'0', b'0'] => text.extend_from_slice(&[point, tenths]),
            [point, tenths, hundredths, b'0'] => text.extend_from_slice(&[point, tenths, hundredths]),
            decimals => text.extend_from_slice(&decimals),
        }
    }

    /// A value that may be missing.
    #[inline]
    pub(super) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    /// A list of what is no object and no list: it stays on its line.
    pub(super) fn row<T>(&mut self, values: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.text().push(b'[');
        for (at, value) in values.into_iter().enumerate() {
            self.separate(at == 0);
            write(self, value);
        }
        self.text().push(b']');
    }

    /// Part of a string. Characters that steer terminals or change the direction of text become `\u` escapes: the same
    /// string to every JSON reader, harmless when the document is looked at.
    pub(super) fn fragment(&mut self, value: &str) {
        if is_plain(value.as_bytes()) { self.raw(value) } else { self.escaped(value) }
    }

    /// As [`Writer::fragment`], of a message; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn part(&mut self, value: &[u8]) {
        if is_plain(value) { self.text().extend_from_slice(value) } else { self.escaped(&words::text(value)) }
    }

    fn escaped(&mut self, value: &str) {
        let mut rest = value;
        while !rest.is_empty() {
            // Plain bytes are ASCII: a character begins behind them.
            let (plain, special) = rest.split_at(plain_len(rest.as_bytes()));
            self.raw(plain);
            let mut chars = special.chars();
            match chars.next() {
                Some(c) if c.is_ascii() || !escape::is_harmless(c) => self.escape(c),
                Some(c) => self.raw(c.encode_utf8(&mut [0; 4])),
                None => {}
            }
            rest = chars.as_str();
        }
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let digit = |shift: u16| b"0123456789abcdef"[usize::from(*unit >> shift & 15)];
                    self.text().extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                }
                return;
            }
        };
        self.raw(short);
    }
}

/// Whether all of it is visible ASCII that needs no escape. By blocks, without a branch for each byte; the last word overlaps
/// what stands before it.
fn is_plain(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    blocks.iter().all(is_plain_block)
        && match (rest.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => is_plain_word(*first) && is_plain_word(*last),
            (None, Some(last)) => rest.is_empty() || is_plain_word(*last),
            _ => !text.iter().copied().any(is_special),
        }
}

/// As [`is_special`], for eight bytes at once: a subtraction that borrows shows in the high bit of a byte.
fn is_plain_word(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(bytes);
    let is_zero = |bytes: u64| bytes.wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = is_zero(word ^ (ONES * 0x22));
    let backslash = is_zero(word ^ (ONES * 0x5c));
    let delete = is_zero(word ^ (ONES * 0x7f));
    (word | control | quote | backslash | delete) & (ONES * 0x80) == 0
}

/// How many bytes at the beginning are visible ASCII that needs no escape.
fn plain_len(text: &[u8]) -> usize {
    let plain = text.as_chunks::<16>().0.iter().take_while(|block| is_plain_block(block)).count() * 16;
    let rest = text.get(plain..).unwrap_or_default();
    plain + rest.iter().copied().position(is_special).unwrap_or(rest.len())
}

fn is_plain_block<const N: usize>(block: &[u8; N]) -> bool {
    !block.iter().fold(false, |any, byte| any | is_special(*byte))
}

/// Whether a byte may be (part of) something that needs an escape.
fn is_special(byte: u8) -> bool {
    byte.wrapping_sub(b' ') > b'~' - b' ' || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::lines(&mut out);
        write(&mut writer);
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn participants_are_numbered_from_one() {
        let who = |at| told(|out| out.who(Idx::new(at)));
        assert_eq!([who(0), who(8), who(9), who(4096)], ["\"p1\"", "\"p9\"", "\"p10\"", "\"p4097\""]);
    }

    proptest! {
        #[test]
        fn one_special_byte_among_plain_ones_is_found(text in "[ !#-\\[\\]-~]{0,40}", byte: u8, at: proptest::sample::Index) {
            let mut bytes = text.into_bytes();
            prop_assert!(is_plain(&bytes));
            let at = at.index(bytes.len() + 1);
            bytes.insert(at, byte);
            prop_assert_eq!(is_plain(&bytes), !is_special(byte));
            prop_assert_eq!(plain_len(&bytes), if is_special(byte) { at } else { bytes.len() });
        }

        #[test]
        fn bytes_are_told_as_the_text_that_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[ -~é]{0,40}") {
            prop_assert_eq!(told(|out| out.bytes(&bytes)), told(|out| out.string(&String::from_utf8_lossy(&bytes))));
            prop_assert_eq!(told(|out| out.bytes(text.as_bytes())), told(|out| out.string(&text)));
        }

        #[test]
        fn milliseconds_are_told_as_the_number_that_they_are(nanos in 0..=i64::MAX as u64, shift in 0..64_u32) {
            let duration = Duration::from_nanos(nanos >> shift);
            prop_assert_eq!(told(|out| out.millis(duration)), serde_json::to_string(&millis(duration)).unwrap());
        }
    }
}
