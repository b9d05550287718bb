//! Runs, blocking.

use std::time::Duration;

use contree_api::OperationId;

use super::{Contree, Events, ExecBuilder, Operation, Outcome, Output, RunBuilder};
use crate::Error;

/// How long a run that is dropped waits for the server to take its cancellation.
const GOODBYE: Duration = Duration::from_secs(5);

impl RunBuilder {
    /// Uploads what has to be uploaded, and starts the run.
    ///
    /// # Errors
    /// As the async one.
    pub fn send(self) -> Result<Run, Error> {
        let Self { contree, draft } = self;
        let builder = crate::RunBuilder {
            contree: contree.inner.clone(),
            draft,
        };
        let run = contree.block_on(builder.send())?;
        Ok(Run::new(&contree, run))
    }

    /// Starts the run and waits for its end.
    ///
    /// # Errors
    /// As the async one.
    pub fn output(self) -> Result<Outcome, Error> {
        self.send()?.wait()
    }
}

impl ExecBuilder {
    /// Starts it.
    ///
    /// # Errors
    /// As the async one.
    pub fn send(self) -> Result<Process, Error> {
        let contree = self.operation.contree.clone();
        let builder = self.map(|operation| operation.inner);
        let process = contree.block_on(builder.send())?;
        Ok(Process {
            contree,
            inner: process,
        })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// As the async one.
    pub fn output(self) -> Result<Outcome, Error> {
        self.send()?.wait()
    }
}

/// A run that the server has accepted; see [`crate::Run`].
#[derive(Debug)]
pub struct Run {
    contree: Contree,
    inner: crate::Run,
}

impl Run {
    pub(crate) fn new(contree: &Contree, inner: crate::Run) -> Self {
        Self {
            contree: contree.clone(),
            inner,
        }
    }

    /// The operation's id.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.inner.id()
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::new(&self.contree, self.inner.operation().clone())
    }

    /// The command itself, as a process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process {
            contree: self.contree.clone(),
            inner: self.inner.process(),
        }
    }

    /// The command's output, from the first byte on.
    #[must_use]
    pub fn stream(&self) -> Output {
        self.process().stream()
    }

    /// All events of the run.
    #[must_use]
    pub fn events(&self) -> Events {
        self.operation().events()
    }

    /// As [`crate::Run::write_stdin`].
    ///
    /// # Errors
    /// As there.
    pub fn write_stdin(&self, bytes: &[u8]) -> Result<(), Error> {
        self.process().write(bytes)
    }

    /// As [`crate::Run::close_stdin`].
    ///
    /// # Errors
    /// As there.
    pub fn close_stdin(&self) -> Result<(), Error> {
        self.process().close_stdin()
    }

    /// As [`crate::Run::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, signal: &str) -> Result<(), Error> {
        self.process().signal(signal)
    }

    /// As [`crate::Run::kill`].
    ///
    /// # Errors
    /// As there.
    pub fn kill(&self) -> Result<(), Error> {
        self.process().kill()
    }

    /// As [`crate::Run::exec`].
    pub fn exec(&self, command: impl Into<String>) -> ExecBuilder {
        ExecBuilder::new(self.operation(), command.into(), true)
    }

    /// As [`crate::Run::exec_program`].
    pub fn exec_program(&self, program: impl Into<String>) -> ExecBuilder {
        ExecBuilder::new(self.operation(), program.into(), false)
    }

    /// As [`crate::Run::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner.cancel())
    }

    /// As [`crate::Run::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<Outcome, Error> {
        let outcome = self.contree.block_on(self.inner.wait())?;
        Ok(outcome.on(self.contree.clone()))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // In the background it would end with the runtime, and that with the last handle. (Not by
        // `block_on`, which panics on threads that drive another runtime.)
        if let Some(request) = self.inner.drops() {
            let (sender, done) = std::sync::mpsc::channel();
            self.contree.in_background(async move {
                request.await;
                let _ = sender.send(());
            });
            let _ = done.recv_timeout(GOODBYE);
        }
    }
}

/// A process in the sandbox of a run; see [`crate::Process`].
#[derive(Debug, Clone)]
pub struct Process {
    contree: Contree,
    inner: crate::Process,
}

impl Process {
    /// The run's operation.
    #[must_use]
    pub const fn operation(&self) -> OperationId {
        self.inner.operation()
    }

    /// Its number within the run.
    #[must_use]
    pub const fn spid(&self) -> u32 {
        self.inner.spid()
    }

    /// Its output, from the first byte on.
    #[must_use]
    pub fn stream(&self) -> Output {
        Output::new(&self.contree, self.inner.stream())
    }

    /// Its events, from the first to its exit.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.contree, self.inner.events())
    }

    /// As [`crate::Process::write`].
    ///
    /// # Errors
    /// As there.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.contree.block_on(self.inner.write(bytes))
    }

    /// As [`crate::Process::close_stdin`].
    ///
    /// # Errors
    /// As there.
    pub fn close_stdin(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner.close_stdin())
    }

    /// As [`crate::Process::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, signal: &str) -> Result<(), Error> {
        self.contree.block_on(self.inner.signal(signal))
    }

    /// As [`crate::Process::kill`].
    ///
    /// # Errors
    /// As there.
    pub fn kill(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner.kill())
    }

    /// As [`crate::Process::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<Outcome, Error> {
        let outcome = self.contree.block_on(self.inner.wait())?;
        Ok(outcome.on(self.contree.clone()))
    }
}
