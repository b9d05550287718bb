//! The layer store against a real disk and, where it says `privileged_`, against overlayfs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod files;
mod grep;
mod hostile;
mod measure;
mod merge;
mod overlay;
mod root_dir;
mod store;
mod view;
mod world;
