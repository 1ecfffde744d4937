//! Bodies: which part of one describes the session.

use super::HeaderName;
use super::grammar::{Parsed, around, param, split_top, token};
use super::header::{Field, Fields};
use crate::base::limits;
use memchr::{memchr, memmem};
use nom::Parser;

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

/// The part of a body that is `application/sdp`: all of it, or one of a multipart (RFC 2046 5.1).
pub(super) fn sdp_part<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    if body.is_empty() {
        None
    } else if content_type == b"application/sdp" || is_type(content_type, "application", Some("sdp")) {
        Some(body)
    } else if is_type(content_type, "multipart", None) {
        let (_, params) = split_top(content_type, b';');
        let boundary = param(params?, "boundary").filter(|boundary| !boundary.is_empty())?;
        parts(boundary, body).into_iter().find_map(sdp_of_part)
    } else {
        None
    }
}

/// The content of one part of a multipart, if it is a session description.
fn sdp_of_part(part: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::new(part, 0);
    let is_sdp = |field: &Field<'_>| {
        HeaderName::from_bytes(field.name) == HeaderName::ContentType
            && is_type(field.value, "application", Some("sdp"))
    };
    let found = fields.by_ref().filter(is_sdp).count() > 0;
    part.get(fields.body()?..).filter(|content| found && !content.is_empty())
}

/// The parts of a multipart body: what lies between two lines that begin with `--boundary`.
fn parts<'a>(boundary: &[u8], body: &'a [u8]) -> Vec<&'a [u8]> {
    let delimiter = [b"--", boundary].concat();
    let at: Vec<usize> = memmem::find_iter(body, &delimiter)
        .filter(|at| *at == 0 || body[at - 1] == b'\n')
        .take(limits::HEADERS_PER_MESSAGE)
        .collect();
    let ends = at.iter().skip(1).copied().chain([body.len()]);
    at.iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let part = body.get(*start..end)?;
            part.get(memchr(b'\n', part)? + 1..)
        })
        .collect()
}
