//! The TLS secrets of the connections that are written, out of those that the input carries.

use std::collections::BTreeSet;

/// Client randoms of handshakes, and lines of key logs.
#[derive(Default)]
pub(super) struct Keys {
    randoms: BTreeSet<[u8; 32]>,
    lines: Vec<u8>,
}

impl Keys {
    /// Takes a segment of a connection that is written.
    pub(super) fn segment(&mut self, payload: &[u8]) {
        // A handshake record, in it a ClientHello: type, length, version, random (RFC 8446 5.1, 4.1.2).
        if let [22, 3, _, _, _, 1, _, _, _, 3, _, rest @ ..] = payload
            && let Some(random) = rest.first_chunk()
        {
            self.randoms.insert(*random);
        }
    }

    /// Takes lines of a key log.
    pub(super) fn log(&mut self, lines: &[u8]) {
        self.lines.extend_from_slice(lines);
    }

    /// The lines that belong to what was written.
    pub(super) fn finish(self) -> Vec<u8> {
        let ours = |line: &&[u8]| {
            let random = line.split(|byte| *byte == b' ').nth(1).and_then(random);
            random.is_some_and(|random| self.randoms.contains(&random))
        };
        let mut kept = Vec::new();
        for line in self.lines.split(|byte| *byte == b'\n').filter(ours) {
            kept.extend_from_slice(line.trim_ascii_end());
            kept.push(b'\n');
        }
        kept
    }
}

/// 32 bytes in hexadecimal digits.
fn random(hex: &[u8]) -> Option<[u8; 32]> {
    let mut random = [0; 32];
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if hex.len() != 64 {
        return None;
    }
    for (byte, [high, low]) in random.iter_mut().zip(hex.as_chunks::<2>().0) {
        *byte = (digit(*high)? * 16 + digit(*low)?) as u8;
    }
    Some(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_connections_stay_out() {
        let mut keys = Keys::default();
        let hello = |random: u8| [&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[random; 32]].concat();
        keys.segment(&hello(0xab));
        keys.segment(b"\x17\x03\x03");
        let line = |random: &str| format!("CLIENT_RANDOM {} 0102\r\n", random.repeat(32));
        keys.log(format!("# comment\n{}{}", line("AB"), line("cd")).as_bytes());
        assert_eq!(keys.finish(), line("AB").replace('\r', "").into_bytes());
    }
}
