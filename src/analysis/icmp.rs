//! ICMP errors that quote SIP.

use super::{Analysis, IcmpReport, PacketKind};
use crate::base::{Connection, PacketMeta, Transport};
use crate::net::IcmpError;
use crate::sip::{Message, Probe, probe};
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// ICMP errors are few in a healthy network; more of them tell nothing more.
const REPORTS: usize = 100_000;

/// Keeps the error when what it quotes starts like SIP, or is a TCP segment, of which routers often
/// quote only the ports: [`assign`] tells then, and counts it. Returns whether it was kept.
pub(super) fn note(reports: &mut Vec<IcmpReport>, meta: &PacketMeta, error: &IcmpError<'_>) -> bool {
    let sip = match probe(error.quoted.payload) {
        Probe::Sip { offset } => &error.quoted.payload[offset..],
        _ if error.transport == Transport::Tcp => &[],
        _ => return false,
    };
    if reports.len() >= REPORTS {
        return false;
    }
    let quoted = Message::parse(Bytes::copy_from_slice(sip));
    let id = quoted.call_id();
    reports.push(IcmpReport {
        frame: meta.frame,
        time: meta.time,
        by: error.from,
        reason: error.reason.name(),
        quoted: Connection { src: error.quoted.src, dst: error.quoted.dst, transport: error.transport },
        call_id: (!id.is_empty()).then(|| quoted.raw().slice_ref(id)),
        call: None,
    });
    true
}

/// Finds the call of each error: by Call-ID when that far is quoted, else the last call before it
/// that sent between the quoted addresses.
pub(super) fn assign(analysis: &mut Analysis) {
    if analysis.icmp.is_empty() {
        return;
    }
    let mut by_id: HashMap<Bytes, usize, RandomState> = HashMap::default();
    let mut by_connection: HashMap<Connection, Vec<usize>, RandomState> = HashMap::default();
    for (number, call) in analysis.calls.iter().enumerate() {
        for message in &call.messages {
            let seen = &analysis.seen[message.seen.at()];
            by_id.entry(seen.message.raw().slice_ref(seen.message.call_id())).or_insert(number);
            let calls = by_connection.entry(seen.connection).or_default();
            if calls.last() != Some(&number) {
                calls.push(number);
            }
        }
    }
    for report in &mut analysis.icmp {
        let by_address = || {
            let calls = over(report.quoted).find_map(|connection| by_connection.get(&connection))?;
            let started = calls.partition_point(|call| analysis.calls[*call].start <= report.time);
            calls.get(started.checked_sub(1)?).copied()
        };
        report.call = report.call_id.as_ref().and_then(|id| by_id.get(id).copied()).or_else(by_address);
    }
    // A segment of no call has nothing to do with SIP, as far as can be told.
    let Analysis { icmp, stats, .. } = analysis;
    icmp.retain(|report| {
        let about_sip = report.quoted.transport == Transport::Udp || report.call.is_some();
        let kind = if about_sip { PacketKind::SipIcmp } else { PacketKind::OtherIcmp };
        stats.coverage.add(kind, report.frame);
        about_sip
    });
}

/// What the quoted addresses may be as a connection of SIP: TCP carries four transports.
fn over(quoted: Connection) -> impl Iterator<Item = Connection> {
    let over_tcp = [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
    let transports = if quoted.transport == Transport::Tcp { over_tcp.as_slice() } else { &[Transport::Udp] }.to_vec();
    transports.into_iter().map(move |transport| Connection { transport, ..quoted })
}
