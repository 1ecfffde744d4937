//! Challenges and credentials (RFC 3261 20.44, 20.7; RFC 7616 3.3, 3.4).

use super::grammar::{Params, Parsed, around, lws, split_top, sws, token, trim};
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
        Schemes(value).map(move |(scheme, list)| Self::of(scheme, list, proxy))
    }

    fn of(scheme: &'a [u8], list: &'a [u8], proxy: bool) -> Self {
        let mut challenge = Self { proxy, scheme, ..Self::default() };
        for (name, value) in Params::new(list, b',') {
            let value = value.unwrap_or_default();
            let slot = match Name::of(name) {
                Name::Realm => &mut challenge.realm,
                Name::Nonce => &mut challenge.nonce,
                Name::Algorithm => &mut challenge.algorithm,
                Name::Qop => &mut challenge.qop,
                Name::Opaque => &mut challenge.opaque,
                Name::Stale => {
                    challenge.stale = value.eq_ignore_ascii_case(b"true");
                    continue;
                }
                _ => continue,
            };
            *slot = value;
        }
        challenge
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
        Schemes(value).map(move |(scheme, list)| Self::of(scheme, list, proxy))
    }

    fn of(scheme: &'a [u8], list: &'a [u8], proxy: bool) -> Self {
        let mut credentials = Self { proxy, scheme, ..Self::default() };
        for (name, value) in Params::new(list, b',') {
            let slot = match Name::of(name) {
                Name::Username => &mut credentials.username,
                Name::Realm => &mut credentials.realm,
                Name::Nonce => &mut credentials.nonce,
                Name::Uri => &mut credentials.uri,
                Name::Response => &mut credentials.response,
                Name::Algorithm => &mut credentials.algorithm,
                Name::Qop => &mut credentials.qop,
                Name::Nc => &mut credentials.nc,
                Name::Cnonce => &mut credentials.cnonce,
                Name::Opaque => &mut credentials.opaque,
                Name::UserHash => {
                    credentials.userhash = value.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
                    continue;
                }
                Name::Stale | Name::Other => continue,
            };
            *slot = value.unwrap_or_default();
        }
        credentials
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
        const NAMES: [(&str, Name); 12] = [
            ("username", Name::Username),
            ("realm", Name::Realm),
            ("nonce", Name::Nonce),
            ("uri", Name::Uri),
            ("response", Name::Response),
            ("algorithm", Name::Algorithm),
            ("qop", Name::Qop),
            ("nc", Name::Nc),
            ("cnonce", Name::Cnonce),
            ("opaque", Name::Opaque),
            ("stale", Name::Stale),
            ("userhash", Name::UserHash),
        ];
        NAMES
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
