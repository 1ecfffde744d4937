//! Calls, messages and findings as tables of typed columns: what CSV and Parquet write (docs/scale.md).
//!
//! A column is one line below. Names are those of the JSON report where that has the same, but for words
//! that SQL keeps for itself.

use super::{Report, words};
use crate::analysis::{CallView, Timings, response_time};
use crate::base::Timestamp;
use crate::flow::FlowMatch;
use crate::rules::{Finding, Severity};
use crate::session::{CopyKind, MessageNo, Seen};
use crate::sip::{HeaderName, Message};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

/// What the rows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// One row for each call.
    Calls,
    /// One row for each message of each call.
    Messages,
    /// One row for each finding.
    Findings,
}

/// What a column holds; every column may lack a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Text.
    Text,
    /// A count, a number or a code.
    Int,
    /// Milliseconds.
    Real,
    /// Yes or no.
    Bool,
    /// A moment, in nanoseconds since 1970 in UTC.
    Time,
}

/// One value of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// Text; bytes of a message that are no UTF-8 became U+FFFD.
    Text(Cow<'a, str>),
    /// A number.
    Int(i64),
    /// Milliseconds.
    Real(f64),
    /// Yes or no.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
    /// Nothing.
    Null,
}

/// Called for each row with the time that decides its day and its values, in the order of the columns.
pub type Visit<'v> = dyn FnMut(Timestamp, &[Value<'_>]) -> io::Result<()> + 'v;

struct Column<R> {
    name: &'static str,
    of: Type,
    value: for<'r> fn(&'r R) -> Value<'r>,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Calls, Self::Messages, Self::Findings];

    /// Name in plural, as files and folders are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Messages => "messages",
            Self::Findings => "findings",
        }
    }

    /// Names and types of the columns.
    pub fn columns(self) -> Vec<(&'static str, Type)> {
        fn head<R>(columns: &[Column<R>]) -> Vec<(&'static str, Type)> {
            columns.iter().map(|column| (column.name, column.of)).collect()
        }
        match self {
            Self::Calls => head(&call_columns()),
            Self::Messages => head(&message_columns()),
            Self::Findings => head(&finding_columns()),
        }
    }

    /// Visits the rows of what the report selects, in its order.
    ///
    /// # Errors
    /// Whatever `visit` returns; it is not called again.
    pub fn each(self, report: &Report<'_>, visit: &mut Visit<'_>) -> io::Result<()> {
        let capture = capture_names(report);
        match self {
            Self::Calls => {
                let columns = call_columns();
                report.calls().try_for_each(|view| {
                    let row = CallRow { report, view, capture: &capture, timings: Timings::of(view) };
                    tell(&columns, &row, view.call.start, visit)
                })
            }
            Self::Messages => {
                let columns = message_columns();
                report.calls().try_for_each(|view| {
                    let flow = report.flow(view.number);
                    view.messages().try_for_each(|(no, seen)| {
                        tell(&columns, &MessageRow { view, no, seen, flow, capture: &capture }, seen.time, visit)
                    })
                })
            }
            Self::Findings => {
                let columns = finding_columns();
                let first = report.captures.iter().filter_map(|capture| capture.first).min();
                report.shown.iter().chain(&report.ignored).try_for_each(|at| {
                    let finding: &Finding = &report.all_findings[*at];
                    let view = finding.call.map(|call| report.analysis.view(call));
                    let day = view.map(|view| view.call.start).or(first).unwrap_or(Timestamp::from_nanos(0));
                    let (print, known) = (report.prints[*at].to_string(), report.reasons[*at].is_some());
                    tell(&columns, &FindingRow { finding, view, print, known, capture: &capture }, day, visit)
                })
            }
        }
    }
}

fn tell<R>(columns: &[Column<R>], row: &R, day: Timestamp, visit: &mut Visit<'_>) -> io::Result<()> {
    let values: Vec<Value<'_>> = columns.iter().map(|column| (column.value)(row)).collect();
    visit(day, &values)
}

/// Names of the files, without their folders: tables of many captures are read as one.
fn capture_names(report: &Report<'_>) -> String {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    joined(report.captures.iter().map(|capture| name(&capture.path)))
}

/// Lists in one column: with blanks between.
fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

fn bytes(value: &[u8]) -> Value<'_> {
    if value.is_empty() { Value::Null } else { text(String::from_utf8_lossy(value)) }
}

fn maybe_text<'a, T: Into<Cow<'a, str>>>(value: Option<T>) -> Value<'a> {
    value.map_or(Value::Null, text)
}

fn int(value: usize) -> Value<'static> {
    i64::try_from(value).map_or(Value::Null, Value::Int)
}

fn maybe_int(value: Option<impl Into<i64>>) -> Value<'static> {
    value.map_or(Value::Null, |value| Value::Int(value.into()))
}

fn millis(duration: Option<Duration>) -> Value<'static> {
    duration.map_or(Value::Null, |duration| Value::Real(super::json_metrics::millis(duration)))
}

struct CallRow<'a> {
    report: &'a Report<'a>,
    view: CallView<'a>,
    capture: &'a str,
    timings: Timings,
}

impl CallRow<'_> {
    fn flow(&self) -> Option<&FlowMatch> {
        self.report.flow(self.view.number).filter(|flow| flow.flow.is_some())
    }

    fn proved(&self, severity: Severity) -> Value<'static> {
        let counts = super::Counts::of(self.report.findings_of(self.view.number));
        int(match severity {
            Severity::Error => counts.error,
            Severity::Warning => counts.warning,
            Severity::Info => counts.info,
        })
    }

    fn addresses(&self) -> String {
        joined(self.view.call.participants.iter().filter_map(|participant| participant.addresses.first()))
    }

    fn call_ids(&self) -> String {
        let mut ids: Vec<&[u8]> = Vec::new();
        let mut met = BTreeSet::new();
        for (_, seen) in self.view.messages() {
            if met.insert(seen.message.call_id()) {
                ids.push(seen.message.call_id());
            }
        }
        joined(ids.into_iter().map(String::from_utf8_lossy))
    }

    fn rules(&self) -> String {
        let codes: BTreeSet<&str> = self.report.findings_of(self.view.number).map(|f| f.rule.code).collect();
        joined(codes)
    }
}

fn call_columns<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column { name: "capture", of: Type::Text, value: |r| text(r.capture) },
        Column { name: "call", of: Type::Int, value: |r| int(r.view.number + 1) },
        Column { name: "kind", of: Type::Text, value: |r| text(r.view.call.kind.name()) },
        Column { name: "outcome", of: Type::Text, value: |r| text(r.view.call.outcome.name()) },
        Column { name: "final_status", of: Type::Int, value: |r| maybe_int(r.view.call.final_status) },
        Column { name: "from_uri", of: Type::Text, value: |r| text(words::from_uri(r.view)) },
        Column { name: "to_uri", of: Type::Text, value: |r| text(words::to_uri(r.view)) },
        Column { name: "start_time", of: Type::Time, value: |r| Value::Time(r.view.call.start) },
        Column { name: "end_time", of: Type::Time, value: |r| Value::Time(r.view.call.end) },
        Column {
            name: "duration_ms",
            of: Type::Real,
            value: |r| millis(Some(r.view.call.end.since(r.view.call.start))),
        },
        Column { name: "messages", of: Type::Int, value: |r| int(r.view.call.messages.len()) },
        Column { name: "call_ids", of: Type::Text, value: |r| text(r.call_ids()) },
        Column { name: "participants", of: Type::Text, value: |r| text(r.addresses()) },
        Column { name: "flow", of: Type::Text, value: |r| maybe_text(r.flow().and_then(|flow| flow.flow)) },
        Column {
            name: "special_flow",
            of: Type::Text,
            value: |r| maybe_text(r.report.flow(r.view.number).and_then(|flow| Some(flow.special.as_ref()?.name))),
        },
        Column { name: "flow_cost", of: Type::Int, value: |r| maybe_int(r.flow().map(|flow| flow.cost)) },
        Column {
            name: "flow_complete",
            of: Type::Bool,
            value: |r| r.flow().map_or(Value::Null, |flow| Value::Bool(flow.complete)),
        },
        Column { name: "missing", of: Type::Int, value: |r| int(r.flow().map_or(0, |flow| flow.missing.len())) },
        Column { name: "unexpected", of: Type::Int, value: |r| int(r.flow().map_or(0, |flow| flow.unexpected.len())) },
        Column { name: "errors", of: Type::Int, value: |r| r.proved(Severity::Error) },
        Column { name: "warnings", of: Type::Int, value: |r| r.proved(Severity::Warning) },
        Column { name: "notes", of: Type::Int, value: |r| r.proved(Severity::Info) },
        Column { name: "rules", of: Type::Text, value: |r| text(r.rules()) },
        Column { name: "challenge_ms", of: Type::Real, value: |r| millis(r.timings.challenge) },
        Column { name: "post_dial_ms", of: Type::Real, value: |r| millis(r.timings.post_dial) },
        Column { name: "ringing_ms", of: Type::Real, value: |r| millis(r.timings.ringing) },
        Column { name: "set_up_ms", of: Type::Real, value: |r| millis(r.timings.set_up) },
        Column { name: "talk_ms", of: Type::Real, value: |r| millis(r.timings.talk) },
    ]
}

struct MessageRow<'a> {
    view: CallView<'a>,
    no: MessageNo,
    seen: &'a Seen,
    flow: Option<&'a FlowMatch>,
    capture: &'a str,
}

impl MessageRow<'_> {
    fn sip(&self) -> &Message {
        &self.seen.message
    }

    fn copy(&self) -> Option<&'static str> {
        self.view.call.message(self.no).copy.map(|copy| match copy.kind {
            CopyKind::Retransmission => "retransmission",
            CopyKind::CapturedTwice => "captured-twice",
        })
    }

    fn user_agent(&self) -> Value<'_> {
        let header = if self.sip().is_request() { HeaderName::UserAgent } else { HeaderName::Server };
        let told = self.sip().header(header).or_else(|| self.sip().header(HeaderName::UserAgent));
        bytes(told.unwrap_or_default())
    }
}

fn message_columns<'a>() -> Vec<Column<MessageRow<'a>>> {
    vec![
        Column { name: "capture", of: Type::Text, value: |r| text(r.capture) },
        Column { name: "call", of: Type::Int, value: |r| int(r.view.number + 1) },
        Column { name: "message", of: Type::Int, value: |r| int(r.no.at() + 1) },
        Column { name: "time", of: Type::Time, value: |r| Value::Time(r.seen.time) },
        Column { name: "frame", of: Type::Int, value: |r| Value::Int(r.view.frame(r.no).into()) },
        Column { name: "frames", of: Type::Text, value: |r| text(joined(r.seen.frames.as_slice())) },
        Column { name: "source", of: Type::Text, value: |r| text(r.seen.connection.src.to_string()) },
        Column { name: "destination", of: Type::Text, value: |r| text(r.seen.connection.dst.to_string()) },
        Column { name: "transport", of: Type::Text, value: |r| text(r.seen.connection.transport.name()) },
        Column {
            name: "kind",
            of: Type::Text,
            value: |r| text(if r.sip().is_request() { "request" } else { "response" }),
        },
        Column { name: "method", of: Type::Text, value: |r| text(r.sip().method_name()) },
        Column { name: "status", of: Type::Int, value: |r| maybe_int(r.sip().status()) },
        Column {
            name: "reason",
            of: Type::Text,
            value: |r| if r.sip().is_request() { Value::Null } else { bytes(r.sip().reason()) },
        },
        Column { name: "cseq", of: Type::Int, value: |r| maybe_int(r.sip().cseq_number()) },
        Column { name: "call_id", of: Type::Text, value: |r| bytes(r.sip().call_id()) },
        Column { name: "from_uri", of: Type::Text, value: |r| bytes(r.sip().from_uri()) },
        Column { name: "from_tag", of: Type::Text, value: |r| bytes(r.sip().from_tag()) },
        Column { name: "to_uri", of: Type::Text, value: |r| bytes(r.sip().to_uri()) },
        Column { name: "to_tag", of: Type::Text, value: |r| bytes(r.sip().to_tag()) },
        Column { name: "user_agent", of: Type::Text, value: MessageRow::user_agent },
        Column { name: "bytes", of: Type::Int, value: |r| int(r.sip().raw().len()) },
        Column { name: "copy", of: Type::Text, value: |r| maybe_text(r.copy()) },
        Column {
            name: "copy_of",
            of: Type::Int,
            value: |r| r.view.call.message(r.no).copy.map_or(Value::Null, |copy| int(copy.of.at() + 1)),
        },
        Column {
            name: "step",
            of: Type::Text,
            value: |r| maybe_text(r.flow.and_then(|flow| flow.steps.get(r.no.at()).copied().flatten())),
        },
        Column { name: "response_ms", of: Type::Real, value: |r| millis(response_time(r.view, r.no)) },
        Column { name: "inside", of: Type::Text, value: |r| maybe_text(r.view.analysis.wrapping(r.seen)) },
    ]
}

struct FindingRow<'a> {
    finding: &'a Finding,
    view: Option<CallView<'a>>,
    print: String,
    known: bool,
    capture: &'a str,
}

impl FindingRow<'_> {
    /// The message that the finding is about.
    fn main(&self) -> Option<(CallView<'_>, MessageNo)> {
        let owed = self.finding.missing.as_ref().map(|missing| missing.after);
        self.view.zip(self.finding.messages.first().copied().or(owed))
    }
}

fn finding_columns<'a>() -> Vec<Column<FindingRow<'a>>> {
    vec![
        Column { name: "capture", of: Type::Text, value: |r| text(r.capture) },
        Column { name: "rule", of: Type::Text, value: |r| text(r.finding.rule.code) },
        Column { name: "name", of: Type::Text, value: |r| text(r.finding.rule.name) },
        Column { name: "severity", of: Type::Text, value: |r| text(r.finding.severity.name()) },
        Column { name: "verdict", of: Type::Text, value: |r| text(r.finding.verdict.name()) },
        Column { name: "cause", of: Type::Text, value: |r| maybe_text(r.finding.cause.map(crate::flow::Cause::name)) },
        Column { name: "call", of: Type::Int, value: |r| r.finding.call.map_or(Value::Null, |call| int(call + 1)) },
        Column {
            name: "call_id",
            of: Type::Text,
            value: |r| r.main().map_or(Value::Null, |(view, no)| bytes(view.sip(no).call_id())),
        },
        Column {
            name: "time",
            of: Type::Time,
            value: |r| r.main().map_or(Value::Null, |(view, no)| Value::Time(view.seen(no).time)),
        },
        Column { name: "frame", of: Type::Int, value: |r| maybe_int(r.finding.frames.first().copied()) },
        Column { name: "frames", of: Type::Text, value: |r| text(joined(&r.finding.frames)) },
        Column {
            name: "messages",
            of: Type::Text,
            value: |r| text(joined(r.finding.messages.iter().map(|no| no.at() + 1))),
        },
        Column {
            name: "missing",
            of: Type::Text,
            value: |r| maybe_text(r.finding.missing.as_ref().map(|missing| missing.what.as_str())),
        },
        Column { name: "summary", of: Type::Text, value: |r| text(&*r.finding.summary) },
        Column { name: "detail", of: Type::Text, value: |r| text(&*r.finding.detail) },
        Column { name: "basis", of: Type::Text, value: |r| text(r.finding.rule.basis.join(", ")) },
        Column { name: "fingerprint", of: Type::Text, value: |r| text(&*r.print) },
        Column { name: "known", of: Type::Bool, value: |r| Value::Bool(r.known) },
        Column { name: "ignored", of: Type::Text, value: |r| maybe_text(r.finding.ignored.as_deref()) },
    ]
}
