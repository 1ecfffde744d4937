//! Names of addresses, as people and name servers give them.

use super::Endpoint;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What addresses are called; a name for an address with its port goes before one for the host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    hosts: BTreeMap<IpAddr, String>,
    endpoints: BTreeMap<Endpoint, String>,
}

/// A line that cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadName {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Names {
    /// Reads the format of hosts(5): address, name, aliases, `#` and a comment. The first name of an address
    /// stands. An address may have a port: `192.0.2.1:5060`, `[2001:db8::1]:5060`.
    ///
    /// # Errors
    /// The first line that has no address, or no name behind it.
    pub fn parse(text: &[u8]) -> Result<Self, BadName> {
        let mut names = Self::default();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let bad = |why| BadName { line: at + 1, why };
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let mut words = line.split_whitespace();
            let Some(address) = words.next() else {
                continue;
            };
            let name = words.next().ok_or(bad("no name behind the address"))?;
            names.give(address, name).map_err(bad)?;
        }
        Ok(names)
    }

    /// Adds the name of an address, or of one with its port, as [`Names::parse`] reads them, unless it has one.
    ///
    /// # Errors
    /// When it is no address.
    pub fn give(&mut self, address: &str, name: &str) -> Result<(), &'static str> {
        match (address.parse::<IpAddr>(), address.parse::<SocketAddr>()) {
            (Ok(ip), _) => self.add(ip, name),
            (_, Ok(socket)) => {
                let endpoint = Endpoint { ip: socket.ip(), port: socket.port() };
                self.endpoints.entry(endpoint).or_insert_with(|| name.to_owned());
            }
            _ => return Err("does not begin with an IP address, or one with a port"),
        }
        Ok(())
    }

    /// Adds the name of a host, unless it has one.
    pub fn add(&mut self, ip: IpAddr, name: &str) {
        self.hosts.entry(ip).or_insert_with(|| name.to_owned());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.endpoints.is_empty()
    }

    /// What an address is called.
    pub fn label(&self, endpoint: Endpoint) -> Option<&str> {
        self.endpoints.get(&endpoint).or_else(|| self.hosts.get(&endpoint.ip)).map(String::as_str)
    }

    /// An address for people: "proxy (192.0.2.1:5060)", or only the address when it has no name.
    pub fn tell(&self, endpoint: Endpoint) -> String {
        self.label(endpoint).map_or_else(|| endpoint.to_string(), |name| format!("{name} ({endpoint})"))
    }

    /// `text` with the name before each address that is a word of its own.
    pub fn annotate<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        let mut told = 0;
        for (at, word) in words(text) {
            let name = match (word.parse::<IpAddr>(), word.parse::<SocketAddr>()) {
                (Ok(ip), _) => self.hosts.get(&ip).map(String::as_str),
                (_, Ok(socket)) => self.label(Endpoint { ip: socket.ip(), port: socket.port() }),
                _ => None,
            };
            if let Some(name) = name {
                out.extend([&text[told..at], name, " (", word, ")"]);
                told = at + word.len();
            }
        }
        if told == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[told..]);
        Cow::Owned(out)
    }
}

/// The words of a text with their places, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    text.split_whitespace().map(move |word| {
        let word = word.trim_start_matches(|c| !is_part(c)).trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        (word.as_ptr() as usize - text.as_ptr() as usize, word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let text = b"# the lab\n192.0.2.1 proxy.example.com proxy # edge\n192.0.2.1:5070 registrar\n\n2001:db8::1\tphone\n192.0.2.1 other\n";
        Names::parse(text).unwrap()
    }

    fn endpoint(text: &str) -> Endpoint {
        let socket: SocketAddr = text.parse().unwrap();
        Endpoint { ip: socket.ip(), port: socket.port() }
    }

    #[test]
    fn the_name_of_a_port_goes_before_that_of_the_host() {
        let names = names();
        assert_eq!(names.label(endpoint("192.0.2.1:5060")), Some("proxy.example.com"));
        assert_eq!(names.label(endpoint("192.0.2.1:5070")), Some("registrar"));
        assert_eq!(names.label(endpoint("[2001:db8::1]:5060")), Some("phone"));
        assert_eq!(names.label(endpoint("192.0.2.2:5060")), None);
        assert_eq!(names.tell(endpoint("192.0.2.1:5070")), "registrar (192.0.2.1:5070)");
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(Names::parse(b"192.0.2.1 a\nproxy 192.0.2.1\n").map_err(|bad| bad.line), Err(2));
        assert_eq!(Names::parse(b"\n\n192.0.2.1 # nothing\n").map_err(|bad| bad.line), Err(3));
    }

    #[test]
    fn addresses_in_a_text_get_their_names() {
        let names = names();
        for (text, told) in [
            (
                "192.0.2.1:5060 sent 2 to 192.0.2.2:5060.",
                "proxy.example.com (192.0.2.1:5060) sent 2 to 192.0.2.2:5060.",
            ),
            ("to [2001:db8::1]:5060, twice", "to phone ([2001:db8::1]:5060), twice"),
            ("(from 192.0.2.1)", "(from proxy.example.com (192.0.2.1))"),
            ("sip:bob@192.0.2.1 and 1.2", "sip:bob@192.0.2.1 and 1.2"),
        ] {
            assert_eq!(names.annotate(text), told);
        }
    }
}
