//! `contree images import`
//!
//! All imports run at once, each in these steps: a local archive is uploaded, the import is
//! started, its events are followed for progress, and its outcome is fetched when it has ended.
//! Ctrl-C cancels whatever was started, also what the server is just being asked to start.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use clap::Args;
use contree_api::event::{Event, EventData};
use contree_api::image::{Credentials, ImageImportRequest, Registry};
use contree_api::operation::OperationStatus;
use contree_api::{OperationId, Tag};
use contree_client::{Contree, UploadStep};
use tokio::sync::Mutex;

use crate::commands::ending::{Told, ended};
use crate::context::Context;
use crate::failure::{Doing as _, Failure};
use crate::interrupt::Interrupts;
use crate::output::progress::{Progress, Task};
use crate::output::{Columns, Rows};
use crate::reference::{self, Import, Source};
use crate::session::Store;

/// Import images from registries or archives
///
/// References are read as Docker reads them: `ubuntu` is docker.io/library/ubuntu:latest. A file
/// is uploaded first: a root filesystem as tar, an OCI layout or the output of `docker save`, also
/// compressed. The tag is the reference without registry, or the name of the file. The same
/// content imported again is the same image, and costs nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  contree images import ubuntu:latest python:3.11-slim      several at once
  contree images import ubuntu:{latest,noble,jammy}
  contree images import ghcr.io/org/repo:tag
  contree images import --timeout 600 ubuntu:latest
  contree images import --username me registry.example.com/image:tag   asks for the password
  contree images import 'ubuntu:24.04?tag=base'             with a tag of your own
  contree images import ./rootfs.tar.zst --tag base         from a file")]
pub(crate) struct ImportArgs {
    /// References or files
    #[arg(value_name = "REF", required = true)]
    references: Vec<String>,
    /// Tag for the image; with one REF only [default: from the REF]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// User of the registry; the password is asked for
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password of the registry (others on this machine may see it here)
    #[arg(long, requires = "username")]
    password: Option<String>,
    /// Seconds each import may take [default: the server's]
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
}

/// One import that is asked for, checked.
struct Job {
    source: Source,
    tag: Tag,
    name: String,
}

pub(super) async fn import(context: &Context, args: ImportArgs) -> Result<u8, Failure> {
    let jobs = jobs(&args)?;
    let contree = Contree::new(context.client()?);
    let credentials = credentials(&args)?;
    let mut interrupts = Interrupts::listen();
    let progress = Progress::new(&context.output);
    let rows = RefCell::new(context.output.rows(COLUMNS));
    let requests = Requests {
        contree: &contree,
        credentials: &credentials,
        timeout: args.timeout,
        store: Mutex::new(context.store().await?),
        started: RefCell::default(),
        asking: Cell::default(),
        is_over: Cell::default(),
    };
    let work = jobs.iter().map(|job| {
        let mut task = progress.task(&job.name);
        let (requests, rows) = (&requests, &rows);
        async move {
            let outcome = requests.run(job, &mut task).await;
            task.finish();
            report(context, &mut rows.borrow_mut(), job, outcome)
        }
    });
    let mut work = Box::pin(futures_util::future::join_all(work));
    let outcomes = tokio::select! {
        outcomes = &mut work => outcomes,
        _ = interrupts.next() => {
            drop(progress);
            let cancel = async {
                requests.answered(work.as_mut()).await;
                requests.cancel(context).await;
            };
            tokio::select! {
                () = cancel => {}
                _ = interrupts.next() => {}
            }
            return Err(Failure::interrupted());
        }
    };
    drop((work, progress));
    rows.into_inner().finish()?;
    let succeeded = outcomes
        .into_iter()
        .collect::<Result<Vec<bool>, Failure>>()?;
    Ok(u8::from(succeeded.contains(&false)))
}

const COLUMNS: Columns = Columns {
    head: &[],
    tail: &["error"],
    keep: &["uuid", "status", "tag"],
    // Of no interest for imports.
    hidden: &[
        "kind",
        "consumed_cpu",
        "consumed_memory",
        "image_uuid",
        "result_image_uuid",
        "metadata",
        "result",
    ],
};

fn jobs(args: &ImportArgs) -> Result<Vec<Job>, Failure> {
    let mut imports = Vec::new();
    for argument in &args.references {
        imports.extend(Import::parse(argument)?);
    }
    if args.tag.is_some() && imports.len() > 1 {
        return Err(
            Failure::new("--tag names one image, and several are imported")
                .next("REF?tag=NAME gives each its own"),
        );
    }
    imports
        .into_iter()
        .map(|Import { source, tag }| {
            let name = match &source {
                Source::Registry(url) => url.trim_start_matches("docker://").to_owned(),
                Source::Archive(path) => path.display().to_string(),
            };
            let tag = args.tag.as_deref().unwrap_or(&tag);
            let tag = reference::parse_tag(tag).map_err(|failure| {
                failure
                    .while_doing(name.clone())
                    .next("--tag TAG   or   REF?tag=TAG")
            })?;
            Ok(Job { source, tag, name })
        })
        .collect()
}

fn credentials(args: &ImportArgs) -> Result<Option<Credentials>, Failure> {
    let Some(username) = &args.username else {
        return Ok(None);
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None => rpassword::prompt_password(format!("Registry password of {username}: "))
            .doing(|| "could not ask for the password".to_owned())
            .map_err(|failure| failure.next("--password PASSWORD, where there is no terminal"))?,
    };
    Ok(Some(Credentials {
        username: Some(username.clone()),
        password: Some(password),
    }))
}

/// What all imports of the command share.
struct Requests<'a> {
    contree: &'a Contree,
    credentials: &'a Option<Credentials>,
    timeout: Option<u32>,
    store: Mutex<Store>,
    started: RefCell<Vec<OperationId>>,
    /// How many the server is being asked to start.
    asking: Cell<usize>,
    /// No more are to be started.
    is_over: Cell<bool>,
}

impl Requests<'_> {
    /// From the beginning to the outcome.
    async fn run(&self, job: &Job, task: &mut Task) -> Result<(String, Told), Failure> {
        let url = match &job.source {
            Source::Registry(url) => url.clone(),
            Source::Archive(path) => self.upload(path, task).await?,
        };
        let registry = Registry {
            url: url.clone(),
            // An archive of this machine needs none.
            credentials: self
                .credentials
                .clone()
                .filter(|_| !url.starts_with("upload:")),
        };
        let request = ImageImportRequest {
            registry,
            tag: Some(job.tag.clone()),
            timeout: self.timeout,
        };
        let id = self.start(&request).await?;
        task.step("started");
        self.follow(id, task).await?;
        Ok((url, ended(self.contree, id).await?))
    }

    async fn start(&self, request: &ImageImportRequest) -> Result<OperationId, Failure> {
        if self.is_over.get() {
            return Err(Failure::silent(1));
        }
        self.asking.set(self.asking.get() + 1);
        let answer = self.contree.client().import_image(request).await;
        self.asking.set(self.asking.get() - 1);
        let id = answer?.uuid;
        self.started.borrow_mut().push(id);
        // So that `kill --all` and `op wait --all` know whose it is.
        let mut store = self.store.lock().await;
        store.note_started(&id.to_string()).await?;
        Ok(id)
    }

    /// Goes on with the work until the server has answered all that asks it to start something.
    async fn answered<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) {
        self.is_over.set(true);
        std::future::poll_fn(|waker| {
            if self.asking.get() > 0 && work.as_mut().poll(waker).is_pending() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    async fn cancel(&self, context: &Context) {
        for id in self.started.take() {
            if self.contree.client().cancel(id).await.is_ok() {
                context.output.note(&format!("Cancelled operation {id}"));
            }
        }
    }

    async fn upload(&self, path: &Path, task: &mut Task) -> Result<String, Failure> {
        let (sender, mut steps) = tokio::sync::watch::channel(None);
        let mut upload = std::pin::pin!(self.contree.client().ensure_file(path, move |step| {
            sender.send_replace(Some(step));
        }));
        task.step("hashing");
        let mut is_sending = false;
        let uploaded = loop {
            tokio::select! {
                uploaded = &mut upload => break uploaded?,
                Ok(()) = steps.changed() => {
                    let step = *steps.borrow_and_update();
                    match step {
                        Some(UploadStep::Hashing { done, total }) => task.bytes(done, total),
                        Some(UploadStep::Sending { done, total }) => {
                            if !std::mem::replace(&mut is_sending, true) {
                                task.step("uploading");
                            }
                            task.bytes(done, total);
                        }
                        None => {}
                    }
                }
            }
        };
        if uploaded.existed {
            task.step("is on the server already");
        }
        Ok(format!("upload:{}", uploaded.file.uuid))
    }

    /// Shows what the import says about itself. Servers that have no events for imports are
    /// waited for without.
    async fn follow(&self, id: OperationId, task: &mut Task) -> Result<(), Failure> {
        let mut events = self.contree.client().follow(id);
        let mut layers = Layers::default();
        loop {
            match events.next().await {
                Ok(Some(frame)) => {
                    if let Some(Event {
                        data: EventData::Stderr(chunk),
                        ..
                    }) = frame.event
                    {
                        for line in chunk.value.lines() {
                            task.step(line);
                            if let Some((done, total)) = layers.note(line) {
                                task.bytes(done, total);
                            }
                        }
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if matches!(error.status(), Some(400 | 404 | 405 | 406 | 501)) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Prints how an import ended; whether it succeeded.
fn report(
    context: &Context,
    rows: &mut Rows,
    job: &Job,
    outcome: Result<(String, Told), Failure>,
) -> Result<bool, Failure> {
    let (url, told) = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => {
            let failure = failure.while_doing(format!("could not import {}", job.name));
            context.output.failure(&failure);
            return Ok(false);
        }
    };
    let made = told.operation.result.as_ref();
    let tag = made
        .and_then(|made| made.tag.as_ref())
        .unwrap_or(&job.tag)
        .to_string();
    let status = told.status();
    rows.push(
        told.row()
            .with("registry_url", url)
            .with("image", told.image().unwrap_or_default())
            .with("tag", tag),
    )?;
    rows.flush()?;
    let is_success = status == OperationStatus::Success;
    if !is_success {
        let why = told
            .operation
            .summary
            .error
            .as_deref()
            .unwrap_or("no reason was given");
        context.output.failure(
            &Failure::new(format!(
                "import of {} ended with status {}: {why}",
                job.name,
                status.name()
            ))
            .next(advice(why, &job.source)),
        );
    }
    Ok(is_success)
}

/// What usually helps against what a server says about an import.
fn advice(why: &str, source: &Source) -> &'static str {
    if why.contains("allow-registry") {
        "restart the server with --allow-registry HOST[:PORT]"
    } else if ["user name", "unauthorized", "credentials", "401"]
        .iter()
        .any(|word| why.contains(word))
    {
        "--username NAME   (the password is asked for)"
    } else {
        match source {
            Source::Registry(_) => "check the reference, and try again",
            Source::Archive(_) => {
                "a tar of a root filesystem, an OCI layout or the output of docker save is expected"
            }
        }
    }
}

/// Adds up what the lines of an import say about its layers, such as
/// `fetching layer 1/2 sha256:e3b0c44298fc: 1.5 MiB of 3.0 MiB`.
#[derive(Debug, Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Bytes done and in all, of the layers known so far.
    fn note(&mut self, line: &str) -> Option<(u64, u64)> {
        let (layer, amount) = line.rsplit_once(": ")?;
        let (done, total) = amount.split_once(" of ")?;
        self.0.insert(layer.to_owned(), (size(done)?, size(total)?));
        let sum = |(done, total): (u64, u64), layer: &(u64, u64)| (done + layer.0, total + layer.1);
        Some(self.0.values().fold((0, 0), sum))
    }
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let unit: u32 = match unit {
        "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * f64::from(unit);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    Some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_add_up() {
        let mut layers = Layers::default();
        assert_eq!(
            layers.note("fetching layer 1/2 sha256:ab: 0 bytes of 3.0 MiB"),
            Some((0, 3 << 20))
        );
        assert_eq!(
            layers.note("fetching layer 2/2 sha256:cd: 1.5 KiB of 2.0 KiB"),
            Some((1_536, (3 << 20) + 2_048))
        );
        assert_eq!(
            layers.note("fetching layer 1/2 sha256:ab: 3.0 MiB of 3.0 MiB"),
            Some(((3 << 20) + 1_536, (3 << 20) + 2_048))
        );
        assert_eq!(layers.note("resolving: some of it"), None);
        assert_eq!(layers.note("done"), None);
    }
}
