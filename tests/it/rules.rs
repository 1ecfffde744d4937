//! Every rule on its cases: testdata/rules/CODE-name/{bad,good}*.trace, and what must never be flagged:
//! testdata/rules/never-flag/*.trace.
//!
//! A case says in comment lines what is expected:
//! `# expect: CODE SEVERITY [VERDICT [CAUSE]]`, or `# expect: nothing`. All of it must be found, and no
//! error or warning beyond it. Infos may come on top, but not where `nothing` is expected.

use crate::support::{self, Told};
use callflow::rules::{Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn every_case_gives_its_findings_and_no_others() {
    let cases = support::files("testdata/rules", "trace");
    assert!(cases.len() > 50, "only {} cases found", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|path| complaint(path)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_rule_has_a_page_and_a_bad_and_a_good_case() {
    print_table();
    for meta in callflow::rules::metas() {
        let folder = format!("testdata/rules/{}-{}", meta.code, meta.name);
        let cases = support::files(&folder, "trace");
        for kind in ["bad", "good"] {
            let named = |path: &&std::path::PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(kind);
            assert!(cases.iter().any(|path| named(&path)), "{folder} has no {kind} case");
        }
        let headings: Vec<&str> = meta.page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(
            headings,
            [
                "What it means",
                "Why it matters",
                "What the evidence is",
                "When it is not reported",
                "What to look at next",
                "Reference"
            ],
            "{}",
            meta.code
        );
        assert!(meta.page.starts_with(&format!("# {} {}\n", meta.code, meta.name)), "{}", meta.code);
    }
}

/// All rules, their cases, and how many captures of testdata show them: `-- --nocapture` to read it.
fn print_table() {
    let mut fired: BTreeMap<&str, usize> = BTreeMap::new();
    for path in support::captures() {
        let codes: BTreeSet<&str> = support::tell_file(&path).findings.iter().map(|f| f.rule.code).collect();
        for code in codes {
            *fired.entry(code).or_default() += 1;
        }
    }
    let metas = callflow::rules::metas();
    println!("{:<5}{:<44}{:<9}{:>4}{:>5}{:>9}", "code", "name", "severity", "bad", "good", "captures");
    for meta in &metas {
        let cases = support::files(&format!("testdata/rules/{}-{}", meta.code, meta.name), "trace");
        let of = |kind: &str| {
            cases.iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(kind)).count()
        };
        let captures = fired.get(meta.code).copied().unwrap_or_default();
        let (bad, good) = (of("bad"), of("good"));
        println!("{:<5}{:<44}{:<9}{bad:>4}{good:>5}{captures:>9}", meta.code, meta.name, meta.severity.name());
    }
    let silent: Vec<&str> = metas.iter().map(|meta| meta.code).filter(|code| !fired.contains_key(code)).collect();
    println!("{} rules; on no capture of testdata: {}", metas.len(), silent.join(" "));
}

#[test]
fn codes_and_names_are_unique() {
    let metas = callflow::rules::metas();
    let codes: BTreeSet<_> = metas.iter().map(|meta| meta.code).collect();
    let names: BTreeSet<_> = metas.iter().map(|meta| meta.name).collect();
    assert_eq!(codes.len(), metas.len());
    assert_eq!(names.len(), metas.len());
}

/// What is wrong with a case, if anything.
fn complaint(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# expect:")).map(str::trim).collect();
    let told = support::tell(&text);
    let name = path.strip_prefix(support::root()).unwrap().display();
    let mut wrong = Vec::new();
    if expected.is_empty() {
        wrong.push("no '# expect:' line".to_owned());
    }
    for want in expected.iter().filter(|want| **want != "nothing") {
        if !told.findings.iter().any(|finding| matches(want, finding)) {
            wrong.push(format!("missing: {want}"));
        }
    }
    let silent = expected == ["nothing"];
    for finding in told.findings.iter().filter(|finding| silent || finding.severity > Severity::Info) {
        if !expected.iter().any(|want| matches(want, finding)) {
            wrong.push(format!("too much: {} ({})", line(finding), finding.summary));
        }
    }
    wrong.extend(ungrounded(&told));
    (!wrong.is_empty()).then(|| {
        format!("{name}\n  {}\n  found: {:?}", wrong.join("\n  "), told.findings.iter().map(line).collect::<Vec<_>>())
    })
}

/// A finding of a call points at messages and says something.
fn ungrounded(told: &Told) -> Option<String> {
    let empty = |finding: &&Finding| {
        (finding.call.is_some() && finding.frames.is_empty()) || finding.summary.is_empty() || finding.detail.is_empty()
    };
    told.findings.iter().find(empty).map(|finding| format!("points at nothing: {}", line(finding)))
}

fn matches(want: &str, finding: &Finding) -> bool {
    let have = line(finding);
    let mut have = have.split(' ');
    want.split_whitespace().all(|word| have.next() == Some(word))
}

fn line(finding: &Finding) -> String {
    let cause = finding.cause.map_or("-", callflow::flow::Cause::name);
    format!("{} {} {} {cause}", finding.rule.code, finding.severity.name(), finding.verdict.name())
}
