//! The `callflow` program; all of it is in [`callflow::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    callflow::cli::run(std::env::args_os())
}
