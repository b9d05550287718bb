//! The server's end of the launcher: starting it, asking it, starting it again.
//!
//! Every launcher process has a thread of ours that starts it and waits for its end, because the
//! kernel kills it when *that thread* ends: the parent-death signal counts threads, and those of
//! tokio's pool come and go.
//!
//! When the launcher dies its socket ends, every request under way fails with
//! [`LauncherError::Died`], and the next request starts a new one. Sandboxes are children of the
//! launcher and die with it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketType;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::launcher::Role;
use crate::limits::Doors;
use crate::protocol::launcher::Envelope;
use crate::protocol::transport::{pair, receive, send};
use crate::protocol::{Failure, IDENTITY, MAX_DATAGRAM, Reply, Request};
use crate::sys::fds;

/// It is ready within milliseconds; this is for a machine on its knees.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the launcher did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// Its program cannot be started.
    #[error("start {path}")]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended, or said nothing for [`GREETING_TIMEOUT`], when it should have been ready.
    #[error("{path} did not become ready; what it said about that is on the server's error output")]
    NotReady {
        /// The program.
        path: PathBuf,
    },
    /// It speaks another protocol.
    #[error("{path} is not of this build; install contree and contree-sandbox together")]
    OtherBuild {
        /// The program.
        path: PathBuf,
    },
    /// The request cannot be sent.
    #[error("send a request to the launcher")]
    Send(#[source] io::Error),
    /// It ended before it answered.
    #[error("the launcher died")]
    Died,
    /// What it had cloned was killed before it was ready.
    #[error("the new sandbox was killed")]
    Killed,
    /// It answered something else.
    #[error("the launcher gave a wrong answer")]
    WrongAnswer,
    /// A step of the request failed.
    #[error("{}", .0.step)]
    Step(#[source] Failure),
}

/// A user namespace and a network namespace that it owns, loopback up and nothing else in it.
#[derive(Debug)]
pub struct Namespaces {
    /// The user namespace.
    pub user: OwnedFd,
    /// The network namespace.
    pub network: OwnedFd,
}

/// A launcher process, started when first asked.
#[derive(Debug, Clone)]
pub struct Launcher {
    shared: Arc<Shared>,
}

/// The launcher process that a sandbox is a child of, and dies with.
#[derive(Debug)]
pub(crate) struct Parent(Arc<Connection>);

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    store: Option<PathBuf>,
    /// The living one, if any. Held while one is started, so that only one is.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

/// One life of the launcher.
#[derive(Debug)]
struct Connection {
    socket: AsyncFd<OwnedFd>,
    next_id: AtomicU64,
    /// `None` once the launcher is dead.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
}

/// A request that was sent. Dropping it is losing interest.
#[derive(Debug)]
struct Question<'connection> {
    connection: &'connection Connection,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

type Answer = Result<Vec<OwnedFd>, Failure>;

impl Launcher {
    /// A launcher that runs `program`, the `contree-sandbox` binary. With `store`, the layer
    /// store's folder, it can make sandboxes; without, namespaces only. Both are absolute.
    #[must_use]
    pub fn new(program: &Path, store: Option<&Path>) -> Self {
        let shared = Shared {
            program: program.to_owned(),
            store: store.map(Path::to_owned),
            connection: tokio::sync::Mutex::new(None),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Makes a user namespace whose ids 0 to 65,535 are the host's from `id_base` on, and a
    /// network namespace owned by it.
    pub async fn namespaces(&self, id_base: u32) -> Result<Namespaces, LauncherError> {
        let fds = self.ask(Request::Namespaces { id_base }, &[]).await?;
        let [user, network] =
            <[OwnedFd; 2]>::try_from(fds).map_err(|_| LauncherError::WrongAnswer)?;
        Ok(Namespaces { user, network })
    }

    /// Clones a sandbox's init, which listens on `control`, and gives its pidfd.
    ///
    /// There is no answer when it was killed before it existed; who asks sees the end of `control`.
    pub(crate) async fn sandbox(
        &self,
        id_base: u32,
        control: OwnedFd,
        user: &OwnedFd,
        network: &OwnedFd,
        doors: &Doors,
    ) -> Result<(OwnedFd, Parent), LauncherError> {
        let mut fds = vec![&control, user, network];
        fds.extend(&doors.fds);
        let request = Request::Sandbox {
            id_base,
            unified: doors.unified,
        };
        let connection = self.connection().await?;
        let question = connection.send(request, &fds).await?;
        // Ours was the last but theirs.
        drop(control);
        let fds = question.answer().await?;
        let [pidfd] = <[OwnedFd; 1]>::try_from(fds).map_err(|_| LauncherError::WrongAnswer)?;
        Ok((pidfd, Parent(connection)))
    }

    /// Sends a request with descriptors and waits for the descriptors of the answer.
    async fn ask(&self, request: Request, fds: &[&OwnedFd]) -> Result<Vec<OwnedFd>, LauncherError> {
        let connection = self.connection().await?;
        connection.send(request, fds).await?.answer().await
    }

    async fn connection(&self) -> Result<Arc<Connection>, LauncherError> {
        let mut current = self.shared.connection.lock().await;
        if let Some(connection) = current.as_ref()
            && connection.is_alive()
        {
            return Ok(Arc::clone(connection));
        }
        let connection = start(&self.shared.program, self.shared.store.as_deref()).await?;
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

impl Parent {
    /// Whether it lives. False before any of its children is dead: its socket is closed before
    /// they are killed, and is looked at here and now.
    pub(crate) fn is_alive(&self) -> bool {
        self.0.is_alive()
    }
}

async fn start(program: &Path, store: Option<&Path>) -> Result<Arc<Connection>, LauncherError> {
    let failed = |source| LauncherError::Start {
        path: program.to_owned(),
        source,
    };
    let (ours, theirs) = pair(SocketType::SEQPACKET).map_err(failed)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|errno| failed(errno.into()))?;
    let mut command = Command::new(program);
    // Every sandbox sees this command line, as that of its pid 1: it must not name anything of the
    // host. So the store is where the launcher starts.
    let role = if store.is_some() {
        Role::Sandboxes
    } else {
        Role::Namespaces
    };
    command
        .arg0("contree-sandbox")
        .arg(role.name())
        .env_clear()
        .current_dir(store.unwrap_or(Path::new("/")))
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let (started, wait_started) = oneshot::channel();
    std::thread::Builder::new()
        .name("launcher".into())
        .spawn(move || {
            let child = command.spawn();
            // Our copy of the launcher's end must go, or its death would not end the socket.
            drop(command);
            let mut child = match child {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let pid = child.id();
            let _ = started.send(Ok(()));
            match child.wait() {
                Ok(status) if status.success() => tracing::debug!(pid, "launcher ended"),
                Ok(status) => tracing::warn!(pid, %status, "the launcher died"),
                Err(error) => tracing::warn!(pid, %error, "cannot wait for the launcher"),
            }
        })
        .map_err(failed)?;
    wait_started
        .await
        .map_err(|_| LauncherError::Died)?
        .map_err(failed)?;
    let socket = fds::watch(ours, Interest::READABLE | Interest::WRITABLE).map_err(failed)?;
    greeted(&socket, program).await?;
    let connection = Arc::new(Connection {
        socket,
        next_id: AtomicU64::new(0),
        waiting: Mutex::new(Some(HashMap::new())),
    });
    tokio::spawn(read_answers(Arc::downgrade(&connection)));
    Ok(connection)
}

/// Waits until the launcher says that it is ready, and what it is.
async fn greeted(socket: &AsyncFd<OwnedFd>, program: &Path) -> Result<(), LauncherError> {
    let mut greeting = [0_u8; size_of_val(&IDENTITY)];
    let greet = socket.async_io(Interest::READABLE, |socket| {
        receive(socket, &mut greeting, &mut Vec::new()).map_err(io::Error::from)
    });
    let path = || program.to_owned();
    match tokio::time::timeout(GREETING_TIMEOUT, greet).await {
        Ok(Ok(length)) if greeting[..length] == IDENTITY.to_le_bytes() => Ok(()),
        Ok(Ok(1..)) => Err(LauncherError::OtherBuild { path: path() }),
        Ok(Ok(0) | Err(_)) | Err(_) => Err(LauncherError::NotReady { path: path() }),
    }
}

/// Hands answers to who waits for them, until the launcher or its last user is gone.
async fn read_answers(connection: std::sync::Weak<Connection>) {
    // The strong reference is held while waiting for input; `Launcher`'s drop shuts the socket
    // down, which ends the wait.
    let Some(connection) = connection.upgrade() else {
        return;
    };
    let mut buffer = [0_u8; MAX_DATAGRAM];
    loop {
        let mut fds = Vec::new();
        let received = connection
            .socket
            .async_io(Interest::READABLE, |socket| {
                receive(socket, &mut buffer, &mut fds).map_err(io::Error::from)
            })
            .await;
        let reply = match received {
            Ok(0) => break,
            Ok(length) => Reply::decode(&buffer[..length]),
            Err(error) => {
                tracing::warn!(%error, "cannot receive from the launcher");
                break;
            }
        };
        match reply {
            Ok(Reply { id, outcome }) => {
                let waiter = connection
                    .waiting()
                    .as_mut()
                    .and_then(|map| map.remove(&id));
                if let Some(waiter) = waiter {
                    // Who asked may have given up; the descriptors are closed then.
                    let _ = waiter.send(outcome.map(|()| fds));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the launcher sent nonsense");
                break;
            }
        }
    }
    connection.bury();
}

impl Connection {
    async fn send(
        &self,
        request: Request,
        fds: &[&OwnedFd],
    ) -> Result<Question<'_>, LauncherError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        match self.waiting().as_mut() {
            Some(map) => map.insert(id, answered),
            None => return Err(LauncherError::Died),
        };
        let question = Question {
            connection: self,
            id,
            answer,
        };
        let bytes = Envelope { id, request }.encode();
        self.socket
            .async_io(Interest::WRITABLE, |socket| {
                let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
                send(socket, &bytes, &fds).map_err(io::Error::from)
            })
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LauncherError::Died,
                _ => LauncherError::Send(error),
            })?;
        Ok(question)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asked of the socket itself: that it has ended may not have got around yet.
    fn is_alive(&self) -> bool {
        let mut watched = [PollFd::new(self.socket.get_ref(), PollFlags::RDHUP)];
        self.waiting().is_some() && matches!(poll(&mut watched, Some(&Timespec::default())), Ok(0))
    }

    /// Nothing will be answered any more.
    fn bury(&self) {
        drop(self.waiting().take());
    }

    /// Ends the launcher, and with it every sandbox it made.
    fn shut_down(&self) {
        self.bury();
        // Fails only when the launcher is gone.
        let _ = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Both);
    }
}

impl Question<'_> {
    async fn answer(mut self) -> Result<Vec<OwnedFd>, LauncherError> {
        match (&mut self.answer).await {
            Ok(Ok(fds)) => Ok(fds),
            Ok(Err(failure)) => Err(LauncherError::Step(failure)),
            Err(_) => Err(LauncherError::Died),
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(map) = self.connection.waiting().as_mut() {
            map.remove(&self.id);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut() {
            connection.shut_down();
        }
    }
}
