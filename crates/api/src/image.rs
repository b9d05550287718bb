//! Images, tags and imports.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ImageId, OperationId, Tag, Timestamp};

/// An image as lists and lookups show it. An image with several tags appears once per tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// The image's id.
    pub uuid: ImageId,
    /// One of its tags, or null.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub tag: Option<Tag>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The operation that made it; null for images of another project.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub operation_uuid: Option<OperationId>,
    /// The image it was made from; null for imports. (Beyond the contract.)
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub parent_uuid: Option<ImageId>,
    /// The environment that runs from it start with; only where one image is asked for. (Beyond
    /// the contract.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub env: Option<BTreeMap<String, String>>,
    /// The folder that runs from it start in, when it has one of its own; only where one image is
    /// asked for. (Beyond the contract.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "/srv"))]
    pub cwd: Option<String>,
}

/// `GET /images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ImageListResponse))]
pub struct ImageList {
    /// Newest first, ties by id.
    pub images: Vec<Image>,
}

/// What a request names as its image: an id, or `tag:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ImageRef {
    /// By id.
    Id(ImageId),
    /// By tag, looked up in the project and then among the public images.
    Tag(Tag),
}

/// A text that is neither an image id nor `tag:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image is named by its UUID or by tag:NAME, such as tag:ubuntu:latest")]
pub struct InvalidImageRef;

impl FromStr for ImageRef {
    type Err = InvalidImageRef;

    fn from_str(text: &str) -> Result<Self, InvalidImageRef> {
        if let Some(tag) = text.strip_prefix("tag:") {
            return tag.parse().map(Self::Tag).map_err(|_| InvalidImageRef);
        }
        text.parse().map(Self::Id).map_err(|_| InvalidImageRef)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidImageRef;

    fn try_from(text: String) -> Result<Self, InvalidImageRef> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
        }
    }
}

/// Body of `PATCH /images/{uuid}/tag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TagUpdate {
    /// The tag to set; moved here when another image of the project has it.
    pub tag: Tag,
}

/// Registry credentials. Shown nowhere: `Debug` hides the password, and answers carry
/// [`MASKED`] in its place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RegistryCredentials))]
pub struct Credentials {
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "myuser", nullable = false))]
    pub username: Option<String>,
    /// Password or access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = Password, example = "secret"))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub password: Option<String>,
}

/// What stands in answers, events and logs where a secret was.
pub const MASKED: &str = "<MASKED>";

impl Credentials {
    /// The same with the password masked.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self {
            username: self.username.clone(),
            password: self.password.as_ref().map(|_| MASKED.to_owned()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| MASKED))
            .finish()
    }
}

/// Where an import comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RegistrySource))]
pub struct Registry {
    /// `docker://HOST/REPO[:TAG|@DIGEST]`, or (beyond the contract) `upload:FILE_UUID` for an
    /// uploaded archive.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "docker://docker.io/busybox:latest")
    )]
    pub url: String,
    /// For registries that ask for them; kept only as long as the import runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub credentials: Option<Credentials>,
}

/// Body of `POST /images/import`, and (masked) the metadata of the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageImportRequest {
    /// The source.
    pub registry: Registry,
    /// Tag for the result; none: reachable by id only.
    #[serde(default)]
    pub tag: Option<Tag>,
    /// Seconds; default 300. At most the token's `images_import_max_timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, default = 300, nullable = false)
    )]
    pub timeout: Option<u32>,
}

/// Answer to `POST /images/import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageImportResponse {
    /// The operation.
    pub uuid: OperationId,
}
