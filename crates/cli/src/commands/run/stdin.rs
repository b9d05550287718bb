//! Our standard input as the command's.
//!
//! Before the run starts, what can be read at once is put into the request, up to one chunk: for
//! nothing at all (`/dev/null`) the command gets a closed input, for a short pipe or file all of
//! it, without another request. When there may be more, the input stays open, and a [`Forwarder`]
//! sends what comes once the process is there. A terminal is never waited for.
//!
//! The reading thread polls before it reads, and reads a terminal only while we are in its
//! foreground: a background job that reads would be stopped.

use std::time::Duration;

use contree_api::OperationId;
use contree_api::stream::{ClosableStreamRepr, encode};
use contree_client::{Client, Error};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Most bytes of one request.
const CHUNK_BYTES: usize = 512 * 1024;
/// How long the run waits for its first input.
const PATIENCE: Duration = Duration::from_millis(50);

/// What standard input had to say so far.
pub(super) struct Opening {
    /// Goes along with the request.
    pub(super) first: Option<ClosableStreamRepr>,
    /// What is still to come, when there may be more.
    pub(super) rest: Option<mpsc::Receiver<Vec<u8>>>,
}

/// Begins to read.
pub(super) async fn open() -> Opening {
    let (sender, mut chunks) = mpsc::channel(4);
    let waits = reader::start(sender);
    let mut first = Vec::new();
    let mut is_open = true;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while waits && first.len() < CHUNK_BYTES {
        match tokio::time::timeout_at(deadline, chunks.recv()).await {
            Ok(Some(bytes)) => first.extend_from_slice(&bytes),
            Ok(None) => {
                is_open = false;
                break;
            }
            Err(_) => break,
        }
    }
    if first.is_empty() && !is_open {
        return Opening {
            first: None,
            rest: None,
        };
    }
    let (value, encoding) = encode(&first);
    Opening {
        first: Some(ClosableStreamRepr {
            value,
            encoding,
            close: !is_open,
        }),
        rest: is_open.then_some(chunks),
    }
}

/// Sends chunks to a process, one after the other.
#[derive(Debug)]
pub(super) struct Forwarder {
    client: Client,
    operation: OperationId,
    chunks: Option<mpsc::Receiver<Vec<u8>>>,
    task: Option<JoinHandle<Result<(), Error>>>,
}

impl Forwarder {
    pub(super) fn new(
        client: Client,
        operation: OperationId,
        chunks: mpsc::Receiver<Vec<u8>>,
    ) -> Self {
        Self {
            client,
            operation,
            chunks: Some(chunks),
            task: None,
        }
    }

    /// The process is there: begins to send. Once is enough.
    pub(super) fn start(&mut self) {
        let Some(mut chunks) = self.chunks.take() else {
            return;
        };
        let (client, operation) = (self.client.clone(), self.operation);
        self.task = Some(tokio::spawn(async move {
            while let Some(bytes) = chunks.recv().await {
                client.write_stdin(operation, 1, &bytes, false).await?;
            }
            client.write_stdin(operation, 1, b"", true).await
        }));
    }

    /// Waits until all is sent; what went wrong.
    pub(super) async fn delivered(mut self) -> Option<Error> {
        problem(self.task.take()?.await.ok()?)
    }

    /// The run is over: stops sending; what went wrong until now.
    pub(super) async fn stop(mut self) -> Option<Error> {
        let task = self.task.take()?;
        if !task.is_finished() {
            task.abort();
        }
        problem(task.await.ok()?)
    }
}

/// That a process does not read, or is gone, is its own business.
fn problem(result: Result<(), Error>) -> Option<Error> {
    result
        .err()
        .filter(|error| !matches!(error.status(), Some(404 | 409 | 410)))
}

#[cfg(unix)]
mod reader {
    use std::io::IsTerminal as _;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use tokio::sync::mpsc;

    /// How often a background job looks whether it is in the foreground now.
    const BACKGROUND_PAUSE: Duration = Duration::from_millis(300);

    /// Starts the thread; whether to wait for what it finds.
    pub(super) fn start(chunks: mpsc::Sender<Vec<u8>>) -> bool {
        let is_terminal = std::io::stdin().is_terminal();
        std::thread::spawn(move || read_all(is_terminal, &chunks));
        !is_terminal
    }

    fn read_all(is_terminal: bool, chunks: &mpsc::Sender<Vec<u8>>) {
        let stdin = rustix::stdio::stdin();
        let mut buffer = vec![0; super::CHUNK_BYTES];
        loop {
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if is_terminal && !is_foreground() {
                std::thread::sleep(BACKGROUND_PAUSE);
                continue;
            }
            match rustix::io::read(stdin, &mut buffer[..]) {
                Ok(0) => return,
                Ok(size) => {
                    if chunks.blocking_send(buffer[..size].to_vec()).is_err() {
                        return;
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }

    fn is_foreground() -> bool {
        // Without an answer reading decides.
        rustix::termios::tcgetpgrp(rustix::stdio::stdin())
            .map_or(true, |foreground| foreground == rustix::process::getpgrp())
    }
}

#[cfg(not(unix))]
mod reader {
    use std::io::{IsTerminal as _, Read as _};

    use tokio::sync::mpsc;

    /// Starts the thread; whether to wait for what it finds.
    pub(super) fn start(chunks: mpsc::Sender<Vec<u8>>) -> bool {
        let is_terminal = std::io::stdin().is_terminal();
        std::thread::spawn(move || {
            let mut buffer = vec![0; super::CHUNK_BYTES];
            while let Ok(size) = std::io::stdin().read(&mut buffer) {
                if size == 0 || chunks.blocking_send(buffer[..size].to_vec()).is_err() {
                    return;
                }
            }
        });
        !is_terminal
    }
}
