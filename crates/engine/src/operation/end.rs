//! The end of an operation: on record first, then in its log, then gone from memory.
//!
//! 1. What it made is durable (the caller has seen to that), and from now on it cannot be stopped:
//!    a client is told that its request to cancel was accepted exactly when CANCELLED comes of it.
//! 2. One transaction: layer, image, tag, and the operation's own row.
//! 3. Its lane has room for the next: who hears of the end may start another, and it need not wait.
//! 4. Its status is terminal for whoever asks.
//! 5. `completion` ends its log, and with it every stream of its events.
//! 6. It leaves the set of live operations.
//! 7. Whoever listens to the project's operations hears of it, and finds all of the above done.

use std::sync::Arc;

use contree_api::event::Completion;
use contree_api::operation::{OperationStatus, OperationSummary};
use contree_api::{ImageId, Tag, Timestamp};
use contree_records::{Change, Ended, ImageGround, NewImage, NewLayer};
use tokio::sync::OwnedMutexGuard;

use super::live::{Live, Stop};
use super::scheduler::Job;
use super::show::{run_time, seconds};
use crate::Durability;
use crate::engine::Engine;
use crate::layers::{Ground, Held};

/// How an operation ends and what it made.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: OperationStatus,
    pub(crate) error: Option<String>,
    pub(crate) layer: Option<NewLayer>,
    pub(crate) image: Option<NewImage>,
    pub(crate) result_image: Option<ImageId>,
    pub(crate) tag: Option<Tag>,
    pub(crate) image_size: Option<u64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<i64>,
    /// Keeps the layers in place until the image is on record.
    pub(crate) stands_on: Option<(Ground, Held)>,
    /// Keeps an imported layer in place until the image is on record.
    pub(crate) held: Option<Held>,
    /// Keeps other imports of the same content waiting until the image is on record.
    pub(crate) alone: Option<OwnedMutexGuard<()>>,
}

impl End {
    fn new(status: OperationStatus) -> Self {
        Self {
            status,
            error: None,
            layer: None,
            image: None,
            result_image: None,
            tag: None,
            image_size: None,
            cpu: None,
            memory: None,
            stands_on: None,
            held: None,
            alone: None,
        }
    }

    pub(crate) fn succeeded(image: Option<ImageId>) -> Self {
        Self {
            result_image: image,
            ..Self::new(OperationStatus::Success)
        }
    }

    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::new(OperationStatus::Failed)
        }
    }

    pub(crate) fn cancelled() -> Self {
        let error = Some("the operation was cancelled".to_owned());
        Self {
            error,
            ..Self::new(OperationStatus::Cancelled)
        }
    }
}

/// An end that is on record and of which nobody has heard yet.
struct Recorded {
    end: End,
    /// In microseconds.
    run_time: Option<i64>,
}

impl Engine {
    /// Brings a live operation that never had its turn to its end.
    pub(crate) async fn end_waiting(&self, live: &Arc<Live>, end: End) {
        let recorded = self.record_end(live, end).await;
        self.tell_end(live, recorded);
    }

    /// Brings a live operation whose turn had come to its end; answers with the one whose turn it
    /// is now.
    pub(crate) async fn end(&self, live: &Arc<Live>, end: End) -> Option<Job> {
        let recorded = self.record_end(live, end).await;
        let next = self.scheduler().release(live);
        self.tell_end(live, recorded);
        next
    }

    /// What became of it, on record.
    async fn record_end(&self, live: &Arc<Live>, mut end: End) -> Recorded {
        let cancelled = live.settle() == Some(Stop::Cancelled);
        if cancelled && end.status != OperationStatus::Cancelled {
            self.forget_layer(&end);
            end = End {
                cpu: end.cpu,
                memory: end.memory,
                ..End::cancelled()
            };
        }
        let started_at = live.started().map(|(at, _)| at);
        let finished_at = Timestamp::now();
        let record = |end: &End| {
            let ended = Ended {
                id: live.id,
                project: live.project,
                status: end.status,
                error: end.error.clone(),
                started_at,
                finished_at,
                layer: end.layer.clone(),
                image: end.image.clone(),
                result_image: end.result_image,
                result_tag: end.tag.clone(),
                image_size: end.image_size,
                cpu: end.cpu,
                memory: end.memory,
            };
            Change::End(Box::new(ended))
        };
        let durable = end.status == OperationStatus::Success
            && self.config().durability == Durability::Durable;
        if let Err(error) = self.records().apply(record(&end), durable).await {
            tracing::error!(
                operation = %live.id,
                error = crate::error::chain(&error),
                "the end of an operation could not be recorded"
            );
            self.forget_layer(&end);
            end = End::failed("the result could not be recorded");
            if let Err(error) = self.records().apply(record(&end), false).await {
                // The next start of the server finds it open and fails it.
                let error = crate::error::chain(&error);
                tracing::error!(operation = %live.id, error, "an operation stays open on record");
            }
        }
        self.remember(live, &end);
        drop((end.stands_on.take(), end.held.take(), end.alone.take()));
        Recorded {
            end,
            run_time: run_time(started_at, Some(finished_at)),
        }
    }

    /// Says that it has ended, to all who wait for that.
    fn tell_end(&self, live: &Live, Recorded { end, run_time }: Recorded) {
        live.finish(end.status);
        live.log.complete(completion(live, &end));
        self.live_set().remove(live.id);
        // Before whoever stops the server hears that this has ended, and closes the feed.
        self.feed()
            .tell(live.project, || summary(live, &end, run_time));
        live.ended.cancel();
    }

    /// What the next run is likely to ask for.
    fn remember(&self, live: &Live, end: &End) {
        let Some(image) = &end.image else { return };
        if let (Some((ground, _)), Some(layer)) = (&end.stands_on, &end.layer) {
            self.grounds()
                .remember_child(ground, layer.id, layer.entries);
        }
        let ground = ImageGround {
            id: image.id,
            layer: image.layer,
            env: image.env.clone(),
            cwd: image.cwd.clone(),
        };
        let key = (live.project, image.id);
        self.known_images().add_new(key, ground);
    }

    /// Removes a layer that was committed and will not get on record.
    pub(crate) fn forget_layer(&self, end: &End) {
        if let Some(layer) = &end.layer
            && let Err(error) = self.store().remove_layer(layer.id)
        {
            // A later sweep finds it.
            tracing::warn!(layer = %layer.id, %error, "a layer could not be removed");
        }
    }
}

/// What lists show from now on; `run_time` in microseconds.
fn summary(live: &Live, end: &End, run_time: Option<i64>) -> OperationSummary {
    OperationSummary {
        uuid: live.id,
        kind: live.kind(),
        status: end.status,
        error: end.error.clone(),
        created_at: live.created_at,
        duration: seconds(run_time),
        image_size: end
            .image_size
            .map(|size| size.try_into().unwrap_or(i64::MAX)),
        consumed_cpu: end.cpu,
        consumed_memory: end.memory,
        image_uuid: live.image,
        result_image_uuid: end.result_image,
    }
}

fn completion(live: &Live, end: &End) -> Completion {
    let duration = live.started().map_or(0, |(_, at)| at.elapsed().as_millis());
    Completion {
        status: end.status,
        result_image_uuid: end.result_image,
        error: end.error.clone(),
        duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
        image_size_bytes: end.image_size.unwrap_or(0),
    }
}
