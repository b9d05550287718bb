//! Tokens: what they may do, and what they are told about themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// What a token may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Import images and upload files.
    Import,
    /// Run commands that leave an image behind.
    Spawn,
    /// Run disposable commands.
    SpawnDisposable,
    /// Read images, operations, logs and files.
    List,
    /// Cancel operations.
    Cancel,
    /// Set and remove tags.
    SetImageTag,
}

impl Permission {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Import,
        Self::Spawn,
        Self::SpawnDisposable,
        Self::List,
        Self::Cancel,
        Self::SetImageTag,
    ];

    /// The permission of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.name() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Spawn => "spawn",
            Self::SpawnDisposable => "spawn_disposable",
            Self::List => "list",
            Self::Cancel => "cancel",
            Self::SetImageTag => "set_image_tag",
        }
    }
}

/// `GET /whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WhoAmIResponse))]
pub struct WhoAmI {
    /// The token's id.
    pub token_uuid: TokenId,
    /// Unix seconds, or null when it does not expire.
    #[cfg_attr(feature = "openapi", schema(example = 1_735_689_600, required))]
    pub token_expiration: Option<i64>,
    /// Every known permission and whether it is granted.
    #[cfg_attr(feature = "openapi", schema(example = json!({"import": true, "spawn": true, "spawn_disposable": false, "list": true, "cancel": false, "set_image_tag": false})))]
    pub permissions: BTreeMap<String, bool>,
    /// Limits by name, for this token.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = json!({"instance_max_timeout": 3600, "instance_max_concurrency": 10})))]
    pub limits: BTreeMap<String, i64>,
    /// Operations of the project by status.
    pub operations_stat: BTreeMap<String, i64>,
}
