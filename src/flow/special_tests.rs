//! Flows beyond RFC 3665: what they see of a call, which of them is named, what they miss.

use super::tests::printed::{Printed, analysis};
use super::{Catalog, Cause, Fact, FlowKind, FlowMatch, Matcher, ReferenceFlow, Verb, learn, parse};
use crate::analysis::Analysis;
use crate::base::{Error, Transport};
use std::fmt::Write as _;

/// A call line by line: `a>b !INVITE 1` is a request outside of a dialog with its CSeq number, `a>b BYE 2` one within,
/// `b>a 200 1 INVITE` a response. Behind bars: headers, `@sendonly` for media, `uri=` for another Request-URI, `tag=` for
/// another To tag, `type=` for a body of that type, `for=a` for what a proxy passes on.
pub(super) fn call(lines: &[impl AsRef<str>]) -> Analysis {
    let messages: Vec<Printed> = lines.iter().enumerate().map(|(at, line)| message(at, line.as_ref())).collect();
    analysis(&messages)
}

fn message(at: usize, line: &str) -> Printed {
    let mut parts = line.split('|').map(str::trim);
    let words: Vec<&str> = parts.next().unwrap().split(' ').collect();
    let parts: Vec<&str> = parts.collect();
    let set = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name));
    let (from, to) = words[0].split_once('>').unwrap();
    let is_response = words.len() > 3;
    let (method, cseq) = if is_response { (words[3], words[2]) } else { (words[1].trim_start_matches('!'), words[2]) };
    let (hop, other) = if is_response { (to, from) } else { (from, to) };
    let asker = set("for=").unwrap_or(hop);
    let uri = set("uri=").map_or_else(|| format!("sip:{to}@example.com"), str::to_owned);
    let mut text =
        if is_response { format!("SIP/2.0 {} Reason\r\n", words[1]) } else { format!("{method} {uri} SIP/2.0\r\n") };
    // A CANCEL is made by each hop, with the branch of what it cancels (RFC 3261 9.1).
    let of = if method == "CANCEL" { "INVITE" } else { method };
    let via = |who: &str, to: &str| format!("Via: SIP/2.0/UDP {who}.example.com;branch=z9hG4bK{who}{to}{of}{cseq}\r\n");
    text.push_str(&via(hop, other));
    if hop != asker && method != "CANCEL" {
        text.push_str(&via(asker, hop));
    }
    let tag = set("tag=").map_or_else(|| format!("{other}1"), str::to_owned);
    let tag = if words[1].starts_with('!') { String::new() } else { format!(";tag={tag}") };
    write!(text, "From: <sip:{asker}@example.com>;tag={asker}1\r\nTo: <sip:b@example.com>{tag}\r\n").unwrap();
    write!(text, "Call-ID: x\r\nCSeq: {cseq} {method}\r\n").unwrap();
    let mut body = String::new();
    for part in parts {
        if let Some(direction) = part.strip_prefix('@') {
            body = format!("v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\na={direction}\r\n");
            text.push_str("Content-Type: application/sdp\r\n");
        } else if let Some(kind) = part.strip_prefix("type=") {
            body = "x".to_owned();
            write!(text, "Content-Type: {kind}\r\n").unwrap();
        } else if part.contains(": ") {
            write!(text, "{part}\r\n").unwrap();
        }
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let host = |name: &str| match name {
        "a" => "192.0.2.101",
        "p" => "192.0.2.111",
        "c" => "192.0.2.202",
        _ => "192.0.2.201",
    };
    Printed {
        section: "",
        label: "",
        ms: at as i64 * 50,
        from: host(from),
        to: host(to),
        text,
        transport: Transport::Udp,
        required: true,
        repeats: "-",
    }
}

/// A flow that begins and ends as a call does, with `steps` between.
fn flow(name: &str, when: &str, early: &str, late: &str) -> ReferenceFlow {
    let text = format!(
        "flow {name}: Title of {name}\nsection RFC {name}\nkind call\nwhen answered, {when}\nroles alice, bob\nladder {{
        F1 alice -> bob: INVITE\nF2 bob -> alice: 1xx to INVITE\n{early}\nF3 bob -> alice: 2xx to INVITE
        F4 alice -> bob: ACK\nmedia alice <-> bob\n{late}\nmedia alice <-> bob
        either side {{ alice -> bob: BYE\nbob -> alice: 2xx to BYE\n }} }}"
    );
    parse(name, &text).unwrap()
}

const HOLD: &str = "F5 bob -> alice: re-INVITE\nF6 alice -> bob: 2xx to re-INVITE\nF7 bob -> alice: ACK to re-INVITE
    optional { bob -> alice: re-INVITE\nalice -> bob: 2xx to re-INVITE\nbob -> alice: ACK to re-INVITE\n }";
const PRACK: &str = "F5 alice -> bob: PRACK\nF6 bob -> alice: 2xx to PRACK";

/// As `callflow` compares: with RFC 3665 first, then with `special`.
fn compare(analysis: &Analysis, special: Vec<ReferenceFlow>) -> FlowMatch {
    let basic = Catalog::built_in().flows().filter(|flow| flow.name.starts_with("bcp75/")).cloned().collect();
    Matcher::new(&Catalog::with_special(basic, special)).compare(analysis.view(0))
}

fn special(found: &FlowMatch) -> Option<(&str, u32)> {
    found.special.as_ref().map(|special| (special.name, special.cost))
}

fn with_prack() -> Vec<&'static str> {
    vec![
        "a>b !INVITE 1 | @sendrecv",
        "b>a 183 1 INVITE | RSeq: 1 | @sendrecv",
        "a>b PRACK 2 | RAck: 1 1 INVITE",
        "b>a 200 2 PRACK",
        "b>a 200 1 INVITE",
        "a>b ACK 1",
        "a>b BYE 3",
        "b>a 200 3 BYE",
    ]
}

fn with_hold() -> Vec<&'static str> {
    vec![
        "a>b !INVITE 1 | @sendrecv",
        "b>a 180 1 INVITE",
        "b>a 200 1 INVITE | @sendrecv",
        "a>b ACK 1",
        "b>a INVITE 7 | @sendonly",
        "a>b 200 7 INVITE | @recvonly",
        "b>a ACK 7",
        "a>b BYE 3",
        "b>a 200 3 BYE",
    ]
}

#[test]
fn the_special_flow_stands_beside_that_of_bcp_75() {
    let flows = || vec![flow("1/hold", "hold", "", HOLD), flow("1/prack", "reliable provisional", PRACK, "")];
    let found = compare(&call(&with_hold()), flows());
    assert_eq!((found.flow, found.cost, special(&found)), (Some("bcp75/3.7"), 0, Some(("1/hold", 0))));
    let found = compare(&call(&with_prack()), flows());
    assert_eq!((found.flow, found.cost, special(&found)), (Some("bcp75/3.1"), 0, Some(("1/prack", 0))));
    assert!(found.special.unwrap().complete);
}

#[test]
fn what_a_flow_does_not_speak_of_costs_it_nothing_and_what_it_speaks_of_is_missed() {
    let mut lines = with_prack();
    lines.remove(3);
    let found = compare(&call(&lines), vec![flow("1/prack", "reliable provisional", PRACK, "")]);
    assert_eq!((found.flow, found.cost, found.missing.len()), (Some("bcp75/3.1"), 0, 0));
    let special = found.special.unwrap();
    let missing = &special.missing[0];
    assert_eq!((special.cost, missing.step.as_str(), missing.what.as_str()), (4, "F6", "200 OK"));
    // It was sent once over UDP, so it was answered.
    assert_eq!((missing.cause, missing.after), (Cause::NotCaptured, Some(crate::base::Idx::new(2))));
}

#[test]
fn a_call_that_is_broken_keeps_the_name_of_its_special_flow() {
    let mut lines = with_hold();
    lines.remove(3);
    let found = compare(&call(&lines), vec![flow("1/hold", "hold", "", HOLD)]);
    assert_eq!((found.flow, found.cost, special(&found)), (Some("bcp75/3.7"), 4, Some(("1/hold", 4))));
}

#[test]
fn a_flow_that_is_far_from_the_call_is_not_named() {
    let exchange = "bob -> alice: UPDATE\nalice -> bob: 2xx to UPDATE";
    let twice = format!("{HOLD}\n{exchange}\n{exchange}");
    let found = compare(&call(&with_hold()), vec![flow("1/more", "hold", "", &twice)]);
    assert_eq!((found.flow, special(&found)), (Some("bcp75/3.7"), None));
}

#[test]
fn whoever_says_more_of_a_call_is_named() {
    let lean = || flow("1/lean", "media moved", "", HOLD);
    let facts = || flow("1/facts", "media moved, hold", "", HOLD);
    let rested = format!("{HOLD}\noptional {{ bob -> alice: INFO\nalice -> bob: 2xx to INFO\n}}");
    let verbs = || flow("1/verbs", "media moved, hold", "", &rested);
    let denied = || flow("1/denied", "media moved, not gateway, not forked, not transfer", "", HOLD);
    for (flows, named) in [
        (vec![lean(), facts()], "1/facts"),
        (vec![facts(), lean()], "1/facts"),
        (vec![facts(), verbs()], "1/verbs"),
        (vec![denied(), facts()], "1/facts"),
        (vec![lean(), denied()], "1/lean"),
        (vec![denied(), lean()], "1/denied"),
    ] {
        assert_eq!(special(&compare(&call(&with_hold()), flows)), Some((named, 0)));
    }
}

#[test]
fn what_failed_and_was_tried_again_is_read_once() {
    let mut lines = with_prack();
    lines.splice(3..4, ["b>a 407 2 PRACK", "a>b PRACK 3 | RAck: 1 1 INVITE", "b>a 200 3 PRACK"]);
    let plain = flow("1/prack", "reliable provisional", PRACK, "");
    assert_eq!(special(&compare(&call(&lines), vec![plain])), Some(("1/prack", 0)));
    let drawn = format!("alice -> bob: PRACK\nbob -> alice: 407 to PRACK\n{PRACK} with credentials");
    assert!(parse("x", &drawn).is_err());
    let drawn = flow(
        "1/drawn",
        "reliable provisional",
        &format!("alice -> bob: PRACK\nbob -> alice: 407 to PRACK\n{PRACK}"),
        "",
    );
    assert_eq!(special(&compare(&call(&lines), vec![drawn])), Some(("1/drawn", 0)));
}

const SUBSCRIBE: &str =
    "flow 1/subscribe: Subscription\nkind subscription\nwhen accepted\nroles phone, server\nladder {
    F1 phone -> server: SUBSCRIBE\nF2 server -> phone: 2xx to SUBSCRIBE
    repeat { F3 server -> phone: NOTIFY\nF4 phone -> server: 2xx to NOTIFY\n } }";

#[test]
fn what_bcp_75_has_nothing_of_is_compared_with_the_special_flows_alone() {
    let lines = [
        "a>b !SUBSCRIBE 1 | Event: presence",
        "b>a 401 1 SUBSCRIBE",
        "a>b !SUBSCRIBE 2 | Event: presence | Authorization: Digest realm=\"x\"",
        "b>a 200 2 SUBSCRIBE",
        "b>a NOTIFY 9 | Event: presence | Subscription-State: active",
        "a>b 200 9 NOTIFY",
    ];
    let flows = || vec![parse("x", SUBSCRIBE).unwrap()];
    let found = compare(&call(&lines), flows());
    assert_eq!((found.flow, found.cost, found.complete, special(&found)), (Some("1/subscribe"), 0, true, None));
    assert_eq!(found.steps, [None, None, Some("F1"), Some("F2"), Some("F3"), Some("F4")]);
    let found = compare(&call(&lines[..4]), flows());
    let missing = &found.missing[0];
    assert_eq!((missing.step.as_str(), missing.what.as_str(), missing.from.at()), ("F3", "NOTIFY", 1));
    assert_eq!(found.missing.len(), 1);
}

#[test]
fn learned_flows_speak_of_everything_in_the_call() {
    let subscription = ["a>b !SUBSCRIBE 1 | Event: dialog", "b>a 200 1 SUBSCRIBE", "b>a NOTIFY 9", "a>b 200 9 NOTIFY"];
    for (lines, told) in [
        (with_prack(), "PRACK"),
        (with_hold(), "when answered, media moved, hold"),
        (subscription.to_vec(), "kind subscription"),
    ] {
        let analysis = call(&lines);
        let learned = learn(&[analysis.view(0)], "mine").unwrap();
        let text = learned.to_string();
        assert!(text.contains(told), "{text}");
        assert_eq!(parse("mine", &text).unwrap(), learned);
        let found = Matcher::new(&Catalog::new(vec![learned])).compare(analysis.view(0));
        assert_eq!((found.flow, found.cost, found.missing.len()), (Some("mine"), 0, 0), "{text}");
    }
}

#[test]
fn every_word_of_the_language_prints_back() {
    for kind in FlowKind::ALL {
        let mut text = format!("flow x: X\nkind {}\n", kind.name());
        for (fact, name) in Fact::NAMES {
            writeln!(text, "when {name}, not {name}").unwrap();
            assert_eq!(Fact::from_name(name), Some(fact));
        }
        text.push_str("roles a, b\nladder {\n");
        for (_, name) in Verb::NAMES {
            writeln!(text, "a -> b: {name} with credentials\nb -> a: 2xx to {name}\nb -> a: 403|489 to {name}")
                .unwrap();
        }
        let flow = parse("x", &format!("{text}}}\n")).unwrap();
        assert_eq!((flow.kind, flow.when.len(), flow.ladder.len()), (kind, 106, 57));
        assert_eq!(parse("x", &flow.to_string()).unwrap(), flow);
    }
}

#[test]
fn a_misspelt_word_is_pointed_at_with_what_may_be_meant() {
    let whole = "flow x: X\nkind call\nwhen answered, not gateway\nroles alice, bob\nladder {\n  optional {\n  alice -> bob: re-INVITE with credentials\n  }\n  bob -> alice: 2xx to SUBSCRIBE\n}\n";
    parse("x", whole).unwrap();
    for (right, wrong, line, column, why) in [
        ("answered", "anwsered", 3, 6, "expected a fact, found 'anwsered': did you mean 'answered'?"),
        ("gateway", "gatway", 3, 20, "expected a fact, found 'gatway': did you mean 'gateway'?"),
        ("kind call", "kind cal", 2, 6, "expected a kind such as 'call', found 'cal': did you mean 'call'?"),
        ("roles", "rolse", 4, 1, "expected 'roles NAME, NAME, ...' or 'when', found 'rolse': did you mean 'roles'?"),
        (
            "optional",
            "optoinal",
            6,
            3,
            "expected a role, found 'optoinal', which is none of them: did you mean 'optional'?",
        ),
        (
            "alice -> bob",
            "alcie -> bob",
            7,
            3,
            "expected a role, found 'alcie', which is none of them: did you mean 'alice'?",
        ),
        (
            "re-INVITE",
            "reINVITE",
            7,
            17,
            "expected a request such as INVITE, or a status such as 200, found 'reINVITE': did you mean 're-INVITE'?",
        ),
        (
            "with credentials",
            "with credential",
            7,
            27,
            "expected a guard such as 'with credentials', or the end of the line, found 'with credential': did you mean 'with credentials'?",
        ),
        (
            "SUBSCRIBE",
            "SUBSRCIBE",
            9,
            24,
            "expected a request such as INVITE, found 'SUBSRCIBE': did you mean 'SUBSCRIBE'?",
        ),
        ("2xx to SUBSCRIBE", "7xx to SUBSCRIBE", 9, 17, "expected a status such as 200, found '7xx'"),
    ] {
        let Err(Error::FlowSyntax { line: at, column: in_line, why: told, .. }) =
            parse("x", &whole.replace(right, wrong))
        else {
            panic!("{wrong} parsed");
        };
        assert_eq!((told.as_str(), at, in_line), (why, line, column));
    }
}

#[test]
fn every_built_in_flow_has_a_hop() {
    for at in 0..Catalog::built_in().special().end {
        let entry = Catalog::built_in().entry(at).unwrap();
        assert!(!entry.hops.is_empty(), "{}", entry.name);
    }
}
