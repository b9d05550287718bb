//! Images and their tags.

use contree_api::image::Image;
use contree_api::whoami::Permission;
use contree_api::{ImageId, ProjectId, Tag, Timestamp};
use contree_records::{Change, ImageGround};

use crate::remembered::Remembered;
use crate::{Engine, Error, Identity, ImageFilter};

/// What runs need to know of images that were used lately. Images do not change.
pub(crate) type KnownImages = Remembered<(ProjectId, ImageId), ImageGround, 1_024>;

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
        identity.require(Permission::List)?;
        Ok(self.records().images(identity.project_id, filter).await?)
    }

    /// One image, with what runs from it start with.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn image(&self, identity: &Identity, image: ImageId) -> Result<Image, Error> {
        identity.require(Permission::List)?;
        let project = identity.project_id;
        let mut shown = self.image_shown(project, image).await?;
        let ground = self.image_ground(project, image).await?;
        let ground = ground.ok_or_else(|| no_image(image))?;
        shown.env = Some(ground.env);
        shown.cwd = ground.cwd;
        Ok(shown)
    }

    /// The image a tag names: the project's own, else the public one.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`.
    pub async fn resolve_tag(&self, identity: &Identity, tag: &Tag) -> Result<ImageId, Error> {
        identity.require(Permission::List)?;
        self.records()
            .tagged_image(identity.project_id, tag)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no image tagged {tag}")))
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
        identity.require(Permission::SetImageTag)?;
        let project = identity.project_id;
        let mut shown = self.image_shown(project, image).await?;
        let change = Change::SetTag {
            project,
            tag: tag.clone(),
            image,
            at: Timestamp::now(),
        };
        match self.records().apply(change, self.is_durable()).await {
            // The image was removed in between.
            Err(contree_records::Error::Reference { .. }) => Err(no_image(image)),
            outcome => {
                outcome?;
                shown.tag = Some(tag);
                Ok(shown)
            }
        }
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
        identity.require(Permission::SetImageTag)?;
        let project = identity.project_id;
        self.image_shown(project, image).await?;
        let change = Change::DeleteTags {
            project,
            image,
            tag: tag.cloned(),
        };
        let removed = self.records().apply(change, self.is_durable()).await?;
        match tag {
            Some(tag) if removed == 0 => {
                Err(Error::not_found(format!("image {image} has no tag {tag}")))
            }
            _ => Ok(()),
        }
    }

    async fn image_shown(&self, project: ProjectId, image: ImageId) -> Result<Image, Error> {
        self.records()
            .image(project, image)
            .await?
            .ok_or_else(|| no_image(image))
    }

    /// What a run needs to know of an image, as far as the project may use it.
    pub(crate) async fn image_ground(
        &self,
        project: ProjectId,
        image: ImageId,
    ) -> Result<Option<ImageGround>, Error> {
        let key = (project, image);
        let asked = match self.known_images().get(&key) {
            Ok(known) => return Ok(Some(known)),
            Err(asked) => asked,
        };
        let ground = self.records().image_ground(project, image).await?;
        if let Some(ground) = &ground {
            self.known_images().add(asked, key, ground.clone());
        }
        Ok(ground)
    }
}

pub(crate) fn no_image(image: ImageId) -> Error {
    Error::not_found(format!("there is no image {image}"))
}
