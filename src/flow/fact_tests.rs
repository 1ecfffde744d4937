//! Each fact beyond RFC 3665: a call in which it is so, and one like it in which it is not.

use super::FlowKind;
use super::fact::{Fact, Facts};
use super::facts::facts;
use super::media::motion;
use super::special_tests::call;
use Fact as F;

fn holds(fact: Fact, lines: &[String]) -> bool {
    let analysis = call(lines);
    let view = analysis.view(0);
    let kind = FlowKind::of(view.call.kind).unwrap();
    facts(view, kind, &motion(view), |_| Facts::ALL).holds(fact)
}

fn check(cases: Vec<(Fact, Vec<String>, Vec<String>)>) {
    for (fact, so, not) in cases {
        assert!(holds(fact, &so), "{fact:?} in {so:#?}");
        assert!(!holds(fact, &not), "{fact:?} in {not:#?}");
    }
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

/// An answered call with `asked` in its INVITE, `early` responses, and what comes within.
fn with(asked: &str, early: &[&str], within: &[&str]) -> Vec<String> {
    let start = format!("a>b !INVITE 1 | @sendrecv | {asked}");
    let answer = ["b>a 200 1 INVITE | @sendrecv", "a>b ACK 1"];
    lines(&[&[start.as_str()], early, &answer, within].concat())
}

fn invite(asked: &str) -> Vec<String> {
    with(asked, &[], &[])
}

fn early(response: &str) -> Vec<String> {
    with("", &[response], &[])
}

fn within(messages: &[&str]) -> Vec<String> {
    with("", &[], messages)
}

#[test]
fn what_an_invite_says() {
    check(vec![
        (F::DelayedOffer, lines(&["a>b !INVITE 1", "b>a 200 1 INVITE | @sendrecv"]), invite("")),
        (F::Replaces, invite("Replaces: x"), invite("Supported: replaces")),
        (F::Attended, invite("Replaces: x"), invite("Supported: replaces")),
        (F::Joins, invite("join: x"), invite("Supported: join")),
        (F::Referred, invite("b: <sip:c@example.com>"), invite("Subject: b")),
        (F::Forwarded, invite("Diversion: <sip:c@example.com>"), invite("Subject: Diversion")),
        (
            F::Forwarded,
            invite("History-Info: <sip:b@x>;index=1, <sip:c@x>;index=1.1"),
            invite("History-Info: <sip:b@x>;index=1"),
        ),
        (F::Focus, invite("Contact: <sip:a@x>;isfocus"), invite("Contact: <sip:a@x>")),
        (F::Gateway, invite("uri=tel:+1-212-555-2222"), invite("uri=sip:2222@x")),
        (F::Gateway, invite("uri=sip:+12125552222@x;user=phone"), invite("uri=sip:+12125552222@x")),
    ]);
}

#[test]
fn what_the_responses_say() {
    check(vec![
        (F::EarlyMedia, early("b>a 183 1 INVITE | @sendrecv"), early("b>a 183 1 INVITE")),
        (F::ReliableProvisional, early("b>a 180 1 INVITE | RSeq: 1"), early("b>a 180 1 INVITE")),
        (F::Forwarded, early("b>a 181 1 INVITE"), early("b>a 182 1 INVITE")),
        (F::Forked, early("b>a 180 1 INVITE | tag=other"), early("b>a 180 1 INVITE")),
        (F::Challenged, within(&["a>b BYE 2", "b>a 407 2 BYE"]), within(&["a>b BYE 2", "b>a 481 2 BYE"])),
        (F::Rejected, lines(&["a>b !INVITE 1", "b>a 404 1 INVITE"]), lines(&["a>b !INVITE 1", "b>a 486 1 INVITE"])),
        (
            F::Gateway,
            within(&["a>b BYE 2 | Reason: Q.850;cause=16", "b>a 200 2 BYE"]),
            within(&["a>b BYE 2 | Reason: SIP;cause=200", "b>a 200 2 BYE"]),
        ),
        (
            F::Gateway,
            within(&["a>b INFO 2 | type=application/isup;version=itu-t92+"]),
            within(&["a>b INFO 2 | type=application/dtmf"]),
        ),
    ]);
}

#[test]
fn what_becomes_of_media_and_of_the_session() {
    let hold = ["b>a INVITE 7 | @sendonly", "a>b 200 7 INVITE | @recvonly", "b>a ACK 7"];
    let resume = ["b>a INVITE 8 | @sendrecv", "a>b 200 8 INVITE | @sendrecv", "b>a ACK 8"];
    let update = |direction: &str| within(&[&format!("b>a UPDATE 7 | {direction}"), "a>b 200 7 UPDATE"]);
    let both = [&hold[..], &resume].concat();
    let timed = |request: &str, answer: &str| within(&[request, answer, "a>b ACK 2"]);
    let timer = "Session-Expires: 1800;refresher=uac";
    check(vec![
        (F::Hold, within(&hold), within(&resume)),
        (F::Hold, update("@inactive"), update("@recvonly")),
        // Who never received anything does not stop anything.
        (
            F::Hold,
            within(&hold),
            lines(&[
                "a>b !INVITE 1 | @sendonly",
                "b>a 200 1 INVITE | @recvonly",
                "a>b ACK 1",
                "a>b INVITE 2 | @sendonly",
            ]),
        ),
        (F::Resumed, within(&both), within(&hold)),
        (F::SessionTimer, timed("a>b INVITE 2 | @sendrecv", &format!("b>a 200 2 INVITE | {timer}")), invite(timer)),
        (
            F::Refresh,
            timed(&format!("a>b INVITE 2 | @sendrecv | {timer}"), "b>a 200 2 INVITE"),
            timed(&format!("a>b INVITE 2 | @sendonly | {timer}"), "b>a 200 2 INVITE"),
        ),
        (F::Refresh, within(&["a>b UPDATE 2", &format!("b>a 200 2 UPDATE | {timer}")]), update("")),
        (F::Update, update(""), within(&hold)),
        (F::Info, within(&["a>b INFO 2"]), within(&hold)),
    ]);
}

#[test]
fn what_referring_says() {
    let refer = |asked: &str, answer: &str| {
        within(&[&format!("a>b REFER 2 | {asked}"), &format!("b>a 202 2 REFER | {answer}")])
    };
    let to = "Refer-To: <sip:c@x?Replaces=7%40y%3Bto-tag%3D1>";
    check(vec![
        (F::Transfer, refer("Refer-To: <sip:c@x>", ""), invite("")),
        (F::Attended, refer(to, ""), refer("Refer-To: <sip:c@x?Subject=Replaces=>", "")),
        (F::NoSubscription, refer("Refer-Sub: false", ""), refer("Refer-Sub: false", "Refer-Sub: true")),
    ]);
}

#[test]
fn forks_are_parallel_while_one_may_still_answer() {
    let forked = |between: &[&str]| {
        let start = ["a>p !INVITE 1", "p>b !INVITE 1 | for=a", "b>p 100 1 INVITE | for=a | tag=b1"];
        lines(
            &[
                &start[..],
                between,
                &["p>c !INVITE 1 | for=a", "c>p 200 1 INVITE | for=a | tag=c1", "p>a 200 1 INVITE | tag=c1"],
            ]
            .concat(),
        )
    };
    let (at_once, refused, cancelled) =
        (forked(&[]), forked(&["b>p 486 1 INVITE | for=a", "p>b ACK 1 | for=a"]), forked(&["p>b !CANCEL 1 | for=a"]));
    let alone = lines(&["a>p !INVITE 1", "p>b !INVITE 1 | for=a"]);
    check(vec![
        (F::Forked, at_once.clone(), alone),
        (F::ParallelForks, at_once.clone(), refused.clone()),
        (F::SerialForks, refused, at_once),
        (F::SerialForks, cancelled.clone(), forked(&[])),
        (F::ParallelForks, forked(&[]), cancelled),
    ]);
}

#[test]
fn what_subscriptions_and_publications_say() {
    let subscribe = |asked: &str| lines(&[&format!("a>b !SUBSCRIBE 1 | {asked}"), "b>a 200 1 SUBSCRIBE"]);
    let notify = |told: &str| {
        lines(&["a>b !SUBSCRIBE 1", "b>a 200 1 SUBSCRIBE", &format!("b>a NOTIFY 5 | {told}"), "a>b 200 5 NOTIFY"])
    };
    let publish = |asked: &str| lines(&[&format!("a>b !PUBLISH 1 | {asked}"), "b>a 200 1 PUBLISH"]);
    let mut cases = vec![
        (F::Accepted, subscribe(""), lines(&["a>b !SUBSCRIBE 1", "b>a 489 1 SUBSCRIBE"])),
        (F::Rejected, lines(&["a>b !SUBSCRIBE 1", "b>a 489 1 SUBSCRIBE"]), subscribe("")),
        (F::Fetch, subscribe("Expires: 0"), subscribe("Expires: 60")),
        (F::Unsubscribed, [notify(""), lines(&["a>b SUBSCRIBE 2 | Expires: 0"])].concat(), subscribe("Expires: 0")),
        (F::Terminated, notify("Subscription-State: terminated;reason=timeout"), notify("Subscription-State: active")),
        (F::Pending, notify("Subscription-State: pending"), notify("Subscription-State: active")),
        (F::Unsolicited, lines(&["b>a !NOTIFY 1", "a>b 200 1 NOTIFY"]), notify("")),
        (F::Withdrawn, publish("Expires: 0"), publish("Expires: 60")),
        (F::Conditional, publish("SIP-If-Match: 7"), publish("SIP-ETag: 7")),
    ];
    for (fact, name) in Fact::NAMES.into_iter().filter(|(_, name)| name.ends_with(" event")) {
        let package = format!("Event: {}", name.trim_end_matches(" event").to_uppercase());
        cases.push((fact, subscribe(&package), subscribe("Event: message-Summary.winfo")));
        cases.push((fact, notify(&package), notify("Event: other")));
    }
    check(cases);
}

#[test]
fn no_fact_beyond_rfc_3665_is_looked_for_that_nobody_asks_for() {
    let analysis = call(&within(&["a>b UPDATE 2", "b>a 200 2 UPDATE"]));
    let view = analysis.view(0);
    let known = facts(view, FlowKind::Call, &motion(view), |_| Facts::default());
    assert!(known.holds(F::Answered));
    assert!(Fact::NAMES.iter().filter(|(fact, _)| known.holds(*fact)).all(|(fact, _)| Facts::BASIC.holds(*fact)));
}
