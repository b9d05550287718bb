//! The contree command line.

fn main() {}
