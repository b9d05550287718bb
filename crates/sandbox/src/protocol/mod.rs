//! What server, launcher and init say to each other; both ends are compiled from here.
//!
//! Two kinds of connection:
//!
//! **Server ↔ launcher**: one sequenced-packet socket. A request is one datagram ([`Request`])
//! with descriptors; the answer ([`Reply`]) carries the request's id, because sandboxes answer
//! for themselves and out of order. Both fit in [`MAX_DATAGRAM`].
//!
//! **Server ↔ init of one sandbox**: one stream socket. A frame is a head of eight bytes (length
//! of the body, number of descriptors, both little-endian u32), to whose first byte the
//! descriptors are attached, and the body. A body may be as large as a command line with its
//! environment ([`MAX_TO_INIT`]) on the way in, but only [`MAX_FROM_INIT`] on the way out: init
//! lives among hostile processes, and what it says is not believed without bounds.
//!
//! Integers are little-endian, byte strings and lists have a u32 length before them. Server and
//! launcher are built from one source and installed together; the launcher's first datagram is
//! the [`IDENTITY`] of the protocol it was built with, so that a forgotten old one is told apart
//! at once instead of being misunderstood.

pub(crate) mod codec;
pub(crate) mod launcher;
pub(crate) mod sandbox;
pub(crate) mod transport;

pub(crate) use launcher::{Reply, Request};
pub use sandbox::{ProcessId, Usage};

/// What the protocol was compiled from; differs between builds whose protocols differ.
pub(crate) const IDENTITY: u64 = {
    let sources: [&[u8]; 6] = [
        include_bytes!("../job.rs"),
        include_bytes!("../trees/stream.rs"),
        include_bytes!("codec.rs"),
        include_bytes!("launcher.rs"),
        include_bytes!("sandbox.rs"),
        include_bytes!("transport.rs"),
    ];
    // FNV-1a.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut source = 0;
    while source < sources.len() {
        let mut at = 0;
        while at < sources[source].len() {
            hash = (hash ^ sources[source][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
};

/// Largest datagram between server and launcher.
pub(crate) const MAX_DATAGRAM: usize = 4096;

/// Largest frame to init: 2 MiB of command line, and up to 10,000 attached files with paths.
pub(crate) const MAX_TO_INIT: usize = 64 * 1024 * 1024;

/// Largest frame from init: a path and some numbers.
pub(crate) const MAX_FROM_INIT: usize = 16 * 1024;

/// Most descriptors attached to one message.
pub(crate) const MAX_FDS: usize = 16;

/// A step that failed on the other side of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}")]
pub struct Failure {
    /// What was being done, such as `mount overlay`.
    pub step: String,
    /// Why; no OS code when the step failed for a reason of its own.
    #[source]
    pub source: FailureSource,
}

/// What the kernel said about a [`Failure`]: an error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureSource(pub i32);

impl std::error::Error for FailureSource {}

impl std::fmt::Display for FailureSource {
    /// Such as `no such file or directory`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut letters = text.chars();
        if let Some(first) = letters.next() {
            write!(f, "{}{}", first.to_lowercase(), letters.as_str())?;
        }
        Ok(())
    }
}

impl Failure {
    pub(crate) fn new(step: impl Into<String>, error: &std::io::Error) -> Self {
        Self {
            step: step.into(),
            source: FailureSource(error.raw_os_error().unwrap_or(libc::EPROTO)),
        }
    }

    /// The error number.
    #[must_use]
    pub const fn errno(&self) -> i32 {
        self.source.0
    }
}

/// Names the step that an I/O error belongs to.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, &error.into()))
    }
}
