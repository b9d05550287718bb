//! The processes of a running instance: further ones, their results, signals and input.

use contree_api::OperationId;
use contree_api::instance::{ExecSpec, InstanceResult, Spid};
use contree_api::stream::ClosableStreamRepr;

use crate::{Engine, Error, Identity};

impl Engine {
    /// Starts a further process in a running sandbox.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is no instance or has ended; `TooEarly` when its sandbox is
    /// not up yet; `BadRequest` naming the field; `Unprocessable` when the command cannot be
    /// started; `Forbidden` without the permission its parent needed.
    pub async fn exec(
        &self,
        identity: &Identity,
        operation: OperationId,
        spec: ExecSpec,
    ) -> Result<Spid, Error> {
        let _ = (identity, operation, spec);
        Err(Error::not_yet())
    }

    /// The result of one process, folded from the log; while it runs exit code and signal are −1.
    ///
    /// # Errors
    /// `NotFound`; `TooEarly` while the operation has not started; `Forbidden` without `list`.
    pub async fn process_result(
        &self,
        identity: &Identity,
        operation: OperationId,
        spid: u32,
    ) -> Result<InstanceResult, Error> {
        let _ = (identity, operation, spid);
        Err(Error::not_yet())
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
        let _ = (identity, operation, spid, signal);
        Err(Error::not_yet())
    }

    /// Writes to the stdin of a process, then closes it when the chunk says so. Returns when the
    /// process has been given all of it.
    ///
    /// # Errors
    /// `NotFound` when there is no such live process; `Conflict` when its stdin is not open;
    /// `Gone` when the operation has ended; `TooEarly`; `TimedOut` when the process does not read
    /// (part of the chunk may have been delivered); `BadRequest`; `Forbidden`.
    pub async fn write_stdin(
        &self,
        identity: &Identity,
        operation: OperationId,
        spid: u32,
        chunk: ClosableStreamRepr,
    ) -> Result<(), Error> {
        let _ = (identity, operation, spid, chunk);
        Err(Error::not_yet())
    }
}
