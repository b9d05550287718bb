//! Reading typed values out of rows.

use std::fmt::Display;
use std::str::FromStr;

use contree_api::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::Error;

/// A row with the kind of record it is, for error messages.
pub(crate) struct Row<'a> {
    row: &'a SqliteRow,
    what: &'static str,
}

impl<'a> Row<'a> {
    pub(crate) const fn new(row: &'a SqliteRow, what: &'static str) -> Self {
        Self { row, what }
    }

    /// A column of a type the driver knows.
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, Error>
    where
        T: sqlx::Decode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.row
            .try_get(column)
            .map_err(|error| self.damaged(column, &error))
    }

    /// A text column that parses into an id, a tag or the like.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, Error> {
        let text: &str = self.get(column)?;
        text.parse().map_err(|error| self.damaged(column, &error))
    }

    /// The same, or NULL.
    pub(crate) fn parse_opt<T: FromStr<Err: Display>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, Error> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| text.parse().map_err(|error| self.damaged(column, &error)))
            .transpose()
    }

    /// A JSON text column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        let text: &str = self.get(column)?;
        serde_json::from_str(text).map_err(|error| self.damaged(column, &error))
    }

    /// A moment.
    pub(crate) fn moment(&self, column: &str) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_micros(self.get(column)?))
    }

    /// A moment, or NULL.
    pub(crate) fn moment_opt(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A count that is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64, Error> {
        let value: i64 = self.get(column)?;
        u64::try_from(value).map_err(|error| self.damaged(column, &error))
    }

    /// The same, or NULL.
    pub(crate) fn count_opt(&self, column: &str) -> Result<Option<u64>, Error> {
        let value: Option<i64> = self.get(column)?;
        value
            .map(|value| u64::try_from(value).map_err(|error| self.damaged(column, &error)))
            .transpose()
    }

    pub(crate) fn damaged(&self, column: &str, reason: &impl Display) -> Error {
        Error::Damaged {
            what: self.what,
            reason: format!("{column}: {reason}"),
        }
    }
}

/// A count as the database holds it; what does not fit is capped.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
