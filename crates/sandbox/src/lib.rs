//! Where a command runs: the only crate that touches the kernel.

pub mod network;
pub mod probe;
pub mod slot;
