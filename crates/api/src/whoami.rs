//! Tokens: what they may do, and what they are told about themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TokenId;

/// What a token may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
pub struct WhoAmI {
    /// The token's id.
    pub token_uuid: TokenId,
    /// Unix seconds, or null when it does not expire.
    pub token_expiration: Option<i64>,
    /// Every known permission and whether it is granted.
    pub permissions: BTreeMap<String, bool>,
    /// Limits by name, for this token.
    #[serde(default)]
    pub limits: BTreeMap<String, i64>,
    /// Operations of the project by status.
    pub operations_stat: BTreeMap<String, i64>,
}
