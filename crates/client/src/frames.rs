//! The frames of one stream of server-sent events, as they come over a connection.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;

use crate::call::{Call, Sent};
use crate::sse::{Frame, Parser};
use crate::{Client, Error};

/// One stream.
#[derive(Debug)]
pub(crate) struct Frames {
    response: Response,
    sent: Sent,
    idle_timeout: Duration,
    parser: Parser,
    ready: VecDeque<Frame>,
}

impl Frames {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            response,
            sent: client.sent(call),
            idle_timeout: client.idle_timeout(),
            parser: Parser::new(),
            ready: VecDeque::new(),
        }
    }

    /// Method and path, for messages.
    pub(crate) fn request(&self) -> &str {
        &self.sent.request
    }

    /// The next frame; `None` at a clean end. Dropping the future loses nothing. What counts as
    /// silence is the time without a single byte: comments show that the server is there.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                if frame.event.as_deref() == Some("sse_error") {
                    return Err(Error::InBand {
                        message: frame.data,
                    });
                }
                return Ok(Some(frame));
            }
            let chunk = tokio::time::timeout(self.idle_timeout, self.response.chunk())
                .await
                .map_err(|_| self.sent.clone().timed_out(self.idle_timeout))?
                .map_err(|source| self.sent.clone().broke(source))?;
            let Some(chunk) = chunk else { return Ok(None) };
            let mut frames = Vec::new();
            let fed = self.parser.feed(&chunk, &mut frames);
            self.ready.extend(frames);
            fed.map_err(|source| Error::Frame { source })?;
        }
    }
}
