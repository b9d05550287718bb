//! A run before it is started.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use contree_api::Tag;
use contree_api::instance::{InstanceSpawnRequest, Networking, ResourceLimits};

use super::exec::{input, kept_open};
use super::outcome::Outcome;
use super::upload::{Upload, send_all};
use super::{CancelOnDrop, Run};
use crate::image::Name;
use crate::session::Step;
use crate::{Contree, Error};

/// What a run shall be. Awaited, it is started and waited for; [`send`](RunBuilder::send) only
/// starts it, and gives a handle.
///
/// What the server would refuse is refused by the server, when it is sent.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// # let folder = std::env::temp_dir().join(format!("contree-run-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let main = folder.join("main.sh");
/// # std::fs::write(&main, "wc -c data.bin\n")?;
/// use std::time::Duration;
///
/// use contree_client::Upload;
///
/// let outcome = contree
///     .image("tag:debian")
///     .program("sh")
///     .args(["-eu", "main.sh"])
///     .cwd("/app")
///     .files([
///         ("/app/main.sh", Upload::path(&main)),
///         ("/app/data.bin", Upload::bytes(vec![0; 512]).mode(0o600)),
///     ])
///     .timeout(Duration::from_secs(60))
///     .networking(false)
///     .tag("app:tested")
///     .await?;
/// assert_eq!(outcome.stdout.text(), "512 data.bin\n");
/// assert!(contree.image("tag:app:tested").id().await.is_ok());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "nothing is started before it is sent"]
pub struct RunBuilder<C = Contree> {
    pub(crate) contree: C,
    pub(crate) draft: Draft,
}

/// Everything but the connection.
#[derive(Debug)]
pub(crate) struct Draft {
    request: InstanceSpawnRequest,
    uploads: Vec<(String, Upload)>,
    tag: Option<Tag>,
    cancels_on_drop: bool,
    step: Option<Step>,
    /// The first thing that was not what it should be.
    fault: Option<Error>,
}

impl<C> RunBuilder<C> {
    pub(crate) fn new(contree: C, image: &Name, command: String, shell: bool) -> Self {
        let (image, fault) = image.or_placeholder();
        let mut request = InstanceSpawnRequest::new(command, image);
        request.shell = shell;
        Self {
            contree,
            draft: Draft {
                request,
                uploads: Vec::new(),
                tag: None,
                cancels_on_drop: false,
                step: None,
                fault,
            },
        }
    }

    pub(crate) fn in_session(mut self, step: Step) -> Self {
        self.draft.step = Some(step);
        self
    }

    /// One more argument. A shell command sees its arguments as `$0`, `$1` and so on.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.draft.request.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        let args = args.into_iter().map(Into::into);
        self.draft.request.args.extend(args);
        self
    }

    /// A variable of the environment, beside those of the image.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_env(name.into(), Some(value.into()));
        self
    }

    /// More variables.
    pub fn envs<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in variables {
            self.set_env(name.into(), Some(value.into()));
        }
        self
    }

    /// Takes a variable of the image away.
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.set_env(name.into(), None);
        self
    }

    fn set_env(&mut self, name: String, value: Option<String>) {
        let env = &mut self.draft.request.env;
        env.get_or_insert_with(BTreeMap::new).insert(name, value);
    }

    /// Keeps the environment, with what was set and removed, for runs from the result.
    pub fn preserve_env(mut self) -> Self {
        self.draft.request.preserve_env = true;
        self
    }

    /// The working directory, absolute; made when it is missing. Default the image's own, else `/`.
    pub fn cwd(mut self, cwd: impl Into<String>) -> Self {
        self.draft.request.cwd = cwd.into();
        self
    }

    /// Keeps the working directory for runs from the result.
    pub fn preserve_cwd(mut self) -> Self {
        self.draft.request.preserve_cwd = true;
        self
    }

    /// The host name inside. Default `linuxkit`.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.draft.request.hostname = hostname.into();
        self
    }

    /// The user and group. Default root, 0 and 0.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.draft.request.uid = uid;
        self.draft.request.gid = gid;
        self
    }

    /// The command's input, which then ends. Default none.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.draft.request.stdin = Some(input(bytes.as_ref(), true));
        self
    }

    /// Keeps the command's input open, after what was given so far, for [`Run::write_stdin`].
    pub fn stdin_open(mut self) -> Self {
        self.draft.request.stdin = Some(kept_open(self.draft.request.stdin.take()));
        self
    }

    /// After how long the command is killed; whole seconds, rounded up. Default 600 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.request.timeout = Some(whole_seconds(timeout));
        self
    }

    /// Keeps nothing of what the run writes: there is no result image, and it is faster.
    pub fn disposable(mut self) -> Self {
        self.draft.request.disposable = true;
        self
    }

    /// Bytes of each stream that are kept. Default 1 MiB, at most 10 MiB.
    pub fn truncate_output_at(mut self, bytes: u64) -> Self {
        self.draft.request.truncate_output_at = bytes;
        self
    }

    /// Whether the run reaches the outside. Default true.
    pub fn networking(mut self, enabled: bool) -> Self {
        self.draft.request.networking = Networking { enabled };
        self
    }

    /// Most bytes that the run may write. Default 12 GiB.
    pub fn max_layer_bytes(mut self, bytes: u64) -> Self {
        self.draft.request.resources_limits = ResourceLimits {
            max_layer_bytes: bytes,
        };
        self
    }

    /// Puts a file into the sandbox before the command starts; missing folders are made.
    pub fn file(mut self, to: impl Into<String>, file: impl Into<Upload>) -> Self {
        self.draft.uploads.push((to.into(), file.into()));
        self
    }

    /// Puts files into the sandbox before the command starts: where to, and what.
    pub fn files<K: Into<String>, V: Into<Upload>>(
        mut self,
        files: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let files = files.into_iter().map(|(to, file)| (to.into(), file.into()));
        self.draft.uploads.extend(files);
        self
    }

    /// Tags the result once the run has been waited for, when its exit code is 0.
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        match crate::image::tag(tag.as_ref()) {
            Ok(tag) => self.draft.tag = Some(tag),
            Err(fault) => {
                self.draft.fault.get_or_insert(fault);
            }
        }
        self
    }

    /// Cancels the run when whoever waits for it stops doing so: when the handle, or the future
    /// that starts it, is dropped before the run has been waited for to its end. The request is made
    /// in the background, by the runtime, which has to live on for it; that of a
    /// [`blocking`](crate::blocking) run is waited for, up to 5 seconds.
    pub fn cancel_on_drop(mut self) -> Self {
        self.draft.cancels_on_drop = true;
        self
    }
}

impl RunBuilder {
    /// Uploads what has to be uploaded, and starts the run. A server that is busy is waited for:
    /// [`RetryPolicy::busy_timeout`](crate::RetryPolicy::busy_timeout).
    ///
    /// # Errors
    /// [`Error::Reference`] and [`Error::Tag`] for names that are none, [`Error::File`] for files
    /// that cannot be read, else any [`Error`]. When the answer does not come, the run may have
    /// started.
    pub async fn send(self) -> Result<Run, Error> {
        let Self { contree, draft } = self;
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        let mut request = draft.request;
        let files = send_all(contree.client(), draft.uploads).await?;
        request.files.extend(files);
        let (operation, guard) = if draft.cancels_on_drop {
            let (operation, guard) = CancelOnDrop::start(contree, request).await?;
            (operation, Some(guard))
        } else {
            (contree.spawn(&request).await?, None)
        };
        Ok(Run::new(operation, draft.tag, draft.step, guard))
    }

    /// Starts the run and waits for its end.
    ///
    /// # Errors
    /// As [`RunBuilder::send`] and [`Run::wait`].
    pub async fn output(self) -> Result<Outcome, Error> {
        self.send().await?.wait().await
    }
}

impl IntoFuture for RunBuilder {
    type Output = Result<Outcome, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.output())
    }
}

/// At least one second, for nobody means none.
pub(crate) fn whole_seconds(timeout: Duration) -> u32 {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}
