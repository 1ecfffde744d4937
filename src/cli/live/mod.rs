//! `callflow live`: calls and findings as they happen.

mod clock;
mod families;
mod http;
mod metrics;
mod ops;
mod run;
mod show;
mod tap;

pub(super) use clock::wall;

use super::args::{LiveArgs, ScreenArgs};
use super::log::{self, Level};
use super::pipeline::{self, Judge};
use super::{Status, Stop, follow, output, select};
use crate::analysis::Options;
use crate::base::{Error, limits};
use crate::capture::{self, CaptureFile, Filtered, Live, Settings, Source};
use crate::report;
use metrics::Counting;
use ops::{Again, Ops};
use run::Run;
use show::Show;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tap::Tap;

/// Runs the command. `again` gives its arguments when the configuration may have changed.
pub(super) fn live(args: &LiveArgs, screen: ScreenArgs, again: Again<'_>) -> Result<Status, Stop> {
    log::write_as(args.ops.log_format);
    let mut output = output::open(args.output.as_deref(), screen)?;
    if args.list_interfaces {
        for (name, about) in capture::interfaces()? {
            writeln!(output.out, "{}", report::escape::text(format!("{name}  {about}").trim_end()))?;
        }
        output.out.flush()?;
        return Ok(Status::Clean);
    }
    let stop_on = args.stop_on.iter().map(|name| select::rule_code(name)).collect::<Result<Vec<_>, _>>()?;
    let judge = Judge::new(&args.known)?;
    let options = Options { copies: true, ..pipeline::options(&args.known)? };
    let signals = |source| Error::Usage(format!("live: {source}"));
    let stop = follow::stop_flag().map_err(signals)?;
    let ops = Ops::new(args, again, &stop).map_err(signals)?;
    let metrics = args.ops.metrics.map(metrics::bind).transpose()?;
    let source = match open(args, &stop) {
        Err(error @ Error::Device { .. }) => {
            log::tell(Level::Error, "input-failed", &error, &[]);
            return Ok(Status::Unread);
        }
        source => source?,
    };
    let taps = taps(metrics)?;
    let mut show = Show::new(args, output, judge, stop_on);
    let run = || Run::new(args, source, options, taps, ops).run(&mut show, &stop);
    match args.known.threads {
        None => run(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build()
            .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))?
            .in_place_scope(|_| run()),
    }
}

/// Those who listen beside the one who tells.
fn taps(metrics: Option<TcpListener>) -> Result<Vec<Box<dyn Tap>>, Error> {
    let mut taps: Vec<Box<dyn Tap>> = Vec::new();
    if let Some(listener) = metrics {
        taps.push(Box::new(Counting::serve(listener)?));
    }
    Ok(taps)
}

/// Opens what the arguments name: interfaces, standard input, or a file that grows.
fn open(args: &LiveArgs, stop: &Arc<AtomicBool>) -> Result<Live, Error> {
    let (is_stdin, words) = match args.words.split_first() {
        Some((first, rest)) if first == "-" => (true, rest),
        _ => (false, &args.words[..]),
    };
    let filter = words.join(" ");
    if is_stdin || args.follow.is_some() {
        let path = args.follow.clone().unwrap_or_else(|| PathBuf::from("-"));
        if is_stdin && args.follow.is_some() {
            return Err(Error::Usage("live: either - or --follow".to_owned()));
        }
        if !filter.is_empty() {
            // What libpcap does not accept is told before the first packet.
            Filtered::new(Box::new(capture::Merged::default()), &filter)?;
        }
        let stop = Arc::clone(stop);
        let mut live = Live::new(limits::WAITING_OF_STREAM);
        live.read(move || {
            let file: Box<dyn Source> = match path.as_path() {
                path if path == Path::new("-") => Box::new(CaptureFile::read(Box::new(io::stdin()), path)?),
                path => Box::new(CaptureFile::follow(path, stop)?),
            };
            Ok(if filter.is_empty() { file } else { Box::new(Filtered::new(file, &filter)?) })
        });
        return Ok(live);
    }
    let settings = Settings {
        snaplen: args.snaplen,
        ring: args.ring_size,
        promiscuous: !args.no_promisc,
        immediate: args.immediate,
        filter,
    };
    let mut live = Live::new(limits::WAITING_BATCHES);
    for name in &args.interface {
        live.listen(name, &settings)?;
    }
    let names = args.interface.join(", ");
    let fields = [("interfaces", args.interface.clone().into())];
    log::tell(Level::Info, "listening", &format_args!("listening on {names}; Ctrl-C ends it"), &fields);
    Ok(live)
}
