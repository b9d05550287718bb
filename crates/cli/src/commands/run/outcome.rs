//! What came of a run.

use contree_api::operation::{OperationMetadata, OperationStatus};
use contree_api::{ImageId, OperationId};
use contree_client::Client;
use serde_json::json;

use super::RunArgs;
use super::request::Env;
use super::watch::Watched;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Columns, Row};
use crate::session::{self, Kind, Store};

/// How a run ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With this exit code, or without a process to have one.
    Exited(u8),
    /// Killed at its timeout.
    TimedOut(u8),
    /// Cancelled from elsewhere.
    Cancelled(u8),
}

impl Ending {
    /// What we end with: the command's exit code, its low byte as everywhere.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Exited(code) | Self::TimedOut(code) | Self::Cancelled(code) => code,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Outcome {
    id: OperationId,
    status: OperationStatus,
    error: Option<String>,
    image: Option<ImageId>,
    /// Of the command; none when there was no process, or nothing is known of it.
    exit_code: Option<i32>,
    /// That ended the command, if one did.
    signal: Option<i32>,
    timed_out: bool,
    duration: f64,
    layer_bytes: Option<i64>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    dropped: u64,
}

impl Outcome {
    /// From the events; from the operation itself when they ended without a completion.
    pub(super) async fn find(
        client: &Client,
        id: OperationId,
        watched: Watched,
    ) -> Result<Self, Failure> {
        let Watched {
            completion,
            exit,
            mut stdout,
            mut stderr,
            dropped,
        } = watched;
        if let Some(completion) = completion {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of hours fit")]
            let duration = completion.duration_ms as f64 / 1_000.0;
            return Ok(Self {
                id,
                status: completion.status,
                error: completion.error,
                image: completion.result_image_uuid,
                exit_code: exit.map(|exit| exit.code),
                signal: exit.map(|exit| exit.signal).filter(|signal| *signal > 0),
                timed_out: exit.is_some_and(|exit| exit.timed_out),
                duration,
                layer_bytes: i64::try_from(completion.image_size_bytes).ok(),
                stdout,
                stderr,
                dropped,
            });
        }
        let operation = client.operation(id, false).await?;
        let result = match operation.metadata {
            OperationMetadata::Instance(metadata) => metadata.result,
            OperationMetadata::Import(_) => None,
        };
        let state = result.as_ref().map(|result| result.state);
        if let Some(result) = result {
            let whole = |stream: &contree_api::StreamRepr| stream.to_bytes().unwrap_or_default();
            (stdout, stderr) = (whole(&result.stdout), whole(&result.stderr));
        }
        Ok(Self {
            id,
            status: operation.summary.status,
            error: operation.summary.error,
            image: operation.result.and_then(|result| result.image),
            exit_code: state.map(|state| state.exit_code),
            signal: state.map(|state| state.signal).filter(|signal| *signal > 0),
            timed_out: state.is_some_and(|state| state.timed_out),
            duration: operation.summary.duration,
            layer_bytes: operation.summary.image_size,
            stdout,
            stderr,
            dropped,
        })
    }

    /// Says on standard error what went wrong.
    pub(super) fn report(&self, context: &Context, args: &RunArgs) {
        let id = self.id;
        if self.dropped > 0 {
            context.output.warn(&format!(
                "{} bytes of output were not passed on: raise -T, or write to a file inside",
                self.dropped
            ));
        }
        if self.timed_out {
            // The server's own timeout is in whole seconds, and just over.
            let seconds = if args.untimed {
                self.duration.floor()
            } else {
                f64::from(args.timeout)
            };
            context
                .output
                .warn(&format!("Operation {id} timed out after {seconds}s"));
        } else if self.status != OperationStatus::Success {
            let why = self
                .error
                .as_ref()
                .map(|why| format!(": {why}"))
                .unwrap_or_default();
            context.output.failure(
                &Failure::new(format!(
                    "Operation {id} ended with status {}{why}",
                    self.status.name()
                ))
                .next(format!("contree show {id}")),
            );
        }
    }

    /// Moves the session on to the image, if there is one.
    pub(super) async fn record(
        &self,
        store: &mut Store,
        args: &RunArgs,
        env: &Env,
    ) -> Result<(), Failure> {
        let Some(image) = self
            .image
            .filter(|_| self.status == OperationStatus::Success)
        else {
            return Ok(());
        };
        let (image, operation) = (image.to_string(), self.id.to_string());
        if args.disposable {
            let branch = format!("disposable-{operation}");
            store.note_ending(&operation, &self.noted()).await?;
            return store
                .branch_off(&branch, "run-disposable", &args.title(), &operation)
                .await;
        }
        store
            .advance(&image, Kind::Run, &args.title(), &operation)
            .await?;
        store.note_ending(&operation, &self.noted()).await?;
        if args.preserve_env {
            store.remember(&image, "preserved_env", env).await?;
        }
        Ok(())
    }

    /// What the history tells of it.
    fn noted(&self) -> session::Ending {
        session::Ending {
            status: self.status.name().to_owned(),
            exit_code: self.exit_code.map(i64::from),
            signal: self.signal.map_or(0, i64::from),
            timed_out: self.timed_out,
        }
    }

    /// The record, for formats that want one.
    pub(super) fn print(&self, context: &Context) -> Result<(), Failure> {
        if context.output.is_default() {
            return Ok(());
        }
        let image = self.image.map(|id| id.to_string());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let stream = |bytes: &[u8]| {
            let truncated = self.dropped > 0;
            json!({ "value": text(bytes), "encoding": "ascii", "truncated": truncated })
        };
        let timed_out = self.timed_out;
        let state = self
            .exit_code
            .map(|code| json!({ "exit_code": code, "timed_out": timed_out }));
        // As the server nests it: scripts look for the same things in both places.
        let result = json!({
            "stdout": stream(&self.stdout),
            "stderr": stream(&self.stderr),
            "state": state,
        });
        let row = Row::new()
            .with("uuid", self.id.to_string())
            .with("kind", "instance")
            .with("status", self.status.name())
            .with("duration", self.duration)
            .with("image_size", self.layer_bytes)
            .with("result_image_uuid", image.clone())
            .with("metadata", json!({ "result": result }))
            .with("result", json!({ "image": image, "tag": null }))
            .with("exit_code", self.exit_code)
            .with("timed_out", timed_out)
            .with("image", image.unwrap_or_default())
            .with("tag", "")
            .with("stdout", text(&self.stdout))
            .with("stderr", text(&self.stderr))
            .with("error", self.error.clone());
        context.output.row(
            Columns {
                tail: &["error"],
                hidden: &["kind", "result_image_uuid", "metadata", "result", "tag"],
                ..Columns::default()
            },
            row,
        )
    }

    pub(super) fn ending(&self) -> Ending {
        let code = match self.exit_code {
            Some(code) => code.to_le_bytes()[0],
            None => u8::from(self.status != OperationStatus::Success),
        };
        if self.timed_out {
            Ending::TimedOut(code)
        } else if self.status == OperationStatus::Cancelled {
            Ending::Cancelled(code)
        } else {
            Ending::Exited(code)
        }
    }
}
