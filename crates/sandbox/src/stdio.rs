//! The server's ends of a process's streams.
//!
//! The far ends are the process's own descriptors: what it writes is in the server's pipe without
//! a hand in between, and a reader that is slow makes the process wait, not memory grow.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Output of a process; ends when the last process that holds it does.
pub type OutputPipe = Receiver;

/// Input of a process; dropping it is the end of file.
pub type StdinPipe = Sender;

/// The streams of one process.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<StdinPipe>,
    pub(crate) stdout: OutputPipe,
    pub(crate) stderr: OutputPipe,
}

impl Streams {
    /// Makes pipes, and the far ends in the order in which they are sent.
    pub(crate) fn make(stdin: bool) -> io::Result<(Self, Vec<OwnedFd>)> {
        let mut far = Vec::with_capacity(3);
        let stdin = if stdin {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            far.push(read);
            Some(Sender::from_owned_fd(write)?)
        } else {
            None
        };
        let mut output = || {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            far.push(write);
            // Sets non-blocking on our end; the two ends have flags of their own.
            Receiver::from_owned_fd(read)
        };
        let stdout = output()?;
        let stderr = output()?;
        Ok((
            Self {
                stdin,
                stdout,
                stderr,
            },
            far,
        ))
    }
}
