//! What every packet was, and what of it may hide SIP.

use crate::support::packets::batch;
use crate::support::trace::{Event, What, parse};
use crate::support::{Told, captures, root, tell_batch, tell_file};
use callflow::analysis::PacketKind;
use std::net::SocketAddr;
use std::time::Duration;

const PHONE: &str = "192.0.2.1:40000";

/// The standard call, between 192.0.2.1 and 192.0.2.2, and a packet at the end that is no SIP.
fn call() -> Vec<Event> {
    parse(&std::fs::read_to_string(root().join("testdata/containers/seven.trace")).unwrap()).unwrap()
}

fn event(millis: u64, what: What) -> Event {
    Event { time: Duration::from_millis(millis), what, ip_id: None, interface: 0, cut: None }
}

/// A recorded TLS 1.3 connection from the phone to `server`, asking for the host `name`.
fn tls(server: &str, name: &[u8; 15]) -> Vec<Event> {
    let text = std::fs::read_to_string(root().join("testdata/tls/tls-aes-128-gcm-sha256.txt")).unwrap();
    let (phone, server): (SocketAddr, SocketAddr) = (PHONE.parse().unwrap(), server.parse().unwrap());
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(side, _)| side.len() == 6);
    lines
        .zip(1..)
        .map(|((side, hex), at)| {
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            let mut payload: Vec<u8> = bytes.collect();
            if let Some(at) = payload.windows(15).position(|window| window == b"sip.example.com") {
                payload[at..at + 15].copy_from_slice(name);
            }
            let (src, dst) = if side == "client" { (phone, server) } else { (server, phone) };
            event(at, What::Tcp { src, dst, payload, end: None })
        })
        .collect()
}

fn udp(millis: u64, src: &str, dst: &str, payload: &[u8]) -> Event {
    event(millis, What::Udp { src: src.parse().unwrap(), dst: dst.parse().unwrap(), payload: payload.to_vec() })
}

fn tell(events: &[Event]) -> Told {
    tell_batch(&batch(events))
}

fn has_h05(told: &Told) -> bool {
    told.findings.iter().any(|finding| finding.rule.code == "H05")
}

fn packets(told: &Told, kind: PacketKind) -> u64 {
    told.analysis.stats.coverage.of(kind).packets
}

#[test]
fn a_call_and_somebody_who_browses_is_silent() {
    let told = tell(&[tls("203.0.113.80:443", b"www.example.com"), call()].concat());
    assert_eq!((told.analysis.stats.messages, has_h05(&told)), (7, false));
    assert!(told.analysis.anomalies.is_empty(), "{:?}", told.analysis.anomalies);
    assert!(packets(&told, PacketKind::OtherTls) > 5);
    assert_eq!(packets(&told, PacketKind::SealedTls), 0);
}

#[test]
fn tls_on_the_port_of_sip_is_h05_with_what_would_open_it() {
    let told = tell(&[tls("203.0.113.80:5061", b"www.example.com"), call()].concat());
    assert!(has_h05(&told));
    assert!(packets(&told, PacketKind::SealedTls) > 5);
    let (_, odd) = told.analysis.anomalies.iter().next().unwrap();
    for word in ["TLS 1.3", "www.example.com", "203.0.113.80:5061", "TRAFFIC_SECRET"] {
        assert!(odd.first.text.contains(word), "{word}: {}", odd.first.text);
    }
}

#[test]
fn tls_to_a_host_that_speaks_sip_or_is_called_so_is_h05() {
    let to_peer = tell(&[tls("192.0.2.2:443", b"www.example.com"), call()].concat());
    assert!(has_h05(&to_peer), "its peer speaks SIP, later in the capture");
    assert!(has_h05(&tell(&tls("203.0.113.80:443", b"sip.example.com"))));
    assert!(!has_h05(&tell(&tls("192.0.2.2:443", b"www.example.com"))), "nobody speaks SIP");
    let mail = tell(&[tls("192.0.2.2:993", b"www.example.com"), call()].concat());
    assert!(!has_h05(&mail));
}

#[test]
fn every_packet_is_counted_once_as_what_it_was() {
    let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4][..], &[0xff; 160]].concat();
    let web = event(
        8,
        What::Tcp {
            src: PHONE.parse().unwrap(),
            dst: "203.0.113.80:80".parse().unwrap(),
            payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            end: None,
        },
    );
    let mut cut = udp(9, "192.0.2.1:5060", "192.0.2.2:5060", b"OPTIONS sip:x SIP/2.0\r\n\r\n");
    cut.cut = Some(14 + 20 + 8);
    let ospf = event(
        10,
        What::Ip { protocol: 89, src: [192, 0, 2, 1].into(), dst: [224, 0, 0, 5].into(), payload: vec![0; 24] },
    );
    let others = [
        udp(5, "192.0.2.1:4000", "192.0.2.2:4000", &rtp),
        udp(6, "192.0.2.1:4000", "192.0.2.53:53", b"\0\x01\x01\0\0\x01\0\0\0\0\0\0"),
        udp(7, "192.0.2.1:4000", "192.0.2.2:4002", b"hello, hello, hello"),
        udp(7, "192.0.2.1:5060", "192.0.2.2:5060", b"\r\n\r\n"),
        web,
        cut,
        ospf,
    ];
    let told = tell(&[call(), others.to_vec()].concat());
    let counts: Vec<(&str, u64)> =
        told.analysis.stats.coverage.iter().map(|(kind, counted)| (kind.name(), counted.packets)).collect();
    assert_eq!(
        counts,
        [
            ("sip-udp", 7),
            ("sip-keep-alive", 1),
            ("media", 1),
            ("dns", 1),
            ("other-udp", 2),
            ("other-tcp", 4),
            ("ospf", 1),
            ("cut-content", 1)
        ]
    );
    assert_eq!(told.analysis.stats.coverage.total(), told.analysis.stats.packets);
}

#[test]
fn the_counts_of_every_capture_add_up_to_its_packets() {
    for path in captures() {
        let told = tell_file(&path);
        assert_eq!(told.analysis.stats.coverage.total(), told.analysis.stats.packets, "{}", path.display());
    }
}
