//! Tests with a real kernel, as root.

mod launcher;
