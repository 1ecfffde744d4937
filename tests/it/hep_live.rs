//! HEP over the network, taken and sent: nothing is lost or added on the way, and who sends rubbish harms only himself.
#![cfg(unix)]

use crate::support;
use crate::support::listener::{Listener, PROGRAM};
use crate::support::net::{Net, until};
use callflow::base::{Connection, Endpoint, Timestamp, Transport};
use callflow::net::{HepMessage, write_hep};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const KEY: &str = "myHep";

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hep").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A capture of the project.
fn capture(name: &str) -> PathBuf {
    support::root().join("testdata/captures").join(name)
}

/// A program that takes HEP at an address; and where.
fn taking(address: &str, args: &[&str]) -> (Listener, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["live", "--format", "ndjson", "--duration", "120", "--hep-listen", address]).args(args);
    let mut listener = Listener::start(command);
    let said = listener.await_words("listening on hep ");
    let address = said.split("hep ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    (listener, address)
}

/// A program that reads a capture and sends it on.
fn sending(to: &str, capture: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["live", "-", "--allow-empty", "--format", "ndjson", "--hep-send", to]).args(args);
    command.stdin(File::open(capture).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn sent(to: &str, capture: &Path, args: &[&str]) -> Output {
    sending(to, capture, args).wait_with_output().unwrap()
}

/// Rule and verdict of findings, outcome and kind of calls: what does not depend on the numbers of frames.
fn told<'a>(lines: impl IntoIterator<Item = &'a Value>) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for line in lines {
        let words = match line["type"].as_str() {
            Some("finding") => ["rule", "verdict"],
            Some("call") => ["kind", "outcome"],
            _ => continue,
        };
        let [one, other] = words.map(|word| line[word].as_str().unwrap_or("none").to_owned());
        *told.entry((one, other)).or_default() += 1;
    }
    told
}

fn checked(capture: &Path) -> Vec<Value> {
    let output = Command::new(PROGRAM).args(["check", "--format", "ndjson"]).arg(capture).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(lines: &[Value]) -> u64 {
    lines.last().unwrap()["sip"]["messages"].as_u64().unwrap()
}

/// A HEP packet with an OPTIONS request.
fn options(number: u32, key: &[u8]) -> Vec<u8> {
    let end = |ip: &str| Endpoint { ip: ip.parse().unwrap(), port: 5060 };
    let payload = format!(
        "OPTIONS sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.1>;tag=f{number}\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: options-{number}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    let connection = Connection { src: end("192.0.2.1"), dst: end("192.0.2.2"), transport: Transport::Udp };
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + i64::from(number));
    let (payload, correlation) = (payload.as_bytes(), &b""[..]);
    write_hep(&HepMessage { connection, time, agent: 1, key, correlation, payload }).unwrap()
}

/// Where a connection goes.
fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.split_once(':').unwrap().1).unwrap()
}

/// A certificate for this machine, its authority and its key, as files.
fn certificate(folder: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    [certificate, key].map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn what_is_sent_and_taken_is_judged_as_in_the_capture() {
    let folder = folder("whole");
    let [certificate, key] = certificate(&folder);
    let key_file = folder.join("hep.key");
    fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let key_file = key_file.to_str().unwrap();
    for name in ["a05-register-wrong-password", "a19-busy", "b10-ack-never-200-retransmitted"] {
        let capture = capture(&format!("{name}.pcap"));
        let expected = checked(&capture);
        for transport in ["udp", "tcp", "tls"] {
            let count = messages(&expected).to_string();
            let mut args = vec!["--count", &count, "--hep-key-file", key_file];
            if transport == "tls" {
                args.extend(["--hep-cert", &certificate, "--hep-cert-key", &key]);
            }
            let (listener, address) = taking(&format!("{transport}:127.0.0.1:0"), &args);
            let (_, port) = address.rsplit_once(':').unwrap();
            let to = format!("{transport}:localhost:{port}");
            let trust: &[&str] = if transport == "tls" { &["--hep-ca", &certificate] } else { &[] };
            let sent = sent(&to, &capture, &[&["--hep-key-file", key_file], trust].concat());
            let said = String::from_utf8_lossy(&sent.stderr);
            assert!(matches!(sent.status.code(), Some(0 | 1)) && !said.contains("not sent"), "{name} {to}: {said}");
            let ended = listener.wait();
            assert_eq!(told(&ended.told), told(&expected), "{name} over {transport}: {:#?}", ended.said);
            assert_eq!(messages(&ended.told), messages(&expected), "{name} over {transport}");
        }
    }
}

#[test]
fn who_has_no_key_or_sends_rubbish_is_refused_and_counted_and_the_others_are_heard() {
    let folder = folder("keys");
    let key_file = folder.join("hep.key");
    fs::write(&key_file, KEY).unwrap();
    for transport in ["udp", "tcp"] {
        let args = ["--allow-empty", "--hep-key-file", key_file.to_str().unwrap()];
        let (mut listener, address) = taking(&format!("{transport}:127.0.0.1:0"), &args);
        let give = |packet: &[u8]| {
            if transport == "udp" {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.send_to(packet, address.split_once(':').unwrap().1).unwrap();
            } else {
                connect(&address).write_all(packet).unwrap();
            }
        };
        give(b"GET / HTTP/1.1\r\n\r\n");
        listener.await_words("was refused: no HEP");
        give(&options(1, b"another"));
        listener.await_words("was refused: wrong or missing key");
        give(&options(2, b""));
        give(&options(3, KEY.as_bytes()));
        give(&options(4, KEY.as_bytes()));
        listener.await_packets(2);
        let ended = listener.end();
        assert_eq!(ended.messages(), 2, "{:#?}", ended.said);
        assert!(ended.has_anomaly("hep-refused", "no HEP"), "{}", ended.summary());
        let told = ended.said.iter().filter(|line| line.contains("wrong or missing key")).count();
        assert_eq!(told, 1, "of each host and reason once: {:#?}", ended.said);
        assert!(!ended.said.iter().any(|line| line.contains(KEY)), "{:#?}", ended.said);
    }
}

#[test]
fn half_a_message_and_many_silent_connections_hold_up_nobody() {
    let (mut listener, address) = taking("tcp:127.0.0.1:0", &["--allow-empty"]);
    let whole = options(1, b"");
    let mut half = connect(&address);
    half.write_all(&whole[..whole.len() / 2]).unwrap();
    // More than there is room for: the one that is quiet for longest has to go.
    let silent: Vec<TcpStream> = (0..300).map(|_| connect(&address)).collect();
    listener.await_words("too many connections");
    let mut speaks = connect(&address);
    // In pieces, and two at once.
    let two = [options(2, b""), options(3, b"")].concat();
    for piece in two.chunks(7) {
        speaks.write_all(piece).unwrap();
    }
    listener.await_words("half a message, and then nothing");
    listener.await_packets(2);
    let hung_up = until(|| half.read(&mut [0; 1]).is_ok_and(|length| length == 0));
    assert!(hung_up, "who stalls is let go");
    drop(silent);
    let ended = listener.end();
    assert_eq!((ended.messages(), ended.code), (2, Some(0)), "{:#?}", ended.said);
}

#[test]
fn a_collector_that_comes_later_gets_what_waited() {
    let capture = capture("a19-busy.pcap");
    let expected = checked(&capture);
    // A port that is free now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = format!("tcp:127.0.0.1:{port}");
    let mut command = Command::new(PROGRAM);
    command.args(["live", "-", "--format", "ndjson", "--hep-send", &to]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&fs::read(&capture).unwrap()).unwrap();
    let mut sender = Listener::of(child);
    sender.await_words("it is tried again");
    let (listener, _) = taking(&to, &["--count", &messages(&expected).to_string()]);
    sender.await_words("is back; 0 messages were lost meanwhile");
    let ended = listener.wait();
    assert_eq!(told(&ended.told), told(&expected), "{:#?}", ended.said);
    drop(stdin);
    let ended = sender.wait();
    assert!(!ended.said.iter().any(|line| line.contains("not sent")), "{:#?}", ended.said);
}

#[test]
fn a_collector_that_is_not_there_is_told_once_and_what_is_lost_is_counted() {
    let capture = capture("a19-busy.pcap");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = sent(&format!("tcp:127.0.0.1:{port}"), &capture, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("it is tried again").count(), 1, "{said}");
    let lost = format!("{} messages not sent to the HEP collector; 0 are", messages(&checked(&capture)));
    assert!(said.contains(&lost), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_is_sent_is_not_captured_and_sent_again() {
    let Some(net) = Net::new(31) else {
        println!("skipped: no right to make a network of its own (ip netns add)");
        return;
    };
    let mut listener = Listener::within(&net, &["-i", "lo", "--hep-send", "127.0.0.1:9060"]);
    let test = std::env::current_exe().unwrap();
    let args = ["--ignored", "--exact", "live::a_call_over_loopback"];
    assert!(net.command(test.to_str().unwrap(), &args).output().unwrap().status.success());
    listener.await_packets(8);
    let ended = listener.end();
    assert_eq!(ended.messages(), 8, "{:#?}", ended.said);
    assert!(ended.said.iter().any(|line| line.contains("HEP collector")), "nobody takes it: {:#?}", ended.said);
}

#[test]
fn what_cannot_be_is_refused_at_the_start() {
    let wrong: [&[&str]; 5] = [
        &["--hep-listen", "tls:127.0.0.1:0"],
        &["--hep-listen", "nowhere"],
        &["--hep-listen", "udp:192.0.2.1:9060"],
        &["--hep-listen", "127.0.0.1:9060", "--hep-send", "127.0.0.1:9060"],
        &["--hep-send", "tls:127.0.0.1:9060", "--hep-ca", "Cargo.toml"],
    ];
    for args in wrong {
        let output = Command::new(PROGRAM).arg("live").args(args).current_dir(support::root()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
