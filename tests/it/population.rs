//! What the capture as a whole says of one missing message.

use crate::support::legs::{Leg, Script};
use crate::support::{self, Told, packets, trace};
use callflow::analysis::{Analyzer, Options};
use callflow::flow::{Cause, Verdict, match_all};
use callflow::rules::{self, Finding, Severity};
use std::collections::HashMap;
use std::fmt::Write;

const CALLER: &str = "192.0.2.9:5060";
const CALLEE: &str = "192.0.2.7:5060";

/// 40 calls that are answered and 40 that are refused, one in half a second; `acknowledged` says which refusals are.
fn calls(acknowledged: impl Fn(u32) -> bool) -> Script {
    let mut script = Script::default();
    for number in 0..80 {
        let leg = Leg::new(&format!("c{number}"), CALLER, CALLEE, "alice", "bob");
        let at = f64::from(number) / 2.0;
        script.invite(&leg, at);
        if number % 2 == 0 {
            script.answer(&leg, at + 0.1).bye(&leg, at + 0.2, true);
        } else if acknowledged(number) {
            script.refuse(&leg, at + 0.1, "486 Busy Here");
        } else {
            script.refuse_unacknowledged(&leg, at + 0.1, "486 Busy Here");
        }
    }
    script
}

fn i07(told: &Told) -> Vec<&Finding> {
    told.findings.iter().filter(|finding| finding.rule.code == "I07").collect()
}

#[test]
fn a_habit_is_told_once_as_a_habit_and_noted_at_each_call() {
    let told = support::tell(&calls(|_| false).trace());
    let (of_capture, of_calls): (Vec<_>, Vec<_>) = i07(&told).into_iter().partition(|finding| finding.call.is_none());
    assert_eq!(of_calls.len(), 40);
    assert!(of_calls.iter().all(|finding| finding.severity == Severity::Info && finding.cause == Some(Cause::NotSent)));
    assert!(of_calls.iter().all(|finding| finding.verdict == Verdict::Violated), "the capture goes on for 40 s");
    let [habit] = of_capture[..] else { panic!("{of_capture:?}") };
    assert_eq!((habit.severity, habit.verdict), (Severity::Error, Verdict::Violated));
    let words = "no ACK to a failure in 40 of 40 cases, while all of 40 ACKs to answers are there: a habit of 192.0.2.9, no loss";
    assert!(habit.summary.contains(words), "{}", habit.summary);
    assert!(of_calls[0].detail.contains(words), "{}", of_calls[0].detail);
}

#[test]
fn one_miss_among_many_is_no_habit_and_stays_open() {
    let told = support::tell(&calls(|number| number != 41).trace());
    let [finding] = i07(&told)[..] else { panic!("{:?}", told.findings) };
    assert!(finding.call.is_some() && finding.verdict == Verdict::Open && finding.severity < Severity::Error);
}

#[test]
fn at_the_end_of_the_capture_a_habit_leaves_the_single_call_open() {
    let text = calls(|_| false).trace();
    let cut = text.rfind('@').unwrap();
    let told = support::tell(&text[..cut]);
    let open = i07(&told).iter().filter(|finding| finding.verdict == Verdict::Open).count();
    assert!((30..40).contains(&open), "{open} of the last 32 s");
}

#[test]
fn a_miss_in_a_capture_that_dropped_packets_leans_to_not_captured() {
    let events = trace::parse(&calls(|number| number != 79).trace()).unwrap();
    let mut analyzer = Analyzer::new(Options::default());
    analyzer.push(&packets::batch(&events));
    let mut analysis = analyzer.finish();
    analysis.health.dropped = 17;
    let findings = rules::check(&analysis, &match_all(&analysis));
    let finding = findings.iter().find(|finding| finding.rule.code == "I07").unwrap();
    assert_eq!((finding.cause, finding.verdict), (Some(Cause::NotCaptured), Verdict::Open));
    assert!(finding.detail.contains("the capturing side dropped 17 of"), "{}", finding.detail);
}

/// The trace with IP identifications that each host counts up by one; the caller skips one behind the line `skips`.
fn numbered(text: &str, skips: &str) -> String {
    let mut next: HashMap<String, u16> = HashMap::new();
    let mut out = String::new();
    let mut refused = false;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix('@').filter(|head| head.contains(" udp ")) {
            let host = head.split(' ').nth(2).unwrap().to_owned();
            let id = next.entry(host.clone()).or_insert(100);
            *id += if refused && host == CALLER { 2 } else { 1 };
            refused &= host != CALLER;
            writeln!(out, "{line} id={id}").unwrap();
        } else {
            refused |= line == skips;
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

#[test]
fn the_numbers_of_a_sender_tell_what_it_sent() {
    let missing_one = calls(|number| number != 41).trace();
    // Behind the refusal of that call; the caller's next message is another call's.
    let told = support::tell(&numbered(&missing_one, "To: <sip:bob@example.com>;tag=b-c41"));
    let [finding] = i07(&told)[..] else { panic!("{:?}", told.findings) };
    assert_eq!((finding.cause, finding.verdict), (Some(Cause::NotCaptured), Verdict::Open), "{}", finding.detail);
    assert!(finding.detail.contains("(IP identification), and 1 is missing between frames"), "{}", finding.detail);
    let told = support::tell(&numbered(&missing_one, "nothing"));
    let [finding] = i07(&told)[..] else { panic!("{:?}", told.findings) };
    assert_eq!((finding.cause, finding.verdict), (Some(Cause::NotSent), Verdict::Open), "{}", finding.detail);
    assert!(finding.detail.contains("none is missing between frames"), "{}", finding.detail);
}
