//! Parquet files of calls, messages and findings, one folder a day, for what one machine cannot hold
//! (docs/scale.md): `DIR/calls/day=2026-01-02/NAME.parquet`.

use super::rows::{Table, Type, Value};
use super::{Report, time};
use crate::base::Timestamp;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type as Schema, TypePtr};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of a row group: some megabytes of memory while it is filled, and long enough runs to compress.
const ROWS: usize = 65_536;
/// Days with a folder of their own. A capture whose clock runs wild would else open a file for each packet; the rows of
/// further days go to the folder that Hive keeps for rows without a day.
const DAYS: usize = 400;
/// Name of that folder.
const NO_DAY: &str = "__HIVE_DEFAULT_PARTITION__";

/// Writes all tables below `folder`, which is made if need be, and returns the files written.
///
/// The files of a capture have the same name each time, so that a second run replaces them; of those that an earlier
/// run wrote, the ones that have no rows any more are removed.
///
/// # Errors
/// What the file system says, with the path.
pub fn write(report: &Report<'_>, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let name = format!("{}.parquet", name_of(report));
    let mut written = Vec::new();
    for table in Table::ALL {
        let mut days: BTreeMap<String, Partition> = BTreeMap::new();
        let place = folder.join(table.name());
        table.each(report, &mut |moment, values| {
            let mut day = day_of(moment);
            if days.len() >= DAYS && !days.contains_key(&day) {
                NO_DAY.clone_into(&mut day);
            }
            if !days.contains_key(&day) {
                let path = place.join(format!("day={day}")).join(&name);
                days.insert(day.clone(), Partition::new(table, path)?);
            }
            days.get_mut(&day).map_or(Ok(()), |partition| partition.push(values))
        })?;
        for partition in days.into_values() {
            written.push(partition.close()?);
        }
        remove_others(&place, &name, &written)?;
    }
    Ok(written)
}

/// Removes the files called `name` in the days of a table, except those just `written`.
fn remove_others(place: &Path, name: &str, written: &[PathBuf]) -> io::Result<()> {
    // No folder: nothing was ever written there.
    let Ok(days) = fs::read_dir(place) else { return Ok(()) };
    for day in days {
        let day = day?;
        let path = day.path().join(name);
        if day.file_name().to_string_lossy().starts_with("day=") && path.exists() && !written.contains(&path) {
            fs::remove_file(&path)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
    }
    Ok(())
}

fn day_of(moment: Timestamp) -> String {
    time::rfc3339(moment).as_str().get(..10).unwrap_or(NO_DAY).to_owned()
}

/// Name of the first capture and a hash of what all of them are.
fn name_of(report: &Report<'_>) -> String {
    let path = report.captures.first().map_or("capture", |capture| capture.path.as_str());
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let mut essence = String::new();
    for capture in report.captures {
        let name = capture.path.rsplit(['/', '\\']).next().unwrap_or_default();
        let times = [capture.first, capture.last].map(|time| time.map(Timestamp::as_nanos));
        let _ = write!(essence, "{name}\0{}\0{}\0{times:?}\0", capture.packets, capture.bytes);
    }
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let stem: String = stem.chars().map(fits).take(64).collect();
    format!("{stem}-{:016x}", super::fingerprint::fnv1a(&essence))
}

/// The file of one table and day, being written.
struct Partition {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    columns: Vec<Filled>,
    rows: usize,
}

impl Partition {
    fn new(table: Table, path: PathBuf) -> io::Result<Self> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(told)?;
        }
        let file = File::create(&path).map_err(told)?;
        let columns = table.columns();
        let file = SerializedFileWriter::new(file, schema(&columns).map_err(of)?, properties()).map_err(of)?;
        Ok(Self { path, file, columns: columns.iter().map(|(_, of)| Filled::new(*of)).collect(), rows: 0 })
    }

    fn push(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value);
        }
        self.rows += 1;
        if self.rows < ROWS { Ok(()) } else { self.flush().map_err(of) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            if let Some(mut writer) = group.next_column()? {
                column.write(writer.untyped())?;
                writer.close()?;
            }
        }
        self.rows = 0;
        group.close().map(drop)
    }

    fn close(mut self) -> io::Result<PathBuf> {
        if self.rows > 0 {
            self.flush().map_err(of)?;
        }
        self.file.close().map_err(of)?;
        Ok(self.path)
    }
}

/// The library wraps errors of the file system in its own.
fn of(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

fn schema(columns: &[(&'static str, Type)]) -> Result<TypePtr, ParquetError> {
    let field = |(name, of): &(&'static str, Type)| {
        let (physical, logical) = match of {
            Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Type::Int => (Physical::INT64, None),
            Type::Real => (Physical::DOUBLE, None),
            Type::Bool => (Physical::BOOLEAN, None),
            Type::Time => {
                let nanoseconds = LogicalType::timestamp(true, TimeUnit::NANOS);
                (Physical::INT64, Some(nanoseconds))
            }
        };
        let builder = Schema::primitive_type_builder(name, physical).with_logical_type(logical);
        builder.with_repetition(Repetition::OPTIONAL).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Schema::group_type_builder("callflow").with_fields(fields).build()?))
}

fn properties() -> WriterPropertiesPtr {
    let maker = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    Arc::new(properties.set_created_by(maker.to_owned()).build())
}

/// A column of a row group, being filled.
struct Filled {
    /// For each row, whether it has a value.
    present: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Real(Vec<f64>),
    Bool(Vec<bool>),
}

impl Filled {
    fn new(of: Type) -> Self {
        let values = match of {
            Type::Text => Values::Text(Vec::new()),
            Type::Int | Type::Time => Values::Int(Vec::new()),
            Type::Real => Values::Real(Vec::new()),
            Type::Bool => Values::Bool(Vec::new()),
        };
        Self { present: Vec::new(), values }
    }

    fn push(&mut self, value: &Value<'_>) {
        let present = match (&mut self.values, value) {
            (Values::Text(all), Value::Text(text)) => {
                all.push(ByteArray::from(text.as_bytes().to_vec()));
                true
            }
            (Values::Int(all), Value::Int(number)) => {
                all.push(*number);
                true
            }
            (Values::Int(all), Value::Time(moment)) => {
                all.push(moment.as_nanos());
                true
            }
            (Values::Real(all), Value::Real(number)) => {
                all.push(*number);
                true
            }
            (Values::Bool(all), Value::Bool(yes)) => {
                all.push(*yes);
                true
            }
            _ => false,
        };
        self.present.push(i16::from(present));
    }

    /// Writes what is there and is empty again.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = Some(self.present.as_slice());
        match (&mut self.values, writer) {
            (Values::Text(all), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                writer.write_batch(all, present, None)?;
                all.clear();
            }
            (Values::Int(all), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(all, present, None)?;
                all.clear();
            }
            (Values::Real(all), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(all, present, None)?;
                all.clear();
            }
            (Values::Bool(all), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(all, present, None)?;
                all.clear();
            }
            _ => return Err(ParquetError::General("a column has another type than the schema says".to_owned())),
        }
        self.present.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    /// A folder that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("callflow-parquet-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(path: &Path) -> Vec<Vec<Field>> {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().into_columns().into_iter().map(|(_, field)| field).collect()).collect()
    }

    fn as_read(value: &Value<'_>) -> Field {
        match value {
            Value::Text(text) => Field::Str(text.clone().into_owned()),
            Value::Int(number) => Field::Long(*number),
            Value::Real(number) => Field::Double(*number),
            Value::Bool(yes) => Field::Bool(*yes),
            Value::Time(moment) => Field::Long(moment.as_nanos()),
            Value::Null => Field::Null,
        }
    }

    #[test]
    fn what_is_read_back_is_what_was_told() {
        let samples = [
            ("ack", samples::ack_never()),
            ("password", samples::wrong_password()),
            ("proxies", samples::two_proxies()),
            ("hostile", samples::hostile()),
        ];
        for (name, sample) in &samples {
            let folder = Folder::new(name);
            let report = sample.report();
            let files = write(&report, &folder.0).unwrap();
            for table in Table::ALL {
                let mut told = Vec::new();
                table
                    .each(&report, &mut |_, values| {
                        told.push(values.iter().map(as_read).collect::<Vec<_>>());
                        Ok(())
                    })
                    .unwrap();
                let of_table = files.iter().filter(|file| file.starts_with(folder.0.join(table.name())));
                let held: Vec<_> = of_table.flat_map(|file| read(file)).collect();
                assert_eq!(held, told, "{name} {}", table.name());
            }
            let again = write(&report, &folder.0).unwrap();
            assert_eq!(files, again, "a second run replaces the files of the first");
        }
    }

    #[test]
    fn a_clock_that_runs_wild_opens_no_more_files_than_days_allowed() {
        let sample = samples::spread_over_days(DAYS + 100);
        let folder = Folder::new("wild");
        let files = write(&sample.report(), &folder.0).unwrap();
        let of_calls: Vec<_> = files.iter().filter(|file| file.starts_with(folder.0.join("calls"))).collect();
        assert_eq!(of_calls.len(), DAYS + 1);
        assert_eq!(of_calls.iter().flat_map(|file| read(file)).count(), DAYS + 100);
        let last = of_calls.iter().find(|file| file.to_string_lossy().contains(NO_DAY)).unwrap();
        assert_eq!(read(last).len(), 100);
    }
}
