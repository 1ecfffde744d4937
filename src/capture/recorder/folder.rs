//! The folder of recordings: names that sort by time, and a cap on what they take together.

use crate::base::{Error, Timestamp};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "callflow-";
const SUFFIX: &str = ".pcapng";
/// "20261123T031500.123Z-", with digits for `d`.
const TIME: &[u8] = b"ddddddddTdddddd.dddZ-";
/// Files of one name that there may be from earlier runs.
const TRIES: usize = 10_000;

/// The files of ours in a folder.
pub(super) struct Folder {
    path: PathBuf,
    cap: Option<u64>,
    /// Bytes of each that is not being written, oldest first.
    files: BTreeMap<String, u64>,
    total: u64,
}

impl Folder {
    /// Makes the folder if need be.
    pub(super) fn open(path: &Path, cap: Option<u64>) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let mut folder = Self { path: path.to_owned(), cap, files: BTreeMap::new(), total: 0 };
        folder.search().map_err(failed)?;
        Ok(folder)
    }

    /// Files of ours that are there; those of others do not count.
    fn search(&mut self) -> io::Result<()> {
        for entry in self.path.read_dir()? {
            let entry = entry?;
            // Not what a link leads to.
            let metadata = entry.metadata()?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_ours(name) && metadata.is_file()) {
                self.add(name.to_owned(), metadata.len());
            }
        }
        Ok(())
    }

    /// A file of ours that is complete.
    pub(super) fn add(&mut self, name: String, bytes: u64) {
        self.total += bytes;
        self.total -= self.files.insert(name, bytes).unwrap_or(0);
    }

    /// A new file whose first packet came at `time`, and its name.
    pub(super) fn create(&self, time: Timestamp, name: impl Fn(usize) -> String) -> io::Result<(String, File)> {
        let time = written(time);
        for number in 0..TRIES {
            let name = format!("{PREFIX}{time}-{}{SUFFIX}", name(number));
            match File::options().write(true).create_new(true).open(self.path.join(&name)) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes a file that is being written.
    pub(super) fn discard(&self, name: &str) {
        // Of no use to anybody, but no harm either.
        let _ = fs::remove_file(self.path.join(name));
    }

    /// Removes the oldest files until all that is left and `more` bytes are within the cap; how many were removed.
    pub(super) fn make_room(&mut self, more: u64) -> io::Result<u64> {
        let mut removed = 0;
        while self.cap.is_some_and(|cap| self.total + more > cap)
            && let Some((name, bytes)) = self.files.pop_first()
        {
            self.total -= bytes;
            match fs::remove_file(self.path.join(&name)) {
                Ok(()) => removed += 1,
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// A file with the folder, for people.
    pub(super) fn place(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// Time in UTC, to the millisecond.
fn written(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos()))
        .unwrap_or_default()
        .strftime("%Y%m%dT%H%M%S%.3fZ")
        .to_string()
}

/// Whether we gave a file this name.
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) else {
        return false;
    };
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    let Some((time, number)) = rest.as_bytes().split_at_checked(TIME.len()) else {
        return false;
    };
    time.iter().copied().zip(TIME).all(fits)
        && (number.starts_with(b"call-") || !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_are_told_from_those_of_others() {
        let one = format!("callflow-{}-0001.pcapng", written(Timestamp::from_nanos(1_795_403_700_123_456_789)));
        assert_eq!(one, "callflow-20261123T031500.123Z-0001.pcapng");
        assert!(one < format!("callflow-{}-0001.pcapng", written(Timestamp::from_nanos(1_795_403_700_124_000_000))));
        assert!(is_ours(&one) && is_ours("callflow-20261123T031500.123Z-call-17-A04.pcapng"));
        let others = [
            "callflow-.pcapng",
            "callflow-20261123T031500.123Z-.pcapng",
            "callflow-20261123T031500.123Z-mine.pcapng",
            "callflow-20261123T0315000123Z-0001.pcapng",
            "callflow-2026112xT031500.123Z-0001.pcapng",
            "callflow-20261123T031500.123Z-0001.pcapng.gz",
            "x-callflow-20261123T031500.123Z-0001.pcapng",
            "callflow-ä0261123T031500.123Z-0001.pcapng",
        ];
        assert!(others.iter().all(|name| !is_ours(name)));
    }
}
