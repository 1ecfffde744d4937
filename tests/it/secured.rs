//! What came under TLS or WebSocket is judged as if it had come in the clear.

use crate::encapsulations::{self, streams, wire};
use crate::support::trace::{Event, What};
use crate::support::{self, Told, packets, tell_batch_with};
use callflow::analysis::{Options, RsaKey};
use callflow::base::{Endpoint, Transport};
use callflow::flow::FlowMatch;
use callflow::rules::Finding;
use callflow::session::Seen;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Rules that may tell something of a secured capture and not of the clear one, and why.
const OF_THE_TRANSPORT: [(&str, &str); 2] = [
    ("H03", "bytes of a stream that are missing in the capture are not missing in what was read of it"),
    ("H05", "connections without keys stay encrypted"),
];

/// The captures whose messages came under TLS or WebSocket.
fn secured() -> Vec<(String, Told)> {
    let lab = |name: &str| (name.to_owned(), support::tell_file(&support::root().join("testdata/captures").join(name)));
    let mut all: Vec<_> =
        ["c09-tls13-baresip.pcap", "c11-tls-openssl-client-no-keys.pcap", "c13-websocket.pcap"].map(lab).into();
    all.push(("rsa/call.pcap".to_owned(), with_rsa_key()));
    let faulty = [
        ("faulty-tls", include_str!("../../testdata/tls/calls/faulty-tls.txt")),
        ("faulty-wss", include_str!("../../testdata/tls/calls/faulty-wss.txt")),
    ];
    all.extend(faulty.map(|(name, recording)| (name.to_owned(), played(recording))));
    all
}

fn with_rsa_key() -> Told {
    let folder = support::root().join("testdata/tls/rsa");
    let rsa_keys = RsaKey::parse(&std::fs::read(folder.join("server.pem")).unwrap()).unwrap();
    support::tell_file_with(&folder.join("call.pcap"), Options { rsa_keys, ..Options::default() })
}

/// A recorded connection, and a minute after it.
fn played(recording: &str) -> Told {
    let mut frames = streams::recorded(&wire::call("TLS"), recording);
    frames.push(wire::outer_udp(9, b"end"));
    let mut batch = encapsulations::batch(1, &frames);
    let last = batch.packets.last_mut().unwrap();
    last.time = last.time.after(Duration::from_secs(60));
    tell_batch_with(&batch, Options { key_log: recording.into(), ..Options::default() })
}

/// The same messages between the same ends at the same distances in time, over TCP where the transport
/// was reliable, in a capture that goes on as long.
fn in_the_clear(told: &Told) -> Told {
    let analysis = &told.analysis;
    let start = analysis.first.unwrap();
    // Room for the handshake before the first message.
    let since = |time: callflow::base::Timestamp| time.since(start) + Duration::from_millis(1);
    let address = |end: Endpoint| SocketAddr::new(end.ip, end.port);
    let event = |(seen, number): (&Seen, u16)| {
        let (src, dst) = (address(seen.connection.src), address(seen.connection.dst));
        let payload = seen.message.raw().to_vec();
        let what = match seen.connection.transport {
            Transport::Udp => What::Udp { src, dst, payload },
            _ => What::Tcp { src, dst, payload, end: None },
        };
        Event { time: since(seen.time), what, ip_id: Some(number), interface: 0, cut: None }
    };
    let mut events: Vec<Event> = analysis.seen.iter().zip(1..).map(event).collect();
    let end = Event { time: since(analysis.last.unwrap()), what: What::End, ip_id: None, interface: 0, cut: None };
    events.push(end);
    tell_batch_with(&packets::batch(&events), Options::default())
}

/// Calls: who, what, how it ended, which messages repeat others.
fn calls(told: &Told) -> Vec<String> {
    let call = |view: callflow::analysis::CallView<'_>| {
        let ids: Vec<String> = view
            .call
            .messages
            .iter()
            .map(|m| told.analysis.seen[m.seen.at()].message.call_id().escape_ascii().to_string())
            .collect();
        let copies: Vec<_> = view.call.messages.iter().map(|message| message.copy).collect();
        let call = view.call;
        let hops: Vec<_> = call.messages.iter().map(|message| (message.from, message.to, message.hop)).collect();
        format!("{:?} {:?} {:?} {ids:?} {copies:?} {hops:?}", call.kind, call.outcome, call.final_status)
    };
    told.analysis.views().map(call).collect()
}

fn flows(told: &Told) -> Vec<String> {
    let flow = |found: &FlowMatch| {
        let missing: Vec<_> = found.missing.iter().map(|missing| (&missing.step, missing.cause)).collect();
        format!(
            "{:?} {} {} {:?} {missing:?} {:?}",
            found.flow, found.cost, found.complete, found.steps, found.unexpected
        )
    };
    told.flows.iter().map(flow).collect()
}

fn findings(told: &Told) -> Vec<String> {
    let counts = |finding: &&Finding| OF_THE_TRANSPORT.iter().all(|(code, _)| *code != finding.rule.code);
    let finding = |finding: &Finding| {
        let Finding { rule, severity, verdict, cause, call, messages, .. } = finding;
        format!("{} {severity:?} {verdict:?} {cause:?} {call:?} {messages:?}", rule.code)
    };
    let mut all: Vec<String> = told.findings.iter().filter(counts).map(finding).collect();
    all.sort();
    all
}

#[test]
fn secured_captures_give_what_the_same_messages_give_in_the_clear() {
    for (name, told) in secured() {
        let clear = in_the_clear(&told);
        let secured = |transport: &Transport| matches!(transport, Transport::Tls | Transport::Ws | Transport::Wss);
        assert!(told.analysis.stats.transports.keys().any(secured), "{name} is not secured");
        assert!(!clear.analysis.stats.transports.keys().any(secured), "{name}");
        assert_eq!(told.analysis.stats.messages, clear.analysis.stats.messages, "{name}");
        assert_eq!(calls(&told), calls(&clear), "{name}");
        assert_eq!(flows(&told), flows(&clear), "{name}");
        assert_eq!(findings(&told), findings(&clear), "{name}");
    }
}

#[test]
fn faults_are_found_under_tls_and_websocket() {
    for (name, told) in secured().into_iter().filter(|(name, _)| name.starts_with("faulty")) {
        assert!(told.analysis.anomalies.is_empty(), "{name}: {:?}", told.analysis.anomalies);
        for code in ["A04", "B01", "O01"] {
            let found = told.findings.iter().any(|finding| finding.rule.code == code);
            assert!(found, "{name}: no {code} among {:?}", findings(&told));
        }
    }
}

#[test]
fn a_call_of_rsa_key_exchange_is_read_with_the_key_of_its_server() {
    let told = with_rsa_key();
    assert_eq!(told.analysis.stats.messages, 7);
    assert!(told.findings.is_empty() && told.analysis.anomalies.is_empty());
    let without = support::tell_file(Path::new("testdata/tls/rsa/call.pcap"));
    assert_eq!(without.analysis.stats.messages, 0);
    let told = without.findings.iter().find(|finding| finding.rule.code == "H05").unwrap();
    assert!(told.detail.contains("--rsa-key") && told.detail.contains("ECDHE"));
}
