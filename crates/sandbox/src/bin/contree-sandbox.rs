//! The resident launcher.

fn main() {}
