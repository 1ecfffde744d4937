//! What a client does with a challenge: A01, A02, A03 and A12.

use super::auth_story::{Attempt, Refusal, Story};
use super::facts::{TIMEOUT, final_status, judged, owed_on, plain, receiver, sender, success};
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::flow::{Absent, Cause, judge};
use crate::session::MessageNo;
use crate::sip::{Credentials, Facts, Message, Method};
use foldhash::fast::RandomState;
use std::collections::HashSet;

/// A01.
static CHALLENGE_UNANSWERED: Meta = Meta {
    code: "A01",
    name: "challenge-not-answered",
    severity: Severity::Warning,
    title: "The server asked for credentials and the client never sent any",
    basis: &["RFC 3261 22.2", "RFC 3261 22.3", "RFC 3261 8.1.3.5"],
    page: include_str!("../../docs/rules/A01-challenge-not-answered.md"),
};

/// A02.
static CSEQ_NOT_RAISED: Meta = Meta {
    code: "A02",
    name: "retry-without-higher-cseq",
    severity: Severity::Error,
    title: "The request with credentials does not have a higher CSeq than the challenged one",
    basis: &["RFC 3261 22.2", "RFC 3261 8.1.3.5"],
    page: include_str!("../../docs/rules/A02-retry-without-higher-cseq.md"),
};

/// A03.
static OTHER_IDENTIFIERS: Meta = Meta {
    code: "A03",
    name: "retry-with-other-identifiers",
    severity: Severity::Info,
    title: "The request with credentials has another Call-ID or From tag than the challenged one",
    basis: &["RFC 3261 8.1.3.5"],
    page: include_str!("../../docs/rules/A03-retry-with-other-identifiers.md"),
};

/// A12.
static WRONG_HEADER: Meta = Meta {
    code: "A12",
    name: "wrong-credentials-header",
    severity: Severity::Warning,
    title: "401 was answered in Proxy-Authorization, or 407 in Authorization",
    basis: &["RFC 3261 22.2", "RFC 3261 22.3"],
    page: include_str!("../../docs/rules/A12-wrong-credentials-header.md"),
};

/// Messages before and after a challenge that are searched for a retry under another Call-ID. More than a busy
/// server sees between a challenge and its answer; few enough to look through for every challenge.
const SEARCHED: usize = 1024;

/// Judges what follows a challenge.
pub(super) struct ChallengeFollowUp;

impl Rule for ChallengeFollowUp {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 4] = [&CHALLENGE_UNANSWERED, &CSEQ_NOT_RAISED, &OTHER_IDENTIFIERS, &WRONG_HEADER];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().is_challenged()
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        for story in context.stories() {
            findings.extend(unanswered(story));
            findings.extend(first_of(story, cseq_not_raised));
            findings.extend(first_of(story, other_identifiers));
            findings.extend(first_of(story, wrong_header));
        }
    }
}

/// A01: the last challenge of a client got no credentials.
fn unanswered(story: &Story<'_>) -> Option<Finding> {
    let view = story.view;
    let n = story.attempts.len() - 1;
    let last = &story.attempts[n];
    let judged_elsewhere = story.refusal(n).is_some_and(|(refusal, ..)| refusal != Refusal::OtherNonce);
    if last.challenges.is_empty() || judged_elsewhere || is_probe(view, last.request) || forked(view, last) {
        return None;
    }
    let challenge_at = last.answer?;
    let elsewhere = retried_elsewhere(view, last);
    if elsewhere == Search::Found {
        return None;
    }
    let often = story.attempts.iter().filter(|attempt| attempt.challenged()).count();
    let realm = last.challenges.first().map(|c| plain(c.realm)).unwrap_or_default();
    let method = subject::method(view.sip(last.request));
    let what = format!("{method} with credentials");
    let again = if often > 1 { format!(" (challenge {often} of {often})") } else { String::new() };
    let (none, had) = if last.credentials.is_empty() {
        ("none", "")
    } else {
        ("none for the new nonce", " It had sent credentials for another nonce.")
    };
    let summary = format!("{}: it was asked for credentials and sent {none}{again}", story.failure(last));
    let detail = format!(
        "{} answered {} for the realm \"{realm}\"; no later {method} of {} with credentials for it is in the capture.{had} RFC \
         3261 22.2 and 22.3: the client should ask its user or its settings for user name and password and repeat the request. \
         Look at the client: has it an account with a password for this realm, does it support the algorithm that was asked \
         for, and did it get the challenge at all?",
        receiver(view, last.request),
        last.status,
        sender(view, last.request),
    );
    let finding = Finding::new(&CHALLENGE_UNANSWERED, vec![challenge_at, last.request], summary, detail)
        .missing(owed_on(view, what, last.request));
    if went_on(view, last) {
        return Some(finding.open().cause(Cause::NotCaptured).severity(Severity::Info));
    }
    let finding = judged(finding, &judge(view, &Absent::FollowUp { after: challenge_at }));
    // The retry may lie behind the end of the capture, or beyond what was searched.
    let watched = view.capture_after(view.seen(challenge_at).time);
    let finding = if watched < TIMEOUT || elsewhere == Search::GivenUp { finding.open() } else { finding };
    let just_ended = finding.cause == Some(Cause::Undetermined);
    Some(if just_ended { finding.severity(Severity::Info) } else { finding })
}

/// OPTIONS outside of a dialog asks only whether somebody is there; a challenge says yes (rule O02).
fn is_probe(view: CallView<'_>, request: MessageNo) -> bool {
    let message = view.sip(request);
    message.method() == Method::Options && message.to_tag().is_empty()
}

/// The challenge came from one branch of a fork whose other branch had success.
fn forked(view: CallView<'_>, challenged: &Attempt<'_>) -> bool {
    let transaction = challenged.transaction;
    let call_id = view.sip(challenged.request).call_id();
    subject::near(view.call, challenged.at).any(|other| {
        other.cseq == transaction.cseq
            && other.method == transaction.method
            && success(view, other).is_some()
            && other.request.is_some_and(|no| view.sip(no).call_id() == call_id)
    })
}

/// The answer to the retry is in the capture although the retry is not (CL1).
pub(super) fn went_on(view: CallView<'_>, challenged: &Attempt<'_>) -> bool {
    let transaction = challenged.transaction;
    subject::near(view.call, challenged.at).any(|other| {
        other.method == transaction.method
            && other.request.is_none()
            && other.connection.src.ip == transaction.connection.src.ip
            && other.cseq > transaction.cseq
            && final_status(view, other).is_some_and(|status| !matches!(status, 401 | 407))
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    Found,
    NotThere,
    GivenUp,
}

/// Looks for a request with credentials for the challenge under another Call-ID, or by another
/// transport (RFC 3261 8.1.3.5 only says SHOULD). One that answers a challenge of its own is not it:
/// servers give the same nonce to many.
fn retried_elsewhere(view: CallView<'_>, challenged: &Attempt<'_>) -> Search {
    let Some(answer) = challenged.answer else {
        return Search::NotThere;
    };
    let client = challenged.transaction.connection.src.ip;
    let original = view.sip(challenged.request);
    let at = view.call.message(answer).seen.at();
    let until = view.seen(answer).time.after(TIMEOUT);
    let fits = |other: &Message| {
        let for_it = |c: &Credentials<'_>| {
            challenged.challenges.iter().any(|challenge| challenge.nonce == c.nonce || challenge.realm == c.realm)
        };
        other.from_uri() == original.from_uri()
            && other.to_uri() == original.to_uri()
            && other.credentials().any(|c| for_it(&c))
    };
    let mut challenged_ids: HashSet<&[u8], RandomState> = HashSet::default();
    let window = view.analysis.seen.iter().enumerate().skip(at.saturating_sub(SEARCHED)).take(2 * SEARCHED);
    for (here, seen) in window {
        let other = &seen.message;
        if here > at && seen.time > until {
            return Search::NotThere;
        }
        if matches!(other.status(), Some(401 | 407)) {
            challenged_ids.insert(other.call_id());
        }
        let with = other.has(Facts::AUTHORIZATION) || other.has(Facts::PROXY_AUTHORIZATION);
        let candidate = here > at && with && seen.connection.src.ip == client && other.method() == original.method();
        if candidate && !challenged_ids.contains(other.call_id()) && fits(other) {
            return Search::Found;
        }
        // The answer to one that the capture lacks proves it.
        let success = here > at && seen.connection.dst.ip == client && matches!(other.status(), Some(200..300));
        if success
            && other.method() == original.method()
            && other.call_id() != original.call_id()
            && other.from_uri() == original.from_uri()
            && other.to_uri() == original.to_uri()
        {
            return Search::Found;
        }
    }
    if at + SEARCHED < view.analysis.seen.len() { Search::GivenUp } else { Search::NotThere }
}

/// The first finding that `judge` has on a challenged attempt and the next one that answers it.
fn first_of(
    story: &Story<'_>,
    judge: fn(&Story<'_>, &Attempt<'_>, &Attempt<'_>) -> Option<Finding>,
) -> Option<Finding> {
    let answers = |challenged: &Attempt<'_>, later: &&Attempt<'_>| {
        challenged.answer.is_some_and(|no| no < later.request)
            && challenged.challenges.iter().any(|c| later.for_nonce(c.nonce).is_some())
    };
    story.attempts.iter().enumerate().filter(|(_, attempt)| attempt.challenged()).find_map(|(n, challenged)| {
        let later = story.attempts.get(n + 1).filter(|later| answers(challenged, later))?;
        judge(story, challenged, later)
    })
}

/// A02.
fn cseq_not_raised(story: &Story<'_>, challenged: &Attempt<'_>, retry: &Attempt<'_>) -> Option<Finding> {
    let (before, after) = (story.view.sip(challenged.request), story.view.sip(retry.request));
    let (old, new) = (challenged.transaction.cseq, retry.transaction.cseq);
    if before.call_id() != after.call_id() || before.from_tag() != after.from_tag() || new > old {
        return None;
    }
    let taken = matches!(retry.status, 200..300 | 401 | 407);
    let summary = format!(
        "{} repeated its {} with credentials under CSeq {new}, which is not above the {old} of the challenged request",
        sender(story.view, retry.request),
        story.method.name()
    );
    let detail = "RFC 3261 22.2: a request that is sent again with credentials must have a higher CSeq number, because the server \
                  otherwise may take it for a copy of the first one, or refuse it as out of order. Look at the client's software.";
    let severity = if taken { Severity::Warning } else { Severity::Error };
    let messages = [Some(retry.request), Some(challenged.request), challenged.answer];
    Some(Finding::new(&CSEQ_NOT_RAISED, messages.into_iter().flatten().collect(), summary, detail).severity(severity))
}

/// A03.
fn other_identifiers(story: &Story<'_>, challenged: &Attempt<'_>, retry: &Attempt<'_>) -> Option<Finding> {
    let (before, after) = (story.view.sip(challenged.request), story.view.sip(retry.request));
    let what = match (before.call_id() != after.call_id(), before.from_tag() != after.from_tag()) {
        (false, false) => return None,
        (true, false) => "another Call-ID",
        (false, true) => "another From tag",
        (true, true) => "another Call-ID and another From tag",
    };
    let summary = format!(
        "{} answered a challenge with {what} than the challenged request had",
        sender(story.view, retry.request)
    );
    let detail = "RFC 3261 8.1.3.5: the repeated request should keep Call-ID, From and To. Servers cope; but the two attempts look \
                  like strangers in logs. The nonce shows that they belong together. The examples of RFC 3665 2.1 and 2.5 do so too.";
    Some(Finding::new(&OTHER_IDENTIFIERS, vec![retry.request, challenged.request], summary, detail))
}

/// A12.
fn wrong_header(story: &Story<'_>, challenged: &Attempt<'_>, retry: &Attempt<'_>) -> Option<Finding> {
    let misplaced = challenged.challenges.iter().any(|challenge| {
        let mut fitting = retry.credentials.iter().filter(|c| c.nonce == challenge.nonce).peekable();
        fitting.peek().is_some() && fitting.all(|c| c.proxy != challenge.proxy)
    });
    if !misplaced || (200..300).contains(&retry.status) {
        return None;
    }
    let (asked, sent) = match challenged.status {
        401 => ("401 (WWW-Authenticate)", "Proxy-Authorization"),
        _ => ("407 (Proxy-Authenticate)", "Authorization"),
    };
    let summary = format!("{} answered a {asked} with {sent}", sender(story.view, retry.request));
    let detail = format!(
        "A server asks with 401 and reads Authorization; a proxy asks with 407 and reads Proxy-Authorization (RFC 3261 22.2, 22.3). \
         Credentials in {sent} alone are not found by {}. Look at the client's software.",
        receiver(story.view, retry.request)
    );
    let messages = [Some(retry.request), challenged.answer];
    Some(Finding::new(&WRONG_HEADER, messages.into_iter().flatten().collect(), summary, detail))
}
