//! The key log, and how TLS derives keys from its secrets.

use std::collections::HashMap;

use hkdf::Hkdf;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384};

/// Hash of a suite's key schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hash {
    /// TLS 1.0 and 1.1: both, whatever the suite (RFC 4346 5).
    Md5Sha1,
    Sha256,
    Sha384,
}

/// Secrets of one connection, by what the key log calls them.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// TLS 1.2 and before.
    pub(super) master: Vec<u8>,
    /// TLS 1.3, client and server.
    pub(super) handshake: [Vec<u8>; 2],
    /// TLS 1.3, client and server.
    pub(super) application: [Vec<u8>; 2],
}

/// TLS secrets in the SSLKEYLOGFILE format (draft-ietf-tls-keylogfile), by client random.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyLog(HashMap<[u8; 32], Secrets>);

impl KeyLog {
    /// Adds the lines that are understood and passes over the others.
    pub(super) fn add(&mut self, text: &[u8]) {
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            self.add_line(line);
        }
    }

    /// Secrets of the connection with this client random.
    pub(super) fn get(&self, client_random: &[u8; 32]) -> Option<&Secrets> {
        self.0.get(client_random)
    }

    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let label = words.next()?;
        let random = unhex(words.next()?)?.try_into().ok()?;
        let secret = unhex(words.next()?).filter(|secret| (32..=64).contains(&secret.len()))?;
        let place: fn(&mut Secrets) -> &mut Vec<u8> = match label {
            b"CLIENT_RANDOM" => |secrets| &mut secrets.master,
            b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => |secrets| &mut secrets.handshake[0],
            b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => |secrets| &mut secrets.handshake[1],
            b"CLIENT_TRAFFIC_SECRET_0" => |secrets| &mut secrets.application[0],
            b"SERVER_TRAFFIC_SECRET_0" => |secrets| &mut secrets.application[1],
            _ => return None,
        };
        *place(self.0.entry(random).or_default()) = secret;
        Some(())
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

/// HKDF-Expand-Label with an empty context (RFC 8446 7.1).
pub(super) fn expand_label(hash: Hash, secret: &[u8], label: &str, len: usize) -> Option<Vec<u8>> {
    let mut info = (len as u16).to_be_bytes().to_vec();
    info.push((6 + label.len()) as u8);
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label.as_bytes());
    info.push(0);
    let mut out = vec![0; len];
    match hash {
        Hash::Md5Sha1 => return None,
        Hash::Sha256 => Hkdf::<Sha256>::from_prk(secret).ok()?.expand(&info, &mut out).ok()?,
        Hash::Sha384 => Hkdf::<Sha384>::from_prk(secret).ok()?.expand(&info, &mut out).ok()?,
    }
    Some(out)
}

/// The key block up to TLS 1.2 (RFC 5246 6.3).
pub(super) fn key_block(
    hash: Hash,
    master: &[u8],
    server: &[u8; 32],
    client: &[u8; 32],
    len: usize,
) -> Option<Vec<u8>> {
    prf(hash, master, &[b"key expansion", server, client], len)
}

/// The master secret up to TLS 1.2 (RFC 5246 8.1, RFC 7627 4). `seed`: the label, then the randoms of
/// client and server, or the digest of the handshake.
pub(super) fn master_secret(hash: Hash, premaster: &[u8], seed: &[&[u8]]) -> Option<Vec<u8>> {
    prf(hash, premaster, seed, 48)
}

/// Digest of handshake messages (RFC 7627 3).
pub(super) fn digest(hash: Hash, messages: &[&[u8]]) -> Vec<u8> {
    fn of<D: Digest>(messages: &[&[u8]]) -> Vec<u8> {
        messages.iter().fold(D::new(), D::chain_update).finalize().to_vec()
    }
    match hash {
        Hash::Md5Sha1 => [of::<Md5>(messages), of::<Sha1>(messages)].concat(),
        Hash::Sha256 => of::<Sha256>(messages),
        Hash::Sha384 => of::<Sha384>(messages),
    }
}

/// The pseudorandom function (RFC 5246 5, RFC 4346 5).
fn prf(hash: Hash, secret: &[u8], seed: &[&[u8]], len: usize) -> Option<Vec<u8>> {
    let seed = seed.concat();
    match hash {
        Hash::Md5Sha1 => {
            let half = secret.len().div_ceil(2);
            let mut out = chain::<Md5>(&secret[..half], &seed, len)?;
            let other = chain::<Sha1>(&secret[secret.len() - half..], &seed, len)?;
            out.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
            Some(out)
        }
        Hash::Sha256 => chain::<Sha256>(secret, &seed, len),
        Hash::Sha384 => chain::<Sha384>(secret, &seed, len),
    }
}

/// `P_hash` of RFC 5246 5.
fn chain<D: EagerHash>(secret: &[u8], seed: &[u8], len: usize) -> Option<Vec<u8>>
where
    Hmac<D>: Mac + KeyInit,
{
    let mut out = Vec::with_capacity(len + 64);
    let mut link = mac::<D>(secret, &[seed])?;
    while out.len() < len {
        out.extend(mac::<D>(secret, &[&link, seed])?);
        link = mac::<D>(secret, &[&link])?;
    }
    out.truncate(len);
    Some(out)
}

/// HMAC over the parts in turn.
pub(super) fn mac<D: EagerHash>(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>>
where
    Hmac<D>: Mac + KeyInit,
{
    let mut mac = <Hmac<D> as KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_log_takes_known_lines_and_passes_over_the_rest() {
        let random = "ab".repeat(32);
        let secret = "01".repeat(48);
        let text = format!(
            "# comment\r\nCLIENT_RANDOM {random} {secret}\r\n\nEXPORTER_SECRET {random} {secret}\nCLIENT_RANDOM x y\n\
             SERVER_TRAFFIC_SECRET_0 {random}  {}\nCLIENT_TRAFFIC_SECRET_0 {random} {secret}0\n\u{fffd}",
            "02".repeat(32)
        );
        let mut log = KeyLog::default();
        log.add(text.as_bytes());
        let secrets = log.get(&[0xab; 32]).unwrap();
        assert_eq!(secrets.master, [1; 48]);
        assert_eq!(secrets.application, [Vec::new(), vec![2; 32]]);
        assert!(log.get(&[0; 32]).is_none());
    }

    /// RFC 8448 3: keys from the server's handshake traffic secret.
    #[test]
    fn expand_label_gives_the_keys_of_rfc_8448() {
        let secret = unhex(b"b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38").unwrap();
        let key = expand_label(Hash::Sha256, &secret, "key", 16).unwrap();
        let iv = expand_label(Hash::Sha256, &secret, "iv", 12).unwrap();
        assert_eq!(Some(key), unhex(b"3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(Some(iv), unhex(b"5d313eb2671276ee13000b30"));
    }
}
