//! Where a command runs: the only crate that touches the kernel.

pub mod slot;
