//! TOML whose every key and value knows its place, so that an error points at it.

use crate::base::Error;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A line and a column of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    file: Arc<str>,
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    /// "callflow.toml:3:1"
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Place {
    /// An error about what stands here.
    pub(super) fn refuse(&self, why: impl fmt::Display) -> Error {
        Error::Usage(format!("{self}: {why}"))
    }
}

/// The text of a file, and where its lines begin.
pub(super) struct Document<'a> {
    file: Arc<str>,
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Document<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file: file.into(), text, lines: std::iter::once(0).chain(ends).collect() }
    }

    /// Its tables and values.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, Error> {
        DeTable::parse(self.text).map_err(|error| {
            let why = error.message().replace('\n', ", ");
            self.place(error.span().unwrap_or_default()).refuse(why)
        })
    }

    /// The top of what [`Document::parse`] gave.
    pub(super) fn top<'d>(&'d self, table: &'d Spanned<DeTable<'a>>) -> Table<'d> {
        Table::new(self, String::new(), table.get_ref(), table.span())
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.lines.partition_point(|begin| *begin <= span.start).max(1);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(begin..span.start).unwrap_or_default();
        Place { file: Arc::clone(&self.file), line, column: before.chars().count() + 1 }
    }
}

/// A table of which every key has to be known.
pub(super) struct Table<'d> {
    document: &'d Document<'d>,
    /// Its name with a dot behind, or nothing.
    path: String,
    span: Range<usize>,
    left: BTreeMap<&'d str, (Range<usize>, &'d Spanned<DeValue<'d>>)>,
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    fn new(document: &'d Document<'d>, path: String, table: &'d DeTable<'d>, span: Range<usize>) -> Self {
        let left = table.iter().map(|(key, value)| (key.get_ref().as_ref(), (key.span(), value))).collect();
        Self { document, path, span, left, known: Vec::new() }
    }

    pub(super) fn place(&self) -> Place {
        self.document.place(self.span.clone())
    }

    /// The value of a key that may be there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.known.push(key);
        self.left.remove(key).map(|(span, value)| self.value(key, span, value))
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'d>, Error> {
        self.take(key).ok_or_else(|| self.place().refuse(format!("'{}{key}' is missing", self.path)))
    }

    /// The rest, where any key may stand.
    pub(super) fn rest(&mut self) -> Vec<(&'d str, Value<'d>)> {
        let left = std::mem::take(&mut self.left);
        let mut rest: Vec<_> =
            left.into_iter().map(|(key, (span, value))| (key, self.value(key, span, value))).collect();
        rest.sort_by_key(|(_, value)| value.key.start);
        rest
    }

    /// Whether all keys were known; the first one that was not is told.
    pub(super) fn end(self) -> Result<(), Error> {
        let first = self.left.iter().min_by_key(|(_, (span, _))| span.start);
        first.map_or(Ok(()), |(key, (span, _))| {
            let why = format!("unknown key '{}{key}'{}", self.path, suggestion(key, self.known.iter().copied()));
            Err(self.document.place(span.clone()).refuse(why))
        })
    }

    fn value(&self, key: &str, span: Range<usize>, value: &'d Spanned<DeValue<'d>>) -> Value<'d> {
        Value { document: self.document, path: format!("{}{key}", self.path), key: span, node: value }
    }
}

/// A value, and what it is called.
#[derive(Clone)]
pub(super) struct Value<'d> {
    document: &'d Document<'d>,
    path: String,
    key: Range<usize>,
    node: &'d Spanned<DeValue<'d>>,
}

impl<'d> Value<'d> {
    /// Where its key stands.
    pub(super) fn place(&self) -> Place {
        self.document.place(self.key.clone())
    }

    /// An error about the value.
    pub(super) fn refuse(&self, why: impl fmt::Display) -> Error {
        self.document.place(self.node.span()).refuse(format!("{}: {why}", self.path))
    }

    fn is_no(&self, wanted: &str) -> Error {
        self.refuse(format!("must be {wanted}, not {}", kind(self.node.get_ref())))
    }

    pub(super) fn text(&self) -> Result<&'d str, Error> {
        self.node.get_ref().as_str().ok_or_else(|| self.is_no("a text in quotes"))
    }

    /// One text, or a list of them.
    pub(super) fn texts(&self) -> Result<Vec<&'d str>, Error> {
        match self.node.get_ref() {
            DeValue::String(text) => Ok(vec![text.as_ref()]),
            DeValue::Array(_) => self.items()?.iter().map(Self::text).collect(),
            _ => Err(self.is_no("a text in quotes, or a list of them")),
        }
    }

    pub(super) fn yes_or_no(&self) -> Result<bool, Error> {
        self.node.get_ref().as_bool().ok_or_else(|| self.is_no("true or false"))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.node.get_ref(), DeValue::Integer(_) | DeValue::Float(_))
    }

    pub(super) fn whole_number(&self) -> Result<u64, Error> {
        let DeValue::Integer(number) = self.node.get_ref() else {
            return Err(self.is_no("a whole number"));
        };
        u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| self.refuse("must be a whole number from 0"))
    }

    pub(super) fn number(&self) -> Result<f64, Error> {
        let number = match self.node.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64),
            _ => return Err(self.is_no("a number")),
        };
        number.filter(|number: &f64| number.is_finite()).ok_or_else(|| self.refuse("must be a number"))
    }

    /// A date such as 2026-12-31, in quotes or not.
    pub(super) fn date(&self) -> Result<String, Error> {
        match self.node.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Datetime(date) => Ok(date.to_string()),
            _ => Err(self.is_no("a date such as 2026-12-31")),
        }
    }

    pub(super) fn table(&self) -> Result<Table<'d>, Error> {
        let table = self.node.get_ref().as_table().ok_or_else(|| self.is_no("a table"))?;
        Ok(Table::new(self.document, format!("{}.", self.path), table, self.key.clone()))
    }

    /// The tables of `[[name]]`.
    pub(super) fn tables(&self) -> Result<Vec<Table<'d>>, Error> {
        let wanted = || self.is_no(&format!("tables that begin with [[{}]]", self.path));
        let DeValue::Array(_) = self.node.get_ref() else {
            return Err(wanted());
        };
        let table = |item: &Self| {
            let table = item.node.get_ref().as_table().ok_or_else(wanted)?;
            Ok(Table::new(self.document, format!("{}.", self.path), table, item.node.span()))
        };
        self.items()?.iter().map(table).collect()
    }

    fn items(&self) -> Result<Vec<Self>, Error> {
        let items = self.node.get_ref().as_array().ok_or_else(|| self.is_no("a list"))?;
        Ok(items.iter().map(|node| Self { node, ..self.clone() }).collect())
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// "; did you mean 'x'?" when one of `known` is much like `word`.
pub(super) fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    /// Below this two words are not alike; the same as for options on the command line.
    const ALIKE: f64 = 0.7;
    let likeness = |one: &'k str| (strsim::jaro(word, one), one);
    let best = known.map(likeness).filter(|(likeness, _)| *likeness > ALIKE);
    let best = best.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map_or_else(String::new, |(_, one)| format!("; did you mean '{one}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_1() {
        let text = "a = 1\nüb = \"ö\" # c\n\n[t]\nx = 2\n";
        let document = Document::new("f", text);
        assert_eq!(document.parse().unwrap_err().to_string().split(": ").next(), Some("f:2:1"), "ü is no bare key");
        let document = Document::new("f", "a = 1\n[t]\n\"ü\" = 2\n  x = 1\n");
        let table = document.parse().unwrap();
        let mut top = document.top(&table);
        let t = top.take("t").unwrap().table().unwrap().rest();
        assert_eq!(t[0].1.place().to_string(), "f:3:1");
        assert_eq!(t[1].1.place().to_string(), "f:4:3");
        assert_eq!(t[1].1.text().unwrap_err().to_string(), "f:4:7: t.x: must be a text in quotes, not a number");
    }

    #[test]
    fn an_unknown_key_is_told_with_what_it_may_have_been() {
        let document = Document::new("f", "reasn = \"x\"\n");
        let table = document.parse().unwrap();
        let mut top = document.top(&table);
        assert!(top.take("reason").is_none() && top.take("until").is_none());
        assert_eq!(top.end().unwrap_err().to_string(), "f:1:1: unknown key 'reasn'; did you mean 'reason'?");
    }
}
