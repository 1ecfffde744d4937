//! Session descriptions (RFC 8866), as far as calls need them.

use super::grammar::{decimal, trim};
use memchr::memchr;

/// Which way media flows (RFC 8866 6.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Direction {
    /// Both ways, also when nothing is said.
    #[default]
    SendRecv,
    /// From the describing side only.
    SendOnly,
    /// To the describing side only.
    RecvOnly,
    /// Not at all.
    Inactive,
}

/// The `o=` line; empty slices are fields that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Origin<'a> {
    /// User name, `-` for none.
    pub username: &'a [u8],
    /// Session id.
    pub session_id: &'a [u8],
    /// Session version, raised with each change (RFC 3264 8).
    pub version: &'a [u8],
    /// Unicast address or host.
    pub address: &'a [u8],
}

/// One `a=rtpmap`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpMap<'a> {
    /// RTP payload type.
    pub payload: u8,
    /// Encoding name.
    pub name: &'a [u8],
    /// Clock rate in Hz, 0 when unreadable.
    pub rate: u32,
}

/// One `m=` section.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Media<'a> {
    /// `audio`, `video`, `image`, ...
    pub kind: &'a [u8],
    /// Port; 0 refuses or ends the media (RFC 3264 6, 8.2).
    pub port: u16,
    /// Number of ports, 1 unless said.
    pub ports: u16,
    /// `RTP/AVP`, ...
    pub proto: &'a [u8],
    /// Formats as written, separated by spaces.
    pub formats: &'a [u8],
    /// Address to send to: of its own `c=`, else of the session's.
    pub connection: Option<&'a [u8]>,
    /// Its own direction, else that of the session.
    pub direction: Direction,
    /// The encodings, in order.
    pub rtpmaps: Vec<RtpMap<'a>>,
    /// The other attributes as written (`name[:value]`), in order.
    pub attributes: Vec<&'a [u8]>,
}

/// A session description.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sdp<'a> {
    /// The `o=` line.
    pub origin: Origin<'a>,
    /// Address of the session's `c=`.
    pub connection: Option<&'a [u8]>,
    /// Direction of the session.
    pub direction: Direction,
    /// Attributes of the session as written, directions left out.
    pub attributes: Vec<&'a [u8]>,
    /// The media, in order.
    pub media: Vec<Media<'a>>,
}

/// Media and attributes of one description that are kept; real ones have a few dozen.
const KEPT: usize = 1024;

impl<'a> Sdp<'a> {
    /// Reads any body; lines that are not understood are passed over.
    pub fn parse(body: &'a [u8]) -> Self {
        Self::read(body, true)
    }

    /// Reads where media goes, and which way: encodings and other attributes are left out.
    pub fn parse_media(body: &'a [u8]) -> Self {
        Self::read(body, false)
    }

    fn read(body: &'a [u8], attributes: bool) -> Self {
        let mut sdp = Self::default();
        let mut room = KEPT;
        for line in Lines(body) {
            let Some((kind, value)) = field(line) else {
                continue;
            };
            match kind {
                b'o' if sdp.media.is_empty() => sdp.origin = origin(value),
                b'c' => sdp.set_connection(words(value).nth(2).map(without_ttl)),
                b'm' | b'a' => {
                    room = room.saturating_sub(1);
                    if room == 0 {
                        break;
                    }
                    if kind == b'm' {
                        sdp.add_media(value);
                    } else {
                        sdp.attribute(value, attributes);
                    }
                }
                _ => {}
            }
        }
        sdp
    }

    fn set_connection(&mut self, address: Option<&'a [u8]>) {
        match self.media.last_mut() {
            Some(media) => media.connection = address.or(media.connection),
            None => self.connection = address,
        }
    }

    fn add_media(&mut self, value: &'a [u8]) {
        let (kind, rest) = word(value);
        let (port, rest) = word(rest);
        let (proto, formats) = word(rest);
        let mut port = port.splitn(2, |byte| *byte == b'/').map(small);
        self.media.push(Media {
            kind,
            port: port.next().flatten().unwrap_or(0),
            ports: port.next().flatten().unwrap_or(1),
            proto,
            formats: trim(formats),
            connection: self.connection,
            direction: self.direction,
            ..Media::default()
        });
    }

    /// Takes an attribute; one that is no direction only if `keep` says so.
    fn attribute(&mut self, value: &'a [u8], keep: bool) {
        let direction = match value {
            b"sendrecv" => Some(Direction::SendRecv),
            b"sendonly" => Some(Direction::SendOnly),
            b"recvonly" => Some(Direction::RecvOnly),
            b"inactive" => Some(Direction::Inactive),
            _ => None,
        };
        match (self.media.last_mut(), direction) {
            (Some(media), Some(direction)) => media.direction = direction,
            (None, Some(direction)) => self.direction = direction,
            _ if !keep => {}
            (Some(media), None) => match value.strip_prefix(b"rtpmap:").and_then(rtpmap) {
                Some(map) => media.rtpmaps.push(map),
                None => media.attributes.push(value),
            },
            (None, None) => self.attributes.push(value),
        }
    }
}

/// Lines without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.0).map_or(self.0.len(), |at| at + 1);
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(trim(line))
    }
}

/// `x=value`.
fn field(line: &[u8]) -> Option<(u8, &[u8])> {
    match line {
        [kind, b'=', value @ ..] => Some((*kind, value)),
        _ => None,
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// The first word, and what is behind it.
fn word(value: &[u8]) -> (&[u8], &[u8]) {
    let value = trim(value);
    value.split_at(memchr(b' ', value).unwrap_or(value.len()))
}

fn origin(value: &[u8]) -> Origin<'_> {
    let mut words = words(value);
    let mut next = || words.next().unwrap_or_default();
    let (username, session_id, version) = (next(), next(), next());
    let (_net, _family) = (next(), next());
    Origin { username, session_id, version, address: next() }
}

/// A multicast address carries its TTL behind a slash.
fn without_ttl(address: &[u8]) -> &[u8] {
    memchr(b'/', address).map_or(address, |slash| &address[..slash])
}

fn rtpmap(value: &[u8]) -> Option<RtpMap<'_>> {
    let (payload, encoding) = word(value);
    let mut parts = trim(encoding).splitn(3, |byte| *byte == b'/');
    Some(RtpMap {
        payload: decimal(payload)?.try_into().ok()?,
        name: parts.next().filter(|name| !name.is_empty())?,
        rate: parts.next().and_then(decimal).and_then(|rate| rate.try_into().ok()).unwrap_or(0),
    })
}

fn small(digits: &[u8]) -> Option<u16> {
    decimal(digits).and_then(|value| u16::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_inherit_from_the_session() {
        let sdp = Sdp::parse(
            b"v=0\r\no=alice 2890844526 2 IN IP4 host.example.com\r\ns=\r\nc=IN IP4 192.0.2.1/127\r\nt=0 0\r\na=sendonly\r\n\
              m=audio 49170/2 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=inactive\r\nm=video 0 RTP/AVP 31\nc=IN IP6 2001:db8::1\n",
        );
        assert_eq!((sdp.origin.session_id, sdp.origin.version), (b"2890844526".as_slice(), b"2".as_slice()));
        assert_eq!((sdp.connection, sdp.direction), (Some(b"192.0.2.1".as_slice()), Direction::SendOnly));
        let [audio, video] = sdp.media.as_slice() else { panic!("{sdp:?}") };
        assert_eq!((audio.port, audio.ports, audio.formats), (49170, 2, b"0 8".as_slice()));
        assert_eq!((audio.direction, audio.connection), (Direction::Inactive, Some(b"192.0.2.1".as_slice())));
        assert_eq!(audio.rtpmaps, [RtpMap { payload: 0, name: b"PCMU", rate: 8000 }]);
        assert_eq!(audio.attributes, [b"ptime:20"]);
        assert_eq!((video.port, video.direction), (0, Direction::SendOnly));
        assert_eq!(video.connection, Some(b"2001:db8::1".as_slice()));
    }

    #[test]
    fn junk_is_passed_over_and_bounded() {
        let sdp = Sdp::parse(b"\xff\nm=\nm=audio x y\na=rtpmap:\na=rtpmap:300 x\nc=\n=\nc");
        assert_eq!(sdp.media.len(), 2);
        assert_eq!(sdp.media[1].port, 0);
        assert!(Sdp::parse(&b"m=\n".repeat(100_000)).media.len() <= KEPT);
    }
}
