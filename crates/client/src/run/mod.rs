//! Runs: what they shall be ([`RunBuilder`]), while they go on ([`Run`], [`Process`]), and what
//! came of them ([`Outcome`]).

mod builder;
mod exec;
mod outcome;
mod output;
mod process;
mod upload;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use contree_api::instance::InstanceSpawnRequest;
use contree_api::{OperationId, Tag};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

pub use self::builder::RunBuilder;
pub(crate) use self::builder::whole_seconds;
pub use self::exec::ExecBuilder;
pub(crate) use self::outcome::ended_well;
pub use self::outcome::{Captured, Outcome};
pub use self::output::{Chunk, Output};
pub use self::process::Process;
pub use self::upload::Upload;
use crate::call::Call;
use crate::session::Step;
use crate::{Contree, Error, Follow, Operation};

/// A run that the server has accepted. Dropping it changes nothing on the server, unless
/// [`RunBuilder::cancel_on_drop`] was asked for.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// let run = contree
///     .image("tag:debian")
///     .run("while read line; do echo \"heard $line\"; done")
///     .stdin_open()
///     .send()
///     .await?;
/// let mut output = run.stream();
/// run.write_stdin(b"something\n").await?;
/// let chunk = output.next().await?.expect("it goes on");
/// assert_eq!(chunk.text(), "heard something\n");
///
/// // A further process in the same sandbox, with streams of its own.
/// let name = run.exec("hostname || cat /proc/sys/kernel/hostname").await?;
/// assert_eq!(name.stdout.text(), "linuxkit\n");
///
/// run.close_stdin().await?;
/// assert!(run.wait().await?.success());
/// # Ok(()) });
/// ```
pub struct Run {
    operation: Operation,
    left: Mutex<Left>,
    guard: Option<CancelOnDrop>,
}

/// What is left to be done once, when it has ended well.
struct Left {
    tag: Option<Tag>,
    step: Option<Step>,
}

impl Run {
    pub(crate) const fn new(
        operation: Operation,
        tag: Option<Tag>,
        step: Option<Step>,
        guard: Option<CancelOnDrop>,
    ) -> Self {
        Self {
            operation,
            left: Mutex::const_new(Left { tag, step }),
            guard,
        }
    }

    /// The operation's id. [`Contree::attach`] makes a handle from it again.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.operation.id()
    }

    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The command itself, as a process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.operation.clone(), 1)
    }

    /// The command's output, from the first byte on.
    #[must_use]
    pub fn stream(&self) -> Output {
        self.process().stream()
    }

    /// All events of the run, from the first to `completion`.
    #[must_use]
    pub fn events(&self) -> Follow {
        self.operation.events()
    }

    /// Writes to the command's input; [`RunBuilder::stdin_open`] has kept it open. Before the
    /// sandbox is there it is waited for.
    ///
    /// # Errors
    /// As [`Process::write`].
    pub async fn write_stdin(&self, bytes: &[u8]) -> Result<(), Error> {
        self.process().write(bytes).await
    }

    /// Ends the command's input.
    ///
    /// # Errors
    /// As [`Process::write`].
    pub async fn close_stdin(&self) -> Result<(), Error> {
        self.process().close_stdin().await
    }

    /// Signals the command and its process group: a name with or without `SIG`, or a number. The
    /// image that it leaves behind is kept.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub async fn signal(&self, signal: &str) -> Result<(), Error> {
        self.process().signal(signal).await
    }

    /// Kills the command. The image that it leaves behind is kept.
    ///
    /// # Errors
    /// As [`Process::signal`].
    pub async fn kill(&self) -> Result<(), Error> {
        self.process().kill().await
    }

    /// A further process in the run's sandbox: a shell command. It sees the run's files, and ends
    /// with the run.
    pub fn exec(&self, command: impl Into<String>) -> ExecBuilder {
        ExecBuilder::new(self.operation.clone(), command.into(), true)
    }

    /// A further process in the run's sandbox: a program, looked up in `PATH`, without a shell.
    pub fn exec_program(&self, program: impl Into<String>) -> ExecBuilder {
        ExecBuilder::new(self.operation.clone(), program.into(), false)
    }

    /// Asks for the run's end. Nothing of it is kept.
    ///
    /// # Errors
    /// [`Error`]; 409 when it has ended already.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.operation.cancel().await
    }

    /// What dropping it would do in the background, if anything.
    pub(crate) fn drops(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.guard.as_ref().and_then(CancelOnDrop::due)
    }

    /// Waits for the run's end. A command that fails is no error: see [`Outcome::success`].
    ///
    /// # Errors
    /// [`Error::Failed`] when the command could not be run, [`Error::Cancelled`] when somebody
    /// cancelled it, [`Error::NotTagged`] when [`RunBuilder::tag`] asked for what cannot be done,
    /// else any [`Error`].
    pub async fn wait(&self) -> Result<Outcome, Error> {
        let answer = self.operation.wait().await?;
        if let Some(guard) = &self.guard {
            guard.has_ended.store(true, Ordering::Relaxed);
        }
        let outcome = Outcome::of_run(self.operation.contree(), answer)?;
        if let (Some(image), true) = (&outcome.image, outcome.success()) {
            let mut left = self.left.lock().await;
            if let Some(step) = left.step.take() {
                step.advance(image.name());
            }
            if let Some(tag) = &left.tag {
                if let Err(source) = image.tag(tag.as_str()).await {
                    return Err(Error::NotTagged {
                        image: image.id().await?,
                        tag: tag.clone(),
                        source: Box::new(source),
                    });
                }
                left.tag = None;
            }
        }
        Ok(outcome)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.id()).finish()
    }
}

/// Cancels an operation when it is dropped before the operation was seen to end.
pub(crate) struct CancelOnDrop {
    operation: Operation,
    has_ended: AtomicBool,
    runtime: Handle,
}

impl CancelOnDrop {
    /// The request that is to be made now, the first time it is asked for.
    fn due(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return None;
        }
        let operation = self.operation.clone();
        Some(async move {
            if let Err(error) = operation.cancel().await {
                tracing::debug!(%error, id = %operation.id(), "could not cancel");
            }
        })
    }

    /// Starts a run under guard. The request is made by a task of its own, for an answer that
    /// nobody waits for any more still tells what to cancel.
    async fn start(
        contree: Contree,
        request: InstanceSpawnRequest,
    ) -> Result<(Operation, Self), Error> {
        let (mut sender, started) = oneshot::channel();
        let sent = contree.client().sent(&Call::post("/instances"));
        tokio::spawn(async move {
            let started = match contree.spawn_unless(&request, sender.closed()).await {
                Ok(Some(operation)) => {
                    let guard = Self {
                        operation: operation.clone(),
                        has_ended: AtomicBool::new(false),
                        runtime: Handle::current(),
                    };
                    Ok((operation, guard))
                }
                Ok(None) => return,
                Err(error) => Err(error),
            };
            // When nobody is there, or leaves without taking it, the guard is dropped.
            let _ = sender.send(started);
        });
        started.await.unwrap_or_else(|source| {
            Err(Error::Transport {
                request: sent.request,
                url: sent.url,
                source: source.into(),
            })
        })
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(request) = self.due() {
            self.runtime.spawn(request);
        }
    }
}
