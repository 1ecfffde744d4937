//! Messages that a receiver cannot read: N04 and N05.

use super::facts::{name, plain, sender};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::{Analysis, CallView};
use crate::base::{AnomalyKind, Transport};
use crate::session::MessageNo;
use crate::sip::{Facts, FaultSeverity};

/// N04.
static LENGTH: Meta = Meta {
    code: "N04",
    name: "content-length-wrong",
    severity: Severity::Error,
    title: "Content-Length promises more bytes than the datagram has",
    basis: &["RFC 3261 18.3"],
    page: include_str!("../../docs/rules/N04-content-length-wrong.md"),
};

/// N05.
static MALFORMED: Meta = Meta {
    code: "N05",
    name: "malformed-message",
    severity: Severity::Error,
    title: "The start line or a mandatory header is missing or cannot be read",
    basis: &["RFC 3261 8.1.1", "RFC 3261 16.3 item 1", "RFC 3261 21.4.1"],
    page: include_str!("../../docs/rules/N05-malformed-message.md"),
};

/// Headers without which a message cannot be handled (RFC 3261 8.1.1; Max-Forwards is rule P07).
const MANDATORY: [&str; 6] = ["start line", "Via", "From", "To", "Call-ID", "CSeq"];
/// Faults named in one finding.
const NAMED: usize = 3;
/// Messages that one finding points at.
const POINTED_AT: usize = 16;

/// Judges whether messages can be read.
pub(super) struct Form;

impl Rule for Form {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 2] = [&LENGTH, &MALFORMED];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().has(Facts::CUT | Facts::MALFORMED)
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        findings.extend(wrong_length(view));
        findings.extend(malformed(view));
    }
}

/// Whether the capture itself may have cut this message.
fn cut_by_capture(analysis: &Analysis, frame: u32) -> bool {
    [AnomalyKind::CutFrame, AnomalyKind::IncompleteFragments].into_iter().any(|kind| {
        let told = analysis.anomalies.of(kind);
        told.is_some_and(|told| told.frames.contains(&frame) || told.count > told.frames.len() as u64)
    })
}

/// Whether the empty line behind the headers is there, ended in whichever way.
fn has_whole_header(raw: &[u8]) -> bool {
    [&b"\n\r\n"[..], b"\n\n"].into_iter().any(|end| memchr::memmem::find(raw, end).is_some())
}

/// N04: over UDP only, where the datagram says how much there is.
fn wrong_length(view: CallView<'_>) -> Option<Finding> {
    let short = |no: &MessageNo| {
        let seen = view.seen(*no);
        let message = &seen.message;
        message.has(Facts::CUT)
            && seen.connection.transport == Transport::Udp
            && has_whole_header(message.raw())
            && message.content_length().is_some_and(|length| length > message.body().len() as u64)
            && !seen.frames.as_slice().iter().any(|frame| cut_by_capture(view.analysis, *frame))
    };
    let messages: Vec<MessageNo> = view.call.numbers().filter(short).take(POINTED_AT).collect();
    let message = view.sip(*messages.first()?);
    let summary = format!(
        "The {} of {} says Content-Length: {}, but its body has {} bytes",
        name(view, messages[0]),
        sender(view, messages[0]),
        message.content_length().unwrap_or_default(),
        message.body().len()
    );
    let detail = "The whole datagram is in the capture, so the sender or something on the way made it wrong. RFC 3261 18.3: a request whose \
                  body is shorter than Content-Length is refused with 400, a response is thrown away. Usual causes: a NAT helper (ALG) \
                  that changed the SDP and not the length, or a template of a test tool.";
    Some(Finding::new(&LENGTH, messages, summary, detail))
}

/// N05: told once for a call.
fn malformed(view: CallView<'_>) -> Option<Finding> {
    let broken = |no: &MessageNo| view.sip(*no).has(Facts::MALFORMED) && !view.sip(*no).has(Facts::CUT);
    let messages: Vec<MessageNo> = view.call.numbers().filter(broken).take(POINTED_AT).collect();
    let first = *messages.first()?;
    let faults: Vec<String> = view
        .sip(first)
        .faults()
        .into_iter()
        .filter(|fault| fault.severity == FaultSeverity::Error && MANDATORY.contains(&fault.header))
        .take(NAMED)
        .map(|fault| format!("{}: should be \"{}\" ({})", fault.header, fault.expected, fault.basis))
        .collect();
    let what = if faults.is_empty() { "start line or mandatory header".to_owned() } else { faults.join("; ") };
    let summary =
        format!("The {} of {} cannot be read properly", name(view, first), plain(sender(view, first).as_bytes()));
    let detail = format!(
        "What is wrong: {what}. Each message needs Via, From, To, Call-ID and CSeq that can be read (RFC 3261 8.1.1); a receiver may \
         answer 400 or drop it silently. Look at the software that sent it, or at whoever crafted it."
    );
    Some(Finding::new(&MALFORMED, messages, summary, detail))
}
