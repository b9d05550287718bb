//! The output of a process as it comes.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use contree_api::event::{Event, EventData, StreamName};
use contree_api::stream::StreamRepr;
use futures_util::Stream;

use super::outcome::incomplete;
use crate::{Error, Follow};

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// `Stdout` or `Stderr`.
    pub stream: StreamName,
    /// What was written. A character of several bytes is never cut between two pieces.
    pub bytes: Bytes,
}

impl Chunk {
    /// As text; bytes that are no UTF-8 are shown as U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// Output of a process from its first byte on, as it comes, until the process ends. It goes on over
/// as many connections as it takes.
#[derive(Debug)]
pub struct Output {
    follow: Follow,
    /// Beginnings of characters: of the output, and of the error output.
    held: [Bytes; 2],
    ready: VecDeque<Chunk>,
    has_ended: bool,
}

impl Output {
    pub(crate) fn new(follow: Follow) -> Self {
        Self {
            follow,
            held: Default::default(),
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    /// The next piece; `None` when the process has ended. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Stream`] when the stream broke again and again, or what never heals.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.has_ended {
                return Ok(None);
            }
            match self.follow.next().await? {
                Some(frame) => {
                    if let Some(event) = frame.event {
                        self.take(event)?;
                    }
                }
                None => {
                    self.has_ended = true;
                    for stream in [StreamName::Stdout, StreamName::Stderr] {
                        let bytes = std::mem::take(self.held(stream));
                        if !bytes.is_empty() {
                            self.ready.push_back(Chunk { stream, bytes });
                        }
                    }
                }
            }
        }
    }

    /// As a stream of the `futures` crates.
    pub fn into_stream(self) -> impl Stream<Item = Result<Chunk, Error>> + Send + Unpin + 'static {
        crate::stream::unfold(self, |mut output| async move {
            let next = output.next().await;
            (output, next)
        })
    }

    fn held(&mut self, stream: StreamName) -> &mut Bytes {
        &mut self.held[usize::from(stream == StreamName::Stderr)]
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        let (stream, chunk) = match event.data {
            EventData::Stdout(chunk) => (StreamName::Stdout, chunk),
            EventData::Stderr(chunk) => (StreamName::Stderr, chunk),
            _ => return Ok(()),
        };
        let bytes = decoded(chunk.value, chunk.encoding)?;
        let held = self.held(stream);
        let mut bytes = if held.is_empty() {
            bytes
        } else {
            let mut whole = BytesMut::from(&held[..]);
            whole.extend_from_slice(&bytes);
            whole.freeze()
        };
        *held = bytes.split_off(bytes.len() - incomplete(&bytes));
        if !bytes.is_empty() {
            self.ready.push_back(Chunk { stream, bytes });
        }
        Ok(())
    }
}

fn decoded(value: String, encoding: contree_api::Encoding) -> Result<Bytes, Error> {
    let stream = StreamRepr {
        value,
        encoding,
        truncated: false,
    };
    stream
        .to_bytes()
        .map(Bytes::from)
        .map_err(|error| Error::Answer {
            request: "an event of output".to_owned(),
            reason: error.to_string(),
        })
}
