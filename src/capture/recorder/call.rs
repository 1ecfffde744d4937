//! One call as a capture file of its own.

use super::blocks::Blocks;
use crate::base::{LinkType, Timestamp};
use crate::capture::live::Points;
use crate::capture::{Container, Frame, Writer};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A packet that is kept beyond its batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its number; 0 when it was not captured but made.
    pub frame: u32,
    /// Time of capture.
    pub time: Timestamp,
    /// Observation point.
    pub interface: u32,
    /// Link type of the interface.
    pub link: LinkType,
    /// Bytes on the wire.
    pub original: u32,
    /// Captured bytes.
    pub data: Box<[u8]>,
}

impl Kept {
    /// Bytes of memory that it takes, about.
    pub fn size(&self) -> usize {
        /// Itself and its places in tables.
        const REST: usize = 192;
        self.data.len() + REST
    }
}

/// A call to write.
#[derive(Clone, Debug)]
pub struct CallFile {
    /// Ends the name of the file, such as "call-17-A04".
    pub name: String,
    /// In order.
    pub packets: Vec<Arc<Kept>>,
    /// For people, by frame.
    pub comments: HashMap<u32, Vec<String>, RandomState>,
}

impl CallFile {
    /// Time of its first packet that was captured.
    pub(super) fn time(&self) -> Timestamp {
        self.packets.iter().find(|packet| packet.frame > 0).map_or_else(Timestamp::default, |packet| packet.time)
    }

    /// Writes all of it; the bytes written.
    pub(super) fn write(&self, file: File, points: &Points, application: &str) -> io::Result<u64> {
        let mut writer = Writer::new(Blocks::new(file), Container::PcapNg, application)?;
        let mut interfaces: HashMap<(u32, LinkType), u32, RandomState> = HashMap::default();
        for packet in &self.packets {
            let key = (packet.interface, packet.link);
            let interface = if let Some(number) = interfaces.get(&key) {
                *number
            } else {
                let info = points.describe(packet.interface);
                let number = writer.interface(packet.link, info.name.as_deref(), info.description.as_deref())?;
                *interfaces.entry(key).or_insert(number)
            };
            let comments = self.comments.get(&packet.frame).map_or(&[][..], Vec::as_slice);
            let Kept { time, original, ref data, .. } = **packet;
            writer.frame(&Frame { time, interface, original, data, comments })?;
        }
        let blocks = writer.output();
        blocks.put().map_err(|unwritten| unwritten.error)?;
        Ok(blocks.len())
    }
}
