//! `callflow live` for those who operate it: metrics, health, logs, signals, systemd.
#![cfg(unix)]

use crate::live::{lines, told_in};
use crate::support;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const REFUSED: &str = "testdata/captures/a05-register-wrong-password.pcap";
const ANSWERED: &str = "testdata/captures/a11-session-two-proxies.pcap";
const BROKEN: &str = "testdata/captures/b10-ack-never-200-retransmitted.pcap";
/// Far more than anything here takes on a loaded machine.
const LONG: Duration = Duration::from_secs(90);

/// A live view of a stream.
struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
    said: Vec<String>,
}

impl Live {
    fn start(args: &[&str]) -> Self {
        Self::start_in(support::root(), args, &[])
    }

    fn start_in(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        command
            .args(["live", "--format", "ndjson", "--metrics", "0"])
            .args(support::stay_who_we_are())
            .args(args)
            .arg("-");
        command.env_clear().env("HOME", "/nonexistent").envs(env.iter().copied()).current_dir(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (read_lines(child.stdout.take().unwrap()), read_lines(child.stderr.take().unwrap()));
        Self { stdin: child.stdin.take(), child, out, err, said: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The first line on standard error that has this, of those to come.
    fn says(&mut self, what: &str) -> String {
        while let Ok(line) = self.err.recv_timeout(LONG) {
            self.said.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
        panic!("'{what}' was not said, but {:?}", self.said);
    }

    /// Where the metrics are.
    fn address(&mut self) -> String {
        let line = self.says("http://");
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    /// Ends the stream; what was told then.
    fn end(mut self) -> (ExitStatus, Vec<Value>) {
        drop(self.stdin.take());
        let told = self.out.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
        (self.child.wait().unwrap(), told)
    }
}

impl Drop for Live {
    /// A test that failed leaves nothing running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// Status line and body of what stands at a path.
fn get(address: &str, request: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.lines().next().unwrap().to_owned(), body.to_owned()))
}

/// Records of a classic capture: where each ends.
fn ends(whole: &[u8]) -> Vec<usize> {
    let mut ends = vec![24];
    while let Some(length) = whole.get(ends.last().unwrap() + 8..ends.last().unwrap() + 12) {
        ends.push(ends.last().unwrap() + 16 + u32::from_le_bytes(length.try_into().unwrap()) as usize);
    }
    ends
}

/// A capture, and half a day later something that is no SIP: all calls are over then.
fn and_half_a_day(path: &str) -> Vec<u8> {
    let mut whole = fs::read(support::root().join(path)).unwrap();
    let mut last = crate::live::later(&whole, 13 * 3600);
    last[16..].fill(0);
    whole.extend(last);
    whole
}

/// A sample of OpenMetrics by its name and labels.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads OpenMetrics text (version 1.0.0) as strictly as its standard has it for what is used here.
fn samples(text: &str) -> Samples {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut samples = Samples::new();
    let body = text.strip_suffix("# EOF\n").expect("ends with EOF");
    for line in body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(kinds.insert(name, kind).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
        let family = ["_total", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|family| kinds.contains_key(family)));
        match (family, family.and_then(|family| kinds.get(family))) {
            (Some(_), Some(&"counter")) => assert!(name.ends_with("_total"), "{line}"),
            (Some(_), Some(&"histogram")) => assert!(!name.ends_with("_total"), "{line}"),
            _ => assert_eq!(kinds.get(name), Some(&"gauge"), "{line}"),
        }
        let labels: BTreeMap<String, String> = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| label.split_once('=').unwrap())
            .map(|(name, value)| {
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
                assert!(!value.contains(['"', '\\', '@']), "{line}");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let value: f64 = value.parse().unwrap();
        assert!(samples.insert((name.to_owned(), labels), value).is_none(), "{line} twice");
    }
    samples
}

/// Of what counts in whole numbers.
fn sum(samples: &Samples, name: &str) -> u64 {
    samples.iter().filter(|((of, _), _)| of == name).map(|(_, value)| *value as u64).sum()
}

fn with(samples: &Samples, name: &str, label: (&str, &str)) -> u64 {
    let fits = |labels: &BTreeMap<String, String>| labels.get(label.0).is_some_and(|value| value == label.1);
    samples.iter().filter(|((of, labels), _)| of == name && fits(labels)).map(|(_, value)| *value as u64).sum()
}

fn scrape(address: &str) -> Samples {
    let (status, text) = get(address, "GET /metrics").unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
    samples(&text)
}

/// What comes to be sooner or later.
fn wait<T>(mut what: impl FnMut() -> Option<T>) -> Option<T> {
    const PAUSE: Duration = Duration::from_millis(100);
    (0..LONG.as_millis() / PAUSE.as_millis()).find_map(|_| {
        let come = what();
        if come.is_none() {
            thread::sleep(PAUSE);
        }
        come
    })
}

#[test]
fn metrics_count_what_is_told_and_what_stats_measure() {
    for path in [REFUSED, ANSWERED, BROKEN] {
        let whole = and_half_a_day(path);
        let packets = ends(&whole).len() as u64 - 1;
        let mut live = Live::start(&[]);
        let address = live.address();
        live.feed(&whole);
        let mut told = Vec::new();
        let counted = wait(|| {
            let counted = scrape(&address);
            told.extend(live.out.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap()));
            let findings = told.iter().filter(|line| line["type"] == "finding").count() as u64;
            let is_all = sum(&counted, "callflow_packets_total") == packets
                && sum(&counted, "callflow_calls_total") > 0
                && sum(&counted, "callflow_calls_open") == 0
                && sum(&counted, "callflow_findings_total") == findings;
            is_all.then_some(counted)
        });
        let counted =
            counted.unwrap_or_else(|| panic!("{path}: {packets} packets, {told:?}, but {:?}", scrape(&address)));
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for line in told.iter().filter(|line| line["type"] == "finding") {
            let word = |name: &str| line[name].as_str().unwrap().to_owned();
            *found.entry((word("rule"), word("severity"))).or_default() += 1;
        }
        for ((rule, severity), n) in &found {
            let of_rule = counted.clone().into_iter().filter(|((name, labels), _)| {
                name == "callflow_findings_total" && &labels["rule"] == rule && &labels["severity"] == severity
            });
            assert_eq!(sum(&of_rule.collect(), "callflow_findings_total"), *n, "{path}: {rule}");
        }
        let (_, rest) = live.end();
        let summary = rest.last().unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        assert_eq!(sum(&counted, "callflow_sip_messages_total"), number(&summary["sip"]["messages"]), "{path}");
        let (requests, responses) =
            (sum(&counted, "callflow_sip_requests_total"), sum(&counted, "callflow_sip_responses_total"));
        assert_eq!(requests + responses, number(&summary["sip"]["messages"]), "{path}");
        assert_eq!(sum(&counted, "callflow_calls_total"), number(&summary["calls"]), "{path}");
        let mut stats = Command::new(env!("CARGO_BIN_EXE_callflow"));
        stats.args(["stats", "--format", "json", "-"]).current_dir(support::root()).stdout(Stdio::piped());
        let mut stats = stats.stdin(Stdio::piped()).spawn().unwrap();
        stats.stdin.take().unwrap().write_all(&whole).unwrap();
        let stats: Value = serde_json::from_slice(&stats.wait_with_output().unwrap().stdout).unwrap();
        let metrics = &stats["metrics"];
        for ratio in ["ira", "ser", "seer", "isa", "scr"] {
            let of = |name| with(&counted, name, ("metric", ratio));
            assert_eq!(of("callflow_rfc6076_hits_total"), number(&metrics[ratio]["part"]), "{path}: {ratio}");
            assert_eq!(of("callflow_rfc6076_attempts_total"), number(&metrics[ratio]["of"]), "{path}: {ratio}");
        }
        for (delay, name) in [
            ("rrd", "callflow_registration_request_delay_seconds"),
            ("sdd", "callflow_session_disconnect_delay_seconds"),
            ("sdt", "callflow_session_duration_seconds"),
        ] {
            let delays = &metrics[delay];
            let n = sum(&counted, &format!("{name}_count"));
            assert_eq!(n, number(&delays["count"]), "{path}: {delay}");
            assert_eq!(with(&counted, &format!("{name}_bucket"), ("le", "+Inf")), n, "{path}: {delay}");
            let seconds = delays["mean"].as_f64().unwrap_or(0.0) * n as f64 / 1e3;
            assert!((counted[&(format!("{name}_sum"), BTreeMap::new())] - seconds).abs() < 0.01, "{path}: {delay}");
        }
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let names = |file: &str, quote: char| -> BTreeSet<String> {
        let text = fs::read_to_string(support::root().join(file)).unwrap();
        let words = text.split(quote).filter(|word| word.starts_with("callflow_"));
        let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        words.filter(is_name).map(|word| word.trim_end_matches("_total").to_owned()).collect()
    };
    let documented = names("docs/live.md", '`');
    assert!(documented.len() > 20, "{documented:?}");
    assert_eq!(documented, names("src/cli/live/families.rs", '"'));
}

#[test]
fn the_server_has_few_pages_and_slow_clients_hold_up_nobody_for_long() {
    let mut live = Live::start(&[]);
    let address = live.address();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let status = |request: &str| get(&address, request).map(|(status, _)| status).unwrap_or_default();
    assert_eq!(get(&address, "GET /healthz").unwrap(), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    assert!(get(&address, "GET /").unwrap().1.contains("/metrics"));
    assert_eq!(get(&address, "HEAD /metrics").unwrap().1, "");
    assert_eq!(status("GET /etc/passwd"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("POST /metrics"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("nonsense \x01"), "HTTP/1.1 400 Bad Request");
    assert_eq!(
        status(&format!("GET /{}", "a".repeat(100_000))),
        "HTTP/1.1 431 Request Header Fields Too Large".to_owned()
    );
    // Half a request each, and then nothing.
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let _ = stream.write_all(b"GET /met");
            stream
        })
        .collect();
    let answered = wait(|| (status("GET /healthz") == "HTTP/1.1 200 OK").then_some(()));
    assert!(answered.is_some(), "slow clients hold up the others");
    drop(slow);
}

#[test]
fn an_open_address_is_warned_of_and_one_that_is_taken_is_a_usage_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let live = |address: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        let command = command.args(["live", "--metrics", address, "--allow-empty", "-"]).stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = live(&port);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("--metrics 127.0.0.1:{port}: ")), "{said}");
    let (_, said) = live("0.0.0.0:0");
    assert_eq!(said.matches("nobody is asked who they are").count(), 1, "{said}");
    assert!(!live("0").1.contains("nobody is asked"));
}

#[test]
fn logs_are_objects_when_wanted_and_a_signal_asks_how_it_stands() {
    let mut live = Live::start(&["--log-format", "json", "--status", "3600"]);
    live.says("\"metrics\"");
    live.feed(&fs::read(support::root().join(REFUSED)).unwrap());
    let status = wait(|| {
        live.signal("USR1");
        let status: Value = serde_json::from_str(&live.says("\"status\"")).unwrap();
        (status["messages"] == 8).then_some(status)
    });
    let status = status.unwrap();
    assert_eq!((status["messages"].as_u64(), status["dropped"].as_u64()), (Some(8), Some(0)), "{status}");
    assert!(status["message"].as_str().unwrap().contains("8 SIP messages"), "{status}");
    for line in std::mem::take(&mut live.said) {
        let line: Value = serde_json::from_str(&line).unwrap();
        let names: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(["time", "level", "event", "message"].iter().all(|name| names.contains(name)), "{line}");
        assert!(
            line["time"].as_str().unwrap().ends_with('Z') && (line["level"] == "info" || line["event"] == "rights"),
            "{line}"
        );
    }
}

#[test]
fn how_it_stands_is_said_now_and_then() {
    let mut live = Live::start(&["--status", "1"]);
    live.says("0 SIP messages");
    live.feed(&fs::read(support::root().join(REFUSED)).unwrap());
    live.says("8 SIP messages");
}

#[test]
fn a_signal_in_the_middle_of_a_stream_loses_nothing_that_was_read() {
    let whole = fs::read(support::root().join(BROKEN)).unwrap();
    let ends = ends(&whole);
    let mut live = Live::start(&["--no-config"]);
    live.address();
    let mut stdin = live.stdin.take().unwrap();
    let half = ends[ends.len() / 2];
    stdin.write_all(&whole[..half]).unwrap();
    let (records, rest) = (ends.clone(), whole.clone());
    let writer = thread::spawn(move || {
        let mut records = records.windows(2).filter(|record| record[0] >= half);
        let fed = records.try_for_each(|record| {
            thread::sleep(Duration::from_millis(20));
            stdin.write_all(&rest[record[0]..record[1]])
        });
        (fed, stdin)
    });
    live.signal("TERM");
    let told: Vec<Value> = live.out.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    let status = live.child.wait().unwrap();
    drop(writer.join().unwrap());
    let capture = told.iter().find(|line| line["type"] == "capture").unwrap();
    let packets = capture["packets"].as_u64().unwrap() as usize;
    assert!(packets > 0);
    let mut check = Command::new(env!("CARGO_BIN_EXE_callflow"));
    check.args(["check", "--no-config", "--format", "ndjson", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = check.current_dir(support::root()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(&whole[..ends[packets]]).unwrap();
    let checked = check.wait_with_output().unwrap();
    let checked_lines = lines(&checked.stdout);
    assert_eq!(told_in(&told), told_in(&checked_lines), "after {packets} packets");
    assert_eq!(status.code(), checked.status.code());
    let (summary, wanted) = (told.last().unwrap(), checked_lines.last().unwrap());
    for key in ["calls", "error", "warning", "info", "open"] {
        assert_eq!(summary[key], wanted[key], "{key} after {packets} packets");
    }
    assert_eq!(summary["sip"]["messages"], wanted["sip"]["messages"]);
}

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ops").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join(".git")).unwrap();
    folder
}

#[test]
fn the_health_page_says_that_nothing_is_recorded_as_long_as_it_is_so() {
    let into = folder("unwritable").join("evidence");
    let mut live = Live::start(&["--write", into.to_str().unwrap()]);
    let address = live.address();
    let health = |status: &str| wait(|| get(&address, "GET /healthz").filter(|(said, _)| said.contains(status)));
    assert!(health(" 200 ").is_some());
    fs::remove_dir_all(&into).unwrap();
    let whole = fs::read(support::root().join(REFUSED)).unwrap();
    let (header, packets) = whole.split_at(24);
    live.feed(header);
    live.feed(packets);
    let (_, why) = health(" 503 ").expect("it is told");
    assert!(why.contains("cannot write"), "{why}");
    fs::create_dir_all(&into).unwrap();
    let written = wait(|| {
        live.feed(packets);
        get(&address, "GET /healthz").filter(|(said, _)| said.contains(" 200 "))
    });
    assert!(written.is_some(), "it is tried again");
    assert_eq!(live.end().0.code(), Some(3), "packets are missing");
}

#[test]
fn a_hangup_reads_the_configuration_again_and_opens_the_output_anew() {
    let folder = folder("reload");
    fs::write(folder.join("callflow.toml"), "").unwrap();
    let mut live = Live::start_in(&folder, &["-o", "out.ndjson"], &[]);
    let address = live.address();
    let scraped = |name: &str| sum(&scrape(&address), name);
    fs::write(folder.join("callflow.toml"), "[[ignore]]\nrule = \"A04\"\nreason = \"known\"\nuntil = 2000-01-01\n")
        .unwrap();
    live.signal("HUP");
    live.says("the configuration was read again");
    fs::write(folder.join("callflow.toml"), "[nonsense").unwrap();
    live.signal("HUP");
    assert!(live.says("what held before holds").contains("callflow.toml:1:"));
    let is_told = wait(|| (scraped("callflow_config_last_reload_successful") == 0).then_some(()));
    assert!(is_told.is_some(), "the metrics do not tell of the broken configuration");
    // What ended long ago holds no more, and that is said, but not at every look.
    live.feed(&fs::read(support::root().join(REFUSED)).unwrap());
    live.says("[[ignore]] ended with 2000-01-01");
    let looks = || {
        let first = scraped("callflow_look_duration_seconds_count");
        wait(|| (scraped("callflow_look_duration_seconds_count") >= first + 2).then_some(())).expect("nobody looks");
    };
    looks();
    fs::write(folder.join("callflow.toml"), "[[ignore]]\nrule = \"A04\"\nreason = \"known\"\n").unwrap();
    fs::rename(folder.join("out.ndjson"), folder.join("out.1")).unwrap();
    live.signal("HUP");
    live.says("the configuration was read again");
    assert_eq!(live.said.iter().filter(|line| line.contains("ended with")).count(), 1, "{:?}", live.said);
    looks();
    drop(live.stdin.take());
    assert!(live.child.wait().unwrap().code().is_some());
    let told = lines(&fs::read(folder.join("out.ndjson")).unwrap());
    let summary = told.last().unwrap();
    assert_eq!(summary["type"], "summary", "the new file has what came after the hangup");
    assert_eq!((summary["error"].as_u64(), summary["ignored"].as_u64()), (Some(0), Some(2)), "{summary}");
}

#[test]
fn a_hangup_brings_new_secrets_of_tls() {
    let capture = support::files("testdata/captures", "keylog").into_iter().next().expect("a capture with secrets");
    let whole = [capture.with_extension("pcapng"), capture.with_extension("pcap")];
    let whole = fs::read(whole.iter().find(|path| path.exists()).unwrap()).unwrap();
    let folder = folder("secrets");
    let keys = folder.join("keys.txt");
    fs::write(&keys, "").unwrap();
    let mut live = Live::start_in(&folder, &["--keylog", keys.to_str().unwrap()], &[]);
    live.address();
    fs::write(&keys, fs::read(&capture).unwrap()).unwrap();
    live.signal("HUP");
    live.says("the configuration was read again");
    live.feed(&whole);
    let (_, told) = live.end();
    let tls = told.last().unwrap()["sip"]["transports"]["TLS"].as_u64();
    let wanted = support::tell_file(&capture.with_extension("pcap"));
    let wanted = wanted.analysis.seen.iter().filter(|seen| seen.connection.transport.name() == "TLS").count();
    assert!(wanted > 0);
    assert_eq!(tls, Some(wanted as u64));
}

#[test]
fn options_of_live_may_stand_in_the_configuration() {
    let folder = folder("options");
    let config = "[options]\nlog-format = \"json\"\nmax-memory = \"64M\"\ninterface = [\"lo\"]\nsnaplen = 2000\nmetrics = \"0\"\n";
    fs::write(folder.join("callflow.toml"), config).unwrap();
    let mut live = Live::start_in(&folder, &[], &[]);
    let line: Value = serde_json::from_str(&live.says("metrics")).unwrap();
    assert_eq!(line["event"], "metrics");
    fs::write(folder.join("callflow.toml"), "[options]\nmax-memory = \"many\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    let output = command.args(["live", "-"]).current_dir(&folder).env_clear().stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("callflow.toml:2:14: options.max-memory: "), "{said}");
}

#[test]
fn systemd_hears_that_it_is_ready_goes_on_and_stops() {
    // Names of sockets are short.
    let path = std::env::temp_dir().join(format!("callflow-notify-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let live = Live::start_in(support::root(), &[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let hear = |what: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).unwrap_or_else(|why| panic!("no {what}: {why}"));
            let heard = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if heard.contains(what) {
                return heard;
            }
        }
    };
    hear("READY=1");
    assert!(hear("WATCHDOG=1").contains("STATUS=0 packets"));
    live.end();
    hear("STOPPING=1");
    let _ = fs::remove_file(&path);
}

#[test]
fn the_unit_of_systemd_is_one() {
    let unit = fs::read_to_string(support::root().join("examples/systemd/callflow.service")).unwrap();
    let folder = folder("unit");
    // The program stands where it was built, and there is no such user yet.
    let program = env!("CARGO_BIN_EXE_callflow");
    assert!(unit.contains("/usr/local/bin/callflow"));
    let path = folder.join("callflow.service");
    fs::write(&path, unit.replace("/usr/local/bin/callflow", program)).unwrap();
    let Ok(output) = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&path).output() else {
        println!("skipped: there is no systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("callflow")).collect();
    assert!(output.status.success() && about_it.is_empty(), "{said}");
}
