//! What several commands are given: input, selection, and how the result is written and looks.

use crate::cli::config::Config;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// What a project says in its callflow.toml; for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Project")]
pub(in crate::cli) struct ProjectArgs {
    /// Take this callflow.toml, not the nearest one from here up to the root of the repository.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "no_config")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Take no callflow.toml at all.
    #[arg(long, global = true)]
    pub(in crate::cli) no_config: bool,
}

/// What is read, and how.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub(in crate::cli) struct InputArgs {
    /// pcap, pcapng, snoop or Network Monitor files (also gzip, zstd, lz4, xz), folders to search for them, or - for standard input.
    ///
    /// Several are read as one capture, merged in time order, as rotated files need it.
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Take each file as a capture of its own.
    #[arg(long)]
    pub(in crate::cli) each: bool,
    /// Read one file that is still being written, until Ctrl-C or SIGTERM; then report.
    #[arg(long, conflicts_with = "each")]
    pub(in crate::cli) follow: bool,
    /// Look only at packets that fit this libpcap filter, such as "host 192.0.2.1 and port 5060".
    ///
    /// Fragments and VLAN tags do not hide a port; whoever names vlan gets libpcap's own meaning of it.
    #[arg(long, value_name = "EXPR")]
    pub(in crate::cli) bpf: Option<String>,
    /// Count a capture whose last record is cut as not read in full (exit code 3).
    #[arg(long)]
    pub(in crate::cli) strict: bool,
    #[command(flatten)]
    pub(in crate::cli) known: KnownArgs,
}

/// What the user knows of the traffic, and threads.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub(in crate::cli) struct KnownArgs {
    /// TLS secrets, in the format of SSLKEYLOGFILE.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) keylog: Option<PathBuf>,
    /// Private RSA key of a TLS server, in PEM: opens TLS 1.2 and older where the cipher suite has no forward secrecy; may be repeated.
    ///
    /// Sessions with ECDHE or DHE, and TLS 1.3, take a key log. The key is never printed.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rsa_key: Vec<PathBuf>,
    /// Passwords of accounts, to tell what is wrong with refused credentials; they are never printed.
    ///
    /// A line for each: "user realm password" or "user realm ha1:HEX". The realm * is any realm.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) passwords: Option<PathBuf>,
    /// Reference flows of your own; where they fit, they go before those of BCP 75. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) flow_file: Vec<PathBuf>,
    /// Take every datagram of this UDP port for SIP (it is found by content anyway, on any port).
    #[arg(long, value_name = "PORT=sip", value_parser = sip_port)]
    pub(in crate::cli) decode_as: Vec<u16>,
    /// Names of addresses, in the format of hosts(5); an address may have a port.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) names: Option<PathBuf>,
    /// A header that holds the Call-ID of another leg, or one value on all legs of a call (X-Call-ID and others are known).
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) leg_header: Vec<String>,
    /// Threads to use; the result does not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) threads: Option<u16>,
    /// What callflow.toml says.
    #[arg(skip)]
    pub(in crate::cli) project: Arc<Config>,
    /// How much is said of the run itself.
    #[arg(skip)]
    pub(in crate::cli) voice: Voice,
}

/// Which calls.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Selection (all that are given must fit)")]
pub(in crate::cli) struct SelectArgs {
    /// Calls by number, as in `callflow calls`.
    #[arg(long = "call", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) calls: Vec<u32>,
    /// The call with this Call-ID.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) call_id: Option<String>,
    /// Calls whose From URI contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) from: Option<String>,
    /// Calls whose To URI contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) to: Option<String>,
    /// Calls in which this address takes part: 192.0.2.1, 192.0.2.1:5060, [2001:db8::1]:5060.
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) participant: Option<String>,
    /// Calls with a request of this method.
    #[arg(long, value_name = "METHOD")]
    pub(in crate::cli) method: Option<String>,
    /// Calls with a response of this status, such as 486 or 4xx.
    #[arg(long, value_name = "STATUS", value_parser = status_range)]
    pub(in crate::cli) status: Option<std::ops::RangeInclusive<u16>>,
    /// call, registration, subscription, message, options, publish or other.
    #[arg(long, value_name = "KIND")]
    pub(in crate::cli) kind: Option<String>,
    /// answered, active, busy, cancelled, no-answer, rejected, refused, unanswered, incomplete, ...
    #[arg(long, value_name = "OUTCOME")]
    pub(in crate::cli) outcome: Option<String>,
    /// Calls with a finding of this rule (code or name); only such findings are reported.
    #[arg(long, value_name = "RULE")]
    pub(in crate::cli) rule: Vec<String>,
    /// Calls whose nearest reference flow is this one: bcp75/3.1 or 3.1.
    #[arg(long, value_name = "FLOW")]
    pub(in crate::cli) flow: Option<String>,
    /// Calls that go on at or after this time: 2026-01-02T03:04:05Z, or +30 (seconds into the capture).
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) since: Option<String>,
    /// Calls that start at or before this time.
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: Option<String>,
}

impl SelectArgs {
    /// One of the options that are given, by name.
    pub(in crate::cli) fn given(&self) -> Option<&'static str> {
        let Self { calls, call_id, from, to, participant, method, status, kind, outcome, rule, flow, since, until } =
            self;
        let given = [
            ("--call", !calls.is_empty()),
            ("--call-id", call_id.is_some()),
            ("--from", from.is_some()),
            ("--to", to.is_some()),
            ("--participant", participant.is_some()),
            ("--method", method.is_some()),
            ("--status", status.is_some()),
            ("--kind", kind.is_some()),
            ("--outcome", outcome.is_some()),
            ("--rule", !rule.is_empty()),
            ("--flow", flow.is_some()),
            ("--since", since.is_some()),
            ("--until", until.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// "64M" is 64 MiB; K, M and G are powers of 1024.
pub(in crate::cli) fn size(text: &str) -> Result<usize, String> {
    let number = text.trim_end_matches(['K', 'M', 'G', 'k', 'm', 'g']);
    let unit = match text[number.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("must look like 64M".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "must look like 64M".to_owned())?;
    let bytes = number.checked_mul(unit).ok_or("is too large")?;
    if bytes < 1 << 20 { Err("must be 1M at least".to_owned()) } else { Ok(bytes) }
}

/// How it is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct OutputArgs {
    /// How the report is written; `calls` has text, json, ndjson and csv.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = format_names())]
    pub(in crate::cli) format: String,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}

/// How ladders are drawn, and to where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct DrawArgs {
    /// How they are drawn.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = drawing_names())]
    pub(in crate::cli) format: String,
    /// Write to this file instead of standard output. What is a folder, ends in / or has no ending (with --all) gets a
    /// file for each call, and an index.
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(in crate::cli) output: Option<PathBuf>,
}

/// Text only, and to where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct TextArgs {
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}

/// How text looks; for every command.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Screen")]
pub(in crate::cli) struct ScreenArgs {
    /// Colours: auto means on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE=1 means always.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(in crate::cli) color: Colour,
    /// Draw with ASCII characters only.
    #[arg(long, global = true)]
    pub(in crate::cli) ascii: bool,
    /// Columns of a line; else those of the terminal, or 100.
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..))]
    pub(in crate::cli) width: Option<u16>,
    /// Of check as text, only the line with the verdict, and that only if the exit code is not 0; no notes.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(in crate::cli) quiet: bool,
    /// Say on standard error what was read, and what every stage made of it.
    #[arg(short, long, global = true)]
    pub(in crate::cli) verbose: bool,
}

impl ScreenArgs {
    /// How much is said.
    pub(in crate::cli) fn voice(self) -> Voice {
        match (self.quiet, self.verbose) {
            (true, _) => Voice::Quiet,
            (_, true) => Voice::Verbose,
            _ => Voice::Usual,
        }
    }
}

/// How much is said of a run, besides its result and what went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) enum Voice {
    Quiet,
    #[default]
    Usual,
    Verbose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum Colour {
    Auto,
    Always,
    Never,
}

fn format_names() -> clap::builder::PossibleValuesParser {
    let values = crate::report::FORMATS
        .iter()
        .map(|format| clap::builder::PossibleValue::new(format.name()).help(format.help()));
    clap::builder::PossibleValuesParser::new(values.collect::<Vec<_>>())
}

fn drawing_names() -> clap::builder::PossibleValuesParser {
    let values = crate::report::draw::DRAWINGS
        .iter()
        .map(|drawing| clap::builder::PossibleValue::new(drawing.name()).help(drawing.help()));
    clap::builder::PossibleValuesParser::new(values.collect::<Vec<_>>())
}

/// "5070=sip" is 5070.
fn sip_port(text: &str) -> Result<u16, String> {
    let (port, protocol) = text.split_once('=').ok_or("must look like 5070=sip")?;
    if !protocol.eq_ignore_ascii_case("sip") {
        return Err(format!("'{protocol}' is not known; only sip is"));
    }
    port.parse().map_err(|_| format!("'{port}' is no port"))
}

/// "486" is 486 alone, "4xx" is 400 to 499.
fn status_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
    match (class.and_then(|class| class.parse::<u16>().ok()), text.parse::<u16>()) {
        (Some(class @ 1..=6), _) => Ok(class * 100..=class * 100 + 99),
        (None, Ok(status @ 100..=699)) => Ok(status..=status),
        _ => Err("must be a status such as 486, or a class such as 4xx".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_single_statuses_are_ranges() {
        assert_eq!(status_range("4xx"), Ok(400..=499));
        assert_eq!(status_range("486"), Ok(486..=486));
        assert!(status_range("7xx").is_err() && status_range("99").is_err() && status_range("x").is_err());
    }

    #[test]
    fn ports_are_given_with_their_protocol() {
        assert_eq!(sip_port("5070=sip"), Ok(5070));
        assert!(sip_port("5070").is_err() && sip_port("70000=sip").is_err() && sip_port("1=rtp").is_err());
    }
}
