//! Tests with a real kernel, as root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod debian;
mod filesystem;
mod launcher;
mod processes;
mod trees;
mod walls;
mod world;
