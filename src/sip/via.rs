//! Via values (RFC 3261 20.42).

use super::grammar::{Params, Parsed, around, decimal, is_lws, is_token, split_top, sws, token, trim};
use super::hot::{number, until};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_till1};
use nom::character::complete::char;
use nom::combinator::{opt, recognize};
use nom::sequence::{delimited, preceded};

/// One Via value; empty slices are parts that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, ... as written.
    pub transport: &'a [u8],
    /// Host of the sent-by; an IPv6 address without its brackets.
    pub host: &'a [u8],
    /// Port of the sent-by.
    pub port: Option<u16>,
    /// The sent-by as written: `host[:port]`.
    pub sent_by: &'a [u8],
    /// `branch`, case kept.
    pub branch: &'a [u8],
    /// `received`.
    pub received: Option<&'a [u8]>,
    /// `rport` (RFC 3581): `Some(None)` when it stands without a usable value.
    pub rport: Option<Option<u16>>,
    /// `ttl`.
    pub ttl: Option<&'a [u8]>,
    /// `maddr`.
    pub maddr: Option<&'a [u8]>,
    /// All parameters as written, behind the first semicolon.
    pub params: &'a [u8],
}

impl<'a> Via<'a> {
    /// Reads one value of a Via header; `None` when protocol or sent-by cannot be told.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        Self::parse_usual(value).or_else(|| Self::parse_any(value))
    }

    /// Reads a value as nearly every sender writes it: no white space but before the host, no list, quotes or brackets.
    fn parse_usual(value: &'a [u8]) -> Option<Self> {
        let rest = value.strip_prefix(b"SIP/2.0/")?;
        let space = rest.iter().position(|byte| !is_token(*byte)).filter(|len| *len > 0)?;
        let sent = rest[space..].strip_prefix(b" ")?;
        let (via, end) = Self::sent(&rest[..space], sent)?;
        (end == sent.len()).then_some(via)
    }

    /// Reads a value as [`Via::parse_usual`] does, where it is known that the sent-by begins at `at` in the message `raw`.
    pub(super) fn in_line(raw: &'a [u8], at: usize) -> Option<Self> {
        let (before, sent) = raw.split_at_checked(at)?;
        let before = before.strip_suffix(b" ")?;
        let transport = before.len() - before.iter().rev().position(|byte| !is_token(*byte)).filter(|len| *len > 0)?;
        let (before, transport) = before.split_at(transport);
        let (via, end) = Self::sent(transport, sent).filter(|_| before.ends_with(b"SIP/2.0/"))?;
        matches!(sent.get(end..)?, [b'\r', b'\n', next, ..] if !is_lws(*next) || *next == b'\r').then_some(via)
    }

    /// Reads sent-by and parameters, up to where something stands that is unusual, or no part of them.
    fn sent(transport: &'a [u8], sent: &'a [u8]) -> Option<(Self, usize)> {
        let host_end = until::<b'!', _>(sent, 0, [b':', b';', b',', b'[', b'<', b'"']);
        let host = sent.get(..host_end).filter(|host| !host.is_empty())?;
        let (port, sent_by_end) = match sent.get(host_end) {
            Some(b':') => {
                let (port, end) = number(sent, host_end + 1)?;
                (Some(u16::try_from(port).ok()?), end)
            }
            _ => (None, host_end),
        };
        let mut via = Self { transport, host, port, sent_by: &sent[..sent_by_end], ..Self::default() };
        let mut at = sent_by_end;
        while sent.get(at) == Some(&b';') {
            let end = until::<b'!', _>(sent, at + 1, [b';', b',', b'"', b'<']);
            let param = sent.get(at + 1..end)?;
            match param.iter().position(|byte| *byte == b'=') {
                Some(equals) => via.note(&param[..equals], Some(&param[equals + 1..])),
                None => via.note(param, None),
            }
            at = end;
        }
        via.params = sent.get(sent_by_end + 1..at).unwrap_or_default();
        Some((via, at))
    }

    /// Reads any value, by the grammar.
    fn parse_any(value: &'a [u8]) -> Option<Self> {
        let (rest, (transport, _, (sent_by, host, port))) = (sent_protocol, sws, sent_by).parse(trim(value)).ok()?;
        let params = match split_top(rest, b';') {
            (before, Some(params)) if trim(before).is_empty() => params,
            (before, None) if trim(before).is_empty() => b"",
            _ => return None,
        };
        let mut via = Self { transport, host, port, sent_by, params, ..Self::default() };
        Params::new(params, b';').for_each(|(name, value)| via.note(name, value));
        Some(via)
    }

    fn note(&mut self, name: &[u8], value: Option<&'a [u8]>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("branch") && self.branch.is_empty() {
            self.branch = value.unwrap_or_default();
        } else if is("received") && self.received.is_none() {
            self.received = value;
        } else if is("rport") && self.rport.is_none() {
            self.rport = Some(value.and_then(port_number));
        } else if is("ttl") {
            self.ttl = self.ttl.or(value);
        } else if is("maddr") {
            self.maddr = self.maddr.or(value);
        }
    }
}

/// `SIP / 2.0 / UDP`, of which the last part is wanted.
fn sent_protocol(input: &[u8]) -> Parsed<'_> {
    let spaced = recognize((token, around('/'), token, around('/')));
    preceded(alt((tag("SIP/2.0/"), spaced)), preceded(sws, token)).parse(input)
}

/// The sent-by as written, its host and its port.
type SentBy<'a> = (&'a [u8], &'a [u8], Option<u16>);

fn sent_by(input: &[u8]) -> Parsed<'_, SentBy<'_>> {
    let end = |byte: u8| is_lws(byte) || matches!(byte, b':' | b';' | b',');
    let bracketed = delimited(char('['), take_till(|byte| byte == b']'), char(']'));
    let port = preceded(around(':'), take_till1(|byte: u8| is_lws(byte) || byte == b';'));
    let (rest, (host, port)) = (alt((bracketed, take_till1(end))), opt(port)).parse(input)?;
    let port = match port.map(port_number) {
        Some(None) => return Err(nom::Err::Error(())),
        Some(port) => port,
        None => None,
    };
    Ok((rest, (&input[..input.len() - rest.len()], host, port)))
}

fn port_number(digits: &[u8]) -> Option<u16> {
    decimal(digits).and_then(|port| u16::try_from(port).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIECES: [&str; 26] = [
        "UDP ",
        "UDP",
        " ",
        "h",
        "192.0.2.1",
        "[::1]",
        ":",
        "5060",
        ":99999",
        ";",
        ";;",
        "branch=z9",
        ";branch=",
        ";rport",
        ";rport=",
        ";RPort=17",
        ";received=1",
        ";maddr=\"a;b\"",
        ";ttl=1",
        ";=x",
        ",",
        "<",
        "\"",
        "=",
        "\r\n ",
        "/",
    ];

    #[test]
    fn an_ordinary_via_is_read() {
        let via = Via::parse(b"SIP/2.0/UDP 192.0.2.1:5061;rport;branch=z9hG4bKabC;received=192.0.2.9").unwrap();
        assert_eq!((via.transport, via.host, via.port), (b"UDP".as_slice(), b"192.0.2.1".as_slice(), Some(5061)));
        assert_eq!(
            (via.branch, via.rport, via.received),
            (b"z9hG4bKabC".as_slice(), Some(None), Some(b"192.0.2.9".as_slice()))
        );
        assert_eq!(via.sent_by, b"192.0.2.1:5061");
    }

    #[test]
    fn white_space_may_stand_anywhere_rfc4475_3_1_1_1() {
        let via = Via::parse(b"SIP  / 2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw").unwrap();
        assert_eq!(
            (via.transport, via.host, via.branch),
            (b"UDP".as_slice(), b"192.0.2.2".as_slice(), b"390skdjuw".as_slice())
        );
        let via =
            Via::parse(b"SIP/2.0/TCP spindle.example.com : 5060 ; branch  =   z9hG4bK9ikj8 ; rport = 17").unwrap();
        assert_eq!((via.host, via.port, via.rport), (b"spindle.example.com".as_slice(), Some(5060), Some(Some(17))));
        assert_eq!(via.branch, b"z9hG4bK9ikj8");
    }

    #[test]
    fn ipv6_hosts_lose_their_brackets() {
        let via = Via::parse(b"SIP/2.0/UDP [2001:db8::9:1]:6050;received=2001:db8::9:255;branch=z9").unwrap();
        assert_eq!((via.host, via.port), (b"2001:db8::9:1".as_slice(), Some(6050)));
        assert_eq!(via.sent_by, b"[2001:db8::9:1]:6050");
        assert_eq!(via.received, Some(b"2001:db8::9:255".as_slice()));
    }

    proptest! {
        #[test]
        fn what_is_usual_is_read_as_the_grammar_reads_it(
            pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..12),
        ) {
            let value = format!("SIP/2.0/{}", pieces.concat());
            prop_assert!(Via::parse_usual(value.as_bytes()).is_none_or(|via| Some(via) == Via::parse_any(value.as_bytes())));
        }
    }

    #[test]
    fn usual_values_need_no_grammar() {
        let usual = "SIP/2.0/TLS proxy.example.com:5061;branch=z9hG4bK.1;rport=5061;received=192.0.2.1;maddr=a;ttl=1;x";
        assert!(Via::parse_usual(usual.as_bytes()).is_some());
        assert_eq!(Via::parse(usual.as_bytes()), Via::parse_any(usual.as_bytes()));
    }

    #[test]
    fn what_is_no_via_is_none() {
        for bad in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=1",
            "SIP/2.0/UDP x:99999",
            "SIP/2.0/UDP x y",
            "SIP/2.0/UDP [::1",
        ] {
            assert_eq!(Via::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
