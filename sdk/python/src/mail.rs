//! How results come to the event loops that wait for them.
//!
//! Every event loop has an [`Inbox`], made when it first waits for something: futures by number,
//! and a socket among those that the loop watches. A worker that has a result puts it into the
//! [`Post`] as a [`Letter`] and, when it is the first one there, writes a byte to the socket. The
//! loop then takes all letters that are there, turns them into Python objects and completes their
//! futures.
//!
//! So workers never need Python's lock: they do not wait until a busy loop gives it up, and do not
//! take it away from one; a thousand results at once wake the loop once; and an interpreter that
//! ends has nobody to wait for. (`call_soon_threadsafe` would need the lock for each result.)
//!
//! Whoever gets a [`Ticket`] brings exactly one letter, at the latest when it is dropped. An inbox
//! belongs to the reader of its loop and goes when that does: with `loop.close()`.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;

use crate::process::Own;

/// A result that becomes a Python object, or an exception, in the thread that waits for it.
pub(crate) type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What becomes of work that was given up: its thread panicked, or nobody waits any more.
type Letter = (u64, Option<Answer>);

/// Where workers put what they have for a loop.
struct Post {
    letters: Mutex<Vec<Letter>>,
    bell: UnixStream,
}

impl Post {
    fn put(&self, letter: Letter) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = letters.is_empty();
        letters.push(letter);
        drop(letters);
        if is_first {
            // Full: it has been rung. Closed: the loop is, and nobody waits.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

/// The right to bring one letter.
pub(crate) struct Ticket {
    post: Arc<Post>,
    number: u64,
    answer: Option<Answer>,
}

impl Ticket {
    pub(crate) fn answer(mut self, answer: Answer) {
        self.answer = Some(answer);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.post.put((self.number, self.answer.take()));
    }
}

/// The letters of one event loop.
#[pyclass(module = "contree_sdk._native", weakref)]
pub(crate) struct Inbox {
    post: Own<Arc<Post>>,
    bell: UnixStream,
    futures: HashMap<u64, Py<PyAny>>,
    next: u64,
}

#[pymethods]
impl Inbox {
    /// Called by the loop when there are letters.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut letters = slf.borrow_mut().letters().into_iter();
        while let Some(letter) = letters.next() {
            // A handler of a signal may raise here, between any two letters.
            if let Err(error) = settle(slf, letter) {
                slf.borrow().put_back(letters);
                return Err(error);
            }
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.futures
            .values()
            .try_for_each(|future| visit.call(future))
    }

    fn __clear__(&mut self) {
        self.futures.clear();
    }
}

impl Inbox {
    fn put_back(&self, letters: impl Iterator<Item = Letter>) {
        if let Some(post) = self.post.get() {
            letters.for_each(|letter| post.put(letter));
        }
    }

    fn letters(&mut self) -> Vec<Letter> {
        let Some(post) = self.post.get() else {
            return Vec::new();
        };
        // The bell before the letters: whoever finds the box empty after this rings again.
        let mut rung = [0; 64];
        let _ = self.bell.read(&mut rung);
        std::mem::take(&mut *post.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Completes the future that a letter is for.
fn settle(inbox: &Bound<'_, Inbox>, (number, answer): Letter) -> PyResult<()> {
    let py = inbox.py();
    let Some(future) = inbox.borrow_mut().futures.remove(&number) else {
        return Ok(());
    };
    let future = future.bind(py);
    // Cancelled, and its letter was under way.
    if future
        .call_method0(pyo3::intern!(py, "done"))?
        .is_truthy()?
    {
        return Ok(());
    }
    match answer.map_or_else(|| Err(given_up()), |answer| answer(py)) {
        Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
        Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
    };
    Ok(())
}

/// A future of the running event loop, and the right to complete it.
pub(crate) fn future(py: Python<'_>) -> PyResult<(Py<PyAny>, Ticket)> {
    static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let event_loop = RUNNING_LOOP
        .import(py, "asyncio", "get_running_loop")?
        .call0()?;
    let future = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
    let inbox = inbox(&event_loop)?;
    let mut inbox = inbox.borrow_mut();
    let Some(post) = inbox.post.get().map(Arc::clone) else {
        return Err(PyRuntimeError::new_err(
            "the event loop is of another process",
        ));
    };
    let number = inbox.next;
    inbox.next += 1;
    inbox.futures.insert(number, future.clone().unbind());
    let ticket = Ticket {
        post,
        number,
        answer: None,
    };
    Ok((future.unbind(), ticket))
}

/// Inboxes by the address of their loop. A loop that is gone or closed has taken its inbox with
/// it, so that another one at its address finds a dead reference here.
static INBOXES: Mutex<Option<HashMap<usize, Py<PyWeakrefReference>>>> = Mutex::new(None);

fn inbox<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Inbox>> {
    let py = event_loop.py();
    let address = event_loop.as_ptr().addr();
    let known = {
        let inboxes = INBOXES.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes
            .as_ref()
            .and_then(|inboxes| inboxes.get(&address)?.bind(py).upgrade())
    };
    if let Some(inbox) = known.and_then(|inbox| inbox.cast_into::<Inbox>().ok())
        && inbox.borrow().post.get().is_some()
    {
        return Ok(inbox);
    }
    let inbox = open(event_loop)?;
    let reference = PyWeakrefReference::new(inbox.as_any())?.unbind();
    let mut inboxes = INBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    let inboxes = inboxes.get_or_insert_default();
    inboxes.retain(|_, inbox| inbox.bind(py).upgrade().is_some());
    inboxes.insert(address, reference);
    Ok(inbox)
}

fn open<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Inbox>> {
    let py = event_loop.py();
    let (bell, button) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    button.set_nonblocking(true)?;
    let descriptor = bell.as_raw_fd();
    let post = Post {
        letters: Mutex::new(Vec::new()),
        bell: button,
    };
    let inbox = Bound::new(
        py,
        Inbox {
            post: Own::new(Arc::new(post)),
            bell,
            futures: HashMap::new(),
            next: 0,
        },
    )?;
    // In a context of its own: the loop keeps it as long as the reader, and the caller's may hold
    // anything.
    let context = py.import("contextvars")?.call_method0("Context")?;
    let watch = event_loop.getattr("add_reader")?;
    context.call_method1("run", (watch, descriptor, &inbox))?;
    Ok(inbox)
}

/// What whoever waits for work hears when that will never be done.
pub(crate) fn given_up() -> PyErr {
    PyRuntimeError::new_err(
        "contree_sdk broke off in the middle of its work; this is a mistake in it, please report it",
    )
}
