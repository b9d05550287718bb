//! The filesystem a run starts from and becomes: layer store, import, inspect, uploads.
//!
//! [`Store`] is the door: it owns one folder on disk ([`layout`] draws it) and hands out what a
//! run needs (a chain of layers to stand on, an upper to write to), takes back what a run wrote
//! ([`Store::commit`]), merges layers so that chains stay short, keeps uploads, and looks into
//! images without mounting them ([`view`]).
//!
//! Everything here works on trees that strangers wrote. Paths inside such a tree are resolved by
//! the kernel with the tree as root ([`RootDir`]), whole trees are walked with one descriptor
//! however deep they are, and no name is ever joined to a host path.

#![forbid(unsafe_code)]

pub mod archive;
mod attributes;
mod cursor;
mod files;
pub mod grep;
pub mod import;
pub mod layout;
mod measure;
mod merge;
mod remove;
pub mod root_dir;
mod stack;
mod staging;
pub mod store;
mod sync;
mod trash;
pub mod tree;
mod upper;
pub mod view;
mod walk;

pub use archive::{Archive, ArchiveError};
pub use files::{FileError, FileWriter, WrittenFile};
pub use grep::{GrepError, Stop};
pub use measure::{DiskUse, Usage};
pub use root_dir::{Dir, RootDir};
pub use staging::Staged;
pub use store::{Leftovers, Store, StoreError};
pub use tree::{Piece, Tree, TreeEntry, TreeError, TreeKind, read_archive};
pub use upper::Upper;
pub use view::{OpenFile, PathError, View};
