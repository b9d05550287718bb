//! Taking a request on.
//!
//! Everything that can be wrong with it is found out first. Then its turn is decided, and the
//! sandbox may already be on its way while the record of the acceptance is being written; the
//! caller hears of it only when that is done.

use std::sync::Arc;

use contree_api::image::{ImageImportRequest, ImageRef};
use contree_api::instance::{CopySource, InstanceSpawnRequest, InstanceSpawnResponse};
use contree_api::operation::OperationStatus;
use contree_api::stream::{ClosableStreamRepr, Encoding};
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, OperationId, ProjectId, Timestamp};
use contree_records::{Change, Committed, ImageGround, NewOperation};
use futures_util::FutureExt as _;

use super::end::End;
use super::live::{Asked, Asker, Live, Stop};
use super::scheduler::{Job, Turn, Work};
use crate::engine::Engine;
use crate::events::log::{self, EventLog};
use crate::run::plan::RunPlan;
use crate::run::stopped_or;
use crate::{Error, Identity, validate};

/// When to try again while the queue is full.
const RETRY_FULL: u32 = 5;

impl Engine {
    /// Accepts a run. The operation is on record when this returns; nothing was executed when it
    /// fails.
    ///
    /// # Errors
    /// `BadRequest` naming the field; `NotFound` for an image or a file; `Forbidden` without
    /// `spawn` (`spawn_disposable` for disposable runs); `TooManyRequests` when the queue is
    /// full; `Unavailable` when shutting down or the disk is nearly full.
    pub async fn spawn(
        &self,
        identity: &Identity,
        mut request: InstanceSpawnRequest,
    ) -> Result<InstanceSpawnResponse, Error> {
        identity.require(spawn_permission(request.disposable))?;
        let limits = identity.limits_within(&self.config().limits);
        validate::spawn(&mut request, &limits)?;
        let image = self
            .image_named(identity.project_id, &request.image)
            .await?;
        request.image = ImageRef::Id(image.id);
        self.resolve_copies(identity.project_id, &mut request)
            .await?;
        fill_in(&mut request);
        self.use_files(identity.project_id, &request).await?;
        self.check_space()?;

        let request = Arc::new(request);
        let id = OperationId::new();
        let stored = to_json(&*request)?;
        let live = self.new_live(
            id,
            identity.project_id,
            Asker {
                token: identity.token_id,
                token_width: limits.instance_max_concurrency,
            },
            Asked::Run(Arc::clone(&request)),
            Some(image.id),
            Timestamp::now(),
        );
        let work = Work::Run(Box::new(RunPlan { image }));
        self.accept(live, work, stored).await?;
        let request = Arc::unwrap_or_clone(request);
        Ok(InstanceSpawnResponse {
            uuid: id,
            request,
            result: None,
        })
    }

    /// Accepts an import.
    ///
    /// # Errors
    /// As [`Engine::spawn`], with the permission `import`.
    pub async fn import(
        &self,
        identity: &Identity,
        request: ImageImportRequest,
    ) -> Result<OperationId, Error> {
        identity.require(Permission::Import)?;
        let limits = identity.limits_within(&self.config().limits);
        let plan = self
            .plan_import(identity.project_id, &request, &limits)
            .await?;
        self.check_space()?;
        let mut shown = request;
        shown.timeout = Some(plan.timeout);
        shown.registry.credentials = shown
            .registry
            .credentials
            .as_ref()
            .map(contree_api::image::Credentials::masked);
        let id = OperationId::new();
        let stored = to_json(&shown)?;
        let asked = Asked::Import(Arc::new(shown));
        let asker = Asker {
            token: identity.token_id,
            token_width: limits.images_import_max_concurrency,
        };
        let now = Timestamp::now();
        let live = self.new_live(id, identity.project_id, asker, asked, None, now);
        self.accept(live, Work::Import(Box::new(plan)), stored)
            .await?;
        Ok(id)
    }

    /// Asks for an operation to be cancelled; it is CANCELLED soon after.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended or its result is being recorded; `Forbidden`
    /// without `cancel`.
    pub async fn cancel(&self, identity: &Identity, operation: OperationId) -> Result<(), Error> {
        identity.require(Permission::Cancel)?;
        let over = || Error::new(ErrorKind::Conflict, "the operation has already ended");
        let Some(live) = self.live(identity, operation) else {
            self.stored_operation(identity, operation).await?;
            return Err(over());
        };
        if !live.stop(Stop::Cancelled) {
            return Err(over());
        }
        if let Some(job) = self.scheduler().withdraw(&live) {
            // It was waiting: there is nothing to stop.
            let engine = self.clone();
            self.tasks()
                .spawn(async move { engine.end_waiting(&job.live, End::cancelled()).await });
        }
        Ok(())
    }

    pub(crate) fn new_live(
        &self,
        id: OperationId,
        project: ProjectId,
        asker: Asker,
        asked: Asked,
        image: Option<contree_api::ImageId>,
        created_at: Timestamp,
    ) -> Arc<Live> {
        let log = EventLog::new(
            log::path(self.events_dir(), id),
            self.config().limits.event_log_cap,
        );
        Arc::new(Live::new(id, project, asker, asked, image, created_at, log))
    }

    /// On a task of its own: a caller that goes away must not leave half of it undone.
    async fn accept(&self, live: Arc<Live>, work: Work, request: String) -> Result<(), Error> {
        let record = Change::Accept(Box::new(NewOperation {
            id: live.id,
            project: live.project,
            token: live.token,
            token_width: u64::try_from(live.token_width).ok(),
            kind: live.kind(),
            request,
            image: live.image,
            created_at: live.created_at,
        }));
        let engine = self.clone();
        tokio::spawn(async move { engine.take_on(live, work, record).await })
            .await
            .map_err(|error| Error::internal("the operation could not be accepted", error))?
    }

    async fn take_on(&self, live: Arc<Live>, work: Work, record: Change) -> Result<(), Error> {
        self.live_set().insert(Arc::clone(&live));
        // A project that is being removed: either that is seen here, or the operation there.
        if self.closing().contains(live.project) {
            self.live_set().remove(live.id);
            return Err(project_gone());
        }
        let turn = self.scheduler().submit(
            Job {
                live: Arc::clone(&live),
                work,
            },
            false,
        );
        let refused = match turn {
            Turn::Full => Some(
                Error::new(
                    ErrorKind::TooManyRequests,
                    "too many operations are waiting already",
                )
                .with_retry_after(RETRY_FULL),
            ),
            Turn::Closed => Some(shutting_down()),
            Turn::Now(_) | Turn::Later => None,
        };
        if let Some(error) = refused {
            self.live_set().remove(live.id);
            return Err(error);
        }
        // Submitted before the job begins, so that its end finds the row; a job that waits may
        // begin at any moment, but its end takes longer than this.
        //
        // Not synced, in either durability: what is promised to outlive a power loss is a result.
        // An operation that was accepted and not done fails when the power is lost, on record or
        // not; for the difference between FAILED and 404 after that, no run waits for the disk.
        // A crash of the server loses no acceptance.
        let accepted = self.records().submit(record, false).await;
        if let Turn::Now(job) = turn {
            self.begin(job);
        }
        self.accepted(&live, accepted).await
    }

    async fn accepted(&self, live: &Arc<Live>, accepted: Committed) -> Result<(), Error> {
        let Err(error) = accepted.wait().await else {
            live.tell_waiting(self.feed());
            return Ok(());
        };
        self.drop_unrecorded(live);
        Err(match error {
            contree_records::Error::Reference { .. } => project_gone(),
            error => Error::internal("the operation could not be recorded", error),
        })
    }

    /// Not on record, so it must not go on. Its end finds no row; that is logged.
    fn drop_unrecorded(&self, live: &Arc<Live>) {
        live.stop(Stop::Cancelled);
        if let Some(job) = self.scheduler().withdraw(live) {
            self.live_set().remove(job.live.id);
        }
    }

    /// Carries a job out on a task of its own, and whatever waits behind it in its lane.
    pub(crate) fn begin(&self, job: Job) {
        // Here and not in the task: who hears that the operation was accepted finds it ASSIGNED.
        job.live.advance(OperationStatus::Assigned, self.feed());
        let engine = self.clone();
        self.tasks().spawn(async move {
            let mut next = Some(job);
            while let Some(Job { live, work }) = next {
                live.advance(OperationStatus::Assigned, engine.feed());
                let carried = std::panic::AssertUnwindSafe(engine.carry_out(&live, work));
                let end = match carried.catch_unwind().await {
                    Ok(end) => end,
                    Err(_) => {
                        // The panic hook has said where.
                        tracing::error!(operation = %live.id, "an operation hit a fault of the server");
                        End::failed("the server hit an internal fault")
                    }
                };
                next = engine.end(&live, end).await;
            }
        });
    }

    async fn carry_out(&self, live: &Arc<Live>, work: Work) -> End {
        if live.stop_reason().is_some() {
            return stopped_or(live, End::failed("the operation was stopped"));
        }
        match (work, &live.asked) {
            (Work::Run(plan), Asked::Run(request)) => {
                self.run(live, &Arc::clone(request), *plan).await
            }
            (Work::Import(plan), _) => self.run_import(live, *plan).await,
            (Work::Run(_), Asked::Import(_)) => {
                End::failed("the server mixed up a run and an import")
            }
        }
    }

    /// Names the images that trees come from by their ids.
    async fn resolve_copies(
        &self,
        project: ProjectId,
        request: &mut InstanceSpawnRequest,
    ) -> Result<(), Error> {
        for (index, copy) in request.copy.iter_mut().enumerate() {
            let CopySource::Image { image, .. } = &mut copy.source else {
                continue;
            };
            let found = self.image_named(project, image).await;
            let found = found.map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    Error::not_found(format!("copy[{index}].image: {}", error.message()))
                }
                _ => error,
            })?;
            *image = ImageRef::Id(found.id);
        }
        Ok(())
    }

    /// The image a request names, as far as the project may use it.
    pub(crate) async fn image_named(
        &self,
        project: ProjectId,
        image: &ImageRef,
    ) -> Result<ImageGround, Error> {
        let id = match image {
            ImageRef::Id(id) => *id,
            ImageRef::Tag(tag) => self
                .records()
                .tagged_image(project, tag)
                .await?
                .ok_or_else(|| Error::not_found(format!("there is no image tagged {tag}")))?,
        };
        self.image_ground(project, id)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no image {id}")))
    }
}

/// Says what was left out as it is meant. Clients that read the request back want to find an
/// environment and an input in it.
fn fill_in(request: &mut InstanceSpawnRequest) {
    request.env.get_or_insert_default();
    request.stdin.get_or_insert_with(|| ClosableStreamRepr {
        value: String::new(),
        encoding: Encoding::Ascii,
        close: true,
    });
}

/// The permission a run needs.
pub(crate) const fn spawn_permission(disposable: bool) -> Permission {
    if disposable {
        Permission::SpawnDisposable
    } else {
        Permission::Spawn
    }
}

/// The project went while the request was on its way, and its tokens with it.
pub(crate) fn project_gone() -> Error {
    Error::new(ErrorKind::Unauthorized, "the token is not valid")
}

pub(crate) fn shutting_down() -> Error {
    Error::new(ErrorKind::Unavailable, "the server is shutting down").with_retry_after(2)
}

fn to_json(request: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(request)
        .map_err(|error| Error::internal("the request could not be recorded", error))
}

impl Engine {
    /// Takes an accepted operation of an earlier server up again.
    pub(crate) fn resume(&self, live: Arc<Live>, work: Work) {
        self.live_set().insert(Arc::clone(&live));
        match self.scheduler().submit(
            Job {
                live: Arc::clone(&live),
                work,
            },
            true,
        ) {
            Turn::Now(job) => self.begin(job),
            Turn::Later => {}
            // It stays open on record for the next server.
            Turn::Full | Turn::Closed => self.live_set().remove(live.id),
        }
    }
}
