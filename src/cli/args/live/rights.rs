//! What `callflow live` is told of its rights.

use clap::Args;

/// Whose rights `live` has once everything is open.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rights")]
pub(in crate::cli) struct RightsArgs {
    /// When started as root, become this user as soon as everything is open (default nobody); root stays root.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) user: Option<String>,
    /// Do without the sandbox of the kernel: for the trouble that it may give.
    #[arg(long)]
    pub(in crate::cli) no_sandbox: bool,
}
