//! What can go wrong, by what the caller can do about it.

use std::io;

use super::launcher::LauncherError;
use crate::limits::LimitError;
use crate::network::{LeaseError, NetworkError};
use crate::protocol::{Failure, FailureSource};
use crate::slot::SlotError;

/// Why a host could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// A dead server's control groups.
    #[error("remove what a dead server left")]
    CleanGroups(#[source] LimitError),
    /// A dead server's network.
    #[error("remove what a dead server left")]
    CleanNetwork(#[source] NetworkError),
    /// The list of mounts, which tells where control groups are.
    #[error("read /proc/self/mountinfo")]
    Mounts(#[source] io::Error),
    /// The network.
    #[error("start the sandboxes' network")]
    Network(#[source] NetworkError),
    /// The launcher's path is relative to nothing.
    #[error("make the launcher's path absolute")]
    Path(#[source] io::Error),
    /// The layer store's folder.
    #[error("find the layer store's folder")]
    Store(#[source] io::Error),
    /// No sandbox can be made here.
    #[error("make a sandbox")]
    Sandbox(#[source] SpawnError),
}

/// Why a process did not start.
///
/// The first group is the caller's doing, the rest the host's; see [`SpawnError::is_host`].
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The command is not there or cannot be executed.
    #[error("exec {path}")]
    Exec {
        /// As found, or as given when not found.
        path: String,
        /// Why.
        #[source]
        source: FailureSource,
    },
    /// The working directory is not there and cannot be made.
    #[error("change to working directory {path}")]
    Cwd {
        /// As given.
        path: String,
        /// Why.
        #[source]
        source: FailureSource,
    },
    /// The sandbox has no such user or group; ids are below 65,536.
    #[error("become user {uid} and group {gid}")]
    User {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Why.
        #[source]
        source: FailureSource,
    },
    /// A file could not be put in place.
    #[error("put file {path} in place")]
    File {
        /// Its destination.
        path: String,
        /// Why.
        #[source]
        source: Failure,
    },
    /// Too much at once: command line and environment, or files.
    #[error("the order has {bytes} bytes, {most} are the most")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What is possible.
        most: usize,
    },
    /// A name of a layer or file that does not stay in the store, or would break the list.
    #[error("{name:?} is not a name in the layer store")]
    Name {
        /// The name.
        name: String,
    },
    /// The sandbox is over.
    #[error("the sandbox has ended")]
    Ended,
    /// The sandbox died on the way.
    #[error("start the process")]
    Lost(#[source] Lost),
    /// A step on the way failed.
    #[error("set up the sandbox")]
    Setup(#[source] Failure),
    /// The launcher.
    #[error("ask the launcher for a sandbox")]
    Launcher(#[source] LauncherError),
    /// Namespaces.
    #[error("get namespaces")]
    Lease(#[source] LeaseError),
    /// The control group.
    #[error("limit the sandbox")]
    Limits(#[source] LimitError),
    /// Pipes and sockets.
    #[error("make pipes")]
    Pipes(#[source] io::Error),
    /// The host is being shut down.
    #[error("the host is shut down")]
    Stopped,
}

impl SpawnError {
    /// Whether the host is at fault rather than the request.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        !matches!(
            self,
            Self::Exec { .. }
                | Self::Cwd { .. }
                | Self::User { .. }
                | Self::File { .. }
                | Self::TooLarge { .. }
                | Self::Name { .. }
                | Self::Ended
        )
    }
}

/// Why a signal was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The process has ended.
    #[error("the process has ended")]
    Ended,
    /// There is no signal of that number.
    #[error("{0} is not a signal")]
    Invalid(i32),
}

/// Why a sandbox died without saying how its process ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The launcher died, and with it every sandbox that it had made.
    #[error("the sandbox was lost: the launcher died")]
    Launcher,
    /// Its init was ended by this signal, which came from outside of it.
    #[error("the sandbox was lost: signal {0} ended its init")]
    Signal(i32),
    /// Its init ended before its time, with this exit code.
    #[error("the sandbox was lost: its init ended with code {0}")]
    Code(i32),
    /// A step of its init failed.
    #[error("the sandbox was lost: its init gave up")]
    Failed(#[source] Failure),
    /// Its init said what cannot be understood, and was killed for that.
    #[error("the sandbox was lost: its init said nonsense ({0})")]
    Nonsense(String),
    /// Its init ended, and the kernel does not tell how (those before 6.15 do not).
    #[error("the sandbox was lost: its init ended")]
    Unknown,
}
