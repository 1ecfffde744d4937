//! Which part of credentials does not fit, found out with the passwords that the user gave.
//!
//! The response is computed again. If it does not come out, one part at a time is replaced by what
//! clients are known to take instead; the one that gives exactly the response in the message is the mistake.
//! Two responses are never equal by chance, so a fit is certain; that nothing fits says only that the client
//! has another password than the given one, or a mistake that nobody thought of.

use super::auth_story::{Story, same_algorithm};
use super::facts::{cut, plain};
use super::passwords::{Account, Passwords};
use super::subject;
use crate::sip::{Algorithm, Calculation, Challenge, Credentials, Message, Method, Secret, Uri};
use std::borrow::Cow;

/// Accounts of other users whose password is tried. Telling accounts mixed up needs those at hand; a
/// provider's whole list must not be hashed for each refusal.
const OTHERS: usize = 200;
/// Earlier nonces that are tried.
const NONCES: usize = 16;

/// What the given passwords say about credentials.
pub(super) struct Told {
    /// Whether they are as they should be.
    pub(super) right: bool,
    /// The end of a sentence that says they were refused; may be empty.
    pub(super) short: String,
    /// Whole sentences.
    pub(super) detail: String,
}

/// The part that does not fit.
#[derive(Debug)]
enum Part<'k> {
    /// All of it fits.
    None,
    /// The response is right but was computed otherwise than the credentials say, as these words tell.
    Computed(String),
    /// It is right for the realm it names, which is not the one of the challenge.
    Realm,
    /// It is right, but with an algorithm that was not offered.
    Algorithm,
    /// An empty password.
    Empty,
    /// The password of this user in another realm.
    PasswordForRealm(&'k [u8]),
    /// The password of the account `bob`, sent under the name `bob@example.com` or the other way round.
    Account(&'k [u8]),
    /// The password of another user.
    PasswordOf(&'k [u8]),
    /// The password, or something unheard of.
    Password,
}

/// Judges the credentials `sent` of attempt `n`, which answer `challenge`. `None` when no passwords are
/// known or the request was cut.
pub(super) fn tell(
    story: &Story<'_>,
    n: usize,
    challenge: Option<&Challenge<'_>>,
    sent: &Credentials<'_>,
    passwords: &Passwords,
) -> Option<Told> {
    let request = story.attempts[n].request;
    if passwords.is_empty() || cut(story.view, request) {
        return None;
    }
    let message = story.view.sip(request);
    let method = message.method_name();
    let Some(calculation) = Calculation::of(sent, method.as_bytes(), message.body()) else {
        let algorithm = plain(sent.algorithm);
        return Some(undecided(format!("Responses of the algorithm \"{algorithm}\" cannot be computed again.")));
    };
    let realm = challenge.map_or(sent.realm, |challenge| challenge.realm);
    let search = Search { story, n, message, challenge, sent, passwords, calculation };
    let hashed = sent.userhash.then(|| search.unhash()).flatten();
    let user = hashed.map_or(sent.username, |account| &account.user);
    let search = Search { calculation: Calculation { username: user, ..calculation }, ..search };
    let account = search.account(realm).or_else(|| search.account(sent.realm));
    let found = account.and_then(|account| search.with(account)).or_else(|| search.with_another_secret());
    Some(match (found, account) {
        (Some(part), _) => search.words(&part),
        (None, Some(account)) if calculation.response(&account.secret).is_none() => undecided(format!(
            "The ha1 that is given for \"{}\" is not one for the algorithm {}.",
            plain(user),
            calculation.algorithm.name()
        )),
        (None, Some(_)) => search.words(&Part::Password),
        (None, None) => undecided(format!(
            "No password is given for the user name \"{}\" in the realm \"{}\", and no other given one fits.",
            plain(user),
            plain(realm)
        )),
    })
}

fn undecided(detail: String) -> Told {
    Told { right: false, short: String::new(), detail }
}

#[derive(Clone, Copy)]
struct Search<'s, 'a> {
    story: &'s Story<'a>,
    n: usize,
    message: &'s Message,
    challenge: Option<&'s Challenge<'a>>,
    sent: &'s Credentials<'a>,
    passwords: &'s Passwords,
    /// As the credentials say.
    calculation: Calculation<'s>,
}

impl<'s> Search<'s, '_> {
    fn fits(&self, calculation: &Calculation<'_>, secret: &Secret) -> bool {
        let response = calculation.response(secret);
        response.is_some_and(|response| response.as_bytes().eq_ignore_ascii_case(self.sent.response))
    }

    /// The account whose hashed name was sent (RFC 7616 3.4.4).
    fn unhash(&self) -> Option<&'s Account> {
        let hash = |user: &[u8]| self.calculation.algorithm.digest(&[user, self.sent.realm]);
        let is_it = |account: &&Account| hash(&account.user).as_bytes().eq_ignore_ascii_case(self.sent.username);
        self.passwords.accounts().iter().take(OTHERS).find(is_it)
    }

    /// The account of the user in a realm, if need be under a name with or without domain.
    fn account(&self, realm: &[u8]) -> Option<&'s Account> {
        let named = self.passwords.find(self.calculation.username, realm);
        named.or_else(|| self.names(realm).iter().find_map(|name| self.passwords.find(name, realm)))
    }

    /// The user name without domain, and with those that it could have.
    fn names(&self, realm: &[u8]) -> [Vec<u8>; 3] {
        let bare = without_domain(self.calculation.username);
        [bare.to_vec(), [bare, b"@", realm].concat(), [bare, b"@", self.host()].concat()]
    }

    /// The host of From.
    fn host(&self) -> &'s [u8] {
        Uri::parse(self.message.from_uri()).map_or(&b""[..], |uri| uri.host)
    }

    /// What is wrong if the client has the secret of this account.
    fn with(&self, account: &'s Account) -> Option<Part<'s>> {
        let secret = &account.secret;
        if self.fits(&self.calculation, secret) {
            let renamed = *account.user != *self.calculation.username;
            return Some(if renamed { Part::Account(&account.user) } else { self.as_named(secret) });
        }
        self.other_input(secret)
            .or_else(|| self.other_nonce(secret))
            .or_else(|| self.other_name(secret))
            .or_else(|| self.other_form(secret))
    }

    /// The response is what the credentials say; are they what the server asked for?
    fn as_named(&self, secret: &Secret) -> Part<'s> {
        let response = self.calculation.response(secret).unwrap_or_default();
        match self.challenge {
            Some(challenge) if challenge.realm != self.sent.realm => Part::Realm,
            Some(challenge) if !same_algorithm(challenge.algorithm, self.sent.algorithm) => Part::Algorithm,
            _ if response.as_bytes() != self.sent.response => Part::Computed("in capital letters".to_owned()),
            _ => Part::None,
        }
    }

    /// Another method or URI went into A2.
    fn other_input(&self, secret: &Secret) -> Option<Part<'s>> {
        const METHODS: [Method; 8] = [
            Method::Invite,
            Method::Register,
            Method::Options,
            Method::Bye,
            Method::Subscribe,
            Method::Message,
            Method::Publish,
            Method::Ack,
        ];
        let mine = self.calculation;
        for uri in self.uris() {
            if self.fits(&Calculation { uri: &uri, ..mine }, secret) {
                let (used, named) = (subject::address(&uri), subject::address(self.sent.uri));
                return Some(Part::Computed(format!(
                    "for the URI \"{used}\" instead of the \"{named}\" that they name"
                )));
            }
        }
        METHODS.iter().map(|method| method.name()).find_map(|name| {
            let fits = self.fits(&Calculation { method: name.as_bytes(), ..mine }, secret);
            let method = subject::method(self.message);
            fits.then(|| Part::Computed(format!("for the method {name} instead of {method}")))
        })
    }

    /// What clients take for the digest URI.
    fn uris(&self) -> Vec<Cow<'s, [u8]>> {
        let message = self.message;
        let mut uris: Vec<Cow<'_, [u8]>> = Vec::new();
        for uri in [message.request_uri(), message.to_uri(), message.from_uri()] {
            let end = uri.iter().position(|byte| matches!(byte, b';' | b'?')).unwrap_or(uri.len());
            uris.extend([Cow::Borrowed(uri), Cow::Borrowed(&uri[..end])]);
            if let Some(host) = Uri::parse(uri).map(|parsed| parsed.host) {
                uris.push([b"sip:", host].concat().into());
            }
        }
        uris.push(Cow::Borrowed(b""));
        uris
    }

    fn other_nonce(&self, secret: &Secret) -> Option<Part<'s>> {
        let older = self.story.nonces_before(self.n).filter(|nonce| *nonce != self.sent.nonce).take(NONCES);
        let mut fitting = older.filter(|nonce| self.fits(&Calculation { nonce, ..self.calculation }, secret));
        fitting.next().map(|_| Part::Computed("with the nonce of an earlier challenge".to_owned()))
    }

    /// Another user name or realm went into A1.
    fn other_name(&self, secret: &Secret) -> Option<Part<'s>> {
        let mine = self.calculation;
        for name in self.names(mine.realm) {
            if self.fits(&Calculation { username: &name, ..mine }, secret) {
                let (used, named) = (plain(&name), plain(mine.username));
                return Some(Part::Computed(format!("for the user name \"{used}\" instead of \"{named}\"")));
            }
        }
        let of_file = self.passwords.of(mine.username).filter_map(|account| account.realm.as_deref());
        let asked = self.challenge.map(|challenge| challenge.realm);
        for realm in of_file.take(OTHERS).chain(asked).chain([self.host(), b""]) {
            if self.fits(&Calculation { realm, ..mine }, secret) {
                let (used, named) = (plain(realm), plain(mine.realm));
                return Some(Part::Computed(format!(
                    "for the realm \"{used}\" instead of the \"{named}\" that they name"
                )));
            }
        }
        None
    }

    /// Another algorithm, quality of protection or count.
    fn other_form(&self, secret: &Secret) -> Option<Part<'s>> {
        let mine = self.calculation;
        for algorithm in Algorithm::ALL {
            if self.fits(&Calculation { algorithm, ..mine }, secret) {
                let (used, named) = (algorithm.name(), mine.algorithm.name());
                return Some(Part::Computed(format!("with {used} instead of {named}")));
            }
        }
        let offered = self.challenge.map_or(&b""[..], |challenge| challenge.qop);
        for qop in [&b""[..], b"auth", b"auth-int", offered] {
            let how = if qop.is_empty() { "as if without qop".to_owned() } else { format!("with qop={}", plain(qop)) };
            if self.fits(&Calculation { qop, ..mine }, secret) {
                return Some(Part::Computed(how));
            }
        }
        if self.fits(&Calculation { body: b"", ..mine }, secret) {
            return Some(Part::Computed("over an empty body".to_owned()));
        }
        let short = mine.nc.iter().position(|digit| *digit != b'0').map_or(mine.nc, |at| &mine.nc[at..]);
        [&b"00000001"[..], short].into_iter().find_map(|nc| {
            let fits = self.fits(&Calculation { nc, ..mine }, secret);
            fits.then(|| Part::Computed(format!("with the nonce count {} instead of {}", plain(nc), plain(mine.nc))))
        })
    }

    /// What is wrong if the calculation is right, but with another secret.
    fn with_another_secret(&self) -> Option<Part<'s>> {
        let user = self.calculation.username;
        let fits = |account: &&Account| self.fits(&self.calculation, &account.secret);
        if self.fits(&self.calculation, &Secret::Password([].into())) {
            return Some(Part::Empty);
        }
        if let Some(account) = self.passwords.of(user).take(OTHERS).find(fits) {
            return Some(Part::PasswordForRealm(account.realm.as_deref().unwrap_or(b"*")));
        }
        let account = self.passwords.accounts().iter().take(OTHERS).find(fits)?;
        let same_person = without_domain(&account.user) == without_domain(user);
        Some(if same_person { Part::Account(&account.user) } else { Part::PasswordOf(&account.user) })
    }

    fn words(&self, part: &Part<'_>) -> Told {
        const SERVER: &str = "So look at the server: does it hold another password for this account, has it forgotten the nonce \
                              (a restart, or several servers that do not share theirs), or does it refuse something else about \
                              the request?";
        const CLIENT: &str = "The password is right; the mistake is in the client's software or its settings.";
        let (user, realm) = (plain(self.calculation.username), plain(self.sent.realm));
        let asked = self.challenge.map(|challenge| plain(challenge.realm)).unwrap_or_default();
        let (short, detail) = match part {
            Part::None if self.sent.uri != self.message.request_uri() => (
                ", although their response is right".to_owned(),
                format!(
                    "Computed again with the password given for \"{user}\", the response is right for all that the credentials \
                     name. Of what they name only the digest URI is not that of the request, which a strict server refuses. If that is \
                     not it and the given password is that of the account, the client did nothing wrong. {SERVER}"
                ),
            ),
            Part::None => (
                ", although their response is right".to_owned(),
                format!(
                    "Computed again with the password given for \"{user}\", the response is right in every part: if the given \
                     password is that of the account, the client did nothing wrong. {SERVER}"
                ),
            ),
            Part::Computed(how) => (
                format!(": the response was computed {how}"),
                format!(
                    "The password given for \"{user}\" gives exactly this response when it is computed {how}. {CLIENT}"
                ),
            ),
            Part::Realm => (
                format!(": they are right, but for the realm \"{realm}\" and not for \"{asked}\""),
                format!(
                    "With the given password the response is right for the realm \"{realm}\" that the credentials name. {CLIENT}"
                ),
            ),
            Part::Algorithm => {
                let used = self.calculation.algorithm.name();
                (
                    format!(": they use {used}, which was not offered"),
                    format!("With the given password the response is right for {used}. {CLIENT}"),
                )
            }
            Part::Empty => (
                ": the password is empty".to_owned(),
                "The response is that of an empty password: the client has none for this account.".to_owned(),
            ),
            Part::PasswordForRealm(other) => (
                format!(": the password is the one for the realm \"{}\"", plain(other)),
                format!(
                    "The response fits the password that is given for \"{user}\" in the realm \"{}\". The client mixes up its \
                     accounts.",
                    plain(other)
                ),
            ),
            Part::Account(account) => (
                format!(": the password is that of \"{}\", the user name should be so too", plain(account)),
                format!(
                    "The response fits the password that is given for \"{}\", but the client calls itself \"{user}\". Correct \
                     the user name in the client's settings.",
                    plain(account)
                ),
            ),
            Part::PasswordOf(other) => (
                format!(": the password is that of another user, \"{}\"", plain(other)),
                format!(
                    "The response fits the password that is given for \"{}\". Correct user name or password in the client's \
                     settings.",
                    plain(other)
                ),
            ),
            Part::Password => (
                ": the password is not the given one".to_owned(),
                format!(
                    "Computed again with the password given for \"{user}\", the response is another one, and no usual mistake \
                     (method, URI, nonce, realm, user name, algorithm, qop, another given or an empty password) gives it \
                     either: the client has another password. Correct it there, or in the file of passwords."
                ),
            ),
        };
        Told { right: matches!(part, Part::None), short, detail }
    }
}

/// `bob` of `bob@example.com`.
fn without_domain(user: &[u8]) -> &[u8] {
    user.iter().position(|byte| *byte == b'@').map_or(user, |at| &user[..at])
}
