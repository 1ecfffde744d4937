//! Who was challenged and what was sent in answer: the story that the A rules judge.
//!
//! RFC 3261 22 and RFC 2617: a server answers 401 (a proxy 407) with a challenge, a realm and a nonce;
//! the client repeats the request with credentials for that realm. Only requests as their client sent
//! them are looked at: a challenge that proxies pass back is one challenge, not one per hop.

use super::facts::{TIMEOUT, TransactionNo, status, time};
use super::subject;
use crate::analysis::CallView;
use crate::base::Timestamp;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Algorithm, Challenge, Credentials, Facts, Message, Method};
use foldhash::fast::RandomState;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How many earlier requests of the same client may explain a challenge. A guesser sends thousands
/// under one Call-ID, and each of them must not look through all the others.
const LOOK_BACK: usize = 64;

/// A client answers a challenge at once; after so long (64*T1, when it has given up its request) its nonce was used
/// before, or it has grown old.
const OLD: Duration = TIMEOUT;

/// One request of a client, with what it carried and how it was answered.
pub(super) struct Attempt<'a> {
    /// The request.
    pub request: MessageNo,
    /// Its transaction.
    pub transaction: &'a Transaction,
    /// Index of its transaction.
    pub at: TransactionNo,
    /// Credentials that were computed for a challenge (a first IMS REGISTER has empty ones).
    pub credentials: Vec<Credentials<'a>>,
    /// The first final response.
    pub answer: Option<MessageNo>,
    /// Its status; 0 when there is none.
    pub status: u16,
    /// What it asks for.
    pub challenges: Vec<Challenge<'a>>,
    /// See [`Story::refusal`]: with the positions of the challenge and of the credentials.
    refused: OnceCell<Option<(Refusal, usize, usize)>>,
}

/// What a challenge says about the credentials that the challenged request carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// They were for this realm and the nonce of its last challenge: they are wrong.
    Wrong,
    /// They are fine, but the nonce is too old (`stale=true`, RFC 2617 3.2.1).
    Stale,
    /// They were for another nonce; nothing is said about the password.
    OtherNonce,
}

/// The requests of one method that one client sent for one user, in order.
pub(super) struct Story<'a> {
    /// The call.
    pub view: CallView<'a>,
    /// The method.
    pub method: Method,
    /// In order of capture.
    pub attempts: Vec<Attempt<'a>>,
}

/// The stories of a call in which anybody was challenged or sent credentials.
pub(super) fn stories(view: CallView<'_>) -> Vec<Story<'_>> {
    let mut stories: Vec<Story<'_>> = Vec::new();
    if !view.messages().any(|(_, seen)| is_concerned(&seen.message)) {
        return stories;
    }
    let mut known: HashMap<(IpAddr, Method, &[u8]), usize, RandomState> = HashMap::default();
    for (at, transaction) in view.transactions() {
        let Some(attempt) = attempt(view, at, transaction) else {
            continue;
        };
        let key = (transaction.connection.src.ip, transaction.method, view.sip(attempt.request).from_uri());
        let story = *known.entry(key).or_insert_with(|| {
            stories.push(Story { view, method: transaction.method, attempts: Vec::new() });
            stories.len() - 1
        });
        stories[story].attempts.push(attempt);
    }
    stories
}

fn is_concerned(message: &Message) -> bool {
    matches!(message.status(), Some(401 | 407))
        || message.facts().intersects(Facts::AUTHORIZATION | Facts::PROXY_AUTHORIZATION)
}

fn attempt<'a>(view: CallView<'a>, at: TransactionNo, transaction: &'a Transaction) -> Option<Attempt<'a>> {
    if transaction.upstream.is_some() || matches!(transaction.method, Method::Ack | Method::Cancel) {
        return None;
    }
    let request = transaction.request?;
    let answer = transaction.final_response;
    let status = answer.map_or(0, |no| status(view, no));
    let challenges = match (answer, status) {
        (Some(no), 401 | 407) => view.sip(no).challenges().collect(),
        _ => Vec::new(),
    };
    let computed = |c: &Credentials<'_>| !c.nonce.is_empty() && !c.response.is_empty();
    let credentials = view.sip(request).credentials().filter(computed).collect();
    let refused = OnceCell::new();
    Some(Attempt { request, transaction, at, credentials, answer, status, challenges, refused })
}

impl<'a> Attempt<'a> {
    /// Whether the answer asks for credentials.
    pub(super) fn challenged(&self) -> bool {
        matches!(self.status, 401 | 407)
    }

    /// Whether the answer has a digest challenge for `realm`.
    pub(super) fn asks_for(&self, realm: &[u8]) -> bool {
        self.digests().any(|challenge| challenge.realm == realm)
    }

    /// The credentials for `nonce`.
    pub(super) fn for_nonce(&self, nonce: &[u8]) -> Option<&Credentials<'a>> {
        self.credentials.iter().find(|c| !nonce.is_empty() && c.nonce == nonce)
    }

    /// The digest challenges of the answer.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Challenge<'a>> {
        self.challenges.iter().filter(|challenge| is_digest(challenge))
    }
}

impl<'a> Story<'a> {
    /// When the request of `attempt` passed.
    pub(super) fn asked(&self, attempt: &Attempt<'_>) -> Timestamp {
        time(self.view, attempt.request)
    }

    /// When its final response passed.
    pub(super) fn answered(&self, attempt: &Attempt<'_>) -> Timestamp {
        time(self.view, attempt.answer.unwrap_or(attempt.request))
    }

    /// Whether attempt number `n` carried credentials that its answer does not accept, with the
    /// challenge that says so.
    pub(super) fn refusal(&self, n: usize) -> Option<(Refusal, &Challenge<'a>, &Credentials<'a>)> {
        let attempt = self.attempts.get(n).filter(|attempt| attempt.challenged() && !attempt.credentials.is_empty())?;
        let (refusal, challenge, credentials) = (*attempt.refused.get_or_init(|| self.find_refusal(n, attempt)))?;
        Some((refusal, attempt.challenges.get(challenge)?, attempt.credentials.get(credentials)?))
    }

    fn find_refusal(&self, n: usize, attempt: &Attempt<'a>) -> Option<(Refusal, usize, usize)> {
        // A server may offer several algorithms for one realm (RFC 8760 2.3).
        let digests = attempt.challenges.iter().enumerate().filter(|(_, challenge)| is_digest(challenge));
        let answered = digests.filter_map(|(at, challenge)| Some((at, challenge, self.answering(n, challenge)?)));
        let of_other = |(_, challenge, sent): &(usize, &Challenge<'a>, usize)| {
            !same_algorithm(challenge.algorithm, attempt.credentials[*sent].algorithm)
        };
        let (at, challenge, sent) = answered.min_by_key(of_other)?;
        let nonce = attempt.credentials[sent].nonce;
        let refusal = if challenge.stale {
            Refusal::Stale
        } else if self.resynchronises(attempt) || self.accepted(n, nonce) {
            Refusal::OtherNonce
        } else if nonce == challenge.nonce || self.current(n, challenge.realm, nonce) {
            Refusal::Wrong
        } else {
            Refusal::OtherNonce
        };
        Some((refusal, at, sent))
    }

    /// Which credentials of attempt `n` answer `challenge`: those for its realm, or at least for a nonce
    /// that was given out for it, when nobody asked for the realm that they name.
    fn answering(&self, n: usize, challenge: &Challenge<'_>) -> Option<usize> {
        let attempt = &self.attempts[n];
        let meant = |sent: &Credentials<'_>| {
            let asked_for = attempt.asks_for(sent.realm) || self.last_asking(n, sent.realm).is_some();
            let given = sent.nonce == challenge.nonce || self.current(n, challenge.realm, sent.nonce);
            given && !asked_for
        };
        let same_realm = attempt.credentials.iter().position(|sent| sent.realm == challenge.realm);
        same_realm.or_else(|| attempt.credentials.iter().position(meant))
    }

    /// Whether `nonce` is one of the last challenge for `realm` before attempt `n` was made.
    fn current(&self, n: usize, realm: &[u8], nonce: &[u8]) -> bool {
        let asking = self.last_asking(n, realm);
        asking.is_some_and(|last| last.digests().any(|c| c.realm == realm && c.nonce == nonce))
    }

    /// The last digest challenge that the client had seen for the realm of its credentials `sent` when
    /// it made attempt `n`; of several, the one that they answer (RFC 8760 2.4).
    pub(super) fn last_challenge(&self, n: usize, sent: &Credentials<'_>) -> Option<&Challenge<'a>> {
        let differs = |c: &&Challenge<'_>| (c.nonce != sent.nonce, !same_algorithm(c.algorithm, sent.algorithm));
        self.last_asking(n, sent.realm)?.digests().filter(|c| c.realm == sent.realm).min_by_key(differs)
    }

    /// The last attempt that was challenged for `realm` before attempt `n` was made.
    fn last_asking(&self, n: usize, realm: &[u8]) -> Option<&Attempt<'a>> {
        let asked = self.attempts[n].request;
        let mut earlier = self.before(n).iter().rev().filter(|before| before.answer.is_some_and(|no| no < asked));
        earlier.find(|before| before.asks_for(realm))
    }

    /// The nonces of digest challenges that the client had seen when it made attempt `n`, the newest first.
    pub(super) fn nonces_before(&self, n: usize) -> impl Iterator<Item = &'a [u8]> {
        self.before(n).iter().rev().flat_map(|before| before.digests().map(|challenge| challenge.nonce))
    }

    fn before(&self, n: usize) -> &[Attempt<'a>] {
        &self.attempts[n.saturating_sub(LOOK_BACK)..n]
    }

    /// Whether credentials with `nonce` were accepted before attempt `n`: then the nonce has grown
    /// old since, whether the server says so or not. One of long ago may have been, where the capture does not show it.
    pub(super) fn accepted(&self, n: usize, nonce: &[u8]) -> bool {
        let was_accepted = self.before(n).iter().any(|before| {
            before.status != 0 && !before.challenged() && before.status != 403 && before.for_nonce(nonce).is_some()
        });
        was_accepted || self.is_of_long_ago(n, nonce)
    }

    /// Whether attempt `n` was made long after `nonce` was given out, and no other since.
    fn is_of_long_ago(&self, n: usize, nonce: &[u8]) -> bool {
        let mut asking = self.before(n).iter().rev().filter(|before| before.digests().next().is_some());
        let last = asking.next().filter(|last| last.digests().any(|challenge| challenge.nonce == nonce));
        last.is_some_and(|last| self.asked(&self.attempts[n]).since(self.answered(last)) >= OLD)
    }

    /// Whether the server called `nonce` stale before attempt `n`: rule A05 tells what came of it.
    pub(super) fn grown_old(&self, n: usize, nonce: &[u8]) -> bool {
        let stale = |before: &Attempt<'_>| before.digests().any(|challenge| challenge.stale);
        self.before(n).iter().any(|before| stale(before) && before.for_nonce(nonce).is_some())
    }

    /// AKA asks the network for a new sequence number with `auts` (RFC 3310 3.4): no wrong password.
    fn resynchronises(&self, attempt: &Attempt<'_>) -> bool {
        use crate::sip::HeaderName::{Authorization, ProxyAuthorization};
        let message = self.view.sip(attempt.request);
        let mut values = message.values(Authorization).chain(message.values(ProxyAuthorization));
        let ends =
            |value: &[u8], at: usize| value[..at].last_chunk::<4>().is_some_and(|w| w.eq_ignore_ascii_case(b"auts"));
        values.any(|value| memchr::memchr_iter(b'=', value).any(|at| ends(value, at)))
    }

    /// "sip:bob@example.com could not register at 192.0.2.1".
    pub(super) fn failure(&self, attempt: &Attempt<'_>) -> String {
        subject::attempt(self.view, attempt.request)
    }

    /// Attempts that follow each other without a final response other than a challenge, as ranges of
    /// [`Story::attempts`]; the attempt that got the other answer ends its range.
    pub(super) fn runs(&self) -> Vec<std::ops::Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for (n, attempt) in self.attempts.iter().enumerate() {
            if attempt.status != 0 && !attempt.challenged() {
                runs.push(start..n + 1);
                start = n + 1;
            }
        }
        if start < self.attempts.len() {
            runs.push(start..self.attempts.len());
        }
        runs
    }
}

fn is_digest(challenge: &Challenge<'_>) -> bool {
    challenge.scheme.eq_ignore_ascii_case(b"Digest")
}

/// Whether two names stand for one algorithm; none is MD5.
pub(super) fn same_algorithm(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) || Algorithm::named(a).is_some_and(|named| Algorithm::named(b) == Some(named))
}
