//! Who takes part in a call, what it is and what shows that.

use crate::support;
use callflow::base::Names;
use callflow::call::{Role, profiles};
use std::process::Command;

const SDP: &str = "Content-Length: auto\n";

fn stack(vias: &[&str]) -> String {
    vias.iter().flat_map(|via| ["Via: SIP/2.0/UDP ", via, "\n"]).collect()
}

fn invite(src: &str, dst: &str, vias: &[&str], more: &str) -> String {
    let vias = stack(vias);
    format!(
        "udp {src} > {dst}\nINVITE sip:bob@example.com SIP/2.0\n{vias}Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=a\n\
         To: <sip:bob@example.com>\nCall-ID: 1@alice\nCSeq: 1 INVITE\n{more}{SDP}"
    )
}

fn response(status: &str, src: &str, dst: &str, vias: &[&str], more: &str) -> String {
    let vias = stack(vias);
    format!(
        "udp {src} > {dst}\nSIP/2.0 {status}\n{vias}From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>;tag=b\n\
         Call-ID: 1@alice\nCSeq: 1 INVITE\n{more}{SDP}"
    )
}

fn trace(messages: &[String]) -> String {
    let lines: Vec<String> = messages.iter().enumerate().map(|(at, message)| format!("@0.{at:02} {message}")).collect();
    lines.concat() + "@40 end\n"
}

struct Told {
    addresses: Vec<String>,
    role: Role,
    user_agent: Option<String>,
    records_route: Option<bool>,
    evidence: Vec<String>,
}

fn told(messages: &[String]) -> Vec<Told> {
    let analysis = support::tell(&trace(messages)).analysis;
    assert_eq!(analysis.calls.len(), 1);
    let call = &analysis.calls[0];
    let who = call.participants.iter().zip(profiles(call, &analysis.seen));
    who.map(|(who, profile)| Told {
        addresses: who.addresses.iter().map(ToString::to_string).collect(),
        role: who.role,
        user_agent: profile.user_agent.map(|said| said.text().into_owned()),
        records_route: profile.records_route,
        evidence: profile.evidence.iter().map(ToString::to_string).collect(),
    })
    .collect()
}

#[test]
fn a_proxy_that_listens_on_one_port_and_sends_from_another_is_one() {
    let (ua, proxy) = ("192.0.2.1;branch=z9hG4bKa", "192.0.2.9:5070;branch=z9hG4bKp");
    let route = "Record-Route: <sip:192.0.2.9;lr>\n";
    let told = told(&[
        invite("192.0.2.1:5060", "192.0.2.9:5060", &[ua], "Contact: <sip:alice@192.0.2.1>\nUser-Agent: Phone 1\n"),
        invite(
            "192.0.2.9:5070",
            "192.0.2.2:5060",
            &[proxy, ua],
            &format!("Contact: <sip:alice@192.0.2.1>\n{route}User-Agent: Phone 1\n"),
        ),
        response("180 Ringing", "192.0.2.2:5060", "192.0.2.9:5070", &[proxy, ua], &format!("{route}Server: Phone 2\n")),
        response("180 Ringing", "192.0.2.9:5060", "192.0.2.1:5060", &[ua], &format!("{route}Server: Phone 2\n")),
    ]);
    let roles: Vec<Role> = told.iter().map(|told| told.role).collect();
    assert_eq!(roles, [Role::Ua, Role::Proxy, Role::Ua]);
    assert_eq!(told[1].addresses, ["192.0.2.9:5060", "192.0.2.9:5070"]);
    let agents: Vec<Option<&str>> = told.iter().map(|told| told.user_agent.as_deref()).collect();
    // What the proxy passes on says nothing of itself.
    assert_eq!(agents, [Some("Phone 1"), None, Some("Phone 2")]);
    assert_eq!(told[1].records_route, Some(true));
    assert!(told[1].evidence.contains(&"passed on INVITE".to_owned()), "{:?}", told[1].evidence);
    assert!(told[0].evidence.contains(&"Contact sip:alice@192.0.2.1".to_owned()), "{:?}", told[0].evidence);
}

#[test]
fn two_programs_on_one_address_are_two() {
    let (ua, proxy) = ("127.0.0.1:5061;branch=z9hG4bKa", "127.0.0.1:5060;branch=z9hG4bKp");
    let told = told(&[
        invite("127.0.0.1:5061", "127.0.0.1:5060", &[ua], ""),
        invite("127.0.0.1:5060", "127.0.0.1:5062", &[proxy, ua], ""),
        response("200 OK", "127.0.0.1:5062", "127.0.0.1:5060", &[proxy, ua], ""),
        response("200 OK", "127.0.0.1:5060", "127.0.0.1:5061", &[ua], ""),
    ]);
    let who: Vec<(&str, Role)> = told.iter().map(|told| (told.addresses[0].as_str(), told.role)).collect();
    assert_eq!(who, [("127.0.0.1:5061", Role::Ua), ("127.0.0.1:5060", Role::Proxy), ("127.0.0.1:5062", Role::Ua)]);
    assert_eq!(told[1].records_route, Some(false));
}

#[test]
fn a_gateway_that_rewrites_addresses_is_no_proxy_and_no_user_agent() {
    let server = "203.0.113.9:5060";
    let told = told(&[
        invite("10.0.0.5:5060", server, &["10.0.0.5;branch=z9hG4bKa"], "Contact: <sip:alice@10.0.0.5>\n"),
        invite("198.51.100.1:5060", server, &["198.51.100.1;branch=z9hG4bKa"], "Contact: <sip:alice@198.51.100.1>\n"),
        response("180 Ringing", server, "198.51.100.1:5060", &["198.51.100.1;branch=z9hG4bKa"], ""),
        response("180 Ringing", server, "10.0.0.5:5060", &["10.0.0.5;branch=z9hG4bKa"], ""),
    ]);
    let role = |address: &str| told.iter().find(|told| told.addresses[0] == address).map(|told| told.role);
    assert_eq!(role("198.51.100.1:5060"), Some(Role::Alg));
    assert_eq!(role("10.0.0.5:5060"), Some(Role::Ua));
}

#[test]
fn names_stand_beside_addresses_in_every_report() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts");
    std::fs::write(&file, "10.20.1.101 proxy.example.com p1 # the lab\n10.20.1.11:5060 desk\u{1b}[2J\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        command.current_dir(support::root()).args(args).arg("--names").arg(&file);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let capture = "testdata/captures/a05-register-wrong-password.pcap";
    let text = run(&["check", "--width", "200", capture]);
    assert!(text.contains("proxy.example.com (10.20.1.101:5060)"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let json = run(&["check", "--format", "json", capture]);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let participants = &document["calls"][0]["participants"];
    assert_eq!(participants[1]["label"], "proxy.example.com");
    assert_eq!(participants[1]["addresses"][0], "10.20.1.101:5060");
    std::fs::write(&file, "10.20.1.101\n").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_callflow"))
        .current_dir(support::root())
        .args(["check", capture, "--names"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hosts:1: no name behind the address"));
    assert!(Names::parse(b"").unwrap().is_empty());
}
