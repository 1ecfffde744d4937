//! What the session descriptions of a call say of its media: where they go, when they move, stop and go on.

use super::facts::is_initial_invite;
use super::observed::TAGS;
use crate::analysis::CallView;
use crate::base::Idx;
use crate::call::Hop;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Direction, Media, Message, Method, Sdp};
use std::collections::BTreeMap;

/// Address and port of a media stream.
type MediaAddress = (Vec<u8>, u16);

/// How the media of a call changed after it was set up.
#[derive(Debug, Default)]
pub(super) struct Motion {
    /// The re-INVITEs, on every hop, whose offer or answer sends media elsewhere or in other directions than
    /// that side's description before; one without captured request counts, as nobody knows. Sorted.
    pub(super) moved: Vec<Idx<Transaction>>,
    /// UPDATEs that do the same, in the order of their messages.
    pub(super) updated: Vec<Idx<Transaction>>,
    /// A side stopped its media (RFC 3264 8.4).
    pub(super) held: bool,
    /// A side that had stopped its media sends again.
    pub(super) resumed: bool,
}

/// What one description says of the media of its side.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Described {
    /// Where the first stream goes, and in which directions.
    first: (Vec<u8>, u16, Direction),
    /// There are streams, and none of them is sent to its side any more.
    stopped: bool,
}

/// Where the first media stream of a message's SDP goes.
pub(super) fn media_address(message: &Message) -> Option<MediaAddress> {
    described(message).map(|described| (described.first.0, described.first.1))
}

fn described(message: &Message) -> Option<Described> {
    let sdp = message.media()?;
    let first = sdp.media.first()?;
    let mut live = sdp.media.iter().filter(|media| media.port != 0).peekable();
    let stopped = live.peek().is_some() && live.all(|media| is_stopped(&sdp, media));
    Some(Described { first: (address(&sdp, first).to_vec(), first.port, first.direction), stopped })
}

fn address<'a>(sdp: &Sdp<'a>, media: &Media<'a>) -> &'a [u8] {
    media.connection.or(sdp.connection).unwrap_or_default()
}

/// RFC 3264 8.4: whoever holds sends only or nothing; by RFC 2543 it names the address 0.0.0.0.
fn is_stopped(sdp: &Sdp<'_>, media: &Media<'_>) -> bool {
    matches!(media.direction, Direction::SendOnly | Direction::Inactive) || address(sdp, media) == b"0.0.0.0"
}

/// Looks for what changes the media of a call.
pub(super) fn motion(view: CallView<'_>) -> Motion {
    let changes = |(idx, t): (Idx<Transaction>, &Transaction)| match t.method {
        Method::Invite => !is_initial_invite(view, idx),
        Method::Update => true,
        _ => false,
    };
    if !view.transactions().any(changes) {
        return Motion::default();
    }
    let mut last: BTreeMap<(Idx<Hop>, &[u8]), Described> = BTreeMap::new();
    let mut motion = Motion::default();
    for (no, seen) in view.messages() {
        let message = &seen.message;
        let call_message = view.call.message(no);
        let Some(idx) = call_message.transaction.filter(|_| call_message.copy.is_none()) else {
            continue;
        };
        let transaction = view.call.transaction(idx);
        if !matches!(transaction.method, Method::Invite | Method::Ack | Method::Update | Method::Prack) {
            continue;
        }
        let is_reinvite = transaction.method == Method::Invite && !is_initial_invite(view, idx);
        if is_reinvite && transaction.request.is_none() {
            motion.moved.push(idx);
        }
        let Some(now) = described(message) else { continue };
        let side = if message.is_request() { message.from_tag() } else { message.to_tag() };
        if last.len() >= TAGS && !last.contains_key(&(call_message.hop, side)) {
            continue;
        }
        let before = last.insert((call_message.hop, side), now.clone());
        // What passes another hop than before has no description there yet: any of that side will do.
        let before = before.or_else(|| {
            last.iter().find(|((hop, tag), _)| *tag == side && *hop != call_message.hop).map(|(_, m)| m.clone())
        });
        let Some(before) = before else { continue };
        let is_update = transaction.method == Method::Update;
        if before.first != now.first {
            if is_reinvite {
                motion.moved.push(idx);
            } else if is_update {
                motion.updated.push(idx);
            }
        }
        if (is_reinvite || is_update) && is_offer(view, transaction, no) {
            motion.held |= now.stopped && !before.stopped;
            motion.resumed |= before.stopped && !now.stopped;
        }
    }
    motion.moved.sort_unstable();
    motion.moved.dedup();
    motion
}

/// Whether the description in `no` offers: it is in the request, or the request had none (RFC 3261 13.2.1).
fn is_offer(view: CallView<'_>, transaction: &Transaction, no: MessageNo) -> bool {
    let offered = |request: MessageNo| view.sip(request).has(crate::sip::Facts::SDP);
    transaction.request == Some(no) || transaction.request.is_some_and(|request| !offered(request))
}
