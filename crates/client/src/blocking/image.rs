//! Images, blocking.

use std::path::Path;

use bytes::Bytes;
use contree_api::inspect::{FileItem, GrepQuery, GrepResult};
use contree_api::{ImageId, OperationId};

use super::{Contree, Download, Events, Image, ImportBuilder, Operation};
use crate::Error;

impl Image {
    /// The same, async.
    fn inner(&self) -> crate::Image {
        self.clone().on(self.contree.inner.clone())
    }

    /// Its id.
    ///
    /// # Errors
    /// As the async one.
    pub fn id(&self) -> Result<ImageId, Error> {
        self.contree.block_on(self.inner().id())
    }

    /// The image that it is at this moment, by its id.
    ///
    /// # Errors
    /// As the async one.
    pub fn resolve(&self) -> Result<Self, Error> {
        Ok(Self::new(self.contree.clone(), self.id()?))
    }

    /// What the server knows of it.
    ///
    /// # Errors
    /// As the async one.
    pub fn info(&self) -> Result<contree_api::image::Image, Error> {
        self.contree.block_on(self.inner().info())
    }

    /// Sets a tag.
    ///
    /// # Errors
    /// As the async one.
    pub fn tag(&self, tag: impl AsRef<str>) -> Result<(), Error> {
        self.contree.block_on(self.inner().tag(tag))
    }

    /// Removes one of its tags.
    ///
    /// # Errors
    /// As the async one.
    pub fn untag(&self, tag: impl AsRef<str>) -> Result<(), Error> {
        self.contree.block_on(self.inner().untag(tag))
    }

    /// Removes all of its tags.
    ///
    /// # Errors
    /// As the async one.
    pub fn untag_all(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner().untag_all())
    }

    /// The entries of a folder, by name.
    ///
    /// # Errors
    /// As the async one.
    pub fn ls(&self, path: impl AsRef<str>) -> Result<Vec<FileItem>, Error> {
        self.contree.block_on(self.inner().ls(path))
    }

    /// Whether there is a file or folder of this name.
    ///
    /// # Errors
    /// As the async one.
    pub fn exists(&self, path: impl AsRef<str>) -> Result<bool, Error> {
        self.contree.block_on(self.inner().exists(path))
    }

    /// A file, to be read as it comes.
    ///
    /// # Errors
    /// As the async one.
    pub fn open(&self, path: impl AsRef<str>) -> Result<Download, Error> {
        let download = self.contree.block_on(self.inner().open(path))?;
        Ok(Download::new(&self.contree, download))
    }

    /// A whole file in memory.
    ///
    /// # Errors
    /// As the async one.
    pub fn read(&self, path: impl AsRef<str>) -> Result<Bytes, Error> {
        self.contree.block_on(self.inner().read(path))
    }

    /// Writes a file to this machine, and returns its size.
    ///
    /// # Errors
    /// As the async one.
    pub fn download(&self, path: impl AsRef<str>, to: impl AsRef<Path>) -> Result<u64, Error> {
        self.contree.block_on(self.inner().download(path, to))
    }

    /// A file or folder as a tar archive, to be read as it comes.
    ///
    /// # Errors
    /// As the async one.
    pub fn archive(&self, path: impl AsRef<str>) -> Result<Download, Error> {
        let download = self.contree.block_on(self.inner().archive(path))?;
        Ok(Download::new(&self.contree, download))
    }

    /// Writes a file or folder as a tar archive to this machine, and returns its size.
    ///
    /// # Errors
    /// As the async one.
    pub fn download_archive(
        &self,
        path: impl AsRef<str>,
        to: impl AsRef<Path>,
    ) -> Result<u64, Error> {
        self.contree
            .block_on(self.inner().download_archive(path, to))
    }

    /// Lines that match, in files of the image.
    ///
    /// # Errors
    /// As the async one.
    pub fn grep(&self, query: &GrepQuery) -> Result<GrepResult, Error> {
        self.contree.block_on(self.inner().grep(query))
    }
}

impl ImportBuilder {
    /// Starts the import.
    ///
    /// # Errors
    /// As the async one.
    pub fn send(self) -> Result<Import, Error> {
        let Self { contree, draft } = self;
        let builder = crate::ImportBuilder {
            contree: contree.inner.clone(),
            draft,
        };
        let import = contree.block_on(builder.send())?;
        Ok(Import {
            contree,
            inner: import,
        })
    }

    /// Starts the import and waits for the image.
    ///
    /// # Errors
    /// As [`Import::wait`].
    pub fn output(self) -> Result<Image, Error> {
        self.send()?.wait()
    }
}

/// An import that the server has accepted; see [`crate::Import`].
#[derive(Debug, Clone)]
pub struct Import {
    contree: Contree,
    inner: crate::Import,
}

impl Import {
    /// The operation's id.
    #[must_use]
    pub const fn id(&self) -> OperationId {
        self.inner.id()
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::new(&self.contree, self.inner.operation().clone())
    }

    /// Its events; its progress is in `stderr` events.
    #[must_use]
    pub fn events(&self) -> Events {
        self.operation().events()
    }

    /// As [`crate::Import::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self) -> Result<(), Error> {
        self.contree.block_on(self.inner.cancel())
    }

    /// As [`crate::Import::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<Image, Error> {
        let image = self.contree.block_on(self.inner.wait())?;
        Ok(image.on(self.contree.clone()))
    }
}
