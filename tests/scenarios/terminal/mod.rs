//! What a person at a terminal meets: questions, progress, Ctrl-C and the interactive shell.
//!
//! [`Terminal`](contree_e2e::Terminal) tells how such a test is written.

mod questions;
