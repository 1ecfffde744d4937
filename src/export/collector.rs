//! A HEP collector such as Homer: one connection, opened again when it breaks, in a thread of its own.

use crate::base::{Error, limits};
use crate::capture::HepTransport;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a collector may take to answer, or to make room.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before it is tried again, at first and at last.
const SOON: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(30);
/// How often one who waits asks whether to go on.
const STEP: Duration = Duration::from_millis(100);
/// How long what waits may take when nothing follows.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// "tls:homer.example.net:9061". Without a transport it is UDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectorAddress {
    /// How.
    pub transport: HepTransport,
    /// Who: a name, or an IP address.
    pub host: String,
    /// Where.
    pub port: u16,
}

impl FromStr for CollectorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, rest) = HepTransport::split(text);
        let wrong = || "must look like udp:192.0.2.1:9060, tls:homer.example.net:9061".to_owned();
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        // A transport that we do not know is no host.
        let is_host = !host.is_empty() && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok());
        if is_host { Ok(Self { transport, host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl Display for CollectorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, host, port } = self;
        if host.contains(':') {
            write!(f, "{transport}:[{host}]:{port}")
        } else {
            write!(f, "{transport}:{host}:{port}")
        }
    }
}

impl CollectorAddress {
    /// Its IP addresses: looked up once, so that what is sent to it stays out of what is captured, whatever a name means
    /// later.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that nobody knows.
    pub fn look_up(&self) -> Result<Vec<SocketAddr>, Error> {
        let unknown = |why: &dyn Display| Error::Usage(format!("cannot look up {}: {why}", self.host));
        let found = (self.host.as_str(), self.port).to_socket_addrs().map_err(|why| unknown(&why))?;
        let found: Vec<SocketAddr> = found.collect();
        if found.is_empty() { Err(unknown(&"it has no address")) } else { Ok(found) }
    }

    /// What a client of TLS 1.2 and 1.3 needs: the authorities of a PEM file, or those of the system.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are none, or the host is none that a certificate can name.
    pub fn tls(&self, authorities: Option<&Path>) -> Result<TlsClient, Error> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = authorities {
            let wrong = |why: &dyn Display| Error::Usage(format!("{}: {why}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|why| wrong(&why))? {
                roots.add(certificate.map_err(|why| wrong(&why))?).map_err(|why| wrong(&why))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err(Error::Usage("there is no authority to trust: --hep-ca FILE names some".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| Error::Usage(format!("TLS: {why}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name =
            ServerName::try_from(self.host.clone()).map_err(|why| Error::Usage(format!("{}: {why}", self.host)))?;
        Ok(TlsClient { config: Arc::new(config), name })
    }
}

/// Whom to trust, and to be whom.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// What the two sides share.
#[derive(Default)]
struct Shared {
    /// Bytes that wait to be sent.
    waiting: AtomicUsize,
    sent: AtomicU64,
    lost: AtomicU64,
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Why nothing can be sent, and how many were lost before that.
    down: Option<(String, u64)>,
    troubles: Vec<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Nothing can be sent. The user is told when that begins.
    fn down(&self, name: &CollectorAddress, why: &io::Error) {
        let mut state = self.lock();
        if state.down.is_none() {
            let text = format!("HEP collector {name}: {why}");
            state.troubles.push(format!("{text}; it is tried again"));
            state.down = Some((text, self.lost.load(Ordering::Relaxed)));
        }
    }

    /// It can again.
    fn up(&self, name: &CollectorAddress) {
        let mut state = self.lock();
        if let Some((_, before)) = state.down.take() {
            let lost = self.lost.load(Ordering::Relaxed) - before;
            state.troubles.push(format!("HEP collector {name} is back; {lost} messages were lost meanwhile"));
        }
    }
}

/// Sends HEP packets, and never holds up who has them.
pub struct Collector {
    packets: Sender<Vec<u8>>,
    ended: Receiver<()>,
    shared: Arc<Shared>,
    offered: u64,
}

impl Collector {
    /// Starts the thread. `addresses` are tried in turn.
    pub fn start(name: CollectorAddress, addresses: Vec<SocketAddr>, tls: Option<TlsClient>) -> Self {
        let (packets, waiting) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let link = Link { name, addresses, tls, socket: None, next: 0, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            link.work(&waiting);
            let _ = end.send(());
        });
        Self { packets, ended, shared, offered: 0 }
    }

    /// One packet, unless too much waits; `None` is one that could not be written.
    pub fn send(&mut self, packet: Option<Vec<u8>>) {
        self.offered += 1;
        let Some(packet) = packet else {
            return self.shared.lose();
        };
        let bytes = packet.len();
        let before = self.shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > limits::HEP_WAITING || self.packets.send(packet).is_err() {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lose();
        }
    }

    /// What the user must be told, each once.
    pub fn troubles(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().troubles)
    }

    /// Why nothing can be sent at the moment.
    pub fn fault(&self) -> Option<String> {
        self.shared.lock().down.as_ref().map(|(why, _)| why.clone())
    }

    /// Sends what waits, within seconds; how many messages were sent and lost in all.
    pub fn finish(self) -> (u64, u64) {
        let Self { packets, ended, shared, offered } = self;
        shared.closed.store(true, Ordering::Release);
        drop(packets);
        let _ = ended.recv_timeout(LAST_WAIT);
        let sent = shared.sent.load(Ordering::Relaxed);
        (sent, offered - sent)
    }
}

/// The connection, and how to have another.
struct Link {
    name: CollectorAddress,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsClient>,
    socket: Option<Socket>,
    /// Which of the addresses is tried next.
    next: usize,
    shared: Arc<Shared>,
}

impl Link {
    /// Sends what comes, until nothing waits and nothing will.
    fn work(mut self, packets: &Receiver<Vec<u8>>) {
        for packet in packets {
            if self.deliver(&packet) {
                self.shared.sent.fetch_add(1, Ordering::Relaxed);
            } else {
                self.shared.lose();
            }
            self.shared.waiting.fetch_sub(packet.len(), Ordering::Relaxed);
        }
        if let Some(socket) = &mut self.socket {
            socket.close();
        }
    }

    /// Sends one packet, over another connection if this one broke. Whether it is on its way.
    fn deliver(&mut self, packet: &[u8]) -> bool {
        let mut pause = SOON;
        loop {
            let sent = self.socket().and_then(|socket| socket.send(packet));
            let Err(why) = sent else {
                self.shared.up(&self.name);
                return true;
            };
            self.socket = None;
            self.shared.down(&self.name, &why);
            // A datagram is not worth waiting for: the next one is as good.
            if self.name.transport == HepTransport::Udp || !self.wait(pause) {
                return false;
            }
            pause = (pause * 2).min(LATE);
        }
    }

    /// Waits. Whether to go on.
    fn wait(&self, pause: Duration) -> bool {
        let mut waited = Duration::ZERO;
        while waited < pause && !self.shared.is_closed() {
            thread::sleep(STEP);
            waited += STEP;
        }
        !self.shared.is_closed()
    }

    /// The connection, opened if there is none that stands.
    fn socket(&mut self) -> io::Result<&mut Socket> {
        if self.socket.as_mut().is_some_and(|socket| !socket.is_alive()) {
            self.socket = None;
        }
        match &mut self.socket {
            Some(_) => {}
            none => {
                let address = self.addresses.get(self.next % self.addresses.len().max(1));
                let address = *address.ok_or(ErrorKind::NotFound)?;
                self.next = self.next.wrapping_add(1);
                *none = Some(Socket::open(self.name.transport, address, self.tls.as_ref())?);
            }
        }
        self.socket.as_mut().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    fn open(transport: HepTransport, address: SocketAddr, tls: Option<&TlsClient>) -> io::Result<Self> {
        if transport == HepTransport::Udp {
            let any: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0))?;
            // Errors that come back are told then.
            socket.connect(address)?;
            return Ok(Self::Udp(socket));
        }
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let Some(tls) = tls else {
            return Ok(Self::Tcp(socket));
        };
        let session = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        // A certificate that is not trusted is told here, not with the first packet.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::Tls(Box::new(stream)))
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet).map(|_| ()),
            Self::Tcp(socket) => socket.write_all(packet),
            Self::Tls(stream) => stream.write_all(packet).and_then(|()| stream.flush()),
        }
    }

    /// Whether the other side is still there, as far as it told; what else it says is of no interest.
    fn is_alive(&mut self) -> bool {
        let socket = match self {
            Self::Udp(_) => return true,
            Self::Tcp(socket) => &*socket,
            Self::Tls(stream) => &stream.sock,
        };
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let heard = match self {
            Self::Udp(_) => Ok(1),
            Self::Tcp(socket) => socket.read(&mut [0; 1024]),
            Self::Tls(stream) => stream.conn.read_tls(&mut stream.sock).and_then(|length| {
                stream.conn.process_new_packets().map_err(io::Error::other)?;
                // Reads it, so that nothing piles up.
                let _ = io::copy(&mut stream.conn.reader().take(1 << 16), &mut io::sink());
                Ok(length)
            }),
        };
        let socket = match self {
            Self::Udp(_) => return true,
            Self::Tcp(socket) => &*socket,
            Self::Tls(stream) => &stream.sock,
        };
        let is_usable = socket.set_nonblocking(false).is_ok();
        is_usable && heard.map_or_else(|why| why.kind() == ErrorKind::WouldBlock, |length| length > 0)
    }

    /// Says that nothing follows.
    fn close(&mut self) {
        match self {
            Self::Udp(_) => {}
            Self::Tcp(socket) => drop(socket.shutdown(Shutdown::Write)),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                let _ = stream.sock.shutdown(Shutdown::Write);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_have_a_transport_a_host_and_a_port() {
        let told = |text: &str| text.parse::<CollectorAddress>().map(|address| address.to_string());
        assert_eq!(told("127.0.0.1:9060").as_deref(), Ok("udp:127.0.0.1:9060"));
        assert_eq!(told("tls:homer.example.net:9061").as_deref(), Ok("tls:homer.example.net:9061"));
        assert_eq!(told("tcp:[::1]:9061").as_deref(), Ok("tcp:[::1]:9061"));
        let wrong = ["homer", "sctp:host:1", "udp::9060", "tcp:host:0", "tcp:host:70000", "[::1]"];
        assert!(wrong.iter().all(|wrong| told(wrong).is_err()));
    }
}
