//! An import, from its turn to its end: what is it, is it here already, fetch, one flat layer.
//!
//! An image's id is derived from the project and the digest of its content (UUID version 5), so
//! the same content imported again is the same image, and nothing is fetched. Content that a
//! public image has is not fetched either: its layer is shared. What another project has imported
//! is fetched as if nobody had it, since the time that an import takes tells as much as an answer.
//!
//! Imports of the same content into the same project at the same time go one after the other; all
//! but the first find it here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use contree_api::event::{Chunk, EventData};
use contree_api::image::{Credentials, ImageImportRequest};
use contree_api::operation::OperationStatus;
use contree_api::{ImageId, LayerId, ProjectId, Tag, Timestamp, stream};
use contree_images::import::{ImportError, Input, Progress, Resolved, Source};
use contree_records::{ImageKind, NewImage, NewLayer};
use uuid::Uuid;

use crate::engine::Engine;
use crate::layers::GroundError;
use crate::operation::end::End;
use crate::operation::live::Live;
use crate::run::stopped_or;
use crate::{EngineLimits, Error, validate};

/// A checked import. Its credentials are nowhere else, and go with it.
#[derive(Debug)]
pub(crate) struct ImportPlan {
    source: Source,
    credentials: Option<Credentials>,
    tag: Option<Tag>,
    pub(crate) timeout: u32,
}

/// One lock for each image that is being imported.
#[derive(Debug, Default)]
pub(crate) struct ImportLocks(Mutex<HashMap<ImageId, Weak<tokio::sync::Mutex<()>>>>);

impl ImportLocks {
    fn of(&self, image: ImageId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(&image).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(image, Arc::downgrade(&lock));
        lock
    }
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("the event log could not be written")]
    Log(#[source] std::io::Error),
    #[error("the uploaded file could not be opened")]
    Upload(#[source] contree_images::StoreError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("the records could not be used")]
    Records(#[from] contree_records::Error),
    #[error("the image could not be used")]
    Ground(#[from] GroundError),
}

impl JobError {
    /// One sentence for the caller.
    fn message(&self) -> String {
        match self {
            Self::Import(error) => error.message(),
            error => error.to_string(),
        }
    }
}

/// The image of this content in this project.
fn image_id(project: ProjectId, digest: &str) -> ImageId {
    ImageId::from_uuid(Uuid::new_v5(&project.uuid(), digest.as_bytes()))
}

impl Engine {
    /// Checks an import, within the limits of who asks.
    pub(crate) async fn plan_import(
        &self,
        project: ProjectId,
        request: &ImageImportRequest,
        limits: &EngineLimits,
    ) -> Result<ImportPlan, Error> {
        let timeout = validate::timeout(
            request.timeout,
            limits.images_import_default_timeout,
            limits.images_import_max_timeout,
        )?;
        let source = Source::parse(&request.registry.url)
            .map_err(|error| Error::bad_request(format!("registry.url: {error}")))?;
        if let Source::Upload(file) = &source {
            self.use_archive(project, *file).await?;
        }
        let credentials = request.registry.credentials.clone();
        Ok(ImportPlan {
            source,
            credentials,
            tag: request.tag.clone(),
            timeout,
        })
    }

    /// Carries an import out. Its end is not on record yet when this returns.
    pub(crate) async fn run_import(&self, live: &Arc<Live>, plan: ImportPlan) -> End {
        let (tag, timeout) = (plan.tag.clone(), plan.timeout);
        let imported = tokio::select! {
            biased;
            () = live.stopped.cancelled() => {
                return stopped_or(live, End::failed("the import was stopped"));
            }
            () = tokio::time::sleep(Duration::from_secs(timeout.into())) => {
                return End::failed(format!("the import took longer than {timeout} seconds"));
            }
            imported = self.bring_in(live, plan) => imported,
        };
        match imported {
            Ok(mut end) => {
                end.tag = tag;
                self.settle(live, end).await
            }
            Err(error) => {
                let text = crate::error::chain(&error);
                tracing::info!(operation = %live.id, error = text, "an import failed");
                End::failed(error.message())
            }
        }
    }

    async fn bring_in(&self, live: &Arc<Live>, plan: ImportPlan) -> Result<End, JobError> {
        live.log.open().map_err(JobError::Log)?;
        live.log
            .append(0, self.machine().init_event(live.id, "import"));
        live.advance(OperationStatus::Executing, self.feed());
        let input = match plan.source {
            Source::Registry(reference) => {
                say(live, format_args!("looking up {reference}"));
                Input::Registry {
                    reference,
                    credentials: plan.credentials,
                }
            }
            Source::Upload(file) => {
                say(live, format_args!("reading the uploaded archive {file}"));
                let (file, _) = self.store().open_file(file).map_err(JobError::Upload)?;
                Input::Archive(file)
            }
        };
        let resolved = self.importer().resolve(input).await?;
        let digest = resolved.digest().to_string();
        say(live, format_args!("found {digest}"));
        let lock = self.import_locks().of(image_id(live.project, &digest));
        let alone = lock.lock_owned().await;
        let mut end = self.find_or_fetch(live, digest, resolved).await?;
        end.alone = Some(alone);
        Ok(end)
    }

    async fn find_or_fetch(
        &self,
        live: &Arc<Live>,
        digest: String,
        resolved: Resolved,
    ) -> Result<End, JobError> {
        let id = image_id(live.project, &digest);
        if self
            .records()
            .image_ground(live.project, id)
            .await?
            .is_some()
        {
            say(live, format_args!("already imported as {id}"));
            let mut end = End::succeeded(Some(id));
            end.image_size = Some(0);
            return Ok(end);
        }
        if let Some(end) = self.share(live, id, &digest).await? {
            say(live, format_args!("the same content is here already"));
            return Ok(end);
        }
        self.fetch(live, id, digest, resolved).await
    }

    /// An image on the layer of another one with the same content.
    async fn share(&self, live: &Live, id: ImageId, digest: &str) -> Result<Option<End>, JobError> {
        let Some(other) = self.records().image_by_digest(live.project, digest).await? else {
            return Ok(None);
        };
        let ground = match self.grounds().stand_on(other.layer).await {
            Ok(ground) => ground,
            Err(GroundError::Vanished) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let held = self.grounds().hold(other.layer);
        let mut end = End::succeeded(Some(id));
        end.image_size = Some(0);
        end.image = Some(NewImage {
            id,
            project: live.project,
            layer: other.layer,
            env: other.env,
            cwd: other.cwd,
            parent: None,
            operation: Some(live.id),
            kind: ImageKind::Import,
            digest: Some(digest.to_owned()),
            size: 0,
            created_at: Timestamp::now(),
        });
        end.stands_on = Some((ground, held));
        Ok(Some(end))
    }

    async fn fetch(
        &self,
        live: &Arc<Live>,
        id: ImageId,
        digest: String,
        resolved: Resolved,
    ) -> Result<End, JobError> {
        let layer = LayerId::new();
        let held = self.grounds().hold(layer);
        let teller = Arc::clone(live);
        let progress = Arc::new(move |progress: Progress| say(&teller, format_args!("{progress}")));
        let imported = self.importer().fetch(resolved, layer, progress).await?;
        let now = Timestamp::now();
        let mut end = End::succeeded(Some(id));
        end.image_size = Some(imported.bytes);
        end.layer = Some(NewLayer {
            id: layer,
            parent: None,
            bytes: imported.bytes,
            entries: imported.entries,
            created_at: now,
        });
        end.image = Some(NewImage {
            id,
            project: live.project,
            layer,
            env: BTreeMap::from_iter(imported.env),
            cwd: imported.cwd,
            parent: None,
            operation: Some(live.id),
            kind: ImageKind::Import,
            digest: Some(digest),
            size: imported.bytes,
            created_at: now,
        });
        end.held = Some(held);
        Ok(end)
    }
}

/// A line of progress.
fn say(live: &Live, line: std::fmt::Arguments<'_>) {
    let (value, encoding) = stream::encode(format!("{line}\n").as_bytes());
    live.log.append(
        0,
        EventData::Stderr(Chunk {
            value,
            encoding,
            truncated: false,
        }),
    );
}
