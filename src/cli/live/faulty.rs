//! `--write-on`: calls with findings are kept, each in a file of its own.

use super::evidence::Disk;
use super::tap::{Pulse, Tap};
use crate::analysis::{Analysis, CallView};
use crate::base::{Batch, Error, LinkType, Timestamp};
use crate::capture::{CallFile, Keeper, Kept, Left, Tally};
use crate::cli::export::comment;
use crate::cli::{say, select};
use crate::export::border;
use crate::flow::Verdict;
use crate::report::count;
use crate::rules::{Finding, Severity};
use crate::session::Seen;
use crate::story::{News, Story};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What did not happen before a call can only be told of a capture that was running: longer than anybody repeats a
/// request (64*T1, RFC 3261 17).
const BEFORE: Duration = Duration::from_secs(40);
/// Codes in the name of a file.
const CODES: usize = 4;

/// Findings that make a call worth keeping.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Any,
    /// Proved, and at least so bad.
    From(Severity),
    Rule(&'static str),
}

/// What the user calls it.
pub(super) fn wanted(name: &str) -> Result<Wanted, Error> {
    let severities = [Severity::Info, Severity::Warning, Severity::Error];
    match severities.into_iter().find(|severity| severity.name() == name) {
        Some(severity) => Ok(Wanted::From(severity)),
        None if name == "any" => Ok(Wanted::Any),
        None => select::rule_code(name).map(Wanted::Rule),
    }
}

impl Wanted {
    fn fits(self, finding: &Finding) -> bool {
        match self {
            Self::Any => true,
            Self::From(severity) => finding.verdict == Verdict::Violated && finding.severity >= severity,
            Self::Rule(code) => finding.rule.code == code,
        }
    }
}

/// Keeps the packets of calls that are open, and writes those of calls with such findings.
pub(super) struct Faulty {
    disk: Disk,
    wanted: Vec<Wanted>,
    keeper: Keeper,
    /// Calls with such findings, by number.
    found: BTreeMap<usize, Found>,
    /// Calls by their first messages of each Call-ID: two calls may turn out to be one.
    firsts: HashMap<First, usize, RandomState>,
    /// Calls with such findings whose packets were gone.
    gone: u64,
    /// Times between which packets came.
    watched: Option<(Timestamp, Timestamp)>,
}

/// Frame and Call-ID.
type First = (u32, Box<[u8]>);
type Comments = HashMap<u32, Vec<String>, RandomState>;

#[derive(Default)]
struct Found {
    codes: BTreeSet<&'static str>,
    comments: Comments,
}

impl Faulty {
    pub(super) fn new(disk: Disk, wanted: Vec<Wanted>, room: usize) -> Self {
        Self {
            disk,
            wanted,
            keeper: Keeper::new(room),
            found: BTreeMap::new(),
            firsts: HashMap::default(),
            gone: 0,
            watched: None,
        }
    }

    /// Notes what was told of calls, and what is known of those that are wanted.
    fn note(&mut self, story: &Story, news: &News) {
        let of_call = |finding: &Finding| Some(news.numbers[finding.call.filter(|_| finding.ignored.is_none())?]);
        for finding in news.findings.iter().map(|at| &story.findings[*at]) {
            if let Some(number) = of_call(finding).filter(|_| self.wanted.iter().any(|wanted| wanted.fits(finding))) {
                self.found.entry(number).or_default().codes.insert(finding.rule.code);
            }
        }
        let mut comments: HashMap<usize, Comments, RandomState> = HashMap::default();
        for finding in &story.findings {
            let Some(number) = of_call(finding).filter(|number| self.found.contains_key(number)) else {
                continue;
            };
            let text = comment(finding, false);
            for frame in &finding.frames {
                let here = comments.entry(number).or_default().entry(*frame).or_default();
                if !here.contains(&text) {
                    here.push(text.clone());
                }
            }
        }
        for (number, comments) in comments {
            self.found.entry(number).or_default().comments = comments;
        }
    }

    /// A call that was two takes what was kept for the other one.
    fn join(&mut self, firsts: &[First], number: usize) {
        for first in firsts {
            let Some(other) = self.firsts.insert(first.clone(), number).filter(|other| *other != number) else {
                continue;
            };
            self.keeper.take(other);
            if let Some(found) = self.found.remove(&other) {
                self.found.entry(number).or_default().codes.extend(found.codes);
            }
        }
    }

    fn over(&mut self, number: usize) {
        let packets = self.keeper.take(number);
        self.write(number, packets);
    }

    /// A call of which some messages are done with, and that goes on with the message in `frame`.
    fn goes_on(&mut self, number: usize, frame: u32) {
        let packets = self.keeper.shed(number, frame);
        self.write(number, packets);
    }

    fn write(&mut self, number: usize, packets: Option<Vec<Arc<Kept>>>) {
        let found = self.found.remove(&number);
        let (Some(Found { codes, comments }), Some(recorder)) = (found, self.disk.recorder()) else {
            return;
        };
        let Some(packets) = packets.filter(|packets| !packets.is_empty()) else {
            self.gone += 1;
            return;
        };
        let codes: Vec<&str> = codes.into_iter().take(CODES).collect();
        let name = format!("call-{}-{}", number + 1, codes.join("-"));
        recorder.call(CallFile { name, packets: framed(packets, self.watched), comments });
    }
}

impl Tap for Faulty {
    fn packets(&mut self, batch: &Arc<Batch>) {
        self.keeper.hear(batch);
    }

    fn messages(&mut self, messages: &[Seen]) {
        for seen in messages {
            self.keeper.keep(seen.frames.as_slice());
        }
    }

    fn news(&mut self, story: &Story, news: &News) {
        let analysis = &story.analysis;
        self.watched = analysis.last.map(|last| (analysis.first.unwrap_or(last), last));
        self.note(story, news);
        let about = about(story);
        for view in analysis.views() {
            let (at, number) = (view.number, news.numbers[view.number]);
            let first = firsts(view, 0);
            self.join(&first, number);
            let messages = view.messages().flat_map(|(_, seen)| seen.frames.as_slice().iter().copied());
            self.keeper.give(number, messages.chain(about.get(&at).into_iter().flatten().copied()));
            let done = news.stays[at].map(|stay| stay.done);
            if done != Some(0) {
                for first in &first {
                    self.firsts.remove(first);
                }
            }
            match done {
                None => self.over(number),
                Some(0) => {}
                Some(done) => {
                    let rest = firsts(view, done);
                    self.join(&rest, number);
                    self.goes_on(number, rest.iter().map(|(frame, _)| *frame).min().unwrap_or_default());
                }
            }
        }
        self.keeper.settle();
    }

    fn pulse(&mut self, _pulse: &Pulse) {
        self.disk.at_look();
    }

    fn troubles(&mut self) -> Vec<String> {
        self.disk.troubles()
    }

    fn fault(&self) -> Option<String> {
        self.disk.fault()
    }

    fn end(&mut self) -> bool {
        let open: Vec<usize> = self.found.keys().copied().collect();
        for number in open {
            self.over(number);
        }
        let Tally { lost_calls, .. } = self.disk.finish();
        let Left { calls, packets } = self.keeper.left();
        if calls + packets > 0 {
            let (calls, packets) = (count(calls as usize, "call"), count(packets as usize, "packet"));
            say(&format_args!("{calls} and {packets} had no room in --ring-memory"));
        }
        let lost = lost_calls + self.gone;
        if lost > 0 {
            say(&format_args!("{} with such findings not written", count(lost as usize, "call")));
        }
        lost == 0
    }
}

/// Frames that are no messages and belong to calls: errors about them, and what findings point at (ends of
/// connections).
fn about(story: &Story) -> HashMap<usize, Vec<u32>, RandomState> {
    let Story { analysis: Analysis { icmp, .. }, findings, .. } = story;
    let mut about: HashMap<usize, Vec<u32>, RandomState> = HashMap::default();
    let errors = icmp.iter().filter_map(|report| Some((report.call?, report.frame)));
    let pointed = findings.iter().filter_map(|finding| Some((finding.call?, &finding.frames)));
    for (call, frame) in errors.chain(pointed.flat_map(|(call, frames)| frames.iter().map(move |frame| (call, *frame))))
    {
        about.entry(call).or_default().push(frame);
    }
    about
}

/// The first message of each Call-ID in a call, behind those that are done with.
fn firsts(view: CallView<'_>, done: usize) -> Vec<First> {
    let mut firsts: Vec<(u32, &[u8])> = Vec::new();
    for (_, seen) in view.messages().skip(done) {
        let (frame, id) = (seen.frames.last(), seen.message.call_id());
        match firsts.iter_mut().find(|(_, known)| *known == id) {
            Some((first, _)) => *first = frame.min(*first),
            None => firsts.push((frame, id)),
        }
    }
    firsts.into_iter().map(|(frame, id)| (frame, id.into())).collect()
}

/// A call between frames that say when the capture was running: without them nobody could tell what did not happen.
fn framed(packets: Vec<Arc<Kept>>, watched: Option<(Timestamp, Timestamp)>) -> Vec<Arc<Kept>> {
    let (Some(first), Some(last), Some((begun, now))) = (packets.first(), packets.last(), watched) else {
        return packets;
    };
    let sign = |like: &Kept, time: Timestamp| border_at(like.link, time, like.interface);
    let back = first.time.as_nanos().saturating_sub(BEFORE.as_nanos() as i64);
    let before = sign(first, begun.max(Timestamp::from_nanos(back)).min(first.time));
    let after = sign(last, now.max(last.time));
    before.into_iter().chain(packets.iter().cloned()).chain(after).collect()
}

fn border_at(link: LinkType, time: Timestamp, interface: u32) -> Option<Arc<Kept>> {
    let data = border(link)?;
    let original = data.len() as u32;
    Some(Arc::new(Kept { frame: 0, time, interface, link, original, data: data.into() }))
}
