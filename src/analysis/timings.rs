//! How long the parts of a call took.

use super::CallView;
use crate::base::Idx;
use crate::call::Kind;
use crate::session::{MessageNo, Transaction};
use crate::sip::Method;
use std::time::Duration;

/// How long the parts of a call took, as its caller saw them; `None` for what the capture does not show.
/// Clocks that run backwards give zero.
///
/// All but `challenge` count from the request that was accepted, or from the last one that was tried: a
/// caller that is challenged or redirected starts anew (RFC 3261 8.1.3.4, 22.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timings {
    /// First request to its 401 or 407.
    pub challenge: Option<Duration>,
    /// Call: INVITE to the first 18x, or to the 2xx that came without one.
    pub post_dial: Option<Duration>,
    /// Call: the first 18x to the final response.
    pub ringing: Option<Duration>,
    /// Request to its 2xx.
    pub set_up: Option<Duration>,
    /// Call: 2xx to BYE.
    pub talk: Option<Duration>,
}

impl Timings {
    /// Of one call.
    pub fn of(view: CallView<'_>) -> Self {
        let Some(method) = view.call.kind.method() else {
            return Self::default();
        };
        let mut attempts = attempts(view, method).peekable();
        let challenge = attempts.peek().and_then(|(_, t)| {
            let answer = t.final_response.filter(|no| matches!(view.sip(*no).status(), Some(401 | 407)))?;
            between(view, t.request?, answer)
        });
        let Some((at, t)) = attempts.max_by_key(|(at, t)| (success(view, t).is_some(), *at)) else {
            return Self { challenge, ..Self::default() };
        };
        let set_up = success(view, t).and_then(|answer| between(view, t.request?, answer));
        if view.call.kind != Kind::Call {
            return Self { challenge, set_up, ..Self::default() };
        }
        let rings = ringing(view, t);
        Self {
            challenge,
            post_dial: rings.or(success(view, t)).and_then(|answer| between(view, t.request?, answer)),
            ringing: rings.zip(t.final_response).and_then(|(rings, end)| between(view, rings, end)),
            set_up,
            talk: talk(view, at),
        }
    }
}

/// Request to the first response, 100 included.
pub fn first_response(view: CallView<'_>, t: &Transaction) -> Option<Duration> {
    between(view, t.request?, t.provisional.into_iter().chain(t.final_response).min()?)
}

/// Request to the first final response.
pub fn final_response(view: CallView<'_>, t: &Transaction) -> Option<Duration> {
    between(view, t.request?, t.final_response?)
}

/// The request of its transaction to response `no`; `None` for requests, and for copies.
pub fn response_time(view: CallView<'_>, no: MessageNo) -> Option<Duration> {
    let placed = view.call.message(no);
    if view.sip(no).is_request() || placed.copy.is_some() {
        return None;
    }
    between(view, view.call.transaction(placed.transaction?).request?, no)
}

/// Requests of `method` outside of a dialog, as whoever sent them first did.
pub(super) fn attempts(view: CallView<'_>, method: Method) -> impl Iterator<Item = (Idx<Transaction>, &Transaction)> {
    view.transactions().filter(move |(_, t)| {
        t.method == method && t.upstream.is_none() && t.request.is_some_and(|no| view.sip(no).to_tag().is_empty())
    })
}

/// The 2xx of a transaction.
pub(super) fn success(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.final_response.filter(|no| view.sip(*no).status() < Some(300))
}

/// The first response that tells the caller what is going on: 18x.
pub(super) fn ringing(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.provisional?;
    t.messages.iter().copied().find(|no| matches!(view.sip(*no).status(), Some(180..=189)))
}

pub(super) fn between(view: CallView<'_>, start: MessageNo, end: MessageNo) -> Option<Duration> {
    (start <= end).then(|| view.seen(end).time.since(view.seen(start).time))
}

/// The longest of the calls that this INVITE led to; after a fork the caller ends all but one at once.
fn talk(view: CallView<'_>, invite: Idx<Transaction>) -> Option<Duration> {
    let own = view.call.dialogs.iter().filter(|dialog| dialog.created_by.contains(&invite));
    let talks = own.filter_map(|dialog| between(view, dialog.answer?, view.call.transaction(dialog.bye?).request?));
    talks.max()
}
