use super::*;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, UdpHeader};

const ETHERNET: LinkType = LinkType(1);
const RAW: LinkType = LinkType(101);
const SIP: &[u8] = b"OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n";

fn be(value: usize) -> [u8; 2] {
    (value as u16).to_be_bytes()
}

/// The parts one after the other.
fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An IPv4 datagram with identification 0x1234, from 192.0.2.`n` to 198.51.100.`n`.
fn ipv4(n: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header =
        Ipv4Header::new(payload.len() as u16, 64, IpNumber(protocol), [192, 0, 2, n], [198, 51, 100, n]).unwrap();
    header.identification = 0x1234;
    cat(&[&header.to_bytes(), payload])
}

fn ipv6(n: u8, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: IpNumber(next_header),
        hop_limit: 64,
        source: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, n.into()).octets(),
        destination: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 2, n.into()).octets(),
        ..Ipv6Header::default()
    };
    cat(&[&header.to_bytes(), payload])
}

fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader { source_port, destination_port, length: 8 + payload.len() as u16, checksum: 0 };
    cat(&[&header.to_bytes(), payload])
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    cat(&[&[0x13, 0xc4, 0x13, 0xc5, 0, 0, 0, 7, 0, 0, 0, 9, 0x60, 0x18, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1], payload])
}

/// SIP from 192.0.2.1:5060 to 198.51.100.1:5062.
fn inner() -> Vec<u8> {
    ipv4(1, 17, &udp(5060, 5062, SIP))
}

fn inner6() -> Vec<u8> {
    ipv6(1, 17, &udp(5060, 5062, SIP))
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ether_type.to_be_bytes(), payload])
}

/// The payload after any padding and 12 bytes of check value.
fn esp(next_header: u8, payload: &[u8]) -> Vec<u8> {
    cat(&[&[0, 0, 0x10, 1, 0, 0, 0, 5], payload, &[1, 2, 3, 3, next_header], &[0xa5; 12]])
}

fn gtp(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    cat(&[&[flags, 255], &be(options.len() + payload.len()), &[0, 0, 0, 1], options, payload])
}

fn whole(link: LinkType, frame: &[u8]) -> Decoded<'_> {
    decode(link, frame, frame.len() as u32)
}

#[track_caller]
fn datagram(decoded: Decoded<'_>) -> Datagram<'_> {
    match decoded {
        Decoded::Datagram(datagram) => datagram,
        other => panic!("no datagram: {other:?}"),
    }
}

#[track_caller]
fn skip(decoded: Decoded<'_>) -> Skip {
    match decoded {
        Decoded::Skipped(skip) => skip,
        other => panic!("not skipped: {other:?}"),
    }
}

/// Every link type and tunnel around the same datagram.
fn wrapped() -> Vec<(&'static str, u16, Vec<u8>)> {
    let (v4, v6) = (inner(), inner6());
    let eth = ethernet(0x0800, &v4);
    let over_ip = |protocol, payload: &[u8]| ethernet(0x0800, &ipv4(9, protocol, payload));
    let over_udp = |port, payload: &[u8]| over_ip(17, &udp(40000, port, payload));
    let snap = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4]);
    let cooked = |protocol: u16, payload: &[u8]| cat(&[&[0; 14], &protocol.to_be_bytes(), payload]);
    vec![
        ("Ethernet", 1, eth.clone()),
        ("padding", 1, cat(&[&eth, &[0xee; 9]])),
        ("802.1Q", 1, ethernet(0x8100, &cat(&[&[0, 7, 8, 0], &v4]))),
        ("802.1ad", 1, ethernet(0x88a8, &cat(&[&[0, 7, 0x81, 0, 0, 8, 8, 0], &v4]))),
        ("LLC/SNAP", 1, cat(&[&ethernet(snap.len() as u16, &snap), &[0xee; 4]])),
        ("LLC", 1, ethernet(v4.len() as u16 + 3, &cat(&[&[6, 6, 3], &v4]))),
        ("Linux cooked", 113, cooked(0x0800, &v4)),
        ("Linux cooked, LLC", 113, cooked(4, &snap)),
        ("Linux cooked, VLAN", 113, cooked(0x8100, &cat(&[&[0, 7, 8, 0], &v4]))),
        ("Linux cooked 2", 276, cat(&[&[8, 0], &[0; 18], &v4])),
        ("raw", 101, v4.clone()),
        ("raw, DLT", 12, v4.clone()),
        ("raw, OpenBSD", 14, v4.clone()),
        ("raw IPv4", 228, v4.clone()),
        ("null, little endian", 0, cat(&[&[2, 0, 0, 0], &v4])),
        ("null, big endian", 0, cat(&[&[0, 0, 0, 2], &v4])),
        ("loop", 108, cat(&[&[0, 0, 0, 2], &v4])),
        ("PPP", 9, cat(&[&[0xff, 3, 0, 0x21], &v4])),
        ("PPP, compressed", 9, cat(&[&[0x21], &v4])),
        ("PPP, HDLC", 50, cat(&[&[0xff, 3, 0, 0x21], &v4])),
        ("Cisco HDLC", 50, cat(&[&[0x0f, 0, 8, 0], &v4])),
        ("PPPoE", 1, ethernet(0x8864, &cat(&[&[0x11, 0, 0, 1], &be(v4.len() + 2), &[0, 0x21], &v4, &[0; 3]]))),
        ("MPLS", 1, ethernet(0x8847, &cat(&[&[0, 0x10, 0, 64, 0, 0x20, 1, 64], &v4]))),
        ("MPLS pseudowire", 1, ethernet(0x8847, &cat(&[&[0, 0x10, 1, 64, 0, 0, 0, 0], &eth]))),
        ("MPLS over IP", 1, over_ip(137, &cat(&[&[0, 0x10, 1, 64], &v4]))),
        ("IP in IP", 1, over_ip(4, &v4)),
        ("4in6", 1, ethernet(0x86dd, &ipv6(9, 4, &v4))),
        ("GRE", 1, over_ip(47, &cat(&[&[0, 0, 8, 0], &v4]))),
        ("GRE, all options", 1, over_ip(47, &cat(&[&[0xb0, 0, 8, 0], &[1; 12], &v4]))),
        ("GRE, Ethernet", 1, over_ip(47, &cat(&[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &eth]))),
        (
            "PPTP",
            1,
            over_ip(47, &cat(&[&[0x30, 0x81, 0x88, 0x0b], &be(v4.len() + 4), &[0; 10], &[0xff, 3, 0, 0x21], &v4])),
        ),
        ("VXLAN", 1, over_udp(4789, &cat(&[&[8, 0, 0, 0, 0, 0, 9, 0], &eth]))),
        ("GTP-U", 1, over_udp(2152, &gtp(0x30, &[], &v4))),
        ("GTP-U, sequence", 1, over_udp(2152, &gtp(0x32, &[0, 1, 0, 0], &v4))),
        ("GTP-U, extensions", 1, over_udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0xc0, 1, 0, 0, 0], &v4))),
        ("ESP, transport", 1, ethernet(0x0800, &ipv4(1, 50, &esp(17, &udp(5060, 5062, SIP))))),
        ("ESP, tunnel", 1, over_ip(50, &esp(4, &v4))),
        ("AH", 1, ethernet(0x0800, &ipv4(1, 51, &cat(&[&[17, 4, 0, 0], &[1; 20], &udp(5060, 5062, SIP)])))),
        ("GTP-U in VXLAN in GRE", 1, {
            let gtp = over_udp(2152, &gtp(0x30, &[], &v4));
            over_ip(47, &cat(&[&[0, 0, 8, 0], &over_udp(4789, &cat(&[&[8, 0, 0, 0, 0, 0, 9, 0], &gtp]))[14..]]))
        }),
        ("IPv6", 1, ethernet(0x86dd, &v6)),
        ("IPv6, raw", 229, v6.clone()),
        ("IPv6, BSD null", 0, cat(&[&[30, 0, 0, 0], &v6])),
        ("IPv6, FreeBSD loop", 108, cat(&[&[0, 0, 0, 28], &v6])),
        ("IPv6, PPP", 9, cat(&[&[0, 0x57], &v6])),
        ("6in4", 1, over_ip(41, &v6)),
        ("IPv6, GTP-U", 1, over_udp(2152, &gtp(0x30, &[], &v6))),
        ("IPv6, ESP tunnel", 1, over_ip(50, &esp(41, &v6))),
        ("IPv6, extensions", 1, {
            let options = [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 9];
            ethernet(0x86dd, &ipv6(1, 0, &cat(&[&options, &udp(5060, 5062, SIP)])))
        }),
    ]
}

#[test]
fn every_link_type_and_tunnel_gives_the_same_datagram() {
    for (name, link, frame) in wrapped() {
        let datagram = datagram(whole(LinkType(link), &frame));
        let v6 = name.starts_with("IPv6") || name == "6in4";
        let ends =
            if v6 { ("[2001:db8::1:1]:5060", "[2001:db8::2:1]:5062") } else { ("192.0.2.1:5060", "198.51.100.1:5062") };
        assert_eq!((datagram.src.to_string().as_str(), datagram.dst.to_string().as_str()), ends, "{name}");
        assert_eq!(datagram.payload, SIP, "{name}");
        assert_eq!(datagram.missing, 0, "{name}");
        assert_eq!(datagram.ip_id, if v6 { 0 } else { 0x1234 }, "{name}");
    }
}

#[test]
fn a_cut_frame_gives_a_prefix_with_the_rest_missing_or_says_which_header_is_cut() {
    for (name, link, frame) in wrapped() {
        for len in 0..frame.len() {
            match decode(LinkType(link), &frame[..len], frame.len() as u32) {
                // A tunnel header that is cut is not recognised: then it is the outer datagram.
                Decoded::Datagram(datagram) if datagram.dst.port == 5062 => {
                    assert!(SIP.starts_with(datagram.payload), "{name} cut at {len}");
                    assert_eq!(datagram.payload.len() + datagram.missing as usize, SIP.len(), "{name} cut at {len}");
                }
                Decoded::Datagram(datagram) => assert!(matches!(datagram.dst.port, 2152 | 4789), "{name} cut at {len}"),
                // Only Ethernet's own header tells a pseudowire from other traffic.
                Decoded::Skipped(Skip { kind: SkipKind::NotIp, .. }) if name == "MPLS pseudowire" => {}
                Decoded::Skipped(skip) => {
                    assert!(matches!(skip.kind, SkipKind::Cut(_)), "{name} cut at {len}: {skip:?}");
                    assert!(skip.offset as usize <= len, "{name} cut at {len}: {skip:?}");
                    assert_eq!(skip.anomaly(), Some(AnomalyKind::CutFrame));
                }
                other => panic!("{name} cut at {len}: {other:?}"),
            }
        }
    }
}

#[test]
fn short_or_wrong_bytes_never_panic() {
    for (_, link, frame) in wrapped() {
        for at in 0..frame.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut frame = frame.clone();
                frame[at] = value;
                let _ = whole(LinkType(link), &frame);
                let _ = whole(LinkType(link), &frame[..frame.len() - at]);
            }
        }
    }
}

#[test]
fn length_fields_of_zero_or_too_much_are_not_believed() {
    let mut offload = ethernet(0x0800, &inner());
    offload[16..18].fill(0); // IPv4 total length
    assert_eq!(datagram(whole(ETHERNET, &offload)).payload, SIP);
    for length in [0u16, 7, 9999] {
        let mut frame = ethernet(0x0800, &inner());
        frame[38..40].copy_from_slice(&length.to_be_bytes()); // UDP length
        let datagram = datagram(whole(ETHERNET, &frame));
        assert_eq!((datagram.payload, datagram.missing), (SIP, 0), "{length}");
    }
    let mut short = ethernet(0x0800, &inner());
    short[38..40].copy_from_slice(&be(8 + 7));
    assert_eq!(datagram(whole(ETHERNET, &short)).payload, b"OPTIONS");
    let mut jumbo = inner6();
    jumbo[4..6].fill(0);
    assert_eq!(datagram(whole(RAW, &jumbo)).payload, SIP);
}

#[test]
fn segment_has_numbers_flags_and_payload_without_options() {
    let frame = ethernet(0x0800, &ipv4(1, 6, &tcp(b"ACK sip:")));
    let Decoded::Segment(segment) = decode(ETHERNET, &frame[..frame.len() - 3], frame.len() as u32) else {
        panic!("no segment");
    };
    assert_eq!((segment.src.port, segment.dst.port, segment.ip_id), (5060, 5061, 0x1234));
    assert_eq!((segment.seq, segment.ack, segment.payload, segment.missing), (7, 9, &b"ACK s"[..], 3));
    assert!(segment.flags.contains(TcpFlags::PSH) && segment.flags.contains(TcpFlags::ACK));
    assert!(!segment.flags.contains(TcpFlags::SYN) && !segment.flags.contains(TcpFlags::FIN));
}

#[test]
fn udp_on_a_tunnel_port_that_is_no_tunnel_stays_a_datagram() {
    let vxlan_of_nothing = cat(&[&[8, 0, 0, 0, 0, 0, 9, 0], &ethernet(0x1234, SIP)]);
    let echo = [0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0];
    let lying_length = cat(&[&[0x30, 255, 0xff, 0xff, 0, 0, 0, 1], &inner()]);
    let endless = gtp(0x34, &[0, 0, 0, 0x85, 0, 0, 0, 0x85], &inner());
    for (port, payload) in
        [(4789, SIP), (2152, SIP), (4789, &vxlan_of_nothing), (2152, &echo), (2152, &lying_length), (2152, &endless)]
    {
        let frame = ethernet(0x0800, &ipv4(1, 17, &udp(5060, port, payload)));
        let datagram = datagram(whole(ETHERNET, &frame));
        assert_eq!((datagram.dst.port, datagram.payload), (port, payload));
    }
}

#[test]
fn frames_not_for_us_are_no_anomaly_and_malformed_ones_are() {
    let bad_ihl = cat(&[&[0x44], &inner()[1..]]);
    let bad_version = cat(&[&[0x95], &inner()[1..]]);
    let bad_offset = {
        let mut segment = tcp(b"");
        segment[12] = 0x40;
        ipv4(1, 6, &segment)
    };
    let random = esp(17, &[0x5a; 40]);
    for (kind, link, frame, anomaly) in [
        (SkipKind::NotIp, 1, ethernet(0x0806, &[0; 28]), None),
        (SkipKind::NotIp, 1, ethernet(3, &[0x42, 0x42, 3]), None),
        (SkipKind::NotIp, 9, vec![0xc0, 0x21, 1, 1, 0, 4], None),
        (SkipKind::OtherProtocol(89), 101, ipv4(1, 89, &[0; 24]), None),
        (SkipKind::OtherProtocol(1), 101, ipv4(1, 1, &[8, 0, 0, 0, 0, 1, 0, 1]), None),
        (SkipKind::Encrypted("ESP"), 101, ipv4(1, 50, &random), None),
        (SkipKind::UnknownLinkType(LinkType(147)), 147, inner(), Some(AnomalyKind::UnknownLinkType)),
        (SkipKind::Malformed("Ethernet"), 1, vec![0; 13], Some(AnomalyKind::MalformedHeader)),
        (SkipKind::Malformed("IPv4"), 101, bad_ihl, Some(AnomalyKind::MalformedHeader)),
        (SkipKind::Malformed("IP"), 101, bad_version, Some(AnomalyKind::MalformedHeader)),
        (SkipKind::Malformed("TCP"), 101, bad_offset, Some(AnomalyKind::MalformedHeader)),
        (SkipKind::Malformed("UDP"), 101, ipv4(1, 17, &[0; 7]), Some(AnomalyKind::MalformedHeader)),
    ] {
        let skip = skip(whole(LinkType(link), &frame));
        assert_eq!((skip.kind, skip.anomaly()), (kind, anomaly));
    }
    let skip = skip(whole(ETHERNET, &ethernet(0x0800, &ipv4(1, 17, &[0; 7]))));
    assert_eq!(skip.offset, 14 + 20);
}

#[test]
fn tunnels_nested_too_deeply_end_the_walk() {
    let nested = |levels| (0..levels).fold(inner(), |packet, _| ipv4(9, 4, &packet));
    let depth = usize::from(crate::base::limits::TUNNEL_DEPTH);
    assert_eq!(datagram(whole(RAW, &nested(depth))).payload, SIP);
    let skip = skip(whole(RAW, &nested(depth + 1)));
    assert_eq!((skip.kind, skip.anomaly()), (SkipKind::TooDeep, Some(AnomalyKind::TunnelDepth)));
    let vlans = cat(&[&ethernet(0x8100, &[0, 1, 0x81, 0].repeat(10_000)), &[0, 1]]);
    assert!(matches!(self::skip(whole(ETHERNET, &vlans)).kind, SkipKind::Malformed("VLAN")));
}

#[test]
fn icmp_error_tells_reason_and_quotes_the_datagram() {
    let quoted = inner();
    for (v6, kind, code, reason) in [
        (false, 3, 3, IcmpReason::Port),
        (false, 3, 1, IcmpReason::Host),
        (false, 3, 13, IcmpReason::AdminProhibited),
        (false, 3, 4, IcmpReason::FragmentationNeeded),
        (false, 11, 0, IcmpReason::TimeExceeded),
        (true, 1, 4, IcmpReason::Port),
        (true, 2, 0, IcmpReason::FragmentationNeeded),
        (true, 3, 0, IcmpReason::TimeExceeded),
    ] {
        let quote = &quoted[..20 + 8 + 7];
        let message = cat(&[&[kind, code, 0, 0, 0, 0, 0, 0], quote]);
        let frame = if v6 { ipv6(7, 58, &message) } else { ipv4(7, 1, &message) };
        let Decoded::Icmp(error) = whole(RAW, &frame) else { panic!("no ICMP error") };
        assert_eq!(error.reason, reason);
        assert_eq!(error.from.to_string(), if v6 { "2001:db8::1:7" } else { "192.0.2.7" });
        assert_eq!(error.quoted.src.to_string(), "192.0.2.1:5060");
        assert_eq!(error.quoted.payload, b"OPTIONS");
        assert_eq!(error.quoted.missing as usize, SIP.len() - 7);
    }
    for (quoted, payload) in [(tcp(SIP), SIP), (tcp(b"")[..8].to_vec(), b"")] {
        let about_tcp = ipv4(7, 1, &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &ipv4(1, 6, &quoted)]));
        let Decoded::Icmp(error) = whole(RAW, &about_tcp) else { panic!("no ICMP error") };
        assert_eq!((error.transport, error.quoted.payload), (Transport::Tcp, payload));
        assert_eq!((error.quoted.src.port, error.quoted.dst.port), (5060, 5061));
    }
    let about_ospf = ipv4(7, 1, &cat(&[&[3, 3, 0, 0, 0, 0, 0, 0], &ipv4(1, 89, &[0; 24])]));
    assert_eq!(skip(whole(RAW, &about_ospf)).kind, SkipKind::OtherProtocol(1));
}

#[test]
fn icmp_extensions_are_not_part_of_the_quote() {
    let original = ipv4(1, 17, &udp(5060, 5062, &[b'x'; 200]));
    let message = cat(&[&[11, 0, 0, 0, 0, 32, 0, 0], &original[..128], &[0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0]]);
    let frame = ipv4(7, 1, &message);
    let Decoded::Icmp(error) = whole(RAW, &frame) else { panic!("no ICMP error") };
    assert_eq!(error.quoted.payload, [b'x'; 100]);
    assert_eq!(error.quoted.missing, 100);
}
