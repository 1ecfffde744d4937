//! The program as scripts and people run it: exit codes, streams, formats.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HEALTHY: &str = "testdata/captures/a11-session-two-proxies.pcap";
const ACK_NEVER: &str = "testdata/captures/b10-ack-never-200-retransmitted.pcap";
const WRONG_PASSWORD: &str = "testdata/captures/a05-register-wrong-password.pcap";

/// What a run gave.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The program in an environment that says nothing about terminals or colours.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Run {
    let output = program().args(args).output().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of this test run.
fn scratch(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A pcap file without packets.
fn empty_capture(name: &str) -> PathBuf {
    let head = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    scratch(name, &head)
}

#[test]
fn a_healthy_capture_is_0_and_says_nothing_on_stderr() {
    let run = run(&["check", HEALTHY]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    assert!(run.out.contains("OK"), "{}", run.out);
}

#[test]
fn findings_are_1_and_go_to_stdout() {
    let found = run(&["check", ACK_NEVER]);
    assert_eq!((found.code, found.err.as_str()), (Some(1), ""), "{}", found.out);
    assert!(found.out.contains("I01"), "{}", found.out);
    assert_eq!(run(&["check", "--fail-on", "never", ACK_NEVER]).code, Some(0));
}

#[test]
fn what_cannot_be_meant_is_2() {
    for args in [
        &["check"][..],
        &["check", "--no-such-option", HEALTHY],
        &["check", "--rule", "no-such-rule", HEALTHY],
        &["check", "--kind", "no-such-kind", HEALTHY],
        &["check", "--expect", "9.9", HEALTHY],
        &["check", "--since", "yesterday", HEALTHY],
        &["check", "--participant", "nobody", HEALTHY],
        &["check", "--bpf", "no such filter (", HEALTHY],
        &["explain", "no-such-thing"],
        &["ladder", HEALTHY],
        &["show", "--call", "1", "--message", "99", HEALTHY],
        &["no-such-command"],
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.err);
        assert!(!run.err.is_empty() && run.out.is_empty(), "{args:?}: {}", run.out);
    }
}

#[test]
fn a_missing_file_is_3_and_the_others_are_still_reported() {
    let run = run(&["check", "no-such-file.pcap", ACK_NEVER]);
    assert_eq!(run.code, Some(3));
    assert!(run.err.starts_with("callflow: no-such-file.pcap: "), "{}", run.err);
    assert!(run.out.contains("I01"), "{}", run.out);
}

#[test]
fn what_is_no_capture_is_3() {
    let text = scratch("text.pcap", b"this is no capture at all, only words");
    let nothing = scratch("nothing.pcap", b"");
    for path in [text, nothing] {
        let run = run(&["check", path.to_str().unwrap()]);
        assert_eq!(run.code, Some(3), "{}", run.err);
        assert!(run.err.starts_with("callflow: "), "{}", run.err);
    }
}

#[test]
fn a_cut_last_record_is_3_only_with_strict() {
    let whole = std::fs::read(HEALTHY).unwrap();
    let cut = scratch("cut.pcap", &whole[..whole.len() - 10]);
    let cut = cut.to_str().unwrap();
    let plain = run(&["check", cut, "--fail-on", "never"]);
    assert_eq!(plain.code, Some(0), "{}{}", plain.out, plain.err);
    assert!(plain.out.contains("cut-last-record"), "{}", plain.out);
    assert_eq!(run(&["check", "--strict", cut, "--fail-on", "never"]).code, Some(3));
}

#[test]
fn nothing_to_check_is_4_unless_that_is_allowed() {
    let path = empty_capture("empty.pcap");
    let path = path.to_str().unwrap();
    assert_eq!(run(&["check", path]).code, Some(4));
    assert_eq!(run(&["check", "--allow-empty", path]).code, Some(0));
    assert_eq!(run(&["check", "--call", "99", HEALTHY]).code, Some(4));
    assert_eq!(run(&["check", "--calls", "3", HEALTHY]).code, Some(4));
    assert_eq!(run(&["check", "--calls", "2", HEALTHY]).code, Some(0));
}

#[test]
fn frames_that_could_not_be_read_are_told_where_they_may_hide_calls() {
    // The healthy capture with another link type, which nobody knows.
    let mut bytes = std::fs::read(HEALTHY).unwrap();
    bytes[20..24].copy_from_slice(&147u32.to_le_bytes());
    let path = scratch("unknown-link-type.pcap", &bytes);
    let path = path.to_str().unwrap();
    let told = run(&["check", path]);
    assert_eq!(told.code, Some(4));
    assert!(told.err.contains("could not be read, and calls in them are not in this report"), "{}", told.err);
    assert!(told.err.contains("unknown link type"), "{}", told.err);
    assert!(told.err.contains("first in frame 1"), "{}", told.err);
    let stats = run(&["stats", path]);
    assert!(stats.out.contains("first in frame 1"), "{}", stats.out);
}

#[test]
fn standard_input_folders_and_several_files_are_read() {
    let mut child = program()
        .args(["check", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(HEALTHY).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let piped: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(piped["summary"]["calls"], 2);

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folder");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(HEALTHY, folder.join("one.pcap")).unwrap();
    std::fs::copy(WRONG_PASSWORD, folder.join("two.pcap")).unwrap();
    let folder = folder.to_str().unwrap();
    let merged: serde_json::Value = serde_json::from_str(&run(&["check", folder, "--format", "json"]).out).unwrap();
    assert_eq!(merged["captures"].as_array().unwrap().len(), 2);
    assert_eq!(merged["summary"]["calls"], 4);
    let each = run(&["check", "--each", folder, "--format", "json"]);
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&each.out).into_iter().map(Result::unwrap).collect();
    assert_eq!(documents.iter().map(|d| d["summary"]["calls"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(2)]);
}

#[test]
fn a_closed_pipe_is_success() {
    for args in [&["check", ACK_NEVER][..], &["check", "--format", "json", HEALTHY], &["rules"], &["stats", HEALTHY]] {
        let mut child = program().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn the_output_goes_to_a_file_when_asked() {
    let path = scratch("report.json", b"old");
    let run = run(&["check", HEALTHY, "--format", "json", "-o", path.to_str().unwrap()]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(written["version"], 1);
}

#[test]
fn colours_are_written_only_when_asked_or_on_a_terminal() {
    assert!(!run(&["check", ACK_NEVER]).out.contains('\u{1b}'));
    assert!(run(&["check", ACK_NEVER, "--color", "always"]).out.contains('\u{1b}'));
}

#[test]
fn ascii_means_ascii() {
    for capture in [ACK_NEVER, WRONG_PASSWORD, HEALTHY] {
        for command in ["check", "calls", "show", "ladder"] {
            let run = run(&[command, "--call", "1", "--ascii", capture]);
            assert!(run.out.is_ascii() && !run.out.is_empty(), "{}", run.out);
        }
    }
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in ["40", "60", "80", "120"] {
        for capture in [ACK_NEVER, WRONG_PASSWORD, HEALTHY] {
            for line in
                run(&["check", capture, "--width", width]).out.lines().filter(|line| !line.contains("callflow "))
            {
                let wide = line.chars().count();
                assert!(wide <= width.parse().unwrap(), "{wide} > {width}: {line}");
            }
        }
    }
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The promised fields are there in their order; others may stand between them.
fn assert_holds(value: &serde_json::Value, promised: &[&str]) {
    let found: Vec<&str> = keys(value).into_iter().filter(|key| promised.contains(key)).collect();
    assert_eq!(found, promised);
}

#[test]
fn the_json_document_has_the_promised_fields_in_their_order() {
    let document: serde_json::Value =
        serde_json::from_str(&run(&["check", ACK_NEVER, "--format", "json"]).out).unwrap();
    assert_holds(&document, &["version", "tool", "captures", "sip", "anomalies", "calls", "findings", "summary"]);
    assert_holds(&document["tool"], &["name", "version"]);
    assert_holds(
        &document["captures"][0],
        &["path", "format", "packets", "bytes", "first", "last", "link_types", "complete"],
    );
    assert_holds(
        &document["sip"],
        &[
            "messages",
            "malformed",
            "retransmissions",
            "captured_twice",
            "transports",
            "requests",
            "responses",
            "call_ids",
            "transactions",
            "dialogs",
        ],
    );
    assert_holds(&document["sip"]["transports"], &["UDP", "TCP", "TLS", "WS", "WSS", "SCTP"]);
    let call = &document["calls"][0];
    assert_holds(
        call,
        &[
            "id",
            "kind",
            "call_ids",
            "from",
            "to",
            "start",
            "end",
            "outcome",
            "final_status",
            "timings",
            "participants",
            "messages",
            "reference",
            "findings",
        ],
    );
    assert_holds(&call["participants"][0], &["id", "label", "addresses", "role"]);
    assert_holds(
        &call["messages"][0],
        &[
            "n",
            "frames",
            "time",
            "from",
            "to",
            "transport",
            "kind",
            "method",
            "status",
            "reason",
            "cseq",
            "call_id",
            "copy",
            "step",
            "response_time",
        ],
    );
    assert_eq!((&call["messages"][3]["copy"], &call["messages"][3]["of"]), (&"retransmission".into(), &3.into()));
    assert_holds(&call["reference"], &["flow", "title", "cost", "complete", "missing", "unexpected"]);
    assert_holds(
        &document["findings"][0],
        &[
            "rule",
            "name",
            "severity",
            "verdict",
            "cause",
            "call",
            "call_id",
            "frames",
            "messages",
            "missing",
            "summary",
            "detail",
            "basis",
            "fingerprint",
        ],
    );
    assert_holds(&document["summary"], &["calls", "error", "warning", "info", "open"]);
    let stats: serde_json::Value = serde_json::from_str(&run(&["stats", ACK_NEVER, "--format", "json"]).out).unwrap();
    assert_holds(&stats, &["captures", "sip", "anomalies"]);
    assert!(keys(&stats).contains(&"metrics"));
    assert_eq!(stats["sip"], document["sip"]);
}

#[test]
fn ndjson_has_one_typed_object_a_line() {
    let run = run(&["check", ACK_NEVER, "--format", "ndjson"]);
    let types: Vec<String> = run
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types.first().map(String::as_str), Some("capture"));
    assert_eq!(types.get(1).map(String::as_str), Some("call"));
    assert_eq!(types.last().map(String::as_str), Some("summary"));
    assert!(types[2..types.len() - 1].iter().all(|kind| kind == "finding"), "{types:?}");
}

#[test]
fn digest_answers_are_masked_in_messages() {
    let run = run(&["show", WRONG_PASSWORD, "--call", "1"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("response=\"***\""), "{}", run.out);
}

#[test]
fn selections_narrow_what_is_shown() {
    let calls = |args: &[&str]| {
        let all = [&["check", HEALTHY, "--format", "json", "--allow-empty"], args].concat();
        let document: serde_json::Value = serde_json::from_str(&run(&all).out).unwrap();
        document["calls"].as_array().unwrap().iter().map(|call| call["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(calls(&["--call", "2"]), [2]);
    assert_eq!(calls(&["--call-id", "2-31379@10.20.1.11"]), [2]);
    assert_eq!(calls(&["--from", "ALICE", "--to", "bob@"]), [1, 2]);
    assert_eq!(calls(&["--from", "bob"]), [0; 0]);
    assert_eq!(calls(&["--participant", "10.20.1.102"]), [1, 2]);
    assert_eq!(calls(&["--participant", "10.20.1.102:5061"]), [0; 0]);
    assert_eq!(calls(&["--method", "bye", "--status", "4xx"]), [1, 2]);
    assert_eq!(calls(&["--status", "486"]), [0; 0]);
    assert_eq!(calls(&["--kind", "call", "--outcome", "answered"]), [1, 2]);
    assert_eq!(calls(&["--since", "+0.95"]), [2]);
    assert_eq!(calls(&["--until", "2026-11-22T08:46:17.5Z"]), [1]);
    assert_eq!(calls(&["--bpf", "udp port 1"]), [0; 0]);
}

#[test]
fn the_catalogues_know_what_explain_explains() {
    let rules: serde_json::Value = serde_json::from_str(&run(&["rules", "--format", "json"]).out).unwrap();
    let flows: serde_json::Value = serde_json::from_str(&run(&["flows", "--format", "json"]).out).unwrap();
    let names = |list: &serde_json::Value, field: &str| {
        list.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let topics = [names(&rules, "code"), names(&rules, "name"), names(&flows, "flow")].concat();
    assert!(topics.len() > 40, "{topics:?}");
    for topic in topics {
        let page = run(&["explain", &topic]);
        assert_eq!(page.code, Some(0), "{topic}: {}", page.err);
        assert!(page.out.len() > 40, "{topic}: {}", page.out);
    }
}

#[test]
fn help_and_version_are_answers() {
    for args in [&["--help"][..], &["--version"], &["check", "--help"]] {
        let run = run(args);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        assert!(run.out.contains("callflow"));
    }
}

#[test]
fn a_learned_flow_is_what_its_calls_follow() {
    let captures = [
        "a01-register-new-sipp",
        "a04-register-cancel",
        "a08-session-direct",
        "a10-session-one-proxy",
        "a11-session-two-proxies",
        "a15-redirect-then-proxy",
        "a18-no-answer-cancel",
        "a19-busy",
        "c02-tcp-proxy-to-udp",
        "c19-ipv6-fragments",
    ];
    for name in captures {
        let capture = format!("testdata/captures/{name}.pcap");
        let flow = scratch(&format!("{name}.flow"), b"");
        let flow = flow.to_str().unwrap();
        let learned = run(&["learn", "--call", "1", "--name", "house/mine", "-o", flow, &capture]);
        assert_eq!((learned.code, learned.out.as_str()), (Some(0), ""), "{name}: {}", learned.err);
        let expect = ["check", "--call", "1", "--flow-file", flow, "--expect", "house/mine", "--calls", "1", &capture];
        let checked = run(&expect);
        assert_eq!(checked.code, Some(0), "{name}: {}{}", checked.out, checked.err);
        assert!(checked.out.contains("house/mine"), "{name}: {}", checked.out);
    }
}

#[test]
fn what_varies_between_good_calls_is_optional_in_what_is_learned_of_them() {
    let captures = ["testdata/captures/a08-session-direct.pcap", "testdata/captures/b64-early-media-181-182-183.pcap"];
    let flow = scratch("several.flow", b"");
    let flow = flow.to_str().unwrap();
    let learned = run(&[&["learn", "--outcome", "answered", "-o", flow][..], &captures].concat());
    assert_eq!(learned.code, Some(0), "{}", learned.err);
    let expect = ["check", "--outcome", "answered", "--flow-file", flow, "--expect", "learned"];
    let checked = run(&[&expect[..], &captures].concat());
    assert_eq!(checked.code, Some(0), "{}{}", checked.out, checked.err);
    // A call of another shape is none of them.
    let other = run(&[&expect[..], &[HEALTHY]].concat());
    assert_eq!(other.code, Some(1), "{}", other.err);
}

#[test]
fn calls_that_are_not_as_expected_are_a_problem_in_the_report_too() {
    let direct = "testdata/captures/a08-session-direct.pcap";
    let told = run(&["check", "--expect", "bcp75/3.9", direct]);
    assert_eq!(told.code, Some(1));
    assert!(told.out.contains("PROBLEM  4 calls, none as expected"), "{}", told.out);
    assert!(told.out.contains("not as expected: call 1 follows bcp75/3.1, expected bcp75/3.9"), "{}", told.out);
    assert!(!told.out.contains("No fault found"), "{}", told.out);
    let fulfilled = run(&["check", "--expect", "bcp75/3.1", direct]);
    assert!(fulfilled.out.contains("OK  4 calls, no fault found"), "{}", fulfilled.out);
}

#[test]
fn the_same_rule_with_another_answer_is_not_the_same_problem() {
    let captures =
        ["testdata/captures/b28-not-found-404-and-503.pcap", "testdata/captures/b63-odd-requests-to-baresip.pcap"];
    let told = run(&[&["check"][..], &captures].concat());
    assert_eq!(told.out.matches("ERROR E01").count(), 2, "a 503 and a 501: {}", told.out);
}

#[test]
fn a_file_that_is_not_there_is_told_once() {
    let told = run(&["check", "testdata/captures/nobody.pcap"]);
    assert_eq!((told.code, told.err.lines().count()), (Some(3), 1), "{}", told.err);
}

#[test]
fn an_error_in_a_flow_file_points_at_line_and_column() {
    let flow = scratch("bad.flow", b"flow my: Mine\nkind call\nroles a, b\n\nladder {\n  F1 a -> c: INVITE\n}\n");
    let run = run(&["check", "--flow-file", flow.to_str().unwrap(), HEALTHY]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("bad.flow:6:11: expected a role, found 'c'"), "{}", run.err);
}

#[test]
fn a_good_and_a_refused_registration_differ_in_the_last_answer() {
    let good = "testdata/captures/a01-register-new-sipp.pcap";
    let run = run(&["diff", "--call", "1", "--with", "1", good, WRONG_PASSWORD]);
    assert_eq!((run.code, run.err.as_str()), (Some(1), ""), "{}", run.out);
    assert!(run.out.contains("200 OK (REGISTER) in A, 401 Unauthorized in B"), "{}", run.out);
    assert!(run.out.contains("3 messages the same in both, 1 message different"), "{}", run.out);
}

#[test]
fn a_missing_ack_is_only_in_the_good_call() {
    let run = run(&["diff", "--call", "1", "testdata/captures/a08-session-direct.pcap", ACK_NEVER]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let ack = run.out.lines().find(|line| line.contains("ACK")).unwrap();
    assert!(ack.contains("only in A"), "{}", run.out);
}

#[test]
fn equal_calls_do_not_differ() {
    let run = run(&["diff", HEALTHY, HEALTHY, "--call", "1", "--with", "2"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    let json = self::run(&["diff", "--format", "json", HEALTHY, HEALTHY, "--call", "1", "--with", "2"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json[0]["same"], true);
    assert_eq!(json[0]["rows"].as_array().unwrap().len(), 23);
    assert_eq!(self::run(&["diff", HEALTHY]).code, Some(2));
}
