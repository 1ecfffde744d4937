//! Addresses: From, To, Contact, Route and their like (RFC 3261 20.10, 25.1).

use super::grammar::{Parsed, decimal, is_lws, param, quoted, split_top, sws, trim};
use memchr::memchr;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{take_till, take_until};
use nom::character::complete::char;
use nom::sequence::{delimited, terminated};

/// A `name-addr` or `addr-spec` with its header parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Address<'a> {
    /// Display name without quotes, escapes left as they are; empty when there is none.
    pub display: &'a [u8],
    /// The URI without angle brackets; `*` for the Contact of all bindings.
    pub uri: &'a [u8],
    /// Header parameters as written, behind the first semicolon.
    pub params: &'a [u8],
}

impl<'a> Address<'a> {
    /// Reads one value; `None` when brackets or quotes are not closed or no URI is there.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        Self::parse_usual(value).or_else(|| Self::parse_any(value))
    }

    /// Reads `<uri>` without a display name and with nothing but parameters behind it.
    fn parse_usual(value: &'a [u8]) -> Option<Self> {
        let inside = value.strip_prefix(b"<")?;
        let close = memchr(b'>', inside)?;
        let (uri, rest) = (&inside[..close], &inside[close + 1..]);
        let is_bare = matches!(uri, [b'!'..=0xff, .., b'!'..=0xff]) && !rest.last().is_some_and(|byte| is_lws(*byte));
        let params = match rest {
            [] => rest,
            [b';', params @ ..] => params,
            _ => return None,
        };
        is_bare.then_some(Self { display: b"", uri, params })
    }

    /// Reads any value, by the grammar.
    fn parse_any(value: &'a [u8]) -> Option<Self> {
        let (_, address) = alt((name_addr, addr_spec)).parse(trim(value)).ok()?;
        Some(address)
    }

    /// The parameter called `name`: its value without quotes, empty when it has none.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        param(self.params, name)
    }

    /// `tag`; empty when there is none.
    pub fn tag(&self) -> &'a [u8] {
        self.param("tag").unwrap_or_default()
    }

    /// `expires`, in seconds; `None` when there is none or it is no number of 32 bits.
    pub fn expires(&self) -> Option<u32> {
        decimal(self.param("expires")?).and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// `q` in thousandths, 0..=1000 (RFC 3261 25.1 `qvalue`).
    pub fn q(&self) -> Option<u16> {
        let value = self.param("q")?;
        let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
            Some(point) => (&value[..point], &value[point + 1..]),
            None => (value, b"".as_slice()),
        };
        let digits = fraction.len() <= 3 && fraction.iter().all(u8::is_ascii_digit);
        let thousandths = fraction
            .iter()
            .zip([100, 10, 1])
            .map(|(digit, unit)| u16::from(digit.wrapping_sub(b'0')) * unit)
            .sum::<u16>();
        match whole {
            b"0" | b"" if digits => Some(thousandths),
            b"1" if digits && thousandths == 0 => Some(1000),
            _ => None,
        }
    }

    /// Whether this is the `*` of a Contact that stands for all bindings (RFC 3261 10.2.2).
    pub fn is_star(&self) -> bool {
        self.uri == b"*"
    }
}

/// `["display name"] <uri> *(;param)`.
fn name_addr(input: &[u8]) -> Parsed<'_, Address<'_>> {
    let bracketed = delimited(char('<'), take_until(">"), char('>'));
    let (rest, (display, uri)) = (display_name, bracketed).parse(input)?;
    let uri = trim(uri);
    if uri.is_empty() {
        return Err(nom::Err::Error(()));
    }
    Ok((b"", Address { display, uri, params: behind_semicolon(rest)? }))
}

fn display_name(input: &[u8]) -> Parsed<'_> {
    let words = take_till(|byte| matches!(byte, b'<' | b'"' | b';'));
    alt((terminated(quoted, sws), words.map(trim))).parse(input)
}

/// A bare URI: what follows its first semicolon belongs to the header (RFC 3261 20.10).
fn addr_spec(input: &[u8]) -> Parsed<'_, Address<'_>> {
    let (rest, uri) = take_till(|byte| matches!(byte, b';' | b'<' | b'>' | b'"'))(input)?;
    let uri = trim(uri);
    let schemed = uri.contains(&b':') || uri == b"*";
    if !schemed {
        return Err(nom::Err::Error(()));
    }
    Ok((b"", Address { display: b"", uri, params: behind_semicolon(rest)? }))
}

fn behind_semicolon(rest: &[u8]) -> Result<&[u8], nom::Err<()>> {
    match split_top(rest, b';') {
        (before, params) if trim(before).is_empty() => Ok(params.unwrap_or_default()),
        _ => Err(nom::Err::Error(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIECES: [&str; 16] =
        ["<", ">", ";", "sip:a@b", "x", " ", "\t", "\"", "\\", "tag=1", "=", "*", "\r\n ", "?", ",", "\u{e4}"];

    proptest! {
        #[test]
        fn what_is_usual_is_read_as_the_grammar_reads_it(
            pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..10),
        ) {
            for value in [pieces.concat(), format!("<{}", pieces.concat())] {
                let usual = Address::parse_usual(value.as_bytes());
                prop_assert!(usual.is_none_or(|usual| Some(usual) == Address::parse_any(value.as_bytes())));
            }
        }
    }

    #[test]
    fn usual_values_need_no_grammar() {
        assert!(Address::parse_usual(b"<sip:bob@192.0.2.4:5060;transport=udp>;expires=60").is_some());
    }

    fn parts(value: &str) -> Option<(String, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Address::parse(value.as_bytes()).map(|a| (text(a.display), text(a.uri), text(a.params)))
    }

    #[test]
    fn addresses_are_read() {
        for (value, display, uri, params) in [
            (
                "\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8",
                "J Rosenberg \\\\\\\"",
                "sip:jdrosen@example.com",
                "\r\n  tag = 98asjd8",
            ),
            ("Bob <sip:bob@x;lr>;tag=1;y", "Bob", "sip:bob@x;lr", "tag=1;y"),
            ("sip:bob@x;tag=1", "", "sip:bob@x", "tag=1"),
            ("<sip:a,b@x?h=1>", "", "sip:a,b@x?h=1", ""),
            ("\"<sip:no@x>;tag=no\" <sip:yes@x>;tag=yes", "<sip:no@x>;tag=no", "sip:yes@x", "tag=yes"),
            ("*", "", "*", ""),
            ("J\u{fc}rgen M. <tel:+49>", "J\u{fc}rgen M.", "tel:+49", ""),
        ] {
            assert_eq!(parts(value), Some((display.into(), uri.into(), params.into())), "{value}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for bad in ["", "Bob", "<sip:x", "\"Bob <sip:x>", "<>", "<sip:x> junk;tag=1", "\"a\" sip:x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_are_typed() {
        let address = Address::parse(b"<sip:x>;Expires=3600;Q=0.75;TAG=a\"").unwrap();
        assert_eq!((address.expires(), address.q()), (Some(3600), Some(750)));
        for (q, thousandths) in [
            ("1.000", Some(1000)),
            ("1", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("1.1", None),
            ("0.1234", None),
            ("x", None),
        ] {
            assert_eq!(Address { params: format!("q={q}").as_bytes(), ..Address::default() }.q(), thousandths, "{q}");
        }
        assert_eq!(Address { params: b"expires=4294967296", ..Address::default() }.expires(), None);
    }
}
