//! Messages that the capture point swapped: testdata/order/*.trace.
//!
//! `# order:` lists the messages of the call as they must stand, `# reordered:` the frames that were
//! moved, each with the frame that caused it.

use crate::support;
use callflow::base::AnomalyKind;

fn told<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no '{key}'")).split_whitespace().collect()
}

#[test]
fn effects_stand_behind_their_causes_and_the_capture_says_so() {
    let cases = support::files("testdata/order", "trace");
    assert!(cases.len() >= 5);
    for path in cases {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let analysis = support::tell(&text).analysis;
        assert_eq!(analysis.calls.len(), 1, "{name}");
        let view = analysis.view(0);
        let labels: Vec<String> = view
            .messages()
            .map(|(_, seen)| match seen.message.status() {
                Some(status) => status.to_string(),
                None => seen.message.method_name().into_owned(),
            })
            .collect();
        assert_eq!(labels, told(&text, "# order:"), "{name}");
        let moved: Vec<String> = view
            .call
            .reordered
            .iter()
            .map(|link| format!("{}>{}", view.frame(link.effect), view.frame(link.cause)))
            .collect();
        assert_eq!(moved, told(&text, "# reordered:"), "{name}");
        let noted = analysis.anomalies.of(AnomalyKind::Reordered);
        assert_eq!(noted.map_or(0, |noted| noted.count), moved.len() as u64, "{name}");
        if let Some((noted, first)) = noted.zip(moved.first()) {
            let (effect, cause) = first.split_once('>').unwrap();
            assert_eq!(noted.first.frame.to_string(), effect, "{name}");
            assert!(noted.first.text.contains(&format!("before frame {cause},")), "{}", noted.first.text);
        }
    }
}

#[test]
fn a_whole_call_with_swapped_packets_is_as_good_as_any() {
    for name in ["mirror-swaps", "everything-before-its-request", "late-records"] {
        let path = support::root().join("testdata/order").join(name).with_extension("trace");
        let told = support::tell(&std::fs::read_to_string(path).unwrap());
        let found: Vec<&str> = told.findings.iter().map(|finding| finding.rule.code).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
        assert_eq!(told.analysis.calls[0].outcome.name(), "answered", "{name}");
        let flow = &told.flows[0];
        assert!(flow.cost == 0 && flow.complete, "{name}");
    }
}
