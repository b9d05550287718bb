//! Every `unsafe` block of the house.
//!
//! What rustix offers safely is called where it is needed; this module has the rest, each as a
//! safe function that checks or owns what its system call asks for.

pub(crate) mod clone;
pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod loopback;
pub(crate) mod mount;
pub(crate) mod pidfd;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod wait;
