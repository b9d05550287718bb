//! Uploaded files.

use contree_api::file::{File, FileResponse};

use crate::{Engine, Error, FileFilter, Identity};

/// An upload under way. Dropped before [`Upload::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    _engine: Engine,
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// `Unavailable` when the disk is nearly full; `Internal` when writing fails.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let _ = bytes;
        Err(Error::not_yet())
    }

    /// Ends the upload and records the file; the same content has the same id.
    ///
    /// # Errors
    /// `Internal` when writing fails.
    pub async fn finish(self) -> Result<FileResponse, Error> {
        Err(Error::not_yet())
    }
}

impl Engine {
    /// Begins an upload.
    ///
    /// # Errors
    /// `Forbidden` without `import` and without any of the spawn permissions; `Unavailable` when
    /// shutting down or the disk is nearly full.
    pub async fn begin_upload(&self, identity: &Identity) -> Result<Upload, Error> {
        let _ = identity;
        Err(Error::not_yet())
    }

    /// The project's file with this content; 64 hex digits.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest`; `Forbidden` without `list`.
    pub async fn file(&self, identity: &Identity, sha256: &str) -> Result<File, Error> {
        let _ = (identity, sha256);
        Err(Error::not_yet())
    }

    /// The project's files, newest first.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub async fn files(
        &self,
        identity: &Identity,
        filter: &FileFilter,
    ) -> Result<Vec<File>, Error> {
        let _ = (identity, filter);
        Err(Error::not_yet())
    }
}
