//! An interface, by libpcap: its thread only fills batches.

use super::{Event, Feed, lock};
use crate::base::{Batch, Error, LinkType, PacketMeta, Timestamp};
use crate::capture::filter::{self, reason};
use crate::capture::{CaptureInfo, Maker};
use bytes::{Bytes, BytesMut};
use pcap::{Active, Capture, Device};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Bytes of packets in one batch of an interface: [`crate::base::limits::WAITING_BATCHES`] of them are 64 MiB.
const BATCH_BYTES: usize = 256 << 10;
/// How long the kernel may collect packets before it hands them over, and how old a batch may get.
const COLLECT: Duration = Duration::from_millis(100);
/// How long to leave an interface alone that has nothing.
const IDLE: Duration = Duration::from_millis(20);
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

/// Names of the interfaces there are, with what the system says about them.
///
/// # Errors
/// [`Error::Device`] when the system does not tell.
pub fn interfaces() -> Result<Vec<(String, String)>, Error> {
    let all = Device::list().map_err(|why| Error::Device { name: "interfaces".to_owned(), why: reason(&why) })?;
    Ok(all.into_iter().map(|device| (device.name, device.desc.unwrap_or_default())).collect())
}

/// What is known of an interface before the first packet.
pub(super) fn info(name: &str, device: &Capture<Active>) -> Vec<CaptureInfo> {
    vec![CaptureInfo {
        path: name.to_owned(),
        format: "live",
        packets: 0,
        bytes: 0,
        first: None,
        last: None,
        link_types: vec![link_of(device)],
        complete: true,
        drops: 0,
        interfaces: Vec::new(),
        maker: Maker::default(),
        cut: None,
    }]
}

/// Starts the thread of an interface.
pub(super) fn start(device: Capture<Active>, name: &str, feed: Feed) {
    let (name, link) = (name.to_owned(), link_of(&device));
    let sniffer = Sniffer { device, name, link, feed, bytes: BytesMut::new(), batch: Batch::default(), unread: 0 };
    thread::spawn(move || sniffer.run());
}

fn link_of(device: &Capture<Active>) -> LinkType {
    LinkType(u16::try_from(device.get_datalink().0).unwrap_or(u16::MAX))
}

/// Opens one interface.
pub(super) fn open(name: &str, settings: &Settings) -> Result<Capture<Active>, Error> {
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
    feed: Feed,
    bytes: BytesMut,
    batch: Batch,
    /// Packets that nobody had time for.
    unread: u64,
}

impl Sniffer {
    fn run(mut self) {
        while !self.feed.stop.load(Ordering::Acquire) {
            if let Err(why) = self.fill() {
                self.flush();
                let error = Error::Device { name: self.name.clone(), why: reason(&why) };
                lock(&self.feed.told).captures.iter_mut().for_each(|info| info.complete = false);
                let _ = self.feed.sender.send(Event::Failed(error));
                break;
            }
            if self.batch.packets.is_empty() {
                thread::sleep(IDLE);
            }
            self.flush();
        }
        let _ = self.feed.sender.send(Event::Ended);
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
            let stopped = self.feed.stop.load(Ordering::Acquire);
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
        let given = packets == 0 || self.feed.sender.try_send(Event::Packets(self.feed.number, batch)).is_ok();
        let mut told = lock(&self.feed.told);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_told_with_the_way_to_get_them() {
        assert!(advice("socket: Operation not permitted").contains("setcap cap_net_raw+ep"));
        assert_eq!(advice("The interface is not up"), "The interface is not up");
    }
}
