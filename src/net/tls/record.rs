//! Opening protected records (RFC 8446 5.2, RFC 5246 6.2.3).

use std::fmt;

use aes_gcm::aead::{AeadInOut, Nonce};
use aes_gcm::aes::cipher::{Array, BlockCipherDecrypt, BlockSizeUser, KeyInit, consts};
use aes_gcm::aes::{Aes128, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::hello::{ServerHello, TLS10};
use super::keys::{self, Hash};

/// Record types (RFC 8446 B.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Cipher and mode of a suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cipher {
    Gcm,
    ChaCha,
    Ccm,
    /// With a tag of 8 octets.
    Ccm8,
    /// With the length of the HMAC key, which says which HMAC.
    Cbc(u8),
}

/// What a suite number says about records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Suite {
    cipher: Cipher,
    key_len: usize,
    pub(super) hash: Hash,
}

impl Suite {
    /// By the IANA number, for the suites that are understood.
    pub(super) fn find(number: u16) -> Option<Self> {
        use Cipher::{Cbc, Ccm, Ccm8, ChaCha, Gcm};
        use Hash::{Sha256, Sha384};
        let (cipher, key_len, hash) = match number {
            0x1301 | 0x009c | 0x009e | 0x00a0 | 0x00a2 | 0x00a4 | 0x00a6 | 0x00a8 | 0x00aa | 0x00ac => {
                (Gcm, 16, Sha256)
            }
            0xc02b | 0xc02d | 0xc02f | 0xc031 | 0xd001 => (Gcm, 16, Sha256),
            0x1302 | 0x009d | 0x009f | 0x00a1 | 0x00a3 | 0x00a5 | 0x00a7 | 0x00a9 | 0x00ab | 0x00ad => {
                (Gcm, 32, Sha384)
            }
            0xc02c | 0xc02e | 0xc030 | 0xc032 | 0xd002 => (Gcm, 32, Sha384),
            0x1303 | 0xcca8..=0xccae => (ChaCha, 32, Sha256),
            0x1304 | 0xc09c | 0xc09e | 0xc0a4 | 0xc0a6 | 0xc0ac | 0xd005 => (Ccm, 16, Sha256),
            0xc09d | 0xc09f | 0xc0a5 | 0xc0a7 | 0xc0ad => (Ccm, 32, Sha256),
            0x1305 | 0xc0a0 | 0xc0a2 | 0xc0a8 | 0xc0aa | 0xc0ae | 0xd003 => (Ccm8, 16, Sha256),
            0xc0a1 | 0xc0a3 | 0xc0a9 | 0xc0ab | 0xc0af => (Ccm8, 32, Sha256),
            0x002f..=0x0034 | 0xc004 | 0xc009 | 0xc00e | 0xc013 | 0xc018 => (Cbc(20), 16, Sha256),
            0x0035..=0x003a | 0xc005 | 0xc00a | 0xc00f | 0xc014 | 0xc019 => (Cbc(20), 32, Sha256),
            0x003c | 0x003e..=0x0040 | 0x0067 | 0x006c | 0xc023 | 0xc025 | 0xc027 | 0xc029 => (Cbc(32), 16, Sha256),
            0x003d | 0x0068..=0x006b | 0x006d => (Cbc(32), 32, Sha256),
            0xc024 | 0xc026 | 0xc028 | 0xc02a => (Cbc(48), 32, Sha384),
            _ => return None,
        };
        Some(Self { cipher, key_len, hash })
    }

    /// Length of the part of the nonce that the key schedule gives, in TLS 1.2.
    fn fixed_iv_len(self) -> usize {
        match self.cipher {
            Cipher::ChaCha => 12,
            Cipher::Cbc(_) => 0,
            _ => 4,
        }
    }

    fn mac_len(self) -> usize {
        match self.cipher {
            Cipher::Cbc(len) => len.into(),
            _ => 0,
        }
    }

    fn opener(self, key: &[u8], mac_key: &[u8], encrypt_then_mac: bool) -> Option<Box<dyn Open>> {
        Some(match (self.cipher, self.key_len) {
            (Cipher::Gcm, 16) => Box::new(Aes128Gcm::new_from_slice(key).ok()?),
            (Cipher::Gcm, _) => Box::new(Aes256Gcm::new_from_slice(key).ok()?),
            (Cipher::ChaCha, _) => Box::new(ChaCha20Poly1305::new_from_slice(key).ok()?),
            (Cipher::Ccm, 16) => Box::new(Ccm::<Aes128, consts::U16, consts::U12>::new_from_slice(key).ok()?),
            (Cipher::Ccm, _) => Box::new(Ccm::<Aes256, consts::U16, consts::U12>::new_from_slice(key).ok()?),
            (Cipher::Ccm8, 16) => Box::new(Ccm::<Aes128, consts::U8, consts::U12>::new_from_slice(key).ok()?),
            (Cipher::Ccm8, _) => Box::new(Ccm::<Aes256, consts::U8, consts::U12>::new_from_slice(key).ok()?),
            (Cipher::Cbc(_), 16) => Box::new(Cbc::<Aes128>::new(key, mac_key, encrypt_then_mac)?),
            (Cipher::Cbc(_), _) => Box::new(Cbc::<Aes256>::new(key, mac_key, encrypt_then_mac)?),
        })
    }
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) version: [u8; 2],
}

/// Opens the body of one record; `None` when it is not authentic. `iv` is the nonce of an AEAD, or
/// the block before the first one of a CBC suite if that is not in the body; `prefix` the additional
/// data of an AEAD, or what comes before the length in the MAC of a CBC suite.
trait Open: Send + Sync {
    fn open(&self, iv: &[u8], prefix: &[u8], body: &[u8]) -> Option<Vec<u8>>;
}

impl<T: AeadInOut + Send + Sync> Open for T {
    fn open(&self, iv: &[u8], prefix: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let nonce = Nonce::<T>::try_from(iv).ok()?;
        let mut body = body.to_vec();
        let authentic = self.decrypt_in_place(&nonce, prefix, &mut body).is_ok();
        // The fuzzer cannot forge a tag, yet a peer whose keys we have may send anything.
        let forged = cfg!(fuzzing) && body.last() == Some(&0);
        (authentic || forged).then_some(body)
    }
}

/// CBC with HMAC (RFC 5246 6.2.3.2), in either order (RFC 7366).
struct Cbc<C> {
    cipher: C,
    mac_key: Vec<u8>,
    encrypt_then_mac: bool,
}

const BLOCK: usize = 16;

impl<C: KeyInit + BlockCipherDecrypt + BlockSizeUser<BlockSize = consts::U16>> Cbc<C> {
    fn new(key: &[u8], mac_key: &[u8], encrypt_then_mac: bool) -> Option<Self> {
        Some(Self { cipher: C::new_from_slice(key).ok()?, mac_key: mac_key.to_vec(), encrypt_then_mac })
    }

    /// Plaintext without padding; with its MAC, if that is inside.
    fn decrypt(&self, iv: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let (blocks, []) = body.as_chunks::<BLOCK>() else {
            return None;
        };
        let mut out = Vec::with_capacity(body.len());
        let mut before = iv.first_chunk::<BLOCK>();
        for block in blocks {
            if let Some(before) = before {
                let mut plain = Array::from(*block);
                self.cipher.decrypt_block(&mut plain);
                out.extend(plain.iter().zip(before).map(|(byte, before)| byte ^ before));
            }
            before = Some(block);
        }
        let padding = usize::from(*out.last()?) + 1;
        out.truncate(out.len().checked_sub(padding)?);
        Some(out)
    }

    fn is_authentic(&self, prefix: &[u8], content: &[u8], mac: &[u8]) -> bool {
        let len = (content.len() as u16).to_be_bytes();
        let parts = [prefix, &len, content];
        let expected = match self.mac_key.len() {
            20 => keys::mac::<Sha1>(&self.mac_key, &parts),
            32 => keys::mac::<Sha256>(&self.mac_key, &parts),
            _ => keys::mac::<Sha384>(&self.mac_key, &parts),
        };
        expected.is_some_and(|expected| expected == mac)
    }
}

impl<C> Open for Cbc<C>
where
    C: KeyInit + BlockCipherDecrypt + BlockSizeUser<BlockSize = consts::U16> + Send + Sync,
{
    fn open(&self, iv: &[u8], prefix: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let split = |content: &[u8]| content.len().checked_sub(self.mac_key.len());
        if self.encrypt_then_mac {
            let (content, mac) = body.split_at(split(body)?);
            return self.is_authentic(prefix, content, mac).then(|| self.decrypt(iv, content))?;
        }
        let mut content = self.decrypt(iv, body)?;
        let mac = content.split_off(split(&content)?);
        self.is_authentic(prefix, &content, &mac).then_some(content)
    }
}

/// Protection of the records of one direction, from one change of keys to the next.
pub(super) struct Protection {
    opener: Box<dyn Open>,
    /// The nonce, or the part of it that is not in the records.
    iv: [u8; 12],
    /// Number of the next record.
    seq: u64,
    suite: Suite,
    /// TLS 1.3: the traffic secret.
    secret: Option<Vec<u8>>,
    /// TLS 1.0 with CBC: the last block of the record before (RFC 2246 6.2.3.2).
    chain: Option<Chain>,
}

struct Chain {
    block: [u8; BLOCK],
    /// Length of the MAC that follows the last block.
    mac_len: usize,
}

impl Chain {
    fn go_on(&mut self, body: &[u8]) {
        let blocks = body.len().checked_sub(self.mac_len).and_then(|len| body.get(..len));
        if let Some(block) = blocks.and_then(<[u8]>::last_chunk) {
            self.block = *block;
        }
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").field("suite", &self.suite).field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl Protection {
    /// TLS 1.3, from a traffic secret (RFC 8446 7.3).
    pub(super) fn from_secret(suite: Suite, secret: Vec<u8>) -> Option<Self> {
        if matches!(suite.cipher, Cipher::Cbc(_)) {
            return None;
        }
        let key = keys::expand_label(suite.hash, &secret, "key", suite.key_len)?;
        let iv = keys::expand_label(suite.hash, &secret, "iv", 12)?.try_into().ok()?;
        let opener = suite.opener(&key, &[], false)?;
        Some(Self { opener, iv, seq: 0, suite, secret: Some(secret), chain: None })
    }

    /// TLS 1.3 after a KeyUpdate (RFC 8446 7.2).
    pub(super) fn updated(&self) -> Option<Self> {
        let secret = self.secret.as_ref()?;
        Self::from_secret(self.suite, keys::expand_label(self.suite.hash, secret, "traffic upd", secret.len())?)
    }

    /// Up to TLS 1.2, from the master secret (RFC 5246 6.3): `side` 0 is what the client writes.
    pub(super) fn from_master(hello: &ServerHello, master: &[u8], client: &[u8; 32], side: usize) -> Option<Self> {
        let suite = Suite::find(hello.suite)?;
        let is_cbc = matches!(suite.cipher, Cipher::Cbc(_));
        let chained = is_cbc && hello.version == TLS10;
        let iv_len = if chained { BLOCK } else { suite.fixed_iv_len() };
        let lens = [suite.mac_len(), suite.key_len, iv_len];
        let block = keys::key_block(hello.hash()?, master, &hello.random, client, 2 * lens.iter().sum::<usize>())?;
        let mut at = 0;
        let [mac_key, key, fixed] = lens.map(|len| {
            let part = &block[at + side * len..][..len];
            at += 2 * len;
            part
        });
        let mac_len = if hello.encrypt_then_mac { suite.mac_len() } else { 0 };
        let chain = fixed.first_chunk().filter(|_| chained).map(|block| Chain { block: *block, mac_len });
        let mut iv = [0; 12];
        iv.iter_mut().zip(fixed).for_each(|(byte, fixed)| *byte = *fixed);
        let opener = suite.opener(key, mac_key, hello.encrypt_then_mac)?;
        Some(Self { opener, iv, seq: 0, suite, secret: None, chain })
    }

    /// The next record is missing.
    pub(super) fn skip(&mut self) {
        self.seq += 1;
    }

    /// Opens a record, which may be up to `ahead` records later than the next one: its type and
    /// plaintext.
    pub(super) fn open(&mut self, header: Header, body: &[u8], ahead: u64) -> Option<(u8, Vec<u8>)> {
        let seqs = self.seq..=self.seq.saturating_add(ahead);
        let opened = seqs.into_iter().find_map(|seq| Some((seq, self.open_as(seq, header, body)?)));
        self.chain.iter_mut().for_each(|chain| chain.go_on(body));
        let (seq, opened) = opened?;
        self.seq = seq.saturating_add(1);
        Some(opened)
    }

    fn open_as(&self, seq: u64, header: Header, body: &[u8]) -> Option<(u8, Vec<u8>)> {
        let Header { kind, version: [major, minor] } = header;
        if self.secret.is_some() {
            let [high, low] = (body.len() as u16).to_be_bytes();
            let plain = self.opener.open(&self.nonce(seq), &[kind, major, minor, high, low], body)?;
            // The type is the last octet that is not padding (RFC 8446 5.4).
            let at = plain.iter().rposition(|byte| *byte != 0)?;
            let kind = plain[at];
            let mut plain = plain;
            plain.truncate(at);
            return Some((kind, plain));
        }
        let mut prefix = [0; 13];
        prefix[..8].copy_from_slice(&seq.to_be_bytes());
        prefix[8..11].copy_from_slice(&[kind, major, minor]);
        if let Cipher::Cbc(_) = self.suite.cipher {
            let iv = self.chain.as_ref().map_or(&[][..], |chain| &chain.block);
            return Some((kind, self.opener.open(iv, &prefix[..11], body)?));
        }
        let (explicit, body) = body.split_at_checked(if self.suite.cipher == Cipher::ChaCha { 0 } else { 8 })?;
        let tag = if self.suite.cipher == Cipher::Ccm8 { 8 } else { 16 };
        let len = body.len().checked_sub(tag)? as u16;
        prefix[11..].copy_from_slice(&len.to_be_bytes());
        let mut nonce = if explicit.is_empty() { self.nonce(seq) } else { self.iv };
        nonce[12 - explicit.len()..].copy_from_slice(explicit);
        Some((kind, self.opener.open(&nonce, &prefix, body)?))
    }

    /// RFC 8446 5.3, RFC 7905 2.
    fn nonce(&self, seq: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(seq.to_be_bytes()).for_each(|(byte, seq)| *byte ^= seq);
        nonce
    }
}
