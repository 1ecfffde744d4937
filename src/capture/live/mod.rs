//! Packets as they come: a thread for each interface, or for a stream, that only fills batches.

mod device;
mod hep;
mod interface;
mod points;
mod right;
mod stream;

pub use device::{Interface, Settings, interfaces};
pub use hep::{HepAddress, HepSettings, HepTransport, Pack, Refused, TlsFiles, server as tls_server};
pub use points::Points;

use super::{CaptureInfo, Names, Source};
use crate::base::{Anomalies, Batch, Error, PacketMeta};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long to wait for what other interfaces captured meanwhile.
const GATHER: Duration = Duration::from_millis(20);
/// How long packets of several interfaces are held back, by their own time, so that older ones of another may go before:
/// longer than the kernel collects packets, and a thread rests.
const HOLD: Duration = Duration::from_millis(150);
/// Batches put in order of time together.
const GATHERED: usize = 64;

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// Packets, in order of time as far as they came together.
    Packets(Batch),
    /// Nothing, for as long as was waited.
    Nothing,
    /// One of several inputs ended with an error.
    Failed(Error),
    /// Something about an input that goes on, in words.
    Told(String),
    /// All inputs have ended.
    End,
}

enum Event {
    /// Packets of the input with this number.
    Packets(usize, Batch),
    Failed(Error),
    Told(String),
    Ended,
}

/// What a thread tells beside packets.
#[derive(Debug, Default)]
struct Told {
    captures: Vec<CaptureInfo>,
    keys: Vec<u8>,
    names: Names,
    anomalies: Anomalies,
    /// For the user, now.
    notes: Vec<String>,
}

type Shared = Arc<Mutex<Told>>;

/// What every input has to give its packets to.
struct Feed {
    /// Among the inputs.
    number: usize,
    sender: SyncSender<Event>,
    told: Shared,
    stop: Arc<AtomicBool>,
}

/// Inputs that are listened to, each in a thread of its own. The threads start with [`Live::start`], so that rights can be
/// given up before; they end with the inputs, or after [`Live::stop`]; one that waits for a stream is left behind.
pub struct Live {
    events: Receiver<Event>,
    sender: SyncSender<Event>,
    told: Vec<Shared>,
    stop: Arc<AtomicBool>,
    running: usize,
    frames: u32,
    /// The newest packets of several interfaces.
    held: Batch,
    /// What was told between packets.
    between: VecDeque<Heard>,
    /// Threads that are not started yet.
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

impl Live {
    /// Nothing that is listened to yet. `room`: batches that may wait to be taken.
    pub fn new(room: usize) -> Self {
        let (sender, events) = sync_channel(room);
        let (stop, between, waiting) = (Arc::default(), VecDeque::new(), Vec::new());
        let (told, held) = (Vec::new(), Batch::default());
        Self { events, sender, told, stop, running: 0, frames: 0, held, between, waiting }
    }

    /// Listens on an interface, too.
    ///
    /// # Errors
    /// [`Error::Usage`] for an interface that there is not, [`Error::Device`] for one that may not be listened on,
    /// [`Error::Filter`] for a filter that libpcap does not accept.
    pub fn listen(&mut self, name: &str, settings: &Settings) -> Result<(), Error> {
        let device = device::open(name, settings)?;
        let feed = self.feed(interface::info(name, &device));
        let sniffer = interface::Sniffer::new(device, name, settings, feed);
        self.waiting.push(Box::new(move || sniffer.run()));
        Ok(())
    }

    /// Takes HEP from capture agents, too; the address, with the port that was given when none was asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for an address that cannot be taken.
    pub fn take_hep(&mut self, address: HepAddress, settings: &HepSettings) -> Result<HepAddress, Error> {
        let (waiting, bound) = hep::bind(address, settings)
            .map_err(|why| Error::Usage(format!("cannot listen for HEP on {address}: {why}")))?;
        let address = HepAddress { address: bound, ..address };
        let feed = self.feed(hep::info(address));
        let settings = settings.clone();
        self.waiting.push(Box::new(move || hep::run(waiting, bound, settings, feed)));
        Ok(address)
    }

    /// Reads what `open` gives, too: opening it may wait.
    pub fn read(&mut self, open: impl FnOnce() -> Result<Box<dyn Source>, Error> + Send + 'static) {
        let feed = self.feed(Vec::new());
        self.waiting.push(Box::new(move || stream::run(open, &feed)));
    }

    /// Starts the threads of all inputs. They have the rights that the caller has now.
    pub fn start(&mut self) {
        for run in self.waiting.drain(..) {
            thread::spawn(run);
        }
    }

    /// One more input.
    fn feed(&mut self, captures: Vec<CaptureInfo>) -> Feed {
        let told = Arc::new(Mutex::new(Told { captures, ..Told::default() }));
        self.told.push(Arc::clone(&told));
        self.running += 1;
        let (sender, stop) = (self.sender.clone(), Arc::clone(&self.stop));
        Feed { number: self.told.len() - 1, sender, told, stop }
    }

    /// What came, or that nothing did within `wait`. Starts what was not started.
    pub fn next(&mut self, wait: Duration) -> Heard {
        self.start();
        if let Some(heard) = self.between.pop_front() {
            return heard;
        }
        match self.event(wait) {
            Some(Event::Packets(number, batch)) => self.gather(number, batch),
            Some(Event::Failed(error)) => Heard::Failed(error),
            Some(Event::Told(text)) => Heard::Told(text),
            Some(Event::Ended) | None if !self.held.packets.is_empty() => {
                let held = std::mem::take(&mut self.held);
                self.numbered(held)
            }
            Some(Event::Ended) | None if self.running > 0 => Heard::Nothing,
            Some(Event::Ended) | None => Heard::End,
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

    /// What observation points are called, for another thread; ask when all inputs are added.
    pub fn points(&self) -> Points {
        Points::new(self.told.clone())
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

    /// What the user should hear, since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        self.told.iter().flat_map(|told| std::mem::take(&mut lock(told).notes)).collect()
    }

    /// Names of addresses that a stream carried so far.
    pub fn names(&self) -> Names {
        self.told.first().map_or_else(Names::default, |told| lock(told).names.clone())
    }

    fn event(&mut self, wait: Duration) -> Option<Event> {
        let event = match self.events.recv_timeout(if self.running == 0 { Duration::ZERO } else { wait }) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        self.running -= usize::from(matches!(event, Event::Ended)).min(self.running);
        Some(event)
    }

    /// What an interface captured; of several, in order with what the others captured meanwhile.
    fn gather(&mut self, number: usize, first: Batch) -> Heard {
        if self.told.len() == 1 {
            return self.numbered(first);
        }
        let mut all = std::mem::take(&mut self.held);
        add(&mut all, number, first);
        let mut gathered = 1;
        while gathered < GATHERED {
            match self.event(GATHER) {
                Some(Event::Packets(number, batch)) => add(&mut all, number, batch),
                Some(Event::Failed(error)) => self.between.push_back(Heard::Failed(error)),
                Some(Event::Told(text)) => self.between.push_back(Heard::Told(text)),
                Some(Event::Ended) => {}
                None => break,
            }
            gathered += 1;
        }
        all.packets.sort_by_key(|packet| packet.time);
        let newest = all.packets.last().map(|packet| packet.time).unwrap_or_default();
        let ripe = all.packets.partition_point(|packet| newest.since(packet.time) > HOLD);
        let packets = all.packets.split_off(ripe);
        if !packets.is_empty() {
            self.hold(&all.buffers, packets);
        }
        if all.packets.is_empty() { Heard::Nothing } else { self.numbered(all) }
    }

    /// Keeps packets, and of the buffers those that they are in.
    fn hold(&mut self, buffers: &[Bytes], mut packets: Vec<PacketMeta>) {
        let mut places = vec![None; buffers.len()];
        for packet in &mut packets {
            let Some((place, buffer)) = places.get_mut(packet.buffer as usize).zip(buffers.get(packet.buffer as usize))
            else {
                continue;
            };
            packet.buffer = *place.get_or_insert_with(|| {
                self.held.buffers.push(buffer.clone());
                self.held.buffers.len() as u32 - 1
            });
        }
        self.held.packets = packets;
    }

    /// Numbers the frames.
    fn numbered(&mut self, mut batch: Batch) -> Heard {
        for packet in &mut batch.packets {
            // Weeks of traffic have more frames than numbers.
            self.frames = self.frames.checked_add(1).unwrap_or(1);
            packet.frame = self.frames;
        }
        Heard::Packets(batch)
    }
}

/// One of several interfaces is an observation point of its own.
fn add(all: &mut Batch, number: usize, batch: Batch) {
    let before = all.buffers.len() as u32;
    all.buffers.extend(batch.buffers);
    all.packets.extend(batch.packets.into_iter().map(|packet| PacketMeta {
        buffer: packet.buffer + before,
        interface: number as u32,
        ..packet
    }));
}

fn lock(told: &Shared) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LinkType, Timestamp};
    use bytes::Bytes;

    fn batch(millis: i64, byte: &'static [u8]) -> Batch {
        let packet = PacketMeta {
            frame: 0,
            time: Timestamp::from_nanos(millis * 1_000_000),
            buffer: 0,
            offset: 0,
            captured: 1,
            original: 1,
            link: LinkType(1),
            interface: 0,
        };
        Batch { buffers: vec![Bytes::from_static(byte)], packets: vec![packet] }
    }

    /// Frame, interface and byte of all packets that come.
    fn heard(live: &mut Live) -> Vec<(u32, u32, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            match live.next(Duration::ZERO) {
                Heard::Packets(batch) => all.extend(
                    batch.packets.iter().map(|packet| (packet.frame, packet.interface, batch.data(packet).to_vec())),
                ),
                Heard::End => return all,
                _ => {}
            }
        }
    }

    #[test]
    fn batches_of_two_interfaces_keep_their_bytes_apart() {
        let mut live = Live::new(4);
        let (one, other) = (live.feed(Vec::new()), live.feed(Vec::new()));
        one.sender.send(Event::Packets(one.number, batch(2, b"b"))).unwrap();
        other.sender.send(Event::Packets(other.number, batch(1, b"a"))).unwrap();
        for feed in [one, other] {
            feed.sender.send(Event::Ended).unwrap();
        }
        assert_eq!(heard(&mut live), [(1, 1, b"a".to_vec()), (2, 0, b"b".to_vec())]);
    }

    #[test]
    fn what_another_interface_hands_over_later_still_goes_before() {
        let mut live = Live::new(4);
        let (one, other) = (live.feed(Vec::new()), live.feed(Vec::new()));
        one.sender.send(Event::Packets(one.number, batch(0, b"a"))).unwrap();
        one.sender.send(Event::Packets(one.number, batch(200, b"c"))).unwrap();
        let Heard::Packets(first) = live.next(Duration::ZERO) else { panic!("the first is old enough") };
        assert_eq!(first.packets.len(), 1);
        other.sender.send(Event::Packets(other.number, batch(100, b"b"))).unwrap();
        for feed in [one, other] {
            feed.sender.send(Event::Ended).unwrap();
        }
        assert_eq!(heard(&mut live), [(2, 1, b"b".to_vec()), (3, 0, b"c".to_vec())]);
    }
}
