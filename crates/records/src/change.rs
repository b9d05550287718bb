//! Everything that is ever written, one variant per change, each all or nothing.

use contree_api::{FileId, ImageId, LayerId, OperationId, ProjectId, Tag, Timestamp, TokenId};
use sqlx::sqlite::SqliteConnection;

use crate::files::NewFile;
use crate::images::NewImage;
use crate::layers::Merged;
use crate::operations::{Ended, NewOperation};
use crate::tokens::NewToken;
use crate::{Error, files, images, layers, meta, operations, projects, tags, tokens};

/// One change. Boxed where large, so that a queue of them stays small.
#[derive(Debug, Clone)]
pub enum Change {
    /// A project is made.
    NewProject {
        /// Its id.
        id: ProjectId,
        /// Its name, unique.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// A project is closed: its tokens stop working and its name is free.
    CloseProject {
        /// Which.
        project: ProjectId,
        /// When.
        at: Timestamp,
    },
    /// A closed project goes, with what it still has.
    RemoveProject {
        /// Which.
        project: ProjectId,
    },
    /// A token is made.
    NewToken(Box<NewToken>),
    /// A token stops working.
    RemoveToken {
        /// Which.
        token: TokenId,
    },
    /// A named value is set.
    SetMeta {
        /// Its name.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// An operation is accepted.
    Accept(Box<NewOperation>),
    /// An operation ends, with what it made; all of it or nothing.
    End(Box<Ended>),
    /// A tag is set or moved.
    SetTag {
        /// Whose tag.
        project: ProjectId,
        /// The tag.
        tag: Tag,
        /// The image it names from now on.
        image: ImageId,
        /// When.
        at: Timestamp,
    },
    /// An image becomes a public one, and gets a public tag; it may be one already.
    Publish {
        /// The public image.
        image: Box<NewImage>,
        /// The tag.
        tag: Tag,
        /// When.
        at: Timestamp,
    },
    /// A public tag is removed, and the image that had it, unless another tag names that.
    Unpublish {
        /// The tag.
        tag: Tag,
    },
    /// Tags are removed from an image: one, or all of the project's.
    DeleteTags {
        /// Whose tags.
        project: ProjectId,
        /// The image.
        image: ImageId,
        /// None: all.
        tag: Option<Tag>,
    },
    /// Operations are forgotten.
    RemoveOperations {
        /// Which.
        operations: Vec<OperationId>,
    },
    /// A file was uploaded, for the first time or again.
    PutFile(Box<NewFile>),
    /// Files were used.
    UseFiles {
        /// Which.
        files: Vec<FileId>,
        /// When.
        at: Timestamp,
    },
    /// Files not used since a moment are forgotten, unless listed.
    RemoveFiles {
        /// Which.
        files: Vec<FileId>,
        /// Only those whose last use is before this.
        unused_since: Timestamp,
    },
    /// A layer and some of its ancestors were merged into one folder, or are no longer.
    SetMerged {
        /// The topmost of them.
        layer: LayerId,
        /// The folder; none: the layer's own is to be used again.
        merged: Option<Merged>,
    },
    /// Images are forgotten, but those that have a tag by now.
    RemoveUntaggedImages {
        /// Which.
        images: Vec<ImageId>,
    },
    /// Layers are forgotten; fails when an image or another layer stands on one of them.
    RemoveLayers {
        /// Which.
        layers: Vec<LayerId>,
    },
}

impl Change {
    /// Applies the change inside the open transaction; answers with the number of records it
    /// touched. On an error the transaction is rolled back by the caller.
    pub(crate) async fn apply(&self, db: &mut SqliteConnection) -> Result<u64, Error> {
        match self {
            Self::NewProject { id, name, at } => projects::insert(db, *id, name, *at).await,
            Self::CloseProject { project, at } => projects::close(db, *project, *at).await,
            Self::RemoveProject { project } => projects::remove(db, *project).await,
            Self::RemoveToken { token } => tokens::remove(db, *token).await,
            Self::NewToken(token) => tokens::insert(db, token).await,
            Self::SetMeta { name, value } => meta::set(db, name, value).await,
            Self::Accept(operation) => operations::insert(db, operation).await,
            Self::End(ended) => end(db, ended).await,
            Self::SetTag {
                project,
                tag,
                image,
                at,
            } => tags::set(db, *project, tag, *image, *at).await,
            Self::Publish { image, tag, at } => {
                images::insert(db, image).await?;
                tags::set(db, image.project, tag, image.id, *at).await
            }
            Self::Unpublish { tag } => tags::unpublish(db, tag).await,
            Self::RemoveOperations { operations } => operations::remove(db, operations).await,
            Self::DeleteTags {
                project,
                image,
                tag,
            } => tags::delete(db, *project, *image, tag.as_ref()).await,
            Self::PutFile(file) => files::put(db, file).await,
            Self::UseFiles { files, at } => files::touch(db, files, *at).await,
            Self::RemoveFiles {
                files,
                unused_since,
            } => files::remove(db, files, *unused_since).await,
            Self::SetMerged { layer, merged } => {
                layers::set_merged(db, *layer, merged.as_ref()).await
            }
            Self::RemoveUntaggedImages { images } => images::remove_untagged(db, images).await,
            Self::RemoveLayers { layers } => layers::remove(db, layers).await,
        }
    }
}

/// The end of an operation: layer, image, tag and the operation's own row, in this order, for
/// each refers to the one before.
async fn end(db: &mut SqliteConnection, ended: &Ended) -> Result<u64, Error> {
    if let Some(layer) = &ended.layer {
        layers::insert(db, layer).await?;
    }
    if let Some(image) = &ended.image {
        images::insert(db, image).await?;
    }
    if let (Some(tag), Some(image)) = (&ended.result_tag, ended.result_image) {
        tags::set(db, ended.project, tag, image, ended.finished_at).await?;
    }
    match operations::end(db, ended).await? {
        0 => Err(Error::NotOpen),
        touched => Ok(touched),
    }
}
