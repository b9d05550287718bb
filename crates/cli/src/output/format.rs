//! Rows in each format.

use std::fmt::Write as _;
use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

use super::row::{Cell, Row};
use super::table::Table;
use super::{Columns, Format, Output};
use crate::failure::Failure;

/// Rows on their way to standard output. Formats that need no look ahead write each row at once;
/// tables wait for [`Rows::flush`].
#[derive(Debug)]
pub(crate) struct Rows {
    output: Output,
    columns: Columns,
    now: Timestamp,
    zone: TimeZone,
    /// Rows written so far.
    count: usize,
    /// The columns of the header that was written.
    header: Vec<String>,
    table: Table,
}

impl Rows {
    pub(super) fn new(output: Output, columns: Columns) -> Self {
        let zone = TimeZone::system();
        Self {
            output,
            columns,
            now: Timestamp::now(),
            zone,
            count: 0,
            header: Vec::new(),
            table: Table::default(),
        }
    }

    #[cfg(test)]
    fn fixed(format: Format, columns: Columns) -> Self {
        Self {
            output: Output {
                format,
                level: super::LogLevel::Info,
                stdout_terminal: false,
                stderr_terminal: false,
                colors: true,
                is_dumb: false,
            },
            now: "2026-11-22T08:00:00Z".parse().expect("a moment"),
            zone: TimeZone::UTC,
            columns,
            count: 0,
            header: Vec::new(),
            table: Table::default(),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), Failure> {
        let text = self.render(row);
        if text.is_empty() {
            Ok(())
        } else {
            self.output.bytes(text.as_bytes())
        }
    }

    /// Writes what was held back.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let text = self.table.render(&self.output, self.columns);
        if text.is_empty() {
            Ok(())
        } else {
            self.output.bytes(text.as_bytes())
        }
    }

    /// Writes what was held back and what belongs to the end.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()?;
        let text = self.end();
        if text.is_empty() {
            Ok(())
        } else {
            self.output.bytes(text.as_bytes())
        }
    }

    fn end(&self) -> &'static str {
        match self.output.format {
            Format::JsonPretty if self.count > 0 => "\n]\n",
            Format::JsonPretty => "[]\n",
            _ => "",
        }
    }

    fn render(&mut self, row: Row) -> String {
        let row = self.ordered(row);
        let is_first = self.count == 0;
        self.count += 1;
        match self.output.format {
            Format::Default | Format::Table => {
                let cells = self.texts(&row);
                self.table.push(cells);
                String::new()
            }
            Format::Json => json_line(&row) + "\n",
            Format::JsonPretty => {
                let start = if is_first { "[\n" } else { ",\n" };
                let json = serde_json::to_string_pretty(&row).expect("rows have string keys");
                format!("{start}{json}")
            }
            Format::Plain => self.plain(&row, is_first),
            Format::Csv => self.separated(&row, is_first, ','),
            Format::Tsv => self.separated(&row, is_first, '\t'),
            Format::Toml => toml(&row, is_first),
        }
    }

    /// The row with its columns where they belong.
    fn ordered(&self, Row(fields): Row) -> Row {
        let Columns {
            head, tail, hidden, ..
        } = self.columns;
        let is_table = matches!(self.output.format, Format::Default | Format::Table);
        let mut ordered = Row::new();
        let (mut first, mut last) = (vec![None; head.len()], vec![None; tail.len()]);
        for (name, cell) in fields {
            if is_table && hidden.contains(&name.as_str()) {
                continue;
            }
            if let Some(at) = head.iter().position(|column| *column == name) {
                first[at] = Some((name, cell));
            } else if let Some(at) = tail.iter().position(|column| *column == name) {
                last[at] = Some((name, cell));
            } else {
                ordered.0.push((name, cell));
            }
        }
        ordered.0.splice(0..0, first.into_iter().flatten());
        ordered.0.extend(last.into_iter().flatten());
        ordered
    }

    fn texts(&self, row: &Row) -> Vec<(String, String)> {
        let text = |cell: &Cell| cell.text(self.now, &self.zone).into_owned();
        row.0
            .iter()
            .map(|(name, cell)| (name.clone(), text(cell)))
            .collect()
    }

    fn plain(&self, row: &Row, is_first: bool) -> String {
        let mut out = String::from(if is_first { "" } else { "---\n" });
        let cells = self.texts(row);
        let width = cells.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
        for (name, text) in cells {
            let mut label = format!("{:width$}", format!("{name}:"));
            for line in text.split('\n') {
                out.push_str(&label);
                out.push_str(line);
                out.push('\n');
                label = " ".repeat(width);
            }
        }
        out
    }

    fn separated(&mut self, row: &Row, is_first: bool, separator: char) -> String {
        let cells = self.texts(row);
        let mut out = String::new();
        let mut line = |values: Vec<&str>| {
            let quoted: Vec<String> = values.iter().map(|v| quote(v, separator)).collect();
            out.push_str(&quoted.join(separator.encode_utf8(&mut [0; 4])));
            out.push_str("\r\n");
        };
        if is_first {
            self.header = cells.iter().map(|(name, _)| name.clone()).collect();
            line(self.header.iter().map(String::as_str).collect());
        }
        let value = |column: &String| {
            cells
                .iter()
                .find(|(name, _)| name == column)
                .map_or("", |(_, text)| text.as_str())
        };
        line(self.header.iter().map(value).collect());
        out
    }
}

/// A CSV field, quoted when it has to be.
fn quote(text: &str, separator: char) -> String {
    if text.contains([separator, '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// JSON in one line with a space after `:` and `,`.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    struct Spaced;

    impl Formatter for Spaced {
        fn begin_array_value<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_key<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
    }

    let mut bytes = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced));
    written.expect("rows have string keys, and memory can be written to");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn toml(row: &Row, is_first: bool) -> String {
    let mut out = String::from(if is_first {
        "[[results]]\n"
    } else {
        "\n[[results]]\n"
    });
    for (name, cell) in &row.0 {
        let value = match cell {
            Cell::Json(value) => toml_value(value),
            Cell::Span(seconds) => toml::Value::Float(*seconds).to_string(),
            Cell::Moment(_) => serde_json::to_value(cell)
                .ok()
                .and_then(|value| value.as_str().map(ToOwned::to_owned))
                .unwrap_or_default(),
        };
        let key = toml_key(name);
        let _ = writeln!(out, "{key} = {value}");
    }
    out
}

fn toml_key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if is_bare {
        name.to_owned()
    } else {
        toml::Value::from(name).to_string()
    }
}

/// A value in TOML; null, which TOML lacks, is the empty text.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => basic_string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{} = {}", toml_key(name), toml_value(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// On one line whatever it holds.
fn basic_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn golden(format: Format) -> String {
        let columns = Columns {
            head: &["uuid"],
            tail: &["error"],
            hidden: &["parent"],
            ..Columns::default()
        };
        let mut rows = Rows::fixed(format, columns);
        let mut out = String::new();
        for row in [
            Row::new()
                .with("error", "it said \"no\",\nthen é")
                .with("status", "FAILED")
                .with("uuid", "u-1")
                .with("created_at", "2026-05-18T09:16:56.185199+00:00")
                .with("duration", 3_725.5)
                .with("parent", json!({"a": 1, "b": [null, "x"]})),
            Row::new()
                .with("error", Value::Null)
                .with("status", "SUCCESS")
                .with("uuid", "u-2")
                .with("created_at", "2026-11-22T07:00:00+00:00")
                .with("duration", 0.25)
                .with("parent", Value::Null),
        ] {
            out.push_str(&rows.render(row));
        }
        out.push_str(&rows.table.render(&rows.output, rows.columns));
        out.push_str(rows.end());
        out
    }

    #[test]
    fn golden_table() {
        assert_eq!(
            golden(Format::Table),
            "UUID  STATUS  CREATED_AT  DURATION  ERROR\n\
             u-1  FAILED  2026-05-18 09:16:56  1h2m  it said \"no\",\n        then é\n\
             u-2  SUCCESS  07:00:00  0s  \n"
        );
        assert_eq!(golden(Format::Default), golden(Format::Table));
    }

    #[test]
    fn golden_json() {
        assert_eq!(
            golden(Format::Json),
            r#"{"uuid": "u-1", "status": "FAILED", "created_at": "2026-05-18T09:16:56.185199+00:00", "duration": 3725.5, "parent": {"a": 1, "b": [null, "x"]}, "error": "it said \"no\",\nthen é"}
{"uuid": "u-2", "status": "SUCCESS", "created_at": "2026-11-22T07:00:00+00:00", "duration": 0.25, "parent": null, "error": ""}
"#
        );
    }

    #[test]
    fn golden_json_pretty() {
        let text = golden(Format::JsonPretty);
        assert!(text.starts_with("[\n{\n  \"uuid\": \"u-1\",\n"), "{text}");
        assert!(text.ends_with("\n}\n]\n"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[1]["duration"], json!(0.25));
        let none = Rows::fixed(Format::JsonPretty, Columns::default());
        assert_eq!(none.end(), "[]\n");
    }

    #[test]
    fn golden_plain() {
        assert_eq!(
            golden(Format::Plain),
            "uuid:       u-1\n\
             status:     FAILED\n\
             created_at: 2026-05-18 09:16:56\n\
             duration:   1h2m\n\
             parent:     {\"a\": 1, \"b\": [null, \"x\"]}\n\
             error:      it said \"no\",\n            then é\n\
             ---\n\
             uuid:       u-2\n\
             status:     SUCCESS\n\
             created_at: 07:00:00\n\
             duration:   0s\n\
             parent:     \n\
             error:      \n"
        );
    }

    #[test]
    fn golden_csv_and_tsv() {
        assert_eq!(
            golden(Format::Csv),
            "uuid,status,created_at,duration,parent,error\r\n\
             u-1,FAILED,2026-05-18 09:16:56,1h2m,\"{\"\"a\"\": 1, \"\"b\"\": [null, \"\"x\"\"]}\",\
             \"it said \"\"no\"\",\nthen é\"\r\n\
             u-2,SUCCESS,07:00:00,0s,,\r\n"
        );
        assert!(golden(Format::Tsv).starts_with("uuid\tstatus\tcreated_at\t"));
    }

    #[test]
    fn golden_toml() {
        let text = golden(Format::Toml);
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(
            text.lines().take(7).collect::<Vec<_>>(),
            [
                "[[results]]",
                "uuid = \"u-1\"",
                "status = \"FAILED\"",
                "created_at = 2026-05-18T09:16:56.185199+00:00",
                "duration = 3725.5",
                "parent = { a = 1, b = [\"\", \"x\"] }",
                "error = \"it said \\\"no\\\",\\nthen é\"",
            ]
        );
        assert_eq!(value["results"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn rows_of_other_shapes_keep_to_the_header() {
        let mut rows = Rows::fixed(Format::Csv, Columns::default());
        assert_eq!(
            rows.render(Row::new().with("a", 1).with("b", 2)),
            "a,b\r\n1,2\r\n"
        );
        assert_eq!(rows.render(Row::new().with("c", 3).with("b", 4)), ",4\r\n");
    }
}
