//! Drawings of a ladder: one file each, all of the same [`Ladder`].
//!
//! A drawing is one file that implements [`Drawing`] and one line in [`DRAWINGS`].

mod html;
mod index;
mod json;
mod layout;
mod line;
mod markdown;
mod measure;
mod mermaid;
mod plantuml;
#[cfg(feature = "png")]
mod png;
mod style;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod xml;

pub use index::{Listed, index_name, write_index};
pub use text::text;

use super::ladder::{Arrow, Ladder, Role};
use super::style::Style;
use super::{Report, time};
use crate::analysis::CallView;
use std::io::{self, Write};

/// A way to draw ladders.
pub trait Drawing: Sync {
    /// Name for `--format`.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn help(&self) -> &'static str;
    /// Ending of file names.
    fn extension(&self) -> &'static str;
    /// Whether one file holds several calls; if not, each needs its own.
    fn joins(&self) -> bool {
        true
    }
    /// How many files a long ladder takes.
    fn pages(&self, _ladder: &Ladder) -> usize {
        1
    }
    /// What stands between two calls in one file.
    fn between(&self) -> &'static str {
        ""
    }
    /// What a file begins with.
    fn begin(&self, _title: &str, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    /// Draws one page of a call.
    fn draw(&self, sheet: &Sheet<'_>, page: usize, out: &mut dyn Write) -> io::Result<()>;
    /// What a file ends with.
    fn end(&self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// A call to draw.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The report that it is in.
    pub report: &'a Report<'a>,
    /// The call.
    pub view: CallView<'a>,
    /// Its ladder.
    pub ladder: Ladder,
    /// How text looks.
    pub style: Style,
}

impl<'a> Sheet<'a> {
    /// A sheet for one call of a report.
    pub fn new(report: &'a Report<'a>, view: CallView<'a>, style: Style) -> Self {
        Self { report, view, ladder: Ladder::new(report, view), style }
    }
}

/// Every drawing, the default one first.
pub static DRAWINGS: &[&dyn Drawing] = &[
    &text::Text,
    &svg::Svg,
    &html::Html,
    &mermaid::Mermaid,
    &plantuml::PlantUml,
    &markdown::Markdown,
    &json::Json,
    #[cfg(feature = "png")]
    &png::Png,
];

/// An arrow in words, for whoever cannot see it: "INVITE from caller 192.0.2.1:5060 to proxy 192.0.2.2:5060".
fn told(ladder: &Ladder, arrow: &Arrow) -> String {
    let lane = |at: usize| {
        let lane = ladder.lanes.get(at);
        lane.map_or_else(String::new, |lane| format!("{} {}", lane.part, lane.title()).trim_start().to_owned())
    };
    let missing = if arrow.ghost { "missing: " } else { "" };
    format!("{missing}{} from {} to {}", arrow.text(), lane(arrow.from), lane(arrow.to))
}

/// What else is known of an arrow, a clause each: when, which frame, which step, offer or answer, its notes.
fn details(arrow: &Arrow) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(arrow.offset.map(|offset| format!("at {} s", time::offset(offset))));
    told.extend(arrow.frame.map(|frame| format!("frame {frame}")));
    match arrow.step.as_str() {
        "" => {}
        "+" => told.push("no step of the reference flow".to_owned()),
        step => told.push(format!("step {step}")),
    }
    told.extend(arrow.exchange.as_ref().map(|exchange| format!("request {exchange}")));
    told.extend(arrow.session.as_ref().map(|session| {
        let role = if session.role == Role::Offer { "offers" } else { "answers" };
        format!("{role} {}", session.words)
    }));
    told.extend(arrow.notes.iter().map(|note| note.text.clone()));
    told
}
