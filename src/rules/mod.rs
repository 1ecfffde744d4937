//! The rules: one deviation each, judged on a call or on the capture as a whole.
//!
//! A rule is one file (or one tight family per file), one line in the table, one page in docs/rules,
//! and a bad and a good case in testdata/rules.

mod abuse;
mod ack;
mod ack_failure;
mod ack_route;
mod auth_form;
mod auth_refused;
mod auth_retry;
mod auth_secret;
mod auth_story;
mod bye;
mod cancel;
mod cancel_request;
mod capture_gaps;
mod capture_health;
mod companion;
mod connection;
mod contact;
mod cookie;
mod delivery;
mod dialog;
mod facts;
mod failover;
mod finding;
mod forks;
mod form;
mod forwarding;
mod global_failure;
mod hops;
mod identity;
mod late;
mod mirror;
mod non_invite;
mod offer;
mod offer_collision;
mod options;
mod outline;
mod overdue;
mod overload;
mod passwords;
mod redirect;
mod refer;
mod refresh;
mod refused;
mod registration;
mod reinvite;
mod reliable;
mod reliable_use;
mod repeats;
mod responses;
mod return_path;
mod ringing;
mod route_set;
mod session_timer;
mod settings;
mod status_words;
mod stray;
mod subject;
mod subscribe;
mod target;
mod unanswered;

pub use finding::{Finding, Meta, MissingMessage, Severity};
pub use passwords::{BadLine, Passwords};
pub use settings::{Settings, THRESHOLDS, Threshold};

use crate::analysis::{Analysis, CallView};
use crate::base::limits;
use crate::flow::{Catalog, FlowMatch, Matcher};
use auth_story::{Story, stories};
use facts::{Acks, Dialogs};
use outline::Outline;
use rayon::prelude::*;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// What the user says and the capture does not show.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Passwords, to tell what is wrong with refused credentials.
    pub passwords: Passwords,
    /// Severities and thresholds other than the usual ones.
    pub settings: Settings,
}

/// What a rule about one call may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The call and, through it, the whole analysis.
    pub view: CallView<'a>,
    /// How the call compares with its reference flow.
    pub flow: &'a FlowMatch,
    /// What the user knows beyond the capture.
    pub knowledge: &'a Knowledge,
    shared: &'a Shared<'a>,
}

/// What several rules need to know of a call, found out once.
#[derive(Default)]
struct Shared<'a> {
    outline: Outline,
    acks: OnceCell<Acks<'a>>,
    dialogs: OnceCell<Dialogs<'a>>,
    stories: OnceCell<Vec<Story<'a>>>,
}

impl<'a> Context<'a> {
    fn outline(self) -> &'a Outline {
        &self.shared.outline
    }

    fn acks(self) -> &'a Acks<'a> {
        self.shared.acks.get_or_init(|| Acks::of(self.view))
    }

    fn dialogs(self) -> &'a Dialogs<'a> {
        self.shared.dialogs.get_or_init(|| Dialogs::of(self.view))
    }

    fn stories(self) -> &'a [Story<'a>] {
        self.shared.stories.get_or_init(|| stories(self.view))
    }
}

/// What a rule about the whole capture may look at.
#[derive(Clone, Copy)]
pub struct CaptureContext<'a> {
    /// The whole analysis.
    pub analysis: &'a Analysis,
}

/// A rule. Every level has a default that finds nothing; a rule implements the one it needs.
pub trait Rule: Sync {
    /// The deviations it reports; a family has several.
    fn metas(&self) -> &'static [&'static Meta];

    /// Whether it may find anything in a call; asked first, and of every call, so it must be quick. Where it says no,
    /// [`Rule::call`] finds nothing: builds with debug assertions look all the same, and hold it to that.
    fn concerns(&self, _context: Context<'_>) -> bool {
        true
    }

    /// Judges one call.
    fn call(&self, _context: Context<'_>, _findings: &mut Vec<Finding>) {}

    /// Judges the capture as a whole, after all calls.
    fn capture(&self, _context: CaptureContext<'_>, _findings: &mut Vec<Finding>) {}
}

/// All rules.
pub static RULES: &[&dyn Rule] = &[
    &unanswered::Unanswered,
    &late::FirstResponseLate,
    &late::InviteNeverEnds,
    &repeats::Repeats,
    &responses::Responses,
    &identity::Identity,
    &cookie::Cookie,
    &mirror::Mirror,
    &non_invite::NonInvite,
    &overdue::Overdue,
    &ack::AckTo2xx,
    &ack_failure::AckToFailure,
    &ack_route::AckRoute,
    &contact::Contact,
    &offer::OfferAnswer,
    &forks::Forks,
    &ringing::Ringing,
    &cancel::Cancel,
    &cancel_request::CancelRequest,
    &bye::Bye,
    &dialog::InDialog,
    &route_set::RouteSet,
    &target::RemoteTarget,
    &reinvite::ReInvite,
    &reliable::PrackMissing,
    &reliable_use::ReliableUse,
    &session_timer::SessionTimer,
    &offer_collision::OfferCollision,
    &subscribe::Subscriptions,
    &refer::TransferResult,
    &auth_retry::ChallengeFollowUp,
    &auth_refused::RefusedCredentials,
    &auth_form::FormOfCredentials,
    &registration::Registration,
    &refresh::Refresh,
    &refresh::Overlap,
    &redirect::Redirection,
    &overload::RetryAfter,
    &hops::Hops,
    &failover::NoFailover,
    &forwarding::Forwarding,
    &global_failure::DeclinedFork,
    &stray::StrayForwarded,
    &return_path::ReturnPath,
    &companion::Companion,
    &options::Keepalive,
    &delivery::Unreachable,
    &delivery::Oversized,
    &connection::ConnectionLost,
    &form::Form,
    &refused::Outcomes,
    &capture_health::CaptureHealth,
    &capture_gaps::CaptureGaps,
    &abuse::Abuse,
];

/// What every rule reports, in the order of the codes.
pub fn metas() -> Vec<&'static Meta> {
    let mut metas: Vec<_> = RULES.iter().flat_map(|rule| rule.metas().iter().copied()).collect();
    metas.sort_by_key(|meta| meta.code);
    metas
}

/// The findings of a whole analysis: those of the capture first, then call by call, worst first.
pub fn check(analysis: &Analysis, flows: &[FlowMatch]) -> Vec<Finding> {
    check_with(analysis, flows, &Knowledge::default())
}

/// As [`check`], with the help of what the user knows.
pub fn check_with(analysis: &Analysis, flows: &[FlowMatch], knowledge: &Knowledge) -> Vec<Finding> {
    let of_calls = || -> Vec<Vec<Finding>> {
        (0..analysis.calls.len())
            .into_par_iter()
            .map(|call| check_call(analysis, call, &flows[call], knowledge))
            .collect()
    };
    let (findings, of_calls) = rayon::join(|| check_capture(analysis, knowledge), of_calls);
    all(findings, of_calls)
}

/// Compares every call with the flows of `catalog` and judges it: what [`match_all_with`](crate::flow::match_all_with)
/// and [`check_with`] give one after the other. Here each call is gone through while the cache has its messages.
pub fn judge_with(catalog: &Catalog, analysis: &Analysis, knowledge: &Knowledge) -> (Vec<FlowMatch>, Vec<Finding>) {
    let of_calls = || {
        let (mut flows, mut findings) = (Vec::new(), Vec::new());
        let judge = |matcher: &mut Matcher<'_>, call| {
            let flow = matcher.compare(analysis.view(call));
            let findings = check_call(analysis, call, &flow, knowledge);
            (flow, findings)
        };
        let calls = (0..analysis.calls.len()).into_par_iter();
        calls.map_init(|| Matcher::new(catalog), judge).unzip_into_vecs(&mut flows, &mut findings);
        (flows, findings)
    };
    let (findings, (flows, of_calls)) = rayon::join(|| check_capture(analysis, knowledge), of_calls);
    (flows, all(findings, of_calls))
}

/// The findings of the capture as a whole. The rules for that run through all calls one after the other: beside the
/// rest, not before it.
fn check_capture(analysis: &Analysis, knowledge: &Knowledge) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        rule.capture(CaptureContext { analysis }, &mut findings);
    }
    knowledge.settings.weigh(&mut findings);
    findings
}

fn all(mut findings: Vec<Finding>, of_calls: Vec<Vec<Finding>>) -> Vec<Finding> {
    findings.extend(of_calls.into_iter().flatten());
    findings
}

/// The findings of one call, worst first, then in order of capture.
pub fn check_call(analysis: &Analysis, call: usize, flow: &FlowMatch, knowledge: &Knowledge) -> Vec<Finding> {
    let view = analysis.view(call);
    let shared = Shared { outline: Outline::of(view), ..Shared::default() };
    let context = Context { view, flow, knowledge, shared: &shared };
    let mut findings = Vec::new();
    for rule in RULES {
        if rule.concerns(context) {
            rule.call(context, &mut findings);
        } else {
            debug_assert!(
                is_silent(*rule, context),
                "{} finds something where it has no concern",
                rule.metas()[0].name
            );
        }
    }
    if findings.is_empty() {
        return findings;
    }
    knowledge.settings.weigh(&mut findings);
    for finding in &mut findings {
        finding.call = Some(call);
        if finding.frames.is_empty() {
            finding.frames = finding.messages.iter().map(|no| context.view.frame(*no)).collect();
        }
    }
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(a.frames.first().cmp(&b.frames.first())).then(a.rule.code.cmp(b.rule.code))
    });
    keep_some(&mut findings);
    findings
}

/// Whether a rule finds nothing in a call.
fn is_silent(rule: &dyn Rule, context: Context<'_>) -> bool {
    let mut findings = Vec::new();
    rule.call(context, &mut findings);
    findings.is_empty()
}

/// A flood within one call gives the same finding thousands of times: the first ones say it all, and
/// the last of them says how many more there are.
fn keep_some(findings: &mut Vec<Finding>) {
    let mut counts: BTreeMap<(&str, Severity), usize> = BTreeMap::new();
    findings.retain(|finding| {
        let count = counts.entry((finding.rule.code, finding.severity)).or_default();
        *count += 1;
        *count <= limits::FINDINGS_OF_A_RULE
    });
    for ((code, severity), count) in counts {
        let alike = |finding: &&mut Finding| finding.rule.code == code && finding.severity == severity;
        if count > limits::FINDINGS_OF_A_RULE
            && let Some(last) = findings.iter_mut().rfind(alike)
        {
            let more = count - limits::FINDINGS_OF_A_RULE;
            let more = more.to_string();
            last.detail.extend([" The same was found ", &more, " more times in this call."]);
        }
    }
}
