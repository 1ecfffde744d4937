//! `callflow ladder`: drawings of calls, in one file or a folder of them.

use super::args::{LadderArgs, ScreenArgs};
use super::list::{for_each, has_calls};
use super::output::{self, Output};
use super::{Status, Stop, pipeline};
use crate::base::Error;
use crate::report::draw::{DRAWINGS, Drawing, Listed, Sheet, index_name, write_index};
use crate::report::{Report, Style, count};
use std::io::{self, Write};
use std::path::Path;

/// Runs `callflow ladder`.
pub(super) fn ladder(args: &LadderArgs, screen: ScreenArgs) -> Result<Status, Stop> {
    let chosen = DRAWINGS.iter().find(|drawing| drawing.name() == args.output.format);
    let drawing = *chosen.ok_or_else(|| Error::Usage(format!("no drawing is called {}", args.output.format)))?;
    let path = args.output.output.as_deref();
    let groups = pipeline::groups(&args.input).len();
    match path.filter(|path| is_folder(path, args.all)) {
        Some(folder) => into_folder(args, drawing, folder, groups, screen),
        None => into_file(args, drawing, path, groups, screen),
    }
}

/// A folder is what is one, ends like one, or shall hold every call and has no ending of a file.
fn is_folder(path: &Path, all: bool) -> bool {
    let ends_so = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    path.is_dir() || ends_so || (all && path.extension().is_none())
}

fn into_file(
    args: &LadderArgs,
    drawing: &dyn Drawing,
    path: Option<&Path>,
    groups: usize,
    screen: ScreenArgs,
) -> Result<Status, Stop> {
    let mut left = groups;
    let mut drawn = 0;
    for_each(&args.input, &args.select, path, screen, |report, output| {
        choose(report, args.all)?;
        if !drawing.joins() && drawn + report.call_count() > 1 {
            let told = format!("{} holds one call a file: give a folder, -o DIR/", drawing.name());
            return Err(Error::Usage(told).into());
        }
        if left == groups {
            drawing.begin("Ladders", &mut output.out)?;
        }
        for view in report.calls() {
            let sheet = Sheet::new(report, view, output.style);
            if drawn > 0 {
                output.out.write_all(drawing.between().as_bytes())?;
            }
            drawn += 1;
            drawing.draw(&sheet, 0, &mut output.out)?;
            more_pages(drawing, &sheet, path, screen)?;
        }
        left -= 1;
        if left == 0 {
            drawing.end(&mut output.out)?;
        }
        Ok(has_calls(report))
    })
}

/// What does not fit one file goes into others beside it.
fn more_pages(drawing: &dyn Drawing, sheet: &Sheet<'_>, path: Option<&Path>, screen: ScreenArgs) -> Result<(), Stop> {
    let pages = drawing.pages(&sheet.ladder);
    for page in 1..pages {
        let Some(path) = path else {
            let told = format!("a ladder as long as this takes {pages} files: say where with -o FILE");
            return Err(Error::Usage(told).into());
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let ending = path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()));
        write_page(drawing, sheet, page, &path.with_file_name(format!("{stem}-{}{ending}", page + 1)), screen)?;
    }
    Ok(())
}

fn into_folder(
    args: &LadderArgs,
    drawing: &dyn Drawing,
    folder: &Path,
    groups: usize,
    screen: ScreenArgs,
) -> Result<Status, Stop> {
    std::fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    let mut listed = Vec::new();
    let mut group = 0;
    let status = for_each(&args.input, &args.select, None, screen, |report, output| {
        choose(report, args.all)?;
        group += 1;
        let prefix = if groups > 1 { format!("capture-{group}-") } else { String::new() };
        for view in report.calls() {
            let style = Style { colour: false, ..output.style };
            let sheet = Sheet::new(report, view, style);
            let mut files = Vec::new();
            for page in 0..drawing.pages(&sheet.ladder) {
                let part = if page > 0 { format!("-{}", page + 1) } else { String::new() };
                let file = format!("{prefix}call-{:04}{part}.{}", sheet.ladder.call, drawing.extension());
                write_page(drawing, &sheet, page, &folder.join(&file), screen)?;
                files.push(file);
            }
            listed.push(Listed::new(&sheet.ladder, files));
        }
        Ok(has_calls(report))
    })?;
    let mut index = output::open(Some(&folder.join(index_name(drawing))), screen)?;
    write_index(drawing, &listed, &mut index.out)?;
    index.out.flush()?;
    Ok(status)
}

fn write_page(
    drawing: &dyn Drawing,
    sheet: &Sheet<'_>,
    page: usize,
    path: &Path,
    screen: ScreenArgs,
) -> Result<(), Stop> {
    let Output { mut out, .. } = output::open(Some(path), screen)?;
    drawing.begin(&format!("Call {}", sheet.ladder.call), &mut out)?;
    drawing.draw(sheet, page, &mut out)?;
    drawing.end(&mut out)?;
    Ok(out.flush()?)
}

/// One call, unless all or certain ones are asked for.
fn choose(report: &Report<'_>, all: bool) -> Result<(), Stop> {
    if all || report.is_partial() || report.call_count() <= 1 {
        return Ok(());
    }
    let found = count(report.call_count(), "call");
    Err(Error::Usage(format!("{found}: choose one with --call N (`callflow calls` lists them), or --all")).into())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
