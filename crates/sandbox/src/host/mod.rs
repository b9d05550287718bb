//! The server's side.

pub mod launcher;
