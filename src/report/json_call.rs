//! Who takes part in a call, its legs, and what was passed on, as in the JSON report.

use super::json::{Told, Who, number};
use super::words;
use crate::analysis::CallView;
use crate::base::{Endpoint, Idx};
use crate::call::{Forwarded, Leg, Profile, Related, Tie, forwarded, profiles};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

#[derive(serde::Serialize)]
pub(super) struct ParticipantView<'a> {
    id: Who,
    label: Label<'a>,
    addresses: Vec<Told<Endpoint>>,
    role: &'static str,
    user_agent: Option<String>,
    records_route: Option<bool>,
    evidence: Vec<String>,
}

pub(super) fn participant_views(view: CallView<'_>) -> Vec<ParticipantView<'_>> {
    let profiles = profiles(view.call, &view.analysis.seen);
    let participants = view.call.participants.iter().zip(profiles).enumerate();
    participants
        .map(|(at, (participant, profile))| {
            let Profile { user_agent, records_route, evidence } = profile;
            let named = participant.addresses.iter().find_map(|address| view.analysis.names.label(*address));
            ParticipantView {
                id: Who(Idx::new(at)),
                label: Label { named, address: participant.addresses.first().copied() },
                addresses: participant.addresses.iter().copied().map(Told).collect(),
                role: participant.role.name(),
                user_agent,
                records_route,
                evidence,
            }
        })
        .collect()
}

/// The name of a participant, else its first address.
struct Label<'a> {
    named: Option<&'a str>,
    address: Option<Endpoint>,
}

impl Serialize for Label<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.named, self.address) {
            (Some(name), _) => serializer.serialize_str(name),
            (None, Some(address)) => serializer.collect_str(&address),
            (None, None) => serializer.serialize_str(""),
        }
    }
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
    by: Who,
    received: usize,
    sent: usize,
    delay: f64,
}

pub(super) fn forwarded_views(view: CallView<'_>) -> Vec<ForwardedView> {
    forwarded(view.call, |no| view.seen(no).time).iter().map(forwarded_view).collect()
}

fn forwarded_view(one: &Forwarded) -> ForwardedView {
    ForwardedView {
        by: Who(one.by),
        received: number(one.received),
        sent: number(one.sent),
        delay: one.delay as f64 / 1e9,
    }
}
