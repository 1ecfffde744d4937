//! What is said on standard error: lines for people, or an object a line for programs. Findings go to standard output.

use crate::report::{escape, time};
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// How it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(super) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// How much it matters to whoever runs the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Error,
    Warning,
    Info,
}

/// What belongs to an event beside its words, by name.
pub(super) type Fields<'a> = &'a [(&'static str, Value)];

/// For the whole program: threads say what goes wrong with them, too.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Has all that is said from now on written in this way.
pub(super) fn write_as(format: LogFormat) {
    AS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Says what has no name of its own.
pub(super) fn say(what: &dyn Display) {
    tell(Level::Warning, "message", what, &[]);
}

/// Says what happened. `event` is for programs and stays what it is, the words may change.
pub(super) fn tell(level: Level, event: &'static str, what: &dyn Display, fields: Fields<'_>) {
    let told = what.to_string();
    let told = escape::text(&told);
    let line = if AS_JSON.load(Ordering::Relaxed) {
        object(time::rfc3339(super::live::wall()).as_str(), level, event, &told, fields)
    } else {
        format!("callflow: {told}\n")
    };
    // In one piece, so that threads do not mix their lines.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

fn object(time: &str, level: Level, event: &str, message: &str, fields: Fields<'_>) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let mut object = Map::new();
    for (name, value) in [("time", time), ("level", level), ("event", event), ("message", message)] {
        object.insert(name.to_owned(), value.into());
    }
    object.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    format!("{}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_whatever_it_says() {
        let line = object("t", Level::Error, "input-failed", "a \"b\"\nc", &[("packets", 3.into())]);
        assert_eq!(
            line,
            "{\"time\":\"t\",\"level\":\"error\",\"event\":\"input-failed\",\"message\":\"a \\\"b\\\"\\nc\",\"packets\":3}\n"
        );
    }
}
