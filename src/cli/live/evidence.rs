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
    let recorder = Recorder::start(plan, source.points())?;
    let is_input = |input: &Path| matches!((input.canonicalize(), folder.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if input.is_some_and(is_input) {
        return Err(Error::Usage(format!("--write {}: that is what is followed", folder.display())));
    }
    Ok(Some(if wanted.is_empty() {
        Box::new(Everything { retry: Retry::default(), recorder: Some(recorder) })
    } else {
        Box::new(Faulty::new(recorder, wanted, args.ring_memory))
    }))
}

/// Has a disk that failed tried again now and then.
#[derive(Default)]
pub(super) struct Retry {
    looks: u32,
}

impl Retry {
    /// There was a look: every second at most.
    pub(super) fn at_look(&mut self, recorder: &Recorder) {
        /// Looks between tries.
        const PATIENCE: u32 = 3;
        self.looks += 1;
        if self.looks >= PATIENCE {
            self.looks = 0;
            recorder.retry();
        }
    }
}

/// Keeps all packets.
struct Everything {
    retry: Retry,
    recorder: Option<Recorder>,
}

impl Tap for Everything {
    fn packets(&mut self, batch: &Arc<Batch>) {
        if let Some(recorder) = &self.recorder {
            recorder.packets(batch);
        }
    }

    fn pulse(&mut self, _pulse: &Pulse) {
        if let Some(recorder) = &self.recorder {
            self.retry.at_look(recorder);
        }
    }

    fn troubles(&mut self) -> Vec<String> {
        self.recorder.as_ref().map(Recorder::troubles).unwrap_or_default()
    }

    fn fault(&self) -> Option<String> {
        self.recorder.as_ref().and_then(Recorder::fault)
    }

    fn end(&mut self) -> bool {
        let Some((Tally { written, lost, files, .. }, troubles)) = self.recorder.take().map(Recorder::finish) else {
            return true;
        };
        for trouble in &troubles {
            say(trouble);
        }
        if lost > 0 {
            let (packets, files) = (count(lost as usize, "packet"), count(files as usize, "file"));
            say(&format_args!("{packets} not recorded; {written} are, in {files}"));
        }
        lost == 0
    }
}
