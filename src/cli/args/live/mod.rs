//! What `callflow live` is given.

mod evidence;
mod hep;
mod ops;
mod rights;

pub(in crate::cli) use evidence::EvidenceArgs;
pub(in crate::cli) use hep::HepArgs;
pub(in crate::cli) use ops::OpsArgs;
pub(in crate::cli) use rights::RightsArgs;

use super::{FailOn, KnownArgs, size};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Where `live` listens, and until when.
#[derive(Debug, Args)]
pub(in crate::cli) struct LiveArgs {
    /// A libpcap filter such as "host 192.0.2.1"; before it, or alone, - for a pcap stream on standard input.
    ///
    /// Without a filter every packet is looked at: SIP is found on any port, in tunnels and in fragments.
    #[arg(value_name = "BPF")]
    pub(in crate::cli) words: Vec<String>,
    /// Interface to listen on (default: any, which is all of them); may be repeated.
    #[arg(short, long, value_name = "IFACE", help_heading = "Input")]
    pub(in crate::cli) interface: Vec<String>,
    /// List the interfaces there are, with their state and addresses, and stop.
    #[arg(long, help_heading = "Input")]
    pub(in crate::cli) list_interfaces: bool,
    /// Listen to a capture file that another program is writing, or to a folder of such files that follow one another,
    /// instead of an interface.
    #[arg(long, value_name = "PATH", help_heading = "Input", conflicts_with = "interface")]
    pub(in crate::cli) follow: Option<PathBuf>,
    /// Bytes taken of each packet.
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, help_heading = "Input",
          value_parser = clap::value_parser!(i32).range(64..=262_144))]
    pub(in crate::cli) snaplen: i32,
    /// Size of the kernel's buffer for each interface, such as 64M; a larger one outlasts longer bursts.
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = ring_size, help_heading = "Input")]
    pub(in crate::cli) ring_size: i32,
    /// Do not ask the interface for packets that are not for this machine.
    #[arg(long, help_heading = "Input")]
    pub(in crate::cli) no_promisc: bool,
    /// Take each packet at once instead of some at a time: sooner by a tenth of a second, dearer under load.
    #[arg(long, help_heading = "Input")]
    pub(in crate::cli) immediate: bool,
    #[command(flatten)]
    pub(in crate::cli) hep: HepArgs,
    #[command(flatten)]
    pub(in crate::cli) known: KnownArgs,
    #[command(flatten)]
    pub(in crate::cli) evidence: EvidenceArgs,
    /// Memory for open calls; when it is full, the calls that say least are given up, and counted.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size, help_heading = "Limits")]
    pub(in crate::cli) max_memory: usize,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", help_heading = "Limits")]
    pub(in crate::cli) duration: Option<u32>,
    /// Stop after so many packets.
    #[arg(long, value_name = "N", help_heading = "Limits", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) count: Option<u64>,
    /// Stop at the first finding of this rule (code or name); may be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Limits")]
    pub(in crate::cli) stop_on: Vec<String>,
    /// text or ndjson.
    #[arg(long, value_enum, default_value_t = LiveFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    pub(in crate::cli) format: LiveFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Findings from this severity on give exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY", help_heading = "Verdict")]
    pub(in crate::cli) fail_on: FailOn,
    /// No SIP is fine (exit code 0 instead of 4).
    #[arg(long, help_heading = "Verdict")]
    pub(in crate::cli) allow_empty: bool,
    #[command(flatten)]
    pub(in crate::cli) rights: RightsArgs,
    #[command(flatten)]
    pub(in crate::cli) ops: OpsArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::cli) enum LiveFormat {
    Text,
    Ndjson,
}

fn ring_size(text: &str) -> Result<i32, String> {
    i32::try_from(size(text)?).map_err(|_| "must be less than 2G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("64M"), size("1g"), size("2097152")), (Ok(64 << 20), Ok(1 << 30), Ok(2 << 20)));
        assert!(["", "M", "1T", "-1M", "1MM", "1K", "99999999999G"].iter().all(|wrong| size(wrong).is_err()));
        assert!(ring_size("2G").is_err());
    }
}
