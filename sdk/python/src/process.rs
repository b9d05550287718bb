//! What belongs to this process, and is not there any more in one that was forked from it.
//!
//! A forked child has the parent's memory but none of its threads. The parent's runtime stands
//! still in it: nothing that it was asked to do will happen, and a lock that one of its threads
//! held at the fork is held for ever. So a child gets a runtime and connections of its own when it
//! first needs them, and what it has from its parent is neither used nor dropped: dropping takes
//! locks. Our own locks are held only while Python's is, which whoever forks holds, too.
//!
//! Nothing under one of our locks calls into Python, not even to make an exception: Python may
//! switch threads there, and a thread that then waits for our lock keeps Python's, so that neither
//! goes on. What goes wrong under a lock becomes an exception when the lock is free again.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that talk to servers. One does tens of thousands of runs per second; the second is
/// there for when the first is at a large answer.
const WORKERS: usize = 2;

/// Threads that read and write local files.
const FILE_WORKERS: usize = 8;

/// Forks between the process that loaded the module and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Has Python tell of forks.
pub(crate) fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let os = py.import("os")?;
    // Not on Windows, which has no fork.
    if let Ok(register) = os.getattr("register_at_fork") {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(forked, module)?)?;
        register.call((), Some(&hooks))?;
    }
    Ok(())
}

/// Called in a forked child, before anything else.
#[pyfunction]
fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A value of the process that made it. Elsewhere it cannot be had, and is forgotten rather than
/// dropped.
pub(crate) struct Own<T> {
    value: Option<T>,
    forks: u64,
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Some(value),
            forks: FORKS.load(Ordering::Relaxed),
        }
    }

    fn is_here(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_here() {
            self.value.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn take(mut self) -> Option<T> {
        if self.is_here() {
            self.value.take()
        } else {
            None
        }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            mem::forget(self.value.take());
        }
    }
}

/// A value that every process makes for itself when it first needs it.
pub(crate) struct PerProcess<T>(Mutex<Option<Own<T>>>);

impl<T: Clone> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The value of this process. (`Python` stands for Python's lock, under which ours is held.)
    /// `make` does not call into Python.
    pub(crate) fn get<E>(
        &self,
        _py: Python<'_>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = slot.as_ref().and_then(Own::get) {
            return Ok(value.clone());
        }
        let value = make()?;
        *slot = Some(Own::new(value.clone()));
        Ok(value)
    }
}

/// The threads of this process that do the work; started when first asked for. They never touch
/// Python, so that they neither wait for it nor hinder its end.
pub(crate) fn runtime(py: Python<'_>) -> PyResult<&'static Handle> {
    static CURRENT: PerProcess<&'static Runtime> = PerProcess::new();
    let runtime = CURRENT.get(py, || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(FILE_WORKERS)
            .thread_name("contree-sdk")
            .enable_all()
            .build()?;
        // Never dropped: the process may end while they work.
        Ok::<_, io::Error>(Box::leak(Box::new(runtime)))
    });
    let runtime = runtime.map_err(|error| {
        PyOSError::new_err(format!("cannot start the threads of contree_sdk: {error}"))
    })?;
    Ok(runtime.handle())
}
