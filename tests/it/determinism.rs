//! The same packets give the same answer, however they are cut into batches and on however many threads.

use crate::support::{self, Told};
use callflow::analysis::{Analyzer, Options};
use callflow::base::{Batch, PacketMeta};
use callflow::capture::{self, More};
use callflow::report::draw::{DRAWINGS, Sheet};
use callflow::report::{FORMATS, Report, Selection, Style};
use std::fmt::Write;
use std::path::Path;

/// All batches of a file, as one.
fn whole(path: &Path) -> Batch {
    let mut source = capture::open(&[path.to_path_buf()]).source;
    let mut all = Batch::default();
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() == More::More {
        let base = all.buffers.len() as u32;
        all.buffers.append(&mut batch.buffers);
        all.packets.extend(batch.packets.iter().map(|p| PacketMeta { buffer: p.buffer + base, ..*p }));
    }
    all
}

fn run(batch: &Batch, size: usize, threads: usize) -> Told {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut analyzer = Analyzer::new(Options::default());
        for packets in batch.packets.chunks(size) {
            analyzer.push(&Batch { buffers: batch.buffers.clone(), packets: packets.to_vec() });
        }
        support::judge(analyzer)
    })
}

/// Everything that a report could show.
fn everything(told: &Told) -> String {
    let mut text = String::new();
    writeln!(text, "{:?}\n{:?}", told.analysis.stats, told.analysis.anomalies).unwrap();
    for (call, flow) in told.analysis.calls.iter().zip(&told.flows) {
        writeln!(text, "{call:?}\n{flow:?}").unwrap();
    }
    for finding in &told.findings {
        writeln!(text, "{finding:?}").unwrap();
    }
    let report = Report::new(&[], &told.analysis, &told.flows, &told.findings, Selection::default());
    for format in FORMATS {
        let mut out = Vec::new();
        format.write(&report, Style::default(), &mut out).unwrap();
        text.push_str(std::str::from_utf8(&out).unwrap());
    }
    for view in report.calls() {
        let sheet = Sheet::new(&report, view, Style::default());
        // A PNG is its SVG, painted: tests/it/ladders.rs paints one.
        for drawing in DRAWINGS.iter().filter(|drawing| drawing.name() != "png") {
            let mut out = Vec::new();
            for page in 0..drawing.pages(&sheet.ladder) {
                drawing.draw(&sheet, page, &mut out).unwrap();
            }
            text.push_str(std::str::from_utf8(&out).unwrap());
        }
    }
    text
}

#[test]
fn batch_size_and_threads_do_not_show() {
    for path in support::captures() {
        let batch = whole(&path);
        let expected = everything(&run(&batch, usize::MAX, 1));
        for (size, threads) in [(1, 1), (7, 4), (512, 2), (usize::MAX, 4)] {
            let got = everything(&run(&batch, size, threads));
            assert!(expected == got, "{} with batches of {size} on {threads} threads", path.display());
        }
    }
}
