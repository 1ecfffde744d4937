//! X11: a subscription that was accepted and never notified (RFC 6665).

use super::facts::{self, Dialogs, TIMEOUT, deepest, heard, judged, on_route, owed_on, success, time};
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Verdict, judge};
use crate::session::Transaction;
use crate::sip::Method;

static X11: Meta = Meta {
    code: "X11",
    name: "notify-missing",
    severity: Severity::Error,
    title: "A SUBSCRIBE was accepted, but no NOTIFY followed",
    basis: &["RFC 6665 4.2.1", "RFC 3265 3.1.6.2"],
    page: include_str!("../../docs/rules/X11-notify-missing.md"),
};

/// See the module.
pub(super) struct NotifyMissing;

impl Rule for NotifyMissing {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&X11] }
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let dialogs = context.dialogs();
        let initial = |t: &Transaction| t.request.is_some_and(|no| view.sip(no).to_tag().is_empty());
        for at in deepest(view, |_, t| t.method == Method::Subscribe && initial(t) && success(view, t).is_some()) {
            findings.extend(finding(view, view.call.transaction(at), dialogs));
        }
    }
}

fn finding(view: CallView<'_>, t: &Transaction, dialogs: &Dialogs<'_>) -> Option<Finding> {
    let accepted = success(view, t)?;
    let dialog = dialogs.with(view.sip(accepted))?;
    let left = view.capture_after(time(view, accepted));
    if dialog.notified.is_some() || left < TIMEOUT || !on_route(view, t) || !heard(view, t.connection.reversed()) {
        return None;
    }
    let (server, client) = (facts::sender(view, accepted), facts::receiver(view, accepted));
    let summary = format!("{server} accepted the SUBSCRIBE of {client}, but sent no NOTIFY.");
    let detail = format!(
        "Each accepted SUBSCRIBE is followed at once by a NOTIFY with the present state (RFC 6665 4.2.1); without it {client} shows nothing, \
         and gives the subscription up after 64*T1 = 32 s. Look next whether {server} can reach the Contact of {client}, and whether the \
         NOTIFY goes through another host that the capture does not see."
    );
    let judgement = judge(view, &Absent::FollowUp { after: t.request? });
    let finding = Finding::new(&X11, vec![accepted], summary, detail).missing(owed_on(view, "NOTIFY", accepted));
    let finding = judged(finding, &judgement);
    Some(if finding.verdict == Verdict::Open { finding.severity(Severity::Info) } else { finding })
}
