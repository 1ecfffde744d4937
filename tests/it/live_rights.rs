//! `callflow live`: what it may do once it listens, and interfaces that come and go. In networks of the tests' own.
#![cfg(target_os = "linux")]

use crate::support;
use crate::support::listener::{Listener, PROGRAM};
use crate::support::net::{Net, until};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const MAY_NOT: &str = "skipped: no right to make a network of its own (ip netns add, ip link add), or no veth";

/// A field of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("").trim()
}

/// An OPTIONS request that carries a secret, in a frame.
fn request(number: u32, body: usize) -> Vec<u8> {
    let text = format!(
        "OPTIONS sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.1>;tag=f{number}\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: options-{number}\r\n\
         CSeq: 1 OPTIONS\r\nAuthorization: Digest username=\"a\", response=\"topsecret\"\r\nContent-Type: text/plain\r\n\
         Content-Length: {body}\r\n\r\n{}",
        "topsecret".repeat(body / 9 + 1)[..body].to_owned()
    );
    let packet = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    let mut frame = Vec::new();
    packet.udp(5060, 5060).write(&mut frame, text.as_bytes()).unwrap();
    frame
}

/// The frame with a tag of VLAN 7.
fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat()
}

/// The IPv4 packet of a frame in fragments.
fn fragments(frame: &[u8]) -> Vec<Vec<u8>> {
    const PIECE: usize = 1024;
    let (head, payload) = frame.split_at(34);
    let pieces = payload.chunks(PIECE).count();
    let fragment = |(at, piece): (usize, &[u8])| {
        let mut head = head.to_vec();
        head[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        head[18..20].copy_from_slice(&7_u16.to_be_bytes());
        let more = if at + 1 < pieces { 0x2000 } else { 0 };
        head[20..22].copy_from_slice(&((at * PIECE / 8) as u16 | more).to_be_bytes());
        head[24..26].fill(0);
        let sum: u32 = head[14..34].chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
        let sum = !(((sum >> 16) + (sum & 0xffff)) as u16);
        head[24..26].copy_from_slice(&sum.to_be_bytes());
        head.extend_from_slice(piece);
        head
    };
    payload.chunks(PIECE).enumerate().map(fragment).collect()
}

/// Within the network of a test: sends what standard input says, in hexadecimal digits: interface and frame.
#[test]
#[ignore = "run by the tests below, in networks of their own"]
fn frames_are_sent() {
    for line in std::io::stdin().lines().map(Result::unwrap) {
        let (interface, digits) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let frame: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let mut device = pcap::Capture::from_device(interface).unwrap().open().unwrap();
        device.sendpacket(frame).unwrap();
    }
}

fn send(net: &Net, frames: &[(&str, Vec<u8>)]) {
    let test = std::env::current_exe().unwrap();
    let args = ["--ignored", "--exact", "live_rights::frames_are_sent"];
    let mut command = net.command(test.to_str().unwrap(), &args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = String::new();
    for (interface, frame) in frames {
        let _ = write!(lines, "{interface} ");
        for byte in frame {
            write!(lines, "{byte:02x}").unwrap();
        }
        lines.push('\n');
    }
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The program where everybody may run it.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("callflow-rights-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(PROGRAM, folder.join("callflow")).unwrap();
        Self(folder)
    }

    fn program(&self) -> String {
        self.0.join("callflow").to_str().unwrap().to_owned()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const AS_NOBODY: &[&str] = &["--reuid=65534", "--regid=65534", "--clear-groups"];

#[test]
fn no_thread_keeps_rights_and_nothing_secret_is_said() {
    let Some(net) = Net::with_cable(10) else { return println!("{MAY_NOT}") };
    // One that can go away may be opened again, by its own thread alone; the one that is all never goes away.
    for (interface, with_right) in [("any", 0), ("one", 1)] {
        let mut listener = Listener::within(&net, &["-i", interface, "--verbose", "--threads", "2"]);
        assert!(listener.await_words("running as ").contains("running as nobody, with no capabilities"));
        let has_landlock = !listener.await_words("files").contains("files: all");
        let has_seccomp = listener.await_words("system calls: ").contains("refused");
        if !(has_landlock && has_seccomp) {
            println!("this kernel lacks Landlock ({has_landlock}) or seccomp ({has_seccomp})");
        }
        send(&net, &[("two", request(1, 9))]);
        // The main one, one for the interface, two that analyse.
        assert!(until(|| listener.threads().len() >= 4), "{:#?}", listener.threads());
        let threads = listener.threads();
        for thread in &threads {
            assert_eq!(field(thread, "Uid").split_whitespace().collect::<Vec<_>>(), ["65534"; 4], "{thread}");
            assert_eq!(field(thread, "Groups"), "", "{thread}");
            assert_eq!(u64::from_str_radix(field(thread, "CapEff"), 16), Ok(0), "{thread}");
            assert_eq!(u64::from_str_radix(field(thread, "CapInh"), 16), Ok(0), "{thread}");
            assert_eq!(field(thread, "NoNewPrivs"), "1", "{thread}");
            assert_eq!(field(thread, "Seccomp"), if has_seccomp { "2" } else { "0" }, "{thread}");
        }
        let permitted = |thread: &&String| u64::from_str_radix(field(thread, "CapPrm"), 16) != Ok(0);
        let held: Vec<_> = threads.iter().filter(permitted).map(|thread| field(thread, "CapPrm")).collect();
        assert_eq!(held, vec!["0000000000002000"; with_right], "CAP_NET_RAW is bit 13");
        let ended = listener.end();
        assert!(ended.messages() > 0);
        let said = ended.said.join("\n");
        assert!(["topsecret", "sip:", "Digest", "options-1"].iter().all(|word| !said.contains(word)), "{said}");
    }
}

#[test]
fn a_stream_is_read_without_rights_as_well() {
    if !support::is_root() {
        return println!("skipped: not root, so that there is nothing to give up");
    }
    let mut command = Command::new(PROGRAM);
    command.args(["live", "-", "--verbose"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap();
    assert!(first.ends_with("running as nobody, with no capabilities"), "{first}");
    assert!(said.by_ref().any(|line| line.contains("system calls: ")));
    let folder = format!("/proc/{}/task", child.id());
    for thread in fs::read_dir(folder).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert_eq!(u64::from_str_radix(field(&status, "CapPrm"), 16), Ok(0), "{status}");
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(3), "an empty stream is no capture");
}

#[test]
fn without_rights_the_way_to_get_them_is_told() {
    let copy = Copy::new("none");
    for interface in ["lo", "any"] {
        let args = ["live", "-i", interface];
        let output = if support::is_root() {
            Command::new("setpriv").args(AS_NOBODY).arg(copy.program()).args(args).output().unwrap()
        } else {
            Command::new(copy.program()).args(args).output().unwrap()
        };
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains(&format!("callflow: {interface}: ")) && said.contains("sudo setcap cap_net_raw+ep"),
            "{said}"
        );
    }
}

#[test]
fn a_program_with_the_right_alone_listens_and_gives_it_up() {
    let Some(net) = Net::with_cable(11) else { return println!("{MAY_NOT}") };
    let copy = Copy::new("setcap");
    if !Command::new("setcap").args(["cap_net_raw+ep", &copy.program()]).status().is_ok_and(|status| status.success()) {
        return println!("skipped: setcap is not there or may not do it");
    }
    let program = copy.program();
    let args = [AS_NOBODY, &[&program, "live", "-i", "any", "--format", "ndjson", "--duration", "120"]].concat();
    let mut listener = Listener::start(net.command("setpriv", &args));
    listener.await_words("listening on any");
    send(&net, &[("two", request(1, 9))]);
    assert!(until(|| listener.threads().len() > 2));
    for thread in listener.threads() {
        let held = [field(&thread, "CapPrm"), field(&thread, "CapEff")].map(|set| u64::from_str_radix(set, 16));
        assert_eq!((held, field(&thread, "NoNewPrivs")), ([Ok(0), Ok(0)], "1"), "{thread}");
    }
    assert!(listener.end().messages() > 0);
}

#[test]
fn root_stays_root_only_when_told_and_then_says_so() {
    if !support::is_root() {
        return println!("skipped: not root");
    }
    let of = |args: &[&str]| {
        let output = Command::new(PROGRAM).args(["live", "-"]).args(args).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (_, said) = of(&["--user", "root", "--verbose"]);
    assert!(said.contains("stays root") && said.contains("running as root, with no capabilities"), "{said}");
    let (code, said) = of(&["--user", "no-such-user"]);
    assert!(code == Some(2) && said.contains("cannot become no-such-user: there is no such user"), "{said}");
    let (_, said) = of(&["--no-sandbox", "--verbose"]);
    assert!(said.contains("running as nobody") && said.contains("no sandbox"), "{said}");
    // What that user may not read is told at once, and what to do.
    let copy = Copy::new("follow");
    let file = copy.0.join("secret.pcap");
    fs::write(&file, b"").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(PROGRAM).args(["live", "--follow"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("nobody may not read") && said.contains("--user"),
        "{said}"
    );
}

#[test]
fn only_root_becomes_another_user() {
    let copy = Copy::new("other");
    let mut command = Command::new("setpriv");
    command.args(AS_NOBODY).arg(copy.program());
    if !support::is_root() {
        command = Command::new(copy.program());
    }
    let output = command.args(["live", "-", "--user", "daemon"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("only root may become another user"), "{said}");
}

#[test]
fn an_interface_that_comes_back_is_listened_on_again() {
    let Some(net) = Net::with_cable(12) else { return println!("{MAY_NOT}") };
    // A filter is set anew as well.
    let mut listener = Listener::within(&net, &["-i", "lo", "-i", "one", "udp", "port", "5060"]);
    send(&net, &[("two", request(1, 9))]);
    assert!(net.ip(&["link", "del", "one"]));
    let gone = listener.await_words("waiting for it to come back");
    assert!(gone.starts_with("callflow: one: "), "{gone}");
    assert!(net.lay_cable());
    listener.await_words("one is back; listening goes on");
    send(&net, &[("two", request(2, 9))]);
    let ended = listener.end();
    assert_eq!((ended.code, ended.messages()), (Some(0), 2), "{:#?}", ended.said);
    assert!(ended.has_anomaly("dropped-packets", "one went away and came back"), "{}", ended.summary());
    let complete: Vec<_> =
        ended.told.iter().filter(|line| line["type"] == "capture").map(|line| &line["complete"]).collect();
    assert_eq!(complete, [true, true]);
}

#[test]
fn an_interface_that_stays_away_makes_the_capture_incomplete() {
    let Some(net) = Net::with_cable(13) else { return println!("{MAY_NOT}") };
    let mut listener = Listener::within(&net, &["-i", "one"]);
    assert!(net.ip(&["link", "del", "one"]));
    listener.await_words("waiting for it to come back");
    assert_eq!(listener.end().code, Some(3));
}

#[test]
fn an_interface_that_is_renamed_or_rests_is_listened_on() {
    let Some(net) = Net::with_cable(14) else { return println!("{MAY_NOT}") };
    let mut listener = Listener::within(&net, &["-i", "one"]);
    assert!(net.ip(&["link", "set", "one", "down"]));
    // Long enough to be noticed.
    thread::sleep(Duration::from_millis(500));
    assert!(net.ip(&["link", "set", "one", "up"]) && net.await_carrier("one") && net.await_carrier("two"));
    send(&net, &[("two", request(1, 9))]);
    // Newer kernels rename an interface that is up; then nothing is missed.
    let is_live = net.ip(&["link", "set", "one", "name", "wan"]);
    if is_live {
        listener.await_words("one is called wan now");
        send(&net, &[("two", request(2, 9))]);
    }
    let (before, after) = if is_live { ("wan", "lan") } else { ("one", "lan") };
    assert!(net.ip(&["link", "set", before, "down"]) && net.ip(&["link", "set", before, "name", after]));
    listener.await_words(&format!("{before} is called {after} now"));
    assert!(net.ip(&["link", "set", after, "up"]) && net.await_carrier(after) && net.await_carrier("two"));
    // libpcap looks for an interface that was down by its name. A newer one may not lose it.
    let mut line = listener.said.recv_timeout(Duration::from_secs(15));
    while line.as_ref().is_ok_and(|line| !line.contains("lan is back")) {
        line = listener.said.recv_timeout(Duration::from_secs(15));
    }
    send(&net, &[("two", request(3, 9))]);
    let ended = listener.end();
    assert_eq!((ended.code, ended.messages()), (Some(0), 2 + u64::from(is_live)), "{:#?}", ended.said);
}

#[test]
fn an_interface_that_is_down_is_refused_and_one_without_address_is_not() {
    let Some(net) = Net::with_cable(15) else { return println!("{MAY_NOT}") };
    assert!(net.ip(&["addr", "flush", "dev", "one"]));
    let listener = Listener::within(&net, &["-i", "one"]);
    send(&net, &[("two", request(1, 9))]);
    assert_eq!(listener.end().messages(), 1);
    assert!(net.ip(&["link", "set", "one", "down"]));
    let output = net.command(PROGRAM, &["live", "-i", "one"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && said.contains("one: ") && said.contains(" up"), "{said}");
    let listed = net.command(PROGRAM, &["live", "--list-interfaces", "--format", "ndjson"]).output().unwrap();
    let listed: Vec<Value> =
        String::from_utf8(listed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| listed.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!((&of("one")["state"], &of("lo")["state"]), (&"down".into(), &"up".into()));
    assert_eq!(of("lo")["addresses"][0], "127.0.0.1");
}

#[test]
fn all_interfaces_and_several_of_them_are_one_capture_in_order_of_time() {
    let Some(net) = Net::with_cable(16) else { return println!("{MAY_NOT}") };
    let frames: Vec<_> = (0..20).map(|n| (if n % 2 == 0 { "lo" } else { "two" }, request(n / 4, 9))).collect();
    // What leaves `two` comes in on `one`: captured twice, sent once.
    for (interfaces, messages) in [(&["-i", "any"][..], 30), (&["-i", "lo", "-i", "one"][..], 20)] {
        let listener = Listener::within(&net, interfaces);
        send(&net, &frames);
        let ended = listener.end();
        assert_eq!(ended.messages(), messages, "{interfaces:?}: {}", ended.summary());
        let calls: Vec<_> = ended.told.iter().filter(|line| line["type"] == "call").collect();
        assert_eq!(calls.len(), 5, "{interfaces:?}");
        for call in calls {
            let frame = |message: &Value| message["frames"][0].as_u64().unwrap();
            let of: Vec<_> =
                call["messages"].as_array().unwrap().iter().map(|one| (one["time"].to_string(), frame(one))).collect();
            assert!(of.is_sorted(), "{of:?}");
        }
    }
}

#[test]
fn a_filter_by_port_keeps_fragments_and_tags_and_a_short_snaplen_is_told() {
    let Some(net) = Net::with_cable(17) else { return println!("{MAY_NOT}") };
    let mut frames = vec![("two", tagged(&request(1, 9)))];
    frames.extend(fragments(&request(2, 3000)).into_iter().map(|fragment| ("two", fragment)));
    let listener = Listener::within(&net, &["-i", "one", "udp", "port", "5060"]);
    send(&net, &frames);
    assert_eq!(listener.end().messages(), 2);
    let listener = Listener::within(&net, &["-i", "one", "--snaplen", "128"]);
    send(&net, &[("two", request(3, 9))]);
    assert!(listener.end().has_anomaly("cut-frame", ""));
}

#[test]
fn a_terminal_shows_how_it_stands() {
    let Some(net) = Net::new(18) else { return println!("{MAY_NOT}") };
    let line = format!("{PROGRAM} live -i lo --allow-empty --duration 4");
    let Ok(output) = net.command("script", &["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output() else {
        return println!("skipped: there is no script(1)");
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    if shown.is_empty() {
        return println!("skipped: there is no script(1): {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(shown.contains("0 SIP messages, 0 calls open in 0 MiB, 0 dropped"), "{shown}");
}
