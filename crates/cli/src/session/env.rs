//! Variables set for every run of a session. They belong to the session as a whole: rolling back
//! and other branches do not change them.

use super::Store;
use crate::failure::{Doing as _, Failure};

impl Store {
    /// All of them, by name.
    pub(crate) async fn env(&mut self) -> Result<Vec<(String, String)>, Failure> {
        let key = self.key.clone();
        sqlx::query_as("SELECT key, value FROM session_env WHERE session_key = $1 ORDER BY key")
            .bind(key)
            .fetch_all(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// Sets variables, also for a session that has not begun yet.
    pub(crate) async fn set_env(&mut self, variables: &[(&str, &str)]) -> Result<(), Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            for (name, value) in variables {
                sqlx::query(
                    "INSERT OR REPLACE INTO session_env (session_key, key, value) \
                     VALUES ($1, $2, $3)",
                )
                .bind(&key)
                .bind(name)
                .bind(value)
                .execute(&mut **transaction)
                .await?;
            }
            Ok(())
        })
        .await
    }

    /// Takes variables away; those that are not set are none the less so.
    pub(crate) async fn unset_env(&mut self, names: &[String]) -> Result<(), Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            for name in names {
                sqlx::query("DELETE FROM session_env WHERE session_key = $1 AND key = $2")
                    .bind(&key)
                    .bind(name)
                    .execute(&mut **transaction)
                    .await?;
            }
            Ok(())
        })
        .await
    }
}
