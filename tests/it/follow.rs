//! `--follow`: a capture that grows while it is read, and the signal that ends it.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const WHOLE: &str = "testdata/captures/a11-session-two-proxies.pcap";

fn callflow(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.args(args).env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

/// The program following a file, once it waits for signals.
fn follow(command: &str, file: &Path) -> Child {
    let file = file.to_str().unwrap();
    let mut command = callflow(&[command, "--follow", "--format", "json", file]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("following"), "{said}");
    child
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Writes a capture in pieces that end anywhere, some of them within a record.
fn append(path: PathBuf) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let whole = fs::read(WHOLE).unwrap();
        let mut file = File::options().append(true).open(path).unwrap();
        for piece in whole.chunks(whole.len() / 7) {
            file.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
    })
}

fn messages(report: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(report).unwrap()["sip"]["messages"].as_u64().unwrap()
}

#[test]
fn all_messages_of_a_growing_file_are_reported_when_the_signal_comes() {
    let all = callflow(&["stats", "--format", "json", WHOLE]).output().unwrap();
    let all = messages(&String::from_utf8(all.stdout).unwrap());
    assert!(all > 0);
    // timeout(1) sends SIGTERM twice in a row.
    let signals: [(&str, &[&str]); 3] = [("check", &["-INT"]), ("calls", &["-TERM", "-TERM"]), ("stats", &["-INT"])];
    for (command, signals) in signals {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("growing-{command}.pcap"));
        File::create(&path).unwrap();
        let mut child = follow(command, &path);
        append(path).join().unwrap();
        for signal in signals {
            send(signal, &child);
        }
        let mut report = String::new();
        child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), messages(&report)), (Some(0), all), "{command}");
    }
}

#[test]
fn what_cannot_be_followed_is_a_usage_error() {
    for (files, word) in [(&["-"][..], "standard input"), (&["testdata"], "folder"), (&[WHOLE, WHOLE], "one file")] {
        let output = callflow(&["check", "--follow"]).args(files).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--follow") && said.contains(word), "{said}");
        assert!(output.stdout.is_empty());
    }
}
