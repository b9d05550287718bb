//! Where a command runs: the only crate that touches the kernel.

#![expect(dead_code, reason = "init uses the rest and is still to come")]

pub mod host;
pub mod launcher;
pub mod network;
pub mod probe;
pub mod protocol;
pub mod slot;
mod sys;
