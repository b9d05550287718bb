//! The native module of the Python SDK, `contree_sdk._native`: what talks to the server.
//!
//! `contree_sdk/_native.pyi` is what it offers to the package. Everything that takes time is a
//! [`pending::Pending`]: work in Rust that begins when it is awaited, on threads that never touch
//! Python ([`process`]), and comes back to the event loop that waits for it as a letter ([`mail`]),
//! or to the thread that blocks for it. What goes wrong becomes one of the package's exceptions
//! ([`errors`]).

#![forbid(unsafe_code)]

mod client;
mod errors;
mod events;
mod json;
mod launch;
mod mail;
mod outcome;
mod pending;
mod process;
mod run;
mod spawn;

use pyo3::prelude::*;

/// The module. It relies on Python's lock, as the one ABI for all Pythons does.
#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    process::watch_forks(module)?;
    module.add_class::<client::Client>()?;
    module.add_class::<events::Event>()?;
    module.add_class::<events::Events>()?;
    module.add_class::<outcome::Outcome>()?;
    module.add_class::<pending::Pending>()?;
    module.add_class::<run::Run>()
}
