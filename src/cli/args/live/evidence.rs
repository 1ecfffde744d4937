//! What `callflow live` is to write down.

use super::size;
use clap::Args;
use std::path::PathBuf;

/// Where packets are kept, and which.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvidenceArgs {
    /// Write all packets to pcapng files in this folder.
    #[arg(long, value_name = "DIR", help_heading = "Evidence")]
    pub(in crate::cli) write: Option<PathBuf>,
    /// Begin another file when one has this size, such as 100M; with --disk-cap at most half of that.
    #[arg(long, value_name = "SIZE", default_value = "100M", value_parser = size, requires = "write", help_heading = "Evidence")]
    pub(in crate::cli) rotate_size: usize,
    /// Begin another file when one has packets of so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..), requires = "write",
          help_heading = "Evidence")]
    pub(in crate::cli) rotate_time: Option<u32>,
    /// Remove the oldest files of ours when all of them take more than this.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "write", help_heading = "Evidence")]
    pub(in crate::cli) disk_cap: Option<usize>,
    /// Write calls with this finding instead, each to a file of its own: a rule (code or name), a severity (or worse),
    /// or any; may be repeated.
    #[arg(long, value_name = "FINDING", requires = "write", help_heading = "Evidence")]
    pub(in crate::cli) write_on: Vec<String>,
    /// Memory for packets of calls that may yet go wrong; the oldest call has to go when it is full.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size, help_heading = "Evidence")]
    pub(in crate::cli) ring_memory: usize,
}
