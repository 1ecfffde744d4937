//! One row per encapsulation.

use super::streams;
use super::wire::{
    PORTS, Sip, be, be4, cat, chunk, data, ethernet, fragments, hep_chunk, hep_old, hep3, i_data, ipv6, outer,
    outer_udp, padded, sctp, udp,
};
use callflow::base::Transport;
use std::io::Write;
use std::net::Ipv6Addr;

/// A way to wrap the call.
pub struct Row {
    pub name: &'static str,
    pub link: u16,
    pub transport: Transport,
    /// The frames of the capture.
    pub wrap: fn(&[Sip]) -> Vec<Vec<u8>>,
    /// A key log, among other lines.
    pub keys: &'static str,
}

const fn row(name: &'static str, link: u16, transport: Transport, wrap: fn(&[Sip]) -> Vec<Vec<u8>>) -> Row {
    Row { name, link, transport, wrap, keys: "" }
}

/// A recorded TLS connection that carries the call, in small segments.
macro_rules! tls_row {
    ($name:literal, $transport:expr, $file:literal) => {{
        const RECORDING: &str = include_str!(concat!("../../../testdata/tls/calls/", $file, ".txt"));
        Row { keys: RECORDING, ..row($name, 1, $transport, |call| streams::recorded(call, RECORDING)) }
    }};
}

const fn udp_row(name: &'static str, link: u16, wrap: fn(&[Sip]) -> Vec<Vec<u8>>) -> Row {
    row(name, link, Transport::Udp, wrap)
}

fn each(call: &[Sip], wrap: impl Fn(&Sip) -> Vec<u8>) -> Vec<Vec<u8>> {
    call.iter().map(wrap).collect()
}

/// IP in the LLC and SNAP of IEEE 802.2.
pub fn snap(sip: &Sip) -> Vec<u8> {
    cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &sip.ip()])
}

/// An IEEE 802.11 data frame from a station: `control` octets, further header fields, body.
fn wifi(control: [u8; 2], more: &[u8], body: &[u8]) -> Vec<u8> {
    cat(&[&control, &[0, 0], &[2, 0, 0, 0, 0, 1].repeat(3), &[0x10, 0], more, body])
}

/// A data frame that holds these ones (A-MSDU), each but the last padded.
pub fn aggregate(frames: &[Vec<u8>]) -> Vec<u8> {
    let frames: Vec<Vec<u8>> = frames.iter().map(|frame| cat(&[&[2; 12], &be(frame.len()), frame])).collect();
    let (last, others) = frames.split_last().unwrap();
    let others: Vec<u8> = others.iter().flat_map(|frame| padded(frame)).collect();
    wifi([0x88, 1], &[0x80, 0], &cat(&[&others, last]))
}

/// Radiotap with time stamp, flags and rate.
fn radiotap(flags: u8, frame: &[u8]) -> Vec<u8> {
    cat(&[&[0, 0, 18, 0, 7, 0, 0, 0], &[9; 8], &[flags, 2], frame])
}

fn ppi(link: u8, frame: &[u8]) -> Vec<u8> {
    cat(&[&[0, 0, 16, 0, link, 0, 0, 0], &[0x99, 0x99, 4, 0, 1, 2, 3, 4], frame])
}

fn pktap(link: u8, frame: &[u8]) -> Vec<u8> {
    cat(&[&[108, 0, 0, 0, 1, 0, 0, 0, link, 0, 0, 0], b"en0", &[0; 93], frame])
}

fn nflog(little: bool, ip: &[u8]) -> Vec<u8> {
    let number = |value: usize| if little { (value as u16).to_le_bytes() } else { be(value) };
    let value = |kind: usize, value: &[u8]| cat(&[&number(4 + value.len()), &number(kind), &padded(value)]);
    cat(&[&[2, 0, 0, 5], &value(10, b"prefix\0"), &value(1, &[8, 0, 3, 0]), &value(9, ip)])
}

/// Tags of Wireshark's export; `port_type`: 1 SCTP, 2 TCP, 3 UDP.
fn exported(sip: &Sip, name: &str, port_type: usize, payload: &[u8]) -> Vec<u8> {
    let tag = |tag: usize, value: &[u8]| cat(&[&be(tag), &be(value.len().next_multiple_of(4)), &padded(value)]);
    let (src, dst) = sip.ends();
    cat(&[
        &tag(12, name.as_bytes()),
        &tag(20, &src.octets()),
        &tag(21, &dst.octets()),
        &tag(24, &be4(port_type)),
        &tag(25, &be4(5060)),
        &tag(26, &be4(5060)),
        &tag(30, &be4(1)),
        &tag(0, b""),
        payload,
    ])
}

fn mpls(payload: &[u8]) -> Vec<u8> {
    cat(&[&[0, 0x10, 0, 64, 0, 0x20, 1, 64], payload])
}

/// GRE with sequence number, then ERSPAN type II.
fn erspan2(frame: &[u8]) -> Vec<u8> {
    cat(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10, 1, 0, 1, 0, 0, 0, 0], frame])
}

/// ERSPAN type III; `last`: frame type, platform header.
fn erspan3(last: [u8; 2], platform: &[u8], frame: &[u8]) -> Vec<u8> {
    cat(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &[0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0], &last, platform, frame])
}

fn gtp(payload: &[u8]) -> Vec<u8> {
    cat(&[&[0x30, 255], &be(payload.len()), &[0, 0, 0, 1], payload])
}

fn geneve(ether_type: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    cat(&[&[options.len() as u8 / 4, 0], &ether_type.to_be_bytes(), &[0, 0, 9, 0], options, payload])
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    cat(&[&[8, 0, 0, 0, 0, 0, 9, 0], frame])
}

/// ESP with the null cipher: padding, next header, check value.
fn esp(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let pad = (4 - (payload.len() + 2) % 4) % 4;
    let padding: Vec<u8> = (1..=pad as u8).collect();
    cat(&[&[0, 0, 0x10, 1, 0, 0, 0, 5], payload, &padding, &[pad as u8, next_header], &[0xa5; 12]])
}

fn tzsp(kind: u8, frame: &[u8]) -> Vec<u8> {
    cat(&[&[1, 0, 0, kind, 0, 10, 1, 5, 1], frame])
}

fn tag(sip: &Sip) -> u32 {
    if sip.from_caller { 0xabcd } else { 0xef01 }
}

fn sctp_packet(sip: &Sip, chunks: &[Vec<u8>]) -> Vec<u8> {
    sctp(&PORTS, tag(sip), chunks)
}

fn sctp_frame(sip: &Sip, chunks: &[Vec<u8>]) -> Vec<u8> {
    ethernet(0x0800, &sip.over(132, &sctp_packet(sip, chunks)))
}

fn whole_chunk(sip: &Sip) -> Vec<u8> {
    data(3, (u32::MAX - 2).wrapping_add(sip.number.into()), sip.number, &sip.text)
}

/// DATA chunks of up to 50 bytes, and their flags.
fn pieces(text: &[u8]) -> Vec<(u8, u32, &[u8])> {
    let last = text.len().div_ceil(50) - 1;
    let flags = |at| u8::from(at == 0) << 1 | u8::from(at == last);
    text.chunks(50).enumerate().map(|(at, part)| (flags(at), at as u32, part)).collect()
}

/// Every message over many packets, backwards, some of them twice.
fn fragmented_data(sip: &Sip) -> Vec<Vec<u8>> {
    let start = (u32::MAX - 20).wrapping_add(u32::from(sip.number) * 100);
    let chunk = |(flags, at, part): (u8, u32, &[u8])| data(flags, start.wrapping_add(at), 3, part);
    let mut frames: Vec<Vec<u8>> =
        pieces(&sip.text).into_iter().map(|piece| sctp_frame(sip, &[chunk(piece)])).collect();
    frames.reverse();
    frames.insert(3, frames[1].clone());
    frames
}

/// Two streams whose fragments alternate.
fn interleaved(call: &[Sip]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for sip in call {
        let mut tsn = u32::from(sip.number) * 100;
        for (flags, at, part) in pieces(&sip.text) {
            let word = if at == 0 { 0 } else { at };
            let chunks = [
                i_data(flags, tsn, 1, sip.number.into(), word, part),
                i_data(flags, tsn + 1, 2, sip.number.into(), word, &vec![b'x'; part.len()]),
            ];
            tsn += 2;
            frames.push(sctp_frame(sip, &chunks));
        }
    }
    frames
}

/// Several chunks in one packet: others of SCTP, a retransmission, and all that one side sends in a row.
fn bundled(call: &[Sip]) -> Vec<Vec<u8>> {
    let runs = call.chunk_by(|a, b| a.from_caller == b.from_caller);
    runs.map(|run| {
        let mut chunks = vec![chunk(3, 0, &[0; 12]), whole_chunk(&run[0])];
        chunks.extend(run.iter().map(whole_chunk));
        sctp_frame(&run[0], &chunks)
    })
    .collect()
}

fn hep(sip: &Sip) -> Vec<u8> {
    hep3(sip, 17, 1, &hep_chunk(0, 15, &sip.text))
}

fn hep_packed(sip: &Sip, mut encoder: impl Write + Finish) -> Vec<u8> {
    encoder.write_all(&sip.text).unwrap();
    outer_udp(9060, &hep3(sip, 17, 1, &hep_chunk(0, 16, &encoder.finished())))
}

trait Finish {
    fn finished(self) -> Vec<u8>;
}

impl Finish for flate2::write::ZlibEncoder<Vec<u8>> {
    fn finished(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

impl Finish for flate2::write::GzEncoder<Vec<u8>> {
    fn finished(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

fn hep_stream(call: &[Sip], size: usize) -> Vec<Vec<u8>> {
    let sent: Vec<(bool, Vec<u8>)> = call.iter().map(|sip| (true, hep(sip))).collect();
    streams::stream(call, PORTS, &sent, &|len| streams::pieces(len, size))
}

/// In fragments that a VLAN tag, or a tunnel, separates from the first one's way.
fn fragmented(call: &[Sip], wrap: fn(usize, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let parts = call.iter().flat_map(|sip| {
        let mut parts = fragments(&sip.ip(), 120);
        parts.reverse();
        parts.into_iter().enumerate()
    });
    parts.map(|(at, part)| wrap(at, &part)).collect()
}

fn vlan(tag: u8, ip: &[u8]) -> Vec<u8> {
    ethernet(0x8100, &cat(&[&[0, tag, 8, 0], ip]))
}

fn level() -> flate2::Compression {
    flate2::Compression::default()
}

pub const TABLE: &[Row] = &[
    udp_row("Ethernet", 1, |call| each(call, Sip::eth)),
    udp_row("IPv6 inside Ethernet", 1, |call| each(call, |sip| ethernet(0x86dd, &sip.ip6()))),
    udp_row("802.3 LLC/SNAP", 1, |call| each(call, |sip| ethernet(snap(sip).len() as u16, &snap(sip)))),
    udp_row("802.1Q", 1, |call| each(call, |sip| vlan(7, &sip.ip()))),
    udp_row("802.1ad", 1, |call| each(call, |sip| ethernet(0x88a8, &cat(&[&[0, 7, 0x81, 0, 0, 8, 8, 0], &sip.ip()])))),
    udp_row("802.1ah", 1, |call| each(call, |sip| ethernet(0x88e7, &cat(&[&[0, 0, 1, 2], &sip.eth()])))),
    udp_row("802.1ah in 802.1ad", 1, |call| {
        each(call, |sip| ethernet(0x88a8, &cat(&[&[0, 7, 0x88, 0xe7, 0, 0, 1, 2], &sip.eth()])))
    }),
    udp_row("802.1BR", 1, |call| each(call, |sip| ethernet(0x893f, &cat(&[&[0, 0, 0, 1, 0, 0, 8, 0], &sip.ip()])))),
    udp_row("VN-Tag", 1, |call| each(call, |sip| ethernet(0x8926, &cat(&[&[0, 1, 0, 2, 8, 0], &sip.ip()])))),
    udp_row("Cisco metadata", 1, |call| {
        each(call, |sip| ethernet(0x8909, &cat(&[&[1, 1, 0, 1, 0, 5, 8, 0], &sip.ip()])))
    }),
    udp_row("NSH", 1, |call| each(call, |sip| ethernet(0x894f, &cat(&[&[0x0f, 0xc2, 2, 1, 0, 0, 1, 255], &sip.ip()])))),
    udp_row("PPPoE", 1, |call| {
        each(call, |sip| ethernet(0x8864, &cat(&[&[0x11, 0, 0, 1], &be(sip.ip().len() + 2), &[0, 0x21], &sip.ip()])))
    }),
    udp_row("MPLS, stacked", 1, |call| each(call, |sip| ethernet(0x8847, &mpls(&sip.ip())))),
    udp_row("MPLS pseudowire", 1, |call| {
        each(call, |sip| ethernet(0x8847, &cat(&[&[0, 0x10, 1, 64, 0, 0, 0, 0], &sip.eth()])))
    }),
    udp_row("null", 0, |call| each(call, |sip| cat(&[&[2, 0, 0, 0], &sip.ip()]))),
    udp_row("loop", 108, |call| each(call, |sip| cat(&[&[0, 0, 0, 2], &sip.ip()]))),
    udp_row("PPP", 9, |call| each(call, |sip| cat(&[&[0xff, 3, 0, 0x21], &sip.ip()]))),
    udp_row("PPP, HDLC", 50, |call| each(call, |sip| cat(&[&[0xff, 3, 0, 0x21], &sip.ip()]))),
    udp_row("PPP, pppd", 166, |call| each(call, |sip| cat(&[&[1, 3, 0, 0x21], &sip.ip()]))),
    udp_row("PPP, direction", 204, |call| each(call, |sip| cat(&[&[1, 0xff, 3, 0, 0x21], &sip.ip()]))),
    udp_row("Cisco HDLC", 104, |call| each(call, |sip| cat(&[&[0x0f, 0, 8, 0], &sip.ip()]))),
    udp_row("FDDI", 10, |call| each(call, |sip| cat(&[&[0x50], &[2; 12], &snap(sip)]))),
    udp_row("ATM RFC 1483", 100, |call| each(call, snap)),
    udp_row("raw IP", 101, |call| each(call, Sip::ip)),
    udp_row("raw IPv4", 228, |call| each(call, Sip::ip)),
    udp_row("raw IPv6 inside", 229, |call| each(call, Sip::ip6)),
    udp_row("Linux cooked", 113, |call| each(call, |sip| cat(&[&[0, 0, 0, 1, 0, 6], &[2; 8], &[8, 0], &sip.ip()]))),
    udp_row("Linux cooked 2", 276, |call| {
        each(call, |sip| cat(&[&[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6], &[2; 8], &sip.ip()]))
    }),
    udp_row("802.11", 105, |call| each(call, |sip| wifi([8, 1], &[], &snap(sip)))),
    udp_row("802.11 QoS, four addresses", 105, |call| {
        each(call, |sip| wifi([0x88, 3], &[2, 0, 0, 0, 0, 9, 0, 0], &snap(sip)))
    }),
    udp_row("802.11 aggregate", 105, |call| {
        each(call, |sip| {
            let inner = snap(sip);
            wifi([0x88, 1], &[0x80, 0], &cat(&[&[2; 12], &be(inner.len()), &inner, &[0; 2]]))
        })
    }),
    udp_row("802.11 aggregate of several", 105, |call| {
        let arp = cat(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 6], &[0; 28]]);
        let runs = call.chunk_by(|a, b| a.from_caller == b.from_caller);
        runs.map(|run| {
            let frames: Vec<Vec<u8>> = run.iter().flat_map(|sip| [arp.clone(), snap(sip)]).collect();
            aggregate(&frames)
        })
        .collect()
    }),
    udp_row("TZSP, 802.11 aggregate", 1, |call| {
        let pairs = call.chunk_by(|a, b| a.from_caller == b.from_caller);
        pairs.map(|run| outer_udp(37008, &tzsp(18, &aggregate(&run.iter().map(snap).collect::<Vec<_>>())))).collect()
    }),
    udp_row("802.11 radiotap", 127, |call| each(call, |sip| radiotap(0, &wifi([8, 1], &[], &snap(sip))))),
    udp_row("802.11 radiotap, padded QoS", 127, |call| {
        each(call, |sip| radiotap(0x20, &wifi([0x88, 1], &[0, 0, 0, 0], &snap(sip))))
    }),
    udp_row("802.11 Prism", 119, |call| {
        each(call, |sip| cat(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &wifi([8, 1], &[], &snap(sip))]))
    }),
    udp_row("802.11 AVS", 163, |call| {
        each(call, |sip| cat(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &wifi([8, 1], &[], &snap(sip))]))
    }),
    udp_row("PPI, 802.11", 192, |call| each(call, |sip| ppi(105, &wifi([8, 1], &[], &snap(sip))))),
    udp_row("PPI, Ethernet", 192, |call| each(call, |sip| ppi(1, &sip.eth()))),
    udp_row("PKTAP, Ethernet", 258, |call| each(call, |sip| pktap(1, &sip.eth()))),
    udp_row("PKTAP, raw", 258, |call| each(call, |sip| pktap(12, &sip.ip()))),
    udp_row("NFLOG", 239, |call| each(call, |sip| nflog(true, &sip.ip()))),
    udp_row("NFLOG, big endian", 239, |call| each(call, |sip| nflog(false, &sip.ip()))),
    udp_row("IPNET", 226, |call| each(call, |sip| cat(&[&[2, 2, 0, 0], &be4(sip.ip().len()), &[0; 16], &sip.ip()]))),
    udp_row("BSD enc", 109, |call| each(call, |sip| cat(&[&[2, 0, 0, 0, 0, 0, 16, 1, 0, 0, 0, 0], &sip.ip()]))),
    udp_row("OpenBSD pflog", 117, |call| each(call, |sip| cat(&[&[61, 2, 0, 0], &[0; 60], &sip.ip()]))),
    udp_row("FireWire", 138, |call| each(call, |sip| cat(&[&[1; 16], &[8, 0], &sip.ip()]))),
    udp_row("netANALYZER", 240, |call| each(call, |sip| cat(&[&[0x20, 4, 0, 0], &sip.eth(), &[0; 4]]))),
    udp_row("exported PDU", 252, |call| each(call, |sip| exported(sip, "sip", 3, &sip.text))),
    row("exported PDU of TCP", 252, Transport::Tcp, |call| each(call, |sip| exported(sip, "sip", 2, &sip.text))),
    udp_row("exported PDU, IP", 252, |call| each(call, |sip| exported(sip, "ip", 0, &sip.ip()))),
    udp_row("exported PDU, UDP", 252, |call| each(call, |sip| exported(sip, "udp", 3, &sip.udp()))),
    row("SCTP, link type", 248, Transport::Sctp, |call| each(call, |sip| sctp_packet(sip, &[whole_chunk(sip)]))),
    // Tunnels.
    udp_row("IP in IP", 1, |call| each(call, |sip| outer(4, &sip.ip()))),
    udp_row("6in4, IPv6 inside", 1, |call| each(call, |sip| outer(41, &sip.ip6()))),
    udp_row("4in6", 1, |call| {
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        each(call, |sip| ethernet(0x86dd, &ipv6(a, b, 4, &sip.ip())))
    }),
    udp_row("GRE", 1, |call| each(call, |sip| outer(47, &cat(&[&[0, 0, 8, 0], &sip.ip()])))),
    udp_row("GRE, key and sequence", 1, |call| {
        each(call, |sip| outer(47, &cat(&[&[0x30, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0, 2], &sip.ip()])))
    }),
    udp_row("ERSPAN I", 1, |call| each(call, |sip| outer(47, &cat(&[&[0, 0, 0x88, 0xbe], &sip.eth()])))),
    udp_row("ERSPAN II", 1, |call| each(call, |sip| outer(47, &erspan2(&sip.eth())))),
    udp_row("ERSPAN III", 1, |call| each(call, |sip| outer(47, &erspan3([0, 0], &[], &sip.eth())))),
    udp_row("ERSPAN III, platform", 1, |call| each(call, |sip| outer(47, &erspan3([0, 1], &[0; 8], &sip.eth())))),
    udp_row("ERSPAN III, IP", 1, |call| each(call, |sip| outer(47, &erspan3([8, 0], &[], &sip.ip())))),
    udp_row("EtherIP", 1, |call| each(call, |sip| outer(97, &cat(&[&[0x30, 0], &sip.eth()])))),
    udp_row("MPLS over IP", 1, |call| each(call, |sip| outer(137, &mpls(&sip.ip())))),
    udp_row("MPLS over UDP", 1, |call| each(call, |sip| outer_udp(6635, &mpls(&sip.ip())))),
    udp_row("VXLAN", 1, |call| each(call, |sip| outer_udp(4789, &vxlan(&sip.eth())))),
    udp_row("VXLAN-GPE, IPv4", 1, |call| {
        each(call, |sip| outer_udp(4790, &cat(&[&[0x0c, 0, 0, 1, 0, 0, 9, 0], &sip.ip()])))
    }),
    udp_row("VXLAN-GPE, Ethernet", 1, |call| {
        each(call, |sip| outer_udp(4790, &cat(&[&[0x0c, 0, 0, 3, 0, 0, 9, 0], &sip.eth()])))
    }),
    udp_row("VXLAN-GPE, NSH", 1, |call| {
        let heads = [0x0c, 0, 0, 4, 0, 0, 9, 0, 0x0f, 0xc2, 2, 3, 0, 0, 1, 255];
        each(call, |sip| outer_udp(4790, &cat(&[&heads, &sip.eth()])))
    }),
    udp_row("Geneve", 1, |call| each(call, |sip| outer_udp(6081, &geneve(0x6558, &[], &sip.eth())))),
    udp_row("Geneve, options, IP", 1, |call| {
        each(call, |sip| outer_udp(6081, &geneve(0x0800, &[1, 2, 3, 1, 0, 0, 0, 0], &sip.ip())))
    }),
    udp_row("GTP-U", 1, |call| each(call, |sip| outer_udp(2152, &gtp(&sip.ip())))),
    udp_row("L2TPv2", 1, |call| {
        each(call, |sip| {
            let inner = cat(&[&[0, 1, 0, 2, 0, 3, 0, 4, 0xff, 3, 0, 0x21], &sip.ip()]);
            outer_udp(1701, &cat(&[&[0x48, 2], &be(inner.len() + 4), &inner]))
        })
    }),
    udp_row("L2TPv2, offset", 1, |call| {
        each(call, |sip| outer_udp(1701, &cat(&[&[2, 2, 0, 1, 0, 2, 0, 3, 9, 9, 9, 0, 0x21], &sip.ip()])))
    }),
    udp_row("L2TPv3", 1, |call| each(call, |sip| outer(115, &cat(&[&[0, 0, 0, 5], &sip.eth()])))),
    udp_row("L2TPv3, cookie", 1, |call| {
        each(call, |sip| outer(115, &cat(&[&[0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8], &sip.eth()])))
    }),
    udp_row("L2TPv3 over UDP", 1, |call| {
        each(call, |sip| outer_udp(1701, &cat(&[&[0, 3, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0], &sip.eth()])))
    }),
    udp_row("Teredo, IPv6 inside", 1, |call| each(call, |sip| outer_udp(3544, &sip.ip6()))),
    udp_row("Teredo headers, IPv6 inside", 1, |call| {
        let heads = cat(&[&[0, 1, 0, 0], &[7; 8], &[0], &[0, 0, 1, 2, 3, 4, 5, 6]]);
        each(call, |sip| outer_udp(3544, &cat(&[&heads, &sip.ip6()])))
    }),
    udp_row("TZSP", 1, |call| each(call, |sip| outer_udp(37008, &tzsp(1, &sip.eth())))),
    udp_row("TZSP, 802.11", 1, |call| each(call, |sip| outer_udp(37008, &tzsp(18, &wifi([8, 1], &[], &snap(sip)))))),
    udp_row("LISP", 1, |call| each(call, |sip| outer_udp(4341, &cat(&[&[0x80, 0, 0, 1, 0, 0, 0, 1], &sip.ip()])))),
    udp_row("GUE", 1, |call| each(call, |sip| outer_udp(6080, &cat(&[&[0, 4, 0, 0], &sip.ip()])))),
    udp_row("GUE, bare IP", 1, |call| each(call, |sip| outer_udp(6080, &sip.ip()))),
    udp_row("ESP, null cipher", 1, |call| each(call, |sip| ethernet(0x0800, &sip.over(50, &esp(17, &sip.udp()))))),
    udp_row("ESP in UDP, null cipher", 1, |call| each(call, |sip| outer_udp(4500, &esp(4, &sip.ip())))),
    udp_row("GTP-U in VXLAN in ERSPAN", 1, |call| {
        each(call, |sip| outer(47, &erspan2(&outer_udp(4789, &vxlan(&outer_udp(2152, &gtp(&sip.ip())))))))
    }),
    // Fragments.
    udp_row("fragments", 1, |call| fragmented(call, |_, part| ethernet(0x0800, part))),
    udp_row("fragments across VLANs", 1, |call| fragmented(call, |at, part| vlan(at as u8, part))),
    udp_row("fragments across tunnels", 1, |call| {
        fragmented(call, |at, part| match at % 3 {
            0 => outer(4, part),
            1 => outer_udp(4789, &vxlan(&ethernet(0x0800, part))),
            _ => outer_udp(2152, &gtp(part)),
        })
    }),
    udp_row("fragments of the tunnel", 1, |call| {
        let tunnels = call.iter().map(|sip| sip.over(47, &cat(&[&[0, 0, 8, 0], &sip.ip()])));
        tunnels.flat_map(|packet| fragments(&packet, 200)).map(|part| ethernet(0x0800, &part)).collect()
    }),
    udp_row("fragments in fragments", 1, |call| {
        let inner = call.iter().flat_map(|sip| {
            fragments(&sip.ip(), 240).into_iter().zip(0..).map(|(part, at)| {
                super::wire::ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), sip.number * 10 + at, 4, &part)
            })
        });
        inner.flat_map(|packet| fragments(&packet, 64)).map(|part| ethernet(0x0800, &part)).collect()
    }),
    // Transports.
    row("TCP", 1, Transport::Tcp, |call| streams::plain(call, &|len| streams::pieces(len, 9000))),
    row("TCP, small segments", 1, Transport::Tcp, |call| streams::plain(call, &|len| streams::pieces(len, 37))),
    row("TCP, one byte a segment", 1, Transport::Tcp, |call| streams::plain(call, &|len| streams::pieces(len, 1))),
    row("TCP, reordered", 1, Transport::Tcp, |call| {
        [streams::opening(call), streams::plain(call, &streams::reordered)].concat()
    }),
    row("TCP, overlapping", 1, Transport::Tcp, |call| streams::plain(call, &streams::overlapping)),
    row("TCP, retransmitted", 1, Transport::Tcp, |call| streams::plain(call, &streams::retransmitted)),
    row("WebSocket", 1, Transport::Ws, |call| streams::websocket(call, "", &streams::whole)),
    row("WebSocket, fragments and pings", 1, Transport::Ws, |call| {
        streams::websocket(call, "", &streams::fragments_and_pings)
    }),
    row("WebSocket, permessage-deflate", 1, Transport::Ws, |call| {
        streams::websocket(call, streams::DEFLATE, &streams::deflated())
    }),
    tls_row!("TLS 1.2, AES-GCM", Transport::Tls, "tls12-gcm"),
    tls_row!("TLS 1.2, ChaCha20", Transport::Tls, "tls12-chacha20"),
    tls_row!("TLS 1.2, AES-CBC", Transport::Tls, "tls12-cbc"),
    tls_row!("TLS 1.2, resumed", Transport::Tls, "tls12-resumed"),
    tls_row!("TLS 1.2, RSA key, AES-CBC", Transport::Tls, "tls12-rsa-cbc"),
    tls_row!("TLS 1.2, RSA key, resumed", Transport::Tls, "tls12-rsa-gcm-resumed"),
    tls_row!("TLS 1.3, AES-GCM", Transport::Tls, "tls13-gcm"),
    tls_row!("TLS 1.3, ChaCha20", Transport::Tls, "tls13-chacha20"),
    tls_row!("TLS 1.3, resumed", Transport::Tls, "tls13-resumed"),
    tls_row!("TLS 1.3, key update", Transport::Tls, "tls13-key-update"),
    tls_row!("WSS of TLS 1.2, all of WebSocket", Transport::Wss, "wss12"),
    tls_row!("WSS of TLS 1.3, all of WebSocket", Transport::Wss, "wss"),
    row("SCTP", 1, Transport::Sctp, |call| each(call, |sip| sctp_frame(sip, &[whole_chunk(sip)]))),
    row("SCTP over IPv6 inside", 1, Transport::Sctp, |call| {
        each(call, |sip| ethernet(0x86dd, &sip.over6(132, &sctp_packet(sip, &[whole_chunk(sip)]))))
    }),
    row("SCTP, several chunks", 1, Transport::Sctp, bundled),
    row("SCTP, fragmented", 1, Transport::Sctp, |call| call.iter().flat_map(fragmented_data).collect()),
    row("SCTP, I-DATA interleaved", 1, Transport::Sctp, interleaved),
    row("SCTP over UDP", 1, Transport::Sctp, |call| {
        each(call, |sip| {
            let packet = sctp_packet(sip, &[whole_chunk(sip)]);
            ethernet(0x0800, &sip.over(17, &udp(9899, 9899, &packet)))
        })
    }),
    row("SCTP in IP fragments", 1, Transport::Sctp, |call| {
        let packets = call.iter().map(|sip| sip.over(132, &sctp_packet(sip, &[whole_chunk(sip)])));
        packets.flat_map(|packet| fragments(&packet, 200)).map(|part| ethernet(0x0800, &part)).collect()
    }),
    // Capture agents.
    udp_row("HEP 1", 1, |call| each(call, |sip| outer_udp(9060, &hep_old(sip, 1, true)))),
    udp_row("HEP 2", 1, |call| each(call, |sip| outer_udp(9060, &hep_old(sip, 2, true)))),
    udp_row("HEP 2, times not counted", 1, |call| each(call, |sip| outer_udp(9060, &hep_old(sip, 2, false)))),
    udp_row("HEP 3", 1, |call| each(call, |sip| outer_udp(9060, &hep(sip)))),
    udp_row("HEP 3 on another port", 1, |call| each(call, |sip| outer_udp(2152, &hep(sip)))),
    row("HEP 3, of TCP", 1, Transport::Tcp, |call| {
        each(call, |sip| outer_udp(9060, &hep3(sip, 6, 1, &hep_chunk(0, 15, &sip.text))))
    }),
    udp_row("HEP 3, zlib", 1, |call| {
        each(call, |sip| hep_packed(sip, flate2::write::ZlibEncoder::new(Vec::new(), level())))
    }),
    udp_row("HEP 3, gzip", 1, |call| {
        each(call, |sip| hep_packed(sip, flate2::write::GzEncoder::new(Vec::new(), level())))
    }),
    udp_row("HEP 3 in IP fragments", 1, |call| {
        let packets = call.iter().map(|sip| sip.over(17, &udp(40_000, 9060, &hep(sip))));
        packets.flat_map(|packet| fragments(&packet, 200)).map(|part| ethernet(0x0800, &part)).collect()
    }),
    udp_row("HEP 3 over TCP", 1, |call| hep_stream(call, 9000)),
    udp_row("HEP 3 over TCP, small segments", 1, |call| hep_stream(call, 61)),
    udp_row("HEP 3 of two agents", 1, |call| {
        let report = |sip: &Sip, agent| outer_udp(9060, &hep3(sip, 17, agent, &hep_chunk(0, 15, &sip.text)));
        call.iter().flat_map(|sip| [report(sip, 1), report(sip, 2)]).collect()
    }),
];
