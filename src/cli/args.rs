//! The command line: what may be typed, and what it means.

mod live;
mod shared;

pub(super) use live::*;
pub(super) use shared::*;

use super::config::Config;
use crate::report::Counts;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// Reads packet captures, tells what happened in every SIP call and registration, what is missing, and why.
///
/// Every call is compared with the reference call flows of BCP 75 (RFC 3665) and with the rules of SIP.
/// Start with: callflow check FILE
#[derive(Debug, Parser)]
#[command(name = "callflow", version, max_term_width = 100, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) screen: ScreenArgs,
    #[command(flatten)]
    pub(super) project: ProjectArgs,
}

const EXIT_CODES: &str = "\
Examples:
  callflow check capture.pcap                   what is wrong, and why; exit code 1 if anything is
  callflow calls captures/                      one line for each call of all captures in a folder
  callflow ladder capture.pcap --call 3         the ladder diagram of one call
  callflow check --expect 3.1 --calls 2 x.pcap  at least two calls, each as RFC 3665 3.1 has it
  callflow explain A04                          the page of a rule

Exit codes:
  0  nothing at or above --fail-on
  1  findings
  2  usage or configuration error
  3  some input could not be read in full; what could be read is reported
  4  nothing to check: no SIP, or fewer calls than --calls says";

const CHECK_EXAMPLES: &str = "\
Examples:
  callflow check capture.pcap
  callflow check --fail-on warning --each captures/
  callflow check --expect bcp75/3.1 --calls 10 test-run.pcap
  callflow check --keylog keys.txt --bpf 'port 5061' capture.pcapng
  ssh gateway tcpdump -U -w - port 5060 | callflow check -";

const LIVE_EXAMPLES: &str = "\
Examples:
  callflow live -i eth0
  callflow live -i eth0 -i eth1 --format ndjson 'port 5060'
  ssh gateway tcpdump -U -w - port 5060 | callflow live -";

const LADDER_EXAMPLES: &str = "\
Examples:
  callflow ladder capture.pcap --call 3
  callflow ladder capture.pcap --from bob --outcome rejected
  callflow ladder capture.pcap --all --color always | less -R";

const CONFIG_EXAMPLES: &str = "\
Examples:
  callflow config
  callflow config check --fail-on info
  callflow config --check";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  callflow completions bash > ~/.local/share/bash-completion/completions/callflow
  callflow completions zsh > ~/.zfunc/_callflow
  callflow completions fish > ~/.config/fish/completions/callflow.fish";

const MAN_EXAMPLES: &str = "\
Example:
  callflow man -o ~/.local/share/man/man1";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Analyse captures, compare every call with the reference flows, run the rules, report.
    ///
    /// What the capture proves counts by its severity. What it cannot prove is reported as such, is counted
    /// apart and never fails the check.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Sniff on interfaces; calls are printed as they end, findings the moment they are certain.
    ///
    /// Ends with Ctrl-C or SIGTERM, with a summary and an exit code as `check` has it.
    #[command(after_help = LIVE_EXAMPLES)]
    Live(LiveArgs),
    /// One line per call: who, when, how it ended, which flow, what is wrong.
    Calls(ListArgs),
    /// Draw the ladder diagram of calls, with what is missing as dashed arrows.
    #[command(after_help = LADDER_EXAMPLES)]
    Ladder(LadderArgs),
    /// Print the messages of a call, with faults pointed at. Digest answers and client nonces are masked.
    Show(ShowArgs),
    /// Count packets, messages, methods, statuses and what was not understood.
    Stats(StatsArgs),
    /// Print the page of a rule (T01 or invite-no-response) or a reference flow (bcp75/3.1 or 3.1), or tell the
    /// calls of a capture as a story.
    Explain(ExplainArgs),
    /// Write a .flow file that one or several good calls follow.
    ///
    /// What all of them have is needed, what only some have is optional. `check --flow-file` compares with it.
    Learn(LearnArgs),
    /// Compare two captures call by call, or two calls, message by message and header by header.
    ///
    /// What is new in every call (tags, branches, nonces, addresses of the same part) is set aside.
    /// Exit code 0 when nothing differs, 1 when something does.
    Diff(DiffArgs),
    /// Write the selected calls, with all that belongs to them, as a capture of their own.
    ///
    /// Fragments, TCP segments, media and ICMP errors come along; findings become comments on packets. --anonymize
    /// gives everybody other names.
    Export(ExportArgs),
    /// List the rules.
    Rules(CatalogArgs),
    /// List the reference flows.
    Flows(CatalogArgs),
    /// Print what holds, and whether callflow.toml, the command line or nobody says so.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completions(CompletionArgs),
    /// Write man pages, one for each command.
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
}

impl Command {
    /// What a command that reads packets was told of them.
    pub(super) fn known_mut(&mut self) -> Option<&mut KnownArgs> {
        match self {
            Self::Check(args) => Some(&mut args.input.known),
            Self::Live(args) => Some(&mut args.known),
            Self::Calls(args) => Some(&mut args.input.known),
            Self::Ladder(args) => Some(&mut args.input.known),
            Self::Show(args) => Some(&mut args.input.known),
            Self::Stats(args) => Some(&mut args.input.known),
            Self::Learn(args) => Some(&mut args.input.known),
            Self::Diff(args) => Some(&mut args.input.known),
            Self::Export(args) => Some(&mut args.input.known),
            Self::Explain(_)
            | Self::Rules(_)
            | Self::Flows(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) reports: ReportArgs,
    #[command(flatten)]
    pub(super) gate: GateArgs,
    /// Read the capture piece by piece within so much memory, such as 1G: calls are told as they end, and leave memory.
    ///
    /// For captures that are larger than memory. As text, faulty calls are a line each; --format ndjson tells all. Open calls
    /// that have no room are given up and counted.
    #[arg(long, value_name = "SIZE", value_parser = shared::size, help_heading = "Input")]
    pub(super) max_memory: Option<usize>,
}

/// More reports of the same run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct ReportArgs {
    /// Write one more report, in any format, to this file; may be repeated.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report_to)]
    pub(super) report: Vec<ReportTo>,
}

/// "junit=calls.xml".
#[derive(Clone)]
pub(super) struct ReportTo {
    pub(super) format: &'static dyn crate::report::Format,
    pub(super) file: PathBuf,
}

impl std::fmt::Debug for ReportTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.format.name(), self.file.display())
    }
}

/// What makes `check` fail.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub(super) struct GateArgs {
    /// Findings from this severity on give exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    pub(super) fail_on: FailOn,
    /// Every selected call must follow this reference flow without deviation, else exit code 1.
    #[arg(long, value_name = "FLOW")]
    pub(super) expect: Option<String>,
    /// At least so many calls must be there, else exit code 4.
    #[arg(long = "calls", value_name = "N")]
    pub(super) at_least: Option<usize>,
    /// A capture without SIP is fine (exit code 0 instead of 4).
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Findings that this file holds are known, are marked so, and do not fail the check.
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Write the findings of this run as a baseline; reasons that stand in the file are kept.
    ///
    /// The exit code stays what it is without.
    #[arg(long, value_name = "FILE")]
    pub(super) write_baseline: Option<PathBuf>,
    /// What is in the baseline and no longer found gives exit code 1, too.
    #[arg(long, requires = "baseline")]
    pub(super) strict_baseline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(super) enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

impl FailOn {
    /// How many of these make it fail.
    pub(super) fn failing(self, counts: Counts) -> usize {
        let Counts { error, warning, info, .. } = counts;
        match self {
            Self::Error => error,
            Self::Warning => error + warning,
            Self::Info => error + warning + info,
            Self::Never => 0,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    /// text or json.
    #[arg(long, value_enum, default_value_t = CatalogFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    pub(super) format: CatalogFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct LadderArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) output: DrawArgs,
    /// Draw every call; without it and without a selection there must be only one.
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) output: TextArgs,
    /// text, or csv: one line for each message, of all calls unless some are selected.
    #[arg(long, value_enum, default_value_t = ShowFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    pub(super) format: ShowFormat,
    /// Only this message of the call.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) message: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum ShowFormat {
    Text,
    Csv,
}

#[derive(Debug, Args)]
pub(super) struct LearnArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) output: TextArgs,
    /// Name of the flow, such as house/transfer.
    #[arg(long, value_name = "NAME", default_value = "learned", value_parser = flow_name)]
    pub(super) name: String,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    /// Only this call of the first capture.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) call: Option<u32>,
    /// Only this call of the second capture; without a second capture, of the first.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) with: Option<u32>,
    /// text or json.
    #[arg(long, value_enum, default_value_t = CatalogFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    pub(super) format: CatalogFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// The capture to write: .pcapng, or .pcap where all packets have one link type; with .gz compressed; - is pcapng on standard output.
    #[arg(short, long, value_name = "FILE", required_unless_present = "parquet", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// Write no capture but tables of calls, messages and findings below this folder, as Parquet files by day.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "no_media", "decrypted", "anonymize"], help_heading = "Output")]
    pub(super) parquet: Option<PathBuf>,
    /// Leave RTP and RTCP out.
    #[arg(long, help_heading = "Output")]
    pub(super) no_media: bool,
    /// Write messages that came under TLS in the clear, without their packets.
    #[arg(long, help_heading = "Output")]
    pub(super) decrypted: bool,
    /// Give users, numbers, hosts, addresses and identifiers other names, of the same length and the same everywhere.
    #[arg(long, help_heading = "Output")]
    pub(super) anonymize: bool,
    /// Key of the names: the same key gives the same names. 32 hexadecimal digits or more, or a file.
    #[arg(long, value_name = "FILE|HEX", requires = "anonymize", help_heading = "Output")]
    pub(super) key: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Code or name of a rule, name of a reference flow, or a capture.
    #[arg(value_name = "CODE-OR-FLOW-OR-FILE")]
    pub(super) topic: String,
    /// Of a capture: only this call; may be repeated.
    #[arg(long = "call", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) calls: Vec<u32>,
    /// Of a capture: TLS secrets, in the format of SSLKEYLOGFILE.
    #[arg(long, value_name = "FILE")]
    pub(super) keylog: Option<PathBuf>,
    #[arg(skip)]
    pub(super) project: Arc<Config>,
    #[arg(skip)]
    pub(super) voice: Voice,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Only say whether callflow.toml can be used (exit code 0) or not (2).
    #[arg(long)]
    pub(super) check: bool,
    /// A command line, such as: check --fail-on info. What would hold for it is told.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// For this shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder to write to; it is made if need be.
    #[arg(short, long, value_name = "DIR", required = true)]
    pub(super) output: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CatalogArgs {
    /// text or json.
    #[arg(long, value_enum, default_value_t = CatalogFormat::Text, value_name = "FORMAT")]
    pub(super) format: CatalogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum CatalogFormat {
    Text,
    Json,
}

/// "junit=calls.xml" with a format that exists.
fn report_to(text: &str) -> Result<ReportTo, String> {
    let (name, file) = text.split_once('=').ok_or("must look like junit=calls.xml")?;
    let names = || crate::report::FORMATS.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ");
    let format =
        crate::report::format(name).ok_or_else(|| format!("no format is called '{name}'; there are {}", names()))?;
    match file {
        "" => Err("names no file".to_owned()),
        "-" => Err("--format writes to standard output".to_owned()),
        file => Ok(ReportTo { format, file: file.into() }),
    }
}

/// A name that a .flow file can have.
fn flow_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    if text.is_empty() || !text.chars().all(fits) {
        return Err("must be of letters, digits, '-', '_', '.' and '/'".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_report_names_a_format_and_a_file() {
        let told = report_to("sarif=out/a=b.sarif").map(|to| format!("{to:?}"));
        assert_eq!(told.as_deref(), Ok("sarif=out/a=b.sarif"));
        for wrong in ["sarif", "sarif=", "sarif=-", "sarfi=x", "=x"] {
            assert!(report_to(wrong).is_err(), "{wrong}");
        }
    }
}
