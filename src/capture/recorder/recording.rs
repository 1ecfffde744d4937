//! What the thread that writes does: one file after the other, and what to do when the disk does not take it.

use super::blocks::{Blocks, CHUNK, Unwritten};
use super::call::CallFile;
use super::folder::Folder;
use super::{Counts, Plan, Tally};
use crate::base::{Batch, Error, LinkType, PacketMeta, Timestamp};
use crate::capture::live::Points;
use crate::capture::{Container, Frame, Writer};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fs::File;
use std::io;

/// Blocks around the bytes of a packet, about.
const AROUND: u64 = 40;

/// Writes packets to files in a folder.
pub(super) struct Recording {
    plan: Plan,
    points: Points,
    folder: Folder,
    file: Option<Open>,
    /// Of the last file.
    number: usize,
    /// After an error, until it is time to try again.
    paused: bool,
    /// Why nothing is written, as the user was told.
    fault: Option<String>,
    /// Packets that no file has, by interface, until a file says so.
    missing: Counts,
    /// Drops of each interface that files have told.
    told_drops: Counts,
    tally: Tally,
    troubles: Vec<String>,
}

/// A file that is being written.
struct Open {
    name: String,
    writer: Writer<Blocks>,
    /// Numbers in the file, and packets of each.
    interfaces: HashMap<(u32, LinkType), (u32, u64), RandomState>,
    first: Timestamp,
    last: Timestamp,
    /// Packets in the file.
    on_disk: u64,
    /// Packets that wait for it.
    waiting: u64,
}

impl Recording {
    pub(super) fn new(plan: Plan, points: Points) -> Result<Self, Error> {
        let folder = Folder::open(&plan.folder, plan.cap)?;
        Ok(Self {
            plan,
            points,
            folder,
            file: None,
            number: 0,
            paused: false,
            fault: None,
            missing: Counts::new(),
            told_drops: Counts::new(),
            tally: Tally::default(),
            troubles: Vec::new(),
        })
    }

    /// Packets that had no room before they came here; they are counted already.
    pub(super) fn missed(&mut self, packets: Counts) {
        for (interface, count) in packets {
            *self.missing.entry(interface).or_default() += count;
        }
    }

    pub(super) fn retry(&mut self) {
        self.paused = false;
    }

    pub(super) fn packets(&mut self, batch: &Batch) {
        for packet in &batch.packets {
            if self.paused {
                self.lose(packet.interface);
                continue;
            }
            match self.packet(packet, batch.data(packet)) {
                Ok(waiting) if waiting < CHUNK => {}
                Ok(_) => self.flush(),
                Err(unwritten) => {
                    self.fail(unwritten);
                    self.lose(packet.interface);
                }
            }
        }
    }

    /// Adds a packet to the file, or to the next one; how many bytes wait then.
    fn packet(&mut self, packet: &PacketMeta, data: &[u8]) -> Result<usize, Unwritten> {
        if self.file.as_mut().is_some_and(|file| file.is_full(packet, &self.plan)) {
            self.end_file()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                self.number += 1;
                let (name, file) = self.folder.create(packet.time, |tries| format!("{:04}", self.number + tries))?;
                none.insert(Open::new(name, file, &self.plan, packet.time)?)
            }
        };
        file.packet(packet, data, &self.points)?;
        Ok(file.writer.output().waiting())
    }

    /// Writes what waits.
    fn put(&mut self) -> Result<(), Unwritten> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        self.tally.removed += self.folder.make_room(file.writer.output().len())?;
        let outcome = file.writer.output().put();
        let unwritten = outcome.as_ref().err().map_or(0, |unwritten| unwritten.packets.len() as u64);
        let packets = std::mem::take(&mut file.waiting).saturating_sub(unwritten);
        self.tally.files += u64::from(file.on_disk == 0 && packets > 0);
        self.tally.written += packets;
        file.on_disk += packets;
        outcome?;
        if self.fault.take().is_some() {
            let place = self.folder.place(&file.name);
            self.troubles.push(format!(
                "recording goes on in {place}; {} packets are missing",
                self.missing.values().sum::<u64>()
            ));
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) {
        if let Err(unwritten) = self.put() {
            self.fail(unwritten);
        }
    }

    /// Says in the file what is not in it, and closes it.
    fn end_file(&mut self) -> Result<(), Unwritten> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut numbers: Vec<_> = file.interfaces.iter().map(|(key, of)| (key.0, *of)).collect();
        numbers.sort_unstable_by_key(|(_, (number, _))| *number);
        for (interface, (number, packets)) in numbers {
            let drops = self.points.describe(interface).drops;
            let before = self.told_drops.insert(interface, drops).unwrap_or(0);
            let dropped = drops.saturating_sub(before) + self.missing.remove(&interface).unwrap_or(0);
            file.writer.statistics(number, file.last, packets + dropped, dropped)?;
        }
        self.put()?;
        if let Some(mut file) = self.file.take() {
            self.folder.add(file.name, file.writer.output().len());
        }
        Ok(())
    }

    /// Nothing more is written until it is tried again, with another file.
    fn fail(&mut self, Unwritten { error, packets }: Unwritten) {
        for interface in packets {
            self.lose(interface);
        }
        self.paused = true;
        let place = match self.file.take() {
            Some(mut file) => {
                let place = self.folder.place(&file.name);
                for interface in file.writer.output().abandon() {
                    self.lose(interface);
                }
                if file.on_disk > 0 {
                    self.folder.add(file.name, file.writer.output().len());
                } else {
                    self.folder.discard(&file.name);
                }
                place
            }
            None => self.folder.place(""),
        };
        self.blame(format!("cannot write {place}: {error}"), "; recording pauses, and is tried again");
    }

    /// Tells of the first fault since all was well.
    fn blame(&mut self, fault: String, what_then: &str) {
        if self.fault.is_none() {
            self.troubles.push(format!("{fault}{what_then}"));
            self.fault = Some(fault);
        }
    }

    fn lose(&mut self, interface: u32) {
        self.tally.lost += 1;
        *self.missing.entry(interface).or_default() += 1;
    }

    /// Writes a call. One that cannot be written whole is not written.
    pub(super) fn call(&mut self, call: &CallFile) {
        let bytes: u64 = call.packets.iter().map(|packet| packet.data.len() as u64 + AROUND).sum();
        let outcome = self.folder.make_room(bytes).and_then(|removed| {
            self.tally.removed += removed;
            let name = |number: usize| if number == 0 { call.name.clone() } else { format!("{}-{number}", call.name) };
            let (name, file) = self.folder.create(call.time(), name)?;
            let written = call.write(file, &self.points, &self.plan.application);
            if written.is_err() {
                self.folder.discard(&name);
            }
            self.folder.add(name, written?);
            Ok(())
        });
        match outcome {
            Ok(()) => {
                self.tally.files += 1;
                self.tally.written += call.packets.len() as u64;
                self.fault = None;
            }
            Err(error) => {
                self.tally.lost_calls += 1;
                self.blame(format!("cannot write {} into {}: {error}", call.name, self.folder.place("")), "");
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Err(unwritten) = self.end_file() {
            self.fail(unwritten);
        }
    }

    pub(super) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn take_troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }
}

impl Open {
    fn new(name: String, file: File, plan: &Plan, first: Timestamp) -> io::Result<Self> {
        let writer = Writer::new(Blocks::new(file), Container::PcapNg, &plan.application)?;
        Ok(Self { name, writer, interfaces: HashMap::default(), first, last: first, on_disk: 0, waiting: 0 })
    }

    /// Whether a packet belongs into the next file, by its size or its time.
    fn is_full(&mut self, packet: &PacketMeta, plan: &Plan) -> bool {
        self.writer.output().len() + u64::from(packet.captured) + AROUND > plan.size
            || plan.time.is_some_and(|time| packet.time.since(self.first) >= time)
    }

    fn packet(&mut self, packet: &PacketMeta, data: &[u8], points: &Points) -> io::Result<()> {
        let key = (packet.interface, packet.link);
        let interface = if let Some((number, packets)) = self.interfaces.get_mut(&key) {
            *packets += 1;
            *number
        } else {
            let info = points.describe(packet.interface);
            let number = self.writer.interface(packet.link, info.name.as_deref(), info.description.as_deref())?;
            self.interfaces.insert(key, (number, 1));
            number
        };
        self.writer.output().packet_of(packet.interface);
        let &PacketMeta { time, original, .. } = packet;
        self.writer.frame(&Frame { time, interface, original, data, comments: &[] })?;
        self.last = self.last.max(time);
        self.waiting += 1;
        Ok(())
    }
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self { error, packets: Vec::new() }
    }
}
