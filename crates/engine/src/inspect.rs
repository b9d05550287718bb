//! Looking into images. Nothing is mounted or started for it: it is all read from the layers,
//! which are held for as long as that takes.
//!
//! Reading blocks and happens on other threads. An archive is handed out as a reader, so that
//! whoever sends it decides when its next piece is made. Searches keep several threads busy, so
//! [`SEARCHES`] of all projects go on at a time, and each ends after [`GREP_TIME`]; one that nobody
//! waits for any more ends at once.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use contree_api::inspect::{DirectoryList, GrepQuery, GrepResult};
use contree_api::whoami::Permission;
use contree_api::{ErrorKind, ImageId};
use contree_images::{Archive, GrepError, PathError, Stop, View};
use tokio::sync::Semaphore;

use crate::images::no_image;
use crate::layers::{Ground, GroundError};
use crate::{Engine, Error, Identity};

/// Longest search; what was found until then is the answer.
pub const GREP_TIME: Duration = Duration::from_secs(10);

/// Searches at a time; more wait. They are bound by processors and disks, which all engines of a
/// process share.
static SEARCHES: Semaphore = Semaphore::const_new(4);

/// A regular file of an image, opened for reading.
#[derive(Debug)]
pub struct ImageFile {
    /// Positioned at the start.
    pub file: std::fs::File,
    /// Bytes.
    pub size: u64,
}

/// A file or folder of an image as a tar archive; its layers stay for as long as this does.
/// Reading blocks.
#[derive(Debug)]
pub struct ImageArchive {
    archive: Archive,
    _ground: Ground,
}

impl Read for ImageArchive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.archive.read(buffer)
    }
}

impl Engine {
    /// The entries of a folder, by name.
    ///
    /// # Errors
    /// `NotFound`; `Unprocessable` when the path is no folder; `Forbidden` without `list`.
    pub async fn list_directory(
        &self,
        identity: &Identity,
        image: ImageId,
        path: &str,
    ) -> Result<DirectoryList, Error> {
        let path = path.to_owned();
        self.look(identity, image, move |view, _| view.list(path))
            .await?
            .map_err(path_error)
    }

    /// The same as text, like `ls -l`.
    ///
    /// # Errors
    /// As [`Engine::list_directory`].
    pub async fn list_directory_text(
        &self,
        identity: &Identity,
        image: ImageId,
        path: &str,
    ) -> Result<String, Error> {
        let path = path.to_owned();
        self.look(identity, image, move |view, _| view.list_text(path))
            .await?
            .map_err(path_error)
    }

    /// Opens a regular file; symbolic links are followed inside the image.
    ///
    /// # Errors
    /// `NotFound`; `Unprocessable` when the path is no regular file; `Forbidden` without `list`.
    pub async fn open_image_file(
        &self,
        identity: &Identity,
        image: ImageId,
        path: &str,
    ) -> Result<ImageFile, Error> {
        let path = path.to_owned();
        let opened = self
            .look(identity, image, move |view, _| view.open(path))
            .await?
            .map_err(path_error)?;
        Ok(ImageFile {
            file: opened.file,
            size: opened.size,
        })
    }

    /// A file or folder as an archive, of which nothing is read yet; symbolic links are followed
    /// inside the image.
    ///
    /// # Errors
    /// `NotFound`; `Unprocessable` when the path is neither a regular file nor a folder;
    /// `Forbidden` without `list`.
    pub async fn archive(
        &self,
        identity: &Identity,
        image: ImageId,
        path: &str,
    ) -> Result<ImageArchive, Error> {
        let path = path.to_owned();
        let open = move |view: &View, ground| {
            let archive = view.archive(path)?;
            Ok(ImageArchive {
                archive,
                _ground: ground,
            })
        };
        self.look(identity, image, open).await?.map_err(path_error)
    }

    /// Searches in files, for up to [`GREP_TIME`].
    ///
    /// # Errors
    /// `NotFound`, also for a path that leads nowhere; `BadRequest` for a pattern or glob that is
    /// none; `Forbidden` without `list`.
    pub async fn grep(
        &self,
        identity: &Identity,
        image: ImageId,
        query: GrepQuery,
    ) -> Result<GrepResult, Error> {
        identity.require(Permission::List)?;
        let turn = SEARCHES
            .acquire()
            .await
            .map_err(|error| Error::internal("searches have ended", error))?;
        let stop = Stop::at(Instant::now() + GREP_TIME);
        // Whoever asked may go away.
        let _called_when_dropped = CallOnDrop(stop.clone());
        self.look(identity, image, move |view, _ground| {
            // A search that nobody waits for any more counts until it has noticed.
            let _turn = turn;
            view.grep(&query, &stop)
        })
        .await?
        .map_err(grep_error)
    }

    /// Looks into an image on another thread, its layers held by the ground.
    async fn look<T: Send + 'static>(
        &self,
        identity: &Identity,
        image: ImageId,
        look: impl FnOnce(&View, Ground) -> T + Send + 'static,
    ) -> Result<T, Error> {
        identity.require(Permission::List)?;
        let image = self
            .image_ground(identity.project_id, image)
            .await?
            .ok_or_else(|| no_image(image))?;
        let ground = self
            .grounds()
            .stand_on(image.layer)
            .await
            .map_err(|error| match error {
                GroundError::Vanished => no_image(image.id),
                error => Error::internal("the image could not be read", error),
            })?;
        let view = self.store().view(&ground.folders());
        tokio::task::spawn_blocking(move || look(&view, ground))
            .await
            .map_err(|error| Error::internal("the image could not be read", error))
    }
}

/// Ends a search when the future that waits for it is dropped.
struct CallOnDrop(Stop);

impl Drop for CallOnDrop {
    fn drop(&mut self) {
        self.0.call();
    }
}

fn path_error(error: PathError) -> Error {
    match error {
        PathError::NotFound { .. } | PathError::BeneathNoFolder { .. } => {
            Error::not_found(error.to_string())
        }
        PathError::Store(_) | PathError::Read { .. } => {
            Error::internal("the image could not be read", error)
        }
        PathError::TooLong => Error::bad_request(error.to_string()),
        error => Error::new(ErrorKind::Unprocessable, error.to_string()),
    }
}

fn grep_error(error: GrepError) -> Error {
    let refused = |name, value: &str, reason: &str| {
        Error::bad_request(format!("query parameter `{name}`: {reason}; got `{value}`"))
    };
    match error {
        GrepError::Pattern { pattern, reason } => refused("pattern", &pattern, &reason),
        GrepError::Glob { glob, reason } => refused("glob", &glob, &reason),
        // A search has no other word for a path that leads nowhere.
        GrepError::Path(
            error @ (PathError::NotADirectory { .. } | PathError::TooManyLinks { .. }),
        ) => Error::not_found(error.to_string()),
        GrepError::Path(error) => path_error(error),
        error => Error::internal("the image could not be searched", error),
    }
}
