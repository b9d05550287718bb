//! Rows: named values in order, with the types that their names imply.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Text, numbers, booleans, null, and nested values.
    Json(Value),
    /// A moment: local time for people, ISO 8601 UTC for programs.
    Moment(Timestamp),
    /// Seconds: `1m2s` for people, a number for programs.
    Span(f64),
}

impl Cell {
    /// Gives a value the type that its name implies.
    fn typed(name: &str, value: Value) -> Self {
        match (name, &value) {
            ("created_at" | "updated_at" | "expires_at" | "ts", Value::String(text)) => {
                moment(text).map_or(Self::Json(value), Self::Moment)
            }
            ("mtime", Value::Number(number)) => number
                .as_i64()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .map_or(Self::Json(value), Self::Moment),
            ("duration", Value::Number(number)) => {
                number.as_f64().map_or(Self::Json(value), Self::Span)
            }
            ("mode", Value::Number(number)) => match number.as_u64() {
                Some(mode) => Self::Json(format!("{mode:o}").into()),
                None => Self::Json(value),
            },
            ("error" | "tag", Value::Null) => Self::Json("".into()),
            _ => Self::Json(value),
        }
    }

    /// For people, and for formats that know text only.
    pub(crate) fn text(&self, now: Timestamp, zone: &TimeZone) -> Cow<'_, str> {
        match self {
            Self::Json(Value::String(text)) => Cow::Borrowed(text),
            Self::Json(Value::Null) => Cow::Borrowed(""),
            Self::Json(Value::Number(number)) if number.is_f64() => {
                Cow::Owned(format!("{:.2}", number.as_f64().unwrap_or_default()))
            }
            Self::Json(value) => Cow::Owned(super::format::json_line(value)),
            Self::Moment(moment) => {
                let local = moment.to_zoned(zone.clone());
                let is_today = now.to_zoned(zone.clone()).date() == local.date();
                let form = if is_today {
                    "%H:%M:%S"
                } else {
                    "%Y-%m-%d %H:%M:%S"
                };
                Cow::Owned(local.strftime(form).to_string())
            }
            Self::Span(seconds) => Cow::Owned(span(*seconds)),
        }
    }
}

/// For programs.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Moment(moment) => {
                let fraction = if moment.subsec_nanosecond() == 0 {
                    ""
                } else {
                    ".%6f"
                };
                let form = format!("%Y-%m-%dT%H:%M:%S{fraction}");
                serializer.collect_str(&format_args!("{}+00:00", moment.strftime(&form)))
            }
            Self::Span(seconds) => serializer.serialize_f64(*seconds),
        }
    }
}

/// A moment of the API (with offset) or of the session database (without, UTC).
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}

fn span(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
    let total = seconds as i64;
    match total {
        ..60 => format!("{total}s"),
        60..3_600 => format!("{}m{}s", total / 60, total % 60),
        _ => format!("{}h{}m", total / 3_600, total % 3_600 / 60),
    }
}

/// Named values in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Row(pub(crate) Vec<(String, Cell)>);

impl Row {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The fields of a wire type, in the order it declares them.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value).expect("wire types have string keys");
        Self::read(&json).expect("what was just written")
    }

    /// The fields of a JSON object, in its own order.
    pub(crate) fn read(json: &str) -> Result<Self, serde_json::Error> {
        let fields: Fields = serde_json::from_str(json)?;
        Ok(fields
            .0
            .into_iter()
            .fold(Self::new(), |row, (name, value)| row.with(&name, value)))
    }

    /// Adds a value, or replaces the one of that name.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let cell = Cell::typed(name, value.into());
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => *slot = cell,
            None => self.0.push((name.to_owned(), cell)),
        }
        self
    }

    /// Takes values out.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, cell)| (name, cell)))
    }
}

/// A JSON object in its own order.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_imply_types() {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let row = Row::new()
            .with("created_at", "2026-05-18T09:16:56.185199+00:00")
            .with("updated_at", "2026-11-22T01:02:03")
            .with("duration", 62.7)
            .with("error", Value::Null)
            .with("result", Value::Null)
            .with("mode", 0o100_755)
            .with("mtime", 0)
            .with("consumed_cpu", 0.125)
            .with("nested", serde_json::json!({"a": [1, null]}))
            .with("ok", true);
        let text: Vec<_> = row
            .0
            .iter()
            .map(|(_, cell)| cell.text(now, &TimeZone::UTC).into_owned())
            .collect();
        assert_eq!(
            text,
            [
                "2026-05-18 09:16:56",
                "01:02:03",
                "1m2s",
                "",
                "",
                "100755",
                "1970-01-01 00:00:00",
                "0.12",
                "{\"a\": [1, null]}",
                "true"
            ]
        );
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            "{\"created_at\":\"2026-05-18T09:16:56.185199+00:00\",\
             \"updated_at\":\"2026-11-22T01:02:03+00:00\",\"duration\":62.7,\"error\":\"\",\
             \"result\":null,\"mode\":\"100755\",\"mtime\":\"1970-01-01T00:00:00+00:00\",\
             \"consumed_cpu\":0.125,\"nested\":{\"a\":[1,null]},\"ok\":true}"
        );
    }

    #[test]
    fn wire_types_keep_their_order() {
        #[derive(Serialize)]
        struct Wire {
            z: u8,
            a: u8,
        }
        let row = Row::of(&Wire { z: 1, a: 2 })
            .with("z", 3)
            .with("m", 4)
            .without(&["a"]);
        assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"z":3,"m":4}"#);
    }
}
