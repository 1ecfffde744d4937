//! `check --max-memory`: a capture read piece by piece is judged as one that is read whole.
#![cfg(unix)]

use crate::looks::{Packets, sip};
use crate::support;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The least there is.
const LITTLE: &str = "--max-memory=1M";

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

fn check(path: &Path, more: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let key_log = path.with_extension("keylog");
    command.arg("--no-config").arg("check").arg(path).args(more);
    if key_log.exists() {
        command.arg("--keylog").arg(key_log);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// What is told of calls, findings and all of it, without the numbers of calls, the order in which they are told, and the
/// number at the end of a fingerprint, which counts those that are alike in one look.
fn told(run: &Run) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for line in run.out.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some((print, _)) = line["fingerprint"].as_str().and_then(|print| print.split_once('-')) {
            line["fingerprint"] = print.into();
        }
        let keys: &[&str] = match line["type"].as_str().unwrap() {
            "call" => {
                &["kind", "call_ids", "outcome", "final_status", "start", "end", "messages", "flow", "participants"]
            }
            "finding" => &["rule", "verdict", "severity", "cause", "call_id", "frames", "summary", "fingerprint"],
            "summary" => &["calls", "error", "warning", "info", "open", "ignored", "coverage", "anomalies"],
            _ => &["path", "packets", "bytes", "first", "last"],
        };
        let of_it: Vec<String> = keys.iter().map(|key| line[*key].to_string()).collect();
        *told.entry(of_it.join(" ")).or_default() += 1;
    }
    told
}

/// Where two runs tell something else.
fn difference(path: &Path, whole: &Run, pieces: &Run) -> Option<String> {
    let (whole_told, pieces_told) = (told(whole), told(pieces));
    let only = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| {
        let only = one.iter().filter(|(what, times)| other.get(*what) != Some(times));
        only.map(|(what, _)| what.chars().take(200).collect()).take(5).collect::<Vec<String>>()
    };
    let (missing, added) = (only(&whole_told, &pieces_told), only(&pieces_told, &whole_told));
    let is_same = missing.is_empty() && added.is_empty() && whole.code == pieces.code;
    let codes = (whole.code, pieces.code);
    (!is_same).then(|| format!("{} {codes:?}: missing {missing:#?}, added {added:#?}", path.display()))
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn captures_in_pieces_are_judged_as_in_one() {
    let wrong: Vec<String> = support::captures()
        .into_iter()
        .filter_map(|path| {
            let whole = check(&path, &["--format", "ndjson"]);
            difference(&path, &whole, &check(&path, &["--format", "ndjson", LITTLE]))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Calls of four hours, one each five seconds. Every fortieth lacks its ACK.
fn four_hours() -> PathBuf {
    let mut all = Packets::new();
    for n in 0..2880_u32 {
        let (start, id) = (n * 5000, format!("call{n}"));
        let mut say = |millis, src, line: &str, tag, cseq| all.sip(start + millis, src, &sip(line, &id, tag, cseq));
        let invite = "INVITE sip:b@192.0.2.2 SIP/2.0";
        say(0, 1, invite, "", "1 INVITE");
        say(10, 2, "SIP/2.0 100 Trying", "", "1 INVITE");
        say(20, 2, "SIP/2.0 180 Ringing", ";tag=b", "1 INVITE");
        say(1000, 2, "SIP/2.0 200 OK", ";tag=b", "1 INVITE");
        if n % 40 == 39 {
            for again in [1500, 2500, 4500] {
                say(again, 2, "SIP/2.0 200 OK", ";tag=b", "1 INVITE");
            }
        } else {
            say(1010, 1, "ACK sip:b@192.0.2.2 SIP/2.0", ";tag=b", "1 ACK");
        }
        say(4600, 1, "BYE sip:b@192.0.2.2 SIP/2.0", ";tag=b", "2 BYE");
        say(4610, 2, "SIP/2.0 200 OK", ";tag=b", "2 BYE");
    }
    let path = scratch("four-hours.pcap");
    std::fs::write(&path, &all.0).unwrap();
    path
}

#[test]
fn calls_of_hours_leave_memory_and_are_told_once() {
    let path = four_hours();
    let whole = check(&path, &["--format", "ndjson"]);
    let pieces = check(&path, &["--format", "ndjson", LITTLE]);
    assert_eq!(difference(&path, &whole, &pieces), None);
    assert_eq!(pieces.code, Some(1));
    // Told as they end: the first call stands long before the last one, and numbers are those of the whole.
    let ids: Vec<u64> = pieces
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["type"] == "call")
        .map(|line| line["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), 2880);
    assert!(ids.iter().all(|id| (1..=2880).contains(id)));
    // For people, a line for each faulty call, and the sum.
    let text = check(&path, &[LITTLE]);
    assert_eq!((text.code, text.err.as_str()), (Some(1), ""));
    let lines: Vec<&str> = text.out.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains("I01")).count(), 72, "{}", text.out);
    assert!(lines.len() < 4 * 72, "{} lines", lines.len());
    assert!(lines.last().unwrap().contains("2880 calls: 72 errors"), "{}", lines.last().unwrap());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_needs_the_whole_capture_is_refused() {
    let path = Path::new("testdata/captures/b10-ack-never-200-retransmitted.pcap");
    let whole: [&[&str]; 7] = [
        &["--format", "json"],
        &["--each"],
        &["--expect", "3.1"],
        &["--from", "bob"],
        &["--rule", "I01"],
        &["--report", "junit=/dev/null"],
        &["--baseline", "/dev/null"],
    ];
    for more in whole {
        let run = check(path, &[more, &[LITTLE]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{more:?}");
        assert!(run.err.contains(more[0]) && run.err.contains("--max-memory"), "{}", run.err);
    }
    let healthy = Path::new("testdata/captures/a11-session-two-proxies.pcap");
    let enough = check(healthy, &[LITTLE, "--calls", "9"]);
    assert_eq!(enough.code, Some(4), "{}", enough.err);
}

#[test]
fn a_capture_that_is_cut_or_empty_earns_the_same_exit_code() {
    let bytes = std::fs::read("testdata/captures/b10-ack-never-200-retransmitted.pcap").unwrap();
    for (name, bytes, more) in [
        ("pieces-cut.pcap", &bytes[..bytes.len() - 5], "--strict"),
        ("pieces-empty.pcap", &bytes[..24], "--fail-on=never"),
        ("pieces-empty.pcap", &bytes[..24], "--allow-empty"),
        ("pieces-none.pcap", b"no capture at all".as_slice(), "--strict"),
    ] {
        let path = scratch(name);
        std::fs::write(&path, bytes).unwrap();
        let (whole, pieces) = (check(&path, &[more]), check(&path, &[more, LITTLE]));
        assert_eq!((whole.code, whole.err), (pieces.code, pieces.err), "{name} {more}");
    }
}
