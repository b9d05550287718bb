//! The feed: what becomes of all operations of a project, on one stream.
//!
//! It has no memory. It begins when the head of its answer is sent, tells every change from then
//! on, and what happened while nobody listened is to be asked for. It is an extension of this
//! project's server; others answer with an error or something that is no stream.

use contree_api::operation::OperationSummary;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use crate::call::Call;
use crate::frames::Frames;
use crate::{Client, Error};

/// One connection to the feed.
#[derive(Debug)]
pub struct OperationFeed {
    frames: Frames,
}

impl OperationFeed {
    pub(crate) fn call(ended: bool) -> Call {
        Call::get("/operations/events")
            .query_some("ended", ended.then_some(1))
            .accept("text/event-stream")
    }

    pub(crate) fn new(client: &Client, call: &Call, response: Response) -> Result<Self, Error> {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
        if !kind.starts_with(b"text/event-stream") {
            return Err(call.answer(&"it is no event stream"));
        }
        Ok(Self {
            frames: Frames::new(client, call, response),
        })
    }

    /// The next operation that changed, as it stands after the change; `None` at a clean end.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Transport`] and [`Error::TimedOut`] when the connection broke or fell silent,
    /// [`Error::InBand`] when the server reported a fault, such as that it was read too slowly,
    /// [`Error::Frame`] and [`Error::Answer`] when it does not keep to the format.
    pub async fn next(&mut self) -> Result<Option<OperationSummary>, Error> {
        while let Some(frame) = self.frames.next().await? {
            if frame.event.as_deref() != Some("operation") {
                continue;
            }
            return serde_json::from_str(&frame.data)
                .map(Some)
                .map_err(|error| Error::Answer {
                    request: self.frames.request().to_owned(),
                    reason: format!("a frame is no operation: {error}"),
                });
        }
        Ok(None)
    }
}
