//! Session timers (RFC 4028): X07 no refresh, X08 no BYE after the end, X09 a 422 that was not heeded.

use super::facts::{self, TIMEOUT, TransactionNo, cut, final_status, heard, judged, name, owed_on, receiver, sender};
use super::facts::{Dialogs, requests_of, sendings, span, success, time};
use super::{Context, Finding, Meta, MissingMessage, Rule, Severity};
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::call::Kind;
use crate::flow::{Absent, Cause, judge};
use crate::session::{Dialog, MessageNo, Transaction};
use crate::sip::{Facts, Method, Refresher};
use std::collections::HashMap;
use std::time::Duration;

static NO_REFRESH: Meta = Meta {
    code: "X07",
    name: "session-not-refreshed",
    severity: Severity::Error,
    title: "A session with a timer was not refreshed in time",
    basis: &["RFC 4028 7.2", "RFC 4028 9", "RFC 4028 10"],
    page: include_str!("../../docs/rules/X07-session-not-refreshed.md"),
};
static NO_BYE: Meta = Meta {
    code: "X08",
    name: "expired-session-not-ended",
    severity: Severity::Warning,
    title: "A session ran out and nobody sent BYE",
    basis: &["RFC 4028 10"],
    page: include_str!("../../docs/rules/X08-expired-session-not-ended.md"),
};
static TOO_SMALL: Meta = Meta {
    code: "X09",
    name: "interval-too-small-not-repaired",
    severity: Severity::Warning,
    title: "422 (session interval too small) was not answered with a longer interval, or did not name one",
    basis: &["RFC 4028 6", "RFC 4028 7.3"],
    page: include_str!("../../docs/rules/X09-interval-too-small-not-repaired.md"),
};

/// Clocks of two hosts, and the way to the tap, differ by less.
const SLACK: Duration = Duration::from_secs(2);
/// Requests after a 422 among which the repaired one is searched.
const LOOKED_AT: usize = 64;

/// See the module.
pub(super) struct SessionTimer;

impl Rule for SessionTimer {
    fn metas(&self) -> &'static [&'static Meta] {
        const { &[&NO_REFRESH, &NO_BYE, &TOO_SMALL] }
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        let timed = || context.outline().has(Facts::SESSION_EXPIRES) && may_have_run_out(context.view);
        context.view.call.kind == Kind::Call && (context.outline().answered(&[422]) || timed())
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        if view.call.kind != Kind::Call {
            return;
        }
        let refreshes = |t: &Transaction| matches!(t.method, Method::Invite | Method::Update);
        let timed = |no: MessageNo| view.sip(no).session_expires().is_some();
        if view.transactions().any(|(_, t)| refreshes(t) && success(view, t).is_some_and(timed)) {
            for (dialog, within) in by_dialog(view, context.dialogs()) {
                if let Some(session) = Session::of(view, dialog, &within) {
                    findings.extend(session.not_refreshed(view));
                    findings.extend(session.not_ended(view));
                }
            }
        }
        for method in [Method::Invite, Method::Update] {
            for (at, t, request) in requests_of(view, method).filter(|(_, t, _)| t.upstream.is_none()) {
                if final_status(view, t) == Some(422) {
                    findings.extend(too_small(view, at, t, request));
                }
            }
        }
    }
}

/// Whether the capture shows any time at which a session may have been given up: from two thirds of its interval on
/// (RFC 4028 10).
fn may_have_run_out(view: CallView<'_>) -> bool {
    let end = view.call.end.max(view.call.watched_until).after(2 * SLACK);
    let due = |no: MessageNo| {
        let timer = view.sip(no).session_expires();
        timer.is_some_and(|timer| time(view, no).after(Duration::from_secs(timer.seconds.into()) * 2 / 3) <= end)
    };
    let is_refresh = |t: &Transaction| matches!(t.method, Method::Invite | Method::Update);
    let set = view.call.transactions.iter().filter(|t| is_refresh(t)).filter_map(|t| success(view, t));
    let by_other = |no: &MessageNo| {
        let t = view.call.message(*no).transaction.map(|at| view.call.transaction(at));
        t.is_none_or(|t| !is_refresh(t) || success(view, t) != Some(*no))
    };
    set.chain(view.call.dialogs.iter().filter_map(|dialog| dialog.confirmed).filter(by_other)).any(due)
}

/// The dialogs of a call, in order, with their transactions; also those whose request the capture lacks.
fn by_dialog<'a>(view: CallView<'a>, dialogs: &Dialogs<'a>) -> Vec<(&'a Dialog, Vec<&'a Transaction>)> {
    let mut all: Vec<(&Dialog, Vec<&Transaction>)> =
        view.call.dialogs.iter().map(|dialog| (dialog, Vec::new())).collect();
    let at: HashMap<*const Dialog, usize> =
        all.iter().enumerate().map(|(at, (dialog, _))| (std::ptr::from_ref(*dialog), at)).collect();
    for (_, t) in view.transactions() {
        let named = t.final_response.or(t.request).and_then(|no| dialogs.with(view.sip(no)));
        if let Some(at) = named.and_then(|dialog| at.get(&std::ptr::from_ref(dialog))) {
            all[*at].1.push(t);
        }
    }
    all
}

/// Whether a refresh without a 2xx had none: it was refused, or sent again in vain. What is sent once over
/// UDP was answered, and the capture lacks the answer; over a stream nothing can be told.
fn surely_failed(view: CallView<'_>, t: &Transaction) -> bool {
    final_status(view, t).is_some() || t.request.is_some_and(|no| sendings(view, no).len() > 1)
}

/// A session as its last refresh left it.
struct Session<'a> {
    dialog: &'a Dialog,
    /// The 2xx that set the timer.
    set: MessageNo,
    interval: Duration,
    expiry: Timestamp,
    /// Tag of the side that refreshes; unknown when the 2xx does not say.
    refresher: Option<&'a [u8]>,
    /// The refresh that was tried after that, and failed.
    failed: Option<MessageNo>,
    /// The first BYE.
    bye: Option<MessageNo>,
    /// The first request of the dialog after the timer ran out, BYE included.
    later: Option<MessageNo>,
    /// Whether a 481 or 408 told a side that the other one had lost the session.
    lost: bool,
}

impl<'a> Session<'a> {
    /// Nothing where no timer runs, where its last refresh cannot be told, or where the tap may not be on the
    /// way of the refreshes: then the ACK does not pass it either.
    fn of(view: CallView<'a>, dialog: &'a Dialog, within: &[&'a Transaction]) -> Option<Self> {
        dialog.ack?;
        let of_method = |methods: &'static [Method]| within.iter().filter(move |t| methods.contains(&t.method));
        let refreshes = || of_method(&[Method::Invite, Method::Update]);
        let set = refreshes().filter_map(|t| success(view, t)).chain(dialog.confirmed).max()?;
        let message = view.sip(set);
        let timer = message.session_expires().filter(|timer| timer.seconds > 0)?;
        let way = view.seen(set).connection;
        if !heard(view, way) || !heard(view, way.reversed()) {
            return None;
        }
        let failed = refreshes().find(|t| t.request.is_some_and(|no| no > set));
        let acknowledged = |t: &Transaction| of_method(&[Method::Ack]).any(|ack| ack.cseq == t.cseq);
        if failed.is_some_and(|t| acknowledged(t) || !surely_failed(view, t)) {
            return None;
        }
        let interval = Duration::from_secs(timer.seconds.into());
        let expiry = time(view, set).after(interval);
        let refresher = timer.refresher.map(|side| match side {
            Refresher::Uac => message.from_tag(),
            Refresher::Uas => message.to_tag(),
        });
        let bye = of_method(&[Method::Bye]).filter_map(|t| t.messages.first().copied()).min();
        let after = |no: &MessageNo| time(view, *no) > expiry.after(SLACK);
        let later = within.iter().filter_map(|t| t.request).find(after);
        let lost = within.iter().any(|t| matches!(final_status(view, t), Some(408 | 481)));
        let failed = failed.and_then(|t| t.request);
        Some(Self { dialog, set, interval, expiry, refresher, failed, bye, later, lost })
    }

    /// When a side that got no refresh hangs up (RFC 4028 10).
    fn given_up(&self) -> Timestamp {
        let before = (self.interval / 3).min(TIMEOUT);
        Timestamp::from_nanos(self.expiry - Timestamp::from_nanos(before.as_nanos() as i64))
    }

    fn is_over(&self, view: CallView<'_>) -> bool {
        view.capture_after(self.expiry) >= TIMEOUT
    }

    /// X07.
    fn not_refreshed(&self, view: CallView<'_>) -> Option<Finding> {
        let ended = self.bye.filter(|bye| time(view, *bye) <= self.expiry.after(SLACK));
        let (words, proved) = match ended {
            Some(bye) if self.cut_off(view, bye) => (
                format!(
                    "{} hung up {} after the last refresh, as it should when none comes",
                    sender(view, bye),
                    span(time(view, bye).since(time(view, self.set)))
                ),
                self.failed.is_some(),
            ),
            Some(_) => return None,
            None if self.is_over(view) || self.later.is_some() => (
                format!("the session ran out after {}", span(self.interval)),
                self.failed.is_some() || self.later.is_some(),
            ),
            None => return None,
        };
        let tried = match self.failed {
            Some(no) => format!(
                " The {} in frame {} that should have refreshed it was not accepted.",
                name(view, no),
                view.frame(no)
            ),
            None => " No re-INVITE or UPDATE followed.".to_owned(),
        };
        let who = self.refresher.map_or("one side", |tag| self.side(tag));
        let summary = format!("The session was not refreshed: {words}.");
        let detail = format!(
            "The {} in frame {} sets a session timer of {}; {} should send a re-INVITE or UPDATE at half of that (RFC 4028 10).{tried} Calls \
             that end after the same time again and again have this cause. Look next whether a firewall, NAT or proxy between the two \
             forgets the call before the refresh, and whether the refresher supports UPDATE or re-INVITE.",
            name(view, self.set),
            view.frame(self.set),
            span(self.interval),
            who,
        );
        let messages = [self.set].into_iter().chain(self.failed).chain(self.bye).collect();
        let finding = Finding::new(&NO_REFRESH, messages, summary, detail);
        let finding = finding.missing(self.owed(view, "re-INVITE or UPDATE", self.refresher));
        Some(if proved {
            finding.cause(Cause::NotSent)
        } else {
            finding.open().cause(Cause::Undetermined).severity(Severity::Warning)
        })
    }

    /// Whether the side that waits for refreshes hung up at just the time when it gives up.
    fn cut_off(&self, view: CallView<'_>, bye: MessageNo) -> bool {
        let at = time(view, bye);
        let near = |due: Timestamp| at.since(due).max(due.since(at)) <= SLACK;
        let waits = self.refresher.is_some_and(|tag| view.sip(bye).from_tag() != tag);
        waits && (near(self.given_up()) || near(self.expiry))
    }

    /// X08.
    fn not_ended(&self, view: CallView<'_>) -> Option<Finding> {
        let in_time = self.bye.is_some_and(|bye| time(view, bye) <= self.expiry.after(SLACK));
        if in_time || self.lost || !(self.is_over(view) || self.later.is_some()) {
            return None;
        }
        let summary = format!(
            "The session ran out {} after its last refresh, and neither side sent BYE then.",
            span(self.interval)
        );
        let later = match self.later {
            Some(no) => {
                format!("The call went on: {} sent {} in frame {}.", sender(view, no), name(view, no), view.frame(no))
            }
            None => "Nothing more is seen of the call.".to_owned(),
        };
        let detail = format!(
            "The {} in frame {} sets a session timer. The side that gets no refresh sends BYE 32 s, or a third of the interval, before it \
             runs out (RFC 4028 10), so that proxies and billing may forget the call. {later} Look next whether the side that waits for \
             refreshes supports session timers, and whether the call ended on a way that is not in the capture.",
            name(view, self.set),
            view.frame(self.set)
        );
        let waits = self.refresher.map(|tag| {
            if tag == self.dialog.caller_tag { &self.dialog.callee_tag[..] } else { &self.dialog.caller_tag[..] }
        });
        let messages = [self.set].into_iter().chain(self.later).collect();
        let finding = Finding::new(&NO_BYE, messages, summary, detail).missing(self.owed(view, "BYE", waits));
        Some(if self.later.is_some() {
            finding.cause(Cause::NotSent)
        } else {
            finding.open().cause(Cause::Undetermined)
        })
    }

    fn side(&self, tag: &[u8]) -> &'static str {
        if tag == self.dialog.caller_tag { "the calling side" } else { "the called side" }
    }

    /// What the side with this tag (else the called one) owed the other after the 2xx.
    fn owed(&self, view: CallView<'_>, what: &str, tag: Option<&[u8]>) -> MissingMessage {
        let asked = tag.is_some_and(|tag| tag == view.sip(self.set).from_tag());
        if asked { facts::owed_back(view, what, self.set) } else { owed_on(view, what, self.set) }
    }
}

/// X09.
fn too_small(view: CallView<'_>, at: TransactionNo, t: &Transaction, request: MessageNo) -> Option<Finding> {
    let answer = t.final_response?;
    let (client, server) = (receiver(view, answer), sender(view, answer));
    let Some(least) = view.sip(answer).min_se() else {
        if cut(view, answer) {
            return None;
        }
        let summary = format!("{server} refused a session interval as too small without saying how long it must be.");
        let detail = format!(
            "A 422 carries Min-SE, the shortest interval that the server takes (RFC 4028 6); without it {client} can only guess. Look next \
             at the software of {server}."
        );
        return Some(Finding::new(&TOO_SMALL, vec![answer, request], summary, detail));
    };
    let asked = |no: MessageNo| view.sip(no).session_expires().map(|timer| timer.seconds);
    let later = view.call.transactions.iter().skip(at.at() + 1).take(LOOKED_AT);
    let later = later.filter(|t2| t2.method == t.method && t2.connection.src.ip == t.connection.src.ip);
    let later: Vec<&Transaction> = later.collect();
    let retries: Vec<MessageNo> = later.iter().filter_map(|t| t.request).collect();
    // A response to a later request shows that there was one, whatever it asked for.
    if retries.len() < later.len() {
        return None;
    }
    if retries.iter().any(|no| asked(*no).is_none_or(|seconds| seconds >= least)) {
        return None;
    }
    let wanted = asked(request).map_or_else(|| "no interval".to_owned(), |seconds| format!("{seconds} s"));
    let again = if retries.is_empty() { "did not try again" } else { "asked for too little again" };
    let summary =
        format!("{server} wants a session interval of at least {least} s; {client} asked for {wanted} and {again}.");
    let detail = format!(
        "After a 422 the client sends its request again with a Session-Expires of at least Min-SE (RFC 4028 7.3). Set a longer session \
         interval in {client}, or allow a shorter one at {server}."
    );
    let messages = [answer, request].into_iter().chain(retries.first().copied()).collect();
    let finding = Finding::new(&TOO_SMALL, messages, summary, detail);
    if !retries.is_empty() {
        return Some(finding);
    }
    let what = format!("{} with a longer interval", name(view, request));
    Some(judged(finding.missing(owed_on(view, what, request)), &judge(view, &Absent::FollowUp { after: answer })))
}
