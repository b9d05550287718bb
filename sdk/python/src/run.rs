//! One operation, from before it is started to after its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contree_client::api::OperationId;
use contree_client::api::operation::{OperationKind, OperationStatus};
use contree_client::{Error, Operation};
use pyo3::prelude::*;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::{Client, no_arguments};
use crate::errors::Failure;
use crate::events::Events;
use crate::launch::{Launch, Start, Started};
use crate::outcome::Outcome;
use crate::pending::{Pending, elsewhere};
use crate::process::{self, Own};
use crate::spawn::Exec;

/// How long past its deadline an operation is waited for that the server itself is about to end.
const GRACE: Duration = Duration::from_secs(30);

/// Wait between two requests to an operation that has not begun, where the server does not say.
const NOT_YET: Duration = Duration::from_millis(500);

/// Bounds of that wait where it does: not in a hurry, and not much later than the beginning.
const NOT_YET_BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// An operation.
#[pyclass(frozen, module = "contree_sdk._native")]
pub(crate) struct Run {
    client: Py<Client>,
    launch: Own<Arc<Launch>>,
    uuid: Arc<OnceLock<OperationId>>,
}

impl Run {
    pub(crate) fn new(client: &Bound<'_, Client>, start: Start) -> PyResult<Self> {
        let contree = client.get().contree(client.py())?;
        Ok(Self::with(client, Launch::new(contree, start)))
    }

    pub(crate) fn with(client: &Bound<'_, Client>, launch: Launch) -> Self {
        Self {
            client: client.clone().unbind(),
            uuid: Arc::clone(&launch.uuid),
            launch: Own::new(Arc::new(launch)),
        }
    }

    /// In a forked child: the operation that the parent has started.
    fn launch(&self, py: Python<'_>) -> PyResult<Arc<Launch>> {
        if let Some(launch) = self.launch.get() {
            return Ok(Arc::clone(launch));
        }
        let id = self.uuid.get().ok_or_else(elsewhere)?;
        let contree = self.client.get().contree(py)?;
        Ok(Arc::new(Launch::known(contree.operation(*id))))
    }

    /// Work on the operation, which is started if need be.
    fn ask<T, W>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(Operation) -> W + Send + 'static,
    ) -> PyResult<Pending>
    where
        W: Future<Output = Result<T, Failure>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let launch = self.launch(py)?;
        Ok(Pending::new(async move {
            let started = launch.started().await?;
            work(started.operation).await
        }))
    }
}

#[pymethods]
impl Run {
    #[getter]
    fn uuid(&self) -> Option<String> {
        self.uuid.get().map(ToString::to_string)
    }

    fn started(&self, py: Python<'_>) -> PyResult<Pending> {
        self.ask(py, async |operation| Ok(operation.id().to_string()))
    }

    fn status(&self, py: Python<'_>) -> PyResult<Pending> {
        self.ask(py, async |operation| {
            Ok(operation.status().await?.summary.status.name())
        })
    }

    #[pyo3(signature = (deadline = None))]
    fn finished(&self, py: Python<'_>, deadline: Option<f64>) -> PyResult<Pending> {
        let launch = self.launch(py)?;
        Ok(Pending::new(async move {
            let started = launch.started().await?;
            finished(&started, launch.kind, launch.timeout, deadline).await
        }))
    }

    fn abandon(&self, py: Python<'_>) -> PyResult<Pending> {
        let launch = self.launch(py)?;
        let abandoned = launch.abandon(process::runtime(py)?);
        Ok(Pending::new(async move {
            abandoned.await;
            Ok(())
        }))
    }

    fn cancel(&self, py: Python<'_>) -> PyResult<Pending> {
        self.ask(py, async |operation| Ok(operation.cancel().await?))
    }

    #[pyo3(signature = (*, spid = None, after = None))]
    fn events(&self, py: Python<'_>, spid: Option<u32>, after: Option<u64>) -> PyResult<Events> {
        Ok(Events::new(self.launch(py)?, spid, after))
    }

    #[pyo3(signature = (**fields))]
    fn exec(&self, py: Python<'_>, fields: Option<Exec>) -> PyResult<Pending> {
        let spec = fields.ok_or_else(|| no_arguments("exec"))?.into();
        self.ask(py, async move |operation| {
            let client = operation.contree().client();
            let process = when_begun(|| client.exec(operation.id(), &spec)).await?;
            Ok(process.spid)
        })
    }

    fn write_stdin(
        &self,
        py: Python<'_>,
        spid: u32,
        data: Vec<u8>,
        close: bool,
    ) -> PyResult<Pending> {
        self.ask(py, async move |operation| {
            let (client, id) = (operation.contree().client(), operation.id());
            when_begun(|| client.write_stdin(id, spid, &data, close)).await
        })
    }

    fn signal(&self, py: Python<'_>, spid: u32, signal: Option<String>) -> PyResult<Pending> {
        self.ask(py, async move |operation| {
            let (client, id) = (operation.contree().client(), operation.id());
            when_begun(|| client.signal(id, spid, signal.as_deref())).await
        })
    }

    fn process_result(&self, py: Python<'_>, spid: u32) -> PyResult<Pending> {
        self.ask(py, async move |operation| {
            let (client, id) = (operation.contree().client(), operation.id());
            let result = client.process_result(id, spid).await?;
            Ok(Outcome::of_process(id, result))
        })
    }
}

/// Waits for the end, but not for ever: see `Run.finished` in `_native.pyi`.
async fn finished(
    started: &Started,
    kind: Option<OperationKind>,
    timeout: Option<u32>,
    deadline: Option<f64>,
) -> Result<Outcome, Failure> {
    let operation = &started.operation;
    let deadline =
        deadline.map(|deadline| Duration::try_from_secs_f64(deadline).unwrap_or(Duration::MAX));
    // Whoever waits for less time than the run may take means it.
    let is_strict = match (deadline, timeout) {
        (Some(deadline), Some(timeout)) => deadline < Duration::from_secs(timeout.into()),
        _ => false,
    };
    // None as well where it is centuries away.
    let Some(deadline) = deadline.and_then(|deadline| started.at.checked_add(deadline)) else {
        return Outcome::of_operation(operation.wait().await?, kind);
    };
    let mut end = std::pin::pin!(operation.wait());
    if let Ok(end) = timeout_at(deadline, &mut end).await {
        return Outcome::of_operation(end?, kind);
    }
    if !is_strict && has_begun(operation.status().await?.summary.status) {
        let grace = Instant::now() + GRACE;
        if let Ok(end) = timeout_at(grace, &mut end).await {
            return Outcome::of_operation(end?, kind);
        }
    }
    match operation.cancel().await {
        Ok(()) => Err(Failure::TimedOut(operation.id())),
        // It has ended just now, perhaps by this: a cancel whose answer is lost is sent again.
        Err(error) if error.status() == Some(409) => {
            match Outcome::of_operation(end.await?, kind) {
                Err(Failure::Cancelled(operation)) => Err(Failure::TimedOut(operation)),
                outcome => outcome,
            }
        }
        Err(error) => Err(error.into()),
    }
}

const fn has_begun(status: OperationStatus) -> bool {
    !matches!(status, OperationStatus::Pending | OperationStatus::Assigned)
}

/// Asks again while the operation waits for its turn, however long that takes.
async fn when_begun<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match ask().await {
            Err(error) if error.status() == Some(425) => {
                let wait = error.retry_after().unwrap_or(NOT_YET);
                sleep(wait.clamp(NOT_YET_BOUNDS.0, NOT_YET_BOUNDS.1)).await;
            }
            result => return Ok(result?),
        }
    }
}
