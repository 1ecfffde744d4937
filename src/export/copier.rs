//! The third walk: writes the frames that were found.

use super::anonymize::{self, Content, Namer};
use super::belongs::Bare;
use super::marker::{Mark, Marked};
use super::{border, pdu};
use crate::base::{Batch, LinkType, PacketMeta, Timestamp};
use crate::capture::{Frame, Source, Writer};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::io::{self, Write};

/// Writes the frames. Feed it every packet, in order of capture; those that do not belong cost a comparison.
pub struct Copier<W> {
    writer: Writer<W>,
    marked: Marked,
    /// For people, by frame of the input.
    comments: HashMap<u32, Vec<String>, RandomState>,
    /// Next ones in `marked`.
    mark: usize,
    border: usize,
    bare: usize,
    /// Numbers in the output by interface and link type of the input.
    interfaces: HashMap<(u32, LinkType), u32, RandomState>,
    begun: bool,
    written: Written,
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Frame numbers of the input in the order in which they stand in the output; 0 for frames of our own.
    pub frames: Vec<u32>,
    /// Of them, frames of media.
    pub media: u64,
    /// Messages without packets.
    pub messages: u64,
    /// Frames that belong to the calls and could not be renamed.
    pub left_out: u64,
}

impl<W: Write> Copier<W> {
    /// Writes what is `marked` to `writer`.
    pub fn new(writer: Writer<W>, marked: Marked, comments: HashMap<u32, Vec<String>, RandomState>) -> Self {
        Self {
            writer,
            marked,
            comments,
            mark: 0,
            border: 0,
            bare: 0,
            interfaces: HashMap::default(),
            begun: false,
            written: Written::default(),
        }
    }

    /// The next frame that anything is written for.
    fn next(&self) -> u32 {
        let marked = &self.marked;
        let mark = marked.marks.get(self.mark).map(|(frame, _)| *frame);
        let border = marked.borders.get(self.border).map(|(frame, _)| *frame);
        let bare = marked.bare.get(self.bare).map(|bare| bare.frame);
        [mark, border, bare].into_iter().flatten().min().unwrap_or(u32::MAX)
    }

    /// Takes the next packets of `source`.
    pub fn push(&mut self, batch: &Batch, source: &dyn Source) -> io::Result<()> {
        let mut next = self.next();
        for packet in &batch.packets {
            if packet.frame < next {
                continue;
            }
            self.take(packet, batch.data(packet), source)?;
            next = self.next();
        }
        Ok(())
    }

    fn take(&mut self, packet: &PacketMeta, data: &[u8], source: &dyn Source) -> io::Result<()> {
        if let Some((_, mark)) = self.marked.marks.get(self.mark).filter(|(frame, _)| *frame == packet.frame) {
            let mark = *mark;
            self.mark += 1;
            self.marked(packet, data, mark, source)?;
        }
        if self.marked.borders.get(self.border).is_some_and(|(frame, _)| *frame == packet.frame) {
            self.border += 1;
            if let Some(data) = border::frame(packet.link) {
                let place = Place { frame: 0, time: packet.time, interface: packet.interface, link: packet.link };
                self.write(place, &data, data.len() as u32, source)?;
            }
        }
        while self.marked.bare.get(self.bare).is_some_and(|bare| bare.frame <= packet.frame) {
            let bare = self.marked.bare[self.bare].clone();
            self.bare += 1;
            self.message(bare, packet.interface, source)?;
        }
        Ok(())
    }

    fn marked(&mut self, packet: &PacketMeta, data: &[u8], mark: Mark, source: &dyn Source) -> io::Result<()> {
        let place = Place { frame: packet.frame, time: packet.time, interface: packet.interface, link: packet.link };
        let Some(namer) = &mut self.marked.namer else {
            self.written.media += u64::from(mark == Mark::Media);
            return self.write(place, data, packet.original, source);
        };
        let content = match mark {
            Mark::Sip => Content::Sip,
            Mark::Media => Content::Media,
            Mark::Part => Content::Renamed(self.marked.patches.get(&packet.frame).map_or(&[], Vec::as_slice)),
        };
        match anonymize::packet(namer, packet.link, data, content) {
            Some(renamed) => {
                self.written.media += u64::from(mark == Mark::Media);
                self.write(place, &renamed, packet.original, source)
            }
            None => self.unnamed(packet, source),
        }
    }

    /// A packet that cannot be renamed: its messages are written without it.
    fn unnamed(&mut self, packet: &PacketMeta, source: &dyn Source) -> io::Result<()> {
        self.written.left_out += 1;
        let first = self.marked.renamed.partition_point(|bare| bare.frame < packet.frame);
        let rest = &self.marked.renamed[first..];
        let messages: Vec<Bare> = rest.iter().take_while(|bare| bare.frame == packet.frame).cloned().collect();
        messages.into_iter().try_for_each(|bare| self.message(bare, packet.interface, source))
    }

    fn message(&mut self, bare: Bare, interface: u32, source: &dyn Source) -> io::Result<()> {
        let Bare { frame, time, mut connection, message, .. } = bare;
        let mut message = message.to_vec();
        if let Some(namer) = &mut self.marked.namer {
            anonymize::message(namer, &mut message);
            rename(namer, &mut connection.src.ip);
            rename(namer, &mut connection.dst.ip);
        }
        self.written.messages += 1;
        let data = pdu::encode(connection, &message);
        let place = Place { frame, time, interface, link: pdu::LINK };
        self.write(place, &data, data.len() as u32, source)
    }

    fn write(&mut self, place: Place, data: &[u8], original: u32, source: &dyn Source) -> io::Result<()> {
        let Place { frame, time, interface, link } = place;
        if !std::mem::replace(&mut self.begun, true) && !self.marked.key_log.is_empty() {
            self.writer.secrets(&self.marked.key_log)?;
        }
        let number = match self.interfaces.get(&(interface, link)).copied() {
            Some(number) => number,
            None => self.describe(interface, link, source)?,
        };
        let comments = self.comments.get(&frame).map_or(&[][..], Vec::as_slice);
        self.writer.frame(&Frame { time, interface: number, original, data, comments })?;
        self.written.frames.push(frame);
        Ok(())
    }

    fn describe(&mut self, interface: u32, link: LinkType, source: &dyn Source) -> io::Result<u32> {
        let (capture, own) = source.point(interface);
        let info = source.captures().get(capture).and_then(|info| info.interfaces.get(own as usize));
        // The name of an interface may be that of a person's machine.
        let info = info.filter(|_| self.marked.namer.is_none());
        let (name, description) = info.map_or((None, None), |i| (i.name.as_deref(), i.description.as_deref()));
        let number = self.writer.interface(link, name, description)?;
        self.interfaces.insert((interface, link), number);
        Ok(number)
    }

    /// Ends the file.
    pub fn finish(self) -> io::Result<Written> {
        self.writer.finish()?;
        Ok(self.written)
    }
}

/// Where a frame comes from.
#[derive(Clone, Copy)]
struct Place {
    frame: u32,
    time: Timestamp,
    interface: u32,
    link: LinkType,
}

fn rename(namer: &mut Namer, ip: &mut std::net::IpAddr) {
    *ip = namer.address(*ip);
}
