//! What legs say themselves of other legs: identifiers that a back-to-back user agent passes through, and
//! headers that name another dialog.

use super::clue::Clue;
use super::side::{Side, user};
use crate::base::Timestamp;
use crate::session::MessageNo;
use crate::sip::{Address, HeaderName, Message, Method, Replaces, Uri};
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::time::Duration;

/// Headers in which elements pass on the Call-ID of the other leg, or one value on all legs of a call.
pub const LEG_HEADERS: [&str; 9] = [
    "X-Call-ID",
    "X-CID",
    "X-Original-Call-ID",
    "X-Correlation-ID",
    "X-BroadWorks-Correlation-Info",
    "X-Genesys-CallUUID",
    "X-FS-Call-UUID",
    "X-UCID",
    "Cisco-Guid",
];
/// Values of leg headers are short; what is longer is something else.
const VALUE: std::ops::RangeInclusive<usize> = 6..=256;
/// How long after a REFER its INVITE comes: somebody may have to agree first.
const REFERRED: Duration = Duration::from_secs(64);
/// REFERs of one leg that are looked at.
const REFERS: usize = 8;
/// Shortest Call-ID, or part of one before its host, that is no chance.
const PART: usize = 16;
/// Longest piece that an element puts before or behind it.
const AFFIX: usize = 40;

/// Something that two legs may share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Key {
    /// A half of a Session-ID, in lower case.
    SessionId(Bytes),
    Icid(Bytes),
    /// Value of the header with this index.
    Header(u16, Bytes),
}

/// A leg under a key.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) key: Key,
    /// Of a Session-ID: it is the half of whoever was called.
    pub(super) of_callee: bool,
}

/// A leg that names the Call-ID of another.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) call_id: Bytes,
    pub(super) clue: Clue,
}

/// A REFER that asks for a new call.
#[derive(Clone, Debug)]
pub(super) struct Referral {
    /// User of the target; its host when it has none.
    pub(super) target: Bytes,
    time: Timestamp,
    /// Who got it, on any hop.
    receivers: SmallVec<[IpAddr; 4]>,
    /// User of Referred-By, or else of who sent it.
    referrer: Bytes,
}

/// Everything of one leg.
#[derive(Clone, Debug, Default)]
pub(super) struct Identifiers {
    pub(super) shared: Vec<Shared>,
    pub(super) named: Vec<Named>,
    pub(super) referrals: Vec<Referral>,
}

impl Identifiers {
    pub(super) fn of(side: &Side<'_>, headers: &[String]) -> Self {
        let mut all = Self::default();
        let invite = side.invite;
        for header in invite.headers() {
            match header.name {
                HeaderName::SessionId if all.shared.is_empty() => all.session_id(side, header.value),
                HeaderName::Replaces => all.names_dialog("Replaces", invite, header.value),
                HeaderName::Join => all.names_dialog("Join", invite, header.value),
                HeaderName::Other => all.other(invite, header.raw_name, header.value, headers),
                _ => {}
            }
        }
        for transaction in side.leg.transactions.iter().filter(|t| t.method == Method::Refer).take(REFERS) {
            if let Some(request) = transaction.request {
                all.refer(side, request);
            }
        }
        all
    }

    /// RFC 7989 5: the INVITE has the half of the caller, its responses that of the callee first.
    fn session_id(&mut self, side: &Side<'_>, value: &[u8]) {
        let mut share = |half: Option<Bytes>, of_callee| {
            self.shared.extend(half.map(|half| Shared { key: Key::SessionId(half), of_callee }));
        };
        share(half(value), false);
        let response = side.top_response();
        share(response.and_then(|response| half(response.header(HeaderName::SessionId)?)), true);
    }

    fn other(&mut self, invite: &Message, name: &[u8], value: &[u8], headers: &[String]) {
        if name.eq_ignore_ascii_case(b"P-Charging-Vector") {
            let icid = param(value, b"icid-value").filter(|icid| VALUE.contains(&icid.len()));
            self.shared
                .extend(icid.map(|icid| Shared { key: Key::Icid(invite.raw().slice_ref(icid)), of_callee: false }));
        } else if name.eq_ignore_ascii_case(b"Target-Dialog") {
            self.names_dialog("Target-Dialog", invite, value);
        } else if let Some(at) = headers.iter().position(|header| name.eq_ignore_ascii_case(header.as_bytes()))
            && VALUE.contains(&value.len())
        {
            let value = invite.raw().slice_ref(value);
            let clue = Clue::NamesCallId(headers[at].clone(), value.clone());
            self.named.push(Named { call_id: value.clone(), clue });
            self.shared.push(Shared { key: Key::Header(at as u16, value), of_callee: false });
        }
    }

    fn names_dialog(&mut self, header: &'static str, message: &Message, value: &[u8]) {
        let id = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !id.is_empty() {
            self.named.push(Named { call_id: message.raw().slice_ref(id), clue: Clue::NamesDialog(header) });
        }
    }

    /// RFC 3515 2.1: the target, which may carry a Replaces of its own (RFC 5589 7.2).
    fn refer(&mut self, side: &Side<'_>, request: MessageNo) {
        let refer = &side.seen(request).message;
        let Some(address) = refer.header(HeaderName::ReferTo).and_then(Address::parse) else {
            return;
        };
        let Some(uri) = Uri::parse(address.uri) else {
            return;
        };
        let asks_for = |field: &&[u8]| field.len() > 9 && field[..9].eq_ignore_ascii_case(b"Replaces=");
        if let Some(replaces) = uri.headers.split(|byte| *byte == b'&').find(asks_for) {
            let replaces = unescape(&replaces[9..]);
            if let Some(call_id) = Replaces::parse(&replaces).map(|replaces| Bytes::copy_from_slice(replaces.call_id)) {
                self.named.push(Named { call_id, clue: Clue::ReferReplaces });
            }
            return;
        }
        let target = if uri.user.is_empty() { uri.host } else { uri.user };
        let referrer = referred_by(refer).unwrap_or_else(|| user(refer.from_uri()));
        let copies = side.leg.messages.iter().filter(|message| {
            let other = &side.seen_at(message.seen).message;
            other.method() == Method::Refer && other.is_request() && other.cseq_number() == refer.cseq_number()
        });
        let receivers = copies.take(16).flat_map(|message| side.who(message.to).addresses.iter().map(|at| at.ip));
        self.referrals.push(Referral {
            target: refer.raw().slice_ref(target),
            time: side.seen(request).time,
            receivers: receivers.collect(),
            referrer: refer.raw().slice_ref(referrer),
        });
    }
}

impl Referral {
    /// What shows that `side` is the call that was asked for.
    pub(super) fn clue(&self, side: &Side<'_>) -> Option<Clue> {
        let waited = side.begun - self.time;
        if waited < 0 || side.begun.since(self.time) > REFERRED || target_of(side.invite) != Some(&self.target[..]) {
            return None;
        }
        let sent = side.who(side.top.client).addresses.iter().any(|at| self.receivers.contains(&at.ip));
        match referred_by(side.invite) {
            Some(by) if by == self.referrer => Some(Clue::ReferredBy(self.target.clone())),
            None if sent => Some(Clue::Referred(self.target.clone())),
            _ => None,
        }
    }
}

/// Whom an INVITE is for, as [`Referral::target`].
pub(super) fn target_of(invite: &Message) -> Option<&[u8]> {
    let uri = Uri::parse(invite.to_uri())?;
    Some(if uri.user.is_empty() { uri.host } else { uri.user })
}

fn referred_by(message: &Message) -> Option<&[u8]> {
    let by = user(Address::parse(message.header(HeaderName::ReferredBy)?)?.uri);
    (!by.is_empty()).then_some(by)
}

/// The first half of a Session-ID: 32 hex digits that are not all 0 (RFC 7989 5).
fn half(value: &[u8]) -> Option<Bytes> {
    let id = value.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_one = id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|byte| *byte != b'0');
    is_one.then(|| id.to_ascii_lowercase().into())
}

/// A parameter of `name=value;name=value`, without quotes.
fn param<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    value.split(|byte| *byte == b';').find_map(|part| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        let value = part[at + 1..].trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        part[..at].trim_ascii().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// `%40` is `@`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| (byte as char).to_digit(16);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                plain.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                rest = tail;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

/// The part of a Call-ID before its host.
pub(super) fn local_part(call_id: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'@', call_id).unwrap_or(call_id.len());
    &call_id[..end]
}

/// What is left of a Call-ID when an element put something before or behind it: cut at one of its outer
/// separators, long enough to be no chance. The local part itself comes first.
pub(super) fn stems(call_id: &[u8]) -> impl Iterator<Item = &[u8]> {
    let local = local_part(call_id);
    let separators = move || local.iter().enumerate().filter(|(_, byte)| b"-_.:~;+".contains(byte)).map(|(at, _)| at);
    let behind = separators().take(3).filter(|at| *at <= AFFIX).map(move |at| &local[at + 1..]);
    let last = move |at: &usize| local.len() - at <= AFFIX;
    let before = local.iter().enumerate().rev().filter(|(_, byte)| b"-_.:~;+".contains(byte)).map(|(at, _)| at);
    let before = before.take(3).filter(last).map(move |at| &local[..at]);
    std::iter::once(local).chain(behind).chain(before).filter(|stem| stem.len() >= PART)
}

/// The Call-ID, or the part of it, that both have.
pub(super) fn common_part<'a>(a: &'a [u8], b: &'a [u8]) -> Option<&'a [u8]> {
    let (whole_a, whole_b) = (local_part(a), local_part(b));
    let in_b = stems(b).find(|stem| *stem == whole_a);
    in_b.or_else(|| stems(a).find(|stem| *stem == whole_b)).filter(|_| a != b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_with_something_before_or_behind_is_known() {
        let id = b"a84b4c76e66710bd85@10.0.0.1".as_slice();
        for other in [
            "a84b4c76e66710bd85@10.0.0.2",
            "B2B-a84b4c76e66710bd85@10.0.0.2",
            "a84b4c76e66710bd85-b2b_1",
            "a84b4c76e66710bd85-b2b_1@10.0.0.1",
        ] {
            assert_eq!(common_part(id, other.as_bytes()), Some(&id[..18]), "{other}");
            assert_eq!(common_part(other.as_bytes(), id), Some(&id[..18]), "{other}");
        }
    }

    #[test]
    fn numbered_call_ids_are_not_parts_of_each_other() {
        for (a, b) in [
            ("1-4567@127.0.0.1", "11-4567@127.0.0.1"),
            ("7f83b1657ff1fc53b92d-1@h", "7f83b1657ff1fc53b92d-2@h"),
            ("call-1@10.0.0.1", "call-1@10.0.0.2"),
            ("a84b4c76e66710bd85", "xa84b4c76e66710bd85"),
        ] {
            assert_eq!(common_part(a.as_bytes(), b.as_bytes()), None, "{a} {b}");
        }
    }

    #[test]
    fn nil_and_odd_session_ids_say_nothing() {
        assert_eq!(half(b"00000000000000000000000000000000;remote=1"), None);
        assert_eq!(half(b"ab30317f1a784dc48ff824d0d3715d8"), None);
        assert_eq!(
            half(b"AB30317f1a784dc48ff824d0d3715d86 ;remote=47755a9de7794ba387653f2099600ef2").map(|id| id.len()),
            Some(32)
        );
    }

    #[test]
    fn escapes_of_a_refer_to_are_resolved() {
        assert_eq!(unescape(b"a%40b%3bto-tag%3D1%"), b"a@b;to-tag=1%");
    }
}
