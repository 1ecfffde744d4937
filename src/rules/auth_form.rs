//! The form of challenges and credentials: A08, A09, A10, A11 and A13.

use super::auth_secret;
use super::auth_story::{Attempt, Refusal, Story};
use super::facts::{cut, plain, receiver, sender};
use super::passwords::Passwords;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::analysis::CallView;
use crate::session::MessageNo;
use crate::sip::{Credentials, Facts, HeaderName, Method};
use foldhash::fast::RandomState;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

/// A08.
static NONCE_COUNT: Meta = Meta {
    code: "A08",
    name: "nonce-count-not-increased",
    severity: Severity::Warning,
    title: "The nonce count (nc) of new credentials is not above the one before",
    basis: &["RFC 2617 3.2.2"],
    page: include_str!("../../docs/rules/A08-nonce-count-not-increased.md"),
};

/// A09.
static QOP_NOT_USED: Meta = Meta {
    code: "A09",
    name: "qop-not-used",
    severity: Severity::Info,
    title: "The server offered a quality of protection (qop) and the client did not use it",
    basis: &["RFC 3261 22.4", "RFC 2617 3.2.2"],
    page: include_str!("../../docs/rules/A09-qop-not-used.md"),
};

/// A10.
static OTHER_NONCE: Meta = Meta {
    code: "A10",
    name: "credentials-for-another-nonce",
    severity: Severity::Warning,
    title: "Credentials were computed for another nonce than that of the last challenge",
    basis: &["RFC 2617 3.3", "RFC 3261 22.2"],
    page: include_str!("../../docs/rules/A10-credentials-for-another-nonce.md"),
};

/// A11.
static NO_CHALLENGE: Meta = Meta {
    code: "A11",
    name: "challenge-missing",
    severity: Severity::Error,
    title: "401 without WWW-Authenticate, or 407 without Proxy-Authenticate",
    basis: &["RFC 3261 22.2", "RFC 3261 22.3"],
    page: include_str!("../../docs/rules/A11-challenge-missing.md"),
};

/// A13.
static ACK_WITHOUT: Meta = Meta {
    code: "A13",
    name: "credentials-missing-in-ack",
    severity: Severity::Info,
    title: "The ACK does not carry the credentials of its INVITE",
    basis: &["RFC 3261 13.2.2.4", "RFC 3261 22.1"],
    page: include_str!("../../docs/rules/A13-credentials-missing-in-ack.md"),
};

/// Judges the form of challenges and credentials.
pub(super) struct FormOfCredentials;

impl Rule for FormOfCredentials {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 5] = [&NONCE_COUNT, &QOP_NOT_USED, &OTHER_NONCE, &NO_CHALLENGE, &ACK_WITHOUT];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().is_challenged()
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        let stories = context.stories();
        findings.extend(stories.iter().find_map(nonce_count));
        findings.extend(stories.iter().find_map(qop_not_used));
        findings.extend(other_nonce(context.view, stories, &context.knowledge.passwords));
        findings.extend(stories.iter().find_map(no_challenge));
        findings.extend(stories.iter().find_map(ack_without));
    }
}

/// A08. Servers that count would refuse it; one that does not is no worse for it.
fn nonce_count(story: &Story<'_>) -> Option<Finding> {
    /// Nonce and user name.
    type Key<'a> = (&'a [u8], &'a [u8]);
    let mut last: HashMap<Key<'_>, (u32, MessageNo), RandomState> = HashMap::default();
    for attempt in &story.attempts {
        for sent in &attempt.credentials {
            let Some(count) = count(sent) else { continue };
            let Some((before, message)) = last.insert((sent.nonce, sent.username), (count, attempt.request)) else {
                continue;
            };
            if count > before {
                continue;
            }
            let summary = format!(
                "{} used the same nonce again with nonce count {count}, after {before}",
                sender(story.view, attempt.request)
            );
            let detail = "RFC 2617 3.2.2: nc counts the requests sent with one nonce and must grow by one each time; a server that \
                          counts takes the request for a replay and refuses it. Look at the client's software.";
            let severity = if attempt.challenged() { Severity::Warning } else { Severity::Info };
            let finding = Finding::new(&NONCE_COUNT, vec![attempt.request, message], summary, detail);
            return Some(finding.severity(severity));
        }
    }
    None
}

fn count(sent: &Credentials<'_>) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(sent.nc).ok()?, 16).ok()
}

/// A09.
fn qop_not_used(story: &Story<'_>) -> Option<Finding> {
    let challenged =
        |n: usize, sent: &Credentials<'_>| story.last_challenge(n, sent).is_some_and(|c| !c.qop.is_empty());
    let (attempt, sent) = story.attempts.iter().enumerate().find_map(|(n, attempt)| {
        let sent = attempt.credentials.iter().find(|sent| {
            let half = !sent.qop.is_empty() && (sent.nc.is_empty() || sent.cnonce.is_empty());
            half || (sent.qop.is_empty() && challenged(n, sent))
        })?;
        Some((attempt, sent))
    })?;
    let what = if sent.qop.is_empty() { "no qop" } else { "a qop without nc or cnonce" };
    let summary = format!("The credentials of {} have {what}", sender(story.view, attempt.request));
    let detail = "A client that is offered qop should use it (RFC 3261 22.4 item 8) and then send nc and cnonce with it (RFC 2617 \
                  3.2.2). Without it the old form of RFC 2069 is used, which protects less; servers usually accept it. The printed \
                  examples of RFC 3665 are so.";
    Some(Finding::new(&QOP_NOT_USED, vec![attempt.request], summary, detail))
}

/// A10: only where the server did not take them either. A nonce that nobody gave out proves nothing: it may
/// come from before the capture. One that a later challenge has replaced does.
fn other_nonce(view: CallView<'_>, stories: &[Story<'_>], passwords: &Passwords) -> Option<Finding> {
    let all = OnceCell::new();
    stories.iter().find_map(|story| {
        let (n, sent) = (0..story.attempts.len()).find_map(|n| {
            let (_, _, sent) = story.refusal(n).filter(|(refusal, ..)| *refusal == Refusal::OtherNonce)?;
            let fits = story.last_challenge(n, sent).is_some();
            let known = all.get_or_init(|| known_nonces(view, stories));
            let replaced = story.nonces_before(n).any(|nonce| nonce == sent.nonce)
                && !story.accepted(n, sent.nonce)
                && !story.grown_old(n, sent.nonce);
            (fits && (replaced || !known.contains(sent.nonce))).then_some((n, sent))
        })?;
        let known = all.get_or_init(|| known_nonces(view, stories));
        Some(told_of_other_nonce(story, n, sent, known.contains(sent.nonce), passwords))
    })
}

fn told_of_other_nonce(
    story: &Story<'_>,
    n: usize,
    sent: &Credentials<'_>,
    replaced: bool,
    passwords: &Passwords,
) -> Finding {
    let view = story.view;
    let Attempt { request, answer, .. } = story.attempts[n];
    let (which, why) = if replaced {
        ("an older nonce", "This nonce is that of an earlier challenge, and the server has given out a new one since.")
    } else {
        (
            "another nonce",
            "This nonce appears in no challenge in the capture: either a challenge is missing from it, or the client mixes up \
             its accounts or servers.",
        )
    };
    let told = match auth_secret::tell(story, n, story.last_challenge(n, sent), sent, passwords) {
        Some(told) if told.right => {
            " Computed again with the given password, the response is right for that nonce.".into()
        }
        Some(told) => format!(" {}", told.detail),
        None => String::new(),
    };
    let (client, server) = (sender(view, request), receiver(view, request));
    let summary = format!("{client} answered the challenge of {server} with credentials for {which}");
    let detail = format!(
        "Credentials must be computed for the nonce of the last challenge for their realm (\"{}\"), or one that was accepted \
         before (RFC 2617 3.3). {why}{told}",
        plain(sent.realm)
    );
    let finding = Finding::new(&OTHER_NONCE, [Some(request), answer].into_iter().flatten().collect(), summary, detail);
    if replaced { finding } else { finding.open() }
}

/// Nonces that any message of the call gave out, or that were accepted.
fn known_nonces<'a>(view: CallView<'a>, stories: &[Story<'a>]) -> HashSet<&'a [u8], RandomState> {
    let attempts = || stories.iter().flat_map(|story| &story.attempts);
    let given = attempts().flat_map(|attempt| attempt.challenges.iter().map(|challenge| challenge.nonce));
    let taken = |attempt: &&Attempt<'_>| attempt.status != 0 && !attempt.challenged();
    let accepted = attempts().filter(taken).flat_map(|attempt| attempt.credentials.iter().map(|sent| sent.nonce));
    let announced =
        attempts().filter_map(|attempt| next_nonce(view.sip(attempt.answer?).header(HeaderName::AuthenticationInfo)?));
    given.chain(accepted).chain(announced).collect()
}

/// `nextnonce="..."` of an Authentication-Info header (RFC 2617 3.2.3).
fn next_nonce(value: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"nextnonce=\"";
    let at = value.windows(NAME.len()).position(|w| w.eq_ignore_ascii_case(NAME))?;
    value[at + NAME.len()..].split(|b| *b == b'"').next()
}

/// A11.
fn no_challenge(story: &Story<'_>) -> Option<Finding> {
    let lacks = |answer: MessageNo, status: u16| {
        let wanted = if status == 401 { Facts::WWW_AUTHENTICATE } else { Facts::PROXY_AUTHENTICATE };
        !story.view.sip(answer).has(wanted) && !cut(story.view, answer)
    };
    let attempt = story
        .attempts
        .iter()
        .find(|attempt| attempt.challenged() && attempt.answer.is_some_and(|no| lacks(no, attempt.status)))?;
    let answer = attempt.answer?;
    let header = if attempt.status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
    let summary = format!(
        "{}: {} asked for credentials with {}, but did not say for what ({header} is missing)",
        subject::attempt(story.view, attempt.request),
        sender(story.view, answer),
        attempt.status
    );
    let detail = format!(
        "RFC 3261 22.2 and 22.3: a {} must carry at least one {header} header with realm and nonce; without it no client can \
         compute credentials. Look at the server, and at anything between that may have removed the header.",
        attempt.status
    );
    Some(Finding::new(&NO_CHALLENGE, vec![answer, attempt.request], summary, detail))
}

/// A13: the ACK to a 2xx. It matters only to proxies that check each request.
fn ack_without(story: &Story<'_>) -> Option<Finding> {
    let view = story.view;
    let invite = story.attempts.iter().find(|a| (200..300).contains(&a.status) && !a.credentials.is_empty())?;
    if story.method != Method::Invite {
        return None;
    }
    let of_invite = |t: &crate::session::Transaction| {
        t.method == Method::Ack
            && t.invite == Some(invite.at)
            && t.connection.src.ip == invite.transaction.connection.src.ip
    };
    let ack = view.transactions().find(|(_, t)| of_invite(t)).and_then(|(_, t)| t.request)?;
    let message = view.sip(ack);
    if message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION) || cut(view, ack) {
        return None;
    }
    let summary = format!("The ACK of {} does not carry the credentials of its INVITE", sender(view, ack));
    let detail = "RFC 3261 13.2.2.4 asks for the same credentials in the ACK, because an ACK cannot be challenged (22.1). Most \
                  servers never look; one that does would drop the ACK, and the 200 would then be repeated.";
    Some(Finding::new(&ACK_WITHOUT, vec![ack, invite.request], summary, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_nonce_is_found_among_other_parameters() {
        assert_eq!(next_nonce(b"qop=auth, nextnonce=\"abc\", nc=00000001"), Some(&b"abc"[..]));
        assert_eq!(next_nonce(b"qop=auth"), None);
    }
}
