//! A call as JSON: what is in all of them field by field, what is rare (legs, related calls) as views through serde.

use super::json::number;
use super::json_flow::write_reference;
use super::json_layout::{Writer, first, next};
use super::json_message::write_message;
use super::json_metrics::write_timings;
use super::{Report, words};
use crate::analysis::{CallView, Timings};
use crate::base::{EndpointText, Idx};
use crate::call::{Clause, Forwarded, Leg, Participant, Piece, Profile, Related, Said, Tie, forwarded, profiles};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

/// What depends on where a call is told.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// The number of each call, from 0.
    pub(super) number: &'a dyn Fn(usize) -> usize,
    /// Its findings: positions among those that are told.
    pub(super) findings: &'a [usize],
}

/// One call, as an object that is open: with its kind of line, where it has one.
pub(super) fn write_call(report: &Report<'_>, call: usize, told: Told<'_>, out: &mut Writer<'_>) -> io::Result<()> {
    let view = report.analysis.view(call);
    let (call, flow) = (view.call, report.flow(call));
    let has_kind = out.begin_object();
    out.name(!has_kind, "id");
    out.number((told.number)(view.number) + 1);
    out.name(false, "kind");
    out.word(call.kind.name());
    out.name(false, "call_ids");
    write_call_ids(view, out);
    let opening = words::opening(view);
    out.name(false, "from");
    out.bytes(opening.map_or(b"", |message| message.from_uri()));
    out.name(false, "to");
    out.bytes(opening.map_or(b"", |message| message.to_uri()));
    out.name(false, "start");
    out.time(call.start);
    out.name(false, "end");
    out.time(call.end);
    out.name(false, "outcome");
    out.word(call.outcome.name());
    out.name(false, "final_status");
    out.maybe(call.final_status, Writer::number);
    out.name(false, "timings");
    write_timings(Timings::of(view), out);
    out.name(false, "participants");
    write_participants(view, out)?;
    out.name(false, "messages");
    out.each(call.numbers(), |out, no| {
        write_message(view, flow, no, out);
        Ok(())
    })?;
    out.name(false, "reference");
    match flow {
        Some(flow) => write_reference(out, flow)?,
        None => out.raw("null"),
    }
    out.name(false, "findings");
    out.row(told.findings, |out, at| out.number(*at));
    out.name(false, "legs");
    out.each(&call.legs, |out, leg| out.value(&leg_view(view, leg)))?;
    out.name(false, "related");
    out.each(&call.related, |out, related| out.value(&related_view(related, told.number)))?;
    out.name(false, "forwarded");
    out.each(&forwarded(call, |no| view.seen(no).time), |out, one| {
        write_forwarded(out, one);
        Ok(())
    })?;
    out.end(b'}');
    Ok(())
}

/// Call-IDs in order of appearance.
fn write_call_ids(view: CallView<'_>, out: &mut Writer<'_>) {
    let ids = || view.messages().map(|(_, seen)| seen.message.call_id());
    let first = ids().next();
    // Most calls have one.
    let mut met = HashSet::new();
    let others = ids().filter(|id| Some(*id) != first).filter(|id| met.insert(*id));
    out.row(first.into_iter().chain(others), Writer::bytes);
}

fn write_participants(view: CallView<'_>, out: &mut Writer<'_>) -> io::Result<()> {
    let profiles = profiles(view.call, &view.analysis.seen);
    let participants = view.call.participants.iter().zip(&profiles).enumerate();
    out.each(participants, |out, (at, (participant, profile))| {
        write_participant(view, Idx::new(at), participant, profile, out);
        Ok(())
    })
}

fn write_participant(
    view: CallView<'_>,
    who: Idx<Participant>,
    participant: &Participant,
    profile: &Profile<'_>,
    out: &mut Writer<'_>,
) {
    let Participant { addresses, role } = participant;
    let told: SmallVec<[EndpointText; 1]> = addresses.iter().map(|address| address.text()).collect();
    out.begin_object();
    first!(out, "id");
    out.who(who);
    next!(out, "label");
    // Its name, else its first address.
    match (addresses.iter().find_map(|address| view.analysis.names.label(*address)), told.first()) {
        (Some(name), _) => out.string(name),
        (None, Some(address)) => out.address(address),
        (None, None) => out.string(""),
    }
    next!(out, "addresses");
    out.row(&told, Writer::address);
    next!(out, "role");
    out.word(role.name());
    next!(out, "user_agent");
    out.maybe(profile.user_agent.map(Said::bytes), Writer::bytes);
    next!(out, "records_route");
    out.maybe(profile.records_route, Writer::bool);
    next!(out, "evidence");
    out.row(&profile.evidence, write_clause);
    out.end(b'}');
}

fn write_clause(out: &mut Writer<'_>, clause: &Clause<'_>) {
    out.raw("\"");
    clause.tell(|piece| match piece {
        Piece::Ours(words) => out.raw(words),
        Piece::Theirs(words) => out.part(words),
    });
    out.raw("\"");
}

/// One leg of a call that has several.
#[derive(serde::Serialize)]
struct LegView<'a> {
    call_id: Cow<'a, str>,
    messages: Vec<usize>,
    outcome: &'static str,
    final_status: Option<u16>,
    flow: Option<&'static str>,
    joined_to: Option<Cow<'a, str>>,
    confidence: Option<u8>,
    evidence: Vec<String>,
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
struct RelatedView {
    call: usize,
    confidence: u8,
    rivalled: bool,
    evidence: Vec<String>,
}

fn related_view(related: &Related, number: &dyn Fn(usize) -> usize) -> RelatedView {
    let Related { call, tie, rivalled } = related;
    RelatedView { call: number(*call) + 1, confidence: tie.confidence, rivalled: *rivalled, evidence: evidence(tie) }
}

/// A message on two hops.
fn write_forwarded(out: &mut Writer<'_>, one: &Forwarded) {
    out.begin_object();
    first!(out, "by");
    out.who(one.by);
    next!(out, "received");
    out.number(number(one.received));
    next!(out, "sent");
    out.number(number(one.sent));
    next!(out, "delay");
    out.float(one.delay as f64 / 1e9);
    out.end(b'}');
}
