//! Which calls and findings the user asked for.

use super::args::{InputArgs, SelectArgs};
use super::pipeline::Outcome;
use crate::analysis::CallView;
use crate::base::{Error, Timestamp};
use crate::call::{Kind, Outcome as End};
use crate::report::{self, Selection};
use std::collections::BTreeSet;
use std::time::Duration;

/// Applies the selection options. No option at all selects everything.
pub(super) fn select(args: &SelectArgs, input: &InputArgs, outcome: &Outcome) -> Result<Selection, Error> {
    let rules = args.rule.iter().map(|name| rule_code(name)).collect::<Result<Vec<_>, _>>()?;
    let mut tests = tests(args, outcome, &rules)?;
    if let Some(name) = &args.flow {
        let name = super::catalog::flow_name(name, &input.known.flow_file)?;
        tests.push(Box::new(move |view| {
            outcome.flows.get(view.number).is_some_and(|flow| flow.follows(name).is_some())
        }));
    }
    if tests.is_empty() {
        return Ok(Selection::default());
    }
    let fits = |view: &CallView<'_>| tests.iter().all(|test| test(*view));
    let calls = outcome.analysis.views().filter(fits).map(|view| view.number).collect();
    drop(tests);
    Ok(Selection { calls: Some(calls), rules })
}

type Test<'a> = Box<dyn Fn(CallView<'_>) -> bool + 'a>;

/// One test per option given.
fn tests<'a>(args: &'a SelectArgs, outcome: &'a Outcome, rules: &'a [&'static str]) -> Result<Vec<Test<'a>>, Error> {
    let mut tests: Vec<Test<'a>> = Vec::new();
    if !args.calls.is_empty() {
        tests.push(Box::new(|view| args.calls.iter().any(|n| *n as usize == view.number + 1)));
    }
    if let Some(id) = &args.call_id {
        tests.push(Box::new(|view| view.messages().any(|(_, seen)| seen.message.call_id() == id.as_bytes())));
    }
    if let Some(text) = &args.from {
        tests.push(Box::new(|view| contains(&report::from_uri(view), text)));
    }
    if let Some(text) = &args.to {
        tests.push(Box::new(|view| contains(&report::to_uri(view), text)));
    }
    if let Some(address) = &args.participant {
        tests.push(participant(address)?);
    }
    if let Some(method) = &args.method {
        tests.push(Box::new(|view| {
            view.messages()
                .any(|(_, seen)| seen.message.is_request() && seen.message.method_name().eq_ignore_ascii_case(method))
        }));
    }
    if let Some(statuses) = &args.status {
        tests.push(Box::new(|view| {
            view.messages().any(|(_, seen)| seen.message.status().is_some_and(|s| statuses.contains(&s)))
        }));
    }
    if let Some(name) = &args.kind {
        let kind = kind(name)?;
        tests.push(Box::new(move |view| view.call.kind == kind));
    }
    if let Some(name) = &args.outcome {
        let end = self::outcome(name)?;
        tests.push(Box::new(move |view| view.call.outcome == end));
    }
    if !rules.is_empty() {
        let found = outcome.findings.iter().filter(|finding| rules.contains(&finding.rule.code));
        let calls: BTreeSet<usize> = found.filter_map(|finding| finding.call).collect();
        tests.push(Box::new(move |view| calls.contains(&view.number)));
    }
    if let Some(text) = &args.since {
        let since = moment(text, outcome)?;
        tests.push(Box::new(move |view| view.call.end >= since));
    }
    if let Some(text) = &args.until {
        let until = moment(text, outcome)?;
        tests.push(Box::new(move |view| view.call.start <= until));
    }
    Ok(tests)
}

/// The code of a rule given by code or name.
pub(super) fn rule_code(name: &str) -> Result<&'static str, Error> {
    super::catalog::rule(name)
        .map(|meta| meta.code)
        .ok_or_else(|| Error::Usage(format!("no rule is called '{name}'; `callflow rules` lists them")))
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// A test for an IP address or an address with port.
fn participant(text: &str) -> Result<Test<'static>, Error> {
    let whole: Result<std::net::SocketAddr, _> = text.parse();
    let bare: Result<std::net::IpAddr, _> = text.trim_start_matches('[').trim_end_matches(']').parse();
    let addresses = |view: CallView<'_>, fits: &dyn Fn(crate::base::Endpoint) -> bool| {
        view.call.participants.iter().flat_map(|who| &who.addresses).any(|address| fits(*address))
    };
    match (whole, bare) {
        (Ok(whole), _) => Ok(Box::new(move |view| addresses(view, &|a| a.ip == whole.ip() && a.port == whole.port()))),
        (_, Ok(ip)) => Ok(Box::new(move |view| addresses(view, &|a| a.ip == ip))),
        _ => Err(Error::Usage(format!("--participant {text}: neither an IP address nor an address with port"))),
    }
}

/// A time of day, or seconds into the capture after a plus sign.
fn moment(text: &str, outcome: &Outcome) -> Result<Timestamp, Error> {
    let seconds = text.strip_prefix('+').and_then(|seconds| seconds.parse::<f64>().ok());
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(offset) => Ok(outcome.analysis.first.unwrap_or_default().after(offset)),
        None => report::time::parse(text)
            .ok_or_else(|| Error::Usage(format!("'{text}' is no time; 2026-01-02T03:04:05Z and +30 are"))),
    }
}

/// The kind of call with this name.
pub(super) fn kind(name: &str) -> Result<Kind, Error> {
    by_name(name, &KINDS, Kind::name, "kind")
}

/// The outcome with this name.
pub(super) fn outcome(name: &str) -> Result<End, Error> {
    by_name(name, &OUTCOMES, End::name, "outcome")
}

fn by_name<T: Copy>(name: &str, all: &[T], of: fn(T) -> &'static str, what: &str) -> Result<T, Error> {
    all.iter().copied().find(|one| of(*one).eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| of(*one)).collect();
        Error::Usage(format!("no {what} is called '{name}'; there are {}", names.join(", ")))
    })
}

const KINDS: [Kind; 7] =
    [Kind::Call, Kind::Registration, Kind::Subscription, Kind::Message, Kind::Options, Kind::Publish, Kind::Other];
const OUTCOMES: [End; 15] = [
    End::Answered,
    End::Active,
    End::Busy,
    End::Cancelled,
    End::NoAnswer,
    End::Redirected,
    End::Challenged,
    End::Rejected,
    End::Unanswered,
    End::Incomplete,
    End::Registered,
    End::Unregistered,
    End::Queried,
    End::Refused,
    End::Accepted,
];
