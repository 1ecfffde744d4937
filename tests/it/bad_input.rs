//! Input that is broken, absurd or made to exhaust: a clear word, the right exit code, bounded memory, and
//! what can be read is reported all the same.

use crate::support::root;
use etherparse::{IpNumber, Ipv4Header, PacketBuilder};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const RAW_IP: u32 = 101;
const CALLER: [u8; 4] = [192, 0, 2, 1];
const CALLEE: [u8; 4] = [192, 0, 2, 2];

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
    /// Most memory that was resident while it read, in KiB.
    peak: u64,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {} {}", self.out, self.err))
    }

    /// How often input of this kind was met.
    fn anomaly(&self, kind: &str) -> u64 {
        let json = self.json();
        let all = json["anomalies"].as_array().unwrap();
        all.iter().find(|anomaly| anomaly["kind"] == kind).map_or(0, |anomaly| anomaly["count"].as_u64().unwrap())
    }

    /// The call that [`good`] holds was reported.
    fn reports_the_good_one(&self) {
        let json = self.json();
        let calls = json["calls"].as_array().unwrap();
        let good = calls.iter().any(|call| call["call_ids"][0] == "good" && call["outcome"] == "accepted");
        assert!(good, "{}\n{}", self.out, self.err);
    }
}

/// Runs the program on what `feed` writes into it.
fn pipe(args: &[&str], feed: impl FnOnce(&mut dyn Write)) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(root()).args(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    feed(&mut input);
    let peak = peak_of(&child);
    drop(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        peak,
    }
}

fn peak_of(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn check(capture: &[u8]) -> Run {
    pipe(&["check", "-", "--format", "json"], |input| input.write_all(capture).unwrap())
}

fn scratch(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn header(link: u32) -> Vec<u8> {
    let mut head = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link] {
        head.extend(word.to_le_bytes());
    }
    head
}

fn record(second: u32, packet: &[u8]) -> Vec<u8> {
    let len = packet.len() as u32;
    let mut record: Vec<u8> = [second, 0, len, len].iter().flat_map(|word| word.to_le_bytes()).collect();
    record.extend(packet);
    record
}

fn udp(src: [u8; 4], dst: [u8; 4], text: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(src, dst, 64).udp(5060, 5060).write(&mut packet, text).unwrap();
    packet
}

fn tcp(seq: u32, text: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(CALLER, CALLEE, 64).tcp(40_000, 5060, seq, 65_000).ack(1).write(&mut packet, text).unwrap();
    packet
}

fn request(call_id: &str, more: &str) -> String {
    format!(
        "OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@192.0.2.1>;tag=a\r\nTo: <sip:bob@192.0.2.2>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n{more}\r\n"
    )
}

fn answer(call_id: &str) -> String {
    let request =
        request(call_id, "Content-Length: 0\r\n").replace("OPTIONS sip:bob@192.0.2.2 SIP/2.0", "SIP/2.0 200 OK");
    request.replace("<sip:bob@192.0.2.2>", "<sip:bob@192.0.2.2>;tag=b").replace("Max-Forwards: 70\r\n", "")
}

/// Two records: OPTIONS and its answer.
fn good(second: u32) -> Vec<u8> {
    let asked = record(second, &udp(CALLER, CALLEE, request("good", "Content-Length: 0\r\n").as_bytes()));
    [asked, record(second, &udp(CALLEE, CALLER, answer("good").as_bytes()))].concat()
}

#[test]
fn what_is_no_capture_is_named_and_is_3() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-captures");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("notes.txt"), "nothing here").unwrap();
    let good = scratch("good.pcap", &[header(RAW_IP), good(1)].concat());
    for (path, words) in [
        (scratch("bad-words.pcap", b"words, words and more words, and no capture"), "not a capture file"),
        (scratch("bad-empty.pcap", b""), "not a capture file"),
        (scratch("bad-short.pcap", &header(RAW_IP)[..10]), "not a capture file"),
        (folder, "no capture file in this folder"),
    ] {
        let run = pipe(&["check", "--format", "json", path.to_str().unwrap(), good.to_str().unwrap()], |_| ());
        assert_eq!(run.code, Some(3), "{} {}", path.display(), run.err);
        assert!(run.err.starts_with("callflow: ") && run.err.contains(words), "{}: {}", path.display(), run.err);
        run.reports_the_good_one();
    }
}

#[test]
fn an_unknown_link_type_is_an_anomaly() {
    let run = check(&[header(147), good(1)].concat());
    assert_eq!((run.code, run.anomaly("unknown-link-type")), (Some(4), 2), "{}", run.out);
    assert!(run.err.contains("no SIP"), "{}", run.err);
}

#[test]
fn a_capture_cut_anywhere_is_read_as_far_as_it_goes() {
    let whole = [header(RAW_IP), good(1), good(2)].concat();
    let first = header(RAW_IP).len() + good(1).len();
    for cut in (first + 1..whole.len()).step_by(37) {
        let run = check(&whole[..cut]);
        assert_eq!(run.code, Some(0), "cut at {cut}: {}", run.err);
        run.reports_the_good_one();
    }
}

#[test]
fn absurd_record_lengths_end_the_file_and_not_the_report() {
    for length in [u32::MAX, 0x7fff_ffff, 1 << 30] {
        let absurd: Vec<u8> = [9, 0, length, length].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        let run = check(&[header(RAW_IP), good(1), absurd, vec![0; 5000]].concat());
        assert_eq!((run.code, run.anomaly("damaged-file")), (Some(3), 1), "{length}: {} {}", run.out, run.err);
        run.reports_the_good_one();
    }
}

/// Feeds `start` and then `total` bytes made of `piece` over TCP, and a good exchange after it.
fn flood(start: &str, piece: &[u8], total: usize) -> Run {
    pipe(&["check", "-", "--format", "json"], |input| {
        let mut seq = 1000_u32;
        let mut send = |text: &[u8]| {
            let packet = record(1, &tcp(seq, text));
            seq = seq.wrapping_add(text.len() as u32);
            packet
        };
        input.write_all(&header(RAW_IP)).unwrap();
        input.write_all(&send(start.as_bytes())).unwrap();
        for _ in 0..total / piece.len() {
            input.write_all(&send(piece)).unwrap();
        }
        input.write_all(&good(2)).unwrap();
    })
}

/// Far below what is fed, and no more when more is fed: batches in flight take some tens of MiB.
const BOUND: std::ops::Range<u64> = 1 << 10..192 << 10;
/// Bytes fed.
const FED: usize = 400 << 20;

#[test]
fn a_line_without_end_is_not_kept() {
    let run = flood("OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nSubject: ", &b"x".repeat(60_000), FED);
    assert!(matches!(run.code, Some(0 | 1)), "{}", run.err);
    assert!(BOUND.contains(&run.peak), "{} KiB", run.peak);
    assert!(run.anomaly("cut-message") + run.anomaly("not-sip") + run.anomaly("limit-reached") > 0, "{}", run.out);
    run.reports_the_good_one();
}

#[test]
fn bytes_that_are_no_sip_are_not_kept() {
    let run = flood("", &b"\x80".repeat(60_000), FED);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(BOUND.contains(&run.peak), "{} KiB", run.peak);
    run.reports_the_good_one();
}

#[test]
fn a_body_of_4_gb_is_not_waited_for() {
    for length in ["4294967296", "4000000000", "99999999999999999999999"] {
        let start = request("huge", &format!("Content-Length: {length}\r\n"));
        let run = flood(&start, &b"x".repeat(60_000), 20 << 20);
        assert!(matches!(run.code, Some(0 | 1)), "{length}: {}", run.err);
        assert!(BOUND.contains(&run.peak), "{length}: {} KiB", run.peak);
        run.reports_the_good_one();
        let datagram = record(1, &udp(CALLER, CALLEE, start.as_bytes()));
        let run = check(&[header(RAW_IP), datagram, good(2)].concat());
        assert_eq!(run.json()["sip"]["messages"], 3, "{length}: {}", run.out);
        run.reports_the_good_one();
    }
}

#[test]
fn a_million_headers_are_not_all_looked_at() {
    let vias = "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n".repeat(1500);
    let start = request("vias", "").trim_end().to_owned() + "\r\n";
    let run = flood(&start, vias.as_bytes(), vias.len() * 670);
    assert!(matches!(run.code, Some(0 | 1)), "{}", run.err);
    assert!(BOUND.contains(&run.peak), "{} KiB", run.peak);
    run.reports_the_good_one();
    for many in
        ["v:a\r\n".repeat(12_000), format!("v:{}\r\n", "a,".repeat(30_000)), format!("m:{}\r\n", "<".repeat(60_000))]
    {
        let datagram = record(1, &udp(CALLER, CALLEE, request("vias", &many).as_bytes()));
        let run = check(&[header(RAW_IP), datagram, good(2)].concat());
        assert!(matches!(run.code, Some(0 | 1)), "{}", run.err);
        run.reports_the_good_one();
    }
}

#[test]
fn tunnels_in_tunnels_end() {
    let mut packet = udp(CALLER, CALLEE, request("deep", "Content-Length: 0\r\n").as_bytes());
    for _ in 0..200 {
        let header = Ipv4Header::new(packet.len() as u16, 64, IpNumber::IPV4, CALLER, CALLEE).unwrap();
        let mut outer = Vec::new();
        header.write(&mut outer).unwrap();
        outer.extend(packet);
        packet = outer;
    }
    let run = check(&[header(RAW_IP), record(1, &packet), good(2)].concat());
    assert_eq!((run.code, run.anomaly("tunnel-depth")), (Some(0), 1), "{} {}", run.out, run.err);
    run.reports_the_good_one();
}
