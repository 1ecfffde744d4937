//! X13: a transfer that was accepted and whose result was never told (RFC 3515).

use super::facts::{self, Dialogs, TIMEOUT, cut, deepest, heard, judged, owed_on, plain, span, success, time};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Cause, Verdict, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Message, Method};
use std::time::Duration;

static X13: Meta = Meta {
    code: "X13",
    name: "transfer-result-missing",
    severity: Severity::Warning,
    title: "A REFER was accepted, but no NOTIFY told what came of it",
    basis: &["RFC 3515 2.4.4", "RFC 3515 2.4.5", "RFC 3515 2.4.7", "RFC 4488"],
    page: include_str!("../../docs/rules/X13-transfer-result-missing.md"),
};

/// How long the new call of a transfer may ring: timer C of its proxies (RFC 3261 16.6 item 11).
const RINGING: Duration = Duration::from_secs(180);

/// Transfers of one call that are judged: each looks at the NOTIFYs of its dialog.
const JUDGED: usize = 64;

/// See the module.
pub(super) struct TransferResult;

impl Rule for TransferResult {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&X13] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Refer])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let accepted = deepest(view, |_, t| t.method == Method::Refer && success(view, t).is_some());
        for at in accepted.into_iter().take(JUDGED) {
            findings.extend(finding(view, view.call.transaction(at), context.dialogs()));
        }
    }
}

fn finding(view: CallView<'_>, t: &Transaction, dialogs: &Dialogs<'_>) -> Option<Finding> {
    let (accepted, request) = (success(view, t)?, t.request?);
    let quiet = [accepted, request].iter().any(|no| unsubscribed(view.sip(*no)) || cut(view, *no));
    if quiet || !heard(view, t.connection.reversed()) {
        return None;
    }
    let dialog = dialogs.with(view.sip(accepted))?;
    let told: Vec<MessageNo> = dialog
        .transactions
        .iter()
        .map(|at| view.call.transaction(*at))
        .filter(|t| t.method == Method::Notify)
        .filter_map(|t| t.request.filter(|no| *no > request && is_about_refer(view.sip(*no))))
        .collect();
    match told.last() {
        None => none(view, t, request, accepted),
        Some(last) => unfinished(view, &told, *last, accepted, dialog.bye.is_some()),
    }
}

/// Event: refer; a NOTIFY without Event (rule X12) may be about anything.
fn is_about_refer(notify: &Message) -> bool {
    notify.event().is_none_or(|event| event.package.eq_ignore_ascii_case(b"refer"))
}

/// Whether the two agreed on no NOTIFY: Refer-Sub: false (RFC 4488), or one of the options of RFC 7614.
fn unsubscribed(message: &Message) -> bool {
    let is_off = |value: &[u8]| value.trim_ascii().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"false"));
    let headers = message.values(HeaderName::ReferSub).any(is_off);
    let options = message.values(HeaderName::Require).flat_map(|value| value.split(|byte| *byte == b','));
    headers || options.map(<[u8]>::trim_ascii).any(|option| option == b"nosub" || option == b"explicitsub")
}

fn none(view: CallView<'_>, t: &Transaction, request: MessageNo, accepted: MessageNo) -> Option<Finding> {
    if view.capture_after(time(view, accepted)) < TIMEOUT {
        return None;
    }
    let (agent, referrer) = (facts::sender(view, accepted), facts::receiver(view, accepted));
    let target = view.sip(request).header(HeaderName::ReferTo).unwrap_or_default();
    let summary = format!("{agent} accepted the REFER of {referrer}, but sent no NOTIFY.");
    let detail = format!(
        "{agent} was asked to call {} and agreed. An accepted REFER is a subscription to its result: a NOTIFY follows at once, and a last one \
         tells how the call ended (RFC 3515 2.4.4). Without them {referrer} does not know whether the transfer worked, and often keeps the \
         old call. Look next whether {agent} can reach the Contact of {referrer}, and whether it called the new target at all.",
        plain(target)
    );
    let finding =
        Finding::new(&X13, vec![accepted, request], summary, detail).missing(owed_on(view, "NOTIFY", accepted));
    let finding = judged(finding, &judge(view, &Absent::FollowUp { after: request }));
    let known = facts::on_route(view, t) && finding.verdict == Verdict::Violated;
    Some(if known { finding } else { finding.open().severity(Severity::Info) })
}

/// NOTIFYs came, but not the last one. After a BYE many phones stop telling.
fn unfinished(
    view: CallView<'_>,
    told: &[MessageNo],
    last: MessageNo,
    accepted: MessageNo,
    hung_up: bool,
) -> Option<Finding> {
    let state = |no: &MessageNo| view.sip(*no).subscription_state();
    let ended = told.iter().any(|no| state(no).is_none_or(|state| state.is_terminated()));
    let patience =
        state(&last).and_then(|state| state.expires).map_or(RINGING, |seconds| Duration::from_secs(seconds.into()));
    let waited = view.capture_after(time(view, last));
    if ended || waited < patience.max(TIMEOUT) {
        return None;
    }
    let said = view.sip(last).fragment().and_then(|fragment| fragment.status);
    let decided = said.is_some_and(|status| status >= 200);
    let (agent, referrer) = (facts::sender(view, last), facts::receiver(view, last));
    let what = match said {
        Some(status) => format!("its last NOTIFY said {status}"),
        None => "no NOTIFY ended the subscription".to_owned(),
    };
    let summary = format!("{agent} told {referrer} how its transfer began, but not that it is over: {what}.");
    let detail = format!(
        "The last NOTIFY for a REFER has Subscription-State: terminated and the final status of the new call (RFC 3515 2.4.5, 2.4.7). The \
         capture goes on for {} after the last one that is seen. Look next what became of the new call, and whether later NOTIFYs went \
         another way.",
        span(waited)
    );
    let finding = Finding::new(&X13, vec![last, accepted], summary, detail).missing(owed_on(view, "NOTIFY", last));
    let harmless = decided || hung_up;
    Some(finding.open().cause(Cause::Undetermined).severity(if harmless { Severity::Info } else { Severity::Warning }))
}
