//! What shows that two legs are one call, in words and with its weight.

use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How long after it was invited an element invites on: it may look up numbers and ask for a route.
const AT_ONCE: Duration = Duration::from_secs(5);

/// One reason to take two legs for one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clue {
    /// Session-ID (RFC 7989): both halves are the same.
    SessionIds(Bytes),
    /// Session-ID: the half of whoever called is the same, or one called under it after being called under it.
    SessionId(Bytes),
    /// The header of that name holds the same value in both.
    SameHeader(String, Bytes),
    /// The header of that name holds the other's Call-ID.
    NamesCallId(String, Bytes),
    /// P-Charging-Vector (RFC 7315 5.6) has the same icid-value.
    Icid(Bytes),
    /// Replaces (RFC 3891), Join (RFC 3911) or Target-Dialog (RFC 4538) names the other's dialog.
    NamesDialog(&'static str),
    /// A REFER of one asks to replace the dialog of the other (RFC 5589 7).
    ReferReplaces,
    /// A REFER of one asks for the INVITE of the other (RFC 3515), which says so in Referred-By.
    ReferredBy(Bytes),
    /// A REFER of one asks for the INVITE that the same element then sent.
    Referred(Bytes),
    /// One Call-ID is the other with something put before or behind.
    CallIdPart(Bytes),
    /// Both INVITEs met at one element, which was asked and asked on so much later.
    Meets(IpAddr, Duration),
    /// The same caller.
    Caller(Bytes),
    /// The same callee.
    Callee(Bytes),
    /// Diversion or History-Info names whom the other called.
    Diverted(Bytes),
    /// The same SDP origin.
    SdpOrigin,
    /// The same media address.
    Media,
    /// Ringing was passed on.
    Rang(Duration),
    /// The answer was passed on.
    Answered(Duration),
    /// The refusal was passed on, as this status and then as that one.
    Refused(u16, u16, Duration),
    /// One was cancelled when the other was answered elsewhere or refused.
    GivenUp(Duration),
    /// It was over, and the next one was tried in its place.
    TriedNext(Duration),
    /// Both were cancelled together.
    Cancelled(Duration),
    /// Both were ended together.
    Released(Duration),
}

impl Clue {
    /// How much of the doubt that is left it takes away, in percent. Identifiers are made to be unique;
    /// numbers and times only add up.
    pub fn weight(&self) -> u32 {
        match self {
            Self::SessionIds(_) | Self::NamesDialog(_) | Self::ReferReplaces => 99,
            Self::NamesCallId(..) | Self::ReferredBy(_) => 97,
            Self::SessionId(_) | Self::SameHeader(..) | Self::Icid(_) => 95,
            Self::Referred(_) => 90,
            Self::CallIdPart(_) => 80,
            Self::SdpOrigin | Self::Media => 70,
            Self::Answered(_) | Self::Cancelled(_) | Self::GivenUp(_) | Self::TriedNext(_) => 50,
            Self::Refused(first, then, _) => 40 + 10 * u32::from(first == then),
            Self::Caller(_) | Self::Callee(_) | Self::Diverted(_) | Self::Released(_) => 40,
            Self::Rang(_) => 30,
            // At once, or after others were tried.
            Self::Meets(_, later) if *later <= AT_ONCE => 20,
            Self::Meets(..) => 5,
        }
    }

    /// Whether it shows one element pass on what happened to it.
    pub fn is_cause(&self) -> bool {
        matches!(
            self,
            Self::Rang(_)
                | Self::Answered(_)
                | Self::Refused(..)
                | Self::GivenUp(_)
                | Self::TriedNext(_)
                | Self::Cancelled(_)
                | Self::Released(_)
        )
    }

    /// The kind of identity that it is about, as a bit; 0 when it is only about when.
    pub fn identity(&self) -> u8 {
        match self {
            Self::Caller(_) => 1,
            Self::Callee(_) | Self::Diverted(_) => 1 << 1,
            Self::SdpOrigin => 1 << 2,
            Self::Media => 1 << 3,
            Self::CallIdPart(_) => 1 << 4,
            _ => 0,
        }
    }
}

/// How sure clues are together, in percent: each takes its share of the doubt that the others leave.
pub(super) fn confidence(clues: &[Clue]) -> u8 {
    let doubt = clues.iter().fold(1_000_000_u32, |doubt, clue| doubt * (100 - clue.weight()) / 100);
    100 - doubt.div_ceil(10_000).clamp(1, 100) as u8
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::SessionIds(id) => write!(f, "same Session-ID {}, both halves", text(id)),
            Self::SessionId(id) => write!(f, "same Session-ID {}", text(id)),
            Self::SameHeader(name, value) => write!(f, "same {name} {}", text(value)),
            Self::NamesCallId(name, id) => write!(f, "{name} is the other Call-ID {}", text(id)),
            Self::Icid(id) => write!(f, "same icid-value {} in P-Charging-Vector", text(id)),
            Self::NamesDialog(header) => write!(f, "{header} names the other dialog"),
            Self::ReferReplaces => f.write_str("REFER asks to replace the other dialog"),
            Self::ReferredBy(target) => write!(f, "REFER asked for {}, and Referred-By says so", text(target)),
            Self::Referred(target) => write!(f, "REFER asked for {}", text(target)),
            Self::CallIdPart(id) => write!(f, "one Call-ID is in the other: {}", text(id)),
            Self::Meets(ip, later) => write!(f, "{ip} was invited and invited on {} later", Brief(*later)),
            Self::Caller(user) => write!(f, "same caller {}", text(user)),
            Self::Callee(user) => write!(f, "same callee {}", text(user)),
            Self::Diverted(user) => write!(f, "diverted from {}", text(user)),
            Self::SdpOrigin => f.write_str("same SDP origin"),
            Self::Media => f.write_str("same media address"),
            Self::Rang(later) => write!(f, "ringing passed on in {}", Brief(*later)),
            Self::Answered(later) => write!(f, "answer passed on in {}", Brief(*later)),
            Self::Refused(first, then, later) if first == then => write!(f, "{first} passed on in {}", Brief(*later)),
            Self::Refused(first, then, later) => write!(f, "{first} passed on as {then} in {}", Brief(*later)),
            Self::GivenUp(apart) => write!(f, "cancelled within {} of the end of the other", Brief(*apart)),
            Self::TriedNext(later) => write!(f, "the next one was tried {} after its end", Brief(*later)),
            Self::Cancelled(apart) => write!(f, "cancelled within {} of each other", Brief(*apart)),
            Self::Released(apart) => write!(f, "ended within {} of each other", Brief(*apart)),
        }
    }
}

/// A duration of milliseconds or seconds.
struct Brief(Duration);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs_f64() {
            seconds if seconds < 1.0 => write!(f, "{:.1} ms", seconds * 1e3),
            seconds => write!(f, "{seconds:.2} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clues_add_up_and_are_never_certain() {
        let user = || Bytes::from_static(b"2001");
        let meets = Clue::Meets("192.0.2.1".parse().unwrap(), Duration::ZERO);
        assert_eq!(confidence(&[]), 0);
        assert_eq!(confidence(&[meets.clone(), Clue::Caller(user()), Clue::Callee(user())]), 71);
        assert_eq!(confidence(&[Clue::NamesDialog("Replaces")]), 99);
        assert_eq!(confidence(&vec![Clue::NamesDialog("Replaces"); 5]), 99);
    }
}
