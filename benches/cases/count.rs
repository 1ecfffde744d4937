//! Counts instructions: runs itself under valgrind's callgrind, each case twice with different numbers of
//! repetitions, so that start and preparation fall out of the difference. The counts are the same on a busy
//! machine as on a quiet one.

use super::harness::Harness;
use super::record::{self, Counted};
use rayon::prelude::*;
use std::hint::black_box;
use std::process::{Command, ExitCode};

const FEW: u64 = 50;
const MANY: u64 = 550;
/// Start and preparation differ by some ten thousand instructions from run to run (threads that meet or do not): a case is
/// repeated until that is lost in it.
const ENOUGH: u64 = 10_000_000;
/// What a case costs hangs by up to two in a hundred on the seeds that hashes get at start: of so many starts, the middle one.
const STARTS: usize = 7;

/// What is to be done with the cases.
pub enum Count {
    /// Run each once: that they work.
    Try,
    /// Count the instructions of each.
    All(Vec<Counted>),
    /// The part that runs under valgrind: repeat one case.
    One { name: String, times: u64 },
}

impl Count {
    /// Reads the arguments: `cargo bench` gives `--bench`, this program gives `--one NAME TIMES` to itself.
    pub fn from_args() -> Self {
        let mut args = std::env::args().skip(1);
        match (args.next().as_deref(), args.next(), args.next().and_then(|times| times.parse().ok())) {
            (Some("--one"), Some(name), Some(times)) => Self::One { name, times },
            _ if has("--bench") => Self::All(Vec::new()),
            _ => Self::Try,
        }
    }

    /// Records what was counted, or compares it with what is recorded, if the arguments say so.
    pub fn end(self) -> ExitCode {
        match self {
            Self::All(counted) if has("--record") => record::write(&counted),
            Self::All(counted) if has("--check") => record::check(&counted),
            _ => ExitCode::SUCCESS,
        }
    }
}

fn has(option: &str) -> bool {
    std::env::args().any(|arg| arg == option)
}

impl Harness for Count {
    fn case<T>(&mut self, name: &str, mut routine: impl FnMut() -> T) {
        match self {
            Self::Try => drop(black_box(routine())),
            Self::All(counted) => {
                let instructions = count(name);
                println!("{instructions:>9} instructions  {name}");
                counted.push(Counted { name: name.to_owned(), instructions });
            }
            Self::One { name: wanted, times } if wanted == name => {
                (0..*times).for_each(|_| drop(black_box(routine())));
            }
            Self::One { .. } => {}
        }
    }
}

/// Instructions of a case.
fn count(name: &str) -> u64 {
    let few = collect(name, FEW);
    let of_one = |many: u64| collect(name, many).saturating_sub(few) / (many - FEW);
    let rough = of_one(MANY).max(1);
    let many = MANY.max(FEW + ENOUGH / rough);
    let mut counts: Vec<u64> = (0..STARTS).into_par_iter().map(|_| of_one(many)).collect();
    *counts.select_nth_unstable(STARTS / 2).1
}

/// Instructions of the whole program that repeats a case.
fn collect(name: &str, times: u64) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--one", name, &times.to_string()])
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .expect("valgrind, which counts: install it first");
    let told = String::from_utf8_lossy(&run.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("{told}"))
}
