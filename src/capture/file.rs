//! One capture file, whatever its format, from wherever its bytes come.

use super::compress::{Compression, Reader};
use super::follow::Growing;
use super::input::Input;
use super::map::Map;
use super::netmon::{self, NetMon};
use super::pcap::{self, Pcap};
use super::pcapng::PcapNg;
use super::record::{Record, Step};
use super::snoop::{self, Snoop};
use super::{CaptureInfo, Comment, Cut, More, Names, Source};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Batch, Error, PacketMeta, Timestamp, limits};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Packets in a batch: enough work for all cores, and little memory.
const BATCH: usize = 16_384;
/// How far a damaged file is searched at a time; what leads back in is shorter than half of it.
const SEARCH: usize = 4 << 20;

/// A capture file, read from its start to its end.
pub struct CaptureFile {
    path: PathBuf,
    input: Input,
    /// Around the capture.
    compression: Option<Compression>,
    format: Format,
    info: CaptureInfo,
    anomalies: Anomalies,
    secrets: Vec<u8>,
    names: Names,
    comments: Vec<Comment>,
    /// Time of the last packet.
    last: Option<Timestamp>,
    /// Frame numbers of this file are not those of the analysis.
    merged: bool,
    over: bool,
    /// Packets in a batch, at most.
    at_once: usize,
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
    Snoop(Snoop),
    NetMon(NetMon),
}

/// Why a walk through the window stopped.
enum Stop {
    Full,
    Need(usize),
    Bad(&'static str),
}

impl CaptureFile {
    /// Opens the file at `path`: mapped if it is a regular file, read otherwise.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or read, [`Error::NotACapture`] if it is something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let input = if !metadata.is_file() || metadata.len() == 0 {
            Input::stream(Box::new(file))
        } else if let Ok(map) = Map::new(&file) {
            Input::whole(map)
        } else {
            // Some file systems cannot map.
            Input::bulk(Box::new(file))
        };
        Self::from_input(input, path)
    }

    /// Opens the file at `path` and reads it piece by piece, at most `at_once` packets: what is not kept of it takes no memory.
    ///
    /// # Errors
    /// As [`CaptureFile::open`].
    pub fn open_to_read(path: &Path, at_once: usize) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let input = if is_file { Input::bulk(Box::new(file)) } else { Input::stream(Box::new(file)) };
        Ok(Self { at_once: at_once.clamp(1, BATCH), ..Self::from_input(input, path)? })
    }

    /// Reads a capture from standard input, a pipe or anything else; `path` is its name in reports.
    ///
    /// # Errors
    /// As [`CaptureFile::open`].
    pub fn read(reader: Reader, path: &Path) -> Result<Self, Error> {
        Self::from_input(Input::stream(reader), path)
    }

    /// Reads a file that is still being written: at its end waits for more, until `stop` is set.
    /// A file that has not even a header yet is waited for as well, and one that shrinks is an error.
    ///
    /// # Errors
    /// As [`CaptureFile::open`].
    pub fn follow(path: &Path, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::read(Box::new(Growing::until(file, stop)), path)
    }

    fn from_input(mut input: Input, path: &Path) -> Result<Self, Error> {
        input.fill(Compression::MAGIC);
        let compression = Compression::of(input.rest());
        if let Some(compression) = compression {
            let mapped = input.ended();
            let decoder = compression.decoder(input.into_reader());
            input = if mapped { Input::bulk(decoder) } else { Input::stream(decoder) };
        }
        input.fill(pcap::FILE_HEADER);
        let format = Format::open(&mut input).map_err(|why| refusal(&mut input, path, compression, why))?;
        let info = CaptureInfo::new(path.display().to_string(), format.name(), format.link_types());
        Ok(Self {
            path: path.to_owned(),
            input,
            compression,
            format,
            info,
            anomalies: Anomalies::default(),
            secrets: Vec::new(),
            names: Names::default(),
            comments: Vec::new(),
            last: None,
            merged: false,
            over: false,
            at_once: BATCH,
        })
    }

    /// As [`Source::captures`].
    pub(super) fn info(&self) -> &CaptureInfo {
        &self.info
    }

    /// As [`Source::names`], those since the last call.
    pub(super) fn take_names(&mut self) -> Names {
        std::mem::take(&mut self.names)
    }

    /// As [`Source::comments`], those since the last call.
    pub(super) fn take_comments(&mut self) -> Vec<Comment> {
        std::mem::take(&mut self.comments)
    }

    /// Marks the file as one of several: its own frame numbers mean nothing to the reader.
    pub(super) fn merged(mut self) -> Self {
        self.merged = true;
        self
    }

    /// As [`Source::next_batch`], with at most `limit` packets.
    pub(super) fn read_batch(&mut self, batch: &mut Batch, limit: usize) -> Result<More, Error> {
        batch.clear();
        while !self.over {
            let stop = self.walk(batch, limit);
            if !batch.packets.is_empty() {
                batch.buffers.push(self.input.take_buffer());
                self.note_progress();
                return Ok(More::More);
            }
            match stop {
                Stop::Full => {}
                Stop::Need(need) if !self.input.ended() => self.input.fill(need),
                Stop::Need(_) => self.end()?,
                Stop::Bad(why) => self.recover(why),
            }
        }
        Ok(More::End)
    }

    /// Collects the whole packets at the current position.
    fn walk(&mut self, batch: &mut Batch, limit: usize) -> Stop {
        let ended = self.input.ended();
        while batch.packets.len() < limit {
            match self.format.step(&self.input, ended) {
                Step::Packet(record) => {
                    let packet = self.packet(&record);
                    batch.packets.push(packet);
                    self.input.advance(record.total);
                }
                Step::Skip { total, odd } => {
                    if let Some(odd) = odd {
                        self.note(AnomalyKind::SkippedBlock, odd);
                    }
                    self.input.advance(total);
                }
                Step::Need(need) => return Stop::Need(need),
                Step::Bad(why) => return Stop::Bad(why),
            }
        }
        Stop::Full
    }

    #[inline]
    fn packet(&mut self, record: &Record) -> PacketMeta {
        if self.last.is_some_and(|last| record.time < last) {
            self.note(AnomalyKind::TimeBackwards, "a packet is earlier than the one before it");
        }
        let info = &mut self.info;
        info.packets += 1;
        info.first = Some(info.first.map_or(record.time, |first| first.min(record.time)));
        info.last = Some(info.last.map_or(record.time, |last| last.max(record.time)));
        if !info.link_types.contains(&record.link) {
            info.link_types.push(record.link);
        }
        self.last = Some(record.time);
        PacketMeta {
            frame: u32::try_from(info.packets).unwrap_or(u32::MAX),
            time: record.time,
            buffer: 0,
            offset: (self.input.position() + record.data) as u64,
            captured: record.captured,
            original: record.original.max(record.captured), // some writers leave it 0
            link: record.link,
            interface: record.interface,
        }
    }

    /// The input has ended; what is left is no whole record.
    fn end(&mut self) -> Result<(), Error> {
        let failure = self.input.take_failure();
        if !self.input.rest().is_empty() {
            let left = self.input.rest().len();
            if failure.is_none() && self.resume("a record that claims to be longer than the file") {
                return Ok(());
            }
            let cut = Cut { frame: self.next_frame(), offset: self.input.offset() };
            self.info.cut = Some(cut);
            self.note(AnomalyKind::CutLastRecord, &format!("the last record is cut: {left} bytes of it are there"));
            self.input.advance(left);
        }
        self.over = true;
        self.note_progress();
        if self.info.drops > 0 {
            let text = format!("{} packets were dropped while capturing", self.info.drops);
            self.note_at(AnomalyKind::DroppedPackets, 0, 0, &text);
        }
        failure.map_or(Ok(()), |failure| self.fail(failure))
    }

    /// Broken compression is damage like any other; a broken reader is an error.
    fn fail(&mut self, source: io::Error) -> Result<(), Error> {
        self.info.complete = false;
        let Some(compression) = self.compression else {
            return Err(Error::Io { path: self.path.clone(), source });
        };
        let text = format!("the {} data is cut or damaged: {source}", compression.name());
        self.note(AnomalyKind::DamagedFile, &text);
        Ok(())
    }

    /// Goes on behind damage, or to the end of the file.
    fn recover(&mut self, why: &str) {
        let (frame, offset) = (self.next_frame(), self.input.offset());
        if !self.resume(why) {
            self.info.complete = false;
            self.input.advance(self.input.rest().len());
            let lost = self.input.offset() - offset;
            let text = format!("{why}; the last {lost} bytes could not be read");
            self.note_at(AnomalyKind::DamagedFile, frame, offset, &text);
        }
    }

    /// Searches for the next good record and goes there, if there is one. Otherwise a streamed
    /// input is left near its end, a whole one where it was.
    fn resume(&mut self, why: &str) -> bool {
        let (frame, offset) = (self.next_frame(), self.input.offset());
        loop {
            self.input.fill(SEARCH);
            let ended = self.input.ended();
            if let Some(skipped) = self.format.find(self.input.rest(), ended) {
                self.input.advance(skipped);
                break;
            }
            if ended {
                return false;
            }
            self.input.advance(self.input.rest().len().saturating_sub(SEARCH / 2));
        }
        self.info.complete = false;
        let text = format!("{why}; {} bytes were passed over", self.input.offset() - offset);
        self.note_at(AnomalyKind::DamagedFile, frame, offset, &text);
        true
    }

    fn next_frame(&self) -> u32 {
        u32::try_from(self.info.packets + 1).unwrap_or(u32::MAX)
    }

    fn note_progress(&mut self) {
        self.info.bytes = self.input.offset();
        match &mut self.format {
            Format::PcapNg(format) => {
                self.info.drops = format.dropped();
                self.secrets.append(&mut format.take_secrets());
                self.names.merge(format.take_names());
                let room = limits::CAPTURE_COMMENTS.saturating_sub(self.comments.len());
                let comments = format.take_comments();
                self.comments.extend(comments.into_iter().take(room));
                format.tell_interfaces(&mut self.info.interfaces);
                self.info.maker.clone_from(format.maker());
            }
            Format::Snoop(format) => self.info.drops = format.dropped(),
            Format::Pcap(_) | Format::NetMon(_) => {}
        }
    }

    /// Notes something odd at the current position.
    fn note(&mut self, kind: AnomalyKind, text: &str) {
        self.note_at(kind, self.next_frame(), self.input.offset(), text);
    }

    fn note_at(&mut self, kind: AnomalyKind, frame: u32, offset: u64, text: &str) {
        let anomaly = if self.merged {
            Anomaly::new(kind, 0, offset, format!("{}, frame {frame}: {text}", self.info.path))
        } else {
            Anomaly::new(kind, frame, offset, text.to_owned())
        };
        self.anomalies.add(anomaly);
    }
}

impl Source for CaptureFile {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<More, Error> {
        self.read_batch(batch, self.at_once)
    }

    fn captures(&self) -> &[CaptureInfo] {
        std::slice::from_ref(&self.info)
    }

    fn take_anomalies(&mut self) -> Anomalies {
        std::mem::take(&mut self.anomalies)
    }

    fn key_log(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.secrets)
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn comments(&self) -> &[Comment] {
        &self.comments
    }
}

impl Format {
    /// Tells the format and reads the file header; why not, otherwise.
    fn open(input: &mut Input) -> Result<Self, String> {
        if PcapNg::has_magic(input.rest()) {
            return Ok(Self::PcapNg(PcapNg::new()));
        }
        let (format, header) = if Pcap::has_magic(input.rest()) {
            let pcap = Self::header(input, Pcap::open, "pcap")?;
            let header = pcap.file_header();
            (Self::Pcap(pcap), header)
        } else if Snoop::has_magic(input.rest()) {
            let snoop = Self::header(input, Snoop::open, "snoop")?;
            (Self::Snoop(snoop), snoop::FILE_HEADER)
        } else if NetMon::has_magic(input.rest()) {
            let netmon = Self::header(input, NetMon::open, "NetMon")?;
            (Self::NetMon(netmon), netmon::FILE_HEADER)
        } else {
            return Err(describe(input.rest()));
        };
        input.fill(header);
        input.advance(header.min(input.rest().len()));
        Ok(format)
    }

    /// Reads the header of a file, which is `N` bytes long.
    fn header<T, const N: usize>(
        input: &mut Input,
        open: impl Fn(&[u8; N]) -> Option<T>,
        name: &str,
    ) -> Result<T, String> {
        input.fill(N);
        let Some(header) = input.rest().first_chunk() else {
            return Err(format!("it ends within the header of a {name} file"));
        };
        open(header).ok_or_else(|| format!("a version of the {name} format that is not known"))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Pcap(_) => "pcap",
            Self::PcapNg(_) => "pcapng",
            Self::Snoop(_) => "snoop",
            Self::NetMon(_) => "netmon",
        }
    }

    /// Those that the file header tells.
    fn link_types(&self) -> Vec<crate::base::LinkType> {
        match self {
            Self::Pcap(pcap) => vec![pcap.link()],
            Self::Snoop(snoop) => vec![snoop.link()],
            Self::PcapNg(_) | Self::NetMon(_) => Vec::new(),
        }
    }

    #[inline]
    fn step(&mut self, input: &Input, ended: bool) -> Step {
        match self {
            Self::Pcap(pcap) => pcap.step(input.rest(), ended),
            Self::PcapNg(pcapng) => pcapng.step(input.rest()),
            Self::Snoop(snoop) => snoop.step(input.rest()),
            Self::NetMon(netmon) => netmon.step(input.rest(), input.offset()),
        }
    }

    fn find(&self, rest: &[u8], ended: bool) -> Option<usize> {
        match self {
            Self::Pcap(pcap) => pcap.find(rest, ended),
            Self::PcapNg(pcapng) => pcapng.find(rest),
            Self::Snoop(snoop) => snoop.find(rest, ended),
            Self::NetMon(netmon) => netmon.find(rest, ended),
        }
    }
}

/// Why an input cannot be used.
fn refusal(input: &mut Input, path: &Path, compression: Option<Compression>, why: String) -> Error {
    let path = path.to_owned();
    match (input.take_failure(), compression) {
        (Some(source), None) => Error::Io { path, source },
        (Some(error), Some(compression)) => {
            Error::NotACapture { path, why: format!("broken {} data: {error}", compression.name()) }
        }
        (None, None) => Error::NotACapture { path, why },
        (None, Some(compression)) => Error::NotACapture { path, why: format!("{} data: {why}", compression.name()) },
    }
}

/// What the start of a file that is no capture looks like, for people.
fn describe(start: &[u8]) -> String {
    match start {
        [] => "empty file".to_owned(),
        _ => format!("it starts with '{}'", start.get(..4).unwrap_or(start).escape_ascii()),
    }
}
