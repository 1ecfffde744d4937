//! What README.md, CONTRIBUTING.md and docs/ say is what the program does.

use crate::support::{self, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 15] = [
    "check",
    "live",
    "calls",
    "ladder",
    "show",
    "stats",
    "learn",
    "diff",
    "export",
    "explain",
    "rules",
    "flows",
    "config",
    "completions",
    "man",
];

fn callflow(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callflow"));
    command.env_clear().current_dir(root()).stdin(Stdio::null()).args(args);
    command.output().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Every page that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = support::files("docs", "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "testdata/README.md"].map(|name| root().join(name)));
    pages
}

/// What stands between single backticks, outside of fenced blocks.
fn spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// The `--options` in a text.
fn options(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let before = text[..at].chars().next_back();
        let name: String = text[at + 2..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if name.starts_with(|c: char| c.is_ascii_lowercase())
            && !before.is_some_and(|c| c.is_alphanumeric() || c == '-')
        {
            found.insert(name);
        }
    }
    found
}

/// The options of a command, as its help lists them.
fn options_of(command: &str) -> BTreeSet<String> {
    let help = String::from_utf8(callflow(&[command, "--help"]).stdout).unwrap();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let mut found: BTreeSet<String> = lines.flat_map(options).collect();
    found.remove("help");
    found
}

/// The cells of the table rows below a heading; the heading's own level ends it.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let level = heading.split(' ').next().unwrap();
    let section = text.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no '{heading}'"));
    let section = section.split(&format!("\n{level} ")).next().unwrap();
    let table = section.lines().filter(|line| line.starts_with('|'));
    table.skip(2).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn usage_names_every_option_and_no_other() {
    let told = options(&read("docs/usage.md"));
    let mut real: BTreeSet<String> = COMMANDS.iter().flat_map(|command| options_of(command)).collect();
    real.remove("version");
    assert_eq!(told, real);
}

#[test]
fn usage_gives_each_option_to_the_commands_that_have_it() {
    let usage = read("docs/usage.md");
    let mut told: BTreeMap<&str, BTreeSet<String>> =
        COMMANDS.iter().map(|command| (*command, BTreeSet::new())).collect();
    let sections: [(&str, &[&str]); 4] = [
        ("### Live", &["live"]),
        ("### Input", &["check", "calls", "ladder", "show", "stats", "learn", "diff", "export"]),
        ("### Selection", &["check", "calls", "ladder", "show", "learn", "export"]),
        ("### Check", &["check"]),
    ];
    for (heading, commands) in sections {
        for row in rows(&usage, heading) {
            for command in commands {
                told.get_mut(command).unwrap().extend(options(row[0]));
            }
        }
    }
    for row in [
        rows(&usage, "### One call"),
        rows(&usage, "### Learn and diff"),
        rows(&usage, "### Export"),
        rows(&usage, "### Output"),
    ]
    .concat()
    {
        for (command, has) in &mut told {
            if row[1] == "all" || row[1].split(", ").any(|name| name == *command) {
                has.extend(options(row[0]));
            }
        }
    }
    for (command, told) in told {
        assert_eq!(told, options_of(command), "{command}");
    }
}

#[test]
fn usage_and_readme_list_every_command() {
    let help = String::from_utf8(callflow(&["--help"]).stdout).unwrap();
    let listed = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let real = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .collect::<Vec<_>>();
    let real: BTreeSet<&str> =
        real.iter().filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").collect();
    assert_eq!(real, COMMANDS.into());
    for page in ["docs/usage.md", "README.md"] {
        let told: BTreeSet<String> = rows(&read(page), "## Commands")
            .iter()
            .flat_map(|row| row[0].split('`').filter_map(|span| span.strip_prefix("callflow ")))
            .map(|span| span.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(told, COMMANDS.map(str::to_owned).into(), "{page}");
    }
}

#[test]
fn exit_codes_are_told_alike() {
    let codes = |page: &str| rows(&read(page), "## Exit codes").iter().map(|row| row[0].to_owned()).collect::<Vec<_>>();
    assert_eq!(codes("README.md"), ["0", "1", "2", "3", "4"]);
    assert_eq!(codes("docs/usage.md"), codes("README.md"));
}

#[test]
fn options_and_commands_named_in_prose_exist() {
    let real: BTreeSet<String> = COMMANDS.iter().flat_map(|command| options_of(command)).collect();
    let mut wrong = Vec::new();
    for page in pages() {
        for span in spans(&read(&page)) {
            let words: Vec<&str> = span.split_whitespace().collect();
            let has = match words.as_slice() {
                ["callflow", command, ..] if COMMANDS.contains(command) => &options_of(command),
                ["callflow", _, ..] => {
                    wrong.push(format!("{}: {span}", page.display()));
                    continue;
                }
                [first, ..] if first.starts_with("--") => &real,
                _ => continue,
            };
            wrong.extend(
                options(&span).difference(has).map(|option| format!("{}: --{option} in '{span}'", page.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Command lines in code blocks: what follows `callflow `.
fn examples(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if !fenced && !line.starts_with("    ") {
            continue;
        }
        let line = line.trim();
        let line = line.strip_prefix("- ").unwrap_or(line);
        let line = line.strip_prefix("run: ").unwrap_or(line);
        if let Some(command) = line.strip_prefix("callflow ") {
            found.push(command.to_owned());
        } else if let Some((_, command)) = line.split_once("cargo run ").and_then(|(_, rest)| rest.split_once("-- ")) {
            found.push(command.to_owned());
        }
    }
    found
}

#[test]
fn commands_in_code_blocks_work() {
    let mut run = 0;
    // Those of docs/ci.md need a repository with captures and leave files in it: tests/it/recipes.rs.
    for page in pages().into_iter().filter(|page| !page.ends_with("docs/ci.md")) {
        for example in examples(&read(&page)) {
            // The name of an export chooses its format.
            let name = if example.starts_with("export ") { "example.pcapng" } else { "example.out" };
            let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            let mut args: Vec<String> = example.split_whitespace().map(str::to_owned).collect();
            for at in 1..args.len() {
                let file = scratch.to_str().unwrap();
                match args[at - 1].as_str() {
                    "-o" | "--output" | "--flow-file" => args[at] = file.to_owned(),
                    "--parquet" => args[at] = format!("{file}.lake"),
                    "--write-baseline" => args[at] = format!("{file}.baseline"),
                    "--report" => args[at] = format!("{}={file}.{at}", args[at].split('=').next().unwrap()),
                    _ => {}
                }
            }
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            // Listening takes rights and hears what is none of a test's business: only whether the words are understood
            // is tried, on an interface that there is not.
            let listens = args[0] == "live" && !args.contains(&"-") && !args.contains(&"--list-interfaces");
            if listens {
                match args.iter().position(|arg| *arg == "-i") {
                    Some(at) => args[at + 1] = "no-such-interface0",
                    None => args.extend(["-i", "no-such-interface0"]),
                }
                let told = String::from_utf8(callflow(&args).stderr).unwrap();
                assert!(
                    told.contains("no interface 'no-such-interface0'"),
                    "{}: callflow {example}: {told}",
                    page.display()
                );
                continue;
            }
            let output = callflow(&args);
            let told = String::from_utf8_lossy(&output.stderr);
            // Folders of somebody else's project are not here; what is here must be readable and not empty.
            let fits = if example.contains("testdata") {
                [0, 1].contains(&output.status.code().unwrap())
            } else {
                output.status.code() != Some(2)
            };
            assert!(fits, "{}: callflow {example}: {:?} {told}", page.display(), output.status.code());
            run += 1;
        }
    }
    assert!(run > 10, "only {run} examples found");
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = read("README.md");
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let printed = callflow(&["check", "testdata/captures/a05-register-wrong-password.pcap"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let mut rest = printed.as_str();
    for part in shown.split("[...]\n").filter(|part| !part.is_empty()) {
        let at = rest.find(part).unwrap_or_else(|| panic!("README.md shows:\n{part}\nprinted is:\n{rest}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn every_rule_has_a_page_and_every_page_a_rule() {
    let pages: BTreeSet<String> = support::files("docs/rules", "md")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let rules: BTreeSet<String> =
        callflow::rules::metas().iter().map(|meta| format!("{}-{}", meta.code, meta.name)).collect();
    assert_eq!(pages, rules);
}

#[test]
fn every_rule_code_named_is_one() {
    let codes: BTreeSet<&str> = callflow::rules::metas().iter().map(|meta| meta.code).collect();
    let families: BTreeSet<char> = codes.iter().filter_map(|code| code.chars().next()).collect();
    let mut wrong = Vec::new();
    for page in pages() {
        for word in read(&page).split(|c: char| !c.is_alphanumeric()) {
            let is_code = word.len() == 3
                && word.starts_with(|c| families.contains(&c))
                && word[1..].chars().all(|c| c.is_ascii_digit());
            // X99 stands for any in CONTRIBUTING.md.
            if is_code && word != "X99" && !codes.contains(word) {
                wrong.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first column without backticks -> type, of all tables of fields in docs/json.md.
fn fields() -> BTreeMap<String, String> {
    let page = read("docs/json.md");
    ["## The document", "## A call", "## A finding"]
        .iter()
        .flat_map(|heading| rows(&page, heading))
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()))
        .collect()
}

/// Objects whose keys are values of the capture, not fields.
const MAPS: [&str; 3] = ["sip.transports", "sip.requests", "sip.responses"];

struct Walk {
    fields: BTreeMap<String, String>,
    met: BTreeSet<String>,
    nulls: BTreeSet<String>,
    wrong: BTreeSet<String>,
}

impl Walk {
    fn object(&mut self, path: &str, value: &Value) {
        let object = value.as_object().unwrap();
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, value) in object {
            self.value(&below(name), value);
        }
        let is_child = |field: &&String| {
            let rest = if path.is_empty() {
                Some(field.as_str())
            } else {
                field.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
            };
            rest.is_some_and(|rest| !rest.contains('.') && !object.contains_key(rest) && !rest.is_empty())
        };
        let absent: Vec<String> = self.fields.keys().filter(is_child).cloned().collect();
        for field in absent {
            let is_optional = match field.strip_prefix("calls[].messages[].") {
                Some("of") => object["copy"].is_null(),
                Some("inside" | "comments" | "unseen_at") => true,
                _ => false,
            };
            if !is_optional {
                self.wrong.insert(format!("{field} is not always there"));
            }
        }
    }

    fn value(&mut self, path: &str, value: &Value) {
        // Both have one list of missing messages each, and the page describes it once.
        let path = path.replace("reference.special.missing[]", "reference.missing[]");
        let path = path.as_str();
        self.met.insert(path.to_owned());
        let Some(kind) = self.fields.get(path).cloned() else {
            self.wrong.insert(format!("{path} is not in docs/json.md"));
            return;
        };
        let (kind, nullable) = kind.strip_suffix('?').map_or((kind.as_str(), false), |kind| (kind, true));
        let fits = match (kind, value) {
            (_, Value::Null) => {
                self.nulls.insert(path.to_owned());
                nullable
            }
            ("text", Value::String(_)) | ("number", Value::Number(_)) | ("yes/no", Value::Bool(_)) => true,
            ("time", Value::String(text)) => text.len() == 30 && text.ends_with('Z'),
            ("object", Value::Object(_)) => true,
            ("list", Value::Array(all)) => all.iter().all(Value::is_object),
            ("list of text", Value::Array(all)) => all.iter().all(Value::is_string),
            ("list of number", Value::Array(all)) => all.iter().all(Value::is_u64),
            _ => false,
        };
        if !fits {
            self.wrong.insert(format!("{path} should be {kind}: {value}"));
        }
        match value {
            Value::Object(_) if !MAPS.contains(&path) => self.object(path, value),
            Value::Array(all) if kind == "list" => all.iter().for_each(|one| self.object(&format!("{path}[]"), one)),
            _ => {}
        }
    }
}

#[test]
fn every_field_of_the_json_is_documented_and_every_documented_field_occurs() {
    let folders = ["testdata/captures", "testdata/containers", "testdata/legs"];
    let output = callflow(&[&["check", "--each", "--format", "json"][..], &folders].concat());
    let mut walk = Walk { fields: fields(), met: BTreeSet::new(), nulls: BTreeSet::new(), wrong: BTreeSet::new() };
    // A path of a list's entries, `calls[]`, is a field's prefix, not a field of the document.
    let documents: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    assert!(documents.len() > 20, "{} documents", documents.len());
    for document in &documents {
        walk.object("", document);
    }
    assert!(walk.wrong.is_empty(), "{:#?}", walk.wrong);
    let fields: BTreeSet<String> = walk.fields.keys().cloned().collect();
    // Two captures of one hop are needed for it: tests/it/points.rs.
    walk.met.insert("calls[].messages[].unseen_at".to_owned());
    assert_eq!(walk.met, fields);
    for field in [
        "calls[].final_status",
        "calls[].reference.flow",
        "findings[].cause",
        "findings[].missing",
        "calls[].messages[].step",
    ] {
        assert!(walk.nulls.contains(field), "{field} is never null");
    }
}

#[test]
fn ndjson_and_stats_have_the_fields_of_the_document() {
    let capture = "testdata/captures/b10-ack-never-200-retransmitted.pcap";
    let document: Value = serde_json::from_slice(&callflow(&["check", "--format", "json", capture]).stdout).unwrap();
    let lines = String::from_utf8(callflow(&["check", "--format", "ndjson", capture]).stdout).unwrap();
    let mut again: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let kind = line.as_object_mut().unwrap().remove("type").unwrap();
        again.entry(kind.as_str().unwrap().to_owned()).or_default().push(line);
    }
    for (kind, list) in [("capture", "captures"), ("call", "calls"), ("finding", "findings")] {
        assert_eq!(Value::Array(again.remove(kind).unwrap()), document[list]);
    }
    let mut summary = document["summary"].clone();
    let of_input = ["sip", "coverage", "encapsulations", "comments", "anomalies"];
    for name in ["version", "tool"].into_iter().chain(of_input) {
        summary[name] = document[name].clone();
    }
    assert_eq!(again.remove("summary").unwrap(), [summary]);
    assert!(again.is_empty(), "{again:?}");
    let stats: Value = serde_json::from_slice(&callflow(&["stats", "--format", "json", capture]).stdout).unwrap();
    assert_eq!(stats.as_object().unwrap().len(), 2 + of_input.len());
    for name in ["captures"].into_iter().chain(of_input) {
        assert_eq!(stats[name], document[name]);
    }
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let of_kind = |kind: &str| match kind {
        "delays" => BTreeSet::from(["count", "min", "mean", "p95", "max"].map(String::from)),
        "ratio" => BTreeSet::from(["part", "of", "percent"].map(String::from)),
        other => panic!("{other}"),
    };
    let page = read("docs/json.md");
    let told: BTreeMap<String, &str> = rows(&page, "## Metrics")
        .iter()
        .map(|row| (row[0].trim_matches('`').replace("metrics.", ""), row[1]))
        .collect();
    assert_eq!(names(&stats["metrics"]), told.keys().cloned().collect());
    for (name, kind) in told {
        assert_eq!(names(&stats["metrics"][&name]), of_kind(kind), "{name}");
    }
}

/// The words that `name()` of a type gives, from its source.
fn names_in_code(file: &str, of: &str) -> BTreeSet<String> {
    let text = read(file);
    let body = text.split(&format!("\nimpl {of} {{")).nth(1).unwrap_or_else(|| panic!("{file}: no impl {of}"));
    literals_of(body)
}

/// The words that the first `name` function of this source gives.
fn literals_of(source: &str) -> BTreeSet<String> {
    let body = source.split(") -> &'static str {").find(|part| part.trim_start().starts_with("match self"));
    let body = body.unwrap().split("\n    }\n").next().unwrap();
    body.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The words in backticks of a row of the vocabulary of docs/usage.md.
fn words_of(rows_wanted: &str) -> BTreeSet<String> {
    let usage = read("docs/usage.md");
    let rows = rows(&usage, "## Vocabulary");
    let cells = rows.iter().filter(|row| row[0].starts_with(rows_wanted)).map(|row| row[1]);
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn the_vocabulary_is_that_of_the_code() {
    for (word, file, of) in [
        ("kind", "src/call/mod.rs", "Kind"),
        ("outcome", "src/call/mod.rs", "Outcome"),
        ("role", "src/call/mod.rs", "Role"),
        ("severity", "src/rules/finding.rs", "Severity"),
        ("verdict", "src/flow/matching.rs", "Verdict"),
        ("cause", "src/flow/matching.rs", "Cause"),
    ] {
        let real = names_in_code(file, of);
        assert!(real.len() > 1, "{of}: {real:?}");
        assert_eq!(words_of(word), real, "{word}");
    }
    let anomalies: BTreeSet<String> =
        rows(&read("docs/json.md"), "## Vocabulary").iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(anomalies, names_in_code("src/base/anomaly.rs", "AnomalyKind"));
    let json = read("docs/json.md");
    let kinds: BTreeSet<String> =
        rows(&json, "## Kinds of packets").iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(kinds, names_in_code("src/analysis/coverage.rs", "PacketKind"));
    let formats = json.lines().find(|line| line.contains("captures[].format")).unwrap();
    let formats: BTreeSet<String> = formats.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(formats, literals_of(&read("src/capture/file.rs")));
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            if !page.parent().unwrap().join(file).exists() {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
        let is_path = |span: &String| {
            let known = ["src/", "docs/", "tests/", "testdata/", ".ci/"].iter().any(|folder| span.starts_with(folder));
            known
                && !span.contains([' ', '*', '<', '{'])
                && !span.contains("X99")
                && !span.contains("short_name")
                && !span.contains("NAME")
        };
        for span in spans(&text).iter().filter(|span| is_path(span)) {
            if !root().join(span).exists() {
                wrong.push(format!("{}: {span}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_in_the_code_that_are_mentioned_exist() {
    let mut wrong = Vec::new();
    for page in pages() {
        for word in read(&page).split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
            let Some((module, name)) = word.trim_matches(':').split_once("::") else { continue };
            if module.is_empty() || !root().join("src").join(module).is_dir() {
                continue;
            }
            let sources = support::files(&format!("src/{module}"), "rs");
            if !sources.iter().any(|path| read(path).contains(name) || path.ends_with(format!("{name}.rs"))) {
                wrong.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
