//! Outcomes worth telling: E01 and E02.

use super::facts::{TransactionNo, final_status, plain, requests_of, sender, sendings, span, success, time};
use super::status_words::words;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::Cause;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Facts, HeaderName, Message, Method};
use std::time::Duration;

/// E01.
static REFUSED: Meta = Meta {
    code: "E01",
    name: "request-refused",
    severity: Severity::Warning,
    title: "A call or request was refused; the status in plain words, with likely cause and next step",
    basis: &["RFC 3261 21"],
    page: include_str!("../../docs/rules/E01-request-refused.md"),
};

/// E02.
static SLOW: Meta = Meta {
    code: "E02",
    name: "slow-set-up",
    severity: Severity::Info,
    title: "It took long until the caller heard ringing or an answer",
    basis: &["RFC 6076 4.3"],
    page: include_str!("../../docs/rules/E02-slow-set-up.md"),
};

/// Later requests among which a successful retry is searched.
const LOOKED_AT: usize = 64;

/// Judges how requests ended.
pub(super) struct Outcomes;

impl Rule for Outcomes {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 2] = [&REFUSED, &SLOW];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().worst() >= 400 || context.outline().of_method(&[Method::Invite])
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let view = context.view;
        let mut told: Vec<(Method, u16)> = Vec::new();
        for (at, transaction) in view.transactions() {
            let Some(status) = final_status(view, transaction).filter(|status| *status >= 400) else {
                continue;
            };
            let key = (transaction.method, status);
            if !told.contains(&key) && is_worth_telling(view, at, transaction, status) {
                told.push(key);
                findings.extend(refused(view, at, transaction, status));
            }
        }
        findings.extend(slow(view, context.knowledge.settings.set_up()));
    }
}

/// Whether no other rule, and nothing ordinary, explains this refusal.
fn is_worth_telling(view: CallView<'_>, at: TransactionNo, transaction: &Transaction, status: u16) -> bool {
    let Some(request) = transaction.request else {
        return false;
    };
    let message = view.sip(request);
    let in_dialog = !message.to_tag().is_empty();
    let ordinary = match status {
        401 | 407 | 486 | 487 | 600 | 603 | 480 | 491 => true,
        482 | 483 => true,                                     // P05, P06
        422 => true,                                           // X09
        423 => transaction.method == Method::Register,         // R02
        481 => in_dialog || transaction.method == Method::Bye, // B02, B04
        403 => with_credentials(message),                      // A14
        408 => rang(view, transaction),
        500..600 => unacknowledged(view, transaction), // X01
        _ => false,
    };
    let others = match transaction.method {
        Method::Ack | Method::Cancel | Method::Prack => true, // I10, C07, X02
        Method::Options => !in_dialog,                        // O02
        Method::Bye => in_dialog,                             // B02
        Method::Notify => true,                               // X12
        _ => false,
    };
    !ordinary && !others && transaction.upstream.is_none() && !forked(view, at, transaction)
}

fn with_credentials(message: &Message) -> bool {
    message.credentials().any(|c| !c.response.is_empty())
}

/// A reliable provisional response went before and was never acknowledged: the server has to give up
/// with a 5xx (RFC 3262 3).
fn unacknowledged(view: CallView<'_>, transaction: &Transaction) -> bool {
    let reliable = |no: &MessageNo| view.sip(*no).has(Facts::RSEQ);
    transaction.messages.iter().any(reliable) && !view.call.transactions.iter().any(|t| t.method == Method::Prack)
}

/// Somebody's phone rang: a timeout then only means that nobody answered.
fn rang(view: CallView<'_>, transaction: &Transaction) -> bool {
    let ringing = |no: &MessageNo| matches!(view.sip(*no).status(), Some(180..200));
    transaction.messages.iter().any(ringing)
}

/// One branch of a fork failed, another one had success: that is how forking works.
fn forked(view: CallView<'_>, at: TransactionNo, transaction: &Transaction) -> bool {
    let call_id = |t: &Transaction| t.request.map(|no| view.sip(no).call_id());
    subject::near(view.call, at).any(|t| {
        t.method == transaction.method
            && t.cseq == transaction.cseq
            && success(view, t).is_some()
            && call_id(t) == call_id(transaction)
    })
}

/// E01. Nothing was lost: the success was never sent.
fn refused(view: CallView<'_>, at: TransactionNo, transaction: &Transaction, status: u16) -> Option<Finding> {
    let (request, answer) = (transaction.request?, transaction.final_response?);
    let message = view.sip(answer);
    let said = words(status);
    let reason = plain(message.reason());
    let later = later(view, at, transaction);
    let then = if later == Later::Success { "; a later attempt had success" } else { "" };
    let summary = format!(
        "{}: {} answered {status}{}{reason}, {}{then}",
        subject::attempt(view, request),
        sender(view, answer),
        if reason.is_empty() { "" } else { " " },
        said.means
    );
    let mut detail = said.look.to_owned();
    for line in headers(message) {
        detail.push(' ');
        detail.push_str(&line);
    }
    let severity = match status {
        _ if later != Later::Failed => Severity::Info,
        500..600 => Severity::Error,
        _ => Severity::Warning,
    };
    let finding = Finding::new(&REFUSED, vec![answer, request], summary, detail).severity(severity);
    Some(if later == Later::Unknown { finding.open() } else { finding }.cause(Cause::NotSent))
}

/// The headers of a refusal that say why, in words.
fn headers(message: &Message) -> Vec<String> {
    const WORDS: [(HeaderName, &str); 6] = [
        (HeaderName::Reason, "Reason given"),
        (HeaderName::Warning, "Warning given"),
        (HeaderName::RetryAfter, "Retry-After (seconds)"),
        (HeaderName::Unsupported, "Not supported"),
        (HeaderName::Allow, "Allowed methods"),
        (HeaderName::Accept, "Accepted bodies"),
    ];
    let line = |(name, words): (HeaderName, &str)| {
        let value = message.header(name)?;
        Some(format!("{words}: {}.", plain(value)))
    };
    WORDS.into_iter().filter_map(line).collect()
}

/// What became of the request when the client repeated it in another form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    Success,
    /// How it was answered is not in the capture.
    Unknown,
    /// It was not repeated, or refused again.
    Failed,
}

fn later(view: CallView<'_>, at: TransactionNo, transaction: &Transaction) -> Later {
    let client = transaction.connection.src.ip;
    let later = view.call.transactions.iter().skip(at.at() + 1).take(LOOKED_AT);
    let later = || later.clone().filter(|t| t.method == transaction.method && t.connection.src.ip == client);
    if later().any(|t| success(view, t).is_some()) {
        return Later::Success;
    }
    let unknown =
        |t: &Transaction| t.final_response.is_none() && t.request.is_some_and(|no| sendings(view, no).len() == 1);
    if later().any(unknown) { Later::Unknown } else { Later::Failed }
}

/// E02: from the last INVITE that sets up the call to the first ringing or answer.
fn slow(view: CallView<'_>, longest: Duration) -> Option<Finding> {
    requests_of(view, Method::Invite).find_map(|(_, transaction, request)| {
        let initial = transaction.upstream.is_none() && view.sip(request).to_tag().is_empty();
        let heard = |no: &MessageNo| matches!(view.sip(*no).status(), Some(180..300));
        let first = transaction.messages.iter().copied().find(heard).filter(|_| initial)?;
        let took = time(view, first).since(time(view, request));
        (took > longest).then(|| slow_finding(view, request, first, took))
    })
}

fn slow_finding(view: CallView<'_>, request: MessageNo, first: MessageNo, took: Duration) -> Finding {
    let message = view.sip(request);
    let summary = format!(
        "{} waited {} until the call to {} rang or was answered",
        subject::address(message.from_uri()),
        span(took),
        subject::address(message.to_uri())
    );
    let detail = "RFC 6076 4.3 calls this the session request delay. The standard sets no limit; above some seconds callers believe that \
                  nothing happens and hang up. Find the hop where the time passes: the ladder shows it. Usual causes are DNS, databases, \
                  a first target that does not answer before the next one is tried, and phones that are woken by push.";
    Finding::new(&SLOW, vec![first, request], summary, detail)
}
