//! Whole files, built by hand, through [`open`] and [`CaptureFile`].

use super::*;
use crate::base::{AnomalyKind, PacketMeta};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Writes numbers in one byte order.
#[derive(Clone)]
struct Writer {
    big: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(big: bool) -> Self {
        Self { big, bytes: Vec::new() }
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn u16(self, n: u16) -> Self {
        let bytes = if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
        self.raw(&bytes)
    }

    fn u32(self, n: u32) -> Self {
        let bytes = if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
        self.raw(&bytes)
    }

    fn u64(self, n: u64) -> Self {
        let bytes = if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
        self.raw(&bytes)
    }

    fn pcap(self, magic: u32, snap: u32, link: u32) -> Self {
        self.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(snap).u32(link)
    }

    fn record(self, seconds: u32, fraction: u32, data: &[u8]) -> Self {
        self.u32(seconds).u32(fraction).u32(data.len() as u32).u32(data.len() as u32).raw(data)
    }

    fn block(self, kind: u32, body: &Writer) -> Self {
        let padding = body.bytes.len().next_multiple_of(4) - body.bytes.len();
        let total = (body.bytes.len() + padding + 12) as u32;
        self.u32(kind).u32(total).raw(&body.bytes).raw(&[0; 3][..padding]).u32(total)
    }

    fn section(self) -> Self {
        let body = Self::new(self.big).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snap: u32, options: &[(u16, Writer)]) -> Self {
        let body = Self::new(self.big).u16(link).u16(0).u32(snap).options(options);
        self.block(1, &body)
    }

    fn options(mut self, options: &[(u16, Writer)]) -> Self {
        for (code, value) in options {
            self = self.u16(*code).u16(value.bytes.len() as u16).raw(&value.bytes);
            let padding = value.bytes.len().next_multiple_of(4) - value.bytes.len();
            self = self.raw(&[0; 3][..padding]);
        }
        if options.is_empty() { self } else { self.u32(0) }
    }

    fn enhanced(self, interface: u32, ticks: u64, data: &[u8]) -> Self {
        let body = Self::new(self.big)
            .u32(interface)
            .u32((ticks >> 32) as u32)
            .u32(ticks as u32)
            .u32(data.len() as u32)
            .u32(data.len() as u32 + 1)
            .raw(data);
        self.block(6, &body)
    }
}

/// An Ethernet pcap with one packet a second, each with its number repeated.
fn simple(seconds: impl IntoIterator<Item = u32>) -> Writer {
    let file = Writer::new(false).pcap(0xa1b2_c3d4, 65_535, 1);
    seconds.into_iter().fold(file, |file, second| file.record(second, 5, &[second as u8; 40]))
}

/// Gives one byte a read, as a slow pipe may.
struct Dripping(io::Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

fn read(bytes: Vec<u8>) -> Result<CaptureFile, Error> {
    CaptureFile::read(Box::new(io::Cursor::new(bytes)), Path::new("test"))
}

/// A folder for one test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("callflow-capture-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// All packets with their bytes.
fn drain(source: &mut dyn Source) -> Vec<(PacketMeta, Vec<u8>)> {
    let mut batch = Batch::default();
    let mut all = Vec::new();
    while source.next_batch(&mut batch).unwrap() == More::More {
        assert!(!batch.packets.is_empty());
        all.extend(batch.packets.iter().map(|packet| (*packet, batch.data(packet).to_vec())));
    }
    assert!(batch.packets.is_empty());
    all
}

/// The bytes, mapped and dripped, which must give the same.
fn both_ways(name: &str, bytes: &[u8]) -> (Vec<(PacketMeta, Vec<u8>)>, CaptureFile) {
    let folder = folder(name);
    let path = folder.join("file");
    fs::write(&path, bytes).unwrap();
    let mut mapped = CaptureFile::open(&path).unwrap();
    let packets = drain(&mut mapped);
    let dripping = Box::new(Dripping(io::Cursor::new(bytes.to_vec())));
    let mut streamed = CaptureFile::read(dripping, &path).unwrap();
    let facts = |packets: &[(PacketMeta, Vec<u8>)]| {
        let one = |(p, data): &(PacketMeta, Vec<u8>)| (p.frame, p.time, p.original, p.link, p.interface, data.clone());
        packets.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(facts(&packets), facts(&drain(&mut streamed)));
    assert_eq!(mapped.captures(), streamed.captures());
    fs::remove_dir_all(folder).unwrap();
    (packets, mapped)
}

fn seconds(packets: &[(PacketMeta, Vec<u8>)]) -> Vec<i64> {
    packets.iter().map(|(packet, _)| packet.time.as_nanos() / 1_000_000_000).collect()
}

#[test]
fn pcap_of_either_order_and_resolution_gives_the_same_packets() {
    for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
        for big in [false, true] {
            // The upper bits of the link type tell of a frame check sequence; snap length 0 is none.
            let file = Writer::new(big).pcap(magic, 0, 0x2400_0001).record(7, 9, b"one").record(8, 0, b"");
            let (packets, capture) = both_ways("orders", &file.bytes);
            assert_eq!(packets[0].0.time.as_nanos(), 7_000_000_000 + 9 * unit);
            assert_eq!(packets[0].1, b"one");
            assert_eq!((packets[1].0.frame, packets[1].0.captured), (2, 0));
            let info = &capture.captures()[0];
            assert_eq!((info.format, info.packets, info.bytes, info.complete), ("pcap", 2, 59, true));
            assert_eq!(info.link_types, [LinkType(1)]);
            assert_eq!((info.first, info.last), (Some(packets[0].0.time), Some(packets[1].0.time)));
        }
    }
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    let head = Writer::new(false).pcap(0xa1b2_cd34, 65_535, 1);
    let file =
        head.u32(1).u32(2).u32(3).u32(60).raw(&[9; 8]).raw(b"abc").u32(2).u32(2).u32(1).u32(1).raw(&[9; 8]).raw(b"d");
    let (packets, _) = both_ways("modified", &file.bytes);
    assert_eq!((packets[0].1.as_slice(), packets[0].0.original), (&b"abc"[..], 60));
    assert_eq!(packets[1].1, b"d");
}

#[test]
fn longer_record_headers_under_the_usual_magic_are_told_by_the_next_record() {
    // Nokia, Red Hat 6.1; Kuznetsov, SuSE 6.3.
    for (magic, extra) in [(0xa1b2_c3d4, 4), (0xa1b2_c3d4, 8), (0xa1b2_cd34, 8), (0xa1b2_cd34, 12)] {
        for big in [false, true] {
            for count in [1, 2, 5] {
                let file = (0..count).fold(Writer::new(big).pcap(magic, 0, 1), |file, second| {
                    let header = file.u32(1_700_000_000 + second).u32(1).u32(50).u32(60);
                    header.raw(&[9; 12][..extra]).raw(&[7; 50])
                });
                let (packets, capture) = both_ways("headers", &file.bytes);
                assert_eq!(packets.len() as u32, count, "{magic:x} {extra} {big}");
                assert!(packets.iter().all(|(_, data)| data == &[7; 50]));
                assert!(capture.captures()[0].complete);
            }
        }
    }
}

#[test]
fn ixia_headers_have_four_bytes_more() {
    for (magic, unit) in [(0x1c00_01ac, 1), (0x1c00_01ab, 1000)] {
        for big in [false, true] {
            let head = Writer::new(big).pcap(magic, 65_535, 1).u32(20);
            let file = head.record(7, 9, b"data");
            let (packets, capture) = both_ways("ixia", &file.clone().raw(&file.bytes).bytes);
            assert_eq!(packets.len(), 2);
            assert_eq!(packets[1].0.time.as_nanos(), 7_000_000_000 + 9 * unit);
            assert_eq!(packets[1].1, b"data");
            assert!(capture.captures()[0].complete);
        }
    }
}

#[test]
fn aix_has_its_own_link_types_nanoseconds_and_order_of_lengths() {
    let file = Writer::new(true).u32(0xa1b2_c3d4).u16(2).u16(2).u32(0).u32(0).u32(96).u32(6);
    let file = file.u32(5).u32(123_456_789).u32(60).u32(3).raw(b"abc");
    let (packets, _) = both_ways("aix", &file.bytes);
    let (packet, data) = &packets[0];
    assert_eq!((packet.link, packet.original), (LinkType(1), 60));
    assert_eq!(packet.time.as_nanos(), 5_123_456_789);
    assert_eq!(data, b"abc");
}

/// A snoop file of 40-byte packets, `padding` bytes after each.
fn snoop(media: u32, padding: usize, seconds: impl IntoIterator<Item = u32>) -> Writer {
    let head = Writer::new(true).raw(b"snoop\0\0\0").u32(2).u32(media);
    seconds.into_iter().fold(head, |file, second| {
        let header = file.u32(60).u32(40).u32(24 + 40 + padding as u32);
        let header = header.u32(second % 100).u32(second).u32(5);
        header.raw(&[second as u8; 40]).raw(&vec![0; padding])
    })
}

#[test]
fn snoop_records_are_padded_and_count_drops() {
    for (media, link) in [(4, 1), (0x8000_0005, 226), (99, u16::MAX)] {
        let (packets, mut capture) = both_ways("snoop", &snoop(media, 6, 101..104).bytes);
        assert_eq!(seconds(&packets), [101, 102, 103]);
        assert_eq!(packets[2].1, [103; 40]);
        assert_eq!((packets[0].0.original, packets[0].0.link), (60, LinkType(link)));
        let info = &capture.captures()[0];
        assert_eq!((info.format, info.drops, info.complete), ("snoop", 3, true));
        let anomalies = capture.take_anomalies();
        assert!(anomalies.of(AnomalyKind::DroppedPackets).is_some());
    }
}

/// A Network Monitor file of 40-byte packets at 2026-01-02 03:04:05.250 and so many seconds later;
/// a table of frames follows.
fn netmon(version: (u8, u8), seconds: std::ops::Range<u32>) -> Vec<u8> {
    let magic = if version.0 == 1 { b"RTSS" } else { b"GMBU" };
    let mut file = Writer::new(false).raw(magic).raw(&[version.1, version.0]).u16(1);
    for field in [2026, 1, 5, 2, 3, 4, 5, 250] {
        file = file.u16(field);
    }
    let record = match version {
        (1, _) => 8 + 40,
        (_, minor) => 16 + 40 + [0, 2, 6, 15][usize::from(minor)],
    };
    let end = 128 + seconds.len() as u32 * record;
    file = file.u32(end).u32(4).raw(&[0; 96]);
    for second in seconds {
        file = match version.0 {
            1 => file.u32(second * 1000).u16(60).u16(40),
            _ => file.u64(u64::from(second) * 1_000_000).u32(60).u32(40),
        };
        let ticks = 116_444_736_000_000_000 + u64::from(second) * 10_000_000;
        let trailer = Writer::new(false).u16(0xe065).u32(0).u64(ticks).raw(&[0]).bytes;
        let length = if version.0 == 1 { 0 } else { [0, 2, 6, 15][usize::from(version.1)] };
        file = file.raw(&[second as u8; 40]).raw(&trailer[..length]);
    }
    file.u32(128).bytes
}

#[test]
fn network_monitor_of_all_versions_is_read_up_to_its_tables() {
    // 2026-01-02 03:04:05 UTC.
    const START: i64 = 1_767_323_045;
    for version in [(1, 1), (2, 0), (2, 1), (2, 2), (2, 3)] {
        let (packets, capture) = both_ways("netmon", &netmon(version, 10..14));
        let start = if version == (2, 3) { 0 } else { START };
        assert_eq!(seconds(&packets), [10, 11, 12, 13].map(|at| start + at), "{version:?}");
        let (packet, data) = &packets[3];
        assert_eq!((data, packet.original), (&vec![13; 40], 60));
        // In the header Ethernet, with the packet a number of pcap's.
        let link = if version.0 == 1 || version.1 == 0 { 1 } else { 101 };
        assert_eq!(packet.link, LinkType(link));
        let info = &capture.captures()[0];
        assert_eq!((info.format, info.complete, info.cut), ("netmon", true, None));
    }
}

#[test]
fn network_monitor_files_with_an_impossible_start_are_read() {
    let mut bytes = netmon((2, 1), 1..4);
    bytes[8 + 14..][..2].copy_from_slice(&i16::MAX.to_le_bytes()); // milliseconds
    let (packets, _) = both_ways("netmon-start", &bytes);
    assert_eq!(seconds(&packets), [1, 2, 3]);
}

#[test]
fn network_monitor_metadata_has_no_frame_number_and_80211_loses_its_header() {
    let mut bytes = netmon((2, 1), 1..4);
    let record = 16 + 40 + 2;
    bytes[128 + record - 2..][..2].copy_from_slice(&0xfffe_u16.to_le_bytes());
    bytes[128 + 2 * record - 2..][..2].copy_from_slice(&6_u16.to_le_bytes());
    bytes[128 + record + 16..][..3].copy_from_slice(&[2, 32, 0]);
    let (packets, _) = both_ways("netmon-kinds", &bytes);
    let facts = packets.iter().map(|(p, data)| (p.frame, p.link.0, data.len(), p.original));
    assert_eq!(facts.collect::<Vec<_>>(), [(1, 105, 8, 28), (2, 101, 40, 60)]);
}

#[test]
fn snoop_and_network_monitor_go_on_behind_damage() {
    let snoop = snoop(4, 0, 101..110).bytes;
    let netmon = netmon((2, 0), 101..110);
    for (bytes, at) in [(snoop, 16 + 3 * 64), (netmon, 128 + 3 * 56)] {
        for damage in [at + 4, at + 12] {
            let mut bytes = bytes.clone();
            bytes[damage..][..4].fill(0xff);
            let (packets, mut capture) = both_ways("damaged-others", &bytes);
            let last = packets.last().unwrap().1[0];
            assert!(packets.len() >= 7 && last == 109, "{} {last}", packets.len());
            let told = capture.take_anomalies().of(AnomalyKind::DamagedFile).is_some();
            assert_eq!(told, packets.len() < 9);
            assert_eq!(capture.captures()[0].complete, !told);
        }
    }
}

#[test]
fn names_interfaces_comments_and_drops_of_pcapng_are_kept() {
    for big in [false, true] {
        let w = || Writer::new(big);
        let named = [(2, w().raw(b"eth0")), (3, w().raw(b"to the\0"))];
        let packet = |options: &[(u16, Writer)]| {
            let body = w().u32(0).u32(0).u32(7).u32(3).u32(3).raw(b"abc\0");
            body.options(options)
        };
        let names = [
            (1, w().raw(&[192, 0, 2, 1]).raw(b"proxy.example\0other\0")),
            (1, w().raw(&[192, 0, 2, 1]).raw(b"too late\0")),
            (2, w().raw(&[0x20; 16]).raw(b"six\0")),
            (2, w().raw(b"short")),
        ];
        let comment = (1, w().raw("lost här".as_bytes()));
        let file = w()
            .section()
            .interface(1, 0, &named)
            .block(4, &w().options(&names))
            .block(6, &packet(&[]))
            .block(6, &packet(&[comment, (4, w().u64(5))]))
            .block(6, &packet(&[(2, w().u32(1)), (4, w().u64(6)), (1, w().raw(b"2nd"))]));
        let (_, capture) = both_ways("names", &file.bytes);
        let info = &capture.captures()[0];
        assert_eq!(info.drops, 11);
        let interface = InterfaceInfo {
            name: Some("eth0".into()),
            description: Some("to the".into()),
            link: LinkType(1),
            packets: 3,
            drops: 11,
        };
        assert_eq!(info.interfaces, [interface]);
        let names: Vec<_> = capture.names().iter().map(|(ip, name)| format!("{ip} {name}")).collect();
        assert_eq!(names, ["192.0.2.1 proxy.example", "2020:2020:2020:2020:2020:2020:2020:2020 six"]);
        let comments = capture.comments().iter().map(|c| (c.frame, c.text.as_str()));
        assert_eq!(comments.collect::<Vec<_>>(), [(2, "lost här"), (3, "2nd")]);
        // Among other files the frames are numbered anew, the rest is the same.
        let folder = folder("names-merged");
        fs::write(folder.join("b"), &file.bytes).unwrap();
        fs::write(folder.join("a"), simple([0]).bytes).unwrap();
        let mut merged = open(std::slice::from_ref(&folder)).source;
        assert_eq!(drain(&mut *merged).len(), 4);
        let comments = merged.comments().iter().map(|c| c.frame);
        assert_eq!(comments.collect::<Vec<_>>(), [3, 4]);
        assert_eq!(merged.names(), capture.names());
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_growing_file_is_followed_to_the_stop() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = folder("follow");
    let path = folder.join("growing");
    fs::write(&path, b"").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (path, stop) = (path.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            for part in simple(1..30).bytes.chunks(100) {
                file.write_all(part).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            stop.store(true, Ordering::Release);
        })
    };
    let mut capture = CaptureFile::follow(&path, stop).unwrap();
    assert_eq!(seconds(&drain(&mut capture)), (1..30).collect::<Vec<_>>());
    assert!(capture.captures()[0].complete && capture.captures()[0].cut.is_none());
    writer.join().unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_followed_file_that_shrinks_is_an_error() {
    let folder = folder("shrink");
    let path = folder.join("shrinking");
    fs::write(&path, simple(1..4).bytes).unwrap();
    let mut capture = CaptureFile::follow(&path, std::sync::Arc::default()).unwrap();
    let mut batch = Batch::default();
    assert_eq!(capture.next_batch(&mut batch).unwrap(), More::More);
    fs::write(&path, b"").unwrap();
    let error = capture.next_batch(&mut batch).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn pcapng_sections_of_both_orders_have_interfaces_of_their_own() {
    let resolution = |value: u8| (9, Writer::new(false).raw(&[value]));
    let offset = |big| (14, Writer::new(big).u64(100));
    let little = Writer::new(false)
        .section()
        .interface(1, 0, &[])
        .interface(113, 96, &[resolution(9), offset(false)])
        .enhanced(0, 1_500_000, b"micro")
        .enhanced(1, 2_000_000_007, b"nano")
        .enhanced(9, 0, b"no such interface");
    let big = Writer::new(true)
        .section()
        .interface(101, 0, &[resolution(0x94), offset(true)])
        .interface(1, 0, &[resolution(12)])
        .enhanced(0, 3 << 19, b"binary")
        .enhanced(1, 4_000_000_001_000, b"pico");
    let (packets, mut capture) = both_ways("sections", &little.raw(&big.bytes).bytes);
    let times: Vec<i64> = packets.iter().map(|(packet, _)| packet.time.as_nanos()).collect();
    assert_eq!(times, [1_500_000_000, 102_000_000_007, 101_500_000_000, 4_000_000_001]);
    let interfaces: Vec<u32> = packets.iter().map(|(packet, _)| packet.interface).collect();
    assert_eq!(interfaces, [0, 1, 2, 3]);
    assert_eq!(packets.iter().map(|(_, data)| data.len()).collect::<Vec<_>>(), [5, 4, 6, 4]);
    assert_eq!(packets[3].0.original, 5);
    assert_eq!(capture.captures()[0].link_types, [LinkType(1), LinkType(113), LinkType(101)]);
    assert_eq!(capture.take_anomalies().of(AnomalyKind::SkippedBlock).unwrap().count, 1);
}

#[test]
fn pcapng_simple_and_obsolete_packets_drops_secrets_and_unknown_blocks() {
    for big in [false, true] {
        let w = || Writer::new(big);
        let drops = [(5, w().u64(3)), (7, w().u64(4))];
        let file = w()
            .section()
            .interface(1, 4, &[])
            .block(0xa, &w().u32(0x544c_534b).u32(5).raw(b"LINE1"))
            .block(2, &w().u16(0).u16(2).u32(0).u32(77).u32(3).u32(3).raw(b"old"))
            .block(3, &w().u32(9).raw(b"simple of 9"))
            .block(5, &w().u32(0).u32(0).u32(0).options(&[(5, w().u64(1))]))
            .block(5, &w().u32(0).u32(0).u32(0).options(&drops))
            .block(0x0bad, &w().u32(1).raw(b"custom"))
            .block(0x7777, &w().raw(b"whatever"));
        let (packets, mut capture) = both_ways("blocks", &file.bytes);
        assert_eq!(packets[0].1, b"old");
        assert_eq!((packets[1].1.as_slice(), packets[1].0.original), (&b"simp"[..], 9));
        assert_eq!(packets[1].0.time, packets[0].0.time);
        assert_eq!(capture.captures()[0].drops, 3 + 4);
        assert_eq!(capture.key_log(), b"LINE1\n");
        assert!(capture.key_log().is_empty());
        let anomalies = capture.take_anomalies();
        assert_eq!(anomalies.of(AnomalyKind::SkippedBlock).unwrap().count, 1);
        assert!(anomalies.of(AnomalyKind::DroppedPackets).is_some());
        assert!(capture.captures()[0].complete);
    }
}

#[test]
fn cut_last_record_is_told_and_all_whole_ones_are_read() {
    let pcap = simple(1..4).bytes;
    for left in [1, 15, 16, 55] {
        let (packets, mut capture) = both_ways("cut", &pcap[..24 + 2 * 56 + left]);
        assert_eq!(seconds(&packets), [1, 2]);
        let info = capture.captures()[0].clone();
        assert_eq!((info.complete, info.cut), (true, Some(Cut { frame: 3, offset: 136 })));
        let anomalies = capture.take_anomalies();
        let cut = anomalies.of(AnomalyKind::CutLastRecord).unwrap();
        assert_eq!((cut.first.frame, cut.first.offset), (3, 136));
    }
    let ng = Writer::new(false).section().interface(1, 0, &[]).enhanced(0, 1, b"abcd").enhanced(0, 2, b"efgh").bytes;
    let (packets, capture) = both_ways("cut-ng", &ng[..ng.len() - 1]);
    assert_eq!(packets.len(), 1);
    assert_eq!(capture.captures()[0].cut, Some(Cut { frame: 2, offset: ng.len() as u64 - 36 }));
}

#[test]
fn reading_goes_on_behind_a_record_with_an_absurd_length() {
    let good = simple(100..110).bytes;
    for length in [0xffff_ffff_u32, 0x0100_0000, 100_000, 60] {
        let mut bytes = good.clone();
        bytes[24 + 3 * 56 + 8..][..4].copy_from_slice(&length.to_le_bytes());
        let (packets, mut capture) = both_ways("absurd", &bytes);
        assert_eq!(seconds(&packets), [100, 101, 102, 104, 105, 106, 107, 108, 109], "{length:#x}");
        assert!(!capture.captures()[0].complete);
        let anomalies = capture.take_anomalies();
        let damage = anomalies.of(AnomalyKind::DamagedFile).unwrap();
        assert_eq!((damage.count, damage.first.frame, damage.first.offset), (1, 4, 24 + 3 * 56));
        assert!(anomalies.of(AnomalyKind::CutLastRecord).is_none());
    }
}

#[test]
fn reading_goes_on_behind_garbage_and_holes() {
    for garbage in [vec![0xff; 1000], vec![0; 5_000_000], b"INVITE sip:bob@example.com SIP/2.0\r\n".repeat(130_000)] {
        let bytes = [&simple(100..103).bytes[..], &garbage, &simple(103..106).bytes[24..]].concat();
        let mut streamed = read(bytes.clone()).unwrap();
        assert_eq!(seconds(&drain(&mut streamed)), [100, 101, 102, 103, 104, 105]);
        let summary = streamed.take_anomalies().of(AnomalyKind::DamagedFile).unwrap().clone();
        assert_eq!((summary.count, summary.first.offset), (1, 24 + 3 * 56));
        assert!(summary.first.text.contains(&garbage.len().to_string()), "{}", summary.first.text);
    }
}

#[test]
fn reading_goes_on_where_the_clock_has_jumped_behind_damage() {
    let bytes = [&simple(100..103).bytes[..], &[0xee; 77], &simple(9_000_000..9_000_008).bytes[24..]].concat();
    assert_eq!(both_ways("jump", &bytes).0.len(), 3 + 8);
}

#[test]
fn captures_joined_with_cat_are_one() {
    let other = Writer::new(false).pcap(0xa1b2_c3d4, 0, 101).record(9, 0, b"raw");
    let (packets, capture) = both_ways("cat", &[simple(1..3).bytes, other.bytes].concat());
    assert_eq!(seconds(&packets), [1, 2, 9]);
    assert_eq!(capture.captures()[0].link_types, [LinkType(1), LinkType(101)]);
}

#[test]
fn damaged_tail_is_no_cut_record() {
    let mut capture = read([&simple(1..3).bytes[..], &[0; 400]].concat()).unwrap();
    assert_eq!(drain(&mut capture).len(), 2);
    let info = &capture.captures()[0];
    assert_eq!((info.complete, info.cut, info.bytes), (false, None, 24 + 2 * 56 + 400));
}

#[test]
fn packets_with_wrong_fractions_are_read_all_the_same() {
    // Nanoseconds under the magic of microseconds.
    let file = (1..20)
        .fold(Writer::new(false).pcap(0xa1b2_c3d4, 0, 1), |file, second| file.record(second, 999_999_999, b"data"));
    let (packets, capture) = both_ways("fractions", &file.bytes);
    assert_eq!(packets.len(), 19);
    assert!(capture.captures()[0].complete);
}

#[test]
fn a_packet_is_never_shorter_on_the_wire_than_in_the_file() {
    let simple = Writer::new(false).pcap(0xa1b2_c3d4, 100, 1).u32(1).u32(0).u32(3).u32(0).raw(b"abc").bytes;
    let (packets, _) = both_ways("length-zero", &simple);
    assert_eq!(packets.iter().map(|(meta, _)| (meta.captured, meta.original)).collect::<Vec<_>>(), [(3, 3)]);
}

#[test]
fn pcapng_goes_on_behind_a_damaged_block() {
    let start = Writer::new(true).section().interface(1, 0, &[]).enhanced(0, 1, b"before");
    let damaged = start.clone().enhanced(0, 2, b"broken").enhanced(0, 3, b"after").enhanced(0, 4, b"last");
    for length in [0_u32, 0x7fff_fff0, 400, 41] {
        let mut bytes = damaged.bytes.clone();
        bytes[start.bytes.len() + 4..][..4].copy_from_slice(&length.to_be_bytes());
        let (packets, mut capture) = both_ways("damaged-ng", &bytes);
        let data: Vec<_> = packets.iter().map(|(_, data)| data.as_slice()).collect();
        assert_eq!(data, [&b"before"[..], b"after", b"last"], "{length:#x}");
        assert!(!capture.captures()[0].complete);
        assert_eq!(capture.take_anomalies().of(AnomalyKind::DamagedFile).unwrap().count, 1);
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let why = |bytes: &[u8]| read(bytes.to_vec()).err().unwrap().to_string();
    assert_eq!(why(b""), "test: not a capture file: empty file");
    assert_eq!(why(b"GIF89a.."), "test: not a capture file: it starts with 'GIF8'");
    assert_eq!(why(&[0, 1]), "test: not a capture file: it starts with '\\x00\\x01'");
    assert!(why(&simple([]).bytes[..20]).contains("within the header"));
    assert!(why(b"\x1f\x8bnonsense").contains("gzip"));
    let missing = CaptureFile::open(Path::new("no/such/file")).err().unwrap();
    assert!(matches!(missing, Error::Io { .. }));
}

#[test]
fn empty_file_on_disk_is_named_too() {
    let folder = folder("empty");
    fs::write(folder.join("a.pcap"), b"").unwrap();
    let opened = open(&[folder.join("a.pcap")]);
    assert!(opened.errors[0].to_string().ends_with("empty file"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_read_error_is_not_the_end_of_the_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let reader = io::Cursor::new(simple(1..3).bytes).chain(Broken);
    let mut capture = CaptureFile::read(Box::new(reader), Path::new("test")).unwrap();
    let mut batch = Batch::default();
    assert_eq!(capture.next_batch(&mut batch).unwrap(), More::More);
    assert_eq!(batch.packets.len(), 2);
    assert!(capture.next_batch(&mut batch).unwrap_err().to_string().contains("disk on fire"));
    assert_eq!(capture.next_batch(&mut batch).unwrap(), More::End);
    assert!(!capture.captures()[0].complete);
}

/// `simple` with seconds 1 700 000 000 to 1 700 000 002, as compressed by xz and zstd.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x16, 0x00, 0x00,
    0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0xbf, 0x00, 0x29, 0x5d, 0x00, 0x6a, 0x30, 0xd1, 0xc8, 0x7d, 0x8b, 0xf8,
    0x09, 0x9b, 0xad, 0x94, 0x4b, 0x8a, 0xf3, 0x4a, 0xd0, 0x98, 0x12, 0x8f, 0x04, 0x8d, 0x1f, 0x5f, 0x2e, 0x94, 0x1a,
    0x98, 0x4c, 0xdc, 0xe3, 0x45, 0xbe, 0x05, 0x34, 0x0f, 0x99, 0xd3, 0x40, 0x5c, 0x8b, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x24, 0x67, 0xa3, 0x1f, 0x1b, 0x36, 0xca, 0x25, 0x00, 0x01, 0x45, 0xc0, 0x01, 0x00, 0x00, 0x00, 0xbc, 0xc0, 0x69,
    0xcd, 0xb1, 0xc4, 0x67, 0xfb, 0x02, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];
const ZSTD: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x24, 0xc0, 0x95, 0x01, 0x00, 0x22, 0xc2, 0x07, 0x0f, 0xf0, 0x39, 0x4b, 0x59, 0x85, 0x40,
    0x70, 0xa4, 0x52, 0x4f, 0x62, 0xa4, 0x95, 0x29, 0x05, 0x00, 0xbf, 0xc7, 0xf6, 0xd8, 0x96, 0x22, 0xb5, 0xed, 0xdb,
    0xbb, 0x0e, 0x83, 0x1d, 0x66, 0x06, 0x00, 0xdc, 0x52, 0xdc, 0xee, 0xb8, 0x25, 0xdb, 0xaa, 0x13, 0x02, 0xd8, 0x08,
    0xc0, 0x05, 0xb7, 0x36, 0x70, 0x8d,
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_captures_are_read_from_files_and_pipes() {
    let plain = simple(1_700_000_000..1_700_000_003).bytes;
    for compressed in [gzip(&plain), lz4(&plain), XZ.to_vec(), ZSTD.to_vec()] {
        let (packets, capture) = both_ways("compressed", &compressed);
        assert_eq!(seconds(&packets), [1_700_000_000, 1_700_000_001, 1_700_000_002]);
        let info = &capture.captures()[0];
        assert_eq!((info.complete, info.bytes), (true, plain.len() as u64), "{:x?}", &compressed[..4]);
    }
}

#[test]
fn compressed_parts_in_a_row_are_one_file() {
    let (plain, whole) = (simple(1..8).bytes, 24 + 7 * 56);
    for encode in [gzip, lz4] {
        let bytes = plain.chunks(100).flat_map(encode).collect::<Vec<u8>>();
        assert_eq!(both_ways("parts", &bytes).1.captures()[0].bytes, whole);
    }
    // A skippable frame before, between and behind; padding between xz streams.
    let skip: &[u8] = &[0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for parts in [vec![skip, ZSTD, skip, ZSTD, skip], vec![XZ, &[0; 8], XZ]] {
        let (packets, capture) = both_ways("skippable", &parts.concat());
        assert_eq!(packets.len(), 6);
        assert!(capture.captures()[0].complete);
    }
}

#[test]
fn cut_compressed_capture_gives_what_was_decoded() {
    let noise = (0_u32..40_000).fold(Vec::new(), |mut noise, n| {
        noise.extend_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
        noise
    });
    let mut file = simple([]);
    for (second, data) in noise.chunks(1000).enumerate() {
        file = file.record(second as u32 + 1, 0, data);
    }
    for compressed in [gzip(&file.bytes), lz4(&file.bytes)] {
        let (packets, mut capture) = both_ways("cut-compressed", &compressed[..compressed.len() * 2 / 3]);
        assert!((20..160).contains(&packets.len()), "{}", packets.len());
        assert!(!capture.captures()[0].complete);
        assert!(capture.take_anomalies().of(AnomalyKind::DamagedFile).is_some());
    }
}

#[test]
fn several_files_are_merged_by_time_and_numbered_anew() {
    let folder = folder("merge");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let late = write("late", &simple([5, 6, 9]).bytes);
    let early = write("early", &gzip(&simple([1, 5, 7, 3]).bytes));
    let empty = write("empty", &simple([]).bytes);
    let opened = open(&[late, folder.join("missing"), early, empty, write("text", b"hello world")]);
    assert_eq!(opened.errors.len(), 2);
    let mut source = opened.source;
    let packets = drain(&mut *source);
    assert_eq!(seconds(&packets), [1, 5, 5, 6, 7, 3, 9]);
    let of = |f: fn(&PacketMeta) -> u32| packets.iter().map(|(packet, _)| f(packet)).collect::<Vec<_>>();
    assert_eq!(of(|packet| packet.frame), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(of(|packet| packet.interface), [0, 1, 0, 1, 0, 0, 1]);
    assert!(packets.iter().all(|(packet, data)| data[..] == [(packet.time.as_nanos() / 1_000_000_000) as u8; 40]));
    assert_eq!(source.captures().iter().map(|info| info.packets).collect::<Vec<_>>(), [3, 4, 0]);
    let anomalies = source.take_anomalies();
    let backwards = anomalies.of(AnomalyKind::TimeBackwards).unwrap();
    assert_eq!((backwards.count, backwards.first.frame), (1, 0));
    assert!(backwards.first.text.contains("early, frame 4:"), "{}", backwards.first.text);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn merging_many_packets_loses_and_reorders_none() {
    let folder = folder("many");
    let mut paths = Vec::new();
    for part in 0..3_u32 {
        let path = folder.join(part.to_string());
        fs::write(&path, simple((0..20_000).map(|n| n * 3 + part)).bytes).unwrap();
        paths.insert(0, path);
    }
    let packets = drain(&mut *open(&paths).source);
    assert_eq!(seconds(&packets), (0..60_000).collect::<Vec<_>>());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn folders_are_searched_for_captures_in_order() {
    let folder = folder("search");
    fs::create_dir_all(folder.join("b/deep")).unwrap();
    fs::create_dir_all(folder.join("nothing")).unwrap();
    fs::write(folder.join("z.pcap"), simple([1]).bytes).unwrap();
    fs::write(folder.join("b/deep/any name"), gzip(&simple([2]).bytes)).unwrap();
    fs::write(folder.join("README"), "no capture").unwrap();
    fs::write(folder.join("b/zero"), "").unwrap();
    let opened = open(std::slice::from_ref(&folder));
    assert!(opened.errors.is_empty());
    let paths: Vec<_> = opened.source.captures().iter().map(|info| info.path.clone()).collect();
    assert!(paths[0].ends_with("b/deep/any name") && paths[1].ends_with("z.pcap"), "{paths:?}");
    let none = open(&[folder.join("nothing")]);
    assert!(matches!(none.errors[..], [Error::NoCaptures { .. }]));
    fs::remove_dir_all(folder).unwrap();
}

/// An Ethernet frame with an IPv4 header and four bytes of UDP ports.
fn ipv4(fragment: u16, ports: [u16; 2]) -> Vec<u8> {
    let ip = Writer::new(true).raw(&[0; 12]).u16(0x800).u16(0x4500).u16(28).u16(1).u16(fragment).raw(&[64, 17]);
    ip.u16(0).u32(0x0a00_0001).u32(0x0a00_0002).u16(ports[0]).u16(ports[1]).u32(0).bytes
}

#[test]
fn port_filters_keep_fragments_and_drop_the_rest() {
    let frames = [ipv4(0, [5060, 5060]), ipv4(0, [53, 53]), ipv4(0x2000, [5060, 9]), ipv4(100, [1, 2])];
    let file = frames.iter().fold(simple([]), |file, frame| file.record(1, 0, frame)).bytes;
    let kept = |expression: &str| {
        let mut filtered = Filtered::new(Box::new(read(file.clone()).unwrap()), expression).unwrap();
        drain(&mut filtered).iter().map(|(packet, _)| packet.frame).collect::<Vec<_>>()
    };
    assert_eq!(kept("udp port 5060"), [1, 3, 4]);
    assert_eq!(kept("udp[0:2] = 53"), [2, 4]);
    assert_eq!(kept("host 10.0.0.9"), [] as [u32; 0]);
    assert_eq!(kept("not host 10.0.0.9"), [1, 2, 3, 4]);
}

/// A pcapng file with an interface of each of the link types, and packets of them.
fn mixed(packets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut file = Writer::new(false).section();
    for (link, _) in packets {
        file = file.interface(*link, 0, &[]);
    }
    for (at, (_, data)) in packets.iter().enumerate() {
        file = file.enhanced(at as u32, at as u64, data);
    }
    file.bytes
}

/// What `expression` leaves of the packets, by position.
fn kept(packets: &[(u16, Vec<u8>)], expression: &str) -> Vec<u32> {
    let source = Box::new(read(mixed(packets)).unwrap());
    let mut filtered = Filtered::new(source, expression).unwrap();
    let kept = drain(&mut filtered);
    kept.iter().map(|(packet, _)| packet.frame - 1).collect()
}

#[test]
fn port_filters_fit_every_link_type_of_a_mixed_file_and_keep_its_fragments() {
    // Ethernet, one tag, two tags, raw IP, IPv4, Linux cooked of both versions, cooked and tagged, loopback.
    let wraps: [(u16, &[u8]); 9] = [
        (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]),
        (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0]),
        (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0]),
        (101, &[]),
        (228, &[]),
        (113, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
        (276, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
        (276, &[0x81, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 7, 8, 0]),
        (108, &[0, 0, 0, 2]),
    ];
    let of = |fragment, ports| {
        let ip = ipv4(fragment, ports).split_off(14);
        wraps.map(|(link, head)| (link, [head, &ip[..]].concat()))
    };
    let all: Vec<u32> = (0..9).collect();
    let (first, later, other) = (of(0, [5060, 5060]), of(0x00b9, [1, 2]), of(0, [53, 53]));
    assert_eq!(kept(&first, "udp port 5060"), all);
    assert_eq!(kept(&later, "udp port 5060 and host 10.0.0.1"), all);
    assert_eq!(kept(&other, "portrange 5060-5080"), [] as [u32; 0]);
    assert_eq!(kept(&other, "not port 5060"), all);
    assert_eq!(kept(&first, "not udp port 5060"), [] as [u32; 0]);
    // Who speaks of tags gets what libpcap says of them.
    assert_eq!(kept(&first, "vlan 7 and port 5060")[..], [1]);
    assert_eq!(kept(&later, "vlan and port 5060")[..], [1]);
}

#[test]
fn fragments_of_ipv6_pass_port_filters() {
    let ip = |next: u8, ports: u16| {
        let head = Writer::new(true).u32(0x6000_0000).u16(16).raw(&[next, 64]).raw(&[1; 32]);
        let body = if next == 44 { head.raw(&[17, 0, 0, 9, 0, 0, 0, 1]) } else { head };
        body.u16(ports).u16(ports).u16(8).u16(0).bytes
    };
    let packets = [(101, ip(17, 5060)), (101, ip(44, 1)), (229, ip(44, 1)), (101, ip(17, 53))];
    assert_eq!(kept(&packets, "port 5060"), [0, 1, 2]);
}

#[test]
fn tags_that_are_cut_are_no_reason_to_stumble() {
    let tagged = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 0x81, 0, 0, 7];
    let packets: Vec<_> = (0..tagged.len()).map(|cut| (1, tagged[..cut].to_vec())).collect();
    assert!(kept(&packets, "udp port 5060").is_empty());
}

#[test]
fn bad_filters_are_refused_in_libpcaps_words() {
    for expression in ["prot 5060", "port 1) or (port 2", "port 5060 and"] {
        let source = Box::new(read(simple([1]).bytes).unwrap());
        let error = Filtered::new(source, expression).err().unwrap().to_string();
        assert!(error.starts_with(&format!("filter '{expression}': ")), "{error}");
    }
}

#[test]
fn a_filter_that_does_not_fit_a_link_type_matches_none_of_its_packets() {
    let raw = Writer::new(false).pcap(0xa1b2_c3d4, 0, 101).record(1, 0, &ipv4(0, [1, 2])[14..]).bytes;
    let mut filtered = Filtered::new(Box::new(read(raw).unwrap()), "ether host 00:00:00:00:00:00").unwrap();
    assert!(drain(&mut filtered).is_empty());
    assert!(filtered.take_anomalies().of(AnomalyKind::UnknownLinkType).is_some());
}

/// One small file of each format, in the byte orders it has.
fn specimens() -> Vec<Vec<u8>> {
    let files = [false, true].into_iter().flat_map(|big| {
        let pcap = (1..9).fold(Writer::new(big).pcap(0xa1b2_c3d4, 100, 1), |file, second| {
            file.record(second, 7, &vec![second as u8; 20 * second as usize])
        });
        let ng = Writer::new(big).section().interface(1, 64, &[(9, Writer::new(big).raw(&[9]))]);
        let ng = (1..9).fold(ng, |file, tick| file.enhanced(0, tick, &[tick as u8; 33]));
        let ng = ng.block(3, &Writer::new(big).u32(4).raw(b"abcd")).block(4, &Writer::new(big).u32(0));
        [pcap.bytes, ng.bytes]
    });
    let others = [snoop(4, 6, 1..9).bytes, netmon((1, 1), 1..9), netmon((2, 3), 1..9), netmon((2, 0), 1..9)];
    files.chain(others).collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
    #[test]
    fn damaged_files_read_the_same_however_they_arrive(
        specimen in 0_usize..8,
        changes in proptest::collection::vec((24_usize..700, proptest::num::u8::ANY), 0..6),
        cut in 24_usize..1000,
    ) {
        let mut bytes = specimens().swap_remove(specimen);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut);
        let dripping = Box::new(Dripping(io::Cursor::new(bytes.clone())));
        let slow = CaptureFile::read(dripping, Path::new("test"));
        let fast = read(bytes.clone());
        let (Ok(mut slow), Ok(mut fast)) = (slow, fast) else {
            // Only the header of Network Monitor is longer than the shortest cut.
            proptest::prop_assert!(bytes.len() < 128);
            return Ok(());
        };
        let (slowly, quickly) = (drain(&mut slow), drain(&mut fast));
        let data = |packets: &[(PacketMeta, Vec<u8>)]| {
            packets.iter().map(|(p, data)| (p.frame, p.time, data.clone())).collect::<Vec<_>>()
        };
        proptest::prop_assert_eq!(data(&slowly), data(&quickly));
        proptest::prop_assert_eq!(slow.captures(), fast.captures());
        proptest::prop_assert_eq!(slow.take_anomalies(), fast.take_anomalies());
        // Every byte is accounted for, and no packet is longer than what the file has.
        proptest::prop_assert_eq!(fast.captures()[0].bytes, bytes.len() as u64);
        proptest::prop_assert!(quickly.iter().all(|(p, data)| data.len() == p.captured as usize));
    }
}
