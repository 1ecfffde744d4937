//! The shape that docs/ARCHITECTURE.md promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name, besides itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("capture", &["base"]),
    ("net", &["base"]),
    ("sip", &["base"]),
    ("session", &["base", "sip"]),
    ("call", &["base", "sip", "session"]),
    ("analysis", &["base", "net", "sip", "session", "call"]),
    ("flow", &["base", "sip", "session", "call", "analysis"]),
    ("rules", &["base", "sip", "session", "call", "analysis", "flow"]),
    ("story", &["base", "call", "analysis", "flow", "rules"]),
    ("export", &["base", "capture", "net", "sip", "session", "call", "analysis"]),
    ("report", &["base", "capture", "sip", "session", "call", "analysis", "flow", "rules"]),
    ("cli", &["base", "capture", "sip", "session", "call", "analysis", "flow", "rules", "story", "export", "report"]),
    // What the fuzz targets call: it drives all of them, and none of them names it.
    ("fuzzing", &["base", "capture", "net", "sip", "analysis", "flow", "rules", "story", "export", "report"]),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A source file without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn every_module_is_in_the_table() {
    let dirs: BTreeSet<String> = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let table: BTreeSet<String> = MAY_NAME.iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(dirs, table);
}

#[test]
fn modules_name_only_modules_to_their_left() {
    let mut wrong = Vec::new();
    for (module, allowed) in MAY_NAME {
        for path in sources(&src().join(module)) {
            let code = code(&path);
            for (other, _) in MAY_NAME {
                let named = code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{other};"));
                if named && other != module && !allowed.contains(other) {
                    wrong.push(format!("{} names {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_package_is_named_only_where_it_belongs() {
    let owners: &[(&str, &[&str])] = &[
        ("pcap_parser::", &["capture"]),
        ("pcap::", &["capture"]),
        ("memmap2::", &["capture"]),
        ("etherparse::", &["net"]),
        ("nom::", &["sip", "flow"]),
        ("petgraph::", &["call"]),
        ("comfy_table::", &["report"]),
        ("serde_json::", &["report", "cli"]),
        ("clap::", &["cli"]),
        ("clap_complete::", &["cli"]),
        ("clap_mangen::", &["cli"]),
        ("toml::", &["cli"]),
        ("rustls::", &["capture", "export"]),
        ("mio::", &["capture"]),
        ("socket2::", &["capture"]),
        ("globset::", &["cli"]),
    ];
    let mut wrong = Vec::new();
    for (package, modules) in owners {
        for (module, _) in MAY_NAME.iter().filter(|(module, _)| !modules.contains(module)) {
            for path in sources(&src().join(module)) {
                let code = code(&path);
                let named = code
                    .match_indices(package)
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                if named {
                    wrong.push(format!("{} names {package}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_in_one_argued_place() {
    let exempt: Vec<String> = sources(&src())
        .into_iter()
        .filter(|path| code(path).contains("unsafe_code") || code(path).contains("unsafe {"))
        .map(|path| path.strip_prefix(src()).unwrap().display().to_string())
        .collect();
    assert_eq!(exempt, ["capture/map.rs"]);
}

#[test]
fn only_the_edge_prints_or_reads_a_clock() {
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let module = path.strip_prefix(src()).unwrap().components().next().unwrap().as_os_str().to_owned();
        if module == "cli" || module == "main.rs" {
            continue;
        }
        let code = code(&path);
        for word in ["println!", "eprintln!", "Instant::now", "SystemTime::now", "std::process::exit"] {
            if code.contains(word) {
                wrong.push(format!("{} has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_small() {
    let long: Vec<String> = sources(&src())
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            (lines, path)
        })
        .filter(|(lines, path)| *lines > 600 && !path.ends_with("tests.rs"))
        .map(|(lines, path)| format!("{lines} {}", path.display()))
        .collect();
    assert!(long.is_empty(), "split by responsibility: {long:#?}");
}
