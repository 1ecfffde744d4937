//! SARIF 2.1.0 (OASIS): results for code scanning. One run, whatever the number of captures: GitHub takes one run of
//! a tool, and 25,000 results in it.

use super::run::{Case, Note, OfRun, Run, Step, Suite, page};
use super::write_document;
use crate::flow::Verdict;
use crate::rules::{Meta, Severity};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The format.
pub(super) static SARIF: OfRun = OfRun { name: "sarif", help: "SARIF 2.1.0, for code scanning", write };

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Results that GitHub takes of a run.
const RESULTS: usize = 25_000;
/// Places beside the main one, of the 1,000 that GitHub takes of a result.
const PLACES: usize = 50;
/// Tags that GitHub shows of a rule.
const TAGS: usize = 10;
/// Name of the key; raised when fingerprints are made of something else.
const FINGERPRINT: &str = "callflowFlow/v1";
/// What relative paths are relative to.
const ROOT: &str = "%SRCROOT%";

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    write_document(&Log(run), out)
}

struct Log<'a>(&'a Run);

impl Serialize for Log<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("$schema", SCHEMA)?;
        map.serialize_entry("version", "2.1.0")?;
        map.serialize_entry("runs", &[OneRun(self.0)])?;
        map.end()
    }
}

struct OneRun<'a>(&'a Run);

impl Serialize for OneRun<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = self.0;
        let mut notes = run.notes();
        let left_out = notes.len().saturating_sub(RESULTS);
        notes.truncate(RESULTS);
        let rules: BTreeSet<&str> = notes.iter().map(|(_, _, note)| note.rule.code).collect();
        let metas: Vec<&Meta> = rules
            .iter()
            .filter_map(|code| notes.iter().find(|(_, _, note)| note.rule.code == *code))
            .map(|(_, _, note)| note.rule)
            .collect();
        let results = Results { run, notes, rules: rules.into_iter().collect() };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tool", &tool(&metas))?;
        map.serialize_entry("columnKind", "unicodeCodePoints")?;
        map.serialize_entry(
            "originalUriBaseIds",
            &json!({ ROOT: {"description": {"text": "The folder that the program was run in."}} }),
        )?;
        map.serialize_entry("artifacts", &artifacts(run))?;
        map.serialize_entry("invocations", &[invocation(run, left_out)])?;
        map.serialize_entry("results", &results)?;
        let calls: usize = run.suites.iter().map(|suite| suite.cases.len()).sum();
        map.serialize_entry("properties", &json!({"captures": run.suites.len(), "calls": calls}))?;
        map.end()
    }
}

fn tool(rules: &[&Meta]) -> Value {
    json!({"driver": {
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
    }})
}

fn descriptor(rule: &Meta) -> Value {
    let mut tags: Vec<&str> = rule.basis.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(TAGS);
    let level = level(rule.severity);
    json!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.title},
        "help": {"text": rule.page, "markdown": rule.page},
        "helpUri": page(rule),
        "defaultConfiguration": {"level": level},
        "properties": {"tags": tags, "problem.severity": if level == "note" { "recommendation" } else { level }},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn artifacts(run: &Run) -> Vec<Value> {
    let files = run.suites.iter().flat_map(|suite| &suite.files);
    files.map(|file| json!({"location": artifact(&file.path), "roles": ["analysisTarget"]})).collect()
}

/// A path as a URI reference (RFC 3986): relative ones to the folder of the run.
fn artifact(path: &str) -> Value {
    let path = if path == "-" { "stdin" } else { path.trim_start_matches("./") };
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    if uri.starts_with('/') { json!({"uri": format!("file://{uri}")}) } else { json!({"uri": uri, "uriBaseId": ROOT}) }
}

fn invocation(run: &Run, left_out: usize) -> Value {
    let mut told = Vec::new();
    for suite in &run.suites {
        let error = |text: String| json!({"level": "error", "message": {"text": text}});
        told.extend(suite.unread().into_iter().map(error));
        for doubt in &suite.doubts {
            let text = format!("{}: {}", suite.name, doubt.text);
            told.push(json!({"level": "warning", "descriptor": {"id": doubt.kind}, "message": {"text": text}}));
        }
    }
    if left_out > 0 {
        let text = format!("{left_out} more results are left out, because readers take {RESULTS} of a run");
        told.push(json!({"level": "warning", "descriptor": {"id": "results-left-out"}, "message": {"text": text}}));
    }
    json!({
        "executionSuccessful": run.suites.iter().all(Suite::is_read),
        "toolExecutionNotifications": told,
    })
}

/// The results, made one at a time while writing.
struct Results<'a> {
    run: &'a Run,
    notes: Vec<(&'a Suite, Option<&'a Case>, &'a Note)>,
    /// Sorted; positions are those of the descriptors.
    rules: Vec<&'a str>,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seen = self.notes.iter().map(|(suite, case, note)| self.result(suite, *case, note));
        // What is only in the baseline has no place in any capture (3.27.24: absent).
        let absent = self.run.vanished.iter().map(|entry| {
            json!({
                "ruleId": entry.rule,
                "kind": "pass",
                "level": "none",
                "message": {"text": format!("Known, and no longer found: {}", entry.summary)},
                "partialFingerprints": {FINGERPRINT: entry.fingerprint()},
                "baselineState": "absent",
            })
        });
        serializer.collect_seq(seen.chain(absent))
    }
}

impl Results<'_> {
    fn result(&self, suite: &Suite, case: Option<&Case>, note: &Note) -> Value {
        // 3.27.10: where kind is not "fail", level is "none".
        let (kind, level) = match note.verdict {
            Verdict::Violated => ("fail", level(note.severity)),
            Verdict::Open => ("open", "none"),
        };
        let call = case.map_or_else(String::new, |case| format!(" (call {}: {})", case.number, case.label));
        let places = note.places();
        let places = if places.is_empty() { places } else { format!("\n{places}{call}") };
        let mut result = json!({
            "ruleId": note.rule.code,
            "ruleIndex": self.rules.binary_search(&note.rule.code).unwrap_or(0),
            "kind": kind,
            "level": level,
            "message": {"text": format!("{}\n{}{places}", note.summary, note.detail)},
            "locations": [location(suite, note, case)],
            "partialFingerprints": {FINGERPRINT: note.print.to_string()},
        });
        if note.frames.len() > 1 {
            let others = note.frames.iter().skip(1).take(PLACES);
            result["relatedLocations"] =
                others.map(|frame| physical(suite.path(note.file), *frame)).collect::<Vec<_>>().into();
        }
        if !note.steps.is_empty() {
            let steps: Vec<Value> = note.steps.iter().map(|step| thread_step(suite, note, step)).collect();
            result["codeFlows"] = json!([{"threadFlows": [{"locations": steps}]}]);
        }
        if self.run.gate.compares {
            result["baselineState"] = if note.reason.is_some() { "unchanged" } else { "new" }.into();
            result["suppressions"] = match &note.reason {
                Some(reason) => json!([{"kind": "external", "justification": reason}]),
                None => json!([]),
            };
        }
        if let Some(cause) = note.cause {
            result["properties"] = json!({"cause": cause});
        }
        result
    }
}

fn location(suite: &Suite, note: &Note, case: Option<&Case>) -> Value {
    let mut location = physical(suite.path(note.file), note.line());
    if let Some(case) = case {
        let name = format!("{}/{}", case.flow, case.label);
        location["logicalLocations"] = json!([{"name": case.label, "fullyQualifiedName": name, "kind": "call"}]);
    }
    location
}

/// A frame of a file. A capture has no lines; the number of the frame stands in their place, because readers that
/// show a result want one.
fn physical(path: &str, frame: u32) -> Value {
    let message = format!("frame {frame}");
    json!({
        "physicalLocation": {"artifactLocation": artifact(path), "region": {"startLine": frame.max(1)}},
        "message": {"text": message},
    })
}

fn thread_step(suite: &Suite, note: &Note, step: &Step) -> Value {
    let message = json!({"text": step.text});
    let Some(frame) = step.frame else {
        return json!({"location": {"message": message}, "importance": "essential"});
    };
    let mut location = physical(suite.path(step.file), frame);
    location["message"] = message;
    let importance = if note.frames.contains(&frame) { "essential" } else { "important" };
    json!({"location": location, "importance": importance})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uri_references_whatever_they_hold() {
        assert_eq!(artifact("./a b/c:d.pcap"), json!({"uri": "a%20b/c%3Ad.pcap", "uriBaseId": ROOT}));
        assert_eq!(artifact("/tmp/x.pcap"), json!({"uri": "file:///tmp/x.pcap"}));
        assert_eq!(artifact("-"), json!({"uri": "stdin", "uriBaseId": ROOT}));
        assert_eq!(artifact("é\n"), json!({"uri": "%C3%A9%0A", "uriBaseId": ROOT}));
    }
}
