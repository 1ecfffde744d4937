//! Master secrets up to TLS 1.2: from the key log, by a private RSA key, or of a session resumed.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::certificate;
use super::hello::{ClientHello, ServerHello};
use super::keys::{self, Hash, KeyLog, Secrets};
use super::rsa::RsaKey;
use crate::base::{Timestamp, limits};

/// Handshake messages that count here (RFC 5246 7.4).
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const CERTIFICATE: u8 = 11;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// All that opens TLS: a key log, private keys, and the sessions that they have opened so far.
#[derive(Debug, Default)]
pub struct TlsKeys {
    log: KeyLog,
    rsa: Vec<RsaKey>,
    /// By the digest of the session's id or ticket.
    sessions: HashMap<[u8; 32], Vec<u8>, RandomState>,
    /// The same, oldest first.
    order: VecDeque<[u8; 32]>,
    /// Private operations done.
    operations: usize,
}

impl TlsKeys {
    /// With a key log in the SSLKEYLOGFILE format (draft-ietf-tls-keylogfile), of which the lines that
    /// are not understood are passed over.
    pub fn new(key_log: &[u8], rsa: Vec<RsaKey>) -> Self {
        let mut keys = Self { rsa, ..Self::default() };
        keys.add(key_log);
        keys
    }

    /// Adds lines of a key log.
    pub(in crate::net) fn add(&mut self, key_log: &[u8]) {
        self.log.add(key_log);
    }

    /// What the key log has of the connection with this client random.
    pub(super) fn logged(&self, client_random: &[u8; 32]) -> Option<&Secrets> {
        self.log.get(client_random)
    }

    pub(super) fn has_rsa(&self) -> bool {
        !self.rsa.is_empty()
    }

    fn session(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.sessions.get(&session_key(name)?).cloned()
    }

    fn remember(&mut self, name: &[u8], master: &[u8]) {
        let Some(key) = session_key(name) else { return };
        if self.sessions.insert(key, master.to_vec()).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > limits::TLS_SESSIONS {
            self.order.pop_front().map(|oldest| self.sessions.remove(&oldest));
        }
    }

    /// The premaster secret of a key exchange, by the key that the certificate names; if that was not
    /// captured, by any.
    fn premaster(&mut self, certificate: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut tried = false;
        for key in self.rsa.iter().filter(|key| certificate.is_empty() || key.is_of(certificate)) {
            if self.operations >= limits::RSA_OPERATIONS {
                return Err("more sessions than RSA keys are tried on; a key log has no such limit");
            }
            self.operations += 1;
            tried = true;
            if let Some(secret) = key.premaster(encrypted) {
                return Ok(secret);
            }
        }
        Err(if tried {
            "the RSA key does not decrypt its key exchange"
        } else {
            "the RSA key is not that of the server's certificate"
        })
    }
}

/// The name of a session: its id, or its ticket, which may be long. An empty one names none.
fn session_key(name: &[u8]) -> Option<[u8; 32]> {
    if name.is_empty() { None } else { keys::digest(Hash::Sha256, &[name]).try_into().ok() }
}

/// One handshake, as far as the master secret comes from it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Messages from both hellos to the key exchange: the first one, those of the server, the others
    /// of the client. This is their order in every handshake (RFC 5246 7.3), even where the capture
    /// swapped some.
    messages: [Vec<u8>; 3],
    /// Something of them is missing or was too long to keep.
    broken: bool,
    gap: bool,
    /// The server's own one.
    certificate: Vec<u8>,
    encrypted: Vec<u8>,
    ticket: Vec<u8>,
    master: Option<Vec<u8>>,
    /// Why there is none.
    why: Option<&'static str>,
}

impl Exchange {
    /// Notes a message. `client`: it comes from the client.
    /// `whole`: all of them may be needed.
    pub(super) fn note(&mut self, client: bool, kind: u8, message: &[u8], whole: bool) {
        let body = message.get(4..).unwrap_or_default();
        let place = match (client, kind) {
            (true, CLIENT_HELLO) => 0,
            (false, _) => 1,
            (true, _) => 2,
        };
        let kept: usize = self.messages.iter().map(Vec::len).sum();
        // A HelloRequest does not count (RFC 5246 7.4.1.1); nor does what follows the key exchange.
        let counts = kind != 0 && (!client || self.encrypted.is_empty()) && kind != NEW_SESSION_TICKET;
        if counts && !whole {
            self.broken = true;
        } else if counts && kept + message.len() <= limits::HANDSHAKE_BYTES {
            self.messages[place].extend_from_slice(message);
        } else if counts {
            self.broken = true;
        }
        match (client, kind) {
            (false, CERTIFICATE) => self.certificate = certificate::first(body).unwrap_or_default().to_vec(),
            (true, CLIENT_KEY_EXCHANGE) => self.encrypted = body.get(2..).unwrap_or_default().to_vec(),
            // Lifetime hint, then the ticket with its length (RFC 5077 3.3).
            (false, NEW_SESSION_TICKET) => self.ticket = body.get(6..).unwrap_or_default().to_vec(),
            _ => {}
        }
    }

    /// Bytes of the handshake are not in the capture.
    pub(super) fn gap(&mut self) {
        self.broken = true;
        self.gap = true;
    }

    /// What the server's certificate says of itself, unless the session was opened.
    pub(super) fn certificate(&self, now: Timestamp) -> Option<String> {
        certificate::describe(&self.certificate, now)
    }

    /// Why there is no master secret.
    pub(super) fn why(&self) -> Option<&'static str> {
        self.why
    }

    /// The master secret, once both sides have said enough. To be asked when a side changes its keys.
    pub(super) fn master(&mut self, hello: &ClientHello, server: &ServerHello, keys: &mut TlsKeys) -> Option<Vec<u8>> {
        if self.master.is_none() && self.why.is_none() {
            match self.find(hello, server, keys) {
                Ok(master) => self.master = Some(master),
                Err(why) => self.why = Some(why),
            }
            self.messages = Default::default();
        }
        let master = self.master.as_ref()?;
        self.certificate = Vec::new();
        keys.remember(&server.session, master);
        keys.remember(&self.ticket, master);
        Some(master.clone())
    }

    fn find(&self, hello: &ClientHello, server: &ServerHello, keys: &mut TlsKeys) -> Result<Vec<u8>, &'static str> {
        if let Some(logged) = keys.logged(&hello.random).filter(|secrets| !secrets.master.is_empty()) {
            return Ok(logged.master.clone());
        }
        if self.encrypted.is_empty() && self.gap {
            return Err("its key exchange is not in the capture");
        }
        if self.encrypted.is_empty() {
            let known = keys.session(&server.session).or_else(|| keys.session(&hello.ticket));
            return known.ok_or("it resumes a session whose key exchange was not opened");
        }
        if !server.exchanges_with_rsa() {
            return Err("an RSA key cannot decrypt a session with forward secrecy (ECDHE or DHE)");
        }
        if !keys.has_rsa() {
            return Err("there is no RSA key");
        }
        let premaster = keys.premaster(&self.certificate, &self.encrypted)?;
        let hash = server.hash().ok_or("its cipher suite is not known")?;
        let master = if server.extended_master_secret {
            if self.broken {
                return Err("its extended master secret takes all of the handshake, of which some is missing");
            }
            let [first, server, client] = &self.messages;
            let digest = keys::digest(hash, &[first, server, client]);
            keys::master_secret(hash, &premaster, &[b"extended master secret", &digest])
        } else {
            keys::master_secret(hash, &premaster, &[b"master secret", &hello.random, &server.random])
        };
        master.ok_or("its cipher suite is not known")
    }
}
