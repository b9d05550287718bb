//! What the end-to-end scenarios stand on: a real server in a folder of its own ([`Server`]), the
//! real command line with a home of its own ([`Contree`]), programs on a terminal ([`Terminal`]), a
//! real registry ([`Registry`]), a server for the examples of the documentation ([`Example`]),
//! published Python packages ([`python`]), and root filesystems to
//! import ([`rootfs`]).
//!
//! `cargo xtask test` builds and installs what they need and names it in the environment:
//! `CONTREE_TEST_BIN` is the folder with `contree` and `contree-sandbox`, `CONTREE_TEST_ROOTFS` a
//! tar of a Debian root, `CONTREE_TEST_TOOLS` one that has compilers and interpreters too.
//!
//! Everything here panics with a sentence when it fails: it runs inside tests.

#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "what a failed test has to show")]

mod contree;
mod example;
mod folder;
mod operations;
pub mod python;
mod registry;
pub mod rootfs;
mod server;
pub mod terminal;

pub use contree::{Contree, Output};
pub use example::Example;
pub use folder::tree_digests;
pub use operations::{finished, import, run, succeeded};
pub use registry::Registry;
pub use server::{Server, Settings};
pub use terminal::{Key, Terminal};

use std::path::PathBuf;

/// A file or folder that `cargo xtask test` names in the environment.
fn given(name: &str) -> PathBuf {
    let value = std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run these tests by `cargo xtask test`"));
    PathBuf::from(value)
}

/// The `contree` under test.
fn contree_program() -> PathBuf {
    given("CONTREE_TEST_BIN").join("contree")
}
