//! Processes in a running sandbox.

use contree_api::OperationId;
use contree_api::instance::{ExecSpec, InstanceResult, Spid};
use contree_api::stream::{ClosableStreamRepr, encode};

use crate::call::Call;
use crate::retry::Repeat;
use crate::{Client, Error};

impl Client {
    /// `POST /operations/{id}/subprocesses`: starts a further process.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn exec(&self, operation: OperationId, spec: &ExecSpec) -> Result<Spid, Error> {
        let call = Call::post(format!("/operations/{operation}/subprocesses")).json_body(spec);
        self.json(&call).await
    }

    /// `GET /operations/{id}/subprocesses/{spid}`: how a process fares.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn process_result(
        &self,
        operation: OperationId,
        spid: u32,
    ) -> Result<InstanceResult, Error> {
        self.json(&Call::get(format!(
            "/operations/{operation}/subprocesses/{spid}"
        )))
        .await
    }

    /// `DELETE /operations/{id}/subprocesses/{spid}`: signals a process and its group; `None` is
    /// KILL. Names go with or without `SIG`, numbers too.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn signal(
        &self,
        operation: OperationId,
        spid: u32,
        signal: Option<&str>,
    ) -> Result<(), Error> {
        let mut call = Call::delete(format!("/operations/{operation}/subprocesses/{spid}"))
            .query_some("signal", signal);
        let kills = signal.is_none_or(|name| matches!(name, "KILL" | "SIGKILL" | "9"));
        if !kills {
            // A second INT is not the same as one.
            call.repeat = Repeat::Unsafe;
        }
        self.done(&call).await
    }

    /// `POST /operations/{id}/subprocesses/{spid}/stdin`: writes to a process, and with `close`
    /// ends its input.
    ///
    /// # Errors
    /// [`Error`]; 409 when its input is closed, 404 or 410 when it is gone.
    pub async fn write_stdin(
        &self,
        operation: OperationId,
        spid: u32,
        bytes: &[u8],
        close: bool,
    ) -> Result<(), Error> {
        let (value, encoding) = encode(bytes);
        let call = Call::post(format!("/operations/{operation}/subprocesses/{spid}/stdin"))
            .json_body(&ClosableStreamRepr {
                value,
                encoding,
                close,
            });
        self.done(&call).await
    }
}
