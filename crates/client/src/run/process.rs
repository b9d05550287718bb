//! One process of a run: the command itself, or a further one.

use std::fmt;
use std::time::Duration;

use contree_api::OperationId;

use super::outcome::Outcome;
use super::output::Output;
use crate::{Error, Follow, Operation};

/// Most bytes of input in one request.
const PIECE_BYTES: usize = 512 * 1024;
/// Bounds of the wait for a sandbox that is not there yet.
const NOT_YET: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// A process in the sandbox of a run. Dropping it changes nothing on the server.
#[derive(Clone)]
pub struct Process {
    operation: Operation,
    spid: u32,
}

impl Process {
    pub(crate) const fn new(operation: Operation, spid: u32) -> Self {
        Self { operation, spid }
    }

    /// The run's operation.
    #[must_use]
    pub const fn operation(&self) -> OperationId {
        self.operation.id()
    }

    /// Its number within the run: 1 is the run's command, others are counted from 2.
    #[must_use]
    pub const fn spid(&self) -> u32 {
        self.spid
    }

    /// Its output, from the first byte on.
    #[must_use]
    pub fn stream(&self) -> Output {
        Output::new(self.events())
    }

    /// Its events, from the first to its exit.
    #[must_use]
    pub fn events(&self) -> Follow {
        self.operation.events().spid(self.spid).until_exit()
    }

    /// Writes to its input, which must have been kept open. Before its sandbox is there it is
    /// waited for.
    ///
    /// # Errors
    /// [`Error`]; 409 when the input is closed, 410 when the process is gone. Input of more than
    /// 512 KiB is sent in pieces, and those before the error have been written.
    pub async fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.send(piece, false).await?;
        }
        Ok(())
    }

    /// Ends its input.
    ///
    /// # Errors
    /// As [`Process::write`].
    pub async fn close_stdin(&self) -> Result<(), Error> {
        self.send(&[], true).await
    }

    async fn send(&self, bytes: &[u8], close: bool) -> Result<(), Error> {
        let client = self.operation.contree().client();
        patiently(|| client.write_stdin(self.operation(), self.spid, bytes, close)).await
    }

    /// Signals it and its process group: a name with or without `SIG`, or a number.
    ///
    /// # Errors
    /// [`Error`]; 400 when there is no such signal, 404 when the process has ended.
    pub async fn signal(&self, signal: &str) -> Result<(), Error> {
        let client = self.operation.contree().client();
        patiently(|| client.signal(self.operation(), self.spid, Some(signal))).await
    }

    /// Kills it and its process group.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub async fn kill(&self) -> Result<(), Error> {
        self.signal("KILL").await
    }

    /// Waits for its end, by its events.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Cancelled`] when the run ended without a result for it, else
    /// any [`Error`].
    pub async fn wait(&self) -> Result<Outcome, Error> {
        let mut events = self.events();
        while events.next().await?.is_some() {}
        let client = self.operation.contree().client();
        let result = client.process_result(self.operation(), self.spid).await?;
        if result.state.exit_code < 0 && result.state.signal < 0 {
            // Its events are over, so the whole run is.
            let answer = self.operation.wait().await?;
            super::outcome::ended_well(&answer)?;
        }
        Outcome::of_process(self.operation(), &result)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("operation", &self.operation())
            .field("spid", &self.spid)
            .finish()
    }
}

/// Waits while the server says that it is too early, however long that takes: the run waits for
/// its turn, and ends if that never comes.
pub(crate) async fn patiently<T, F>(mut send: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match send().await {
            Err(error) if error.status() == Some(425) => {
                let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
                tokio::time::sleep(wait.clamp(NOT_YET.0, NOT_YET.1)).await;
            }
            done => return done,
        }
    }
}
