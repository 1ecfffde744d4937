//! How long things took, as JSON: timings of a call, metrics of a capture, in milliseconds.

use super::json_layout::{Writer, first, next};
use super::time;
use crate::analysis::{Delays, Metrics, Ratio, Timings};
use serde::Serialize;
use std::time::Duration;

/// Milliseconds with up to three decimals.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// Timings of a call.
pub(super) fn write_timings(timings: Timings, out: &mut Writer<'_>) {
    let Timings { challenge, post_dial, ringing, set_up, talk } = timings;
    out.begin_object();
    first!(out, "challenge");
    out.maybe(challenge, Writer::millis);
    next!(out, "post_dial");
    out.maybe(post_dial, Writer::millis);
    next!(out, "ringing");
    out.maybe(ringing, Writer::millis);
    next!(out, "set_up");
    out.maybe(set_up, Writer::millis);
    next!(out, "talk");
    out.maybe(talk, Writer::millis);
    out.end(b'}');
}

#[derive(Serialize)]
struct DelaysView {
    count: usize,
    min: Option<f64>,
    mean: Option<f64>,
    p95: Option<f64>,
    max: Option<f64>,
}

#[derive(Serialize)]
struct RatioView {
    part: u64,
    of: u64,
    percent: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct MetricsView {
    rrd: DelaysView,
    ira: RatioView,
    srd_successful: DelaysView,
    srd_failed: DelaysView,
    sdd: DelaysView,
    sdt: DelaysView,
    ser: RatioView,
    seer: RatioView,
    isa: RatioView,
    scr: RatioView,
}

impl MetricsView {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self {
            rrd: delays(&metrics.rrd),
            ira: ratio(metrics.ira),
            srd_successful: delays(&metrics.srd_successful),
            srd_failed: delays(&metrics.srd_failed),
            sdd: delays(&metrics.sdd),
            sdt: delays(&metrics.sdt),
            ser: ratio(metrics.ser),
            seer: ratio(metrics.seer),
            isa: ratio(metrics.isa),
            scr: ratio(metrics.scr),
        }
    }
}

fn delays(delays: &Delays) -> DelaysView {
    let [min, mean, p95, max] =
        [delays.min(), delays.mean(), delays.p95(), delays.max()].map(|duration| duration.map(millis));
    DelaysView { count: delays.count(), min, mean, p95, max }
}

fn ratio(ratio: Ratio) -> RatioView {
    let percent = ratio.percent().map(|percent| (percent * 100.0).round() / 100.0);
    RatioView { part: ratio.part, of: ratio.of, percent }
}

/// The metrics in words, those that have something to tell: name and value.
pub(super) fn in_words(metrics: &Metrics) -> Vec<(&'static str, String)> {
    let delays = [
        ("registration delay", &metrics.rrd),
        ("request delay", &metrics.srd_successful),
        ("... of failed calls", &metrics.srd_failed),
        ("disconnect delay", &metrics.sdd),
        ("session duration", &metrics.sdt),
    ];
    let ratios = [
        ("failed REGISTERs", metrics.ira),
        ("established (SER)", metrics.ser),
        ("effective (SEER)", metrics.seer),
        ("ineffective (ISA)", metrics.isa),
        ("completed (SCR)", metrics.scr),
    ];
    let delays = delays.into_iter().filter_map(|(name, delays)| Some((name, delays_in_words(delays)?)));
    let ratios = ratios
        .into_iter()
        .filter_map(|(name, ratio)| Some((name, format!("{:.1} %, {} of {}", ratio.percent()?, ratio.part, ratio.of))));
    delays.chain(ratios).collect()
}

fn delays_in_words(delays: &Delays) -> Option<String> {
    let [min, mean, p95, max] = [delays.min()?, delays.mean()?, delays.p95()?, delays.max()?].map(time::length);
    Some(match delays.count() {
        1 => format!("{mean}, once"),
        n => format!("mean {mean}, {min} to {max}, 95 % within {p95}, of {n}"),
    })
}
