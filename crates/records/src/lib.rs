//! What is known: all SQL of the project, on embedded SQLite.
//!
//! The SQL is portable on purpose (see `migrations/`), so that PostgreSQL can stand beside SQLite
//! later. Reads go through a small pool of connections. Every write is a [`Change`] that the one
//! writer applies, many of them in one transaction when they come at once.

#![forbid(unsafe_code)]

mod change;
mod database;
mod error;
mod files;
mod images;
mod layers;
mod meta;
mod operations;
mod page;
mod projects;
mod row;
mod tags;
mod tokens;
mod writer;

use std::path::Path;

use sqlx::SqlitePool;

pub use change::Change;
pub use error::{Error, OpenError};
pub use files::NewFile;
pub use images::{ImageFilter, ImageGround, ImageKind, NewImage};
pub use layers::{LayerNode, Merged, NewLayer, Segment};
pub use operations::{Ended, NewOperation, Operation, OperationFilter};
pub use page::Page;
pub use projects::{PUBLIC, Project};
pub use tokens::{NewToken, Token};
pub use writer::Committed;

/// The records of one data folder. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Records {
    readers: SqlitePool,
    writer: writer::Writer,
}

impl Records {
    /// Opens the database file, making it when missing, and brings its schema up to date. One
    /// process at a time may have it open (the engine holds a lock on the data folder).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = database::open_writer(path).await?;
        let readers = database::open_readers(path).await?;
        let writer = writer::Writer::start(connection, path);
        Ok(Self { readers, writer })
    }

    /// Hands a change to the writer. It is on its way when this returns and committed when the
    /// answer has resolved; changes handed over one after the other are applied in this order.
    ///
    /// `durable`: whether the commit has to survive a power loss, not only a crash.
    pub async fn submit(&self, change: Change, durable: bool) -> Committed {
        self.writer.submit(change, durable).await
    }

    /// Applies a change and waits for its commit; answers with the number of records touched.
    ///
    /// # Errors
    /// What kept it from being applied; nothing of it was then.
    pub async fn apply(&self, change: Change, durable: bool) -> Result<u64, Error> {
        self.submit(change, durable).await.wait().await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Query`] when it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1")
            .execute(&self.readers)
            .await
            .map(drop)
            .map_err(Error::query("ask the database"))
    }

    /// Commits what was submitted, writes the log back and closes the file. Later changes fail
    /// with [`Error::Closed`].
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
