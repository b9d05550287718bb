//! Lines typed in the interactive shell, a history per session.

use super::Store;
use crate::failure::{Doing as _, Failure};

/// So many lines are kept of each session.
pub(crate) const MAX_LINES: usize = 10_000;

impl Store {
    /// The lines of the session, oldest first.
    pub(crate) async fn shell_lines(&mut self) -> Result<Vec<String>, Failure> {
        let key = self.key.clone();
        sqlx::query_scalar("SELECT line FROM shell_history WHERE session_key = $1 ORDER BY id")
            .bind(key)
            .fetch_all(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// Adds a line, and forgets the oldest ones of too many.
    pub(crate) async fn add_shell_line(&mut self, line: &str) -> Result<(), Failure> {
        let key = self.key.clone();
        let most = i64::try_from(MAX_LINES).unwrap_or(i64::MAX);
        self.write(async |transaction| {
            sqlx::query("INSERT INTO shell_history (session_key, line) VALUES ($1, $2)")
                .bind(&key)
                .bind(line)
                .execute(&mut **transaction)
                .await?;
            sqlx::query(
                "DELETE FROM shell_history WHERE session_key = $1 AND id <= \
                 (SELECT id FROM shell_history WHERE session_key = $1 \
                  ORDER BY id DESC LIMIT 1 OFFSET $2)",
            )
            .bind(&key)
            .bind(most)
            .execute(&mut **transaction)
            .await
            .map(drop)
        })
        .await
    }
}
