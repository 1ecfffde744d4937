//! Identity: a PASSporT (RFC 8224 4, RFC 8225), decoded and not verified.

use super::grammar::{param, split_top, trim};
use std::borrow::Cow;

/// Characters of an encoded part that are decoded; real ones have under a thousand.
const ENCODED: usize = 16 << 10;

/// The value of an Identity header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passport<'a> {
    /// JSON header (algorithm, extension, certificate); `None` in the compact form or when it cannot be decoded.
    pub header: Option<String>,
    /// JSON payload (caller, callee, time); `None` in the compact form or when it cannot be decoded.
    pub payload: Option<String>,
    /// The signature as written.
    pub signature: &'a [u8],
    /// `info`: where the certificate is, without angle brackets.
    pub info: &'a [u8],
    /// `alg`.
    pub algorithm: &'a [u8],
    /// `ppt`: which extension, such as `shaken`.
    pub extension: &'a [u8],
}

impl<'a> Passport<'a> {
    /// Reads one value; `None` when it is no PASSporT, such as the signature of RFC 4474.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (token, params) = split_top(value, b';');
        let mut parts = trim(token).split(|byte| *byte == b'.');
        let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || signature.is_empty() {
            return None;
        }
        let of = |name| param(params.unwrap_or_default(), name).unwrap_or_default();
        let info = of("info");
        let info = info.strip_prefix(b"<").and_then(|info| info.strip_suffix(b">")).unwrap_or(info);
        Some(Self {
            header: json(header),
            payload: json(payload),
            signature,
            info,
            algorithm: of("alg"),
            extension: of("ppt"),
        })
    }
}

/// Text in base64url (RFC 4648 5), without padding.
fn json(encoded: &[u8]) -> Option<String> {
    if encoded.is_empty() || encoded.len() > ENCODED {
        return None;
    }
    let mut out = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    for group in unfolded(encoded).chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            bits = bits << 6 | u32::from(sextet(*byte)?);
        }
        let spare = 6 * (4 - group.len());
        let bytes = (bits << spare).to_be_bytes();
        out.extend_from_slice(bytes.get(1..group.len())?);
    }
    String::from_utf8(out).ok()
}

/// Long values are often folded.
fn unfolded(encoded: &[u8]) -> Cow<'_, [u8]> {
    if encoded.iter().any(u8::is_ascii_whitespace) {
        Cow::Owned(encoded.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect())
    } else {
        Cow::Borrowed(encoded)
    }
}

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_payload_are_told_as_text() {
        let value =
            b"eyJhbGciOiJFUzI1NiJ9.eyJpYXQiOjF9.c2ln;info=<https://cert.example.org/a.cer>;alg=ES256;ppt=\"shaken\"";
        let passport = Passport::parse(value).unwrap();
        assert_eq!(passport.header.as_deref(), Some("{\"alg\":\"ES256\"}"));
        assert_eq!(passport.payload.as_deref(), Some("{\"iat\":1}"));
        assert_eq!(passport.info, b"https://cert.example.org/a.cer");
        assert_eq!((passport.algorithm, passport.extension), (b"ES256".as_slice(), b"shaken".as_slice()));
    }

    #[test]
    fn the_compact_form_has_a_signature_only() {
        let passport = Passport::parse(b"..c2ln;info=<https://x>").unwrap();
        assert_eq!((passport.header, passport.payload, passport.signature), (None, None, b"c2ln".as_slice()));
    }

    #[test]
    fn what_is_no_passport_is_none() {
        for bad in [&b""[..], b"r5mwreLuyDRYBi/0TiPwEsY3=", b"\"abc\"", b"a.b", b"a.b.c.d", b"a.b."] {
            assert_eq!(Passport::parse(bad), None);
        }
    }

    #[test]
    fn broken_encodings_are_not_told() {
        assert_eq!((json(b"e"), json(b"e+=="), json(b"_w")), (Some(String::new()), None, None));
        assert_eq!(json(&vec![b'A'; ENCODED + 1]), None);
    }
}
