//! The records on real files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod files;
mod images;
mod operations;
mod projects;
mod tokens;
mod world;
mod writing;
