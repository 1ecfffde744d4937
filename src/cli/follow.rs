//! `--follow`: a file that another program is still writing.

use super::args::Voice;
use super::say;
use crate::base::Error;
use crate::capture::{CaptureFile, Merged, Opened};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Opens the one file of `files`, which ends when Ctrl-C or SIGTERM comes.
pub(super) fn open(files: &[PathBuf], voice: Voice) -> Result<Opened, Error> {
    let refused = |why: String| Err(Error::Usage(format!("--follow {why}")));
    let [path] = files else {
        return refused(format!("reads one file, not {}", files.len()));
    };
    if path == Path::new("-") {
        return refused("needs a file; standard input is read to its end without it".to_owned());
    }
    if path.is_dir() {
        return refused(format!("needs a file, and {} is a folder", path.display()));
    }
    let stop = stop_flag().map_err(|source| Error::Usage(format!("--follow: {source}")))?;
    if voice != Voice::Quiet {
        say(&format_args!("following {}; Ctrl-C ends it and gives the report", path.display()));
    }
    Ok(match CaptureFile::follow(path, stop) {
        Ok(file) => Opened { source: Box::new(file), errors: Vec::new() },
        Err(error) => Opened { source: Box::new(Merged::default()), errors: vec![error] },
    })
}

/// A flag that the first Ctrl-C or SIGTERM sets; a Ctrl-C after it ends the program as always. SIGTERM does not: timeout(1)
/// sends it twice in a row, to its child and to the group of both.
pub(super) fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    /// What shells give for a program that was interrupted.
    const INTERRUPTED: i32 = 130;
    let stop = Arc::new(AtomicBool::new(false));
    // In this order: the one that sets the flag must not end the program.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&stop))?;
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
