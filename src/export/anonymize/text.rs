//! Renames values of headers in place, character for character: what is not known to belong to the protocol
//! is taken for a name.

use super::key::Namer;
use super::vocabulary::{self, Vocabulary};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What every branch since RFC 3261 begins with (8.1.1.7).
const COOKIE: &[u8] = b"z9hG4bK";

/// Renames `text`.
pub(super) fn rename(namer: &mut Namer, text: &mut [u8], vocabulary: Vocabulary) {
    let mut scan = Scan { namer, text, at: 0, vocabulary, quoted: false, user_end: 0, number_end: 0 };
    while scan.step() {}
}

/// Puts something meaningless in the place of `bytes`; lines stay.
pub(in crate::export) fn fill(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| !matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b'x');
}

struct Scan<'a> {
    namer: &'a mut Namer,
    text: &'a mut [u8],
    at: usize,
    vocabulary: Vocabulary,
    /// Within a quoted string.
    quoted: bool,
    /// Before this offset is a user part.
    user_end: usize,
    /// A number that begins here is no port.
    number_end: usize,
}

impl Scan<'_> {
    /// Takes one word or separator; whether there was one.
    fn step(&mut self) -> bool {
        let Some(byte) = self.text.get(self.at).copied() else {
            return false;
        };
        if let Some(end) = self.address() {
            self.at = end;
        } else if is_word(byte) {
            self.word();
        } else {
            match byte {
                b'"' => self.quoted = !self.quoted,
                // An escape is no word: its digits stay.
                b'%' if self
                    .text
                    .get(self.at + 1..self.at + 3)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                {
                    self.at += 2;
                }
                b'+' if self.parameter() => return true,
                _ => {}
            }
            self.at += 1;
        }
        true
    }

    fn before(&self) -> Option<u8> {
        self.text.get(self.at.checked_sub(1)?).copied()
    }

    fn end_of(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        self.text[from..].iter().position(|byte| !is(*byte)).map_or(self.text.len(), |len| from + len)
    }

    fn word(&mut self) {
        let end = self.end_of(self.at, is_word);
        let in_user = self.at < self.user_end;
        if !in_user && (self.scheme(end) || self.version(end) || self.parameter()) {
            return;
        }
        let word = &self.text[self.at..end];
        // Phrases and products have no users.
        let vocabulary = if in_user { Vocabulary::Words } else { self.vocabulary };
        if !vocabulary.has(word) && (in_user || !self.is_port(end)) {
            let cookie = if word.starts_with(COOKIE) { COOKIE.len() } else { 0 };
            self.namer.rename(&mut self.text[self.at + cookie..end]);
        }
        self.at = end;
    }

    /// "sip:" and what is before the host behind it.
    fn scheme(&mut self, end: usize) -> bool {
        if self.text.get(end) != Some(&b':') || !vocabulary::is_scheme(&self.text[self.at..end]) {
            return false;
        }
        let ends = |byte: &u8| matches!(byte, b'@' | b'<' | b'>' | b'"' | b',' | b' ' | b'\t' | b'\r' | b'\n');
        let rest = &self.text[end..];
        if let Some(stop) = rest.iter().position(ends).filter(|stop| rest[*stop] == b'@') {
            self.user_end = end + stop;
        }
        self.at = end + 1;
        self.number_end = self.at;
        true
    }

    /// "SIP/2.0" and the transport behind it, if any.
    fn version(&mut self, end: usize) -> bool {
        let space = |byte| matches!(byte, b' ' | b'\t');
        let slash = self.end_of(end, space);
        if !self.text[self.at..end].eq_ignore_ascii_case(b"SIP") || self.text.get(slash) != Some(&b'/') {
            return false;
        }
        let version = self.end_of(slash + 1, space);
        let mut stop = self.end_of(version, |byte| byte.is_ascii_digit() || byte == b'.');
        let next = self.end_of(stop, space);
        if self.text.get(next) == Some(&b'/') {
            let transport = self.end_of(next + 1, space);
            stop = self.end_of(transport, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        }
        self.at = stop;
        true
    }

    /// The known name of a parameter, with its value where that is known as well.
    fn parameter(&mut self) -> bool {
        let begins = self.before().is_none_or(|byte| matches!(byte, b';' | b',' | b'?' | b'&' | b' ' | b'\t' | b'\n'));
        let escaped = self.at >= 3 && self.text[self.at - 3] == b'%';
        if !begins && !escaped {
            return false;
        }
        let name_end =
            self.end_of(self.at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+' | b'_'));
        let name = &self.text[self.at..name_end];
        let next = self.end_of(name_end, |byte| matches!(byte, b' ' | b'\t'));
        let has_value = self.text.get(next) == Some(&b'=');
        let is_flag = matches!(self.text.get(next), None | Some(b';' | b',' | b'>' | b'?' | b'\r' | b'\n'))
            && (escaped || self.before().is_some_and(|byte| matches!(byte, b';' | b' ')));
        let is_escaped = escaped && matches!(self.text.get(next), None | Some(b'%' | b'>' | b'&'));
        if !(has_value || is_flag || is_escaped) || !vocabulary::is_parameter(name) {
            return false;
        }
        // Its lines stand in the body.
        let is_boundary = name.eq_ignore_ascii_case(b"boundary");
        let (keeps, secret) = (vocabulary::keeps_value(name), vocabulary::is_secret(name));
        self.at = name_end;
        if has_value {
            self.at = self.end_of(next + 1, |byte| matches!(byte, b' ' | b'\t'));
            self.number_end = self.at;
            if keeps || secret {
                self.value(secret, is_boundary);
            }
        }
        true
    }

    /// Passes a value of the protocol, or one that is concealed.
    fn value(&mut self, secret: bool, whole: bool) {
        let quoted = self.text.get(self.at) == Some(&b'"');
        let start = self.at + usize::from(quoted);
        let end = self.end_of(start, |byte| {
            if quoted {
                byte != b'"'
            } else {
                !matches!(byte, b';' | b',' | b'>' | b'?' | b'&' | b' ' | b'\t' | b'\r' | b'\n')
            }
        });
        if secret {
            self.namer.conceal(&mut self.text[start..end]);
        } else if !whole {
            let words = self.text[start..end].split_mut(|byte| !is_word(*byte));
            words.filter(|word| !vocabulary::is_value(word)).for_each(|word| self.namer.rename(word));
        }
        self.at = (end + usize::from(quoted)).min(self.text.len());
    }

    /// Digits behind the colon of a host.
    fn is_port(&self, end: usize) -> bool {
        let word = &self.text[self.at..end];
        self.before() == Some(b':')
            && self.number_end != self.at
            && (1..=5).contains(&word.len())
            && word.iter().all(u8::is_ascii_digit)
            && !self.quoted_display()
    }

    /// In quotes that are no URI, digits behind a colon are no port.
    fn quoted_display(&self) -> bool {
        self.quoted && self.number_end == 0
    }

    /// Renames the IP address that begins here; where it ends.
    fn address(&mut self) -> Option<usize> {
        let byte = *self.text.get(self.at)?;
        if self.before().is_some_and(|byte| is_word(byte) || byte == b'.') && !self.is_behind_escape() {
            return None;
        }
        if byte.is_ascii_digit()
            && let Some(end) = self.v4()
        {
            return Some(end);
        }
        if byte.is_ascii_hexdigit() || byte == b':' { self.v6() } else { None }
    }

    fn is_behind_escape(&self) -> bool {
        self.at >= 3 && self.text[self.at - 3] == b'%'
    }

    fn v4(&mut self) -> Option<usize> {
        let end = self.end_of(self.at, |byte| byte.is_ascii_digit() || byte == b'.');
        // A full stop may end a sentence.
        let end = if self.text[..end].ends_with(b".") { end - 1 } else { end };
        let is_end = self.text.get(end).is_none_or(|byte| !is_word(*byte));
        let address: Ipv4Addr = std::str::from_utf8(self.text.get(self.at..end)?).ok()?.parse().ok()?;
        let renamed = self.namer.address(IpAddr::V4(address)).to_string();
        let place = &mut self.text[self.at..end];
        if !is_end || place.len() != renamed.len() {
            return None;
        }
        place.copy_from_slice(renamed.as_bytes());
        Some(end)
    }

    /// Groups keep their number of digits, so that any way of writing the address does.
    fn v6(&mut self) -> Option<usize> {
        /// The longest way to write one: RFC 4291 2.2.
        const LONGEST: usize = 45;
        let run = self.end_of(self.at, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        if run - self.at > LONGEST + 6 || self.text.get(run).is_some_and(|byte| is_word(*byte)) {
            return None;
        }
        let text = std::str::from_utf8(&self.text[self.at..run]).ok()?;
        if text.bytes().filter(|byte| *byte == b':').count() < 2 {
            return None;
        }
        // Without brackets a port may follow.
        let ends = std::iter::once(text.len()).chain(text.rfind(':'));
        let (address, len) = ends.into_iter().find_map(|end| Some((text[..end].parse::<Ipv6Addr>().ok()?, end)))?;
        let IpAddr::V6(renamed) = self.namer.address(IpAddr::V6(address)) else {
            return None;
        };
        let end = self.at + len;
        write_groups(&mut self.text[self.at..end], address, renamed);
        Some(end)
    }
}

/// Writes the groups of `new` where `text` has those of `old`, each with as many digits.
fn write_groups(text: &mut [u8], old: Ipv6Addr, new: Ipv6Addr) {
    let groups = text.split(|byte| *byte == b':').filter(|group| !group.is_empty()).count();
    let dotted = text.contains(&b'.');
    let told = groups + usize::from(dotted);
    // Groups before the gap count from the start, those behind it from the end.
    let gap = text.windows(2).position(|pair| pair == b"::");
    let mut start = 0;
    let mut number = 0;
    for part in text.split_mut(|byte| *byte == b':') {
        let end = start + part.len();
        if !part.is_empty() {
            let at = if gap.is_some_and(|gap| start > gap) { number + 8_usize.saturating_sub(told) } else { number };
            if part.contains(&b'.') {
                let [.., high, low] = new.segments();
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                let written = Ipv4Addr::new(a, b, c, d).to_string();
                if written.len() == part.len() {
                    part.copy_from_slice(written.as_bytes());
                }
            } else if let (Some(group), Some(was)) = (new.segments().get(at), old.segments().get(at)) {
                let upper = part.iter().any(u8::is_ascii_uppercase);
                let mut written = format!("{group:0width$x}", width = part.len());
                if upper {
                    written.make_ascii_uppercase();
                }
                if written.len() == part.len() && group != was {
                    part.copy_from_slice(written.as_bytes());
                }
            }
            number += 1;
        }
        start = end + 1;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        rename(&mut Namer::new(b"key"), &mut bytes, Vocabulary::Words);
        String::from_utf8(bytes).unwrap()
    }

    /// The text with every run of letters and digits that changed as `~`.
    fn kept(text: &str) -> String {
        let new = renamed(text);
        assert_eq!(new.len(), text.len());
        let mut told = String::new();
        let (old, new): (Vec<char>, Vec<char>) = (text.chars().collect(), new.chars().collect());
        let mut at = 0;
        while at < old.len() {
            let word = |c: &char| c.is_ascii_alphanumeric();
            let end = old[at..].iter().position(|c| !word(c)).map_or(old.len(), |len| at + len);
            if end == at {
                told.push(old[at]);
                at += 1;
            } else {
                told.push_str(&if old[at..end] == new[at..end] {
                    old[at..end].iter().collect()
                } else {
                    "~".to_owned()
                });
                at = end;
            }
        }
        told
    }

    #[test]
    fn what_belongs_to_the_protocol_stays() {
        for (text, expected) in [
            (
                "\"Alice\" <sip:alice@atlanta.example.com:5070;transport=tcp;lr>;tag=a1b2c3;expires=60",
                "\"~\" <sip:~@~.~.com:5070;transport=tcp;lr>;tag=~;expires=60",
            ),
            (
                "SIP/2.0/UDP pc33.example.org:5060;branch=z9hG4bKnashds8;rport=5061;received=192.0.2.1",
                "SIP/2.0/UDP ~.~.org:5060;branch=~;rport=5061;received=~.0.~.~",
            ),
            (
                "Digest username=\"bob\", realm=\"biloxi\", nonce=\"Aw+/s5==\", qop=auth, nc=00000001, algorithm=MD5, response=\"0123456789abcdef0123456789abcdef\"",
                "Digest username=\"~\", realm=\"~\", nonce=\"~+/~==\", qop=auth, nc=00000001, algorithm=MD5, response=\"~\"",
            ),
            ("<tel:+4930123456;phone-context=example.com>", "<tel:+~;phone-context=~.com>"),
            ("sip:alice:1234@host7;user=phone", "sip:~:~@~;user=phone"),
            (
                "<sip:host7;user=alice;line=9c7d2dbd>;transport=TLS;expires=3600",
                "<sip:~;user=~;line=~>;transport=TLS;expires=3600",
            ),
            (
                "<sip:bob@host7?Replaces=12ab%4010.20.1.11%3Bto-tag%3Dxyz7%3Bfrom-tag%3Dpqr7>",
                "<sip:~@~?Replaces=~%4010.~.~.~%3Bto-tag%3Dxyz7%3Bfrom-tag%3Dpqr7>",
            ),
        ] {
            let expected = expected.replace("~.0.~.~", &kept("192.0.2.1"));
            let told = kept(text);
            if text.contains("Replaces") {
                assert!(
                    !renamed(text).contains("10.20.1.11") && !renamed(text).contains("xyz7") && told.contains("to-tag"),
                    "{told}"
                );
            } else {
                assert_eq!(told, expected, "{}", renamed(text));
            }
        }
    }

    #[test]
    fn the_same_name_is_the_same_everywhere() {
        let text = renamed("sip:bob@10.20.1.11 username=\"bob\" BOB bob.10.20.1.11 <sip:bob@10.20.1.11:5060>");
        let bob = &text[4..7];
        assert_ne!(bob, "bob");
        assert_eq!(text.to_ascii_lowercase().matches(bob).count(), 5, "{text}");
        assert!(!text.contains("10.20.1.11"), "{text}");
    }

    #[test]
    fn addresses_of_ipv6_are_renamed_however_they_are_written() {
        let canonical = renamed("[fd20:1::b]:5060");
        assert!(canonical.starts_with("[fd") && canonical.ends_with("]:5060") && canonical.len() == 16, "{canonical}");
        let new: Ipv6Addr = canonical[1..canonical.len() - 6].parse().unwrap();
        for written in ["fd20:1::b", "FD20:1::B", "fd20:0001:0:0:0:0:0:b", "fd20:1::000b"] {
            let told = renamed(written);
            assert_eq!(told.parse::<Ipv6Addr>().unwrap(), new, "{written} {told}");
        }
        assert_eq!(renamed("1-6972@fd20:1::b")[7..], canonical[1..canonical.len() - 6]);
    }

    #[test]
    fn any_bytes_keep_their_length_and_their_separators() {
        for text in [
            "",
            "%",
            "%4",
            "\"",
            "sip:",
            "sip:@",
            "=;=;",
            "::",
            ":::",
            "1.2.3",
            "1.2.3.4.5",
            "z9hG4bK",
            "SIP/",
            ";lr",
            "tag=",
        ] {
            assert_eq!(renamed(text).len(), text.len());
        }
    }
}
