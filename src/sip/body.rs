//! Bodies: what they are, and the parts of a multipart (RFC 2046 5.1).

use super::HeaderName;
use super::grammar::{Parsed, around, param, split_top, token};
use super::header::{Fields, Headers};
use crate::base::limits::HEADERS_PER_MESSAGE;
use memchr::{memchr, memchr_iter};
use nom::Parser;

/// Bytes of a boundary (RFC 2046 5.1.1).
const BOUNDARY: usize = 70;

/// A body, or one part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Part<'a> {
    /// Content-Type as written; empty when there is none.
    pub content_type: &'a [u8],
    /// Content-Disposition as written; empty when there is none.
    pub disposition: &'a [u8],
    /// The header section of a part, its empty line included; empty for a whole body.
    pub head: &'a [u8],
    /// The content.
    pub content: &'a [u8],
}

impl<'a> Part<'a> {
    /// Whether it is `kind/subtype`; parameters and case aside.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        is_type(self.content_type, kind, Some(subtype))
    }

    /// Its header fields.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(Fields::new(self.head, 0), HEADERS_PER_MESSAGE)
    }

    /// The parts of a multipart; nothing for anything else.
    pub fn parts(&self) -> Parts<'a> {
        Parts::new(self.content_type, self.content).unwrap_or_default()
    }

    /// Reads a header section and what follows it.
    fn of_part(raw: &'a [u8]) -> Self {
        let mut fields = Fields::new(raw, 0);
        let (mut content_type, mut disposition): (&[u8], &[u8]) = (b"", b"");
        for field in fields.by_ref() {
            if HeaderName::from_bytes(field.name) == HeaderName::ContentType && content_type.is_empty() {
                content_type = field.value;
            } else if field.name.eq_ignore_ascii_case(b"Content-Disposition") && disposition.is_empty() {
                disposition = field.value;
            }
        }
        let (head, content) = raw.split_at(fields.body().unwrap_or(raw.len()));
        Self { content_type, disposition, head, content }
    }
}

/// The parts of a multipart body, in order. What stands before the first and behind the last is left out; a
/// body that is cut ends its last part.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    boundary: &'a [u8],
    /// Behind the line that begins the next part.
    rest: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// `None` when the Content-Type is no multipart or names no usable boundary.
    fn new(content_type: &'a [u8], body: &'a [u8]) -> Option<Self> {
        if !is_type(content_type, "multipart", None) {
            return None;
        }
        let (_, params) = split_top(content_type, b';');
        let boundary = param(params?, "boundary").filter(|name| !name.is_empty() && name.len() <= BOUNDARY)?;
        let mut parts = Self { boundary, rest: Some(body) };
        parts.cut();
        Some(parts)
    }

    /// Goes on behind the next delimiter; gives what stands before it, without the line end that belongs to it.
    fn cut(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let starts = std::iter::once(0).chain(memchr_iter(b'\n', rest).map(|at| at + 1));
        for start in starts {
            let Some(behind) = rest[start..].strip_prefix(b"--").and_then(|line| line.strip_prefix(self.boundary))
            else {
                continue;
            };
            let line_end = memchr(b'\n', behind).map_or(behind.len(), |at| at + 1);
            let (tail, next) = behind.split_at(line_end);
            let last = tail.starts_with(b"--");
            if last || tail.iter().all(u8::is_ascii_whitespace) {
                self.rest = (!last).then_some(next);
                let before = &rest[..start];
                let before = before.strip_suffix(b"\n").unwrap_or(before);
                return Some(before.strip_suffix(b"\r").unwrap_or(before));
            }
        }
        Some(rest)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cut().map(Part::of_part)
    }
}

/// Whether a Content-Type is `kind`, and when `subtype` is given, `kind/subtype`.
fn is_type(value: &[u8], kind: &str, subtype: Option<&str>) -> bool {
    fn parts(input: &[u8]) -> Parsed<'_, (&[u8], char, &[u8])> {
        (token, around('/'), token).parse(input)
    }
    parts(value).is_ok_and(|(_, (found, _, sub))| {
        found.eq_ignore_ascii_case(kind.as_bytes())
            && subtype.is_none_or(|subtype| sub.eq_ignore_ascii_case(subtype.as_bytes()))
    })
}

/// The part of a body that is `application/sdp`: all of it, or one of a multipart.
pub(super) fn sdp_part<'a>(content_type: &'a [u8], body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        None
    } else if content_type == b"application/sdp" || is_type(content_type, "application", Some("sdp")) {
        Some(body)
    } else {
        let mut parts = Parts::new(content_type, body)?;
        let sdp = parts.find(|part| part.is("application", "sdp") && !part.content.is_empty())?;
        Some(sdp.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b1x\r\n\r\n--b1 \r\n\
        Content-Type: application/sdp\r\nContent-Disposition: session\r\n\r\nv=0\r\n\r\n--b1--\r\nepilogue";

    #[test]
    fn parts_lie_between_the_delimiters() {
        let body = Part { content_type: b"multipart/Mixed ;a=b; boundary=\"b1\"", content: BODY, ..Part::default() };
        let parts: Vec<_> = body.parts().collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].content, b"Hello\r\n--b1x\r\n");
        assert!(parts[0].is("TEXT", "plain") && parts[1].is("application", "sdp"));
        assert_eq!((parts[1].content, parts[1].disposition), (b"v=0\r\n".as_slice(), b"session".as_slice()));
        assert_eq!(parts[1].headers().count(), 2);
        assert_eq!(sdp_part(body.content_type, BODY), Some(b"v=0\r\n".as_slice()));
    }

    #[test]
    fn a_cut_body_ends_its_last_part() {
        let parts = |content: &'static [u8]| {
            Part { content_type: b"multipart/mixed;boundary=b1", content, ..Part::default() }.parts().count()
        };
        assert_eq!(parts(b"--b1\r\n\r\nHel"), 1);
        assert_eq!(parts(b"--b1\r\n\r\nHello\r\n--b"), 1);
        assert_eq!((parts(b""), parts(b"no delimiter")), (0, 0));
    }

    #[test]
    fn without_a_boundary_there_are_no_parts() {
        for content_type in [&b"multipart/mixed"[..], b"multipart/mixed;boundary=", b"text/plain;boundary=b1", b""] {
            assert_eq!(Part { content_type, content: BODY, ..Part::default() }.parts().count(), 0);
        }
    }
}
