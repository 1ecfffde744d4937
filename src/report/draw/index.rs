//! The list of the files that `callflow ladder --all -o DIR` writes.

use super::xml::escape;
use super::{Drawing, html, markdown};
use crate::report::ladder::Ladder;
use std::io::{self, Write};

/// A call, and the files with its ladder.
#[derive(Debug)]
pub struct Listed {
    call: usize,
    title: String,
    outcome: String,
    found: Vec<String>,
    files: Vec<String>,
}

impl Listed {
    /// What the list says of a call whose ladder was written to `files`.
    pub fn new(ladder: &Ladder, files: Vec<String>) -> Self {
        Self {
            call: ladder.call,
            title: ladder.title.clone(),
            outcome: ladder.facts.first().cloned().unwrap_or_default(),
            found: ladder.findings.iter().map(|found| format!("{} {}", found.rule, found.name)).collect(),
            files,
        }
    }
}

/// Writes the index of a folder: as Markdown if its files are read so, else as a page for a browser.
pub fn write_index(drawing: &dyn Drawing, calls: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    if drawing.extension() == "md" { markdown_index(calls, out) } else { html_index(calls, out) }
}

/// Name of the index beside the files of a drawing.
pub fn index_name(drawing: &dyn Drawing) -> &'static str {
    if drawing.extension() == "md" { "index.md" } else { "index.html" }
}

fn markdown_index(calls: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| call | who and what | outcome | findings |\n|---|---|---|---|")?;
    for Listed { call, title, outcome, found, files } in calls {
        let file = files.first().map_or("", String::as_str);
        let [title, outcome, found] = [title, outcome, &found.join(", ")].map(|text| markdown::escape(text));
        writeln!(out, "| [{call}]({file}) | {title} | {outcome} | {found} |")?;
    }
    Ok(())
}

fn html_index(calls: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    html::head("Ladders", out)?;
    writeln!(
        out,
        "<h1>Ladders</h1>\n<table>\n<thead><tr><th>call</th><th>who and what</th><th>outcome</th><th>findings</th></tr></thead>\n<tbody>"
    )?;
    for Listed { call, title, outcome, found, files } in calls {
        write!(out, "<tr><td>")?;
        for (at, file) in files.iter().enumerate() {
            let name = if at == 0 { call.to_string() } else { format!("page {}", at + 1) };
            write!(out, "<a href=\"{}\">{name}</a> ", escape(file))?;
        }
        let [title, outcome, found] = [title, outcome, &found.join(", ")].map(|text| escape(text).into_owned());
        writeln!(out, "</td><td>{title}</td><td>{outcome}</td><td>{found}</td></tr>")?;
    }
    writeln!(out, "</tbody>\n</table>")?;
    html::foot(out)
}
