//! The frames of one stream of server-sent events, as they come over a connection.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;
use tokio::time::Instant;

use crate::call::{Call, Sent};
use crate::sse::{Frame, Parser};
use crate::{Client, Error};

/// How long whoever comes back to a stream too late still waits: it may have been the reader that
/// was away, and not the server.
const GRACE: Duration = Duration::from_secs(1);

/// As long as a clock can count on any machine.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// When a silence has lasted too long. It counts from the last byte and not from when it was last
/// looked for: readers may come and go as often as they like.
#[derive(Debug)]
struct Silence {
    end: Instant,
    has_grace: bool,
}

impl Silence {
    fn until(idle_timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            end: now.checked_add(idle_timeout).unwrap_or(now + FOR_EVER),
            has_grace: true,
        }
    }

    fn end(&mut self) -> Instant {
        let now = Instant::now();
        if self.end <= now && self.has_grace {
            self.has_grace = false;
            self.end = now + GRACE;
        }
        self.end
    }
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Frames {
    response: Response,
    sent: Sent,
    idle_timeout: Duration,
    silence: Silence,
    parser: Parser,
    ready: VecDeque<Frame>,
}

impl Frames {
    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Self {
        Self {
            response,
            sent: client.sent(call),
            idle_timeout: client.idle_timeout(),
            silence: Silence::until(client.idle_timeout()),
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
            let chunk = tokio::time::timeout_at(self.silence.end(), self.response.chunk())
                .await
                .map_err(|_| self.sent.clone().timed_out(self.idle_timeout))?
                .map_err(|source| self.sent.clone().broke(source))?;
            self.silence = Silence::until(self.idle_timeout);
            let Some(chunk) = chunk else { return Ok(None) };
            let mut frames = Vec::new();
            let fed = self.parser.feed(&chunk, &mut frames);
            self.ready.extend(frames);
            fed.map_err(|source| Error::Frame { source })?;
        }
    }
}
