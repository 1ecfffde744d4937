//! What runs above TCP, found by the first bytes of content: TLS, WebSocket, HEP, or nothing else.

use std::borrow::Cow;

use bytes::Bytes;

use super::hep;
use super::stream::Now;
use super::tcp::Carried;
use super::tls::{self, Tls, TlsKeys};
use super::ws::{Outcome, Upgrade, WebSocket};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Connection, Endpoint, Timestamp, Transport};

/// Something that one direction of a TCP connection carried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamEvent {
    /// Unique for each direction of each incarnation of a connection; the two directions of one
    /// connection differ in the last bit only.
    pub stream: u64,
    /// Who sent to whom, over what.
    pub connection: Connection,
    /// Frame that carried it; for bytes of a TLS record, the frame that completed it.
    pub frame: u32,
    /// Time of that frame.
    pub time: Timestamp,
    /// What.
    pub what: StreamData,
}

/// Content of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamData {
    /// The next bytes of the application, in order.
    Bytes(Bytes),
    /// One whole WebSocket message (RFC 6455 5.4).
    Message(Bytes),
    /// One whole HEP packet, for [`super::decode_hep`].
    Hep(Bytes),
    /// Bytes that are not in the capture.
    Gap {
        /// How many, as TCP counts them.
        bytes: u64,
        /// The peer got them: they are missing in the capture only.
        acknowledged: bool,
    },
    /// Nothing more comes. The side that ended the connection tells its end first.
    End(Ending),
}

/// How a direction of a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// By FIN.
    Closed,
    /// By RST.
    Reset,
    /// By RST in answer to the SYN: it was never open.
    Refused,
    /// Not told by the peers: another connection took its place, or a limit was reached.
    GivenUp,
}

/// Content on its way up through the layers.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) now: Now,
    pub(super) data: StreamData,
}

/// The connection at hand, and where results go.
pub(super) struct Context<'a> {
    pub(super) id: u64,
    pub(super) ends: [Endpoint; 2],
    pub(super) keys: &'a mut TlsKeys,
    pub(super) anomalies: &'a mut Anomalies,
    pub(super) out: &'a mut Vec<StreamEvent>,
}

impl Context<'_> {
    pub(super) fn emit(&mut self, side: usize, transport: Transport, piece: Piece) {
        let connection = Connection { src: self.ends[side], dst: self.ends[1 - side], transport };
        let Piece { now: Now { frame, time }, data } = piece;
        self.out.push(StreamEvent { stream: self.id + side as u64, connection, frame, time, what: data });
    }

    pub(super) fn anomaly(&mut self, kind: AnomalyKind, now: Now, text: impl Into<Cow<'static, str>>) {
        self.anomalies.add(Anomaly::new(kind, now.frame, 0, text));
    }
}

/// The layers above one TCP connection.
#[derive(Debug, Default)]
pub(super) struct Layers {
    security: Security,
    content: Content,
}

/// Whether a connection is TLS.
#[derive(Debug)]
enum Security {
    /// Not known: less content yet than says anything. What there is waits here.
    Unknown(Vec<(usize, Piece)>),
    /// No TLS, judged by the first bytes of those sides that have spoken.
    Plain([bool; 2]),
    Tls(Box<Tls>),
}

impl Default for Security {
    fn default() -> Self {
        Self::Unknown(Vec::new())
    }
}

/// What the bytes above TCP or TLS are.
#[derive(Debug, Default)]
pub(super) enum Content {
    #[default]
    Unknown,
    Plain,
    Upgrading(Box<Upgrade>),
    WebSocket(Box<WebSocket>),
    /// HEP packets; what there is of the next one, by side.
    Hep([Vec<u8>; 2]),
}

impl Layers {
    /// What the connection carried.
    pub(super) fn carried(self) -> Carried {
        match self.security {
            Security::Unknown(held) if held.is_empty() && matches!(self.content, Content::Unknown) => Carried::Nothing,
            Security::Unknown(_) | Security::Plain(_) => Carried::Plain,
            Security::Tls(tls) => tls.sealed().map_or(Carried::Tls, Carried::Sealed),
        }
    }

    /// Takes the next piece that `side` sent.
    pub(super) fn push(&mut self, side: usize, piece: Piece, context: &mut Context<'_>) {
        match &mut self.security {
            Security::Unknown(_) => self.decide(side, piece, context),
            Security::Plain(spoken) => {
                // A capture that starts within a record looks plain until the other side speaks.
                if let (false, StreamData::Bytes(bytes)) = (spoken[side], &piece.data) {
                    spoken[side] = true;
                    if tls::is_record(bytes) == Some(true) {
                        self.security = Security::Tls(Box::default());
                        return self.push(side, piece, context);
                    }
                }
                self.content.push(side, false, piece, context);
            }
            Security::Tls(tls) => tls.push(side, piece, &mut self.content, context),
        }
    }

    fn decide(&mut self, side: usize, piece: Piece, context: &mut Context<'_>) {
        let Security::Unknown(held) = &mut self.security else {
            return;
        };
        let verdict = match (&piece.data, held.first()) {
            (StreamData::Bytes(bytes), None) => tls::is_record(bytes),
            (StreamData::Bytes(_), Some((first, _))) if *first == side => {
                let pieces = held.iter().map(|(_, piece)| piece).chain([&piece]);
                let head: Vec<u8> = pieces.flat_map(|piece| piece.data.bytes()).copied().collect();
                tls::is_record(&head)
            }
            (_, None) => return self.content.push(side, false, piece, context),
            // A gap, the end or the other side before it was clear: no TLS handshake starts so.
            (_, Some(_)) => Some(false),
        };
        held.push((side, piece));
        let Some(is_tls) = verdict else { return };
        let held = std::mem::take(held);
        self.security = if is_tls { Security::Tls(Box::default()) } else { Security::Plain([false; 2]) };
        if let Security::Plain(spoken) = &mut self.security {
            for (side, _) in &held {
                spoken[*side] = true;
            }
        }
        for (side, piece) in held {
            self.push(side, piece, context);
        }
    }
}

impl Content {
    /// Takes the next piece that `side` sent, `tls` or plain.
    pub(super) fn push(&mut self, side: usize, tls: bool, piece: Piece, context: &mut Context<'_>) {
        let plain = if tls { Transport::Tls } else { Transport::Tcp };
        match self {
            Self::Unknown => {
                if let Some(upgrade) = Upgrade::begins(side, piece.data.bytes()) {
                    *self = Self::Upgrading(Box::new(upgrade));
                    return self.push(side, tls, piece, context);
                }
                if piece.data.bytes().starts_with(&hep::MAGIC) {
                    *self = Self::Hep(<[Vec<u8>; 2]>::default());
                    return self.push(side, tls, piece, context);
                }
                if !piece.data.bytes().is_empty() {
                    *self = Self::Plain;
                }
                context.emit(side, plain, piece);
            }
            Self::Plain => context.emit(side, plain, piece),
            Self::Upgrading(upgrade) => match upgrade.push(side, piece) {
                Outcome::Undecided => {}
                Outcome::Plain(held) => {
                    *self = Self::Plain;
                    for (side, piece) in held {
                        context.emit(side, plain, piece);
                    }
                }
                Outcome::Accepted(websocket, held) => {
                    *self = Self::WebSocket(websocket);
                    for (side, piece) in held {
                        self.push(side, tls, piece, context);
                    }
                }
            },
            Self::WebSocket(websocket) => {
                let transport = if tls { Transport::Wss } else { Transport::Ws };
                websocket.push(side, transport, piece, context);
            }
            Self::Hep(held) => hep_packets(&mut held[side], side, piece, context),
        }
    }
}

/// Cuts HEP packets off by their length. After a gap the next magic number starts anew.
fn hep_packets(held: &mut Vec<u8>, side: usize, piece: Piece, context: &mut Context<'_>) {
    let StreamData::Bytes(bytes) = &piece.data else {
        held.clear();
        return context.emit(side, Transport::Tcp, piece);
    };
    held.extend_from_slice(bytes);
    let mut at = 0;
    loop {
        let rest = &held[at..];
        if !rest.starts_with(&hep::MAGIC) {
            if let Some(next) = memchr::memmem::find(rest, &hep::MAGIC) {
                at += next;
                continue;
            }
            at = held.len() - rest.len().min(hep::MAGIC.len() - 1);
            break;
        }
        let Some(packet) = hep::length(rest).and_then(|length| rest.get(..length.max(hep::HEAD))) else { break };
        let data = StreamData::Hep(Bytes::copy_from_slice(packet));
        at += packet.len();
        context.emit(side, Transport::Tcp, Piece { data, ..piece.clone() });
    }
    held.drain(..at);
}

impl StreamData {
    /// The bytes; none for a gap or the end.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) | Self::Message(bytes) | Self::Hep(bytes) => bytes,
            Self::Gap { .. } | Self::End(_) => &[],
        }
    }
}
