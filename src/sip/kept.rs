//! What a message keeps of what was read of it, in half the bytes: a capture has millions of messages.

use super::reading::{Marks, Parts, Span};
use super::{Facts, Method};

/// A part of a message that is asked for by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    MethodName,
    Target,
    Body,
    CallId,
    Branch,
    SentBy,
    FromTag,
    ToTag,
    FromUri,
    ToUri,
}

/// [`Parts`], as small as the message allows.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) facts: Facts,
    places: Places,
    pub(super) marks: Marks,
    pub(super) status: u16,
    pub(super) via_count: u16,
    pub(super) method: Method,
    pub(super) cseq_method: Method,
}

#[derive(Clone, Debug)]
enum Places {
    Near(Near),
    /// Of a message that is too long for that, or has numbers which are.
    Far(Box<Parts>),
}

/// Where the parts of a message of less than 64 KiB lie, each at and its length.
#[derive(Clone, Copy, Debug)]
struct Near {
    cseq_number: u32,
    content_length: u32,
    headers: u16,
    spans: [(u16, u16); 10],
}

/// Stands for a number that is not there.
const NO_NUMBER: u32 = u32::MAX;

impl Kept {
    /// What was read of a message of `len` bytes.
    pub(super) fn new(parts: Parts, len: usize) -> Self {
        let Parts { facts, method, cseq_method, status, via_count, marks, .. } = parts;
        let places = Near::new(&parts, len).map_or_else(|| Places::Far(Box::new(parts)), Places::Near);
        Self { facts, places, marks, status, via_count, method, cseq_method }
    }

    /// A part of `raw`, the bytes of the message.
    #[inline]
    pub(super) fn part<'a>(&self, place: Place, raw: &'a [u8]) -> &'a [u8] {
        match &self.places {
            Places::Near(near) => {
                let (at, len) = near.spans[place as usize];
                raw.get(at.into()..usize::from(at) + usize::from(len)).unwrap_or_default()
            }
            Places::Far(parts) => parts.spans()[place as usize].in_raw(raw),
        }
    }

    /// Where a part begins, if there is one.
    #[inline]
    pub(super) fn at(&self, place: Place) -> Option<usize> {
        match &self.places {
            Places::Near(near) => Some(near.spans[place as usize]).filter(|(_, len)| *len > 0).map(|(at, _)| at.into()),
            Places::Far(parts) => {
                Some(parts.spans()[place as usize]).filter(|span| !span.is_empty()).map(|span| span.at as usize)
            }
        }
    }

    /// Where the header section begins.
    #[inline]
    pub(super) fn headers(&self) -> usize {
        match &self.places {
            Places::Near(near) => near.headers.into(),
            Places::Far(parts) => parts.headers as usize,
        }
    }

    /// Number in the CSeq.
    #[inline]
    pub(super) fn cseq_number(&self) -> Option<u32> {
        match &self.places {
            Places::Near(near) => (near.cseq_number != NO_NUMBER).then_some(near.cseq_number),
            Places::Far(parts) => parts.cseq_number,
        }
    }

    /// Content-Length.
    pub(super) fn content_length(&self) -> Option<u64> {
        match &self.places {
            Places::Near(near) => (near.content_length != NO_NUMBER).then_some(near.content_length.into()),
            Places::Far(parts) => parts.content_length,
        }
    }
}

impl Near {
    fn new(parts: &Parts, len: usize) -> Option<Self> {
        /// A number that does not look as if there were none.
        fn number(of: Option<u64>) -> Option<u32> {
            match of {
                None => Some(NO_NUMBER),
                Some(number) => u32::try_from(number).ok().filter(|number| *number != NO_NUMBER),
            }
        }
        u16::try_from(len).ok()?;
        let short = |span: Span| (span.at as u16, span.len as u16);
        Some(Self {
            cseq_number: number(parts.cseq_number.map(u64::from))?,
            content_length: number(parts.content_length)?,
            headers: parts.headers as u16,
            spans: parts.spans().map(short),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::sip::Message;

    /// What a message tells of itself.
    fn told(raw: &str) -> (Vec<Vec<u8>>, Option<u32>, Option<u64>, usize) {
        let m = Message::parse(raw.to_owned().into());
        let parts = [
            m.request_uri(),
            m.body(),
            m.call_id(),
            m.branch(),
            m.sent_by(),
            m.from_tag(),
            m.to_tag(),
            m.from_uri(),
            m.to_uri(),
        ];
        (parts.map(<[u8]>::to_vec).to_vec(), m.cseq_number(), m.content_length(), m.headers().count())
    }

    fn message(subject: &str, cseq: &str, length: &str) -> String {
        format!(
            "MESSAGE sip:a@b SIP/2.0\r\nSubject: {subject}\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: i\r\nCSeq: {cseq} MESSAGE\r\nContent-Length: {length}\r\n\r\nbody"
        )
    }

    #[test]
    fn a_long_message_tells_what_a_short_one_does() {
        let short = told(&message("x", "7", "4"));
        assert_eq!((&short.0[1][..], short.1, short.2), (b"body".as_slice(), Some(7), Some(4)));
        for len in [65_000, 65_535, 65_536, 70_000, 200_000] {
            assert_eq!(told(&message(&"x".repeat(len), "7", "4")), short, "{len} bytes");
        }
    }

    #[test]
    fn no_number_is_too_large_to_be_kept() {
        for number in [0, 1, u32::MAX - 1, u32::MAX] {
            assert_eq!(told(&message("x", &number.to_string(), "4")).1, Some(number));
            assert_eq!(told(&message("x", "7", &number.to_string())).2, Some(number.into()));
        }
        assert_eq!(told(&message("x", "7", "123456789012345")).2, Some(123_456_789_012_345));
        assert_eq!(told(&message("x", "x", "y")).1, None);
        assert_eq!(told(&message("x", "x", "y")).2, None);
    }
}
