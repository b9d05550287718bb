//! Merging in the background, one chain after the other.
//!
//! Runs name the layer they stand on when its chain is due; whoever asks again before the merge
//! is done changes nothing. By the time a layer's turn comes its chain may have become short
//! through a merge further down, so it is read again first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use contree_api::LayerId;
use contree_images::{Store, StoreError};
use contree_records::{Change, Merged, Records};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::due::{HARD, due};
use super::ground::{Ground, GroundError, Grounds};

/// Asks for merges. Clones share one worker.
#[derive(Debug, Clone)]
pub(crate) struct Merger {
    grounds: Grounds,
    asked: Arc<Mutex<HashSet<LayerId>>>,
    requests: mpsc::UnboundedSender<Request>,
}

struct Request {
    layer: LayerId,
    done: Option<oneshot::Sender<()>>,
}

/// Why a merge did not happen.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error(transparent)]
    Ground(#[from] GroundError),
    #[error("could not merge the folders")]
    Store(#[source] StoreError),
    #[error("could not make the merged folder durable")]
    Sync(#[source] std::io::Error),
    #[error("could not record the merged folder")]
    Records(#[source] contree_records::Error),
    #[error("the thread that merged is gone")]
    Thread(#[source] tokio::task::JoinError),
}

impl Merger {
    pub(crate) fn start(
        tasks: &TaskTracker,
        shutdown: CancellationToken,
        records: Records,
        store: Store,
        grounds: Grounds,
    ) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let asked = Arc::<Mutex<HashSet<LayerId>>>::default();
        let worker = Worker {
            records,
            store,
            grounds: grounds.clone(),
            asked: Arc::clone(&asked),
        };
        tasks.spawn(worker.run(queue, shutdown));
        Self {
            grounds,
            asked,
            requests,
        }
    }

    /// The ground for a run; asks for a merge when its chain is due, and waits for it when the
    /// chain is too long to stand on.
    pub(crate) async fn ground_for_run(&self, layer: LayerId) -> Result<Ground, GroundError> {
        let mut ground = self.grounds.stand_on(layer).await?;
        if ground.segments().len() > HARD + 1 {
            let (done, wait) = oneshot::channel();
            self.ask(Request {
                layer,
                done: Some(done),
            });
            // An error means that the worker is gone with the engine; the length says it all.
            drop(wait.await);
            ground = self.grounds.stand_on(layer).await?;
            if ground.segments().len() > HARD + 1 {
                return Err(GroundError::TooLong);
            }
        }
        if due(&ground.weights()).is_some() {
            self.ask(Request { layer, done: None });
        }
        Ok(ground)
    }

    fn ask(&self, request: Request) {
        let new = self
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(request.layer);
        if new || request.done.is_some() {
            // Fails only when the worker has ended, and with it the wish.
            let _ = self.requests.send(request);
        }
    }
}

struct Worker {
    records: Records,
    store: Store,
    grounds: Grounds,
    asked: Arc<Mutex<HashSet<LayerId>>>,
}

impl Worker {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Request>, shutdown: CancellationToken) {
        // A merge that has begun is brought to its end.
        while let Some(Some(Request { layer, done })) =
            shutdown.run_until_cancelled(queue.recv()).await
        {
            if let Err(error) = self.merge(layer).await {
                let error = crate::error::chain(&error);
                tracing::warn!(%layer, error, "layers were not merged; runs from here stay slower");
            }
            self.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&layer);
            if let Some(done) = done {
                // Whoever waited may have been cancelled.
                let _ = done.send(());
            }
        }
    }

    async fn merge(&self, layer: LayerId) -> Result<(), MergeError> {
        let ground = self.grounds.stand_on(layer).await?;
        let Some(take) = due(&ground.weights()) else {
            return Ok(());
        };
        let (top, base) = (ground.segments()[0], ground.segments()[take].top);
        let folder = LayerId::new();
        let _held = self.grounds.hold(folder);
        let sources = ground.folders();
        let store = self.store.clone();
        let usage = tokio::task::spawn_blocking(move || {
            store.merge(folder, &sources[..take], &sources[take..])
        })
        .await
        .map_err(MergeError::Thread)?
        .map_err(MergeError::Store)?;
        // Older images will stand on this folder: it has to be as durable as they are.
        self.store.sync().await.map_err(MergeError::Sync)?;
        let merged = Merged {
            folder,
            base: Some(base),
            bytes: usage.bytes,
            entries: usage.entries,
        };
        let change = Change::SetMerged {
            layer,
            merged: Some(merged),
        };
        self.records
            .apply(change, true)
            .await
            .map_err(MergeError::Records)?;
        drop(ground);
        // The merged folder that ended here before, if any, is now covered.
        let old = (top.folder != top.top).then_some(top.folder);
        for folder in self.grounds.released(old) {
            self.store.remove_layer(folder).map_err(MergeError::Store)?;
        }
        Ok(())
    }
}
