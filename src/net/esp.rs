//! ESP (RFC 4303) with the null cipher (RFC 2410), as IMS access uses it (3GPP TS 33.203).
//!
//! Nothing says which cipher is in use, so the trailer and the header behind must fit each other:
//! padding 1, 2, 3, ..., a next header that we know, and lengths that agree. By chance that is true of
//! fewer than one encrypted packet in a million.

use super::SkipKind;
use super::walk::{self, Next, Part};

/// Lengths of the integrity check value: 96 bits (RFC 2403, RFC 2404) first, then SHA-2 (RFC 4868), none.
const CHECK_VALUES: [usize; 5] = [12, 16, 0, 24, 32];
/// Pad length and next header.
const TRAILER: usize = 2;

pub(super) fn strip(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    part.skip(8, "ESP")?; // security parameters index, sequence number
    if part.missing > 0 {
        return Err(SkipKind::Cut("ESP")); // the trailer is not there
    }
    let bytes = part.bytes;
    let (inner, next) = CHECK_VALUES.iter().find_map(|len| null(bytes, *len)).ok_or(SkipKind::Encrypted("ESP"))?;
    part.bytes = inner;
    Ok(next)
}

/// ESP in UDP (RFC 3948): four zero bytes are IKE, one byte 0xff a keep-alive. Text is no index of
/// security parameters that anybody would choose.
pub(super) fn in_udp(part: &mut Part<'_>) -> Result<Next, SkipKind> {
    let index: [u8; 4] = part.peek(0, "ESP")?;
    if index == [0; 4] || index.iter().all(|octet| matches!(octet, b' '..=b'~')) {
        return Err(SkipKind::Malformed("ESP"));
    }
    strip(part)
}

/// The payload, if it is not encrypted and `check` bytes of check value follow.
fn null(bytes: &[u8], check: usize) -> Option<(&[u8], Next)> {
    let (body, trailer) = bytes.get(..bytes.len().checked_sub(check)?)?.split_last_chunk::<TRAILER>()?;
    let [pad, protocol] = *trailer;
    let (inner, padding) = body.split_at_checked(body.len().checked_sub(pad.into())?)?;
    let padded = (1..=pad).eq(padding.iter().copied());
    let next = if matches!(protocol, 4 | 41) { Next::Ip } else { Next::Protocol(protocol) };
    (padded && fits(inner, protocol)).then_some((inner, next))
}

/// Whether `inner` starts with a header of `protocol` whose lengths agree with its own.
fn fits(inner: &[u8], protocol: u8) -> bool {
    let length = |at: usize| inner.get(at..at + 2).map(|field| usize::from(u16::from_be_bytes([field[0], field[1]])));
    let first = inner.first().copied().unwrap_or(0);
    match protocol {
        4 => first >> 4 == 4 && length(2) == Some(inner.len()),
        41 => first >> 4 == 6 && length(4).is_some_and(|length| length + 40 == inner.len()),
        walk::UDP => length(4) == Some(inner.len()),
        // Data offset within the segment, reserved bits zero (RFC 9293 3.1).
        walk::TCP => inner.get(12).is_some_and(|octet| {
            let (words, reserved) = (usize::from(octet >> 4), octet & 0x0f);
            reserved == 0 && (20..=inner.len()).contains(&(words * 4))
        }),
        _ => false,
    }
}
