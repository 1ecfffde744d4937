//! The second walk: which frames belong to the calls.

use super::anonymize::{self, Content, Namer};
use super::belongs::{Bare, Belongs, ends};
use super::keys::Keys;
use super::streams::{Patches, Streams};
use super::{border, pdu};
use crate::base::{Anomalies, Batch, LinkType, PacketMeta};
use crate::net::{self, Decoded, Defragmenter, Fragment, Segment, Whole};
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// Finds the frames. Feed it every packet, in order of capture.
pub struct Marker {
    belongs: Belongs,
    namer: Option<Namer>,
    defragmenter: Defragmenter,
    marks: Vec<(u32, Mark)>,
    links: BTreeSet<LinkType>,
    /// First and last frame of each interface, and their link types.
    borders: BTreeMap<u32, [(u32, LinkType); 2]>,
    /// Bytes that other calls sent on TCP connections of ours.
    others: BTreeMap<(crate::base::Endpoint, crate::base::Endpoint), Vec<(u32, u32)>>,
    /// Where fragments of ours belong in their datagrams.
    places: HashMap<u32, Place, RandomState>,
    streams: Streams,
    keys: Keys,
    patches: Patches,
    /// Only counted in the first walk.
    anomalies: Anomalies,
}

/// Runs of bytes of other calls in which bytes sent again are looked for.
const RUNS: usize = 64;

/// Part of a datagram between two hosts.
#[derive(Clone, Copy)]
struct Place {
    ends: [IpAddr; 2],
    at: usize,
    len: usize,
}

/// Why a frame is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Mark {
    /// SIP, or an error about it.
    Sip,
    /// A segment or fragment.
    Part,
    /// Media, or an error about it.
    Media,
}

/// What was found.
pub struct Marked {
    /// By frame, each once.
    pub(super) marks: Vec<(u32, Mark)>,
    /// Frames at which an interface begins or ends, with link types that have a frame for that.
    pub(super) borders: Vec<(u32, LinkType)>,
    pub(super) bare: Vec<Bare>,
    pub(super) renamed: Vec<Bare>,
    pub(super) patches: Patches,
    pub(super) namer: Option<Namer>,
    /// TLS secrets of what is written.
    pub(super) key_log: Vec<u8>,
    links: BTreeSet<LinkType>,
}

impl Marked {
    /// Link types of what will be written.
    pub fn links(&self) -> &BTreeSet<LinkType> {
        &self.links
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.bare.is_empty()
    }
}

impl Marker {
    /// Looks for what `belongs`; with `namer`, prepares to rename it.
    pub fn new(belongs: Belongs, namer: Option<Namer>) -> Self {
        Self {
            belongs,
            namer,
            defragmenter: Defragmenter::default(),
            marks: Vec::new(),
            links: BTreeSet::new(),
            borders: BTreeMap::new(),
            others: BTreeMap::new(),
            places: HashMap::default(),
            streams: Streams::default(),
            keys: Keys::default(),
            patches: Patches::default(),
            anomalies: Anomalies::default(),
        }
    }

    /// Takes the next packets.
    pub fn push(&mut self, batch: &Batch) {
        for packet in &batch.packets {
            let border = (packet.frame, packet.link);
            self.borders.entry(packet.interface).or_insert([border; 2])[1] = border;
            let decoded = net::decode(packet.link, batch.data(packet), packet.original);
            if let Some(mark) = self.judge(packet, &decoded) {
                self.links.insert(packet.link);
                self.marks.push((packet.frame, mark));
            }
        }
    }

    /// Takes TLS secrets that the input carries.
    pub fn add_keys(&mut self, key_log: &[u8]) {
        self.keys.log(key_log);
    }

    fn judge(&mut self, packet: &PacketMeta, decoded: &Decoded<'_>) -> Option<Mark> {
        let ours = self.belongs.frames.contains(&packet.frame);
        match decoded {
            Decoded::Datagram(datagram) if !ours => {
                self.belongs.is_media(datagram.src, datagram.dst, packet.time).then_some(Mark::Media)
            }
            Decoded::Segment(segment) => self.segment(packet.frame, segment, ours).then_some(Mark::Part),
            Decoded::Fragment(fragment) => {
                self.fragment(packet, fragment, ours);
                ours.then_some(Mark::Part)
            }
            Decoded::Icmp(error) if !ours => {
                self.belongs.is_media(error.quoted.src, error.quoted.dst, packet.time).then_some(Mark::Media)
            }
            _ => ours.then_some(Mark::Sip),
        }
    }

    /// Of a connection in the clear, all but what other calls sent; of any other, everything.
    fn segment(&mut self, frame: u32, segment: &Segment<'_>, ours: bool) -> bool {
        let Some(clear) = self.belongs.tcp.get(&ends(segment.src, segment.dst)) else {
            return ours;
        };
        if *clear && !segment.payload.is_empty() {
            let from = segment.seq;
            let until = from.wrapping_add(segment.payload.len() as u32);
            let others = self.others.entry((segment.src, segment.dst)).or_default();
            if !ours && self.belongs.others.contains(&frame) {
                match others.last_mut() {
                    Some(last) if last.1 == from => last.1 = until,
                    _ => others.push((from, until)),
                }
                return false;
            }
            // The same bytes sent again.
            let within = |(start, end): &(u32, u32)| {
                from.wrapping_sub(*start) < end.wrapping_sub(*start)
                    && until.wrapping_sub(*start) <= end.wrapping_sub(*start)
            };
            if !ours && others.iter().rev().take(RUNS).any(within) {
                return false;
            }
        }
        if !clear {
            self.keys.segment(segment.payload);
        }
        if *clear && self.namer.is_some() {
            self.streams.push(frame, segment);
        }
        true
    }

    fn fragment(&mut self, packet: &PacketMeta, fragment: &Fragment<'_>, ours: bool) {
        if ours && self.namer.is_some() {
            let ends = [fragment.src, fragment.dst];
            self.places.insert(packet.frame, Place { ends, at: fragment.offset.into(), len: fragment.payload.len() });
        }
        let whole = self.defragmenter.push(fragment, packet.frame, packet.time, &mut self.anomalies);
        for whole in self.defragmenter.take_incomplete().into_iter().chain(whole) {
            self.whole(&whole, packet.link);
        }
    }

    /// A datagram of media or a segment belongs to us with all its fragments; those of messages are known.
    fn whole(&mut self, whole: &Whole, link: LinkType) {
        let ours = whole.frames.as_slice().iter().any(|frame| self.belongs.frames.contains(frame));
        if ours {
            return self.rename_whole(whole);
        }
        let belongs = match net::decode_ip(&whole.bytes) {
            Decoded::Datagram(datagram) => self.belongs.is_media(datagram.src, datagram.dst, whole.time),
            Decoded::Segment(segment) => self.belongs.tcp.contains_key(&ends(segment.src, segment.dst)),
            _ => false,
        };
        if belongs {
            self.links.insert(link);
            self.marks.extend(whole.frames.as_slice().iter().map(|frame| (*frame, Mark::Part)));
        }
    }

    /// Renames a datagram of ours and puts it back into its fragments. Fragments of a tunnel whose content is a
    /// fragment again hold something else; their messages are written without them.
    fn rename_whole(&mut self, whole: &Whole) {
        let Some(namer) = &mut self.namer else {
            return;
        };
        let frames = whole.frames.as_slice();
        let places: Vec<(u32, Place)> =
            frames.iter().filter_map(|frame| Some((*frame, self.places.remove(frame)?))).collect();
        let is_own = |(_, place): &(u32, Place)| Some(place.ends) == anonymize::ends(&whole.bytes);
        if places.len() != frames.len() || !places.iter().all(is_own) {
            return;
        }
        let Some(payload) = anonymize::whole(namer, &whole.bytes, Content::Sip) else {
            return;
        };
        for (frame, Place { at, len, .. }) in places {
            if let Some(part) = payload.get(at..at + len) {
                self.patches.insert(frame, part.to_vec());
            }
        }
    }

    /// The end of the input.
    pub fn finish(mut self) -> Marked {
        for whole in self.defragmenter.finish(&mut self.anomalies) {
            self.whole(&whole, LinkType(1));
        }
        let Self { mut belongs, mut namer, mut marks, mut links, borders, streams, keys, mut patches, .. } = self;
        marks.sort_unstable();
        marks.dedup_by_key(|(frame, _)| *frame);
        if let Some(namer) = &mut namer {
            let on_tcp = |bare: &&Bare| bare.connection.transport == crate::base::Transport::Tcp;
            let wanted: HashSet<Bytes> =
                belongs.renamed.iter().filter(on_tcp).map(|bare| bare.message.clone()).collect();
            let mut missing = wanted.clone();
            patches.extend(streams.rename(namer, &wanted, &mut missing));
            // What was not found in its segments is written without them.
            let (lost, renamed) =
                belongs.renamed.into_iter().partition(|bare| on_tcp(&bare) && missing.contains(&bare.message));
            belongs.renamed = renamed;
            belongs.bare.extend::<Vec<Bare>>(lost);
            belongs.bare.sort_by_key(|bare| bare.frame);
        }
        if !belongs.bare.is_empty() {
            links.insert(pdu::LINK);
        }
        let mut borders: Vec<(u32, LinkType)> = borders.into_values().flatten().collect();
        borders.sort_unstable();
        borders.dedup();
        borders.retain(|(frame, link)| {
            border::frame(*link).is_some() && marks.binary_search_by_key(frame, |(frame, _)| *frame).is_err()
        });
        Marked {
            marks,
            borders,
            bare: belongs.bare,
            renamed: belongs.renamed,
            patches,
            namer,
            key_log: keys.finish(),
            links,
        }
    }
}
