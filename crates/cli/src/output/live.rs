//! Output of a running command, written as it comes, byte for byte.
//!
//! A thread of its own does the writing: when whoever reads our output is slow, the command's
//! events wait, but Ctrl-C is still heard.

use std::io;

use tokio::sync::{mpsc, oneshot};

/// Chunks on their way to the thread; each is at most one event.
const WAITING: usize = 16;

/// Which of our streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Writes chunks in order.
#[derive(Debug)]
pub(crate) struct Writer {
    chunks: mpsc::Sender<(Stream, Vec<u8>)>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (chunks, mut waiting) = mpsc::channel::<(Stream, Vec<u8>)>(WAITING);
        let (end, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let mut result = Ok(());
            while let Some((stream, bytes)) = waiting.blocking_recv() {
                result = write(stream, &bytes);
                super::screen::note(stream, &bytes);
                if result.is_err() {
                    break;
                }
            }
            // Nobody waits any more when the command was interrupted.
            let _ = end.send(result);
        });
        Self { chunks, ended }
    }

    /// Where chunks go; waits while the thread is busy, and fails when it has ended.
    pub(crate) fn chunks(&self) -> mpsc::Sender<(Stream, Vec<u8>)> {
        self.chunks.clone()
    }

    /// Waits until all is written, or returns why it cannot be.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.chunks);
        self.ended.await.unwrap_or(Ok(()))
    }
}

/// Waits until nobody reads our standard output any more; for a file and the like for ever.
///
/// Where there is more to write, the write tells as well.
#[cfg(unix)]
pub(crate) async fn reader_gone() {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    let (tell, told) = oneshot::channel();
    // Its other end is closed with this future, which ends the thread.
    if let Ok((stop, _until)) = io::pipe() {
        std::thread::spawn(move || {
            let stdout = rustix::stdio::stdout();
            // Of no event in particular: that the other end is gone is told in any case.
            let mut fds = [
                PollFd::new(&stdout, PollFlags::empty()),
                PollFd::new(&stop, PollFlags::empty()),
            ];
            while let Err(Errno::INTR) = poll(&mut fds, None) {}
            if !fds[0].revents().is_empty() {
                let _ = tell.send(());
            }
        });
        if told.await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

#[cfg(not(unix))]
pub(crate) async fn reader_gone() {
    std::future::pending().await
}

#[cfg(unix)]
fn write(stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    let fd = match stream {
        Stream::Stdout => rustix::stdio::stdout(),
        Stream::Stderr => rustix::stdio::stderr(),
    };
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Some other program that shares the terminal made it non-blocking.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;

    match stream {
        Stream::Stdout => {
            std::io::stdout().write_all(bytes)?;
            std::io::stdout().flush()
        }
        Stream::Stderr => std::io::stderr().write_all(bytes),
    }
}
