//! From what the user names to files: folders are searched for captures.

use super::file::CaptureFile;
use crate::base::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Files that `paths` stand for, in the order given and sorted within folders, and what could not
/// be looked at.
///
/// A folder is searched to any depth for files that start like a capture; others in it are ignored.
/// Links to folders are not followed, so that the search ends.
pub fn expand(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Error>) {
    let mut found = (Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            search(path, &mut found);
        } else {
            found.0.push(path.clone());
        }
    }
    found
}

fn search(folder: &Path, (files, errors): &mut (Vec<PathBuf>, Vec<Error>)) {
    let (files_before, errors_before) = (files.len(), errors.len());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if let Err(source) = list(&folder, &mut folders, files, errors) {
            errors.push(Error::Io { path: folder, source });
        }
    }
    files[files_before..].sort_unstable();
    if files.len() == files_before && errors.len() == errors_before {
        errors.push(Error::NoCaptures { path: folder.to_owned() });
    }
}

fn list(
    folder: &Path,
    folders: &mut Vec<PathBuf>,
    files: &mut Vec<PathBuf>,
    errors: &mut Vec<Error>,
) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.is_file() {
            match CaptureFile::open(&path) {
                Ok(_) => files.push(path),
                Err(Error::NotACapture { .. }) => {}
                Err(error) => errors.push(error),
            }
        }
    }
    Ok(())
}
