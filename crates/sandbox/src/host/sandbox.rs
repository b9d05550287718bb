//! A running sandbox, as its owner sees it.

use std::collections::HashMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::control::{Control, TooLarge};
use super::error::{Lost, SignalError, SpawnError};
use crate::job::Process;
use crate::network::NetworkInfo;
use crate::protocol::sandbox::{Begin, End, NotStarted, Notice, Order};
use crate::protocol::{Failure, FailureSource, MAX_TO_INIT, ProcessId, Usage};
use crate::stdio::{OutputPipe, StdinPipe, Streams};

/// A running sandbox. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Sandbox {
    pub(super) shared: Arc<Shared>,
    pub(super) gone: watch::Receiver<bool>,
}

/// A process that was started.
#[derive(Debug)]
pub struct Running {
    /// Names it in this sandbox.
    pub id: ProcessId,
    /// Its pid inside.
    pub pid: i32,
    /// Its arguments; the first is the program as it was found.
    pub argv: Vec<Vec<u8>>,
    /// Its standard input, if asked for.
    pub stdin: Option<StdinPipe>,
    /// Its output. Ends when every process that inherited it has ended.
    pub stdout: OutputPipe,
    /// Its error output.
    pub stderr: OutputPipe,
    /// Its end.
    pub exit: ExitFuture,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it left a core dump.
    pub core_dump: bool,
    /// What it, and the children that it waited for, used.
    pub usage: Usage,
    /// Whether any process of the sandbox was killed so far because the memory limit was reached.
    pub oom_killed: bool,
    /// From its start to its end.
    pub duration: Duration,
}

/// Resolves when a process has ended.
#[derive(Debug)]
pub struct ExitFuture(oneshot::Receiver<Result<Exit, Lost>>);

/// The process whose end is the sandbox's.
const FIRST: ProcessId = ProcessId(1);

/// What the handle and the supervising task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) control: Arc<Control>,
    pub(super) network: Option<NetworkInfo>,
    state: Mutex<State>,
    /// Somebody wants everything dead.
    pub(super) killed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    /// Processes ordered and not yet started.
    starting: HashMap<ProcessId, oneshot::Sender<Result<Started, SpawnError>>>,
    /// Processes that run.
    running: HashMap<ProcessId, oneshot::Sender<Result<Exit, Lost>>>,
    killed: bool,
    /// The first process has ended, or never was; init is about to end the rest.
    ending: bool,
    over: bool,
}

#[derive(Debug)]
struct Started {
    pid: i32,
    program: Vec<u8>,
    exit: oneshot::Receiver<Result<Exit, Lost>>,
}

impl Sandbox {
    /// How it reaches the outside; `None` when it has loopback only.
    #[must_use]
    pub fn network(&self) -> Option<&NetworkInfo> {
        self.shared.network.as_ref()
    }

    /// Starts a further process. It is killed when the first one ends.
    pub async fn exec(&self, process: Process) -> Result<Running, SpawnError> {
        let (argv, stdin) = (process.program.argv().to_vec(), process.stdin);
        self.shared
            .start(argv, stdin, |id| Order::Start { id, process })
            .await
    }

    /// Sends a signal to the group of a process: to it and what it started, as far as that has
    /// not made groups of its own.
    pub fn signal(&self, process: &ProcessId, signal: i32) -> Result<(), SignalError> {
        if !(1..=64).contains(&signal) {
            return Err(SignalError::Invalid(signal));
        }
        if !self.shared.state().running.contains_key(process) {
            return Err(SignalError::Ended);
        }
        self.shared.order(
            &Order::Signal {
                id: *process,
                signal,
            },
            Vec::new(),
        );
        Ok(())
    }

    /// Kills everything in it, at once. Running processes report their ends.
    pub fn kill(&self) {
        self.shared.kill();
    }

    /// Waits until every process is dead and the filesystem unmounted: the upper folder is
    /// nobody's any more and may be renamed.
    pub async fn gone(&self) {
        // The sender going away means the same.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.kill();
    }
}

impl Future for ExitFuture {
    type Output = Result<Exit, Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            // Nobody says so when the runtime ends.
            .map(|exit| exit.unwrap_or(Err(Lost::Unknown)))
    }
}

impl Shared {
    pub(super) fn new(control: Arc<Control>, network: Option<NetworkInfo>) -> Self {
        let state = State {
            next: FIRST.0,
            ..State::default()
        };
        Self {
            control,
            network,
            state: Mutex::new(state),
            killed: Notify::new(),
        }
    }

    /// Starts the first process.
    pub(super) async fn begin(
        &self,
        begin: impl FnOnce(ProcessId) -> Begin,
        argv: Vec<Vec<u8>>,
        stdin: bool,
    ) -> Result<Running, SpawnError> {
        self.start(argv, stdin, |id| Order::Begin(Box::new(begin(id))))
            .await
    }

    async fn start(
        &self,
        mut argv: Vec<Vec<u8>>,
        stdin: bool,
        order: impl FnOnce(ProcessId) -> Order,
    ) -> Result<Running, SpawnError> {
        let (streams, far) = Streams::make(stdin).map_err(SpawnError::Pipes)?;
        let (report, reported) = oneshot::channel();
        let id = {
            let mut state = self.state();
            if state.over || state.killed {
                return Err(SpawnError::Ended);
            }
            let id = ProcessId(state.next);
            state.next += 1;
            state.starting.insert(id, report);
            id
        };
        if let Err(TooLarge(bytes)) = self.control.order(&order(id), far) {
            self.state().starting.remove(&id);
            return Err(SpawnError::TooLarge {
                bytes,
                most: MAX_TO_INIT,
            });
        }
        let reported = reported.await;
        // Nobody says so when the runtime ends.
        let Started { pid, program, exit } =
            reported.unwrap_or(Err(SpawnError::Lost(Lost::Unknown)))?;
        if let Some(first) = argv.first_mut() {
            *first = program;
        }
        let Streams {
            stdin,
            stdout,
            stderr,
        } = streams;
        Ok(Running {
            id,
            pid,
            argv,
            stdin,
            stdout,
            stderr,
            exit: ExitFuture(exit),
        })
    }

    /// Gives an order that is never too large.
    fn order(&self, order: &Order, fds: Vec<OwnedFd>) {
        let _ = self.control.order(order, fds);
    }

    pub(super) fn kill(&self) {
        {
            let mut state = self.state();
            if state.killed || state.over {
                return;
            }
            state.killed = true;
        }
        self.order(&Order::Kill, Vec::new());
        self.killed.notify_one();
    }

    /// Takes note of what init says.
    pub(super) fn heard(&self, notice: Notice, oom_killed: impl FnOnce() -> bool) {
        match notice {
            // Was heard before there was a job.
            Notice::Ready => {}
            Notice::Failed(failure) => {
                for (_, waiter) in self.state().starting.drain() {
                    // Who waited may have given up.
                    let _ = waiter.send(Err(SpawnError::Setup(failure.clone())));
                }
            }
            Notice::Started { id, pid, program } => {
                let mut state = self.state();
                let Some(waiter) = state.starting.remove(&id) else {
                    return;
                };
                let (ended, exit) = oneshot::channel();
                state.running.insert(id, ended);
                let _ = waiter.send(Ok(Started { pid, program, exit }));
            }
            Notice::NotStarted { id, why } => {
                let mut state = self.state();
                state.ending |= id == FIRST;
                if let Some(waiter) = state.starting.remove(&id) {
                    let _ = waiter.send(Err(not_started(why)));
                }
            }
            Notice::Ended { id, end } => {
                let waiter = {
                    let mut state = self.state();
                    state.ending |= id == FIRST;
                    state.running.remove(&id)
                };
                let Some(waiter) = waiter else { return };
                let End {
                    code,
                    signal,
                    core_dump,
                    nanoseconds,
                    usage,
                } = end;
                let duration = Duration::from_nanos(nanoseconds);
                let oom_killed = oom_killed();
                let _ = waiter.send(Ok(Exit {
                    code,
                    signal,
                    core_dump,
                    usage,
                    oom_killed,
                    duration,
                }));
            }
        }
    }

    /// Whether the first process has ended, and init should soon too.
    pub(super) fn is_ending(&self) -> bool {
        self.state().ending
    }

    /// Whether something starts or runs in it whose end nobody wants: should it die now, it is lost.
    pub(super) fn is_in_use(&self) -> bool {
        let state = self.state();
        let busy = !state.starting.is_empty() || !state.running.is_empty();
        busy && !state.killed && !state.ending
    }

    /// The sandbox is gone; says how what was still starting or running ended.
    ///
    /// What was killed because we wanted it, or because memory ended, has ended. The rest is lost.
    pub(super) fn finish(&self, oom_killed: bool, lost: Option<Lost>) {
        let mut state = self.state();
        state.over = true;
        let killed = Exit {
            code: None,
            signal: Some(libc::SIGKILL),
            core_dump: false,
            usage: Usage::default(),
            oom_killed,
            duration: Duration::ZERO,
        };
        for (_, waiter) in state.starting.drain() {
            let why = lost.clone().map_or(SpawnError::Ended, SpawnError::Lost);
            // Who waited may have given up.
            let _ = waiter.send(Err(why));
        }
        for (_, waiter) in state.running.drain() {
            let _ = waiter.send(lost.clone().map_or(Ok(killed), Err));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_started(why: NotStarted) -> SpawnError {
    let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
    match why {
        NotStarted::Exec { path, errno } => SpawnError::Exec {
            path: text(path),
            source: FailureSource(errno),
        },
        NotStarted::Cwd { path, errno } => SpawnError::Cwd {
            path: text(path),
            source: FailureSource(errno),
        },
        NotStarted::User { uid, gid, errno } => SpawnError::User {
            uid,
            gid,
            source: FailureSource(errno),
        },
        NotStarted::File { path, failure } => SpawnError::File {
            path: text(path),
            source: failure,
        },
        NotStarted::Other(failure) => SpawnError::Setup(failure),
    }
}

impl From<Failure> for SpawnError {
    fn from(failure: Failure) -> Self {
        Self::Setup(failure)
    }
}
