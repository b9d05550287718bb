//! Opening the SQLite file: one writing connection, a few reading ones.
//!
//! WAL mode: readers never wait for the writer and see whole transactions only. The writer does
//! not checkpoint in the middle of its work (that costs an fsync of the database file every
//! thousand pages); [`crate::writer`] says when it happens instead.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use crate::OpenError;

/// Readers at the same time; more wait for one another. Queries take well under a millisecond.
const READERS: u32 = 4;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(128)
        .disable_statement_logging()
}

/// Opens the writing connection and brings the schema up to date.
pub(crate) async fn open_writer(path: &Path) -> Result<SqliteConnection, OpenError> {
    let shown = || path.display().to_string();
    let mut connection = options(path)
        .pragma("wal_autocheckpoint", "0")
        .connect()
        .await
        .map_err(|source| OpenError::Connect {
            path: shown(),
            source,
        })?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|source| OpenError::Migrate {
            path: shown(),
            source,
        })?;
    Ok(connection)
}

/// Opens the reading connections.
pub(crate) async fn open_readers(path: &Path) -> Result<SqlitePool, OpenError> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options(path).pragma("query_only", "1"))
        .await
        .map_err(|source| OpenError::Connect {
            path: path.display().to_string(),
            source,
        })
}
