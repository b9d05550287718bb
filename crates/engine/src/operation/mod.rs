//! Operations: accepted, waiting, live, ended, shown.

mod accept;
pub(crate) use accept::{project_gone, shutting_down, spawn_permission};
pub(crate) mod end;
pub(crate) mod live;
pub(crate) mod scheduler;
mod show;
pub(crate) use show::completion;
