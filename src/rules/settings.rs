//! What a user may set about rules: their severity, and where some of them begin.

use super::{Finding, Severity};
use std::collections::BTreeMap;
use std::time::Duration;

/// Severities and thresholds other than the usual ones.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    /// By code of the rule; `None` is off.
    severities: BTreeMap<&'static str, Option<Severity>>,
    /// By code of the rule.
    thresholds: BTreeMap<&'static str, f64>,
}

/// A number that decides whether a rule speaks, where networks differ and the standard gives no more than a hint.
#[derive(Debug)]
pub struct Threshold {
    /// Code of the rule.
    pub rule: &'static str,
    /// What it is called beside the rule; its unit.
    pub key: &'static str,
    /// What it is when nobody sets it.
    pub usual: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
    /// What it is, with its reason.
    pub says: &'static str,
}

/// All of them, by code. What follows from a timer of the standard is not here: it is not a matter of taste.
pub static THRESHOLDS: [Threshold; 5] = [
    Threshold {
        rule: "E02",
        key: "seconds",
        usual: 4.0,
        least: 0.1,
        most: 600.0,
        says: "from the INVITE to the first ringing or answer; callers hang up when they hear nothing for longer",
    },
    Threshold {
        rule: "I18",
        key: "seconds",
        usual: 180.0,
        least: 1.0,
        most: 86_400.0,
        says: "how long a phone may ring; timer C of a proxy (RFC 3261 16.6 item 11). Queues ring longer",
    },
    Threshold {
        rule: "I19",
        key: "seconds",
        usual: 4.0,
        least: 0.1,
        most: 600.0,
        says: "how long an answer without any ringing before it may take; announcements and gateways differ",
    },
    Threshold {
        rule: "N03",
        key: "bytes",
        usual: 1300.0,
        least: 200.0,
        most: 65_535.0,
        says: "size of a request over UDP that fits into one packet; 1300 unless the MTU of the path is known (RFC 3261 18.1.1)",
    },
    Threshold {
        rule: "T02",
        key: "seconds",
        usual: 0.3,
        least: 0.01,
        most: 60.0,
        says: "from an INVITE to any response; 200 ms (RFC 3261 17.2.1), and some more for the way to the capture point",
    },
];

impl Settings {
    /// Findings of the rule with this code get `severity`; without one there are none.
    pub fn set_severity(&mut self, code: &'static str, severity: Option<Severity>) {
        self.severities.insert(code, severity);
    }

    /// Sets a threshold. A number out of its range becomes the nearest one in it.
    pub fn set_threshold(&mut self, threshold: &'static Threshold, value: f64) {
        self.thresholds.insert(threshold.rule, value.clamp(threshold.least, threshold.most));
    }

    /// What holds for a threshold.
    pub fn threshold(&self, threshold: &Threshold) -> f64 {
        self.thresholds.get(threshold.rule).copied().unwrap_or(threshold.usual)
    }

    /// Drops what is off, and gives the rest its severity.
    pub(super) fn weigh(&self, findings: &mut Vec<Finding>) {
        if self.severities.is_empty() {
            return;
        }
        findings.retain_mut(|finding| match self.severities.get(finding.rule.code) {
            None => true,
            Some(None) => false,
            Some(Some(severity)) => {
                finding.severity = *severity;
                true
            }
        });
    }

    /// E02: how long a caller may wait for ringing.
    pub(super) fn set_up(&self) -> Duration {
        self.seconds("E02")
    }

    /// I18: how long a phone may ring.
    pub(super) fn ringing(&self) -> Duration {
        self.seconds("I18")
    }

    /// I19: how long an answer without ringing may take.
    pub(super) fn silence(&self) -> Duration {
        self.seconds("I19")
    }

    /// T02: how long the first response to an INVITE may take.
    pub(super) fn first_response(&self) -> Duration {
        self.seconds("T02")
    }

    /// N03: the largest request that goes over UDP.
    pub(super) fn udp_bytes(&self) -> usize {
        self.of("N03") as usize
    }

    fn seconds(&self, rule: &str) -> Duration {
        Duration::try_from_secs_f64(self.of(rule)).unwrap_or_default()
    }

    fn of(&self, rule: &str) -> f64 {
        THRESHOLDS.iter().find(|threshold| threshold.rule == rule).map_or(0.0, |threshold| self.threshold(threshold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::metas;

    #[test]
    fn every_threshold_is_of_a_rule_and_usual_within_its_range() {
        for threshold in &THRESHOLDS {
            assert!(metas().iter().any(|meta| meta.code == threshold.rule), "{threshold:?}");
            assert!((threshold.least..=threshold.most).contains(&threshold.usual), "{threshold:?}");
        }
        assert!(THRESHOLDS.is_sorted_by_key(|threshold| threshold.rule));
        let usual = Settings::default();
        let all = [usual.set_up(), usual.ringing(), usual.silence(), usual.first_response()];
        assert_eq!(all.map(|is| is.as_millis()), [4000, 180_000, 4000, 300]);
        assert_eq!(usual.udp_bytes(), 1300);
    }

    #[test]
    fn a_threshold_stays_in_its_range() {
        let mut settings = Settings::default();
        settings.set_threshold(&THRESHOLDS[4], 1e9);
        assert_eq!(settings.first_response(), Duration::from_secs(60));
    }
}
