//! `callflow live`: calls and findings as they happen.

mod clock;
mod evidence;
mod families;
mod faulty;
mod hep;
mod http;
mod interfaces;
mod metrics;
mod ops;
mod rights;
mod run;
mod tap;

pub(super) use clock::wall;

use super::args::{LiveArgs, ScreenArgs, Voice};
use super::log::{self, Level};
use super::pipeline::{self, Judge};
use super::teller::{Manner, Teller};
use super::{Status, Stop, follow, output, select};
use crate::analysis::Options;
use crate::base::{Error, limits};
use crate::capture::{self, CaptureFile, Filtered, Live, Rotating, Settings, Source};
use metrics::Counting;
use ops::{Again, Ops};
use rights::Needs;
use run::Run;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tap::Tap;

/// Runs the command. `again` gives its arguments when the configuration may have changed.
pub(super) fn live(args: &LiveArgs, screen: ScreenArgs, again: Again<'_>) -> Result<Status, Stop> {
    log::write_as(args.ops.log_format);
    let output = output::open(args.output.as_deref(), screen)?;
    if args.list_interfaces {
        return interfaces::list(args.format, output);
    }
    let stop_on = args.stop_on.iter().map(|name| select::rule_code(name)).collect::<Result<Vec<_>, _>>()?;
    let judge = Judge::new(&args.known)?;
    let options = Options { copies: true, ..pipeline::options(&args.known)? };
    let signals = |source| Error::Usage(format!("live: {source}"));
    let stop = follow::stop_flag().map_err(signals)?;
    let ops = Ops::new(args, again, &stop).map_err(signals)?;
    let metrics = args.ops.metrics.map(metrics::bind).transpose()?;
    let collector = hep::Plan::of(&args.hep)?;
    let mut source = match open(args, &stop, collector.as_ref()) {
        Err(error @ Error::Device { .. }) => {
            log::tell(Level::Error, "input-failed", &error, &[]);
            return Ok(Status::Unread);
        }
        source => source?,
    };
    let told = rights::give_up(&args.rights, &needs(args, collector.as_ref()))?;
    if args.known.voice == Voice::Verbose {
        for line in &told {
            log::tell(Level::Info, "rights", line, &[]);
        }
    }
    source.start();
    rights::give_up_rest();
    let taps = taps(args, &source, metrics, collector)?;
    let manner = Manner {
        format: args.format,
        only_faulty: false,
        path: args.output.as_deref(),
        stop_on,
        fail_on: args.fail_on,
        allow_empty: args.allow_empty,
    };
    let mut teller = Teller::new(manner, output, judge, &args.known.project);
    let run = || Run::new(args, source, options, taps, ops).run(&mut teller, &stop);
    match args.known.threads {
        None => run(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build()
            .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))?
            .in_place_scope(|_| run()),
    }
}

/// Whether packets come from a stream or a file, not from interfaces.
fn is_stream(args: &LiveArgs) -> bool {
    args.follow.is_some() || args.words.first().is_some_and(|word| word == "-")
}

/// What is reached after the rights were given up.
fn needs(args: &LiveArgs, collector: Option<&hep::Plan>) -> Needs {
    let reopen = interfaces_of(args).iter().any(|name| name != "any");
    let known = &args.known;
    let read_again = [&known.keylog, &known.passwords, &known.names].into_iter().flatten();
    let read_again = read_again.chain(&known.rsa_key).chain(&known.flow_file).chain(&known.project.file);
    Needs {
        read: args.follow.iter().cloned().collect(),
        read_again: read_again.cloned().collect(),
        write_again: args.output.iter().cloned().collect(),
        write: args.evidence.write.iter().cloned().collect(),
        connect: collector.and_then(hep::Plan::port).into_iter().collect(),
        look_up: reopen && !args.words.is_empty(),
        reopen,
        ..Needs::default()
    }
}

/// Those who listen beside the one who tells.
///
/// Rights were given up: what they open now and later stands in [`needs`].
fn taps(
    args: &LiveArgs,
    source: &Live,
    metrics: Option<TcpListener>,
    collector: Option<hep::Plan>,
) -> Result<Vec<Box<dyn Tap>>, Error> {
    let mut taps = Vec::new();
    taps.extend(evidence::tap(&args.evidence, args.follow.as_deref(), source)?);
    if let Some(listener) = metrics {
        taps.push(Box::new(Counting::serve(listener)?));
    }
    taps.extend(collector.map(hep::Plan::start));
    Ok(taps)
}

/// The interfaces to listen on: all of them, unless packets come from elsewhere.
fn interfaces_of(args: &LiveArgs) -> Vec<String> {
    if is_stream(args) {
        Vec::new()
    } else if args.interface.is_empty() && args.hep.hep_listen.is_empty() {
        vec!["any".to_owned()]
    } else {
        args.interface.clone()
    }
}

/// Opens what the arguments name: interfaces, standard input, a file that grows, a folder of them, or addresses that
/// agents send to. What goes to the collector stays out.
fn open(args: &LiveArgs, stop: &Arc<AtomicBool>, collector: Option<&hep::Plan>) -> Result<Live, Error> {
    let (is_stdin, words) = match args.words.split_first() {
        Some((first, rest)) if first == "-" => (true, rest),
        _ => (false, &args.words[..]),
    };
    let filter = words.join(" ");
    let filter = collector.map_or(filter.clone(), |collector| collector.filter(&filter));
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
        hep::listen(&args.hep, &mut live)?;
        live.read(move || {
            let file: Box<dyn Source> = match path.as_path() {
                path if path == Path::new("-") => Box::new(CaptureFile::read(Box::new(io::stdin()), path)?),
                path if path.is_dir() => Box::new(Rotating::open(path, stop)?),
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
    let mut names = interfaces_of(args);
    for name in &names {
        live.listen(name, &settings)?;
    }
    names.extend(hep::listen(&args.hep, &mut live)?);
    let fields = [("interfaces", names.clone().into())];
    let names = names.join(", ");
    log::tell(Level::Info, "listening", &format_args!("listening on {names}; Ctrl-C ends it"), &fields);
    Ok(live)
}
