//! `callflow config`: what holds, and who says so.

use super::super::args::{ConfigArgs, ScreenArgs};
use super::super::{Status, Stop, output, say};
use super::{Config, options};
use crate::report::table;
use crate::rules::THRESHOLDS;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use std::ffi::OsString;
use std::io::Write;

/// Runs the command. `command` is the command line with the options of the file as defaults.
pub(in super::super) fn show(
    args: &ConfigArgs,
    config: &Config,
    command: &Command,
    screen: ScreenArgs,
) -> Result<Status, Stop> {
    let name = config.file.as_ref().map(|file| file.display().to_string());
    let name = name.unwrap_or_else(|| "no callflow.toml".to_owned());
    if args.check {
        // Whatever is wrong with it was told when it was read.
        say(&format_args!("{name}: {}", if config.file.is_some() { "can be used" } else { "nothing to look at" }));
        return Ok(Status::Clean);
    }
    let matches = typed(&args.command, command)?;
    let mut output = output::open(None, screen)?;
    let mut rows = option_rows(config, command, matches.as_ref());
    rows.extend(config.told_of_rules.iter().map(|told| row(&format!("rules.{}", told.what), &told.value, &told.place)));
    let is_set = |what: &str| config.told_of_rules.iter().any(|told| told.what == what);
    for threshold in &THRESHOLDS {
        let what = format!("{}.{}", threshold.rule, threshold.key);
        if !is_set(&what) {
            rows.push(row(&format!("rules.{what}"), &threshold.usual.to_string(), &"default"));
        }
    }
    rows.extend(config.names.iter().map(|told| row(&format!("names.{}", told.what), &told.value, &told.place)));
    rows.extend(config.ignores.iter().map(|ignore| {
        let until = ignore.until.as_ref().map_or(String::new(), |until| format!(" (until {})", until.date));
        row(&format!("ignore {}", ignore.rule), &format!("{}{until}", ignore.reason), &ignore.place)
    }));
    let expects = config.expects.iter();
    rows.extend(expects.map(|expect| row("expect", &expect.files.join(", "), &expect.place)));
    writeln!(output.out, "{name}")?;
    let mut table = table::light(output.style);
    table.set_header(["what", "value", "said by"]);
    for row in rows {
        table.add_row(row);
    }
    table::print(&table, &mut output.out)?;
    output.out.flush()?;
    Ok(Status::Clean)
}

fn row(what: &str, value: &str, place: &dyn std::fmt::Display) -> Vec<String> {
    let clean = |text: &str| crate::report::escape::text(text).into_owned();
    vec![clean(what), clean(value), clean(&place.to_string())]
}

/// The command line that was given, as it is understood; without one, `check`.
fn typed(words: &[OsString], command: &Command) -> Result<Option<ArgMatches>, Stop> {
    let default = [OsString::from("check")];
    let words = if words.is_empty() { &default } else { words };
    // Nothing is read, so no file need be named.
    let lenient = |sub: Command| {
        if sub.get_arguments().any(|arg| arg.get_id() == "files") {
            sub.mut_arg("files", |arg| arg.required(false))
        } else {
            sub
        }
    };
    let command = command.clone().no_binary_name(true).mut_subcommands(lenient);
    let matches = command.try_get_matches_from(words).map_err(|error| {
        let told = error.to_string();
        crate::base::Error::Usage(told.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    Ok(matches.subcommand().map(|(_, matches)| matches.clone()))
}

/// Every option that may be set: its value, and where it comes from.
fn option_rows(config: &Config, command: &Command, matches: Option<&ArgMatches>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for key in options::keys(command) {
        let Some(arg) = options::arg(command, key) else {
            continue;
        };
        let id = arg.get_id().as_str();
        let raw = matches.and_then(|matches| matches.try_get_raw(id).ok().flatten());
        let value = raw.map(|values| values.map(|one| one.to_string_lossy()).collect::<Vec<_>>().join(", "));
        let typed = matches.is_some_and(|matches| {
            matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
        });
        let setting = config.options.iter().find(|setting| setting.key == key);
        let place = match setting {
            _ if typed => "command line".to_owned(),
            Some(setting) => setting.place.to_string(),
            None => "default".to_owned(),
        };
        // What a command has no use for is told as the file says it.
        let said = setting.map(|s| s.values.iter().map(|one| one.to_string_lossy()).collect::<Vec<_>>().join(", "));
        rows.push(row(key, &value.or(said).unwrap_or_default(), &place));
    }
    rows
}
