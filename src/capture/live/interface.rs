//! An interface, by libpcap: its thread only fills batches, and opens the interface again when it went away and came back.

use super::device::{self, COLLECT, Settings};
use super::{Event, Feed, lock, right};
use crate::base::{Anomaly, AnomalyKind, Batch, Error, LinkType, PacketMeta, Timestamp};
use crate::capture::CaptureInfo;
use crate::capture::filter::reason;
use bytes::{Bytes, BytesMut};
use pcap::{Active, Capture};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Bytes of packets in one batch of an interface: [`crate::base::limits::WAITING_BATCHES`] of them are 64 MiB.
const BATCH_BYTES: usize = 256 << 10;
/// How long to leave an interface alone that has nothing.
const IDLE: Duration = Duration::from_millis(20);
/// Of how many such rests one asks what the interface is called: one a second.
const RESTS: u32 = 50;
/// How soon to look whether an interface is back, at first and at last.
const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(5);

/// What is known of an interface before the first packet.
pub(super) fn info(name: &str, device: &Capture<Active>) -> Vec<CaptureInfo> {
    vec![CaptureInfo::new(name.to_owned(), "live", vec![link_of(device)])]
}

fn link_of(device: &Capture<Active>) -> LinkType {
    LinkType(u16::try_from(device.get_datalink().0).unwrap_or(u16::MAX))
}

/// The thread of an interface.
pub(super) struct Sniffer {
    device: Capture<Active>,
    /// As the user calls it.
    name: String,
    /// As it was called when last asked.
    called: String,
    /// By which the kernel knows it; it stays when the name changes. `-i any` has none.
    number: Option<u32>,
    settings: Settings,
    link: LinkType,
    feed: Feed,
    bytes: BytesMut,
    batch: Batch,
    /// Packets that nobody had time for.
    unread: u64,
    /// Packets that the kernel dropped, of this opening and of those before.
    dropped: u64,
    dropped_before: u64,
    /// Rests since the name was asked for.
    rests: u32,
    /// How long to wait for an interface that is gone: longer each time, until a packet comes.
    pause: Duration,
}

impl Sniffer {
    pub(super) fn new(device: Capture<Active>, name: &str, settings: &Settings, feed: Feed) -> Self {
        Self {
            link: link_of(&device),
            device,
            name: name.to_owned(),
            called: name.to_owned(),
            number: device::number_of(name),
            settings: settings.clone(),
            feed,
            bytes: BytesMut::new(),
            batch: Batch::default(),
            unread: 0,
            dropped: 0,
            dropped_before: 0,
            rests: 0,
            pause: SOON,
        }
    }

    pub(super) fn run(mut self) {
        while !self.is_stopped() {
            let filled = self.fill();
            if self.batch.packets.is_empty() {
                self.rest();
            } else {
                self.pause = SOON;
            }
            self.flush();
            if let Err(why) = filled
                && !self.await_return(&reason(&why))
            {
                break;
            }
        }
        if self.is_stopped() {
            self.drain();
        }
        let _ = self.feed.sender.send(Event::Ended);
    }

    fn is_stopped(&self) -> bool {
        self.feed.stop.load(Ordering::Acquire)
    }

    fn tell(&self, text: String) {
        let _ = self.feed.sender.send(Event::Told(text));
    }

    fn rest(&mut self) {
        thread::sleep(IDLE);
        self.rests += 1;
        if self.rests >= RESTS {
            self.rests = 0;
            self.ask_name();
        }
    }

    /// A socket is bound to the number of an interface: whatever it is called, listening goes on.
    fn ask_name(&mut self) {
        if let Some(called) = self.number.and_then(device::name_of)
            && called != self.called
        {
            self.tell(format!("{} is called {called} now", self.called));
            self.called = called;
        }
    }

    /// Says that the interface went away, and waits until there is one of its name that can be opened, or itself by another
    /// name. Whether there is.
    fn await_return(&mut self, why: &str) -> bool {
        self.drain();
        self.set_complete(false);
        self.tell(format!("{}: {why}; waiting for it to come back", self.called));
        // The numbers of what is closed now stay.
        self.dropped_before = self.dropped;
        loop {
            if !self.wait() {
                return false;
            }
            self.ask_name();
            if self.number.and_then(device::name_of).is_none() {
                self.called.clone_from(&self.name);
            }
            match right::with(|| device::activate(&self.called, &self.settings)) {
                Ok(device) => {
                    self.go_on_with(device);
                    return true;
                }
                Err(Error::Device { why, .. }) if !device::lacks_rights(&why) => {}
                Err(error) => {
                    let _ = self.feed.sender.send(Event::Failed(error));
                    return false;
                }
            }
        }
    }

    /// Takes what was captured before the end, or before the interface went away: the kernel hands it over when its time
    /// has come, and has no more than fits into its buffer.
    fn drain(&mut self) {
        thread::sleep(COLLECT + IDLE);
        let mut left = self.settings.ring.unsigned_abs() as usize;
        while left > 0 {
            let filled = self.fill();
            if self.batch.packets.is_empty() {
                return;
            }
            left = left.saturating_sub(self.bytes.len());
            self.flush();
            if filled.is_err() {
                return;
            }
        }
    }

    /// Waits, longer each time. Whether to go on.
    fn wait(&mut self) -> bool {
        let mut waited = Duration::ZERO;
        while waited < self.pause && !self.is_stopped() {
            thread::sleep(IDLE);
            waited += IDLE;
        }
        self.pause = (self.pause * 2).min(LATE);
        !self.is_stopped()
    }

    fn go_on_with(&mut self, device: Capture<Active>) {
        let (link, name) = (link_of(&device), &self.called);
        (self.link, self.number, self.device) = (link, device::number_of(name), device);
        self.set_complete(true);
        let text = format!("{name} went away and came back; what it carried until it was open again is not here");
        let mut told = lock(&self.feed.told);
        told.anomalies.add(Anomaly::new(AnomalyKind::DroppedPackets, 0, 0, text));
        for info in told.captures.iter_mut().filter(|info| !info.link_types.contains(&link)) {
            info.link_types.push(link);
        }
        drop(told);
        self.tell(format!("{} is back; listening goes on", self.called));
    }

    fn set_complete(&self, complete: bool) {
        lock(&self.feed.told).captures.iter_mut().for_each(|info| info.complete = complete);
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
            if self.bytes.len() >= BATCH_BYTES || time.since(first) >= COLLECT {
                return Ok(());
            }
        }
    }

    /// Hands over what there is, and notes what was lost.
    fn flush(&mut self) {
        if let Ok(stat) = self.device.stats() {
            let dropped = u64::from(stat.dropped).saturating_add(stat.if_dropped.into());
            self.dropped = self.dropped_before.saturating_add(dropped);
        }
        if !self.batch.packets.is_empty() {
            self.hand_over();
        }
        let drops = self.dropped.saturating_add(self.unread);
        lock(&self.feed.told).captures.iter_mut().for_each(|info| info.drops = info.drops.max(drops));
    }

    /// When nobody has time for a batch, it is given up: waiting would have the kernel drop others.
    fn hand_over(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let bytes: Bytes = std::mem::replace(&mut self.bytes, BytesMut::with_capacity(BATCH_BYTES / 8)).freeze();
        let (first, last) =
            (batch.packets.first().map(|packet| packet.time), batch.packets.last().map(|packet| packet.time));
        let (packets, size) = (batch.packets.len() as u64, bytes.len() as u64);
        batch.buffers.push(bytes);
        // Whoever gets the batch may ask at once how many packets there were.
        let mut told = lock(&self.feed.told);
        if self.feed.sender.try_send(Event::Packets(self.feed.number, batch)).is_err() {
            self.unread += packets;
            return;
        }
        for info in &mut told.captures {
            info.packets += packets;
            info.bytes += size;
            info.first = info.first.or(first);
            info.last = last.or(info.last);
        }
    }
}
