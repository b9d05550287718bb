//! How an operation gets started, once, whoever waits for it.
//!
//! A request that has been sent must not be forgotten with the task that waited for its answer: the
//! operation would run on, unknown to everyone. So a task of its own sends it, and whoever gives up
//! asks [`Launch::abandon`], which has another task wait for the answer and cancel the operation,
//! however long either takes. Files that are still being sent are dropped at once, and a run that a
//! busy server has not taken yet is not asked for again.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use contree_client::api::OperationId;
use contree_client::api::image::ImageImportRequest;
use contree_client::api::operation::OperationKind;
use contree_client::{Contree, Operation};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::errors::Failure;
use crate::spawn::Spawn;

/// How long whoever gives up waits for an operation to be started and cancelled. Both go on then.
const ABANDON: Duration = Duration::from_secs(5);

/// What is to be started.
pub(crate) enum Start {
    Run(Box<Spawn>),
    Import(Box<ImageImportRequest>),
}

/// An operation that the server has accepted.
#[derive(Clone)]
pub(crate) struct Started {
    pub(crate) operation: Operation,
    pub(crate) at: Instant,
}

type Outcome = Result<Started, Arc<Failure>>;

/// An operation that is there, is being started, or will be.
pub(crate) struct Launch {
    /// Until it is begun.
    start: Mutex<Option<(Contree, Start)>>,
    /// What it has to be; an operation that was there may be anything.
    pub(crate) kind: Option<OperationKind>,
    /// Seconds that it may take.
    pub(crate) timeout: Option<u32>,
    outcome: watch::Sender<Option<Outcome>>,
    /// Apart from the outcome, as it is read in forked children too.
    pub(crate) uuid: Arc<OnceLock<OperationId>>,
    given_up: Notify,
}

impl Launch {
    pub(crate) fn new(contree: Contree, start: Start) -> Self {
        let (kind, timeout) = match &start {
            Start::Run(spawn) => (OperationKind::Instance, Some(spawn.timeout)),
            Start::Import(request) => (OperationKind::ImageImport, request.timeout),
        };
        Self {
            start: Mutex::new(Some((contree, start))),
            kind: Some(kind),
            timeout,
            outcome: watch::Sender::new(None),
            uuid: Arc::default(),
            given_up: Notify::new(),
        }
    }

    pub(crate) fn known(operation: Operation) -> Self {
        let uuid = OnceLock::from(operation.id());
        let at = Instant::now();
        Self {
            start: Mutex::new(None),
            kind: None,
            timeout: None,
            outcome: watch::Sender::new(Some(Ok(Started { operation, at }))),
            uuid: Arc::new(uuid),
            given_up: Notify::new(),
        }
    }

    /// The operation, started if need be.
    pub(crate) async fn started(self: &Arc<Self>) -> Result<Started, Failure> {
        if let Some((contree, start)) = self.take_start() {
            tokio::spawn(Arc::clone(self).start(contree, start));
        }
        self.outcome().await
    }

    fn take_start(&self) -> Option<(Contree, Start)> {
        self.start
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn outcome(&self) -> Result<Started, Failure> {
        let mut outcome = self.outcome.subscribe();
        // The sender is ours, so that it cannot be gone.
        let known = outcome.wait_for(Option::is_some).await;
        let known = known.ok().and_then(|known| known.clone());
        Ok(known.unwrap_or(Err(Arc::new(Failure::GivenUp)))?)
    }

    async fn start(self: Arc<Self>, contree: Contree, start: Start) {
        let _unheard = Unheard(&self.outcome);
        let outcome = self.send(&contree, start).await.map(|operation| {
            let _ = self.uuid.set(operation.id());
            Started {
                operation,
                at: Instant::now(),
            }
        });
        self.outcome.send_replace(Some(outcome.map_err(Arc::new)));
    }

    async fn send(&self, contree: &Contree, start: Start) -> Result<Operation, Failure> {
        match start {
            Start::Run(spawn) => {
                let request = tokio::select! {
                    biased;
                    () = self.given_up.notified() => return Err(Failure::Abandoned),
                    request = spawn.request(contree) => request?,
                };
                let operation = contree.spawn_unless(&request, self.given_up.notified());
                operation.await?.ok_or(Failure::Abandoned)
            }
            Start::Import(request) => {
                let operation = contree.import_unless(&request, self.given_up.notified());
                operation.await?.ok_or(Failure::Abandoned)
            }
        }
    }

    /// Sees to it that the operation does not go on, if it was begun, whatever becomes of the
    /// future. That waits until the server knows, at most [`ABANDON`]; what is still to do then is
    /// done behind the caller's back.
    pub(crate) fn abandon(self: &Arc<Self>, runtime: &Handle) -> impl Future<Output = ()> + use<> {
        let cancel = if self.take_start().is_some() {
            let never = Err(Arc::new(Failure::Abandoned));
            self.outcome.send_replace(Some(never));
            None
        } else {
            self.given_up.notify_one();
            let launch = Arc::clone(self);
            Some(runtime.spawn(async move {
                if let Ok(started) = launch.outcome().await {
                    let _ = started.operation.cancel().await;
                }
            }))
        };
        async move {
            if let Some(cancel) = cancel {
                let _ = timeout(ABANDON, cancel).await;
            }
        }
    }
}

/// Tells whoever waits when the task that starts the operation panics.
struct Unheard<'a>(&'a watch::Sender<Option<Outcome>>);

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|outcome| {
            let is_open = outcome.is_none();
            if is_open {
                *outcome = Some(Err(Arc::new(Failure::GivenUp)));
            }
            is_open
        });
    }
}
