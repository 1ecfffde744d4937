//! How long a phone rings: I18 too long, I19 not at all before a slow answer.

use super::facts::{self, AT_ONCE, TransactionNo, deepest, heard, span, status, success, time};
use super::{Context, Finding, Meta, Rule, Severity, cancel, late, subject};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Method};
use std::time::Duration;

static I18: Meta = Meta {
    code: "I18",
    name: "rings-too-long",
    severity: Severity::Info,
    title: "A phone rang very long, or longer than the INVITE allowed",
    basis: &["RFC 3261 13.2.1", "RFC 3261 13.3.1", "RFC 3261 16.8"],
    page: include_str!("../../docs/rules/I18-rings-too-long.md"),
};
static I19: Meta = Meta {
    code: "I19",
    name: "no-ringing-indication",
    severity: Severity::Info,
    title: "A slow answer came without any sign of ringing before it",
    basis: &["RFC 3261 13.3.1.1"],
    page: include_str!("../../docs/rules/I19-no-ringing-indication.md"),
};

/// See the module.
pub(super) struct Ringing;

impl Rule for Ringing {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&I18, &I19] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let (long, slow) = (context.knowledge.settings.ringing(), context.knowledge.settings.silence());
        let view = context.view;
        let may = |t: &Transaction| {
            let (Some(first), Some(answer)) = (t.messages.first(), t.final_response) else { return true };
            let took = time(view, answer).since(time(view, *first));
            let limited = t.request.is_none_or(|no| view.sip(no).facts().intersects(Facts::EXPIRES | Facts::CUT));
            limited || took > long || (took > slow && early(view, t).is_none())
        };
        view.call.transactions.iter().any(|t| t.method == Method::Invite && may(t))
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let initial = is_initial(view);
        let mut invites = view.call.transactions.iter().filter(|t| initial(t));
        let (long, slow) = (context.knowledge.settings.ringing(), context.knowledge.settings.silence());
        let brief = view.call.end.since(view.call.start) <= long.min(slow);
        if !invites.any(|t| !brief || t.final_response.is_none()) {
            return;
        }
        let rings = Rings { view, long, cancels: cancel::by_invite(view), ended: late::ended_otherwise(view) };
        for at in deepest(view, |at, t| rings.too_long(at, t).is_some()) {
            findings.extend(rings.too_long(at, view.call.transaction(at)).map(|found| rang(view, at, &found)));
        }
        for at in deepest(view, |at, t| unannounced(view, at, t, slow).is_some()) {
            findings
                .extend(unannounced(view, at, view.call.transaction(at), slow).map(|answer| silent(view, at, answer)));
        }
    }
}

/// The INVITEs that start a call.
fn is_initial(view: CallView<'_>) -> impl Fn(&Transaction) -> bool {
    move |t| t.method == Method::Invite && t.request.is_some_and(|no| view.sip(no).to_tag().is_empty())
}

/// The first provisional response that comes from a phone.
fn early(view: CallView<'_>, t: &Transaction) -> Option<MessageNo> {
    t.provisional?;
    t.messages.iter().copied().find(|no| (101..200).contains(&status(view, *no)))
}

struct Rings<'a> {
    view: CallView<'a>,
    /// What is too long.
    long: Duration,
    cancels: Vec<Option<TransactionNo>>,
    /// INVITEs of which the dialog or an ACK shows that they ended, though the capture lacks how.
    ended: Vec<bool>,
}

/// An INVITE that rang too long.
struct TooLong {
    early: MessageNo,
    /// Since the phone began to ring, or for an INVITE that expired since it was sent.
    lasted: Duration,
    /// What Expires of the INVITE allowed.
    allowed: Option<Duration>,
}

impl Rings<'_> {
    fn too_long(&self, at: TransactionNo, t: &Transaction) -> Option<TooLong> {
        let view = self.view;
        let early = early(view, t).filter(|_| is_initial(view)(t))?;
        let request = t.request?;
        let cancelled = self.cancels[at.at()].and_then(|cancel| view.call.transaction(cancel).request);
        let end = t.final_response.into_iter().chain(cancelled).min();
        let last = end.or(t.messages.last().copied()).map(|no| time(view, no))?;
        let rang = last.since(time(view, early));
        if let Some(allowed) = allowed(view, request)
            && let Some(over) = self.over(at, t, cancelled)
        {
            let lasted = over.since(time(view, request));
            if lasted > allowed + AT_ONCE {
                return Some(TooLong { early, lasted, allowed: Some(allowed) });
            }
        }
        (rang > self.long).then_some(TooLong { early, lasted: rang, allowed: None })
    }

    /// When an INVITE that nobody cancelled, and that did not end as one that expired, was over; for one that
    /// goes on the end of the capture.
    fn over(&self, at: TransactionNo, t: &Transaction, cancelled: Option<MessageNo>) -> Option<Timestamp> {
        let view = self.view;
        match t.final_response {
            _ if cancelled.is_some() => None,
            Some(answer) => (status(view, answer) != 487).then(|| time(view, answer)),
            None if self.ended[at.at()] || t.ack.is_some() || !heard(view, t.connection.reversed()) => None,
            None => view.analysis.last,
        }
    }
}

/// Expires of an INVITE: how long its sender lets it ring.
fn allowed(view: CallView<'_>, request: MessageNo) -> Option<Duration> {
    let value = std::str::from_utf8(view.sip(request).header(HeaderName::Expires)?).ok()?;
    Some(Duration::from_secs(value.trim().parse::<u32>().ok()?.into()))
}

fn rang(view: CallView<'_>, at: TransactionNo, found: &TooLong) -> Finding {
    let t = view.call.transaction(at);
    let callee = facts::sender(view, found.early);
    let lasted = span(found.lasted);
    let summary = match found.allowed {
        Some(allowed) => format!(
            "The INVITE to {callee} may take {} (Expires), but neither CANCEL nor 487 ended it in {lasted}.",
            span(allowed)
        ),
        None => format!("{callee} was ringing for {lasted}."),
    };
    let detail = format!(
        "An INVITE that has not been answered when its Expires is over is ended with 487 (RFC 3261 13.3.1); without Expires a proxy ends it \
         some three minutes after the last provisional response (timer C, 16.8). Queues and announcements legally take longer. \
         Look next whether voicemail or call forwarding should have taken this call, and whether {} gave up unheard.",
        t.connection.src
    );
    Finding::new(&I18, t.request.into_iter().chain([found.early]).chain(t.final_response).collect(), summary, detail)
}

/// The 2xx that came late and without any 101-199 before it.
fn unannounced(view: CallView<'_>, at: TransactionNo, t: &Transaction, longest: Duration) -> Option<MessageNo> {
    let answer = success(view, t).filter(|_| is_initial(view)(t))?;
    let slow = time(view, answer).since(time(view, t.request?)) > longest;
    let acknowledged = || subject::near(view.call, at).any(|other| other.method == Method::Prack);
    (slow && early(view, t).is_none() && !acknowledged()).then_some(answer)
}

fn silent(view: CallView<'_>, at: TransactionNo, answer: MessageNo) -> Finding {
    let t = view.call.transaction(at);
    let (callee, caller) = (facts::sender(view, answer), facts::receiver(view, answer));
    let waited = t.request.map_or(Duration::ZERO, |request| time(view, answer).since(time(view, request)));
    let summary = format!("{callee} answered after {} without telling {caller} that it rings.", span(waited));
    let detail = format!(
        "A phone that does not answer at once usually says 180 Ringing or 183, so that the caller hears something; the standard leaves it free \
         (RFC 3261 13.3.1.1). Here {caller} waited in silence. Look next whether {callee}, or a gateway before it, holds \
         provisional responses back."
    );
    Finding::new(&I19, t.request.into_iter().chain([answer]).collect(), summary, detail)
}
