//! What must hold of any capture: edits of healthy captures whose effect is known beforehand.
//!
//! Every edit is made on packets, and the whole pipeline runs on the result.

use crate::support::printed::{section, sections};
use crate::support::{self, Told, packets};
use callflow::base::{AnomalyKind, Batch, PacketMeta, Timestamp, Transport};
use callflow::capture::{self, More};
use callflow::flow::Verdict;
use callflow::rules::{Finding, Severity};
use callflow::session::Seen;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

/// How long every capture goes on: longer than any timer of a transaction, and than an INVITE may ring.
const SILENCE: Duration = Duration::from_secs(400);
/// Neighbours that a capture point may swap.
const CLOSE: Duration = Duration::from_millis(5);

/// How the calls are named that the standard prints.
const PRINTED: &str = "RFC 3665";

/// A capture of healthy calls.
struct Healthy {
    name: String,
    batch: Batch,
    told: Told,
}

/// All batches of a file, as one.
fn whole(path: &Path) -> Batch {
    let mut source = capture::open(&[path.to_path_buf()]).source;
    let mut all = Batch::default();
    let mut batch = Batch::default();
    while source.next_batch(&mut batch).unwrap() == More::More {
        let base = all.buffers.len() as u32;
        all.buffers.append(&mut batch.buffers);
        all.packets.extend(batch.packets.iter().map(|p| PacketMeta { buffer: p.buffer + base, ..*p }));
    }
    all
}

/// The packets, numbered anew, and one that is no SIP long after them.
fn capture_of(buffers: &Batch, packets: impl IntoIterator<Item = PacketMeta>, end: Timestamp) -> Batch {
    let mut batch = Batch { buffers: buffers.buffers.clone(), packets: packets.into_iter().collect() };
    let end_event = packets::batch(&support::trace::parse("@0 end").unwrap());
    let last = end_event.packets[0];
    let link = batch.packets.first().map_or(last.link, |first| first.link);
    batch.packets.push(PacketMeta { buffer: batch.buffers.len() as u32, time: end, link, ..last });
    batch.buffers.extend(end_event.buffers);
    for (at, packet) in batch.packets.iter_mut().enumerate() {
        packet.frame = at as u32 + 1;
    }
    batch
}

/// The end of captures made of this one.
fn end(batch: &Batch) -> Timestamp {
    batch.packets.iter().map(|packet| packet.time).max().unwrap().after(SILENCE)
}

/// All of them, read once for all tests.
static HEALTHY: LazyLock<Vec<Healthy>> = LazyLock::new(healthy);

/// Captures of testdata that are labelled as without fault, and in which all is found to be well.
fn healthy() -> Vec<Healthy> {
    let labelled: Vec<_> = support::captures().into_iter().filter(|path| is_labelled_healthy(path)).collect();
    let all: Vec<Healthy> = labelled
        .par_iter()
        .filter_map(|path| {
            let read = whole(path);
            let batch = capture_of(&read, read.packets.clone(), end(&read));
            let told = support::tell_batch(&batch);
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (fails(&told).is_empty() && !told.analysis.seen.is_empty()).then_some(Healthy { name, batch, told })
        })
        .collect();
    assert!(all.len() >= 25, "only {} healthy captures", all.len());
    // A target is silent in 3.4 and 3.10, which is what they are about.
    let printed: Vec<Healthy> = sections().filter(|name| !matches!(*name, "3.4" | "3.10")).map(printed).collect();
    all.into_iter().chain(printed).collect()
}

/// The call that RFC 3665 prints. The messages of the tests are bare, which some rules tell of.
fn printed(name: &str) -> Healthy {
    let mut trace = String::new();
    for message in section(name) {
        let (seconds, text) = (message.ms as f64 / 1e3, message.text.replace("\r\n", "\n"));
        let (from, to) = (message.from, message.to);
        write!(trace, "@{seconds:.3} udp {from}:5060 > {to}:5060\n{text}").unwrap();
        if !trace.ends_with('\n') {
            trace.push('\n');
        }
    }
    let read = packets::batch(&support::trace::parse(&trace).unwrap());
    let batch = capture_of(&read, read.packets.clone(), end(&read));
    let told = support::tell_batch(&batch);
    Healthy { name: format!("{PRINTED} {name}"), batch, told }
}

fn is_labelled_healthy(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
    let Ok(text) = std::fs::read_to_string(path.with_file_name(format!("{name}.json"))) else {
        return false;
    };
    let label: serde_json::Value = serde_json::from_str(&text).unwrap();
    let calls = label["calls"].as_array().cloned().unwrap_or_default();
    !calls.is_empty() && calls.iter().all(|call| call["faults"].as_array().is_none_or(Vec::is_empty))
}

/// A finding without where it was found.
fn told_of(finding: &Finding) -> String {
    let missing = finding.missing.as_ref().map_or("", |missing| &missing.what);
    format!("{} {:?} {:?} {:?} {missing}", finding.rule.code, finding.severity, finding.verdict, finding.cause)
}

/// What is held against peers or the network: not what the rules H.. say of the capture itself.
fn fails(told: &Told) -> Vec<String> {
    let fails = |finding: &&Finding| {
        finding.verdict == Verdict::Violated && finding.severity > Severity::Info && !finding.rule.code.starts_with('H')
    };
    told.findings.iter().filter(fails).map(|finding| format!("{}: {}", told_of(finding), finding.summary)).collect()
}

/// Of these, what the unchanged capture does not give rise to.
fn new_fails(healthy: &Healthy, told: &Told) -> Vec<String> {
    let known: Vec<String> = fails(&healthy.told).iter().map(|fail| fail[..3].to_owned()).collect();
    fails(told).into_iter().filter(|fail| !known.iter().any(|code| fail.starts_with(code.as_str()))).collect()
}

/// Everything said of each call, by its first Call-ID.
fn by_call(told: &Told) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for (view, flow) in told.analysis.views().zip(&told.flows) {
        let Some((_, first)) = view.messages().next() else { continue };
        let mut lines: Vec<String> =
            told.findings.iter().filter(|f| f.call == Some(view.number)).map(told_of).collect();
        lines.sort();
        let missing: Vec<_> = flow.missing.iter().map(|missing| (&missing.step, missing.cause)).collect();
        let (outcome, steps) = (view.call.outcome.name(), &flow.steps);
        lines.push(format!("{outcome} {:?} cost {} {missing:?} {:?} {steps:?}", flow.flow, flow.cost, flow.unexpected));
        all.insert(String::from_utf8_lossy(first.message.call_id()).into_owned(), lines);
    }
    all
}

/// Without the line about the flow.
fn without_flow(mut lines: Vec<String>) -> Vec<String> {
    lines.pop();
    lines
}

/// Runs `edit` on all healthy captures, and shows what it complains of.
fn holds(edit: impl Fn(&Healthy) -> Vec<String> + Sync) {
    let wrong: Vec<String> = HEALTHY
        .par_iter()
        .flat_map_iter(|healthy| {
            edit(healthy).into_iter().map(|what| format!("{}: {what}", healthy.name)).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// At most `most` positions of `0..of`, evenly spread.
fn some(of: usize, most: usize) -> impl Iterator<Item = usize> {
    (0..of).step_by(of.div_ceil(most).max(1))
}

/// Positions of the packets that carry `seen`.
fn places(batch: &Batch, seen: &Seen) -> Vec<usize> {
    let frames = seen.frames.as_slice();
    (0..batch.packets.len()).filter(|at| frames.contains(&batch.packets[*at].frame)).collect()
}

/// Pairs of datagrams with SIP that follow each other closely and in the file, by position.
fn neighbours(healthy: &Healthy) -> Vec<(usize, usize)> {
    let of = |udp: bool| {
        let is = move |seen: &&Seen| (seen.connection.transport == Transport::Udp) == udp;
        let places = healthy.told.analysis.seen.iter().filter(is).flat_map(|seen| places(&healthy.batch, seen));
        places.collect::<BTreeSet<usize>>()
    };
    let (datagrams, others) = (of(true), of(false));
    let all: Vec<usize> = datagrams.iter().copied().collect();
    let time = |at: usize| healthy.batch.packets[at].time;
    let is_close = |(a, b): &(usize, usize)| time(*b).since(time(*a)) <= CLOSE && others.range(a..b).next().is_none();
    all.windows(2).map(|pair| (pair[0], pair[1])).filter(is_close).collect()
}

fn name(seen: &Seen) -> String {
    let message = &seen.message;
    let (src, dst) = (seen.connection.src.ip, seen.connection.dst.ip);
    let start = message.status().map_or(String::new(), |status| format!("{status} to "));
    format!("{start}{} {src}>{dst} frame {}", message.method_name(), seen.frames.last())
}

/// A message that is said to be missing: what, from, to.
fn named(told: &Told) -> Vec<(String, Vec<IpAddr>, Vec<IpAddr>)> {
    let mut all = Vec::new();
    for (view, flow) in told.analysis.views().zip(&told.flows) {
        let hosts = |who: callflow::base::Idx<callflow::call::Participant>| {
            view.call.participants[who.at()].addresses.iter().map(|end| end.ip).collect::<Vec<_>>()
        };
        all.extend(flow.missing.iter().map(|missing| (missing.what.clone(), hosts(missing.from), hosts(missing.to))));
        let found = told.findings.iter().filter(|finding| finding.call == Some(view.number));
        let missing = found.filter_map(|finding| finding.missing.as_ref());
        all.extend(missing.map(|missing| (missing.what.clone(), hosts(missing.from), hosts(missing.to))));
    }
    all
}

#[test]
fn a_deleted_message_is_named_and_nothing_else_is() {
    holds(|healthy| {
        if healthy.name.starts_with(PRINTED) {
            return Vec::new(); // tests/it/matrix.rs
        }
        let messages: Vec<&Seen> = healthy.told.analysis.seen.iter().collect();
        some(messages.len(), 48).filter_map(|at| deleted(healthy, messages[at])).collect()
    });
}

fn deleted(healthy: &Healthy, seen: &Seen) -> Option<String> {
    let udp = seen.connection.transport == Transport::Udp;
    let raw = seen.message.raw();
    let again = healthy.told.analysis.seen.iter().filter(|other| other.message.raw() == raw).count() > 1;
    let (src, dst) = (seen.connection.src.ip, seen.connection.dst.ip);
    // A response that is all that one host ever says to another: the capture then lacks that direction.
    let only = !seen.message.is_request() && healthy.told.analysis.stats.heard(src, dst) == 1;
    if !udp || again || only {
        return None;
    }
    let gone = places(&healthy.batch, seen);
    let kept = healthy.batch.packets.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, packet)| *packet);
    let told = support::tell_batch(&capture_of(&healthy.batch, kept, end(&healthy.batch)));
    let method = seen.message.method_name();
    let is_it = |(what, from, to): &(String, Vec<IpAddr>, Vec<IpAddr>)| {
        let right = match seen.message.status() {
            Some(_) => what.contains("response") || what.starts_with(|c: char| c.is_ascii_digit()),
            None => what.starts_with(&*method),
        };
        right && from.contains(&src) && to.contains(&dst)
    };
    let named = named(&told);
    let told_of_capture =
        |finding: &Finding| finding.rule.code.starts_with('H') && finding.summary.contains(&src.to_string());
    let of_capture = told.findings.iter().any(told_of_capture);
    let is_optional = seen.message.status().is_some_and(|status| status < 200);
    let others: Vec<_> = named.iter().filter(|one| !is_it(one)).collect();
    let fails = new_fails(healthy, &told);
    let found = named.len() > others.len() || of_capture;
    let right = fails.is_empty() && others.is_empty() && (found || is_optional);
    (!right).then(|| format!("without {}: fails {fails:?}, also missing {others:?}, named {found}", name(seen)))
}

#[test]
fn a_duplicated_packet_accuses_nobody() {
    holds(|healthy| {
        let doubled = |at: usize| {
            let mut packets = healthy.batch.packets.clone();
            packets.insert(at + 1, packets[at]);
            let told = support::tell_batch(&capture_of(&healthy.batch, packets, end(&healthy.batch)));
            let fails = new_fails(healthy, &told);
            (!fails.is_empty()).then(|| format!("frame {} twice: {fails:?}", at + 1))
        };
        let all = sip_packets(healthy);
        some(all.len(), 24).filter_map(|at| doubled(all[at])).collect()
    });
}

/// Positions of all packets with SIP.
fn sip_packets(healthy: &Healthy) -> Vec<usize> {
    let all: BTreeSet<usize> =
        healthy.told.analysis.seen.iter().flat_map(|seen| places(&healthy.batch, seen)).collect();
    all.into_iter().collect()
}

#[test]
fn swapped_neighbours_are_an_order_note_at_most() {
    holds(|healthy| {
        let pairs = neighbours(healthy);
        some(pairs.len(), 24).filter_map(|at| swapped(healthy, pairs[at].0, pairs[at].1)).collect()
    });
}

fn swapped(healthy: &Healthy, a: usize, b: usize) -> Option<String> {
    let mut packets = healthy.batch.packets.clone();
    packets.swap(a, b);
    let time = packets[a].time;
    packets[a].time = packets[b].time;
    packets[b].time = time;
    let told = support::tell_batch(&capture_of(&healthy.batch, packets, end(&healthy.batch)));
    let notes = told.analysis.anomalies.of(AnomalyKind::Reordered).map_or(0, |noted| noted.count);
    let fails = new_fails(healthy, &told);
    let costs = |told: &Told| told.flows.iter().map(|flow| (flow.flow, flow.missing.len())).collect::<Vec<_>>();
    let right = fails.is_empty() && notes <= 1 && costs(&told) == costs(&healthy.told);
    (!right).then(|| format!("frames {} and {} swapped: {fails:?}, {notes} notes, {:?}", a + 1, b + 1, costs(&told)))
}

#[test]
fn a_capture_cut_at_both_ends_accuses_nobody() {
    holds(|healthy| {
        let all = sip_packets(healthy);
        let cut = |from: usize, to: usize| {
            let packets = &healthy.batch.packets[all[from]..=all[to]];
            let told =
                support::tell_batch(&Batch { buffers: healthy.batch.buffers.clone(), packets: packets.to_vec() });
            let fails = new_fails(healthy, &told);
            (!fails.is_empty()).then(|| format!("only frames {} to {}: {fails:?}", all[from] + 1, all[to] + 1))
        };
        let cuts: Vec<(usize, usize)> = some(all.len(), 7)
            .flat_map(|from| some(all.len() - from, 7).map(move |more| (from, from + more)))
            .collect();
        cuts.into_iter().filter_map(|(from, to)| cut(from, to)).collect()
    });
}

#[test]
fn a_capture_of_one_direction_accuses_nobody() {
    holds(|healthy| {
        let seen = &healthy.told.analysis.seen;
        let ways: BTreeSet<(IpAddr, IpAddr)> = seen
            .iter()
            .filter(|seen| seen.connection.src.ip != seen.connection.dst.ip)
            .map(|seen| (seen.connection.src.ip, seen.connection.dst.ip))
            .collect();
        let without = |way: (IpAddr, IpAddr)| {
            let on_way = |seen: &&Seen| (seen.connection.src.ip, seen.connection.dst.ip) == way;
            let gone: BTreeSet<usize> =
                seen.iter().filter(on_way).flat_map(|seen| places(&healthy.batch, seen)).collect();
            let all = healthy.batch.packets.iter().enumerate();
            let kept = all.filter(|(at, _)| !gone.contains(at)).map(|(_, packet)| *packet);
            let told = support::tell_batch(&capture_of(&healthy.batch, kept, end(&healthy.batch)));
            let fails = new_fails(healthy, &told);
            (!fails.is_empty()).then(|| format!("nothing from {} to {}: {fails:?}", way.0, way.1))
        };
        ways.into_iter().filter_map(without).collect()
    });
}

/// The packets of `batch` at other times.
fn at_times(batch: &Batch, time: impl Fn(Timestamp) -> Timestamp) -> Vec<PacketMeta> {
    batch.packets.iter().map(|packet| PacketMeta { time: time(packet.time), ..*packet }).collect()
}

#[test]
fn interleaved_calls_are_judged_as_apart() {
    let all: Vec<&Healthy> = HEALTHY
        .iter()
        .filter(|one| one.told.analysis.seen.iter().all(|s| s.connection.transport == Transport::Udp))
        .collect();
    let first = |batch: &Batch| batch.packets.iter().map(|packet| packet.time).min().unwrap();
    let wrong: Vec<String> = all
        .par_windows(2)
        .filter(|pair| pair[0].batch.packets[0].link == pair[1].batch.packets[0].link)
        .filter_map(|pair| {
            let (a, b) = (&pair[0].batch, &pair[1].batch);
            let start = first(a);
            let shifted = |batch: &Batch, base: u32| -> Vec<PacketMeta> {
                let by = first(batch);
                let moved = at_times(batch, |time| start.after(time.since(by)));
                moved.into_iter().map(|packet| PacketMeta { buffer: packet.buffer + base, ..packet }).collect()
            };
            let (of_a, of_b) = (shifted(a, 0), shifted(b, a.buffers.len() as u32));
            let buffers = Batch { buffers: [&a.buffers[..], &b.buffers].concat(), packets: Vec::new() };
            let end = of_a.iter().chain(&of_b).map(|packet| packet.time).max().unwrap().after(SILENCE);
            let mut both = [&of_a[..], &of_b].concat();
            both.sort_by_key(|packet| packet.time);
            let together = by_call(&support::tell_batch(&capture_of(&buffers, both, end)));
            let mut apart = by_call(&support::tell_batch(&capture_of(&buffers, of_a, end)));
            apart.extend(by_call(&support::tell_batch(&capture_of(&buffers, of_b, end))));
            (together != apart)
                .then(|| differences(&format!("{} with {}", pair[0].name, pair[1].name), &apart, &together))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differences(name: &str, one: &BTreeMap<String, Vec<String>>, other: &BTreeMap<String, Vec<String>>) -> String {
    let calls = one.iter().filter(|(id, lines)| other.get(*id) != Some(lines));
    let told: Vec<String> = calls.map(|(id, lines)| format!("{id}:\n  {lines:?}\n  {:?}", other.get(id))).collect();
    format!("{name}: {} calls, {} calls\n{}", one.len(), other.len(), told.join("\n"))
}

#[test]
fn a_shifted_or_slightly_scaled_clock_changes_nothing() {
    holds(|healthy| {
        let start = healthy.batch.packets[0].time;
        let expected = by_call(&healthy.told);
        let shifted = at_times(&healthy.batch, |time| time.after(Duration::from_nanos(86_400_000_000_123)));
        let scaled = at_times(&healthy.batch, |time| start.after(time.since(start).mul_f64(0.97)));
        [("shifted", shifted), ("scaled", scaled)]
            .into_iter()
            .filter_map(|(what, packets)| {
                let got = by_call(&support::tell_batch(&Batch { buffers: healthy.batch.buffers.clone(), packets }));
                (got != expected).then(|| differences(what, &expected, &got))
            })
            .collect()
    });
}

/// Bytes and what stands for them elsewhere, of the same length.
const RENAMED: [(&[u8], &[u8]); 6] = [
    (b"10.20.1.", b"10.97.8."),
    (&[10, 20, 1], &[10, 97, 8]),
    (b"alice", b"zelda"),
    (b"atlanta", b"bolivia"),
    (b"biloxi", b"quebec"),
    (b"z9hG4bK", b"z9hG4bK"),
];

fn renamed(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for (name, other) in RENAMED {
        let mut at = 0;
        while at + name.len() <= out.len() {
            if out[at..].starts_with(name) {
                out[at..at + name.len()].copy_from_slice(other);
                at += name.len();
            } else {
                at += 1;
            }
        }
    }
    out
}

#[test]
fn other_addresses_and_names_change_nothing() {
    holds(|healthy| {
        if healthy.told.analysis.seen.iter().any(|seen| seen.connection.transport != Transport::Udp) {
            return Vec::new(); // under TLS and WebSocket names are masked
        }
        let buffers = healthy.batch.buffers.iter().map(|bytes| renamed(bytes).into()).collect();
        let told = support::tell_batch(&Batch { buffers, packets: healthy.batch.packets.clone() });
        let same_ids = |told: &Told| -> Vec<Vec<String>> {
            let mut all: Vec<Vec<String>> = by_call(told).into_values().collect();
            all.sort();
            all
        };
        let (expected, got) = (same_ids(&healthy.told), same_ids(&told));
        if got == expected { Vec::new() } else { vec![format!("{expected:?}\n{got:?}")] }
    });
}

/// Messages of one instant tell nothing by their order.
#[test]
fn packets_of_one_instant_may_come_in_any_order() {
    holds(|healthy| {
        let pairs = neighbours(healthy);
        let mut wrong = Vec::new();
        for at in some(pairs.len(), 24) {
            let (a, b) = pairs[at];
            let mut packets = healthy.batch.packets.clone();
            packets[b].time = packets[a].time;
            let run = |packets: Vec<PacketMeta>| {
                let told = support::tell_batch(&capture_of(&healthy.batch, packets, end(&healthy.batch)));
                let mut fails = new_fails(healthy, &told);
                fails.sort();
                let flows: BTreeMap<_, _> = told
                    .analysis
                    .views()
                    .zip(&told.flows)
                    .map(|(view, flow)| (view.sip(view.call.numbers().next().unwrap()).call_id().to_vec(), flow))
                    .map(|(id, flow)| (id, (flow.flow, flow.cost, flow.missing.len(), flow.unexpected.len())))
                    .collect();
                let findings: Vec<Vec<String>> = by_call(&told).into_values().map(without_flow).collect();
                let notes = told.analysis.anomalies.of(AnomalyKind::Reordered).is_some();
                (fails, flows, findings, notes)
            };
            let one = run(packets.clone());
            packets.swap(a, b);
            let other = run(packets);
            if one != other {
                wrong.push(format!("frames {} and {}: {one:?}\n  {other:?}", a + 1, b + 1));
            }
        }
        wrong
    });
}

/// Cases that hold nothing against anybody: those of rules and of flows beyond RFC 3665.
fn cases() -> Vec<Healthy> {
    let files = ["testdata/rules", "testdata/flows/beyond"].map(|folder| support::files(folder, "trace")).concat();
    let read = |path: &std::path::PathBuf| {
        let events = support::trace::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let batch = packets::batch(&events);
        let told = support::tell_batch(&batch);
        let name = path.strip_prefix(support::root()).unwrap().display().to_string();
        fails(&told).is_empty().then_some(Healthy { name, batch, told })
    };
    files.par_iter().filter_map(read).collect()
}

/// Whether all of a case is in its capture, over datagrams: what lacks on a stream leaves a gap in its numbers.
fn is_whole(told: &Told) -> bool {
    let udp = told.analysis.seen.iter().all(|seen| seen.connection.transport == Transport::Udp);
    udp && told.flows.iter().all(|flow| flow.missing.is_empty()) && told.findings.iter().all(|f| f.missing.is_none())
}

/// What is true whether or not the message was captured: E01 tells a failed call, which ringing makes milder; I02 an
/// ACK that had to be sent again.
const STILL_TRUE: [&str; 2] = ["E01", "I02"];

#[test]
fn one_message_that_the_tap_missed_accuses_nobody() {
    let cases: Vec<Healthy> = cases().into_iter().filter(|case| is_whole(&case.told)).collect();
    assert!(cases.len() > 200, "only {} cases", cases.len());
    let wrong: Vec<String> = cases
        .par_iter()
        .flat_map_iter(|case| {
            let missed = |seen: &Seen| {
                let gone = places(&case.batch, seen);
                let left = case.batch.packets.iter().enumerate().filter(|(at, _)| !gone.contains(at));
                let packets = left.map(|(_, packet)| *packet).collect();
                let told = support::tell_batch(&Batch { buffers: case.batch.buffers.clone(), packets });
                let fails = fails(&told).into_iter().filter(|fail| !STILL_TRUE.contains(&&fail[..3]));
                fails.map(|fail| format!("{} without {}: {fail}", case.name, name(seen))).collect::<Vec<_>>()
            };
            case.told.analysis.seen.iter().flat_map(missed).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
