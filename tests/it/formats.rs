//! The reports that CI reads: valid by their schemas, bounded, harmless, with a memory (the baseline).

use crate::support::{self, Told, packets, root, trace};
use callflow::capture::CaptureInfo;
use callflow::report::{self, Gate, Ledger, Report, Run, Selection, Style};
use callflow::rules::{Finding, Severity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const HEALTHY: &str = "testdata/captures/a08-session-direct.pcap";
const ACK_NEVER: &str = "testdata/captures/b10-ack-never-200-retransmitted.pcap";
const WRONG_PASSWORD: &str = "testdata/captures/a05-register-wrong-password.pcap";
const FORMATS: [&str; 5] = ["sarif", "junit", "github", "gitlab", "markdown"];

fn callflow(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(root()).stdin(Stdio::null());
    command
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A schema, with formats such as URIs held, too.
fn schema(name: &str) -> jsonschema::Validator {
    // A bracket in the pattern of `language`, which no report has, is no regular expression to the validator.
    let text = text(&root().join("tests/schemas").join(name)).replace("{2}]?$", r"{2}\\]?$");
    jsonschema::options().should_validate_formats(true).build(&json(&text)).unwrap()
}

/// What `check` with these arguments writes in a format, besides its text on standard output.
fn written(format: &str, args: &[&str]) -> (Output, String) {
    let slug: String = args.join("-").chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let slug = &slug[slug.len().saturating_sub(120)..];
    let path = scratch(&format!("{slug}.{format}"));
    let report = format!("{format}={}", path.display());
    let output = callflow(&[&["check", "--report", &report][..], args].concat());
    let told = text(&path);
    (output, told)
}

/// In a format, a report on what was told, with a capture of this name.
fn format(name: &str, told: &Told, path: &str) -> String {
    let captures = [capture(path)];
    let report = Report::new(&captures, &told.analysis, &told.flows, &told.findings, Selection::default());
    let mut out = Vec::new();
    report::format(name).unwrap().write(&report, Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn capture(path: &str) -> CaptureInfo {
    let opened = callflow::capture::open(&[root().join(HEALTHY)]);
    CaptureInfo { path: path.to_owned(), ..opened.source.captures()[0].clone() }
}

#[test]
fn sarif_of_every_capture_is_valid_by_the_schema_of_oasis() {
    let schema = schema("sarif-schema-2.1.0.json");
    let wrong = json("{\"version\": \"2.1.0\", \"runs\": [{\"results\": [{\"kind\": \"maybe\"}]}]}");
    assert!(!schema.is_valid(&wrong), "the schema refuses what is wrong");
    let all = ["--each", "testdata/captures", "testdata/legs", "no-such-file.pcap"];
    let (output, told) = written("sarif", &all);
    assert_eq!(output.status.code(), Some(3));
    let log = json(&told);
    let errors: Vec<String> =
        schema.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let run = &log["runs"][0];
    assert_eq!(log["runs"].as_array().unwrap().len(), 1, "one run, however many captures");
    assert!(run["artifacts"].as_array().unwrap().len() > 60);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let notes = run["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(notes.contains("no-such-file.pcap"), "{notes}");
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 40, "{}", results.len());
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let mut prints = BTreeSet::new();
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        let is_open = result["kind"] == "open";
        assert_eq!(result["level"] == "none", is_open, "3.27.10: {result}");
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert!(uri["uri"].as_str().unwrap().starts_with("testdata/"), "{uri}");
        assert!(prints.insert(result["partialFingerprints"]["callflowFlow/v1"].to_string()), "unique: {result}");
    }
    assert!(results.iter().any(|result| result["kind"] == "open"));
    for rule in rules {
        let page = rule["helpUri"].as_str().unwrap().rsplit("/docs/").next().unwrap();
        assert!(root().join("docs").join(page).exists(), "{page}");
    }
}

#[test]
fn gitlab_issues_are_valid_by_the_schema_and_the_manual_of_gitlab() {
    let schema = schema("gitlab-codequality-issue.json");
    let (_, told) = written("gitlab", &["--each", "testdata/captures"]);
    let issues = json(&told);
    let issues = issues.as_array().unwrap();
    assert!(issues.len() > 40, "{}", issues.len());
    let mut prints = BTreeSet::new();
    for issue in issues {
        assert!(schema.is_valid(issue), "{issue}");
        let severity = issue["severity"].as_str().unwrap();
        assert!(["info", "minor", "major", "critical", "blocker"].contains(&severity), "{issue}");
        assert!(issue["check_name"].is_string() && issue["location"]["positions"]["begin"]["line"].is_u64());
        assert!(!issue["location"]["path"].as_str().unwrap().starts_with(['/', '.']), "{issue}");
        assert!(prints.insert(issue["fingerprint"].as_str().unwrap()), "unique: {issue}");
    }
}

/// Element -> (attributes, of which needed, children), as the schema of Jenkins declares them.
type Declared = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>)>;

/// What the schema says of each element that a report may have. (`.ci/run` has xmllint read the whole of it.)
fn declared() -> Declared {
    let xsd = text(&root().join("tests/schemas/junit-10.xsd"));
    let xsd = roxmltree::Document::parse(&xsd).unwrap();
    let elements =
        xsd.root_element().children().filter(|node| node.has_tag_name(("http://www.w3.org/2001/XMLSchema", "element")));
    let names = |node: roxmltree::Node<'_, '_>, tag: &str, key: &str, needed: bool| {
        node.descendants()
            .filter(|below| below.tag_name().name() == tag && (!needed || below.attribute("use") == Some("required")))
            .filter_map(|below| below.attribute(key).map(str::to_owned))
            .collect()
    };
    elements
        .map(|node| {
            let parts = (
                names(node, "attribute", "name", false),
                names(node, "attribute", "name", true),
                names(node, "element", "ref", false),
            );
            (node.attribute("name").unwrap().to_owned(), parts)
        })
        .collect()
}

#[test]
fn junit_of_every_capture_has_what_the_schema_of_jenkins_declares_and_counts_right() {
    let declared = declared();
    assert!(declared["testcase"].1.contains("name") && declared["testsuite"].2.contains("testcase"));
    let (_, told) = written("junit", &["--each", "testdata/captures", "testdata/legs", "no-such-file.pcap"]);
    let document = roxmltree::Document::parse(&told).unwrap();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let (may, must, children) = &declared[node.tag_name().name()];
        let has: BTreeSet<String> = node.attributes().map(|attribute| attribute.name().to_owned()).collect();
        assert!(has.is_subset(may) && must.is_subset(&has), "{node:?}");
        for child in node.children().filter(roxmltree::Node::is_element) {
            assert!(children.contains(child.tag_name().name()), "{child:?} in {node:?}");
        }
    }
    let mut calls = 0;
    for suite in document.descendants().filter(|node| node.has_tag_name("testsuite")) {
        let cases: Vec<_> = suite.children().filter(|node| node.has_tag_name("testcase")).collect();
        let with = |name: &str| cases.iter().filter(|case| case.children().any(|c| c.has_tag_name(name))).count();
        for (attribute, n) in [
            ("tests", cases.len()),
            ("failures", with("failure")),
            ("errors", with("error")),
            ("skipped", with("skipped")),
        ] {
            assert_eq!(suite.attribute(attribute), Some(n.to_string().as_str()), "{suite:?}");
        }
        let mut names: Vec<_> =
            cases.iter().map(|case| (case.attribute("classname"), case.attribute("name"))).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len(), "every test has a name of its own: {suite:?}");
        calls += cases.len() - 1;
    }
    let listed = callflow(&["check", "--each", "testdata/captures", "testdata/legs", "--format", "ndjson"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(
        calls,
        listed.lines().filter(|line| line.starts_with("{\"type\":\"call\"")).count(),
        "passing calls, too"
    );
    assert!(told.contains("<error type=\"unreadable\" message=\"no-such-file.pcap"), "{told}");
}

#[test]
fn passing_calls_pass_failing_ones_fail_and_open_verdicts_are_skipped() {
    let (healthy, told) = written("junit", &[HEALTHY]);
    assert_eq!(healthy.status.code(), Some(0));
    assert!(told.contains("failures=\"0\" errors=\"0\" skipped=\"0\"") && told.contains("calls bob"), "{told}");
    let (failing, told) = written("junit", &[ACK_NEVER]);
    assert_eq!(failing.status.code(), Some(1));
    assert!(told.contains("<failure type=\"I01\"") && told.contains("not proved I03"), "{told}");
    // From info on, what is not proved counts, if nothing proved does.
    let (_, told) = written("junit", &["--fail-on", "info", "--rule", "I03", ACK_NEVER]);
    assert!(told.contains("<skipped message=\"inconclusive: I03"), "{told}");
    let (other, told) = written("junit", &["--expect", "bcp75/3.9", HEALTHY]);
    assert_eq!(other.status.code(), Some(1));
    assert!(told.contains("<failure type=\"expect\"") && told.contains("expected bcp75/3.9"), "{told}");
    let github = written("github", &["--expect", "bcp75/3.9", HEALTHY]).1;
    assert!(github.starts_with("::error title=unexpected::"), "{github}");
    assert!(written("markdown", &["--expect", "bcp75/3.9", HEALTHY]).1.contains("- ❌ "));
    let (empty, told) = written("junit", &["--call", "99", HEALTHY]);
    assert_eq!(empty.status.code(), Some(4));
    assert!(told.contains("<error type=\"nothing-to-check\""), "{told}");
    let (_, told) = written("junit", &["--call", "99", "--allow-empty", HEALTHY]);
    assert!(!told.contains("<error"), "{told}");
}

#[test]
fn healthy_calls_raise_no_alarm_in_any_format() {
    for capture in ["a08-session-direct", "a11-session-two-proxies", "a01-register-new-sipp", "c13-websocket"] {
        let capture = format!("testdata/captures/{capture}.pcap");
        let (output, told) = written("sarif", &[&capture]);
        assert_eq!(output.status.code(), Some(0), "{capture}");
        assert_eq!(json(&told)["runs"][0]["results"], json("[]"), "{capture}");
        assert_eq!(json(&written("gitlab", &[&capture]).1), json("[]"), "{capture}");
        let github = written("github", &[&capture]).1;
        assert!(!github.contains("::") && github.ends_with("none fails\n"), "{capture}: {github}");
        assert!(!written("markdown", &[&capture]).1.contains("| rule |"), "{capture}");
    }
}

/// A call that tries to break out of every format.
fn hostile() -> Told {
    let evil = "<script>]]>&\"'|`@all %0A::error::x\u{fffe}\u{ffff} https://e.example www.e.example *_~$![a](b)";
    let text = format!(
        "@0.000 udp 192.0.2.1:5060 > 192.0.2.2:5060
REGISTER sip:b SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1
From: \"{evil}\" <sip:{evil}@a>;tag=1
To: <sip:{evil}@b>
Call-ID: {evil}
CSeq: 1 REGISTER
Content-Length: 0
@0.010 udp 192.0.2.2:5060 > 192.0.2.1:5060
SIP/2.0 403 {evil}
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1
From: \"{evil}\" <sip:{evil}@a>;tag=1
To: <sip:{evil}@b>;tag=2
Call-ID: {evil}
CSeq: 1 REGISTER
Content-Length: 0
"
    );
    let mut told = support::tell(&text);
    let mut finding = some_finding();
    finding.call = Some(0);
    finding.summary = format!("{evil}\n::error::{evil}\r\n");
    finding.detail.clone_from(&finding.summary);
    finding.frames = vec![2];
    told.findings.push(finding);
    told
}

/// Calls and findings are written field by field; what serde makes of the same values must be the same bytes.
#[test]
fn json_is_what_serde_makes_of_its_values_and_ndjson_says_the_same() {
    let captures = support::captures().into_iter().map(|path| (support::tell_file(&path), true));
    for (told, is_harmless) in captures.chain([(hostile(), false)]) {
        let document = format("json", &told, "a \"capture\"");
        let value = json(&document);
        let mut by_serde = Vec::new();
        report::write_document(&value, &mut by_serde).unwrap();
        assert_eq!(document, String::from_utf8(by_serde).unwrap());

        let mut lines = BTreeMap::<String, Vec<Value>>::new();
        for line in format("ndjson", &told, "a \"capture\"").lines() {
            let mut object = json(line);
            // What steers a terminal is escaped by us and not by serde_json.
            let by_serde = object.to_string();
            assert!(!is_harmless || line == by_serde, "{line}");
            let kind = object.as_object_mut().unwrap().shift_remove("type").unwrap();
            lines.entry(kind.as_str().unwrap().to_owned()).or_default().push(object);
        }
        for (kind, list) in [("capture", "captures"), ("call", "calls"), ("finding", "findings")] {
            assert_eq!(lines.remove(kind).unwrap_or_default(), *value[list].as_array().unwrap());
        }
    }
}

fn some_finding() -> Finding {
    let told = support::tell_file(&root().join(ACK_NEVER));
    Finding { messages: Vec::new(), missing: None, ..told.findings[0].clone() }
}

#[test]
fn what_a_capture_says_stays_text_in_every_format() {
    let (told, path) = (hostile(), "a,b:c/<x>|\n::error::%0A.pcap");
    let xml = format("junit", &told, path);
    let document = roxmltree::Document::parse(&xml).unwrap();
    assert!(document.descendants().any(|node| node.has_tag_name("failure")), "{xml}");
    assert!(!document.descendants().any(|node| node.has_tag_name("script")), "{xml}");
    let sarif = json(&format("sarif", &told, path));
    assert!(schema("sarif-schema-2.1.0.json").is_valid(&sarif), "{sarif}");
    assert_eq!(
        sarif["runs"][0]["artifacts"][0]["location"]["uri"],
        "a%2Cb%3Ac/%3Cx%3E%7C%0A%3A%3Aerror%3A%3A%250A.pcap"
    );
    assert!(json(&format("gitlab", &told, path)).is_array());
    let github = format("github", &told, path);
    let lines: Vec<&str> = github.lines().collect();
    let (last, commands) = lines.split_last().unwrap();
    assert!(last.starts_with("callflow: "), "{github}");
    assert_eq!(commands.len(), told.findings.len(), "a line each: {github}");
    for line in commands {
        let properties = line.split("::").nth(1).unwrap();
        assert_eq!(properties.matches(',').count(), 2, "title, file, line: {line}");
    }
    let markdown = format("markdown", &told, path);
    for bad in ["<script", "<x>", "@all", "https://e.", "www.e.", "[a](b)", "\n::"] {
        assert!(!markdown.contains(bad), "{bad}: {markdown}");
    }
    for line in markdown.lines().filter(|line| line.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(cells == 5 || cells == 6, "{cells}: {line}");
    }
}

/// A report with so many findings of the capture as a whole.
fn many(n: usize, severity: Severity) -> (Told, CaptureInfo) {
    let mut told = support::tell_file(&root().join(HEALTHY));
    let (words, one) = ("<&@|*".repeat(200), some_finding().severity(severity));
    told.findings = (0..n)
        .map(|at| Finding { call: None, frames: vec![at as u32], summary: words.clone(), ..one.clone() })
        .collect();
    (told, capture("many.pcap"))
}

#[test]
fn github_shows_the_worst_ten_of_each_kind_and_counts_the_rest() {
    let (mut told, _) = many(15, Severity::Warning);
    told.findings.extend(many(15, Severity::Error).0.findings);
    told.findings.extend(many(15, Severity::Info).0.findings);
    let written = format("github", &told, "many.pcap");
    let of = |word: &str| written.lines().filter(|line| line.starts_with(&format!("::{word} "))).count();
    assert_eq!([of("error"), of("warning"), of("notice")], [10, 10, 10], "{written}");
    assert!(written.starts_with("::error "), "{written}");
    assert!(written.contains("::notice title=callflow::16 more findings"), "{written}");
}

#[test]
fn a_step_summary_stays_below_its_limit() {
    let (told, _) = many(3_000, Severity::Error);
    let written = format("markdown", &told, "many.pcap");
    assert!(written.len() < 1 << 20, "{}", written.len());
    assert!(written.contains("and 2800 more findings"), "{}", &written[written.len() - 2_000..]);
}

#[test]
fn sarif_leaves_out_what_readers_do_not_take_and_says_so() {
    let (mut told, _) = many(25_010, Severity::Warning);
    told.findings.iter_mut().for_each(|finding| finding.summary.truncate(1));
    told.findings.push(Finding { call: None, ..some_finding() });
    let log = json(&format("sarif", &told, "many.pcap"));
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 25_000);
    assert_eq!(results[0]["level"], "error", "the worst first");
    let told = log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap();
    assert!(told.starts_with("11 more results"), "{told}");
}

#[test]
fn a_step_summary_is_written_only_when_github_asks_for_one_and_the_user_for_annotations() {
    let summary = scratch("step-summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let run = |args: &[&str], path: &str| {
        command().env("GITHUB_STEP_SUMMARY", path).arg("check").args(args).output().unwrap()
    };
    let path = summary.to_str().unwrap();
    run(&[ACK_NEVER], path);
    assert_eq!(text(&summary), "before\n", "not asked for");
    let shown = run(&["--format", "github", ACK_NEVER], path);
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8(shown.stdout).unwrap().starts_with("::error title=I01 ack-missing,file="));
    let told = text(&summary);
    assert!(told.starts_with("before\n## callflow: 1 of 1 call fails") && told.contains("| ❌ error |"), "{told}");
    run(&["--report", &format!("github={}", scratch("annotations.txt").display()), WRONG_PASSWORD], path);
    assert!(text(&summary).starts_with(&told) && text(&summary).len() > told.len(), "appended");
    let wrong = run(&["--format", "github", ACK_NEVER], "/no/such/folder/x");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("GITHUB_STEP_SUMMARY"));
}

#[test]
fn several_reports_come_from_one_run_and_are_those_of_a_run_each() {
    let file = |name: &str| scratch(&format!("together.{name}"));
    let mut args = vec!["check".to_owned(), WRONG_PASSWORD.to_owned()];
    let all: Vec<&str> = report::FORMATS.iter().map(|format| format.name()).collect();
    for name in &all {
        args.extend(["--report".to_owned(), format!("{name}={}", file(name).display())]);
    }
    let together = command().args(&args).output().unwrap();
    assert_eq!(together.status.code(), Some(1));
    for name in all {
        let alone = callflow(&["check", WRONG_PASSWORD, "--format", name]);
        assert_eq!(alone.status.code(), Some(1), "{name}");
        assert!(alone.stdout == text(&file(name)).as_bytes(), "{name}");
    }
}

#[test]
fn reports_that_cannot_be_written_are_usage_errors_before_anything_is_read() {
    let out = scratch("twice.xml");
    let twice = format!("junit={}", out.display());
    let folder = format!("junit={}", env!("CARGO_TARGET_TMPDIR"));
    for (args, says) in [
        (&["--report", "junti=x.xml"][..], "no format is called 'junti'"),
        (&["--report", "junit"], "junit=calls.xml"),
        (&["--report", "junit=-"], "standard output"),
        (&["--report", "junit=/no/such/folder/x.xml"], "/no/such/folder/x.xml"),
        (&["--report", &folder], env!("CARGO_TARGET_TMPDIR")),
        (&["--report", &twice, "--report", &twice], "used for something else"),
        (&["--report", &twice, "-o", out.to_str().unwrap()], "used for something else"),
        (&["--report", "sarif=Cargo.toml", "--baseline", "Cargo.toml"], "Cargo.toml"),
        (&["--strict-baseline"], "--baseline"),
        (&["--baseline", "no-such-baseline.json"], "no-such-baseline.json"),
        (&["--baseline", HEALTHY], HEALTHY),
        (&["--write-baseline", "/no/such/folder/b.json"], "/no/such/folder/b.json"),
        (&["--write-baseline", "Cargo.toml"], "no baseline"),
    ] {
        let output = callflow(&[&["check", HEALTHY], args].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(says) && output.stdout.is_empty(), "{args:?}: {told}");
    }
    assert!(text(&root().join("Cargo.toml")).starts_with("[package]"));
    let calls = callflow(&["calls", "--format", "sarif", HEALTHY]);
    assert_eq!(calls.status.code(), Some(2));
}

/// A file for a baseline of a test, which is not there yet.
fn baseline(name: &str) -> String {
    let path = scratch(name);
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}

#[test]
fn known_findings_do_not_fail_are_marked_everywhere_and_new_ones_still_fail() {
    let known = &*baseline("known.json");
    let first = callflow(&["check", WRONG_PASSWORD, "--write-baseline", known]);
    assert_eq!(first.status.code(), Some(1), "writing one forgives nothing");
    std::fs::write(known, text(Path::new(known)).replace("\"reason\": \"\"", "\"reason\": \"ticket 7\"")).unwrap();
    let again = callflow(&["check", WRONG_PASSWORD, "--baseline", known]);
    let told = String::from_utf8(again.stdout).unwrap();
    assert_eq!((again.status.code(), again.stderr.as_slice()), (Some(0), &b""[..]), "{told}");
    assert!(told.contains("no new fault found") && told.contains("Known from the baseline"), "{told}");
    assert!(told.contains("(ticket 7)"), "{told}");
    let (_, sarif) = written("sarif", &[WRONG_PASSWORD, "--baseline", known]);
    let result = &json(&sarif)["runs"][0]["results"][0];
    assert_eq!(
        (&result["baselineState"], &result["suppressions"][0]["justification"]),
        (&"unchanged".into(), &"ticket 7".into())
    );
    assert!(schema("sarif-schema-2.1.0.json").is_valid(&json(&sarif)));
    let (_, junit) = written("junit", &[WRONG_PASSWORD, "--baseline", known]);
    assert!(junit.contains("<skipped message=\"known: A04") && junit.contains("failures=\"0\""), "{junit}");
    let (_, github) = written("github", &[WRONG_PASSWORD, "--baseline", known]);
    assert_eq!(github, "callflow: 2 calls checked, none fails, 2 findings known\n");
    let (_, markdown) = written("markdown", &[WRONG_PASSWORD, "--baseline", known]);
    assert!(markdown.contains("### Known from the baseline") && markdown.contains("ticket 7"), "{markdown}");
    let (_, document) = written("json", &[WRONG_PASSWORD, "--baseline", known]);
    let document = json(&document);
    assert_eq!((&document["findings"][0]["known"], &document["summary"]["known"]), (&true.into(), &2.into()));
    assert_eq!(document["summary"]["error"], 0);
    // One more of the same is one too many.
    let more = callflow(&["check", "--each", WRONG_PASSWORD, WRONG_PASSWORD, "--baseline", known]);
    assert_eq!(more.status.code(), Some(1));
    let other = callflow(&["check", "--each", WRONG_PASSWORD, ACK_NEVER, "--baseline", known]);
    assert_eq!(other.status.code(), Some(1));
}

#[test]
fn what_vanished_from_the_baseline_is_said_and_fails_only_when_strict() {
    let known = &*baseline("vanished.json");
    callflow(&["check", "--each", WRONG_PASSWORD, ACK_NEVER, "--write-baseline", known]);
    let plain = callflow(&["check", WRONG_PASSWORD, "--baseline", known]);
    let told = String::from_utf8(plain.stderr).unwrap();
    assert_eq!(plain.status.code(), Some(0), "{told}");
    assert!(told.contains("in the baseline and no longer found: I01"), "{told}");
    let strict = ["--baseline", known, "--strict-baseline", WRONG_PASSWORD];
    let (output, junit) = written("junit", &strict);
    assert_eq!(output.status.code(), Some(1));
    assert!(junit.contains("<testsuite name=\"baseline\"") && junit.contains("no longer found"), "{junit}");
    let (_, sarif) = written("sarif", &strict);
    let absent = json(&sarif)["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["baselineState"] == "absent")
        .count();
    assert_eq!(absent, 2, "I01 and I03");
    assert!(schema("sarif-schema-2.1.0.json").is_valid(&json(&sarif)));
    assert!(written("markdown", &strict).1.contains("no longer found"));
    let all = callflow(&["check", "--each", WRONG_PASSWORD, ACK_NEVER, "--baseline", known, "--strict-baseline"]);
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stderr));
}

#[test]
fn a_baseline_written_again_is_the_same_bytes_and_keeps_the_words_of_people() {
    let known = &*baseline("again.json");
    let write = || callflow(&["check", "--each", ACK_NEVER, WRONG_PASSWORD, "--write-baseline", known]);
    write();
    let edited = text(Path::new(known)).replacen("\"reason\": \"\"", "\"reason\": \"the lab has no ACK\"", 1);
    std::fs::write(known, &edited).unwrap();
    write();
    assert_eq!(text(Path::new(known)), edited);
    let rules: Vec<String> =
        json(&edited)["findings"].as_array().unwrap().iter().map(|f| f["rule"].to_string()).collect();
    assert!(rules.is_sorted() && rules.len() == 3, "{rules:?}");
    // Healthy captures leave nothing in it.
    let healthy = &*baseline("healthy.json");
    callflow(&["check", "testdata/captures/a11-session-two-proxies.pcap", "--write-baseline", healthy]);
    assert_eq!(json(&text(Path::new(healthy)))["findings"], json("[]"));
}

/// The same scenario on another day: other Call-IDs, tags, branches, times.
fn another_run(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((time, rest)) => format!("@{:.3} {rest}", time.parse::<f64>().unwrap() + 86_400.5),
        None if line.starts_with("Call-ID:") || line.starts_with("i:") => format!("{line}.other"),
        None => line.replace("tag=", "tag=other-").replace("branch=z9hG4bK-", "branch=z9hG4bK-other-"),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn prints(text: &str) -> Vec<String> {
    let told = support::tell(text);
    let lines = format("ndjson", &told, "x.pcap");
    let findings = lines.lines().map(json).filter(|line| line["type"] == "finding");
    findings.map(|finding| format!("{} {}", finding["rule"], finding["fingerprint"])).collect()
}

#[test]
fn fingerprints_are_the_same_in_another_run_of_the_same_scenario() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for path in support::files("testdata/rules", "trace") {
        let text = text(&path);
        // These name a Call-ID, tag or branch in a place that is not renamed here.
        if ["Replaces", "Target-Dialog", "Join:", "Session-ID"].iter().any(|name| text.contains(name)) {
            continue;
        }
        let (one, other) = (prints(&text), prints(&another_run(&text)));
        compared += one.len();
        if one != other {
            wrong.push(format!("{}: {one:?} {other:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 100, "{compared}");
}

#[test]
fn fingerprints_outlive_the_ports_of_clients_and_names_stand_for_addresses() {
    let text = text(&root().join("testdata/rules/I01-ack-missing/bad.trace"));
    let other = text.replace("192.0.2.1:5060", "192.0.2.1:40123").replace("UDP 192.0.2.1;", "UDP 192.0.2.1:40123;");
    assert_ne!(text, other);
    assert_eq!(prints(&text), prints(&other));
    // Containers get another address with every run; with names that does not matter.
    let moved = text.replace("192.0.2.1", "192.0.2.9");
    assert_ne!(prints(&text), prints(&moved));
    let named = |text: &str, address: &str| {
        let batch = packets::batch(&trace::parse(text).unwrap());
        let (pcap, hosts) = (scratch(&format!("{address}.pcap")), scratch(&format!("{address}.hosts")));
        std::fs::write(&pcap, packets::pcap(&batch)).unwrap();
        std::fs::write(&hosts, format!("{address} caller\n")).unwrap();
        let args = [pcap.to_str().unwrap(), "--names", hosts.to_str().unwrap()];
        let document = json(&written("json", &args).1);
        document["findings"].as_array().unwrap().iter().map(|f| f["fingerprint"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(named(&text, "192.0.2.1"), named(&moved, "192.0.2.9"));
}

#[test]
fn each_capture_is_a_suite_and_findings_of_merged_files_name_their_file() {
    let (_, junit) = written("junit", &["--each", HEALTHY, ACK_NEVER]);
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    let (_, sarif) = written("sarif", &[HEALTHY, ACK_NEVER]);
    let log = json(&sarif);
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], ACK_NEVER);
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_the_threads_and_the_folder() {
    let run = |folder: &str, threads: &str| -> Vec<Vec<u8>> {
        let folder = scratch(folder);
        std::fs::create_dir_all(folder.join("captures")).unwrap();
        for capture in [HEALTHY, ACK_NEVER, WRONG_PASSWORD] {
            let name = Path::new(capture).file_name().unwrap();
            std::fs::copy(root().join(capture), folder.join("captures").join(name)).unwrap();
        }
        // A page of HTML holds one capture.
        let formats = report::FORMATS.iter().map(|format| format.name()).filter(|name| *name != "html");
        let files: Vec<PathBuf> = formats.clone().map(|name| folder.join(name)).collect();
        let mut run = command();
        run.current_dir(&folder).args(["check", "--each", "captures", "--threads", threads]);
        for name in formats {
            run.args(["--report", &format!("{name}={name}")]);
        }
        assert_eq!(run.output().unwrap().status.code(), Some(1));
        let html = command()
            .current_dir(&folder)
            .args(["check", "--format", "html", "--threads", threads, "captures"])
            .output()
            .unwrap();
        assert_eq!(html.status.code(), Some(1));
        files.iter().map(|file| std::fs::read(file).unwrap()).chain([html.stdout]).collect()
    };
    let expected = run("one-folder", "1");
    assert!(expected.iter().all(|bytes| !bytes.is_empty()));
    assert!(expected == run("another-folder", "4"));
}

#[test]
fn a_run_tells_all_its_captures_with_one_count() {
    let told = support::tell_file(&root().join(WRONG_PASSWORD));
    let captures = [capture(WRONG_PASSWORD)];
    let (mut run, mut ledger) = (Run::new(Gate::default()), Ledger::default());
    for _ in 0..2 {
        let report = Report::new(&captures, &told.analysis, &told.flows, &told.findings, Selection::default())
            .within(&mut ledger);
        run.add(&report, &[]);
    }
    for name in FORMATS {
        let mut out = Vec::new();
        report::format(name).unwrap().whole().unwrap()(&run, &mut out).unwrap();
        assert!(!out.is_empty(), "{name}");
        if name == "gitlab" {
            let issues = json(&String::from_utf8(out).unwrap());
            let prints: BTreeSet<String> =
                issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].to_string()).collect();
            assert_eq!(prints.len(), 4, "{prints:?}");
        }
    }
}
