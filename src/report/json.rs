//! JSON and NDJSON, version 1: views of their own, so that the types within may change (docs/json.md).

use super::json_call::{self, Told};
use super::json_capture::{CaptureView, InputView, capture_view, input_view};
use super::json_finding::write_finding;
use super::json_layout::Writer;
use super::json_metrics::MetricsView;
use super::{Counts, Format, Report, Style, time};
use crate::analysis::{Analysis, Metrics};
use crate::base::Timestamp;
use crate::capture::CaptureInfo;
use crate::session::MessageNo;
use serde::ser::{Serialize, Serializer};
use std::io::{self, Write};

/// Raised only when a field changes its meaning or goes; new fields do not raise it.
const VERSION: u32 = 1;

/// The whole report as one document.
#[derive(Debug)]
pub struct Json;

/// The report as one object a line: captures, calls, findings, summary.
#[derive(Debug)]
pub struct Ndjson;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn help(&self) -> &'static str {
        "one JSON document (docs/json.md)"
    }

    fn write(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        write_whole(report, Writer::document(out))
    }
}

impl Format for Ndjson {
    fn name(&self) -> &'static str {
        "ndjson"
    }

    fn help(&self) -> &'static str {
        "one JSON object a line: captures, calls, findings, summary"
    }

    fn write(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = Writer::lines(out);
        report.captures.iter().try_for_each(|capture| lines.line("capture", &capture_view(capture)))?;
        lines.items(
            &report.calls,
            |call| weight(report, *call),
            |_, call, lines| {
                lines.next_kind("call");
                tell_call(report, *call, lines)?;
                lines.end_line()
            },
        )?;
        lines.items(&told(report), |_| FINDING, |_, at, lines| tell_finding(report, *at, &|call| call, lines))?;
        let (counts, input) = (counts_view(report), input_view(report.analysis));
        lines.line("summary", &Summary { version: VERSION, tool: TOOL, counts, input })?;
        lines.finish()
    }
}

/// The line of a call that ended while people watch. `number` gives calls their numbers over the whole watch, from 0;
/// `findings` are those of its findings that were told.
pub fn write_call(
    report: &Report<'_>,
    call: usize,
    number: impl Fn(usize) -> usize,
    findings: &[usize],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut lines = Writer::lines(out);
    lines.next_kind("call");
    json_call::write_call(report, call, Told { number: &number, findings }, &mut lines)?;
    lines.end_line()?;
    lines.finish()
}

/// The lines of findings, by position, as [`write_call`] numbers calls.
pub fn write_findings(
    report: &Report<'_>,
    findings: &[usize],
    number: impl Fn(usize) -> usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut lines = Writer::lines(out);
    findings.iter().try_for_each(|at| tell_finding(report, *at, &number, &mut lines))?;
    lines.finish()
}

fn tell_finding(
    report: &Report<'_>,
    at: usize,
    number: &dyn Fn(usize) -> usize,
    lines: &mut Writer<'_>,
) -> io::Result<()> {
    lines.next_kind("finding");
    write_finding(report, at, number, lines);
    lines.end_line()
}

/// The lines that end a watch: what was listened to, and the counts of all of it.
pub fn write_end(
    captures: &[CaptureInfo],
    analysis: &Analysis,
    calls: usize,
    counts: Counts,
    ignored: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    for capture in captures {
        write_line("capture", &capture_view(capture), out)?;
    }
    let Counts { error, warning, info, open } = counts;
    let counts = CountsView { calls, error, warning, info, open, known: 0, ignored };
    write_line("summary", &Summary { version: VERSION, tool: TOOL, counts, input: input_view(analysis) }, out)
}

/// What does not depend on calls, and the metrics: `callflow stats --format json`.
pub(super) fn write_stats(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct View<'a> {
        captures: Vec<CaptureView<'a>>,
        #[serde(flatten)]
        input: InputView<'a>,
        metrics: MetricsView,
    }
    let captures = report.captures.iter().map(capture_view).collect();
    let metrics = MetricsView::of(&Metrics::of(report.analysis));
    write_document(&View { captures, input: input_view(report.analysis), metrics }, out)
}

/// Any list of rows of a catalogue, laid out like the other documents.
pub fn write_document<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut document = Writer::document(out);
    document.value(value)?;
    document.end_line()?;
    document.finish()
}

fn write_line<T: Serialize>(kind: &'static str, body: &T, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Writer::lines(out);
    lines.line(kind, body)?;
    lines.finish()
}

#[derive(serde::Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

const TOOL: Tool = Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

/// The document. Calls are made while writing, some at a time: there may be a million messages.
fn write_whole(report: &Report<'_>, mut document: Writer<'_>) -> io::Result<()> {
    let captures: Vec<_> = report.captures.iter().map(capture_view).collect();
    let InputView { sip, coverage, encapsulations, comments, anomalies } = input_view(report.analysis);
    document.begin_object();
    document.field(true, "version", &VERSION)?;
    document.field(false, "tool", &TOOL)?;
    document.field(false, "captures", &captures)?;
    document.field(false, "sip", &sip)?;
    document.field(false, "coverage", &coverage)?;
    document.field(false, "encapsulations", &encapsulations)?;
    document.field(false, "comments", &comments)?;
    document.field(false, "anomalies", &anomalies)?;
    document.list("calls", &report.calls, |call| weight(report, *call), |call, part| tell_call(report, *call, part))?;
    document.list(
        "findings",
        &told(report),
        |_| FINDING,
        |at, part| {
            write_finding(report, *at, &|call| call, part);
            Ok(())
        },
    )?;
    document.field(false, "summary", &counts_view(report))?;
    document.end(b'}');
    document.end_line()?;
    document.finish()
}

/// Positions of the findings. In this order: the findings of a call are told by their positions here.
fn told(report: &Report<'_>) -> Vec<usize> {
    report.shown.iter().chain(&report.ignored).copied().collect()
}

/// A finding is as long as so many messages.
const FINDING: usize = 3;

/// How much there is to write of a call, in messages; what stands around them is about as long as one.
fn weight(report: &Report<'_>, call: usize) -> usize {
    report.analysis.calls[call].messages.len() + 1
}

fn tell_call(report: &Report<'_>, call: usize, out: &mut Writer<'_>) -> io::Result<()> {
    let findings = report.positions_of(call);
    json_call::write_call(report, call, Told { number: &|call| call, findings }, out)
}

/// A time as [`time::rfc3339`] tells it.
pub(super) struct Moment(pub(super) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(time::rfc3339(self.0).as_str())
    }
}

/// Messages are numbered from 1 in reports.
pub(super) fn number(no: MessageNo) -> usize {
    no.at() + 1
}

#[derive(serde::Serialize)]
struct CountsView {
    calls: usize,
    error: usize,
    warning: usize,
    info: usize,
    open: usize,
    known: usize,
    ignored: usize,
}

fn counts_view(report: &Report<'_>) -> CountsView {
    let counts = report.counts();
    CountsView {
        calls: report.call_count(),
        error: counts.error,
        warning: counts.warning,
        info: counts.info,
        open: counts.open,
        known: report.known().count(),
        ignored: report.ignored().count(),
    }
}

/// The last line of NDJSON; it also holds what the document has at its top.
#[derive(serde::Serialize)]
struct Summary<'a> {
    version: u32,
    tool: Tool,
    #[serde(flatten)]
    counts: CountsView,
    #[serde(flatten)]
    input: InputView<'a>,
}
