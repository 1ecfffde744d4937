//! `[[ignore]]`: findings that are known, with the reason and perhaps a date.

use super::super::catalog;
use super::document::{Place, Table, Value};
use super::no_rule;
use crate::analysis::{Analysis, CallView};
use crate::base::{Error, Timestamp};
use crate::flow::FlowMatch;
use crate::report::{self, count};
use crate::rules::Finding;
use globset::{GlobBuilder, GlobMatcher};
use std::time::Duration;

/// Which findings are not told, and why.
#[derive(Debug)]
pub(super) struct Ignore {
    pub(super) place: Place,
    pub(super) rule: &'static str,
    call_id: Option<GlobMatcher>,
    from: Option<GlobMatcher>,
    to: Option<GlobMatcher>,
    participant: Option<GlobMatcher>,
    fingerprint: Option<GlobMatcher>,
    pub(super) reason: String,
    pub(super) until: Option<Until>,
}

/// The last day, and the end of it.
#[derive(Debug)]
pub(super) struct Until {
    pub(super) date: String,
    end: Timestamp,
}

impl Ignore {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, Error> {
        let rule = table.need("rule")?;
        let name = rule.text()?;
        let code = catalog::rule(name).ok_or_else(|| rule.refuse(no_rule(name)))?.code;
        let reason = table.need("reason")?;
        if reason.text()?.trim().is_empty() {
            return Err(reason.refuse("is empty; whoever reads this in a year wants to know"));
        }
        let mut pattern = |key| table.take(key).map(|value| glob(&value, value.text()?)).transpose();
        let ignore = Self {
            rule: code,
            call_id: pattern("call-id")?,
            from: pattern("from")?,
            to: pattern("to")?,
            participant: pattern("participant")?,
            fingerprint: pattern("fingerprint")?,
            reason: reason.text()?.to_owned(),
            until: table.take("until").map(|value| until(&value)).transpose()?,
            place: table.place(),
        };
        table.end()?;
        Ok(ignore)
    }

    fn fits(&self, finding: &Finding, print: &str, view: Option<CallView<'_>>) -> bool {
        let holds = |glob: &Option<GlobMatcher>, fits: &dyn Fn(&GlobMatcher, CallView<'_>) -> bool| match (glob, view) {
            (None, _) => true,
            (Some(glob), Some(view)) => fits(glob, view),
            // What concerns the capture as a whole has no parties.
            (Some(_), None) => false,
        };
        self.rule == finding.rule.code
            && self.fingerprint.as_ref().is_none_or(|glob| glob.is_match(print))
            && holds(&self.from, &|glob, view| glob.is_match(&*report::from_uri(view)))
            && holds(&self.to, &|glob, view| glob.is_match(&*report::to_uri(view)))
            && holds(&self.call_id, &|glob, view| {
                view.messages().any(|(_, seen)| glob.is_match(&*String::from_utf8_lossy(seen.message.call_id())))
            })
            && holds(&self.participant, &takes_part)
    }

    /// Whether the day is over in a capture that ends at `last`.
    fn is_over(&self, last: Option<Timestamp>) -> bool {
        self.until.as_ref().zip(last).is_some_and(|(until, last)| last >= until.end)
    }
}

/// By address, by address with port, or by name.
fn takes_part(glob: &GlobMatcher, view: CallView<'_>) -> bool {
    let names = &view.analysis.names;
    view.call.participants.iter().flat_map(|who| &who.addresses).any(|address| {
        glob.is_match(address.ip.to_string())
            || glob.is_match(address.to_string())
            || names.label(*address).is_some_and(|name| glob.is_match(name))
    })
}

/// A pattern with `*`, `?`, `[ab]` and `{a,b}`.
pub(super) fn glob(value: &Value<'_>, pattern: &str) -> Result<GlobMatcher, Error> {
    let glob = GlobBuilder::new(pattern).build().map_err(|error| value.refuse(error.kind()))?;
    Ok(glob.compile_matcher())
}

fn until(value: &Value<'_>) -> Result<Until, Error> {
    const DAY: Duration = Duration::from_secs(86_400);
    let date = value.date()?;
    let begin = report::time::parse(&format!("{date}T00:00:00Z"));
    let begin = begin.ok_or_else(|| value.refuse(format!("'{date}' is no date; 2026-12-31 is")))?;
    Ok(Until { date, end: begin.after(DAY) })
}

/// Marks the findings that `ignores` speak of. Time is that of the last packet, so that a capture is judged alike
/// whenever that is done. What ran out holds no more: that is to be said, by position among `ignores`.
pub(super) fn mark(
    ignores: &[Ignore],
    analysis: &Analysis,
    flows: &[FlowMatch],
    findings: &mut [Finding],
    verbose: bool,
) -> Vec<(usize, String)> {
    if ignores.is_empty() {
        return Vec::new();
    }
    let prints = report::fingerprints(analysis, flows, findings);
    let mut met = vec![0_usize; ignores.len()];
    for (finding, print) in findings.iter_mut().zip(&prints) {
        let view = finding.call.map(|call| analysis.view(call));
        for (ignore, met) in ignores.iter().zip(&mut met) {
            if ignore.fits(finding, print, view) {
                *met += 1;
                if !ignore.is_over(analysis.last) {
                    finding.ignored.get_or_insert_with(|| ignore.reason.clone());
                }
            }
        }
    }
    let remark = |(ignore, met): (&Ignore, usize)| match &ignore.until {
        Some(until) if met > 0 && ignore.is_over(analysis.last) => Some(format!(
            "{}: this [[ignore]] ended with {}, so {} of {} count again ({})",
            ignore.place,
            until.date,
            count(met, "finding"),
            ignore.rule,
            ignore.reason
        )),
        _ if met == 0 && verbose => {
            Some(format!("{}: this [[ignore]] of {} fits no finding", ignore.place, ignore.rule))
        }
        _ => None,
    };
    ignores.iter().zip(met).map(remark).enumerate().filter_map(|(at, remark)| Some((at, remark?))).collect()
}
