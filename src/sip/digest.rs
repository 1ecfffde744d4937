//! The response of digest authentication computed again (RFC 3261 22.4; RFC 2617 3.2.2; RFC 7616 3.4;
//! RFC 8760 for the algorithms of SIP).

use super::Credentials;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use std::fmt;

/// A digest algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Algorithm {
    hash: Hash,
    /// `-sess`: the nonces go into A1.
    session: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Hash {
    Md5,
    Sha256,
    Sha512Slash256,
}

impl Algorithm {
    /// Those of RFC 8760 2.1 (and RFC 3261 22.4), the usual one first.
    pub const ALL: [Self; 6] = [
        Self::new(Hash::Md5, false),
        Self::new(Hash::Sha256, false),
        Self::new(Hash::Sha512Slash256, false),
        Self::new(Hash::Md5, true),
        Self::new(Hash::Sha256, true),
        Self::new(Hash::Sha512Slash256, true),
    ];

    const fn new(hash: Hash, session: bool) -> Self {
        Self { hash, session }
    }

    /// The algorithm of this name; none named is MD5 (RFC 2617 3.2.1). `None` for one that is not a
    /// plain digest, such as AKAv1-MD5.
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::ALL[0]);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// As it is written in challenges.
    pub fn name(self) -> &'static str {
        match (self.hash, self.session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha512Slash256, false) => "SHA-512-256",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512Slash256, true) => "SHA-512-256-sess",
        }
    }

    /// The digest of `parts` with colons between, in lower case hexadecimal.
    pub fn digest(self, parts: &[&[u8]]) -> String {
        match self.hash {
            Hash::Md5 => joined::<Md5>(parts),
            Hash::Sha256 => joined::<Sha256>(parts),
            Hash::Sha512Slash256 => joined::<Sha512_256>(parts),
        }
    }

    /// Hexadecimal digits of a digest.
    fn digits(self) -> usize {
        match self.hash {
            Hash::Md5 => 32,
            Hash::Sha256 | Hash::Sha512Slash256 => 64,
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digest = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    digest.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// What only client and server should know. Its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password.
    Password(Box<[u8]>),
    /// H(user ":" realm ":" password) in hexadecimal, as servers keep it.
    Ha1(Box<str>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Everything but the secret that a response is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Calculation<'a> {
    /// How it is hashed.
    pub algorithm: Algorithm,
    /// The user name, not its hash (`userhash`).
    pub username: &'a [u8],
    /// The realm.
    pub realm: &'a [u8],
    /// The nonce of the server.
    pub nonce: &'a [u8],
    /// The nonce of the client.
    pub cnonce: &'a [u8],
    /// The nonce count, as written.
    pub nc: &'a [u8],
    /// The quality of protection, as written; empty is the old form of RFC 2069.
    pub qop: &'a [u8],
    /// The method of the request.
    pub method: &'a [u8],
    /// The digest URI.
    pub uri: &'a [u8],
    /// The body of the request, for `auth-int`.
    pub body: &'a [u8],
}

impl<'a> Calculation<'a> {
    /// What these credentials of a request say that their response is computed from. `None` when
    /// their algorithm is no plain digest.
    pub fn of(credentials: &Credentials<'a>, method: &'a [u8], body: &'a [u8]) -> Option<Self> {
        let Credentials { username, realm, nonce, cnonce, nc, qop, uri, .. } = *credentials;
        let algorithm = Algorithm::named(credentials.algorithm)?;
        Some(Self { algorithm, username, realm, nonce, cnonce, nc, qop, method, uri, body })
    }

    /// The response, in lower case hexadecimal. `None` when `secret` was hashed with another
    /// algorithm than this one.
    pub fn response(&self, secret: &Secret) -> Option<String> {
        let hash = |parts: &[&[u8]]| self.algorithm.digest(parts);
        let mut ha1 = self.ha1(secret)?;
        if self.algorithm.session {
            ha1 = hash(&[ha1.as_bytes(), self.nonce, self.cnonce]);
        }
        let ha2 = if self.qop.eq_ignore_ascii_case(b"auth-int") {
            hash(&[self.method, self.uri, hash(&[self.body]).as_bytes()])
        } else {
            hash(&[self.method, self.uri])
        };
        let (ha1, ha2) = (ha1.as_bytes(), ha2.as_bytes());
        Some(match self.qop {
            b"" => hash(&[ha1, self.nonce, ha2]),
            qop => hash(&[ha1, self.nonce, self.nc, self.cnonce, qop, ha2]),
        })
    }

    fn ha1(&self, secret: &Secret) -> Option<String> {
        match secret {
            Secret::Password(password) => Some(self.algorithm.digest(&[self.username, self.realm, password])),
            Secret::Ha1(ha1) => (ha1.len() == self.algorithm.digits()).then(|| ha1.to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Secret {
        Secret::Password(text.as_bytes().into())
    }

    fn response(header: &[u8], method: &str, body: &str, secret: &Secret) -> Option<String> {
        let credentials = Credentials::parse(header, false).unwrap();
        let response = Calculation::of(&credentials, method.as_bytes(), body.as_bytes())?.response(secret);
        response.filter(|_| !credentials.response.is_empty())
    }

    #[test]
    fn rfc_2617_3_5() {
        let header = b"Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
            cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\"";
        let expected = Some("6629fae49393a05397450978507c4ef1".to_owned());
        assert_eq!(response(header, "GET", "", &password("Circle Of Life")), expected);
        let ha1 = Secret::Ha1("939E7578ED9E3C518A452ACEE763BCE9".into());
        assert_eq!(response(header, "GET", "", &ha1), expected);
        assert_ne!(response(header, "GET", "", &password("Circle of Life")), expected);
    }

    #[test]
    fn rfc_7616_3_9_1_with_both_algorithms() {
        let of = |algorithm: &str| {
            let header = format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"x\""
            );
            response(header.as_bytes(), "GET", "", &password("Circle of Life"))
        };
        assert_eq!(of("MD5").as_deref(), Some("8ca523f5e9506fed4657c9700eebdbec"));
        assert_eq!(of("SHA-256").as_deref(), Some("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"));
        assert_eq!(of("AKAv1-MD5"), None);
    }

    /// The values as corrected by erratum 4897: the printed ones are SHA-512 cut to 256 bits.
    #[test]
    fn rfc_7616_3_9_2() {
        let sha = Algorithm::named(b"sha-512-256").unwrap();
        let (user, realm) = ("J\u{e4}s\u{f8}n Doe".as_bytes(), b"api@example.org".as_slice());
        assert_eq!(sha.digest(&[user, realm]), "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
        let calculation = Calculation {
            algorithm: sha,
            username: user,
            realm,
            nonce: b"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            cnonce: b"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            nc: b"00000001",
            qop: b"auth",
            method: b"GET",
            uri: b"/doe.json",
            body: b"",
        };
        let expected = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
        assert_eq!(calculation.response(&password("Secret, or not?")).as_deref(), Some(expected));
    }

    /// Computed with another implementation.
    #[test]
    fn sessions_and_bodies_go_into_the_hash() {
        let of = |algorithm: &str| {
            let header = format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"sip:x\", algorithm={algorithm}, \
                 nonce=\"N\", nc=00000001, cnonce=\"C\", qop=auth-int, response=\"x\""
            );
            response(header.as_bytes(), "INVITE", "body", &password("Circle of Life"))
        };
        assert_eq!(of("MD5-sess").as_deref(), Some("d045853ff3c45c1fbafa51c6f89603b6"));
        let expected = "cfe3910f05e69f82399726f6394044a0d414ea1df75035b168fcc9feaef697fc";
        assert_eq!(of("SHA-256-sess").as_deref(), Some(expected));
    }

    #[test]
    fn a_hash_serves_only_its_own_algorithm() {
        let calculation = Calculation {
            algorithm: Algorithm::named(b"SHA-256").unwrap(),
            username: b"bob",
            realm: b"x",
            nonce: b"n",
            cnonce: b"",
            nc: b"",
            qop: b"",
            method: b"REGISTER",
            uri: b"sip:x",
            body: b"",
        };
        assert_eq!(calculation.response(&Secret::Ha1("0".repeat(32).into())), None);
        assert!(calculation.response(&Secret::Ha1("0".repeat(64).into())).is_some());
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        assert_eq!(format!("{:?}", password("zanzibar")), "Secret");
    }
}
