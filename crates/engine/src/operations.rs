//! Operations as callers see them: accepted, listed, read, cancelled.

use contree_api::OperationId;
use contree_api::image::ImageImportRequest;
use contree_api::instance::{InstanceSpawnRequest, InstanceSpawnResponse};
use contree_api::operation::{OperationResponse, OperationSummary};

use crate::{Engine, Error, Identity, OperationFilter};

impl Engine {
    /// Accepts a run. The operation is on record when this returns; nothing was executed when it
    /// fails.
    ///
    /// # Errors
    /// `BadRequest` naming the field; `NotFound` for the image or a file; `Forbidden` without
    /// `spawn` (`spawn_disposable` for disposable runs); `TooManyRequests` when the queue is
    /// full; `Unavailable` when shutting down or the disk is nearly full.
    pub async fn spawn(
        &self,
        identity: &Identity,
        request: InstanceSpawnRequest,
    ) -> Result<InstanceSpawnResponse, Error> {
        let _ = (identity, request);
        Err(Error::not_yet())
    }

    /// Accepts an import.
    ///
    /// # Errors
    /// As [`Engine::spawn`], with the permission `import`.
    pub async fn import(
        &self,
        identity: &Identity,
        request: ImageImportRequest,
    ) -> Result<OperationId, Error> {
        let _ = (identity, request);
        Err(Error::not_yet())
    }

    /// The project's operations, newest first.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub async fn operations(
        &self,
        identity: &Identity,
        filter: &OperationFilter,
    ) -> Result<Vec<OperationSummary>, Error> {
        let _ = (identity, filter);
        Err(Error::not_yet())
    }

    /// One operation; with `inflight` its output so far is in `result`.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn operation(
        &self,
        identity: &Identity,
        operation: OperationId,
        inflight: bool,
    ) -> Result<OperationResponse, Error> {
        let _ = (identity, operation, inflight);
        Err(Error::not_yet())
    }

    /// Asks for an operation to be cancelled; it is CANCELLED soon after.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended; `Forbidden` without `cancel`.
    pub async fn cancel(&self, identity: &Identity, operation: OperationId) -> Result<(), Error> {
        let _ = (identity, operation);
        Err(Error::not_yet())
    }
}
