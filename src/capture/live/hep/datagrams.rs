//! HEP over UDP.

use super::{COLLECT, Intake};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

/// Bytes that the kernel may hold for us; it gives as much as it is set to.
const KERNEL_BUFFER: usize = 8 << 20;
/// No datagram is longer.
const LONGEST: usize = 65_536;

pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(COLLECT))?;
    Ok(socket.into())
}

/// The thread of a socket.
pub(super) fn run(socket: &UdpSocket, mut intake: Intake) {
    let mut buffer = vec![0; LONGEST];
    while !intake.stopped() {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                intake.take(from, &buffer[..length], false);
                intake.flush_old(false);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => intake.flush(false),
            // An ICMP error to something that was never sent, a signal: the next one comes.
            Err(_) => intake.flush(false),
        }
    }
    intake.end();
}
