//! URIs and when two of them are the same (RFC 3261 19.1).

use super::grammar::{Params, Parsed, decimal};
use super::hot::{number, until};
use memchr::memchr;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{take_till, take_till1, take_while1};
use nom::character::complete::char;
use nom::combinator::opt;
use nom::sequence::{delimited, preceded, terminated};
use std::net::IpAddr;

/// A URI; empty slices are parts that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uri<'a> {
    /// `sip`, `sips`, `tel`, ... as written.
    pub scheme: &'a [u8],
    /// User part without password; for schemes other than sip and sips, all that is not a parameter.
    pub user: &'a [u8],
    /// Password behind the user part.
    pub password: Option<&'a [u8]>,
    /// Host; an IPv6 address without its brackets.
    pub host: &'a [u8],
    /// Port, when one is written.
    pub port: Option<u16>,
    /// Parameters, behind the first semicolon.
    pub params: &'a [u8],
    /// Headers, behind the question mark.
    pub headers: &'a [u8],
}

/// More parameters or headers than that in a URI are not compared one by one.
const COMPARED: usize = 64;

impl<'a> Uri<'a> {
    /// Reads a URI without angle brackets; `None` when scheme or host cannot be told.
    pub fn parse(uri: &'a [u8]) -> Option<Self> {
        Self::parse_usual(uri).or_else(|| Self::parse_any(uri))
    }

    /// Reads `sip:user@host:port;params` as nearly every sender writes it: no brackets, no headers, no white space.
    fn parse_usual(uri: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = (&uri[..3.min(uri.len())], uri.strip_prefix(b"sip:")?);
        let (user, rest) = match memchr(b'@', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (&rest[..0], rest),
        };
        let end = until::<b'!', _>(rest, 0, [b':', b';', b'?', b'<', b'>', b'[']);
        let host = rest.get(..end).filter(|host| !host.is_empty())?;
        let (port, end) = match rest.get(end) {
            Some(b':') => number(rest, end + 1).and_then(|(port, end)| Some((Some(u16::try_from(port).ok()?), end)))?,
            _ => (None, end),
        };
        let params = match rest.get(end..)? {
            [] => &rest[..0],
            [b';', params @ ..] => params,
            _ => return None,
        };
        let plain = memchr(b':', user).is_none() && !params.contains(&b'?');
        plain.then_some(Self { scheme, user, host, port, params, ..Self::default() })
    }

    /// Reads any URI, by the grammar.
    fn parse_any(uri: &'a [u8]) -> Option<Self> {
        let (rest, scheme) = scheme(uri).ok()?;
        let sip = scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips");
        let (_, parsed) = if sip { sip_uri(rest) } else { other_uri(rest) }.ok()?;
        Some(Self { scheme, ..parsed })
    }

    /// The parameter called `name`; empty when it has no value.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        super::grammar::param(self.params, name)
    }

    /// Whether both name the same resource by RFC 3261 19.1.4 (and RFC 5954 4.2 for IPv6 addresses).
    pub fn same_resource(&self, other: &Self) -> bool {
        self == other
            || self.scheme.eq_ignore_ascii_case(other.scheme)
                && same_text(self.user, other.user, Case::Matters)
                && same_text(self.password.unwrap_or_default(), other.password.unwrap_or_default(), Case::Matters)
                && same_host(self.host, other.host)
                && self.port == other.port
                && same_params(self.params, other.params)
                && same_params(other.params, self.params)
                && same_headers(self.headers, other.headers)
                && same_headers(other.headers, self.headers)
    }
}

fn scheme(input: &[u8]) -> Parsed<'_> {
    let name = take_while1(|byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    terminated(name, char(':')).parse(input)
}

fn sip_uri(input: &[u8]) -> Parsed<'_, Uri<'_>> {
    let (input, userinfo) = match memchr(b'@', input) {
        Some(at) => (&input[at + 1..], &input[..at]),
        None => (input, b"".as_slice()),
    };
    let (user, password) = match memchr(b':', userinfo) {
        Some(colon) => (&userinfo[..colon], Some(&userinfo[colon + 1..])),
        None => (userinfo, None),
    };
    let bracketed = delimited(char('['), take_till1(|byte| byte == b']'), char(']'));
    let name = take_till1(|byte: u8| matches!(byte, b':' | b';' | b'?' | b'<' | b'>') || byte.is_ascii_whitespace());
    let port = preceded(char(':'), take_till(|byte| matches!(byte, b';' | b'?')));
    let (rest, (host, port)) = (alt((bracketed, name)), opt(port)).parse(input)?;
    let port = match port {
        None => None,
        Some(digits) => Some(decimal(digits).and_then(|port| u16::try_from(port).ok()).ok_or(nom::Err::Error(()))?),
    };
    let (rest, (params, headers)) = tail(rest)?;
    if !rest.is_empty() {
        return Err(nom::Err::Error(()));
    }
    Ok((rest, Uri { user, password, host, port, params, headers, ..Uri::default() }))
}

fn other_uri(input: &[u8]) -> Parsed<'_, Uri<'_>> {
    let (rest, user) = take_till1(|byte| matches!(byte, b';' | b'?'))(input)?;
    let (rest, (params, headers)) = tail(rest)?;
    Ok((rest, Uri { user, params, headers, ..Uri::default() }))
}

/// `;params?headers`, both optional.
fn tail(input: &[u8]) -> Parsed<'_, (&[u8], &[u8])> {
    let params = preceded(char(';'), take_till(|byte| byte == b'?'));
    let headers = preceded(char('?'), take_till(|_| false));
    let (rest, (params, headers)) = (opt(params), opt(headers)).parse(input)?;
    Ok((rest, (params.unwrap_or_default(), headers.unwrap_or_default())))
}

#[derive(Clone, Copy, PartialEq)]
enum Case {
    Matters,
    Ignored,
}

/// Compares two texts with their %-escapes resolved.
fn same_text(ours: &[u8], theirs: &[u8], case: Case) -> bool {
    let fold = |byte: u8| {
        if case == Case::Ignored { byte.to_ascii_lowercase() } else { byte }
    };
    Unescaped(ours).map(fold).eq(Unescaped(theirs).map(fold))
}

fn same_host(ours: &[u8], theirs: &[u8]) -> bool {
    let address = |host| std::str::from_utf8(host).ok()?.parse::<IpAddr>().ok();
    ours.eq_ignore_ascii_case(theirs) || address(ours).is_some_and(|ours| Some(ours) == address(theirs))
}

/// Whether each parameter of `ours` is the same in `theirs`, or may be missing there.
fn same_params(ours: &[u8], theirs: &[u8]) -> bool {
    // The components of 19.1.4 that must be in both when they are in one.
    const BOTH: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
    if ours == theirs {
        return true;
    }
    Params::new(ours, b';').count() <= COMPARED
        && Params::new(theirs, b';').count() <= COMPARED
        && Params::new(ours, b';').all(|(name, value)| {
            match Params::new(theirs, b';').find(|(other, _)| same_text(name, other, Case::Ignored)) {
                Some((_, other)) => same_text(value.unwrap_or_default(), other.unwrap_or_default(), Case::Ignored),
                None => !BOTH.iter().any(|both| name.eq_ignore_ascii_case(both)),
            }
        })
}

/// Headers of a URI are never ignored (RFC 3261 19.1.4).
fn same_headers(ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let value = |value: Option<&'_ [u8]>| value.map(<[u8]>::to_vec).unwrap_or_default();
    Params::new(ours, b'&').count() <= COMPARED
        && Params::new(theirs, b'&').count() <= COMPARED
        && Params::new(ours, b'&').all(|(name, ours)| {
            Params::new(theirs, b'&')
                .find(|(other, _)| same_text(name, other, Case::Ignored))
                .is_some_and(|(_, theirs)| same_text(&value(ours), &value(theirs), Case::Matters))
        })
}

/// The characters that must not lose their escape (RFC 3261 25.1 `reserved`), since they would then mean something.
fn is_reserved(byte: u8) -> bool {
    b";/?:@&=+$,".contains(&byte)
}

/// A text with %HH resolved, save for reserved characters.
struct Unescaped<'a>(&'a [u8]);

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let hex = |byte: u8| (byte as char).to_digit(16);
        if let (b'%', [high, low, after @ ..]) = (*first, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
            && let byte = (high * 16 + low) as u8
            && !is_reserved(byte)
        {
            self.0 = after;
            return Some(byte);
        }
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIECES: [&str; 18] = [
        "sip:",
        "SIP:",
        "sips:",
        "bob",
        "@",
        "h.example",
        "[::1]",
        ":",
        "5060",
        "99999",
        ";",
        "lr",
        "=",
        "?",
        "<",
        " ",
        "\t",
        "\u{e4}",
    ];

    proptest! {
        #[test]
        fn what_is_usual_is_read_as_the_grammar_reads_it(
            pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..10),
        ) {
            for uri in [pieces.concat(), format!("sip:{}", pieces.concat())] {
                let usual = Uri::parse_usual(uri.as_bytes());
                prop_assert!(usual.is_none_or(|usual| Some(usual) == Uri::parse_any(uri.as_bytes())), "{uri}");
            }
        }
    }

    #[test]
    fn usual_uris_need_no_grammar() {
        for usual in ["sip:bob@192.0.2.4:5060;transport=udp", "sip:example.com", "sip:p1.example.com;lr"] {
            assert!(Uri::parse_usual(usual.as_bytes()).is_some(), "{usual}");
        }
    }

    fn same(ours: &str, theirs: &str) -> bool {
        let (ours, theirs) = (Uri::parse(ours.as_bytes()).unwrap(), Uri::parse(theirs.as_bytes()).unwrap());
        assert_eq!(ours.same_resource(&theirs), theirs.same_resource(&ours));
        ours.same_resource(&theirs)
    }

    #[test]
    fn uris_come_apart() {
        let uri = Uri::parse(b"sips:a;b?c:pw@[2001:db8::10]:5070;transport=tcp;lr?Subject=x&y=z").unwrap();
        assert_eq!(
            (uri.scheme, uri.user, uri.password),
            (b"sips".as_slice(), b"a;b?c".as_slice(), Some(b"pw".as_slice()))
        );
        assert_eq!((uri.host, uri.port), (b"2001:db8::10".as_slice(), Some(5070)));
        assert_eq!((uri.params, uri.headers), (b"transport=tcp;lr".as_slice(), b"Subject=x&y=z".as_slice()));
        let tel = Uri::parse(b"tel:+1-972;phone-context=x").unwrap();
        assert_eq!(
            (tel.user, tel.host, tel.params),
            (b"+1-972".as_slice(), b"".as_slice(), b"phone-context=x".as_slice())
        );
    }

    #[test]
    fn what_is_no_uri_is_none() {
        for bad in ["", "sip:", "sip:bob@", "bob", "sip:x:port", "sip:x:99999", "sip:[::1", "<sip:x>", "sip:x y"] {
            assert_eq!(Uri::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn same_resources_of_rfc3261_19_1_4() {
        for (ours, theirs) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0::1]"),
        ] {
            assert!(same(ours, theirs), "{ours} {theirs}");
        }
    }

    #[test]
    fn different_resources_of_rfc3261_19_1_4() {
        for (ours, theirs) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:bob@x", "sips:bob@x"),
            ("sip:a@x;security=on", "sip:a@x;security=off"),
            ("sip:a%40b@x", "sip:a@b@x"),
        ] {
            assert!(!same(ours, theirs), "{ours} {theirs}");
        }
    }
}
