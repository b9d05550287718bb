//! Where skills were installed: a small `SQLite` file, in the schema of contree-cli.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use super::target::Target;
use crate::failure::{Doing as _, Failure};

/// As the other program creates it.
const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS installed_skills (
    path TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)";

/// The open file.
#[derive(Debug)]
pub(super) struct Registry {
    connection: SqliteConnection,
    path: PathBuf,
}

impl Registry {
    /// Opens the file, making it when it is not there.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let failed = || format!("could not open {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing(failed)?;
        }
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging()
            .connect()
            .await
            .doing(failed)?;
        connection
            .execute(AssertSqlSafe(SCHEMA))
            .await
            .doing(failed)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// The skills that are still there, by their paths. Those that are not are forgotten.
    pub(super) async fn installed(&mut self) -> Result<Vec<Target>, Failure> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT path, kind FROM installed_skills ORDER BY path")
                .fetch_all(&mut self.connection)
                .await
                .doing(|| format!("could not read {}", self.path.display()))?;
        let mut targets = Vec::new();
        for (path, kind) in rows {
            let target = Target::remembered(&kind, &path);
            if target.path().exists() {
                targets.push(target);
            } else {
                self.forget(&target).await?;
            }
        }
        Ok(targets)
    }

    pub(super) async fn remember(&mut self, target: &Target) -> Result<(), Failure> {
        let path = text(target)?;
        sqlx::query(
            "INSERT OR REPLACE INTO installed_skills (path, kind, updated_at) \
             VALUES ($1, $2, CURRENT_TIMESTAMP)",
        )
        .bind(path)
        .bind(target.kind().name())
        .execute(&mut self.connection)
        .await
        .map(drop)
        .doing(|| self.failed())
    }

    pub(super) async fn forget(&mut self, target: &Target) -> Result<(), Failure> {
        let path = text(target)?;
        sqlx::query("DELETE FROM installed_skills WHERE path = $1")
            .bind(path)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .doing(|| self.failed())
    }

    fn failed(&self) -> String {
        format!("could not change {}", self.path.display())
    }
}

fn text(target: &Target) -> Result<String, Failure> {
    let path = target.path();
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        Failure::new(format!(
            "{} is no text that can be remembered",
            path.display()
        ))
    })
}
