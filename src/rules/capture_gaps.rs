//! Messages that were sent and received, and are missing from the capture only: H02.
//!
//! Only what is proved by its effect counts. That a sender did not repeat itself makes an answer
//! likely, no more: the rules about single messages say so as `not-captured`.

use super::subject::{frames_of, list};
use super::{CaptureContext, Finding, Meta, Rule, Severity};
use crate::analysis::{Analysis, CallView};
use crate::base::{AnomalyKind, Timestamp};
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, Method};
use std::net::IpAddr;
use std::time::Duration;

/// H02.
static GAPS: Meta = Meta {
    code: "H02",
    name: "messages-not-captured",
    severity: Severity::Warning,
    title: "Messages are missing from the capture although they were sent and received",
    basis: &["RFC 3261 17"],
    page: include_str!("../../docs/rules/H02-messages-not-captured.md"),
};

/// Missing messages that are named.
const NAMED: usize = 6;
/// A call that begins this soon after the capture began before it (64*T1).
const BORDER: Duration = Duration::from_secs(32);

/// Judges what the capture lacks.
pub(super) struct CaptureGaps;

impl Rule for CaptureGaps {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 1] = [&GAPS];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let mut gaps = Vec::new();
        for view in context.analysis.views() {
            gaps.extend(of_call(view));
        }
        findings.extend(told(context.analysis, &gaps));
    }
}

/// One message that the capture lacks.
struct Gap {
    what: String,
    from: IpAddr,
    to: IpAddr,
    /// The frame next to which it belongs.
    frame: u32,
    /// It may have passed before the capture began.
    border: bool,
}

fn of_call(view: CallView<'_>) -> impl Iterator<Item = Gap> {
    let stats = &view.analysis.stats;
    // A way of which nothing was heard is rule H01's, where more than one message went the other way.
    let told = move |gap: &Gap| stats.heard(gap.from, gap.to) > 0 || stats.heard(gap.to, gap.from) <= 1;
    view.call.transactions.iter().filter_map(move |t| in_transaction(view, t)).filter(told)
}

/// Proved by an effect without its cause (CL1): a response without its request, an ACK without the
/// response that it acknowledges.
fn in_transaction(view: CallView<'_>, transaction: &Transaction) -> Option<Gap> {
    let (client, server) = (transaction.connection.src.ip, transaction.connection.dst.ip);
    let first = transaction.messages.first().copied()?;
    let cut = |no: &MessageNo| view.sip(*no).has(Facts::CUT); // rule H03
    if transaction.messages.iter().take(8).any(cut) {
        return None;
    }
    let gap = |what: String, from, to, next_to: MessageNo| Gap {
        what,
        from,
        to,
        frame: view.frame(next_to),
        border: near_start(view) && Some(first) == view.call.numbers().next(),
    };
    if transaction.request.is_none() {
        let response = transaction.provisional.or(transaction.final_response)?;
        return Some(gap(transaction.method.name().to_owned(), client, server, response));
    }
    let acknowledged = match transaction.method {
        Method::Invite => transaction.ack.filter(|_| transaction.final_response.is_none()),
        Method::Ack => {
            let invite = transaction.invite.map(|invite| view.call.transaction(invite));
            transaction.request.filter(|_| invite.is_some_and(|invite| invite.final_response.is_none()))
        }
        _ => None,
    }?;
    Some(gap("final response to INVITE".to_owned(), server, client, acknowledged))
}

fn near_start(view: CallView<'_>) -> bool {
    view.call.start.since(view.analysis.first.unwrap_or(Timestamp::MIN)) < BORDER
}

fn told(analysis: &Analysis, gaps: &[Gap]) -> Option<Finding> {
    let count = |kind| analysis.anomalies.of(kind).map_or(0, |told| told.count);
    let (dropped, holes) = (count(AnomalyKind::DroppedPackets), count(AnomalyKind::TcpGap));
    let named = gaps.iter().take(NAMED).map(|gap| {
        let Gap { what, from, to, frame, .. } = gap;
        // Not the call: its number may still change when legs are joined.
        format!("{what} from {from} to {to} (next to frame {frame})")
    });
    let mut what: Vec<String> = named.collect();
    if gaps.len() > NAMED {
        what.push(format!("{} more", gaps.len() - NAMED));
    }
    if holes > 0 {
        what.push(format!("bytes of TCP streams that the receiver acknowledged ({holes} gaps)"));
    }
    if dropped > 0 {
        what.push("packets that the capturing machine says it dropped".to_owned());
    }
    if what.is_empty() {
        return None;
    }
    let summary = format!("The capture lacks messages that were sent and received: {}", list(&what));
    let detail = "Later messages prove that these existed: a response needs its request, an ACK its response, and who waits for an answer sends \
                  again until it has one. Do not blame the peers for them. Look at the capture: did it begin in the middle of a call, drop \
                  packets under load (see the drop counters of the capture program; use a larger buffer, tcpdump -B), or miss a path, port or \
                  VLAN that its filter leaves out?";
    let kinds = [AnomalyKind::TcpGap, AnomalyKind::DroppedPackets];
    let odd =
        kinds.into_iter().filter_map(|kind| analysis.anomalies.of(kind)).flat_map(|told| told.frames.iter().copied());
    let frames = frames_of(gaps.iter().map(|gap| gap.frame).chain(odd));
    let only_border = holes + dropped == 0 && gaps.iter().all(|gap| gap.border);
    let severity = if only_border { Severity::Info } else { Severity::Warning };
    Some(Finding::new(&GAPS, Vec::new(), summary, detail).severity(severity).frames(frames).cause(Cause::NotCaptured))
}
