//! The story of a call, as a newcomer reads it: golden texts, reviewable in a diff.

use crate::support::root;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

/// Of each capture the story of its calls, without what stands beside it.
const TOLD: [&str; 20] = [
    "a01-register-new-sipp",
    "a05-register-wrong-password",
    "a08-session-direct",
    "a11-session-two-proxies",
    "a14-proxy-failover-at-proxy",
    "a15-redirect-then-proxy",
    "a17-hold-resume-baresip",
    "a18-no-answer-cancel",
    "a19-busy",
    "a22-no-response-408-icmp",
    "b09-ack-lost-before-mirror",
    "b10-ack-never-200-retransmitted",
    "b15-various-missing-from-capture",
    "b21-options-unanswered",
    "b22-invite-timer-b",
    "b24-glare-491",
    "b33-fork-one-answers",
    "b37-prack-100rel",
    "b42-subscribe-notify",
    "b64-early-media-181-182-183",
];

#[test]
fn calls_are_told_as_a_newcomer_reads_them() {
    let mut all = String::new();
    for name in TOLD {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        command.env_clear().current_dir(root()).stdin(Stdio::null());
        let output =
            command.args(["explain", &format!("testdata/captures/{name}.pcap"), "--call", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}");
        let text = String::from_utf8(output.stdout).unwrap();
        writeln!(all, "== {name}\n{text}").unwrap();
    }
    insta::assert_snapshot!(all);
}
