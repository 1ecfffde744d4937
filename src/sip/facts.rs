//! What is noted of every message while it is parsed.

use super::HeaderName;
use std::ops::{BitOr, BitOrAssign};

/// Yes-or-no facts of a message, noted while it was parsed; join them with `|`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Facts(u32);

impl Facts {
    /// None.
    pub(super) const NONE: Self = Self(0);
    /// Has Authorization.
    pub const AUTHORIZATION: Self = Self(1);
    /// Has Proxy-Authorization.
    pub const PROXY_AUTHORIZATION: Self = Self(1 << 1);
    /// Has WWW-Authenticate.
    pub const WWW_AUTHENTICATE: Self = Self(1 << 2);
    /// Has Proxy-Authenticate.
    pub const PROXY_AUTHENTICATE: Self = Self(1 << 3);
    /// Has Contact.
    pub const CONTACT: Self = Self(1 << 4);
    /// Has Record-Route.
    pub const RECORD_ROUTE: Self = Self(1 << 5);
    /// Has Route.
    pub const ROUTE: Self = Self(1 << 6);
    /// Has RSeq.
    pub const RSEQ: Self = Self(1 << 7);
    /// Has RAck.
    pub const RACK: Self = Self(1 << 8);
    /// Has Require.
    pub const REQUIRE: Self = Self(1 << 9);
    /// Has Expires.
    pub const EXPIRES: Self = Self(1 << 10);
    /// Has Retry-After.
    pub const RETRY_AFTER: Self = Self(1 << 11);
    /// Has Max-Forwards.
    pub const MAX_FORWARDS: Self = Self(1 << 12);
    /// Has a body that is, or as multipart contains, `application/sdp`.
    pub const SDP: Self = Self(1 << 13);
    /// The bytes end before the header section or before Content-Length says.
    pub const CUT: Self = Self(1 << 14);
    /// The start line, Via, From, To, Call-ID or CSeq cannot be read, or is missing although the header section is whole.
    pub const MALFORMED: Self = Self(1 << 15);
    /// The start line is a status line.
    pub(super) const RESPONSE: Self = Self(1 << 16);

    /// Has Session-Expires.
    pub const SESSION_EXPIRES: Self = Self(1 << 17);
    /// Has Replaces.
    pub const REPLACES: Self = Self(1 << 18);
    /// Has Referred-By.
    pub const REFERRED_BY: Self = Self(1 << 19);
    /// Has Diversion.
    pub const DIVERSION: Self = Self(1 << 20);
    /// Has History-Info.
    pub const HISTORY_INFO: Self = Self(1 << 21);
    /// Has Reason.
    pub const REASON: Self = Self(1 << 22);
    /// Has Join.
    pub const JOIN: Self = Self(1 << 23);

    /// Whether all of `other` hold.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` holds.
    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The fact that a header of that name is there; nothing for headers that are not noted.
    pub(super) fn of(name: HeaderName) -> Self {
        match name {
            HeaderName::Authorization => Self::AUTHORIZATION,
            HeaderName::ProxyAuthorization => Self::PROXY_AUTHORIZATION,
            HeaderName::WwwAuthenticate => Self::WWW_AUTHENTICATE,
            HeaderName::ProxyAuthenticate => Self::PROXY_AUTHENTICATE,
            HeaderName::Contact => Self::CONTACT,
            HeaderName::RecordRoute => Self::RECORD_ROUTE,
            HeaderName::Route => Self::ROUTE,
            HeaderName::RSeq => Self::RSEQ,
            HeaderName::RAck => Self::RACK,
            HeaderName::Require => Self::REQUIRE,
            HeaderName::Expires => Self::EXPIRES,
            HeaderName::RetryAfter => Self::RETRY_AFTER,
            HeaderName::MaxForwards => Self::MAX_FORWARDS,
            HeaderName::SessionExpires => Self::SESSION_EXPIRES,
            HeaderName::Replaces => Self::REPLACES,
            HeaderName::ReferredBy => Self::REFERRED_BY,
            HeaderName::Diversion => Self::DIVERSION,
            HeaderName::HistoryInfo => Self::HISTORY_INFO,
            HeaderName::Reason => Self::REASON,
            HeaderName::Join => Self::JOIN,
            _ => Self(0),
        }
    }
}

impl BitOr for Facts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Facts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
