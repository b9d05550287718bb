//! The measures behind docs/performance.md.

fn main() {}
