//! `check --max-memory`: a capture that is larger than memory, read piece by piece. Calls are told as they end, and leave.

use super::args::{CheckArgs, LiveFormat, ScreenArgs};
use super::pipeline::{self, Intake, Judge};
use super::rolling::Rolling;
use super::teller::{Manner, Teller};
use super::{Status, Stop, check, output};
use crate::analysis::{Analyzer, Options};
use crate::base::{Batch, Error, Timestamp};
use crate::capture::{self, Source};
use crate::story::{self, Watch};
use indicatif::ProgressBar;
use std::time::Duration;

/// Of the room, the part that fills before calls are looked at: what is over leaves early enough that none has to be given up,
/// and late enough that most have come to their end.
const FILL: usize = 2;
/// Of what is free after a look, the part that fills before the next.
const STEP: usize = 4;
/// Of the room, what comes in any case between looks: each costs as much as the calls that changed.
const LEAST: usize = 16;
/// Bytes that a packet with a message takes, more or less: between looks comes no more than the least there is room for.
const PACKET: usize = 2 << 10;
/// Packets that are later than nearly all others of their batch by so much have a wrong time, or those that show it to be right
/// are still to come.
const LEAP: Duration = Duration::from_secs(10);
/// Of a batch, the part that may have wrong times.
const WRONG: usize = 100;

/// Runs the command within `max_memory` bytes.
pub(super) fn check(args: &CheckArgs, screen: ScreenArgs, max_memory: usize) -> Result<Status, Stop> {
    let format = format(args)?;
    let (input, gate, known) = (&args.input, &args.gate, &args.input.known);
    pipeline::use_threads(known.threads)?;
    let manner = Manner {
        format,
        only_faulty: true,
        path: args.output.output.as_deref(),
        stop_on: Vec::new(),
        fail_on: gate.fail_on,
        allow_empty: true,
    };
    let output = output::open(args.output.output.as_deref(), screen)?;
    let options = Options { copies: true, patience: story::OVER, ..pipeline::options(known)? };
    let rolling = Rolling::new(options, Watch::telling_once(), max_memory);
    let (look_at, at_once) = (rolling.room() / FILL, rolling.room() / LEAST / PACKET);
    let teller = Teller::new(manner, output, Judge::new(known)?, &known.project);
    let mut stream = Stream { rolling, teller, look_at, now: Timestamp::MIN };
    let (mut source, mut troubles) = pipeline::opened_source(input, capture::open_to_read(&input.files, at_once))?;
    if known.project.expectations_of(source.captures()).next().is_some() {
        return Err(needs_all("an [[expect]] of callflow.toml").into());
    }
    let progress = pipeline::progress(&input.files, known.voice);
    troubles.extend(pipeline::feed(source.as_mut(), &mut stream, &progress)?);
    let Stream { mut rolling, mut teller, .. } = stream;
    rolling.end();
    teller.name(source.names());
    let (mut captures, mut anomalies) = (Vec::new(), Some(source.take_anomalies()));
    let story = loop {
        let (story, _, is_all) = rolling.last_look(Timestamp::MIN, &mut teller, |analysis, is_all| {
            if let Some(anomalies) = anomalies.take_if(|_| is_all) {
                analysis.anomalies.merge(anomalies);
            }
            captures = pipeline::add_what_source_knows(analysis, source.as_ref());
        })?;
        if is_all {
            break story;
        }
    };
    let calls = rolling.watch.calls();
    teller.end(&captures, &story.analysis, calls)?;
    let unread = pipeline::is_unread(input, &captures, &troubles);
    let is_empty = calls == 0 && !gate.allow_empty;
    let missing = check::mention_what_is_not_there(&story.analysis.stats, is_empty, unread);
    Ok(teller.status().and(missing).and(check::enough(gate, calls)))
}

/// The format, if nothing is asked for that needs all calls at once.
fn format(args: &CheckArgs) -> Result<LiveFormat, Error> {
    let CheckArgs { input, select, output, reports, gate, max_memory: _ } = args;
    let whole = [
        ("--each", input.each),
        ("--follow", input.follow),
        ("--report", !reports.report.is_empty()),
        ("--expect", gate.expect.is_some()),
        ("--baseline", gate.baseline.is_some()),
        ("--write-baseline", gate.write_baseline.is_some()),
    ];
    let asked = whole.into_iter().find_map(|(name, is_given)| is_given.then_some(name));
    if let Some(name) = asked.or_else(|| select.given()) {
        return Err(needs_all(name));
    }
    match output.format.as_str() {
        "text" => Ok(LiveFormat::Text),
        "ndjson" => Ok(LiveFormat::Ndjson),
        other => Err(needs_all(&format!("--format {other}"))),
    }
}

fn needs_all(what: &str) -> Error {
    Error::Usage(format!(
        "{what} needs the whole capture at once: not with --max-memory (--bpf narrows what is read, --format ndjson tells all)"
    ))
}

/// What time it is for the packets after a batch: that of the latest one. But a wrong time must not end all calls.
fn time_after(batch: &Batch) -> Option<Timestamp> {
    let mut times: Vec<Timestamp> = batch.packets.iter().map(|packet| packet.time).collect();
    let latest = times.iter().max().copied()?;
    let wrong = times.len().div_ceil(WRONG);
    let at = (times.len() - 1).saturating_sub(wrong);
    let (_, nearly, _) = times.select_nth_unstable(at);
    Some(if latest.since(*nearly) > LEAP { *nearly } else { latest })
}

/// Calls that are looked at when they fill their room.
struct Stream<'a> {
    rolling: Rolling,
    teller: Teller<'a>,
    /// Bytes held at which to look.
    look_at: usize,
    /// What time it is for the packets.
    now: Timestamp,
}

impl Intake for Stream<'_> {
    fn analyzer(&mut self) -> &mut Analyzer {
        &mut self.rolling.analyzer
    }

    fn taken(&mut self, batch: &Batch, source: &dyn Source, progress: &ProgressBar) -> Result<(), Stop> {
        self.now = self.now.max(time_after(batch).unwrap_or(self.now));
        if self.rolling.analyzer.held() < self.look_at {
            return Ok(());
        }
        self.teller.name(source.names());
        loop {
            let before = self.rolling.analyzer.held();
            progress.suspend(|| self.rolling.look(self.now, &mut self.teller))?;
            let held = self.rolling.analyzer.held();
            let room = self.rolling.room();
            let free = room.saturating_sub(held);
            self.look_at = (room / FILL).max(held + (free / STEP).max(room / LEAST));
            if !self.rolling.analyzer.is_behind(self.now) || held >= before {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LinkType, PacketMeta};

    fn batch(seconds: impl Iterator<Item = u64>) -> Batch {
        let packet = |second| PacketMeta {
            time: at(second),
            frame: 0,
            interface: 0,
            buffer: 0,
            offset: 0,
            captured: 0,
            original: 0,
            link: LinkType(1),
        };
        Batch { packets: seconds.map(packet).collect(), ..Batch::default() }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(second))
    }

    #[test]
    fn it_is_as_late_as_the_latest_packet_unless_its_time_is_wrong() {
        assert_eq!(time_after(&batch(std::iter::empty())), None);
        assert_eq!(time_after(&batch([7].into_iter())), Some(at(7)));
        assert_eq!(time_after(&batch([7, 3600].into_iter())), Some(at(7)));
        assert_eq!(time_after(&batch(0..1000)), Some(at(999)));
        assert_eq!(time_after(&batch((0..1000).chain([90_000]))), Some(at(989)));
        assert_eq!(time_after(&batch((0..1000).chain([90_000; 20]))), Some(at(90_000)));
    }
}
