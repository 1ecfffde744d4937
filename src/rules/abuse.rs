//! Abuse, by source address over all calls: K01, K02 and K03.
//!
//! Only requests that come straight from their sender (one Via) count: what a proxy passes on is not
//! the proxy's doing.

use super::facts::{final_status, plain, time};
use super::subject::{self, frames_of};
use super::{CaptureContext, Finding, Meta, Rule, Severity};
use crate::analysis::{Analysis, CallView, Deeds};
use crate::base::Timestamp;
use crate::session::{MessageNo, Transaction};
use crate::sip::{Credentials, Facts, HeaderName, Message, Method};
use foldhash::fast::RandomState;
use memchr::memmem::Finder;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// K01.
static SCANNER: Meta = Meta {
    code: "K01",
    name: "scanner",
    severity: Severity::Warning,
    title: "A source probes for SIP servers, users or passwords",
    basis: &["RFC 3261 26.1"],
    page: include_str!("../../docs/rules/K01-scanner.md"),
};

/// K02.
static GUESSING: Meta = Meta {
    code: "K02",
    name: "registration-guessing",
    severity: Severity::Error,
    title: "A source tries one password or user name after the other",
    basis: &["RFC 3261 26.1.1"],
    page: include_str!("../../docs/rules/K02-registration-guessing.md"),
};

/// K03.
static FLOOD: Meta = Meta {
    code: "K03",
    name: "flood",
    severity: Severity::Warning,
    title: "A source sends far more requests than all others, and none of them leads anywhere",
    basis: &["RFC 3261 26.1.5"],
    page: include_str!("../../docs/rules/K03-flood.md"),
};

/// User-Agent values, in small letters, of programs that do nothing but scan.
const SCANNERS: [&[u8]; 14] = [
    b"friendly-scanner",
    b"friendly-request",
    b"sipvicious",
    b"sundayddr",
    b"sipcli",
    b"sip-scan",
    b"sipscan",
    b"pplsip",
    b"vaxsipuseragent",
    b"vaxipuseragent",
    b"gr33nsip",
    b"sivus",
    b"iwar",
    b"smap",
];
/// Requests of a source whose User-Agent is looked at; a program does not change its name.
const NAMES_LOOKED_AT: usize = 16;
/// Distinct users and hosts that are remembered of one source; more tell nothing more.
const REMEMBERED: usize = 256;
/// Distinct users or hosts probed without any success that make a scanner.
const PROBES: usize = 20;
/// Refused credentials within [`BURST`] that make guessing. A person mistypes less often.
const GUESSES: usize = 10;
/// See [`GUESSES`].
const BURST: Duration = Duration::from_secs(60);
/// Refused credentials that make guessing when the source is a known scanner.
const GUESSES_OF_SCANNER: usize = 3;
/// Users whose credentials were refused, none accepted, that make guessing.
const GUESSED_USERS: usize = 5;
/// New requests in one second that may be a flood.
const FLOOD_RATE: u32 = 50;
/// How many times the rate of the next busy source a flood has.
const FAR_ABOVE: u32 = 5;

/// Judges sources.
pub(super) struct Abuse;

impl Rule for Abuse {
    fn metas(&self) -> &'static [&'static Meta] {
        static METAS: [&Meta; 3] = [&SCANNER, &GUESSING, &FLOOD];
        &METAS
    }

    fn capture(&self, context: CaptureContext<'_>, findings: &mut Vec<Finding>) {
        let sources = sources(context.analysis);
        let mut sources: Vec<(IpAddr, &Source<'_>)> =
            sources.iter().map(|(address, source)| (*address, source)).collect();
        sources.sort_unstable_by_key(|(address, _)| *address);
        for (address, source) in &sources {
            // Of calls that are over and gone, too.
            let deeds = context.analysis.health.population.deeds(*address);
            findings.extend(source.scanner(*address, deeds));
            findings.extend(source.guessing(*address, deeds));
        }
        findings.extend(flood(&sources));
    }
}

/// What one address did.
#[derive(Default)]
struct Source<'a> {
    requests: usize,
    /// 2xx to anything but OPTIONS, or ringing.
    successes: usize,
    unsuccessful: usize,
    hosts: HashSet<IpAddr, RandomState>,
    users: HashSet<&'a [u8], RandomState>,
    /// What it calls itself, when that is a scanner's name.
    name: Option<String>,
    frames: Vec<u32>,
    refusals: usize,
    refused_users: HashSet<&'a [u8], RandomState>,
    refused_at: VecDeque<Timestamp>,
    refused_frames: Vec<u32>,
    burst: bool,
    accepted: usize,
    /// Requests that were accepted before any credentials were refused: nobody asks whether they had some until then.
    unread: Vec<&'a Message>,
    /// A user whose credentials were accepted after some of his were refused.
    guessed: Option<(&'a [u8], u32)>,
    /// New requests by second.
    rate: HashMap<i64, u32, RandomState>,
}

fn sources(analysis: &Analysis) -> HashMap<IpAddr, Source<'_>, RandomState> {
    let mut sources: HashMap<IpAddr, Source<'_>, RandomState> = HashMap::default();
    let mut scanners = Scanners::new();
    for view in analysis.views() {
        for transaction in &view.call.transactions {
            let Some(request) = transaction.request else {
                continue;
            };
            let message = view.sip(request);
            let own = transaction.upstream.is_none() && message.via_count() <= 1;
            if own && message.to_tag().is_empty() && !matches!(transaction.method, Method::Ack | Method::Cancel) {
                let source = sources.entry(transaction.connection.src.ip).or_default();
                source.note(view, transaction, request, &mut scanners);
            }
        }
    }
    sources
}

impl<'a> Source<'a> {
    fn note(&mut self, view: CallView<'a>, transaction: &Transaction, request: MessageNo, scanners: &mut Scanners<'a>) {
        let message = view.sip(request);
        let frame = view.frame(request);
        self.requests += 1;
        if self.requests <= NAMES_LOOKED_AT && self.name.is_none() {
            self.name = scanners.name(message);
        }
        if self.frames.len() < REMEMBERED {
            self.frames.push(frame);
        }
        remember(&mut self.hosts, transaction.connection.dst.ip);
        let target = if transaction.method == Method::Register { message.to_uri() } else { message.request_uri() };
        remember(&mut self.users, subject::user(target));
        *self.rate.entry(time(view, request).as_nanos().div_euclid(1_000_000_000)).or_default() += 1;
        let status = final_status(view, transaction).unwrap_or(0);
        let rang = transaction.messages.iter().take(8).any(|no| matches!(view.sip(*no).status(), Some(180..200)));
        let works = (200..300).contains(&status) && transaction.method != Method::Options;
        if works || rang {
            self.successes += 1;
        } else if !(200..300).contains(&status) {
            self.unsuccessful += 1;
        }
        if message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION) {
            self.note_credentials(view, transaction, request, status);
        }
    }

    fn note_credentials(&mut self, view: CallView<'a>, transaction: &Transaction, request: MessageNo, status: u16) {
        let message = view.sip(request);
        if (200..300).contains(&status) && self.refusals == 0 {
            self.unread.push(message);
            return;
        }
        let Some(sent) = credentials(message) else {
            return;
        };
        let frame = view.frame(request);
        let stale = transaction.final_response.is_some_and(|no| view.sip(no).challenges().any(|c| c.stale));
        match status {
            200..300 => {
                self.accepted += 1;
                if self.guessed.is_none() && self.refused_users.contains(sent.username) {
                    self.guessed = Some((sent.username, frame));
                }
            }
            401 | 403 | 407 if !stale => {
                self.refusals += 1;
                let unread = std::mem::take(&mut self.unread);
                self.accepted += unread.into_iter().filter(|message| credentials(message).is_some()).count();
                remember(&mut self.refused_users, sent.username);
                if self.refused_frames.len() < REMEMBERED {
                    self.refused_frames.push(frame);
                }
                let now = time(view, request);
                self.refused_at.push_back(now);
                if self.refused_at.len() > GUESSES {
                    self.refused_at.pop_front();
                }
                let first = self.refused_at.front().copied().unwrap_or(now);
                self.burst |= self.refused_at.len() == GUESSES && now.since(first) <= BURST;
            }
            _ => {}
        }
    }

    /// K01.
    fn scanner(&self, address: IpAddr, deeds: Deeds) -> Option<Finding> {
        let probes = self.users.len().max(self.hosts.len());
        let behaves = self.successes == 0
            && deeds.successes == 0
            && probes >= PROBES
            && self.unsuccessful * 10 >= self.requests * 9;
        if self.name.is_none() && !behaves {
            return None;
        }
        let known = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(", and calls itself \"{name}\", a scanning tool"));
        let summary = format!(
            "{address} is scanning: it sent {} for {} to {}{known}",
            counted(self.requests, "request"),
            counted(self.users.len(), "user"),
            counted(self.hosts.len(), "host")
        );
        let detail = "Scanners look for SIP servers with OPTIONS, for user names by telling 404 from 401, and for weak passwords by trying them. \
                      Its failed requests are not faults of your server; read them in this light. Unless it is your own test, block the \
                      address, let the server answer unknown users and wrong passwords alike, and close port 5060 to addresses that have no \
                      business there.";
        Some(Finding::new(&SCANNER, Vec::new(), summary, detail).frames(frames_of(self.frames.iter().copied())))
    }

    /// K02.
    fn guessing(&self, address: IpAddr, deeds: Deeds) -> Option<Finding> {
        let accepted = deeds.accepted.max(self.accepted as u64);
        let mostly = self.refusals as u64 > 3 * accepted;
        let by_scanner = self.name.is_some() && self.refusals >= GUESSES_OF_SCANNER;
        let over_users = self.refused_users.len() >= GUESSED_USERS && accepted == 0;
        if !by_scanner && !(mostly && (self.burst || over_users)) {
            return None;
        }
        let users = match self.refused_users.len() {
            1 => "one user name".to_owned(),
            n => format!("{n} user names"),
        };
        let broken = self.guessed.map_or_else(String::new, |(user, frame)| {
            format!("; then credentials of \"{}\" were accepted (frame {frame})", plain(user))
        });
        let summary =
            format!("{address} is guessing passwords: {} credentials for {users} were refused{broken}", self.refusals);
        let taken = if self.guessed.is_some() {
            " Treat the accepted account as taken over: change its password and look for calls that it made since."
        } else {
            ""
        };
        let detail = format!(
            "One source had credentials refused again and again.{taken} A phone with a wrong password that never gives up looks alike; its \
             user name stays the same and its owner is known. Otherwise block the address, use long random passwords, and let the server \
             lock out sources after a few refusals."
        );
        let guessed = self.guessed.map(|(_, frame)| frame);
        let frames = frames_of(self.refused_frames.iter().copied().chain(guessed));
        Some(Finding::new(&GUESSING, Vec::new(), summary, detail).frames(frames))
    }

    fn peak(&self) -> u32 {
        self.rate.values().copied().max().unwrap_or(0)
    }
}

/// K03: the busiest source, when nobody else comes near it.
fn flood(sources: &[(IpAddr, &Source<'_>)]) -> Option<Finding> {
    let (address, busiest) = sources.iter().max_by_key(|(_, source)| source.peak())?;
    let next = sources.iter().filter(|(other, _)| other != address).map(|(_, source)| source.peak()).max().unwrap_or(0);
    let peak = busiest.peak();
    let in_vain = busiest.unsuccessful * 10 >= busiest.requests * 9;
    if peak < FLOOD_RATE || peak < next.saturating_mul(FAR_ABOVE) || !in_vain {
        return None;
    }
    let summary = format!(
        "{address} floods: up to {peak} new requests a second, {} in all, hardly any with success",
        busiest.requests
    );
    let detail = format!(
        "The next busy source sends {next} a second at most. Requests that are refused or never answered cost the server as much as good ones. \
         Unless it is a load test of your own, limit the rate of this address at the edge or block it, and look at whether other users were \
         answered late or with 503 at that time."
    );
    Some(Finding::new(&FLOOD, Vec::new(), summary, detail).frames(frames_of(busiest.frames.iter().copied())))
}

/// What a client computed for a challenge.
fn credentials(message: &Message) -> Option<Credentials<'_>> {
    message.credentials().find(|sent| !sent.response.is_empty())
}

/// "1 user", "7 users".
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn remember<T: std::hash::Hash + Eq>(set: &mut HashSet<T, RandomState>, value: T) {
    if set.len() < REMEMBERED {
        set.insert(value);
    }
}

/// Tells scanners by their names. Senders have few names between them, so each is looked through once.
struct Scanners<'a> {
    /// By User-Agent, whether it names a scanner.
    known: HashMap<&'a [u8], bool, RandomState>,
    /// What some scanners only say in From.
    in_from: Finder<'static>,
}

impl<'a> Scanners<'a> {
    /// User-Agents that are remembered; a flood may have a new one in each request.
    const KNOWN: usize = 4096;

    fn new() -> Self {
        Self { known: HashMap::default(), in_from: Finder::new(b"sipvicious") }
    }

    /// What the sender calls itself, if that is the name of a scanner.
    fn name(&mut self, message: &'a Message) -> Option<String> {
        let agent = message.header(HeaderName::UserAgent).filter(|agent| self.is_scanner(agent));
        // Whatever header it is in: hardly any message says so.
        let said = |bytes: &[u8]| self.in_from.find(bytes).is_some();
        let from = || said(message.raw()) && message.header(HeaderName::From).is_some_and(said);
        agent.map(|value| plain(value).into_owned()).or_else(|| from().then(|| "sipvicious".to_owned()))
    }

    fn is_scanner(&mut self, agent: &'a [u8]) -> bool {
        if let Some(known) = self.known.get(agent) {
            return *known;
        }
        let small = agent.to_ascii_lowercase();
        let is_scanner = SCANNERS.iter().any(|scanner| memchr::memmem::find(&small, scanner).is_some());
        if self.known.len() < Self::KNOWN {
            self.known.insert(agent, is_scanner);
        }
        is_scanner
    }
}
