//! Encapsulations that lie: an anomaly or nothing, never a panic, never without bound.

use super::table::{TABLE, aggregate, snap};
use super::{batch, tell, wire};
use crate::support::tell_batch;
use callflow::analysis::PacketKind;
use callflow::base::AnomalyKind;
use std::io::Write;

/// Puts bytes into something.
type Wrap = fn(&[u8]) -> Vec<u8>;

#[test]
fn changed_bytes_and_cut_frames_never_panic() {
    for row in TABLE {
        let frames = (row.wrap)(&wire::call(row.transport.name()));
        let longest = frames.iter().map(Vec::len).max().unwrap();
        // Headers are in the first bytes; the text behind them is tested elsewhere.
        for at in 0..longest.min(160) {
            let value = [0x00, 0x7f, 0xff, 0x80][at % 4];
            let mut changed: Vec<Vec<u8>> = frames.iter().take(4).cloned().collect();
            changed.iter_mut().filter_map(|frame| frame.get_mut(at)).for_each(|byte| *byte = value);
            let mut batch = batch(row.link, &changed);
            // Every other one is cut there, too.
            for packet in batch.packets.iter_mut().filter(|_| at % 2 == 1) {
                packet.captured = packet.captured.min(at as u32);
            }
            let _ = tell_batch(&batch);
        }
    }
}

#[test]
fn tunnels_in_tunnels_end_at_the_limit() {
    let call = wire::call("UDP");
    let mut packet = call[0].ip();
    for _ in 0..200 {
        packet = wire::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 1, 4, &packet);
    }
    let told = tell(101, &[packet]);
    assert_eq!(told.analysis.stats.messages, 0);
    assert_eq!(told.analysis.anomalies.of(AnomalyKind::TunnelDepth).unwrap().count, 1);
}

#[test]
fn link_types_in_link_types_end() {
    let mut frame = Vec::new();
    for _ in 0..100_000 {
        frame.extend([0, 0, 8, 0, 192, 0, 0, 0]); // PPI that holds PPI
    }
    let told = tell(192, &[frame]);
    assert_eq!(told.analysis.stats.coverage.of(PacketKind::Malformed).packets, 1);
}

#[test]
fn an_aggregate_that_lies_is_read_up_to_the_lie() {
    let call = wire::call("UDP");
    let whole = aggregate(&[snap(&call[0]), snap(&call[1]), snap(&call[2])]);
    let second = 26 + (14 + snap(&call[0]).len()).next_multiple_of(4);
    for length in [0, 1, 7, 0xffff] {
        let mut lying = whole.clone();
        lying[second + 12..second + 14].copy_from_slice(&wire::be(length));
        let told = tell(105, &[lying]);
        assert_eq!(told.analysis.seen[0].message.raw().as_ref(), call[0].text.as_slice(), "{length}");
        assert!(told.analysis.anomalies.of(AnomalyKind::MalformedHeader).is_some(), "{length}");
    }
    // Cut by the snap length: as much of the second one as is there.
    let mut batch = batch(105, &[whole]);
    batch.packets[0].captured = second as u32 + 200;
    let told = tell_batch(&batch);
    assert_eq!(told.analysis.stats.messages, 2);
    assert!(told.analysis.anomalies.of(AnomalyKind::CutFrame).is_some());
}

#[test]
fn aggregates_of_nothing_and_in_each_other_are_bounded() {
    let empty = aggregate(&vec![vec![0xaa]; 20_000]);
    let told = tell(105, &[empty]);
    assert!(told.analysis.anomalies.of(AnomalyKind::MalformedHeader).unwrap().count <= 256);
    let call = wire::call("UDP");
    let tzsp = |frame: &[u8]| {
        wire::ipv4(
            [10, 0, 0, 1].into(),
            [10, 0, 0, 2].into(),
            1,
            17,
            &wire::udp(1, 37008, &wire::cat(&[&[1, 0, 0, 18, 1], frame])),
        )
    };
    let mut inner = aggregate(&[snap(&call[0])]);
    for _ in 0..50 {
        inner = aggregate(&[wire::cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &tzsp(&inner)])]);
    }
    let told = tell(105, &[inner]);
    assert_eq!(told.analysis.stats.messages, 0);
    assert_eq!(told.analysis.anomalies.of(AnomalyKind::TunnelDepth).unwrap().count, 1);
}

#[test]
fn sctp_with_a_million_streams_is_bounded_and_still_read() {
    let call = wire::call("SCTP");
    let mut frames = Vec::new();
    // First fragments of messages on ever new streams and associations, none of which goes on.
    for packet in 0..10_000_u32 {
        let chunks: Vec<Vec<u8>> = (0..100_u32)
            .map(|at| {
                let number = packet * 100 + at;
                wire::i_data(2, number, number as u16, number >> 16, 0, b"first part")
            })
            .collect();
        let sctp = wire::sctp(&wire::PORTS, packet * 7, &chunks);
        frames.push(wire::ethernet(0x0800, &call[0].over(132, &sctp)));
    }
    let row = TABLE.iter().find(|row| row.name == "SCTP, fragmented").unwrap();
    frames.extend((row.wrap)(&call));
    let told = tell(1, &frames);
    assert_eq!(told.analysis.stats.messages, 7);
    assert!(told.analysis.anomalies.of(AnomalyKind::LimitReached).is_some());
}

#[test]
fn an_sctp_message_without_its_end_is_told_as_far_as_it_goes() {
    let call = wire::call("SCTP");
    let (first, rest) = call[0].text.split_at(200);
    let packet = |chunk| wire::ethernet(0x0800, &call[0].over(132, &wire::sctp(&wire::PORTS, 5, &[chunk])));
    let frames = [packet(wire::data(2, 10, 0, first)), packet(wire::data(0, 11, 0, &rest[..20]))];
    let told = tell(1, &frames);
    assert_eq!(told.analysis.seen[0].message.raw().len(), 220);
    assert_eq!(told.analysis.seen[0].frames.as_slice(), [1, 2]);
    assert!(told.findings.iter().any(|finding| finding.rule.code == "H03"));
}

#[test]
fn sctp_chunks_that_lie_about_their_length_are_an_anomaly() {
    let call = wire::call("SCTP");
    for lie in [[0, 3, 0, 0], [0, 3, 0, 3]] {
        let packet = wire::sctp(&wire::PORTS, 5, &[lie.to_vec(), vec![0; 40]]);
        let told = tell(1, &[wire::ethernet(0x0800, &call[0].over(132, &packet))]);
        assert!(told.analysis.anomalies.of(AnomalyKind::MalformedHeader).is_some());
    }
    // Beyond the packet: as much as is there.
    let mut chunk = wire::data(3, 1, 0, &call[0].text);
    chunk[2..4].copy_from_slice(&[0xff, 0xff]);
    let told = tell(1, &[wire::ethernet(0x0800, &call[0].over(132, &wire::sctp(&wire::PORTS, 5, &[chunk])))]);
    assert_eq!(told.analysis.stats.messages, 1);
    assert!(told.analysis.anomalies.of(AnomalyKind::IncompleteFragments).is_some());
}

#[test]
fn a_compressed_payload_is_unpacked_up_to_the_limit() {
    let call = wire::call("UDP");
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&call[0].text).unwrap();
    encoder.write_all(&vec![b'0'; 40 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 60_000);
    let told = tell(1, &[wire::outer_udp(9060, &wire::hep3(&call[0], 17, 1, &wire::hep_chunk(0, 16, &bomb)))]);
    assert_eq!(told.analysis.stats.messages, 1);
    assert!(told.analysis.seen[0].message.raw().len() <= 1 << 20);
    assert_eq!(told.analysis.anomalies.of(AnomalyKind::LimitReached).unwrap().count, 1);
}

#[test]
fn hep_that_lies_is_read_as_far_as_it_is_true() {
    let call = wire::call("UDP");
    let packet = wire::hep3(&call[0], 17, 1, &wire::hep_chunk(0, 15, &call[0].text));
    let mut no_length = packet.clone();
    no_length[4..6].copy_from_slice(&[0, 0]);
    let mut too_long = packet.clone();
    too_long[4..6].copy_from_slice(&[0xff, 0xff]);
    let mut endless_chunk = packet.clone();
    endless_chunk[10..12].copy_from_slice(&[0, 0]);
    for (packet, messages) in [(packet, 1), (no_length, 1), (too_long, 1), (endless_chunk, 0), (b"HEP3".to_vec(), 0)] {
        assert_eq!(tell(1, &[wire::outer_udp(9060, &packet)]).analysis.stats.messages, messages);
    }
}

#[test]
fn incomplete_fragments_are_h03_in_any_tunnel_and_what_is_there_is_parsed() {
    let call = wire::call("UDP");
    let wraps: [Wrap; 3] = [
        |part| wire::ethernet(0x8100, &wire::cat(&[&[0, 9, 8, 0], part])),
        |part| wire::outer(4, part),
        |part| wire::outer_udp(6081, &wire::cat(&[&[0, 0, 8, 0, 0, 0, 9, 0], part])),
    ];
    for wrap in wraps {
        let mut parts = wire::fragments(&call[0].ip(), 240);
        parts.pop();
        let frames: Vec<Vec<u8>> = parts.iter().map(|part| wrap(part)).collect();
        let told = tell(1, &frames);
        assert_eq!(told.analysis.stats.messages, 1);
        assert!(told.findings.iter().any(|finding| finding.rule.code == "H03"));
    }
}

#[test]
fn what_is_encrypted_is_counted_with_its_first_frame() {
    let wifi = wire::cat(&[&[8, 0x41, 0, 0], &[2; 20], &[0x5a; 60]]);
    let told = tell(105, &[wifi.clone(), wifi]);
    let skipped = told.analysis.stats.coverage.of(PacketKind::Wifi);
    assert_eq!((skipped.packets, skipped.first), (2, 1));
    let esp = tell(1, &[wire::outer_udp(4500, &[0x9d; 80])]);
    assert_eq!(esp.analysis.stats.coverage.of(PacketKind::Esp).packets, 1);
    assert!(esp.findings.iter().any(|finding| finding.rule.code == "H05"));
}
