//! The command line, and the only module that prints.

mod args;
mod catalog;
mod check;
mod config;
mod diff;
mod export;
mod follow;
mod ladder;
mod learn;
mod list;
mod live;
mod log;
mod output;
mod pipeline;
mod reports;
mod rolling;
mod select;
mod shell;
mod streamed;
mod tables;
mod teller;

use args::{Cli, Command, LiveArgs};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use config::Config;
use log::{Level, say};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

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
    let args: Vec<OsString> = args.into_iter().collect();
    let long = shell::asks_for_version(args.iter().map(OsString::as_os_str));
    let line = || if long { Cli::command().long_version(shell::version()) } else { Cli::command() };
    let status = match parse(line(), &args) {
        Ok(cli) if reads_config(&cli.command) => match with_config(cli, &line, &args) {
            Ok((cli, config)) => command(&cli, &config, &line, &args),
            Err(refusal) => refusal.tell(),
        },
        Ok(cli) => command(&cli, &Config::default(), &line, &args),
        Err(error) => Refusal::Line(error).tell(),
    };
    ExitCode::from(status as u8)
}

fn parse(line: clap::Command, args: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = line.try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// Whether callflow.toml has a say in the command. A broken one must not keep anybody from reading the documentation.
fn reads_config(command: &Command) -> bool {
    match command {
        Command::Rules(_) | Command::Flows(_) | Command::Completions(_) | Command::Man(_) => false,
        Command::Explain(args) => Path::new(args.topic.trim()).exists(),
        _ => true,
    }
}

/// What callflow.toml says becomes the defaults of the options, and the command line is read once more.
fn with_config(
    mut cli: Cli,
    line: &dyn Fn() -> clap::Command,
    args: &[OsString],
) -> Result<(Cli, Arc<Config>), Refusal> {
    let config = Config::load(cli.project.config.as_deref(), cli.project.no_config, line);
    let config = Arc::new(config.map_err(Refusal::Config)?);
    if config.has_defaults() {
        cli = parse(config.as_defaults(line()), args).map_err(Refusal::Line)?;
    }
    let voice = cli.screen.voice();
    if let Some(known) = cli.command.known_mut() {
        (known.project, known.voice) = (Arc::clone(&config), voice);
    } else if let Command::Explain(args) = &mut cli.command {
        (args.project, args.voice) = (Arc::clone(&config), voice);
    }
    Ok((cli, config))
}

/// What `live` was given, with what callflow.toml says by now; in words why that cannot be.
fn live_again(args: &[OsString]) -> Result<LiveArgs, String> {
    let cli = parse(Cli::command(), args).map_err(Refusal::Line);
    match cli.and_then(|cli| with_config(cli, &Cli::command, args)) {
        Ok((Cli { command: Command::Live(args), .. }, ..)) => Ok(args),
        Ok(_) => Err("this is not live".to_owned()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

fn command(cli: &Cli, config: &Config, line: &dyn Fn() -> clap::Command, args: &[OsString]) -> Status {
    let result = match &cli.command {
        Command::Check(args) => check::check(args, cli.screen),
        Command::Live(given) => live::live(given, cli.screen, &|| live_again(args)),
        Command::Calls(args) => list::calls(args, cli.screen),
        Command::Ladder(args) => ladder::ladder(args, cli.screen),
        Command::Show(args) => list::show(args, cli.screen),
        Command::Stats(args) => list::stats(args, cli.screen),
        Command::Explain(args) => catalog::explain(args, cli.screen),
        Command::Learn(args) => learn::learn(args, cli.screen),
        Command::Diff(args) => diff::diff(args, cli.screen),
        Command::Export(args) => export::export(args),
        Command::Rules(args) => catalog::rules(args, cli.screen),
        Command::Flows(args) => catalog::flows(args, cli.screen),
        Command::Config(args) => config::show(args, config, &config.as_defaults(line()), cli.screen),
        Command::Completions(args) => shell::completions(args, line()),
        Command::Man(args) => shell::man(args, line()),
    };
    match result {
        Ok(status) => status,
        // Whoever read our output had enough: `callflow check FILE | head`.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Status::Clean,
        Err(Stop::Output(error)) => {
            log::tell(Level::Error, "output-failed", &format_args!("cannot write the output: {error}"), &[]);
            Status::Unread
        }
        Err(Stop::Usage(error)) => {
            log::tell(Level::Error, "refused", &error, &[]);
            Status::Usage
        }
    }
}

/// Why no command was run.
enum Refusal {
    Config(crate::base::Error),
    Line(clap::Error),
}

impl Refusal {
    /// Help and version are answers; anything else that clap says is a usage error.
    fn tell(&self) -> Status {
        match self {
            Self::Config(error) => say(error),
            Self::Line(error) => drop(error.print()),
        }
        match self {
            Self::Line(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                Status::Clean
            }
            _ => Status::Usage,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Line(error) => {
                let told = error.to_string();
                let lines = told.lines().take_while(|line| !line.starts_with("For more")).map(str::trim);
                f.write_str(
                    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").trim_start_matches("error: "),
                )
            }
        }
    }
}
