//! Our standard input as the command's.
//!
//! Before the run starts, what can be read at once is put into the request, up to one chunk: for
//! nothing at all (`/dev/null`) the command gets a closed input, for a short pipe or file all of
//! it, without another request. When there may be more, the input stays open, and a [`Forwarder`]
//! sends what comes once the process is there. A terminal is never waited for.
//!
//! The reading thread polls before it reads, and reads a terminal only while we are in its
//! foreground: a background job that reads would be stopped. It ends when the run does, woken
//! through a pipe, so that in the interactive shell the line editor has the terminal to itself
//! again. What was typed by then and could not be delivered is not lost: the shell takes it with
//! [`take_unread`] as typed ahead for its next line.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contree_api::OperationId;
use contree_api::stream::{ClosableStreamRepr, encode};
use contree_client::{Client, Error};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Most bytes of one request.
const CHUNK_BYTES: usize = 512 * 1024;
/// How long the run waits for its first input.
const PATIENCE: Duration = Duration::from_millis(50);

/// Somebody else reads standard input.
static IS_RESERVED: AtomicBool = AtomicBool::new(false);
/// Typed at a terminal, and not delivered to any command.
static UNREAD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// From now on commands get no input: ours is a script, whose lines are read elsewhere.
pub(crate) fn reserve() {
    IS_RESERVED.store(true, Ordering::Relaxed);
}

/// What was typed for commands that ended before it could be delivered, since the last time.
pub(crate) fn take_unread() -> Vec<u8> {
    std::mem::take(&mut *UNREAD.lock().unwrap_or_else(PoisonError::into_inner))
}

fn put_back(bytes: &[u8]) {
    let mut unread = UNREAD.lock().unwrap_or_else(PoisonError::into_inner);
    unread.extend_from_slice(bytes);
}

/// What standard input had to say so far.
pub(super) struct Opening {
    /// Goes along with the request.
    pub(super) first: Option<ClosableStreamRepr>,
    /// What is still to come, when there may be more.
    pub(super) rest: Option<Input>,
}

/// Chunks that the reading thread found. Dropping it stops the thread.
#[derive(Debug)]
pub(super) struct Input {
    chunks: mpsc::Receiver<Vec<u8>>,
    reader: reader::Reader,
}

impl Drop for Input {
    fn drop(&mut self) {
        self.chunks.close();
        let mut unread = Vec::new();
        while let Ok(chunk) = self.chunks.try_recv() {
            unread.extend(chunk);
        }
        unread.extend(self.reader.stop());
        if self.reader.is_terminal {
            put_back(&unread);
        }
    }
}

/// Begins to read.
pub(super) async fn open() -> Opening {
    let nothing = Opening {
        first: None,
        rest: None,
    };
    if IS_RESERVED.load(Ordering::Relaxed) {
        return nothing;
    }
    let (sender, chunks) = mpsc::channel(4);
    let mut input = Input {
        chunks,
        reader: reader::Reader::start(sender),
    };
    let mut first = Vec::new();
    let mut is_open = true;
    let mut deadline = Instant::now() + PATIENCE;
    while !input.reader.is_terminal && first.len() < CHUNK_BYTES {
        match timeout_at(deadline, input.chunks.recv()).await {
            Ok(Some(bytes)) => first.extend_from_slice(&bytes),
            Ok(None) => {
                is_open = false;
                break;
            }
            // On a busy machine the thread may not have had its turn yet.
            Err(_) if reader::is_ready() => deadline = Instant::now() + PATIENCE,
            Err(_) => break,
        }
    }
    if first.is_empty() && !is_open {
        return nothing;
    }
    let (value, encoding) = encode(&first);
    Opening {
        first: Some(ClosableStreamRepr {
            value,
            encoding,
            close: !is_open,
        }),
        rest: is_open.then_some(input),
    }
}

/// Sends chunks to a process, one after the other.
#[derive(Debug)]
pub(super) struct Forwarder {
    client: Client,
    operation: OperationId,
    input: Option<Input>,
    task: Option<(oneshot::Sender<()>, Delivery)>,
}

type Delivery = JoinHandle<Result<(), Error>>;

impl Forwarder {
    pub(super) fn new(client: Client, operation: OperationId, input: Input) -> Self {
        Self {
            client,
            operation,
            input: Some(input),
            task: None,
        }
    }

    /// The process is there: begins to send. Once is enough.
    pub(super) fn start(&mut self) {
        let Some(mut input) = self.input.take() else {
            return;
        };
        let (client, operation) = (self.client.clone(), self.operation);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                sent = send_all(&client, operation, &mut input) => sent,
                _ = stopped => Ok(()),
            }
        });
        self.task = Some((stop, task));
    }

    /// Waits until all is sent; what went wrong.
    pub(super) async fn delivered(mut self) -> Option<Error> {
        let (_stop, task) = self.task.take()?;
        problem(task.await.ok()?)
    }

    /// The run is over: stops sending; what went wrong until now.
    pub(super) async fn stop(mut self) -> Option<Error> {
        let (stop, task) = self.task.take()?;
        // Nobody to stop when it has ended already.
        let _ = stop.send(());
        problem(task.await.ok()?)
    }
}

async fn send_all(client: &Client, operation: OperationId, input: &mut Input) -> Result<(), Error> {
    while let Some(bytes) = input.chunks.recv().await {
        if let Err(error) = client.write_stdin(operation, 1, &bytes, false).await {
            if input.reader.is_terminal && is_gone(&error) {
                put_back(&bytes);
            }
            return Err(error);
        }
    }
    client.write_stdin(operation, 1, b"", true).await
}

/// That a process does not read, or is gone, is its own business.
fn problem(result: Result<(), Error>) -> Option<Error> {
    result.err().filter(|error| !is_gone(error))
}

fn is_gone(error: &Error) -> bool {
    matches!(error.status(), Some(404 | 409 | 410))
}

#[cfg(unix)]
mod reader {
    use std::io::IsTerminal as _;
    use std::os::fd::OwnedFd;
    use std::sync::mpsc as std_mpsc;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    use tokio::sync::mpsc;

    /// How often a background job looks whether it is in the foreground now.
    const BACKGROUND_PAUSE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 300_000_000,
    };
    /// How long the end of the thread is waited for. It takes no time, but where another program
    /// took the bytes that poll had seen: then the thread waits for more.
    const END: Duration = Duration::from_millis(200);

    /// The thread that reads.
    #[derive(Debug)]
    pub(super) struct Reader {
        pub(super) is_terminal: bool,
        /// Closing it wakes the thread.
        wake: Option<OwnedFd>,
        /// What the thread could not hand over, when it ends.
        left: std_mpsc::Receiver<Vec<u8>>,
    }

    impl Reader {
        pub(super) fn start(chunks: mpsc::Sender<Vec<u8>>) -> Self {
            let is_terminal = std::io::stdin().is_terminal();
            let (end, left) = std_mpsc::channel();
            // Without a pipe, which no limit of files leaves room for, nothing can be read.
            let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok();
            let (woken, wake) = pipe.unzip();
            if let Some(woken) = woken {
                std::thread::spawn(move || {
                    let left = read_all(is_terminal, &woken, &chunks);
                    // Whoever does not wait does not want it.
                    let _ = end.send(left);
                });
            }
            Self {
                is_terminal,
                wake,
                left,
            }
        }

        /// Ends the thread; what it had read and could not hand over.
        pub(super) fn stop(&mut self) -> Vec<u8> {
            if self.wake.take().is_none() {
                return Vec::new();
            }
            self.left.recv_timeout(END).unwrap_or_default()
        }
    }

    fn read_all(is_terminal: bool, woken: &OwnedFd, chunks: &mpsc::Sender<Vec<u8>>) -> Vec<u8> {
        let stdin = rustix::stdio::stdin();
        let mut buffer = vec![0; super::CHUNK_BYTES];
        loop {
            let mut both = [
                PollFd::new(woken, PollFlags::IN),
                PollFd::new(&stdin, PollFlags::IN),
            ];
            match poll(&mut both, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return Vec::new(),
            }
            if !both[0].revents().is_empty() {
                return Vec::new();
            }
            if is_terminal && !is_foreground() {
                // Whatever becomes of this wait, the loop looks again.
                let _ = poll(&mut both[..1], Some(&BACKGROUND_PAUSE));
                continue;
            }
            match rustix::io::read(stdin, &mut buffer[..]) {
                Ok(0) => return Vec::new(),
                Ok(size) => {
                    if let Err(unsent) = chunks.blocking_send(buffer[..size].to_vec()) {
                        return unsent.0;
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return Vec::new(),
            }
        }
    }

    /// Whether a read would not wait: there is something, or the end.
    pub(super) fn is_ready() -> bool {
        let stdin = rustix::stdio::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
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

    /// The thread that reads. It cannot be stopped here.
    #[derive(Debug)]
    pub(super) struct Reader {
        pub(super) is_terminal: bool,
    }

    /// Cannot be known here.
    pub(super) const fn is_ready() -> bool {
        false
    }

    impl Reader {
        pub(super) fn start(chunks: mpsc::Sender<Vec<u8>>) -> Self {
            let is_terminal = std::io::stdin().is_terminal();
            std::thread::spawn(move || {
                let mut buffer = vec![0; super::CHUNK_BYTES];
                while let Ok(size) = std::io::stdin().read(&mut buffer) {
                    if size == 0 || chunks.blocking_send(buffer[..size].to_vec()).is_err() {
                        return;
                    }
                }
            });
            Self { is_terminal }
        }

        pub(super) fn stop(&mut self) -> Vec<u8> {
            Vec::new()
        }
    }
}
