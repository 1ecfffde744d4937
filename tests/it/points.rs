//! The same traffic seen at two observation points, whose clocks differ.

use crate::support::legs::{Leg, Script};
use crate::support::{self, Told, packets, trace};
use callflow::analysis::{Analyzer, Options};
use callflow::base::{AnomalyKind, Batch, PacketMeta, Timestamp};
use callflow::capture::{self, More};
use callflow::flow::Cause;
use std::fmt::Write as _;
use std::path::Path;

/// All packets of a capture.
fn read(path: &Path) -> Batch {
    let mut source = capture::open(&[path.to_path_buf()]).source;
    let (mut all, mut batch) = (Batch::default(), Batch::default());
    while source.next_batch(&mut batch).unwrap() == More::More {
        let before = all.buffers.len() as u32;
        all.packets.extend(batch.packets.iter().map(|packet| PacketMeta { buffer: packet.buffer + before, ..*packet }));
        all.buffers.append(&mut batch.buffers);
    }
    all
}

/// The packets as two points see them: the second one `ahead` nanoseconds by its clock and `delay` behind on
/// the way, and only those that `keep` lets it see.
fn twice(batch: &Batch, ahead: i64, delay: i64, keep: impl Fn(&PacketMeta) -> bool) -> Batch {
    let seen = |packet: &PacketMeta, by: i64, interface| PacketMeta {
        time: Timestamp::from_nanos(packet.time.as_nanos() + by),
        interface,
        ..*packet
    };
    let here = batch.packets.iter().map(|packet| seen(packet, 0, 0));
    let there = batch.packets.iter().filter(|packet| keep(packet)).map(|packet| seen(packet, ahead + delay, 1));
    let mut packets: Vec<PacketMeta> = here.chain(there).collect();
    packets.sort_by_key(|packet| packet.time);
    for (at, packet) in packets.iter_mut().enumerate() {
        packet.frame = at as u32 + 1;
    }
    Batch { buffers: batch.buffers.clone(), packets }
}

fn tell(batch: &Batch) -> Told {
    let mut analyzer = Analyzer::new(Options::default());
    analyzer.push(batch);
    support::judge(analyzer)
}

/// What must not depend on how often and with which clock a call is seen.
fn essence(told: &Told) -> Vec<String> {
    let mut all: Vec<String> = told
        .analysis
        .views()
        .zip(&told.flows)
        .map(|(view, flow)| {
            let mut codes: Vec<&str> =
                told.findings.iter().filter(|f| f.call == Some(view.number)).map(|f| f.rule.code).collect();
            codes.sort_unstable();
            let id = String::from_utf8_lossy(view.sip(callflow::session::MessageNo::new(0)).call_id()).into_owned();
            format!("{id} {:?} {:?} {:?} {} {codes:?}", view.call.kind, view.call.outcome, flow.flow, flow.cost)
        })
        .collect();
    all.sort();
    all
}

const UDP: [&str; 12] = [
    "a01-register-new-sipp",
    "a05-register-wrong-password",
    "a08-session-direct",
    "a10-session-one-proxy",
    "a11-session-two-proxies",
    "a18-no-answer-cancel",
    "b07-auth-loop",
    "b09-ack-lost-before-mirror",
    "b10-ack-never-200-retransmitted",
    "b12-200-lost-after-mirror",
    "b22-invite-timer-b",
    "b33-fork-one-answers",
];

#[test]
fn two_captures_of_one_hop_are_one_whatever_their_clocks_say() {
    for name in UDP {
        let path = support::root().join("testdata/captures").join(name).with_extension("pcap");
        let once = read(&path);
        let plain = tell(&once);
        for ahead in [0, 40_000, 3_200_000_000, -7_700_000_000, 86_400_000_000_000] {
            let both = tell(&twice(&once, ahead, 30_000, |_| true));
            assert_eq!(essence(&both), essence(&plain), "{name} {ahead}");
            let stats = &both.analysis.stats;
            assert_eq!(stats.retransmissions, plain.analysis.stats.retransmissions, "{name} {ahead}");
            assert_eq!(stats.captured_twice, stats.messages / 2, "{name} {ahead}");
            assert!(both.analysis.seen.iter().all(|seen| seen.unseen_at.is_none()), "{name} {ahead}");
        }
    }
}

#[test]
fn the_offset_of_the_clocks_is_told_with_its_spread() {
    let once = read(&support::root().join("testdata/captures/a08-session-direct.pcap"));
    let both = twice(&once, 3_200_000_000, 0, |_| true);
    let mut analysis = tell(&both).analysis;
    let clock = analysis.points[1].clock.expect("a clock");
    assert_eq!((clock.reference, clock.ahead, clock.moved), (0, 3_200_000_000, true));
    assert_eq!(clock.shared as u64, analysis.stats.messages / 2);
    analysis.name_points(|point| format!("{point}.pcap"));
    let told = analysis.anomalies.of(AnomalyKind::ClocksDiffer).expect("told");
    assert!(told.first.text.starts_with("the clock of 1.pcap is 3.200000 s ahead, as"), "{}", told.first.text);
}

#[test]
fn the_delay_of_the_path_is_not_taken_for_the_clock() {
    // 80 ms of way between both ends, each of which sees what it sends first.
    let leg = Leg::new("1@alice", "192.0.2.1:5060", "192.0.2.2:5060", "alice", "bob");
    let mut script = Script::default();
    script.invite(&leg, 1.0).ring(&leg, 1.5).answer(&leg, 4.0).bye(&leg, 9.0, true);
    let once = packets::batch(&trace::parse(&script.trace()).unwrap());
    let mut both = twice(&once, 2_000_000_000, 0, |_| true);
    let sent_by_alice = |packet: &PacketMeta| once.data(packet).get(26..30) == Some(&[192, 0, 2, 1]);
    for packet in &mut both.packets {
        let late = sent_by_alice(packet) == (packet.interface == 1);
        packet.time = Timestamp::from_nanos(packet.time.as_nanos() + if late { 80_000_000 } else { 0 });
    }
    both.packets.sort_by_key(|packet| packet.time);
    let told = tell(&both);
    assert_eq!(told.analysis.points[1].clock.map(|clock| clock.ahead), Some(2_000_000_000));
    assert_eq!(told.analysis.stats.retransmissions, 0);
    assert_eq!(essence(&told), essence(&tell(&once)));
}

#[test]
fn what_left_one_end_and_never_reached_the_other_is_told() {
    let leg = Leg::new("1@alice", "192.0.2.1:5060", "192.0.2.2:5060", "alice", "bob");
    let lost = Leg::new("2@alice", "192.0.2.1:5060", "192.0.2.2:5060", "alice", "bob");
    let mut script = Script::default();
    script.invite(&leg, 1.0).ring(&leg, 1.1).answer(&leg, 4.0).bye(&leg, 9.0, true);
    let mut text = script.trace();
    // An INVITE on its schedule, of which the other end sees nothing.
    let mut invite = Script::default();
    invite.invite(&lost, 0.0);
    let invite = invite.trace();
    let invite = invite.split("\n@").next().unwrap().split_once(' ').unwrap().1.to_owned();
    text.truncate(text.rfind('@').unwrap());
    for at in [12.0, 12.5, 13.5, 15.5, 19.5, 27.5, 43.5] {
        writeln!(text, "@{at} {invite}").unwrap();
    }
    text.push_str("@60 end\n");
    let once = packets::batch(&trace::parse(&text).unwrap());
    let is_lost = |packet: &PacketMeta| {
        let data = String::from_utf8_lossy(once.data(packet)).into_owned();
        data.contains("Call-ID: 2@alice")
    };
    for ahead in [0, -3_000_000_000] {
        let told = tell(&twice(&once, ahead, 100_000, |packet| !is_lost(packet)));
        let missed: Vec<bool> =
            told.analysis.views().map(|view| view.messages().any(|(_, seen)| seen.unseen_at.is_some())).collect();
        assert_eq!(missed, [false, true]);
        let finding = told.findings.iter().find(|finding| finding.rule.code == "T01").expect("T01");
        assert_eq!(finding.cause, Some(Cause::LostOnPath));
        let place = "the request passed observation point 0 and never reached observation point 1";
        assert!(finding.detail.contains(place), "{}", finding.detail);
    }
    // While the other end was not recording, nobody knows.
    let told = tell(&twice(&once, 0, 100_000, |packet| {
        !is_lost(packet) && packet.time < packets::START.after(std::time::Duration::from_secs(11))
    }));
    assert!(told.analysis.seen.iter().all(|seen| seen.unseen_at.is_none()));
}

#[test]
fn one_way_may_be_slow_without_another_clock() {
    let once = read(&support::root().join("testdata/captures/b22-invite-timer-b.pcap"));
    for (ahead, moved) in [(60_000_000, false), (5_000_000_000, true)] {
        let told = tell(&twice(&once, ahead, 0, |_| true));
        assert_eq!(told.analysis.points[1].clock.map(|clock| clock.moved), Some(moved), "{ahead}");
        assert_eq!(told.analysis.stats.retransmissions, tell(&once).analysis.stats.retransmissions);
    }
}

#[test]
fn the_files_of_both_ends_are_named_where_a_request_was_lost() {
    let leg = Leg::new("1@alice", "192.0.2.1:5060", "192.0.2.2:5060", "alice", "bob");
    let mut script = Script::default();
    script.invite(&leg, 1.0).ring(&leg, 1.1).answer(&leg, 4.0);
    let mut text = script.trace();
    text.truncate(text.rfind('@').unwrap());
    let mut bye = Script::default();
    bye.bye(&leg, 0.0, true);
    let bye = bye.trace().split("\n@").next().unwrap().split_once(' ').unwrap().1.to_owned();
    for at in [9.0, 9.5, 10.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.5, 36.5, 40.5] {
        writeln!(text, "@{at} {bye}").unwrap();
    }
    text.push_str("@60 end\n");
    let here = packets::batch(&trace::parse(&text).unwrap());
    let mut there = here.clone();
    there.packets.retain(|packet| !String::from_utf8_lossy(here.data(packet)).contains("BYE sip:"));
    for packet in &mut there.packets {
        packet.time = Timestamp::from_nanos(packet.time.as_nanos() - 4_000_000_000);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, batch) in [("alice.pcap", &here), ("bob.pcap", &there)] {
        std::fs::write(folder.join(name), packets::pcap(batch)).unwrap();
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_callflow"))
        .current_dir(folder)
        .args(["check", "--fail-on", "warning", "--width", "2000", "alice.pcap", "bob.pcap"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the request passed alice.pcap and never reached bob.pcap"), "{told}");
    assert!(told.contains("clock of alice.pcap is 4.000000 s ahead"), "{told}");
    assert!(told.contains("never reached bob.pcap"), "{told}");
}

#[test]
fn files_of_different_hops_are_brought_to_one_clock() {
    let once = read(&support::root().join("testdata/captures/a11-session-two-proxies.pcap"));
    // The first file has the caller's side, the other one the rest, by another clock.
    let is_first = |packet: &PacketMeta| once.data(packet).get(26..34).is_some_and(|ips| ips[3] == 11 || ips[7] == 11);
    for ahead in [4_000_000_000, -4_000_000_000] {
        let mut both = once.clone();
        for packet in &mut both.packets {
            if !is_first(packet) {
                packet.interface = 1;
                packet.time = Timestamp::from_nanos(packet.time.as_nanos() + ahead);
            }
        }
        both.packets.sort_by_key(|packet| packet.time);
        let told = tell(&both);
        let clock = told.analysis.points[1].clock.expect("a clock");
        assert!(clock.moved && (clock.ahead - ahead).abs() < 1_000_000, "{clock:?}");
        assert_eq!(essence(&told), essence(&tell(&once)));
        let labels = |told: &Told| -> Vec<String> {
            let view = told.analysis.view(0);
            view.messages().map(|(_, seen)| format!("{} {:?}", seen.connection.src, seen.message.status())).collect()
        };
        assert_eq!(labels(&told), labels(&tell(&once)));
    }
}
