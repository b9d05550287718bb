//! Named values, such as the boot the last server ran in.

use sqlx::sqlite::SqliteConnection;

use crate::{Error, Records};

pub(crate) async fn set(db: &mut SqliteConnection, name: &str, value: &str) -> Result<u64, Error> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("set a named value"))
}

impl Records {
    /// A named value.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(Error::query("read a named value"))
    }
}
