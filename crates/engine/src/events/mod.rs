//! The event log of an operation: one file, one event in wire form per line.

mod stream;

pub use stream::{EventLine, EventQuery, EventStream};
