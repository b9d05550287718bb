//! Operations that have not ended, in memory.
//!
//! The records know a live operation as PENDING; where it really is stands here. An operation is
//! in the set from before its acceptance is on record until after its end is, so whoever finds it
//! neither here nor on record may say that there is none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use contree_api::image::ImageImportRequest;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::{OperationKind, OperationStatus, OperationSummary};
use contree_api::{ImageId, OperationId, ProjectId, Timestamp, TokenId};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use crate::events::log::EventLog;
use crate::run::instance::Instance;

/// What was asked for, as it is shown: secrets of registries masked, images resolved.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// A run.
    Run(Arc<InstanceSpawnRequest>),
    /// An import.
    Import(Arc<ImageImportRequest>),
}

/// The token that asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) token: TokenId,
    /// How many operations of that token, kind and project may go at once.
    pub(crate) token_width: usize,
}

/// Why an operation is to end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A client asked for it.
    Cancelled,
    /// The engine shuts down.
    Shutdown,
}

/// One live operation.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: OperationId,
    pub(crate) project: ProjectId,
    pub(crate) token: TokenId,
    pub(crate) token_width: usize,
    pub(crate) asked: Asked,
    pub(crate) image: Option<ImageId>,
    pub(crate) created_at: Timestamp,
    pub(crate) log: EventLog,
    /// Fires when it is to stop.
    pub(crate) stopped: CancellationToken,
    /// Fires when its end is on record.
    pub(crate) ended: CancellationToken,
    state: Mutex<State>,
    instance: SetOnce<Arc<Instance>>,
}

#[derive(Debug)]
struct State {
    status: OperationStatus,
    started: Option<(Timestamp, Instant)>,
    stop: Option<Stop>,
    /// How it ends is decided; it can no longer be stopped.
    settled: bool,
}

impl Live {
    pub(crate) fn new(
        id: OperationId,
        project: ProjectId,
        asker: Asker,
        asked: Asked,
        image: Option<ImageId>,
        created_at: Timestamp,
        log: EventLog,
    ) -> Self {
        let state = State {
            status: OperationStatus::Pending,
            started: None,
            stop: None,
            settled: false,
        };
        Self {
            id,
            project,
            token: asker.token,
            token_width: asker.token_width,
            asked,
            image,
            created_at,
            log,
            stopped: CancellationToken::new(),
            ended: CancellationToken::new(),
            state: Mutex::new(state),
            instance: SetOnce::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn kind(&self) -> OperationKind {
        match self.asked {
            Asked::Run(_) => OperationKind::Instance,
            Asked::Import(_) => OperationKind::ImageImport,
        }
    }

    pub(crate) fn status(&self) -> OperationStatus {
        self.state().status
    }

    /// Its turn has come, or its sandbox is up; tells so.
    pub(crate) fn advance(&self, status: OperationStatus, feed: &Feed) {
        let mut state = self.state();
        if state.status == status || state.status.is_terminal() {
            return;
        }
        state.status = status;
        state
            .started
            .get_or_insert_with(|| (Timestamp::now(), Instant::now()));
        // Under the lock, so that changes are told in their order.
        feed.tell(self.project, || self.shown(&state));
    }

    /// Tells that it waits, unless its turn has come already and was told.
    pub(crate) fn tell_waiting(&self, feed: &Feed) {
        let state = self.state();
        if state.status == OperationStatus::Pending {
            feed.tell(self.project, || self.shown(&state));
        }
    }

    /// It has ended, and its end is on record; a terminal state is never left. Telling so is
    /// left to whoever ends it: there is more to be done first.
    pub(crate) fn finish(&self, status: OperationStatus) {
        self.state().status = status;
    }

    /// When its turn came.
    pub(crate) fn started(&self) -> Option<(Timestamp, Instant)> {
        self.state().started
    }

    /// Asks it to stop; the first reason counts. False when it has ended, or when how it ends is
    /// decided.
    pub(crate) fn stop(&self, reason: Stop) -> bool {
        let mut state = self.state();
        if state.settled {
            return false;
        }
        state.stop.get_or_insert(reason);
        drop(state);
        self.stopped.cancel();
        true
    }

    /// Why it is to stop, if it is.
    pub(crate) fn stop_reason(&self) -> Option<Stop> {
        self.state().stop
    }

    /// From here on it cannot be stopped. Whoever asked for that before is answered: this tells
    /// why it was to stop, if it was.
    pub(crate) fn settle(&self) -> Option<Stop> {
        let mut state = self.state();
        state.settled = true;
        state.stop
    }

    /// The sandbox, as soon as it is up; none when the operation ends without one.
    pub(crate) async fn instance(&self) -> Option<&Arc<Instance>> {
        tokio::select! {
            biased;
            instance = self.instance.wait() => Some(instance),
            () = self.ended.cancelled() => None,
        }
    }

    /// The sandbox is up.
    pub(crate) fn set_instance(&self, instance: Arc<Instance>) {
        // Set once, by the one task that runs the operation.
        let _ = self.instance.set(instance);
    }

    pub(crate) fn summary(&self) -> OperationSummary {
        self.shown(&self.state())
    }

    fn shown(&self, state: &State) -> OperationSummary {
        OperationSummary {
            uuid: self.id,
            kind: self.kind(),
            status: state.status,
            error: None,
            created_at: self.created_at,
            duration: state
                .started
                .map_or(0.0, |(_, at)| at.elapsed().as_secs_f64()),
            image_size: None,
            consumed_cpu: None,
            consumed_memory: None,
            image_uuid: self.image,
            result_image_uuid: None,
        }
    }
}

/// All live operations.
#[derive(Debug, Default)]
pub(crate) struct LiveSet(Mutex<HashMap<OperationId, Arc<Live>>>);

impl LiveSet {
    fn lock(&self) -> MutexGuard<'_, HashMap<OperationId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, live: Arc<Live>) {
        self.lock().insert(live.id, live);
    }

    pub(crate) fn remove(&self, id: OperationId) {
        self.lock().remove(&id);
    }

    pub(crate) fn get(&self, id: OperationId) -> Option<Arc<Live>> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn of_project(&self, project: ProjectId) -> Vec<Arc<Live>> {
        self.lock()
            .values()
            .filter(|live| live.project == project)
            .cloned()
            .collect()
    }
}
