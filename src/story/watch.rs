//! What is new since the last look: findings that have become certain, calls that have ended.
//!
//! Whoever watches looks again and again at calls that are open, when something came for them or falls due, each look judged
//! as a capture that ends there. What this remembers is only what was told before, and it says when to look again.

use super::Story;
use crate::analysis::{CallView, Stay, done};
use crate::base::{Timestamp, limits};
use crate::call::{self, Call, Kind, Outcome};
use crate::flow::Verdict;
use crate::rules::{Finding, Severity};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A finding is certain when it was there at two looks so far apart: packets that are captured in the wrong order, or
/// wait in a buffer, come within less.
const CERTAIN: Duration = Duration::from_millis(500);
/// A call is over when nothing came for it for so long: 64*T1, after which nobody repeats anything (RFC 3261 17), and T4.
pub const OVER: Duration = Duration::from_secs(37);
/// How long an INVITE may ring: timer C of proxies (RFC 3261 16.6, more than 3 minutes) and what follows it.
const RINGING: Duration = Duration::from_secs(240);
/// How long registrations, subscriptions and publications wait for their refresh or the next try: an hour is usual.
const BINDING: Duration = Duration::from_secs(2 * 3600);
/// How long an answered call may be silent.
const TALK: Duration = Duration::from_secs(12 * 3600);

/// Silences after which a call is looked at again although its phase does not change: what should have come by then may be
/// missed. The last one waits for proxies' timer C. A call that is over is looked at once more in any case.
const SILENCES: [Duration; 6] = [
    Duration::from_millis(1_500),
    Duration::from_secs(4),
    Duration::from_secs(16),
    Duration::from_millis(33_500),
    Duration::from_secs(65),
    Duration::from_secs(182),
];

/// The family of rules that say how far the capture itself can be trusted: by all of it, at the end.
const ABOUT_THE_CAPTURE: char = 'H';
/// The rule that says of an answered call that nobody acknowledged it.
const NO_ACK: &str = "I01";

/// What was told of the calls that are open.
#[derive(Debug, Default)]
pub struct Watch {
    /// By Call-ID and first frame.
    by_id: HashMap<Bytes, Vec<(u32, State)>, foldhash::quality::RandomState>,
    open: usize,
    calls: usize,
    findings: usize,
    /// Whether a call is told when it is over and not before.
    once: bool,
    /// Of the capture as a whole: rule and first frame.
    of_capture: HashSet<(&'static str, Option<u32>)>,
}

/// A call by its first message: frame, and Call-ID or what stands for it.
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
    /// Numbers of the findings that were told, since some of its messages were done with.
    findings: Vec<usize>,
    /// Rules that told of messages which are done with: what they find up to the frame was told.
    told_before: (HashSet<&'static str>, u32),
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
    /// For each call what stays of it; none when it is over.
    pub stays: Vec<Option<Stay>>,
    /// How many of these are not over but had no room.
    pub given_up: usize,
}

/// How far the watch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// More may come.
    Running,
    /// Nothing more comes, and this is not the last look.
    Ending,
    /// This is the last look.
    Last,
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Something is still to come, but nothing soon.
    Settled,
    Over,
}

impl State {
    /// Forgets what it knows of messages that are done with. What the call is known by from now on.
    fn shed(&mut self, view: CallView<'_>, done: usize, phase: Phase) -> Key {
        let key = keys(view, done).into_iter().next().unwrap_or_default();
        if phase > Phase::Open {
            self.told_before.1 = view.messages().map(|(_, seen)| seen.frames.last()).max().unwrap_or_default();
        }
        let before = self.told.extract_if(|(_, frame, _)| frame.is_some_and(|frame| frame < key.0));
        self.told_before.0.extend(before.map(|(code, ..)| code));
        self.findings.clear();
        key
    }
}

impl Watch {
    /// A watch that has told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A watch that tells of each call once, when it is over: for whoever has no hurry.
    pub fn telling_once() -> Self {
        Self { once: true, ..Self::default() }
    }

    /// Calls that were met so far.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Calls that are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Calls under this [`call::group_key`] were let go without another look. How many there were, or one that was never
    /// looked at.
    pub fn lose(&mut self, id: &Bytes) -> usize {
        let known = self.by_id.remove(id).map_or(0, |states| states.len());
        self.open -= known;
        self.calls += usize::from(known == 0);
        known.max(1)
    }

    /// The clock of the packets was set, by so many nanoseconds.
    pub fn step(&mut self, nanos: i64) {
        let states = self.by_id.values_mut().flatten();
        states.flat_map(|(_, state)| state.since.values_mut()).for_each(|since| *since = since.moved(nanos));
    }

    /// Takes in a look at `now`. `no_room` says which calls are to be let go before they are over.
    pub fn hear(&mut self, story: &Story, now: Timestamp, stage: Stage, no_room: impl Fn(&Call) -> bool) -> News {
        let views: Vec<CallView<'_>> = story.analysis.views().collect();
        let (keys, mut states) = self.states(&views);
        let dead = dead(story);
        let is_running = stage == Stage::Running;
        let phase = |view: &CallView<'_>| if is_running { phase(view.call, dead[view.number]).0 } else { Phase::Over };
        let phases: Vec<Phase> = views.iter().map(phase).collect();
        let mut news = News {
            numbers: states.iter().map(|state| state.number).collect(),
            over: phases.iter().map(|phase| *phase == Phase::Over).collect(),
            ..News::default()
        };
        for (at, view) in views.iter().enumerate() {
            if !news.over[at] && no_room(view.call) {
                news.over[at] = true;
                news.given_up += 1;
            }
        }
        let waiting = self.findings(story, now, stage, &phases, &mut states, &mut news);
        for (at, view) in views.iter().enumerate() {
            let state = &mut states[at];
            let is_time = if self.once { news.over[at] } else { phases[at] > Phase::Open };
            if is_time && state.told_as != Some(view.call.outcome) {
                state.told_as = Some(view.call.outcome);
                news.calls.push((at, state.findings.clone()));
            }
            news.stays.push((!news.over[at]).then(|| {
                let is_settled = phases[at] > Phase::Open;
                Stay {
                    due: next_look(view.call, dead[at], now, waiting[at], self.once),
                    done: done(*view, is_settled, OVER),
                }
            }));
        }
        for ((at, key), mut state) in keys.into_iter().enumerate().zip(states) {
            let Some(Stay { done, .. }) = news.stays[at] else {
                continue;
            };
            let (first, id) = match done {
                0 => key,
                done => state.shed(views[at], done, phases[at]),
            };
            self.by_id.entry(id).or_default().push((first, state));
            self.open += 1;
        }
        news
    }

    /// What is remembered of these calls, taken out, and what they are known by. What was told of legs that turned out to
    /// be one call stays told.
    fn states(&mut self, views: &[CallView<'_>]) -> (Vec<Key>, Vec<State>) {
        let known_by: Vec<Vec<Key>> = views.iter().map(|view| keys(*view, 0)).collect();
        let mut old: HashMap<Key, State> = HashMap::new();
        for (_, id) in known_by.iter().flatten() {
            let Some(states) = self.by_id.remove(id) else {
                continue;
            };
            self.open -= states.len();
            old.extend(states.into_iter().map(|(first, state)| ((first, id.clone()), state)));
        }
        let of_call = |keys: Vec<Key>| {
            let mut legs = keys.iter().map(|key| old.remove(key)).collect::<Vec<_>>().into_iter();
            let mut state = legs.next().flatten().unwrap_or_else(|| {
                self.calls += 1;
                State { number: self.calls - 1, ..State::default() }
            });
            for leg in legs.flatten() {
                state.told.extend(leg.told);
                state.findings.extend(leg.findings);
                state.told_before.0.extend(leg.told_before.0);
                state.told_before.1 = state.told_before.1.min(leg.told_before.1);
            }
            (keys.into_iter().next().unwrap_or_default(), state)
        };
        known_by.into_iter().map(of_call).unzip()
    }

    /// Tells what is certain. For each call, when a finding that waits may be.
    fn findings(
        &mut self,
        story: &Story,
        now: Timestamp,
        stage: Stage,
        phases: &[Phase],
        states: &mut [State],
        news: &mut News,
    ) -> Vec<Option<Timestamp>> {
        let ending = stage == Stage::Last;
        let mut waiting: Vec<Option<Timestamp>> = vec![None; states.len()];
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
            let (rules, until) = &state.told_before;
            let is_old = || rules.contains(code) && finding.frames.iter().max().is_some_and(|last| last <= until);
            if state.told.contains(&sign) || is_old() {
                continue;
            }
            let since = before[call].remove(&sign).unwrap_or(now);
            let certain = since.after(CERTAIN).max(not_mended_before(story, finding, call));
            let is_certain = (news.over[call] || now >= certain && !self.once) && is_grave(finding);
            if is_certain || phases[call] > Phase::Open {
                state.told.insert(sign);
                self.tell(at, Some(state), news);
            } else {
                state.since.insert(sign, since);
                if is_grave(finding) && !self.once {
                    waiting[call] = Some(waiting[call].map_or(certain, |first| first.min(certain)));
                }
            }
        }
        waiting
    }

    fn tell(&mut self, at: usize, state: Option<&mut State>, news: &mut News) {
        news.findings.push(at);
        if let Some(state) = state {
            state.findings.push(self.findings);
        }
        self.findings += 1;
    }
}

/// What a call without its first messages is known by, and what each of its other Call-IDs was known by when it was a call of
/// its own.
fn keys(view: CallView<'_>, done: usize) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for (_, seen) in view.messages().skip(done) {
        let (first, id) = (seen.frames.first(), seen.message.call_id());
        let is_same = |(_, known): &Key| if id.is_empty() { known.first() == Some(&0) } else { known == id };
        match keys.iter().position(is_same) {
            Some(at) => keys[at].0 = first.min(keys[at].0),
            None if keys.len() <= limits::LEGS_OF_A_CALL => keys.push((first, call::group_key(seen))),
            None => {}
        }
    }
    keys.sort_unstable();
    keys
}

/// Proved, and of weight: notes, and what more packets may yet explain, wait for the end of the call.
fn is_grave(finding: &Finding) -> bool {
    finding.verdict == Verdict::Violated && finding.severity > Severity::Info
}

/// What is missing may still come as long as somebody repeats what it answers.
fn not_mended_before(story: &Story, finding: &Finding, call: usize) -> Timestamp {
    let missing = finding.missing.as_ref();
    missing.map_or(Timestamp::MIN, |missing| story.analysis.view(call).seen(missing.after).time.after(OVER))
}

/// How far a call is, and how long it has to be silent until it is further. `is_dead`: its callee got no ACK and gave up.
fn phase(call: &Call, is_dead: bool) -> (Phase, Duration) {
    let quiet = call.watched_until.since(call.end);
    let (settled, over) = match (call.kind, call.outcome) {
        // Whatever became of it, the next try has the same Call-ID (RFC 3261 10.2.4).
        (Kind::Registration | Kind::Subscription | Kind::Publish, _) => (OVER, BINDING),
        // Whoever gets no ACK within 64*T1 ends the session (RFC 3261 13.3.1.4).
        (_, Outcome::Active) if is_dead => (RINGING, RINGING),
        (_, Outcome::Active) => (TALK, TALK),
        (_, Outcome::Incomplete) => (RINGING, RINGING),
        _ => (OVER, OVER),
    };
    match quiet {
        quiet if quiet >= over => (Phase::Over, Duration::ZERO),
        quiet if quiet >= settled => (Phase::Settled, over),
        _ => (Phase::Open, settled),
    }
}

/// For each call whether it is proved that its callee got no ACK.
fn dead(story: &Story) -> Vec<bool> {
    let mut dead = vec![false; story.analysis.calls.len()];
    let proved =
        story.findings.iter().filter(|finding| finding.rule.code == NO_ACK && finding.verdict == Verdict::Violated);
    proved.filter_map(|finding| finding.call).for_each(|call| dead[call] = true);
    dead
}

/// When to look at a call again if nothing comes for it. `once`: not before its phase changes.
fn next_look(call: &Call, is_dead: bool, now: Timestamp, waiting: Option<Timestamp>, once: bool) -> Timestamp {
    let quiet = call.watched_until.since(call.end);
    let silence = SILENCES.into_iter().find(|silence| *silence > quiet && !once);
    let until = silence.unwrap_or(Duration::MAX).min(phase(call, is_dead).1);
    let due = now.after(until.saturating_sub(quiet));
    waiting.map_or(due, |waiting| due.min(waiting.max(now.after(CERTAIN))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::build;

    fn call(kind: Kind, outcome: Outcome, quiet: Duration) -> Call {
        let end = Timestamp::default().after(quiet);
        Call { kind, outcome, end: Timestamp::default(), watched_until: end, ..build(&[], &[], end) }
    }

    #[test]
    fn a_call_is_looked_at_when_its_phase_changes_and_when_something_may_be_missed() {
        let next = |outcome, quiet: u64| {
            let quiet = Duration::from_millis(quiet);
            let now = Timestamp::default().after(quiet);
            next_look(&call(Kind::Call, outcome, quiet), false, now, None, false)
                .since(Timestamp::default())
                .as_millis()
        };
        assert_eq!(
            [0, 1_500, 16_000, 33_500].map(|quiet| next(Outcome::Answered, quiet)),
            [1_500, 4_000, 33_500, 37_000]
        );
        assert_eq!([182_000, 300_000].map(|quiet| next(Outcome::Active, quiet)), [43_200_000; 2]);
        assert_eq!(next(Outcome::Incomplete, 200_000), 240_000);
    }

    #[test]
    fn a_call_without_ack_is_over_when_its_callee_gave_up() {
        let phase = |quiet, is_dead| phase(&call(Kind::Call, Outcome::Active, quiet), is_dead).0;
        assert!(phase(RINGING, true) == Phase::Over && phase(RINGING, false) == Phase::Open);
    }

    #[test]
    fn what_waits_to_be_certain_is_looked_at_when_it_is() {
        let (quiet, now) = (Duration::from_secs(200), Timestamp::default());
        let call = call(Kind::Call, Outcome::Active, quiet);
        assert_eq!(next_look(&call, false, now, Some(now.after(OVER)), false), now.after(OVER));
        assert_eq!(next_look(&call, false, now, Some(Timestamp::MIN), false), now.after(CERTAIN));
    }

    #[test]
    fn what_was_let_go_without_a_look_counts_as_a_call_once() {
        let mut watch = Watch::new();
        assert_eq!((watch.lose(&Bytes::from_static(b"a")), watch.calls(), watch.open()), (1, 1, 0));
    }
}
