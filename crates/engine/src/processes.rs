//! The processes of a running instance: further ones, their results, signals and input.
//!
//! | the operation | exec, signal, input | result |
//! | --- | --- | --- |
//! | waits for its turn | `TooEarly`: nothing was done, try again | `TooEarly` |
//! | has its sandbox on the way | waits for it | waits for it |
//! | runs | is done | as far as it is |
//! | runs without a command | a signal only, else `Conflict` | as far as it is |
//! | has ended, or is an import | `Conflict` | from its log, or `NotFound` |
//!
//! Waiting ends when the sandbox is up or the operation has ended, which is a matter of
//! milliseconds, or when the caller goes away.

use std::sync::Arc;

use contree_api::instance::{ExecSpec, InstanceResult, Spid};
use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::stream::ClosableStreamRepr;
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, OperationId};
use contree_sandbox::SpawnError;

use crate::operation::live::{Asked, Live};
use crate::operation::spawn_permission;
use crate::run::instance::{Instance, ProcessHandle, StdinError};
use crate::run::{plan, signals};
use crate::{Engine, Error, Identity, validate};

/// When to try again while an operation waits for its turn, in seconds.
const RETRY_EARLY: u32 = 1;

impl Engine {
    /// Starts a further process in a running sandbox.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is no instance or has ended; `TooEarly` while it waits for its
    /// turn; `BadRequest` naming the field, or `spawn failed: …` when the command cannot be
    /// started; `Forbidden` without the permission its parent needed.
    pub async fn exec(
        &self,
        identity: &Identity,
        operation: OperationId,
        spec: ExecSpec,
    ) -> Result<Spid, Error> {
        validate::exec(&spec)?;
        let (live, instance) = self.instance(identity, operation).await?;
        if matches!(&live.asked, Asked::Run(request) if request.command.is_empty()) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the operation only puts files in place; no process can be started in it",
            ));
        }
        let plan = plan::further_process(&spec, &instance.env, instance.cwd.as_deref());
        let started = instance
            .exec(plan, &live)
            .await
            .map_err(|error| match error {
                SpawnError::Ended => ended(),
                error if error.is_host() => {
                    Error::internal("the process could not be started", error)
                }
                error => {
                    let message = format!("spawn failed: {}", crate::error::chain(&error));
                    Error::bad_request(message).with_source(error)
                }
            })?;
        started.map(|spid| Spid { spid }).ok_or_else(ended)
    }

    /// The result of one process, folded from the log; while it runs exit code and signal are −1.
    ///
    /// # Errors
    /// `NotFound`; `TooEarly` while the operation waits for its turn; `Forbidden` without `list`.
    pub async fn process_result(
        &self,
        identity: &Identity,
        operation: OperationId,
        spid: u32,
    ) -> Result<InstanceResult, Error> {
        identity.require(Permission::List)?;
        let (path, size) = match self.live(identity, operation) {
            Some(live) => {
                if live.kind() == OperationKind::Instance {
                    if live.status() == OperationStatus::Pending {
                        return Err(too_early());
                    }
                    // Without one there is no such process, which the log will tell.
                    let _ = live.instance().await;
                }
                let size = live.log.watch().borrow().size;
                (live.log.path().to_owned(), size)
            }
            None => {
                let stored = self.stored_operation(identity, operation).await?;
                self.sealed_log(&stored).await?
            }
        };
        self.folded_result(path, size, spid)
            .await?
            .ok_or_else(|| no_process(operation, spid))
    }

    /// Signals the process group of a process: a number or a name with or without `SIG`; none:
    /// SIGKILL.
    ///
    /// # Errors
    /// `BadRequest` for an unknown signal; `NotFound` when there is no such live process;
    /// `Conflict` when the operation is no instance or has ended; `TooEarly`; `Forbidden`.
    pub async fn signal(
        &self,
        identity: &Identity,
        operation: OperationId,
        spid: u32,
        signal: Option<&str>,
    ) -> Result<(), Error> {
        let signal = match signal {
            None => signals::SIGKILL,
            Some(text) => signals::parse(text).ok_or_else(|| {
                Error::bad_request("signal must be a number from 1 to 64 or a name such as TERM")
            })?,
        };
        let (_, instance) = self.instance(identity, operation).await?;
        let process = live_process(&instance, operation, spid)?;
        instance
            .sandbox
            .signal(process.id(), signal)
            .map_err(|error| {
                // It ended in between.
                no_process(operation, spid).with_source(error)
            })
    }

    /// Writes to the stdin of a process, then closes it when the chunk says so. Returns when the
    /// process has been given all of it.
    ///
    /// # Errors
    /// `NotFound` when there is no such live process; `Conflict` when its stdin is not open, when
    /// the operation is no instance or has ended; `TooEarly`; `TimedOut` when the process does not
    /// read (part of the chunk may have been delivered); `BadRequest`; `Forbidden`.
    pub async fn write_stdin(
        &self,
        identity: &Identity,
        operation: OperationId,
        spid: u32,
        chunk: ClosableStreamRepr,
    ) -> Result<(), Error> {
        let bytes = chunk
            .to_bytes()
            .map_err(|error| Error::bad_request(error.to_string()))?;
        let (live, instance) = self.instance(identity, operation).await?;
        let process = live_process(&instance, operation, spid)?;
        process
            .write_stdin(&bytes, chunk.close, &live.log)
            .await
            .map_err(|error| match error {
                StdinError::Closed => Error::new(
                    ErrorKind::Conflict,
                    format!("the stdin of process {spid} is not open"),
                ),
                StdinError::Patience => Error::new(
                    ErrorKind::TimedOut,
                    format!(
                        "process {spid} does not read its stdin; part of the bytes may have arrived"
                    ),
                ),
            })
    }

    /// The running sandbox of an operation.
    async fn instance(
        &self,
        identity: &Identity,
        operation: OperationId,
    ) -> Result<(Arc<Live>, Arc<Instance>), Error> {
        let any = [Permission::Spawn, Permission::SpawnDisposable];
        let Some(live) = self.live(identity, operation) else {
            identity.require_any(&any)?;
            let stored = self.stored_operation(identity, operation).await?;
            return Err(match stored.kind {
                OperationKind::Instance => ended(),
                OperationKind::ImageImport => no_instance(),
            });
        };
        let Asked::Run(request) = &live.asked else {
            identity.require_any(&any)?;
            return Err(no_instance());
        };
        identity.require(spawn_permission(request.disposable))?;
        match live.status() {
            OperationStatus::Pending => return Err(too_early()),
            status if status.is_terminal() => return Err(ended()),
            _ => {}
        }
        let instance = live.instance().await.cloned().ok_or_else(ended)?;
        Ok((live, instance))
    }
}

fn live_process(
    instance: &Instance,
    operation: OperationId,
    spid: u32,
) -> Result<Arc<ProcessHandle>, Error> {
    instance
        .process(spid)
        .filter(|process| !process.has_ended())
        .ok_or_else(|| no_process(operation, spid))
}

fn no_process(operation: OperationId, spid: u32) -> Error {
    Error::not_found(format!("operation {operation} has no process {spid}"))
}

fn no_instance() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the operation is an import, which has no processes",
    )
}

fn ended() -> Error {
    Error::new(ErrorKind::Conflict, "the operation has already ended")
}

fn too_early() -> Error {
    Error::new(
        ErrorKind::TooEarly,
        "the operation still waits for its turn",
    )
    .with_retry_after(RETRY_EARLY)
}
