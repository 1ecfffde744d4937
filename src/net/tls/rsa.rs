//! Private RSA keys, which open the key exchange of old cipher suites (RFC 5246 7.4.7.1).

use std::fmt;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};

/// Largest modulus in bits; one operation takes eight times as long for twice as many.
const BITS: usize = 8192;
/// Length of a premaster secret: two octets of version, 46 random ones.
const PREMASTER: usize = 48;

/// The private RSA key of a TLS server. It opens sessions of TLS 1.2 and before whose suite exchanges
/// its keys with RSA; those with forward secrecy, and TLS 1.3, need a key log.
#[derive(Clone)]
pub struct RsaKey {
    key: RsaPrivateKey,
    /// Big endian; a certificate of this key contains it as it is.
    modulus: Vec<u8>,
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaKey({} bits)", self.key.size() * 8)
    }
}

impl RsaKey {
    /// All RSA keys in a PEM text, in PKCS #1 or PKCS #8; what else stands there, certificates say, is
    /// passed over.
    ///
    /// # Errors
    /// Why there is no key to use, in words that tell nothing of the key.
    pub fn parse(pem: &[u8]) -> Result<Vec<Self>, &'static str> {
        let text = std::str::from_utf8(pem).map_err(|_| "is not PEM text")?;
        let keys = text.split("-----BEGIN ").skip(1).filter_map(Self::block).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err("has no private key in PEM") } else { Ok(keys) }
    }

    /// What follows the words that begin a block; nothing if that is no private key.
    fn block(rest: &str) -> Option<Result<Self, &'static str>> {
        const BROKEN: &str = "has a private key that is damaged, or none of RSA";
        let (label, body) = rest.split_once("-----")?;
        if label == "ENCRYPTED PRIVATE KEY" || (label.ends_with("PRIVATE KEY") && body.contains("ENCRYPTED")) {
            return Some(Err("has a private key that is locked with a password; unlock it first (openssl pkey)"));
        }
        let end = format!("-----END {label}-----");
        let whole = || body.find(&end).map(|at| format!("-----BEGIN {label}-----{}{end}\n", &body[..at]));
        let key = match label {
            "RSA PRIVATE KEY" => whole().and_then(|block| RsaPrivateKey::from_pkcs1_pem(&block).ok()),
            "PRIVATE KEY" => whole().and_then(|block| RsaPrivateKey::from_pkcs8_pem(&block).ok()),
            label if label.ends_with("PRIVATE KEY") => None,
            _ => return None,
        };
        Some(match key {
            Some(key) if key.size() * 8 > BITS => Err("has an RSA key of more than 8192 bits"),
            Some(key) => Ok(Self { modulus: key.n().to_bytes_be(), key }),
            None => Err(BROKEN),
        })
    }

    /// Whether this is the key of a certificate.
    pub(super) fn is_of(&self, certificate: &[u8]) -> bool {
        memchr::memmem::find(certificate, &self.modulus).is_some()
    }

    /// The premaster secret in the key exchange of a client. Nobody waits for the answer, so none of
    /// what hides failures from a sender (RFC 5246 7.4.7.1) is needed.
    pub(super) fn premaster(&self, encrypted: &[u8]) -> Option<Vec<u8>> {
        if encrypted.is_empty() || encrypted.len() > self.modulus.len() {
            return None;
        }
        let secret = self.key.decrypt(Pkcs1v15Encrypt, encrypted).ok()?;
        // The version is that of the hello, or with some clients the one agreed upon.
        (secret.len() == PREMASTER && secret.first() == Some(&3)).then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKCS1: &str = include_str!("../../../testdata/tls/rsa/server.pkcs1.pem");
    const PKCS8: &str = include_str!("../../../testdata/tls/rsa/server.pem");
    const OTHER: &str = include_str!("../../../testdata/tls/rsa/other.pem");

    #[test]
    fn keys_of_both_forms_are_found_among_other_blocks() {
        let text = format!("Bag\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{PKCS8}{OTHER}");
        let keys = RsaKey::parse(text.as_bytes()).unwrap();
        let [one] = RsaKey::parse(PKCS1.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((keys.len(), &keys[0].modulus), (2, &one.modulus));
        assert!(keys[0].is_of(&[&[1, 2], one.modulus.as_slice()].concat()) && !keys[1].is_of(&one.modulus));
    }

    #[test]
    fn what_is_no_usable_key_is_said_without_the_key() {
        let refused = |text: &str| RsaKey::parse(text.as_bytes()).unwrap_err();
        assert!(refused("").contains("no private key") && RsaKey::parse(&[0xff]).is_err());
        assert!(refused(&PKCS8.replace('M', "!")).contains("damaged"));
        assert!(refused(&PKCS8[..200]).contains("damaged"));
        assert!(refused("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----").contains("none of RSA"));
        assert!(refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\n").contains("password"));
        assert!(refused("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n").contains("password"));
    }

    #[test]
    fn ciphertexts_of_any_size_are_refused_without_panic() {
        let key = &RsaKey::parse(PKCS8.as_bytes()).unwrap()[0];
        for len in [0, 1, 127, 255, 256, 257, 4096, 1 << 20] {
            assert_eq!(key.premaster(&vec![0xff; len]), None);
            assert_eq!(key.premaster(&vec![0; len]), None);
        }
        assert_eq!(format!("{key:?}"), "RsaKey(2048 bits)");
    }
}
