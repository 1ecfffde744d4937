//! The two hello messages: all of a TLS handshake that says something for itself (RFC 8446 4.1,
//! RFC 5246 7.4.1).

use super::keys::Hash;
use super::record::Suite;

/// Version numbers of TLS on the wire.
pub(super) const TLS10: u16 = 0x0301;
pub(super) const TLS11: u16 = 0x0302;
pub(super) const TLS12: u16 = 0x0303;
/// RFC 8446 4.2.1.
pub(super) const TLS13: u16 = 0x0304;

/// ServerHello.random of a HelloRetryRequest (RFC 8446 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What counts of a ClientHello.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    /// Host name asked for (RFC 6066 3).
    pub(super) server_name: Option<String>,
    /// Of a session that it wants to resume (RFC 5077 3.2).
    pub(super) ticket: Vec<u8>,
    pub(super) offer: Offer,
}

/// Which application protocols a client offers (ALPN, RFC 7301 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offer {
    /// It does not say.
    #[default]
    Nothing,
    /// SIP ("sip/2").
    Sip,
    /// HTTP/1.1 and nothing else, as for WebSocket (RFC 6455 needs HTTP/1.1).
    Http1,
    /// Others: HTTP/2, mail, ...
    Other,
}

impl Offer {
    /// From the content of the extension.
    fn of(extension: &[u8]) -> Option<Self> {
        let mut names = Cursor(Cursor(extension).long()?);
        let mut offer = None;
        while let Some(name) = names.short() {
            offer = match name {
                b"sip/2" | b"sip" => return Some(Self::Sip),
                b"http/1.1" if offer.is_none() => Some(Self::Http1),
                _ => Some(Self::Other),
            };
        }
        offer
    }
}

/// What counts of a ServerHello.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) version: u16,
    pub(super) suite: u16,
    /// RFC 7366.
    pub(super) encrypt_then_mac: bool,
    /// RFC 7627.
    pub(super) extended_master_secret: bool,
    /// Id of the session, new or resumed.
    pub(super) session: Vec<u8>,
}

impl ServerHello {
    /// Whether it only asks for another ClientHello.
    pub(super) fn is_retry(&self) -> bool {
        self.random == RETRY
    }

    /// Hash of the key schedule up to TLS 1.2.
    pub(super) fn hash(&self) -> Option<Hash> {
        let suite = Suite::find(self.suite)?;
        Some(if self.version < TLS12 { Hash::Md5Sha1 } else { suite.hash })
    }

    /// Whether the client sent the premaster secret encrypted with the server's RSA key: among the
    /// suites that are understood, AES in CBC, GCM and CCM.
    pub(super) fn exchanges_with_rsa(&self) -> bool {
        let suites = [0x002f, 0x0035, 0x003c, 0x003d, 0x009c, 0x009d, 0xc09c, 0xc09d, 0xc0a0, 0xc0a1];
        self.version != TLS13 && suites.contains(&self.suite)
    }
}

/// Reads from the front of a slice; `None` once it is too short.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    /// A vector with a length of one octet.
    fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// A vector with a length of two octets.
    fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// The content of the extension of this type, if there is one (RFC 8446 4.2).
    fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut all = Cursor(Cursor(self.0).long()?);
        loop {
            let (kind, content) = (all.u16()?, all.long()?);
            if kind == wanted {
                return Some(content);
            }
        }
    }
}

/// Body of a handshake message of type 1.
pub(super) fn client(body: &[u8]) -> Option<ClientHello> {
    let mut body = Cursor(body);
    body.u16()?;
    let random = body.random()?;
    body.short()?; // session
    body.long()?; // suites
    body.short()?; // compression
    let server_name = body.extension(0).and_then(|names| {
        let mut names = Cursor(Cursor(names).long()?);
        (names.u8()? == 0).then_some(())?;
        Some(names.long()?.escape_ascii().to_string())
    });
    let ticket = body.extension(35).unwrap_or_default().to_vec();
    let offer = body.extension(16).and_then(Offer::of).unwrap_or_default();
    Some(ClientHello { random, server_name, ticket, offer })
}

/// Body of a handshake message of type 2.
pub(super) fn server(body: &[u8]) -> Option<ServerHello> {
    let mut body = Cursor(body);
    let version = body.u16()?;
    let random = body.random()?;
    let session = body.short()?.to_vec();
    let suite = body.u16()?;
    body.u8()?; // compression
    let selected = body.extension(43).and_then(|version| Cursor(version).u16());
    let encrypt_then_mac = body.extension(22).is_some();
    let extended_master_secret = body.extension(23).is_some();
    let version = selected.unwrap_or(version);
    Some(ServerHello { random, version, suite, encrypt_then_mac, extended_master_secret, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0x13, 0x01, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        body
    }

    #[test]
    fn version_of_server_hello_is_that_of_its_extension() {
        let hello = server(&server_hello(&[0, 43, 0, 2, 3, 4])).unwrap();
        assert_eq!((hello.version, hello.suite, hello.is_retry()), (TLS13, 0x1301, false));
        assert_eq!(server(&server_hello(&[])).unwrap().version, TLS12);
    }

    #[test]
    fn what_a_client_offers_is_sip_http_for_websocket_or_something_else() {
        let offer = |names: &[&[u8]]| {
            let list: Vec<u8> = names.iter().flat_map(|name| [&[name.len() as u8], *name].concat()).collect();
            Offer::of(&[&(list.len() as u16).to_be_bytes(), &list[..]].concat())
        };
        assert_eq!(offer(&[b"http/1.1"]), Some(Offer::Http1));
        assert_eq!(offer(&[b"h2", b"http/1.1"]), Some(Offer::Other));
        assert_eq!(offer(&[b"http/1.1", b"h2"]), Some(Offer::Other));
        assert_eq!(offer(&[b"h2", b"sip/2"]), Some(Offer::Sip));
        assert_eq!((offer(&[]), Offer::of(b"\0")), (None, None));
    }

    #[test]
    fn cut_hello_is_none_or_has_no_extensions_and_never_panics() {
        let whole = server_hello(&[0, 43, 0, 2, 3, 4]);
        for len in 0..whole.len() {
            assert!(server(&whole[..len]).is_none_or(|hello| hello.version == TLS12));
            assert!(client(&whole[..len]).is_none());
        }
    }
}
