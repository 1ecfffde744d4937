//! Header names and the walk over a header section (RFC 3261 7.3).

use super::grammar::{trim_end, trim_line};
use super::hot::near;

macro_rules! header_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(/ $compact:literal)?),* $(,)?) => {
        /// A header field name that rules or reports know; matching ignores case and takes compact forms.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum HeaderName {
            $($(#[$doc])* $variant,)*
            /// Any other name.
            Other,
        }

        /// Long and compact names.
        const NAMES: &[(&str, HeaderName)] =
            &[$(($name, HeaderName::$variant), $(($compact, HeaderName::$variant),)?)*];
    };
}

header_names! {
    /// RFC 3261 20.42.
    Via = "Via" / "v",
    /// RFC 3261 20.20.
    From = "From" / "f",
    /// RFC 3261 20.39.
    To = "To" / "t",
    /// RFC 3261 20.8.
    CallId = "Call-ID" / "i",
    /// RFC 3261 20.16.
    CSeq = "CSeq",
    /// RFC 3261 20.22.
    MaxForwards = "Max-Forwards",
    /// RFC 3261 20.10.
    Contact = "Contact" / "m",
    /// RFC 3261 20.14.
    ContentLength = "Content-Length" / "l",
    /// RFC 3261 20.15.
    ContentType = "Content-Type" / "c",
    /// RFC 3261 20.30.
    RecordRoute = "Record-Route",
    /// RFC 3261 20.34.
    Route = "Route",
    /// RFC 3261 20.19.
    Expires = "Expires",
    /// RFC 3261 20.23.
    MinExpires = "Min-Expires",
    /// RFC 3261 20.44.
    WwwAuthenticate = "WWW-Authenticate",
    /// RFC 3261 20.27.
    ProxyAuthenticate = "Proxy-Authenticate",
    /// RFC 3261 20.7.
    Authorization = "Authorization",
    /// RFC 3261 20.28.
    ProxyAuthorization = "Proxy-Authorization",
    /// RFC 3261 20.6.
    AuthenticationInfo = "Authentication-Info",
    /// RFC 3261 20.32.
    Require = "Require",
    /// RFC 3261 20.37.
    Supported = "Supported" / "k",
    /// RFC 3261 20.40.
    Unsupported = "Unsupported",
    /// RFC 3261 20.5.
    Allow = "Allow",
    /// RFC 3261 20.33.
    RetryAfter = "Retry-After",
    /// RFC 3261 20.43.
    Warning = "Warning",
    /// RFC 3326.
    Reason = "Reason",
    /// RFC 3262 7.1.
    RSeq = "RSeq",
    /// RFC 3262 7.2.
    RAck = "RAck",
    /// RFC 4028 4.
    SessionExpires = "Session-Expires" / "x",
    /// RFC 4028 5.
    MinSe = "Min-SE",
    /// RFC 6665 8.2.1.
    Event = "Event" / "o",
    /// RFC 6665 8.2.3.
    SubscriptionState = "Subscription-State",
    /// RFC 3515 2.1.
    ReferTo = "Refer-To" / "r",
    /// RFC 3892 3.
    ReferredBy = "Referred-By" / "b",
    /// RFC 3891 6.1.
    Replaces = "Replaces",
    /// RFC 3911 7.1.
    Join = "Join",
    /// RFC 3261 20.41.
    UserAgent = "User-Agent",
    /// RFC 3261 20.35.
    Server = "Server",
    /// RFC 3261 20.36.
    Subject = "Subject" / "s",
    /// RFC 3325 9.1.
    PAssertedIdentity = "P-Asserted-Identity",
    /// RFC 5806.
    Diversion = "Diversion",
    /// RFC 7044 5.
    HistoryInfo = "History-Info",
    /// RFC 3261 20.29.
    ProxyRequire = "Proxy-Require",
    /// RFC 3261 20.17.
    Date = "Date",
    /// RFC 3261 20.1.
    Accept = "Accept",
    /// RFC 7989.
    SessionId = "Session-ID",
    /// RFC 4488 4.
    ReferSub = "Refer-Sub",
    /// RFC 3903 11.3.1.
    SipETag = "SIP-ETag",
    /// RFC 3903 11.3.2.
    SipIfMatch = "SIP-If-Match",
    /// RFC 8224 4.
    Identity = "Identity" / "y",
}

impl HeaderName {
    /// The header of that name, long or compact.
    pub fn from_bytes(name: &[u8]) -> Self {
        let (known, header) = SLOTS[slot(name)];
        let known = known.as_bytes();
        if same(known, name) || known.eq_ignore_ascii_case(name) { header } else { Self::Other }
    }

    /// The long name as RFC 3261 writes it; empty for [`HeaderName::Other`].
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, header)| *header == self).map_or("", |(name, _)| name)
    }
}

/// By header, the first letters of its names as bits (of the lower five bits of the letter): tells the
/// lines of most other headers without looking for their colon.
const INITIALS: [u32; HeaderName::Other as usize + 1] = {
    let mut initials = [0; HeaderName::Other as usize + 1];
    let mut at = 0;
    while at < NAMES.len() {
        let (name, header) = NAMES[at];
        initials[header as usize] |= 1 << (name.as_bytes()[0] & 31);
        at += 1;
    }
    initials[HeaderName::Other as usize] = u32::MAX;
    initials
};

/// Every name at its [`slot`], so that one comparison tells a header.
const SLOTS: [(&str, HeaderName); 256] = {
    let mut slots = [("", HeaderName::Other); 256];
    let mut at = 0;
    while at < NAMES.len() {
        let slot = slot(NAMES[at].0.as_bytes());
        assert!(slots[slot].0.is_empty(), "two names in one slot: choose other factors in `slot`");
        slots[slot] = NAMES[at];
        at += 1;
    }
    slots
};

/// Whether two short texts are the same, compared by words that overlap.
#[inline]
fn same(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len()
        && match (ours.first_chunk::<8>(), ours.last_chunk::<8>(), theirs.first_chunk::<8>(), theirs.last_chunk::<8>())
        {
            (Some(a), Some(b), Some(x), Some(y)) => a == x && b == y && (ours.len() <= 16 || ours == theirs),
            _ => ours.iter().eq(theirs),
        }
}

/// Length, first and last letter tell the known names apart, with these factors (found by trial).
const fn slot(name: &[u8]) -> usize {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) => (name.len() + (*first | 0x20) as usize * 39 + (*last | 0x20) as usize * 175) % 256,
        _ => 0,
    }
}

/// One header field of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Which one.
    pub name: HeaderName,
    /// The name as written, without the white space before the colon; the whole line when it has no colon.
    pub raw_name: &'a [u8],
    /// The value, trimmed at both ends; folds within it are kept.
    pub value: &'a [u8],
    /// Where the field begins, in bytes of [`super::Message::raw`].
    pub offset: u32,
}

/// The header fields of a message, in order; at most [`crate::base::limits::HEADERS_PER_MESSAGE`].
#[derive(Clone, Debug)]
pub struct Headers<'a>(std::iter::Take<Fields<'a>>);

impl<'a> Headers<'a> {
    /// Of at most `room` fields.
    pub(super) fn new(fields: Fields<'a>, room: usize) -> Self {
        Self(fields.take(room))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|field| Header {
            name: HeaderName::from_bytes(field.name),
            raw_name: field.name,
            value: field.value,
            offset: field.at as u32,
        })
    }
}

/// The values of one header, in order; looks at as many fields as [`Headers`].
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    fields: Fields<'a>,
    room: usize,
    name: HeaderName,
}

impl<'a> Values<'a> {
    /// Of at most `room` fields.
    pub(super) fn new(fields: Fields<'a>, room: usize, name: HeaderName) -> Self {
        Self { fields, room, name }
    }

    /// Of a header that is known not to be there.
    pub(super) fn none(name: HeaderName) -> Self {
        Self { fields: Fields::new(b"", 0), room: 0, name }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let initials = INITIALS[self.name as usize];
        while self.room > 0 {
            self.room -= 1;
            let (at, line) = self.fields.line()?;
            let may_be = line.first().is_some_and(|first| initials >> (first & 31) & 1 == 1);
            if may_be {
                let field = Field::new(at, line);
                if HeaderName::from_bytes(field.name) == self.name {
                    return Some(field.value);
                }
            }
        }
        None
    }
}

/// A header field before its name is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) at: usize,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) has_colon: bool,
}

impl<'a> Field<'a> {
    fn new(at: usize, line: &'a [u8]) -> Self {
        match near(b':', line) {
            Some(colon) => {
                let (name, value) = (trim_end(&line[..colon]), trim_line(&line[colon + 1..]));
                Self { at, name, value, has_colon: true }
            }
            None => Self { at, name: trim_end(line), value: b"", has_colon: false },
        }
    }
}

/// Walks over the lines of a header section, folds joined, up to the empty line.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    raw: &'a [u8],
    at: usize,
    body: Option<usize>,
}

impl<'a> Fields<'a> {
    /// Begins at `at`, just behind the start line.
    pub(super) fn new(raw: &'a [u8], at: usize) -> Self {
        Self { raw, at, body: None }
    }

    /// Where the body begins; known once the walk has come to the empty line.
    pub(super) fn body(&self) -> Option<usize> {
        self.body
    }

    /// Whether the field that was read last goes to the end of the bytes without a line end.
    pub(super) fn is_cut(&self) -> bool {
        self.at >= self.raw.len() && self.raw.last() != Some(&b'\n')
    }

    /// Where the next field begins.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What has not been walked over.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.raw.get(self.at..).unwrap_or_default()
    }

    /// Passes over a field of `len` bytes that somebody else has read.
    #[inline]
    pub(super) fn pass(&mut self, len: usize) {
        self.at += len;
    }

    /// The next field, its folded lines included: where it begins and its bytes, at least one.
    #[inline]
    fn line(&mut self) -> Option<(usize, &'a [u8])> {
        let at = self.at;
        if *self.raw.get(at)? <= b'\r' && self.is_end(at) {
            return None;
        }
        let mut end = self.line_end(at);
        while matches!(self.raw.get(end), Some(b' ' | b'\t')) {
            end = self.line_end(end);
        }
        self.at = end;
        Some((at, &self.raw[at..end]))
    }

    /// Whether the header section ends at `at`: with an empty line.
    fn is_end(&mut self, at: usize) -> bool {
        self.body = self.body.or(match self.raw[at..] {
            [b'\n', ..] => Some(at + 1),
            [b'\r', b'\n', ..] => Some(at + 2),
            _ => None,
        });
        self.body.is_some()
    }

    /// Where the line that begins at `from` ends, its line feed included.
    #[inline]
    fn line_end(&self, from: usize) -> usize {
        self.raw.get(from..).and_then(|rest| near(b'\n', rest)).map_or(self.raw.len(), |at| from + at + 1)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line().map(|(at, line)| Field::new(at, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_compact_names_are_known_in_any_case() {
        for (name, header) in NAMES {
            assert_eq!(HeaderName::from_bytes(name.to_uppercase().as_bytes()), *header);
            assert_eq!(HeaderName::from_bytes(name.to_lowercase().as_bytes()), *header);
            assert!(header.name().len() >= name.len());
        }
        for other in ["", "q", "\0", "Fromm", "Content-Lengths"] {
            assert_eq!(HeaderName::from_bytes(other.as_bytes()), HeaderName::Other, "{other:?}");
        }
    }

    #[test]
    fn folds_join_and_the_empty_line_ends() {
        let mut fields = Fields::new(b"A : 1\r\n  2\r\nno colon\nB:\r\n\tx\n\nbody: 1", 0);
        let found: Vec<_> = fields.by_ref().map(|f| (f.at, f.name, f.value, f.has_colon)).collect();
        let expected: Vec<(usize, &[u8], &[u8], bool)> =
            vec![(0, b"A", b"1\r\n  2", true), (12, b"no colon", b"", false), (21, b"B", b"x", true)];
        assert_eq!(found, expected);
        assert_eq!(fields.body(), Some(29));
    }
}
