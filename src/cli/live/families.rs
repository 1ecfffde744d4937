//! What is counted for Prometheus, and under which names. No label ever holds what the network says: methods, kinds and
//! rules are those that the program knows, and interfaces those that the user named.

use super::tap::Pulse;
use crate::analysis::{Delays, Metrics, Ratio};
use crate::capture::CaptureInfo;
use crate::flow::Verdict;
use crate::rules::{self, Finding, Meta, Severity};
use crate::session::Seen;
use crate::sip::Method;
use crate::story::{News, Story};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Labels and their values, of which the program knows all.
type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
/// Of inputs.
type Inputs = Family<[(&'static str, String); 1], Counter>;
type Seconds = Gauge<f64, AtomicU64>;

/// Inputs that are told apart; a folder of files may have any number.
const INPUTS: usize = 64;
/// How long answers take: from a local network to 64*T1, when nobody waits any more.
const DELAYS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
/// How long people talk.
const TALKS: [f64; 11] = [1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];
/// How long it takes to look at what is open.
const LOOKS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];

fn delays() -> Histogram {
    Histogram::new(DELAYS)
}

/// All that is counted.
pub(super) struct Families {
    registry: Registry,
    packets: Inputs,
    dropped: Inputs,
    messages: Counters<1>,
    requests: Counters<1>,
    responses: Counters<2>,
    calls: Counters<2>,
    open: Gauge,
    findings: Counters<4>,
    ignored: Counter,
    given_up: Counter,
    anomalies: Counters<1>,
    held: Gauge,
    resident: Gauge,
    look: Histogram,
    reloaded: Gauge,
    registration_delay: Histogram,
    request_delay: Family<Labels<1>, Histogram, fn() -> Histogram>,
    disconnect_delay: Histogram,
    duration: Histogram,
    hits: Counters<1>,
    attempts: Counters<1>,
}

impl Families {
    /// Everything at nothing. `start`: seconds since 1970 when the program started.
    pub(super) fn new(start: f64) -> Self {
        let mut all = Registered(Registry::default());
        let families = Self {
            packets: all.add("callflow_packets", "Packets taken"),
            dropped: all.add(
                "callflow_packets_dropped",
                "Packets that the kernel, the interface or the program could not take",
            ),
            messages: all.add("callflow_sip_messages", "SIP messages"),
            requests: all.add("callflow_sip_requests", "SIP requests, repeated ones included"),
            responses: all.add("callflow_sip_responses", "SIP responses, repeated ones included"),
            calls: all.add("callflow_calls", "Calls, registrations and other exchanges that are over"),
            open: all.add("callflow_calls_open", "Calls, registrations and other exchanges that are not over"),
            findings: all.add("callflow_findings", "Findings that were told"),
            ignored: all.add("callflow_findings_ignored", "Findings that callflow.toml has ignored"),
            given_up: all.add("callflow_given_up", "Open calls given up to keep within --max-memory"),
            anomalies: all.add("callflow_anomalies", "What was not understood or had no room"),
            held: all.add("callflow_held_bytes", "Bytes that open calls take, more or less"),
            resident: all.add("process_resident_memory_bytes", "Resident memory size in bytes"),
            look: all.histogram("callflow_look_duration_seconds", "How long looks at what is open take", || {
                Histogram::new(LOOKS)
            }),
            reloaded: all.add(
                "callflow_config_last_reload_successful",
                "Whether the configuration that was read last can be used",
            ),
            registration_delay: all.histogram(
                "callflow_registration_request_delay_seconds",
                "RFC 6076 4.1 RRD of registrations that are over",
                delays,
            ),
            request_delay: all.put(
                "callflow_session_request_delay_seconds",
                "RFC 6076 4.3 SRD of calls that are over",
                Family::new_with_constructor(delays as fn() -> Histogram),
            ),
            disconnect_delay: all.histogram(
                "callflow_session_disconnect_delay_seconds",
                "RFC 6076 4.4 SDD of calls that are over",
                delays,
            ),
            duration: all.histogram(
                "callflow_session_duration_seconds",
                "RFC 6076 4.5 SDT of calls that are over",
                || Histogram::new(TALKS),
            ),
            hits: all.add("callflow_rfc6076_hits", "RFC 6076 ratios: what counts, of callflow_rfc6076_attempts"),
            attempts: all.add("callflow_rfc6076_attempts", "RFC 6076 ratios: of how many"),
            registry: Registry::default(),
        };
        families.reloaded.set(1);
        families.begin();
        let start_time: Seconds = all.add("process_start_time_seconds", "When the program started");
        start_time.set(start);
        let build: Family<Labels<1>, Gauge> = all.add("callflow_build_info", "Version of the program");
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        Self { registry: all.0, ..families }
    }

    /// Puts what alerts ask for at nothing: of a number that comes from nowhere, Prometheus knows no increase.
    fn begin(&self) {
        for rule in rules::metas() {
            let _ = self.findings.get_or_create(&of_rule(rule, rule.severity, Verdict::Violated));
        }
        self.measure(&Metrics::default());
    }

    /// As OpenMetrics text.
    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        // Into memory nothing fails.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts messages that came.
    pub(super) fn hear(&self, messages: &[Seen]) {
        for Seen { message, connection, .. } in messages {
            self.messages.get_or_create(&[("transport", connection.transport.name())]).inc();
            let method = match message.method() {
                Method::Other => "other",
                known => known.name(),
            };
            match message.status() {
                None => self.requests.get_or_create(&[("method", method)]).inc(),
                Some(status) => self.responses.get_or_create(&[("class", class(status)), ("method", method)]).inc(),
            };
        }
    }

    /// Counts what was told. A call may be told again with another outcome as long as it is not over.
    pub(super) fn tell(&self, story: &Story, news: &News) {
        for finding in news.findings.iter().filter_map(|at| story.findings.get(*at)) {
            self.found(finding);
        }
        let over = || story.analysis.views().zip(&news.over).filter(|(_, over)| **over).map(|(view, _)| view);
        for view in over() {
            let labels = [("kind", view.call.kind.name()), ("outcome", view.call.outcome.name())];
            self.calls.get_or_create(&labels).inc();
        }
        self.measure(&Metrics::of_calls(over()));
        for (kind, summary) in story.analysis.anomalies.iter() {
            let counter = self.anomalies.get_or_create_owned(&[("kind", kind.name())]);
            // Looks begin anew with what they find themselves.
            counter.inner().fetch_max(summary.count, Ordering::Relaxed);
        }
    }

    fn found(&self, finding: &Finding) {
        if finding.ignored.is_some() {
            self.ignored.inc();
            return;
        }
        self.findings.get_or_create(&of_rule(finding.rule, finding.severity, finding.verdict)).inc();
    }

    fn measure(&self, metrics: &Metrics) {
        let answered = self.request_delay.get_or_create_owned(&[("result", "answered")]);
        let failed = self.request_delay.get_or_create_owned(&[("result", "failed")]);
        let delays: [(&Histogram, &Delays); 5] = [
            (&self.registration_delay, &metrics.rrd),
            (&answered, &metrics.srd_successful),
            (&failed, &metrics.srd_failed),
            (&self.disconnect_delay, &metrics.sdd),
            (&self.duration, &metrics.sdt),
        ];
        for (histogram, delays) in delays {
            delays.iter().for_each(|delay| histogram.observe(delay.as_secs_f64()));
        }
        let ratios = [
            ("ira", metrics.ira),
            ("ser", metrics.ser),
            ("seer", metrics.seer),
            ("isa", metrics.isa),
            ("scr", metrics.scr),
        ];
        for (metric, Ratio { part, of }) in ratios {
            self.hits.get_or_create(&[("metric", metric)]).inc_by(part);
            self.attempts.get_or_create(&[("metric", metric)]).inc_by(of);
        }
    }

    /// Takes in how it stands.
    pub(super) fn stand(&self, pulse: &Pulse) {
        let mut inputs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for capture in &pulse.captures {
            let name = name(capture);
            let name = if inputs.len() < INPUTS || inputs.contains_key(name) { name } else { "other" };
            let (packets, dropped) = inputs.entry(name).or_default();
            *packets = packets.saturating_add(capture.packets);
            *dropped = dropped.saturating_add(capture.drops);
        }
        for (name, (packets, dropped)) in inputs {
            let labels = [("interface", name.to_owned())];
            // An input that opens anew may begin from nothing; what was counted stays counted.
            self.packets.get_or_create(&labels).inner().fetch_max(packets, Ordering::Relaxed);
            self.dropped.get_or_create(&labels).inner().fetch_max(dropped, Ordering::Relaxed);
        }
        let number = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
        self.open.set(number(pulse.open));
        self.held.set(number(pulse.held));
        self.given_up.inner().fetch_max(pulse.given_up, Ordering::Relaxed);
        if let Some(resident) = pulse.resident {
            self.resident.set(i64::try_from(resident).unwrap_or(i64::MAX));
        }
        self.look.observe(pulse.look.as_secs_f64());
        self.reloaded.set(i64::from(!pulse.reload_failed));
    }
}

/// An interface by its name; streams and files by what they are.
fn name(capture: &CaptureInfo) -> &str {
    if capture.format == "live" { &capture.path } else { capture.format }
}

fn of_rule(rule: &Meta, severity: Severity, verdict: Verdict) -> Labels<4> {
    [("rule", rule.code), ("name", rule.name), ("severity", severity.name()), ("verdict", verdict.name())]
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        6 => "6xx",
        _ => "other",
    }
}

/// What registers and gives back.
struct Registered(Registry);

impl Registered {
    fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.put(name, help, M::default())
    }

    fn histogram(&mut self, name: &str, help: &str, make: fn() -> Histogram) -> Histogram {
        self.put(name, help, make())
    }

    fn put<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}
