//! `live --write`, `--write-on` and `--follow` of a folder: what is kept, and what is left when something breaks.
#![cfg(unix)]

use crate::support;
use crate::support::net::until;
use callflow::base::{Batch, LinkType, Timestamp};
use callflow::capture::{self, CaptureFile, Container, Frame, More, Source, Writer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_795_403_700_123_456_789;

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("evidence-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn callflow(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.args(args).env_clear().current_dir(support::root()).stdin(Stdio::null());
    command
}

/// The program writing into a folder what comes on its standard input.
fn recording(into: &Path, args: &[&str]) -> Command {
    let mut command = callflow(&["live", "-", "--allow-empty", "--format", "ndjson"]);
    command
        .args(support::stay_who_we_are())
        .arg("--write")
        .arg(into)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command with this input, and to its end.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    // One that has heard enough closes its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A frame without any address, of so many bytes, with a number in it.
fn frame(number: u32, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; 12];
    data.extend([0x88, 0xb5]);
    data.extend(number.to_be_bytes());
    data.resize(bytes, number as u8);
    data
}

/// A stream of packets of 1000 bytes, numbered from `first`, `apart` nanoseconds one after the other.
fn stream(first: u32, packets: u32, apart: i64) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
    let interface = writer.interface(LinkType(1), Some("eth0"), None).unwrap();
    for number in first..first + packets {
        let time = Timestamp::from_nanos(START + i64::from(number) * apart);
        let data = frame(number, 1000);
        writer.frame(&Frame { time, interface, original: 1000, data: &data, comments: &[] }).unwrap();
    }
    writer.finish().unwrap()
}

/// Time, bytes on the wire, link type, name of the interface, bytes.
type Packet = (i64, u32, u16, Option<String>, Vec<u8>);

fn packets_of(mut file: CaptureFile) -> Vec<Packet> {
    let (mut batch, mut packets) = (Batch::default(), Vec::new());
    while file.next_batch(&mut batch).unwrap() == More::More {
        let interfaces = &file.captures()[0].interfaces;
        packets.extend(batch.packets.iter().map(|packet| {
            let name = interfaces.get(packet.interface as usize).and_then(|interface| interface.name.clone());
            (packet.time.as_nanos(), packet.original, packet.link.0, name, batch.data(packet).to_vec())
        }));
    }
    let info = &file.captures()[0];
    assert!(info.complete && info.cut.is_none(), "{info:?}");
    packets
}

fn packets(bytes: Vec<u8>) -> Vec<Packet> {
    packets_of(CaptureFile::read(Box::new(std::io::Cursor::new(bytes)), Path::new("x")).unwrap())
}

fn packets_in(path: &Path) -> Vec<Packet> {
    packets_of(CaptureFile::open(path).unwrap())
}

/// The numbers of the packets in a file.
fn numbers(path: &Path) -> Vec<u32> {
    packets_in(path).iter().map(|packet| u32::from_be_bytes(packet.4[14..18].try_into().unwrap())).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Waits for something that must come.
fn wait_for(what: &str, is_there: impl FnMut() -> bool) {
    assert!(until(is_there), "in vain: {what}");
}

#[test]
fn what_is_written_is_what_was_heard() {
    let into = folder("same").join("made/for/it");
    let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
    let interfaces = [(1, Some("eth0")), (101, Some("tun0")), (113, None)];
    let known: Vec<u32> =
        interfaces.iter().map(|(link, name)| writer.interface(LinkType(*link), *name, None).unwrap()).collect();
    for number in 0..500_u32 {
        let interface = known[number as usize % 3];
        let data = frame(number, 18 + number as usize * 7 % 1400);
        let time = Timestamp::from_nanos(START + i64::from(number) * 1_234_567);
        let original = data.len() as u32 + number % 2 * 99;
        writer.frame(&Frame { time, interface, original, data: &data, comments: &[] }).unwrap();
    }
    writer.statistics(known[1], Timestamp::from_nanos(START), 0, 17).unwrap();
    let heard = writer.finish().unwrap();
    let output = feed(&mut recording(&into, &[]), &heard);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(names(&into), ["callflow-20261123T031500.123Z-0001.pcapng"]);
    let path = &files(&into)[0];
    assert_eq!(packets_in(path), packets(heard));
    let mut source = capture::open(std::slice::from_ref(path)).source;
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() == More::More {}
    assert_eq!(source.captures()[0].interfaces.iter().map(|one| one.drops).collect::<Vec<_>>(), [0, 17, 0]);
}

#[test]
fn files_follow_one_another_by_size_and_by_time_of_packets() {
    let into = folder("size");
    let heard = stream(0, 3500, 1_000_000);
    let output = feed(&mut recording(&into, &["--rotate-size", "1M"]), &heard);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let all = files(&into);
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|path| path.metadata().unwrap().len() <= 1 << 20));
    assert_eq!(all.iter().flat_map(|path| packets_in(path)).collect::<Vec<_>>(), packets(heard));
    let into = folder("time");
    let output = feed(&mut recording(&into, &["--rotate-time", "60"]), &stream(0, 20, 20 * SECOND));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lengths: Vec<usize> = files(&into).iter().map(|path| packets_in(path).len()).collect();
    assert_eq!(lengths, [3, 3, 3, 3, 3, 3, 2]);
    // A second run over the same packets has names of its own.
    let output = feed(&mut recording(&into, &["--rotate-time", "60"]), &stream(0, 4, 20 * SECOND));
    assert_eq!((output.status.code(), files(&into).len()), (Some(0), 9));
}

#[test]
fn the_oldest_files_of_ours_go_first_and_no_others() {
    let into = folder("cap");
    let old = "callflow-20200101T000000.000Z-0007.pcapng";
    let others = ["callflow-notes.txt", "callflow-mine.pcapng", "trace.pcapng"];
    for name in others.iter().chain([&old]) {
        fs::write(into.join(name), vec![0; 300_000]).unwrap();
    }
    fs::create_dir(into.join("callflow-20200101T000000.000Z-0008.pcapng")).unwrap();
    let output = feed(&mut recording(&into, &["--disk-cap", "2M"]), &stream(0, 6000, 1_000_000));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!into.join(old).exists());
    assert!(others.iter().all(|name| into.join(name).exists()));
    assert!(into.join("callflow-20200101T000000.000Z-0008.pcapng").is_dir());
    let ours: Vec<PathBuf> = files(&into)
        .into_iter()
        .filter(|path| path.is_file() && !others.contains(&path.file_name().unwrap().to_str().unwrap()))
        .collect();
    let total: u64 = ours.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(total <= 2 << 20, "{total}");
    let left: Vec<u32> = ours.iter().flat_map(|path| numbers(path)).collect();
    assert_eq!(left, (6000 - left.len() as u32..6000).collect::<Vec<_>>());
    assert!(left.len() > 900, "{}", left.len());
}

/// What tshark reads of a file, when it is there: packets, and whether it said that the end is cut.
fn tshark(path: &Path) -> Option<(usize, bool)> {
    let output = Command::new("tshark").args(["-n", "-T", "fields", "-e", "frame.number", "-r"]).arg(path).output();
    let Ok(output) = output else {
        println!("skipped: tshark is not installed");
        return None;
    };
    let said = said(&output);
    assert!(output.status.success() || said.contains("cut short"), "{said}");
    Some((output.stdout.split(|byte| *byte == b'\n').count() - 1, said.contains("cut short")))
}

#[test]
fn kill_9_damages_nothing_that_is_written() {
    let into = folder("killed");
    let mut child = recording(&into, &["--rotate-size", "4M"]).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (first, more) = (stream(0, 2000, 1_000_000), stream(2000, 2000, 1_000_000));
    let feeder = thread::spawn(move || {
        let mut alive = stdin.write_all(&first).is_ok();
        // A section follows a section; until nobody takes it.
        for _ in 0..200 {
            alive = alive && stdin.write_all(&more).is_ok();
        }
        alive
    });
    wait_for("a third file", || files(&into).len() >= 3);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!feeder.join().unwrap(), "it was to be killed before the end");
    let all = files(&into);
    let mut total = 0;
    for (at, path) in all.iter().enumerate() {
        let is_last = at + 1 == all.len();
        if is_last && path.metadata().unwrap().len() == 0 {
            continue;
        }
        let (mut file, mut batch, mut read) = (CaptureFile::open(path).unwrap(), Batch::default(), 0);
        while file.next_batch(&mut batch).unwrap() == More::More {
            for packet in &batch.packets {
                let number = u32::from_be_bytes(batch.data(packet)[14..18].try_into().unwrap());
                assert_eq!(batch.data(packet), frame(number, 1000));
                read += 1;
            }
        }
        let info = &file.captures()[0];
        assert!(info.complete && (is_last || info.cut.is_none()), "{info:?}");
        if let Some((packets, is_cut)) = tshark(path) {
            assert_eq!((packets, is_cut), (read, info.cut.is_some()), "{}", path.display());
        }
        total += read;
    }
    assert!(total > 8000, "{total}");
}

/// The numbers in "12 packets not recorded; 34 are, in 2 files".
fn lost_and_written(said: &str) -> (u64, u64) {
    let line = said.lines().find(|line| line.contains(" not recorded; ")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// All files are whole, and hold as many packets as was said.
fn check_whole(files: &[PathBuf], written: u64) {
    let read: usize = files.iter().map(|path| packets_in(path).len()).sum();
    assert_eq!(read as u64, written);
}

#[test]
fn when_a_file_may_not_grow_it_ends_whole_and_recording_goes_on_with_another() {
    const MANY: u32 = 4000;
    let into = folder("limit");
    let script = "ulimit -f 1000; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_callflow"), "live", "-", "--allow-empty", "--write"]);
    command.arg(&into).args(support::stay_who_we_are()).current_dir(support::root());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&stream(0, MANY, 1_000_000)).unwrap();
    wait_for("a file", || !files(&into).is_empty());
    // Until it was tried again.
    let mut sent = MANY;
    wait_for("another file", || {
        stdin.write_all(&stream(sent, 10, 1_000_000)).unwrap();
        stdin.flush().unwrap();
        sent += 10;
        files(&into).len() > 1
    });
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(said.matches("; recording pauses").count(), 1, "told once: {said}");
    assert!(said.contains("recording goes on in "), "{said}");
    let (lost, written) = lost_and_written(&said);
    assert_eq!(lost + written, u64::from(sent), "{said}");
    assert!(lost > 0 && written > 0, "{said}");
    check_whole(&files(&into), written);
}

#[test]
fn a_full_disk_stops_recording_and_nothing_else() {
    const MANY: u32 = 3000;
    let (disk, out) = (folder("disk"), folder("disk-copied"));
    // The small disk is there for the program and the copy alone.
    let script = "mount -t tmpfs -o size=1m none \"$1\" || exit 99; \"$3\" live - --allow-empty --write \"$1\"; \
                  code=$?; cp \"$1\"/* \"$2\"/; exit $code";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).args([&disk, &out]).arg(env!("CARGO_BIN_EXE_callflow"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = match command.spawn() {
        Ok(mut child) => {
            let _ = child.stdin.take().unwrap().write_all(&stream(0, MANY, 1_000_000));
            child.wait_with_output().unwrap()
        }
        Err(error) => {
            println!("skipped: unshare: {error}");
            return;
        }
    };
    let said = said(&output);
    if output.status.code() == Some(99) || said.contains("unshare failed") {
        println!("skipped: no right to mount a small disk: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let (lost, written) = lost_and_written(&said);
    assert_eq!(lost + written, u64::from(MANY), "{said}");
    assert!(lost > 0 && written > 500, "{said}");
    check_whole(&files(&out), written);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("{MANY} packets")), "the rest goes on: {told}");
}

/// Rules of proved errors, by call.
fn errors(ndjson: &[u8]) -> BTreeMap<u64, BTreeSet<String>> {
    let mut errors: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for line in ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line).unwrap();
        let is_error = line["type"] == "finding" && line["severity"] == "error" && line["verdict"] == "violated";
        if let Some(call) = line["call"].as_u64().filter(|_| is_error) {
            errors.entry(call).or_default().insert(line["rule"].as_str().unwrap().to_owned());
        }
    }
    errors
}

#[test]
fn calls_with_the_finding_are_written_with_all_their_packets_and_no_others() {
    let mut written = 0;
    for name in [
        "a05-register-wrong-password",
        "a08-session-direct",
        "a22-no-response-408-icmp",
        "b07-auth-loop",
        "b10-ack-never-200-retransmitted",
        "b28-not-found-404-and-503",
        "c08-tcp-pipelined",
    ] {
        let into = folder(&format!("on-{name}"));
        let path = support::root().join(format!("testdata/captures/{name}.pcap"));
        let output = feed(&mut recording(&into, &["--write-on", "error"]), &fs::read(&path).unwrap());
        let told = errors(&output.stdout);
        let all: BTreeSet<Packet> = packets_in(&path).into_iter().collect();
        let mut kept = BTreeMap::new();
        for file in files(&into) {
            let check = callflow(&["check", "--format", "ndjson", file.to_str().unwrap()]).output().unwrap();
            let (_, call) = file.to_str().unwrap().split_once("-call-").unwrap();
            let number: u64 = call.split('-').next().unwrap().parse().unwrap();
            kept.insert(number, errors(&check.stdout).into_values().flatten().collect::<BTreeSet<_>>());
            let packets = packets_in(&file);
            let inner = &packets[1..packets.len() - 1];
            assert!(!inner.is_empty() && inner.iter().all(|packet| all.contains(packet)), "{}", file.display());
        }
        assert_eq!(kept, told, "{name}: {}", said(&output));
        written += kept.len();
    }
    assert!(written > 4, "{written}");
}

#[test]
fn a_finding_is_asked_for_by_rule_and_stands_on_its_packets() {
    let path = support::root().join("testdata/captures/a05-register-wrong-password.pcap");
    let whole = fs::read(path).unwrap();
    let kept = |on: &str| {
        let into = folder("asked");
        let output = feed(&mut recording(&into, &["--write-on", on]), &whole);
        (output.status.code(), names(&into).len())
    };
    assert_eq!(kept("A04"), (Some(1), 2));
    assert_eq!(kept("credentials-refused"), (Some(1), 2));
    assert_eq!(kept("any"), (Some(1), 2));
    assert_eq!(kept("A01"), (Some(1), 0));
    assert_eq!(kept("nonsense"), (Some(2), 0));
    let into = folder("comments");
    feed(&mut recording(&into, &["--write-on", "A04"]), &whole);
    assert!(names(&into)[0].ends_with("Z-call-1-A04.pcapng"), "{:?}", names(&into));
    let mut file = CaptureFile::open(&files(&into)[0]).unwrap();
    let mut batch = Batch::default();
    while file.next_batch(&mut batch).unwrap() == More::More {}
    assert!(file.comments().iter().any(|comment| comment.text.starts_with("callflow A04 credentials-refused: ")));
    let alone = callflow(&["live", "-", "--write-on", "any"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "needs --write");
}

/// A request as an Ethernet frame.
fn request(number: u32) -> Vec<u8> {
    let text = format!(
        "INVITE sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.1>;tag=f{number}\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: flood-{number}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@192.0.2.1>\r\nSubject: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(1000)
    );
    let packet = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
    let packet = packet.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(5060, 5060);
    let mut frame = Vec::new();
    packet.write(&mut frame, text.as_bytes()).unwrap();
    frame
}

#[test]
fn calls_that_have_no_room_are_counted() {
    let into = folder("ring");
    let mut writer = Writer::new(Vec::new(), Container::PcapNg, "test").unwrap();
    let interface = writer.interface(LinkType(1), None, None).unwrap();
    for number in 0..3000 {
        let (time, data) = (Timestamp::from_nanos(START + i64::from(number) * 1_000_000), request(number));
        let original = data.len() as u32;
        writer.frame(&Frame { time, interface, original, data: &data, comments: &[] }).unwrap();
    }
    let heard = writer.finish().unwrap();
    let output = feed(&mut recording(&into, &["--write-on", "any", "--ring-memory", "1M"]), &heard);
    assert!(said(&output).contains("had no room in --ring-memory"), "{}", said(&output));
    assert!(files(&into).len() < 1000);
}

#[test]
fn a_folder_is_followed_while_it_is_written() {
    const MANY: u32 = 5000;
    let into = folder("followed");
    fs::write(into.join("README"), "no capture").unwrap();
    let mut writer = recording(&into, &["--rotate-size", "1M", "--disk-cap", "100M"]).spawn().unwrap();
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(&stream(0, 2500, 1_000_000)).unwrap();
    wait_for("two files", || files(&into).len() >= 3);
    // One reader that begins in the middle hears all; so does everything that is written when it is there.
    let all = folder("followed-again");
    let reader = followed(&into, &all, MANY as usize);
    wait_for("the first packets", || !files(&all).is_empty());
    for first in (2500..MANY).step_by(100) {
        stdin.write_all(&stream(first, 100, 1_000_000)).unwrap();
        stdin.flush().unwrap();
    }
    drop(stdin);
    assert_eq!(writer.wait_with_output().unwrap().status.code(), Some(0));
    let output = reader.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let heard: Vec<u32> = files(&all).iter().flat_map(|path| numbers(path)).collect();
    assert_eq!(heard, (0..MANY).collect::<Vec<_>>());
}

/// The program following a folder until it has heard so many packets; what it recorded of them.
fn followed(folder: &Path, into: &Path, count: usize) -> Child {
    let mut reader = callflow(&["live", "--allow-empty", "--follow"]);
    reader.arg(folder).arg("--write").arg(into).args(support::stay_who_we_are()).args([
        "--count",
        &count.to_string(),
        "--duration",
        "120",
    ]);
    reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn files_that_go_or_begin_anew_are_no_end() {
    let (ring, into, aside) = (folder("reused"), folder("reused-heard"), folder("reused-aside").join("whole"));
    let write = |name: &str, first: u32, packets: u32| {
        fs::write(&aside, stream(first, packets, 1_000_000)).unwrap();
        fs::rename(&aside, ring.join(name)).unwrap();
    };
    // By time, whatever they are called.
    write("b", 0, 10);
    write("a", 10, 10);
    let reader = followed(&ring, &into, 40);
    wait_for("what is there", || files(&into).iter().map(|path| numbers(path).len()).sum::<usize>() == 20);
    fs::remove_file(ring.join("a")).unwrap();
    write("b", 20, 10);
    wait_for("the ring", || files(&into).iter().map(|path| numbers(path).len()).sum::<usize>() == 30);
    // One that gets another name was read, and one that is written anew in its place was not.
    fs::rename(ring.join("b"), ring.join("b.1")).unwrap();
    fs::write(&aside, stream(30, 10, 1_000_000)).unwrap();
    fs::copy(&aside, ring.join("c")).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let heard: Vec<u32> = files(&into).iter().flat_map(|path| numbers(path)).collect();
    assert_eq!(heard, (0..40).collect::<Vec<_>>());
}

#[test]
fn what_is_followed_is_not_written_to() {
    let into = folder("loop");
    let output = callflow(&["live", "--follow", into.to_str().unwrap(), "--write", into.to_str().unwrap()])
        .args(support::stay_who_we_are())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let none = callflow(&["live", "--follow", "no/such/folder", "--write", into.to_str().unwrap()])
        .args(support::stay_who_we_are())
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(3), "{}", said(&none));
}
