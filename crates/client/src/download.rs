//! Bytes that come in piece by piece.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;

use crate::call::{Call, broke};
use crate::{Client, Error};

/// A file that comes in piece by piece.
#[derive(Debug)]
pub struct Download {
    response: Response,
    request: String,
    idle_timeout: Duration,
}

impl Download {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            response,
            request: call.name(),
            idle_timeout: client.idle_timeout(),
        }
    }

    /// Bytes to come, if the server said.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Whether what comes is compressed with gzip.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        let coding = self.response.headers().get(CONTENT_ENCODING);
        coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
    }

    /// The next piece; `None` when the file is complete.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks before the end, [`Error::TimedOut`] after a
    /// silence of [`Config::idle_timeout`](crate::Config::idle_timeout).
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(self.idle_timeout, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|source| broke(&self.request, source)),
            Err(_) => Err(Error::TimedOut {
                request: self.request.clone(),
                after: self.idle_timeout,
            }),
        }
    }
}
