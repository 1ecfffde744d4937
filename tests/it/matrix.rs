//! Every message of every flow taken away, repeated, added and swapped, seen from several places.

use crate::support::printed::{Printed, analysis, section, sections};
use callflow::base::Idx;
use callflow::call::Participant;
use callflow::flow::{FlowMatch, match_all};
use callflow::rules;

/// Where the capture was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tap {
    /// All hops are in it.
    All,
    /// At the caller: what it sends and receives.
    Caller,
    /// At the callee, or the server that answers.
    Callee,
}

const TAPS: [Tap; 3] = [Tap::All, Tap::Caller, Tap::Callee];

/// What is done to one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edit {
    /// It is not there: named with its step when the standard needs it, else silence.
    Deletion,
    /// Another one of its kind, in a transaction of its own: it stands where no step is.
    Insertion,
    /// The same again half a second later: no step is missing, none is new.
    Repetition,
    /// It changes places with the next one within a tenth of a millisecond: the same flow.
    Swap,
}

const EDITS: [Edit; 4] = [Edit::Deletion, Edit::Insertion, Edit::Repetition, Edit::Swap];

fn seen_from(tap: Tap, messages: &[Printed]) -> Vec<Printed> {
    let caller = messages[0].from;
    let is_initial = |m: &&Printed| {
        m.text.starts_with("REGISTER") || (m.text.starts_with("INVITE") && m.text.contains("To: <sip:b@example.com>\r"))
    };
    let callee = messages.iter().rev().find(is_initial).map_or(messages[0].to, |m| m.to);
    let sees = |message: &&Printed| match tap {
        Tap::All => true,
        Tap::Caller => message.from == caller || message.to == caller,
        Tap::Callee => message.from == callee || message.to == callee,
    };
    messages.iter().filter(sees).cloned().collect()
}

/// The messages after the edit at `at`; `None` where it cannot be made.
fn edited(edit: Edit, messages: &[Printed], at: usize) -> Option<Vec<Printed>> {
    let mut out = messages.to_vec();
    match edit {
        Edit::Deletion => {
            let label = messages[at].label;
            if messages[at].repeats != "-" {
                return None;
            }
            out.retain(|m| m.label != label && m.repeats != label);
        }
        Edit::Insertion => {
            let mut more = messages[at].clone();
            more.text = more.text.replace("branch=z9hG4bK-", "branch=z9hG4bK-more").replace("CSeq: ", "CSeq: 7");
            more.ms += 1;
            out.insert(at + 1, more);
        }
        Edit::Repetition => {
            for later in &mut out[at + 1..] {
                later.ms += 600;
            }
            let again = Printed { ms: messages[at].ms + 500, ..messages[at].clone() };
            out.insert(at + 1, again);
        }
        Edit::Swap => {
            if at + 1 >= out.len() || messages[at].text == messages[at + 1].text {
                return None;
            }
            let ms = out[at + 1].ms;
            out.swap(at, at + 1);
            (out[at].ms, out[at + 1].ms) = (ms, ms);
        }
    }
    (!out.is_empty()).then_some(out)
}

/// What no capture from there can tell; docs/flows.md argues each.
const UNKNOWABLE: [(&str, Tap, &str); 4] =
    [("3.4", Tap::All, "F1"), ("3.4", Tap::Caller, "F1"), ("3.7", Tap::Callee, "F8"), ("3.10", Tap::All, "F4")];

/// A call, and what is said of it.
struct Answer {
    messages: Vec<Printed>,
    flow: FlowMatch,
    /// Sender and receiver of each missing message.
    owed: Vec<(String, String)>,
    /// Frames of each finding.
    findings: Vec<(&'static str, Vec<u32>)>,
}

fn answer(messages: Vec<Printed>) -> Answer {
    let analysis = analysis(&messages);
    let flow = match_all(&analysis).remove(0);
    let found = rules::check(&analysis, std::slice::from_ref(&flow));
    let findings = found.into_iter().map(|finding| (finding.rule.code, finding.frames)).collect();
    let call = &analysis.calls[0];
    let address = |who: Idx<Participant>| call.participants[who.at()].addresses[0].ip.to_string();
    let owed = flow.missing.iter().map(|missing| (address(missing.from), address(missing.to))).collect();
    Answer { messages, flow, owed, findings }
}

/// What is wrong with the answer; `None` when it is right.
fn wrong(edit: Edit, whole: &Answer, at: usize, found: &Answer) -> Option<String> {
    let message = &whole.messages[at];
    let missing: Vec<&str> = found.flow.missing.iter().map(|missing| missing.step.as_str()).collect();
    let unexpected: Vec<usize> = found.flow.unexpected.iter().map(|no| no.at()).collect();
    let same_flow = found.flow.flow == whole.flow.flow;
    let right = match edit {
        Edit::Deletion if message.required => match found.flow.missing.as_slice() {
            [missing] if same_flow => Some(missing.step.as_str()) == whole.flow.steps[at],
            // Which final response it was is in it alone, and so may be which of two flows: the message, its
            // sender and its receiver must be right all the same.
            [missing] => {
                let start: Vec<&str> = message.text.split(' ').collect();
                let is_final = |text: &str| text.starts_with(['2', '3', '4', '5', '6']);
                let same = if start[0].starts_with("SIP/") {
                    is_final(start[1]) && is_final(&missing.what)
                } else {
                    missing.what.starts_with(start[0])
                };
                same && found.owed == [(message.from.to_owned(), message.to.to_owned())]
            }
            _ => false,
        },
        Edit::Deletion => missing.is_empty() && unexpected.is_empty(),
        Edit::Insertion => {
            let frame = at as u32 + 2;
            !unexpected.is_empty()
                || !missing.is_empty()
                || found.findings.iter().any(|(_, frames)| frames.contains(&frame))
        }
        Edit::Repetition => {
            same_flow && missing.is_empty() && unexpected.is_empty() && found.flow.steps[at] == found.flow.steps[at + 1]
        }
        Edit::Swap => same_flow && missing.is_empty() && unexpected.is_empty(),
    };
    (!right).then(|| {
        format!(
            "{} {} ({edit:?}): {:?} missing {missing:?} unexpected {unexpected:?} cost {} {:?}",
            message.section, message.label, found.flow.flow, found.flow.cost, found.findings
        )
    })
}

#[test]
fn every_message_of_every_flow_from_every_tap() {
    println!("{:<8}{:<8} {:>12}{:>12}{:>12}{:>12}", "flow", "tap", "deletions", "insertions", "repetitions", "swaps");
    let mut faults = Vec::new();
    let mut excepted = Vec::new();
    for name in sections() {
        let printed = section(name);
        for tap in TAPS {
            let whole = answer(seen_from(tap, &printed));
            if whole.flow.cost != 0 || !whole.flow.missing.is_empty() {
                faults.push(format!("{name} {tap:?} whole: {:?}", whole.flow));
            }
            print!("{name:<8}{:<8} ", format!("{tap:?}"));
            for edit in EDITS {
                let (mut right, mut of) = (0, 0);
                for at in 0..whole.messages.len() {
                    let Some(changed) = edited(edit, &whole.messages, at) else { continue };
                    of += 1;
                    let fault = wrong(edit, &whole, at, &answer(changed));
                    let key = (name, tap, whole.messages[at].label);
                    match fault {
                        None => right += 1,
                        Some(_) if edit == Edit::Deletion && UNKNOWABLE.contains(&key) => excepted.push(key),
                        Some(what) => faults.push(format!("{tap:?} {what}")),
                    }
                }
                print!("{:>12}", format!("{right}/{of}"));
            }
            println!();
        }
    }
    println!("not knowable from there (docs/flows.md): {excepted:?}");
    assert!(faults.is_empty(), "{} wrong:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(excepted, UNKNOWABLE, "what can be known need not be excepted");
}
