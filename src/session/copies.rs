//! Telling a packet captured twice from a message sent twice.

use super::seen::{MessageNo, Seen, Sending};
use crate::sip::Facts;
use std::time::Duration;

/// Why a message repeats an earlier one of its call on the same hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyKind {
    /// The sender sent it again (RFC 3261 17: timers A, E, G, and 13.3.1.4).
    Retransmission,
    /// The sender sent it once; the capture holds it more than once (mirror ports, several interfaces).
    CapturedTwice,
}

/// A message that repeats an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Why.
    pub kind: CopyKind,
    /// The first one.
    pub of: MessageNo,
}

/// The same IP datagram reaches all taps of one path within this time; identification values come
/// around again only after 65,536 datagrams.
const SAME_DATAGRAM: Duration = Duration::from_secs(1);
/// Without an identification only copies closer than any timer can be told.
pub const SAME_INSTANT: Duration = Duration::from_millis(20);

/// Whether `later` repeats `earlier`, a message of the same transaction.
pub(super) fn repeats(earlier: &Seen, later: &Seen) -> bool {
    let (a, b) = (&earlier.message, &later.message);
    earlier.connection.src.ip == later.connection.src.ip
        && a.is_request() == b.is_request()
        && a.method() == b.method()
        && a.status() == b.status()
        && (a.is_request() || (a.to_tag() == b.to_tag() && same_answer(earlier, later)))
}

/// A repeated response says the same again; a 183 with new media or the next reliable 1xx does not.
fn same_answer(earlier: &Seen, later: &Seen) -> bool {
    let (a, b) = (&earlier.message, &later.message);
    let rseq = |m: &crate::sip::Message| m.header(crate::sip::HeaderName::RSeq).map(<[u8]>::to_vec);
    a.body() == b.body() && (!(a.has(Facts::RSEQ) || b.has(Facts::RSEQ)) || rseq(a) == rseq(b))
}

/// Whether `later` is the very sending of `earlier`, captured again: the same bytes between the same
/// addresses, and nothing that tells two sendings apart. Never by closeness alone where there is
/// better: two proxies may well answer two requests within a millisecond. Where the header carries no
/// identification, `resent` says that the other side's repetition explains a second sending.
pub(super) fn captured_twice(earlier: &Seen, later: &Seen, resent: bool) -> bool {
    if later.interface != earlier.interface && later.sending == Sending::Unnumbered {
        return false;
    }
    let gap = later.time.since(earlier.time);
    let possible = match later.sending {
        Sending::Stream => false,
        Sending::Unnumbered => gap < SAME_INSTANT && !resent,
        Sending::Packet(_) => gap < SAME_DATAGRAM,
        // Each program has a clock of its own.
        Sending::Passed(_) => true,
    };
    possible && says_the_same(earlier, later)
}

fn says_the_same(earlier: &Seen, later: &Seen) -> bool {
    later.connection == earlier.connection
        && later.sending == earlier.sending
        && later.message.raw() == earlier.message.raw()
}

/// Whether `later` is one of the sendings that another observation point saw before: without an
/// identification only their number tells. Each point sees each sending once, so that the one which is
/// behind catches up. `earlier` has the newest first.
pub(super) fn catches_up<'a>(earlier: &(impl Iterator<Item = &'a Seen> + Clone), later: &Seen) -> bool {
    if later.sending != Sending::Unnumbered {
        return false;
    }
    let of =
        |point: u32| earlier.clone().filter(move |seen| seen.interface == point && says_the_same(seen, later)).count();
    let elsewhere = |seen: &&Seen| seen.interface != later.interface && later.time.since(seen.time) < SAME_DATAGRAM;
    let other = earlier.clone().filter(elsewhere).find(|seen| says_the_same(seen, later));
    other.is_some_and(|other| of(later.interface) < of(other.interface))
}
