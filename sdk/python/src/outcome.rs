//! How an operation, or a process of it, ended.

use contree_client::api::OperationId;
use contree_client::api::StreamRepr;
use contree_client::api::instance::InstanceResult;
use contree_client::api::operation::{
    OperationKind, OperationMetadata, OperationResponse, OperationStatus,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use serde::{Deserialize, Serialize};

use crate::errors::Failure;

/// How a run ended. Python objects are made of what is asked for, when it is.
#[derive(Serialize, Deserialize)]
#[pyclass(frozen, module = "contree_sdk._native")]
pub(crate) struct Outcome {
    operation: OperationId,
    image: Option<String>,
    tag: Option<String>,
    /// With the result of a run in it.
    metadata: Option<OperationMetadata>,
    /// Of a further process.
    process: Option<InstanceResult>,
}

impl Outcome {
    pub(crate) fn of_operation(
        ended: OperationResponse,
        expected: Option<OperationKind>,
    ) -> Result<Self, Failure> {
        let summary = ended.summary;
        if let Some(expected) = expected
            && expected != summary.kind
        {
            return Err(Failure::WrongType {
                operation: summary.uuid,
                expected: expected.name(),
                actual: summary.kind.name(),
            });
        }
        match summary.status {
            OperationStatus::Failed => {
                let error = summary.error.unwrap_or_default();
                return Err(Failure::Failed(summary.uuid, error));
            }
            OperationStatus::Cancelled => return Err(Failure::Cancelled(summary.uuid)),
            _ => {}
        }
        let result = ended.result.unwrap_or_default();
        Ok(Self {
            operation: summary.uuid,
            image: result.image.map(|image| image.to_string()),
            tag: result.tag.map(|tag| tag.as_str().to_owned()),
            metadata: Some(ended.metadata),
            process: None,
        })
    }

    pub(crate) const fn of_process(operation: OperationId, result: InstanceResult) -> Self {
        Self {
            operation,
            image: None,
            tag: None,
            metadata: None,
            process: Some(result),
        }
    }

    /// What the process did; an import has none.
    fn result(&self) -> Option<&InstanceResult> {
        match (&self.process, &self.metadata) {
            (Some(result), _) => Some(result),
            (None, Some(OperationMetadata::Instance(run))) => run.result.as_ref(),
            (None, _) => None,
        }
    }

    fn get<T>(&self, field: impl FnOnce(&InstanceResult) -> T, otherwise: T) -> T {
        self.result().map_or(otherwise, field)
    }
}

#[pymethods]
impl Outcome {
    /// What [`Outcome::__reduce__`] has told.
    #[new]
    fn told(json: &str) -> PyResult<Self> {
        serde_json::from_str(json)
            .map_err(|error| PyValueError::new_err(format!("this is no outcome: {error}")))
    }

    /// For `pickle`.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, (String,)) {
        let json = serde_json::to_string(slf.get()).expect("wire types have string keys");
        (slf.get_type(), (json,))
    }

    /// Nothing of it changes: a copy would not differ.
    const fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _seen: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    #[getter]
    fn operation(&self) -> String {
        self.operation.to_string()
    }

    #[getter]
    fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    #[getter]
    fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    #[getter]
    fn stdout<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, self.result().map(|result| &result.stdout))
    }

    #[getter]
    fn stderr<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, self.result().map(|result| &result.stderr))
    }

    #[getter]
    fn stdout_truncated(&self) -> bool {
        self.get(|result| result.stdout.truncated, false)
    }

    #[getter]
    fn stderr_truncated(&self) -> bool {
        self.get(|result| result.stderr.truncated, false)
    }

    #[getter]
    fn exit_code(&self) -> i32 {
        self.get(|result| result.state.exit_code, -1)
    }

    #[getter]
    fn signal(&self) -> i32 {
        self.get(|result| result.state.signal, -1)
    }

    #[getter]
    fn timed_out(&self) -> bool {
        self.get(|result| result.state.timed_out, false)
    }

    #[getter]
    fn elapsed_time(&self) -> f64 {
        self.get(|result| result.resources.elapsed_time, 0.0)
    }

    #[getter]
    fn cost(&self) -> f64 {
        self.get(|result| result.resources.cost, 0.0)
    }

    #[getter]
    fn metadata(&self) -> String {
        self.metadata.as_ref().map_or_else(
            || "{}".to_owned(),
            |metadata| serde_json::to_string(metadata).expect("wire types have string keys"),
        )
    }

    fn __repr__(&self) -> String {
        format!(
            "Outcome(operation={:?}, image={:?}, exit_code={})",
            self.operation.to_string(),
            self.image.as_deref().unwrap_or("None"),
            self.exit_code()
        )
    }
}

fn bytes<'py>(py: Python<'py>, stream: Option<&StreamRepr>) -> PyResult<Bound<'py, PyBytes>> {
    let Some(stream) = stream else {
        return Ok(PyBytes::new(py, b""));
    };
    let bytes = stream
        .to_bytes()
        .map_err(|error| PyValueError::new_err(format!("the server's answer: {error}")))?;
    Ok(PyBytes::new(py, &bytes))
}
