//! How good the capture itself is: H01, H03, H04 and H05, each once for a file.

use super::subject::{frames_of, list};
use super::{CaptureContext, Finding, Meta, Rule, Severity};
use crate::analysis::{AddressPair, Analysis, CallView, Counted, PacketKind};
use crate::base::AnomalyKind;
use crate::flow::Cause;
use crate::session::{CopyKind, Transaction};
use crate::sip::Method;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// H01.
static ONE_SIDED: Meta = Meta {
    code: "H01",
    name: "one-sided-capture",
    severity: Severity::Warning,
    title: "Of two hosts that talk, only one direction is in the capture",
    basis: &["RFC 3261 17"],
    page: include_str!("../../docs/rules/H01-one-sided-capture.md"),
};

/// H03.
static CUT: Meta = Meta {
    code: "H03",
    name: "cut-frames",
    severity: Severity::Warning,
    title: "SIP messages are cut or incomplete in the capture",
    basis: &["RFC 3261 18.3"],
    page: include_str!("../../docs/rules/H03-cut-frames.md"),
};

/// H04.
static TWICE: Meta = Meta {
    code: "H04",
    name: "captured-twice",
    severity: Severity::Info,
    title: "Packets are in the capture more than once although sent once",
    basis: &["RFC 3261 17"],
    page: include_str!("../../docs/rules/H04-captured-twice.md"),
};

/// H05.
static UNREADABLE: Meta = Meta {
    code: "H05",
    name: "unreadable-sip",
    severity: Severity::Info,
    title: "Traffic that may be SIP could not be read",
    basis: &["RFC 3261 26.2.1"],
    page: include_str!("../../docs/rules/H05-unreadable-sip.md"),
};

/// Judges the capture.
pub(super) struct CaptureHealth;

impl Rule for CaptureHealth {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 4] = [&ONE_SIDED, &CUT, &TWICE, &UNREADABLE];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        findings.extend(one_sided(context.analysis));
        findings.extend(cut(context.analysis));
        findings.extend(twice(context.analysis));
        findings.extend(unreadable(context.analysis));
    }
}

/// From one host to another.
type Way = (IpAddr, IpAddr);

/// H01: a silent peer looks the same in numbers, so proof is needed that the other direction spoke:
/// a response whose request, or an ACK whose response is not there.
fn one_sided(analysis: &Analysis) -> Option<Finding> {
    let silent = |(from, to): Way| analysis.stats.heard(from, to) == 0 && analysis.stats.heard(to, from) > 1;
    let candidate =
        |(pair, _): (&AddressPair, &[u64; 2])| silent((pair.low, pair.high)) || silent((pair.high, pair.low));
    if !analysis.stats.directions.iter().any(candidate) {
        return None;
    }
    let mut spoke: BTreeMap<Way, Vec<u32>> = BTreeMap::new();
    for view in analysis.views() {
        for transaction in &view.call.transactions {
            if let Some((way, frame)) = unseen_speaker(view, transaction).filter(|(way, _)| silent(*way)) {
                spoke.entry(way).or_default().push(frame);
            }
        }
    }
    let ways: Vec<String> = spoke.keys().map(|(from, to)| format!("{from} to {to}")).collect();
    if ways.is_empty() {
        return None;
    }
    let summary = format!("The capture holds only one direction: nothing from {} was captured", list(&ways));
    let detail = "The other side must have spoken: responses to requests, or ACKs to responses, are in the capture that have no counterpart. \
                  Nothing can be said about what that side did, and messages \"missing\" from it are not reported. Capture both directions: \
                  a mirror port must copy what the port receives and what it sends, and each link of an asymmetric route needs its own tap.";
    let frames = frames_of(spoke.into_values().flatten());
    Some(Finding::new(&ONE_SIDED, Vec::new(), summary, detail).frames(frames).cause(Cause::NotCaptured))
}

/// Who must have spoken to whom in this transaction without being in the capture, and the frame that
/// shows it.
fn unseen_speaker(view: CallView<'_>, transaction: &Transaction) -> Option<(Way, u32)> {
    let (client, server) = (transaction.connection.src.ip, transaction.connection.dst.ip);
    let responses = transaction.provisional.or(transaction.final_response);
    if transaction.request.is_none() {
        return responses.map(|no| ((client, server), view.frame(no)));
    }
    let answered = |t: &Transaction| t.provisional.is_some() || t.final_response.is_some();
    let acknowledged = match transaction.method {
        Method::Invite => transaction.ack.filter(|_| !answered(transaction)),
        Method::Ack => {
            let invite = transaction.invite.map(|invite| view.call.transaction(invite));
            transaction.request.filter(|_| invite.is_some_and(|invite| !answered(invite)))
        }
        _ => None,
    };
    acknowledged.map(|no| ((server, client), view.frame(no)))
}

/// H03.
fn cut(analysis: &Analysis) -> Option<Finding> {
    let count = |kind| analysis.anomalies.of(kind).map_or(0, |told| told.count);
    let by_capture =
        count(AnomalyKind::CutFrame) + count(AnomalyKind::TcpGap) + count(AnomalyKind::IncompleteFragments) > 0;
    let messages = if by_capture { count(AnomalyKind::CutMessage) } else { 0 }; // else rule N04
    let fragments = count(AnomalyKind::IncompleteFragments);
    let damaged = count(AnomalyKind::DamagedFile);
    let last = count(AnomalyKind::CutLastRecord);
    let mut what = Vec::new();
    if messages > 0 {
        what.push(format!("{messages} SIP message(s) are cut short"));
    }
    if fragments > 0 {
        what.push(format!("of {fragments} fragmented packet(s) a fragment is missing"));
    }
    if damaged > 0 {
        what.push("the file is damaged, and its rest could not be read".to_owned());
    }
    let grave = !what.is_empty();
    if last > 0 {
        what.push("the last packet of the file is cut".to_owned());
    }
    if what.is_empty() {
        return None;
    }
    let kinds = [
        AnomalyKind::CutMessage,
        AnomalyKind::IncompleteFragments,
        AnomalyKind::DamagedFile,
        AnomalyKind::CutLastRecord,
    ];
    let frames =
        kinds.into_iter().filter_map(|kind| analysis.anomalies.of(kind)).flat_map(|told| told.frames.iter().copied());
    let summary = format!("The capture is not complete: {}", list(&what));
    let detail = "What is cut off cannot be judged: bodies and the last headers may be missing here although they were sent, and a message \
                  that lacks a fragment is not seen at all. Capture whole packets (tcpdump -s 0), do not filter by port alone (fragments carry \
                  no port: add \"or ip[6:2] & 0x1fff != 0\"), and end the capture program with Ctrl-C rather than kill -9.";
    let severity = if grave { Severity::Warning } else { Severity::Info };
    Some(
        Finding::new(&CUT, Vec::new(), summary, detail)
            .severity(severity)
            .frames(frames_of(frames))
            .cause(Cause::NotCaptured),
    )
}

/// H04.
fn twice(analysis: &Analysis) -> Option<Finding> {
    let count = analysis.stats.captured_twice;
    if count == 0 {
        return None;
    }
    let copies = analysis.views().flat_map(|view| {
        let messages = view.call.messages.iter();
        let twice = messages.filter(|message| message.copy.is_some_and(|copy| copy.kind == CopyKind::CapturedTwice));
        twice.map(move |message| view.analysis.seen[message.seen.at()].frames.last())
    });
    let frames = frames_of(copies);
    let summary = format!("{count} SIP messages are in the capture more than once although they were sent once");
    let detail = "The same packet was copied at several points (a mirror port that copies both directions of two ports, the \"any\" interface, \
                  a VLAN trunk with tagged and untagged copies, several capture agents, or merged files). They are not retransmissions and are not counted as such. \
                  Nothing is wrong with the calls.";
    Some(Finding::new(&TWICE, Vec::new(), summary, detail).frames(frames))
}

/// H05.
fn unreadable(analysis: &Analysis) -> Option<Finding> {
    let told = |kind, what: &str| {
        let told = analysis.anomalies.of(kind)?;
        Some(format!("{what} ({}, first in frame {})", told.count, told.first.frame))
    };
    let encrypted = |kind: PacketKind| {
        let Counted { packets, first } = analysis.stats.coverage.of(kind);
        (packets > 0).then(|| format!("{} ({packets} packets, first in frame {first})", kind.words()))
    };
    let what: Vec<String> = [
        told(AnomalyKind::EncryptedTls, "TLS without its keys"),
        told(AnomalyKind::TunnelDepth, "packets in too many tunnels"),
        told(AnomalyKind::UnknownLinkType, "packets of an unknown link type"),
        encrypted(PacketKind::Esp),
        encrypted(PacketKind::Wifi),
        encrypted(PacketKind::MacSec),
    ]
    .into_iter()
    .flatten()
    .collect();
    if what.is_empty() {
        return None;
    }
    let kinds = [AnomalyKind::EncryptedTls, AnomalyKind::TunnelDepth, AnomalyKind::UnknownLinkType];
    let frames =
        kinds.into_iter().filter_map(|kind| analysis.anomalies.of(kind)).flat_map(|told| told.frames.iter().copied());
    let summary = format!("Some traffic that may carry SIP could not be read: {}", list(&what));
    let detail = "Calls on these connections are not in this report. To read TLS, record the session keys where the connection ends (the \
                  SSLKEYLOGFILE of a client, or the server's key log) and give the file with --keylog, with a capture that shows the start of \
                  the connection. The server's private RSA key (--rsa-key) opens only what TLS 1.2 and older exchanged with RSA: ECDHE, DHE and \
                  TLS 1.3 have forward secrecy and always need the key log. IPsec is read only with null encryption, a wireless network only without encryption. For other tunnels, capture behind their end.";
    Some(Finding::new(&UNREADABLE, Vec::new(), summary, detail).frames(frames_of(frames)))
}
