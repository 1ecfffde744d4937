//! JSON and NDJSON, version 1: views of their own, so that the types within may change (docs/json.md).

use super::json_call::{
    ForwardedView, LegView, ParticipantView, RelatedView, forwarded_views, leg_views, participant_views, related_views,
};
use super::json_capture::{CaptureView, InputView, capture_view, input_view};
use super::json_layout::{Document, Line};
use super::json_metrics::{MetricsView, TimingsView, millis};
use super::{Counts, Format, Report, Style, time, words};
use crate::analysis::{Analysis, CallView, Metrics, Timings, response_time};
use crate::base::Idx;
use crate::call::Participant;
use crate::capture::CaptureInfo;
use crate::flow::{FlowMatch, Missing, Special};
use crate::rules::{Finding, MissingMessage};
use crate::session::{CopyKind, MessageNo};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Serializer as Writer;
use std::borrow::Cow;
use std::collections::HashSet;
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
        write_document(&Whole { report }, out)
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
        for capture in report.captures {
            write_line("capture", &capture_view(capture), out)?;
        }
        for view in report.calls() {
            write_line("call", &call_view(report, view), out)?;
        }
        for at in report.shown.iter().chain(&report.ignored) {
            write_line("finding", &finding_view(report, *at), out)?;
        }
        let input = input_view(report.analysis);
        write_line("summary", &Summary { version: VERSION, tool: TOOL, counts: counts_view(report), input }, out)
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
    let mut told = call_view(report, report.analysis.view(call));
    (told.id, told.findings) = (number(call) + 1, findings);
    told.related.iter_mut().for_each(|related| related.call = number(related.call - 1) + 1);
    write_line("call", &told, out)
}

/// The lines of findings, by position, as [`write_call`] numbers calls.
pub fn write_findings(
    report: &Report<'_>,
    findings: &[usize],
    number: impl Fn(usize) -> usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    findings.iter().try_for_each(|at| {
        let mut told = finding_view(report, *at);
        told.call = told.call.map(|call| number(call - 1) + 1);
        write_line("finding", &told, out)
    })
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
    value.serialize(&mut Writer::with_formatter(&mut *out, Document::default()))?;
    out.write_all(b"\n")
}

fn write_line<T: Serialize>(kind: &'static str, body: &T, out: &mut dyn Write) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Typed<'a, T> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        body: &'a T,
    }
    Typed { kind, body }.serialize(&mut Writer::with_formatter(&mut *out, Line))?;
    out.write_all(b"\n")
}

#[derive(serde::Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

const TOOL: Tool = Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

/// The document. Calls are made one at a time while writing: there may be a million messages.
struct Whole<'a> {
    report: &'a Report<'a>,
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.report;
        let captures: Vec<_> = report.captures.iter().map(capture_view).collect();
        let InputView { sip, coverage, encapsulations, comments, anomalies } = input_view(report.analysis);
        let mut map = serializer.serialize_map(Some(11))?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("tool", &TOOL)?;
        map.serialize_entry("captures", &captures)?;
        map.serialize_entry("sip", &sip)?;
        map.serialize_entry("coverage", &coverage)?;
        map.serialize_entry("encapsulations", &encapsulations)?;
        map.serialize_entry("comments", &comments)?;
        map.serialize_entry("anomalies", &anomalies)?;
        map.serialize_entry("calls", &Calls(report))?;
        map.serialize_entry("findings", &Findings(report))?;
        map.serialize_entry("summary", &counts_view(report))?;
        map.end()
    }
}

struct Calls<'a>(&'a Report<'a>);

impl Serialize for Calls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.calls().map(|view| call_view(self.0, view)))
    }
}

struct Findings<'a>(&'a Report<'a>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // In this order: the findings of a call are told by their positions here.
        let all = self.0.shown.iter().chain(&self.0.ignored);
        serializer.collect_seq(all.map(|at| finding_view(self.0, *at)))
    }
}

#[derive(serde::Serialize)]
struct CallJson<'a> {
    id: usize,
    kind: &'static str,
    call_ids: Vec<Cow<'a, str>>,
    from: String,
    to: String,
    start: String,
    end: String,
    outcome: &'static str,
    final_status: Option<u16>,
    timings: TimingsView,
    participants: Vec<ParticipantView>,
    messages: Vec<MessageView<'a>>,
    reference: Option<ReferenceView<'a>>,
    findings: &'a [usize],
    legs: Vec<LegView<'a>>,
    related: Vec<RelatedView>,
    forwarded: Vec<ForwardedView>,
}

fn call_view<'a>(report: &'a Report<'a>, view: CallView<'a>) -> CallJson<'a> {
    let call = view.call;
    let flow = report.flow(view.number);
    CallJson {
        id: view.number + 1,
        kind: call.kind.name(),
        call_ids: call_ids(view),
        from: words::from_uri(view),
        to: words::to_uri(view),
        start: time::rfc3339(call.start),
        end: time::rfc3339(call.end),
        outcome: call.outcome.name(),
        final_status: call.final_status,
        timings: TimingsView::of(Timings::of(view)),
        participants: participant_views(view),
        messages: call.numbers().map(|no| message_view(view, flow, no)).collect(),
        reference: flow.map(reference_view),
        findings: report.positions_of(view.number),
        legs: leg_views(view),
        related: related_views(view),
        forwarded: forwarded_views(view),
    }
}

/// Call-IDs in order of appearance.
fn call_ids(view: CallView<'_>) -> Vec<Cow<'_, str>> {
    let mut met = HashSet::new();
    view.messages()
        .map(|(_, seen)| seen.message.call_id())
        .filter(|id| met.insert(*id))
        .map(String::from_utf8_lossy)
        .collect()
}

pub(super) fn participant_id(who: Idx<Participant>) -> String {
    format!("p{}", who.at() + 1)
}

#[derive(serde::Serialize)]
struct MessageView<'a> {
    n: usize,
    frames: &'a [u32],
    time: String,
    from: String,
    to: String,
    transport: &'static str,
    kind: &'static str,
    method: Cow<'a, str>,
    status: Option<u16>,
    reason: Option<Cow<'a, str>>,
    cseq: Option<String>,
    call_id: Cow<'a, str>,
    copy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<usize>,
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inside: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<&'a str>,
    response_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen_at: Option<&'a str>,
}

fn message_view<'a>(view: CallView<'a>, flow: Option<&'a FlowMatch>, no: MessageNo) -> MessageView<'a> {
    let (seen, place) = (view.seen(no), view.call.message(no));
    let message = &seen.message;
    MessageView {
        n: number(no),
        frames: seen.frames.as_slice(),
        time: time::rfc3339(seen.time),
        from: participant_id(place.from),
        to: participant_id(place.to),
        transport: seen.connection.transport.name(),
        kind: if message.is_request() { "request" } else { "response" },
        method: message.method_name(),
        status: message.status(),
        reason: (!message.is_request()).then(|| String::from_utf8_lossy(message.reason())),
        cseq: message.cseq_number().map(|number| format!("{number} {}", message.method_name())),
        call_id: String::from_utf8_lossy(message.call_id()),
        copy: place.copy.map(|copy| match copy.kind {
            CopyKind::Retransmission => "retransmission",
            CopyKind::CapturedTwice => "captured-twice",
        }),
        of: place.copy.map(|copy| number(copy.of)),
        step: flow.and_then(|flow| flow.steps.get(no.at()).copied().flatten()),
        inside: view.analysis.wrapping(seen),
        comments: view.comments(no).collect(),
        response_time: response_time(view, no).map(millis),
        unseen_at: words::unseen_at(view, no),
    }
}

/// Messages are numbered from 1 in reports.
pub(super) fn number(no: MessageNo) -> usize {
    no.at() + 1
}

#[derive(serde::Serialize)]
struct ReferenceView<'a> {
    flow: Option<&'static str>,
    title: Option<&'static str>,
    cost: u32,
    complete: bool,
    missing: Vec<MissingView<'a>>,
    unexpected: Vec<usize>,
    special: Option<SpecialView<'a>>,
}

/// The more special flow of a call.
#[derive(serde::Serialize)]
struct SpecialView<'a> {
    flow: &'static str,
    title: &'static str,
    section: Option<&'static str>,
    cost: u32,
    complete: bool,
    missing: Vec<MissingView<'a>>,
    unexpected: Vec<usize>,
}

#[derive(serde::Serialize)]
struct MissingView<'a> {
    step: Option<&'a str>,
    what: &'a str,
    from: String,
    to: String,
    after: Option<usize>,
    cause: &'static str,
    evidence: &'a str,
}

fn reference_view(flow: &FlowMatch) -> ReferenceView<'_> {
    ReferenceView {
        flow: flow.flow,
        title: flow.flow.map(|_| flow.title),
        cost: flow.cost,
        complete: flow.complete,
        missing: flow.missing.iter().map(missing_view).collect(),
        unexpected: flow.unexpected.iter().map(|no| number(*no)).collect(),
        special: flow.special.as_ref().map(special_view),
    }
}

fn special_view(special: &Special) -> SpecialView<'_> {
    SpecialView {
        flow: special.name,
        title: special.title,
        section: (!special.section.is_empty()).then_some(special.section),
        cost: special.cost,
        complete: special.complete,
        missing: special.missing.iter().map(missing_view).collect(),
        unexpected: special.unexpected.iter().map(|no| number(*no)).collect(),
    }
}

fn missing_view(missing: &Missing) -> MissingView<'_> {
    MissingView {
        step: (!missing.step.is_empty()).then_some(missing.step.as_str()),
        what: &missing.what,
        from: participant_id(missing.from),
        to: participant_id(missing.to),
        after: missing.after.map(number),
        cause: missing.cause.name(),
        evidence: &missing.evidence,
    }
}

#[derive(serde::Serialize)]
struct FindingView<'a> {
    rule: &'static str,
    name: &'static str,
    severity: &'static str,
    verdict: &'static str,
    cause: Option<&'static str>,
    call: Option<usize>,
    call_id: Option<Cow<'a, str>>,
    frames: &'a [u32],
    messages: Vec<usize>,
    missing: Option<OwedView<'a>>,
    summary: &'a str,
    detail: &'a str,
    basis: &'static [&'static str],
    fingerprint: String,
    known: bool,
    ignored: Option<&'a str>,
}

/// The message that a finding misses.
#[derive(serde::Serialize)]
struct OwedView<'a> {
    what: &'a str,
    from: String,
    to: String,
    after: usize,
}

fn owed_view(missing: &MissingMessage) -> OwedView<'_> {
    OwedView {
        what: &missing.what,
        from: participant_id(missing.from),
        to: participant_id(missing.to),
        after: number(missing.after),
    }
}

fn finding_view<'a>(report: &'a Report<'a>, position: usize) -> FindingView<'a> {
    let finding: &Finding = &report.all_findings[position];
    let view = finding.call.map(|call| report.analysis.view(call));
    let main = finding.messages.first().copied().or(finding.missing.as_ref().map(|missing| missing.after));
    FindingView {
        rule: finding.rule.code,
        name: finding.rule.name,
        severity: finding.severity.name(),
        verdict: finding.verdict.name(),
        cause: finding.cause.map(crate::flow::Cause::name),
        call: finding.call.map(|call| call + 1),
        call_id: view.zip(main).map(|(view, no)| String::from_utf8_lossy(view.sip(no).call_id())),
        frames: &finding.frames,
        messages: finding.messages.iter().map(|no| number(*no)).collect(),
        missing: finding.missing.as_ref().map(owed_view),
        summary: &finding.summary,
        detail: &finding.detail,
        basis: finding.rule.basis,
        fingerprint: report.prints[position].to_string(),
        known: report.reasons[position].is_some(),
        ignored: finding.ignored.as_deref(),
    }
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
