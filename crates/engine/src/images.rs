//! Images, their tags, and looking into them.

use contree_api::image::Image;
use contree_api::inspect::DirectoryList;
use contree_api::{ImageId, Tag};

use crate::{Engine, Error, Identity, ImageFilter};

/// A regular file of an image, opened for reading.
#[derive(Debug)]
pub struct ImageFile {
    /// Positioned at the start.
    pub file: std::fs::File,
    /// Bytes.
    pub size: u64,
}

impl Engine {
    /// The project's and the public images, one item per tag.
    ///
    /// # Errors
    /// `Forbidden` without `list`.
    pub async fn images(
        &self,
        identity: &Identity,
        filter: &ImageFilter,
    ) -> Result<Vec<Image>, Error> {
        let _ = (identity, filter);
        Err(Error::not_yet())
    }

    /// One image.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn image(&self, identity: &Identity, image: ImageId) -> Result<Image, Error> {
        let _ = (identity, image);
        Err(Error::not_yet())
    }

    /// The image a tag names: the project's own, else the public one.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn resolve_tag(&self, identity: &Identity, tag: &Tag) -> Result<ImageId, Error> {
        let _ = (identity, tag);
        Err(Error::not_yet())
    }

    /// Sets a tag, moving it when another image of the project has it.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `set_image_tag`.
    pub async fn set_tag(
        &self,
        identity: &Identity,
        image: ImageId,
        tag: Tag,
    ) -> Result<Image, Error> {
        let _ = (identity, image, tag);
        Err(Error::not_yet())
    }

    /// Removes one tag, or all the project has on this image.
    ///
    /// # Errors
    /// `NotFound` when there is no such image or tag; `Forbidden` without `set_image_tag`.
    pub async fn delete_tag(
        &self,
        identity: &Identity,
        image: ImageId,
        tag: Option<&Tag>,
    ) -> Result<(), Error> {
        let _ = (identity, image, tag);
        Err(Error::not_yet())
    }

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
        let _ = (identity, image, path);
        Err(Error::not_yet())
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
        let _ = (identity, image, path);
        Err(Error::not_yet())
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
        let _ = (identity, image, path);
        Err(Error::not_yet())
    }
}
