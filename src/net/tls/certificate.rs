//! What a server's certificate says of itself (RFC 5280), to help people find the key that is missing
//! or why a handshake failed.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::base::Timestamp;

/// Characters of a name that are shown.
const NAME: usize = 200;

/// The first certificate of a chain as TLS 1.2 sends it (RFC 5246 7.4.2): three octets of length for
/// all, three for each.
pub(super) fn first(chain: &[u8]) -> Option<&[u8]> {
    let [_, _, _, high, middle, low, rest @ ..] = chain else { return None };
    rest.get(..u32::from_be_bytes([0, *high, *middle, *low]) as usize)
}

/// Whose certificate it is and until when, as of `now`.
pub(super) fn describe(certificate: &[u8], now: Timestamp) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let alternative = || match certificate.get::<SubjectAltName>() {
        Ok(Some((_, names))) => names.0.iter().find_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        }),
        _ => None,
    };
    let subject = certificate.subject.to_string();
    let name = if subject.is_empty() { alternative()? } else { subject };
    let name: String = name.escape_default().take(NAME).collect();
    let until = certificate.validity.not_after;
    let expired = now.as_nanos() > i64::try_from(until.to_unix_duration().as_nanos()).unwrap_or(i64::MAX);
    let tense = if expired { "expired on" } else { "valid until" };
    Some(format!("the server's certificate is that of {name}, {tense} {}", until.to_date_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The certificate of the recordings of RSA key exchange: it follows the hello of the server.
    fn chain() -> Vec<u8> {
        let text = include_str!("../../../testdata/tls/rsa/no-extended-master-secret.txt");
        let hex: String = text.lines().filter_map(|line| line.strip_prefix("server ")).collect();
        let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let at = bytes.windows(2).position(|pair| pair == [0x30, 0x82]).unwrap();
        bytes[at - 6..].to_vec()
    }

    #[test]
    fn name_and_expiry_of_a_certificate_are_told() {
        let chain = chain();
        let certificate = first(&chain).unwrap();
        let told = describe(certificate, Timestamp::default()).unwrap();
        assert!(
            told.starts_with("the server's certificate is that of CN=sip.example.com, valid until 2036-"),
            "{told}"
        );
        let told = describe(certificate, Timestamp::MAX).unwrap();
        assert!(told.contains("expired on 2036-"), "{told}");
    }

    #[test]
    fn broken_certificates_tell_nothing_and_never_panic() {
        let chain = chain();
        for len in 0..chain.len().min(900) {
            let part = &chain[..len];
            assert!(first(part).is_none() || describe(first(part).unwrap(), Timestamp::MIN).is_some());
            let mut changed = first(&chain).unwrap().to_vec();
            let at = len % changed.len();
            changed[at] = changed[at].wrapping_add(0x81);
            let _ = describe(&changed, Timestamp::MIN);
        }
    }
}
