//! `explain`, `rules` and `flows`: what is built in. Needs no capture.

use super::args::{CatalogArgs, CatalogFormat, ExplainArgs, ScreenArgs};
use super::{Status, Stop, list, output, pipeline};
use crate::base::Error;
use crate::flow::{BCP75, BEYOND, Catalog, ReferenceFlow};
use crate::report::{Paint, Style, table, write_document};
use crate::rules::{Meta, metas};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The rule with this code or name.
pub(super) fn rule(name: &str) -> Option<&'static Meta> {
    metas().into_iter().find(|meta| meta.code.eq_ignore_ascii_case(name) || meta.name.eq_ignore_ascii_case(name))
}

/// Full name and text of a reference flow: "3.1" is "bcp75/3.1", as those of BCP 75 come first.
fn flow(name: &str) -> Option<(&'static str, &'static str)> {
    let short = |full: &str| full.rsplit('/').next() == Some(name);
    BCP75.iter().chain(BEYOND).find(|(full, _)| full.eq_ignore_ascii_case(name) || short(full)).copied()
}

/// The full name of a reference flow, built in or out of one of `files`.
pub(super) fn flow_name(name: &str, files: &[PathBuf]) -> Result<&'static str, Error> {
    pipeline::catalog(files)?
        .full_name(name)
        .ok_or_else(|| Error::Usage(format!("no reference flow is called '{name}'; `callflow flows` lists them")))
}

/// Runs `callflow explain`.
pub(super) fn explain(args: &ExplainArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let name = args.topic.trim();
    let text = match (rule(name), flow(name)) {
        (Some(meta), _) => meta.page,
        (None, Some((_, text))) => text,
        (None, None) if Path::new(name).exists() => return list::stories(args, screen),
        (None, None) => {
            let text = format!(
                "'{name}' is neither a rule nor a reference flow nor a file; `callflow rules` and `callflow flows` list the first two"
            );
            return Err(Error::Usage(text).into());
        }
    };
    let mut output = output::open(None, screen)?;
    for line in text.lines() {
        let paint = if line.starts_with('#') { Paint::Bold } else { Paint::Plain };
        writeln!(output.out, "{}", output.style.paint(paint, line))?;
    }
    output.out.flush()?;
    Ok(Status::Clean)
}

/// Runs `callflow rules`.
pub(super) fn rules(args: &CatalogArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    #[derive(serde::Serialize)]
    struct Row {
        code: &'static str,
        name: &'static str,
        severity: &'static str,
        title: &'static str,
        basis: &'static [&'static str],
    }
    let mut output = output::open(None, screen)?;
    match args.format {
        CatalogFormat::Json => {
            let rows: Vec<Row> = metas()
                .into_iter()
                .map(|m| Row {
                    code: m.code,
                    name: m.name,
                    severity: m.severity.name(),
                    title: m.title,
                    basis: m.basis,
                })
                .collect();
            write_document(&rows, &mut output.out)?;
        }
        CatalogFormat::Text => {
            let rows = metas().into_iter().map(|m| vec![m.code, m.name, m.severity.name(), m.title]);
            write_table(&["code", "name", "severity", "says"], rows, output.style, &mut output.out)?;
        }
    }
    output.out.flush()?;
    Ok(Status::Clean)
}

/// Runs `callflow flows`.
pub(super) fn flows(args: &CatalogArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    #[derive(serde::Serialize)]
    struct Row<'a> {
        flow: &'a str,
        title: &'a str,
        section: Option<&'a str>,
        kind: &'static str,
    }
    let mut output = output::open(None, screen)?;
    let flows = Catalog::built_in().flows();
    match args.format {
        CatalogFormat::Json => {
            let row = |flow: &'static ReferenceFlow| Row {
                flow: &flow.name,
                title: &flow.title,
                section: (!flow.section.is_empty()).then_some(flow.section.as_str()),
                kind: flow.kind.name(),
            };
            let rows: Vec<Row<'_>> = flows.map(row).collect();
            write_document(&rows, &mut output.out)?;
        }
        CatalogFormat::Text => {
            let rows = flows.map(|flow| vec![flow.name.as_str(), flow.kind.name(), flow.title.as_str()]);
            write_table(&["flow", "kind", "title"], rows, output.style, &mut output.out)?;
        }
    }
    output.out.flush()?;
    Ok(Status::Clean)
}

pub(super) fn write_table<'a>(
    header: &[&str],
    rows: impl Iterator<Item = Vec<&'a str>>,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = table::light(style);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table::print(&table, out)
}
