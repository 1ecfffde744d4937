//! docs/ci.md and examples/ci: the same texts, and commands that work.

use crate::support::root;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The content of the fenced blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (block, after) = after.split_once("\n```\n").unwrap();
        blocks.push(block.split_once('\n').unwrap().1.to_owned() + "\n");
        rest = after;
    }
    blocks
}

/// The shell command in a line of a script, a workflow, a Jenkinsfile, a hook or a test.
fn command(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(list) = line.strip_prefix("CHECK = ") {
        let words: Vec<String> = serde_json::from_str(list).unwrap();
        return Some(format!("for capture in captures/*.pcap; do {} $capture || exit; done", words.join(" ")));
    }
    if let Some(entry) = line.strip_prefix("entry: ") {
        // The hook gives the names of the files.
        return Some(format!("{entry} captures/*.pcap"));
    }
    let line = line.strip_prefix("- ").unwrap_or(line);
    let line = line.strip_prefix("run: ").unwrap_or(line);
    let line = line.strip_prefix("sh '").and_then(|line| line.strip_suffix('\'')).unwrap_or(line);
    line.starts_with("callflow ").then(|| line.to_owned())
}

/// A repository of a test, with the captures that the recipes speak of.
fn repository(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for below in [".git", "captures", "logs/run-1/register-new"] {
        std::fs::create_dir_all(folder.join(below)).unwrap();
    }
    let copy = |from: &str, to: &str| {
        std::fs::copy(root().join("testdata/captures").join(from), folder.join(to)).unwrap();
    };
    copy("a08-session-direct.pcap", "captures/call-direct.pcap");
    copy("a11-session-two-proxies.pcap", "captures/call-proxies.pcap");
    copy("a05-register-wrong-password.pcap", "captures/register-wrong-password.pcap");
    copy("a01-register-new-sipp.pcap", "logs/run-1/register-new/capture.pcap");
    // The one that SIPp would have made.
    copy("a08-session-direct.pcap", "captures/call-sipp.pcap");
    std::fs::copy(root().join("examples/ci/callflow.toml"), folder.join("callflow.toml")).unwrap();
    folder
}

#[test]
fn what_the_page_shows_is_what_stands_in_the_examples() {
    let shown = blocks(&read("docs/ci.md"));
    let files = std::fs::read_dir(root().join("examples/ci")).unwrap();
    let names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let file = read(&format!("examples/ci/{name}"));
        assert!(shown.contains(&file), "docs/ci.md does not show examples/ci/{name} as it is");
    }
}

#[test]
fn every_callflow_line_of_the_recipes_works() {
    let folder = repository("good");
    let program = Path::new(env!("CARGO_BIN_EXE_callflow")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", program.display());
    let page = blocks(&read("docs/ci.md"));
    let commands: Vec<String> = page.iter().flat_map(|block| block.lines()).filter_map(command).collect();
    assert!(commands.len() >= 12, "{commands:#?}");
    let mut wrong = Vec::new();
    for line in commands {
        // SIPp would have made ten calls; the capture here has fewer.
        let line = line.replace("--calls 10", "--calls 2");
        let mut shell = Command::new("sh");
        shell.env_clear().env("PATH", &path).env("HOME", &folder).current_dir(&folder).stdin(Stdio::null());
        let output = shell.args(["-c", &line]).output().unwrap();
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            wrong.push(format!("{line}: {:?}\n{told}", output.status.code()));
        }
        let reports = line.split("--report ").skip(1).filter_map(|report| report.split(['=', ' ']).nth(1));
        for file in reports.filter(|file| !folder.join(file).exists()) {
            wrong.push(format!("{line} writes no {file}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_recipes_fail_when_a_capture_is_not_as_expected() {
    let folder = repository("bad");
    let bad = root().join("testdata/captures/b10-ack-never-200-retransmitted.pcap");
    std::fs::copy(bad, folder.join("captures/call-new.pcap")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    let output = command.current_dir(&folder).args(["check", "--each", "--quiet", "captures"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("captures/call-new.pcap: call 1"), "{told}");
    assert!(!told.contains("call-direct"), "{told}");
}
