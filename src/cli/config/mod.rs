//! `callflow.toml`: what a project always wants, said once (docs/config.md).

mod document;
mod expect;
mod find;
mod ignore;
mod options;
mod show;

pub(super) use expect::{Found, Run};
pub(super) use show::show;

use super::catalog;
use crate::base::{Error, Names};
use crate::rules::{Settings, Severity, THRESHOLDS, metas};
use clap::Command;
use document::{Document, Place, Table, suggestion};
use expect::Expect;
use ignore::Ignore;
use options::Setting;
use std::path::{Path, PathBuf};

/// What a configuration file says; nothing at all when there is none.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The file, as seen from the current folder.
    pub(super) file: Option<PathBuf>,
    options: Vec<Setting>,
    names: Vec<Told>,
    /// What `[rules]` says, as it is told by `callflow config`.
    told_of_rules: Vec<Told>,
    /// Severities and thresholds.
    pub(super) rules: Settings,
    ignores: Vec<Ignore>,
    expects: Vec<Expect>,
}

/// One value, for people.
#[derive(Debug)]
struct Told {
    what: String,
    value: String,
    place: Place,
}

impl Config {
    /// Reads the file that holds: the one given, or the one that is found from the current folder upward. `command`
    /// gives the command line, whose options may be set.
    ///
    /// # Errors
    /// A file that cannot be read, or says what cannot be meant.
    pub(super) fn load(given: Option<&Path>, none: bool, command: &dyn Fn() -> Command) -> Result<Self, Error> {
        let found = match given {
            _ if none => None,
            Some(path) => Some(path.to_path_buf()),
            None => find::discover(),
        };
        let Some(file) = found else {
            return Ok(Self::default());
        };
        let text = find::read(&file)?;
        let mut config = Self::parse(&text, &file, &command())?;
        config.file = Some(file);
        Ok(config)
    }

    fn parse(text: &str, file: &Path, command: &Command) -> Result<Self, Error> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let document = Document::new(&file.display().to_string(), text);
        let root = document.parse()?;
        let mut top = document.top(&root);
        let mut config = Self::default();
        if let Some(table) = top.take("options") {
            config.options = options::read(table.table()?, folder, command)?;
        }
        if let Some(table) = top.take("names") {
            config.names = names(table.table()?)?;
        }
        if let Some(table) = top.take("rules") {
            config.read_rules(table.table()?)?;
        }
        if let Some(tables) = top.take("ignore") {
            config.ignores = tables.tables()?.into_iter().map(Ignore::read).collect::<Result<_, _>>()?;
        }
        if let Some(tables) = top.take("expect") {
            config.expects =
                tables.tables()?.into_iter().map(|table| Expect::read(table, folder)).collect::<Result<_, _>>()?;
        }
        top.end()?;
        Ok(config)
    }

    /// `[rules.T01]`: severity and threshold.
    fn read_rules(&mut self, mut rules: Table<'_>) -> Result<(), Error> {
        for (name, value) in rules.rest() {
            let meta = catalog::rule(name).ok_or_else(|| value.place().refuse(no_rule(name)))?;
            let mut table = value.table()?;
            if let Some(severity) = table.take("severity") {
                let text = severity.text()?;
                self.rules.set_severity(meta.code, severity_of(text).map_err(|why| severity.refuse(why))?);
                self.tell(format!("{}.severity", meta.code), text, severity.place());
            }
            for threshold in THRESHOLDS.iter().filter(|threshold| threshold.rule == meta.code) {
                let Some(value) = table.take(threshold.key) else {
                    continue;
                };
                let number = value.number()?;
                if !(threshold.least..=threshold.most).contains(&number) {
                    let why = format!("must be from {} to {}, not {number}", threshold.least, threshold.most);
                    return Err(value.refuse(why));
                }
                self.rules.set_threshold(threshold, number);
                self.tell(format!("{}.{}", meta.code, threshold.key), &number.to_string(), value.place());
            }
            table.end()?;
        }
        Ok(())
    }

    fn tell(&mut self, what: String, value: &str, place: Place) {
        self.told_of_rules.push(Told { what, value: value.to_owned(), place });
    }

    /// The command line on which the options of this file are the defaults.
    pub(super) fn as_defaults(&self, command: Command) -> Command {
        options::as_defaults(&self.options, command)
    }

    /// Whether it sets any option.
    pub(super) fn has_defaults(&self) -> bool {
        !self.options.is_empty()
    }

    /// Adds the names of `[names]` to those that are known.
    pub(super) fn name(&self, names: &mut Names) {
        for Told { what: address, value: name, .. } in &self.names {
            // That each is an address was looked at when the file was read.
            let _ = names.give(address, name);
        }
    }
}

/// "192.0.2.1" = "proxy"
fn names(mut table: Table<'_>) -> Result<Vec<Told>, Error> {
    let name = |(address, value): (&str, document::Value<'_>)| {
        let name = value.text()?;
        if name.trim().is_empty() {
            return Err(value.refuse("is empty"));
        }
        let is_address = Names::default().give(address, name);
        is_address.map_err(|_| value.place().refuse(format!("'{address}' is no IP address, nor one with a port")))?;
        Ok(Told { what: address.to_owned(), value: name.to_owned(), place: value.place() })
    };
    table.rest().into_iter().map(name).collect()
}

fn severity_of(text: &str) -> Result<Option<Severity>, String> {
    let all = [Severity::Error, Severity::Warning, Severity::Info];
    match all.into_iter().find(|severity| severity.name() == text) {
        Some(severity) => Ok(Some(severity)),
        None if text == "off" => Ok(None),
        None => {
            let known = all.map(Severity::name).into_iter().chain(["off"]);
            Err(format!("'{text}' is no severity; error, warning, info and off are{}", suggestion(text, known)))
        }
    }
}

fn no_rule(name: &str) -> String {
    let names = metas().into_iter().flat_map(|meta| [meta.code, meta.name]);
    format!("no rule is called '{name}'; `callflow rules` lists them{}", suggestion(name, names))
}
