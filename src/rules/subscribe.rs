//! Subscriptions (RFC 6665): X11, accepted and never notified; X12, a NOTIFY refused or incomplete.

use super::facts::{
    self, Dialogs, TIMEOUT, deepest, heard, judged, on_route, owed_on, plain, requests_of, status, success, time,
};
use super::{Context, Finding, Meta, Rule, Severity, subject};
use crate::analysis::CallView;
use crate::flow::{Absent, Verdict, judge};
use crate::session::{MessageNo, Transaction};
use crate::sip::{HeaderName, Method};

static X11: Meta = Meta {
    code: "X11",
    name: "notify-missing",
    severity: Severity::Error,
    title: "A SUBSCRIBE was accepted, but no NOTIFY followed",
    basis: &["RFC 6665 4.2.1", "RFC 3265 3.1.6.2"],
    page: include_str!("../../docs/rules/X11-notify-missing.md"),
};

static X12: Meta = Meta {
    code: "X12",
    name: "notify-refused",
    severity: Severity::Warning,
    title: "A NOTIFY was refused, or lacks Event or Subscription-State",
    basis: &["RFC 6665 4.1.3", "RFC 6665 8.2", "RFC 3265 3.2.2", "RFC 3265 3.2.4"],
    page: include_str!("../../docs/rules/X12-notify-refused.md"),
};

/// See the module.
pub(super) struct Subscriptions;

impl Rule for Subscriptions {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&X11, &X12] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().of_method(&[Method::Subscribe, Method::Notify])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let dialogs = context.dialogs();
        let initial = |t: &Transaction| t.request.is_some_and(|no| view.sip(no).to_tag().is_empty());
        for at in deepest(view, |_, t| t.method == Method::Subscribe && initial(t) && success(view, t).is_some()) {
            findings.extend(finding(view, view.call.transaction(at), dialogs));
        }
        // A notifier that does wrong does so each time: the first one tells it.
        let notifies = || requests_of(view, Method::Notify).filter(|(_, t, _)| t.upstream.is_none());
        findings.extend(notifies().find_map(|(_, t, notify)| refused(view, t, notify, dialogs)));
        findings.extend(notifies().find_map(|(_, _, notify)| incomplete(view, notify)));
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

/// X12: 481 or 489. For a subscription that the capture saw set up the refusal proves that one side has
/// lost it; else the SUBSCRIBE may be older than the capture, or there never was one.
fn refused(view: CallView<'_>, t: &Transaction, notify: MessageNo, dialogs: &Dialogs<'_>) -> Option<Finding> {
    let answer = t.final_response.filter(|no| matches!(status(view, *no), 481 | 489))?;
    let message = view.sip(notify);
    let known = dialogs.with(message).is_some_and(|dialog| {
        let within = dialog.created_by.iter().chain(&dialog.transactions).map(|at| view.call.transaction(*at));
        within.filter(|t| matches!(t.method, Method::Subscribe | Method::Refer)).any(|t| success(view, t).is_some())
    });
    let last = message.subscription_state().is_some_and(|state| state.is_terminated());
    let (notifier, subscriber) = (facts::sender(view, notify), facts::receiver(view, notify));
    let event =
        message.event().map_or_else(|| "no event".to_owned(), |event| format!("event {}", plain(event.package)));
    let summary =
        format!("{subscriber} refused the NOTIFY of {notifier} ({event}) with {}.", facts::name(view, answer));
    let why = match (known, message.to_tag().is_empty()) {
        (true, _) => "The capture holds the request that set the subscription up, so one side has lost it since.",
        (false, true) => {
            "The NOTIFY has no To tag and no SUBSCRIBE for it is in the capture: it was sent unasked, as some servers do for message waiting."
        }
        (false, false) => "The SUBSCRIBE is not in the capture; it may be older.",
    };
    let detail = format!(
        "A NOTIFY is taken by who subscribed: 481 says that no such subscription is known, 489 that the event package is not (RFC 6665 \
         4.1.3). {why} The notifier drops the subscription then. Look next whether {subscriber} was restarted, and at the events that \
         {notifier} is set to send."
    );
    let finding = Finding::new(&X12, vec![notify, answer], summary, detail);
    Some(match (known, last) {
        (true, false) => finding,
        // The last one of a subscription that its subscriber has ended already harms nobody.
        (true, true) => finding.severity(Severity::Info),
        (false, _) => finding.open(),
    })
}

/// X12: a subscriber that goes by the standard cannot use it. Without a dialog it is a mere keep-alive.
fn incomplete(view: CallView<'_>, notify: MessageNo) -> Option<Finding> {
    let message = view.sip(notify);
    let lacks = [HeaderName::Event, HeaderName::SubscriptionState];
    let lacks = lacks.into_iter().filter(|name| message.header(*name).is_none()).map(|name| name.name().to_owned());
    let lacks: Vec<String> = lacks.collect();
    if lacks.is_empty() || facts::cut(view, notify) {
        return None;
    }
    let notifier = facts::sender(view, notify);
    let summary = format!("{notifier} sent a NOTIFY without {}.", subject::list(&lacks));
    let detail = format!(
        "A NOTIFY names its event package in Event and says in Subscription-State whether the subscription is active, pending or terminated \
         (RFC 6665 8.2); without them the subscriber cannot tell what it is about and how long it lasts. Look next at the software of \
         {notifier}."
    );
    let severity = if message.to_tag().is_empty() { Severity::Info } else { Severity::Warning };
    Some(Finding::new(&X12, vec![notify], summary, detail).severity(severity))
}
