//! Capture agents that send HEP: what they send becomes the datagram that it came in, or could have come in, so that
//! everything behind sees packets like any other.

mod datagrams;
mod peers;
mod tls;

pub use tls::{TlsFiles, server};

use super::{Event, Feed, lock};
use crate::base::{Anomaly, AnomalyKind, Batch, Endpoint, LinkType, PacketMeta, Timestamp, limits};
use crate::capture::CaptureInfo;
use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of packets in one batch.
const BATCH_BYTES: usize = 256 << 10;
/// How old a batch may get, and how often to ask whether to stop.
const COLLECT: Duration = Duration::from_millis(100);
/// IP packets without a link header.
const RAW_IP: LinkType = LinkType(101);

/// How HEP is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HepTransport {
    /// A packet in each datagram.
    Udp,
    /// One packet after the other.
    Tcp,
    /// The same, under TLS.
    Tls,
}

impl HepTransport {
    /// The transport at the start of "tcp:...", UDP without one, and what is behind.
    pub fn split(text: &str) -> (Self, &str) {
        match text.split_once(':') {
            Some(("udp", rest)) => (Self::Udp, rest),
            Some(("tcp", rest)) => (Self::Tcp, rest),
            Some(("tls", rest)) => (Self::Tls, rest),
            _ => (Self::Udp, text),
        }
    }
}

impl fmt::Display for HepTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

/// "udp:127.0.0.1:9060": where HEP goes. Without a transport it is UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HepAddress {
    /// How.
    pub transport: HepTransport,
    /// Where.
    pub address: SocketAddr,
}

impl FromStr for HepAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, address) = HepTransport::split(text);
        let address = address.parse().map_err(|_| "must look like udp:127.0.0.1:9060, tcp:[::1]:9060".to_owned())?;
        Ok(Self { transport, address })
    }
}

impl fmt::Display for HepAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}

/// Makes a packet of a HEP message from a peer to us, or says why it is not taken.
pub type Pack = Arc<dyn Fn(Endpoint, Endpoint, &[u8]) -> Result<Vec<u8>, Refused> + Send + Sync>;

/// Why a HEP message is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// It has no key, or another one.
    Key,
    /// It is longer than a packet can be.
    TooLong,
    /// It is no HEP.
    NotHep,
    /// It did not come to its end, or its sender did not come through with TLS.
    Stalled,
    /// There are too many connections.
    Crowded,
    /// TLS failed.
    Tls,
}

impl Refused {
    fn words(self) -> &'static str {
        match self {
            Self::Key => "wrong or missing key",
            Self::TooLong => "message longer than a packet can be",
            Self::NotHep => "no HEP",
            Self::Stalled => "half a message, and then nothing",
            Self::Crowded => "too many connections",
            Self::Tls => "TLS failed",
        }
    }
}

/// How to take HEP.
#[derive(Clone)]
pub struct HepSettings {
    /// What becomes of a message.
    pub pack: Pack,
    /// For TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// The time of day.
    pub wall: fn() -> Timestamp,
    /// A clock that nobody sets.
    pub steady: fn() -> Duration,
}

/// What is known of agents before the first packet.
pub(super) fn info(address: HepAddress) -> Vec<CaptureInfo> {
    vec![CaptureInfo::new(format!("hep {address}"), "live", vec![RAW_IP])]
}

/// Something that waits for agents, and is ready to.
pub(super) enum Waiting {
    Datagrams(std::net::UdpSocket),
    Peers(Box<peers::Peers>),
}

/// Binds an address.
pub(super) fn bind(address: HepAddress, settings: &HepSettings) -> io::Result<(Waiting, SocketAddr)> {
    match address.transport {
        HepTransport::Udp => {
            let socket = datagrams::bind(address.address)?;
            let bound = socket.local_addr()?;
            Ok((Waiting::Datagrams(socket), bound))
        }
        HepTransport::Tcp | HepTransport::Tls => {
            let tls = settings.tls.clone().filter(|_| address.transport == HepTransport::Tls);
            let peers = peers::Peers::bind(address.address, tls, settings.steady)?;
            let bound = peers.address();
            Ok((Waiting::Peers(Box::new(peers)), bound))
        }
    }
}

/// Takes what comes, to the end.
pub(super) fn run(waiting: Waiting, bound: SocketAddr, settings: HepSettings, feed: Feed) {
    let intake = Intake {
        feed,
        local: endpoint(bound),
        settings,
        bytes: BytesMut::new(),
        batch: Batch::default(),
        begun: Duration::ZERO,
        told: HashSet::new(),
        unread: 0,
    };
    match waiting {
        Waiting::Datagrams(socket) => datagrams::run(&socket, intake),
        Waiting::Peers(peers) => peers.run(intake),
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { ip: address.ip().to_canonical(), port: address.port() }
}

/// Messages on their way to batches.
struct Intake {
    feed: Feed,
    local: Endpoint,
    settings: HepSettings,
    bytes: BytesMut,
    batch: Batch,
    /// When the first packet of the batch came.
    begun: Duration,
    /// Of whom the user was told what.
    told: HashSet<(IpAddr, Refused)>,
    /// Packets that nobody had time for.
    unread: u64,
}

impl Intake {
    fn stopped(&self) -> bool {
        self.feed.stop.load(Ordering::Acquire)
    }

    /// Takes a message. `patient`: who sends waits when we do, so that nothing needs to be given up.
    fn take(&mut self, from: SocketAddr, message: &[u8], patient: bool) {
        let from = endpoint(from);
        // A socket of all addresses does not say to which of them it came.
        let unspecified = self.local.ip.is_unspecified() && self.local.ip.is_ipv4() != from.ip.is_ipv4();
        let to = Endpoint { ip: if unspecified { from.ip } else { self.local.ip }, ..self.local };
        match (self.settings.pack)(from, to, message) {
            Ok(packet) => self.push(&packet, patient),
            Err(why) => self.refuse(from.ip, why),
        }
    }

    fn push(&mut self, packet: &[u8], patient: bool) {
        if self.batch.packets.is_empty() {
            self.begun = (self.settings.steady)();
        }
        self.batch.packets.push(PacketMeta {
            frame: 0,
            time: (self.settings.wall)(),
            buffer: 0,
            offset: self.bytes.len() as u64,
            captured: packet.len() as u32,
            original: packet.len() as u32,
            link: RAW_IP,
            interface: 0,
        });
        self.bytes.extend_from_slice(packet);
        if self.bytes.len() >= BATCH_BYTES {
            self.flush(patient);
        }
    }

    /// Hands over what is old enough.
    fn flush_old(&mut self, patient: bool) {
        if (self.settings.steady)().saturating_sub(self.begun) >= COLLECT {
            self.flush(patient);
        }
    }

    fn flush(&mut self, patient: bool) {
        if self.batch.packets.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let bytes: Bytes = std::mem::take(&mut self.bytes).freeze();
        let times = batch.packets.first().zip(batch.packets.last()).map(|(first, last)| (first.time, last.time));
        let (packets, size) = (batch.packets.len() as u64, bytes.len() as u64);
        batch.buffers.push(bytes);
        let event = Event::Packets(self.feed.number, batch);
        let given =
            if patient { self.feed.sender.send(event).is_ok() } else { self.feed.sender.try_send(event).is_ok() };
        self.unread += if given { 0 } else { packets };
        let mut told = lock(&self.feed.told);
        for info in &mut told.captures {
            if given {
                info.packets += packets;
                info.bytes += size;
                info.first = info.first.or(times.map(|(first, _)| first));
                info.last = times.map(|(_, last)| last).or(info.last);
            }
            info.drops = self.unread;
        }
    }

    /// Counts what is not taken; the user is told once of each host and reason.
    fn refuse(&mut self, from: IpAddr, why: Refused) {
        let text = format!("HEP from {from} was refused: {}", why.words());
        let mut told = lock(&self.feed.told);
        if self.told.len() < limits::REFUSED_PEERS && self.told.insert((from, why)) {
            told.notes.push(text.clone());
        }
        told.anomalies.add(Anomaly::new(AnomalyKind::HepRefused, 0, 0, text));
    }

    /// Nothing follows.
    fn end(mut self) {
        self.flush(true);
        let _ = self.feed.sender.send(Event::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_transport() {
        let told = |text: &str| text.parse::<HepAddress>().map(|address| address.to_string());
        assert_eq!(told("127.0.0.1:9060").as_deref(), Ok("udp:127.0.0.1:9060"));
        assert_eq!(told("tcp:[::1]:9061").as_deref(), Ok("tcp:[::1]:9061"));
        assert_eq!(told("tls:0.0.0.0:9062").as_deref(), Ok("tls:0.0.0.0:9062"));
        assert!(["9060", "sctp:127.0.0.1:1", "udp:host:1", "tcp:"].iter().all(|wrong| told(wrong).is_err()));
    }
}
