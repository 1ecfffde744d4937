//! `--write`: packets are kept as evidence.

use super::faulty::{Faulty, wanted};
use super::tap::{Pulse, Tap};
use crate::base::{Batch, Error};
use crate::capture::{Live, Plan, Recorder, Tally};
use crate::cli::args::EvidenceArgs;
use crate::cli::say;
use crate::report::count;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Who keeps what the arguments ask for. `input`: the file or folder that is followed.
pub(super) fn tap(args: &EvidenceArgs, input: Option<&Path>, source: &Live) -> Result<Option<Box<dyn Tap>>, Error> {
    let Some(folder) = &args.write else {
        return Ok(None);
    };
    let size = args.rotate_size as u64;
    let cap = args.disk_cap.map(|cap| cap as u64);
    let plan = Plan {
        folder: folder.clone(),
        size: cap.map_or(size, |cap| size.min(cap / 2)),
        time: args.rotate_time.map(|seconds| Duration::from_secs(seconds.into())),
        cap,
        application: concat!("callflow ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let wanted = args.write_on.iter().map(|name| wanted(name)).collect::<Result<Vec<_>, _>>()?;
    // A limit on the size of files is an error like a full disk, and not the end.
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
        .map_err(|source| Error::Io { path: folder.clone(), source })?;
    let disk = Disk::new(Recorder::start(plan, source.points())?);
    let is_input = |input: &Path| matches!((input.canonicalize(), folder.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if input.is_some_and(is_input) {
        return Err(Error::Usage(format!("--write {}: that is what is followed", folder.display())));
    }
    Ok(Some(if wanted.is_empty() {
        Box::new(Everything(disk))
    } else {
        Box::new(Faulty::new(disk, wanted, args.ring_memory))
    }))
}

/// A recorder as those who keep packets use it: a disk that failed is tried again now and then.
pub(super) struct Disk {
    recorder: Option<Recorder>,
    looks: u32,
}

impl Disk {
    fn new(recorder: Recorder) -> Self {
        Self { recorder: Some(recorder), looks: 0 }
    }

    /// Until its end.
    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// There was a look: every second at most.
    pub(super) fn at_look(&mut self) {
        /// Looks between tries.
        const PATIENCE: u32 = 3;
        self.looks += 1;
        if self.looks >= PATIENCE {
            self.looks = 0;
            self.recorder().into_iter().for_each(Recorder::retry);
        }
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        self.recorder().map(Recorder::troubles).unwrap_or_default()
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.recorder().and_then(Recorder::fault)
    }

    /// Writes what waits, says what went wrong at last, and ends.
    pub(super) fn finish(&mut self) -> Tally {
        let (tally, troubles) = self.recorder.take().map(Recorder::finish).unwrap_or_default();
        for trouble in &troubles {
            say(trouble);
        }
        tally
    }
}

/// Keeps all packets.
struct Everything(Disk);

impl Tap for Everything {
    fn packets(&mut self, batch: &Arc<Batch>) {
        if let Some(recorder) = self.0.recorder() {
            recorder.packets(batch);
        }
    }

    fn pulse(&mut self, _pulse: &Pulse) {
        self.0.at_look();
    }

    fn troubles(&mut self) -> Vec<String> {
        self.0.troubles()
    }

    fn fault(&self) -> Option<String> {
        self.0.fault()
    }

    fn end(&mut self) -> bool {
        let Tally { written, lost, files, .. } = self.0.finish();
        if lost > 0 {
            let (packets, files) = (count(lost as usize, "packet"), count(files as usize, "file"));
            say(&format_args!("{packets} not recorded; {written} are, in {files}"));
        }
        lost == 0
    }
}
