//! Reads captures: pcap, pcapng, snoop and Network Monitor, mapped, compressed or piped, one or many as one;
//! and listens on interfaces.
//!
//! The only module that names pcap and pcap-parser. It cuts files into packets and does not look
//! into them. What is odd in a file becomes an [`Anomaly`](crate::base::Anomaly), and every whole
//! record is still delivered.

mod compress;
mod file;
mod filter;
mod folder;
mod follow;
mod input;
mod interface;
mod link;
mod live;
mod map;
mod merge;
mod names;
mod netmon;
mod options;
mod pcap;
mod pcapng;
mod recent;
mod record;
mod recorder;
mod rotating;
mod snoop;
#[cfg(test)]
mod tests;
mod write;

pub use file::CaptureFile;
pub use filter::Filtered;
pub use folder::expand;
pub use link::link_type_name;
pub use live::{
    Heard, HepAddress, HepSettings, HepTransport, Interface, Live, Pack, Points, Refused, Settings, TlsFiles,
    interfaces, tls_server,
};
pub use merge::{Merged, Opened, open, open_to_read};
pub use names::Names;
pub use recent::{Keeper, Left};
pub use recorder::{CallFile, Kept, Plan, Recorder, Tally};
pub use rotating::Rotating;
pub use write::{Container, Frame, Writer};

use crate::base::{Anomalies, Batch, Error, LinkType, Timestamp};

/// Where packets come from: a file, several files in time order, a device.
pub trait Source: Send {
    /// Replaces the content of `batch` by the next packets.
    ///
    /// # Errors
    /// A read error is never the end: it is returned, once, after all packets before it. The source
    /// may be asked again; with several files the others go on.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<More, Error>;

    /// What is known of each file so far, in the order given.
    fn captures(&self) -> &[CaptureInfo];

    /// What was odd since the last call. Offsets are those of the file (decompressed); with several
    /// files the frame is 0 and the text names the file and the frame within it.
    fn take_anomalies(&mut self) -> Anomalies;

    /// TLS key log lines (the format of SSLKEYLOGFILE) that the files carried, since the last call.
    /// They stand before the packets that need them: take them after each batch.
    fn key_log(&mut self) -> Vec<u8>;

    /// Names of addresses that the files carried so far.
    fn names(&self) -> &Names;

    /// Which of [`Source::captures`] has the observation point with this number, and its number there.
    fn point(&self, interface: u32) -> (usize, u32) {
        (0, interface)
    }

    /// Comments that the files carried so far, on the packets given out so far, in their order.
    fn comments(&self) -> &[Comment];
}

/// Whether a source goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    /// The batch has at least one packet; there may be more.
    More,
    /// The batch is empty, and all later ones would be.
    End,
}

/// What a capture file says of itself and how well it could be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureInfo {
    /// As given; files found in a folder with the folder before them.
    pub path: String,
    /// `pcap`, `pcapng`, `snoop` or `netmon`; `live` of an interface.
    pub format: &'static str,
    /// Packets read.
    pub packets: u64,
    /// Bytes of the file read, after decompression.
    pub bytes: u64,
    /// Earliest time of a packet.
    pub first: Option<Timestamp>,
    /// Latest time of a packet.
    pub last: Option<Timestamp>,
    /// Of the packets, in order of appearance.
    pub link_types: Vec<LinkType>,
    /// Whether everything but perhaps a cut last record could be read.
    pub complete: bool,
    /// Packets that the capturing side says it dropped.
    pub drops: u64,
    /// Those described so far, in order of description; only pcapng has any.
    pub interfaces: Vec<InterfaceInfo>,
    /// What captured the packets; only pcapng says.
    pub maker: Maker,
    /// The last record is cut, as by a capture program that was killed.
    pub cut: Option<Cut>,
}

impl CaptureInfo {
    /// What is known before the first packet.
    fn new(path: String, format: &'static str, link_types: Vec<LinkType>) -> Self {
        Self {
            path,
            format,
            packets: 0,
            bytes: 0,
            first: None,
            last: None,
            link_types,
            complete: true,
            drops: 0,
            interfaces: Vec::new(),
            maker: Maker::default(),
            cut: None,
        }
    }
}

/// Where a file ends in the middle of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Frame, 1-based within its file, that would have been next.
    pub frame: u32,
    /// Offset in the file, after decompression, where the record starts.
    pub offset: u64,
}

/// What a capture file says of one of its interfaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceInfo {
    /// Such as `eth0`.
    pub name: Option<String>,
    /// As people know it.
    pub description: Option<String>,
    /// Of its packets.
    pub link: LinkType,
    /// Packets of it, so far.
    pub packets: u64,
    /// Packets of it that the capturing side says it dropped, so far.
    pub drops: u64,
}

/// What a capture was made with, and what somebody wrote about it as a whole: of the first section that says it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maker {
    /// The machine.
    pub hardware: Option<String>,
    /// Its operating system.
    pub os: Option<String>,
    /// The program.
    pub application: Option<String>,
    /// About the whole capture.
    pub comment: Option<String>,
}

/// What somebody wrote about a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Number of the packet, as in [`PacketMeta`](crate::base::PacketMeta).
    pub frame: u32,
    /// The first [`COMMENT_BYTES`](crate::base::limits::COMMENT_BYTES) of it.
    pub text: String,
}
