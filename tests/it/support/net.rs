//! Networks of a test's own: nothing in them reaches anybody.

use super::root;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Whether `ip` did it.
pub fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|output| output.status.success())
}

/// A network of its own, with a loopback interface and no way out.
pub struct Net(pub String);

impl Net {
    /// Numbers tell the networks of one test run apart. `None` where there is no right to make one.
    pub fn new(number: u32) -> Option<Self> {
        let name = format!("callflow{}-{number}", std::process::id());
        if !ip(&["netns", "add", &name]) {
            return None;
        }
        let net = Self(name);
        ip(&["-n", &net.0, "link", "set", "lo", "up"]).then_some(net)
    }

    /// One with two interfaces, `one` and `two`, at both ends of a cable.
    pub fn with_cable(number: u32) -> Option<Self> {
        Self::new(number).filter(Self::lay_cable)
    }

    pub fn lay_cable(&self) -> bool {
        self.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])
            && self.ip(&["link", "set", "one", "up"])
            && self.ip(&["link", "set", "two", "up"])
            && self.await_carrier("two")
    }

    /// Waits until packets can pass.
    pub fn await_carrier(&self, interface: &str) -> bool {
        until(|| {
            let shown = Command::new("ip").args(["-n", &self.0, "link", "show", interface]).output();
            shown.is_ok_and(|shown| String::from_utf8_lossy(&shown.stdout).contains("LOWER_UP"))
        })
    }

    pub fn ip(&self, args: &[&str]) -> bool {
        ip(&[&["-n", &self.0], args].concat())
    }

    /// Runs a command within.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(args).current_dir(root());
        command
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Waits for something, two minutes at most. Whether it came.
#[allow(clippy::disallowed_methods)] // a program that hangs must not hang the tests
pub fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > Duration::from_secs(120) {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
