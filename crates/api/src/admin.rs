//! Projects, tokens and the public namespace: what operators of a server do. These routes
//! (`/v1/admin/…`) are this server's own and take a token with admin rights.

use serde::{Deserialize, Serialize};

use crate::image::ImageRef;
use crate::whoami::Permission;
use crate::{ProjectId, Tag, Timestamp, TokenId};

/// Longest name of a project, in bytes.
pub const MAX_PROJECT_NAME: usize = 64;
/// Longest name of a token, in characters.
pub const MAX_TOKEN_NAME: usize = 200;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AdminProject))]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `GET /admin/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectList {
    /// By age.
    pub projects: Vec<Project>,
}

/// `POST /admin/projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProjectCreate {
    /// Letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at most
    /// [`MAX_PROJECT_NAME`] long, and no UUID.
    pub name: String,
}

/// Limits of one token. What is left out is as the server's; a limit above the server's has no
/// effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenLimits {
    /// Longest timeout of a run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_max_timeout: Option<u32>,
    /// Runs at the same time; more wait as PENDING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_max_concurrency: Option<u32>,
    /// Most bytes that one run may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_max_layer_bytes: Option<u64>,
    /// Imports at the same time; more wait as PENDING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_import_max_concurrency: Option<u32>,
    /// Longest timeout of an import, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_import_max_timeout: Option<u32>,
}

impl TokenLimits {
    /// Each limit that is set, by its name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        [
            (
                "instance_max_timeout",
                self.instance_max_timeout.map(u64::from),
            ),
            (
                "instance_max_concurrency",
                self.instance_max_concurrency.map(u64::from),
            ),
            ("instance_max_layer_bytes", self.instance_max_layer_bytes),
            (
                "images_import_max_concurrency",
                self.images_import_max_concurrency.map(u64::from),
            ),
            (
                "images_import_max_timeout",
                self.images_import_max_timeout.map(u64::from),
            ),
        ]
        .into_iter()
        .filter_map(|(name, limit)| limit.map(|limit| (name, limit)))
        .collect()
    }
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenInfo {
    /// Its id, as in `whoami`.
    pub id: TokenId,
    /// What people call it; may be empty.
    pub name: String,
    /// Name of its project; null: all projects, each request names one.
    pub project: Option<String>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Limits of its own.
    pub limits: TokenLimits,
    /// Whether it may administer the server.
    pub admin: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; null: never.
    pub expires_at: Option<Timestamp>,
}

/// `GET /admin/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenList {
    /// By age.
    pub tokens: Vec<TokenInfo>,
}

/// `POST /admin/tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreate {
    /// Name or id of the project that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// For all projects instead; each request then names one in its header `Project`.
    #[serde(default)]
    pub all_projects: bool,
    /// What people call it, at most [`MAX_TOKEN_NAME`] characters.
    #[serde(default)]
    pub name: String,
    /// What it may do; left out: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Permission>>,
    /// Limits of its own.
    #[serde(default)]
    pub limits: TokenLimits,
    /// Whether it may administer the server.
    #[serde(default)]
    pub admin: bool,
    /// Seconds after which it stops working; left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u32>,
}

/// A token that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreated {
    /// Its text. It is not stored, so this is the one time that it is told.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub info: TokenInfo,
}

impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreated")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// `POST /admin/public`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Publish {
    /// The image: its UUID, or `tag:NAME`.
    pub image: ImageRef,
    /// The public tag that it gets; one that another public image has moves here.
    pub tag: Tag,
    /// Name or id of the project that has the image; left out: the one of the caller's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}
