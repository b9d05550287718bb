//! Operations of the server that a build waits for: started, followed, and cancelled when the build
//! ends before they do.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contree_api::event::{Chunk, Completion, Event, EventData, Exit};
use contree_api::image::{ImageImportRequest, ImageRef};
use contree_api::instance::{CopySource, InstanceSpawnRequest};
use contree_api::operation::{OperationMetadata, OperationStatus};
use contree_api::stream::StreamRepr;
use contree_api::{ImageId, OperationId};
use contree_client::{Client, Error};

use super::progress::{Board, StepId};
use crate::failure::{Doing as _, Failure};
use crate::interrupt::Interrupts;

/// Longest wait for operations to be cancelled.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs on the server for this build.
#[derive(Debug)]
pub(super) struct Operations {
    client: Client,
    /// Shared with the tasks that start them.
    known: Arc<Mutex<Known>>,
    is_stopped: Cell<bool>,
    /// Whether an image that was to be started from is not there.
    is_image_gone: Cell<bool>,
}

#[derive(Debug, Default)]
struct Known {
    running: BTreeSet<OperationId>,
    /// Requests under way whose operations are not known yet.
    starting: usize,
}

/// How an operation ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: OperationId,
    pub(super) status: OperationStatus,
    pub(super) error: Option<String>,
    pub(super) image: Option<ImageId>,
    /// Of its process, when it had one.
    pub(super) exit: Option<Exited>,
    /// Bytes of output that the server did not keep.
    pub(super) dropped: u64,
    /// The end of what it wrote to its error output.
    pub(super) complaint: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exited {
    pub(super) code: i32,
    pub(super) signal: i32,
    pub(super) timed_out: bool,
}

impl Operations {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Arc::default(),
            is_stopped: Cell::new(false),
            is_image_gone: Cell::new(false),
        }
    }

    /// Whether an image that was to be started from is not there any more.
    pub(super) fn is_image_gone(&self) -> bool {
        self.is_image_gone.get()
    }

    /// Makes sure that the server has an image, where another answer would be hard to understand.
    pub(super) async fn assure(&self, image: ImageId) -> Result<(), Failure> {
        match self.client.image(image).await {
            Err(error) if error.is_not_found() => {
                self.is_image_gone.set(true);
                Err(error.into())
            }
            answer => answer
                .map(drop)
                .doing(|| format!("could not ask for image {image}")),
        }
    }

    /// Runs something in a sandbox, its output shown with the step.
    pub(super) async fn run(
        &self,
        request: &InstanceSpawnRequest,
        board: &Board,
        step: StepId,
    ) -> Result<Ended, Failure> {
        let client = &self.client;
        let (sender, body) = (client.clone(), request.clone());
        let started = self
            .start(async move { sender.spawn(&body).await.map(|started| started.uuid) })
            .await;
        let id = match started {
            Err(error) if error.is_not_found() => {
                for image in images(request) {
                    self.assure(image).await?;
                }
                return Err(error.into());
            }
            started => started?,
        };
        let ended = self.follow(id, |bytes, stream| board.output(step, stream, bytes));
        let ended = ended.await?;
        if ended.dropped > 0 {
            board.warn(&format!(
                "{} bytes of output were not passed on: the server keeps {} of each stream",
                ended.dropped, request.truncate_output_at
            ));
        }
        Ok(ended)
    }

    /// Imports an image, what the server says about it shown with the step.
    pub(super) async fn import(
        &self,
        request: &ImageImportRequest,
        board: &Board,
        step: StepId,
    ) -> Result<Ended, Failure> {
        let (sender, body) = (self.client.clone(), request.clone());
        let id = self
            .start(async move { sender.import_image(&body).await.map(|started| started.uuid) })
            .await?;
        let mut told = String::new();
        self.follow(id, |bytes, _| {
            for line in String::from_utf8_lossy(bytes).lines() {
                // Behind the last colon stands how much is done, again and again.
                let what = line.rsplit_once(": ").map_or(line, |(what, _)| what);
                let is_news = told != what;
                what.clone_into(&mut told);
                board.status(step, line, is_news);
            }
        })
        .await
    }

    /// Starts an operation, unless the build is over. A task of its own does it: whoever waits for
    /// it may go away, and what was started is known none the less.
    async fn start(
        &self,
        request: impl Future<Output = Result<OperationId, Error>> + Send + 'static,
    ) -> Result<OperationId, Error> {
        if self.is_stopped.get() {
            return std::future::pending().await;
        }
        self.known().starting += 1;
        let known = Arc::clone(&self.known);
        let task = tokio::spawn(async move {
            let started = request.await;
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.starting -= 1;
            known.running.extend(started.as_ref().ok());
            started
        });
        task.await.unwrap_or_else(|error| {
            Err(Error::Answer {
                request: "starting an operation".to_owned(),
                reason: error.to_string(),
            })
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows an operation to its end; `output` gets what its process writes, with the number of
    /// the stream.
    async fn follow(
        &self,
        id: OperationId,
        mut output: impl FnMut(&[u8], usize),
    ) -> Result<Ended, Failure> {
        let mut events = self.client.follow(id);
        let mut exit = None;
        let mut completion = None;
        let mut dropped = 0;
        let mut complaint = Vec::new();
        loop {
            let event = match events.next().await {
                Ok(Some(frame)) => frame.event,
                Ok(None) => break,
                // A server without events for imports.
                Err(error) if matches!(error.status(), Some(400 | 404 | 405 | 406 | 501)) => break,
                Err(error) => {
                    return Err(Failure::from(error)
                        .while_doing(format!("lost sight of operation {id}"))
                        .advise(format!("contree show {id}")));
                }
            };
            let Some(Event { data, spid, .. }) = event else {
                continue;
            };
            let is_first = spid.is_none_or(|spid| spid == 1);
            match data {
                EventData::Stdout(chunk) if is_first => output(&bytes(chunk), 0),
                EventData::Stderr(chunk) if is_first => {
                    let bytes = bytes(chunk);
                    output(&bytes, 1);
                    complaint.extend_from_slice(&bytes);
                    let start = complaint.len().saturating_sub(4_096);
                    complaint.drain(..start);
                }
                EventData::Exit(told) if is_first => exit = Some(told),
                EventData::Truncated(cut) if is_first => dropped += cut.bytes_dropped,
                EventData::Completion(told) => completion = Some(told),
                _ => {}
            }
        }
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        let ended = match completion {
            Some(completion) => from_events(id, completion, exit.as_ref(), dropped, complaint),
            None => self.ask(id, dropped, complaint).await?,
        };
        self.known().running.remove(&id);
        Ok(ended)
    }

    /// Asks for what the events did not tell, until there is an end to be told.
    async fn ask(
        &self,
        id: OperationId,
        dropped: u64,
        complaint: String,
    ) -> Result<Ended, Failure> {
        let mut pause = Duration::from_millis(250);
        loop {
            let failed = || format!("could not ask for operation {id}");
            let operation = self.client.operation(id, false).await.doing(failed)?;
            if !operation.summary.status.is_terminal() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
                continue;
            }
            let state = match &operation.metadata {
                OperationMetadata::Instance(metadata) => metadata.result.as_ref(),
                OperationMetadata::Import(_) => None,
            };
            return Ok(Ended {
                id,
                status: operation.summary.status,
                error: operation.summary.error,
                image: operation.summary.result_image_uuid,
                exit: state.map(|result| Exited {
                    code: result.state.exit_code,
                    signal: result.state.signal,
                    timed_out: result.state.timed_out,
                }),
                dropped,
                complaint,
            });
        }
    }

    /// Waits for the end of `work`. At Ctrl-C, and when the work fails, what still runs on the
    /// server is cancelled; a second Ctrl-C does not wait for that.
    pub(super) async fn guard<T>(
        &self,
        interrupts: &mut Interrupts,
        board: &Board,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut work => break outcome,
                _ = interrupts.next() => break Err(Failure::interrupted()),
                _ = ticks.tick(), if board.is_drawn() => board.draw(),
            }
        };
        if outcome.is_ok() {
            return outcome;
        }
        self.is_stopped.set(true);
        let stop = async {
            // What is just being started is not known before the answer is there.
            while self.known().starting > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.cancel_all(board).await;
        };
        tokio::select! {
            () = stop => {}
            _ = interrupts.next() => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
        outcome
    }

    async fn cancel_all(&self, board: &Board) {
        let running = std::mem::take(&mut self.known().running);
        let cancels = running.into_iter().map(|id| async move {
            if self.client.cancel(id).await.is_ok() {
                board.note(&format!("Cancelled operation {id}"));
            }
        });
        futures_util::future::join_all(cancels).await;
    }
}

fn from_events(
    id: OperationId,
    completion: Completion,
    exit: Option<&Exit>,
    dropped: u64,
    complaint: String,
) -> Ended {
    Ended {
        id,
        status: completion.status,
        error: completion.error,
        image: completion.result_image_uuid,
        exit: exit.map(|exit| Exited {
            code: exit.code,
            signal: exit.signal,
            timed_out: exit.timed_out,
        }),
        dropped,
        complaint,
    }
}

/// The images that a request needs.
fn images(request: &InstanceSpawnRequest) -> impl Iterator<Item = ImageId> {
    let copied = request.copy.iter().filter_map(|copy| match &copy.source {
        CopySource::Image { image, .. } => Some(image),
        CopySource::Archive { .. } => None,
    });
    std::iter::once(&request.image)
        .chain(copied)
        .filter_map(|image| match image {
            ImageRef::Id(id) => Some(*id),
            ImageRef::Tag(_) => None,
        })
}

fn bytes(chunk: Chunk) -> Vec<u8> {
    let Chunk {
        value,
        encoding,
        truncated,
    } = chunk;
    let stream = StreamRepr {
        value,
        encoding,
        truncated,
    };
    stream.to_bytes().unwrap_or_default()
}

impl Ended {
    /// The image of an operation that put something in place, or what the server said instead.
    pub(super) fn placed(&self, timeout: u32) -> Result<ImageId, Failure> {
        let is_refused = self.exit.is_some_and(|exit| exit.code > 0);
        match self.complaint.lines().last() {
            Some(why) if is_refused => {
                let why = why.strip_prefix("copy: ").unwrap_or(why);
                Err(Failure::new(why.to_owned()))
            }
            _ => self.image(timeout),
        }
    }

    /// The image, or why there is none; `timeout` is what was allowed.
    pub(super) fn image(&self, timeout: u32) -> Result<ImageId, Failure> {
        let id = self.id;
        if let Some(exit) = self.exit {
            if exit.timed_out {
                return Err(Failure::new(format!("timed out after {timeout}s"))
                    .next(format!("allow more: -t {}", timeout.saturating_mul(2))));
            }
            if exit.signal > 0 {
                return Err(Failure::new(format!("killed by signal {}", exit.signal))
                    .next(format!("contree show {id}")));
            }
            if exit.code != 0 {
                return Err(Failure::new(format!("exited with code {}", exit.code)));
            }
        }
        if self.status != OperationStatus::Success {
            let why = self.error.as_deref().unwrap_or("no reason was given");
            return Err(Failure::new(format!(
                "operation {id} ended with status {}: {why}",
                self.status.name()
            ))
            .next(format!("contree show {id}")));
        }
        self.image.ok_or_else(|| {
            Failure::new(format!("operation {id} left no image")).next(format!("contree show {id}"))
        })
    }
}
