//! IP reassembly (RFC 791 3.2, RFC 8200 4.5) under caps and with expiry in packet time.
//!
//! A capture may show one datagram more than once (the "any" interface, a mirror of two ports). A
//! fragment that is already there, byte for byte, therefore starts a second copy of the datagram: when
//! every fragment was seen twice, the datagram comes out twice, as a datagram in one piece would; a
//! copy that stays incomplete is dropped without a word. A fragment that disagrees with what is there
//! is taken as a reused identification: the older datagram is given up.

use super::{Decoded, Fragment, decode_ip, walk};
use crate::base::{Anomalies, Anomaly, AnomalyKind, Frames, Timestamp, limits};
use bytes::Bytes;
use etherparse::defrag::{IpDefragBuf, IpDefragError};
use etherparse::{IpFragOffset, IpNumber};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// Copies of one datagram looked after at once; a mirror or the "any" interface gives two or three.
const COPIES: usize = 4;
/// How long after a datagram its fragments may show up again without being news: copies come within
/// milliseconds, identifications are reused after seconds at the earliest.
const COPY_WINDOW: Duration = Duration::from_secs(1);

/// An IP datagram put together from fragments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// An IP header without options and the payload, for [`super::decode_ip`].
    pub bytes: Bytes,
    /// Frames of all its fragments.
    pub frames: Frames,
    /// Time of the last of them (the latest packet time by then, if times run backwards).
    pub time: Timestamp,
    /// Whether all of it is there; if not, `bytes` ends at the first hole.
    pub complete: bool,
}

/// Puts IP datagrams together. Feed it every [`Fragment`] in order of capture.
#[derive(Debug, Default)]
pub struct Defragmenter {
    /// Datagrams waiting for fragments, in the order they were started.
    partials: BTreeMap<u64, Partial>,
    /// Their numbers by key.
    by_key: HashMap<Key, SmallVec<[u64; 1]>>,
    /// Datagrams completed of late, to know copies by.
    completed: HashMap<Key, Timestamp>,
    /// What could not be completed and was not collected yet.
    incomplete: Vec<Whole>,
    /// Number of the next datagram.
    next: u64,
    /// Bytes in all buffers.
    bytes: usize,
    /// The latest packet time so far; never runs backwards.
    now: Timestamp,
}

/// Frames remembered for a datagram: as many as it can have fragments of 8 bytes.
const FRAMES: usize = 8192;
/// The larger of the two IP headers, without options.
const IP_HEADER: usize = 40;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    /// IPv4 only: in IPv6 fragments may differ in it and the first one decides.
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Partial {
    key: Key,
    protocol: u8,
    buffer: IpDefragBuf,
    /// Payload length as far as any fragment tells.
    length: usize,
    frames: Frames,
    started: Timestamp,
    time: Timestamp,
    /// Another copy of it is there or was completed.
    copy: bool,
}

/// How a fragment relates to what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fit {
    New,
    /// All of it is there, with the same bytes.
    Copy,
    /// All of it is there, with other bytes.
    Conflict,
    /// Some of it is there.
    Overlap,
}

impl Defragmenter {
    /// Takes the next fragment; gives the datagram if that completes it. When the datagram holds a
    /// tunnel with a fragment in it, that one is taken in turn: [`super::decode_ip`] gives no fragment
    /// for a complete result.
    pub fn push(
        &mut self,
        fragment: &Fragment<'_>,
        frame: u32,
        time: Timestamp,
        anomalies: &mut Anomalies,
    ) -> Option<Whole> {
        self.now = self.now.max(time);
        self.expire(anomalies);
        let mut whole = self.add(fragment, &Frames::one(frame), anomalies)?;
        // Every turn completes and removes a waiting datagram, so this ends.
        while let Decoded::Fragment(inner) = decode_ip(&whole.bytes) {
            whole = self.add(&inner, &whole.frames, anomalies)?;
        }
        Some(whole)
    }

    fn add(&mut self, fragment: &Fragment<'_>, frames: &Frames, anomalies: &mut Anomalies) -> Option<Whole> {
        let frame = frames.last();
        let fragment = &usable(fragment)?;
        let key = Key::of(fragment);
        let number = self.place(key, fragment, frame, anomalies)?;
        let partial = self.partials.get_mut(&number)?;
        let before = partial.buffer.data().len();
        if let Err(error) = partial.add(fragment, frames, self.now) {
            anomalies.add(refused(&error, frame));
        }
        self.bytes += partial.buffer.data().len();
        self.bytes -= before;
        if !partial.buffer.is_complete() {
            return None;
        }
        let partial = self.remove(number)?;
        if self.completed.len() >= limits::DEFRAG_DATAGRAMS {
            self.completed.clear(); // at worst a copy is called incomplete
        }
        self.completed.insert(key, self.now);
        partial.whole()
    }

    /// Datagrams given up since the last call whose beginning was seen, oldest first. To be called
    /// after every [`Defragmenter::push`]: then their order does not depend on anything but the capture.
    pub fn take_incomplete(&mut self) -> Vec<Whole> {
        std::mem::take(&mut self.incomplete)
    }

    /// The capture is over: gives up all that is incomplete. Returns what
    /// [`Defragmenter::take_incomplete`] would.
    pub fn finish(&mut self, anomalies: &mut Anomalies) -> Vec<Whole> {
        while let Some((&number, _)) = self.partials.first_key_value() {
            self.give_up(number, anomalies);
        }
        self.take_incomplete()
    }

    fn expire(&mut self, anomalies: &mut Anomalies) {
        while let Some((&number, partial)) = self.partials.first_key_value()
            && self.now.since(partial.started) > limits::DEFRAG_TIMEOUT
        {
            self.give_up(number, anomalies);
        }
    }

    /// The datagram that the fragment belongs to, a new one if need be; none if it tells nothing new.
    fn place(&mut self, key: Key, fragment: &Fragment<'_>, frame: u32, anomalies: &mut Anomalies) -> Option<u64> {
        let numbers = self.by_key.get(&key).cloned().unwrap_or_default();
        for &number in &numbers {
            match self.partials.get(&number)?.fit(fragment) {
                Fit::Copy => {}
                Fit::New => return Some(number),
                Fit::Overlap => {
                    anomalies.add(overlap(frame));
                    return Some(number);
                }
                Fit::Conflict => {
                    anomalies.add(overlap(frame));
                    numbers.iter().for_each(|number| self.give_up(*number, anomalies));
                    return Some(self.start(key, false, frame, anomalies));
                }
            }
        }
        let completed = self.completed.get(&key).is_some_and(|at| self.now.since(*at) <= COPY_WINDOW);
        (numbers.len() < COPIES).then(|| self.start(key, completed || !numbers.is_empty(), frame, anomalies))
    }

    fn start(&mut self, key: Key, copy: bool, frame: u32, anomalies: &mut Anomalies) -> u64 {
        while self.partials.len() >= limits::DEFRAG_DATAGRAMS || self.bytes > limits::DEFRAG_BYTES {
            let Some((&oldest, _)) = self.partials.first_key_value() else {
                break;
            };
            let text = "too many IP datagrams wait for fragments; the oldest was given up";
            anomalies.add(Anomaly::new(AnomalyKind::LimitReached, frame, 0, text));
            self.give_up(oldest, anomalies);
        }
        let number = self.next;
        self.next += 1;
        self.partials.insert(number, Partial::new(key, self.now, copy));
        self.by_key.entry(key).or_default().push(number);
        number
    }

    fn give_up(&mut self, number: u64, anomalies: &mut Anomalies) {
        let Some(partial) = self.remove(number) else {
            return;
        };
        if partial.copy {
            return;
        }
        let text = "the other fragments of this IP datagram are not in the capture";
        anomalies.add(Anomaly::new(AnomalyKind::IncompleteFragments, partial.frames.first(), 0, text));
        if self.incomplete.len() < limits::DEFRAG_DATAGRAMS {
            self.incomplete.extend(partial.whole());
        }
    }

    fn remove(&mut self, number: u64) -> Option<Partial> {
        let partial = self.partials.remove(&number)?;
        self.bytes -= partial.buffer.data().len();
        if let Some(numbers) = self.by_key.get_mut(&partial.key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_key.remove(&partial.key);
            }
        }
        Some(partial)
    }
}

impl Key {
    fn of(fragment: &Fragment<'_>) -> Self {
        let protocol = if fragment.src.is_ipv4() { fragment.protocol } else { 0 };
        Self { src: fragment.src, dst: fragment.dst, protocol, id: fragment.id }
    }
}

impl Partial {
    fn new(key: Key, now: Timestamp, copy: bool) -> Self {
        Self {
            key,
            protocol: key.protocol,
            buffer: IpDefragBuf::new(IpNumber(key.protocol), Vec::new(), Vec::new()),
            length: 0,
            frames: Frames::default(),
            started: now,
            time: now,
            copy,
        }
    }

    fn fit(&self, fragment: &Fragment<'_>) -> Fit {
        let start = fragment.offset;
        let end = start.saturating_add(fragment.payload.len() as u16);
        let mut sections = self.buffer.sections().iter();
        if sections.clone().all(|section| section.end <= start || end <= section.start) {
            return Fit::New;
        }
        let within = sections.any(|section| section.start <= start && end <= section.end);
        if !within || (!fragment.more && self.buffer.end().is_none()) {
            return Fit::Overlap;
        }
        match self.buffer.data().get(usize::from(start)..usize::from(end)) {
            Some(bytes) if bytes == fragment.payload => Fit::Copy,
            _ => Fit::Conflict,
        }
    }

    fn add(&mut self, fragment: &Fragment<'_>, frames: &Frames, time: Timestamp) -> Result<(), IpDefragError> {
        if fragment.offset == 0 || self.frames.as_slice().is_empty() {
            self.protocol = fragment.protocol;
        }
        let room = FRAMES.saturating_sub(self.frames.as_slice().len());
        frames.as_slice().iter().take(room).for_each(|frame| self.frames.add(*frame));
        self.time = time;
        let end = usize::from(fragment.offset) + fragment.payload.len() + fragment.missing as usize;
        self.length = self.length.max(end);
        let offset = IpFragOffset::try_new(fragment.offset / 8).unwrap_or_default();
        self.buffer.add(offset, fragment.more, fragment.payload)
    }

    /// The datagram from its beginning to the first hole; none if the beginning is not there.
    fn whole(self) -> Option<Whole> {
        let complete = self.buffer.is_complete();
        let filled = self.buffer.sections().iter().find(|section| section.start == 0)?.end;
        let payload = self.buffer.data().get(..filled.into()).unwrap_or(self.buffer.data());
        let length = if complete { payload.len() } else { self.length.max(udp_length(self.protocol, payload)) };
        let mut bytes = Vec::with_capacity(IP_HEADER + payload.len());
        ip_header(&mut bytes, &self.key, self.protocol, length);
        bytes.extend_from_slice(payload);
        Some(Whole { bytes: bytes.into(), frames: self.frames, time: self.time, complete })
    }
}

/// The fragment without what reassembly cannot use: one cut by the snap length leaves a hole, and
/// holes start at multiples of 8.
fn usable<'a>(fragment: &Fragment<'a>) -> Option<Fragment<'a>> {
    let mut usable = *fragment;
    if fragment.missing > 0 {
        let aligned = fragment.payload.len() & !7;
        usable.payload = &fragment.payload[..aligned];
        usable.missing = fragment.missing.saturating_add((fragment.payload.len() - aligned) as u32);
        usable.more = true;
    }
    (!usable.payload.is_empty()).then_some(usable)
}

fn overlap(frame: u32) -> Anomaly {
    Anomaly::new(AnomalyKind::OverlappingFragments, frame, 0, "IP fragment overlaps others or disagrees with them")
}

fn refused(error: &IpDefragError, frame: u32) -> Anomaly {
    match error {
        IpDefragError::ConflictingEnd { .. } => overlap(frame),
        _ => Anomaly::new(AnomalyKind::MalformedHeader, frame, 0, "IP fragment of an impossible length"),
    }
}

/// Length field of a UDP header; 0 if there is none.
fn udp_length(protocol: u8, payload: &[u8]) -> usize {
    match payload {
        [_, _, _, _, high, low, _, _, ..] if protocol == walk::UDP => u16::from_be_bytes([*high, *low]).into(),
        _ => 0,
    }
}

/// An IP header for `length` bytes of payload. Length fields too small for it are 0, which the
/// decoder takes for "the rest".
fn ip_header(header: &mut Vec<u8>, key: &Key, protocol: u8, length: usize) {
    match (key.src, key.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = u16::try_from(length.saturating_add(20)).unwrap_or(0).to_be_bytes();
            let id = (key.id as u16).to_be_bytes();
            header.extend([0x45, 0, total[0], total[1], id[0], id[1], 0, 0, 64, protocol, 0, 0]);
            header.extend(src.octets());
            header.extend(dst.octets());
        }
        (src, dst) => {
            let [high, low] = u16::try_from(length).unwrap_or(0).to_be_bytes();
            header.extend([0x60, 0, 0, 0, high, low, protocol, 64]);
            for address in [src, dst] {
                match address {
                    IpAddr::V4(v4) => header.extend(v4.to_ipv6_mapped().octets()),
                    IpAddr::V6(v6) => header.extend(v6.octets()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A UDP datagram with its header, 8-aligned parts apart at `cuts`.
    fn fragments<'a>(v6: bool, id: u32, udp: &'a [u8], cuts: &[usize]) -> Vec<Fragment<'a>> {
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut * 8).filter(|cut| *cut < udp.len()).collect();
        bounds.extend([0, udp.len()]);
        bounds.sort_unstable();
        bounds.dedup();
        let (src, dst) = if v6 { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
        let part = |ends: &[usize]| Fragment {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol: 17,
            id,
            offset: ends[0] as u16,
            more: ends[1] < udp.len(),
            payload: &udp[ends[0]..ends[1]],
            missing: 0,
        };
        bounds.windows(2).map(part).collect()
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let [high, low] = (payload.len() as u16 + 8).to_be_bytes();
        [&[0x13, 0xc4, 0x13, 0xc6, high, low, 0, 0], payload].concat()
    }

    #[derive(Default)]
    struct Bench {
        defragmenter: Defragmenter,
        anomalies: Anomalies,
        frame: u32,
    }

    impl Bench {
        fn push_at(&mut self, fragment: &Fragment<'_>, seconds: i64) -> Option<Whole> {
            self.frame += 1;
            let time = Timestamp::from_nanos(seconds * 1_000_000_000);
            self.defragmenter.push(fragment, self.frame, time, &mut self.anomalies)
        }

        fn push(&mut self, fragment: &Fragment<'_>) -> Option<Whole> {
            self.push_at(fragment, 100)
        }

        fn count(&self, kind: AnomalyKind) -> u64 {
            self.anomalies.of(kind).map_or(0, |summary| summary.count)
        }

        fn finish(&mut self) -> Vec<Whole> {
            self.defragmenter.finish(&mut self.anomalies)
        }
    }

    fn payload(whole: &Whole) -> (&[u8], u32) {
        match decode_ip(&whole.bytes) {
            Decoded::Datagram(datagram) => (datagram.payload, datagram.missing),
            other => panic!("no datagram: {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_fragmentation_in_any_order_gives_the_same_payload(
            content in prop::collection::vec(any::<u8>(), 1..600),
            cuts in prop::collection::vec(1..80usize, 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 16),
            v6 in any::<bool>(),
        ) {
            let udp = udp(&content);
            let mut parts = fragments(v6, 7, &udp, &cuts);
            prop_assume!(parts.len() > 1);
            for (at, index) in order.iter().enumerate().take(parts.len()) {
                let other = index.index(parts.len());
                parts.swap(at, other);
            }
            let mut bench = Bench::default();
            let wholes: Vec<_> = parts.iter().filter_map(|part| bench.push(part)).collect();
            prop_assert_eq!(wholes.len(), 1);
            prop_assert!(wholes[0].complete);
            prop_assert_eq!(payload(&wholes[0]), (&content[..], 0));
            prop_assert_eq!(wholes[0].frames.as_slice().len(), parts.len());
            prop_assert!(bench.finish().is_empty());
            prop_assert!(bench.anomalies.is_empty());
            prop_assert_eq!(bench.defragmenter.bytes, 0);
        }
    }

    #[test]
    fn a_datagram_seen_twice_comes_out_twice() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5, 9]);
        for order in [[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2], [0, 0, 1, 2, 2, 1]] {
            let mut bench = Bench::default();
            let wholes: Vec<_> = order.iter().filter_map(|at| bench.push(&parts[*at])).collect();
            assert_eq!(wholes.len(), 2, "{order:?}");
            assert_eq!(wholes[0].bytes, wholes[1].bytes);
            let mut frames = [wholes[0].frames.as_slice(), wholes[1].frames.as_slice()].concat();
            frames.sort_unstable();
            assert_eq!(frames, [1, 2, 3, 4, 5, 6]);
            assert!(bench.finish().is_empty() && bench.anomalies.is_empty());
        }
    }

    #[test]
    fn a_fragment_seen_twice_is_harmless() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5]);
        for order in [[0, 0, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]] {
            let mut bench = Bench::default();
            assert_eq!(order.iter().filter_map(|at| bench.push(&parts[*at])).count(), 1, "{order:?}");
            assert!(bench.finish().is_empty() && bench.anomalies.is_empty(), "{order:?}");
        }
    }

    #[test]
    fn an_incomplete_datagram_is_told_with_its_beginning() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5, 9]);
        let mut bench = Bench::default();
        bench.push(&parts[0]);
        bench.push(&parts[2]);
        let wholes = bench.finish();
        assert_eq!(wholes.len(), 1);
        assert!(!wholes[0].complete);
        assert_eq!(payload(&wholes[0]), (&[b'x'; 32][..], 68));
        assert_eq!(bench.anomalies.of(AnomalyKind::IncompleteFragments).unwrap().frames, [1]);

        // Without the last fragment the UDP header tells the length.
        let mut bench = Bench::default();
        bench.push(&parts[0]);
        assert_eq!(payload(&bench.finish()[0]), (&[b'x'; 32][..], 68));

        let mut bench = Bench::default();
        bench.push(&parts[1]);
        assert!(bench.finish().is_empty());
        assert_eq!(bench.count(AnomalyKind::IncompleteFragments), 1);
    }

    #[test]
    fn waiting_ends_in_packet_time() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5]);
        let mut bench = Bench::default();
        assert!(bench.push_at(&parts[0], 0).is_none());
        assert!(bench.push_at(&parts[1], 61).is_none());
        assert_eq!(bench.defragmenter.take_incomplete().len(), 1);
        assert_eq!(bench.count(AnomalyKind::IncompleteFragments), 1);
        assert!(bench.push_at(&parts[0], 61).is_some());
    }

    #[test]
    fn a_reused_identification_never_mixes_two_datagrams() {
        let (old, new) = (udp(&[b'o'; 100]), udp(&[b'n'; 100]));
        let (old, new) = (fragments(false, 7, &old, &[5]), fragments(false, 7, &new, &[5]));
        let mut bench = Bench::default();
        assert!(bench.push(&old[0]).is_none());
        assert!(bench.push(&new[0]).is_none());
        let whole = bench.push(&new[1]).unwrap();
        assert_eq!(payload(&whole).0, [b'n'; 100]);
        assert_eq!(whole.frames.as_slice(), [2, 3]);
        assert_eq!(bench.count(AnomalyKind::OverlappingFragments), 1);
        assert_eq!(payload(&bench.finish()[0]), (&[b'o'; 32][..], 68));
        assert_eq!(bench.count(AnomalyKind::IncompleteFragments), 1);
    }

    #[test]
    fn overlapping_fragments_are_told_and_still_put_together() {
        let udp = udp(&[b'x'; 100]);
        let (first, second) = (fragments(true, 7, &udp, &[5]), fragments(true, 7, &udp, &[3]));
        let mut bench = Bench::default();
        assert!(bench.push(&first[0]).is_none());
        assert_eq!(payload(&bench.push(&second[1]).unwrap()), (&[b'x'; 100][..], 0));
        assert_eq!(bench.count(AnomalyKind::OverlappingFragments), 1);
    }

    #[test]
    fn fragments_within_fragments_are_put_together() {
        let udp = udp(&[b'x'; 100]);
        let mut bench = Bench::default();
        let mut wholes = Vec::new();
        for (id, part) in (0..).zip(fragments(false, 7, &udp, &[5])) {
            let [high, low] = (20 + part.payload.len() as u16).to_be_bytes();
            let [f0, f1] = ((part.offset / 8) | (u16::from(part.more) << 13)).to_be_bytes();
            let header = [0x45, 0, high, low, 0, 7, f0, f1, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
            let packet = [&header, part.payload].concat();
            let outer = fragments(false, id, &packet, &[4]);
            wholes.extend(outer.iter().filter_map(|outer| bench.push(&Fragment { protocol: 4, ..*outer })));
        }
        assert_eq!(wholes.len(), 1);
        assert_eq!(payload(&wholes[0]), (&[b'x'; 100][..], 0));
        assert_eq!(wholes[0].frames.as_slice(), [1, 2, 3, 4]);
        assert!(bench.finish().is_empty() && bench.anomalies.is_empty());
    }

    #[test]
    fn a_fragment_cut_by_the_snap_length_leaves_a_hole() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5]);
        let cut = Fragment { payload: &parts[0].payload[..21], missing: 19, ..parts[0] };
        let mut bench = Bench::default();
        assert!(bench.push(&cut).is_none());
        assert!(bench.push(&parts[1]).is_none());
        assert_eq!(payload(&bench.finish()[0]), (&[b'x'; 8][..], 92));
    }

    #[test]
    fn impossible_fragments_are_told() {
        let udp = udp(&[b'x'; 100]);
        let parts = fragments(false, 7, &udp, &[5]);
        let mut bench = Bench::default();
        bench.push(&Fragment { payload: &udp[..13], ..parts[0] });
        bench.push(&Fragment { offset: 65528, ..parts[1] });
        assert_eq!(bench.count(AnomalyKind::MalformedHeader), 2);
    }

    #[test]
    fn caps_hold_after_every_push() {
        let udp = udp(&[b'x'; 100]);
        let mut bench = Bench::default();
        for id in 0..limits::DEFRAG_DATAGRAMS as u32 * 3 {
            let parts = fragments(true, id, &udp, &[5]);
            bench.push(&Fragment { offset: 60_000, ..parts[0] });
            assert!(bench.defragmenter.partials.len() <= limits::DEFRAG_DATAGRAMS);
            assert!(bench.defragmenter.by_key.len() <= limits::DEFRAG_DATAGRAMS);
            assert!(bench.defragmenter.bytes <= limits::DEFRAG_BYTES + usize::from(u16::MAX));
        }
        assert!(bench.count(AnomalyKind::LimitReached) > 0);
        let before = bench.defragmenter.partials.len();
        let parts = fragments(true, 0, &udp, &[5]);
        (0..50).for_each(|_| assert!(bench.push(&parts[0]).is_none()));
        assert!(bench.defragmenter.partials.len() < before + COPIES + 1);
    }
}
