//! Events of a trace as Ethernet frames, numbered as Wireshark would.

use super::trace::{End, Event, What};
use callflow::base::{Batch, LinkType, PacketMeta, Timestamp};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// 2026-01-01 00:00:00 UTC.
pub const START: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);

/// The packets of these events, all in one batch.
pub fn batch(events: &[Event]) -> Batch {
    let mut writer = Writer::default();
    for event in events {
        writer.event(event);
    }
    Batch { buffers: vec![writer.bytes.into()], packets: writer.packets }
}

/// A pcap file of nanosecond times with these packets.
pub fn pcap(batch: &Batch) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
        file.extend(word.to_le_bytes());
    }
    for packet in &batch.packets {
        let nanos = packet.time.as_nanos();
        let time = [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32];
        for word in [time[0], time[1], packet.captured, packet.original] {
            file.extend(word.to_le_bytes());
        }
        file.extend(batch.data(packet));
    }
    file
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    packets: Vec<PacketMeta>,
    next_id: u16,
    /// Next sequence number of each direction of a TCP connection.
    streams: HashMap<(SocketAddr, SocketAddr), u32>,
}

impl Writer {
    fn event(&mut self, event: &Event) {
        match &event.what {
            What::End => {
                let (src, dst) = ("192.0.2.254:9".parse().unwrap(), "192.0.2.253:9".parse().unwrap());
                self.udp(event, src, dst, b"end");
            }
            What::Udp { src, dst, payload } => self.udp(event, *src, *dst, payload),
            What::Tcp { src, dst, end: Some(End::Refused), .. } => self.refused(event, *src, *dst),
            What::Tcp { src, dst, payload, end } => self.tcp(event, *src, *dst, payload, *end),
            What::Ip { protocol, src, dst, payload } => self.other(event, *protocol, *src, *dst, payload),
        }
    }

    fn udp(&mut self, event: &Event, src: SocketAddr, dst: SocketAddr, payload: &[u8]) {
        let mut frame = Vec::new();
        self.ip(event, src, dst).udp(src.port(), dst.port()).write(&mut frame, payload).unwrap();
        self.add(event, event.time, &frame);
    }

    /// A packet of any IP protocol.
    fn other(&mut self, event: &Event, protocol: u8, src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8]) {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(src.octets(), dst.octets(), 64)
            .write(&mut frame, protocol.into(), payload)
            .unwrap();
        self.add(event, event.time, &frame);
    }

    /// A data segment, with the handshake before the first one of its connection.
    fn tcp(&mut self, event: &Event, src: SocketAddr, dst: SocketAddr, payload: &[u8], end: Option<End>) {
        if !self.streams.contains_key(&(src, dst)) {
            self.handshake(event, src, dst);
        }
        let (seq, ack) = (self.streams[&(src, dst)], self.streams[&(dst, src)]);
        let mut frame = Vec::new();
        let builder = self.ip(event, src, dst).tcp(src.port(), dst.port(), seq, 65_000).psh().ack(ack);
        let builder = match end {
            None => builder,
            Some(End::Fin) => builder.fin(),
            Some(End::Rst | End::Refused) => builder.rst(),
        };
        builder.write(&mut frame, payload).unwrap();
        self.add(event, event.time, &frame);
        self.streams.insert((src, dst), seq.wrapping_add(payload.len() as u32));
    }

    /// A connection attempt that is refused.
    fn refused(&mut self, event: &Event, src: SocketAddr, dst: SocketAddr) {
        let mut frame = Vec::new();
        self.ip(event, src, dst).tcp(src.port(), dst.port(), 1000, 65_000).syn().write(&mut frame, &[]).unwrap();
        self.add(event, event.time, &frame);
        frame.clear();
        let answer = self.ip(event, dst, src).tcp(dst.port(), src.port(), 0, 0).rst().ack(1001);
        answer.write(&mut frame, &[]).unwrap();
        self.add(event, event.time + Duration::from_micros(100), &frame);
    }

    fn handshake(&mut self, event: &Event, src: SocketAddr, dst: SocketAddr) {
        let before = |micros| event.time.saturating_sub(Duration::from_micros(micros));
        let mut frame = Vec::new();
        self.ip(event, src, dst).tcp(src.port(), dst.port(), 1000, 65_000).syn().write(&mut frame, &[]).unwrap();
        self.add(event, before(30), &frame);
        frame.clear();
        self.ip(event, dst, src)
            .tcp(dst.port(), src.port(), 9000, 65_000)
            .syn()
            .ack(1001)
            .write(&mut frame, &[])
            .unwrap();
        self.add(event, before(20), &frame);
        frame.clear();
        self.ip(event, src, dst).tcp(src.port(), dst.port(), 1001, 65_000).ack(9001).write(&mut frame, &[]).unwrap();
        self.add(event, before(10), &frame);
        self.streams.insert((src, dst), 1001);
        self.streams.insert((dst, src), 9001);
    }

    fn ip(&mut self, event: &Event, src: SocketAddr, dst: SocketAddr) -> PacketBuilderStep<IpHeaders> {
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        match (src, dst) {
            (SocketAddr::V4(src), SocketAddr::V4(dst)) => {
                self.next_id += 1;
                let mut header =
                    etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, src.ip().octets(), dst.ip().octets())
                        .unwrap();
                header.identification = event.ip_id.unwrap_or(self.next_id);
                ethernet.ip(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
            }
            (SocketAddr::V6(src), SocketAddr::V6(dst)) => ethernet.ipv6(src.ip().octets(), dst.ip().octets(), 64),
            _ => panic!("{src} and {dst} are not of one IP version"),
        }
    }

    fn add(&mut self, event: &Event, time: Duration, frame: &[u8]) {
        let captured = event.cut.unwrap_or(u32::MAX).min(frame.len() as u32);
        self.packets.push(PacketMeta {
            frame: self.packets.len() as u32 + 1,
            time: START.after(time),
            buffer: 0,
            offset: self.bytes.len() as u64,
            captured,
            original: frame.len() as u32,
            link: LinkType(1),
            interface: event.interface,
        });
        self.bytes.extend_from_slice(&frame[..captured as usize]);
    }
}
