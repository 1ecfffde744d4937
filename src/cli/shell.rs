//! What makes a program at home in a shell: completions, man pages, and a version that says what is in it.

use super::args::{CompletionArgs, ManArgs};
use super::{Status, Stop};
use crate::report::FORMATS;
use crate::report::draw::DRAWINGS;
use clap::Command;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};

/// Runs `callflow completions`.
pub(super) fn completions(args: &CompletionArgs, mut command: Command) -> Result<Status, Stop> {
    // The generator panics when it cannot write; a closed pipe is ours to see.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "callflow", &mut script);
    let mut out = io::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Status::Clean)
}

/// Runs `callflow man`: a page for the program and one for each command.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<Status, Stop> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", args.output.display()));
    fs::create_dir_all(&args.output).map_err(told)?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.output).map_err(told)?;
    Ok(Status::Clean)
}

/// What `--version` says: the version, and what was built in.
pub(super) fn version() -> String {
    let formats: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
    let drawings: Vec<&str> = DRAWINGS.iter().map(|drawing| drawing.name()).collect();
    let tables = if cfg!(feature = "parquet") { "CSV, Parquet" } else { "CSV" };
    format!(
        "{}\nlibpcap {}\ncaptures: pcap, pcapng, snoop, Network Monitor; gzip, zstd, lz4, xz\nreports: {}\nladders: {}\ntables: {tables}\nsecured: TLS \
         1.0 to 1.3 with a key log, RSA key exchange with the key; WebSocket",
        env!("CARGO_PKG_VERSION"),
        libpcap().unwrap_or_else(|| "of the system".to_owned()),
        formats.join(", "),
        drawings.join(", "),
    )
}

/// The version of the libpcap that this process runs with, by the name of the file. (The library has a function
/// that tells it; the crate through which we use libpcap has not.)
fn libpcap() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let name = maps.lines().filter_map(|line| line.rsplit('/').next()).find(|name| name.starts_with("libpcap."))?;
    let version = name.split(".so.").nth(1)?;
    Some(version.to_owned())
}

/// Whether the long version is asked for; only then is it put together.
pub(super) fn asks_for_version<'a>(args: impl IntoIterator<Item = &'a OsStr>) -> bool {
    args.into_iter().any(|arg| arg == "--version")
}
