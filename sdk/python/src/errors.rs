//! What went wrong, and the Python exception that says so.
//!
//! The exceptions are the package's own classes, in `contree_sdk.sdk.exceptions`.

use std::error::Error as _;
use std::sync::Arc;

use contree_client::Error;
use contree_client::api::{ErrorBody, OperationId};
use contree_client::error::Refusal;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::mail;

/// Work that did not give what it promises.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server could not be asked, or refused.
    Client(Error),
    /// An id or name that is none; the server would refuse it with 400.
    Malformed(String),
    /// An argument that no server needs to be asked about.
    Argument(String),
    /// The operation failed on the server.
    Failed(OperationId, String),
    /// The operation was cancelled.
    Cancelled(OperationId),
    /// The operation did not end in time.
    TimedOut(OperationId),
    /// The operation is not what it was taken for.
    WrongType {
        operation: OperationId,
        expected: &'static str,
        actual: &'static str,
    },
    /// A failure that several wait for.
    Shared(Arc<Failure>),
    /// Someone else gave the operation up before the server had accepted it.
    Abandoned,
    /// The work broke off half-way.
    GivenUp,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<Arc<Failure>> for Failure {
    fn from(failure: Arc<Failure>) -> Self {
        Self::Shared(failure)
    }
}

impl Failure {
    /// A text that is not what it has to be.
    pub(crate) fn malformed(error: &impl std::error::Error) -> Self {
        Self::Malformed(error.to_string())
    }

    /// The exception for it.
    pub(crate) fn raise(&self, py: Python<'_>) -> PyErr {
        self.exception(py).unwrap_or_else(|error| error)
    }

    fn exception(&self, py: Python<'_>) -> PyResult<PyErr> {
        let about = |operation: &OperationId| -> PyResult<Bound<'_, PyDict>> {
            let uuid = py.import("uuid")?.getattr("UUID")?;
            let fields = PyDict::new(py);
            fields.set_item("operation_uuid", uuid.call1((operation.to_string(),))?)?;
            Ok(fields)
        };
        match self {
            Self::Client(error) => client_exception(py, error),
            Self::Malformed(text) => {
                let fields = PyDict::new(py);
                fields.set_item("status", 400)?;
                fields.set_item("error", text)?;
                make(py, "ApiStatusCodeError", &fields)
            }
            Self::Argument(text) => Ok(PyValueError::new_err(text.clone())),
            Self::Failed(operation, error) => {
                let fields = about(operation)?;
                fields.set_item("error", error)?;
                make(py, "FailedOperationError", &fields)
            }
            Self::Cancelled(operation) => make(py, "CancelledOperationError", &about(operation)?),
            Self::TimedOut(operation) => make(py, "OperationTimedOutError", &about(operation)?),
            Self::WrongType {
                operation,
                expected,
                actual,
            } => {
                let fields = about(operation)?;
                fields.set_item("expected", expected)?;
                fields.set_item("actual", actual)?;
                make(py, "WrongOperationTypeError", &fields)
            }
            Self::Shared(failure) => failure.exception(py),
            Self::Abandoned => Ok(PyRuntimeError::new_err(
                "this was cancelled before the server had accepted it",
            )),
            Self::GivenUp => Ok(mail::given_up()),
        }
    }
}

fn client_exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    match error {
        // Python chooses the class by the number: FileNotFoundError, PermissionError.
        Error::File { path, source } | Error::Save { path, source } => {
            Ok(match source.raw_os_error() {
                Some(number) => {
                    let text = source.to_string();
                    let text = text.split(" (os error").next().unwrap_or_default();
                    PyOSError::new_err((
                        number,
                        text.to_owned(),
                        path.to_string_lossy().into_owned(),
                    ))
                }
                None => PyOSError::new_err(whole_story(error)),
            })
        }
        Error::Status {
            status,
            message,
            refusal,
            ..
        } => {
            fields.set_item("status", status)?;
            fields.set_item("error", words(refusal).unwrap_or(message))?;
            let request = request_info(py, &refusal.url, &refusal.method)?;
            fields.set_item("request", request)?;
            let headers = PyDict::new(py);
            for (name, value) in &refusal.headers {
                headers.set_item(name, value)?;
            }
            fields.set_item("response", api(py, "ResponseInfo")?.call1((headers,))?)?;
            let class = match status {
                403 => "ForbiddenError",
                404 => "NotFoundError",
                422 => "UnprocessableEntityError",
                429 => "TooManyRequestsError",
                _ => "ApiStatusCodeError",
            };
            make(py, class, &fields)
        }
        Error::Connect { url, request, .. } => {
            let path = request.split_once(' ').map_or("", |(_, path)| path);
            let sent = request_info(py, &format!("{url}{path}"), request)?;
            fields.set_item("request", sent)?;
            let story = whole_story(error);
            if story.contains("timed out") {
                fields.set_item("timeout_type", "connect")?;
                make(py, "ApiTimeoutError", &fields)
            } else {
                fields.set_item("error", story)?;
                make(py, "ContreeTransportError", &fields)
            }
        }
        Error::TimedOut { request, url, .. } => {
            fields.set_item("request", request_info(py, url, request)?)?;
            fields.set_item("timeout_type", "read")?;
            make(py, "ApiTimeoutError", &fields)
        }
        Error::Transport { request, url, .. } => {
            fields.set_item("request", request_info(py, url, request)?)?;
            fields.set_item("error", whole_story(error))?;
            make(py, "ContreeTransportError", &fields)
        }
        Error::Answer { .. } => {
            let exception = PyValueError::new_err(error.to_string());
            fields.set_item("exception", exception.into_value(py))?;
            make(py, "UnknownContreeError", &fields)
        }
        // A server that went away while an operation was watched, and did not come back.
        Error::Stream { source, .. }
            if matches!(**source, Error::Status { .. } | Error::Connect { .. }) =>
        {
            client_exception(py, source)
        }
        _ => {
            fields.set_item("error", whole_story(error))?;
            make(py, "ContreeTransportError", &fields)
        }
    }
}

/// What an answer says that is none of the server's, such as a proxy's page: its text as it is.
fn words(refusal: &Refusal) -> Option<&str> {
    if serde_json::from_slice::<ErrorBody>(&refusal.body).is_ok() {
        return None;
    }
    let text = std::str::from_utf8(&refusal.body).ok()?;
    (!text.is_empty()).then_some(text)
}

/// An error with everything below it, in one sentence.
fn whole_story(error: &Error) -> String {
    let mut story = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let text = error.to_string();
        if !story.ends_with(&text) {
            story.push_str(": ");
            story.push_str(&text);
        }
        below = error.source();
    }
    story
}

/// Where a request was sent; the method is the first word of what it is called.
fn request_info<'py>(py: Python<'py>, url: &str, request: &str) -> PyResult<Bound<'py, PyAny>> {
    let method = request.split(' ').next();
    api(py, "RequestInfo")?.call1((url, method))
}

fn api<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("contree_sdk.sdk.exceptions.api")?.getattr(name)
}

fn make(py: Python<'_>, class: &str, fields: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    let class = if class == "TooManyRequestsError" {
        api(py, class)?
    } else {
        py.import("contree_sdk.sdk.exceptions")?.getattr(class)?
    };
    class.call((), Some(fields)).map(PyErr::from_value)
}
