//! A reference flow as the text of a .flow file: what [`super::parse`] reads.

use super::model::{Part, Pattern, ReferenceFlow, Step};
use super::syntax::CONTACTS;
use std::fmt::{self, Write as _};

impl fmt::Display for ReferenceFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flow {}: {}", self.name, self.title)?;
        if !self.section.is_empty() {
            writeln!(f, "section {}", self.section)?;
        }
        writeln!(f, "kind {}", self.kind.name())?;
        let facts: Vec<String> = self
            .when
            .iter()
            .map(|(fact, holds)| format!("{}{}", if *holds { "" } else { "not " }, fact.name()))
            .collect();
        if !facts.is_empty() {
            writeln!(f, "when {}", facts.join(", "))?;
        }
        writeln!(f, "roles {}\n\nladder {{", self.roles.join(", "))?;
        self.write_parts(f, &self.ladder, 1)?;
        writeln!(f, "}}")
    }
}

impl ReferenceFlow {
    fn write_parts(&self, f: &mut fmt::Formatter<'_>, parts: &[Part], depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        for part in parts {
            f.write_str(&indent)?;
            match part {
                Part::Step(step) => self.write_step(f, step)?,
                Part::Media(from, to) => {
                    writeln!(f, "media {} <-> {}", self.roles[*from], self.roles[*to])?;
                }
                Part::Optional(parts) => self.write_blocks(f, "optional", "", &[parts], depth)?,
                Part::Repeat(parts) => self.write_blocks(f, "repeat", "", &[parts], depth)?,
                Part::EitherSide(parts) => {
                    self.write_blocks(f, "either side", "", &[parts], depth)?;
                }
                Part::Either(ways) => {
                    let ways: Vec<&Vec<Part>> = ways.iter().collect();
                    self.write_blocks(f, "either", "or", &ways, depth)?;
                }
                Part::AnyOrder(runs) => {
                    let runs: Vec<Vec<Part>> =
                        runs.iter().map(|run| run.iter().cloned().map(Part::Step).collect()).collect();
                    let runs: Vec<&Vec<Part>> = runs.iter().collect();
                    self.write_blocks(f, "any order", "and", &runs, depth)?;
                }
            }
        }
        Ok(())
    }

    fn write_blocks(
        &self,
        f: &mut fmt::Formatter<'_>,
        word: &str,
        between: &str,
        blocks: &[&Vec<Part>],
        depth: usize,
    ) -> fmt::Result {
        let indent = "  ".repeat(depth);
        write!(f, "{word} {{")?;
        for (at, block) in blocks.iter().enumerate() {
            if at > 0 {
                write!(f, "{indent}}} {between} {{")?;
            }
            f.write_char('\n')?;
            self.write_parts(f, block, depth + 1)?;
        }
        writeln!(f, "{indent}}}")
    }

    fn write_step(&self, f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
        if !step.label.is_empty() {
            write!(f, "{} ", step.label)?;
        }
        writeln!(f, "{} -> {}: {}", self.roles[step.from], self.roles[step.to], step.message)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (low, high)) in self.status.iter().enumerate() {
            if at > 0 {
                f.write_char('|')?;
            }
            match (low, high) {
                (101, 199) => f.write_str("1xx")?,
                (low, high) if low == high => write!(f, "{low}")?,
                (low, high) if low % 100 == 0 && *high == low + 99 => write!(f, "{}xx", low / 100)?,
                (low, high) => write!(f, "{low}-{high}")?,
            }
        }
        if !self.status.is_empty() {
            f.write_str(" to ")?;
        }
        f.write_str(self.verb.name())?;
        let credentials = match self.credentials {
            Some(true) => " with credentials",
            Some(false) => " without credentials",
            None => "",
        };
        f.write_str(credentials)?;
        if !self.answers.is_empty() {
            write!(f, " for {}", self.answers)?;
        }
        match CONTACTS.iter().find(|(contact, _)| Some(*contact) == self.contact) {
            Some((_, name)) => write!(f, ", {name}"),
            None => Ok(()),
        }
    }
}
