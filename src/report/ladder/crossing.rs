//! Messages that were under way at the same time. A capture knows one time of each message; that two of them
//! crossed shows in what they say: nobody sends the second who has received the first.

use super::Arrow;
use crate::analysis::CallView;
use crate::report::style::Paint;
use crate::session::MessageNo;
use crate::sip::{Facts, Method};
use std::collections::HashMap;

/// Messages of one hop that are remembered.
const REMEMBERED: usize = 8;
/// Arrows between two that crossed; further apart nobody looks for the crossing.
const NEAR: usize = 3;

/// A message that the other side may not have had when it sent its own.
struct Sent {
    row: usize,
    from: usize,
    method: Method,
    status: Option<u16>,
    cseq: Option<u32>,
    offers: bool,
    within_dialog: bool,
}

/// Marks the arrows among `arrows`, which stand in the order of the ladder, that crossed.
pub(super) fn mark(view: CallView<'_>, arrows: &mut [Arrow]) {
    let mut hops: HashMap<(usize, Vec<u8>), Vec<Sent>> = HashMap::new();
    let mut pairs = Vec::new();
    for (row, arrow) in arrows.iter().enumerate() {
        let Some(number) = arrow.message.filter(|_| arrow.from != arrow.to) else { continue };
        let no = MessageNo::new(number - 1);
        let message = view.sip(no);
        let sent = Sent {
            row,
            from: arrow.from,
            method: message.cseq_method(),
            status: message.status(),
            cseq: message.cseq_number(),
            offers: message.is_request() && message.has(Facts::SDP),
            within_dialog: !message.to_tag().is_empty(),
        };
        if message.method() == Method::Ack && message.is_request() {
            continue;
        }
        let hop = hops.entry((view.call.message(no).hop.at(), message.call_id().to_vec())).or_default();
        if let Some(earlier) = hop.iter().find(|earlier| row - earlier.row <= NEAR && crossed(earlier, &sent)) {
            pairs.push((earlier.row, row));
        }
        if sent.status.is_some_and(|status| status >= 200) {
            // Answered: whoever sent it knows the request.
            hop.retain(|earlier| {
                earlier.status.is_some()
                    || earlier.from == sent.from
                    || (earlier.method, earlier.cseq) != (sent.method, sent.cseq)
            });
        }
        if sent.status.is_none_or(|status| status >= 200) {
            if hop.len() == REMEMBERED {
                hop.remove(0);
            }
            hop.push(sent);
        }
    }
    for (one, other) in pairs {
        for (this, that) in [(one, other), (other, one)] {
            let frame = arrows[that].frame.map_or_else(String::new, |frame| format!(" of frame {frame}"));
            let text = format!("crossed {}{frame} on the way", arrows[that].label);
            arrows[this].crosses = Some(that);
            arrows[this].remark(Paint::Dim, text);
        }
    }
}

/// Whether the sender of `later` cannot have received `earlier`.
fn crossed(earlier: &Sent, later: &Sent) -> bool {
    if earlier.from == later.from {
        return false;
    }
    let same_request = earlier.cseq == later.cseq;
    let ends_invite = |sent: &Sent| sent.method == Method::Invite && sent.status.is_some_and(|status| status >= 200);
    match (earlier.status, later.status) {
        // Of a cancelled INVITE the answer is 487 (RFC 3261 9.2), unless it was sent before the CANCEL came.
        (None, Some(status)) => earlier.method == Method::Cancel && same_request && ends_invite(later) && status != 487,
        // There is nothing to cancel after a final response (9.1).
        (Some(_), None) => later.method == Method::Cancel && same_request && ends_invite(earlier),
        // Nobody goes on with a session that was ended, or offers while an offer is open (RFC 3264 4).
        (None, None) if earlier.method == Method::Bye => {
            matches!(later.method, Method::Bye | Method::Invite | Method::Update)
        }
        (None, None) => earlier.within_dialog && earlier.offers && later.offers,
        (Some(_), Some(_)) => false,
    }
}
