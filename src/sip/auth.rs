//! Challenges and credentials (RFC 3261 20.44, 20.7; RFC 7616 3.3, 3.4).

use super::grammar::{Params, Parsed, around, is_lws, is_token, lws, split_top, sws, token, trim};
use super::hot::until;
use memchr::memchr2;
use nom::Parser;
use nom::sequence::{pair, preceded, terminated};

/// A challenge; empty slices are parameters that are not there, quotes are taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Challenge<'a> {
    /// Whether it stood in Proxy-Authenticate.
    pub proxy: bool,
    /// `Digest`, as written.
    pub scheme: &'a [u8],
    /// `realm`.
    pub realm: &'a [u8],
    /// `nonce`.
    pub nonce: &'a [u8],
    /// Whether `stale` is true.
    pub stale: bool,
    /// `algorithm`.
    pub algorithm: &'a [u8],
    /// `qop`, the list as written.
    pub qop: &'a [u8],
    /// `opaque`.
    pub opaque: &'a [u8],
}

impl<'a> Challenge<'a> {
    /// Reads the value of WWW-Authenticate, or with `proxy` of Proxy-Authenticate; the first, if it
    /// holds several.
    pub fn parse(value: &'a [u8], proxy: bool) -> Option<Self> {
        Self::all(value, proxy).next()
    }

    /// Reads all challenges of one such value. RFC 3261 7.3.1 wants each in a header of its own, but
    /// HTTP joins them with commas (RFC 7235 4.1), and so do some servers.
    pub fn all(value: &'a [u8], proxy: bool) -> impl Iterator<Item = Self> {
        let mut usual = Self { proxy, ..Self::default() };
        let scheme = usual_params(value, |name, value| usual.note(name, value));
        let usual = scheme.map(|scheme| Self { scheme, ..usual });
        let others = Schemes(if usual.is_some() { b"" } else { value });
        usual.into_iter().chain(others.map(move |(scheme, list)| Self::of(scheme, list, proxy)))
    }

    fn of(scheme: &'a [u8], list: &'a [u8], proxy: bool) -> Self {
        let mut challenge = Self { proxy, scheme, ..Self::default() };
        Params::new(list, b',').for_each(|(name, value)| challenge.note(name, value.unwrap_or_default()));
        challenge
    }

    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        match Name::of(name) {
            Name::Realm => self.realm = value,
            Name::Nonce => self.nonce = value,
            Name::Algorithm => self.algorithm = value,
            Name::Qop => self.qop = value,
            Name::Opaque => self.opaque = value,
            Name::Stale => self.stale = value.eq_ignore_ascii_case(b"true"),
            _ => {}
        }
    }
}

/// Credentials; empty slices are parameters that are not there, quotes are taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Credentials<'a> {
    /// Whether they stood in Proxy-Authorization.
    pub proxy: bool,
    /// `Digest`, as written.
    pub scheme: &'a [u8],
    /// `username`; with [`Credentials::userhash`] the hash of user name and realm.
    pub username: &'a [u8],
    /// Whether `userhash` is true (RFC 7616 3.4.4).
    pub userhash: bool,
    /// `realm`.
    pub realm: &'a [u8],
    /// `nonce`.
    pub nonce: &'a [u8],
    /// `uri`.
    pub uri: &'a [u8],
    /// `response`, the digest: never to be printed unless asked for.
    pub response: &'a [u8],
    /// `algorithm`.
    pub algorithm: &'a [u8],
    /// `qop`.
    pub qop: &'a [u8],
    /// `nc`, 8 hexadecimal digits.
    pub nc: &'a [u8],
    /// `cnonce`.
    pub cnonce: &'a [u8],
    /// `opaque`.
    pub opaque: &'a [u8],
}

impl<'a> Credentials<'a> {
    /// Reads the value of Authorization, or with `proxy` of Proxy-Authorization; the first, if it
    /// holds several.
    pub fn parse(value: &'a [u8], proxy: bool) -> Option<Self> {
        Self::all(value, proxy).next()
    }

    /// Reads all credentials of one such value, joined with commas against RFC 3261 7.3.1.
    pub fn all(value: &'a [u8], proxy: bool) -> impl Iterator<Item = Self> {
        let mut usual = Self { proxy, ..Self::default() };
        let scheme = usual_params(value, |name, value| usual.note(name, value));
        let usual = scheme.map(|scheme| Self { scheme, ..usual });
        let others = Schemes(if usual.is_some() { b"" } else { value });
        usual.into_iter().chain(others.map(move |(scheme, list)| Self::of(scheme, list, proxy)))
    }

    fn of(scheme: &'a [u8], list: &'a [u8], proxy: bool) -> Self {
        let mut credentials = Self { proxy, scheme, ..Self::default() };
        Params::new(list, b',').for_each(|(name, value)| credentials.note(name, value.unwrap_or_default()));
        credentials
    }

    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        match Name::of(name) {
            Name::Username => self.username = value,
            Name::Realm => self.realm = value,
            Name::Nonce => self.nonce = value,
            Name::Uri => self.uri = value,
            Name::Response => self.response = value,
            Name::Algorithm => self.algorithm = value,
            Name::Qop => self.qop = value,
            Name::Nc => self.nc = value,
            Name::Cnonce => self.cnonce = value,
            Name::Opaque => self.opaque = value,
            Name::UserHash => self.userhash = value.eq_ignore_ascii_case(b"true"),
            Name::Stale | Name::Other => {}
        }
    }
}

/// Reads a value as nearly every sender writes it: one scheme, then `name=value` with or without quotes, and white
/// space nowhere but behind the scheme and the commas. Gives the scheme.
fn usual_params<'a>(value: &'a [u8], mut note: impl FnMut(&'a [u8], &'a [u8])) -> Option<&'a [u8]> {
    let scheme_end = value.iter().position(|byte| !is_token(*byte)).filter(|end| *end > 0)?;
    let (scheme, mut rest) = value.split_at(scheme_end);
    if !rest.first().is_some_and(|byte| is_lws(*byte)) {
        return None;
    }
    loop {
        rest = &rest[rest.iter().position(|byte| !is_lws(*byte))?..];
        let equals = rest.iter().position(|byte| !is_token(*byte)).filter(|end| *end > 0)?;
        let (name, behind) = (&rest[..equals], rest[equals..].strip_prefix(b"=")?);
        let (value, behind) = match behind.strip_prefix(b"\"") {
            Some(quoted) => {
                let close = memchr2(b'"', b'\\', quoted).filter(|close| quoted[*close] == b'"')?;
                (&quoted[..close], &quoted[close + 1..])
            }
            None => behind.split_at(until::<b'!', _>(behind, 0, [b',', b'"', b'<'])),
        };
        note(name, value);
        match behind {
            [] => return Some(scheme),
            [b',', more @ ..] => rest = more,
            _ => return None,
        }
    }
}

/// `Digest SP`.
fn scheme(input: &[u8]) -> Parsed<'_> {
    terminated(token, lws).parse(input)
}

/// Whether this part of a comma list is `Digest realm=...` and not one more parameter.
fn begins_scheme(part: &[u8]) -> bool {
    preceded(sws, pair(scheme, pair(token, around('=')))).parse(part).is_ok()
}

/// The schemes of a header value, each with its parameters.
struct Schemes<'a>(&'a [u8]);

impl<'a> Iterator for Schemes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (list, scheme) = scheme(trim(self.0)).ok()?;
        let (_, mut rest) = split_top(list, b',');
        while let Some(next) = rest {
            if begins_scheme(next) {
                self.0 = next;
                return Some((scheme, &list[..list.len() - next.len() - 1]));
            }
            rest = split_top(next, b',').1;
        }
        self.0 = &[];
        Some((scheme, list))
    }
}

#[derive(Clone, Copy)]
enum Name {
    Username,
    Realm,
    Nonce,
    Uri,
    Response,
    Algorithm,
    Qop,
    Nc,
    Cnonce,
    Opaque,
    Stale,
    UserHash,
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"nc") => Self::Nc,
            3 if is(b"uri") => Self::Uri,
            3 if is(b"qop") => Self::Qop,
            5 if is(b"realm") => Self::Realm,
            5 if is(b"nonce") => Self::Nonce,
            5 if is(b"stale") => Self::Stale,
            6 if is(b"cnonce") => Self::Cnonce,
            6 if is(b"opaque") => Self::Opaque,
            8 if is(b"response") => Self::Response,
            8 if is(b"username") => Self::Username,
            8 if is(b"userhash") => Self::UserHash,
            9 if is(b"algorithm") => Self::Algorithm,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECES: [&str; 24] = [
        "realm=\"a\"",
        "nonce=n",
        ",",
        ", ",
        ",\r\n ",
        "username=\"b, c\"",
        "uri=\"sip:x\"",
        "NC=00000001",
        "stale=true",
        "userhash=TRUE",
        "\"",
        "\\",
        " ",
        "=",
        "Basic ",
        "Digest ",
        "<",
        ">",
        "opaque=\"\"",
        "qop=",
        "cnonce=a==",
        "algorithm = MD5",
        "response=\"d",
        "x",
    ];

    #[test]
    fn usual_values_need_no_grammar() {
        let usual = b"Digest username=\"bob\", realm=\"x, y\",nonce=\"n=\",\r\n uri=\"sip:x\", response=\"d\", qop=auth, nc=00000001";
        assert_eq!(usual_params(usual, |_, _| {}), Some(&b"Digest"[..]));
    }

    #[test]
    fn a_challenge_is_read() {
        let value =
            b"Digest realm=\"a, b\",\r\n nonce = \"n=\" , STALE=TRUE, algorithm=MD5, qop=\"auth,auth-int\",opaque=\"\"";
        let expected = Challenge {
            proxy: true,
            scheme: b"Digest",
            realm: b"a, b",
            nonce: b"n=",
            stale: true,
            algorithm: b"MD5",
            qop: b"auth,auth-int",
            opaque: b"",
        };
        assert_eq!(Challenge::parse(value, true), Some(expected));
    }

    #[test]
    fn credentials_are_read() {
        let value = b"Digest username=\"bob\", realm=\"x\", nonce=\"n\", uri=\"sip:x;a=\\\"1,2\", response=\"d\", qop=auth, nc=00000001, cnonce=\"c\"";
        let found = Credentials::parse(value, false).unwrap();
        assert_eq!(
            (found.username, found.uri, found.nc),
            (b"bob".as_slice(), b"sip:x;a=\\\"1,2".as_slice(), b"00000001".as_slice())
        );
        assert_eq!((found.response, found.cnonce, found.qop), (b"d".as_slice(), b"c".as_slice(), b"auth".as_slice()));
    }

    #[test]
    fn joined_challenges_are_told_apart() {
        let value =
            b"Digest realm=\"a, Digest b=\\\"c\", nonce=n1 ,\r\n algorithm = SHA-256, Digest  realm=\"x\",nonce=n2,\
            Basic realm=\"y\"";
        let found: Vec<_> = Challenge::all(value, false).map(|c| [c.scheme, c.realm, c.nonce, c.algorithm]).collect();
        let expected: [[&[u8]; 4]; 3] = [
            [b"Digest", b"a, Digest b=\\\"c", b"n1", b"SHA-256"],
            [b"Digest", b"x", b"n2", b""],
            [b"Basic", b"y", b"", b""],
        ];
        assert_eq!(found, expected);
        assert_eq!(Credentials::all(b"Digest username=a, Digest username=b, userhash=true", true).count(), 2);
    }

    proptest::proptest! {
        #[test]
        fn what_is_usual_is_read_as_the_grammar_reads_it(
            pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..14),
        ) {
            let value = format!("Digest {}", pieces.concat());
            let value = value.as_bytes();
            let by_grammar: Vec<_> = Schemes(value).map(|(scheme, list)| Credentials::of(scheme, list, true)).collect();
            proptest::prop_assert_eq!(Credentials::all(value, true).collect::<Vec<_>>(), by_grammar);
            let by_grammar: Vec<_> = Schemes(value).map(|(scheme, list)| Challenge::of(scheme, list, false)).collect();
            proptest::prop_assert_eq!(Challenge::all(value, false).collect::<Vec<_>>(), by_grammar);
        }

        #[test]
        fn any_bytes_hold_some_schemes(value: Vec<u8>) {
            let found: usize = Schemes(&value).map(|(scheme, list)| scheme.len() + list.len()).sum();
            assert!(found <= value.len());
        }

        #[test]
        fn nothing_between_schemes_is_lost(lists in proptest::collection::vec("[ a-z\",]{0,8}", 1..5)) {
            // A part that is closed: an open quote would swallow the next scheme.
            let lists: Vec<String> = lists.into_iter().filter(|list| list.matches('"').count() % 2 == 0).collect();
            let value: Vec<String> = lists.iter().map(|list| format!("Digest a=b,{list}")).collect();
            let value = value.join(",");
            assert_eq!(Schemes(value.as_bytes()).count(), lists.len());
        }
    }

    #[test]
    fn no_scheme_no_challenge() {
        assert_eq!(Challenge::parse(b"", false), None);
        assert_eq!(Challenge::parse(b"realm=\"x\"", false), None);
    }
}
