//! The command line, and the only module that prints.

mod args;
mod catalog;
mod check;
mod diff;
mod export;
mod follow;
mod learn;
mod list;
mod output;
mod pipeline;
mod select;

use args::{Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a run ended; the numbers are the exit codes that scripts rely on (docs/usage.md).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Status {
    /// Nothing at or above `--fail-on`.
    Clean = 0,
    /// Findings.
    Findings = 1,
    /// The command line means nothing.
    Usage = 2,
    /// Input could not be read in full.
    Unread = 3,
    /// Nothing to check.
    Nothing = 4,
}

impl Status {
    /// Of several captures or reasons the gravest counts: what could not be read, then findings (there was
    /// something to check then), then nothing to check.
    fn and(self, other: Self) -> Self {
        let gravity = |status: Self| match status {
            Self::Clean => 0,
            Self::Nothing => 1,
            Self::Findings => 2,
            Self::Unread => 3,
            Self::Usage => 4,
        };
        if gravity(other) > gravity(self) { other } else { self }
    }
}

/// What stops a command.
enum Stop {
    /// The command line, a filter, a name that nothing has.
    Usage(crate::base::Error),
    /// The output could not be written.
    Output(io::Error),
}

impl From<crate::base::Error> for Stop {
    fn from(error: crate::base::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs the command that `args` (with the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let status = match Cli::try_parse_from(args) {
        Ok(cli) => command(&cli),
        Err(error) => refuse(&error),
    };
    ExitCode::from(status as u8)
}

fn command(cli: &Cli) -> Status {
    let result = match &cli.command {
        Command::Check(args) => check::check(args, cli.screen),
        Command::Calls(args) => list::calls(args, cli.screen),
        Command::Ladder(args) => list::ladder(args, cli.screen),
        Command::Show(args) => list::show(args, cli.screen),
        Command::Stats(args) => list::stats(args, cli.screen),
        Command::Explain(args) => catalog::explain(args, cli.screen),
        Command::Learn(args) => learn::learn(args, cli.screen),
        Command::Diff(args) => diff::diff(args, cli.screen),
        Command::Export(args) => export::export(args),
        Command::Rules(args) => catalog::rules(args, cli.screen),
        Command::Flows(args) => catalog::flows(args, cli.screen),
    };
    match result {
        Ok(status) => status,
        // Whoever read our output had enough: `callflow check FILE | head`.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Status::Clean,
        Err(Stop::Output(error)) => {
            say(&format_args!("cannot write the output: {error}"));
            Status::Unread
        }
        Err(Stop::Usage(error)) => {
            say(&error);
            Status::Usage
        }
    }
}

/// Help and version are answers; anything else that clap says is a usage error.
fn refuse(error: &clap::Error) -> Status {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Clean,
        _ => Status::Usage,
    }
}

/// A line on standard error; findings go to standard output, everything else here.
fn say(what: &dyn Display) {
    let _ = writeln!(io::stderr(), "callflow: {}", crate::report::escape::text(&what.to_string()));
}
