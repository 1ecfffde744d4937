//! The small pieces of RFC 3261 25.1 that the value parsers share.

use memchr::{memchr, memchr2};
use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::char;
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// What a parser here returns; errors are `()`, since the caller knows what was expected.
pub(super) type Parsed<'a, T = &'a [u8]> = IResult<&'a [u8], T, ()>;

/// `token` characters (RFC 3261 25.1).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let marks = b"-.!%*_+`'~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Linear white space: within a header value a line end can only be a fold.
#[inline]
pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(super) fn token(input: &[u8]) -> Parsed<'_> {
    take_while1(is_token)(input)
}

/// Optional white space (SWS).
pub(super) fn sws(input: &[u8]) -> Parsed<'_> {
    take_while(is_lws)(input)
}

/// White space that must be there (LWS).
pub(super) fn lws(input: &[u8]) -> Parsed<'_> {
    take_while1(is_lws)(input)
}

/// A separator with optional white space around it (SLASH, COLON, ...).
pub(super) fn around<'a>(separator: char) -> impl Parser<&'a [u8], Output = char, Error = ()> {
    delimited(sws, char(separator), sws)
}

/// A run of digits as a number; fails on overflow.
pub(super) fn number(input: &[u8]) -> Parsed<'_, u64> {
    let (rest, digits) = take_while1(|byte: u8| byte.is_ascii_digit())(input)?;
    decimal(digits).map(|value| (rest, value)).ok_or(nom::Err::Error(()))
}

/// `input` as a decimal number, if it is digits only and fits.
pub(super) fn decimal(input: &[u8]) -> Option<u64> {
    if input.is_empty() {
        return None;
    }
    input.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// What stands between two quotes, escapes left as they are.
pub(super) fn quoted(input: &[u8]) -> Parsed<'_> {
    let end = quoted_len(input).ok_or(nom::Err::Error(()))?;
    let (text, rest) = input.split_at(end);
    Ok((rest, text.get(1..end - 1).unwrap_or_default()))
}

/// Length of the quoted-string at the beginning of `input`, both quotes included.
pub(super) fn quoted_len(input: &[u8]) -> Option<usize> {
    if input.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', input.get(at..)?)?;
        if input[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// `input` without white space at both ends.
pub(super) fn trim(input: &[u8]) -> &[u8] {
    let start = input.iter().position(|byte| !is_lws(*byte)).unwrap_or(input.len());
    trim_end(&input[start..])
}

/// `input` without white space at its end.
#[inline]
pub(super) fn trim_end(input: &[u8]) -> &[u8] {
    match input {
        [.., b'!'..=0xff] => input,
        _ => &input[..input.iter().rposition(|byte| !is_lws(*byte)).map_or(0, |last| last + 1)],
    }
}

/// [`trim`] for what nearly always has one space before it and a line end behind it.
#[inline]
pub(super) fn trim_line(input: &[u8]) -> &[u8] {
    match input {
        [b' ', value @ .., b'\r', b'\n'] if matches!(value, [b'!'..=0xff, .., b'!'..=0xff]) => value,
        _ => trim(input),
    }
}

/// `value` without its quotes, when it has some.
fn unquote(value: &[u8]) -> &[u8] {
    match value.strip_prefix(b"\"") {
        Some(inner) => inner.strip_suffix(b"\"").unwrap_or(inner),
        None => value,
    }
}

/// Splits `input` at the first `separator` outside of quotes and angle brackets.
///
/// A quote or bracket that is never closed reaches to the end.
pub(super) fn split_top(input: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    let mark = |byte: &u8| *byte == separator || matches!(byte, b'"' | b'<');
    while let Some(found) = input.get(at..).and_then(|rest| rest.iter().position(mark)) {
        at += found;
        at += match input[at] {
            b'"' => quoted_len(&input[at..]).unwrap_or(input.len() - at),
            b'<' => memchr(b'>', &input[at..]).map_or(input.len() - at, |close| close + 1),
            _ => return (&input[..at], Some(&input[at + 1..])),
        };
    }
    (input, None)
}

/// The trimmed, non-empty parts of a comma list.
#[derive(Clone, Debug)]
pub(super) struct Commas<'a>(Option<&'a [u8]>);

impl<'a> Commas<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self(Some(value))
    }
}

impl<'a> Iterator for Commas<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(input) = self.0 {
            let (part, rest) = split_top(input, b',');
            self.0 = rest;
            let part = trim(part);
            if !part.is_empty() {
                return Some(part);
            }
        }
        None
    }
}

/// The `name[=value]` pairs of a parameter list, quotes taken off.
#[derive(Clone, Debug)]
pub(super) struct Params<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
    /// Without quotes and brackets, every separator separates.
    plain: bool,
}

impl<'a> Params<'a> {
    pub(super) fn new(list: &'a [u8], separator: u8) -> Self {
        Self { rest: (!list.is_empty()).then_some(list), separator, plain: memchr2(b'"', b'<', list).is_none() }
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(input) = self.rest {
            let (part, rest) = if self.plain { split(input, self.separator) } else { split_top(input, self.separator) };
            self.rest = rest;
            let (name, value) = split(part, b'=');
            let name = trim(name);
            if !name.is_empty() || value.is_some() {
                return Some((name, value.map(|value| unquote(trim(value)))));
            }
        }
        None
    }
}

/// Splits `input` at the first `separator`.
fn split(input: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(separator, input) {
        Some(at) => (&input[..at], Some(&input[at + 1..])),
        None => (input, None),
    }
}

/// The value of the first parameter called `name`; empty when it has none.
pub(super) fn param<'a>(list: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Params::new(list, b';')
        .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_and_brackets_do_not_split() {
        let parts: Vec<_> = Commas::new(b"\"a, \\\" b\" <sip:x,y>;p=1 , ,*,\"open, ").collect();
        assert_eq!(parts, [b"\"a, \\\" b\" <sip:x,y>;p=1".as_slice(), b"*", b"\"open,"]);
    }

    #[test]
    fn parameters_keep_order_and_lose_quotes() {
        let found: Vec<_> = Params::new(b"; a=1;b ; c = \"x;y\";=;", b';').collect();
        let expected: Vec<(&[u8], Option<&[u8]>)> =
            vec![(b"a", Some(b"1")), (b"b", None), (b"c", Some(b"x;y")), (b"", Some(b""))];
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_do_not_overflow() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(decimal(b""), None);
    }

    #[test]
    fn a_quoted_string_must_close() {
        assert_eq!(quoted(b"\"a\\\"b\" c"), Ok((b" c".as_slice(), b"a\\\"b".as_slice())));
        assert!(quoted(b"\"a\\\"").is_err());
        assert!(quoted(b"\"a\\").is_err());
    }
}
