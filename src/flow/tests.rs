//! The flows of RFC 3665 as the standard prints them, message by message, against the .flow files.

#[path = "../../tests/it/support/printed.rs"]
pub(super) mod printed;

use super::align::{Blind, align};
use super::fact::{Conditions, Facts};
use super::facts::facts;
use super::media::motion;
use super::observed::observe;
use super::token::Alphabet;
use super::{BCP75, BEYOND, Catalog, FlowKind, match_call, parse};
use crate::base::{Error, Idx, Transport};
use crate::call::build;
use crate::session::Seen;
use printed::{Printed, analysis, compare, section, sections};

#[test]
fn every_built_in_flow_parses_and_has_its_name() {
    let names: Vec<&str> = Catalog::built_in().flows().map(|flow| flow.name.as_str()).collect();
    let texts = || BCP75.iter().chain(BEYOND);
    assert_eq!(names, texts().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, text) in texts() {
        if let Err(error) = parse(name, text) {
            panic!("{error}");
        }
    }
}

#[test]
fn a_flow_printed_and_parsed_again_is_the_same() {
    for flow in Catalog::built_in().flows() {
        let text = flow.to_string();
        assert_eq!(&parse(&flow.name, &text).unwrap(), flow, "{text}");
    }
}

#[test]
fn the_standards_own_messages_match_their_flow_exactly() {
    for section_name in sections() {
        let messages = section(section_name);
        let found = compare(&messages);
        assert_eq!(found.flow, Some(format!("bcp75/{section_name}").as_str()), "{section_name}");
        assert_eq!((found.cost, found.missing.len(), found.unexpected.len()), (0, 0, 0), "{section_name}: {found:?}");
        // 3.3 is printed without its BYE: the call is still up.
        assert_eq!(found.complete, section_name != "3.3", "{section_name}");
        for (message, step) in messages.iter().zip(&found.steps) {
            let expected = if message.repeats == "-" { message.label } else { message.repeats };
            assert_eq!(*step, Some(expected), "{section_name} {}", message.label);
        }
    }
}

fn strands(view: crate::analysis::CallView<'_>) -> Vec<super::observed::Strand> {
    let kind = FlowKind::of(view.call.kind).unwrap();
    observe(view, kind, &motion(view).moved).strands(Alphabet::basic())
}

#[test]
fn what_replays_exactly_costs_nothing_in_the_edit_and_reads_alike() {
    let mut exact = 0;
    for section in sections() {
        let whole = self::section(section);
        // Whole, and with each message left out in turn.
        let variants = (0..=whole.len()).map(|gap| {
            let kept = whole.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, message)| message.clone());
            kept.collect::<Vec<_>>()
        });
        for messages in variants {
            let analysis = analysis(&messages);
            let strands = analysis.calls.first().map(|_| strands(analysis.view(0))).unwrap_or_default();
            for at in Catalog::built_in().nearest() {
                let entry = Catalog::built_in().entry(at).unwrap();
                for (automaton, replay) in entry.hops.iter().zip(&entry.replays) {
                    for strand in &strands {
                        let replayed = replay.as_ref().unwrap().run(automaton, &strand.tokens);
                        let Some(replayed) = replayed else { continue };
                        let cheapest = align(automaton, &strand.tokens, Blind::default());
                        assert_eq!(
                            (0, replayed.complete),
                            (cheapest.cost, cheapest.complete),
                            "{section} as {}",
                            entry.name
                        );
                        assert_eq!(replayed.steps.iter().flatten().count(), cheapest.steps.iter().flatten().count());
                        exact += 1;
                    }
                }
            }
        }
    }
    assert!(exact > 100, "{exact}");
}

#[test]
fn facts_tell_every_flow_from_every_other() {
    for section_name in sections() {
        let analysis = analysis(&section(section_name));
        let view = analysis.view(0);
        let facts = facts(view, FlowKind::of(view.call.kind).unwrap(), &motion(view), |_| Facts::default());
        let kind = &Catalog::built_in().find(&format!("bcp75/{section_name}")).unwrap().kind;
        let fitting: Vec<&str> = Catalog::built_in()
            .flows()
            .filter(|flow| flow.name.starts_with("bcp75/"))
            .filter(|flow| Conditions::new(flow.kind, &flow.when).hold(*kind, facts))
            .map(|flow| flow.name.as_str())
            .collect();
        assert_eq!(fitting, [format!("bcp75/{section_name}")]);
    }
}

#[test]
fn a_packet_captured_twice_changes_nothing() {
    for section_name in sections() {
        let messages = section(section_name);
        let expected = compare(&messages);
        for at in 0..messages.len() {
            let analysis = {
                let mut doubled = messages.clone();
                doubled.insert(at, messages[at].clone());
                let mut analysis = analysis(&doubled);
                let first = analysis.seen[at].sending;
                analysis.seen[at + 1].sending = first;
                let members: Vec<Idx<Seen>> = (0..analysis.seen.len()).map(Idx::new).collect();
                analysis.calls = vec![build(&analysis.seen, &members, analysis.last.unwrap())];
                analysis
            };
            let found = match_call(analysis.view(0));
            assert_eq!((found.flow, found.cost), (expected.flow, 0), "{section_name} {}", messages[at].label);
            assert!(found.missing.is_empty() && found.unexpected.is_empty());
        }
    }
}

/// Messages whose absence leaves something that no capture can tell from another good call.
const UNKNOWABLE: [(&str, &str); 5] = [
    // What a REGISTER asked for, when only its 200 was captured.
    ("2.2", "F1"),
    ("2.3", "F1"),
    ("2.4", "F1"),
    // That a silent target was tried, when nothing sent to it was captured.
    ("3.4", "F1"),
    ("3.10", "F4"),
];

#[test]
fn each_missing_message_is_named_with_its_step() {
    let mut wrong = Vec::new();
    for section_name in sections() {
        let messages = section(section_name);
        for message in messages.iter().filter(|message| message.required) {
            if UNKNOWABLE.contains(&(section_name, message.label)) {
                continue;
            }
            let rest: Vec<Printed> =
                messages.iter().filter(|m| m.label != message.label && m.repeats != message.label).cloned().collect();
            if rest.is_empty() {
                continue;
            }
            let found = compare(&rest);
            let steps: Vec<&str> = found.missing.iter().map(|missing| missing.step.as_str()).collect();
            if steps != [message.label] {
                wrong.push(format!(
                    "{section_name} without {}: {:?} {steps:?}, cost {}",
                    message.label, found.flow, found.cost
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_syntax_error_tells_line_column_and_what_was_expected() {
    let text = "flow x: X\nkind call\nroles a, b\n\nladder {\n  F1 a -> c: INVITE\n}\n";
    let Err(Error::FlowSyntax { name, line, column, why }) = parse("my.flow", text) else { panic!("it parsed") };
    assert_eq!((name.as_str(), line, column), ("my.flow", 6, 11));
    assert_eq!(why, "expected a role, found 'c', which is none of them");
}

#[test]
fn whatever_is_no_flow_is_an_error_and_never_a_panic() {
    let (_, good) = BCP75[12];
    for end in (0..good.len()).filter(|end| good.is_char_boundary(*end)) {
        let _ = parse("cut", &good[..end]);
    }
    let deep = format!("flow x: X\nkind call\nroles a, b\nladder {{ {}", "optional { ".repeat(10_000));
    assert!(parse("deep", &deep).is_err());
    for text in ["", "flow", "flow x: X\nkind call\nroles a\nladder {\n a -> a: 9xx to INVITE\n}", "\u{1F600}"] {
        assert!(parse("bad", text).is_err());
    }
}

#[test]
fn a_client_in_a_loop_costs_no_more_than_one_that_tried_twice() {
    let mut messages = section("2.5");
    let round = messages[2..].to_vec();
    for number in 0..2_000_i64 {
        for message in &round {
            let mut again = message.clone();
            again.ms += 100 * (number + 1);
            again.text = again.text.replace("CSeq: 2 ", &format!("CSeq: {} ", number + 3));
            again.text = again.text.replace("bob.b2", &format!("bob.r{number}"));
            messages.push(again);
        }
    }
    let found = compare(&messages);
    assert_eq!((found.flow, found.cost), (Some("bcp75/2.5"), 0));
    assert!(found.steps.iter().all(Option::is_some));
}

/// What the comparison says of the first missing message.
fn cause_of(messages: &[Printed], what: &str) -> super::Cause {
    let found = compare(messages);
    let missing = found.missing.iter().find(|missing| missing.what == what);
    missing.unwrap_or_else(|| panic!("no {what} in {found:?}")).cause
}

fn over_udp(mut messages: Vec<Printed>) -> Vec<Printed> {
    for message in &mut messages {
        message.transport = Transport::Udp;
    }
    messages
}

fn without(messages: &[Printed], labels: &[&str]) -> Vec<Printed> {
    messages.iter().filter(|message| !labels.contains(&message.label)).cloned().collect()
}

/// `label` sent again after so many milliseconds each, in front of what comes later.
fn resent(mut messages: Vec<Printed>, label: &str, after: &[i64]) -> Vec<Printed> {
    let at = messages.iter().position(|message| message.label == label).unwrap();
    let delay = after.last().copied().unwrap_or_default() + 100;
    for message in &mut messages[at + 1..] {
        message.ms += delay;
    }
    for (number, ms) in after.iter().enumerate() {
        let again = Printed { ms: messages[at].ms + ms, ..messages[at].clone() };
        messages.insert(at + 1 + number, again);
    }
    messages
}

#[test]
fn a_2xx_never_sent_again_had_its_ack_and_the_capture_lacks_it() {
    let call = over_udp(section("3.1"));
    assert_eq!(cause_of(&without(&call, &["F4"]), "ACK"), super::Cause::NotCaptured);
}

#[test]
fn a_2xx_sent_again_and_again_never_had_an_ack() {
    let call = over_udp(without(&section("3.1"), &["F4", "F5", "F6"]));
    assert_eq!(cause_of(&resent(call, "F3", &[500, 1500, 3500, 7500]), "ACK"), super::Cause::NotSent);
}

#[test]
fn a_request_sent_again_and_again_never_had_an_answer() {
    let call = over_udp(without(&section("3.1"), &["F6"]));
    assert_eq!(cause_of(&resent(call, "F5", &[500, 1500, 3500]), "200 OK"), super::Cause::LostOnPath);
}

#[test]
fn a_request_sent_once_over_udp_had_an_answer_and_the_capture_lacks_it() {
    let call = over_udp(without(&section("3.1"), &["F6"]));
    assert_eq!(cause_of(&call, "200 OK"), super::Cause::NotCaptured);
}

#[test]
fn a_response_proves_its_request() {
    for (label, what) in [("F1", "INVITE"), ("F5", "BYE")] {
        assert_eq!(cause_of(&without(&section("3.1"), &[label]), what), super::Cause::NotCaptured);
    }
}

#[test]
fn a_challenge_that_nobody_takes_up_is_the_clients_doing() {
    let register = without(&section("2.1"), &["F3", "F4"]);
    assert_eq!(cause_of(&register, "REGISTER with credentials"), super::Cause::NotSent);
    let invite: Vec<Printed> = section("3.2").into_iter().take(3).collect();
    assert_eq!(cause_of(&invite, "INVITE with credentials"), super::Cause::NotSent);
}

#[test]
fn a_challenge_before_a_repeated_request_was_lost() {
    let register = over_udp(without(&section("2.1"), &["F3", "F4"]));
    let mut again = register.clone();
    again.push(Printed { ms: register[1].ms + 500, ..register[0].clone() });
    assert_eq!(cause_of(&again, "REGISTER with credentials"), super::Cause::LostOnPath);
}

#[test]
fn at_the_end_of_the_capture_nothing_can_be_told() {
    let call = over_udp(without(&section("3.1"), &["F4", "F5", "F6"]));
    let mut analysis = analysis(&call);
    analysis.calls[0].watched_until = analysis.calls[0].end;
    let found = match_call(analysis.view(0));
    assert_eq!((found.missing[0].step.as_str(), found.missing[0].cause), ("F4", super::Cause::Undetermined));
}

#[test]
fn a_capture_of_one_direction_misses_nothing() {
    let call: Vec<Printed> = section("3.1").into_iter().filter(|message| message.from == "192.0.2.101").collect();
    let mut analysis = analysis(&call);
    let (low, high) = ("192.0.2.101".parse().unwrap(), "192.0.2.201".parse().unwrap());
    analysis.stats.directions.insert(crate::analysis::AddressPair { low, high }, [3, 0]);
    let found = match_call(analysis.view(0));
    assert_eq!((found.flow, found.cost, found.missing.len()), (Some("bcp75/3.1"), 0, 0));
}

#[test]
fn an_answer_of_no_flow_has_no_reference() {
    let mut call = section("3.9");
    for message in &mut call {
        message.text = message.text.replace("SIP/2.0 486", "SIP/2.0 404");
    }
    assert_eq!(compare(&call).flow, None);
}

#[test]
fn any_number_of_proxies_reads_as_the_two_that_are_drawn() {
    // Without the hop in the middle the two proxies are one.
    let middle = ["F5", "F8", "F10", "F13", "F16", "F19", "F22"];
    let mut call = without(&section("3.2"), &middle);
    for message in &mut call {
        for address in [&mut message.from, &mut message.to] {
            if *address == "192.0.2.222" {
                *address = "192.0.2.111";
            }
        }
        message.text = message.text.replace("Via: SIP/2.0/TCP proxy1.example.com;branch=z9hG4bK-proxy1.b1\r\n", "");
    }
    let found = compare(&call);
    assert_eq!((found.flow, found.cost), (Some("bcp75/3.2"), 0), "{found:?}");
}

#[test]
fn a_flow_of_the_user_comes_before_the_built_in_ones() {
    let text = BCP75[5].1.replace("bcp75/3.1", "house/call");
    let catalog = Catalog::with([("house.flow", text.as_str())]).unwrap();
    let analysis = analysis(&section("3.1"));
    assert_eq!(super::match_all_with(&catalog, &analysis)[0].flow, Some("house/call"));
}

#[test]
fn a_flood_under_one_call_id_is_told_within_bounds() {
    let hosts: Vec<&'static str> =
        (0..2_000).map(|n| super::catalog::intern(&format!("198.18.{}.{}", n / 250, n % 250 + 1))).collect();
    let mut messages = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        for message in &section("3.1") {
            let text = message
                .text
                .replace("alice.b", &format!("alice.r{number}b"))
                .replace("CSeq: 1", &format!("CSeq: {number}"));
            let (from, to) = if message.from == "192.0.2.101" { (message.from, *host) } else { (*host, message.to) };
            messages.push(Printed { ms: message.ms + 10 * number as i64, from, to, text, ..message.clone() });
        }
    }
    messages.retain(|message| !message.text.starts_with("ACK"));
    let found = compare(&messages);
    assert_eq!(found.steps.len(), messages.len());
    assert!(found.missing.len() <= 256);
}

#[test]
fn a_flow_learned_from_a_call_fits_that_call() {
    for section_name in sections() {
        let analysis = analysis(&section(section_name));
        let flow = super::learn(&[analysis.view(0)], "mine").unwrap();
        assert_eq!(parse("mine", &flow.to_string()).unwrap(), flow);
        let found = &super::match_all_with(&Catalog::new(vec![flow]), &analysis)[0];
        assert_eq!((found.flow, found.cost, found.missing.len()), (Some("mine"), 0, 0), "{section_name}: {found:?}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_flow() {
    let page = include_str!("../../docs/flows.md");
    let example = page.split("```").nth(1).unwrap();
    let flow = parse("docs/flows.md", example).unwrap();
    assert_eq!((flow.name.as_str(), flow.roles.len()), ("house/call", 3));
    for (fact, name) in super::Fact::NAMES {
        assert!(page.contains(&format!("| `{name}` |")), "{fact:?} is not explained");
    }
    for flow in Catalog::built_in().flows() {
        let row = if let Some(section) = flow.name.strip_prefix("bcp75/") {
            format!("| {section} | {} |", flow.title)
        } else {
            let asked = flow.when.iter().filter(|(_, so)| *so).map(|(fact, _)| format!("`{}`", fact.name()));
            let asked = asked.collect::<Vec<_>>().join(", ");
            format!("| {} | {} | {} | {asked}", flow.name, flow.title, flow.section)
        };
        assert!(page.contains(&row), "{row}");
    }
}
