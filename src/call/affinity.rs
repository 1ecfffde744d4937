//! Two legs that meet at one element: does it pass on from one to the other what happens?
//!
//! A back-to-back user agent ends one leg and opens another. Nothing in the messages need be the same, but
//! it invites right after it was invited, and it rings, answers and refuses right after its own callee did.

use super::clue::Clue;
use super::participants::shared_address;
use super::side::{Progress, Side, same_party, user};
use crate::base::Timestamp;
use crate::sip::{HeaderName, Message};
use bytes::Bytes;
use std::net::IpAddr;
use std::time::Duration;

/// How long after it was invited an element may invite on, when others did not answer: as long as an INVITE may
/// ring (timer C, RFC 3261 16.6 item 11).
const SET_UP: Duration = Duration::from_secs(180);
/// How late an answer may be that was given on the other leg.
const KEPT_BACK: Duration = Duration::from_secs(5);
/// How long it takes to pass on what it was told: what a loaded element needs for a response.
pub(super) const PASSED_ON: Duration = Duration::from_millis(500);
/// Capture points swap packets by that much.
const SWAPPED: i64 = 10_000_000;

/// Where `b` may go on from `a`: the element that got the INVITE of `a` and sent that of `b`, and the hop
/// on which it was invited.
pub(super) fn meeting(a: &Side<'_>, b: &Side<'_>) -> Option<(IpAddr, Progress)> {
    a.bottoms.iter().find_map(|bottom| Some((shared_address(a.leg, bottom.server, b.leg, b.top.client)?, *bottom)))
}

/// What speaks for `b` going on from `a`; `None` when they do not meet, or when what happened cannot be so.
pub(super) fn clues(a: &Side<'_>, b: &Side<'_>) -> Option<Vec<Clue>> {
    let (ip, hop) = meeting(a, b)?;
    let invited_on = later(hop.asked, b.begun)?;
    let over = hop.ended.is_some_and(|(_, time)| b.begun - time > SWAPPED);
    if invited_on > SET_UP || over || contradicts(&hop, &b.top) {
        return None;
    }
    let mut clues = vec![Clue::Meets(ip, invited_on)];
    parties(a, b, &mut clues);
    descriptions(a, b, &mut clues);
    events(a, &hop, b, &mut clues);
    Some(clues)
}

/// An answer that nobody had given yet, or one that was kept back.
fn contradicts(hop: &Progress, on: &Progress) -> bool {
    match (hop.ended, on.answered()) {
        (Some((200..300, here)), Some(there)) => passed(Some(there), Some(here), KEPT_BACK).is_none(),
        (Some((300.., here)), Some(there)) => here - there > SWAPPED,
        _ => false,
    }
}

/// How long after `cause` the `effect` was, which swapped packets may put a little before it.
fn later(cause: Timestamp, effect: Timestamp) -> Option<Duration> {
    (effect - cause >= -SWAPPED).then(|| effect.since(cause))
}

fn passed(cause: Option<Timestamp>, effect: Option<Timestamp>, within: Duration) -> Option<Duration> {
    later(cause?, effect?).filter(|later| *later <= within)
}

/// The numbers in From, To and what stands for them.
fn parties(a: &Side<'_>, b: &Side<'_>, clues: &mut Vec<Clue>) {
    let share = |message: &Message, part: &[u8]| message.raw().slice_ref(part);
    let caller = user(a.invite.from_uri());
    if callers(b.invite).any(|other| same_party(caller, other)) {
        clues.push(Clue::Caller(share(a.invite, caller)));
    }
    if let Some(callee) = callees(a.invite).find(|one| callees(b.invite).any(|other| same_party(one, other))) {
        clues.push(Clue::Callee(share(a.invite, callee)));
    } else if let Some(callee) = callees(a.invite).find(|one| diverted(b.invite).any(|other| same_party(one, other))) {
        clues.push(Clue::Diverted(share(a.invite, callee)));
    }
}

/// Users that the INVITE says it comes from.
pub(super) fn callers(invite: &Message) -> impl Iterator<Item = &[u8]> {
    let asserted = invite.addresses(HeaderName::PAssertedIdentity).map(|address| address.uri);
    std::iter::once(invite.from_uri()).chain(asserted).map(user)
}

/// Users that the INVITE is for.
pub(super) fn callees(invite: &Message) -> impl Iterator<Item = &[u8]> {
    [invite.to_uri(), invite.request_uri()].into_iter().map(user)
}

/// Users that the INVITE was for before.
pub(super) fn diverted(invite: &Message) -> impl Iterator<Item = &[u8]> {
    let before = invite.addresses(HeaderName::Diversion).chain(invite.addresses(HeaderName::HistoryInfo));
    before.map(|address| user(address.uri))
}

/// Session descriptions that the element did not write anew.
fn descriptions(a: &Side<'_>, b: &Side<'_>, clues: &mut Vec<Clue>) {
    let origin = |side: &Side<'_>| {
        let origin = side.invite.sdp()?.origin;
        let told = [origin.username, origin.session_id, origin.address];
        (!told[1].is_empty()).then(|| told.map(Bytes::copy_from_slice))
    };
    if origin(a).is_some_and(|one| origin(b) == Some(one)) {
        clues.push(Clue::SdpOrigin);
    }
    let media = b.media();
    if a.media().iter().any(|one| media.contains(one)) {
        clues.push(Clue::Media);
    }
}

/// What happened to `b` and then to `a`.
fn events(a: &Side<'_>, hop: &Progress, b: &Side<'_>, clues: &mut Vec<Clue>) {
    clues.extend(passed(b.top.rang, hop.rang, PASSED_ON).map(Clue::Rang));
    clues.extend(passed(b.top.answered(), hop.answered(), PASSED_ON).map(Clue::Answered));
    let ended = hop.ended.map(|(_, time)| time);
    if let (Some((here @ 300.., at)), Some((there @ 300.., cause))) = (hop.ended, b.top.ended)
        && ![here, there].contains(&487)
    {
        clues.extend(passed(Some(cause), Some(at), PASSED_ON).map(|later| Clue::Refused(there, here, later)));
    }
    let given_up = || passed(ended, b.cancelled(), PASSED_ON).or_else(|| passed(b.cancelled(), ended, PASSED_ON));
    clues.extend(match a.cancelled() {
        Some(_) => passed(a.cancelled(), b.cancelled(), PASSED_ON).map(Clue::Cancelled),
        None => given_up().map(Clue::GivenUp),
    });
    let (here, there) = (a.released(), b.released());
    clues.extend(passed(here, there, PASSED_ON).or_else(|| passed(there, here, PASSED_ON)).map(Clue::Released));
}
