//! Messages that another program captured and passes on.

use crate::base::{Connection, Endpoint, Timestamp, Transport, limits};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use std::borrow::Cow;
use std::io::Read;

/// A message out of its packets, with what was told about them: from HEP, or exported by Wireshark.
#[derive(Clone, Copy, Debug)]
pub struct Relayed<'a> {
    /// Who sent it to whom over what, where it was captured.
    pub connection: Connection,
    /// When it was captured there, if told.
    pub time: Option<Timestamp>,
    /// Who captured it (0: not told); the same number for all that one program passes on.
    pub agent: u64,
    /// The message; [`Relayed::content`] unpacks it.
    pub payload: &'a [u8],
    /// Bytes of it that the capture lacks.
    pub missing: u32,
    /// Whether `payload` is compressed.
    pub compressed: bool,
}

impl<'a> Relayed<'a> {
    /// The message, unpacked up to [`limits::STREAM_MESSAGE_BYTES`], and whether that is all of it.
    pub fn content(&self) -> (Cow<'a, [u8]>, bool) {
        if !self.compressed {
            return (Cow::Borrowed(self.payload), self.missing == 0);
        }
        // HEP says "gzip or inflate"; the first bytes tell (RFC 1950, RFC 1952).
        match self.payload {
            [0x1f, 0x8b, ..] => unpack(GzDecoder::new(self.payload)),
            [head, flags, ..] if head & 0x0f == 8 && u16::from_be_bytes([*head, *flags]) % 31 == 0 => {
                unpack(ZlibDecoder::new(self.payload))
            }
            _ => unpack(DeflateDecoder::new(self.payload)),
        }
    }
}

fn unpack(reader: impl Read) -> (Cow<'static, [u8]>, bool) {
    let limit = limits::STREAM_MESSAGE_BYTES;
    let mut bytes = Vec::new();
    // What came out before an error counts.
    let read = reader.take(limit as u64 + 1).read_to_end(&mut bytes);
    let all = read.is_ok() && bytes.len() <= limit;
    bytes.truncate(limit);
    (Cow::Owned(bytes), all)
}

/// The connection between two ends over an IP protocol.
pub(super) fn connection(src: Endpoint, dst: Endpoint, protocol: u8) -> Connection {
    let transport = match protocol {
        super::walk::TCP => Transport::Tcp,
        super::walk::SCTP => Transport::Sctp,
        _ => Transport::Udp,
    };
    Connection { src, dst, transport }
}
