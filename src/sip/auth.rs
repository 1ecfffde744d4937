//! Challenges and credentials (RFC 3261 20.44, 20.7; RFC 7616 3.3, 3.4).

use super::grammar::{Params, Parsed, lws, token, trim};
use nom::Parser;
use nom::sequence::terminated;

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
    /// Reads the value of WWW-Authenticate, or with `proxy` of Proxy-Authenticate.
    pub fn parse(value: &'a [u8], proxy: bool) -> Option<Self> {
        let (list, scheme) = scheme(trim(value)).ok()?;
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
        Some(challenge)
    }
}

/// Credentials; empty slices are parameters that are not there, quotes are taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Credentials<'a> {
    /// Whether they stood in Proxy-Authorization.
    pub proxy: bool,
    /// `Digest`, as written.
    pub scheme: &'a [u8],
    /// `username`.
    pub username: &'a [u8],
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
    /// Reads the value of Authorization, or with `proxy` of Proxy-Authorization.
    pub fn parse(value: &'a [u8], proxy: bool) -> Option<Self> {
        let (list, scheme) = scheme(trim(value)).ok()?;
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
                Name::Stale | Name::Other => continue,
            };
            *slot = value.unwrap_or_default();
        }
        Some(credentials)
    }
}

/// `Digest SP`.
fn scheme(input: &[u8]) -> Parsed<'_> {
    terminated(token, lws).parse(input)
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
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        const NAMES: [(&str, Name); 11] = [
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
    fn no_scheme_no_challenge() {
        assert_eq!(Challenge::parse(b"", false), None);
        assert_eq!(Challenge::parse(b"realm=\"x\"", false), None);
    }
}
