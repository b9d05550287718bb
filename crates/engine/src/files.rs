//! Uploaded files: kept by content, once per project.

use contree_api::file::{File, FileResponse};
use contree_api::instance::{CopySource, InstanceSpawnRequest};
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, FileId, ProjectId, Timestamp};
use contree_images::{FileError, FileWriter, StoreError};
use contree_records::{Change, NewFile};
use uuid::Uuid;

use crate::operation::project_gone;
use crate::{Engine, Error, Identity, Page};

/// Bytes between looks at the free space while an upload goes on.
const SPACE_EVERY: u64 = 16 * 1024 * 1024;

/// An upload under way. Dropped before [`Upload::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    engine: Engine,
    project: ProjectId,
    writer: FileWriter,
    looked_at: u64,
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// `Unavailable` when the disk is nearly full; `Internal` when writing fails.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write(bytes).map_err(|error| match error {
            FileError::TooLarge { .. } => Error::new(ErrorKind::TooLarge, error.to_string()),
            FileError::Store(error) => store_error(error),
            error => Error::internal("the upload could not be written", error),
        })?;
        if self.writer.size() - self.looked_at >= SPACE_EVERY {
            self.looked_at = self.writer.size();
            self.engine.check_space()?;
        }
        Ok(())
    }

    /// Ends the upload and records the file; the same content has the same id.
    ///
    /// # Errors
    /// `Internal` when writing fails.
    pub async fn finish(self) -> Result<FileResponse, Error> {
        let written = self.writer.finish();
        let (sha256, size) = (written.sha256().to_owned(), written.size());
        let id = file_id(self.project, &sha256);
        let _naming = self.engine.naming_files().read().await;
        written.commit(id).map_err(store_error)?;
        self.engine
            .sync()
            .await
            .map_err(|error| Error::internal("the upload could not be made durable", error))?;
        let file = NewFile {
            id,
            project: self.project,
            sha256: sha256.clone(),
            size,
            at: Timestamp::now(),
        };
        let durable = self.engine.is_durable();
        let change = Change::PutFile(Box::new(file));
        match self.engine.records().apply(change, durable).await {
            // The project was removed meanwhile.
            Err(contree_records::Error::Reference { .. }) => {
                self.engine.store().remove_file(id).map_err(store_error)?;
                return Err(project_gone());
            }
            outcome => drop(outcome?),
        }
        Ok(FileResponse {
            uuid: id,
            sha256,
            size: i64::try_from(size).unwrap_or(i64::MAX),
        })
    }
}

/// The same content in the same project is the same file.
fn file_id(project: ProjectId, sha256: &str) -> FileId {
    FileId::from_uuid(Uuid::new_v5(&project.uuid(), sha256.as_bytes()))
}

fn store_error(error: StoreError) -> Error {
    if error.is_disk_full() {
        return Error::new(ErrorKind::Unavailable, "the server's disk is full").with_source(error);
    }
    Error::internal("the upload could not be written", error)
}

impl Engine {
    /// Begins an upload.
    ///
    /// # Errors
    /// `Forbidden` without `import` and without any of the spawn permissions; `Unavailable` when
    /// shutting down or the disk is nearly full.
    pub async fn begin_upload(&self, identity: &Identity) -> Result<Upload, Error> {
        identity.require_any(&[
            Permission::Import,
            Permission::Spawn,
            Permission::SpawnDisposable,
        ])?;
        self.check_open()?;
        self.check_space()?;
        let writer = self.store().write_file().map_err(store_error)?;
        Ok(Upload {
            engine: self.clone(),
            project: identity.project_id,
            writer,
            looked_at: 0,
        })
    }

    /// The project's file with this content; 64 hex digits.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest`; `Forbidden` without `list`.
    pub async fn file(&self, identity: &Identity, sha256: &str) -> Result<File, Error> {
        identity.require(Permission::List)?;
        if sha256.len() != 64 || !sha256.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Error::bad_request("sha256 must have 64 hex digits"));
        }
        let sha256 = sha256.to_ascii_lowercase();
        self.records()
            .file_by_content(identity.project_id, &sha256)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no file with the SHA-256 {sha256}")))
    }

    /// The project's files, newest first.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub async fn files(&self, identity: &Identity, page: &Page) -> Result<Vec<File>, Error> {
        identity.require(Permission::List)?;
        Ok(self.records().files(identity.project_id, page).await?)
    }

    /// Sees that the attached files and archives of a run are there, and that they stay.
    pub(crate) async fn use_files(
        &self,
        project: ProjectId,
        request: &InstanceSpawnRequest,
    ) -> Result<(), Error> {
        let archives = request.copy.iter().map(|copy| match &copy.source {
            CopySource::Archive { archive } => Some(*archive),
            CopySource::Image { .. } => None,
        });
        let attached = request.files.values().map(|file| file.uuid);
        let files: Vec<FileId> = attached.chain(archives.clone().flatten()).collect();
        if files.is_empty() {
            return Ok(());
        }
        self.use_known_files(project, files, |file| {
            let attached = request.files.iter().find(|(_, one)| one.uuid == file);
            let field = match attached {
                Some((dest, _)) => format!("files[{dest:?}].uuid"),
                None => {
                    let index = archives.clone().position(|one| one == Some(file))?;
                    format!("copy[{index}].archive")
                }
            };
            Some(format!("{field}: there is no file {file}"))
        })
        .await
    }

    /// The same for the archive of an import.
    pub(crate) async fn use_archive(&self, project: ProjectId, file: FileId) -> Result<(), Error> {
        let unknown = |file| Some(format!("registry.url: there is no file {file}"));
        self.use_known_files(project, vec![file], unknown).await
    }

    async fn use_known_files(
        &self,
        project: ProjectId,
        files: Vec<FileId>,
        unknown: impl Fn(FileId) -> Option<String>,
    ) -> Result<(), Error> {
        let known = self.records().known_files(Some(project), &files).await?;
        if let Some(&missing) = files.iter().find(|file| !known.contains(file)) {
            return Err(Error::not_found(unknown(missing).unwrap_or_default()));
        }
        let used = Change::UseFiles {
            files,
            at: Timestamp::now(),
        };
        // Nobody waits for it: it only has to happen before the file's retention is over.
        drop(self.records().submit(used, false).await);
        Ok(())
    }
}
