//! A further process of a run, before it is started.

use std::collections::BTreeMap;
use std::pin::Pin;

use contree_api::instance::ExecSpec;
use contree_api::limits;
use contree_api::stream::{ClosableStreamRepr, encode};

use super::outcome::Outcome;
use super::process::{Process, patiently};
use crate::{Error, Operation};

/// What a further process of a run shall be. Awaited, it is started and waited for;
/// [`send`](ExecBuilder::send) only starts it.
#[derive(Debug, Clone)]
#[must_use = "nothing is started before it is sent"]
pub struct ExecBuilder<O = Operation> {
    pub(crate) operation: O,
    spec: ExecSpec,
}

impl<O> ExecBuilder<O> {
    pub(crate) fn new(operation: O, command: String, shell: bool) -> Self {
        Self {
            operation,
            spec: ExecSpec {
                command,
                args: Vec::new(),
                shell,
                env: None,
                cwd: String::new(),
                uid: 0,
                gid: 0,
                stdin: None,
                truncate_output_at: limits::DEFAULT_TRUNCATE_OUTPUT_AT,
            },
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.spec.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.spec.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec
            .env
            .get_or_insert_with(BTreeMap::new)
            .insert(name.into(), Some(value.into()));
        self
    }

    /// Its working directory, absolute. Default the image's own, else `/`.
    pub fn cwd(mut self, cwd: impl Into<String>) -> Self {
        self.spec.cwd = cwd.into();
        self
    }

    /// Its user and group. Default root, 0 and 0.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.spec.uid = uid;
        self.spec.gid = gid;
        self
    }

    /// Its input, which then ends. Default none.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.spec.stdin = Some(input(bytes.as_ref(), true));
        self
    }

    /// Keeps its input open for [`Process::write`].
    pub fn stdin_open(mut self) -> Self {
        self.spec.stdin = Some(kept_open(self.spec.stdin.take()));
        self
    }

    /// Bytes of each stream that are kept. Default 1 MiB, at most 10 MiB.
    pub fn truncate_output_at(mut self, bytes: u64) -> Self {
        self.spec.truncate_output_at = bytes;
        self
    }

    /// The same on another kind of connection.
    pub(crate) fn map<P>(self, to: impl FnOnce(O) -> P) -> ExecBuilder<P> {
        ExecBuilder {
            operation: to(self.operation),
            spec: self.spec,
        }
    }
}

impl ExecBuilder {
    /// Starts it. A run that waits for its turn is waited for.
    ///
    /// # Errors
    /// [`Error`]; 404, 409 or 410 when the run has ended.
    pub async fn send(self) -> Result<Process, Error> {
        let client = self.operation.contree().client();
        let started = patiently(|| client.exec(self.operation.id(), &self.spec)).await?;
        Ok(Process::new(self.operation, started.spid))
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// As [`ExecBuilder::send`] and [`Process::wait`].
    pub async fn output(self) -> Result<Outcome, Error> {
        self.send().await?.wait().await
    }
}

impl IntoFuture for ExecBuilder {
    type Output = Result<Outcome, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.output())
    }
}

/// Input as requests carry it.
pub(crate) fn input(bytes: &[u8], close: bool) -> ClosableStreamRepr {
    let (value, encoding) = encode(bytes);
    ClosableStreamRepr {
        value,
        encoding,
        close,
    }
}

/// The same input, or none so far, without its end.
pub(crate) fn kept_open(input: Option<ClosableStreamRepr>) -> ClosableStreamRepr {
    let input = input.unwrap_or_else(|| self::input(&[], false));
    ClosableStreamRepr {
        close: false,
        ..input
    }
}
