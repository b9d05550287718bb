//! Operations: accepted, waiting, live, ended, shown and told of.

mod accept;
pub(crate) use accept::{project_gone, shutting_down, spawn_permission};
pub(crate) mod end;
pub(crate) mod feed;
pub use feed::{OperationFeed, OperationLine};
pub(crate) mod live;
pub(crate) mod scheduler;
mod show;
pub(crate) use show::completion;
