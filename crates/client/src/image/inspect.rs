//! Looking into an image without running it.

use std::path::Path;

use bytes::Bytes;
use contree_api::inspect::{FileItem, GrepQuery, GrepResult};

use super::Image;
use crate::{Download, Error};

impl Image {
    /// The entries of a folder, by name.
    ///
    /// # Errors
    /// As [`Image::info`]; 404 when there is no such path, 422 when it is no folder.
    pub async fn ls(&self, path: impl AsRef<str>) -> Result<Vec<FileItem>, Error> {
        let id = self.id().await?;
        let list = self.contree.client().list_directory(id, path.as_ref());
        list.await.map(|list| list.files)
    }

    /// Whether there is a file or folder of this name.
    ///
    /// # Errors
    /// As [`Image::info`]; 422 when there is something else, such as a device.
    pub async fn exists(&self, path: impl AsRef<str>) -> Result<bool, Error> {
        let id = self.id().await?;
        self.contree.client().can_archive(id, path.as_ref()).await
    }

    /// A file, piece by piece.
    ///
    /// # Errors
    /// As [`Image::info`]; 404 when there is no such path, 422 when it is no file.
    pub async fn open(&self, path: impl AsRef<str>) -> Result<Download, Error> {
        let id = self.id().await?;
        self.contree.client().download(id, path.as_ref()).await
    }

    /// A whole file in memory. It is begun anew when the connection breaks.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub async fn read(&self, path: impl AsRef<str>) -> Result<Bytes, Error> {
        let id = self.id().await?;
        self.contree.client().read_file(id, path.as_ref()).await
    }

    /// Writes a file to this machine as [`Download::save`] does, and returns its size. It is begun
    /// anew when the connection breaks.
    ///
    /// # Errors
    /// As [`Image::open`]; [`Error::Save`] when it cannot be written.
    pub async fn download(
        &self,
        path: impl AsRef<str>,
        to: impl AsRef<Path>,
    ) -> Result<u64, Error> {
        let id = self.id().await?;
        let client = self.contree.client();
        client.save_file(id, path.as_ref(), to.as_ref()).await
    }

    /// A file or folder as a tar archive, piece by piece.
    ///
    /// # Errors
    /// As [`Image::info`]; 404 when there is no such path, 422 when it is neither.
    pub async fn archive(&self, path: impl AsRef<str>) -> Result<Download, Error> {
        let id = self.id().await?;
        self.contree.client().archive(id, path.as_ref()).await
    }

    /// Writes a file or folder as a tar archive to this machine, as [`Image::download`] does.
    ///
    /// # Errors
    /// As [`Image::archive`]; [`Error::Save`] when it cannot be written.
    pub async fn download_archive(
        &self,
        path: impl AsRef<str>,
        to: impl AsRef<Path>,
    ) -> Result<u64, Error> {
        let id = self.id().await?;
        let client = self.contree.client();
        client.save_archive(id, path.as_ref(), to.as_ref()).await
    }

    /// Lines that match, in files of the image.
    ///
    /// ```
    /// # contree_e2e::Example::run(async |example| {
    /// # let image = example.contree().image("tag:debian");
    /// use contree_client::api::inspect::GrepQuery;
    ///
    /// let mut query = GrepQuery::default();
    /// query.patterns = vec!["^root:".into()];
    /// query.paths = vec!["/etc/passwd".into()];
    /// let found = image.grep(&query).await?;
    /// assert_eq!(found.matches[0].line_number, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`Image::info`]; 404 when there is no such path, 400 when a pattern or glob is none or
    /// there are too many.
    pub async fn grep(&self, query: &GrepQuery) -> Result<GrepResult, Error> {
        let id = self.id().await?;
        self.contree.client().grep(id, query).await
    }
}
