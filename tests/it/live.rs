//! `callflow live`: the same findings as `check`, told while it goes on, in bounded memory.
#![cfg(unix)]

use crate::support;
use crate::support::net::{Net, ip};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Findings by rule, verdict and the frame they point at first, with how often. (More frames may join a finding after it
/// was told: one more repetition.)
pub type Told = BTreeMap<(String, String, Option<u64>), usize>;

fn callflow(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.args(args).env_clear().current_dir(support::root()).stdin(Stdio::null());
    command
}

/// The findings in lines of NDJSON.
pub fn told_in(lines: &[Value]) -> Told {
    let mut told = Told::new();
    for line in lines.iter().filter(|line| line["type"] == "finding") {
        let word = |name: &str| line[name].as_str().unwrap().to_owned();
        *told.entry((word("rule"), word("verdict"), line["frames"][0].as_u64())).or_default() += 1;
    }
    told
}

pub fn lines(out: &[u8]) -> Vec<Value> {
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The program reading standard input, and its lines as they come.
pub(crate) fn listening(args: &[&str]) -> (Child, mpsc::Receiver<String>) {
    let mut command = callflow(&["live", "--format", "ndjson"]);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (sender, came) = mpsc::channel();
    let out = child.stdout.take().unwrap();
    thread::spawn(move || BufReader::new(out).lines().for_each(|line| drop(sender.send(line.unwrap()))));
    (child, came)
}

#[test]
fn a_stream_is_judged_while_it_comes_as_check_judges_the_whole() {
    let path = support::root().join("testdata/captures/a05-register-wrong-password.pcap");
    let mut whole = fs::read(path).unwrap();
    for seconds in [60, 120] {
        whole.extend(later(&whole, seconds));
    }
    let mut check =
        callflow(&["check", "--format", "ndjson", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(&whole).unwrap();
    let checked = check.wait_with_output().unwrap();
    let (mut child, came) = listening(&["-"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut told = Vec::new();
    // Pieces end anywhere; all but the last records are there when the program has looked a few times.
    for piece in whole[..whole.len() - 10].chunks(whole.len() / 4) {
        stdin.write_all(piece).unwrap();
        stdin.flush().unwrap();
        thread::sleep(Duration::from_millis(1500));
    }
    told.extend(came.recv_timeout(Duration::from_secs(20)));
    assert!(!told.is_empty(), "nothing was told before the end");
    stdin.write_all(&whole[whole.len() - 10..]).unwrap();
    drop(stdin);
    told.extend(came);
    let told: Vec<Value> = told.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told_in(&told), told_in(&lines(&checked.stdout)));
    assert_eq!(child.wait().unwrap().code(), checked.status.code());
    let summary = |lines: &[Value]| {
        let mut summary = lines.last().unwrap().clone();
        summary.as_object_mut().unwrap().remove("anomalies");
        summary
    };
    assert_eq!(summary(&told), summary(&lines(&checked.stdout)));
}

#[test]
fn a_signal_ends_a_stream_that_goes_on_with_what_is_known() {
    let (mut child, came) = listening(&["-"]);
    let mut stdin = child.stdin.take().unwrap();
    let path = support::root().join("testdata/captures/a05-register-wrong-password.pcap");
    stdin.write_all(&fs::read(path).unwrap()).unwrap();
    thread::sleep(Duration::from_millis(1500));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let told: Vec<Value> = came.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(told.last().unwrap()["type"], "summary");
    assert_eq!((told.last().unwrap()["calls"].as_u64(), told_in(&told).values().sum::<usize>()), (Some(2), 2));
    drop(stdin);
}

#[test]
fn count_and_stop_on_end_it() {
    let path = "testdata/captures/a05-register-wrong-password.pcap";
    let of = |args: &[&str]| {
        let file = fs::File::open(support::root().join(path)).unwrap();
        let output = callflow(&["live", "-", "--format", "ndjson"]).args(args).stdin(file).output().unwrap();
        (output.status.code(), lines(&output.stdout).last().unwrap()["sip"]["messages"].as_u64())
    };
    assert_eq!(of(&[]), (Some(1), Some(8)));
    assert_eq!(of(&["--count", "4"]), (Some(0), Some(2)));
    assert_eq!(of(&["--fail-on", "never"]).0, Some(0));
    let wrong = callflow(&["live", "-", "--stop-on", "nonsense"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    // One look tells the first call, and nothing of the minute that is not written yet is waited for.
    let (mut child, came) = listening(&["--stop-on", "credentials-refused", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    let whole = fs::read(support::root().join(path)).unwrap();
    stdin.write_all(&whole).unwrap();
    stdin.write_all(&later(&whole, 60)).unwrap();
    stdin.flush().unwrap();
    assert!(came.iter().any(|line| line.contains("\"summary\"")));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(stdin);
}

/// The last record of a classic capture again, some seconds later.
pub fn later(whole: &[u8], seconds: u32) -> Vec<u8> {
    let (mut at, mut last) = (24, 24);
    while at < whole.len() {
        last = at;
        at += 16 + u32::from_le_bytes(whole[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    let mut record = whole[last..].to_vec();
    let time = u32::from_le_bytes(record[..4].try_into().unwrap()) + seconds;
    record[..4].copy_from_slice(&time.to_le_bytes());
    record
}

#[test]
fn what_cannot_be_listened_on_is_said() {
    let none = callflow(&["live", "-i", "no-such-interface0"]).output().unwrap();
    let said = String::from_utf8(none.stderr).unwrap();
    assert_eq!(none.status.code(), Some(2), "{said}");
    assert!(said.contains("there is no interface 'no-such-interface0'; there are: "), "{said}");
    let list = callflow(&["live", "--list-interfaces"]).output().unwrap();
    assert_eq!(list.status.code(), Some(0));
    assert!(!list.stdout.is_empty());
    let wrong = callflow(&["live", "-", "port", "nonsense("]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let empty = callflow(&["live", "-"]).output().unwrap();
    assert_eq!(empty.status.code(), Some(3), "standard input that is no capture");
}

/// Within the network of the test below: a call over loopback, nothing else.
#[test]
#[ignore = "run by the test below, in a network of its own"]
fn a_call_over_loopback() {
    let socket = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let (caller, callee) = (socket(35_060), socket(35_061));
    let path = support::root().join("testdata/captures/a05-register-wrong-password.pcap");
    let told = support::tell_file(&path);
    for seen in &told.analysis.seen {
        let (from, to) = if seen.message.is_request() { (&caller, 35_061) } else { (&callee, 35_060) };
        from.send_to(seen.message.raw(), ("127.0.0.1", to)).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_interface_is_listened_on_and_its_findings_are_those_of_the_messages() {
    let Some(net) = Net::new(1) else {
        println!("skipped: no right to make a network of its own (ip netns add)");
        return;
    };
    let program = env!("CARGO_BIN_EXE_callflow");
    let args = ["live", "-i", "lo", "--format", "ndjson", "--count", "8", "--duration", "60", "udp", "port", "35060"];
    let mut child = net.command(program, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    if said.contains("CAP_NET_RAW") {
        println!("skipped: no right to listen: {said}");
        child.wait().unwrap();
        return;
    }
    assert!(said.contains("listening on lo"), "{said}");
    let test = std::env::current_exe().unwrap();
    let sent =
        net.command(test.to_str().unwrap(), &["--ignored", "--exact", "live::a_call_over_loopback"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stdout));
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let status = child.wait().unwrap();
    let told = lines(&out);
    let rules: Vec<&str> =
        told.iter().filter(|line| line["type"] == "finding").filter_map(|line| line["rule"].as_str()).collect();
    assert_eq!((status.code(), rules.iter().filter(|rule| **rule == "A04").count()), (Some(1), 2), "{told:#?}");
    let summary = told.last().unwrap();
    assert_eq!((summary["sip"]["messages"].as_u64(), summary["calls"].as_u64()), (Some(8), Some(2)));
    let capture = told.iter().find(|line| line["type"] == "capture").unwrap();
    assert_eq!((capture["path"].as_str(), capture["packets"].as_u64()), (Some("lo"), Some(8)));
}

#[test]
fn an_interface_that_goes_away_is_said_and_the_others_go_on() {
    let net = Net::new(2).filter(|net| {
        ip(&["-n", &net.0, "link", "add", "one", "type", "veth", "peer", "name", "two"])
            && ip(&["-n", &net.0, "link", "set", "one", "up"])
    });
    let Some(net) = net else {
        println!("skipped: no right to make a network of its own (ip netns add, ip link add)");
        return;
    };
    let args = ["live", "-i", "lo", "-i", "one", "--duration", "4", "--allow-empty"];
    let mut child = net.command(env!("CARGO_BIN_EXE_callflow"), &args).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap();
    if first.contains("CAP_NET_RAW") {
        println!("skipped: no right to listen: {first}");
        child.wait().unwrap();
        return;
    }
    assert!(ip(&["-n", &net.0, "link", "del", "one"]));
    let then: Vec<String> = said.collect();
    assert!(then.iter().any(|line| line.starts_with("callflow: one: ")), "{then:?}");
    assert_eq!(child.wait().unwrap().code(), Some(3), "{then:?}");
}
