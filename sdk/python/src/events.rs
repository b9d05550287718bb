//! What happens in an operation, as it happens.

use std::sync::Arc;

use contree_client::api::event::EventData;
use contree_client::api::stream::StreamRepr;
use contree_client::{EventFrame, Follow};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::Mutex;

use crate::errors::Failure;
use crate::launch::Launch;
use crate::pending::{Pending, elsewhere};
use crate::process::Own;

/// The events of a run, over as many connections as it takes.
#[pyclass(frozen, module = "contree_sdk._native")]
pub(crate) struct Events {
    reader: Own<Arc<Reader>>,
}

struct Reader {
    launch: Arc<Launch>,
    spid: Option<u32>,
    after: Option<u64>,
    /// Made when the first event is asked for.
    follow: Mutex<Option<Follow>>,
}

impl Events {
    pub(crate) fn new(launch: Arc<Launch>, spid: Option<u32>, after: Option<u64>) -> Self {
        Self {
            reader: Own::new(Arc::new(Reader {
                launch,
                spid,
                after,
                follow: Mutex::new(None),
            })),
        }
    }
}

#[pymethods]
impl Events {
    fn next(&self) -> PyResult<Pending> {
        let reader = Arc::clone(self.reader.get().ok_or_else(elsewhere)?);
        Ok(Pending::new(async move { reader.next().await }))
    }
}

impl Reader {
    async fn next(&self) -> Result<Option<Event>, Failure> {
        let started = self.launch.started().await?;
        let mut follow = self.follow.lock().await;
        let follow = follow.get_or_insert_with(|| {
            let follow = started.operation.events().after(self.after);
            match self.spid {
                Some(spid) => follow.spid(spid),
                None => follow,
            }
        });
        Ok(follow.next().await?.map(Event::from))
    }
}

/// Something that happened.
#[pyclass(frozen, module = "contree_sdk._native")]
pub(crate) struct Event {
    #[pyo3(get)]
    id: Option<u64>,
    #[pyo3(get, name = "type")]
    kind: String,
    #[pyo3(get)]
    spid: Option<u32>,
    data: Option<Vec<u8>>,
    #[pyo3(get)]
    json: String,
}

#[pymethods]
impl Event {
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.data.as_ref().map(|data| PyBytes::new(py, data))
    }

    fn __repr__(&self) -> String {
        format!("Event({})", self.json)
    }
}

impl From<EventFrame> for Event {
    fn from(frame: EventFrame) -> Self {
        let spid = frame.event.as_ref().and_then(|event| event.spid);
        let data = frame.event.and_then(|event| match event.data {
            EventData::Stdin(chunk) | EventData::Stdout(chunk) | EventData::Stderr(chunk) => {
                let stream = StreamRepr {
                    value: chunk.value,
                    encoding: chunk.encoding,
                    truncated: chunk.truncated,
                };
                stream.to_bytes().ok()
            }
            _ => None,
        });
        Self {
            id: frame.id,
            kind: frame.kind,
            spid,
            data,
            json: frame.json,
        }
    }
}
