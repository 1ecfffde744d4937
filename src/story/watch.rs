//! What is new since the last look: findings that have become certain, calls that have ended.
//!
//! Whoever watches looks again and again at all calls that are open, each look judged as a capture that ends there.
//! What this remembers is only what was told before.

use super::Story;
use crate::analysis::CallView;
use crate::base::{Timestamp, limits};
use crate::call::{Call, Kind, Outcome};
use crate::flow::Verdict;
use crate::rules::{Finding, Severity};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A finding is certain when it was there at two looks so far apart: packets that are captured in the wrong order, or
/// wait in a buffer, come within less.
const CERTAIN: Duration = Duration::from_millis(500);
/// A call is over when nothing came for it for so long: 64*T1, after which nobody repeats anything (RFC 3261 17), and T4.
const OVER: Duration = Duration::from_secs(37);
/// How long an INVITE may ring: timer C of proxies (RFC 3261 16.6, more than 3 minutes) and what follows it.
const RINGING: Duration = Duration::from_secs(240);
/// How long registrations, subscriptions and publications wait for their refresh or the next try: an hour is usual.
const BINDING: Duration = Duration::from_secs(2 * 3600);
/// How long an answered call may be silent.
const TALK: Duration = Duration::from_secs(12 * 3600);

/// The family of rules that say how far the capture itself can be trusted: by all of it, at the end.
const ABOUT_THE_CAPTURE: char = 'H';

/// What was told of the calls that are open.
#[derive(Debug, Default)]
pub struct Watch {
    open: HashMap<Key, State>,
    calls: usize,
    findings: usize,
    /// Of the capture as a whole: rule and first frame.
    of_capture: HashSet<(&'static str, Option<u32>)>,
}

/// A call by its first message: frame and Call-ID.
type Key = (u32, Bytes);
/// A finding in a call by its rule, the frame it points at first, and how many like it there are before it. More frames may
/// join it later: a request is repeated once more.
type Sign = (&'static str, Option<u32>, usize);

#[derive(Debug, Default)]
struct State {
    number: usize,
    told_as: Option<Outcome>,
    /// When findings that were not told were there first.
    since: HashMap<Sign, Timestamp>,
    told: HashSet<Sign>,
    /// Numbers of the findings that were told.
    findings: Vec<usize>,
}

/// What to tell now, by positions in the [`Story`] that was heard.
#[derive(Debug, Default)]
pub struct News {
    /// For each call its number over the whole watch, from 0.
    pub numbers: Vec<usize>,
    /// Findings that are certain now.
    pub findings: Vec<usize>,
    /// Calls that ended, or turned out otherwise than was told, with the numbers of their findings.
    pub calls: Vec<(usize, Vec<usize>)>,
    /// For each call whether it is over: its messages can be forgotten.
    pub over: Vec<bool>,
    /// How many of these are not over but had no room.
    pub given_up: usize,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Something is still to come, but nothing soon.
    Settled,
    Over,
}

impl Watch {
    /// A watch that has told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls that were met so far.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Calls that are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes in a look at `now`, the last one when `ending`. `room`: bytes that open calls may take.
    pub fn hear(&mut self, story: &Story, now: Timestamp, ending: bool, room: usize) -> News {
        let views: Vec<CallView<'_>> = story.analysis.views().collect();
        let mut keys = Vec::with_capacity(views.len());
        let mut states: Vec<State> = Vec::with_capacity(views.len());
        for view in &views {
            let key = key(*view);
            let state = self.open.remove(&key).unwrap_or_else(|| {
                self.calls += 1;
                State { number: self.calls - 1, ..State::default() }
            });
            keys.push(key);
            states.push(state);
        }
        let phases: Vec<Phase> = views.iter().map(|view| if ending { Phase::Over } else { phase(view.call) }).collect();
        let mut news = News {
            numbers: states.iter().map(|state| state.number).collect(),
            over: phases.iter().map(|phase| *phase == Phase::Over).collect(),
            ..News::default()
        };
        let given_up = if ending { Vec::new() } else { give_up(&views, &news.over, room) };
        news.given_up = given_up.len();
        for call in given_up {
            news.over[call] = true;
        }
        self.findings(story, now, ending, &phases, &mut states, &mut news);
        for (at, view) in views.iter().enumerate() {
            let state = &mut states[at];
            if phases[at] > Phase::Open && state.told_as != Some(view.call.outcome) {
                state.told_as = Some(view.call.outcome);
                news.calls.push((at, state.findings.clone()));
            }
        }
        let stay = keys.into_iter().zip(states).zip(&news.over).filter(|(_, over)| !**over);
        self.open = stay.map(|(open, _)| open).collect();
        news
    }

    fn findings(
        &mut self,
        story: &Story,
        now: Timestamp,
        ending: bool,
        phases: &[Phase],
        states: &mut [State],
        news: &mut News,
    ) {
        let evidence_leaves = ending || news.over.contains(&true);
        let mut before: Vec<HashMap<Sign, Timestamp>> =
            states.iter_mut().map(|state| std::mem::take(&mut state.since)).collect();
        let mut alike: HashMap<(usize, &'static str, Option<u32>), usize> = HashMap::new();
        for (at, finding) in story.findings.iter().enumerate() {
            let code = finding.rule.code;
            let Some(call) = finding.call else {
                let is_told = if code.starts_with(ABOUT_THE_CAPTURE) { ending } else { evidence_leaves };
                let is_told = is_told && self.of_capture.len() < limits::FINDINGS_OF_CAPTURE;
                if is_told && self.of_capture.insert((code, finding.frames.first().copied())) {
                    self.tell(at, None, news);
                }
                continue;
            };
            let first = finding.frames.first().copied();
            let nth = alike.entry((call, code, first)).or_default();
            let sign = (code, first, *nth);
            *nth += 1;
            let state = &mut states[call];
            if state.told.contains(&sign) {
                continue;
            }
            let since = before[call].remove(&sign).unwrap_or(now);
            let is_certain =
                news.over[call] || (now.since(since) >= CERTAIN && cannot_be_mended(story, finding, call, now));
            let is_certain = is_certain && is_grave(finding);
            if is_certain || phases[call] > Phase::Open {
                state.told.insert(sign);
                self.tell(at, Some(state), news);
            } else {
                state.since.insert(sign, since);
            }
        }
    }

    fn tell(&mut self, at: usize, state: Option<&mut State>, news: &mut News) {
        news.findings.push(at);
        if let Some(state) = state {
            state.findings.push(self.findings);
        }
        self.findings += 1;
    }
}

fn key(view: CallView<'_>) -> Key {
    let first = view.messages().map(|(_, seen)| seen).min_by_key(|seen| seen.frames.first());
    first.map_or_else(Default::default, |seen| {
        let id = seen.message.call_id();
        let id = if id.is_empty() { Bytes::new() } else { seen.message.raw().slice_ref(id) };
        (seen.frames.first(), id)
    })
}

/// Proved, and of weight: notes, and what more packets may yet explain, wait for the end of the call.
fn is_grave(finding: &Finding) -> bool {
    finding.verdict == Verdict::Violated && finding.severity > Severity::Info
}

/// What is missing may still come as long as somebody repeats what it answers.
fn cannot_be_mended(story: &Story, finding: &Finding, call: usize, now: Timestamp) -> bool {
    let after = finding.missing.as_ref().map(|missing| story.analysis.view(call).seen(missing.after).time);
    after.is_none_or(|after| now.since(after) >= OVER)
}

fn phase(call: &Call) -> Phase {
    let quiet = call.watched_until.since(call.end);
    let (settled, over) = match (call.kind, call.outcome) {
        // Whatever became of it, the next try has the same Call-ID (RFC 3261 10.2.4).
        (Kind::Registration | Kind::Subscription | Kind::Publish, _) => (OVER, BINDING),
        (_, Outcome::Active) => (TALK, TALK),
        (_, Outcome::Incomplete) => (RINGING, RINGING),
        _ => (OVER, OVER),
    };
    match quiet {
        quiet if quiet >= over => Phase::Over,
        quiet if quiet >= settled => Phase::Settled,
        _ => Phase::Open,
    }
}

/// Calls to forget before they are over, so that the rest takes three quarters of `room`: first those that nobody
/// answered, then the longest quiet. A flood has many of the first kind.
fn give_up(views: &[CallView<'_>], over: &[bool], room: usize) -> Vec<usize> {
    let size =
        |view: &CallView<'_>| view.messages().map(|(_, seen)| seen.message.raw().len() + limits::MESSAGE_COST).sum();
    let mut open: Vec<(usize, usize)> =
        views.iter().enumerate().filter(|(at, _)| !over[*at]).map(|(at, view)| (at, size(view))).collect();
    let mut held: usize = open.iter().map(|(_, size)| size).sum();
    if held <= room && open.len() <= limits::OPEN_CALLS {
        return Vec::new();
    }
    let has_answer = |view: CallView<'_>| view.messages().any(|(_, seen)| !seen.message.is_request());
    open.sort_by_cached_key(|(at, _)| (has_answer(views[*at]), views[*at].call.end, *at));
    let mut left = open.len();
    let fits = |held: usize, left: usize| held <= room / 4 * 3 && left <= limits::OPEN_CALLS / 4 * 3;
    let mut given_up = Vec::new();
    for (at, size) in open {
        if fits(held, left) {
            break;
        }
        held -= size;
        left -= 1;
        given_up.push(at);
    }
    given_up
}
