//! Tables for databases and spreadsheets through the program: `export --parquet` and `--format csv`.

use crate::support::root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const HEALTHY: &str = "testdata/captures/a08-session-direct.pcap";
const WRONG_PASSWORD: &str = "testdata/captures/a05-register-wrong-password.pcap";

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(folder).stdin(Stdio::null()).args(args);
    command.output().unwrap()
}

/// An empty folder with two captures in it.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tables").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("captures")).unwrap();
    for capture in [HEALTHY, WRONG_PASSWORD] {
        let name = Path::new(capture).file_name().unwrap();
        std::fs::copy(root().join(capture), folder.join("captures").join(name)).unwrap();
    }
    folder
}

/// What stands below a folder, by path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

/// The JSON of a run, one value a line.
fn told(folder: &Path) -> Vec<serde_json::Value> {
    let output = run(folder, &["check", "--each", "--format", "ndjson", "captures"]);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many messages the calls have.
fn messages(told: &[serde_json::Value]) -> usize {
    let calls = told.iter().filter(|line| line["type"] == "call");
    calls.filter_map(|line| line["messages"].as_array()).map(Vec::len).sum()
}

#[test]
fn csv_of_several_captures_has_one_line_of_names_and_a_line_for_each_thing() {
    let folder = scratch("csv");
    let told = told(&folder);
    let of = |wanted: &str| told.iter().filter(|line| line["type"] == wanted).count();
    let messages = messages(&told);
    for (command, first, rows, code) in [
        ("calls", "capture,call,kind,", of("call"), 0),
        ("show", "capture,call,message,", messages, 0),
        ("check", "capture,rule,name,", of("finding"), 1),
    ] {
        let output = run(&folder, &[command, "--each", "--format", "csv", "captures"]);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(first) && text.matches(first).count() == 1, "{command}: {text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert!(read.len() == rows && rows > 1, "{command}: {} rows, {rows} told", read.len());
        let names: Vec<&str> = read.iter().map(|row| &row[0]).collect();
        assert!(names[0] == "a05-register-wrong-password.pcap" && names.is_sorted(), "{names:?}");
    }
}

#[cfg(feature = "parquet")]
mod lake {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    /// Rows of a table.
    fn rows(files: &BTreeMap<String, Vec<u8>>, table: &str) -> usize {
        let of_table = files.iter().filter(|(name, _)| name.starts_with(&format!("{table}/day=20")));
        let count = |bytes: &Vec<u8>| {
            let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
            usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap()
        };
        of_table.map(|(_, bytes)| count(bytes)).sum()
    }

    #[test]
    fn tables_hold_what_the_report_does_whatever_the_threads_and_the_folder() {
        let export = |name: &str, threads: &str| {
            let folder = scratch(name);
            let output = run(&folder, &["export", "--each", "--parquet", "lake", "--threads", threads, "captures"]);
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            (files(&folder.join("lake")), told(&folder))
        };
        let (lake, told) = export("one", "1");
        let of = |wanted: &str| told.iter().filter(|line| line["type"] == wanted).count();
        let messages = messages(&told);
        assert_eq!(
            [rows(&lake, "calls"), rows(&lake, "messages"), rows(&lake, "findings")],
            [of("call"), messages, of("finding")]
        );
        assert!(lake == export("another", "4").0);
    }

    #[test]
    fn a_second_run_replaces_all_that_the_first_wrote_of_the_same_capture_and_nothing_else() {
        let folder = scratch("again");
        let export = |args: &[&str]| run(&folder, &[&["export", "--parquet", "lake"], args].concat()).status.code();
        assert_eq!(export(&["--each", "captures"]), Some(0));
        let first = files(&folder.join("lake"));
        assert_eq!(export(&["--each", "captures"]), Some(0));
        assert!(files(&folder.join("lake")) == first);
        let refused = "captures/a05-register-wrong-password.pcap";
        assert_eq!(export(&["--call", "1", refused]), Some(0));
        let fewer = files(&folder.join("lake"));
        assert_eq!(rows(&fewer, "calls"), rows(&first, "calls") - 1);
        assert_eq!(export(&["--kind", "publish", refused]), Some(4), "no call fits");
        let rest = files(&folder.join("lake"));
        assert!(!rest.is_empty() && rest.iter().all(|(name, bytes)| name.contains("/a08-") && first[name] == *bytes));
    }

    #[test]
    fn findings_of_a_capture_without_calls_are_written() {
        let folder = scratch("secured");
        let capture = root().join("testdata/captures/c11-tls-openssl-client-no-keys.pcap");
        let output = run(&folder, &["export", "--parquet", "lake", capture.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(4), "no calls");
        assert_eq!(rows(&files(&folder.join("lake")), "findings"), 1);
    }

    #[test]
    fn unread_input_is_3_and_a_folder_that_cannot_be_made_is_said() {
        let folder = scratch("codes");
        let some = run(&folder, &["export", "--each", "--parquet", "lake", "captures", "no-such-file.pcap"]);
        assert_eq!(some.status.code(), Some(3));
        assert!(rows(&files(&folder.join("lake")), "calls") > 0, "what could be read is written");
        let file = "captures/a08-session-direct.pcap";
        let refused = run(&folder, &["export", "--parquet", file, file]);
        assert_eq!(refused.status.code(), Some(3));
        assert!(String::from_utf8(refused.stderr).unwrap().contains("cannot write the output: captures/a08"));
    }
}
