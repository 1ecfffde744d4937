//! What the fuzz targets of `fuzz/` run: bytes in, and whatever must hold of any bytes checked.
//!
//! A panic is a finding; so are time and memory out of proportion, which the fuzzer watches. Where a
//! target needs more than one run of bytes, its input is a list of pieces: a head of fixed length, two
//! octets of length, and that many octets (`Input::piece`).

mod streams;

pub use streams::{tcp, tls, websocket};

use crate::analysis::{Analysis, Analyzer, Options};
use crate::base::{Anomalies, Batch, Endpoint, LinkType, PacketMeta, Timestamp, limits};
use crate::capture::{CaptureFile, CaptureInfo, More, Source};
use crate::export::{self, Namer};
use crate::flow::{self, Catalog};
use crate::net::{self, Decoded, Defragmenter, Fragment, Sctp, SctpMessages};
use crate::report::{self, FORMATS, Report, Selection, Style};
use crate::rules;
use crate::sip::{
    Address, Challenge, Credentials, Framed, Framer, Header, HeaderName, Message, Probe, Sdp, Uri, Via, probe,
};
use crate::story::{self, Story};
use bytes::Bytes;
use std::hint::black_box;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::Path;

/// The rest of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn head<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next piece, the last one shorter than its length says if need be.
    fn piece<const N: usize>(&mut self) -> Option<([u8; N], &'a [u8])> {
        let head = self.head()?;
        let len = usize::from(u16::from_be_bytes(self.head()?));
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Some((head, piece))
    }
}

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::from([192, 0, 2, host]), port }
}

/// Two octets of link type, then a frame.
pub fn decode(input: &[u8]) {
    let mut input = Input(input);
    let Some(link) = input.head() else { return };
    let frame = input.0;
    assert!(net::outer(LinkType(u16::from_be_bytes(link)), frame).to_string().len() < 2000);
    for cut in [0, 1000] {
        let decoded = net::decode(LinkType(u16::from_be_bytes(link)), frame, frame.len() as u32 + cut);
        match decoded {
            Decoded::Aggregate(all) => all.frames().for_each(|inner| one(frame, inner)),
            decoded => one(frame, decoded),
        }
    }
}

/// Whatever holds of one thing that `frame` holds.
fn one(frame: &[u8], decoded: Decoded<'_>) {
    let payload = match decoded {
        Decoded::Datagram(datagram) => datagram.payload,
        Decoded::Segment(segment) => segment.payload,
        Decoded::Fragment(fragment) => fragment.payload,
        Decoded::Sctp(packet) => packet.chunks,
        Decoded::Icmp(error) => error.quoted.payload,
        Decoded::Relayed(relayed) => {
            black_box(relayed.content());
            relayed.payload
        }
        Decoded::Skipped(skip) => {
            assert!(skip.offset as usize <= frame.len());
            black_box((skip.anomaly(), skip.text()));
            return;
        }
        Decoded::Aggregate(_) => unreachable!("an aggregate in an aggregate"),
    };
    assert!(payload.is_empty() || frame.as_ptr_range().contains(&payload.as_ptr()));
    assert!(payload.len() <= frame.len());
}

/// Pieces with the head `[flags, identification, offset, offset, time, missing]`.
pub fn defragment(input: &[u8]) {
    let mut input = Input(input);
    let mut defragmenter = Defragmenter::default();
    let mut anomalies = Anomalies::default();
    let (mut frame, mut time) = (0, Timestamp::default());
    let (mut bytes_in, mut bytes_out) = (0, 0);
    while let Some(([flags, id, high, low, millis, missing], payload)) = input.piece() {
        frame += 1;
        time = later(time, millis);
        let v6 = flags & 2 != 0;
        let ip = |last: u8| {
            if v6 { IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()]) } else { endpoint(last, 0).ip }
        };
        let fragment = Fragment {
            src: ip(1),
            dst: ip(2),
            protocol: [17, 6, 4, 41, 47, 58, 132, 255][usize::from(flags >> 5)],
            id: id.into(),
            offset: u16::from_be_bytes([high, low]) & !7,
            more: flags & 1 != 0,
            payload,
            missing: missing.into(),
        };
        bytes_in += payload.len();
        let whole = defragmenter.push(&fragment, frame, time, &mut anomalies);
        for whole in defragmenter.take_incomplete().into_iter().chain(whole) {
            bytes_out += whole.bytes.len();
            black_box(net::decode_ip(&whole.bytes));
        }
    }
    bytes_out += defragmenter.finish(&mut anomalies).iter().map(|whole| whole.bytes.len()).sum::<usize>();
    let headers = 40 * frame as usize;
    assert!(bytes_out <= bytes_in + headers);
}

/// Pieces with the head `[ports and tag, time, missing]`, each the chunks of a packet.
pub fn sctp(input: &[u8]) {
    let mut input = Input(input);
    let mut messages = SctpMessages::default();
    let (mut anomalies, mut out) = (Anomalies::default(), Vec::new());
    let (mut frame, mut time) = (0, Timestamp::default());
    let mut bytes = 0;
    while let Some(([place, millis, missing], chunks)) = input.piece() {
        frame += 1;
        time = later(time, millis);
        bytes += chunks.len();
        let (src, dst) = (endpoint(1, u16::from(place & 3)), endpoint(2, 5060));
        let packet = Sctp { src, dst, tag: u32::from(place >> 6), chunks, missing: missing.into() };
        let share = |part: &[u8]| Bytes::copy_from_slice(part);
        messages.push(&packet, frame, time, &share, &mut anomalies, &mut out);
    }
    messages.finish(&mut out);
    assert!(out.iter().map(|message| message.bytes.len()).sum::<usize>() <= bytes);
}

/// A HEP packet out of a stream.
pub fn hep(input: &[u8]) {
    if let Decoded::Relayed(relayed) = net::decode_hep(input, endpoint(1, 0).ip) {
        assert!(relayed.payload.len() <= input.len());
        let (content, _) = relayed.content();
        assert!(content.len() <= limits::STREAM_MESSAGE_BYTES.max(input.len()));
    }
}

/// A signed step in time, in units of 17 ms: some 2 s either way.
fn later(time: Timestamp, step: u8) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos() + (i64::from(step.cast_signed()) << 24))
}

/// All packets of a capture file, in batches.
fn read(input: &[u8], mut each: impl FnMut(&Batch, Vec<u8>)) -> Option<(Anomalies, Vec<CaptureInfo>)> {
    let mut file = CaptureFile::read(Box::new(Cursor::new(input.to_vec())), Path::new("bytes")).ok()?;
    let mut batch = Batch::default();
    loop {
        match file.next_batch(&mut batch) {
            Ok(More::More) => each(&batch, file.key_log()),
            Ok(More::End) => break,
            Err(error) => drop(black_box(error.to_string())),
        }
    }
    Some((file.take_anomalies(), file.captures().to_vec()))
}

/// A capture file of any format and compression.
pub fn capture_file(input: &[u8]) {
    let mut packets = 0;
    let told = read(input, |batch, _| {
        for packet in &batch.packets {
            packets += 1;
            assert_eq!(packet.frame, packets);
            assert_eq!(batch.data(packet).len(), packet.captured as usize);
            assert!(packet.original >= packet.captured);
        }
    });
    if let Some((_, captures)) = told {
        assert_eq!(captures.iter().map(|capture| capture.packets).sum::<u64>(), u64::from(packets));
    }
}

/// A capture file, from its bytes to every report.
pub fn pipeline(input: &[u8]) {
    let mut analyzer = Analyzer::new(Options::default());
    let told = read(input, |batch, keys| {
        analyzer.add_keys(&keys);
        analyzer.push(batch);
    });
    if let Some((anomalies, captures)) = told {
        let mut analysis = analyzer.finish();
        analysis.anomalies.merge(anomalies);
        report(analysis, &captures);
    }
}

/// Pieces with the head `[from and to, time]`: SIP messages over UDP, from their bytes to every report.
pub fn calls(input: &[u8]) {
    let mut input = Input(input);
    let mut bytes = Vec::new();
    let mut packets = Vec::new();
    let mut time = 0;
    while let Some(([hosts, step], message)) = input.piece() {
        // Steps grow as squares: retransmissions, ringing and expiries all lie within one octet.
        time += i64::from(step.cast_signed()) * i64::from(step.cast_signed()).abs() * 20_000_000;
        let offset = bytes.len() as u64;
        udp(&mut bytes, hosts & 7, hosts >> 3 & 7, message);
        let captured = (bytes.len() as u64 - offset) as u32;
        packets.push(PacketMeta {
            frame: packets.len() as u32 + 1,
            time: Timestamp::from_nanos(time),
            buffer: 0,
            offset,
            captured,
            original: captured,
            link: LinkType(101),
            interface: (hosts >> 6).into(),
        });
    }
    let mut analyzer = Analyzer::new(Options { sip_ports: vec![5060], ..Options::default() });
    analyzer.push(&Batch { buffers: vec![bytes.into()], packets });
    report(analyzer.finish(), &[]);
}

/// An IPv4 packet without checksums.
fn udp(out: &mut Vec<u8>, from: u8, to: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX) - 28)];
    let [high, low] = (payload.len() as u16 + 28).to_be_bytes();
    out.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from, 192, 0, 2, to]);
    let [high, low] = (payload.len() as u16 + 8).to_be_bytes();
    out.extend([0x13, 0xc4, 0x13, 0xc4, high, low, 0, 0]);
    out.extend_from_slice(payload);
}

/// Everything that is told of an analysis.
fn report(analysis: Analysis, captures: &[CaptureInfo]) {
    let flows = flow::match_all(&analysis);
    let findings = rules::check(&analysis, &flows);
    let Story { analysis, flows, findings } = story::tell(analysis, flows, findings);
    let told = Report::new(captures, &analysis, &flows, &findings, Selection::default());
    let narrow = Style { width: Style::MIN_WIDTH, colour: true, ascii: true };
    let mut out = Vec::new();
    for style in [Style::default(), narrow] {
        for format in FORMATS {
            written(format.write(&told, style, &mut out));
        }
        written(report::stats::write_text(&told, style, &mut out));
        for view in told.calls() {
            written(report::show::write(&told, view, None, style, &mut out));
        }
    }
    for view in told.calls() {
        let _ = black_box(flow::learn(&[view], "learned"));
    }
    let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | 0x1b);
    assert_eq!(out.iter().find(is_control), None, "a report carries control characters of the input");
    assert!(std::str::from_utf8(&out).is_ok());
}

#[allow(clippy::expect_used)] // a Vec takes everything; an error is one of ours
fn written(result: std::io::Result<()>) {
    result.expect("writes to memory");
}

/// One SIP message and everything that can be asked of it.
pub fn sip_message(input: &[u8]) {
    assert!(Message::is_read_alike(input));
    let message = Message::parse(Bytes::copy_from_slice(input));
    let len = input.len() as u64;
    for fault in message.faults() {
        assert!(u64::from(fault.offset) + u64::from(fault.len) <= len, "{fault:?}");
    }
    black_box((
        message.method_name(),
        message.cseq_number(),
        message.status(),
        message.reason(),
        message.request_uri(),
    ));
    black_box((message.call_id(), message.branch(), message.sent_by(), message.from_tag(), message.to_tag()));
    black_box((message.from_uri(), message.to_uri(), message.content_length(), message.is_request()));
    assert!(message.body().len() <= input.len());
    let mut headers = 0;
    for Header { name, value, .. } in message.headers() {
        headers += 1;
        black_box((name, value.len()));
    }
    assert!(headers <= input.len());
    for name in [HeaderName::Via, HeaderName::Contact, HeaderName::Allow, HeaderName::Route] {
        black_box(message.values(name).count());
    }
    black_box((message.vias().count(), message.contacts().count(), message.routes().count()));
    black_box((message.record_routes().count(), message.challenges().count(), message.credentials().count()));
    black_box(message.sdp());
}

/// One SIP message under other names: as long, and made of the same parts if it is without fault.
pub fn anonymize(input: &[u8]) {
    let renamed = |key: &[u8]| {
        let mut bytes = input.to_vec();
        export::rename(&mut Namer::new(key), &mut bytes);
        bytes
    };
    let bytes = renamed(b"one");
    assert_eq!(bytes.len(), input.len());
    assert_eq!(bytes, renamed(b"one"), "the key alone decides");
    let old = Message::parse(Bytes::copy_from_slice(input));
    if !old.faults().is_empty() {
        return;
    }
    let new = Message::parse(bytes.into());
    let shape = |message: &Message| {
        let headers: Vec<(HeaderName, usize)> =
            message.headers().map(|Header { name, value, .. }| (name, value.len())).collect();
        let numbers = (message.status(), message.cseq_number(), message.content_length(), message.via_count());
        (message.is_request(), message.method_name().into_owned(), numbers, headers, message.body().len())
    };
    assert_eq!(shape(&new), shape(&old));
}

/// One octet that chooses the cuts, then one direction of a stream.
pub fn framing(input: &[u8]) {
    let mut input = Input(input);
    let Some([cut]) = input.head() else { return };
    let stream = Bytes::copy_from_slice(input.0);
    let whole = framed(&stream, stream.len().max(1));
    let bytes: u64 = whole.iter().map(|(bytes, _)| bytes.len() as u64).sum();
    assert!(bytes <= stream.len() as u64, "more came out than went in");
    assert_eq!(whole, framed(&stream, usize::from(cut) + 1), "the cuts decide what the messages are");
}

/// The messages of a stream that comes in pieces of `size` bytes, and whether they are cut.
fn framed(stream: &Bytes, size: usize) -> Vec<(Bytes, bool)> {
    let (mut framer, mut out) = (Framer::default(), Vec::new());
    let mut rest = stream.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(size.min(rest.len()));
        framer.push(piece, 1, Timestamp::default(), &mut out);
    }
    framer.finish(&mut out);
    let mut junk_and_messages = 0;
    let messages = out.into_iter().filter_map(|framed| match framed {
        Framed::Message { bytes, cut, .. } => {
            junk_and_messages += bytes.len() as u64;
            Some((bytes, cut))
        }
        Framed::Junk { bytes, .. } => {
            junk_and_messages += bytes;
            None
        }
    });
    let messages = messages.collect();
    assert!(junk_and_messages <= stream.len() as u64);
    messages
}

/// Pieces with the head `[lost]`: one direction of a stream with holes.
pub fn framing_gaps(input: &[u8]) {
    let mut input = Input(input);
    let (mut framer, mut out) = (Framer::default(), Vec::new());
    let (mut bytes, mut frame) = (0, 0);
    while let Some(([lost], piece)) = input.piece() {
        frame += 1;
        bytes += piece.len() as u64;
        framer.push(Bytes::copy_from_slice(piece), frame, Timestamp::default(), &mut out);
        if lost > 0 {
            framer.gap(u64::from(lost) * u64::from(lost), &mut out);
        }
    }
    framer.finish(&mut out);
    let told = out.iter().map(|framed| match framed {
        Framed::Message { bytes, .. } => bytes.len() as u64,
        Framed::Junk { bytes, .. } => *bytes,
    });
    assert!(told.sum::<u64>() <= bytes);
}

/// One value of a header, read as each of the things a value can be.
pub fn sip_values(input: &[u8]) {
    if let Probe::Sip { offset } = probe(input) {
        assert!(offset < input.len());
    }
    if let Some(uri) = Uri::parse(input) {
        assert!(uri.same_resource(&uri));
        let upper = input.to_ascii_uppercase();
        if let Some(other) = Uri::parse(&upper) {
            assert_eq!(uri.same_resource(&other), other.same_resource(&uri));
        }
    }
    if let Some(via) = Via::parse(input) {
        assert!(via.sent_by.len() <= input.len());
    }
    if let Some(address) = Address::parse(input) {
        black_box((address.tag(), address.expires(), address.is_star()));
        assert!(address.q().is_none_or(|q| q <= 1000));
    }
    for proxy in [false, true] {
        black_box((Challenge::parse(input, proxy), Credentials::parse(input, proxy)));
    }
    black_box(HeaderName::from_bytes(input));
}

/// A session description.
pub fn sdp(input: &[u8]) {
    let sdp = Sdp::parse(input);
    assert!(sdp.media.len() <= input.len());
}

/// A .flow file: what parses must print back to the same flow, and compile.
pub fn flow_syntax(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(parsed) = flow::parse("input", text) else { return };
    let printed = parsed.to_string();
    assert_eq!(flow::parse("printed", &printed).as_ref().ok(), Some(&parsed), "{printed}");
    black_box(Catalog::new(vec![parsed]));
}

#[cfg(test)]
mod tests {
    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 17] = [
        ("anonymize", anonymize),
        ("calls", calls),
        ("capture_file", capture_file),
        ("decode", decode),
        ("defragment", defragment),
        ("flow_syntax", flow_syntax),
        ("framing", framing),
        ("framing_gaps", framing_gaps),
        ("hep", hep),
        ("pipeline", pipeline),
        ("sctp", sctp),
        ("sdp", sdp),
        ("sip_message", sip_message),
        ("sip_values", sip_values),
        ("tcp", tcp),
        ("tls", tls),
        ("websocket", websocket),
    ];

    #[test]
    fn every_target_takes_any_bytes() {
        let capture = include_bytes!("../testdata/captures/b26-scan-sipvicious.pcap");
        let invite = b"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP y;branch=z9hG4bK1\r\nl: 3\r\n\r\nv=0";
        let pieces: Vec<u8> = invite.chunks(9).flat_map(|part| [&[1, 0, 0, 9], part].concat()).collect();
        for (_, target) in TARGETS {
            for input in [&capture[..], invite, &pieces, &[0xff; 300], b""] {
                (0..input.len().min(16)).for_each(|from| target(&input[from..]));
            }
        }
    }

    #[test]
    fn every_target_has_its_file_and_its_line_in_the_manifest() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let files = std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap();
        let mut files: Vec<String> =
            files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        files.sort();
        assert_eq!(files, TARGETS.map(|(name, _)| name));
        for (name, _) in TARGETS {
            let file = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(file.contains(&format!("callflow::fuzzing::{name}(")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
