//! What the cases cost when it was last written down, in `benches/instructions.txt`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// How far a count may be from what is recorded.
const PERCENT: u64 = 2;
const AGAIN: &str = "cargo bench --profile release --bench instructions -- --record";

/// One case.
pub struct Counted {
    pub name: String,
    /// Each time it is done.
    pub instructions: u64,
}

/// Writes down what the cases cost now.
pub fn write(counted: &[Counted]) -> ExitCode {
    let mut text = format!("# Instructions of each case, by: {AGAIN}\n# {}\n", built_by());
    for Counted { name, instructions } in counted {
        let _ = writeln!(text, "{instructions:>9}  {name}");
    }
    std::fs::write(FILE, text).expect("benches/instructions.txt can be written");
    ExitCode::SUCCESS
}

/// Compares what the cases cost now with what is written down. Other compilers and processors count differently.
pub fn check(counted: &[Counted]) -> ExitCode {
    let text = std::fs::read_to_string(FILE).expect("benches/instructions.txt");
    let (built_by, recorded) = (built_by(), read(&text));
    if !text.lines().any(|line| line.strip_prefix("# ") == Some(&built_by)) {
        println!("skipped: the counts of benches/instructions.txt are not of {built_by}, and cannot be compared");
        return ExitCode::SUCCESS;
    }
    let strays = strays(counted, recorded);
    for stray in &strays {
        println!("{stray}");
    }
    if strays.is_empty() {
        println!("{} cases, all within {PERCENT} % of benches/instructions.txt", counted.len());
        return ExitCode::SUCCESS;
    }
    println!("more than {PERCENT} % from benches/instructions.txt; if that is meant to be: {AGAIN}");
    ExitCode::FAILURE
}

fn strays(counted: &[Counted], mut recorded: BTreeMap<&str, u64>) -> Vec<String> {
    let stray = |Counted { name, instructions: now }: &Counted| match recorded.remove(name.as_str()) {
        None => Some(format!("{name}: not recorded")),
        Some(before) if now.abs_diff(before) * 100 > before * PERCENT => {
            let percent = (*now as f64 / before as f64 - 1.0) * 100.0;
            Some(format!("{name}: {before} instructions recorded, now {now}: {percent:+.1} %"))
        }
        Some(_) => None,
    };
    let mut strays: Vec<String> = counted.iter().filter_map(stray).collect();
    strays.extend(recorded.keys().map(|name| format!("{name}: recorded, and no case")));
    strays
}

fn read(text: &str) -> BTreeMap<&str, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.trim().split_once("  "))
        .filter_map(|(count, name)| Some((name, count.parse().ok()?)))
        .collect()
}

/// What the counts depend on besides the program.
fn built_by() -> String {
    let rustc = Command::new("rustc").arg("--version").output().expect("rustc, which built this");
    let rustc = String::from_utf8_lossy(&rustc.stdout);
    let lanes = if has_avx2() { "with AVX2" } else { "without AVX2" };
    format!("{}, {} {lanes}", rustc.trim(), std::env::consts::ARCH)
}

/// Searches in memory, by this and by the C library, take 32 bytes at once then.
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
