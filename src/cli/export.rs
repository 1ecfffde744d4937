//! `callflow export`: selected calls as a capture of their own.

use super::args::{ExportArgs, InputArgs};
use super::pipeline::Outcome;
use super::{Status, Stop, pipeline, say, select, tables};
use crate::base::Error;
use crate::capture::{self, Container, Writer};
use crate::export::{Belongs, Copier, Marked, Marker, Namer, Options, Written};
use crate::flow::Verdict;
use crate::report::{Report, count, escape};
use crate::rules::Finding;
use flate2::Compression;
use flate2::write::GzEncoder;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Bytes of a key that cannot be tried out.
const KEY: usize = 16;

/// Runs the command.
pub(super) fn export(args: &ExportArgs) -> Result<Status, Stop> {
    // clap sees to it that one of the two is there.
    let (None, Some(output)) = (&args.parquet, &args.output) else {
        return tables::export(args);
    };
    pipeline::refuse_each(&args.input, "export")?;
    let container = container(output)?;
    refuse_input(&args.input, output)?;
    let namer = if args.anonymize { Some(Namer::new(&key(args.key.as_deref())?)) } else { None };
    let outcome = pipeline::run(&args.input, &args.input.files)?;
    let selection = select::select(&args.select, &args.input, &outcome)?;
    let report = Report::new(&outcome.captures, &outcome.analysis, &outcome.flows, &outcome.findings, selection);
    if report.call_count() == 0 {
        let sip = outcome.analysis.stats.messages > 0;
        say(&if sip { "no call fits the selection: nothing written" } else { "no SIP in the input: nothing written" });
        return Ok(if outcome.unread { Status::Unread } else { Status::Nothing });
    }
    let options = Options { media: !args.no_media, decrypted: args.decrypted, anonymous: args.anonymize };
    let evidence =
        report.findings().filter(|finding| finding.call.is_some()).flat_map(|finding| finding.frames.clone());
    let belongs = Belongs::new(&outcome.analysis, report.calls(), evidence, options);
    let mut marker = Marker::new(belongs, namer);
    pipeline::again(&args.input, |batch, source| {
        marker.add_keys(&source.key_log());
        marker.push(batch);
        Ok(())
    })?;
    let marked = marker.finish();
    refuse_links(output, container, &marked)?;
    let comments = comments(&report, &outcome, args.anonymize);
    let written = write(&args.input, output, container, marked, comments)?;
    tell(&written, report.call_count(), output);
    Ok(if outcome.unread { Status::Unread } else { Status::Clean })
}

fn write(
    input: &InputArgs,
    output: &Path,
    container: Container,
    marked: Marked,
    comments: HashMap<u32, Vec<String>, RandomState>,
) -> Result<Written, Stop> {
    let application = concat!("callflow ", env!("CARGO_PKG_VERSION"));
    let mut copier = Copier::new(Writer::new(open(output)?, container, application)?, marked, comments);
    pipeline::again(input, |batch, source| {
        copier.push(batch, source).map_err(|error| match error.kind() {
            // Only what could not be renamed comes as a surprise.
            io::ErrorKind::InvalidInput => Stop::Usage(one_link_type(output)),
            _ => Stop::Output(error),
        })
    })?;
    Ok(copier.finish()?)
}

/// The format that the name asks for.
fn container(output: &Path) -> Result<Container, Error> {
    let name = output.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    match plain.rsplit_once('.').map(|(_, extension)| extension) {
        Some("pcapng") => Ok(Container::PcapNg),
        Some("pcap") => Ok(Container::Pcap),
        None if name == "-" => Ok(Container::PcapNg),
        _ => Err(Error::Usage(format!(
            "--output {}: the name must end in .pcapng or .pcap, or in .gz behind that",
            output.display()
        ))),
    }
}

fn open(output: &Path) -> io::Result<Box<dyn Write>> {
    if output == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", output.display()));
    let file = BufWriter::with_capacity(1 << 18, File::create(output).map_err(named)?);
    let compressed = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if compressed { Box::new(Gzip(GzEncoder::new(file, Compression::default()))) } else { Box::new(file) })
}

/// gzip, whose end is written when the writer is done with it.
struct Gzip<W: Write>(GzEncoder<W>);

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// The capture is flushed once, at its end.
    fn flush(&mut self) -> io::Result<()> {
        self.0.try_finish()?;
        self.0.get_mut().flush()
    }
}

/// The input is read three times, and must not be what is written.
fn refuse_input(input: &InputArgs, output: &Path) -> Result<(), Error> {
    let refused = |why: String| Err(Error::Usage(why));
    if input.follow {
        return refused("export reads its input three times: not with --follow".to_owned());
    }
    let (files, _) = capture::expand(&input.files);
    let written = output.canonicalize().ok();
    for file in files {
        let is_stream = file == Path::new("-") || file.metadata().is_ok_and(|metadata| !metadata.is_file());
        if is_stream {
            return refused(format!(
                "export reads its input three times, so {} must be a file: write it to one first",
                if file == Path::new("-") { "standard input".into() } else { file.display().to_string() }
            ));
        }
        if written.is_some() && file.canonicalize().ok() == written {
            return refused(format!("--output {}: that is the input", output.display()));
        }
    }
    Ok(())
}

fn refuse_links(output: &Path, container: Container, marked: &Marked) -> Result<(), Error> {
    let many = marked.links().len() > 1;
    if container == Container::Pcap && many { Err(one_link_type(output)) } else { Ok(()) }
}

fn one_link_type(output: &Path) -> Error {
    Error::Usage(format!(
        "--output {}: a .pcap has packets of one link type, and these have several: write a .pcapng",
        output.display()
    ))
}

/// The key of the names: given, or one that nobody will know.
fn key(given: Option<&str>) -> Result<Vec<u8>, Error> {
    let Some(given) = given else {
        let mut key = vec![0; 2 * KEY];
        getrandom::fill(&mut key)
            .map_err(|error| Error::Usage(format!("no random key: {error}; give one with --key")))?;
        return Ok(key);
    };
    if given.len() >= 2 * KEY && given.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(given.to_ascii_lowercase().into_bytes());
    }
    // The argument may be a key that was mistyped: it is not repeated.
    let key = std::fs::read(given).map_err(|error| {
        Error::Usage(format!("--key is neither {} hexadecimal digits nor a file: {error}", 2 * KEY))
    })?;
    let key = key.trim_ascii().to_vec();
    if key.len() < KEY {
        return Err(Error::Usage(format!("--key: the file has {}; a key has {KEY} or more", count(key.len(), "byte"))));
    }
    let is_hex = key.len() >= 2 * KEY && key.iter().all(u8::is_ascii_hexdigit);
    Ok(if is_hex { key.to_ascii_lowercase() } else { key })
}

/// What stood on the packets, and what was found. Of an anonymised capture only the names of the rules: everything
/// else names somebody.
fn comments(report: &Report<'_>, outcome: &Outcome, anonymous: bool) -> HashMap<u32, Vec<String>, RandomState> {
    let mut comments: HashMap<u32, Vec<String>, RandomState> = HashMap::default();
    if !anonymous {
        for (frame, text) in &outcome.analysis.remarks.comments {
            comments.entry(*frame).or_default().push(text.clone());
        }
    }
    for finding in report.findings().filter(|finding| finding.call.is_some()) {
        let text = comment(finding, anonymous);
        for frame in &finding.frames {
            let here = comments.entry(*frame).or_default();
            if !here.contains(&text) {
                here.push(text.clone());
            }
        }
    }
    comments
}

/// What is written on the packets of a finding.
pub(super) fn comment(finding: &Finding, anonymous: bool) -> String {
    let open = if finding.verdict == Verdict::Open { " (open)" } else { "" };
    let name = format!("callflow {} {}{open}", finding.rule.code, finding.rule.name);
    if anonymous { name } else { format!("{name}: {}", escape::text(&finding.summary)) }
}

fn tell(written: &Written, calls: usize, output: &Path) {
    let mut parts = vec![count(written.frames.iter().filter(|frame| **frame > 0).count(), "frame")];
    if written.media > 0 {
        parts.push(format!("{} of media", written.media));
    }
    if written.messages > 0 {
        parts.push(format!("{} without packets", count(written.messages as usize, "message")));
    }
    let left = written.left_out;
    if left > 0 {
        parts.push(format!("{} that could not be renamed left out", count(left as usize, "frame")));
    }
    let place = if output == Path::new("-") { "standard output".into() } else { output.display().to_string() };
    say(&format_args!("{} to {place}: {}", count(calls, "call"), parts.join(", ")));
}
