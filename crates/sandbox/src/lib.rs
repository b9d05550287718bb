//! Where a command runs: the only crate that touches the kernel.
//!
//! The server's part is [`Host`], which is given a [`Job`] and gives back a [`Sandbox`] and its
//! first process. What runs on the other side of the kernel's walls is in the same crate, so that
//! the two ends of each protocol cannot drift apart:
//!
//! ```text
//! host/      the server: sandboxes as handles, over tokio
//! protocol/  what server, launcher and init say to each other
//! launcher/  the resident process that clones
//! init/      pid 1 of each sandbox
//! rootfs/    the filesystem a sandbox sees         confine/  what it may not call
//! limits/    what it may use                       network/  what it may reach
//! trees/     putting files in place without a command
//! slot       which of this machine's servers we are
//! probe      what this machine offers
//! sys/       all unsafe code
//! ```

mod confine;
pub mod host;
mod init;
mod job;
pub mod launcher;
mod limits;
pub mod network;
pub mod probe;
mod protocol;
mod rootfs;
pub mod slot;
mod stdio;
mod sys;
mod trees;

pub use host::{
    Exit, ExitFuture, Host, HostConfig, Lost, Running, Sandbox, SignalError, SpawnError, StartError,
};
pub use job::{Attachment, Job, Limits, Process, Program};
pub use limits::LimitError;
pub use network::{NetworkConfig, NetworkInfo};
pub use probe::Finding;
pub use protocol::{Failure, FailureSource, ProcessId, Usage};
pub use stdio::{OutputPipe, StdinPipe};
pub use trees::stream::{EntryKind, Target, TreeEntry, TreeWriter, What};
