//! What is noted of every message while it is parsed.

use super::HeaderName;
use std::ops::{BitOr, BitOrAssign};

/// Yes-or-no facts of a message, noted while it was parsed; join them with `|`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Facts(u64);

impl Facts {
    /// None.
    pub const NONE: Self = Self(0);
    /// Has Authorization.
    pub const AUTHORIZATION: Self = Self::of(HeaderName::Authorization);
    /// Has Proxy-Authorization.
    pub const PROXY_AUTHORIZATION: Self = Self::of(HeaderName::ProxyAuthorization);
    /// Has WWW-Authenticate.
    pub const WWW_AUTHENTICATE: Self = Self::of(HeaderName::WwwAuthenticate);
    /// Has Proxy-Authenticate.
    pub const PROXY_AUTHENTICATE: Self = Self::of(HeaderName::ProxyAuthenticate);
    /// Has Contact.
    pub const CONTACT: Self = Self::of(HeaderName::Contact);
    /// Has Record-Route.
    pub const RECORD_ROUTE: Self = Self::of(HeaderName::RecordRoute);
    /// Has Route.
    pub const ROUTE: Self = Self::of(HeaderName::Route);
    /// Has RSeq.
    pub const RSEQ: Self = Self::of(HeaderName::RSeq);
    /// Has RAck.
    pub const RACK: Self = Self::of(HeaderName::RAck);
    /// Has Require.
    pub const REQUIRE: Self = Self::of(HeaderName::Require);
    /// Has Expires.
    pub const EXPIRES: Self = Self::of(HeaderName::Expires);
    /// Has Retry-After.
    pub const RETRY_AFTER: Self = Self::of(HeaderName::RetryAfter);
    /// Has Max-Forwards.
    pub const MAX_FORWARDS: Self = Self::of(HeaderName::MaxForwards);
    /// Has Replaces.
    pub const REPLACES: Self = Self::of(HeaderName::Replaces);
    /// Has Referred-By.
    pub const REFERRED_BY: Self = Self::of(HeaderName::ReferredBy);
    /// Has Session-Expires.
    pub const SESSION_EXPIRES: Self = Self::of(HeaderName::SessionExpires);
    /// Has Diversion.
    pub const DIVERSION: Self = Self::of(HeaderName::Diversion);
    /// Has History-Info.
    pub const HISTORY_INFO: Self = Self::of(HeaderName::HistoryInfo);
    /// Has Join.
    pub const JOIN: Self = Self::of(HeaderName::Join);
    /// All of its body is `application/sdp`.
    pub(super) const ALL_SDP: Self = Self(1 << 56);
    /// Has more than one Contact field.
    pub(super) const CONTACTS: Self = Self(1 << 57);
    /// Has more than one field of Route and Record-Route.
    pub(super) const ROUTES: Self = Self(1 << 58);
    /// Has more than one field of credentials and challenges.
    pub(super) const AUTHS: Self = Self(1 << 59);
    /// Has a body that is, or as multipart contains, `application/sdp`.
    pub const SDP: Self = Self(1 << 60);
    /// The bytes end before the header section or before Content-Length says.
    pub const CUT: Self = Self(1 << 61);
    /// The start line, Via, From, To, Call-ID or CSeq cannot be read, or is missing although the header section is whole.
    pub const MALFORMED: Self = Self(1 << 62);
    /// The start line is a status line.
    pub(super) const RESPONSE: Self = Self(1 << 63);

    /// The fact that a header of that name is there, readable or not; nothing for [`HeaderName::Other`].
    pub(super) const fn of(name: HeaderName) -> Self {
        const { assert!((HeaderName::Other as u32) < 56, "the other facts need these bits") };
        match name {
            HeaderName::Other => Self(0),
            known => Self(1 << known as u32),
        }
    }

    /// Whether all of `other` hold.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` holds.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
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
