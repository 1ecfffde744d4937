//! From a `.trace` text to packets and through the whole pipeline.

pub mod legs;
#[cfg(unix)]
pub mod listener;
#[cfg(unix)]
pub mod net;
pub mod packets;
pub mod printed;
pub mod trace;

use callflow::analysis::{Analysis, Analyzer, Options};
use callflow::base::Batch;
use callflow::capture::{self, More, Source};
use callflow::flow::FlowMatch;
use callflow::rules::{self, Finding};
use callflow::story::Story;
use std::path::{Path, PathBuf};

/// What the program makes of some packets.
pub struct Told {
    pub analysis: Analysis,
    pub flows: Vec<FlowMatch>,
    pub findings: Vec<Finding>,
}

/// Whether the tests are run by root.
#[cfg(unix)]
pub fn is_root() -> bool {
    let id = std::process::Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

/// Has `live` stay who the tests are run by: `nobody` may not write into their folders.
#[cfg(unix)]
pub fn stay_who_we_are() -> &'static [&'static str] {
    if is_root() { &["--user", "root"] } else { &[] }
}

/// Runs the whole pipeline on a `.trace` text.
pub fn tell(text: &str) -> Told {
    let events = trace::parse(text).unwrap_or_else(|why| panic!("{why}"));
    tell_batch(&packets::batch(&events))
}

/// Runs the whole pipeline on packets.
pub fn tell_batch(batch: &Batch) -> Told {
    tell_batch_with(batch, Options::default())
}

/// The same with what a user may tell.
pub fn tell_batch_with(batch: &Batch, options: Options) -> Told {
    let mut analyzer = Analyzer::new(options);
    analyzer.push(batch);
    judge(analyzer)
}

/// Ends the analysis and judges it.
pub fn judge(analyzer: Analyzer) -> Told {
    let analysis = analyzer.finish();
    let flows = callflow::flow::match_all(&analysis);
    let findings = rules::check(&analysis, &flows);
    let Story { analysis, flows, findings } = callflow::story::tell(analysis, flows, findings);
    Told { analysis, flows, findings }
}

/// Runs the whole pipeline on a capture file, with the key log beside it if there is one.
pub fn tell_file(path: &Path) -> Told {
    let key_log = std::fs::read(path.with_extension("keylog")).unwrap_or_default();
    tell_file_with(path, Options { key_log, ..Options::default() })
}

/// Runs the whole pipeline on a capture file with what a user may tell.
pub fn tell_file_with(path: &Path, options: Options) -> Told {
    let opened = capture::open(&[path.to_path_buf()]);
    assert!(opened.errors.is_empty(), "{:?}", opened.errors);
    tell_source(opened.source, options)
}

/// Runs the whole pipeline on the bytes of a capture file; nothing when they are none.
pub fn tell_bytes(bytes: Vec<u8>) -> Option<Told> {
    tell_bytes_with(bytes, Options::default())
}

/// The same with what a user may tell.
pub fn tell_bytes_with(bytes: Vec<u8>, options: Options) -> Option<Told> {
    let reader = Box::new(std::io::Cursor::new(bytes));
    let file = capture::CaptureFile::read(reader, Path::new("bytes")).ok()?;
    Some(tell_source(Box::new(file), options))
}

fn tell_source(mut source: Box<dyn Source>, options: Options) -> Told {
    let mut analyzer = Analyzer::new(options);
    let mut batch = Batch::default();
    // A read error ends one input; what was read before it counts.
    while source.next_batch(&mut batch).is_ok_and(|more| more == More::More) {
        analyzer.add_keys(&source.key_log());
        analyzer.push(&batch);
    }
    judge(analyzer)
}

/// The labelled captures of testdata.
pub fn captures() -> Vec<PathBuf> {
    let mut found = files("testdata/captures", "pcap");
    found.extend(files("testdata/captures", "pcapng"));
    found.extend(files("testdata/captures", "gz"));
    found.extend(files("testdata/legs", "pcap"));
    found
}

/// The folder of the crate.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` (relative to the crate) with this extension, sorted.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
}
