//! TLS 1.0 to 1.3, read with a key log or a private RSA key (RFC 2246, RFC 5246, RFC 8446).
//!
//! The two hello messages say which keys a connection uses; everything else of the handshake only
//! matters for when keys change, or for the master secret that an RSA key opens.

mod alert;
mod certificate;
mod exchange;
mod hello;
mod keys;
mod record;
mod rsa;

pub use exchange::TlsKeys;
pub use hello::Offer;
pub use rsa::RsaKey;

use bytes::Bytes;

use self::alert::ALERT;
use self::exchange::Exchange;
use self::hello::{ClientHello, ServerHello, TLS10, TLS11, TLS12, TLS13};
use self::record::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Header, Protection, Suite};
use super::layers::{Content, Context, Piece, StreamData};
use super::stream::Now;
use crate::base::{AnomalyKind, Endpoint, limits};

const HEADER: usize = 5;
/// Largest record body (RFC 5246 6.2.3: 2^14 and 2048 of expansion).
const BODY: usize = (1 << 14) + 2048;
/// After a loss, how many records further on the next one may be.
const AHEAD: u64 = 64;
/// Records in a row that cannot be opened until a direction is given up.
const FAILURES: u32 = 16;

/// Whether a stream that starts with `bytes` starts with a TLS record; `None` if that takes more
/// bytes.
pub(super) fn is_record(bytes: &[u8]) -> Option<bool> {
    let plausible = |(at, byte): (usize, &u8)| match at {
        0 => (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(byte),
        1 => *byte == 3,
        2 => *byte <= 4,
        _ => true,
    };
    if !bytes.iter().take(3).enumerate().all(plausible) {
        return Some(false);
    }
    let len = u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]);
    Some((1..=BODY).contains(&len.into()))
}

/// One TLS connection.
#[derive(Debug, Default)]
pub(super) struct Tls {
    sides: [Side; 2],
    client: Option<(usize, ClientHello)>,
    server: Option<ServerHello>,
    exchange: Exchange,
    /// Once it is clear that it stays encrypted.
    sealed: Option<Box<SealedTls>>,
}

/// A TLS connection that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedTls {
    /// Frame of the first record that could not be read.
    pub frame: u32,
    /// Who opened the connection; without the handshake in the capture, the end with the higher port.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// Host name that the client asked for (RFC 6066 3).
    pub server_name: Option<String>,
    /// What the client offered to speak.
    pub offer: Offer,
    /// Whether keys are known that do not open it.
    pub wrong_keys: bool,
    /// What would open it, in words; empty when nothing was encrypted.
    pub text: String,
    /// The error that a side ended the handshake with, in words, and its frame.
    pub alert: Option<(u32, String)>,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    /// Start of a record that is not complete.
    partial: Vec<u8>,
    /// Rest of a record body whose start or middle is missing.
    skip: u64,
    /// Record boundaries are not known.
    lost: bool,
    epoch: Epoch,
    /// How far the next record number may be off.
    ahead: u64,
    failures: u32,
    /// Start of a handshake message that is not complete.
    handshake: Vec<u8>,
}

/// Under which keys a side writes.
#[derive(Debug, Default)]
enum Epoch {
    #[default]
    Clear,
    /// TLS 1.3: until Finished.
    Handshake(Protection),
    Application(Protection),
    /// We do not have the keys.
    Closed,
}

impl Epoch {
    fn protection(&mut self) -> Option<&mut Protection> {
        match self {
            Self::Handshake(protection) | Self::Application(protection) => Some(protection),
            Self::Clear | Self::Closed => None,
        }
    }
}

impl Tls {
    /// Takes the next piece that `side` sent; what it decrypts to goes to `content`.
    pub(super) fn push(&mut self, side: usize, piece: Piece, content: &mut Content, context: &mut Context<'_>) {
        match &piece.data {
            StreamData::Bytes(bytes) => self.bytes(side, bytes, piece.now, content, context),
            StreamData::Gap { bytes, .. } => {
                self.sides[side].gap(*bytes);
                self.exchange.gap();
                content.push(side, true, piece, context);
            }
            StreamData::Message(_) | StreamData::Hep(_) | StreamData::End(_) => {
                content.push(side, true, piece, context);
            }
        }
    }

    fn bytes(&mut self, side: usize, bytes: &[u8], now: Now, content: &mut Content, context: &mut Context<'_>) {
        let mut rest = bytes;
        let from = &mut self.sides[side];
        let skipped = from.skip.min(rest.len() as u64);
        from.skip -= skipped;
        rest = &rest[skipped as usize..];
        if from.lost && !rest.is_empty() {
            // A segment often starts with a record.
            from.lost = is_record(rest) != Some(true);
        }
        while !rest.is_empty() && !self.sides[side].lost {
            let mut partial = std::mem::take(&mut self.sides[side].partial);
            let record = if partial.is_empty() && rest.len() >= record_len(rest) {
                let (record, later) = rest.split_at(record_len(rest));
                rest = later;
                record
            } else {
                fill(&mut partial, &mut rest);
                partial.as_slice()
            };
            if record.len() >= HEADER && is_record(record) == Some(false) && record[3..HEADER] != [0, 0] {
                context.anomaly(AnomalyKind::MalformedRecord, now, "a TLS record header that cannot be right");
                self.sides[side].lost = true;
                self.sides[side].ahead = AHEAD;
            } else if record.len() >= HEADER && record.len() == record_len(record) {
                self.record(side, record, now, content, context);
            } else {
                self.sides[side].partial = partial;
            }
        }
    }

    fn record(&mut self, side: usize, record: &[u8], now: Now, content: &mut Content, context: &mut Context<'_>) {
        let (head, body) = record.split_at(HEADER);
        let header = Header { kind: head[0], version: [head[1], head[2]] };
        let tls13 = self.server.as_ref().is_some_and(|hello| hello.version == TLS13);
        let from = &mut self.sides[side];
        match &mut from.epoch {
            Epoch::Clear => match header.kind {
                HANDSHAKE => self.handshake(side, body, now, context),
                ALERT => self.alert(side, body, now, context),
                // Around a HelloRetryRequest it means nothing (RFC 8446 D.4).
                CHANGE_CIPHER_SPEC if self.server.is_some() && !tls13 => {
                    self.change_cipher_spec(side, context);
                }
                // From a client this may be early data, or captured before the ServerHello.
                APPLICATION_DATA if self.client.as_ref().is_none_or(|(client, _)| *client != side) => {
                    self.tell(now, context);
                }
                _ => {}
            },
            // In TLS 1.3 other types are never protected (RFC 8446 5).
            _ if tls13 && header.kind == ALERT => self.alert(side, body, now, context),
            _ if tls13 && header.kind != APPLICATION_DATA => {}
            Epoch::Closed => self.tell(now, context),
            Epoch::Handshake(protection) | Epoch::Application(protection) => {
                match protection.open(header, body, from.ahead) {
                    Some((kind, plain)) => {
                        from.ahead = 0;
                        from.failures = 0;
                        self.opened(side, kind, plain, now, content, context);
                    }
                    None => self.failed(side, now, context),
                }
            }
        }
    }

    fn opened(
        &mut self,
        side: usize,
        kind: u8,
        plain: Vec<u8>,
        now: Now,
        content: &mut Content,
        context: &mut Context<'_>,
    ) {
        match kind {
            APPLICATION_DATA if !plain.is_empty() => {
                content.push(side, true, Piece { now, data: StreamData::Bytes(Bytes::from(plain)) }, context);
            }
            HANDSHAKE => self.handshake(side, &plain, now, context),
            ALERT => self.alert(side, &plain, now, context),
            CHANGE_CIPHER_SPEC => self.change_cipher_spec(side, context),
            _ => {}
        }
    }

    fn failed(&mut self, side: usize, now: Now, context: &mut Context<'_>) {
        let from = &mut self.sides[side];
        from.failures += 1;
        let first = std::mem::replace(&mut from.ahead, AHEAD) == 0;
        if from.failures == FAILURES {
            from.epoch = Epoch::Closed;
            let text = "TLS records that its keys do not open; this direction is given up";
            self.seal(now, true, text.to_owned(), context);
        } else if first {
            let text = "a TLS record that its keys do not open";
            context.anomaly(AnomalyKind::MalformedRecord, now, text);
        }
    }

    /// Takes handshake messages, of which a record may hold many or a part (RFC 8446 5.1).
    fn handshake(&mut self, side: usize, bytes: &[u8], now: Now, context: &mut Context<'_>) {
        let mut buffer = std::mem::take(&mut self.sides[side].handshake);
        buffer.extend_from_slice(bytes);
        let mut rest = buffer.as_slice();
        while let Some((message, later)) = message_len(rest).and_then(|len| rest.split_at_checked(len)) {
            self.message(side, message, context);
            rest = later;
        }
        // Certificates are the largest messages.
        if message_len(rest).is_some_and(|len| len > limits::RECORD_BYTES) {
            context.anomaly(AnomalyKind::MalformedRecord, now, "a TLS handshake message that is too large");
            return;
        }
        let done = buffer.len() - rest.len();
        buffer.drain(..done);
        self.sides[side].handshake = buffer;
    }

    /// One handshake message (RFC 8446 4).
    fn message(&mut self, side: usize, message: &[u8], context: &mut Context<'_>) {
        let (kind, body) = (message[0], &message[4..]);
        match kind {
            1 => {
                if let Some(hello) = hello::client(body) {
                    self.client = Some((side, hello));
                    self.exchange = Exchange::default();
                }
            }
            2 => {
                let hello = hello::server(body).filter(|hello| !hello.is_retry());
                if hello.as_ref().is_some_and(|hello| hello.version == TLS13) {
                    self.server = hello;
                    self.start_tls13(side, context);
                } else if hello.is_some() {
                    self.server = hello;
                }
            }
            // Finished: TLS 1.3 goes on with the application's keys.
            20 if matches!(self.sides[side].epoch, Epoch::Handshake(_)) => {
                self.sides[side].epoch = self.application(side, context).map_or(Epoch::Closed, Epoch::Application);
            }
            // KeyUpdate
            24 => {
                if let Epoch::Application(protection) = &self.sides[side].epoch {
                    self.sides[side].epoch = protection.updated().map_or(Epoch::Closed, Epoch::Application);
                }
            }
            _ => {}
        }
        if self.server.as_ref().is_none_or(|hello| hello.version != TLS13) {
            let is_client = self.client.as_ref().is_some_and(|(client, _)| *client == side);
            self.exchange.note(is_client, kind, message, context.keys.has_rsa());
        }
    }

    /// Both sides write under handshake keys from here on. A key log without them may still have
    /// those of the application; then the records before these fail and are passed over.
    fn start_tls13(&mut self, server: usize, context: &mut Context<'_>) {
        let secrets = self.client.as_ref().and_then(|(_, hello)| context.keys.logged(&hello.random));
        let suite = self.server.as_ref().and_then(|hello| Suite::find(hello.suite));
        for side in 0..2 {
            let secret = secrets.map(|secrets| secrets.handshake[usize::from(side == server)].clone());
            let handshake = suite.zip(secret).and_then(|(suite, secret)| Protection::from_secret(suite, secret));
            let epoch = match handshake {
                Some(protection) => Epoch::Handshake(protection),
                None => self.application(side, context).map_or(Epoch::Closed, Epoch::Application),
            };
            let from = &mut self.sides[side];
            from.epoch = epoch;
            from.ahead = AHEAD;
        }
    }

    fn application(&self, side: usize, context: &Context<'_>) -> Option<Protection> {
        let (client, hello) = self.client.as_ref()?;
        let secret = &context.keys.logged(&hello.random)?.application[usize::from(side != *client)];
        Protection::from_secret(Suite::find(self.server.as_ref()?.suite)?, secret.clone())
    }

    /// Up to TLS 1.2: `side` writes under the keys of the last two hellos from here on.
    fn change_cipher_spec(&mut self, side: usize, context: &mut Context<'_>) {
        let protection = self.client.as_ref().zip(self.server.as_ref()).and_then(|((client, hello), server)| {
            matches!(server.version, TLS10 | TLS11 | TLS12).then_some(())?;
            let master = self.exchange.master(hello, server, context.keys)?;
            Protection::from_master(server, &master, &hello.random, usize::from(side != *client))
        });
        let from = &mut self.sides[side];
        from.handshake.clear();
        from.ahead = 0;
        from.epoch = protection.map_or(Epoch::Closed, Epoch::Application);
    }

    /// What is to be told of it, if it stayed encrypted or its handshake failed.
    pub(super) fn sealed(self) -> Option<Box<SealedTls>> {
        self.sealed
    }

    /// Notes what is to be told; an alert that was noted before stays.
    fn seal(&mut self, now: Now, wrong_keys: bool, text: String, context: &Context<'_>) {
        let alert = self.sealed.take().and_then(|sealed| sealed.alert);
        let [a, b] = context.ends;
        let (client, server) = match &self.client {
            Some((0, _)) => (a, b),
            Some(_) => (b, a),
            None if a.port < b.port => (b, a),
            None => (a, b),
        };
        let hello = self.client.as_ref().map(|(_, hello)| hello);
        let server_name = hello.and_then(|hello| hello.server_name.clone());
        let offer = hello.map_or(Offer::Nothing, |hello| hello.offer);
        let frame = now.frame;
        self.sealed = Some(Box::new(SealedTls { frame, client, server, server_name, offer, wrong_keys, text, alert }));
    }

    /// Notes, once, that the connection stays encrypted, and what would open it.
    fn tell(&mut self, now: Now, context: &Context<'_>) {
        if self.sealed.as_ref().is_some_and(|sealed| !sealed.text.is_empty()) {
            return;
        }
        let [a, b] = context.ends;
        let text = if self.client.is_none() {
            format!("TLS between {a} and {b}: its handshake is not in the capture, so no key can be found")
        } else {
            let certificate = self.exchange.certificate(now.time).map(|told| format!("; {told}")).unwrap_or_default();
            format!("{} stays encrypted: {}{certificate}", self.name(context), self.needed(context))
        };
        self.seal(now, false, text, context);
    }

    /// Says that `side` ended the connection with an error.
    fn alert(&mut self, side: usize, body: &[u8], now: Now, context: &mut Context<'_>) {
        let tls13 = self.server.as_ref().is_some_and(|hello| hello.version == TLS13);
        let Some(alert) = alert::fatal(body, tls13) else { return };
        let certificate = self.exchange.certificate(now.time).map(|told| format!("; {told}")).unwrap_or_default();
        let text =
            format!("{}: {} ended it with the alert {alert}{certificate}", self.name(context), context.ends[side]);
        if matches!(self.sides[side].epoch, Epoch::Application(_)) {
            context.anomaly(AnomalyKind::TlsAlert, now, text);
            return;
        }
        // Whether it concerns SIP is known at the end of the capture.
        if self.sealed.is_none() {
            self.seal(now, false, String::new(), context);
        }
        if let Some(sealed) = &mut self.sealed {
            sealed.alert.get_or_insert((now.frame, text));
        }
    }

    /// Version, ends and the host name asked for.
    fn name(&self, context: &Context<'_>) -> String {
        let [a, b] = context.ends;
        let (client, hello) = self.client.as_ref().map_or((0, None), |(client, hello)| (*client, Some(hello)));
        let (client, peer) = if client == 0 { (a, b) } else { (b, a) };
        let name = hello.and_then(|hello| hello.server_name.as_ref()).map(|name| format!(" ({name})"));
        let version = self.server.as_ref().map_or(0, |hello| hello.version);
        format!("{} from {client} to {peer}{}", named(version), name.unwrap_or_default())
    }

    fn needed(&self, context: &Context<'_>) -> String {
        let Some(((_, client), server)) = self.client.as_ref().zip(self.server.as_ref()) else {
            return "the server's hello is not in the capture".to_owned();
        };
        if !matches!(server.version, TLS10..=TLS13) {
            return "this version cannot be decrypted".to_owned();
        }
        if Suite::find(server.suite).is_none() {
            return format!("cipher suite {:#06x} cannot be decrypted", server.suite);
        }
        let tls13 = server.version == TLS13;
        let random = client.random.map(|byte| format!("{byte:02x}")).concat();
        let labels = if tls13 { "the TRAFFIC_SECRET lines" } else { "a CLIENT_RANDOM line" };
        let known = if context.keys.logged(&client.random).is_some() { "has other lines" } else { "has no line" };
        let log = format!("the key log {known} for client random {random}; it needs {labels}");
        match self.exchange.why() {
            _ if !context.keys.has_rsa() && server.exchanges_with_rsa() => format!("{log} or the server's RSA key"),
            _ if !context.keys.has_rsa() => log,
            _ if tls13 => format!("an RSA key cannot decrypt TLS 1.3, which has forward secrecy, and {log}"),
            Some(why) => format!("{why}, and {log}"),
            None => log,
        }
    }
}

impl Side {
    /// Bytes that are not in the capture: within one record they cost that record only.
    fn gap(&mut self, bytes: u64) {
        let partial = std::mem::take(&mut self.partial);
        self.handshake.clear();
        if self.skip >= bytes {
            self.skip -= bytes;
            return;
        }
        let missing = record_len(&partial).saturating_sub(partial.len()) as u64;
        if partial.len() >= HEADER && missing >= bytes {
            self.skip = missing - bytes;
            self.epoch.protection().into_iter().for_each(Protection::skip);
            return;
        }
        self.skip = 0;
        self.lost = true;
        self.ahead = AHEAD;
    }
}

/// Length of the record that starts here, header included; that of a header while it is not whole.
fn record_len(record: &[u8]) -> usize {
    match record {
        [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([*high, *low])),
        _ => HEADER,
    }
}

/// Length of the handshake message that starts here, header included.
fn message_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [_, high, middle, low, ..] => Some(4 + u32::from_be_bytes([0, *high, *middle, *low]) as usize),
        _ => None,
    }
}

/// Moves bytes from `rest` until `partial` is a whole record, or a whole header that is none.
fn fill(partial: &mut Vec<u8>, rest: &mut &[u8]) {
    loop {
        let wanted = record_len(partial).min(HEADER + BODY).saturating_sub(partial.len());
        let (now, later) = rest.split_at(wanted.min(rest.len()));
        partial.extend_from_slice(now);
        *rest = later;
        if partial.len() < HEADER || now.is_empty() {
            return;
        }
    }
}

/// Name of a version number.
fn named(version: u16) -> &'static str {
    match version {
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        TLS12 => "TLS 1.2",
        TLS13 => "TLS 1.3",
        _ => "TLS",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tcp::Carried;
    use super::super::testing::Wire;
    use super::*;

    /// A recorded connection: its key log, and what each side sent in turn.
    fn recording(text: &str) -> (String, Vec<(usize, Vec<u8>)>) {
        let (mut keys, mut sent) = (String::new(), Vec::new());
        for line in text.lines() {
            let (side, hex) = match line.split_once(' ') {
                Some(("client", hex)) => (0, hex),
                Some(("server", hex)) => (1, hex),
                _ => {
                    keys.push_str(line);
                    keys.push('\n');
                    continue;
                }
            };
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            sent.push((side, bytes.collect()));
        }
        (keys, sent)
    }

    /// Plays it in segments of at most `size` bytes, without those that `lost` names.
    fn play(keys: &str, sent: &[(usize, Vec<u8>)], size: usize, lost: impl Fn(usize, u32) -> bool) -> Wire {
        let mut wire = Wire::new(keys.as_bytes());
        wire.handshake();
        let mut at = [0u32; 2];
        for (side, bytes) in sent {
            for segment in bytes.chunks(size) {
                if !lost(*side, at[*side]) {
                    wire.data(*side, at[*side], segment);
                }
                at[*side] += segment.len() as u32;
            }
        }
        wire.finish();
        wire
    }

    fn opens_to(text: &str, client: &str, server: &str) {
        let (keys, sent) = recording(text);
        for size in [1, 7, 100, 10_000] {
            let wire = play(&keys, &sent, size, |_, _| false);
            assert_eq!((wire.told(0).as_str(), wire.told(1).as_str()), (client, server), "segments of {size}");
            assert!(wire.anomalies.is_empty(), "{:?}", wire.anomalies);
            assert!(wire.events.iter().all(|event| event.connection.transport == crate::base::Transport::Tls));
        }
    }

    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!("../../testdata/tls/", $name, ".txt"))
        };
    }

    const SAID: &str = r"one\ntwo two\n";
    const ANSWERED: &str = r"eno\nowt owt\n";

    #[test]
    fn every_suite_of_tls_13_opens_in_any_cutting() {
        opens_to(recorded!("tls-aes-128-gcm-sha256"), SAID, ANSWERED);
        opens_to(recorded!("tls-aes-256-gcm-sha384"), SAID, ANSWERED);
        opens_to(recorded!("tls-chacha20-poly1305-sha256"), SAID, ANSWERED);
        opens_to(recorded!("tls-aes-128-ccm-sha256"), SAID, ANSWERED);
        opens_to(recorded!("tls-aes-128-ccm-8-sha256"), SAID, ANSWERED);
    }

    #[test]
    fn every_mode_of_tls_12_opens_in_any_cutting() {
        opens_to(recorded!("ecdhe-ecdsa-aes128-gcm-sha256"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-aes256-gcm-sha384"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-chacha20-poly1305"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-aes256-ccm"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-aes128-ccm8"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-aes128-sha"), SAID, ANSWERED);
        opens_to(recorded!("ecdhe-ecdsa-aes256-sha384"), SAID, ANSWERED);
        opens_to(recorded!("aes128-sha256"), SAID, ANSWERED);
        opens_to(recorded!("mac-then-encrypt"), SAID, ANSWERED);
    }

    #[test]
    fn keys_change_with_key_update_hello_retry_and_renegotiation() {
        opens_to(recorded!("key-update"), r"one\ntwo two\nthree\n", ANSWERED);
        opens_to(recorded!("hello-retry"), SAID, ANSWERED);
        opens_to(recorded!("renegotiation"), SAID, r"eno\n");
    }

    #[test]
    fn application_secrets_alone_open_the_application() {
        let (keys, sent) = recording(recorded!("tls-aes-128-gcm-sha256"));
        let keys: Vec<_> = keys.lines().filter(|line| !line.contains("HANDSHAKE")).collect();
        let keys = keys.join("\n");
        let wire = play(&keys, &sent, 1000, |_, _| false);
        assert_eq!((wire.told(0).as_str(), wire.told(1).as_str()), (SAID, ANSWERED));
        assert!(wire.anomalies.is_empty(), "{:?}", wire.anomalies);
    }

    #[test]
    fn without_keys_it_is_said_once_what_is_needed() {
        let (_, sent) = recording(recorded!("tls-aes-128-gcm-sha256"));
        let wire = play("", &sent, 1000, |_, _| false);
        assert!(wire.events.is_empty() && wire.anomalies.is_empty());
        let [told] = &sealed(wire)[..] else { panic!("one connection") };
        assert_eq!((told.server.port, told.server_name.as_deref()), (5060, Some("sip.example.com")));
        for word in ["TLS 1.3", "sip.example.com", "192.0.2.1:5060 to 192.0.2.2:5060", "no line", "TRAFFIC_SECRET"] {
            assert!(told.text.contains(word), "{word} in {}", told.text);
        }
    }

    /// The connections that stayed encrypted.
    fn sealed(wire: Wire) -> Vec<SealedTls> {
        let sealed = wire.streams.into_ended().filter_map(|ended| match ended.carried {
            Carried::Sealed(sealed) => Some(*sealed),
            _ => None,
        });
        sealed.collect()
    }

    #[test]
    fn without_its_handshake_it_is_said_that_no_key_can_be_found() {
        let (keys, sent) = recording(recorded!("tls-aes-128-gcm-sha256"));
        let wire = play(&keys, &sent[sent.len() - 4..], 1000, |_, _| false);
        assert!(wire.events.is_empty());
        let [told] = &sealed(wire)[..] else { panic!("one connection") };
        assert!(told.text.contains("handshake is not in the capture"));
    }

    #[test]
    fn lost_record_costs_itself_only() {
        for text in [recorded!("tls-aes-128-gcm-sha256"), recorded!("ecdhe-ecdsa-aes128-sha")] {
            let (keys, sent) = recording(text);
            let before: usize =
                sent.iter().take_while(|(side, bytes)| *side != 0 || bytes.len() > 64 || bytes[0] != 23).count();
            let first: usize = sent[..before].iter().filter(|(side, _)| *side == 0).map(|(_, bytes)| bytes.len()).sum();
            let len = sent[before].1.len();
            let whole = play(&keys, &sent, 10_000, |side, at| side == 0 && at == first as u32);
            assert_eq!(whole.told(0), format!(r"<{len} lost>two two\n"));
            // The start of the record is there, the rest is not.
            let cut = |side: usize, at: u32| side == 0 && (first + 6..first + len).contains(&(at as usize));
            let wire = play(&keys, &sent, 1, cut);
            assert_eq!(wire.told(0), format!(r"<{} lost>two two\n", len - 6));
            assert_eq!(wire.told(1), ANSWERED);
        }
    }

    #[test]
    fn damaged_record_is_told_and_the_next_one_opens() {
        let (keys, mut sent) = recording(recorded!("tls-aes-128-gcm-sha256"));
        let at = sent.len() - 5;
        assert_eq!((sent[at].0, sent[at].1.len()), (0, 26));
        sent[at].1[10] ^= 1;
        let wire = play(&keys, &sent, 1000, |_, _| false);
        assert_eq!((wire.told(0).as_str(), wire.told(1).as_str()), (r"two two\n", ANSWERED));
        assert_eq!(wire.count(AnomalyKind::MalformedRecord), 1);
    }

    #[test]
    fn hostile_bytes_never_panic_and_are_bounded() {
        for text in
            [recorded!("tls-aes-128-gcm-sha256"), recorded!("ecdhe-ecdsa-aes128-sha"), recorded!("renegotiation")]
        {
            let (keys, sent) = recording(text);
            for seed in 0..300usize {
                let mut sent = sent.clone();
                for step in 1..4usize {
                    let (piece, at) = (seed * 7 * step % sent.len(), seed * 31 * step);
                    let bytes = &mut sent[piece].1;
                    let at = at % bytes.len();
                    bytes[at] = bytes[at].wrapping_add(1 + (seed % 255) as u8);
                }
                let wire = play(&keys, &sent, 1 + seed % 97, |_, at| seed % 5 == 0 && at as usize % 11 == seed % 11);
                let bytes: usize = wire.events.iter().map(|event| event.what.bytes().len()).sum();
                assert!(bytes <= sent.iter().map(|(_, bytes)| bytes.len()).sum());
            }
        }
    }

    macro_rules! recorded_rsa {
        ($name:literal) => {
            include_str!(concat!("../../testdata/tls/rsa/", $name))
        };
    }

    const SERVER: &str = recorded_rsa!("server.pem");
    const OTHER: &str = recorded_rsa!("other.pem");

    /// Plays connections one after the other with private keys.
    fn play_rsa(text: &str, keys: &str, size: usize) -> Wire {
        let rsa = RsaKey::parse(keys.as_bytes()).unwrap();
        let mut wire = Wire::with_keys(TlsKeys::new(b"", rsa));
        for connection in text.split("connection\n") {
            wire.handshake();
            let mut at = [0u32; 2];
            for (side, bytes) in recording(connection).1 {
                for segment in bytes.chunks(size) {
                    wire.data(side, at[side], segment);
                    at[side] += segment.len() as u32;
                }
            }
            wire.port += 1;
        }
        wire.finish();
        wire
    }

    fn opens_with_rsa(text: &str) {
        for size in [61, 10_000] {
            let wire = play_rsa(text, &[OTHER, SERVER].concat(), size);
            let times = text.split("connection\n").count();
            assert_eq!((wire.told(0), wire.told(1)), (SAID.repeat(times), ANSWERED.repeat(times)));
            assert!(wire.anomalies.is_empty(), "{:?}", wire.anomalies);
        }
    }

    #[test]
    fn a_private_key_opens_rsa_key_exchange_of_every_version() {
        opens_with_rsa(recorded_rsa!("tls10-aes128-sha.txt"));
        opens_with_rsa(recorded_rsa!("tls10-encrypt-then-mac.txt"));
        opens_with_rsa(recorded_rsa!("tls11-aes256-sha.txt"));
        opens_with_rsa(recorded_rsa!("aes128-sha.txt"));
        opens_with_rsa(recorded_rsa!("aes256-sha256.txt"));
        opens_with_rsa(recorded_rsa!("aes128-gcm-sha256.txt"));
        opens_with_rsa(recorded_rsa!("aes256-gcm-sha384.txt"));
        opens_with_rsa(recorded_rsa!("no-extended-master-secret.txt"));
        opens_with_rsa(recorded_rsa!("client-certificate.txt"));
    }

    #[test]
    fn sessions_that_a_private_key_opened_are_resumed() {
        opens_with_rsa(recorded_rsa!("ticket.txt"));
        opens_with_rsa(recorded_rsa!("session-id.txt"));
        let (_, second) = recorded_rsa!("ticket.txt").split_once("connection\n").unwrap();
        assert_says(second, SERVER, &["resumes a session", "CLIENT_RANDOM line"]);
    }

    fn assert_says(text: &str, keys: &str, words: &[&str]) {
        let wire = play_rsa(text, keys, 1000);
        assert!(wire.events.is_empty());
        let [told] = &sealed(wire)[..] else { panic!("one connection") };
        for word in words {
            assert!(told.text.contains(word), "{word} in {}", told.text);
        }
    }

    #[test]
    fn why_a_private_key_does_not_open_a_session_is_said() {
        let forward = ["TLS 1.2", "an RSA key cannot decrypt", "forward secrecy", "ECDHE", "CLIENT_RANDOM line"];
        assert_says(recorded_rsa!("ecdhe.txt"), SERVER, &forward);
        assert_says(recorded_rsa!("tls13.txt"), SERVER, &["cannot decrypt TLS 1.3", "TRAFFIC_SECRET"]);
        assert_says(recorded_rsa!("aes128-sha.txt"), OTHER, &["not that of the server's certificate"]);
        let wire = play("", &recording(recorded_rsa!("aes128-sha.txt")).1, 1000, |_, _| false);
        let [told] = &sealed(wire)[..] else { panic!("one connection") };
        assert!(told.text.contains("a CLIENT_RANDOM line or the server's RSA key;"), "{}", told.text);
    }

    #[test]
    fn a_lost_record_of_tls_10_costs_the_next_one_too() {
        let (_, sent) = recording(recorded_rsa!("tls10-aes128-sha.txt"));
        let rsa = RsaKey::parse(SERVER.as_bytes()).unwrap();
        let mut wire = Wire::with_keys(TlsKeys::new(b"", rsa));
        wire.handshake();
        let (mut at, mut records) = ([0u32; 2], 0);
        for (side, bytes) in sent {
            records += usize::from(side == 0 && bytes[0] == APPLICATION_DATA);
            // The first one with data, and before it the empty one that goes ahead of it in TLS 1.0.
            if !(side == 0 && bytes[0] == APPLICATION_DATA && records == 1) {
                wire.data(side, at[side], &bytes);
            }
            at[side] += bytes.len() as u32;
        }
        wire.finish();
        assert!(wire.told(0).starts_with('<') && wire.told(0).ends_with(r"lost>two two\n"), "{}", wire.told(0));
        assert_eq!(wire.told(1), ANSWERED);
    }

    #[test]
    fn alerts_and_the_certificate_of_the_server_are_told() {
        let told = |text: &str| {
            let wire = play("", &recording(text).1, 1000, |_, _| false);
            let [told] = &sealed(wire)[..] else { panic!("one connection") };
            told.clone()
        };
        let alert = |text: &str| told(text).alert.unwrap().1;
        let text = alert(recorded!("unknown-ca"));
        for word in ["TLS 1.2 from", "192.0.2.1:5060 ended it with the alert unknown_ca", "CN=sip.example.com, valid"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        let text = alert(recorded!("handshake-failure"));
        assert!(text.ends_with("192.0.2.2:5060 ended it with the alert handshake_failure"), "{text}");
        let text = told(recorded_rsa!("ecdhe.txt")).text;
        assert!(text.contains("; the server's certificate is that of CN=sip.example.com, valid until"), "{text}");
    }

    #[test]
    fn records_out_of_order_are_told_and_cost_their_direction_only() {
        let (keys, mut sent) = recording(recorded!("tls-aes-128-gcm-sha256"));
        let data: Vec<usize> =
            (0..sent.len()).filter(|at| sent[*at].0 == 0 && sent[*at].1[0] == APPLICATION_DATA).collect();
        let [.., one, two, _] = data[..] else { panic!("{data:?}") };
        sent.swap(one, two);
        let wire = play(&keys, &sent, 1000, |_, _| false);
        assert_eq!((wire.told(0).as_str(), wire.told(1).as_str()), (r"one\n", ANSWERED));
        assert!(wire.count(AnomalyKind::MalformedRecord) > 0);
    }

    #[test]
    fn hostile_handshakes_with_a_private_key_never_panic() {
        let rsa = RsaKey::parse(SERVER.as_bytes()).unwrap();
        for text in [recorded_rsa!("aes128-gcm-sha256.txt"), recorded_rsa!("tls10-aes128-sha.txt")] {
            let (_, sent) = recording(text);
            for seed in 0..120usize {
                let mut sent = sent.clone();
                let (piece, at) = (seed % 5, seed * 37);
                let bytes = &mut sent[piece].1;
                let at = at % bytes.len();
                bytes[at] = bytes[at].wrapping_add(1 + (seed % 255) as u8);
                if seed % 3 == 0 {
                    sent.swap(seed % 6, (seed + 1) % 6);
                }
                let mut wire = Wire::with_keys(TlsKeys::new(b"", rsa.clone()));
                wire.handshake();
                let mut at = [0u32; 2];
                for (side, bytes) in &sent {
                    wire.data(*side, at[*side], bytes);
                    at[*side] += bytes.len() as u32;
                }
                wire.finish();
                let told: usize = wire.events.iter().map(|event| event.what.bytes().len()).sum();
                assert!(told <= 64 * 1024);
            }
        }
    }
}
