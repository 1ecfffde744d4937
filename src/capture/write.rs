//! Writes captures: pcapng with several interfaces and comments on packets, or classic pcap.
//!
//! Times are in nanoseconds in both (draft-ietf-opsawg-pcapng 4.2, if_tsresol; the magic number
//! 0xa1b23c4d of draft-ietf-opsawg-pcap). Numbers are little endian, whatever machine writes them.

use crate::base::{LinkType, Timestamp};
use std::io::{self, Write};

/// The two formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// Any number of interfaces and link types; comments.
    PcapNg,
    /// One link type, no comments.
    Pcap,
}

/// One packet to write.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Time of capture. pcapng has none before 1970, which becomes 1970.
    pub time: Timestamp,
    /// As [`Writer::interface`] gave it.
    pub interface: u32,
    /// Bytes on the wire.
    pub original: u32,
    /// Captured bytes.
    pub data: &'a [u8],
    /// For people; classic pcap has no place for them.
    pub comments: &'a [String],
}

/// Writes one capture file, from its start to its end.
pub struct Writer<W> {
    out: W,
    container: Container,
    /// Link types of the interfaces so far.
    interfaces: Vec<LinkType>,
    block: Vec<u8>,
}

mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    pub(super) const SECRETS: u32 = 0xa;
}

mod option {
    pub(super) const COMMENT: u16 = 1;
    pub(super) const NAME: u16 = 2;
    pub(super) const DESCRIPTION: u16 = 3;
    pub(super) const APPLICATION: u16 = 4;
    pub(super) const TIME_RESOLUTION: u16 = 9;
    pub(super) const RECEIVED: u16 = 4;
    pub(super) const DROPPED: u16 = 5;
}

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// TLS key log, as secrets of pcapng: "TLSK".
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Nanoseconds: 10^-9 seconds.
const RESOLUTION: u8 = 9;
const PCAP_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// No packet of the file is longer; what libpcap takes for "all of it".
const SNAP_LENGTH: u32 = 262_144;

impl<W: Write> Writer<W> {
    /// Begins a file. `application` is what wrote it, for pcapng.
    pub fn new(out: W, container: Container, application: &str) -> io::Result<Self> {
        let mut writer = Self { out, container, interfaces: Vec::new(), block: Vec::new() };
        if container == Container::PcapNg {
            writer.begin(block::SECTION);
            writer.put(&BYTE_ORDER_MAGIC.to_le_bytes());
            writer.put(&[1, 0, 0, 0]); // version 1.0
            writer.put(&u64::MAX.to_le_bytes()); // length of the section: not told
            writer.text(option::APPLICATION, application);
            writer.end()?;
        }
        Ok(writer)
    }

    /// Describes an interface, whose packets may follow; its number for [`Frame::interface`].
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] for a second link type in classic pcap.
    pub fn interface(&mut self, link: LinkType, name: Option<&str>, description: Option<&str>) -> io::Result<u32> {
        match self.container {
            Container::PcapNg => {
                self.begin(block::INTERFACE);
                self.put(&link.0.to_le_bytes());
                self.put(&[0; 2]);
                self.put(&0_u32.to_le_bytes()); // no limit on the length of packets
                for (code, text) in [(option::NAME, name), (option::DESCRIPTION, description)] {
                    if let Some(text) = text {
                        self.text(code, text);
                    }
                }
                self.option(option::TIME_RESOLUTION, &[RESOLUTION]);
                self.end()?;
            }
            Container::Pcap => match self.interfaces.first() {
                None => {
                    self.block.clear();
                    self.put(&PCAP_NANOSECONDS.to_le_bytes());
                    self.put(&[2, 0, 4, 0]); // version 2.4
                    self.put(&[0; 8]);
                    self.put(&SNAP_LENGTH.to_le_bytes());
                    self.put(&u32::from(link.0).to_le_bytes());
                    self.out.write_all(&self.block)?;
                }
                Some(first) if *first == link => {}
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "classic pcap has one link type")),
            },
        }
        self.interfaces.push(link);
        Ok(self.interfaces.len() as u32 - 1)
    }

    /// Writes TLS secrets, in the format of SSLKEYLOGFILE, before the packets that need them; classic pcap has no
    /// place for them.
    pub fn secrets(&mut self, key_log: &[u8]) -> io::Result<()> {
        if self.container == Container::Pcap {
            return Ok(());
        }
        self.begin(block::SECRETS);
        self.put(&TLS_KEY_LOG.to_le_bytes());
        self.put(&(key_log.len() as u32).to_le_bytes());
        self.put(key_log);
        self.pad();
        self.end()
    }

    /// Writes a packet.
    pub fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let captured = frame.data.len() as u32;
        let nanos = frame.time.as_nanos().max(0).unsigned_abs();
        match self.container {
            Container::PcapNg => {
                self.begin(block::ENHANCED_PACKET);
                for word in [frame.interface, (nanos >> 32) as u32, nanos as u32, captured, frame.original] {
                    self.put(&word.to_le_bytes());
                }
                self.put(frame.data);
                self.pad();
                for comment in frame.comments {
                    self.text(option::COMMENT, comment);
                }
                if !frame.comments.is_empty() {
                    self.put(&[0; 4]); // end of options
                }
                self.end()
            }
            Container::Pcap => {
                const SECOND: u64 = 1_000_000_000;
                self.block.clear();
                for word in [(nanos / SECOND) as u32, (nanos % SECOND) as u32, captured, frame.original] {
                    self.put(&word.to_le_bytes());
                }
                self.out.write_all(&self.block)?;
                self.out.write_all(frame.data)
            }
        }
    }

    /// Tells how many packets an interface had until `time`, and how many of them were dropped; classic pcap has no
    /// place for it.
    pub fn statistics(&mut self, interface: u32, time: Timestamp, packets: u64, dropped: u64) -> io::Result<()> {
        if self.container == Container::Pcap {
            return Ok(());
        }
        let nanos = time.as_nanos().max(0).unsigned_abs();
        self.begin(block::STATISTICS);
        for word in [interface, (nanos >> 32) as u32, nanos as u32] {
            self.put(&word.to_le_bytes());
        }
        self.option(option::RECEIVED, &packets.to_le_bytes());
        self.option(option::DROPPED, &dropped.to_le_bytes());
        self.put(&[0; 4]); // end of options
        self.end()
    }

    /// Where it writes to: every block of pcapng is one `write_all`.
    pub fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends the file and gives the output back. A classic pcap without packets is one of Ethernet.
    pub fn finish(mut self) -> io::Result<W> {
        if self.container == Container::Pcap && self.interfaces.is_empty() {
            self.interface(LinkType(1), None, None)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.put(&kind.to_le_bytes());
        self.put(&[0; 4]); // total length, told at the end
    }

    fn put(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        self.put(&code.to_le_bytes());
        self.put(&(value.len() as u16).to_le_bytes());
        self.put(value);
        self.pad();
    }

    /// An option of UTF-8 text, which is cut where a character ends.
    fn text(&mut self, code: u16, text: &str) {
        let mut end = usize::from(u16::MAX).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.option(code, &text.as_bytes()[..end]);
    }

    fn end(&mut self) -> io::Result<()> {
        let total = (self.block.len() as u32 + 4).to_le_bytes();
        self.put(&total);
        self.block[4..8].copy_from_slice(&total);
        self.out.write_all(&self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Batch;
    use crate::capture::{CaptureFile, More, Source};
    use std::path::Path;

    fn frame<'a>(interface: u32, data: &'a [u8], comments: &'a [String]) -> Frame<'a> {
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789 + i64::from(interface));
        Frame { time, interface, original: data.len() as u32 + 7, data, comments }
    }

    fn read(bytes: Vec<u8>) -> (CaptureFile, Batch) {
        let mut file = CaptureFile::read(Box::new(io::Cursor::new(bytes)), Path::new("x")).unwrap();
        let mut batch = Batch::default();
        assert_eq!(file.next_batch(&mut batch).unwrap(), More::More);
        (file, batch)
    }

    #[test]
    fn interfaces_times_lengths_and_comments_come_back() {
        let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
        let first = writer.interface(LinkType(1), Some("eth0"), None).unwrap();
        let comments = ["one".to_owned(), "zwei: ä".to_owned()];
        writer.frame(&frame(first, b"abcde", &comments)).unwrap();
        let second = writer.interface(LinkType(101), None, Some("a tunnel")).unwrap();
        writer.frame(&frame(second, b"", &[])).unwrap();
        let (file, batch) = read(writer.finish().unwrap());
        let told: Vec<_> = batch.packets.iter().map(|p| (p.link.0, p.interface, p.captured, p.original)).collect();
        assert_eq!(told, [(1, 0, 5, 12), (101, 1, 0, 7)]);
        assert_eq!(batch.packets[0].time.as_nanos(), 1_700_000_000_123_456_789);
        assert_eq!(batch.data(&batch.packets[0]), b"abcde");
        let comments: Vec<_> = file.comments().iter().map(|comment| (comment.frame, comment.text.as_str())).collect();
        assert_eq!(comments, [(1, "one"), (1, "zwei: ä")]);
        let interfaces = &file.captures()[0].interfaces;
        assert_eq!(interfaces[0].name.as_deref(), Some("eth0"));
        assert_eq!(interfaces[1].description.as_deref(), Some("a tunnel"));
        assert!(file.captures()[0].complete);
    }

    #[test]
    fn classic_pcap_has_one_link_type_and_nanoseconds() {
        let mut writer = Writer::new(Vec::new(), Container::Pcap, "test").unwrap();
        let first = writer.interface(LinkType(113), None, None).unwrap();
        assert_eq!(writer.interface(LinkType(113), None, None).unwrap(), 1, "two interfaces of one kind are fine");
        assert!(writer.interface(LinkType(1), None, None).is_err());
        writer.frame(&frame(first, b"abc", &["lost".to_owned()])).unwrap();
        let (file, batch) = read(writer.finish().unwrap());
        assert_eq!(file.captures()[0].format, "pcap");
        assert_eq!((batch.packets[0].link.0, batch.packets[0].time.as_nanos() % 1_000_000_000), (113, 123_456_789));
    }

    #[test]
    fn texts_are_cut_where_a_character_ends() {
        let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
        let interface = writer.interface(LinkType(1), None, None).unwrap();
        writer.frame(&frame(interface, b"a", &["ä".repeat(40_000)])).unwrap();
        let (file, _) = read(writer.finish().unwrap());
        assert!(file.captures()[0].complete && file.comments()[0].text.starts_with('ä'));
    }

    #[test]
    fn statistics_come_back() {
        let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
        let interface = writer.interface(LinkType(1), None, None).unwrap();
        writer.frame(&frame(interface, b"a", &[])).unwrap();
        writer.statistics(interface, Timestamp::from_nanos(1_700_000_001_000_000_000), 10, 9).unwrap();
        let (mut file, mut batch) = read(writer.finish().unwrap());
        assert_eq!(file.next_batch(&mut batch).unwrap(), More::End);
        assert_eq!((file.captures()[0].drops, file.captures()[0].interfaces[0].drops), (9, 9));
    }

    #[test]
    fn secrets_come_back() {
        let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
        writer.secrets(b"CLIENT_RANDOM 01 02\n").unwrap();
        let interface = writer.interface(LinkType(1), None, None).unwrap();
        writer.frame(&frame(interface, b"a", &[])).unwrap();
        let (mut file, _) = read(writer.finish().unwrap());
        assert_eq!(file.key_log().trim_ascii(), b"CLIENT_RANDOM 01 02");
    }
}
