//! What a sandbox's processes may not do, on top of what its namespaces keep from them.
//!
//! The user namespace is the wall: root inside is nobody outside. What follows shrinks what can
//! be tried against the wall from within, because most ways out of a user namespace have been
//! bugs in parts of the kernel that a namespace's root may reach and an ordinary program never
//! needs.

mod capabilities;
mod seccomp;

pub(crate) use capabilities::drop_unneeded;
pub(crate) use seccomp::filter;
