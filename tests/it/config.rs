//! `callflow.toml`: what it sets, what it hides, what it demands, and how its mistakes are told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const WRONG_PASSWORD: &str = "a05-register-wrong-password.pcap";
const ACK_NEVER: &str = "b10-ack-never-200-retransmitted.pcap";
const HEALTHY: &str = "a11-session-two-proxies.pcap";

/// A project: a folder with `.git`, a configuration and some captures, and a folder below it.
struct Project(PathBuf);

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Project {
    /// An empty one; `name` is that of the test.
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join(".git")).unwrap();
        std::fs::create_dir_all(folder.join("below/deep")).unwrap();
        Self(folder)
    }

    fn with(name: &str, config: &str, captures: &[&str]) -> Self {
        let project = Self::new(name);
        project.write("callflow.toml", config);
        for capture in captures {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures").join(capture);
            std::fs::copy(from, project.0.join(capture)).unwrap();
        }
        project
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Run {
        self.run_in("", args)
    }

    fn run_in(&self, folder: &str, args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        command.env_clear().env("HOME", "/nonexistent").current_dir(self.0.join(folder)).stdin(Stdio::null());
        let output = command.args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Value and source of a row of `callflow config`.
fn row(out: &str, what: &str) -> (String, String) {
    let line = out.lines().find(|line| line.split_whitespace().next() == Some(what));
    let line = line.unwrap_or_else(|| panic!("no {what} in {out}"));
    let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let from = match words.as_slice() {
        [.., "command", "line"] => {
            words.pop();
            words.pop();
            "command line"
        }
        _ => words.pop().unwrap(),
    };
    (words.join(" "), from.to_owned())
}

#[test]
fn the_nearest_file_up_to_the_root_of_the_repository_holds() {
    let project = Project::with("nearest", "[options]\nfail-on = \"never\"\n", &[WRONG_PASSWORD]);
    let check = |folder: &str, file: &str| project.run_in(folder, &["check", file]).code;
    assert_eq!(check("", WRONG_PASSWORD), Some(0));
    assert_eq!(check("below/deep", &format!("../../{WRONG_PASSWORD}")), Some(0));
    project.write("below/callflow.toml", "[options]\nfail-on = \"error\"\n");
    assert_eq!(check("below/deep", &format!("../../{WRONG_PASSWORD}")), Some(1), "the nearer one");
    std::fs::remove_file(project.0.join("below/callflow.toml")).unwrap();
    std::fs::create_dir(project.0.join("below/.git")).unwrap();
    assert_eq!(check("below/deep", &format!("../../{WRONG_PASSWORD}")), Some(1), "not from outside of the repository");
}

#[test]
fn without_a_repository_only_the_current_folder_counts_unless_it_is_at_home() {
    // In /tmp, because the folder of the tests is itself in a repository.
    let root = std::env::temp_dir().join(format!("callflow-config-{}", std::process::id()));
    let deep = root.join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(root.join("callflow.toml"), "[options]\nfail-on = \"info\"\n").unwrap();
    let fail_on = |folder: &Path, home: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
        let output = command.env_clear().env("HOME", home).current_dir(folder).arg("config").output().unwrap();
        row(&String::from_utf8(output.stdout).unwrap(), "fail-on").0
    };
    let elsewhere = Path::new("/nonexistent");
    let found = [fail_on(&root, elsewhere), fail_on(&deep, elsewhere), fail_on(&deep, &root)];
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(found, ["info", "error", "info"]);
}

#[test]
fn the_command_line_goes_before_the_file_and_the_file_before_the_default() {
    let project = Project::with("order", "[options]\nfail-on = \"never\"\n", &[WRONG_PASSWORD]);
    assert_eq!(project.run(&["check", WRONG_PASSWORD]).code, Some(0));
    assert_eq!(project.run(&["check", "--fail-on", "error", WRONG_PASSWORD]).code, Some(1));
    assert_eq!(project.run(&["check", "--no-config", WRONG_PASSWORD]).code, Some(1));
    project.write("other.toml", "[options]\nfail-on = \"error\"\n");
    assert_eq!(project.run(&["check", "--config", "other.toml", WRONG_PASSWORD]).code, Some(1));
    assert_eq!(project.run(&["check", "--config", "other.toml", "--no-config", WRONG_PASSWORD]).code, Some(2));
}

#[test]
fn config_tells_every_value_and_who_says_it() {
    let text = "[options]\nfail-on = \"warning\"\nleg-header = [\"X-A\", \"X-B\"]\n[names]\n\"192.0.2.1\" = \"proxy\"\n\
                [rules.T02]\nseverity = \"off\"\nseconds = 0.5\n[[ignore]]\nrule = \"A04\"\nreason = \"known\"\nuntil = 2030-01-31\n\
                [[expect]]\nfile = \"x.pcap\"\ncalls = 1\n";
    let project = Project::with("told", text, &[]);
    let out = project.run_in("below", &["config"]).out;
    let is = |what: &str, value: &str, from: &str| {
        assert_eq!(row(&out, what), (value.to_owned(), from.to_owned()), "{out}");
    };
    is("fail-on", "warning", "../callflow.toml:2:1");
    is("leg-header", "X-A, X-B", "../callflow.toml:3:1");
    is("format", "text", "default");
    is("names.192.0.2.1", "proxy", "../callflow.toml:5:1");
    is("rules.T02.severity", "off", "../callflow.toml:7:1");
    is("rules.T02.seconds", "0.5", "../callflow.toml:8:1");
    is("rules.E02.seconds", "4", "default");
    is("ignore", "A04 known (until 2030-01-31)", "../callflow.toml:9:1");
    is("expect", "x.pcap", "../callflow.toml:13:1");
    let typed = project.run(&["config", "check", "--fail-on", "info"]).out;
    assert_eq!(row(&typed, "fail-on"), ("info".to_owned(), "command line".to_owned()));
    assert_eq!(project.run(&["config", "check", "--no-such"]).code, Some(2));
    let checked = project.run(&["config", "--check"]);
    assert_eq!((checked.code, checked.out.as_str()), (Some(0), ""));
    assert!(checked.err.contains("callflow.toml: can be used"), "{}", checked.err);
}

#[test]
fn every_option_that_may_be_set_is_told_and_documented() {
    let project = Project::new("options");
    let out = project.run(&["config"]).out;
    let rows = out.lines().skip(3).filter_map(|line| line.split_whitespace().next());
    let real: Vec<&str> = rows.filter(|name| !name.contains('.')).collect();
    assert!(real.len() > 10, "{out}");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    let section = page.split("\n## Options\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for option in real {
        assert!(section.contains(&format!("| `{option}` |")), "docs/config.md lacks {option}");
    }
    for threshold in &callflow::rules::THRESHOLDS {
        let told = format!(
            "| `{}` | `{}` | {} | {} to {} |",
            threshold.rule, threshold.key, threshold.usual, threshold.least, threshold.most
        );
        assert!(page.contains(&told), "docs/config.md lacks: {told}");
    }
}

#[test]
fn files_are_relative_to_the_configuration() {
    let text =
        "[options]\nnames = \"hosts\"\nflow-file = [\"own.flow\"]\n[names]\n\"10.20.1.101:5060\" = \"registrar.lab\"\n";
    let project = Project::with("relative", text, &[WRONG_PASSWORD]);
    project.write("hosts", "10.20.1.11 desk-phone\n");
    let flow = Command::new(env!("CARGO_BIN_EXE_callflow"))
        .args(["learn", "--no-config", "--call", "1", "--name", "house/register"])
        .arg(project.0.join(WRONG_PASSWORD))
        .output()
        .unwrap();
    project.write("own.flow", &flow.stdout);
    let told = project.run_in("below/deep", &["check", &format!("../../{WRONG_PASSWORD}")]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    for word in ["desk-phone", "registrar.lab", "house/register"] {
        assert!(told.out.contains(word), "{word}: {}", told.out);
    }
}

#[test]
fn the_severity_of_a_rule_is_what_the_project_says() {
    let project = Project::with("severity", "[rules.A04]\nseverity = \"warning\"\n", &[WRONG_PASSWORD]);
    let told = project.run(&["check", WRONG_PASSWORD]);
    assert_eq!(told.code, Some(0), "{}", told.out);
    assert!(told.out.contains("LOOK") && told.out.contains("A04"), "{}", told.out);
    assert_eq!(project.run(&["check", "--fail-on", "warning", WRONG_PASSWORD]).code, Some(1));
    // By name, and for every command.
    project.write("callflow.toml", "[rules.credentials-refused]\nseverity = \"off\"\n");
    assert!(!project.run(&["check", WRONG_PASSWORD]).out.contains("A04"));
    assert!(!project.run(&["calls", WRONG_PASSWORD]).out.contains("A04"));
    assert!(!project.run(&["explain", WRONG_PASSWORD]).out.contains("A04"));
    assert!(project.run(&["explain", WRONG_PASSWORD, "--no-config"]).out.contains("A04"));
}

#[test]
fn a_threshold_moves_where_a_rule_begins() {
    let capture = "b22-invite-timer-b.pcap";
    let rules = |text: &str| {
        let project = Project::with("threshold", text, &[capture, HEALTHY]);
        let run = project.run(&["check", "--format", "ndjson", capture, HEALTHY]);
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let found = run.out.lines().map(line).filter(|line| line["type"] == "finding");
        let mut rules: Vec<String> = found.map(|line| line["rule"].as_str().unwrap().to_owned()).collect();
        rules.sort();
        rules.dedup();
        rules
    };
    let usual = rules("");
    let strict = rules("[rules.N03]\nbytes = 200\n[rules.E02]\nseconds = 0.1\n");
    assert!(!usual.contains(&"N03".to_owned()), "{usual:?}");
    assert!(strict.contains(&"N03".to_owned()), "{strict:?}");
}

#[test]
fn what_is_ignored_is_told_with_its_reason_and_does_not_count() {
    let ignore = "[[ignore]]\nrule = \"A04\"\nreason = \"the lab has no such user\"\n";
    let project = Project::with("ignore", ignore, &[WRONG_PASSWORD]);
    let told = project.run(&["check", WRONG_PASSWORD]);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{}", told.out);
    assert!(
        told.out.contains("Ignored: 2 findings\n  2 A04 credentials-refused: the lab has no such user"),
        "{}",
        told.out
    );
    let json = project.run(&["check", "--format", "json", WRONG_PASSWORD]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["summary"]["error"], 0);
    assert_eq!(json["summary"]["ignored"], 2);
    assert_eq!(json["findings"][0]["ignored"], "the lab has no such user");
    assert_eq!(json["calls"][0]["findings"], serde_json::json!([]));
}

#[test]
fn an_ignore_is_as_narrow_as_its_patterns() {
    let text = |pattern: &str| format!("[[ignore]]\nrule = \"A04\"\nreason = \"known\"\n{pattern}\n");
    let project = Project::with("narrow", "", &[WRONG_PASSWORD]);
    let json = project.run(&["check", "--format", "json", WRONG_PASSWORD]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let call_id = json["calls"][0]["call_ids"][0].as_str().unwrap();
    let print = json["findings"][0]["fingerprint"].as_str().unwrap();
    let ignored = |pattern: &str| {
        project.write("callflow.toml", text(pattern));
        let run = project.run(&["check", "--format", "json", WRONG_PASSWORD]);
        let json: serde_json::Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.err));
        json["summary"]["ignored"].as_u64().unwrap()
    };
    for (pattern, n) in [
        ("", 2),
        ("from = \"sip:bob@*\"", 2),
        ("from = \"sip:alice@*\"", 0),
        ("to = \"*@biloxi.example.com\"", 2),
        ("to = \"*@biloxi.example.com\"\nfrom = \"sip:alice@*\"", 0),
        ("participant = \"10.20.1.{11,12}\"", 2),
        ("participant = \"10.20.1.101:5060\"", 2),
        ("participant = \"192.0.2.*\"", 0),
        (&format!("call-id = \"{call_id}\""), 1),
        (&format!("fingerprint = \"{print}\""), 1),
        (&format!("fingerprint = \"{print}*\""), 2),
        ("fingerprint = \"0000*\"", 0),
    ] {
        assert_eq!(ignored(pattern), n, "{pattern}");
    }
}

#[test]
fn an_ignore_holds_to_the_end_of_its_day_in_the_time_of_the_capture() {
    // The capture is of 2026-11-22.
    let text = |day: &str| format!("[[ignore]]\nrule = \"A04\"\nreason = \"ticket 7\"\nuntil = {day}\n");
    let project = Project::with("until", &text("2026-11-22"), &[WRONG_PASSWORD, HEALTHY]);
    let holds = project.run(&["check", WRONG_PASSWORD]);
    assert_eq!((holds.code, holds.err.as_str()), (Some(0), ""));
    project.write("callflow.toml", text("\"2026-11-21\""));
    let over = project.run(&["check", WRONG_PASSWORD]);
    assert_eq!(over.code, Some(1));
    assert!(
        over.err.contains(
            "callflow.toml:1:1: this [[ignore]] ended with 2026-11-21, so 2 findings of A04 count again (ticket 7)"
        ),
        "{}",
        over.err
    );
    assert_eq!(project.run(&["check", HEALTHY]).err, "", "nothing that it would speak of");
}

#[test]
fn a_capture_shows_what_is_expected_of_it_or_the_check_fails() {
    let project = Project::with("expect", "", &[WRONG_PASSWORD, HEALTHY]);
    let check = |text: &str, capture: &str| {
        project.write("callflow.toml", format!("[[expect]]\n{text}\n"));
        let run = project.run(&["check", capture]);
        (run.code, run.err)
    };
    let said = |why: &str, capture: &str| (Some(1), format!("callflow: callflow.toml:1:1: {capture}: {why}\n"));
    let good = (Some(0), String::new());
    assert_eq!(check("file = \"a11-*.pcap\"\nflow = \"3.2\"\ncalls = 2\noutcome = \"answered\"", HEALTHY), good);
    assert_eq!(check("file = [\"x\", \"a11*\"]\nflow = [\"2.1\", \"bcp75/3.2\"]\ncalls = \"1..\"", HEALTHY), good);
    assert_eq!(check("file = \"other.pcap\"\ncalls = 99", HEALTHY), good, "not about this file");
    assert_eq!(check("file = \"a11*\"\ncalls = 3", HEALTHY), said("3 calls expected, 2 calls found", HEALTHY));
    assert_eq!(
        check("file = \"a11*\"\ncalls = \"..1\"", HEALTHY),
        said("at most 1 call expected, 2 calls found", HEALTHY)
    );
    assert_eq!(
        check("file = \"a11*\"\nkind = \"registration\"\nflow = \"2.1\"", HEALTHY),
        said("no call is there to follow what is expected", HEALTHY)
    );
    let (code, err) = check("file = \"a11*\"\nflow = \"3.1\"\noutcome = \"busy\"", HEALTHY);
    assert_eq!(code, Some(1));
    assert!(err.contains("call 1 follows bcp75/3.2, expected bcp75/3.1"), "{err}");
    assert!(err.contains("call 2 is answered, expected busy"), "{err}");
    assert_eq!(check("file = \"a11*\"\nfindings = \"A04\"", HEALTHY), said("A04 expected, not found", HEALTHY));
    let (code, err) = check("file = \"a11*\"\nflow = \"9.9\"", HEALTHY);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn the_report_says_what_is_not_as_expected() {
    let project = Project::with("expect-head", "", &[HEALTHY]);
    let head = |text: &str, args: &[&str]| {
        project.write("callflow.toml", format!("[[expect]]\nfile = \"a11*\"\n{text}\n"));
        let run = project.run(&[&["check", "--ascii", HEALTHY], args].concat());
        assert_eq!(run.code, Some(1), "{}", run.out);
        run.out.lines().next().unwrap_or_default().to_owned()
    };
    let whole = head("calls = 3", &[]);
    assert!(whole.contains("PROBLEM  2 calls, not as expected: 3 calls expected, 2 calls found"), "{whole}");
    assert_eq!(head("calls = 3", &["--quiet"]), whole);
    let calls = head("outcome = \"busy\"", &[]);
    assert!(calls.contains("PROBLEM  2 calls, none as expected"), "{calls}");
    let none = head("kind = \"call\"\ncalls = 1", &["--from", "nobody"]);
    assert!(none.contains("PROBLEM  no calls, not as expected: 1 call expected, 0 calls found"), "{none}");
    let markdown = head("findings = \"A04\"", &["--format", "markdown"]);
    assert!(markdown.contains("1 expectation not met"), "{markdown}");
    for format in ["markdown", "github", "junit"] {
        let out = project.run(&["check", HEALTHY, "--format", format]).out;
        assert!(out.contains("A04 expected, not found"), "{format}: {out}");
    }
}

#[test]
fn an_expectation_of_no_file_is_told_where_many_were_given() {
    let config = "[[expect]]\nfile = \"a11*\"\ncalls = 2\n[[expect]]\nfile = \"typo*\"\ncalls = 1\n";
    let project = Project::with("idle", config, &[HEALTHY]);
    let told = "callflow: callflow.toml:4:1: this [[expect]] fits no file: typo*\n".to_owned();
    let check = |args: &[&str]| {
        let run = project.run(&[&["check"], args].concat());
        (run.code, run.err)
    };
    assert_eq!(check(&["."]), (Some(0), told.clone()));
    assert_eq!(check(&["--each", "."]), (Some(0), told));
    assert_eq!(check(&[HEALTHY]), (Some(0), String::new()), "who picks a file knows that it is not all");
    assert_eq!(check(&["--quiet", "."]), (Some(0), String::new()));
}

#[test]
fn a_finding_that_is_expected_is_no_failure() {
    let text = "[[expect]]\nfile = \"a05*\"\nflow = \"2.5\"\noutcome = \"refused\"\nfindings = [\"A04\"]\n";
    let project = Project::with("expected-finding", text, &[WRONG_PASSWORD, ACK_NEVER]);
    let run = project.run(&["check", WRONG_PASSWORD]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    assert!(run.out.contains("expected (callflow.toml:1:1)"), "{}", run.out);
    assert_eq!(project.run(&["check", ACK_NEVER]).code, Some(1), "of another file it is none");
    assert_eq!(project.run(&["check", "--each", WRONG_PASSWORD, ACK_NEVER]).code, Some(1));
}

#[test]
fn expectations_are_of_paths_below_the_configuration() {
    let project = Project::with("paths", "[[expect]]\nfile = \"below/*/*.pcap\"\ncalls = 7\n", &[HEALTHY]);
    std::fs::copy(project.0.join(HEALTHY), project.0.join("below/deep/run.pcap")).unwrap();
    assert_eq!(project.run(&["check", HEALTHY]).code, Some(0));
    assert_eq!(project.run(&["check", "below/deep/run.pcap"]).code, Some(1));
    assert_eq!(project.run_in("below/deep", &["check", "run.pcap"]).code, Some(1));
    assert_eq!(project.run(&["check", "--each", "."]).code, Some(1));
}

#[test]
fn mistakes_are_told_with_line_and_column_and_are_2() {
    let project = Project::with("mistakes", "", &[HEALTHY]);
    for (text, why) in [
        ("[optoins]\n", "1:2: unknown key 'optoins'; did you mean 'options'?"),
        ("[options]\nfial-on = \"x\"\n", "2:1: no option 'fial-on' can be set here; did you mean 'fail-on'?"),
        ("[options]\nfail-on = \"warn\"\n", "2:11: options.fail-on: invalid value 'warn'"),
        ("[options]\nfail-on = 3\n", "2:11: options.fail-on: must be a text in quotes, not a number"),
        ("[options]\nthreads = 0\n", "2:11: options.threads: invalid value '0'"),
        ("[options]\nthreads = \"2\"\n", "2:11: options.threads: must be a whole number, not a text"),
        ("[options]\nstrict = 1\n", "2:10: options.strict: must be true or false, not a number"),
        ("[options]\ndecode-as = [\"5070\"]\n", "2:13: options.decode-as: invalid value '5070'"),
        ("options = 3\n", "1:11: options: must be a table, not a number"),
        ("[rules.Z99]\nseverity = \"off\"\n", "1:8: no rule is called 'Z99'"),
        ("[rules.T01]\nseverity = \"of\"\n", "2:12: rules.T01.severity: 'of' is no severity"),
        ("[rules.T01]\nseconds = 3\n", "2:1: unknown key 'rules.T01.seconds'"),
        ("[rules.T02]\nseconds = 300\n", "2:11: rules.T02.seconds: must be from 0.01 to 60, not 300"),
        ("[rules.T02]\nseconds = nan\n", "2:11: rules.T02.seconds: must be a number"),
        ("[[ignore]]\nrule = \"A04\"\n", "1:1: 'ignore.reason' is missing"),
        ("[[ignore]]\nrule = \"A04\"\nreason = \" \"\n", "3:10: ignore.reason: is empty"),
        ("[[ignore]]\nreason = \"x\"\n", "1:1: 'ignore.rule' is missing"),
        (
            "[[ignore]]\nrule = \"A04\"\nreason = \"x\"\nuntil = \"2026-02-30\"\n",
            "4:9: ignore.until: '2026-02-30' is no date",
        ),
        ("[[ignore]]\nrule = \"A04\"\nreason = \"x\"\nuntil = 7\n", "4:9: ignore.until: must be a date"),
        ("[[ignore]]\nrule = \"A04\"\nreason = \"x\"\nfrom = \"[a\"\n", "4:8: ignore.from: unclosed character class"),
        ("[ignore]\nrule = \"A04\"\n", "1:1: ignore: must be tables that begin with [[ignore]]"),
        ("[[expect]]\nfile = \"x\"\n", "1:1: expects nothing"),
        ("[[expect]]\ncalls = 1\n", "1:1: 'expect.file' is missing"),
        ("[[expect]]\nfile = \"x\"\ncalls = \"many\"\n", "3:9: expect.calls: 'many' is no number of calls"),
        ("[[expect]]\nfile = \"x\"\ncalls = -1\n", "3:9: expect.calls: must be a whole number from 0"),
        ("[[expect]]\nfile = \"x\"\noutcome = \"good\"\n", "3:11: expect.outcome: no outcome is called 'good'"),
        ("[[expect]]\nfile = \"x\"\nfindings = [\"Z99\"]\n", "3:12: expect.findings: no rule is called 'Z99'"),
        ("[names]\n\"192.0.2\" = \"x\"\n", "2:1: '192.0.2' is no IP address"),
        ("a = \n", "1:5: "),
        ("[options]\n[options]\n", "2:2: "),
    ] {
        project.write("callflow.toml", text);
        for args in [&["config", "--check"][..], &["check", HEALTHY]] {
            let run = project.run(args);
            assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{text}{}", run.err);
            assert!(run.err.contains(&format!("callflow: callflow.toml:{why}")), "{text}{}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        }
    }
    assert_eq!(project.run(&["explain", "A04"]).code, Some(0), "documentation is there whatever the file says");
    assert_eq!(project.run(&["rules"]).code, Some(0));
}

#[test]
fn a_file_that_cannot_be_read_is_2() {
    let project = Project::with("unreadable", "", &[HEALTHY]);
    let told = |args: &[&str]| {
        let run = project.run(args);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{args:?}");
        run.err
    };
    assert!(told(&["check", "--config", "none.toml", HEALTHY]).starts_with("callflow: none.toml: "));
    assert!(told(&["check", "--config", ".", HEALTHY]).starts_with("callflow: .: "));
    project.write("large.toml", vec![b'#'; (1 << 20) + 1]);
    assert!(told(&["check", "--config", "large.toml", HEALTHY]).contains("larger than 1024 KiB"));
    project.write("latin.toml", b"# \xe9\n");
    assert!(told(&["check", "--config", "latin.toml", HEALTHY]).contains("not UTF-8"));
    assert!(told(&["check", "--config", HEALTHY, HEALTHY]).starts_with("callflow: "));
    std::fs::remove_file(project.0.join("callflow.toml")).unwrap();
    std::fs::create_dir(project.0.join("callflow.toml")).unwrap();
    assert!(
        told(&["check", HEALTHY]).starts_with("callflow: callflow.toml: "),
        "a folder of that name is not passed over"
    );
}

#[test]
fn a_large_file_of_nesting_or_of_keys_ends_soon() {
    let project = Project::new("large");
    let nested = ["a = ", &"[".repeat(300_000), &"]".repeat(300_000)].concat();
    let key = |n: usize| ["\"192.0.", &(n / 256).to_string(), ".", &(n % 256).to_string(), "\" = \"n\"\n"].concat();
    let keys: String = (0..40_000).map(key).collect();
    for (text, code) in [(nested, 2), (format!("[names]\n{keys}"), 0)] {
        project.write("callflow.toml", text);
        let run = project.run(&["config", "--check"]);
        assert_eq!(run.code, Some(code), "{}", run.err);
    }
}
