//! Reading an event log at the reader's own pace.

use std::pin::Pin;
use std::task::{Context, Poll};

use contree_api::OperationId;
use futures_util::Stream;

use crate::{Engine, Error, Identity};

/// Which events to read, and whether to wait for more.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventQuery {
    /// Stay until the operation has ended.
    pub follow: bool,
    /// Only of this process; `completion` belongs to none.
    pub spid: Option<u32>,
    /// Only with a greater id.
    pub after: Option<u64>,
}

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Its id.
    pub id: u64,
    /// Its type, such as `stdout`.
    pub kind: &'static str,
    /// The whole event on one line, without the newline.
    pub json: String,
}

/// The events of one operation. Ends after the last known event, or with `follow` after
/// `completion` or when the engine shuts down.
#[derive(Debug)]
pub struct EventStream {
    _private: (),
}

impl Stream for EventStream {
    type Item = Result<EventLine, Error>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

impl Engine {
    /// Opens an operation's event log.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`, or without a spawn permission for `follow`.
    pub async fn events(
        &self,
        identity: &Identity,
        operation: OperationId,
        query: EventQuery,
    ) -> Result<EventStream, Error> {
        let _ = (identity, operation, query);
        Err(Error::not_yet())
    }
}
