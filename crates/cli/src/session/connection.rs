//! How long a connection to the session database lives.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::SqliteConnection;

/// Whether connections are closed when they are not needed any more.
static CLOSES: AtomicBool = AtomicBool::new(false);

/// From now on connections are closed: this process opens many of them. Whoever says so keeps one
/// open, for the reason given at [`Connection`].
pub(crate) fn close_from_now_on() {
    CLOSES.store(true, Ordering::Relaxed);
}

/// A connection. Commonly it is left open until the process ends: the last one to close copies the
/// log into the file and waits for the disk, which takes longer than most commands do. Commits are
/// in the log by then; it is copied when it has grown to 4 MB, or when the other program closes the
/// file.
#[derive(Debug)]
pub(super) struct Connection(Option<SqliteConnection>);

impl Connection {
    pub(super) const fn new(connection: SqliteConnection) -> Self {
        Self(Some(connection))
    }
}

const HELD: &str = "it is held until it is dropped";

impl Deref for Connection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0.as_ref().expect(HELD)
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.as_mut().expect(HELD)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !CLOSES.load(Ordering::Relaxed) {
            std::mem::forget(self.0.take());
        }
    }
}
