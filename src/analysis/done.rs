//! What of a call that goes on for weeks is done with: a phone registers again and again under one Call-ID (RFC 3261 10.2.4).
//!
//! A call leaves memory when it is over. What is refreshed is never over, so its exchanges leave one by one; what stays
//! begins as it would in a capture that was started later.

use super::CallView;
use crate::call::Kind;
use crate::session::Transaction;
use crate::sip::Method;
use std::time::Duration;

/// Messages of which the older ones may be done with: when nobody sends any more for now, and when somebody does.
const MANY: [usize; 2] = [8, 64];
/// The last ones always stay.
const LAST: [usize; 2] = [2, 16];
/// More than these and it goes on without any success: then any exchange may be the last that is done with.
const ENDLESS: usize = 200;

/// How many messages of a call, from the first one, are done with. Those of INVITE belong together to the end; the last
/// exchange that was accepted stays, as what follows is judged by it. `pause`: how long it must be silent until nothing is
/// repeated.
pub fn done(view: CallView<'_>, is_settled: bool, pause: Duration) -> usize {
    let call = view.call;
    let (many, last) = if is_settled { (MANY[0], LAST[0]) } else { (MANY[1], LAST[1]) };
    let count = call.messages.len();
    if call.kind == Kind::Call || count < many {
        return 0;
    }
    let begins_with = |transaction: &Transaction| call.kind.method().is_none_or(|method| transaction.method == method);
    let (mut done, mut next, mut behind, mut waits) = (0, 0, 0, Vec::<&Transaction>::new());
    for transaction in &call.transactions {
        let (Some(first), Some(end)) = (transaction.messages.first(), transaction.messages.last()) else {
            continue;
        };
        if first.at() > count - last {
            break;
        }
        if first.at() >= behind && begins_with(transaction) && transaction.request == Some(*first) {
            let since = |no| view.seen(*first).time.since(view.seen(no).time);
            waits.retain(|other| other.messages.last().is_some_and(|end| since(*end) < pause));
            if waits.is_empty() {
                next = first.at();
            }
            if count >= ENDLESS {
                done = first.at();
            }
        }
        behind = behind.max(end.at() + 1);
        // A challenge waits for its answer, which is a transaction of its own.
        let status = transaction.final_response.and_then(|no| view.sip(no).status());
        let is_challenge = |status| matches!(status, 401 | 407);
        if matches!(status, Some(200..300)) && begins_with(transaction) {
            done = done.max(next);
        }
        if status.is_some_and(|status| !is_challenge(status)) {
            waits.clear();
        } else if transaction.method != Method::Ack {
            waits.push(transaction);
        }
    }
    done
}
