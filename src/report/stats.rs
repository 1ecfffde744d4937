//! Counts of a capture: packets, link types, messages, methods, statuses, anomalies.

use super::json_metrics::in_words;
use super::style::{Paint, Style, count};
use super::{Report, escape, json, time};
use crate::analysis::Metrics;
use crate::base::Transport;
use crate::capture::{CaptureInfo, InterfaceInfo, link_type_name};
use std::io::{self, Write};

/// Writes the counts as text.
pub fn write_text(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let stats = &report.analysis.stats;
    report.captures.iter().try_for_each(|capture| file(capture, style, out))?;
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
    coverage(report, style, out)?;
    if !report.analysis.wrappings.is_empty() {
        heading(style, "SIP messages inside", out)?;
    }
    for wrapping in &report.analysis.wrappings {
        let told = format!("  first in frame {}", wrapping.first);
        writeln!(out, "  {:>8}  {}{told}", wrapping.messages, wrapping.path)?;
    }
    comments(report, style, out)?;
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

/// What a file says of itself.
fn file(capture: &CaptureInfo, style: Style, out: &mut dyn Write) -> io::Result<()> {
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
    let maker = &capture.maker;
    for (name, value) in [
        ("captured with", &maker.application),
        ("operating system", &maker.os),
        ("hardware", &maker.hardware),
        ("comment", &maker.comment),
    ] {
        if let Some(value) = value {
            row(name, escape::text(value), out)?;
        }
    }
    capture.interfaces.iter().try_for_each(|interface| row("interface", interface_line(interface), out))
}

/// "eth0 (uplink), ETHERNET, 12 packets, 3 dropped".
fn interface_line(interface: &InterfaceInfo) -> String {
    let name = interface.name.as_deref().unwrap_or("without a name");
    let description = interface.description.as_ref().map_or_else(String::new, |told| format!(" ({told})"));
    let drops = if interface.drops > 0 { format!(", {} dropped", interface.drops) } else { String::new() };
    let packets = count(interface.packets as usize, "packet");
    escape::text(&format!("{name}{description}, {}, {packets}{drops}", link_type_name(interface.link))).into_owned()
}

/// What the packets were; the rows add up to all of them.
fn coverage(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let stats = &report.analysis.stats;
    heading(style, "Packets by what they were", out)?;
    for (kind, counted) in stats.coverage.iter() {
        let mark = if kind.may_hide_sip() { "  (could not be read)" } else { "" };
        let name = kind.words();
        writeln!(out, "  {name:<33}{:>9}  first in frame {}{mark}", counted.packets, counted.first)?;
    }
    writeln!(out, "  {:<33}{:>9}", "all", stats.coverage.total())
}

/// What people wrote into the capture.
fn comments(report: &Report<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    /// Comments told one by one.
    const TOLD: usize = 20;
    let all = &report.analysis.remarks.comments;
    if all.is_empty() {
        return Ok(());
    }
    heading(style, &count(all.len(), "packet comment"), out)?;
    for (frame, text) in all.iter().take(TOLD) {
        row(&format!("frame {frame}"), escape::text(text), out)?;
    }
    if all.len() > TOLD { writeln!(out, "  and {} more", all.len() - TOLD) } else { Ok(()) }
}

/// Writes what does not depend on calls as in the JSON report.
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
