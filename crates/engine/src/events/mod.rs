//! The event log of an operation: one file, `DATA_DIR/events/<2 hex>/<operation>.jsonl`, with one
//! event in wire form per line, in the order of their ids.
//!
//! The log is appended as things happen ([`log`]) and is what every result is folded from
//! ([`fold`]). Readers ([`stream`]) read the file at their own pace and are woken through a watch
//! channel that carries nothing but the file's size, so a reader that is slow, or that never
//! reads at all, costs a run nothing.
//!
//! A log ends with `completion`. That event is written after the operation's end is on record;
//! if the server dies between the two, the next reader of the log puts it there from the record
//! ([`log::seal`]).

pub(crate) mod fold;
pub(crate) mod line;
pub(crate) mod log;
mod stream;

pub use stream::{EventLine, EventQuery, EventStream};
