//! A `callflow live` that runs beside the test.

use super::net::Net;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_callflow");

/// A program that runs, and what it says.
pub struct Listener {
    pub child: Child,
    pub said: Receiver<String>,
    pub all: Vec<String>,
}

/// What a program came to.
pub struct Ended {
    pub code: Option<i32>,
    pub said: Vec<String>,
    pub told: Vec<Value>,
}

impl Listener {
    pub fn start(mut command: Command) -> Self {
        Self::of(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Of one that runs already, with pipes.
    pub fn of(mut child: Child) -> Self {
        let (sender, said) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().for_each(|line| drop(sender.send(line.unwrap()))));
        Self { child, said, all: Vec::new() }
    }

    /// Listens within a network, until it is told to end; for two minutes at most.
    pub fn within(net: &Net, args: &[&str]) -> Self {
        let all = [&["live", "--format", "ndjson", "--allow-empty", "--duration", "120"], args].concat();
        let mut listener = Self::start(net.command(PROGRAM, &all));
        listener.await_words("listening on ");
        listener
    }

    /// Waits until a line with these words was said.
    pub fn await_words(&mut self, words: &str) -> String {
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| {
                let _ = self.child.kill();
                panic!("'{words}' was not said, but {:#?}", self.all)
            });
            self.all.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// What the kernel says of each of its threads.
    pub fn threads(&self) -> Vec<String> {
        let folder = format!("/proc/{}/task", self.child.id());
        let threads = fs::read_dir(folder).unwrap().flatten();
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).collect()
    }

    /// Tells it to end.
    pub fn end(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    pub fn signal(&self, name: &str) {
        let name = format!("-{name}");
        assert!(Command::new("kill").args([&name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits until it says that so many packets came, or more.
    pub fn await_packets(&mut self, count: u64) {
        loop {
            self.signal("USR1");
            let line = self.await_words(" dropped");
            let words = line.strip_prefix("callflow: ").and_then(|line| line.split(' ').next());
            if words.and_then(|count| count.parse().ok()).is_some_and(|packets: u64| packets >= count) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code();
        self.all.extend(self.said.iter());
        let told = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Ended { code, said: self.all, told }
    }
}

impl Ended {
    pub fn summary(&self) -> &Value {
        self.told.iter().find(|line| line["type"] == "summary").unwrap()
    }

    pub fn messages(&self) -> u64 {
        self.summary()["sip"]["messages"].as_u64().unwrap()
    }

    pub fn has_anomaly(&self, kind: &str, words: &str) -> bool {
        let anomalies = self.summary()["anomalies"].as_array().unwrap();
        anomalies.iter().any(|one| one["kind"] == kind && one["text"].as_str().unwrap().contains(words))
    }
}
