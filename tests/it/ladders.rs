//! `callflow ladder`: every drawing through the program, what docs/ladders.md says of them, and files and folders.

use crate::support::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const TWO_PROXIES: &str = "testdata/captures/a11-session-two-proxies.pcap";
const MISSING_ACK: &str = "testdata/captures/b10-ack-never-200-retransmitted.pcap";
const FORKED: &str = "testdata/captures/b33-fork-one-answers.pcap";
const TWO_CALLS: &str = "testdata/captures/a05-register-wrong-password.pcap";
/// Each picture of docs/ and the capture that it is of.
const PICTURES: [(&str, &str); 4] =
    [("two-proxies", TWO_PROXIES), ("missing-ack", MISSING_ACK), ("forked", FORKED), ("wrong-password", TWO_CALLS)];

fn ladder(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(root()).stdin(Stdio::null()).arg("ladder").args(args);
    command.output().unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = ladder(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An empty place for files.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ladders").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Remakes the pictures of docs/ with `CALLFLOW_PICTURES=1`, as other snapshots are.
#[test]
fn the_pictures_in_docs_are_what_is_drawn() {
    for (name, capture) in PICTURES {
        let path = root().join(format!("docs/pictures/{name}.svg"));
        let drawn = printed(&["--format", "svg", "--call", "1", capture]);
        if std::env::var_os("CALLFLOW_PICTURES").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == drawn, "docs/pictures/{name}.svg is not what is drawn; CALLFLOW_PICTURES=1 remakes it");
    }
}

/// Fields by path, and whether their type in docs/ladders.md ends in `?`.
fn documented() -> BTreeMap<String, bool> {
    let page = std::fs::read_to_string(root().join("docs/ladders.md")).unwrap();
    let table = page.split("## The fields of the JSON").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let field = |row: &str| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        (name, cells.next().unwrap().ends_with('?'))
    };
    rows.map(field).collect()
}

fn walk(path: &str, value: &Value, met: &mut BTreeMap<String, bool>) {
    if !path.is_empty() && !path.ends_with("[]") {
        *met.entry(path.to_owned()).or_default() |= value.is_null();
    }
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                walk(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, met);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| walk(&format!("{path}[]"), one, met)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_json_is_documented_and_every_documented_field_occurs() {
    let told = documented();
    let mut met = BTreeMap::new();
    let legs = "testdata/legs/b2bua.pcap";
    for capture in [TWO_PROXIES, MISSING_ACK, FORKED, TWO_CALLS, legs] {
        for line in printed(&["--all", "--format", "json", capture]).lines() {
            walk("", &serde_json::from_str(line).unwrap(), &mut met);
        }
    }
    // Only the ladders within `check` leave rows out.
    let known: BTreeSet<&str> = told.keys().map(String::as_str).filter(|name| *name != "rows[].messages").collect();
    assert_eq!(met.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let wrongly_null: Vec<_> = met.iter().filter(|(name, null)| **null && !told[*name]).collect();
    assert!(wrongly_null.is_empty(), "{wrongly_null:?}");
}

#[test]
fn docs_list_every_drawing() {
    let page = std::fs::read_to_string(root().join("docs/ladders.md")).unwrap();
    let table = page.split("## How to draw").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: Vec<&str> = rows.filter(|name| *name != "--format").collect();
    let help = String::from_utf8(ladder(&["--help"]).stdout).unwrap();
    let real: Vec<&str> = help
        .split("--format")
        .nth(1)
        .unwrap()
        .split("\n\n  -")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- ")?.split(':').next())
        .collect();
    assert_eq!(told, real);
}

#[test]
fn a_folder_gets_a_file_for_each_call_and_an_index_that_leads_to_them() {
    for (format, index) in [("svg", "index.html"), ("markdown", "index.md"), ("png", "index.html")] {
        let folder = scratch(format);
        printed(&["--all", "--format", format, "-o", folder.to_str().unwrap(), TWO_CALLS]);
        let names = files(&folder);
        assert_eq!((names.len(), names.last().unwrap().as_str()), (3, index));
        let list = std::fs::read_to_string(folder.join(index)).unwrap();
        for name in &names[..2] {
            assert!(name.starts_with("call-000") && list.contains(name.as_str()), "{name}: {list}");
        }
        assert!(list.contains("A04 credentials-refused"));
    }
}

#[test]
fn a_name_without_ending_is_a_folder_for_all_calls_and_a_file_for_one() {
    let folder = scratch("names");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    printed(&["--all", "-o", &path("all"), TWO_CALLS]);
    printed(&["--call", "1", "-o", &path("one"), TWO_CALLS]);
    printed(&["--all", "--format", "html", "-o", &path("all.html"), TWO_CALLS]);
    assert!(folder.join("all").is_dir() && folder.join("one").is_file());
    let page = std::fs::read_to_string(folder.join("all.html")).unwrap();
    assert_eq!(page.matches("<section ").count(), 2);
    roxmltree::Document::parse(page.strip_prefix("<!DOCTYPE html>\n").unwrap()).unwrap();
}

#[test]
fn several_calls_in_one_picture_are_refused_with_the_way_out() {
    let output = ladder(&["--all", "--format", "svg", TWO_CALLS]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("-o DIR/"), "{told}");
}

#[test]
fn the_same_capture_gives_the_same_bytes_whatever_the_threads_and_the_folder() {
    let folder = scratch("same");
    for format in ["svg", "html", "mermaid", "plantuml", "markdown", "json", "png"] {
        let draw = |name: &str, threads: &str| {
            let path = folder.join(format!("{name}.{format}"));
            printed(&[
                "--call",
                "1",
                "--format",
                format,
                "--threads",
                threads,
                "-o",
                path.to_str().unwrap(),
                MISSING_ACK,
            ]);
            std::fs::read(path).unwrap()
        };
        assert!(draw("one", "1") == draw("four", "4"), "{format}");
    }
}
