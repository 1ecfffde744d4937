//! The torture messages of RFC 4475 and RFC 5118; testdata/torture/README.md says what a case is.

use crate::support;
use callflow::sip::{Fault, FaultSeverity, Message};
use std::path::Path;

/// What one line of the table says.
struct Row {
    name: String,
    section: String,
    valid: String,
    told: String,
    wrong: Vec<String>,
}

#[test]
fn every_torture_message_is_read_as_it_must_be() {
    let cases = support::files("testdata/torture", "sip");
    let rows: Vec<Row> = cases.iter().map(|path| judge(path)).collect();
    for row in &rows {
        let ok = if row.wrong.is_empty() { "ok" } else { "WRONG" };
        eprintln!("{:<30} {:<18} {:<4} {ok:<6} {}", row.name, row.section, row.valid, row.told);
        row.wrong.iter().for_each(|wrong| eprintln!("    {wrong}"));
    }
    let good = rows.iter().filter(|row| row.wrong.is_empty()).count();
    eprintln!("{good} of {} as expected", rows.len());
    assert_eq!((good, rows.len()), (61, 61));
}

fn judge(path: &Path) -> Row {
    let raw = std::fs::read(path).unwrap();
    let text = std::fs::read_to_string(path.with_extension("expect")).unwrap();
    let lines: Vec<(&str, &str)> =
        text.lines().map(|line| line.split_once(':').unwrap()).map(|(key, value)| (key, value.trim())).collect();
    let of = |key: &str| lines.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let message = Message::parse(raw.clone().into());
    let faults = message.faults();
    let told: Vec<String> = faults.iter().map(|fault| spot(fault, &raw)).collect();
    let mut wrong = Vec::new();
    for (key, value) in &lines {
        match read(&message, key) {
            Some(found) if found != *value => wrong.push(format!("{key}: {found:?}, expected {value:?}")),
            None if *key == "fault" && !told.contains(&(*value).to_owned()) => wrong.push(format!("missing: {value}")),
            _ => {}
        }
    }
    let valid = of("valid").unwrap().to_owned();
    let wanted: Vec<&str> = lines.iter().filter(|(key, _)| *key == "fault").map(|(_, value)| *value).collect();
    wrong.extend(
        told.iter().filter(|fault| !wanted.contains(&fault.as_str())).map(|fault| format!("too much: {fault}")),
    );
    if wanted.is_empty() != (valid == "yes") {
        wrong.push("only what is valid has no fault".to_owned());
    }
    if valid == "old" && faults.iter().any(|fault| fault.severity == FaultSeverity::Error) {
        wrong.push("an old message is no error".to_owned());
    }
    Row {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        section: of("section").unwrap().to_owned(),
        valid,
        told: told.join("; "),
        wrong,
    }
}

/// `header | bytes pointed at | section`.
fn spot(fault: &Fault, raw: &[u8]) -> String {
    let part = &raw[fault.offset as usize..][..fault.len as usize];
    let line = format!("{} | {} | {}", fault.header, String::from_utf8_lossy(part), fault.basis);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the parser says about one fact of the expectation.
fn read(message: &Message, key: &str) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    Some(match key {
        "method" => message.method_name().into_owned(),
        "uri" => text(message.request_uri()),
        "status" => or_none(message.status().map(|status| status.to_string())),
        "from-tag" => text(message.from_tag()),
        "to-tag" => text(message.to_tag()),
        "call-id" => text(message.call_id()),
        "cseq" => {
            let name = if message.is_request() { cseq_name(message) } else { message.method_name().into_owned() };
            or_none(message.cseq_number().map(|number| format!("{number} {name}")))
        }
        "vias" => message.via_count().to_string(),
        "body" => message.body().len().to_string(),
        _ => return None,
    })
}

/// Methods beyond the known ones have no name of their own in the CSeq of a request.
fn cseq_name(message: &Message) -> String {
    match message.cseq_method() {
        callflow::sip::Method::Other => message.method_name().into_owned(),
        known => known.name().to_owned(),
    }
}
