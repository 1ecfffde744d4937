//! Legs that are one call, and legs that are not.

use crate::support::legs::{Leg, Script};
use crate::support::{self, Told};
use callflow::analysis::{Analyzer, Options};
use callflow::call::Role;
use callflow::session::MessageNo;
use std::path::Path;

const ALICE: &str = "192.0.2.1:5060";
const PBX: &str = "192.0.2.10:5060";
const BOB: &str = "192.0.2.2:5060";
const CAROL: &str = "192.0.2.3:5060";
/// The other side of a border controller.
const INSIDE: &str = "198.51.100.10:5060";

fn first() -> Leg {
    Leg::new("3848276298220188511@atlanta", ALICE, PBX, "alice", "bob")
}

fn second() -> Leg {
    Leg::new("b2b.7761.99@pbx", PBX, BOB, "alice", "bob").media("192.0.2.10", 20_000)
}

fn whole(a: &Leg, b: &Leg) -> Told {
    support::tell(&Script::default().bridged(a, b, 0.0, 3.0, 10.0).trace())
}

/// Call-IDs of each call, legs in order.
fn calls(told: &Told) -> Vec<Vec<String>> {
    let id = |view: callflow::analysis::CallView<'_>, no: MessageNo| {
        String::from_utf8_lossy(view.sip(no).call_id()).into_owned()
    };
    told.analysis
        .views()
        .map(|view| match view.call.legs.as_slice() {
            [] => vec![id(view, MessageNo::new(0))],
            legs => legs.iter().map(|leg| id(view, leg.messages[0])).collect(),
        })
        .collect()
}

fn reasons(told: &Told) -> Vec<String> {
    let legs = told.analysis.calls.iter().flat_map(|call| &call.legs);
    legs.filter_map(|leg| leg.tie.as_ref()).flat_map(|(_, tie)| &tie.clues).map(ToString::to_string).collect()
}

fn codes(told: &Told) -> Vec<&str> {
    told.findings.iter().map(|finding| finding.rule.code).collect()
}

/// One call of two legs, for that reason, with nothing wrong.
fn assert_one(told: &Told, reason: &str) {
    assert_eq!(calls(told).len(), 1, "{:?}", calls(told));
    assert_eq!(told.analysis.calls[0].legs.len(), 2);
    assert!(reasons(told).iter().any(|told| told.contains(reason)), "{:?}", reasons(told));
    assert!(codes(told).is_empty(), "{:?}", codes(told));
    assert_eq!(told.analysis.calls[0].outcome.name(), "answered");
    assert_eq!((told.flows[0].flow, told.flows[0].cost, told.flows[0].complete), (Some("bcp75/3.1"), 0, true));
}

/// Two calls.
fn assert_apart(told: &Told) {
    assert!(calls(told).iter().all(|legs| legs.len() == 1), "{:?} {:?}", calls(told), reasons(told));
}

#[test]
fn an_element_that_passes_on_what_happens_joins_two_legs() {
    let told = whole(&first(), &second());
    assert_one(&told, "answer passed on in 3.0 ms");
    let call = &told.analysis.calls[0];
    let roles: Vec<Role> = call.participants.iter().map(|who| who.role).collect();
    assert_eq!(roles, [Role::Ua, Role::B2bua, Role::Ua]);
    let confidence = call.legs[1].tie.as_ref().unwrap().1.confidence;
    assert!((85..100).contains(&confidence), "{confidence}");
}

#[test]
fn an_unchanged_session_description_counts() {
    let told = whole(&first(), &second().media("192.0.2.1", 40_000));
    assert_one(&told, "same SDP origin");
    assert!(reasons(&told).contains(&"same media address".to_owned()));
}

#[test]
fn session_ids_join_legs_that_do_not_meet() {
    const A: &str = "ab30317f1a784dc48ff824d0d3715d86";
    const B: &str = "47755a9de7794ba387653f2099600ef2";
    let with = |leg: Leg| {
        leg.with(format!("Session-ID: {A};remote=00000000000000000000000000000000"))
            .answers_with(format!("Session-ID: {B};remote={A}"))
    };
    let inside = Leg::new("77@inside", INSIDE, BOB, "anonymous", "4711");
    let told = whole(&with(first()), &with(inside));
    assert_one(&told, "both halves");
    assert_eq!(told.analysis.calls[0].participants.len(), 4);
}

#[test]
fn headers_with_identifiers_join_legs_that_do_not_meet() {
    let inside = || Leg::new("77@inside", INSIDE, BOB, "anonymous", "4711");
    let other = "3848276298220188511@atlanta";
    assert_one(&whole(&first(), &inside().with(format!("X-Call-ID: {other}"))), "X-Call-ID is the other Call-ID");
    let icid = "P-Charging-Vector: icid-value=\"4956537F000001BE69\";icid-generated-at=192.0.2.10";
    assert_one(&whole(&first().with(icid), &inside().with(icid)), "same icid-value");
    let guid = "cisco-guid: 1188421375-3912835055-2154137600-0168820739";
    assert_one(&whole(&first().with(guid), &inside().with(guid)), "same Cisco-Guid");
}

#[test]
fn any_header_can_be_named() {
    let text = Script::default()
        .bridged(
            &first().with("X-Our-Trace: 8841-77"),
            &Leg::new("77@inside", INSIDE, BOB, "anonymous", "4711").with("X-Our-Trace: 8841-77"),
            0.0,
            3.0,
            10.0,
        )
        .trace();
    assert_apart(&support::tell(&text));
    let options = Options { leg_headers: vec!["x-our-trace".to_owned()], ..Options::default() };
    let mut analyzer = Analyzer::new(options);
    analyzer.push(&support::packets::batch(&support::trace::parse(&text).unwrap()));
    assert_one(&support::judge(analyzer), "same x-our-trace 8841-77");
}

#[test]
fn a_call_id_with_a_suffix_counts() {
    let a = first();
    let b = Leg { id: format!("{}-b2b_1", a.id), from: "anonymous".into(), ..second() };
    assert_one(&whole(&a, &b), "one Call-ID is in the other");
}

#[test]
fn a_refused_call_is_one_too() {
    let (a, b) = (first(), second());
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&b, 0.02).ring(&b, 0.1).ring(&a, 0.102);
    script.refuse(&b, 4.0, "486 Busy Here").refuse(&a, 4.004, "486 Busy Here");
    let told = support::tell(&script.trace());
    assert_eq!(calls(&told).len(), 1);
    assert_eq!(told.analysis.calls[0].outcome.name(), "busy");
    assert!(reasons(&told).contains(&"486 passed on in 4.0 ms".to_owned()), "{:?}", reasons(&told));
}

#[test]
fn a_refusal_that_is_passed_on_as_another_is_one_too() {
    let (a, b) = (first(), second());
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&b, 0.02).ring(&b, 0.1).ring(&a, 0.102);
    script.refuse(&b, 4.0, "404 Not Found").refuse(&a, 4.004, "480 Temporarily Unavailable");
    let told = support::tell(&script.trace());
    assert_eq!(calls(&told).len(), 1);
    assert!(reasons(&told).contains(&"404 passed on as 480 in 4.0 ms".to_owned()), "{:?}", reasons(&told));
}

#[test]
fn phones_that_ring_together_are_one_call() {
    let a = first();
    let bob = second();
    let other = Leg::new("b2b.7762.99@pbx", PBX, CAROL, "alice", "bob").media("192.0.2.10", 20_002);
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&bob, 0.01).invite(&other, 0.011);
    script.ring(&bob, 0.1).ring(&a, 0.103).ring(&other, 0.15);
    script.answer(&bob, 3.0).answer(&a, 3.003).cancel(&other, 3.004);
    script.bye(&a, 9.0, true).bye(&bob, 9.003, true);
    let told = support::tell(&script.trace());
    assert_eq!(calls(&told), [["3848276298220188511@atlanta", "b2b.7761.99@pbx", "b2b.7762.99@pbx"]]);
    assert_eq!(told.analysis.calls[0].outcome.name(), "answered");
    assert!(codes(&told).is_empty(), "{:?}", codes(&told));
}

#[test]
fn a_call_that_is_forwarded_when_nobody_answers_is_one() {
    let a = first();
    let bob = second();
    let other =
        Leg::new("b2b.7762.99@pbx", PBX, CAROL, "alice", "carol").with("History-Info: <sip:bob@example.com>;index=1");
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&bob, 0.01).ring(&bob, 0.1).ring(&a, 0.103);
    script.cancel(&bob, 15.0).invite(&other, 15.01).ring(&other, 15.1);
    script.answer(&other, 18.0).answer(&a, 18.003).bye(&a, 30.0, true).bye(&other, 30.003, true);
    let told = support::tell(&script.trace());
    assert_eq!(told.analysis.calls[0].legs.len(), 3, "{:?}", calls(&told));
    assert!(reasons(&told).contains(&"diverted from bob".to_owned()), "{:?}", reasons(&told));
    assert!(
        reasons(&told).iter().any(|reason| reason.starts_with("the next one was tried 10.0 ms")),
        "{:?}",
        reasons(&told)
    );
}

#[test]
fn a_leg_that_nobody_answers_is_known_by_its_description() {
    let (a, b) = (first(), second().media("192.0.2.1", 40_000));
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&b, 0.01);
    let told = support::tell(&script.trace());
    assert_eq!(calls(&told).len(), 1);
}

#[test]
fn a_forwarded_call_is_one() {
    let b = Leg::new("b2b.7761.99@pbx", PBX, CAROL, "alice", "carol")
        .with("Diversion: <sip:bob@example.com>;reason=no-answer");
    assert_one(&whole(&first(), &b), "diverted from bob");
}

#[test]
fn an_attended_transfer_is_one_call_of_three_legs() {
    let told = support::tell(&transfer().trace());
    assert_eq!(calls(&told), [["1@alice", "2@alice", "3@bob"]]);
    assert!(reasons(&told).iter().any(|reason| reason == "Replaces names the other dialog"), "{:?}", reasons(&told));
    assert!(reasons(&told).iter().any(|reason| reason == "REFER asks to replace the other dialog"));
    let roles: Vec<Role> = told.analysis.calls[0].participants.iter().map(|who| who.role).collect();
    assert_eq!(roles, [Role::Ua, Role::Ua, Role::Ua]);
}

/// Alice talks to Bob, asks Carol, and has Bob take her place (RFC 5589 7.2).
fn transfer() -> Script {
    let to_bob = Leg::new("1@alice", ALICE, BOB, "alice", "bob");
    let to_carol = Leg::new("2@alice", ALICE, CAROL, "alice", "carol");
    let replaces = "2%40alice%3Bto-tag%3Db-2%40alice%3Bfrom-tag%3Da-2%40alice";
    let instead =
        Leg::new("3@bob", BOB, CAROL, "bob", "carol").with("Replaces: 2@alice;to-tag=b-2@alice;from-tag=a-2@alice");
    let mut script = Script::default();
    script.invite(&to_bob, 0.0).ring(&to_bob, 0.1).answer(&to_bob, 2.0);
    script.invite(&to_carol, 20.0).ring(&to_carol, 20.1).answer(&to_carol, 22.0);
    script.refer(&to_bob, 30.0, true, &format!("sip:carol@{CAROL}?Replaces={replaces}"));
    script.invite(&instead, 30.1).answer(&instead, 30.2).bye(&to_carol, 30.3, false);
    script.bye(&to_bob, 31.0, true).bye(&instead, 60.0, true);
    script
}

#[test]
fn a_blind_transfer_is_one_call() {
    for referred_by in [true, false] {
        let to_bob = Leg::new("1@alice", ALICE, BOB, "alice", "bob");
        let mut instead = Leg::new("3@bob", BOB, CAROL, "bob", "carol");
        if referred_by {
            instead = instead.with("Referred-By: <sip:alice@example.com>");
        }
        let mut script = Script::default();
        script.invite(&to_bob, 0.0).ring(&to_bob, 0.1).answer(&to_bob, 2.0);
        script.refer(&to_bob, 30.0, true, "sip:carol@example.com");
        script.invite(&instead, 30.1).answer(&instead, 30.8).bye(&to_bob, 31.0, true).bye(&instead, 60.0, true);
        let told = support::tell(&script.trace());
        assert_eq!(calls(&told).len(), 1, "{referred_by}");
    }
}

#[test]
fn what_is_wrong_with_a_leg_is_told_of_the_call() {
    let (a, b) = (first(), second());
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&b, 0.01).ring(&b, 0.1).ring(&a, 0.103);
    for at in [3.0, 3.5, 4.5, 6.5] {
        script.unacknowledged(&b, at);
    }
    script.answer(&a, 3.003).bye(&a, 9.0, true).bye(&b, 9.003, true);
    let told = support::tell(&script.trace());
    assert_eq!(calls(&told).len(), 1);
    let found = told.findings.iter().find(|finding| finding.rule.code == "I01").expect("I01");
    assert_eq!(found.call, Some(0));
    let view = told.analysis.view(0);
    let message = view.sip(found.messages[0]);
    assert_eq!((message.status(), message.call_id()), (Some(200), b.id.as_bytes()));
    let missing = found.missing.as_ref().expect("an ACK");
    let address = |who: callflow::base::Idx<callflow::call::Participant>| {
        view.call.participants[who.at()].addresses[0].to_string()
    };
    assert_eq!((address(missing.from).as_str(), address(missing.to).as_str()), (PBX, BOB));
    assert_eq!(told.flows[0].missing.len(), 1);
    for no in view.call.numbers() {
        let copy = view.call.message(no).copy;
        assert!(copy.is_none_or(|copy| view.sip(copy.of).call_id() == view.sip(no).call_id()));
    }
}

#[test]
fn answering_one_call_while_making_another_is_two_calls() {
    // Bob answers Alice and calls Carol meanwhile.
    let a = Leg::new("1@alice", ALICE, BOB, "alice", "bob");
    let b = Leg::new("2@bob", BOB, CAROL, "bob", "carol");
    assert_apart(&whole(&a, &b));
    let told = whole(&a, &b);
    assert!(told.analysis.calls.iter().all(|call| call.related.is_empty()));
}

#[test]
fn legs_that_only_look_alike_stay_apart_with_a_hint() {
    // The same parties at the same element, but nothing is passed on.
    let (a, b) = (first(), second());
    let mut script = Script::default();
    script.invite(&a, 0.0).invite(&b, 0.01).ring(&a, 0.05);
    let told = support::tell(&script.trace());
    assert_apart(&told);
    let hints: Vec<_> =
        told.analysis.calls.iter().map(|call| call.related.iter().map(|r| r.call).collect::<Vec<_>>()).collect();
    assert_eq!(hints, [[1], [0]]);
}

#[test]
fn a_chain_without_end_is_no_call() {
    let mut script = Script::default();
    for call in 0..40_u16 {
        let before = call.saturating_sub(1);
        let leg = Leg::new(&format!("{call}@a"), ALICE, PBX, "alice", "bob")
            .with(format!("Replaces: {before}@a;to-tag=b-{before}@a;from-tag=a-{before}@a"));
        let at = f64::from(call) * 6.0;
        script.invite(&leg, at).answer(&leg, at + 2.0).bye(&leg, at + 8.0, true);
    }
    let told = support::tell(&script.trace());
    assert_apart(&told);
    let noted = told.analysis.anomalies.of(callflow::base::AnomalyKind::LimitReached).expect("told");
    assert!(noted.first.text.starts_with("40 legs name each other"), "{}", noted.first.text);
}

#[test]
fn a_constant_is_no_identifier() {
    let icid = "P-Charging-Vector: icid-value=constant-of-a-gateway";
    let mut script = Script::default();
    for call in 0..20_u16 {
        let at = f64::from(call) * 0.5;
        let a = Leg::new(&format!("{call}@a"), ALICE, PBX, &format!("caller{call}"), "bob").with(icid);
        script.invite(&a, at).ring(&a, at + 0.1).answer(&a, at + 2.0).bye(&a, at + 8.0, true);
    }
    assert_apart(&support::tell(&script.trace()));
    // Two calls beside each other, with the constant.
    let leg = |id: &str| Leg::new(id, ALICE, PBX, id, "bob").with(icid);
    assert_apart(&whole(&leg("1"), &leg("2")));
}

#[test]
fn many_calls_between_the_same_numbers_are_never_joined_wrongly() {
    let mut script = Script::default();
    for call in 0..120_u16 {
        let at = f64::from(call) * 0.04;
        let a = Leg::new(&format!("{call}-in"), ALICE, PBX, "alice", "bob");
        let b = Leg::new(&format!("{call}-out"), PBX, BOB, "alice", "bob");
        // People take their time.
        let rings = 1.0 + f64::from(call * 37 % 50) * 0.1;
        script.bridged(&a, &b, at, rings, 5.0 + f64::from(call * 17 % 40) * 0.2);
    }
    // All of them, and with the legs of some callers not in the capture.
    for script in [script.clone(), script.without(|call| call % 3 == 0), script.without(|call| call % 3 != 0)] {
        for legs in calls(&support::tell(&script.trace())) {
            let numbers: Vec<&str> = legs.iter().map(|id| id.split('-').next().unwrap()).collect();
            assert!(numbers.iter().all(|number| *number == numbers[0]), "{legs:?}");
            assert!(legs.len() <= 2);
        }
    }
    // With numbers of their own they are all known.
    let mut script = Script::default();
    for call in 0..120_u16 {
        let caller = format!("4930{:06}", u32::from(call) * 7919 % 1_000_000);
        let a = Leg::new(&format!("{call}-in"), ALICE, PBX, &caller, "bob");
        let b = Leg::new(&format!("{call}-out"), PBX, BOB, &caller, "bob");
        script.bridged(&a, &b, f64::from(call) * 0.04, 3.0 + f64::from(call % 7) * 0.3, 5.0);
    }
    let told = support::tell(&script.trace());
    let joined = told.analysis.calls.iter().filter(|call| call.legs.len() == 2).count();
    assert_eq!((joined, told.analysis.calls.len()), (120, 120));
}

/// The captures that the documentation and its tests use.
fn committed() -> [(&'static str, String); 3] {
    let mut alike = Script::default();
    alike.invite(&first(), 0.0).invite(&second(), 0.01).ring(&first(), 0.05);
    [
        ("b2bua", Script::default().bridged(&first(), &second(), 0.0, 3.0, 10.0).trace()),
        ("transfer", transfer().trace()),
        ("alike", alike.trace()),
    ]
}

#[test]
fn the_committed_captures_are_what_is_generated_here() {
    for (name, trace) in committed() {
        let path = support::root().join("testdata/legs").join(name).with_extension("pcap");
        let bytes = support::packets::pcap(&support::packets::batch(&support::trace::parse(&trace).unwrap()));
        if std::env::var_os("CALLFLOW_WRITE").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{}; CALLFLOW_WRITE=1 writes it anew", path.display());
    }
}

#[test]
fn both_legs_through_a_b2bua_are_one_call_with_the_reason_printed() {
    let path = Path::new("testdata/legs/b2bua.pcap");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_callflow"))
        .current_dir(support::root())
        .args(["ladder", "--width", "200"])
        .arg(path)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("Call 1: "), "{told}");
    assert!(told.contains("leg 2 of 2: Call-ID b2b.7761.99@pbx"), "{told}");
    assert!(told.contains("% sure: answer passed on in 3.0 ms"), "{told}");
    assert!(told.contains("B2BUA"), "{told}");
}
