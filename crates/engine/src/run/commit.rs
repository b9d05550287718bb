//! What a run has written, and what becomes of it.

use std::sync::Arc;

use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationStatus;
use contree_api::{ImageId, LayerId, Timestamp};
use contree_images::{Store, StoreError, Upper, Usage};
use contree_records::{ImageGround, ImageKind, NewImage, NewLayer};
use tokio::sync::Mutex;

use super::plan::preserved;
use super::too_large;
use crate::engine::Engine;
use crate::layers::{Ground, Held};
use crate::operation::end::End;
use crate::operation::live::{Live, Stop};

/// The upper of a run. Measuring it happens on another thread, which cannot be interrupted when
/// whoever asked goes away; the lock makes the commit wait for it.
#[derive(Debug)]
pub(super) struct Writable(Arc<Mutex<Option<Upper>>>);

/// Why what was written could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// The walk or the rename failed.
    #[error("what the run wrote could not be kept")]
    Store(#[from] StoreError),
    /// The thread that did it is gone.
    #[error("the server could not go on")]
    Thread(#[source] tokio::task::JoinError),
}

/// What a commit made.
struct Committed {
    usage: Usage,
    layer: Option<LayerId>,
}

impl Writable {
    pub(super) fn new(upper: Upper) -> Self {
        Self(Arc::new(Mutex::new(Some(upper))))
    }

    /// What was written so far.
    pub(super) async fn measure(
        &self,
        store: &Store,
        cap: Option<u64>,
    ) -> Result<Usage, CommitError> {
        let upper = Arc::clone(&self.0).lock_owned().await;
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            upper
                .as_ref()
                .map_or(Ok(Usage::default()), |upper| store.measure(upper, cap))
        })
        .await
        .map_err(CommitError::Thread)?
        .map_err(CommitError::Store)
    }

    /// Makes a layer of what was written, if it is anything and not too much.
    async fn commit(
        self,
        store: &Store,
        layer: LayerId,
        cap: u64,
    ) -> Result<Committed, CommitError> {
        let mut upper = self.0.lock_owned().await;
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            let Some(upper) = upper.take() else {
                return Ok(Committed {
                    usage: Usage::default(),
                    layer: None,
                });
            };
            let usage = store.measure(&upper, Some(cap))?;
            if !usage.changed || usage.exceeds(Some(cap)) {
                store.discard(upper);
                return Ok(Committed { usage, layer: None });
            }
            store.commit(upper, layer)?;
            Ok(Committed {
                usage,
                layer: Some(layer),
            })
        })
        .await
        .map_err(CommitError::Thread)?
    }
}

impl Engine {
    /// Makes an image of a run that has ended.
    pub(super) async fn commit(
        &self,
        live: &Live,
        request: &InstanceSpawnRequest,
        source: &ImageGround,
        upper: Writable,
        ground: Ground,
    ) -> End {
        if let Some(error) = live.log.failed() {
            return End::failed(format!("the event log could not be written: {error}"));
        }
        if request.disposable {
            drop(upper);
            return self.settle(live, End::succeeded(None)).await;
        }
        let cap = request.resources_limits.max_layer_bytes;
        let layer = LayerId::new();
        let held = self.grounds().hold(layer);
        let committed = match upper.commit(self.store(), layer, cap).await {
            Ok(committed) => committed,
            Err(error) => {
                tracing::error!(
                    operation = %live.id,
                    error = crate::error::chain(&error),
                    "a run's layer could not be committed"
                );
                return End::failed(error.to_string());
            }
        };
        if committed.layer.is_none() && committed.usage.exceeds(Some(cap)) {
            return End::failed(too_large(cap));
        }
        let end = self.image_of(live, request, source, &committed, ground, held);
        self.settle(live, end).await
    }

    /// The image that stands on what was committed.
    fn image_of(
        &self,
        live: &Live,
        request: &InstanceSpawnRequest,
        source: &ImageGround,
        committed: &Committed,
        ground: Ground,
        held: Held,
    ) -> End {
        let env = if request.preserve_env {
            preserved(&source.env, request.env.as_ref())
        } else {
            source.env.clone()
        };
        let cwd = if request.preserve_cwd {
            let initial = if request.cwd.is_empty() {
                source.cwd.as_deref().unwrap_or("/")
            } else {
                &request.cwd
            };
            Some(initial.to_owned())
        } else {
            source.cwd.clone()
        };
        // Not set and `/` are the same.
        let moved = cwd.as_deref().unwrap_or("/") != source.cwd.as_deref().unwrap_or("/");
        if committed.layer.is_none() && env == source.env && !moved {
            let mut end = End::succeeded(Some(source.id));
            end.image_size = Some(0);
            return end;
        }
        let now = Timestamp::now();
        let usage = &committed.usage;
        let image = NewImage {
            id: ImageId::new(),
            project: live.project,
            layer: committed.layer.unwrap_or(source.layer),
            env,
            cwd,
            parent: Some(source.id),
            operation: Some(live.id),
            kind: ImageKind::Run,
            digest: None,
            size: usage.bytes,
            created_at: now,
        };
        let mut end = End::succeeded(Some(image.id));
        end.layer = committed.layer.map(|id| NewLayer {
            id,
            parent: Some(source.layer),
            bytes: usage.bytes,
            entries: usage.entries,
            created_at: now,
        });
        end.image_size = Some(usage.bytes);
        end.image = Some(image);
        end.stands_on = Some((ground, held));
        end
    }

    /// Makes what an operation made survive a power loss, unless it was cancelled by now. An engine
    /// that shuts down lets it pass.
    pub(crate) async fn settle(&self, live: &Live, end: End) -> End {
        if live.stop_reason() == Some(Stop::Cancelled) {
            return self.undo(End::cancelled(), end);
        }
        match self.make_durable(live).await {
            Ok(()) => end,
            Err(error) => {
                tracing::error!(operation = %live.id, %error, "a result could not be made durable");
                let failed = End::failed("the result could not be written to the disk");
                self.undo(failed, end)
            }
        }
    }

    /// Takes back what a run has made that is not on record.
    fn undo(&self, instead: End, end: End) -> End {
        debug_assert_eq!(end.status, OperationStatus::Success);
        self.forget_layer(&end);
        instead
    }
}
