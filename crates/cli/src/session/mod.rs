//! Sessions: a client's named pointers into the tree of images.
//!
//! Everything here is local; the server knows nothing of it. One `SQLite` file per profile holds
//! all sessions of that profile, in the schema that contree-cli writes too, so that both programs
//! can be used in turn:
//!
//! ```text
//! session_history    entries: image, parent, kind, title, operation; only ever added
//! session_branches   (session, branch) → entry, the branch's tip
//! session_state      session → active branch
//! session_files      files staged by an entry of kind `file`, put into the next run
//! session_env        variables set for every run of a session
//! image_cache        answers about things that never change, by (id, kind)
//! shell_history      lines of the interactive shell
//! ```
//!
//! Every step adds an entry whose parent is the tip of the active branch, and moves the tip to it.
//! A branch is nothing but a name for a tip; rolling back moves the tip and deletes nothing. The
//! working directory is the title of the nearest `cd` entry above the tip, so it rolls back too.
//!
//! The file is in WAL mode: readers never wait, writers wait for each other for
//! `CONTREE_DB_TIMEOUT` seconds (30). Each change is one immediate transaction.

mod branches;
mod cache;
mod connection;
mod detached;
mod endings;
mod env;
mod history;
mod key;
mod layers;
mod lines;
pub(crate) mod reference;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous, SqliteTransaction};
use sqlx::{ConnectOptions as _, Connection as _, FromRow};

use crate::failure::{Doing as _, Failure};
use crate::home::variable;

pub(crate) use cache::PendingRun;
pub(crate) use connection::close_from_now_on;
pub(crate) use detached::{Left, Settled};
pub(crate) use endings::Ending;
pub(crate) use history::{Entry, InvalidTarget, Target};
pub(crate) use key::{Place, session_key, session_key_at};
pub(crate) use layers::NewLayer;
pub(crate) use lines::MAX_LINES;

/// What kind of step an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An image was chosen.
    Use,
    /// A run made an image.
    Run,
    /// Another session's image was taken.
    SessionUse,
    /// The working directory changed; the title is the new one.
    Cd,
    /// A file was put into the next run.
    File,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Run => "run",
            Self::SessionUse => "session use",
            Self::Cd => "cd",
            Self::File => "file",
        }
    }
}

/// A session as it stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Session {
    pub(crate) session_key: String,
    pub(crate) active_branch: String,
    pub(crate) current_image: String,
    pub(crate) last_kind: String,
    pub(crate) last_title: String,
    pub(crate) updated_at: String,
}

/// A profile's sessions, seen from one of them.
#[derive(Debug)]
pub(crate) struct Store {
    connection: connection::Connection,
    path: PathBuf,
    key: String,
}

const SESSION: &str = "\
    SELECT s.session_key, s.active_branch, h.image_uuid AS current_image, h.kind AS last_kind, \
           h.title AS last_title, s.updated_at \
    FROM session_state s \
    JOIN session_branches b ON b.session_key = s.session_key AND b.branch_name = s.active_branch \
    JOIN session_history h ON h.id = b.history_id ";

impl Store {
    /// Opens the file, making it when it is not there.
    pub(crate) async fn open(path: &Path, key: String) -> Result<Self, Failure> {
        let failed = || format!("could not open the session database {}", path.display());
        let advise = |failure: Failure| {
            failure.next(
                "try again; if it is damaged, move it away: a new one is made, and images and tags \
                 are the server's",
            )
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing(failed)?;
        }
        let timeout = variable("CONTREE_DB_TIMEOUT")
            .and_then(|seconds| seconds.parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(Duration::from_secs(30));
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(timeout)
            // As the other program, which relies on it when it deletes sessions.
            .foreign_keys(false)
            .disable_statement_logging()
            .connect()
            .await
            .doing(failed)
            .map_err(advise)?;
        schema::create(&mut connection)
            .await
            .doing(failed)
            .map_err(advise)?;
        Ok(Self {
            connection: connection::Connection::new(connection),
            path: path.to_owned(),
            key,
        })
    }

    /// The key of the session that is looked from.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Looks from another session from now on.
    pub(crate) fn select(&mut self, key: String) {
        self.key = key;
    }

    /// The session, if it has begun.
    pub(crate) async fn session(&mut self) -> Result<Option<Session>, Failure> {
        let key = self.key.clone();
        let sql = join(SESSION, "WHERE s.session_key = $1");
        sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(key)
            .fetch_optional(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// The session; an error tells how to begin one.
    pub(crate) async fn active(&mut self) -> Result<Session, Failure> {
        self.session().await?.ok_or_else(no_session)
    }

    /// All sessions, the one changed last first.
    pub(crate) async fn sessions(&mut self) -> Result<Vec<Session>, Failure> {
        let sql = join(SESSION, "ORDER BY s.updated_at DESC, s.session_key");
        sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// A session by its key, or by how its key ends.
    pub(crate) async fn find(&mut self, name: &str) -> Result<Session, Failure> {
        let sessions = self.sessions().await?;
        let mut found: Vec<&Session> = sessions
            .iter()
            .filter(|session| session.session_key == name)
            .collect();
        if found.is_empty() {
            found = sessions
                .iter()
                .filter(|session| !name.is_empty() && session.session_key.ends_with(name))
                .collect();
        }
        match found[..] {
            [session] => Ok(session.clone()),
            [] => {
                Err(Failure::new(format!("there is no session '{name}'"))
                    .next("contree session list"))
            }
            _ => {
                let keys: Vec<&str> = found.iter().map(|s| s.session_key.as_str()).collect();
                Err(
                    Failure::new(format!("'{name}' could be any of: {}", keys.join(", ")))
                        .next("give the whole key"),
                )
            }
        }
    }

    /// Deletes all that belongs to a session; false when there is none of that key.
    pub(crate) async fn delete(&mut self, key: &str) -> Result<bool, Failure> {
        let key = key.to_owned();
        self.write(async |transaction| {
            let state = sqlx::query("DELETE FROM session_state WHERE session_key = $1")
                .bind(&key)
                .execute(&mut **transaction)
                .await?;
            if state.rows_affected() == 0 {
                return Ok(false);
            }
            for sql in [
                "DELETE FROM session_files WHERE history_id IN \
                 (SELECT id FROM session_history WHERE session_key = $1)",
                "DELETE FROM session_env WHERE session_key = $1",
                "DELETE FROM shell_history WHERE session_key = $1",
                "DELETE FROM session_branches WHERE session_key = $1",
                "DELETE FROM session_history WHERE session_key = $1",
            ] {
                sqlx::query(sql)
                    .bind(&key)
                    .execute(&mut **transaction)
                    .await?;
            }
            Ok(true)
        })
        .await
    }

    /// One change: all of it or nothing.
    async fn write<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteTransaction<'_>) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let failed = format!(
            "could not change the session database {}",
            self.path.display()
        );
        let attempt = async {
            let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<T, sqlx::Error>(value)
        };
        attempt.await.doing(|| failed)
    }

    fn unreadable(&self) -> String {
        format!(
            "could not read the session database {}",
            self.path.display()
        )
    }
}

fn join(head: &str, tail: &str) -> String {
    format!("{head}{tail}")
}

/// What commands say that need a session.
pub(crate) fn no_session() -> Failure {
    Failure::new("No active session. Run `contree use IMAGE` to start one.")
}

/// The current moment in the form of the schema.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%S','now')";
