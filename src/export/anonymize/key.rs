//! Keyed renaming of words, numbers and addresses: a permutation of all that look alike, so that two
//! names never become one, and the same name becomes the same everywhere.
//!
//! Nothing is remembered but for speed: the key alone decides, so that several captures can be
//! anonymised alike.

use foldhash::fast::RandomState;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Words remembered for speed; all are forgotten when there are more.
const REMEMBERED: usize = 1 << 18;
/// Rounds of the Feistel network over the characters of a word; NIST SP 800-38G has 10 for FF1, whose
/// halves may be as short as ours.
const ROUNDS: u8 = 10;
/// Shortest run of hexadecimal digits that is taken for a number and not a word.
const HEX: usize = 8;

/// A key, and what it makes of names.
pub struct Namer {
    keyed: Hmac<Sha256>,
    words: HashMap<Vec<u8>, Vec<u8>, RandomState>,
    addresses: HashMap<IpAddr, IpAddr, RandomState>,
}

/// What kind of thing a keyed value is for, so that values for one say nothing of another.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    Word = 1,
    Digit,
    Octet,
    Group,
    Mac,
    Secret,
}

impl Namer {
    /// With a key of any length.
    pub fn new(key: &[u8]) -> Self {
        // A key that fits the block is what this cannot fail for.
        let digest = {
            use sha2::Digest;
            Sha256::digest(key)
        };
        let keyed = Hmac::<Sha256>::new(&hmac_key(&digest));
        Self { keyed, words: HashMap::default(), addresses: HashMap::default() }
    }

    /// Puts another word of the same length and kind in the place of `word`: letters stay letters of the
    /// same case, digits stay digits. A number keeps its tail for numbers with the same tail.
    pub(super) fn rename(&mut self, word: &mut [u8]) {
        if word.iter().all(|byte| *byte == b'0') {
            return; // no number at all, in Session-ID and elsewhere
        }
        if let Some(known) = self.words.get(&*word) {
            word.copy_from_slice(known);
            return;
        }
        let original = word.to_vec();
        if word.iter().all(u8::is_ascii_digit) {
            self.number(word);
            // Whatever would become all zeros takes the name that they do without.
            if word.iter().all(|byte| *byte == b'0') {
                self.number(word);
            }
        } else {
            self.word(word);
        }
        if self.words.len() >= REMEMBERED {
            self.words.clear();
        }
        self.words.insert(original, word.to_vec());
    }

    /// Digits from the last to the first, each by a permutation that those behind it choose: numbers that
    /// differ in their prefix only still do.
    fn number(&self, digits: &mut [u8]) {
        let original = digits.to_vec();
        for at in (0..digits.len()).rev() {
            let table = self.cycle(Purpose::Digit, &original[at + 1..], 10);
            digits[at] = b'0' + table[usize::from(original[at] - b'0')] as u8;
        }
    }

    /// A Feistel network over the characters, each within the alphabet of its kind.
    fn word(&self, word: &mut [u8]) {
        let hex = is_hex(word);
        let (mut kinds, mut values) = (Vec::with_capacity(word.len()), Vec::with_capacity(word.len()));
        let mut before = 0;
        for byte in word.iter() {
            let (kind, value) = Kind::of(*byte, before, hex);
            before = *byte;
            kinds.push(kind);
            values.push(value);
        }
        let shape: Vec<u8> = kinds.iter().map(|kind| kind.radix() as u8).collect();
        let middle = word.len() / 2;
        for round in 0..ROUNDS {
            let (left, right) = values.split_at_mut(middle);
            let (from, to, first) = if round % 2 == 0 { (left, right, middle) } else { (right, left, 0) };
            let mut input = vec![round];
            input.extend_from_slice(&shape);
            input.extend(from.iter().map(|value| *value as u8));
            let stream = self.stream(Purpose::Word, &input, to.len());
            for ((value, kind), more) in to.iter_mut().zip(&kinds[first..]).zip(stream) {
                *value = (*value + more % kind.radix()) % kind.radix();
            }
        }
        for ((byte, kind), value) in word.iter_mut().zip(kinds).zip(values) {
            *byte = kind.byte(*byte, value);
        }
    }

    /// Hexadecimal digits that stand for `secret` and cannot be led back to it, even with the key.
    pub(super) fn conceal(&self, secret: &mut [u8]) {
        let stream = self.stream(Purpose::Secret, secret, secret.len());
        for (byte, value) in secret.iter_mut().zip(stream) {
            *byte = b"0123456789abcdef"[usize::from(value % 16)];
        }
    }

    /// Another address with the same prefixes for addresses with the same prefixes, of octets in IPv4 and of
    /// groups in IPv6, and with the same number of characters. Private stays private, public stays public.
    pub(in crate::export) fn address(&mut self, address: IpAddr) -> IpAddr {
        if let Some(known) = self.addresses.get(&address) {
            return *known;
        }
        let renamed = match address {
            IpAddr::V4(v4) => self.v4(v4).into(),
            IpAddr::V6(v6) => self.v6(v6).into(),
        };
        if self.addresses.len() >= REMEMBERED {
            self.addresses.clear();
        }
        self.addresses.insert(address, renamed);
        renamed
    }

    fn v4(&self, address: Ipv4Addr) -> Ipv4Addr {
        if address.is_unspecified() || address.is_broadcast() || address.is_loopback() {
            return address;
        }
        let old = address.octets();
        let mut new = old;
        for at in 0..old.len() {
            let prefix = &old[..at];
            let group = v4_group(prefix, old[at]);
            let alike: Vec<u8> = (0..=u8::MAX).filter(|octet| v4_group(prefix, *octet) == group).collect();
            let table = self.cycle(Purpose::Octet, &[prefix, &[group as u8, (group >> 8) as u8]].concat(), alike.len());
            let place = alike.iter().position(|octet| *octet == old[at]).unwrap_or_default();
            new[at] = alike[table[place]];
        }
        new.into()
    }

    fn v6(&self, address: Ipv6Addr) -> Ipv6Addr {
        if address.is_unspecified() || address.is_loopback() {
            return address;
        }
        if let Some(v4) = address.to_ipv4_mapped() {
            return self.v4(v4).to_ipv6_mapped();
        }
        let old = address.segments();
        let mut new = old;
        for at in 0..old.len() {
            let (first, count) = v6_group(at, old[at]);
            let prefix: Vec<u8> = old[..at].iter().flat_map(|group| group.to_be_bytes()).collect();
            let input = [&prefix[..], &first.to_be_bytes()].concat();
            let place = u32::from(old[at] - first);
            // Affine: the factor has nothing in common with the count.
            let stream = self.stream(Purpose::Group, &input, 3);
            let (mut factor, offset) = (u32::from(stream[0]) % count, u32::from(stream[1]));
            while gcd(factor, count) != 1 {
                factor = (factor + 1) % count;
            }
            let place = ((u64::from(place) * u64::from(factor) + u64::from(offset)) % u64::from(count)) as u16;
            new[at] = first + place;
        }
        new.into()
    }

    /// Another hardware address of the same scope; groups and nobody stay what they are.
    pub(super) fn mac(&self, mac: &mut [u8]) {
        if mac.iter().all(|byte| *byte == 0) || mac.first().is_some_and(|first| first & 1 == 1) {
            return;
        }
        let stream = self.stream(Purpose::Mac, mac, mac.len());
        for (at, (byte, value)) in mac.iter_mut().zip(stream).enumerate() {
            // Locally administered: it is no vendor's.
            *byte = if at == 0 { value as u8 & 0xfc | 2 } else { value as u8 };
        }
    }

    /// A permutation of `0..count` that leaves nothing in its place: one cycle (Sattolo's algorithm).
    fn cycle(&self, purpose: Purpose, input: &[u8], count: usize) -> Vec<usize> {
        let mut table: Vec<usize> = (0..count).collect();
        let stream = self.stream(purpose, input, count);
        for at in (1..count).rev() {
            table.swap(at, usize::from(stream[at]) % at);
        }
        table
    }

    /// `count` pseudo-random numbers for `input`.
    fn stream(&self, purpose: Purpose, input: &[u8], count: usize) -> Vec<u16> {
        let mut stream = Vec::with_capacity(count);
        for block in 0_u32.. {
            if stream.len() >= count {
                break;
            }
            let mut mac = self.keyed.clone();
            mac.update(&[purpose as u8]);
            mac.update(&block.to_be_bytes());
            mac.update(input);
            let told = mac.finalize().into_bytes();
            stream.extend(told.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)));
        }
        stream
    }
}

/// The key of HMAC-SHA256, padded to its block (RFC 2104 2).
fn hmac_key(digest: &[u8]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
    key.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    key
}

/// Kinds of characters that stay what they are.
#[derive(Clone, Copy)]
enum Kind {
    Letter,
    HexLetter,
    Digit,
    /// Continuation of a UTF-8 character.
    Continuation,
    Fixed,
}

impl Kind {
    fn of(byte: u8, before: u8, hex: bool) -> (Self, u16) {
        match byte {
            b'0'..=b'9' => (Self::Digit, u16::from(byte - b'0')),
            b'a'..=b'z' | b'A'..=b'Z' => {
                let kind = if hex { Self::HexLetter } else { Self::Letter };
                (kind, u16::from(byte.to_ascii_lowercase() - b'a'))
            }
            // Behind these four not every continuation is allowed (RFC 3629 4).
            0x80..=0xbf if !matches!(before, 0xe0 | 0xed | 0xf0 | 0xf4) => (Self::Continuation, u16::from(byte & 0x3f)),
            _ => (Self::Fixed, 0),
        }
    }

    fn radix(self) -> u16 {
        match self {
            Self::Letter => 26,
            Self::HexLetter => 6,
            Self::Digit => 10,
            Self::Continuation => 64,
            Self::Fixed => 1,
        }
    }

    /// The character with this value, in the case of `old`.
    fn byte(self, old: u8, value: u16) -> u8 {
        match self {
            Self::Letter | Self::HexLetter if old.is_ascii_uppercase() => b'A' + value as u8,
            Self::Letter | Self::HexLetter => b'a' + value as u8,
            Self::Digit => b'0' + value as u8,
            Self::Continuation => 0x80 | value as u8,
            Self::Fixed => old,
        }
    }
}

fn is_hex(word: &[u8]) -> bool {
    word.len() >= HEX && word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_digit)
}

/// Which octets may stand for each other behind `prefix`: those with as many digits, and with the same use
/// (RFC 6890: private, shared, link-local, multicast).
fn v4_group(prefix: &[u8], octet: u8) -> u16 {
    let digits = octet.to_string().len() as u16;
    let special = match (prefix, octet) {
        // The first octet of these tells the use, or half of it.
        ([], 0 | 10 | 100 | 127 | 169 | 172 | 192) => u16::from(octet) + 1,
        ([], 224..=239) => 1,
        ([], 240..) => 2,
        ([100], 64..=127) | ([172], 16..=31) | ([169], 254) | ([192], 168) => 3,
        _ => 0,
    };
    digits | special << 2
}

/// The first and the number of groups that may stand for `group`, the one at place `at`: those with as many
/// digits, of the same use (RFC 4291 2.4, RFC 4193).
fn v6_group(at: usize, group: u16) -> (u16, u32) {
    match (at, group) {
        (_, 0) => (0, 1),
        (0, 0x64) => (group, 1), // translated IPv4 (RFC 6052)
        (0, 0x2000..=0x3fff) => (0x2000, 0x2000),
        (0, 0xfc00..=0xfdff) => (group & 0xff00, 0x100),
        (0, 0xfe00..) => (group, 1),
        (_, 1..=0xf) => (1, 0xf),
        (_, 0x10..=0xff) => (0x10, 0xf0),
        (_, 0x100..=0xfff) => (0x100, 0xf00),
        (_, 0x1000..) => (0x1000, 0xf000),
    }
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn renamed(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        Namer::new(b"key").rename(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn words_keep_their_length_and_the_kinds_of_their_characters() {
        let word = renamed("Alice007");
        assert!(word != "Alice007" && word.len() == 8, "{word}");
        assert!(word.starts_with(|c: char| c.is_ascii_uppercase()));
        assert!(word[1..5].chars().all(|c| c.is_ascii_lowercase()) && word[5..].chars().all(|c| c.is_ascii_digit()));
        assert!(renamed("4b126d88879c74e8").bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(renamed("00000000"), "00000000");
    }

    #[test]
    fn words_that_differ_in_case_only_still_do() {
        assert_eq!(renamed("ALICE").to_ascii_lowercase(), renamed("alice"));
    }

    #[test]
    fn umlauts_stay_text() {
        for name in ["Jürgen", "Ελένη", "日本語"] {
            assert_eq!(renamed(name).chars().count(), name.chars().count());
        }
    }

    #[test]
    fn no_two_words_become_one() {
        let mut namer = Namer::new(b"key");
        let all: HashSet<Vec<u8>> = (0..1000)
            .flat_map(|n| [format!("{n:03}"), format!("u{n:03}"), format!("{n:03x}z")])
            .map(|word| {
                let mut word = word.into_bytes();
                namer.rename(&mut word);
                word
            })
            .collect();
        assert_eq!(all.len(), 3000);
    }

    #[test]
    fn numbers_keep_common_tails_and_change_every_digit() {
        let (national, international) = (renamed("030123456"), renamed("4930123456"));
        assert_eq!(national[1..], international[2..]);
        assert!(national.bytes().zip("030123456".bytes()).all(|(new, old)| new != old));
    }

    #[test]
    fn addresses_keep_prefixes_width_and_use() {
        let mut namer = Namer::new(b"key");
        let mut of = |text: &str| namer.address(text.parse().unwrap()).to_string();
        for text in ["10.20.1.11", "192.168.1.200", "8.8.4.4", "172.16.30.1", "100.64.1.1", "224.0.1.75", "fd20:1::b"] {
            let new = of(text);
            assert_eq!(new.len(), text.len(), "{text} {new}");
            assert_ne!(new, text);
        }
        let (one, other, far) = (of("10.20.1.11"), of("10.20.1.12"), of("10.21.1.11"));
        assert_eq!(one.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().0);
        assert_ne!(one.rsplit_once('.').unwrap().0, far.rsplit_once('.').unwrap().0);
        assert!(of("10.1.1.1").starts_with("10.") && of("192.168.5.5").starts_with("192.168."));
        let private = of("172.20.1.1").split('.').nth(1).unwrap().parse::<u8>().unwrap();
        assert!((16..=31).contains(&private));
        for kept in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1"] {
            assert_eq!(of(kept), kept);
        }
        assert!(of("2001:db8::5").contains("::") && of("fe80::1:2").starts_with("fe80::"));
        assert!(of("::ffff:192.168.1.1").starts_with("::ffff:192.168."));
    }

    #[test]
    fn no_two_addresses_become_one() {
        let mut namer = Namer::new(b"another");
        let v4: HashSet<_> = (0..=255).map(|last| namer.address(Ipv4Addr::new(198, 51, 100, last).into())).collect();
        assert_eq!(v4.len(), 256);
        let v6 = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 7, last).into();
        let v6: HashSet<_> = (0..5000).map(|last| namer.address(v6(last))).collect();
        assert_eq!(v6.len(), 5000);
    }

    #[test]
    fn another_key_gives_other_names_and_the_same_key_the_same() {
        let of = |key: &[u8]| {
            let mut word = b"biloxi".to_vec();
            Namer::new(key).rename(&mut word);
            word
        };
        assert_eq!(of(b"a"), of(b"a"));
        assert_ne!(of(b"a"), of(b"b"));
    }
}
