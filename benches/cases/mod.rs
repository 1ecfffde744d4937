//! What is measured: each case does the work of one message, packet or call.

use super::harness::Harness;
use super::samples;
use bytes::Bytes;
use callflow::analysis::{Analysis, Analyzer, Options};
use callflow::base::{Batch, LinkType, Timestamp};
use callflow::capture::{self, More};
use callflow::flow::{Catalog, Matcher};
use callflow::report::{self, Report, Selection};
use callflow::rules::{self, Knowledge};
use callflow::sip::{Framer, HeaderName, Message, Uri, probe};
use callflow::{call, net};
use std::hint::black_box;
use std::path::Path;

/// Every case, for one harness after the other.
pub fn all(harness: &mut impl Harness) {
    messages(harness);
    packets(harness);
    calls(harness);
}

fn messages(harness: &mut impl Harness) {
    let invite = Bytes::from_static(samples::INVITE.as_bytes());
    let ok = Bytes::from_static(samples::OK.as_bytes());
    let register = Bytes::from_static(samples::REGISTER.as_bytes());
    harness.case("probe: INVITE", || probe(black_box(&invite)));
    harness.case("parse, hot path: INVITE", || Message::parse(black_box(invite.clone())));
    harness.case("parse, hot path: 200 with two Vias", || Message::parse(black_box(ok.clone())));
    harness.case("parse, hot path: REGISTER", || Message::parse(black_box(register.clone())));
    harness.case("parse, full: INVITE with SDP", || full(black_box(invite.clone())));
    let (first, rest) = (invite.slice(..200), invite.slice(200..));
    let parts = [first, rest.slice(..250), rest.slice(250..)];
    harness.case("framing: INVITE in one TCP segment", || framed(black_box(std::slice::from_ref(&invite))));
    harness.case("framing: INVITE in three TCP segments", || framed(black_box(&parts)));
}

/// Messages that come out of these segments of one stream.
fn framed(segments: &[Bytes]) -> usize {
    let (mut framer, mut out) = (Framer::default(), Vec::new());
    for (frame, segment) in (1..).zip(segments) {
        framer.push(segment.clone(), frame, Timestamp::default(), &mut out);
    }
    assert_eq!(out.len(), 1);
    out.len()
}

/// Reads whatever the message says, each header as its type.
pub fn full(raw: Bytes) -> usize {
    let message = Message::parse(raw);
    let mut read = 0;
    for header in message.headers() {
        read += usize::from(header.name != HeaderName::Other);
    }
    for via in message.vias() {
        read += via.host.len() + via.branch.len();
    }
    for name in [HeaderName::From, HeaderName::To, HeaderName::Contact, HeaderName::RecordRoute] {
        for address in message.addresses(name) {
            read += address.display.len() + address.tag().len();
            read += Uri::parse(address.uri).map_or(0, |uri| uri.user.len() + uri.host.len() + uri.params.len());
        }
    }
    read += Uri::parse(message.request_uri()).map_or(0, |uri| uri.host.len());
    read += message.header(HeaderName::Allow).map_or(0, |allow| allow.split(|byte| *byte == b',').count());
    read + message
        .sdp()
        .map_or(0, |sdp| sdp.media.iter().map(|media| media.formats.len() + media.rtpmaps.len()).sum::<usize>())
}

fn packets(harness: &mut impl Harness) {
    let sip = samples::INVITE.as_bytes();
    let rtp = [0x80; 172];
    let plain = samples::ethernet(&[8, 0], &samples::ipv4(17, &samples::udp(5060, sip)));
    let voice = samples::ethernet(&[8, 0], &samples::ipv4(17, &samples::udp(16384, &rtp)));
    let tagged = samples::ethernet(&[0x81, 0, 0, 7, 8, 0], &samples::ipv4(17, &samples::udp(5060, sip)));
    let segment = samples::ethernet(&[8, 0], &samples::ipv4(6, &samples::tcp(5060, sip)));
    for (name, frame) in [
        ("decode: Ethernet, UDP, SIP", &plain),
        ("decode: Ethernet, UDP, RTP", &voice),
        ("decode: Ethernet, VLAN, UDP, SIP", &tagged),
        ("decode: Ethernet, TCP, SIP", &segment),
    ] {
        harness.case(name, || payload(&net::decode(black_box(LinkType(1)), black_box(frame), frame.len() as u32)));
    }
}

fn payload(decoded: &net::Decoded<'_>) -> usize {
    match decoded {
        net::Decoded::Datagram(datagram) => datagram.payload.len(),
        net::Decoded::Segment(segment) => segment.payload.len(),
        other => panic!("{other:?}"),
    }
}

/// An answered call through one proxy, as captured at the proxy.
fn calls(harness: &mut impl Harness) {
    let analysis = analyse("testdata/captures/a10-session-one-proxy.pcap");
    let members: Vec<_> = analysis.calls[0].messages.iter().map(|message| message.seen).collect();
    let end = analysis.last.unwrap_or_default();
    let mut matcher = Matcher::new(Catalog::built_in());
    let flow = matcher.compare(analysis.view(0));
    let knowledge = Knowledge::default();
    harness.case("call: build", || call::build(black_box(&analysis.seen), &members, end));
    harness.case("call: match flows", || matcher.compare(black_box(analysis.view(0))));
    compare(harness);
    harness.case("call: rules", || rules::check_call(black_box(&analysis), 0, &flow, &knowledge));
    let flows = [flow];
    let report = Report::new(&[], &analysis, &flows, &[], Selection::default());
    let mut line = Vec::new();
    harness.case("call: JSON", || {
        line.clear();
        report::write_call(black_box(&report), 0, |number| number, &[], &mut line).map(|()| line.len())
    });
}

/// The checker alone, on calls of one shape that it has met and on one that it has not.
fn compare(harness: &mut impl Harness) {
    for (name, path) in [
        ("match flows: direct call, healthy", "testdata/captures/a08-session-direct.pcap"),
        ("match flows: registration, healthy", "testdata/captures/a01-register-new-sipp.pcap"),
        ("match flows: direct call without ACK", "testdata/captures/b10-ack-never-200-retransmitted.pcap"),
    ] {
        let analysis = analyse(path);
        let mut matcher = Matcher::new(Catalog::built_in());
        harness.case(name, || matcher.compare(black_box(analysis.view(0))));
    }
    for (name, path) in [
        ("match flows, unknown shape: healthy through two proxies", "testdata/captures/a11-session-two-proxies.pcap"),
        ("match flows, unknown shape: without ACK", "testdata/captures/b10-ack-never-200-retransmitted.pcap"),
        ("match flows, unknown shape: registration refused", "testdata/captures/a05-register-wrong-password.pcap"),
    ] {
        let analysis = analyse(path);
        harness.case(name, || Matcher::new(Catalog::built_in()).compare(black_box(analysis.view(0))));
    }
}

fn analyse(path: &str) -> Analysis {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut source = capture::open(&[path]).source;
    let mut analyzer = Analyzer::new(Options::default());
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).expect("a capture of testdata") == More::More {
        analyzer.push(&batch);
    }
    analyzer.finish()
}
