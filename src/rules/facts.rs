//! Questions that many rules ask about a call, and the words for the answers.

use super::{Finding, MissingMessage, Severity};
use crate::analysis::CallView;
use crate::base::{Connection, Idx, Timestamp};
use crate::call::Hop;
use crate::flow::{Cause, Judgement, Verdict};
use crate::session::{self, CopyKind, Dialog, MessageNo, Transaction};
use crate::sip::{Facts, Message, Method};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// 64*T1: how long a transaction, or a 2xx without its ACK, may take (RFC 3261 17, 13.3.1.4).
pub(super) const TIMEOUT: Duration = Duration::from_secs(32);
/// Messages this close may have crossed on their way: no order can be told from them.
pub(super) const CROSSING: Duration = Duration::from_millis(500);
/// A CANCEL later than this after the final response passed did not cross it.
pub(super) const CANCEL_CROSSES: Duration = Duration::from_millis(200);
/// The capture must go on this long before a message that is due at once counts as overdue.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);
/// A request repeated later than this after a response passed the tap was not told by the response.
pub(super) const COPY_AFTER_RESPONSE: Duration = Duration::from_millis(200);
/// ICMP errors looked at for one request.
const ICMP_LOOKED_AT: usize = 1024;

/// Index of a transaction within its call.
pub(super) type TransactionNo = Idx<Transaction>;

/// "INVITE", "200 OK".
pub(super) fn name(view: CallView<'_>, no: MessageNo) -> String {
    message_name(view.sip(no))
}

fn message_name(message: &Message) -> String {
    match message.status() {
        None => message.method_name().into_owned(),
        Some(status) => {
            let reason = plain(message.reason());
            let space = if reason.is_empty() { "" } else { " " };
            format!("{status}{space}{reason}")
        }
    }
}

/// Bytes from the network as a short piece of text without control characters.
pub(super) fn plain(bytes: &[u8]) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= LONGEST && !text.contains(char::is_control) => Cow::Borrowed(text),
        _ => String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(LONGEST).collect(),
    }
}

/// Who sent message `no`: "10.20.1.11:5060".
pub(super) fn sender(view: CallView<'_>, no: MessageNo) -> String {
    view.seen(no).connection.src.to_string()
}

/// Who was to receive message `no`.
pub(super) fn receiver(view: CallView<'_>, no: MessageNo) -> String {
    view.seen(no).connection.dst.to_string()
}

/// When message `no` passed the tap.
pub(super) fn time(view: CallView<'_>, no: MessageNo) -> Timestamp {
    view.seen(no).time
}

/// "once", "twice", "7 times".
pub(super) fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// "31.5 s", "250 ms".
pub(super) fn span(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    let tenths = duration.as_millis() / 100;
    match tenths % 10 {
        0 => format!("{} s", tenths / 10),
        rest => format!("{}.{rest} s", tenths / 10),
    }
}

/// Message `no` and its retransmissions (not what was merely captured twice), in order.
pub(super) fn sendings(view: CallView<'_>, no: MessageNo) -> Vec<MessageNo> {
    let twice = |copy: session::Copy| copy.kind == CopyKind::CapturedTwice;
    view.call.with_copies(no).filter(|no| !view.call.message(*no).copy.is_some_and(twice)).collect()
}

/// The times of these messages.
pub(super) fn at_times(view: CallView<'_>, messages: &[MessageNo]) -> Vec<Timestamp> {
    messages.iter().map(|no| time(view, *no)).collect()
}

/// From the first to the last of these messages.
pub(super) fn stretch(view: CallView<'_>, messages: &[MessageNo]) -> Duration {
    match (messages.first(), messages.last()) {
        (Some(first), Some(last)) => time(view, *last).since(time(view, *first)),
        _ => Duration::ZERO,
    }
}

/// Status of message `no`, 0 for a request.
pub(super) fn status(view: CallView<'_>, no: MessageNo) -> u16 {
    view.sip(no).status().unwrap_or(0)
}

/// Status of the first final response of a transaction.
pub(super) fn final_status(view: CallView<'_>, transaction: &Transaction) -> Option<u16> {
    transaction.final_response.and_then(|no| view.sip(no).status())
}

/// The 2xx of a transaction.
pub(super) fn success(view: CallView<'_>, transaction: &Transaction) -> Option<MessageNo> {
    transaction.final_response.filter(|no| (200..300).contains(&status(view, *no)))
}

/// Whether any message passed the tap, in the whole capture, the way of `connection`. Where none
/// did, nothing may be concluded from its silence (rule H01 says so once).
pub(super) fn heard(view: CallView<'_>, connection: Connection) -> bool {
    let (src, dst) = (connection.src.ip, connection.dst.ip);
    let pair = crate::analysis::AddressPair { low: src.min(dst), high: src.max(dst) };
    let counts = view.analysis.stats.directions.get(&pair);
    counts.is_some_and(|[up, down]| if src <= dst { *up > 0 } else { *down > 0 })
}

/// Whether an ICMP error reports that this request could not be delivered (rule N01 tells it).
pub(super) fn undeliverable(view: CallView<'_>, transaction: &Transaction) -> bool {
    let Some(request) = transaction.request else {
        return false;
    };
    let start = time(view, request);
    let reports = &view.analysis.icmp;
    let from = reports.partition_point(|report| report.time < start);
    reports[from..].iter().take(ICMP_LOOKED_AT).take_while(|report| report.time.since(start) <= TIMEOUT).any(|report| {
        report.quoted.src == transaction.connection.src && report.quoted.dst == transaction.connection.dst
    })
}

/// The transactions for which `holds`, without those whose forwarded copy one hop further shows the
/// same: the cause lies behind the last hop, and is told once.
pub(super) fn deepest(view: CallView<'_>, holds: impl Fn(TransactionNo, &Transaction) -> bool) -> Vec<TransactionNo> {
    let found: Vec<TransactionNo> = view.transactions().filter(|(at, t)| holds(*at, t)).map(|(at, _)| at).collect();
    if found.is_empty() {
        return found;
    }
    let mut covered = vec![false; view.call.transactions.len()];
    for at in &found {
        if let Some(up) = view.call.transaction(*at).upstream.filter(|up| up != at) {
            covered[up.at()] = true;
        }
    }
    found.into_iter().filter(|at| !covered[at.at()]).collect()
}

/// Whether the end-to-end messages of the dialog that this INVITE (or SUBSCRIBE) sets up are owed on
/// its hop: both ends of the hop are user agents or have put themselves on the route with
/// Record-Route (RFC 3261 12.1.2, 16.6 item 4). Names cannot be compared with addresses and count as
/// a match.
pub(super) fn on_route(view: CallView<'_>, transaction: &Transaction) -> bool {
    let answer = transaction.final_response.filter(|no| status(view, *no) < 300).or(transaction.provisional);
    let Some(answer) = answer.map(|no| view.sip(no)) else {
        return true;
    };
    let Connection { src, dst, .. } = transaction.connection;
    let recorded = |ip: IpAddr| answer.record_routes().any(|route| may_be(host(route.uri), ip));
    let caller = transaction.request.is_none_or(|no| view.sip(no).via_count() <= 1);
    let callee = answer.contacts().next().is_none_or(|contact| may_be(host(contact.uri), dst.ip));
    (caller || recorded(src.ip)) && (callee || recorded(dst.ip))
}

/// The host part of a SIP URI, without brackets.
fn host(uri: &[u8]) -> &[u8] {
    let rest = uri.iter().position(|b| *b == b':').map_or(uri, |at| &uri[at + 1..]);
    let rest = rest.iter().rposition(|b| *b == b'@').map_or(rest, |at| &rest[at + 1..]);
    if let Some(inner) = rest.strip_prefix(b"[") {
        return inner.split(|b| *b == b']').next().unwrap_or_default();
    }
    rest.split(|b| matches!(b, b':' | b';' | b'?' | b'>')).next().unwrap_or_default()
}

fn may_be(host: &[u8], ip: IpAddr) -> bool {
    let literal = std::str::from_utf8(host).ok().and_then(|text| text.parse::<IpAddr>().ok());
    literal.is_none_or(|literal| literal == ip)
}

/// The ACKs of a call that are no part of a failed INVITE, by dialog and CSeq number.
pub(super) struct Acks<'a>(HashMap<DialogSeq<'a>, Vec<MessageNo>, RandomState>);

/// From tag and To tag of the caller's requests, CSeq number.
type DialogSeq<'a> = (&'a [u8], &'a [u8], &'a [u8], u32);

fn dialog_seq(message: &Message) -> DialogSeq<'_> {
    (message.call_id(), message.from_tag(), message.to_tag(), message.cseq_number().unwrap_or(0))
}

impl<'a> Acks<'a> {
    /// Of one call, copies included.
    pub(super) fn of(view: CallView<'a>) -> Self {
        let mut acks: HashMap<DialogSeq<'a>, Vec<MessageNo>, RandomState> = HashMap::default();
        for (no, seen) in view.messages().filter(|(_, seen)| seen.message.is_request()) {
            if seen.message.method() == Method::Ack {
                acks.entry(dialog_seq(&seen.message)).or_default().push(no);
            }
        }
        Self(acks)
    }

    /// All ACKs with the tags and the CSeq number of this response, on any hop, in order.
    pub(super) fn to<'s>(&'s self, view: CallView<'s>, response: MessageNo) -> &'s [MessageNo] {
        self.0.get(&dialog_seq(view.sip(response))).map_or(&[], Vec::as_slice)
    }

    /// Whether there is one with these tags and this CSeq number.
    pub(super) fn has(&self, call_id: &[u8], from_tag: &[u8], to_tag: &[u8], cseq: u32) -> bool {
        self.0.contains_key(&(call_id, from_tag, to_tag, cseq))
    }

    /// The first of them.
    pub(super) fn first(&self, view: CallView<'_>, response: MessageNo) -> Option<MessageNo> {
        self.to(view, response).first().copied()
    }
}

/// Call-ID and both tags, the lower one first.
type Tags<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The dialogs of a call by their tags, in either order.
pub(super) struct Dialogs<'a>(HashMap<Tags<'a>, &'a Dialog, RandomState>);

impl<'a> Dialogs<'a> {
    /// Of one call.
    pub(super) fn of(view: CallView<'a>) -> Self {
        let entry = |dialog: &'a Dialog| {
            let (a, b) = (&dialog.caller_tag[..], &dialog.callee_tag[..]);
            ((&dialog.call_id[..], a.min(b), a.max(b)), dialog)
        };
        Self(view.call.dialogs.iter().map(entry).collect())
    }

    /// The dialog that this message belongs to.
    pub(super) fn with(&self, message: &Message) -> Option<&'a Dialog> {
        let (a, b) = (message.from_tag(), message.to_tag());
        self.0.get(&(message.call_id(), a.min(b), a.max(b))).copied()
    }
}

/// The requests `Method` of a call that are not copies, with their transactions.
pub(super) fn requests_of(
    view: CallView<'_>,
    method: Method,
) -> impl Iterator<Item = (TransactionNo, &Transaction, MessageNo)> {
    view.transactions()
        .filter(move |(_, t)| t.method == method)
        .filter_map(|(at, t)| t.request.map(|request| (at, t, request)))
}

/// Whether message `no` was cut in the capture, so that nothing may be concluded from what it lacks.
pub(super) fn cut(view: CallView<'_>, no: MessageNo) -> bool {
    view.sip(no).has(Facts::CUT)
}

/// A message that the receiver of `after` owed its sender.
pub(super) fn owed_back(view: CallView<'_>, what: impl Into<String>, after: MessageNo) -> MissingMessage {
    let message = view.call.message(after);
    MissingMessage { what: what.into(), from: message.to, to: message.from, after }
}

/// A message that the sender of `after` owed its receiver.
pub(super) fn owed_on(view: CallView<'_>, what: impl Into<String>, after: MessageNo) -> MissingMessage {
    let message = view.call.message(after);
    MissingMessage { what: what.into(), from: message.from, to: message.to, after }
}

/// Adds the judgement on a missing message: cause, verdict, evidence, and the severity they allow.
/// What was merely not captured harmed nobody; what cannot be proved is no error.
pub(super) fn judged(mut finding: Finding, judgement: &Judgement) -> Finding {
    finding.cause = Some(judgement.cause);
    finding.verdict = judgement.verdict;
    finding.severity = match (judgement.verdict, judgement.cause) {
        (Verdict::Violated, _) => finding.severity,
        (Verdict::Open, Cause::NotCaptured) => Severity::Info,
        (Verdict::Open, _) => finding.severity.min(Severity::Warning),
    };
    if !judgement.evidence.is_empty() {
        finding.detail.push_str(" Why we think so: ");
        finding.detail.push_str(judgement.evidence.trim_end_matches('.'));
        finding.detail.push('.');
    }
    finding
}

/// Whether two messages travelled on the same hop.
pub(super) fn same_hop(view: CallView<'_>, a: MessageNo, b: MessageNo) -> bool {
    hop(view, a) == hop(view, b)
}

/// The hop that message `no` travelled on.
pub(super) fn hop(view: CallView<'_>, no: MessageNo) -> Idx<Hop> {
    view.call.message(no).hop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_any_uri() {
        assert_eq!(host(b"sip:bob@192.0.2.4:5060;lr"), b"192.0.2.4");
        assert_eq!(host(b"sip:192.0.2.4"), b"192.0.2.4");
        assert_eq!(host(b"sips:bob@[2001:db8::1]:5061"), b"2001:db8::1");
    }

    #[test]
    fn a_name_may_be_any_address() {
        let ip = IpAddr::from([192, 0, 2, 4]);
        assert!(may_be(b"biloxi.example.com", ip));
        assert!(may_be(b"192.0.2.4", ip));
        assert!(!may_be(b"192.0.2.5", ip));
    }

    #[test]
    fn spans_read_as_people_say_them() {
        assert_eq!(span(Duration::from_millis(31_504)), "31.5 s");
        assert_eq!(span(Duration::from_secs(32)), "32 s");
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
    }
}
