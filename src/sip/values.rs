//! Values of a word or number with parameters: Event, Subscription-State, Session-Expires, Retry-After, Reason,
//! Warning, Replaces, RAck.

use super::grammar::{Parsed, decimal, lws, number, param, quoted, split_top, token, trim};
use memchr::memchr;
use nom::Parser;
use nom::combinator::all_consuming;

/// What stands before the first semicolon, and the parameters behind it.
fn value_params(value: &[u8]) -> (&[u8], &[u8]) {
    let (first, params) = split_top(value, b';');
    (trim(first), params.unwrap_or_default())
}

/// A number of 32 bits, such as seconds.
pub(super) fn small(value: &[u8]) -> Option<u32> {
    decimal(trim(value)).and_then(|number| u32::try_from(number).ok())
}

/// Event (RFC 6665 8.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// Event package with its templates, such as `presence.winfo`.
    pub package: &'a [u8],
    /// Parameters as written.
    pub params: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (package, params) = value_params(value);
        token(package).is_ok_and(|(rest, _)| rest.is_empty()).then_some(Self { package, params })
    }

    /// `id`, by which a phone tells its subscriptions apart.
    pub fn id(&self) -> Option<&'a [u8]> {
        param(self.params, "id")
    }
}

/// Subscription-State (RFC 6665 8.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated`, ...
    pub state: &'a [u8],
    /// Why it is terminated: `timeout`, `noresource`, ...
    pub reason: Option<&'a [u8]>,
    /// Seconds that are left.
    pub expires: Option<u32>,
    /// Seconds after which to subscribe again.
    pub retry_after: Option<u32>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (state, params) = value_params(value);
        let seconds = |name| param(params, name).and_then(small);
        let (expires, retry_after) = (seconds("expires"), seconds("retry-after"));
        let whole = token(state).is_ok_and(|(rest, _)| rest.is_empty());
        whole.then_some(Self { state, reason: param(params, "reason"), expires, retry_after })
    }

    /// Whether the subscription is over.
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case(b"terminated")
    }
}

/// Session-Expires (RFC 4028 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// Seconds until the session ends unless it is refreshed.
    pub seconds: u32,
    /// Who refreshes it, when it is settled.
    pub refresher: Option<Refresher>,
}

/// Who refreshes a session (RFC 4028 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

impl SessionExpires {
    /// Reads one value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (seconds, params) = value_params(value);
        let refresher = match param(params, "refresher") {
            Some(side) if side.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(Self { seconds: small(seconds)?, refresher })
    }
}

/// Retry-After (RFC 3261 20.33).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryAfter<'a> {
    /// Seconds to wait.
    pub seconds: u32,
    /// What stands in round brackets; empty when nothing does.
    pub comment: &'a [u8],
    /// Seconds the other side is likely to be there then.
    pub duration: Option<u32>,
}

impl<'a> RetryAfter<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (before, comment, after) = match memchr(b'(', value) {
            Some(open) => {
                let close = memchr::memrchr(b')', value).filter(|close| *close > open)?;
                (&value[..open], &value[open + 1..close], &value[close + 1..])
            }
            None => (value, b"".as_slice(), b"".as_slice()),
        };
        let (seconds, params) = value_params(before);
        let duration = param(params, "duration").or_else(|| param(after, "duration"));
        Some(Self { seconds: small(seconds)?, comment, duration: duration.and_then(small) })
    }
}

/// Reason (RFC 3326 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850`, ... as written.
    pub protocol: &'a [u8],
    /// `cause`, a status or a release cause.
    pub cause: Option<u32>,
    /// `text` without quotes; empty when there is none.
    pub text: &'a [u8],
}

impl<'a> Reason<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (protocol, params) = value_params(value);
        let whole = token(protocol).is_ok_and(|(rest, _)| rest.is_empty());
        let text = param(params, "text").unwrap_or_default();
        whole.then_some(Self { protocol, cause: param(params, "cause").and_then(small), text })
    }
}

/// Warning (RFC 3261 20.43).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Warning<'a> {
    /// Three digits, 300 to 399 in SIP.
    pub code: u16,
    /// Who says so: `host[:port]` or a name.
    pub agent: &'a [u8],
    /// What it says, without quotes.
    pub text: &'a [u8],
}

impl<'a> Warning<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        fn parts(input: &[u8]) -> Parsed<'_, (u64, &[u8], &[u8])> {
            let (input, (code, _)) = (number, lws).parse(input)?;
            let (input, agent) = nom::bytes::complete::take_till1(super::grammar::is_lws)(input)?;
            let (rest, (_, text)) = all_consuming((lws, quoted)).parse(input)?;
            Ok((rest, (code, agent, text)))
        }
        let (_, (code, agent, text)) = parts(trim(value)).ok()?;
        Some(Self { code: u16::try_from(code).ok().filter(|code| (100..1000).contains(code))?, agent, text })
    }
}

/// Replaces (RFC 3891 6.1): the dialog whose place this call takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaces<'a> {
    /// Call-ID of that dialog.
    pub call_id: &'a [u8],
    /// The tag of the side that gets this.
    pub to_tag: &'a [u8],
    /// The tag of the other side.
    pub from_tag: &'a [u8],
    /// Whether only a dialog that is not yet answered may be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (call_id, params) = value.split_at(memchr(b';', value)?);
        let (to_tag, from_tag) = (param(params, "to-tag")?, param(params, "from-tag")?);
        let early_only = param(params, "early-only").is_some();
        Some(Self { call_id: trim(call_id), to_tag, from_tag, early_only })
    }
}

/// RAck (RFC 3262 7.2): the reliable response that a PRACK acknowledges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RAck<'a> {
    /// RSeq of that response.
    pub rseq: u32,
    /// CSeq number of that response.
    pub cseq: u32,
    /// CSeq method of that response.
    pub method: &'a [u8],
}

impl<'a> RAck<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        type Parts<'a> = (u64, &'a [u8], u64, &'a [u8], &'a [u8]);
        fn parts(input: &[u8]) -> Parsed<'_, Parts<'_>> {
            all_consuming((number, lws, number, lws, token)).parse(input)
        }
        let (_, (rseq, _, cseq, _, method)) = parts(trim(value)).ok()?;
        Some(Self { rseq: u32::try_from(rseq).ok()?, cseq: u32::try_from(cseq).ok()?, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_states_are_read() {
        let event = Event::parse(b"presence.winfo ; id=7").unwrap();
        assert_eq!((event.package, event.id()), (b"presence.winfo".as_slice(), Some(b"7".as_slice())));
        let state = SubscriptionState::parse(b"Terminated;reason=timeout;retry-after=30").unwrap();
        assert!(state.is_terminated());
        let expected = (Some(b"timeout".as_slice()), None, Some(30));
        assert_eq!((state.reason, state.expires, state.retry_after), expected);
        assert_eq!((Event::parse(b""), SubscriptionState::parse(b"a b")), (None, None));
    }

    #[test]
    fn session_timers_are_read() {
        let parse = |value: &[u8]| SessionExpires::parse(value).map(|timer| (timer.seconds, timer.refresher));
        assert_eq!(parse(b"1800;refresher=UAS"), Some((1800, Some(Refresher::Uas))));
        assert_eq!(parse(b" 90 "), Some((90, None)));
        assert_eq!(parse(b"4294967296"), None);
    }

    #[test]
    fn waits_are_read_with_comments() {
        let parse =
            |value: &'static [u8]| RetryAfter::parse(value).map(|wait| (wait.seconds, wait.comment, wait.duration));
        assert_eq!(parse(b"18000;duration=3600"), Some((18000, b"".as_slice(), Some(3600))));
        assert_eq!(
            parse(b"120 (I'm in a (long); meeting) ;duration=5"),
            Some((120, b"I'm in a (long); meeting".as_slice(), Some(5)))
        );
        assert_eq!((parse(b"120 (open"), parse(b"soon"), parse(b"")), (None, None, None));
    }

    #[test]
    fn reasons_and_warnings_are_read() {
        let reason = Reason::parse(b"Q.850 ;cause=16 ;text=\"Call; ended\"").unwrap();
        assert_eq!(
            (reason.protocol, reason.cause, reason.text),
            (b"Q.850".as_slice(), Some(16), b"Call; ended".as_slice())
        );
        let warning = Warning::parse(b"301 isi.edu:5060 \"not \\\" here\"").unwrap();
        assert_eq!(
            (warning.code, warning.agent, warning.text),
            (301, b"isi.edu:5060".as_slice(), b"not \\\" here".as_slice())
        );
        for bad in [&b"1812 overture \"x\""[..], b"301 x", b"301 x \"y", b"301 \"y\"", b"x y \"z\""] {
            assert_eq!(Warning::parse(bad), None);
        }
    }

    #[test]
    fn dialogs_and_responses_are_named() {
        let replaces = Replaces::parse(b"98732@x ;from-tag=r33 ; to-tag=f44;early-only").unwrap();
        let expected = (b"98732@x".as_slice(), b"f44".as_slice(), b"r33".as_slice(), true);
        assert_eq!((replaces.call_id, replaces.to_tag, replaces.from_tag, replaces.early_only), expected);
        assert_eq!(Replaces::parse(b"98732@x;to-tag=f44"), None);
        let rack = RAck::parse(b"776656 1\r\n INVITE").unwrap();
        assert_eq!((rack.rseq, rack.cseq, rack.method), (776_656, 1, b"INVITE".as_slice()));
        assert_eq!((RAck::parse(b"1 INVITE"), RAck::parse(b"4294967296 1 INVITE")), (None, None));
    }
}
