//! Comma-separated values (quoted as in RFC 4180, lines ending as on Unix) of calls, messages or findings.

use super::rows::{Table, Value};
use super::{Format, Report, Style, escape, time};
use std::borrow::Cow;
use std::io::{self, Write};

/// One line for each finding. `callflow calls` writes calls, `callflow show` messages.
#[derive(Debug)]
pub struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn help(&self) -> &'static str {
        "a line for each finding (`calls`: call, `show`: message) (docs/scale.md)"
    }

    fn write(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        write(report, Table::Findings, true, out)
    }

    fn write_next(&self, report: &Report<'_>, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        write(report, Table::Findings, false, out)
    }
}

/// Writes one table, with a line of names before the first one.
pub fn write(report: &Report<'_>, table: Table, first: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if first {
        writer.write_record(table.columns().iter().map(|(name, _)| name))?;
    }
    table.each(report, &mut |_, values| {
        for value in values {
            writer.write_field(cell(value).as_bytes())?;
        }
        Ok(writer.write_record(None::<&[u8]>)?)
    })?;
    writer.flush()
}

fn cell<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::Text(text) => plain(text),
        Value::Int(number) => number.to_string().into(),
        Value::Real(number) => number.to_string().into(),
        Value::Bool(yes) => if *yes { "true" } else { "false" }.into(),
        Value::Time(moment) => time::rfc3339(*moment).as_str().to_owned().into(),
        Value::Null => "".into(),
    }
}

/// Text that neither steers a terminal nor is taken for a formula by a spreadsheet: a capture is written by
/// strangers, and a Call-ID may well be `=HYPERLINK(...)`.
fn plain(text: &str) -> Cow<'_, str> {
    let text = escape::text(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn written(sample: &samples::Sample, table: Table) -> String {
        let mut out = Vec::new();
        write(&sample.report(), table, true, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_row_has_a_value_for_every_column() {
        for sample in [samples::ack_never(), samples::wrong_password(), samples::two_proxies(), samples::hostile()] {
            for table in Table::ALL {
                let text = written(&sample, table);
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let names: Vec<_> = table.columns().iter().map(|(name, _)| *name).collect();
                assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), names);
                let rows = reader.records().map(Result::unwrap).count();
                let report = sample.report();
                let wanted = match table {
                    Table::Calls => report.call_count(),
                    Table::Messages => report.calls().map(|view| view.call.messages.len()).sum(),
                    Table::Findings => report.findings().count(),
                };
                assert_eq!(rows, wanted, "{}", table.name());
            }
        }
    }

    #[test]
    fn a_call_is_a_line_and_so_is_a_message() {
        let sample = samples::ack_never();
        insta::assert_snapshot!("ack-never.calls.csv", written(&sample, Table::Calls));
        insta::assert_snapshot!("ack-never.messages.csv", written(&sample, Table::Messages));
    }

    #[test]
    fn formulas_of_strangers_are_text() {
        assert_eq!(plain("=1+1"), "'=1+1");
        assert_eq!(plain("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(plain("a=b"), "a=b");
        assert_eq!(cell(&Value::Real(-1.5)), "-1.5");
    }
}
