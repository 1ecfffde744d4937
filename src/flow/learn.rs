//! A reference flow out of good calls: what they have in common is needed, what only some have is optional.

use super::catalog::Catalog;
use super::compare::Matcher;
use super::fact::{Fact, Facts};
use super::facts::facts;
use super::media::motion;
use super::model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
use super::observed::observe;
use super::token::{Alphabet, Token, Verb};
use crate::analysis::CallView;
use crate::call::Role;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Messages of a call that is worth learning from; longer ones are not read by anybody.
const STEPS: usize = 500;

/// Why no flow can be learned. Calls are named by their number, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotLearn {
    /// Nothing to learn from.
    #[error("there is no call to learn from")]
    Nothing,
    /// Flows describe calls that begin with a method of their own only.
    #[error("call {0} begins with no request that flows describe")]
    Kind(usize),
    /// Too long, or it goes in circles.
    #[error("call {0} has more than {STEPS} messages, or a hop from an element to itself")]
    Shape(usize),
    /// The calls differ in what they are or who takes part.
    #[error("call {1} is of another kind than call {0}, or has another number of participants")]
    Unlike(usize, usize),
    /// What was learned does not describe this call.
    #[error("call {0} does not follow the flow that was learned from all of them: learn it by itself")]
    Misfit(usize),
}

/// The flow that all of `views` followed, under the name `name`: the messages that all have, in order; those
/// that only some have are optional, provisional ones always are; and the facts that hold in all. It is
/// returned only when every one of the calls follows it to its end without deviation.
pub fn learn(views: &[CallView<'_>], name: &str) -> Result<ReferenceFlow, CannotLearn> {
    let first = views.first().ok_or(CannotLearn::Nothing)?;
    let kind = kind(*first)?;
    for view in views {
        let is_like = self::kind(*view)? == kind && view.call.participants.len() == first.call.participants.len();
        if !is_like {
            return Err(CannotLearn::Unlike(first.number + 1, view.number + 1));
        }
    }
    let lesson = Lesson { views, name, kind };
    // Where exchanges beside the call come as they like (INFO, OPTIONS), what is left is still worth a flow.
    let basic = Alphabet::basic().or(Alphabet::opening(kind));
    lesson.learn(Alphabet::whole()).or_else(|why| lesson.learn(basic).map_err(|_| why))
}

/// What is to be learned from what.
struct Lesson<'a> {
    views: &'a [CallView<'a>],
    name: &'a str,
    kind: FlowKind,
}

impl Lesson<'_> {
    /// The flow in the words of `alphabet`.
    fn learn(&self, alphabet: Alphabet) -> Result<ReferenceFlow, CannotLearn> {
        let taken = |view: &CallView<'_>| steps(*view, self.kind, alphabet).ok_or(CannotLearn::Shape(view.number + 1));
        let ladders = self.views.iter().map(taken).collect::<Result<Vec<_>, _>>()?;
        let participants = self.views.first().map_or(0, |first| first.call.participants.len());
        let merged = self.flow(ladder(merge(&ladders), participants));
        if misfit(&merged, self.views).is_none() {
            return Ok(merged);
        }
        // What varies is no matter of leaving out: each way by itself.
        let mut ways: Vec<Vec<Part>> = Vec::new();
        for steps in ladders {
            let way = ladder(merge(&[steps]), participants);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let apart = self.flow(vec![Part::Either(ways)]);
        match misfit(&apart, self.views) {
            None => Ok(apart),
            Some(number) => Err(CannotLearn::Misfit(number)),
        }
    }

    fn flow(&self, ladder: Vec<Part>) -> ReferenceFlow {
        ReferenceFlow {
            name: self.name.to_owned(),
            title: match self.views.len() {
                1 => format!("Learned from a good {}", self.kind.name()),
                n => format!("Learned from {n} good {}s", self.kind.name()),
            },
            section: String::new(),
            kind: self.kind,
            when: common_facts(self.views, self.kind),
            roles: self.views.first().map(|first| roles(*first)).unwrap_or_default(),
            ladder,
        }
    }
}

fn kind(view: CallView<'_>) -> Result<FlowKind, CannotLearn> {
    FlowKind::of(view.call.kind).ok_or(CannotLearn::Kind(view.number + 1))
}

/// The first call that does not follow `flow`.
fn misfit(flow: &ReferenceFlow, views: &[CallView<'_>]) -> Option<usize> {
    let catalog = Catalog::new(vec![flow.clone()]);
    let mut matcher = Matcher::new(&catalog);
    let mut follows = |view: CallView<'_>| {
        let found = matcher.compare(view);
        found.flow.is_some() && found.cost == 0 && found.missing.is_empty()
    };
    views.iter().find(|view| !follows(**view)).map(|view| view.number + 1)
}

/// The messages of a call, each said once; what releases it as if the caller did.
fn steps(view: CallView<'_>, kind: FlowKind, alphabet: Alphabet) -> Option<Vec<Step>> {
    let messages = observe(view, kind, &motion(view).moved).told(alphabet);
    if messages.is_empty() || messages.len() > STEPS {
        return None;
    }
    let mut steps: Vec<Step> = Vec::with_capacity(messages.len());
    for (token, no) in messages {
        let message = view.call.message(no);
        if message.from == message.to {
            return None;
        }
        let step =
            Step { label: String::new(), from: message.from.at(), to: message.to.at(), message: pattern(token, kind) };
        if !(step.message.is_provisional() && steps.contains(&step)) {
            steps.push(step);
        }
    }
    let end = release(&steps);
    if steps.get(end).is_some_and(|bye| bye.from > bye.to) {
        steps[end..].iter_mut().for_each(|step| std::mem::swap(&mut step.from, &mut step.to));
    }
    Some(steps)
}

/// Where the release of a call begins.
fn release(steps: &[Step]) -> usize {
    steps.iter().position(|step| step.message.verb == Verb::Bye).unwrap_or(steps.len())
}

/// A step, and which of the calls have it.
struct Merged {
    step: Step,
    calls: Vec<usize>,
}

/// One list of all steps, in an order that each of `lists` keeps.
fn merge(lists: &[Vec<Step>]) -> Vec<Part> {
    let mut merged: Vec<Merged> = Vec::new();
    for (call, steps) in lists.iter().enumerate() {
        // Steps as numbers: the same step has the same number.
        let mut known: Vec<&Step> = Vec::new();
        let mut number = |step| {
            known.iter().position(|one| *one == step).unwrap_or_else(|| {
                known.push(step);
                known.len() - 1
            })
        };
        let old: Vec<usize> = merged.iter().map(|one| number(&one.step)).collect();
        let new: Vec<usize> = steps.iter().map(&mut number).collect();
        let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
        let mut before = std::mem::take(&mut merged).into_iter();
        let fresh = |range: std::ops::Range<usize>| {
            steps[range].iter().map(|step| Merged { step: step.clone(), calls: vec![call] }).collect::<Vec<_>>()
        };
        for op in ops {
            match op {
                DiffOp::Equal { len, .. } => {
                    merged.extend(before.by_ref().take(len).map(|mut one| {
                        one.calls.push(call);
                        one
                    }));
                }
                DiffOp::Delete { old_len, .. } => merged.extend(before.by_ref().take(old_len)),
                DiffOp::Insert { new_index, new_len, .. } => merged.extend(fresh(new_index..new_index + new_len)),
                DiffOp::Replace { old_len, new_index, new_len, .. } => {
                    merged.extend(before.by_ref().take(old_len));
                    merged.extend(fresh(new_index..new_index + new_len));
                }
            }
        }
    }
    for (number, one) in merged.iter_mut().enumerate() {
        one.step.label = format!("F{}", number + 1);
    }
    optional(merged, lists.len())
}

/// What only some of the calls have becomes optional, in blocks of what the same ones have.
fn optional(merged: Vec<Merged>, all: usize) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut last: Option<Vec<usize>> = None;
    for Merged { step, calls } in merged {
        if calls.len() == all {
            parts.push(Part::Step(step));
            last = None;
            continue;
        }
        match parts.last_mut() {
            Some(Part::Optional(block)) if last.as_ref() == Some(&calls) => block.push(Part::Step(step)),
            _ => parts.push(Part::Optional(vec![Part::Step(step)])),
        }
        last = Some(calls);
    }
    parts
}

fn pattern(token: Token, kind: FlowKind) -> Pattern {
    let is_start = kind.opens(token.verb) && token.status == 0;
    Pattern {
        status: match token.status {
            0 => Vec::new(),
            101..=199 => vec![(101, 199)],
            200..=299 => vec![(200, 299)],
            status => vec![(status, status)],
        },
        credentials: is_start.then_some(token.credentials),
        contact: (is_start && token.verb == Verb::Register).then_some(token.contact),
        ..Pattern::request(token.verb)
    }
}

fn common_facts(views: &[CallView<'_>], kind: FlowKind) -> Vec<(Fact, bool)> {
    let all: Vec<_> = views.iter().map(|view| facts(*view, kind, &motion(*view), |_| Facts::ALL)).collect();
    let holds = |fact: &Fact| all.iter().all(|facts| facts.holds(*fact));
    Fact::NAMES.iter().map(|(fact, _)| *fact).filter(holds).map(|fact| (fact, true)).collect()
}

fn roles(view: CallView<'_>) -> Vec<String> {
    let last = view.call.participants.len().saturating_sub(1);
    let name = |at: usize| match at {
        0 => "caller".to_owned(),
        at if at == last => {
            let role = view.call.participants[at].role;
            if role == Role::Registrar { "registrar".to_owned() } else { "callee".to_owned() }
        }
        at => format!("element{at}"),
    };
    (0..=last).map(name).collect()
}

/// The parts, with the media before the first BYE, and the BYE from either side.
fn ladder(mut parts: Vec<Part>, participants: usize) -> Vec<Part> {
    fn has(part: &Part, verb: Verb) -> bool {
        match part {
            Part::Step(step) => step.message.verb == verb,
            Part::Optional(block) => block.iter().any(|part| has(part, verb)),
            _ => false,
        }
    }
    let end = parts.iter().position(|part| has(part, Verb::Bye)).unwrap_or(parts.len());
    let release = parts.split_off(end);
    if parts.iter().any(|part| has(part, Verb::Ack)) {
        parts.push(Part::Media(0, participants.saturating_sub(1)));
    }
    if !release.is_empty() {
        parts.push(Part::EitherSide(release));
    }
    parts
}
