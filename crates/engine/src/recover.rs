//! Bringing a data folder to order that an earlier server left in the middle of its work.
//!
//! Sandboxes of a dead server are gone and their uppers thrown away before this runs. What is
//! left to do:
//!
//! - **Merged folders** that are not there are forgotten; the layers they were made of are used
//!   again. **Layers** that are not there are a loss that only a broken disk can cause; it is
//!   logged, and runs from their images fail.
//! - **Folders** that no record names are removed: a commit that did not get on record.
//! - **Operations** that had not ended. One whose event log exists had begun: it FAILED, and the
//!   end of its log says so. One without a log had not, and is taken up again, unless its
//!   registry credentials went with the dead server, or the machine has been started anew since
//!   (then a log may be missing because it never reached the disk, and nobody may run a command
//!   twice).

use std::collections::HashSet;
use std::sync::Arc;

use contree_api::image::ImageImportRequest;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::{LayerId, Timestamp};
use contree_records::{Change, Ended, Operation};

use crate::Error;
use crate::engine::{Engine, StartError};
use crate::events::log;
use crate::operation::completion;
use crate::operation::live::{Asked, Asker};
use crate::operation::scheduler::Work;
use crate::run::plan::RunPlan;

/// Name under which the records keep the boot that the last server ran in.
const BOOT: &str = "boot";

const INTERRUPTED: &str = "the server stopped before the operation ended";
const NO_CREDENTIALS: &str = "the server was restarted before the import began; \
     its registry credentials are not kept, so please import again";

impl Engine {
    pub(crate) async fn recover(&self) -> Result<(), StartError> {
        self.check_layers().await?;
        self.finish_removals().await?;
        let same_boot = self.note_boot().await?;
        let open = self
            .records()
            .open_operations()
            .await
            .map_err(StartError::Records)?;
        for operation in open {
            let begun = !same_boot || log::path(self.events_dir(), operation.id).exists();
            if begun {
                self.close(operation, INTERRUPTED).await?;
            } else if let Err(error) = self.take_up(&operation).await {
                self.close(operation, error.message()).await?;
            }
        }
        Ok(())
    }

    /// Takes away what projects had that were removed offline, or when the server stopped.
    async fn finish_removals(&self) -> Result<(), StartError> {
        let closed = self
            .records()
            .closed_projects()
            .await
            .map_err(StartError::Records)?;
        for project in closed {
            self.remove_closed(project)
                .await
                .map_err(StartError::Removal)?;
            tracing::info!(%project, "a removed project is gone");
        }
        Ok(())
    }

    /// Compares the store with the records.
    async fn check_layers(&self) -> Result<(), StartError> {
        let nodes = self
            .records()
            .layer_nodes()
            .await
            .map_err(StartError::Records)?;
        let there: HashSet<LayerId> = self
            .store()
            .layer_ids()
            .map_err(StartError::Store)?
            .collect();
        let mut named = HashSet::with_capacity(nodes.len());
        for node in &nodes {
            named.insert(node.id);
            if !there.contains(&node.id) {
                tracing::error!(layer = %node.id, "a layer is missing; images on it cannot run");
            }
            let Some(merged) = node.merged else { continue };
            named.insert(merged);
            if !there.contains(&merged) {
                tracing::warn!(layer = %node.id, "a merged folder is missing; it is made again");
                let change = Change::SetMerged {
                    layer: node.id,
                    merged: None,
                };
                self.records()
                    .apply(change, false)
                    .await
                    .map_err(StartError::Records)?;
            }
        }
        for layer in there.difference(&named) {
            self.store()
                .remove_layer(*layer)
                .map_err(StartError::Store)?;
        }
        Ok(())
    }

    /// Whether the last server ran since the machine was started.
    async fn note_boot(&self) -> Result<bool, StartError> {
        let now = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_default();
        let before = self
            .records()
            .meta(BOOT)
            .await
            .map_err(StartError::Records)?;
        let change = Change::SetMeta {
            name: BOOT,
            value: now.clone(),
        };
        self.records()
            .apply(change, true)
            .await
            .map_err(StartError::Records)?;
        Ok(!now.is_empty() && before == Some(now))
    }

    /// Fails an operation: on record, then in its log.
    async fn close(&self, mut operation: Operation, error: &str) -> Result<(), StartError> {
        operation.status = OperationStatus::Failed;
        operation.error = Some(error.to_owned());
        operation.finished_at = Some(Timestamp::now());
        let ended = Ended {
            id: operation.id,
            project: operation.project,
            status: operation.status,
            error: operation.error.clone(),
            started_at: None,
            finished_at: Timestamp::now(),
            layer: None,
            image: None,
            result_image: None,
            result_tag: None,
            image_size: None,
            cpu: None,
            memory: None,
        };
        let change = Change::End(Box::new(ended));
        self.records()
            .apply(change, false)
            .await
            .map_err(StartError::Records)?;
        let path = log::path(self.events_dir(), operation.id);
        log::seal(&path, || completion(&operation))
            .map_err(|source| StartError::Log { path, source })?;
        tracing::info!(operation = %operation.id, error, "an operation of an earlier server ended");
        Ok(())
    }

    /// Queues an operation that had not begun.
    async fn take_up(&self, operation: &Operation) -> Result<(), Error> {
        let unreadable = |error| Error::internal("the recorded request could not be read", error);
        let (asked, work) = match operation.kind {
            OperationKind::Instance => {
                let request: InstanceSpawnRequest =
                    serde_json::from_str(&operation.request).map_err(unreadable)?;
                let image = self.image_named(operation.project, &request.image).await?;
                let work = Work::Run(Box::new(RunPlan { image }));
                (Asked::Run(Arc::new(request)), work)
            }
            OperationKind::ImageImport => {
                let request: ImageImportRequest =
                    serde_json::from_str(&operation.request).map_err(unreadable)?;
                if request.registry.credentials.is_some() {
                    return Err(Error::bad_request(NO_CREDENTIALS));
                }
                let plan = self
                    .plan_import(operation.project, &request, &self.config().limits)
                    .await?;
                (
                    Asked::Import(Arc::new(request)),
                    Work::Import(Box::new(plan)),
                )
            }
        };
        let asker = Asker {
            token: operation.token,
            token_width: operation
                .token_width
                .and_then(|width| usize::try_from(width).ok())
                .unwrap_or(usize::MAX),
        };
        let live = self.new_live(
            operation.id,
            operation.project,
            asker,
            asked,
            operation.image,
            operation.created_at,
        );
        self.resume(live, work);
        Ok(())
    }
}
