//! `callflow export --parquet`: tables of calls, messages and findings for databases.

use super::args::ExportArgs;
use super::{Status, Stop, pipeline, say, select};
use crate::report::{Report, count};

/// Writes the tables of each capture.
pub(super) fn export(args: &ExportArgs) -> Result<Status, Stop> {
    let Some(folder) = &args.parquet else {
        return Err(crate::base::Error::Usage("export needs --output or --parquet".to_owned()).into());
    };
    let mut status = Status::Clean;
    let (mut calls, mut files) = (0, 0);
    for input in pipeline::groups(&args.input) {
        let outcome = pipeline::run(&args.input, &input)?;
        let selection = select::select(&args.select, &args.input, &outcome)?;
        let report = Report::new(&outcome.captures, &outcome.analysis, &outcome.flows, &outcome.findings, selection);
        // A capture without calls may have findings of its own.
        files += write(&report, folder)?;
        calls += report.call_count();
        if outcome.unread {
            status = status.and(Status::Unread);
        }
    }
    if files == 0 {
        say(&"no call in the input fits: nothing written");
    } else {
        say(&format_args!("{} in {} below {}", count(calls, "call"), count(files, "file"), folder.display()));
    }
    Ok(if calls == 0 { status.and(Status::Nothing) } else { status })
}

#[cfg(feature = "parquet")]
fn write(report: &Report<'_>, folder: &std::path::Path) -> Result<usize, Stop> {
    Ok(crate::report::parquet::write(report, folder)?.len())
}

#[cfg(not(feature = "parquet"))]
fn write(_report: &Report<'_>, _folder: &std::path::Path) -> Result<usize, Stop> {
    Err(crate::base::Error::Usage("this callflow was built without the feature parquet".to_owned()).into())
}
