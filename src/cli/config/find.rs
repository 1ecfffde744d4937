//! Which `callflow.toml` holds, and its text.

use crate::base::{Error, limits};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the file is called.
pub(super) const NAME: &str = "callflow.toml";

/// The file that holds for the current folder: the nearest one from there up to the root of the repository (the
/// folder with `.git`), or to the home folder. Outside of both only the current folder counts, so that nobody's
/// file in /tmp decides.
pub(super) fn discover() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let home = std::env::home_dir();
    let is_end = |folder: &Path| folder.join(".git").exists() || home.as_deref() == Some(folder);
    let reach = here.ancestors().position(is_end).unwrap_or(0);
    let found = here.ancestors().take(reach + 1).position(|folder| folder.join(NAME).symlink_metadata().is_ok())?;
    // As seen from here: no absolute path gets into what is told.
    let mut path: PathBuf = std::iter::repeat_n("..", found).collect();
    path.push(NAME);
    Some(path)
}

/// The text of a configuration file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let told = |why: &dyn std::fmt::Display| Error::Usage(format!("{}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| told(&error))?;
    file.take(limits::CONFIG_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| told(&error))?;
    if bytes.len() > limits::CONFIG_BYTES {
        return Err(told(&format_args!("larger than {} KiB: that is no configuration", limits::CONFIG_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| told(&"not UTF-8, as TOML has to be"))
}
