//! Operations as callers see them. A live one is shown from memory, one that has ended from the
//! records, and what its processes did from its log.
//!
//! One may end at any moment, also while it is being shown. So how a live one stands is looked at
//! once, and all that is shown of it goes by that: in memory an end has no result.

use std::path::PathBuf;
use std::sync::Arc;

use contree_api::event::Completion;
use contree_api::image::ImageImportRequest;
use contree_api::instance::{InstanceResult, InstanceSpawnRequest};
use contree_api::operation::{
    InstanceMetadata, OperationKind, OperationMetadata, OperationResponse, OperationResult,
    OperationStatus, OperationSummary,
};
use contree_api::whoami::Permission;
use contree_api::{OperationId, ProjectId, Timestamp};
use contree_records::Operation;

use super::live::{Asked, Live};
use crate::engine::Engine;
use crate::events::fold::Folded;
use crate::events::log;
use crate::{Error, Identity, OperationFilter};

/// Logs up to this size are folded on the spot; larger ones on another thread.
const FOLD_INLINE: u64 = 64 * 1024;

impl Engine {
    /// The project's operations, newest first.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub async fn operations(
        &self,
        identity: &Identity,
        filter: &OperationFilter,
    ) -> Result<Vec<OperationSummary>, Error> {
        identity.require(Permission::List)?;
        if let Some(status) = filter.status
            && !status.is_terminal()
        {
            return Ok(self.live_operations(identity.project_id, filter, status));
        }
        let stored = self
            .records()
            .operations(identity.project_id, filter)
            .await?;
        let mut shown = Vec::with_capacity(stored.len());
        for stored in stored {
            let id = stored.id;
            let live = self.live_set().get(id).map(|live| live.summary());
            // On record all are PENDING that have not ended, and those that have are ended a moment
            // before anybody is told: until then they go on.
            let summary = match live {
                Some(live) if !live.status.is_terminal() => live,
                _ if stored.status.is_terminal() => summary(&stored),
                // It has ended since the records were read.
                _ => {
                    let now = self.records().operation(identity.project_id, id).await?;
                    summary(&now.unwrap_or(stored))
                }
            };
            if filter.status.is_none_or(|status| summary.status == status) {
                shown.push(summary);
            }
        }
        Ok(shown)
    }

    /// On record they are all PENDING, so their states are looked at in memory.
    fn live_operations(
        &self,
        project: ProjectId,
        filter: &OperationFilter,
        status: OperationStatus,
    ) -> Vec<OperationSummary> {
        let page = filter.page;
        let live = self.live_set().of_project(project);
        let mut found: Vec<OperationSummary> = live.iter().map(|live| live.summary()).collect();
        found.retain(|shown| {
            shown.status == status
                && filter.kind.is_none_or(|kind| shown.kind == kind)
                && page.since.is_none_or(|since| shown.created_at >= since)
                && page.until.is_none_or(|until| shown.created_at <= until)
        });
        found.sort_by_key(|shown| std::cmp::Reverse((shown.created_at, shown.uuid)));
        found
            .into_iter()
            .skip(page.offset as usize)
            .take(page.limit as usize)
            .collect()
    }

    /// One operation; with `inflight`, and while it runs, its output so far is in both `result`s.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn operation(
        &self,
        identity: &Identity,
        operation: OperationId,
        inflight: bool,
    ) -> Result<OperationResponse, Error> {
        identity.require(Permission::List)?;
        if let Some(live) = self.live(identity, operation) {
            let summary = live.summary();
            if !summary.status.is_terminal() {
                return self.show_live(&live, summary, inflight).await;
            }
        }
        let stored = self.stored_operation(identity, operation).await?;
        let metadata = match stored.kind {
            OperationKind::Instance => {
                let request: InstanceSpawnRequest = request_of(&stored)?;
                let (path, size) = self.sealed_log(&stored).await?;
                let folded = fold(path, size, 1).await?;
                let result = folded
                    .spawned
                    .then(|| folded.result(self.config().cpu_price));
                OperationMetadata::Instance(Box::new(InstanceMetadata { request, result }))
            }
            OperationKind::ImageImport => {
                let request: ImageImportRequest = request_of(&stored)?;
                OperationMetadata::Import(request)
            }
        };
        let result = (stored.status == OperationStatus::Success).then(|| OperationResult {
            image: stored.result_image,
            tag: stored.result_tag.clone(),
            stdout: None,
            stderr: None,
        });
        Ok(OperationResponse {
            summary: summary(&stored),
            metadata,
            result,
        })
    }

    async fn show_live(
        &self,
        live: &Live,
        summary: OperationSummary,
        inflight: bool,
    ) -> Result<OperationResponse, Error> {
        let mut result = None;
        let metadata = match &live.asked {
            Asked::Run(request) => {
                let mut metadata = InstanceMetadata {
                    request: (**request).clone(),
                    result: None,
                };
                if inflight && summary.status == OperationStatus::Executing {
                    // "Under `result`", says the contract, which has two of that name.
                    let size = live.log.watch().borrow().size;
                    let folded = fold(live.log.path().to_owned(), size, 1).await?;
                    result = Some(OperationResult {
                        image: None,
                        tag: None,
                        stdout: Some(folded.stdout()),
                        stderr: Some(folded.stderr()),
                    });
                    metadata.result = Some(folded.result(self.config().cpu_price));
                }
                OperationMetadata::Instance(Box::new(metadata))
            }
            Asked::Import(request) => OperationMetadata::Import((**request).clone()),
        };
        Ok(OperationResponse {
            summary,
            metadata,
            result,
        })
    }

    /// The result of one process. None: its log has no such process.
    pub(crate) async fn folded_result(
        &self,
        path: PathBuf,
        size: u64,
        spid: u32,
    ) -> Result<Option<InstanceResult>, Error> {
        let folded = fold(path, size, spid).await?;
        Ok(folded
            .spawned
            .then(|| folded.result(self.config().cpu_price)))
    }

    /// A live operation of the caller's project.
    pub(crate) fn live(&self, identity: &Identity, operation: OperationId) -> Option<Arc<Live>> {
        self.live_set()
            .get(operation)
            .filter(|live| live.project == identity.project_id)
    }

    /// The states of a project's live operations.
    pub(crate) fn live_statuses(&self, project: ProjectId) -> Vec<OperationStatus> {
        self.live_set()
            .of_project(project)
            .iter()
            .map(|live| live.status())
            .collect()
    }

    /// An operation of the caller's project that has ended.
    pub(crate) async fn stored_operation(
        &self,
        identity: &Identity,
        operation: OperationId,
    ) -> Result<Operation, Error> {
        self.records()
            .operation(identity.project_id, operation)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no operation {operation}")))
    }

    /// The log of an operation that has ended, and its size; `completion` is its last event.
    pub(crate) async fn sealed_log(&self, stored: &Operation) -> Result<(PathBuf, u64), Error> {
        // Its end is on record a moment before its log has it. Whoever ends it writes that
        // itself; two that do would write it twice.
        if let Some(live) = self.live_set().get(stored.id) {
            live.ended.cancelled().await;
        }
        let path = log::path(self.events_dir(), stored.id);
        let completion = completion(stored);
        let sealing = self.sealing().lock().await;
        let size = log::seal(&path, || completion)
            .map_err(|error| Error::internal("the event log could not be read", error))?;
        drop(sealing);
        Ok((path, size))
    }
}

/// What `completion` says of an operation on record.
pub(crate) fn completion(stored: &Operation) -> Completion {
    let micros = run_time(stored.started_at, stored.finished_at).unwrap_or(0);
    Completion {
        status: stored.status,
        result_image_uuid: stored.result_image,
        error: stored.error.clone(),
        duration_ms: u64::try_from(micros / 1_000).unwrap_or(0),
        image_size_bytes: stored
            .image_size
            .and_then(|size| size.try_into().ok())
            .unwrap_or(0),
    }
}

/// In microseconds; none when its turn never came.
pub(super) fn run_time(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    Some((to?.as_micros() - from?.as_micros()).max(0))
}

/// A run time as it is shown.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of an operation fit"
)]
pub(super) fn seconds(run_time: Option<i64>) -> f64 {
    run_time.map_or(0.0, |micros| micros as f64 / 1e6)
}

fn summary(stored: &Operation) -> OperationSummary {
    OperationSummary {
        uuid: stored.id,
        kind: stored.kind,
        status: stored.status,
        error: stored.error.clone(),
        created_at: stored.created_at,
        duration: seconds(run_time(stored.started_at, stored.finished_at)),
        image_size: stored.image_size,
        consumed_cpu: stored.cpu,
        consumed_memory: stored.memory,
        image_uuid: stored.image,
        result_image_uuid: stored.result_image,
    }
}

fn request_of<T: serde::de::DeserializeOwned>(stored: &Operation) -> Result<T, Error> {
    serde_json::from_str(&stored.request)
        .map_err(|error| Error::internal("the recorded request could not be read", error))
}

async fn fold(path: PathBuf, size: u64, spid: u32) -> Result<Folded, Error> {
    let failed = |error| Error::internal("the event log could not be read", error);
    if size <= FOLD_INLINE {
        return Folded::read(&path, size, spid).map_err(failed);
    }
    tokio::task::spawn_blocking(move || Folded::read(&path, size, spid))
        .await
        .map_err(|error| Error::internal("the event log could not be read", error))?
        .map_err(failed)
}
