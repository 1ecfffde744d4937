//! Renames a session description (RFC 8866) in place, line by line.

use super::key::Namer;
use super::text::{fill, rename as words};
use super::vocabulary::{self, Vocabulary};
use memchr::memchr;

/// Renames the description in `bytes`.
pub(super) fn rename(namer: &mut Namer, bytes: &mut [u8]) {
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |len| at + len + 1);
        line(namer, &mut bytes[at..end]);
        at = end;
    }
}

fn line(namer: &mut Namer, line: &mut [u8]) {
    match line {
        [b'v' | b't' | b'r' | b'b' | b'z' | b'm', b'=', ..] => {}
        [b'o', b'=', value @ ..] => origin(namer, value),
        [b'c', b'=', value @ ..] => words(namer, value, Vocabulary::Addresses),
        [b's', b'=', value @ ..] => words(namer, value, Vocabulary::Phrases),
        [b'a', b'=', value @ ..] => attribute(namer, value),
        [b'k', b'=', value @ ..] => fill(value),
        other if other.trim_ascii().is_empty() => {}
        other => words(namer, other.get_mut(2..).unwrap_or_default(), Vocabulary::Nobody),
    }
}

/// User and session get other names. The version must go on counting (RFC 3264 8).
fn origin(namer: &mut Namer, value: &mut [u8]) {
    let mut starts = (0..value.len()).filter(|at| value[*at] == b' ');
    let (Some(session), Some(version)) = (starts.nth(1), starts.next()) else {
        return words(namer, value, Vocabulary::Nobody);
    };
    let (who, rest) = value.split_at_mut(session);
    words(namer, who, Vocabulary::Nobody);
    words(namer, &mut rest[version - session..], Vocabulary::Addresses);
}

fn attribute(namer: &mut Namer, value: &mut [u8]) {
    let Some(colon) = memchr(b':', value) else {
        let name = value.trim_ascii();
        if !vocabulary::is_public_attribute(name) {
            words(namer, value, Vocabulary::Nobody);
        }
        return;
    };
    let (name, value) = value.split_at_mut(colon);
    if vocabulary::is_public_attribute(name) {
        return;
    }
    let vocabulary = match &*name {
        b"tool" => Vocabulary::Products,
        _ if vocabulary::is_address_attribute(name) => Vocabulary::Addresses,
        _ => Vocabulary::Nobody,
    };
    // RFC 4568: the numbers and the suite stay, the keys do not.
    let secret = if name.eq_ignore_ascii_case(b"crypto") {
        value.iter().rposition(|byte| *byte == b' ').unwrap_or(0)
    } else {
        0
    };
    words(namer, &mut value[secret..], vocabulary);
}
