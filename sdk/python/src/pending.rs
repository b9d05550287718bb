//! Work that is done when it is awaited.
//!
//! A [`Pending`] is its own iterator, the way `await` sees one. On an event loop it begins its work
//! on a worker, hands the loop a future to wait for, and gives the future's result when it is asked
//! again. The task that awaits may be cancelled: then `throw` is called, or nothing but the
//! destructor, and the work is dropped.
//!
//! Where `contree_sdk._blocking.run` drives, there is no loop: the thread itself waits, with
//! Python's lock given up. The main thread looks for signals meanwhile, as Python runs their
//! handlers there and nowhere else.

use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tokio::task::AbortHandle;

use crate::errors::Failure;
use crate::mail::{self, Answer};
use crate::process::{self, Own};

/// How often a blocked main thread looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);

type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Behind a lock that nobody else ever takes: Python may look at a [`Pending`] from any thread.
type Idle = Own<Mutex<Work>>;

/// Work that is done when awaited, once.
#[pyclass(module = "contree_sdk._native")]
pub(crate) struct Pending {
    state: State,
}

enum State {
    /// Not awaited yet.
    Work(Idle),
    /// Awaited; nothing has begun.
    Awaited(Idle),
    /// On an event loop.
    Waiting(Own<Task>, Py<PyAny>),
    /// Done, or given up.
    Over,
}

/// Work that goes on at a worker until it is done or this is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pending {
    /// Work that has begun nothing yet. Its result becomes a Python object in the thread that
    /// awaits.
    pub(crate) fn new<T>(work: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        let work = async move {
            let result = work.await;
            Box::new(move |py: Python<'_>| match result {
                Ok(value) => value.into_py_any(py),
                Err(failure) => Err(failure.raise(py)),
            }) as Answer
        };
        Self {
            state: State::Work(Own::new(Mutex::new(Box::pin(work)))),
        }
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }
}

#[pymethods]
impl Pending {
    fn __await__(mut slf: PyRefMut<'_, Self>) -> PyResult<PyRefMut<'_, Self>> {
        let State::Work(work) = slf.take() else {
            return Err(PyRuntimeError::new_err("this was awaited before"));
        };
        slf.state = State::Awaited(work);
        Ok(slf)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        let state = slf.borrow_mut().take();
        let value = match state {
            State::Awaited(work) => {
                let work = work.take().ok_or_else(elsewhere)?.into_inner();
                let work = work.unwrap_or_else(PoisonError::into_inner);
                if !is_blocking(py)? {
                    let (task, future) = begin(py, work)?;
                    slf.borrow_mut().state = State::Waiting(Own::new(task), future.clone_ref(py));
                    return Ok(Some(future));
                }
                block(py, work)?
            }
            State::Waiting(_task, future) => {
                future.call_method0(py, pyo3::intern!(py, "result"))?
            }
            State::Work(_) | State::Over => {
                return Err(PyRuntimeError::new_err("this is not being awaited"));
            }
        };
        if value.is_none(py) {
            Ok(None)
        } else {
            Err(PyStopIteration::new_err((value,)))
        }
    }

    fn send(slf: &Bound<'_, Self>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let end = || PyStopIteration::new_err(());
        Self::__next__(slf)?.ok_or_else(end)
    }

    /// The task that awaits is cancelled: the work is dropped.
    #[pyo3(signature = (*exception))]
    fn throw(slf: &Bound<'_, Self>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let state = slf.borrow_mut().take();
        drop(state);
        let kind = exception.get_item(0)?;
        // An exception; or, from Pythons before 3.12, its class and perhaps the exception.
        let given = match exception.get_item(1) {
            Ok(value) if !value.is_none() => value,
            _ => kind,
        };
        Err(PyErr::from_value(given))
    }

    fn close(&mut self) {
        drop(self.take());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.state {
            State::Waiting(_, future) => visit.call(future),
            _ => Ok(()),
        }
    }

    fn __clear__(&mut self) {
        drop(self.take());
    }
}

/// Begins work for the running event loop, and returns the future to wait for.
fn begin(py: Python<'_>, work: Work) -> PyResult<(Task, Py<PyAny>)> {
    let runtime = process::runtime(py)?;
    let (future, ticket) = mail::future(py)?;
    // What `await` says to a task: that it is the task who waits for this.
    future.setattr(py, pyo3::intern!(py, "_asyncio_future_blocking"), true)?;
    let task = runtime.spawn(async move {
        ticket.answer(work.await);
    });
    Ok((Task(task.abort_handle()), future))
}

/// Does work while this thread waits.
fn block(py: Python<'_>, work: Work) -> PyResult<Py<PyAny>> {
    let (sender, mut receiver) = mpsc::sync_channel(1);
    let task = process::runtime(py)?.spawn(async move {
        let _ = sender.send(work.await);
    });
    let task = Own::new(Task(task.abort_handle()));
    let hears_signals = is_main_thread(py)?;
    loop {
        let answer;
        (receiver, answer) = py.detach(move || {
            let answer = if hears_signals {
                receiver.recv_timeout(SIGNALS)
            } else {
                receiver.recv().map_err(RecvTimeoutError::from)
            };
            (receiver, answer)
        });
        match answer {
            Ok(answer) => return answer(py),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => return Err(mail::given_up()),
        }
        // A handler of a signal may have forked.
        task.get().ok_or_else(elsewhere)?;
    }
}

fn is_blocking(py: Python<'_>) -> PyResult<bool> {
    static ASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let ask = ASK.get_or_try_init(py, || {
        let variable = py.import("contree_sdk._blocking")?.getattr("_blocking")?;
        variable.getattr("get").map(Bound::unbind)
    })?;
    ask.bind(py).call0()?.is_truthy()
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    static MAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static THIS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let main = MAIN.import(py, "threading", "main_thread")?.call0()?;
    let this = THIS.import(py, "threading", "get_ident")?.call0()?;
    main.getattr(pyo3::intern!(py, "ident"))?.eq(this)
}

pub(crate) fn elsewhere() -> PyErr {
    PyRuntimeError::new_err(
        "this was begun by the process that this one was forked from; begin it anew here",
    )
}
