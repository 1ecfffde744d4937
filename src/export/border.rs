//! Where the capture began and ended: what did not happen can only be told from how long it was watched.
//! Frames without any address stand for the first and the last packet of an interface.

use crate::base::LinkType;

/// IEEE 802 local experimental EtherType 1.
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];
/// For experiments (RFC 3692 2.1).
const EXPERIMENTAL_PROTOCOL: u8 = 253;
/// For people who look at it.
const TEXT: &[u8; 44] = b"callflow: the capture was running here      ";

/// Such a frame; `None` for link types that have no place for it.
pub fn frame(link: LinkType) -> Option<Vec<u8>> {
    let mut out = match link.0 {
        1 => vec![0; 12],
        113 => vec![0; 14],
        276 => return Some([&EXPERIMENTAL[..], &[0; 18], TEXT].concat()),
        0 => return Some([&[2, 0, 0, 0][..], &packet()].concat()),
        108 => return Some([&[0, 0, 0, 2][..], &packet()].concat()),
        12 | 14 | 101 | 228 => return Some(packet()),
        _ => return None,
    };
    out.extend_from_slice(&EXPERIMENTAL);
    out.extend_from_slice(TEXT);
    Some(out)
}

/// IPv4 from nobody to nobody.
fn packet() -> Vec<u8> {
    const HEADER: u8 = 20;
    let mut out = vec![0x45, 0, 0, HEADER + TEXT.len() as u8, 0, 0, 0, 0, 64, EXPERIMENTAL_PROTOCOL, 0, 0];
    let sum: u32 = out.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(TEXT);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Decoded, SkipKind, decode};

    #[test]
    fn nothing_is_odd_about_it() {
        for link in [0, 1, 12, 101, 108, 113, 228, 276].map(LinkType) {
            let bytes = frame(link).unwrap();
            let Decoded::Skipped(skip) = decode(link, &bytes, bytes.len() as u32) else { panic!("{link:?}") };
            assert!(matches!(skip.kind, SkipKind::NotIp | SkipKind::OtherProtocol(253)), "{link:?} {skip:?}");
        }
        assert!(frame(LinkType(105)).is_none());
    }
}
