//! Who takes part in a call, its legs, and what was passed on, as in the JSON report.

use super::json::{number, participant_id};
use super::words;
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::{Forwarded, Leg, Profile, Related, Tie, forwarded, profiles};
use std::borrow::Cow;

#[derive(serde::Serialize)]
pub(super) struct ParticipantView {
    id: String,
    label: String,
    addresses: Vec<String>,
    role: &'static str,
    user_agent: Option<String>,
    records_route: Option<bool>,
    evidence: Vec<String>,
}

pub(super) fn participant_views(view: CallView<'_>) -> Vec<ParticipantView> {
    let profiles = profiles(view.call, &view.analysis.seen);
    let participants = view.call.participants.iter().zip(profiles).enumerate();
    participants
        .map(|(at, (participant, profile))| {
            let Profile { user_agent, records_route, evidence } = profile;
            let addresses: Vec<String> = participant.addresses.iter().map(ToString::to_string).collect();
            let named = participant.addresses.iter().find_map(|address| view.analysis.names.label(*address));
            ParticipantView {
                id: participant_id(Idx::new(at)),
                label: named.map(str::to_owned).or_else(|| addresses.first().cloned()).unwrap_or_default(),
                addresses,
                role: participant.role.name(),
                user_agent,
                records_route,
                evidence,
            }
        })
        .collect()
}

/// One leg of a call that has several.
#[derive(serde::Serialize)]
pub(super) struct LegView<'a> {
    call_id: Cow<'a, str>,
    messages: Vec<usize>,
    outcome: &'static str,
    final_status: Option<u16>,
    flow: Option<&'static str>,
    joined_to: Option<Cow<'a, str>>,
    confidence: Option<u8>,
    evidence: Vec<String>,
}

pub(super) fn leg_views(view: CallView<'_>) -> Vec<LegView<'_>> {
    view.call.legs.iter().map(|leg| leg_view(view, leg)).collect()
}

fn leg_view<'a>(view: CallView<'a>, leg: &Leg) -> LegView<'a> {
    let tie = leg.tie.as_ref();
    LegView {
        call_id: words::leg_id(view, leg),
        messages: leg.messages.iter().map(|no| number(*no)).collect(),
        outcome: leg.outcome.name(),
        final_status: leg.final_status,
        flow: leg.flow,
        joined_to: tie.and_then(|(before, _)| view.call.legs.get(*before)).map(|before| words::leg_id(view, before)),
        confidence: tie.map(|(_, tie)| tie.confidence),
        evidence: tie.map(|(_, tie)| evidence(tie)).unwrap_or_default(),
    }
}

fn evidence(tie: &Tie) -> Vec<String> {
    tie.clues.iter().map(ToString::to_string).collect()
}

/// Another call that may be more of the same.
#[derive(serde::Serialize)]
pub(super) struct RelatedView {
    pub(super) call: usize,
    confidence: u8,
    rivalled: bool,
    evidence: Vec<String>,
}

pub(super) fn related_views(view: CallView<'_>) -> Vec<RelatedView> {
    view.call.related.iter().map(related_view).collect()
}

fn related_view(related: &Related) -> RelatedView {
    let Related { call, tie, rivalled } = related;
    RelatedView { call: call + 1, confidence: tie.confidence, rivalled: *rivalled, evidence: evidence(tie) }
}

/// A message on two hops.
#[derive(serde::Serialize)]
pub(super) struct ForwardedView {
    by: String,
    received: usize,
    sent: usize,
    delay: f64,
}

pub(super) fn forwarded_views(view: CallView<'_>) -> Vec<ForwardedView> {
    forwarded(view.call, |no| view.seen(no).time).iter().map(forwarded_view).collect()
}

fn forwarded_view(one: &Forwarded) -> ForwardedView {
    ForwardedView {
        by: participant_id(one.by),
        received: number(one.received),
        sent: number(one.sent),
        delay: one.delay as f64 / 1e9,
    }
}
