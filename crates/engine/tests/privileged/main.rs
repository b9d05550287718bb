//! The engine with real sandboxes. Needs root; `CONTREE_TEST_BIN` names the folder with
//! `contree-sandbox`, else it is looked for beside the test's own folder.

#![expect(clippy::unwrap_used, dead_code, reason = "helpers of tests")]

mod bench;
mod lifecycle;
