//! HEP over TCP and TLS: one thread for all connections of an address, each with room for one message.

use super::{COLLECT, Intake, Refused};
use crate::base::limits;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The connection that new ones come to.
const LISTENER: Token = Token(0);
/// Bytes taken from one connection before the next has its turn.
const TURN: usize = 256 << 10;
/// Bytes taken at once.
const PIECE: usize = 16 << 10;
/// How long the second half of a message, or of a TLS handshake, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a HEP 3 message starts, and its length with that.
const MAGIC: &[u8] = b"HEP3";
const HEAD: usize = 6;

pub(in crate::capture::live) struct Peers {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    steady: fn() -> Duration,
    open: HashMap<Token, Peer>,
    next: usize,
    /// Those that may have more than was taken in their last turn.
    ready: VecDeque<Token>,
}

struct Peer {
    socket: TcpStream,
    address: SocketAddr,
    tls: Option<Box<ServerConnection>>,
    /// What came of a message that is not whole yet.
    held: Vec<u8>,
    /// When its last whole message came, or it itself.
    heard: Duration,
}

/// How a turn of a peer ended.
enum Turn {
    /// Nothing more for now.
    Idle,
    /// There may be more.
    More,
    /// It hung up, or has to go.
    Gone(Option<Refused>),
}

impl Peers {
    pub(super) fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        steady: fn() -> Duration,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let address = listener.local_addr()?;
        let (open, ready) = (HashMap::new(), VecDeque::new());
        Ok(Self { poll, listener, address, tls, steady, open, next: LISTENER.0 + 1, ready })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn run(mut self, mut intake: Intake) {
        let mut events = Events::with_capacity(256);
        while !intake.stopped() {
            let wait = if self.ready.is_empty() { COLLECT } else { Duration::ZERO };
            // A signal interrupts it, which is no reason to stop.
            let _ = self.poll.poll(&mut events, Some(wait));
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(&mut intake),
                    token if !self.ready.contains(&token) => self.ready.push_back(token),
                    _ => {}
                }
            }
            for _ in 0..self.ready.len() {
                if let Some(token) = self.ready.pop_front() {
                    self.turn(token, &mut intake);
                }
            }
            self.drop_stalled(&mut intake);
            intake.flush_old(true);
        }
        intake.end();
    }

    /// Takes in all who wait. Who comes too many replaces the one that was quiet for longest.
    fn accept(&mut self, intake: &mut Intake) {
        while let Ok((mut socket, address)) = self.listener.accept() {
            if self.open.len() >= limits::HEP_PEERS {
                let quiet =
                    self.open.iter().filter(|(_, peer)| peer.held.is_empty()).min_by_key(|(_, peer)| peer.heard);
                let quiet = quiet.map(|(token, _)| *token);
                let gone = quiet.and_then(|token| self.open.remove(&token)).map_or(address, |peer| peer.address);
                intake.refuse(gone.ip(), Refused::Crowded);
                if quiet.is_none() {
                    continue;
                }
            }
            let tls = match self.tls.clone().map(ServerConnection::new).transpose() {
                Ok(tls) => tls.map(Box::new),
                Err(_) => continue,
            };
            let token = Token(self.next);
            self.next = self.next.checked_add(1).unwrap_or(LISTENER.0 + 1);
            if self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE).is_ok() {
                let heard = (self.steady)();
                self.open.insert(token, Peer { socket, address, tls, held: Vec::new(), heard });
            }
        }
    }

    fn turn(&mut self, token: Token, intake: &mut Intake) {
        let now = (self.steady)();
        let Some(peer) = self.open.get_mut(&token) else {
            return;
        };
        match peer.read(now, intake) {
            Turn::Idle => {}
            Turn::More => self.ready.push_back(token),
            Turn::Gone(why) => {
                let gone = self.open.remove(&token);
                if let Some((peer, why)) = gone.zip(why) {
                    intake.refuse(peer.address.ip(), why);
                }
            }
        }
    }

    fn drop_stalled(&mut self, intake: &mut Intake) {
        let now = (self.steady)();
        self.open.retain(|_, peer| {
            let stays = !peer.waits() || now.saturating_sub(peer.heard) < PATIENCE;
            if !stays {
                intake.refuse(peer.address.ip(), Refused::Stalled);
            }
            stays
        });
    }
}

impl Peer {
    /// Whether something is begun and not ended.
    fn waits(&self) -> bool {
        !self.held.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn read(&mut self, now: Duration, intake: &mut Intake) -> Turn {
        let mut piece = [0; PIECE];
        let mut taken = 0;
        while taken < TURN {
            match self.piece(&mut piece) {
                Ok(0) => return Turn::Gone((!self.held.is_empty()).then_some(Refused::Stalled)),
                Ok(length) => {
                    taken += length;
                    // Its time runs from the first byte of a message.
                    if self.held.is_empty() {
                        self.heard = now;
                    }
                    self.held.extend_from_slice(&piece[..length]);
                    match self.cut(intake) {
                        Ok(0) => {}
                        Ok(_) => self.heard = now,
                        Err(why) => return Turn::Gone(Some(why)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Idle,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::InvalidData => return Turn::Gone(Some(Refused::Tls)),
                Err(_) => return Turn::Gone(None),
            }
        }
        Turn::More
    }

    /// Bytes in the clear.
    fn piece(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(piece);
        };
        loop {
            match tls.reader().read(piece) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            while tls.wants_write() {
                match tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if tls.process_new_packets().is_err() {
                let _ = tls.write_tls(&mut self.socket); // the alert that says why
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    /// Takes the whole messages out of what is held; how many.
    fn cut(&mut self, intake: &mut Intake) -> Result<usize, Refused> {
        let (mut start, mut count) = (0, 0);
        loop {
            let rest = &self.held[start..];
            let known = rest.len().min(MAGIC.len());
            if rest[..known] != MAGIC[..known] {
                return Err(Refused::NotHep);
            }
            let Some([_, _, _, _, high, low]) = rest.first_chunk::<HEAD>() else {
                break;
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length < HEAD {
                return Err(Refused::NotHep);
            }
            let Some(message) = rest.get(..length) else {
                break;
            };
            intake.take(self.address, message, true);
            start += length;
            count += 1;
        }
        self.held.drain(..start);
        Ok(count)
    }
}
