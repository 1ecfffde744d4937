//! Transactions, dialogs, timings and metrics of captures: what RFC 3261, 6026, 5057 and 6076 make of them.

use crate::support::{Told, tell};
use callflow::analysis::{Metrics, Ratio, Timings, final_response, first_response};
use callflow::call::{Call, Outcome};
use callflow::rules::Severity;
use callflow::session::{Dialog, DialogState, Side, State, UsageKind};
use callflow::sip::Method;
use std::fmt::Write;
use std::time::Duration;

/// A trace between Alice at 192.0.2.1 and Bob at 192.0.2.2.
#[derive(Default)]
struct Story {
    trace: String,
    call_id: &'static str,
}

/// What a message says beside its start line: `branch`, CSeq, tags.
#[derive(Clone, Copy)]
struct Said<'a> {
    branch: &'a str,
    cseq: &'a str,
    from: &'a str,
    to: &'a str,
}

fn said<'a>(branch: &'a str, cseq: &'a str, from: &'a str, to: &'a str) -> Said<'a> {
    Said { branch, cseq, from, to }
}

impl Story {
    fn new() -> Self {
        Self { trace: String::new(), call_id: "c1" }
    }

    /// Alice sends.
    fn a(&mut self, time: f64, start: &str, said: Said<'_>, more: &str) -> &mut Self {
        self.add(time, "192.0.2.1:5060 > 192.0.2.2:5060", start, said, more)
    }

    /// Bob sends.
    fn b(&mut self, time: f64, start: &str, said: Said<'_>, more: &str) -> &mut Self {
        self.add(time, "192.0.2.2:5060 > 192.0.2.1:5060", start, said, more)
    }

    fn add(&mut self, time: f64, way: &str, start: &str, said: Said<'_>, more: &str) -> &mut Self {
        let Said { branch, cseq, from, to } = said;
        let start = if start.starts_with(|c: char| c.is_ascii_digit()) {
            format!("SIP/2.0 {start}")
        } else {
            format!("{start} sip:bob@192.0.2.2 SIP/2.0")
        };
        // A request goes out under the name of who sends it, and so does its response.
        let by_bob = branch.starts_with("z9hG4bKb");
        let via = if by_bob { "192.0.2.2" } else { "192.0.2.1" };
        let tag = |tag: &str| if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let branch = if branch.is_empty() { String::new() } else { format!(";branch={branch}") };
        let (from, to) = (tag(from), tag(to));
        let call_id = self.call_id;
        let contact = if way.starts_with("192.0.2.1") { "sip:a@192.0.2.1" } else { "sip:b@192.0.2.2" };
        let contact = if more.contains("Contact:") { String::new() } else { format!("Contact: <{contact}>\n") };
        write!(
            self.trace,
            "@{time} udp {way}\n{start}\nVia: SIP/2.0/UDP {via}:5060{branch}\nMax-Forwards: 70\nFrom: <sip:x@example.com>{from}\n\
             To: <sip:y@example.com>{to}\nCall-ID: {call_id}\nCSeq: {cseq}\n{contact}{more}Content-Length: 0\n\n"
        )
        .unwrap();
        self
    }

    /// INVITE at `time`, 180 at once, 200 after three seconds, ACK.
    fn answered(&mut self, time: f64, from: &str, to: &str) -> &mut Self {
        let invite = format!("z9hG4bKi{from}");
        self.a(time, "INVITE", said(&invite, "1 INVITE", from, ""), "")
            .b(time + 0.1, "180 Ringing", said(&invite, "1 INVITE", from, to), "")
            .b(time + 3.0, "200 OK", said(&invite, "1 INVITE", from, to), "")
            .a(time + 3.1, "ACK", said(&format!("z9hG4bKk{from}{to}"), "1 ACK", from, to), "")
    }

    fn bye(&mut self, time: f64, from: &str, to: &str, cseq: &str) -> &mut Self {
        let branch = format!("z9hG4bKy{from}{to}");
        self.a(time, "BYE", said(&branch, cseq, from, to), "").b(
            time + 0.1,
            "200 OK",
            said(&branch, cseq, from, to),
            "",
        )
    }

    fn tell(&self, end: f64) -> Told {
        tell(&format!("{}@{end} end\n", self.trace))
    }
}

/// What is found, but that there is no session description: these messages have no bodies.
fn codes(told: &Told) -> Vec<&'static str> {
    told.findings.iter().map(|finding| finding.rule.code).filter(|code| *code != "I06").collect()
}

fn only(told: &Told) -> &Call {
    assert_eq!(told.analysis.calls.len(), 1);
    &told.analysis.calls[0]
}

fn dialog<'a>(call: &'a Call, callee_tag: &str) -> &'a Dialog {
    call.dialogs.iter().find(|dialog| dialog.callee_tag == callee_tag.as_bytes()).unwrap()
}

#[test]
fn two_calls_with_one_call_id_are_two() {
    let mut story = Story::new();
    story.answered(0.0, "a1", "b1").bye(10.0, "a1", "b1", "2 BYE");
    story.answered(20.0, "a2", "b2").bye(30.0, "a2", "b2", "2 BYE");
    let told = story.tell(80.0);
    let outcomes: Vec<Outcome> = told.analysis.calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Answered, Outcome::Answered]);
    assert_eq!(codes(&told), [] as [&str; 0]);
}

#[test]
fn a_fork_whose_second_2xx_is_not_acknowledged_is_named() {
    let mut story = Story::new();
    story.answered(0.0, "a", "b1");
    story.b(3.2, "200 OK", said("z9hG4bKia", "1 INVITE", "a", "b2"), "");
    story.bye(10.0, "a", "b1", "2 BYE");
    let told = story.tell(60.0);
    let call = only(&told);
    assert!(dialog(call, "b1").ack.is_some() && dialog(call, "b1").bye.is_some());
    let second = dialog(call, "b2");
    assert_eq!((second.ack, second.bye), (None, None));
    let finding = told.findings.iter().find(|finding| finding.rule.code == "I16").expect("I16");
    assert_eq!(finding.messages, [second.answer.unwrap()]);
    let view = told.analysis.view(0);
    assert_eq!(view.sip(finding.messages[0]).to_tag(), b"b2");
}

#[test]
fn the_200_of_a_prack_is_not_the_200_of_its_invite() {
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "1 INVITE", "a", "b");
    story
        .a(0.0, "INVITE", Said { to: "", ..invite }, "Supported: 100rel\n")
        .b(0.5, "183 Session Progress", invite, "Require: 100rel\nRSeq: 1\n")
        .a(0.6, "PRACK", said("z9hG4bKp", "2 PRACK", "a", "b"), "RAck: 1 1 INVITE\n")
        .b(0.7, "200 OK", said("z9hG4bKp", "2 PRACK", "a", "b"), "")
        .b(9.0, "486 Busy Here", invite, "")
        .a(9.1, "ACK", Said { cseq: "1 ACK", ..invite }, "");
    let told = story.tell(60.0);
    let call = only(&told);
    assert_eq!(call.outcome, Outcome::Busy);
    let dialog = dialog(call, "b");
    assert_eq!((dialog.state, dialog.confirmed, dialog.answer), (DialogState::Terminated, None, None));
    assert_eq!(told.analysis.view(0).sip(dialog.refused.unwrap()).status(), Some(486));
    let timings = Timings::of(told.analysis.view(0));
    assert_eq!((timings.set_up, timings.talk), (None, None));
}

#[test]
fn post_dial_delay_after_a_challenge_counts_from_the_second_invite() {
    let mut story = Story::new();
    let first = said("z9hG4bKi1", "1 INVITE", "a", "");
    story
        .a(0.0, "INVITE", first, "")
        .b(
            2.0,
            "407 Proxy Authentication Required",
            Said { to: "p", ..first },
            "Proxy-Authenticate: Digest realm=\"r\",nonce=\"n\"\n",
        )
        .a(2.1, "ACK", Said { cseq: "1 ACK", to: "p", ..first }, "");
    let second = said("z9hG4bKi2", "2 INVITE", "a", "");
    let credentials = "Proxy-Authorization: Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:bob@192.0.2.2\",response=\"00000000000000000000000000000000\"\n";
    story
        .a(5.0, "INVITE", second, credentials)
        .b(5.1, "100 Trying", second, "")
        .b(5.5, "180 Ringing", Said { to: "b", ..second }, "")
        .b(9.0, "200 OK", Said { to: "b", ..second }, "")
        .a(9.1, "ACK", said("z9hG4bKk", "2 ACK", "a", "b"), "")
        .bye(20.0, "a", "b", "3 BYE");
    let told = story.tell(60.0);
    let ms = |millis| Some(Duration::from_millis(millis));
    let timings = Timings::of(told.analysis.view(0));
    let expected =
        Timings { challenge: ms(2000), post_dial: ms(500), ringing: ms(3500), set_up: ms(4000), talk: ms(11_000) };
    assert_eq!(timings, expected);
    let view = told.analysis.view(0);
    let accepted = view.call.transactions.iter().find(|t| t.state == State::Accepted).unwrap();
    assert_eq!((first_response(view, accepted), final_response(view, accepted)), (ms(100), ms(4000)));
    let metrics = Metrics::of(&told.analysis);
    assert_eq!(metrics.srd_successful.max(), ms(500));
    assert_eq!([metrics.ser, metrics.seer, metrics.scr], [Ratio { part: 1, of: 1 }; 3]);
}

#[test]
fn a_clock_that_jumps_gives_no_time_and_no_fault_of_anyone() {
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "1 INVITE", "a", "b");
    story
        .a(9_000_000.0, "INVITE", Said { to: "", ..invite }, "")
        .b(50.0, "180 Ringing", invite, "")
        .b(8_000_000_000.0, "200 OK", invite, "")
        .a(1.0, "ACK", said("z9hG4bKk", "1 ACK", "a", "b"), "")
        .bye(0.0, "a", "b", "2 BYE");
    let told = story.tell(60.0);
    let call = only(&told);
    assert_eq!((call.outcome, call.dialogs.len(), call.transactions.len()), (Outcome::Answered, 1, 3));
    let timings = Timings::of(told.analysis.view(0));
    assert_eq!((timings.post_dial, timings.talk), (Some(Duration::ZERO), Some(Duration::ZERO)));
    assert_eq!(Metrics::of(&told.analysis).ser, Ratio { part: 1, of: 1 });
}

#[test]
fn the_metrics_count_as_rfc_6076_says() {
    let mut story = Story::new();
    for (at, (id, status)) in
        [("c1", "302 Moved"), ("c2", "486 Busy Here"), ("c3", "503 Service Unavailable"), ("c4", "404 Not Found")]
            .into_iter()
            .enumerate()
    {
        story.call_id = id;
        let (time, invite) = (at as f64 * 10.0, said("z9hG4bKi", "1 INVITE", "a", ""));
        story.a(time, "INVITE", invite, "").b(time + 1.0, status, Said { to: "b", ..invite }, "").a(
            time + 1.1,
            "ACK",
            Said { cseq: "1 ACK", to: "b", ..invite },
            "",
        );
    }
    story.call_id = "c5";
    story.answered(40.0, "a", "b").bye(50.0, "a", "b", "2 BYE");
    story.call_id = "c6";
    story.answered(60.0, "a", "b");
    story.call_id = "r1";
    let register = |n: &'static str, to| said(n, if n == "z9hG4bK1" { "1 REGISTER" } else { "2 REGISTER" }, "r", to);
    story
        .a(70.0, "REGISTER", register("z9hG4bK1", ""), "")
        .b(70.5, "401 Unauthorized", register("z9hG4bK1", "s"), "WWW-Authenticate: Digest realm=\"r\",nonce=\"n\"\n")
        .a(
            71.0,
            "REGISTER",
            register("z9hG4bK2", ""),
            "Authorization: Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:r\",response=\"0\"\n",
        )
        .b(72.0, "200 OK", register("z9hG4bK2", "s"), "");
    let metrics = Metrics::of(&story.tell(120.0).analysis);
    assert_eq!(metrics.ser, Ratio { part: 2, of: 5 });
    assert_eq!(metrics.seer, Ratio { part: 3, of: 5 });
    assert_eq!(metrics.isa, Ratio { part: 1, of: 6 });
    // The call that goes on is neither completed nor not.
    assert_eq!(metrics.scr, Ratio { part: 1, of: 5 });
    assert_eq!(metrics.ira, Ratio { part: 0, of: 2 });
    assert_eq!(metrics.rrd.max(), Some(Duration::from_secs(2)));
    assert_eq!((metrics.srd_successful.count(), metrics.srd_failed.count()), (2, 3));
    assert_eq!(metrics.sdt.max(), Some(Duration::from_secs(7)));
    assert_eq!(metrics.sdd.max(), Some(Duration::from_millis(100)));
}

#[test]
fn a_dialog_lives_until_its_last_usage_ends() {
    let mut story = Story::new();
    story
        .answered(0.0, "a", "b")
        .a(5.0, "REFER", said("z9hG4bKr", "2 REFER", "a", "b"), "Refer-To: <sip:carol@example.com>\n")
        .b(5.1, "202 Accepted", said("z9hG4bKr", "2 REFER", "a", "b"), "")
        .b(
            5.2,
            "NOTIFY",
            said("z9hG4bKbn", "1 NOTIFY", "b", "a"),
            "Event: refer\nSubscription-State: active;expires=60\n",
        )
        .a(5.3, "200 OK", said("z9hG4bKbn", "1 NOTIFY", "b", "a"), "");
    // The call ends first: the subscription of the transfer keeps the dialog (RFC 5057 3).
    let mut bye_first = Story { trace: story.trace.clone(), call_id: "c1" };
    let told = bye_first.bye(6.0, "a", "b", "3 BYE").tell(60.0);
    let call = only(&told);
    assert_eq!((call.outcome, dialog(call, "b").state), (Outcome::Answered, DialogState::Confirmed));
    let notify = said("z9hG4bKbm", "2 NOTIFY", "b", "a");
    let last = "Event: refer\nSubscription-State: terminated;reason=noresource\n";
    bye_first.b(7.0, "NOTIFY", notify, last).a(7.1, "200 OK", notify, "");
    assert_eq!(dialog(only(&bye_first.tell(60.0)), "b").state, DialogState::Terminated);
    // The subscription ends first: the call goes on.
    let told = story.b(7.0, "NOTIFY", notify, last).a(7.1, "200 OK", notify, "").tell(60.0);
    let call = only(&told);
    let used = dialog(call, "b");
    assert_eq!((call.outcome, used.state), (Outcome::Active, DialogState::Confirmed));
    let ended: Vec<(UsageKind, bool)> = used.usages.iter().map(|u| (u.kind, u.ended.is_some())).collect();
    assert_eq!(ended, [(UsageKind::Session, false), (UsageKind::Subscription, true)]);
}

#[test]
fn a_dialog_knows_route_targets_and_numbers() {
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "7 INVITE", "a", "b");
    let routes = "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\n";
    story
        .a(0.0, "INVITE", Said { to: "", ..invite }, "")
        .b(1.0, "180 Ringing", invite, routes)
        .b(2.0, "200 OK", invite, routes)
        .a(2.1, "ACK", said("z9hG4bKk", "7 ACK", "a", "b"), "")
        .b(5.0, "UPDATE", said("z9hG4bKbu", "90 UPDATE", "b", "a"), "Contact: <sip:b@192.0.2.77>\n")
        .a(5.1, "200 OK", said("z9hG4bKbu", "90 UPDATE", "b", "a"), "")
        .bye(9.0, "a", "b", "8 BYE");
    let told = story.tell(60.0);
    let view = told.analysis.view(0);
    let dialog = dialog(only(&told), "b");
    let answer = dialog.answer.unwrap();
    assert_eq!(view.sip(answer).status(), Some(200));
    assert_eq!(dialog.route, Some(answer));
    assert_eq!(view.sip(answer).record_routes().count(), 2);
    let target = |of, at| dialog.target(of, at).map(|no| view.sip(no).contacts().next().unwrap().uri.to_vec());
    let bye = view.call.transaction(dialog.bye.unwrap()).request.unwrap();
    assert_eq!(target(Side::Callee, answer), Some(b"sip:b@192.0.2.2".to_vec()));
    assert_eq!(target(Side::Callee, bye), Some(b"sip:b@192.0.2.77".to_vec()));
    assert_eq!(target(Side::Caller, bye), Some(b"sip:a@192.0.2.1".to_vec()));
    let numbers = |numbers: Option<callflow::session::Numbers>| numbers.map(|n| (n.first, n.highest));
    assert_eq!((numbers(dialog.caller_numbers), numbers(dialog.callee_numbers)), (Some((7, 8)), Some((90, 90))));
}

#[test]
fn a_2xx_keeps_the_invite_accepted_and_each_further_2xx_belongs_to_it() {
    let mut story = Story::new();
    story.answered(0.0, "a", "b1");
    for (at, tag) in ["b2", "b3"].into_iter().enumerate() {
        let time = 4.0 + at as f64;
        story.b(time, "200 OK", said("z9hG4bKia", "1 INVITE", "a", tag), "");
        story.a(time + 0.1, "ACK", said(&format!("z9hG4bKk{tag}"), "1 ACK", "a", tag), "");
        story.bye(time + 0.2, "a", tag, "2 BYE");
    }
    let told = story.bye(20.0, "a", "b1", "2 BYE").tell(60.0);
    let call = only(&told);
    let invite = call.transactions.iter().find(|t| t.method == Method::Invite).unwrap();
    assert_eq!((invite.state, invite.messages.len()), (State::Accepted, 5));
    assert!(call.dialogs.iter().all(|dialog| dialog.ack.is_some() && dialog.state == DialogState::Terminated));
    assert_eq!(call.dialogs.len(), 3);
    // The call is the one that was kept.
    assert_eq!(Timings::of(told.analysis.view(0)).talk, Some(Duration::from_secs(17)));
}

#[test]
fn copies_are_told_however_many_phones_a_fork_reaches() {
    let mut story = Story::new();
    story.a(0.0, "INVITE", said("z9hG4bKi", "1 INVITE", "a", ""), "");
    let tags: Vec<String> = (0..200).map(|n| format!("b{n}")).collect();
    for time in [1.0, 2.0] {
        for tag in &tags {
            story.b(time, "180 Ringing", said("z9hG4bKi", "1 INVITE", "a", tag), "");
        }
    }
    let told = story.tell(60.0);
    let copies = only(&told).messages.iter().filter(|message| message.copy.is_some()).count();
    assert_eq!((copies, only(&told).dialogs.len()), (200, 200));
}

#[test]
fn requests_without_the_cookie_match_by_what_they_say() {
    let mut story = Story::new();
    // RFC 2543: one branch for all, or none at all (RFC 3261 17.2.3).
    for branch in ["1", ""] {
        story.trace.clear();
        story
            .a(0.0, "MESSAGE", said(branch, "1 MESSAGE", "a", ""), "")
            .b(0.1, "200 OK", said(branch, "1 MESSAGE", "a", "b"), "")
            .a(1.0, "MESSAGE", said(branch, "1 MESSAGE", "z", ""), "")
            .b(1.1, "200 OK", said(branch, "1 MESSAGE", "z", "y"), "");
        let told = story.tell(60.0);
        let sizes: Vec<usize> = only(&told).transactions.iter().map(|t| t.messages.len()).collect();
        assert_eq!(sizes, [2, 2], "branch '{branch}'");
    }
}

#[test]
fn a_merged_request_is_a_transaction_of_its_own() {
    let mut story = Story::new();
    let (one, two) = (said("z9hG4bK1", "1 INVITE", "a", ""), said("z9hG4bK2", "1 INVITE", "a", ""));
    story
        .a(0.0, "INVITE", one, "")
        .a(0.1, "INVITE", two, "")
        .b(0.2, "482 Merged", Said { to: "m", ..two }, "")
        .a(0.3, "ACK", Said { cseq: "1 ACK", to: "m", ..two }, "")
        .b(1.0, "180 Ringing", Said { to: "b", ..one }, "")
        .b(2.0, "200 OK", Said { to: "b", ..one }, "")
        .a(2.1, "ACK", said("z9hG4bKk", "1 ACK", "a", "b"), "");
    let told = story.bye(9.0, "a", "b", "2 BYE").tell(60.0);
    let call = only(&told);
    let states: Vec<State> = call.transactions.iter().filter(|t| t.method == Method::Invite).map(|t| t.state).collect();
    assert_eq!(states, [State::Accepted, State::Confirmed]);
    assert_eq!(call.outcome, Outcome::Answered);
    // The ACK to the 2xx is that of the INVITE which was accepted.
    let ack = call.transactions.iter().find(|t| t.method == Method::Ack).unwrap();
    assert_eq!(call.transaction(ack.invite.unwrap()).state, State::Accepted);
}

#[test]
fn crossings_of_rfc_5407_raise_nothing() {
    // 3.2.1: both sides hang up at once.
    let mut story = Story::new();
    story
        .answered(0.0, "a", "b")
        .a(9.0, "BYE", said("z9hG4bKy", "2 BYE", "a", "b"), "")
        .b(9.01, "BYE", said("z9hG4bKby", "1 BYE", "b", "a"), "")
        .a(9.02, "200 OK", said("z9hG4bKby", "1 BYE", "b", "a"), "")
        .b(9.03, "481 Call/Transaction Does Not Exist", said("z9hG4bKy", "2 BYE", "a", "b"), "");
    let told = story.tell(60.0);
    assert_eq!((codes(&told), only(&told).outcome), (vec![], Outcome::Answered));
    // 3.3.1: both sides change the session at once, and both refuse (RFC 3261 14.2).
    let mut story = Story::new();
    let (a, b) = (said("z9hG4bKg", "2 INVITE", "a", "b"), said("z9hG4bKbg", "1 INVITE", "b", "a"));
    story
        .answered(0.0, "a", "b")
        .a(5.0, "INVITE", a, "")
        .b(5.01, "INVITE", b, "")
        .a(5.02, "491 Request Pending", b, "")
        .b(5.03, "491 Request Pending", a, "")
        .a(5.04, "ACK", Said { cseq: "2 ACK", ..a }, "")
        .b(5.05, "ACK", Said { cseq: "1 ACK", ..b }, "")
        .bye(9.0, "a", "b", "3 BYE");
    let told = story.tell(60.0);
    assert_eq!((codes(&told), only(&told).outcome), (vec![], Outcome::Answered));
    assert_eq!(only(&told).dialogs.len(), 1);
}

/// Whoever is right in a crossing is not blamed; what is told of it is no fault.
fn faultless(story: &Story) -> Outcome {
    let told = story.tell(60.0);
    let blamed = told.findings.iter().filter(|finding| finding.severity > Severity::Info && finding.rule.code != "I06");
    let blamed: Vec<&str> = blamed.map(|finding| finding.rule.code).collect();
    assert_eq!(blamed, [] as [&str; 0]);
    only(&told).outcome
}

#[test]
fn a_cancel_that_crosses_the_200_is_no_fault() {
    // RFC 5407 3.1.2: the caller acknowledges and hangs up.
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "1 INVITE", "a", "b");
    story
        .a(0.0, "INVITE", Said { to: "", ..invite }, "")
        .b(0.1, "180 Ringing", invite, "")
        .a(3.0, "CANCEL", Said { cseq: "1 CANCEL", to: "", ..invite }, "")
        .b(3.01, "200 OK", invite, "")
        .b(3.02, "200 OK", Said { cseq: "1 CANCEL", ..invite }, "")
        .a(3.05, "ACK", said("z9hG4bKk", "1 ACK", "a", "b"), "")
        .bye(3.1, "a", "b", "2 BYE");
    assert_eq!(faultless(&story), Outcome::Answered);
}

#[test]
fn a_bye_that_crosses_a_re_invite_or_an_ack_is_no_fault() {
    // RFC 5407 3.2.2: the side that hung up knows no dialog any more.
    let mut story = Story::new();
    let again = said("z9hG4bKbg", "1 INVITE", "b", "a");
    story
        .answered(0.0, "a", "b")
        .a(9.0, "BYE", said("z9hG4bKy", "2 BYE", "a", "b"), "")
        .b(9.01, "INVITE", again, "")
        .b(9.02, "200 OK", said("z9hG4bKy", "2 BYE", "a", "b"), "")
        .a(9.03, "481 Call/Transaction Does Not Exist", again, "")
        .b(9.04, "ACK", Said { cseq: "1 ACK", ..again }, "");
    assert_eq!(faultless(&story), Outcome::Answered);
    // 3.1.6: the callee hangs up while the ACK is on its way.
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "1 INVITE", "a", "b");
    story
        .a(0.0, "INVITE", Said { to: "", ..invite }, "")
        .b(0.1, "180 Ringing", invite, "")
        .b(3.0, "200 OK", invite, "")
        .b(3.1, "BYE", said("z9hG4bKby", "1 BYE", "b", "a"), "")
        .a(3.11, "ACK", said("z9hG4bKk", "1 ACK", "a", "b"), "")
        .a(3.12, "200 OK", said("z9hG4bKby", "1 BYE", "b", "a"), "");
    assert_eq!(faultless(&story), Outcome::Answered);
}

#[test]
fn a_re_invite_that_crosses_the_ack_is_no_fault() {
    // RFC 5407 3.1.5: the callee changes the session before the ACK has come.
    let mut story = Story::new();
    let invite = said("z9hG4bKi", "1 INVITE", "a", "b");
    let again = said("z9hG4bKbg", "1 INVITE", "b", "a");
    story
        .a(0.0, "INVITE", Said { to: "", ..invite }, "")
        .b(0.1, "180 Ringing", invite, "")
        .b(3.0, "200 OK", invite, "")
        .b(3.05, "INVITE", again, "")
        .a(3.06, "ACK", said("z9hG4bKk", "1 ACK", "a", "b"), "")
        .a(3.1, "491 Request Pending", again, "")
        .b(3.15, "ACK", Said { cseq: "1 ACK", ..again }, "")
        .bye(9.0, "a", "b", "2 BYE");
    assert_eq!(faultless(&story), Outcome::Answered);
}

#[test]
fn a_spiral_passes_an_element_twice_and_is_neither_copy_nor_loop() {
    // Alice, P, Q, P again with another request URI, Bob (RFC 3261 6, "spiral").
    let hosts = ["192.0.2.1", "192.0.2.10", "192.0.2.20", "192.0.2.10", "192.0.2.2"];
    let mut trace = String::new();
    let mut add = |time: f64, src: &str, dst: &str, start: &str, vias: usize, to: &str| {
        let via = |hop: usize| format!("Via: SIP/2.0/UDP {}:5060;branch=z9hG4bKs{hop}\n", hosts[hop]);
        let vias: String = (0..vias).rev().map(via).collect();
        write!(
            trace,
            "@{time} udp {src}:5060 > {dst}:5060\n{start}\n{vias}Max-Forwards: 60\nFrom: <sip:a@example.com>;tag=a\n\
             To: <sip:b@example.com>{to}\nCall-ID: c1\nCSeq: 1 INVITE\nContact: <sip:x@192.0.2.2>\nContent-Length: 0\n\n"
        )
        .unwrap();
    };
    for (hop, uri) in ["sip:b@p", "sip:b@q", "sip:bob@p", "sip:bob@192.0.2.2"].into_iter().enumerate() {
        add(hop as f64 * 0.01, hosts[hop], hosts[hop + 1], &format!("INVITE {uri} SIP/2.0"), hop + 1, "");
    }
    for hop in (0..4).rev() {
        add(1.0 - hop as f64 * 0.01, hosts[hop + 1], hosts[hop], "SIP/2.0 200 OK", hop + 1, ";tag=b");
    }
    let told = tell(&format!("{trace}@2 end\n"));
    let call = only(&told);
    assert!(call.messages.iter().all(|message| message.copy.is_none()));
    let upstream: Vec<Option<usize>> =
        call.transactions.iter().map(|t| t.upstream.map(callflow::base::Idx::at)).collect();
    assert_eq!(upstream, [None, Some(0), Some(1), Some(2)]);
    assert!(call.transactions.iter().all(|t| t.messages.len() == 2));
    assert_eq!((call.dialogs.len(), call.dialogs[0].created_by.len()), (1, 4));
}

#[test]
fn a_client_with_a_t1_of_one_second_is_given_64_seconds() {
    let mut story = Story::new();
    for time in [0.0, 1.0, 3.0, 7.0, 15.0, 31.0] {
        story.a(time, "INVITE", said("z9hG4bKi", "1 INVITE", "a", ""), "");
    }
    story.call_id = "c2";
    story.b(0.5, "OPTIONS", said("z9hG4bKbo", "1 OPTIONS", "o", ""), "");
    story.a(0.6, "200 OK", said("z9hG4bKbo", "1 OPTIONS", "o", "p"), "");
    let told = story.tell(40.0);
    let finding = |code| told.findings.iter().find(|finding| finding.rule.code == code);
    assert!(finding("T01").is_some());
    assert!(finding("T06").is_none(), "a constant T1 is on schedule");
}
