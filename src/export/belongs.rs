//! What belongs to the selected calls, as the analysis tells it.

use super::Options;
use crate::analysis::{Analysis, CallView};
use crate::base::{Connection, Endpoint, Timestamp, Transport};
use crate::session::{Seen, Sending};
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

/// Media may come a little before the description of it was seen, and goes on until the peer has the BYE.
const MEDIA_MARGIN: Duration = Duration::from_secs(2);
/// Times of calls kept for one port of media; more calls on one port are one long time.
const TIMES: usize = 64;

/// What belongs to some calls.
pub struct Belongs {
    pub(super) options: Options,
    /// Frames of messages, of errors about them, and those that findings point at.
    pub(super) frames: HashSet<u32, RandomState>,
    /// Frames of messages of other calls on TCP in the clear.
    pub(super) others: HashSet<u32, RandomState>,
    /// TCP connections that carried messages, by their ends in order; whether in the clear.
    pub(super) tcp: HashMap<[Endpoint; 2], bool, RandomState>,
    /// Where media goes to, and when.
    media: HashMap<Endpoint, Vec<(Timestamp, Timestamp)>, RandomState>,
    /// Messages that are written without the packets that carried them.
    pub(super) bare: Vec<Bare>,
    /// Messages whose packets are renamed: what to fall back to, when they cannot be.
    pub(super) renamed: Vec<Bare>,
}

/// A message without packets.
#[derive(Clone, Debug)]
pub(super) struct Bare {
    /// The frame that completed it.
    pub(super) frame: u32,
    pub(super) time: Timestamp,
    pub(super) connection: Connection,
    pub(super) message: Bytes,
}

impl Belongs {
    /// What belongs to `calls`, and `frames` beside it.
    pub fn new<'a>(
        analysis: &Analysis,
        calls: impl Iterator<Item = CallView<'a>>,
        frames: impl Iterator<Item = u32>,
        options: Options,
    ) -> Self {
        let mut belongs = Self {
            options,
            frames: frames.collect(),
            others: HashSet::default(),
            tcp: HashMap::default(),
            media: HashMap::default(),
            bare: Vec::new(),
            renamed: Vec::new(),
        };
        let mut selected = vec![false; analysis.seen.len()];
        let mut numbers = HashSet::<usize>::new();
        for view in calls {
            numbers.insert(view.number);
            for message in &view.call.messages {
                // A message of two calls is written once.
                if !std::mem::replace(&mut selected[message.seen.at()], true) {
                    belongs.message(&analysis.seen[message.seen.at()]);
                }
            }
            if options.media {
                belongs.media_of(view);
            }
        }
        let reports = analysis.icmp.iter().filter(|report| report.call.is_some_and(|call| numbers.contains(&call)));
        belongs.frames.extend(reports.map(|report| report.frame));
        let others = analysis.seen.iter().zip(selected).filter(|(seen, is)| !is && is_plain_tcp(seen));
        belongs.others = others.flat_map(|(seen, _)| seen.frames.as_slice().iter().copied()).collect();
        belongs.bare.sort_by_key(|bare| bare.frame);
        belongs.renamed.sort_by_key(|bare| bare.frame);
        belongs
    }

    fn message(&mut self, seen: &Seen) {
        let bare = || Bare {
            frame: seen.frames.last(),
            time: seen.time,
            connection: seen.connection,
            message: seen.message.raw().clone(),
        };
        let transport = seen.connection.transport;
        let is_sealed = matches!(transport, Transport::Tls | Transport::Wss);
        let can_be_renamed = match seen.sending {
            Sending::Stream => transport == Transport::Tcp,
            Sending::Packet(_) | Sending::Unnumbered => transport == Transport::Udp,
            Sending::Passed(_) => false,
        };
        if is_sealed && self.options.decrypted || self.options.anonymous && !can_be_renamed {
            return self.bare.push(bare());
        }
        if self.options.anonymous {
            self.renamed.push(bare());
        }
        self.frames.extend(seen.frames.as_slice());
        let over_tcp = !matches!(transport, Transport::Udp | Transport::Sctp);
        if over_tcp && !matches!(seen.sending, Sending::Passed(_)) {
            self.tcp.insert(ends(seen.connection.src, seen.connection.dst), transport == Transport::Tcp);
        }
    }

    /// The addresses that the session descriptions of a call give (RFC 8866 5.7, 5.14; RTCP one port higher, RFC 3550
    /// 11, or where `a=rtcp` says, RFC 3605).
    fn media_of(&mut self, view: CallView<'_>) {
        let back =
            |time: Timestamp| Timestamp::from_nanos(time.as_nanos().saturating_sub(MEDIA_MARGIN.as_nanos() as i64));
        let time = (back(view.call.start), view.call.end.after(MEDIA_MARGIN));
        // A call that goes on when the capture ends has media until then.
        let open = view.call.outcome == crate::call::Outcome::Active;
        let time = if open { (time.0, Timestamp::MAX) } else { time };
        for (_, seen) in view.messages() {
            let Some(sdp) = seen.message.sdp() else {
                continue;
            };
            for media in sdp.media.iter().filter(|media| media.port > 0) {
                let Some(ip) = media.connection.and_then(address) else {
                    continue;
                };
                let pairs = media.ports.clamp(1, 64);
                for port in media.port..=media.port.saturating_add(2 * pairs - 1) {
                    self.add_media(Endpoint { ip, port }, time);
                }
                let rtcp = media.attributes.iter().filter_map(|attribute| attribute.strip_prefix(b"rtcp:"));
                let port = |value: &[u8]| {
                    let digits = value.split(|byte| *byte == b' ').next()?;
                    std::str::from_utf8(digits).ok()?.parse().ok()
                };
                for port in rtcp.filter_map(port) {
                    self.add_media(Endpoint { ip, port }, time);
                }
            }
        }
    }

    fn add_media(&mut self, end: Endpoint, (from, until): (Timestamp, Timestamp)) {
        let times = self.media.entry(end).or_default();
        let full = times.len() >= TIMES;
        match times.last_mut() {
            Some(last) if full || last.0 <= until && from <= last.1 => {
                *last = (last.0.min(from), last.1.max(until));
            }
            _ => times.push((from, until)),
        }
    }

    /// Whether a datagram at `time` between these is media of a call.
    pub(super) fn is_media(&self, src: Endpoint, dst: Endpoint, time: Timestamp) -> bool {
        !self.media.is_empty()
            && [dst, src].iter().any(|end| {
                let times = self.media.get(end);
                times.is_some_and(|times| times.iter().any(|(from, until)| (*from..=*until).contains(&time)))
            })
    }
}

fn is_plain_tcp(seen: &Seen) -> bool {
    seen.connection.transport == Transport::Tcp && seen.sending == Sending::Stream
}

/// The ends of a connection, whoever sends.
pub(super) fn ends(one: Endpoint, other: Endpoint) -> [Endpoint; 2] {
    if one < other { [one, other] } else { [other, one] }
}

fn address(text: &[u8]) -> Option<IpAddr> {
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!ip.is_unspecified()).then_some(ip)
}
