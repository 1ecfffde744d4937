//! A reference flow out of a good call.

use super::facts::{Fact, facts};
use super::model::{FlowKind, Part, Pattern, ReferenceFlow, Step};
use super::observed::{observe, told};
use super::token::{Token, Verb};
use crate::analysis::CallView;
use crate::call::{Kind, Role};

/// Messages of a call that is worth learning from; longer ones are not read by anybody.
const STEPS: usize = 500;

/// The flow that the call in `view` followed, under the name `name`: its messages in order, each needed but for
/// the provisional ones, and its facts. `None` for what is neither call nor registration, for calls of more than
/// 500 messages and for spirals (a hop from an element to itself).
pub fn learn(view: CallView<'_>, name: &str) -> Option<ReferenceFlow> {
    let kind = match view.call.kind {
        Kind::Call => FlowKind::Call,
        Kind::Registration => FlowKind::Registration,
        _ => return None,
    };
    let messages = told(view);
    if messages.is_empty() || messages.len() > STEPS {
        return None;
    }
    let mut steps: Vec<Step> = Vec::with_capacity(messages.len());
    for (no, token) in messages {
        let message = view.call.message(no);
        if message.from == message.to {
            return None;
        }
        let step = Step { label: String::new(), from: message.from.at(), to: message.to.at(), message: pattern(token) };
        let is_known = |known: &Step| (known.from, known.to, &known.message) == (step.from, step.to, &step.message);
        if !(step.message.is_provisional() && steps.iter().any(is_known)) {
            steps.push(step);
        }
    }
    for (number, step) in steps.iter_mut().enumerate() {
        step.label = format!("F{}", number + 1);
    }
    Some(ReferenceFlow {
        name: name.to_owned(),
        title: format!("Learned from a good {}", view.call.kind.name()),
        section: String::new(),
        kind,
        when: known_facts(view),
        roles: roles(view),
        ladder: ladder(steps, view.call.participants.len()),
    })
}

fn pattern(token: Token) -> Pattern {
    let is_start = matches!(token.verb, Verb::Invite | Verb::Register) && token.status == 0;
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

fn known_facts(view: CallView<'_>) -> Vec<(Fact, bool)> {
    let facts = facts(view, observe(view).moves);
    Fact::NAMES.iter().map(|(fact, _)| *fact).filter(|fact| facts.holds(*fact)).map(|fact| (fact, true)).collect()
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

/// The steps, with the media before the first BYE, and the BYE from either side.
fn ladder(mut steps: Vec<Step>, participants: usize) -> Vec<Part> {
    let end = steps.iter().position(|step| step.message.verb == Verb::Bye).unwrap_or(steps.len());
    let release: Vec<Part> = steps.split_off(end).into_iter().map(Part::Step).collect();
    let is_up = steps.iter().any(|step| step.message.verb == Verb::Ack);
    let mut ladder: Vec<Part> = steps.into_iter().map(Part::Step).collect();
    if is_up {
        ladder.push(Part::Media(0, participants.saturating_sub(1)));
    }
    if !release.is_empty() {
        ladder.push(Part::EitherSide(release));
    }
    ladder
}
