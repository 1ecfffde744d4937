//! Credentials that a server does not take: A04, A05, A06, A07 and A14.
//!
//! One cause gives one finding: a client in a loop is told as a loop with its count, not as one
//! refusal after the other. Nobody can see whether two digests come from the same password, so the
//! words say "credentials". Nothing was lost on the way: what is missing, credentials that the server
//! takes, was never sent.

use super::auth_retry::went_on;
use super::auth_secret::{self, Told};
use super::auth_story::{Attempt, Refusal, Story, same_algorithm};
use super::facts::{TIMEOUT, plain, receiver, span, times};
use super::passwords::Passwords;
use super::subject;
use super::{Context, Finding, Meta, Rule, Severity};
use crate::flow::Cause;
use crate::session::MessageNo;
use crate::sip::{Challenge, Credentials, Method};
use std::ops::Range;

/// A04.
static CREDENTIALS_REFUSED: Meta = Meta {
    code: "A04",
    name: "credentials-refused",
    severity: Severity::Error,
    title: "Credentials for the current challenge were refused: password, user name or realm is wrong",
    basis: &["RFC 3261 22.1", "RFC 2617 3.2.1"],
    page: include_str!("../../docs/rules/A04-credentials-refused.md"),
};

/// A05.
static NONCE_STALE: Meta = Meta {
    code: "A05",
    name: "nonce-stale",
    severity: Severity::Info,
    title: "The nonce had grown old (stale=true); the client should repeat with the new one",
    basis: &["RFC 2617 3.2.1", "RFC 3261 22.1"],
    page: include_str!("../../docs/rules/A05-nonce-stale.md"),
};

/// A06.
static CHALLENGE_LOOP: Meta = Meta {
    code: "A06",
    name: "challenge-loop",
    severity: Severity::Error,
    title: "Client and server go round in a circle of challenges and refused credentials",
    basis: &["RFC 3261 22.1", "RFC 3261 22.3"],
    page: include_str!("../../docs/rules/A06-challenge-loop.md"),
};

/// A07.
static REJECTED_AGAIN: Meta = Meta {
    code: "A07",
    name: "rejected-credentials-again",
    severity: Severity::Error,
    title: "Credentials that were just refused were sent again",
    basis: &["RFC 3261 22.1"],
    page: include_str!("../../docs/rules/A07-rejected-credentials-again.md"),
};

/// A14.
static FORBIDDEN: Meta = Meta {
    code: "A14",
    name: "forbidden-after-credentials",
    severity: Severity::Error,
    title: "Refused with 403 although credentials were sent",
    basis: &["RFC 3261 22.1", "RFC 3261 21.4.4"],
    page: include_str!("../../docs/rules/A14-forbidden-after-credentials.md"),
};

/// Challenges for one realm within 64*T1 that make a loop.
const LOOP: usize = 3;
/// Messages that one finding points at.
const POINTED_AT: usize = 32;

/// Judges refused credentials.
pub(super) struct RefusedCredentials;

impl Rule for RefusedCredentials {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 5] = [&CREDENTIALS_REFUSED, &NONCE_STALE, &CHALLENGE_LOOP, &REJECTED_AGAIN, &FORBIDDEN];
        &METAS
    }

    fn concerns(&self, context: Context<'_>) -> bool {
        context.outline().is_challenged()
    }

    fn call(&self, context: Context<'_>, findings: &mut Vec<Finding>) {
        for story in context.stories().iter().filter(|story| is_troubled(story)) {
            let mut found = Vec::new();
            for run in story.runs() {
                Run::of(story, run, &context.knowledge.passwords).judge(&mut found);
            }
            findings.extend(worst_once(found));
        }
    }
}

/// Whether credentials were refused in any way.
fn is_troubled(story: &Story<'_>) -> bool {
    let mut attempts = story.attempts.iter().enumerate();
    attempts.any(|(n, attempt)| attempt.status == 403 || story.refusal(n).is_some())
}

/// Of several errors with the credentials of one user, the one that says most; the rest is its
/// consequence. What came right in the end stays.
fn worst_once(mut found: Vec<Finding>) -> Vec<Finding> {
    const BY_WEIGHT: [&str; 4] = ["A06", "A14", "A07", "A04"];
    let weight = |finding: &Finding| BY_WEIGHT.iter().position(|code| *code == finding.rule.code);
    let errors = found.iter().enumerate().filter(|(_, finding)| finding.severity == Severity::Error);
    let Some(kept) = errors.min_by_key(|(_, finding)| weight(finding)).map(|(at, _)| at) else {
        return found;
    };
    let mut at = 0;
    found.retain(|finding| {
        at += 1;
        at - 1 == kept || finding.severity != Severity::Error
    });
    found
}

/// Attempts up to the first final response that is no challenge, and what became of their credentials.
struct Run<'s, 'a> {
    story: &'s Story<'a>,
    passwords: &'s Passwords,
    last: &'s Attempt<'a>,
    wrong: Vec<usize>,
    stale: Vec<usize>,
}

impl<'s, 'a> Run<'s, 'a> {
    fn of(story: &'s Story<'a>, range: Range<usize>, passwords: &'s Passwords) -> Self {
        let with = |wanted: Refusal| {
            let holds = |n: &usize| story.refusal(*n).is_some_and(|(refusal, ..)| refusal == wanted);
            range.clone().filter(holds).collect()
        };
        let last = &story.attempts[range.end - 1];
        Self { story, passwords, last, wrong: with(Refusal::Wrong), stale: with(Refusal::Stale) }
    }

    fn judge(&self, findings: &mut Vec<Finding>) {
        if let Some(finding) = self.looping().or_else(|| self.forbidden()).or_else(|| self.again()) {
            findings.push(finding);
            return;
        }
        findings.extend(self.refused());
        findings.extend(self.stale.iter().map(|n| self.grown_old(*n)));
    }

    /// The final responses of these attempts, and the requests they answer.
    fn messages(&self, attempts: &[usize]) -> Vec<MessageNo> {
        let of = |n: &usize| {
            let attempt = &self.story.attempts[*n];
            attempt.answer.into_iter().chain(std::iter::once(attempt.request))
        };
        attempts.iter().flat_map(of).take(POINTED_AT).collect()
    }

    fn server(&self, attempt: &Attempt<'_>) -> String {
        subject::host(self.story.view.seen(attempt.request).connection.dst)
    }

    /// How it ended, when it ended well after all.
    fn accepted(&self) -> bool {
        (200..300).contains(&self.last.status)
    }

    /// What failed, or what went wrong before it had success.
    fn subject(&self, attempt: &Attempt<'_>) -> String {
        if !self.accepted() {
            return self.story.failure(attempt);
        }
        let from = subject::address(self.story.view.sip(attempt.request).from_uri());
        format!("The {} of {from} had success at {} only later", self.story.method.name(), self.server(attempt))
    }

    fn looping(&self) -> Option<Finding> {
        let mut rounds: Vec<usize> = self.wrong.iter().chain(&self.stale).copied().collect();
        rounds.sort_unstable();
        if rounds.len() + 1 < LOOP {
            return None;
        }
        let last = *rounds.last()?;
        let (_, challenge, credentials) = self.story.refusal(last)?;
        let within = self.challenges_for(challenge.realm, rounds[0]);
        let fast = within.windows(LOOP).any(|three| {
            let (first, third) = (&self.story.attempts[three[0]], &self.story.attempts[three[LOOP - 1]]);
            self.story.answered(third).since(self.story.answered(first)) <= TIMEOUT
        });
        if !fast {
            return None;
        }
        let attempt = &self.story.attempts[last];
        let told = self.told(last);
        let took = self.story.answered(attempt).since(self.story.asked(&self.story.attempts[within[0]]));
        let keeps = |n: &usize| self.next_with_credentials(*n).is_some_and(|next| self.keeps_the_old_nonce(*n, next));
        let kept = self.stale.iter().any(keeps);
        let kept =
            if kept { " The client kept a nonce that was called stale although it was given a new one." } else { "" };
        let end = match (self.accepted(), self.last.status) {
            (true, _) => " The last attempt was accepted.".to_owned(),
            (false, 403) => " The server ended it with 403.".to_owned(),
            (false, _) => String::new(),
        };
        let summary = format!(
            "{}: client and server went in a loop, the credentials were refused {} in {}{}",
            self.subject(attempt),
            times(rounds.len()),
            span(took),
            short(told.as_ref()),
        );
        let detail = format!(
            "{} asked for credentials {} for the realm \"{}\" and got them, and refused them {}.{kept}{end} RFC 3261 22.1: \
             credentials that were just rejected must not be tried again; a client that does so only loads the server and \
             may get itself locked out. {}",
            receiver(self.story.view, attempt.request),
            times(within.len()),
            plain(challenge.realm),
            times(rounds.len()),
            self.advice(attempt, challenge, credentials, told.as_ref()),
        );
        Some(Finding::new(&CHALLENGE_LOOP, self.messages(&rounds), summary, detail).cause(Cause::NotSent))
    }

    /// The attempts that were challenged for `realm`, from the one before attempt `first` on.
    fn challenges_for(&self, realm: &[u8], first: usize) -> Vec<usize> {
        let end = self.wrong.last().max(self.stale.last()).map_or(first, |last| *last) + 1;
        let asks = |n: &usize| self.story.attempts[*n].asks_for(realm);
        (first.saturating_sub(1)..end).filter(asks).collect()
    }

    fn forbidden(&self) -> Option<Finding> {
        let attempt = self.last;
        if attempt.status != 403 || attempt.credentials.is_empty() {
            return None;
        }
        let main = attempt.answer?;
        let mut messages = vec![main, attempt.request];
        messages.extend(self.messages(&self.wrong));
        let before = match self.wrong.len() {
            0 => String::new(),
            n => format!(" Before that the credentials were refused {}.", times(n)),
        };
        let told = self.told(self.story.attempts.iter().position(|other| std::ptr::eq(other, attempt))?);
        let summary =
            format!("{}: 403 after credentials were sent{}", self.story.failure(attempt), short(told.as_ref()));
        let detail = format!(
            "{} answered 403 to a request with credentials for user name \"{}\".{before} RFC 3261 21.4.4: the server understood \
             and will not do it, and repeating does not help. Look at the account on the server: is the password right (some \
             servers answer a wrong one with 403), is the account locked, may it {} from this address, and is its user name the \
             one in From and To?{}",
            receiver(self.story.view, attempt.request),
            attempt.credentials.first().map(|c| plain(c.username)).unwrap_or_default(),
            if self.story.method == Method::Register { "register" } else { "call this number" },
            told.map_or(String::new(), |told| format!(" {}", told.detail)),
        );
        let severity = match self.story.method {
            Method::Register | Method::Invite => Severity::Error,
            _ => Severity::Warning,
        };
        Some(Finding::new(&FORBIDDEN, messages, summary, detail).cause(Cause::NotSent).severity(severity))
    }

    /// A07: a later attempt repeats credentials that an earlier one had refused.
    fn again(&self) -> Option<Finding> {
        for first in &self.wrong {
            let (_, challenge, refused) = self.story.refusal(*first)?;
            let refused_at = self.story.attempts[*first].answer?;
            for (n, later) in self.story.attempts.iter().enumerate().skip(first + 1).take(LOOP) {
                let Some(sent) = later.for_nonce(refused.nonce) else {
                    continue;
                };
                let same = sent.response == refused.response || challenge.nonce != refused.nonce;
                if !same || later.request < refused_at || (200..300).contains(&later.status) {
                    continue;
                }
                let told = auth_secret::tell(self.story, n, Some(challenge), sent, self.passwords);
                let summary = format!(
                    "{}: the credentials that {} had refused were sent again{}",
                    self.story.failure(later),
                    self.server(later),
                    short(told.as_ref())
                );
                let detail = format!(
                    "The request repeats the nonce{} of credentials that were refused, without stale=true, just before. RFC 3261 \
                     22.1: rejected credentials must not be tried again. {}",
                    if sent.response == refused.response { " and the response" } else { "" },
                    self.advice(later, challenge, sent, told.as_ref()),
                );
                let mut messages = vec![later.request, refused_at];
                messages.push(self.story.attempts[*first].request);
                return Some(Finding::new(&REJECTED_AGAIN, messages, summary, detail).cause(Cause::NotSent));
            }
        }
        None
    }

    fn refused(&self) -> Option<Finding> {
        let last = *self.wrong.last()?;
        let attempt = &self.story.attempts[last];
        let (_, challenge, credentials) = self.story.refusal(last)?;
        let told = self.told(last);
        let often = if self.wrong.len() > 1 { format!(" {}", times(self.wrong.len())) } else { String::new() };
        let summary = format!(
            "{}: the credentials of user name \"{}\" were refused{often}{}{}",
            self.subject(attempt),
            plain(credentials.username),
            if self.story.method == Method::Register { String::new() } else { format!(" by {}", self.server(attempt)) },
            short(told.as_ref())
        );
        let then = if self.accepted() { " A later attempt was accepted." } else { "" };
        let means =
            if told.as_ref().is_some_and(|told| told.right) { "the server calls them wrong" } else { "they are wrong" };
        let detail = format!(
            "The request carried credentials for the realm \"{}\" and for the nonce that {} had just given out, and was \
             challenged again without stale=true.{then} RFC 3261 22.1 and RFC 2617 3.2.1: that means {means}. {}",
            plain(challenge.realm),
            receiver(self.story.view, attempt.request),
            self.advice(attempt, challenge, credentials, told.as_ref()),
        );
        let severity = if self.accepted() { Severity::Warning } else { Severity::Error };
        Some(
            Finding::new(&CREDENTIALS_REFUSED, self.messages(&self.wrong), summary, detail)
                .cause(Cause::NotSent)
                .severity(severity),
        )
    }

    fn grown_old(&self, n: usize) -> Finding {
        let attempt = &self.story.attempts[n];
        let next = self.next_with_credentials(n);
        let server = self.server(attempt);
        let who = subject::address(self.story.view.sip(attempt.request).from_uri());
        let method = self.story.method.name();
        let (then, advice, severity) = match next {
            Some(next) if self.keeps_the_old_nonce(n, next) => (
                format!("; the client repeated its {method} with the same old nonce"),
                "The client should have sent the request again with the new nonce of the challenge. Look at the client: does it \
                 understand stale?",
                Severity::Warning,
            ),
            Some(_) => (
                format!("; the client repeated its {method} with the new one"),
                "This is ordinary. When it happens with every request, the server gives nonces a very short life.",
                Severity::Info,
            ),
            None => (
                format!(", and the client did not repeat its {method}"),
                "The client should have sent the request again with the new nonce, without asking its user. Look at the client: \
                 does it understand stale, or did it give up after a second challenge?",
                Severity::Warning,
            ),
        };
        let told = match self.told(n) {
            Some(Told { right: true, .. }) => {
                " Computed again with the given password, the response is right.".to_owned()
            }
            Some(Told { short, detail, .. }) if !short.is_empty() => {
                format!(" But the server did not look at the response: it would have refused it{short}. {detail}")
            }
            Some(Told { detail, .. }) => format!(" {detail}"),
            None => String::new(),
        };
        let summary = format!("{server} found the nonce of {who} too old{then}");
        let detail = format!(
            "stale=true in the challenge says that the credentials are right and only the nonce has expired (RFC 2617 3.2.1). \
             {advice}{told}"
        );
        let finding = Finding::new(&NONCE_STALE, self.messages(&[n]), summary, detail).severity(severity);
        let long = self.story.view.capture_after(self.story.answered(attempt)) >= TIMEOUT;
        // The answer to a retry that the capture lacks.
        let unseen = next.is_none() && went_on(self.story.view, attempt);
        if (next.is_some() || long) && !unseen { finding } else { finding.open() }
    }

    fn next_with_credentials(&self, n: usize) -> Option<&'s Attempt<'a>> {
        self.story.attempts.iter().skip(n + 1).find(|later| !later.credentials.is_empty())
    }

    /// Whether the request after the stale attempt `n` has the old nonce again although it was given a new one.
    fn keeps_the_old_nonce(&self, n: usize, next: &Attempt<'_>) -> bool {
        let knew = self.story.attempts[n].answer.is_some_and(|answer| answer < next.request);
        let same = self.story.refusal(n).is_some_and(|(_, challenge, sent)| {
            next.for_nonce(sent.nonce).is_some() && next.for_nonce(challenge.nonce).is_none()
        });
        knew && same && !(200..300).contains(&next.status)
    }

    /// What the given passwords say about the credentials of attempt `n`.
    fn told(&self, n: usize) -> Option<Told> {
        let sent = match self.story.refusal(n) {
            Some((_, challenge, sent)) => {
                return auth_secret::tell(self.story, n, Some(challenge), sent, self.passwords);
            }
            None => self.story.attempts[n].credentials.first()?,
        };
        auth_secret::tell(self.story, n, self.story.last_challenge(n, sent), sent, self.passwords)
    }

    /// What can be wrong with these credentials: what is visibly odd about them, then what was found out
    /// with a given password, else what it usually is.
    fn advice(
        &self,
        attempt: &Attempt<'_>,
        challenge: &Challenge<'_>,
        credentials: &Credentials<'_>,
        told: Option<&Told>,
    ) -> String {
        let mut odd = oddities(challenge, credentials);
        let message = self.story.view.sip(attempt.request);
        if credentials.uri != message.request_uri() {
            odd.push(format!(
                "the digest is for \"{}\" while the request goes to \"{}\", which some servers refuse",
                subject::address(credentials.uri),
                subject::address(message.request_uri())
            ));
        }
        let from = subject::user(message.from_uri());
        if !from.is_empty() && from != credentials.username && !credentials.username.contains(&b'@') {
            odd.push(format!(
                "the user name \"{}\" is not the user \"{}\" of From, which may be meant so",
                plain(credentials.username),
                plain(from)
            ));
        }
        let seen = if odd.is_empty() { String::new() } else { format!("Seen in the capture: {}. ", odd.join("; ")) };
        let found = match told {
            Some(told) if !told.short.is_empty() => return format!("{seen}{}", told.detail),
            Some(told) => format!("{} ", told.detail),
            None => String::new(),
        };
        format!(
            "{seen}{found}What can be wrong: the password; the user name (\"{}\"), which need not be the phone number; the realm the \
             password was stored for (\"{}\"); or a server that forgot or never shared its nonce. Compare the account on the \
             server with the client's settings, and read the server's log at this moment.",
            plain(credentials.username),
            plain(challenge.realm)
        )
    }
}

/// The end of a summary.
fn short(told: Option<&Told>) -> &str {
    told.map_or("", |told| told.short.as_str())
}

/// What is visibly odd about credentials, compared with the challenge.
fn oddities(challenge: &Challenge<'_>, credentials: &Credentials<'_>) -> Vec<String> {
    let mut odd = Vec::new();
    if credentials.realm != challenge.realm {
        odd.push(format!(
            "the credentials name the realm \"{}\", the challenge \"{}\"",
            plain(credentials.realm),
            plain(challenge.realm)
        ));
    }
    if !same_algorithm(credentials.algorithm, challenge.algorithm) {
        let named = |name| if plain(name).is_empty() { "MD5".into() } else { plain(name) };
        odd.push(format!(
            "the credentials use the algorithm \"{}\", the challenge offers \"{}\"",
            named(credentials.algorithm),
            named(challenge.algorithm)
        ));
    }
    if credentials.username.is_empty() {
        odd.push("the user name is empty".to_owned());
    } else if credentials.username.contains(&b'@') {
        odd.push(format!(
            "the user name \"{}\" contains an @; most servers want the part before it only",
            plain(credentials.username)
        ));
    }
    odd
}
