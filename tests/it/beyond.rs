//! The flows beyond RFC 3665 on their traces: testdata/flows/beyond/NAME.trace is a healthy call of the flow that its
//! `# expect:` line names, NAME.WHAT.trace the same call with messages left out that `# missing:` lines name.

use crate::support::{self, Told};
use callflow::rules::Severity;
use std::path::{Path, PathBuf};

fn traces() -> Vec<PathBuf> {
    support::files("testdata/flows/beyond", "trace")
}

fn is_healthy(path: &Path) -> bool {
    !path.file_stem().unwrap().to_string_lossy().rsplit('.').next().unwrap().contains("no-")
}

fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let start = format!("# {word}:");
    text.lines().filter_map(|line| line.strip_prefix(start.as_str())).map(str::trim).collect()
}

fn told(path: &Path) -> (String, Told) {
    let text = std::fs::read_to_string(path).unwrap();
    let told = support::tell(&text);
    (text, told)
}

#[test]
fn healthy_traces_raise_nothing() {
    let mut wrong = Vec::new();
    for path in traces().iter().filter(|path| is_healthy(path)) {
        let (_, told) = told(path);
        assert!(told.analysis.anomalies.is_empty(), "{}: {:?}", path.display(), told.analysis.anomalies);
        for finding in told.findings.iter().filter(|finding| finding.severity > Severity::Info) {
            wrong.push(format!("{}: {} {}", path.display(), finding.rule.code, finding.summary));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
