//! The one writer. Changes that arrive while a transaction is being committed wait for the next
//! and share it (group commit), so that concurrency costs no more commits, and with them no more
//! fsyncs, than one client alone.
//!
//! A batch in which one change fails is rolled back and its changes are applied one by one, each
//! in its own transaction: the failure is answered to its sender alone. That is rare (a tag for
//! an image just removed, say), so the common path needs no savepoints.
//!
//! A change is asked for as *durable* or not. SQLite's `synchronous` is FULL for a batch with a
//! durable change in it (its commit fsyncs the log, and with it all earlier transactions) and
//! NORMAL otherwise (survives a crash of the process, not a power loss).
//!
//! Checkpoints copy the log back into the database file. They are done here, between batches:
//! when idle for a moment, and at the latest when the log has grown past [`WAL_LIMIT`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::change::Change;

/// Changes that share a transaction at most; bounds the time a reader of the reply waits.
const BATCH: usize = 256;
/// Changes that wait at most before senders are held back.
const QUEUE: usize = 4_096;
/// Size of the log at which it is written back although there is work, in bytes.
const WAL_LIMIT: u64 = 64 * 1024 * 1024;
/// How long nothing has to happen before the log is written back.
const IDLE: Duration = Duration::from_secs(1);
/// Batches between looks at the size of the log.
const LOOK_EVERY: u32 = 64;

enum Message {
    Change(Request),
    Close(oneshot::Sender<()>),
}

struct Request {
    change: Change,
    durable: bool,
    reply: oneshot::Sender<Result<u64, Error>>,
}

/// Sends changes to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    messages: mpsc::Sender<Message>,
}

/// A change on its way; resolves when it is committed.
#[derive(Debug)]
#[must_use = "a change is only known to be committed when this has resolved"]
pub struct Committed(oneshot::Receiver<Result<u64, Error>>);

impl Committed {
    /// Waits for the commit; answers with the number of records touched.
    ///
    /// # Errors
    /// What kept the change from being applied; nothing of it was then.
    pub async fn wait(self) -> Result<u64, Error> {
        self.0.await.map_err(|_| Error::Closed)?
    }
}

impl Writer {
    /// Starts the writer on its connection. It ends when closed or when the last sender is gone.
    pub(crate) fn start(db: SqliteConnection, path: &Path) -> Self {
        let (messages, queue) = mpsc::channel(QUEUE);
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        tokio::spawn(
            Loop {
                db,
                queue,
                wal: wal.into(),
                full: false,
            }
            .run(),
        );
        Self { messages }
    }

    pub(crate) async fn submit(&self, change: Change, durable: bool) -> Committed {
        let (reply, receiver) = oneshot::channel();
        // When the writer is gone the request is dropped, and with it `reply`: `Committed` then
        // resolves to `Closed`.
        drop(
            self.messages
                .send(Message::Change(Request {
                    change,
                    durable,
                    reply,
                }))
                .await,
        );
        Committed(receiver)
    }

    /// Waits until everything sent before is committed and the file is closed.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.messages.send(Message::Close(reply)).await.is_ok() {
            // An error means that the writer ended by itself: closed as well.
            drop(closed.await);
        }
    }
}

struct Loop {
    db: SqliteConnection,
    queue: mpsc::Receiver<Message>,
    wal: PathBuf,
    /// Whether `synchronous` is FULL at the moment.
    full: bool,
}

impl Loop {
    async fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut batch = Vec::with_capacity(BATCH);
        let mut closing = Vec::new();
        let mut batches = 0_u32;
        let mut dirty = false;
        while closing.is_empty() {
            let receive = self.queue.recv_many(&mut messages, BATCH);
            let received = if dirty {
                let Ok(received) = tokio::time::timeout(IDLE, receive).await else {
                    self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await;
                    dirty = false;
                    continue;
                };
                received
            } else {
                receive.await
            };
            if received == 0 {
                break;
            }
            for message in messages.drain(..) {
                match message {
                    Message::Change(request) => batch.push(request),
                    Message::Close(reply) => closing.push(reply),
                }
            }
            if batch.is_empty() {
                continue;
            }
            self.commit(&mut batch).await;
            dirty = true;
            batches = batches.wrapping_add(1);
            if batches.is_multiple_of(LOOK_EVERY)
                && std::fs::metadata(&self.wal).is_ok_and(|wal| wal.len() > WAL_LIMIT)
            {
                self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
            }
        }
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
        if let Err(error) = self.db.close().await {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        for reply in closing {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// Commits the batch and answers every sender. Leaves `batch` empty.
    async fn commit(&mut self, batch: &mut Vec<Request>) {
        let durable = batch.iter().any(|request| request.durable);
        if let Ok(counts) = self.transaction(batch, durable).await {
            for (request, count) in batch.drain(..).zip(counts) {
                // The sender may have gone away; the change stands.
                drop(request.reply.send(Ok(count)));
            }
            return;
        }
        for request in batch.drain(..) {
            let outcome = self
                .transaction(std::slice::from_ref(&request), request.durable)
                .await
                .map(|counts| counts.into_iter().sum());
            drop(request.reply.send(outcome));
        }
    }

    /// Applies all the changes in one transaction, or none.
    async fn transaction(&mut self, batch: &[Request], durable: bool) -> Result<Vec<u64>, Error> {
        self.set_full(durable).await?;
        execute(&mut self.db, "BEGIN IMMEDIATE", "begin a transaction").await?;
        let mut counts = Vec::with_capacity(batch.len());
        let mut outcome = Ok(());
        for request in batch {
            match request.change.apply(&mut self.db).await {
                Ok(count) => counts.push(count),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if outcome.is_ok() {
            outcome = execute(&mut self.db, "COMMIT", "commit a transaction").await;
        }
        if let Err(error) = outcome {
            if let Err(rollback) = execute(&mut self.db, "ROLLBACK", "roll back").await {
                tracing::error!(error = ?rollback, "a failed transaction could not be rolled back");
            }
            return Err(error);
        }
        Ok(counts)
    }

    async fn set_full(&mut self, full: bool) -> Result<(), Error> {
        if self.full == full {
            return Ok(());
        }
        let pragma = if full {
            "PRAGMA synchronous=FULL"
        } else {
            "PRAGMA synchronous=NORMAL"
        };
        execute(&mut self.db, pragma, "set the durability of a transaction").await?;
        self.full = full;
        Ok(())
    }

    async fn checkpoint(&mut self, pragma: &'static str) {
        if let Err(error) = execute(&mut self.db, pragma, "write the log back").await {
            tracing::warn!(
                ?error,
                "the database's log could not be written back; it keeps growing"
            );
        }
    }
}

async fn execute(
    db: &mut SqliteConnection,
    sql: &'static str,
    step: &'static str,
) -> Result<(), Error> {
    sqlx::query(sql)
        .execute(db)
        .await
        .map(drop)
        .map_err(Error::query(step))
}
