//! What a message says, without what differs between any two calls: identifiers, nonces, times, and the
//! addresses of the participants, for which the participant stands.

use crate::analysis::CallView;
use crate::base::Endpoint;
use crate::sip::{Challenge, Credentials, HeaderName, Message};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// One thing that a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    /// What it is about: "Contact", "Authorization uri", "SDP m=audio".
    pub(super) part: Cow<'static, str>,
    /// What it says, for people.
    pub(super) value: String,
    /// The same with participants instead of their addresses.
    pub(super) key: String,
}

/// Part of a response: what it answers.
pub(super) const STATUS: &str = "status";
/// New in every call, message or second; their presence says nothing either.
const VOLATILE: [HeaderName; 10] = [
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::ContentLength,
    HeaderName::Date,
    HeaderName::RSeq,
    HeaderName::RAck,
    HeaderName::SessionId,
    HeaderName::Via,
    HeaderName::Authorization,
    HeaderName::ProxyAuthorization,
];
/// Parameters of addresses that are new in every call.
const VOLATILE_PARAMS: [&str; 6] = ["tag", "branch", "received", "rport", "+sip.instance", "alias"];
/// Lines of an SDP that are new in every offer (RFC 8866 5.2, 5.3, 5.9), and the version.
const VOLATILE_LINES: [u8; 4] = *b"vost";
/// Attributes that name addresses, keys and identifiers of one session (RFC 8839, 8122, 4568, 5576).
const VOLATILE_ATTRIBUTES: [&str; 9] =
    ["candidate", "crypto", "fingerprint", "ice-pwd", "ice-ufrag", "msid", "rtcp", "ssrc", "ssrc-group"];
/// Bytes of a body that is no SDP which are compared.
const BODY: usize = 4096;

/// Which participant an address belongs to.
pub(super) struct Names {
    endpoints: BTreeMap<Endpoint, usize>,
    hosts: BTreeMap<IpAddr, usize>,
}

impl Names {
    /// The addresses of the participants of a call.
    pub(super) fn of(view: CallView<'_>) -> Self {
        let mut names = Self { endpoints: BTreeMap::new(), hosts: BTreeMap::new() };
        for (at, who) in view.call.participants.iter().enumerate() {
            for address in &who.addresses {
                names.endpoints.entry(*address).or_insert(at);
                names.hosts.entry(address.ip).or_insert(at);
            }
        }
        names
    }

    /// All that `message` says and that could be the same in another call.
    pub(super) fn fields(&self, message: &Message) -> Vec<Field> {
        let mut fields = Vec::new();
        match message.status() {
            Some(status) => {
                let words = format!("{status} {}", String::from_utf8_lossy(message.reason()));
                fields.push(Field { part: STATUS.into(), value: words.trim_end().to_owned(), key: status.to_string() });
            }
            None => fields.push(self.field("Request-URI", text(message.request_uri()))),
        }
        for via in message.vias() {
            fields.push(self.field("Via", text(via.transport)));
        }
        message.credentials().for_each(|credentials| self.credentials(&credentials, &mut fields));
        message.challenges().for_each(|challenge| self.challenge(&challenge, &mut fields));
        for header in message.headers() {
            let is_challenge = matches!(header.name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
            if !VOLATILE.contains(&header.name) && !is_challenge {
                let name: Cow<'static, str> = match header.name.name() {
                    "" => capitalized(&text(header.raw_name)).into(),
                    name => name.into(),
                };
                fields.push(self.field(name, without_volatile(&text(header.value))));
            }
        }
        self.body(message, &mut fields);
        fields
    }

    fn field(&self, part: impl Into<Cow<'static, str>>, value: String) -> Field {
        Field { part: part.into(), key: self.generalize(&value), value }
    }

    fn credentials(&self, credentials: &Credentials<'_>, fields: &mut Vec<Field>) {
        let header = if credentials.proxy { "Proxy-Authorization" } else { "Authorization" };
        let parameters = [
            ("username", credentials.username),
            ("realm", credentials.realm),
            ("uri", credentials.uri),
            ("algorithm", credentials.algorithm),
            ("qop", credentials.qop),
        ];
        self.parameters(header, &parameters, fields);
    }

    fn challenge(&self, challenge: &Challenge<'_>, fields: &mut Vec<Field>) {
        let header = if challenge.proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        let stale: &[u8] = if challenge.stale { b"true" } else { b"" };
        let parameters =
            [("realm", challenge.realm), ("algorithm", challenge.algorithm), ("qop", challenge.qop), ("stale", stale)];
        self.parameters(header, &parameters, fields);
    }

    fn parameters(&self, header: &str, parameters: &[(&str, &[u8])], fields: &mut Vec<Field>) {
        let given = parameters.iter().filter(|(_, value)| !value.is_empty());
        fields.extend(given.map(|(name, value)| self.field(format!("{header} {name}"), text(value))));
    }

    fn body(&self, message: &Message, fields: &mut Vec<Field>) {
        let body = message.body();
        if message.sdp().is_none() {
            if !body.is_empty() {
                fields.push(self.field("body", text(&body[..body.len().min(BODY)])));
            }
            return;
        }
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| line.get(1) == Some(&b'=') && !VOLATILE_LINES.contains(&line[0])) {
            let value = text(&line[2..]);
            match line[0] {
                b'm' => fields.push(self.media(&value)),
                b'a' => {
                    let (name, value) = value.split_once(':').unwrap_or((&value, ""));
                    if !VOLATILE_ATTRIBUTES.contains(&name) {
                        fields.push(self.field(format!("SDP a={}", shown(name)), value.to_owned()));
                    }
                }
                letter => fields.push(self.field(format!("SDP {}=", char::from(letter)), value)),
            }
        }
    }

    /// `m=audio 49170 RTP/AVP 0 8` without its port, unless that is 0: refused (RFC 3264 6).
    fn media(&self, value: &str) -> Field {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default();
        let refused = words.next() == Some("0");
        let mut rest: Vec<&str> = words.collect();
        if refused {
            rest.insert(0, "refused:");
        }
        self.field(format!("SDP m={}", shown(kind)), rest.join(" "))
    }

    /// `text` with each address of a participant replaced by the participant's number.
    fn generalize(&self, text: &str) -> String {
        let is_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_address) {
            let end = rest[start..].find(|c| !is_address(c)).map_or(rest.len(), |len| start + len);
            let run = &rest[start..end];
            let bare = run.trim_start_matches(':');
            out.push_str(&rest[..end - bare.len()]);
            match self.participant(bare) {
                Some(participant) => out.push_str(&participant),
                None => out.push_str(bare),
            }
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }

    fn participant(&self, address: &str) -> Option<String> {
        if let Ok(address) = address.parse::<SocketAddr>() {
            let endpoint = Endpoint { ip: address.ip(), port: address.port() };
            let exact = self.endpoints.get(&endpoint).map(|at| format!("<{at}>"));
            return exact.or_else(|| self.hosts.get(&endpoint.ip).map(|at| format!("<host of {at}>")));
        }
        let ip: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        self.hosts.get(&ip).map(|at| format!("<host of {at}>"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name that a message made up, short enough for a heading.
fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Header names are compared without regard to case (RFC 3261 7.3.1): "x-FOO" is "X-Foo".
fn capitalized(name: &str) -> String {
    let mut start = true;
    let upper = |c: char| {
        let c = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start = c == '-';
        c
    };
    shown(name).chars().map(upper).collect()
}

/// A header value without the parameters that are new in every call. Quoted strings are left alone.
fn without_volatile(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut quoted = false;
    let mut start = 0;
    let mut keep = |part: &str| {
        let name = part.trim_start_matches(';').split(['=', '>', ',', ' ']).next().unwrap_or_default();
        let volatile =
            part.starts_with(';') && VOLATILE_PARAMS.iter().any(|known| name.trim().eq_ignore_ascii_case(known));
        let rest = if volatile { part.find(['>', ',']).map_or("", |at| &part[at..]) } else { part };
        out.push_str(rest);
    };
    for (at, c) in value.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                keep(&value[start..at]);
                start = at;
            }
            _ => {}
        }
    }
    keep(&value[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_branches_are_set_aside_and_the_rest_is_kept() {
        assert_eq!(
            without_volatile("\"a;tag=b\" <sip:bob@x;transport=tcp>;tag=77;q=1"),
            "\"a;tag=b\" <sip:bob@x;transport=tcp>;q=1"
        );
        assert_eq!(without_volatile("<sip:bob@x;rport>, <sip:c@x>"), "<sip:bob@x>, <sip:c@x>");
    }

    #[test]
    fn addresses_of_participants_become_the_participant() {
        let at = |text: &str| {
            let address: SocketAddr = text.parse().unwrap();
            Endpoint { ip: address.ip(), port: address.port() }
        };
        let (phone, proxy) = (at("192.0.2.1:5060"), at("[2001:db8::1]:5060"));
        let names = Names { endpoints: [(phone, 0), (proxy, 1)].into(), hosts: [(phone.ip, 0), (proxy.ip, 1)].into() };
        assert_eq!(names.generalize("<sip:bob@192.0.2.1:5060;lr>"), "<sip:bob@<0>;lr>");
        assert_eq!(names.generalize("sip:192.0.2.1"), "sip:<host of 0>");
        assert_eq!(names.generalize("sip:face@192.0.2.11:5060"), "sip:face@192.0.2.11:5060");
        assert_eq!(names.generalize("sip:[2001:db8::1]:5060"), "sip:<1>");
        assert_eq!(names.generalize("sip:b@192.0.2.1:40001"), "sip:b@<host of 0>");
    }

    #[test]
    fn names_of_unknown_headers_do_not_depend_on_case() {
        assert_eq!(capitalized("x-ASTERISK-hangupcause"), "X-Asterisk-Hangupcause");
    }
}
