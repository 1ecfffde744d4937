//! Packets as they come: a thread for each interface, or for a stream, that only fills batches.

use super::filter::{self, reason};
use super::{CaptureInfo, Maker, More, Names, Source};
use crate::base::{Anomalies, Batch, Error, LinkType, PacketMeta, Timestamp, limits};
use bytes::{Bytes, BytesMut};
use pcap::{Active, Capture, Device};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of packets in one batch of an interface: [`limits::WAITING_BATCHES`] of them are 64 MiB.
const BATCH_BYTES: usize = 256 << 10;
/// Batches of a stream that wait: its writer waits as well, so that few are enough.
const WAITING_OF_STREAM: usize = 4;
/// How long the kernel may collect packets before it hands them over, and how old a batch may get.
const COLLECT: Duration = Duration::from_millis(100);
/// How long to leave an interface alone that has nothing.
const IDLE: Duration = Duration::from_millis(20);
/// How long to wait for what other interfaces captured meanwhile.
const GATHER: Duration = Duration::from_millis(20);
/// Batches put in order of time together.
const GATHERED: usize = 64;
/// The interface that is all of them.
const ANY: &str = "any";

/// How to listen on interfaces.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes taken of each packet.
    pub snaplen: i32,
    /// Bytes of the kernel's buffer for each interface.
    pub ring: i32,
    /// Whether to take packets that are for other machines.
    pub promiscuous: bool,
    /// Whether to take each packet at once.
    pub immediate: bool,
    /// A filter in libpcap's language; empty for all packets.
    pub filter: String,
}

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// Packets, in order of time as far as they came together.
    Packets(Batch),
    /// Nothing, for as long as was waited.
    Nothing,
    /// One of several inputs ended with an error.
    Failed(Error),
    /// All inputs have ended.
    End,
}

enum Event {
    /// Packets of the input with this number.
    Packets(usize, Batch),
    Failed(Error),
    Ended,
}

/// What a thread tells beside packets.
#[derive(Debug, Default)]
struct Told {
    captures: Vec<CaptureInfo>,
    keys: Vec<u8>,
    names: Names,
    anomalies: Anomalies,
}

type Shared = Arc<Mutex<Told>>;

/// Interfaces that are listened on, or a stream that is read. The threads end with the inputs, or after
/// [`Live::stop`]; one that waits for a stream is left behind.
pub struct Live {
    events: Receiver<Event>,
    told: Vec<Shared>,
    stop: Arc<AtomicBool>,
    running: usize,
    frames: u32,
    /// Errors that came between packets.
    failed: VecDeque<Error>,
}

/// Names of the interfaces there are, with what the system says about them.
///
/// # Errors
/// [`Error::Device`] when the system does not tell.
pub fn interfaces() -> Result<Vec<(String, String)>, Error> {
    let all = Device::list().map_err(|why| Error::Device { name: "interfaces".to_owned(), why: reason(&why) })?;
    Ok(all.into_iter().map(|device| (device.name, device.desc.unwrap_or_default())).collect())
}

impl Live {
    /// Listens on the interfaces with these names.
    ///
    /// # Errors
    /// [`Error::Usage`] for an interface that there is not, [`Error::Device`] for one that may not be listened on,
    /// [`Error::Filter`] for a filter that libpcap does not accept.
    pub fn listen(names: &[String], settings: &Settings) -> Result<Self, Error> {
        let devices = names.iter().map(|name| open(name, settings)).collect::<Result<Vec<_>, _>>()?;
        let (sender, events) = sync_channel(limits::WAITING_BATCHES);
        let mut live = Self::new(events, devices.len());
        for (number, (device, name)) in devices.into_iter().zip(names).enumerate() {
            let info = CaptureInfo {
                path: name.clone(),
                format: "live",
                packets: 0,
                bytes: 0,
                first: None,
                last: None,
                link_types: vec![link_of(&device)],
                complete: true,
                drops: 0,
                interfaces: Vec::new(),
                maker: Maker::default(),
                cut: None,
            };
            live.told.push(Arc::new(Mutex::new(Told { captures: vec![info], ..Told::default() })));
            let link = link_of(&device);
            let sniffer = Sniffer {
                device,
                name: name.clone(),
                link,
                number,
                sender: sender.clone(),
                told: Arc::clone(&live.told[number]),
                stop: Arc::clone(&live.stop),
                bytes: BytesMut::new(),
                batch: Batch::default(),
                unread: 0,
            };
            thread::spawn(move || sniffer.run());
        }
        Ok(live)
    }

    /// Reads what `open` gives, in a thread of its own: opening it may wait, too.
    pub fn read(open: impl FnOnce() -> Result<Box<dyn Source>, Error> + Send + 'static) -> Self {
        let (sender, events) = sync_channel(WAITING_OF_STREAM);
        let mut live = Self::new(events, 1);
        let told = Shared::default();
        live.told.push(Arc::clone(&told));
        let stop = Arc::clone(&live.stop);
        thread::spawn(move || match open() {
            Ok(source) => read(source, &sender, &told, &stop),
            Err(error) => {
                let _ = sender.send(Event::Failed(error));
                let _ = sender.send(Event::Ended);
            }
        });
        live
    }

    fn new(events: Receiver<Event>, running: usize) -> Self {
        Self { events, told: Vec::new(), stop: Arc::default(), running, frames: 0, failed: VecDeque::new() }
    }

    /// What came, or that nothing did within `wait`.
    pub fn next(&mut self, wait: Duration) -> Heard {
        if let Some(error) = self.failed.pop_front() {
            return Heard::Failed(error);
        }
        match self.event(wait) {
            Ok(Some(Event::Packets(number, batch))) => self.gather(number, batch),
            Ok(Some(Event::Failed(error))) => Heard::Failed(error),
            Ok(Some(Event::Ended) | None) if self.running > 0 => Heard::Nothing,
            Ok(_) | Err(()) => Heard::End,
        }
    }

    /// Has the inputs end; what they have is still given.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// What is known of each input.
    pub fn captures(&self) -> Vec<CaptureInfo> {
        self.told.iter().flat_map(|told| lock(told).captures.clone()).collect()
    }

    /// TLS secrets that a stream carried, since the last call.
    pub fn key_log(&self) -> Vec<u8> {
        self.told.iter().flat_map(|told| std::mem::take(&mut lock(told).keys)).collect()
    }

    /// What was odd about a stream, since the last call.
    pub fn take_anomalies(&self) -> Anomalies {
        let mut all = Anomalies::default();
        self.told.iter().for_each(|told| all.merge(std::mem::take(&mut lock(told).anomalies)));
        all
    }

    /// Names of addresses that a stream carried so far.
    pub fn names(&self) -> Names {
        self.told.first().map_or_else(Names::default, |told| lock(told).names.clone())
    }

    fn event(&mut self, wait: Duration) -> Result<Option<Event>, ()> {
        let event = match self.events.recv_timeout(wait) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => return Err(()),
        };
        self.running -= usize::from(matches!(event, Event::Ended)).min(self.running);
        Ok(Some(event))
    }

    /// Numbers the frames of a batch; of several interfaces, puts in order what they captured meanwhile.
    fn gather(&mut self, number: usize, first: Batch) -> Heard {
        let mut all = Batch::default();
        add(&mut all, number, first, self.told.len() > 1);
        let mut gathered = 1;
        while self.told.len() > 1 && gathered < GATHERED {
            match self.event(GATHER) {
                Ok(Some(Event::Packets(number, batch))) => add(&mut all, number, batch, true),
                Ok(Some(Event::Failed(error))) => self.failed.push_back(error),
                Ok(Some(Event::Ended)) => {}
                Ok(None) | Err(()) => break,
            }
            gathered += 1;
        }
        if self.told.len() > 1 {
            all.packets.sort_by_key(|packet| packet.time);
        }
        for packet in &mut all.packets {
            // Weeks of traffic have more frames than numbers.
            self.frames = self.frames.checked_add(1).unwrap_or(1);
            packet.frame = self.frames;
        }
        Heard::Packets(all)
    }
}

fn add(all: &mut Batch, number: usize, batch: Batch, is_one_of_several: bool) {
    let before = all.buffers.len() as u32;
    all.buffers.extend(batch.buffers);
    all.packets.extend(batch.packets.into_iter().map(|packet| PacketMeta {
        buffer: packet.buffer + before,
        interface: if is_one_of_several { number as u32 } else { packet.interface },
        ..packet
    }));
}

fn lock(told: &Shared) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn link_of(device: &Capture<Active>) -> LinkType {
    LinkType(u16::try_from(device.get_datalink().0).unwrap_or(u16::MAX))
}

/// Opens one interface.
fn open(name: &str, settings: &Settings) -> Result<Capture<Active>, Error> {
    let known = interfaces()?;
    if name != ANY && known.iter().all(|(known, _)| known != name) {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::Usage(format!("there is no interface '{name}'; there are: {}", names.join(", "))));
    }
    let failed = |why: &pcap::Error| Error::Device { name: name.to_owned(), why: advice(&reason(why)) };
    let activate = |promiscuous: bool| {
        Capture::from_device(name)?
            .snaplen(settings.snaplen)
            .buffer_size(settings.ring)
            .promisc(promiscuous)
            .immediate_mode(settings.immediate)
            .timeout(COLLECT.as_millis() as i32)
            .open()
    };
    // Some interfaces know nothing of promiscuity, among them the one that is all.
    let mut device = match activate(settings.promiscuous && name != ANY) {
        Err(_) if settings.promiscuous => activate(false),
        opened => opened,
    }
    .map_err(|why| failed(&why))?;
    if !settings.filter.is_empty() {
        filter::set(&mut device, &settings.filter)?;
    }
    // Where the kernel fills its buffer by blocks, waiting for packets would last until there is one.
    device.setnonblock().map_err(|why| failed(&why))
}

/// libpcap's words, and what to do when it is rights that lack.
fn advice(why: &str) -> String {
    if !["permi", "Permi", "EPERM"].iter().any(|word| why.contains(word)) {
        return why.to_owned();
    }
    format!(
        "{why}. Listening takes the right CAP_NET_RAW. Run it as root, or give the program that right: \
         sudo setcap cap_net_raw+ep \"$(command -v callflow)\""
    )
}

/// The thread of an interface.
struct Sniffer {
    device: Capture<Active>,
    name: String,
    link: LinkType,
    number: usize,
    sender: SyncSender<Event>,
    told: Shared,
    stop: Arc<AtomicBool>,
    bytes: BytesMut,
    batch: Batch,
    /// Packets that nobody had time for.
    unread: u64,
}

impl Sniffer {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            if let Err(why) = self.fill() {
                self.flush();
                let error = Error::Device { name: self.name.clone(), why: reason(&why) };
                lock(&self.told).captures.iter_mut().for_each(|info| info.complete = false);
                let _ = self.sender.send(Event::Failed(error));
                break;
            }
            if self.batch.packets.is_empty() {
                thread::sleep(IDLE);
            }
            self.flush();
        }
        let _ = self.sender.send(Event::Ended);
    }

    /// Takes packets until there are no more at the moment, or the batch is full or old enough.
    fn fill(&mut self) -> Result<(), pcap::Error> {
        let mut first = None;
        loop {
            let packet = match self.device.next_packet() {
                Ok(packet) => packet,
                Err(pcap::Error::TimeoutExpired) => return Ok(()),
                Err(why) => return Err(why),
            };
            let time = Timestamp::from_nanos(
                packet.header.ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(packet.header.ts.tv_usec * 1000),
            );
            self.batch.packets.push(PacketMeta {
                frame: 0,
                time,
                buffer: 0,
                offset: self.bytes.len() as u64,
                captured: packet.data.len() as u32,
                original: packet.header.len.max(packet.data.len() as u32),
                link: self.link,
                interface: 0,
            });
            self.bytes.extend_from_slice(packet.data);
            let first = *first.get_or_insert(time);
            let stopped = self.stop.load(Ordering::Acquire);
            if self.bytes.len() >= BATCH_BYTES || time.since(first) >= COLLECT || stopped {
                return Ok(());
            }
        }
    }

    /// Hands the batch over. When nobody has time for it, it is given up: waiting would have the kernel drop others.
    fn flush(&mut self) {
        let stat = self.device.stats().ok();
        if self.batch.packets.is_empty() && stat.is_none() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let bytes: Bytes = std::mem::replace(&mut self.bytes, BytesMut::with_capacity(BATCH_BYTES / 8)).freeze();
        let times = batch.packets.first().zip(batch.packets.last()).map(|(first, last)| (first.time, last.time));
        let (packets, size) = (batch.packets.len() as u64, bytes.len() as u64);
        batch.buffers.push(bytes);
        let given = packets == 0 || self.sender.try_send(Event::Packets(self.number, batch)).is_ok();
        let mut told = lock(&self.told);
        for info in &mut told.captures {
            if given {
                info.packets += packets;
                info.bytes += size;
                info.first = info.first.or(times.map(|(first, _)| first));
                info.last = times.map(|(_, last)| last).or(info.last);
            } else {
                self.unread += packets;
            }
            let kernel = stat.map_or(0, |stat| u64::from(stat.dropped) + u64::from(stat.if_dropped));
            info.drops = info.drops.max(kernel.saturating_add(self.unread));
        }
    }
}

/// The thread of a stream.
fn read(mut source: Box<dyn Source>, sender: &SyncSender<Event>, told: &Shared, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let mut batch = Batch::default();
        let more = source.next_batch(&mut batch);
        {
            let mut told = lock(told);
            told.captures = source.captures().to_vec();
            told.keys.extend(source.key_log());
            told.names = source.names().clone();
            told.anomalies.merge(source.take_anomalies());
        }
        let sent = match more {
            Ok(More::More) => sender.send(Event::Packets(0, batch)),
            Ok(More::End) => break,
            Err(error) => sender.send(Event::Failed(error)),
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = sender.send(Event::Ended);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_told_with_the_way_to_get_them() {
        assert!(advice("socket: Operation not permitted").contains("setcap cap_net_raw+ep"));
        assert_eq!(advice("The interface is not up"), "The interface is not up");
    }

    #[test]
    fn batches_of_two_interfaces_keep_their_bytes_apart() {
        let packet = |time| PacketMeta {
            frame: 0,
            time: Timestamp::from_nanos(time),
            buffer: 0,
            offset: 0,
            captured: 1,
            original: 1,
            link: LinkType(1),
            interface: 0,
        };
        let batch =
            |time, byte: &'static [u8]| Batch { buffers: vec![Bytes::from_static(byte)], packets: vec![packet(time)] };
        let (sender, events) = sync_channel(4);
        let mut live = Live::new(events, 2);
        live.told = vec![Shared::default(), Shared::default()];
        sender.send(Event::Packets(0, batch(2, b"b"))).unwrap();
        sender.send(Event::Packets(1, batch(1, b"a"))).unwrap();
        let Heard::Packets(all) = live.next(Duration::ZERO) else { panic!("nothing came") };
        let told: Vec<_> =
            all.packets.iter().map(|packet| (packet.frame, packet.interface, all.data(packet))).collect();
        assert_eq!(told, [(1, 1, &b"a"[..]), (2, 0, &b"b"[..])]);
        drop(sender);
        assert!(matches!(live.next(Duration::ZERO), Heard::End));
    }
}
