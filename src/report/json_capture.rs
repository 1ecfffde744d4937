//! What the JSON report says of the input: files, counts, what was not understood (docs/json.md).

use super::json::Moment;
use crate::analysis::{Analysis, Counted, PacketKind, Stats, Wrapping};
use crate::base::{Anomalies, Transport};
use crate::capture::{CaptureInfo, InterfaceInfo, link_type_name};
use serde::ser::{Serialize, Serializer};

/// A map in the order given.
pub(super) struct Pairs<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Pairs<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(serde::Serialize)]
pub(super) struct CaptureView<'a> {
    path: &'a str,
    format: &'a str,
    packets: u64,
    bytes: u64,
    first: Option<Moment>,
    last: Option<Moment>,
    link_types: Vec<&'static str>,
    complete: bool,
    drops: u64,
    interfaces: Vec<InterfaceView<'a>>,
    hardware: Option<&'a str>,
    os: Option<&'a str>,
    application: Option<&'a str>,
    comment: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct InterfaceView<'a> {
    name: Option<&'a str>,
    description: Option<&'a str>,
    link_type: &'static str,
    packets: u64,
    drops: u64,
}

pub(super) fn capture_view(capture: &CaptureInfo) -> CaptureView<'_> {
    CaptureView {
        path: &capture.path,
        format: capture.format,
        packets: capture.packets,
        bytes: capture.bytes,
        first: capture.first.map(Moment),
        last: capture.last.map(Moment),
        link_types: capture.link_types.iter().map(|link| link_type_name(*link)).collect(),
        complete: capture.complete,
        drops: capture.drops,
        interfaces: capture.interfaces.iter().map(interface_view).collect(),
        hardware: capture.maker.hardware.as_deref(),
        os: capture.maker.os.as_deref(),
        application: capture.maker.application.as_deref(),
        comment: capture.maker.comment.as_deref(),
    }
}

fn interface_view(interface: &InterfaceInfo) -> InterfaceView<'_> {
    InterfaceView {
        name: interface.name.as_deref(),
        description: interface.description.as_deref(),
        link_type: link_type_name(interface.link),
        packets: interface.packets,
        drops: interface.drops,
    }
}

/// Counts over the whole input, whatever is selected.
#[derive(serde::Serialize)]
pub(super) struct InputView<'a> {
    pub(super) sip: SipView<'a>,
    pub(super) coverage: Vec<CoverageView>,
    pub(super) encapsulations: Vec<EncapsulationView<'a>>,
    pub(super) comments: Vec<CommentView<'a>>,
    pub(super) anomalies: Vec<AnomalyView<'a>>,
}

pub(super) fn input_view(analysis: &Analysis) -> InputView<'_> {
    InputView {
        sip: sip_view(&analysis.stats),
        coverage: analysis.stats.coverage.iter().map(coverage_view).collect(),
        encapsulations: analysis.wrappings.iter().map(encapsulation_view).collect(),
        comments: analysis.remarks.comments.iter().map(|(frame, text)| CommentView { frame: *frame, text }).collect(),
        anomalies: anomaly_views(&analysis.anomalies),
    }
}

#[derive(serde::Serialize)]
pub(super) struct SipView<'a> {
    messages: u64,
    malformed: u64,
    retransmissions: u64,
    captured_twice: u64,
    transports: Pairs<&'static str, u64>,
    requests: Pairs<&'a str, u64>,
    responses: Pairs<u16, u64>,
    call_ids: u64,
    transactions: u64,
    dialogs: u64,
}

fn sip_view(stats: &Stats) -> SipView<'_> {
    let of_transport = |transport: Transport| stats.transports.get(&transport).copied().unwrap_or(0);
    SipView {
        messages: stats.messages,
        malformed: stats.malformed,
        retransmissions: stats.retransmissions,
        captured_twice: stats.captured_twice,
        transports: Pairs(
            Transport::ALL.iter().map(|transport| (transport.name(), of_transport(*transport))).collect(),
        ),
        requests: Pairs(stats.requests.iter().map(|(method, n)| (method.as_str(), *n)).collect()),
        responses: Pairs(stats.responses.iter().map(|(status, n)| (*status, *n)).collect()),
        call_ids: stats.call_ids,
        transactions: stats.transactions,
        dialogs: stats.dialogs,
    }
}

#[derive(serde::Serialize)]
pub(super) struct AnomalyView<'a> {
    kind: &'static str,
    count: u64,
    first_frame: u32,
    text: &'a str,
}

fn anomaly_views(anomalies: &Anomalies) -> Vec<AnomalyView<'_>> {
    anomalies
        .iter()
        .map(|(kind, summary)| AnomalyView {
            kind: kind.name(),
            count: summary.count,
            first_frame: summary.first.frame,
            text: &summary.first.text,
        })
        .collect()
}

#[derive(serde::Serialize)]
pub(super) struct CoverageView {
    kind: &'static str,
    packets: u64,
    first_frame: u32,
    may_hide_sip: bool,
}

fn coverage_view((kind, counted): (PacketKind, Counted)) -> CoverageView {
    CoverageView {
        kind: kind.name(),
        packets: counted.packets,
        first_frame: counted.first,
        may_hide_sip: kind.may_hide_sip(),
    }
}

#[derive(serde::Serialize)]
pub(super) struct EncapsulationView<'a> {
    path: &'a str,
    messages: u64,
    first_frame: u32,
}

fn encapsulation_view(wrapping: &Wrapping) -> EncapsulationView<'_> {
    EncapsulationView { path: &wrapping.path, messages: wrapping.messages, first_frame: wrapping.first }
}

#[derive(serde::Serialize)]
pub(super) struct CommentView<'a> {
    frame: u32,
    text: &'a str,
}
