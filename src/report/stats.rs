//! Counts of a capture: packets, link types, messages, methods, statuses, anomalies.

use super::json_metrics::in_words;
use super::style::{Paint, Style};
use super::{Report, escape, json, time};
use crate::analysis::Metrics;
use crate::base::Transport;
use crate::capture::link_type_name;
use std::io::{self, Write};

/// Writes the counts as text.
pub fn write_text(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let stats = &report.analysis.stats;
    for capture in report.captures {
        let links: Vec<&str> = capture.link_types.iter().map(|link| link_type_name(*link)).collect();
        heading(style, &escape::text(&capture.path), out)?;
        row("format", capture.format, out)?;
        row("packets", capture.packets, out)?;
        row("bytes", capture.bytes, out)?;
        if let Some((first, last)) = capture.first.zip(capture.last) {
            row("first packet", time::people(first), out)?;
            row("last packet", format!("{} ({} later)", time::people(last), time::length(last.since(first))), out)?;
        }
        row("link types", links.join(", "), out)?;
        row("read to its end", if capture.complete { "yes" } else { "no" }, out)?;
        if capture.drops > 0 {
            row("dropped by capturer", capture.drops, out)?;
        }
    }
    heading(style, "SIP", out)?;
    row("messages", stats.messages, out)?;
    row("malformed", stats.malformed, out)?;
    row("retransmissions", stats.retransmissions, out)?;
    row("captured twice", stats.captured_twice, out)?;
    row("Call-IDs", stats.call_ids, out)?;
    row("transactions", stats.transactions, out)?;
    row("dialogs", stats.dialogs, out)?;
    row("calls", report.call_count(), out)?;
    let transports = Transport::ALL.iter().filter_map(|t| stats.transports.get(t).map(|n| (t.name().to_owned(), *n)));
    section(style, "Transports", transports, out)?;
    section(style, "Requests", stats.requests.iter().map(|(method, n)| (escape::text(method).into_owned(), *n)), out)?;
    section(style, "Responses", stats.responses.iter().map(|(status, n)| (status.to_string(), *n)), out)?;
    let metrics = in_words(&Metrics::of(report.analysis));
    if !metrics.is_empty() {
        heading(style, "Performance (RFC 6076)", out)?;
    }
    metrics.iter().try_for_each(|(name, told)| row(name, told, out))?;
    if !stats.skipped.is_empty() {
        heading(style, "Packets without SIP", out)?;
    }
    for (what, skipped) in &stats.skipped {
        let told = format!("{}  first in frame {}", skipped.packets, skipped.first);
        row(what, told, out)?;
    }
    if !report.analysis.anomalies.is_empty() {
        heading(style, "Not understood", out)?;
    }
    for (kind, summary) in report.analysis.anomalies.iter() {
        row(
            kind.name(),
            format!("{}  first in frame {}: {}", summary.count, summary.first.frame, escape::text(&summary.first.text)),
            out,
        )?;
    }
    Ok(())
}

/// Writes `captures`, `sip` and `anomalies` as in the JSON report, and `metrics`.
pub fn write_json(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    json::write_stats(report, out)
}

fn section(
    style: Style,
    title: &str,
    rows: impl Iterator<Item = (String, u64)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        heading(style, title, out)?;
    }
    rows.try_for_each(|(name, n)| row(&name, n, out))
}

fn heading(style: Style, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", style.paint(Paint::Bold, text))
}

fn row(name: &str, value: impl std::fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {name:<20} {value}")
}
