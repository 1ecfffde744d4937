//! The standard seven-message call in every kind of capture file and compression, as a file and
//! through a pipe: all seven are found. With `--nocapture` the table is printed.

use crate::support::{packets, trace};
use callflow::analysis::{Analysis, Analyzer, Options};
use callflow::base::{Batch, Timestamp};
use callflow::capture::{CaptureFile, CaptureInfo, More, Source};
use callflow::flow;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

/// A packet to be written: nanoseconds since 1970, and the Ethernet frame.
struct Frame {
    time: i64,
    data: Vec<u8>,
}

impl Frame {
    fn seconds(&self) -> u32 {
        (self.time / 1_000_000_000) as u32
    }

    fn length(&self) -> u32 {
        self.data.len() as u32
    }
}

/// What a kind of file is called, what it must be told as, how finely it tells time in nanoseconds,
/// and how it is written.
struct Container {
    name: &'static str,
    format: &'static str,
    resolution: i64,
    write: fn(&[Frame]) -> Vec<u8>,
}

const CONTAINERS: &[Container] = &[
    Container {
        name: "pcap us, little endian",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, false, 0xa1b2_c3d4, 0, 16),
    },
    Container {
        name: "pcap us, big endian",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, true, 0xa1b2_c3d4, 0, 16),
    },
    Container {
        name: "pcap ns, little endian",
        format: "pcap",
        resolution: 1,
        write: |f| pcap(f, false, 0xa1b2_3c4d, 0, 16),
    },
    Container {
        name: "pcap ns, big endian",
        format: "pcap",
        resolution: 1,
        write: |f| pcap(f, true, 0xa1b2_3c4d, 0, 16),
    },
    Container {
        name: "pcap modified (Kuznetzov)",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, false, 0xa1b2_cd34, 0, 24),
    },
    Container {
        name: "pcap modified (SuSE 6.3)",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, true, 0xa1b2_cd34, 0, 28),
    },
    Container {
        name: "pcap (Red Hat 6.1)",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, false, 0xa1b2_c3d4, 0, 24),
    },
    Container { name: "pcap (Nokia)", format: "pcap", resolution: 1000, write: |f| pcap(f, true, 0xa1b2_c3d4, 0, 20) },
    Container { name: "pcap (AIX)", format: "pcap", resolution: 1, write: aix },
    Container {
        name: "pcap (IXIA hardware)",
        format: "pcap",
        resolution: 1,
        write: |f| pcap(f, false, 0x1c00_01ac, 4, 16),
    },
    Container {
        name: "pcap (IXIA software)",
        format: "pcap",
        resolution: 1000,
        write: |f| pcap(f, true, 0x1c00_01ab, 4, 16),
    },
    Container {
        name: "pcapng, little endian",
        format: "pcapng",
        resolution: 1000,
        write: |f| pcapng(f, false, 6, None),
    },
    Container { name: "pcapng, big endian", format: "pcapng", resolution: 1000, write: |f| pcapng(f, true, 6, None) },
    Container {
        name: "pcapng, tsresol 10^-9",
        format: "pcapng",
        resolution: 1,
        write: |f| pcapng(f, false, 6, Some(9)),
    },
    Container {
        name: "pcapng, tsresol 2^-20",
        format: "pcapng",
        resolution: 1000,
        write: |f| pcapng(f, true, 6, Some(0x94)),
    },
    Container {
        name: "pcapng, obsolete packets",
        format: "pcapng",
        resolution: 1000,
        write: |f| pcapng(f, false, 2, None),
    },
    Container {
        name: "pcapng, simple packets",
        format: "pcapng",
        resolution: i64::MAX,
        write: |f| pcapng(f, false, 3, None),
    },
    Container { name: "pcapng, section per packet", format: "pcapng", resolution: 1000, write: sections },
    Container { name: "snoop (RFC 1761)", format: "snoop", resolution: 1000, write: snoop },
    Container { name: "NetMon 1.1", format: "netmon", resolution: 1_000_000, write: |f| netmon(f, 1, 1) },
    Container { name: "NetMon 2.0", format: "netmon", resolution: 1000, write: |f| netmon(f, 2, 0) },
    Container { name: "NetMon 2.1", format: "netmon", resolution: 1000, write: |f| netmon(f, 2, 1) },
    Container { name: "NetMon 2.2", format: "netmon", resolution: 1000, write: |f| netmon(f, 2, 2) },
    Container { name: "NetMon 2.3", format: "netmon", resolution: 100, write: |f| netmon(f, 2, 3) },
];

/// Name of a compression, and how it is done.
type Compression = (&'static str, fn(&[u8]) -> Vec<u8>);

const COMPRESSIONS: &[Compression] =
    &[("plain", <[u8]>::to_vec), ("gzip", gzip), ("zstd", zstd), ("lz4", lz4), ("xz", xz)];

/// Numbers in one byte order.
struct Out {
    big: bool,
    bytes: Vec<u8>,
}

impl Out {
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

    fn block(self, kind: u32, body: &Self) -> Self {
        let padded = body.bytes.len().next_multiple_of(4);
        let total = padded as u32 + 12;
        let padding = vec![0; padded - body.bytes.len()];
        self.u32(kind).u32(total).raw(&body.bytes).raw(&padding).u32(total)
    }
}

fn pcap(frames: &[Frame], big: bool, magic: u32, extra: usize, record: usize) -> Vec<u8> {
    let unit = if matches!(magic, 0xa1b2_3c4d | 0x1c00_01ac) { 1 } else { 1000 };
    let head = Out::new(big).u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65_535).u32(1);
    let records = frames.iter().fold(Out::new(big), |out, frame| {
        let out = out.u32(frame.seconds()).u32((frame.time % 1_000_000_000 / unit) as u32);
        let out = out.u32(frame.length()).u32(frame.length());
        // Interface 2, protocol IPv4, packet type 0, then processors and padding.
        let more = Out::new(big).u32(2).u16(0x800).raw(&[0; 6]).bytes;
        out.raw(&more[..record - 16]).raw(&frame.data)
    });
    let size = Out::new(big).u32(records.bytes.len() as u32).bytes;
    head.raw(&size[..extra]).raw(&records.bytes).bytes
}

fn aix(frames: &[Frame]) -> Vec<u8> {
    let head = Out::new(true).u32(0xa1b2_c3d4).u16(2).u16(2).u32(0).u32(0).u32(65_535).u32(6);
    let records = frames.iter().fold(head, |out, frame| {
        let out = out.u32(frame.seconds()).u32((frame.time % 1_000_000_000) as u32);
        out.u32(frame.length()).u32(frame.length()).raw(&frame.data)
    });
    records.bytes
}

fn pcapng(frames: &[Frame], big: bool, kind: u32, resolution: Option<u8>) -> Vec<u8> {
    let out = Out::new(big);
    let section = Out::new(big).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
    let mut interface = Out::new(big).u16(1).u16(0).u32(65_535);
    if let Some(resolution) = resolution {
        interface = interface.u16(9).u16(1).raw(&[resolution, 0, 0, 0]).u32(0);
    }
    let out = out.block(0x0a0d_0d0a, &section).block(1, &interface);
    let packets = frames.iter().fold(out, |out, frame| {
        let ticks = match resolution {
            Some(9) => frame.time as u64,
            Some(0x94) => ((i128::from(frame.time) << 20) / 1_000_000_000) as u64,
            _ => frame.time as u64 / 1000,
        };
        let id = Out::new(big);
        let id = match kind {
            2 => id.u16(0).u16(u16::MAX),
            _ => id.u32(0),
        };
        let body = match kind {
            3 => Out::new(big).u32(frame.length()),
            _ => id.u32((ticks >> 32) as u32).u32(ticks as u32).u32(frame.length()).u32(frame.length()),
        };
        out.block(kind, &body.raw(&frame.data))
    });
    packets.bytes
}

/// Each packet in a section of its own, the byte orders in turn.
fn sections(frames: &[Frame]) -> Vec<u8> {
    let section = |(at, frame): (usize, &Frame)| pcapng(std::slice::from_ref(frame), at % 2 == 1, 6, None);
    frames.iter().enumerate().flat_map(section).collect()
}

fn snoop(frames: &[Frame]) -> Vec<u8> {
    let head = Out::new(true).raw(b"snoop\0\0\0").u32(2).u32(4);
    let records = frames.iter().fold(head, |out, frame| {
        let padding = frame.data.len().next_multiple_of(4) - frame.data.len();
        let out = out.u32(frame.length()).u32(frame.length());
        let out = out.u32(24 + frame.length() + padding as u32).u32(0);
        let out = out.u32(frame.seconds()).u32((frame.time % 1_000_000_000 / 1000) as u32);
        out.raw(&frame.data).raw(&[0; 3][..padding])
    });
    records.bytes
}

/// The capture starts on 2026-01-01 at 00:00:00, as the frames do; the table of frames comes last.
fn netmon(frames: &[Frame], major: u8, minor: u8) -> Vec<u8> {
    let start = packets::START.as_nanos();
    let mut table = Out::new(false);
    let mut records = Out::new(false);
    for frame in frames {
        table = table.u32(128 + records.bytes.len() as u32);
        let elapsed = frame.time - start;
        records = match major {
            1 => records.u32((elapsed / 1_000_000) as u32).u16(frame.length() as u16).u16(frame.length() as u16),
            _ => records.u64((elapsed / 1000) as u64).u32(frame.length()).u32(frame.length()),
        };
        let ticks = (frame.time / 100) as u64 + 116_444_736_000_000_000;
        let trailer = Out::new(false).u16(1).u32(u32::MAX).u64(ticks).raw(&[0]).bytes;
        let length = match (major, minor) {
            (1, _) | (_, 0) => 0,
            (_, 1) => 2,
            (_, 2) => 6,
            _ => 15,
        };
        records = records.raw(&frame.data).raw(&trailer[..length]);
    }
    let magic = if major == 1 { b"RTSS" } else { b"GMBU" };
    let mut head = Out::new(false).raw(magic).raw(&[minor, major]).u16(1);
    for field in [2026, 1, 4, 1, 0, 0, 0, 0] {
        head = head.u16(field);
    }
    let head = head.u32(128 + records.bytes.len() as u32).u32(table.bytes.len() as u32);
    let padding = vec![0; 128 - head.bytes.len()];
    head.raw(&padding).raw(&records.bytes).raw(&table.bytes).bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn analyse(mut source: CaptureFile) -> (Analysis, CaptureInfo) {
    let mut analyzer = Analyzer::new(Options::default());
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() == More::More {
        analyzer.push(&batch);
    }
    (analyzer.finish(), source.captures()[0].clone())
}

/// What is wrong with what was made of the seven-message call, if anything.
fn complaint(container: &Container, frames: &[Frame], (analysis, info): &(Analysis, CaptureInfo)) -> Option<String> {
    let mut wrong = String::new();
    let whole = info.complete && info.cut.is_none() && info.format == container.format;
    if !whole || info.packets != frames.len() as u64 {
        write!(wrong, " {info:?}").unwrap();
    }
    if !analysis.anomalies.is_empty() {
        write!(wrong, " {:?}", analysis.anomalies).unwrap();
    }
    let late =
        |(seen, frame): (&callflow::session::Seen, &Frame)| (seen.time - Timestamp::from_nanos(frame.time)).abs();
    if analysis.seen.iter().zip(frames).map(late).any(|late| late > container.resolution) {
        wrong.push_str(" the times are wrong");
    }
    let flows = flow::match_all(analysis);
    let followed = flows.first().is_some_and(|flow| flow.flow == Some("bcp75/3.1") && flow.cost == 0 && flow.complete);
    if analysis.calls.len() != 1 || !followed {
        wrong.push_str(" the call is not that of BCP 75 3.1");
    }
    (!wrong.is_empty()).then_some(wrong)
}

#[test]
fn seven_messages_of_seven_in_every_container_and_compression() {
    let text = std::fs::read_to_string(crate::support::root().join("testdata/containers/seven.trace")).unwrap();
    let batch = packets::batch(&trace::parse(&text).unwrap());
    let frames: Vec<Frame> = batch
        .packets
        .iter()
        .map(|packet| Frame { time: packet.time.as_nanos(), data: batch.data(packet).to_vec() })
        .collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers");
    std::fs::create_dir_all(&folder).unwrap();
    let mut table = format!("{:28}", "messages found of 7");
    for (name, _) in COMPRESSIONS {
        write!(table, "{name:>14}").unwrap();
    }
    let mut wrong = Vec::new();
    for (number, container) in CONTAINERS.iter().enumerate() {
        write!(table, "\n{:28}", container.name).unwrap();
        let plain = (container.write)(&frames);
        for (compression, compress) in COMPRESSIONS {
            let bytes = compress(&plain);
            let path = folder.join(format!("{number:02}-{compression}"));
            std::fs::write(&path, &bytes).unwrap();
            let file = analyse(CaptureFile::open(&path).unwrap());
            let pipe = analyse(CaptureFile::read(Box::new(Cursor::new(bytes)), &path).unwrap());
            let cell = format!("{} / {}", file.0.seen.len(), pipe.0.seen.len());
            write!(table, "{cell:>14}").unwrap();
            for (way, told) in [("file", &file), ("pipe", &pipe)] {
                if told.0.seen.len() != 7 {
                    wrong.push(format!("{}, {compression}, {way}: {} messages", container.name, told.0.seen.len()));
                }
                if let Some(why) = complaint(container, &frames, told) {
                    wrong.push(format!("{}, {compression}, {way}:{why}", container.name));
                }
            }
        }
    }
    println!("{table}\n(as a file / through a pipe)");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
