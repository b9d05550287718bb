//! The resident launcher: what runs as `contree-sandbox`.
//!
//! A process with many threads cannot safely clone itself, and cloning a process with much
//! memory is slow. So the server starts this small static program once and asks it, over the
//! socket that is its standard input, for namespaces and sandboxes (`crate::protocol`).
//!
//! It does one request after the other, blocking. It ends when the socket does, and the kernel
//! kills it when the server dies (parent-death signal; the server starts it from a thread that
//! lives as long as it does). Its children are reaped by the kernel.

mod namespaces;
mod sandbox;
pub(crate) mod stage;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::confine;
use crate::limits::rlimits;
use crate::protocol::launcher::Envelope;
use crate::protocol::transport::{receive, send};
use crate::protocol::{Failure, FailureSource, IDENTITY, MAX_DATAGRAM, Reply, Request, Step};
use crate::sys::clone::SingleThread;
use crate::sys::seccomp::Instruction;
use crate::sys::{fds, signals};
use sandbox::Parts;
use stage::Stage;

/// What a launcher process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Makes namespaces.
    Namespaces,
    /// Also makes sandboxes, over the layer store in its working directory.
    Sandboxes,
}

impl Role {
    /// The role with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Namespaces, Self::Sandboxes]
            .into_iter()
            .find(|role| role.name() == name)
    }

    /// Its name, as the program's one argument.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Sandboxes => "sandboxes",
        }
    }
}

/// Runs the launcher on standard input until that closes.
pub fn run(role: Role) -> Result<(), Failure> {
    let socket = fds::take_stdin().step("take the socket from standard input")?;
    fds::close_all_but(&[socket.as_raw_fd()]).step("close inherited descriptors")?;
    set_parent_process_death_signal(Some(Signal::KILL)).step("set parent-death signal")?;
    signals::ignore_children().step("ignore SIGCHLD")?;
    let thread = SingleThread::prove().step("look at our threads")?;
    // Before the stage is entered, where the limits of descriptors are known.
    rlimits::set_for_sandboxes()?;
    let stage = match role {
        Role::Namespaces => None,
        Role::Sandboxes => Some(Stage::enter(thread)?),
    };
    send(&socket, &IDENTITY.to_le_bytes(), &[]).step("greet the server")?;
    Launcher {
        socket,
        thread,
        filter: confine::filter(),
        stage,
    }
    .serve()
}

struct Launcher {
    socket: OwnedFd,
    thread: SingleThread,
    /// Made once, inherited by every init.
    filter: Vec<Instruction>,
    stage: Option<Stage>,
}

impl Launcher {
    fn serve(&self) -> Result<(), Failure> {
        let mut buffer = [0_u8; MAX_DATAGRAM];
        loop {
            let mut fds = Vec::new();
            let length = receive(&self.socket, &mut buffer, &mut fds).step("receive a request")?;
            if length == 0 {
                return Ok(());
            }
            let envelope = Envelope::decode(&buffer[..length])
                .map_err(io::Error::other)
                .step("decode a request")?;
            match envelope.request {
                Request::Namespaces { id_base } => {
                    let made = namespaces::make(self.thread, id_base);
                    self.answer(envelope.id, made.map(|made| vec![made.user, made.network]))?;
                }
                Request::Sandbox { id_base, unified } => {
                    let made = Parts::new(id_base, unified, fds)
                        .and_then(|parts| self.sandbox(envelope.id, parts));
                    if let Err(failure) = made {
                        self.answer(envelope.id, Err(failure))?;
                    }
                }
            }
        }
    }

    /// Clones a sandbox, which answers for itself unless even that fails.
    fn sandbox(&self, id: u64, parts: Parts) -> Result<(), Failure> {
        match &self.stage {
            Some(stage) => sandbox::make(self, stage, id, parts),
            None => Err(Failure {
                step: "clone a sandbox without a layer store".into(),
                source: FailureSource(libc::ENOTSUP),
            }),
        }
    }

    fn answer(&self, id: u64, result: Result<Vec<OwnedFd>, Failure>) -> Result<(), Failure> {
        let (outcome, fds) = match result {
            Ok(fds) => (Ok(()), fds),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        match send(&self.socket, &Reply { id, outcome }.encode(), &borrowed) {
            // The server is gone, and so will we be.
            Ok(_) | Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Failure::new("send a reply", &errno.into())),
        }
    }
}
