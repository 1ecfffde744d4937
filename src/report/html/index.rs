//! What the first page shows: the verdict, the capture, what is wrong, and a row for each call.

use super::super::json_capture::{CaptureView, InputView, capture_view, input_view};
use super::super::style::Paint;
use super::super::{Report, escape, tell, time, verdict, words};
use crate::analysis::CallView;
use crate::flow::{Catalog, FlowMatch, Part, ReferenceFlow, Step, Verdict as Proof};
use crate::rules::{Finding, Severity};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The whole of it.
#[derive(Serialize)]
pub(super) struct Index<'a> {
    tool: &'static str,
    pub(super) verdict: Verdict,
    health: Vec<Remark>,
    captures: Vec<CaptureView<'a>>,
    #[serde(flatten)]
    input: InputView<'a>,
    findings: Vec<Told>,
    problems: Vec<Problem<'a>>,
    rules: BTreeMap<&'static str, Rule>,
    flows: BTreeMap<&'static str, Flow>,
    calls: Calls,
    blocks: &'a [usize],
}

/// The answer to "is it broken?".
#[derive(Serialize)]
pub(super) struct Verdict {
    pub(super) level: &'static str,
    pub(super) word: &'static str,
    pub(super) rest: String,
}

/// A line on the capture.
#[derive(Serialize)]
struct Remark {
    level: &'static str,
    text: String,
}

/// A finding as the page shows it.
#[derive(Serialize)]
pub(super) struct Told {
    rule: &'static str,
    level: &'static str,
    summary: String,
    detail: String,
    missing: Option<String>,
    basis: &'static [&'static str],
    frames: String,
    messages: Vec<usize>,
}

/// Findings of one rule and level, over all calls.
#[derive(Serialize)]
struct Problem<'a> {
    rule: &'static str,
    level: &'static str,
    /// How many calls have it.
    calls: usize,
    /// Of the first call.
    example: std::borrow::Cow<'a, str>,
}

/// The page of a rule.
#[derive(Serialize)]
struct Rule {
    name: &'static str,
    title: &'static str,
    page: &'static str,
}

/// A reference flow.
#[derive(Serialize)]
struct Flow {
    title: String,
    section: String,
    /// Label, and what it is: "ACK from alice to proxy1".
    steps: BTreeMap<String, String>,
}

/// The calls, column by column: names are not repeated ten thousand times.
#[derive(Serialize, Default)]
struct Calls {
    n: Vec<usize>,
    kind: Vec<&'static str>,
    outcome: Vec<&'static str>,
    status: Vec<Option<u16>>,
    /// Whether it came to what its caller wanted.
    good: Vec<u8>,
    from: Vec<String>,
    to: Vec<String>,
    call_id: Vec<String>,
    start: Vec<String>,
    seconds: Vec<f64>,
    messages: Vec<usize>,
    flow: Vec<Option<&'static str>>,
    /// Positions among the problems, worst first.
    problems: Vec<Vec<usize>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(report: &'a Report<'a>, blocks: &'a [usize]) -> Self {
        let mut rules = BTreeMap::new();
        for finding in report.findings() {
            let meta = finding.rule;
            rules.entry(meta.code).or_insert(Rule { name: meta.name, title: meta.title, page: meta.page });
        }
        let (problems, of_calls) = problems(report);
        let of_capture = report.findings().filter(|finding| finding.call.is_none());
        Self {
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            verdict: verdict::answer(report).into(),
            health: verdict::health(report).into_iter().map(remark).collect(),
            captures: report.captures.iter().map(capture_view).collect(),
            input: input_view(report.analysis),
            findings: of_capture.map(|finding| told(finding, None, false)).collect(),
            problems,
            rules,
            flows: flows(report),
            calls: calls(report, of_calls),
            blocks,
        }
    }
}

fn remark(remark: verdict::Remark) -> Remark {
    let level = if remark.mark == "-" { "info" } else { level_of(remark.paint) };
    Remark { level, text: remark.text }
}

/// The word for a colour.
pub(super) fn level_of(paint: Paint) -> &'static str {
    match paint {
        Paint::Error => "error",
        Paint::Warning => "warning",
        Paint::Good => "good",
        Paint::Info => "info",
        Paint::Plain | Paint::Bold | Paint::Dim => "plain",
    }
}

/// How a finding is told: `quiet` ones only to who looks for them.
fn level(finding: &Finding, is_quiet: bool) -> &'static str {
    match (finding.verdict, finding.severity) {
        _ if is_quiet => "quiet",
        (Proof::Open, _) => "open",
        (_, Severity::Error) => "error",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "info",
    }
}

/// A finding in full, harmless for a screen.
pub(super) fn told(finding: &Finding, view: Option<CallView<'_>>, is_quiet: bool) -> Told {
    Told {
        rule: finding.rule.code,
        level: level(finding, is_quiet),
        summary: escape::prose(&finding.summary),
        detail: escape::prose(&finding.detail),
        missing: view.and_then(|view| tell::missing(finding, view)),
        basis: finding.rule.basis,
        frames: tell::frames(&finding.frames),
        messages: finding.messages.iter().map(|no| no.at() + 1).collect(),
    }
}

/// What is wrong over all calls, worst first, and for each call the positions of what it has.
fn problems<'a>(report: &'a Report<'a>) -> (Vec<Problem<'a>>, Vec<Vec<usize>>) {
    type Key = (bool, Reverse<u8>, &'static str);
    let key = |finding: &Finding, quiet: bool| -> Key { (quiet, Reverse(tell::rank(finding)), finding.rule.code) };
    let mut found: BTreeMap<Key, Problem<'a>> = BTreeMap::new();
    let mut keys: Vec<Vec<Key>> = Vec::with_capacity(report.call_count());
    for view in report.calls() {
        let quiet = report.is_quiet(view);
        let mut of_call: Vec<Key> = Vec::new();
        for finding in report.findings_of(view.number) {
            let key = key(finding, quiet);
            let problem = found.entry(key).or_insert_with(|| Problem {
                rule: finding.rule.code,
                level: level(finding, quiet),
                calls: 0,
                example: escape::text(&finding.summary),
            });
            if !of_call.contains(&key) {
                problem.calls += 1;
                of_call.push(key);
            }
        }
        keys.push(of_call);
    }
    let mut found: Vec<(Key, Problem<'a>)> = found.into_iter().collect();
    found.sort_by_key(|((quiet, rank, code), problem)| (*quiet, *rank, Reverse(problem.calls), *code));
    let places: BTreeMap<Key, usize> = found.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
    let positions = |keys: &Vec<Key>| {
        let mut positions: Vec<usize> = keys.iter().filter_map(|key| places.get(key).copied()).collect();
        positions.sort_unstable();
        positions
    };
    let of_calls = keys.iter().map(positions).collect();
    (found.into_iter().map(|(_, problem)| problem).collect(), of_calls)
}

fn calls(report: &Report<'_>, problems: Vec<Vec<usize>>) -> Calls {
    let mut calls = Calls { problems, ..Calls::default() };
    for view in report.calls() {
        let call = view.call;
        let first = call.numbers().next().map(|no| escape::bytes(view.sip(no).call_id()));
        calls.n.push(view.number + 1);
        calls.kind.push(call.kind.name());
        calls.outcome.push(call.outcome.name());
        calls.status.push(call.final_status);
        calls.good.push(u8::from(tell::is_success(view)));
        calls.from.push(words::short_uri(&words::from_uri(view)));
        calls.to.push(words::short_uri(&words::to_uri(view)));
        calls.call_id.push(first.unwrap_or_default());
        calls.start.push(time::people(call.start).trim_end_matches(" UTC").to_owned());
        calls.seconds.push(call.end.since(call.start).as_micros() as f64 / 1e6);
        calls.messages.push(call.messages.len());
        calls.flow.push(report.flow(view.number).and_then(|flow| flow.flow));
    }
    calls
}

/// The reference flows that are spoken of, with what their steps are.
fn flows(report: &Report<'_>) -> BTreeMap<&'static str, Flow> {
    let mut flows = BTreeMap::new();
    for FlowMatch { flow, title, .. } in report.calls().filter_map(|view| report.flow(view.number)) {
        let Some(name) = flow else { continue };
        flows.entry(*name).or_insert_with(|| {
            let known = Catalog::built_in().find(name);
            let mut steps = BTreeMap::new();
            if let Some(known) = known {
                collect_steps(known, &known.ladder, &mut steps);
            }
            let section = known.map_or_else(String::new, |known| known.section.clone());
            Flow { title: escape::text(title).into_owned(), section, steps }
        });
    }
    flows
}

fn collect_steps(flow: &ReferenceFlow, parts: &[Part], steps: &mut BTreeMap<String, String>) {
    for part in parts {
        match part {
            Part::Step(step) => add_step(flow, step, steps),
            Part::AnyOrder(runs) => runs.iter().flatten().for_each(|step| add_step(flow, step, steps)),
            Part::Media(..) => {}
            Part::Optional(inner) | Part::Repeat(inner) | Part::EitherSide(inner) => {
                collect_steps(flow, inner, steps);
            }
            Part::Either(ways) => ways.iter().for_each(|way| collect_steps(flow, way, steps)),
        }
    }
}

fn add_step(flow: &ReferenceFlow, step: &Step, steps: &mut BTreeMap<String, String>) {
    let role = |at: usize| flow.roles.get(at).map_or("?", String::as_str);
    if !step.label.is_empty() {
        let told = format!("{} from {} to {}", step.message.words(), role(step.from), role(step.to));
        steps.insert(step.label.clone(), told);
    }
}
