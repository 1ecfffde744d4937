//! The baseline: findings that are known and not to fail a run, as a file that people may read and edit.

use super::fingerprint::{Fingerprint, Met};
use super::{escape, write_document};
use crate::rules::Finding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Raised only when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// Known findings, by rule and fingerprint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Baseline(BTreeMap<(String, u64), Entry>);

/// One kind of known finding.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
pub struct Entry {
    /// Code of its rule.
    pub rule: String,
    /// Name of its rule.
    #[serde(default)]
    pub name: String,
    fingerprint: String,
    /// How many of them are known.
    #[serde(default = "one")]
    pub count: u32,
    /// What the first one said when it was written down; for people.
    #[serde(default)]
    pub summary: String,
    /// Why it is accepted; for people, by people.
    #[serde(default)]
    pub reason: String,
}

#[derive(Deserialize, Serialize)]
struct File {
    version: u32,
    findings: Vec<Entry>,
}

fn one() -> u32 {
    1
}

impl Baseline {
    /// Reads a baseline file. Entries that people wrote twice add up; fields that are not known are passed over.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("version {} is not known, only {VERSION} is", file.version));
        }
        let mut read = Self::default();
        for entry in file.findings {
            let bad = || format!("'{}' is no fingerprint; 16 hexadecimal digits are", entry.fingerprint);
            let fits = entry.fingerprint.len() == 16 && entry.fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
            let hash = u64::from_str_radix(&entry.fingerprint, 16).ok().filter(|_| fits).ok_or_else(bad)?;
            let count = entry.count;
            let known = read.0.entry((entry.rule.clone(), hash)).or_insert(Entry { count: 0, ..entry });
            known.count = known.count.saturating_add(count);
        }
        Ok(read)
    }

    /// Writes the file: sorted, the same bytes for the same findings.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_document(&File { version: VERSION, findings: self.0.values().cloned().collect() }, out)
    }

    /// How many kinds of findings it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why a finding is known, perhaps without a word; `None` for a new one.
    fn reason(&self, rule: &str, print: Fingerprint) -> Option<&str> {
        let entry = self.0.get(&(rule.to_owned(), print.hash))?;
        (print.nth <= entry.count).then_some(entry.reason.as_str())
    }

    fn record(&mut self, finding: &Finding, print: Fingerprint) {
        let new = || Entry {
            rule: finding.rule.code.to_owned(),
            name: finding.rule.name.to_owned(),
            fingerprint: format!("{:016x}", print.hash),
            count: 0,
            summary: escape::text(&finding.summary).into_owned(),
            reason: String::new(),
        };
        let entry = self.0.entry((finding.rule.code.to_owned(), print.hash)).or_insert_with(new);
        entry.count = entry.count.max(print.nth);
    }

    /// Takes over the words of `old`, so that a baseline written again differs only where the findings do.
    fn keep_words(&mut self, old: &Self) {
        for (key, entry) in &mut self.0 {
            if let Some(old) = old.0.get(key) {
                entry.summary.clone_from(&old.summary);
                entry.reason.clone_from(&old.reason);
            }
        }
    }

    /// What is known and did not come, or not as often: `count` of each says how many are left over.
    fn vanished(&self, met: &Met) -> Vec<Entry> {
        let left = |((_, hash), entry): (&(String, u64), &Entry)| {
            let count = entry.count.saturating_sub(met.get(hash).copied().unwrap_or(0));
            (count > 0).then(|| Entry { count, ..entry.clone() })
        };
        self.0.iter().filter_map(left).collect()
    }
}

impl Entry {
    /// The fingerprint, 16 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The findings of a run over all its captures: which came how often, which are known.
#[derive(Debug, Default)]
pub struct Ledger {
    pub(super) met: Met,
    known: Option<Baseline>,
    found: Baseline,
    /// Notes that are told only to who asks for them are taken down, too.
    notes: bool,
}

impl Ledger {
    /// For a run that is compared with `known`; `notes`: what is legal but unusual counts in it.
    pub fn new(known: Option<Baseline>, notes: bool) -> Self {
        Self { known, notes, ..Self::default() }
    }

    /// Whether notes on calls that went well are taken down.
    pub(super) fn takes_notes(&self) -> bool {
        self.notes
    }

    /// Why a finding is known; `None` for a new one.
    pub(super) fn reason(&self, finding: &Finding, print: Fingerprint) -> Option<String> {
        self.known.as_ref()?.reason(finding.rule.code, print).map(str::to_owned)
    }

    /// Takes down a finding for the next baseline.
    pub(super) fn record(&mut self, finding: &Finding, print: Fingerprint) {
        self.found.record(finding, print);
    }

    /// What is known and vanished, in the order of the file. Of use after the last capture.
    pub fn vanished(&self) -> Vec<Entry> {
        self.known.as_ref().map(|known| known.vanished(&self.met)).unwrap_or_default()
    }

    /// All findings as the next baseline, with the words of the one they are compared with and of `old`.
    pub fn baseline(&self, old: Option<&Baseline>) -> Baseline {
        let mut found = self.found.clone();
        old.into_iter().chain(&self.known).for_each(|old| found.keep_words(old));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metas;

    const PRINT: Fingerprint = Fingerprint { hash: 0xabc, nth: 2 };

    fn recorded() -> Baseline {
        let mut baseline = Baseline::default();
        baseline.record(&Finding::new(metas()[0], Vec::new(), "a\u{1b}b", ""), PRINT);
        baseline
    }

    fn written(baseline: &Baseline) -> String {
        let mut out = Vec::new();
        baseline.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let baseline = recorded();
        let text = written(&baseline);
        assert!(text.contains("a\\\\x1bb") && text.contains("0000000000000abc"), "{text}");
        assert_eq!(Baseline::parse(&text), Ok(baseline));
    }

    #[test]
    fn only_as_many_are_known_as_were_written_down() {
        let (baseline, rule) = (recorded(), metas()[0].code);
        assert_eq!(baseline.reason(rule, PRINT), Some(""));
        assert_eq!(baseline.reason(rule, Fingerprint { nth: 3, ..PRINT }), None);
        assert_eq!(baseline.reason("Z99", PRINT), None);
        assert_eq!(baseline.vanished(&Met::from([(0xabc, 1)]))[0].count, 1);
        assert!(baseline.vanished(&Met::from([(0xabc, 2)])).is_empty());
    }

    #[test]
    fn words_of_people_outlive_another_writing() {
        let text = written(&recorded()).replace("\"reason\": \"\"", "\"reason\": \"ticket 7\"");
        let ledger = Ledger { found: recorded(), ..Ledger::default() };
        let kept = ledger.baseline(Some(&Baseline::parse(&text).unwrap()));
        assert_eq!(written(&kept), text);
    }

    #[test]
    fn a_file_that_is_no_baseline_is_refused_with_the_place() {
        assert!(Baseline::parse("{\"version\": 1,\n \"findings\": 3}").unwrap_err().contains("line 2"));
        assert!(Baseline::parse("{\"version\": 2, \"findings\": []}").unwrap_err().contains("version 2"));
        let odd = "{\"version\": 1, \"findings\": [{\"rule\": \"A04\", \"fingerprint\": \"+000000000000abc\"}]}";
        assert!(Baseline::parse(odd).unwrap_err().contains("no fingerprint"));
        let twice =
            "{\"version\": 1, \"findings\": [{\"rule\": \"A04\", \"fingerprint\": \"0000000000000abc\", \"x\": 1},
            {\"rule\": \"A04\", \"fingerprint\": \"0000000000000abc\", \"count\": 4294967295}]}";
        assert_eq!(Baseline::parse(twice).unwrap().vanished(&Met::new())[0].count, u32::MAX);
    }
}
