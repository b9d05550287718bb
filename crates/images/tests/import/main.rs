//! Imports from real registries and archives, from misbehaving ones, and of hostile content.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archives;
mod auth;
mod differential;
mod faults;
mod hostile;
mod real_registry;
mod support;
