//! The labels of testdata/captures held against the program: what really happened, by those who made it.

use crate::support::{self, Told};
use callflow::rules::Severity;
use serde_json::Value;
use std::path::Path;

struct Labelled {
    name: String,
    label: Value,
    checked: Told,
}

fn labelled() -> Vec<Labelled> {
    support::captures().iter().filter_map(|path| load(path)).collect()
}

fn load(path: &Path) -> Option<Labelled> {
    let name = path.file_name()?.to_string_lossy().split('.').next()?.to_owned();
    let text = std::fs::read_to_string(path.with_file_name(format!("{name}.json"))).ok()?;
    let checked = support::tell_file(path);
    Some(Labelled { name, label: serde_json::from_str(&text).unwrap(), checked })
}

/// Whether a labelled Call-ID can be known at all: c31 cuts every frame in the middle of it.
fn is_captured(checked: &Told, call_id: &str) -> bool {
    let holds = |raw: &[u8]| raw.windows(call_id.len()).any(|part| part == call_id.as_bytes());
    checked.analysis.seen.iter().any(|seen| holds(seen.message.raw()))
}

/// The call that holds a labelled Call-ID.
fn find(checked: &Told, call_id: &str) -> Option<usize> {
    checked
        .analysis
        .views()
        .find(|view| view.messages().any(|(_, seen)| seen.message.call_id() == call_id.as_bytes()))
        .map(|v| v.number)
}

fn calls(label: &Value) -> impl Iterator<Item = &Value> {
    label["calls"].as_array().unwrap().iter()
}

#[test]
fn every_sip_message_is_counted() {
    for Labelled { name, label, checked } in labelled() {
        assert_eq!(Some(checked.analysis.stats.messages), label["sip_messages"].as_u64(), "{name}");
    }
}

#[test]
fn every_labelled_call_is_found_with_its_kind() {
    for Labelled { name, label, checked } in labelled() {
        for call in calls(&label) {
            let id = call["call_id"].as_str().unwrap();
            if !is_captured(&checked, id) {
                continue;
            }
            let kind = match call["kind"].as_str().unwrap() {
                "invite" => "call",
                "register" | "scan-register" => "registration",
                "subscribe" => "subscription",
                "options" | "scan-options" => "options",
                kind @ ("message" | "publish") => kind,
                _ => "other",
            };
            let found = find(&checked, id).unwrap_or_else(|| panic!("{name}: {id} not found"));
            assert_eq!(checked.analysis.calls[found].kind.name(), kind, "{name}: {id}");
        }
    }
}

#[test]
fn a_healthy_call_raises_nothing() {
    for Labelled { name, label, checked } in labelled() {
        if label["capture_faults"].as_array().is_some_and(|faults| !faults.is_empty()) {
            continue;
        }
        let faulty: Vec<usize> = calls(&label)
            .filter(|call| call["faults"].as_array().is_some_and(|faults| !faults.is_empty()))
            .filter_map(|call| find(&checked, call["call_id"].as_str()?))
            .collect();
        for finding in &checked.findings {
            let clean = finding.call.is_some_and(|call| !faulty.contains(&call));
            assert!(!clean || finding.severity == Severity::Info, "{name}: {} {}", finding.rule.code, finding.summary);
        }
    }
}

#[test]
fn every_fault_is_told() {
    for Labelled { name, label, checked } in labelled() {
        for call in calls(&label) {
            let faults = call["faults"].as_array().unwrap().iter().filter(|fault| {
                let media = fault["kind"].as_str().is_some_and(|kind| kind.starts_with("rtp_"));
                !media && matches!(fault["severity"].as_str(), Some("fault" | "failure"))
            });
            let found = find(&checked, call["call_id"].as_str().unwrap());
            for fault in faults {
                let told = checked.findings.iter().any(|finding| finding.call.is_none() || finding.call == found);
                assert!(told, "{name}: nothing said about {}", fault["detail"]);
            }
        }
    }
}

#[test]
fn retransmissions_are_told_from_packets_captured_twice() {
    for Labelled { name, label, checked } in labelled() {
        for call in calls(&label) {
            let id = call["call_id"].as_str().unwrap();
            if !is_captured(&checked, id) {
                continue;
            }
            let benign = call["faults"].to_string().contains("duplicate_capture");
            let Some(repeated) = call["retransmissions"].as_array() else {
                continue;
            };
            let mut expected: Vec<u64> = repeated.iter().filter_map(|copy| copy["frame"].as_u64()).collect();
            expected.sort_unstable();
            let view = checked.analysis.view(find(&checked, id).unwrap());
            let kind = if benign {
                callflow::session::CopyKind::CapturedTwice
            } else {
                callflow::session::CopyKind::Retransmission
            };
            let got: Vec<u64> = view
                .messages()
                .filter(|(no, seen)| {
                    seen.message.call_id() == id.as_bytes()
                        && view.call.message(*no).copy.is_some_and(|copy| copy.kind == kind)
                })
                .map(|(no, _)| u64::from(view.frame(no)))
                .collect();
            assert_eq!(got, expected, "{name}: {id}");
        }
    }
}
