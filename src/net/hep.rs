//! HEP, the Homer encapsulation protocol, versions 1 to 3: what capture agents send to a collector.
//! (<https://github.com/sipcapture/HEP>)

use super::SkipKind;
use super::relayed::{self, Relayed};
use super::walk::{Part, UDP};
use crate::base::{Endpoint, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LAYER: &str = "HEP";
pub(super) const MAGIC: [u8; 4] = *b"HEP3";
/// Magic and length of the whole packet.
pub(super) const HEAD: usize = 6;
/// Vendor, type and length of a chunk; the length counts all three.
const CHUNK_HEAD: usize = 6;

/// The type of the chunk that holds the key.
const KEY: u8 = 14;

/// Address families of chunk 1 and of the old header: AF_INET, and AF_INET6 of Linux and BSD.
const INET: u8 = 2;

/// Whether a datagram starts like HEP. That of the old versions has no magic number, so its length
/// must fit its version and address family, and its protocol must be one that carries SIP.
#[inline]
pub(super) fn begins(bytes: &[u8]) -> bool {
    match bytes {
        [b'H', b'E', b'P', b'3', ..] => true,
        [version @ (1 | 2), length, family, protocol, ..] => {
            let addresses = if *family == INET { 8 } else { 32 };
            let times = if *version == 2 { [0, TIMES] } else { [0, 0] };
            matches!(family, 2 | 10 | 24 | 28 | 30)
                && matches!(protocol, 6 | 17 | 132)
                && times.iter().any(|more| usize::from(*length) == 8 + addresses + more)
        }
        _ => false,
    }
}

/// Length of the HEP 3 packet that starts `bytes`; none while that is not there.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    bytes.get(4..).and_then(|rest| rest.first_chunk()).map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// What a HEP 3 packet has to prove that it comes from an agent that may send; none when it has nothing.
pub fn key(packet: &[u8]) -> Option<&[u8]> {
    let mut rest = packet.strip_prefix(&MAGIC)?.get(2..)?;
    while let [v0, v1, t0, t1, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let chunk = rest.get(CHUNK_HEAD..length)?;
        if [v0, v1, t0, t1] == [0, 0, 0, KEY] {
            return Some(chunk);
        }
        rest = &rest[length..];
    }
    None
}

/// Reads a packet from `host`.
pub(super) fn read<'a>(part: &mut Part<'a>, host: IpAddr) -> Result<Relayed<'a>, SkipKind> {
    let mut told = Told::default();
    if part.bytes.starts_with(&MAGIC) {
        third(part, &mut told)?;
    } else {
        first_or_second(part, &mut told)?;
    }
    let (src, dst) = told.src.zip(told.dst).ok_or(SkipKind::Malformed(LAYER))?;
    let payload = told.payload.ok_or(SkipKind::NotIp)?; // a keep-alive
    let end = |ip, port| Endpoint { ip, port };
    Ok(Relayed {
        connection: relayed::connection(end(src, told.ports[0]), end(dst, told.ports[1]), told.protocol),
        time: told.time(),
        agent: agent(host, told.agent),
        payload,
        missing: told.missing,
        compressed: told.compressed,
    })
}

/// What a packet tells.
struct Told<'a> {
    protocol: u8,
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    ports: [u16; 2],
    seconds: Option<u32>,
    micros: Option<u32>,
    agent: u32,
    payload: Option<&'a [u8]>,
    missing: u32,
    compressed: bool,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            protocol: UDP,
            src: None,
            dst: None,
            ports: [0; 2],
            seconds: None,
            micros: None,
            agent: 0,
            payload: None,
            missing: 0,
            compressed: false,
        }
    }
}

impl<'a> Told<'a> {
    /// Whole seconds are no time: the frame that brings the packet is nearer to it.
    fn time(&self) -> Option<Timestamp> {
        let micros = self.micros.filter(|micros| *micros < 1_000_000)?;
        let nanos = i64::from(self.seconds?) * 1_000_000_000 + i64::from(micros) * 1_000;
        Some(Timestamp::from_nanos(nanos))
    }

    /// Takes a chunk of the generic types (vendor 0). Those of a wrong length tell nothing.
    fn take(&mut self, kind: u16, value: &'a [u8]) {
        let number = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(u32::from_be_bytes);
        let port = |bytes: &[u8]| <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes);
        match kind {
            2 => self.protocol = value.first().copied().unwrap_or(UDP),
            3 | 5 => self.src = address(value).or(self.src),
            4 | 6 => self.dst = address(value).or(self.dst),
            7 => self.ports[0] = port(value).unwrap_or(0),
            8 => self.ports[1] = port(value).unwrap_or(0),
            9 => self.seconds = number(value),
            10 => self.micros = number(value),
            12 => self.agent = number(value).unwrap_or(0),
            15 | 16 => {
                self.payload = Some(value);
                self.compressed = kind == 16;
            }
            _ => {} // family, which the addresses show; kind of payload, which its bytes show; keys, ...
        }
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => value.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

/// Chunks, each with vendor, type and length; those of vendors are passed by their length.
fn third<'a>(part: &mut Part<'a>, told: &mut Told<'a>) -> Result<(), SkipKind> {
    let [_, _, _, _, high, low] = *part.take(LAYER)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if let Some(rest) = length.checked_sub(HEAD).filter(|rest| *rest <= part.len()) {
        part.trim(rest);
    } // else: the length is not believed
    while part.bytes.len() >= CHUNK_HEAD {
        let [v0, v1, t0, t1, l0, l1] = *part.take(LAYER)?;
        let value = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(CHUNK_HEAD);
        let value = value.ok_or(SkipKind::Malformed(LAYER))?;
        let there = part.bytes.get(..value).unwrap_or(part.bytes);
        let kind = u16::from_be_bytes([t0, t1]);
        if [v0, v1] == [0, 0] && (there.len() == value || matches!(kind, 15 | 16)) {
            told.take(kind, there);
            told.missing = (value - there.len()) as u32;
        }
        part.bytes = part.bytes.get(value..).unwrap_or_default();
    }
    Ok(())
}

/// Length of the times of version 2: seconds, microseconds, agent, two bytes of padding.
const TIMES: usize = 12;

/// A fixed header. The length field counts the times with some agents and does not with others; they
/// are there in any case.
fn first_or_second<'a>(part: &mut Part<'a>, told: &mut Told<'a>) -> Result<(), SkipKind> {
    let [version, _, family, protocol, s0, s1, d0, d1] = *part.take(LAYER)?;
    told.protocol = protocol;
    told.ports = [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])];
    if family == INET {
        told.src = address(part.take::<4>(LAYER)?);
        told.dst = address(part.take::<4>(LAYER)?);
    } else {
        told.src = address(part.take::<16>(LAYER)?);
        told.dst = address(part.take::<16>(LAYER)?);
    }
    if version == 2 {
        let times: &[u8; TIMES] = part.take(LAYER)?;
        let [seconds, micros, [a0, a1, _, _]] = *times.as_chunks::<4>().0 else {
            return Err(SkipKind::Malformed(LAYER));
        };
        // In the byte order of the agent's host, which is little endian nearly everywhere.
        told.seconds = Some(u32::from_le_bytes(seconds));
        told.micros = Some(u32::from_le_bytes(micros));
        told.agent = u16::from_le_bytes([a0, a1]).into();
    }
    told.payload = Some(part.bytes);
    told.missing = part.missing;
    Ok(())
}

/// One number for the program on `host` that calls itself `id`; never 0.
fn agent(host: IpAddr, id: u32) -> u64 {
    let host = match host {
        IpAddr::V4(v4) => v4.to_bits(),
        IpAddr::V6(v6) => v6
            .octets()
            .as_chunks::<4>()
            .0
            .iter()
            .fold(0, |sum: u32, word| sum.rotate_left(7) ^ u32::from_be_bytes(*word)),
    };
    (u64::from(host) << 32 | u64::from(id)).max(1)
}
