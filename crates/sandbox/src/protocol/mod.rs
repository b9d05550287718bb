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
//! Integers are little-endian, byte strings and lists have a u32 length before them. There is no
//! version field: the two binaries are built and installed together, and
//! [`Request::Hello`] compares their build.

pub(crate) mod codec;
pub(crate) mod launcher;
pub(crate) mod transport;

pub(crate) use launcher::{Reply, Request};

/// Largest datagram between server and launcher.
pub(crate) const MAX_DATAGRAM: usize = 4096;

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

/// What the kernel said about a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", std::io::Error::from_raw_os_error(*.0))]
pub struct FailureSource(pub i32);

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
