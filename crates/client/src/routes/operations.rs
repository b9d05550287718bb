//! Operations: list, look at, cancel, and their events.

use contree_api::OperationId;
use contree_api::operation::{OperationKind, OperationResponse, OperationStatus, OperationSummary};

use crate::call::Call;
use crate::events::{EventQuery, EventStream, Follow};
use crate::feed::OperationFeed;
use crate::{Client, Error};

/// Which operations a list has. Left out: all of the project, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationFilter {
    /// At most so many, 1 to 1000; the server's default is 100.
    pub limit: Option<u32>,
    /// So many are skipped.
    pub offset: Option<u32>,
    /// Only those in this state.
    pub status: Option<OperationStatus>,
    /// Only those of this kind.
    pub kind: Option<OperationKind>,
    /// Accepted at or after this moment (any form that the API takes).
    pub since: Option<String>,
    /// Accepted before this moment.
    pub until: Option<String>,
}

impl Client {
    /// `GET /operations`: one page.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_operations(
        &self,
        filter: &OperationFilter,
    ) -> Result<Vec<OperationSummary>, Error> {
        let call = Call::get("/operations")
            .query_some("limit", filter.limit)
            .query_some("offset", filter.offset)
            .query_some("status", filter.status.map(OperationStatus::name))
            .query_some("kind", filter.kind.map(OperationKind::name))
            .query_some("since", filter.since.as_deref())
            .query_some("until", filter.until.as_deref());
        self.json(&call).await
    }

    /// `GET /operations/{id}`; with `inflight` also the output so far.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn operation(
        &self,
        id: OperationId,
        inflight: bool,
    ) -> Result<OperationResponse, Error> {
        self.json(&operation_call(id, inflight)).await
    }

    /// The same, sent once whatever comes of it.
    pub(crate) async fn operation_once(&self, id: OperationId) -> Result<OperationResponse, Error> {
        self.json_in_turn(&operation_call(id, false)).await
    }

    /// The same as the server's own JSON, with fields that this library does not know.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn operation_json(&self, id: OperationId, inflight: bool) -> Result<String, Error> {
        let call = operation_call(id, inflight);
        let body = self.bytes(&call).await?;
        String::from_utf8(body.into()).map_err(|error| call.answer(&error))
    }

    /// `DELETE /operations/{id}`: asks for the end of an operation.
    ///
    /// # Errors
    /// [`Error`]; 409 when it has ended already.
    pub async fn cancel(&self, id: OperationId) -> Result<(), Error> {
        self.done(&Call::delete(format!("/operations/{id}"))).await
    }

    /// `GET /operations/{id}/events`: one stream, which ends when its connection does.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn events(&self, id: OperationId, query: &EventQuery) -> Result<EventStream, Error> {
        let call = query.call(id);
        let response = self.response(&call).await?;
        Ok(EventStream::new(self, &call, response))
    }

    /// The events of an operation until it ends, over as many connections as it takes.
    #[must_use]
    pub fn follow(&self, id: OperationId) -> Follow {
        Follow::new(self.clone(), id)
    }

    /// `GET /operations/events`: every change of status of the project's operations from now on, or
    /// with `ended` only their ends. (Beyond the contract: other servers answer with an error.)
    ///
    /// # Errors
    /// [`Error`]; [`Error::Answer`] when what comes is no event stream.
    pub async fn operation_feed(&self, ended: bool) -> Result<OperationFeed, Error> {
        let call = OperationFeed::call(ended);
        let response = self.response(&call).await?;
        OperationFeed::new(self, &call, response)
    }

    /// The same, sent once whatever comes of it.
    pub(crate) async fn operation_feed_once(&self, ended: bool) -> Result<OperationFeed, Error> {
        let call = OperationFeed::call(ended);
        let response = self.once(&call).await?;
        OperationFeed::new(self, &call, response)
    }
}

fn operation_call(id: OperationId, inflight: bool) -> Call {
    Call::get(format!("/operations/{id}"))
        .query_some("inflight", inflight.then_some(1))
        .asks_operation()
}
