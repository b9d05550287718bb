//! Images: found, looked into, tagged, and run from.

mod import;
mod inspect;

use std::fmt;

use contree_api::image::ImageRef;
use contree_api::{ImageId, Tag};
use uuid::Uuid;

pub(crate) use self::import::Source;
pub use self::import::{Import, ImportBuilder};
use crate::{Contree, Error, RunBuilder};

/// An image of the server, by its id or a tag. Cheap to clone, and nothing is asked before it has to
/// be.
///
/// What is named by a tag is looked up each time that it is needed, and may be another image each
/// time; [`resolve`](Image::resolve) fixes it. A name that is none is told where it is used first.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// let image = contree.image("tag:debian").resolve().await?;
/// for entry in image.ls("/usr").await? {
///     println!("{:o} {:>8} {}", entry.mode, entry.size, entry.path);
/// }
/// assert!(!image.read("/etc/passwd").await?.is_empty());
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Image<C = Contree> {
    pub(crate) contree: C,
    name: Name,
}

/// What an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Ref(ImageRef),
    /// Neither an id nor `tag:NAME`.
    Invalid(String),
}

impl Name {
    pub(crate) fn reference(&self) -> Result<&ImageRef, Error> {
        match self {
            Self::Ref(reference) => Ok(reference),
            Self::Invalid(text) => Err(Error::Reference { text: text.clone() }),
        }
    }

    /// For a request that is refused before it is sent when there is a fault.
    pub(crate) fn or_placeholder(&self) -> (ImageRef, Option<Error>) {
        match self.reference() {
            Ok(reference) => (reference.clone(), None),
            Err(fault) => {
                let placeholder = ImageRef::Id(ImageId::from_uuid(Uuid::nil()));
                (placeholder, Some(fault))
            }
        }
    }
}

impl From<Name> for ImageName {
    fn from(name: Name) -> Self {
        Self(name)
    }
}

/// What names an image: its id, a [`Tag`], or a text that is a UUID or `tag:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName(pub(crate) Name);

impl From<ImageId> for ImageName {
    fn from(id: ImageId) -> Self {
        Self(Name::Ref(ImageRef::Id(id)))
    }
}

impl<C> From<Image<C>> for ImageName {
    fn from(image: Image<C>) -> Self {
        Self(image.name)
    }
}

impl From<Tag> for ImageName {
    fn from(tag: Tag) -> Self {
        Self(Name::Ref(ImageRef::Tag(tag)))
    }
}

impl From<ImageRef> for ImageName {
    fn from(reference: ImageRef) -> Self {
        Self(Name::Ref(reference))
    }
}

impl From<&str> for ImageName {
    fn from(text: &str) -> Self {
        Self(
            text.parse()
                .map_or_else(|_| Name::Invalid(text.to_owned()), Name::Ref),
        )
    }
}

impl From<String> for ImageName {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for ImageName {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// A tag from its text.
pub(crate) fn tag(text: &str) -> Result<Tag, Error> {
    text.parse().map_err(|source| Error::Tag {
        text: text.to_owned(),
        source,
    })
}

impl<C> Image<C> {
    pub(crate) fn new(contree: C, name: impl Into<ImageName>) -> Self {
        Self {
            contree,
            name: name.into().0,
        }
    }

    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn on<D>(self, contree: D) -> Image<D> {
        Image {
            contree,
            name: self.name,
        }
    }
}

impl<C: Clone> Image<C> {
    /// A run of a shell command, such as `make test`: `$SHELL` or `/bin/sh` reads it.
    pub fn run(&self, command: impl Into<String>) -> RunBuilder<C> {
        RunBuilder::new(self.contree.clone(), &self.name, command.into(), true)
    }

    /// A run of a program, looked up in `PATH`, without a shell.
    pub fn program(&self, program: impl Into<String>) -> RunBuilder<C> {
        RunBuilder::new(self.contree.clone(), &self.name, program.into(), false)
    }
}

impl Image {
    /// Its id.
    ///
    /// # Errors
    /// [`Error::Reference`] when its name is none, else any [`Error`]; 404 when there is no such
    /// tag.
    pub async fn id(&self) -> Result<ImageId, Error> {
        let reference = self.name.reference()?;
        self.contree.client().resolve_image(reference).await
    }

    /// The image that it is at this moment, by its id.
    ///
    /// # Errors
    /// As [`Image::id`].
    pub async fn resolve(&self) -> Result<Self, Error> {
        Ok(Self::new(self.contree.clone(), self.id().await?))
    }

    /// What the server knows of it: a tag, when and from what it was made, its environment.
    ///
    /// # Errors
    /// As [`Image::id`]; 404 when there is no such image.
    pub async fn info(&self) -> Result<contree_api::image::Image, Error> {
        self.contree.client().image(self.id().await?).await
    }

    /// Sets a tag, taking it from another image of the project if need be.
    ///
    /// # Errors
    /// [`Error::Tag`] when it is none, else as [`Image::info`].
    pub async fn tag(&self, tag: impl AsRef<str>) -> Result<(), Error> {
        let tag = self::tag(tag.as_ref())?;
        let id = self.id().await?;
        self.contree.client().set_tag(id, &tag).await.map(drop)
    }

    /// Removes one of its tags.
    ///
    /// # Errors
    /// [`Error::Tag`] when it is none, else as [`Image::info`].
    pub async fn untag(&self, tag: impl AsRef<str>) -> Result<(), Error> {
        let tag = self::tag(tag.as_ref())?;
        let id = self.id().await?;
        self.contree.client().delete_tag(id, Some(&tag)).await
    }

    /// Removes all of its tags.
    ///
    /// # Errors
    /// As [`Image::info`].
    pub async fn untag_all(&self) -> Result<(), Error> {
        let id = self.id().await?;
        self.contree.client().delete_tag(id, None).await
    }
}

/// Its name: a UUID or `tag:NAME`.
impl<C> fmt::Display for Image<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Ref(reference) => fmt::Display::fmt(reference, f),
            Name::Invalid(text) => f.write_str(text),
        }
    }
}

impl<C> fmt::Debug for Image<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({self})")
    }
}
