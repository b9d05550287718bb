//! The engine with real sandboxes. Needs root; `CONTREE_TEST_BIN` names the folder with
//! `contree-sandbox`, else it is looked for beside the test's own folder.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod bench;
mod cost;
mod crash;
mod images;
mod lifecycle;
mod many;
mod processes;
mod projects;
mod stops;
mod trees;
