//! What can go wrong between a call and its answer.

use std::path::PathBuf;
use std::time::Duration;

/// What lies below an error, in its own words.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An answer that is an error, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The request's method, such as `GET`.
    pub method: String,
    /// The request's whole URL, with its query.
    pub url: String,
    /// The answer's headers in order, their names in lower case. Bytes that are not UTF-8 are
    /// replaced.
    pub headers: Vec<(String, String)>,
    /// The answer's body; empty when it could not be read, or was too long for a sentence.
    pub body: bytes::Bytes,
}

/// A call that did not give what it promises.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base URL cannot be used.
    #[error("{url:?} is not an http or https URL with a host")]
    BaseUrl {
        /// As given.
        url: String,
    },
    /// The token or project has characters that a header cannot carry.
    #[error("the {what} has characters that cannot be sent in a header")]
    Header {
        /// `token`, `project`, `user agent`, `name of a header` or `value of a header`.
        what: &'static str,
    },
    /// The HTTP machinery could not be set up.
    #[error("could not set up the HTTP client")]
    Setup {
        /// Why.
        #[source]
        source: Cause,
    },
    /// There is nothing to tell by who a server of `https` is.
    #[error(
        "the system's certificates, which https needs, cannot be read: install ca-certificates, or \
         name a file of certificates in SSL_CERT_FILE"
    )]
    Certificates {
        /// Why.
        #[source]
        source: Cause,
    },
    /// The server could not be reached; nothing was sent.
    #[error("could not connect to {url}")]
    Connect {
        /// Scheme, host and port.
        url: String,
        /// Method and path.
        request: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The connection broke, or the answer did not come in time. For requests that change
    /// something it is not known whether they were carried out.
    #[error("{request}: the connection failed before the answer was complete")]
    Transport {
        /// Method and path.
        request: String,
        /// Where it was sent, query included.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Nothing came for too long.
    #[error("{request}: no answer within {} seconds", after.as_secs())]
    TimedOut {
        /// Method and path.
        request: String,
        /// Where it was sent, query included.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server answered with an error.
    #[error("{message}")]
    Status {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, else the status' name.
        message: String,
        /// When to try again, if the server said.
        retry_after: Option<Duration>,
        /// The whole of it.
        refusal: Box<Refusal>,
    },
    /// The answer is not what the contract says.
    #[error("{request}: the answer is not what was expected: {reason}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The event stream of an operation broke again and again.
    #[error("the event stream of operation {operation} broke {attempts} times without progress")]
    Stream {
        /// Which operation.
        operation: contree_api::OperationId,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<Error>,
    },
    /// The server reported a fault inside an event stream.
    #[error("the server ended the event stream: {message}")]
    InBand {
        /// The server's words.
        message: String,
    },
    /// An event stream broke the rules of the format.
    #[error("the event stream is malformed")]
    Frame {
        /// How.
        #[source]
        source: crate::sse::FrameError,
    },
    /// A local file could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A local file could not be written.
    #[error("could not write {}", path.display())]
    Save {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What names an image is neither its id nor `tag:NAME`.
    #[error(
        "{text:?} names no image: an image is named by its UUID or by tag:NAME, such as \
         tag:ubuntu:latest"
    )]
    Reference {
        /// As given.
        text: String,
    },
    /// A tag is none.
    #[error("{text:?} is no tag")]
    Tag {
        /// As given.
        text: String,
        /// Why.
        #[source]
        source: contree_api::tag::InvalidTag,
    },
    /// An operation ended without a result.
    #[error("operation {operation} failed: {reason}")]
    Failed {
        /// Which.
        operation: contree_api::OperationId,
        /// The server's words.
        reason: String,
    },
    /// An operation was cancelled.
    #[error("operation {operation} was cancelled")]
    Cancelled {
        /// Which.
        operation: contree_api::OperationId,
    },
    /// An operation that was taken for a run is an import.
    #[error("operation {operation} is no run")]
    NotARun {
        /// Which.
        operation: contree_api::OperationId,
    },
    /// A run succeeded, and its image could not be tagged.
    #[error("the result {image} could not be tagged {tag}")]
    NotTagged {
        /// The image that the run left behind.
        image: contree_api::ImageId,
        /// What it should have been tagged.
        tag: contree_api::Tag,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// A session has not so many images to go back.
    #[error("cannot go back {steps} images: the session has {held} before its tip")]
    Rollback {
        /// How many were asked for.
        steps: usize,
        /// How many there are.
        held: usize,
    },
}

impl Error {
    /// The HTTP status, when the server answered with an error.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server said that there is no such thing in the project.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// The answer as it came, when the server answered with an error.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Status { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// When the server asked to be tried again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
