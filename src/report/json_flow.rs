//! The reference flow of a call, and the steps of it that are missing, in JSON.

use super::json::{Who, number};
use crate::flow::{FlowMatch, Missing, Special};

#[derive(serde::Serialize)]
pub(super) struct ReferenceView<'a> {
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
    from: Who,
    to: Who,
    after: Option<usize>,
    cause: &'static str,
    evidence: &'a str,
}

pub(super) fn reference_view(flow: &FlowMatch) -> ReferenceView<'_> {
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
        from: Who(missing.from),
        to: Who(missing.to),
        after: missing.after.map(number),
        cause: missing.cause.name(),
        evidence: &missing.evidence,
    }
}
